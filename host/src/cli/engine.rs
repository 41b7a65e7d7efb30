//! Where a command is carried out: by the Jackfield that serves the home, if there is one, or in this process. What is asked
//! and answered has the same shape either way.

use std::{sync::Arc, time::Duration};

use connector_protocol::manifest::{Effect, Manifest};
use jackfield::{
    Error, ErrorKind, Result,
    api::{self, ConnectorLine, ConnectorShown, Invoke, Output, accounts::List},
    home::Home,
    host::Host,
    invoke::{Caller, Source, Watch},
    plugins::Registry,
    server::{self, Local},
    store,
    worker::Supervisor,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::Runtime;

use super::{Everywhere, action::Declared, not_elsewhere, output, served::Served, signals::Stoppable};

/// What carries commands out.
pub(crate) struct Engine {
    /// The home; none for a Jackfield elsewhere.
    home: Option<Home>,
    project: Option<String>,
    runtime: Runtime,
    there: Option<Served>,
    here: Option<Box<Host>>,
    /// The API in this process, for what is asked of it by its addresses.
    local: Option<Arc<Local>>,
}

impl Engine {
    /// Finds out who carries out commands.
    pub(crate) fn find(everywhere: &Everywhere) -> Result<Self> {
        let project = everywhere.project.clone();
        let there = |served: Served| served.in_project(project.clone());
        if let Some(remote) = everywhere.remote()? {
            let served = Some(there(Served::at(remote)));
            let runtime = runtime()?;
            return Ok(Self { home: None, project, runtime, there: served, here: None, local: None });
        }
        let home = everywhere.home()?;
        let runtime = runtime()?;
        let stream = runtime.block_on(server::connect(&home))?;
        let served = stream.map(|_| there(Served::of(home.clone())));
        Ok(Self { home: Some(home), project, runtime, there: served, here: None, local: None })
    }

    /// Means this project from here on.
    pub(crate) fn means(&mut self, project: &str) {
        self.project = Some(project.to_owned());
        self.there = self.there.take().map(|there| there.in_project(Some(project.to_owned())));
    }

    /// The home on this machine.
    pub(crate) fn home(&self) -> Result<&Home> {
        self.home.as_ref().ok_or_else(not_elsewhere)
    }

    /// Whether somebody else carries commands out, who stays.
    pub(crate) fn is_served(&self) -> bool {
        self.there.is_some()
    }

    /// The API in this process.
    pub(crate) fn local(&mut self) -> Result<Arc<Local>> {
        if let Some(local) = &self.local {
            return Ok(local.clone());
        }
        let host = match self.here.take() {
            Some(host) => *host,
            None => Host::open(self.home()?)?,
        };
        let local = Arc::new(self.runtime.block_on(Local::of(host))?);
        self.local = Some(local.clone());
        Ok(local)
    }

    /// Does something that takes time, where the engine's own things live.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Whoever answers at the addresses of the API.
    pub(crate) fn served(&mut self) -> Result<Served> {
        Ok(match &self.home {
            None => self.there.take().ok_or_else(|| Error::new(ErrorKind::Internal, "there is no server"))?,
            Some(home) if self.there.is_some() => Served::of(home.clone()).in_project(self.project.clone()),
            Some(_) => {
                let project = self.project.clone();
                Served::here(self.local()?).in_project(project)
            }
        })
    }

    /// Asks for something at an address of the API, or does something there.
    pub(crate) fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        if let Some(there) = &self.there {
            return self.runtime.block_on(there.ask(method, path, body));
        }
        let served = self.served()?;
        self.runtime.block_on(served.ask(method, path, body))
    }

    /// Gets something.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        self.ask("GET", path, None::<&()>)
    }

    /// Gets something, if it comes within this time.
    pub(crate) fn get_within<T: DeserializeOwned>(
        &mut self,
        path: &str,
        patience: Duration,
    ) -> Result<Option<T>> {
        // One elsewhere is asked more than this.
        let here = if self.there.is_some() { None } else { Some(self.served()?) };
        let Some(served) = self.there.as_ref().or(here.as_ref()) else { return Ok(None) };
        self.runtime.block_on(async {
            match tokio::time::timeout(patience, served.get(path)).await {
                Ok(answer) => answer.map(Some),
                Err(_) => Ok(None),
            }
        })
    }

    /// Gets a list, all of its parts, up to so many.
    pub(crate) fn list<T: DeserializeOwned>(&mut self, path: &str, most: usize) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let left = most - items.len();
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &left.min(PART).to_string());
            query.extend_pairs(after.iter().map(|after| ("after", after)));
            let separator = if path.contains('?') { '&' } else { '?' };
            let part: List<T> = self.get(&format!("{path}{separator}{}", query.finish()))?;
            items.extend(part.items);
            match part.next {
                Some(next) if items.len() < most && after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// The host in this process, made when it is first needed.
    pub(crate) fn here(&mut self) -> Result<&Host> {
        self.here_for(None)
    }

    fn here_for(&mut self, connector: Option<&str>) -> Result<&Host> {
        if self.here.is_none() {
            self.here = Some(Box::new(Host::open_for(self.home()?, connector)?));
        }
        self.here.as_deref().ok_or_else(|| Error::new(ErrorKind::Internal, "there is no host"))
    }

    /// The action that is to be run. Where it is run in this process, what takes longest begins with this.
    pub(crate) fn action(&mut self, name: &str) -> Result<Declared> {
        let (connector, _) = api::split(name)?;
        if self.there.is_some() {
            return self.declared(name);
        }
        let registry = self.here_for(Some(connector))?.registry();
        Declared::find(&registry, name)
    }

    /// The action of this name, as it would be run now.
    pub(crate) fn declared(&mut self, name: &str) -> Result<Declared> {
        if self.there.is_some() {
            let (connector, _) = api::split(name)?;
            return Declared::of(name, Arc::new(self.connector(connector)?.manifest));
        }
        Declared::find(&registry(self.home()?)?, name)
    }

    pub(crate) fn connectors(&mut self) -> Result<Vec<ConnectorLine>> {
        if let Some(served) = &self.there {
            return Ok(self.runtime.block_on(served.get::<List<ConnectorLine>>("/v1/connectors"))?.items);
        }
        let home = self.home()?;
        api::connectors(&registry(home)?, &Supervisor::new(home.deaths()))
    }

    pub(crate) fn connector(&mut self, id: &str) -> Result<ConnectorShown> {
        if let Some(served) = &self.there {
            return self.runtime.block_on(served.get(&format!("/v1/connectors/{}", encoded(id))));
        }
        api::connector(registry(self.home()?)?.find(id)?)
    }

    /// What connectors declare: one, or all that can be used.
    pub(crate) fn manifests(&mut self, connector: Option<&str>) -> Result<Vec<Manifest>> {
        let ids = match connector {
            Some(id) => vec![id.to_owned()],
            None => {
                let lines = self.connectors()?.into_iter();
                lines.filter(|line| line.state == "ready").map(|line| line.name).collect()
            }
        };
        ids.iter().map(|id| Ok(self.connector(id)?.manifest)).collect()
    }

    pub(crate) fn invocation(&mut self, id: &str) -> Result<store::Invocation> {
        if let Some(served) = &self.there {
            return self.runtime.block_on(served.get(&format!("/v1/invocations/{}", encoded(id))));
        }
        self.here()?;
        let (Some(host), runtime) = (&self.here, &self.runtime) else { return Err(api::no_invocation(id)) };
        runtime.block_on(api::invocation(host, None, id))
    }

    pub(crate) fn invocations(&mut self, wanted: store::Wanted) -> Result<Vec<store::Invocation>> {
        if self.there.is_some() {
            let most = wanted.most.unwrap_or(20) as usize;
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(wanted.connector.iter().map(|connector| ("connector", connector)));
            query.extend_pairs(wanted.action.iter().map(|action| ("action", action)));
            query.extend_pairs(wanted.state.iter().map(|state| ("state", state.as_str())));
            return self.list(&format!("/v1/invocations?{}", query.finish()), most);
        }
        let wanted = store::Wanted { project: self.project.clone(), ..wanted };
        let pending = self.here()?.store.invocations(wanted);
        self.runtime.block_on(pending)
    }

    /// Runs an action of this effect, until it is done or somebody stops it.
    pub(crate) fn invoke(&mut self, request: Invoke, effect: Effect, watch: Watch) -> Result<Output> {
        let stoppable = Stoppable::begin()?;
        let stop = stoppable.stopped();
        tokio::pin!(stop);
        if let Some(served) = &self.there {
            let effect = if request.dry_run { Effect::Reads } else { effect };
            match self.runtime.block_on(served.invoke(&request, effect, watch.clone(), &mut stop))? {
                Some(output) => return Ok(output),
                // It takes nothing more, or is gone by now.
                None => self.there = None,
            }
        }
        self.here()?;
        let (Some(host), runtime) = (&self.here, &self.runtime) else {
            return Err(Error::new(ErrorKind::Internal, "there is no host"));
        };
        runtime.block_on(async {
            let projects =
                if self.project.is_some() { Vec::new() } else { host.store.projects().unwrap_or_default() };
            let project = match (&self.project, &projects[..]) {
                (Some(named), _) => named.clone(),
                (None, [only]) => only.id.clone(),
                // Whoever brings a token means no project.
                (None, _) => store::DEFAULT_PROJECT.to_owned(),
            };
            let caller = Caller { project, ..Caller::operator(Source::Cli) };
            if request.connection.is_some() || request.user.is_some() || request.token.is_none() {
                host.connections.must_open().await?;
            }
            api::invoke(host, request, caller, watch, stop).await
        })
    }

    /// Waits for what is still to be written. That it could not be has been said in the log.
    pub(crate) fn settle(&self) {
        if let Some(host) = &self.here {
            // A token that has come and is not kept would be lost with its whole grant.
            self.runtime.block_on(host.connections.settle(REFRESH));
            if let Err(error) = self.runtime.block_on(host.store.settle()) {
                output::warn(&format!("it is not recorded: {error}"), error.hint.as_deref());
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            self.runtime.block_on(local.settle());
        }
    }
}

/// How long a command waits for a token that is being renewed when it ends.
const REFRESH: Duration = Duration::from_secs(60);

/// How many of a list are got at a time.
const PART: usize = 200;

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))
}

/// The connectors of a home, without the rest of a host.
pub(crate) fn registry(home: &Home) -> Result<Registry> {
    Registry::scan(home)
}

pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
