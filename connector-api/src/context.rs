//! What a connector's code has while one call of it runs: a way to ask the host for requests, to log, to wait.
//!
//! It knows no socket, no token and no base address: it describes a request, and the host sends it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use connector_abi::message as frame;
use connector_protocol::{
    Error, ErrorKind, Result,
    answers::{AnswerClass, Answers},
    manifest::{Effect, PagingStyle},
    message::{Context, HttpAnswer, HttpRequest, Progress, Sleep},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Refusal, ScopeSet, decode, paging};

/// The future of one request to the host: the bytes of a message, or of an error message.
pub(crate) type HostFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Vec<u8>>> + Send + 'a>>;

/// The host, as one call sees it: the ABI's trait object, or the one that a fixture plays.
pub(crate) trait Host: Send + Sync {
    fn call(&self, op: &str, message: Vec<u8>) -> HostFuture<'_>;
    fn log(&self, level: Level, line: String);
}

/// What a call is about, as far as requests and errors need it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    pub(crate) scopes: &'static [ScopeSet],
    pub(crate) rate: Option<&'static str>,
    pub(crate) paging: Option<PagingStyle>,
}

/// What a connector declares once for all of its calls.
pub(crate) struct Shared {
    pub(crate) title: String,
    pub(crate) answers: Answers,
    pub(crate) explain: fn(&Refusal) -> Error,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is not as it should be.
    Warn = 2,
    /// Something worth knowing happened.
    Info = 3,
    /// For whoever looks for a fault.
    Debug = 4,
    /// For whoever looks very closely.
    Trace = 5,
}

/// One call of a connector: where its requests go out and its log lines come in.
///
/// It is cheap to clone and ends with the call: after that, everything it is asked fails with `call_ended`.
#[derive(Clone)]
pub struct Ctx(Arc<Call>);

struct Call {
    host: Box<dyn Host>,
    context: Context,
    operation: Operation,
    shared: Arc<Shared>,
    next: std::sync::Mutex<Option<String>>,
}

impl Ctx {
    pub(crate) fn new(
        host: Box<dyn Host>,
        context: Context,
        operation: Operation,
        shared: Arc<Shared>,
    ) -> Self {
        Self(Arc::new(Call { host, context, operation, shared, next: std::sync::Mutex::new(None) }))
    }

    /// Where the list goes on, as the paged request of this call found it.
    pub(crate) fn take_next(&self) -> Option<String> {
        self.0.next.lock().ok().and_then(|mut next| next.take())
    }

    /// A `GET`. The path is a template: `/meetings/{meeting_id}`.
    ///
    /// ```
    /// # use connector_api::prelude::*;
    /// # #[derive(Deserialize)] struct Meeting;
    /// async fn meeting(ctx: &Ctx, id: &Id) -> Result<Meeting> {
    ///     ctx.get("/meetings/{meeting_id}").path("meeting_id", id).query("details", true).send().await
    /// }
    /// # let _ = meeting;
    /// ```
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// A `POST`. The path is a template.
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    /// A `PUT`. The path is a template.
    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", path)
    }

    /// A `PATCH`. The path is a template.
    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", path)
    }

    /// A `DELETE`. The path is a template.
    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", path)
    }

    /// A request by any method. The path is a template; one that begins with `https://` is a whole address, which must lie
    /// on a host that the connector declares.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let head = HttpRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            rate: self.0.operation.rate.map(str::to_owned),
            ..HttpRequest::default()
        };
        Request { ctx: self.clone(), head, body: Vec::new(), paged: false, fault: None }
    }

    /// The name of the connection's auth variant.
    #[must_use]
    pub fn auth(&self) -> &str {
        &self.0.context.auth
    }

    /// The connection's parameters, without its secrets.
    #[must_use]
    pub fn parameters(&self) -> &Map<String, Value> {
        &self.0.context.parameters
    }

    /// The id of the invocation, or of whatever else the call is made for.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.context.id
    }

    /// How long the call could still take when it began.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.0.context.deadline_ms)
    }

    /// The language of the person the call is made for, as a BCP 47 tag.
    #[must_use]
    pub fn locale(&self) -> Option<&str> {
        self.0.context.locale.as_deref()
    }

    /// Writes a line to the log of this call. The host redacts and bounds it; still, no secret belongs here.
    pub fn log(&self, level: Level, line: impl Into<String>) {
        self.0.host.log(level, line.into());
    }

    /// Says how far the call has come: `done` of `total`, where that can be counted.
    ///
    /// # Errors
    ///
    /// If the call has ended.
    pub async fn progress(
        &self,
        message: impl Into<String>,
        done: Option<u64>,
        total: Option<u64>,
    ) -> Result<()> {
        let head = Progress { message: message.into(), done, total };
        self.ask("progress", &head, &[]).await.map(drop)
    }

    /// Waits. The call's deadline goes on meanwhile.
    ///
    /// # Errors
    ///
    /// If the call has ended.
    pub async fn sleep(&self, time: Duration) -> Result<()> {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.ask("sleep", &Sleep { ms }, &[]).await.map(drop)
    }

    async fn ask(&self, op: &str, head: &impl Serialize, body: &[u8]) -> Result<Vec<u8>> {
        let head = serde_json::to_vec(head).map_err(|error| {
            Error::new(
                ErrorKind::ConnectorFault,
                format!("the request to the host cannot be written: {error}"),
            )
        })?;
        let message = frame::encode(&head, body);
        if message.len() > frame::MAX_LEN {
            let text = format!("the request has {} bytes; the limit is {}", message.len(), frame::MAX_LEN);
            return Err(Error::new(ErrorKind::Blocked, text));
        }
        self.0.host.call(op, message).await.map_err(|message| read_error(&message))
    }
}

/// An error message as an error.
pub(crate) fn read_error(message: &[u8]) -> Error {
    frame::decode(message)
        .ok()
        .and_then(|(head, _)| serde_json::from_slice(head).ok())
        .unwrap_or_else(|| Error::new(ErrorKind::Internal, "the host failed without saying how"))
}

/// A request in the making. Whatever is wrong with it comes out when it is sent.
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    ctx: Ctx,
    head: HttpRequest,
    body: Vec<u8>,
    paged: bool,
    fault: Option<Error>,
}

impl Request {
    /// Chooses a base other than the connector's first one.
    pub fn base(mut self, name: &str) -> Self {
        self.head.base = Some(name.to_owned());
        self
    }

    /// Fills a hole of the path. The value becomes one segment, whatever it holds.
    pub fn path(mut self, name: &str, value: impl ToString) -> Self {
        self.head.params.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a parameter to the query string.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.head.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds the members of a struct to the query string, in their order: those that are absent or `null` are left out,
    /// lists are joined with commas.
    pub fn queries(mut self, parameters: &impl Serialize) -> Self {
        match serde_json::to_value(parameters) {
            Ok(Value::Object(members)) => {
                for (name, value) in members {
                    match query_text(&value) {
                        Ok(Some(text)) => self.head.query.push((name, text)),
                        Ok(None) => {}
                        Err(()) => self.fault(format!("the query parameter `{name}` is an object")),
                    }
                }
            }
            Ok(Value::Null) => {}
            _ => self.fault("query parameters must be a struct"),
        }
        self
    }

    /// Adds a header. Those that carry the connection's credential, and those that belong to the transport, are refused by
    /// the host.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.head.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sends this as the JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.bytes("application/json", bytes),
            Err(error) => {
                self.fault(format!("the body cannot be written as JSON: {error}"));
                self
            }
        }
    }

    /// Sends these pairs as a form (`application/x-www-form-urlencoded`).
    pub fn form<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let encode = connector_protocol::path::encode;
        let pairs: Vec<String> =
            pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.bytes("application/x-www-form-urlencoded", pairs.join("&").into_bytes())
    }

    /// Sends these bytes, of this media type.
    pub fn bytes(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.head.headers.push(("content-type".to_owned(), content_type.to_owned()));
        self.body = body;
        self
    }

    /// Puts the request in a rate class other than the operation's.
    pub fn rate(mut self, class: &str) -> Self {
        self.head.rate = Some(class.to_owned());
        self
    }

    /// Says that sending it twice does no more than sending it once, whatever its method: the host may then repeat it when
    /// the first attempt's fate is unknown. For a `POST` that only searches, or that carries an idempotency key.
    pub fn idempotent(mut self) -> Self {
        self.head.idempotent = true;
        self
    }

    /// Makes this the request that is repeated for every page, as the action's
    /// [`paging`](crate::Action::paging) declares.
    pub fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    fn fault(&mut self, message: impl Into<String>) {
        self.fault.get_or_insert(Error::new(ErrorKind::ConnectorFault, message));
    }

    /// Sends it and reads the JSON that comes back.
    ///
    /// # Errors
    ///
    /// What the provider's refusal becomes by [`explain`](crate::Connector::explain); `unexpected_answer` if the answer
    /// cannot be read, or `ambiguous` if the action has changed something by then; whatever the host says if it could not
    /// be sent.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T> {
        self.answer().await?.json()
    }

    /// Sends it; whatever comes back with success is fine.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_empty(self) -> Result<()> {
        self.answer().await.map(drop)
    }

    /// Sends it and gives the whole answer.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), except that the body is not read.
    pub async fn answer(mut self) -> Result<Answer> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let call = self.ctx.0.clone();
        let path = self.head.path.clone();
        let style = call.operation.paging.as_ref().filter(|_| self.paged);
        if let Some(style) = style {
            paging::apply(style, call.context.cursor.as_deref(), &mut self.head);
        }
        let message = self.ctx.ask("http", &self.head, &self.body).await?;
        let bad = |what: &str| Error::new(ErrorKind::Internal, format!("the host's answer {what}"));
        let (head, body) = frame::decode(&message).map_err(|error| bad(&format!("is malformed: {error}")))?;
        let head: HttpAnswer =
            serde_json::from_slice(head).map_err(|_| bad("has a head that cannot be read"))?;
        if head.class != AnswerClass::Ok {
            let shared = &call.shared;
            let request = (self.head.method, path);
            let refusal =
                Refusal::new(&shared.title, &shared.answers, call.operation.clone(), request, head, body);
            return Err((shared.explain)(&refusal));
        }
        if let Some(style) = style {
            let value: Option<Value> = connector_protocol::json::read(body).ok();
            let next = paging::next(style, &self.head, &head, value.as_ref())?;
            if let Ok(mut place) = call.next.lock() {
                *place = next;
            }
        }
        Ok(Answer { head, body: body.to_vec(), call, method: self.head.method })
    }
}

/// A value as it stands in a query string; `None` if it is left out.
fn query_text(value: &Value) -> Result<Option<String>, ()> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) => {
            let items: Vec<String> =
                items.iter().map(query_text).filter_map(Result::transpose).collect::<Result<_, _>>()?;
            Some(items.join(","))
        }
        Value::Object(_) => return Err(()),
    })
}

/// A provider's answer that means success.
pub struct Answer {
    head: HttpAnswer,
    body: Vec<u8>,
    call: Arc<Call>,
    method: String,
}

impl Answer {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// A header, by name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON, every digit of an integer kept. An empty body reads as `null`.
    ///
    /// # Errors
    ///
    /// `unexpected_answer`, naming the field; or `ambiguous` where the request was one that changes something, since it has
    /// probably taken effect.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        decode::read(&self.body).map_err(|misfit| {
            let who = &self.call.shared.title;
            let kind = self.header("content-type").unwrap_or("no content type");
            let what = if self.body.is_empty() {
                "an empty answer".to_owned()
            } else if misfit.expected.is_empty() {
                format!("something that is not JSON ({})", kind.chars().take(60).collect::<String>())
            } else {
                format!("an answer this connector does not understand ({misfit})")
            };
            let status = self.head.status;
            let error = if self.call.operation.effect == Effect::Reads || self.method == "GET" {
                Error::new(ErrorKind::UnexpectedAnswer, format!("{who} sent {what}"))
            } else {
                let text =
                    format!("{who} said yes (status {status}) and sent {what}: it has probably been done");
                Error::new(ErrorKind::Ambiguous, text).hint("look at the provider before you run it again")
            };
            error.provider(connector_protocol::ProviderError { status, code: None, message: None })
        })
    }
}
