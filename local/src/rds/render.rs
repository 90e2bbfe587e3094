//! Renders clusters, instances and the rest as the API shows them: one function a shape, with AWS's names of members.

use super::control_plane::ControlPlane;
use super::engine::Engine;
use super::model::{Backtrack, CustomEndpoint, DbCluster, DbInstance, Event, ParameterGroup, Snapshot, SubnetGroup};
use super::parameters::Parameter;
use super::resource_names::{arn, endpoint, global_arn, instance_endpoint};
use super::store::Store;
use super::tags::Tags;
use super::xml::Element;
use jiff::Timestamp;

/// Formats a time as RDS does.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Renders tags under `name`.
pub fn tags(element: Element, name: &'static str, tags: &Tags) -> Element {
    element.list(name, tags.iter().map(|(key, value)| Element::new("Tag").field("Key", key).field("Value", value)))
}

/// `DBCluster`.
pub fn cluster(control_plane: &ControlPlane, store: &Store, cluster: &DbCluster) -> Element {
    let settings = &cluster.settings;
    let window = cluster.database.window();
    // While a change of groups is under way the new ones are `adding`: a fence that trusts them too early must fail here.
    let group_status = if cluster.groups_active { "active" } else { "adding" };
    let members = store.members(cluster).map(|instance| {
        Element::new("DBClusterMember")
            .field("DBInstanceIdentifier", &instance.id)
            .field("IsClusterWriter", cluster.writer.as_ref() == Some(&instance.id))
            .field("DBClusterParameterGroupStatus", if instance.in_sync { "in-sync" } else { "pending-reboot" })
            .field("PromotionTier", instance.tier)
    });
    let groups = settings.security_groups.iter().map(|group| {
        Element::new("VpcSecurityGroupMembership").field("VpcSecurityGroupId", group).field("Status", group_status)
    });
    let roles = cluster.roles.iter().map(|role| {
        Element::new("DBClusterRole")
            .field("RoleArn", &role.arn)
            .field("Status", "ACTIVE")
            .optional("FeatureName", role.feature.as_ref())
    });
    let custom = store.endpoints.values().filter(|custom| custom.cluster == cluster.id);
    let mut shape = Element::new("DBCluster")
        .field("AllocatedStorage", 1)
        .texts("AvailabilityZones", "AvailabilityZone", &cluster.zones)
        .field("BackupRetentionPeriod", settings.backup_retention)
        // Absent where none was named: PostgreSQL has `postgres` anyway, and AWS does not show that.
        .optional("DatabaseName", cluster.database_name.as_ref())
        .field("DBClusterIdentifier", &cluster.id)
        .field("DBClusterParameterGroup", &settings.parameter_group)
        .field("DBSubnetGroup", &cluster.subnet_group)
        .field("Status", cluster.status)
        // Absent until the first base backup has ended, as on AWS until a restore has ended.
        .optional("EarliestRestorableTime", window.map(|window| time(window.earliest)))
        .field("Endpoint", endpoint(&cluster.id, "cluster", &control_plane.hash))
        // There from the beginning on, though no name resolves before an instance serves.
        .field("ReaderEndpoint", endpoint(&cluster.id, "cluster-ro", &control_plane.hash))
        .texts(
            "CustomEndpoints",
            "member",
            custom.map(|custom| endpoint(&custom.id, "cluster-custom", &control_plane.hash)),
        )
        // Aurora is Multi-AZ as soon as there is a second instance; it can't be asked for.
        .field("MultiAZ", cluster.members.len() > 1)
        .field("Engine", cluster.engine.name())
        .field("EngineVersion", &cluster.version)
        .optional("LatestRestorableTime", window.map(|window| time(window.latest)))
        .optional("EarliestBacktrackTime", cluster.earliest_backtrack(control_plane.now()).map(time))
        // Absent where Backtrack never was on, 0 where it was turned off: clients have to take both for off.
        .optional("BacktrackWindow", settings.backtrack_window)
        .field("Port", cluster.port)
        .field("MasterUsername", &cluster.master_user)
        .field("PreferredBackupWindow", &settings.backup_window)
        .field("PreferredMaintenanceWindow", &settings.maintenance_window)
        .list("ReadReplicaIdentifiers", [])
        .list("DBClusterMembers", members)
        .list("VpcSecurityGroups", groups)
        .field("HostedZoneId", "Z2R2ITUGPM61AM")
        .field("StorageEncrypted", cluster.encrypted)
        .optional("KmsKeyId", cluster.kms_key.as_ref())
        .field("DbClusterResourceId", &cluster.resource_id)
        .field("DBClusterArn", cluster.arn())
        .list("AssociatedRoles", roles)
        .field("IAMDatabaseAuthenticationEnabled", settings.iam_auth)
        .field("CloneGroupId", &cluster.clone_group)
        .field("ClusterCreateTime", time(cluster.created))
        .field("EngineMode", &cluster.engine_mode)
        .optional("GlobalClusterIdentifier", store.global_cluster_of(&cluster.id))
        .optional("StorageType", settings.storage_type.as_ref())
        .field("AutoMinorVersionUpgrade", settings.minor_upgrade)
        .field("DeletionProtection", settings.deletion_protection)
        .field("HttpEndpointEnabled", settings.http_endpoint)
        .field("ActivityStreamStatus", "stopped")
        .field("CopyTagsToSnapshot", settings.copy_tags)
        .field("CrossAccountClone", false)
        .list("DomainMemberships", [])
        .field("NetworkType", &settings.network_type)
        .field("DatabaseInsightsMode", &settings.insights_mode)
        .field("EngineLifecycleSupport", &settings.lifecycle);
    // These members are absent, not empty, where the feature is off: the product must not read an absent list as a difference.
    if !settings.log_exports.is_empty() {
        shape = shape.texts("EnabledCloudwatchLogsExports", "member", &settings.log_exports);
    }
    if let Some(serverless) = &settings.serverless {
        shape = shape.child(
            Element::new("ServerlessV2ScalingConfiguration")
                .field("MinCapacity", serverless.least)
                .field("MaxCapacity", serverless.most)
                .optional("SecondsUntilAutoPause", serverless.pause),
        );
    }
    if settings.monitoring.interval > 0 {
        shape = shape
            .field("MonitoringInterval", settings.monitoring.interval)
            .optional("MonitoringRoleArn", settings.monitoring.role.as_ref());
    }
    if settings.insights.enabled {
        shape = shape
            .field("PerformanceInsightsEnabled", true)
            .optional("PerformanceInsightsKMSKeyId", settings.insights.kms_key.as_ref())
            .optional("PerformanceInsightsRetentionPeriod", settings.insights.retention);
    }
    if let Some(version) = &cluster.next_version {
        shape = shape.child(Element::new("PendingModifiedValues").field("EngineVersion", version));
    }
    if let Some(secret) = &cluster.secret {
        shape = shape.child(
            Element::new("MasterUserSecret")
                .field("SecretArn", &secret.arn)
                .field("SecretStatus", secret.status)
                .field("KmsKeyId", &secret.kms_key),
        );
    }
    tags(shape, "TagList", &cluster.tags)
}

/// `DBInstance`.
pub fn instance(control_plane: &ControlPlane, store: &Store, instance: &DbInstance) -> Element {
    let shape = Element::new("DBInstance")
        .field("DBInstanceIdentifier", &instance.id)
        .field("DBInstanceClass", &instance.class)
        .field("DBInstanceStatus", instance.status);
    // A cluster can't be removed before its instances, so this is only for a request that reads in between.
    let Some(cluster) = store.clusters.get(&instance.cluster) else { return shape };
    let is_up = control_plane.endpoints.lookup(&instance_endpoint(&instance.id, &control_plane.hash)).is_some();
    let address = Element::new("Endpoint")
        .field("Address", instance_endpoint(&instance.id, &control_plane.hash))
        .field("Port", cluster.port)
        .field("HostedZoneId", "Z2R2ITUGPM61AM");
    let groups = cluster.settings.security_groups.iter().map(|group| {
        Element::new("VpcSecurityGroupMembership").field("VpcSecurityGroupId", group).field("Status", "active")
    });
    let parameters = Element::new("DBParameterGroup")
        .field("DBParameterGroupName", &instance.parameter_group)
        .field("ParameterApplyStatus", "in-sync");
    let subnets = store.subnet_groups.get(&cluster.subnet_group);
    let mut shape = shape
        .field("Engine", cluster.engine.name())
        .field("MasterUsername", &cluster.master_user)
        .optional("DBName", cluster.database_name.as_ref());
    if is_up {
        // As on AWS, an instance has no endpoint before it can be reached.
        shape = shape.child(address);
    }
    shape = shape
        .field("AllocatedStorage", 1)
        .field("InstanceCreateTime", time(instance.created))
        .field("PreferredBackupWindow", &cluster.settings.backup_window)
        .field("BackupRetentionPeriod", cluster.settings.backup_retention)
        .list("DBSecurityGroups", [])
        .list("VpcSecurityGroups", groups)
        .list("DBParameterGroups", [parameters])
        .field("AvailabilityZone", &instance.zone)
        .child(subnet_group(&cluster.subnet_group, subnets))
        .field("PreferredMaintenanceWindow", &instance.maintenance_window)
        .child(Element::new("PendingModifiedValues").optional("DBInstanceClass", instance.next_class.as_ref()))
        .field("MultiAZ", false)
        .field("EngineVersion", &cluster.version)
        .field("AutoMinorVersionUpgrade", instance.minor_upgrade)
        .list("ReadReplicaDBInstanceIdentifiers", [])
        .field("LicenseModel", cluster.engine.license())
        .field("PubliclyAccessible", instance.public)
        .field("StorageType", cluster.settings.storage_type.as_deref().unwrap_or("aurora"))
        // 0 on every instance of Aurora; the port in use is the endpoint's.
        .field("DbInstancePort", 0)
        .field("DBClusterIdentifier", &cluster.id)
        .field("StorageEncrypted", cluster.encrypted)
        .optional("KmsKeyId", cluster.kms_key.as_ref())
        .field("DbiResourceId", &instance.resource_id)
        .field("CACertificateIdentifier", &instance.certificate)
        .list("DomainMemberships", [])
        .field("CopyTagsToSnapshot", instance.copy_tags)
        .field("MonitoringInterval", instance.monitoring.interval)
        .optional("MonitoringRoleArn", instance.monitoring.role.as_ref())
        .field("PromotionTier", instance.tier)
        .field("DBInstanceArn", instance.arn())
        .field("IAMDatabaseAuthenticationEnabled", cluster.settings.iam_auth)
        .field("DatabaseInsightsMode", &cluster.settings.insights_mode)
        .field("PerformanceInsightsEnabled", instance.insights.enabled)
        .optional("PerformanceInsightsKMSKeyId", instance.insights.kms_key.as_ref())
        .optional("PerformanceInsightsRetentionPeriod", instance.insights.retention)
        .field("DeletionProtection", false)
        .list("AssociatedRoles", [])
        .field("NetworkType", &cluster.settings.network_type)
        .field("BackupTarget", "region")
        .field("DedicatedLogVolume", false)
        .field("EngineLifecycleSupport", &cluster.settings.lifecycle);
    if !cluster.settings.log_exports.is_empty() {
        shape = shape.texts("EnabledCloudwatchLogsExports", "member", &cluster.settings.log_exports);
    }
    tags(shape, "TagList", &instance.tags)
}

/// `DBSubnetGroup`; `None` is the default one.
pub fn subnet_group(name: &str, group: Option<&SubnetGroup>) -> Element {
    // AWS's default group covers the default VPC, with a subnet in each zone.
    let default = ["a", "b", "c"].map(|zone| format!("subnet-local-{zone}"));
    let subnets = group.map_or(default.as_slice(), |group| group.subnets.as_slice());
    let shown = subnets.iter().zip(["a", "b", "c"].iter().cycle()).map(|(subnet, zone)| {
        Element::new("Subnet")
            .field("SubnetIdentifier", subnet)
            .child(
                Element::new("SubnetAvailabilityZone")
                    .field("Name", format!("{}{zone}", super::resource_names::region())),
            )
            .list("SubnetOutpost", [])
            .field("SubnetStatus", "Active")
    });
    Element::new("DBSubnetGroup")
        .field("DBSubnetGroupName", name)
        .field("DBSubnetGroupDescription", group.map_or("default", |group| group.description.as_str()))
        .field("VpcId", "vpc-local")
        .field("SubnetGroupStatus", "Complete")
        .list("Subnets", shown)
        .field("DBSubnetGroupArn", arn("subgrp", name))
        .texts("SupportedNetworkTypes", "member", ["IPV4"])
}

/// `DBClusterParameterGroup`.
pub fn cluster_parameter_group(name: &str, group: &ParameterGroup) -> Element {
    Element::new("DBClusterParameterGroup")
        .field("DBClusterParameterGroupName", name)
        .field("DBParameterGroupFamily", &group.family)
        .field("Description", &group.description)
        .field("DBClusterParameterGroupArn", arn("cluster-pg", name))
}

/// `Parameter`, with the value that a person set, if one did.
pub fn parameter(known: &Parameter, set: Option<&String>) -> Element {
    let value = set.map(String::as_str).or(known.default);
    Element::new("Parameter")
        .field("ParameterName", known.name)
        .optional("ParameterValue", value)
        .field("Description", known.description)
        .field("Source", source(known, set))
        .field("ApplyType", if known.is_dynamic { "dynamic" } else { "static" })
        .field("DataType", known.data_type)
        .optional("AllowedValues", known.allowed)
        .field("IsModifiable", known.is_modifiable)
        .field("ApplyMethod", if known.is_dynamic { "immediate" } else { "pending-reboot" })
        .texts("SupportedEngineModes", "member", ["provisioned"])
}

/// Returns the source of a parameter's value, as `Source` in `Parameter`.
pub fn source(known: &Parameter, set: Option<&String>) -> &'static str {
    match (set, known.default) {
        (Some(_), _) => "user",
        (None, Some(_)) => "system",
        (None, None) => "engine-default",
    }
}

/// `DBClusterBacktrack`, under no name of its own.
pub fn backtrack(element: Element, cluster: &str, backtrack: &Backtrack) -> Element {
    element
        .field("DBClusterIdentifier", cluster)
        .field("BacktrackIdentifier", &backtrack.id)
        .field("BacktrackTo", time(backtrack.to))
        .field("BacktrackedFrom", time(backtrack.from))
        .field("BacktrackRequestCreationTime", time(backtrack.requested))
        .field("Status", backtrack.status)
}

/// `DBParameterGroup`.
pub fn parameter_group(name: &str, group: &ParameterGroup) -> Element {
    Element::new("DBParameterGroup")
        .field("DBParameterGroupName", name)
        .field("DBParameterGroupFamily", &group.family)
        .field("Description", &group.description)
        .field("DBParameterGroupArn", arn("pg", name))
}

/// `GlobalCluster`, with its primary cluster as the only member.
pub fn global_cluster(store: &Store, id: &str) -> Element {
    let primary =
        store.global_clusters.get(id).and_then(Option::as_ref).and_then(|primary| store.clusters.get(primary));
    let member = |cluster: &DbCluster| {
        Element::new("GlobalClusterMember")
            .field("DBClusterArn", cluster.arn())
            .list("Readers", [])
            .field("IsWriter", true)
            .field("GlobalWriteForwardingStatus", "disabled")
    };
    Element::new("GlobalCluster")
        .field("GlobalClusterIdentifier", id)
        .field("GlobalClusterArn", global_arn(id))
        .field("Status", "available")
        .optional("Engine", primary.map(|cluster| cluster.engine.name()))
        .optional("EngineVersion", primary.map(|cluster| &cluster.version))
        .optional("StorageEncrypted", primary.map(|cluster| cluster.encrypted))
        .field("DeletionProtection", false)
        .list("GlobalClusterMembers", primary.map(member))
}

/// A custom endpoint.
pub fn custom_endpoint(control_plane: &ControlPlane, custom: &CustomEndpoint) -> Element {
    Element::new("DBClusterEndpointList")
        .field("DBClusterEndpointIdentifier", &custom.id)
        .field("DBClusterIdentifier", &custom.cluster)
        .field("DBClusterEndpointResourceIdentifier", &custom.resource_id)
        .field("Endpoint", endpoint(&custom.id, "cluster-custom", &control_plane.hash))
        .field("Status", "available")
        .field("EndpointType", "CUSTOM")
        .field("CustomEndpointType", &custom.kind)
        .texts("StaticMembers", "member", &custom.members)
        .texts("ExcludedMembers", "member", &custom.excluded)
        .field("DBClusterEndpointArn", arn("cluster-endpoint", &custom.id))
}

/// One of the two endpoints that every cluster has.
pub fn built_in_endpoint(control_plane: &ControlPlane, cluster: &DbCluster, kind: &str) -> Element {
    let suffix = if kind == "WRITER" { "cluster" } else { "cluster-ro" };
    Element::new("DBClusterEndpointList")
        .field("DBClusterIdentifier", &cluster.id)
        .field("Endpoint", endpoint(&cluster.id, suffix, &control_plane.hash))
        .field("Status", "available")
        .field("EndpointType", kind)
}

/// `DBClusterSnapshot`.
pub fn snapshot(snapshot: &Snapshot) -> Element {
    let cluster = &snapshot.cluster;
    let shape = Element::new("DBClusterSnapshot")
        .texts("AvailabilityZones", "AvailabilityZone", &cluster.zones)
        .field("DBClusterSnapshotIdentifier", &snapshot.id)
        .field("DBClusterIdentifier", &cluster.id)
        .field("SnapshotCreateTime", time(snapshot.taken))
        .field("Engine", cluster.engine.name())
        .field("EngineMode", &cluster.engine_mode)
        .field("AllocatedStorage", 1)
        .field("Status", "available")
        // A snapshot of Aurora has port 0: a restore takes the port from its request.
        .field("Port", 0)
        .field("VpcId", "vpc-local")
        .field("ClusterCreateTime", time(cluster.created))
        .field("MasterUsername", &cluster.master_user)
        .field("EngineVersion", &cluster.version)
        .field("LicenseModel", cluster.engine.license())
        .field("SnapshotType", "manual")
        .field("PercentProgress", 100)
        .field("StorageEncrypted", cluster.encrypted)
        .optional("KmsKeyId", cluster.kms_key.as_ref())
        .field("DBClusterSnapshotArn", arn("cluster-snapshot", &snapshot.id))
        .field("IAMDatabaseAuthenticationEnabled", cluster.settings.iam_auth)
        .field("DbClusterResourceId", &cluster.resource_id);
    tags(shape, "TagList", &cluster.tags)
}

/// `DBClusterAutomatedBackup`.
pub fn automated_backup(cluster: &DbCluster, retained: bool) -> Element {
    let window = cluster.database.window();
    let times = Element::new("RestoreWindow")
        .optional("EarliestTime", window.map(|window| time(window.earliest)))
        .optional("LatestTime", window.map(|window| time(window.latest)));
    Element::new("DBClusterAutomatedBackup")
        .field("Engine", cluster.engine.name())
        .field("VpcId", "vpc-local")
        .field("DBClusterAutomatedBackupsArn", arn("cluster-auto-backup", &cluster.resource_id))
        .field("DBClusterIdentifier", &cluster.id)
        .child(times)
        .field("MasterUsername", &cluster.master_user)
        .field("DbClusterResourceId", &cluster.resource_id)
        .field("Region", super::resource_names::region())
        .field("Status", if retained { "retained" } else { "active" })
        .field("IAMDatabaseAuthenticationEnabled", cluster.settings.iam_auth)
        .field("ClusterCreateTime", time(cluster.created))
        .field("StorageEncrypted", cluster.encrypted)
        .field("AllocatedStorage", 1)
        .field("EngineVersion", &cluster.version)
        .field("DBClusterArn", cluster.arn())
        .field("BackupRetentionPeriod", cluster.settings.backup_retention)
        .field("EngineMode", &cluster.engine_mode)
        .field("Port", cluster.port)
}

/// `Event`.
pub fn event(event: &Event) -> Element {
    Element::new("Event")
        .field("SourceIdentifier", &event.source)
        .field("SourceType", event.source_type)
        .field("Message", &event.message)
        .texts("EventCategories", "EventCategory", [event.category])
        .field("Date", time(event.at))
        .field("SourceArn", &event.arn)
}

/// `DBEngineVersion`.
pub fn engine_version(engine: Engine, version: &str) -> Element {
    Element::new("DBEngineVersion")
        .field("Engine", engine.name())
        .field("MajorEngineVersion", engine.major(version))
        .field("EngineVersion", version)
        .field("DBParameterGroupFamily", engine.family(version))
        .field("DBEngineDescription", engine.label())
        .field("DBEngineVersionDescription", engine.description(version))
        .list("ValidUpgradeTarget", [])
        .texts("ExportableLogTypes", "member", engine.log_types())
        .field("SupportsLogExportsToCloudwatchLogs", true)
        .field("SupportsReadReplica", false)
        .texts("SupportedEngineModes", "member", ["provisioned"])
        .field("Status", "available")
        .field("SupportsGlobalDatabases", false)
}

/// `Certificate`.
pub fn certificate(identifier: &str) -> Element {
    Element::new("Certificate")
        .field("CertificateIdentifier", identifier)
        .field("CertificateType", "CA")
        .field("CertificateArn", format!("arn:aws:rds:{}::cert:{identifier}", super::resource_names::region()))
        .field("CustomerOverride", false)
}
