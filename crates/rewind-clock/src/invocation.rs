//! The present invocation: its number, and the time that it has left. Nothing waits longer than that. It belongs to the task, so that
//! work beside it, such as another test, has its own.

use rewind_core::timeouts::CALLS_END_BEFORE;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static INVOCATION: Invocation;
}

#[derive(Debug, Clone, Copy)]
struct Invocation {
    number: u64,
    /// The time by which all calls have to end.
    deadline: Instant,
}

/// The work was stopped because its time was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfTime;

/// Runs `work` as an invocation of its own, and stops it after `time`. Its calls are given up a little earlier.
///
/// # Errors
///
/// [`OutOfTime`] where it was stopped.
pub async fn invocation<T>(time: Duration, work: impl Future<Output = T>) -> Result<T, OutOfTime> {
    // A counter and not the request id of Lambda: tests and the command line have none.
    static LAST: AtomicU64 = AtomicU64::new(0);
    run(LAST.fetch_add(1, Ordering::Relaxed) + 1, Instant::now() + time, work).await
}

/// Runs `work` within this invocation, and stops it early enough for `reserve` to be left. Outside of an invocation it runs without a
/// limit.
///
/// # Errors
///
/// [`OutOfTime`] where it was stopped.
pub async fn keep_back<T>(reserve: Duration, work: impl Future<Output = T>) -> Result<T, OutOfTime> {
    // The number stays: connections of this invocation are still good within the shorter time.
    let Ok(Invocation { number, deadline }) = INVOCATION.try_with(|now| *now) else { return Ok(work.await) };
    // An Instant near the start of the machine cannot be moved back: then there is no time left.
    let stop = deadline.checked_sub(reserve).unwrap_or_else(Instant::now);
    run(number, stop, work).await
}

/// Runs `work` for no longer than `limit`, and no longer than this invocation has left.
///
/// # Errors
///
/// [`OutOfTime`] where it was stopped.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, OutOfTime> {
    tokio::time::timeout(bounded(limit), work).await.map_err(|_| OutOfTime)
}

// Calls end before the work does, so that the step can still say which call failed and what it had done before.
async fn run<T>(number: u64, stop: Instant, work: impl Future<Output = T>) -> Result<T, OutOfTime> {
    let deadline = stop.checked_sub(CALLS_END_BEFORE).unwrap_or(stop);
    INVOCATION.scope(Invocation { number, deadline }, timeout_at(stop, work)).await.map_err(|_| OutOfTime)
}

/// Returns the time that calls have left; none outside of an invocation.
pub fn time_left() -> Option<Duration> {
    INVOCATION.try_with(|now| now.deadline.saturating_duration_since(Instant::now())).ok()
}

/// Returns `limit`, or the time that is left if that is less.
pub fn bounded(limit: Duration) -> Duration {
    time_left().map_or(limit, |left| left.min(limit))
}

/// Returns the number of the invocation, unique in this process; 0 outside of one.
pub fn number() -> u64 {
    INVOCATION.try_with(|now| now.number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn work_is_stopped_in_time() {
        let began = Instant::now();
        assert_eq!(invocation(SECOND / 5, sleep(LONG)).await, Err(OutOfTime));
        assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn calls_end_before_the_work_is_stopped() {
        let seen = invocation(10 * SECOND, async { (bounded(LONG), bounded(2 * SECOND)) }).await;
        let (longest, short) = seen.expect("it ends at once");
        assert!(longest <= 10 * SECOND - CALLS_END_BEFORE && longest > 5 * SECOND, "{longest:?}");
        assert_eq!(short, 2 * SECOND);
    }

    #[tokio::test]
    async fn what_is_kept_back_is_left_when_the_work_was_stopped() {
        let seen = invocation(LONG + 2 * CALLS_END_BEFORE, async {
            let stopped = keep_back(LONG, sleep(LONG)).await;
            (stopped, time_left())
        });
        let (stopped, left) = seen.await.expect("it is stopped within");
        assert_eq!(stopped, Err(OutOfTime));
        assert!(left.is_some_and(|left| left > LONG / 2 && left <= LONG), "{left:?}");
    }

    #[tokio::test]
    async fn nothing_outlasts_its_limit_or_the_invocation() {
        assert_eq!(within(SECOND / 10, sleep(LONG)).await, Err(OutOfTime));
        let seen = invocation(CALLS_END_BEFORE + SECOND / 10, within(LONG, sleep(LONG))).await;
        assert_eq!(seen, Ok(Err(OutOfTime)), "the limit is what is left, and the work goes on to tell of it");
    }

    #[tokio::test]
    async fn outside_of_an_invocation_nothing_ends() {
        assert_eq!((time_left(), bounded(SECOND), number()), (None, SECOND, 0));
        assert_eq!(keep_back(SECOND, async { 1 }).await, Ok(1));
    }

    #[tokio::test]
    async fn each_invocation_has_a_number_of_its_own() {
        let first = invocation(SECOND, async { number() }).await;
        let second = invocation(SECOND, async { number() }).await;
        assert!(first != second && first != Ok(0) && second != Ok(0), "{first:?} {second:?}");
    }
}
