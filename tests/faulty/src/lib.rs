//! A connector that does what none should, as its input asks for it: to see that nothing but itself is harmed.
//!
//! It is written straight against the ABI, without the glue that keeps an author from most of this.

mod escape;

use std::{
    future::Future,
    io::Write,
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

/// What is never given back.
static LEAKED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// How much is written, of whatever there is too much of.
const FLOOD: usize = 1 << 30;

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
        "log-flood" => {
            let secret = input["secret"].as_str().unwrap_or_default();
            let line = format!("one\r\ntwo \u{1b}[31mred {secret} {}\n", "x".repeat(16 * 1024));
            for _ in 0..FLOOD / line.len() {
                host.log(2, line.as_str().into());
            }
            said("flooded")
        }
        "stderr-flood" => {
            let secret = input["secret"].as_str().unwrap_or_default();
            let line = format!("one\r\ntwo \u{1b}[31mred {secret} {}\n", "x".repeat(16 * 1024));
            let mut stderr = std::io::stderr();
            for _ in 0..FLOOD / line.len() {
                let _ = stderr.write_all(line.as_bytes());
            }
            said("flooded")
        }
        // Lines of a log past the host's side of the worker, straight to its socket.
        "frame-flood" => {
            for number in 3..16 {
                flood(number, input["head"]["call"].as_u64().unwrap_or_default());
            }
            said("flooded")
        }
        "leak" => {
            if let Ok(mut leaked) = LEAKED.lock() {
                leaked.push(vec![1; 8 << 20]);
            }
            said("hello")
        }
        "bomb" => loop {
            if let Ok(mut leaked) = LEAKED.lock() {
                leaked.push(vec![1; 8 << 20]);
            }
        },
        "spin-then-answer" => {
            let time = Duration::from_millis(input["head"]["ms"].as_u64().unwrap_or_default());
            let begun = spun();
            while spun().saturating_sub(begun) < time {
                std::hint::spin_loop();
            }
            said("hello")
        }
        "thread-that-crashes" => {
            let thread = std::thread::Builder::new().spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                std::process::abort()
            });
            said(&thread.map_or_else(|error| format!("refused: {error}"), |_| "started".to_owned()))
        }
        // Leaves a child behind that has all that this process had, and ends.
        "fork" => {
            // SAFETY: the child calls nothing that another thread could have been in the middle of.
            match unsafe { libc::fork() } {
                0 => {
                    std::thread::sleep(Duration::from_secs(3600));
                    // SAFETY: it ends the child, and runs nothing before.
                    unsafe { libc::_exit(0) }
                }
                1.. => std::process::abort(),
                _ => said(&format!("refused: {}", std::io::Error::last_os_error())),
            }
        }
        "escape" => {
            let aims = aims(&input["head"]);
            let mut tried = escape::always(&aims);
            tried.extend(escape::after_loading(&aims));
            said(&escape::told(&tried))
        }
        // One of them alone, which does no harm where it can be done.
        "open" => {
            let path = input["head"]["path"].as_str().unwrap_or_default();
            said(&std::fs::read(path).map_or_else(
                |error| format!("refused: {error}"),
                |bytes| format!("succeeded: {} bytes", bytes.len()),
            ))
        }
        #[cfg(target_arch = "x86_64")]
        "other-table" => {
            let answer: u64;
            // SAFETY: it is the kernel's way in for programs of 32 bits, and asks for the number of this process.
            unsafe {
                std::arch::asm!("int 0x80", inout("rax") 20_u64 => answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
            };
            said(&format!("answered {answer}"))
        }
        "descriptors" => said(&escape::descriptors().join("\n")),
        "environment" => said(&format!("{:?}", std::env::vars_os().collect::<Vec<_>>())),
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
        other => fail("invalid_input", &format!("cannot do `{other}`")),
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 512]);
    deeper(room[511] + 1) + room[0]
}

/// What an attempt to get out is to be made at.
fn aims(head: &Value) -> escape::Aims {
    let texts = |name: &str| -> Vec<String> {
        let texts = head[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    escape::Aims {
        read: texts("read"),
        write: texts("write"),
        parent: head["parent"].as_i64().unwrap_or_default(),
        port: head["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or_default(),
        socket: head["socket"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Writes frames, each a line of a call's log, to a descriptor, if that is a socket.
fn flood(descriptor: i32, call: u64) {
    // The kind of a line, whole; its length; its call; the line.
    let mut frame = vec![10, 1, 0, 0];
    frame.extend_from_slice(&5_u32.to_le_bytes());
    frame.extend_from_slice(&call.to_le_bytes());
    frame.extend_from_slice(b"\x02line");
    let frames = frame.repeat(1000);
    for _ in 0..FLOOD / frames.len() {
        let mut rest = frames.as_slice();
        while !rest.is_empty() {
            // SAFETY: the bytes are there, and as many as is said.
            let sent =
                unsafe { libc::send(descriptor, rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL) };
            match usize::try_from(sent) {
                Ok(sent) => rest = &rest[sent..],
                Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::yield_now();
                }
                Err(_) => return,
            }
        }
    }
}

/// How much of the processor's time this process has taken.
fn spun() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is a place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
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
