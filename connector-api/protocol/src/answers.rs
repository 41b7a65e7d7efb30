//! How a provider's answers are told apart, as data: which of them say that a token has expired, that there were too many
//! calls, that the answer is no although its status is 200.
//!
//! The host classifies, because it is the host that refreshes, waits and repeats; a connector's fixtures classify by the
//! same function, so that a fixture cannot pass on an answer the host would see otherwise.

use jiff::{SignedDuration, Timestamp, ToSpan, civil, fmt::rfc2822, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ErrorKind, Problem, ProviderError};

/// What a provider's answers mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answers {
    /// Where an error says what it is.
    #[serde(default, skip_serializing_if = "ErrorMembers::is_default")]
    pub error: ErrorMembers,
    /// What answers mean that the HTTP status does not tell. The first rule that fits counts; where none does:
    /// 2xx is `ok`, 401 `expired`, 403 `refused`, 404 and 410 `not_found`, 429 `rate_limited`, 5xx `unavailable`, any
    /// other `refused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AnswerRule>,
    /// Headers besides `Retry-After` that say when to come back, for answers that are `rate_limited`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wait: Vec<WaitHeader>,
}

/// Where an error says what it is, as JSON pointers into the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorMembers {
    /// The provider's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The list of problems with single fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems: Option<ProblemMembers>,
}

impl ErrorMembers {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a list of problems stands and what its items look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemMembers {
    /// The list, as a JSON pointer into the body.
    pub at: String,
    /// The member of an item that names the field, in the provider's dotted notation (`recurrence.weekly_days`).
    pub field: String,
    /// The member of an item that says what is wrong.
    pub message: String,
}

/// What an answer means if all of its conditions hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerRule {
    /// The HTTP statuses it is about; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// The methods of the requests it is about; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What must be true of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// What it means then.
    pub class: AnswerClass,
    /// When the same request may succeed, where the answer itself does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

/// One condition on an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// Which value.
    #[serde(flatten)]
    pub at: FactAt,
    /// What it must be.
    pub is: FactIs,
}

/// A value in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactAt {
    /// The value of this header.
    Header(String),
    /// The value at this JSON pointer into the body.
    Pointer(String),
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactIs {
    /// Not there.
    Absent,
    /// One of these. A number and the text of its digits are the same.
    In(Vec<Value>),
    /// A number above this one.
    Above(i64),
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerClass {
    /// It was done.
    Ok,
    /// The credential is not accepted, or no longer.
    Expired,
    /// The credential lacks a scope.
    MissingScope,
    /// Too many calls.
    RateLimited,
    /// The thing is not there.
    NotFound,
    /// A value of the request is wrong.
    Invalid,
    /// The provider said no.
    Refused,
    /// The provider failed.
    Unavailable,
    /// One that this version does not know: no success. No manifest names it.
    #[serde(other)]
    #[schemars(skip)]
    Other,
}

impl AnswerClass {
    /// The kind of error that this class becomes; `None` for [`AnswerClass::Ok`].
    #[must_use]
    pub fn error_kind(self) -> Option<ErrorKind> {
        Some(match self {
            Self::Ok => return None,
            Self::Expired => ErrorKind::Unauthorized,
            Self::MissingScope => ErrorKind::MissingScope,
            Self::RateLimited => ErrorKind::RateLimited,
            Self::NotFound => ErrorKind::NotFound,
            Self::Invalid => ErrorKind::InvalidInput,
            Self::Refused | Self::Other => ErrorKind::Refused,
            Self::Unavailable => ErrorKind::Unavailable,
        })
    }
}

/// When the same request may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// At the next midnight, UTC.
    NextUtcDay,
}

/// A header that says when to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitHeader {
    /// Its name.
    pub header: String,
    /// What its number counts.
    pub unit: WaitUnit,
}

/// What the number in a [`WaitHeader`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitUnit {
    /// Seconds from now.
    Seconds,
    /// Seconds since 1970.
    UnixSeconds,
}

/// An answer, as far as classifying it needs.
pub struct Seen<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// Its headers, by lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// Its body, if it is JSON.
    pub body: Option<&'a Value>,
}

/// What an answer means, and when to come back if it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it means.
    pub class: AnswerClass,
    /// When the same request may succeed; never before now.
    pub retry_at: Option<Timestamp>,
}

impl Answers {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Says what an answer means.
    #[must_use]
    pub fn classify(&self, seen: &Seen<'_>, now: Timestamp) -> Verdict {
        let rule = self.rules.iter().find(|rule| rule.fits(seen));
        let class = rule.map_or_else(|| by_status(seen.status), |rule| rule.class);
        let stated = (seen.header)("retry-after").and_then(|text| retry_after(&text, now));
        let retry_at = match class {
            AnswerClass::RateLimited => stated
                .or_else(|| rule.and_then(|rule| rule.until).map(|until| until.after(now)))
                .or_else(|| self.wait.iter().find_map(|wait| wait.read(seen, now))),
            AnswerClass::Unavailable => stated,
            _ => None,
        };
        Verdict { class, retry_at }
    }

    /// Reads what the provider says of its error, and the problems with single fields, their names made JSON pointers.
    #[must_use]
    pub fn read_error(&self, status: u16, body: Option<&Value>) -> (ProviderError, Vec<Problem>) {
        let text = |pointer: &Option<String>| {
            let value = body?.pointer(pointer.as_deref()?)?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let provider =
            ProviderError { status, code: text(&self.error.code), message: text(&self.error.message) };
        let problems = self.error.problems.as_ref().and_then(|members| {
            let list = body?.pointer(&members.at)?.as_array()?;
            Some(list.iter().filter_map(|item| members.read(item)).collect())
        });
        (provider, problems.unwrap_or_default())
    }
}

impl ProblemMembers {
    fn read(&self, item: &Value) -> Option<Problem> {
        let field = item.get(&self.field)?.as_str()?;
        let message = item.get(&self.message).and_then(Value::as_str).unwrap_or("is not accepted");
        Some(Problem::new(pointer_from_dotted(field), message.trim_end_matches('.')))
    }
}

/// `recurrence.weekly_days` and `rooms[0].name` as JSON pointers.
fn pointer_from_dotted(field: &str) -> String {
    let mut pointer = String::new();
    for step in field.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
    {
        pointer.push('/');
        pointer.push_str(&crate::schema::escape(step));
    }
    pointer
}

fn by_status(status: u16) -> AnswerClass {
    match status {
        200..=299 => AnswerClass::Ok,
        401 => AnswerClass::Expired,
        404 | 410 => AnswerClass::NotFound,
        429 => AnswerClass::RateLimited,
        500..=599 => AnswerClass::Unavailable,
        _ => AnswerClass::Refused,
    }
}

impl AnswerRule {
    fn fits(&self, seen: &Seen<'_>) -> bool {
        (self.status.is_empty() || self.status.contains(&seen.status))
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == seen.method))
            && self.facts.iter().all(|fact| fact.holds(seen))
    }
}

impl Fact {
    fn holds(&self, seen: &Seen<'_>) -> bool {
        let value = match &self.at {
            FactAt::Header(name) => (seen.header)(&name.to_ascii_lowercase()).map(Value::String),
            FactAt::Pointer(pointer) => seen.body.and_then(|body| body.pointer(pointer)).cloned(),
        };
        match (&self.is, value) {
            (FactIs::Absent, value) => value.is_none(),
            (_, None) => false,
            (FactIs::In(list), Some(value)) => list.iter().any(|one| same(one, &value)),
            (FactIs::Above(least), Some(value)) => {
                let number = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
                number.is_some_and(|number| number > *least)
            }
        }
    }
}

/// Equal, or a number and the text of its digits.
fn same(a: &Value, b: &Value) -> bool {
    a == b
        || match (a, b) {
            (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
                *text == number.to_string()
            }
            _ => false,
        }
}

impl Until {
    fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::NextUtcDay => {
                let tomorrow = now.to_zoned(TimeZone::UTC).date().saturating_add(1.day());
                tomorrow.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
            }
        }
    }
}

impl WaitHeader {
    fn read(&self, seen: &Seen<'_>, now: Timestamp) -> Option<Timestamp> {
        let number: i64 = (seen.header)(&self.header.to_ascii_lowercase())?.trim().parse().ok()?;
        let at = match self.unit {
            WaitUnit::Seconds => later(now, number.max(0)),
            WaitUnit::UnixSeconds => Timestamp::from_second(number).ok()?,
        };
        Some(at.max(now))
    }
}

/// `now` and that many seconds, or the end of time.
fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// Reads a `Retry-After` in every form that is seen: seconds, the three HTTP dates, an ISO 8601 date and time. What lies
/// in the past becomes now; what cannot be read is `None`.
///
/// ```
/// use connector_protocol::answers::retry_after;
/// let now = "2026-11-23T10:00:00Z".parse()?;
/// for text in ["120", "Mon, 23 Nov 2026 10:02:00 GMT", "2026-11-23T10:02:00Z", "2026-11-23T11:02:00+01:00"] {
///     assert_eq!(retry_after(text, now).map(|at| at.to_string()), Some("2026-11-23T10:02:00Z".to_owned()));
/// }
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn retry_after(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Longer than any wait there will be: the end of time, as the calendar has it.
        let seconds: i64 = text.parse().unwrap_or(i64::MAX);
        return Some(later(now, seconds));
    }
    let utc = |civil: civil::DateTime| civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let at = rfc2822::parse(text)
        .ok()
        .map(|zoned| zoned.timestamp())
        .or_else(|| text.parse().ok())
        .or_else(|| civil::DateTime::strptime("%A, %d-%b-%y %H:%M:%S GMT", text).ok().and_then(utc))
        .or_else(|| civil::DateTime::strptime("%a %b %e %H:%M:%S %Y", text).ok().and_then(utc))
        .or_else(|| text.parse::<civil::DateTime>().ok().and_then(utc))?;
    Some(at.max(now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn classify(
        answers: &Value,
        method: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> String {
        let answers: Answers = serde_json::from_value(answers.clone()).unwrap();
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let verdict = answers.classify(&Seen { method, status, header: &header, body: Some(body) }, now());
        let class = serde_json::to_value(verdict.class).unwrap();
        let retry_at = verdict.retry_at.map_or(String::new(), |at| format!(" at {at}"));
        format!("{}{retry_at}", class.as_str().unwrap())
    }

    #[test]
    fn without_rules_the_status_tells() {
        for (status, class) in [
            (200, "ok"),
            (204, "ok"),
            (302, "refused"),
            (400, "refused"),
            (401, "expired"),
            (404, "not_found"),
            (429, "rate_limited"),
            (503, "unavailable"),
        ] {
            assert_eq!(classify(&json!({}), "GET", status, &[], &Value::Null), class);
        }
        assert_eq!(
            classify(&json!({}), "GET", 503, &[("retry-after", "5")], &Value::Null),
            "unavailable at 2026-11-23T10:00:05Z"
        );
    }

    #[test]
    fn a_refusal_with_status_200_is_told_by_its_body() {
        let slack = json!({"rules": [
            {"facts": [{"pointer": "/error", "is": {"in": ["token_expired", "invalid_auth"]}}], "class": "expired"},
            {"facts": [{"pointer": "/ok", "is": {"in": [false]}}], "class": "refused"},
        ]});
        assert_eq!(classify(&slack, "POST", 200, &[], &json!({"ok": true})), "ok");
        assert_eq!(
            classify(&slack, "POST", 200, &[], &json!({"ok": false, "error": "channel_not_found"})),
            "refused"
        );
        assert_eq!(
            classify(&slack, "POST", 200, &[], &json!({"ok": false, "error": "token_expired"})),
            "expired"
        );
    }

    #[test]
    fn a_limit_without_words_is_told_by_what_is_missing() {
        let answers = json!({
            "rules": [{
                "status": [429], "methods": ["POST", "PATCH"], "class": "rate_limited", "until": "next_utc_day",
                "facts": [
                    {"header": "X-RateLimit-Type", "is": "absent"},
                    {"header": "X-RateLimit-Remaining", "is": {"above": 0}},
                ],
            }],
            "wait": [{"header": "X-RateLimit-Reset", "unit": "unix_seconds"}],
        });
        let daily = [("x-ratelimit-remaining", "5893")];
        assert_eq!(
            classify(&answers, "POST", 429, &daily, &Value::Null),
            "rate_limited at 2026-11-24T00:00:00Z"
        );
        assert_eq!(classify(&answers, "GET", 429, &daily, &Value::Null), "rate_limited");
        assert_eq!(
            classify(&answers, "GET", 429, &[("x-ratelimit-reset", "1795428060")], &Value::Null),
            "rate_limited at 2026-11-23T10:01:00Z"
        );
        assert_eq!(
            classify(&answers, "POST", 429, &[("retry-after", "7"), daily[0]], &Value::Null),
            "rate_limited at 2026-11-23T10:00:07Z"
        );
    }

    #[test]
    fn case_46_retry_after_is_read_in_every_form_and_never_lies_in_the_past() {
        for (text, expected) in [
            ("0", Some("2026-11-23T10:00:00Z")),
            (" 30 ", Some("2026-11-23T10:00:30Z")),
            ("Monday, 23-Nov-26 10:00:30 GMT", Some("2026-11-23T10:00:30Z")),
            ("Mon Nov 23 10:00:30 2026", Some("2026-11-23T10:00:30Z")),
            ("2026-11-23T10:00:30", Some("2026-11-23T10:00:30Z")),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("2026-11-23T10:00:00Z")),
            ("99999999999999999999999", Some("9999-12-30T22:00:00.999999999Z")),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now()).map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_error_is_read_where_the_provider_puts_it() {
        let answers: Answers = serde_json::from_value(json!({"error": {
            "code": "/code", "message": "/message",
            "problems": {"at": "/errors", "field": "field", "message": "message"},
        }}))
        .unwrap();
        let body = json!({"code": 300, "message": "Validation Failed.", "errors": [
            {"field": "recurrence.weekly_days", "message": "Invalid field."},
            {"field": "rooms[2].na/me"},
            {"message": "no field"},
        ]});
        let (provider, problems) = answers.read_error(400, Some(&body));
        assert_eq!(
            (provider.code.as_deref(), provider.message.as_deref()),
            (Some("300"), Some("Validation Failed."))
        );
        assert_eq!(
            problems,
            [
                Problem::new("/recurrence/weekly_days", "Invalid field"),
                Problem::new("/rooms/2/na~1me", "is not accepted")
            ]
        );
    }
}
