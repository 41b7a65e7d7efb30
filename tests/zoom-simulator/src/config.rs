//! What can be chosen about a simulator, and nothing about how it is told: the command line is `main.rs`'s business.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The redirect address that is registered with the sample app unless others are given.
pub const DEFAULT_REDIRECT_URI: &str = "http://localhost:8080/oauth/callback";

/// The sample app's client id, unless another is given.
pub const DEFAULT_CLIENT_ID: &str = "SimulatedClientId00001";

/// The sample app's client secret, unless another is given. It protects nothing.
pub const DEFAULT_CLIENT_SECRET: &str = "SimulatedClientSecret00000000001";

/// The sample app's secret token, unless another is given: webhooks are signed with it. It protects nothing.
pub const DEFAULT_WEBHOOK_SECRET: &str = "SimulatedSecretToken01";

/// How many people can register for one meeting (Zoom's documentation of *Add a meeting registrant*).
pub const DEFAULT_REGISTRANT_LIMIT: usize = 4_999;

/// Everything a [`Simulator`](crate::Simulator) can be told before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Only loopback addresses are accepted; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The plan of the sample account: it sets the rate limits, and on the free plan nobody has a licence.
    pub plan: Plan,
    /// What kind of app the sample client is.
    pub app: AppKind,
    /// Which of Zoom's two families of scope names the sample app uses.
    pub scopes: ScopeStyle,
    /// How long an access token lives. Zoom documents one hour.
    pub token_life: Duration,
    /// The redirect addresses registered with the app. They are compared character by character.
    pub redirect_uris: Vec<String>,
    /// The app's client id.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: String,
    /// The app's secret token, with which webhooks are signed.
    pub webhook_secret: String,
    /// Where webhooks go, all events to each. They are validated before the simulator is ready.
    pub webhook_urls: Vec<String>,
    /// Whether calls are counted and refused with 429 at all.
    pub rate_limits: bool,
    /// How many registrants a meeting can take.
    pub registrant_limit: usize,
    /// With a seed, ids, passcodes and tokens are the same in every run.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4510)),
            plan: Plan::Business,
            app: AppKind::UserManaged,
            scopes: ScopeStyle::Granular,
            token_life: Duration::from_secs(3600),
            redirect_uris: vec![DEFAULT_REDIRECT_URI.to_owned()],
            client_id: DEFAULT_CLIENT_ID.to_owned(),
            client_secret: DEFAULT_CLIENT_SECRET.to_owned(),
            webhook_secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
            webhook_urls: Vec::new(),
            rate_limits: true,
            registrant_limit: DEFAULT_REGISTRANT_LIMIT,
            seed: None,
        }
    }
}

/// A Zoom account's plan, as far as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// The lowest limits, daily ones among them; every user is Basic, so registration answers code 200.
    Free,
    /// The limits of a Pro account.
    Pro,
    /// The limits of Business and above.
    Business,
}

/// The kinds of app of Zoom's Marketplace that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppKind {
    /// A General app that any user connects for themselves: user scopes, `me` only.
    UserManaged,
    /// A General app that an administrator connects: `:admin` scopes, every user of the account.
    AdminManaged,
    /// An app without users: `account_credentials`, `:admin` scopes, no refresh token.
    ServerToServer,
}

/// Zoom's two families of scope names. An app has one or the other, depending on when it was made or migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeStyle {
    /// `meeting:write:meeting`
    Granular,
    /// `meeting:write`
    Classic,
}
