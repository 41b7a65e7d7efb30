//! A value that fits a schema goes into the form, and comes out of it as it was.

use jackfield::forms::{
    page::{self, Control, Fields, Item, View},
    submitted,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    form,
    generate::{self, Chance},
    inputs, validator,
};

/// What comes back from a page that was sent as it is.
fn through_a_page(schema: &Value, value: &Value) -> Value {
    let form = form(schema);
    let (fields, _) = page::view(&form, Some(value), &[], true);
    let sent = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields.pairs()).finish();
    submitted::value(&form, &submitted::pairs(&sent), Some(value))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, verbose: 0, ..ProptestConfig::default() })]

    #[test]
    fn what_fits_a_schema_survives_its_form_and_back(schema in generate::schema(), seed in any::<u64>()) {
        let schema = generate::with_defs(schema);
        let valid = validator(&schema);
        let value = generate::value(&schema, &mut Chance(seed), &valid);
        let Some(value) = value else { return Ok(()) };
        let back = through_a_page(&schema, &value);
        prop_assert_eq!(&back, &value, "{}", serde_json::to_string(&schema).unwrap());
    }

    #[test]
    fn what_fits_an_action_survives_its_form_and_back(index in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let (name, schema) = index.get(inputs());
        let value = generate::value(schema, &mut Chance(seed), &validator(schema));
        let Some(value) = value else { return Ok(()) };
        prop_assert_eq!(through_a_page(schema, &value), value, "{}", name);
    }
}

/// Without this, the two above would also hold if chance found nothing that fits.
#[test]
fn chance_finds_values_for_every_action() {
    for (name, schema) in inputs() {
        let valid = validator(schema);
        let found: Vec<Value> =
            (0..40).filter_map(|seed| generate::value(schema, &mut Chance(seed), &valid)).collect();
        let members = found.iter().filter_map(Value::as_object).map(serde_json::Map::len).max();
        assert!(found.len() >= 20, "{name}: {} of 40", found.len());
        assert!(
            schema["properties"].as_object().is_none_or(|fields| members >= Some(fields.len().min(3))),
            "{name}"
        );
    }
}

/// Without this, the two above would also hold for a form that shows everything as JSON.
#[test]
fn every_field_of_every_action_is_drawn_as_what_it_is() {
    fn count(fields: &Fields, raw: &mut Vec<String>) -> usize {
        let view = |view: &View, raw: &mut Vec<String>| each(view, raw);
        let items = fields.items.iter().map(|item| match item {
            Item::Field(field) => view(field, raw),
            Item::Pair { time, zone } => view(time, raw) + view(zone, raw),
            Item::Group(group) => group.fields.iter().map(|field| view(field, raw)).sum(),
        });
        items.sum::<usize>() + fields.variants.iter().map(|fields| count(fields, raw)).sum::<usize>()
    }
    fn each(view: &View, raw: &mut Vec<String>) -> usize {
        1 + match &view.control {
            Control::Json { .. } => {
                raw.push(view.name.clone());
                0
            }
            Control::Fields(fields) => count(fields, raw),
            Control::Rows { rows, spare } => rows.iter().chain(spare).map(|row| each(row, raw)).sum(),
            Control::Either { options, .. } => options.iter().map(|option| each(option, raw)).sum(),
            _ => 0,
        }
    }
    let mut total = 0;
    for (name, schema) in inputs() {
        let (fields, _) = page::view(&form(schema), None, &[], true);
        let mut raw = Vec::new();
        total += count(&fields, &mut raw);
        assert_eq!(raw, Vec::<String>::new(), "{name}");
    }
    assert!(total > 300, "there are {total} fields in all");
}
