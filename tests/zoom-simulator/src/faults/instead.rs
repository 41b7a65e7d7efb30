//! Answers that the simulator would not give, as a fault describes them.

use std::io::Write as _;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::base64;
use crate::config::Plan;
use crate::errors::ZoomError;
use crate::exchange::Answer;
use crate::limits::{Label, Limit};

/// The most bytes a gzip bomb may have when it has gone off.
const LARGEST_BOMB: u64 = 1 << 30;

/// An answer that the simulator would not give.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Instead {
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
pub(super) enum LimitKind {
    PerSecond,
    Daily,
    PerHost,
    PerRegistrant,
    /// No header at all.
    Bare,
}

/// What of an [`Instead`] can be made before anybody asks.
#[derive(Debug, Clone)]
pub(super) enum Prepared {
    Answer(Box<Answer>),
    RateLimit { limit: Limit, retry_after: Option<HeaderValue> },
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
        let mut left =
            usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(OPENING.len() + CLOSING.len());
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
    /// Makes what can be made of it before anybody asks, or says what is wrong with it.
    pub(super) fn prepare(&self) -> Result<Prepared, String> {
        let answer = match self {
            Self::Fixed { status: number, headers, body, body_base64 } => {
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
            Self::Error { status: number, code, message } => {
                ZoomError::new(status(*number)?, *code, message).into()
            }
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
                        let error = ZoomError::too_many(Limit::PerSecond.message(), HeaderMap::new());
                        let mut answer = Answer::from(error);
                        if let Some(value) = retry_after {
                            answer.headers.insert(RETRY_AFTER, value);
                        }
                        return Ok(Prepared::Answer(Box::new(answer)));
                    }
                };
                return Ok(Prepared::RateLimit { limit, retry_after });
            }
            Self::Redirect { status: number, location } => {
                Answer::empty(status(*number)?).with_header(LOCATION, header_value(location)?)
            }
            Self::GzipBomb { bytes } => gzip_bomb(*bytes)?,
        };
        Ok(Prepared::Answer(Box::new(answer)))
    }
}

impl Prepared {
    pub(super) fn answer(&self, plan: Plan, now: Timestamp) -> Answer {
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
