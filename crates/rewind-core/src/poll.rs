//! The pauses between polls while AWS works: short at first, longer as the wait grows. It waits by the clock that it is given.

use crate::{Clock, MayPass, timeouts};
use std::time::Duration;

/// A polling plan for waits of seconds to hours.
///
/// The pause is a twentieth of the time already waited, so a wait is overshot by 5 % at most, within `shortest` and
/// `longest`. Plain doubling overshoots by up to 100 %, a fixed 30 s by half a minute however short the wait was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polling {
    /// The first pause, which is also the smallest overshoot.
    pub shortest: Duration,
    /// The longest pause. Raise it if many recoveries share the request rate of one account.
    pub longest: Duration,
    /// The time after which an invocation returns to the state machine, which calls it again.
    pub budget: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self { shortest: timeouts::POLL_SHORTEST, longest: timeouts::POLL_LONGEST, budget: timeouts::POLL_BUDGET }
    }
}

impl Polling {
    /// The pause before the next poll, after a wait of `waited`.
    pub fn pause(&self, waited: Duration) -> Duration {
        (waited / 20).clamp(self.shortest, self.longest)
    }

    /// True if there is no time for a pause of `pause` and another poll; `here` is the time that this invocation has polled.
    pub fn is_used_up(&self, clock: &impl Clock, here: Duration, pause: Duration) -> bool {
        here + pause > self.budget || ends_before(clock, pause)
    }

    /// Polls until `shows` is true of the value or the time `limit` is over, at least once, and returns the last value. The polls
    /// count as time: they may take longer than the pauses. A poll whose error may pass is repeated like one that shows nothing.
    ///
    /// # Errors
    ///
    /// The error of a poll that will not pass, or of the last one.
    pub async fn until<T, E: MayPass, L: Future<Output = Result<T, E>>>(
        &self,
        clock: &impl Clock,
        limit: Duration,
        mut poll: impl FnMut() -> L,
        shows: impl Fn(&T) -> bool,
    ) -> Result<T, E> {
        // By the clock, not by the sum of the pauses: a throttled call may take longer than all of them.
        let began = clock.now();
        loop {
            // Once even without any time: the caller decides on a value, and has none otherwise.
            let found = poll().await;
            let waited = Duration::try_from(clock.now().duration_since(began)).unwrap_or_default();
            let pause = self.pause(waited);
            let is_last = waited >= limit || ends_before(clock, pause);
            match found {
                Ok(found) if is_last || shows(&found) => return Ok(found),
                // One failed read is no reason to end a wait that took minutes, or to undo what it waited for.
                Err(error) if is_last || !error.may_pass() => return Err(error),
                _ => {}
            }
            clock.sleep(pause).await;
        }
    }
}

// A poll that the invocation's end cuts off would leave nothing to report: neither its value nor that the time was up.
/// True if the invocation ends before a pause and the poll after it.
fn ends_before(clock: &impl Clock, pause: Duration) -> bool {
    clock.left().is_some_and(|left| left < pause + timeouts::CALL_AT_LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::cell::Cell;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    /// Counts what is waited, and takes no time.
    struct Waits {
        waited: Mutex<Duration>,
        /// When the work ends.
        ends: Option<Duration>,
    }

    impl Clock for Waits {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH + *self.waited.lock().unwrap()
        }

        async fn sleep(&self, duration: Duration) {
            *self.waited.lock().unwrap() += duration;
        }

        fn left(&self) -> Option<Duration> {
            self.ends.map(|ends| ends.saturating_sub(*self.waited.lock().unwrap()))
        }
    }

    /// Polls for `limit` for a value that shows at poll number `at`; returns the number of polls, and the time waited.
    fn poll_for(limit: Duration, at: u32) -> (Result<u32, &'static str>, Duration) {
        poll_with(Duration::ZERO, None, limit, at, false)
    }

    impl MayPass for &str {
        fn may_pass(&self) -> bool {
            *self == "busy"
        }
    }

    /// The same, where a poll takes `each_poll`, the work ends after `ends`, and the second poll may fail.
    fn poll_with(
        each_poll: Duration,
        ends: Option<Duration>,
        limit: Duration,
        at: u32,
        fails: bool,
    ) -> (Result<u32, &'static str>, Duration) {
        let (clock, polls) = (Waits { waited: Mutex::default(), ends }, Cell::new(0));
        let poll = || {
            *clock.waited.lock().unwrap() += each_poll;
            polls.set(polls.get() + 1);
            std::future::ready(match polls.get() {
                2 if fails => Err("busy"),
                50 => Err("broken"),
                number => Ok(number),
            })
        };
        let polling = Polling::default();
        let mut wait = std::pin::pin!(polling.until(&clock, limit, poll, |n| *n == at));
        let Poll::Ready(found) = wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it waits")
        };
        let waited = *clock.waited.lock().unwrap();
        (found, waited)
    }

    #[test]
    fn polling_ends_when_the_value_shows_or_the_limit_is_over_and_polls_once_at_least() {
        let second = Duration::from_secs(1);
        assert_eq!(poll_for(second, 3), (Ok(3), second / 2));
        assert_eq!(poll_for(second, 99), (Ok(5), second));
        assert_eq!(poll_for(Duration::ZERO, 99), (Ok(1), Duration::ZERO));
        assert_eq!(poll_for(second * 60, 99).0, Err("broken"));
    }

    #[test]
    fn a_read_that_fails_once_does_not_end_the_wait_and_one_that_fails_last_does() {
        let second = Duration::from_secs(1);
        assert_eq!(poll_with(Duration::ZERO, None, second, 3, true), (Ok(3), second / 2));
        // The limit is over with the second poll, which fails.
        assert_eq!(poll_with(second, None, 2 * second, 3, true).0, Err("busy"));
        // What will not pass ends it at once.
        assert_eq!(poll_for(second * 60, 99).0, Err("broken"));
    }

    #[test]
    fn a_poll_that_takes_long_is_part_of_the_wait() {
        let second = Duration::from_secs(1);
        let (found, waited) = poll_with(20 * second, None, 30 * second, 99, false);
        assert_eq!((found, waited), (Ok(2), 41 * second));
    }

    #[test]
    fn no_poll_begins_that_the_work_would_not_outlast() {
        let second = Duration::from_secs(1);
        let (found, waited) = poll_with(Duration::ZERO, Some(10 * second), 60 * second, 999, false);
        assert!(found.is_ok() && waited <= 10 * second - timeouts::CALL_AT_LEAST, "{found:?} after {waited:?}");
        assert!(waited >= 7 * second, "{waited:?}");
        let polling = Polling::default();
        // One second of pause and the least time for a call are more than the two seconds that are left.
        let clock = |ends| Waits { waited: Mutex::default(), ends };
        assert!(!polling.is_used_up(&clock(None), second, second));
        assert!(polling.is_used_up(&clock(None), polling.budget, second));
        assert!(polling.is_used_up(&clock(Some(2 * second)), second, second));
    }

    /// Polls until `ready` and answers how late that was seen, and after how many polls.
    fn overshoot(ready: Duration) -> (Duration, u32) {
        let (mut waited, mut polls) = (Duration::ZERO, 1);
        while waited < ready {
            waited += Polling::default().pause(waited);
            polls += 1;
        }
        (waited - ready, polls)
    }

    #[test]
    fn a_wait_is_overshot_by_a_twentieth_at_most() {
        // From a change of security groups up to the restore of a large cluster.
        for seconds in [1, 7, 30, 90, 600, 3_600] {
            let ready = Duration::from_secs(seconds);
            let (late, polls) = overshoot(ready);
            assert!(late <= (ready / 20).max(Polling::default().shortest), "{seconds} s: {late:?} late");
            assert!(polls < 100 + u32::try_from(seconds).unwrap() / 5, "{seconds} s: {polls} polls");
        }
    }
}
