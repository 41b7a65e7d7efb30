//! The frozen binary interface between a connector library and its host: ABI version 1.
//!
//! What crosses is one root module, one trait object per library ([`Connector`]), one trait object per call
//! ([`HostServices`]), byte vectors and futures; nothing else is `repr(C)`. Every byte vector is a
//! [message](mod@message): a JSON head and a raw body. What the heads say is not this crate's business, so it can stay
//! as it is while they grow.
//!
//! # Frozen
//!
//! `abi_stable` compares the layout of every type here when a library is loaded, and lets only the *library* be the
//! newer side. A host with one more method on any of these traits would refuse every library built before it. Nothing
//! here may change; an ABI version 2 would be a second module with its own symbol, beside this one.
//!
//! # Who calls what
//!
//! The host finds the static [`ROOT_SYMBOL`] in a library it has opened, checks it with
//! [`Root::load`](fn@load), and calls [`RootRef::open`] once. Each of [`Connector`]'s three families takes a verb, a
//! message and a [`HostServices`] that lives exactly as long as that call. Dropping the returned future cancels it.

#![allow(
    non_local_definitions,
    reason = "`sabi_trait` 0.11 writes its impls inside a function body; there is no way to ask it not to"
)]

pub mod message;
pub mod probe;

pub use abi_stable;
pub use async_ffi;

use abi_stable::{
    StableAbi,
    library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult},
    package_version_strings,
    prefix_type::PrefixTypeTrait,
    sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, RResult, RString, RVec},
};
use async_ffi::FfiFuture;

/// The version of this interface, as a library's [probe](mod@probe) states it.
pub const ABI_VERSION: u32 = 1;

/// The symbol under which a library exports its [`LibHeader`], without and with the closing NUL.
pub const ROOT_SYMBOL: &str = "jackfield_connector_v1";

/// The link section that holds the bytes of the manifest.
pub const MANIFEST_SECTION: &str = ".jackfield.manifest";

/// The link section that holds the [probe](mod@probe).
pub const PROBE_SECTION: &str = ".jackfield.probe";

/// A message, or an error message. See [`message`](mod@message) for the layout of both.
pub type CallResult = RResult<RVec<u8>, RVec<u8>>;

/// The future of one call, in either direction. Dropping it cancels the call.
pub type CallFuture = FfiFuture<CallResult>;

/// The owned trait object of a library's [`Connector`].
pub type ConnectorBox = Connector_TO<'static, RBox<()>>;

/// The owned trait object of one call's [`HostServices`].
pub type HostBox = HostServices_TO<'static, RBox<()>>;

/// What a library is to its host.
///
/// An unknown verb is answered with an error message whose kind is `unsupported`.
#[sabi_trait]
pub trait Connector: Send + Sync {
    /// The manifest as the code declares it, in the bytes that the library also embeds in its link section.
    fn manifest(&self) -> RVec<u8>;

    /// Verbs about a connection: `identify`, `test`, `after_connect`.
    fn auth(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture;

    /// Verbs about actions: `run`, `lookup`, `fields`, `sample`.
    fn action(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture;

    /// Verbs about triggers: `on_delivery`, `enrich`, `register`, `renew`, `unregister`, `poll`, `sample`, `verify`.
    #[sabi(last_prefix_field)]
    fn trigger(&self, op: RString, message: RVec<u8>, host: HostBox) -> CallFuture;
}

/// What a host is to one call into a connector.
///
/// The handle belongs to that call: the host knows from it whose project, connection and deadline apply, never from
/// what the library says. When the call has ended it answers everything with an error message of kind `call_ended`.
#[sabi_trait]
pub trait HostServices: Send + Sync {
    /// Asks the host for something: `http`, `progress`, `sleep`, `blob_*`, `state_get`, `state_put`.
    fn call(&self, op: RString, message: RVec<u8>) -> CallFuture;

    /// Writes one line to the log of this call. `level` is 1 (error), 2 (warn), 3 (info), 4 (debug) or 5 (trace);
    /// `line` is UTF-8 without a line break. The host bounds, escapes and attributes what it gets.
    #[sabi(last_prefix_field)]
    fn log(&self, level: u8, line: RString);
}

/// The root module: the one thing a library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
#[sabi(missing_field(panic))]
pub struct Root {
    /// Makes the connector. Called once in the life of a process; the error is an error message.
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn() -> RResult<ConnectorBox, RVec<u8>>,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}

    const BASE_NAME: &'static str = "connector";
    const NAME: &'static str = "connector";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// What a library exports, as a type: how [`library_header`] reaches the author's connector without a line of `unsafe`.
pub trait Library {
    /// Makes the connector, or says in an error message why it cannot. Must not unwind.
    fn open() -> Result<ConnectorBox, Vec<u8>>;
}

/// The value to export under [`ROOT_SYMBOL`].
///
/// ```
/// # use connector_abi::{ConnectorBox, Library, abi_stable::library::LibHeader};
/// struct Mine;
/// impl Library for Mine {
///     fn open() -> Result<ConnectorBox, Vec<u8>> {
///         Err(b"nothing here yet".to_vec())
///     }
/// }
/// static HEADER: LibHeader = connector_abi::library_header::<Mine>();
/// assert!(HEADER.version_strings().version.starts_with("1.0."));
/// ```
#[must_use]
pub const fn library_header<L: Library>() -> LibHeader {
    extern "C" fn open<L: Library>() -> RResult<ConnectorBox, RVec<u8>> {
        match L::open() {
            Ok(connector) => RResult::ROk(connector),
            Err(message) => RResult::RErr(message.into()),
        }
    }
    fn root<L: Library>() -> RootRef {
        Root { open: open::<L> }.leak_into_prefix()
    }
    extern "C" fn erased<L: Library>() -> RootModuleResult {
        abi_stable::library::__call_root_module_loader(root::<L>)
    }
    // SAFETY: `erased` returns what `root` makes, and `root` makes a `RootRef`, the type named here.
    unsafe { LibHeader::from_constructor::<RootRef>(erased::<L>, CheckTypeLayout::Yes) }
}

/// Checks the header found under [`ROOT_SYMBOL`] against the types of this crate, version and layout, and gives the
/// root module.
///
/// # Errors
///
/// A sentence that names both sides. The layout report of `abi_stable` is many kilobytes long and stays in
/// [`LoadError::detail`].
pub fn load(header: &'static LibHeader) -> Result<RootRef, LoadError> {
    header.init_root_module::<RootRef>().map_err(|error| LoadError {
        library_version: header.version_strings().to_string(),
        detail: error.to_string(),
    })
}

/// Why [`load`] refused a library.
#[derive(Debug)]
pub struct LoadError {
    /// The version of `connector-abi` the library was built with.
    pub library_version: String,
    /// What `abi_stable` says: for a log, not for a terminal.
    pub detail: String,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (theirs, ours) = (&self.library_version, env!("CARGO_PKG_VERSION"));
        write!(
            f,
            "the library's interface (connector-abi {theirs}) does not fit this host's (connector-abi {ours})"
        )
    }
}

impl std::error::Error for LoadError {}
