//! The ports of RDS: clusters and instances as plain values, and one trait for each thing that a step may do.
//!
//! The traits are small because each step's IAM actions follow from the traits that it names.

mod adapter;
#[cfg(test)]
mod adapter_tests;
pub mod facts;
#[cfg(any(test, feature = "fakes"))]
pub mod fake;
mod instances;
mod recovery_cluster;
mod security_groups;
pub mod tags;
mod translate;

use crate::AwsResult;
use jiff::Timestamp;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Engine, ErrorName, ResourceIds, StepError};
use std::collections::BTreeSet;

pub use adapter::Rds;
pub use recovery_cluster::{Deletion, NewCluster, adopt, came_to_nothing, delete_created, describe_created};
pub use security_groups::set_security_groups;

/// A cluster, with everything that a restore has to carry over.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// `DBClusterIdentifier`.
    pub name: String,
    /// `DBClusterArn`.
    pub arn: String,
    /// `DbClusterResourceId`: a cluster that is deleted and made anew has another, under the same name and ARN.
    pub resource_id: String,
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
    // Times as values and not as text: the SDK's own type does not compare with the domain's.
    pub earliest_restorable: Option<Timestamp>,
    /// `LatestRestorableTime`.
    pub latest_restorable: Option<Timestamp>,
    /// `EarliestBacktrackTime`: the earliest moment that Backtrack reaches now; absent if it is off.
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
    /// The instances that run with other values than the group has, until they are rebooted (`pending-reboot`).
    pub pending_reboot: Vec<String>,
    /// `DBSubnetGroup`.
    pub subnet_group: Option<String>,
    /// `VpcSecurityGroups`, by id.
    pub security_groups: Vec<String>,
    /// True if one of them is being added or removed: its status is not `active`.
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
    // None and 0 both mean off: RDS omits the field for a cluster that never had it.
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
    /// `EngineLifecycleSupport`: the enrolment in Extended Support.
    pub lifecycle: Option<String>,
    /// The monitoring of the cluster as a whole.
    pub monitoring: Monitoring,
    /// `HttpEndpointEnabled`: the Data API.
    pub data_api: bool,
    /// `LocalWriteForwardingStatus` or `GlobalWriteForwardingStatus`, in lower case, where sessions on readers can or may soon
    /// write by it.
    pub write_forwarding: Option<String>,
    /// `PendingModifiedValues`: what waits for the maintenance window, in words such as `engine version 8.0.mysql_aurora.3.09.0`.
    pub pending: Vec<String>,
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

    /// The resource ids of the cluster and `instances`, which are its.
    pub fn resource_ids(&self, instances: &[Instance]) -> ResourceIds {
        let instances = instances.iter().map(|instance| (instance.name.clone(), instance.resource_id.clone()));
        ResourceIds { cluster: self.resource_id.clone(), instances: instances.collect() }
    }

    /// The endpoints of the cluster, and of `instances`, which are its: in lower case, without a dot at the end, for DNS ignores both.
    pub fn endpoints(&self, instances: &[Instance]) -> BTreeSet<String> {
        let own = self.endpoint.iter().chain(&self.reader_endpoint).chain(&self.custom_endpoints);
        own.chain(instances.iter().filter_map(|instance| instance.endpoint.as_ref())).map(|name| host(name)).collect()
    }

    /// True if `name` is one of these, however it is written.
    pub fn answers_as(&self, name: &str, instances: &[Instance]) -> bool {
        self.endpoints(instances).contains(&host(name))
    }

    /// True if all of these are among its security groups: with others too it is fenced, and open to somebody.
    pub fn includes_groups(&self, groups: &[String]) -> bool {
        groups.iter().all(|group| self.security_groups.contains(group))
    }

    /// True if its security groups are exactly these, in any order.
    pub fn has_groups(&self, groups: &[String]) -> bool {
        // RDS lists them in no documented order, and not in the one in which they were set.
        let sorted = |groups: &[String]| {
            let mut groups = groups.to_vec();
            groups.sort_unstable();
            groups
        };
        sorted(&self.security_groups) == sorted(groups)
    }
}

/// A host's name in the form in which names are compared.
fn host(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Reads the security groups of the fence from `REWIND_FENCE_SECURITY_GROUP_IDS`, separated by commas; empty if the deployment
/// has none. They admit the recovery's functions alone.
pub fn fence_groups_from_env() -> Vec<String> {
    // CloudFormation joins the list with commas, and gives an empty text for an empty list.
    let groups = std::env::var("REWIND_FENCE_SECURITY_GROUP_IDS").unwrap_or_default();
    groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(ToOwned::to_owned).collect()
}

/// Reads from `REWIND_MASTER_PASSWORDS` whether the deployment's policies allow to change clusters whose master password Secrets Manager does
/// not manage. The same call could reset that password.
pub fn any_master_password_from_env() -> bool {
    // Anything else keeps passwords out of reach: a typing error must not let a role reset them.
    std::env::var("REWIND_MASTER_PASSWORDS").is_ok_and(|value| value == "any")
}

/// Enhanced Monitoring, Performance Insights and Database Insights, if they are set on the cluster as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Monitoring {
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
    /// `DatabaseInsightsMode`, if it is not `standard`.
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

/// An IAM role that the cluster may assume.
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

/// An instance, with everything that another one like it needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instance {
    /// `DBInstanceIdentifier`.
    pub name: String,
    /// `DBInstanceArn`.
    pub arn: String,
    /// `DbiResourceId`: an instance that is deleted and made anew has another.
    pub resource_id: String,
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
    /// The zones of `DBSubnetGroup`, sorted: in these an instance of the cluster may be.
    pub zones: Vec<String>,
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
    /// Reads the cluster `name`; none if there is no such cluster.
    fn cluster(&self, name: &str) -> impl Future<Output = AwsResult<Option<Cluster>>> + Send;
    /// Reads the cluster `name` if the recovery `id` created it; none if it is gone, or if the name is somebody else's by now.
    fn created_cluster(&self, name: &str, id: &str) -> impl Future<Output = AwsResult<Option<Cluster>>> + Send {
        async move {
            match self.cluster(name).await {
                Ok(found) => Ok(found.filter(|cluster| cluster.tag(RECOVERY_TAG) == Some(id))),
                Err(error) if is_foreign(&error) => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
    /// Reads the instances of a cluster.
    fn instances(&self, cluster: &str) -> impl Future<Output = AwsResult<Vec<Instance>>> + Send;
}

/// True if a cluster could not be read because it is none of Aurora. Neptune and DocumentDB share the names of RDS, so one of
/// theirs can take a name that a recovery planned.
pub fn is_foreign(error: &StepError) -> bool {
    error.name == ErrorName::InvalidRequest
}

/// The origin of a new cluster's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A full copy of the source as it was at that moment.
    Moment(Timestamp),
    /// A full copy of the source at its latest restorable time.
    // Not a moment: AWS moves it on between the plan and the call.
    Latest,
    /// A copy-on-write clone of the source as it is now: AWS clones no other moment.
    CloneOfNow,
}

/// A point-in-time restore with the settings of its source.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreCall<'a> {
    /// The source. The call passes all of its settings that the API accepts.
    pub source: &'a Cluster,
    /// The restored cluster's name.
    pub new_cluster: &'a str,
    /// The origin of its data.
    pub origin: Origin,
    /// The restored cluster's tags, which replace all that it would have inherited.
    pub tags: &'a [(String, String)],
}

/// Starts restores.
pub trait RestoreClusters: Send + Sync {
    /// Calls `RestoreDBClusterToPointInTime`; false if the name is taken.
    fn restore(&self, call: &RestoreCall<'_>) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// A change of a cluster's settings; `None` leaves a setting as it is.
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
    /// `BacktrackWindow`, in seconds; 0 switches Backtrack off for good.
    pub backtrack_window: Option<i64>,
    /// `DBClusterParameterGroupName`. Instances that run already take it over when they are rebooted.
    pub parameter_group: Option<String>,
}

impl ClusterChange {
    /// True if RDS may keep the change for the maintenance window unless it is told to apply it immediately.
    ///
    /// `ApplyImmediately` starts everything else that waits as well, an upgrade of the engine too. So it is sent for the one
    /// setting here that can be pending at all: the members of `ClusterPendingModifiedValues` are the engine version, the
    /// password, IAM authentication, storage, log exports, the certificate and the retention. Security groups, windows and
    /// protection are applied at once, whatever the flag says.
    pub fn can_wait(&self) -> bool {
        self.backup_retention.is_some()
    }

    /// True if it changes nothing.
    // An empty change would still be a call, for which the cluster may become `modifying`.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Changes clusters.
pub trait ModifyClusters: Send + Sync {
    /// Calls `ModifyDBCluster`. It starts nothing that waits for the maintenance window, unless [`ClusterChange::can_wait`].
    fn modify(&self, cluster: &str, change: &ClusterChange) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Sets on a restored cluster what a restore could not carry over.
// Apart from `ModifyClusters`, because these calls need iam:PassRole, which most functions must not have.
pub trait CompleteClusters: Send + Sync {
    /// Calls `ModifyDBCluster`, applied immediately, with the change and the monitoring in one call: a cluster that is
    /// `modifying` refuses the next one.
    fn complete(
        &self,
        cluster: &str,
        change: &ClusterChange,
        monitoring: Option<&Monitoring>,
    ) -> impl Future<Output = AwsResult<()>> + Send;
    /// Calls `AddRoleToDBCluster`; a role that is there already counts as added.
    fn add_role(&self, cluster: &str, role: &Role) -> impl Future<Output = AwsResult<()>> + Send;
    /// Calls `EnableHttpEndpoint`, which switches on the Data API.
    fn enable_data_api(&self, cluster_arn: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Deletes clusters.
// Apart from `RetireClusters`, so that no step that deletes without a snapshot can reach a cluster of people by
// mistake.
pub trait DeleteClusters: Send + Sync {
    /// Calls `DeleteDBCluster` without a final snapshot; a cluster that is not there counts as deleted.
    fn delete_cluster(&self, cluster: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Finds clusters by their tags.
// Apart from `ReadClusters`: only the clean-up looks for clusters that nobody has named.
pub trait FindClusters: Send + Sync {
    /// Reads all clusters with the tag `key`, whatever its value.
    fn tagged(&self, key: &str) -> impl Future<Output = AwsResult<Vec<Cluster>>> + Send;
}

/// Deletes clusters that may hold the only copy of data.
pub trait RetireClusters: Send + Sync {
    /// Calls `DeleteDBCluster` with a final snapshot of that name. The automated backups are kept for their retention period. A
    /// cluster that is not there counts as deleted.
    fn retire_cluster(&self, cluster: &str, snapshot: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// A snapshot of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `DBClusterSnapshotIdentifier`.
    pub name: String,
    /// `DBClusterIdentifier` of the cluster that it was taken of.
    pub cluster: String,
    /// `Status`, in lower case.
    pub status: String,
}

/// Reads snapshots.
pub trait ReadSnapshots: Send + Sync {
    /// Reads the manual snapshot `name`; none if there is no such snapshot.
    fn snapshot(&self, name: &str) -> impl Future<Output = AwsResult<Option<Snapshot>>> + Send;
}

/// A manual snapshot of a cluster in a list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// `SnapshotCreateTime`.
    pub created: Option<Timestamp>,
    /// `TagList`.
    pub tags: Vec<(String, String)>,
}

/// Lists snapshots.
// Apart from `ReadSnapshots`: only people look for snapshots that nobody has named.
pub trait ListSnapshots: Send + Sync {
    /// Reads all manual snapshots of clusters.
    fn snapshots(&self) -> impl Future<Output = AwsResult<Vec<ListedSnapshot>>> + Send;
}

/// An instance to be created with the settings of one of the source's.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInstance<'a> {
    /// `DBInstanceIdentifier` of the new instance.
    pub name: &'a str,
    /// The cluster that it is added to.
    pub cluster: &'a Cluster,
    /// The instance whose settings it gets.
    pub like: &'a Instance,
    /// The tags of the new instance.
    pub tags: &'a [(String, String)],
}

/// The result of creating an instance.
// A refusal is no error: what it means depends on the instance. A cluster does without a reader, and without a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is being created.
    Yes,
    /// There is an instance of that name already.
    NameTaken,
    /// AWS refused it, and would refuse the same call again.
    Refused(Refusal),
}

/// A refusal of AWS to create an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The part of the call that was refused.
    pub why: RefusedFor,
    /// AWS's code and message.
    pub message: String,
}

/// The part of a call for which AWS refuses an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedFor {
    /// The account has as many instances as it may have.
    Quota,
    /// There is no capacity for the class, in the zone that was named or anywhere.
    Capacity,
    /// The zone is not offered, or not in the subnet group.
    Zone,
    /// The class is not offered.
    Class,
    /// Anything else, such as a permission that is missing.
    Other,
}

/// Creates and deletes instances.
pub trait ChangeInstances: Send + Sync {
    /// Calls `CreateDBInstance`. If AWS refuses the certificate authority or the maintenance window, the instance is created
    /// without it.
    fn create_instance(&self, new: &NewInstance<'_>) -> impl Future<Output = AwsResult<Created>> + Send;
    /// Calls `DeleteDBInstance`; an instance that is not there, or is being deleted, counts as deleted.
    fn delete_instance(&self, name: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Makes a reader the writer.
// Apart from `ChangeInstances`: a failover ends every connection of a cluster, and only one step may make one.
pub trait FailOverClusters: Send + Sync {
    /// Calls `FailoverDBCluster`, which answers at once: the instance `to` is the writer some time later.
    fn fail_over(&self, cluster: &str, to: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Restarts instances.
// Apart from `ChangeInstances`: a restart ends every connection, and only what nobody uses yet may get one.
pub trait RebootInstances: Send + Sync {
    /// Calls `RebootDBInstance` without a failover. AWS answers at once: the instance is available again some time later.
    fn reboot_instance(&self, name: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

// A result and no error: a full resource is an ordinary thing, and the caller goes on without the tags.
/// The result of adding tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// All were added.
    Yes,
    /// None was added: the resource has as many tags as it may have.
    Full,
}

/// Tags clusters and instances.
pub trait TagClusters: Send + Sync {
    /// Calls `AddTagsToResource` for a cluster or an instance. Either all of `tags` are added or none.
    fn tag(&self, arn: &str, tags: &[(String, String)]) -> impl Future<Output = AwsResult<Tagged>> + Send;
}

/// Removes tags.
// Apart from `TagClusters`: most steps that set tags must not be able to take one off.
pub trait UntagClusters: Send + Sync {
    /// Calls `RemoveTagsFromResource` for a cluster or an instance; a tag that is not there counts as removed.
    fn untag(&self, arn: &str, keys: &[&str]) -> impl Future<Output = AwsResult<()>> + Send;
}

/// A backtrack, as RDS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacktrackSeen {
    /// `BacktrackIdentifier`.
    pub identifier: String,
    /// `Status`, in lower case: `pending`, `applying`, `completed` or `failed`.
    pub status: String,
    /// `BacktrackTo`: the consistent time nearest to the requested one.
    pub to: Option<Timestamp>,
    /// `BacktrackedFrom`: the time that the cluster was at before.
    pub from: Option<Timestamp>,
    /// `BacktrackRequestCreationTime`.
    pub requested: Option<Timestamp>,
}

/// Reads backtracks.
pub trait ReadBacktracks: Send + Sync {
    /// Reads the backtrack `identifier` of `cluster`; none if there is no such backtrack.
    fn backtrack(
        &self,
        cluster: &str,
        identifier: &str,
    ) -> impl Future<Output = AwsResult<Option<BacktrackSeen>>> + Send;
    /// Reads all backtracks of `cluster`.
    fn backtracks(&self, cluster: &str) -> impl Future<Output = AwsResult<Vec<BacktrackSeen>>> + Send;
}

// Apart from `ReadBacktracks`: most functions only wait for a backtrack, and must not be able to start one.
/// Starts backtracks.
pub trait BacktrackClusters: Send + Sync {
    /// Calls `BacktrackDBCluster`, and never lets AWS take the earliest time in place of `to`. The API has no idempotency token:
    /// called twice, it backtracks twice.
    fn start_backtrack(
        &self,
        cluster: &str,
        to: Timestamp,
        force: bool,
    ) -> impl Future<Output = AwsResult<BacktrackSeen>> + Send;
}

/// A cluster parameter group to be created.
#[derive(Debug, Clone, Copy)]
pub struct NewParameterGroup<'a> {
    /// `DBClusterParameterGroupName`.
    pub name: &'a str,
    /// The group whose values it gets.
    pub like: &'a str,
    /// A sentence for people who find it.
    pub description: &'a str,
    /// The tags of the new group.
    pub tags: &'a [(String, String)],
}

/// The moment from which a changed parameter is in force.
// AWS refuses the wrong one for a static parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// At once: `immediate`, for a dynamic parameter.
    AtOnce,
    /// From the next start of an instance on: `pending-reboot`.
    AtStart,
}

/// Creates and changes parameter groups of clusters.
pub trait ChangeParameterGroups: Send + Sync {
    /// Calls `CopyDBClusterParameterGroup`, or `CreateDBClusterParameterGroup` where the model is a default group, which AWS
    /// copies for nobody; false if the name is taken.
    fn create_group(&self, new: &NewParameterGroup<'_>) -> impl Future<Output = AwsResult<bool>> + Send;
    /// Calls `ModifyDBClusterParameterGroup` for one parameter.
    fn set_parameter(
        &self,
        group: &str,
        name: &str,
        value: &str,
        applies: Applies,
    ) -> impl Future<Output = AwsResult<()>> + Send;
    /// Calls `ResetDBClusterParameterGroup` for a parameter that is in force at once.
    fn reset_parameter(&self, group: &str, name: &str) -> impl Future<Output = AwsResult<()>> + Send;
}

/// Deletes parameter groups of clusters.
// Apart from `ChangeParameterGroups`: the clean-up deletes what is left over, and changes none.
pub trait DeleteParameterGroups: Send + Sync {
    /// Calls `DeleteDBClusterParameterGroup`; a group that is not there counts as deleted. False while a cluster has it.
    fn delete_group(&self, group: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

/// Reads parameter groups of clusters.
pub trait ReadParameters: Send + Sync {
    /// Reads the parameter `name` of the cluster parameter group `group`; none if it has no value.
    fn cluster_parameter(&self, group: &str, name: &str) -> impl Future<Output = AwsResult<Option<String>>> + Send;
}
