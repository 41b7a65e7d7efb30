//! Who may call the API: opaque tokens that Jackfield gives out, and tokens that an app signs for its own users.
//!
//! It answers whether a token is what it claims to be. What whoever has it may do then, where tokens and keys are kept, and
//! how they travel, it does not know.

use std::fmt;

use aws_lc_rs::{
    constant_time, digest as hashing,
    encoding::{AsDer, PublicKeyX509Der},
    rand,
    rsa::PublicEncryptingKey,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use connector_protocol::{Error, ErrorKind, Result, json};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::DecodingKey;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::id::Id;

/// What the token of an operator begins with.
pub const OPERATOR_TOKEN: &str = "jf_op_";

/// What the token of a user, for development, begins with.
pub const USER_TOKEN: &str = "jf_user_";

/// How long a signed token may be good at most.
pub const MAX_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// How far the clock of whoever signs may be off.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// How long a signed token may be, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// How long the file of a key may be, in bytes.
const MAX_PEM: usize = 16 * 1024;

/// How long a user's id may be, in characters.
const MAX_USER: usize = 255;

/// How many bits an RSA key has at least.
const MIN_RSA_BITS: usize = 2048;

/// An Ed25519 key in the form of X.509 is this and 32 bytes (RFC 8410).
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The algorithm of an RSA key, as it stands in the form of X.509.
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// Makes a token: what its holder gets and nobody keeps, the id by which lists name it, and the digest to be stored.
///
/// # Errors
///
/// If the system gives no random bytes.
pub fn new_token(prefix: &str) -> Result<(SecretString, String, [u8; 32])> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "the system gives no random bytes"))?;
    let token = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
    let digest = digest(&token);
    Ok((token.into(), Id::token().to_string(), digest))
}

/// What is stored of a token. It has 256 random bits, so nothing slower than a hash is needed.
#[must_use]
pub fn digest(token: &str) -> [u8; 32] {
    sha256(token.as_bytes())
}

/// Whether two digests are the same, in a time that does not tell where they differ.
#[must_use]
pub fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(hashing::digest(&hashing::SHA256, bytes).as_ref());
    hash
}

/// What a key signs by. A key has one, whatever a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// As a token names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The public half of a key by which an app signs tokens for its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `key_` and the beginning of the SHA-256 of the key, so that the same key has the same id everywhere.
    pub id: String,
    /// What it signs by.
    pub algorithm: Algorithm,
    /// The key as `PUBLIC KEY`, in whichever form it came.
    pub pem: String,
}

impl Key {
    /// Reads a public key, RSA or Ed25519.
    ///
    /// # Errors
    ///
    /// If it is none, if it is too short, or if it is the private half.
    pub fn read(pem: &str) -> Result<Self> {
        let (algorithm, der) = read_pem(pem)?;
        let hash = sha256(&der);
        let hex: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let encoded = STANDARD.encode(&der);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        Ok(Self { id: format!("key_{hex}"), algorithm, pem })
    }

    /// Whether it has signed this message.
    fn has_signed(&self, message: &str, signature: &str) -> bool {
        let Ok((algorithm, der)) = read_pem(&self.pem) else { return false };
        // What was kept as a key of the one kind is not used as one of the other.
        if algorithm != self.algorithm {
            return false;
        }
        let (key, algorithm) = match algorithm {
            Algorithm::Rs256 => (DecodingKey::from_rsa_der(&der), jsonwebtoken::Algorithm::RS256),
            Algorithm::EdDsa => {
                (DecodingKey::from_ed_der(&der[ED25519.len()..]), jsonwebtoken::Algorithm::EdDSA)
            }
        };
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm).unwrap_or(false)
    }
}

/// The key in a PEM file, in the form of X.509.
fn read_pem(pem: &str) -> Result<(Algorithm, Vec<u8>)> {
    let refuse = |text: &str| Err(Error::new(ErrorKind::InvalidInput, text));
    if pem.len() > MAX_PEM {
        return refuse("the file is longer than any public key");
    }
    if pem.contains("PRIVATE KEY") {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "this is the private half of the key, which only the app must have",
        )
        .hint("give the public half: openssl pkey -in FILE -pubout"));
    }
    let no_key = || {
        Error::new(ErrorKind::InvalidInput, "the file is not one public key in PEM")
            .hint("give what begins with -----BEGIN PUBLIC KEY-----")
    };
    let (label, body) = pem
        .trim()
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .and_then(|(label, rest)| Some((label, rest.strip_suffix(&format!("-----END {label}-----"))?)))
        .ok_or_else(no_key)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| no_key())?;
    let der = match label {
        "PUBLIC KEY" => der,
        "RSA PUBLIC KEY" => x509_of_rsa(&der),
        "CERTIFICATE" => {
            return Err(Error::new(ErrorKind::InvalidInput, "this is a certificate, not a key")
                .hint("give the key in it: openssl x509 -in FILE -noout -pubkey"));
        }
        _ => return Err(no_key()),
    };
    if der.len() == ED25519.len() + 32 && der.starts_with(ED25519) {
        return Ok((Algorithm::EdDsa, der));
    }
    // Told before it is read: what reads it takes no shorter ones, and does not say why.
    let bits = rsa_bits(&der);
    if bits.is_some_and(|bits| bits < MIN_RSA_BITS) {
        let text = format!("an RSA key of fewer than {MIN_RSA_BITS} bits is not accepted");
        return Err(Error::new(ErrorKind::InvalidInput, text).hint("make a longer one, or one of Ed25519"));
    }
    let rsa = bits.and_then(|_| PublicEncryptingKey::from_der(&der).ok());
    let whole = rsa.and_then(|key| AsDer::<PublicKeyX509Der<'_>>::as_der(&key).ok());
    match whole {
        // What lies behind the key, or is written in another way, would be another key with the same power.
        Some(whole) if whole.as_ref() == der => Ok((Algorithm::Rs256, der)),
        _ => Err(Error::new(ErrorKind::InvalidInput, "the key is neither an RSA key nor one of Ed25519")
            .hint("make one: openssl genpkey -algorithm ed25519")),
    }
}

/// How many bits the modulus of an RSA key has; none if it is no RSA key.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let inner = element(der, 0x30)?.strip_prefix(RSA)?;
    let key = element(inner, 0x03)?.strip_prefix(&[0])?;
    let modulus = element(element(key, 0x30)?, 0x02)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

/// The content of a DER element of this tag.
fn element(der: &[u8], tag: u8) -> Option<&[u8]> {
    let rest = der.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.get(..length)
}

/// An RSA key in the form of PKCS#1, in that of X.509.
fn x509_of_rsa(key: &[u8]) -> Vec<u8> {
    let bits = wrapped(0x03, &[&[0], key].concat());
    wrapped(0x30, &[RSA, &bits].concat())
}

/// A DER element. A key is never longer than two bytes of length say, since its file is not.
fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let mut element = match (high, low) {
        (0, 0..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    element.extend_from_slice(content);
    element
}

/// What an app says of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    /// The app's own id of the user.
    pub user: String,
    /// When the token ends.
    pub expires: Timestamp,
}

/// Checks a token that an app has signed for one of its users, and says which key has signed it. What the token itself says
/// of keys counts for nothing; it has to name the algorithm of the key.
///
/// # Errors
///
/// Which check has failed, and nothing of the token.
pub fn verify(token: &str, keys: &[Key], now: Timestamp) -> Result<(usize, UserClaims)> {
    if token.len() > MAX_TOKEN {
        return Err(refused(format!("the token is longer than {MAX_TOKEN} bytes")));
    }
    let no_token = || refused("the token is not a signed token of three parts");
    let (message, signature) = token.rsplit_once('.').ok_or_else(no_token)?;
    let (head, claims) =
        message.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or_else(no_token)?;
    let head = part(head).ok_or_else(no_token)?;
    if head.contains_key("crit") {
        return Err(refused("the token wants something understood (`crit`) that is not known here"));
    }
    let algorithm = head.get("alg").and_then(Value::as_str).unwrap_or_default();
    let mut fitting =
        keys.iter().enumerate().filter(|(_, key)| key.algorithm.as_str() == algorithm).peekable();
    if fitting.peek().is_none() {
        return Err(refused("the token is signed by an algorithm for which there is no key")
            .hint("add the public half of the app's key: jackfield project key add FILE"));
    }
    let (index, _) = fitting.find(|(_, key)| key.has_signed(message, signature)).ok_or_else(|| {
        refused("the token's signature is not of a key that is known here")
            .hint("add the public half of the app's key: jackfield project key add FILE")
    })?;
    let claims = part(claims).ok_or_else(no_token)?;
    let expires = check_times(&claims, now)?;
    Ok((index, UserClaims { user: user(&claims)?, expires }))
}

/// A part of a token: one JSON object in which nothing is there twice.
fn part(text: &str) -> Option<Map<String, Value>> {
    match json::read_once(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Checks when a token begins and ends, and says when it ends. Only the beginning has leeway: a token that has ended has.
fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<Timestamp> {
    let expires =
        date(claims, "exp")?.ok_or_else(|| refused("the token does not say when it ends (`exp`)"))?;
    if expires <= now {
        return Err(refused("the token has expired").hint("have the app sign a new one"));
    }
    let soon = now.saturating_add(LEEWAY).unwrap_or(Timestamp::MAX);
    if date(claims, "nbf")?.is_some_and(|begins| begins > soon) {
        return Err(refused("the token is not good yet (`nbf`)")
            .hint("compare the clocks of this machine and of the app's"));
    }
    let signed = date(claims, "iat")?;
    if signed.is_some_and(|signed| signed > soon) {
        return Err(refused("the token was signed in the future (`iat`)")
            .hint("compare the clocks of this machine and of the app's"));
    }
    if expires.duration_since(signed.unwrap_or(now)) > MAX_LIFE + LEEWAY {
        let text = format!("the token is good for more than {} hours", MAX_LIFE.as_hours());
        return Err(refused(text).hint("have the app sign one that ends earlier"));
    }
    Ok(expires)
}

/// A time in a token: seconds since 1970, also with a fraction.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let read = || {
        let duration = match value.as_i64() {
            Some(seconds) => SignedDuration::from_secs(seconds),
            None => SignedDuration::try_from_secs_f64(value.as_f64()?).ok()?,
        };
        Timestamp::from_duration(duration).ok()
    };
    read().map(Some).ok_or_else(|| refused(format!("the token's `{name}` is not a time in seconds")))
}

/// Whose token it is.
fn user(claims: &Map<String, Value>) -> Result<String> {
    // `id` is the older name. Where the newer one is there, it counts, even if it is wrong.
    let value = claims.get("sub").or_else(|| claims.get("id"));
    let user = value
        .and_then(Value::as_str)
        .ok_or_else(|| refused("the token does not say whose it is (`sub`, a text)"))?;
    if !(1..=MAX_USER).contains(&user.chars().count()) || user.chars().any(char::is_control) {
        let text = format!(
            "the token's `sub` is not a text of 1 to {MAX_USER} characters without control characters"
        );
        return Err(refused(text));
    }
    Ok(user.to_owned())
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthorized, text)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{Pkcs8V1Der, PublicKeyX509Der},
        rand::SystemRandom,
        rsa::KeySize,
        signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
    };
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    const RSA_X509: &str = "-----BEGIN PUBLIC KEY-----\n\
         MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7FL3wFahg+qTJKUvpGx0\n\
         sxVYGGeSLjgPiIXLAnbcGaJpqQd5lSLqh7ThM3hXNWEuAswrIHeB7MC2n6S3IXUK\n\
         jmavgfWgi2xS6kM4tEWupj7CC1wXrMbwSDZh3ubk+nOG/j/7QqNW8P73Z6Xgu9gJ\n\
         E5eAD3lXCN3jfqtFTstmph002LtD5p8I7RL9YDETFRO/neDevXx4Ydi8txIDTLwO\n\
         iOlfMhaqkaddGFQ8pxp5z22eKD6XqFnxkV91BWrIhcvz/grLcggCVxeUafaW3+GF\n\
         /r0lKLwLnklFc/2hZcT+UlN2r5RJ1FYP66EZyfl3SLLfmV2tXKQFIJLYfYjK59cz\n\
         qQIDAQAB\n\
         -----END PUBLIC KEY-----\n";

    const RSA_PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----\n\
         MIIBCgKCAQEA7FL3wFahg+qTJKUvpGx0sxVYGGeSLjgPiIXLAnbcGaJpqQd5lSLq\n\
         h7ThM3hXNWEuAswrIHeB7MC2n6S3IXUKjmavgfWgi2xS6kM4tEWupj7CC1wXrMbw\n\
         SDZh3ubk+nOG/j/7QqNW8P73Z6Xgu9gJE5eAD3lXCN3jfqtFTstmph002LtD5p8I\n\
         7RL9YDETFRO/neDevXx4Ydi8txIDTLwOiOlfMhaqkaddGFQ8pxp5z22eKD6XqFnx\n\
         kV91BWrIhcvz/grLcggCVxeUafaW3+GF/r0lKLwLnklFc/2hZcT+UlN2r5RJ1FYP\n\
         66EZyfl3SLLfmV2tXKQFIJLYfYjK59czqQIDAQAB\n\
         -----END RSA PUBLIC KEY-----\n";

    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
         MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDO34KImU35MNV4phzmgeXB1FHC\n\
         fZtxFEvGa1eFptFh/zIUqwaB6NlvzJf1JFKOdTFAGWzPDH4fRhsUYegkbl6JZ/5X\n\
         sy4aUr7ka5GVc8zZRG8/e///RR1hLc3i6cIA2d0WulL3GU8igcPg3yu4b+Nf9Kpa\n\
         lTKyji5sQL5Y8/8PCwIDAQAB\n\
         -----END PUBLIC KEY-----\n";

    const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----\n\
         MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAI6tljadcXn0pBCVPa9YEN/y\n\
         v5SP7/GjLm3R6V64qoivN6hkRL+sngVLKW4Q8mjNdmTUran/jpWeY54oMluf2xZ4\n\
         kmbx0Mt6kbBlOFtgj2EuzzySXiIiPKu8QExHZr28A9YWVs9JytR9nSNBQYRXoc87\n\
         kDURHk/JS3U8j0mp7y805W+ik2OceG0vkRzQqjQtJP++ehM143KGd9V/JDWuoog0\n\
         U/OtJiC4FYxZZ4CR8IF8M44DWYE9mw3r+ZJPkiDb0iVG//rn0A3H+4OX9d5wwC0m\n\
         svYdi8dpE9FfMyGhyh+LugKLV7ozHYoaaqSMeTzdQ8jUpe0NEO5y2vM5brz0nScC\n\
         AwEAAQ==\n\
         -----END PUBLIC KEY-----\n";

    const ELLIPTIC: &str = "-----BEGIN PUBLIC KEY-----\n\
         MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdeKV1CgXoEkP3XhuOL+CmmWpAqTP\n\
         YaqjsHRnLv5czBME/CYz/tvUn1R6YJ0qu8AdR/xWR5YJH3FKrSQ0FGSvUA==\n\
         -----END PUBLIC KEY-----\n";

    const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEA8FvtEf3VAb8D3qNExukofT7pdrN0UioRVAV/Zj7/dYs=\n\
         -----END PUBLIC KEY-----\n";

    const ED448: &str = "-----BEGIN PUBLIC KEY-----\n\
         MEMwBQYDK2VxAzoAi7Z0hbd8+j5Nf/Y46P9hHn3v435dh67i4JcXjcWo+2gPTG0e\n\
         ZzJ5Hxze7XbTWbUxjZqrASuqk0+A\n\
         -----END PUBLIC KEY-----\n";

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", STANDARD.encode(der))
    }

    /// An app that signs.
    enum Signer {
        Rsa(RsaKeyPair),
        Ed(Ed25519KeyPair),
    }

    impl Signer {
        fn rsa() -> (Self, Key) {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let key = Key::read(&pem("RSA PUBLIC KEY", pair.public_key().as_ref())).unwrap();
            (Self::Rsa(pair), key)
        }

        fn ed() -> (Self, Key) {
            let pair = Ed25519KeyPair::generate().unwrap();
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
            (Self::Ed(pair), Key::read(&pem("PUBLIC KEY", der.as_ref())).unwrap())
        }

        fn sign(&self, head: &str, claims: &str) -> String {
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
            let signature = match self {
                Self::Rsa(pair) => {
                    let mut signature = vec![0; pair.public_modulus_len()];
                    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
                        .unwrap();
                    signature
                }
                Self::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            };
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    const NOW: i64 = 1_795_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn said(token: &str, keys: &[Key]) -> String {
        match verify(token, keys, now()) {
            Ok((index, claims)) => format!("{index} {}", claims.user),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unauthorized);
                let shown = format!("{error:?}");
                for part in token.split('.').filter(|part| part.len() > 8) {
                    assert!(!shown.contains(part), "{shown}");
                }
                error.message
            }
        }
    }

    const GOOD: &str = r#"{"sub": "u_42", "iat": 1795000000, "exp": 1795003600}"#;
    const NO_KEY: &str = "the token is signed by an algorithm for which there is no key";
    const NOT_SIGNED: &str = "the token's signature is not of a key that is known here";
    const NO_TOKEN: &str = "the token is not a signed token of three parts";

    #[test]
    fn fault_104_the_key_says_how_a_token_is_signed_and_nothing_in_the_token_does() {
        let (rsa, rsa_key) = Signer::rsa();
        let (ed, ed_key) = Signer::ed();
        let (stranger, _) = Signer::ed();
        let keys = [rsa_key.clone(), ed_key.clone()];
        let (rs, eddsa) = (r#"{"alg":"RS256"}"#, r#"{"alg":"EdDSA","typ":"JWT","kid":"whatever"}"#);
        assert_eq!(said(&rsa.sign(rs, GOOD), &keys), "0 u_42");
        assert_eq!(said(&ed.sign(eddsa, GOOD), &keys), "1 u_42");
        assert_eq!(verify(&rsa.sign(rs, GOOD), &keys, now()).unwrap().1.expires.as_second(), NOW + 3600);

        // With what is public anybody could make a keyed hash.
        let hashed = |secret: &str| {
            let message =
                format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(GOOD));
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
            let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
        };
        let unsigned = |alg: &str| {
            let head = json!({"alg": alg}).to_string();
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(GOOD))
        };
        let good = ed.sign(eddsa, GOOD);
        let (message, signature) = good.rsplit_once('.').unwrap();
        let swapped = format!(
            "{}.{}.{signature}",
            message.split('.').next().unwrap(),
            URL_SAFE_NO_PAD.encode(GOOD.replace("u_42", "root"))
        );
        for (token, expected) in [
            (hashed(&rsa_key.pem), NO_KEY),
            (hashed(ed_key.pem.trim()), NO_KEY),
            (unsigned("none"), NO_KEY),
            (unsigned("None"), NO_KEY),
            (unsigned("EdDSA"), NOT_SIGNED),
            (unsigned("RS256"), NOT_SIGNED),
            (ed.sign(r#"{"alg":"none"}"#, GOOD), NO_KEY),
            (ed.sign(r#"{"alg":"eddsa"}"#, GOOD), NO_KEY),
            (ed.sign(r#"{"alg":["EdDSA"]}"#, GOOD), NO_KEY),
            (ed.sign("{}", GOOD), NO_KEY),
            // Each signs with its own key, and says that it is the other kind.
            (ed.sign(rs, GOOD), NOT_SIGNED),
            (rsa.sign(eddsa, GOOD), NOT_SIGNED),
            (stranger.sign(eddsa, GOOD), NOT_SIGNED),
            (stranger.sign(&json!({"alg": "EdDSA", "kid": ed_key.id}).to_string(), GOOD), NOT_SIGNED),
            (rsa.sign(r#"{"alg":"RS512"}"#, GOOD), NO_KEY),
            (rsa.sign(r#"{"alg":"PS256"}"#, GOOD), NO_KEY),
            (swapped, NOT_SIGNED),
            (format!("{message}.{}", signature.replace(&signature[..4], "AAAA")), NOT_SIGNED),
            (format!("{good}="), NOT_SIGNED),
            (format!("{good}.{signature}"), NO_TOKEN),
            (message.to_owned(), NO_TOKEN),
            (String::new(), NO_TOKEN),
            ("..".to_owned(), NO_TOKEN),
            (format!("Bearer {good}"), NO_TOKEN),
            (ed.sign(r#"{"alg":"EdDSA","alg":"RS256"}"#, GOOD), NO_TOKEN),
            (ed.sign("[]", GOOD), NO_TOKEN),
            (ed.sign(eddsa, "[]"), NO_TOKEN),
            (ed.sign(eddsa, r#"{"sub":"a","sub":"root","exp":1795003600}"#), NO_TOKEN),
            (
                ed.sign(r#"{"alg":"EdDSA","crit":["exp"]}"#, GOOD),
                "the token wants something understood (`crit`) that is not known here",
            ),
            (
                ed.sign(r#"{"alg":"EdDSA","b64":false,"crit":[]}"#, GOOD),
                "the token wants something understood (`crit`) that is not known here",
            ),
            (ed.sign(eddsa, &" ".repeat(MAX_TOKEN)), "the token is longer than 8192 bytes"),
        ] {
            assert_eq!(said(&token, &keys), expected, "{token}");
        }
        assert_eq!(said(&good, &[]), NO_KEY);
        assert_eq!(said(&good, &[rsa_key]), NO_KEY);
        // A key that was kept as one of another kind is none.
        let mistaken = Key { algorithm: Algorithm::Rs256, ..ed_key };
        assert_eq!(said(&ed.sign(rs, GOOD), &[mistaken]), NOT_SIGNED);
    }

    #[test]
    fn fault_104_a_token_has_an_end_a_beginning_and_an_owner() {
        let (ed, key) = Signer::ed();
        let keys = [key];
        let day = NOW + 24 * 60 * 60;
        let whose = "the token does not say whose it is (`sub`, a text)";
        let odd = "the token's `sub` is not a text of 1 to 255 characters without control characters";
        let long = "the token is good for more than 24 hours";
        for (claims, expected) in [
            (json!({"sub": "a", "exp": NOW + 1}), "0 a"),
            (json!({"sub": "a", "exp": NOW as f64 + 1.5}), "0 a"),
            (json!({"sub": "a", "exp": NOW}), "the token has expired"),
            (json!({"sub": "a", "exp": NOW - 1}), "the token has expired"),
            (json!({"sub": "a", "exp": -1}), "the token has expired"),
            (json!({"sub": "a"}), "the token does not say when it ends (`exp`)"),
            (json!({"sub": "a", "exp": null}), "the token's `exp` is not a time in seconds"),
            (json!({"sub": "a", "exp": "1795003600"}), "the token's `exp` is not a time in seconds"),
            (json!({"sub": "a", "exp": 1e300}), "the token's `exp` is not a time in seconds"),
            (json!({"sub": "a", "exp": u64::MAX}), "the token's `exp` is not a time in seconds"),
            (json!({"sub": "a", "exp": i64::MAX}), "the token's `exp` is not a time in seconds"),
            // In milliseconds, as clocks of browsers have it.
            (json!({"sub": "a", "exp": (NOW + 60) * 1000}), "the token's `exp` is not a time in seconds"),
            (json!({"sub": "a", "exp": day + 60}), "0 a"),
            (json!({"sub": "a", "exp": day + 61}), long),
            (json!({"sub": "a", "exp": day, "iat": NOW - 60}), "0 a"),
            (json!({"sub": "a", "exp": day, "iat": NOW - 61}), long),
            (json!({"sub": "a", "exp": NOW + 1, "iat": 0}), long),
            (json!({"sub": "a", "exp": NOW + 99, "iat": NOW + 60}), "0 a"),
            (
                json!({"sub": "a", "exp": NOW + 99, "iat": NOW + 61}),
                "the token was signed in the future (`iat`)",
            ),
            (
                json!({"sub": "a", "exp": NOW + 99, "iat": "now"}),
                "the token's `iat` is not a time in seconds",
            ),
            (json!({"sub": "a", "exp": NOW + 99, "nbf": NOW + 60}), "0 a"),
            (json!({"sub": "a", "exp": NOW + 99, "nbf": NOW + 61}), "the token is not good yet (`nbf`)"),
            (json!({"sub": "a", "exp": NOW + 99, "nbf": []}), "the token's `nbf` is not a time in seconds"),
            (json!({"sub": "a", "exp": NOW + 99, "aud": ["whoever"], "iss": "x"}), "0 a"),
            (json!({"id": "older", "exp": NOW + 99}), "0 older"),
            (json!({"sub": "newer", "id": "older", "exp": NOW + 99}), "0 newer"),
            (json!({"sub": 5, "id": "older", "exp": NOW + 99}), whose),
            (json!({"sub": null, "exp": NOW + 99}), whose),
            (json!({"exp": NOW + 99}), whose),
            (json!({"sub": "", "exp": NOW + 99}), odd),
            (json!({"sub": "a\nb", "exp": NOW + 99}), odd),
            (json!({"sub": "a\u{9b}b", "exp": NOW + 99}), odd),
            (json!({"sub": "ü".repeat(256), "exp": NOW + 99}), odd),
        ] {
            let token = ed.sign(r#"{"alg":"EdDSA"}"#, &claims.to_string());
            assert_eq!(said(&token, &keys), expected, "{claims}");
        }
        let most = "ü".repeat(255);
        let token = ed.sign(r#"{"alg":"EdDSA"}"#, &json!({"sub": most, "exp": NOW + 99}).to_string());
        assert_eq!(said(&token, &keys), format!("0 {most}"));
    }

    #[test]
    fn a_key_is_the_same_in_every_form_and_is_never_the_private_half() {
        let key = Key::read(RSA_X509).unwrap();
        assert_eq!((key.id.as_str(), key.algorithm), ("key_1eb89f88fd627b0b", Algorithm::Rs256));
        assert_eq!(key.pem, RSA_X509);
        assert_eq!(Key::read(RSA_PKCS1).unwrap(), key);
        assert_eq!(Key::read(&format!("\n  {}  ", RSA_PKCS1.replace('\n', "\r\n"))).unwrap(), key);
        assert_eq!(Key::read(&key.pem).unwrap(), key);
        let ed = Key::read(ED25519_PEM).unwrap();
        assert_eq!((ed.id.as_str(), ed.algorithm), ("key_19877b9691dfe90f", Algorithm::EdDsa));
        assert_eq!(ed.pem, ED25519_PEM);

        let private = |label: &str, der: &[u8]| (pem(label, der), "this is the private half of the key");
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let rsa = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let neither = "the key is neither an RSA key nor one of Ed25519";
        let none = "the file is not one public key in PEM";
        let mut behind = STANDARD
            .decode(RSA_X509.lines().filter(|line| !line.starts_with('-')).collect::<String>())
            .unwrap();
        behind.push(0);
        for (text, expected) in [
            private("PRIVATE KEY", rsa.as_ref()),
            private("PRIVATE KEY", ed.as_ref()),
            private("RSA PRIVATE KEY", b"whatever"),
            private("ENCRYPTED PRIVATE KEY", b"whatever"),
            private("OPENSSH PRIVATE KEY", b"whatever"),
            (format!("{RSA_X509}{}", pem("PRIVATE KEY", ed.as_ref())), "this is the private half of the key"),
            (RSA_1024.to_owned(), "an RSA key of fewer than 2048 bits is not accepted"),
            (RSA_PSS.to_owned(), neither),
            (ELLIPTIC.to_owned(), neither),
            (ED448.to_owned(), neither),
            // The private half with the label of the public one.
            (pem("PUBLIC KEY", rsa.as_ref()), neither),
            (pem("PUBLIC KEY", ed.as_ref()), neither),
            (pem("RSA PUBLIC KEY", rsa.as_ref()), neither),
            (pem("PUBLIC KEY", &behind), neither),
            (pem("PUBLIC KEY", b""), neither),
            (pem("RSA PUBLIC KEY", b"\x30\x84\xff\xff\xff\xff"), neither),
            (pem("CERTIFICATE", b"whatever"), "this is a certificate, not a key"),
            (pem("EC PUBLIC KEY", b"whatever"), none),
            (format!("{RSA_X509}{ED25519_PEM}"), none),
            (ED25519_PEM.replace("END PUBLIC", "END RSA PUBLIC"), none),
            (ED25519_PEM.replace("MCow", "M*ow"), none),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5".to_owned(), none),
            (String::new(), none),
            ("-----BEGIN -----".to_owned(), none),
            (format!("{}{RSA_X509}", " ".repeat(MAX_PEM)), "the file is longer than any public key"),
        ] {
            let error = Key::read(&text).expect_err(&text);
            assert!(error.message.starts_with(expected), "{text}\n{error}");
            assert_eq!(error.kind, ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_token_is_random_and_only_its_digest_is_kept() {
        for prefix in [OPERATOR_TOKEN, USER_TOKEN] {
            let (token, id, kept) = new_token(prefix).unwrap();
            let token = token.expose_secret();
            let random = token.strip_prefix(prefix).unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32);
            assert_eq!(random.len(), 43);
            assert!(id.starts_with("tok_") && !token.contains(&id[4..]), "{id}");
            assert!(is_same(&digest(token), &kept));
            assert!(!is_same(&digest(&token[..token.len() - 1]), &kept));
            assert_ne!(new_token(prefix).unwrap().2, kept);
        }
        // FIPS 180-2, B.1.
        assert_eq!(digest("abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
