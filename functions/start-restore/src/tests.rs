//! The restore is started once, whatever is lost on the way.

use super::*;
use rewind_aws::fixtures::{ManualClock, STARTED, TARGET, plan, rds, rds_with_restored, recovery, time};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_core::names::{KEEP_UNTIL_TAG, RECOVERY_TAG};

fn step(clusters: &FakeRds) -> StartRestore<FakeRds, ManualClock> {
    StartRestore { clusters: clusters.clone(), clock: ManualClock::at(STARTED) }
}

fn input() -> Input {
    Input { recovery: recovery(), plan: plan(), lease_until: Some(time("2026-11-25T10:35:00.5Z")) }
}

#[tokio::test]
async fn the_new_cluster_bears_the_source_s_tags_and_the_recovery_s() {
    let rds = rds();
    let restored = step(&rds).run(input()).await.unwrap();
    assert_eq!(restored.rewound_to, time(TARGET));
    let made = rds.find("orders-r").unwrap();
    assert_eq!(made.tag("team"), Some("orders"));
    assert_eq!(made.tag(RECOVERY_TAG), Some("operation-001"));
    // Whoever goes on with it a day later has to know that the source is still the same one.
    assert_eq!(made.tag("aurora-rewind:source-resource-id"), Some("cluster-ORDERS"));
    // AWS refuses the prefix from anybody else, and would refuse the restore with it.
    assert_eq!(made.tag("aws:cloudformation:stack-name"), None);
    // A day after the recovery must be over: one that somebody stops sets no tag any more.
    assert_eq!(made.tag(KEEP_UNTIL_TAG), Some("2026-11-26T10:35:00Z"));
    // A protection that it has before it is live was set by people, whom neither an undo nor the clean-up overrules.
    assert!(rds.find("orders").unwrap().deletion_protection && !made.deletion_protection);
}

#[tokio::test]
async fn a_source_with_as_many_tags_as_there_may_be_is_restored_with_those_that_fit() {
    let rds = rds();
    rds.edit("orders", |source| source.tags = (0..50).map(|n| (format!("k{n}"), "v".to_owned())).collect());
    step(&rds).run(input()).await.unwrap();
    let made = rds.find("orders-r").unwrap();
    assert_eq!(made.tag(RECOVERY_TAG), Some("operation-001"));
    assert_eq!((made.tag("k43"), made.tag("k44")), (Some("v"), None));
    // There is room for the secret, and for who fences it later.
    assert_eq!(made.tags.len(), 48);
}

#[tokio::test]
async fn a_source_that_was_deleted_and_made_anew_since_the_plan_is_not_restored() {
    let rds = rds();
    rds.edit("orders", |source| source.resource_id = "cluster-ANEW".to_owned());
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("(cluster-ORDERS then, cluster-ANEW now)"), "{error}");
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn a_second_run_and_a_lost_answer_start_no_second_restore() {
    for lost in [None, Some(Lose::Answer), Some(Lose::Call)] {
        let rds = rds();
        if let Some(how) = lost {
            rds.lose(0, how);
        }
        let first = step(&rds).run(input()).await;
        // Only where nothing was made is the error passed on: the state machine runs the step again.
        assert_eq!(first.is_err(), lost == Some(Lose::Call));
        let second = step(&rds).run(input()).await.unwrap();
        assert_eq!(second.cluster, "orders-r");
        let sent = rds.changes().len();
        assert_eq!(sent, if lost == Some(Lose::Call) { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_moment_that_aws_cannot_restore_to_yet_is_waited_for() {
    let rds = rds();
    rds.edit("orders", |source| source.latest_restorable = Some(time("2026-11-23T10:29:59Z")));
    assert_eq!(step(&rds).run(input()).await.unwrap_err().name, ErrorName::ClusterNotReady);
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn a_cluster_of_that_name_made_by_others_is_not_used() {
    let rds = rds_with_restored();
    // Another recovery's cluster: its people would lose it without a word.
    rds.edit("orders-r", |cluster| cluster.tags = vec![(RECOVERY_TAG.to_owned(), "another".to_owned())]);
    assert_eq!(step(&rds).run(input()).await.unwrap_err().name, ErrorName::InvalidRequest);
    assert!(rds.changes().is_empty());
}

// -------------------------------------------------------------------------------------------------------------- resume

/// An RDS with the restored cluster that an earlier recovery kept, and a plan that adopts it.
fn kept_by(owner: &str) -> (FakeRds, Input) {
    let rds = rds_with_restored();
    rds.edit("orders-r", |cluster| {
        cluster.tags.retain(|(key, _)| key != RECOVERY_TAG);
        cluster.tags.push((RECOVERY_TAG.to_owned(), owner.to_owned()));
        cluster.tags.push((KEEP_UNTIL_TAG.to_owned(), "2026-11-24T10:30:00Z".to_owned()));
    });
    let owners = vec!["earlier-2".to_owned(), "earlier-1".to_owned()];
    let adopted = Some(Adopted { recovery: "earlier-2".to_owned(), owners, keep_until: None, checks_of_event: false });
    (rds, Input { plan: Plan { adopted, ..plan() }, ..input() })
}

#[tokio::test]
async fn an_adopted_cluster_is_taken_over_and_nothing_is_restored() {
    // Stopped before it had taken the cluster over, the second recovery left it to the first.
    for owner in ["earlier-2", "earlier-1"] {
        let (rds, input) = kept_by(owner);
        let restored = step(&rds).run(input).await.unwrap();
        assert_eq!((restored.cluster.as_str(), restored.rewound_to), ("orders-r", time(TARGET)));
        let taken = rds.find("orders-r").unwrap();
        // Not before this recovery must be over: the clean-up finds none that somebody works on.
        assert_eq!(taken.tag(RECOVERY_TAG), Some("operation-001"));
        assert_eq!(taken.tag(KEEP_UNTIL_TAG), Some("2026-11-26T10:35:00Z"));
        assert_eq!(rds.changes(), [format!("tag {}", taken.arn)]);
    }
}

#[tokio::test]
async fn what_people_made_of_the_time_survives_an_adoption() {
    for (asked, expected) in [
        (Some("2027-01-31T00:00:00Z"), Some("2027-01-31T00:00:00Z")),
        (Some("for ever"), Some("for ever")),
        (None, None),
    ] {
        let (rds, input) = kept_by("earlier-2");
        rds.edit("orders-r", |cluster| {
            cluster.tags.retain(|(key, _)| key != KEEP_UNTIL_TAG);
            cluster.tags.extend(asked.map(|at| (KEEP_UNTIL_TAG.to_owned(), at.to_owned())));
        });
        step(&rds).run(input).await.unwrap();
        assert_eq!(rds.find("orders-r").unwrap().tag(KEEP_UNTIL_TAG), expected);
    }
}

#[tokio::test]
async fn an_adoption_that_is_interrupted_is_finished_by_the_next_run() {
    for how in [Lose::Call, Lose::Answer] {
        let (rds, input) = kept_by("earlier-2");
        rds.lose(0, how);
        assert!(step(&rds).run(input.clone()).await.is_err());
        step(&rds).run(input).await.unwrap();
        assert_eq!(rds.find("orders-r").unwrap().tag(RECOVERY_TAG), Some("operation-001"));
    }
}

#[tokio::test]
async fn a_cluster_that_is_another_s_or_gone_by_now_is_not_adopted() {
    let (rds, input) = kept_by("resumed-meanwhile");
    let error = step(&rds).run(input.clone()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("not the restored cluster of earlier-2 any more"), "{error}");
    rds.edit("orders-r", |cluster| cluster.status = "deleting".to_owned());
    for rds in [rds.clone(), self::rds()] {
        // Nothing is restored in its place: people were shown a plan without a restore.
        let error = step(&rds).run(input.clone()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RewindFailed);
        assert!(error.to_string().contains("is gone since the plan was made") && rds.changes().is_empty(), "{error}");
    }
}
