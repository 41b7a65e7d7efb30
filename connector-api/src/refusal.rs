//! An answer that says no, and the error it becomes.

use connector_protocol::{
    Error, ErrorKind, Problem, ProviderError,
    answers::{AnswerClass, Answers},
    message::HttpAnswer,
};
use serde_json::Value;

use crate::context::Operation;

/// An answer that is not `ok`. The connector's [`explain`](crate::Connector::explain) makes the error of it, so that every
/// refusal of a provider becomes a next step in one place.
///
/// ```
/// use connector_api::{Refusal, prelude::*};
///
/// fn explain(refusal: &Refusal) -> Error {
///     match refusal.code() {
///         Some("plan_limit") => refusal.error("this needs a paid plan").hint("upgrade at the provider, or use another account"),
///         _ => refusal.default_error(),
///     }
/// }
/// # let _: fn(&Refusal) -> Error = explain;
/// ```
#[derive(Debug)]
pub struct Refusal {
    connector: String,
    operation: Operation,
    answer: HttpAnswer,
    provider: ProviderError,
    problems: Vec<Problem>,
    body: Option<Value>,
    request: (String, String),
}

impl Refusal {
    pub(crate) fn new(
        connector: &str,
        answers: &Answers,
        operation: Operation,
        request: (String, String),
        answer: HttpAnswer,
        body: &[u8],
    ) -> Self {
        let body: Option<Value> = connector_protocol::json::read(body).ok();
        let (provider, problems) = answers.read_error(answer.status, body.as_ref());
        Self { connector: connector.to_owned(), operation, answer, provider, problems, body, request }
    }

    /// The provider's error code, as text.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.provider.code.as_deref()
    }

    /// The provider's message. It may be in the user's language: show it, never branch on it.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.provider.message.as_deref()
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.answer.status
    }

    /// A header of the answer, by lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the answer means by the manifest's rules.
    #[must_use]
    pub fn class(&self) -> AnswerClass {
        self.answer.class
    }

    /// When the same request may succeed.
    #[must_use]
    pub fn retry_at(&self) -> Option<jiff::Timestamp> {
        self.answer.retry_at
    }

    /// The name of the action or trigger that made the request; empty for a look at the account.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation.name
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.0
    }

    /// The template of the request's path: `/meetings/{meeting_id}`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.request.1
    }

    /// The body, if it is JSON.
    #[must_use]
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// An error with this sentence, of the kind that the answer's class stands for, with everything the provider said.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let kind = self.answer.class.error_kind().unwrap_or(ErrorKind::Refused);
        let mut error =
            Error::new(kind, message).provider(self.provider.clone()).problems(self.problems.clone());
        error.retry_at = self.answer.retry_at;
        if error.kind == ErrorKind::MissingScope {
            let alternatives = self.operation.scopes.iter().map(|set| set.declare().all.join(" "));
            error.scopes = alternatives.collect();
        }
        error
    }

    /// The error that the answer becomes where the connector knows nothing better.
    #[must_use]
    pub fn default_error(&self) -> Error {
        let who = &self.connector;
        let said = self
            .provider
            .message
            .as_deref()
            .map_or(String::new(), |text| format!(": {}", text.trim_end_matches('.')));
        let status = self.answer.status;
        self.error(match self.answer.class {
            AnswerClass::Expired => format!("{who} does not accept the credential{said}"),
            AnswerClass::MissingScope => format!("{who} refused: the credential lacks a scope{said}"),
            AnswerClass::RateLimited => format!("{who} refused: too many calls{said}"),
            AnswerClass::NotFound => format!("{who} has no such thing{said}"),
            AnswerClass::Invalid => format!("{who} does not accept the input{said}"),
            AnswerClass::Unavailable => format!("{who} failed with status {status}{said}"),
            AnswerClass::Refused | AnswerClass::Ok | AnswerClass::Other => {
                format!("{who} refused with status {status}{said}")
            }
        })
    }
}
