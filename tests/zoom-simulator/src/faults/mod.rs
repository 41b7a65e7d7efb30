//! Faults on demand: what goes wrong with which request. A fault is described in JSON, waits in a queue, and says three
//! things independently: what the answer is, whether the request is carried out all the same, and how the answer is
//! delivered. It does not know what a request would do; the server asks it what to do with the answer.

pub(crate) mod glob;
mod languages;

use std::io::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Plan;
use crate::errors::ZoomError;
use crate::exchange::{Answer, Request};
use crate::limits::{Label, Limit};
use crate::wire::{End, Spoil};
use languages::Language;

/// The most bytes a gzip bomb may have when it has gone off.
const LARGEST_BOMB: u64 = 1 << 30;

/// A fault as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// `GET`, `POST`, … or `*`.
    #[serde(default = "any")]
    method: String,
    /// A pattern for the raw path, with or without `/v2`.
    #[serde(default = "anywhere")]
    path: String,
    /// How many matching requests go through before it begins.
    #[serde(default)]
    skip: u32,
    /// How often it happens. `null`: until it is taken away.
    #[serde(default = "once")]
    times: Option<u32>,
    /// How long the answer is held back, after the request has been carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    /// What is answered instead of what the simulator would answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Instead>,
    /// Whether the request is carried out. As a rule it is unless `answer` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    perform: Option<bool>,
    /// The language of an error message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    /// How the answer gets to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
}

fn any() -> String {
    "*".to_owned()
}

fn anywhere() -> String {
    "**".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "it is the default of an optional member")]
fn once() -> Option<u32> {
    Some(1)
}

/// An answer that the simulator would not give.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Instead {
    /// Exactly this.
    Fixed {
        status: u16,
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Text is sent as it is, anything else as JSON.
        #[serde(default)]
        body: Option<Value>,
        #[serde(default)]
        body_base64: Option<String>,
    },
    /// The page of a gateway in front of Zoom.
    Html {
        #[serde(default = "bad_gateway")]
        status: u16,
    },
    /// A success without a body.
    Empty {
        #[serde(default = "created")]
        status: u16,
    },
    /// An error of Zoom's.
    Error { status: u16, code: i64, message: String },
    /// 401, code 124.
    ExpiredToken,
    /// 401, code 124.
    InvalidToken,
    /// 400, code 4711.
    MissingScopes { scopes: Vec<String> },
    /// 429 of one kind or another.
    RateLimit {
        limit: LimitKind,
        /// Any text at all; without it, what Zoom sends.
        #[serde(default)]
        retry_after: Option<String>,
    },
    Redirect {
        #[serde(default = "found")]
        status: u16,
        location: String,
    },
    /// A small body that is this large once it is decoded.
    GzipBomb {
        #[serde(default = "sixty_four_mebibytes")]
        bytes: u64,
    },
}

fn bad_gateway() -> u16 {
    StatusCode::BAD_GATEWAY.as_u16()
}

fn created() -> u16 {
    StatusCode::CREATED.as_u16()
}

fn found() -> u16 {
    StatusCode::FOUND.as_u16()
}

fn sixty_four_mebibytes() -> u64 {
    64 << 20
}

/// The ways of saying 429.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LimitKind {
    PerSecond,
    Daily,
    PerHost,
    PerRegistrant,
    /// No header at all.
    Bare,
}

/// How an answer is delivered, other than as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Delivery {
    /// The connection is reset: before the answer, or after so many bytes of its body.
    Reset {
        #[serde(default)]
        after_body_bytes: Option<usize>,
    },
    /// The connection is closed: before the answer, or after so many bytes of its body, of which `Content-Length` had
    /// promised more.
    Close {
        #[serde(default)]
        after_body_bytes: Option<usize>,
    },
    /// The body is cut off, and `Content-Length` is that of what is left.
    Truncate { body_bytes: usize },
    /// The answer comes a few bytes at a time, head and all.
    Drip {
        #[serde(default = "one_byte")]
        bytes: usize,
        every_ms: u64,
    },
    /// These bytes come instead of an HTTP answer.
    Raw {
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        base64: Option<String>,
    },
}

fn one_byte() -> usize {
    1
}

/// What of an [`Instead`] can be made before anybody asks.
#[derive(Debug, Clone)]
enum Prepared {
    Answer(Box<Answer>),
    RateLimit {
        limit: Limit,
        retry_after: Option<HeaderValue>,
    },
}

fn status(number: u16) -> Result<StatusCode, String> {
    let status = StatusCode::from_u16(number).map_err(|_| format!("{number} is not an HTTP status"))?;
    if status.is_informational() {
        return Err(format!("{number} is not the status of a final answer"));
    }
    Ok(status)
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    // Bytes above ASCII are allowed in a header, control characters are not.
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} cannot be written into a header"))
}

fn base64(text: &str) -> Result<Bytes, String> {
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|error| format!("the base64 text is invalid: {error}"))
}

fn gateway_page(status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or("Error");
    let title = format!("{} {reason}", status.as_u16());
    Answer::html(
        status,
        format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
             <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        ),
    )
}

/// `{"padding":"    …"}`, so that it is valid JSON for whoever has the memory.
fn gzip_bomb(bytes: u64) -> Result<Answer, String> {
    const OPENING: &[u8] = b"{\"padding\":\"";
    const CLOSING: &[u8] = b"\"}";
    if bytes > LARGEST_BOMB {
        return Err(format!("a bomb can have at most {LARGEST_BOMB} bytes"));
    }
    let compress = || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(OPENING)?;
        let blank = [b' '; 1 << 16];
        let mut left = usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .saturating_sub(OPENING.len() + CLOSING.len());
        while left > 0 {
            let now = left.min(blank.len());
            encoder.write_all(&blank[..now])?;
            left -= now;
        }
        encoder.write_all(CLOSING)?;
        encoder.finish()
    };
    let body = compress().map_err(|error: std::io::Error| error.to_string())?;
    let mut answer = Answer::json(StatusCode::OK, &Value::Null);
    answer.body = body.into();
    Ok(answer.with_header(CONTENT_ENCODING, HeaderValue::from_static("gzip")))
}

impl Instead {
    fn prepare(&self) -> Result<Prepared, String> {
        let answer = match self {
            Self::Fixed {
                status: number,
                headers,
                body,
                body_base64,
            } => {
                let mut answer = Answer::empty(status(*number)?);
                match (body, body_base64) {
                    (Some(_), Some(_)) => return Err("body and body_base64 exclude each other".to_owned()),
                    (None, Some(encoded)) => answer.body = base64(encoded)?,
                    (Some(Value::String(text)), None) => answer.body = text.clone().into(),
                    (Some(value), None) => answer = Answer::json(answer.status, value),
                    (None, None) => {}
                }
                for (name, value) in headers {
                    let parsed = name.parse::<HeaderName>();
                    let name = parsed.map_err(|_| format!("{name:?} is not the name of a header"))?;
                    let value = header_value(value)?;
                    // A content type that is said replaces the one that was guessed; others may be said twice.
                    if name == CONTENT_TYPE {
                        answer.headers.insert(name, value);
                    } else {
                        answer.headers.append(name, value);
                    }
                }
                answer
            }
            Self::Html { status: number } => gateway_page(status(*number)?),
            Self::Empty { status: number } => Answer::empty(status(*number)?),
            Self::Error {
                status: number,
                code,
                message,
            } => ZoomError::new(status(*number)?, *code, message).into(),
            Self::ExpiredToken => ZoomError::expired_token().into(),
            Self::InvalidToken => ZoomError::invalid_token().into(),
            Self::MissingScopes { scopes } => ZoomError::missing_scopes(scopes).into(),
            Self::RateLimit { limit, retry_after } => {
                let retry_after = retry_after.as_deref().map(header_value).transpose()?;
                let limit = match limit {
                    LimitKind::PerSecond => Limit::PerSecond,
                    LimitKind::Daily => Limit::Daily,
                    LimitKind::PerHost => Limit::PerHost,
                    LimitKind::PerRegistrant => Limit::PerRegistrant,
                    LimitKind::Bare => {
                        let error = ZoomError::too_many(Limit::PerSecond.message(), Default::default());
                        let mut answer = Answer::from(error);
                        if let Some(value) = retry_after {
                            answer.headers.insert(RETRY_AFTER, value);
                        }
                        return Ok(Prepared::Answer(Box::new(answer)));
                    }
                };
                return Ok(Prepared::RateLimit { limit, retry_after });
            }
            Self::Redirect {
                status: number,
                location,
            } => Answer::empty(status(*number)?).with_header(LOCATION, header_value(location)?),
            Self::GzipBomb { bytes } => gzip_bomb(*bytes)?,
        };
        Ok(Prepared::Answer(Box::new(answer)))
    }
}

impl Prepared {
    fn answer(&self, plan: Plan, now: Timestamp) -> Answer {
        match self {
            Self::Answer(answer) => (**answer).clone(),
            Self::RateLimit { limit, retry_after } => {
                let mut headers = limit.headers(Label::Medium, plan, now);
                if let Some(value) = retry_after {
                    headers.insert(RETRY_AFTER, value.clone());
                }
                ZoomError::too_many(limit.message(), headers).into()
            }
        }
    }
}

/// A fault that is about to happen to a request.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) id: u64,
    pub(crate) delay: Option<Duration>,
    /// Whether the request is to be carried out.
    pub(crate) perform: bool,
    instead: Option<Prepared>,
    language: Option<Language>,
    truncate: Option<usize>,
    /// What is done to the connection.
    pub(crate) spoil: Option<Spoil>,
}

impl Due {
    fn new(id: u64, fault: &Fault) -> Result<Self, String> {
        let (mut truncate, mut spoil) = (None, None);
        match &fault.delivery {
            None => {}
            Some(Delivery::Reset { after_body_bytes }) => {
                spoil = Some(Spoil::Cut {
                    body_bytes: *after_body_bytes,
                    end: End::Reset,
                });
            }
            Some(Delivery::Close { after_body_bytes }) => {
                spoil = Some(Spoil::Cut {
                    body_bytes: *after_body_bytes,
                    end: End::Close,
                });
            }
            Some(Delivery::Truncate { body_bytes }) => truncate = Some(*body_bytes),
            Some(Delivery::Drip { bytes: 0, .. }) => return Err("a drip needs at least one byte".to_owned()),
            Some(Delivery::Drip { bytes, every_ms }) => {
                spoil = Some(Spoil::Drip {
                    chunk: *bytes,
                    pause: Duration::from_millis(*every_ms),
                });
            }
            Some(Delivery::Raw {
                text,
                base64: encoded,
            }) => {
                let bytes = match (text, encoded) {
                    (Some(text), None) => Bytes::from(text.clone()),
                    (None, Some(encoded)) => base64(encoded)?,
                    _ => return Err("raw needs either text or base64".to_owned()),
                };
                spoil = Some(Spoil::Replace(bytes));
            }
        }
        let instead = fault.answer.as_ref().map(Instead::prepare).transpose()?;
        Ok(Self {
            id,
            delay: fault.delay_ms.map(Duration::from_millis),
            perform: fault.perform.unwrap_or(instead.is_none()),
            instead,
            language: fault.language,
            truncate,
            spoil,
        })
    }

    /// What is answered, given what the simulator would have answered if it was asked to.
    pub(crate) fn answer(&self, own: Option<Answer>, plan: Plan, now: Timestamp) -> Answer {
        let instead = self.instead.as_ref().map(|prepared| prepared.answer(plan, now));
        let explanation = own.as_ref().and_then(|own| own.explanation.clone());
        let mut answer = instead
            .or(own)
            .unwrap_or_else(|| Answer::empty(StatusCode::NO_CONTENT));
        answer.explanation = explanation;
        if let Some(language) = self.language {
            answer = languages::translate(answer, language);
        }
        if let Some(bytes) = self.truncate {
            answer.body.truncate(bytes);
        }
        answer
    }
}

#[derive(Debug)]
struct Queued {
    fault: Fault,
    due: Due,
    /// How often it has happened.
    happened: u32,
}

/// A queued fault as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    id: u64,
    happened: u32,
    #[serde(flatten)]
    fault: Fault,
}

/// The faults that wait for their requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: Vec<Queued>,
    last_id: u64,
}

impl Faults {
    /// Queues a fault. Answers its id, or what is wrong with it.
    pub(crate) fn add(&mut self, fault: Fault) -> Result<u64, String> {
        if fault.times == Some(0) {
            return Err("times has to be at least 1".to_owned());
        }
        let id = self.last_id + 1;
        let due = Due::new(id, &fault)?;
        self.last_id = id;
        self.queue.push(Queued {
            fault,
            due,
            happened: 0,
        });
        Ok(id)
    }

    /// Takes the first fault that is meant for this request, if there is one.
    pub(crate) fn take(&mut self, request: &Request) -> Option<Due> {
        let path = request.path.as_str();
        let short = path
            .strip_prefix("/v2")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path);
        let index = self.queue.iter_mut().position(|Queued { fault, .. }| {
            let is_meant = (fault.method == "*"
                || fault.method.eq_ignore_ascii_case(request.method.as_str()))
                && (glob::matches(&fault.path, path) || glob::matches(&fault.path, short));
            let begins_later = is_meant && fault.skip > 0;
            if begins_later {
                fault.skip -= 1;
            }
            is_meant && !begins_later
        })?;
        let queued = &mut self.queue[index];
        queued.happened += 1;
        let due = queued.due.clone();
        if let Some(times) = &mut queued.fault.times {
            *times -= 1;
            if *times == 0 {
                self.queue.remove(index);
            }
        }
        Some(due)
    }

    pub(crate) fn list(&self) -> Vec<Listed> {
        let listed = |queued: &Queued| Listed {
            id: queued.due.id,
            happened: queued.happened,
            fault: queued.fault.clone(),
        };
        self.queue.iter().map(listed).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes a fault away. Answers whether it was there.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.queue.len();
        self.queue.retain(|queued| queued.due.id != id);
        self.queue.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}
