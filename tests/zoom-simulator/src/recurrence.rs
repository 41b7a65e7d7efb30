//! When a recurring meeting takes place. From the `recurrence` object of *Create a meeting*; what that leaves open
//! follows RFC 5545: a month without the 31st has no occurrence on it.
//!
//! It works on the wall clock of the meeting's time zone, so that 10:00 stays 10:00 when daylight saving begins.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::errors::Invalid;
use crate::shape::{self, Field, Shape, may, must};

/// More occurrences than this are never made, whatever the end: it is the documented maximum, and endless series have
/// to stop somewhere.
pub(crate) const MOST_OCCURRENCES: i64 = 60;

/// The members of `recurrence`.
pub(crate) const FIELDS: &[Field] = &[
    must("type", Shape::OneOfWhole(&[DAILY, WEEKLY, MONTHLY])),
    may("repeat_interval", Shape::Whole(1, 99)),
    may("weekly_days", Shape::Special(weekly_days)),
    may("monthly_day", Shape::Whole(1, 31)),
    may("monthly_week", Shape::OneOfWhole(&[-1, 1, 2, 3, 4])),
    may("monthly_week_day", Shape::Whole(1, 7)),
    may("end_times", Shape::Whole(0, MOST_OCCURRENCES)),
    may("end_date_time", Shape::Special(end_date_time)),
];

const DAILY: i64 = 1;
const WEEKLY: i64 = 2;
const MONTHLY: i64 = 3;

/// A recurrence, as stored and as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recurrence {
    #[serde(rename = "type")]
    kind: i64,
    #[serde(default = "one")]
    repeat_interval: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_days: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_day: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_week: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_week_day: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_times: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date_time: Option<String>,
}

const fn one() -> i64 {
    1
}

/// One day of the week or several: `1` is Sunday, `7` Saturday. The published schema only allows one; its text says
/// that `1,3` is fine.
fn weekly_days(text: &str) -> Result<(), String> {
    let fine = text.split(',').all(|day| matches!(day.as_bytes(), [b'1'..=b'7']));
    fine.then_some(()).ok_or_else(|| format!("{text:?} is not a comma-separated list of 1 to 7"))
}

fn end_date_time(text: &str) -> Result<(), String> {
    parse_utc(text).map(|_| ()).ok_or_else(|| format!("{text:?} is not like 2030-01-31T12:00:00Z"))
}

/// `yyyy-MM-ddTHH:mm:ssZ`, and no other form.
pub(crate) fn parse_utc(text: &str) -> Option<Timestamp> {
    let local = parse_local(text.strip_suffix('Z')?)?;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// `yyyy-MM-ddTHH:mm:ss`, and no other form.
pub(crate) fn parse_local(text: &str) -> Option<DateTime> {
    const LIKE: &[u8] = b"0000-00-00T00:00:00";
    let same_form = text.len() == LIKE.len()
        && text.bytes().zip(LIKE).all(|(found, like)| match like {
            b'0' => found.is_ascii_digit(),
            other => found == *other,
        });
    if same_form { text.parse().ok() } else { None }
}

impl Recurrence {
    /// Checks a `recurrence` object. Nothing comes back if there is a problem with it.
    pub(crate) fn read(object: &Map<String, Value>, problems: &mut Vec<Invalid>) -> Option<Self> {
        let before = problems.len();
        let known = shape::read(FIELDS, object, "recurrence", problems);
        if problems.len() > before {
            return None;
        }
        let mut recurrence: Self = serde_json::from_value(Value::Object(known)).ok()?;
        recurrence.check(problems);
        if problems.len() > before {
            return None;
        }
        recurrence.complete();
        Some(recurrence)
    }

    /// The rules that involve two members.
    fn check(&self, problems: &mut Vec<Invalid>) {
        let (most, unit) = match self.kind {
            DAILY => (99, "days"),
            WEEKLY => (50, "weeks"),
            _ => (10, "months"),
        };
        let mut wrong = |field: &str, reason: String| {
            problems.push(Invalid::new(format!("recurrence.{field}"), reason));
        };
        if self.repeat_interval > most {
            wrong("repeat_interval", format!("{} {unit}, at most {most} are allowed", self.repeat_interval));
        }
        if self.end_times.is_some() && self.end_date_time.is_some() {
            wrong("end_date_time", "cannot be used with end_times".to_owned());
        }
        if self.monthly_week.is_some() != self.monthly_week_day.is_some() {
            let missing = if self.monthly_week.is_some() { "monthly_week_day" } else { "monthly_week" };
            wrong(missing, "monthly_week and monthly_week_day go together".to_owned());
        }
    }

    /// Fills in the documented defaults, and drops what belongs to another type.
    fn complete(&mut self) {
        if self.kind == WEEKLY {
            self.weekly_days.get_or_insert_with(|| "1".to_owned());
        } else {
            self.weekly_days = None;
        }
        if self.kind != MONTHLY {
            self.monthly_week = None;
            self.monthly_week_day = None;
        }
        if self.kind == MONTHLY && self.monthly_week.is_none() {
            self.monthly_day.get_or_insert(1);
        } else {
            self.monthly_day = None;
        }
        if self.end_date_time.is_none() {
            self.end_times.get_or_insert(1);
        }
    }

    /// The starts of all occurrences of a series that begins at `start`, at most [`MOST_OCCURRENCES`].
    pub(crate) fn starts(&self, start: Timestamp, zone: &TimeZone) -> Vec<Timestamp> {
        let first = zone.to_datetime(start);
        let last = self.end_date_time.as_deref().and_then(parse_utc).unwrap_or(Timestamp::MAX);
        let most = match self.end_times {
            None | Some(0) => MOST_OCCURRENCES,
            Some(times) => times,
        };
        self.dates(first.date())
            .map_while(|date| zone.to_zoned(date.to_datetime(first.time())).ok())
            .map(|zoned| zoned.timestamp())
            .take_while(|time| *time <= last)
            .take(usize::try_from(most).unwrap_or_default())
            .collect()
    }

    /// The dates from `first` on, without end.
    fn dates(&self, first: Date) -> Box<dyn Iterator<Item = Date> + '_> {
        let dates: Box<dyn Iterator<Item = Date>> = match self.kind {
            DAILY => {
                Box::new((0..).map_while(move |n| first.checked_add((n * self.repeat_interval).days()).ok()))
            }
            WEEKLY => {
                let sunday = first.saturating_sub(i64::from(first.weekday().to_sunday_zero_offset()).days());
                let weeks =
                    (0..).map_while(move |n| sunday.checked_add((n * self.repeat_interval).weeks()).ok());
                Box::new(weeks.flat_map(|sunday| {
                    self.days_of_the_week()
                        .into_iter()
                        .filter_map(move |day| sunday.checked_add(i64::from(day).days()).ok())
                }))
            }
            _ => {
                let month = first.first_of_month();
                let months =
                    (0..).map_while(move |n| month.checked_add((n * self.repeat_interval).months()).ok());
                Box::new(months.filter_map(|month| self.day_of_the_month(month)))
            }
        };
        Box::new(dates.skip_while(move |date| *date < first))
    }

    /// 0 is Sunday. In order, each once.
    fn days_of_the_week(&self) -> Vec<u8> {
        let days = self.weekly_days.as_deref().unwrap_or("1");
        let mut days: Vec<u8> =
            days.split(',').filter_map(|day| day.parse::<u8>().ok()?.checked_sub(1)).collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// The date in the month that `month` is the first day of.
    fn day_of_the_month(&self, month: Date) -> Option<Date> {
        match (self.monthly_week, self.monthly_week_day) {
            (Some(week), Some(day)) => {
                let weekday = Weekday::from_sunday_one_offset(day).ok()?;
                month.nth_weekday_of_month(week, weekday).ok()
            }
            _ => Date::new(month.year(), month.month(), self.monthly_day.unwrap_or(1)).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::zulu;

    /// The starts of a series, as text.
    fn starts(recurrence: Value, start: &str, zone: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let object = recurrence.as_object().expect("the sample is an object");
        let recurrence = Recurrence::read(object, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
        let zone = TimeZone::get(zone).expect("the zone exists");
        let start = parse_utc(start).expect("the start is a time");
        recurrence.starts(start, &zone).into_iter().map(zulu).collect()
    }

    #[test]
    fn series() {
        let cases = [
            // Every other day.
            (
                json!({"type": 1, "repeat_interval": 2, "end_times": 3}),
                ("2030-01-30T09:00:00Z", "UTC"),
                vec!["2030-01-30T09:00:00Z", "2030-02-01T09:00:00Z", "2030-02-03T09:00:00Z"],
            ),
            // 10:00 in Berlin is 08:00 UTC in summer and 09:00 UTC in winter.
            (
                json!({"type": 2, "weekly_days": "7", "end_times": 3}),
                ("2026-10-17T08:00:00Z", "Europe/Berlin"),
                vec!["2026-10-17T08:00:00Z", "2026-10-24T08:00:00Z", "2026-10-31T09:00:00Z"],
            ),
            // Sunday and Tuesday; the series begins on a Wednesday, so with the Sunday after it.
            (
                json!({"type": 2, "weekly_days": "3,1", "end_times": 3}),
                ("2030-01-02T12:00:00Z", "UTC"),
                vec!["2030-01-06T12:00:00Z", "2030-01-08T12:00:00Z", "2030-01-13T12:00:00Z"],
            ),
            // Every other week counts from the week of the start.
            (
                json!({"type": 2, "repeat_interval": 2, "weekly_days": "2", "end_times": 2}),
                ("2030-01-07T12:00:00Z", "UTC"),
                vec!["2030-01-07T12:00:00Z", "2030-01-21T12:00:00Z"],
            ),
            // Months without a 31st are left out.
            (
                json!({"type": 3, "monthly_day": 31, "end_times": 3}),
                ("2030-01-15T12:00:00Z", "UTC"),
                vec!["2030-01-31T12:00:00Z", "2030-03-31T12:00:00Z", "2030-05-31T12:00:00Z"],
            ),
            // The last Friday; January's has passed.
            (
                json!({"type": 3, "monthly_week": -1, "monthly_week_day": 6, "end_times": 2}),
                ("2030-01-26T12:00:00Z", "UTC"),
                vec!["2030-02-22T12:00:00Z", "2030-03-29T12:00:00Z"],
            ),
            // The end is included.
            (
                json!({"type": 1, "end_date_time": "2030-01-02T12:00:00Z"}),
                ("2030-01-01T12:00:00Z", "UTC"),
                vec!["2030-01-01T12:00:00Z", "2030-01-02T12:00:00Z"],
            ),
            // Without an end there is one occurrence: `end_times` is 1 by default.
            (json!({"type": 1}), ("2030-01-01T12:00:00Z", "UTC"), vec!["2030-01-01T12:00:00Z"]),
        ];
        for (recurrence, (start, zone), expected) in cases {
            assert_eq!(starts(recurrence.clone(), start, zone), expected, "{recurrence}");
        }
    }

    #[test]
    fn a_start_in_the_hour_that_is_skipped_moves_forward() {
        let starts = starts(json!({"type": 1, "end_times": 2}), "2026-03-28T01:30:00Z", "Europe/Berlin");
        // 02:30 does not exist in Berlin on 29 March 2026.
        assert_eq!(starts, ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z"]);
    }

    #[test]
    fn endless_series_stop_at_the_documented_maximum() {
        assert_eq!(starts(json!({"type": 1, "end_times": 0}), "2030-01-01T12:00:00Z", "UTC").len(), 60);
    }

    #[test]
    fn refused() {
        let cases = [
            (json!({}), "type"),
            (json!({"type": 4}), "type"),
            (json!({"type": 1, "repeat_interval": 100}), "repeat_interval"),
            (json!({"type": 2, "repeat_interval": 51}), "repeat_interval"),
            (json!({"type": 3, "repeat_interval": 11}), "repeat_interval"),
            (json!({"type": 1, "repeat_interval": 0}), "repeat_interval"),
            (json!({"type": 2, "weekly_days": "0"}), "weekly_days"),
            (json!({"type": 2, "weekly_days": "8"}), "weekly_days"),
            (json!({"type": 2, "weekly_days": "1,,3"}), "weekly_days"),
            (json!({"type": 2, "weekly_days": "1, 3"}), "weekly_days"),
            (json!({"type": 3, "monthly_day": 32}), "monthly_day"),
            (json!({"type": 3, "monthly_week": 5, "monthly_week_day": 1}), "monthly_week"),
            (json!({"type": 3, "monthly_week": 1}), "monthly_week_day"),
            (json!({"type": 3, "monthly_week_day": 1}), "monthly_week"),
            (json!({"type": 1, "end_times": 61}), "end_times"),
            (json!({"type": 1, "end_date_time": "2030-01-01"}), "end_date_time"),
            (json!({"type": 1, "end_times": 2, "end_date_time": "2030-01-01T00:00:00Z"}), "end_date_time"),
        ];
        for (recurrence, field) in cases {
            let mut problems = Vec::new();
            Recurrence::read(recurrence.as_object().expect("an object"), &mut problems);
            let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(fields, [format!("recurrence.{field}")], "{recurrence}");
        }
    }
}
