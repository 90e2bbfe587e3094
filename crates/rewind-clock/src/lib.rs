//! The system's clock, the only place that reads the time from the operating system, and the time that an invocation has left. It is a
//! crate of its own because the domain knows no runtime, and the command line and the local stack know no Lambda.

mod invocation;

pub use invocation::{OutOfTime, bounded, invocation, keep_back, number, time_left, within};

use jiff::Timestamp;
use rewind_core::Clock;
use std::time::Duration;

/// The clock of a running program.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "every other place takes its time from here")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn left(&self) -> Option<Duration> {
        time_left()
    }
}
