//! The smallest connector there can be: the frozen ABI and nothing above it.

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

struct Frozen;

impl Connector for Frozen {
    fn manifest(&self) -> RVec<u8> {
        MANIFEST.into()
    }

    fn auth(&self, op: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        unsupported(op)
    }

    fn action(&self, op: RString, _: RVec<u8>, host: HostBox) -> CallFuture {
        if op != "run" {
            return unsupported(op);
        }
        async move {
            host.log(3, "asking".into());
            let request = message::encode(br#"{"method":"GET","path":"/question"}"#, &[]);
            let answer = match host.call("http".into(), request.into()).await {
                RResult::ROk(answer) => answer,
                RResult::RErr(error) => return RResult::RErr(error),
            };
            let Ok((head, body)) = message::decode(&answer) else { return fail("the answer is malformed") };
            let head = String::from_utf8_lossy(head);
            let status: String = head
                .split_once("\"status\":")
                .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect())
                .unwrap_or_default();
            let body: String =
                String::from_utf8_lossy(body).chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect();
            let output = format!(r#"{{"output":{{"status":{status},"body":"{body}"}}}}"#);
            RResult::ROk(message::encode(output.as_bytes(), &[]).into())
        }
        .into_ffi()
    }

    fn trigger(&self, op: RString, _: RVec<u8>, _: HostBox) -> CallFuture {
        unsupported(op)
    }
}

fn unsupported(op: RString) -> CallFuture {
    let text = format!("there is no verb `{op}`");
    async move { fail(&text) }.into_ffi()
}

fn fail(text: &str) -> connector_abi::CallResult {
    let head = format!(r#"{{"kind":"unsupported","message":"{text}"}}"#);
    RResult::RErr(message::encode(head.as_bytes(), &[]).into())
}

struct Exported;

impl Library for Exported {
    fn open() -> Result<ConnectorBox, Vec<u8>> {
        Ok(Connector_TO::from_value(Frozen, TD_Opaque))
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
