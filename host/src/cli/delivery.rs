//! `jackfield delivery`

use clap::{Subcommand, ValueEnum};
use jackfield::{
    Error, ErrorKind, Result,
    api::{
        accounts::List,
        events::{Again, DeliveriesAgain, DeliveryShown},
    },
    events::hooks::Refused,
    store::{Delivery, DeliveryState},
};
use serde_json::json;

use super::{
    Everywhere, completion,
    engine::{Engine, encoded},
    output::{self, Format, Printing, say},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List webhook requests that were kept, or the last ones that were refused
    List {
        /// Of this connector only
        #[arg(long, add = completion::connectors())]
        connector: Option<String>,
        /// In this state only
        #[arg(long, value_enum, conflicts_with = "refused")]
        state: Option<StateArg>,
        /// The last requests that were refused instead, with the reasons
        #[arg(long)]
        refused: bool,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show a webhook request and what was in it
    Show {
        /// Its id: dlv_…
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Have the connector make events of them again: after it was mended, for example
    Replay {
        /// Its id: dlv_…
        id: Option<String>,
        /// All in this state
        #[arg(long, value_enum, conflicts_with = "id")]
        state: Option<StateArg>,
        #[command(flatten)]
        printing: Printing,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    /// Its events are still to be made
    Waiting,
    /// Its events were made
    Done,
    /// Nothing here knows what to make of it
    Unrouted,
    /// The connector could make nothing of it
    Failed,
}

impl StateArg {
    fn state(self) -> DeliveryState {
        match self {
            Self::Waiting => DeliveryState::Waiting,
            Self::Done => DeliveryState::Done,
            Self::Unrouted => DeliveryState::Unrouted,
            Self::Failed => DeliveryState::Failed,
        }
    }
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. } | Self::Show { printing, .. } | Self::Replay { printing, .. } => {
                printing.output
            }
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::List { connector, refused: true, limit, printing, .. } => {
                let query = printing.query()?;
                let found: List<Refused> = engine.get("/v1/deliveries/refused")?;
                let of =
                    |one: &Refused| connector.as_ref().is_none_or(|connector| *connector == one.connector);
                let found: Vec<Refused> = found.items.into_iter().filter(of).take(limit).collect();
                printing.print(query.as_ref(), &json!(found), &[], || {
                    let row = |one: &Refused| {
                        let at = one.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
                        let from = one.from.clone().unwrap_or_default();
                        vec![at, from, format!("{}/{}", one.connector, one.integration), one.message.clone()]
                    };
                    output::rows(&["WHEN", "FROM", "ADDRESS", "WHY"], found.iter().map(row));
                })
            }
            Self::List { connector, state, limit, printing, .. } => {
                let query = printing.query()?;
                let mut asked = url::form_urlencoded::Serializer::new(String::new());
                asked.extend_pairs(connector.iter().map(|connector| ("connector", connector)));
                asked.extend_pairs(state.iter().map(|state| ("state", state.state().as_str())));
                let found: Vec<Delivery> =
                    engine.list(&format!("/v1/deliveries?{}", asked.finish()), limit)?;
                let names: Vec<String> = found.iter().map(|one| one.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    let row = |one: &Delivery| {
                        vec![
                            one.id.clone(),
                            one.connector.clone(),
                            one.event.clone().unwrap_or_default(),
                            one.received.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                            one.state.as_str().to_owned(),
                            one.reason.clone().unwrap_or_default(),
                        ]
                    };
                    output::rows(
                        &["ID", "CONNECTOR", "EVENT", "RECEIVED", "STATE", "WHY"],
                        found.iter().map(row),
                    );
                })
            }
            Self::Show { id, printing } => {
                let query = printing.query()?;
                let found: DeliveryShown = engine.get(&format!("/v1/deliveries/{}", encoded(&id)))?;
                printing.print(query.as_ref(), &json!(found), std::slice::from_ref(&id), || show(&found))
            }
            Self::Replay { id, state, printing } => {
                let query = printing.query()?;
                let wanted = DeliveriesAgain { id, state: state.map(StateArg::state) };
                if wanted == DeliveriesAgain::default() {
                    return Err(Error::new(ErrorKind::Usage, "it is not said which deliveries")
                        .hint("give the id of one, or --state unrouted, --state failed"));
                }
                let again: Again = engine.ask("POST", "/v1/deliveries/replay", Some(&wanted))?;
                let served = engine.is_served();
                printing.print(query.as_ref(), &json!(again), &[], || {
                    let count = usize::try_from(again.again).unwrap_or(usize::MAX);
                    if count == 1 {
                        say("1 delivery is looked at again");
                    } else {
                        say(&format!("{count} deliveries are looked at again"));
                    }
                    if !served && count > 0 {
                        say("that is done while somebody serves: jackfield serve");
                    }
                })
            }
        }
    }
}

fn show(found: &DeliveryShown) {
    let one = &found.delivery;
    let facts = [
        ("id", one.id.clone()),
        ("connector", one.connector.clone()),
        ("integration", one.integration.clone()),
        ("event", one.event.clone().unwrap_or_default()),
        ("received", one.received.to_string()),
        ("state", one.state.as_str().to_owned()),
        ("why", one.reason.clone().unwrap_or_default()),
        ("received again", if one.repeats > 0 { one.repeats.to_string() } else { String::new() }),
        ("method", found.method.clone()),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let headers = found.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
    output::data(&output::pairs(facts.chain(headers)));
    match (&found.body, &found.body_base64) {
        (Some(body), _) => match serde_json::from_str::<serde_json::Value>(body) {
            Ok(body) => output::json(&body),
            Err(_) => output::lines(body),
        },
        (None, Some(encoded)) => output::data(encoded),
        (None, None) => {}
    }
}
