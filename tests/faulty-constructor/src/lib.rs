//! A connector that does something as soon as it is opened, before anybody has asked it to: it makes a file, if it can. Where,
//! a test writes into the library's bytes. To look at a connector must not be enough to run it.

use std::{
    fs::File,
    hint::black_box,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use connector_abi::{
    CallFuture, Connector, Connector_TO, ConnectorBox, HostBox, Library,
    abi_stable::{
        library::LibHeader,
        sabi_trait::prelude::TD_Opaque,
        std_types::{RResult, RString, RVec},
    },
    async_ffi::FutureExt,
    message, probe,
};

const MANIFEST: &[u8] = include_bytes!("../manifest.json");

/// What stands before the place where the path of the file does.
const MARK: &str = "jackfield-constructor-canary:";
const ROOM: usize = 256;

/// The mark, then the path, up to the first zero.
#[used]
static CANARY: [u8; ROOM] = {
    let (mut bytes, mut at) = ([0; ROOM], 0);
    while at < MARK.len() {
        bytes[at] = MARK.as_bytes()[at];
        at += 1;
    }
    bytes
};

static HAS_RUN: AtomicBool = AtomicBool::new(false);

/// Runs while the library is being opened.
extern "C" fn construct() {
    HAS_RUN.store(true, Ordering::Relaxed);
    let bytes = &black_box(&CANARY)[MARK.len()..];
    let path = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    if let Ok(path) = std::str::from_utf8(path)
        && !path.is_empty()
    {
        // Whether it may is what tests are about.
        let _ = File::create(Path::new(path));
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCT: extern "C" fn() = construct;

struct Constructor;

impl Connector for Constructor {
    fn manifest(&self) -> RVec<u8> {
        MANIFEST.into()
    }

    fn auth(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        unsupported()
    }

    fn action(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        async {
            let head = format!(r#"{{"output":{{"ran":{}}}}}"#, HAS_RUN.load(Ordering::Relaxed));
            RResult::ROk(message::encode(head.as_bytes(), &[]).into())
        }
        .into_ffi()
    }

    fn trigger(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        unsupported()
    }
}

fn unsupported() -> CallFuture {
    let head = br#"{"kind":"unsupported","message":"nothing here"}"#;
    async { RResult::RErr(message::encode(head, &[]).into()) }.into_ffi()
}

struct Exported;

impl Library for Exported {
    fn open() -> Result<ConnectorBox, Vec<u8>> {
        Ok(Connector_TO::from_value(Constructor, TD_Opaque))
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
