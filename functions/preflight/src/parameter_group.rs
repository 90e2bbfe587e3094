//! Finds out if the recovery will create a parameter group, with which the restored cluster runs no jobs, as hold-jobs does it.

use rewind_aws::rds::{Cluster, ReadClusters, ReadParameters};
use rewind_core::names::held_jobs_group;
use rewind_core::{
    EVENT_SCHEDULER, Engine, Finding, JobsToHold, LOGICAL_REPLICATION, Plan, StepError, Strategy, is_switched_off,
};

/// True if the recovery will create one, as far as `findings` tell.
pub(crate) async fn is_created<C: ReadClusters + ReadParameters>(
    clusters: &C,
    plan: &Plan,
    source: &Cluster,
    findings: &[Finding],
) -> Result<bool, StepError> {
    if plan.strategy == Strategy::Backtrack {
        return Ok(false);
    }
    if plan.adopted.is_some() {
        // One with an instance keeps the group that it has: another would take a reboot.
        let is_left = |kept: &Cluster| {
            kept.members.is_empty() && kept.parameter_group.as_deref() != Some(&held_jobs_group(&kept.name))
        };
        if !clusters.cluster(&plan.new_cluster).await?.as_ref().is_some_and(is_left) {
            return Ok(false);
        }
    }
    let parameter = match source.engine {
        Engine::AuroraMysql => EVENT_SCHEDULER,
        Engine::AuroraPostgresql => LOGICAL_REPLICATION,
    };
    let value = match &source.parameter_group {
        Some(group) => clusters.cluster_parameter(group, parameter).await?,
        None => None,
    };
    let is_off = value.as_deref().map(is_switched_off);
    Ok(match source.engine {
        // An engine's default may be on.
        Engine::AuroraMysql => is_off != Some(true),
        Engine::AuroraPostgresql => JobsToHold::of(findings, is_off == Some(false)).are_any(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, mysql_source, plan, rds_with_restored, source};
    use rewind_aws::rds::Member;
    use rewind_aws::rds::fake::FakeRds;
    use rewind_core::{Adopted, FindingCode};

    async fn created(rds: &FakeRds, plan: &Plan, source: &Cluster, findings: &[Finding]) -> bool {
        is_created(rds, plan, source, findings).await.unwrap()
    }

    #[tokio::test]
    async fn mysql_gets_a_group_unless_its_own_one_has_the_scheduler_off() {
        let rds = rds_with_restored();
        assert!(created(&rds, &plan(), &mysql_source(), &[]).await);
        rds.set_parameter(EVENT_SCHEDULER, "OFF");
        assert!(!created(&rds, &plan(), &mysql_source(), &[]).await);
        // A default group shows no value of people's.
        assert!(created(&rds, &plan(), &Cluster { parameter_group: None, ..mysql_source() }, &[]).await);
    }

    #[tokio::test]
    async fn postgresql_gets_one_where_something_would_act_by_itself() {
        let rds = rds_with_restored();
        assert!(!created(&rds, &plan(), &source(), &[]).await);
        let cron = Finding::warning(FindingCode::ScheduledJobs, String::new(), String::new());
        assert!(created(&rds, &plan(), &source(), &[cron]).await);
        rds.set_parameter(LOGICAL_REPLICATION, "1");
        assert!(created(&rds, &plan(), &source(), &[]).await);
    }

    #[tokio::test]
    async fn no_group_is_needed_in_place_or_by_an_adopted_cluster_that_has_one_or_an_instance() {
        let rds = rds_with_restored();
        assert!(!created(&rds, &in_place_plan(), &mysql_source(), &[]).await);
        let adopted = Some(Adopted {
            recovery: "earlier".to_owned(),
            owners: Vec::new(),
            keep_until: None,
            checks_of_event: false,
        });
        let plan = Plan { adopted, ..plan() };
        // The recovery that it is of could not create it.
        assert!(created(&rds, &plan, &mysql_source(), &[]).await);
        rds.edit("orders-r", |kept| kept.parameter_group = Some(held_jobs_group("orders-r")));
        assert!(!created(&rds, &plan, &mysql_source(), &[]).await);
        rds.edit("orders-r", |kept| {
            kept.parameter_group = None;
            kept.members = vec![Member { instance: "orders-r-1".to_owned(), writer: true }];
        });
        assert!(!created(&rds, &plan, &mysql_source(), &[]).await);
    }
}
