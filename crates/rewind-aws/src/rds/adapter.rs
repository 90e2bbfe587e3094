//! Implements the ports of RDS with aws-sdk-rds. The doc comment of each method names the IAM actions that it needs.

use super::translate::{is, read_instance, read_tags, write_tags};
use super::{
    Applies, BacktrackClusters, BacktrackSeen, ChangeParameterGroups, Cluster, ClusterChange, CompleteClusters,
    DeleteClusters, DeleteParameterGroups, FindClusters, Instance, ListSnapshots, ListedSnapshot, Member,
    ModifyClusters, Monitoring, NewParameterGroup, Origin, ReadBacktracks, ReadClusters, ReadParameters, ReadSnapshots,
    RestoreCall, RestoreClusters, RetireClusters, Role, ServerlessV2, Snapshot, TagClusters, Tagged, UntagClusters,
};
use crate::classify::{Call, classify, code};
use crate::{Aws, AwsResult};
use aws_sdk_rds::operation::modify_db_cluster::builders::ModifyDBClusterFluentBuilder as ModifyCall;
use aws_sdk_rds::operation::restore_db_cluster_to_point_in_time::builders::RestoreDBClusterToPointInTimeFluentBuilder as RestoreBuilder;
use aws_sdk_rds::types::{
    ApplyMethod, ClusterPendingModifiedValues, DbCluster, DbClusterBacktrack, DbClusterSnapshot, Filter, Parameter,
    ServerlessV2ScalingConfiguration,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use rewind_core::{Engine, ErrorName, StepError};

/// The client of RDS.
#[derive(Debug, Clone)]
pub struct Rds(pub(super) aws_sdk_rds::Client);

impl Rds {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_rds::Client::new(&aws.config("RDS")))
    }
}

impl ReadClusters for Rds {
    /// IAM: `rds:DescribeDBClusters`.
    async fn cluster(&self, name: &str) -> AwsResult<Option<Cluster>> {
        match self.0.describe_db_clusters().db_cluster_identifier(name).send().await {
            Ok(page) => page.db_clusters.and_then(|clusters| clusters.into_iter().next()).map(read_cluster).transpose(),
            Err(e) if is(code(&e), "DBClusterNotFound") => Ok(None),
            Err(e) => Err(classify(&e, Call::Read, &format!("rds:DescribeDBClusters of {name}"))),
        }
    }

    /// IAM: `rds:DescribeDBInstances`.
    async fn instances(&self, cluster: &str) -> AwsResult<Vec<Instance>> {
        let filter = Filter::builder().name("db-cluster-id").values(cluster).build();
        // A cluster has 16 instances at most: one page holds them all.
        match self.0.describe_db_instances().filters(filter).send().await {
            Ok(page) => Ok(page.db_instances.unwrap_or_default().into_iter().map(read_instance).collect()),
            Err(e) if is(code(&e), "DBClusterNotFound") => Ok(Vec::new()),
            Err(e) => Err(classify(&e, Call::Read, &format!("rds:DescribeDBInstances of {cluster}"))),
        }
    }
}

impl RestoreClusters for Rds {
    /// IAM: `rds:RestoreDBClusterToPointInTime`, `rds:AddTagsToResource`.
    async fn restore(&self, call: &RestoreCall<'_>) -> AwsResult<bool> {
        let source = call.source;
        let mut request = self
            .0
            .restore_db_cluster_to_point_in_time()
            .source_db_cluster_identifier(&source.name)
            .db_cluster_identifier(call.new_cluster)
            // The API inherits none of these from the source: what is not passed gets AWS's default.
            .set_port(source.port)
            .set_db_subnet_group_name(source.subnet_group.clone())
            .set_db_cluster_parameter_group_name(source.parameter_group.clone())
            .set_kms_key_id(source.kms_key_id.clone())
            .set_storage_type(source.storage_type.clone())
            .set_engine_mode(source.engine_mode.clone())
            .set_network_type(source.network_type.clone())
            .enable_iam_database_authentication(source.iam_authentication)
            .deletion_protection(source.deletion_protection)
            .copy_tags_to_snapshot(source.copy_tags_to_snapshot)
            // Without it AWS picks a window at random, and refuses an instance whose maintenance window overlaps with it.
            .set_preferred_backup_window(source.backup_window.clone())
            .set_backup_retention_period(source.backup_retention)
            .set_engine_lifecycle_support(source.lifecycle.clone())
            .set_serverless_v2_scaling_configuration(source.serverless_v2.map(write_serverless));
        let full_copy = |request: RestoreBuilder| {
            // Backtrack can only be switched on when a cluster is created, so this is the only chance to carry it over.
            let window = source.backtrack_window.filter(|window| *window > 0);
            request.restore_type("full-copy").set_backtrack_window(window)
        };
        request = match call.origin {
            Origin::Moment(at) => full_copy(request).restore_to_time(write_time(at)),
            Origin::Latest => full_copy(request).use_latest_restorable_time(true),
            // No backtrack window: a clone is read and then deleted, and change records cost money.
            Origin::CloneOfNow => request.restore_type("copy-on-write").use_latest_restorable_time(true),
        };
        // Only if there are any: without the field RDS takes the VPC's default group.
        if !source.security_groups.is_empty() {
            request = request.set_vpc_security_group_ids(Some(source.security_groups.clone()));
        }
        if !source.log_exports.is_empty() {
            request = request.set_enable_cloudwatch_logs_exports(Some(source.log_exports.clone()));
        }
        match request.set_tags(Some(write_tags(call.tags))).send().await {
            Ok(_) => Ok(true),
            Err(e) if is(code(&e), "DBClusterAlreadyExists") => Ok(false),
            Err(e) => Err(classify(
                &e,
                Call::Change,
                &format!("rds:RestoreDBClusterToPointInTime of {} into {}", source.name, call.new_cluster),
            )),
        }
    }
}

impl ModifyClusters for Rds {
    /// IAM: `rds:ModifyDBCluster`.
    async fn modify(&self, cluster: &str, change: &ClusterChange) -> AwsResult<()> {
        let call = with_change(self.0.modify_db_cluster(), cluster, change);
        // Left out wherever that is possible: the flag would start whatever else waits for the maintenance window.
        send_change(call.set_apply_immediately(change.can_wait().then_some(true)), cluster).await
    }
}

impl CompleteClusters for Rds {
    /// IAM: `rds:ModifyDBCluster`, `iam:PassRole`.
    async fn complete(&self, cluster: &str, change: &ClusterChange, monitoring: Option<&Monitoring>) -> AwsResult<()> {
        // Immediately: monitoring would wait for the maintenance window, and nothing waits on a cluster that was just restored.
        let mut call = with_change(self.0.modify_db_cluster(), cluster, change).apply_immediately(true);
        if let Some(monitoring) = monitoring {
            // RDS refuses the role or key of a feature that the same call does not switch on.
            let (monitored, insights) = (monitoring.monitoring_interval > 0, monitoring.performance_insights);
            call = call
                .set_monitoring_interval(monitored.then_some(monitoring.monitoring_interval))
                .set_monitoring_role_arn(monitoring.monitoring_role.clone().filter(|_| monitored))
                .set_enable_performance_insights(insights.then_some(true))
                .set_performance_insights_kms_key_id(monitoring.performance_insights_key.clone().filter(|_| insights))
                .set_performance_insights_retention_period(
                    monitoring.performance_insights_retention.filter(|_| insights),
                )
                .set_database_insights_mode(monitoring.insights_mode.as_deref().map(Into::into));
        }
        send_change(call, cluster).await
    }

    /// IAM: `rds:AddRoleToDBCluster`, `iam:PassRole`.
    async fn add_role(&self, cluster: &str, role: &Role) -> AwsResult<()> {
        let call = self
            .0
            .add_role_to_db_cluster()
            .db_cluster_identifier(cluster)
            .role_arn(&role.arn)
            .set_feature_name(role.feature.clone());
        match call.send().await {
            Ok(_) => Ok(()),
            // A second run of the step finds the roles that the first one added.
            Err(e) if is(code(&e), "DBClusterRoleAlreadyExists") => Ok(()),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:AddRoleToDBCluster of {} to {cluster}", role.arn))),
        }
    }

    /// IAM: `rds:EnableHttpEndpoint`.
    async fn enable_data_api(&self, cluster_arn: &str) -> AwsResult<()> {
        self.0
            .enable_http_endpoint()
            .resource_arn(cluster_arn)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Change, &format!("rds:EnableHttpEndpoint of {cluster_arn}")))?;
        Ok(())
    }
}

impl DeleteClusters for Rds {
    /// IAM: `rds:DeleteDBCluster`.
    async fn delete_cluster(&self, cluster: &str) -> AwsResult<()> {
        // No final snapshot: only a copy that a recovery made comes here, and its source is still there.
        match self.0.delete_db_cluster().db_cluster_identifier(cluster).skip_final_snapshot(true).send().await {
            Ok(_) => Ok(()),
            Err(e) if is(code(&e), "DBClusterNotFound") => Ok(()),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:DeleteDBCluster of {cluster}"))),
        }
    }
}

impl FindClusters for Rds {
    /// IAM: `rds:DescribeDBClusters`.
    async fn tagged(&self, key: &str) -> AwsResult<Vec<Cluster>> {
        // `DescribeDBClusters` has no filter for tags.
        // A page has 100 clusters at most, and a kept one may be on the last page.
        let mut pages = self.0.describe_db_clusters().into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            let cluster = item.map_err(|e| classify(&e, Call::Read, "rds:DescribeDBClusters"))?;
            // A cluster that cannot be read is of an engine that no recovery makes clusters of, whoever tagged it: one
            // Neptune cluster in the account must not stop what is done about all of ours.
            found.extend(read_cluster(cluster).ok().filter(|cluster| cluster.tag(key).is_some()));
        }
        Ok(found)
    }
}

impl RetireClusters for Rds {
    /// IAM: `rds:DeleteDBCluster`, `rds:CreateDBClusterSnapshot`, `rds:AddTagsToResource`.
    async fn retire_cluster(&self, cluster: &str, snapshot: &str) -> AwsResult<()> {
        let call = self
            .0
            .delete_db_cluster()
            .db_cluster_identifier(cluster)
            .skip_final_snapshot(false)
            .final_db_snapshot_identifier(snapshot)
            // A second way back for the retention period, beside the snapshot; the default deletes them.
            .delete_automated_backups(false);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(e) if is(code(&e), "DBClusterNotFound") => Ok(()),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:DeleteDBCluster of {cluster} into {snapshot}"))),
        }
    }
}

impl ReadSnapshots for Rds {
    /// IAM: `rds:DescribeDBClusterSnapshots`.
    async fn snapshot(&self, name: &str) -> AwsResult<Option<Snapshot>> {
        match self.0.describe_db_cluster_snapshots().db_cluster_snapshot_identifier(name).send().await {
            Ok(page) => {
                let found = page.db_cluster_snapshots.and_then(|snapshots| snapshots.into_iter().next());
                Ok(found.map(read_snapshot))
            }
            Err(e) if is(code(&e), "DBClusterSnapshotNotFound") => Ok(None),
            Err(e) => Err(classify(&e, Call::Read, &format!("rds:DescribeDBClusterSnapshots of {name}"))),
        }
    }
}

impl ListSnapshots for Rds {
    /// IAM: `rds:DescribeDBClusterSnapshots`.
    async fn snapshots(&self) -> AwsResult<Vec<ListedSnapshot>> {
        // `DescribeDBClusterSnapshots` has no filter for tags, and a page has 100 snapshots at most.
        let mut pages = self.0.describe_db_cluster_snapshots().snapshot_type("manual").into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            let mut snapshot = item.map_err(|e| classify(&e, Call::Read, "rds:DescribeDBClusterSnapshots"))?;
            let created = snapshot.snapshot_create_time.and_then(read_time);
            let tags = read_tags(snapshot.tag_list.take());
            found.push(ListedSnapshot { snapshot: read_snapshot(snapshot), created, tags });
        }
        Ok(found)
    }
}

impl TagClusters for Rds {
    /// IAM: `rds:AddTagsToResource`.
    async fn tag(&self, arn: &str, tags: &[(String, String)]) -> AwsResult<Tagged> {
        match self.0.add_tags_to_resource().resource_name(arn).set_tags(Some(write_tags(tags))).send().await {
            Ok(_) => Ok(Tagged::Yes),
            // The model has no error for too many tags. RDS accepts our keys and values, so it can only be their number.
            Err(e) if code(&e).is_some_and(is_too_many) => Ok(Tagged::Full),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:AddTagsToResource of {arn}"))),
        }
    }
}

impl UntagClusters for Rds {
    /// IAM: `rds:RemoveTagsFromResource`.
    async fn untag(&self, arn: &str, keys: &[&str]) -> AwsResult<()> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        match self.0.remove_tags_from_resource().resource_name(arn).set_tag_keys(Some(keys)).send().await {
            Ok(_) => Ok(()),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:RemoveTagsFromResource of {arn}"))),
        }
    }
}

impl ReadBacktracks for Rds {
    /// IAM: `rds:DescribeDBClusterBacktracks`.
    async fn backtrack(&self, cluster: &str, identifier: &str) -> AwsResult<Option<BacktrackSeen>> {
        let call = self.0.describe_db_cluster_backtracks().db_cluster_identifier(cluster);
        match call.backtrack_identifier(identifier).send().await {
            // An endpoint that ignores the filter would return others, and another backtrack must never be taken for this one.
            Ok(page) => Ok(page
                .db_cluster_backtracks
                .unwrap_or_default()
                .into_iter()
                .filter_map(read_backtrack)
                .find(|seen| seen.identifier.eq_ignore_ascii_case(identifier))),
            Err(e) if is(code(&e), "DBClusterBacktrackNotFound") => Ok(None),
            Err(e) => Err(classify(&e, Call::Read, &format!("rds:DescribeDBClusterBacktracks of {cluster}"))),
        }
    }

    /// IAM: `rds:DescribeDBClusterBacktracks`.
    async fn backtracks(&self, cluster: &str) -> AwsResult<Vec<BacktrackSeen>> {
        let mut pages =
            self.0.describe_db_cluster_backtracks().db_cluster_identifier(cluster).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            match item {
                Ok(backtrack) => found.extend(read_backtrack(backtrack)),
                Err(e) if is(code(&e), "DBClusterBacktrackNotFound") => break,
                Err(e) => {
                    return Err(classify(&e, Call::Read, &format!("rds:DescribeDBClusterBacktracks of {cluster}")));
                }
            }
        }
        Ok(found)
    }
}

impl BacktrackClusters for Rds {
    /// IAM: `rds:BacktrackDBCluster`.
    async fn start_backtrack(&self, cluster: &str, to: Timestamp, force: bool) -> AwsResult<BacktrackSeen> {
        let call = self
            .0
            .backtrack_db_cluster()
            .db_cluster_identifier(cluster)
            .backtrack_to(write_time(to))
            .force(force)
            // The earliest time is not what the plan says, and people approved the plan.
            .use_earliest_time_on_point_in_time_unavailable(false);
        let what = format!("rds:BacktrackDBCluster of {cluster} to {to}");
        let answer = call.send().await.map_err(|e| classify(&e, Call::Change, &what))?;
        // Without an identifier its end can't be told from that of another backtrack.
        let identifier = answer.backtrack_identifier.filter(|id| !id.is_empty()).ok_or_else(|| {
            StepError::new(ErrorName::OutcomeUnknown, format!("{what}: AWS's answer names no backtrack"))
        })?;
        Ok(BacktrackSeen {
            identifier,
            status: answer.status.unwrap_or_default().to_ascii_lowercase(),
            to: answer.backtrack_to.and_then(read_time),
            from: answer.backtracked_from.and_then(read_time),
            requested: answer.backtrack_request_creation_time.and_then(read_time),
        })
    }
}

impl ReadParameters for Rds {
    /// IAM: `rds:DescribeDBClusterParameters`.
    async fn cluster_parameter(&self, group: &str, name: &str) -> AwsResult<Option<String>> {
        // A group has hundreds of parameters on several pages, and the API filters by their source alone.
        let mut pages = self
            .0
            .describe_db_cluster_parameters()
            .db_cluster_parameter_group_name(group)
            .into_paginator()
            .items()
            .send();
        while let Some(item) = pages.next().await {
            let parameter =
                item.map_err(|e| classify(&e, Call::Read, &format!("rds:DescribeDBClusterParameters of {group}")))?;
            if parameter.parameter_name.as_deref() == Some(name) {
                return Ok(parameter.parameter_value.filter(|value| !value.is_empty()));
            }
        }
        Ok(None)
    }
}

impl ChangeParameterGroups for Rds {
    /// IAM: `rds:CreateDBClusterParameterGroup`, `rds:CopyDBClusterParameterGroup`, `rds:AddTagsToResource`.
    async fn create_group(&self, new: &NewParameterGroup<'_>) -> AwsResult<bool> {
        let what = format!("rds:CopyDBClusterParameterGroup of {} into {}", new.like, new.name);
        let tags = Some(write_tags(new.tags));
        // A default group is named after its family, and has all of its values.
        if let Some(family) = new.like.strip_prefix("default.") {
            let call = self
                .0
                .create_db_cluster_parameter_group()
                .db_cluster_parameter_group_name(new.name)
                .db_parameter_group_family(family)
                .description(new.description)
                .set_tags(tags);
            return match call.send().await {
                Ok(_) => Ok(true),
                Err(e) if is(code(&e), "DBParameterGroupAlreadyExists") => Ok(false),
                Err(e) => Err(classify(&e, Call::Change, &what)),
            };
        }
        let call = self
            .0
            .copy_db_cluster_parameter_group()
            .source_db_cluster_parameter_group_identifier(new.like)
            .target_db_cluster_parameter_group_identifier(new.name)
            .target_db_cluster_parameter_group_description(new.description)
            .set_tags(tags);
        match call.send().await {
            Ok(_) => Ok(true),
            Err(e) if is(code(&e), "DBParameterGroupAlreadyExists") => Ok(false),
            Err(e) => Err(classify(&e, Call::Change, &what)),
        }
    }

    /// IAM: `rds:ModifyDBClusterParameterGroup`.
    async fn set_parameter(&self, group: &str, name: &str, value: &str, applies: Applies) -> AwsResult<()> {
        let parameter = Parameter::builder()
            .parameter_name(name)
            .parameter_value(value)
            .apply_method(match applies {
                Applies::AtOnce => ApplyMethod::Immediate,
                Applies::AtStart => ApplyMethod::PendingReboot,
            })
            .build();
        let call = self.0.modify_db_cluster_parameter_group().db_cluster_parameter_group_name(group);
        let what = format!("rds:ModifyDBClusterParameterGroup of {group}: {name}={value}");
        call.parameters(parameter).send().await.map_err(|e| classify(&e, Call::Change, &what))?;
        Ok(())
    }

    /// IAM: `rds:ResetDBClusterParameterGroup`.
    async fn reset_parameter(&self, group: &str, name: &str) -> AwsResult<()> {
        let parameter = Parameter::builder().parameter_name(name).apply_method(ApplyMethod::Immediate).build();
        let call = self.0.reset_db_cluster_parameter_group().db_cluster_parameter_group_name(group);
        let what = format!("rds:ResetDBClusterParameterGroup of {group}: {name}");
        call.parameters(parameter).send().await.map_err(|e| classify(&e, Call::Change, &what))?;
        Ok(())
    }
}

impl DeleteParameterGroups for Rds {
    /// IAM: `rds:DescribeDBClusterParameters`, `rds:DeleteDBClusterParameterGroup`.
    async fn delete_group(&self, group: &str) -> AwsResult<bool> {
        // Looked for first: the policy goes by the group's tag, and the deletion of one that is not there would be refused.
        let read = self.0.describe_db_cluster_parameters().db_cluster_parameter_group_name(group).max_records(20);
        match read.send().await {
            Ok(_) => {}
            Err(e) if is(code(&e), "DBParameterGroupNotFound") => return Ok(true),
            Err(e) => return Err(classify(&e, Call::Read, &format!("rds:DescribeDBClusterParameters of {group}"))),
        }
        match self.0.delete_db_cluster_parameter_group().db_cluster_parameter_group_name(group).send().await {
            Ok(_) => Ok(true),
            Err(e) if is(code(&e), "DBParameterGroupNotFound") => Ok(true),
            Err(e) if is(code(&e), "InvalidDBParameterGroupState") => Ok(false),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:DeleteDBClusterParameterGroup of {group}"))),
        }
    }
}

fn with_change(call: ModifyCall, cluster: &str, change: &ClusterChange) -> ModifyCall {
    call.db_cluster_identifier(cluster)
        .set_auto_minor_version_upgrade(change.auto_minor_version_upgrade)
        .set_vpc_security_group_ids(change.security_groups.clone())
        .set_deletion_protection(change.deletion_protection)
        .set_preferred_maintenance_window(change.maintenance_window.clone())
        .set_preferred_backup_window(change.backup_window.clone())
        .set_backup_retention_period(change.backup_retention)
        .set_backtrack_window(change.backtrack_window)
        .set_db_cluster_parameter_group_name(change.parameter_group.clone())
}

async fn send_change(call: ModifyCall, cluster: &str) -> AwsResult<()> {
    let sent = call.send().await;
    sent.map_err(|e| classify(&e, Call::Change, &format!("rds:ModifyDBCluster of {cluster}")))?;
    Ok(())
}

fn is_too_many(code: &str) -> bool {
    code == "InvalidParameterValue" || code == "InvalidParameterCombination" || code.starts_with("Tag")
}

fn write_serverless(range: ServerlessV2) -> ServerlessV2ScalingConfiguration {
    ServerlessV2ScalingConfiguration::builder()
        .set_min_capacity(range.min)
        .set_max_capacity(range.max)
        .set_seconds_until_auto_pause(range.seconds_until_auto_pause)
        .build()
}

fn read_time(at: DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn read_snapshot(snapshot: DbClusterSnapshot) -> Snapshot {
    Snapshot {
        name: snapshot.db_cluster_snapshot_identifier.unwrap_or_default(),
        cluster: snapshot.db_cluster_identifier.unwrap_or_default(),
        status: snapshot.status.unwrap_or_default().to_ascii_lowercase(),
    }
}

fn write_time(at: Timestamp) -> DateTime {
    // RDS writes milliseconds in its own answers, and works in seconds.
    DateTime::from_millis(at.as_millisecond())
}

fn read_backtrack(b: DbClusterBacktrack) -> Option<BacktrackSeen> {
    Some(BacktrackSeen {
        identifier: b.backtrack_identifier?,
        // Real answers were seen in upper case too, against the documentation.
        status: b.status.unwrap_or_default().to_ascii_lowercase(),
        to: b.backtrack_to.and_then(read_time),
        from: b.backtracked_from.and_then(read_time),
        requested: b.backtrack_request_creation_time.and_then(read_time),
    })
}

/// Reads a cluster; refuses one of another engine than Aurora's.
fn read_cluster(c: DbCluster) -> AwsResult<Cluster> {
    let name = c.db_cluster_identifier.as_deref().unwrap_or_default();
    let engine = Engine::of_cluster(name, c.engine.as_deref().unwrap_or_default())?;
    Ok(cluster_of(c, engine))
}

/// Everything that `DescribeDBClusters` shows of a cluster of `engine`.
pub(super) fn cluster_of(c: DbCluster, engine: Engine) -> Cluster {
    let member = |m: aws_sdk_rds::types::DbClusterMember| {
        Some(Member { instance: m.db_instance_identifier?, writer: m.is_cluster_writer.unwrap_or(false) })
    };
    let pending_reboot = c
        .db_cluster_members
        .iter()
        .flatten()
        .filter(|m| m.db_cluster_parameter_group_status.as_deref() == Some("pending-reboot"))
        .filter_map(|m| m.db_instance_identifier.clone())
        .collect();
    Cluster {
        name: c.db_cluster_identifier.unwrap_or_default(),
        arn: c.db_cluster_arn.unwrap_or_default(),
        resource_id: c.db_cluster_resource_id.unwrap_or_default(),
        status: c.status.unwrap_or_default().to_ascii_lowercase(),
        engine,
        engine_version: c.engine_version.unwrap_or_default(),
        engine_mode: c.engine_mode,
        endpoint: c.endpoint,
        reader_endpoint: c.reader_endpoint,
        port: c.port,
        master_username: c.master_username,
        earliest_restorable: c.earliest_restorable_time.and_then(read_time),
        latest_restorable: c.latest_restorable_time.and_then(read_time),
        earliest_backtrack: c.earliest_backtrack_time.and_then(read_time),
        created: c.cluster_create_time.and_then(read_time),
        // An empty element can stand for a value that is not there.
        clone_group: c.clone_group_id.filter(|id| !id.is_empty()),
        replication_source: c.replication_source_identifier.filter(|id| !id.is_empty()),
        members: c.db_cluster_members.unwrap_or_default().into_iter().filter_map(member).collect(),
        parameter_group: c.db_cluster_parameter_group,
        pending_reboot,
        subnet_group: c.db_subnet_group,
        security_groups_changing: c
            .vpc_security_groups
            .iter()
            .flatten()
            .any(|group| group.status.as_deref().is_some_and(|status| status != "active")),
        security_groups: c
            .vpc_security_groups
            .unwrap_or_default()
            .into_iter()
            .filter_map(|group| group.vpc_security_group_id)
            .collect(),
        kms_key_id: c.kms_key_id,
        storage_type: c.storage_type,
        log_exports: c.enabled_cloudwatch_logs_exports.unwrap_or_default(),
        iam_authentication: c.iam_database_authentication_enabled.unwrap_or(false),
        deletion_protection: c.deletion_protection.unwrap_or(false),
        copy_tags_to_snapshot: c.copy_tags_to_snapshot.unwrap_or(false),
        backtrack_window: c.backtrack_window,
        serverless_v2: c.serverless_v2_scaling_configuration.map(|range| ServerlessV2 {
            min: range.min_capacity,
            max: range.max_capacity,
            seconds_until_auto_pause: range.seconds_until_auto_pause,
        }),
        network_type: c.network_type,
        maintenance_window: c.preferred_maintenance_window,
        backup_window: c.preferred_backup_window,
        backup_retention: c.backup_retention_period,
        auto_minor_version_upgrade: c.auto_minor_version_upgrade,
        lifecycle: c.engine_lifecycle_support,
        monitoring: Monitoring {
            monitoring_interval: c.monitoring_interval.unwrap_or(0),
            monitoring_role: c.monitoring_role_arn,
            performance_insights: c.performance_insights_enabled.unwrap_or(false),
            performance_insights_key: c.performance_insights_kms_key_id,
            performance_insights_retention: c.performance_insights_retention_period,
            insights_mode: c
                .database_insights_mode
                .map(|mode| mode.as_str().to_owned())
                // The default: passing it on would be a setting that nobody chose.
                .filter(|mode| mode != "standard"),
        },
        data_api: c.http_endpoint_enabled.unwrap_or(false),
        write_forwarding: [
            c.local_write_forwarding_status.map(|status| status.as_str().to_owned()),
            c.global_write_forwarding_status.map(|status| status.as_str().to_owned()),
        ]
        .into_iter()
        .flatten()
        .map(|status| status.to_ascii_lowercase())
        // What is being switched off still forwards.
        .find(|status| status != "disabled"),
        pending: c.pending_modified_values.map(pending).unwrap_or_default(),
        roles: c
            .associated_roles
            .unwrap_or_default()
            .into_iter()
            .filter_map(|role| Some(Role { arn: role.role_arn?, feature: role.feature_name.filter(|f| !f.is_empty()) }))
            .collect(),
        master_secret: c.master_user_secret.and_then(|secret| secret.secret_arn),
        tags: read_tags(c.tag_list),
        global_cluster: c.global_cluster_identifier.filter(|id| !id.is_empty()),
        custom_endpoints: c.custom_endpoints.unwrap_or_default(),
    }
}

/// Lists what waits for the maintenance window. Values are named where they tell nothing that nobody may see.
fn pending(values: ClusterPendingModifiedValues) -> Vec<String> {
    let text = |what: &str, value: Option<String>| value.map(|value| format!("{what} {value}"));
    let all = [
        text("engine version", values.engine_version),
        values.master_user_password.map(|_| "another master password".to_owned()),
        text("IAM authentication", values.iam_database_authentication_enabled.map(|on| on.to_string())),
        text("backup retention", values.backup_retention_period.map(|days| days.to_string())),
        text("storage type", values.storage_type),
        text("the name", values.db_cluster_identifier),
        values.pending_cloudwatch_logs_exports.map(|_| "log exports".to_owned()),
        values.certificate_details.map(|_| "another certificate".to_owned()),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_resource_is_distinguished_from_one_that_may_not_be_tagged() {
        for code in ["InvalidParameterValue", "TagQuotaPerResourceExceeded", "TagLimitExceededFault"] {
            assert!(is_too_many(code), "{code}");
        }
        for code in ["AccessDenied", "DBClusterNotFoundFault", "InvalidDBClusterStateFault", "Throttling"] {
            assert!(!is_too_many(code), "{code}");
        }
    }
}
