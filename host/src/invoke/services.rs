//! What the host offers to one call of a connector. What the call may reach is decided by the call it was made for, never
//! by what the connector says.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use connector_abi::message as frame;
use connector_protocol::{
    Error, ErrorKind, Result,
    answers::AnswerClass,
    message::{HttpAnswer, HttpRequest, Progress, Sleep},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::{Happening, Run, Watch};
use crate::{
    connections::{Connections, Setting},
    egress::{Credential, Egress, Flight, Target},
    redact::Redactor,
    store::Scope,
    worker::{Doing, MAX_LINES, Services},
};

/// How often one call may say how far it is.
const MAX_REPORTS: usize = 1000;

/// How much of a line of a connector's is looked at, in bytes.
const MAX_LINE: usize = 8 * 1024;

/// How much time a connector has at the end of a call to make something of an answer, at most.
const ANSWER: Duration = Duration::from_millis(250);

/// Where requests go.
pub(super) enum Outside {
    /// To the provider.
    Egress(Arc<Egress>),
    /// Nowhere: the first one is shown.
    Shown(Arc<Mutex<Option<Value>>>),
    /// Nowhere: what is read is not asked about. The error says so.
    Nowhere(Box<Error>),
}

/// The connection that a call's requests are made with, whose token may end while it runs.
#[derive(Clone)]
pub struct Held {
    /// Where connections are kept.
    pub connections: Arc<Connections>,
    /// What they need from around them.
    pub setting: Setting,
    /// Whose it is.
    pub scope: Scope,
    /// Its id.
    pub id: String,
    /// Which version of its grant the credential is of.
    pub version: i64,
}

/// As whom requests are sent, for now.
struct Now {
    credential: Credential,
    version: i64,
}

/// The services of one call.
pub(super) struct CallServices {
    outside: Outside,
    target: Target,
    held: Option<Held>,
    now: Mutex<Now>,
    deadline: Instant,
    flight: Arc<Flight>,
    redactor: Redactor,
    watch: Watch,
    lines: AtomicUsize,
    reports: AtomicUsize,
    span: tracing::Span,
    action: String,
    input: Box<RawValue>,
}

impl CallServices {
    pub(super) fn new(outside: Outside, target: Target, run: &Run<'_>, input: Box<RawValue>) -> Self {
        Self {
            redactor: run.redactor.clone(),
            watch: run.watch.clone(),
            held: run.invocation.held.clone(),
            now: Mutex::new(Now {
                credential: target.credential.clone(),
                version: run.invocation.held.as_ref().map_or(0, |held| held.version),
            }),
            ..Self::about(outside, target, run.deadline, run.flight.clone(), &run.known.action().name, input)
        }
    }

    /// The services of a call that is no run of an action.
    pub(super) fn about(
        outside: Outside,
        target: Target,
        deadline: Instant,
        flight: Arc<Flight>,
        what: &str,
        input: Box<RawValue>,
    ) -> Self {
        // A little before the call itself ends, so that a slow provider is told as one.
        let left = deadline.saturating_duration_since(Instant::now());
        let mut redactor = Redactor::default();
        target.credential.redact(&mut redactor);
        Self {
            outside,
            held: None,
            now: Mutex::new(Now { credential: target.credential.clone(), version: 0 }),
            target,
            deadline: deadline.checked_sub((left / 20).min(ANSWER)).unwrap_or(deadline),
            flight,
            redactor,
            watch: super::nobody(),
            lines: AtomicUsize::new(0),
            reports: AtomicUsize::new(0),
            span: tracing::Span::current(),
            action: what.to_owned(),
            input,
        }
    }

    /// The same, for a connection whose token may end meanwhile.
    pub(super) fn held(mut self, held: Option<Held>) -> Self {
        if let (Some(held), Ok(now)) = (&held, self.now.get_mut()) {
            now.version = held.version;
        }
        self.held = held;
        self
    }

    /// The same, with more that is not to be written down.
    pub(super) fn redacting(mut self, secrets: &[SecretString]) -> Self {
        secrets.iter().for_each(|secret| self.redactor.add(secret.expose_secret()));
        self
    }

    /// What knows the secrets of the call.
    pub(super) fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// What the call is about. The input may hold secrets: its digest says whether it is the same.
    pub(super) fn what(&self) -> Doing {
        let digest = digest::digest(&digest::SHA256, self.input.get().as_bytes());
        let input = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Doing { action: self.action.clone(), input }
    }

    async fn answer(&self, op: &str, message: Vec<u8>) -> Result<Vec<u8>> {
        let malformed =
            |error| Error::new(ErrorKind::ConnectorFault, format!("the request is malformed: {error}"));
        let (head, body) = frame::decode(&message).map_err(malformed)?;
        match op {
            "http" => self.http(read(head)?, body.to_vec()).await,
            "progress" => {
                let progress: Progress = read(head)?;
                // Whoever reports more often than this reports nothing.
                if self.reports.fetch_add(1, Ordering::Relaxed) >= MAX_REPORTS {
                    return Ok(nothing());
                }
                let message = self.clean(&progress.message);
                tracing::info!(parent: &self.span, done = progress.done, total = progress.total, "{message}");
                (self.watch)(Happening::Says { message, done: progress.done, total: progress.total });
                Ok(nothing())
            }
            "sleep" => {
                let Sleep { ms } = read(head)?;
                // The call ends at its deadline anyway, and this with it.
                let left = self.deadline.saturating_duration_since(Instant::now());
                tokio::time::sleep(Duration::from_millis(ms).min(left)).await;
                Ok(nothing())
            }
            other => {
                let op: String = other.escape_debug().take(60).collect();
                Err(Error::new(ErrorKind::Unsupported, format!("this host does not offer `{op}`")))
            }
        }
    }

    async fn http(&self, request: HttpRequest, body: Vec<u8>) -> Result<Vec<u8>> {
        match &self.outside {
            Outside::Egress(egress) => {
                let (head, body) = self.send(egress, request, body).await?;
                crate::timings::stage("send");
                write(&head, &body)
            }
            Outside::Shown(place) => {
                let shown = self.target.prepare(request, body)?.show(&self.redactor);
                place.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(shown);
                Err(Error::new(ErrorKind::Cancelled, "nothing is sent in a rehearsal"))
            }
            Outside::Nowhere(refusal) => Err(refusal.as_ref().clone()),
        }
    }

    /// Sends a request; and once more with a later token, if the provider does not accept the one there is. A request that
    /// was refused like this has done nothing.
    async fn send(
        &self,
        egress: &Egress,
        request: HttpRequest,
        body: Vec<u8>,
    ) -> Result<(HttpAnswer, Vec<u8>)> {
        let (target, version) = self.target_now();
        let Some(held) = &self.held else {
            return egress.send(&target, request, body, self.deadline, &self.flight).await;
        };
        let again = (request.clone(), body.clone());
        let first = egress.send(&target, request, body, self.deadline, &self.flight).await?;
        if first.0.class != AnswerClass::Expired {
            return Ok(first);
        }
        let Held { connections, setting, scope, id, .. } = held;
        let used = connections.later(setting, scope, id, version, self.deadline).await?;
        used.credential.redact(&mut self.redactor.clone());
        let (connection, version) = (used.connection.clone(), used.version);
        {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = Now { credential: used.credential, version };
        }
        let (target, _) = self.target_now();
        let second = egress.send(&target, again.0, again.1, self.deadline, &self.flight).await?;
        if second.0.class == AnswerClass::Expired {
            let reason = "the provider does not accept a token that it has just given";
            connections.condemn(&connection, version, reason).await;
        }
        Ok(second)
    }

    fn target_now(&self) -> (Target, i64) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (Target { credential: now.credential.clone(), ..self.target.clone() }, now.version)
    }

    /// A connector's words as they may stand in a log: one line, escaped, without secrets.
    fn clean(&self, text: &str) -> String {
        let text = &text[..text.floor_char_boundary(MAX_LINE)];
        self.redactor.text(text).chars().take(4000).flat_map(char::escape_debug).collect()
    }
}

impl Services for CallServices {
    fn call(&self, op: &str, message: Vec<u8>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + '_>> {
        let op = op.to_owned();
        let span = self.span.clone();
        Box::pin(tracing::Instrument::instrument(async move { self.answer(&op, message).await }, span))
    }

    fn doing(&self) -> Option<Doing> {
        Some(self.what())
    }

    fn log(&self, level: u8, line: &str) {
        let written = self.lines.fetch_add(1, Ordering::Relaxed);
        if written >= MAX_LINES {
            if written == MAX_LINES {
                tracing::warn!(parent: &self.span, "the connector writes more than {MAX_LINES} lines; the rest is dropped");
            }
            return;
        }
        let line = self.clean(line);
        match level {
            1 => tracing::error!(target: "connector", parent: &self.span, "{line}"),
            2 => tracing::warn!(target: "connector", parent: &self.span, "{line}"),
            3 => tracing::info!(target: "connector", parent: &self.span, "{line}"),
            4 => tracing::debug!(target: "connector", parent: &self.span, "{line}"),
            _ => tracing::trace!(target: "connector", parent: &self.span, "{line}"),
        }
    }
}

fn read<T: DeserializeOwned>(head: &[u8]) -> Result<T> {
    serde_json::from_slice(head)
        .map_err(|_| Error::new(ErrorKind::ConnectorFault, "the head of the request cannot be read"))
}

fn write(head: &impl Serialize, body: &[u8]) -> Result<Vec<u8>> {
    let head = serde_json::to_vec(head)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the answer cannot be written: {error}")))?;
    let message = frame::encode(&head, body);
    if message.len() > frame::MAX_LEN {
        let text = format!("the answer has more than {} bytes", frame::MAX_LEN);
        return Err(Error::new(ErrorKind::UnexpectedAnswer, text));
    }
    Ok(message)
}

fn nothing() -> Vec<u8> {
    frame::encode(b"{}", &[])
}
