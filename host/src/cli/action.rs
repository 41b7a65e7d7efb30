//! `jackfield action`

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use connector_protocol::manifest::{Action, AuthKind, Effect, Manifest, Scopes};
use jackfield::{
    Error, ErrorKind, Result,
    egress::Credential,
    forms,
    home::Home,
    invoke::{Caller, Host, Invocation, Invoked, Pages},
    redact,
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{
    input,
    output::{self, Format},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List actions
    List {
        /// Of this connector only
        connector: Option<String>,
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Show what an action does, and what it needs
    Show {
        /// The action, as CONNECTOR.ACTION
        action: String,
        /// How to print it; `json` holds the schemas
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Show the form of an action: what it takes, and what holds between its fields
    Form {
        /// The action, as CONNECTOR.ACTION
        action: String,
        /// How to print it; `json` is the form model
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Run an action
    Invoke(Box<Invoke>),
}

#[derive(Args)]
pub(crate) struct Invoke {
    /// The action, as CONNECTOR.ACTION
    action: String,
    /// Set a field, such as topic=Demo or settings.waiting_room=true; goes over what the file says
    #[arg(long = "set", value_name = "FIELD=VALUE", help_heading = "Input")]
    sets: Vec<String>,
    /// Read the input from a JSON file; `-` for standard input
    #[arg(short, long, value_name = "FILE", help_heading = "Input")]
    file: Option<PathBuf>,
    /// Read the token from standard input
    #[arg(long, conflicts_with = "token_file", help_heading = "Credential")]
    token_stdin: bool,
    /// Read the token from a file
    #[arg(long, value_name = "FILE", help_heading = "Credential")]
    token_file: Option<PathBuf>,
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
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "all")]
    max_items: usize,
    /// Show the request that would be sent, secrets masked, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { output, .. } | Self::Show { output, .. } | Self::Form { output, .. } => *output,
            Self::Invoke(invoke) => invoke.output,
        }
    }

    pub(crate) fn run(self, home: &Home) -> Result<()> {
        let host = Host::open(home)?;
        match self {
            Self::List { connector, output } => list(&host, connector.as_deref(), output),
            Self::Show { action, output } => show(&host, &action, output),
            Self::Form { action, output } => form(&host, &action, output),
            Self::Invoke(invoke) => invoke.run(&host),
        }
    }
}

/// Splits `zoom.create_meeting`.
fn split_name(name: &str) -> Result<(&str, &str)> {
    name.split_once('.').ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{}` is not CONNECTOR.ACTION", name.escape_debug()))
            .hint("see what there is: jackfield action list")
    })
}

fn list(host: &Host, connector: Option<&str>, format: Format) -> Result<()> {
    let libraries = match connector {
        Some(id) => vec![host.registry.find(id)?],
        None => host.registry.libraries().collect(),
    };
    if connector.is_none() && format == Format::Table {
        for refusal in host.registry.refused() {
            output::warn(&refusal.to_string(), refusal.hint.as_deref());
        }
    }
    let items: Vec<Value> = libraries
        .into_iter()
        .flat_map(|library| {
            library.manifest.actions.iter().map(|action| {
                let name = format!("{}.{}", library.id(), action.name);
                json!({"name": name, "title": action.title, "effect": action.effect, "description": action.description})
            })
        })
        .collect();
    let columns = ["name", "title", "effect", "description"];
    output::list(format, &["NAME", "TITLE", "EFFECT", "ABOUT"], &items, |item| {
        columns.iter().map(|name| output::cell(&item[*name])).collect()
    });
    Ok(())
}

fn show(host: &Host, name: &str, format: Format) -> Result<()> {
    let (connector, action) = split_name(name)?;
    let (library, action) = host.resolve(connector, action)?;
    let manifest = &library.manifest;
    let mut whole = json!(action);
    whole["connector"] = json!(manifest.id);
    whole["input"] = manifest.standalone(&action.input);
    whole["output"] = manifest.standalone(&action.output);
    match format {
        Format::Json => output::json(&whole),
        Format::Ndjson => output::json_line(&whole),
        Format::Name => output::data(name),
        Format::Table => {
            let effect = match action.effect {
                Effect::Reads => "reads; changes nothing",
                Effect::Creates => "creates; done twice, there are two",
                Effect::Updates => "updates what is there",
                Effect::Deletes => "deletes",
            };
            let facts = [
                ("name", name.to_owned()),
                ("title", action.title.clone()),
                ("about", action.description.clone()),
                ("effect", effect.to_owned()),
                ("scopes", scopes(&action.scopes)),
                (
                    "list",
                    action
                        .paging
                        .as_ref()
                        .map_or(String::new(), |_| "comes in pages; --all gets them all".to_owned()),
                ),
                ("docs", action.docs.clone().unwrap_or_default()),
            ];
            output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
            output::say(&format!("\nwhat it takes: jackfield action form {name}"));
        }
    }
    Ok(())
}

/// The sets of scopes, of which any one will do.
fn scopes(sets: &[Scopes]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| set.all.join(" and ")).collect();
    sets.join(", or ")
}

fn form(host: &Host, name: &str, format: Format) -> Result<()> {
    let (connector, action) = split_name(name)?;
    let (library, action) = host.resolve(connector, action)?;
    let form = forms::build(&action.title, &action.description, &library.manifest.standalone(&action.input));
    match format {
        Format::Json => output::json(&form),
        Format::Ndjson => output::json_line(&form),
        Format::Name => form.object.fields.iter().for_each(|field| output::data(&field.name)),
        Format::Table => {
            let width = output::terminal_width().map_or(100, |width| usize::from(width).min(100));
            output::data(&forms::describe(&form, width));
        }
    }
    Ok(())
}

impl Invoke {
    fn run(self, host: &Host) -> Result<()> {
        let (connector, action) = split_name(&self.action)?;
        let (library, declared) = host.resolve(connector, action)?;
        let manifest = library.manifest.clone();
        let reads_stdin = self.file.as_ref().is_some_and(|file| file.as_os_str() == "-");
        if self.token_stdin && reads_stdin {
            return Err(Error::new(
                ErrorKind::Usage,
                "standard input cannot hold both the token and the input",
            )
            .hint("read one of them from a file: --token-file FILE, or --file FILE"));
        }
        if self.all && declared.paging.is_none() {
            return Err(Error::new(ErrorKind::Usage, format!("`{}` does not answer in pages", self.action))
                .hint("leave --all out"));
        }
        let input = self.input(&manifest, declared)?;
        // What is wrong with the input is told before a token is asked for.
        host.check_input(library, declared, &input)?;
        let credential = self.credential(host, connector)?;
        let caller = Caller { deadline: self.timeout.map(Duration::from_secs), ..Caller::operator() };
        let pages = if self.all { Pages::All { most: self.max_items } } else { Pages::One };
        let invocation = Invocation {
            connector: connector.to_owned(),
            action: action.to_owned(),
            input,
            credential,
            pages,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))?;
        if self.dry_run {
            let shown = runtime.block_on(host.rehearse(&caller, invocation))?;
            print_request(shown, self.output);
            return Ok(());
        }
        let invoked = runtime
            .block_on(async { host.invoke(&caller, invocation, stopped()).await })
            .map_err(|error| next_step(error, &self.action))?;
        let items = self.print(&manifest, declared, &invoked)?;
        if invoked.more && self.all {
            output::say(&format!("stopped at {items} items; there are more: --max-items"));
        } else if invoked.more {
            output::say("the list goes on: --all gets the rest");
        }
        Ok(())
    }

    fn input(&self, manifest: &Manifest, action: &Action) -> Result<Value> {
        let mut input = match &self.file {
            Some(path) => input::read_file(path)?,
            None => Value::Object(Map::new()),
        };
        let schema = manifest.standalone(&action.input);
        for assignment in &self.sets {
            input::set(&mut input, &schema, assignment)?;
        }
        Ok(input)
    }

    fn credential(&self, host: &Host, connector: &str) -> Result<Credential> {
        let library = host.registry.find(connector)?;
        let auth = host.auth(library, self.auth.as_deref())?;
        let mut parameters = Map::new();
        for assignment in &self.parameters {
            let (name, value) = input::split(assignment)?;
            if auth.secret_names().any(|secret| secret == name) {
                let text = format!("`{name}` is a secret and does not belong on a command line");
                return Err(
                    Error::new(ErrorKind::Usage, text).hint("give it with --token-stdin or --token-file")
                );
            }
            parameters.insert(name.to_owned(), Value::String(value.to_owned()));
        }
        host.check_parameters(library, auth, &parameters)?;
        if matches!(auth.kind, AuthKind::None {}) && !self.token_stdin && self.token_file.is_none() {
            return Ok(Credential { auth: auth.name.clone(), parameters, ..Credential::default() });
        }
        let token = if self.token_stdin || self.token_file.is_some() {
            input::read_token(self.token_file.as_ref())?
        } else if self.dry_run {
            // Nothing is sent, and what stands here is masked.
            SecretString::from("TOKEN")
        } else {
            let text = format!("{} needs a credential, and none was given", library.manifest.title);
            let hint = format!(
                "give a token: jackfield action invoke {} … --token-file FILE, or --token-stdin",
                self.action
            );
            return Err(Error::new(ErrorKind::Unauthorized, text).hint(hint));
        };
        Credential::of_token(auth, token, parameters)
    }

    /// Prints the output, and gives how many items there were.
    fn print(&self, manifest: &Manifest, action: &Action, invoked: &Invoked) -> Result<usize> {
        let unreadable = |error: serde_json::Error| {
            Error::new(ErrorKind::Internal, format!("the output cannot be read: {error}"))
        };
        let mut output: Value = serde_json::from_str(invoked.output.get()).map_err(unreadable)?;
        // A table is read over the shoulder, and is copied into tickets.
        if self.output == Format::Table
            && redact::mask_marked(&manifest.standalone(&action.output), &mut output) > 0
        {
            output::say("secrets are masked; -o json shows them");
        }
        let items =
            action.paging.as_ref().and_then(|paging| output.pointer(&paging.items)).and_then(Value::as_array);
        match (self.output, items) {
            (Format::Json, _) => output::json(&output),
            (Format::Ndjson, Some(items)) => items.iter().for_each(output::json_line),
            (Format::Ndjson, None) => output::json_line(&output),
            (Format::Name, Some(items)) => {
                items.iter().filter_map(name_of).for_each(|name| output::data(&name))
            }
            (Format::Name, None) => name_of(&output).iter().for_each(|name| output::data(name)),
            (Format::Table, Some(items)) => print_items(items),
            (Format::Table, None) => print_object(&output),
        }
        Ok(items.map_or(0, Vec::len))
    }
}

/// Says what to type where the credential is what is wrong.
fn next_step(mut error: Error, action: &str) -> Error {
    let command = format!("jackfield action invoke {action} … --token-file FILE");
    match error.kind {
        ErrorKind::Unauthorized if error.provider.is_some() => {
            error.hint = Some(format!("get a new token and run it again: {command}"));
        }
        ErrorKind::MissingScope => {
            let first = error.hint.map_or("connect again".to_owned(), |hint| hint);
            error.hint = Some(format!("{first}: {command}, with the new token"));
        }
        _ => {}
    }
    error
}

/// Until somebody wants it to end: Ctrl-C, or a signal to that effect.
async fn stopped() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let terminated = async {
        match terminate {
            Ok(mut signal) => drop(signal.recv().await),
            // Then it ends the process as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// What names a thing: the first member that is an id by its name, as the author has put them in order; else its name.
fn name_of(value: &Value) -> Option<String> {
    let members = value.as_object()?;
    let id = members.iter().find(|(name, _)| *name == "id" || name.ends_with("_id"));
    let named = id.map(|(_, value)| value).or_else(|| members.get("name"))?;
    Some(output::one_line(&output::cell(named))).filter(|name| !name.is_empty())
}

/// Every value on a line of its own, under the name by which `--set` would know it.
fn print_object(value: &Value) {
    let mut lines = Vec::new();
    flatten(String::new(), value, &mut lines);
    if let [(name, text)] = lines.as_slice()
        && name.is_empty()
    {
        return output::data(&output::one_line(text));
    }
    output::data(&output::pairs(lines.iter().map(|(name, text)| (name.as_str(), text.clone()))));
}

fn flatten(name: String, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(format!("{name}{dot}{member}"), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(format!("{name}[{index}]"), item, lines);
            }
        }
        Value::Array(items) => {
            lines.push((name, items.iter().map(output::cell).collect::<Vec<_>>().join(", ")));
        }
        plain => lines.push((name, output::cell(plain))),
    }
}

/// A list as a table of those members that are plain values in the first items, as many as fit.
fn print_items(items: &[Value]) {
    let mut columns: Vec<&str> = Vec::new();
    for (name, value) in items.iter().take(20).filter_map(Value::as_object).flatten() {
        if !value.is_object() && !value.is_array() && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    columns.truncate(7);
    let headers: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    output::list(Format::Table, &headers, items, |item| {
        columns.iter().map(|name| output::cell(&item[*name])).collect()
    });
}

fn print_request(request: Option<Value>, format: Format) {
    let Some(request) = request else {
        return output::say("it would send nothing");
    };
    if format != Format::Table {
        return output::json(&request);
    }
    let mut text = format!("{} {}\n", output::cell(&request["method"]), output::cell(&request["url"]));
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        text.push_str(&format!("{name}: {}\n", output::one_line(&output::cell(value))));
    }
    if let Some(body) = request.get("body") {
        let body = if body.is_string() {
            output::cell(body)
        } else {
            serde_json::to_string_pretty(body).unwrap_or_default()
        };
        text.push_str(&format!("\n{body}\n"));
    }
    output::data(&text);
    output::say("nothing was sent");
}
