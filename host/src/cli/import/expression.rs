//! The expressions of Azure's templates, as far as they can be worked out without Azure:
//! `[concat(parameters('name'), '/frontendPorts/', variables('port'))]`.
//!
//! What only Azure knows (`reference`, `uniqueString`, `listKeys` …) becomes text that says so, so
//! that the last part of an id can still be read.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// How deep expressions and values may be nested; more is no template that a person wrote.
const MAX_DEPTH: usize = 64;

/// What expressions refer to.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// `parameters` of the template by lower-case name, already values.
    pub(super) parameters: BTreeMap<String, Value>,
    /// `variables` of the template by lower-case name, with their expressions.
    pub(super) variables: BTreeMap<String, Value>,
    /// Copy loops that are being unrolled: name and index, the innermost last.
    pub(super) loops: Vec<(String, u64)>,
}

/// A value, and the functions in it that only Azure can work out.
#[derive(Debug, Default)]
pub(super) struct Worked {
    pub(super) value: Value,
    pub(super) unknown: Vec<String>,
}

impl Scope {
    /// Works out what a string of a template stands for: itself, unless it is in brackets.
    ///
    /// # Errors
    /// With what is wrong with the expression.
    pub(super) fn text(&self, text: &str, depth: usize) -> Result<Worked, String> {
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match inner {
            Some(literal) if literal.starts_with('[') => Ok(Worked {
                value: Value::from(format!("{literal}]")),
                unknown: Vec::new(),
            }),
            Some(expression) => {
                let mut parser = Parser {
                    scope: self,
                    rest: expression,
                    unknown: Vec::new(),
                    depth,
                };
                let value = parser.expression()?;
                match parser.rest.trim() {
                    "" => Ok(Worked {
                        value,
                        unknown: parser.unknown,
                    }),
                    rest => Err(format!(
                        "expected the end of the expression, found {rest:?}"
                    )),
                }
            }
            None => Ok(Worked {
                value: Value::from(text),
                unknown: Vec::new(),
            }),
        }
    }

    /// Works out all expressions of a value.
    ///
    /// # Errors
    /// As [`Scope::text`].
    fn value(&self, value: &Value, depth: usize) -> Result<Worked, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        match value {
            Value::String(text) => self.text(text, depth + 1),
            Value::Array(items) => {
                let mut all = Worked::default();
                let mut list = Vec::new();
                for item in items {
                    let worked = self.value(item, depth + 1)?;
                    list.push(worked.value);
                    all.unknown.extend(worked.unknown);
                }
                all.value = Value::Array(list);
                Ok(all)
            }
            Value::Object(map) => {
                let mut all = Worked::default();
                let mut object = Map::new();
                for (key, item) in map {
                    let worked = self.value(item, depth + 1)?;
                    object.insert(key.clone(), worked.value);
                    all.unknown.extend(worked.unknown);
                }
                all.value = Value::Object(object);
                Ok(all)
            }
            plain => Ok(Worked {
                value: plain.clone(),
                unknown: Vec::new(),
            }),
        }
    }
}

/// Reads one expression and works it out on the way.
struct Parser<'a> {
    scope: &'a Scope,
    rest: &'a str,
    unknown: Vec<String>,
    depth: usize,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.rest = self.rest.trim_start();
        let mut value = match self.rest.chars().next() {
            Some('\'') => self.literal()?,
            Some(c) if c == '-' || c.is_ascii_digit() => self.number()?,
            Some(c) if c.is_ascii_alphabetic() => self.call()?,
            _ => return Err(format!("expected an expression, found {:?}", self.rest)),
        };
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                let name = self.word();
                value = member(&value, &name);
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                let index = self.expression()?;
                self.expect(']')?;
                value = match index.as_u64() {
                    Some(at) => usize::try_from(at)
                        .ok()
                        .and_then(|at| value.get(at).cloned())
                        .unwrap_or_else(|| opaque_or_null(&value)),
                    None => member(&value, &text_of(&index)),
                };
            } else {
                self.depth -= 1;
                return Ok(value);
            }
        }
    }

    /// `'it''s'`
    fn literal(&mut self) -> Result<Value, String> {
        let mut text = String::new();
        let mut rest = self.rest.strip_prefix('\'').unwrap_or(self.rest);
        loop {
            let (part, behind) = rest
                .split_once('\'')
                .ok_or_else(|| format!("expected a closing quote in {:?}", self.rest))?;
            text.push_str(part);
            match behind.strip_prefix('\'') {
                Some(more) => {
                    text.push('\'');
                    rest = more;
                }
                None => {
                    self.rest = behind;
                    return Ok(Value::from(text));
                }
            }
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let is_part = |(at, c): (usize, char)| (at > 0 || c != '-') && !c.is_ascii_digit();
        let end = self
            .rest
            .char_indices()
            .find(|one| is_part(*one))
            .map_or(self.rest.len(), |(at, _)| at);
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        let number: Result<i64, _> = digits.parse();
        number
            .map(Value::from)
            .map_err(|_| format!("expected a whole number, found {digits:?}"))
    }

    fn call(&mut self) -> Result<Value, String> {
        let name = self.word();
        self.rest = self.rest.trim_start();
        if !self.rest.starts_with('(') {
            return Err(format!("expected `(` behind {name:?}"));
        }
        self.expect('(')?;
        let mut arguments = Vec::new();
        while !self.rest.trim_start().starts_with(')') {
            if !arguments.is_empty() {
                self.expect(',')?;
            }
            arguments.push(self.expression()?);
        }
        self.expect(')')?;
        self.apply(&name, &arguments)
    }

    fn word(&mut self) -> String {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn expect(&mut self, expected: char) -> Result<(), String> {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(format!("expected `{expected}`, found {rest:?}")),
        }
    }

    fn apply(&mut self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let first = arguments.first().cloned().unwrap_or_default();
        let second = arguments.get(1).cloned().unwrap_or_default();
        let texts = || arguments.iter().map(text_of);
        let value = match name.to_ascii_lowercase().as_str() {
            "parameters" => self.looked_up("parameter", &self.scope.parameters, &first)?,
            "variables" => self.looked_up("variable", &self.scope.variables, &first)?,
            "concat" if first.is_array() => {
                let lists = arguments.iter().filter_map(Value::as_array);
                Value::Array(lists.flatten().cloned().collect())
            }
            "concat" => Value::from(texts().collect::<String>()),
            "format" => Value::from(formatted(
                &text_of(&first),
                arguments.get(1..).unwrap_or(&[]),
            )),
            "resourceid" | "subscriptionresourceid" | "extensionresourceid" => {
                Value::from(resource_id(&texts().collect::<Vec<_>>()))
            }
            "tolower" => Value::from(text_of(&first).to_lowercase()),
            "toupper" => Value::from(text_of(&first).to_uppercase()),
            "trim" => Value::from(text_of(&first).trim()),
            "string" => Value::from(text_of(&first)),
            "int" => text_of(&first)
                .trim()
                .parse::<i64>()
                .map_or(first, Value::from),
            "bool" => Value::from(is_true(&first)),
            "replace" => {
                let with = arguments.get(2).map(text_of).unwrap_or_default();
                Value::from(text_of(&first).replace(&text_of(&second), &with))
            }
            "split" => {
                let separator = text_of(&second);
                let all = text_of(&first);
                Value::Array(all.split(&separator).map(Value::from).collect())
            }
            "if" => {
                let chosen = if is_true(&first) { 1 } else { 2 };
                arguments.get(chosen).cloned().unwrap_or_default()
            }
            "equals" => Value::from(first == second),
            "not" => Value::from(!is_true(&first)),
            "and" => Value::from(arguments.iter().all(is_true)),
            "or" => Value::from(arguments.iter().any(is_true)),
            "true" => Value::from(true),
            "false" => Value::from(false),
            "null" => Value::Null,
            "empty" => Value::from(is_empty(&first)),
            "coalesce" => {
                let given = arguments.iter().find(|value| !value.is_null());
                given.cloned().unwrap_or_default()
            }
            "createarray" => Value::Array(arguments.to_vec()),
            "createobject" => {
                let pairs = arguments.chunks_exact(2);
                let pair = |pair: &[Value]| (text_of(&pair[0]), pair[1].clone());
                Value::Object(pairs.map(pair).collect())
            }
            "length" => {
                let count = match &first {
                    Value::Array(items) => items.len(),
                    Value::Object(map) => map.len(),
                    other => text_of(other).chars().count(),
                };
                Value::from(count)
            }
            "first" => first.get(0).cloned().unwrap_or_default(),
            "last" => {
                let last = first.as_array().and_then(|items| items.last());
                last.cloned().unwrap_or_default()
            }
            "add" => number(&first, &second, i64::checked_add)?,
            "sub" => number(&first, &second, i64::checked_sub)?,
            "mul" => number(&first, &second, i64::checked_mul)?,
            "copyindex" => self.copy_index(&first, &second)?,
            "resourcegroup" => json!({
                "name": "resource-group", "id": "/subscriptions/0/resourceGroups/resource-group",
                "location": "here",
            }),
            "subscription" => json!({ "id": "/subscriptions/0", "subscriptionId": "0" }),
            _ => {
                self.unknown.push(format!("{name}()"));
                opaque(name)
            }
        };
        Ok(value)
    }

    fn looked_up(
        &mut self,
        kind: &str,
        from: &BTreeMap<String, Value>,
        name: &Value,
    ) -> Result<Value, String> {
        let name = text_of(name);
        let Some(value) = from.get(&name.to_ascii_lowercase()) else {
            self.unknown.push(format!("the {kind} `{name}`"));
            return Ok(opaque(&name));
        };
        let worked = self.scope.value(value, self.depth + 1)?;
        self.unknown.extend(worked.unknown);
        Ok(worked.value)
    }

    fn copy_index(&self, first: &Value, second: &Value) -> Result<Value, String> {
        let name = first.as_str();
        let offset = name.map_or(first, |_| second).as_u64().unwrap_or(0);
        let found = self
            .scope
            .loops
            .iter()
            .rev()
            .find(|(one, _)| name.is_none_or(|name| name.eq_ignore_ascii_case(one)));
        let (_, index) = found.ok_or("copyIndex() stands in no copy loop")?;
        Ok(Value::from(index.saturating_add(offset)))
    }
}

/// Text for what only Azure knows.
fn opaque(name: &str) -> Value {
    Value::from(format!("<{name}>"))
}

fn is_opaque(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with('<') && text.ends_with('>'))
}

fn opaque_or_null(value: &Value) -> Value {
    match is_opaque(value) {
        true => value.clone(),
        false => Value::Null,
    }
}

fn member(value: &Value, name: &str) -> Value {
    let found = value.as_object().and_then(|map| {
        let same = map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.clone())
    });
    found.unwrap_or_else(|| opaque_or_null(value))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| text_of(value).eq_ignore_ascii_case("true"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn number(
    first: &Value,
    second: &Value,
    of: impl FnOnce(i64, i64) -> Option<i64>,
) -> Result<Value, String> {
    let both = first.as_i64().zip(second.as_i64());
    both.and_then(|(first, second)| of(first, second))
        .map(Value::from)
        .ok_or_else(|| format!("expected two numbers, found {first} and {second}"))
}

/// `{0}` and its like are filled in; a format behind a colon is left out of account.
fn formatted(text: &str, values: &[Value]) -> String {
    let mut all = text.to_owned();
    for (at, value) in values.iter().enumerate() {
        all = all.replace(&format!("{{{at}}}"), &text_of(value));
    }
    all
}

/// `/providers/Microsoft.Network/applicationGateways/NAME/frontendPorts/NAME`: types and names in
/// turn. What stands before the type, a subscription or a group, does not matter here.
fn resource_id(arguments: &[String]) -> String {
    let at = arguments.iter().position(|one| one.contains('/'));
    let (kind, names) = match at {
        Some(at) => (arguments[at].as_str(), &arguments[at + 1..]),
        None => ("", arguments),
    };
    let mut parts = kind.split('/');
    let mut id = format!("/providers/{}", parts.next().unwrap_or_default());
    for (part, name) in parts.zip(names) {
        id.push_str(&format!("/{part}/{name}"));
    }
    id
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let table = |value: Value| value.as_object().unwrap().clone().into_iter().collect();
        Scope {
            parameters: table(json!({ "name": "agw", "hosts": ["a.example", "b.example"] })),
            variables: table(json!({
                "id": "[resourceId('Microsoft.Network/applicationGateways', parameters('name'))]",
                "ports": { "Https": 443 },
                "loop": "[variables('loop')]",
            })),
            loops: vec![("each".to_owned(), 2)],
        }
    }

    #[test]
    fn expressions_are_worked_out() {
        let cases = [
            ("plain", json!("plain")),
            ("[[literal]", json!("[literal]")),
            ("['it''s']", json!("it's")),
            ("[parameters('NAME')]", json!("agw")),
            ("[variables('ports').https]", json!(443)),
            ("[parameters('hosts')[1]]", json!("b.example")),
            (
                "[concat(variables('id'), '/probes/', 'p')]",
                json!("/providers/Microsoft.Network/applicationGateways/agw/probes/p"),
            ),
            (
                "[resourceId('Microsoft.Network/applicationGateways/frontendPorts', 'agw', 'port')]",
                json!("/providers/Microsoft.Network/applicationGateways/agw/frontendPorts/port"),
            ),
            ("[format('{0}-{1}', 'a', 7)]", json!("a-7")),
            ("[if(equals(1, 2), 'x', toLower('Y'))]", json!("y")),
            ("[concat('a', copyIndex('each', 1))]", json!("a3")),
            ("[createArray('a', add(1, 2))]", json!(["a", 3])),
            ("[length(parameters('hosts'))]", json!(2)),
        ];
        for (text, expected) in cases {
            let worked = scope().text(text, 0).unwrap();
            assert_eq!(worked.value, expected, "{text}");
            assert!(worked.unknown.is_empty(), "{text}: {:?}", worked.unknown);
        }
    }

    #[test]
    fn what_only_azure_knows_is_named_and_the_rest_is_kept() {
        let text = "[concat('/probes/', uniqueString(resourceGroup().id), '/', 'p')]";
        let worked = scope().text(text, 0).unwrap();
        assert_eq!(worked.value, json!("/probes/<uniqueString>/p"));
        assert_eq!(worked.unknown, ["uniqueString()"]);
        let worked = scope()
            .text("[reference('ip').dnsSettings.fqdn]", 0)
            .unwrap();
        assert_eq!(worked.value, json!("<reference>"));
        let worked = scope().text("[parameters('secret')]", 0).unwrap();
        assert_eq!(worked.unknown, ["the parameter `secret`"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let deep = format!("[{}'a'{}]", "concat(".repeat(200), ")".repeat(200));
        for (text, expected) in [
            ("['a]", "expected a closing quote"),
            ("[concat('a' 'b')]", "expected `,`"),
            ("[concat('a'", ""),
            ("[concat('a']", "expected `,`"),
            ("[name]", "expected `(` behind"),
            ("[]", "expected an expression"),
            ("[add('a', 1)]", "expected two numbers"),
            ("[variables('loop')]", "nested more than 64 deep"),
            (deep.as_str(), "nested more than 64 deep"),
        ] {
            match scope().text(text, 0) {
                Err(error) => assert!(error.contains(expected), "{text}: {error}"),
                Ok(worked) => assert!(expected.is_empty(), "{text}: {:?}", worked.value),
            }
        }
    }
}
