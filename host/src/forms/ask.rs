//! The form as questions: what a terminal, or anything else that can put one question after another, makes of it.
//!
//! What matters is asked first, one field after another; what is optional waits in a menu. Conditions are looked at anew
//! after every answer, and every answer is checked where it is given. How a question looks is the [`Prompter`]'s business.

mod lists;

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{Problem, schema::escape};
use serde_json::{Map, Value};

use super::{
    describe::kind,
    model::{Choice, Field, Form, Kind, Object, Section},
    value::{chosen, fits, in_utc, is_with_offset, parse, plain, point_in_time, time_zones},
};

/// Whatever puts questions to somebody.
pub trait Prompter {
    /// Asks for a line of text.
    ///
    /// # Errors
    ///
    /// If somebody wants to go back, or to stop.
    fn line(&mut self, line: &Line) -> Result<String, Away>;

    /// Asks for one of several; gives its place.
    ///
    /// # Errors
    ///
    /// If somebody wants to go back, or to stop.
    fn choose(&mut self, choose: &Choose) -> Result<usize, Away>;

    /// Asks for any of several; gives their places.
    ///
    /// # Errors
    ///
    /// If somebody wants to go back, or to stop.
    fn tick(&mut self, choose: &Choose, ticked: &[usize]) -> Result<Vec<usize>, Away>;

    /// Says something between two questions.
    fn say(&mut self, text: &str);

    /// Reads a file that somebody has named.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String>;
}

/// That a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// Back to the question before.
    Back,
    /// No further question.
    Stop,
}

/// What is wrong with an answer, if anything.
pub type Valid = Rc<dyn Fn(&str) -> Result<(), String>>;

/// What is wrong with a whole value.
pub type Check = Rc<dyn Fn(&Value) -> Vec<Problem>>;

/// A question for a line of text.
#[derive(Clone)]
pub struct Line {
    /// The question.
    pub message: String,
    /// What it means, and what it takes.
    pub help: String,
    /// What stands there already.
    pub initial: String,
    /// What might stand there.
    pub placeholder: String,
    /// Whether it is typed blind. Then `initial` is empty, and an empty answer leaves what is there.
    pub secret: bool,
    /// What completes it.
    pub suggestions: &'static [&'static str],
    /// What is wrong with an answer.
    pub valid: Valid,
}

/// A question for one of several, or for any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choose {
    /// The question.
    pub message: String,
    /// What it means.
    pub help: String,
    /// The answers.
    pub options: Vec<String>,
    /// The one to begin at.
    pub at: usize,
}

/// Asks what a form asks for, beginning with what is there already, until nothing is wrong with it.
///
/// # Errors
///
/// If somebody stops.
pub fn ask(form: &Form, value: Value, prompter: &mut dyn Prompter, check: Check) -> Result<Value, Away> {
    let value = if value.is_object() { value } else { Value::Object(Map::new()) };
    let mut interview = Interview { prompter, check, value, told: Vec::new(), asked: 0 };
    // Before the first question there is none.
    let mut done = Err(Away::Back);
    while done == Err(Away::Back) {
        done = interview.object(&form.object, "", "");
    }
    done?;
    loop {
        while interview.prune(&form.object, "") {}
        let problems = (interview.check)(&interview.value);
        let Some(first) = problems.first() else { return Ok(interview.value) };
        for problem in &problems {
            let label = label_at(&form.object, &problem.path).unwrap_or_else(|| problem.path.clone());
            interview.prompter.say(&format!("{label} {}", problem.message));
        }
        let before = interview.value.clone();
        let asked = interview.asked;
        if let Err(Away::Stop) = interview.again(&form.object, &first.path) {
            return Err(Away::Stop);
        }
        // Nothing can be asked about it: whoever takes the value will say so.
        if interview.asked == asked && interview.value == before {
            return Ok(interview.value);
        }
    }
}

struct Interview<'a> {
    prompter: &'a mut dyn Prompter,
    check: Check,
    /// The whole value, as far as it has been told.
    value: Value,
    /// The places of what was told, and not there before.
    told: Vec<String>,
    /// How many questions there were.
    asked: usize,
}

/// Something to ask for: a field, or what is folded away together.
enum Entry<'f> {
    Field(&'f Field),
    Group(&'f str, Vec<&'f Field>),
    More,
}

impl Interview<'_> {
    fn line(&mut self, line: &Line) -> Result<String, Away> {
        self.asked += 1;
        self.prompter.line(line)
    }

    fn choose(&mut self, choose: &Choose) -> Result<usize, Away> {
        self.asked += 1;
        self.prompter.choose(choose)
    }

    fn tick(&mut self, choose: &Choose, ticked: &[usize]) -> Result<Vec<usize>, Away> {
        self.asked += 1;
        self.prompter.tick(choose, ticked)
    }

    /// Asks for the fields of an object.
    fn object(&mut self, object: &Object, at: &str, title: &str) -> Result<(), Away> {
        self.constants(object, at);
        let may_be_first = |field: &&Field| is_first(field) || field.required_when.is_some();
        let first: Vec<&Field> = object.fields.iter().filter(may_be_first).collect();
        self.sequence(&first, at, true)?;
        if let Some(variants) = &object.variants {
            self.variant(variants, at)?;
        }
        self.menu(object, at, title)
    }

    /// Sets what is always so.
    fn constants(&mut self, object: &Object, at: &str) {
        for field in object.fields.iter().filter(|field| field.required) {
            if let Kind::Constant { value } = &field.kind {
                self.put(&below(at, &field.name), Some(value.clone()));
            }
        }
    }

    /// Asks for one field after another; back leads to the one before.
    fn sequence(&mut self, fields: &[&Field], at: &str, first: bool) -> Result<(), Away> {
        let mut asked: Vec<usize> = Vec::new();
        let mut index = 0;
        while index < fields.len() {
            let field = fields[index];
            let answered_beside = fields.iter().any(|other| {
                matches!(&other.kind, Kind::DateTime { timezone_field: Some(zone) } if *zone == field.name)
            });
            let waits = first && !is_first(field) && !self.is_needed(field, at);
            let answered = answered_beside && self.get(&below(at, &field.name)).is_some();
            if !self.is_there(field, at) || waits || answered {
                index += 1;
                continue;
            }
            let done = match self.is_wanted(field, at) {
                Ok(true) => self.field(field, at),
                Ok(false) => Ok(()),
                Err(away) => Err(away),
            };
            match done {
                Ok(()) => {
                    self.beside(field, fields, at)?;
                    asked.push(index);
                    index += 1;
                }
                Err(Away::Back) => match asked.pop() {
                    Some(before) => index = before,
                    None => return Err(Away::Back),
                },
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// Whether somebody wants to fill in what takes more than one answer, where it may be left out.
    fn is_wanted(&mut self, field: &Field, at: &str) -> Result<bool, Away> {
        let takes_several = matches!(field.kind, Kind::List { .. } | Kind::Object(_));
        let there = self.get(&below(at, &field.name)).is_some();
        if !takes_several || there || field.clearable || self.is_needed(field, at) {
            return Ok(true);
        }
        let choose = Choose {
            message: field.label.clone(),
            help: field.help.clone(),
            options: ["Leave it out", "Fill it in"].map(str::to_owned).into(),
            at: 0,
        };
        Ok(self.choose(&choose)? == 1)
    }

    /// Asks for the time zone of a time, right behind it.
    fn beside(&mut self, field: &Field, fields: &[&Field], at: &str) -> Result<(), Away> {
        let Kind::DateTime { timezone_field: Some(zone) } = &field.kind else { return Ok(()) };
        let time = self.get(&below(at, &field.name)).and_then(Value::as_str);
        let needs_zone = time.is_some_and(|time| !is_with_offset(time));
        if let (true, Some(zone)) = (needs_zone, fields.iter().find(|field| field.name == *zone))
            && self.is_there(zone, at)
        {
            match self.field(zone, at) {
                Err(Away::Back) => {}
                other => return other,
            }
        }
        Ok(())
    }

    /// Lets somebody choose among what is optional, until nothing more is wanted.
    fn menu(&mut self, object: &Object, at: &str, title: &str) -> Result<(), Away> {
        loop {
            let entries = self.entries(object, at);
            if entries.is_empty() {
                return Ok(());
            }
            let (message, done) = match title {
                "" => ("Anything else?", "No, that is all"),
                title => (title, "Done"),
            };
            let mut options = vec![done.to_owned()];
            options.extend(entries.iter().map(|entry| self.entry_line(entry, at)));
            let choose = Choose { message: message.to_owned(), help: String::new(), options, at: 0 };
            let picked = self.choose(&choose)?;
            let Some(entry) = picked.checked_sub(1).and_then(|index| entries.get(index)) else {
                return Ok(());
            };
            let done = match entry {
                Entry::Field(field) => self.field(field, at),
                Entry::Group(_, fields) => self.sequence(fields, at, false),
                Entry::More => self.more(object, at),
            };
            if done == Err(Away::Stop) {
                return done;
            }
        }
    }

    fn entries<'f>(&self, object: &'f Object, at: &str) -> Vec<Entry<'f>> {
        let is_offered =
            |field: &&Field| !is_first(field) && !self.is_needed(field, at) && self.is_there(field, at);
        let mut entries: Vec<Entry<'f>> = Vec::new();
        for section in object.sections() {
            match section {
                Section::Field(field) => entries.extend(Some(field).filter(is_offered).map(Entry::Field)),
                Section::Group(title, fields) => {
                    let fields: Vec<&Field> = fields.into_iter().filter(is_offered).collect();
                    if !fields.is_empty() {
                        entries.push(Entry::Group(title, fields));
                    }
                }
            }
        }
        if object.more.is_some() {
            entries.push(Entry::More);
        }
        entries
    }

    fn entry_line(&self, entry: &Entry<'_>, at: &str) -> String {
        match entry {
            Entry::Field(field) => {
                let needed = if self.is_needed(field, at) { " *" } else { "" };
                let value = self.get(&below(at, &field.name)).map(|value| shown(field, value));
                match value {
                    Some(value) => format!("{}{needed}: {value}", field.label),
                    None => format!("{}{needed}", field.label),
                }
            }
            Entry::Group(name, fields) => {
                let filled =
                    fields.iter().filter(|field| self.get(&below(at, &field.name)).is_some()).count();
                format!("{name} ({filled} of {} filled)", fields.len())
            }
            Entry::More => "Another member".to_owned(),
        }
    }

    /// Asks for a field of an object.
    fn field(&mut self, field: &Field, at: &str) -> Result<(), Away> {
        let here = below(at, &field.name);
        let needed = self.is_needed(field, at);
        self.value_of(field, &here, needed)
    }

    /// Asks for a value, whatever it belongs to.
    fn value_of(&mut self, field: &Field, here: &str, needed: bool) -> Result<(), Away> {
        let before = self.get(here).cloned();
        if field.clearable {
            let at = match &before {
                None => 0,
                Some(Value::Null) => 2,
                Some(_) => 1,
            };
            let options = ["Leave it as it is", "Set it", "Clear it"].map(str::to_owned).into();
            let choose = Choose { message: field.label.clone(), help: field.help.clone(), options, at };
            match self.choose(&choose)? {
                0 => return Ok(self.put(here, None)),
                2 => return Ok(self.put(here, Some(Value::Null))),
                _ => {}
            }
        }
        let before = before.filter(|value| !field.clearable || !value.is_null());
        if before.as_ref().is_some_and(|value| !can_be_shown(field, value)) {
            return self.json(field, here, needed);
        }
        match &field.kind {
            Kind::Toggle => {
                let choices = [(true, "Yes"), (false, "No")].map(|(value, title)| Choice {
                    value: Value::Bool(value),
                    title: title.to_owned(),
                    help: None,
                });
                self.choice(field, &choices, here, needed)
            }
            Kind::Choice { choices, .. } => self.choice(field, choices, here, needed),
            Kind::Choices { choices, .. } => self.choices(field, choices, here, needed),
            Kind::List { item, min_items, .. } => self.list(field, item, *min_items, here, needed),
            Kind::Object(object) => self.inner(field, object, here, needed),
            Kind::Either { options } => self.either(field, options, here, needed),
            Kind::Constant { value } => {
                let only = Choice { value: value.clone(), title: plain(value), help: None };
                self.choice(field, &[only], here, needed)
            }
            Kind::Json => self.json(field, here, needed),
            Kind::DateTime { timezone_field: None } => self.point_in_time(field, here, needed),
            Kind::File { encoding, .. } => self.file(field, encoding.as_deref(), here, needed),
            Kind::Text { .. } | Kind::Number { .. } | Kind::Date | Kind::DateTime { .. } | Kind::TimeZone => {
                self.text(field, here, needed)
            }
        }
    }

    fn line_of(&self, field: &Field, here: &str, needed: bool, valid: Valid) -> Line {
        let value = self.get(here).filter(|_| !field.secret);
        let example = field.examples.first().map(|example| format!("for example {}", plain(example)));
        let default = field.default.as_ref().map(|default| format!("if left empty: {}", plain(default)));
        Line {
            message: star(&field.label, needed),
            help: help(field, needed),
            initial: value.map(plain).unwrap_or_default(),
            placeholder: default.or_else(|| field.placeholder.clone()).or(example).unwrap_or_default(),
            secret: field.secret,
            suggestions: if matches!(field.kind, Kind::TimeZone) { time_zones() } else { &[] },
            valid,
        }
    }

    fn text(&mut self, field: &Field, here: &str, needed: bool) -> Result<(), Away> {
        let read = {
            let field = field.clone();
            move |text: &str| parse(&field, text)
        };
        let valid = self.checked(field, here, needed, read.clone());
        let line = self.line_of(field, here, needed, valid);
        let kept = self.get(here).is_some();
        let answer = self.line(&line)?;
        // What nobody has touched stays as it was, however we would write it.
        if (field.secret && answer.is_empty() || answer == line.initial) && kept {
            return Ok(());
        }
        let value = if answer.is_empty() { None } else { read(&answer).ok() };
        Ok(self.put(here, value))
    }

    /// What is wrong with an answer: that it cannot be read, or that the whole would not fit with it.
    fn checked(
        &self,
        field: &Field,
        here: &str,
        needed: bool,
        read: impl Fn(&str) -> Result<Value, String> + 'static,
    ) -> Valid {
        let (check, whole, here) = (self.check.clone(), self.value.clone(), here.to_owned());
        let before = self.get(&here).cloned();
        let kept = field.secret && before.is_some();
        Rc::new(move |text| {
            if text.is_empty() {
                return if needed && !kept { Err("is required".to_owned()) } else { Ok(()) };
            }
            let mut whole = whole.clone();
            // What nobody has touched is not read, and checked all the same.
            if before.as_ref().is_none_or(|before| plain(before) != text) {
                put(&mut whole, &here, Some(read(text)?));
            }
            let problem = check(&whole).into_iter().find(|problem| problem.path == here);
            problem.map_or(Ok(()), |problem| Err(problem.message))
        })
    }

    fn json(&mut self, field: &Field, here: &str, needed: bool) -> Result<(), Away> {
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| "must be JSON".to_owned());
        let valid = self.checked(field, here, needed, read);
        let mut line = self.line_of(field, here, needed, valid);
        line.initial = self.get(here).map(Value::to_string).unwrap_or_default();
        line.help = format!("{} (as JSON)", line.help).trim_start().to_owned();
        let answer = self.line(&line)?;
        if answer == line.initial {
            return Ok(());
        }
        Ok(self.put(here, read(&answer).ok()))
    }

    /// A local time and its zone, which together are a point in time.
    fn point_in_time(&mut self, field: &Field, here: &str, needed: bool) -> Result<(), Away> {
        let any = field.clone();
        let valid: Valid = Rc::new(move |text| match text.is_empty() {
            true if needed => Err("is required".to_owned()),
            true => Ok(()),
            false => parse(&any, text).map(drop),
        });
        let mut line = self.line_of(field, here, needed, valid);
        line.initial = in_utc(&line.initial).unwrap_or(line.initial);
        let kept = self.get(here).is_some();
        let answer = self.line(&line)?;
        if answer.is_empty() {
            return Ok(self.put(here, None));
        }
        let local = plain(&parse(field, &answer).unwrap_or_default());
        if is_with_offset(&local) {
            return Ok(self.put(here, Some(Value::String(local))));
        }
        let at = local.clone();
        let valid: Valid = Rc::new(move |zone| point_in_time(&at, zone).map(drop));
        let zone = Line {
            message: format!("{}: time zone", field.label),
            help: "In which time zone that is".to_owned(),
            initial: if kept { "UTC".to_owned() } else { String::new() },
            placeholder: "for example Europe/Berlin".to_owned(),
            secret: false,
            suggestions: time_zones(),
            valid,
        };
        let zone = self.line(&zone)?;
        Ok(self.put(here, point_in_time(&local, &zone).ok()))
    }

    fn file(&mut self, field: &Field, encoding: Option<&str>, here: &str, needed: bool) -> Result<(), Away> {
        let kept = self.get(here).is_some();
        let valid: Valid = Rc::new(move |text| match text.is_empty() && needed && !kept {
            true => Err("is required".to_owned()),
            false => Ok(()),
        });
        let mut line = self.line_of(field, here, needed, valid);
        line.initial = String::new();
        line.help = format!("{} The path of a file", line.help).trim_start().to_owned();
        loop {
            let path = self.line(&line)?;
            if path.is_empty() {
                // What was there stays: it is nothing to type again.
                return Ok(());
            }
            let content = self.prompter.read(&path).and_then(|bytes| match encoding {
                Some("base64") => Ok(STANDARD.encode(bytes)),
                _ => String::from_utf8(bytes).map_err(|_| format!("{path} is not text")),
            });
            match content {
                Ok(content) => return Ok(self.put(here, Some(Value::String(content)))),
                Err(why) => self.prompter.say(&why),
            }
        }
    }

    fn choice(&mut self, field: &Field, choices: &[Choice], here: &str, needed: bool) -> Result<(), Away> {
        let before = self.get(here).cloned();
        let mut options = Vec::new();
        if !needed {
            let default = choices.iter().find(|choice| Some(&choice.value) == field.default.as_ref());
            options.push(match default {
                Some(choice) => format!("Leave it out (then: {})", choice.title),
                None => "Leave it out".to_owned(),
            });
        }
        let skip = options.len();
        options.extend(choices.iter().map(|choice| match &choice.help {
            Some(help) => format!("{}: {help}", choice.title),
            None => choice.title.clone(),
        }));
        let at = choices.iter().position(|choice| Some(&choice.value) == before.as_ref());
        let choose = Choose {
            message: star(&field.label, needed),
            help: field.help.clone(),
            options,
            at: at.map_or(0, |at| at + skip),
        };
        loop {
            let picked = self.choose(&choose)?;
            let value = picked
                .checked_sub(skip)
                .and_then(|index| choices.get(index))
                .map(|choice| choice.value.clone());
            // A condition may allow fewer than there are.
            let mut whole = self.value.clone();
            put(&mut whole, here, value.clone());
            match (self.check)(&whole).into_iter().find(|problem| problem.path == here && value.is_some()) {
                Some(problem) => self.prompter.say(&format!("{} {}", field.label, problem.message)),
                None => return Ok(self.put(here, value)),
            }
        }
    }

    fn choices(&mut self, field: &Field, choices: &[Choice], here: &str, needed: bool) -> Result<(), Away> {
        let before = self.get(here).and_then(Value::as_array).cloned();
        let is = |choice: &Choice| before.as_ref().is_some_and(|items| items.contains(&choice.value));
        let ticked: Vec<usize> =
            choices.iter().enumerate().filter(|(_, choice)| is(choice)).map(|(index, _)| index).collect();
        let choose = Choose {
            message: star(&field.label, needed),
            help: field.help.clone(),
            options: choices.iter().map(|choice| choice.title.clone()).collect(),
            at: 0,
        };
        let picked = self.tick(&choose, &ticked)?;
        if picked == ticked && before.is_some() {
            return Ok(());
        }
        let items: Vec<Value> = picked
            .into_iter()
            .filter_map(|index| choices.get(index))
            .map(|choice| choice.value.clone())
            .collect();
        let value = (!items.is_empty() || needed).then_some(Value::Array(items));
        Ok(self.put(here, value))
    }

    /// The fields of an object within the object; nothing is left of it if nothing was filled.
    fn inner(&mut self, field: &Field, object: &Object, here: &str, needed: bool) -> Result<(), Away> {
        let was_there = self.get(here).is_some();
        if !field.label.is_empty() {
            let about = format!("{}: {}", field.label, field.help);
            self.prompter.say(about.trim_end_matches([':', ' ']));
        }
        if !was_there {
            self.put(here, Some(Value::Object(Map::new())));
        }
        let done = self.object(object, here, &field.label);
        let nothing = self.get(here).is_none_or(|value| says_nothing(object, value));
        if !was_there && !needed && nothing {
            self.put(here, None);
        }
        done
    }

    fn either(&mut self, field: &Field, options: &[Field], here: &str, needed: bool) -> Result<(), Away> {
        let before = self.get(here).cloned();
        let mut lines = Vec::new();
        if !needed {
            lines.push("Leave it out".to_owned());
        }
        let skip = lines.len();
        lines.extend(options.iter().map(|option| format!("{} ({})", option.label, kind(option))));
        let is = before.as_ref().and_then(|value| options.iter().position(|option| fits(option, value)));
        let choose = Choose {
            message: star(&field.label, needed),
            help: field.help.clone(),
            options: lines,
            at: is.map_or(0, |at| at + skip),
        };
        let picked = self.choose(&choose)?;
        let Some(index) = picked.checked_sub(skip) else { return Ok(self.put(here, None)) };
        let Some(option) = options.get(index) else { return Ok(()) };
        if is != Some(index) {
            self.put(here, None);
        }
        let mut option = option.clone();
        option.label = field.label.clone();
        self.value_of(&option, here, true)
    }

    /// Asks again for what is wrong.
    fn again(&mut self, object: &Object, path: &str) -> Result<(), Away> {
        let steps: Vec<String> =
            path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let (mut object, mut at) = (object, String::new());
        for step in &steps {
            let variant = object.variants.as_ref().and_then(|variants| {
                let members = self.get(&at)?.as_object()?;
                Some(&variants.of.get(chosen(variants, members)?)?.object)
            });
            let fields = object.fields.iter().chain(variant.into_iter().flat_map(|variant| &variant.fields));
            let found = fields.into_iter().find(|field| field.name == *step && self.is_there(field, &at));
            let Some(field) = found else { break };
            let here = below(&at, step);
            match &field.kind {
                Kind::Object(inner) if here != path => {
                    object = inner;
                    at = here;
                }
                _ => return self.field(field, &at),
            }
        }
        self.object(object, &at, "")
    }

    fn is_there(&self, field: &Field, at: &str) -> bool {
        field.shown_when.as_ref().is_none_or(|when| when.holds(&self.scope(at)))
    }

    fn is_needed(&self, field: &Field, at: &str) -> bool {
        field.required || field.required_when.as_ref().is_some_and(|when| when.holds(&self.scope(at)))
    }

    /// The values around the fields of an object, from the whole to the object.
    fn scope(&self, at: &str) -> Vec<&Value> {
        static NOTHING: Value = Value::Null;
        let mut scope = vec![&self.value];
        let ends = at.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(index, _)| index);
        let ends: Vec<usize> = if at.is_empty() { Vec::new() } else { ends.chain([at.len()]).collect() };
        scope.extend(ends.into_iter().map(|end| self.value.pointer(&at[..end]).unwrap_or(&NOTHING)));
        scope
    }

    fn get(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    fn put(&mut self, pointer: &str, value: Option<Value>) {
        self.told.push(pointer.to_owned());
        put(&mut self.value, pointer, value);
    }

    /// Takes out what was told of fields that other answers have made go. True if there was any.
    fn prune(&mut self, object: &Object, at: &str) -> bool {
        let mut gone = false;
        let variant = object.variants.as_ref().and_then(|variants| {
            let members = self.get(at)?.as_object()?;
            Some(&variants.of.get(chosen(variants, members)?)?.object)
        });
        for field in object.fields.iter().chain(variant.into_iter().flat_map(|variant| &variant.fields)) {
            let here = below(at, &field.name);
            let is_told = self.told.iter().any(|told| told.starts_with(&here));
            if self.get(&here).is_none() || !is_told {
                continue;
            }
            if !self.is_there(field, at) {
                self.put(&here, None);
                gone = true;
            } else if let Kind::Object(inner) = &field.kind {
                gone |= self.prune(inner, &here);
            }
        }
        gone
    }
}

/// Whether a field is asked for before the menu comes.
fn is_first(field: &Field) -> bool {
    let is_simple = !matches!(
        field.kind,
        Kind::Object(_)
            | Kind::List { .. }
            | Kind::Either { .. }
            | Kind::Json
            | Kind::Constant { .. }
            | Kind::File { .. }
    );
    if matches!(field.kind, Kind::Constant { .. }) && field.required {
        return false;
    }
    field.required || field.important || (is_simple && field.group.is_none() && !field.advanced)
}

/// Whether an object holds only what was set because it had to be there.
fn says_nothing(object: &Object, value: &Value) -> bool {
    value.as_object().is_some_and(|members| {
        members.iter().all(|(name, value)| {
            let field = object.fields.iter().find(|field| field.name == *name);
            match field.map(|field| &field.kind) {
                Some(Kind::Constant { .. }) => true,
                Some(Kind::Object(inner)) => says_nothing(inner, value),
                Some(_) => value.as_array().is_some_and(Vec::is_empty),
                None => false,
            }
        })
    })
}

/// Whether a question can show a value, so that leaving it alone keeps it.
fn can_be_shown(field: &Field, value: &Value) -> bool {
    match &field.kind {
        Kind::Text { .. } => value
            .as_str()
            .is_some_and(|text| field.secret || !text.is_empty() && !text.chars().any(char::is_control)),
        // Also where we would write it in another way: what nobody touches stays as it was.
        Kind::DateTime { timezone_field: Some(_) } | Kind::Date | Kind::TimeZone => {
            value.as_str().is_some_and(|text| {
                !text.is_empty() && !text.chars().any(char::is_control) && parse(field, text).is_ok()
            })
        }
        Kind::DateTime { .. } => value.as_str().is_some_and(|text| {
            !text.is_empty() && !text.chars().any(char::is_control) && fits(field, value)
        }),
        Kind::List { .. } => value.is_array(),
        Kind::Object(_) => value.is_object(),
        _ => fits(field, value),
    }
}

fn star(label: &str, needed: bool) -> String {
    if needed { format!("{label} *") } else { label.to_owned() }
}

/// What a field means, and what it takes where its kind does not show it.
fn help(field: &Field, needed: bool) -> String {
    let takes = match &field.kind {
        Kind::Number { .. } | Kind::Date => kind(field),
        Kind::DateTime { .. } => "like 2026-12-01 10:00".to_owned(),
        Kind::Text { max_length: Some(most), .. } => format!("at most {most} characters"),
        Kind::Text { format: Some(format), .. } if format == "email" => "an e-mail address".to_owned(),
        Kind::TimeZone => "Tab completes".to_owned(),
        _ => String::new(),
    };
    let optional = if needed { "" } else { "Enter leaves it out" };
    let parts = [field.help.lines().next().unwrap_or_default(), &takes, optional];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// A value in a menu: short, and no secret.
fn shown(field: &Field, value: &Value) -> String {
    if field.secret {
        return "***".to_owned();
    }
    let text = match (&field.kind, value) {
        (_, Value::Array(items)) => format!("{} of them", items.len()),
        (_, Value::Object(members)) => format!("{} filled", members.len()),
        (Kind::Choice { choices, .. }, value) => choices
            .iter()
            .find(|choice| choice.value == *value)
            .map_or_else(|| plain(value), |choice| choice.title.clone()),
        (_, value) => plain(value),
    };
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(40).collect();
    clean
}

/// What people call the field at a path.
fn label_at(object: &Object, path: &str) -> Option<String> {
    let mut labels: Vec<String> = Vec::new();
    let mut object = Some(object);
    for step in path.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let variants = object?
            .variants
            .iter()
            .flat_map(|variants| &variants.of)
            .flat_map(|variant| &variant.object.fields);
        let found = object?.fields.iter().chain(variants).find(|field| field.name == name);
        let Some(field) = found else {
            labels.push(name);
            continue;
        };
        labels.push(field.label.clone());
        object = match &field.kind {
            Kind::Object(inner) => Some(inner),
            Kind::List { item, .. } => match &item.kind {
                Kind::Object(inner) => Some(inner),
                _ => object,
            },
            _ => object,
        };
    }
    (!labels.is_empty()).then(|| labels.join(" › "))
}

fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", escape(name))
}

/// Sets, or takes out, what is at a pointer; what is missing on the way is made.
fn put(whole: &mut Value, pointer: &str, value: Option<Value>) {
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, way)) = steps.split_last() else {
        *whole = value.unwrap_or_default();
        return;
    };
    let mut at = whole;
    for step in way {
        at = match at {
            Value::Array(items) => match step.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => item,
                None => return,
            },
            other => {
                if !other.is_object() {
                    *other = Value::Object(Map::new());
                }
                let Value::Object(members) = other else { return };
                members.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()))
            }
        };
    }
    match (at, value) {
        (Value::Array(items), value) => {
            let Ok(index) = last.parse::<usize>() else { return };
            match value {
                Some(value) if index < items.len() => items[index] = value,
                Some(value) => items.push(value),
                None if index < items.len() => drop(items.remove(index)),
                None => {}
            }
        }
        (Value::Object(members), Some(value)) => drop(members.insert(last.clone(), value)),
        (Value::Object(members), None) => drop(members.shift_remove(last)),
        (other, Some(value)) => *other = Value::Object(Map::from_iter([(last.clone(), value)])),
        (_, None) => {}
    }
}
