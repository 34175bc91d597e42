//! Finds the application gateway in an export and works out the expressions in it.
//!
//! Three shapes are known: an ARM template (`resources`, with expressions), what `az network
//! application-gateway show` or `list` prints, and what Azure's REST interface answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::expression::Scope;

const KIND: &str = "Microsoft.Network/applicationGateways";

/// How deep an export may be nested.
const MAX_DEPTH: usize = 100;
/// The most rounds of one copy loop; a gateway has at most 400 of anything.
const MAX_COPIES: u64 = 1000;

/// One gateway of an export, without expressions.
#[derive(Debug)]
pub(super) struct Export {
    /// The resource.
    pub(super) gateway: Value,
    /// Where it stands in the file: `$.resources[2]`.
    pub(super) path: String,
    /// Values that only Azure or a missing parameter could tell, by path: what is needed.
    pub(super) unknown: BTreeMap<String, String>,
}

impl Export {
    /// Reads the text of an export. `parameters` is that of a parameter file for a template,
    /// `name` that of the gateway where there are several.
    ///
    /// # Errors
    /// With what is wrong, and where.
    pub(super) fn read(
        text: &str,
        parameters: Option<&str>,
        name: Option<&str>,
    ) -> Result<Self, String> {
        let document: Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let scope = scope(&document, parameters)?;
        let mut all = Vec::new();
        for (path, resource) in candidates(&document) {
            let mut reading = Reading {
                scope: scope.clone(),
                is_template: document.get("resources").is_some(),
                unknown: BTreeMap::new(),
            };
            let gateway = reading.value(resource, &path, 0)?;
            if gateway.get("condition") != Some(&Value::Bool(false)) {
                let unknown = reading.unknown;
                all.push(Self {
                    gateway,
                    path,
                    unknown,
                });
            }
        }
        choose(all, name)
    }

    /// The gateway's own name, without that of anything around it.
    pub(super) fn name(&self) -> &str {
        let name = self.gateway.get("name").and_then(Value::as_str);
        name.unwrap_or("gateway")
    }
}

fn choose(mut all: Vec<Export>, name: Option<&str>) -> Result<Export, String> {
    let names = |all: &[Export]| {
        let names: Vec<_> = all.iter().map(|one| format!("{:?}", one.name())).collect();
        names.join(", ")
    };
    if let Some(name) = name {
        let found = names(&all);
        all.retain(|one| one.name().eq_ignore_ascii_case(name));
        if all.is_empty() {
            return Err(format!("it has no gateway {name:?}, but {found}"));
        }
    }
    if all.len() > 1 {
        let names = names(&all);
        return Err(format!(
            "it has several gateways, {names}: pick one with --gateway"
        ));
    }
    all.pop().ok_or_else(|| {
        format!(
            "it has no application gateway: expected an ARM template with a resource of the type \
             {KIND}, or what `az network application-gateway show` prints"
        )
    })
}

/// Everything in the document that is a gateway, with its path.
fn candidates(document: &Value) -> Vec<(String, &Value)> {
    let is_kind = |value: &Value| {
        let kind = value.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
    };
    let listeners = |value: &Value| value.get("httpListeners").is_some();
    let is_gateway = |value: &Value| {
        is_kind(value) || listeners(value) || value.get("properties").is_some_and(listeners)
    };
    let mut all: Vec<(String, &Value)> = match document {
        Value::Array(_) => within("$", document),
        _ if is_gateway(document) => vec![("$".to_owned(), document)],
        _ => match (document.get("resources"), document.get("value")) {
            (Some(resources), _) => within("$.resources", resources),
            (None, Some(list)) => within("$.value", list),
            (None, None) => Vec::new(),
        },
    };
    all.retain(|(_, value)| is_gateway(value));
    all
}

/// The items of a list, or of a table, with their paths.
fn within<'a>(path: &str, list: &'a Value) -> Vec<(String, &'a Value)> {
    match list {
        Value::Array(items) => {
            let of = |(i, item)| (format!("{path}[{i}]"), item);
            items.iter().enumerate().map(of).collect()
        }
        Value::Object(map) => {
            let of = |(key, item)| (format!("{path}.{key}"), item);
            map.iter().map(of).collect()
        }
        _ => Vec::new(),
    }
}

/// Parameters from the file of parameters, else their defaults; variables as they are.
fn scope(document: &Value, parameters: Option<&str>) -> Result<Scope, String> {
    let mut scope = Scope::default();
    let table = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    for (name, declared) in table(document.get("parameters")).unwrap_or_default() {
        if let Some(value) = declared.get("defaultValue") {
            scope
                .parameters
                .insert(name.to_ascii_lowercase(), value.clone());
        }
    }
    if let Some(text) = parameters {
        let file: Value = serde_json::from_str(text)
            .map_err(|error| format!("the file of parameters is not JSON: {error}"))?;
        let given = table(file.get("parameters")).or_else(|| table(Some(&file)));
        for (name, value) in given.unwrap_or_default() {
            let value = value.get("value").cloned().unwrap_or(value);
            scope.parameters.insert(name.to_ascii_lowercase(), value);
        }
    }
    for (name, value) in table(document.get("variables")).unwrap_or_default() {
        scope.variables.insert(name.to_ascii_lowercase(), value);
    }
    Ok(scope)
}

struct Reading {
    scope: Scope,
    /// Only templates have expressions.
    is_template: bool,
    unknown: BTreeMap<String, String>,
}

impl Reading {
    fn value(&mut self, value: &Value, path: &str, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("{path}: it is nested more than {MAX_DEPTH} deep"));
        }
        match value {
            Value::String(text) if self.is_template => {
                let worked = self.scope.text(text, 0);
                let worked = worked.map_err(|error| format!("{path}: {text:?}: {error}"))?;
                if !worked.unknown.is_empty() {
                    let needed = worked.unknown.join(", ");
                    self.unknown.insert(path.to_owned(), needed);
                }
                Ok(worked.value)
            }
            Value::Array(items) => {
                let mut list = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    list.push(self.value(item, &format!("{path}[{i}]"), depth + 1)?);
                }
                Ok(Value::Array(list))
            }
            Value::Object(map) => {
                let mut object = Map::new();
                for (key, item) in map {
                    let path = format!("{path}.{key}");
                    match item {
                        Value::Array(loops) if self.is_template && key == "copy" => {
                            for one in loops {
                                let (name, items) = self.copies(one, &path, depth + 1)?;
                                object.insert(name, Value::Array(items));
                            }
                        }
                        _ => {
                            object.insert(key.clone(), self.value(item, &path, depth + 1)?);
                        }
                    }
                }
                Ok(Value::Object(object))
            }
            plain => Ok(plain.clone()),
        }
    }

    /// Unrolls `{ "name": …, "count": …, "input": … }`.
    fn copies(
        &mut self,
        one: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(String, Vec<Value>), String> {
        let count = self.value(&one["count"], path, depth)?;
        let name = one["name"].as_str();
        let (Some(name), Some(count)) = (name, count.as_u64().filter(|n| *n <= MAX_COPIES)) else {
            return Err(format!(
                "{path}: expected a copy loop with a name and a count of at most {MAX_COPIES}"
            ));
        };
        let mut items = Vec::new();
        for index in 0..count {
            self.scope.loops.push((name.to_owned(), index));
            let item = self.value(&one["input"], &format!("{path}.{name}[{index}]"), depth);
            self.scope.loops.pop();
            items.push(item?);
        }
        Ok((name.to_owned(), items))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value, name: Option<&str>) -> Result<Export, String> {
        Export::read(&document.to_string(), None, name)
    }

    #[test]
    fn a_gateway_is_found_in_each_shape() {
        let flat = json!({ "name": "a", "httpListeners": [] });
        let nested = json!({ "name": "a", "properties": { "httpListeners": [] } });
        let kind = json!({ "name": "a", "type": "microsoft.network/ApplicationGateways" });
        for (document, path) in [
            (flat.clone(), "$"),
            (nested.clone(), "$"),
            (json!([flat]), "$[0]"),
            (json!({ "value": [nested] }), "$.value[0]"),
            (
                json!({ "resources": [{ "type": "other" }, kind] }),
                "$.resources[1]",
            ),
            (json!({ "resources": { "agw": kind } }), "$.resources.agw"),
        ] {
            let export = read(&document, None).unwrap();
            assert_eq!((export.name(), export.path.as_str()), ("a", path));
        }
    }

    #[test]
    fn one_of_several_has_to_be_picked() {
        let document =
            json!([{ "name": "a", "httpListeners": [] }, { "name": "b", "httpListeners": [] }]);
        let error = read(&document, None).unwrap_err();
        assert!(
            error.contains("\"a\", \"b\": pick one with --gateway"),
            "{error}"
        );
        assert_eq!(read(&document, Some("B")).unwrap().name(), "b");
        let error = read(&document, Some("c")).unwrap_err();
        assert!(error.contains("no gateway \"c\""), "{error}");
        let error = read(&json!({ "a": 1 }), None).unwrap_err();
        assert!(error.contains("no application gateway"), "{error}");
    }

    #[test]
    fn a_template_is_worked_out_with_its_parameters_and_loops() {
        let document = json!({
            "parameters": { "name": { "type": "string", "defaultValue": "agw" }, "secret": {} },
            "resources": [{
                "type": KIND,
                "name": "[parameters('name')]",
                "properties": {
                    "copy": [{ "name": "probes", "count": 2, "input": { "name": "[concat('p', copyIndex('probes'))]" } }],
                    "key": "[parameters('secret')]",
                },
            }],
        });
        let export = read(&document, None).unwrap();
        assert_eq!(export.name(), "agw");
        let properties = &export.gateway["properties"];
        assert_eq!(
            properties["probes"],
            json!([{ "name": "p0" }, { "name": "p1" }])
        );
        let key = "$.resources[0].properties.key".to_owned();
        assert_eq!(export.unknown[&key], "the parameter `secret`");
        let file =
            r#"{ "parameters": { "Name": { "value": "other" }, "secret": { "value": "x" } } }"#;
        let export = Export::read(&document.to_string(), Some(file), None).unwrap();
        assert_eq!((export.name(), export.unknown.len()), ("other", 0));
    }

    #[test]
    fn what_cannot_be_worked_out_names_its_place() {
        let broken = json!({ "resources": [{ "type": KIND, "name": "[concat('a'" }] });
        assert_eq!(read(&broken, None).unwrap().name(), "[concat('a'");
        let broken = json!({ "resources": [{ "type": KIND, "name": "[concat('a']" }] });
        let error = read(&broken, None).unwrap_err();
        assert!(error.starts_with("$.resources[0].name: "), "{error}");
        let endless = json!({ "resources": [{ "type": KIND, "copy": [{ "name": "x", "count": 1_000_000, "input": 1 }] }] });
        let error = read(&endless, None).unwrap_err();
        assert!(error.contains("at most 1000"), "{error}");
    }
}
