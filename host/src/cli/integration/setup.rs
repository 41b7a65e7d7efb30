//! The guide to setting a connector up, as text: what is done at the provider, and below it what is pasted, ticked and typed.

use jackfield::api::guide::{EventShown, FamilyShown, Guide, GuideStep, Shown};

use super::super::output::{self, HEAD, SOFT};

/// Where what belongs to a step begins.
const INDENT: usize = 3;

pub(super) fn print(guide: &Guide) {
    let at = guide.url.as_ref().map_or_else(String::new, |url| format!(" at {}", output::one_line(url)));
    output::data(&format!("{HEAD}{}{HEAD:#}{at}", output::one_line(&guide.title)));
    for (index, step) in guide.steps.iter().enumerate() {
        output::data(&format!("\n{HEAD}{}. {}{HEAD:#}", index + 1, output::one_line(&step.title)));
        self::step(step);
    }
}

fn step(step: &GuideStep) {
    let lines = wrapped(&step.text, output::text_width().saturating_sub(INDENT));
    output::data(&lines.iter().map(indented).collect::<String>());
    // What is one line each stands in one block.
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for shown in &step.shown {
        match shown {
            Shown::RedirectUri { value } => pairs.push(("redirect URL", value.clone())),
            Shown::RedirectOrigin { value } => pairs.push(("allow-list URL", value.clone())),
            Shown::Client { is_set, command } => {
                pairs.push(("client id and secret", given(*is_set, command)))
            }
            Shown::WebhookSecret { title, is_set, command }
            | Shown::HandshakeSecret { title, is_set, command } => {
                pairs.push((title, given(*is_set, command)))
            }
            Shown::WebhookUrl { value, note } => {
                pairs.extend(value.iter().map(|value| ("webhook URL", value.clone())));
                let name = if value.is_some() { "" } else { "webhook URL" };
                pairs.extend(note.iter().map(|note| (name, note.clone())));
            }
            Shown::Scopes { .. } | Shown::Events { .. } | Shown::Connect { .. } => {}
        }
    }
    if !pairs.is_empty() {
        let text = output::pairs(pairs.into_iter());
        output::data(&format!("\n{}", text.lines().map(indented).collect::<String>()));
    }
    for shown in &step.shown {
        match shown {
            Shown::Scopes { families } => families.iter().for_each(family),
            Shown::Events { events } => self::events(events),
            Shown::Connect { commands } => {
                output::data(&format!("\n{}", commands.iter().map(indented).collect::<String>()));
            }
            _ => {}
        }
    }
}

fn given(is_set: bool, command: &str) -> String {
    if is_set { format!("here already; another one: {command}") } else { command.to_owned() }
}

fn family(family: &FamilyShown) {
    let width = family.scopes.iter().map(|scope| scope.scope.chars().count()).max().unwrap_or_default();
    output::data(&format!("\n{}", indented(&family.title)));
    for scope in &family.scopes {
        let mark = if scope.identifies { '*' } else { ' ' };
        let must = if scope.identifies { "a must: it says whose account it is" } else { "" };
        let used_by = scope.used_by.join(", ");
        let separator = if must.is_empty() || used_by.is_empty() { "" } else { "; " };
        let name = output::one_line(&scope.scope);
        let why = output::one_line(&format!("{must}{separator}{used_by}"));
        let room = output::text_width().saturating_sub(INDENT + width + 4).max(20);
        for (index, line) in wrapped(&why, room).iter().enumerate() {
            let (mark, name) = if index == 0 { (mark, name.as_str()) } else { (' ', "") };
            output::data(&format!("{:INDENT$}{mark} {name:width$}  {SOFT}{line}{SOFT:#}", ""));
        }
    }
}

fn events(events: &[EventShown]) {
    let width = events.iter().map(|event| event.label.chars().count()).max().unwrap_or_default();
    output::data("");
    for event in events {
        let label = output::one_line(&event.label);
        let (trigger, name) = (output::one_line(&event.trigger), output::one_line(&event.event));
        output::data(&format!("{:INDENT$}{label:width$}  {trigger} {SOFT}({name}){SOFT:#}", ""));
    }
}

fn indented(line: impl AsRef<str>) -> String {
    format!("{:INDENT$}{}\n", "", output::one_line(line.as_ref()))
}

/// A text in lines that are no wider than this, where words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
