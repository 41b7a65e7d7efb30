//! Identifiers, and how they stand in Zoom's paths.

use std::fmt;

use connector_api::{
    prelude::*,
    protocol::path::encode,
    schemars::{Schema, SchemaGenerator, json_schema},
    serde::{Deserializer, de::Error as _},
};

/// The number of a meeting, without the spaces and hyphens that people and invitations put into it. It stays text: Zoom
/// calls it an int64, and it must never pass through a float.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct MeetingId(String);

impl fmt::Display for MeetingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MeetingId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(&Id::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected a meeting number"))
    }
}

fn number(id: &Id) -> Option<String> {
    let digits: String = id.as_str().chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())).then_some(digits)
}

impl JsonSchema for MeetingId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MeetingId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_serialize() {
            return json_schema!({"type": "string"});
        }
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^ *[0-9][0-9 -]*$",
            "minimum": 1,
            "examples": ["926 7439 2836"],
            "x-ui": {"errors": {"pattern": "must be the number of a meeting, like 926 7439 2836"}},
        })
    }
}

/// The number of a meeting, or the UUID of one of its instances.
#[derive(Debug, Clone)]
pub(crate) struct MeetingRef(String);

impl MeetingRef {
    /// The value of the path parameter. Zoom wants a UUID that begins with a slash, or holds two in a row, to be
    /// percent-encoded twice; the host encodes every parameter once.
    pub(crate) fn in_path(&self) -> String {
        if self.0.starts_with('/') || self.0.contains("//") { encode(&self.0) } else { self.0.clone() }
    }
}

impl<'de> Deserialize<'de> for MeetingRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = Id::deserialize(deserializer)?;
        Ok(Self(number(&id).unwrap_or_else(|| id.to_string())))
    }
}

impl JsonSchema for MeetingRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MeetingRef".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A UUID is the base64 of 16 bytes.
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^( *[0-9][0-9 -]*|[A-Za-z0-9+/]{22}==)$",
            "minimum": 1,
            "examples": ["926 7439 2836"],
            "x-ui": {"errors": {"pattern": "must be the number of a meeting, like 926 7439 2836, or a meeting UUID"}},
        })
    }
}

/// A user: `me`, an id or an e-mail address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UserId(String);

impl Default for UserId {
    fn default() -> Self {
        Self("me".to_owned())
    }
}

impl UserId {
    /// The value of the path parameter. Behind a server-to-server connection there is no user for `me` to be.
    pub(crate) fn in_path(self, ctx: &Ctx) -> Result<String> {
        if self.0 == "me" && ctx.auth() == "server_to_server" {
            let error =
                Error::invalid_input("/user_id", "`me` means nobody to a server-to-server connection");
            return Err(error.hint("give the id or the e-mail address of a user of the account"));
        }
        Ok(self.0)
    }
}

impl JsonSchema for UserId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 254})
    }
}

/// Occurrences of a recurring meeting: the start of each in milliseconds since 1970, as text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(crate) struct OccurrenceIds(#[schemars(inner(length(min = 1)))] pub(crate) Vec<String>);
