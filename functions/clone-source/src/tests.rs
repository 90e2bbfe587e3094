//! The safety clone is taken once, whatever is lost on the way, bears the groups from before the fence, and goes only by undo.

use super::*;
use rewind_aws::fixtures::{ManualClock, STARTED, in_place_plan, mysql_rds, plan, recovery, time};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_aws::rds::tags::too_many;
use rewind_aws::rds::{Deletion, delete_created};
use rewind_core::names::{KEEP_UNTIL_TAG, RECOVERY_TAG, SAFETY_CLONE_OF_TAG};

fn step(clusters: &FakeRds, now: &str) -> CloneSource<FakeRds, ManualClock> {
    CloneSource { clusters: clusters.clone(), clock: ManualClock::at(now) }
}

fn input() -> Input {
    Input { recovery: recovery(), plan: in_place_plan(), lease_until: Some(time("2026-11-25T10:35:00.5Z")) }
}

/// Undoes the step as delete-restored does: the state machine has one undo for every cluster that a recovery created.
async fn undo(rds: &FakeRds) -> Result<bool, StepError> {
    Ok(delete_created(rds, &recovery(), &in_place_plan()).await? != Deletion::None)
}

/// The source as the fence leaves it.
fn fenced() -> FakeRds {
    let rds = mysql_rds();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
    rds
}

#[tokio::test]
async fn the_clone_of_now_can_be_read_and_has_no_protection_that_would_keep_a_failed_one() {
    let rds = fenced();
    // Compared as a whole at the end: the step runs inside the fence, where a changed source would go unnoticed.
    let source = rds.find("orders");
    let safety_clone = step(&rds, "2026-11-23T10:36:00Z").run(input()).await.unwrap();
    assert_eq!((safety_clone.cluster.as_str(), safety_clone.rewound_to), ("orders-e", time("2026-11-23T10:36:00Z")));
    assert_eq!(safety_clone.differences, []);
    let made = rds.find("orders-e").unwrap();
    assert!(made.clone_group.is_some() && !made.deletion_protection);
    assert_eq!(made.security_groups, ["sg-app"]);
    assert_eq!((made.tag("team"), made.tag(RECOVERY_TAG)), (Some("orders"), Some("operation-001")));
    // The lease, and `keepSource` after it. Without the mark the clean-up deletes none.
    assert_eq!((made.tag(KEEP_UNTIL_TAG), made.tag(SAFETY_CLONE_OF_TAG)), (Some("2026-12-02T10:35:00Z"), None));
    assert_eq!(rds.find("orders"), source);
}

#[tokio::test]
async fn the_clone_of_a_source_with_fifty_tags_has_room_for_the_marks_of_the_safety_clone() {
    let rds = fenced();
    rds.edit("orders", |source| source.tags = (0..50).map(|n| (format!("k{n}"), String::new())).collect());
    step(&rds, STARTED).run(input()).await.unwrap();
    let made = rds.find("orders-e").unwrap();
    assert_eq!(too_many(&made.tags, &[SAFETY_CLONE_OF_TAG, KEEP_UNTIL_TAG]), 0);
    assert_eq!((made.tag("k43"), made.tag(RECOVERY_TAG)), (Some(""), Some("operation-001")));
}

#[tokio::test]
async fn a_second_run_and_a_lost_answer_take_no_second_clone_and_report_the_first_one_s_time() {
    for lost in [None, Some(Lose::Answer), Some(Lose::Call)] {
        let rds = fenced();
        if let Some(how) = lost {
            rds.lose(0, how);
        }
        let first = step(&rds, STARTED).run(input()).await;
        assert_eq!(first.is_err(), lost == Some(Lose::Call));
        let later = "2026-11-23T11:00:00Z";
        let second = step(&rds, later).run(input()).await.unwrap();
        let taken = if lost == Some(Lose::Call) { later } else { STARTED };
        assert_eq!(second.rewound_to, time(taken));
        assert_eq!(rds.changes().len(), if lost == Some(Lose::Call) { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_cluster_of_that_name_made_by_others_is_no_safety_clone_and_stays() {
    let rds = fenced();
    step(&rds, STARTED).run(input()).await.unwrap();
    rds.edit("orders-e", |cluster| cluster.tags.clear());
    let error = step(&rds, STARTED).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("this step changed nothing"), "{error}");
    assert_eq!(undo(&rds).await, Ok(false));
    assert!(rds.find("orders-e").is_some());
}

#[tokio::test]
async fn undo_deletes_the_protected_clone_and_leaves_the_cluster_alone() {
    for interrupted_at in 0..2 {
        for how in [Lose::Call, Lose::Answer] {
            let rds = fenced();
            let before = rds.everything();
            step(&rds, STARTED).run(input()).await.unwrap();
            // As add-instances leaves it.
            rds.edit("orders-e", |safety_clone| {
                safety_clone.status = "available".to_owned();
                safety_clone.deletion_protection = true;
            });
            rds.lose(interrupted_at, how);
            assert!(undo(&rds).await.is_err());
            undo(&rds).await.unwrap();
            assert_eq!(rds.everything(), before, "interrupted at change {interrupted_at}, {how:?}");
        }
    }
}

#[tokio::test]
async fn a_clone_that_comes_to_nothing_is_deleted_though_rds_changes_nothing_on_it() {
    for status in ["creating", "failed", "restore-error", "cloning-failed"] {
        let rds = fenced();
        let before = rds.everything();
        step(&rds, STARTED).run(input()).await.unwrap();
        rds.edit("orders-e", |safety_clone| safety_clone.status = status.to_owned());
        undo(&rds).await.unwrap();
        assert_eq!(rds.everything(), before, "{status}");
        assert!(rds.all_snapshots().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn side_by_side_there_is_no_safety_clone_to_keep() {
    let rds = fenced();
    let side_by_side = Input { recovery: recovery(), plan: plan(), lease_until: None };
    assert_eq!(step(&rds, STARTED).run(side_by_side).await.unwrap_err().name, ErrorName::Bug);
    rds.edit("orders", |cluster| cluster.name = "renamed".to_owned());
    let error = step(&rds, STARTED).run(input()).await.unwrap_err();
    assert!(error.to_string().contains("orders is gone since the plan was made"), "{error}");
    assert!(rds.changes().is_empty());
}
