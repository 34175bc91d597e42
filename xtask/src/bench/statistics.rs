//! What is made of the rounds: medians, ranges, and ratios within each round.

use std::fmt;

/// The middle of some values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// None of no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = match sorted.len() % 2 {
            1 => upper,
            _ => f64::midpoint(*sorted.get(middle - 1)?, upper),
        };
        Some(Self {
            median,
            least,
            most,
        })
    }

    /// Each value by the one of the same round, so that what slows the machine down for a while
    /// counts on both sides.
    pub(crate) fn of_ratios(values: &[f64], base: &[f64]) -> Option<Self> {
        let pairs = values.iter().zip(base);
        Self::of(&pairs.map(|(value, base)| value / base).collect::<Vec<_>>())
    }

    /// Each value less the one of the same round.
    pub(crate) fn of_differences(values: &[f64], base: &[f64]) -> Option<Self> {
        let pairs = values.iter().zip(base);
        Self::of(&pairs.map(|(value, base)| value - base).collect::<Vec<_>>())
    }
}

/// `0.83 (0.81 to 0.86)`: two decimals below ten, one below a hundred.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, most] = [self.median, self.least, self.most].map(number);
        write!(f, "{median} ({least} to {most})")
    }
}

/// A number with the digits that mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        small if small < 9.995 => format!("{value:.2}"),
        medium if medium < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        let of = |values: &[f64]| Spread::of(values).unwrap().median;
        assert_eq!(of(&[3.0, 1.0, 20.0]).to_string(), "3");
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).to_string(), "2.5");
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // A round that was three times as slow for both says the same as the others.
        let spread = Spread::of_ratios(&[8.0, 24.0, 9.0], &[10.0, 30.0, 10.0]).unwrap();
        assert_eq!(spread.to_string(), "0.80 (0.80 to 0.90)");
        let spread = Spread::of_differences(&[8.0, 24.0], &[10.0, 30.0]).unwrap();
        assert_eq!(spread.to_string(), "-4.00 (-6.00 to -2.00)");
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!(
            [0.834, 9.999, 25.24, 99.97, 1320.9].map(number),
            ["0.83", "10.0", "25.2", "100", "1321"]
        );
    }
}
