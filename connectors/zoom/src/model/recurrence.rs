//! How a meeting repeats.

use connector_api::{prelude::*, schemars::Schema};

choices! {
    /// How often a meeting repeats
    pub(crate) enum RecurrenceType: i64 {
        Daily = 1 => "Daily",
        Weekly = 2 => "Weekly",
        Monthly = 3 => "Monthly",
    }
}

choices! {
    /// A week of the month
    pub(crate) enum WeekOfMonth: i64 {
        First = 1 => "First week",
        Second = 2 => "Second week",
        Third = 3 => "Third week",
        Fourth = 4 => "Fourth week",
        Last = -1 => "Last week",
    }
}

choices! {
    /// A day of the week
    pub(crate) enum DayOfWeek: i64 {
        Sunday = 1 => "Sunday",
        Monday = 2 => "Monday",
        Tuesday = 3 => "Tuesday",
        Wednesday = 4 => "Wednesday",
        Thursday = 5 => "Thursday",
        Friday = 6 => "Friday",
        Saturday = 7 => "Saturday",
    }
}

/// How a recurring meeting with a fixed time repeats
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules)]
pub(crate) struct Recurrence {
    /// Daily, weekly or monthly
    #[serde(rename = "type")]
    #[schemars(title = "Repeats")]
    kind: RecurrenceType,
    /// Every how many days (at most 99), weeks (at most 50) or months (at most 10)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Every", range(min = 1, max = 99), example = 1)]
    repeat_interval: Option<u32>,
    /// The days of the week for a weekly meeting: numbers separated by commas, from 1 (Sunday) to 7 (Saturday)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^[1-7](,[1-7])*$"),
        example = "2,4",
        extend("x-ui" = {"errors": {"pattern": "must be days from 1 (Sunday) to 7 (Saturday), separated by commas, like 2,4"}})
    )]
    weekly_days: Option<String>,
    /// The day of the month for a monthly meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31))]
    monthly_day: Option<u32>,
    /// The week of the month for a monthly meeting that falls on a day of the week
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_week: Option<WeekOfMonth>,
    /// The day of the week for a monthly meeting that falls on a week of the month
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_week_day: Option<DayOfWeek>,
    /// After how many meetings it ends, at most 60; 0 for never. Zoom makes one meeting if neither this nor an end date is
    /// given
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Ends after", range(min = 0, max = 60), extend("x-ui" = {"unit": "meetings"}))]
    end_times: Option<u32>,
    /// The day after which it ends, as a point in time
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Ends on")]
    end_date_time: Option<jiff::Timestamp>,
}

fn rules(schema: &mut Schema) {
    schema.rule(when("type").is(1).forbid([
        "weekly_days",
        "monthly_day",
        "monthly_week",
        "monthly_week_day",
    ]));
    schema.rule(
        when("type")
            .is(2)
            .require(["weekly_days"])
            .constrain("repeat_interval", json!({"maximum": 50}))
            .forbid(["monthly_day", "monthly_week", "monthly_week_day"]),
    );
    schema.rule(
        when("type").is(3).constrain("repeat_interval", json!({"maximum": 10})).forbid(["weekly_days"]),
    );
    schema.rule(when("monthly_week").is_given().require(["monthly_week_day"]).forbid(["monthly_day"]));
    schema.rule(when("monthly_week_day").is_given().require(["monthly_week"]));
    schema
        .at_most_one_of(["end_times", "end_date_time"], "must have `end_times` or `end_date_time`, not both");
}
