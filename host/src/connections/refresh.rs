//! Renewing access tokens: once, whoever asks and however many do, in this process and in others on the same store.
//!
//! What makes a provider revoke a whole grant is a refresh token that is used twice. So a refresh is made by whoever has the
//! grant's lease, with the grant read after the lease was won; it goes on when its caller gives up; what it brings is
//! committed before anybody uses it; and whoever was overtaken reads again before anything is condemned.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{AuthKind, Oauth2},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::{
    ACCESS_TOKEN, Connections, REFRESH_TOKEN, Setting, TYPED,
    oauth::{self, Grant as Asked, Refused, Tokens, Why},
    usable,
};
use crate::{
    egress::Credential,
    host::Host,
    store::{ConnectionState, Grant, Held, Lease, Renewed, Scope, Written},
    vault::Owner,
};

/// How long a lease lasts that nobody keeps, in milliseconds: how long others wait for one that is gone.
const LEASE: i64 = 10_000;

/// How long a token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long somebody waits for a refresh that is made elsewhere before they look again.
const LOOK: Duration = Duration::from_millis(50);

/// How often a refresh token is sent by processes that have died over it: once more.
const MOST_SENT: i64 = 2;

/// How long before its end a token is renewed, at most.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// How long somebody waits for a token to be renewed who has one that is still good.
pub(super) const MANNERS: Duration = Duration::from_secs(5);

/// How long before its end a token is renewed that is in use, at most, where somebody stays to do it.
const SOON: SignedDuration = SignedDuration::from_mins(10);

/// How young a token is that is used to its end: a clock that was set forward refreshes once, and not at every call.
const YOUNG: SignedDuration = SignedDuration::from_secs(10);

/// How often writing tokens is tried that have come, while the lease is kept.
const WRITES: u32 = 20;

/// Where refreshes of one grant meet in this process.
#[derive(Default)]
pub(super) struct Gate {
    /// How often one has failed in a row.
    turn: tokio::sync::Mutex<u32>,
}

/// Whether an access token can be used as it is.
pub(super) fn is_fresh(grant: &Grant) -> bool {
    let Some(expires) = grant.expires else { return true };
    let now = Timestamp::now();
    let life =
        grant.refreshed.map_or(SignedDuration::from_hours(1), |refreshed| expires.duration_since(refreshed));
    // Short-lived ones would otherwise never be fresh.
    let ahead = AHEAD.min(life / 10);
    if now.saturating_add(ahead).is_ok_and(|soon| soon < expires) {
        return true;
    }
    now < expires && grant.refreshed.is_some_and(|refreshed| now.duration_since(refreshed).abs() < YOUNG)
}

/// Whether an access token will end soon: each at a moment of its own, so that those that came together do not go together.
pub(super) fn is_ending(grant: &Grant, holder: &str) -> bool {
    let (Some(expires), Some(refreshed)) = (grant.expires, grant.refreshed) else { return false };
    let soon = SOON.min(expires.duration_since(refreshed) / 4);
    let chance = holder.bytes().fold(17_i64, |sum, byte| (sum * 31 + i64::from(byte)) % 1000);
    let ahead =
        soon / 2 + SignedDuration::from_millis(i64::try_from(soon.as_millis()).unwrap_or(0) * chance / 2000);
    Timestamp::now().saturating_add(ahead).is_ok_and(|soon| soon >= expires)
        && grant.retry_at.is_none_or(|at| at < Timestamp::now())
}

/// Whether an access token has not ended yet, as far as is known.
pub(super) fn is_good(grant: &Grant) -> bool {
    grant.expires.is_none_or(|expires| Timestamp::now() < expires)
}

/// What became of a refresh.
enum Went {
    /// The grant is a newer one than before.
    Renewed,
    /// Somebody else has taken the lease meanwhile: what they get counts.
    Overtaken,
}

/// A refresh that is under way, counted for as long as it is.
struct UnderWay<'a>(&'a Connections);

impl<'a> UnderWay<'a> {
    fn begin(connections: &'a Connections) -> Self {
        *connections.under_way.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(connections)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.over.notify_waiters();
    }
}

impl Connections {
    /// Renews the grant of a connection, unless somebody else has since it was seen.
    ///
    /// # Errors
    ///
    /// Why it has not become a newer one. The refresh goes on when the deadline is over, and so does its keeping.
    pub async fn refresh(self: &Arc<Self>, setting: &Setting, held: Held, deadline: Instant) -> Result<()> {
        let (connections, setting) = (self.clone(), setting.clone());
        let title = setting.manifest.title.clone();
        // In a task of its own: whoever asked may go away, and what comes back is kept all the same.
        let task = tokio::spawn(async move {
            let _under_way = UnderWay::begin(&connections);
            connections.refresh_in_turn(&setting, held).await
        });
        match tokio::time::timeout_at(deadline.into(), task).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Error::new(ErrorKind::Internal, "the refresh broke off")),
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("{title} did not renew the connection's token in time"),
            )
            .hint("run it again; the refresh goes on meanwhile")),
        }
    }

    /// Renews a grant that nobody waits for.
    pub(super) fn renew_behind(self: &Arc<Self>, setting: &Setting, held: Held) {
        let holder = held.connection.holder.clone();
        let ahead = |connections: &Self, holder: &str, begins: bool| {
            let mut ahead = connections.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            if begins { ahead.insert(holder.to_owned()) } else { ahead.remove(holder) }
        };
        if !ahead(self, &holder, true) {
            return;
        }
        let (connections, setting) = (self.clone(), setting.clone());
        tokio::spawn(async move {
            let _under_way = UnderWay::begin(&connections);
            if let Err(error) = connections.refresh_in_turn(&setting, held).await {
                tracing::info!(connection = holder, "not renewed ahead of its end: {error}");
            }
            ahead(&connections, &holder, false);
        });
    }

    fn gate(&self, holder: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody stands at, and whose last refresh went well, are made again when they are needed.
        if gates.len() > 1024 {
            gates.retain(|_, gate| {
                Arc::strong_count(gate) > 1 || gate.turn.try_lock().is_ok_and(|turn| *turn > 0)
            });
        }
        gates.entry(holder.to_owned()).or_default().clone()
    }

    async fn refresh_in_turn(&self, setting: &Setting, seen: Held) -> Result<()> {
        let holder = seen.connection.holder.clone();
        let gate = self.gate(&holder);
        let mut failures = gate.turn.lock().await;
        let scope = Scope::project(seen.connection.project.clone());
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(lease) = self.win(&scope, &seen, until).await? else { return Ok(()) };
            let keeping = self.keep(holder.clone(), lease.fence);
            let done = tokio::select! {
                done = self.refresh_with(setting, &seen, &lease, *failures) => done,
                never = keeping => match never {},
            };
            if matches!(done, Ok(Went::Overtaken)) && Instant::now() < until {
                continue;
            }
            *failures = if done.is_ok() { 0 } else { failures.saturating_add(1) };
            let counted = if done.is_ok() { &self.renewed } else { &self.failed };
            counted.fetch_add(1, Ordering::Relaxed);
            return done.map(drop);
        }
    }

    /// Waits for the lease on a grant. `None` if somebody else has renewed it by then.
    async fn win(&self, scope: &Scope, seen: &Held, until: Instant) -> Result<Option<Lease>> {
        let id = &seen.connection.id;
        let holder = &seen.connection.holder;
        let rests = |grant: &Grant| match grant.retry_at.filter(|at| *at > Timestamp::now()) {
            Some(at) => {
                let text = format!(
                    "the token of `{id}` could not be renewed a moment ago, and it is not tried again yet"
                );
                Err(Error::new(ErrorKind::Unavailable, text).retry_at(at).hint("run it again then"))
            }
            None => Ok(()),
        };
        let look = || self.store.held(scope, holder)?.ok_or_else(|| super::no_connection(id));
        loop {
            let held = look()?;
            if held.grant.version != seen.grant.version {
                return Ok(None);
            }
            usable(&held.connection)?;
            rests(&held.grant)?;
            // Taking it writes: a store that cannot be written lets no refresh begin whose answer it could not keep.
            let Some(lease) = self.store.lease(holder.clone(), self.owner.clone(), LEASE).await? else {
                if held.grant.sealed.is_none() {
                    return Err(Error::new(ErrorKind::Unauthorized, "the connection has no token to renew"));
                }
                if Instant::now() > until {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "another process has been renewing this connection's token for too long",
                    ));
                }
                tokio::time::sleep(LOOK).await;
                continue;
            };
            // Whoever had it before may have failed since we looked: nobody sends again what was just refused.
            let may = look().and_then(|now| usable(&now.connection)).and_then(|()| rests(&lease.grant));
            if may.is_err() || lease.grant.version != seen.grant.version {
                self.store.release(holder.clone(), lease.fence, true, lease.grant.retry_at).await?;
                may?;
                return Ok(None);
            }
            return Ok(Some(lease));
        }
    }

    /// Keeps a lease for as long as it is polled.
    async fn keep(&self, holder: String, fence: i64) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE.unsigned_abs() / 4)).await;
            match self.store.keep_lease(holder.clone(), fence, LEASE).await {
                Ok(true) => {}
                // What comes back is refused by the fence if somebody else has it by now.
                Ok(false) => tracing::warn!(connection = holder, "the lease on its grant was lost"),
                Err(error) => tracing::warn!(connection = holder, "the lease could not be kept: {error}"),
            }
        }
    }

    async fn refresh_with(
        &self,
        setting: &Setting,
        seen: &Held,
        lease: &Lease,
        failures: u32,
    ) -> Result<Went> {
        let connection = &seen.connection;
        let holder = &connection.holder;
        let release = async |unsent, retry_at| {
            if let Err(error) = self.store.release(holder.clone(), lease.fence, unsent, retry_at).await {
                tracing::warn!(connection = holder, "the lease could not be given up: {error}");
            }
        };
        let condemn = async |reason: &str| {
            let written = self
                .store
                .set_state(
                    holder.clone(),
                    Some(lease.grant.version),
                    ConnectionState::NeedsReauth,
                    Some(reason.to_owned()),
                    None,
                )
                .await?;
            if written == Written::Stale {
                return Ok(Went::Renewed);
            }
            tracing::warn!(connection = holder, reason, "has to be connected again");
            let mut now = connection.clone();
            (now.state, now.reason) = (ConnectionState::NeedsReauth, Some(reason.to_owned()));
            usable(&now).map(|()| Went::Renewed)
        };
        let prepared = async {
            let auth = setting.auth(&connection.auth)?;
            let AuthKind::Oauth2(oauth) = &auth.kind else { return Ok(None) };
            let Some(envelope) = &lease.grant.sealed else { return Ok(None) };
            let owner = Owner { project: &connection.project, id: holder };
            let secrets = self.vault.open(owner, envelope)?;
            let (client, integration) = self.client(connection, oauth, &secrets).await?;
            Ok(Some((oauth, secrets, client, integration)))
        };
        let (oauth, mut secrets, client, integration) = match prepared.await {
            Ok(Some(prepared)) => prepared,
            Ok(None) => {
                return condemn("the provider does not accept what it was connected with").await;
            }
            Err(error) => {
                release(true, None).await;
                return Err(error);
            }
        };
        if lease.grant.sent > MOST_SENT {
            return condemn("the answers to its refreshes were lost, twice").await;
        }
        let asks_user = oauth.grant == "authorization_code";
        let refresh_token = secrets.get(REFRESH_TOKEN).cloned();
        let grant = match (&refresh_token, asks_user) {
            (Some(token), _) => Asked::Refresh { token },
            (None, false) => Asked::Other,
            (None, true) => {
                return condemn("its token has ended, and the provider gave none to renew it with").await;
            }
        };
        let credential = Credential {
            auth: connection.auth.clone(),
            parameters: connection.parameters.clone(),
            secrets: typed(&secrets),
            token_members: connection.members.clone(),
        };
        let target = setting.target(credential, holder);
        // Whoever stood still until here may have lost it, and somebody else has sent what this would send again.
        match self.store.has_lease(holder, lease.fence) {
            Ok(true) => {}
            Ok(false) => return Ok(Went::Overtaken),
            Err(error) => {
                release(true, None).await;
                return Err(error);
            }
        }
        tracing::debug!(connection = holder, "refreshing");
        let answered =
            oauth::token(&setting.egress, &target, oauth, &client, grant, Instant::now() + PATIENCE).await;
        match answered {
            Ok(tokens) => {
                if let Some(integration) = integration.filter(|integration| integration.fault.is_some()) {
                    let _ = self.store.set_integration_fault(integration.id, None).await;
                }
                put(&mut secrets, &tokens);
                self.commit(connection, lease, &secrets, tokens).await.map(|()| Went::Renewed)
            }
            Err(Refused { why: Why::Grant, error }) => {
                // Whoever overtook us has made the token old that was refused: theirs counts, also if it is still to come.
                if lost(self, connection, lease)? {
                    return Ok(Went::Renewed);
                }
                if !self.store.keep_lease(holder.clone(), lease.fence, LEASE).await? {
                    return Ok(Went::Overtaken);
                }
                let said = error.provider.as_ref().and_then(|provider| provider.message.clone());
                let said = said.map_or(String::new(), |said| format!(" ({})", said.trim_end_matches('.')));
                condemn(&if lease.grant.sent > 1 {
                    format!("the answer to a refresh was lost, and the provider does not accept the old token again{said}")
                } else {
                    format!("the provider does not accept its refresh token any more{said}")
                })
                .await
            }
            Err(Refused { why: Why::Client, error }) => {
                if let Some(integration) = integration {
                    let fault = Some(error.message.clone());
                    if let Err(error) = self.store.set_integration_fault(integration.id, fault).await {
                        tracing::warn!("the integration's state could not be written: {error}");
                    }
                }
                release(true, Some(later(failures, 60))).await;
                Err(error)
            }
            Err(Refused { why, error }) => {
                let unsent = !matches!(why, Why::Passing { sent: true } | Why::Unreadable);
                // An answer that makes no sense is no proof that nothing was done; neither is silence.
                release(unsent || matches!(why, Why::Unreadable), Some(later(failures, 2))).await;
                Err(error)
            }
        }
    }

    /// Keeps tokens that have come. They are the only ones there are: it is tried for as long as the lease can be kept.
    async fn commit(
        &self,
        connection: &crate::store::Connection,
        lease: &Lease,
        secrets: &BTreeMap<String, SecretString>,
        tokens: Tokens,
    ) -> Result<()> {
        let owner = Owner { project: &connection.project, id: &connection.holder };
        let expires = expiry(&tokens);
        let mut error = None;
        for attempt in 0..WRITES {
            // Whatever keeps them from being kept may pass.
            let written = async {
                let renewed = Renewed {
                    sealed: self.vault.seal(owner, secrets)?,
                    expires,
                    scopes: tokens.scopes.clone(),
                    members: tokens.members.clone(),
                    given: None,
                };
                let holder = connection.holder.clone();
                let written = self.store.renew(holder, lease.fence, lease.grant.version, renewed).await?;
                if written == Written::OldKey {
                    self.catch_up().await?;
                }
                Ok(written)
            };
            match written.await {
                Ok(Written::Yes) => {
                    tracing::info!(connection = connection.holder, "refreshed");
                    return Ok(());
                }
                // Somebody has connected it again meanwhile, or it is gone.
                Ok(Written::Stale) => return Ok(()),
                Ok(Written::OldKey) => {}
                Err(failed) => {
                    let failed: Error = failed;
                    tracing::error!(
                        connection = connection.holder,
                        "new tokens could not be written: {failed}"
                    );
                    error = Some(failed);
                    tokio::time::sleep(Duration::from_millis(50 << attempt.min(6))).await;
                }
            }
        }
        Err(error.unwrap_or_else(|| Error::new(ErrorKind::Internal, "new tokens could not be sealed")))
    }
}

/// Whether the grant is another one than the one that the lease was taken on.
fn lost(connections: &Connections, connection: &crate::store::Connection, lease: &Lease) -> Result<bool> {
    let scope = Scope::project(connection.project.clone());
    let now = connections.store.held(&scope, &connection.holder)?;
    Ok(now.is_none_or(|now| now.grant.version != lease.grant.version))
}

/// What a user has typed, by the names that templates use.
fn typed(secrets: &BTreeMap<String, SecretString>) -> BTreeMap<String, SecretString> {
    let typed = secrets
        .iter()
        .filter_map(|(name, secret)| Some((name.strip_prefix(TYPED)?.to_owned(), secret.clone())));
    typed.collect()
}

/// Puts tokens in the place of those before. A provider that sends no refresh token means the one it has sent.
pub(super) fn put(secrets: &mut BTreeMap<String, SecretString>, tokens: &Tokens) {
    secrets.insert(ACCESS_TOKEN.to_owned(), tokens.access_token.clone());
    if let Some(token) = &tokens.refresh_token {
        secrets.insert(REFRESH_TOKEN.to_owned(), token.clone());
    }
}

/// When an access token ends.
pub(super) fn expiry(tokens: &Tokens) -> Option<Timestamp> {
    let life = SignedDuration::try_from(tokens.expires_in?).ok()?;
    Timestamp::now().saturating_add(life).ok()
}

/// When to try again after so many failures in a row: later each time, and not all at once.
fn later(failures: u32, first: i64) -> Timestamp {
    let seconds = first.saturating_mul(1 << failures.min(8)).min(600);
    let mut random = [0];
    // Without chance, they come all at once.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let jitter = i64::from(random[0]) * seconds / 512;
    Timestamp::now().saturating_add(SignedDuration::from_secs(seconds + jitter)).unwrap_or(Timestamp::MAX)
}

/// Whether a connection's tokens are ever renewed without anybody asking: those of people, which die of being left alone.
fn is_kept_alive(oauth: &Oauth2) -> bool {
    oauth.grant == "authorization_code"
}

/// How often it is looked which connections have been left alone.
const LOOKS: Duration = Duration::from_secs(60);

/// How long a connection is left alone before its token is renewed without anybody asking: often enough for a provider that
/// lets refresh tokens die within days.
const IDLE: SignedDuration = SignedDuration::from_hours(20);

/// How many are renewed at a look.
const AT_ONCE: u32 = 20;

/// How long one is not looked at again that was looked at.
const PASSED: Duration = Duration::from_secs(6 * 60 * 60);

/// Renews the tokens of connections that nobody uses, for ever: a grant that is left alone dies.
pub(crate) async fn keep_alive(host: &Host) {
    // Those that there is nothing to renew of, or that cannot be renewed now, are not first for ever.
    let mut passed: HashMap<String, Instant> = HashMap::new();
    loop {
        // Not every Jackfield at the same moment, and not all at once after a long night.
        let mut random = [0];
        let _ = aws_lc_rs::rand::fill(&mut random);
        tokio::time::sleep(LOOKS + Duration::from_millis(u64::from(random[0]) * 100)).await;
        let before = Timestamp::now().saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
        passed.retain(|_, at| at.elapsed() < PASSED);
        let most = AT_ONCE.saturating_add(u32::try_from(passed.len()).unwrap_or(u32::MAX));
        let idle = match host.store.idle_since(before, most).await {
            Ok(idle) => idle,
            Err(error) => {
                tracing::warn!("nobody knows which connections have been left alone: {error}");
                continue;
            }
        };
        for connection in idle.into_iter().filter(|one| !passed.contains_key(&one.id)).collect::<Vec<_>>() {
            let id = connection.id.clone();
            passed.insert(id.clone(), Instant::now());
            if let Err(error) = keep(host, connection).await {
                tracing::info!(connection = id, "left alone, and not renewed: {error}");
            }
        }
    }
}

async fn keep(host: &Host, connection: crate::store::Connection) -> Result<()> {
    let setting = host.setting(&connection.connector)?;
    if !matches!(&setting.auth(&connection.auth)?.kind, AuthKind::Oauth2(oauth) if is_kept_alive(oauth)) {
        return Ok(());
    }
    let held = host.connections.held(&Scope::project(connection.project), &connection.id)?;
    host.connections.refresh(&setting, held, Instant::now() + PATIENCE).await
}
