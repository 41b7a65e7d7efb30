//! What can be asked of a Jackfield by whoever is not part of it, as JSON: the shapes of requests and answers, and what is
//! done for each. How they travel is the [`server`](crate::server)'s business.

pub mod accounts;
pub mod events;
pub mod guide;

use std::{
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Result, did_you_mean,
    manifest::{AuthKind, Manifest},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use zeroize::Zeroizing;

use crate::{
    egress::Credential,
    host::Host,
    invoke::{Caller, Happening, Held, Invocation, Invoked, Pages, Watch},
    plugins::{Library, Refusal, Registry, Trust},
    secret_file,
    worker::Supervisor,
};

/// What somebody may set who wants something to be given up.
pub const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=3600;

/// An action that is to be run.
#[derive(Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invoke {
    /// The action, as `connector.action`.
    pub action: String,
    /// Its input: an object.
    #[serde(default)]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub input: Value,
    /// The way the token was got; the connector's first, without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// The parameters of the connection that are no secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The token. Without one, a connection; or, where the configuration names one and nobody says otherwise, that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true))]
    pub token: Option<Zeroizing<String>>,
    /// The connection to run it as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The user whose only connection to run it as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Get all pages of a list, up to so many items; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub all: Option<usize>,
    /// Give up after so many seconds: [`TIMEOUT_SECONDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *TIMEOUT_SECONDS.start(), max = *TIMEOUT_SECONDS.end()))]
    pub timeout_seconds: Option<u64>,
    /// Show the request that would be sent, secrets masked, and send nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What an action gave.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Output {
    /// The invocation's id; absent if nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The output; the request that would be sent, if nothing was; `null` if there would be none.
    #[schemars(with = "Value")]
    pub output: Box<RawValue>,
    /// Whether the list goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A line of what is told of an action while it runs, the last one being how it ended.
// Each under its name: what is told apart by trying cannot hold an output that is passed on as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Something happens.
    Happens(Happening),
    /// It is done, and this is what it gave.
    Done(Output),
    /// It has failed, and this is why.
    Failed(Error),
}

/// A connector, or a file that is not used, in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConnectorLine {
    /// The connector's id, or the file's name.
    pub name: String,
    /// Whether it can be used: `ready`, `refused`, or `missing` if it is set up and has no library.
    pub state: String,
    /// What it is trusted by, beside its owner and its mode; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// The connector's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of the ABI that it was built with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abi: Option<String>,
    /// How many actions it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<usize>,
    /// How many triggers it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<usize>,
    /// The name people know the provider by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Why it is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where the file lies.
    pub path: String,
}

/// A connector as a whole.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConnectorShown {
    /// Where the file lies.
    pub path: String,
    /// The version of the ABI that it was built with.
    pub abi: String,
    /// The version of `connector-api` that it was built with.
    pub api: String,
    /// The SHA-256 of its manifest, in hex.
    pub digest: String,
    /// The SHA-256 of the file, in hex.
    pub sha256: String,
    /// The libraries of the system that it needs.
    pub needed: Vec<String>,
    /// What it is trusted by, beside its owner and its mode.
    pub trust: Trust,
    /// Why it is trusted, in one line.
    pub trusted: String,
    /// What it declares.
    pub manifest: Manifest,
}

/// How a Jackfield is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// `serving`, or `draining` once it takes nothing more.
    pub state: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs, in seconds.
    pub up_seconds: u64,
    /// How many connectors can be used.
    pub connectors: usize,
    /// How many invocations are under way.
    pub running: usize,
}

/// Runs an action, or shows what it would send.
///
/// # Errors
///
/// Whatever kept it from giving its output.
pub async fn invoke(
    host: &Host,
    request: Invoke,
    caller: Caller,
    watch: Watch,
    stop: impl Future<Output = ()>,
) -> Result<Output> {
    let (connector, action) = split(&request.action)?;
    if let Some(seconds) = request.timeout_seconds
        && !TIMEOUT_SECONDS.contains(&seconds)
    {
        let (first, last) = (TIMEOUT_SECONDS.start(), TIMEOUT_SECONDS.end());
        let text = format!("`timeout_seconds` must be from {first} to {last}, and is {seconds}");
        return Err(Error::new(ErrorKind::Usage, text));
    }
    if request.all == Some(0) {
        return Err(Error::new(ErrorKind::Usage, "`all` must be at least 1, and is 0"));
    }
    host.expect(connector);
    let known = host.action(connector, action)?;
    let input = if request.input.is_null() { Value::Object(Map::new()) } else { request.input };
    // What is wrong with the input is told before a token is asked for.
    known.check_input(&input)?;
    if request.all.is_some() && known.action().paging.is_none() {
        let text = format!("`{}` does not answer in pages", known.name());
        return Err(Error::new(ErrorKind::Usage, text).hint("leave --all out"));
    }
    let caller = Caller {
        deadline: request.timeout_seconds.map(Duration::from_secs).or(caller.deadline),
        user: caller.user.clone().or_else(|| request.user.clone()),
        ..caller
    };
    let as_whom = As {
        auth: request.auth,
        parameters: request.parameters,
        token: request.token,
        connection: request.connection,
    };
    let (credential, held) = credential(host, &caller, &known.manifest, as_whom, request.dry_run).await?;
    let caller = Caller { user: held.as_ref().map(|(_, user)| user.clone()).or(caller.user), ..caller };
    let held = held.map(|(held, _)| held);
    let pages = request.all.map_or(Pages::One, |most| Pages::All { most });
    let invocation = Invocation {
        connector: connector.to_owned(),
        action: action.to_owned(),
        input,
        credential,
        held,
        pages,
    };
    if request.dry_run {
        let shown = host.rehearse(&caller, invocation, stop).await?;
        let output = serde_json::value::to_raw_value(&shown).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the request cannot be shown: {error}"))
        })?;
        return Ok(Output { id: None, output, more: false });
    }
    let Invoked { id, output, more, .. } = host.invoke(&caller, invocation, watch, stop).await?;
    Ok(Output { id: Some(id.to_string()), output, more })
}

/// Splits `zoom.create_meeting`.
///
/// # Errors
///
/// If it is not of this form.
pub fn split(name: &str) -> Result<(&str, &str)> {
    name.split_once('.').ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{}` is not CONNECTOR.ACTION", name.escape_debug()))
            .hint("see what there is: jackfield action list")
    })
}

/// Where an action of this name stands in a manifest.
///
/// # Errors
///
/// If there is none; says what may have been meant.
pub fn find_action(manifest: &Manifest, action: &str) -> Result<usize> {
    let names = || manifest.actions.iter().map(|action| action.name.as_str());
    names().position(|name| name == action).ok_or_else(|| {
        let id = &manifest.id;
        let hint = match did_you_mean(action, names()) {
            Some(meant) => {
                format!("did you mean `{meant}`? see what it takes: jackfield action show {id}.{meant}")
            }
            None => format!("see what it can do: jackfield action list {id}"),
        };
        let text = format!("the connector `{id}` has no action `{}`", action.escape_debug());
        Error::new(ErrorKind::Unknown, text).hint(hint)
    })
}

/// As whom somebody wants an action to be run.
struct As {
    auth: Option<String>,
    parameters: Map<String, Value>,
    token: Option<Zeroizing<String>>,
    connection: Option<String>,
}

/// As whom an action is run: with the token that is given, as a connection, or, if there is none, with the token whose file the
/// configuration names. With a connection comes the user it is of.
async fn credential(
    host: &Host,
    caller: &Caller,
    manifest: &Arc<Manifest>,
    as_whom: As,
    dry_run: bool,
) -> Result<(Credential, Option<(Held, String)>)> {
    let As { auth, parameters, token, connection } = as_whom;
    if caller.end_user && (token.is_some() || auth.is_some() || !parameters.is_empty()) {
        return Err(Error::new(ErrorKind::Forbidden, "a user acts as a connection and as nothing else")
            .hint("leave `token`, `auth` and `parameters` out, and name the connection"));
    }
    let names_one = connection.is_some() || caller.user.is_some();
    if token.is_some() && names_one {
        return Err(Error::new(
            ErrorKind::Usage,
            "the action is run with a token or as a connection, not as both",
        )
        .hint("leave one of the two out"));
    }
    let settings = host.settings()?;
    let file = settings.config.integration(&manifest.id).token_file.filter(|_| !names_one && token.is_none());
    // Ways that are said go with a token; a connection has its own. A file in the configuration is for whoever has connected nothing:
    // connecting may have ended its token.
    let by_token = token.is_some() || auth.is_some() || !parameters.is_empty();
    if names_one || !by_token {
        let scope = caller.scope();
        let id = &manifest.id;
        let chosen = if names_one {
            Some(host.connections.choose(&scope, id, connection.as_deref()).await?)
        } else {
            host.connections.only(&scope, id).await?
        };
        if let Some(connection) = chosen {
            let deadline =
                Instant::now() + caller.deadline.unwrap_or_else(|| settings.config.limits.deadline());
            let setting = host.setting(id)?;
            let used = host.connections.credential(&setting, &scope, &connection.id, deadline).await?;
            let held = Held {
                connections: host.connections.clone(),
                setting,
                scope,
                id: connection.id,
                version: used.version,
            };
            return Ok((used.credential, Some((held, connection.user))));
        }
    }
    let auth = host.auth(manifest, auth.as_deref())?;
    let secret = parameters.keys().find(|name| auth.secret_names().any(|secret| secret == *name));
    if let Some(name) = secret {
        let text = format!("`{name}` is a secret and is not given as a parameter");
        return Err(Error::new(ErrorKind::Usage, text).hint("give it with --token-stdin or --token-file"));
    }
    host.check_parameters(manifest, auth, &parameters)?;
    let token = match (token, file) {
        (Some(token), _) => Some(SecretString::from(token.as_str())),
        (None, Some(file)) => Some(secret_file::read(&file).map_err(|error| {
            let hint = format!(
                "put one there, or change `integrations.{}.token_file` in jackfield.toml: jackfield doctor",
                manifest.id
            );
            Error::new(ErrorKind::Unauthorized, error.message).hint(hint)
        })?),
        (None, None) => None,
    };
    let credential = match token {
        Some(token) => Credential::of_token(auth, token, parameters)?,
        None if matches!(auth.kind, AuthKind::None {}) => {
            Credential { auth: auth.name.clone(), parameters, ..Credential::default() }
        }
        // Nothing is sent, and what stands here is masked.
        None if dry_run => Credential::of_token(auth, SecretString::from("TOKEN"), parameters)?,
        None => {
            let text = format!("{} needs a credential, and none was given", manifest.title);
            return Err(Error::new(ErrorKind::Unauthorized, text).hint(format!(
                "connect an account: jackfield connect {}; or give a token: --token-file FILE",
                manifest.id
            )));
        }
    };
    Ok((credential, None))
}

/// The connectors that are there, the files that are not used, and the connectors that have none.
pub fn connectors(registry: &Registry, supervisor: &Supervisor) -> Result<Vec<ConnectorLine>> {
    let mut lines = Vec::new();
    for library in registry.libraries() {
        let mut line = ready(library);
        if let Some(quarantine) = supervisor.quarantine(library)? {
            let Error { hint, .. } = quarantine.error();
            line.state = "quarantined".to_owned();
            (line.reason, line.hint) = (Some(quarantine.reason), hint);
        }
        lines.push(line);
    }
    let unused = |state: &str, refusal: &Refusal| {
        let file = || refusal.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ConnectorLine {
            name: refusal.id.clone().unwrap_or_else(file),
            state: state.to_owned(),
            trust: None,
            version: None,
            abi: None,
            actions: None,
            triggers: None,
            title: None,
            reason: Some(refusal.reason.clone()),
            hint: refusal.hint.clone(),
            path: refusal.path.display().to_string(),
        }
    };
    lines.extend(registry.refused().iter().map(|refusal| unused("refused", refusal)));
    lines.extend(registry.missing().iter().map(|refusal| unused("missing", refusal)));
    Ok(lines)
}

fn ready(library: &Library) -> ConnectorLine {
    ConnectorLine {
        name: library.id().to_owned(),
        state: "ready".to_owned(),
        trust: Some(library.trust),
        version: Some(library.head.version.clone()),
        abi: Some(library.head.abi.clone()),
        actions: Some(library.head.actions),
        triggers: Some(library.head.triggers),
        title: Some(library.head.title.clone()),
        reason: None,
        hint: None,
        path: library.path.display().to_string(),
    }
}

/// A connector as a whole.
///
/// # Errors
///
/// If its file has changed in this very moment.
pub fn connector(library: &Library) -> Result<ConnectorShown> {
    Ok(ConnectorShown {
        path: library.path.display().to_string(),
        abi: library.head.abi.clone(),
        api: library.head.api.clone(),
        digest: library.head.digest.clone(),
        sha256: library.head.sha256.clone(),
        needed: library.head.needed.clone(),
        trust: library.trust,
        trusted: library.reason_of_trust(),
        manifest: Manifest::clone(library.manifest()?),
    })
}

/// The invocation of this id, or of the only id that begins like this, of those that may be seen; all may without a scope.
///
/// # Errors
///
/// If there is none.
pub async fn invocation(
    host: &Host,
    scope: Option<crate::store::Scope>,
    id: &str,
) -> Result<crate::store::Invocation> {
    let found = host.store.invocation(scope, id).await?;
    found.ok_or_else(|| no_invocation(id))
}

/// That there is no such invocation.
#[must_use]
pub fn no_invocation(id: &str) -> Error {
    Error::new(ErrorKind::Unknown, format!("there is no invocation `{}`", id.escape_debug()))
        .hint("see which there are: jackfield invocation list")
}
