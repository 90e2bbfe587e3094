//! The inventory and removals over AWS in memory: every reason that keeps a cluster, and the way in which each other one is removed.

use crate::ClientError;
use crate::fake::{FakeAws, NOW};
use crate::tests::{ON_SOURCE, Zone};
use rewind_aws::executions::Status;
use rewind_aws::fixtures::{in_place_plan, plan, rds_with_restored, recovered, recovery_record, time};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG, SAFETY_CLONE_OF_TAG};
use rewind_core::{
    CleanUpRecord, FenceLayer, FencesSeen, Inventory, LeaseSeen, Outcome, Plan, PossiblyMoved, RecoveryCluster,
    RecoveryRecord, RemovedBy, UndoRecord,
};
use serde_json::Value;

const ID: &str = "operation-001";
// With a dot at its end and capitals, as people write it.
const ON_RESTORED: &str = "Orders-R.cluster-x.us-east-1.rds.amazonaws.com.";

/// The clusters of one recovery, and what is known of it.
struct World {
    aws: FakeAws,
    rds: FakeRds,
    zone: Zone,
}

impl World {
    /// A recovery of `plan` in `state`: the source is fenced and kept, and the names lead to the restored cluster.
    fn of(state: &str, plan: &Plan) -> Self {
        let world = Self { aws: FakeAws::default(), rds: rds_with_restored(), zone: Zone(Some(ON_RESTORED)) };
        world.record(RecoveryRecord { state: state.into(), ..recovery_record(plan) });
        world.tag("orders", FENCED_BY_TAG, ID);
        world.tag("orders", KEEP_UNTIL_TAG, "2026-11-30T10:40:00Z");
        for name in ["orders", "orders-r"] {
            world.rds.edit(name, |cluster| cluster.deletion_protection = false);
        }
        world
    }

    /// One that failed: nothing is fenced, the names lead to the source, and the restored cluster is kept.
    fn failed() -> Self {
        let world = Self { zone: Zone(Some(ON_SOURCE)), ..Self::of("NothingChanged", &plan()) };
        world.untag("orders");
        world.tag("orders-r", KEEP_UNTIL_TAG, "2026-11-24T10:40:00Z");
        world
    }

    fn record(&self, record: RecoveryRecord) {
        self.aws.state().records.insert(record.id.clone(), record);
    }

    fn edit_record(&self, edit: impl FnOnce(&mut RecoveryRecord)) {
        edit(self.aws.state().records.get_mut(ID).unwrap());
    }

    fn tag(&self, cluster: &str, key: &str, value: &str) {
        self.rds.edit(cluster, |cluster| {
            cluster.tags.retain(|(known, _)| known != key);
            cluster.tags.push((key.into(), value.into()));
        });
    }

    fn untag(&self, cluster: &str) {
        self.rds.edit(cluster, |cluster| cluster.tags.clear());
    }

    async fn inventory(&self) -> Inventory {
        self.aws.client().inventory((&self.rds, &self.zone), time(NOW)).await.unwrap()
    }

    async fn cluster(&self, name: &str) -> RecoveryCluster {
        let inventory = self.inventory().await;
        inventory.clusters.into_iter().find(|cluster| cluster.cluster == name).unwrap()
    }

    /// The reasons for which nobody removes a cluster now.
    async fn kept_because(&self, name: &str) -> String {
        let removal = self.cluster(name).await.removal;
        assert_eq!((removal.by, removal.commands), (RemovedBy::Nobody, Vec::new()), "{:?}", removal.why);
        removal.why.join("; ")
    }

    async fn remove(&self, name: &str, confirm: Option<&str>) -> Result<super::RemovedCluster, ClientError> {
        let inventory = self.inventory().await;
        self.remove_as(&inventory, name, confirm).await
    }

    /// Removes a cluster after people were shown this.
    async fn remove_shown(&self, shown: &Inventory, name: &str) -> Result<super::RemovedCluster, ClientError> {
        self.remove_as(shown, name, Some(name)).await
    }

    async fn remove_as(
        &self,
        shown: &Inventory,
        name: &str,
        confirm: Option<&str>,
    ) -> Result<super::RemovedCluster, ClientError> {
        let world = (&self.rds, &self.zone);
        self.aws.client().remove_cluster(world, shown, name, confirm, ("ann", time(NOW))).await
    }
}

#[tokio::test]
async fn a_fenced_source_that_nobody_uses_is_listed_with_all_that_is_known_of_it() {
    let world = World::of("Recovered", &plan());
    world.rds.add_snapshot("orders-final-operation-001", "orders");
    world.rds.add_snapshot("before-the-sale", "orders");
    let inventory = world.inventory().await;
    let [source, restored] = inventory.clusters.as_slice() else { panic!("{inventory:?}") };
    assert_eq!(source.why, "source, fenced by recovery operation-001, which ended in Recovered");
    assert_eq!(source.kept, "until 2026-11-30T10:40:00Z, in 6d23h50m");
    assert_eq!(source.billed_for, "1 x db.r6g.large and 1 x db.r6g.xlarge, day and night, and its storage");
    assert_eq!(source.usage, "nobody by name: db.example.com and db-ro.example.com lead elsewhere");
    assert_eq!(source.removal.commands, ["rewind clusters --remove orders"]);
    assert_eq!(restored.kept, "no time is set: nothing deletes it by itself");
    assert_eq!(restored.used_by, ["db.example.com", "db-ro.example.com"]);
    let snapshots: Vec<&str> = inventory.snapshots.iter().map(|snapshot| snapshot.snapshot.as_str()).collect();
    assert_eq!(snapshots, ["orders-final-operation-001"], "a snapshot that people took is theirs");
    assert_eq!(inventory.unseen, [""; 0]);
}

#[tokio::test]
async fn what_has_traffic_or_is_held_is_not_removed() {
    let world = World::of("Recovered", &plan());
    assert!(world.kept_because("orders-r").await.contains("it has traffic: db.example.com leads to it"));
    let led_back = World { zone: Zone(Some(ON_SOURCE)), ..world };
    assert!(led_back.kept_because("orders").await.contains("it has traffic: db.example.com leads to it"));

    let world = World::of("Recovered", &plan());
    let lease = LeaseSeen { holder: "r-2".into(), until: time("2026-11-23T12:00:00Z") };
    world.aws.state().leases.insert("orders".into(), lease);
    assert!(world.kept_because("orders").await.contains("r-2 holds orders until 2026-11-23T12:00:00Z"));
    // Whoever resumes the recovery holds the lease of the source.
    let world = World::failed();
    world
        .aws
        .state()
        .leases
        .insert("orders".into(), LeaseSeen { holder: "r-2".into(), until: time("2026-11-23T12:00:00Z") });
    assert!(world.kept_because("orders-r").await.contains("r-2 holds orders"));
    world.aws.state().leases.get_mut("orders").unwrap().until = time("2026-11-23T10:00:00Z");
    assert_eq!(world.cluster("orders-r").await.removal.by, RemovedBy::CleanUp, "a lease that is over is nobody's");
}

#[tokio::test]
async fn what_a_recovery_works_on_is_not_removed_and_what_one_left_that_was_stopped_is() {
    let world = World::failed();
    let arn = world.aws.add_running(ID);
    let why = world.kept_because("orders-r").await;
    assert!(why.contains("the recovery operation-001 runs"), "{why}");
    world.aws.end(&arn, Status::Stopped, Value::Null);
    let stopped = world.cluster("orders-r").await;
    assert_eq!(stopped.removal.by, RemovedBy::CleanUp);
    assert_eq!(stopped.why, "restored from orders by recovery operation-001, which was stopped");
    world.aws.state().fences.insert(ID.into(), FencesSeen { source: true, restored: false, source_lifted_at: None });
    assert!(world.kept_because("orders-r").await.contains("orders may still be fenced"));
}

#[tokio::test]
async fn a_source_that_serves_again_is_not_removed_and_its_restored_cluster_by_the_clean_up_unless_it_is_protected() {
    let world = World { zone: Zone(Some(ON_SOURCE)), ..World::of("Undone", &plan()) };
    let why = world.kept_because("orders").await;
    assert!(why.contains("it is a source that serves, or may: its recovery is Undone"), "{why}");
    assert_eq!(world.cluster("orders-r").await.removal.by, RemovedBy::CleanUp);
    world.rds.edit("orders-r", |cluster| cluster.deletion_protection = true);
    assert!(world.kept_because("orders-r").await.contains("--no-deletion-protection"));
}

#[tokio::test]
async fn what_a_recovery_left_that_needs_a_person_is_removed_by_hand_only() {
    let world = World::of("NeedsOperator", &plan());
    world.aws.state().fences.clear();
    let led_back = World { zone: Zone(Some(ON_SOURCE)), ..world };
    led_back.rds.edit("orders-r", |cluster| {
        cluster.deletion_protection = true;
        cluster.parameter_group = Some("orders-r-jobs-held".into());
    });
    let restored = led_back.cluster("orders-r").await;
    assert_eq!(
        restored.removal.commands,
        [
            "aws rds modify-db-cluster --db-cluster-identifier orders-r --no-deletion-protection --apply-immediately",
            "aws rds wait db-cluster-available --db-cluster-identifier orders-r",
            "aws rds delete-db-cluster --db-cluster-identifier orders-r --final-db-snapshot-identifier \
             orders-r-final-operation-001 --no-delete-automated-backups",
            "aws rds wait db-cluster-deleted --db-cluster-identifier orders-r",
            "aws rds delete-db-cluster-parameter-group --db-cluster-parameter-group-name orders-r-jobs-held",
        ]
    );
    assert_eq!(restored.removal.by, RemovedBy::Hand);
    assert!(restored.removal.why.join("").contains("a person decides"), "{:?}", restored.removal.why);
}

#[tokio::test]
async fn what_the_table_does_not_know_or_a_restore_copied_is_nobody_s_to_remove() {
    let world = World::failed();
    world.tag("orders-r", RECOVERY_TAG, "of-another-stack");
    let other = world.cluster("orders-r").await;
    assert!(other.why.ends_with("which is not in the table of this stack"), "{}", other.why);
    assert!(world.kept_because("orders-r").await.contains("mind the stack"));
    world.tag("orders-r", RECOVERY_TAG, ID);
    world.rds.edit("orders-r", |cluster| cluster.name = "orders-r-copy".into());
    assert!(world.kept_because("orders-r-copy").await.contains("it is a copy"));
    world.rds.edit("orders-r-copy", |cluster| cluster.name = "orders-r".into());
    world.edit_record(|record| record.unreadable.push("undo in the record cannot be read".into()));
    assert!(world.kept_because("orders-r").await.contains("no plan that can be read"));
    world.edit_record(|record| {
        record.unreadable.clear();
        record.clean_up = Some(CleanUpRecord {
            cluster: "orders-r".into(),
            snapshot: "s".into(),
            begun_at: time(NOW),
            instances: Vec::new(),
        });
    });
    assert!(
        world.kept_because("orders-r").await.contains("being deleted since 2026-11-23T10:50:00Z, into the snapshot s")
    );
}

#[tokio::test]
async fn protection_and_a_state_in_which_nothing_can_be_seen_keep_a_cluster() {
    let world = World::failed();
    world.rds.edit("orders-r", |cluster| cluster.deletion_protection = true);
    assert!(world.kept_because("orders-r").await.contains("--no-deletion-protection"));
    world.rds.edit("orders-r", |cluster| {
        cluster.deletion_protection = false;
        cluster.status = "stopped".into();
    });
    assert!(world.kept_because("orders-r").await.contains("aws rds start-db-cluster"));
    assert_eq!(world.cluster("orders-r").await.billed_for, "its storage: it has no instance");
}

#[tokio::test]
async fn a_safety_clone_goes_by_the_clean_up_once_its_recovery_has_ended_well() {
    let world = World::of("Recovered", &in_place_plan());
    world.untag("orders");
    world.rds.edit("orders-r", |cluster| {
        *cluster = Cluster { name: "orders-e".into(), deletion_protection: true, ..cluster.clone() };
    });
    world.tag("orders-e", SAFETY_CLONE_OF_TAG, ID);
    let clone = world.cluster("orders-e").await;
    assert_eq!(clone.why, "safety clone of orders, made by recovery operation-001, which ended in Recovered");
    assert_eq!(clone.usage, "nobody is known: its recovery moves no name");
    // The recovery itself set the protection.
    assert_eq!(clone.removal.by, RemovedBy::CleanUp, "{:?}", clone.removal.why);
    world.edit_record(|record| record.state = "NeedsOperator".into());
    let clone = world.cluster("orders-e").await;
    assert_eq!(clone.removal.by, RemovedBy::Hand);
    assert!(clone.removal.why.join("").contains("a person decides"), "{:?}", clone.removal.why);
}

#[tokio::test]
async fn a_name_that_cannot_be_read_is_told_and_left_to_the_clean_up() {
    let world = World { zone: Zone(None), ..World::failed() };
    let restored = world.cluster("orders-r").await;
    assert_eq!(restored.usage, "not known: no name could be read");
    assert!(restored.unseen[0].starts_with("where db.example.com leads: AccessDenied"), "{:?}", restored.unseen);
    assert_eq!(restored.removal.by, RemovedBy::CleanUp);
}

#[tokio::test]
async fn a_removal_ends_the_time_and_starts_the_clean_up() {
    let world = World::failed();
    let removed = world.remove("orders-r", Some("orders-r")).await.unwrap();
    assert_eq!(removed.keep_until, "2026-11-23T10:49:00Z");
    assert_eq!(world.rds.find("orders-r").unwrap().tag(KEEP_UNTIL_TAG), Some("2026-11-23T10:49:00Z"));
    assert!(removed.keep_command.ends_with("Key=aurora-rewind:keep-until,Value=2026-11-24T10:40:00Z"), "{removed:?}");
    assert!(removed.execution.arn.contains(":execution:clean-up:remove-orders-r-20261123-105000"), "{removed:?}");
    let started = world.aws.state().started.clone();
    assert_eq!(started.len(), 1, "{started:?}");
    assert_eq!(started[0].1["by"], "ann");
}

#[tokio::test]
async fn a_time_that_is_over_already_is_left_as_it_is() {
    let world = World::failed();
    world.tag("orders-r", KEEP_UNTIL_TAG, "2026-11-23T09:00:00Z");
    let removed = world.remove("orders-r", Some("orders-r")).await.unwrap();
    assert_eq!((removed.keep_until.as_str(), world.rds.changes()), ("2026-11-23T09:00:00Z", Vec::new()));
    assert!(removed.keep_command.contains("remove-tags-from-resource"), "{removed:?}");
}

#[tokio::test]
async fn a_removal_that_is_refused_or_whose_tag_is_not_set_changes_and_starts_nothing() {
    let world = World::failed();
    world.rds.add_snapshot("orders-final-operation-001", "orders");
    for (name, confirm, why) in [
        ("orders-r", None, "say its name with --confirm orders-r"),
        ("orders-r", Some("orders"), "into a final snapshot; nothing was changed"),
        ("orders", Some("orders"), "no cluster orders bears the tag of a recovery"),
        ("orders-final-operation-001", None, "aws rds delete-db-cluster-snapshot"),
    ] {
        match world.remove(name, confirm).await {
            Err(ClientError::Refused(message)) => assert!(message.contains(why), "{message}\nlacks {why}"),
            other => panic!("not refused: {other:?}"),
        }
    }
    world.rds.lose(0, Lose::Refused);
    assert!(world.remove("orders-r", Some("orders-r")).await.is_err());
    assert_eq!(world.rds.find("orders-r").unwrap().tag(KEEP_UNTIL_TAG), Some("2026-11-24T10:40:00Z"));
    assert_eq!(world.aws.state().started, []);
}

#[tokio::test]
async fn without_the_state_machine_nothing_is_tagged() {
    let world = World::failed();
    let inventory = world.inventory().await;
    let mut client = world.aws.client();
    client.deployment.clean_up_state_machine = None;
    let reads = (&world.rds, &world.zone);
    let refused = client.remove_cluster(reads, &inventory, "orders-r", Some("orders-r"), ("ann", time(NOW))).await;
    assert!(refused.unwrap_err().to_string().contains("CLEAN_UP_STATE_MACHINE_ARN"));
    assert_eq!(world.rds.changes(), [""; 0]);
}

#[tokio::test]
async fn a_removal_is_of_one_cluster_alone() {
    let world = World::failed();
    world.tag("orders-r", KEEP_UNTIL_TAG, "2026-11-23T09:00:00Z");
    let due = world.cluster("orders-r").await;
    assert!(due.kept.contains("which is over: the clean-up looks every hour"), "{}", due.kept);
    for (hourly, expected) in
        [(Some(false), "nothing deletes it until a person"), (None, "unless the stack's CleanUp is DISABLED")]
    {
        let mut client = world.aws.client();
        client.deployment.cleans_up = hourly;
        let inventory = client.inventory((&world.rds, &world.zone), time(NOW)).await.unwrap();
        let due = inventory.clusters.iter().find(|cluster| cluster.cluster == "orders-r").unwrap();
        assert!(due.kept.contains(expected), "{}", due.kept);
        assert_eq!(inventory.clean_up_hourly, hourly);
    }
    world.remove("orders-r", Some("orders-r")).await.unwrap();
    // The state machine finds no other one.
    assert_eq!(world.aws.state().started[0].1["cluster"], "orders-r");
}

/// The question may have waited for an hour.
#[tokio::test]
async fn what_changed_since_it_was_shown_is_not_removed() {
    type Edit = fn(&World);
    let cases: [(&str, Edit); 4] = [
        ("is not what it was when it was shown", |w| w.tag("orders-r", RECOVERY_TAG, "r-2")),
        ("is not what it was when it was shown", |w| w.tag("orders-r", KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z")),
        ("is not what it was when it was shown", |w| w.rds.edit("orders-r", |cluster| cluster.name.push_str("-gone"))),
        ("r-2 holds orders", |w| {
            let lease = LeaseSeen { holder: "r-2".into(), until: time("2026-11-23T12:00:00Z") };
            w.aws.state().leases.insert("orders".into(), lease);
        }),
    ];
    for (why, edit) in cases {
        let world = World::failed();
        let shown = world.inventory().await;
        edit(&world);
        let tags = world.rds.everything();
        match world.remove_shown(&shown, "orders-r").await {
            Err(ClientError::Refused(message)) => assert!(message.contains(why), "{message}\nlacks {why}"),
            other => panic!("not refused: {other:?}"),
        }
        assert_eq!((world.rds.everything(), world.aws.state().started.len()), (tags, 0));
    }
}

/// The clean-up keeps it whatever its tag says, so a removal would only end a time that does not count.
#[tokio::test]
async fn what_had_the_traffic_until_an_undo_is_removed_by_hand_until_its_time_is_over() {
    let world = World { zone: Zone(Some(ON_SOURCE)), ..World::of("Undone", &plan()) };
    world.tag("orders-r", KEEP_UNTIL_TAG, "2026-11-23T10:45:00Z");
    let undone = |at: &str| {
        world.edit_record(|record| {
            record.moved = Some(PossiblyMoved::default());
            let id = "operation-001-undo".to_owned();
            record.undo = Some(UndoRecord { id, by: None, at: time(at), undone: Vec::new() });
        });
    };
    undone("2026-11-23T10:49:00Z");
    let kept = world.cluster("orders-r").await;
    assert_eq!(kept.removal.by, RemovedBy::Hand);
    let why = kept.removal.why.join("; ");
    assert!(
        why.contains("had the traffic until 2026-11-23T10:49:00Z")
            && why.contains("keeps it until 2026-11-30T10:49:00Z"),
        "{why}"
    );
    assert!(kept.kept.starts_with("until 2026-11-30T10:49:00Z, in "), "{}", kept.kept);
    assert!(kept.removal.commands.join(" ").contains("--final-db-snapshot-identifier orders-r-final-operation-001"));
    assert!(world.remove("orders-r", Some("orders-r")).await.unwrap_err().to_string().contains("delete it by hand"));
    assert_eq!((world.rds.changes(), world.aws.state().started.len()), (Vec::new(), 0));
    undone("2026-11-16T10:49:00Z");
    assert_eq!(world.cluster("orders-r").await.removal.by, RemovedBy::CleanUp);
    // By the layers that the recovery's output names.
    world.edit_record(|record| {
        let mut outcome = recovered();
        let layer = |layer: &str| FenceLayer { layer: layer.into(), did: String::new() };
        outcome.fence.as_mut().unwrap().layers = vec![layer("login"), layer("sessions")];
        record.outcome = Some(Outcome::Recovered(Box::new(outcome)));
    });
    let never = world.cluster("orders-r").await.removal;
    assert_eq!(never.by, RemovedBy::Hand);
    assert!(never.why.join("").contains("without a fence of the network"), "{:?}", never.why);
}
