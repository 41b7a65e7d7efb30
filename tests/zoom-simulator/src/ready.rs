//! What a user, or a script, has to know once the simulator listens: the same facts as sentences and as JSON.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{AppKind, Plan, ScopeStyle};
use crate::directory::{ACCOUNT_ID, BLOCKED_DOMAIN, Licence, WEBINAR};
use crate::world::World;

/// Where a simulator is and what is in it. Displayed, it is a short text; serialised, one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    origin: String,
    api: String,
    oauth: String,
    control: String,
    plan: Plan,
    app: AppKind,
    scope_style: ScopeStyle,
    account_id: &'static str,
    client_id: String,
    client_secret: String,
    webhook_secret: String,
    redirect_uris: Vec<String>,
    scopes: Vec<String>,
    users: Vec<SampleUser>,
    webinar_id: i64,
    blocked_domain: &'static str,
    token: SampleToken,
}

#[derive(Debug, Clone, Serialize)]
struct SampleUser {
    id: &'static str,
    email: &'static str,
    name: String,
    licence: Licence,
    timezone: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pmi: Option<i64>,
}

/// The ready-made access token: itself, or the file it has been written to.
#[derive(Debug, Clone, Serialize)]
struct SampleToken {
    user: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl Ready {
    pub(crate) fn new(world: &World) -> Self {
        let config = &world.config;
        let first = world.first_grant();
        let users = world.directory.users().iter().map(|user| SampleUser {
            id: user.id,
            email: user.email,
            name: user.display_name(),
            licence: user.licence,
            timezone: user.timezone,
            pmi: user.pmi,
        });
        Self {
            origin: world.origin.clone(),
            api: format!("{}/v2", world.origin),
            oauth: format!("{}/oauth", world.origin),
            control: format!("{}/_simulator", world.origin),
            plan: config.plan,
            app: config.app,
            scope_style: config.scopes,
            account_id: ACCOUNT_ID,
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            webhook_secret: config.webhook_secret.clone(),
            redirect_uris: config.redirect_uris.clone(),
            scopes: first.scopes.clone(),
            users: users.collect(),
            webinar_id: WEBINAR,
            blocked_domain: BLOCKED_DOMAIN,
            token: SampleToken {
                user: world.directory.host().email,
                expires_in: first.life.as_secs(),
                access_token: Some(first.access_token.clone()),
                file: None,
            },
        }
    }

    /// The simulator's address, such as `http://127.0.0.1:4510`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The access token of the consent that the sample host has given at the start, unless it went into a file.
    #[must_use]
    pub fn access_token(&self) -> Option<&str> {
        self.token.access_token.as_deref()
    }

    /// Names the file that holds the token, instead of the token itself.
    #[must_use]
    pub fn with_token_in(mut self, file: &Path) -> Self {
        self.token.access_token = None;
        self.token.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The Zoom simulator listens on {}", self.origin)?;
        writeln!(f)?;
        writeln!(f, "To send the connector's requests here instead of to Zoom:")?;
        write!(
            f,
            "  jackfield connector add zoom --endpoint api={} --endpoint oauth={}",
            self.api, self.oauth
        )?;
        match &self.token.file {
            Some(file) => writeln!(f, " --token-file {}", file.display())?,
            None => writeln!(f)?,
        }
        writeln!(f)?;
        writeln!(f, "Client id:      {}", self.client_id)?;
        writeln!(f, "Client secret:  {}", self.client_secret)?;
        writeln!(f, "Secret token:   {}", self.webhook_secret)?;
        writeln!(f, "Account id:     {}", self.account_id)?;
        for (index, address) in self.redirect_uris.iter().enumerate() {
            let label = if index == 0 { "Redirect URI:" } else { "" };
            writeln!(f, "{label:<16}{address}")?;
        }
        writeln!(f)?;
        writeln!(f, "Users:")?;
        for user in &self.users {
            let licence = match user.licence {
                Licence::Licensed => "licensed",
                Licence::Basic => "basic",
                Licence::Unassigned => "may not host",
            };
            writeln!(f, "  {}  {:<24}{licence}", user.id, user.email)?;
        }
        writeln!(f)?;
        match (&self.token.access_token, &self.token.file) {
            (_, Some(file)) => {
                writeln!(f, "An access token of {} is in {}", self.token.user, file.display())?;
            }
            (Some(token), None) => {
                writeln!(f, "An access token of {}:", self.token.user)?;
                writeln!(f, "  {token}")?;
            }
            (None, None) => {}
        }
        writeln!(f, "Control API: {} (see the README)", self.control)?;
        write!(f, "Ctrl-C stops it")
    }
}
