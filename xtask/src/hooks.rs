//! What Zoom would send: events of meetings, each of which is another one, signed as Zoom signs them.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use serde_json::Value;

use crate::{
    Result,
    bench::{
        load::{ACCOUNT, PERSON},
        proxied::{Home, told},
    },
};

/// What they are signed with.
const SECRET: &str = "a-secret-token-of-zoom";

/// What events are subscribed to.
pub(crate) const TRIGGER: &str = "zoom.new_meeting";

/// Where deliveries go, and what proves them.
pub(crate) struct Hooks {
    pub(crate) address: SocketAddr,
    path: String,
    key: hmac::Key,
}

impl Hooks {
    /// Those of a home that was made for them.
    pub(crate) fn of(home: &Home, built: &Path) -> Result<Self> {
        let text = told(home.command(built).args(["integration", "show", "zoom", "--output=json"]))?;
        let shown: Value = serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
        let id = shown["id"].as_str().ok_or_else(|| format!("the integration has no id: {text}"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        Ok(Self { address: home.address, path: format!("/webhooks/zoom/{id}"), key })
    }

    /// A home whose integration is given the secret, and that may send to this address.
    pub(crate) fn home(built: &Path, place: &Path, name: &str, app: SocketAddr) -> Result<Home> {
        let secret = place.join(format!("{name}.secret"));
        std::fs::write(&secret, SECRET).map_err(|error| format!("{}: {error}", secret.display()))?;
        let secret = secret.display().to_string();
        let events = format!("\n[events]\nprivate_urls = [\"http://{app}\"]\nwaiting = 10000000\n");
        Home::with(built, place, name, &["--webhook-secret-file", &secret], &events)
    }

    /// Has the events of new meetings sent to this address.
    pub(crate) fn subscribe(home: &Home, built: &Path, app: SocketAddr) -> Result {
        let url = format!("http://{app}/hook");
        told(home.command(built).args(["subscription", "add", TRIGGER, "--url", &url])).map(drop)
    }

    /// A request that brings this, with a signature of now.
    pub(crate) fn request(&self, body: &str) -> Vec<u8> {
        self.signed(body, &self.key)
    }

    /// The same, signed by somebody who does not know the secret.
    pub(crate) fn forged(&self, body: &str) -> Vec<u8> {
        self.signed(body, &hmac::Key::new(hmac::HMAC_SHA256, b"guessed"))
    }

    fn signed(&self, body: &str, key: &hmac::Key) -> Vec<u8> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let tag = hmac::sign(key, format!("v0:{at}:{body}").as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json; charset=utf-8\r\nuser-agent: Zoom Marketplace/1.0a\r\n\
             clientid: benchmark\r\nx-zm-request-timestamp: {at}\r\nx-zm-signature: v0={tag}\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            body.len()
        )
        .into_bytes()
    }

    /// The handshake by which Zoom proves an address.
    pub(crate) fn handshake(&self) -> Vec<u8> {
        self.request(r#"{"event":"endpoint.url_validation","event_ts":1,"payload":{"plainToken":"plain"}}"#)
    }
}

/// The event of a new meeting of this number, whose owner is connected.
pub(crate) fn created(number: u64) -> String {
    format!(
        r#"{{"event":"meeting.created","event_ts":{},"payload":{{"account_id":"{ACCOUNT}","operator":"anna@example.com","operator_id":"{PERSON}","object":{{"id":{number},"uuid":"uuid{number}==","host_id":"{PERSON}","topic":"Demo","type":2,"start_time":"2030-01-31T09:00:00Z","duration":45,"timezone":"Europe/Berlin","join_url":"https://example.com/j/{number}"}}}}}}"#,
        1_900_000_000_000 + number
    )
}

/// A command that prints nothing else, as it is needed for what is not ours.
pub(crate) fn is_done(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
