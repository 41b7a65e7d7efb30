//! Values of single fields: what a text means for one, and which values one can show. Whether a value is right is not said
//! here.

use std::sync::OnceLock;

use jiff::{
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde_json::{Map, Value};

use super::model::{Field, Kind, Object, Variants};

/// Whether a field can show exactly this value, and give it back.
pub(super) fn fits(field: &Field, value: &Value) -> bool {
    match &field.kind {
        Kind::Text { .. } | Kind::File { .. } | Kind::TimeZone => value.is_string(),
        Kind::Number { .. } => value.is_number(),
        Kind::Toggle => value.is_boolean(),
        Kind::Choice { choices, .. } => choices.iter().any(|choice| choice.value == *value),
        Kind::Choices { choices, .. } => value.as_array().is_some_and(|items| {
            // In the order of the choices, since that is how they come back.
            let mut places = items.iter().map(|item| choices.iter().position(|choice| choice.value == *item));
            places
                .try_fold(None, |before, place| (place > before && place.is_some()).then_some(place))
                .is_some()
                || items.is_empty()
        }),
        Kind::Date => value.as_str().is_some_and(is_date),
        Kind::DateTime { timezone_field: Some(_) } => value.as_str().is_some_and(is_local),
        Kind::DateTime { timezone_field: None } => value.as_str().is_some_and(|text| in_utc(text).is_some()),
        Kind::List { item, .. } => {
            value.as_array().is_some_and(|items| items.iter().all(|one| fits(item, one)))
        }
        Kind::Object(object) => value.as_object().is_some_and(|members| object_fits(object, members)),
        Kind::Either { options } => options.iter().any(|option| fits(option, value)),
        Kind::Constant { value: only } => only == value,
        Kind::Json => true,
    }
}

/// Whether an object has what is required of one, and nothing that its fields cannot show.
fn object_fits(object: &Object, members: &Map<String, Value>) -> bool {
    let shows = |field: &Field| match members.get(&field.name) {
        Some(value) => fits(field, value) || (field.clearable && value.is_null()),
        None => !field.required,
    };
    let known = |name: &String| object.fields.iter().any(|field| field.name == *name);
    let variant = object.variants.as_ref().map(|variants| chosen(variants, members));
    let in_variant = |name: &String| match (&object.variants, variant) {
        (Some(variants), Some(Some(index))) => {
            variants.member.as_ref() == Some(name)
                || variants.of[index].object.fields.iter().any(|field| field.name == *name)
        }
        _ => false,
    };
    object.fields.iter().all(shows)
        && variant != Some(None)
        && (object.more.is_some() || members.keys().all(|name| known(name) || in_variant(name)))
}

/// Which variant an object has: by the member that tells them apart, else the first one that can show it.
pub(super) fn chosen(variants: &Variants, members: &Map<String, Value>) -> Option<usize> {
    match &variants.member {
        Some(name) => {
            let value = members.get(name)?;
            variants.of.iter().position(|variant| variant.value.as_ref() == Some(value))
        }
        None => variants.of.iter().position(|variant| {
            let own = |name: &&String| variant.object.fields.iter().any(|field| field.name == **name);
            let mine: Map<String, Value> = members
                .iter()
                .filter(|(name, _)| own(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            object_fits(&variant.object, &mine)
        }),
    }
}

/// What a text means for a field that takes one value.
///
/// # Errors
///
/// What it must be instead.
pub(super) fn parse(field: &Field, text: &str) -> Result<Value, String> {
    match &field.kind {
        Kind::Number { integer, .. } => {
            let number: Option<Value> =
                serde_json::from_str(text.trim()).ok().filter(|value: &Value| value.is_number());
            let whole = |value: &Value| {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
            };
            match number {
                Some(number) if !integer || whole(&number) => Ok(number),
                _ => Err(format!("must be {}", if *integer { "a whole number" } else { "a number" })),
            }
        }
        Kind::Date => match text.trim().parse::<Date>() {
            Ok(date) => Ok(Value::String(date.to_string())),
            Err(_) => Err("must be a date, like 2026-12-01".to_owned()),
        },
        Kind::DateTime { .. } => time(text),
        Kind::TimeZone => {
            let name = text.trim();
            let known = time_zones().iter().find(|zone| zone.eq_ignore_ascii_case(name)).copied();
            // There are older names than those that are offered.
            match known.or_else(|| TimeZone::get(name).is_ok().then_some(name)) {
                Some(zone) => Ok(Value::String(zone.to_owned())),
                None => Err(match connector_protocol::did_you_mean(name, time_zones().iter().copied()) {
                    Some(meant) => format!("must be the name of a time zone; did you mean {meant}?"),
                    None => "must be the name of a time zone, like Europe/Berlin".to_owned(),
                }),
            }
        }
        Kind::Toggle => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" => Ok(Value::Bool(true)),
            "false" | "no" | "n" => Ok(Value::Bool(false)),
            _ => Err("must be true or false".to_owned()),
        },
        Kind::Json => serde_json::from_str(text).map_err(|_| "must be JSON".to_owned()),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// A time as people write it - `2026-12-01 10:00` - as it is sent; what names an offset keeps it.
fn time(text: &str) -> Result<Value, String> {
    let text = text.trim().replacen(' ', "T", 1);
    if is_with_offset(&text) {
        return Ok(Value::String(text));
    }
    match text.parse::<DateTime>() {
        Ok(time) if text.contains('T') => Ok(Value::String(local(time))),
        _ => Err("must be a date and a time, like 2026-12-01 10:00".to_owned()),
    }
}

pub(super) fn is_with_offset(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// A local time and the zone in which it is meant, as a point in time.
///
/// # Errors
///
/// If there is no such zone, or no such time in it.
pub(super) fn point_in_time(local: &str, zone: &str) -> Result<Value, String> {
    let zone = TimeZone::get(zone).map_err(|_| format!("there is no time zone {zone}"))?;
    let local: DateTime =
        local.parse().map_err(|_| "must be a date and a time, like 2026-12-01 10:00".to_owned())?;
    let time = local.to_zoned(zone).map_err(|_| "is out of range".to_owned())?.timestamp();
    Ok(Value::String(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

/// The local part of a point in time that is written as we write one.
pub(super) fn in_utc(text: &str) -> Option<String> {
    let local = text.strip_suffix('Z')?;
    is_local(local).then(|| local.to_owned())
}

fn local(time: DateTime) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Whether a local time is written as we write one.
pub(super) fn is_local(text: &str) -> bool {
    text.parse::<DateTime>().is_ok_and(|time| time.year() > 0 && local(time) == text)
}

fn is_date(text: &str) -> bool {
    text.parse::<Date>().is_ok_and(|date| date.year() > 0 && date.to_string() == text)
}

/// The regions of the world that names of time zones begin with; what begins otherwise is old, or not meant for people.
const REGIONS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
];

/// The names of the time zones that are offered, in their order.
pub(super) fn time_zones() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let names = jiff::tz::db().available().map(|name| &*name.to_string().leak());
        let is_offered = |name: &&str| {
            *name == "UTC" || name.split_once('/').is_some_and(|(region, _)| REGIONS.contains(&region))
        };
        let mut names: Vec<&str> = names.filter(is_offered).collect();
        names.sort_unstable();
        names
    })
}

/// A value as one line of text.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
