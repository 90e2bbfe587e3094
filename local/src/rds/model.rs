//! Clusters, instances and the rest as the control plane keeps them: plain values.

use super::database::Database;
use super::engine::Engine;
use super::monitoring::{Insights, Monitoring};
use super::resource_names::{arn, cluster_arn};
use super::settings::Settings;
use super::tags::Tags;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// The status of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterStatus {
    Creating,
    Available,
    Modifying,
    FailingOver,
    Backtracking,
    Deleting,
    Failed,
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::FailingOver => "failing-over",
            Self::Backtracking => "backtracking",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        })
    }
}

/// The status of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceStatus {
    Creating,
    ConfiguringMonitoring,
    Available,
    Modifying,
    Rebooting,
    Backtracking,
    Deleting,
    Failed,
    IncompatibleNetwork,
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::ConfiguringMonitoring => "configuring-enhanced-monitoring",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::Rebooting => "rebooting",
            Self::Backtracking => "backtracking",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
            Self::IncompatibleNetwork => "incompatible-network",
        })
    }
}

/// An IAM role of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    pub feature: Option<String>,
}

/// A managed master password.
#[derive(Debug, Clone)]
pub struct MasterSecret {
    pub arn: String,
    pub status: &'static str,
    pub kms_key: String,
}

/// A cluster.
#[derive(Debug, Clone)]
pub struct DbCluster {
    pub id: String,
    pub resource_id: String,
    pub engine: Engine,
    pub version: String,
    pub status: ClusterStatus,
    pub created: Timestamp,
    // Apart from the rest: a modification that leaves it equal changes nothing.
    pub settings: Settings,
    pub port: u16,
    pub master_user: String,
    pub database_name: Option<String>,
    pub subnet_group: String,
    pub zones: Vec<String>,
    pub engine_mode: String,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    // A clone shares it with its source: AWS's only sign that two clusters share storage.
    pub clone_group: String,
    pub roles: Vec<Role>,
    pub tags: Tags,
    pub secret: Option<MasterSecret>,
    /// True when the present security groups are in force.
    pub groups_active: bool,
    /// The engine version that waits for the maintenance window, or for a modification that is applied immediately.
    pub next_version: Option<String>,
    /// The instances, in the order of their creation.
    pub members: Vec<String>,
    pub writer: Option<String>,
    /// The backtracks, in the order of their requests.
    pub backtracks: Vec<Backtrack>,
    pub database: Database,
}

impl DbCluster {
    pub fn arn(&self) -> String {
        cluster_arn(&self.id)
    }

    /// Returns the earliest moment that it can be rewound to in place.
    pub fn earliest_backtrack(&self, now: Timestamp) -> Option<Timestamp> {
        let window = self.settings.backtrack_window.filter(|window| *window > 0)?;
        let earliest = now.checked_sub(SignedDuration::from_secs(window.into())).ok()?;
        // The window is only a target: records reach back no further than the databases have them, and a clone can't go back past its
        // own creation.
        Some(self.database.earliest_backtrack()?.max(earliest).max(self.created))
    }
}

/// The status of a backtrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacktrackStatus {
    Pending,
    Applying,
    Completed,
    Failed,
}

impl fmt::Display for BacktrackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The reference says lower case; real answers are seen in upper case. A client that compares with case fails here.
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Applying => "APPLYING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        })
    }
}

/// A rewind in place.
#[derive(Debug, Clone)]
pub struct Backtrack {
    pub id: String,
    /// The requested time; once completed, the time at which it landed.
    pub to: Timestamp,
    pub from: Timestamp,
    pub requested: Timestamp,
    pub status: BacktrackStatus,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct DbInstance {
    pub id: String,
    pub resource_id: String,
    pub cluster: String,
    pub class: String,
    /// The class that waits for the next maintenance window.
    pub next_class: Option<String>,
    pub status: InstanceStatus,
    pub created: Timestamp,
    pub address: Ipv4Addr,
    pub tier: u32,
    pub parameter_group: String,
    /// True when it runs with the cluster's present parameter group; a reboot makes it so.
    pub in_sync: bool,
    /// True when it writes a binary log, by the cluster's parameter group as it was at the last start.
    pub binlog: bool,
    pub zone: String,
    pub maintenance_window: String,
    pub minor_upgrade: bool,
    pub public: bool,
    pub copy_tags: bool,
    pub certificate: String,
    pub monitoring: Monitoring,
    pub insights: Insights,
    pub tags: Tags,
}

impl DbInstance {
    pub fn arn(&self) -> String {
        arn("db", &self.id)
    }
}

/// A custom endpoint.
#[derive(Debug, Clone)]
pub struct CustomEndpoint {
    pub id: String,
    pub resource_id: String,
    pub cluster: String,
    pub kind: String,
    pub members: Vec<String>,
    pub excluded: Vec<String>,
    pub tags: Tags,
}

/// A parameter group, of a cluster or of instances.
#[derive(Debug, Clone)]
pub struct ParameterGroup {
    pub engine: Engine,
    pub family: String,
    pub description: String,
    pub tags: Tags,
    /// The values that were set by a person, by name.
    pub values: BTreeMap<String, String>,
}

/// A subnet group.
#[derive(Debug, Clone)]
pub struct SubnetGroup {
    pub description: String,
    pub subnets: Vec<String>,
    pub tags: Tags,
}

/// A final snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: String,
    pub taken: Timestamp,
    pub cluster: DbCluster,
}

/// An event, as `DescribeEvents` lists it.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: Timestamp,
    pub source_type: &'static str,
    pub source: String,
    pub arn: String,
    pub category: &'static str,
    pub message: String,
}
