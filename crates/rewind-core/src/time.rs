//! Reads times and durations as people write them, and tells them what would be right where they are wrong.

use jiff::fmt::friendly::SpanParser;
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

/// The moment that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A point in time.
    At(Timestamp),
    /// This long before the start of the recovery.
    Ago(SignedDuration),
    /// The latest restorable time, which contains the mistake if it was committed.
    Latest,
}

impl Target {
    /// Reads `2026-11-23T10:30:00Z`, `1795429800` (seconds since 1970, or milliseconds), `5 minutes ago`, `5m ago`, `1h30m ago`,
    /// `latest` or `now`.
    ///
    /// # Errors
    ///
    /// A fragment that says what is wrong and what would be right.
    ///
    /// ```
    /// use rewind_core::Target;
    /// use jiff::SignedDuration;
    ///
    /// assert_eq!(Target::parse("1h30m ago"), Ok(Target::Ago(SignedDuration::from_mins(90))));
    /// assert_eq!(Target::parse("5 minutes ago"), Ok(Target::Ago(SignedDuration::from_mins(5))));
    /// assert!(Target::parse("2026-11-23T10:30:00").unwrap_err().contains("offset"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // What is now is still moving: AWS is some minutes behind it.
        if text == "latest" || text == "now" {
            return Ok(Self::Latest);
        }
        if let Some(at) = epoch(text) {
            return Ok(Self::At(at));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        if let Some(amount) = text.strip_suffix("ago") {
            return match parse_duration(amount.trim_end())? {
                // It is still moving when the plan is made, and AWS is minutes behind it.
                now if now.is_zero() => Err("that is now: write \"latest\" for the latest restorable time".to_owned()),
                ago => Ok(Self::Ago(ago)),
            };
        }
        // A length without `ago` can be a slip for a time of day, so it is not guessed.
        if parse_duration(text).is_ok() {
            return Err(format!("write \"{text} ago\" for a moment that long before now"));
        }
        // A time without an offset means the local time to one person and UTC to the next.
        if text.parse::<jiff::civil::DateTime>().is_ok() {
            return Err(format!("the offset is missing: write \"{text}Z\" for UTC, or add one such as +01:00"));
        }
        Err("write a time such as 2026-11-23T10:30:00Z, or \"5m ago\" or \"5 minutes ago\" (seconds, minutes, hours, days), or \
             \"latest\""
            .to_owned())
    }
}

/// Reads seconds since 1970 in ten digits, or milliseconds in thirteen: logs and dashboards have them.
// Fewer digits would be a year before 2001 or a length without its unit, which is answered with what would be right.
fn epoch(text: &str) -> Option<Timestamp> {
    let number: i64 = text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())??;
    match text.len() {
        10 => Timestamp::from_second(number).ok(),
        13 => Timestamp::from_millisecond(number).ok(),
        _ => None,
    }
}

/// The refusal of a text that is no length of time at all.
pub(crate) const UNREADABLE: &str =
    "write whole numbers with their units (s, m, h, d), such as 90s, 5m, 1h30m, 7d or \"1 hour\"";

/// Reads a length of time in jiff's friendly format, in whole seconds: `90s`, `5m`, `1h30m`, `7d`, `1 hour`, `2 days 12 hours`.
/// A day is 24 hours.
///
/// # Errors
///
/// A fragment that says what is wrong and what would be right; a bare number is answered with both of its readings.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    // A bare number is what people know from AWS, where some lengths are in seconds, some in minutes and some in days.
    if let Ok(number) = text.parse::<u32>() {
        let (seconds, minutes) = (i64::from(number), i64::from(number) * 60);
        return Err(format!(
            "the unit is missing: {number} seconds would be \"{}\", {number} minutes \"{}\"",
            format_duration(SignedDuration::from_secs(seconds)),
            format_duration(SignedDuration::from_secs(minutes)),
        ));
    }
    // jiff reads 10:30:00 as ten hours and a half, and whoever writes that means a time of day.
    if text.contains(':') {
        return Err(UNREADABLE.to_owned());
    }
    // jiff knows the names of the units and their plurals, so that no list of them is kept here.
    let span = SpanParser::new().parse_span(text).map_err(|_| UNREADABLE.to_owned())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("months and years differ in length: write days, such as 30d".to_owned());
    }
    // A span is limited to some 20,000 years, so nothing here overflows.
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    let seconds = days * 86_400 + i64::from(span.get_hours()) * 3_600 + span.get_minutes() * 60 + span.get_seconds();
    if span.is_negative() {
        return Err(format!(
            "a length has no sign and no \"ago\": write {}",
            format_duration(SignedDuration::from_secs(-seconds))
        ));
    }
    // Point-in-time restore and every timeout of Step Functions count whole seconds.
    if span.get_milliseconds() != 0 || span.get_microseconds() != 0 || span.get_nanoseconds() != 0 {
        return Err(format!(
            "a second is the smallest part: write {}",
            format_duration(SignedDuration::from_secs(seconds + 1))
        ));
    }
    Ok(SignedDuration::from_secs(seconds))
}

/// Formats a duration as [`parse_duration`] reads it, in whole seconds: `1d2h3m4s`.
// jiff's own printer has no days for a duration, and a plan that keeps a cluster for 168h has to be worked out.
pub fn format_duration(duration: SignedDuration) -> String {
    // The clocks of two machines differ, and an age of minus two seconds would help nobody.
    let mut rest = duration.as_secs().max(0);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, seconds) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        if rest >= seconds {
            text.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    text
}

/// Formats a time as people read it, without the parts of its second. JSON keeps them.
///
/// ```
/// let at = "2026-11-23T10:40:26.95353531Z".parse().unwrap();
/// assert_eq!(rewind_core::format_time(at), "2026-11-23T10:40:26Z");
/// ```
pub fn format_time(at: Timestamp) -> String {
    // Never up: a deadline that is shown must not be later than the one that counts.
    floor(at, Unit::Second).to_string()
}

/// Formats the moment that data is rewound to: like [`format_time`], but with its milliseconds where it has some, because they decide
/// which writes it contains.
///
/// ```
/// let at = |text: &str| rewind_core::format_moment(text.parse().unwrap());
/// assert_eq!(at("2026-11-23T10:30:00.120456Z"), "2026-11-23T10:30:00.120Z");
/// assert_eq!(at("2026-11-23T10:30:00.000456Z"), "2026-11-23T10:30:00Z");
/// ```
pub fn format_moment(at: Timestamp) -> String {
    let at = floor(at, Unit::Millisecond);
    if at.subsec_millisecond() == 0 { at.to_string() } else { format!("{at:.3}") }
}

/// Formats a time that stands in a text, such as a tag's value, like [`format_time`]; a text that is no time stays as it is.
pub fn format_time_in(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), format_time)
}

fn floor(at: Timestamp, unit: Unit) -> Timestamp {
    // It fails only for increments that do not divide their unit.
    at.round(TimestampRound::new().smallest(unit).mode(RoundMode::Floor)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_time_of_day_is_not_taken_for_a_length() {
        for text in ["10:30:00", "10:30"] {
            assert_eq!(parse_duration(text).unwrap_err(), UNREADABLE, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_both_of_its_readings() {
        let message = parse_duration("1440").unwrap_err();
        assert!(
            message.contains("1440 seconds would be \"24m\"") && message.contains("1440 minutes \"1d\""),
            "{message}"
        );
    }

    #[test]
    fn lengths_are_read_in_every_common_notation() {
        for (text, expected) in [
            ("1d2h3m4s", 93_784),
            ("1h30m", 5_400),
            ("1.5h", 5_400),
            ("1 hour", 3_600),
            ("1 hour 30 minutes", 5_400),
            ("2 days, 12 hours", 216_000),
            ("5 m", 300),
            ("90 seconds", 90),
            ("2w", 1_209_600),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds(expected)), "{text:?}");
        }
    }

    #[test]
    fn units_go_from_large_to_small_and_come_once() {
        // Each of these has a reading that is right for somebody, and wrong for somebody else.
        for wrong in ["", "m", "5", "m5", "5m5m", "30m1h", "5x", "5M", "1h 30", "99999999999999999999d", "an hour"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_with_what_would_be_right() {
        for (text, expected) in [
            ("1 month", "months and years differ in length: write days, such as 30d"),
            ("1y", "months and years differ in length: write days, such as 30d"),
            ("-5m", "a length has no sign and no \"ago\": write 5m"),
            ("1 hour ago", "a length has no sign and no \"ago\": write 1h"),
            ("0.5s", "a second is the smallest part: write 1s"),
            ("1m500ms", "a second is the smallest part: write 1m1s"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_moment_is_read_in_every_common_notation() {
        for (text, expected) in [
            ("5m ago", 300),
            ("1h30m ago", 5_400),
            ("5 minutes ago", 300),
            ("1 hour 30 minutes ago", 5_400),
            (" 5mago ", 300),
            ("1 day, 2 hours ago", 93_600),
        ] {
            assert_eq!(Target::parse(text), Ok(Target::Ago(seconds(expected))), "{text:?}");
        }
        for (text, expected) in [
            ("1 month ago", "write days, such as 30d"),
            ("-5m ago", "write 5m"),
            ("5m ago ago", "write 5m"),
            ("0s ago", "write \"latest\""),
            ("0.5s ago", "write 1s"),
            ("ago", "such as 90s, 5m"),
            ("5 ago", "the unit is missing"),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn now_is_the_latest_restorable_time_and_seconds_since_1970_are_a_moment() {
        assert_eq!(Target::parse("now"), Ok(Target::Latest));
        let moment = Target::parse("2026-11-23T10:30:00Z");
        assert_eq!(Target::parse("1795429800"), moment);
        assert_eq!(Target::parse("1795429800000"), moment);
        for text in ["179542980", "17954298000", "-1795429800", "1795429800.5"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_without_offset_is_refused_because_it_names_no_moment() {
        assert!(Target::parse("2026-11-23T10:30:00").unwrap_err().contains("offset"));
        assert!(Target::parse("5m").unwrap_err().contains("5m ago"));
        assert!(Target::parse("5 minutes").unwrap_err().contains("\"5 minutes ago\""));
        assert!(Target::parse("yesterday").is_err());
        assert_eq!(Target::parse("2026-11-23T11:30:00+01:00"), Target::parse("2026-11-23T10:30:00Z"));
    }

    proptest! {
        #[test]
        fn a_formatted_duration_is_read_back(whole in 0i64..100_000_000) {
            prop_assert_eq!(parse_duration(&format_duration(seconds(whole))), Ok(seconds(whole)));
        }

        #[test]
        fn a_written_length_is_the_sum_of_its_parts(d in 0i64..40, h in 0i64..100, m in 0i64..100, s in 0i64..100) {
            let sum = seconds(d * 86_400 + h * 3_600 + m * 60 + s);
            prop_assert_eq!(parse_duration(&format!("{d} days {h} hours {m} minutes {s} seconds")), Ok(sum));
            prop_assert_eq!(parse_duration(&format!("{d}d{h}h{m}m{s}s")), Ok(sum));
        }

        #[test]
        fn whatever_is_read_is_whole_seconds_and_not_negative(text in "[-+0-9.]{1,6} ?(y|mo|w|d|h|m|s|ms|us|ns)( ago)?") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(!duration.is_negative() && duration.subsec_nanos() == 0, "{:?}", duration);
            }
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = Target::parse(&text);
            let _ = parse_duration(&text);
        }
    }
}
