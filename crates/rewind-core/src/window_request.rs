//! Requests for a cluster's window: reads the length that people want, and translates it for the two engines.
//!
//! Aurora MySQL has a backtrack window in seconds, 72 hours at most; Aurora PostgreSQL keeps backups for whole days.

use crate::error::StepError;
use crate::fields::{Fields, refused};
use crate::time::{UNREADABLE, format_duration, parse_duration};
use jiff::SignedDuration;
use serde_json::Value;

/// The longest backtrack window that AWS takes: 259,200 seconds.
pub const BACKTRACK_WINDOW_MAX: SignedDuration = SignedDuration::from_hours(72);
/// The longest time for which AWS keeps automated backups, in days.
pub const RETENTION_MAX_DAYS: i32 = 35;

const DAY: i64 = 86_400;

/// A request about the window of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRequest {
    /// The cluster, in lower case as RDS keeps it.
    pub cluster: String,
    /// The window that it is to get; none to read the present one.
    pub window: Option<RequestedWindow>,
    /// The confirmation of a change that cannot be undone.
    pub confirm: Option<String>,
}

/// The window that a cluster is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedWindow {
    /// No window.
    Off,
    /// A window of this length.
    Length(SignedDuration),
}

impl WindowRequest {
    /// Reads `{ "cluster": "…", "window": "24h", "confirm": "…" }`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorName::InvalidRequest`] with every field that is wrong.
    pub fn parse(input: &Value) -> Result<Self, StepError> {
        Self::read(input).map_err(|refused| refused.advice("correct the request and send it again"))
    }

    fn read(input: &Value) -> Result<Self, StepError> {
        let mut fields = Fields::of(input, "a JSON object with `cluster`, and `window` to change it")?;
        fields.refuse_unknown(&["cluster", "window", "confirm"]);
        let cluster = fields.required("cluster").map(|name| name.to_ascii_lowercase());
        fields.check_identifier("cluster", cluster.as_deref());
        let window = fields
            .scalar("window")
            .and_then(|text| RequestedWindow::parse(&text).map_err(|wrong| fields.problem("window", &wrong)).ok());
        let confirm = fields.text("confirm");
        match cluster {
            Some(cluster) if fields.problems.is_empty() => Ok(Self { cluster, window, confirm }),
            _ => Err(refused(&fields.problems)),
        }
    }
}

impl RequestedWindow {
    /// Reads `24h`, `3d` or `off`.
    ///
    /// # Errors
    ///
    /// A fragment that says what would be right; a bare number gets the readings that people had in mind.
    ///
    /// ```
    /// use rewind_core::RequestedWindow;
    ///
    /// assert_eq!(
    ///     RequestedWindow::parse("1440").unwrap_err(),
    ///     "1440 seconds is 24 minutes; 24 hours is 86400 seconds: write 24h"
    /// );
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // A word and not 0: a zero can come from an empty variable in a script, and off is for good.
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        if let Ok(number) = text.parse::<i64>() {
            return Err(explain_bare_number(number));
        }
        match parse_duration(text) {
            Ok(length) if length.is_zero() => Err("write off for no window".to_owned()),
            Ok(length) => Ok(Self::Length(length)),
            Err(wrong) if wrong == UNREADABLE => Err("write a length such as 24h or 3d, or off".to_owned()),
            Err(wrong) => Err(wrong),
        }
    }

    /// Returns the value of `BacktrackWindow` for `ModifyDBCluster`, in seconds.
    ///
    /// # Errors
    ///
    /// A fragment that says what would be right.
    pub fn backtrack_seconds(self) -> Result<i64, String> {
        match self {
            Self::Off => Ok(0),
            Self::Length(length) if length <= BACKTRACK_WINDOW_MAX => Ok(length.as_secs()),
            Self::Length(length) => Err(format!(
                "{} is more than Aurora keeps for Backtrack: 72h (259200 seconds) at most; for longer, keep backups \
                 (BackupRetentionPeriod) and restore side by side",
                in_units(length.as_secs())
            )),
        }
    }

    /// Returns the value of `BackupRetentionPeriod` for `ModifyDBCluster`, in days.
    ///
    /// # Errors
    ///
    /// A fragment that says what would be right.
    pub fn retention_days(self) -> Result<i32, String> {
        let Self::Length(length) = self else {
            return Err("Aurora always keeps backups, for a day at least: write 1d for the least".to_owned());
        };
        let seconds = length.as_secs();
        // Rounded up for the hint: the longer window can't lose anything.
        let whole = seconds.div_euclid(DAY) + i64::from(seconds.rem_euclid(DAY) > 0);
        match i32::try_from(whole) {
            // RDS takes whole days, and rounding silently would keep less or cost more than somebody asked for.
            Ok(days) if days <= RETENTION_MAX_DAYS && seconds % DAY == 0 => Ok(days),
            Ok(days) if days <= RETENTION_MAX_DAYS => Err(format!(
                "{} is not whole days, and Aurora keeps backups for whole days: write {days}d",
                in_units(seconds)
            )),
            _ => Err(format!(
                "{} is more than Aurora keeps backups for: {RETENTION_MAX_DAYS}d at most",
                format_duration(length)
            )),
        }
    }
}

/// Formats the length of a window in its two largest units: nobody needs the seconds of a day.
///
/// ```
/// use rewind_core::format_reach;
/// use jiff::SignedDuration;
///
/// assert_eq!(format_reach(SignedDuration::from_secs(86_329)), "23h58m");
/// ```
pub fn format_reach(reach: SignedDuration) -> String {
    let text = format_duration(reach);
    match text.match_indices(|c: char| c.is_ascii_alphabetic()).nth(1) {
        Some((end, _)) => text.get(..=end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

// The AWS CLI takes the backtrack window in seconds and the console in hours, so a bare number is often off by a factor of 60
// or 3600. A window of 24 minutes in place of 24 hours would be noticed on the day that it is needed.
/// Explains the readings of a number without a unit.
fn explain_bare_number(number: i64) -> String {
    let most = BACKTRACK_WINDOW_MAX.as_secs();
    match number {
        ..0 => "write a length such as 24h or 3d, or off".to_owned(),
        0 => "write off for no window".to_owned(),
        // Both units are plausible up to 35 days, so both are offered.
        1..=72 if number <= i64::from(RETENTION_MAX_DAYS) => {
            format!("the unit is missing: write {number}h for hours, or {number}d for days")
        }
        1..=72 => format!("the unit is missing: write {number}h for hours"),
        _ if number <= most / 60 => {
            let meant = number * 60;
            format!(
                "{number} seconds is {}; {} is {meant} seconds: write {}",
                in_words(number),
                in_words(meant),
                in_units(meant)
            )
        }
        _ if number <= most => format!("{number} seconds is {}: write {}", in_words(number), in_units(number)),
        _ => "the unit is missing: write a length such as 24h or 3d".to_owned(),
    }
}

/// Formats seconds as `24 hours` or `1 hour 30 minutes`. Hours go up to 72, as in AWS's documentation of Backtrack.
fn in_words(seconds: i64) -> String {
    let parts = [(seconds / 3_600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let named =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" }));
    named.collect::<Vec<_>>().join(" ")
}

/// Formats seconds as a request has them: `24h`, `1h30m`.
fn in_units(seconds: i64) -> String {
    let parts = [(seconds / 3_600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn length(text: &str) -> RequestedWindow {
        RequestedWindow::parse(text).unwrap()
    }

    #[test]
    fn a_length_that_is_wrong_is_refused_with_what_was_meant() {
        for (number, expected) in [
            // Articles about Backtrack give 1440 as a day.
            ("1440", "1440 seconds is 24 minutes; 24 hours is 86400 seconds: write 24h"),
            ("90", "90 seconds is 1 minute 30 seconds; 1 hour 30 minutes is 5400 seconds: write 1h30m"),
            ("4320", "4320 seconds is 1 hour 12 minutes; 72 hours is 259200 seconds: write 72h"),
            ("86400", "86400 seconds is 24 hours: write 24h"),
            ("259200", "259200 seconds is 72 hours: write 72h"),
            ("604800", "the unit is missing: write a length such as 24h or 3d"),
            ("24", "write 24h for hours, or 24d for days"),
            ("72", "write 72h for hours"),
            ("0", "write off"),
            ("-5", "write a length such as 24h"),
            ("soon", "write a length such as 24h or 3d, or off"),
            ("1 month", "write days, such as 30d"),
            ("0 hours", "write off for no window"),
        ] {
            let message = RequestedWindow::parse(number).unwrap_err();
            assert!(message.contains(expected), "{number}: {message}");
        }
    }

    #[test]
    fn a_backtrack_window_is_72_hours_at_most() {
        assert_eq!(length("24h").backtrack_seconds(), Ok(86_400));
        assert_eq!(length("3 days").backtrack_seconds(), Ok(259_200));
        assert_eq!(RequestedWindow::Off.backtrack_seconds(), Ok(0));
        let message = length("73h").backtrack_seconds().unwrap_err();
        assert!(
            message.starts_with("73h is more than Aurora keeps for Backtrack: 72h (259200 seconds) at most"),
            "{message}"
        );
    }

    #[test]
    fn backups_are_kept_for_whole_days_up_to_35() {
        assert_eq!(length("24h").retention_days(), Ok(1));
        assert_eq!(length("35d").retention_days(), Ok(35));
        for (asked, expected) in [
            (length("36h"), "36h is not whole days, and Aurora keeps backups for whole days: write 2d"),
            (length("36d"), "36d is more than Aurora keeps backups for: 35d at most"),
            (RequestedWindow::Off, "write 1d for the least"),
        ] {
            let message = asked.retention_days().unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_request_is_read_with_every_problem_named() {
        let request = WindowRequest::parse(&json!({ "cluster": "Orders", "window": "24h" })).unwrap();
        assert_eq!((request.cluster.as_str(), request.window), ("orders", Some(length("24h"))));
        assert_eq!(WindowRequest::parse(&json!({ "cluster": "orders" })).unwrap().window, None);
        let wrong = json!({ "cluster": "1st", "window": 1440, "windows": "1d" });
        let message = WindowRequest::parse(&wrong).unwrap_err().to_string();
        for expected in [
            "`cluster` is \"1st\"",
            "`window` is 1440: 1440 seconds is 24 minutes",
            "`windows` is no field of a request: `window` was meant, perhaps",
        ] {
            assert!(message.contains(expected), "{message}\nlacks {expected}");
        }
        assert!(WindowRequest::parse(&json!("orders")).unwrap_err().to_string().contains("a JSON object with"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", number in any::<i64>()) {
            let _ = RequestedWindow::parse(&text);
            let _ = RequestedWindow::parse(&number.to_string());
        }

        #[test]
        fn a_reach_is_formatted_in_two_units_at_most(seconds in 0i64..10_000_000) {
            let formatted = format_reach(SignedDuration::from_secs(seconds));
            prop_assert!(formatted.chars().filter(char::is_ascii_alphabetic).count() <= 2, "{}", formatted);
        }
    }
}
