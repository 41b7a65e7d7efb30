//! Speaking to the Jackfield that serves the home: HTTP over its socket. It knows the shapes of the API and not what they are
//! for.

use std::time::Duration;

use connector_protocol::manifest::Effect;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use jackfield::{
    Error, ErrorKind, Result,
    api::{Invoke, Line, Output},
    home::Home,
    invoke::{Happening, NOTHING_SENT, Watch},
    server,
};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::output;

/// Asks to hear what happens meanwhile.
const NDJSON: &str = "application/x-ndjson";

/// How long a stopped invocation may take to say what became of it.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The Jackfield that serves a home.
pub(crate) struct Served {
    home: Home,
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("the Jackfield that serves this home broke off: {error}"))
        .hint("see how it is: jackfield doctor")
}

/// What is known of something that was stopped when whoever ran it says nothing of it.
fn cancelled(id: Option<String>) -> Error {
    let text = "cancelled; what was on its way to the provider by then may have been done";
    let mut error = Error::new(ErrorKind::Cancelled, text);
    error.id = id;
    error
}

/// What it means that it broke off while it ran an action: of one that changes something, nobody knows whether it was done.
fn broken_off(mut error: Error, effect: Effect, id: Option<String>) -> Error {
    if effect != Effect::Reads {
        let known = match &id {
            Some(id) => format!("jackfield invocation show {id}"),
            None => "jackfield invocation list".to_owned(),
        };
        error.kind = ErrorKind::Ambiguous;
        error.message = format!("nobody knows whether it was done: {}", error.message);
        error.hint = Some(format!("look at the provider before you run it again; what is known: {known}"));
    }
    error.id = id;
    error
}

impl Served {
    pub(crate) fn of(home: Home) -> Self {
        Self { home }
    }

    /// Sends a request and gives the beginning of the answer.
    async fn send(&self, method: &str, path: &str) -> Result<Response<Incoming>> {
        let stream = server::connect(&self.home).await?.ok_or_else(|| broken("it is gone"))?;
        self.send_by(stream, method, path, "application/json", Vec::new()).await
    }

    async fn send_by(
        &self,
        stream: UnixStream,
        method: &str,
        path: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "jackfield")
            .header(header::USER_AGENT, server::COMMANDS)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let ours = concat!("jackfield/", env!("CARGO_PKG_VERSION"));
        let theirs = response
            .headers()
            .get(header::SERVER)
            .and_then(|server| server.to_str().ok())
            .unwrap_or_default();
        if theirs != ours {
            let text = format!("this home is served by {theirs}, and this is {ours}");
            output::warn(&text, Some("start that one again: jackfield serve --drain, then jackfield serve"));
        }
        Ok(response)
    }

    /// Gets something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.send("GET", path).await?;
        read(response).await
    }

    /// Does something that takes no more than its name.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.send("POST", path).await?;
        read(response).await
    }

    /// Runs an action of this effect. `None` if nothing was begun, because it is about to end or has ended.
    pub(crate) async fn invoke(
        &self,
        request: &Invoke,
        effect: Effect,
        watch: Watch,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Output>> {
        let body = serde_json::to_vec(request).map_err(broken)?;
        let Some(stream) = server::connect(&self.home).await? else { return Ok(None) };
        tokio::pin!(stop);
        let response = tokio::select! {
            response = self.send_by(stream, "POST", "/v1/invocations", NDJSON, body) => {
                response.map_err(|error| broken_off(error, effect, None))?
            }
            () = &mut stop => return Err(cancelled(None)),
        };
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(read::<Output>(response).await.err().unwrap_or_else(|| broken("it makes no sense")));
        }
        let mut lines = Lines { body: response.into_body(), buffer: Vec::new() };
        let mut id = None;
        loop {
            let line = tokio::select! {
                line = lines.next() => line.map_err(|error| broken_off(error, effect, id.clone()))?,
                () = &mut stop => break,
            };
            match line {
                Line::Happens(happening) => {
                    if let Happening::Begun { id: begun } = &happening {
                        id = Some(begun.clone());
                    }
                    watch(happening);
                }
                Line::Done(done) => return Ok(Some(done)),
                Line::Failed(failed) => return Err(failed),
            }
        }
        if request.dry_run {
            // It has no id to be stopped by, and stops when nobody listens any more.
            return Err(Error::new(ErrorKind::Cancelled, NOTHING_SENT));
        }
        // Somebody wants it to end: it is told, and says what became of it - unless it hangs.
        let last = async {
            let mut is_told = false;
            loop {
                if let (Some(id), false) = (&id, is_told) {
                    let _ = self.post::<serde_json::Value>(&format!("/v1/invocations/{id}/cancel")).await;
                    is_told = true;
                }
                match lines.next().await.map_err(|error| broken_off(error, effect, id.clone()))? {
                    Line::Happens(Happening::Begun { id: begun }) => id = Some(begun),
                    Line::Happens(_) => {}
                    Line::Done(done) => return Ok(Some(done)),
                    Line::Failed(failed) => return Err(failed),
                }
            }
        };
        match tokio::time::timeout(LAST_WORDS, last).await {
            Ok(last) => last,
            Err(_) => Err(cancelled(id)),
        }
    }
}

/// The whole of an answer: what was asked for, or the error.
async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T> {
    let well = response.status().is_success();
    let bytes = response.into_body().collect().await.map_err(broken)?.to_bytes();
    if well {
        return serde_json::from_slice(&bytes).map_err(broken);
    }
    Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| broken("it answers what nobody understands")))
}

struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Result<Line> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(broken);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(broken("there is no last line")),
            }
        }
    }
}
