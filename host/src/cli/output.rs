//! Printing: tables for people, JSON for programs, names for shells.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON document a line
    Ndjson,
    /// Names or ids alone, one a line
    Name,
}

/// Whether something that was to be printed could not be.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether something that was to be printed could not be: then the command has not done what it was for.
pub(crate) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Prints data. A reader that has gone away is no error; a full disk is one.
#[allow(clippy::print_stdout, reason = "this is where data goes to standard output")]
pub(crate) fn data(text: &str) {
    let mut out = anstream::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        complain(&format!("error[internal]: the output could not be written: {}", error.kind()));
    }
}

/// Prints a line of talk.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints an error.
pub(crate) fn complain(text: &str) {
    say(text);
}

/// Prints a warning about something that does not keep the command from doing its work.
pub(crate) fn warn(text: &str, hint: Option<&str>) {
    say(&format!("warning: {}", one_line(text)));
    if let Some(hint) = hint {
        say(&format!("  hint: {}", one_line(hint)));
    }
}

/// Prints a list: a row each as a table, a document each as JSON.
pub(crate) fn list<T: Serialize>(
    format: Format,
    headers: &[&str],
    items: &[T],
    row: impl Fn(&T) -> Vec<String>,
) {
    match format {
        Format::Table if items.is_empty() => say("nothing there"),
        Format::Table => data(&table(headers, items.iter().map(row))),
        Format::Json => json(&items),
        Format::Ndjson => items.iter().for_each(json_line),
        Format::Name => {
            items.iter().filter_map(|item| row(item).into_iter().next()).for_each(|name| data(&name))
        }
    }
}

/// Prints one JSON document, indented.
pub(crate) fn json(value: &impl Serialize) {
    data(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints one JSON document on one line.
pub(crate) fn json_line(value: &impl Serialize) {
    data(&serde_json::to_string(value).unwrap_or_default());
}

/// Rows under headers, as wide as the terminal; as wide as needed where there is none.
pub(crate) fn table(headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headers);
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(width) = terminal_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Names and values, one a line.
pub(crate) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    pairs.iter().map(|(name, value)| format!("{:width$}  {}\n", one_line(name), one_line(value))).collect()
}

/// A JSON value in a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Text that a terminal shows as it is: control characters, and those that turn the direction of writing, are escaped.
pub(crate) fn one_line(text: &str) -> String {
    let directs =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .flat_map(|c| {
            let escaped: Box<dyn Iterator<Item = char>> = if c.is_control() || directs(c) {
                Box::new(c.escape_default())
            } else {
                Box::new(std::iter::once(c))
            };
            escaped
        })
        .collect()
}

/// How wide the terminal is, if standard output is one.
pub(crate) fn terminal_width() -> Option<u16> {
    if !io::IsTerminal::is_terminal(&io::stdout()) {
        return None;
    }
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns >= 40)
}
