//! The form model: what there is to ask, so that nobody who draws it has to read a schema.
//!
//! It is JSON for whoever draws forms outside Jackfield (`jackfield action form … -o json`), and its own JSON Schema is
//! `manifests/form.schema.json`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Condition;

/// The version of the model. It grows by members; a renderer passes over those that it does not know.
pub const VERSION: u32 = 1;

/// A form.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "Jackfield form")]
pub struct Form {
    /// The version of the model: 1.
    pub form_version: u32,
    /// What it is called.
    pub title: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it asks for.
    #[serde(flatten)]
    pub object: Object,
}

/// What becomes an object: fields, and what holds between them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Object {
    /// The fields, in the order in which they are to be shown.
    pub fields: Vec<Field>,
    /// What holds between the fields, beyond what each field says of itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Forms of which one is chosen; its fields belong to the same object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<Variants>,
    /// Members whose names are chosen by whoever fills it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<Box<More>>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Field {
    /// Its name in the object that it belongs to; empty for an item of a list.
    pub name: String,
    /// What people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// What stands in it while it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Whether it must be filled, whatever the rest says.
    pub required: bool,
    /// When it must be filled, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_when: Option<Condition>,
    /// When it is there at all; always, without this. A field that is not there is not part of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_when: Option<Condition>,
    /// What it takes under conditions, narrower than what it takes otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Whether it is typed blind and never shown again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Whether it should no longer be used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Whether it matters more than its neighbours.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub important: bool,
    /// Whether it is shown only to those who ask for more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub advanced: bool,
    /// The heading under which it is folded away together with others.
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
    /// Whether `null` can be given, which clears it: something else than leaving it alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clearable: bool,
    /// The lookup that can fill a picker, as the manifest declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// Whether an expression may stand in its place: `deny` or `only`; without this it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expressions: Option<String>,
    /// What is asked.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a field asks for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Text.
    Text {
        /// How many lines it shows; one, without this.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<u8>,
        /// What it looks like, by the names of JSON Schema: `email`, `uri` and the like.
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<String>,
        /// How many characters it has at least.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_length: Option<u64>,
        /// How many characters it has at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_length: Option<u64>,
        /// The regular expression that a part of it matches.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
        /// What to say if it does not match.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern_message: Option<String>,
    },
    /// The content of a file.
    File {
        /// The media type it has.
        #[serde(skip_serializing_if = "Option::is_none")]
        media_type: Option<String>,
        /// How it is written as text: `base64`; as it is, without this.
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding: Option<String>,
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
        /// Whether all choices should be seen at once.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        open: bool,
    },
    /// Any of several, each at most once: a list.
    Choices {
        /// What there is to choose from.
        choices: Vec<Choice>,
        /// How many at least.
        #[serde(skip_serializing_if = "Option::is_none")]
        min_items: Option<u64>,
        /// How many at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_items: Option<u64>,
    },
    /// A day: `2026-12-01`.
    Date,
    /// A day and a time of day, of which somebody has to say in which time zone.
    DateTime {
        /// The field of the same object that says it. Without one, the value is a point in time: `2026-12-01T10:00:00Z`.
        #[serde(skip_serializing_if = "Option::is_none")]
        timezone_field: Option<String>,
    },
    /// The name of a time zone: `Europe/Berlin`.
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
    Object(Object),
    /// One of several kinds of value.
    Either {
        /// The kinds, each as a field without a name.
        options: Vec<Field>,
    },
    /// Nothing to ask: the value is always this.
    Constant {
        /// The value.
        value: Value,
    },
    /// Anything, as JSON.
    Json,
}

/// One of several.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Choice {
    /// The value.
    pub value: Value,
    /// What people call it.
    pub title: String,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Forms of which one is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Variants {
    /// The member by whose value they are told apart. Without one, by what they hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// What there is to choose from.
    pub of: Vec<Variant>,
}

/// One form of several.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Variant {
    /// What people call it.
    pub title: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// The value of the member by which it is told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What it asks for. The member by which it is told apart is not among its fields.
    #[serde(flatten)]
    pub object: Object,
}

/// Members whose names are chosen by whoever fills the form.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct More {
    /// The regular expression that a part of each name matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_pattern: Option<String>,
    /// What each of them is.
    pub value: Field,
}

/// What a field takes under a condition.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Limit {
    /// The condition.
    pub when: Condition,
    /// The values it may have then; empty: any within the bounds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// The least number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Value>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Value>,
    /// The author's words for it, to stand behind the field's name; of several, those that apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

/// What holds between fields of one object.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rule {
    /// How many of the fields may be given.
    pub count: Count,
    /// The fields.
    pub fields: Vec<String>,
    /// The author's words for it, to stand behind the object's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How many of some fields may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Any but all together.
    NotAll,
    /// At least one of them.
    AtLeastOne,
    /// Exactly one of them.
    ExactlyOne,
}

/// The heading of what only those look at who ask for more.
const ADVANCED: &str = "More";

/// What stands together on a form.
#[derive(Debug, Clone, PartialEq)]
pub enum Section<'a> {
    /// A field by itself.
    Field(&'a Field),
    /// Fields that fold away together under a heading.
    Group(&'a str, Vec<&'a Field>),
}

impl Object {
    /// The fields as they stand together: each group where its first field is, and what is advanced at the end. What must
    /// be filled is never folded away.
    #[must_use]
    pub fn sections(&self) -> Vec<Section<'_>> {
        let mut sections: Vec<Section<'_>> = Vec::new();
        let mut advanced = Vec::new();
        for field in &self.fields {
            let Some(heading) = field.group.as_deref().filter(|_| !field.required) else {
                if field.advanced && !field.required {
                    advanced.push(field);
                } else {
                    sections.push(Section::Field(field));
                }
                continue;
            };
            // A group may come back later, as where two structs of fields are merged.
            let known = sections.iter_mut().find_map(|section| match section {
                Section::Group(title, fields) if *title == heading => Some(fields),
                _ => None,
            });
            match known {
                Some(fields) => fields.push(field),
                None => sections.push(Section::Group(heading, vec![field])),
            }
        }
        if !advanced.is_empty() {
            sections.push(Section::Group(ADVANCED, advanced));
        }
        sections
    }
}
