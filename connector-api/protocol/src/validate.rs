//! Checking a value against a schema of a manifest: all problems at once, each at its field, each in words that a person
//! can act on.
//!
//! Formats are checked, patterns run in linear time, and nothing is ever fetched. No message repeats the value it is
//! about, since that may be a secret.

use std::collections::HashSet;

use jsonschema::{
    Draft, JsonType, PatternOptions, ValidationError, error::TypeKind, error::ValidationErrorKind,
};
use serde_json::{Map, Value};

use crate::{
    Problem, did_you_mean,
    schema::{escape, local_name, resolve},
};

/// How many problems are told of one value.
const MAX_PROBLEMS: usize = 1000;

/// How many times a schema may be held against a part of a value for all problems to be told: a large value may have one in
/// each part of it, and a schema that goes round may find the same one over and over.
const MAX_WORK: usize = 200_000;

/// How large the program of a pattern may be, in bytes. What people write takes a few thousand.
const MAX_PATTERN: usize = 256 * 1024;

/// A schema made ready to check many values.
#[derive(Debug)]
pub struct Validator {
    schema: Value,
    compiled: jsonschema::Validator,
}

impl Validator {
    /// Makes a [standalone](crate::Manifest::standalone) schema ready.
    ///
    /// # Errors
    ///
    /// If it is not a JSON Schema, or refers to something outside itself.
    pub fn new(schema: Value) -> Result<Self, String> {
        let compiled = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN))
            .offline()
            .build(&schema)
            .map_err(|error| error.to_string())?;
        Ok(Self { schema, compiled })
    }

    /// Everything that is wrong with a value; empty if nothing is.
    #[must_use]
    pub fn check(&self, value: &Value) -> Vec<Problem> {
        // Whether there is a problem takes a bounded time; what all of them are does not.
        if self.compiled.is_valid(value) {
            return Vec::new();
        }
        if self.takes_too_long(value) {
            return vec![Problem::new("", "does not fit, in more places than can be told")];
        }
        let mut problems: Vec<Problem> = Vec::new();
        let mut known = HashSet::new();
        for error in self.compiled.iter_errors(value) {
            for problem in self.explain(&error, value) {
                if known.insert((problem.path.clone(), problem.message.clone())) {
                    problems.push(problem);
                }
            }
            if problems.len() >= MAX_PROBLEMS {
                break;
            }
        }
        problems
    }

    /// Whether schemas are held against parts of the value more often than [`MAX_WORK`], each counted as often as it is reached.
    fn takes_too_long(&self, value: &Value) -> bool {
        let empty = Map::new();
        let defs = self.schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
        let mut waiting = vec![(&self.schema, value)];
        let mut work = 0;
        while let Some((schema, value)) = waiting.pop() {
            work += 1;
            for (keyword, inner) in schema.as_object().into_iter().flatten() {
                match (keyword.as_str(), value) {
                    ("$ref", _) => {
                        let target = inner.as_str().and_then(local_name).and_then(|name| defs.get(name));
                        waiting.extend(target.map(|schema| (schema, value)));
                    }
                    ("allOf" | "anyOf" | "oneOf", _) => {
                        waiting.extend(inner.as_array().into_iter().flatten().map(|schema| (schema, value)));
                    }
                    ("dependentSchemas", _) => {
                        let schemas = inner.as_object().into_iter().flat_map(Map::values);
                        waiting.extend(schemas.map(|schema| (schema, value)));
                    }
                    ("not" | "if" | "then" | "else", _) => waiting.push((inner, value)),
                    ("properties", Value::Object(members)) => {
                        let own =
                            members.iter().filter_map(|(name, member)| Some((inner.get(name)?, member)));
                        waiting.extend(own);
                    }
                    ("patternProperties", Value::Object(members)) => {
                        for schema in inner.as_object().into_iter().flat_map(Map::values) {
                            waiting.extend(members.values().map(|member| (schema, member)));
                        }
                    }
                    ("additionalProperties" | "unevaluatedProperties", Value::Object(members)) => {
                        waiting.extend(members.values().map(|member| (inner, member)));
                    }
                    ("items" | "contains" | "unevaluatedItems", Value::Array(items)) => {
                        waiting.extend(items.iter().map(|item| (inner, item)));
                    }
                    ("prefixItems", Value::Array(items)) => {
                        waiting.extend(inner.as_array().into_iter().flatten().zip(items));
                    }
                    _ => {}
                }
                if work + waiting.len() > MAX_WORK {
                    return true;
                }
            }
        }
        false
    }

    fn explain(&self, error: &ValidationError<'_>, value: &Value) -> Vec<Problem> {
        let at = error.instance_path().to_string();
        let keyword = error.kind().keyword();
        let place = error.schema_path().to_string();
        // The schema that holds the keyword; `propertyNames` is named by what it holds itself.
        let own = place.rfind(&format!("/{keyword}")).map_or("", |end| &place[..end]);
        let schema = self.schema.pointer(own);
        let when = self.condition(&place, value, &at);
        let problem = |path: String, message: String| Problem {
            path,
            message: format!("{message}{when}"),
            keyword: Some(keyword.to_owned()),
        };
        let written = schema.and_then(|schema| schema.pointer("/x-ui/errors")?.get(keyword)?.as_str());
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![problem(format!("{at}/{}", escape(name)), written.unwrap_or("is required").to_owned())]
            }
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
                .iter()
                .map(|name| {
                    let known = schema.and_then(|s| s.get("properties")).and_then(Value::as_object);
                    let meant = known.and_then(|known| did_you_mean(name, known.keys().map(String::as_str)));
                    let hint = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
                    problem(format!("{at}/{}", escape(name)), format!("is not a field here{hint}"))
                })
                .collect(),
            // A value beside a `null` that clears: what is wrong is what the other branch says.
            ValidationErrorKind::AnyOf { context } if written.is_none() && !error.instance().is_null() => {
                let nullable = schema.and_then(|schema| schema.get("anyOf")).and_then(Value::as_array);
                match (nullable.map(Vec::as_slice), context.first()) {
                    (Some([_, null]), Some(errors))
                        if null.get("type").is_some_and(|kind| kind == "null") =>
                    {
                        errors.iter().flat_map(|error| self.explain(error, value)).collect()
                    }
                    _ => vec![problem(at, phrase(error, schema))],
                }
            }
            _ => vec![problem(at, written.map_or_else(|| phrase(error, schema), str::to_owned))],
        }
    }

    /// ` when type is 8 (Recurring meeting with fixed time)`, if the place lies behind an `if`.
    fn condition(&self, place: &str, value: &Value, at: &str) -> String {
        let mut words = Vec::new();
        let mut from = 0;
        while let Some((found, branch)) = ["/then/", "/else/"]
            .iter()
            .filter_map(|branch| place[from..].find(branch).map(|at| (from + at, *branch)))
            .min_by_key(|(at, _)| *at)
        {
            let rule = &place[..found];
            let at = ancestor(at, steps_down(&place[found + branch.len()..]));
            if let Some(text) = self.schema.pointer(&format!("{rule}/if")).and_then(|test| {
                let named = |field: &str, value: &Value| self.named(rule, field, value);
                describe(test, &named, if branch == "/then/" { value.pointer(at) } else { None })
            }) {
                words.push(if branch == "/then/" {
                    format!(" when {text}")
                } else {
                    format!(" unless {text}")
                });
            }
            from = found + branch.len() - 1;
        }
        words.concat()
    }

    /// A value of a field with its title, if the field is a choice: `8 (Recurring meeting with fixed time)`. The field is
    /// one of the nearest schema around the rule.
    fn named(&self, rule: &str, field: &str, value: &Value) -> String {
        let mut at = rule;
        let schema = loop {
            let properties = self.schema.pointer(at).and_then(|schema| schema.get("properties"));
            match (properties.and_then(|properties| properties.get(field)), at.rsplit_once('/')) {
                (Some(schema), _) => break Some(schema),
                (None, Some((parent, _))) => at = parent,
                (None, None) => break None,
            }
        };
        let title = schema.and_then(|schema| {
            let defs = self.schema.get("$defs").and_then(Value::as_object);
            let schema = defs.map_or(schema, |defs| resolve(schema, defs));
            let choices = schema.get("oneOf")?.as_array()?;
            choices.iter().find(|choice| choice.get("const") == Some(value))?.get("title")?.as_str()
        });
        title.map_or_else(|| plain(value), |title| format!("{} ({title})", plain(value)))
    }
}

/// What the test of an `if` says: `type is 8 (Recurring meeting with fixed time)`. Of several values, where the test holds,
/// only the one is said that is there.
fn describe(test: &Value, named: &dyn Fn(&str, &Value) -> String, holds: Option<&Value>) -> Option<String> {
    let mut words = Vec::new();
    for (field, is) in test.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let values = match (is.get("const"), is.get("enum").and_then(Value::as_array)) {
            (Some(value), _) => vec![value],
            (None, Some(values)) => {
                let given = holds.and_then(|object| object.get(field));
                given
                    .filter(|given| values.contains(given))
                    .map_or(values.iter().collect(), |given| vec![given])
            }
            (None, None) => continue,
        };
        let list: Vec<String> = values.into_iter().map(|value| named(field, value)).collect();
        words.push(format!("`{field}` is {}", list.join(" or ")));
    }
    if words.is_empty() {
        for field in test.get("required").and_then(Value::as_array)?.iter().filter_map(Value::as_str) {
            words.push(format!("`{field}` is given"));
        }
    }
    (!words.is_empty()).then(|| words.join(" and "))
}

/// How many levels of the value a path through a schema goes down.
fn steps_down(path: &str) -> usize {
    let mut steps = path.split('/');
    let mut down = 0;
    while let Some(step) = steps.next() {
        match step {
            "properties" | "patternProperties" | "prefixItems" => {
                // Without a name behind it, it is the keyword at fault and not a way down.
                down += usize::from(steps.next().is_some());
            }
            "items" | "additionalProperties" if steps.clone().next().is_some() => down += 1,
            _ => {}
        }
    }
    down
}

/// A JSON pointer without its last steps.
fn ancestor(pointer: &str, steps: usize) -> &str {
    (0..steps).fold(pointer, |pointer, _| pointer.rsplit_once('/').map_or("", |(parent, _)| parent))
}

fn phrase(error: &ValidationError<'_>, schema: Option<&Value>) -> String {
    let count = |limit: u64, what: &str| format!("{limit} {what}{}", if limit == 1 { "" } else { "s" });
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            let types: Vec<&str> = match kind {
                TypeKind::Single(one) => vec![type_word(*one)],
                TypeKind::Multiple(many) => many.into_iter().map(type_word).collect(),
            };
            format!("must be {}", types.join(" or "))
        }
        ValidationErrorKind::Enum { options } => format!("must be one of {}", list(options.as_array())),
        ValidationErrorKind::Constant { expected_value } => format!("must be {}", plain(expected_value)),
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            choices(error, schema)
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "fits more than one of the forms it may have".to_owned()
        }
        ValidationErrorKind::MaxLength { limit } => {
            let has = error.instance().as_str().map_or(0, |text| text.chars().count());
            format!("must be at most {} long; it has {has}", count(*limit, "character"))
        }
        ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => {
            format!("must be at least {} long", count(*limit, "character"))
        }
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be below {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be above {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        ValidationErrorKind::MaxItems { limit } => format!("must hold at most {}", count(*limit, "item")),
        ValidationErrorKind::MinItems { limit } => format!("must hold at least {}", count(*limit, "item")),
        ValidationErrorKind::UniqueItems => "must not hold the same item twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => format!("must match the pattern `{pattern}`"),
        ValidationErrorKind::Format { format } => format!("must be {}", format_word(format)),
        ValidationErrorKind::FalseSchema => "is not allowed".to_owned(),
        ValidationErrorKind::Not { schema } => match schema.get("required").and_then(Value::as_array) {
            Some(fields) => format!("must not have {} together", list(Some(fields))),
            None => "is not allowed".to_owned(),
        },
        // The library's own words name keywords, never the value.
        other => format!("does not meet `{}`", other.keyword()),
    }
}

/// The phrase for a value that fits no branch: the choices, if the branches are choices.
fn choices(error: &ValidationError<'_>, schema: Option<&Value>) -> String {
    let branches = schema.and_then(|schema| schema.get(error.kind().keyword())).and_then(Value::as_array);
    let named: Option<Vec<String>> = branches.and_then(|branches| {
        let name = |branch: &Value| {
            let value = plain(branch.get("const")?);
            Some(
                branch
                    .get("title")
                    .and_then(Value::as_str)
                    .map_or(value.clone(), |title| format!("{value} ({title})")),
            )
        };
        branches.iter().map(name).collect()
    });
    match named {
        Some(named) => format!("must be one of {}", named.join(", ")),
        None => "fits none of the forms it may have".to_owned(),
    }
}

fn list(values: Option<&Vec<Value>>) -> String {
    let words: Vec<String> = values.into_iter().flatten().map(plain).collect();
    words.join(", ")
}

/// A value of the schema as a person writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn type_word(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "text",
    }
}

fn format_word(format: &str) -> String {
    match format {
        "date" => "a date, like 2026-12-01".to_owned(),
        "date-time" => "a date and time with its offset, like 2026-12-01T10:00:00Z".to_owned(),
        "email" | "idn-email" => "an e-mail address".to_owned(),
        "uri" | "url" | "iri" => "a web address".to_owned(),
        other => format!("of the format `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meeting() -> Validator {
        Validator::new(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["topic"],
            "properties": {
                "topic": {"type": "string", "maxLength": 5},
                "duration": {"type": "integer", "minimum": 1},
                "type": {"oneOf": [
                    {"const": 2, "title": "Scheduled meeting"},
                    {"const": 8, "title": "Recurring meeting with fixed time"},
                ]},
                "audio": {"enum": ["both", "voip", ""]},
                "when": {"type": "string", "format": "date-time"},
                "code": {"type": "string", "pattern": "^[A-Z]+$", "x-ui": {"errors": {"pattern": "must be capitals"}}},
                "recurrence": {"$ref": "#/$defs/Recurrence"},
                "people": {"type": "array", "maxItems": 1, "items": {"type": "string", "minLength": 1}},
                "id": {"type": ["string", "integer"]},
            },
            "allOf": [{
                "if": {"properties": {"type": {"const": 8}}, "required": ["type"]},
                "then": {"required": ["recurrence"]},
                "else": {"properties": {"recurrence": false}},
            }],
            "$defs": {"Recurrence": {
                "type": "object", "additionalProperties": false,
                "properties": {"end_times": {"type": "integer"}, "end_date": {"type": "string"}},
                "not": {"required": ["end_times", "end_date"]},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn fault_89_every_problem_stands_at_its_field_in_words() {
        for (input, expected) in [
            (json!({"topic": "demo"}), vec![]),
            (json!({}), vec!["/topic is required"]),
            (json!({"topic": "demo!!"}), vec!["/topic must be at most 5 characters long; it has 6"]),
            (
                json!({"topic": "x", "durations": 5}),
                vec!["/durations is not a field here; did you mean `duration`?"],
            ),
            (json!({"topic": "x", "zzz": 5}), vec!["/zzz is not a field here"]),
            (
                json!({"topic": 7, "duration": "5"}),
                vec!["/topic must be text", "/duration must be a whole number"],
            ),
            (json!({"topic": "x", "duration": 0}), vec!["/duration must be at least 1"]),
            (
                json!({"topic": "x", "type": 3}),
                vec!["/type must be one of 2 (Scheduled meeting), 8 (Recurring meeting with fixed time)"],
            ),
            (json!({"topic": "x", "audio": "none"}), vec!["/audio must be one of both, voip, (empty)"]),
            (
                json!({"topic": "x", "when": "tomorrow"}),
                vec!["/when must be a date and time with its offset, like 2026-12-01T10:00:00Z"],
            ),
            (json!({"topic": "x", "code": "abc"}), vec!["/code must be capitals"]),
            (
                json!({"topic": "x", "type": 8}),
                vec!["/recurrence is required when `type` is 8 (Recurring meeting with fixed time)"],
            ),
            (
                json!({"topic": "x", "type": 2, "recurrence": {}}),
                vec!["/recurrence is not allowed unless `type` is 8 (Recurring meeting with fixed time)"],
            ),
            (
                json!({"topic": "x", "type": 8, "recurrence": {"end_times": 1, "end_date": "x"}}),
                vec!["/recurrence must not have end_times, end_date together"],
            ),
            (
                json!({"topic": "x", "type": 8, "recurrence": {"end_time": 1}}),
                vec!["/recurrence/end_time is not a field here; did you mean `end_times`?"],
            ),
            (
                json!({"topic": "x", "people": ["a", ""]}),
                vec!["/people must hold at most 1 item", "/people/1 must not be empty"],
            ),
            (json!({"topic": "x", "id": 1.5}), vec!["/id must be a whole number or text"]),
            (json!("text"), vec![" must be an object"]),
        ] {
            let found: Vec<String> =
                meeting().check(&input).iter().map(|p| format!("{} {}", p.path, p.message)).collect();
            assert_eq!(found, expected, "{input}");
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(meeting().check(&json!({"topic": "ÄÖÜ週次"})).is_empty());
    }

    #[test]
    fn fault_83_a_schema_that_points_outside_is_refused_and_nothing_is_fetched() {
        for reference in ["http://127.0.0.1:9/x", "file:///etc/passwd", "other.json"] {
            assert!(Validator::new(json!({"$ref": reference})).is_err(), "{reference}");
        }
    }

    #[test]
    fn fault_83_a_value_with_problems_without_number_gets_an_answer_quickly() {
        let begun = std::time::Instant::now();
        let to_itself = json!({"$ref": "#/$defs/A"});
        let schema = json!({
            "$ref": "#/$defs/A",
            "$defs": {"A": {"type": "object", "properties": {"x": {"allOf": [to_itself, to_itself]}}}},
        });
        let mut value = json!("innermost");
        for _ in 0..60 {
            value = json!({"x": value});
        }
        let validator = Validator::new(schema).unwrap();
        assert_eq!(validator.check(&value)[0].message, "does not fit, in more places than can be told");
        assert_eq!(validator.check(&json!({"x": {"x": 1}})).len(), 1);
        let texts = Validator::new(json!({"items": {"type": "string"}})).unwrap();
        assert_eq!(texts.check(&json!(vec![0; 1_000_000])).len(), 1);
        assert_eq!(texts.check(&json!(vec![0; 100_000])).len(), MAX_PROBLEMS);
        assert!(Validator::new(json!({"pattern": "^(\\w{200}){200}$"})).is_err());
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
