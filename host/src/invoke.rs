//! Running an action: resolve, validate, record, call, answer.
//!
//! Whoever asks - a command, an API, a workflow - hands over who it is, what it wants and as whom; what comes back is the
//! output or one error. It knows neither a terminal nor HTTP.

mod pages;
mod record;
mod services;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use connector_abi::message as frame;
use connector_protocol::{
    Error, ErrorKind, Problem, Result,
    manifest::{CAPABILITIES, Effect, PagingStyle},
    message::{Context, RunAnswer, RunCall},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use tracing::Instrument;

pub use self::services::Held;
use self::{
    pages::List,
    record::Record,
    services::{CallServices, Outside},
};
use crate::{
    egress::{Credential, Egress, Flight, Target},
    host::{Host, Known, Settings},
    id::Id,
    plugins::Library,
    redact::Redactor,
    store::Scope,
    timings,
    worker::{Call, Failed, Family, Reserved},
};

/// What is said of something that was stopped in time.
pub const NOTHING_SENT: &str = "cancelled before anything was sent";

/// How many pages of a list are asked for at most, whatever the limit of items.
const MAX_PAGES: usize = 1000;

/// Who asks for something, and on what terms.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant.
    pub project: String,
    /// The end user it is done for, by the app's own id.
    pub user: Option<String>,
    /// Who does it: the operator, an API token, a workflow.
    pub actor: String,
    /// Whether that is an end user, who acts as their own connections and as nothing else.
    pub end_user: bool,
    /// By which way it came in.
    pub source: Source,
    /// What makes a repetition of this very wish recognisable.
    pub idempotency_key: Option<String>,
    /// How long it may take; the configuration's limit if nobody says.
    pub deadline: Option<Duration>,
    /// What it is a part of.
    pub parent: Option<Id>,
}

/// By which way a call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Cli,
    /// The API.
    Api,
}

impl Source {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
        }
    }
}

impl Caller {
    /// Whose things it may use.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { project: self.project.clone(), user: self.user.clone() }
    }

    /// The operator, who came this way.
    #[must_use]
    pub fn operator(source: Source) -> Self {
        Self {
            project: "default".to_owned(),
            user: None,
            actor: "operator".to_owned(),
            end_user: false,
            source,
            idempotency_key: None,
            deadline: None,
            parent: None,
        }
    }
}

/// An action that is to be run.
pub struct Invocation {
    /// The connector's id.
    pub connector: String,
    /// The action's name.
    pub action: String,
    /// Its input.
    pub input: Value,
    /// As whom.
    pub credential: Credential,
    /// The connection that the credential is of, if it is one's.
    pub held: Option<Held>,
    /// How much of a list.
    pub pages: Pages,
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// One page, as the input asks for it.
    One,
    /// Page after page, until the list ends or holds this many items.
    All {
        /// How many items are wanted at most.
        most: usize,
    },
}

/// What became of an invocation.
#[derive(Debug)]
pub struct Invoked {
    /// Its id.
    pub id: Id,
    /// What the action gave.
    pub output: Box<RawValue>,
    /// Whether the list goes on.
    pub more: bool,
    /// How many requests were sent.
    pub requests: usize,
}

/// What happens while an action runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// It has begun, and can be looked up from now on.
    Begun {
        /// Its id.
        id: String,
    },
    /// A page of a list has come.
    Page {
        /// How many pages there are so far.
        pages: usize,
        /// How many items there are so far.
        items: usize,
    },
    /// A request waits before it is sent again.
    Waits {
        /// For how long, in milliseconds.
        ms: u64,
        /// What the provider did, to stand behind its name.
        because: String,
    },
    /// The connector says how far it is.
    Says {
        /// What it says.
        message: String,
        /// How much is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done: Option<u64>,
        /// How much there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
}

/// Hears what happens while an action runs.
pub type Watch = Arc<dyn Fn(Happening) + Send + Sync>;

/// Nobody.
#[must_use]
pub fn nobody() -> Watch {
    Arc::new(|_| {})
}

/// One run of an action: what belongs to it and to nothing that outlives it.
struct Run<'a> {
    known: Arc<Known>,
    /// Where its worker is.
    place: Reserved,
    invocation: &'a Invocation,
    id: Id,
    flight: Arc<Flight>,
    redactor: Redactor,
    watch: Watch,
    time: Duration,
    deadline: Instant,
    settings: Settings,
}

impl Host {
    /// Runs an action, until it is done or `stop` is.
    ///
    /// # Errors
    ///
    /// Whatever kept it from giving its output. From the moment it has an id, the error carries it.
    pub async fn invoke(
        &self,
        caller: &Caller,
        mut invocation: Invocation,
        watch: Watch,
        stop: impl Future<Output = ()>,
    ) -> Result<Invoked> {
        let (known, place) = self.reserved_action(&invocation.connector, &invocation.action).await?;
        whole_numbers(&mut invocation.input);
        known.check_input(&invocation.input)?;
        timings::stage("validation");
        self.workers.expect(&known.library);
        let run = self.prepare(caller, &known, place, &invocation, watch.clone())?;
        let span = tracing::info_span!(
            "invocation",
            id = %run.id,
            action = known.name(),
            version = known.library.head.version,
            project = caller.project,
            actor = caller.actor,
        );
        async {
            let begun = Instant::now();
            let record = Record::new(caller, &run);
            tracing::info!("begun");
            watch(Happening::Begun { id: run.id.to_string() });
            let work = async {
                // What changes something is known before its first byte is sent, whatever becomes of this process.
                if known.action().effect != Effect::Reads {
                    self.store.begin(record.begun()).await.map_err(|mut error| {
                        error.message =
                            format!("nothing was sent, because it could not be recorded: {}", error.message);
                        error
                    })?;
                }
                timings::stage("store");
                self.run_pages(&run).await
            };
            let result = tokio::select! {
                result = work => result,
                () = stop => Err(Error::new(ErrorKind::Cancelled, if run.flight.attempts() == 0 {
                    NOTHING_SENT
                } else {
                    "cancelled; what was on its way to the provider by then may have been done"
                })),
            };
            let (ms, requests) = (begun.elapsed().as_millis(), run.flight.attempts());
            let result = result.map_err(|mut error| {
                error.id = Some(run.id.to_string());
                error
            });
            match &result {
                Ok(_) => tracing::info!(ms, requests, "done"),
                Err(error) => tracing::info!(ms, requests, kind = %error.kind, "failed"),
            }
            self.store.end(record.ended(&run, begun.elapsed(), &result));
            let (output, more) = result?;
            Ok(Invoked { id: run.id.clone(), output, more, requests })
        }
        .instrument(span)
        .await
    }

    /// Shows the first request that an action would send, without sending anything: `method`, `url`, `headers`, `body`,
    /// secrets masked. `None` if it would send none.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Self::invoke), up to the first request.
    pub async fn rehearse(
        &self,
        caller: &Caller,
        mut invocation: Invocation,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Value>> {
        let (known, place) = self.reserved_action(&invocation.connector, &invocation.action).await?;
        whole_numbers(&mut invocation.input);
        known.check_input(&invocation.input)?;
        let run = self.prepare(caller, &known, place, &invocation, nobody())?;
        let shown = Arc::new(Mutex::new(None));
        let done = tokio::select! {
            done = self.run(&run, None, Outside::Shown(shown.clone())) => done,
            () = stop => return Err(Error::new(ErrorKind::Cancelled, NOTHING_SENT)),
        };
        let request = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (done, request) {
            (_, Some(request)) => Ok(Some(request)),
            (Ok(_), None) => Ok(None),
            (Err(error), None) => Err(error),
        }
    }

    fn prepare<'a>(
        &self,
        caller: &Caller,
        known: &Arc<Known>,
        place: Reserved,
        invocation: &'a Invocation,
        watch: Watch,
    ) -> Result<Run<'a>> {
        let settings = self.settings()?;
        let mut redactor = Redactor::default();
        invocation.credential.redact(&mut redactor);
        redactor.add_marked(&known.input()?.schema, &invocation.input);
        let time = caller.deadline.unwrap_or_else(|| settings.config.limits.deadline());
        let waits = watch.clone();
        let flight = Flight::watched(Arc::new(move |wait: Duration, because: &str| {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            waits(Happening::Waits { ms, because: because.to_owned() });
        }));
        Ok(Run {
            known: known.clone(),
            place,
            invocation,
            id: Id::invocation(),
            flight: Arc::new(flight),
            redactor,
            watch,
            time,
            // For all pages together.
            deadline: Instant::now() + time,
            settings,
        })
    }

    async fn run_pages(&self, run: &Run<'_>) -> Result<(Box<RawValue>, bool)> {
        let page = async |cursor| self.run(run, cursor, Outside::Egress(run.settings.egress.clone())).await;
        let first = page(None).await?;
        let (Pages::All { most }, Some(paging)) = (run.invocation.pages, &run.known.action().paging) else {
            return Ok((first.output, first.next.is_some()));
        };
        let mut list = List::begin(&first, &paging.items)?;
        if let PagingStyle::Token { at, .. } = &paging.style {
            list.cursor = Some(at.clone());
        }
        let mut next = first.next;
        let mut seen = HashSet::new();
        while let Some(cursor) = next {
            if list.len() >= most || seen.len() >= MAX_PAGES {
                return Ok((list.finish(most)?, true));
            }
            (run.watch)(Happening::Page { pages: seen.len() + 1, items: list.len() });
            if !seen.insert(cursor.clone()) {
                return Err(Error::new(
                    ErrorKind::UnexpectedAnswer,
                    "the list goes round in circles: a page names one as the next that has been there",
                ));
            }
            let answer = page(Some(cursor)).await?;
            list.add(&answer)?;
            next = answer.next;
        }
        let more = list.len() > most;
        Ok((list.finish(most)?, more))
    }

    /// Calls the connector once.
    async fn run(&self, run: &Run<'_>, cursor: Option<String>, outside: Outside) -> Result<RunAnswer> {
        let (known, credential) = (&run.known, &run.invocation.credential);
        let left = run.deadline.saturating_duration_since(Instant::now());
        let input = serde_json::value::to_raw_value(&run.invocation.input).map_err(internal)?;
        let services = Arc::new(CallServices::new(outside, target(run), run, input.clone()));
        self.workers.supervisor().may_run(&known.library, || services.what())?;
        let head = RunCall {
            name: known.action().name.clone(),
            input,
            context: Context {
                id: run.id.to_string(),
                deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                locale: None,
                auth: credential.auth.clone(),
                parameters: credential.parameters.clone(),
                capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
                cursor,
            },
        };
        let message = frame::encode(&serde_json::to_vec(&head).map_err(internal)?, &[]);
        if message.len() > frame::MAX_LEN {
            let text = format!("the input is larger than {} bytes", frame::MAX_LEN);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let call = Call { family: Family::Action, op: "run", message, services, deadline: run.deadline };
        let answer = self.workers.call_at(&run.place, &known.library, call).await;
        if known.library.is_newly_verified() {
            self.registry().verified(&known.library);
        }
        answer
            .map_err(|failed| failure(failed, run))
            .and_then(|answer| read_answer(known, &answer))
            .map_err(|error| run.redactor.error(error))
    }
}

/// Where the requests of a run go, and as whom.
fn target(run: &Run<'_>) -> Target {
    Target {
        manifest: run.known.manifest.clone(),
        integration: run.settings.config.integration(run.known.library.id()),
        credential: run.invocation.credential.clone(),
        key: run.invocation.held.as_ref().map(|held| held.id.clone()).unwrap_or_default(),
    }
}

/// What a call of a connector that is no run of an action may reach.
pub(crate) struct Asking {
    /// What it is a call to.
    pub(crate) family: Family,
    /// The connection that the credential is of, if it is one that is kept.
    pub(crate) held: Option<Held>,
    pub(crate) target: Target,
    pub(crate) egress: Arc<Egress>,
    pub(crate) deadline: Instant,
    pub(crate) flight: Arc<Flight>,
}

/// Something that a connector reads for us, and may ask nobody about.
pub(crate) struct Reading<'a> {
    /// What it is about.
    pub(crate) what: &'a str,
    /// The verb.
    pub(crate) op: &'static str,
    /// What the call is made with, as far as it can be to blame: the same once more is the same input.
    pub(crate) input: &'a [u8],
    /// What is not to be written down.
    pub(crate) secrets: &'a [SecretString],
    /// What a request is answered with.
    pub(crate) refusal: Error,
    pub(crate) deadline: Instant,
}

impl Host {
    /// Asks a connector something about a connection, or has it do something as one: the head of its answer.
    pub(crate) async fn ask_about(
        &self,
        connector: &str,
        op: &'static str,
        call: &impl Serialize,
        asking: Asking,
    ) -> Result<Vec<u8>> {
        let Asking { family, held, target, egress, deadline, flight } = asking;
        let library = self.registry().find(connector)?.clone();
        let input = serde_json::value::to_raw_value(call).map_err(internal)?;
        let message = frame::encode(input.get().as_bytes(), &[]);
        if message.len() > frame::MAX_LEN {
            let text = format!("what `{op}` is called with is larger than {} bytes", frame::MAX_LEN);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let services = CallServices::about(Outside::Egress(egress), target, deadline, flight, op, input);
        self.call_connector(&library, family, op, message, services.held(held), deadline).await
    }

    /// Has a trigger of a connector read something, a delivery for example: the head of its answer. It reaches nobody meanwhile.
    pub(crate) async fn read_by_connector(
        &self,
        library: &Arc<Library>,
        reading: &Reading<'_>,
        call: &impl Serialize,
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let head = serde_json::to_vec(call).map_err(internal)?;
        let message = frame::encode(&head, body);
        if message.len() > frame::MAX_LEN {
            let text = format!("it is larger than {} bytes", frame::MAX_LEN);
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let target = Target {
            manifest: library.manifest()?.clone(),
            integration: self.settings()?.config.integration(library.id()),
            credential: Credential::default(),
            key: String::new(),
        };
        // One that makes a connector fall is not handed to it for ever.
        let input = serde_json::value::to_raw_value(&base64_of(reading.input)).map_err(internal)?;
        let flight = Arc::new(Flight::default());
        let outside = Outside::Nowhere(Box::new(reading.refusal.clone()));
        let services = CallServices::about(outside, target, reading.deadline, flight, reading.what, input)
            .redacting(reading.secrets);
        self.call_connector(library, Family::Trigger, reading.op, message, services, reading.deadline).await
    }

    async fn call_connector(
        &self,
        library: &Arc<Library>,
        family: Family,
        op: &'static str,
        message: Vec<u8>,
        services: CallServices,
        deadline: Instant,
    ) -> Result<Vec<u8>> {
        let connector = library.id();
        let redactor = services.redactor();
        let services = Arc::new(services);
        self.workers.supervisor().may_run(library, || services.what())?;
        let call = Call { family, op, message, services, deadline };
        let answered = self.workers.call(library, call).await;
        let answer = answered.map_err(|failed| {
            redactor.error(match failed {
                Failed::Said(error) | Failed::Broke(error) => error,
                Failed::Stopped => {
                    Error::new(ErrorKind::Timeout, format!("`{connector}` took too long over `{op}`"))
                }
            })
        })?;
        let fault = || {
            Error::new(
                ErrorKind::ConnectorFault,
                format!("`{connector}` answered `{op}` with nothing that can be read"),
            )
        };
        frame::decode(&answer).map(|(head, _)| head.to_vec()).map_err(|_| fault())
    }
}

fn base64_of(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

/// Reads a connector's answer, which may be anything.
fn read_answer(known: &Known, message: &[u8]) -> Result<RunAnswer> {
    let fault = |what: String| {
        let text = format!("the connector `{}` answered {what}", known.library.id());
        if known.action().effect == Effect::Reads {
            Error::new(ErrorKind::ConnectorFault, text)
        } else {
            let text = format!("{text}; what it was to do has probably been done");
            Error::new(ErrorKind::Ambiguous, text).hint("look at the provider before you run it again")
        }
    };
    let (head, _) =
        frame::decode(message).map_err(|error| fault(format!("something that is no message: {error}")))?;
    let answer: RunAnswer = serde_json::from_slice(head)
        .map_err(|_| fault("something that is no answer to an action".to_owned()))?;
    let output: Value = serde_json::from_str(answer.output.get())
        .map_err(|_| fault("an output that cannot be read".to_owned()))?;
    let problems = known.output()?.validator.check(&output);
    if problems.is_empty() {
        return Ok(answer);
    }
    let list: Vec<String> =
        problems.iter().take(3).map(|Problem { path, message, .. }| format!("{path} {message}")).collect();
    Err(fault(format!("an output that it does not declare ({})", list.join("; "))))
}

/// What it means that a call failed. If it broke off when something may have been done at the provider, nobody knows.
fn failure(failed: Failed, run: &Run<'_>) -> Error {
    let (error, broke_off) = match failed {
        Failed::Said(error) => {
            let by_accident = matches!(error.kind, ErrorKind::ConnectorPanicked | ErrorKind::ConnectorFault);
            (error, by_accident)
        }
        Failed::Broke(error) => (error, true),
        Failed::Stopped => {
            let text = format!("{} took longer than {} s", run.known.name(), run.time.as_secs());
            let hint = "give it more time: --timeout SECONDS, or `limits.deadline_seconds`";
            (Error::new(ErrorKind::Timeout, text).hint(hint), true)
        }
    };
    if broke_off && run.flight.is_ambiguous() {
        let text = format!("nobody knows whether {} did it: {}", run.known.manifest.title, error.message);
        return Error::new(ErrorKind::Ambiguous, text).hint("look at the provider before you run it again");
    }
    error
}

/// Writes whole numbers as such: `2.0` is one to JSON Schema, and none to the types that connectors read.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            // Beyond this, not every whole number can be told from its neighbour.
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
            if let Some(whole) = whole {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
                let whole = whole as i64;
                *value = Value::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn internal(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the call cannot be written: {error}"))
}
