//! Writes what a plugin decides into its file of cases. All else stays as it is written: names,
//! requests, comments, and keys that hold.

use std::{ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use crate::{
    cli::plugin_build,
    plugin::{CaseDecision, CaseDifference},
};

/// Replaces the values of the keys that were decided otherwise; `decided` has the index of the
/// case with each.
///
/// # Errors
/// A call has failed, so that there is no decision; a value is not written where it can be
/// replaced; the file cannot be written. Nothing is changed then.
pub(super) fn write(
    file: &Path,
    text: &str,
    decided: &[(usize, CaseDifference)],
) -> Result<(), String> {
    let text = blessed(text, decided).map_err(|why| format!("error: {}: {why}", file.display()))?;
    plugin_build::replace(file, text.as_bytes())
        .map_err(|error| format!("error: cannot write {}: {error}", file.display()))
}

fn blessed(text: &str, decided: &[(usize, CaseDifference)]) -> Result<String, String> {
    let mut changes = Vec::new();
    for (index, difference) in decided {
        let key = format!("cases[{index}].{}", difference.key);
        let Some(decision) = &difference.decided else {
            return Err(format!(
                "`{key}`: there is no decision to be written: {}",
                difference.found
            ));
        };
        let place = place(text, *index, difference.key).ok_or_else(|| {
            format!("`{key}`: write it as a value of one line, as in `route = \"pass\"`, to have it replaced")
        })?;
        changes.push((place, value(decision)?));
    }
    changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut text = text.to_owned();
    for (place, value) in changes {
        text.replace_range(place, &value);
    }
    Ok(text)
}

/// Where the value of a key of a case stands; none when it is no value but a table of its own.
fn place(text: &str, index: usize, key: &str) -> Option<Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let DeValue::Array(cases) = file.get_ref().get("cases")?.get_ref() else {
        return None;
    };
    let DeValue::Table(case) = cases.get(index)?.get_ref() else {
        return None;
    };
    let place = case.get(key)?.span();
    let written = text.get(place.clone())?;
    let is_value = written.starts_with(['{', '"', '\'', '['])
        && written.ends_with(['}', '"', '\'', ']'])
        && toml::from_str::<toml::Table>(&format!("value = {written}")).is_ok();
    is_value.then_some(place)
}

fn value(decision: &CaseDecision) -> Result<String, String> {
    let value = match decision {
        CaseDecision::Route(route) if route.pass == Some(true) => Ok(toml::Value::from("pass")),
        CaseDecision::Route(route) => toml::Value::try_from(route),
        CaseDecision::Prefer(text) => Ok(toml::Value::from(text.as_str())),
        CaseDecision::Stick(stick) => toml::Value::try_from(stick),
        CaseDecision::Edits(edits) => toml::Value::try_from(edits),
    };
    let value = value.map_err(|error| format!("the decision cannot be written: {error}"))?;
    Ok(value.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::config::CaseRoute;

    fn route(index: usize, pool: &str) -> (usize, CaseDifference) {
        let route = CaseRoute {
            forward: Some(pool.to_owned()),
            ..CaseRoute::default()
        };
        let difference = CaseDifference {
            key: "route",
            expected: String::new(),
            found: String::new(),
            decided: Some(CaseDecision::Route(route)),
        };
        (index, difference)
    }

    #[test]
    fn all_but_the_values_stays() {
        let text = "# mine\n[[cases]]\nrequest = \"/a\" # of a\nroute = \"pass\" # why\n\n[[cases]]\nroute = { forward = \"b\", rule = \"x\" }\nrequest = \"/b\"\n";
        let text = blessed(text, &[route(0, "api"), route(1, "web")]).unwrap();
        let expected = "# mine\n[[cases]]\nrequest = \"/a\" # of a\nroute = { forward = \"api\" } # why\n\n[[cases]]\nroute = { forward = \"web\" }\nrequest = \"/b\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_table_of_its_own_is_left_alone() {
        for written in [
            "[cases.route]\nforward = \"b\"\n",
            "route.forward = \"b\"\n",
        ] {
            let text = format!("[[cases]]\nrequest = \"/\"\n{written}");
            let error = blessed(&text, &[route(0, "api")]).unwrap_err();
            assert!(
                error.starts_with("`cases[0].route`: write it as a value"),
                "{error}"
            );
        }
    }
}
