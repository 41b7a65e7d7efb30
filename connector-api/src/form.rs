//! How an input's form looks, where the types do not say it.
//!
//! Most of a form follows from the types: doc comments are its help, `Option` what may be left out, `choices!` a list to
//! choose from. The rest is said by `#[schemars(extend("x-ui" = …))]` at a field, with the keywords of
//! [`keywords`](crate::protocol::keywords), or for many fields at once by what is here.

use schemars::Schema;
use serde_json::{Value, json};

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
                let ui = field.entry("x-ui").or_insert_with(|| json!({}));
                if let Value::Object(ui) = ui {
                    ui.entry("group").or_insert_with(|| json!(heading));
                }
            }
        }
    }
}
