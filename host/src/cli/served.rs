//! Speaking to a Jackfield: the one that serves the home, over its socket; one elsewhere, over the network; or the one in this
//! process, where there is no other. It knows the shapes of the API and not what they are for.

use std::{sync::Arc, time::Duration};

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
    egress::{Answer, Remote},
    home::Home,
    invoke::{Happening, NOTHING_SENT, Watch},
    server::{self, Local},
};
use serde::{Serialize, de::DeserializeOwned};

use super::output;

/// Asks to hear what happens meanwhile.
const NDJSON: &str = "application/x-ndjson";

/// How long a stopped invocation may take to say what became of it.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A Jackfield that answers.
pub(crate) struct Served {
    way: Way,
    /// The project that is meant, if it is named.
    project: Option<String>,
}

/// How it is reached.
enum Way {
    /// By the socket of the home that it serves.
    Socket(Home),
    /// Over the network, with a token.
    Network(Remote),
    /// In this process.
    Here(Arc<Local>),
}

/// An answer that is coming.
enum Coming {
    Hyper(Response<Incoming>),
    Network(Answer),
    Here(axum::response::Response),
}

impl Coming {
    fn status(&self) -> StatusCode {
        match self {
            Self::Hyper(response) => response.status(),
            Self::Network(answer) => answer.status(),
            Self::Here(response) => response.status(),
        }
    }

    fn server(&self) -> Option<&str> {
        let headers = match self {
            Self::Hyper(response) => response.headers(),
            Self::Network(answer) => answer.headers(),
            Self::Here(response) => response.headers(),
        };
        headers.get(header::SERVER).and_then(|server| server.to_str().ok())
    }

    /// What has come of the body; `None` at its end.
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let data = |frame: hyper::body::Frame<Bytes>| frame.into_data().unwrap_or_default();
        match self {
            Self::Hyper(response) => {
                response.body_mut().frame().await.transpose().map(|frame| frame.map(data)).map_err(broken)
            }
            Self::Here(response) => {
                response.body_mut().frame().await.transpose().map(|frame| frame.map(data)).map_err(broken)
            }
            Self::Network(answer) => answer.chunk().await,
        }
    }

    async fn whole(mut self) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }
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
        Self { way: Way::Socket(home), project: None }
    }

    pub(crate) fn at(remote: Remote) -> Self {
        Self { way: Way::Network(remote), project: None }
    }

    pub(crate) fn here(local: Arc<Local>) -> Self {
        Self { way: Way::Here(local), project: None }
    }

    /// Means a project.
    pub(crate) fn in_project(mut self, project: Option<String>) -> Self {
        self.project = project;
        self
    }

    /// Sends a request and gives the beginning of the answer. `None` if nobody serves the home any more.
    async fn send(&self, method: &str, path: &str, accept: &str, body: Vec<u8>) -> Result<Option<Coming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "jackfield")
            .header(header::USER_AGENT, server::COMMANDS)
            .header(header::ACCEPT, accept);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(project) = &self.project {
            request = request.header(server::PROJECT, project);
        }
        let coming = match &self.way {
            Way::Socket(home) => {
                let Some(stream) = server::connect(home).await? else { return Ok(None) };
                let (mut sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
                tokio::spawn(async move { drop(connection.await) });
                let request = request.body(Full::new(Bytes::from(body))).map_err(broken)?;
                Coming::Hyper(sender.send_request(request).await.map_err(broken)?)
            }
            Way::Network(remote) => {
                let request = request.body(body).map_err(broken)?;
                Coming::Network(remote.send(request).await?)
            }
            Way::Here(local) => {
                let request = request.body(axum::body::Body::from(body)).map_err(broken)?;
                Coming::Here(local.ask(request).await)
            }
        };
        let ours = concat!("jackfield/", env!("CARGO_PKG_VERSION"));
        match (&self.way, coming.server()) {
            (Way::Socket(_), Some(theirs)) if theirs != ours => {
                let text = format!("this home is served by {theirs}, and this is {ours}");
                output::warn(
                    &text,
                    Some("start that one again: jackfield serve --drain, then jackfield serve"),
                );
            }
            (Way::Network(_), theirs) if theirs != Some(ours) => {
                let theirs = theirs.unwrap_or("something that does not say what it is");
                output::warn(&format!("the server is {theirs}, and this is {ours}"), None);
            }
            _ => {}
        }
        Ok(Some(coming))
    }

    /// Asks for something, or does something.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let body = body.map(serde_json::to_vec).transpose().map_err(broken)?.unwrap_or_default();
        let coming = self.send(method, path, "application/json", body).await?;
        read(coming.ok_or_else(|| broken("it is gone"))?).await
    }

    /// Gets something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask("GET", path, None::<&()>).await
    }

    /// Does something that takes no more than its name.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask("POST", path, None::<&()>).await
    }

    /// Sends a request as it is, and hands over the answer piece by piece: status, content type, and whether it is a
    /// provider's.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
        mut take: impl FnMut(Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "jackfield")
            .header(header::USER_AGENT, server::COMMANDS);
        if let Some(project) = &self.project {
            request = request.header(server::PROJECT, project);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let usage =
            |error: http::Error| Error::new(ErrorKind::Usage, format!("the request is none: {error}"));
        let mut coming = match &self.way {
            Way::Socket(home) => {
                let stream = server::connect(home).await?.ok_or_else(|| broken("it is gone"))?;
                let (mut sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
                tokio::spawn(async move { drop(connection.await) });
                let request = request.body(Full::new(Bytes::from(body))).map_err(usage)?;
                Coming::Hyper(sender.send_request(request).await.map_err(broken)?)
            }
            Way::Network(remote) => Coming::Network(remote.send(request.body(body).map_err(usage)?).await?),
            Way::Here(local) => {
                Coming::Here(local.ask(request.body(axum::body::Body::from(body)).map_err(usage)?).await)
            }
        };
        let headers = match &coming {
            Coming::Hyper(response) => response.headers().clone(),
            Coming::Network(answer) => answer.headers().clone(),
            Coming::Here(response) => response.headers().clone(),
        };
        if !headers.contains_key(server::PASSED_ON) {
            return Err(read::<serde_json::Value>(coming)
                .await
                .err()
                .unwrap_or_else(|| broken("it makes no sense")));
        }
        take(Piece::Head(coming.status(), &headers))?;
        while let Some(chunk) = coming.chunk().await? {
            take(Piece::Body(&chunk))?;
        }
        Ok(())
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
        tokio::pin!(stop);
        let response = tokio::select! {
            response = self.send("POST", "/v1/invocations", NDJSON, body) => {
                response.map_err(|error| broken_off(error, effect, None))?
            }
            () = &mut stop => return Err(cancelled(None)),
        };
        let Some(response) = response else { return Ok(None) };
        if response.status() == StatusCode::SERVICE_UNAVAILABLE && matches!(self.way, Way::Socket(_)) {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(read::<Output>(response).await.err().unwrap_or_else(|| broken("it makes no sense")));
        }
        let mut lines = Lines { coming: response, buffer: Vec::new() };
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

/// A piece of an answer that is passed on.
pub(crate) enum Piece<'a> {
    /// How it begins.
    Head(StatusCode, &'a hyper::HeaderMap),
    /// Some of its body.
    Body(&'a [u8]),
}

/// The whole of an answer: what was asked for, or the error.
async fn read<T: DeserializeOwned>(coming: Coming) -> Result<T> {
    let well = coming.status().is_success();
    let bytes = coming.whole().await?;
    if well {
        return serde_json::from_slice(&bytes).map_err(broken);
    }
    Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| broken("it answers what nobody understands")))
}

struct Lines {
    coming: Coming,
    buffer: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Result<Line> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(broken);
            }
            match self.coming.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Err(broken("there is no last line")),
            }
        }
    }
}
