//! The clusters that bear a tag of a recovery, as somebody has read them, and all that was seen of their use.

use crate::engine::Engine;
use crate::record::RecoveryRecord;
use crate::standing::{FencesSeen, LeaseSeen, Seen};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The class of Serverless v2, which is billed by capacity units.
pub const SERVERLESS: &str = "db.serverless";

/// A cluster that bears a tag of a recovery, as RDS shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundCluster {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The status, in lower case.
    pub status: String,
    /// The engine; none where it is not known.
    pub engine: Option<Engine>,
    /// True where its storage is I/O-Optimized (`aurora-iopt1`), which has prices of its own.
    pub io_optimized: bool,
    /// The tag [`crate::names::RECOVERY_TAG`].
    pub recovery: Option<String>,
    /// The tag [`crate::names::FENCED_BY_TAG`].
    pub fenced_by: Option<String>,
    /// The tag [`crate::names::SAFETY_CLONE_OF_TAG`].
    pub safety_clone_of: Option<String>,
    /// The tag [`crate::names::KEEP_UNTIL_TAG`].
    pub keep_until: Option<String>,
    /// True if it has deletion protection.
    pub deletion_protection: bool,
    /// The instances.
    pub instances: Vec<FoundInstance>,
    /// The least and the most capacity units of its serverless instances.
    pub capacity: Option<(f64, f64)>,
    /// The parameter group that a recovery made for it; none where it has another one.
    pub own_parameter_group: Option<String>,
}

impl FoundCluster {
    /// The recovery that made or kept it: the one that fenced it goes before the one that made it, because that was earlier.
    pub fn recovery_id(&self) -> Option<&str> {
        let marks = [&self.fenced_by, &self.safety_clone_of, &self.recovery];
        marks.into_iter().find_map(|mark| mark.as_deref())
    }

    /// The classes of the instances, with the number of each.
    pub fn classes(&self) -> BTreeMap<&str, usize> {
        let mut classes = BTreeMap::new();
        for instance in &self.instances {
            *classes.entry(instance.class.as_str()).or_default() += 1;
        }
        classes
    }
}

/// An instance of such a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundInstance {
    /// The name.
    pub name: String,
    /// The class.
    pub class: String,
    /// True for the writer.
    pub writer: bool,
}

/// The moment of an inventory, and what its deployment decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// The moment.
    pub now: Timestamp,
    /// True if a rule starts the clean-up every hour (the template's `CleanUp`); none where that is not known.
    pub hourly: Option<bool>,
}

/// All that was seen of the use of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterUse {
    /// The record of its recovery; none where the table has none.
    pub recovery: Seen<Option<RecoveryRecord>>,
    /// True if the recovery's execution runs.
    pub runs: Seen<bool>,
    /// The recovery's fences.
    pub fences: Seen<FencesSeen>,
    /// The leases of the cluster and of the recovery's source, by the cluster that they are of; none where nobody holds it.
    pub leases: Vec<(String, Seen<Option<LeaseSeen>>)>,
    /// The names of the recovery's plan, and true of each that leads to this cluster.
    pub records: Vec<(String, Seen<bool>)>,
}

/// The roles of clusters in recoveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterRole {
    /// The source, fenced before its traffic was moved.
    Source,
    /// The clone of the state before an in-place recovery.
    SafetyClone,
    /// The restored cluster.
    Restored,
}
