//! The cluster of the story in place, made by the RDS API as a person would, once a stack; and the safety clone that earlier runs left,
//! deleted as their output told. It touches no cluster but these.

use super::database::Databases;
use super::scene::{OPERATION, clusters};
use super::stop::{Because, Stop};
use super::story::Story;
use crate::stack::StackEnv;
use aws_sdk_rds::types::DbCluster;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The cluster.
pub const CLUSTER: &str = "my-aurora-mysql";
/// Its first database.
pub const DATABASE: &str = "shop";
const ENGINE: &str = "aurora-mysql";
const CLASS: &str = "db.r6g.large";
/// 24 hours, in the unit that the API takes.
const WINDOW: i64 = 86_400;
/// The mark of what a recovery made.
const MADE_BY: &str = "aurora-rewind:recovery";
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

/// Makes the cluster, or what an interrupted run left out of it, and answers its writer endpoint.
///
/// # Errors
///
/// What the RDS API answers, or that the cluster does not become available.
pub async fn cluster(stack: &StackEnv, databases: &Databases, story: &Story) -> Result<String, Stop> {
    let rds = stack.rds();
    let doing = format!("{CLUSTER} could not be made");
    if named(stack, CLUSTER).await?.is_none() {
        story.say(format_args!(
            "CreateDBCluster {CLUSTER}, {ENGINE}, with BacktrackWindow={WINDOW}: seconds, so 24 hours;"
        ));
        story.say("Backtrack is switched on when a cluster is made, and never afterwards.");
        // Clients reach what the record leads to: another cluster may be fenced by now.
        let open = databases.names.lead(&stack.db_record).await.map_err(Stop::new)?.endpoint;
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
            .because(&doing)?;
    }
    story.doing("a cluster comes up", "");
    let deadline = Instant::now() + PATIENCE;
    let endpoint = loop {
        if let Some(cluster) = named(stack, CLUSTER).await? {
            let available = cluster.status() == Some("available");
            if available && cluster.db_cluster_members().is_empty() {
                rds.create_db_instance()
                    .db_instance_identifier(format!("{CLUSTER}-1"))
                    .db_cluster_identifier(CLUSTER)
                    .engine(ENGINE)
                    .db_instance_class(CLASS)
                    .send()
                    .await
                    .because(&doing)?;
            }
            let endpoint = cluster.endpoint().filter(|_| available && cluster.earliest_backtrack_time().is_some());
            if let Some(endpoint) = endpoint.filter(|_| !cluster.db_cluster_members().is_empty())
                && writer_is_up(stack).await?
            {
                break endpoint.to_owned();
            }
        }
        if Instant::now() > deadline {
            return Err(Stop::new(format!("{CLUSTER} does not become available; next step: make down, and once more")));
        }
        story.tick("");
        sleep(POLL).await;
    };
    story.idle();
    Ok(endpoint)
}

async fn named(stack: &StackEnv, name: &str) -> Result<Option<DbCluster>, Stop> {
    Ok(clusters(stack).await?.into_iter().find(|cluster| cluster.db_cluster_identifier() == Some(name)))
}

async fn writer_is_up(stack: &StackEnv) -> Result<bool, Stop> {
    let instances = instances(stack, CLUSTER).await?;
    Ok(!instances.is_empty() && instances.iter().all(|(_, status)| status == "available"))
}

/// The instances of a cluster, with their status.
async fn instances(stack: &StackEnv, cluster: &str) -> Result<Vec<(String, String)>, Stop> {
    let all = stack.rds().describe_db_instances().into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.because("the instances could not be read")?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let of_it = all.into_iter().filter(|instance| instance.db_cluster_identifier() == Some(cluster));
    Ok(of_it.map(|instance| (text(instance.db_instance_identifier()), text(instance.db_instance_status()))).collect())
}

/// Deletes the safety clone of earlier runs: here nobody needs it any more.
///
/// # Errors
///
/// What the RDS API answers.
pub async fn delete_earlier_safety_clone(stack: &StackEnv, story: &Story) -> Result<(), Stop> {
    let rds = stack.rds();
    for safety_clone in clusters(stack).await?.iter().filter(|cluster| is_safety_clone(cluster)) {
        let name = safety_clone.db_cluster_identifier().unwrap_or_default();
        let doing = format!("{name} could not be deleted");
        story.aside(format_args!("{name}, the safety clone of an earlier run, is deleted as that run's output told"));
        let unprotect = rds.modify_db_cluster().db_cluster_identifier(name).deletion_protection(false);
        unprotect.apply_immediately(true).send().await.because(&doing)?;
        let deadline = Instant::now() + PATIENCE;
        while named(stack, name).await?.is_some_and(|cluster| cluster.status() != Some("available")) {
            if Instant::now() > deadline {
                return Err(Stop::new(doing));
            }
            sleep(POLL).await;
        }
        for (instance, _) in instances(stack, name).await? {
            let delete = rds.delete_db_instance().db_instance_identifier(instance);
            delete.skip_final_snapshot(true).send().await.because(&doing)?;
        }
        rds.delete_db_cluster().db_cluster_identifier(name).skip_final_snapshot(true).send().await.because(&doing)?;
    }
    Ok(())
}

/// What a recovery of this story made beside its cluster.
fn is_safety_clone(cluster: &DbCluster) -> bool {
    let name = cluster.db_cluster_identifier().unwrap_or_default();
    let by_a_demo = |tag: &aws_sdk_rds::types::Tag| {
        tag.key() == Some(MADE_BY) && tag.value().is_some_and(|by| by.starts_with(OPERATION))
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
        let tag = made_by.map(|by| Tag::builder().key(MADE_BY).value(by).build());
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
