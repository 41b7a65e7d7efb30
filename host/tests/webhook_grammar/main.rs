//! The webhook grammar, proved with vectors: `tests/webhook-vectors/*.json`, whose README says where they come from.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "all of this crate is tests, their helpers too")]

mod declarations;
mod robustness;
mod vectors;

use std::{collections::BTreeSet, env, fs, io::Write, path::Path};

use connector_protocol::manifest::Webhook;
use jackfield::ingress::{self, Accepted, Delivery, Refusal, Request, Secrets};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::vectors::{cases, declaration, fits, headers, zoom};

#[test]
fn every_vector_has_its_outcome() {
    let cases = cases();
    let mut failed = Vec::new();
    for case in &cases {
        let outcome = case.receive();
        if !fits(&case.expect, &outcome) {
            failed.push(format!("{}\n    is {outcome:?}", case.title));
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
    assert!(cases.len() > 600, "only {} cases: are all files there?", cases.len());
}

#[test]
fn no_two_vectors_of_a_file_have_one_title() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        assert!(seen.insert(case.title.clone()), "{}", case.title);
    }
}

#[test]
fn the_vectors_hold_every_webhook_case_of_zoom() {
    let titles: Vec<String> = cases().into_iter().map(|case| case.title).collect();
    for number in 1..=14 {
        let prefix = format!("zoom.json: case {number}: ");
        assert!(titles.iter().any(|title| title.starts_with(&prefix)), "{prefix}");
    }
}

#[test]
fn every_reason_to_refuse_is_shown_by_a_vector() {
    let refusals = cases().into_iter().filter_map(|case| match case.receive() {
        Err(refusal) => Some(refusal),
        Ok(Accepted::Unreadable(found)) => Some(found.why),
        Ok(_) => None,
    });
    let shown: BTreeSet<&str> = refusals.map(|refusal| refusal.code()).collect();
    let known = [
        "compressed",
        "doubled_header",
        "malformed_body",
        "malformed_handshake",
        "malformed_signature",
        "malformed_timestamp",
        "missing_header",
        "missing_shared_secret",
        "missing_signature",
        "missing_timestamp",
        "needs_connector",
        "no_secret",
        "stale",
        "unusable_secret",
        "wrong_content_type",
        "wrong_handshake_secret",
        "wrong_method",
        "wrong_shared_secret",
        "wrong_signature",
    ];
    assert_eq!(shown, BTreeSet::from(known));
}

#[test]
fn fault_102_no_refusal_holds_a_secret_or_a_value_of_the_request() {
    for case in cases() {
        let shown = format!("{:?} {:?}", case.request(), case.secrets());
        let refused = match case.receive() {
            Err(refusal) => format!("{shown} {refusal:?} {refusal}"),
            Ok(_) => shown,
        };
        // What is shorter turns up by chance.
        let long = |text: &&str| text.len() > 12 && *text != "application/json";
        let secrets = case.signing.iter().chain(&case.handshake).map(String::as_str);
        let values = case.headers.values().filter_map(|value| value.to_str().ok());
        let query = case.url.split_once('?').map(|(_, query)| query);
        for held in secrets.chain(values).chain(query).filter(long) {
            assert!(!refused.contains(held), "{}: {refused}", case.title);
        }
    }
}

/// A declaration whose proof only the connector can check, with a handshake that such a proof covers.
fn custom() -> Webhook {
    declaration(
        "custom",
        json!({
            "name": "default", "secret": {"owner": "integration", "title": "Token"}, "verify": {"kind": "custom"},
            "distinct": [{"pointer": "/id"}], "event": {"pointer": "/type"},
            "handshakes": [{"when": [{"at": {"pointer": "/type"}, "equals": "hello"}], "signed": true,
                            "answer": {"text": {"pointer": "/id"}}}],
        }),
    )
}

#[test]
fn what_the_connector_vouches_for_is_read_like_anything_else() {
    let webhook = custom();
    let secrets = |texts: &[&str]| Secrets {
        signing: texts.iter().map(|text| (*text).into()).collect(),
        handshake: Vec::new(),
    };
    let json = headers(&[("content-type".to_owned(), "application/json".to_owned())]);
    let request = |body: &'static str| Request {
        method: "POST",
        url: "https://hooks.example.com/webhooks/custom/main",
        headers: &json,
        body: body.as_bytes(),
        received_at: Timestamp::UNIX_EPOCH,
    };
    let delivery = request(r#"{"type":"added","id":"a"}"#);
    assert_eq!(ingress::receive(&webhook, &secrets(&["x"]), &delivery), Err(Refusal::NeedsConnector));
    assert_eq!(
        ingress::admit(&webhook, &secrets(&["x"]), &delivery),
        Ok(Accepted::Delivery(Delivery { event: Some("added".to_owned()), distinct: vec!["a".to_owned()] }))
    );
    let hello = request(r#"{"type":"hello","id":"a"}"#);
    assert_eq!(ingress::receive(&webhook, &secrets(&["x"]), &hello), Err(Refusal::NeedsConnector));
    assert!(matches!(
        ingress::admit(&webhook, &secrets(&["x"]), &hello),
        Ok(Accepted::Handshake(answer)) if answer.body == b"a"
    ));
    for (secrets, body, code) in [
        (secrets(&[]), r#"{"type":"added"}"#, "no_secret"),
        (secrets(&["x"]), r#"{"type":"hello"}"#, "malformed_handshake"),
    ] {
        let refusal = ingress::admit(&webhook, &secrets, &request(body)).unwrap_err();
        assert_eq!(refusal.code(), code, "{body}");
    }
    let twice = request(r#"{"type":"added","type":"added"}"#);
    assert!(matches!(
        ingress::admit(&webhook, &secrets(&["x"]), &twice),
        Ok(Accepted::Unreadable(found)) if found.why.code() == "malformed_body"
    ));
}

/// The vectors that lie outside the repository, where somebody has them.
#[test]
fn the_shared_zoom_vectors_verify() {
    let path =
        env::var_os("JACKFIELD_SHARED").map(|shared| Path::new(&shared).join("zoom/signature-vectors.json"));
    let Some(path) = path.filter(|path| path.is_file()) else {
        return skip(
            "the_shared_zoom_vectors_verify: JACKFIELD_SHARED names no directory with zoom/signature-vectors.json",
        );
    };
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let secrets = Secrets { signing: vec![text(&file, "secret").into()], handshake: Vec::new() };
    let vectors = file["vectors"].as_array().unwrap();
    for vector in vectors {
        let sent = text(vector, "timestamp");
        let count: i64 = sent.parse().unwrap();
        let headers = headers(&[
            ("content-type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("x-zm-request-timestamp".to_owned(), sent),
            ("x-zm-signature".to_owned(), text(vector, "signature")),
        ]);
        let body = text(vector, "raw_body");
        let outcome = ingress::receive(
            &zoom(),
            &secrets,
            &Request {
                method: "POST",
                url: "https://hooks.example.com/webhooks/zoom/main",
                headers: &headers,
                body: body.as_bytes(),
                received_at: Timestamp::from_second(if count > 1 << 40 { count / 1000 } else { count })
                    .unwrap(),
            },
        );
        let name = text(vector, "name");
        match (vector["valid"].as_bool(), outcome) {
            (Some(true), Ok(Accepted::Delivery(delivery))) => {
                let event = serde_json::from_str::<Value>(&body).unwrap()["event"].clone();
                assert_eq!(delivery.event.as_deref(), event.as_str(), "{name}");
                if let Some(hash) = vector["body_sha256"].as_str() {
                    assert_eq!(delivery.distinct, [hash], "{name}");
                }
            }
            (Some(true), Ok(Accepted::Handshake(answer))) => {
                assert_eq!(name, "endpoint.url_validation");
                assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), file["crc"]);
            }
            (Some(false), Err(refusal)) => assert_eq!(refusal.status(), 401, "{name}"),
            (_, outcome) => panic!("{name}: {outcome:?}"),
        }
    }
    assert!(vectors.len() >= 19, "{} vectors", vectors.len());
}

/// Says loudly that a test was not run, and writes it down where somebody collects that.
fn skip(line: &str) {
    eprintln!("SKIPPED: {line}");
    if let Some(path) = env::var_os("JACKFIELD_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
