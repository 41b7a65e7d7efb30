//! Whether an integration is set up as it should be: what only shows when an account is connected or a webhook comes is looked
//! at before.

use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, digest, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use connector_protocol::{Manifest, Result, manifest::AuthKind};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::{
    State,
    routes::{
        integrations::{Check, Checks},
        system::Nonce,
    },
};
use crate::{
    api::accounts,
    connections::{
        Setting, integrations, links,
        oauth::{self, Grant, Why},
        scopes,
    },
    egress::Credential,
    store::{Integration, Page, Scope, Which},
};

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far clocks may be apart: half of what webhooks are usually believed for.
const APART: SignedDuration = SignedDuration::from_secs(150);

fn check(what: &str, fine: Option<bool>, found: impl Into<String>, hint: Option<String>) -> Check {
    Check { what: what.to_owned(), fine, found: found.into(), hint }
}

impl State {
    /// What this server, and no other, makes of a nonce.
    pub(super) fn answer_nonce(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.nonces, nonce.as_bytes()))
    }

    /// Looks at everything about an integration that can be looked at.
    pub(super) async fn check_integration(&self, integration: Integration) -> Result<Checks> {
        let setting = self.host.setting(&integration.connector)?;
        let manifest = setting.manifest.clone();
        let mut checks = vec![self.client(&setting, &integration).await, self.redirect().await];
        let granted = self.granted(&integration).await?;
        let gaps = scopes::gaps(&manifest, &integration.scopes);
        checks.extend(scope_checks(&manifest, &integration, &granted));
        checks.extend(webhook_secret(&manifest, &integration));
        checks.push(clock(&setting).await);
        let integration = accounts::integration(&self.host, integration, Vec::new())?;
        Ok(Checks { integration, checks, gaps })
    }

    /// Whether the provider accepts the client: asked with a code that nobody has.
    async fn client(&self, setting: &Setting, integration: &Integration) -> Check {
        const WHAT: &str = "client";
        let connector = &integration.connector;
        let Some(auth) = setting.manifest.auth(&integration.auth) else {
            return check(
                WHAT,
                Some(false),
                format!("the connector no longer knows the way `{}`", integration.auth),
                None,
            );
        };
        let AuthKind::Oauth2(oauth) = &auth.kind else {
            return check(WHAT, Some(true), "none is needed", None);
        };
        if !integrations::uses_client(&setting.manifest, &integration.auth) {
            return check(WHAT, Some(true), "each connection brings its own", None);
        }
        let client = match self.host.connections.client_of(integration) {
            Ok(client) => client,
            Err(error) => return check(WHAT, Some(false), error.message, error.hint),
        };
        let again = format!("jackfield integration set {connector} --client-id ID --client-secret-file FILE");
        if client.secret.is_none() {
            return check(WHAT, Some(false), "there is no client secret", Some(format!("give it: {again}")));
        }
        let Ok(redirect_uri) = self.host.redirect_uri() else {
            return check(WHAT, None, "the configuration cannot be read", None);
        };
        let target = setting.target(Credential::default(), &integration.id);
        let (code, verifier) = (SecretString::from("jackfield-doctor"), SecretString::from("0".repeat(43)));
        let grant = Grant::Code { code: &code, redirect_uri: &redirect_uri, verifier: Some(&verifier) };
        let until = Instant::now() + PATIENCE;
        match oauth::token(&setting.egress, &target, oauth, &client, grant, until).await {
            // It has taken the client, and not the code, which is none.
            Ok(_) => check(WHAT, Some(true), "the provider accepts it", None),
            Err(refused) => match refused.why {
                Why::Grant | Why::Request => {
                    check(WHAT, Some(true), "the provider accepts client id and secret", None)
                }
                Why::Client => check(
                    WHAT,
                    Some(false),
                    refused.error.message,
                    Some(format!(
                        "take both from the app's page at {}, of the same environment: {again}",
                        setting.manifest.title
                    )),
                ),
                Why::Passing { .. } | Why::Unreadable => check(
                    WHAT,
                    None,
                    format!("the provider could not be asked: {}", refused.error.message),
                    refused.error.hint,
                ),
            },
        }
    }

    /// Whether the address that is printed everywhere leads here.
    async fn redirect(&self) -> Check {
        const WHAT: &str = "public_url";
        let Ok(settings) = self.host.settings() else {
            return check(WHAT, None, "the configuration cannot be read", None);
        };
        let base = settings.config.public_url.base().to_owned();
        let Ok(nonce) = links::secret() else {
            return check(WHAT, None, "the system gives no random bytes", None);
        };
        let nonce = nonce.expose_secret();
        let hint = "serve it: jackfield serve; behind a reverse proxy, set `public_url` in jackfield.toml to the address that browsers use";
        let fetched = match url::Url::parse(&format!("{base}/oauth/nonce/{nonce}")) {
            Ok(url) => settings.egress.fetch(&url, PATIENCE).await,
            Err(_) => return check(WHAT, Some(false), format!("{base} is no address"), None),
        };
        match fetched {
            Ok(body) => {
                let came: Option<Nonce> = serde_json::from_slice(&body).ok();
                let ours = self.answer_nonce(nonce);
                let same = |came: Nonce| {
                    constant_time::verify_slices_are_equal(came.nonce.as_bytes(), ours.as_bytes()).is_ok()
                };
                if came.is_some_and(same) {
                    check(
                        WHAT,
                        Some(true),
                        format!("{base} leads here, and so does {base}/oauth/callback"),
                        None,
                    )
                } else {
                    check(WHAT, Some(false), format!("{base} leads to something else"), Some(hint.to_owned()))
                }
            }
            Err(error) => check(
                WHAT,
                Some(false),
                format!("{base} cannot be reached from here: {}", error.message),
                Some(hint.to_owned()),
            ),
        }
    }

    /// The scopes that the connections have, each with how many have it; and how many say what they have.
    async fn granted(&self, integration: &Integration) -> Result<Vec<Vec<String>>> {
        let scope = Scope::project(&integration.project);
        let which = Which { connector: Some(integration.connector.clone()), state: None };
        let page = Page { after: None, most: 1000 };
        let found = self.host.store.connections(scope, which, page).await?;
        Ok(found.into_iter().filter_map(|connection| connection.scopes).collect())
    }
}

/// Scopes that are configured, granted and needed, compared both ways.
fn scope_checks(manifest: &Manifest, integration: &Integration, granted: &[Vec<String>]) -> Vec<Check> {
    let configured = &integration.scopes;
    let mut checks = Vec::new();
    if configured.is_empty() {
        let hint = format!(
            "say which the app has: jackfield integration set {} --scopes {}",
            integration.connector,
            scopes::needed(manifest, scopes::family(manifest, &[])).join(",")
        );
        checks.push(check("scopes", None, "nobody has said which scopes the app has", Some(hint)));
    } else {
        for gap in scopes::gaps(manifest, configured) {
            let mut disabled: Vec<String> = gap.actions.iter().chain(&gap.triggers).cloned().collect();
            if gap.identify {
                disabled.insert(0, "connecting at all".to_owned());
            }
            checks.push(check(
                "scopes",
                Some(false),
                format!("without {}: no {}", gap.scopes.join(", "), disabled.join(", ")),
                Some(format!("tick it in the app at {}, then add it here with --scopes", manifest.title)),
            ));
        }
        let known = scopes::known(manifest);
        let unneeded: Vec<&str> =
            configured.iter().map(String::as_str).filter(|scope| !known.contains(scope)).collect();
        if !unneeded.is_empty() {
            let found = format!("nothing needs {}", unneeded.join(", "));
            checks.push(check("scopes", None, found, Some("take away what nobody needs".to_owned())));
        }
        if checks.is_empty() {
            checks.push(check(
                "scopes",
                Some(true),
                format!("{} are configured, and suffice for everything", configured.len()),
                None,
            ));
        }
    }
    for scope in configured {
        let lack = granted.iter().filter(|granted| !granted.contains(scope)).count();
        if lack > 0 {
            checks.push(check(
                "scopes granted",
                Some(false),
                format!("{lack} of {} connections lack {scope}", granted.len()),
                Some(format!(
                    "those users connect again: jackfield connection list --connector {}",
                    integration.connector
                )),
            ));
        }
    }
    let mut more: Vec<&String> =
        granted.iter().flatten().filter(|scope| !configured.contains(scope)).collect();
    more.sort();
    more.dedup();
    if !configured.is_empty() && !more.is_empty() {
        let names: Vec<&str> = more.iter().map(|scope| scope.as_str()).collect();
        let found = format!("connections have {}, which are not configured", names.join(", "));
        checks.push(check(
            "scopes granted",
            None,
            found,
            Some("add them with --scopes, or take them away in the app".to_owned()),
        ));
    }
    checks
}

fn webhook_secret(manifest: &Manifest, integration: &Integration) -> Option<Check> {
    let title = integrations::webhook_secret(manifest)?;
    let has = integration
        .sealed
        .as_ref()
        .is_some_and(|envelope| envelope.fields.contains_key(integrations::WEBHOOK_SECRET));
    Some(if has {
        check("webhook secret", Some(true), format!("the {title} is here"), None)
    } else {
        check(
            "webhook secret",
            Some(false),
            format!("without the {title} every webhook is refused"),
            Some(format!(
                "give it: jackfield integration set {} --webhook-secret-file FILE",
                integration.connector
            )),
        )
    })
}

/// Whether our clock and the provider's agree: what they sign carries a time.
async fn clock(setting: &Setting) -> Check {
    let target = setting.target(Credential::default(), "");
    match setting.egress.date(&target, PATIENCE).await {
        Ok(Some(theirs)) => {
            let apart = Timestamp::now().duration_since(theirs);
            let seconds = apart.as_secs().abs();
            let fine = apart.abs() <= APART;
            let found = format!("{seconds} s apart from the provider's");
            check("clock", Some(fine), found, (!fine).then(|| "set this machine's clock".to_owned()))
        }
        Ok(None) => check("clock", None, "the provider does not say what time it is", None),
        Err(error) => {
            check("clock", None, format!("the provider could not be asked: {}", error.message), error.hint)
        }
    }
}

/// A key that nobody else has, for as long as this server lives.
pub(super) fn nonces() -> Result<hmac::Key> {
    let secret = links::secret()?;
    let digest = digest::digest(&digest::SHA256, secret.expose_secret().as_bytes());
    Ok(hmac::Key::new(hmac::HMAC_SHA256, digest.as_ref()))
}
