//! A connector that does what none should, as its input asks for it: to see that nothing but itself is harmed.
//!
//! It is written straight against the ABI, without the glue that keeps an author from most of this.

mod escape;

use std::{
    future::Future,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use connector_abi::{
    CallFuture, CallResult, Connector, Connector_TO, ConnectorBox, HostBox, Library,
    abi_stable::{
        library::LibHeader,
        sabi_trait::prelude::TD_Opaque,
        std_types::{RResult, RString, RVec},
    },
    async_ffi::FutureExt,
    message, probe,
};
use serde_json::{Value, json};

const MANIFEST: &[u8] = include_bytes!("../manifest.json");

static KEPT: Mutex<Option<HostBox>> = Mutex::new(None);

struct Faulty;

impl Connector for Faulty {
    fn manifest(&self) -> RVec<u8> {
        MANIFEST.into()
    }

    fn auth(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        async { fail("unsupported", "nothing here") }.into_ffi()
    }

    fn action(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture {
        async move {
            // What a call costs in which nothing is done.
            if op == "echo" {
                return RResult::ROk(message);
            }
            let head: Value = message::decode(&message)
                .ok()
                .and_then(|(head, _)| serde_json::from_slice(head).ok())
                .unwrap_or_default();
            act(&head["input"], host).await
        }
        .into_ffi()
    }

    fn trigger(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        async { fail("unsupported", "nothing here") }.into_ffi()
    }
}

async fn act(input: &Value, host: HostBox) -> CallResult {
    match input["what"].as_str().unwrap_or_default() {
        "say" => said("hello"),
        "panic" => panic!("as was asked"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        "segfault" => {
            // SAFETY: there is none. That is what it is for: the process that does it is meant to die.
            unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
            said("nobody gets here")
        }
        "overflow" => said(&deeper(0).to_string()),
        "loop" => loop {
            std::hint::spin_loop();
        },
        "block" => {
            std::thread::sleep(Duration::from_secs(3600));
            said("late")
        }
        "wait" => {
            Forever.await;
            said("never")
        }
        "bad-utf8" => RResult::ROk(message::encode(b"{\"output\":{\"said\":\"\xff\xfe\"}}", &[]).into()),
        "not-json" => RResult::ROk(message::encode(b"<html>", &[]).into()),
        "no-message" => RResult::ROk(b"\xff\xff\xff\xff".as_slice().into()),
        "wrong-type" => RResult::ROk(message::encode(br#"{"output":{"said":5}}"#, &[]).into()),
        "huge" => RResult::ROk(vec![0; 1 << 30].into()),
        "huge-error" => RResult::RErr(vec![0; 1 << 30].into()),
        "strange-error" => RResult::RErr(b"?".as_slice().into()),
        "log" => {
            for line in 0..1000 {
                let secret = input["secret"].as_str().unwrap_or_default();
                host.log(2, format!("line {line}\r\n\u{1b}[31mred {secret}").into());
            }
            said("logged")
        }
        // Passes on whatever head it is given.
        "ask" => {
            let op = input["op"].as_str().unwrap_or("http");
            let head = serde_json::to_vec(&input["head"]).unwrap_or_default();
            match host.call(op.into(), message::encode(&head, b"{}").into()).await {
                RResult::ROk(answer) => {
                    let head = message::decode(&answer).map(|(head, _)| head.to_vec()).unwrap_or_default();
                    said(&String::from_utf8_lossy(&head))
                }
                RResult::RErr(error) => RResult::RErr(error),
            }
        }
        // Keeps the handle of this call beyond its end.
        "keep" => {
            if let Ok(mut kept) = KEPT.lock() {
                *kept = Some(host);
            }
            said("kept")
        }
        "ask-with-what-was-kept" => {
            let kept = KEPT.lock().ok().and_then(|mut kept| kept.take());
            match kept {
                Some(kept) => match kept.call("http".into(), message::encode(b"{}", &[]).into()).await {
                    RResult::ROk(_) => said("answered"),
                    RResult::RErr(error) => RResult::RErr(error),
                },
                None => said("nothing was kept"),
            }
        }
        // Asks, and does not wait for the answer.
        "ask-and-crash" => {
            let head = serde_json::to_vec(&input["head"]).unwrap_or_default();
            let mut asked = host.call("http".into(), message::encode(&head, b"{}").into());
            let mut polls = 0;
            std::future::poll_fn(|context| {
                let _ = Pin::new(&mut asked).poll(context);
                polls += 1;
                // The second poll comes when the first half of the answer is here.
                if polls > 1 { std::process::abort() } else { Poll::Pending }
            })
            .await
        }
        "ask-a-thousand-times" => {
            let head = serde_json::to_vec(&input["head"]).unwrap_or_default();
            let asked: Vec<_> =
                (0..1000).map(|_| host.call("http".into(), message::encode(&head, &[]).into())).collect();
            let mut refused = 0;
            for answer in asked {
                refused += usize::from(matches!(answer.await, RResult::RErr(_)));
            }
            said(&format!("refused {refused}"))
        }
        // One attempt to get out, or all.
        "escape" => {
            let head = &input["head"];
            let number = |name: &str| head[name].as_i64().unwrap_or_default();
            let aim = escape::Aim {
                path: head["path"].as_str().unwrap_or_default(),
                port: u16::try_from(number("port")).unwrap_or_default(),
                parent: i32::try_from(number("parent")).unwrap_or_default(),
            };
            let names: Vec<&str> = match input["op"].as_str() {
                Some(one) => vec![one],
                None => escape::ATTEMPTS.to_vec(),
            };
            let lines: Vec<String> =
                names.iter().map(|name| format!("{name}: {}", escape::attempt(name, &aim))).collect();
            said(&lines.join("\n"))
        }
        "descriptors" => said(&format!("{:?}", escape::descriptors())),
        "environment" => said(&format!("{}", std::env::vars_os().count())),
        // A little more each time, and never given back.
        "leak" => {
            std::mem::forget(vec![1_u8; 8 * 1024 * 1024]);
            said("leaked")
        }
        // As much as there is.
        "bomb" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 1 << 20]);
            }
        }
        "spin" => {
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_millis(200) {
                std::hint::spin_loop();
            }
            said("spun")
        }
        // A thread that ends the process when the answer has been given.
        "thread-that-crashes" => {
            let thread = std::thread::Builder::new().spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                std::process::abort()
            });
            said(if thread.is_ok() { "started" } else { "refused" })
        }
        // A child that holds the socket when this process is gone.
        "fork-and-crash" => {
            // SAFETY: the child does nothing but wait.
            let child = unsafe { libc::fork() };
            if child == 0 {
                loop {
                    std::thread::sleep(Duration::from_secs(60));
                }
            }
            if child < 0 { said("refused") } else { std::process::abort() }
        }
        "log-flood" => {
            let secret = input["secret"].as_str().unwrap_or_default();
            let line = format!("flood\r\n\u{1b}[31m{secret} {}", "x".repeat(8000));
            for _ in 0..(1 << 30) / line.len() {
                host.log(2, line.as_str().into());
            }
            said("logged")
        }
        "stderr-flood" => {
            let secret = input["secret"].as_str().unwrap_or_default();
            let line = format!("stderr \u{1b}[31m{secret} {}\n", "x".repeat(8000));
            for _ in 0..(64 << 20) / line.len() {
                let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
            }
            said("written")
        }
        other => fail("invalid_input", &format!("cannot do `{other}`")),
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 512]);
    deeper(room[511] + 1) + room[0]
}

/// Waits, and never says that it could go on.
struct Forever;

impl Future for Forever {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

fn said(text: &str) -> CallResult {
    let head = json!({"output": {"said": text}});
    RResult::ROk(message::encode(head.to_string().as_bytes(), &[]).into())
}

fn fail(kind: &str, text: &str) -> CallResult {
    let head = json!({"kind": kind, "message": text});
    RResult::RErr(message::encode(head.to_string().as_bytes(), &[]).into())
}

struct Exported;

impl Library for Exported {
    fn open() -> Result<ConnectorBox, Vec<u8>> {
        Ok(Connector_TO::from_value(Faulty, TD_Opaque))
    }
}

#[unsafe(export_name = "jackfield_connector_v1")]
pub static ROOT: LibHeader = connector_abi::library_header::<Exported>();

#[used]
#[unsafe(link_section = ".jackfield.manifest")]
static MANIFEST_SECTION: [u8; MANIFEST.len()] = *MANIFEST.first_chunk().unwrap();

#[used]
#[unsafe(link_section = ".jackfield.probe")]
static PROBE_SECTION: [u8; probe::LEN] = probe::bytes(cfg!(panic = "unwind"), "");
