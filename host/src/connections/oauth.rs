//! OAuth 2, as a client: where a user consents, what is sent to a token endpoint, and what its answer means.
//!
//! What sets one provider apart from another is data of the manifest. Nothing here is kept, and nothing is tried again once
//! it may have been received: a code and a refresh token are good for one use, so whoever keeps them decides.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aws_lc_rs::{digest, rand};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use connector_protocol::{
    Error, ErrorKind, Manifest, ProviderError, Result,
    answers::{AnswerClass, AnswerRule, Answers, FactAt, FactIs, Seen, retry_after},
    json,
    manifest::{Client, ClientAuth, Endpoint, Oauth2, Pkce as PkceRule},
};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use crate::{
    egress::{Answered, Egress, Target, Unanswered},
    redact::Redactor,
};

/// How long a token may be, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// How long a kept member of a token answer may be, in bytes.
const MAX_MEMBER: usize = 2 * 1024;

/// How many characters of a provider's words are shown.
const MAX_WORDS: usize = 300;

/// No access token is believed to live longer: ten years.
const MAX_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Members of a token answer that are never kept as public ones, whatever a manifest says.
const SECRET_MEMBERS: &[&str] = &["access_token", "refresh_token", "id_token", "client_secret"];

/// Parameters of an authorisation request that are not a manifest's to say.
const OWN_PARAMETERS: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
];

/// What binds a code to whoever asked for it (RFC 7636).
pub struct Pkce {
    /// What is shown to the token endpoint.
    pub verifier: SecretString,
    /// Its SHA-256, which the browser carries.
    pub challenge: String,
}

impl Pkce {
    /// A new verifier, and its challenge.
    ///
    /// # Errors
    ///
    /// If the system gives no random bytes.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system gives no random bytes"))?;
        let verifier = URL_SAFE_NO_PAD.encode(bytes);
        let challenge = challenge(&verifier);
        Ok(Self { verifier: verifier.into(), challenge })
    }
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// Whose app asks. Without a secret it is one that keeps none.
pub struct ClientCredentials {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: Option<SecretString>,
}

/// What a token is asked for with.
pub enum Grant<'a> {
    /// A code that came back from the user's consent.
    Code {
        /// The code.
        code: &'a SecretString,
        /// Where it came back to, as it was in the authorisation request.
        redirect_uri: &'a str,
        /// What the challenge of the authorisation request was made of.
        verifier: Option<&'a SecretString>,
    },
    /// A refresh token.
    Refresh {
        /// The refresh token.
        token: &'a SecretString,
    },
    /// The manifest's own grant, which asks nobody.
    Other,
}

/// What a token endpoint gave.
#[derive(Debug)]
pub struct Tokens {
    /// What requests carry.
    pub access_token: SecretString,
    /// What renews it. None: the one that there is stays.
    pub refresh_token: Option<SecretString>,
    /// How long the access token is good. None: the provider has not said, or nothing that could be true.
    pub expires_in: Option<Duration>,
    /// What was granted. None: the provider has not said.
    pub scopes: Option<Vec<String>>,
    /// What the manifest wants kept of the answer. None of it is secret.
    pub members: BTreeMap<String, String>,
    /// When they were given, by the provider's clock as far as it tells.
    pub given: Timestamp,
}

/// That there are no tokens.
#[derive(Debug)]
pub struct Refused {
    /// What follows from it.
    pub why: Why,
    /// What to say, without a secret in it.
    pub error: Error,
}

/// Why there are no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The code or the refresh token is good for nothing, or no longer: the user has to consent again.
    Grant,
    /// The app is not accepted: its id, its secret, or what it is allowed. No connection is to blame.
    Client,
    /// The request itself was wrong, or could not be made.
    Request,
    /// It may go better later.
    Passing {
        /// Whether the provider may have done something: a code or a refresh token may be used up.
        sent: bool,
    },
    /// A success that makes no sense.
    Unreadable,
}

/// Where the user consents. `challenge` is of a [`Pkce`]; where the manifest wants one, there is no way without.
///
/// # Errors
///
/// If this way of authorising asks no user, or nothing of this connector may go there.
pub fn authorize_url(
    target: &Target,
    oauth: &Oauth2,
    client_id: &str,
    redirect_uri: &str,
    state: &str,
    challenge: Option<&str>,
    scopes: &[String],
) -> Result<Url> {
    let endpoint = oauth.authorize.as_ref().ok_or_else(|| {
        let text = format!("{} asks no user for consent in this way", target.manifest.title);
        Error::new(ErrorKind::Unsupported, text)
    })?;
    let mut url = target.address(endpoint)?;
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("state", state);
    match (oauth.pkce, challenge) {
        (PkceRule::S256, Some(challenge)) => {
            // The method is said always: a challenge without one is `plain`.
            query.append_pair("code_challenge", challenge).append_pair("code_challenge_method", "S256");
        }
        (PkceRule::S256, None) => {
            return Err(Error::new(ErrorKind::Internal, "a request for consent has no code challenge"));
        }
        (PkceRule::None, _) => {}
    }
    if oauth.scope.send && !scopes.is_empty() {
        query.append_pair("scope", &scopes.join(&oauth.scope.separator));
    }
    for (name, value) in &oauth.authorize_parameters {
        if !OWN_PARAMETERS.contains(&name.as_str()) {
            query.append_pair(name, value);
        }
    }
    drop(query);
    Ok(url)
}

/// Checks who gave an answer to an authorisation request (RFC 9207). `sent` is the answer's `iss`, `declared` the
/// manifest's issuer, `authorize` where the user was sent to. A declared issuer has to be named, letter by letter; where none
/// is declared, one that is named has to be of the same origin as that address.
///
/// # Errors
///
/// If it is somebody else, or if nobody can tell.
pub fn check_issuer(sent: Option<&str>, declared: Option<&str>, authorize: &Url) -> Result<()> {
    let fits = match (sent, declared) {
        (None, None) => true,
        (Some(sent), Some(declared)) => sent == declared,
        (None, Some(_)) => false,
        (Some(sent), None) => Url::parse(sent)
            .is_ok_and(|issuer| issuer.origin().is_tuple() && issuer.origin() == authorize.origin()),
    };
    if fits {
        return Ok(());
    }
    let text = match sent {
        Some(_) => "the answer comes from another issuer than the one that was asked for consent",
        None => "the answer does not say which issuer it comes from, and this provider's answers do",
    };
    Err(Error::new(ErrorKind::InvalidInput, text).hint("begin again, with a new link"))
}

/// Asks a token endpoint, once.
///
/// # Errors
///
/// What it refused, and what follows from that.
pub async fn token(
    egress: &Egress,
    target: &Target,
    oauth: &Oauth2,
    client: &ClientCredentials,
    grant: Grant<'_>,
    deadline: Instant,
) -> Result<Tokens, Refused> {
    let mut redactor = redactor(target, client);
    let form = token_form(target, oauth, &grant, &mut redactor)
        .map_err(|error| Refused { why: Why::Request, error: redactor.error(error) })?;
    let fields = form.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
    let sender = Sender { egress, target, oauth, client, redactor: &redactor, deadline };
    let answer = sender.post(&oauth.token, fields).await?;
    let given = by_its_clock(answer.date.as_deref(), Timestamp::now());
    let Answered { status, content_type, body, .. } = &answer;
    read_tokens(&target.manifest, oauth, &redactor, *status, content_type.as_deref(), body)
        .map(|tokens| Tokens { given, ..tokens })
        .map_err(|refused| come_back(refused, &answer))
}

/// Gives a token up. That it was dead already is as good.
///
/// # Errors
///
/// If the provider takes none back, did not, or did not answer.
pub async fn revoke(
    egress: &Egress,
    target: &Target,
    oauth: &Oauth2,
    client: &ClientCredentials,
    token: &SecretString,
    deadline: Instant,
) -> Result<()> {
    let who = &target.manifest.title;
    let endpoint = oauth.revoke.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("{who} has no address at which a token is given up"))
            .hint(format!("remove the app in the settings of the {who} account"))
    })?;
    let mut redactor = redactor(target, client);
    redactor.add(token.expose_secret());
    let sender = Sender { egress, target, oauth, client, redactor: &redactor, deadline };
    let fields = vec![("token", token.expose_secret())];
    let answer = sender.post(endpoint, fields).await.map_err(|refused| refused.error)?;
    let body = object(&answer.body);
    let says_no = body.as_ref().is_some_and(|body| text_of(body.get("error")).is_some());
    if (200..300).contains(&answer.status) && !says_no {
        return Ok(());
    }
    let refused = come_back(refusal(&target.manifest, oauth, &redactor, answer.status, body), &answer);
    if refused.why == Why::Grant { Ok(()) } else { Err(refused.error) }
}

/// What must not be in anything that a provider repeats.
fn redactor(target: &Target, client: &ClientCredentials) -> Redactor {
    let mut redactor = Redactor::default();
    target.credential.redact(&mut redactor);
    if let Some(secret) = &client.secret {
        redactor.add(secret.expose_secret());
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&client.id), encode(secret.expose_secret()));
        redactor.add(&STANDARD.encode(pair));
    }
    redactor
}

/// The fields of a token request, without the client's own.
fn token_form<'a>(
    target: &Target,
    oauth: &'a Oauth2,
    grant: &Grant<'_>,
    redactor: &mut Redactor,
) -> Result<Vec<(&'a str, SecretString)>> {
    let mut fields: Vec<(&str, SecretString)> = Vec::new();
    match grant {
        Grant::Code { code, redirect_uri, verifier } => {
            redactor.add(code.expose_secret());
            fields.push(("grant_type", "authorization_code".into()));
            fields.push(("code", (*code).clone()));
            fields.push(("redirect_uri", (*redirect_uri).into()));
            match (oauth.pkce, verifier) {
                (PkceRule::S256, Some(verifier)) => {
                    redactor.add(verifier.expose_secret());
                    fields.push(("code_verifier", (*verifier).clone()));
                }
                (PkceRule::S256, None) => {
                    return Err(Error::new(
                        ErrorKind::Internal,
                        "a code has no verifier to be redeemed with",
                    ));
                }
                (PkceRule::None, _) => {}
            }
        }
        Grant::Refresh { token } => {
            redactor.add(token.expose_secret());
            fields.push(("grant_type", "refresh_token".into()));
            fields.push(("refresh_token", (*token).clone()));
        }
        Grant::Other => fields.push(("grant_type", oauth.grant.as_str().into())),
    }
    for (name, template) in &oauth.token_parameters {
        // What the protocol says stands: of a field that is there twice, each server reads the one it likes.
        let is_own = ["client_id", "client_secret"].contains(&name.as_str())
            || fields.iter().any(|(known, _)| known == name);
        if !is_own {
            fields.push((name, target.credential.fill(template)?.into()));
        }
    }
    Ok(fields)
}

/// Who sends a form, to whom, as which client.
struct Sender<'a> {
    egress: &'a Egress,
    target: &'a Target,
    oauth: &'a Oauth2,
    client: &'a ClientCredentials,
    redactor: &'a Redactor,
    deadline: Instant,
}

impl Sender<'_> {
    /// Sends a form, with what proves the client on it.
    async fn post(&self, endpoint: &Endpoint, mut fields: Vec<(&str, &str)>) -> Result<Answered, Refused> {
        let id = self.client.id.as_str();
        let secret = self.client.secret.as_ref().map(ExposeSecret::expose_secret);
        let basic = match (self.oauth.client_auth, secret) {
            (ClientAuth::Basic, Some(secret)) => Some((id, secret)),
            (ClientAuth::Body, Some(secret)) => {
                fields.extend([("client_id", id), ("client_secret", secret)]);
                None
            }
            (_, None) => {
                fields.push(("client_id", id));
                None
            }
        };
        let answer = self.egress.form(self.target, endpoint, &fields, basic, self.deadline).await;
        answer.map_err(|Unanswered { error, sent }| {
            let why = match error.kind {
                ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Unavailable => Why::Passing { sent },
                ErrorKind::UnexpectedAnswer => Why::Unreadable,
                _ => Why::Request,
            };
            Refused { why, error: self.redactor.error(error) }
        })
    }
}

/// Adds when to come back, if the provider has said.
fn come_back(mut refused: Refused, answer: &Answered) -> Refused {
    if matches!(refused.why, Why::Passing { .. }) {
        let at = answer.retry_after.as_deref().and_then(|text| retry_after(text, Timestamp::now()));
        refused.error.retry_at = at;
    }
    refused
}

/// Reads what a token endpoint answered. `redactor` knows the secrets of the request, which providers repeat in their errors.
///
/// # Errors
///
/// If these are no tokens.
pub fn read_tokens(
    manifest: &Manifest,
    oauth: &Oauth2,
    redactor: &Redactor,
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Tokens, Refused> {
    let read = object(body);
    if !(200..300).contains(&status) {
        return Err(refusal(manifest, oauth, redactor, status, read));
    }
    let who = &manifest.title;
    let unreadable = |what: String| {
        let text = format!("{who} answered the token request with something that is no token: {what}");
        let error = Error::new(ErrorKind::UnexpectedAnswer, redactor.text(&text))
            .hint("see whether the addresses lead where they should: jackfield doctor");
        Refused { why: Why::Unreadable, error }
    };
    let Some(read) = read else {
        let kind = content_type.map_or_else(|| "an answer without a type".to_owned(), words);
        return Err(unreadable(format!("{kind}, and not one JSON object that names each member once")));
    };
    // Some say no with a status of success.
    if read.get("access_token").is_none_or(Value::is_null) && text_of(read.get("error")).is_some() {
        return Err(refusal(manifest, oauth, redactor, status, Some(read)));
    }
    let access_token = secret(&read, "access_token")
        .and_then(|token| token.ok_or_else(|| "`access_token` is not there".to_owned()))
        .map_err(unreadable)?;
    // It is going to stand in a header.
    if !access_token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unreadable("`access_token` holds characters that a header may not".to_owned()));
    }
    Ok(Tokens {
        access_token,
        refresh_token: secret(&read, "refresh_token").map_err(unreadable)?,
        expires_in: life(read.get("expires_in")),
        scopes: scopes(read.get("scope"), &oauth.scope.separator),
        members: members(&read, &oauth.token_members),
        given: Timestamp::now(),
    })
}

/// What time it is for a provider that has just said so, to the second: our own clock counts within that.
fn by_its_clock(date: Option<&str>, now: Timestamp) -> Timestamp {
    let Some(said) = date.and_then(|date| rfc2822::parse(date.trim()).ok()) else { return now };
    let said = said.timestamp();
    now.clamp(said, said.saturating_add(SignedDuration::from_millis(999)).unwrap_or(said))
}

/// The JSON object that a body is.
fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match json::read_once(body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// A secret of an answer; none if there is nothing.
fn secret(read: &Map<String, Value>, name: &str) -> Result<Option<SecretString>, String> {
    match read.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() > MAX_TOKEN => {
            Err(format!("`{name}` is longer than {MAX_TOKEN} bytes"))
        }
        Some(Value::String(text)) if text.chars().any(char::is_control) => {
            Err(format!("`{name}` holds control characters"))
        }
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) => Err(format!("`{name}` is no text")),
    }
}

/// How long an access token is good. A number that cannot be true is as none: to refuse the answer for it would lose the
/// refresh token in it, and the one before may be dead by now.
fn life(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Also what is no number at all.
    if seconds.is_nan() || seconds < 1.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.trunc()).unwrap_or(MAX_LIFE).min(MAX_LIFE))
}

/// The scopes of an answer, whatever stands between them.
fn scopes(value: Option<&Value>, separator: &str) -> Option<Vec<String>> {
    let texts: Vec<&str> = match value? {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let mut scopes: Vec<String> = Vec::new();
    for text in texts {
        let text = if separator.is_empty() { text.to_owned() } else { text.replace(separator, " ") };
        for scope in
            text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|scope| !scope.is_empty())
        {
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
    }
    Some(scopes)
}

/// What the manifest wants kept. What is no plain text is as if it were not there: templates have another way then.
fn members(read: &Map<String, Value>, names: &[String]) -> BTreeMap<String, String> {
    let wanted = names.iter().filter(|name| !SECRET_MEMBERS.contains(&name.as_str()));
    wanted
        .filter_map(|name| {
            let text = text_of(read.get(name))?;
            let is_plain = text.len() <= MAX_MEMBER && !text.chars().any(char::is_control);
            is_plain.then(|| (name.clone(), text))
        })
        .collect()
}

/// A text, or the digits of a number.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What is said from outside, fit to be shown: no control characters, and not for ever.
fn words(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MAX_WORDS).collect::<String>().trim().to_owned()
}

/// What a refusal means, and how it is said.
fn refusal(
    manifest: &Manifest,
    oauth: &Oauth2,
    redactor: &Redactor,
    status: u16,
    body: Option<Map<String, Value>>,
) -> Refused {
    let (who, id) = (&manifest.title, &manifest.id);
    let body = body.map(Value::Object);
    let body = body.as_ref();
    let why = why(&manifest.answers, status, body);
    let (kind, text, hint) = match why {
        Why::Grant => (
            ErrorKind::Unauthorized,
            format!("{who} does not accept the grant: it has run out, was revoked, or was used before"),
            format!("connect the account again: jackfield connect {id}"),
        ),
        Why::Client => (
            ErrorKind::Config,
            format!("{who} does not accept the app: its client id, its secret, or what it asks for"),
            match oauth.client {
                Client::Integration => {
                    format!("compare what is set with the app's own page: jackfield integration show {id}")
                }
                Client::Connection => {
                    format!("give the app's client id and secret again: jackfield connect {id}")
                }
            },
        ),
        Why::Passing { .. } if status == 429 => (
            ErrorKind::RateLimited,
            format!("{who} was asked for too many tokens"),
            "run it again later".to_owned(),
        ),
        Why::Passing { .. } => (
            ErrorKind::Unavailable,
            format!("{who} gives no token at the moment: the request failed with status {status}"),
            "run it again later".to_owned(),
        ),
        Why::Request | Why::Unreadable => (
            ErrorKind::Refused,
            format!("{who} refused the token request with status {status}"),
            format!(
                "compare redirect address and scopes with the app's own page: jackfield integration show {id}"
            ),
        ),
    };
    // Masked before anything is cut: half a secret is one, too.
    let said = |text: String| words(&redactor.text(&text));
    let (api, _) = manifest.answers.read_error(status, body);
    let own = oauth.error_message.as_deref().and_then(|at| text_of(body?.get(at)));
    let described = || text_of(body?.get("error_description"));
    let provider = ProviderError {
        status,
        code: body.and_then(|body| text_of(body.get("error"))).or(api.code).map(said),
        message: own.or_else(described).or(api.message).map(said),
    };
    Refused { why, error: Error::new(kind, text).hint(hint).provider(provider) }
}

/// What follows from a refusal. Only words that leave no doubt condemn a grant or a client.
fn why(answers: &Answers, status: u16, body: Option<&Value>) -> Why {
    match status {
        429 => return Why::Passing { sent: false },
        408 | 425 | 500.. | 300..400 => return Why::Passing { sent: true },
        _ => {}
    }
    // Whoever wrote this is something before the provider.
    let Some(body) = body else { return Why::Passing { sent: true } };
    match by_code(answers, status, body) {
        AnswerClass::Expired => return Why::Grant,
        AnswerClass::MissingScope => return Why::Request,
        AnswerClass::RateLimited => return Why::Passing { sent: false },
        AnswerClass::Unavailable => return Why::Passing { sent: true },
        _ => {}
    }
    match body.get("error").and_then(Value::as_str) {
        Some("invalid_grant") => Why::Grant,
        Some("invalid_client" | "unauthorized_client") => Why::Client,
        Some("temporarily_unavailable" | "server_error") => Why::Passing { sent: true },
        Some("slow_down") => Why::Passing { sent: false },
        // Of a token endpoint it is about the client (RFC 6749, 5.2).
        None if status == 401 => Why::Client,
        _ => Why::Request,
    }
}

/// What the API's own code in a body means. Of the manifest's rules only those count that find something in the body: what a mere
/// status says of a request with a token, it does not say of a request for one.
fn by_code(answers: &Answers, status: u16, body: &Value) -> AnswerClass {
    let of_body = |rule: &&AnswerRule| {
        rule.facts.iter().any(|fact| matches!(fact.at, FactAt::Pointer(_)) && fact.is != FactIs::Absent)
    };
    let mut rules: Vec<AnswerRule> = answers.rules.iter().filter(of_body).cloned().collect();
    // Where none of them fits, the status must not speak.
    let otherwise = AnswerRule {
        status: Vec::new(),
        methods: Vec::new(),
        facts: Vec::new(),
        class: AnswerClass::Other,
        until: None,
    };
    rules.push(otherwise);
    let answers = Answers { rules, ..Answers::default() };
    let seen = Seen { method: "POST", status, header: &|_| None, body: Some(body) };
    answers.classify(&seen, Timestamp::now()).class
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use connector_protocol::manifest::AuthKind;
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        config::{Integration, Limits},
        egress::Credential,
    };

    const CODE: &str = "the+code/of consent";
    const SECRET: &str = "s:e c/r+e&t";

    fn manifest(oauth: Value) -> Manifest {
        let mut auth = json!({
            "name": "user", "title": "User", "kind": "oauth2", "grant": "authorization_code", "client": "integration",
            "authorize": {"base": "login", "path": "/authorize"}, "token": {"base": "login", "path": "/token"},
            "revoke": {"base": "login", "path": "/revoke"}, "client_auth": "basic",
            "placement": [{"in": "header", "name": "Authorization", "value": "Bearer {access_token}"}],
        });
        for (name, value) in oauth.as_object().unwrap() {
            auth[name] = value.clone();
        }
        serde_json::from_value(json!({
            "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Things",
            "hosts": [{"host": "login.example.com", "credential": false}],
            "bases": [{"name": "login", "urls": ["https://login.example.com/oauth"]}],
            "auth": [auth], "actions": [], "triggers": [],
            "answers": {
                "error": {"code": "/code", "message": "/message"},
                "rules": [
                    {"facts": [{"pointer": "/code", "is": {"in": [4735, 4741]}}], "class": "expired"},
                    {"status": [400], "facts": [{"pointer": "/sub", "is": "absent"}], "class": "expired"},
                    {"status": [403], "class": "expired"},
                ],
            },
        }))
        .unwrap()
    }

    fn target(manifest: Manifest, port: Option<u16>) -> (Target, Oauth2) {
        let AuthKind::Oauth2(oauth) = manifest.auth[0].kind.clone() else { panic!("it is OAuth") };
        let endpoint = port.map(|port| {
            ("login".to_owned(), Url::parse(&format!("http://127.0.0.1:{port}/stand-in")).unwrap())
        });
        let integration = Integration { endpoints: endpoint.into_iter().collect(), token_file: None };
        let credential = Credential {
            auth: "user".to_owned(),
            parameters: json!({"account_id": "a&b"}).as_object().unwrap().clone(),
            secrets: [("pin".to_owned(), "9182736455".into())].into(),
            token_members: BTreeMap::new(),
        };
        (Target { manifest: Arc::new(manifest), integration, credential, key: String::new() }, *oauth)
    }

    fn read(oauth: Value, status: u16, body: &[u8]) -> Result<Tokens, Refused> {
        let (target, oauth) = target(manifest(oauth), None);
        let mut redactor = Redactor::default();
        redactor.add(CODE);
        read_tokens(&target.manifest, &oauth, &redactor, status, Some("text/html; charset=utf-8"), body)
    }

    /// Answers each request with the next of these, byte for byte, and keeps what it was sent.
    async fn provider(answers: Vec<Vec<u8>>) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = heard.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                loop {
                    let mut bytes = [0; 4096];
                    let count = socket.read(&mut bytes).await.unwrap();
                    request.extend_from_slice(&bytes[..count]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let length = text
                        .to_ascii_lowercase()
                        .split_once("content-length: ")
                        .map(|(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                    if count == 0 || body.is_some_and(|body| body >= length.unwrap_or(0)) {
                        keep.lock().unwrap().push(text);
                        break;
                    }
                }
                socket.write_all(&answer).await.unwrap();
            }
        });
        (port, heard)
    }

    fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn client(secret: Option<&str>) -> ClientCredentials {
        ClientCredentials { id: "my app".to_owned(), secret: secret.map(Into::into) }
    }

    fn query(url: &Url) -> BTreeMap<String, String> {
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn what_time_it_is_for_a_provider_is_its_own_to_say() {
        let now: Timestamp = "2030-01-31T09:00:00.250Z".parse().unwrap();
        for (said, then) in [
            (Some("Thu, 31 Jan 2030 09:00:00 GMT"), "2030-01-31T09:00:00.250Z"),
            (Some("Thu, 31 Jan 2030 09:04:00 GMT"), "2030-01-31T09:04:00Z"),
            (Some("Thu, 31 Jan 2030 08:56:00 GMT"), "2030-01-31T08:56:00.999Z"),
            (Some("soon"), "2030-01-31T09:00:00.250Z"),
            (None, "2030-01-31T09:00:00.250Z"),
        ] {
            assert_eq!(by_its_clock(said, now), then.parse().unwrap(), "{said:?}");
        }
    }

    #[test]
    fn fault_34_a_challenge_is_the_sha_256_of_its_verifier_and_its_method_is_always_said() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        let (one, other) = (Pkce::new().unwrap(), Pkce::new().unwrap());
        assert_eq!(one.verifier.expose_secret().len(), 43);
        assert_ne!(one.challenge, other.challenge);
        assert_eq!(one.challenge, challenge(one.verifier.expose_secret()));

        let scopes = ["read".to_owned(), "write".to_owned()];
        let ask = |oauth: Value, challenge: Option<&str>| {
            let (target, oauth) = target(manifest(oauth), None);
            authorize_url(
                &target,
                &oauth,
                "my app",
                "http://localhost:8080/oauth/callback",
                "st&te",
                challenge,
                &scopes,
            )
        };
        let url = ask(json!({}), Some("ch")).unwrap();
        assert!(url.as_str().starts_with("https://login.example.com/oauth/authorize?"), "{url}");
        let expected = [
            ("response_type", "code"),
            ("client_id", "my app"),
            ("redirect_uri", "http://localhost:8080/oauth/callback"),
            ("state", "st&te"),
            ("code_challenge", "ch"),
            ("code_challenge_method", "S256"),
            ("scope", "read write"),
        ];
        assert_eq!(query(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(ask(json!({}), None).unwrap_err().kind, ErrorKind::Internal);
        // A manifest adds parameters, and takes none of ours away.
        let own = json!({
            "scope": {"send": false, "separator": ","},
            "authorize_parameters": {"prompt": "consent", "code_challenge_method": "plain", "state": "x", "scope": "all"},
        });
        let more = query(&ask(own, Some("ch")).unwrap());
        assert_eq!((more["prompt"].as_str(), more.len()), ("consent", 7), "{more:?}");
        assert_eq!((more["code_challenge_method"].as_str(), more["state"].as_str()), ("S256", "st&te"));
        let url =
            ask(json!({"scope": {"send": true, "separator": ","}, "pkce": "none"}), Some("ch")).unwrap();
        let less = query(&url);
        assert_eq!(less["scope"], "read,write");
        assert!(!less.contains_key("code_challenge"), "{url}");
        assert_eq!(url.query_pairs().count(), less.len());
        let none = ask(json!({"authorize": null}), Some("ch")).unwrap_err();
        assert_eq!(none.kind, ErrorKind::Unsupported);
    }

    #[test]
    fn the_user_consents_where_the_operator_says() {
        let (there, oauth) = target(manifest(json!({})), Some(9));
        let url = authorize_url(&there, &oauth, "a", "b", "c", Some("d"), &[]).unwrap();
        assert!(
            url.as_str().starts_with("http://127.0.0.1:9/stand-in/authorize?response_type=code&"),
            "{url}"
        );
        assert!(!query(&url).contains_key("scope"), "{url}");
        let mut elsewhere = manifest(json!({}));
        elsewhere.hosts.clear();
        let (elsewhere, oauth) = target(elsewhere, None);
        let error = authorize_url(&elsewhere, &oauth, "a", "b", "c", Some("d"), &[]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Blocked);
    }

    #[test]
    fn fault_33_an_answer_of_another_issuer_is_refused() {
        let authorize = Url::parse("https://login.example.com/oauth/authorize?state=1").unwrap();
        for (sent, declared, fits) in [
            (None, None, true),
            (Some("https://login.example.com"), None, true),
            (Some("https://login.example.com/tenant"), None, true),
            (Some("https://login.example.com:443/"), None, true),
            (Some("http://login.example.com"), None, false),
            (Some("https://login.example.com:8443"), None, false),
            (Some("https://login.example.com.example.org"), None, false),
            (Some("https://login.example.com@example.org"), None, false),
            (Some("data:login.example.com"), None, false),
            (Some("login.example.com"), None, false),
            (Some(""), None, false),
            (Some("https://id.example.com"), Some("https://id.example.com"), true),
            (Some("https://id.example.com/"), Some("https://id.example.com"), false),
            (Some("https://login.example.com"), Some("https://id.example.com"), false),
            (None, Some("https://id.example.com"), false),
        ] {
            let checked = check_issuer(sent, declared, &authorize);
            assert_eq!(checked.is_ok(), fits, "{sent:?} {declared:?}");
        }
        let opaque = Url::parse("data:login").unwrap();
        assert!(check_issuer(Some("data:login"), None, &opaque).is_err());
        let said = check_issuer(Some("https://evil.example.org"), None, &authorize).unwrap_err();
        assert!(!format!("{said:?}").contains("evil"), "{said:?}");
    }

    #[test]
    fn fault_43_what_a_token_endpoint_may_answer_with_success() {
        let long = "x".repeat(MAX_TOKEN + 1);
        let unreadable = [
            "".to_owned(),
            "<html>Log in</html>".to_owned(),
            "{\"access_token\": \"tok".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            "\"token\"".to_owned(),
            "{}".to_owned(),
            "[".repeat(100_000),
            "access_token=tok&token_type=bearer".to_owned(),
            json!({"access_token": null}).to_string(),
            json!({"access_token": ""}).to_string(),
            json!({"access_token": 5}).to_string(),
            json!({"access_token": ["tok"]}).to_string(),
            json!({"access_token": {"value": "tok"}}).to_string(),
            json!({"access_token": long}).to_string(),
            json!({"access_token": "x".repeat(1024 * 1024)}).to_string(),
            json!({"access_token": "tok\r\nX-Admin: 1"}).to_string(),
            json!({"access_token": "tok\u{0}"}).to_string(),
            json!({"access_token": "tok\u{85}"}).to_string(),
            json!({"access_token": "tok en"}).to_string(),
            json!({"access_token": "tökén"}).to_string(),
            json!({"access_token": "tok", "refresh_token": 5}).to_string(),
            json!({"access_token": "tok", "refresh_token": long}).to_string(),
            json!({"access_token": "tok", "refresh_token": "r\n"}).to_string(),
            "{\"access_token\": \"tok\", \"access_token\": \"other\"}".to_owned(),
            "{\"access_token\": \"tok\", \"refresh_token\": \"a\", \"refresh_token\": \"b\"}".to_owned(),
            "{\"access_token\": \"tok\", \"expires_in\": 1e400}".to_owned(),
        ];
        for body in unreadable {
            let start: String = body.chars().take(80).collect();
            let refused = read(json!({}), 200, body.as_bytes()).expect_err(&start);
            assert_eq!(
                (refused.why, refused.error.kind),
                (Why::Unreadable, ErrorKind::UnexpectedAnswer),
                "{start}"
            );
            // Nothing of it is repeated.
            assert!(
                !refused.error.message.contains("tok\u{0}") && refused.error.message.len() < 300,
                "{start}"
            );
        }
        let binary = read(json!({}), 200, b"{\"access_token\": \"\xff\"}").unwrap_err();
        assert_eq!(binary.why, Why::Unreadable);
        let said = read(json!({}), 200, b"<html>").unwrap_err().error.message;
        assert_eq!(
            said,
            "Acme answered the token request with something that is no token: text/html; charset=utf-8, and not one JSON object that names each member once"
        );
        let most =
            json!({"access_token": "x".repeat(MAX_TOKEN), "refresh_token": "ü ".repeat(10)}).to_string();
        let read = read(json!({}), 200, most.as_bytes()).unwrap();
        assert_eq!(read.access_token.expose_secret().len(), MAX_TOKEN);
        assert_eq!(read.refresh_token.unwrap().expose_secret(), "ü ".repeat(10));
    }

    #[test]
    fn fault_43_a_life_that_cannot_be_true_is_no_life_and_no_error() {
        for (expires_in, seconds) in [
            ("3600", Some(3600)),
            ("3599.9", Some(3599)),
            ("\"3600\"", Some(3600)),
            ("\" 60 \"", Some(60)),
            ("1e18", Some(MAX_LIFE.as_secs())),
            ("1e300", Some(MAX_LIFE.as_secs())),
            ("99999999999999999999999999", Some(MAX_LIFE.as_secs())),
            ("0", None),
            ("-1", None),
            ("-1e300", None),
            ("0.5", None),
            ("null", None),
            ("\"soon\"", None),
            ("\"NaN\"", None),
            ("\"\"", None),
            ("true", None),
            ("[3600]", None),
            ("{}", None),
        ] {
            let body = format!("{{\"access_token\": \"tok\", \"expires_in\": {expires_in}}}");
            let tokens = read(json!({}), 200, body.as_bytes()).expect(expires_in);
            assert_eq!(tokens.expires_in.map(|life| life.as_secs()), seconds, "{expires_in}");
            assert!(tokens.refresh_token.is_none());
        }
        let without = read(json!({}), 200, b"{\"access_token\": \"tok\", \"refresh_token\": \"\"}").unwrap();
        assert!(without.expires_in.is_none() && without.refresh_token.is_none() && without.scopes.is_none());
    }

    #[test]
    fn fault_43_scopes_and_kept_members_are_read_as_they_come() {
        for (separator, scope, expected) in [
            (" ", json!("a b  c"), Some(vec!["a", "b", "c"])),
            (" ", json!("a,b, c\n"), Some(vec!["a", "b", "c"])),
            (",", json!("a b,c"), Some(vec!["a", "b", "c"])),
            ("|", json!("a|b:c|a"), Some(vec!["a", "b:c"])),
            ("", json!("a b"), Some(vec!["a", "b"])),
            (" ", json!(["a", 5, "b c"]), Some(vec!["a", "b", "c"])),
            (" ", json!(""), Some(vec![])),
            (" ", json!(null), None),
            (" ", json!(5), None),
            (" ", json!({"a": "b"}), None),
        ] {
            let oauth = json!({"scope": {"send": true, "separator": separator}});
            let body = json!({"access_token": "tok", "scope": scope}).to_string();
            let scopes = read(oauth, 200, body.as_bytes()).unwrap().scopes;
            assert_eq!(
                scopes.as_ref().map(|all| all.iter().map(String::as_str).collect()),
                expected,
                "{body}"
            );
        }
        let oauth = json!({"token_members": ["api_url", "n", "list", "empty", "split", "long", "gone", "access_token", "id_token"]});
        let body = json!({
            "access_token": "tok", "api_url": "https://api-eu.example.com", "n": 7, "list": ["a"], "empty": "",
            "split": "a\r\nb", "long": "x".repeat(MAX_MEMBER + 1), "id_token": "id", "other": "o",
        });
        let members = read(oauth, 200, body.to_string().as_bytes()).unwrap().members;
        let expected = [("api_url", "https://api-eu.example.com"), ("n", "7")];
        assert_eq!(members, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn fault_43_what_a_refusal_means() {
        use Why::{Client, Grant, Passing, Request};
        let (done, undone) = (Passing { sent: true }, Passing { sent: false });
        for (status, body, why) in [
            (400, json!({"error": "invalid_grant", "reason": "Invalid Token!"}), Grant),
            (401, json!({"error": "invalid_grant"}), Grant),
            (200, json!({"error": "invalid_grant"}), Grant),
            (400, json!({"error": "invalid_client"}), Client),
            (401, json!({"error": "invalid_client"}), Client),
            (400, json!({"error": "unauthorized_client"}), Client),
            (401, json!({"message": "who are you"}), Client),
            (400, json!({"error": "invalid_request"}), Request),
            (400, json!({"error": "invalid_scope"}), Request),
            (400, json!({"error": "unsupported_grant_type"}), Request),
            (400, json!({"error": "Invalid_Grant"}), Request),
            (401, json!({"error": "something_new"}), Request),
            (200, json!({"error": "bad_verification_code"}), Request),
            (400, json!({}), Request),
            (400, json!({"error": {"code": 5}}), Request),
            // What the API's own code says goes before it; what a mere status says of the API counts for nothing.
            (400, json!({"code": 4741, "error": "invalid_request"}), Grant),
            (400, json!({"code": "4735"}), Grant),
            (403, json!({"error": "invalid_request"}), Request),
            (404, json!({"message": "x"}), Request),
            (429, json!({"error": "invalid_grant"}), undone),
            (400, json!({"error": "slow_down"}), undone),
            (400, json!({"error": "temporarily_unavailable"}), done),
            (500, json!({"error": "invalid_grant"}), done),
            (503, json!({"code": 4741}), done),
            (408, json!({}), done),
            (302, json!({}), done),
            // Not the provider, but something before it.
            (400, json!("<html>invalid_grant</html>"), done),
            (403, json!([]), done),
        ] {
            let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            let refused = read(json!({}), status, body.as_bytes()).expect_err(&body);
            assert_eq!(refused.why, why, "{status} {body}");
            let kind = match why {
                Grant => ErrorKind::Unauthorized,
                Client => ErrorKind::Config,
                Passing { .. } if status == 429 => ErrorKind::RateLimited,
                Passing { .. } => ErrorKind::Unavailable,
                _ => ErrorKind::Refused,
            };
            assert_eq!(refused.error.kind, kind, "{status} {body}");
            assert_eq!(refused.error.provider.unwrap().status, status);
        }
    }

    #[test]
    fn fault_43_what_the_provider_says_is_shown_without_the_code_and_not_for_ever() {
        let own = json!({"error_message": "reason"});
        let provider = |oauth: &Value, body: Value| {
            let refused = read(oauth.clone(), 400, body.to_string().as_bytes()).unwrap_err();
            let provider = refused.error.provider.unwrap();
            (provider.code.unwrap_or_default(), provider.message.unwrap_or_default())
        };
        let said = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        let body = json!({"error": "invalid_grant", "reason": format!("Invalid code {CODE}"), "error_description": "d"});
        assert_eq!(provider(&own, body.clone()), said("invalid_grant", "Invalid code ***"));
        assert_eq!(provider(&json!({}), body), said("invalid_grant", "d"));
        assert_eq!(provider(&json!({}), json!({"code": 7, "message": "m"})), said("7", "m"));
        // The cut must not leave half of it.
        let padded = format!("{}{CODE}{}", "x".repeat(MAX_WORDS - 5), "y".repeat(1000));
        let (_, cut) = provider(&own, json!({"error": CODE, "reason": padded}));
        assert_eq!(cut, format!("{}***yy", "x".repeat(MAX_WORDS - 5)));
        assert_eq!(provider(&own, json!({"error": CODE, "reason": "a\u{1b}[2Jb\n"})), said("***", "a [2Jb"));
    }

    #[tokio::test]
    async fn fault_34_a_code_goes_into_the_body_with_its_verifier_and_its_client_into_the_header() {
        let body = json!({"access_token": "tok", "refresh_token": "next", "expires_in": 3600}).to_string();
        let (port, heard) = provider(vec![answer(200, "content-type: application/json\r\n", &body)]).await;
        let parameters =
            json!({"token_parameters": {"account_id": "{account_id}", "code": "mine", "grant_type": "x"}});
        let (target, oauth) = target(manifest(parameters), Some(port));
        let (code, pkce) = (CODE.into(), Pkce::new().unwrap());
        let grant = || Grant::Code {
            code: &code,
            redirect_uri: "http://localhost/cb?a=b",
            verifier: Some(&pkce.verifier),
        };
        let egress = Egress::new(Limits::default());
        let client = client(Some(SECRET));
        let tokens = token(&egress, &target, &oauth, &client, grant(), soon()).await.unwrap();
        assert_eq!(tokens.access_token.expose_secret(), "tok");
        assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "next");
        let heard = heard.lock().unwrap().join("");
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /stand-in/token HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
        // Both halves encoded as in a form first (RFC 6749, 2.3.1).
        let pair = STANDARD.encode("my+app:s%3Ae+c%2Fr%2Be%26t");
        assert!(head.contains(&format!("authorization: Basic {pair}\r\n")), "{head}");
        let sent: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let expected = [
            ("grant_type", "authorization_code"),
            ("code", CODE),
            ("redirect_uri", "http://localhost/cb?a=b"),
            ("code_verifier", pkce.verifier.expose_secret()),
            ("account_id", "a&b"),
        ];
        assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

        // Without what it was bound to it does not leave the house.
        let without = Grant::Code { code: &code, redirect_uri: "http://localhost/cb", verifier: None };
        let refused = token(&egress, &target, &oauth, &client, without, soon()).await.unwrap_err();
        assert_eq!((refused.why, refused.error.kind), (Why::Request, ErrorKind::Internal));
    }

    #[tokio::test]
    async fn each_client_proves_itself_as_its_manifest_says() {
        let body = json!({"access_token": "tok"}).to_string();
        let (port, heard) = provider(vec![answer(200, "", &body); 3]).await;
        let egress = Egress::new(Limits::default());
        let old = "old refresh".into();
        for (auth, secret, grant) in [
            ("body", Some(SECRET), Grant::Refresh { token: &old }),
            ("basic", None, Grant::Refresh { token: &old }),
            ("basic", Some(SECRET), Grant::Other),
        ] {
            let own = json!({"client_auth": auth, "grant": "account_credentials", "token_parameters": {"pin": "<{pin}>"}});
            let (target, oauth) = target(manifest(own), Some(port));
            token(&egress, &target, &oauth, &client(secret), grant, soon()).await.unwrap();
        }
        let heard = heard.lock().unwrap().clone();
        let parts: Vec<(bool, &str)> = heard
            .iter()
            .map(|request| request.split_once("\r\n\r\n").unwrap())
            .map(|(head, body)| (head.contains("authorization:"), body))
            .collect();
        let refresh =
            "grant_type=refresh_token&refresh_token=old+refresh&pin=%3C9182736455%3E&client_id=my+app";
        assert_eq!(parts[0], (false, format!("{refresh}&client_secret=s%3Ae+c%2Fr%2Be%26t").as_str()));
        assert_eq!(parts[1], (false, refresh));
        assert_eq!(parts[2], (true, "grant_type=account_credentials&pin=%3C9182736455%3E"));
        let own = json!({"token_parameters": {"zone": "{zone}"}});
        let (target, oauth) = target(manifest(own), Some(port));
        let refused = token(&egress, &target, &oauth, &client(None), Grant::Other, soon()).await.unwrap_err();
        assert_eq!(refused.error.message, "the connection has no `zone`");
    }

    #[tokio::test]
    async fn fault_43_what_may_have_been_received_is_not_sent_twice() {
        let huge = answer(200, "", &"x".repeat(300 * 1024));
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"access".to_vec();
        let cut_no = b"HTTP/1.1 400 No\r\ncontent-length: 900\r\n\r\n{\"error".to_vec();
        let huge_no = answer(503, "retry-after: 60\r\n", &"x".repeat(300 * 1024));
        let away = answer(307, "location: http://127.0.0.1:1/token\r\n", "");
        let echo = json!({"error": "invalid_grant", "error_description": format!("no {CODE} for {SECRET}")});
        let cases = [
            (Vec::new(), Why::Passing { sent: true }, ErrorKind::Unavailable),
            (cut, Why::Passing { sent: true }, ErrorKind::Unavailable),
            (cut_no, Why::Passing { sent: true }, ErrorKind::Unavailable),
            (huge, Why::Unreadable, ErrorKind::UnexpectedAnswer),
            (huge_no, Why::Passing { sent: true }, ErrorKind::Unavailable),
            (away, Why::Passing { sent: true }, ErrorKind::Unavailable),
            (answer(429, "retry-after: 60\r\n", "{}"), Why::Passing { sent: false }, ErrorKind::RateLimited),
            (answer(400, "", &echo.to_string()), Why::Grant, ErrorKind::Unauthorized),
        ];
        let (port, heard) = provider(cases.iter().map(|(answer, ..)| answer.clone()).collect()).await;
        let (target, oauth) = target(manifest(json!({"pkce": "none"})), Some(port));
        let egress = Egress::new(Limits::default());
        let code = CODE.into();
        for (index, (_, why, kind)) in cases.iter().enumerate() {
            let grant = Grant::Code { code: &code, redirect_uri: "http://localhost/cb", verifier: None };
            let client = client(Some(SECRET));
            let refused = token(&egress, &target, &oauth, &client, grant, soon()).await.unwrap_err();
            assert_eq!((refused.why, &refused.error.kind), (*why, kind), "{index}");
            assert_eq!(heard.lock().unwrap().len(), index + 1, "{index}");
            assert_eq!(refused.error.retry_at.is_some(), [4, 6].contains(&index), "{index}");
            let shown = serde_json::to_string(&refused.error).unwrap();
            assert!(!shown.contains(CODE) && !shown.contains(SECRET), "{shown}");
        }
        // Nobody listens there any more: nothing has left.
        let grant = Grant::Code { code: &code, redirect_uri: "http://localhost/cb", verifier: None };
        let refused = token(&egress, &target, &oauth, &client(None), grant, soon()).await.unwrap_err();
        assert_eq!((refused.why, refused.error.kind), (Why::Passing { sent: false }, ErrorKind::Network));
        let grant = Grant::Code { code: &code, redirect_uri: "http://localhost/cb", verifier: None };
        let late = token(&egress, &target, &oauth, &client(None), grant, Instant::now()).await.unwrap_err();
        assert_eq!((late.why, late.error.kind), (Why::Passing { sent: false }, ErrorKind::Timeout));
    }

    #[tokio::test]
    async fn a_token_is_given_up_in_the_body_and_a_dead_one_is_given_up_already() {
        let no = json!({"error": "invalid_client", "error_description": "no dead token"}).to_string();
        let (port, heard) = provider(vec![
            answer(200, "", "{\"status\": \"success\"}"),
            answer(200, "", ""),
            answer(400, "", "{\"error\": \"invalid_grant\"}"),
            answer(401, "", &no),
            answer(200, "", &no),
            answer(503, "retry-after: 5\r\n", ""),
        ])
        .await;
        let (there, oauth) = target(manifest(json!({})), Some(port));
        let egress = Egress::new(Limits::default());
        let dead = "dead token".into();
        let mut kinds = Vec::new();
        for _ in 0..6 {
            let outcome = revoke(&egress, &there, &oauth, &client(Some(SECRET)), &dead, soon()).await;
            kinds.push(outcome.map_err(|error| {
                assert!(!format!("{error:?}").contains("dead token"), "{error:?}");
                error.kind
            }));
        }
        let (config, away) = (ErrorKind::Config, ErrorKind::Unavailable);
        assert_eq!(kinds, [Ok(()), Ok(()), Ok(()), Err(config.clone()), Err(config), Err(away)]);
        let request = heard.lock().unwrap()[0].clone();
        assert!(request.starts_with("POST /stand-in/revoke HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("authorization: Basic ") && request.ends_with("\r\n\r\ntoken=dead+token"),
            "{request}"
        );
        let (there, oauth) = target(manifest(json!({"revoke": null})), Some(port));
        let none = revoke(&egress, &there, &oauth, &client(None), &dead, soon()).await.unwrap_err();
        assert_eq!(none.kind, ErrorKind::Unsupported);
    }
}
