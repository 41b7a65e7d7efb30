//! Printing: tables for people, JSON for programs, names for shells.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use anstyle::{AnsiColor, Effects, Style};
use clap::{Args, ValueEnum};
use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, presets};
use jackfield::Result;
use serde::Serialize;
use serde_json::Value;

use super::query::Query;

/// How an error begins.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
/// How a warning begins.
pub(crate) const WARY: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
/// How advice begins, and what is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What heads something.
pub(crate) const HEAD: Style = Style::new().effects(Effects::BOLD);
/// What stands back.
pub(crate) const SOFT: Style = Style::new().effects(Effects::DIMMED);

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

/// How a command is asked to print.
#[derive(Args, Clone)]
pub(crate) struct Printing {
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table", help_heading = "Output")]
    pub(crate) output: Format,
    /// Print what a jq filter makes of it, such as .join_url or '.[].name'
    #[arg(long, value_name = "FILTER", help_heading = "Output")]
    query: Option<String>,
}

impl Printing {
    /// The query, read before anything is done: a mistake in it should not come after the fact.
    pub(crate) fn query(&self) -> Result<Option<Query>> {
        self.query.as_deref().map(Query::read).transpose()
    }

    /// Prints a value: what the query makes of it, as JSON, or the value as it was asked for.
    pub(crate) fn print(
        &self,
        query: Option<&Query>,
        value: &Value,
        names: &[String],
        table: impl FnOnce(),
    ) -> Result<()> {
        if let Some(query) = query {
            return query.print(value, self.output);
        }
        match (self.output, value) {
            (Format::Table, _) => table(),
            (Format::Json, value) => json(value),
            (Format::Ndjson, Value::Array(items)) => items.iter().for_each(json_line),
            (Format::Ndjson, value) => json_line(value),
            (Format::Name, _) => names.iter().for_each(|name| data(name)),
        }
        Ok(())
    }
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
        complain(&format!("{BAD}error[internal]{BAD:#}: the output could not be written: {}", error.kind()));
    }
}

/// Prints lines that hold words of a connector.
pub(crate) fn lines(text: &str) {
    let lines: Vec<String> = text.lines().map(one_line).collect();
    data(&lines.join("\n"));
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
    say(&format!("{WARY}warning{WARY:#}: {}", one_line(text)));
    if let Some(hint) = hint {
        say(&format!("  {GOOD}hint{GOOD:#}: {}", one_line(hint)));
    }
}

/// Prints rows under headers. On a terminal, what is too wide for it is cut.
pub(crate) fn rows(headers: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return say("none");
    }
    let text = table(headers, rows);
    // The first line is the head.
    let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
    data(&format!("{HEAD}{head}{HEAD:#}\n{rest}"));
}

/// Prints one JSON document, indented.
pub(crate) fn json(value: &impl Serialize) {
    data(&pretty(value));
}

/// Prints one JSON document on one line.
pub(crate) fn json_line(value: &impl Serialize) {
    data(&harmless(serde_json::to_string(value).unwrap_or_default()));
}

/// What stands between two columns.
const PADDING: u16 = 2;

fn table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    let row = |cells: Vec<String>| {
        let mut row = Row::from(cells);
        row.max_height(1);
        row
    };
    table.load_style(presets::NOTHING).set_header(row(headers.iter().map(|&name| name.to_owned()).collect()));
    for cells in rows {
        table.add_row(row(cells.iter().map(|cell| one_line(cell)).collect()));
    }
    table.set_truncation_indicator("…");
    let last = headers.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { PADDING }));
    }
    if let Some(width) = terminal_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        // What things are called is what is typed next: it stays whole as long as something of the rest can be seen.
        let first = table.column_max_content_widths().first().copied().unwrap_or_default();
        let others = u16::try_from(last).unwrap_or(u16::MAX);
        if first.saturating_add(others.saturating_mul(PADDING + 1)) <= width
            && let Some(column) = table.column_mut(0)
        {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Names and values, one a line.
pub(crate) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| {
        let name = one_line(name);
        let line = format!("{name:width$}  {}", one_line(value));
        line.trim_end().to_owned() + "\n"
    };
    pairs.iter().map(line).collect()
}

/// `1 action`, `2 actions`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A JSON value in a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// JSON for people and programs: what a terminal could obey is escaped, also what JSON itself would let stand.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    harmless(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// JSON, in which everything that is no letter stands in texts and may be written otherwise there.
pub(crate) fn harmless(json: String) -> String {
    let is_wild = |c: char| (c.is_control() && c != '\n') || directs(c);
    if !json.contains(is_wild) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        if is_wild(c) {
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
        text
    })
}

/// Whether a character turns the direction of writing, or ends a line.
fn directs(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text that a terminal shows as it is: control characters, and those that turn the direction of writing, are escaped.
pub(crate) fn one_line(text: &str) -> String {
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
    if !io::stdout().is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns >= 40)
}

/// How wide text is that people read.
pub(crate) fn text_width() -> usize {
    terminal_width().map_or(100, |width| usize::from(width).min(100))
}
