//! Questions about what there may be several of, or of several kinds: lists, members with names of their own, variants.

use serde_json::{Map, Value};

use super::{Away, Choose, Interview, Line, Valid, below, shown, star};
use crate::forms::{
    model::{Field, Kind, Object, Variants},
    value::chosen,
};

impl Interview<'_> {
    /// Lets somebody add, change and take out items.
    pub(super) fn list(
        &mut self,
        field: &Field,
        item: &Field,
        least: Option<u64>,
        here: &str,
        needed: bool,
    ) -> Result<(), Away> {
        let was_there = self.get(here).is_some();
        let count = |interview: &Self| interview.get(here).and_then(Value::as_array).map_or(0, Vec::len);
        // The first one is what somebody came for.
        if !was_there && (!needed || least.unwrap_or_default() > 0) {
            self.add(field, item, here)?;
        }
        loop {
            let items = self.get(here).and_then(Value::as_array).cloned().unwrap_or_default();
            let mut options = vec!["Done".to_owned(), format!("Add to {}", field.label)];
            for (index, value) in items.iter().enumerate() {
                options.push(format!("Change {}: {}", index + 1, line(item, value)));
            }
            for (index, value) in items.iter().enumerate() {
                options.push(format!("Take out {}: {}", index + 1, line(item, value)));
            }
            if items.is_empty() && !needed {
                options.push("Send an empty list".to_owned());
            }
            let choose =
                Choose { message: star(&field.label, needed), help: field.help.clone(), options, at: 0 };
            let done = match self.choose(&choose) {
                Ok(0) => break,
                Ok(1) => self.add(field, item, here),
                Ok(picked) if picked - 2 < items.len() => {
                    let index = picked - 2;
                    self.value_of(&named(item, field, index), &format!("{here}/{index}"), true)
                }
                Ok(picked) if picked - 2 < 2 * items.len() => {
                    self.put(&format!("{here}/{}", picked - 2 - items.len()), None);
                    Ok(())
                }
                Ok(_) => {
                    self.put(here, Some(Value::Array(Vec::new())));
                    return Ok(());
                }
                Err(away) => Err(away),
            };
            match done {
                Err(Away::Back) => {
                    if count(self) == 0 && !was_there {
                        self.put(here, None);
                    }
                    return Err(Away::Back);
                }
                other => other?,
            }
        }
        if count(self) == 0 && !was_there {
            self.put(here, needed.then(|| Value::Array(Vec::new())));
        }
        Ok(())
    }

    fn add(&mut self, field: &Field, item: &Field, here: &str) -> Result<(), Away> {
        if self.get(here).is_none() {
            self.put(here, Some(Value::Array(Vec::new())));
        }
        let index = self.get(here).and_then(Value::as_array).map_or(0, Vec::len);
        let at = format!("{here}/{index}");
        let done = self.value_of(&named(item, field, index), &at, true);
        // A row in which nothing was filled is no row.
        let nothing = self.get(&at).and_then(Value::as_object).is_some_and(Map::is_empty);
        if nothing || done.is_err() {
            self.put(&at, None);
        }
        done
    }

    /// Asks for a member whose name nobody has fixed.
    pub(super) fn more(&mut self, object: &Object, at: &str) -> Result<(), Away> {
        let Some(more) = &object.more else { return Ok(()) };
        let taken: Vec<String> = object.fields.iter().map(|field| field.name.clone()).collect();
        let valid: Valid = std::rc::Rc::new(move |name| match taken.iter().any(|taken| taken == name) {
            true => Err("is a field of its own".to_owned()),
            false => Ok(()),
        });
        let name = self.line(&Line {
            message: "Name".to_owned(),
            help: more.name_pattern.as_ref().map_or(String::new(), |pattern| format!("It matches {pattern}")),
            initial: String::new(),
            placeholder: String::new(),
            secret: false,
            suggestions: &[],
            valid,
        })?;
        if name.is_empty() {
            return Ok(());
        }
        let mut value = more.value.clone();
        value.label = name.clone();
        self.value_of(&value, &below(at, &name), true)
    }

    /// Asks which of several forms it is, and for what that one has.
    pub(super) fn variant(&mut self, variants: &Variants, at: &str) -> Result<(), Away> {
        let members = self.get(at).and_then(Value::as_object).cloned().unwrap_or_default();
        let before = chosen(variants, &members).filter(|_| !members.is_empty());
        let options = variants.of.iter().map(|variant| match variant.help.as_str() {
            "" => variant.title.clone(),
            help => format!("{}: {help}", variant.title),
        });
        let choose = Choose {
            message: "Which one? *".to_owned(),
            help: String::new(),
            options: options.collect(),
            at: before.unwrap_or_default(),
        };
        let picked = self.choose(&choose)?;
        let Some(variant) = variants.of.get(picked) else { return Ok(()) };
        if let Some(old) = before.filter(|before| *before != picked) {
            for field in &variants.of[old].object.fields {
                self.put(&below(at, &field.name), None);
            }
        }
        if self.get(at).is_none() {
            self.put(at, Some(Value::Object(Map::new())));
        }
        if let (Some(member), Some(value)) = (&variants.member, &variant.value) {
            self.put(&below(at, member), Some(value.clone()));
        }
        self.object(&variant.object, at, &variant.title)
    }
}

/// An item as a field that one can be asked for.
fn named(item: &Field, list: &Field, index: usize) -> Field {
    let mut item = item.clone();
    item.label = format!("{} {}", item_word(&item, list), index + 1);
    item
}

fn item_word(item: &Field, list: &Field) -> String {
    if item.label.is_empty() { list.label.clone() } else { item.label.clone() }
}

/// An item in a menu.
fn line(item: &Field, value: &Value) -> String {
    match (&item.kind, value) {
        (Kind::Object(object), Value::Object(members)) => {
            let parts =
                object.fields.iter().filter_map(|field| Some(shown(field, members.get(&field.name)?)));
            parts.take(2).collect::<Vec<_>>().join(", ")
        }
        _ => shown(item, value),
    }
}
