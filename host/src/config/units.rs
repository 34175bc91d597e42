//! Durations and sizes: "30s", "1m30s", "64KiB". An error says what was found and what was
//! expected.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

pub(super) const DURATION: &str = r#"a duration such as "30s" or "250ms" (units: ms, s, m, h, d)"#;
pub(super) const SIZE: &str = r#"a size such as "64KiB" or "16MiB" (units: B, KB, MB, GB, KiB, MiB, GiB), or a number of bytes"#;

/// One or more whole numbers with units: "250ms", "1m30s", "1h 30m".
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("found {text:?}, expected {DURATION}");
    let mut rest = text.trim();
    let mut millis = 0_u64;
    while !rest.is_empty() || text.trim().is_empty() {
        let (part, after) = part(rest, &DURATION_UNITS).ok_or_else(wrong)?;
        millis = millis.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// A whole number with a unit. Upper and lower case do not matter.
pub(super) fn size(text: &str) -> Result<u64, String> {
    match part(text.trim(), &SIZE_UNITS) {
        Some((bytes, "")) => Ok(bytes),
        _ => Err(format!("found {text:?}, expected {SIZE}")),
    }
}

/// A number with its unit at the start of `text`, multiplied, and what follows it.
fn part<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(u64, &'a str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|letter: char| !letter.is_ascii_alphabetic());
    let (unit, rest) = rest.split_at(letters.unwrap_or(rest.len()));
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let value = number.parse::<u64>().ok()?.checked_mul(*factor)?;
    Some((value, rest.trim_start()))
}

/// In the largest unit that keeps it whole.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, &DURATION_UNITS).unwrap_or_else(|| "0s".to_owned())
}

/// In the largest binary unit that keeps it whole.
pub(super) fn show_size(bytes: u64) -> String {
    let binary =
        SIZE_UNITS.map(|(name, factor)| (name, if name.len() == 2 { u64::MAX } else { factor }));
    show(bytes, &binary).unwrap_or_else(|| "0B".to_owned())
}

fn show(value: u64, units: &[(&str, u64)]) -> Option<String> {
    let fits = |(_, factor): &&(&str, u64)| value > 0 && value.is_multiple_of(*factor);
    let (name, factor) = units
        .iter()
        .filter(fits)
        .max_by_key(|(_, factor)| *factor)?;
    Some(format!("{}{name}", value / factor))
}
