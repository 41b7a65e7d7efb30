//! A connector that tries to get out while it is loaded: its constructor runs before the host has seen anything of it, and
//! before anybody has called it.
//!
//! Nothing tells it where the home is, so it tries what every machine has.

#[path = "../../faulty/src/escape.rs"]
mod escape;

use std::sync::OnceLock;

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
use serde_json::json;

const MANIFEST: &[u8] = include_bytes!("../manifest.json");

/// What became of the attempts.
static TRIED: OnceLock<Vec<escape::Attempt>> = OnceLock::new();

fn aims() -> escape::Aims {
    escape::Aims {
        read: vec!["/etc/passwd".to_owned(), "/proc/self/exe".to_owned(), "/bin/sh".to_owned()],
        write: vec!["/tmp".to_owned(), "/var/tmp".to_owned()],
        // It cannot know its parent.
        parent: 1,
        port: 80,
        socket: "/run/early".to_owned(),
    }
}

/// Runs while the library is opened.
extern "C" fn constructor() {
    TRIED.get_or_init(|| escape::always(&aims()));
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

struct Early;

impl Connector for Early {
    fn manifest(&self) -> RVec<u8> {
        MANIFEST.into()
    }

    fn auth(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        async { unsupported() }.into_ffi()
    }

    fn action(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        async {
            let early = TRIED.get().map(|tried| escape::told(tried)).unwrap_or_default();
            let late = escape::told(&escape::after_loading(&aims()));
            let open = escape::descriptors().join("\n");
            let head = json!({"output": {"said": format!("{early}\n\n{late}\n\n{open}")}});
            RResult::ROk(message::encode(head.to_string().as_bytes(), &[]).into())
        }
        .into_ffi()
    }

    fn trigger(&self, _: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        async { unsupported() }.into_ffi()
    }
}

fn unsupported() -> CallResult {
    let head = json!({"kind": "unsupported", "message": "nothing here"});
    RResult::RErr(message::encode(head.to_string().as_bytes(), &[]).into())
}

struct Exported;

impl Library for Exported {
    fn open() -> Result<ConnectorBox, Vec<u8>> {
        Ok(Connector_TO::from_value(Early, TD_Opaque))
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
