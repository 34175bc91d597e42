//! The host's side of the WIT interface `access-log`: fields that plugins add to the line of a
//! request.

use std::sync::Arc;

use wasmtime::Result;

use super::{bindings::witgate::plugin::access_log::Host, state::State};

/// Fields of one request, of all plugins; what `access-log.wit` promises.
const MAX_FIELDS: usize = 16;
/// Longest name and value, bytes.
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 1 << 10;

/// A field that a plugin has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessField {
    /// Which plugin.
    pub plugin: Arc<str>,
    /// The field's name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Host for State {
    fn set(&mut self, name: String, mut value: String) -> Result<()> {
        value.truncate(value.floor_char_boundary(MAX_VALUE));
        let plugin = Arc::clone(&self.plugin);
        let request = self.request.as_mut();
        let request =
            request.ok_or_else(|| wasmtime::Error::msg("there is no request in this call"))?;
        let fields = &mut request.access_fields;
        let has_room = fields.len() < MAX_FIELDS && is_name(&name);
        let mut known = fields.iter_mut();
        if let Some(field) = known.find(|field| field.plugin == plugin && field.name == name) {
            field.value = value;
        } else if has_room {
            fields.push(AccessField {
                plugin,
                name,
                value,
            });
        } else {
            let shown: String = name.chars().take(MAX_NAME).collect();
            tracing::debug!(target: "witgate::plugin", %plugin, "access-log field {shown:?} is left out: not a name, or one too many");
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits)
}
