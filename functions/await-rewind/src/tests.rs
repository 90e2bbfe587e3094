//! A wait ends when it is over, when it is hopeless, or when its invocation is used up.

use super::*;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, rds, rds_with_restored, recovery, time};
use rewind_aws::rds::fake::FakeRds;

async fn wait(rds: &FakeRds, what: What) -> Result<Output, StepError> {
    let step = AwaitRewind { clusters: rds.clone(), clock: ManualClock::at(STARTED), polling: Polling::default() };
    let awaiting = Awaiting { what, since: time(STARTED), identifier: None };
    step.run(Input { recovery: recovery(), plan: plan(), awaiting }).await
}

#[tokio::test]
async fn an_available_cluster_is_seen_at_once() {
    let output = wait(&rds_with_restored(), What::Cluster).await.unwrap();
    assert!(output.done);
    assert!(output.seconds < 0.001);
}

#[tokio::test]
async fn a_wait_that_takes_long_is_handed_back_within_the_budget() {
    let rds = rds_with_restored();
    rds.edit("orders-r", |cluster| cluster.status = "creating".to_owned());
    let output = wait(&rds, What::Cluster).await.unwrap();
    assert!(!output.done);
    assert_eq!(output.status, "orders-r is creating");
    assert!((45.0..=50.0).contains(&output.seconds), "{}", output.seconds);
}

#[tokio::test]
async fn a_cluster_that_failed_or_vanished_is_not_waited_for() {
    for status in ["failed", "restore-error", "incompatible-parameters", "inaccessible-encryption-credentials"] {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| cluster.status = status.to_owned());
        assert_eq!(wait(&rds, What::Cluster).await.unwrap_err().name, ErrorName::RewindFailed, "{status}");
    }
    assert_eq!(wait(&rds(), What::Cluster).await.unwrap_err().name, ErrorName::RewindFailed);
}

#[tokio::test]
async fn instances_are_waited_for_one_and_all() {
    let mut instances = rewind_aws::fixtures::instances();
    for (_, instance) in rewind_aws::fixtures::instances() {
        let name = instance.name.replace("orders", "orders-r");
        instances.push(("orders-r".to_owned(), Instance { name, ..instance }));
    }
    let rds = FakeRds::with(rds_with_restored().everything().0, instances);
    assert!(wait(&rds, What::Instances).await.unwrap().done);
    rds.edit_instances("orders-r", |instance| {
        if instance.name == "orders-r-2" {
            instance.status = "configuring-enhanced-monitoring".to_owned();
        }
    });
    let output = wait(&rds, What::Instances).await.unwrap();
    assert_eq!((output.done, output.status.as_str()), (false, "orders-r-2 is configuring-enhanced-monitoring"));
    assert!(!wait(&rds_with_restored(), What::Instances).await.unwrap().done);
}

#[tokio::test]
async fn the_end_of_a_cluster_is_waited_for_until_it_is_gone() {
    assert!(wait(&rds(), What::ClusterGone).await.unwrap().done);
    assert!(!wait(&rds_with_restored(), What::ClusterGone).await.unwrap().done);
    let foreign = rds_with_restored();
    foreign.edit("orders-r", |cluster| cluster.tags.clear());
    assert!(wait(&foreign, What::ClusterGone).await.unwrap().done);
}
