//! A wait ends when it is over, when it is hopeless, or when its invocation is used up.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{
    ManualClock, STARTED, TARGET, in_place_plan, mysql_rds, plan, rds, rds_with_restored, recovery, time,
};
use rewind_aws::rds::BacktrackClusters;
use rewind_aws::rds::fake::FakeRds;
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers PENDING so many times.
#[derive(Debug, Default)]
struct Pending(AtomicU32);

impl FollowChange for Pending {
    async fn in_sync(&self, id: &str) -> AwsResult<bool> {
        // Another id would ask Route 53 about somebody else's change.
        assert_eq!(id, "C1");
        Ok(self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err())
    }
}

fn step(clusters: FakeRds, pending: u32) -> AwaitRewind<FakeRds, Pending, ManualClock> {
    let (clock, polling) = (ManualClock::at(STARTED), Polling::default());
    AwaitRewind { clusters, changes: Pending(AtomicU32::new(pending)), clock, polling }
}

async fn wait(rds: &FakeRds, what: WaitFor) -> Result<Output, StepError> {
    let awaiting = Awaiting { what, since: time(STARTED), identifier: None };
    step(rds.clone(), 0).run(Input { recovery: recovery(), plan: plan(), awaiting }).await
}

#[tokio::test]
async fn an_available_cluster_is_seen_at_once() {
    let output = wait(&rds_with_restored(), WaitFor::Cluster).await.unwrap();
    assert!(output.done);
    assert!(output.seconds < 0.001);
}

#[tokio::test]
async fn a_wait_that_takes_long_is_handed_back_within_the_budget() {
    let rds = rds_with_restored();
    rds.edit("orders-r", |cluster| cluster.status = "creating".to_owned());
    let output = wait(&rds, WaitFor::Cluster).await.unwrap();
    assert!(!output.done);
    assert_eq!(output.status, "orders-r is creating");
    // Close to the budget and never beyond it: Lambda's own limit is near, and its error says nothing about the
    // cluster.
    assert!((45.0..=50.0).contains(&output.seconds), "{}", output.seconds);
}

#[tokio::test]
async fn a_cluster_that_failed_or_vanished_is_not_waited_for() {
    // None of these states ends by itself, and waiting would only delay the message.
    for status in ["failed", "restore-error", "creation-failed"] {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| cluster.status = status.to_owned());
        assert_eq!(wait(&rds, WaitFor::Cluster).await.unwrap_err().name, ErrorName::RewindFailed, "{status}");
    }
    assert_eq!(wait(&rds(), WaitFor::Cluster).await.unwrap_err().name, ErrorName::RewindFailed);
}

#[tokio::test]
async fn a_restored_cluster_that_somebody_stopped_is_not_called_failed() {
    // RewindFailed deletes the restored cluster, and with it the hours that it took.
    for status in
        ["stopping", "stopped", "storage-full", "inaccessible-encryption-credentials", "incompatible-parameters"]
    {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| cluster.status = status.to_owned());
        assert_eq!(wait(&rds, WaitFor::Cluster).await.unwrap_err().name, ErrorName::ClusterNotReady, "{status}");
    }
}

#[tokio::test]
async fn instances_are_waited_for_one_and_all() {
    let mut instances = rewind_aws::fixtures::instances();
    for (_, instance) in rewind_aws::fixtures::instances() {
        let name = instance.name.replace("orders", "orders-r");
        instances.push(("orders-r".to_owned(), Instance { name, ..instance }));
    }
    let rds = FakeRds::with(rds_with_restored().everything().0, instances);
    assert!(wait(&rds, WaitFor::Instances).await.unwrap().done);
    rds.edit_instances("orders-r", |instance| {
        if instance.name == "orders-r-2" {
            instance.status = "configuring-enhanced-monitoring".to_owned();
        }
    });
    let output = wait(&rds, WaitFor::Instances).await.unwrap();
    assert_eq!((output.done, output.status.as_str()), (false, "orders-r-2 is configuring-enhanced-monitoring"));
    assert!(!wait(&rds_with_restored(), WaitFor::Instances).await.unwrap().done);
}

/// An RDS with the restored cluster and its two instances; `status` is that of the instance that is named.
fn with_instances(name: &str, status: &str) -> FakeRds {
    let mut instances = rewind_aws::fixtures::instances();
    for (_, instance) in rewind_aws::fixtures::instances() {
        let name = instance.name.replace("orders", "orders-r");
        instances.push(("orders-r".to_owned(), Instance { name, ..instance }));
    }
    let rds = FakeRds::with(rds_with_restored().everything().0, instances);
    rds.edit_instances("orders-r", |instance| {
        if instance.name == name {
            status.clone_into(&mut instance.status);
        }
    });
    rds
}

fn writes(rds: &FakeRds, writer: &str) {
    rds.edit("orders-r", |cluster| {
        cluster.members = ["orders-r-1", "orders-r-2"]
            .map(|name| rewind_aws::rds::Member { instance: name.to_owned(), writer: name == writer })
            .to_vec();
    });
}

#[tokio::test]
async fn a_reader_that_came_to_nothing_is_a_difference_and_a_writer_is_a_failure() {
    for status in ["failed", "incompatible-network", "incompatible-parameters", "storage-full", "deleting"] {
        let rds = with_instances("orders-r-2", status);
        writes(&rds, "orders-r-1");
        let output = wait(&rds, WaitFor::Instances).await.unwrap();
        assert!(output.done, "{status}");
        let [reader] = &output.differences[..] else { panic!("{status}: {:?}", output.differences) };
        assert_eq!(
            (reader.what.as_str(), reader.restored.clone()),
            ("reader orders-2", format!("orders-r-2 is {status}"))
        );
        assert!(reader.todo.contains("delete-db-instance --db-instance-identifier orders-r-2"), "{reader:?}");
        assert!(reader.todo.contains("create-db-instance --db-instance-identifier orders-r-2"), "{reader:?}");
        assert!(reader.todo.contains("--tags Key=aurora-rewind:recovery,Value=operation-001"), "{reader:?}");
        let rds = with_instances("orders-r-1", status);
        assert_eq!(wait(&rds, WaitFor::Instances).await.unwrap_err().name, ErrorName::RewindFailed, "{status}");
    }
}

/// Waits for instances, the wait having begun so many minutes ago.
async fn wait_since(rds: &FakeRds, minutes: i64) -> Output {
    let since = time(STARTED) - jiff::SignedDuration::from_mins(minutes);
    let awaiting = Awaiting { what: WaitFor::Instances, since, identifier: None };
    step(rds.clone(), 0).run(Input { recovery: recovery(), plan: plan(), awaiting }).await.unwrap()
}

#[tokio::test]
async fn a_reader_that_is_not_there_after_half_an_hour_is_a_difference_and_a_writer_is_waited_for() {
    let rds = with_instances("orders-r-2", "creating");
    writes(&rds, "orders-r-1");
    assert!(!wait_since(&rds, 20).await.done);
    let output = wait_since(&rds, 30).await;
    assert!(output.done);
    let [reader] = &output.differences[..] else { panic!("{:?}", output.differences) };
    assert_eq!(reader.restored, "orders-r-2 is not available yet: it is creating");
    let rds = with_instances("orders-r-1", "creating");
    let output = wait_since(&rds, 90).await;
    assert_eq!((output.done, output.differences.len()), (false, 0));
}

#[tokio::test]
async fn another_writer_than_the_planned_one_is_reported_where_the_planned_one_could_write() {
    let rds = with_instances("", "");
    writes(&rds, "orders-r-1");
    assert!(!wait(&rds, WaitFor::Instances).await.unwrap().fail_over);
    writes(&rds, "orders-r-2");
    let output = wait(&rds, WaitFor::Instances).await.unwrap();
    assert!(output.done && output.fail_over);
    // It came to nothing: there is nothing to fail over to, and the recovery goes on with the one that writes.
    let rds = with_instances("orders-r-1", "failed");
    writes(&rds, "orders-r-2");
    let output = wait(&rds, WaitFor::Instances).await.unwrap();
    assert!(output.done && !output.fail_over);
    assert_eq!(output.differences[0].what, "writer orders-1");
}

#[tokio::test]
async fn reads_that_fail_for_seconds_do_not_end_the_wait_and_those_that_go_on_do() {
    let rds = rds_with_restored();
    rds.fail_reads(5);
    assert!(wait(&rds, WaitFor::Cluster).await.unwrap().done);
    // The last state that was seen stands, while nothing newer can be.
    rds.edit("orders-r", |cluster| cluster.status = "creating".to_owned());
    let clock_ends = wait(&rds, WaitFor::Cluster).await.unwrap();
    assert_eq!(clock_ends.status, "orders-r is creating");
    rds.fail_reads(usize::MAX);
    let error = wait(&rds, WaitFor::Cluster).await.unwrap_err();
    // The state machine waits out what takes longer, with longer pauses.
    assert_eq!(error.name, ErrorName::Unavailable);
}

#[tokio::test]
async fn the_end_of_a_cluster_is_waited_for_until_it_is_gone() {
    assert!(wait(&rds(), WaitFor::ClusterGone).await.unwrap().done);
    assert!(!wait(&rds_with_restored(), WaitFor::ClusterGone).await.unwrap().done);
    let foreign = rds_with_restored();
    // A cluster that others created under this name will never be deleted by this recovery.
    foreign.edit("orders-r", |cluster| cluster.tags.clear());
    assert!(wait(&foreign, WaitFor::ClusterGone).await.unwrap().done);
    // A name that another engine has taken cannot be read, and what this recovery created is gone all the same.
    foreign.make_foreign("orders-r", "neptune");
    assert!(wait(&foreign, WaitFor::ClusterGone).await.unwrap().done);
}

async fn wait_for(rds: &FakeRds, identifier: Option<&str>) -> Result<Output, StepError> {
    let identifier = identifier.map(ToOwned::to_owned);
    let awaiting = Awaiting { what: WaitFor::Backtrack, since: time(STARTED), identifier };
    step(rds.clone(), 0).run(Input { recovery: recovery(), plan: in_place_plan(), awaiting }).await
}

#[tokio::test]
async fn a_backtrack_is_waited_for_by_its_name_until_the_cluster_and_its_writer_are_back() {
    let rds = mysql_rds();
    rds.start_backtrack("orders", time(TARGET), false).await.unwrap();
    for status in ["pending", "applying"] {
        rds.edit_backtrack(|backtrack| backtrack.status = status.to_owned());
        let output = wait_for(&rds, Some("backtrack-1")).await.unwrap();
        assert_eq!((output.done, output.restored), (false, None));
        assert_eq!(output.status, format!("the backtrack backtrack-1 of orders is {status}"));
    }
    rds.complete_backtracks();
    rds.edit("orders", |cluster| cluster.status = "backtracking".to_owned());
    let output = wait_for(&rds, Some("backtrack-1")).await.unwrap();
    assert_eq!((output.done, output.status.as_str()), (false, "orders is backtracked, and backtracking yet"));
    rds.edit("orders", |cluster| cluster.status = "available".to_owned());
    // RDS restarts the instances after a backtrack, and verify would meet a closed port.
    rds.edit_instances("orders", |instance| instance.status = "rebooting".to_owned());
    let output = wait_for(&rds, Some("backtrack-1")).await.unwrap();
    assert_eq!(
        (output.done, output.status.as_str()),
        (false, "orders is backtracked, and its writer orders-1 rebooting yet")
    );
    // The reader may take longer: nobody waits for it.
    rds.edit_instances("orders", |instance| {
        if instance.name == "orders-1" {
            instance.status = "available".to_owned();
        }
    });
    let output = wait_for(&rds, Some("backtrack-1")).await.unwrap();
    assert!(output.done);
    let restored = output.restored.unwrap();
    assert_eq!((restored.cluster.as_str(), restored.rewound_to), ("orders", time("2026-11-23T10:29:59.75Z")));
    assert_eq!(restored.writer_endpoint, "orders.cluster-x.us-east-1.rds.amazonaws.com");
}

#[tokio::test]
async fn another_backtrack_is_never_taken_for_the_one_that_is_waited_for() {
    let rds = mysql_rds();
    rds.start_backtrack("orders", time(TARGET), false).await.unwrap();
    rds.complete_backtracks();
    // An earlier backtrack that has ended must never stand for the one that has just begun.
    let output = wait_for(&rds, Some("backtrack-2")).await.unwrap();
    assert_eq!(
        (output.done, output.status.as_str()),
        (false, "the backtrack backtrack-2 of orders is not to be seen yet")
    );
    assert_eq!(wait_for(&rds, None).await.unwrap_err().name, ErrorName::Bug);
}

#[tokio::test]
async fn a_failed_backtrack_and_a_lost_cluster_end_the_wait_with_where_the_data_is() {
    let rds = mysql_rds();
    rds.start_backtrack("orders", time(TARGET), false).await.unwrap();
    rds.edit_backtrack(|backtrack| backtrack.status = "failed".to_owned());
    let error = wait_for(&rds, Some("backtrack-1")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert_eq!(
        error.to_string(),
        "AWS says that the backtrack backtrack-1 of orders failed; when this failed, orders was fenced, and its state before the backtrack was on \
         orders-e; next step: read the cluster's events (`aws rds describe-events`)"
    );
    rds.edit_backtrack(|backtrack| backtrack.status = "completed".to_owned());
    rds.edit("orders", |cluster| cluster.status = "failed".to_owned());
    let error = wait_for(&rds, Some("backtrack-1")).await.unwrap_err();
    assert!(error.to_string().starts_with("orders is failed; when this failed, orders was fenced"), "{error}");
}

#[tokio::test]
async fn a_failed_safety_clone_is_reported_with_the_state_of_the_source() {
    let awaiting = Awaiting { what: WaitFor::Cluster, since: time(STARTED), identifier: None };
    let input = Input { recovery: recovery(), plan: in_place_plan(), awaiting };
    let error = step(mysql_rds(), 0).run(input).await.unwrap_err();
    assert!(
        error.to_string().starts_with("the safety clone orders-e is gone; orders is fenced, and was not rewound"),
        "{error}"
    );
}

/// The source is not looked at: its cluster may be gone by then.
async fn wait_for_change(pending: u32, id: Option<&str>) -> Output {
    let identifier = id.map(ToOwned::to_owned);
    let awaiting = Awaiting { what: WaitFor::Change, since: time(STARTED), identifier };
    // An RDS without any cluster: the wait for Route 53 needs none.
    let step = step(FakeRds::with(Vec::new(), Vec::new()), pending);
    step.run(Input { recovery: recovery(), plan: plan(), awaiting }).await.unwrap()
}

#[tokio::test]
async fn moved_records_are_waited_for_until_all_servers_have_them_and_the_old_ttl_is_counted_from_then() {
    let output = wait_for_change(3, Some("C1")).await;
    assert_eq!((output.done, output.status.as_str()), (true, "the change C1 is in sync"));
    // Three pauses of 250 ms: the old TTL is counted from the first poll that saw the change in sync.
    assert_eq!(output.in_sync_at, Some(time("2026-11-23T10:35:00.75Z")));
}

#[tokio::test]
async fn a_change_that_stays_pending_is_handed_back_without_a_time() {
    let output = wait_for_change(u32::MAX, Some("C1")).await;
    assert_eq!((output.done, output.status.as_str()), (false, "the change C1 is pending"));
    assert_eq!(output.in_sync_at, None);
    assert!((45.0..=50.0).contains(&output.seconds), "{}", output.seconds);
}

#[tokio::test]
async fn a_change_whose_id_was_lost_is_not_asked_for_and_has_no_time() {
    // Nobody can be asked about it, so confirm-cutover counts the longest usual time from the swap.
    let output = wait_for_change(0, None).await;
    assert_eq!((output.done, output.in_sync_at), (true, None));
}
