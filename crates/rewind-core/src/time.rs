//! The words people use for times and durations, and what to tell them when the words are wrong.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The moment that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A point in time.
    At(Timestamp),
    /// So long before the recovery was started.
    Ago(SignedDuration),
    /// The latest restorable time, which contains the mistake if it was committed.
    Latest,
}

impl Target {
    /// Reads `2026-11-23T10:30:00Z`, `5m ago`, `1h30m ago` or `latest`.
    ///
    /// # Errors
    ///
    /// A fragment that says what would be right.
    ///
    /// ```
    /// use rewind_core::Target;
    /// use jiff::SignedDuration;
    ///
    /// assert_eq!(Target::parse("1h30m ago"), Ok(Target::Ago(SignedDuration::from_mins(90))));
    /// assert!(Target::parse("2026-11-23T10:30:00").unwrap_err().contains("offset"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some(amount) = text.strip_suffix("ago") {
            return parse_duration(amount.trim()).map(Self::Ago);
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        if parse_duration(text).is_ok() {
            return Err(format!("write \"{text} ago\" for a moment that long before now"));
        }
        if text.parse::<jiff::civil::DateTime>().is_ok() {
            return Err(format!("the offset is missing: write \"{text}Z\" for UTC, or add one such as +01:00"));
        }
        Err("write a time such as 2026-11-23T10:30:00Z, or \"5m ago\" (units s, m, h, d), or \"latest\"".to_owned())
    }
}

/// Reads a duration in the words people use: `90s`, `5m`, `1h30m`, `7d`.
///
/// # Errors
///
/// A fragment that says what would be right; a bare number gets both of its readings.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    const HELP: &str = "write a whole number and a unit (s, m, h, d), such as 90s, 5m, 1h30m or 7d";
    if let Ok(number) = text.parse::<u32>() {
        let (seconds, minutes) = (i64::from(number), i64::from(number) * 60);
        return Err(format!(
            "the unit is missing: {number} seconds would be \"{}\", {number} minutes \"{}\"",
            say_duration(SignedDuration::from_secs(seconds)),
            say_duration(SignedDuration::from_secs(minutes)),
        ));
    }
    let mut total: i64 = 0;
    let mut number = String::new();
    let mut last_unit = i64::MAX;
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(HELP.to_owned()),
        };
        if unit >= last_unit {
            return Err(HELP.to_owned());
        }
        last_unit = unit;
        let amount: i64 = number.parse().map_err(|_| HELP.to_owned())?;
        total = amount.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(|| HELP.to_owned())?;
        number.clear();
    }
    if !number.is_empty() || last_unit == i64::MAX {
        return Err(HELP.to_owned());
    }
    Ok(SignedDuration::from_secs(total))
}

/// Says a duration in the words that [`parse_duration`] reads.
pub fn say_duration(duration: SignedDuration) -> String {
    let mut rest = duration.as_secs().max(0);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut said = String::new();
    for (unit, seconds) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        if rest >= seconds {
            said.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bare_number_is_refused_with_both_of_its_readings() {
        let said = parse_duration("1440").unwrap_err();
        assert!(said.contains("1440 seconds would be \"24m\"") && said.contains("1440 minutes \"1d\""), "{said}");
    }

    #[test]
    fn units_go_from_large_to_small_and_come_once() {
        assert_eq!(parse_duration("1d2h3m4s"), Ok(SignedDuration::from_secs(93_784)));
        for wrong in
            ["", "m", "5", "5 m", "m5", "5m5m", "30m1h", "-5m", "5w", "1.5h", "99999999999999999999d", "5m ago"]
        {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_time_without_offset_is_refused_because_it_names_no_moment() {
        assert!(Target::parse("2026-11-23T10:30:00").unwrap_err().contains("offset"));
        assert!(Target::parse("5m").unwrap_err().contains("5m ago"));
        assert!(Target::parse("yesterday").is_err());
        assert_eq!(Target::parse("2026-11-23T11:30:00+01:00"), Target::parse("2026-11-23T10:30:00Z"));
    }

    proptest! {
        #[test]
        fn what_is_said_is_read_back(seconds in 0i64..100_000_000) {
            let duration = SignedDuration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&say_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = Target::parse(&text);
            let _ = parse_duration(&text);
        }
    }
}
