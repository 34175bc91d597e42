//! Whether two patterns for hosts can match the same host.

/// `*` stands for any characters, `?` for one; case does not matter. An empty list stands for all
/// hosts.
pub(super) fn meet(one: &[String], other: &[String]) -> bool {
    let any = |a: &String| other.iter().any(|b| overlap(a.as_bytes(), b.as_bytes()));
    one.is_empty() || other.is_empty() || one.iter().any(any)
}

fn overlap(a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            overlap(rest, b) || matches!(b, [_, behind @ ..] if overlap(a, behind))
        }
        (_, [b'*', ..]) => overlap(b, a),
        ([x, a @ ..], [y, b @ ..]) => {
            (x.eq_ignore_ascii_case(y) || *x == b'?' || *y == b'?') && overlap(a, b)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_meet_when_one_host_matches_both() {
        let one = |text: &str| vec![text.to_owned()];
        for (a, b, expected) in [
            ("a.example", "A.example", true),
            ("a.example", "b.example", false),
            ("*.example", "a.b.example", true),
            ("*.example", "example", false),
            ("*.shop.example", "api.*", true),
            ("*.shop.example", "*.web.example", false),
            ("node?.example", "node12.example", false),
            ("node?.example", "*1.example", true),
        ] {
            assert_eq!(meet(&one(a), &one(b)), expected, "{a} {b}");
            assert_eq!(meet(&one(b), &one(a)), expected, "{b} {a}");
        }
        assert!(meet(&[], &one("a")));
    }
}
