//! Where a command is carried out: by the Jackfield that serves the home, if there is one, or in this process. What is asked
//! and answered has the same shape either way.

use std::sync::Arc;

use connector_protocol::manifest::Effect;
use jackfield::{
    Error, ErrorKind, Result,
    api::{self, ConnectorLine, ConnectorShown, Invoke, Output},
    home::Home,
    host::Host,
    invoke::{Source, Watch},
    plugins::Registry,
    server, store,
    worker::Supervisor,
};
use tokio::runtime::Runtime;

use super::{action::Declared, output, served::Served, signals::Stoppable};

/// What carries commands out.
pub(crate) struct Engine {
    home: Home,
    runtime: Runtime,
    there: Option<Served>,
    here: Option<Box<Host>>,
}

impl Engine {
    /// Finds out who carries out commands for this home.
    pub(crate) fn find(home: &Home) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))?;
        let stream = runtime.block_on(server::connect(home))?;
        let there = stream.map(|_| Served::of(home.clone()));
        Ok(Self { home: home.clone(), runtime, there, here: None })
    }

    /// The host in this process, made when it is first needed.
    pub(crate) fn here(&mut self) -> Result<&Host> {
        self.here_for(None)
    }

    fn here_for(&mut self, connector: Option<&str>) -> Result<&Host> {
        if self.here.is_none() {
            self.here = Some(Box::new(Host::open_for(&self.home, connector)?));
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
        Declared::find(&registry(&self.home)?, name)
    }

    pub(crate) fn connectors(&mut self) -> Result<Vec<ConnectorLine>> {
        if let Some(served) = &self.there {
            return self.runtime.block_on(served.get("/v1/connectors"));
        }
        api::connectors(&registry(&self.home)?, &Supervisor::new(self.home.deaths()))
    }

    pub(crate) fn connector(&mut self, id: &str) -> Result<ConnectorShown> {
        if let Some(served) = &self.there {
            return self.runtime.block_on(served.get(&format!("/v1/connectors/{}", encoded(id))));
        }
        api::connector(registry(&self.home)?.find(id)?)
    }

    pub(crate) fn invocation(&mut self, id: &str) -> Result<store::Invocation> {
        if let Some(served) = &self.there {
            return self.runtime.block_on(served.get(&format!("/v1/invocations/{}", encoded(id))));
        }
        self.here()?;
        let (Some(host), runtime) = (&self.here, &self.runtime) else { return Err(api::no_invocation(id)) };
        runtime.block_on(api::invocation(host, id))
    }

    pub(crate) fn invocations(&mut self, wanted: store::Wanted) -> Result<Vec<store::Invocation>> {
        if let Some(served) = &self.there {
            let query =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(wanted.pairs()).finish();
            return self.runtime.block_on(served.get(&format!("/v1/invocations?{query}")));
        }
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
        runtime.block_on(api::invoke(host, request, Source::Cli, watch, stop))
    }

    /// Waits for what is still to be written. That it could not be has been said in the log.
    pub(crate) fn settle(&self) {
        if let Some(host) = &self.here
            && let Err(error) = self.runtime.block_on(host.store.settle())
        {
            output::warn(&format!("it is not recorded: {error}"), error.hint.as_deref());
        }
    }
}

/// The connectors of a home, without the rest of a host.
pub(crate) fn registry(home: &Home) -> Result<Registry> {
    Registry::scan(home)
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
