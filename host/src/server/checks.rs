//! Whether an integration is set up as it should be: what only shows when an account is connected or a webhook comes is looked
//! at before.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

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
        scopes::{self, Gap},
    },
    egress::Credential,
    store::{ConnectionState, Integration, Page, Scope, Which},
};

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// How far clocks may be apart: half of what webhooks are usually believed for.
const APART: SignedDuration = SignedDuration::from_secs(150);

/// The check of a scope without which nobody can be connected.
const IDENTIFY: &str = "identify";

/// What counts as lately.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

fn check(what: &str, fine: Option<bool>, found: impl Into<String>, hint: Option<String>) -> Check {
    Check { what: what.to_owned(), fine, found: found.into(), hint, details: BTreeMap::new() }
}

impl State {
    /// What this server, and no other, makes of a nonce.
    pub(super) fn answer_nonce(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.nonces, nonce.as_bytes()))
    }

    /// Looks at everything about an integration that can be looked at. What takes time is asked at once.
    pub(super) async fn check_integration(&self, integration: Integration) -> Result<Checks> {
        let setting = self.host.setting(&integration.connector)?;
        let manifest = setting.manifest.clone();
        let granted = self.granted(&integration).await?;
        let (client, redirect, clock) =
            tokio::join!(self.client(&setting, &integration), self.redirect(), clock(&setting));
        let mut checks = vec![client];
        checks.extend(held_back(&integration));
        checks.push(redirect);
        checks.extend(scope_checks(&manifest, &integration));
        checks.extend(granted_checks(&manifest, &integration, &granted));
        checks.extend(webhook_secret(&manifest, &integration));
        checks.extend(handshake_secret(&manifest, &integration));
        checks.extend(self.refused(&integration));
        checks.push(clock);
        let gaps = scopes::gaps(&manifest, &integration.scopes);
        let integration = accounts::integration(&self.host, integration, Vec::new())?;
        Ok(Checks { integration, checks, gaps })
    }

    /// What the provider has sent lately and was refused.
    fn refused(&self, integration: &Integration) -> Option<Check> {
        let lately = |at: Timestamp| Timestamp::now().duration_since(at) < LATELY;
        let all = self.host.refused(&integration.project);
        let of = all.iter().filter(|one| one.integration == integration.id && lately(one.at));
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut count = 0;
        for one in of {
            *reasons.entry(one.message.clone()).or_default() += 1;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let hint = format!(
            "see each: jackfield delivery list --refused; compare the secret: jackfield integration show {} --setup",
            integration.connector
        );
        let were = if count == 1 { "request to the webhook was" } else { "requests to the webhook were" };
        let found = format!("{count} {were} refused within the last day");
        let times = |count| if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let details = reasons.into_iter().map(|(reason, count)| (reason, times(count))).collect();
        Some(Check { details, ..check("webhooks", Some(false), found, Some(hint)) })
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
            let hint = format!("give it: jackfield integration set {connector} --client-secret-file FILE");
            return check(WHAT, Some(false), "there is no client secret", Some(hint));
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
            Ok(_) => check(WHAT, Some(true), "the provider accepts client id and secret", None),
            Err(refused) => match refused.why {
                Why::Grant => check(WHAT, Some(true), "the provider accepts client id and secret", None),
                Why::Client => {
                    let title = &setting.manifest.title;
                    let hint =
                        format!("copy both from the app's page at {title}, of one environment: {again}");
                    check(WHAT, Some(false), refused.error.message, Some(hint))
                }
                // Whether it has looked at the client before it refused the rest, nobody knows.
                Why::Request => {
                    let found =
                        format!("it cannot be told whether they are accepted: {}", refused.error.message);
                    check(WHAT, None, found, refused.error.hint)
                }
                Why::Passing { .. } | Why::Unreadable => {
                    let found = format!("the provider could not be asked: {}", refused.error.message);
                    check(WHAT, None, found, refused.error.hint)
                }
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

    /// The scopes of each connection that says which it has, and that is in use.
    async fn granted(&self, integration: &Integration) -> Result<Vec<Vec<String>>> {
        let scope = Scope::project(&integration.project);
        let which = Which { connector: Some(integration.connector.clone()), state: None };
        let page = Page { after: None, most: 1000 };
        let found = self.host.store.connections(scope, which, page).await?;
        let used = |state| !matches!(state, ConnectionState::Revoked | ConnectionState::NeedsReauth);
        let used = found.into_iter().filter(|connection| used(connection.state));
        Ok(used.filter_map(|connection| connection.scopes).collect())
    }
}

/// What the provider has refused, until somebody says that it is mended.
fn held_back(integration: &Integration) -> Option<Check> {
    let fault = integration.fault.as_ref()?;
    let hint = format!(
        "once the app is in order: jackfield integration set {} --client-id ID",
        integration.connector
    );
    Some(check("client", Some(false), format!("nothing is connected or renewed: {fault}"), Some(hint)))
}

/// Scopes that are configured and needed, compared both ways.
fn scope_checks(manifest: &Manifest, integration: &Integration) -> Vec<Check> {
    const WHAT: &str = "scopes";
    let (connector, configured) = (&integration.connector, &integration.scopes);
    let set =
        |scopes: &[String]| format!("jackfield integration set {connector} --scopes {}", scopes.join(","));
    if configured.is_empty() {
        let all = scopes::needed(manifest, scopes::family(manifest, &[]));
        if all.is_empty() {
            return vec![check(WHAT, Some(true), "none is needed", None)];
        }
        let hint = format!("say which the app has; for everything: {}", set(&all));
        return vec![check(WHAT, None, "nobody has said which scopes the app has", Some(hint))];
    }
    let mut checks = Vec::new();
    let (identify, others): (Vec<Gap>, Vec<Gap>) =
        scopes::gaps(manifest, configured).into_iter().partition(|gap| gap.identify);
    for gap in &identify {
        let all: Vec<String> = configured.iter().chain(&gap.scopes).cloned().collect();
        let found = format!("without {}: {}", gap.scopes.join(", "), disabled(gap));
        let hint = format!("tick it in the app at {}, then: {}", manifest.title, set(&all));
        checks.push(check(IDENTIFY, Some(false), found, Some(hint)));
    }
    if !others.is_empty() {
        let missing = others.iter().flat_map(|gap| gap.scopes.clone());
        let mut all: Vec<String> = configured.iter().cloned().chain(missing).collect();
        let mut seen = BTreeSet::new();
        all.retain(|scope| seen.insert(scope.clone()));
        let hint = format!(
            "tick what is needed in the app at {}, then say what it has; for everything: {}",
            manifest.title,
            set(&all)
        );
        let mut lacking =
            check(WHAT, Some(false), "not everything can be done with what is configured", Some(hint));
        lacking.details =
            others.iter().map(|gap| (format!("without {}", gap.scopes.join(", ")), disabled(gap))).collect();
        checks.push(lacking);
    }
    let known = scopes::known(manifest);
    let (needed, unneeded): (Vec<String>, Vec<String>) =
        configured.iter().cloned().partition(|scope| known.contains(scope.as_str()));
    if !unneeded.is_empty() {
        let hint = if needed.is_empty() {
            "take it out of the app".to_owned()
        } else {
            format!("take it out of the app, then: {}", set(&needed))
        };
        checks.push(check(WHAT, None, format!("nothing needs {}", unneeded.join(", ")), Some(hint)));
    }
    if checks.is_empty() {
        let found = format!("what is configured suffices for everything: {}", configured.join(", "));
        checks.push(check(WHAT, Some(true), found, None));
    }
    checks
}

/// Scopes that the users have granted, compared with those that are configured, both ways.
fn granted_checks(manifest: &Manifest, integration: &Integration, granted: &[Vec<String>]) -> Vec<Check> {
    const WHAT: &str = "granted";
    let (connector, configured) = (&integration.connector, &integration.scopes);
    if configured.is_empty() || granted.is_empty() {
        return Vec::new();
    }
    let mut checks = Vec::new();
    let before = scopes::gaps(manifest, configured);
    let mut lacking = BTreeMap::new();
    for scope in configured {
        let lack = granted.iter().filter(|granted| !granted.contains(scope)).count();
        if lack == 0 {
            continue;
        }
        let without: Vec<String> = configured.iter().filter(|other| *other != scope).cloned().collect();
        let gaps = scopes::gaps(manifest, &without);
        let lost: Vec<String> = gaps.iter().filter(|gap| !before.contains(gap)).map(disabled).collect();
        let lost = if lost.is_empty() { String::new() } else { format!(": {}", lost.join(", ")) };
        lacking.insert(format!("without {scope}"), format!("{lack} of {}{lost}", granted.len()));
    }
    if !lacking.is_empty() {
        let hint = format!("their users connect again: jackfield connection list --connector {connector}");
        let found = "connections lack scopes that are configured";
        checks.push(Check { details: lacking, ..check(WHAT, Some(false), found, Some(hint)) });
    }
    let mut more: Vec<&str> =
        granted.iter().flatten().filter(|scope| !configured.contains(scope)).map(String::as_str).collect();
    more.sort_unstable();
    more.dedup();
    if !more.is_empty() {
        let all: Vec<&str> = configured.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let hint = format!(
            "take them out of the app, or say so: jackfield integration set {connector} --scopes {}",
            all.join(",")
        );
        checks.push(check(
            WHAT,
            None,
            format!("connections have {}, which nobody has configured", more.join(", ")),
            Some(hint),
        ));
    }
    if checks.is_empty() {
        checks.push(check(WHAT, Some(true), "every connection has what is configured", None));
    }
    checks
}

/// What cannot be done.
fn disabled(gap: &Gap) -> String {
    let operations: Vec<&str> = gap.actions.iter().chain(&gap.triggers).map(String::as_str).collect();
    let operations = operations.join(", ");
    match (gap.identify, operations.is_empty()) {
        (true, true) => "no account can be connected".to_owned(),
        (true, false) => format!("no account can be connected, and no {operations}"),
        (false, _) => format!("no {operations}"),
    }
}

fn webhook_secret(manifest: &Manifest, integration: &Integration) -> Option<Check> {
    let title = integrations::webhook_secret(manifest)?;
    let has = integration
        .sealed
        .as_ref()
        .is_some_and(|envelope| envelope.fields.contains_key(integrations::WEBHOOK_SECRET));
    Some(if has {
        check("webhooks", Some(true), format!("they are proved by the {title}, which is here"), None)
    } else {
        check(
            "webhooks",
            Some(false),
            format!("without the {title} every webhook is refused"),
            Some(format!(
                "give it: jackfield integration set {} --webhook-secret-file FILE",
                integration.connector
            )),
        )
    })
}

fn handshake_secret(manifest: &Manifest, integration: &Integration) -> Option<Check> {
    let title = integrations::handshake_secret(manifest)?;
    let has = integration
        .sealed
        .as_ref()
        .is_some_and(|envelope| envelope.fields.contains_key(integrations::HANDSHAKE_SECRET));
    let connector = &integration.connector;
    Some(if has {
        check("handshakes", Some(true), format!("they repeat the {title}, which is here"), None)
    } else {
        check(
            "handshakes",
            Some(false),
            format!("without the {title} the provider cannot validate the address of webhooks"),
            Some(format!("give it: jackfield integration set {connector} --handshake-secret-file FILE")),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Manifest {
        let action = |name: &str, scope: &str| {
            json!({
                "name": name, "title": name, "description": name, "effect": "reads", "scopes": [{"all": [scope]}],
                "input": {"type": "object"}, "output": {},
            })
        };
        serde_json::from_value(json!({
            "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Things",
            "hosts": [], "auth": [], "identify_scopes": [{"all": ["me"]}],
            "actions": [action("get", "read"), action("list", "read"), action("make", "write")],
        }))
        .unwrap()
    }

    fn owned(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    fn integration(scopes: &[&str]) -> Integration {
        Integration {
            id: "int_1".to_owned(),
            project: "default".to_owned(),
            connector: "acme".to_owned(),
            auth: "user".to_owned(),
            client_id: None,
            scopes: owned(scopes),
            fault: None,
            created: Timestamp::UNIX_EPOCH,
            changed: Timestamp::UNIX_EPOCH,
            version: 1,
            sealed: None,
        }
    }

    /// What, how it is, and its parts, one a line.
    fn told(checks: Vec<Check>) -> Vec<String> {
        let state = |fine| match fine {
            Some(true) => "ok",
            Some(false) => "no",
            None => "?",
        };
        let told = checks.into_iter().flat_map(|check| {
            assert_eq!(check.fine == Some(true), check.hint.is_none(), "{check:?}");
            let head = format!("{} {}: {}", state(check.fine), check.what, check.found);
            let parts = check.details.into_iter().map(|(name, text)| format!("  {name}: {text}"));
            std::iter::once(head).chain(parts).collect::<Vec<_>>()
        });
        told.collect()
    }

    #[test]
    fn what_is_configured_is_compared_with_what_is_needed_both_ways() {
        for (configured, expected) in [
            (&[][..], &["? scopes: nobody has said which scopes the app has"][..]),
            (
                &["me", "read", "write"],
                &["ok scopes: what is configured suffices for everything: me, read, write"],
            ),
            (&["read", "write"], &["no identify: without me: no account can be connected"]),
            (
                &["me"],
                &[
                    "no scopes: not everything can be done with what is configured",
                    "  without read: no get, list",
                    "  without write: no make",
                ],
            ),
            (&["me", "read", "write", "drive"], &["? scopes: nothing needs drive"]),
        ] {
            assert_eq!(told(scope_checks(&manifest(), &integration(configured))), expected, "{configured:?}");
        }
        let hints: Vec<String> = scope_checks(&manifest(), &integration(&["me", "drive"]))
            .into_iter()
            .filter_map(|check| check.hint)
            .collect();
        assert!(
            hints[0].ends_with("jackfield integration set acme --scopes me,drive,read,write"),
            "{hints:?}"
        );
        assert!(hints[1].ends_with("jackfield integration set acme --scopes me"), "{hints:?}");
    }

    #[test]
    fn what_users_granted_is_compared_with_what_is_configured_both_ways() {
        let all = owned(&["me", "read", "write"]);
        for (configured, granted, expected) in [
            (&["me", "read", "write"][..], vec![], &[][..]),
            (&[], vec![all.clone()], &[]),
            (
                &["me", "read", "write"],
                vec![all.clone(), all.clone()],
                &["ok granted: every connection has what is configured"],
            ),
            (
                &["me", "read", "write"],
                vec![all.clone(), owned(&["me", "read"]), owned(&["read"])],
                &[
                    "no granted: connections lack scopes that are configured",
                    "  without me: 1 of 3: no account can be connected",
                    "  without write: 2 of 3: no make",
                ],
            ),
            // What the app lacks has been said already.
            (
                &["me", "read", "drive"],
                vec![owned(&["me", "read"])],
                &["no granted: connections lack scopes that are configured", "  without drive: 1 of 1"],
            ),
            (
                &["me", "read"],
                vec![all.clone()],
                &["? granted: connections have write, which nobody has configured"],
            ),
        ] {
            assert_eq!(
                told(granted_checks(&manifest(), &integration(configured), &granted)),
                expected,
                "{configured:?}"
            );
        }
    }
}
