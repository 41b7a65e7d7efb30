//! Grants, codes and tokens: what is valid, what has ended and why. It speaks no HTTP.
//!
//! One grant per app and user: with several authorizations only the last issued token is valid (Zoom's error table,
//! 4741). Refresh tokens rotate; the old one dies, and using it again ends the whole grant.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::directory::User;
use crate::random::Random;

/// How long an authorization code can be exchanged.
const CODE_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// How long a refresh token lives when it is not used. Zoom's documentation says "commonly" this long.
const REFRESH_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What a client committed itself to when it sent the user to the consent page (RFC 7636).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Plain(String),
    S256(String),
}

impl Challenge {
    fn is_met_by(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(expected) => expected == verifier,
            Self::S256(expected) => *expected == URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())),
        }
    }
}

#[derive(Debug)]
struct Code {
    user: Arc<User>,
    scopes: Vec<String>,
    redirect_uri: String,
    challenge: Option<Challenge>,
    expires: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    /// A newer authorization of the same user took its place.
    Superseded,
    Revoked,
}

#[derive(Debug)]
struct Grant {
    user: Arc<User>,
    scopes: Vec<String>,
    state: State,
    /// Whether the rule of one grant per user applies to it.
    exclusive: bool,
}

/// Numbers grants in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct GrantId(u64);

#[derive(Debug)]
struct AccessToken {
    grant: GrantId,
    expires: Timestamp,
}

#[derive(Debug)]
struct RefreshToken {
    grant: GrantId,
    expires: Timestamp,
    spent: bool,
}

/// What an access token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Worth {
    Valid,
    Expired,
    Superseded,
    Revoked,
    Unknown,
}

/// What a valid access token allows.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    pub(crate) user: Arc<User>,
    pub(crate) scopes: Vec<String>,
}

/// Tokens that have just been issued.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    /// Apps without users get none.
    pub(crate) refresh_token: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) life: Duration,
}

impl Issued {
    /// Opaque tokens. Their prefixes tell a reader of logs where they came from.
    fn new(scopes: Vec<String>, with_refresh: bool, life: Duration, random: &mut Random) -> Self {
        Self {
            access_token: random.secret("zsat_"),
            refresh_token: with_refresh.then(|| random.secret("zsrt_")),
            scopes,
            life,
        }
    }
}

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeRefusal {
    /// Never issued, or used before.
    Unknown,
    Expired,
    /// It was issued for another redirect address.
    Redirect,
    /// The verifier does not fit the challenge.
    Verifier,
}

/// Why a refresh is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshRefusal {
    Unknown,
    Expired,
    Revoked,
    Superseded,
    /// The token had been used before. The grant has ended with this.
    Reused,
}

/// What goes with a new grant.
pub(crate) struct NewGrant {
    pub(crate) user: Arc<User>,
    pub(crate) scopes: Vec<String>,
    pub(crate) with_refresh: bool,
    /// Whether it ends the user's earlier grants, and is ended by a later one.
    pub(crate) exclusive: bool,
    pub(crate) life: Duration,
}

/// Everything that has been granted.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    codes: HashMap<String, Code>,
    grants: BTreeMap<GrantId, Grant>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
}

fn after(now: Timestamp, life: SignedDuration) -> Timestamp {
    now.saturating_add(life).unwrap_or(Timestamp::MAX)
}

impl Authority {
    /// A code for a user who has just said yes.
    pub(crate) fn issue_code(
        &mut self,
        user: Arc<User>,
        scopes: Vec<String>,
        redirect_uri: String,
        challenge: Option<Challenge>,
        random: &mut Random,
        now: Timestamp,
    ) -> String {
        let code = random.secret("zsac_");
        let expires = after(now, CODE_LIFE);
        self.codes.insert(code.clone(), Code { user, scopes, redirect_uri, challenge, expires });
        code
    }

    /// Takes a code back. It can be taken once, and not with the wrong verifier or redirect address; then it stays,
    /// because somebody else was asking.
    pub(crate) fn redeem_code(
        &mut self,
        code: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        now: Timestamp,
    ) -> Result<(Arc<User>, Vec<String>), CodeRefusal> {
        let found = self.codes.get(code).ok_or(CodeRefusal::Unknown)?;
        if found.expires <= now {
            return Err(CodeRefusal::Expired);
        }
        if redirect_uri != Some(found.redirect_uri.as_str()) {
            return Err(CodeRefusal::Redirect);
        }
        if let Some(challenge) = &found.challenge
            && !verifier.is_some_and(|verifier| challenge.is_met_by(verifier))
        {
            return Err(CodeRefusal::Verifier);
        }
        let code = self.codes.remove(code).ok_or(CodeRefusal::Unknown)?;
        Ok((code.user, code.scopes))
    }

    /// Makes a grant and issues its first tokens.
    pub(crate) fn grant(&mut self, new: NewGrant, random: &mut Random, now: Timestamp) -> Issued {
        let issued = Issued::new(new.scopes.clone(), new.with_refresh, new.life, random);
        self.grant_again(new, issued, now)
    }

    /// Makes a grant with tokens that have been issued before.
    pub(crate) fn grant_again(&mut self, new: NewGrant, issued: Issued, now: Timestamp) -> Issued {
        if new.exclusive {
            for grant in
                self.grants.values_mut().filter(|grant| grant.exclusive && grant.user.id == new.user.id)
            {
                if grant.state == State::Active {
                    grant.state = State::Superseded;
                }
            }
        }
        let id = GrantId(self.grants.keys().next_back().map_or(0, |last| last.0 + 1));
        let NewGrant { user, scopes, exclusive, .. } = new;
        self.grants.insert(id, Grant { user, scopes, state: State::Active, exclusive });
        self.remember(id, &issued, now);
        issued
    }

    fn remember(&mut self, grant: GrantId, issued: &Issued, now: Timestamp) {
        let expires = after(now, SignedDuration::try_from(issued.life).unwrap_or(SignedDuration::MAX));
        self.access.insert(issued.access_token.clone(), AccessToken { grant, expires });
        if let Some(token) = &issued.refresh_token {
            let expires = after(now, REFRESH_LIFE);
            self.refresh.insert(token.clone(), RefreshToken { grant, expires, spent: false });
        }
    }

    /// Exchanges a refresh token for new tokens.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        life: Duration,
        random: &mut Random,
        now: Timestamp,
    ) -> Result<Issued, RefreshRefusal> {
        let found = self.refresh.get_mut(token).ok_or(RefreshRefusal::Unknown)?;
        let id = found.grant;
        let grant = self.grants.get_mut(&id).ok_or(RefreshRefusal::Unknown)?;
        match grant.state {
            State::Active => {}
            State::Superseded => return Err(RefreshRefusal::Superseded),
            State::Revoked => return Err(RefreshRefusal::Revoked),
        }
        if found.spent {
            grant.state = State::Revoked;
            return Err(RefreshRefusal::Reused);
        }
        if found.expires <= now {
            return Err(RefreshRefusal::Expired);
        }
        found.spent = true;
        let issued = Issued::new(grant.scopes.clone(), true, life, random);
        self.remember(id, &issued, now);
        Ok(issued)
    }

    /// Ends the grant that an access or refresh token belongs to. Answers whether there was one.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let id = self.access.get(token).map(|token| token.grant);
        let id = id.or_else(|| self.refresh.get(token).map(|token| token.grant));
        match id.and_then(|id| self.grants.get_mut(&id)) {
            Some(grant) => {
                grant.state = State::Revoked;
                true
            }
            None => false,
        }
    }

    /// Ends every grant of a user. Answers whether there was one that was still good.
    pub(crate) fn revoke_user(&mut self, user: &str) -> bool {
        let mut ended = false;
        for grant in self.grants.values_mut().filter(|grant| grant.user.id == user) {
            ended |= grant.state == State::Active;
            grant.state = State::Revoked;
        }
        ended
    }

    /// Whether this user has connected the app, and has not taken it back since.
    pub(crate) fn has_grant(&self, user: &str) -> bool {
        self.grants.values().any(|grant| grant.state == State::Active && grant.user.id == user)
    }

    /// What an access token is worth, and what it allows if it is valid.
    pub(crate) fn look_up(&self, token: &str, now: Timestamp) -> (Worth, Option<Permit>) {
        let Some(found) = self.access.get(token) else {
            return (Worth::Unknown, None);
        };
        let Some(grant) = self.grants.get(&found.grant) else {
            return (Worth::Unknown, None);
        };
        match grant.state {
            State::Superseded => (Worth::Superseded, None),
            State::Revoked => (Worth::Revoked, None),
            State::Active if found.expires <= now => (Worth::Expired, None),
            State::Active => {
                (Worth::Valid, Some(Permit { user: grant.user.clone(), scopes: grant.scopes.clone() }))
            }
        }
    }

    /// Grants that are still good, and all there have been.
    pub(crate) fn count_grants(&self) -> (usize, usize) {
        let active = self.grants.values().filter(|grant| grant.state == State::Active).count();
        (active, self.grants.len())
    }
}
