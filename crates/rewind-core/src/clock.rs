//! The time as a port: every step is given a clock, so tests set the present time and waits cost no time.

use jiff::Timestamp;
use std::time::Duration;

/// Tells the time and waits.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> Timestamp;
    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
    /// The time that is left until the invocation ends; none outside of one.
    fn left(&self) -> Option<Duration> {
        None
    }
}
