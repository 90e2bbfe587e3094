//! Time as a port: every step takes its time from here, so that tests decide what "now" is and waits cost nothing.

use jiff::Timestamp;
use std::time::Duration;

/// Tells the time and waits.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> Timestamp;
    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
    /// How long the work may still go on; none where nobody ends it.
    fn left(&self) -> Option<Duration> {
        None
    }
}
