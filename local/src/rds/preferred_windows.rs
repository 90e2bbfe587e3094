//! Backup and maintenance windows: their form, their shortest length, and that the one never overlaps the other. It knows
//! no cluster.

use super::error::ApiError;

const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
const SHORTEST: u32 = 30;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The backup window of a new cluster that names none, unless it would overlap.
pub const DEFAULT_BACKUP: &str = "07:14-07:44";
/// The maintenance window of a new cluster or instance that names none, unless it would overlap.
pub const DEFAULT_MAINTENANCE: &str = "sun:05:00-sun:05:30";

/// Minutes of a day or a week, from `start` on; it may go past the end, and begins at the start again then.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

/// A backup window of a request.
pub fn backup(window: &str) -> Result<String, ApiError> {
    let wrong = || ApiError::value(format!("Invalid backup window: {window}. It must be hh24:mi-hh24:mi"));
    let span = daily(window).ok_or_else(wrong)?;
    if span.length < SHORTEST {
        return Err(ApiError::value(format!("The backup window {window} must be at least {SHORTEST} minutes.")));
    }
    Ok(window.to_owned())
}

/// A maintenance window of a request, in lower case.
pub fn maintenance(window: &str) -> Result<String, ApiError> {
    let window = window.to_ascii_lowercase();
    let wrong = || ApiError::value(format!("Invalid maintenance window: {window}. It must be ddd:hh24:mi-ddd:hh24:mi"));
    let span = weekly(&window).ok_or_else(wrong)?;
    if !(SHORTEST..=DAY).contains(&span.length) {
        return Err(ApiError::value(format!(
            "The maintenance window {window} must be at least {SHORTEST} minutes and at most 24 hours."
        )));
    }
    Ok(window)
}

/// Refuses windows that overlap, in AWS's words.
pub fn refuse_overlap(backup: &str, maintenance: &str) -> Result<(), ApiError> {
    match overlap(backup, maintenance) {
        true => Err(ApiError::value("The backup window and maintenance window must not overlap.")),
        false => Ok(()),
    }
}

/// A backup window for who names none: AWS picks one at random that is clear of the maintenance window.
pub fn backup_beside(maintenance: &str) -> Result<String, ApiError> {
    let others = (0..DAY).step_by(30).map(|start| format!("{}-{}", clock(start), clock(start + SHORTEST)));
    let mut all = std::iter::once(DEFAULT_BACKUP.to_owned()).chain(others);
    all.find(|backup| !overlap(backup, maintenance)).ok_or_else(no_room)
}

/// Chooses a maintenance window that is clear of the backup window.
pub fn maintenance_beside(backup: &str) -> Result<String, ApiError> {
    let others = (0..DAY)
        .step_by(30)
        .map(|start| format!("sun:{}-{}:{}", clock(start), day_after(start), clock(start + SHORTEST)));
    let mut all = std::iter::once(DEFAULT_MAINTENANCE.to_owned()).chain(others);
    all.find(|maintenance| !overlap(backup, maintenance)).ok_or_else(no_room)
}

/// Chooses the backup window of a restore whose request names none: inside the maintenance window.
pub fn backup_inside(maintenance: &str) -> String {
    // AWS picks it at random. Here it is the worst that chance can bring: a caller that sets the source's maintenance window
    // afterwards, and did not pass a backup window, is always refused.
    let start = weekly(maintenance).map_or(0, |span| span.start % DAY);
    format!("{}-{}", clock(start), clock(start + SHORTEST))
}

fn no_room() -> ApiError {
    ApiError::value("No window is left beside the one that was given.")
}

fn day_after(start: u32) -> &'static str {
    if start + SHORTEST >= DAY { "mon" } else { "sun" }
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute % DAY / 60, minute % 60)
}

fn overlap(backup: &str, maintenance: &str) -> bool {
    // Both are checked before they are stored; a window that can't be read can't be held against another.
    let (Some(backup), Some(maintenance)) = (daily(backup), weekly(maintenance)) else { return false };
    let covers = |one: Span, other: Span| (other.start + WEEK - one.start) % WEEK < one.length;
    // A backup runs every day, maintenance once a week: each day's backup is held against it.
    (0..7)
        .map(|day| Span { start: day * DAY + backup.start, ..backup })
        .any(|backup| covers(backup, maintenance) || covers(maintenance, backup))
}

fn daily(window: &str) -> Option<Span> {
    let (from, to) = window.split_once('-')?;
    let (start, end) = (minutes(from)?, minutes(to)?);
    Some(Span { start, length: (end + DAY - start) % DAY })
}

fn weekly(window: &str) -> Option<Span> {
    let moment = |text: &str| {
        let (day, time) = text.split_once(':')?;
        let day = u32::try_from(DAYS.iter().position(|known| *known == day)?).ok()?;
        Some(day * DAY + minutes(time)?)
    };
    let (from, to) = window.split_once('-')?;
    let (start, end) = (moment(from)?, moment(to)?);
    Some(Span { start, length: (end + WEEK - start) % WEEK })
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (text.len() == 5 && hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_on_any_day_and_past_midnight_and_the_end_of_the_week() {
        for (backup, maintenance) in [
            ("05:00-05:30", "wed:05:00-wed:05:30"),
            ("04:00-06:00", "wed:05:00-wed:05:30"),
            ("05:15-05:45", "wed:05:00-wed:05:30"),
            ("05:10-05:40", "wed:04:00-wed:09:00"),
            ("23:45-00:15", "wed:00:00-wed:00:30"),
            ("23:00-23:30", "sun:22:00-mon:02:00"),
            ("00:30-01:00", "sun:23:45-mon:00:45"),
            ("23:45-00:15", "mon:00:00-mon:00:30"),
        ] {
            assert_eq!(refuse_overlap(backup, maintenance).unwrap_err().code, "InvalidParameterValue", "{backup}");
        }
        for (backup, maintenance) in [
            // As AWS takes them: the one may begin when the other ends.
            ("02:00-02:30", "sun:02:30-sun:03:00"),
            ("03:00-03:30", "sun:02:30-sun:03:00"),
            ("23:30-00:00", "mon:00:00-mon:00:30"),
        ] {
            assert_eq!(refuse_overlap(backup, maintenance), Ok(()), "{backup}");
        }
    }

    #[test]
    fn windows_have_one_form_and_a_shortest_length() {
        assert!(backup("01:00-01:30").is_ok() && maintenance("Sun:23:45-mon:00:15").is_ok());
        for wrong in ["1-2", "25:00-26:00", "01:00-01:29", "01:00-01:00", "01:00", ""] {
            assert_eq!(backup(wrong).unwrap_err().code, "InvalidParameterValue", "{wrong}");
        }
        for wrong in ["01:00-02:00", "mon:01:00-mon:01:29", "mon:01:00-tue:01:01", "day:01:00-day:02:00", "mon:01:00"] {
            assert_eq!(maintenance(wrong).unwrap_err().code, "InvalidParameterValue", "{wrong}");
        }
    }

    #[test]
    fn what_is_chosen_for_somebody_is_clear_of_what_they_named() {
        for given in ["00:00-05:15", "07:00-08:00", "04:45-05:15", "23:30-00:30"] {
            assert!(!overlap(given, &maintenance_beside(given).unwrap()), "{given}");
        }
        for given in ["mon:07:00-mon:08:00", "tue:00:00-tue:23:30", "sun:00:00-sun:00:30"] {
            assert!(!overlap(&backup_beside(given).unwrap(), given), "{given}");
        }
        assert!(backup_beside("mon:00:00-tue:00:00").is_err());
    }

    #[test]
    fn the_worst_backup_window_lies_in_the_maintenance_window() {
        for given in ["sun:05:00-sun:05:30", "sun:23:45-mon:00:15"] {
            assert!(overlap(&backup_inside(given), given), "{given}");
        }
    }
}
