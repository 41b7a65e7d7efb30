//! Sending a request: how often it is tried, how long it is waited for, and what is taken of the answer.
//!
//! A request is repeated only where that cannot do harm: it never left this machine, or sending it twice does no more than
//! sending it once, or the provider said that it did nothing. Of anything else whose fate is unknown, the answer is
//! `ambiguous`.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use connector_protocol::{
    Error, ErrorKind, Result,
    answers::{AnswerClass, Seen, Verdict},
    message::{HttpAnswer, HttpRequest},
};
use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_ENCODING, HeaderMap, LOCATION},
    redirect,
};
use serde_json::Value;

use super::{
    Flight, Prepared, Target,
    breaker::Breaker,
    flight::OnItsWay,
    lost::{Asked, Lost, host_of, reason},
    transport::{Hyper, Net, Transport},
};
use crate::config::Limits;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// How long the body of an answer to a user's request may pause.
const IDLE: Duration = Duration::from_secs(30);

/// How much of an answer's headers is passed on, in bytes.
const MAX_HEADERS: usize = 64 * 1024;

/// The HTTP clients of a host: connections are kept and used again, by whatever call.
pub struct Egress {
    limits: Limits,
    /// For what connectors ask for: public machines over TLS.
    public: OnceLock<Client>,
    /// For machines that the operator has named.
    operator: OnceLock<Client>,
    /// For those of them that are spoken to without TLS: it reads no certificates.
    plain: OnceLock<Client>,
    /// Who keeps failing.
    pub(super) breaker: Breaker,
    /// For what users ask for, which comes and goes as it is.
    pub(super) transport: Box<dyn Transport>,
    net: Arc<Net>,
    /// How long an answer's body may pause.
    pub(super) idle: Duration,
}

/// What came back.
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Egress {
    /// Clients within these limits. None is made before it is needed.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let net = Arc::new(Net::system(Duration::from_secs(limits.connect_seconds)));
        Self::over(limits, net.clone(), Box::new(Hyper::new(net)))
    }

    pub(super) fn over(limits: Limits, net: Arc<Net>, transport: Box<dyn Transport>) -> Self {
        Self {
            limits,
            public: OnceLock::new(),
            operator: OnceLock::new(),
            plain: OnceLock::new(),
            breaker: Breaker::default(),
            net,
            transport,
            idle: IDLE,
        }
    }

    /// How often a request is repeated that may be.
    pub(super) fn retries(&self) -> usize {
        self.limits.retries as usize
    }

    fn client(&self, request: &Prepared) -> Result<&Client> {
        let plain = request.by_operator && request.url.scheme() == "http";
        let place = match (request.by_operator, plain) {
            (_, true) => &self.plain,
            (true, false) => &self.operator,
            (false, false) => &self.public,
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // No proxy of the environment, no cookie, no referrer: nothing that nobody has asked for.
        let mut builder = Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .connect_timeout(self.net.connect)
            .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")));
        builder = if plain {
            builder.tls_certs_only([])
        } else {
            builder.tls_backend_preconfigured(self.net.trust.config(&[b"h2", b"http/1.1"])?)
        };
        builder = if request.by_operator {
            builder.dns_resolver(Arc::new(self.net.operators.clone()))
        } else {
            builder.https_only(true).dns_resolver(Arc::new(self.net.public.clone()))
        };
        let client = builder.build().map_err(|error| {
            Error::new(ErrorKind::Internal, format!("no HTTP client can be made: {}", reason(&error)))
        })?;
        Ok(place.get_or_init(|| client))
    }

    /// Sends a connector's request, and says what the answer means.
    ///
    /// # Errors
    ///
    /// If it may not be sent, or if no answer came: `network` and `timeout` if nothing was done at the provider,
    /// `ambiguous` if nobody knows.
    pub async fn send(
        &self,
        target: &Target,
        request: HttpRequest,
        body: Vec<u8>,
        deadline: Instant,
        flight: &Flight,
    ) -> Result<(HttpAnswer, Vec<u8>)> {
        let request = Arc::new(target.prepare(request, body)?);
        let mut delays = self.delays();
        let line = target.line(&request.url);
        loop {
            let pass = self.breaker.ask(line.clone(), &target.manifest.title)?;
            let way = OnItsWay::new(flight, &request);
            let begun = Instant::now();
            let outcome = self.follow(target, &request, deadline).await;
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (method, path) = (request.method.as_str(), request.template.as_str());
            match outcome {
                Ok(received) => {
                    let (verdict, answer) = classify(target, &request, &received);
                    pass.tell(verdict.class != AnswerClass::Unavailable);
                    flight.note(&request, ms, Ok((&answer, &received.body)));
                    // A provider that fails on the way may have done it already: its fate is not known.
                    let unsure = verdict.class == AnswerClass::Unavailable && !request.repeatable;
                    if !unsure {
                        way.settle(verdict.class == AnswerClass::Ok);
                    }
                    tracing::debug!(method, path, status = answer.status, class = ?verdict.class, ms, "answered");
                    let wait = if request.repeatable
                        && verdict.class == AnswerClass::Ok
                        && is_cut_short(&received)
                    {
                        delays.next()
                    } else {
                        self.wait_for(&request, &verdict, &mut delays)
                    };
                    match wait.filter(|wait| fits(*wait, deadline) && !self.breaker.is_open(&line)) {
                        Some(wait) => flight.wait(wait, "asks to be left alone for a while").await,
                        None if unsure => return Err(unsure_of(target, &received)),
                        None => return Ok((answer, received.body)),
                    }
                }
                Err(lost) => {
                    if lost.is_the_providers() {
                        pass.tell(false);
                    }
                    flight.note(&request, ms, Err(&lost.error));
                    tracing::debug!(method, path, ms, sent = lost.sent, "no answer: {}", lost.error);
                    if !lost.sent || request.repeatable {
                        way.settle(false);
                    }
                    let again = lost.passing && (!lost.sent || request.repeatable);
                    let wait = if again { delays.next() } else { None };
                    match wait.filter(|wait| fits(*wait, deadline) && !self.breaker.is_open(&line)) {
                        Some(wait) => flight.wait(wait, "did not answer").await,
                        None => return Err(lost.explain(&asked(target, &request))),
                    }
                }
            }
        }
    }

    /// How long to wait before each try but the first.
    pub(super) fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(self.retries())
            .with_jitter()
            .build()
    }

    /// How long to wait before a request is repeated; `None` if it is not.
    fn wait_for(
        &self,
        request: &Prepared,
        verdict: &Verdict,
        delays: &mut impl Iterator<Item = Duration>,
    ) -> Option<Duration> {
        let may = match verdict.class {
            // Refused before anything was done.
            AnswerClass::RateLimited => true,
            AnswerClass::Unavailable => request.repeatable,
            _ => false,
        };
        let delay = if may { delays.next()? } else { return None };
        let asked = verdict.retry_at.map(|at| {
            let wait = at.duration_since(Timestamp::now());
            Duration::try_from(wait).unwrap_or_default()
        });
        let wait = asked.unwrap_or(delay).max(Duration::from_millis(50));
        (wait <= Duration::from_secs(self.limits.wait_seconds)).then_some(wait)
    }

    /// Sends a request, and follows where a read is sent on to.
    async fn follow(&self, target: &Target, request: &Prepared, deadline: Instant) -> Result<Received, Lost> {
        let received = self.once(request, deadline).await?;
        if !request.method.is_safe() || !is_redirect(received.status) {
            return Ok(received);
        }
        let mut request = request.clone();
        let mut received = received;
        for _ in 0..MAX_REDIRECTS {
            let location = received.headers.get(LOCATION).and_then(|location| location.to_str().ok());
            let (true, Some(location)) = (is_redirect(received.status), location) else {
                return Ok(received);
            };
            let blocked = Lost::before;
            let next = request.url.join(location).map_err(|_| {
                blocked(Error::new(ErrorKind::UnexpectedAnswer, "was sent on to an address that is none"))
            })?;
            let place = target.check(next).map_err(|mut error| {
                error.message =
                    format!("{} sent the request on, and {}", target.manifest.title, error.message);
                blocked(error)
            })?;
            if place.url.origin() != request.url.origin() {
                // Another machine gets neither the credential nor what the connector had for the first one.
                request.headers.retain_accept();
            }
            request.url = place.url;
            request.by_operator = place.by_operator;
            received = self.once(&request, deadline).await?;
        }
        Err(Lost {
            error: Error::new(
                ErrorKind::UnexpectedAnswer,
                format!("was sent on more than {MAX_REDIRECTS} times"),
            ),
            sent: true,
            passing: false,
        })
    }

    /// The answer to a request that carries no credential, whatever it is.
    pub(super) async fn bare(
        &self,
        target: &Target,
        request: &HttpRequest,
        patience: Duration,
    ) -> Result<Response> {
        let place = target.place(request)?;
        let prepared = Prepared {
            method: reqwest::Method::GET,
            url: place.url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            by_operator: place.by_operator,
            repeatable: true,
            template: request.path.clone(),
        };
        let sent = self.dispatch(&prepared, Instant::now() + patience).await;
        sent.map_err(|lost| lost.explain(&asked(target, &prepared)))
    }

    async fn once(&self, request: &Prepared, deadline: Instant) -> Result<Received, Lost> {
        self.receive(self.dispatch(request, deadline).await?).await
    }

    /// Sends a request once, and gives the answer before its body.
    pub(super) async fn dispatch(&self, request: &Prepared, deadline: Instant) -> Result<Response, Lost> {
        let before = Lost::before;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(before(Error::new(ErrorKind::Timeout, "there was no time left to send a request")));
        }
        self.client(request)
            .map_err(before)?
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .timeout(left)
            .send()
            .await
            .map_err(|error| lost(&error))
    }

    /// Takes the answer's body, unpacked, up to the limit.
    async fn receive(&self, mut response: Response) -> Result<Received, Lost> {
        let (status, headers) = (response.status(), response.headers().clone());
        // What the client has unpacked has lost this header.
        if let Some(encoding) = headers.get(CONTENT_ENCODING) {
            let encoding =
                String::from_utf8_lossy(encoding.as_bytes()).escape_debug().take(30).collect::<String>();
            let text = format!("sent an answer in the encoding `{encoding}`, which was not asked for");
            return Err(Lost {
                error: Error::new(ErrorKind::UnexpectedAnswer, text),
                sent: true,
                passing: false,
            });
        }
        let most = self.limits.answer_bytes;
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > most => {
                    let text = format!("sent an answer of more than {most} bytes");
                    let hint = "ask for less, or raise `limits.answer_bytes`";
                    let error = Error::new(ErrorKind::UnexpectedAnswer, text).hint(hint);
                    return Err(Lost { error, sent: true, passing: false });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => {
                    return Ok(Received { status, headers, body });
                }
                // The status says that nothing was done, whatever else it would have said.
                Err(_) if status.is_client_error() => {
                    return Ok(Received { status, headers, body: Vec::new() });
                }
                Err(error) => {
                    let mut lost = lost(&error);
                    lost.sent = true;
                    return Err(lost);
                }
            }
        }
    }
}

trait RetainAccept {
    fn retain_accept(&mut self);
}

impl RetainAccept for HeaderMap {
    fn retain_accept(&mut self) {
        let accept = self.remove(reqwest::header::ACCEPT);
        self.clear();
        if let Some(accept) = accept {
            self.insert(reqwest::header::ACCEPT, accept);
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Whether an answer says that it is JSON, and ends in the middle of it.
fn is_cut_short(received: &Received) -> bool {
    let kind = received.headers.get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
    let read = |body| serde_json::from_slice::<serde::de::IgnoredAny>(body);
    is_json && !received.body.is_empty() && read(&received.body).is_err_and(|error| error.is_eof())
}

pub(super) fn fits(wait: Duration, deadline: Instant) -> bool {
    Instant::now() + wait < deadline
}

fn classify(target: &Target, request: &Prepared, received: &Received) -> (Verdict, HttpAnswer) {
    let status = received.status.as_u16();
    let header = |name: &str| {
        let value = received.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    // Only answers that might be refusals are looked into; an answer of success is parsed once, by the connector.
    let answers = &target.manifest.answers;
    let look = !received.status.is_success()
        || answers.rules.iter().any(|rule| rule.status.is_empty() || rule.status.contains(&status));
    let body: Option<Value> = if look { connector_protocol::json::read(&received.body).ok() } else { None };
    let seen = Seen { method: request.method.as_str(), status, header: &header, body: body.as_ref() };
    let verdict = answers.classify(&seen, Timestamp::now());
    let mut room = MAX_HEADERS;
    let mut headers = Vec::new();
    for (name, value) in &received.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        room = room.saturating_sub(name.as_str().len() + value.len());
        if room > 0 && name != reqwest::header::SET_COOKIE {
            headers.push((name.as_str().to_owned(), value));
        }
    }
    (verdict, HttpAnswer { status, class: verdict.class, headers, retry_at: verdict.retry_at })
}

/// What an error of the client means: whether the provider may have got the request, and whether it may go better.
pub(super) fn lost(error: &reqwest::Error) -> Lost {
    let timeout = error.is_timeout();
    if let Some(lost) = Lost::forbidden(error) {
        return lost;
    }
    if error.is_builder() {
        return Lost::before(Error::new(ErrorKind::Blocked, reason(error)));
    }
    if error.is_connect() {
        return Lost::connecting(error, timeout);
    }
    let kind = if timeout {
        ErrorKind::Timeout
    } else if error.is_decode() {
        ErrorKind::UnexpectedAnswer
    } else {
        ErrorKind::Network
    };
    let text = if timeout { "no answer in time".to_owned() } else { reason(error) };
    // The deadline is over; anything else may pass.
    Lost { error: Error::new(kind, text), sent: true, passing: !timeout }
}

/// The error of a request that must not be sent twice, and at which the provider failed.
fn unsure_of(target: &Target, received: &Received) -> Error {
    let status = received.status.as_u16();
    let body: Option<Value> = connector_protocol::json::read(&received.body).ok();
    let (provider, _) = target.manifest.answers.read_error(status, body.as_ref());
    let who = &target.manifest.title;
    Error::new(
        ErrorKind::Ambiguous,
        format!("nobody knows whether {who} did it: it failed with status {status}"),
    )
    .provider(provider)
    .hint("look at the provider before you run it again")
}

pub(super) fn asked<'a>(target: &'a Target, request: &Prepared) -> Asked<'a> {
    Asked {
        manifest: &target.manifest,
        host: host_of(&request.url),
        by_operator: request.by_operator,
        repeatable: request.repeatable,
    }
}
