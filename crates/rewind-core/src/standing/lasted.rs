//! How long clients were without a database by a recovery that ended without an output, which has the outage of one that ended well.

use crate::outcome::Ending;
use crate::record::RecoveryRecord;
use crate::time::format_time;
use jiff::Timestamp;
use std::fmt;

/// The outage of a recovery that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lasted {
    source: String,
    /// The time at which the recovery noted that it begins to fence its source.
    begun: Timestamp,
    /// The time from which clients could have a database again; none where that is unknown.
    over: Option<Timestamp>,
}

impl Lasted {
    /// Derives it from the record of a recovery that does not run any more and fenced its source, and from the time at which that fence was
    /// lifted, if it is; none where it noted none, and where the output has it.
    pub(super) fn of(recovery: &RecoveryRecord, lifted_at: Option<Timestamp>) -> Option<Self> {
        let begun = recovery.fence_begun_at.filter(|_| recovery.outcome.is_none())?;
        // Its own way back lifts the fence when the records lead to the source again. A person lifts it whenever they like, and
        // clients that had reached the restored cluster before were not without one until then.
        let is_end = recovery.moved.is_none() || recovery.state == Ending::RolledBack.name();
        let over = lifted_at.filter(|at| is_end && *at >= begun);
        Some(Self { source: recovery.cluster.clone(), begun, over })
    }

    /// The seconds, in whole milliseconds.
    pub(super) fn seconds(&self) -> Option<f64> {
        let seconds = self.over?.duration_since(self.begun).as_secs_f64();
        Some((seconds * 1_000.0).round() / 1_000.0)
    }
}

impl fmt::Display for Lasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, begun) = (&self.source, format_time(self.begun));
        match (self.over, self.seconds()) {
            (Some(over), Some(seconds)) => {
                let over = format_time(over);
                write!(f, "{seconds:.1} s at most: the fence of {source} began at {begun}, and was lifted at {over}")
            }
            _ => write!(
                f,
                "unknown since {begun}: the fence of {source} began, and nothing shows when clients could have a database again"
            ),
        }
    }
}
