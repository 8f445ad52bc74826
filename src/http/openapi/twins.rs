//! Every object of the wire format has a twin in camelCase: the contract takes both spellings.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::contract::Spelling;

/// What a twin's name ends with.
const CAMEL: &str = "InCamelCase";

const REFERENCE: &str = "#/components/schemas/";

/// Adds the twins of those schemas that look different in camelCase.
pub(super) fn add(schemas: &mut Map<String, Value>) {
    let different = different(schemas);
    let twins: Vec<(String, Value)> = schemas
        .iter()
        .filter(|(name, _)| different.contains(*name))
        .map(|(name, schema)| (format!("{name}{CAMEL}"), twin(schema, &different)))
        .collect();
    schemas.extend(twins);
}

/// Either spelling of a schema.
pub(super) fn either(name: &str) -> Value {
    json!({ "anyOf": [{ "$ref": format!("{REFERENCE}{name}") }, { "$ref": format!("{REFERENCE}{name}{CAMEL}") }] })
}

/// The schemas with a field that is spelled in two ways, themselves or further in.
fn different(schemas: &Map<String, Value>) -> BTreeSet<String> {
    let mut different = BTreeSet::new();
    loop {
        let before = different.len();
        for (name, schema) in schemas {
            if twin(schema, &different) != *schema {
                different.insert(name.clone());
            }
        }
        if different.len() == before {
            return different;
        }
    }
}

/// A schema with its fields, and its references, in camelCase.
fn twin(schema: &Value, different: &BTreeSet<String>) -> Value {
    let spell = |name: &str| Spelling::Camel.of(name);
    match schema {
        Value::Object(parts) => Value::Object(
            parts
                .iter()
                .map(|(part, inner)| {
                    (
                        part.clone(),
                        match (part.as_str(), inner) {
                            ("properties", Value::Object(fields)) => Value::Object(
                                fields.iter().map(|(name, field)| (spell(name), twin(field, different))).collect(),
                            ),
                            ("required", Value::Array(names)) => names
                                .iter()
                                .map(|name| name.as_str().map_or(Value::Null, |name| json!(spell(name))))
                                .collect(),
                            ("$ref", Value::String(reference)) => {
                                let is_different =
                                    reference.strip_prefix(REFERENCE).is_some_and(|name| different.contains(name));
                                json!(if is_different { format!("{reference}{CAMEL}") } else { reference.clone() })
                            }
                            ("example" | "examples" | "enum" | "description", same) => same.clone(),
                            _ => twin(inner, different),
                        },
                    )
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(|item| twin(item, different)).collect(),
        other => other.clone(),
    }
}
