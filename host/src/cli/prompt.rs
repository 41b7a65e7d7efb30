//! Asking in a terminal, by inquire. What is asked, and what becomes of it, is the form's business.

use inquire::{
    Autocomplete, CustomUserError, InquireError, MultiSelect, Password, PasswordDisplayMode, Select, Text,
    autocompletion::Replacement, list_option::ListOption, ui::RenderConfig, validator::Validation,
};
use jackfield::{
    Error, ErrorKind, Result,
    forms::ask::{Away, Choose, Line, Prompter},
    system,
};
use zeroize::Zeroizing;

use super::output::{one_line, say};

/// How many answers are seen at once.
const PAGE: usize = 12;

/// Somebody at a terminal.
pub(crate) struct Terminal;

/// What inquire gives, or why it gives nothing: Escape leads back, Ctrl-C ends it.
fn answered<T>(answer: Result<T, InquireError>) -> Result<T, Away> {
    answer.map_err(|error| match error {
        InquireError::OperationCanceled => Away::Back,
        _ => Away::Stop,
    })
}

fn look() -> RenderConfig<'static> {
    if std::env::var_os("NO_COLOR").is_some() {
        RenderConfig::empty()
    } else {
        RenderConfig::default_colored()
    }
}

/// What is to be chosen from, as a terminal may show it: some of it is a connector's.
fn shown(options: &[String]) -> Vec<String> {
    options.iter().map(|option| one_line(option)).collect()
}

impl Prompter for Terminal {
    fn line(&mut self, line: &Line) -> Result<String, Away> {
        let (message, help, placeholder) =
            (one_line(&line.message), one_line(&line.help), one_line(&line.placeholder));
        let valid = line.valid.clone();
        let validator = move |text: &str| -> Result<Validation, CustomUserError> {
            Ok(match valid(text) {
                Ok(()) => Validation::Valid,
                Err(why) => Validation::Invalid(why.into()),
            })
        };
        if line.secret {
            let mut password = Password::new(&message)
                .with_display_mode(PasswordDisplayMode::Masked)
                // What was left out does not look as if there were something.
                .with_formatter(&|given| if given.is_empty() { String::new() } else { "********".to_owned() })
                .without_confirmation()
                .with_render_config(look())
                .with_validator(validator);
            if !help.is_empty() {
                password = password.with_help_message(&help);
            }
            return answered(password.prompt());
        }
        let mut text = Text::new(&message)
            .with_initial_value(&line.initial)
            .with_placeholder(&placeholder)
            .with_page_size(PAGE)
            .with_render_config(look())
            .with_validator(validator);
        if !help.is_empty() {
            text = text.with_help_message(&help);
        }
        if !line.suggestions.is_empty() {
            text = text.with_autocomplete(Suggest(line.suggestions));
        }
        answered(text.prompt())
    }

    fn choose(&mut self, choose: &Choose) -> Result<usize, Away> {
        let (message, help) = (one_line(&choose.message), one_line(&choose.help));
        let mut select = Select::new(&message, shown(&choose.options))
            .with_starting_cursor(choose.at)
            .with_page_size(PAGE)
            .with_render_config(look());
        if !help.is_empty() {
            select = select.with_help_message(&help);
        }
        answered(select.raw_prompt()).map(|option| option.index)
    }

    fn tick(&mut self, choose: &Choose, ticked: &[usize]) -> Result<Vec<usize>, Away> {
        let (message, help) = (one_line(&choose.message), one_line(&choose.help));
        let mut select = MultiSelect::new(&message, shown(&choose.options))
            .with_default(ticked)
            .with_page_size(PAGE)
            .with_render_config(look());
        if !help.is_empty() {
            select = select.with_help_message(&help);
        }
        let options: Vec<ListOption<String>> = answered(select.raw_prompt())?;
        Ok(options.into_iter().map(|option| option.index).collect())
    }

    fn say(&mut self, text: &str) {
        text.lines().for_each(|line| say(&one_line(line)));
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("cannot read {path}: {}", system::words(&error)))
    }
}

/// Completes names: those that begin like it first, then those that hold it.
#[derive(Clone)]
struct Suggest(&'static [&'static str]);

impl Autocomplete for Suggest {
    fn get_suggestions(&mut self, input: &str) -> Result<Vec<String>, CustomUserError> {
        let input = input.to_lowercase();
        if input.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.0.iter().map(|name| (name.to_lowercase(), *name));
        let (mut first, mut then) = (Vec::new(), Vec::new());
        for (lower, name) in names {
            if lower.starts_with(&input) {
                first.push(name.to_owned());
            } else if lower.replace('_', " ").contains(&input.replace('_', " ")) {
                then.push(name.to_owned());
            }
        }
        first.extend(then);
        Ok(first)
    }

    fn get_completion(
        &mut self,
        input: &str,
        highlighted: Option<String>,
    ) -> Result<Replacement, CustomUserError> {
        // As a shell completes: what is chosen, else the first that is offered.
        Ok(match highlighted {
            Some(chosen) => Some(chosen),
            None => self.get_suggestions(input)?.into_iter().next(),
        })
    }
}

/// Asks whether something is meant. Whoever does not answer says no.
pub(crate) fn confirm(question: &str) -> bool {
    inquire::Confirm::new(question).with_default(false).with_render_config(look()).prompt().unwrap_or(false)
}

/// Asks for one line.
pub(crate) fn line(question: &str) -> Result<String> {
    let answer = Text::new(&one_line(question)).with_render_config(look()).prompt();
    answer.map(|text| text.trim().to_owned()).map_err(|_| cancelled())
}

/// Asks for a secret; nothing if nothing is typed.
pub(crate) fn secret(question: &str) -> Result<Option<Zeroizing<String>>> {
    let answer = Password::new(&one_line(question))
        .with_display_mode(PasswordDisplayMode::Masked)
        .with_formatter(&|given| if given.is_empty() { String::new() } else { "********".to_owned() })
        .without_confirmation()
        .with_render_config(look())
        .prompt();
    let typed = Zeroizing::new(answer.map_err(|_| cancelled())?);
    Ok(Some(typed).filter(|typed| !typed.is_empty()))
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "cancelled; nothing was changed")
}
