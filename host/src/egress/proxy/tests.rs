//! What a user's request becomes on the wire, against providers on this machine, and against a transport that only writes down.

use std::{
    io::{Read, Write},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use connector_protocol::{Manifest, message::HttpRequest};
use http_body_util::StreamBody;
use hyper::body::Frame;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use secrecy::SecretString;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    config::{Integration, Limits},
    egress::{
        Credential, Flight,
        address::Guarded,
        lost::Lost,
        tls::Trust,
        transport::{Hyper, Net, Sending, Transport},
    },
};

const SECRET: &str = "s3cr3t-of-the-connection";

fn manifest() -> Manifest {
    serde_json::from_value(json!({
        "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Acme.",
        "hosts": [
            {"host": "api.example.com", "credential": true},
            {"host": "files.example.com", "credential": false},
            {"host": "127.0.0.1", "credential": true},
        ],
        "bases": [
            {"name": "api", "urls": ["https://api.example.com/v2"]},
            {"name": "root", "urls": ["https://api.example.com"]},
        ],
        "auth": [
            {"name": "user", "title": "User", "kind": "api_key", "placement": [
                {"in": "header", "name": "Authorization", "value": "Bearer {token}"},
                {"in": "header", "name": "X-Acme-Key", "value": "{token}"},
            ]},
            {"name": "key", "title": "Key", "kind": "api_key", "placement": [
                {"in": "query", "name": "api_key", "value": "{token}"},
            ]},
        ],
        "answers": {"rules": [
            {"status": [400, 401], "facts": [{"pointer": "/code", "is": {"in": [4711]}}], "class": "missing_scope"},
            {"status": [200], "facts": [{"pointer": "/ok", "is": "absent"}], "class": "refused"},
        ]},
        "actions": [],
    }))
    .map_err(|error| panic!("the manifest: {error}"))
    .unwrap()
}

fn target(auth: &str) -> Target {
    Target {
        manifest: Arc::new(manifest()),
        integration: Integration::default(),
        credential: Credential {
            auth: auth.to_owned(),
            secrets: [("token".to_owned(), SecretString::from(SECRET))].into(),
            ..Credential::default()
        },
        key: "conn_1".to_owned(),
    }
}

/// A target whose default base is a machine that the operator has named.
fn operators(at: &str) -> Target {
    let mut target = target("user");
    target.integration.endpoints.insert("api".to_owned(), at.parse().unwrap());
    target
}

fn raw(method: Method, path: &str) -> Raw {
    Raw {
        method,
        path: path.to_owned(),
        query: None,
        base: None,
        url: None,
        headers: HeaderMap::new(),
        body: RawBody::Whole(Bytes::new()),
    }
}

fn get(path: &str) -> Raw {
    raw(Method::GET, path)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn limits() -> Limits {
    Limits { retries: 0, ..Limits::default() }
}

async fn all(body: BoxBody) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

/// Writes down what it is asked to send, and answers nothing in particular.
#[derive(Clone, Default)]
struct Notebook(Arc<Mutex<Vec<Request<()>>>>);

impl Transport for Notebook {
    fn send(&self, request: Request<BoxBody>, _: bool, _: Instant) -> Sending<'_> {
        self.0.lock().unwrap().push(request.map(drop));
        Box::pin(async { Ok::<_, Lost>(Response::new(BoxBody::default())) })
    }
}

fn written_down() -> (Egress, Notebook) {
    let notebook = Notebook::default();
    let net = Arc::new(Net::system(Duration::from_secs(1)));
    (Egress::over(limits(), net, Box::new(notebook.clone())), notebook)
}

#[tokio::test]
async fn fault_53_no_path_leads_away_from_its_base() {
    let (egress, notebook) = written_down();
    for path in [
        // The five that joining addresses falls for.
        "//evil.example.net",
        "https://evil.example.net",
        "\\\\evil.example.net",
        "/\\evil.example.net",
        " https://evil.example.net",
        // The same, written otherwise.
        "///evil.example.net/x",
        "\\/evil.example.net",
        "\thttps://evil.example.net",
        "/\t/evil.example.net",
        "h\nttps://evil.example.net",
        "HTTPS://evil.example.net",
        "https:evil.example.net",
        "https:/evil.example.net",
        "/https://evil.example.net",
        "%68ttps://evil.example.net",
        "https%3A%2F%2Fevil.example.net",
        "https%253A%252F%252Fevil.example.net",
        "gopher://evil.example.net",
        "%20https://evil.example.net",
        "%2F%2Fevil.example.net",
        "/%2Fevil.example.net",
        "%5c%5cevil.example.net",
        "%255cevil.example.net",
        "/%5Cevil.example.net",
        // Out of the base, but not off the machine.
        "..",
        "../admin",
        "users/../../admin",
        "users/..//admin",
        "/..//evil.example.net",
        "users/./me",
        "%2e%2e/admin",
        ".%2E/admin",
        "users/%2e%2e%2fadmin",
        "..%2fadmin",
        "..%252f..%252fadmin",
        "%252e%252e/admin",
        "users/..%5cadmin",
        "..;/admin",
        "..%3bx=1/admin",
        "%20../admin",
        "..%20/admin",
        "%c0%ae%c0%ae/admin",
        // What ends a line or a string, or begins something else.
        "users%0d%0aHost:evil.example.net",
        "users%00",
        "users\r\nHost: evil.example.net",
        "users?x=1",
        "users#x",
        "users/\u{2025}/x",
        "users/{id}",
        "users/%zz",
        "users/%",
        "users/%4",
        "%25252525252525252541",
    ] {
        for base in [None, Some("root")] {
            let request = Raw { base: base.map(str::to_owned), ..get(path) };
            let Err(error) = egress.proxy(&target("user"), request, soon()).await else {
                panic!("{path:?} was sent to {:?}", notebook.0.lock().unwrap())
            };
            assert_eq!(error.kind, ErrorKind::Usage, "{path:?}: {error}");
            assert!(!format!("{error:?}").contains(SECRET), "{path:?}");
        }
    }
    assert!(notebook.0.lock().unwrap().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn fault_53_what_is_sent_is_below_the_base_byte_for_byte() {
    let (egress, notebook) = written_down();
    for (path, sent) in [
        ("users/me/meetings", "/v2/users/me/meetings"),
        ("/users/me", "/v2/users/me"),
        ("", "/v2"),
        ("/", "/v2"),
        ("users/", "/v2/users/"),
        // A UUID that begins with a slash is encoded twice.
        (
            "past_meetings/%252F4BqNaLfRMKc%252F%252Fw%253D%253D",
            "/v2/past_meetings/%252F4BqNaLfRMKc%252F%252Fw%253D%253D",
        ),
        ("a//b", "/v2/a//b"),
        ("a%2fb%2Fc", "/v2/a%2fb%2Fc"),
        ("a%5cb", "/v2/a%5cb"),
        ("@evil.example.net", "/v2/@evil.example.net"),
        ("users/anna@example.com", "/v2/users/anna@example.com"),
        (":443@evil.example.net/", "/v2/:443@evil.example.net/"),
        (";evil", "/v2/;evil"),
        (".evil.example.net", "/v2/.evil.example.net"),
        ("...", "/v2/..."),
        ("a..b/.c", "/v2/a..b/.c"),
        ("messages:batchGet", "/v2/messages:batchGet"),
        ("a'b(c)*,+$&=~_-!", "/v2/a'b(c)*,+$&=~_-!"),
        ("list[0]|x", "/v2/list[0]|x"),
        ("caf%C3%A9%20%25", "/v2/caf%C3%A9%20%25"),
    ] {
        let answer = egress.proxy(&target("user"), get(path), soon()).await;
        assert!(answer.is_ok(), "{path:?}: {:?}", answer.err());
        let request = notebook.0.lock().unwrap().pop().unwrap();
        let uri = request.uri();
        assert_eq!(uri.path(), sent);
        assert_eq!(
            (uri.scheme_str(), uri.authority().map(|at| at.as_str())),
            (Some("https"), Some("api.example.com"))
        );
        assert_eq!(request.headers()["authorization"], format!("Bearer {SECRET}"));
    }
}

#[tokio::test]
async fn fault_53_a_full_address_has_to_be_one_of_the_connectors() {
    let (egress, notebook) = written_down();
    let to = |url: &str| Raw { url: Some(url.parse().unwrap()), ..get("") };
    for (url, kind) in [
        ("https://evil.example.net/v2", ErrorKind::Blocked),
        ("https://api.example.com.evil.example.net/", ErrorKind::Blocked),
        ("https://api.example.com@evil.example.net/", ErrorKind::Blocked),
        ("https://anna:x@api.example.com/", ErrorKind::Blocked),
        ("http://api.example.com/", ErrorKind::Blocked),
        ("file:///etc/passwd", ErrorKind::Blocked),
        ("https://127.0.0.1/", ErrorKind::Blocked),
        ("https://2130706433/", ErrorKind::Blocked),
        ("https://[::1]/", ErrorKind::Blocked),
        ("https://api.example.com/..%2fadmin", ErrorKind::Usage),
    ] {
        let Err(error) = egress.proxy(&target("user"), to(url), soon()).await else {
            panic!("{url} was sent")
        };
        assert_eq!(error.kind, kind, "{url}: {error}");
    }
    let both = Raw { path: "users".to_owned(), ..to("https://api.example.com/") };
    assert_eq!(egress.proxy(&target("user"), both, soon()).await.err().unwrap().kind, ErrorKind::Usage);
    assert!(notebook.0.lock().unwrap().is_empty(), "nothing was sent");
    for (url, sent, has_credential) in [
        ("https://api.example.com/v3/x?a=1#b", "https://api.example.com/v3/x?a=1", true),
        ("https://api.example.com:8443/x", "https://api.example.com:8443/x", true),
        ("https://files.example.com/x", "https://files.example.com/x", false),
    ] {
        egress.proxy(&target("user"), to(url), soon()).await.unwrap();
        let request = notebook.0.lock().unwrap().pop().unwrap();
        assert_eq!(request.uri(), sent);
        assert_eq!(request.headers().contains_key("authorization"), has_credential, "{url}");
    }
}

#[tokio::test]
async fn a_query_passes_as_it_is_and_the_credential_is_put_beside_it() {
    let (egress, notebook) = written_down();
    for (query, sent) in [
        (None, format!("api_key={SECRET}")),
        (Some(""), format!("api_key={SECRET}")),
        (
            Some("$filter=name%20eq%20'x'&a[]=%2F+&&b"),
            format!("$filter=name%20eq%20'x'&a[]=%2F+&&b&api_key={SECRET}"),
        ),
    ] {
        let request = Raw { query: query.map(str::to_owned), ..get("users") };
        egress.proxy(&target("key"), request, soon()).await.unwrap();
        assert_eq!(notebook.0.lock().unwrap().pop().unwrap().uri().query(), Some(sent.as_str()));
    }
    for query in [
        "api_key=mine",
        "a=1&api_key=mine",
        "a=1;api_key=mine",
        "API_KEY=mine",
        "api%5Fkey=mine",
        "api_key[]=mine",
        "+api_key=mine",
        "api_key",
        "a=b c",
        "a#b",
        "a=\r\nx",
    ] {
        let request = Raw { query: Some(query.to_owned()), ..get("users") };
        let Err(error) = egress.proxy(&target("user"), request, soon()).await else {
            panic!("{query:?} was sent")
        };
        assert_eq!(error.kind, ErrorKind::Usage, "{query:?}: {error}");
    }
    assert!(notebook.0.lock().unwrap().is_empty());
    for method in [Method::CONNECT, Method::TRACE] {
        assert!(egress.proxy(&target("user"), raw(method, "users"), soon()).await.is_err());
    }
}

#[tokio::test]
async fn headers_pass_by_an_allow_list() {
    let (egress, notebook) = written_down();
    let passes = [
        ("accept", "image/png"),
        ("accept-language", "de"),
        ("content-type", "application/octet-stream"),
        ("content-encoding", "zstd"),
        ("if-match", "\"1\""),
        ("range", "bytes=0-1"),
        ("prefer", "return=minimal"),
        ("idempotency-key", "k1"),
        ("user-agent", "example/1"),
        ("x-custom", "1"),
    ];
    let stays = [
        ("authorization", "Bearer mine"),
        ("x-acme-key", "mine"),
        ("cookie", "session=1"),
        ("host", "evil.example.net"),
        ("connection", "close, x-named"),
        ("x-named", "1"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("content-length", "7"),
        ("expect", "100-continue"),
        ("proxy-authorization", "Basic x"),
        ("keep-alive", "1"),
        ("forwarded", "for=1"),
        ("origin", "https://app.example.com"),
        ("referer", "https://app.example.com/secret"),
        ("accept-encoding", "br"),
        ("sec-fetch-mode", "cors"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "evil.example.net"),
        ("x-real-ip", "10.0.0.1"),
        ("x-paragon-credential", "1"),
        ("x-jackfield-user", "1"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
    ];
    let mut request = get("users");
    for (name, value) in passes.iter().chain(&stays) {
        request.headers.append(*name, value.parse().unwrap());
    }
    request.headers.append("accept", "image/webp".parse().unwrap());
    egress.proxy(&target("user"), request, soon()).await.unwrap();
    let sent = notebook.0.lock().unwrap().pop().unwrap();
    let mut lines: Vec<String> = sent
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap().replace(SECRET, "…")))
        .collect();
    let mut expected: Vec<String> = passes.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    expected.extend(
        ["accept: image/webp", "accept-encoding: identity", "authorization: Bearer …", "x-acme-key: …"]
            .map(str::to_owned),
    );
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
    assert!(sent.headers()["authorization"].is_sensitive());
}

/// A provider that takes one connection after the other, reads the head of each request, and answers what it is told to.
/// It gives its address, what it read, and how many connections it had.
async fn provider<F>(answer: F) -> (String, mpsc::Receiver<String>, Arc<AtomicUsize>)
where
    F: Fn(&str) -> Vec<u8> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let (heads, heard) = mpsc::channel();
    let (answer, connections) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(converse(socket, answer.clone(), heads.clone()));
        }
    });
    (at, heard, connections)
}

async fn converse<F: Fn(&str) -> Vec<u8>>(
    mut socket: TcpStream,
    answer: Arc<F>,
    heads: mpsc::Sender<String>,
) {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            let mut more = [0; 4096];
            match socket.read(&mut more).await {
                Ok(len @ 1..) => read.extend_from_slice(&more[..len]),
                _ => return,
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read.drain(..end);
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        while read.len() < len.unwrap_or(0) {
            let mut more = [0; 4096];
            match socket.read(&mut more).await {
                Ok(len @ 1..) => read.extend_from_slice(&more[..len]),
                _ => return,
            }
        }
        read.drain(..len.unwrap_or(0));
        let said = answer(&head);
        let _ = heads.send(head);
        if said.is_empty() || socket.write_all(&said).await.is_err() {
            return;
        }
        if said.ends_with(b"(and then nothing)") {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
    }
}

fn says(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn what_is_sent_arrives_as_it_was_and_connections_are_used_again() {
    let (at, heard, connections) = provider(|_| says("200 OK", "", b"")).await;
    let (egress, target) = (Egress::new(limits()), operators(&format!("{at}/v2")));
    for _ in 0..20 {
        let mut request = Raw {
            query: Some("a=%252F&b='".to_owned()),
            ..raw(Method::from_bytes(b"PROPFIND").unwrap(), "past_meetings/%252FabC%253D%253D|'")
        };
        request.body = RawBody::Whole(Bytes::from_static(b"\0\xff\r\n\r\n"));
        let answer = egress.proxy(&target, request, soon()).await.unwrap();
        assert_eq!(
            answer.class,
            AnswerClass::Ok,
            "a rule that would have to look into a success says nothing"
        );
        all(answer.response.into_body()).await;
        let head = heard.recv().unwrap();
        let line = "PROPFIND /v2/past_meetings/%252FabC%253D%253D|'?a=%252F&b=' HTTP/1.1\r\n";
        assert!(head.starts_with(line), "{head}");
        let host = format!("host: {}\r\n", at.trim_start_matches("http://"));
        assert!(head.contains(&host) && head.contains("content-length: 6\r\n"), "{head}");
        assert!(head.contains(&format!("authorization: Bearer {SECRET}\r\n")));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was() {
    let packed: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xfe];
    let (at, _heard, _) = provider(move |_| {
        let headers = "content-encoding: gzip\r\nlocation: https://evil.example.net/\r\netag: \"1\"\r\nx-more: a\r\nx-more: b\r\n\
            set-cookie: a=b\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nupgrade: h2c\r\n\
            strict-transport-security: max-age=1\r\naccess-control-allow-origin: *\r\nclear-site-data: \"*\"\r\n";
        says("302 Off With You", headers, packed)
    })
    .await;
    let answer = Egress::new(limits()).proxy(&operators(&at), get("x"), soon()).await.unwrap();
    let (parts, body) = answer.response.into_parts();
    let lines: Vec<String> =
        parts.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(
        lines,
        [
            "content-length: 12",
            "content-encoding: gzip",
            "location: https://evil.example.net/",
            "etag: \"1\"",
            "x-more: a",
            "x-more: b",
        ]
    );
    assert_eq!((parts.status.as_u16(), &*all(body).await), (302, packed));
}

#[tokio::test]
async fn a_refusal_is_looked_into_and_given_back_unchanged() {
    let long = format!("{{\"code\": 4711, \"text\": \"{}\"}}", "x".repeat(body::LOOK)).into_bytes();
    let chunked = |bytes: &[u8]| {
        let head =
            "HTTP/1.1 401 No\r\ncontent-type: application/problem+json\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks = bytes
            .chunks(1000)
            .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        head.bytes().chain(chunks).chain(*b"0\r\n\r\n").collect::<Vec<u8>>()
    };
    let json = "content-type: application/json; charset=utf-8\r\n";
    let short: &[u8] = br#" {"code": 4711} "#;
    let packed = format!("{json}content-encoding: gzip\r\n");
    for (said, class, body) in [
        (says("401 No", json, short), AnswerClass::MissingScope, short),
        (chunked(short), AnswerClass::MissingScope, short),
        (says("401 No", json, &long), AnswerClass::Expired, &long),
        (chunked(&long), AnswerClass::Expired, &long),
        (says("401 No", "content-type: text/html\r\n", short), AnswerClass::Expired, short),
        (says("401 No", &packed, short), AnswerClass::Expired, short),
        (says("404 No", json, b"{"), AnswerClass::NotFound, b"{"),
        (says("429 No", "retry-after: 7\r\n", b""), AnswerClass::RateLimited, b""),
    ] {
        let (at, _heard, _) = provider(move |_| said.clone()).await;
        let answer = Egress::new(limits()).proxy(&operators(&at), get("x"), soon()).await.unwrap();
        assert_eq!(answer.class, class);
        assert_eq!(answer.retry_at.is_some(), class == AnswerClass::RateLimited);
        let got = all(answer.response.into_body()).await;
        assert!(got == body, "{} bytes instead of {}", got.len(), body.len());
    }
}

/// A body that a test feeds.
fn fed() -> (tokio::sync::mpsc::Sender<Bytes>, BoxBody) {
    struct Fed(tokio::sync::mpsc::Receiver<Bytes>);
    impl futures_core::Stream for Fed {
        type Item = Result<Frame<Bytes>>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }
    let (feed, fed) = tokio::sync::mpsc::channel(1);
    (feed, StreamBody::new(Fed(fed)).boxed_unsync())
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let echo = axum::Router::new().fallback(async |request: axum::extract::Request| request.into_body());
    tokio::spawn(async move { axum::serve(listener, echo).await });
    let (feed, body) = fed();
    let request = Raw { body: RawBody::Streamed(body), ..raw(Method::POST, "echo") };
    assert!(request.again().is_none(), "what streams is gone when it was sent");
    let answer = Egress::new(limits()).proxy(&operators(&at), request, soon()).await.unwrap();
    let mut body = answer.response.into_body();
    // 32 MiB, of which what was sent last comes back before the next piece is made.
    let piece = Bytes::from(vec![0xa5; 1024 * 1024]);
    for _ in 0..32 {
        feed.send(piece.clone()).await.unwrap();
        let mut came = 0;
        while came < piece.len() {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(data.iter().all(|byte| *byte == 0xa5));
            came += data.len();
        }
        assert_eq!(came, piece.len());
    }
    drop(feed);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_body_that_pauses_or_never_ends_is_broken_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let len = socket.read(&mut head).await.unwrap_or_default();
                let drips = head[..len].starts_with(b"GET /drips");
                // No answer of success is waited for to its end before its head is given on.
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n1").await;
                while drips && socket.write_all(b"1").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                tokio::time::sleep(Duration::from_secs(30)).await;
            });
        }
    });
    let mut egress = Egress::new(limits());
    egress.idle = Duration::from_millis(200);
    for (path, within) in [("pauses", 10_000), ("drips", 500)] {
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(within);
        let answer = egress.proxy(&operators(&at), get(path), deadline).await.unwrap();
        let error = answer.response.into_body().collect().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Timeout, "{path}");
        assert!(error.message.starts_with("Acme (127.0.0.1:"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{path}");
    }
}

#[tokio::test]
async fn what_was_not_answered_is_told_by_whether_it_may_have_been_done() {
    let (gone, ..) = provider(|_| Vec::new()).await;
    let (hangs, ..) = provider(|_| b"HTTP/1.1 200 OK\r\nx: (and then nothing)".to_vec()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    for (at, method, kind) in [
        (&gone, Method::GET, ErrorKind::Network),
        (&gone, Method::POST, ErrorKind::Ambiguous),
        (&gone, Method::DELETE, ErrorKind::Ambiguous),
        (&hangs, Method::GET, ErrorKind::Timeout),
        (&hangs, Method::PATCH, ErrorKind::Ambiguous),
        (&closed, Method::GET, ErrorKind::Network),
        (&closed, Method::POST, ErrorKind::Network),
    ] {
        let egress = Egress::new(limits());
        let deadline = Instant::now() + Duration::from_millis(500);
        let error = egress.proxy(&operators(at), raw(method.clone(), "x"), deadline).await.err().unwrap();
        assert_eq!(error.kind, kind, "{at} {method}: {error}");
        assert!(error.hint.is_some() && !format!("{error:?}").contains(SECRET), "{error:?}");
    }
}

#[tokio::test]
async fn a_read_is_repeated_and_what_changes_something_is_not() {
    for (method, tries, retries) in [(Method::GET, 3, 2), (Method::POST, 1, 2), (Method::GET, 1, 0)] {
        let (at, heard, _) = provider(|_| Vec::new()).await;
        let egress = Egress::new(Limits { retries, ..Limits::default() });
        assert!(egress.proxy(&operators(&at), raw(method.clone(), "x"), soon()).await.is_err());
        assert_eq!(heard.try_iter().count(), tries, "{method}");
    }
    let (at, heard, _) = provider(|_| Vec::new()).await;
    let (_feed, body) = fed();
    let streamed = Raw { body: RawBody::Streamed(body), ..get("x") };
    let egress = Egress::new(Limits { retries: 2, ..Limits::default() });
    assert!(egress.proxy(&operators(&at), streamed, soon()).await.is_err());
    assert_eq!(heard.try_iter().count(), 1, "what streams is sent once");
}

fn action(path: &str) -> HttpRequest {
    serde_json::from_value(json!({"method": "GET", "path": path})).unwrap()
}

#[tokio::test]
async fn fault_64_a_machine_that_fails_is_left_alone_by_this_connection_alone() {
    for by_action in [false, true] {
        let (at, heard, _) = provider(|_| says("503 Down", "", b"")).await;
        let (egress, one) = (Egress::new(limits()), operators(&at));
        let ask = async |target: &Target| {
            if by_action {
                let sent = egress.send(target, action("/x"), Vec::new(), soon(), &Flight::default()).await;
                sent.map(|(answer, _)| answer.status)
            } else {
                egress.proxy(target, get("x"), soon()).await.map(|answer| answer.response.status().as_u16())
            }
        };
        for _ in 0..10 {
            assert_eq!(ask(&one).await.unwrap(), 503);
        }
        assert_eq!(heard.try_iter().count(), 10);
        let error = ask(&one).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("Acme (127.0.0.1:") && error.message.ends_with("UTC"), "{error}");
        let wait = error.retry_at.unwrap().duration_since(Timestamp::now()).as_secs();
        assert!((3..=5).contains(&wait), "{wait}");
        assert_eq!(heard.try_iter().count(), 0, "nothing was sent");
        let other = Target { key: "conn_2".to_owned(), ..one.clone() };
        assert_eq!(ask(&other).await.unwrap(), 503);
        let (elsewhere, ..) = provider(|_| says("200 OK", "", b"")).await;
        assert_eq!(ask(&operators(&elsewhere)).await.unwrap(), 200);
    }
}

/// Egress for which every public name is the machine that a resolver says, and which trusts one more.
fn in_a_net(
    lookup: impl Fn(&str) -> std::io::Result<Vec<std::net::IpAddr>> + Send + Sync + 'static,
    roots: Vec<CertificateDer<'static>>,
) -> Egress {
    let net = Arc::new(Net {
        public: Guarded::told(Arc::new(lookup), |address| {
            (address == std::net::IpAddr::from([127, 0, 0, 9])).then_some("an inner machine")
        }),
        operators: Guarded::operators(),
        trust: Trust::with(roots),
        connect: Duration::from_secs(10),
    });
    Egress::over(limits(), net.clone(), Box::new(Hyper::new(net)))
}

/// What both ways of sending say to the same provider.
async fn both(egress: &Egress, target: &Target, within: Duration) -> [Result<u16>; 2] {
    let deadline = Instant::now() + within;
    let proxied = egress.proxy(target, get("x"), deadline).await;
    let deadline = Instant::now() + within;
    let sent = egress.send(target, action("/x"), Vec::new(), deadline, &Flight::default()).await;
    [proxied.map(|answer| answer.response.status().as_u16()), sent.map(|(answer, _)| answer.status)]
}

#[tokio::test]
async fn fault_66_a_name_server_that_is_slow_or_down_costs_no_more_than_the_deadline() {
    let slow = in_a_net(
        |_| {
            std::thread::sleep(Duration::from_secs(20));
            Ok(vec![[127, 0, 0, 1].into()])
        },
        Vec::new(),
    );
    let begun = Instant::now();
    for answer in both(&slow, &target("user"), Duration::from_millis(400)).await {
        let error = answer.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Timeout, "Acme (api.example.com) did not answer in time")
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    let down = in_a_net(|_| Err(std::io::Error::other("no name server answers")), Vec::new());
    for answer in both(&down, &target("user"), Duration::from_secs(5)).await {
        let error = answer.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Network, "Acme (api.example.com) cannot be reached: no name server answers")
        );
    }
    let inner = in_a_net(|_| Ok(vec![[127, 0, 0, 9].into()]), Vec::new());
    for answer in both(&inner, &target("user"), Duration::from_secs(5)).await {
        let error = answer.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Blocked, "`api.example.com` leads to an inner machine")
        );
    }
}

/// Certificates made by openssl in a directory; `None` where there is no openssl.
fn certificates(dir: &Path) -> Option<()> {
    let openssl = |line: &str| {
        let output = Command::new("openssl").args(line.split_whitespace()).current_dir(dir).output().ok()?;
        assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
        Some(())
    };
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let self_signed = |name: &str, more: &str| {
        openssl(&format!(
            "req -x509 {KEY} -keyout {name}.pem -out {name}.der -outform DER -days 30 -subj /CN={name} {more}"
        ))
    };
    self_signed("ca", "")?;
    self_signed(
        "self-signed",
        "-addext subjectAltName=DNS:api.example.com -addext basicConstraints=critical,CA:FALSE",
    )?;
    self_signed("self-signed-ca", "-addext subjectAltName=DNS:api.example.com")?;
    for (name, host, days) in [("good", "api", "30"), ("expired", "api", "-1"), ("wrong", "other", "30")] {
        std::fs::write(dir.join("ext"), format!("subjectAltName=DNS:{host}.example.com\n")).unwrap();
        openssl(&format!("req -new {KEY} -keyout {name}.pem -out {name}.csr -subj /CN={name}"))?;
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.der -CAform DER -CAkey ca.pem -CAcreateserial -days {days} -extfile ext -out {name}.der -outform DER"
        ))?;
    }
    for name in ["good", "expired", "wrong", "self-signed", "self-signed-ca"] {
        openssl(&format!("pkcs8 -topk8 -nocrypt -in {name}.pem -outform DER -out {name}.key"))?;
    }
    Some(())
}

/// A provider behind TLS that answers 200 to whoever accepts its certificate.
fn behind_tls(dir: &Path, name: &str) -> u16 {
    let certificate = CertificateDer::from(std::fs::read(dir.join(format!("{name}.der"))).unwrap());
    let key = PrivatePkcs8KeyDer::from(std::fs::read(dir.join(format!("{name}.key"))).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let config = Arc::new(config);
    serve_bytes(move |socket| {
        let mut stream =
            rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), socket);
        if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
            let _ = stream.write_all(&says("200 OK", "connection: close\r\n", b""));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    })
}

/// A provider that says the same bytes to everybody.
fn serve_bytes(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

fn at_port(port: u16) -> Target {
    let mut target = target("user");
    let mut manifest = manifest();
    manifest.bases[0].urls = vec![format!("https://api.example.com:{port}/v2")];
    target.manifest = Arc::new(manifest);
    target
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_65_tls_that_is_not_safe_is_refused_and_the_reason_named() {
    let dir = tempfile::tempdir().unwrap();
    if certificates(dir.path()).is_none() {
        return skip(
            "egress: fault_65_tls_that_is_not_safe_is_refused_and_the_reason_named - there is no openssl",
        );
    }
    let root = CertificateDer::from(std::fs::read(dir.path().join("ca.der")).unwrap());
    let egress = in_a_net(|_| Ok(vec![[127, 0, 0, 1].into()]), vec![root]);
    for (name, reason) in [
        ("expired", "its certificate has expired"),
        ("wrong", "its certificate is for another host"),
        ("self-signed", "its certificate is signed by nobody whom this machine trusts"),
        ("self-signed-ca", "its certificate is self-signed"),
    ] {
        let port = behind_tls(dir.path(), name);
        refused(&egress, port, reason).await;
    }
    let port = behind_tls(dir.path(), "good");
    for answer in both(&egress, &at_port(port), Duration::from_secs(10)).await {
        assert_eq!(answer.unwrap(), 200, "and one that is safe is not refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_65_an_old_tls_is_refused_and_the_reason_named() {
    // What a server of TLS 1.0 says to a client that knows better: its own version, or an alert.
    let hello = {
        let body = [&[3, 1][..], &[7; 32], &[0, 0x00, 0x2f, 0]].concat();
        let message = [&[2, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
        [&[22, 3, 1, 0, u8::try_from(message.len()).unwrap()][..], &message].concat()
    };
    let alert = vec![21, 3, 1, 0, 2, 2, 70];
    let egress = in_a_net(|_| Ok(vec![[127, 0, 0, 1].into()]), Vec::new());
    for said in [hello, alert] {
        let port = serve_bytes(move |mut socket| {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(&said);
            let _ = socket.read(&mut [0; 4096]);
        });
        refused(&egress, port, "it speaks neither TLS 1.2 nor TLS 1.3").await;
    }
}

async fn refused(egress: &Egress, port: u16, reason: &str) {
    for answer in both(egress, &at_port(port), Duration::from_secs(10)).await {
        let error = answer.unwrap_err();
        let begin = format!("Acme (api.example.com:{port}) cannot be reached: {reason}");
        assert!(error.kind == ErrorKind::Network && error.message.starts_with(&begin), "{reason}: {error:?}");
    }
}

/// Says that a test was skipped, so that nobody takes it for passed.
fn skip(line: &str) {
    eprintln!("SKIPPED: {line}");
    if let Some(path) = std::env::var_os("JACKFIELD_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.unwrap(), "{line}").unwrap();
    }
}
