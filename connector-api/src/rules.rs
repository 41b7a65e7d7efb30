//! Rules between fields, written once and kept in the schema, so that the form shows them, the host checks them, and an
//! agent reads them.
//!
//! ```
//! use connector_api::{rules::{Rules, when}, schemars::{JsonSchema, Schema}};
//!
//! #[derive(JsonSchema)]
//! #[schemars(transform = rules)]
//! struct Input {
//!     /// What kind of thing
//!     kind: Option<u8>,
//!     /// Only for kind 8
//!     detail: Option<String>,
//!     /// One of these two
//!     until: Option<String>,
//!     /// One of these two
//!     times: Option<u8>,
//! }
//!
//! fn rules(schema: &mut Schema) {
//!     schema.rule(when("kind").is(8).require(["detail"]).otherwise_forbid(["detail"]));
//!     schema.at_most_one_of(["until", "times"], "give `until` or `times`, not both");
//! }
//! ```

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Begins a rule about the field of this name.
#[must_use]
pub fn when(field: &str) -> When {
    When { field: field.to_owned() }
}

/// A field that a rule is about.
pub struct When {
    field: String,
}

impl When {
    /// The rule holds when the field has this value.
    pub fn is(self, value: impl Into<Value>) -> Rule {
        let test = json!({"const": value.into()});
        self.test(&test)
    }

    /// The rule holds when the field has one of these values.
    pub fn is_one_of<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Rule {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.test(&json!({"enum": values}))
    }

    /// The rule holds when the field is given, whatever its value.
    #[must_use]
    pub fn is_given(self) -> Rule {
        Rule { test: json!({"required": [self.field]}), then: Map::new(), otherwise: Map::new() }
    }

    fn test(self, test: &Value) -> Rule {
        let field = self.field;
        Rule {
            test: json!({"properties": {field.as_str(): test}, "required": [field]}),
            then: Map::new(),
            otherwise: Map::new(),
        }
    }
}

/// What must hold of other fields.
pub struct Rule {
    test: Value,
    then: Map<String, Value>,
    otherwise: Map<String, Value>,
}

impl Rule {
    /// These fields must be given then.
    #[must_use]
    pub fn require<const N: usize>(mut self, fields: [&str; N]) -> Self {
        require(&mut self.then, &fields);
        self
    }

    /// These fields must not be given then.
    #[must_use]
    pub fn forbid<const N: usize>(mut self, fields: [&str; N]) -> Self {
        forbid(&mut self.then, &fields);
        self
    }

    /// This field must then also fit this schema.
    #[must_use]
    pub fn constrain(mut self, field: &str, schema: Value) -> Self {
        constrain(&mut self.then, field, schema);
        self
    }

    /// These fields must be given in every other case.
    #[must_use]
    pub fn otherwise_require<const N: usize>(mut self, fields: [&str; N]) -> Self {
        require(&mut self.otherwise, &fields);
        self
    }

    /// These fields must not be given in any other case.
    #[must_use]
    pub fn otherwise_forbid<const N: usize>(mut self, fields: [&str; N]) -> Self {
        forbid(&mut self.otherwise, &fields);
        self
    }
}

fn require(branch: &mut Map<String, Value>, fields: &[&str]) {
    branch.insert("required".to_owned(), json!(fields));
}

fn forbid(branch: &mut Map<String, Value>, fields: &[&str]) {
    fields.iter().for_each(|field| constrain(branch, field, Value::Bool(false)));
}

fn constrain(branch: &mut Map<String, Value>, field: &str, schema: Value) {
    let properties = branch.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert(field.to_owned(), schema);
    }
}

/// Adds rules to a schema.
pub trait Rules {
    /// Adds a rule.
    fn rule(&mut self, rule: Rule);

    /// Of these two fields at most one may be given; `message` stands behind the object's name if both are.
    fn at_most_one_of(&mut self, fields: [&str; 2], message: &str);
}

impl Rules for Schema {
    fn rule(&mut self, rule: Rule) {
        let mut condition = json!({"if": rule.test});
        for (word, branch) in [("then", rule.then), ("else", rule.otherwise)] {
            if !branch.is_empty() {
                condition[word] = Value::Object(branch);
            }
        }
        push_all_of(self, condition);
    }

    fn at_most_one_of(&mut self, fields: [&str; 2], message: &str) {
        push_all_of(self, json!({"not": {"required": fields}, "x-ui": {"errors": {"not": message}}}));
    }
}

fn push_all_of(schema: &mut Schema, condition: Value) {
    let all_of = schema.ensure_object().entry("allOf").or_insert_with(|| json!([]));
    if let Some(list) = all_of.as_array_mut() {
        list.push(condition);
    }
}
