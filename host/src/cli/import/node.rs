//! One value of an export and where it stands in it.
//!
//! Azure's tools write the same gateway with and without `properties` around the values, and
//! templates with keys in any case; all of it is read alike. What is read is remembered, so that
//! in the end all that was not can be told.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;

/// What is known about the whole export while it is read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Paths that were asked for.
    seen: RefCell<BTreeSet<String>>,
    /// Paths of items that others refer to.
    used: RefCell<BTreeSet<String>>,
    /// As in [`Export`](super::export::Export).
    unknown: BTreeMap<String, String>,
    /// Those of the above that were asked for.
    missed: RefCell<BTreeMap<String, String>>,
}

/// A value, never null, with its path: `$.properties.probes[0].properties.path`.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    reader: &'a Reader,
    value: &'a Value,
    pub(super) path: String,
}

/// Keys that carry nothing to be translated: what Azure tells about a resource, and what follows
/// from the rest.
const OF_NO_MATTER: [&str; 24] = [
    "apiVersion",
    "backendIPConfigurations",
    "clientCertIssuerDN",
    "comments",
    "condition",
    "dependsOn",
    "etag",
    "gatewayIPConfigurations",
    "id",
    "location",
    "metadata",
    "name",
    "operationalState",
    "privateIPAllocationMethod",
    "provisioningState",
    "publicCertData",
    "resourceGroup",
    "resourceGuid",
    "ruleType",
    "tags",
    "type",
    "systemData",
    "validatedCertData",
    "$fxv#0",
];

impl Reader {
    pub(super) fn new(unknown: BTreeMap<String, String>) -> Self {
        Self {
            unknown,
            ..Self::default()
        }
    }

    pub(super) fn node<'a>(&'a self, value: &'a Value, path: &str) -> Node<'a> {
        self.seen.borrow_mut().insert(path.to_owned());
        Node {
            reader: self,
            value,
            path: path.to_owned(),
        }
    }

    /// Values that were asked for and that only Azure or a parameter could tell: path, what is
    /// needed.
    pub(super) fn missed(&self) -> BTreeMap<String, String> {
        self.missed.borrow().clone()
    }
}

impl<'a> Node<'a> {
    /// The value of a key, in the object itself or in its `properties`; none when it is absent or
    /// null.
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        let own = self.member(key);
        own.or_else(|| self.member("properties")?.member(key))
    }

    fn member(&self, key: &str) -> Option<Node<'a>> {
        let map = self.value.as_object()?;
        let exact = map.get_key_value(key);
        let same = || map.iter().find(|(one, _)| one.eq_ignore_ascii_case(key));
        let (key, value) = exact.or_else(same).filter(|(_, value)| !value.is_null())?;
        Some(self.child(format!("{}.{key}", self.path), value))
    }

    fn child(&self, path: String, value: &'a Value) -> Node<'a> {
        self.reader.seen.borrow_mut().insert(path.clone());
        Node {
            reader: self.reader,
            value,
            path,
        }
    }

    /// The items of the list under a key; empty when there is none.
    pub(super) fn items(&self, key: &str) -> Vec<Node<'a>> {
        let Some(list) = self.get(key) else {
            return Vec::new();
        };
        let items = list.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |(i, item)| list.child(format!("{}[{i}]", list.path), item);
        items.iter().enumerate().map(of).collect()
    }

    /// The text under a key; of a number its digits. None when it is empty, or when it cannot be
    /// worked out here.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.as_text()
    }

    /// The value itself as text, as [`text`](Self::text).
    pub(super) fn as_text(&self) -> Option<String> {
        if let Some(needed) = self.reader.unknown.get(&self.path) {
            let mut missed = self.reader.missed.borrow_mut();
            missed.insert(self.path.clone(), needed.clone());
            return None;
        }
        match self.value {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The texts of the list under a key.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.items(key).iter().filter_map(Node::as_text).collect()
    }

    /// The whole number under a key, also one in a string.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.trim().parse().ok()
    }

    /// Whether the value under a key is true, also `"true"` and `"Enabled"`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let found = self.get(key)?;
        match found.value {
            Value::Bool(flag) => Some(*flag),
            _ => {
                let text = found.as_text()?;
                Some(
                    ["true", "enabled"]
                        .iter()
                        .any(|yes| text.eq_ignore_ascii_case(yes)),
                )
            }
        }
    }

    /// The node's own name: `name`, or the last part of its `id`.
    pub(super) fn name(&self) -> String {
        let id = || self.text("id").map(|id| last_part(&id).to_owned());
        self.text("name").or_else(id).unwrap_or_default()
    }

    /// The name that a reference such as `{ "id": "…/probes/p" }` points to. Only its last part
    /// counts, so that an unknown name of a gateway or a subscription does not matter.
    pub(super) fn reference(&self, key: &str) -> Option<String> {
        self.get(key)?.as_reference()
    }

    /// As [`reference`](Self::reference), of the node itself.
    pub(super) fn as_reference(&self) -> Option<String> {
        let id = self.member("id")?;
        Some(last_part(id.value.as_str()?).to_owned()).filter(|name| !name.is_empty())
    }

    /// Takes all within as read.
    pub(super) fn skip(&self) {
        self.all(&mut |node| {
            node.reader.seen.borrow_mut().insert(node.path.clone());
        });
    }

    fn all(&self, each: &mut impl FnMut(&Node<'a>)) {
        each(self);
        for child in self.children() {
            child.all(each);
        }
    }

    fn children(&self) -> Vec<Node<'a>> {
        let unseen = |path: String, value| Node {
            reader: self.reader,
            value,
            path,
        };
        match self.value {
            Value::Object(map) => {
                let of = |(key, value)| unseen(format!("{}.{key}", self.path), value);
                map.iter().map(of).collect()
            }
            Value::Array(items) => {
                let of = |(i, value)| unseen(format!("{}[{i}]", self.path), value);
                items.iter().enumerate().map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Remembers that something refers to it.
    pub(super) fn is_referred_to(&self) {
        self.reader.used.borrow_mut().insert(self.path.clone());
    }

    /// Whether something refers to it.
    pub(super) fn is_used(&self) -> bool {
        self.reader.used.borrow().contains(&self.path)
    }

    /// As [`unread`](Self::unread), of what it holds.
    pub(super) fn unread_within(&self) -> Vec<Node<'a>> {
        let mut found = Vec::new();
        match self.children() {
            children if children.is_empty() && !self.says_nothing() => found.push(self.clone()),
            children => children
                .iter()
                .for_each(|child| child.find_unread(&mut found)),
        }
        found
    }

    /// What within was never asked for and says something: no null, no `false`, nothing empty, no
    /// list of references back.
    pub(super) fn unread(&self) -> Vec<Node<'a>> {
        let mut found = Vec::new();
        self.find_unread(&mut found);
        found
    }

    fn find_unread(&self, found: &mut Vec<Node<'a>>) {
        let key = self.path.rsplit('.').next().unwrap_or_default();
        if OF_NO_MATTER.contains(&key) || self.says_nothing() {
            return;
        }
        let is_seen = self.reader.seen.borrow().contains(&self.path);
        if is_seen || key == "properties" {
            self.children()
                .iter()
                .for_each(|child| child.find_unread(found));
        } else {
            found.push(self.clone());
        }
    }

    fn says_nothing(&self) -> bool {
        match self.value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.iter().all(|item| {
                let keys = item.as_object().map(|map| map.keys().collect::<Vec<_>>());
                let is_back = |keys: &Vec<&String>| {
                    keys.iter()
                        .all(|key| *key == "id" || *key == "resourceGroup")
                };
                keys.as_ref().is_some_and(is_back)
            }),
            Value::Object(map) => map.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        }
    }
}

fn last_part(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_found_with_and_without_properties() {
        let value = json!({
            "name": "l", "Port": "443", "properties": { "hosts": ["a", "b"], "on": "Enabled",
            "probe": { "id": "/x/probes/p" } },
        });
        let reader = Reader::default();
        let node = reader.node(&value, "$");
        assert_eq!(
            (node.name().as_str(), node.number("port")),
            ("l", Some(443))
        );
        assert_eq!(node.texts("hosts"), ["a", "b"]);
        assert_eq!(node.get("hosts").unwrap().path, "$.properties.hosts");
        assert_eq!(node.flag("on"), Some(true));
        assert_eq!(node.reference("probe").as_deref(), Some("p"));
        assert!(node.get("none").is_none());
    }

    #[test]
    fn what_was_not_read_and_says_something_is_told() {
        let value = json!({
            "etag": "x", "a": 1, "b": { "c": "text", "d": null, "e": false, "f": true },
            "back": [{ "id": "/x" }], "g": [1],
        });
        let reader = Reader::default();
        let node = reader.node(&value, "$");
        node.get("a").unwrap();
        node.get("b").unwrap().get("c").unwrap();
        let unread: Vec<_> = node.unread().into_iter().map(|node| node.path).collect();
        assert_eq!(unread, ["$.b.f", "$.g"]);
        node.get("g").unwrap().skip();
        assert_eq!(node.unread().len(), 1);
    }

    #[test]
    fn a_value_that_is_not_known_is_told_when_it_is_asked_for() {
        let value = json!({ "a": "<reference>", "b": "<x>" });
        let unknown = BTreeMap::from([("$.a".to_owned(), "reference()".to_owned())]);
        let reader = Reader::new(unknown);
        let node = reader.node(&value, "$");
        assert_eq!(node.text("b").as_deref(), Some("<x>"));
        assert!(reader.missed().is_empty());
        assert_eq!(node.text("a"), None);
        assert_eq!(reader.missed()["$.a"], "reference()");
    }
}
