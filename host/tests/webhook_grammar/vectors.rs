//! Reading the vectors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::manifest::Webhook;
use http::{HeaderMap, HeaderName, HeaderValue};
use jackfield::{
    Manifest,
    ingress::{self, Accepted, Refusal, Request, Secrets},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// One file of vectors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The connector whose committed manifest declares the webhook.
    manifest: Option<String>,
    /// Else the declaration itself.
    webhook: Option<Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    /// A declaration for this case alone.
    webhook: Option<Value>,
    /// When the request was received, in seconds since 1970.
    now: f64,
    /// The secrets that are valid, the newest first.
    secrets: Vec<String>,
    #[serde(default)]
    handshake_secrets: Vec<String>,
    request: Sent,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    /// The body as text, as base64, or in parts.
    body: Option<String>,
    body_base64: Option<String>,
    body_parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Repeated { repeat: String, times: usize },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Expect {
    Delivery { event: Option<String>, distinct: Vec<String> },
    Handshake { content_type: String, body: Value },
    Unreadable { code: String },
    Refusal { code: String, status: u16, name: Option<String>, age_seconds: Option<i64> },
}

/// A case, ready to be received.
pub(super) struct Ready {
    pub(super) title: String,
    pub(super) webhook: Webhook,
    pub(super) signing: Vec<String>,
    pub(super) handshake: Vec<String>,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) received_at: Timestamp,
    pub(super) expect: Expect,
}

impl Ready {
    pub(super) fn secrets(&self) -> Secrets {
        let all = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        Secrets { signing: all(&self.signing), handshake: all(&self.handshake) }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            url: &self.url,
            headers: &self.headers,
            body: &self.body,
            received_at: self.received_at,
        }
    }

    pub(super) fn receive(&self) -> Result<Accepted, Refusal> {
        ingress::receive(&self.webhook, &self.secrets(), &self.request())
    }
}

pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(super) fn zoom() -> Webhook {
    let bytes = fs::read(repository().join("manifests/zoom.json")).unwrap();
    Manifest::read(&bytes).unwrap().webhooks.remove(0)
}

pub(super) fn headers(pairs: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

/// Every case of every file.
pub(super) fn cases() -> Vec<Ready> {
    let directory = repository().join("tests/webhook-vectors");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vec<Ready> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let file: File =
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let declared = match (&file.manifest, file.webhook) {
        (Some(connector), None) => {
            assert_eq!(connector, "zoom", "{name}: no other manifest has webhooks");
            zoom()
        }
        (None, Some(webhook)) => declaration(&name, webhook),
        _ => panic!("{name} must have either `manifest` or `webhook`"),
    };
    let cases = file.cases.into_iter().map(|case| {
        let title = format!("{name}: {}", case.about);
        let sent = case.request;
        let body = match (sent.body, sent.body_base64, sent.body_parts) {
            (Some(text), None, None) => text.into_bytes(),
            (None, Some(text), None) => STANDARD.decode(text).unwrap(),
            (None, None, Some(parts)) => parts
                .iter()
                .flat_map(|part| match part {
                    Part::Text(text) => text.clone().into_bytes(),
                    Part::Repeated { repeat, times } => repeat.repeat(*times).into_bytes(),
                })
                .collect(),
            _ => panic!("{title}: must have one body"),
        };
        let webhook = match case.webhook {
            Some(webhook) => declaration(&title, webhook),
            None => declared.clone(),
        };
        Ready {
            webhook,
            signing: case.secrets,
            handshake: case.handshake_secrets,
            method: sent.method,
            url: sent.url,
            headers: headers(&sent.headers),
            body,
            received_at: at(case.now),
            expect: case.expect,
            title,
        }
    });
    cases.collect()
}

/// A time, to the millisecond.
#[expect(clippy::cast_possible_truncation, reason = "no vector is that far away")]
fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap()
}

/// A declaration that a manifest could hold.
pub(super) fn declaration(title: &str, webhook: Value) -> Webhook {
    let manifest = json!({
        "manifest_version": 1, "id": "vectors", "title": "Vectors", "version": "1.0.0", "description": "Vectors",
        "hosts": [], "auth": [{"name": "none", "title": "None", "kind": "none", "parameters": {}}], "actions": [],
        "webhooks": [webhook],
    });
    let manifest = Manifest::read(manifest.to_string().as_bytes());
    let mut manifest = manifest.unwrap_or_else(|error| panic!("{title}: {error}"));
    manifest.webhooks.remove(0)
}

/// Whether an outcome is the expected one.
pub(super) fn fits(expect: &Expect, outcome: &Result<Accepted, Refusal>) -> bool {
    match (expect, outcome) {
        (Expect::Delivery { event, distinct }, Ok(Accepted::Delivery(found))) => {
            *event == found.event && *distinct == found.distinct
        }
        (Expect::Handshake { content_type, body }, Ok(Accepted::Handshake(answer))) => {
            let found = match body {
                Value::String(_) => String::from_utf8(answer.body.clone()).ok().map(Value::String),
                _ => serde_json::from_slice(&answer.body).ok(),
            };
            content_type == answer.content_type && found.as_ref() == Some(body)
        }
        (Expect::Unreadable { code }, Ok(Accepted::Unreadable(found))) => code == found.why.code(),
        (Expect::Refusal { code, status, name, age_seconds }, Err(refusal)) => {
            let (found_name, found_age) = match refusal {
                Refusal::MissingHeader { name } | Refusal::DoubledHeader { name } => (Some(name), None),
                Refusal::Stale { age_seconds, .. } => (None, Some(*age_seconds)),
                _ => (None, None),
            };
            code == refusal.code()
                && *status == refusal.status()
                && name.as_ref() == found_name
                && *age_seconds == found_age
        }
        _ => false,
    }
}
