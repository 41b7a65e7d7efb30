//! Subscriptions: how one is made and changed. What is wrong with one is said when it is saved, not when its first event comes.

use connector_protocol::{
    Error, ErrorKind, Manifest, Problem, Result, did_you_mean,
    manifest::{Secret, SecretOwner, Source, Trigger},
    validate::Validator,
};
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value, json};
use url::Url;

use super::{filter::Filter, signing};
use crate::{
    egress::app,
    host::Host,
    id::Id,
    store::{Audit, Destination, Feed, FeedKind, Scope, Subscription, Written},
    vault::Owner,
};

/// The type of the event that says how a connection is.
pub const STATE_CHANGED: &str = "connection.state_changed";

/// How often a change that meets another one is made again.
const TRIES: u32 = 5;

/// A trigger, and the manifest that declares it.
type Declared = (std::sync::Arc<Manifest>, Trigger);

/// What somebody wants to subscribe to.
#[derive(Default)]
pub struct Wish {
    /// The trigger, as `connector.trigger`, or the type of an event of Jackfield's own.
    pub trigger: String,
    /// The connection whose events are wanted.
    pub connection: Option<String>,
    /// The user whose connections' events are wanted.
    pub user: Option<String>,
    /// What the trigger lets a subscription choose.
    pub parameters: Map<String, Value>,
    /// Which of the events.
    pub filter: Option<Filter>,
    /// The address that they are sent to.
    pub url: String,
}

/// What is to be changed of a subscription. What is left out stays as it is.
#[derive(Default)]
pub struct Change {
    /// Which of the events; `Some(None)` for all.
    pub filter: Option<Option<Filter>>,
    /// The address that they are sent to.
    pub url: Option<String>,
    /// Whether nothing is sent for now.
    pub paused: Option<bool>,
}

/// That there is no such subscription.
#[must_use]
pub fn none(id: &str) -> Error {
    let short: String = id.escape_debug().take(60).collect();
    Error::new(ErrorKind::Unknown, format!("there is no subscription `{short}`"))
        .hint("see which there are: jackfield subscription list")
}

impl Host {
    /// Makes a subscription. Gives it, and the key that what is sent will be signed with.
    ///
    /// # Errors
    ///
    /// With each thing that is wrong with it.
    pub async fn subscribe(
        &self,
        scope: &Scope,
        wish: Wish,
        actor: &str,
    ) -> Result<(Subscription, Zeroizing<String>)> {
        let mut problems = Vec::new();
        let (event, trigger) = self.event_schema(&wish.trigger)?;
        if let Some(filter) = &wish.filter {
            problems.extend(check_filter(filter, &event));
        }
        if let Some((manifest, trigger)) = &trigger {
            problems.extend(check_parameters(manifest, trigger, &wish.parameters)?);
        } else if !wish.parameters.is_empty() {
            problems.push(Problem::new("/parameters", "is for a trigger that has some"));
        }
        problems.extend(self.check_url(&wish.url)?);
        let mut user = wish.user.clone();
        if let Some(id) = &wish.connection {
            let connection = self.connections.held(scope, id)?.connection;
            let connector = wish.trigger.split('.').next().unwrap_or_default();
            if trigger.is_some() && connection.connector != connector {
                let wrong = format!(
                    "is a connection to `{}`, and the trigger is `{connector}`'s",
                    connection.connector
                );
                problems.push(Problem::new("/connection", wrong));
            }
            if user.as_ref().is_some_and(|user| *user != connection.user) {
                problems.push(Problem::new("/user", "is not whose connection it is"));
            }
            user = Some(connection.user);
        }
        let kind = trigger.as_ref().and_then(|(_, trigger)| feed_of(trigger));
        if kind.is_some() && wish.connection.is_none() {
            let wrong = "is needed: the provider is asked as the one whose connection it is";
            problems.push(Problem::new("/connection", wrong));
        }
        refuse(problems)?;
        let id = Id::subscription().to_string();
        let (mut secrets, key) = signing::new_key()?;
        if let Some((manifest, trigger)) = &trigger
            && let Some(secret) = own_secret(manifest, trigger)
        {
            secrets.insert(signing::WEBHOOK.to_owned(), signing::new_webhook_secret(secret)?);
        }
        for _ in 0..TRIES {
            let owner = Owner { project: &scope.project, id: &id };
            let mut subscription = Subscription {
                id: id.clone(),
                project: scope.project.clone(),
                user: user.clone(),
                connection: wish.connection.clone(),
                trigger: wish.trigger.clone(),
                parameters: wish.parameters.clone(),
                filter: wish.filter.clone(),
                destination: Destination::Url { url: wish.url.clone() },
                paused: false,
                created: Timestamp::now(),
                version: 0,
                sealed: Some(self.connections.vault.seal(owner, &secrets)?),
                feed: kind.map(Feed::new),
            };
            let audit = Audit::new(&scope.project, actor, "subscription.add", &id)
                .detail(subscription.trigger.clone());
            match self.store.put_subscription(subscription.clone(), audit).await? {
                Written::Yes => {
                    subscription.version = 1;
                    self.events.wake();
                    return Ok((subscription, key));
                }
                Written::OldKey => self.connections.catch_up().await?,
                Written::Stale => {}
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the subscription could not be written").hint("try it again"))
    }

    /// Takes a subscription away, with what is still to be sent for it. Where a webhook is registered for it, that is ended off the
    /// request. False if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub async fn unsubscribe(&self, project: &str, id: &str, audit: Audit) -> Result<bool> {
        let removed = self.store.remove_subscription(project.to_owned(), id.to_owned(), audit).await?;
        self.events.hooks.forget_subscription(id);
        self.events.wake();
        Ok(removed)
    }

    /// Changes a subscription.
    ///
    /// # Errors
    ///
    /// With each thing that is wrong.
    pub async fn change_subscription(
        &self,
        scope: &Scope,
        id: &str,
        change: Change,
        action: &str,
        actor: &str,
    ) -> Result<Subscription> {
        for _ in 0..TRIES {
            let found = self.store.subscription(scope.clone(), id.to_owned()).await?;
            let mut subscription = found.ok_or_else(|| none(id))?;
            let mut problems = Vec::new();
            if let Some(filter) = &change.filter {
                if let Some(filter) = filter {
                    let (event, _) = self.event_schema(&subscription.trigger)?;
                    problems.extend(check_filter(filter, &event));
                }
                subscription.filter.clone_from(filter);
            }
            if let Some(url) = &change.url {
                problems.extend(self.check_url(url)?);
                subscription.destination = Destination::Url { url: url.clone() };
            }
            refuse(problems)?;
            subscription.paused = change.paused.unwrap_or(subscription.paused);
            // Sealed again each time, so that whoever changes anything also leaves an old key behind.
            if let Some(envelope) = &subscription.sealed {
                let owner = Owner { project: &subscription.project, id: &subscription.id };
                let secrets = self.connections.vault.open(owner, envelope)?;
                subscription.sealed = Some(self.connections.vault.seal(owner, &secrets)?);
            }
            let audit = Audit::new(&scope.project, actor, action, id);
            match self.store.put_subscription(subscription.clone(), audit).await? {
                Written::Yes => {
                    subscription.version += 1;
                    self.events.hooks.forget_subscription(id);
                    self.events.wake();
                    return Ok(subscription);
                }
                Written::OldKey => self.connections.catch_up().await?,
                Written::Stale => {}
            }
        }
        Err(Error::new(ErrorKind::Conflict, "somebody else is changing the subscription")
            .hint("try it again"))
    }

    /// The schema that the data of a type of events has, standing alone; and the trigger, if it is one's.
    fn event_schema(&self, kind: &str) -> Result<(Value, Option<Declared>)> {
        if kind == STATE_CHANGED {
            return Ok((state_changed(), None));
        }
        let (manifest, index) = self.find_trigger(kind)?;
        let trigger = manifest.triggers[index].clone();
        Ok((manifest.standalone(&trigger.event), Some((manifest, trigger))))
    }

    /// The trigger of this name, as `connector.trigger`.
    ///
    /// # Errors
    ///
    /// If there is none; says what may have been meant.
    pub fn find_trigger(&self, name: &str) -> Result<(std::sync::Arc<Manifest>, usize)> {
        let short: String = name.escape_debug().take(80).collect();
        if name == STATE_CHANGED {
            let text = format!("`{short}` is Jackfield's own: it is of no connector");
            return Err(Error::new(ErrorKind::Unsupported, text)
                .hint("subscribe to it, or listen: it is told whenever a connection changes"));
        }
        let found = self.find_of_a_connector(name, &short);
        match &found {
            Err(error)
                if error.kind == ErrorKind::Unknown && did_you_mean(name, [STATE_CHANGED]).is_some() =>
            {
                let text = format!("there is no trigger `{short}`");
                Err(Error::new(ErrorKind::Unknown, text).hint(format!("did you mean `{STATE_CHANGED}`?")))
            }
            _ => found,
        }
    }

    fn find_of_a_connector(&self, name: &str, short: &str) -> Result<(std::sync::Arc<Manifest>, usize)> {
        let Some((connector, trigger)) = name.split_once('.') else {
            let text = format!("`{short}` is no trigger: its name is CONNECTOR.TRIGGER");
            return Err(
                Error::new(ErrorKind::Unknown, text).hint("see which there are: jackfield trigger list")
            );
        };
        let manifest = self.registry().find(connector)?.manifest()?.clone();
        match manifest.triggers.iter().position(|known| known.name == trigger) {
            Some(index) => Ok((manifest, index)),
            None => {
                let names = manifest.triggers.iter().map(|trigger| trigger.name.as_str());
                let hint = match did_you_mean(trigger, names) {
                    Some(meant) => format!("did you mean `{connector}.{meant}`?"),
                    None => format!("see which there are: jackfield trigger list {connector}"),
                };
                Err(Error::new(ErrorKind::Unknown, format!("there is no trigger `{short}`")).hint(hint))
            }
        }
    }

    /// Fails unless events may be of this type.
    ///
    /// # Errors
    ///
    /// If nothing here makes such events; says what may have been meant.
    pub async fn must_be_a_type(&self, kind: &str) -> Result<()> {
        if kind == STATE_CHANGED {
            return Ok(());
        }
        // One that was just put there is known as well.
        self.reload_unless_busy().await?;
        match self.find_trigger(kind) {
            Err(error) if error.kind == ErrorKind::Unknown => Err(error),
            // Of a connector that is missing for now, nobody knows what it calls its events.
            _ => Ok(()),
        }
    }

    fn check_url(&self, text: &str) -> Result<Option<Problem>> {
        let settings = self.settings()?;
        let Ok(url) = Url::parse(text) else {
            return Ok(Some(Problem::new("/url", "is no address: write it as https://host/path")));
        };
        let wrong = app::check(&url, settings.config.events.is_named(&url)).err();
        Ok(wrong.map(|error| {
            let hint = error.hint.map_or(String::new(), |hint| format!("; {hint}"));
            Problem::new("/url", format!("cannot be sent to: {}{hint}", error.message))
        }))
    }
}

/// The schema of the data of [`STATE_CHANGED`].
#[must_use]
pub fn state_changed() -> Value {
    let text = json!({"type": ["string", "null"]});
    let names = ["connector", "before", "state", "reason"];
    let properties: Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), text.clone())).collect();
    json!({"type": "object", "properties": properties})
}

/// What brings the events of a trigger to a subscription alone, if something does.
fn feed_of(trigger: &Trigger) -> Option<FeedKind> {
    match &trigger.source {
        Source::AppWebhook { .. } => None,
        Source::RegisteredWebhook { .. } => Some(FeedKind::Webhook),
        Source::Poll { .. } => Some(FeedKind::Poll),
    }
}

/// The secret that is made for each subscription to a trigger, as it is declared.
fn own_secret<'a>(manifest: &'a Manifest, trigger: &Trigger) -> Option<&'a Secret> {
    let Source::RegisteredWebhook { hook, .. } = &trigger.source else { return None };
    let webhook = manifest.webhooks.iter().find(|webhook| webhook.name == *hook)?;
    webhook.secret.as_ref().filter(|secret| secret.owner == SecretOwner::Subscription)
}

fn check_filter(filter: &Filter, event: &Value) -> Vec<Problem> {
    let empty = Map::new();
    let defs = event.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    filter.check(event, defs)
}

fn check_parameters(
    manifest: &Manifest,
    trigger: &Trigger,
    parameters: &Map<String, Value>,
) -> Result<Vec<Problem>> {
    let unusable = |error| {
        Error::new(ErrorKind::PluginRefused, format!("the trigger's parameters are unusable: {error}"))
    };
    let validator = Validator::new(manifest.standalone(&trigger.parameters)).map_err(unusable)?;
    let problems = validator.check(&Value::Object(parameters.clone()));
    Ok(problems
        .into_iter()
        .map(|problem| Problem { path: format!("/parameters{}", problem.path), ..problem })
        .collect())
}

fn refuse(problems: Vec<Problem>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let text = "the subscription does not fit";
    let hint = if problems.iter().any(|problem| problem.path == "/url") {
        "for a program on this machine, while it is written: jackfield trigger listen TRIGGER --forward-to URL"
    } else {
        "mend it and try again"
    };
    Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint(hint))
}
