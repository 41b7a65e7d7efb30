//! Zoom's error bodies: `{"code", "message"}`, with `"errors"` for a validation failure. The code is not the HTTP
//! status. Codes and English messages are those of Zoom's API reference where it gives them.

use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::exchange::Answer;

/// One member of a validation failure's `errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// Dotted path of the member, such as `settings.approval_type`.
    pub(crate) field: String,
    /// What is wrong with it, in words that Zoom does not use.
    pub(crate) reason: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Why a call is refused.
#[derive(Debug)]
pub(crate) struct ZoomError {
    status: StatusCode,
    code: i64,
    message: String,
    headers: Box<HeaderMap>,
    invalid: Vec<Invalid>,
    explanation: Option<String>,
}

pub(crate) type ZoomResult<T> = Result<T, ZoomError>;

impl ZoomError {
    pub(crate) fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Box::default(),
            invalid: Vec::new(),
            explanation: None,
        }
    }

    fn refused(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn missing(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Says in the journal and the log what the body does not say.
    pub(crate) fn because(mut self, explanation: impl Into<String>) -> Self {
        self.explanation = Some(explanation.into());
        self
    }

    /// The same refusal in other words.
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(crate) fn unknown_route() -> Self {
        Self::missing(2300, "This API endpoint is not recognized.")
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 124, "Invalid access token.")
    }

    pub(crate) fn expired_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 124, "Access token is expired.")
    }

    /// 400, not 403.
    pub(crate) fn missing_scopes(scopes: &[String]) -> Self {
        let scopes = scopes.join(",");
        Self::refused(4711, format!("Invalid access token, does not contain scopes:[{scopes}]."))
    }

    pub(crate) fn not_json(explanation: impl Into<String>) -> Self {
        Self::refused(300, "Request Body should be a valid JSON object.").because(explanation)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, 300, "Unsupported Content Type")
            .because("the Content-Type of the request is not application/json")
    }

    /// One validation failure with every problem in it.
    pub(crate) fn validation(invalid: Vec<Invalid>) -> Self {
        let reasons: Vec<String> =
            invalid.iter().map(|invalid| format!("{}: {}", invalid.field, invalid.reason)).collect();
        let mut error = Self::refused(300, "Validation Failed.").because(reasons.join("; "));
        error.invalid = invalid;
        error
    }

    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::validation(vec![Invalid::new(field, reason)])
    }

    /// Code 300 with a sentence of its own instead of `errors`.
    pub(crate) fn bad_value(message: impl Into<String>) -> Self {
        Self::refused(300, message)
    }

    pub(crate) fn bad_occurrence(parameter: &str) -> Self {
        Self::refused(300, format!("Invalid parameter: {parameter}."))
    }

    pub(crate) fn bad_page_token(explanation: &str) -> Self {
        Self::refused(300, "The next page token is invalid or expired.").because(explanation)
    }

    pub(crate) fn registration_off(meeting: i64) -> Self {
        Self::refused(300, format!("Registration has not been enabled for this meeting: {meeting}."))
    }

    pub(crate) fn bad_registrant_id() -> Self {
        Self::refused(
            300,
            "The value that you entered for the Registrant ID field is invalid. Enter a valid value and try again.",
        )
    }

    pub(crate) fn paid_only(user: &str) -> Self {
        Self::refused(200, format!("Only available for paid users: {user}."))
    }

    pub(crate) fn no_user(user: &str) -> Self {
        Self::missing(1001, format!("User does not exist: {user}."))
    }

    pub(crate) fn no_meeting(meeting: &str) -> Self {
        Self::missing(3001, format!("Meeting does not exist: {meeting}."))
    }

    /// *Add a meeting registrant* answers another code than every other call on a meeting that is not there.
    pub(crate) fn no_meeting_to_register_for(meeting: &str) -> Self {
        Self::missing(1001, format!("Meeting does not exist: {meeting}."))
    }

    pub(crate) fn is_webinar() -> Self {
        Self::refused(3000, "Cannot access webinar info.")
    }

    /// Code 3000 covers several unrelated refusals, each with its sentence.
    pub(crate) fn no_access(message: impl Into<String>) -> Self {
        Self::refused(3000, message)
    }

    pub(crate) fn personal_meeting() -> Self {
        Self::refused(3018, "Not allowed to delete PMI.")
    }

    pub(crate) fn meeting_full() -> Self {
        Self::refused(3043, "Meeting has reached maximum attendee capacity.")
    }

    pub(crate) fn may_not_host() -> Self {
        Self::refused(
            3161,
            "Meeting hosting and scheduling capabilities are not allowed for your user account.",
        )
    }

    pub(crate) fn too_many(message: impl Into<String>, headers: HeaderMap) -> Self {
        Self { headers: Box::new(headers), ..Self::new(StatusCode::TOO_MANY_REQUESTS, 429, message) }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    code: i64,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<serde_json::Value>,
}

impl From<ZoomError> for Answer {
    fn from(error: ZoomError) -> Self {
        let errors = error
            .invalid
            .iter()
            .map(|invalid| json!({"field": invalid.field, "message": "Invalid field."}))
            .collect();
        let body = Body { code: error.code, message: &error.message, errors };
        let mut answer = Answer::json(error.status, &body);
        answer.headers.extend(*error.headers);
        answer.explanation = error.explanation;
        answer
    }
}
