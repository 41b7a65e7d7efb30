//! From the schema of an object to its fields: what all its parts say of one field is gathered there.

use std::collections::HashMap;

use connector_protocol::schema::escape;
use serde_json::{Map, Value};

use super::{Builder, MAX_DEPTH, Part, humanise, plain, size, type_of};
use crate::forms::{
    Condition,
    model::{Count, Field, Kind, More, Object, Rule, Variant, Variants},
};

/// How many schemas may be merged into one object, so that a circle of references ends.
const MAX_PARTS: usize = 500;

/// How many of them may stand behind each other, so that it ends before the stack does.
const MAX_NESTED: usize = 64;

/// What is said of one field by all parts of its object's schema.
struct Said {
    name: String,
    parts: Vec<Part>,
    required: Condition,
    forbidden: Condition,
    order: Option<i64>,
    read_only: bool,
}

impl Said {
    fn new(name: &str) -> Self {
        let never = Condition::always().negated();
        Self {
            name: name.to_owned(),
            parts: Vec::new(),
            required: never.clone(),
            forbidden: never,
            order: None,
            read_only: false,
        }
    }
}

#[derive(Default)]
struct Gathered {
    fields: Vec<Said>,
    /// Where each name is among the fields.
    places: HashMap<String, usize>,
    rules: Vec<Rule>,
    variants: Option<Vec<Map<String, Value>>>,
    more: Option<More>,
    /// The only names that there may be under a condition.
    only: Vec<(Condition, Vec<String>)>,
    parts: usize,
    nested: usize,
}

impl Gathered {
    fn field(&mut self, name: &str) -> &mut Said {
        let at = match self.places.get(name) {
            Some(at) => *at,
            None => {
                self.places.insert(name.to_owned(), self.fields.len());
                self.fields.push(Said::new(name));
                self.fields.len() - 1
            }
        };
        &mut self.fields[at]
    }

    fn require(&mut self, name: &str, when: &Condition) {
        let field = self.field(name);
        field.required = std::mem::replace(&mut field.required, Condition::always()).or(when.clone());
    }

    fn forbid(&mut self, name: &str, when: &Condition) {
        let field = self.field(name);
        field.forbidden = std::mem::replace(&mut field.forbidden, Condition::always()).or(when.clone());
    }
}

pub(super) fn build(builder: &Builder<'_>, parts: Vec<Part>, depth: usize) -> Object {
    let mut gathered = Gathered::default();
    for part in parts {
        gather(builder, &mut gathered, part, depth);
    }
    for (index, (when, names)) in std::mem::take(&mut gathered.only).into_iter().enumerate() {
        if !builder.affords(gathered.fields.len() * (names.len() + index + when.size())) {
            break;
        }
        let others: Vec<String> = gathered
            .fields
            .iter()
            .map(|field| field.name.clone())
            .filter(|name| !names.contains(name))
            .collect();
        others.iter().for_each(|name| gathered.forbid(name, &when));
    }
    // What has a number comes first, by it; sorting keeps the rest as it is.
    gathered.fields.sort_by_key(|field| (field.order.is_none(), field.order));
    let variants =
        gathered.variants.and_then(|branches| variants(builder, branches, &mut gathered.fields, depth));
    let mut fields: Vec<Field> =
        gathered.fields.into_iter().filter_map(|said| finish(builder, said, depth)).collect();
    zones_beside_times(&mut fields);
    Object { fields, rules: gathered.rules, variants, more: gathered.more.map(Box::new) }
}

/// Puts the field of a time zone right behind the time that it completes.
fn zones_beside_times(fields: &mut Vec<Field>) {
    fn zone_of(field: &Field) -> Option<&str> {
        match &field.kind {
            Kind::DateTime { timezone_field } => timezone_field.as_deref(),
            _ => None,
        }
    }
    let zones: Vec<String> = fields.iter().filter_map(zone_of).map(str::to_owned).collect();
    for zone in zones {
        // Of several times with one zone, it is the first one that it stands beside.
        let time = fields.iter().position(|field| zone_of(field) == Some(zone.as_str()));
        let at = fields.iter().position(|field| field.name == zone);
        if let (Some(time), Some(at)) = (time, at)
            && at != time
            && at != time + 1
        {
            let field = fields.remove(at);
            let time = if at < time { time - 1 } else { time };
            fields.insert(time + 1, field);
        }
    }
}

fn finish(builder: &Builder<'_>, said: Said, depth: usize) -> Option<Field> {
    let unheard_of = said.parts.is_empty() && said.required.is_never();
    if said.read_only || unheard_of || said.forbidden.is_always() {
        return None;
    }
    // A field that only conditional parts know is there when one of them counts.
    let known: Vec<&Condition> = said.parts.iter().map(|part| &part.when).collect();
    let there = known.into_iter().cloned().reduce(Condition::or).unwrap_or_else(Condition::always);
    let mut parts = said.parts;
    if parts.is_empty() {
        parts.push(Part::certain(Map::new()));
    }
    if !there.is_always() {
        // Without anything that always counts, the first part says what the field is.
        parts[0].when = Condition::always();
    }
    let mut field = builder.field(&said.name, parts, depth);
    let shown = there.and(said.forbidden.negated());
    field.required = said.required.is_always() && shown.is_always();
    field.required_when = match said.required {
        _ if field.required => None,
        // Needed whenever it is there.
        required if required.is_always() => Some(shown.clone()),
        required => (!required.is_never()).then_some(required),
    };
    field.shown_when = (!shown.is_always()).then_some(shown);
    Some(field)
}

fn gather(builder: &Builder<'_>, gathered: &mut Gathered, part: Part, depth: usize) {
    gathered.parts += 1;
    if gathered.parts > MAX_PARTS {
        return;
    }
    let Part { when, schema } = part;
    let schema = builder.followed(schema);
    // Each thing that is said under a condition carries it.
    let weight = 1 + when.size();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if !builder.affords(weight) {
            return;
        }
        match property {
            Value::Bool(false) => gathered.forbid(name, &when),
            Value::Object(property) => {
                let whole = builder.followed(builder.copy(property));
                let order = whole.get("x-ui").and_then(|ui| ui.get("order")?.as_i64());
                let hidden = whole.get("readOnly") == Some(&Value::Bool(true))
                    || whole
                        .get("x-ui")
                        .and_then(|ui| ui.get("visibility"))
                        .is_some_and(|who| who == "internal");
                let field = gathered.field(name);
                field.order = field.order.or(order);
                field.read_only |= hidden;
                field.parts.push(Part { when: when.clone(), schema: whole });
            }
            _ => gathered.field(name).parts.push(Part { when: when.clone(), schema: Map::new() }),
        }
    }
    for name in strings(schema.get("required")) {
        if !builder.affords(weight) {
            return;
        }
        gathered.require(&name, &when);
    }
    for (name, others) in schema.get("dependentRequired").and_then(Value::as_object).into_iter().flatten() {
        for other in strings(Some(others)) {
            if !builder.affords(weight) {
                return;
            }
            gathered.require(&other, &when.clone().and(Condition::given(name)));
        }
    }
    let mut onward = |condition: Condition, schema: Option<&Value>| {
        if let Some(Value::Object(schema)) = schema
            && gathered.nested < MAX_NESTED
            && builder.affords(weight)
        {
            let part = Part { when: when.clone().and(condition), schema: builder.copy(schema) };
            gathered.nested += 1;
            gather(builder, gathered, part, depth);
            gathered.nested -= 1;
        }
    };
    for (name, schema) in schema.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten() {
        onward(Condition::given(name), Some(schema));
    }
    for schema in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        onward(Condition::always(), Some(schema));
    }
    if let Some(test) = schema.get("if").and_then(Value::as_object)
        // Each part of a test is compared with the others.
        && builder.affords(test.values().map(size).sum::<usize>().saturating_pow(2))
        && let Some(condition) = Condition::of_schema(test, &[])
    {
        onward(condition.clone(), schema.get("then"));
        onward(condition.negated(), schema.get("else"));
    }
    if let Some(names) = schema.get("propertyNames").and_then(|names| names.get("enum")) {
        gathered.only.push((when.clone(), strings(Some(names))));
    }
    together(gathered, &when, &schema);
    if when.is_always() {
        branches(builder, gathered, &schema);
        more(builder, gathered, &schema, depth);
    }
}

/// Fields that may not be given together: `not: {required: [a, b]}`.
fn together(gathered: &mut Gathered, when: &Condition, schema: &Map<String, Value>) {
    let Some(not) = schema.get("not").and_then(Value::as_object).filter(|not| not.len() == 1) else { return };
    let fields = strings(not.get("required"));
    match fields.as_slice() {
        [] => {}
        [one] => gathered.forbid(one, when),
        _ if when.is_always() => {
            let rule = Rule { count: Count::NotAll, fields, message: message(schema, "not") };
            gathered.rules.push(rule);
        }
        _ => {}
    }
}

/// What `oneOf` and `anyOf` say of an object: how many of some fields must be given, or which forms it may have.
fn branches(builder: &Builder<'_>, gathered: &mut Gathered, schema: &Map<String, Value>) {
    for (keyword, count) in [("oneOf", Count::ExactlyOne), ("anyOf", Count::AtLeastOne)] {
        let Some(branches) = schema.get(keyword).and_then(Value::as_array) else { continue };
        let branches: Vec<Map<String, Value>> = branches
            .iter()
            .filter_map(Value::as_object)
            .map(|branch| builder.followed(builder.copy(branch)))
            .collect();
        let needs_one =
            |branch: &Map<String, Value>| match (branch.len(), strings(branch.get("required")).as_slice()) {
                (1, [one]) => Some(one.clone()),
                _ => None,
            };
        let single: Option<Vec<String>> = branches.iter().map(needs_one).collect();
        if let Some(fields) = single.filter(|fields| !fields.is_empty()) {
            gathered.rules.push(Rule { count, fields, message: message(schema, keyword) });
        } else if branches.iter().all(|branch| type_of(branch) == Some("object")) && !branches.is_empty() {
            gathered.variants.get_or_insert(branches);
        }
    }
}

/// The forms that an object may have, beside the fields that all of them share.
fn variants(
    builder: &Builder<'_>,
    branches: Vec<Map<String, Value>>,
    shared: &mut Vec<Said>,
    depth: usize,
) -> Option<Variants> {
    if depth >= MAX_DEPTH {
        return None;
    }
    let constant = |branch: &Map<String, Value>, name: &str| {
        let property = branch.get("properties")?.get(name)?;
        let property = builder.followed(builder.copy(property.as_object()?));
        let only = property.get("enum").and_then(Value::as_array).filter(|values| values.len() == 1);
        property.get("const").or_else(|| only?.first()).cloned()
    };
    // The member that every branch has, required, with a value of its own.
    let names: Vec<String> = branches.first()?.get("properties")?.as_object()?.keys().cloned().collect();
    let member = names.into_iter().find(|name| {
        let mut seen: Vec<Value> = Vec::new();
        branches.iter().all(|branch| {
            let value = constant(branch, name).filter(|value| !seen.contains(value));
            seen.extend(value.clone());
            value.is_some() && strings(branch.get("required")).contains(name)
        })
    });
    // What the object says of that member itself is how it is told apart, and not asked for again.
    shared.retain(|field| Some(&field.name) != member.as_ref());
    let variant = |(index, mut branch): (usize, Map<String, Value>)| {
        let value = member.as_ref().and_then(|name| constant(&branch, name));
        let text = |branch: &Map<String, Value>, keyword: &str| {
            branch.get(keyword).and_then(Value::as_str).map(str::to_owned)
        };
        let title = text(&branch, "title")
            .or_else(|| value.as_ref().map(|value| humanise(&plain(value))))
            .unwrap_or_else(|| format!("Form {}", index + 1));
        let help = text(&branch, "description").unwrap_or_default();
        if let (Some(name), Some(Value::Object(properties))) = (&member, branch.get_mut("properties")) {
            properties.shift_remove(name);
        }
        if let (Some(name), Some(Value::Array(required))) = (&member, branch.get_mut("required")) {
            required.retain(|required| required != name);
        }
        let object = build(builder, vec![Part::certain(branch)], depth + 1);
        Variant { title, help, value, object }
    };
    let of = branches.into_iter().enumerate().map(variant).collect();
    Some(Variants { member, of })
}

/// Members whose names nobody has fixed.
fn more(builder: &Builder<'_>, gathered: &mut Gathered, schema: &Map<String, Value>, depth: usize) {
    if gathered.more.is_some() || depth >= MAX_DEPTH {
        return;
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let by_pattern =
        patterns.filter(|patterns| patterns.len() == 1).and_then(|patterns| patterns.iter().next());
    let (name_pattern, value) = match (by_pattern, schema.get("additionalProperties")) {
        (Some((pattern, value)), _) => (Some(pattern.clone()), value),
        (None, Some(value @ Value::Object(_))) => {
            let names =
                schema.get("propertyNames").and_then(|names| names.get("pattern")).and_then(Value::as_str);
            (names.map(str::to_owned), value)
        }
        _ => return,
    };
    let Value::Object(value) = value else { return };
    let mut value = builder.field("", vec![Part::certain(builder.copy(value))], depth + 1);
    value.required = true;
    gathered.more = Some(More { name_pattern, value });
}

fn message(schema: &Map<String, Value>, keyword: &str) -> Option<String> {
    let errors = schema.get("x-ui")?.get("errors")?;
    errors.pointer(&format!("/{}", escape(keyword)))?.as_str().map(str::to_owned)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
