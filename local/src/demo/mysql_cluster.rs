//! The Aurora MySQL cluster of the backtrack scenario: created by the RDS API as a person would, once a stack; and the safety clones
//! of earlier runs, deleted by the commands in those runs' output. It touches no other cluster.

use super::console::Console;
use super::database::Databases;
use super::demo_cluster::clusters;
use super::names::RECOVERY_PREFIX;
use crate::stack::StackEnv;
use anyhow::{Context, Result, bail};
use aws_sdk_rds::types::DbCluster;
use rewind_core::names::RECOVERY_TAG;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The cluster's identifier.
pub const CLUSTER: &str = "my-aurora-mysql";
/// The cluster's first database.
pub const DATABASE: &str = "shop";
const ENGINE: &str = "aurora-mysql";
const CLASS: &str = "db.r6g.large";
/// 24 hours, in the unit that the API takes.
const WINDOW: i64 = 86_400;
const AVAILABLE_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Creates the cluster, or what an interrupted run left out of it; returns the writer endpoint.
///
/// # Errors
///
/// When the RDS API refuses, or the cluster does not become available.
pub async fn ensure(stack: &StackEnv, databases: &Databases, console: &Console) -> Result<String> {
    let rds = stack.rds();
    let failed = format!("{CLUSTER} could not be created");
    if named(stack, CLUSTER).await?.is_none() {
        console.print(format_args!(
            "CreateDBCluster {CLUSTER}, {ENGINE}, with BacktrackWindow={WINDOW}: seconds, so 24 hours;"
        ));
        console.print("Backtrack is switched on when a cluster is made, and never afterwards.");
        // The security groups of the cluster behind the record admit clients; any other cluster may be fenced by now.
        let open = databases.dns.resolve(&stack.db_record).await?.endpoint;
        let all = clusters(stack).await?;
        let open = all.iter().find(|cluster| cluster.endpoint() == Some(open.as_str()));
        let groups = open.into_iter().flat_map(|cluster| cluster.vpc_security_groups());
        let groups: Vec<String> = groups.filter_map(|group| group.vpc_security_group_id().map(str::to_owned)).collect();
        rds.create_db_cluster()
            .db_cluster_identifier(CLUSTER)
            .engine(ENGINE)
            .master_username("admin")
            .manage_master_user_password(true)
            .database_name(DATABASE)
            .backtrack_window(WINDOW)
            .set_vpc_security_group_ids(Some(groups))
            .send()
            .await
            .with_context(|| failed.clone())?;
    }
    console.start_activity("a cluster comes up", "");
    let deadline = Instant::now() + AVAILABLE_TIMEOUT;
    let endpoint = loop {
        if let Some(cluster) = named(stack, CLUSTER).await? {
            // An interrupted run may have left a cluster without an instance: CreateDBInstance is sent where one is missing, not only
            // after CreateDBCluster.
            let available = cluster.status() == Some("available");
            if available && cluster.db_cluster_members().is_empty() {
                rds.create_db_instance()
                    .db_instance_identifier(format!("{CLUSTER}-1"))
                    .db_cluster_identifier(CLUSTER)
                    .engine(ENGINE)
                    .db_instance_class(CLASS)
                    .send()
                    .await
                    .with_context(|| failed.clone())?;
            }
            let endpoint = cluster.endpoint().filter(|_| available && cluster.earliest_backtrack_time().is_some());
            if let Some(endpoint) = endpoint.filter(|_| !cluster.db_cluster_members().is_empty())
                && writer_is_up(stack).await?
            {
                break endpoint.to_owned();
            }
        }
        if Instant::now() > deadline {
            bail!("{CLUSTER} does not become available; next step: make down, and once more");
        }
        console.tick("");
        sleep(POLL_INTERVAL).await;
    };
    console.end_activity();
    Ok(endpoint)
}

async fn named(stack: &StackEnv, name: &str) -> Result<Option<DbCluster>> {
    Ok(clusters(stack).await?.into_iter().find(|cluster| cluster.db_cluster_identifier() == Some(name)))
}

async fn writer_is_up(stack: &StackEnv) -> Result<bool> {
    let instances = instances(stack, CLUSTER).await?;
    Ok(!instances.is_empty() && instances.iter().all(|(_, status)| status == "available"))
}

/// Lists the instances of a cluster, with their status.
async fn instances(stack: &StackEnv, cluster: &str) -> Result<Vec<(String, String)>> {
    // Filtered here: a page has 100 instances at most, and the paginator reads all of them either way.
    let all = stack.rds().describe_db_instances().into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.context("the instances could not be read")?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let of_it = all.into_iter().filter(|instance| instance.db_cluster_identifier() == Some(cluster));
    Ok(of_it.map(|instance| (text(instance.db_instance_identifier()), text(instance.db_instance_status()))).collect())
}

/// Deletes the safety clones of earlier runs: on a local stack nobody needs them any more, and each holds an address.
///
/// # Errors
///
/// When the RDS API refuses.
pub async fn delete_earlier_safety_clones(stack: &StackEnv, console: &Console) -> Result<()> {
    let rds = stack.rds();
    for safety_clone in clusters(stack).await?.iter().filter(|cluster| is_safety_clone(cluster)) {
        let name = safety_clone.db_cluster_identifier().unwrap_or_default();
        let failed = format!("{name} could not be deleted");
        console.note(format_args!("{name}, the safety clone of an earlier run, is deleted, as that run's output says"));
        // The recovery protects a safety clone from deletion, and the change has to be in force before DeleteDBCluster is sent.
        let unprotect = rds.modify_db_cluster().db_cluster_identifier(name).deletion_protection(false);
        unprotect.apply_immediately(true).send().await.with_context(|| failed.clone())?;
        let deadline = Instant::now() + AVAILABLE_TIMEOUT;
        while named(stack, name).await?.is_some_and(|cluster| cluster.status() != Some("available")) {
            if Instant::now() > deadline {
                bail!(failed);
            }
            sleep(POLL_INTERVAL).await;
        }
        for (instance, _) in instances(stack, name).await? {
            let delete = rds.delete_db_instance().db_instance_identifier(instance);
            delete.skip_final_snapshot(true).send().await.with_context(|| failed.clone())?;
        }
        rds.delete_db_cluster()
            .db_cluster_identifier(name)
            .skip_final_snapshot(true)
            .send()
            .await
            .with_context(|| failed.clone())?;
    }
    Ok(())
}

/// True for what a recovery of this scenario created beside its cluster: the name alone could be somebody else's.
fn is_safety_clone(cluster: &DbCluster) -> bool {
    let name = cluster.db_cluster_identifier().unwrap_or_default();
    let by_a_demo = |tag: &aws_sdk_rds::types::Tag| {
        tag.key() == Some(RECOVERY_TAG) && tag.value().is_some_and(|by| by.starts_with(RECOVERY_PREFIX))
    };
    name != CLUSTER
        && name.starts_with(CLUSTER)
        && cluster.status() != Some("deleting")
        && cluster.tag_list().iter().any(by_a_demo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::Tag;

    fn cluster(name: &str, status: &str, made_by: Option<&str>) -> DbCluster {
        let tag = made_by.map(|by| Tag::builder().key(RECOVERY_TAG).value(by).build());
        DbCluster::builder().db_cluster_identifier(name).status(status).set_tag_list(tag.map(|tag| vec![tag])).build()
    }

    #[test]
    fn only_what_a_demo_made_beside_its_own_cluster_is_deleted() {
        let by = "my-backtrack-operation-001";
        assert!(is_safety_clone(&cluster("my-aurora-mysql-safety-clone-1", "available", Some(by))));
        for kept in [
            cluster("my-aurora-mysql", "available", Some(by)),
            cluster("my-aurora-mysql-safety-clone-1", "deleting", Some(by)),
            cluster("my-aurora-mysql-safety-clone-1", "available", Some("somebody-elses-recovery")),
            cluster("my-aurora-mysql-safety-clone-1", "available", None),
            cluster("my-aurora-cluster-backtrack-001", "available", Some(by)),
        ] {
            assert!(!is_safety_clone(&kept), "{kept:?}");
        }
    }
}
