//! Requests of the host itself: a form that gets a credential, renews one or gives one up.
//!
//! What is sent holds secrets, so nothing of it stands in an address, nothing is followed to another place, and nothing is
//! noted but that it was sent. What the fields mean is for the caller to know.

use std::time::Instant;

use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{Error, ErrorKind, Result, manifest::Endpoint, message::HttpRequest};
use reqwest::{
    Method, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    Egress, Prepared, Target,
    lost::Lost,
    place::Place,
    send::{asked, fits, lost},
};

/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// What came back for a form. Its body may hold secrets, so nothing shows it.
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// What the body claims to be.
    pub content_type: Option<String>,
    /// When to come back, as the provider wrote it.
    pub retry_after: Option<String>,
    /// What time it was for the provider, as it wrote it.
    pub date: Option<String>,
    /// The body; of a refusal, as much of it as came and is read.
    pub body: Zeroizing<Vec<u8>>,
}

/// That nothing came back for a form.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub error: Error,
    /// Whether the provider may have got it.
    pub sent: bool,
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self { error, sent: false }
    }
}

impl Target {
    /// Where one of the manifest's endpoints is: where the operator says, else at the base.
    ///
    /// # Errors
    ///
    /// If nothing of this connector may go there.
    pub fn address(&self, endpoint: &Endpoint) -> Result<Url> {
        self.endpoint(endpoint).map(|place| place.url)
    }

    fn endpoint(&self, endpoint: &Endpoint) -> Result<Place> {
        self.place(&HttpRequest {
            base: Some(endpoint.base.clone()),
            path: endpoint.path.clone(),
            ..HttpRequest::default()
        })
    }

    fn prepare_form(
        &self,
        endpoint: &Endpoint,
        fields: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<Prepared> {
        let place = self.endpoint(endpoint)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some((name, password)) = basic {
            headers.insert(AUTHORIZATION, basic_header(name, password)?);
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes();
        Ok(Prepared {
            method: Method::POST,
            url: place.url,
            headers,
            body,
            by_operator: place.by_operator,
            repeatable: false,
            template: endpoint.path.clone(),
        })
    }
}

/// A client's name and password, each encoded as in a form first (RFC 6749, 2.3.1): a colon would end the name.
fn basic_header(name: &str, password: &str) -> Result<HeaderValue> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(name), encode(password)));
    let mut value = HeaderValue::from_str(&format!("Basic {pair}"))
        .map_err(|_| Error::new(ErrorKind::Internal, "the client's credential does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Egress {
    /// Sends a form to one of the manifest's endpoints, `basic` being the name and the password of whoever sends it. It is
    /// repeated only while it has not left this machine; where the answer leads on, nobody follows.
    ///
    /// # Errors
    ///
    /// If it may not be sent, or if no whole answer came.
    pub async fn form(
        &self,
        target: &Target,
        endpoint: &Endpoint,
        fields: &[(&str, &str)],
        basic: Option<(&str, &str)>,
        deadline: Instant,
    ) -> Result<Answered, Unanswered> {
        let request = target.prepare_form(endpoint, fields, basic)?;
        let path = request.template.as_str();
        let mut delays = self.delays();
        loop {
            let begun = Instant::now();
            let outcome = match self.dispatch(&request, deadline).await {
                Ok(response) => read(response).await,
                Err(lost) => Err(lost),
            };
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let lost = match outcome {
                Ok(answer) => {
                    tracing::debug!(method = "POST", path, status = answer.status, ms, "answered");
                    return Ok(answer);
                }
                Err(lost) => lost,
            };
            tracing::debug!(method = "POST", path, ms, sent = lost.sent, "no answer: {}", lost.error);
            let wait = if lost.passing && !lost.sent { delays.next() } else { None };
            match wait.filter(|wait| fits(*wait, deadline)) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(unanswered(target, &request, lost)),
            }
        }
    }
}

/// Takes an answer. A refusal is one however little of its body came: the status says it.
async fn read(mut response: Response) -> Result<Answered, Lost> {
    let status = response.status();
    let text = |name| Some(String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).into_owned());
    let (content_type, retry_after, date) = (text(CONTENT_TYPE), text(RETRY_AFTER), text(DATE));
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(None) => break,
            _ if !status.is_success() => break,
            Ok(Some(_)) => {
                let text = format!("sent an answer of more than {MAX_ANSWER} bytes");
                let error = Error::new(ErrorKind::UnexpectedAnswer, text);
                return Err(Lost { error, sent: true, passing: false });
            }
            Err(error) => {
                let mut lost = lost(&error);
                lost.sent = true;
                // It broke off, which the client takes for a fault in what is written.
                if lost.error.kind == ErrorKind::UnexpectedAnswer {
                    lost.error.kind = ErrorKind::Network;
                }
                return Err(lost);
            }
        }
    }
    Ok(Answered { status: status.as_u16(), content_type, retry_after, date, body })
}

/// In the words of whoever asked for it. That nobody knows what became of it is not said here: `ambiguous` would be about
/// what the user wanted done, and this is only the way there.
fn unanswered(target: &Target, request: &Prepared, lost: Lost) -> Unanswered {
    let sent = lost.sent;
    let mut repeatable = request.clone();
    repeatable.repeatable = true;
    let mut error = lost.explain(&asked(target, &repeatable));
    if sent && matches!(error.kind, ErrorKind::Network | ErrorKind::Timeout) {
        error.kind = ErrorKind::Unavailable;
    }
    Unanswered { error, sent }
}
