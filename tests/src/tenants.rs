//! A served home with two projects: who may ask there, with every kind of token, and accounts of the Zoom simulator's.

use std::{
    fs,
    net::TcpListener,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    Home, Running, Simulator,
    http::{Answer, http},
};

/// A served home whose Zoom is the simulator. The project `default` has Zoom set up and signs with RSA; `other` has nothing
/// set up and signs with Ed25519.
pub struct Tenants {
    /// The home.
    pub home: Home,
    /// Who serves it.
    pub server: Running,
    /// The provider.
    pub simulator: Simulator,
    /// `http://localhost:PORT`
    pub url: String,
    /// The key of `default`.
    pub rsa: Signer,
    /// The key of `other`.
    pub ed: Signer,
    /// A token for everything.
    pub operator: String,
}

/// A key by which an app signs tokens for its users.
pub enum Signer {
    /// RS256.
    Rsa(Box<RsaKeyPair>),
    /// EdDSA.
    Ed(Box<Ed25519KeyPair>),
}

/// Seconds since 1970.
///
/// # Panics
///
/// If the clock is older than that.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token whose signature is the HMAC by this secret.
#[must_use]
pub fn sign_by_secret(secret: &[u8], claims: &Value) -> String {
    let message = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token with this signature, whatever it claims.
#[must_use]
pub fn signed(head: &Value, claims: &Value, signature: &[u8]) -> String {
    format!("{}.{}.{}", part(head), part(claims), URL_SAFE_NO_PAD.encode(signature))
}

/// What a good token of a user claims.
#[must_use]
pub fn claims(user: &str) -> Value {
    json!({"sub": user, "iat": now(), "exp": now() + 3600})
}

impl Signer {
    /// A new RSA key.
    ///
    /// # Panics
    ///
    /// If the system gives no random bytes.
    #[must_use]
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("there are random bytes")))
    }

    /// A new Ed25519 key.
    ///
    /// # Panics
    ///
    /// If the system gives no random bytes.
    #[must_use]
    pub fn ed() -> Self {
        Self::Ed(Box::new(Ed25519KeyPair::generate().expect("there are random bytes")))
    }

    /// Its public half.
    ///
    /// # Panics
    ///
    /// If it has none.
    #[must_use]
    pub fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(key) => key.public_key().as_der(),
            Self::Ed(key) => key.public_key().as_der(),
        }
        .expect("a key has a public half");
        let der = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    }

    /// Signs, whatever the head says of how.
    ///
    /// # Panics
    ///
    /// If the system gives no random bytes.
    #[must_use]
    pub fn sign(&self, head: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(head), part(claims));
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
                    .expect("there are random bytes");
                signature
            }
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A good token of a user, for an hour.
    #[must_use]
    pub fn user(&self, user: &str) -> String {
        let algorithm = match self {
            Self::Rsa(_) => "RS256",
            Self::Ed(_) => "EdDSA",
        };
        self.sign(&json!({"alg": algorithm, "typ": "JWT"}), &claims(user))
    }
}

impl Tenants {
    /// Serves such a home; `args` stand before `serve`.
    ///
    /// # Panics
    ///
    /// If anything of it cannot be made.
    #[must_use]
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("there is a free port").port();
        let url = format!("http://localhost:{port}");
        let back = format!("{url}/oauth/callback");
        let simulator = Simulator::start(&["--no-rate-limits", "--redirect-uri", &back]);
        let home = Home::with(&["zoom"]);
        let text = |name: &str| simulator.ready[name].as_str().unwrap_or_default().to_owned();
        let config = format!(
            "public_url = \"{url}\"\n[server]\nlisten = \"127.0.0.1:{port}\"\n\
             [integrations.zoom.endpoints]\napi = \"{}\"\noauth = \"{}\"\n",
            text("api"),
            text("oauth")
        );
        fs::write(home.path().join("jackfield.toml"), config).expect("the home is ours");
        let server = home.start(&[args, &["serve"]].concat(), "");
        server.says("; Ctrl-C ends it");
        let (client_id, client_secret) = (text("client_id"), text("client_secret"));
        let (rsa, ed) = (Signer::rsa(), Signer::ed());
        let mut tenants = Self { home, server, simulator, url, rsa, ed, operator: String::new() };
        let set = |path: &str, body: Value| {
            let (status, answer) = tenants.home.ask("POST", path, &body);
            assert_eq!(status, 200, "{path}: {answer}");
            answer
        };
        set("/v1/projects", json!({"id": "other"}));
        set("/v1/projects/default/keys", json!({"pem": tenants.rsa.pem()}));
        set("/v1/projects/other/keys", json!({"pem": tenants.ed.pem()}));
        let operator = set("/v1/tokens", json!({"all_projects": true}));
        tenants.operator = operator["token"].as_str().unwrap_or_default().to_owned();
        let zoom = json!({"connector": "zoom", "client_id": client_id, "client_secret": client_secret});
        tenants.set("/v1/integrations", &zoom);
        tenants
    }

    /// Asks with a token and more headers.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, token: &str, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(more);
        http(method, &format!("{}{path}", self.url), &headers, body)
    }

    /// Does something in `default` as the operator.
    ///
    /// # Panics
    ///
    /// If it is not done.
    #[track_caller]
    pub fn set(&self, path: &str, body: &Value) -> Value {
        self.set_in("default", path, body)
    }

    /// Does something in a project as the operator.
    ///
    /// # Panics
    ///
    /// If it is not done.
    #[track_caller]
    pub fn set_in(&self, project: &str, path: &str, body: &Value) -> Value {
        let project = [("jackfield-project", project)];
        let answer = self.ask(&self.operator, "POST", path, &project, &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Looks something up in `default` as the operator.
    ///
    /// # Panics
    ///
    /// If it is not there.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask(&self.operator, "GET", path, &[("jackfield-project", "default")], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Connects an account of the simulator's, whose address begins like this, to a user of `default`: its id.
    ///
    /// # Panics
    ///
    /// If it does not come to be connected.
    #[must_use]
    #[track_caller]
    pub fn connect(&self, user: &str, email: &str) -> String {
        let link = self.set("/v1/connect-links", &json!({"connector": "zoom", "user": user}));
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{link}")).to_owned();
        let asked = http("GET", &text(&link["url"]), &[], "");
        let cookie =
            asked.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
        let away = http("POST", &text(&link["url"]), &[("cookie", cookie)], "");
        assert_eq!(away.status, 303, "{}", away.body);
        let back = self.allow(away.header("location").unwrap_or_default(), email);
        let end = http("GET", &back, &[("cookie", cookie)], "");
        assert!(end.body.contains("Connected"), "{}", end.body);
        text(&self.get(&format!("/v1/connect-links/{}", text(&link["id"])))["connection"])
    }

    /// Says yes at the provider: where it sends the user back to.
    ///
    /// # Panics
    ///
    /// If it sends them nowhere, or if there is no such user.
    #[must_use]
    #[track_caller]
    pub fn allow(&self, authorize: &str, email: &str) -> String {
        let users = self.simulator.ready["users"].as_array().into_iter().flatten();
        let mut fitting =
            users.filter(|user| user["email"].as_str().is_some_and(|own| own.starts_with(email)));
        let user =
            fitting.next().and_then(|user| user["id"].as_str()).expect("the simulator has such a user");
        let (place, query) = authorize.split_once('?').expect("it carries a query");
        let form = format!("{query}&user={user}&decision=allow");
        let answer = http("POST", place, &[("content-type", "application/x-www-form-urlencoded")], &form);
        answer.header("location").unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    }
}
