//! The schema of a configuration of which no compiler knows: the project's `config.schema.json`
//! becomes the section of the component that the SDK leaves for plugins in Rust.

use std::{fs, path::Path};

use super::{BuildError, failed};
use crate::{config::ConfigSchema, plugin};

/// Beside the project's source.
const FILE: &str = "config.schema.json";

/// Returns the component with the schema of the project in `dir`, if there is one and the
/// component has none.
pub(super) fn put(dir: &Path, component: Vec<u8>) -> Result<Vec<u8>, BuildError> {
    let path = dir.join(FILE);
    let own = plugin::config_schema(&component).map_err(BuildError::Made)?;
    if own.is_some() || !path.is_file() {
        return Ok(component);
    }
    let text = fs::read(&path).map_err(failed("read", &path))?;
    ConfigSchema::parse(&text).map_err(|source| BuildError::Schema { path, source })?;
    Ok([component, plugin::schema_section(&text)].concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn project(schema: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        if let Some(schema) = schema {
            fs::write(dir.path().join(FILE), schema).unwrap();
        }
        dir
    }

    #[test]
    fn a_project_s_schema_comes_with_its_component() {
        let long = format!(
            "{{\"type\": \"object\", \"description\": \"{}\"}}",
            "x".repeat(20_000)
        );
        let dir = project(Some(&long));
        let described = put(dir.path(), COMPONENT.to_vec()).unwrap();
        let schema = plugin::config_schema(&described).unwrap().unwrap();
        assert_eq!(schema.json()["type"], "object");
        // It is there already.
        assert_eq!(put(dir.path(), described.clone()).unwrap(), described);
    }

    #[test]
    fn a_project_without_one_stays_as_it_is() {
        let dir = project(None);
        assert_eq!(put(dir.path(), COMPONENT.to_vec()).unwrap(), COMPONENT);
    }

    #[test]
    fn a_component_with_a_broken_schema_is_refused() {
        let dir = project(Some("{}"));
        let broken = [COMPONENT, &plugin::schema_section(b"[]")].concat();
        let error = put(dir.path(), broken).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("has no usable schema"), "{source}");
    }

    #[test]
    fn what_is_no_schema_is_named() {
        let dir = project(Some("[]"));
        let error = put(dir.path(), COMPONENT.to_vec()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("config.schema.json is no schema"),
            "{error}"
        );
    }
}
