//! Polls: what is new is asked for as a subscription's connection, and is written in one commit with where the next question goes
//! on. What is there before the first answer without more is remembered and not sent.

use std::time::Duration;

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::Source,
    message::{PollCall, Polled},
};
use jiff::Timestamp;

use super::{
    enrich::{Completed, complete},
    feeds::{self, As},
    random, route, sort,
};
use crate::{
    host::Host,
    id::Id,
    store::{DueFeed, Event, Found, NewEvent},
};

/// Asks for what is new.
pub(super) async fn ask(host: &Host, due: &DueFeed) -> Result<()> {
    let subscription = &due.subscription;
    let (library, manifest, index) = feeds::trigger(host, subscription)?;
    let trigger = &manifest.triggers[index];
    let Source::Poll { every_seconds } = trigger.source else {
        let text = format!("`{}` is not asked for any more", subscription.trigger);
        return Err(Error::new(ErrorKind::Unsupported, text).hint("subscribe to it again"));
    };
    let asked = As::of_subscription(host, subscription)?;
    let polled: Polled = asked
        .call(host, &subscription.id, "poll", feeds::PATIENCE, |context| PollCall {
            name: trigger.name.clone(),
            parameters: subscription.parameters.clone(),
            state: due.state.clone(),
            context,
        })
        .await?;
    let at = Timestamp::now();
    let mut events = Vec::new();
    for emit in polled.events {
        sort::fits(host, &library, trigger, &emit)?;
        // What is not sent need not be complete.
        let Completed { emit, incomplete } =
            if due.begun { complete(host, &library, trigger, &asked, emit).await? } else { emit.into() };
        events.push(NewEvent {
            event: Event {
                id: Id::event().to_string(),
                kind: subscription.trigger.clone(),
                version: Some(library.head.version.clone()),
                occurred_at: emit.occurred_at,
                at,
                connection: Some(asked.connection.id.clone()),
                user: Some(asked.connection.user.clone()),
                delivery: None,
                incomplete,
                unrouted: None,
                data: emit.event,
            },
            key: emit.key,
            lane: route::lane(&emit.route),
            route: emit.route,
            subscription: Some(subscription.id.clone()),
        });
    }
    let found = Found {
        subscription: subscription.id.clone(),
        fence: due.fence,
        integration: asked.connection.integration.clone(),
        state: polled.state,
        events,
        seeds: !due.begun,
        begun: due.begun || !polled.more,
        wait: if polled.more { 0 } else { feeds::ms(interval(every_seconds, random())) },
    };
    match host.store.found(found).await? {
        Some(new) => tracing::debug!(subscription = subscription.id, events = new.len(), "polled"),
        None => tracing::debug!(subscription = subscription.id, "polled for nobody: somebody else has it"),
    }
    Ok(())
}

/// How long it is until the next question, so that those who began together do not stay together.
fn interval(seconds: u32, random: f64) -> Duration {
    Duration::from_secs(u64::from(seconds.max(1))).mul_f64(0.95 + 0.1 * random.clamp(0.0, 1.0))
}
