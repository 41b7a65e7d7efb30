//! The form as questions: what is asked, in which order, and what becomes of the answers.

use std::{collections::VecDeque, rc::Rc};

use jackfield::forms::ask::{Away, Choose, Line, Prompter, ask};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    form,
    generate::{self, Chance},
    inputs, validator,
};

/// Somebody who answers as it is written down, and writes down what was asked.
#[derive(Default)]
struct Script {
    answers: VecDeque<&'static str>,
    seen: String,
}

impl Script {
    fn next(&mut self) -> Result<&'static str, Away> {
        match self.answers.pop_front() {
            Some("<back>") => Err(Away::Back),
            Some("<stop>") | None => Err(Away::Stop),
            Some(answer) => Ok(answer),
        }
    }
}

impl Prompter for Script {
    fn line(&mut self, line: &Line) -> Result<String, Away> {
        loop {
            let initial =
                if line.initial.is_empty() { String::new() } else { format!(" [{}]", line.initial) };
            self.seen += &format!("? {}{initial}", line.message);
            let answer = match self.next() {
                Ok("<enter>") => line.initial.clone(),
                Ok("<empty>") => String::new(),
                Ok(answer) => answer.to_owned(),
                Err(away) => {
                    self.seen += &format!(" <{away:?}>\n");
                    return Err(away);
                }
            };
            self.seen += &format!(" {}\n", if line.secret { "***" } else { &answer });
            match (line.valid)(&answer) {
                Ok(()) => return Ok(answer),
                Err(why) => self.seen += &format!("  ! {why}\n"),
            }
        }
    }

    fn choose(&mut self, choose: &Choose) -> Result<usize, Away> {
        self.seen += &format!("? {} ({})", choose.message, choose.options.join(" | "));
        let answer = self.next().inspect_err(|away| self.seen += &format!(" <{away:?}>\n"))?;
        let at = match answer {
            "<enter>" => choose.at,
            answer => {
                let found = choose.options.iter().position(|option| option.starts_with(answer));
                found.unwrap_or_else(|| panic!("{answer} is not among {:?}\n{}", choose.options, self.seen))
            }
        };
        self.seen += &format!(" {}\n", choose.options[at]);
        Ok(at)
    }

    fn tick(&mut self, choose: &Choose, ticked: &[usize]) -> Result<Vec<usize>, Away> {
        self.seen += &format!("? {} ({})", choose.message, choose.options.join(" | "));
        let picked = match self.next()? {
            "<enter>" => ticked.to_vec(),
            answer => {
                let is = |option: &String| answer.split(' ').any(|one| one == option);
                (0..choose.options.len()).filter(|index| is(&choose.options[*index])).collect()
            }
        };
        self.seen += &format!(" {picked:?}\n");
        Ok(picked)
    }

    fn say(&mut self, text: &str) {
        self.seen += &format!("{text}\n");
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        if path == "there" { Ok(b"content".to_vec()) } else { Err(format!("{path} is not there")) }
    }
}

/// What was asked, and what came of it.
fn run(schema: &Value, before: Value, answers: &[&'static str]) -> (String, Result<Value, Away>) {
    let valid = Rc::new(validator(schema));
    let mut script = Script { answers: answers.iter().copied().collect(), seen: String::new() };
    let value = ask(&form(schema), before, &mut script, Rc::new(move |value| valid.check(value)));
    assert!(script.answers.is_empty(), "left over: {:?}\n{}", script.answers, script.seen);
    (script.seen, value)
}

fn action(name: &str) -> &'static Value {
    &inputs().iter().find(|(input, _)| input == name).unwrap().1
}

#[test]
fn a_recurring_meeting_is_asked_for_as_it_is_thought_of() {
    let (seen, value) = run(
        action("zoom.create_meeting"),
        json!({}),
        &[
            // Topic, type, start time, time zone, duration, agenda
            "Weekly",
            "Recurring meeting with fixed",
            "<empty>",
            "soon",
            "2030-01-07 09:30",
            "Europe/Berln",
            "europe/berlin",
            "0",
            "45",
            "<empty>",
            // The recurrence, since it is needed then
            "Weekly",
            "2",
            "9",
            "2,4",
            "12",
            "<empty>",
            "hunter2",
            "Settings",
            "Video",
            "Yes",
            "<enter>",
            "Computer",
            "<enter>",
            "<enter>",
            "<enter>",
            "<enter>",
            "<enter>",
            "<enter>",
            "<enter>",
            "<enter>",
            "Done",
            "Tracking",
            "Team",
            "Sales",
            "Done",
            "No",
        ],
    );
    assert_eq!(
        value.as_ref().map_err(|_| &seen),
        Ok(&json!({
            "topic": "Weekly", "type": 8, "start_time": "2030-01-07T09:30:00", "timezone": "Europe/Berlin", "duration": 45,
            "recurrence": {"type": 2, "repeat_interval": 2, "weekly_days": "2,4", "end_times": 12},
            "settings": {"host_video": true, "audio": "voip"},
            "password": "hunter2",
            "tracking_fields": [{"field": "Team", "value": "Sales"}],
        }))
    );
    for expected in [
        "  ! is required\n",
        "  ! must be a date and a time, like 2026-12-01 10:00\n",
        "  ! must be the name of a time zone; did you mean Europe/Berlin?\n",
        "  ! must be at least 1\n",
        "  ! must be days from 1 (Sunday) to 7 (Saturday), separated by commas, like 2,4\n",
        "? Settings (Done | Video and audio (0 of 11 filled)",
        "Video and audio (2 of 11 filled)",
        "? Passcode ***\n",
    ] {
        assert!(seen.contains(expected), "{expected:?} is not in\n{seen}");
    }
    assert!(!seen.contains("hunter2"), "{seen}");
}

#[test]
fn what_is_not_there_is_not_asked_for_and_what_goes_does_not_count() {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"kind": {"enum": ["a", "b"]}, "only_a": {"type": "string"}, "name": {"type": "string", "maxLength": 3}},
        "required": ["name"],
        "if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
        "then": {"required": ["only_a"]},
        "else": {"properties": {"only_a": false}},
    });
    let (seen, value) = run(&schema, json!({}), &["b", "long", "abc"]);
    assert_eq!(value, Ok(json!({"kind": "b", "name": "abc"})));
    assert_eq!(
        seen,
        "? Kind (Leave it out | a | b) b\n? Name * long\n  ! must be at most 3 characters long; it has 4\n? Name * abc\n"
    );
    let (seen, value) = run(&schema, json!({}), &["a", "x", "<back>", "<back>", "b", "abc"]);
    assert_eq!(value, Ok(json!({"kind": "b", "name": "abc"})), "{seen}");
}

#[test]
fn what_is_wrong_in_the_end_is_told_at_its_field_and_asked_again() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "integer", "title": "First"}, "b": {"type": "integer", "title": "Second"}},
        "not": {"required": ["a", "b"]},
        "x-ui": {"errors": {"not": "must have the first or the second, not both"}},
    });
    let (seen, value) = run(&schema, json!({}), &["1", "2", "<empty>", "<enter>"]);
    assert_eq!(value, Ok(json!({"b": 2})));
    assert!(seen.contains("must have the first or the second, not both\n"), "{seen}");
}

#[test]
fn lists_variants_members_times_and_files() {
    let schema = json!({
        "type": "object",
        "properties": {
            "people": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
            "days": {"type": "array", "uniqueItems": true, "items": {"enum": ["mon", "tue", "wed"]}},
            "until": {"type": "string", "format": "date-time"},
            "picture": {"type": "string", "contentEncoding": "base64"},
            "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
            "note": {"type": ["string", "null"]},
            "how": {"oneOf": [
                {"type": "object", "title": "Mail", "properties": {"by": {"const": "mail"}, "to": {"type": "string"}}, "required": ["by", "to"]},
                {"type": "object", "title": "Post", "properties": {"by": {"const": "post"}}, "required": ["by"]},
            ]},
            "id": {"anyOf": [{"type": "integer", "title": "Number"}, {"type": "string", "title": "Name"}]},
        },
    });
    let (seen, value) = run(
        &schema,
        json!({}),
        &[
            "mon wed",
            "2026-12-01 10:00",
            "Europe/Berlin",
            "Clear",
            "People",
            "Ann",
            "Add",
            "Bob",
            "Add",
            "Eve",
            "Take out 2",
            "Change 1",
            "Anna",
            "Done",
            "Picture",
            "nowhere",
            "there",
            "Labels",
            "Another",
            "size",
            "5",
            "Done",
            "How",
            "Mail",
            "x@example.com",
            "Id",
            "Name",
            "seven",
            "No",
        ],
    );
    assert_eq!(
        value.as_ref().map_err(|_| &seen),
        Ok(&json!({
            "days": ["mon", "wed"], "until": "2026-12-01T09:00:00Z", "note": null,
            "people": [{"name": "Anna"}, {"name": "Eve"}], "picture": "Y29udGVudA==", "labels": {"size": 5},
            "how": {"by": "mail", "to": "x@example.com"}, "id": "seven",
        }))
    );
    assert!(seen.contains("nowhere is not there\n"), "{seen}");
    let stopped = run(&schema, json!({}), &["mon", "<stop>"]);
    assert_eq!(stopped.1, Err(Away::Stop));
}

/// Somebody who looks at everything and changes nothing.
#[derive(Default)]
struct Onlooker {
    /// How often each menu was shown.
    shown: std::collections::HashMap<String, usize>,
    questions: usize,
}

impl Onlooker {
    fn count(&mut self, message: &str) {
        self.questions += 1;
        assert!(self.questions < 700, "it does not end: {message}");
    }
}

impl Prompter for Onlooker {
    fn line(&mut self, line: &Line) -> Result<String, Away> {
        self.count(&line.message);
        match (line.valid)(&line.initial) {
            Ok(()) => Ok(line.initial.clone()),
            Err(_) => Err(Away::Back),
        }
    }

    fn choose(&mut self, choose: &Choose) -> Result<usize, Away> {
        self.count(&format!("{choose:?}"));
        let is_menu = ["No, that is all", "Done"].contains(&choose.options[0].as_str());
        let is_list = choose.options.iter().any(|option| option.starts_with("Add to "));
        if is_menu && !is_list {
            // Each of its entries once, of those that are filled.
            let shown = self.shown.entry(choose.options.join("|")).or_default();
            let filled = |option: &&String| {
                option.contains(": ") || option.contains(" filled)") && !option.contains("(0 of")
            };
            let next = choose.options.iter().filter(filled).nth(*shown);
            *shown += 1;
            return Ok(next
                .and_then(|next| choose.options.iter().position(|option| option == next))
                .unwrap_or(0));
        }
        Ok(choose.at)
    }

    fn tick(&mut self, _: &Choose, ticked: &[usize]) -> Result<Vec<usize>, Away> {
        Ok(ticked.to_vec())
    }

    fn say(&mut self, _: &str) {}

    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Err("nothing is read".to_owned())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_time: 15_000, failure_persistence: None, verbose: 0, ..ProptestConfig::default() })]

    #[test]
    fn who_only_looks_changes_nothing(schema in generate::schema(), seed in any::<u64>()) {
        let schema = generate::with_defs(schema);
        let valid = Rc::new(validator(&schema));
        let Some(value) = generate::value(&schema, &mut Chance(seed), &valid) else { return Ok(()) };
        let same = ask(&form(&schema), value.clone(), &mut Onlooker::default(), Rc::new(move |value| valid.check(value)));
        prop_assert_eq!(same, Ok(value), "{}", serde_json::to_string(&schema).unwrap());
    }
}
