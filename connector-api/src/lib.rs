//! Everything a connector author imports.
//!
//! A connector is what Jackfield knows of one provider: how to authorise, what can be done, what can be listened for. An
//! author writes plain types and async functions ([`Action`], [`Trigger`]), puts them into one [`Connector`], and exports
//! it with [`export_connector!`]. Everything else is derived from the types: the manifest, the forms, the checks of inputs,
//! the documentation.
//!
//! This crate does no input or output, has no async runtime and opens no socket: requests are described here and sent by
//! the host, which alone knows the credential. Only the feature `testing` reads files, for a connector's own tests.

pub mod action;
mod connector;
mod context;
mod decode;
#[doc(hidden)]
pub mod export;
pub mod form;
mod guard;
mod manifest;
mod paging;
mod refusal;
pub mod rules;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trigger;
#[doc(hidden)]
pub mod types;

#[doc(hidden)]
pub use connector_abi as abi;
pub use connector_protocol as protocol;
pub use connector_protocol::{Error, ErrorKind, Problem, ProviderError, Result};
pub use jiff;
pub use schemars;
pub use serde;
pub use serde_json;

pub use self::{
    action::{Action, Effect, Paging, ScopeSet},
    connector::Connector,
    context::{Answer, Ctx, Level, Request},
    refusal::Refusal,
    trigger::{
        Delivery, Emit, Hook, NewHook, NoParams, Poll, Polled, Registration, Source, Trigger, Unproven,
    },
    types::{Id, Patch},
};

/// The ways to authorise a connection.
pub mod auth {
    pub use connector_protocol::{
        manifest::{Auth, Client, ClientAuth, Endpoint, Oauth2, Pkce, Placement, ScopeParameter},
        message::Identity,
    };
}

/// How a provider's answers are told apart.
pub mod answers {
    pub use connector_protocol::answers::{
        AnswerClass, AnswerRule, ErrorMembers, Fact, FactAt, FactIs, ProblemMembers, Until, WaitHeader,
        WaitUnit,
    };
}

/// How the provider's side is set up.
pub mod setup {
    pub use connector_protocol::manifest::{Setup, Show, Step};
}

/// How a provider's webhooks are accepted.
pub mod webhook {
    pub use connector_protocol::manifest::{
        Encoding, EventName, Handshake, HandshakeAnswer, HandshakeValue, HashAlgorithm, MessagePart,
        Revocation, Secret, SecretOwner, Select, Signature, Test, Timestamp, TimestampUnit, Verify, Webhook,
    };
}

/// What nearly every file of a connector needs.
///
/// ```
/// use connector_api::prelude::*;
/// ```
pub mod prelude {
    pub use jiff;
    pub use schemars::{self, JsonSchema};
    pub use serde::{self, Deserialize, Serialize};
    pub use serde_json::{self, json};

    pub use crate::{
        Action, Connector, Ctx, Delivery, Effect, Emit, Error, ErrorKind, Hook, Id, Level, NewHook, NoParams,
        Paging, Patch, Poll, Polled, Refusal, Registration, Result, ScopeSet, Source, Trigger, Unproven,
        answers::AnswerClass,
        auth::{Auth, Identity},
        choices,
        rules::{Rules, when},
    };
}
