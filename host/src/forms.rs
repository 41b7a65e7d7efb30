//! Forms made from schemas.
//!
//! A schema becomes a [`Form`]: a typed model that says what to ask, of which kind, with which help, and under which
//! conditions. Whatever shows a form - a terminal, a page, an app that reads JSON - is a face of this model and knows
//! nothing else.

mod build;
mod text;

use serde::Serialize;
use serde_json::Value;

pub use self::{build::build, text::text};

/// A form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Form {
    /// What it is for, in a few words.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The fields, in their order.
    pub fields: Vec<Field>,
    /// What holds between fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// Its name in the object that it belongs to.
    pub name: String,
    /// What it is called.
    pub label: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Whether it must be filled, whatever the rest says.
    pub required: bool,
    /// Whether it is masked and never shown again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Whether it should no longer be used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Whether it is shown only to those who ask for more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub advanced: bool,
    /// The group it is shown in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What counts if it is left empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it might be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Value>,
    /// What its number counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether it can be emptied explicitly, by `null`, as something else than being left alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clearable: bool,
    /// What is asked.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a field asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Text.
    Text {
        /// Whether it may have several lines.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        multiline: bool,
        /// What it looks like: `email`, `uri` and the like.
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<String>,
        /// How many characters it has at least.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_length: Option<u64>,
        /// How many characters it has at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_length: Option<u64>,
        /// The regular expression that it matches.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// A number.
    Number {
        /// Whether it is a whole one.
        integer: bool,
        /// The least.
        #[serde(skip_serializing_if = "Option::is_none")]
        minimum: Option<Value>,
        /// The most.
        #[serde(skip_serializing_if = "Option::is_none")]
        maximum: Option<Value>,
    },
    /// Yes or no.
    Toggle,
    /// One of several.
    Choice {
        /// What there is to choose from.
        choices: Vec<Choice>,
    },
    /// A day.
    Date,
    /// A date and time.
    DateTime {
        /// The field beside it that says in which time zone, if one does.
        #[serde(skip_serializing_if = "Option::is_none")]
        timezone_field: Option<String>,
    },
    /// A time zone.
    TimeZone,
    /// A list of things of one kind.
    List {
        /// What an item is.
        item: Box<Field>,
        /// How many items at least.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_items: Option<u64>,
        /// How many items at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_items: Option<u64>,
    },
    /// Several fields together.
    Object {
        /// The fields.
        fields: Vec<Field>,
        /// What holds between them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        rules: Vec<Rule>,
    },
    /// Anything, as JSON.
    Json,
}

/// One of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// The value.
    pub value: Value,
    /// What it is called.
    pub title: String,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What a field takes under a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Constraint {
    /// The field.
    pub field: String,
    /// The values it may have; empty: any within the bounds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// The least number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Value>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Value>,
    /// What else holds, in the author's words; of several, those that apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

/// What holds between fields of one object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rule {
    /// When a field is so, others must be given or must not, or take less than they otherwise do.
    When {
        /// The field.
        field: String,
        /// What it is; empty: anything, as long as it is given.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        is: Vec<Value>,
        /// The fields that must be given then.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        require: Vec<String>,
        /// The fields that must not be given then.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        forbid: Vec<String>,
        /// The fields that must be so then, if they are given: each with what it takes.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        constrain: Vec<Constraint>,
        /// The fields that must be given otherwise.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        otherwise_require: Vec<String>,
        /// The fields that must not be given otherwise.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        otherwise_forbid: Vec<String>,
    },
    /// Not all of these may be given.
    NotTogether {
        /// The fields.
        fields: Vec<String>,
        /// What to say then.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}
