//! A user's own request to a provider, sent with the connection's credential: what a connector's action would not do.
//!
//! It goes to an address below a base of the manifest, or to a host that the manifest names, and nowhere else; it carries the
//! headers of an allow-list; and status, headers and body come back as they were. Nothing is followed, nothing unpacked, and
//! bodies pass through without being gathered. What is asked for does not have to make sense: that is the provider's to say.

mod body;
mod headers;
mod path;

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use connector_protocol::{
    Error, ErrorKind, Result,
    answers::{AnswerClass, FactAt, Seen, Verdict},
    manifest::Placement,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use self::body::Arriving;
use super::{
    BoxBody, Egress, Target,
    lost::{Asked, host_of},
    place::Place,
};

/// How large the address of a request may be, in bytes.
const MAX_URL: usize = 16 * 1024;

/// How long to wait before a request is repeated that has not arrived.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// A request as a user has made it.
pub struct Raw {
    /// Its method.
    pub method: Method,
    /// The path below the base, percent-encoded as it came, with one slash before it or none.
    pub path: String,
    /// The query as it came, without the question mark.
    pub query: Option<String>,
    /// The base it goes to; `None`: the first one.
    pub base: Option<String>,
    /// A full address instead of a path below a base. Its host has to be one that the manifest names.
    pub url: Option<Url>,
    /// Its headers. Those that are not on the allow-list stay behind.
    pub headers: HeaderMap,
    /// Its body.
    pub body: RawBody,
}

/// The body of a [`Raw`] request.
pub enum RawBody {
    /// All of it. It can be sent again.
    Whole(Bytes),
    /// One that comes while it is sent, and is gone then.
    Streamed(BoxBody),
}

/// What came back.
pub struct Proxied {
    /// The answer as it was, apart from what belongs to the connection that it came by.
    pub response: Response<BoxBody>,
    /// What it means, as far as the manifest says.
    pub class: AnswerClass,
    /// When the same request may succeed, if the provider has said so.
    pub retry_at: Option<Timestamp>,
}

impl Raw {
    /// The same request once more, if its body is still there: after a credential was refreshed, for example.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let RawBody::Whole(body) = &self.body else { return None };
        Some(Self {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            base: self.base.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: RawBody::Whole(body.clone()),
        })
    }
}

/// A request that is ready to be sent. Its address and headers hold secrets.
struct Ready {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    by_operator: bool,
    /// Where it goes, without what was placed on it.
    url: Url,
}

impl Target {
    fn ready(&self, raw: &Raw) -> Result<Ready> {
        if raw.method == Method::CONNECT || raw.method == Method::TRACE {
            let text = format!("the method {} is not one that is passed on", raw.method);
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let (place, query) = self.place_raw(raw)?;
        self.refuse_placed(query.as_deref())?;
        let mut headers = headers::passed_on(&raw.headers, &self.manifest);
        // The secrets go beside what is there, so that not a byte of that becomes another one.
        let mut placed = place.url.clone();
        if let Some(auth) = self.manifest.auth(&self.credential.auth).filter(|_| place.credential) {
            self.credential.place(auth, &mut placed, &mut headers)?;
        }
        let queries = [query.as_deref(), placed.query()];
        let query: Vec<&str> = queries.into_iter().flatten().filter(|query| !query.is_empty()).collect();
        let mut target = place.url.path().to_owned();
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        if target.len() > MAX_URL {
            let text = format!("the address of the request is longer than {MAX_URL} bytes");
            return Err(Error::new(ErrorKind::Usage, text));
        }
        let unfit = || Error::new(ErrorKind::Usage, "the address holds a character that an address may not");
        let uri = Uri::builder()
            .scheme(place.url.scheme())
            .authority(host_of(&place.url))
            .path_and_query(target.as_str())
            .build()
            .map_err(|_| unfit())?;
        // What is sent is what was looked at, down to the last byte.
        let is_it = uri.scheme_str() == Some(place.url.scheme())
            && uri.authority().is_some_and(|authority| authority.as_str() == host_of(&place.url))
            && uri.path_and_query().is_some_and(|sent| sent.as_str() == target);
        if !is_it {
            return Err(unfit());
        }
        Ok(Ready { method: raw.method.clone(), uri, headers, by_operator: place.by_operator, url: place.url })
    }

    /// Where a user's request goes, and its query.
    fn place_raw(&self, raw: &Raw) -> Result<(Place, Option<String>)> {
        let query = |text: &str| path::query(text).map(|()| Some(text.to_owned()));
        if let Some(url) = &raw.url {
            if !raw.path.trim_start_matches('/').is_empty() || raw.base.is_some() {
                let text = "a request goes to a full address or to a path below a base, not to both";
                return Err(Error::new(ErrorKind::Usage, text).hint("leave one of them out"));
            }
            let mut url = url.clone();
            url.set_fragment(None);
            path::sound(url.path())?;
            let query = match (url.query(), raw.query.as_deref().filter(|query| !query.is_empty())) {
                (Some(_), Some(_)) => {
                    let text = "the full address has a query, and the request has another one";
                    return Err(Error::new(ErrorKind::Usage, text).hint("leave one of them out"));
                }
                (Some(text), None) | (None, Some(text)) => query(text)?,
                (None, None) => None,
            };
            url.set_query(None);
            return Ok((self.check(url)?, query));
        }
        let query = raw.query.as_deref().map_or(Ok(None), query)?;
        let base = match &raw.base {
            Some(name) => self.manifest.base(name),
            None => self.manifest.bases.first(),
        };
        let base = base.ok_or_else(|| {
            let (id, name) = (&self.manifest.id, raw.base.as_deref().unwrap_or("default"));
            let text = format!("the connector `{id}` has no base address `{}`", name.escape_debug());
            Error::new(ErrorKind::Usage, text)
                .hint(format!("see which ones it has: jackfield connector show {id}"))
        })?;
        let (root, by_operator) = self.root(base)?;
        let below = path::sound(&raw.path)?;
        let above = root.path().trim_end_matches('/');
        let expected =
            if below.is_empty() && !above.is_empty() { above.to_owned() } else { format!("{above}/{below}") };
        let mut url = root.clone();
        url.set_path(&expected);
        url.set_query(None);
        // A second opinion: what reads addresses everywhere else has to have read the same one.
        if url.path() != expected || url.origin() != root.origin() {
            return Err(path::elsewhere());
        }
        if by_operator {
            Ok((Place { url, by_operator, credential: self.is_credentialed(base) }, query))
        } else {
            self.check(url).map(|place| (place, query))
        }
    }

    /// A user does not put a value where the credential goes: some servers take the first of two.
    fn refuse_placed(&self, query: Option<&str>) -> Result<()> {
        let placed = |name: &str| {
            let placements = self.manifest.auth.iter().flat_map(|auth| &auth.placement);
            placements
                .filter_map(|placement| match placement {
                    Placement::Query { name: placed, .. } => Some(placed),
                    _ => None,
                })
                .any(|placed| placed.eq_ignore_ascii_case(name))
        };
        let names = query.unwrap_or_default().split(['&', ';']).map(path::parameter_name);
        match names.into_iter().find(|name| placed(name)) {
            None => Ok(()),
            Some(name) => {
                let text =
                    format!("the query parameter `{}` is the connection's to set", name.escape_debug());
                Err(Error::new(ErrorKind::Usage, text)
                    .hint("leave it out: the credential is put on by itself"))
            }
        }
    }
}

impl Egress {
    /// Sends a user's request with the connection's credential, and gives the answer as it comes. The deadline is for all of
    /// it, the answer's body included.
    ///
    /// # Errors
    ///
    /// `usage` if the address cannot be one of the connector's, `blocked` if it may not be reached: nothing was sent then.
    /// `unavailable` if the machine has kept failing and is left alone. `network` and `timeout` if no answer came and nothing
    /// was done; `ambiguous` if nobody knows.
    pub async fn proxy(&self, target: &Target, raw: Raw, deadline: Instant) -> Result<Proxied> {
        let ready = target.ready(&raw)?;
        let (line, who) = (target.line(&ready.url), &target.manifest.title);
        let asked = Asked {
            manifest: &target.manifest,
            host: host_of(&ready.url),
            by_operator: ready.by_operator,
            repeatable: ready.method.is_safe(),
        };
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(FIRST_DELAY)
            .with_max_times(self.retries())
            .with_jitter()
            .build();
        let (mut streamed, whole) = match raw.body {
            RawBody::Whole(body) => (None, Some(body)),
            RawBody::Streamed(body) => (Some(body), None),
        };
        loop {
            if deadline <= Instant::now() {
                let text = format!("there was no time left to send {who} the request");
                return Err(Error::new(ErrorKind::Timeout, text).hint("give it more time"));
            }
            let pass = self.breaker.ask(line.clone(), who)?;
            let body = match (&whole, streamed.take()) {
                (None, Some(body)) => body,
                (whole, _) => {
                    let body = Full::new(whole.clone().unwrap_or_default());
                    body.map_err(|never| match never {}).boxed_unsync()
                }
            };
            let begun = Instant::now();
            let outcome = self.transport.send(ready.request(body), ready.by_operator, deadline).await;
            let (method, ms) = (ready.method.as_str(), begun.elapsed().as_millis());
            let lost = match outcome {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let text = format!("{who} wants to speak another protocol, which was not asked for");
                    return Err(Error::new(ErrorKind::UnexpectedAnswer, text));
                }
                Ok(response) => {
                    let response = response.map(|body| Arriving::new(body, self.idle, deadline, &asked));
                    let (response, verdict) = understood(target, &ready.method, response).await;
                    pass.tell(verdict.class != AnswerClass::Unavailable);
                    let status = response.status().as_u16();
                    tracing::debug!(method, status, class = ?verdict.class, ms, "answered a user's request");
                    return Ok(Proxied { response, class: verdict.class, retry_at: verdict.retry_at });
                }
                Err(lost) => lost,
            };
            if lost.is_the_providers() {
                pass.tell(false);
            }
            tracing::debug!(method, ms, sent = lost.sent, "no answer to a user's request: {}", lost.error);
            let again = whole.is_some() && lost.passing && (!lost.sent || asked.repeatable);
            let wait = if again { delays.next() } else { None };
            match wait.filter(|wait| Instant::now() + *wait < deadline && !self.breaker.is_open(&line)) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(lost.explain(&asked)),
            }
        }
    }
}

impl Ready {
    fn request(&self, body: BoxBody) -> Request<BoxBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// What an answer means, and the answer as it is passed on.
async fn understood(
    target: &Target,
    method: &Method,
    response: Response<Arriving>,
) -> (Response<BoxBody>, Verdict) {
    let (mut parts, mut body) = response.into_parts();
    let answers = &target.manifest.answers;
    let status = parts.status.as_u16();
    let verdict = if parts.status.is_success() {
        // A success is not held up to be looked into. Rules that would have to look say nothing of it.
        let is_blind = |at: &FactAt| matches!(at, FactAt::Pointer(_));
        let looks = answers.rules.iter().any(|rule| {
            (rule.status.is_empty() || rule.status.contains(&status))
                && rule.facts.iter().any(|fact| is_blind(&fact.at))
        });
        if looks { None } else { Some(classify(target, method, &parts.status, &parts.headers, None)) }
    } else {
        let seen = if may_be_looked_into(&parts.headers) { body.look().await } else { None };
        let json = seen.and_then(|seen| connector_protocol::json::read::<Value>(&seen).ok());
        Some(classify(target, method, &parts.status, &parts.headers, json.as_ref()))
    };
    let verdict = verdict.unwrap_or(Verdict { class: AnswerClass::Ok, retry_at: None });
    headers::come_back(&mut parts.headers);
    parts.extensions.clear();
    (Response::from_parts(parts, body.boxed_unsync()), verdict)
}

fn may_be_looked_into(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let is_packed = text(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let len = text(header::CONTENT_LENGTH).and_then(|len| len.parse::<usize>().ok());
    is_json && !is_packed && len.is_none_or(|len| len <= body::LOOK)
}

fn classify(
    target: &Target,
    method: &Method,
    status: &StatusCode,
    headers: &HeaderMap,
    body: Option<&Value>,
) -> Verdict {
    let header = |name: &str| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let seen = Seen { method: method.as_str(), status: status.as_u16(), header: &header, body };
    target.manifest.answers.classify(&seen, Timestamp::now())
}

#[cfg(test)]
mod tests;
