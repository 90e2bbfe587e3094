//! The system's clock: the one place of this program that asks the operating system for the time.

use jiff::Timestamp;
use rewind_core::Clock;
use std::time::Duration;

/// The clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "every other place takes its time from here")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
