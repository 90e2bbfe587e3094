//! Every record of the plan's zones that points at what was kept is found, and what cannot be seen is told as a reason.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, rds_with_restored, recovery_record, time};
use rewind_aws::route53::RecordSet;
use rewind_core::RecoveryRecord;
use serde_json::json;

const ID: &str = "operation-001";

/// The table and the zone.
#[derive(Clone)]
struct World {
    record: Option<RecoveryRecord>,
    records: Option<Vec<RecordSet>>,
}

impl ListRecords for World {
    async fn all_records(&self, zone: &str) -> AwsResult<Option<Vec<RecordSet>>> {
        assert_eq!(zone, "Z1");
        Ok(self.records.clone())
    }
}

impl Recoveries for World {
    async fn recovery(&self, id: &str) -> AwsResult<Option<RecoveryRecord>> {
        assert_eq!(id, ID);
        Ok(self.record.clone())
    }

    async fn recoveries(&self) -> AwsResult<Vec<RecoveryRecord>> {
        // Reading all of them would grow with every recovery that was ever made.
        panic!("only one is asked for")
    }
}

fn set(kind: &str, name: &str, value: &str) -> RecordSet {
    RecordSet {
        name: name.to_owned(),
        kind: kind.to_owned(),
        ttl: Some(5),
        values: vec![value.to_owned()],
        routed: false,
    }
}

/// A zone whose records are these and the one that was moved to the restored cluster.
fn world(records: &[RecordSet]) -> World {
    let moved = set("CNAME", "db.example.com", "orders-r.cluster-x.us-east-1.rds.amazonaws.com");
    let records = [&[moved], records].concat();
    World { record: Some(recovery_record(&plan())), records: Some(records) }
}

async fn found(world: &World, cluster: &str) -> Output {
    let step = FindRecords {
        clusters: rds_with_restored(),
        zones: world.clone(),
        recoveries: world.clone(),
        clock: ManualClock::at(STARTED),
    };
    step.run(Input { cluster: cluster.to_owned(), recovery_id: ID.to_owned() }).await.unwrap()
}

#[tokio::test]
async fn records_that_lead_elsewhere_are_no_reason() {
    assert_eq!(found(&world(&[]), "orders").await, Output { read_at: time(STARTED), why: Vec::new() });
}

#[tokio::test]
async fn every_record_that_points_at_an_endpoint_of_the_cluster_or_of_an_instance_is_found() {
    let records = [
        // Names are compared without case and without the dot at the end, as DNS does.
        set("CNAME", "old.example.com", "ORDERS.cluster-x.us-east-1.rds.amazonaws.com."),
        set("CNAME", "ro.example.com", "orders-2.x.us-east-1.rds.amazonaws.com"),
        set("SRV", "srv.example.com", "1 10 5432 orders.cluster-x.us-east-1.rds.amazonaws.com"),
        // Only a whole word counts: another cluster's name may end in this one's.
        set("TXT", "elsewhere.example.com", "not-orders.cluster-x.us-east-1.rds.amazonaws.com"),
    ];
    let why = found(&world(&records), "orders").await.why;
    assert_eq!(
        why,
        [
            "the CNAME record old.example.com points at orders.cluster-x.us-east-1.rds.amazonaws.com",
            "the CNAME record ro.example.com points at orders-2.x.us-east-1.rds.amazonaws.com",
            "the SRV record srv.example.com points at orders.cluster-x.us-east-1.rds.amazonaws.com",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_seen_is_a_reason() {
    let why = vec!["plan in the record cannot be read".to_owned()];
    let unreadable = RecoveryRecord { plan: None, unreadable: why, ..recovery_record(&plan()) };
    for (world, cluster, message) in [
        (World { record: None, ..world(&[]) }, "orders", "the table has no recovery operation-001"),
        (
            World { record: Some(unreadable), ..world(&[]) },
            "orders",
            "the plan of the recovery operation-001 cannot be read",
        ),
        (World { records: None, ..world(&[]) }, "orders", "the hosted zone Z1 is gone"),
        (world(&[]), "another", "another is gone"),
    ] {
        let why = found(&world, cluster).await.why;
        assert!(matches!(why.as_slice(), [one] if one.starts_with(message)), "{why:?}");
    }
}

#[test]
fn what_clean_up_found_is_what_it_reads() {
    // With all that clean-up has in it: an unknown field must not be an error here.
    let due =
        json!({ "cluster": "orders", "clusterArn": "arn", "recoveryId": ID, "keepUntil": STARTED, "kind": "source" });
    let read: Input = serde_json::from_value(due).unwrap();
    assert_eq!((read.cluster.as_str(), read.recovery_id.as_str()), ("orders", ID));
}
