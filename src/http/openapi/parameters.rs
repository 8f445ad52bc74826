//! The parameters of the list of operations, for its description: [`OperationsQuery`](crate::OperationsQuery) reads them.

use serde_json::json;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use crate::contract::{KEY_MAX, Spelling};

/// Which page is asked for.
pub(in super::super) struct PageParameters;

impl IntoParams for PageParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameters = [
            ("limit", "At most so many; else 50.", limit()),
            ("before", "Those before this operation: the last one of the page before.", id(Some(KEY_MAX))),
            ("created_after", "Those at this time or later.", instant()),
            ("run_id", "Those that spawned this run, or re-ran it.", id(None)),
        ];
        let in_either_spelling = |(name, description, schema): (&str, &str, Schema)| {
            let camel = Some(Spelling::Camel.of(name)).filter(|camel| camel != name);
            let other = camel.map(|camel| {
                optional(&camel, format!("As `{name}`: the answer is in camelCase then."), schema.clone())
            });
            [Some(optional(name, description.to_owned(), schema)), other].into_iter().flatten()
        };
        parameters.into_iter().flat_map(in_either_spelling).collect()
    }
}

fn optional(name: &str, description: String, schema: Schema) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn limit() -> Schema {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(1000)).into()
}

/// Not blank, and without NUL. A runner's own ids may be of any length.
fn id(longest: Option<usize>) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(longest)
        .pattern(Some(r"^[^\x00]*[^\s\x00][^\x00]*$"))
        .examples([json!("01M860BN9H2Q6S8V0X4Z7B1D3F")])
        .into()
}

/// An RFC 3339 timestamp; an empty text is no condition.
fn instant() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    AnyOfBuilder::new()
        .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
        .item(text().max_length(Some(0)))
        .examples([json!("2026-04-15T00:00:00Z")])
        .into()
}
