//! The keywords of ours that a schema of a manifest may hold beside those of JSON Schema.
//!
//! They are few. `x-ui` is about how a field is drawn and nothing else; the others the host obeys wherever the field turns
//! up. Each is an annotation: whoever ignores them accepts the same data. A host passes over members it does not know,
//! since they may be of a later version; an author's tests and `jackfield connector verify` refuse them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::did_you_mean;

/// The name of the vocabulary that these keywords make up.
pub const VOCABULARY: &str = "urn:jackfield:form-keywords:1";

/// The keywords that a schema may hold beside those of JSON Schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Jackfield form keywords")]
pub struct Keywords {
    /// How the field is drawn.
    #[serde(rename = "x-ui", default, skip_serializing_if = "Option::is_none")]
    pub ui: Option<Ui>,
    /// Whether the value is a secret: it is typed blind, never shown again, and masked in logs, errors and records.
    #[serde(rename = "x-secret", default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<bool>,
    /// The lookup of the manifest that fills the field's picker.
    #[serde(rename = "x-options", default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
    /// The lookup of the manifest that says what the field holds, where that depends on the account.
    #[serde(rename = "x-dynamic-schema", default, skip_serializing_if = "Option::is_none")]
    pub dynamic_schema: Option<DynamicSchema>,
    /// Whether the value may be an expression of a workflow.
    #[serde(rename = "x-expr", default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<Expr>,
    /// The field beside this one that says in which time zone its time is meant.
    #[serde(rename = "x-timezone-field", default, skip_serializing_if = "Option::is_none")]
    pub timezone_field: Option<String>,
}

/// How a field is drawn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ui {
    /// What it is drawn as, where its type does not say so already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widget: Option<Widget>,
    /// Where it stands: fields that have a number come first, by it; the others follow as they are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
    /// The heading under which it is folded away together with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What stands in an empty field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Who gets to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// How many lines a field for long text shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u8>,
    /// What a number counts, in the plural: `minutes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The order of the choices, by their values; those left out follow as they are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enum_order: Option<Vec<Value>>,
    /// What to say instead of our own words, by the keyword of JSON Schema that is not met. It stands behind the field's
    /// name: `must be capitals`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}

/// What a field is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Widget {
    /// Text of several lines.
    Textarea,
    /// A day.
    Date,
    /// A day and a time; `x-timezone-field` says whose clock counts.
    DateTime,
    /// The name of a time zone.
    TimeZone,
    /// Choices that are all seen at once.
    Radio,
    /// Choices that fold out.
    Select,
}

/// Who gets to see a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody, first of all; in a list, it is a column.
    Important,
    /// Those who ask for more.
    Advanced,
    /// Nobody: it is for programs.
    Internal,
}

/// The lookup that fills a field's picker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Options {
    /// The lookup's name in the manifest.
    pub lookup: String,
    /// What the lookup is given: a value, or `{"field": "name"}` for what another field holds.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// The member of an item that becomes the field's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The member of an item that people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The parameter of the lookup that takes what somebody types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// The fields at whose change the list is asked for anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// How long the list may be kept, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_seconds: Option<u32>,
}

/// The lookup that says what a field holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DynamicSchema {
    /// The lookup's name in the manifest.
    pub lookup: String,
    /// What the lookup is given: a value, or `{"field": "name"}` for what another field holds.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// The fields at whose change it is asked for anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

/// Whether a value may be an expression of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expr {
    /// It may, as any value may: this is the default.
    Allow,
    /// It is always taken as it is written.
    Deny,
    /// It must be one.
    Only,
}

/// What JSON Schema calls the checks a message of `x-ui.errors` can be written for.
const CHECKS: &[&str] = &[
    "additionalProperties",
    "anyOf",
    "const",
    "contains",
    "dependentRequired",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "propertyNames",
    "required",
    "type",
    "unevaluatedProperties",
    "uniqueItems",
];

impl Keywords {
    /// What is wrong with the keywords of ours in one schema, each to stand behind the schema's place: a keyword or a
    /// member that there is not, a value of the wrong kind. Empty if nothing is.
    #[must_use]
    pub fn lint(schema: &Map<String, Value>) -> Vec<String> {
        let mut found = Vec::new();
        for (keyword, value) in schema.iter().filter(|(keyword, _)| keyword.starts_with("x-")) {
            match keyword.as_str() {
                "x-ui" => match read::<Ui>(value) {
                    Ok(ui) => {
                        found.extend(ui.errors.keys().filter(|check| !CHECKS.contains(&check.as_str())).map(
                            |check| match did_you_mean(check, CHECKS.iter().copied()) {
                                Some(meant) => {
                                    format!("x-ui.errors: `{check}` is no check; did you mean `{meant}`?")
                                }
                                None => format!("x-ui.errors: `{check}` is no check of JSON Schema"),
                            },
                        ))
                    }
                    Err(problem) => found.push(format!("x-ui: {problem}")),
                },
                "x-secret" => found.extend(problem::<bool>(keyword, value)),
                "x-options" => found.extend(problem::<Options>(keyword, value)),
                "x-dynamic-schema" => found.extend(problem::<DynamicSchema>(keyword, value)),
                "x-expr" => found.extend(problem::<Expr>(keyword, value)),
                "x-timezone-field" => found.extend(problem::<String>(keyword, value)),
                other => found.push(unknown(other, NAMES)),
            }
        }
        found
    }
}

const NAMES: &[&str] = &["x-ui", "x-secret", "x-options", "x-dynamic-schema", "x-expr", "x-timezone-field"];

fn unknown(name: &str, known: &[&str]) -> String {
    match did_you_mean(name, known.iter().copied()) {
        Some(meant) => format!("`{name}` is not a keyword; did you mean `{meant}`?"),
        None => format!("`{name}` is not a keyword; there are {}", known.join(", ")),
    }
}

fn problem<T: DeserializeOwned>(keyword: &str, value: &Value) -> Option<String> {
    read::<T>(value).err().map(|problem| format!("{keyword}: {problem}"))
}

/// Reads a keyword's value; what is wrong with it is told with what may have been meant.
fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| explain(&error.to_string()))
}

/// The words of the decoder, which names what it did not know and what it does, with a suggestion.
fn explain(words: &str) -> String {
    let quoted: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    let (true, Some((given, known))) = (words.starts_with("unknown "), quoted.split_first()) else {
        return words.to_owned();
    };
    match did_you_mean(given, known.iter().copied()) {
        Some(meant) => format!("`{given}` is not known; did you mean `{meant}`?"),
        None => format!("`{given}` is not known; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_typo_in_a_keyword_is_found() {
        let lint = |schema: Value| Keywords::lint(schema.as_object().unwrap());
        assert_eq!(
            lint(json!({
                "type": "string",
                "x-ui": {"widget": "textarea", "order": 1, "group": "More", "placeholder": "…", "visibility": "advanced", "rows": 5,
                    "unit": "minutes", "enumOrder": [2, 1], "errors": {"pattern": "must be capitals"}},
                "x-secret": true,
                "x-options": {"lookup": "meetings", "params": {"user": {"field": "user_id"}}, "value": "id", "label": "topic",
                    "search": "q", "dependsOn": ["user_id"], "cacheSeconds": 60},
                "x-dynamic-schema": {"lookup": "questions"},
                "x-expr": "deny",
                "x-timezone-field": "timezone",
            })),
            Vec::<String>::new()
        );
        for (schema, expected) in [
            (json!({"x-iu": {}}), "`x-iu` is not a keyword; did you mean `x-ui`?"),
            (json!({"x-ui": {"wigdet": "date"}}), "x-ui: `wigdet` is not known; did you mean `widget`?"),
            (
                json!({"x-ui": {"widget": "datetime"}}),
                "x-ui: `datetime` is not known; did you mean `date-time`?",
            ),
            (
                json!({"x-ui": {"visibility": "hidden"}}),
                "x-ui: `hidden` is not known; there are important, advanced, internal",
            ),
            (
                json!({"x-ui": {"errors": {"patern": "x"}}}),
                "x-ui.errors: `patern` is no check; did you mean `pattern`?",
            ),
            (json!({"x-ui": {"rows": "5"}}), "x-ui: invalid type: string \"5\", expected u8"),
            (json!({"x-secret": "yes"}), "x-secret: invalid type: string \"yes\", expected a boolean"),
            (json!({"x-options": {}}), "x-options: missing field `lookup`"),
            (
                json!({"x-options": {"lookup": "a", "dependOn": []}}),
                "x-options: `dependOn` is not known; did you mean `dependsOn`?",
            ),
            (json!({"x-expr": "never"}), "x-expr: `never` is not known; there are allow, deny, only"),
        ] {
            assert_eq!(lint(schema.clone()), [expected], "{schema}");
        }
    }
}
