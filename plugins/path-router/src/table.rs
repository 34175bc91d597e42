//! Many rules at once: finding those whose paths a request may match without trying all.

use std::collections::{BTreeMap, BTreeSet};

use crate::rule::{PathPattern, Rule};

/// Where a path is in the list of rules.
#[derive(Debug, Default)]
pub(crate) struct PathTable {
    exact: BTreeMap<String, Vec<usize>>,
    prefixes: BTreeMap<String, Vec<usize>>,
    /// Of the prefixes.
    lengths: BTreeSet<usize>,
}

impl PathTable {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut table = Self::default();
        for (i, rule) in rules.iter().enumerate() {
            for pattern in rule.paths() {
                let list = match pattern {
                    PathPattern::Exact(path) => table.exact.entry(path.clone()),
                    PathPattern::Prefix(prefix) => {
                        table.lengths.insert(prefix.len());
                        table.prefixes.entry(prefix.clone())
                    }
                };
                list.or_default().push(i);
            }
        }
        table
    }

    /// The numbers of the rules that this lower-case path matches: ascending, each once.
    pub(crate) fn matching(&self, lower: &str) -> Vec<usize> {
        let lengths = self.lengths.range(..=lower.len());
        let prefixes = lengths.filter_map(|length| self.prefixes.get(lower.get(..*length)?));
        let all = self.exact.get(lower).into_iter().chain(prefixes);
        let mut numbers: Vec<_> = all.flatten().copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use witgate_sdk::testing;

    use crate::PathRouter;

    #[test]
    fn it_finds_what_trying_all_finds() {
        let paths = [
            "/a", "/*", "/a/*", "/a*", "/a/b", "/a/b/*", "/b/*", "/a/b/c", "/A/B", "/a/*",
        ];
        let rules = paths.map(|path| format!("[[rules]]\npaths = [\"{path}\"]\npool = \"p\"\n"));
        let router = testing::configure::<PathRouter>(&rules.concat()).unwrap();
        for path in [
            "/", "/a", "/a/", "/a/b", "/a/b/c", "/a/b/c/d", "/ab", "/b", "/c", "",
        ] {
            let all = router.rules.iter().zip(0..);
            let tried = all.filter(|(rule, _)| rule.matched(path).is_some());
            let tried: Vec<usize> = tried.map(|(_, i)| i).collect();
            assert_eq!(router.table.matching(path), tried, "{path:?}");
        }
    }
}
