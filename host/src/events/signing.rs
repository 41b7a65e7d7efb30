//! How what is sent to an app is signed: by Standard Webhooks, symmetric, so that the verifiers there are for every language work.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::collections::BTreeMap;

use aws_lc_rs::{hmac, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{Encoding, Secret},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

/// What stands before a key, by the specification.
const PREFIX: &str = "whsec_";

/// How long a key is, in bytes.
const LEN: usize = 32;

/// What a subscription's key is called among its secrets.
const NAME: &str = "signing";

/// What those secrets are called that a provider signs with what it sends for a subscription: now, and before it was given another.
pub(super) const WEBHOOK: &str = "webhook";
pub(super) const WEBHOOK_BEFORE: &str = "webhook_before";

/// A new key, among the secrets of a subscription, and as the app is told it.
///
/// # Errors
///
/// If there is no randomness.
pub fn new_key() -> Result<(BTreeMap<String, SecretString>, Zeroizing<String>)> {
    let mut bytes = Zeroizing::new([0; LEN]);
    rand::fill(&mut *bytes).map_err(|_| Error::new(ErrorKind::Internal, "there is no randomness"))?;
    let text = Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(*bytes)));
    Ok((BTreeMap::from([(NAME.to_owned(), SecretString::from(text.as_str()))]), text))
}

/// A new secret for a provider to sign with, written as it is declared.
pub(super) fn new_webhook_secret(declared: &Secret) -> Result<SecretString> {
    let mut bytes = Zeroizing::new([0; LEN]);
    rand::fill(&mut *bytes).map_err(|_| Error::new(ErrorKind::Internal, "there is no randomness"))?;
    let text = Zeroizing::new(match declared.encoding {
        Encoding::Base64 => STANDARD.encode(*bytes),
        Encoding::Hex | Encoding::Utf8 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    });
    let prefix = declared.prefix.as_deref().unwrap_or_default();
    Ok(SecretString::from(format!("{prefix}{}", *text)))
}

/// The signature of what is sent, with the key that is among these secrets.
///
/// # Errors
///
/// If there is none.
pub fn sign(secrets: &BTreeMap<String, SecretString>, id: &str, seconds: i64, body: &[u8]) -> Result<String> {
    let none = || Error::new(ErrorKind::Internal, "the subscription has no key to sign with");
    let text = secrets.get(NAME).ok_or_else(none)?.expose_secret();
    let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).ok_or_else(none)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &Zeroizing::new(bytes));
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    Ok(format!("v1,{}", STANDARD.encode(context.sign())))
}

/// The headers of what is sent.
///
/// # Errors
///
/// If there is no key to sign with.
pub fn headers(
    secrets: &BTreeMap<String, SecretString>,
    id: &str,
    body: &[u8],
) -> Result<[(&'static str, String); 5]> {
    let seconds = Timestamp::now().as_second();
    Ok([
        ("content-type", "application/json".to_owned()),
        ("user-agent", concat!("jackfield/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", sign(secrets, id, seconds, body)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn it_is_signed_as_everybody_verifies_it() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secrets = BTreeMap::from([(NAME.to_owned(), SecretString::from(key))]);
        let signature =
            sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
                .unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_another_one_each_time() {
        let (one, two) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(*one.1, *two.1);
        assert!(one.1.starts_with("whsec_") && one.1.len() == 6 + 44, "{}", one.1.len());
        assert_ne!(sign(&one.0, "evt_1", 1, b"{}").unwrap(), sign(&two.0, "evt_1", 1, b"{}").unwrap());
    }
}
