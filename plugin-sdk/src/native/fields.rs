//! Header fields in order, with the lookups that requests and responses share.

use crate::Field;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    pub(super) fn append(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push(Field {
            name: name.to_ascii_lowercase(),
            value: value.into(),
        });
    }

    /// Replaces all of this name by one, where the first of them was.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let at = self
            .0
            .iter()
            .position(|field| field.name.eq_ignore_ascii_case(name));
        self.remove(name);
        let field = Field {
            name: name.to_ascii_lowercase(),
            value: value.into(),
        };
        self.0.insert(at.unwrap_or(self.0.len()), field);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0
            .retain(|field| !field.name.eq_ignore_ascii_case(name));
    }

    pub(super) fn first(&self, name: &str) -> Option<Vec<u8>> {
        self.named(name).next().cloned()
    }

    pub(super) fn values(&self, name: &str) -> Vec<Vec<u8>> {
        self.named(name).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Field> {
        self.0.clone()
    }

    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        self.named("cookie")
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| unquoted(value).to_owned())
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Vec<u8>> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| &field.value)
    }
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}
