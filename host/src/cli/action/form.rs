//! `jackfield action form`

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::PathBuf,
    rc::Rc,
};

use clap::Args;
use connector_protocol::validate::Validator;
use jackfield::{
    Error, ErrorKind, Result,
    forms::{
        self,
        ask::{self, Away},
        page::{self, Page},
    },
    system,
};
use serde_json::Value;

use super::Declared;
use crate::cli::{
    Everywhere, completion,
    engine::Engine,
    input::Input,
    output::{self, Format},
    prompt::Terminal,
};

/// Fill the form of an action, in the terminal; or get it as a page or as JSON
#[derive(Args)]
pub(crate) struct Fill {
    /// The action, as CONNECTOR.ACTION
    #[arg(add = completion::actions())]
    action: String,
    #[command(flatten)]
    input: Input,
    /// Write what was filled in to this file, instead of printing it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "html"], help_heading = "Output")]
    save: Option<PathBuf>,
    /// Print a page for a browser: HTML
    #[arg(long, conflicts_with = "output", help_heading = "Output")]
    html: bool,
    /// Where the page sends what was filled in, instead of offering it as a file
    #[arg(long, value_name = "URL", requires = "html", help_heading = "Output")]
    post_to: Option<String>,
    /// Print the form instead of asking: as text, or as the form model
    #[arg(short, long, value_enum, help_heading = "Output")]
    output: Option<Format>,
}

impl Fill {
    pub(crate) fn format(&self) -> Format {
        self.output.unwrap_or(Format::Table)
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let declared = Engine::find(everywhere)?.declared(&self.action)?;
        let form = declared.form();
        match self.output {
            Some(Format::Json) => return Ok(output::json(&form)),
            Some(Format::Ndjson) => return Ok(output::json_line(&form)),
            Some(Format::Name) => {
                return Ok(form.object.fields.iter().for_each(|field| output::data(&field.name)));
            }
            Some(Format::Table) => {
                let text = forms::describe(&form, None, output::text_width()).unwrap_or_default();
                return Ok(output::lines(text.trim_start_matches('\n')));
            }
            None => {}
        }
        let schema = declared.input();
        let given = self.input.read(&schema, &form)?;
        if self.html {
            return self.page(&declared, &form, &schema, &given);
        }
        if everywhere.no_input {
            // What was given is all there is: it is checked, and becomes JSON.
            let problems = validator(&declared.name, &schema)?.check(&given);
            if !problems.is_empty() {
                let text = format!("the input of {} does not fit", declared.name);
                let hint = format!("see what it takes: jackfield action show {}", declared.name);
                return Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint(hint));
            }
            return self.hand_over(&declared.name, &given);
        }
        if !everywhere.can_ask() {
            let text = "there is no terminal to ask in";
            let hint = format!("see what there is to fill: jackfield action show {}", declared.name);
            return Err(Error::new(ErrorKind::Usage, text).hint(hint));
        }
        let value = ask_for(&declared.name, &form, &schema, given)?;
        self.hand_over(&declared.name, &value)
    }

    fn hand_over(&self, name: &str, value: &Value) -> Result<()> {
        let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
        match &self.save {
            None => output::data(&text),
            Some(path) => {
                write(path, &text)?;
                output::say(&format!("saved {}", path.display()));
                output::say(&format!("to run it: jackfield action invoke {name} -f {}", path.display()));
            }
        }
        Ok(())
    }

    fn page(&self, declared: &Declared, form: &forms::Form, schema: &Value, given: &Value) -> Result<()> {
        let is_empty = given.as_object().is_some_and(serde_json::Map::is_empty);
        // An empty form is not wrong yet.
        let problems = if is_empty { Vec::new() } else { validator(&declared.name, schema)?.check(given) };
        let page = Page {
            value: Some(given),
            problems: &problems,
            action: self.post_to.as_deref(),
            file: &format!("{}.form", declared.name),
            command: &format!("jackfield action invoke {}", declared.name),
        };
        let html = page::html(form, &page)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the page cannot be made: {error}")))?;
        output::data(&html);
        Ok(())
    }
}

fn validator(name: &str, schema: &Value) -> Result<Validator> {
    Validator::new(schema.clone()).map_err(|error| {
        Error::new(ErrorKind::PluginRefused, format!("{name}: a schema is unusable: {error}"))
    })
}

/// Asks for an input in the terminal.
pub(crate) fn ask_for(name: &str, form: &forms::Form, schema: &Value, given: Value) -> Result<Value> {
    output::say(&format!("{} · Enter leaves out, Escape goes back, Ctrl-C stops", form.title));
    let valid = validator(name, schema)?;
    ask::ask(form, given, &mut Terminal, Rc::new(move |value| valid.check(value))).map_err(
        |away| match away {
            Away::Stop | Away::Back => Error::new(ErrorKind::Cancelled, "cancelled; nothing was sent"),
        },
    )
}

/// Writes what was filled in, which may hold a secret, for the owner alone.
fn write(path: &PathBuf, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        // Also where there was one that others could read.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        io::Write::write_all(&mut file, text.as_bytes())
    });
    written.map_err(|error| {
        let text = format!("cannot write {}: {}", path.display(), system::words(&error));
        Error::new(ErrorKind::Usage, text)
    })
}
