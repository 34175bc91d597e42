#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{super::PluginLimits, *};

/// The lines of what is wrong with a sidecar's text.
fn problems(schema: Value, sidecar: &str) -> Vec<String> {
    let schema = ConfigSchema::parse(schema.to_string().as_bytes()).unwrap();
    let path = Path::new("20-a.toml");
    let sidecar = Sidecar::parse(sidecar, path, &PluginLimits::DEFAULT).unwrap();
    match sidecar.check_config(&schema) {
        Ok(()) => Vec::new(),
        Err(error) => {
            let help = |problem: &super::super::Problem| problem.help.clone().unwrap_or_default();
            let lines = error.lines().into_iter().zip(error.problems().map(help));
            lines
                .map(|(line, help)| format!("{line} {help}").trim_end().to_owned())
                .collect()
        }
    }
}

fn router() -> Value {
    json!({
        "type": "object",
        "properties": {
            "rules": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "paths": {"type": "array", "items": {"type": "string", "title": "a path"}, "minItems": 1},
                    "pool": {"type": "string"},
                    "status": {"type": "integer", "minimum": 300, "maximum": 399},
                },
                "required": ["paths"],
                "additionalProperties": false,
            }},
            "sticky": {"anyOf": [
                {"enum": ["address", "never"]},
                {"type": "object", "properties": {"cookie": {"type": "string"}}, "required": ["cookie"], "additionalProperties": false},
                {"type": "object", "properties": {"header": {"type": "string"}}, "required": ["header"], "additionalProperties": false},
            ]},
            "weights": {"type": "object", "additionalProperties": {"type": "number"}},
        },
        "required": ["rules"],
        "additionalProperties": false,
    })
}

#[test]
fn what_fits_is_let_through() {
    let sidecar = "
        deadline = '5ms'
        [config]
        rules = [{ paths = ['/a'], pool = 'a', status = 301 }]
        sticky = { cookie = 'c' }
        weights = { a = 1, \"b c\" = 1.5 }
    ";
    assert_eq!(problems(router(), sidecar), [""; 0]);
}

#[test]
fn each_problem_is_at_its_line() {
    let sidecar = "[config]
rules = [
    { path = ['/a'], pool = 5 },
    { paths = [7], status = 200 },
    { paths = [] },
]
sticky = 'adress'
weights = { \"b c\" = true }
other = 1
";
    assert_eq!(
        problems(router(), sidecar),
        [
            "20-a.toml:3:5: `config.rules[0]`: the key `paths` is missing",
            "20-a.toml:3:7: `config.rules[0].path`: unknown key, expected `paths`, `pool` or `status` did you mean `paths`?",
            "20-a.toml:3:29: `config.rules[0].pool`: found integer `5`, expected a string",
            "20-a.toml:4:16: `config.rules[1].paths[0]`: found integer `7`, expected a path",
            "20-a.toml:4:29: `config.rules[1].status`: found 200, expected 300 to 399",
            "20-a.toml:5:7: `config.rules[2].paths`: found 0 entries, expected at least 1",
            "20-a.toml:7:10: `config.sticky`: found string \"adress\", expected `address` or `never`, a table with `cookie` or a table with `header` did you mean `address`?",
            "20-a.toml:8:21: `config.weights.\"b c\"`: found boolean `true`, expected a number",
            "20-a.toml:9:1: `config.other`: unknown key, expected `rules`, `sticky` or `weights`",
        ]
    );
}

#[test]
fn the_alternative_that_was_meant_says_what_is_wrong() {
    let wrong = |sticky: &str| {
        let all = problems(
            router(),
            &format!("config = {{ rules = [], sticky = {sticky} }}"),
        );
        all.join("; ")
    };
    assert!(
        wrong("{ cookie = 5 }")
            .ends_with("`config.sticky.cookie`: found integer `5`, expected a string")
    );
    assert!(
        wrong("{ header = 'a', max = 1 }")
            .ends_with("`config.sticky.max`: unknown key, expected `header`")
    );
    assert!(
        wrong("{ cokie = 'a' }")
            .ends_with("a table with `cookie` or a table with `header` did you mean `cookie`?")
    );
    assert!(wrong("5").contains("found integer `5`, expected `address` or `never`, a table"));
}

#[derive(serde::Deserialize, witgate_schema::Schema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[schema(crate = witgate_schema)]
#[allow(dead_code, reason = "only the types matter")]
enum Action {
    Forward { pool: String },
    Redirect { to: String, status: u16 },
}

#[derive(serde::Deserialize, witgate_schema::Schema)]
#[schema(crate = witgate_schema)]
#[allow(dead_code, reason = "only the types matter")]
struct Rule {
    path: String,
    #[serde(flatten)]
    action: Action,
}

#[derive(serde::Deserialize, witgate_schema::Schema)]
#[serde(deny_unknown_fields)]
#[schema(crate = witgate_schema)]
#[allow(dead_code, reason = "only the types matter")]
struct Rules {
    rules: Vec<Rule>,
    actions: Vec<Action>,
    #[serde(flatten)]
    last: Last,
}

#[derive(serde::Deserialize, witgate_schema::Schema)]
#[schema(crate = witgate_schema)]
#[allow(dead_code, reason = "only the types matter")]
struct Last {
    default_pool: String,
}

#[test]
fn a_tag_says_in_which_alternative_the_wrong_key_is() {
    use witgate_schema::Schema as _;
    let mut text = vec![0; witgate_schema::json(&Rules::SHAPE, &mut [])];
    witgate_schema::json(&Rules::SHAPE, &mut text);
    let schema: Value = serde_json::from_slice(&text).unwrap();
    let sidecar = "[config]
defaultpool = 'a'
actions = [
    { type = 'redirect', to = '/', status = 301, stats = 1 },
    { type = 'redirct', to = '/' },
    { pool = 'a' },
    { type = 'forward', pool = 1 },
]
rules = [
    { path = '/', type = 'redirect', to = '/', status = 301 },
    { path = '/', type = 'redirect', to = '/', status = 'x' },
    { path = '/', type = 'forward' },
]
";
    assert_eq!(
        problems(schema, sidecar),
        [
            "20-a.toml:1:2: `config`: the key `default_pool` is missing",
            "20-a.toml:2:1: `config.defaultpool`: unknown key, expected `actions`, `default_pool` or `rules` did you mean `default_pool`?",
            "20-a.toml:4:50: `config.actions[0].stats`: unknown key, expected `status`, `to` or `type` did you mean `status`?",
            "20-a.toml:5:14: `config.actions[1].type`: found string \"redirct\", expected `forward` or `redirect` did you mean `redirect`?",
            "20-a.toml:6:5: `config.actions[2]`: the key `type` is missing",
            "20-a.toml:7:32: `config.actions[3].pool`: found integer `1`, expected a string",
            "20-a.toml:11:57: `config.rules[1].status`: found string \"x\", expected an integer",
            "20-a.toml:12:5: `config.rules[2]`: the key `pool` is missing",
        ]
    );
}

#[test]
fn a_missing_table_is_told_without_a_line_to_point_at() {
    let all = problems(router(), "deadline = '5ms'\n");
    assert_eq!(all, ["20-a.toml:1:1: `config`: the key `rules` is missing"]);
}

#[test]
fn references_and_types_of_other_tools_are_followed() {
    let schema = json!({
        "$ref": "#/$defs/Config",
        "$defs": {"Config": {
            "allOf": [{"properties": {"a": {"type": ["string", "null"]}}}],
            "properties": {"next": {"$ref": "#/$defs/Config"}, "b": false, "c": {"const": 3}},
        }},
    });
    let sidecar = "config = { a = 1, b = 2, next = { c = 4, next = { a = true } } }";
    assert_eq!(
        problems(schema, sidecar),
        [
            "20-a.toml:1:16: `config.a`: found integer `1`, expected a string",
            "20-a.toml:1:19: `config.b`: found integer `2`, expected nothing here",
            "20-a.toml:1:39: `config.next.c`: found integer `4`, expected integer `3`",
            "20-a.toml:1:55: `config.next.next.a`: found boolean `true`, expected a string",
        ]
    );
}

#[test]
fn large_numbers_are_compared_exactly() {
    let schema = json!({"properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_992_u64}}});
    assert_eq!(
        problems(schema.clone(), "config.a = 9007199254740992"),
        [""; 0]
    );
    assert_eq!(
        problems(schema.clone(), "config.a = 9007199254740993").len(),
        1
    );
    assert_eq!(problems(schema, "config.a = -1").len(), 1);
}

/// Schemas whose comparison would not end, or not soon.
fn hostile() -> Vec<(&'static str, Value)> {
    let mut deep = json!({"type": "string"});
    for _ in 0..40 {
        deep = json!({"anyOf": [{"$ref": "#/$defs/none"}, deep]});
    }
    let wide: Vec<Value> = (0..4).map(|_| json!({"$ref": "#/$defs/a"})).collect();
    let names: Vec<String> = (0..7_000).map(|number| format!("key-{number}")).collect();
    let keys: Map<String, Value> = names
        .iter()
        .map(|name| (name.clone(), json!(false)))
        .collect();
    let long = |letter: char, number: usize| -> String {
        let digits = format!("{number:02}");
        digits.chars().chain([letter; 64]).take(64).collect()
    };
    let odd = (0..20).map(|number| (long('\u{10fffe}', number), json!(false)));
    let plain = (20..100).map(|number| (long('k', number), json!(false)));
    let named: Map<String, Value> = odd.chain(plain).collect();
    let alternatives = vec![json!({"$ref": "#/a"}); 16_000];
    let pointer = format!("#/{}", "~1".repeat(10_000));
    vec![
        (
            "long messages of many alternatives",
            json!({"anyOf": alternatives, "a": {"additionalProperties": false, "properties": named}}),
        ),
        (
            "long references",
            json!({"additionalProperties": {"$ref": "#/$defs/a"}, "$defs": {"a": {
                "allOf": vec![json!({"$ref": "#/$defs/b"}); 1_000]}, "b": {"$ref": pointer}}}),
        ),
        ("a reference to itself", json!({"$ref": "#"})),
        (
            "alternatives of itself",
            json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "type": "string"}),
        ),
        (
            "alternatives of alternatives",
            json!({"$defs": {"a": {"anyOf": wide}}, "$ref": "#/$defs/a"}),
        ),
        (
            "all of itself",
            json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        ),
        ("nested alternatives", deep),
        (
            "many names",
            json!({"properties": keys, "additionalProperties": false, "required": names}),
        ),
        (
            "many choices",
            json!({"additionalProperties": {"enum": names}}),
        ),
        (
            "entries of itself",
            json!({"additionalProperties": {"anyOf": [{"items": {"$ref": "#/additionalProperties"}}, {"items": {"$ref": "#/additionalProperties"}}]}, "type": "array"}),
        ),
    ]
}

#[test]
fn a_hostile_schema_neither_hangs_nor_crashes() {
    let keys: String = (0..200)
        .map(|key| format!("kee-{key} = [[[[[1]]]]]\n"))
        .collect();
    let sidecar = format!("[config]\n{keys}");
    for (what, schema) in hostile() {
        let since = Instant::now();
        let all = problems(schema, &sidecar);
        assert!(all.len() <= MAX_PROBLEMS, "{what}: {}", all.len());
        let written: usize = all.iter().map(String::len).sum();
        assert!(
            written < MAX_STEPS * BYTES_PER_STEP,
            "{what}: {written} bytes"
        );
        // In an unoptimised build.
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "{what}: {:?}",
            since.elapsed()
        );
    }
}

#[test]
fn messages_use_up_the_steps_of_a_comparison() {
    let names: Vec<String> = (10..30)
        .map(|number| format!("{number}{}", "x".repeat(60)))
        .collect();
    let strict: Map<String, Value> = names.into_iter().map(|name| (name, json!({}))).collect();
    let strict = json!({"additionalProperties": false, "properties": strict});
    let unknown = |alternatives: usize| {
        let schema = json!({"$defs": {"a": strict}, "anyOf": vec![json!({"$ref": "#/$defs/a"}); alternatives]});
        problems(schema, "config.b = 1").len()
    };
    // Each message has more than a kilobyte.
    assert_eq!(unknown(100), 1);
    assert_eq!(unknown(MAX_STEPS * BYTES_PER_STEP / 1_000), 0);
}

#[test]
fn what_other_tools_write_is_read_as_they_mean_it() {
    let schema = json!({
        "properties": {
            "tags": {"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false},
            "pair": {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false},
            "count": {"type": "integer", "maximum": 3},
            "level": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]},
            "mode": {"anyOf": [{"type": "boolean"}, {"enum": ["a", "b"]}, {"type": "null"}]},
            "none": {"type": "null"},
        },
    });
    let fitting =
        "[config]\ntags = { x-a = 'b' }\npair = ['a', 1]\ncount = 1.0\nlevel = 9\nmode = 'a'\n";
    assert_eq!(problems(schema.clone(), fitting), [""; 0]);
    let wrong = "[config]\npair = ['a', 1, 2]\ncount = 1.5\nlevel = 10\nmode = 7\nnone = 1\n";
    assert_eq!(
        problems(schema, wrong),
        [
            "20-a.toml:2:17: `config.pair[2]`: found integer `2`, expected nothing here",
            "20-a.toml:3:9: `config.count`: found floating point `1.5`, expected an integer",
            "20-a.toml:4:9: `config.level`: found 10, expected at most 9",
            "20-a.toml:5:8: `config.mode`: found integer `7`, expected a boolean or `a` or `b`",
            "20-a.toml:6:8: `config.none`: found integer `1`, expected nothing here",
        ]
    );
}

#[test]
fn a_comparison_without_end_is_given_up_and_finds_nothing() {
    let loops = json!({"$ref": "#", "type": "string"});
    assert_eq!(problems(loops, "config.a = 1"), [""; 0]);
}

#[test]
fn what_is_no_schema_is_refused() {
    let refusal = |text: &[u8]| ConfigSchema::parse(text).unwrap_err().to_string();
    assert!(refusal(&vec![b' '; MAX_BYTES + 1]).contains("262145 bytes, expected at most 262144"));
    assert!(refusal(b"{").contains("it is not JSON"));
    assert!(refusal(b"[]").contains("expected a JSON object"));
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let deep = format!("{{\"items\": {deep}}}");
    assert!(refusal(deep.as_bytes()).contains("recursion limit"));
    assert!(refusal(b"{\"a\": \"\xff\"}").contains("it is not JSON"));
}

#[test]
fn what_a_schema_says_is_printed_without_control_characters() {
    let long = "x".repeat(1_000);
    let schema = json!({"additionalProperties": false, "properties": {"a\u{1b}[2J": {}, long: {}}});
    let all = problems(schema, "config.b = 1").join("");
    assert!(!all.contains('\u{1b}') && all.len() < 400, "{all:?}");
    let schema = json!({"properties": {"b": {"type": "string", "title": "a\u{1b}[2J\nb"}}});
    let all = problems(schema, "config.b = 1").join("");
    assert!(all.ends_with(r"expected a\u{1b}[2J\nb"), "{all:?}");
    let schema = json!({"properties": {"b": {"type": "string", "title": "a\u{202e}b \"c\""}}});
    let all = problems(schema, "config.b = 1").join("");
    assert!(all.ends_with(r#"expected a\u{202e}b "c""#), "{all:?}");
}
