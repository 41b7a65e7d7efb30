//! A sample of a delivery, sent through the whole way that a provider's takes: signed, proven, kept, made into events and sent on.
//! Nobody outside is asked for anything.

use bytes::Bytes;
use connector_protocol::{
    Error, ErrorKind, Problem, Result, did_you_mean,
    manifest::{EventName, Select, Source, Webhook},
    sample::Filling,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::receive::{Answered, Received};
use crate::{
    host::Host,
    id::Id,
    ingress::{self, Unsigned},
    store::{Connection, Scope},
};

impl Host {
    /// Sends a sample to a trigger, as if it were for a connection. `set` changes members of the body: by their names, joined by
    /// dots. Gives the delivery's id.
    ///
    /// # Errors
    ///
    /// If the trigger has no sample, if it cannot be signed here, or if it was not kept.
    pub async fn fire(
        &self,
        scope: &Scope,
        name: &str,
        connection: Option<&Connection>,
        set: &Map<String, Value>,
    ) -> Result<String> {
        let (manifest, index) = self.find_trigger(name)?;
        let trigger = &manifest.triggers[index];
        let unfit = |text: String| Error::new(ErrorKind::Unsupported, text);
        let Source::AppWebhook { hook: hook_name, events } = &trigger.source else {
            return Err(unfit(format!(
                "`{name}` is no webhook of the whole app, so there is nothing to send it"
            )));
        };
        let sample = trigger.sample_delivery.as_ref();
        let sample = sample.ok_or_else(|| unfit(format!("`{name}` has no sample of a delivery")))?;
        let found = self.store.integration(scope.project.clone(), manifest.id.clone()).await?;
        let integration = found.ok_or_else(|| crate::connections::integrations::none(&manifest.id))?;
        let hook = self.hook(&integration.id).await?;
        let hook = hook.ok_or_else(|| crate::connections::integrations::none(&manifest.id))?;
        let gone = || unfit(format!("the connector `{}` declares no such webhook", manifest.id));
        let webhook = hook.webhook(hook_name).ok_or_else(gone)?;

        let mut filling = Filling::example();
        let now = Timestamp::now();
        filling.now = now.to_string();
        filling.now_ms = now.as_millisecond();
        let mut random = [0; 12];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| Error::new(ErrorKind::Internal, "there is no randomness"))?;
        let number = u64::from_be_bytes([0, 0, 0, random[0], random[1], random[2], random[3], random[4]]);
        // Eleven digits, as many as such numbers have.
        filling.number = 10_000_000_000 + number % 89_999_999_999;
        filling.text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, random);
        if let Some(client) = &integration.client_id {
            filling.client.clone_from(client);
        }
        if let Some(identity) = connection.and_then(|connection| connection.identity.as_ref()) {
            filling.user = identity.user.clone().unwrap_or_default();
            filling.account = identity.account.clone().unwrap_or_default();
        }
        let mut body = filling.fill(sample);
        for (path, value) in set {
            put(&mut body, path, value)?;
        }
        let body = body.to_string();

        let mut headers = headers(webhook, events.first().map(String::as_str));
        let path = match hook_name.as_str() {
            "default" => format!("/webhooks/{}/{}", manifest.id, integration.id),
            other => format!("/webhooks/{}/{}/{other}", manifest.id, integration.id),
        };
        let settings = self.settings()?;
        let url = format!("{}{path}", settings.config.public_url.base());
        let request = ingress::Request {
            method: "POST",
            url: &url,
            headers: &headers.clone(),
            body: body.as_bytes(),
            received_at: now,
        };
        let signed =
            ingress::sign(webhook, &hook.secrets(webhook, None), &request).map_err(
                |unsigned| match unsigned {
                    Unsigned::NoSecret(refusal) => {
                        Error::new(ErrorKind::Conflict, format!("a sample cannot be signed: {refusal}")).hint(
                            format!(
                                "give it: jackfield integration set {} --webhook-secret-file FILE",
                                manifest.id
                            ),
                        )
                    }
                    Unsigned::OnlyProvider => {
                        unfit(format!("only {} can sign what it sends, so no sample can be", manifest.title))
                    }
                },
            )?;
        for (name, value) in signed {
            insert(&mut headers, &name, &value);
        }
        let received = Received {
            connector: &manifest.id,
            integration: &integration.id,
            hook: Some(hook_name.as_str()).filter(|name| *name != "default"),
            subscription: None,
            settings: &settings,
            method: "POST",
            path: &path,
            headers: &headers,
            body: Bytes::from(body),
            from: None,
        };
        match self.webhook(received).await {
            Answered::Kept { id: Some(id) } => Ok(id),
            Answered::Kept { id: None } => {
                Err(Error::new(ErrorKind::Conflict, "this very delivery was kept before"))
            }
            Answered::Later(error) => Err(*error),
            Answered::Refused(refusal) => {
                Err(Error::new(ErrorKind::Internal, format!("the sample was refused: {refusal}")))
            }
            Answered::Handshake(_) | Answered::Nothing => {
                Err(Error::new(ErrorKind::Internal, "the sample was taken for something else"))
            }
        }
    }
}

/// The headers of a sample, before it is signed.
fn headers(webhook: &Webhook, event: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(
        &mut headers,
        "content-type",
        webhook.content_types.first().map_or("application/json", String::as_str),
    );
    if let (Some(EventName::Header(name)), Some(event)) = (&webhook.event, event) {
        insert(&mut headers, name, event);
    }
    for select in &webhook.distinct {
        if let Select::Header(name) = select {
            insert(&mut headers, name, Id::delivery().as_str());
        }
    }
    headers
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// A path with another name in the place of a step.
fn with(path: &str, step: &str, meant: &str) -> String {
    let steps: Vec<&str> = path.split('.').map(|one| if one == step { meant } else { one }).collect();
    steps.join(".")
}

/// Puts a value in the place of a member. One that the sample does not have is mistyped; whoever wants more than the sample has sets
/// the whole of what holds it.
fn put(body: &mut Value, path: &str, value: &Value) -> Result<()> {
    let wrong = |text: &str| {
        let problem = Problem::new(format!("/set/{}", connector_protocol::schema::escape(path)), text);
        Error::new(ErrorKind::InvalidInput, "the sample cannot be changed like this").problems(vec![problem])
    };
    let mut at = body;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        at = match at {
            Value::Object(members) if !members.contains_key(step) => {
                let names = members.keys().map(String::as_str);
                return Err(wrong(&match did_you_mean(step, names) {
                    Some(meant) => format!("leads to nothing: did you mean `{}`?", with(path, step, meant)),
                    None => "leads to nothing: a sample is shown by jackfield trigger show".to_owned(),
                }));
            }
            Value::Object(members) => {
                let member = members.entry(step);
                let member = member.or_insert(Value::Null);
                if is_last {
                    *member = value.clone();
                    return Ok(());
                }
                member
            }
            Value::Array(items) => {
                let index: Option<usize> = step.parse().ok();
                let item =
                    index.and_then(|index| items.get_mut(index)).ok_or_else(|| wrong("leads to no item"))?;
                if is_last {
                    *item = value.clone();
                    return Ok(());
                }
                item
            }
            _ => return Err(wrong("leads into something that holds nothing")),
        };
    }
    Err(wrong("is empty"))
}
