//! Many host patterns at once: finding those that a host falls under without trying all.

use std::collections::BTreeMap;

use crate::HostPattern;

/// Host patterns, each with a number, such as its place in a list of rules. Finding takes about
/// the same for ten exact hosts, or patterns such as `*.shop.example`, as for ten thousand; other
/// patterns are tried one after the other.
///
/// ```
/// use witgate_sdk::{HostPattern, HostTable};
///
/// let patterns = ["*.shop.example", "shop.example", "www.shop.example", "node?.example"];
/// let patterns = patterns.iter().map(|pattern| pattern.parse::<HostPattern>());
/// let table: HostTable = patterns.map(Result::unwrap).zip(0..).collect();
/// assert_eq!(table.matching("www.shop.example"), [0, 2]);
/// assert_eq!(table.matching("node7.example"), [3]);
/// assert!(table.matching("other.example").is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    exact: BTreeMap<String, Vec<usize>>,
    /// By what stands behind a `*` at the start, its dot included.
    under: BTreeMap<String, Vec<usize>>,
    others: Vec<(HostPattern, usize)>,
}

impl HostTable {
    /// The numbers of the patterns that a request's host, which is lower-case, falls under:
    /// ascending, each once.
    ///
    /// ```
    /// use witgate_sdk::{HostPattern, HostTable};
    ///
    /// let any: HostPattern = "*".parse().unwrap();
    /// let table: HostTable = [(any, 7)].into_iter().collect();
    /// assert_eq!(table.matching("shop.example"), [7]);
    /// ```
    #[must_use]
    pub fn matching(&self, host: &str) -> Vec<usize> {
        let ends = host.match_indices('.');
        let ends = ends.filter_map(|(dot, _)| self.under.get(host.get(dot..)?));
        let listed = self.exact.get(host).into_iter().chain(ends).flatten();
        let others = self.others.iter();
        let tried = others.filter(|(pattern, _)| pattern.matches(host));
        let mut numbers: Vec<_> = listed
            .chain(tried.map(|(_, number)| number))
            .copied()
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn insert(&mut self, pattern: HostPattern, number: usize) {
        let text = pattern.to_string();
        let wild = |text: &str| text.contains(['*', '?']);
        let list = match text.strip_prefix('*') {
            None if !wild(&text) => self.exact.entry(text).or_default(),
            Some(end) if end.starts_with('.') && !wild(end) => {
                self.under.entry(end.to_owned()).or_default()
            }
            _ => return self.others.push((pattern, number)),
        };
        list.push(number);
    }
}

impl FromIterator<(HostPattern, usize)> for HostTable {
    fn from_iter<I: IntoIterator<Item = (HostPattern, usize)>>(patterns: I) -> Self {
        let mut table = Self::default();
        for (pattern, number) in patterns {
            table.insert(pattern, number);
        }
        table
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_trying_all_finds() {
        let patterns: Vec<HostPattern> = [
            "a.example",
            "*.a.example",
            "*",
            "*.example",
            "a.*",
            "?.example",
            "*a.example",
            "b.a.example",
            "a.example",
            "*.*.example",
            "c.b.a.example",
            "*.b.a.example",
        ]
        .iter()
        .map(|pattern| pattern.parse().unwrap())
        .collect();
        let table: HostTable = patterns.iter().cloned().zip(0..).collect();
        for host in [
            "a.example",
            "b.a.example",
            "c.b.a.example",
            "x.example",
            "xa.example",
            "example",
            "a.b",
            "::1",
            "",
            ".a.example",
        ] {
            let all = patterns.iter().zip(0..);
            let tried: Vec<usize> = all
                .filter(|(p, _)| p.matches(host))
                .map(|(_, i)| i)
                .collect();
            assert_eq!(table.matching(host), tried, "{host:?}");
        }
    }
}
