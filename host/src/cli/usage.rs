//! A command line that makes no sense, in our own words: what is wrong, and what to type instead.

use std::process::ExitCode;

use clap::{
    Command, CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind as Clap},
};
use connector_protocol::did_you_mean;
use jackfield::{Error, ErrorKind};

use super::{
    Cli, errors,
    output::{self, Format},
};

/// Says what is wrong with the command line, or prints what was asked for instead of a command: help, the version.
pub(crate) fn explain(error: clap::Error) -> ExitCode {
    match error.kind() {
        Clap::DisplayHelp | Clap::DisplayVersion => {
            output::data(&error.render().ansi().to_string());
            return ExitCode::SUCCESS;
        }
        Clap::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::say(error.render().ansi().to_string().trim_end());
            return ExitCode::from(errors::exit_code(&ErrorKind::Usage));
        }
        _ => {}
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_json = |format: &str| ["json", "ndjson"].contains(&format);
    let wants_json = words.iter().enumerate().any(|(at, word)| match word.as_str() {
        "-o" | "--output" => words.get(at + 1).is_some_and(|format| is_json(format)),
        // `-ojson`, `-o=json`, `--output=json`.
        word => ["--output=", "-o=", "-o"].iter().any(|flag| word.strip_prefix(flag).is_some_and(is_json)),
    });
    let format = if wants_json { Format::Json } else { Format::Table };
    let error = in_our_words(&error, &words);
    errors::print(&error, format);
    ExitCode::from(errors::exit_code(&error.kind))
}

fn in_our_words(error: &clap::Error, words: &[String]) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let (command, path) = command(words);
    let usage = |text: String| Error::new(ErrorKind::Usage, text);
    let help = format!("see what it takes: {path} --help");
    match error.kind() {
        Clap::InvalidSubcommand => {
            let given = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let known: Vec<&str> = command
                .get_subcommands()
                .filter(|known| !known.is_hide_set())
                .map(Command::get_name)
                .collect();
            let hint = match did_you_mean(&given, known.iter().copied()) {
                Some(meant) => format!("did you mean: {path} {meant}"),
                None => format!("see what there is: {path} --help"),
            };
            usage(format!("there is no command `{path} {}`", given.escape_debug())).hint(hint)
        }
        Clap::UnknownArgument => {
            let given = text(ContextKind::InvalidArg).unwrap_or_default();
            let is_field = !given.starts_with('-') && given.contains('=') && has(&command, "set");
            let hint = match text(ContextKind::SuggestedArg) {
                _ if is_field => format!("to set a field: --set {given}"),
                Some(meant) => format!("did you mean {meant}?"),
                None => help,
            };
            usage(format!("`{path}` does not take `{}`", given.escape_debug())).hint(hint)
        }
        Clap::MissingRequiredArgument => {
            let missing = text(ContextKind::InvalidArg).unwrap_or_default();
            // A flag is missing only where another one wants it.
            let also = if missing.starts_with('-') { "also " } else { "" };
            usage(format!("`{path}` {also}needs {missing}")).hint(help)
        }
        Clap::MissingSubcommand => usage(format!("`{path}` needs a command")).hint(help),
        Clap::InvalidValue | Clap::ValueValidation => {
            let argument = text(ContextKind::InvalidArg).unwrap_or_default();
            let value = text(ContextKind::InvalidValue).unwrap_or_default();
            let known = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) => known.clone(),
                _ => Vec::new(),
            };
            let hint = match did_you_mean(&value, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean {meant}?"),
                None if known.is_empty() => help,
                None => format!("there are {}", known.join(", ")),
            };
            let text = match value.as_str() {
                "" => format!("{argument} needs a value"),
                value => format!("`{}` is no value for {argument}", value.escape_debug()),
            };
            usage(text).hint(hint)
        }
        Clap::ArgumentConflict => {
            let one = text(ContextKind::InvalidArg).unwrap_or_default();
            let text = match text(ContextKind::PriorArg) {
                Some(other) if other == one => format!("{one} is given twice"),
                Some(other) => format!("{one} and {other} do not go together"),
                None => format!("{one} does not go together with the rest"),
            };
            usage(text).hint(help)
        }
        _ => {
            let words = error.to_string();
            let first = words.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            usage(first).hint(help)
        }
    }
}

fn has(command: &Command, argument: &str) -> bool {
    command.get_arguments().any(|known| known.get_long() == Some(argument))
}

/// The command that the words lead to, as far as they do, and how it is called.
fn command(words: &[String]) -> (Command, String) {
    let mut command = Cli::command();
    command.build();
    let mut path = "jackfield".to_owned();
    for word in words.iter().filter(|word| !word.starts_with('-')) {
        let Some(next) = command.find_subcommand(word) else { continue };
        path = format!("{path} {}", next.get_name());
        command = next.clone();
    }
    (command, path)
}
