//! Types for fields that plain Rust types describe badly: identifiers, values that may be cleared, choices with titles.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

/// An identifier as text, whether the provider writes it as a number or as a string. It never becomes a float, so no digit
/// is lost.
///
/// ```
/// # use connector_api::Id;
/// let ids: Vec<Id> = serde_json::from_str(r#"[92674392836, "92674392836"]"#)?;
/// assert_eq!(ids[0], ids[1]);
/// assert_eq!(serde_json::to_string(&ids[0])?, "\"92674392836\"");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// The identifier's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` for the empty text, which some providers send where there is no identifier.
    #[must_use]
    pub fn non_empty(self) -> Option<Self> {
        (!self.0.is_empty()).then_some(self)
    }
}

impl<T: Into<String>> From<T> for Id {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an identifier: text or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_serialize() {
            json_schema!({"type": "string"})
        } else {
            json_schema!({"type": ["string", "integer"]})
        }
    }
}

/// A field of an update: left as it is, cleared, or set. In JSON: absent, `null`, or a value.
///
/// Give the field `#[serde(default, skip_serializing_if = "Patch::is_keep")]`.
///
/// ```
/// # use connector_api::Patch;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Change {
///     #[serde(default, skip_serializing_if = "Patch::is_keep")]
///     note: Patch<String>,
/// }
/// for json in [r#"{}"#, r#"{"note":null}"#, r#"{"note":""}"#] {
///     let change: Change = serde_json::from_str(json)?;
///     assert_eq!(serde_json::to_string(&change)?, json);
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is emptied.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field is to stay as it is.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The new value, if one is set.
    pub fn set(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

impl<T: Serialize> Patch<T> {
    /// Serialises clearing as the empty text, for providers that clear a text that way:
    /// `#[serde(serialize_with = "Patch::clear_as_empty")]`.
    ///
    /// # Errors
    ///
    /// As the serialiser.
    pub fn clear_as_empty<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(value) => value.serialize(serializer),
            Self::Keep | Self::Clear => serializer.serialize_str(""),
        }
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(value) => value.serialize(serializer),
            Self::Keep | Self::Clear => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Patch_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        // The title tells this `null` from that of an `Option`, which is dropped from inputs.
        json_schema!({"anyOf": [value, {"type": "null", "title": "Clear"}]})
    }
}

/// A value of a [choice](crate::choices), for the macro's use.
#[doc(hidden)]
pub fn choice_schema(doc: &[&str], kind: &str, choices: &[(Value, &str, &[&str])]) -> Schema {
    let text =
        |lines: &[&str]| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned();
    let branches: Vec<Value> = choices
        .iter()
        .map(|(value, title, doc)| match text(doc) {
            doc if doc.is_empty() => json!({"const": value, "title": title}),
            doc => json!({"const": value, "title": title, "description": doc}),
        })
        .collect();
    match text(doc) {
        doc if doc.is_empty() => json_schema!({"type": kind, "oneOf": branches}),
        doc => json_schema!({"description": doc, "type": kind, "oneOf": branches}),
    }
}

/// An enum whose values are numbers or texts of the provider and whose titles are for people. The doc comments of the
/// variants become the help of the choices.
///
/// ```
/// connector_api::choices! {
///     /// How the meeting repeats
///     pub enum Repeats: i64 {
///         /// Every day, or every few days
///         Daily = 1 => "Daily",
///         Weekly = 2 => "Weekly",
///     }
/// }
/// connector_api::choices! {
///     pub enum Audio: &str {
///         Both = "both" => "Telephone and computer",
///         Computer = "voip" => "Computer only",
///     }
/// }
/// assert_eq!(serde_json::to_string(&[Repeats::Weekly])?, "[2]");
/// assert_eq!(serde_json::from_str::<Audio>("\"voip\"")?, Audio::Computer);
/// assert_eq!(Repeats::Daily.title(), "Daily");
/// assert_eq!(serde_json::from_str::<Repeats>("3").unwrap_err().to_string(), "invalid value: 3, expected one of 1, 2");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! choices {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $name:ident: $(&)?$kind:ident {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $value:literal => $title:literal,)+
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[doc = $variant_doc])* #[doc = ""] #[doc = $title] $variant,)+
        }

        #[allow(dead_code, reason = "a choice offers more than one connector needs")]
        impl $name {
            /// Every choice, in its order.
            $vis const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What people read.
            #[must_use]
            $vis fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }

        impl $crate::serde::Serialize for $name {
            fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                let value: $crate::__choice_type!($kind) = match self { $(Self::$variant => $value,)+ };
                $crate::serde::Serialize::serialize(&value, serializer)
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                let value: $crate::__choice_owned!($kind) = $crate::serde::Deserialize::deserialize(deserializer)?;
                match $crate::__choice_borrow!($kind, value) {
                    $($value => Ok(Self::$variant),)+
                    other => {
                        let expected = [$($value.to_string(),)+].join(", ");
                        Err($crate::serde::de::Error::custom(format!("invalid value: {other}, expected one of {expected}")))
                    }
                }
            }
        }

        impl $crate::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut $crate::schemars::SchemaGenerator) -> $crate::schemars::Schema {
                $crate::types::choice_schema(
                    &[$($doc),*],
                    $crate::__choice_kind!($kind),
                    &[$(($crate::serde_json::Value::from($value), $title, &[$($variant_doc),*] as &[&str]),)+],
                )
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __choice_type {
    (i64) => {
        i64
    };
    (str) => {
        &str
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __choice_owned {
    (i64) => {
        i64
    };
    (str) => {
        ::std::string::String
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __choice_borrow {
    (i64, $value:ident) => {
        $value
    };
    (str, $value:ident) => {
        $value.as_str()
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __choice_kind {
    (i64) => {
        "integer"
    };
    (str) => {
        "string"
    };
}
