//! Which changes of a manifest break the uses that people have saved: workflows, forms, subscriptions, connections.
//!
//! A connector may break them, but its version has to say so: a new major version, or a new minor one before 1.0.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    Manifest,
    manifest::{Schema, Scopes, Source},
    schema::{escape, local_name, resolve},
};

/// What breaks uses of `old` when `new` takes its place: one sentence each, beginning with the JSON pointer into the
/// manifest by name (`/actions/create_meeting/input/topic: …`). Empty if nothing does.
#[must_use]
pub fn breaking_changes(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut compare = Compare { old, new, breaks: Vec::new(), seen: HashSet::new() };
    compare.all();
    compare.breaks
}

/// Whether the version of `new` admits that it breaks uses of `old`.
#[must_use]
pub fn version_says_so(old: &Manifest, new: &Manifest) -> bool {
    let (Ok(old), Ok(new)) = (semver::Version::parse(&old.version), semver::Version::parse(&new.version))
    else {
        return false;
    };
    new.major > old.major || (old.major == 0 && new.major == 0 && new.minor > old.minor)
}

/// Which way a value travels: what a use gives may be accepted more widely, what it gets may be promised more closely.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Given,
    Got,
}

struct Compare<'a> {
    old: &'a Manifest,
    new: &'a Manifest,
    breaks: Vec<String>,
    seen: HashSet<(String, String, Way)>,
}

impl Compare<'_> {
    fn breaks(&mut self, path: &str, what: &str) {
        let sentence = format!("{path}: {what}");
        if !self.breaks.contains(&sentence) {
            self.breaks.push(sentence);
        }
    }

    fn all(&mut self) {
        let (old, new) = (self.old, self.new);
        if old.id != new.id {
            self.breaks("/id", &format!("was `{}`", old.id));
        }
        for before in &old.auth {
            let path = format!("/auth/{}", before.name);
            match new.auth(&before.name) {
                None => self.breaks(&path, "is gone"),
                Some(after) => self.schemas(
                    &format!("{path}/parameters"),
                    &before.parameters,
                    &after.parameters,
                    Way::Given,
                ),
            }
        }
        for before in &old.bases {
            if new.base(&before.name).is_none() {
                self.breaks(&format!("/bases/{}", before.name), "is gone");
            }
        }
        for before in &old.webhooks {
            if !new.webhooks.iter().any(|after| after.name == before.name) {
                self.breaks(&format!("/webhooks/{}", before.name), "is gone");
            }
        }
        for before in &old.actions {
            let path = format!("/actions/{}", before.name);
            let Some(after) = new.action(&before.name) else {
                self.breaks(&path, "is gone");
                continue;
            };
            if before.effect != after.effect {
                self.breaks(&format!("{path}/effect"), "is another one");
            }
            if before.paging.as_ref().map(|paging| &paging.items)
                != after.paging.as_ref().map(|paging| &paging.items)
            {
                self.breaks(&format!("{path}/paging/items"), "is another one");
            }
            self.scopes(&path, &before.scopes, &after.scopes);
            self.schemas(&format!("{path}/input"), &before.input, &after.input, Way::Given);
            self.schemas(&format!("{path}/output"), &before.output, &after.output, Way::Got);
        }
        for before in &old.triggers {
            let path = format!("/triggers/{}", before.name);
            let Some(after) = new.trigger(&before.name) else {
                self.breaks(&path, "is gone");
                continue;
            };
            if kind(&before.source) != kind(&after.source) {
                self.breaks(&format!("{path}/source"), "is of another kind");
            }
            self.scopes(&path, &before.scopes, &after.scopes);
            self.schemas(&format!("{path}/parameters"), &before.parameters, &after.parameters, Way::Given);
            self.schemas(&format!("{path}/event"), &before.event, &after.event, Way::Got);
        }
        for before in &old.lookups {
            if !new.lookups.iter().any(|after| after.name == before.name) {
                self.breaks(&format!("/lookups/{}", before.name), "is gone");
            }
        }
    }

    /// A set of scopes that sufficed must still suffice: connections have been made with it.
    fn scopes(&mut self, path: &str, old: &[Scopes], new: &[Scopes]) {
        if new.is_empty() {
            return;
        }
        let suffices =
            |have: &[String]| new.iter().any(|set| set.all.iter().all(|scope| have.contains(scope)));
        if old.is_empty() {
            self.breaks(&format!("{path}/scopes"), "needs a scope now");
        }
        for set in old.iter().filter(|set| !suffices(&set.all)) {
            self.breaks(&format!("{path}/scopes"), &format!("{} no longer suffices", set.all.join(" + ")));
        }
    }

    fn schemas(&mut self, path: &str, old: &Schema, new: &Schema, way: Way) {
        self.members(path, old, new, way);
    }

    fn values(&mut self, path: &str, old: &Value, new: &Value, way: Way) {
        let reference =
            |value: &Value| value.get("$ref").and_then(Value::as_str).and_then(local_name).map(str::to_owned);
        if let (Some(a), Some(b)) = (reference(old), reference(new))
            && !self.seen.insert((a, b, way))
        {
            return;
        }
        match (resolve(old, &self.old.defs), resolve(new, &self.new.defs)) {
            (Value::Object(old), Value::Object(new)) => self.members(path, old, new, way),
            (Value::Bool(true), Value::Object(new)) if way == Way::Given && !new.is_empty() => {
                self.breaks(path, "accepted anything");
            }
            (Value::Object(_) | Value::Bool(true), Value::Bool(false)) => {
                self.breaks(path, "is no longer allowed")
            }
            _ => {}
        }
    }

    fn members(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>, way: Way) {
        self.types(path, old, new, way);
        self.choices(path, old, new, way);
        self.bounds(path, old, new, way);
        self.required(path, old, new, way);
        let fields = |schema: &Map<String, Value>| {
            schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let after = fields(new);
        for (name, field) in &fields(old) {
            let path = format!("{path}/{}", escape(name));
            match after.get(name) {
                Some(now) => self.values(&path, field, now, way),
                None => self.breaks(&path, "is gone"),
            }
        }
        if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
            self.values(&format!("{path}/items"), old, new, way);
        }
        if way == Way::Given {
            self.alternatives(path, old, new);
            let open = |schema: &Map<String, Value>| {
                schema.get("additionalProperties").is_none_or(|more| *more != Value::Bool(false))
            };
            if open(old) && !open(new) {
                self.breaks(path, "no longer takes fields that it does not name");
            }
            let rules = |schema: &Map<String, Value>| -> Vec<Value> {
                let mut rules = schema.get("allOf").and_then(Value::as_array).cloned().unwrap_or_default();
                rules.extend(schema.get("not").cloned());
                rules
            };
            let before = rules(old);
            if rules(new).iter().any(|rule| !before.contains(rule)) {
                self.breaks(path, "has a rule that it did not have");
            }
        }
    }

    /// Whatever was an alternative must still fit one. What was none must fit one too, if there are some now.
    fn alternatives(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        for keyword in ["anyOf", "oneOf"] {
            let branches = |schema: &Map<String, Value>| -> Option<Vec<Value>> {
                let branches = schema.get(keyword)?.as_array()?;
                // A list of constants is a choice, which is looked at elsewhere.
                (!branches.iter().all(|branch| branch.get("const").is_some())).then(|| branches.clone())
            };
            let Some(now) = branches(new) else { continue };
            let without = |keyword: &str| {
                let mut plain = old.clone();
                plain.remove(keyword);
                vec![Value::Object(plain)]
            };
            for before in branches(old).unwrap_or_else(|| without(keyword)) {
                // The one that comes closest says what is missing.
                let mut closest: Option<Vec<String>> = None;
                for after in &now {
                    let (mark, seen) = (self.breaks.len(), self.seen.clone());
                    self.values(path, &before, after, Way::Given);
                    self.seen = seen;
                    let missing = self.breaks.split_off(mark);
                    if closest.as_ref().is_none_or(|closest| missing.len() < closest.len()) {
                        closest = Some(missing);
                    }
                }
                self.breaks.extend(closest.unwrap_or_default());
            }
        }
    }

    fn types(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>, way: Way) {
        let types = |schema: &Map<String, Value>| -> Option<Vec<String>> {
            match schema.get("type")? {
                Value::String(one) => Some(vec![one.clone()]),
                Value::Array(many) => {
                    Some(many.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                _ => None,
            }
        };
        let (old, new) = (types(old), types(new));
        // What must be covered, and by what, depends on which way the value travels.
        let (all, by) = if way == Way::Given { (old, new) } else { (new, old) };
        let covers = |by: &[String], one: &String| {
            by.contains(one) || (one == "integer" && by.iter().any(|t| t == "number"))
        };
        match (all, by) {
            (Some(all), Some(by)) if all.iter().any(|one| !covers(&by, one)) => {
                self.breaks(
                    path,
                    &format!("is {} now", if way == Way::Given { by.join(" or ") } else { all.join(" or ") }),
                );
            }
            (None, Some(_)) => self.breaks(path, "has a narrower type now"),
            _ => {}
        }
    }

    /// Values that could be chosen must still be there. An output may gain values: readers must bear that.
    fn choices(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>, way: Way) {
        let choices = |schema: &Map<String, Value>| -> Option<Vec<Value>> {
            if let Some(values) = schema.get("enum").and_then(Value::as_array) {
                return Some(values.clone());
            }
            schema.get("oneOf")?.as_array()?.iter().map(|branch| branch.get("const").cloned()).collect()
        };
        if way == Way::Got {
            return;
        }
        match (choices(old), choices(new)) {
            (Some(old), Some(new)) => {
                for value in old.iter().filter(|value| !new.contains(value)) {
                    self.breaks(path, &format!("can no longer be {value}"));
                }
            }
            (None, Some(_)) => self.breaks(path, "is limited to a list of values now"),
            _ => {}
        }
    }

    fn bounds(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>, way: Way) {
        if way == Way::Got {
            return;
        }
        for (keyword, upper) in [
            ("maxLength", true),
            ("maximum", true),
            ("maxItems", true),
            ("minLength", false),
            ("minimum", false),
            ("minItems", false),
            ("exclusiveMaximum", true),
            ("exclusiveMinimum", false),
        ] {
            let (before, after) =
                (old.get(keyword).and_then(Value::as_f64), new.get(keyword).and_then(Value::as_f64));
            let tighter = match (before, after) {
                (Some(before), Some(after)) => {
                    if upper {
                        after < before
                    } else {
                        after > before
                    }
                }
                (None, Some(after)) => upper || after > 0.0,
                _ => false,
            };
            if tighter {
                self.breaks(path, &format!("has a tighter `{keyword}`"));
            }
        }
        for keyword in ["pattern", "format", "const", "multipleOf", "uniqueItems", "propertyNames"] {
            if new.get(keyword).is_some_and(|after| old.get(keyword) != Some(after)) {
                self.breaks(path, &format!("has another `{keyword}`"));
            }
        }
    }

    fn required(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>, way: Way) {
        let names = |schema: &Map<String, Value>| -> Vec<String> {
            let list = schema.get("required").and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (old, new) = (names(old), names(new));
        let (from, to, what) = match way {
            Way::Given => (&new, &old, "is required now"),
            Way::Got => (&old, &new, "is no longer always there"),
        };
        for name in from.iter().filter(|name| !to.contains(name)) {
            self.breaks(&format!("{path}/{}", escape(name)), what);
        }
    }
}

fn kind(source: &Source) -> &'static str {
    match source {
        Source::AppWebhook { .. } => "app_webhook",
        Source::RegisteredWebhook { .. } => "registered_webhook",
        Source::Poll { .. } => "poll",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        json!({
            "manifest_version": 1, "id": "acme", "title": "Acme", "version": "1.2.3", "description": "Things",
            "hosts": [{"host": "api.example.com", "credential": true}],
            "bases": [{"name": "api", "urls": ["https://api.example.com"]}],
            "auth": [{"name": "none", "title": "None", "kind": "none"}],
            "actions": [{
                "name": "make", "title": "Make", "description": "Makes", "effect": "creates",
                "scopes": [{"all": ["write"]}],
                "input": {
                    "type": "object", "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 10, "description": "Name"},
                        "size": {"$ref": "#/$defs/Size"},
                        "tags": {"type": "array", "items": {"type": "string"}, "description": "Tags"},
                        "note": {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}], "description": "Note"},
                    },
                },
                "output": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
            }],
            "triggers": [{
                "name": "made", "title": "Made", "description": "Was made", "source": {"kind": "poll", "every_seconds": 60},
                "parameters": {"type": "object"}, "event": {"type": "object", "properties": {"id": {"type": "string"}}},
            }],
            "$defs": {"Size": {"enum": ["s", "m"], "description": "Size"}},
        })
    }

    fn breaks(pointer: &str, change: Value) -> Vec<String> {
        let old: Manifest = serde_json::from_value(manifest()).unwrap();
        assert_eq!(old.check(), []);
        let mut changed = manifest();
        match changed.pointer_mut(pointer) {
            Some(place) => *place = change,
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                changed.pointer_mut(parent).unwrap()[name] = change;
            }
        }
        breaking_changes(&old, &serde_json::from_value(changed).unwrap())
    }

    #[test]
    fn what_widens_an_input_or_adds_to_an_output_breaks_nothing() {
        for (pointer, change) in [
            ("/actions/0/input/properties/new", json!({"type": "string", "description": "New"})),
            ("/actions/0/input/properties/name/maxLength", json!(20)),
            ("/actions/0/input/required", json!([])),
            ("/$defs/Size/enum", json!(["s", "m", "l"])),
            ("/actions/0/output/properties/more", json!({"type": "string"})),
            ("/actions/0/output/required", json!(["id", "more"])),
            ("/actions/0/title", json!("Make it")),
            (
                "/actions/0/input/properties/note/anyOf",
                json!([{"type": "null"}, {"type": "string", "maxLength": 30}, {"type": "integer"}]),
            ),
            (
                "/actions/0/input/properties/name",
                json!({"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}], "description": "Name"}),
            ),
            ("/actions/0/scopes", json!([{"all": ["write"]}, {"all": ["admin"]}])),
            ("/triggers/0/source/every_seconds", json!(30)),
            ("/setup", json!({"steps": [{"title": "Make an app", "text": "Press New app."}]})),
        ] {
            assert_eq!(breaks(pointer, change), Vec::<String>::new(), "{pointer}");
        }
    }

    #[test]
    fn what_narrows_an_input_or_takes_from_an_output_breaks() {
        for (pointer, change, expected) in [
            ("/actions", json!([]), "/actions/make: is gone"),
            ("/triggers/0/name", json!("done"), "/triggers/made: is gone"),
            ("/auth/0/name", json!("other"), "/auth/none: is gone"),
            ("/actions/0/effect", json!("updates"), "/actions/make/effect: is another one"),
            (
                "/actions/0/scopes",
                json!([{"all": ["write", "more"]}]),
                "/actions/make/scopes: write no longer suffices",
            ),
            (
                "/actions/0/input/required",
                json!(["name", "tags"]),
                "/actions/make/input/tags: is required now",
            ),
            (
                "/actions/0/input/properties/name/maxLength",
                json!(5),
                "/actions/make/input/name: has a tighter `maxLength`",
            ),
            (
                "/actions/0/input/properties/name/type",
                json!("integer"),
                "/actions/make/input/name: is integer now",
            ),
            (
                "/actions/0/input/properties/tags/items/type",
                json!("number"),
                "/actions/make/input/tags/items: is number now",
            ),
            (
                "/actions/0/input/properties/note/anyOf/0/maxLength",
                json!(5),
                "/actions/make/input/note: has a tighter `maxLength`",
            ),
            (
                "/actions/0/input/properties/note/anyOf",
                json!([{"type": "string"}]),
                "/actions/make/input/note: is string now",
            ),
            (
                "/actions/0/input/additionalProperties",
                json!(false),
                "/actions/make/input: no longer takes fields that it does not name",
            ),
            (
                "/actions/0/input/properties/name/multipleOf",
                json!(2),
                "/actions/make/input/name: has another `multipleOf`",
            ),
            ("/$defs/Size/enum", json!(["s"]), "/actions/make/input/size: can no longer be \"m\""),
            (
                "/actions/0/input/allOf",
                json!([{"required": ["size"]}]),
                "/actions/make/input: has a rule that it did not have",
            ),
            (
                "/actions/0/input/properties",
                json!({"name": {"type": "string", "maxLength": 10}}),
                "/actions/make/input/size: is gone",
            ),
            ("/actions/0/output/required", json!([]), "/actions/make/output/id: is no longer always there"),
            (
                "/actions/0/output/properties/id/type",
                json!(["string", "null"]),
                "/actions/make/output/id: is string or null now",
            ),
            ("/triggers/0/event/properties", json!({}), "/triggers/made/event/id: is gone"),
            (
                "/triggers/0/source",
                json!({"kind": "registered_webhook", "hook": "x"}),
                "/triggers/made/source: is of another kind",
            ),
        ] {
            let found = breaks(pointer, change);
            assert!(found.contains(&expected.to_owned()), "{pointer}: {found:?}");
        }
    }

    #[test]
    fn only_a_new_major_version_may_break_or_a_minor_one_before_the_first() {
        let version = |version: &str| {
            let mut manifest: Manifest = serde_json::from_value(manifest()).unwrap();
            manifest.version = version.to_owned();
            manifest
        };
        for (old, new, says_so) in [
            ("1.2.3", "2.0.0", true),
            ("1.2.3", "1.3.0", false),
            ("0.1.0", "0.2.0", true),
            ("0.1.0", "0.1.1", false),
            ("0.1.0", "1.0.0", true),
            ("1.0.0", "0.9.0", false),
        ] {
            assert_eq!(version_says_so(&version(old), &version(new)), says_so, "{old} -> {new}");
        }
    }
}
