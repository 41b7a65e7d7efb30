//! Connecting an account: the way to the provider and back, who may come back from there, and what a connection is then. At
//! the Zoom simulator and at an authorization server that nobody here wrote.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{Accounts, Answer, At, Fault, Home, Simulator, Visitor, http};
use serde_json::{Value, json};

const NOTHING: Value = Value::Null;

/// A browser that is at the provider: it, and where it was sent to.
fn away(accounts: &Accounts) -> (Visitor, String) {
    let mut visitor = Visitor::default();
    let link = accounts.link("u_42", &json!({}));
    let authorize = accounts.follow(&mut visitor, &link);
    (visitor, authorize)
}

/// The value of a parameter of an address.
fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// An address with another value of a parameter, or without it.
fn with(url: &str, name: &str, value: Option<&str>) -> String {
    let (place, query) = url.split_once('?').unwrap();
    let others = query.split('&').filter(|pair| pair.split('=').next() != Some(name)).map(str::to_owned);
    let pairs: Vec<String> = others.chain(value.map(|value| format!("{name}={value}"))).collect();
    format!("{place}?{}", pairs.join("&"))
}

/// That nothing was connected, that the page says so without what is for nobody's eyes, and that no token was asked for.
#[track_caller]
fn is_refused(accounts: &Accounts, answer: &Answer, status: u16, requests: usize, callback: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(accounts.token_requests(), requests);
    assert_eq!(accounts.connections("u_42"), Vec::<Value>::new());
    for name in ["code", "state"] {
        let secret = parameter(callback, name).filter(|secret| secret.len() > 12);
        assert!(secret.is_none_or(|secret| !answer.body.contains(secret)), "{name} is on the page");
        assert!(secret.is_none_or(|secret| !accounts.home.logs().contains(secret)), "{name} is in the log");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(
        (answer.header("referrer-policy"), answer.header("cache-control")),
        (Some("no-referrer"), Some("no-store"))
    );
}

#[test]
fn fault_31_a_state_that_is_missing_wrong_expired_or_used_gets_nobody_a_token() {
    for accounts in Accounts::everywhere("connecting") {
        let who = accounts.people()[0];
        let (mut visitor, authorize) = away(&accounts);
        let callback = accounts.consent(&authorize, who);
        let state = parameter(&callback, "state").unwrap();
        // What anybody can try without using it up.
        let another: String = state.chars().rev().collect();
        for wrong in
            [None, Some(""), Some("x"), Some(&*another), Some(&state[..42]), Some("%00"), Some("%FF")]
        {
            let tried = with(&callback, "state", wrong);
            is_refused(&accounts, &visitor.get(&tried), 400, 0, &callback);
        }
        // Of what stands there twice, each reader takes another one.
        let twice = format!("{callback}&state={another}");
        is_refused(&accounts, &visitor.get(&twice), 400, 0, &callback);

        let late = "UPDATE links SET expires = 1, head = json_set(head, '$.expires', '2020-01-01T00:00:00Z')";
        accounts.database().execute(late, []).unwrap();
        is_refused(&accounts, &visitor.get(&callback), 400, 0, &callback);
        let soon = "UPDATE links SET head = json_set(head, '$.expires', '2999-01-01T00:00:00Z')";
        accounts.database().execute(soon, []).unwrap();

        let page = visitor.get(&callback);
        assert!(page.status == 200 && page.body.contains("Connected"), "{}", page.body);
        let requests = accounts.token_requests();
        assert_eq!(requests, 1, "none of the others was sent");
        // Again, in the same browser and with all that was right.
        assert_eq!(visitor.get(&callback).status, 400);
        assert_eq!((accounts.token_requests(), accounts.connections("u_42").len()), (requests, 1));
    }
}

#[test]
fn fault_31_a_link_that_is_over_or_too_old_leads_nowhere() {
    for accounts in Accounts::everywhere("connecting") {
        let link = accounts.link("u_42", &json!({}));
        let late = "UPDATE links SET head = json_set(head, '$.expires', '2020-01-01T00:00:00Z')";
        accounts.database().execute(late, []).unwrap();
        let mut visitor = Visitor::default();
        assert_eq!((visitor.get(&link).status, visitor.post(&link, "").status), (410, 410));
        assert_eq!(visitor.get(&format!("{}/connect/nobody", accounts.url())).status, 410);

        let link = accounts.link("u_42", &json!({}));
        assert_eq!(accounts.come_back(&link, accounts.people()[0]).status, 200);
        // It says how it ended, and begins nothing.
        let page = visitor.post(&link, "");
        assert!(page.status == 200 && page.body.contains("is connected"), "{}", page.body);
        assert_eq!(accounts.token_requests(), 1);
    }
}

#[test]
fn fault_32_what_one_browser_has_begun_no_other_one_ends() {
    for accounts in Accounts::everywhere("connecting") {
        let who = accounts.people()[0];
        let host = accounts.url().trim_start_matches("http://").to_owned();
        let (mut victim, authorize) = away(&accounts);
        let callback = accounts.consent(&authorize, who);
        // One that has never been here; one that has begun something else; and one with a cookie that it has made up.
        let (mut attacker, _) = away(&accounts);
        let theirs = attacker.cookie(&host, "jackfield_session").unwrap().to_owned();
        assert_ne!(Some(&*theirs), victim.cookie(&host, "jackfield_session"));
        is_refused(&accounts, &Visitor::default().get(&callback), 400, 0, &callback);
        is_refused(&accounts, &attacker.get(&callback), 400, 0, &callback);
        let forged = format!("jackfield_session={}", "A".repeat(43));
        is_refused(&accounts, &http("GET", &callback, &[("cookie", &forged)], ""), 400, 0, &callback);

        // Whoever has begun it is not disturbed by any of that.
        let page = victim.get(&callback);
        assert!(page.status == 200 && page.body.contains("Connected"), "{}", page.body);
    }
}

#[test]
fn a_session_is_for_the_way_back_from_a_provider_and_for_no_script() {
    for accounts in Accounts::everywhere("connecting") {
        let link = accounts.link("u_42", &json!({}));
        let sent = http("GET", &link, &[], "");
        let cookie = sent.header("set-cookie").unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
        }
        // The provider is not told the link.
        assert_eq!(sent.header("referrer-policy"), Some("no-referrer"));
    }
}

#[test]
fn nobody_says_yes_for_somebody_who_was_not_asked() {
    for accounts in Accounts::everywhere("connecting") {
        let link = accounts.link("u_42", &json!({}));
        let cookie =
            http("GET", &link, &[], "").header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        // A page elsewhere that makes a browser send the form: the cookie stays behind, and the browser says from where.
        for headers in [
            vec![],
            vec![("cookie", "jackfield_session=x")],
            vec![("cookie", &*cookie), ("sec-fetch-site", "cross-site")],
            vec![("cookie", &*cookie), ("sec-fetch-site", "same-site")],
        ] {
            let answer = http("POST", &link, &headers, "");
            assert_eq!((answer.status, answer.header("location")), (400, None), "{headers:?}");
        }
        let own = http("POST", &link, &[("cookie", &cookie), ("sec-fetch-site", "same-origin")], "");
        assert_eq!(own.status, 303, "{}", own.body);
        assert_eq!(accounts.token_requests(), 0);
    }
}

#[test]
fn fault_33_an_answer_that_another_issuer_gives_is_refused_and_the_state_is_used() {
    for accounts in Accounts::everywhere("connecting") {
        let own = match &accounts.at {
            At::Zoom(simulator) => simulator.ready["origin"].as_str().unwrap().to_owned(),
            At::Roster(server) => server.issuer.clone(),
        };
        let port = own.rsplit(':').next().unwrap();
        let others = [
            "https%3A%2F%2Fevil.example.com".to_owned(),
            format!("http%3A%2F%2Flocalhost%3A{port}"),
            format!("https%3A%2F%2F127.0.0.1%3A{port}"),
            "null".to_owned(),
            String::new(),
        ];
        for iss in others {
            let (mut visitor, authorize) = away(&accounts);
            let callback = accounts.consent(&authorize, accounts.people()[0]);
            let forged = with(&callback, "iss", Some(&iss));
            let page = visitor.get(&forged);
            is_refused(&accounts, &page, 200, 0, &callback);
            assert!(page.body.contains("another issuer"), "{iss}: {}", page.body);
            // What was sent to the wrong place is not tried at the right one either.
            is_refused(&accounts, &visitor.get(&callback), 400, 0, &callback);
        }
    }
}

#[test]
fn fault_33_a_code_of_another_provider_connects_nothing() {
    let ours = Accounts::everywhere("connecting");
    let theirs = Accounts::everywhere("connecting");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let (mut visitor, authorize) = away(ours);
        let callback = ours.consent(&authorize, ours.people()[0]);
        let (_, elsewhere) = away(theirs);
        let foreign = theirs.consent(&elsewhere, theirs.people()[0]);
        let mixed = with(&callback, "code", parameter(&foreign, "code"));
        let page = visitor.get(&mixed);
        is_refused(ours, &page, 200, 1, &foreign);
        assert!(page.body.contains("Not connected"), "{}", page.body);
        assert_eq!(theirs.token_requests(), 0, "nothing of ours was sent there");
    }
}

#[test]
fn fault_34_consent_is_asked_for_with_pkce_by_s256_and_what_the_provider_refuses_is_said() {
    for accounts in Accounts::everywhere("connecting") {
        let mut challenges = Vec::new();
        for _ in 0..2 {
            let (_, authorize) = away(&accounts);
            assert_eq!(parameter(&authorize, "code_challenge_method"), Some("S256"), "{authorize}");
            assert_eq!(parameter(&authorize, "response_type"), Some("code"));
            let challenge = parameter(&authorize, "code_challenge").unwrap().to_owned();
            // Of 32 bytes, as base64 without padding.
            assert_eq!(challenge.len(), 43, "{challenge}");
            challenges.push(challenge);
        }
        assert_ne!(challenges[0], challenges[1]);
        match &accounts.at {
            At::Zoom(_) => assert_eq!(parameter(&away(&accounts).1, "scope"), None, "it would be refused"),
            At::Roster(_) => {
                assert_eq!(parameter(&away(&accounts).1, "scope"), Some("profile%3Aread+notes%3Awrite"));
            }
        }

        // Somebody has put another challenge into the browser: the provider does not accept our verifier then.
        let (mut visitor, authorize) = away(&accounts);
        let theirs = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let callback =
            accounts.consent(&with(&authorize, "code_challenge", Some(theirs)), accounts.people()[0]);
        let page = visitor.get(&callback);
        is_refused(&accounts, &page, 200, 1, &callback);
        assert!(page.body.contains("does not accept the grant"), "{}", page.body);

        // The provider refuses what was asked for.
        let (mut visitor, authorize) = away(&accounts);
        let asked = with(&authorize, "response_type", Some("token"));
        let Some(refused) = refused(&accounts, &asked) else { continue };
        let page = visitor.get(&refused);
        is_refused(&accounts, &page, 200, 1, &refused);
        assert!(page.body.contains("refused: unsupported_response_type"), "{}", page.body);
    }
}

/// Where a browser is sent back to with a refusal, as a query of ours.
fn refused(accounts: &Accounts, authorize: &str) -> Option<String> {
    let back = accounts.consent(authorize, accounts.people()[0]);
    // Some providers say such a thing in a fragment, which no server sees.
    (parameter(&back, "error").is_some() && !back.contains('#')).then_some(back)
}

#[test]
fn fault_35_nobody_is_sent_back_to_a_place_that_is_not_allowed() {
    for accounts in Accounts::everywhere("connecting") {
        let project = json!({"id": "default", "return_urls": ["https://app.example.com/done", "http://localhost:3000"]});
        let (status, answer) = accounts.ask("POST", "/v1/projects", &project);
        assert_eq!(status, 200, "{answer}");
        let wrong = [
            "https://evil.example.com/done",
            "//evil.example.com",
            "/\\evil.example.com",
            "\\\\evil.example.com",
            "/done",
            "done",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.example.com/done\r\nset-cookie: a=b",
            "https://app.example.com/done\u{0}",
            " https://app.example.com/done",
            "https://app.example.com/donee",
            "https://app.example.com/done/../admin",
            "https://app.example.com/done/%2e%2e/admin",
            "https://app.example.com.evil.example.com/done",
            "https://app.example.com@evil.example.com/done",
            "https://anna:secret@app.example.com/done",
            "https://app.example.com:444/done",
            "http://app.example.com/done",
            "http://localhost:3000.evil.example.com",
            "",
        ];
        for url in wrong {
            let link = json!({"connector": accounts.connector(), "user": "u_42", "return_url": url});
            let (status, answer) = accounts.ask("POST", "/v1/connect-links", &link);
            assert_eq!((status, &answer["kind"]), (422, &json!("invalid_input")), "{url:?}: {answer}");
            assert_eq!(answer["problems"][0]["path"], "/return_url", "{answer}");
        }

        let allowed = [
            ("https://app.example.com/done", "https://app.example.com/done?status=connected&link=lnk_"),
            (
                "https://app.example.com/done/here?a=1",
                "https://app.example.com/done/here?a=1&status=connected&link=lnk_",
            ),
            ("http://localhost:3000/x", "http://localhost:3000/x?status=connected&link=lnk_"),
        ];
        for (url, begins) in allowed {
            let page =
                accounts.come_back(&accounts.link("u_42", &json!({"return_url": url})), accounts.people()[0]);
            let to = page.header("location").unwrap_or_default();
            assert!(page.status == 303 && to.starts_with(begins), "{url}: {} {to}", page.status);
            let id = accounts.connections("u_42")[0]["id"].as_str().unwrap().to_owned();
            assert!(to.ends_with(&format!("&connection={id}")), "{to}");
            assert!(!to.contains("code=") && !to.contains("state="), "{to}");
        }

        // What was allowed when the link was made, and is not any more when the user comes back.
        for url in wrong.iter().filter(|url| !url.is_empty()) {
            let link = accounts.link("u_42", &json!({"return_url": "https://app.example.com/done"}));
            let mut visitor = Visitor::default();
            let authorize = accounts.follow(&mut visitor, &link);
            let moved = "UPDATE links SET head = json_set(head, '$.return_url', ?1)
                         WHERE json_extract(head, '$.progress') = 'away'";
            assert_eq!(accounts.database().execute(moved, [url]), Ok(1));
            let page = visitor.get(&accounts.consent(&authorize, accounts.people()[0]));
            assert_eq!((page.status, page.header("location")), (200, None), "{url}: {}", page.body);
            assert!(page.body.contains("Connected"), "{url}: {}", page.body);
        }
    }
}

#[test]
fn fault_36_a_user_who_says_no_is_told_so_and_what_the_address_says_stays_text() {
    for accounts in Accounts::everywhere("connecting") {
        let (mut visitor, authorize) = away(&accounts);
        let callback = accounts.refuse(&authorize);
        assert_eq!(parameter(&callback, "error"), Some("access_denied"));
        // What somebody puts into an address, into every member that may stand there.
        let hostile = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3D%22alert(2)%22%3E%0d%0aset-cookie:%20a=b";
        let page = visitor.get(&with(&callback, "error_description", Some(hostile)));
        is_refused(&accounts, &page, 200, 0, &callback);
        assert!(page.body.contains("You have not allowed it"), "{}", page.body);
        let is_harmless = |page: &Answer| {
            let text = page.body.to_lowercase();
            !text.contains("<script") && !text.contains("<img") && page.header("set-cookie").is_none()
        };
        assert!(is_harmless(&page), "{}", page.body);

        let shown = accounts.ask("GET", "/v1/connectors", &NOTHING);
        assert_eq!(shown.0, 200);
        let progress =
            "SELECT json_extract(head, '$.progress'), json_extract(head, '$.error.kind') FROM links";
        let found: (String, String) =
            accounts.database().query_row(progress, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(found, ("denied".to_owned(), "cancelled".to_owned()));

        // The same in the error's own name, which is shown too.
        let (mut visitor, authorize) = away(&accounts);
        let callback = accounts.refuse(&authorize);
        let forged = with(&with(&callback, "error", Some(hostile)), "error_description", Some(hostile));
        let page = visitor.get(&forged);
        is_refused(&accounts, &page, 200, 0, &callback);
        assert!(is_harmless(&page) && page.body.contains("&lt;script"), "{}", page.body);
        // And in a member that has no meaning.
        let page = visitor.get(&format!("{}/oauth/callback?state={hostile}&code={hostile}", accounts.url()));
        is_refused(&accounts, &page, 400, 0, &callback);
        assert!(is_harmless(&page), "{}", page.body);
    }
}

#[test]
fn fault_37_a_code_is_used_once_however_often_and_at_once_it_is_brought() {
    for accounts in Accounts::everywhere("connecting") {
        let (visitor, authorize) = away(&accounts);
        let callback = accounts.consent(&authorize, accounts.people()[0]);
        // Slow enough for all of them to be there together.
        accounts.fault(&Fault::After(std::time::Duration::from_millis(500)));
        let pages: Vec<Answer> = std::thread::scope(|scope| {
            let clicks: Vec<_> = (0..8)
                .map(|_| {
                    let (mut visitor, callback) = (visitor.clone(), callback.clone());
                    scope.spawn(move || visitor.get(&callback))
                })
                .collect();
            clicks.into_iter().map(|click| click.join().unwrap()).collect()
        });
        let statuses = |wanted| pages.iter().filter(|page| page.status == wanted).count();
        assert_eq!((statuses(200), statuses(400)), (1, 7));
        assert_eq!(accounts.asked("authorization_code"), 1);
        let found = accounts.connections("u_42");
        assert_eq!(found.len(), 1);
        // The connection that came of it is intact.
        let id = found[0]["id"].as_str().unwrap();
        assert_eq!((accounts.state(id).0.as_str(), accounts.read(id).0), ("valid", 200));
    }
}

#[test]
fn an_account_that_nobody_can_identify_needs_a_scope_and_says_which_and_what_to_do() {
    let mut places = vec![(Accounts::zoom(&[]), "user:read:user", "meeting:read:list_meetings")];
    let roster = Accounts::roster("connecting", json!({}), &["notes:write"]);
    places.extend(roster.map(|roster| (roster, "profile:read", "notes:write")));
    for (accounts, lacks, has) in places {
        let who = accounts.people()[0];
        let link = accounts.link("u_42", &json!({}));
        let mut visitor = Visitor::default();
        let authorize = accounts.follow(&mut visitor, &link);
        let narrow = with(&authorize, "scope", Some(has));
        let page = visitor.get(&accounts.consent(&narrow, who));
        assert!(page.status == 200 && page.body.contains(lacks), "{}", page.body);
        assert!(!page.body.contains(">Connected<"), "{}", page.body);

        let connection = accounts.connections("u_42").remove(0);
        let id = connection["id"].as_str().unwrap();
        assert_eq!(connection["state"], "needs_scope");
        assert!(connection["reason"].as_str().unwrap().contains(lacks), "{connection}");
        assert!(
            connection["gaps"].as_array().unwrap().iter().any(|gap| gap["identify"] == true),
            "{connection}"
        );
        for (status, error) in [accounts.read(id), accounts.proxy(id)] {
            assert_eq!((status, &error["kind"]), (403, &json!("missing_scope")), "{error}");
            let again = format!("jackfield connect {} --user u_42 --connection {id}", accounts.connector());
            assert!(error["hint"].as_str().unwrap().ends_with(&again), "{error}");
        }

        // With what was missing, the same connection is connected.
        let set = json!({"scopes": [lacks, has]});
        let (status, answer) =
            accounts.ask("PATCH", &format!("/v1/integrations/{}", accounts.connector()), &set);
        assert_eq!(status, 200, "{answer}");
        let page = accounts.come_back(&accounts.link("u_42", &json!({"connection": id})), who);
        assert!(page.body.contains("Connected"), "{}", page.body);
        assert_eq!(accounts.connections("u_42").len(), 1);
        assert_eq!(accounts.state(id), ("valid".to_owned(), String::new()));
        assert_eq!(accounts.came_to(id), ["needs_scope", "valid"]);
    }
}

#[test]
fn connecting_again_keeps_the_id_and_takes_no_other_account() {
    for accounts in Accounts::everywhere("connecting") {
        let [one, other] = accounts.people();
        let id = accounts.connect("u_42", one);
        let created = accounts.connection(&id)["created"].clone();

        // In place, by name and without: the same account of the same user is the same connection.
        for more in [json!({"connection": id}), json!({})] {
            let page = accounts.come_back(&accounts.link("u_42", &more), one);
            assert!(page.body.contains("Connected"), "{}", page.body);
            let found = accounts.connections("u_42");
            assert_eq!((found.len(), &found[0]["id"], &found[0]["created"]), (1, &json!(id), &created));
            assert_eq!(accounts.read(&id).0, 200);
        }

        // Somebody else's account is not put in its place.
        let page = accounts.come_back(&accounts.link("u_42", &json!({"connection": id})), other);
        assert!(page.body.contains("Not connected"), "{}", page.body);
        assert_eq!((accounts.connections("u_42").len(), accounts.read(&id).0), (1, 200));
        // It is a second one of the same user.
        let second = accounts.connect("u_42", other);
        assert_ne!(second, id);
        assert_eq!((accounts.read(&id).0, accounts.read(&second).0), (200, 200));

        // A connection of another user cannot be connected again by this one.
        let link = json!({"connector": accounts.connector(), "user": "u_43", "connection": id});
        assert_eq!(accounts.ask("POST", "/v1/connect-links", &link).0, 404);
        let log = ["connection.connect", "connection.reconnect", "connection.reconnect"];
        assert_eq!(accounts.audit(&id), log);
    }
}

#[test]
fn two_users_of_one_account_share_a_grant_and_either_may_give_it_up() {
    for accounts in Accounts::everywhere("connecting") {
        let who = accounts.people()[0];
        let first = accounts.connect("u_42", who);
        let second = accounts.connect("u_43", who);
        assert_ne!(first, second);
        assert_eq!(accounts.connection(&second)["shares"], json!(first));
        // The grant of the first was ended at a provider that keeps only the last: both use the new one.
        assert_eq!((accounts.read(&first).0, accounts.read(&second).0), (200, 200));
        accounts.end_tokens();
        assert_eq!((accounts.read(&second).0, accounts.read(&first).0), (200, 200));
        assert_eq!(accounts.asked("refresh_token"), 1);

        // The first gives up: the grant goes on to the second, and nobody is told that it is over.
        let (status, given_up) = accounts.ask("POST", &format!("/v1/connections/{first}/revoke"), &json!({}));
        assert_eq!((status, &given_up["told"]), (200, &json!(false)), "{given_up}");
        assert_eq!(accounts.revocations(), 0);
        assert_eq!((accounts.read(&first).0, accounts.read(&second).0), (409, 200));
        accounts.end_tokens();
        assert_eq!(accounts.read(&second).0, 200);
        assert_eq!(accounts.connection(&second).get("shares"), None);

        // The first comes again, and shares the grant of the second.
        let page = accounts.come_back(&accounts.link("u_42", &json!({"connection": first})), who);
        assert!(page.body.contains("Connected"), "{}", page.body);
        assert_eq!(accounts.connection(&first)["shares"], json!(second));
        assert_eq!((accounts.read(&first).0, accounts.read(&second).0), (200, 200));
        // Whoever shares lets go without anybody noticing; with the last one the provider is told.
        for (id, told) in [(&first, false), (&second, true)] {
            let (status, given_up) = accounts.ask("DELETE", &format!("/v1/connections/{id}"), &NOTHING);
            assert_eq!((status, &given_up["told"]), (200, &json!(told)), "{given_up}");
            assert_eq!(accounts.ask("GET", &format!("/v1/connections/{id}"), &NOTHING).0, 404);
        }
        assert_eq!(accounts.revocations(), 1);
    }
}

#[test]
fn a_server_to_server_account_is_typed_in_and_gets_new_tokens_by_itself() {
    let simulator = Simulator::start(&["--app", "server-to-server"]);
    let home: Home = simulator.home();
    let text = |name: &str| simulator.ready[name].as_str().unwrap().to_owned();
    let add = home.run(&["integration", "add", "zoom", "--auth", "server_to_server"]);
    assert_eq!(add.code, 0, "{}", add.stderr);

    let typed = |secret: &str| json!({"account_id": text("account_id"), "client_id": text("client_id"), "client_secret": secret});
    let connect = |typed: &Value| {
        let args = ["connect", "zoom", "--user", "u_42", "--file", "-", "-o", "json"];
        home.run_with_input(&args, &typed.to_string())
    };
    // What is missing is told at its field, before anything is sent.
    let mut partly = typed(&text("client_secret"));
    partly.as_object_mut().unwrap().remove("account_id");
    let error = connect(&partly).error(2);
    assert_eq!(error["kind"], "invalid_input", "{error}");
    assert_eq!(simulator.journal(), Vec::<Value>::new());
    // What is wrong is told without it.
    let wrong = connect(&typed("canary-client-secret"));
    assert_ne!(wrong.code, 0);
    assert!(!wrong.stderr.contains("canary-client-secret"), "{}", wrong.stderr);
    assert_eq!(home.run(&["connection", "list", "-o", "json"]).json(), json!([]));

    let connection = connect(&typed(&text("client_secret"))).json();
    let id = connection["id"].as_str().unwrap();
    assert_eq!((&connection["account"], &connection["state"]), (&json!(text("account_id")), &json!("valid")));
    assert!(!connection.to_string().contains(&text("client_secret")), "{connection}");
    let tokens = || {
        let is_token = |request: &&Value| request["path"] == "/oauth/token" && request["status"] == 200;
        simulator.journal().iter().filter(is_token).count()
    };
    let user = simulator.ready["users"][0]["id"].as_str().unwrap().to_owned();
    let read = || {
        let path = format!("users/{user}/meetings");
        home.run(&["request", "zoom", &path, "-c", id])
    };
    assert_eq!((read().code, tokens()), (0, 1));
    simulator.control("POST", "clock", Some(&json!({"advance_seconds": 3700})));
    assert_eq!((read().code, tokens()), (0, 2));
    assert_eq!((read().code, tokens()), (0, 2));

    // Typed in again, with the same account: the same connection.
    assert_eq!(connect(&typed(&text("client_secret"))).json()["id"], json!(id));
}

#[test]
fn an_account_that_nobody_can_name_for_a_moment_keeps_what_was_granted() {
    let accounts = Accounts::zoom(&[]);
    let At::Zoom(simulator) = &accounts.at else { unreachable!() };
    let asked = || simulator.journal().iter().filter(|request| request["path"] == "/v2/users/me").count();
    // More often than one request is repeated.
    for _ in 0..7 {
        simulator.fault(&json!({"path": "/v2/users/me", "perform": false, "answer": {
            "kind": "fixed", "status": 503, "headers": [["content-type", "text/plain"]], "body": "come back later",
        }}));
    }
    let id = accounts.connect("u_42", accounts.people()[0]);
    assert_eq!((asked(), accounts.asked("authorization_code")), (8, 1));
    assert_eq!(accounts.state(&id), ("valid".to_owned(), String::new()));
    assert_eq!(accounts.read(&id).0, 200);
}

#[test]
fn two_who_share_a_grant_and_give_it_up_at_once_leave_nothing_of_it() {
    for accounts in Accounts::everywhere("connecting") {
        let who = accounts.people()[0];
        let first = accounts.connect("u_42", who);
        let second = accounts.connect("u_43", who);
        assert_eq!(accounts.connection(&second)["shares"], json!(first));
        // Nobody can write until both have seen that the grant is shared.
        let database = accounts.database();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
            let give_up = |id: &str| {
                let path = format!("/v1/connections/{id}/revoke");
                let accounts = &accounts;
                let asked = scope.spawn(move || accounts.ask("POST", &path, &json!({})));
                std::thread::sleep(std::time::Duration::from_millis(500));
                asked
            };
            let both = [give_up(&first), give_up(&second)];
            database.execute_batch("COMMIT").unwrap();
            both.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
        for id in [&first, &second] {
            assert_eq!(accounts.state(id).0, "revoked");
        }
        let sealed = "SELECT count(*) FROM connections WHERE sealed IS NOT NULL";
        assert_eq!(database.query_row(sealed, [], |row| row.get::<_, i64>(0)), Ok(0));
        assert_eq!(accounts.revocations(), 1, "the provider is told, and once");
    }
}
