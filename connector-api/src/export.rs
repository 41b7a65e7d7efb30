//! What turns a connector into a library: the glue between the ABI's byte vectors and an author's types, and the one macro
//! an author writes.

use std::sync::Arc;

use connector_abi::{
    CallFuture, Connector_TO, ConnectorBox, HostBox,
    abi_stable::{
        sabi_trait::prelude::TD_Opaque,
        std_types::{RResult, RString, RVec},
    },
    async_ffi::FutureExt,
    message as frame,
};
use connector_protocol::{Error, ErrorKind};

use crate::{
    Connector,
    connector::Ready,
    context::{Host, HostFuture, Level},
    guard::{Guarded, guard, note_panics},
};

/// Makes the library's connector. What [`export_connector!`](crate::export_connector) calls.
///
/// # Errors
///
/// An error message, if the connector panics while it is put together.
#[doc(hidden)]
pub fn open(connector: fn() -> Connector) -> std::result::Result<ConnectorBox, Vec<u8>> {
    note_panics();
    let glue = guard(|| Glue { declare: connector, ready: Arc::new(connector().ready()) });
    match glue {
        Ok(glue) => Ok(Connector_TO::from_value(glue, TD_Opaque)),
        Err(error) => Err(error_message(&error)),
    }
}

struct Glue {
    /// Makes the connector again, for whoever asks what it declares: deriving that takes a while.
    declare: fn() -> Connector,
    ready: Arc<Ready>,
}

#[derive(Clone, Copy)]
enum Family {
    Auth,
    Action,
    Trigger,
}

impl Glue {
    fn call(&self, family: Family, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture {
        let ready = self.ready.clone();
        let answer = Guarded::new(async move {
            let op = op.as_str();
            let malformed =
                |error| Error::new(ErrorKind::Internal, format!("the call is malformed: {error}"));
            let (head, body) = frame::decode(&message).map_err(malformed)?;
            let host = Box::new(AbiHost(host));
            match family {
                Family::Auth => ready.auth(op, head, host).await,
                Family::Action => ready.action(op, head, host).await,
                Family::Trigger => ready.trigger(op, head, body, host).await,
            }
        });
        async move {
            match answer.await {
                Ok(head) => RResult::ROk(frame::encode(&head, &[]).into()),
                Err(error) => RResult::RErr(error_message(&error).into()),
            }
        }
        .into_ffi()
    }
}

impl connector_abi::Connector for Glue {
    fn manifest(&self) -> RVec<u8> {
        // Nothing may unwind into the host; a connector that cannot say what it declares says nothing, which is not it.
        guard(|| (self.declare)().manifest().to_bytes()).unwrap_or_default().into()
    }

    fn auth(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture {
        self.call(Family::Auth, op, message, host)
    }

    fn action(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture {
        self.call(Family::Action, op, message, host)
    }

    fn trigger(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture {
        self.call(Family::Trigger, op, message, host)
    }
}

/// The ABI's host, as a connector's context sees it.
struct AbiHost(HostBox);

impl Host for AbiHost {
    fn call(&self, op: &str, message: Vec<u8>) -> HostFuture<'_> {
        let answer = self.0.call(op.into(), message.into());
        Box::pin(async move {
            match answer.await {
                RResult::ROk(message) => Ok(message.into_vec()),
                RResult::RErr(message) => Err(message.into_vec()),
            }
        })
    }

    fn log(&self, level: Level, line: String) {
        self.0.log(level as u8, line.into());
    }
}

fn error_message(error: &Error) -> Vec<u8> {
    // An error is text and numbers: it can always be written.
    frame::encode(&serde_json::to_vec(error).unwrap_or_default(), &[])
}

/// What a library's link section says about this crate.
#[doc(hidden)]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes a crate of type `cdylib` a connector library, and adds the tests that every connector has.
///
/// It takes the path of a function that returns the [`Connector`]. The manifest lies beside `Cargo.toml` as
/// `manifest.json` unless another path is given, relative to `Cargo.toml`; fixtures lie in `tests/fixtures`.
///
/// ```
/// use connector_api::prelude::*;
///
/// fn connector() -> Connector {
///     Connector::new("acme", "Acme", "0.1.0").description("Things and tasks in Acme").auth(Auth::none())
/// }
///
/// connector_api::export_connector!(connector, manifest = "tests/acme.json");
/// # let file = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/acme.json"));
/// # assert_eq!(String::from_utf8_lossy(file), String::from_utf8_lossy(&connector().manifest().to_bytes()));
/// ```
///
/// The tests need `connector-api` with its feature `testing` among the development dependencies:
///
/// - `manifest_is_current` derives the manifest from the types and compares it with the file.
///   `JACKFIELD_UPDATE=1 cargo test` rewrites the file. It also fails on a field without a description, and on a change
///   that breaks what the file in `released/` promised unless the version says so.
/// - `fixtures_pass` runs every file in `tests/fixtures`, and fails if an action or trigger has none.
///
/// The crate needs no `unsafe` of its own; it may `deny` it, but not `forbid` it, since two link sections and one symbol
/// are attributes that Rust calls unsafe.
#[macro_export]
macro_rules! export_connector {
    ($connector:path) => {
        $crate::export_connector!($connector, manifest = "manifest.json");
    };
    ($connector:path, manifest = $manifest:literal) => {
        #[cfg(not(test))]
        #[allow(unsafe_code)]
        const _: () = {
            struct Library;

            impl $crate::abi::Library for Library {
                fn open() -> ::std::result::Result<$crate::abi::ConnectorBox, ::std::vec::Vec<u8>> {
                    $crate::export::open($connector)
                }
            }

            #[unsafe(export_name = "jackfield_connector_v1")]
            pub static ROOT: $crate::abi::abi_stable::library::LibHeader =
                $crate::abi::library_header::<Library>();

            const MANIFEST: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest));

            #[used]
            #[unsafe(link_section = ".jackfield.manifest")]
            static MANIFEST_SECTION: [u8; MANIFEST.len()] = *MANIFEST.first_chunk().unwrap();

            #[used]
            #[unsafe(link_section = ".jackfield.probe")]
            static PROBE_SECTION: [u8; $crate::abi::probe::LEN] =
                $crate::abi::probe::bytes(cfg!(panic = "unwind"), $crate::export::VERSION);
        };

        $crate::__connector_tests!($connector, $manifest);
    };
}

/// The tests of a connector, or what to do to have them.
#[doc(hidden)]
#[cfg(feature = "testing")]
#[macro_export]
macro_rules! __connector_tests {
    ($connector:path, $manifest:literal) => {
        #[cfg(test)]
        mod connector_tests {
            use super::*;

            #[test]
            fn manifest_is_current() {
                $crate::testing::manifest_is_current(&$connector(), env!("CARGO_MANIFEST_DIR"), $manifest);
            }

            #[test]
            fn fixtures_pass() {
                $crate::testing::fixtures_pass($connector, env!("CARGO_MANIFEST_DIR"));
            }
        }
    };
}

/// The tests of a connector, or what to do to have them.
#[doc(hidden)]
#[cfg(not(feature = "testing"))]
#[macro_export]
macro_rules! __connector_tests {
    ($connector:path, $manifest:literal) => {
        #[cfg(test)]
        compile_error!("add `connector-api` with the feature `testing` to [dev-dependencies]");
    };
}
