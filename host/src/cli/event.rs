//! `jackfield event`

use clap::{Args, Subcommand, ValueEnum};
use jackfield::{
    Error, ErrorKind, Result,
    api::events::{Again, EventsAgain, RouteTo},
    store::{Dispatch, DispatchState, Event},
};
use serde_json::json;

use super::{
    Everywhere,
    engine::{Engine, encoded},
    output::{self, Format, Printing, say},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what has happened, the newest first
    List {
        /// Of this type only, such as zoom.new_meeting
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Of this connection only
        #[arg(short, long, value_name = "ID")]
        connection: Option<String>,
        /// Of this user only
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Those that nobody is known for, instead
        #[arg(long)]
        unrouted: bool,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show an event
    Show {
        /// Its id: evt_…
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Give an event that nobody is known for to a connection
    Route {
        /// Its id: evt_…
        id: String,
        /// The connection
        #[arg(short, long, value_name = "ID")]
        connection: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// List what is sent to apps and was, the newest first
    Sent {
        /// The event
        #[arg(long, value_name = "ID")]
        event: Option<String>,
        /// For this subscription only
        #[arg(long, value_name = "ID")]
        subscription: Option<String>,
        /// In this state only; `dead` is the dead-letter shelf
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        printing: Printing,
    },
    /// Send events again, under their ids
    Replay(Box<Replay>),
}

/// Send events again, under their ids
#[derive(Args)]
pub(crate) struct Replay {
    /// The event's id: evt_…
    id: Option<String>,
    /// Events of this type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "id")]
    kind: Option<String>,
    /// For this subscription only
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// In this state only: `dead`, or `done` for those that have arrived
    #[arg(long, value_enum)]
    state: Option<StateArg>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    Waiting,
    Sending,
    Done,
    Dead,
}

impl StateArg {
    fn state(self) -> DispatchState {
        match self {
            Self::Waiting => DispatchState::Waiting,
            Self::Sending => DispatchState::Sending,
            Self::Done => DispatchState::Done,
            Self::Dead => DispatchState::Dead,
        }
    }
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. }
            | Self::Show { printing, .. }
            | Self::Route { printing, .. }
            | Self::Sent { printing, .. } => printing.output,
            Self::Replay(replay) => replay.printing.output,
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::List { kind, connection, user, unrouted, limit, printing } => {
                let query = printing.query()?;
                let mut asked = url::form_urlencoded::Serializer::new(String::new());
                asked.append_pair("newest", "true");
                asked.extend_pairs(kind.iter().map(|kind| ("type", kind)));
                asked.extend_pairs(connection.iter().map(|connection| ("connection", connection)));
                asked.extend_pairs(user.iter().map(|user| ("user", user)));
                if unrouted {
                    asked.append_pair("unrouted", "true");
                }
                let found: Vec<Event> = engine.list(&format!("/v1/events?{}", asked.finish()), limit)?;
                let names: Vec<String> = found.iter().map(|one| one.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    let row = |one: &Event| {
                        let last = if unrouted { &one.unrouted } else { &one.connection };
                        vec![
                            one.id.clone(),
                            one.kind.clone(),
                            one.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                            one.user.clone().unwrap_or_default(),
                            last.clone().unwrap_or_default(),
                        ]
                    };
                    let last = if unrouted { "WHY" } else { "CONNECTION" };
                    output::rows(&["ID", "TYPE", "RECEIVED", "USER", last], found.iter().map(row));
                    if unrouted && !found.is_empty() {
                        say("give one to a connection: jackfield event route ID -c CONNECTION");
                    }
                })
            }
            Self::Show { id, printing } => {
                let query = printing.query()?;
                let found: Event = engine.get(&format!("/v1/events/{}", encoded(&id)))?;
                printing.print(query.as_ref(), &json!(found), std::slice::from_ref(&id), || show(&found))
            }
            Self::Route { id, connection, printing } => {
                let query = printing.query()?;
                let path = format!("/v1/events/{}/route", encoded(&id));
                let found: Event =
                    engine.ask("POST", &path, Some(&RouteTo { connection: connection.clone() }))?;
                printing.print(query.as_ref(), &json!(found), std::slice::from_ref(&id), || {
                    say(&format!("{id} is {connection}'s now"));
                })
            }
            Self::Sent { event, subscription, state, limit, printing } => {
                let query = printing.query()?;
                let mut asked = url::form_urlencoded::Serializer::new(String::new());
                asked.extend_pairs(event.iter().map(|event| ("event", event)));
                asked.extend_pairs(subscription.iter().map(|one| ("subscription", one)));
                asked.extend_pairs(state.iter().map(|state| ("state", state.state().as_str())));
                let found: Vec<Dispatch> =
                    engine.list(&format!("/v1/dispatches?{}", asked.finish()), limit)?;
                let names: Vec<String> = found.iter().map(|one| one.event.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    output::rows(
                        &["EVENT", "TYPE", "SUBSCRIPTION", "STATE", "TRIES", "WHY"],
                        found.iter().map(row),
                    );
                })
            }
            Self::Replay(replay) => replay.run(&mut engine),
        }
    }
}

impl Replay {
    fn run(self, engine: &mut Engine) -> Result<()> {
        let query = self.printing.query()?;
        let wanted = EventsAgain {
            event: self.id,
            kind: self.kind,
            subscription: self.subscription,
            state: self.state.map(StateArg::state),
        };
        if wanted == EventsAgain::default() {
            return Err(Error::new(ErrorKind::Usage, "it is not said which events are to be sent again")
                .hint("give the id of one, --type TYPE, --subscription ID, or --state dead"));
        }
        let again: Again = engine.ask("POST", "/v1/events/replay", Some(&wanted))?;
        let served = engine.is_served();
        self.printing.print(query.as_ref(), &json!(again), &[], || {
            let count = usize::try_from(again.again).unwrap_or(usize::MAX);
            if count == 0 {
                say("there is nothing to send again: nobody subscribed to it, or it is still being sent");
            } else {
                say(&format!(
                    "{} sent again",
                    if count == 1 { "1 event is".to_owned() } else { format!("{count} events are") }
                ));
            }
            if !served && count > 0 {
                say("that is done while somebody serves: jackfield serve");
            }
        })
    }
}

fn row(one: &Dispatch) -> Vec<String> {
    vec![
        one.event.clone(),
        one.kind.clone(),
        one.subscription.clone(),
        one.state.as_str().to_owned(),
        one.attempts.to_string(),
        one.reason.clone().unwrap_or_default(),
    ]
}

fn show(one: &Event) {
    let facts = [
        ("id", one.id.clone()),
        ("type", one.kind.clone()),
        ("version", one.version.clone().unwrap_or_default()),
        ("happened", one.occurred_at.map_or(String::new(), |at| at.to_string())),
        ("received", one.at.to_string()),
        ("user", one.user.clone().unwrap_or_default()),
        ("connection", one.connection.clone().unwrap_or_default()),
        ("delivery", one.delivery.clone().unwrap_or_default()),
        ("unrouted", one.unrouted.clone().unwrap_or_default()),
    ];
    output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
    output::json(&one.data);
}
