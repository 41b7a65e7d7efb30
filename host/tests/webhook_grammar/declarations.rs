//! That a manifest cannot declare what would let somebody in.

use std::fs;

use jackfield::Manifest;
use serde_json::{Value, json};

use super::vectors::repository;

#[test]
fn a_declaration_that_would_let_somebody_in_is_refused() {
    let file: Value =
        serde_json::from_slice(&fs::read(repository().join("tests/webhook-vectors/meta.json")).unwrap())
            .unwrap();
    let problems = |change: &dyn Fn(&mut Value)| {
        let mut webhook = file["webhook"].clone();
        change(&mut webhook);
        let manifest = json!({
            "manifest_version": 1, "id": "vectors", "title": "Vectors", "version": "1.0.0", "description": "Vectors",
            "hosts": [], "auth": [{"name": "none", "title": "None", "kind": "none", "parameters": {}}], "actions": [],
            "webhooks": [webhook],
        });
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        let problems = manifest.check().into_iter();
        problems.map(|problem| problem.path.replace("/webhooks/0", "")).collect::<Vec<_>>()
    };
    assert!(problems(&|_| {}).is_empty());
    let hmac =
        json!({"json": {"hash": {"hmac": {"hash": "sha256", "of": {"query": "q"}, "encoding": "hex"}}}});
    let shared = json!({"kind": "shared_secret", "at": {"pointer": "/value/*/clientState"}});
    for (path, change) in [
        (
            "/event",
            &(|webhook: &mut Value| webhook["event"]["pointer"] = json!("object")) as &dyn Fn(&mut Value),
        ),
        ("/event", &|webhook| webhook["event"]["pointer"] = json!("/entry/*/id")),
        ("/event", &|webhook| webhook["event"] = json!({"header": "x event"})),
        ("/distinct/0", &|webhook| webhook["distinct"] = json!([{"pointer": "/entry/*/id"}])),
        ("/distinct/0", &|webhook| webhook["distinct"] = json!([{"header": ""}])),
        ("/revocation/user", &|webhook| webhook["revocation"] = json!({"event": "x", "user": "user"})),
        ("/verify/message", &|webhook| webhook["verify"]["message"] = json!([{"header": "x-id"}])),
        ("/verify/message/1", &|webhook| webhook["verify"]["message"] = json!(["body", {"header": "x:y"}])),
        ("/verify/timestamp", &|webhook| webhook["verify"]["message"] = json!(["timestamp", "body"])),
        ("/verify/message", &|webhook| {
            webhook["verify"]["timestamp"] = json!({"header": "x-time", "window_seconds": 300});
        }),
        ("/verify/timestamp/window_seconds", &|webhook| {
            webhook["verify"]["message"] = json!(["timestamp", "body"]);
            webhook["verify"]["timestamp"] = json!({"header": "x-time", "window_seconds": 0});
        }),
        ("/verify/signature", &|webhook| webhook["verify"]["signature"]["header"] = json!("x signature")),
        ("/verify/signature/encoding", &|webhook| webhook["verify"]["signature"]["encoding"] = json!("utf8")),
        ("/verify/signature/separator", &|webhook| webhook["verify"]["signature"]["separator"] = json!("")),
        ("/verify/signature/prefix", &|webhook| webhook["verify"]["signature"]["prefix"] = json!("")),
        ("/secret", &|webhook| {
            webhook["verify"] = shared.clone();
            webhook["secret"]["encoding"] = json!("base64");
        }),
        ("/verify/at", &|webhook| webhook["verify"] = json!({"kind": "shared_secret", "at": "body_hash"})),
        ("/verify/at", &|webhook| {
            webhook["verify"] = json!({"kind": "shared_secret", "at": {"pointer": "x"}})
        }),
        ("/secret", &|webhook| drop(webhook.as_object_mut().unwrap().remove("secret"))),
        ("/handshakes/0/answer/json/hash", &|webhook| {
            webhook.as_object_mut().unwrap().remove("secret");
            webhook["verify"] = json!({"kind": "custom"});
            webhook["handshakes"][0]["answer"] = hmac.clone();
        }),
        ("/secret/encoding", &|webhook| {
            webhook["verify"]["kind"] = json!("ed25519");
        }),
        ("/handshake_secret", &|webhook| webhook["handshake_secret"]["prefix"] = json!("x")),
        ("/handshake_secret/owner", &|webhook| {
            webhook["handshake_secret"]["owner"] = json!("subscription");
        }),
        ("/handshake_secret", &|webhook| {
            drop(webhook["handshakes"][0]["when"].as_array_mut().unwrap().pop())
        }),
        ("/handshakes/0/when", &|webhook| {
            drop(webhook["handshakes"][0]["when"].as_array_mut().unwrap().remove(0))
        }),
        ("/handshakes/0/when/0", &|webhook| {
            webhook["handshakes"][0]["when"][0]["at"] = json!({"pointer": "/a/*"});
        }),
        ("/handshakes/0/when/1", &|webhook| webhook["handshakes"][0]["when"][1]["equals"] = json!("x")),
        ("/handshakes/0/when/1", &|webhook| {
            drop(webhook.as_object_mut().unwrap().remove("handshake_secret"))
        }),
        ("/handshakes/0/answer/text", &|webhook| {
            webhook["handshakes"][0]["answer"] = json!({"text": {"pointer": "x"}});
        }),
        ("/handshakes/0/answer/json/hash", &|webhook| {
            webhook["handshakes"][0]["answer"] = hmac.clone();
            webhook["handshakes"][0]["when"][1] = json!({"at": {"query": "q"}});
            webhook.as_object_mut().unwrap().remove("handshake_secret");
        }),
        ("/handshakes/0/answer/json/hash", &|webhook| {
            webhook["verify"]["kind"] = json!("ed25519");
            webhook["secret"]["encoding"] = json!("hex");
            webhook["handshakes"][0]["answer"] = hmac.clone();
        }),
        ("/handshakes/0/answer/json/hash/hmac/encoding", &|webhook| {
            let mut answer = hmac.clone();
            answer["json"]["hash"]["hmac"]["encoding"] = json!("utf8");
            webhook["handshakes"][0]["answer"] = answer;
        }),
    ] {
        assert_eq!(problems(change), [path]);
    }
    // What is allowed: an HMAC behind a secret, and a secret in every item of a list.
    assert!(problems(&|webhook| webhook["handshakes"][0]["answer"] = hmac.clone()).is_empty());
    assert!(problems(&|webhook| webhook["verify"] = shared.clone()).is_empty());
    // And no secret, where the connector proves deliveries by other means.
    let without = |webhook: &mut Value| {
        webhook.as_object_mut().unwrap().remove("secret");
        webhook["verify"] = json!({"kind": "custom"});
    };
    assert!(problems(&without).is_empty());
}
