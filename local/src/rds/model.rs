//! What the control plane knows of clusters and instances: plain values, and the names that derive from them.

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

/// What a cluster is doing.
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

/// What an instance is doing.
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
    pub settings: Settings,
    pub port: u16,
    pub master_user: String,
    pub database_name: Option<String>,
    pub subnet_group: String,
    pub zones: Vec<String>,
    pub engine_mode: String,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    pub clone_group: String,
    pub roles: Vec<Role>,
    pub tags: Tags,
    pub secret: Option<MasterSecret>,
    /// Whether the present security groups are in force.
    pub groups_active: bool,
    /// The instances, in the order in which they were made.
    pub members: Vec<String>,
    pub writer: Option<String>,
    /// Its backtracks, in the order in which they were asked for.
    pub backtracks: Vec<Backtrack>,
    pub database: Database,
}

impl DbCluster {
    pub fn arn(&self) -> String {
        cluster_arn(&self.id)
    }

    /// The earliest moment that it can be rewound to in place: what its databases still know of its own life, and no
    /// more than the window.
    pub fn earliest_backtrack(&self, now: Timestamp) -> Option<Timestamp> {
        let window = self.settings.backtrack_window.filter(|window| *window > 0)?;
        let earliest = now.checked_sub(SignedDuration::from_secs(window.into())).ok()?;
        Some(self.database.earliest_backtrack()?.max(earliest).max(self.created))
    }
}

/// How far a backtrack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacktrackStatus {
    Pending,
    Applying,
    Completed,
    Failed,
}

impl fmt::Display for BacktrackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The reference says lower case; what AWS answers is this.
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
    /// What was asked for, and where it landed once it is completed.
    pub to: Timestamp,
    pub from: Timestamp,
    pub requested: Timestamp,
    pub status: BacktrackStatus,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct DbInstance {
    pub id: String,
    pub resource_id: String,
    pub cluster: String,
    pub class: String,
    /// The class it gets in its next maintenance window, as nobody asked for it at once.
    pub next_class: Option<String>,
    pub status: InstanceStatus,
    pub created: Timestamp,
    pub address: Ipv4Addr,
    pub tier: u32,
    pub parameter_group: String,
    /// Whether it runs with the cluster's present parameter group; a reboot makes it so.
    pub in_sync: bool,
    /// Whether it writes a binary log, by the cluster's parameter group as it was when it last started.
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
    /// What was set by a person.
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

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: Timestamp,
    pub source_type: &'static str,
    pub source: String,
    pub arn: String,
    pub category: &'static str,
    pub message: String,
}
