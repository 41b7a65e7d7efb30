//! What the operator decides about the machine: `jackfield.toml`, and above it, for the limits, the environment.
//!
//! figment, which reads it, stays inside this module; toml_edit changes it and leaves the rest as it is. Secrets have no
//! place here, only the files that hold them: the environment's values are typed by guess, and an error about one would
//! repeat it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use connector_abi::message as frame;
use connector_protocol::{Error, ErrorKind, Manifest, Result, did_you_mean};
use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    home::Home,
    plugins::must_be_ours,
    system,
    worker::{Isolation, Terms},
};

const PREFIX: &str = "JACKFIELD_";

/// What separates section and key in a variable: `JACKFIELD_LIMITS__RETRIES`. A variable without it, such as
/// `JACKFIELD_HOME`, is no key of the configuration.
const SEPARATOR: &str = "__";

/// What an answer may have at most: it crosses to the connector as one message, beside its head.
const MOST_ANSWER_BYTES: usize = frame::MAX_LEN - (1 << 20);

/// The configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much anything may take.
    pub limits: Limits,
    /// How connectors are run.
    pub workers: Workers,
    /// How it is reached.
    pub server: Server,
    /// How much of what providers send is kept, and how it is sent on.
    pub events: Events,
    /// The address that browsers and providers reach it at, which every printed address begins with. TLS, and whatever else
    /// lies between, is a reverse proxy's work.
    pub public_url: PublicUrl,
    /// What is set for single integrations, by connector.
    pub integrations: BTreeMap<String, Integration>,
}

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The reverse proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), trusted_proxies: Vec::new() }
    }
}

/// How much of what providers send is kept, and how it is sent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// How many bytes the body of a delivery may have.
    pub body_bytes: usize,
    /// How many deliveries may wait to be looked into. Whoever sends more is asked to come again.
    pub waiting: u64,
    /// How long events are kept, in days, and what came of them. What is still to be sent is kept for longer.
    pub keep_days: u32,
    /// For how long it is tried to send an event, in hours.
    pub retry_hours: u32,
    /// The apps' addresses that may lie on this machine or in its network, or be plain http, as beginnings: `http://127.0.0.1:3000`.
    pub private_urls: Vec<Url>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            waiting: 100_000,
            keep_days: 30,
            retry_hours: 24,
            private_urls: Vec::new(),
        }
    }
}

impl Events {
    fn check(&self, home: &Home) -> Result<()> {
        let bytes = u64::try_from(self.body_bytes).unwrap_or(u64::MAX);
        between(
            home,
            "events",
            &[
                ("body_bytes", bytes, 1, u64::try_from(MOST_ANSWER_BYTES).unwrap_or(u64::MAX)),
                ("waiting", self.waiting, 1, 100_000_000),
                ("keep_days", u64::from(self.keep_days), 1, 3650),
                ("retry_hours", u64::from(self.retry_hours), 1, 24 * 30),
            ],
        )
    }

    /// Whether an address is one that the operator has named.
    #[must_use]
    pub fn is_named(&self, url: &Url) -> bool {
        self.private_urls.iter().any(|named| {
            let path = named.path().trim_end_matches('/');
            let below =
                url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            named.origin() == url.origin() && below
        })
    }
}

/// An address that others reach this machine at; without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// As it stands before a path.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The address itself.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether browsers come by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl Default for PublicUrl {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "it is written right here")]
        Self(Url::parse("http://localhost:8080").expect("it is an address"))
    }
}

/// How much anything may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long an action may take, in seconds, with everything it waits for.
    pub deadline_seconds: u64,
    /// How long the host waits at most for a provider that says when to come back, in seconds.
    pub wait_seconds: u64,
    /// How often a request is repeated that may be.
    pub retries: u32,
    /// How long making a connection to a provider may take, in seconds.
    pub connect_seconds: u64,
    /// How many bytes an answer may have, unpacked.
    pub answer_bytes: usize,
    /// How long invocations are kept, in days.
    pub keep_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline_seconds: 60,
            wait_seconds: 30,
            retries: 2,
            connect_seconds: 10,
            answer_bytes: 8 * 1024 * 1024,
            keep_days: 30,
        }
    }
}

impl Limits {
    /// How long an action may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }

    fn check(&self, home: &Home) -> Result<()> {
        let most = |limit: usize| u64::try_from(limit).unwrap_or(u64::MAX);
        between(
            home,
            "limits",
            &[
                ("deadline_seconds", self.deadline_seconds, 1, 24 * 60 * 60),
                ("wait_seconds", self.wait_seconds, 0, 60 * 60),
                ("retries", u64::from(self.retries), 0, 10),
                ("connect_seconds", self.connect_seconds, 1, 5 * 60),
                ("answer_bytes", most(self.answer_bytes), 1, most(MOST_ANSWER_BYTES)),
                ("keep_days", u64::from(self.keep_days), 1, 3650),
            ],
        )
    }
}

/// How connectors are run: each in a process of its own, a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// What is to happen where the kernel cannot lock a worker in.
    pub isolation: Isolation,
    /// How much memory a worker may take, in MiB.
    pub memory_mib: u64,
    /// How much processor time a call may take, in seconds.
    pub cpu_seconds: u64,
}

impl Default for Workers {
    fn default() -> Self {
        Self { isolation: Isolation::default(), memory_mib: 512, cpu_seconds: 10 }
    }
}

impl Workers {
    /// The terms that workers of this home are run on.
    #[must_use]
    pub fn terms(&self, home: &Home) -> Terms {
        Terms {
            isolation: self.isolation,
            memory_bytes: self.memory_mib.saturating_mul(1024 * 1024),
            cpu_seconds: self.cpu_seconds,
            copies: home.data(),
        }
    }

    fn check(&self, home: &Home) -> Result<()> {
        between(
            home,
            "workers",
            &[("memory_mib", self.memory_mib, 64, 1024 * 1024), ("cpu_seconds", self.cpu_seconds, 1, 3600)],
        )
    }
}

/// Whether each of a section's numbers lies between what it has to be at least and may be at most.
fn between(home: &Home, section: &str, numbers: &[(&str, u64, u64, u64)]) -> Result<()> {
    match numbers.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        None => Ok(()),
        Some((name, value, least, most)) => {
            let text = format!("`{section}.{name}` must be from {least} to {most}, and is {value}");
            Err(Error::new(ErrorKind::Config, text).hint(format!("change it in {}", home.config().display())))
        }
    }
}

/// How a connector is kept in is for the operator to say, in the file that is theirs alone.
fn refuse_isolation_by_environment(home: &Home) -> Result<()> {
    let variable = format!("{PREFIX}WORKERS{SEPARATOR}ISOLATION");
    let is_set = std::env::vars_os().any(|(name, _)| name.eq_ignore_ascii_case(&*variable));
    if !is_set {
        return Ok(());
    }
    let text = format!("the environment: `{variable}` is not read: isolation is set in the file alone");
    let hint = format!("set `isolation` under [workers] in {}", home.config().display());
    Err(Error::new(ErrorKind::Config, text).hint(hint))
}

/// Where a credential goes is not for whoever can set a variable: addresses stand in the file, which is the operator's.
fn refuse_addresses_by_environment(home: &Home) -> Result<()> {
    let prefix = format!("{PREFIX}INTEGRATIONS{SEPARATOR}");
    let private = format!("{PREFIX}EVENTS{SEPARATOR}PRIVATE_URLS");
    if std::env::vars_os().any(|(name, _)| name.eq_ignore_ascii_case(&*private)) {
        let text = format!("the environment: `{private}` is not read: addresses are set in the file alone");
        let hint = format!("set `private_urls` under [events] in {}", home.config().display());
        return Err(Error::new(ErrorKind::Config, text).hint(hint));
    }
    let variable = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .find(|name| name.to_ascii_uppercase().starts_with(&prefix));
    let Some(variable) = variable else { return Ok(()) };
    let connector = variable[prefix.len()..].split(SEPARATOR).next().unwrap_or_default().to_ascii_lowercase();
    let text = format!("the environment: `{variable}` is not read: addresses are set in the file alone");
    let hint = format!("set it under [integrations.{connector}.endpoints] in {}", home.config().display());
    Err(Error::new(ErrorKind::Config, text).hint(hint))
}

/// What is set for one integration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Integration {
    /// Addresses that take the place of the connector's bases, each as a whole. Only these may be plain http, or lie on
    /// this machine or in its network.
    pub endpoints: BTreeMap<String, Url>,
    /// The file that holds an access token, for whoever has one and connects no account.
    pub token_file: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration of a home: the defaults, then the file, then the environment.
    ///
    /// # Errors
    ///
    /// Names the file or the variable, and the key.
    pub fn load(home: &Home) -> Result<Self> {
        refuse_addresses_by_environment(home)?;
        refuse_isolation_by_environment(home)?;
        // It says what may run and how, and where credentials go. One that is not there is said to be so below.
        if home.config().exists() {
            must_be_ours(&home.config())?;
        }
        let figment = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file_exact(home.config()))
            .merge(Env::prefixed(PREFIX).filter(|key| key.as_str().contains(SEPARATOR)).split(SEPARATOR));
        let config: Self = figment.extract().map_err(|error| explain(home, &error))?;
        config.check(home)?;
        Ok(config)
    }

    /// What is set for the integration of this connector.
    #[must_use]
    pub fn integration(&self, connector: &str) -> Integration {
        self.integrations.get(connector).cloned().unwrap_or_default()
    }

    /// What is set for connectors that are not there, or for bases that they do not have: a request would go to the
    /// provider itself where the operator meant to send it elsewhere.
    ///
    /// # Errors
    ///
    /// Names the file, the key and what may have been meant. A connector that is not here, and whose name resembles no
    /// other, is none: it may come yet.
    pub fn fits(
        &self,
        home: &Home,
        connectors: &[&str],
        manifest: impl Fn(&str) -> Option<Arc<Manifest>>,
    ) -> Result<()> {
        let wrong = |key: String, hint: String| {
            let text = format!("{}: `{key}` is for nothing that is there", home.config().display());
            Err(Error::new(ErrorKind::Config, text).hint(hint))
        };
        for (connector, integration) in &self.integrations {
            let known = connectors.contains(&connector.as_str());
            if known && integration.endpoints.is_empty() {
                continue;
            }
            let Some(manifest) = manifest(connector).filter(|_| known) else {
                match did_you_mean(connector, connectors.iter().copied()) {
                    Some(meant) if !self.integrations.contains_key(meant) => {
                        return wrong(
                            format!("integrations.{connector}"),
                            format!("did you mean `{meant}`?"),
                        );
                    }
                    _ => continue,
                }
            };
            let unknown =
                integration.endpoints.keys().find_map(|base| Some((base, base_hint(&manifest, base)?)));
            if let Some((base, hint)) = unknown {
                return wrong(format!("integrations.{connector}.endpoints.{base}"), hint);
            }
        }
        Ok(())
    }

    fn check(&self, home: &Home) -> Result<()> {
        self.limits.check(home)?;
        self.workers.check(home)?;
        self.events.check(home)?;
        if let Some(wrong) = unfit(self.public_url.url()) {
            return Err(Error::new(ErrorKind::Config, format!("`public_url` {wrong}"))
                .hint(format!("change it in {}", home.config().display())));
        }
        for (connector, integration) in &self.integrations {
            for (base, url) in &integration.endpoints {
                let key = format!("integrations.{connector}.endpoints.{base}");
                let Some(wrong) = unfit(url) else { continue };
                return Err(Error::new(ErrorKind::Config, format!("`{key}` {wrong}"))
                    .hint(format!("change it in {}", home.config().display())));
            }
        }
        Ok(())
    }
}

/// Why an address cannot be the base of a connector's requests.
fn unfit(url: &Url) -> Option<&'static str> {
    match url.scheme() {
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
            Some("must be an address without `?` and `#`")
        }
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            Some("must not hold a name or a password")
        }
        "http" | "https" => None,
        _ => Some("must begin with http:// or https://"),
    }
}

/// What to say of a base that a connector does not have.
fn base_hint(manifest: &Manifest, base: &str) -> Option<String> {
    let names: Vec<&str> = manifest.bases.iter().map(|base| base.name.as_str()).collect();
    if names.contains(&base) {
        return None;
    }
    Some(match did_you_mean(base, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names.join(", ")),
    })
}

/// A change of the configuration file, ready to be written.
pub struct Edit(String);

impl Edit {
    /// Writes it: the file is the old one or the new one, never a part.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(self, home: &Home) -> Result<()> {
        let path = home.config();
        let failed = system::cannot("write", &path);
        let fresh = path.with_extension(format!("toml.{}", std::process::id()));
        std::fs::write(&fresh, self.0)
            .and_then(|()| {
                // It keeps the mode that the operator gave it.
                std::fs::set_permissions(&fresh, std::fs::metadata(&path)?.permissions())?;
                std::fs::rename(&fresh, &path)
            })
            .inspect_err(|_| drop(std::fs::remove_file(&fresh)))
            .map_err(failed)
    }
}

impl Config {
    /// Sets addresses and the token file of a connector in the configuration file, everything else and all comments left
    /// as they are. `None` if there is nothing to set.
    ///
    /// # Errors
    ///
    /// If the connector has no such base, if an address is none, or if the file cannot be read.
    pub fn edit(
        home: &Home,
        manifest: &Manifest,
        endpoints: &[(String, String)],
        token_file: Option<&Path>,
    ) -> Result<Option<Edit>> {
        if endpoints.is_empty() && token_file.is_none() {
            return Ok(None);
        }
        let path = home.config();
        let unreadable = |what: String| {
            Error::new(ErrorKind::Config, format!("{}: cannot be read: {what}", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(system::words(&error)))?;
        let mut document: toml_edit::DocumentMut = text.parse().map_err(|_| {
            // figment says it with the place.
            Self::load(home).err().unwrap_or_else(|| unreadable("it is not TOML".to_owned()))
        })?;
        let mut config = Self::load(home)?;
        let integration = config.integrations.entry(manifest.id.clone()).or_default();
        for (base, url) in endpoints {
            let usage = |text: String| Error::new(ErrorKind::Usage, text);
            if let Some(hint) = base_hint(manifest, base) {
                let text = format!("`{}` has no address `{}`", manifest.id, base.escape_debug());
                return Err(usage(text).hint(hint));
            }
            let parsed = Url::parse(url).map_err(|_| {
                usage(format!("`{}` is not an address", url.escape_debug()))
                    .hint(format!("an address looks like https://api.example.com/v2: --endpoint {base}=URL"))
            })?;
            if let Some(wrong) = unfit(&parsed) {
                return Err(usage(format!("the address of `{base}` {wrong}")));
            }
            integration.endpoints.insert(base.clone(), parsed);
        }
        config.check(home)?;
        config.fits(home, &[&manifest.id], |_| Some(Arc::new(manifest.clone())))?;
        // Where there are only comments, they stay above what is added.
        let comments = if document.as_table().is_empty() {
            std::mem::take(&mut document).to_string()
        } else {
            String::new()
        };
        let integrations = table(document.as_table_mut(), "integrations", true)?;
        let integration = table(integrations, &manifest.id, token_file.is_none())?;
        if let Some(file) = token_file {
            integration.set_implicit(false);
            integration["token_file"] = toml_edit::value(file.display().to_string());
        }
        if !endpoints.is_empty() {
            let table = table(integration, "endpoints", false)?;
            for (base, url) in endpoints {
                table[base] = toml_edit::value(url);
            }
        }
        let gap = if comments.is_empty() { "" } else { "\n" };
        Ok(Some(Edit(format!("{comments}{gap}{document}"))))
    }
}

/// The table of this name in another one, made if there is none.
fn table<'a>(
    parent: &'a mut toml_edit::Table,
    name: &str,
    implicit: bool,
) -> Result<&'a mut toml_edit::Table> {
    let item = parent.entry(name).or_insert_with(|| {
        let mut table = toml_edit::Table::new();
        table.set_implicit(implicit);
        toml_edit::Item::Table(table)
    });
    if !item.is_table() {
        // Written inline: as a table of its own it can be added to.
        let inline = std::mem::take(item).into_table().unwrap_or_default();
        *item = toml_edit::Item::Table(inline);
    }
    let odd = || Error::new(ErrorKind::Config, format!("`{name}` in jackfield.toml is no table"));
    item.as_table_mut().ok_or_else(odd)
}

/// An error of figment's in our words: which key, where it stands, what is wrong. Values are never repeated.
fn explain(home: &Home, error: &figment::Error) -> Error {
    let metadata = error.metadata.as_ref();
    let from_file =
        metadata.and_then(|metadata| metadata.source.as_ref()).and_then(|source| source.file_path());
    let place = match from_file {
        Some(path) => path.display().to_string(),
        None if metadata.is_some_and(|metadata| metadata.name.contains("environment")) => {
            "the environment".to_owned()
        }
        None => home.config().display().to_string(),
    };
    let key = if place == "the environment" {
        format!("{PREFIX}{}", error.path.join(SEPARATOR).to_ascii_uppercase())
    } else {
        error.path.join(".")
    };
    let hint = format!("change it in {place}");
    let (what, hint) = match &error.kind {
        Kind::UnknownField(field, known) => {
            let meant = did_you_mean(field, known.iter().copied());
            let parent = error.path.split_last().map_or(String::new(), |(last, path)| {
                if last == field { path.join(".") } else { error.path.join(".") }
            });
            let key = [parent.as_str(), field]
                .iter()
                .filter(|part| !part.is_empty())
                .copied()
                .collect::<Vec<_>>()
                .join(".");
            let hint = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Error::new(ErrorKind::Config, format!("{place}: `{key}` is not a key")).hint(hint);
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            let number = ["u32", "u64", "usize"].contains(&expected.as_str());
            (format!("`{key}` must be {}", if number { "a whole number" } else { expected }), hint)
        }
        Kind::UnknownVariant(_, known) => (format!("`{key}` must be one of {}", known.join(", ")), hint),
        // A value that cannot be read, such as an address: its own words may hold it.
        Kind::Message(_) if !error.path.is_empty() => (format!("`{key}` cannot be read"), hint),
        // The file is not TOML: the words quote the line, and no secret is in it.
        Kind::Message(text) => (format!("cannot be read: {}", text.lines().next().unwrap_or_default()), hint),
        other => (format!("`{key}`: {}", other.to_string().split(',').next().unwrap_or_default()), hint),
    };
    Error::new(ErrorKind::Config, format!("{place}: {what}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(toml: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().to_owned())).unwrap();
        fs::write(home.config(), toml).unwrap();
        Config::load(&home).map_err(|mut error| {
            error.message = error.message.replace(&dir.path().display().to_string(), "HOME");
            error.hint = error.hint.map(|hint| hint.replace(&dir.path().display().to_string(), "HOME"));
            error
        })
    }

    #[test]
    fn fault_101_every_mistake_names_the_file_the_key_and_the_way_out() {
        for (toml, message, hint) in [
            ("[limit]\n", "HOME/jackfield.toml: `limit` is not a key", "did you mean `limits`?"),
            (
                "[limits]\ndeadline = 5\n",
                "HOME/jackfield.toml: `limits.deadline` is not a key",
                "there are deadline_seconds, wait_seconds, retries, connect_seconds, answer_bytes, keep_days",
            ),
            (
                "[limits]\nretries = \"many\"\n",
                "HOME/jackfield.toml: `limits.retries` must be a whole number",
                "change it in HOME/jackfield.toml",
            ),
            (
                "[integrations.zoom.endpoint]\n",
                "HOME/jackfield.toml: `integrations.zoom.endpoint` is not a key",
                "did you mean `endpoints`?",
            ),
            (
                "[integrations.zoom.endpoints]\napi = \"nonsense\"\n",
                "HOME/jackfield.toml: `integrations.zoom.endpoints.api` cannot be read",
                "change it in HOME/jackfield.toml",
            ),
            (
                "[integrations.zoom.endpoints]\napi = \"ftp://example.com\"\n",
                "`integrations.zoom.endpoints.api` must begin with http:// or https://",
                "change it in HOME/jackfield.toml",
            ),
            (
                "[integrations.zoom.endpoints]\napi = \"http://a:hunter2@127.0.0.1\"\n",
                "`integrations.zoom.endpoints.api` must not hold a name or a password",
                "change it in HOME/jackfield.toml",
            ),
            (
                "[limits]\ndeadline_seconds = 18446744073709551\n",
                "`limits.deadline_seconds` must be from 1 to 86400, and is 18446744073709551",
                "change it in HOME/jackfield.toml",
            ),
            (
                "[limits]\nanswer_bytes = 1000000000\n",
                "`limits.answer_bytes` must be from 1 to 15728640, and is 1000000000",
                "change it in HOME/jackfield.toml",
            ),
            (
                "[limits\n",
                "HOME/jackfield.toml: cannot be read: TOML parse error at line 1, column 8",
                "change it in HOME/jackfield.toml",
            ),
        ] {
            let error = load(toml).unwrap_err();
            assert_eq!((error.message.as_str(), error.hint.as_deref()), (message, Some(hint)), "{toml}");
        }
    }

    fn edited(text: &str, endpoints: &[(&str, &str)], token_file: Option<&str>) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().to_owned())).unwrap();
        fs::write(home.config(), text).unwrap();
        let manifest = serde_json::from_value(serde_json::json!({
            "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Things",
            "hosts": [], "auth": [], "actions": [], "bases": [{"name": "api", "urls": []}],
        }))
        .unwrap();
        let endpoints: Vec<(String, String)> =
            endpoints.iter().map(|(base, url)| ((*base).to_owned(), (*url).to_owned())).collect();
        if let Some(edit) = Config::edit(&home, &manifest, &endpoints, token_file.map(Path::new))? {
            edit.write(&home)?;
        }
        Config::load(&home)?;
        Ok(fs::read_to_string(home.config()).unwrap())
    }

    #[test]
    fn what_is_set_stands_where_it_belongs_and_leaves_the_rest_alone() {
        let url = "http://127.0.0.1:1/v2";
        for (before, endpoints, token, after) in [
            (
                "# a comment\n",
                vec![("api", url)],
                None,
                "# a comment\n\n[integrations.acme.endpoints]\napi = \"http://127.0.0.1:1/v2\"\n",
            ),
            (
                "# top\n[limits]\nretries = 1 # few\n",
                vec![("api", url)],
                Some("/t"),
                "# top\n[limits]\nretries = 1 # few\n\n[integrations.acme]\ntoken_file = \"/t\"\n\n[integrations.acme.endpoints]\napi = \"http://127.0.0.1:1/v2\"\n",
            ),
            (
                "[integrations.acme.endpoints]\napi = \"https://old.example.com\" # was\n\n[integrations.other]\n",
                vec![("api", url)],
                None,
                "[integrations.acme.endpoints]\napi = \"http://127.0.0.1:1/v2\"\n\n[integrations.other]\n",
            ),
            ("[limits]\n", vec![], None, "[limits]\n"),
        ] {
            assert_eq!(edited(before, &endpoints, token).unwrap(), after, "{before}");
        }
        for (endpoints, expected) in [
            (("apo", url), "`acme` has no address `apo`"),
            (("api", "nowhere"), "`nowhere` is not an address"),
            (("api", "ftp://example.com"), "the address of `api` must begin with http:// or https://"),
        ] {
            let error = edited("", &[endpoints], None).unwrap_err();
            assert_eq!(error.message, expected);
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let config = load("[limits]\nretries = 5\n").unwrap();
        assert_eq!((config.limits.retries, config.limits.deadline_seconds), (5, 60));
        assert!(config.integration("zoom").endpoints.is_empty());
    }
}
