//! What is wrong with the way webhooks are declared: places that cannot be, and declarations that would let somebody in.

use super::Checker;
use crate::manifest::{
    Encoding, EventName, Handshake, HandshakeAnswer, HandshakeValue, MessagePart, Secret, SecretOwner,
    Select, Signature, Timestamp, Verify, Webhook,
};

impl Checker<'_> {
    pub(super) fn webhooks(&mut self) {
        let manifest = self.manifest;
        self.names("/webhooks", manifest.webhooks.iter().map(|webhook| webhook.name.as_str()));
        for (index, webhook) in manifest.webhooks.iter().enumerate() {
            self.webhook(&format!("/webhooks/{index}"), webhook);
        }
    }

    fn webhook(&mut self, path: &str, webhook: &Webhook) {
        for (name, empty) in [
            ("methods", webhook.methods.is_empty()),
            ("content_types", webhook.content_types.is_empty()),
            ("distinct", webhook.distinct.is_empty()),
        ] {
            if empty {
                self.problem(format!("{path}/{name}"), "must not be empty");
            }
        }
        self.verify(path, webhook);
        if let Some(secret) = &webhook.handshake_secret {
            self.repeated(&format!("{path}/handshake_secret"), secret);
            if secret.owner != SecretOwner::Integration {
                self.problem(
                    format!("{path}/handshake_secret/owner"),
                    "must be `integration`: nobody but the operator is told it",
                );
            }
            let used = |handshake: &Handshake| handshake.when.iter().any(|test| test.secret);
            if !webhook.handshakes.iter().any(used) {
                self.problem(format!("{path}/handshake_secret"), "is not repeated by any handshake");
            }
        }
        for (at, select) in webhook.distinct.iter().enumerate() {
            self.select(&format!("{path}/distinct/{at}"), select);
        }
        match &webhook.event {
            Some(EventName::Header(name)) => self.header(&format!("{path}/event"), name),
            Some(EventName::Pointer(pointer)) => self.one_value(&format!("{path}/event"), pointer),
            None => {}
        }
        for (at, handshake) in webhook.handshakes.iter().enumerate() {
            self.handshake(&format!("{path}/handshakes/{at}"), webhook, handshake);
        }
        for (name, pointer) in webhook.revocation.iter().flat_map(|revocation| {
            [("account", &revocation.account), ("user", &revocation.user), ("at", &revocation.at)]
        }) {
            if let Some(pointer) = pointer {
                self.one_value(&format!("{path}/revocation/{name}"), pointer);
            }
        }
    }

    fn verify(&mut self, path: &str, webhook: &Webhook) {
        if webhook.secret.is_none() && !matches!(webhook.verify, Verify::Custom {}) {
            self.problem(format!("{path}/secret"), "is required, unless `verify` is `custom`");
        }
        match &webhook.verify {
            Verify::Hmac { message, signature, timestamp, .. } => {
                self.signed(path, message, signature, timestamp.as_ref())
            }
            Verify::Ed25519 { message, signature, timestamp } => {
                self.signed(path, message, signature, timestamp.as_ref());
                if webhook.secret.as_ref().is_some_and(|secret| secret.encoding == Encoding::Utf8) {
                    self.problem(
                        format!("{path}/secret/encoding"),
                        "must be `hex` or `base64`: the secret is a public key",
                    );
                }
            }
            Verify::SharedSecret { at } => {
                if let Some(secret) = &webhook.secret {
                    self.repeated(&format!("{path}/secret"), secret);
                }
                let path = format!("{path}/verify/at");
                match at {
                    Select::Pointer(pointer) => self.pointer(&path, pointer),
                    Select::BodyHash => self.problem(path, "is no place where a secret could stand"),
                    other => self.select(&path, other),
                }
            }
            Verify::Custom {} => {}
        }
    }

    fn signed(
        &mut self,
        path: &str,
        message: &[MessagePart],
        signature: &Signature,
        timestamp: Option<&Timestamp>,
    ) {
        if !message.contains(&MessagePart::Body) {
            self.problem(format!("{path}/verify/message"), "must cover the body");
        }
        let covered = message.contains(&MessagePart::Timestamp);
        if covered && timestamp.is_none() {
            self.problem(format!("{path}/verify/timestamp"), "is signed, so it must be said where it stands");
        }
        if !covered && timestamp.is_some() {
            self.problem(
                format!("{path}/verify/message"),
                "must cover the timestamp, or anybody could renew it",
            );
        }
        for (at, part) in message.iter().enumerate() {
            if let MessagePart::Header(name) = part {
                self.header(&format!("{path}/verify/message/{at}"), name);
            }
        }
        let path = format!("{path}/verify");
        self.items(
            &format!("{path}/signature"),
            &signature.header,
            [&signature.separator, &signature.prefix],
        );
        if signature.encoding == Encoding::Utf8 {
            self.problem(
                format!("{path}/signature/encoding"),
                "must be `hex` or `base64`: a signature is bytes",
            );
        }
        if let Some(timestamp) = timestamp {
            self.items(
                &format!("{path}/timestamp"),
                &timestamp.header,
                [&timestamp.separator, &timestamp.prefix],
            );
            if timestamp.window_seconds == 0 {
                self.problem(format!("{path}/timestamp/window_seconds"), "must be at least 1");
            }
        }
    }

    /// A header with items in it.
    fn items(&mut self, path: &str, header: &str, [separator, prefix]: [&Option<String>; 2]) {
        self.header(path, header);
        for (name, text) in [("separator", separator), ("prefix", prefix)] {
            if text.as_deref() == Some("") {
                self.problem(format!("{path}/{name}"), "must not be empty: leave it out instead");
            }
        }
    }

    fn handshake(&mut self, path: &str, webhook: &Webhook, handshake: &Handshake) {
        if handshake.when.is_empty() {
            self.problem(format!("{path}/when"), "must say how the request is recognised");
        } else if handshake.when.iter().all(|test| test.secret) {
            self.problem(
                format!("{path}/when"),
                "must have a test without `secret`: with the wrong one, the request would not be recognised",
            );
        }
        for (at, test) in handshake.when.iter().enumerate() {
            let path = format!("{path}/when/{at}");
            self.select(&path, &test.at);
            if test.secret && test.equals.is_some() {
                self.problem(&path, "must have either `equals` or `secret`");
            }
            if test.secret && webhook.handshake_secret.is_none() {
                if matches!(webhook.verify, Verify::Hmac { .. } | Verify::Ed25519 { .. }) {
                    self.problem(
                        &path,
                        "repeats the key that signs deliveries: declare a `handshake_secret`",
                    );
                } else {
                    if let Some(secret) = &webhook.secret {
                        self.repeated(&format!("{path}/secret"), secret);
                    }
                }
            }
        }
        match &handshake.answer {
            HandshakeAnswer::Text(select) => self.select(&format!("{path}/answer/text"), select),
            HandshakeAnswer::Json(members) => {
                for (name, value) in members {
                    let at = format!("{path}/answer/json/{}", crate::schema::escape(name));
                    match value {
                        HandshakeValue::Fixed(_) => {}
                        HandshakeValue::Echo(select) => self.select(&at, select),
                        HandshakeValue::Hmac { of, encoding, .. } => {
                            self.select(&at, of);
                            self.oracle(&at, webhook, handshake);
                            if *encoding == Encoding::Utf8 {
                                self.problem(
                                    format!("{at}/hmac/encoding"),
                                    "must be `hex` or `base64`: a hash is bytes",
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    /// A handshake that hashes what it is given must know who asks, and with a key that is one.
    fn oracle(&mut self, path: &str, webhook: &Webhook, handshake: &Handshake) {
        if matches!(webhook.verify, Verify::Ed25519 { .. }) {
            self.problem(path, "cannot be an HMAC: the secret is a public key, which everybody has");
        }
        if webhook.secret.is_none() {
            self.problem(path, "cannot be an HMAC: the webhook has no secret");
        }
        let signs = !matches!(webhook.verify, Verify::SharedSecret { .. });
        if signs && !handshake.signed && !handshake.when.iter().any(|test| test.secret) {
            self.problem(
                path,
                "must not be an HMAC unless the handshake is signed or has a `secret`: anybody could have anything signed",
            );
        }
    }

    /// A secret that is sent as it is.
    fn repeated(&mut self, path: &str, secret: &Secret) {
        if secret.encoding != Encoding::Utf8 || secret.prefix.is_some() {
            self.problem(path, "is repeated as it is, so it has neither a prefix nor an encoding");
        }
    }

    fn select(&mut self, path: &str, select: &Select) {
        match select {
            Select::Header(name) => self.header(path, name),
            Select::Pointer(pointer) => self.one_value(path, pointer),
            Select::Query(_) | Select::BodyHash => {}
        }
    }

    /// A pointer to one value.
    fn one_value(&mut self, path: &str, pointer: &str) {
        self.pointer(path, pointer);
        if pointer.split('/').any(|step| step == "*") {
            self.problem(path, "must lead to one value: `*` leads to several");
        }
    }

    fn header(&mut self, path: &str, name: &str) {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            self.problem(path, format!("`{}` is not the name of a header", name.escape_debug()));
        }
    }
}
