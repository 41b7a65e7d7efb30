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
    message::{HttpRequest, Progress, Sleep},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::{Happening, Run, Watch};
use crate::{
    egress::{Egress, Flight, Target},
    redact::Redactor,
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
}

/// The services of one call.
pub(super) struct CallServices {
    outside: Outside,
    target: Target,
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
        // A little before the call itself ends, so that a slow provider is told as one.
        let left = run.deadline.saturating_duration_since(Instant::now());
        let deadline = run.deadline.checked_sub((left / 20).min(ANSWER)).unwrap_or(run.deadline);
        Self {
            outside,
            target,
            deadline,
            flight: run.flight.clone(),
            redactor: run.redactor.clone(),
            watch: run.watch.clone(),
            lines: AtomicUsize::new(0),
            reports: AtomicUsize::new(0),
            span: tracing::Span::current(),
            action: run.known.action().name.clone(),
            input,
        }
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
                let (head, body) =
                    egress.send(&self.target, request, body, self.deadline, &self.flight).await?;
                crate::timings::stage("send");
                write(&head, &body)
            }
            Outside::Shown(place) => {
                let shown = self.target.prepare(request, body)?.show(&self.redactor);
                place.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(shown);
                Err(Error::new(ErrorKind::Cancelled, "nothing is sent in a rehearsal"))
            }
        }
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
