//! `jackfield subscription`

use clap::{Args, Subcommand};
use jackfield::{
    Error, ErrorKind, Result,
    api::events::{SubscriptionChange, SubscriptionMade, SubscriptionSet, SubscriptionShown},
    events::filter::{EXAMPLE, Filter},
    store::{Destination, FeedKind},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Everywhere,
    engine::{Engine, encoded},
    output::{self, Format, Printing, say},
    user::sure,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List subscriptions
    List {
        /// Of this user only
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        printing: Printing,
    },
    /// Show a subscription
    Show {
        /// Its id: sub_…
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Have the events of a trigger sent to an address of the app's
    Add(Box<Add>),
    /// Change where the events go, or which are wanted
    Set {
        /// Its id: sub_…
        id: String,
        /// The address that they are sent to
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        #[command(flatten)]
        which: Which,
        /// Want all of them
        #[arg(long, conflicts_with_all = ["filter", "condition"])]
        no_filter: bool,
        #[command(flatten)]
        printing: Printing,
    },
    /// Send nothing for now; events are kept meanwhile
    Pause {
        /// Its id: sub_…
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Go on, with what has come meanwhile
    Resume {
        /// Its id: sub_…
        id: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Take a subscription away, with what is still to be sent for it
    Remove {
        /// Its id: sub_…
        id: String,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        printing: Printing,
    },
}

/// Have the events of a trigger sent to an address of the app's
#[derive(Args)]
pub(crate) struct Add {
    /// The trigger: CONNECTOR.TRIGGER, or connection.state_changed
    trigger: String,
    /// The address that they are sent to
    #[arg(long, value_name = "URL")]
    url: String,
    /// Of this connection only
    #[arg(short, long, value_name = "ID")]
    connection: Option<String>,
    /// Of this user's connections only
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    #[command(flatten)]
    which: Which,
    /// What the trigger lets a subscription choose
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    #[command(flatten)]
    printing: Printing,
}

/// Which events are wanted.
#[derive(Args)]
pub(crate) struct Which {
    /// Only events for which this holds, such as 'meeting.topic contains demo'; several: all of them
    #[arg(long = "where", id = "condition", value_name = "TEST")]
    conditions: Vec<String>,
    /// The same as JSON, or @FILE
    #[arg(long, value_name = "JSON", conflicts_with = "condition")]
    filter: Option<String>,
}

impl Which {
    fn read(&self) -> Result<Option<Filter>> {
        let unfit = |text: String| Error::new(ErrorKind::Usage, text);
        if let Some(text) = &self.filter {
            let text = match text.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file)
                    .map_err(|error| unfit(format!("{file} cannot be read: {error}")))?,
                None => text.clone(),
            };
            return Filter::read_json(&text)
                .map(Some)
                .map_err(|text| unfit(text).hint(format!("it looks like {EXAMPLE}")));
        }
        let mut all: Vec<Filter> = self
            .conditions
            .iter()
            .map(|text| Filter::read(text))
            .collect::<std::result::Result<_, _>>()
            .map_err(unfit)?;
        Ok(match all.len() {
            0 => None,
            1 => all.pop(),
            _ => Some(Filter::All { all }),
        })
    }
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing, .. }
            | Self::Show { printing, .. }
            | Self::Set { printing, .. }
            | Self::Pause { printing, .. }
            | Self::Resume { printing, .. }
            | Self::Remove { printing, .. } => printing.output,
            Self::Add(add) => add.printing.output,
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let at = |id: &str| format!("/v1/subscriptions/{}", encoded(id));
        let mut engine = Engine::find(everywhere)?;
        match self {
            Self::List { user, limit, printing } => {
                let query = printing.query()?;
                let mut asked = url::form_urlencoded::Serializer::new(String::new());
                asked.extend_pairs(user.iter().map(|user| ("user", user)));
                let path = format!("/v1/subscriptions?{}", asked.finish());
                let found: Vec<SubscriptionShown> = engine.list(&path, limit)?;
                let names: Vec<String> = found.iter().map(|one| one.id.clone()).collect();
                printing.print(query.as_ref(), &json!(found), &names, || {
                    output::rows(&["ID", "TRIGGER", "FOR", "SENT TO", "STATE"], found.iter().map(row));
                })
            }
            Self::Show { id, printing } => {
                let query = printing.query()?;
                let found: SubscriptionShown = engine.get(&at(&id))?;
                printing.print(query.as_ref(), &json!(found), std::slice::from_ref(&id), || show(&found))
            }
            Self::Add(add) => add.run(&mut engine),
            Self::Set { id, url, which, no_filter, printing } => {
                let change = SubscriptionChange { filter: which.read()?, no_filter, url, paused: None };
                if change == SubscriptionChange::default() {
                    return Err(Error::new(ErrorKind::Usage, "nothing is to be changed")
                        .hint("say what: --url URL, --where TEST, --no-filter"));
                }
                patch(&mut engine, &id, &change, &printing, "changed")
            }
            Self::Pause { id, printing } => {
                let change = SubscriptionChange { paused: Some(true), ..SubscriptionChange::default() };
                patch(&mut engine, &id, &change, &printing, "paused; its events are kept until it is resumed")
            }
            Self::Resume { id, printing } => {
                let change = SubscriptionChange { paused: Some(false), ..SubscriptionChange::default() };
                patch(&mut engine, &id, &change, &printing, "goes on")
            }
            Self::Remove { id, yes, printing } => {
                let query = printing.query()?;
                sure(everywhere, yes, &format!("Take {id} away, with what is still to be sent for it?"))?;
                let done: Value = engine.ask("DELETE", &at(&id), None::<&()>)?;
                printing
                    .print(query.as_ref(), &done, std::slice::from_ref(&id), || say(&format!("{id} is gone")))
            }
        }
    }
}

fn patch(
    engine: &mut Engine,
    id: &str,
    change: &SubscriptionChange,
    printing: &Printing,
    done: &str,
) -> Result<()> {
    let query = printing.query()?;
    let path = format!("/v1/subscriptions/{}", encoded(id));
    let found: SubscriptionShown = engine.ask("PATCH", &path, Some(change))?;
    printing.print(query.as_ref(), &json!(found), std::slice::from_ref(&found.id), || {
        say(&format!("{id}: {done}"))
    })
}

impl Add {
    fn run(self, engine: &mut Engine) -> Result<()> {
        let query = self.printing.query()?;
        let mut parameters = Map::new();
        for text in &self.parameters {
            let (name, value) = super::input::split(text)?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            parameters.insert(name.to_owned(), value);
        }
        let set = SubscriptionSet {
            trigger: self.trigger,
            connection: self.connection,
            user: self.user,
            parameters,
            filter: self.which.read()?,
            url: self.url,
        };
        let made: SubscriptionMade = engine.ask("POST", "/v1/subscriptions", Some(&set))?;
        let id = made.subscription.id.clone();
        self.printing.print(query.as_ref(), &json!(made), std::slice::from_ref(&id), || {
            output::data(&output::pairs(
                [("id", id.clone()), ("signing secret", made.signing_secret.to_string())].into_iter(),
            ));
            say("keep the secret, it is not shown again: what is sent is signed with it, by Standard Webhooks");
            if !engine.is_served() {
                say("events are taken in and sent while somebody serves: jackfield serve");
            }
        })
    }
}

fn whose(one: &SubscriptionShown) -> String {
    match (&one.connection, &one.user) {
        (Some(connection), _) => connection.clone(),
        (None, Some(user)) => format!("user {user}"),
        (None, None) => "everybody".to_owned(),
    }
}

/// How it is, in one word.
fn state(one: &SubscriptionShown) -> &'static str {
    match &one.feed {
        _ if one.paused => "paused",
        Some(feed) if feed.reason.is_some() => "failing",
        Some(feed) if !feed.begun => "beginning",
        _ => "active",
    }
}

/// What brings its events, if they come to no other.
fn feed(one: &SubscriptionShown) -> String {
    let Some(feed) = &one.feed else { return String::new() };
    let at = |time: Option<Timestamp>| time.map_or("not yet".to_owned(), |time| time.to_string());
    match (feed.kind, feed.begun) {
        (FeedKind::Poll, _) => format!("polled, last {}", at(feed.last)),
        (FeedKind::Webhook, false) => "a webhook that is not registered yet".to_owned(),
        (FeedKind::Webhook, true) => {
            let until = feed.expires.map_or(String::new(), |end| format!(", good until {end}"));
            format!("a webhook, registered {}{until}", at(feed.last))
        }
    }
}

fn row(one: &SubscriptionShown) -> Vec<String> {
    let state = state(one);
    vec![
        one.id.clone(),
        one.trigger.clone(),
        whose(one),
        one.destination.shown().to_owned(),
        state.to_owned(),
    ]
}

fn show(one: &SubscriptionShown) {
    let Destination::Url { url } = &one.destination;
    let facts = [
        ("id", one.id.clone()),
        ("trigger", one.trigger.clone()),
        ("for", whose(one)),
        ("sent to", url.clone()),
        ("state", state(one).to_owned()),
        ("feed", feed(one)),
        ("reason", one.feed.as_ref().and_then(|feed| feed.reason.clone()).unwrap_or_default()),
        (
            "tried again",
            one.feed
                .as_ref()
                .filter(|feed| feed.failures > 0)
                .and_then(|feed| feed.due)
                .map_or(String::new(), |due| due.to_string()),
        ),
        ("filter", one.filter.as_ref().map_or(String::new(), |filter| json!(filter).to_string())),
        (
            "parameters",
            if one.parameters.is_empty() { String::new() } else { json!(one.parameters).to_string() },
        ),
        ("since", one.created.to_string()),
    ];
    output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
    say(&format!("what was sent for it: jackfield event sent --subscription {}", one.id));
}
