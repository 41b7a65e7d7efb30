//! `jackfield action invoke`

use std::path::PathBuf;

use clap::{Args, builder::RangedU64ValueParser};
use jackfield::{Error, ErrorKind, Result, api, secret_file, timings};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Declared, form, present};
use crate::cli::{
    Everywhere, completion,
    engine::Engine,
    input::{self, Input},
    output::{self, Format, Printing},
    progress::Progress,
};

#[derive(Args)]
pub(crate) struct Invoke {
    /// The action, as CONNECTOR.ACTION
    #[arg(add = completion::actions())]
    action: String,
    #[command(flatten)]
    input: Input,
    /// Ask for the input as a form first
    #[arg(short, long, help_heading = "Input")]
    interactive: bool,
    /// Read the token from standard input
    #[arg(long, conflicts_with = "token_file", help_heading = "Credential")]
    token_stdin: bool,
    /// Read the token from a file
    #[arg(long, value_name = "FILE", help_heading = "Credential")]
    token_file: Option<PathBuf>,
    /// Run it as this connection
    #[arg(short, long, value_name = "ID", conflicts_with_all = ["token_stdin", "token_file"], help_heading = "Credential")]
    connection: Option<String>,
    /// Run it as the only connection of this user
    #[arg(long, value_name = "ID", conflicts_with_all = ["token_stdin", "token_file"], help_heading = "Credential")]
    user: Option<String>,
    /// The way the token was got, where the connector knows several
    #[arg(long, value_name = "NAME", help_heading = "Credential")]
    auth: Option<String>,
    /// A parameter of the connection, such as subdomain=acme
    #[arg(long = "parameter", value_name = "NAME=VALUE", help_heading = "Credential")]
    parameters: Vec<String>,
    /// Get all pages of a list
    #[arg(long)]
    all: bool,
    /// With --all: stop at so many items
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "all", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    max_items: usize,
    /// Show the request that would be sent, secrets masked, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(api::TIMEOUT_SECONDS))]
    timeout: Option<u64>,
    #[command(flatten)]
    printing: Printing,
}

impl Invoke {
    pub(crate) fn format(&self) -> Format {
        self.printing.output
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let query = self.printing.query()?;
        let mut engine = Engine::find(everywhere)?;
        let declared = engine.action(&self.action)?;
        timings::stage("discovery");
        if self.token_stdin && self.input.reads_stdin() {
            return Err(Error::new(
                ErrorKind::Usage,
                "standard input cannot hold both the token and the input",
            )
            .hint("read one of them from a file: --token-file FILE, or --file FILE"));
        }
        let request = self.request(everywhere, &declared)?;
        timings::stage("input");
        let progress = Progress::begin(&self.action);
        let output = engine.invoke(request, declared.action().effect, progress.watch());
        progress.end();
        timings::stage("answer");
        let printed = output.map_err(|error| self.next_step(error)).and_then(|output| {
            if self.dry_run {
                let request = serde_json::from_str(output.output.get()).unwrap_or_default();
                return present::request(&self.printing, query.as_ref(), &request);
            }
            let items = present::output(&self.printing, query.as_ref(), &declared, &output)
                .map_err(|error| done_all_the_same(error, output.id.clone()))?;
            if output.more && self.all {
                output::say(&format!("stopped at {items} items; there are more: --max-items"));
            } else if output.more {
                output::say("the list goes on: --all gets the rest");
            }
            Ok(())
        });
        timings::stage("print");
        engine.settle();
        timings::stage("store");
        printed
    }

    fn request(&self, everywhere: &Everywhere, declared: &Declared) -> Result<api::Invoke> {
        let schema = declared.input();
        let form = || declared.form();
        let mut input = self.input.read_with(&schema, &form)?;
        if self.interactive {
            if !everywhere.can_ask() {
                return Err(Error::new(ErrorKind::Usage, "there is no terminal to ask in")
                    .hint("give the input with --set or -f, and leave -i out"));
            }
            input = form::ask_for(&declared.name, &form(), &schema, input)?;
        }
        let mut parameters = Map::new();
        for assignment in &self.parameters {
            let (name, value) = input::split(assignment)?;
            parameters.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        Ok(api::Invoke {
            action: declared.name.clone(),
            input,
            auth: self.auth.clone(),
            parameters,
            token: self.token()?,
            connection: self.connection.clone(),
            user: self.user.clone(),
            all: self.all.then_some(self.max_items),
            timeout_seconds: self.timeout,
            dry_run: self.dry_run,
        })
    }

    /// The token that was given with the command. What the configuration names is found by whoever carries it out.
    fn token(&self) -> Result<Option<Zeroizing<String>>> {
        let token = match &self.token_file {
            Some(file) => Some(secret_file::read(file)?),
            None if self.token_stdin => Some(secret_file::read_stdin()?),
            None => None,
        };
        Ok(token.map(|token| Zeroizing::new(token.expose_secret().to_owned())))
    }

    /// Whether a token was given, and no connection is meant.
    fn has_token(&self) -> bool {
        self.token_stdin || self.token_file.is_some()
    }

    /// Says what to type where the credential is what is wrong.
    fn next_step(&self, mut error: Error) -> Error {
        let command = format!("jackfield action invoke {} … --token-file FILE", self.action);
        match error.kind {
            ErrorKind::Unauthorized if error.provider.is_some() && self.has_token() => {
                error.hint = Some(format!("get a new token and run it again: {command}"));
            }
            ErrorKind::MissingScope if self.has_token() => {
                let first = error.hint.map_or("connect again".to_owned(), |hint| hint);
                error.hint = Some(format!("{first}, and run it with the new token: {command}"));
            }
            _ => {}
        }
        error
    }
}

/// What was done is done, whatever became of showing it: whoever reads this must not run it again.
fn done_all_the_same(error: Error, id: Option<String>) -> Error {
    let text = format!("it was done, and what it gave cannot be shown: {}", error.message);
    let hint = match &id {
        Some(id) => format!("see what it gave: jackfield invocation show {id}"),
        None => "see what was done: jackfield invocation list".to_owned(),
    };
    let mut done = Error::new(ErrorKind::NotShown, text).hint(hint);
    done.id = id;
    done
}
