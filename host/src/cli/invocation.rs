//! `jackfield invocation`

use clap::{Subcommand, ValueEnum};
use jackfield::{
    Result, api,
    store::{Invocation, State, Wanted},
};
use serde_json::{Value, json};

use super::{
    Everywhere, completion,
    engine::Engine,
    errors,
    output::{self, Format, Printing},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what was run, the newest first
    List {
        /// Of this action only, or of all actions of a connector
        #[arg(long, value_name = "ACTION", add = completion::actions())]
        action: Option<String>,
        /// In this state only
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show what was run, as whom, what was sent and what came of it; secrets are masked
    Show {
        /// The id that an error or a list has printed, or its beginning
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    Running,
    Done,
    Failed,
    Lost,
}

impl From<StateArg> for State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Running => Self::Running,
            StateArg::Done => Self::Done,
            StateArg::Failed => Self::Failed,
            StateArg::Lost => Self::Lost,
        }
    }
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. } | Self::Show { printing, .. } => printing.output,
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::List { action, state, limit, printing } => {
                let query = printing.query()?;
                let (connector, action) = match &action {
                    None => (None, None),
                    Some(name) => match api::split(name) {
                        Ok((connector, action)) => (Some(connector.to_owned()), Some(action.to_owned())),
                        Err(_) => (Some(name.clone()), None),
                    },
                };
                let wanted = Wanted {
                    project: None,
                    connector,
                    action,
                    state: state.map(State::from),
                    most: Some(limit),
                    ..Wanted::default()
                };
                let found = engine.invocations(wanted)?;
                let names: Vec<String> = found.iter().map(|one| one.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    output::rows(&["ID", "ACTION", "STATE", "BEGUN", "TOOK", "ABOUT"], found.iter().map(row));
                })
            }
            Self::Show { id, printing } => {
                let query = printing.query()?;
                let found = engine.invocation(&id)?;
                printing
                    .print(query.as_ref(), &json!(found), std::slice::from_ref(&found.id), || show(&found))
            }
        }
    }
}

/// How much of an id a table shows: its kind, the millisecond, and some bits by chance.
const SHORT_ID: usize = "inv_".len() + 20;

fn took(invocation: &Invocation) -> String {
    invocation.ms.map_or_else(String::new, |ms| format!("{ms} ms"))
}

fn row(invocation: &Invocation) -> Vec<String> {
    let about = invocation
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!("{}: {}", error.kind, error.message));
    vec![
        // As much of it as tells it apart, so that there is room for what it was; `show` takes it.
        invocation.id.get(..SHORT_ID).unwrap_or(&invocation.id).to_owned(),
        invocation.action.clone(),
        invocation.state.as_str().to_owned(),
        invocation.begun.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        took(invocation),
        about,
    ]
}

fn show(invocation: &Invocation) {
    let state = match invocation.state {
        State::Lost => {
            "lost: its process ended before it did; look at the provider for what became of it".to_owned()
        }
        state => state.as_str().to_owned(),
    };
    let facts = [
        ("id", invocation.id.clone()),
        ("action", invocation.action.clone()),
        ("state", state),
        ("begun", invocation.begun.to_string()),
        ("took", took(invocation)),
        ("attempts", invocation.attempts.to_string()),
        ("by", format!("{}, project {}, by {}", invocation.actor, invocation.project, invocation.source)),
        ("user", invocation.user.clone().unwrap_or_default()),
        (
            "connector",
            format!("{}, manifest {}", invocation.version, invocation.manifest.get(..12).unwrap_or_default()),
        ),
    ];
    output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
    let part = |title: &str, value: Option<&Value>| {
        if let Some(value) = value {
            output::data(&format!("\n{title}\n{}", indented(&output::pretty(value))));
        }
    };
    part("input", invocation.input.as_ref());
    for (index, exchange) in invocation.exchange.iter().enumerate() {
        output::data(&format!("\nrequest {}\n{}", index + 1, indented(&exchanged(exchange))));
    }
    if let Some(error) = &invocation.error {
        output::data(&format!("\nerror\n{}", indented(&errors::text(error))));
    }
    part("output", invocation.output.as_ref());
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// A request and its answer, in the order in which they crossed.
fn exchanged(exchange: &Value) -> String {
    let clean = |value: &Value| output::one_line(&output::cell(value));
    let body = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("\n{}", output::one_line(text)),
        value => format!("\n{}", output::pretty(value)),
    };
    let request = &exchange["request"];
    let sent = format!("{} {}{}", clean(&request["method"]), clean(&request["url"]), body(&request["body"]));
    let answer = match &exchange["answer"] {
        Value::Null => format!("no answer: {}", clean(&exchange["lost"])),
        answer => format!(
            "{} after {} ms{}",
            clean(&answer["status"]),
            clean(&exchange["ms"]),
            body(&answer["body"])
        ),
    };
    format!("{sent}\n-> {answer}")
}
