//! RDS as the steps see it: clusters and instances as plain values, and one trait for each thing that a step may do.

mod adapter;
#[cfg(test)]
mod adapter_tests;
#[cfg(any(test, feature = "fakes"))]
pub mod fake;
mod recovery_cluster;
pub mod tags;

use crate::Answer;
use jiff::Timestamp;
use rewind_core::Engine;

pub use adapter::Rds;
pub use recovery_cluster::{NewCluster, delete_created, describe_created};

/// A cluster, with all that a restore has to carry over.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// `DBClusterIdentifier`.
    pub name: String,
    /// `DBClusterArn`.
    pub arn: String,
    /// `Status`, in lower case.
    pub status: String,
    /// `Engine`.
    pub engine: Engine,
    /// `EngineVersion`.
    pub engine_version: String,
    /// `EngineMode`: `provisioned` for all that can be restored here.
    pub engine_mode: Option<String>,
    /// `Endpoint`.
    pub endpoint: Option<String>,
    /// `ReaderEndpoint`.
    pub reader_endpoint: Option<String>,
    /// `Port`.
    pub port: Option<i32>,
    /// `MasterUsername`.
    pub master_username: Option<String>,
    /// `EarliestRestorableTime`: absent until a restore has ended.
    pub earliest_restorable: Option<Timestamp>,
    /// `LatestRestorableTime`.
    pub latest_restorable: Option<Timestamp>,
    /// `EarliestBacktrackTime`: how far back Backtrack reaches really; absent where it is off.
    pub earliest_backtrack: Option<Timestamp>,
    /// `ClusterCreateTime`.
    pub created: Option<Timestamp>,
    /// `CloneGroupId`: set on a cluster that is a clone, or has one.
    pub clone_group: Option<String>,
    /// `ReplicationSourceIdentifier`.
    pub replication_source: Option<String>,
    /// `DBClusterMembers`.
    pub members: Vec<Member>,
    /// `DBClusterParameterGroup`.
    pub parameter_group: Option<String>,
    /// Whether an instance runs with other values than the group has, until it is rebooted.
    pub parameters_pending: bool,
    /// `DBSubnetGroup`.
    pub subnet_group: Option<String>,
    /// `VpcSecurityGroups`, by id.
    pub security_groups: Vec<String>,
    /// Whether one of them is not `active` yet, or still there on its way out.
    pub security_groups_changing: bool,
    /// `KmsKeyId`.
    pub kms_key_id: Option<String>,
    /// `StorageType`.
    pub storage_type: Option<String>,
    /// `EnabledCloudwatchLogsExports`.
    pub log_exports: Vec<String>,
    /// `IAMDatabaseAuthenticationEnabled`.
    pub iam_authentication: bool,
    /// `DeletionProtection`.
    pub deletion_protection: bool,
    /// `CopyTagsToSnapshot`.
    pub copy_tags_to_snapshot: bool,
    /// `BacktrackWindow`, in seconds.
    pub backtrack_window: Option<i64>,
    /// `ServerlessV2ScalingConfiguration`.
    pub serverless_v2: Option<ServerlessV2>,
    /// `NetworkType`.
    pub network_type: Option<String>,
    /// `PreferredMaintenanceWindow`.
    pub maintenance_window: Option<String>,
    /// `PreferredBackupWindow`.
    pub backup_window: Option<String>,
    /// `BackupRetentionPeriod`, in days.
    pub backup_retention: Option<i32>,
    /// `AutoMinorVersionUpgrade`.
    pub auto_minor_version_upgrade: Option<bool>,
    /// `EngineLifecycleSupport`: whether it is enrolled in Extended Support.
    pub lifecycle: Option<String>,
    /// What watches the cluster as a whole.
    pub watched: Watched,
    /// `HttpEndpointEnabled`: the Data API.
    pub data_api: bool,
    /// `AssociatedRoles`.
    pub roles: Vec<Role>,
    /// `MasterUserSecret`: the managed master password.
    pub master_secret: Option<String>,
    /// `TagList`.
    pub tags: Vec<(String, String)>,
    /// `GlobalClusterIdentifier`.
    pub global_cluster: Option<String>,
    /// `CustomEndpoints`.
    pub custom_endpoints: Vec<String>,
}

impl Cluster {
    /// The value of the tag `key`.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Whether its security groups are exactly these, in whatever order.
    pub fn has_groups(&self, groups: &[String]) -> bool {
        let sorted = |groups: &[String]| {
            let mut groups = groups.to_vec();
            groups.sort_unstable();
            groups
        };
        sorted(&self.security_groups) == sorted(groups)
    }
}

/// The security groups of the fence, which admit the recovery's functions alone: `REWIND_FENCE_SECURITY_GROUP_IDS`,
/// separated by commas; empty where the deployment has none.
pub fn fence_groups_from_env() -> Vec<String> {
    let groups = std::env::var("REWIND_FENCE_SECURITY_GROUP_IDS").unwrap_or_default();
    groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(ToOwned::to_owned).collect()
}

/// Enhanced monitoring, Performance Insights and Database Insights, where they are set on the cluster as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// `MonitoringInterval`, in seconds; 0 is off.
    pub monitoring_interval: i32,
    /// `MonitoringRoleArn`.
    pub monitoring_role: Option<String>,
    /// `PerformanceInsightsEnabled`.
    pub performance_insights: bool,
    /// `PerformanceInsightsKMSKeyId`.
    pub performance_insights_key: Option<String>,
    /// `PerformanceInsightsRetentionPeriod`, in days.
    pub performance_insights_retention: Option<i32>,
    /// `DatabaseInsightsMode`, where it is another than `standard`.
    pub insights_mode: Option<String>,
}

/// An instance's place in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// `DBInstanceIdentifier`.
    pub instance: String,
    /// `IsClusterWriter`.
    pub writer: bool,
}

/// A role that the cluster may take on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `RoleArn`.
    pub arn: String,
    /// `FeatureName`.
    pub feature: Option<String>,
}

/// The capacity range of Serverless v2 instances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerlessV2 {
    /// `MinCapacity`, in Aurora capacity units.
    pub min: Option<f64>,
    /// `MaxCapacity`.
    pub max: Option<f64>,
    /// `SecondsUntilAutoPause`.
    pub seconds_until_auto_pause: Option<i32>,
}

/// An instance, with all that another one like it needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instance {
    /// `DBInstanceIdentifier`.
    pub name: String,
    /// `DBInstanceArn`.
    pub arn: String,
    /// `DBInstanceStatus`, in lower case.
    pub status: String,
    /// `DBInstanceClass`.
    pub class: String,
    /// `Endpoint.Address`: absent until the instance is up.
    pub endpoint: Option<String>,
    /// `PromotionTier`, 0 to 15.
    pub promotion_tier: i32,
    /// `AvailabilityZone`.
    pub availability_zone: Option<String>,
    /// `DBParameterGroups`, the first one's name.
    pub parameter_group: Option<String>,
    /// `PreferredMaintenanceWindow`.
    pub maintenance_window: Option<String>,
    /// `AutoMinorVersionUpgrade`.
    pub auto_minor_version_upgrade: Option<bool>,
    /// `PubliclyAccessible`.
    pub publicly_accessible: Option<bool>,
    /// `CACertificateIdentifier`.
    pub ca_certificate: Option<String>,
    /// `MonitoringInterval`, in seconds; 0 is off.
    pub monitoring_interval: i32,
    /// `MonitoringRoleArn`.
    pub monitoring_role: Option<String>,
    /// `PerformanceInsightsEnabled`.
    pub performance_insights: bool,
    /// `PerformanceInsightsKMSKeyId`.
    pub performance_insights_key: Option<String>,
    /// `PerformanceInsightsRetentionPeriod`, in days.
    pub performance_insights_retention: Option<i32>,
    /// `TagList`.
    pub tags: Vec<(String, String)>,
}

/// Reads clusters and instances.
pub trait ReadClusters: Send + Sync {
    /// The cluster `name`, or none of that name.
    fn cluster(&self, name: &str) -> impl Future<Output = Answer<Option<Cluster>>> + Send;
    /// The instances of the cluster `name`.
    fn instances(&self, cluster: &str) -> impl Future<Output = Answer<Vec<Instance>>> + Send;
}

/// What a new cluster is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A full copy of the source as it was at that moment.
    Moment(Timestamp),
    /// A full copy of the source at its latest restorable time.
    Latest,
    /// A copy-on-write clone of the source as it is: AWS takes no other moment for one.
    CloneOfNow,
}

/// A point-in-time restore that is to be made like its source.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreCall<'a> {
    /// The source, whose settings are passed wherever the API lets them pass.
    pub source: &'a Cluster,
    /// The restored cluster's name.
    pub new_cluster: &'a str,
    /// What it is made of.
    pub origin: Origin,
    /// The restored cluster's tags: passing any replaces those it would have inherited.
    pub tags: &'a [(String, String)],
}

/// Starts restores.
pub trait RestoreClusters: Send + Sync {
    /// `RestoreDBClusterToPointInTime`; answers whether the name was free.
    fn restore(&self, call: &RestoreCall<'_>) -> impl Future<Output = Answer<bool>> + Send;
}

/// What is to change of a cluster; `None` leaves a setting as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterChange {
    /// `VpcSecurityGroupIds`, all of them.
    pub security_groups: Option<Vec<String>>,
    /// `DeletionProtection`.
    pub deletion_protection: Option<bool>,
    /// `PreferredMaintenanceWindow`.
    pub maintenance_window: Option<String>,
    /// `PreferredBackupWindow`.
    pub backup_window: Option<String>,
    /// `BackupRetentionPeriod`, in days.
    pub backup_retention: Option<i32>,
    /// `AutoMinorVersionUpgrade`.
    pub auto_minor_version_upgrade: Option<bool>,
    /// `BacktrackWindow`, in seconds; 0 switches Backtrack off for ever.
    pub backtrack_window: Option<i64>,
}

impl ClusterChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Changes clusters.
pub trait ModifyClusters: Send + Sync {
    /// `ModifyDBCluster`, applied immediately.
    fn modify(&self, cluster: &str, change: &ClusterChange) -> impl Future<Output = Answer<()>> + Send;
}

/// Gives a cluster what a restore could not carry.
pub trait CompleteClusters: Send + Sync {
    /// `ModifyDBCluster`, applied immediately, with what watches the cluster as a whole: all in one call, for a cluster
    /// that is `modifying` refuses the next.
    fn complete(
        &self,
        cluster: &str,
        change: &ClusterChange,
        watched: Option<&Watched>,
    ) -> impl Future<Output = Answer<()>> + Send;
    /// `AddRoleToDBCluster`; a role that is there already counts as added.
    fn add_role(&self, cluster: &str, role: &Role) -> impl Future<Output = Answer<()>> + Send;
    /// `EnableHttpEndpoint`: the Data API.
    fn enable_data_api(&self, cluster_arn: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// Deletes clusters.
pub trait DeleteClusters: Send + Sync {
    /// `DeleteDBCluster` without a final snapshot; a cluster that is not there counts as deleted.
    fn delete_cluster(&self, cluster: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// Finds clusters by what they are tagged with.
pub trait FindClusters: Send + Sync {
    /// All clusters that bear the tag `key`, whatever its value.
    fn tagged(&self, key: &str) -> impl Future<Output = Answer<Vec<Cluster>>> + Send;
}

/// Deletes clusters that people had data in.
pub trait RetireClusters: Send + Sync {
    /// `DeleteDBCluster` with a final snapshot of that name; the automated backups are kept for as long as they would
    /// have been. A cluster that is not there counts as deleted.
    fn retire_cluster(&self, cluster: &str, snapshot: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// A snapshot of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `DBClusterSnapshotIdentifier`.
    pub name: String,
    /// `DBClusterIdentifier`: whose it is.
    pub cluster: String,
    /// `Status`, in lower case.
    pub status: String,
}

/// Reads snapshots.
pub trait ReadSnapshots: Send + Sync {
    /// The snapshot `name` that somebody took, or none of that name.
    fn snapshot(&self, name: &str) -> impl Future<Output = Answer<Option<Snapshot>>> + Send;
}

/// An instance to be made like one of the source's.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInstance<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its cluster.
    pub cluster: &'a Cluster,
    /// The instance that it is made like.
    pub like: &'a Instance,
    /// Its tags.
    pub tags: &'a [(String, String)],
}

/// Makes and deletes instances.
pub trait ChangeInstances: Send + Sync {
    /// `CreateDBInstance`; answers whether the name was free. What AWS does not give an instance any more, the zone, the
    /// certificate authority or the maintenance window of the one that it is made like, it is made without.
    fn create_instance(&self, new: &NewInstance<'_>) -> impl Future<Output = Answer<bool>> + Send;
    /// `DeleteDBInstance`; an instance that is not there, or is being deleted, counts as deleted.
    fn delete_instance(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// The outcome of adding a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// All of them were.
    Yes,
    /// None was: the resource has as many as it may have.
    Full,
}

/// Tags clusters.
pub trait TagClusters: Send + Sync {
    /// `AddTagsToResource`, to a cluster or an instance: all of `tags` or none.
    fn tag(&self, arn: &str, tags: &[(String, String)]) -> impl Future<Output = Answer<Tagged>> + Send;
}

/// A backtrack, as AWS tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacktrackSeen {
    /// `BacktrackIdentifier`.
    pub identifier: String,
    /// `Status`, in lower case: `pending`, `applying`, `completed` or `failed`.
    pub status: String,
    /// `BacktrackTo`: the nearest consistent time to the one that was asked for.
    pub to: Option<Timestamp>,
    /// `BacktrackedFrom`: where the cluster was.
    pub from: Option<Timestamp>,
    /// `BacktrackRequestCreationTime`.
    pub requested: Option<Timestamp>,
}

/// Reads backtracks.
pub trait ReadBacktracks: Send + Sync {
    /// The backtrack `identifier` of `cluster`, or none of that name.
    fn backtrack(&self, cluster: &str, identifier: &str) -> impl Future<Output = Answer<Option<BacktrackSeen>>> + Send;
    /// All backtracks of `cluster`.
    fn backtracks(&self, cluster: &str) -> impl Future<Output = Answer<Vec<BacktrackSeen>>> + Send;
}

/// Starts backtracks.
pub trait BacktrackClusters: Send + Sync {
    /// `BacktrackDBCluster`, never moved to the earliest time silently. There is no token: called twice, it does it twice.
    fn start_backtrack(
        &self,
        cluster: &str,
        to: Timestamp,
        force: bool,
    ) -> impl Future<Output = Answer<BacktrackSeen>> + Send;
}

/// Reads parameter groups of clusters.
pub trait ReadParameters: Send + Sync {
    /// The value of the parameter `name` in the cluster parameter group `group`; none where it has no value.
    fn cluster_parameter(&self, group: &str, name: &str) -> impl Future<Output = Answer<Option<String>>> + Send;
}
