//! The browser that tests drive does what they rely on, and the vendor's own SDK runs in it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{Browser, OidcProvider};
use serde_json::json;

const TEST: &str = "browser";

#[test]
fn an_apps_page_loads_the_vendors_sdk_unchanged() {
    let Some(mut browser) = Browser::start(TEST) else { return };
    let app = browser.app.clone();
    let page = browser.open(&format!("{app}/"));
    let script = r#"
        const { default: ConnectSDK } = await import("@useparagon/connect/ConnectSDK");
        const { default: Same, paragon } = await import("@useparagon/connect");
        const sdk = new ConnectSDK(arg);
        const error = await sdk.authenticate("project", "no token").catch((error) => error.message);
        return { methods: ["authenticate", "getUser", "request", "getIntegrationMetadata"].map((name) => typeof sdk[name]),
            paragon: typeof paragon.request, same: typeof Same, error: String(error) };
    "#;
    let places =
        ["ZEUS", "WORKER_PROXY", "CONNECT", "DASHBOARD", "PASSPORT", "HERMES", "CDN", "API_TRIGGER_KIT"];
    let environments: serde_json::Map<_, _> =
        places.iter().map(|place| (format!("{place}_PUBLIC_URL"), json!(app))).collect();
    let found = browser.evaluate(page, script, &environments.into()).unwrap();
    assert_eq!(found["methods"], json!(["function", "function", "function", "function"]), "{found}");
    assert_eq!((&found["paragon"], &found["same"]), (&json!("function"), &json!("function")));
    // It looks at a token before it sends anything.
    assert!(found["error"].as_str().unwrap().contains("well-formed JWT"), "{found}");
}

#[test]
fn a_popup_is_driven_while_its_opener_waits() {
    let Some(mut browser) = Browser::start(TEST) else { return };
    let app = browser.app.clone();
    let redirect = format!("{app}/back");
    let Some(server) = OidcProvider::start(TEST, &json!({"interactive": true, "redirect_uris": [redirect]}))
    else {
        return;
    };
    browser.serve("/back", "text/html", "<script>opener.postMessage(location.search, '*'); close()</script>");
    let page = browser.open(&format!("{app}/"));
    let script = r#"
        const told = new Promise((resolve) => addEventListener("message", (event) => resolve(event.data)));
        open(arg, "popup", "width=500,height=600");
        return told;
    "#;
    let authorize = format!(
        "{}?response_type=code&client_id={}&redirect_uri={redirect}&scope=profile:read&state=s\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        server.authorize, server.client_id
    );
    let going = browser.begin(page, script, &json!(authorize));
    let popup = browser.popup();
    assert!(browser.url(popup, "/interaction/").starts_with(&server.issuer));
    assert_eq!(browser.text(popup, "#allow"), "Allow");
    browser.click(popup, "#allow");
    let query = browser.finish(going).unwrap();
    assert!(query.as_str().unwrap().contains("code="), "{query}");
    browser.closed(popup);
}

#[test]
fn nothing_but_this_machine_can_be_reached() {
    let Some(mut browser) = Browser::start(TEST) else { return };
    let page = browser.open(&format!("{}/", browser.app));
    let fetch = "await fetch(arg, { mode: 'no-cors' }); return 'reached'";
    for elsewhere in ["https://example.com/", "http://192.0.2.1/", "http://[2001:db8::1]/"] {
        assert!(browser.evaluate(page, fetch, &json!(elsewhere)).is_err(), "{elsewhere}");
        let seen = browser.seen(page);
        let failed = seen["failed"].as_array().unwrap().last().unwrap();
        assert_eq!(failed, &json!(format!("GET {elsewhere}: net::ERR_NAME_NOT_RESOLVED")));
    }
    assert_eq!(browser.evaluate(page, fetch, &json!("/")).unwrap(), "reached");
    assert_eq!(
        browser.evaluate(page, "throw new Error('no')", &json!(null)).unwrap_err().lines().next().unwrap(),
        "page.evaluate: Error: no"
    );
}
