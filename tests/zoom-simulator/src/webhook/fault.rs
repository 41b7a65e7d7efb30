//! Faults of deliveries on demand: an event that is lost, comes twice, or is not what a receiver expects. As with the
//! faults of answers, each is described in JSON, waits in a queue, and the first that matches happens.

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sign::Twist;
use crate::faults::glob;

/// A fault as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// A pattern for the event's name. `endpoint.url_validation` has to be named.
    #[serde(default = "any")]
    event: String,
    /// How many matching events go through before it begins.
    #[serde(default)]
    skip: u32,
    /// How often it happens. `null`: until it is taken away.
    #[serde(default = "once")]
    times: Option<u32>,
    /// The event is lost: nothing is ever sent.
    #[serde(default)]
    pub(super) drop: bool,
    /// How many times more it is sent, all at once.
    #[serde(default)]
    pub(super) copies: u32,
    /// To which of its attempts the next three happen. As a rule to all.
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    signature: Signature,
    /// How old the timestamp is; less than nothing: how far ahead. It is signed like that.
    #[serde(default)]
    seconds_ago: i64,
    /// The timestamp is in milliseconds, and signed like that.
    #[serde(default)]
    milliseconds: bool,
    /// Another name for the event.
    #[serde(default)]
    rename: Option<String>,
    /// JSON pointers of members that are left out.
    #[serde(default)]
    without: Vec<String>,
    /// JSON pointers of members, and what they are instead.
    #[serde(default)]
    set: Map<String, Value>,
    /// The name of the event is there twice: first another, then its own.
    #[serde(default)]
    duplicate_keys: bool,
}

fn any() -> String {
    "*".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "it is the default of an optional member")]
fn once() -> Option<u32> {
    Some(1)
}

/// How a delivery is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Signature {
    #[default]
    Right,
    /// With another secret.
    Wrong,
    /// Not at all: neither signature nor timestamp.
    None,
}

impl Fault {
    /// Says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.times == Some(0) {
            return Err("times has to be at least 1".to_owned());
        }
        if self.copies > 100 {
            return Err("copies can be 100 at most".to_owned());
        }
        let mut pointers = self.without.iter().chain(self.set.keys());
        match pointers.find(|pointer| !pointer.starts_with('/')) {
            Some(pointer) => Err(format!("{pointer:?} is no JSON pointer, which begins with /")),
            None => Ok(()),
        }
    }

    fn matches(&self, event: &str) -> bool {
        let named = event != super::event::VALIDATION || self.event == event;
        named && glob::matches(&self.event, event)
    }

    /// What happens to the way an attempt is signed.
    pub(super) fn twist(&self) -> Twist {
        Twist {
            attempts: self.attempts.unwrap_or(u32::MAX),
            signature: self.signature,
            seconds_ago: self.seconds_ago,
            milliseconds: self.milliseconds,
        }
    }

    /// The body as it is sent, and the name that the event has in it.
    pub(super) fn spoil(&self, event: &str, mut body: Value) -> (String, Bytes) {
        for (pointer, value) in &self.set {
            set(&mut body, pointer, Some(value.clone()));
        }
        for pointer in &self.without {
            set(&mut body, pointer, None);
        }
        let name = self.rename.as_deref().unwrap_or(event);
        if let Some(told) = body.get_mut("event") {
            *told = Value::from(name);
        }
        let text = body.to_string();
        let text = match text.strip_prefix('{') {
            Some(rest) if self.duplicate_keys => format!(r#"{{"event":"meeting.deleted",{rest}"#),
            _ => text,
        };
        (name.to_owned(), text.into())
    }
}

/// Puts a value at a pointer, or takes away what is there.
fn set(body: &mut Value, pointer: &str, value: Option<Value>) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    match (body.pointer_mut(parent), value) {
        (Some(Value::Object(object)), Some(value)) => {
            object.insert(name, value);
        }
        (Some(Value::Object(object)), None) => {
            object.shift_remove(&name);
        }
        (Some(Value::Array(list)), value) => {
            if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < list.len()) {
                match value {
                    Some(value) => list[index] = value,
                    None => drop(list.remove(index)),
                }
            }
        }
        _ => {}
    }
}

#[derive(Debug, Serialize)]
struct Waiting {
    id: u64,
    #[serde(flatten)]
    fault: Fault,
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Vec<Waiting>,
    last: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> u64 {
        self.last += 1;
        self.waiting.push(Waiting { id: self.last, fault });
        self.last
    }

    pub(crate) fn list(&self) -> Vec<Value> {
        self.waiting.iter().map(|waiting| serde_json::json!(waiting)).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The fault that happens to this event.
    pub(super) fn take(&mut self, event: &str) -> Option<Fault> {
        for (index, waiting) in self.waiting.iter_mut().enumerate() {
            let fault = &mut waiting.fault;
            if !fault.matches(event) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let due = fault.clone();
            match &mut fault.times {
                None => {}
                Some(1) => drop(self.waiting.remove(index)),
                Some(times) => *times -= 1,
            }
            return Some(due);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(value: Value) -> Fault {
        serde_json::from_value(value).expect("a fault")
    }

    #[test]
    fn members_are_put_in_and_taken_out_by_pointer() {
        let fault = fault(
            json!({"without": ["/a/b", "/a/none", "/none/at/all"], "set": {"/a/x~1y": [1], "/l/0": 2}}),
        );
        let (_, body) = fault.spoil("e", json!({"a": {"b": 1, "c": 2}, "l": [1], "event": "e"}));
        assert_eq!(body, r#"{"a":{"c":2,"x/y":[1]},"l":[2],"event":"e"}"#);
    }

    #[test]
    fn a_validation_is_only_spoiled_by_name() {
        let mut faults = Faults::default();
        faults.add(fault(json!({"times": null, "drop": true})));
        assert!(faults.take("endpoint.url_validation").is_none());
        assert!(faults.take("meeting.created").is_some());
        faults.clear();
        faults.add(fault(json!({"event": "endpoint.url_validation", "skip": 1})));
        let taken: Vec<bool> = (0..3).map(|_| faults.take("endpoint.url_validation").is_some()).collect();
        assert_eq!(taken, [false, true, false]);
    }
}
