//! One backtrack a recovery, whatever is lost and whatever else was backtracked; none while clients can write; and one
//! forward to undo it.

use super::*;
use rewind_aws::fixtures::{ManualClock, STARTED, TARGET, in_place_plan, mysql_rds, plan, recovery, time};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_core::{JsonDigest, VerifyApprovals, approval_digest};
use rewind_lambda::Approved;

/// When the backtrack is asked for: the state to go forward to.
const FENCED: &str = "2026-11-23T10:37:00Z";
/// When the fence was inspected: right before.
const INSPECTED: &str = "2026-11-23T10:36:58Z";

fn step(clusters: &FakeRds) -> StartBacktrack<FakeRds, ManualClock> {
    let fence_groups = vec!["sg-fence".to_owned()];
    StartBacktrack { clusters: clusters.clone(), fence_groups, clock: ManualClock::at(FENCED) }
}

fn input() -> Input {
    Input {
        recovery: recovery(),
        plan: in_place_plan(),
        inspected_at: Some(time(INSPECTED)),
        backtrack: None,
        approval: None,
    }
}

#[test]
fn people_have_to_approve_every_backtrack() {
    let input = Input { approval: Some("signed".to_owned()), ..input() };
    let plan = in_place_plan();
    assert_eq!(input.to_approve(), Some((&plan, Some("signed"))));
    // The way forward rewinds as well.
    assert_eq!(input.undo_to_approve(), Some((&plan, Some("signed"))));
}

/// A backtrack of anybody's, whose way forward would rewind the cluster by what was written since.
#[tokio::test]
async fn nothing_is_backtracked_forward_that_nobody_approved() {
    let rds = fenced();
    let earlier = rds.start_backtrack("orders", time(TARGET), false).await.unwrap();
    rds.complete_backtracks();
    let backtrack = Backtrack { identifier: earlier.identifier, to: time(TARGET), requested_at: time(FENCED) };
    let input = Input { backtrack: Some(backtrack), ..input() };
    for approval in [None, Some("of another plan".to_owned())] {
        let step = Approved { step: step(&rds), approvals: Key };
        let error = step.undo(Input { approval, ..input.clone() }).await.unwrap_err();
        assert!(error.name == ErrorName::Bug && error.to_string().contains("changed nothing"), "{error}");
    }
    assert_eq!(rds.all_backtracks().len(), 1);
    let approval = Some(format!("{:?}", approval_digest(&in_place_plan())));
    assert!(Approved { step: step(&rds), approvals: Key }.undo(Input { approval, ..input }).await.unwrap().changed);
}

/// A key whose signature is the digest itself.
struct Key;

impl VerifyApprovals for Key {
    async fn verify_approval(&self, digest: &JsonDigest, signature: &str) -> Result<bool, StepError> {
        Ok(signature == format!("{digest:?}"))
    }
}

/// The source as the fence leaves it.
fn fenced() -> FakeRds {
    let rds = mysql_rds();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
    rds.set_now(time(FENCED));
    rds
}

#[tokio::test]
async fn the_cluster_is_backtracked_once_and_a_second_run_finds_it_under_way_or_done() {
    let rds = fenced();
    let first = step(&rds).run(input()).await.unwrap().unwrap();
    assert_eq!(first.to, time(TARGET));
    assert_eq!(first.requested_at, time(FENCED));
    // While it is backtracking the cluster is not available: that is no reason to refuse what is under way. Nor is an inspection
    // that is old by then.
    let late = || Input { inspected_at: Some(time(STARTED)), ..input() };
    assert_eq!(step(&rds).run(late()).await.unwrap(), Some(first.clone()));
    rds.complete_backtracks();
    assert_eq!(step(&rds).run(late()).await.unwrap(), Some(first));
    // One call for three runs: a second backtrack would be a second outage.
    assert_eq!(rds.changes(), ["backtrack orders to 2026-11-23T10:30:00Z"]);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_reading_and_never_by_calling_again() {
    let rds = fenced();
    rds.lose(0, Lose::Answer);
    assert_eq!(step(&rds).run(input()).await.unwrap().unwrap().identifier, "backtrack-1");
    assert_eq!(rds.changes().len(), 1);

    let rds = fenced();
    // From here a lost call and a lost answer look the same, so the list of backtracks is read until the time for that
    // is over.
    rds.lose(0, Lose::Call);
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::OutcomeUnknown);
    assert!(error.to_string().contains("no backtrack of orders has shown within 30 s"), "{error}");
    assert_eq!(rds.changes().len(), 1);
}

#[tokio::test]
async fn a_backtrack_from_before_this_recovery_is_not_taken_for_its_own() {
    let rds = fenced();
    rds.set_now(time("2026-11-23T10:33:00Z"));
    // To the same target, by somebody else, a little before this recovery.
    rds.start_backtrack("orders", time(TARGET), false).await.unwrap();
    rds.complete_backtracks();
    rds.set_now(time(FENCED));
    assert_eq!(step(&rds).undo(input()).await.unwrap(), Undone::nothing());
    assert_eq!(step(&rds).run(input()).await.unwrap().unwrap().identifier, "backtrack-2");
}

#[tokio::test]
async fn nothing_is_backtracked_while_clients_can_write() {
    type Edit = fn(&mut Cluster);
    let groups = "its security groups are";
    let edits: [(Edit, ErrorName, &str); 6] = [
        (|cluster| cluster.security_groups = vec!["sg-app".to_owned()], ErrorName::RewindFailed, groups),
        // The fence's group is there, and another one lets clients in beside it.
        (|cluster| cluster.security_groups.push("sg-app".to_owned()), ErrorName::RewindFailed, groups),
        // Both pass the security groups.
        (|cluster| cluster.data_api = true, ErrorName::RewindFailed, "its Data API is on"),
        (
            |cluster| cluster.write_forwarding = Some("enabled".to_owned()),
            ErrorName::RewindFailed,
            "its write forwarding is enabled",
        ),
        // Groups that are still being applied let new connections in.
        (|cluster| cluster.security_groups_changing = true, ErrorName::ClusterNotReady, "still being applied"),
        (|cluster| cluster.status = "modifying".to_owned(), ErrorName::ClusterNotReady, "orders is modifying"),
    ];
    for (edit, name, message) in edits {
        let rds = fenced();
        rds.edit("orders", edit);
        let error = step(&rds).run(input()).await.unwrap_err();
        assert_eq!(error.name, name, "{error}");
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
        assert!(rds.changes().is_empty());
    }
}

#[tokio::test]
async fn a_fence_group_that_the_cluster_always_had_does_not_hide_the_fence() {
    let rds = fenced();
    let mut always = input();
    // The functions' own group may be on the cluster at all times, so one common group is no sign of a fence.
    always.plan.backtrack.as_mut().unwrap().security_groups = vec!["sg-app".to_owned(), "sg-fence".to_owned()];
    assert!(step(&rds).run(always).await.is_ok());
}

#[tokio::test]
async fn a_moment_that_went_out_of_reach_since_the_plan_is_refused_and_never_moved() {
    let rds = fenced();
    // The window moved on while people decided.
    rds.edit("orders", |cluster| cluster.earliest_backtrack = Some(time("2026-11-23T10:31:00Z")));
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("is out of reach since the plan was made"), "{error}");
    assert!(rds.changes().is_empty());
}

#[tokio::test]
async fn binary_logging_is_forced_past_only_where_the_plan_has_it() {
    let rds = fenced();
    rds.set_parameter("binlog_format", "ROW");
    let error = step(&rds).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    // Forcing breaks readers of the binary log downstream, which the plan has to say before people approve it.
    assert!(error.to_string().contains("no backtrack of orders was started"), "{error}");
    let mut forced = input();
    forced.plan.backtrack.as_mut().unwrap().force = true;
    assert!(step(&rds).run(forced).await.is_ok());
}

#[tokio::test]
async fn undo_goes_forward_to_where_the_cluster_was_once() {
    let rds = fenced();
    step(&rds).run(input()).await.unwrap();
    let waiting = step(&rds).undo(input()).await.unwrap_err();
    // AWS refuses a second backtrack while the first one runs.
    assert_eq!(waiting.name, ErrorName::ClusterNotReady);
    assert!(waiting.to_string().contains("backtrack-1 of orders is still pending"), "{waiting}");
    rds.complete_backtracks();
    rds.set_now(time("2026-11-23T10:45:00Z"));
    let undone = step(&rds).undo(input()).await.unwrap();
    let forward = undone.backtrack.clone().unwrap();
    assert_eq!((forward.identifier.as_str(), forward.to), ("backtrack-2", time(FENCED)));
    assert!(undone.changed && undone.what[0].contains("forward to 2026-11-23T10:37:00Z"), "{undone:?}");
    assert_eq!(step(&rds).undo(input()).await.unwrap(), undone);
    rds.complete_backtracks();
    assert_eq!(step(&rds).undo(input()).await.unwrap(), undone);
    // One back and one forward, however often the undo runs.
    assert_eq!(rds.all_backtracks().len(), 2);
}

#[tokio::test]
async fn undo_finds_by_its_identifier_what_landed_far_from_where_it_was_asked_to() {
    let rds = fenced();
    let started = step(&rds).run(input()).await.unwrap().unwrap();
    rds.complete_backtracks();
    // Ten minutes off is far beyond the drift by which the step recognises its own backtrack.
    rds.edit_backtrack(|backtrack| backtrack.to = Some(time("2026-11-23T10:20:00Z")));
    let known = Input { backtrack: Some(started.clone()), ..input() };
    assert_eq!(step(&rds).undo(known).await.unwrap().backtrack.unwrap().to, time(FENCED));

    let unknown = Backtrack { identifier: "backtrack-9".to_owned(), ..started };
    let error = step(&rds).undo(Input { backtrack: Some(unknown), ..input() }).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("AWS shows the backtrack backtrack-9 of orders no more"), "{error}");
}

#[tokio::test]
async fn a_way_forward_that_failed_is_asked_for_again() {
    let rds = fenced();
    step(&rds).run(input()).await.unwrap();
    rds.complete_backtracks();
    step(&rds).undo(input()).await.unwrap();
    rds.edit_backtrack(|forward| forward.status = "failed".to_owned());
    assert_eq!(step(&rds).undo(input()).await.unwrap().backtrack.unwrap().identifier, "backtrack-3");
}

#[tokio::test]
async fn a_lost_answer_on_the_way_forward_starts_no_second_one() {
    for how in [Lose::Answer, Lose::Call] {
        let rds = fenced();
        step(&rds).run(input()).await.unwrap();
        rds.complete_backtracks();
        rds.lose(0, how);
        let first = step(&rds).undo(input()).await;
        assert_eq!(first.is_err(), how == Lose::Call);
        assert_eq!(step(&rds).undo(input()).await.unwrap().backtrack.unwrap().identifier, "backtrack-2");
        assert_eq!(rds.all_backtracks().len(), 2, "{how:?}");
    }
}

#[tokio::test]
async fn a_short_way_back_is_not_taken_for_the_way_forward() {
    // The target is 20 seconds before the backtrack is asked for: both lie within the drift of a consistent time.
    let mut short = input();
    short.plan.target = time("2026-11-23T10:36:40Z");
    let rds = fenced();
    let back = step(&rds).run(short.clone()).await.unwrap().unwrap();
    rds.complete_backtracks();
    let forward = step(&rds).undo(short.clone()).await.unwrap().backtrack.unwrap();
    // Taken for the way forward, the backtrack to the target would leave the cluster rewound and reported as restored.
    assert_ne!(back.identifier, forward.identifier);
    assert_eq!(step(&rds).run(short).await.unwrap(), Some(back));
}

#[tokio::test]
async fn there_is_nothing_to_take_back_of_what_never_began_or_failed() {
    let rds = fenced();
    assert_eq!(step(&rds).undo(input()).await.unwrap(), Undone::nothing());
    assert_eq!(step(&rds).undo(Input { plan: plan(), ..input() }).await.unwrap(), Undone::nothing());
    step(&rds).run(input()).await.unwrap();
    rds.edit_backtrack(|backtrack| backtrack.status = "failed".to_owned());
    assert_eq!(step(&rds).undo(input()).await.unwrap(), Undone::nothing());
    assert_eq!(rds.all_backtracks().len(), 1);
}

#[tokio::test]
async fn a_cluster_that_backtracks_unseen_is_not_called_untouched() {
    let rds = fenced();
    // The status can change before the list shows the backtrack.
    rds.edit("orders", |cluster| cluster.status = "backtracking".to_owned());
    let error = step(&rds).undo(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ClusterNotReady);
    assert!(error.to_string().contains("AWS does not show the backtrack yet"), "{error}");
}

#[tokio::test]
async fn side_by_side_nothing_is_backtracked() {
    let rds = fenced();
    let error = step(&rds).run(Input { plan: plan(), ..input() }).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Bug);
    assert_eq!(time(STARTED), recovery().started_at);
}

#[tokio::test]
async fn nothing_is_backtracked_on_the_word_of_an_old_inspection() {
    let rds = fenced();
    let inspected = |at: &str| Input { inspected_at: Some(time(at)), ..input() };
    // What it was retried for took a while, in which the fence may have been opened and closed again.
    assert_eq!(step(&rds).run(inspected("2026-11-23T10:36:29Z")).await.unwrap(), None);
    assert!(rds.changes().is_empty());
    // A cluster that is not ready is waited for here, where the calls are.
    rds.edit("orders", |cluster| cluster.status = "modifying".to_owned());
    let error = step(&rds).run(inspected("2026-11-23T10:36:29Z")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ClusterNotReady);
    rds.edit("orders", |cluster| cluster.status = "available".to_owned());
    let error = step(&rds).run(Input { inspected_at: None, ..input() }).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Bug);
    assert!(step(&rds).run(inspected("2026-11-23T10:36:31Z")).await.unwrap().is_some());
}

/// The source as a backtrack of this recovery leaves it, ten minutes later.
async fn rewound() -> FakeRds {
    let rds = fenced();
    step(&rds).run(input()).await.unwrap();
    rds.complete_backtracks();
    rds.set_now(time("2026-11-23T10:45:00Z"));
    rds
}

#[tokio::test]
async fn nothing_goes_forward_over_what_clients_may_have_written() {
    type Edit = fn(&mut Cluster);
    let edits: [(Edit, &str); 4] = [
        (|cluster| cluster.security_groups = vec!["sg-app".to_owned()], "its security groups are sg-app"),
        (|cluster| cluster.security_groups.push("sg-app".to_owned()), "may only be sg-fence"),
        (|cluster| cluster.data_api = true, "its Data API is on"),
        (|cluster| cluster.write_forwarding = Some("enabled".to_owned()), "its write forwarding is enabled"),
    ];
    for (edit, why) in edits {
        let rds = rewound().await;
        rds.edit("orders", edit);
        let error = step(&rds).undo(input()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RewindFailed, "{error}");
        for part in [why, "clients may have written", "no backtrack was started: orders is rewound", "is on orders-e"] {
            assert!(error.to_string().contains(part), "{error}\nlacks {part}");
        }
        assert_eq!(rds.all_backtracks().len(), 1);
    }
    // One that has gone forward already is found, whoever opened it since.
    let rds = rewound().await;
    let forward = step(&rds).undo(input()).await.unwrap();
    rds.complete_backtracks();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-app".to_owned()]);
    assert_eq!(step(&rds).undo(input()).await.unwrap(), forward);
}

#[tokio::test]
async fn nothing_goes_forward_over_a_later_backtrack_of_somebody_else() {
    let rds = rewound().await;
    // Behind the same security groups, which are those of any recovery in place.
    rds.start_backtrack("orders", time("2026-11-23T10:05:00Z"), false).await.unwrap();
    rds.complete_backtracks();
    let error = step(&rds).undo(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    for part in ["after the backtrack backtrack-1, by backtrack-2", "no backtrack was started", "is on orders-e"] {
        assert!(error.to_string().contains(part), "{error}\nlacks {part}");
    }
    assert_eq!(rds.all_backtracks().len(), 2);
    // One that failed left the cluster as it was.
    rds.edit_backtrack(|later| later.status = "failed".to_owned());
    assert_eq!(step(&rds).undo(input()).await.unwrap().backtrack.unwrap().identifier, "backtrack-3");
}

#[tokio::test]
async fn a_moment_before_the_backtrack_that_went_out_of_reach_is_refused_with_the_safety_clone() {
    let rds = rewound().await;
    rds.edit("orders", |cluster| cluster.earliest_backtrack = Some(time("2026-11-23T10:40:00Z")));
    let error = step(&rds).undo(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    for part in ["is out of reach: Backtrack reaches back to 2026-11-23T10:40:00Z", "is on orders-e"] {
        assert!(error.to_string().contains(part), "{error}\nlacks {part}");
    }
    assert_eq!(rds.all_backtracks().len(), 1);
}
