//! How often to look while AWS works: often at first, more seldom as the wait grows.

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
}

#[cfg(test)]
mod tests {
    use super::*;

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
