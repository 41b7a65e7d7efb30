//! What belongs to connected accounts: the keys of the vault, where the home is reached, connectors that are set up, and
//! connections that wait for somebody. What takes a server is asked of whoever serves the home, or of a host in this process.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use jackfield::{
    Result,
    config::Config,
    home::Home,
    server::{Check, Checks},
    store::{Accounts, ConnectionState, Page, Project, Scope, Sqlite, Which},
    vault::Keyring,
};
use tokio::runtime::Runtime;

use super::{
    super::{
        Everywhere,
        engine::{Engine, encoded},
        output,
    },
    Details, Findings,
};

/// How long looking at one integration may take: a little longer than its own questions may.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections are looked through.
pub(super) const MOST: u32 = 5000;

/// The checks without which nothing works.
const VITAL: &[&str] = &["client", "public_url", "identify", "clock"];

/// Whether the keys are there that secrets are sealed with.
pub(super) async fn vault(home: &Home, store: &Sqlite, findings: &mut Findings) {
    const CHECK: &str = "vault";
    let path = home.vault_keys();
    let Ok((used, current)) = store.keys_in_use().await else {
        // What is wrong with the store has been said.
        return;
    };
    let needed: Vec<&String> = used.iter().chain(current.iter().filter(|key| !used.contains(key))).collect();
    // A file that others may use is refused when it is read, as everywhere.
    match Keyring::load(&path) {
        Err(error) => findings.bad(CHECK, &error),
        Ok(None) if needed.is_empty() => {
            findings.ok(CHECK, "there are no secrets yet; a key is made with the first one")
        }
        Ok(keys) => {
            let missing: Vec<&str> = needed
                .iter()
                .filter(|id| !keys.as_ref().is_some_and(|keys| keys.has(id)))
                .map(|id| id.as_str())
                .collect();
            if missing.is_empty() {
                let count = keys.as_ref().map_or(0, |keys| keys.ids().count());
                findings.ok(
                    CHECK,
                    format!("{}, {}, its owner's alone", path.display(), output::count(count, "key")),
                );
            } else {
                let text =
                    format!("{} lacks {}, with which secrets are sealed", path.display(), missing.join(", "));
                findings.wrong(
                    CHECK,
                    text,
                    "put the file back from where copies of it are kept, apart from backups",
                );
            }
            let mut details = Details::new();
            if let Some(keys) = &keys {
                details.insert("seals with".to_owned(), keys.current_id().into());
            }
            if !used.is_empty() {
                details.insert("in use".to_owned(), used.join(", ").into());
            }
            findings.details(details);
        }
    }
}

/// Where it listens, and what it says that it is reached at.
pub(super) fn addresses(config: &Config, findings: &mut Findings) {
    const CHECK: &str = "address";
    let url = &config.public_url;
    let server = &config.server;
    let text = format!("listens at {} when it is served, and is reached at {}", server.listen, url.base());
    let host = url.url().host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !url.is_secure() && !is_here {
        let hint =
            "let a reverse proxy speak TLS, and set `public_url` in jackfield.toml to its https address";
        findings.warn(CHECK, format!("{text}: without TLS, codes and tokens can be read on the way"), hint);
    } else if url.is_secure() && server.listen.ip().is_loopback() && server.trusted_proxies.is_empty() {
        let hint = "name the reverse proxy: `trusted_proxies` under [server] in jackfield.toml";
        findings.warn(CHECK, format!("{text}: every caller looks like the reverse proxy"), hint);
    } else {
        findings.ok(CHECK, text);
    }
}

/// Connectors that are set up, and their connections. Whoever serves the home is asked only if they are known to answer.
pub(super) fn integrations(
    everywhere: &Everywhere,
    runtime: &Runtime,
    store: &Sqlite,
    can_be_asked: bool,
    findings: &mut Findings,
) {
    // What is wrong with the store has been said.
    let Ok(projects) = store.projects() else { return };
    let several = projects.len() > 1;
    let mut set_up = Vec::new();
    for project in &projects {
        let found = runtime.block_on(store.integrations(project.id.clone())).unwrap_or_default();
        set_up.extend(found.into_iter().map(|one| (project, one.connector)));
    }
    if set_up.is_empty() {
        return;
    }
    if can_be_asked {
        match Engine::find(everywhere) {
            Ok(mut engine) => look(&mut engine, &set_up, several, findings),
            Err(error) => findings.bad("integration", &error),
        }
    }
    for project in &projects {
        let found = |state| {
            let which = Which { connector: None, state: Some(state) };
            let page = Page { after: None, most: MOST };
            let found = runtime.block_on(store.connections(Scope::project(&project.id), which, page))?;
            Ok(found.into_iter().map(|connection| connection.connector).collect())
        };
        if waiting(project, several, found, findings).is_err() {
            return;
        }
    }
}

/// How integrations are, as whoever serves them says.
pub(super) fn look(
    engine: &mut Engine,
    set_up: &[(&Project, String)],
    several: bool,
    findings: &mut Findings,
) {
    let is_served = engine.is_served();
    let mut seen_address = false;
    for (project, connector) in set_up {
        engine.means(&project.id);
        let name = if several { format!("{}/{connector}", project.id) } else { connector.clone() };
        let path = format!("/v1/integrations/{}/checks", encoded(connector));
        match engine.get_within::<Checks>(&path, PATIENCE) {
            Ok(Some(checks)) => {
                for check in checks.checks {
                    // It is the same for all of them.
                    let again = check.what == "public_url" && std::mem::replace(&mut seen_address, true);
                    if !again {
                        add(&name, check, is_served, findings);
                    }
                }
            }
            Ok(None) => {
                let text = format!("{name}: nothing was said of it within {} s", PATIENCE.as_secs());
                findings.warn("integration", text, "try again later: jackfield doctor");
            }
            Err(error) => {
                let hint =
                    error.hint.unwrap_or_else(|| "see what the log says: jackfield -v doctor".to_owned());
                let text = format!("{name}: it cannot be looked at: {}", error.message);
                findings.warn("integration", text, hint);
            }
        }
    }
}

/// One thing that was looked at. Where nobody serves the home, nothing can be at its address, which is no fault.
fn add(name: &str, check: Check, is_served: bool, findings: &mut Findings) {
    let Check { what, fine, found, hint, details } = check;
    let is_address = what == "public_url";
    let text = if is_address { found } else { format!("{name}: {found}") };
    let hint = hint.unwrap_or_else(|| "try again later: jackfield doctor".to_owned());
    match fine {
        Some(true) => findings.ok(what, text),
        Some(false) if VITAL.contains(&what.as_str()) && (is_served || !is_address) => {
            findings.wrong(what, text, hint);
        }
        _ if is_address && !is_served => {
            findings.warn(what, format!("nobody serves this home: {text}"), hint)
        }
        _ => findings.warn(what, text, hint),
    }
    findings.details(details.into_iter().map(|(name, text)| (name, text.into())).collect());
}

/// Connections that wait for somebody; `found` gives the connectors of those in a state, each as often as it has one.
pub(super) fn waiting(
    project: &Project,
    several: bool,
    mut found: impl FnMut(ConnectionState) -> Result<Vec<String>>,
    findings: &mut Findings,
) -> Result<()> {
    let (of, flag) = match several {
        true => (format!("{}: ", project.id), format!(" --project {}", project.id)),
        false => (String::new(), String::new()),
    };
    let mut nobody = true;
    for state in [ConnectionState::NeedsReauth, ConnectionState::NeedsScope] {
        let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
        for connector in found(state)? {
            *waiting.entry(connector).or_default() += 1;
        }
        nobody &= waiting.is_empty();
        let state = state.as_str();
        for (connector, count) in waiting {
            let (what, verb) = match (state, count) {
                ("needs_scope", 1) => ("lacks a scope that it cannot do without", "its user"),
                ("needs_scope", _) => ("lack a scope that they cannot do without", "each of their users"),
                (_, 1) => ("needs its user to connect again", "its user"),
                _ => ("need their users to connect again", "each of their users"),
            };
            let count = output::count(count, "connection");
            findings.warn(
                "connection",
                format!("{of}{count} to {connector} {what} ({state})"),
                format!(
                    "see which and why: jackfield connection list --connector {connector} --state {state}{flag}; then \
                     send {verb} a link: jackfield connection link {connector} --user ID{flag}"
                ),
            );
        }
    }
    if nobody {
        findings.ok("connection", format!("{of}none waits for anybody"));
    }
    Ok(())
}
