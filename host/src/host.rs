//! Everything that a running Jackfield has, and what can be asked of it without doing anything.
//!
//! It puts the parts together and looks things up in them. It runs nothing: that is [`invoke`](crate::invoke)'s business. It
//! does not know who asks, nor by which way.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Problem, Result,
    manifest::{Action, Auth, Manifest, Schema},
    schema::escape,
    validate::Validator,
};
use serde_json::{Map, Value};

use crate::{
    api,
    config::Config,
    connections::Connections,
    egress::Egress,
    events::Memory,
    home::Home,
    moment::Looked,
    plugins::{Identity, Library, Registry},
    redact,
    store::{self, Shared, Sqlite},
    vault::Vault,
    worker::{Reserved, Supervisor, Workers},
};

/// How often a connector is looked for whose file changes under our eyes.
const LOOKS: u32 = 3;

/// A running Jackfield.
pub struct Host {
    /// Where it lives.
    pub home: Home,
    /// What it keeps.
    pub store: Shared,
    /// The accounts that are connected.
    pub connections: Arc<Connections>,
    /// What is remembered of what providers send.
    pub events: Arc<Memory>,
    /// What runs its connectors.
    pub workers: Workers,
    settings: RwLock<Settings>,
    /// When it was last seen that the file is still the one they were read from.
    looked: Looked,
    registry: RwLock<Arc<Registry>>,
    /// Held by whoever looks at the plugins again.
    looking: tokio::sync::Mutex<Unproved>,
    known: Mutex<HashMap<(String, String), Arc<Known>>>,
}

/// Files that could not prove themselves, and why: they are not asked again.
type Unproved = HashMap<Identity, Error>;

/// What the operator has decided, and what follows from it.
#[derive(Clone)]
pub struct Settings {
    /// What is in the file.
    pub config: Arc<Config>,
    pub(crate) egress: Arc<Egress>,
    /// The file that it was read from.
    file: Option<Identity>,
}

/// An action, with what it takes to run it, made once.
pub struct Known {
    /// The library it is in.
    pub library: Arc<Library>,
    /// What that declares.
    pub manifest: Arc<Manifest>,
    /// Which of its actions.
    index: usize,
    input: OnceLock<Side>,
    output: OnceLock<Side>,
}

/// One of an action's two schemas, standing alone, and what checks values against it.
pub struct Side {
    /// The schema.
    pub schema: Value,
    /// What checks.
    pub validator: Validator,
    /// The names of the fields that it marks as secrets.
    pub secrets: BTreeSet<String>,
}

impl Known {
    /// The action.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.manifest.actions[self.index]
    }

    /// Its name, as `connector.action`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.library.id(), self.action().name)
    }

    /// What it takes.
    ///
    /// # Errors
    ///
    /// If the schema is none.
    pub fn input(&self) -> Result<&Side> {
        self.side(&self.input, &self.action().input)
    }

    /// What it gives.
    ///
    /// # Errors
    ///
    /// If the schema is none.
    pub fn output(&self) -> Result<&Side> {
        self.side(&self.output, &self.action().output)
    }

    fn side<'a>(&self, side: &'a OnceLock<Side>, schema: &Schema) -> Result<&'a Side> {
        if let Some(side) = side.get() {
            return Ok(side);
        }
        let schema = self.manifest.standalone(schema);
        let validator = Validator::new(schema.clone()).map_err(|error| {
            let text = format!("{}: a schema is unusable: {error}", self.name());
            Error::new(ErrorKind::PluginRefused, text)
        })?;
        let secrets = redact::marked_names(&schema);
        Ok(side.get_or_init(|| Side { schema, validator, secrets }))
    }

    /// Checks an input: all problems at once, before anything is sent.
    ///
    /// # Errors
    ///
    /// With each problem at its field.
    pub fn check_input(&self, input: &Value) -> Result<()> {
        let problems = self.input()?.validator.check(input);
        if problems.is_empty() {
            return Ok(());
        }
        let text = format!("the input of {} does not fit", self.name());
        let hint = format!("see what it takes: jackfield action show {}", self.name());
        Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint(hint))
    }
}

impl Host {
    /// A host of this home, with the connectors that are there now.
    ///
    /// # Errors
    ///
    /// If there is no home, or its configuration is wrong.
    pub fn open(home: &Home) -> Result<Self> {
        Self::open_for(home, None)
    }

    /// The same, for somebody who will call this connector at once: its worker is started as soon as it is known where it
    /// lies, while the rest is looked at.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_for(home: &Home, connector: Option<&str>) -> Result<Self> {
        home.must_exist()?;
        let file = config_file(home);
        let config = Config::load(home)?;
        let registry = Registry::scan(home)?;
        let supervisor = Arc::new(Supervisor::new(home.deaths()));
        let workers = Workers::new(config.workers.terms(home), supervisor);
        if let Some(Ok(library)) = connector.map(|connector| registry.find(connector)) {
            workers.expect(library);
        }
        fits(&config, home, &registry)?;
        let keep = Duration::from_secs(u64::from(config.limits.keep_days) * 24 * 60 * 60);
        let store: Shared = Arc::new(Sqlite::open(home.store(), keep));
        let vault = Vault::at(home.vault_keys());
        let connections = Connections::new(store.clone(), vault, store::this_process());
        Ok(Self {
            home: home.clone(),
            store,
            connections: Arc::new(connections),
            events: Arc::default(),
            workers,
            looked: Looked::never(),
            settings: RwLock::new(Settings {
                egress: Arc::new(Egress::new(config.limits.clone())),
                config: Arc::new(config),
                file,
            }),
            registry: RwLock::new(Arc::new(registry)),
            looking: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        })
    }

    /// What the operator has decided, as the file says it now: whoever stays does not go on sending where they were told
    /// not to send any more.
    ///
    /// # Errors
    ///
    /// If the configuration has been changed into a wrong one. Then nothing is run: nobody knows what was meant.
    pub fn settings(&self) -> Result<Settings> {
        let known = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        if self.looked.just_now() {
            return Ok(known);
        }
        let now = Instant::now();
        let file = config_file(&self.home);
        if known.file == file {
            self.looked.note(now);
            return Ok(known);
        }
        let config = Config::load(&self.home)?;
        fits(&config, &self.home, &self.registry())?;
        // Connections to providers stay, unless how they are made has changed.
        let egress = if config.limits == known.config.limits {
            known.egress
        } else {
            Arc::new(Egress::new(config.limits.clone()))
        };
        self.workers.set_terms(config.workers.terms(&self.home));
        let now = Settings { config: Arc::new(config), egress, file };
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = now.clone();
        tracing::info!("the configuration was read again");
        Ok(now)
    }

    /// The connectors that are there, as of when it was last looked.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the plugins again. A library that has taken the place of one that runs has to prove itself first: if it
    /// cannot, the one before goes on. What is under way ends where it has begun.
    ///
    /// # Errors
    ///
    /// If the plugins directory cannot be read any more.
    pub(crate) async fn reload(&self) -> Result<()> {
        let unproved = self.looking.lock().await;
        self.reload_with(unproved).await
    }

    /// The same, unless somebody is at it already.
    pub(crate) async fn reload_unless_busy(&self) -> Result<()> {
        match self.looking.try_lock() {
            Ok(unproved) => self.reload_with(unproved).await,
            Err(_) => Ok(()),
        }
    }

    async fn reload_with(&self, mut unproved: tokio::sync::MutexGuard<'_, Unproved>) -> Result<()> {
        let before = self.registry();
        let Some(mut now) = before.again()? else { return Ok(()) };
        for old in before.libraries().filter(|old| self.workers.has_loaded(old)) {
            let new = now.libraries().find(|new| new.id() == old.id()).cloned();
            match new {
                Some(new) if Arc::ptr_eq(&new, old) => {}
                Some(new) => {
                    // Both are kept in memory from here on: the file may be another one a moment later.
                    let proved = match (unproved.get(&new.identity), new.manifest()) {
                        (Some(error), _) => Err(error.clone()),
                        (None, Err(error)) => Err(error),
                        (None, Ok(_)) => self.workers.prove(&new).await,
                    };
                    if let Err(error) = proved {
                        unproved.insert(new.identity.clone(), error.clone());
                        now.keep_instead(old, &new, error);
                    }
                }
                None => now.keep(old),
            }
        }
        tell(&before, &now);
        let config = self.settings.read().unwrap_or_else(PoisonError::into_inner).config.clone();
        // What was right at the start is not made wrong by a file that comes later; it is told.
        if let Err(error) = fits(&config, &self.home, &now) {
            tracing::warn!("{error}");
        }
        unproved.retain(|file, _| now.has_file_of(file));
        let now = Arc::new(now);
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = now.clone();
        let is_there = |file: &Identity| now.libraries().any(|library| library.identity == *file);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| is_there(&known.library.identity));
        drop(known);
        self.workers.retire(is_there);
        Ok(())
    }

    /// The action of this name, by `connector` and `action`.
    ///
    /// # Errors
    ///
    /// If there is no such thing; says what may have been meant.
    pub fn action(&self, connector: &str, action: &str) -> Result<Arc<Known>> {
        let mut registry = self.registry();
        if registry.find(connector).is_err()
            && let Some(now) = registry.again()?
        {
            // It may have been dropped in this very moment.
            registry = Arc::new(now);
        }
        let library = registry.find(connector)?;
        let key = (connector.to_owned(), action.to_owned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&key).filter(|known| Arc::ptr_eq(&known.library, library)) {
            return Ok(known.clone());
        }
        let manifest = library.manifest()?.clone();
        let index = api::find_action(&manifest, action)?;
        let found = Arc::new(Known {
            library: library.clone(),
            manifest,
            index,
            input: OnceLock::new(),
            output: OnceLock::new(),
        });
        known.insert(key, found.clone());
        Ok(found)
    }

    /// The same, with the place of its worker, where what it was loaded from stays until the call is over: the library may be
    /// replaced at any moment. One that nobody has loaded, and whose file is another one by now, is looked for again.
    ///
    /// # Errors
    ///
    /// As [`action`](Self::action).
    pub(crate) async fn reserved_action(
        &self,
        connector: &str,
        action: &str,
    ) -> Result<(Arc<Known>, Reserved)> {
        let mut left = LOOKS;
        loop {
            let known = self.action(connector, action)?;
            let place = self.workers.reserve(&known.library);
            left -= 1;
            if left == 0 || known.library.open().is_ok() || place.has_image().await {
                return Ok((known, place));
            }
            self.reload().await?;
        }
    }

    /// Starts the worker of a connector that will be called soon, if there is such a connector.
    pub fn expect(&self, connector: &str) {
        if let Ok(library) = self.registry().find(connector) {
            self.workers.expect(library);
        }
    }

    /// The auth variant of this name, or the connector's first one.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn auth<'a>(&self, manifest: &'a Manifest, name: Option<&str>) -> Result<&'a Auth> {
        let Some(name) = name else {
            let none = || {
                Error::new(
                    ErrorKind::PluginRefused,
                    "the connector declares no way to authorise a connection",
                )
            };
            return manifest.auth.first().ok_or_else(none);
        };
        manifest.auth(name).ok_or_else(|| {
            let known: Vec<&str> = manifest.auth.iter().map(|auth| auth.name.as_str()).collect();
            let text =
                format!("the connector `{}` has no auth variant `{}`", manifest.id, name.escape_debug());
            Error::new(ErrorKind::Unknown, text)
                .hint(format!("give one of those there are: --auth {}", known.join(", --auth ")))
        })
    }

    /// Checks what is given of a connection's parameters. What is missing may not be needed, as long as there is a token.
    ///
    /// # Errors
    ///
    /// With each problem at its parameter.
    pub fn check_parameters(
        &self,
        manifest: &Manifest,
        auth: &Auth,
        given: &Map<String, Value>,
    ) -> Result<()> {
        let mut schema = auth.parameters.clone();
        schema.remove("required");
        let problems = if schema.is_empty() {
            given
                .keys()
                .map(|name| Problem::new(format!("/{}", escape(name)), "is not a parameter"))
                .collect()
        } else {
            let unusable =
                |error| Error::new(ErrorKind::PluginRefused, format!("its parameters are unusable: {error}"));
            let validator = Validator::new(manifest.standalone(&schema)).map_err(unusable)?;
            validator.check(&Value::Object(given.clone()))
        };
        if problems.is_empty() {
            return Ok(());
        }
        let text = format!("the parameters of a connection by `{}` do not fit", auth.name);
        let hint = format!("see what it takes: jackfield connector show {} -o json", manifest.id);
        Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint(hint))
    }
}

/// Says what has come, changed and gone.
fn tell(before: &Registry, now: &Registry) {
    let version = |registry: &Registry, id: &str| {
        registry.libraries().find(|library| library.id() == id).map(|library| library.head.version.clone())
    };
    for library in now.libraries().filter(|library| !before.libraries().any(|old| Arc::ptr_eq(old, library)))
    {
        let (id, version, before) = (library.id(), &library.head.version, version(before, library.id()));
        tracing::info!(connector = id, version, before, "picked up");
    }
    for library in before.libraries().filter(|library| version(now, library.id()).is_none()) {
        tracing::info!(connector = library.id(), version = library.head.version, "taken out");
    }
    for refusal in now.refused().iter().filter(|refusal| !before.refused().contains(refusal)) {
        tracing::warn!("{refusal}");
    }
}

/// Which file the configuration is in.
fn config_file(home: &Home) -> Option<Identity> {
    fs::metadata(home.config()).ok().map(|metadata| Identity::of(&metadata))
}

/// Whether what is configured is for connectors that are there, as far as that can be told.
///
/// # Errors
///
/// Names the first thing that is for nothing.
pub fn fits(config: &Config, home: &Home, registry: &Registry) -> Result<()> {
    let ids: Vec<&str> = registry.libraries().map(|library| library.id()).collect();
    config.fits(home, &ids, |id| {
        let library = registry.libraries().find(|library| library.id() == id)?;
        library.manifest().ok().cloned()
    })
}
