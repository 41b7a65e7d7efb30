//! What lies on the shelf for somebody who is there now: when an account is connected, the events that nobody was known for until
//! then, and that are this connection's, are given to it.
//!
//! They are seen and can be replayed; what is sent of itself is only what came with the connection: an app that connects a user does
//! not expect to be told of a month.

use connector_protocol::Result;
use jiff::{SignedDuration, Timestamp};

use super::route::{Whose, whose};
use crate::{
    host::Host,
    store::{Audit, Connection, Scope},
};

/// How many are looked at for one connection at most, the newest.
const MOST: u32 = 1000;

/// For how long before it is kept a connection may have been made at the provider: a user consents there, and what happens next may
/// be told before it is known here whose it is.
const GRACE: SignedDuration = SignedDuration::from_mins(2);

impl Host {
    /// Gives a connection what is its of what lies on the shelf. That it cannot be is no fault of the connection's.
    pub async fn give_strays(&self, connection: &Connection) {
        // Before the shelf is looked through: what is on its way there is looked at again.
        self.events.connected();
        match self.strays_of(connection).await {
            Ok(0) => {}
            Ok(given) => {
                tracing::info!(connection = connection.id, given, "events that were nobody's are its")
            }
            Err(error) => {
                tracing::warn!(
                    connection = connection.id,
                    "events that are nobody's could not be looked through: {error}"
                );
            }
        }
    }

    async fn strays_of(&self, connection: &Connection) -> Result<usize> {
        let Some((integration, _)) = self.store.hook(&connection.integration)? else { return Ok(0) };
        let now = Timestamp::now();
        let before = |span: SignedDuration| now.saturating_sub(span).unwrap_or(Timestamp::MIN);
        let kept = SignedDuration::from_hours(24 * i64::from(self.settings()?.config.events.keep_days));
        let strays = self.store.strays(connection.clone(), before(kept), MOST).await?;
        let mut given = Vec::new();
        for (event, route) in strays {
            let Whose::These(its) = whose(&*self.store, &integration, &route)? else { continue };
            if !its.iter().any(|one| one.id == connection.id) {
                continue;
            }
            let audit = Audit::new(&connection.project, "jackfield", "event.route", &event.id)
                .detail(connection.id.clone());
            let project = Scope::project(&connection.project).project;
            let tell = event.at >= before(GRACE);
            // All are asked for before any is waited for, so that they share a commit.
            given.push(self.store.route_event(project, event.id, connection.clone(), tell, audit));
        }
        let mut count = 0;
        for given in given {
            count += usize::from(given.await?);
        }
        Ok(count)
    }
}
