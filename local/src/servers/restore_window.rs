//! The moments to which a cluster can be restored, and the base backup for each: pure arithmetic over times.

use jiff::{SignedDuration, Timestamp};

/// The first and the last restorable moment, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreWindow {
    /// The end of the oldest base backup.
    pub earliest: Timestamp,
    /// The latest moment known to be followed by a commit.
    pub latest: Timestamp,
}

impl RestoreWindow {
    /// True when `moment` can be restored.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.earliest <= moment && moment <= self.latest
    }
}

/// Computes the window at `now`: `backup_ends` are the ends of the base backups, `last_commit` the moment before the latest commit that
/// the control plane saw acknowledged (recovery stops only at a commit), `lag` what AWS keeps back.
#[must_use]
pub fn restore_window(
    backup_ends: impl IntoIterator<Item = Timestamp>,
    last_commit: Option<Timestamp>,
    now: Timestamp,
    lag: SignedDuration,
) -> Option<RestoreWindow> {
    // By its end: a base backup is a consistent state only once everything that changed while it was copied has been replayed.
    let earliest = ceil_to_millis(backup_ends.into_iter().min()?);
    let latest = floor_to_millis(last_commit?.min(now.checked_sub(lag).ok()?));
    (earliest <= latest).then_some(RestoreWindow { earliest, latest })
}

/// Finds the newest base backup that had ended by `moment`: the one with the least left to replay.
#[must_use]
pub fn base_for(backup_ends: impl IntoIterator<Item = Timestamp>, moment: Timestamp) -> Option<usize> {
    backup_ends
        .into_iter()
        .enumerate()
        .filter(|(_, end)| *end <= moment)
        .max_by_key(|(_, end)| *end)
        .map(|(index, _)| index)
}

/// Finds the base backup to remove when there are more than `most`: of those between the oldest (it holds the window open) and the
/// newest, the one whose loss leaves the shortest gap. `ends` are in order.
#[must_use]
pub fn dispensable(ends: &[Timestamp], most: usize) -> Option<usize> {
    // Two at the least: the oldest holds the window open, the newest keeps restores short.
    if ends.len() <= most.max(2) {
        return None;
    }
    ends.windows(3)
        .enumerate()
        .filter_map(|(before, three)| match three {
            [left, _, right] => Some((before + 1, right.duration_since(*left))),
            _ => None,
        })
        .min_by_key(|(_, gap)| *gap)
        .map(|(index, _)| index)
}

// The API has milliseconds: the earliest is rounded up and the latest down, so that none outside the window is offered.
pub(crate) fn floor_to_millis(moment: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(moment.as_nanosecond().div_euclid(1_000_000) as i64).unwrap_or(moment)
}

pub(crate) fn ceil_to_millis(moment: Timestamp) -> Timestamp {
    let floor = floor_to_millis(moment);
    if floor == moment { floor } else { floor.checked_add(SignedDuration::from_millis(1)).unwrap_or(moment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T10:{text}Z").parse().unwrap()
    }

    const LAG: SignedDuration = SignedDuration::from_secs(1);

    #[test]
    fn there_is_no_window_before_the_first_base_backup_has_ended() {
        assert_eq!(restore_window([], Some(at("05:00")), at("05:01"), LAG), None);
        assert_eq!(restore_window([at("00:00")], None, at("05:00"), LAG), None);
        assert_eq!(restore_window([at("05:00.5")], Some(at("05:00.9")), at("05:01"), LAG), None);
    }

    #[test]
    fn the_window_ends_a_lag_before_now_while_commits_go_on() {
        let found = restore_window([at("02:00"), at("01:00")], Some(at("04:59.9")), at("05:00"), LAG).unwrap();
        assert_eq!(found, RestoreWindow { earliest: at("01:00"), latest: at("04:59") });
    }

    #[test]
    fn the_window_stands_still_when_nothing_is_committed_any_more() {
        let found = restore_window([at("01:00")], Some(at("02:00")), at("05:00"), LAG).unwrap();
        assert_eq!(found.latest, at("02:00"));
    }

    #[test]
    fn rounding_to_milliseconds_never_leaves_the_true_window() {
        let found = restore_window([at("01:00.0000001")], Some(at("02:00.0009999")), at("05:00"), LAG).unwrap();
        assert_eq!(found, RestoreWindow { earliest: at("01:00.001"), latest: at("02:00") });
        assert!(found.contains(at("01:00.001")) && found.contains(at("02:00")));
        assert!(!found.contains(at("01:00")) && !found.contains(at("02:00.001")));
    }

    #[test]
    fn the_newest_backup_that_ended_by_the_moment_is_chosen() {
        let ends = [at("01:00"), at("02:00"), at("03:00")];
        assert_eq!(base_for(ends, at("02:59")), Some(1));
        assert_eq!(base_for(ends, at("03:00")), Some(2));
        assert_eq!(base_for(ends, at("00:59")), None);
    }

    #[test]
    fn thinning_keeps_the_oldest_and_the_newest() {
        let ends = [at("01:00"), at("05:00"), at("06:00"), at("09:00"), at("09:30")];
        assert_eq!(dispensable(&ends, 5), None);
        assert_eq!(dispensable(&ends, 4), Some(3));
        assert_eq!(dispensable(&[at("01:00"), at("02:00")], 1), None);
    }
}
