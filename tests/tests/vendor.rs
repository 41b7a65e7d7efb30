//! An app that was written against Paragon runs against this server: its page, with the vendor's own SDK as it is, in a real
//! browser; and its server, with the calls of ActionKit. The provider is the Zoom simulator.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    net::TcpListener,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jackfield_tests::{Answer, Browser, Home, Page, Running, Simulator, http};
use rustix::process::Signal;
use serde_json::{Value, json};

const TEST: &str = "vendor";

/// The origin of the app's page, where no browser shows it.
const APP: &str = "https://app.example.com";

/// A served home with a project, its app's key, and Zoom set up, which is the simulator.
struct App {
    home: Home,
    server: Running,
    simulator: Simulator,
    key: RsaKeyPair,
    /// `http://localhost:PORT`
    url: String,
}

/// A key, and its public half.
fn new_key() -> (RsaKeyPair, String) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
    (key, pem)
}

/// A user's token, good for an hour.
fn sign(key: &RsaKeyPair, user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": "RS256", "typ": "JWT"}));
    let claims = part(json!({"sub": user, "iat": now, "exp": now + 3600}));
    let message = format!("{head}.{claims}");
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl App {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://localhost:{port}");
        let simulator =
            Simulator::start(&["--no-rate-limits", "--redirect-uri", &format!("{url}/oauth/callback")]);
        let home = Home::with(&["zoom"]);
        let text = |name: &str| simulator.ready[name].as_str().unwrap().to_owned();
        let config = format!(
            "public_url = \"{url}\"\n[server]\nlisten = \"127.0.0.1:{port}\"\n\
             [integrations.zoom.endpoints]\napi = \"{}\"\noauth = \"{}\"\n",
            text("api"),
            text("oauth")
        );
        fs::write(home.path().join("jackfield.toml"), config).unwrap();
        // It says all that it ever says, so that a test can look for what it must not say.
        let server = home.start(&["-vvv", "serve"], "");
        server.says("; Ctrl-C ends it");
        let (key, pem) = new_key();
        let app = Self { home, server, simulator, key, url };
        app.set("/v1/integrations", &json!({"connector": "zoom", "client_id": text_of(&app, "client_id"), "client_secret": text_of(&app, "client_secret")}));
        app.set("/v1/projects/default/keys", &json!({"pem": pem}));
        app.set("/v1/projects", &json!({"id": "default", "title": "Acme", "return_urls": [APP]}));
        app
    }

    /// Does something as the operator.
    #[track_caller]
    fn set(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.home.ask("POST", path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn token(&self, user: &str) -> String {
        sign(&self.key, user)
    }

    /// Asks something as a user.
    fn ask(&self, user: &str, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token(user));
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        headers.extend(more);
        http(method, &format!("{}{path}", self.url), &headers, body)
    }

    fn get(&self, user: &str, path: &str) -> Answer {
        self.ask(user, "GET", path, &[], "")
    }

    /// The id by which the SDK knows what is set up.
    fn integration(&self) -> String {
        self.get("u_1", "/projects/default/sdk/integrations").json()[0]["id"].as_str().unwrap().to_owned()
    }

    /// Begins to connect an account as the SDK does: where the popup is sent.
    fn build(&self, user: &str, more: &str) -> Answer {
        let path = format!(
            "/v2/projects/default/sdk/actions/build-oauth?action=zoom&integrationId={}&originForPostMessage={APP}{more}",
            self.integration()
        );
        self.get(user, &path)
    }

    /// Where a popup is opened.
    fn nonce(&self, user: &str, origin: &str) -> String {
        format!(
            "{}/projects/default/sdk/actions/oauth-nonce?action=zoom&integrationId={}&originForPostMessage={origin}&userToken={}",
            self.url,
            self.integration(),
            self.token(user)
        )
    }

    /// Connects an account of the simulator's to a user, without a browser: its id.
    fn connect(&self, user: &str, email: &str) -> String {
        let link = self.set("/v1/connect-links", &json!({"connector": "zoom", "user": user}));
        let page = link["url"].as_str().unwrap();
        let asked = http("GET", page, &[], "");
        let cookie = asked.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let away = http("POST", page, &[("cookie", &cookie)], "");
        assert_eq!(away.status, 303, "{}", away.body);
        let back = self.allow(away.header("location").unwrap(), email);
        let end = http("GET", &back, &[("cookie", &cookie)], "");
        assert!(end.body.contains("Connected"), "{}", end.body);
        let id = link["id"].as_str().unwrap();
        let (_, link) = self.home.ask("GET", &format!("/v1/connect-links/{id}"), &Value::Null);
        link["connection"].as_str().unwrap().to_owned()
    }

    /// Says yes at the provider: where it sends the user back to.
    fn allow(&self, authorize: &str, email: &str) -> String {
        let users = self.simulator.ready["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["email"].as_str().unwrap().starts_with(email)).unwrap();
        let (place, query) = authorize.split_once('?').unwrap();
        let form = format!("{query}&user={}&decision=allow", user["id"].as_str().unwrap());
        let answer = http("POST", place, &[("content-type", "application/x-www-form-urlencoded")], &form);
        answer.header("location").unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    }

    /// Opens the app's page, with the SDK pointed here and a user signed in.
    fn open(&self, browser: &mut Browser, site: &str, user: &str) -> Page {
        let page = browser.open(&format!("{site}/"));
        let places =
            ["ZEUS", "WORKER_PROXY", "CONNECT", "DASHBOARD", "PASSPORT", "HERMES", "CDN", "API_TRIGGER_KIT"];
        let environments: serde_json::Map<_, _> =
            places.iter().map(|place| (format!("{place}_PUBLIC_URL"), json!(self.url))).collect();
        let script = r#"
            const { default: ConnectSDK } = await import("@useparagon/connect/ConnectSDK");
            window.paragon = new ConnectSDK(arg.environments);
            await paragon.authenticate("default", arg.token);
        "#;
        let arg = json!({"environments": environments, "token": self.token(user)});
        browser.evaluate(page, script, &arg).unwrap();
        page
    }
}

/// A page without what stands for its slashes and quotes.
fn read(answer: &Answer) -> String {
    answer.body.replace("&#x2f;", "/").replace("&quot;", "\"")
}

fn text_of(app: &App, name: &str) -> String {
    app.simulator.ready[name].as_str().unwrap().to_owned()
}

fn accounts(app: &App, user: &str) -> Vec<Value> {
    let me = app.get(user, "/projects/default/sdk/me").json();
    me["integrations"]["zoom"]["allCredentials"].as_array().unwrap().clone()
}

#[test]
fn the_vendors_sample_runs_unchanged_with_the_vendors_sdk() {
    let Some(mut browser) = Browser::start(TEST) else { return };
    let app = App::start();
    let site = browser.app.clone();
    app.set("/v1/projects", &json!({"id": "default", "return_urls": [site]}));
    let client_secret = text_of(&app, "client_secret");
    let page = app.open(&mut browser, &site, "u_42");

    let found = browser
        .evaluate(page, "return [paragon.getUser(), paragon.getIntegrationMetadata()]", &Value::Null)
        .unwrap();
    assert_eq!((&found[0]["authenticated"], &found[0]["userId"]), (&json!(true), &json!("u_42")), "{found}");
    assert_eq!(found[0]["integrations"]["zoom"]["enabled"], false, "{found}");
    let icon = format!("{}/integrations/zoom.svg", app.url);
    let metadata = json!([{"type": "zoom", "name": "Zoom", "brandColor": "#0b5cff", "icon": icon}]);
    assert_eq!(found[1], metadata);
    let picture = http("GET", &icon, &[], "");
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/svg+xml")));

    // Without an account, the app is told so.
    let failed =
        browser.evaluate(page, "await paragon.request('zoom', 'users/me', { method: 'GET' })", &Value::Null);
    assert!(failed.unwrap_err().contains("there is no connection of user `u_42` to `zoom`"));

    // The popup goes to the provider by itself, and is gone when it is done.
    let install = "return paragon.installIntegration('zoom')";
    let going = browser.begin(page, install, &Value::Null);
    let popup = browser.popup();
    let consent = browser.url(popup, "/oauth/authorize");
    assert!(
        consent.starts_with(&text_of(&app, "oauth")) && consent.contains("code_challenge_method=S256"),
        "{consent}"
    );
    browser.click(popup, "button[value=allow]");
    let installed = browser.finish(going).unwrap();
    assert_eq!(installed["credential"]["status"], "VALID", "{installed}");
    browser.closed(popup);

    // The sample of the vendor's page, as it stands there. A meeting without a time is one that begins now, and not listed.
    let sample = r#"
        const made = await paragon.request("zoom", "users/me/meetings", { method: "POST", body: { topic: "Product Demo Webinar" } });
        return [made, await paragon.request("zoom", "users/me/meetings", { method: "GET" })];
    "#;
    let found = browser.evaluate(page, sample, &Value::Null).unwrap();
    assert_eq!(found[0]["topic"], "Product Demo Webinar", "{found}");
    assert!(found[0]["join_url"].is_string() && found[1]["meetings"].is_array(), "{found}");
    let sent = app.simulator.journal();
    let created =
        sent.iter().find(|one| one["method"] == "POST" && one["path"] == "/v2/users/me/meetings").unwrap();
    assert!(created.to_string().contains("application/json"), "{created}");

    // What the provider refuses comes through, and logs nobody out.
    let refused = r#"
        const error = await paragon.request("zoom", "meetings/1", { method: "GET" }).catch((error) => error);
        return [error.message, paragon.getUser().authenticated];
    "#;
    let refused = browser.evaluate(page, refused, &Value::Null).unwrap();
    assert!(
        refused[0].as_str().unwrap().contains("Meeting does not exist") && refused[1] == true,
        "{refused}"
    );

    let meta = "return (await paragon.setUserMetadata({ name: 'Anna', plan: 'pro' })).meta";
    assert_eq!(browser.evaluate(page, meta, &Value::Null).unwrap(), json!({"Name": "Anna", "plan": "pro"}));

    // What is not here says so.
    let event = "return paragon.event('Order created', {}).catch((error) => error.message)";
    let said = browser.evaluate(page, event, &Value::Null).unwrap();
    // Of an error its SDK makes a text, the whole of it.
    let said: Value = serde_json::from_str(said.as_str().unwrap()).unwrap();
    assert_eq!(said["message"], "workflows are not part of this Jackfield yet");
    let code =
        "return paragon.completeInstall('zoom', { authorizationCode: 'c' }).catch((error) => error.message)";
    let said = browser.evaluate(page, code, &Value::Null).unwrap();
    assert!(said.as_str().unwrap().contains("bound to no browser"), "{said}");

    let uninstall =
        "await paragon.uninstallIntegration('zoom'); return paragon.getUser().integrations.zoom.enabled";
    assert_eq!(browser.evaluate(page, uninstall, &Value::Null).unwrap(), false);
    assert!(accounts(&app, "u_42").is_empty());

    // Another time, as an app without a portal does it, and with a no.
    let flow = r#"
        paragon.setHeadless(true);
        return new Promise((resolve, reject) => paragon.installFlow.start("zoom", {
            onComplete: resolve, onError: (error) => reject(error) }));
    "#;
    let going = browser.begin(page, flow, &Value::Null);
    let popup = browser.popup();
    browser.click(popup, "button[value=allow]");
    let installed = browser.finish(going).unwrap();
    let id = installed["credentialId"].as_str().unwrap();
    assert_eq!(accounts(&app, "u_42")[0]["id"], id);
    let denied = r#"
        paragon.setHeadless(false);
        return paragon.installIntegration("zoom", { allowMultipleCredentials: true }).catch((error) => error.message);
    "#;
    let going = browser.begin(page, denied, &Value::Null);
    let popup = browser.popup();
    browser.click(popup, "button[value=deny]");
    assert!(browser.text(popup, "main").contains("You have not allowed it"));
    let denied = browser.finish(going).unwrap();
    assert!(denied.as_str().unwrap().contains("has not allowed it"), "{denied}");
    assert_eq!(accounts(&app, "u_42").len(), 1);

    // The token stood in an address, and the code in another one.
    app.server.signal(Signal::TERM);
    let log = format!("{}{}", app.server.ends().stderr, app.home.logs());
    assert!(log.contains("connected"), "{log}");
    for secret in ["eyJ", "userToken", "code=", &client_secret] {
        assert!(!log.contains(secret), "{secret} stands in the log: {log}");
    }
}

/// Whoever has a token of some user could open a popup for somebody else, and have their account connected to his own name.
#[test]
fn a_popup_that_no_page_of_the_app_has_opened_asks_first() {
    let Some(mut browser) = Browser::start(TEST) else { return };
    let app = App::start();
    // The same site, under an address that the project does not know.
    let site = browser.app.replace("localhost", "127.0.0.1");
    let page = app.open(&mut browser, &site, "u_evil");
    let going = browser.begin(page, "return paragon.installIntegration('zoom')", &Value::Null);
    let popup = browser.popup();
    assert!(browser.url(popup, "/connect/").starts_with(&app.url));
    assert!(browser.text(popup, "main").contains("Acme wants to use your Zoom account"));
    browser.click(popup, "button");
    browser.click(popup, "button[value=allow]");
    assert_eq!(browser.finish(going).unwrap()["credential"]["status"], "VALID");
    browser.closed(popup);
}

#[test]
fn what_goes_to_the_provider_is_bound_to_the_browser_that_opened_the_popup() {
    let app = App::start();
    let place = |answer: &Answer| answer.json()["redirectUrl"].as_str().unwrap().to_owned();
    let cookies = |answer: &Answer| {
        let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        set.map(|(_, cookie)| cookie.split(';').next().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
    };
    let referer = format!("{APP}/");
    let open = |user: &str| {
        http("GET", &app.nonce(user, APP), &[("referer", &referer), ("sec-fetch-mode", "navigate")], "")
    };
    let go = |cookie: &str, url: &str| http("GET", url, &[("cookie", cookie)], "");

    let opened = open("u_1");
    assert_eq!(opened.status, 200, "{}", opened.body);
    assert!(read(&opened).contains(&format!("data-origin=\"{APP}\"")));
    let policy = opened.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'sha256-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!opened.body.contains(&app.token("u_1")), "the token stands in the page");
    let cookie = cookies(&opened);

    // With its session it goes straight on, once.
    let url = place(&app.build("u_1", "&oauthMetaKeyId=one"));
    let gone = go(&cookie, &url);
    let consent = gone.header("location").unwrap().to_owned();
    assert!(consent.starts_with(&text_of(&app, "oauth")), "{gone:?}");
    assert!(go(&cookie, &url).header("location").unwrap().contains("/connect/"));

    // Without it, with another one, and for another user or another link than it was opened for, somebody is asked.
    let url = place(&app.build("u_1", "&oauthMetaKeyId=two"));
    let other = place(&app.build("u_2", "&oauthMetaKeyId=two"));
    assert_ne!(url, other);
    let session = cookie.split("; ").next().unwrap();
    let stranger = cookies(&http("GET", &app.nonce("u_1", APP), &[], ""));
    let mixed = format!("{}; {}", stranger.split("; ").next().unwrap(), cookie.split("; ").nth(1).unwrap());
    for (cookie, url) in [
        ("", &url),
        (session, &url),
        (stranger.as_str(), &url),
        (mixed.as_str(), &url),
        (cookie.as_str(), &other),
    ] {
        let answer = go(cookie, url);
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(answer.header("location").unwrap().contains("/connect/"), "{cookie} {answer:?}");
    }

    // What comes back to another browser is nothing; to this one it is the account.
    let back = app.allow(&consent, "");
    let elsewhere = go(&stranger, &back);
    assert_eq!(elsewhere.status, 400, "{elsewhere:?}");
    assert_eq!(app.get("u_1", "/projects/default/sdk/actions/session-id/one").json(), json!({}));
    let end = go(&cookie, &back);
    assert!(
        end.body.contains("data-close") && read(&end).contains(&format!("data-origin=\"{APP}\"")),
        "{}",
        end.body
    );
    let came = app.get("u_1", "/projects/default/sdk/actions/session-id/one").json();
    let id = came["connectCredentialId"].as_str().unwrap().to_owned();
    let credential = app.get("u_1", &format!("/projects/default/sdk/credentials/{id}")).json();
    assert_eq!((&credential["id"], &credential["status"]), (&json!(id), &json!("VALID")), "{credential}");
    assert_eq!(app.ask("u_1", "DELETE", "/projects/default/sdk/actions/session-id/one", &[], "").status, 200);
    // The key is the user's own: another one's under the same name is another.
    assert_eq!(app.get("u_2", "/projects/default/sdk/actions/session-id/one").json(), json!({}));
    assert_eq!(app.build("u_1", "&oauthMetaKeyId=one").status, 409);

    // Whom the page would tell, and whose token it is, is looked at.
    for (origin, status) in [("*", 422), ("https://app.example.com/x", 422), ("javascript:alert(1)", 422)] {
        let answer = http("GET", &app.nonce("u_1", origin), &[], "");
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!answer.body.contains("<script>") && answer.header("set-cookie").is_none(), "{answer:?}");
    }
    let forged = app.nonce("u_1", APP).replace(&app.token("u_1"), &sign(&new_key().0, "u_1"));
    let answer = http("GET", &forged, &[], "");
    assert!(answer.status == 401 && answer.header("set-cookie").is_none(), "{answer:?}");
    // Nobody is sent back to an address that is not registered.
    let answer = app.build("u_1", "&redirectUrl=https://evil.example.com");
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.json()["message"].as_str().unwrap().contains("redirectUrl"), "{answer:?}");
}

#[test]
fn actions_are_tools_for_a_model() {
    let app = App::start();
    let list = |query: &str| {
        app.get("u_1", &format!("/projects/default/actions?format=json_schema&integrations=zoom{query}"))
    };
    let tools = list("&limit_to_available=false").json();
    let create = &tools["actions"]["zoom"][0];
    assert_eq!(
        (&create["type"], &create["function"]["name"]),
        (&json!("function"), &json!("ZOOM_CREATE_MEETING"))
    );
    assert_eq!(create["function"]["parameters"]["properties"]["topic"]["maxLength"], 200);
    assert!(create["function"]["parameters"]["$defs"]["MeetingType"].is_object(), "{create}");
    assert!(!tools.to_string().contains("\"x-"), "{tools}");
    // Nothing is connected yet.
    assert_eq!(list("&limit_to_available=true").json(), json!({"actions": {}}));
    assert_eq!(app.get("u_1", "/projects/default/actions?integrations=other").json(), json!({"actions": {}}));
    assert_eq!(app.get("u_1", "/projects/default/actions?format=yaml").status, 400);

    let run = |more: &[(&str, &str)], action: &str, parameters: Value| {
        let body = json!({"action": action, "parameters": parameters}).to_string();
        app.ask("u_1", "POST", "/projects/default/actions", more, &body)
    };
    let none = run(&[], "ZOOM_CREATE_MEETING", json!({"topic": "Product demo"}));
    assert_eq!((none.status, &none.json()["kind"]), (409, &json!("connection_needed")), "{none:?}");

    let host = app.connect("u_1", "");
    assert!(list("&limit_to_available=true").json()["actions"]["zoom"].is_array());
    let made = run(&[], "ZOOM_CREATE_MEETING", json!({"topic": "Product demo"}));
    assert_eq!((made.status, &made.json()["topic"]), (200, &json!("Product demo")), "{made:?}");
    let record = app.home.ask(
        "GET",
        &format!("/v1/invocations/{}", made.header("jackfield-invocation").unwrap()),
        &Value::Null,
    );
    assert_eq!(
        (&record.1["action"], &record.1["user"]),
        (&json!("zoom.create_meeting"), &json!("u_1")),
        "{record:?}"
    );

    // What is wrong with the parameters is told at once, and nothing is sent.
    let wrong = run(&[], "ZOOM_CREATE_MEETING", json!({"duration": 0}));
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert_eq!(wrong.header("content-type"), Some("application/json"));
    assert!(wrong.json()["message"].is_string() && wrong.json()["problems"].is_array(), "{wrong:?}");
    let unknown = run(&[], "ZOOM_CREATE_MEETINGS", json!({}));
    assert_eq!(
        (unknown.status, &unknown.json()["hint"]),
        (404, &json!("did you mean `ZOOM_CREATE_MEETING`?")),
        "{unknown:?}"
    );

    // With several accounts, one has to be named.
    let others = app.simulator.ready["users"].as_array().unwrap();
    let other =
        others.iter().find(|user| user["email"] != others[0]["email"]).unwrap()["email"].as_str().unwrap();
    let other = app.connect("u_1", other);
    assert_ne!(host, other);
    let several = run(&[], "ZOOM_CREATE_MEETING", json!({"topic": "Demo"}));
    assert_eq!(several.status, 409, "{several:?}");
    let hint = several.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("X-Paragon-Credential") && hint.contains(&host) && hint.contains(&other), "{hint}");
    let me = |credential: &str| {
        let path = "/projects/default/sdk/proxy/zoom/users/me";
        app.ask("u_1", "GET", path, &[("x-paragon-credential", credential)], "").json()["email"].clone()
    };
    assert_ne!(me(&host), me(&other));
    for credential in [&host, &other] {
        let made =
            run(&[("x-paragon-credential", credential)], "ZOOM_CREATE_MEETING", json!({"topic": "Demo"}));
        assert_eq!((made.status, &made.json()["host_email"]), (200, &me(credential)), "{made:?}");
    }

    // One that is somebody else's is not there, on any way.
    let foreign = app.connect("u_2", "");
    for answer in [
        run(&[("x-paragon-credential", &foreign)], "ZOOM_CREATE_MEETING", json!({"topic": "Demo"})),
        app.ask(
            "u_1",
            "GET",
            "/projects/default/sdk/proxy/zoom/users/me",
            &[("x-paragon-credential", &foreign)],
            "",
        ),
        app.get("u_1", &format!("/projects/default/sdk/credentials/{foreign}")),
        app.ask(
            "u_1",
            "GET",
            "/projects/default/sdk/credentials?integration=zoom",
            &[("x-paragon-credential", &foreign)],
            "",
        ),
        app.ask(
            "u_1",
            "DELETE",
            "/projects/default/sdk/integrations/zoom",
            &[("x-paragon-credential", &foreign)],
            "",
        ),
        app.build("u_1", &format!("&installOptions=%7B%22selectedCredentialId%22:%22{foreign}%22%7D")),
    ] {
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.json()["message"].as_str().unwrap().contains("there is no connection"), "{answer:?}");
    }
    // Giving up one leaves the other; giving up all leaves those of others.
    assert_eq!(
        app.ask(
            "u_1",
            "DELETE",
            "/projects/default/sdk/integrations/zoom",
            &[("x-paragon-credential", &host)],
            ""
        )
        .status,
        200
    );
    assert_eq!(
        accounts(&app, "u_1").iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(),
        [other.as_str()]
    );
    assert_eq!(app.ask("u_1", "DELETE", "/projects/default/sdk/integrations/zoom", &[], "").status, 200);
    assert!(accounts(&app, "u_1").is_empty() && accounts(&app, "u_2").len() == 1);
}

#[test]
fn requests_are_passed_on_as_they_are() {
    let app = App::start();
    app.connect("u_1", "");
    let proxy = |method: &str, path: &str, more: &[(&str, &str)], body: &str| {
        let path = format!("/projects/default/sdk/proxy/zoom{path}");
        app.ask("u_1", method, &path, &[&[("content-type", "auto"), ("origin", APP)], more].concat(), body)
    };
    let made = proxy("POST", "/users/me/meetings?x=%2F", &[], r#"{"topic": "Product Demo Webinar"}"#);
    assert_eq!((made.status, &made.json()["topic"]), (201, &json!("Product Demo Webinar")), "{made:?}");
    assert_eq!(made.header("access-control-allow-origin"), Some("*"));
    assert_eq!(made.header("access-control-allow-credentials"), None);
    let sent = app.simulator.journal();
    let sent = sent.iter().rfind(|one| one["path"] == "/v2/users/me/meetings").unwrap();
    assert!(sent.to_string().contains("x=%2F") && !sent.to_string().contains("x-paragon"), "{sent}");
    // By its whole address, if that is the provider's.
    let whole = format!("{}/users/me", text_of(&app, "api"));
    let more = [("x-paragon-proxy-url", whole.as_str()), ("x-paragon-use-raw-response", "true")];
    assert_eq!(
        proxy("GET", "", &more, "").json()["type"],
        app.get("u_1", "/projects/default/sdk/proxy/zoom/users/me").json()["type"]
    );
    let before = app.simulator.journal().len();
    for (path, more, status) in [
        ("", &[][..], 400),
        ("", &[("x-paragon-proxy-url", "https://evil.example.com/")][..], 403),
        ("", &[("x-paragon-proxy-url", "no address")][..], 400),
        ("///evil.example.com/x", &[][..], 400),
        ("/https://evil.example.com/x", &[][..], 400),
    ] {
        let answer = proxy("GET", path, more, "");
        assert_eq!(answer.status, status, "{path} {more:?} {answer:?}");
        assert!(answer.json()["message"].is_string(), "{answer:?}");
    }
    assert_eq!(app.simulator.journal().len(), before, "a token was sent");
    let other = app.get("u_1", "/projects/default/sdk/proxy/other/users/me");
    assert_eq!((other.status, &other.json()["message"]), (404, &json!("`other` is not set up")));
}

#[test]
fn browsers_are_told_what_they_may_send_and_nobody_is_let_in_without_a_token() {
    let app = App::start();
    let paths = [
        "/projects/default/sdk/me",
        "/v2/projects/default/sdk/events/trigger",
        "/projects/default/sdk/proxy/zoom/users/me",
        "/projects/default/nothing",
    ];
    for path in paths {
        let headers = [
            ("origin", APP),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization,content-type,x-paragon-sdk-version,x-evil"),
        ];
        let answer = http("OPTIONS", &format!("{}{path}", app.url), &headers, "");
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization, content-type, x-paragon-sdk-version")
        );
        assert!(answer.header("access-control-allow-methods").unwrap().contains("PATCH"));
    }
    // Our own addresses are for no page of anybody's.
    let native = http(
        "OPTIONS",
        &format!("{}/v1/users", app.url),
        &[("origin", APP), ("access-control-request-method", "GET")],
        "",
    );
    assert_eq!((native.status, native.header("access-control-allow-origin")), (405, None));

    let operator = app.set("/v1/tokens", &json!({}))["token"].as_str().unwrap().to_owned();
    let development = app.set("/v1/tokens", &json!({"user": "u_7"}))["token"].as_str().unwrap().to_owned();
    app.set("/v1/projects", &json!({"id": "other"}));
    let (key, pem) = new_key();
    app.set("/v1/projects/other/keys", &json!({"pem": pem}));
    let (unknown, _) = new_key();
    let ask = |project: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        http("GET", &format!("{}/projects/{project}/sdk/me", app.url), &[("authorization", &bearer)], "")
    };
    for (project, token, status) in [
        ("default", app.token("u_1"), 200),
        ("default", development.clone(), 200),
        ("other", sign(&key, "u_1"), 200),
        ("default", sign(&key, "u_1"), 401),
        ("other", app.token("u_1"), 401),
        ("other", development, 401),
        ("nothing", app.token("u_1"), 401),
        ("default", sign(&unknown, "u_1"), 401),
        ("%64efault", app.token("u_1"), 401),
        ("default", String::new(), 401),
        // It is nobody's in particular.
        ("default", operator, 403),
    ] {
        let answer = ask(project, &token);
        assert_eq!(answer.status, status, "{project} {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let is_error = status != 200;
        assert_eq!(answer.json()["message"].is_string(), is_error, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // Also whoever may do everything is no user of a project.
    assert_eq!(app.home.ask("GET", "/projects/default/sdk/me", &Value::Null).0, 401);

    for (method, path, what) in [
        ("POST", "/v2/projects/default/sdk/events/trigger", "workflows"),
        ("POST", "/projects/default/sdk/triggers/w_1", "workflows"),
        ("POST", "/projects/default/sdk/workflows/w_1", "workflows"),
        ("DELETE", "/projects/default/sdk/workflows/w_1", "workflows"),
        ("GET", "/projects/default/triggers", "triggers"),
        ("POST", "/projects/default/trigger-subscriptions", "triggers"),
    ] {
        let answer = app.ask("u_1", method, path, &[], "{}");
        assert_eq!(answer.status, 501, "{answer:?}");
        assert_eq!(answer.json()["message"], format!("{what} are not part of this Jackfield yet"));
    }
}
