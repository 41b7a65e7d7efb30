//! How an input's form looks, where the types do not say it.
//!
//! Most of a form follows from the types: doc comments are its help, `Option` what may be left out, `choices!` a list to
//! choose from. What is wanted often is said by a transform from here, such as `#[schemars(transform = advanced)]`; the rest
//! by `#[schemars(extend("x-ui" = …))]` at a field, with the keywords of [`keywords`](crate::protocol::keywords).

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Folds the fields of a struct away together, under this heading. The struct is meant to be flattened into another one.
///
/// ```
/// use connector_api::{form::group, prelude::*};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Input {
///     /// What it is called
///     name: String,
///     #[serde(flatten)]
///     address: Address,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// #[schemars(transform = group("Address"))]
/// struct Address {
///     /// Street and number
///     street: Option<String>,
///     /// The city
///     city: Option<String>,
/// }
/// ```
pub fn group(heading: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (_, field) in fields.into_iter().flatten() {
            if let Value::Object(field) = field {
                ui(field, "group", heading);
            }
        }
    }
}

/// Marks a field as what matters most: of an output, tables show such fields alone, and lists have them as columns; of an
/// input, it is asked for even where it may be left out.
///
/// ```
/// use connector_api::{form::important, prelude::*};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Output {
///     /// What it is called
///     #[schemars(transform = important)]
///     name: String,
///     /// Who made it, among much else
///     creator: Option<String>,
/// }
/// ```
pub fn important(field: &mut Schema) {
    if let Some(field) = field.as_object_mut() {
        ui(field, "visibility", "important");
    }
}

/// Folds a field away: few need it.
///
/// ```
/// use connector_api::{form::advanced, prelude::*};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Input {
///     /// What it is called
///     name: String,
///     /// The template to begin with
///     #[schemars(transform = advanced)]
///     template: Option<String>,
/// }
/// ```
pub fn advanced(field: &mut Schema) {
    if let Some(field) = field.as_object_mut() {
        ui(field, "visibility", "advanced");
    }
}

/// Says one thing about how a field looks, unless its author has.
fn ui(field: &mut Map<String, Value>, keyword: &str, value: &str) {
    if let Value::Object(ui) = field.entry("x-ui").or_insert_with(|| json!({})) {
        ui.entry(keyword).or_insert_with(|| json!(value));
    }
}
