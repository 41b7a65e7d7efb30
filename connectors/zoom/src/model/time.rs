//! Times as Zoom writes and reads them.

use connector_api::{
    prelude::*,
    schemars::{Schema, SchemaGenerator, json_schema},
    serde::{Deserializer, de::Error as _},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// When a meeting starts: a local time that the meeting's time zone completes, or a point in time. Zoom takes the first
/// without and the second with a `Z`; any other offset it would drop without a word, so it is converted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartTime {
    /// A clock on the wall.
    Local(DateTime),
    /// A point in time.
    Instant(Timestamp),
}

impl StartTime {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(Self::Instant(instant));
        }
        text.parse().ok().map(Self::Local)
    }

    /// The point in time, given the name of the meeting's time zone.
    pub(crate) fn instant(self, timezone: Option<&str>) -> Option<Timestamp> {
        match self {
            Self::Instant(instant) => Some(instant),
            Self::Local(local) => {
                let zone = TimeZone::get(timezone?).ok()?;
                local.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
            }
        }
    }
}

impl Serialize for StartTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Local(local) => serializer.collect_str(&local.strftime("%Y-%m-%dT%H:%M:%S")),
            Self::Instant(instant) => serializer.collect_str(&instant.strftime("%Y-%m-%dT%H:%M:%SZ")),
        }
    }
}

impl<'de> Deserialize<'de> for StartTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text)
            .ok_or_else(|| D::Error::custom("expected a date and time that exist, like 2026-12-01T10:00"))
    }
}

impl JsonSchema for StartTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StartTime".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?$",
            "examples": ["2026-12-01T10:00:00"],
            "x-timezone-field": "timezone",
            "x-ui": {
                "widget": "date-time",
                "errors": {"pattern": "must be a date and time, like 2026-12-01T10:00, with a time zone beside it or an offset behind it"},
            },
        })
    }
}

/// Reads the empty text, `null` and an absent member alike as nothing: Zoom uses all three.
pub(crate) fn blank<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Id>::deserialize(deserializer)?.map(|text| text.to_string()).filter(|text| !text.is_empty()))
}

/// The schema of a time in what Zoom sends. It stays text, so that one that is written in another way is still passed on.
pub(crate) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "examples": ["2026-12-01T10:00:00Z"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_29_30_a_local_time_stays_local_and_an_offset_is_converted() {
        for (given, sent) in [
            ("2026-12-01T10:00:00", Some("2026-12-01T10:00:00")),
            ("2026-12-01 10:00", Some("2026-12-01T10:00:00")),
            ("2026-12-01T10:00:00Z", Some("2026-12-01T10:00:00Z")),
            ("2026-12-01T10:00:00+02:00", Some("2026-12-01T08:00:00Z")),
            ("2026-12-01T10:00-05:30", Some("2026-12-01T15:30:00Z")),
            ("2026-02-30T10:00:00", None),
            ("2026-12-01T25:00:00", None),
            ("2026-12-01", Some("2026-12-01T00:00:00")),
        ] {
            let read = serde_json::from_value::<StartTime>(json!(given)).ok();
            let written = read.map(|time| serde_json::to_value(time).unwrap());
            assert_eq!(written, sent.map(|text| json!(text)), "{given}");
        }
    }

    #[test]
    fn a_local_time_is_a_point_in_time_by_its_zone() {
        let time = StartTime::read("2026-07-01T10:00:00").unwrap();
        assert_eq!(time.instant(Some("Europe/Berlin")).unwrap().to_string(), "2026-07-01T08:00:00Z");
        assert_eq!(time.instant(None), None);
        assert_eq!(time.instant(Some("Nowhere/City")), None);
    }
}
