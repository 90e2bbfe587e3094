//! The window of moments that a cluster can be rewound to, and the check that a target lies in it.

use crate::error::{ErrorName, StepError};
use crate::time::{Target, format_duration};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// `EarliestRestorableTime` and `LatestRestorableTime` of a cluster, or the moments that Backtrack reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The earliest restorable time.
    pub earliest: Timestamp,
    /// The latest, usually within five minutes of now.
    pub latest: Timestamp,
}

/// The target of a recovery, settled within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time: in whole seconds, or the earliest time of the window exactly as AWS gives it.
    pub at: Timestamp,
    /// True for the latest restorable time, whatever that is when the restore starts.
    pub use_latest: bool,
    /// The time by which the window's end has still to move before the target lies in it; none if it does.
    pub ahead_of_window: Option<SignedDuration>,
}

impl Window {
    /// Settles the moment that `target` names, as seen at `now`.
    ///
    /// The result is cut to the second *downwards*: a moment a little earlier than asked for cannot contain a mistake
    /// that the one asked for did not. Where that second begins before the window, the result is the window's earliest time,
    /// with its milliseconds: AWS takes times in milliseconds, and this one is its own. A moment after `latest` but not after `now` is accepted: AWS will be able to
    /// restore to it within minutes, and waiting beats refusing somebody who was quick.
    ///
    /// # Errors
    ///
    /// [`ErrorName::OutsideWindow`] with the window.
    pub fn settle(&self, target: Target, now: Timestamp) -> Result<Moment, StepError> {
        let asked = match target {
            Target::Latest => {
                // The restore itself takes whatever is the latest when it starts; this value is for the plan.
                return Ok(Moment { at: self.latest, use_latest: true, ahead_of_window: None });
            }
            Target::At(at) => at,
            Target::Ago(ago) => {
                now.checked_sub(ago).map_err(|_| self.outside(&format!("{} ago is no time", format_duration(ago))))?
            }
        };
        let at = self.cut(asked);
        // A typed date that is still to come is a mistake, most often of the time zone: waiting for it would help nobody.
        if at > now {
            return Err(self.outside(&format!("{at} is in the future: now is {}", floor_to_second(now))));
        }
        if asked < self.earliest {
            return Err(self.outside(&format!("{asked} is before the earliest restorable time")));
        }
        // AWS moves the latest restorable time on every few minutes, so a target that is too new is reachable soon.
        let ahead = at.duration_since(self.latest);
        Ok(Moment { at, use_latest: false, ahead_of_window: ahead.is_positive().then_some(ahead) })
    }

    /// Cuts a moment to its second, but not to before the window. One that lies before the window is only cut.
    pub(crate) fn cut(&self, asked: Timestamp) -> Timestamp {
        let second = floor_to_second(asked);
        // The window begins between two seconds: AWS names its earliest time in milliseconds.
        if asked >= self.earliest { second.max(self.earliest) } else { second }
    }

    fn outside(&self, wrong: &str) -> StepError {
        StepError::new(ErrorName::OutsideWindow, format!("`to`: {wrong}"))
            .changed("nothing was changed")
            .advice(format!("ask for a time from {} to {}", self.earliest, self.latest))
    }
}

// Towards the past also before 1970, where truncation would round towards the future.
pub(crate) fn floor_to_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second() - i64::from(at.subsec_nanosecond() < 0)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window() -> Window {
        Window { earliest: at("2026-11-16T02:00:00Z"), latest: at("2026-11-23T10:28:00Z") }
    }

    // With a fraction of a second, which must never round a target up into the mistake.
    const NOW: &str = "2026-11-23T10:30:00.75Z";

    #[test]
    fn a_relative_time_is_cut_to_the_second_before_it() {
        let moment = window().settle(Target::Ago(SignedDuration::from_mins(5)), at(NOW)).unwrap();
        assert_eq!(moment.at, at("2026-11-23T10:25:00Z"));
        assert_eq!(moment.ahead_of_window, None);
    }

    #[test]
    fn a_moment_that_aws_cannot_restore_to_yet_is_waited_for() {
        let moment = window().settle(Target::Ago(SignedDuration::from_mins(1)), at(NOW)).unwrap();
        assert_eq!(moment.ahead_of_window, Some(SignedDuration::from_mins(1)));
    }

    #[test]
    fn the_future_and_the_forgotten_past_are_refused_with_the_window() {
        for wrong in ["2026-11-23T10:30:02Z", "2020-01-01T00:00:00Z"] {
            let error = window().settle(Target::At(at(wrong)), at(NOW)).unwrap_err();
            assert_eq!(error.name, ErrorName::OutsideWindow);
            assert!(error.to_string().contains("from 2026-11-16T02:00:00Z to 2026-11-23T10:28:00Z"), "{error}");
        }
    }

    #[test]
    fn the_window_begins_at_its_very_first_millisecond() {
        let window = Window { earliest: at("2026-11-16T02:00:00.684Z"), ..window() };
        let settle = |asked: &str| window.settle(Target::At(at(asked)), at(NOW)).map(|moment| moment.at);
        assert_eq!(settle("2026-11-16T02:00:00.684Z"), Ok(window.earliest));
        // Later within that second: cut to the earliest time, not to the second before it, and never later than asked for.
        assert_eq!(settle("2026-11-16T02:00:00.999Z"), Ok(window.earliest));
        assert_eq!(settle("2026-11-16T02:00:01Z"), Ok(at("2026-11-16T02:00:01Z")));
        assert_eq!(settle("2026-11-16T02:00:01.5Z"), Ok(at("2026-11-16T02:00:01Z")));
        for before in ["2026-11-16T02:00:00.683Z", "2026-11-16T02:00:00Z", "2026-11-16T01:59:59.999Z"] {
            let error = settle(before).unwrap_err();
            assert_eq!(error.name, ErrorName::OutsideWindow);
            // Exactly as people have to write it: the second alone would be refused again.
            assert!(error.to_string().contains("ask for a time from 2026-11-16T02:00:00.684Z"), "{error}");
        }
        let whole = Window { earliest: at("2026-11-16T02:00:00Z"), ..window };
        assert_eq!(whole.settle(Target::At(whole.earliest), at(NOW)).unwrap().at, whole.earliest);
        assert!(whole.settle(Target::At(at("2026-11-16T01:59:59.999Z")), at(NOW)).is_err());
    }

    proptest! {
        #[test]
        fn the_moment_is_never_after_what_was_asked_for(
            seconds in 1i64..600_000,
            nanos in 0i32..1_000_000_000,
            begins in 0i64..1_000,
        ) {
            let window = Window { earliest: window().earliest + SignedDuration::from_millis(begins), ..window() };
            // Around the window's beginning too, which random moments of a week hardly ever meet.
            for asked in [
                at(NOW) - SignedDuration::new(seconds, nanos),
                window.earliest + SignedDuration::from_nanos(i64::from(nanos) * 2 - 1_000_000_000),
            ] {
                let settled = window.settle(Target::At(asked), at(NOW));
                prop_assert_eq!(settled.is_ok(), asked >= window.earliest);
                if let Ok(moment) = settled {
                    prop_assert!(moment.at <= asked);
                    prop_assert!(asked.duration_since(moment.at) < SignedDuration::from_secs(1));
                    prop_assert!(moment.at >= window.earliest);
                    prop_assert!(moment.at.subsec_nanosecond() == 0 || moment.at == window.earliest);
                }
            }
        }
    }
}
