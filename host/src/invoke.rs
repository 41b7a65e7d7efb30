//! Running an action: resolve, validate, call, answer.
//!
//! Whoever asks - a command, an API, a workflow - hands over who it is, what it wants and as whom; what comes back is the
//! output or one error. It knows neither a terminal nor HTTP.

mod services;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use connector_abi::message as frame;
use connector_protocol::{
    Error, ErrorKind, Problem, Result, did_you_mean,
    manifest::{Action, Auth, CAPABILITIES, Effect, PagingStyle},
    message::{Context, RunAnswer, RunCall},
    schema::escape,
    validate::Validator,
};
use serde_json::{Map, Value, value::RawValue};
use tracing::Instrument;

use self::services::{CallServices, Outside};
use crate::{
    config::Config,
    egress::{Credential, Egress, Flight, Target},
    home::Home,
    id::Id,
    plugins::{Library, Registry},
    redact::Redactor,
    worker::{Call, Failed, Family, Workers},
};

/// How many pages of a list are asked for at most, whatever the limit of items.
const MAX_PAGES: usize = 1000;

/// Everything a running Jackfield has.
pub struct Host {
    /// What the operator has decided.
    pub config: Config,
    /// The connectors that are there.
    pub registry: Registry,
    workers: Workers,
    egress: Arc<Egress>,
    validators: Mutex<HashMap<(String, String, Side), Arc<Validator>>>,
}

/// Which schema of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Input,
    Output,
}

/// Who asks for something, and on what terms.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant.
    pub project: String,
    /// The end user it is done for, by the app's own id.
    pub user: Option<String>,
    /// Who does it: the operator, an API token, a workflow.
    pub actor: String,
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
}

impl Caller {
    /// The operator at the command line.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            project: "default".to_owned(),
            user: None,
            actor: "operator".to_owned(),
            source: Source::Cli,
            idempotency_key: None,
            deadline: None,
            parent: None,
        }
    }
}

/// An action that is to be run.
#[derive(Debug)]
pub struct Invocation {
    /// The connector's id.
    pub connector: String,
    /// The action's name.
    pub action: String,
    /// Its input.
    pub input: Value,
    /// As whom.
    pub credential: Credential,
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

impl Host {
    /// A host of this home, with the connectors that are there now.
    ///
    /// # Errors
    ///
    /// If there is no home, or its configuration is wrong.
    pub fn open(home: &Home) -> Result<Self> {
        home.must_exist()?;
        let config = Config::load(home)?;
        let registry = Registry::scan(&home.plugins())?;
        config.fits(home, registry.libraries().map(|library| &*library.manifest))?;
        let egress = Arc::new(Egress::new(config.limits.clone()));
        Ok(Self { config, registry, workers: Workers::default(), egress, validators: Mutex::default() })
    }

    /// The library and the declaration of an action, by `connector` and `action`.
    ///
    /// # Errors
    ///
    /// If there is no such thing; says what may have been meant.
    pub fn resolve(&self, connector: &str, action: &str) -> Result<(&Library, &Action)> {
        let library = self.registry.find(connector)?;
        let manifest = &library.manifest;
        let Some(found) = manifest.action(action) else {
            let hint = match did_you_mean(action, manifest.actions.iter().map(|action| action.name.as_str()))
            {
                Some(meant) => format!("did you mean `{connector}.{meant}`?"),
                None => format!("see what it can do: jackfield action list {connector}"),
            };
            let text = format!("the connector `{connector}` has no action `{}`", action.escape_debug());
            return Err(Error::new(ErrorKind::Unknown, text).hint(hint));
        };
        Ok((library, found))
    }

    /// Checks an input against the action's schema: all problems at once, before anything is sent.
    ///
    /// # Errors
    ///
    /// With each problem at its field.
    pub fn check_input(&self, library: &Library, action: &Action, input: &Value) -> Result<()> {
        let problems = self.validator(library, action, Side::Input)?.check(input);
        if problems.is_empty() {
            return Ok(());
        }
        let text = format!("the input of {}.{} does not fit", library.id(), action.name);
        let hint = format!("see what it takes: jackfield action form {}.{}", library.id(), action.name);
        Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint(hint))
    }

    fn validator(&self, library: &Library, action: &Action, side: Side) -> Result<Arc<Validator>> {
        let key = (library.id().to_owned(), action.name.clone(), side);
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = validators.get(&key) {
            return Ok(validator.clone());
        }
        let schema = if side == Side::Input { &action.input } else { &action.output };
        let schema = library.manifest.standalone(schema);
        let validator = Validator::new(schema).map_err(|error| {
            Error::new(
                ErrorKind::PluginRefused,
                format!("{}: a schema of `{}` is unusable: {error}", library.id(), action.name),
            )
        })?;
        let validator = Arc::new(validator);
        validators.insert(key, validator.clone());
        Ok(validator)
    }

    /// The auth variant of this name, or the connector's first one.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn auth<'a>(&self, library: &'a Library, name: Option<&str>) -> Result<&'a Auth> {
        let manifest = &library.manifest;
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
            Error::new(ErrorKind::Unknown, text).hint(format!("there are {}", known.join(", ")))
        })
    }

    /// Checks what is given of a connection's parameters. What is missing may not be needed, as long as there is a token.
    ///
    /// # Errors
    ///
    /// With each problem at its parameter.
    pub fn check_parameters(&self, library: &Library, auth: &Auth, given: &Map<String, Value>) -> Result<()> {
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
            let validator = Validator::new(library.manifest.standalone(&schema)).map_err(unusable)?;
            validator.check(&Value::Object(given.clone()))
        };
        if problems.is_empty() {
            return Ok(());
        }
        let text = format!("the parameters of a connection by `{}` do not fit", auth.name);
        let hint = format!("see what it takes: jackfield connector show {} -o json", library.id());
        Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint(hint))
    }

    /// Runs an action, until it is done or `stop` is.
    ///
    /// # Errors
    ///
    /// Whatever kept it from giving its output. From the moment it has an id, the error carries it.
    pub async fn invoke(
        &self,
        caller: &Caller,
        mut invocation: Invocation,
        stop: impl Future<Output = ()>,
    ) -> Result<Invoked> {
        let (library, action) = self.resolve(&invocation.connector, &invocation.action)?;
        whole_numbers(&mut invocation.input);
        self.check_input(library, action, &invocation.input)?;
        let id = Id::invocation();
        let span = tracing::info_span!(
            "invocation",
            %id,
            action = format!("{}.{}", library.id(), action.name),
            version = library.manifest.version,
            project = caller.project,
            actor = caller.actor,
        );
        async {
            let begun = Instant::now();
            let flight = Arc::new(Flight::default());
            tracing::info!("begun");
            let result = tokio::select! {
                result = self.run_pages(caller, library, action, invocation, &id, &flight) => result,
                () = stop => Err(Error::new(ErrorKind::Cancelled, if flight.attempts() == 0 {
                    "cancelled before anything was sent"
                } else {
                    "cancelled; what was on its way to the provider by then may have been done"
                })),
            };
            let (ms, requests) = (begun.elapsed().as_millis(), flight.attempts());
            match result {
                Ok((output, more)) => {
                    tracing::info!(ms, requests, "done");
                    Ok(Invoked { id: id.clone(), output, more, requests })
                }
                Err(mut error) => {
                    tracing::info!(ms, requests, kind = %error.kind, "failed");
                    error.id = Some(id.to_string());
                    Err(error)
                }
            }
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
    pub async fn rehearse(&self, caller: &Caller, mut invocation: Invocation) -> Result<Option<Value>> {
        let (library, action) = self.resolve(&invocation.connector, &invocation.action)?;
        whole_numbers(&mut invocation.input);
        self.check_input(library, action, &invocation.input)?;
        let outside = Outside::Shown(Arc::default());
        let id = Id::invocation();
        let shown = match &outside {
            Outside::Shown(shown) => shown.clone(),
            Outside::Egress(_) => Arc::default(),
        };
        let flight = Arc::new(Flight::default());
        let time = self.time(caller);
        let run = self
            .run(library, action, &invocation, &id, None, outside, &flight, time, Instant::now() + time)
            .await;
        let request = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (run, request) {
            (_, Some(request)) => Ok(Some(request)),
            (Ok(_), None) => Ok(None),
            (Err(error), None) => Err(error),
        }
    }

    async fn run_pages(
        &self,
        caller: &Caller,
        library: &Library,
        action: &Action,
        invocation: Invocation,
        id: &Id,
        flight: &Arc<Flight>,
    ) -> Result<(Box<RawValue>, bool)> {
        // For all pages together.
        let time = self.time(caller);
        let deadline = Instant::now() + time;
        let page = async |cursor| {
            let outside = Outside::Egress(self.egress.clone());
            self.run(library, action, &invocation, id, cursor, outside, flight, time, deadline).await
        };
        let first = page(None).await?;
        let (Pages::All { most }, Some(paging)) = (invocation.pages, &action.paging) else {
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

    fn time(&self, caller: &Caller) -> Duration {
        caller.deadline.unwrap_or_else(|| self.config.limits.deadline())
    }

    /// Calls the connector once.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it belongs to one call, and to nothing that outlives it"
    )]
    async fn run(
        &self,
        library: &Library,
        action: &Action,
        invocation: &Invocation,
        id: &Id,
        cursor: Option<String>,
        outside: Outside,
        flight: &Arc<Flight>,
        time: Duration,
        deadline: Instant,
    ) -> Result<RunAnswer> {
        let credential = &invocation.credential;
        let mut redactor = Redactor::default();
        credential.redact(&mut redactor);
        redactor.add_marked(&library.manifest.standalone(&action.input), &invocation.input);
        let head = RunCall {
            name: action.name.clone(),
            input: serde_json::value::to_raw_value(&invocation.input).map_err(internal)?,
            context: Context {
                id: id.to_string(),
                deadline_ms: u64::try_from(deadline.saturating_duration_since(Instant::now()).as_millis())
                    .unwrap_or(u64::MAX),
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
        let target = Target {
            manifest: library.manifest.clone(),
            integration: self.config.integration(library.id()),
            credential: credential.clone(),
        };
        let services = CallServices::new(outside, target, deadline, flight.clone(), redactor.clone());
        let services = Arc::new(services);
        let call = Call { family: Family::Action, op: "run", message, services, deadline };
        let answer = self.workers.call(library, call).await;
        answer
            .map_err(|failed| failure(failed, library, action, time, flight))
            .and_then(|answer| self.read_answer(library, action, &answer))
            .map_err(|error| redactor.error(error))
    }

    /// Reads a connector's answer, which may be anything.
    fn read_answer(&self, library: &Library, action: &Action, message: &[u8]) -> Result<RunAnswer> {
        let fault = |what: String| {
            let text = format!("the connector `{}` answered {what}", library.id());
            if action.effect == Effect::Reads {
                Error::new(ErrorKind::ConnectorFault, text)
            } else {
                let text = format!("{text}; what it was to do has probably been done");
                Error::new(ErrorKind::Ambiguous, text).hint("look at the provider before you run it again")
            }
        };
        let (head, _) = frame::decode(message)
            .map_err(|error| fault(format!("something that is no message: {error}")))?;
        let answer: RunAnswer = serde_json::from_slice(head)
            .map_err(|_| fault("something that is no answer to an action".to_owned()))?;
        let output: Value = serde_json::from_str(answer.output.get())
            .map_err(|_| fault("an output that cannot be read".to_owned()))?;
        let problems = self.validator(library, action, Side::Output)?.check(&output);
        if problems.is_empty() {
            return Ok(answer);
        }
        let list: Vec<String> = problems
            .iter()
            .take(3)
            .map(|Problem { path, message, .. }| format!("{path} {message}"))
            .collect();
        Err(fault(format!("an output that it does not declare ({})", list.join("; "))))
    }
}

/// What it means that a call failed. If it broke off when something may have been done at the provider, nobody knows.
fn failure(failed: Failed, library: &Library, action: &Action, time: Duration, flight: &Flight) -> Error {
    let (error, broke_off) = match failed {
        Failed::Said(error) => {
            let by_accident = matches!(error.kind, ErrorKind::ConnectorPanicked | ErrorKind::ConnectorFault);
            (error, by_accident)
        }
        Failed::Broke(error) => (error, true),
        Failed::Stopped => {
            let text = format!("{}.{} took longer than {} s", library.id(), action.name, time.as_secs());
            let hint = "give it more time: --timeout SECONDS, or `limits.deadline_seconds`";
            (Error::new(ErrorKind::Timeout, text).hint(hint), true)
        }
    };
    if broke_off && flight.is_ambiguous() {
        let text = format!("nobody knows whether {} did it: {}", library.manifest.title, error.message);
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

/// A list that is put together from pages: everything of the first page, and the items of all.
struct List {
    whole: Value,
    items: String,
    /// Where it says how it goes on, as a JSON pointer.
    cursor: Option<String>,
}

impl List {
    fn begin(first: &RunAnswer, items: &str) -> Result<Self> {
        let whole: Value = serde_json::from_str(first.output.get()).map_err(internal)?;
        let mut list = Self { whole, items: items.to_owned(), cursor: None };
        list.items_mut()?;
        Ok(list)
    }

    fn items_mut(&mut self) -> Result<&mut Vec<Value>> {
        let pointer = &self.items;
        let list = self.whole.pointer_mut(pointer).and_then(Value::as_array_mut);
        list.ok_or_else(|| {
            Error::new(
                ErrorKind::ConnectorFault,
                format!("the connector's output has no list at `{pointer}`"),
            )
        })
    }

    fn len(&self) -> usize {
        self.whole.pointer(&self.items).and_then(Value::as_array).map_or(0, Vec::len)
    }

    fn add(&mut self, page: &RunAnswer) -> Result<()> {
        let mut page = Self::begin(page, &self.items)?;
        let more = std::mem::take(page.items_mut()?);
        self.items_mut()?.extend(more);
        // Where the list goes on, and what else a page says of itself, is what the last one says.
        if let (Value::Object(whole), Value::Object(last)) = (&mut self.whole, page.whole) {
            let list = self.items.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
            let kept: Map<String, Value> = whole
                .iter()
                .filter(|(name, _)| **name == list)
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            *whole = last.into_iter().filter(|(name, _)| *name != list).collect();
            whole.extend(kept);
        }
        Ok(())
    }

    fn finish(mut self, most: usize) -> Result<Box<RawValue>> {
        let cut = self.len() > most;
        self.items_mut()?.truncate(most);
        // What leads to the next page would lead past those that were cut off.
        if let (true, Some(at)) = (cut, &self.cursor)
            && let Some((parent, name)) = at.rsplit_once('/')
            && let Some(Value::Object(members)) = self.whole.pointer_mut(parent)
        {
            members.remove(name);
        }
        serde_json::value::to_raw_value(&self.whole).map_err(internal)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(output: &Value, next: Option<&str>) -> RunAnswer {
        RunAnswer { output: serde_json::value::to_raw_value(output).unwrap(), next: next.map(str::to_owned) }
    }

    #[test]
    fn pages_become_one_list_that_says_of_itself_what_the_last_page_said() {
        let mut list =
            List::begin(&page(&json!({"size": 2, "list": [1, 2], "token": "a"}), Some("a")), "/list")
                .unwrap();
        list.add(&page(&json!({"size": 2, "list": [3]}), None)).unwrap();
        assert_eq!(list.finish(10).unwrap().get(), r#"{"size":2,"list":[1,2,3]}"#);
    }

    #[test]
    fn a_list_may_be_the_whole_output_and_is_cut_at_the_limit() {
        let mut list = List::begin(&page(&json!([1, 2]), Some("a")), "").unwrap();
        list.add(&page(&json!([3, 4]), None)).unwrap();
        assert_eq!(list.finish(3).unwrap().get(), "[1,2,3]");
        assert!(List::begin(&page(&json!({"list": {}}), None), "/list").is_err());
    }
}
