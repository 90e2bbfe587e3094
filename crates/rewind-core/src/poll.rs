//! How often to look while AWS works: often at first, more seldom as the wait grows. It waits by the clock it is given.

use crate::Clock;
use std::time::Duration;

/// A polling plan for waits of seconds to hours.
///
/// The pause is a twentieth of the time already waited, so a wait is overshot by 5 % at most, within `shortest` and
/// `longest`. Plain doubling overshoots by up to 100 %, a fixed 30 s by half a minute however short the wait was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polling {
    /// The first pauses, and the least overshoot.
    pub shortest: Duration,
    /// The longest pause: what a fleet turns up when many recoveries share an account's request rate.
    pub longest: Duration,
    /// How long one invocation looks before it hands back to the state machine.
    pub budget: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self { shortest: Duration::from_millis(250), longest: Duration::from_secs(5), budget: Duration::from_secs(50) }
    }
}

impl Polling {
    /// The pause before the next look, after `waited`.
    pub fn pause(&self, waited: Duration) -> Duration {
        (waited / 20).clamp(self.shortest, self.longest)
    }

    /// Looks until what is found `shows` it or `patience` is used up, and answers what was found last.
    ///
    /// # Errors
    ///
    /// What a look answers.
    pub async fn until<T, E, L: Future<Output = Result<T, E>>>(
        &self,
        clock: &impl Clock,
        patience: Duration,
        mut look: impl FnMut() -> L,
        shows: impl Fn(&T) -> bool,
    ) -> Result<T, E> {
        let mut waited = Duration::ZERO;
        loop {
            let found = look().await?;
            if shows(&found) || waited >= patience {
                return Ok(found);
            }
            let pause = self.pause(waited);
            clock.sleep(pause).await;
            waited += pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::cell::Cell;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    /// Counts what is waited, and takes no time.
    struct Waits(Mutex<Duration>);

    impl Clock for Waits {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        async fn sleep(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
    }

    /// Looks for `patience` at what shows at the look number `at`; answers the number of looks, and how long was waited.
    fn look_for(patience: Duration, at: u32) -> (Result<u32, &'static str>, Duration) {
        let (clock, looks) = (Waits(Mutex::default()), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            std::future::ready(if looks.get() == 50 { Err("broken") } else { Ok(looks.get()) })
        };
        let polling = Polling::default();
        let mut wait = std::pin::pin!(polling.until(&clock, patience, look, |n| *n == at));
        let Poll::Ready(found) = wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it waits")
        };
        let waited = *clock.0.lock().unwrap();
        (found, waited)
    }

    #[test]
    fn it_is_looked_until_it_shows_or_the_patience_is_used_up_and_once_at_least() {
        let second = Duration::from_secs(1);
        assert_eq!(look_for(second, 3), (Ok(3), second / 2));
        assert_eq!(look_for(second, 99), (Ok(5), second));
        assert_eq!(look_for(Duration::ZERO, 99), (Ok(1), Duration::ZERO));
        assert_eq!(look_for(second * 60, 99).0, Err("broken"));
    }

    /// Looks until `ready` and answers how late that was seen, and after how many looks.
    fn overshoot(ready: Duration) -> (Duration, u32) {
        let (mut waited, mut looks) = (Duration::ZERO, 1);
        while waited < ready {
            waited += Polling::default().pause(waited);
            looks += 1;
        }
        (waited - ready, looks)
    }

    #[test]
    fn a_wait_is_overshot_by_a_twentieth_at_most() {
        for seconds in [1, 7, 30, 90, 600, 3_600] {
            let ready = Duration::from_secs(seconds);
            let (late, looks) = overshoot(ready);
            assert!(late <= (ready / 20).max(Polling::default().shortest), "{seconds} s: {late:?} late");
            assert!(looks < 100 + u32::try_from(seconds).unwrap() / 5, "{seconds} s: {looks} looks");
        }
    }
}
