//! Times as people write them at night: a time of day or a local time with its zone becomes a point in time, and every point in
//! time is shown in UTC and in the words of whoever asked.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rewind_core::{Target, format_duration, format_moment};

/// The place in which people typed a time.
#[derive(Debug, Clone)]
pub enum TypedAt {
    /// A machine in this zone, which is what `local` means.
    Machine(TimeZone),
    /// A chat, whose people may sit anywhere.
    Chat,
}

impl TypedAt {
    fn local(&self) -> Option<&TimeZone> {
        match self {
            Self::Machine(zone) => Some(zone),
            Self::Chat => None,
        }
    }
}

/// Turns what was typed into what a request takes. A time of day is its latest one before `now`.
///
/// # Errors
///
/// A sentence that says what is wrong and what would be right.
pub(crate) fn resolve(text: &str, now: Timestamp, place: &TypedAt) -> Result<String, String> {
    let text = text.trim();
    // What a request takes stays as it is: the state machine settles it, with its own clock.
    if Target::parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    let (clock, zone_name) = apart(text);
    let day_and_time = parsed(clock);
    let Some(day_and_time) = day_and_time else { return Ok(text.to_owned()) };
    if zone_name.is_empty() {
        let here = place.local().map_or_else(
            || format!("\"{clock}+01:00\""),
            |local| format!("\"{clock}{}\", \"{clock} local\" for the zone of this machine", local.to_offset(now)),
        );
        return Err(format!(
            "\"{text}\" has no zone: write \"{clock}Z\" for UTC, {here}, or a zone such as \"{clock} Europe/Berlin\""
        ));
    }
    let zone = zone(zone_name, place).ok_or_else(|| {
        let local = if place.local().is_some() { "local, " } else { "" };
        format!("\"{zone_name}\" is no zone: write Z, an offset such as +01:00, {local}or a name such as Europe/Berlin")
    })?;
    let at = |civil: DateTime| {
        // An hour of autumn comes twice and one of spring never.
        zone.to_ambiguous_zoned(civil).unambiguous().map(|zoned| zoned.timestamp()).map_err(|_| {
            format!("{civil} comes twice or never in {zone_name}: write it with an offset, such as {clock}+01:00")
        })
    };
    let at = match day_and_time {
        (Some(day), _) => at(day)?,
        (None, time) => {
            let today = now.to_zoned(zone.clone()).date();
            let candidate = at(today.to_datetime(time))?;
            // Nobody goes back to a time that is still to come.
            if candidate > now { at(today.saturating_sub(1.day()).to_datetime(time))? } else { candidate }
        }
    };
    Ok(at.to_string())
}

/// Formats the target of a request in UTC, in the time of the machine or else as it was typed, and as an age; none for the latest restorable
/// time.
pub fn echoed_moment(target: &str, typed: &str, now: Timestamp, place: &TypedAt) -> Option<String> {
    let at = match Target::parse(target).ok()? {
        Target::At(at) => at,
        Target::Ago(ago) => now.checked_sub(ago).ok()?,
        Target::Latest => return None,
    };
    let shown = format_moment(at);
    let here = match place {
        TypedAt::Machine(local) => {
            let here = at.to_zoned(local.clone()).strftime("%Y-%m-%d %H:%M:%S %Z");
            format!(", which is {here} here")
        }
        TypedAt::Chat if typed == shown => String::new(),
        TypedAt::Chat => format!(" (\"{typed}\")"),
    };
    let age = now.duration_since(at);
    let age =
        if age < SignedDuration::ZERO { "in the future".to_owned() } else { format!("{} ago", format_duration(age)) };
    Some(format!("{shown}{here}, {age}"))
}

/// Takes a time and its zone apart: the zone begins at a blank before a letter, at a sign, or at a `Z`.
fn apart(text: &str) -> (&str, &str) {
    // A date has signs of its own, so the zone is looked for behind the first colon, which is in the time.
    let Some(colon) = text.find(':') else { return (text, "") };
    let zone = text
        .char_indices()
        .skip_while(|(index, _)| *index <= colon)
        .find(|(_, c)| c.is_ascii_alphabetic() || matches!(c, '+' | '-'));
    match zone {
        Some((index, _)) => (text.get(..index).unwrap_or(text).trim_end(), text.get(index..).unwrap_or_default()),
        None => (text, ""),
    }
}

/// Parses a time of day, or a day and a time.
fn parsed(text: &str) -> Option<(Option<DateTime>, Time)> {
    if let Ok(time) = text.parse::<Time>() {
        return Some((None, time));
    }
    // jiff reads a day alone as its midnight, which nobody means by it here.
    let day = text.parse::<DateTime>().ok().filter(|_| text.contains(':'))?;
    Some((Some(day), day.time()))
}

fn zone(name: &str, place: &TypedAt) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("local") {
        return place.local().cloned();
    }
    if name.eq_ignore_ascii_case("z") || name.eq_ignore_ascii_case("utc") {
        return Some(TimeZone::UTC);
    }
    if name.starts_with(['+', '-']) {
        // jiff reads an offset only as part of a whole time.
        let at = format!("2000-01-01T00:00{name}").parse::<Timestamp>().ok()?;
        let midnight = "2000-01-01T00:00Z".parse::<Timestamp>().ok()?;
        let seconds = i32::try_from(midnight.duration_since(at).as_secs()).ok()?;
        return jiff::tz::Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T10:35:00Z";

    fn resolved(text: &str) -> Result<String, String> {
        resolve(text, NOW.parse().unwrap(), &machine())
    }

    fn machine() -> TypedAt {
        TypedAt::Machine(TimeZone::fixed(jiff::tz::offset(1)))
    }

    #[test]
    fn a_time_of_day_with_a_zone_is_its_latest_one() {
        for (text, expected) in [
            ("10:30Z", "2026-11-23T10:30:00Z"),
            ("10:30 UTC", "2026-11-23T10:30:00Z"),
            ("10:30:15 utc", "2026-11-23T10:30:15Z"),
            ("11:30+01:00", "2026-11-23T10:30:00Z"),
            ("11:30 +01", "2026-11-23T10:30:00Z"),
            ("05:30-05:00", "2026-11-23T10:30:00Z"),
            ("11:30 local", "2026-11-23T10:30:00Z"),
            // Later today is yesterday's.
            ("10:36Z", "2026-11-22T10:36:00Z"),
            // In the zone it is the next day already.
            ("00:15+14:00", "2026-11-23T10:15:00Z"),
            ("2026-11-23 11:30 local", "2026-11-23T10:30:00Z"),
            ("2026-11-23T05:30 -05:00", "2026-11-23T10:30:00Z"),
        ] {
            assert_eq!(resolved(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_a_request_takes_stays_as_it_is_and_what_it_refuses_is_refused_by_it() {
        for text in
            ["5m ago", "5 minutes ago", "latest", "now", "2026-11-23T10:30:00Z", "1795430000", "yesterday", "5m"]
        {
            assert_eq!(resolved(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_time_without_a_zone_is_refused_with_all_that_would_be_right() {
        for text in ["14:00", "2026-11-23 14:00", "2026-11-23T14:00:00"] {
            let why = resolved(text).unwrap_err();
            assert!(why.contains(&format!("\"{text}Z\"")) && why.contains(&format!("\"{text}+01\"")), "{why}");
        }
        assert!(resolved("14:00 Nowhere/Town").unwrap_err().contains("is no zone"));
    }

    #[test]
    fn a_moment_is_shown_in_utc_in_local_time_and_as_an_age() {
        let shown = |text: &str| echoed_moment(text, text, NOW.parse().unwrap(), &machine());
        let expected = "2026-11-23T10:30:00Z, which is 2026-11-23 11:30:00 +01 here, 5m ago";
        assert_eq!(shown("5m ago").as_deref(), Some(expected));
        assert_eq!(shown("2026-11-23T10:30:00Z").as_deref(), Some(expected));
        assert!(shown("2026-11-24T10:30:00Z").unwrap().ends_with("in the future"));
        assert_eq!(shown("latest"), None);
        // A part of a second decides which writes the data has.
        assert!(shown("2026-11-23T10:30:00.25Z").unwrap().starts_with("2026-11-23T10:30:00.250Z, "));
    }

    #[test]
    fn in_chat_nothing_is_local_and_a_moment_is_shown_as_it_was_typed() {
        let now = NOW.parse().unwrap();
        for text in ["14:00", "14:00 local"] {
            let why = resolve(text, now, &TypedAt::Chat).unwrap_err();
            assert!(why.contains("Europe/Berlin") && !why.contains("this machine"), "{why}");
        }
        let at = resolve("11:30 Europe/Berlin", now, &TypedAt::Chat).unwrap();
        assert_eq!(at, "2026-11-23T10:30:00Z");
        let shown = |target: &str, typed: &str| echoed_moment(target, typed, now, &TypedAt::Chat).unwrap();
        assert_eq!(shown(&at, "11:30 Europe/Berlin"), "2026-11-23T10:30:00Z (\"11:30 Europe/Berlin\"), 5m ago");
        assert_eq!(shown("5m ago", "5m ago"), "2026-11-23T10:30:00Z (\"5m ago\"), 5m ago");
        assert_eq!(shown(&at, &at), "2026-11-23T10:30:00Z, 5m ago");
    }
}
