//! The window of a cluster as a setting of RDS: read from a cluster, and written as a change.

use jiff::SignedDuration;
use rewind_aws::rds::{Cluster, ClusterChange};

/// The window of a cluster, present or wanted, as RDS has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `BacktrackWindow`, in seconds.
    Backtrack(i64),
    /// `BackupRetentionPeriod`, in days.
    Retention(i32),
}

impl Setting {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        match cluster.backtrack_window {
            Some(seconds) if seconds > 0 => Self::Backtrack(seconds),
            // A MySQL cluster without Backtrack: a request for a window means Backtrack all the same, and is told that it is off.
            _ if cluster.engine.has_backtrack() => Self::Backtrack(0),
            // One day is the least, and the default: Aurora has no cluster without backups.
            _ => Self::Retention(cluster.backup_retention.unwrap_or(1)),
        }
    }

    pub(crate) fn change(self) -> ClusterChange {
        match self {
            Self::Backtrack(seconds) => ClusterChange { backtrack_window: Some(seconds), ..ClusterChange::default() },
            Self::Retention(days) => ClusterChange { backup_retention: Some(days), ..ClusterChange::default() },
        }
    }

    pub(crate) fn length(self) -> SignedDuration {
        match self {
            Self::Backtrack(seconds) => SignedDuration::from_secs(seconds),
            Self::Retention(days) => SignedDuration::from_hours(i64::from(days) * 24),
        }
    }
}
