//! From schema to form.
//!
//! A schema says in many places what becomes of one field: at `properties`, at what is merged by `allOf`, behind `if`,
//! `dependentRequired` and the like. Here all of it comes together at the field: what it asks for, when it is there, when it
//! must be filled, what it takes under which conditions. What a schema says that a form cannot show exactly is left to the
//! schema: the field is then always there, and the check has the last word.

mod merge;
mod object;

use std::cell::Cell;

use connector_protocol::schema::resolve;
use serde_json::{Map, Value};

use self::merge::merged;
use super::model::{Choice, Field, Form, Kind, Limit, Object, VERSION};
use crate::forms::Condition;

/// How deep a form goes. A schema that refers to itself ends as JSON there.
const MAX_DEPTH: usize = 8;

/// How many fields a form has at most; what is beyond is asked for as JSON.
const MAX_FIELDS: usize = 2000;

/// How much of schemas may be gone through to make a form, in values. A schema that refers to itself in many places is small
/// to write and has no end to read; the largest forms that there are take a small part of this.
const MAX_WORK: usize = 200_000;

/// Makes the form of a [standalone](connector_protocol::Manifest::standalone) schema of an object.
#[must_use]
pub fn build(title: &str, description: &str, schema: &Value) -> Form {
    let empty = Map::new();
    let defs = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let builder = Builder { defs, fields: Cell::new(0), work: Cell::new(0) };
    let object = schema.as_object().map(|schema| {
        let mut schema = schema.clone();
        schema.shift_remove("$defs");
        builder.object(vec![Part::certain(schema)], 0)
    });
    Form {
        form_version: VERSION,
        title: title.to_owned(),
        description: description.to_owned(),
        object: object.unwrap_or_default(),
    }
}

/// What a schema says of something, and when that counts.
#[derive(Clone)]
struct Part {
    when: Condition,
    schema: Map<String, Value>,
}

impl Part {
    fn certain(schema: Map<String, Value>) -> Self {
        Self { when: Condition::always(), schema }
    }
}

struct Builder<'a> {
    defs: &'a Map<String, Value>,
    fields: Cell<usize>,
    work: Cell<usize>,
}

impl Builder<'_> {
    /// Whether there may be so much more work; it counts as done.
    fn affords(&self, work: usize) -> bool {
        self.work.set(self.work.get().saturating_add(work));
        self.work.get() <= MAX_WORK
    }

    /// A copy of a schema; of what is too much there is none, and whatever it was is asked for as JSON.
    fn copy(&self, schema: &Map<String, Value>) -> Map<String, Value> {
        let is_spent = !self.affords(0);
        if is_spent || !self.affords(1 + schema.values().map(size).sum::<usize>()) {
            return Map::new();
        }
        schema.clone()
    }

    /// A field of this name, from all that is said of it. What counts only under a condition narrows it.
    fn field(&self, name: &str, parts: Vec<Part>, depth: usize) -> Field {
        self.fields.set(self.fields.get() + 1);
        let (certain, conditional): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| part.when.is_always());
        let certain =
            certain.into_iter().map(|part| self.followed(part.schema)).reduce(merged).unwrap_or_default();
        let (schema, clearable) = self.without_null(certain);
        let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str).map(str::to_owned);
        let flag = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
        let ui = |member: &str| schema.get("x-ui").and_then(|ui| ui.get(member));
        let ui_text = |member: &str| ui(member).and_then(Value::as_str).map(str::to_owned);
        let visibility = ui_text("visibility").unwrap_or_default();
        Field {
            name: name.to_owned(),
            label: text("title").unwrap_or_else(|| humanise(name)),
            help: text("description").unwrap_or_default(),
            placeholder: ui_text("placeholder"),
            required: false,
            required_when: None,
            shown_when: None,
            limits: conditional.iter().filter_map(limit).collect(),
            secret: flag("x-secret") || flag("writeOnly"),
            deprecated: flag("deprecated"),
            important: visibility == "important",
            advanced: visibility == "advanced",
            group: ui_text("group"),
            default: schema.get("default").cloned(),
            examples: schema.get("examples").and_then(Value::as_array).cloned().unwrap_or_default(),
            unit: ui_text("unit"),
            clearable,
            options: schema.get("x-options").cloned(),
            expressions: text("x-expr").filter(|word| word != "allow"),
            kind: self.kind(&schema, conditional, depth),
        }
    }

    /// A schema with what it refers to, and what stands beside the reference before that.
    fn followed(&self, mut schema: Map<String, Value>) -> Map<String, Value> {
        let Some(reference) = schema.shift_remove_entry("$ref") else { return schema };
        let reference = Value::Object(Map::from_iter([reference]));
        if let Value::Object(target) = resolve(&reference, self.defs) {
            for (keyword, value) in self.copy(target) {
                schema.entry(keyword).or_insert(value);
            }
        }
        schema
    }

    /// What a value is beside the `null` that clears it, and whether there is such a one.
    fn without_null(&self, mut schema: Map<String, Value>) -> (Map<String, Value>, bool) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            let count = types.len();
            types.retain(|kind| kind != "null");
            let clearable = types.len() < count && !types.is_empty();
            if let [one] = types.as_slice() {
                let one = one.clone();
                schema.insert("type".to_owned(), one);
            }
            return (schema, clearable);
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(Value::Array(branches)) = schema.get(keyword) else { continue };
            let (nulls, mut others): (Vec<Value>, Vec<Value>) = branches
                .clone()
                .into_iter()
                .partition(|branch| branch.get("type").is_some_and(|kind| kind == "null"));
            if nulls.is_empty() || others.is_empty() {
                continue;
            }
            if others.len() > 1 {
                schema.insert(keyword.to_owned(), Value::Array(others));
                return (schema, true);
            }
            schema.shift_remove(keyword);
            if let Value::Object(other) = others.remove(0) {
                for (keyword, value) in self.followed(other) {
                    schema.entry(keyword).or_insert(value);
                }
            }
            return (schema, true);
        }
        (schema, false)
    }

    fn kind(&self, schema: &Map<String, Value>, conditional: Vec<Part>, depth: usize) -> Kind {
        let ui = |member: &str| schema.get("x-ui").and_then(|ui| ui.get(member));
        let widget = ui("widget").and_then(Value::as_str);
        let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str).map(str::to_owned);
        let number = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        if let Some(value) = schema.get("const") {
            return Kind::Constant { value: value.clone() };
        }
        if let Some(choices) = choices(schema) {
            return Kind::Choice { choices, open: widget == Some("radio") };
        }
        let too_much = depth >= MAX_DEPTH || self.fields.get() >= MAX_FIELDS;
        if !too_much && let Some(options) = self.either(schema, depth) {
            return Kind::Either { options };
        }
        let kind = type_of(schema).or_else(|| self.is_all_objects(schema).then_some("object"));
        match (kind, widget, schema.get("format").and_then(Value::as_str)) {
            (_, Some("time-zone"), _) => Kind::TimeZone,
            (_, Some("date-time"), _) | (Some("string"), _, Some("date-time")) => {
                Kind::DateTime { timezone_field: text("x-timezone-field") }
            }
            (_, Some("date"), _) | (Some("string"), _, Some("date")) => Kind::Date,
            (Some("string"), ..)
                if schema.contains_key("contentMediaType") || schema.contains_key("contentEncoding") =>
            {
                Kind::File { media_type: text("contentMediaType"), encoding: text("contentEncoding") }
            }
            (Some("string"), widget, format) => Kind::Text {
                rows: (widget == Some("textarea")).then(|| {
                    ui("rows").and_then(Value::as_u64).and_then(|rows| u8::try_from(rows).ok()).unwrap_or(4)
                }),
                format: format.map(str::to_owned),
                min_length: number("minLength"),
                max_length: number("maxLength"),
                pattern: text("pattern"),
                pattern_message: schema
                    .get("x-ui")
                    .and_then(|ui| ui.get("errors")?.get("pattern")?.as_str())
                    .map(str::to_owned),
            },
            (Some(kind @ ("integer" | "number")), ..) => Kind::Number {
                integer: kind == "integer",
                minimum: schema.get("minimum").cloned(),
                maximum: schema.get("maximum").cloned(),
            },
            (Some("boolean"), ..) => Kind::Toggle,
            (Some("array"), ..) if !too_much => self.list(schema, conditional, depth),
            (Some("object"), ..) if !too_much => {
                let mut parts = vec![Part::certain(self.copy(schema))];
                parts.extend(
                    conditional
                        .into_iter()
                        .map(|part| Part { when: part.when.seen_from_below(), schema: part.schema }),
                );
                let object = self.object(parts, depth + 1);
                let says_nothing =
                    object.fields.is_empty() && object.variants.is_none() && object.more.is_none();
                if says_nothing { Kind::Json } else { Kind::Object(object) }
            }
            _ => Kind::Json,
        }
    }

    fn list(&self, schema: &Map<String, Value>, conditional: Vec<Part>, depth: usize) -> Kind {
        let number = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let (min_items, max_items) = (number("minItems"), number("maxItems"));
        // A list of which each place is of a kind of its own is nothing that people fill by adding rows.
        let (Some(Value::Object(items)), false) = (schema.get("items"), schema.contains_key("prefixItems"))
        else {
            return Kind::Json;
        };
        if schema.get("uniqueItems") == Some(&Value::Bool(true))
            && let Some(choices) = choices(&self.followed(self.copy(items)))
        {
            return Kind::Choices { choices, min_items, max_items };
        }
        let mut parts = vec![Part::certain(self.copy(items))];
        parts.extend(conditional.into_iter().filter_map(|part| {
            let items = self.copy(part.schema.get("items")?.as_object()?);
            Some(Part { when: part.when.seen_from_below(), schema: items })
        }));
        let mut item = self.field("", parts, depth + 1);
        item.required = true;
        Kind::List { item: Box::new(item), min_items, max_items }
    }

    /// What a value may be, of several.
    fn branches(&self, schema: &Map<String, Value>) -> Vec<Map<String, Value>> {
        let branches = ["oneOf", "anyOf"].iter().find_map(|keyword| schema.get(*keyword)?.as_array());
        let branches = branches.into_iter().flatten().filter_map(Value::as_object);
        branches.map(|branch| self.followed(self.copy(branch))).collect()
    }

    fn is_all_objects(&self, schema: &Map<String, Value>) -> bool {
        let branches = self.branches(schema);
        !branches.is_empty() && branches.iter().all(|branch| type_of(branch) == Some("object"))
    }

    /// The kinds of value of which a field has one, if they are not all objects.
    fn either(&self, schema: &Map<String, Value>, depth: usize) -> Option<Vec<Field>> {
        let branches = self.branches(schema);
        let is_object = schema.get("type").is_some_and(|kind| kind == "object");
        if is_object || branches.is_empty() || self.is_all_objects(schema) {
            return None;
        }
        let mut whole = self.copy(schema);
        ["oneOf", "anyOf", "title", "description", "default", "examples"].iter().for_each(|keyword| {
            whole.shift_remove(*keyword);
        });
        let option = |branch: Map<String, Value>| {
            let title = branch.get("title").and_then(Value::as_str).map(str::to_owned);
            let mut field = self.field("", vec![Part::certain(merged(branch, self.copy(&whole)))], depth + 1);
            field.required = true;
            field.label = title.unwrap_or_else(|| kind_word(&field.kind).to_owned());
            field
        };
        Some(branches.into_iter().map(option).collect())
    }

    fn object(&self, parts: Vec<Part>, depth: usize) -> Object {
        object::build(self, parts, depth)
    }
}

/// How many values there are in a value, with itself.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(size).sum(),
        Value::Array(items) => items.iter().map(size).sum(),
        _ => 0,
    }
}

/// What people call a kind of value.
fn kind_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text { .. } => "Text",
        Kind::File { .. } => "File",
        Kind::Number { .. } => "Number",
        Kind::Toggle => "Yes or no",
        Kind::Choice { .. } => "One of several",
        Kind::Date => "Date",
        Kind::DateTime { .. } => "Date and time",
        Kind::TimeZone => "Time zone",
        Kind::Choices { .. } | Kind::List { .. } => "List",
        Kind::Object(_) => "Fields",
        Kind::Constant { .. } => "This value",
        Kind::Either { .. } | Kind::Json => "JSON",
    }
}

/// The type to ask for. Of several, the one that people write: a list rather than its text, text rather than a number.
fn type_of(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => Some(one),
        Some(Value::Array(many)) => {
            let many: Vec<&str> = many.iter().filter_map(Value::as_str).collect();
            ["array", "object", "string", "number", "integer", "boolean"]
                .into_iter()
                .find(|kind| many.contains(kind))
        }
        // What has properties is meant as an object, whoever forgot to say so.
        _ => ["properties", "patternProperties"]
            .iter()
            .any(|keyword| schema.contains_key(*keyword))
            .then_some("object"),
    }
}

fn choices(schema: &Map<String, Value>) -> Option<Vec<Choice>> {
    let mut choices: Vec<Choice> = if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let choice = |value: &Value| Choice { value: value.clone(), title: plain(value), help: None };
        values.iter().map(choice).collect()
    } else {
        let branches = ["oneOf", "anyOf"].iter().find_map(|keyword| schema.get(*keyword)?.as_array())?;
        let choice = |branch: &Value| {
            let value = branch.get("const")?.clone();
            let text = |keyword: &str| branch.get(keyword).and_then(Value::as_str).map(str::to_owned);
            Some(Choice {
                title: text("title").unwrap_or_else(|| plain(&value)),
                help: text("description"),
                value,
            })
        };
        branches.iter().map(choice).collect::<Option<_>>()?
    };
    if choices.is_empty() {
        return None;
    }
    if let Some(order) = schema.get("x-ui").and_then(|ui| ui.get("enumOrder")?.as_array()) {
        choices.sort_by_key(|choice| {
            order.iter().position(|value| *value == choice.value).unwrap_or(usize::MAX)
        });
    }
    Some(choices)
}

/// What a schema that counts only under a condition takes of the values that a field may have.
fn limit(part: &Part) -> Option<Limit> {
    let schema = &part.schema;
    let values = match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(value), _) => vec![value.clone()],
        (None, values) => values.cloned().unwrap_or_default(),
    };
    let messages = schema.get("x-ui").and_then(|ui| ui.get("errors")).and_then(Value::as_object);
    let limit = Limit {
        when: part.when.clone(),
        values,
        minimum: schema.get("minimum").cloned(),
        maximum: schema.get("maximum").cloned(),
        messages: messages
            .into_iter()
            .flatten()
            .filter_map(|(_, text)| text.as_str())
            .map(str::to_owned)
            .collect(),
    };
    let says_something = !limit.values.is_empty()
        || limit.minimum.is_some()
        || limit.maximum.is_some()
        || !limit.messages.is_empty();
    says_something.then_some(limit)
}

/// A value of the schema as a person writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `start_time` as `Start time`.
fn humanise(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut characters = words.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + characters.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fault_83_a_schema_that_is_small_to_write_and_has_no_end_gives_a_form() {
        let to_itself = json!({"$ref": "#/$defs/A"});
        let fields: Map<String, Value> = (0..900).map(|i| (format!("f{i}"), to_itself.clone())).collect();
        let choices: Vec<usize> = (0..900).collect();
        let test = json!({"properties": {"kind": {"enum": choices}}, "required": ["kind"]});
        for a in [
            json!({"oneOf": [to_itself, {"type": "string"}]}),
            json!({"type": "object", "oneOf": vec![to_itself.clone(); 16]}),
            json!({"type": "object", "properties": fields}),
            json!({"type": "object", "if": test, "then": {"properties": fields}}),
            json!({"type": "array", "items": {"anyOf": vec![to_itself.clone(); 16]}}),
        ] {
            let begun = std::time::Instant::now();
            let schema = json!({"type": "object", "properties": {"a": to_itself}, "$defs": {"A": a}});
            let form = build("", "", &schema);
            assert_eq!(form.object.fields.len(), 1);
            let size = serde_json::to_vec(&form).unwrap().len();
            assert!(size < 100_000_000, "{size}");
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn what_people_have_to_fill_in_is_far_from_the_limits() {
        let text = include_str!("../../../manifests/zoom.json");
        let manifest: connector_protocol::Manifest = serde_json::from_str(text).unwrap();
        for action in &manifest.actions {
            let schema = manifest.standalone(&action.input);
            let defs = schema["$defs"].as_object().cloned().unwrap_or_default();
            let builder = Builder { defs: &defs, fields: Cell::new(0), work: Cell::new(0) };
            let _ = builder.object(vec![Part::certain(action.input.clone())], 0);
            let (fields, work) = (builder.fields.get(), builder.work.get());
            assert!(fields < MAX_FIELDS / 10 && work < MAX_WORK / 20, "{}: {fields}, {work}", action.name);
        }
    }
}
