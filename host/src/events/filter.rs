//! Which events a subscription wants: tests of single fields, joined by "all of" and "any of". It is data, checked against the
//! trigger's schema when it is saved, and looked at with each event. It runs nothing.

use std::cmp::Ordering;

use connector_protocol::{Problem, did_you_mean, schema};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

/// How deep tests may lie within each other, and how many there may be.
const DEPTH: usize = 8;
const MOST: usize = 100;

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Filter {
    /// Those for which all of these hold.
    All {
        /// The tests.
        all: Vec<Self>,
    },
    /// Those for which at least one of these holds.
    Any {
        /// The tests.
        any: Vec<Self>,
    },
    /// Those for which a field is so.
    Test(Test),
}

/// A test of one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The field of the event's `data`, its steps joined by dots: `meeting.topic`. Of a list, one item that fits is enough.
    pub field: String,
    /// What is asked of it.
    pub operator: Operator,
    /// What it is compared with; nothing for `exists` and `missing`, a list for `one_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What is asked of a field. A field that is not there is `missing`, equals nothing and contains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// It is this.
    Equals,
    /// It is not this.
    NotEquals,
    /// It is one of these.
    OneOf,
    /// Its text holds this, whatever the case of the letters.
    Contains,
    /// Its text does not hold this.
    NotContains,
    /// Its text begins with this.
    StartsWith,
    /// Its text ends with this.
    EndsWith,
    /// It is a greater number, or a later time.
    Greater,
    /// It is a greater number, a later time, or the same.
    AtLeast,
    /// It is a smaller number, or an earlier time.
    Less,
    /// It is a smaller number, an earlier time, or the same.
    AtMost,
    /// It is there.
    Exists,
    /// It is not there, or null.
    Missing,
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of(&value, "").map_err(|wrong| {
            D::Error::custom(format!(
                "{} {}",
                if wrong.path.is_empty() { "it" } else { &wrong.path },
                wrong.message
            ))
        })
    }
}

/// A filter, to be shown to whoever has written none.
pub const EXAMPLE: &str = r#"{"all": [{"field": "meeting.topic", "operator": "contains", "value": "demo"}]}"#;

impl Operator {
    const ALL: [(&'static str, Self); 13] = [
        ("equals", Self::Equals),
        ("not_equals", Self::NotEquals),
        ("one_of", Self::OneOf),
        ("contains", Self::Contains),
        ("not_contains", Self::NotContains),
        ("starts_with", Self::StartsWith),
        ("ends_with", Self::EndsWith),
        ("greater", Self::Greater),
        ("at_least", Self::AtLeast),
        ("less", Self::Less),
        ("at_most", Self::AtMost),
        ("exists", Self::Exists),
        ("missing", Self::Missing),
    ];

    const SIGNS: [(&'static str, Self); 6] = [
        ("=", Self::Equals),
        ("!=", Self::NotEquals),
        (">", Self::Greater),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        ("<=", Self::AtMost),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().chain(&Self::SIGNS).find(|(known, _)| *known == name).map(|(_, operator)| *operator)
    }

    fn has_value(self) -> bool {
        !matches!(self, Self::Exists | Self::Missing)
    }

    fn compares(self) -> bool {
        matches!(self, Self::Greater | Self::AtLeast | Self::Less | Self::AtMost)
    }

    fn looks_into_text(self) -> bool {
        matches!(self, Self::Contains | Self::NotContains | Self::StartsWith | Self::EndsWith)
    }
}

impl Filter {
    /// Reads a test as people write it: `meeting.topic contains demo`. What stands behind the operator is the value, as JSON if it is
    /// some and as text otherwise.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut words = text.trim().splitn(2, char::is_whitespace);
        let (field, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_start());
        let mut words = rest.splitn(2, char::is_whitespace);
        let (name, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim());
        let operator = Operator::named(name).ok_or_else(|| {
            let names: Vec<&str> = Operator::ALL.iter().map(|(name, _)| *name).collect();
            let meant = did_you_mean(name, names.iter().copied())
                .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            format!(
                "`{}` is no test: write FIELD OPERATOR VALUE, the operator being one of {}{meant}",
                text.escape_debug(),
                names.join(", ")
            )
        })?;
        let value = match (operator.has_value(), value) {
            (true, "") => return Err(format!("`{name}` needs something to compare with")),
            (false, "") => None,
            (false, _) => return Err(format!("`{name}` compares with nothing")),
            (true, value) => {
                Some(serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())))
            }
        };
        Ok(Self::Test(Test { field: field.to_owned(), operator, value }))
    }

    /// The filter that a JSON value is; `path` leads to it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it, and where.
    fn of(value: &Value, path: &str) -> Result<Self, Problem> {
        let wrong = |text: &str| Err(Problem::new(path, text));
        let Value::Object(members) = value else {
            return wrong("is no object: a filter is one of `all`, `any`, or `field` with `operator`");
        };
        let known = ["all", "any", "field", "operator", "value"];
        if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
            let meant =
                did_you_mean(name, known).map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            return wrong(&format!("has `{}`, which no filter has{meant}", name.escape_debug()));
        }
        for name in ["all", "any"] {
            let Some(list) = members.get(name) else { continue };
            if members.len() > 1 {
                return wrong(&format!("has more beside `{name}`, which stands alone"));
            }
            let path = format!("{path}/{name}");
            let Value::Array(list) = list else { return Err(Problem::new(path, "is no list of filters")) };
            let each = list.iter().enumerate().map(|(at, one)| Self::of(one, &format!("{path}/{at}")));
            let list = each.collect::<Result<Vec<_>, _>>()?;
            return Ok(if name == "all" { Self::All { all: list } } else { Self::Any { any: list } });
        }
        let text = |name: &str| match members.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(Problem::new(format!("{path}/{name}"), "is no text")),
            None => Err(Problem::new(path, format!("has no `{name}`"))),
        };
        let (field, name) = (text("field")?, text("operator")?);
        let names = Operator::ALL.iter().map(|(name, _)| *name);
        let Some((_, operator)) = Operator::ALL.iter().find(|(known, _)| *known == name) else {
            let meant = match did_you_mean(name, names.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
            };
            let text = format!("is no operator, `{}`: {meant}", name.escape_debug());
            return Err(Problem::new(format!("{path}/operator"), text));
        };
        let value = members.get("value").cloned().filter(|value| !value.is_null());
        Ok(Self::Test(Test { field: field.to_owned(), operator: *operator, value }))
    }

    /// Reads a filter that is written as JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read_json(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            format!("the filter is no JSON, at line {}, column {}", error.line(), error.column())
        })?;
        Self::of(&value, "").map_err(|wrong| match wrong.path.as_str() {
            "" => format!("the filter {}", wrong.message),
            path => format!("{path} of the filter {}", wrong.message),
        })
    }

    /// Whether an event's data is wanted.
    #[must_use]
    pub fn holds(&self, data: &Value) -> bool {
        match self {
            Self::All { all } => all.iter().all(|one| one.holds(data)),
            Self::Any { any } => any.iter().any(|one| one.holds(data)),
            Self::Test(test) => test.holds(data),
        }
    }

    /// What is wrong with it, for events of this schema.
    #[must_use]
    pub fn check(&self, event: &Value, defs: &Map<String, Value>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut count = 0;
        self.check_within(event, defs, "/filter", DEPTH, &mut count, &mut problems);
        if count > MOST {
            problems.push(Problem::new("/filter", format!("has more than {MOST} tests")));
        }
        problems
    }

    fn check_within(
        &self,
        event: &Value,
        defs: &Map<String, Value>,
        path: &str,
        left: usize,
        count: &mut usize,
        problems: &mut Vec<Problem>,
    ) {
        let (name, several) = match self {
            Self::All { all } => ("all", all),
            Self::Any { any } => ("any", any),
            Self::Test(test) => {
                *count += 1;
                problems.extend(
                    test.check(event, defs)
                        .map(|(member, wrong)| Problem::new(format!("{path}/{member}"), wrong)),
                );
                return;
            }
        };
        if left == 0 {
            problems.push(Problem::new(path, format!("lies more than {DEPTH} deep")));
            return;
        }
        if several.is_empty() {
            problems.push(Problem::new(format!("{path}/{name}"), "must not be empty"));
        }
        for (at, one) in several.iter().enumerate().take(MOST + 1) {
            one.check_within(event, defs, &format!("{path}/{name}/{at}"), left - 1, count, problems);
        }
    }
}

impl Test {
    fn holds(&self, data: &Value) -> bool {
        let mut found = Vec::new();
        values(data, &self.field, &mut found);
        let value = self.value.as_ref().unwrap_or(&Value::Null);
        let any = |fits: &dyn Fn(&Value) -> bool| found.iter().any(|found| fits(found));
        let text = |fits: &dyn Fn(&str, &str) -> bool| {
            let wanted = said(value).to_lowercase();
            any(&|found| fits(&said(found).to_lowercase(), &wanted))
        };
        let compared =
            |fits: &dyn Fn(Ordering) -> bool| any(&|found| compare(found, value).is_some_and(fits));
        match self.operator {
            Operator::Equals => any(&|found| is_same(found, value)),
            Operator::NotEquals => !any(&|found| is_same(found, value)),
            Operator::OneOf => {
                let wanted = value.as_array().map(Vec::as_slice).unwrap_or_default();
                any(&|found| wanted.iter().any(|value| is_same(found, value)))
            }
            Operator::Contains => text(&|found, wanted| found.contains(wanted)),
            Operator::NotContains => !text(&|found, wanted| found.contains(wanted)),
            Operator::StartsWith => text(&|found, wanted| found.starts_with(wanted)),
            Operator::EndsWith => text(&|found, wanted| found.ends_with(wanted)),
            Operator::Greater => compared(&Ordering::is_gt),
            Operator::AtLeast => compared(&Ordering::is_ge),
            Operator::Less => compared(&Ordering::is_lt),
            Operator::AtMost => compared(&Ordering::is_le),
            Operator::Exists => !found.is_empty(),
            Operator::Missing => found.is_empty(),
        }
    }

    /// What is wrong with it, and with which of its members.
    fn check(&self, event: &Value, defs: &Map<String, Value>) -> Option<(&'static str, String)> {
        let kinds = match kinds_at(event, defs, &self.field) {
            Ok(kinds) => kinds,
            Err(meant) => {
                let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
                return Some(("field", format!("is no field of the event{meant}")));
            }
        };
        let may_be = |kind: &str| kinds.is_empty() || kinds.iter().any(|known| known == kind);
        let value = match (&self.value, self.operator.has_value()) {
            (None, true) => return Some(("value", "is missing".to_owned())),
            (Some(_), false) => return Some(("value", "is not compared with anything here".to_owned())),
            (None, false) => return None,
            (Some(value), true) => value,
        };
        if self.operator == Operator::OneOf {
            let fits = value.as_array().is_some_and(|values| !values.is_empty());
            return (!fits).then(|| ("value", "must be a list with something in it".to_owned()));
        }
        if value.is_array() || value.is_object() {
            return Some(("value", "must be a text, a number, true, false or null".to_owned()));
        }
        if self.operator.compares() {
            let is_time = value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok());
            if !value.is_number() && !is_time {
                return Some((
                    "value",
                    "must be a number, or a time such as 2030-01-31T09:00:00Z".to_owned(),
                ));
            }
            let number = may_be("number") || may_be("integer");
            if (value.is_number() && !number) || (is_time && !may_be("string")) {
                return Some(("value", "is of another kind than the field".to_owned()));
            }
            return None;
        }
        if self.operator.looks_into_text() && !(value.is_string() || value.is_number()) {
            return Some(("value", "must be a text".to_owned()));
        }
        let fits = match value {
            Value::Bool(_) => may_be("boolean"),
            // An id is a text that may look like a number.
            Value::Number(_) => may_be("number") || may_be("integer") || may_be("string"),
            _ => true,
        };
        (!fits).then(|| ("value", "is of another kind than the field".to_owned()))
    }
}

/// What is there at a field. Of lists, everything.
fn values<'a>(at: &'a Value, field: &str, found: &mut Vec<&'a Value>) {
    match at {
        Value::Array(items) => items.iter().for_each(|item| values(item, field, found)),
        Value::Null => {}
        other if field.is_empty() => found.push(other),
        Value::Object(members) => {
            let (first, rest) = field.split_once('.').unwrap_or((field, ""));
            if let Some(member) = members.get(first) {
                values(member, rest, found);
            }
        }
        _ => {}
    }
}

/// What a value says, as text.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => {
            found == wanted
                || found
                    .as_f64()
                    .zip(wanted.as_f64())
                    .is_some_and(|(found, wanted)| found.partial_cmp(&wanted).is_some_and(Ordering::is_eq))
        }
        // An id may be written as either.
        (Value::String(text), Value::Number(number)) | (Value::Number(number), Value::String(text)) => {
            *text == number.to_string()
        }
        _ => found == wanted,
    }
}

fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    if let (Some(found), Some(wanted)) = (found.as_f64(), wanted.as_f64()) {
        return found.partial_cmp(&wanted);
    }
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    Some(time(found)?.cmp(&time(wanted)?))
}

/// The kinds of value that a field may have, as a schema says; none if it does not. Without such a field, what may have been meant.
fn kinds_at(event: &Value, defs: &Map<String, Value>, field: &str) -> Result<Vec<String>, Option<String>> {
    let mut at = vec![event];
    let mut walked = String::new();
    for step in field.split('.') {
        let all: Vec<&Value> = at.iter().flat_map(|schema| variants(schema, defs)).collect();
        let properties = || all.iter().filter_map(|schema| schema.get("properties")?.as_object());
        let next: Vec<&Value> = properties().filter_map(|properties| properties.get(step)).collect();
        if next.is_empty() {
            let names = properties().flat_map(Map::keys).map(String::as_str);
            return Err(did_you_mean(step, names).map(|meant| format!("{walked}{meant}")));
        }
        walked = format!("{walked}{step}.");
        at = next;
    }
    let all = at.iter().flat_map(|schema| variants(schema, defs));
    let kinds = all.flat_map(|schema| match schema.get("type") {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    });
    Ok(kinds.collect())
}

/// What a schema may stand for: what it refers to, each of its alternatives, and the items of its lists.
fn variants<'a>(schema: &'a Value, defs: &'a Map<String, Value>) -> Vec<&'a Value> {
    let mut found = Vec::new();
    let mut waiting = vec![schema];
    while let Some(schema) = waiting.pop() {
        if found.len() > MOST {
            break;
        }
        let schema = schema::resolve(schema, defs);
        found.push(schema);
        for several in ["anyOf", "oneOf", "allOf"] {
            waiting.extend(schema.get(several).and_then(Value::as_array).into_iter().flatten());
        }
        waiting.extend(schema.get("items"));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test(text: &str) -> Filter {
        Filter::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn event() -> Value {
        json!({
            "meeting": {"id": "92674392836", "topic": "Product Demo", "duration": 45, "start": "2030-01-31T09:00:00Z", "note": null},
            "files": [{"kind": "MP4", "bytes": 5}, {"kind": "CHAT", "bytes": 1}],
            "host": true,
        })
    }

    #[test]
    fn what_holds_holds() {
        for (text, holds) in [
            ("meeting.topic equals \"Product Demo\"", true),
            ("meeting.topic = Product Demo", true),
            ("meeting.topic = demo", false),
            ("meeting.topic != demo", true),
            ("meeting.topic contains demo", true),
            ("meeting.topic not_contains demo", false),
            ("meeting.topic starts_with product", true),
            ("meeting.topic ends_with DEMO", true),
            ("meeting.id = 92674392836", true),
            ("meeting.duration >= 45", true),
            ("meeting.duration > 45", false),
            ("meeting.duration < 45.5", true),
            ("meeting.duration at_most 44", false),
            ("meeting.start > 2030-01-31T08:59:59Z", true),
            ("meeting.start less 2030-01-31T09:00:00+01:00", false),
            ("files.kind = CHAT", true),
            ("files.kind != CHAT", false),
            ("files.bytes > 5", false),
            ("files.kind one_of [\"M4A\", \"MP4\"]", true),
            ("host = true", true),
            ("meeting.note exists", false),
            ("meeting.note missing", true),
            ("meeting.other missing", true),
            ("meeting.other != x", true),
            ("meeting.other contains x", false),
            ("meeting.topic.deeper exists", false),
        ] {
            assert_eq!(test(text).holds(&event()), holds, "{text}");
        }
        let (yes, no) = (test("host = true"), test("host = false"));
        let all = |all: &[&Filter]| Filter::All { all: all.iter().copied().cloned().collect() };
        let any = |any: &[&Filter]| Filter::Any { any: any.iter().copied().cloned().collect() };
        assert!(all(&[&yes, &yes]).holds(&event()));
        assert!(!all(&[&yes, &no]).holds(&event()));
        assert!(any(&[&no, &yes]).holds(&event()));
        assert!(!any(&[&no, &all(&[&no, &yes])]).holds(&event()));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let text = json!({"all": [
            {"field": "host", "operator": "equals", "value": true},
            {"any": [{"field": "meeting.topic", "operator": "exists"}]},
        ]});
        let filter: Filter = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&filter).unwrap(), text);
        for unfit in
            [json!({"field": "a"}), json!({"every": []}), json!({"field": "a", "operator": "is", "value": 1})]
        {
            assert!(serde_json::from_value::<Filter>(unfit.clone()).is_err(), "{unfit}");
        }
    }

    #[test]
    fn what_cannot_hold_is_told_when_it_is_saved() {
        let defs = json!({"Meeting": {"type": "object", "properties": {
            "topic": {"type": ["string", "null"]}, "duration": {"type": "integer"}, "start": {"type": "string"},
        }}});
        let schema = json!({"type": "object", "properties": {
            "meeting": {"anyOf": [{"$ref": "#/$defs/Meeting"}, {"type": "null"}]},
            "files": {"type": "array", "items": {"type": "object", "properties": {"kind": {"type": "string"}}}},
            "host": {"type": "boolean"},
        }});
        let defs = defs.as_object().unwrap();
        let check = |filter: &Filter| {
            filter
                .check(&schema, defs)
                .iter()
                .map(|p| format!("{} {}", p.path, p.message))
                .collect::<Vec<_>>()
        };
        for text in [
            "meeting.topic contains demo",
            "meeting.duration > 5",
            "files.kind = MP4",
            "meeting.start > 2030-01-31T09:00:00Z",
            "host = true",
            "meeting exists",
            "meeting.topic = 7",
        ] {
            assert_eq!(check(&test(text)), Vec::<String>::new(), "{text}");
        }
        for (text, wrong) in [
            ("meeting.topik = x", "/filter/field is no field of the event; did you mean `meeting.topic`?"),
            ("nothing = x", "/filter/field is no field of the event"),
            (
                "meeting.duration > soon",
                "/filter/value must be a number, or a time such as 2030-01-31T09:00:00Z",
            ),
            ("meeting.topic > 7", "/filter/value is of another kind than the field"),
            ("meeting.topic = true", "/filter/value is of another kind than the field"),
            ("files.kind one_of MP4", "/filter/value must be a list with something in it"),
            ("files.kind = {\"a\": 1}", "/filter/value must be a text, a number, true, false or null"),
        ] {
            assert_eq!(check(&test(text)), [wrong], "{text}");
        }
        let deep = (0..20).fold(test("host = true"), |inner, _| Filter::All { all: vec![inner] });
        assert!(check(&deep)[0].ends_with("lies more than 8 deep"), "{:?}", check(&deep));
        let many = Filter::Any { any: vec![test("host = true"); 200] };
        assert_eq!(check(&many), ["/filter has more than 100 tests"]);
        assert_eq!(check(&Filter::Any { any: vec![] }), ["/filter/any must not be empty"]);
    }

    #[test]
    fn a_test_that_is_none_is_refused_with_what_may_be_written() {
        for (text, wrong) in [
            ("topic contain demo", "did you mean `contains`?"),
            ("topic contains", "needs something to compare with"),
            ("topic exists yes", "compares with nothing"),
            ("", "is no test"),
        ] {
            let error = Filter::read(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
