//! `jackfield trigger`

use std::time::{Duration, Instant};

use clap::Subcommand;
use connector_protocol::manifest::Source;
use http::{HeaderMap, HeaderName, HeaderValue};
use jackfield::{
    Error, ErrorKind, Result,
    api::{
        accounts::List,
        events::{DeliveryShown, Fire, Fired, TriggerLine, TriggerShown},
    },
    config::{Config, Limits},
    egress::Egress,
    events::{filter::Filter, signing},
    store::{DeliveryState, Event},
};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Everywhere, completion,
    engine::{Engine, encoded},
    output::{self, Format, Printing, say, warn},
    signals::Stoppable,
};

/// How often it is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(300);

/// How long it is waited for what comes of a sample.
const SORTED: Duration = Duration::from_secs(15);

/// How long a program on this machine may take over an event.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what can be subscribed to
    List {
        /// Of this connector only
        #[arg(add = completion::connectors())]
        connector: Option<String>,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show a trigger and what its events hold
    Show {
        /// The trigger: CONNECTOR.TRIGGER
        name: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Send a sample of a delivery through the whole way, signed; nobody outside is asked for anything
    Fire {
        /// The trigger: CONNECTOR.TRIGGER
        name: String,
        /// The connection that it is for, where there are several
        #[arg(short, long, value_name = "ID")]
        connection: Option<String>,
        /// Another value for a member of the sample, such as payload.object.topic=Lunch
        #[arg(short, long = "set", value_name = "PATH=VALUE")]
        sets: Vec<String>,
        #[command(flatten)]
        printing: Printing,
    },
    /// Print events as they come, or pass them on to a program on this machine
    Listen {
        /// The trigger: CONNECTOR.TRIGGER
        name: String,
        /// Send each on to this address, signed as a subscription would
        #[arg(long, value_name = "URL")]
        forward_to: Option<Url>,
        /// Of this connection only
        #[arg(short, long, value_name = "ID")]
        connection: Option<String>,
        /// Of this user's connections only
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Only events for which this holds, such as 'meeting.topic contains demo'; several: all of them
        #[arg(long = "where", value_name = "TEST")]
        conditions: Vec<String>,
        /// End after so many
        #[arg(long, value_name = "N")]
        count: Option<usize>,
    },
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. } | Self::Show { printing, .. } | Self::Fire { printing, .. } => {
                printing.output
            }
            Self::Listen { .. } => Format::Table,
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        match self {
            Self::List { connector, printing } => {
                let query = printing.query()?;
                let mut asked = url::form_urlencoded::Serializer::new(String::new());
                asked.extend_pairs(connector.iter().map(|connector| ("connector", connector)));
                let found: List<TriggerLine> =
                    Engine::find(everywhere)?.get(&format!("/v1/triggers?{}", asked.finish()))?;
                let names: Vec<String> = found.items.iter().map(|one| one.name.clone()).collect();
                printing.print(query.as_ref(), &json!(found.items), &names, || {
                    let row = |one: &TriggerLine| {
                        vec![
                            one.name.clone(),
                            one.title.clone(),
                            source(one.source.as_ref()),
                            one.description.clone(),
                        ]
                    };
                    output::rows(&["TRIGGER", "TITLE", "SOURCE", "WHEN"], found.items.iter().map(row));
                })
            }
            Self::Show { name, printing } => {
                let query = printing.query()?;
                let found: TriggerShown =
                    Engine::find(everywhere)?.get(&format!("/v1/triggers/{}", encoded(&name)))?;
                printing.print(query.as_ref(), &json!(found), std::slice::from_ref(&name), || show(&found))
            }
            Self::Fire { name, connection, sets, printing } => {
                let mut set = Map::new();
                for text in &sets {
                    let (path, value) = super::input::split(text)?;
                    let value =
                        serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                    set.insert(path.to_owned(), value);
                }
                fire(&mut Engine::find(everywhere)?, &name, &Fire { connection, set }, &printing)
            }
            Self::Listen { name, forward_to, connection, user, conditions, count } => {
                let filter: Vec<Filter> = conditions
                    .iter()
                    .map(|text| Filter::read(text))
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|text| Error::new(ErrorKind::Usage, text))?;
                let mut asked = url::form_urlencoded::Serializer::new(String::new());
                asked.append_pair("type", &name);
                asked.extend_pairs(connection.iter().map(|connection| ("connection", connection)));
                asked.extend_pairs(user.iter().map(|user| ("user", user)));
                let listening = Listening {
                    path: format!("/v1/events?{}", asked.finish()),
                    filter: Filter::All { all: filter },
                    forward: forward_to.map(Forward::to).transpose()?,
                    count,
                };
                listening.run(everywhere, &name)
            }
        }
    }
}

fn source(source: Option<&Source>) -> String {
    match source {
        None => "Jackfield itself".to_owned(),
        Some(Source::AppWebhook { .. }) => "webhook of the app".to_owned(),
        Some(Source::RegisteredWebhook { .. }) => "registered webhook".to_owned(),
        Some(Source::Poll { every_seconds }) => format!("asked every {every_seconds} s"),
    }
}

fn show(found: &TriggerShown) {
    let scopes: Vec<String> = found.scopes.iter().map(|set| json!(set).to_string()).collect();
    let facts = [
        ("trigger", found.line.name.clone()),
        ("title", found.line.title.clone()),
        ("when", found.line.description.clone()),
        ("source", source(found.line.source.as_ref())),
        ("scopes", scopes.join(" or ")),
        ("docs", found.docs.clone().unwrap_or_default()),
    ];
    output::lines(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
    for (what, sample) in [
        ("the data of an event, as it may look; its fields are what --where tests:", &found.sample),
        (
            "the body of a delivery, as it may look; its members are what fire --set sets:",
            &found.sample_delivery,
        ),
    ] {
        if let Some(sample) = sample {
            output::data(&format!("\n{what}"));
            output::json(sample);
        }
    }
    say(&format!(
        "what it holds, as a JSON Schema: jackfield trigger show {} -o json --query .event",
        found.line.name
    ));
    if found.sample_delivery.is_some() {
        say(&format!("try what comes of one: jackfield trigger fire {}", found.line.name));
    }
    say(&format!("have it sent somewhere: jackfield subscription add {} --url URL", found.line.name));
}

/// Sends a sample, and looks what came of it.
fn fire(engine: &mut Engine, name: &str, fire: &Fire, printing: &Printing) -> Result<()> {
    let query = printing.query()?;
    let fired: Fired = engine.ask("POST", &format!("/v1/triggers/{}/fire", encoded(name)), Some(fire))?;
    let id = fired.delivery.clone();
    if !engine.is_served() {
        return printing.print(query.as_ref(), &json!(fired), std::slice::from_ref(&id), || {
            output::data(&id);
            say("kept; its events are made while somebody serves: jackfield serve");
        });
    }
    let begun = Instant::now();
    let delivery = loop {
        let delivery: DeliveryShown = engine.get(&format!("/v1/deliveries/{}", encoded(&id)))?;
        if delivery.delivery.state != DeliveryState::Waiting || begun.elapsed() > SORTED {
            break delivery.delivery;
        }
        engine.block_on(async { tokio::time::sleep(LOOK).await });
    };
    let newest = |unrouted: bool| format!("/v1/events?type={name}&newest=true&limit=50&unrouted={unrouted}");
    let mut events: Vec<Event> = Vec::new();
    for unrouted in [false, true] {
        let found: List<Event> = engine.get(&newest(unrouted))?;
        events.extend(found.items.into_iter().filter(|event| event.delivery.as_ref() == Some(&id)));
    }
    let names: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    let value = json!({"delivery": delivery, "events": events});
    printing.print(query.as_ref(), &value, &names, || {
        let row = |event: &Event| {
            let whose = event.connection.clone().or_else(|| event.unrouted.clone()).unwrap_or_default();
            vec![event.id.clone(), event.kind.clone(), event.user.clone().unwrap_or_default(), whose]
        };
        output::rows(&["EVENT", "TYPE", "USER", "CONNECTION"], events.iter().map(row));
        match delivery.state {
            DeliveryState::Waiting => say(&format!("{id} still waits: jackfield delivery show {id}")),
            DeliveryState::Done => say("where it was sent: jackfield event sent"),
            _ => warn(delivery.reason.as_deref().unwrap_or("nothing came of it"), None),
        }
    })
}

/// Where events are passed on to.
struct Forward {
    url: Url,
    egress: Egress,
    secrets: std::collections::BTreeMap<String, secrecy::SecretString>,
}

impl Forward {
    fn to(url: Url) -> Result<Self> {
        let (secrets, key) = signing::new_key()?;
        say(&format!("each event is sent to {url}, signed with {}", key.as_str()));
        Ok(Self { url, egress: Egress::new(Limits::default()), secrets })
    }

    async fn pass_on(&self, event: &Event) -> Result<u16> {
        let body = serde_json::to_vec(event).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the event cannot be written: {error}"))
        })?;
        let headers = signing::headers(&self.secrets, &event.id, &body)?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                map.insert(HeaderName::from_static(name), value);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let posted = self.egress.post(&self.url, true, map, body.into(), "listen", deadline).await;
        posted.map(|posted| posted.status).map_err(|unposted| unposted.error)
    }
}

struct Listening {
    path: String,
    filter: Filter,
    forward: Option<Forward>,
    count: Option<usize>,
}

impl Listening {
    fn run(self, everywhere: &Everywhere, name: &str) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        if !engine.is_served() {
            let text = "nobody serves this home, so nothing can arrive";
            return Err(Error::new(ErrorKind::Unavailable, text).hint("serve it: jackfield serve"));
        }
        // Whether there is such a trigger is better said now than never.
        let _: TriggerShown = engine.get(&format!("/v1/triggers/{}", encoded(name)))?;
        if let Ok(home) = engine.home()
            && let Ok(config) = Config::load(home)
            && matches!(config.public_url.url().host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        {
            let url = config.public_url.base();
            warn(
                &format!("providers cannot reach {url}"),
                Some(
                    "give them an address that leads here, by a tunnel or a reverse proxy, and set it as public_url in jackfield.toml",
                ),
            );
        }
        let newest: List<Event> = engine.get(&format!("{}&newest=true&limit=1", self.path))?;
        let mut after = newest.items.into_iter().next().map(|event| event.id);
        let stoppable = Stoppable::begin()?;
        say(&format!("listening for {name}; Ctrl-C ends it"));
        let mut seen = 0;
        loop {
            let asked = match &after {
                Some(after) => format!("{}&after={after}", self.path),
                None => self.path.clone(),
            };
            let found: List<Event> = engine.get(&asked)?;
            let is_all = found.items.len() < 50;
            for event in found.items {
                after = Some(event.id.clone());
                if !self.filter.holds(&event.data) {
                    continue;
                }
                output::json_line(&event);
                if let Some(forward) = &self.forward {
                    match engine.block_on(forward.pass_on(&event)) {
                        Ok(status) => say(&format!("{}: answered with {status}", event.id)),
                        Err(error) => {
                            warn(&format!("{} was not passed on: {}", event.id, error.message), None)
                        }
                    }
                }
                seen += 1;
                if self.count.is_some_and(|count| seen >= count) {
                    return Ok(());
                }
            }
            if is_all {
                let stopped =
                    engine.block_on(async { tokio::time::timeout(LOOK, stoppable.stopped()).await.is_ok() });
                if stopped {
                    return Ok(());
                }
            }
        }
    }
}
