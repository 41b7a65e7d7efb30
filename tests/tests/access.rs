//! Who may do what: every address that the server has, asked as everybody. What is not one's own is not there, in the very
//! words of what never was.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::collections::{BTreeMap, BTreeSet};

use jackfield_tests::{
    Answer, eventually,
    tenants::{Signer, Tenants, claims, now, sign_by_secret, signed},
};
use serde_json::{Value, json};

/// For whom an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Anybody.
    All,
    /// Users, for what is theirs, and operators.
    Users,
    /// Operators.
    Operators,
    /// Operators of all projects.
    Everything,
    /// Users of the project in the address.
    Vendors,
}

use For::{All, Everything, Operators, Users, Vendors};

/// What is asked for, for whom it is, what whoever may is answered, and with which body.
type Row = (&'static str, &'static str, For, u16, &'static str);

const OWN_HOOK: &str = "/webhooks/{connector}/{integration}/{hook}/{subscription}";
const PROXY: &str = "/v1/connections/{id}/proxy/{path}";
const WEBHOOK: &str = "/webhooks/{connector}/{integration}";
const NAMED_WEBHOOK: &str = "/webhooks/{connector}/{integration}/{hook}";
const VENDORS_PROXY: &str = "/projects/{project}/sdk/proxy/{type}/{path}";
const VENDORS_BARE_PROXY: &str = "/projects/{project}/sdk/proxy/{type}";

/// Every address there is. What takes something away stands after what needs it.
const MATRIX: &[Row] = &[
    ("GET", "/healthz", All, 200, ""),
    ("GET", "/readyz", All, 200, ""),
    ("GET", "/openapi.json", All, 200, ""),
    ("GET", "/connect/{token}", All, 410, ""),
    ("POST", "/connect/{token}", All, 410, ""),
    ("GET", "/oauth/callback", All, 400, ""),
    ("GET", "/oauth/nonce/{nonce}", All, 200, ""),
    ("GET", "/integrations/{file}", All, 200, ""),
    ("GET", "/projects/{project}/sdk/actions/oauth-nonce", All, 400, ""),
    ("GET", "/projects/{project}/sdk/actions/oauth-popup/{token}", All, 410, ""),
    ("GET", OWN_HOOK, All, 404, ""),
    ("POST", OWN_HOOK, All, 404, ""),
    ("PUT", OWN_HOOK, All, 404, ""),
    ("GET", "/metrics", Operators, 200, ""),
    ("GET", "/v1/health", Operators, 200, ""),
    ("GET", "/v1/workers", Operators, 200, ""),
    ("GET", "/v1/connectors", Users, 200, ""),
    ("GET", "/v1/connectors/{id}", Users, 200, ""),
    ("GET", "/v1/invocations", Users, 200, ""),
    ("POST", "/v1/invocations", Users, 200, r#"{"action": "zoom.get_meetings", "input": {}}"#),
    ("GET", "/v1/invocations/{id}", Users, 200, ""),
    ("POST", "/v1/invocations/{id}/cancel", Users, 404, ""),
    ("GET", "/v1/projects", Operators, 200, ""),
    ("POST", "/v1/projects", Operators, 200, r#"{"id": "default"}"#),
    ("GET", "/v1/projects/{id}", Operators, 200, ""),
    ("GET", "/v1/projects/{id}/keys", Operators, 200, ""),
    ("POST", "/v1/projects/{id}/keys", Operators, 422, r#"{"pem": "none"}"#),
    ("GET", "/v1/integrations", Operators, 200, ""),
    ("POST", "/v1/integrations", Operators, 409, r#"{"connector": "zoom"}"#),
    ("GET", "/v1/integrations/{connector}", Operators, 200, ""),
    ("PATCH", "/v1/integrations/{connector}", Operators, 200, "{}"),
    ("GET", "/v1/integrations/{connector}/checks", Operators, 200, ""),
    ("GET", "/v1/integrations/{connector}/setup", Operators, 200, ""),
    ("GET", "/v1/users", Operators, 200, ""),
    ("GET", "/v1/users/{id}", Users, 200, ""),
    ("PATCH", "/v1/users/{id}", Users, 200, r#"{"meta": {}}"#),
    ("GET", "/v1/connections", Users, 200, ""),
    (
        "POST",
        "/v1/connections",
        Users,
        422,
        r#"{"connector": "zoom", "auth": "server_to_server", "parameters": {}}"#,
    ),
    ("GET", "/v1/connections/{id}", Users, 200, ""),
    ("POST", "/v1/connections/{id}/test", Users, 200, ""),
    ("POST", "/v1/connections/{id}/refresh", Users, 200, ""),
    ("POST", "/v1/connections/{id}/actions/{name}", Users, 200, "{}"),
    ("GET", PROXY, Users, 200, ""),
    ("HEAD", PROXY, Users, 404, ""),
    ("POST", PROXY, Users, 404, ""),
    ("PUT", PROXY, Users, 404, ""),
    ("PATCH", PROXY, Users, 404, ""),
    ("DELETE", PROXY, Users, 404, ""),
    ("OPTIONS", PROXY, Users, 404, ""),
    ("POST", "/v1/connect-links", Users, 200, r#"{"connector": "zoom"}"#),
    ("GET", "/v1/connect-links/{id}", Users, 200, ""),
    ("GET", "/v1/tokens", Operators, 200, ""),
    ("POST", "/v1/tokens", Operators, 200, "{}"),
    ("GET", "/v1/triggers", Users, 200, ""),
    ("GET", "/v1/triggers/{name}", Users, 200, ""),
    ("POST", "/v1/triggers/{name}/fire", Operators, 404, r#"{"connection": "conn_none"}"#),
    ("GET", "/v1/subscriptions", Operators, 200, ""),
    (
        "POST",
        "/v1/subscriptions",
        Operators,
        200,
        r#"{"trigger": "zoom.new_meeting", "url": "https://app.example.com/hook"}"#,
    ),
    ("GET", "/v1/subscriptions/{id}", Operators, 200, ""),
    ("PATCH", "/v1/subscriptions/{id}", Operators, 200, r#"{"paused": true}"#),
    ("GET", "/v1/events", Users, 200, ""),
    ("GET", "/v1/events/{id}", Users, 200, ""),
    ("POST", "/v1/events/{id}/route", Operators, 404, r#"{"connection": "conn_none"}"#),
    ("POST", "/v1/events/replay", Operators, 200, r#"{"state": "dead"}"#),
    ("GET", "/v1/dispatches", Operators, 200, ""),
    ("GET", "/v1/deliveries", Operators, 200, ""),
    ("GET", "/v1/deliveries/{id}", Operators, 200, ""),
    ("GET", "/v1/deliveries/refused", Operators, 200, ""),
    ("POST", "/v1/deliveries/replay", Operators, 200, r#"{"state": "failed"}"#),
    ("GET", WEBHOOK, All, 404, ""),
    ("POST", WEBHOOK, All, 404, ""),
    ("PUT", WEBHOOK, All, 404, ""),
    ("GET", NAMED_WEBHOOK, All, 404, ""),
    ("POST", NAMED_WEBHOOK, All, 404, ""),
    ("PUT", NAMED_WEBHOOK, All, 404, ""),
    ("GET", "/v1/audit", Operators, 200, ""),
    ("POST", "/v1/secrets/rotate-key", Everything, 200, ""),
    ("POST", "/v1/backup", Everything, 422, r#"{"file": "no-whole-path"}"#),
    ("GET", "/projects/{project}/sdk/me", Vendors, 200, ""),
    ("PATCH", "/projects/{project}/sdk/me", Vendors, 200, r#"{"meta": {}}"#),
    ("GET", "/projects/{project}/sdk/integrations", Vendors, 200, ""),
    ("GET", "/projects/{project}/sdk/credentials", Vendors, 400, ""),
    ("POST", "/projects/{project}/sdk/credentials", Vendors, 400, "{}"),
    ("GET", "/projects/{project}/sdk/credentials/{id}", Vendors, 200, ""),
    ("GET", "/v2/projects/{project}/sdk/actions/build-oauth", Vendors, 400, ""),
    ("GET", "/projects/{project}/sdk/actions/session-id/{key}", Vendors, 200, ""),
    ("DELETE", "/projects/{project}/sdk/actions/session-id/{key}", Vendors, 200, ""),
    ("GET", "/projects/{project}/actions", Vendors, 200, ""),
    (
        "POST",
        "/projects/{project}/actions",
        Vendors,
        200,
        r#"{"action": "ZOOM_GET_MEETINGS", "parameters": {}}"#,
    ),
    ("POST", "/v2/projects/{project}/sdk/events/trigger", Vendors, 501, "{}"),
    ("GET", "/projects/{project}/sdk/triggers/{id}", Vendors, 501, ""),
    ("POST", "/projects/{project}/sdk/triggers/{id}", Vendors, 501, "{}"),
    ("POST", "/projects/{project}/sdk/workflows/{id}", Vendors, 501, "{}"),
    ("DELETE", "/projects/{project}/sdk/workflows/{id}", Vendors, 501, ""),
    ("GET", "/projects/{project}/triggers", Vendors, 501, ""),
    ("POST", "/projects/{project}/trigger-subscriptions", Vendors, 501, "{}"),
    ("GET", VENDORS_PROXY, Vendors, 200, ""),
    ("HEAD", VENDORS_PROXY, Vendors, 404, ""),
    ("POST", VENDORS_PROXY, Vendors, 404, ""),
    ("PUT", VENDORS_PROXY, Vendors, 404, ""),
    ("PATCH", VENDORS_PROXY, Vendors, 404, ""),
    ("DELETE", VENDORS_PROXY, Vendors, 404, ""),
    ("GET", VENDORS_BARE_PROXY, Vendors, 400, ""),
    ("HEAD", VENDORS_BARE_PROXY, Vendors, 400, ""),
    ("POST", VENDORS_BARE_PROXY, Vendors, 400, ""),
    ("PUT", VENDORS_BARE_PROXY, Vendors, 400, ""),
    ("PATCH", VENDORS_BARE_PROXY, Vendors, 400, ""),
    ("DELETE", VENDORS_BARE_PROXY, Vendors, 400, ""),
    ("POST", "/v1/connections/{id}/revoke", Users, 200, ""),
    ("DELETE", "/v1/connections/{id}", Users, 200, ""),
    ("DELETE", "/projects/{project}/sdk/integrations/{id}", Vendors, 200, ""),
    ("DELETE", "/v1/subscriptions/{id}", Operators, 200, ""),
    ("DELETE", "/v1/users/{id}", Operators, 200, ""),
    ("DELETE", "/v1/integrations/{connector}", Operators, 200, ""),
    ("DELETE", "/v1/tokens/{id}", Operators, 200, ""),
    ("DELETE", "/v1/projects/{id}/keys/{key}", Operators, 200, ""),
    ("POST", "/v1/drain", Everything, 200, ""),
];

/// What belongs to `u_1` of `default`, or to `default` itself, by what stands before it in an address.
struct Theirs(BTreeMap<&'static str, String>);

impl Theirs {
    fn of(tenants: &Tenants) -> Self {
        let connection = tenants.connect("u_1", "");
        let run = tenants.ask(
            &tenants.rsa.user("u_1"),
            "POST",
            &format!("/v1/connections/{connection}/actions/get_meetings"),
            &[],
            "{}",
        );
        assert_eq!(run.status, 200, "{}", run.body);
        let link = tenants.set("/v1/connect-links", &json!({"connector": "zoom", "user": "u_1"}));
        let token = tenants.set("/v1/tokens", &json!({"name": "of default"}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let wish =
            json!({"trigger": "zoom.new_meeting", "url": "https://app.example.com/hook", "user": "u_1"});
        let subscription = tenants.set("/v1/subscriptions", &wish);
        let (operator, secret) = (&tenants.operator, r#"{"webhook_secret": "of-default"}"#);
        let of_default = [("jackfield-project", "default")];
        let set = tenants.ask(operator, "PATCH", "/v1/integrations/zoom", &of_default, secret);
        assert_eq!(set.status, 200, "{}", set.body);
        let fired = tenants.set("/v1/triggers/zoom.new_meeting/fire", &json!({"connection": connection}));
        let event = tenants.get("/v1/events?user=u_1")["items"][0]["id"].clone();
        Self(BTreeMap::from([
            ("connectors", "zoom".to_owned()),
            ("connections", connection),
            ("invocations", text(&run.json()["id"])),
            ("connect-links", text(&link["id"])),
            ("users", "u_1".to_owned()),
            ("subscriptions", text(&subscription["id"])),
            ("events", text(&event)),
            ("deliveries", text(&fired["delivery"])),
            ("tokens", text(&token["id"])),
            ("keys", text(&tenants.get("/v1/projects/default/keys")["items"][0]["id"])),
            ("projects", "default".to_owned()),
            ("integrations", "zoom".to_owned()),
        ]))
    }

    /// One of the same form that nobody has.
    fn made_up(&self) -> Self {
        let other = |name: &&str, id: &String| match *name {
            "connectors" | "integrations" | "projects" | "users" => "nothing".to_owned(),
            _ => format!("{}00000000", &id[..id.len() - 8]),
        };
        Self(self.0.iter().map(|(name, id)| (*name, other(name, id))).collect())
    }

    /// An address with what is theirs, and that itself, in the order in which it stands there.
    fn fill(&self, path: &str) -> (String, Vec<String>) {
        let (mut filled, mut named) = (Vec::new(), Vec::new());
        for segment in path.split('/') {
            let Some(name) = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
                filled.push(segment.to_owned());
                continue;
            };
            let before = path.split('/').nth(filled.len() - 1).unwrap();
            let id = match (before, name) {
                ("connect", _) => "no-such-token".to_owned(),
                ("webhooks", _) => "zoom".to_owned(),
                (_, "integration" | "hook" | "subscription") => "none".to_owned(),
                (_, "nonce") => "n".to_owned(),
                (_, "file") => "zoom.svg".to_owned(),
                (_, "project") => "default".to_owned(),
                (_, "type") => "zoom".to_owned(),
                (_, "path") => "users/me".to_owned(),
                ("triggers", "name") => "zoom.new_meeting".to_owned(),
                ("actions", "name") => "get_meetings".to_owned(),
                ("session-id" | "oauth-popup" | "workflows" | "triggers", _) => "none".to_owned(),
                ("credentials", _) => self.named("connections", &mut named),
                (before, _) => self.named(before, &mut named),
            };
            filled.push(id);
        }
        (filled.join("/"), named)
    }

    fn named(&self, what: &str, named: &mut Vec<String>) -> String {
        let id = self.0.get(what).unwrap_or_else(|| panic!("whose are {what}?")).clone();
        named.push(id.clone());
        id
    }
}

/// What an answer says, without what was asked for.
fn told(answer: &Answer, named: &[String]) -> (u16, Option<String>, String) {
    let kind = answer.header("content-type").map(str::to_owned);
    let text = named.iter().fold(answer.body.clone(), |text, id| text.replace(id, "ID"));
    (answer.status, kind, text)
}

/// Bearers of something that is no token, or no longer one, or none of a key that is known here.
fn strangers(tenants: &Tenants) -> Vec<(&'static str, String)> {
    let rsa = |head: Value, claims: &Value| tenants.rsa.sign(&head, claims);
    let good = claims("u_1");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let without_end = json!({"sub": "u_1", "iat": now()});
    let pem = tenants.rsa.pem();
    let kept = tenants.get("/v1/projects/default/keys")["items"][0]["pem"].as_str().unwrap().to_owned();
    let (right, none) = (json!({"alg": "RS256", "typ": "JWT"}), json!({"alg": "none", "typ": "JWT"}));
    let expired = tenants.set("/v1/tokens", &json!({"name": "expired", "days": 1}));
    let database = rusqlite::Connection::open(tenants.home.path().join("data/jackfield.db")).unwrap();
    let changed = database
        .execute(
            "UPDATE tokens SET head = json_set(head, '$.expires', '2020-01-01T00:00:00Z') WHERE id = ?1",
            [expired["id"].as_str().unwrap()],
        )
        .unwrap();
    assert_eq!(changed, 1);
    let taken_back = tenants.set("/v1/tokens", &json!({"name": "taken back"}));
    let path = format!("/v1/tokens/{}", taken_back["id"].as_str().unwrap());
    assert_eq!(tenants.ask(&tenants.operator, "DELETE", &path, &[], "").status, 200);
    let signature = tenants.rsa.user("u_1").rsplit('.').next().unwrap().to_owned();
    let body = tenants.rsa.user("u_2").rsplit_once('.').unwrap().0.to_owned();
    vec![
        ("no token in it", String::new()),
        ("a token that was never made", format!("jf_op_{}", "A".repeat(43))),
        ("a token with something behind it", format!("{}x", tenants.operator)),
        ("the beginning of a token", tenants.operator[..20].to_owned()),
        ("a token that has expired", expired["token"].as_str().unwrap().to_owned()),
        ("a token that was taken back", taken_back["token"].as_str().unwrap().to_owned()),
        ("no signature", format!("{}.", tenants.rsa.user("u_1").rsplit_once('.').unwrap().0)),
        ("alg none", signed(&none, &good, b"")),
        ("alg none with a signature", rsa(none.clone(), &good)),
        ("alg None", rsa(json!({"alg": "None"}), &good)),
        ("no alg", rsa(json!({"typ": "JWT"}), &good)),
        ("the public key as an HMAC's secret", sign_by_secret(pem.as_bytes(), &good)),
        ("the same without the end of its line", sign_by_secret(pem.trim_end().as_bytes(), &good)),
        ("the public key as it is kept", sign_by_secret(kept.as_bytes(), &good)),
        ("an HMAC that claims to be RS256", {
            let token = sign_by_secret(pem.as_bytes(), &good);
            let signature = token.rsplit('.').next().unwrap().to_owned();
            let unsigned = signed(&right, &good, b"");
            format!("{unsigned}{signature}")
        }),
        ("RSA that claims to be EdDSA", rsa(json!({"alg": "EdDSA"}), &good)),
        ("Ed25519 that claims to be RS256", tenants.ed.sign(&right, &good)),
        ("RS512", rsa(json!({"alg": "RS512"}), &good)),
        ("PS256", rsa(json!({"alg": "PS256"}), &good)),
        ("a key that nobody knows", Signer::rsa().user("u_1")),
        ("an Ed25519 key that nobody knows", Signer::ed().user("u_1")),
        ("a key that the token brings", {
            let own = Signer::rsa();
            own.sign(&json!({"alg": "RS256", "jwk": {"kty": "RSA"}, "jku": "http://127.0.0.1/"}), &good)
        }),
        ("another's signature", format!("{body}.{signature}")),
        ("it has expired", rsa(right.clone(), &with("exp", json!(now() - 1)))),
        ("it never expires", rsa(right.clone(), &without_end)),
        ("it lives for too long", rsa(right.clone(), &with("exp", json!(now() + 10 * 24 * 3600)))),
        ("it is not good yet", rsa(right.clone(), &with("nbf", json!(now() + 3600)))),
        ("it is nobody's", rsa(right.clone(), &json!({"iat": now(), "exp": now() + 60}))),
        ("something critical", rsa(json!({"alg": "RS256", "crit": ["x"], "x": 1}), &good)),
    ]
}

fn operations(tenants: &Tenants) -> BTreeSet<(String, String)> {
    let document = tenants.ask("", "GET", "/openapi.json", &[], "").json();
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys().filter(|method| *method != "parameters");
        methods.map(|method| (method.to_ascii_uppercase(), path.clone()))
    });
    all.collect()
}

#[test]
fn fault_104_the_matrix_has_every_address_and_no_other() {
    let tenants = Tenants::start(&[]);
    let matrix: BTreeSet<_> =
        MATRIX.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(matrix.len(), MATRIX.len(), "something stands there twice");
    let document = operations(&tenants);
    let (lacks, knows): (Vec<_>, Vec<_>) =
        (document.difference(&matrix).collect(), matrix.difference(&document).collect());
    assert!(lacks.is_empty() && knows.is_empty(), "not in the matrix: {lacks:?}; not served: {knows:?}");
    assert!(document.len() > 90, "{}", document.len());
}

#[test]
fn fault_104_whoever_is_not_known_is_let_in_nowhere() {
    let tenants = Tenants::start(&[]);
    let theirs = Theirs::of(&tenants);
    let strangers = strangers(&tenants);
    let sent = tenants.simulator.journal().len();
    for (method, path, may, ..) in MATRIX.iter().filter(|(_, _, may, ..)| *may != All) {
        let (path, _) = theirs.fill(path);
        let url = format!("{}{path}", tenants.url);
        let good = if *may == Operators || *may == Everything {
            tenants.operator.clone()
        } else {
            tenants.rsa.user("u_1")
        };
        let bearer = format!("Bearer {good}");
        let in_query = |name: &str| format!("{url}?{name}={good}");
        let ask = |url: &str, headers: &[(&str, &str)]| jackfield_tests::http(method, url, headers, "");
        let mut answers = vec![
            ("nothing", ask(&url, &[])),
            ("in the query", ask(&in_query("token"), &[])),
            ("in the query as OAuth has it", ask(&in_query("access_token"), &[])),
            ("as a cookie", ask(&url, &[("cookie", &format!("token={good}; jackfield_session={good}"))])),
            ("as a password", ask(&url, &[("authorization", &format!("Basic {good}"))])),
            ("twice", ask(&url, &[("authorization", &bearer), ("authorization", &bearer)])),
            ("without a scheme", ask(&url, &[("authorization", &good)])),
        ];
        for (how, token) in &strangers {
            answers.push((*how, ask(&url, &[("authorization", &format!("Bearer {token}"))])));
        }
        for (how, answer) in answers {
            assert_eq!(answer.status, 401, "{method} {path}, {how}: {}", answer.body);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}, {how}");
            if *method != "HEAD" {
                let problem = answer.json();
                assert_eq!(problem["kind"], "unauthenticated", "{method} {path}, {how}: {}", answer.body);
                assert!(!answer.body.contains(&good), "{method} {path}, {how}: {}", answer.body);
            }
        }
    }
    assert_eq!(tenants.simulator.journal().len(), sent, "something was sent to the provider");
}

#[test]
fn fault_104_users_are_no_operators_and_operators_are_no_users() {
    let tenants = Tenants::start(&[]);
    let theirs = Theirs::of(&tenants);
    let made = |body: Value| tenants.set("/v1/tokens", &body)["token"].as_str().unwrap().to_owned();
    let (development, bound) = (made(json!({"user": "u_1"})), made(json!({})));
    let users = [("JWT", tenants.rsa.user("u_1")), ("development", development)];
    for (method, path, may, _, body) in MATRIX {
        let askers: Vec<(&str, String)> = match may {
            Operators => users.to_vec(),
            Everything => [users.as_slice(), &[("bound", bound.clone())]].concat(),
            Vendors => vec![("bound", bound.clone()), ("all", tenants.operator.clone())],
            All | Users => continue,
        };
        let (filled, _) = theirs.fill(path);
        let made_up = theirs.made_up().fill(path).0;
        for (who, token) in askers {
            let answer = tenants.ask(&token, method, &filled, &[], body);
            assert_eq!(answer.status, 403, "{method} {path}, {who}: {}", answer.body);
            // Whether there is such a thing is not said either.
            let other = tenants.ask(&token, method, &made_up, &[], body);
            assert_eq!((other.status, other.body), (403, answer.body), "{method} {path}, {who}");
        }
    }
    // Nothing of all that was done.
    assert_eq!(tenants.get("/v1/health")["state"], "serving");
    assert_eq!(tenants.get("/v1/connections")["items"].as_array().unwrap().len(), 1);
}

#[test]
fn fault_52_what_belongs_to_others_is_not_there_wherever_it_is_asked_for() {
    let tenants = Tenants::start(&[]);
    let theirs = Theirs::of(&tenants);
    let made_up = theirs.made_up();
    let made = |project: &str, body: Value| {
        tenants.set_in(project, "/v1/tokens", &body)["token"].as_str().unwrap().to_owned()
    };
    // Also one of the same name.
    let users = [
        ("another user", tenants.rsa.user("u_2"), None),
        ("another user, by a token for development", made("default", json!({"user": "u_2"})), None),
        ("a user of another project", tenants.ed.user("u_1"), None),
        ("a user of another project who names this one", tenants.ed.user("u_1"), Some("default")),
    ];
    let operators = [
        ("the operator of another project", made("other", json!({})), None),
        ("the same, who names this one", made("other", json!({})), Some("default")),
        ("the operator of all, in another project", tenants.operator.clone(), Some("other")),
    ];
    let sent = tenants.simulator.journal().len();
    let mut asked = 0;
    for (method, path, may, _, body) in MATRIX {
        let (filled, named) = theirs.fill(path);
        let (other, unknown) = made_up.fill(path);
        // Connectors are everybody's.
        // How a connector is set up at its provider is there for everybody who may set one up, before they have.
        if named.is_empty() || path.starts_with("/v1/connectors/") || path.ends_with("/setup") {
            continue;
        }
        let askers: Vec<_> = match may {
            // In another project they are somebody, and see themselves.
            Users if path.starts_with("/v1/users/") => users[..2].iter().chain(&operators).collect(),
            Users => users.iter().chain(&operators).collect(),
            // Who is the operator of all sees all of these, whichever project they name.
            Operators if path.starts_with("/v1/projects/") || path.starts_with("/v1/tokens/") => {
                operators[..2].iter().collect()
            }
            Operators => operators.iter().collect(),
            Vendors => users[..2].iter().collect(),
            All | Everything => continue,
        };
        if *may == Vendors && !path.contains("/credentials/") {
            continue;
        }
        for (who, token, project) in askers {
            let headers: Vec<(&str, &str)> =
                project.map(|project| ("jackfield-project", project)).into_iter().collect();
            let answer = tenants.ask(token, method, &filled, &headers, body);
            assert_eq!(answer.status, 404, "{method} {path}, {who}: {}", answer.body);
            let never = tenants.ask(token, method, &other, &headers, body);
            assert_eq!(told(&answer, &named), told(&never, &unknown), "{method} {path}, {who}");
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");

    // Also where an id is not in the address.
    let connection = theirs.0["connections"].as_str();
    let none = made_up.0["connections"].as_str();
    let body = |id: &str, rest: Value| {
        let mut body = rest;
        body["connection"] = json!(id);
        body.to_string()
    };
    for (who, token) in
        [("another user", tenants.rsa.user("u_2")), ("another project's", tenants.ed.user("u_1"))]
    {
        for (path, rest) in [
            ("/v1/invocations", json!({"action": "zoom.get_meetings", "input": {}})),
            ("/v1/invocations", json!({"action": "zoom.get_meetings", "input": {}, "dry_run": true})),
            ("/v1/connect-links", json!({"connector": "zoom"})),
            ("/v1/connections", json!({"connector": "zoom", "parameters": {}})),
        ] {
            let ask = |id: &str| tenants.ask(&token, "POST", path, &[], &body(id, rest.clone()));
            let (answer, never) = (ask(connection), ask(none));
            assert_eq!(
                told(&answer, &[connection.to_owned()]),
                told(&never, &[none.to_owned()]),
                "{path} {rest}, {who}"
            );
            assert_eq!(answer.status, 404, "{path} {rest}, {who}: {}", answer.body);
        }
    }
    for (method, path, body) in [
        ("GET", "/projects/default/sdk/proxy/zoom/users/me", ""),
        ("POST", "/projects/default/actions", r#"{"action": "ZOOM_GET_MEETINGS", "parameters": {}}"#),
        ("GET", "/projects/default/sdk/credentials?integration=zoom", ""),
        ("DELETE", "/projects/default/sdk/integrations/zoom", ""),
    ] {
        let ask = |id: &str| {
            tenants.ask(&tenants.rsa.user("u_2"), method, path, &[("x-paragon-credential", id)], body)
        };
        let (answer, never) = (ask(connection), ask(none));
        assert_eq!(
            told(&answer, &[connection.to_owned()]),
            told(&never, &[none.to_owned()]),
            "{method} {path}"
        );
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
    // A user is no other user, not even in a list or by name.
    for path in ["/v1/connections?user=u_1", "/v1/users/u_1"] {
        let answer = tenants.ask(&tenants.rsa.user("u_2"), "GET", path, &[], "");
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    for (path, body) in [
        ("/v1/connect-links", json!({"connector": "zoom", "user": "u_1"})),
        ("/v1/connections", json!({"connector": "zoom", "user": "u_1", "parameters": {}})),
        ("/v1/invocations", json!({"action": "zoom.get_meetings", "user": "u_1"})),
    ] {
        let answer = tenants.ask(&tenants.rsa.user("u_2"), "POST", path, &[], &body.to_string());
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    for token in [tenants.rsa.user("u_2"), tenants.ed.user("u_1")] {
        for path in ["/v1/connections", "/v1/invocations", "/v1/events"] {
            let answer = tenants.ask(&token, "GET", path, &[], "");
            assert_eq!((answer.status, answer.json()["items"].clone()), (200, json!([])), "{path}");
        }
    }
    assert_eq!(tenants.simulator.journal().len(), sent, "something was sent to the provider");
    // And it is all still there.
    assert_eq!(tenants.get(&format!("/v1/connections/{connection}"))["state"], "valid");
}

#[test]
fn fault_52_nobody_stops_what_others_run() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    tenants.simulator.fault(&json!({"method": "POST", "delay_ms": 2000}));
    let mut running = None;
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let path = format!("/v1/connections/{connection}/actions/create_meeting");
            tenants.ask(&tenants.rsa.user("u_1"), "POST", &path, &[], r#"{"topic": "Demo"}"#)
        });
        eventually("the invocation", || {
            let items = tenants.get("/v1/invocations")["items"].clone();
            running = items[0]["id"].as_str().map(str::to_owned);
            items[0]["state"] == "running"
        });
        let path = format!("/v1/invocations/{}/cancel", running.unwrap());
        for token in [tenants.rsa.user("u_2"), tenants.ed.user("u_1")] {
            let answer = tenants.ask(&token, "POST", &path, &[], "");
            assert_eq!(answer.status, 404, "{}", answer.body);
        }
        let answer = run.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    });
}

#[test]
fn fault_104_whoever_may_is_let_in() {
    let tenants = Tenants::start(&[]);
    let theirs = Theirs::of(&tenants);
    let bound = tenants.set("/v1/tokens", &json!({}))["token"].as_str().unwrap().to_owned();
    let again = |may: &For| match may {
        All => String::new(),
        Users | Vendors => tenants.rsa.user("u_1"),
        Operators => bound.clone(),
        Everything => tenants.operator.clone(),
    };
    let mut otherwise = Vec::new();
    for (method, path, may, status, body) in MATRIX {
        // What was given up or taken away by a row before has to be there again.
        if *method == "DELETE" && path.contains("/sdk/integrations/") {
            let _ = tenants.connect("u_1", "");
        }
        let (filled, _) = theirs.fill(path);
        let answer = tenants.ask(&again(may), method, &filled, &[], body);
        if answer.status != *status {
            otherwise.push(format!("{method} {path}: {} {}", answer.status, answer.body));
        }
        // It is the provider's word that it knows no such address.
        if path.ends_with("/{path}") && answer.header("jackfield-passed-on").is_none() {
            otherwise.push(format!("{method} {path}: it was not passed on: {}", answer.body));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}
