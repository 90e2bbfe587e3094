//! Only what is exactly as a finished recovery left it is deleted, once, and into a snapshot.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fence_records::ReadFences;
use rewind_aws::fixtures::{
    ManualClock, in_place_plan, instances, mysql_source, plan, rds_with_restored, recovery_record, safety_clone, time,
};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_aws::rds::{Instance, Member};
use rewind_aws::records::Lease;
use rewind_core::names::{RECOVERY_TAG, SECRET_TAG, secret_tag_value};
use rewind_core::{ErrorName, Opening, Plan, PossiblyMoved, UndoRecord};
use rewind_db::fence::Inspection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const UNTIL: &str = "2026-11-30T10:40:00Z";
const AFTER: &str = "2026-11-30T10:41:00Z";
const ID: &str = "operation-001";

/// All that the step sees but RDS, as a finished recovery left it. Clones share what changes.
#[derive(Clone)]
struct World {
    rds: FakeRds,
    record: Option<RecoveryRecord>,
    records: Option<Records>,
    inside: Result<Inspection, StepError>,
    notes: Arc<Mutex<Vec<(String, Value)>>>,
    /// By cluster.
    leases: Arc<Mutex<BTreeMap<String, Lease>>>,
    /// The changes of leases, each with the number of changes of RDS before it.
    leased: Arc<Mutex<Vec<String>>>,
    /// The number of reads of the note after which another call has taken it back.
    note_stays_for: Arc<Mutex<Option<usize>>>,
    /// Somebody opens the cluster just before the note of its deletion is written.
    opens: Arc<Mutex<Option<Opens>>>,
    now: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    Next,
    Now,
}

impl Recoveries for World {
    async fn recovery(&self, id: &str) -> AwsResult<Option<RecoveryRecord>> {
        let mut record = self.record.clone().filter(|record| record.id == id);
        if *self.opens.lock().unwrap() == Some(Opens::Now) {
            record.as_mut().unwrap().opening = Some(opening());
        }
        Ok(record)
    }

    async fn recoveries(&self) -> AwsResult<Vec<RecoveryRecord>> {
        Ok(self.record.clone().into_iter().collect())
    }
}

impl Notes for World {
    async fn note(&self, _: &str, name: &str) -> AwsResult<Option<Value>> {
        let left = *self.note_stays_for.lock().unwrap();
        if name == CLEAN_UP_NOTE
            && let Some(left) = left
        {
            *self.note_stays_for.lock().unwrap() = left.checked_sub(1);
            self.notes.lock().unwrap().retain(|_| left > 0);
        }
        Ok(self.notes.lock().unwrap().iter().find(|(of, _)| of == name).map(|(_, value)| value.clone()))
    }

    async fn note_once(&self, _: &str, name: &str, _: &Value) -> AwsResult<Value> {
        // It would not see that somebody opens the cluster.
        panic!("{name} is noted as a deletion")
    }

    async fn note_again(&self, _: &str, name: &str, _: &Value) -> AwsResult<()> {
        // A second run that wrote the note again would lose the time at which the deletion began.
        panic!("{name} was noted, and stays as it is")
    }
}

impl NoteDeletions for World {
    async fn note_deletion(&self, id: &str, name: &str, value: &Value) -> AwsResult<bool> {
        if let Some(opens) = self.opens.lock().unwrap().as_mut() {
            *opens = Opens::Now;
            return Ok(false);
        }
        if self.note(id, name).await?.is_some() {
            return Ok(true);
        }
        // An undo that reads no note moves traffic back to this cluster. So a note after the first change would come
        // too late.
        assert!(self.rds.changes().is_empty());
        self.notes.lock().unwrap().push((name.to_owned(), value.clone()));
        Ok(true)
    }
}

impl ReadFences for World {
    async fn was_fenced(&self, id: &str, name: &str) -> AwsResult<bool> {
        Ok(self.note(id, name).await?.is_some())
    }
}

impl RemoveNotes for World {
    async fn remove_note(&self, _: &str, name: &str) -> AwsResult<()> {
        self.notes.lock().unwrap().retain(|(of, _)| of != name);
        Ok(())
    }
}

impl Leases for World {
    async fn take_lease(&self, cluster: &str, lease: &Lease) -> AwsResult<bool> {
        let mut leases = self.leases.lock().unwrap();
        let held = leases.get(cluster);
        let free = held.is_none_or(|held| held.holder == lease.holder || held.expires_at < lease.taken_at);
        if free {
            self.leased.lock().unwrap().push(format!("take {cluster}"));
            leases.insert(cluster.to_owned(), lease.clone());
        }
        Ok(free)
    }

    async fn release_lease(&self, cluster: &str, holder: &str) -> AwsResult<()> {
        let mut leases = self.leases.lock().unwrap();
        if leases.get(cluster).is_some_and(|held| held.holder == holder) {
            let changes = self.rds.changes().len();
            self.leased.lock().unwrap().push(format!("release {cluster} after {changes}"));
            leases.remove(cluster);
        }
        Ok(())
    }
}

impl ReadSessions for World {
    async fn sessions(&self, _: &Kept, _: &Plan, _: &Cluster, _: &[Instance]) -> Result<Inspection, StepError> {
        self.inside.clone()
    }
}

fn record(plan: &Plan) -> RecoveryRecord {
    RecoveryRecord { id: ID.to_owned(), ..recovery_record(plan) }
}

fn tag(cluster: &mut Cluster, key: &str, value: &str) {
    cluster.tags.retain(|(of, _)| of != key);
    cluster.tags.push((key.to_owned(), value.to_owned()));
}

impl World {
    fn of(rds: FakeRds, plan: &Plan) -> Self {
        Self {
            rds,
            record: Some(record(plan)),
            records: Some(Records { read_at: time(AFTER), why: Vec::new() }),
            inside: Ok(Inspection::default()),
            notes: Arc::default(),
            leases: Arc::default(),
            leased: Arc::default(),
            note_stays_for: Arc::default(),
            opens: Arc::default(),
            now: AFTER,
        }
    }

    /// Side by side: the source is kept, behind the fence.
    fn source() -> Self {
        let rds = rds_with_restored();
        rds.edit("orders", |cluster| {
            tag(cluster, FENCED_BY_TAG, ID);
            tag(cluster, KEEP_UNTIL_TAG, UNTIL);
            cluster.deletion_protection = false;
            cluster.security_groups = vec!["sg-fence".to_owned()];
        });
        // With a secret of its own: without one the source's secret, which goes with the source, still serves its
        // clients.
        rds.edit("orders-r", |cluster| cluster.master_secret = Some("arn:of:its-own".to_owned()));
        Self::of(rds, &plan())
    }

    /// In place: the safety clone is kept, protected.
    fn safety_clone() -> Self {
        let clone = Cluster {
            name: "orders-e".to_owned(),
            arn: safety_clone().cluster_arn,
            endpoint: Some(safety_clone().writer_endpoint),
            members: vec![Member { instance: "orders-e-1".to_owned(), writer: true }],
            tags: [(RECOVERY_TAG, ID), (SAFETY_CLONE_OF_TAG, ID), (KEEP_UNTIL_TAG, UNTIL)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            ..mysql_source()
        };
        let instance =
            Instance { name: "orders-e-1".to_owned(), status: "available".to_owned(), ..Instance::default() };
        let mut all = instances();
        all.push(("orders-e".to_owned(), instance));
        Self::of(FakeRds::with(vec![mysql_source(), clone], all), &in_place_plan())
    }

    /// Side by side: the recovery failed in `state`, and its restored cluster is kept.
    fn restored(state: &str) -> Self {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| {
            tag(cluster, KEEP_UNTIL_TAG, UNTIL);
            cluster.members = vec![Member { instance: "orders-r-1".to_owned(), writer: true }];
            cluster.deletion_protection = false;
        });
        let (clusters, mut all) = rds.everything();
        let instance =
            Instance { name: "orders-r-1".to_owned(), status: "available".to_owned(), ..Instance::default() };
        all.push(("orders-r".to_owned(), instance));
        let mut world = Self::of(FakeRds::with(clusters, all), &plan());
        world.record.as_mut().unwrap().state = state.to_owned();
        world
    }

    fn step(&self) -> CleanUp<FakeRds, World, World, World, ManualClock> {
        CleanUp {
            clusters: self.rds.clone(),
            recoveries: self.clone(),
            notes: self.clone(),
            sessions: self.clone(),
            clock: ManualClock::at(self.now),
            polling: Polling::default(),
            fence_groups: vec!["sg-fence".to_owned()],
        }
    }

    async fn due(&self) -> Vec<Kept> {
        self.due_of(None).await
    }

    async fn due_of(&self, cluster: Option<&str>) -> Vec<Kept> {
        let (cluster, execution_arn) =
            (cluster.map(ToOwned::to_owned), "arn:aws:states:e:1:execution:m:hourly".to_owned());
        match self.step().run(Input::Find { cluster, execution_arn }).await.unwrap() {
            Output::Found { due } => due,
            other => panic!("{other:?}"),
        }
    }

    async fn why(&self, kept: &Kept) -> Vec<String> {
        match self.step().run(Input::Check(self.asked(kept))).await.unwrap() {
            Output::Checked { unused, why } => {
                assert_eq!(unused, why.is_empty());
                why
            }
            other => panic!("{other:?}"),
        }
    }

    async fn delete(&self, kept: &Kept) -> Result<Output, StepError> {
        self.step().run(Input::Delete(self.asked(kept))).await
    }

    /// The clusters whose leases are held, and by whom.
    fn held(&self) -> Vec<(String, String)> {
        let leases = self.leases.lock().unwrap();
        leases.iter().map(|(cluster, lease)| (cluster.clone(), lease.holder.clone())).collect()
    }

    /// Gives the lease of a cluster to somebody else.
    fn lease_to(&self, cluster: &str, holder: &str) {
        let lease = Lease {
            holder: holder.to_owned(),
            execution_arn: String::new(),
            taken_at: time(UNTIL),
            expires_at: time("2026-11-30T16:40:00Z"),
        };
        self.leases.lock().unwrap().insert(cluster.to_owned(), lease);
    }

    /// Notes that the deletion of a cluster has begun, while it had these instances.
    fn note_begun(&self, cluster: &str, instances: &[&str]) {
        let begun = json!({ "cluster": cluster, "snapshot": "s", "begunAt": UNTIL, "instances": instances });
        self.notes.lock().unwrap().push((CLEAN_UP_NOTE.to_owned(), begun));
    }

    fn asked(&self, kept: &Kept) -> KeptRequest {
        KeptRequest { kept: kept.clone(), records: self.records.clone() }
    }
}

fn source() -> Kept {
    Kept {
        cluster: "orders".to_owned(),
        cluster_arn: plan().cluster_arn,
        recovery_id: ID.to_owned(),
        keep_until: time(UNTIL),
        kind: Kind::Source,
        execution_arn: String::new(),
    }
}

fn clone_of_it() -> Kept {
    Kept {
        cluster: "orders-e".to_owned(),
        cluster_arn: safety_clone().cluster_arn,
        kind: Kind::SafetyClone,
        ..source()
    }
}

fn restored() -> Kept {
    Kept {
        cluster: "orders-r".to_owned(),
        cluster_arn: "arn:aws:rds:us-east-1:000000000000:cluster:orders-r".to_owned(),
        kind: Kind::Restored,
        ..source()
    }
}

fn opening() -> Opening {
    let opening = json!({ "id": "o", "by": "ann", "from": "203.0.113.7", "until": "2026-11-30T10:45:00Z" });
    serde_json::from_value(opening).unwrap()
}

const SNAPSHOT: &str = "orders-final-operation-001";

fn done(snapshot: &str) -> impl Fn(&Output) -> bool {
    move |output| matches!(output, Output::Deleted { done: true, snapshot: Some(name), .. } if name == snapshot)
}

#[tokio::test]
async fn clusters_are_due_whose_tags_are_past() {
    assert_eq!(World::source().due().await, [source()]);
    assert_eq!(World::safety_clone().due().await, [clone_of_it()]);
    // At the very end of the time it still counts as kept: a second more costs nothing.
    let early = World { now: UNTIL, ..World::source() };
    assert_eq!(early.due().await, []);
    let mut undone = World::source();
    // The undo removes the tags, but may have failed to: then the table decides.
    undone.record.as_mut().unwrap().state = "Undone".to_owned();
    assert_eq!(undone.due().await, []);
    for (world, kept) in [(World::source(), "orders"), (World::safety_clone(), "orders-e")] {
        world.rds.edit(kept, |cluster| {
            // A restore of a kept cluster copies its tags, and must not be deleted for what they say.
            cluster.name.push_str("-copy");
            cluster.arn.push_str("-copy");
        });
        assert_eq!(world.due().await, [], "a copy of {kept}");
    }
    let cases: [(&str, &str); 3] =
        [(KEEP_UNTIL_TAG, "for ever"), (SAFETY_CLONE_OF_TAG, "another"), (FENCED_BY_TAG, "")];
    for (key, value) in cases {
        let world = World::source();
        world.rds.edit("orders", |cluster| match value {
            "" => cluster.tags.retain(|(of, _)| of != key),
            value => tag(cluster, key, value),
        });
        assert_eq!(world.due().await, [], "{key}={value}");
    }
}

#[tokio::test]
async fn what_the_recovery_left_is_unused() {
    assert_eq!(World::source().why(&source()).await, [""; 0]);
    assert_eq!(World::safety_clone().why(&clone_of_it()).await, [""; 0]);
}

#[tokio::test]
async fn records_that_were_read_too_long_ago_are_requested_again_before_anything_is_changed() {
    // The limit itself, and one second beyond it: five minutes before the clock of this test.
    for (read_at, deleted) in [("2026-11-30T10:36:00Z", true), ("2026-11-30T10:35:59Z", false)] {
        let records = Some(Records { read_at: time(read_at), why: Vec::new() });
        let world = World { records, ..World::source() };
        let answer = world.delete(&source()).await.unwrap();
        assert_eq!(done(SNAPSHOT)(&answer), deleted, "{answer:?}");
        if !deleted {
            let again = "which records point at orders is to be looked at again";
            assert!(matches!(&answer, Output::Deleted { done: false, status, .. } if status == again), "{answer:?}");
            // The lease is free again: find-records runs between this call and the next, and others may need the
            // cluster.
            assert_eq!((world.rds.changes(), world.held()), (Vec::new(), Vec::new()));
            assert_eq!(world.notes.lock().unwrap().len(), 0);
        }
    }
}

#[tokio::test]
async fn a_managed_secret_that_a_later_recovery_still_logs_in_with_keeps_its_cluster() {
    let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-orders";
    // The live cluster after the second recovery, restored from orders-r before that got a secret of its own.
    let second = |edit: fn(&mut Cluster)| {
        let world = World::source();
        let (mut clusters, instances) = world.rds.everything();
        let mut live =
            Cluster { name: "orders-r2".to_owned(), arn: "arn:of:orders-r2".to_owned(), ..clusters[1].clone() };
        live.master_secret = None;
        live.tags = vec![(SECRET_TAG.to_owned(), secret_tag_value(secret, None).unwrap())];
        edit(&mut live);
        clusters.push(live);
        World { rds: FakeRds::with(clusters, instances), ..world }
    };
    let world = second(|_| {});
    let why = world.why(&source()).await;
    assert!(why.iter().any(|why| why.contains("goes with orders, and orders-r2 logs in with it")), "{why:?}");
    assert!(world.delete(&source()).await.is_err() && world.rds.changes().is_empty());
    for unneeded in [
        second(|live| live.master_secret = Some("arn:of:its-own".to_owned())),
        second(|live| tag(live, FENCED_BY_TAG, "a-third-one")),
        second(|live| tag(live, SECRET_TAG, "arn:of:another")),
    ] {
        assert_eq!(unneeded.why(&source()).await, [""; 0]);
    }
}

/// Everything that may have become of what a recovery left: none of it is checked as unused, and none is deleted.
#[tokio::test]
async fn whatever_is_not_as_the_recovery_left_it_stays() {
    type Edit = fn(&mut World);
    fn source(world: &mut World, edit: impl FnOnce(&mut Cluster)) {
        world.rds.edit("orders", edit);
    }
    let cases: [(&str, Edit); 27] = [
        ("secret:rds!cluster-orders goes with orders, and orders-r has no managed master password", |w| {
            w.rds.edit("orders-r", |c| c.master_secret = None);
        }),
        ("orders is kept until 2026-12-24T00:00:00Z", |w| {
            source(w, |c| tag(c, KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z"));
        }),
        ("is kept until", |w| w.now = UNTIL),
        ("was kept until 2026-11-29T00:00:00Z", |w| source(w, |c| tag(c, KEEP_UNTIL_TAG, "2026-11-29T00:00:00Z"))),
        ("is no time", |w| source(w, |c| tag(c, KEEP_UNTIL_TAG, "for ever"))),
        ("no longer tagged aurora-rewind:keep-until", |w| {
            source(w, |c| c.tags.retain(|(key, _)| key != KEEP_UNTIL_TAG));
        }),
        ("no longer tagged aurora-rewind:fenced-by", |w| {
            source(w, |c| c.tags.retain(|(key, _)| key != FENCED_BY_TAG));
        }),
        ("by operation-002 and not by operation-001", |w| source(w, |c| tag(c, FENCED_BY_TAG, "operation-002"))),
        ("is tagged aurora-rewind:safety-clone-of", |w| source(w, |c| tag(c, SAFETY_CLONE_OF_TAG, ID))),
        ("and not arn:aws:rds:us-east-1:000000000000:cluster:orders", |w| source(w, |c| c.arn.push_str("-2"))),
        ("orders has deletion protection", |w| source(w, |c| c.deletion_protection = true)),
        ("has the security groups sg-app and not sg-fence", |w| {
            source(w, |c| c.security_groups = vec!["sg-app".to_owned()]);
        }),
        ("has the security groups sg-fence, sg-app", |w| source(w, |c| c.security_groups.push("sg-app".to_owned()))),
        ("has the security groups", |w| source(w, |c| c.security_groups_changing = true)),
        ("is part of the global cluster world", |w| source(w, |c| c.global_cluster = Some("world".to_owned()))),
        ("orders is stopped", |w| source(w, |c| c.status = "stopped".to_owned())),
        ("operation-001 is Undone", |w| w.record.as_mut().unwrap().state = "Undone".to_owned()),
        ("operation-001 is NeedsOperator", |w| w.record.as_mut().unwrap().state = "NeedsOperator".to_owned()),
        ("operation-001 was undone", |w| {
            let (id, at) = ("operation-001-undo".to_owned(), time(AFTER));
            w.record.as_mut().unwrap().undo = Some(UndoRecord { id, by: None, at, undone: Vec::new() });
        }),
        ("the record of the recovery operation-001 cannot be read", |w| {
            w.record.as_mut().unwrap().unreadable.push("undo in the record cannot be read".to_owned());
        }),
        ("the table has no recovery", |w| w.record = None),
        ("operation-001 did not keep orders", |w| w.record = Some(record(&in_place_plan()))),
        ("this may be the last copy", |w| w.rds = FakeRds::with(vec![w.rds.find("orders").unwrap()], instances())),
        ("another cluster than the one that operation-001 left", |w| w.rds.edit("orders-r", |c| c.tags.clear())),
        ("the CNAME record old.example.com points at it", |w| {
            w.records.as_mut().unwrap().why.push("the CNAME record old.example.com points at it".to_owned());
        }),
        ("which records point at orders was not looked at", |w| w.records = None),
        ("orders-2 is rebooting", |w| w.rds.edit_instances("orders", |i| i.status = "rebooting".to_owned())),
    ];
    for (message, edit) in cases {
        let mut world = World::source();
        edit(&mut world);
        stays(&world, message).await;
    }
}

async fn stays(world: &World, message: &str) {
    let why = world.why(&source()).await.join("; ");
    assert!(why.contains(message), "{why}\nlacks {message}");
    let error = world.delete(&source()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    assert_eq!(world.rds.changes(), [""; 0]);
    // A note would block the undo of a recovery whose cluster stays, and a lease would block every other recovery.
    assert_eq!((world.notes.lock().unwrap().len(), world.held()), (0, Vec::new()));
}

#[tokio::test]
async fn whoever_is_on_it_or_opened_it_again_keeps_it() {
    let one = |text: &str| vec![text.to_owned()];
    let cases = [
        (Ok(Inspection { sessions: one("app in shop (process 7)"), ..Inspection::default() }), "in use: app in shop"),
        (
            Ok(Inspection { open: one("the database shop takes connections"), ..Inspection::default() }),
            "no longer fenced",
        ),
        (Err(StepError::new(ErrorName::Unavailable, "no connection")), "could not be seen: no connection"),
    ];
    for (inside, message) in cases {
        stays(&World { inside, ..World::source() }, message).await;
    }
}

#[tokio::test]
async fn a_source_that_is_open_to_somebody_is_kept_and_told_as_that_alone() {
    let mut world = World::source();
    world.record.as_mut().unwrap().opening = Some(opening());
    // As it is then: told by themselves, both would be a broken fence.
    world.rds.edit("orders", |cluster| cluster.security_groups.push("sg-open".to_owned()));
    let why = world.why(&source()).await;
    assert_eq!(why, [format!("orders is open to ann until 2026-11-30T10:45:00Z: rewind open {ID} --close closes it")]);
}

#[tokio::test]
async fn an_instance_that_was_added_since_keeps_it() {
    let world = World::source();
    let mut all = instances();
    let added = Instance { name: "orders-3".to_owned(), status: "available".to_owned(), ..Instance::default() };
    all.push(("orders".to_owned(), added));
    let rds = FakeRds::with(vec![world.rds.find("orders").unwrap(), world.rds.find("orders-r").unwrap()], all);
    stays(&World { rds, ..world }, "orders-3 was added since").await;
    let world = World::source();
    let rds = FakeRds::with(world.rds.everything().0, Vec::new());
    stays(&World { rds, ..world }, "orders has no instance").await;
}

#[tokio::test]
async fn a_safety_clone_is_kept_while_people_read_it() {
    // People open the safety clone to read from it, so an open login is no sign that somebody needs it for traffic.
    let open = vec!["the account app is not locked".to_owned()];
    let world = World { inside: Ok(Inspection { open, ..Inspection::default() }), ..World::safety_clone() };
    assert_eq!(world.why(&clone_of_it()).await, [""; 0]);
    type Edit = fn(&mut Cluster);
    let cases: [(&str, Edit); 3] = [
        ("has the security groups sg-mine", |c| c.security_groups = vec!["sg-mine".to_owned()]),
        ("no longer tagged aurora-rewind:recovery", |c| c.tags.retain(|(key, _)| key != RECOVERY_TAG)),
        ("is tagged aurora-rewind:fenced-by", |c| tag(c, FENCED_BY_TAG, "operation-002")),
    ];
    for (message, edit) in cases {
        let world = World::safety_clone();
        world.rds.edit("orders-e", edit);
        let why = world.why(&clone_of_it()).await.join("; ");
        assert!(why.contains(message), "{why}\nlacks {message}");
        assert_eq!(world.delete(&clone_of_it()).await.unwrap_err().name, ErrorName::RewindFailed);
        assert_eq!(world.rds.changes(), [""; 0]);
    }
}

#[tokio::test]
async fn the_source_goes_readers_first_and_into_its_snapshot() {
    let world = World::source();
    let answer = world.delete(&source()).await.unwrap();
    assert!(done(SNAPSHOT)(&answer), "{answer:?}");
    let deletion = [
        // The reader first: if the writer went first, RDS would fail over to it, and a failover can take minutes.
        "delete_instance orders-2",
        "delete_instance orders-1",
        "retire_cluster orders into orders-final-operation-001",
        "delete_group orders-jobs-held",
    ];
    assert_eq!(world.rds.changes(), deletion);
    assert_eq!(world.rds.all_snapshots().len(), 1);
    assert!(world.rds.find("orders").is_none() && world.rds.find("orders-r").is_some());
    let notes = world.notes.lock().unwrap().clone();
    assert!(matches!(notes.as_slice(), [(name, note)] if name == CLEAN_UP_NOTE && note["snapshot"] == SNAPSHOT));
    assert_eq!(world.held(), []);
    assert_eq!(notes[0].1["instances"].as_array().map(Vec::len), Some(2));
    // The state machine calls again if the answer is lost, also after the cluster is gone.
    assert!(done(SNAPSHOT)(&world.delete(&source()).await.unwrap()));
    assert_eq!(world.rds.changes()[..4], deletion);
    assert_eq!(world.why(&source()).await, ["orders is gone"]);
}

#[tokio::test]
async fn the_safety_clone_is_unprotected_by_whoever_protected_it() {
    let world = World::safety_clone();
    assert!(done("orders-e-final-operation-001")(&world.delete(&clone_of_it()).await.unwrap()));
    assert_eq!(
        world.rds.changes(),
        [
            "modify orders-e",
            "delete_instance orders-e-1",
            "retire_cluster orders-e into orders-e-final-operation-001",
            "delete_group orders-e-jobs-held",
        ]
    );
    assert_eq!(world.rds.find("orders"), Some(mysql_source()));
}

#[tokio::test]
async fn the_restored_cluster_of_a_recovery_that_failed_goes_and_its_source_is_free_once_that_is_noted() {
    // The last two are of a recovery that somebody stopped.
    for state in ["NothingChanged", "RolledBack", "Undone", "Running", "AwaitingApproval"] {
        let world = World::restored(state);
        assert_eq!(world.due().await, [restored()]);
        assert_eq!(world.why(&restored()).await, [""; 0]);
        // People may have written to it, whatever the recovery did: an application that was pointed at it by hand left no record.
        assert!(done("orders-r-final-operation-001")(&world.delete(&restored()).await.unwrap()), "{state}");
        let deletion = [
            "delete_instance orders-r-1",
            "retire_cluster orders-r into orders-r-final-operation-001",
            "delete_group orders-r-jobs-held",
        ];
        assert_eq!(world.rds.changes(), deletion);
        assert_eq!(world.rds.all_snapshots().len(), 1);
        assert!(world.rds.find("orders").unwrap().deletion_protection, "the source was touched");
        // Whoever resumes the recovery works on this cluster, and holds the lease of the source. From the note on nobody does, and
        // deleting takes minutes, in which people may need to recover the source or undo its last recovery.
        let leased = ["take orders-r", "take orders", "release orders after 0", "release orders-r after 3"];
        assert_eq!(*world.leased.lock().unwrap(), leased);
    }
}

#[tokio::test]
async fn a_restored_cluster_that_had_the_traffic_stays_as_long_as_a_source_and_when_people_opened_it() {
    let undone = |at: &str| {
        let mut world = World::restored("Undone");
        let record = world.record.as_mut().unwrap();
        record.moved = Some(PossiblyMoved::default());
        let (id, at) = ("operation-001-undo".to_owned(), time(at));
        record.undo = Some(UndoRecord { id, by: None, at, undone: Vec::new() });
        world.notes.lock().unwrap().push(("fenceRestored".to_owned(), json!({})));
        world.rds.edit("orders-r", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
        world
    };
    // Its tag is the restore's, and over.
    let early = undone("2026-11-23T10:42:00Z");
    assert_eq!(early.due().await, [], "nobody is told every day of what is kept on purpose");
    assert!(early.why(&restored()).await.join("; ").contains("had the traffic until 2026-11-23T10:42:00Z"));
    assert!(early.delete(&restored()).await.is_err() && early.rds.changes().is_empty());
    let long_ago = "2026-11-23T10:00:00Z";
    let opened = undone(long_ago);
    opened.rds.edit("orders-r", |cluster| cluster.security_groups = vec!["sg-app".to_owned()]);
    assert!(opened.why(&restored()).await.join("; ").contains("has the security groups sg-app and not sg-fence"));
    let mut unread = undone(long_ago);
    unread.record.as_mut().unwrap().undo = None;
    assert!(unread.why(&restored()).await.join("; ").contains("is not in its record"));
    let world = undone(long_ago);
    assert_eq!(world.why(&restored()).await, [""; 0]);
    assert!(done("orders-r-final-operation-001")(&world.delete(&restored()).await.unwrap()));
    // Nobody adopts it, so the source is not waited for.
    assert_eq!(*world.leased.lock().unwrap(), ["take orders-r", "release orders-r after 3"]);
}

#[tokio::test]
async fn a_recovery_of_the_restored_cluster_itself_keeps_it_and_leaves_its_source_free() {
    let world = World::restored("NothingChanged");
    world.lease_to("orders-r", "operation-005");
    assert_eq!(world.delete(&restored()).await.unwrap_err().name, ErrorName::LeaseHeld);
    assert_eq!((world.rds.changes().len(), world.notes.lock().unwrap().len()), (0, 0));
    assert_eq!(world.held(), [("orders-r".to_owned(), "operation-005".to_owned())]);
}

#[tokio::test]
async fn a_recovery_or_an_undo_of_the_source_runs_while_the_deletion_of_an_older_cluster_goes_on() {
    let world = World::restored("NothingChanged");
    world.note_begun("orders-r", &["orders-r-1"]);
    world.lease_to("orders", "operation-002-undo");
    assert!(done("orders-r-final-operation-001")(&world.delete(&restored()).await.unwrap()));
    assert_eq!(world.held(), [("orders".to_owned(), "operation-002-undo".to_owned())]);
}

#[tokio::test]
async fn the_lease_of_the_source_that_a_call_left_behind_is_released_by_the_next() {
    // It died between the note and the release.
    let world = World::restored("NothingChanged");
    world.note_begun("orders-r", &["orders-r-1"]);
    world.lease_to("orders", "clean-up-operation-001");
    assert!(done("orders-r-final-operation-001")(&world.delete(&restored()).await.unwrap()));
    assert_eq!(world.held(), []);
}

/// A recovery that adopts it may hold the source by then.
#[tokio::test]
async fn a_deletion_whose_note_was_taken_back_waits_for_the_source_again() {
    let world = World::restored("NothingChanged");
    world.note_begun("orders-r", &["orders-r-1"]);
    world.rds.lose(0, Lose::Refused);
    assert_ne!(world.delete(&restored()).await.unwrap_err().name, ErrorName::LeaseHeld);
    assert_eq!((world.notes.lock().unwrap().len(), world.held()), (0, Vec::new()));
    world.lease_to("orders", "operation-002");
    assert_eq!(world.delete(&restored()).await.unwrap_err().name, ErrorName::LeaseHeld);
    assert_eq!(world.held(), [("orders".to_owned(), "operation-002".to_owned())]);
    assert!(world.rds.find("orders-r").is_some());
}

#[tokio::test]
async fn a_call_whose_note_another_call_takes_back_deletes_nothing_before_the_source_is_leased() {
    let world = World::restored("NothingChanged");
    world.note_begun("orders-r", &["orders-r-1"]);
    *world.note_stays_for.lock().unwrap() = Some(1);
    let answer = world.delete(&restored()).await.unwrap();
    assert!(
        matches!(&answer, Output::Deleted { done: false, status, .. } if status.contains("begun again")),
        "{answer:?}"
    );
    assert_eq!((world.rds.changes().len(), world.held()), (0, Vec::new()));
    assert!(done("orders-r-final-operation-001")(&world.delete(&restored()).await.unwrap()));
    assert!(world.leased.lock().unwrap().contains(&"take orders".to_owned()));
}

#[tokio::test]
async fn a_cluster_that_was_made_anew_under_the_old_name_is_not_the_one_whose_deletion_had_begun() {
    for (created, is_anew) in [("2026-11-30T10:40:01Z", true), ("2026-11-23T10:30:00Z", false)] {
        let world = World::restored("NothingChanged");
        world.note_begun("orders-r", &["orders-r-1"]);
        world.rds.edit("orders-r", |cluster| cluster.created = Some(time(created)));
        let why = world.why(&restored()).await.join("; ");
        assert_eq!(why.contains("orders-r was made anew at"), is_anew, "{why}");
        assert_eq!(world.delete(&restored()).await.is_err(), is_anew);
        assert_eq!(world.rds.changes().is_empty(), is_anew);
    }
}

#[tokio::test]
async fn a_restored_cluster_that_another_recovery_has_fenced_stays() {
    let world = World::restored("RolledBack");
    world.rds.edit("orders-r", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
    assert_eq!(world.why(&restored()).await, ["orders-r is fenced, and not by operation-001"]);
    assert!(world.delete(&restored()).await.is_err() && world.rds.changes().is_empty());
    world.notes.lock().unwrap().push(("fenceRestored".to_owned(), json!({})));
    assert_eq!(world.why(&restored()).await, [""; 0]);
}

#[tokio::test]
async fn one_cluster_alone_is_due_where_it_is_named() {
    let world = World::restored("NothingChanged");
    world.rds.edit("orders", |cluster| {
        tag(cluster, FENCED_BY_TAG, ID);
        tag(cluster, KEEP_UNTIL_TAG, UNTIL);
    });
    let names = async |cluster| world.due_of(cluster).await.into_iter().map(|kept| kept.cluster).collect::<Vec<_>>();
    assert_eq!(names(None).await.len(), 2);
    assert_eq!(names(Some("orders-r")).await, ["orders-r"]);
    assert_eq!(names(Some("payments")).await, [""; 0]);
}

/// It ends in the same state, with the undo that cancelled it in its record.
#[tokio::test]
async fn the_restored_cluster_of_a_recovery_that_was_cancelled_goes_when_its_time_is_over() {
    let mut world = World::restored("NothingChanged");
    let (id, at) = ("operation-001-undo".to_owned(), time(AFTER));
    world.record.as_mut().unwrap().undo = Some(UndoRecord { id, by: None, at, undone: Vec::new() });
    assert_eq!(world.due().await, [restored()]);
    assert_eq!(world.why(&restored()).await, [""; 0]);
    assert!(done("orders-r-final-operation-001")(&world.delete(&restored()).await.unwrap()));
}

#[tokio::test]
async fn nothing_is_deleted_under_the_lease_of_a_recovery_that_is_not_over() {
    let world = World::restored("AwaitingApproval");
    // Its time is over only because people moved it.
    world.lease_to("orders", ID);
    assert_eq!(world.delete(&restored()).await.unwrap_err().name, ErrorName::LeaseHeld);
    assert_eq!(world.rds.changes(), [""; 0]);
    assert_eq!(world.held(), [("orders".to_owned(), ID.to_owned())]);
}

#[tokio::test]
async fn a_restored_cluster_without_instances_is_deleted_too() {
    let world = World::restored("NothingChanged");
    let (mut clusters, _) = world.rds.everything();
    clusters.iter_mut().for_each(|cluster| cluster.members.clear());
    let world = World { rds: FakeRds::with(clusters, Vec::new()), ..world };
    assert_eq!(world.why(&restored()).await, [""; 0]);
    assert!(matches!(world.delete(&restored()).await.unwrap(), Output::Deleted { done: true, .. }));
}

#[tokio::test]
async fn a_restored_cluster_that_somebody_needs_stays() {
    type Edit = fn(&mut World);
    let cases: [(&str, Edit); 10] = [
        // By a person, or adopted by another recovery.
        ("operation-001 is NeedsOperator", |w| w.record.as_mut().unwrap().state = "NeedsOperator".to_owned()),
        ("operation-001 is Recovered", |w| w.record.as_mut().unwrap().state = "Recovered".to_owned()),
        // Traffic may have moved to it before somebody stopped its recovery.
        ("stopped after it had begun to fence orders", |w| {
            w.record.as_mut().unwrap().state = "Running".to_owned();
            w.notes.lock().unwrap().push(("fence".to_owned(), json!({})));
        }),
        ("orders-r has deletion protection, which only a person takes off", |w| {
            w.rds.edit("orders-r", |c| c.deletion_protection = true);
        }),
        ("by operation-002 and not by operation-001", |w| {
            w.rds.edit("orders-r", |c| tag(c, RECOVERY_TAG, "operation-002"));
        }),
        ("is tagged aurora-rewind:fenced-by", |w| w.rds.edit("orders-r", |c| tag(c, FENCED_BY_TAG, "operation-002"))),
        ("is kept until 2026-12-24T00:00:00Z", |w| {
            w.rds.edit("orders-r", |c| tag(c, KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z"));
        }),
        ("this may be the last copy", |w| w.rds.edit("orders", |c| c.name.push_str("-gone"))),
        ("the CNAME record old.example.com points at it", |w| {
            w.records.as_mut().unwrap().why.push("the CNAME record old.example.com points at it".to_owned());
        }),
        ("in use: app", |w| {
            w.inside = Ok(Inspection { sessions: vec!["app in shop".to_owned()], ..Inspection::default() });
        }),
    ];
    for (message, edit) in cases {
        let mut world = World::restored("NothingChanged");
        edit(&mut world);
        let why = world.why(&restored()).await.join("; ");
        assert!(why.contains(message), "{why}\nlacks {message}");
        assert_eq!(world.delete(&restored()).await.unwrap_err().name, ErrorName::RewindFailed, "{message}");
        assert_eq!(world.rds.changes(), [""; 0]);
    }
}

#[tokio::test]
async fn every_lost_call_and_answer_ends_in_one_snapshot_and_no_cluster() {
    // Three changes: the reader, the writer, the cluster.
    for nth in 0..3 {
        for how in [Lose::Call, Lose::Answer] {
            let world = World::source();
            world.rds.lose(nth, how);
            assert!(done(SNAPSHOT)(&world.delete(&source()).await.unwrap()), "{nth} {how:?}");
            assert!(world.rds.find("orders").is_none());
            assert_eq!(world.rds.all_snapshots().len(), 1, "{nth} {how:?}");
        }
    }
}

#[tokio::test]
async fn a_deletion_that_stopped_half_way_goes_on() {
    let world = World::source();
    world.rds.edit_instances("orders", |instance| {
        if instance.name == "orders-2" {
            instance.status = "deleting".to_owned();
        }
    });
    // Without the note the missing reader would count as a change by somebody, which keeps the cluster.
    let begun = (CLEAN_UP_NOTE.to_owned(), json!({ "cluster": "orders" }));
    world.notes.lock().unwrap().push(begun);
    assert_eq!(world.why(&source()).await, [""; 0]);
    // Only polled: deleting the writer before the reader is gone would start a failover.
    let waiting = world.delete(&source()).await.unwrap();
    let expected =
        Output::Deleted { done: false, status: "orders-2 is deleting".to_owned(), snapshot: Some(SNAPSHOT.to_owned()) };
    assert_eq!((waiting, world.rds.changes()), (expected, Vec::new()));
    // Held for the next call: nobody recovers or takes back meanwhile.
    assert_eq!(world.held(), [("orders".to_owned(), "clean-up-operation-001".to_owned())]);
}

#[tokio::test]
async fn who_extends_the_time_half_way_stops_it() {
    let world = World::source();
    world.notes.lock().unwrap().push((CLEAN_UP_NOTE.to_owned(), json!({})));
    world.rds.edit("orders", |cluster| {
        // Its instances are gone already; the cluster itself is the last thing that a person can still save.
        cluster.members.clear();
        tag(cluster, KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z");
    });
    let error = world.delete(&source()).await.unwrap_err();
    assert!(error.to_string().contains("is kept until 2026-12-24T00:00:00Z"), "{error}");
    assert_eq!(world.rds.changes(), [""; 0]);
}

#[tokio::test]
async fn a_deletion_that_stopped_with_everything_there_leaves_no_note_behind() {
    type Edit = fn(&World);
    let cases: [(&str, Edit, bool); 4] = [
        ("all is there", |_| {}, false),
        ("a reader is gone", |w| w.rds.edit_instances("orders", |i| i.name = format!("{}-renamed", i.name)), true),
        ("a reader goes", |w| w.rds.edit_instances("orders", |i| i.status = "deleting".to_owned()), true),
        ("the cluster goes", |w| w.rds.edit("orders", |c| c.status = "deleting".to_owned()), true),
    ];
    for (case, edit, stays) in cases {
        let world = World::source();
        let begun = json!({ "cluster": "orders", "snapshot": SNAPSHOT, "begunAt": UNTIL, "instances": ["orders-1", "orders-2"] });
        world.notes.lock().unwrap().push((CLEAN_UP_NOTE.to_owned(), begun));
        world.rds.edit("orders", |cluster| tag(cluster, KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z"));
        edit(&world);
        world.delete(&source()).await.unwrap_err();
        // An undo goes by the note: traffic can be moved back to a cluster that has lost nothing.
        assert_eq!(world.notes.lock().unwrap().len(), usize::from(stays), "{case}");
    }
}

/// A resume creates the instances that are missing, so people who stop the deletion have a restored cluster that can be gone on from.
#[tokio::test]
async fn a_restored_cluster_whose_deletion_people_stopped_half_way_can_be_adopted() {
    type Edit = fn(&World);
    let cases: [(&str, Edit, bool); 3] = [
        ("its only instance is gone", |w| w.rds.edit_instances("orders-r", |i| i.name = "another".to_owned()), false),
        ("the cluster goes", |w| w.rds.edit("orders-r", |c| c.status = "deleting".to_owned()), true),
        // Not by people: the next call goes on.
        ("RDS does not answer", |w| w.rds.fail_reads(1), true),
    ];
    for (case, edit, stays) in cases {
        let world = World::restored("NothingChanged");
        world.note_begun("orders-r", &["orders-r-1", "orders-r-2"]);
        world.rds.edit("orders-r", |cluster| tag(cluster, KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z"));
        edit(&world);
        world.delete(&restored()).await.unwrap_err();
        assert_eq!(world.notes.lock().unwrap().len(), usize::from(stays), "{case}");
        assert_eq!(world.held(), [], "{case}");
    }
}

/// A source and a restored cluster whose deletion was noted and got no further, with every instance there: RDS did not answer, or
/// somebody stopped the execution.
fn begun() -> [(World, &'static str); 2] {
    let source = World::source();
    source.note_begun("orders", &["orders-1", "orders-2"]);
    let restored = World::restored("NothingChanged");
    restored.note_begun("orders-r", &["orders-r-1"]);
    [(source, "orders"), (restored, "orders-r")]
}

#[tokio::test]
async fn the_next_run_takes_back_the_note_of_a_deletion_whose_cluster_people_keep() {
    type Edit = fn(&mut Cluster);
    let ways: [(&str, Edit); 3] = [
        ("the tag is moved", |c| tag(c, KEEP_UNTIL_TAG, "2026-12-24T00:00:00Z")),
        ("the tag is removed", |c| c.tags.retain(|(key, _)| key != KEEP_UNTIL_TAG)),
        ("the tag is no time", |c| tag(c, KEEP_UNTIL_TAG, "for ever")),
    ];
    for (way, edit) in ways {
        for (world, name) in begun() {
            world.rds.edit(name, edit);
            assert_eq!(world.due_of(Some("payments")).await, []);
            assert_eq!(world.notes.lock().unwrap().len(), 1, "a run for another cluster alone, {way}");
            assert_eq!(world.due().await, [], "{name}, {way}");
            assert_eq!((world.notes.lock().unwrap().len(), world.held()), (0, Vec::new()), "{name}, {way}");
            assert_eq!(world.rds.changes(), [""; 0]);
        }
    }
    // What is due is deleted further.
    for (world, _) in begun() {
        assert_eq!(world.due().await.len(), 1);
        assert_eq!(world.notes.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_note_of_an_execution_that_somebody_stopped_is_taken_back_once_its_lease_is_over() {
    for (world, name) in begun() {
        // Its function may still run until then.
        world.lease_to(name, "clean-up-the-stopped-one");
        world.rds.edit(name, |c| c.tags.retain(|(key, _)| key != KEEP_UNTIL_TAG));
        assert_eq!(world.due().await, []);
        assert_eq!(world.notes.lock().unwrap().len(), 1, "{name}: under another's lease");
        let later = World { now: "2026-11-30T17:00:00Z", ..world };
        assert_eq!(later.due().await, []);
        assert_eq!((later.notes.lock().unwrap().len(), later.held()), (0, Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn the_note_of_a_cluster_that_is_due_and_kept_by_something_else_is_taken_back() {
    for (world, name) in begun() {
        world.rds.edit(name, |cluster| cluster.deletion_protection = true);
        let due = world.due().await;
        assert!(world.why(&due[0]).await.join("; ").contains("has deletion protection"));
        assert_eq!((world.notes.lock().unwrap().len(), world.held()), (0, Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn the_note_stays_where_the_cluster_is_not_what_it_was() {
    type Edit = fn(&World, &'static str);
    let ways: [(&str, Edit, usize); 4] = [
        ("it was made anew", |w, name| w.rds.edit(name, |c| c.created = Some(time("2026-11-30T10:40:01Z"))), 2),
        ("it goes", |w, name| w.rds.edit(name, |c| c.status = "deleting".to_owned()), 2),
        // A recovery that adopts the restored cluster makes its instances anew; an undo makes none.
        ("an instance is gone", |w, name| w.rds.edit_instances(name, |i| i.name = format!("{}-2", i.name)), 1),
        ("the note is another cluster's", |w, _| w.notes.lock().unwrap()[0].1["cluster"] = json!("payments"), 2),
    ];
    for (way, edit, expected) in ways {
        let mut stayed = 0;
        for (world, name) in begun() {
            edit(&world, name);
            world.rds.edit(name, |c| c.tags.retain(|(key, _)| key != KEEP_UNTIL_TAG));
            assert_eq!(world.due().await, []);
            stayed += world.notes.lock().unwrap().len();
        }
        assert_eq!(stayed, expected, "{way}");
    }
}

/// An opening takes the lease of the source, and the deletion of a safety clone that of the clone.
#[tokio::test]
async fn a_cluster_that_is_opened_in_the_moment_in_which_its_deletion_begins_stays() {
    let world = World::safety_clone();
    *world.opens.lock().unwrap() = Some(Opens::Next);
    let error = world.delete(&clone_of_it()).await.unwrap_err();
    assert!(error.to_string().contains("is open to ann until"), "{error}");
    assert_eq!((world.rds.changes(), world.held()), (Vec::new(), Vec::new()));
    assert_eq!(world.notes.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn nothing_is_deleted_under_a_recovery_that_works_on_it() {
    let world = World::source();
    // The undo moves traffic back to exactly this cluster.
    world.lease_to("orders", "operation-001-undo");
    assert_eq!(world.delete(&source()).await.unwrap_err().name, ErrorName::LeaseHeld);
    assert_eq!(world.rds.changes(), [""; 0]);
    assert_eq!(world.held(), [("orders".to_owned(), "operation-001-undo".to_owned())]);
}

#[tokio::test]
async fn of_two_executions_at_once_one_works() {
    let world = World::source();
    world.rds.edit_instances("orders", |instance| instance.status = "deleting".to_owned());
    world.notes.lock().unwrap().push((CLEAN_UP_NOTE.to_owned(), json!({})));
    let by = |name: &str| Kept { execution_arn: format!("arn:aws:states:e:1:execution:m:{name}"), ..source() };
    // Twice, because the holder itself has to get the lease again.
    for _ in 0..2 {
        assert!(matches!(world.delete(&by("one")).await.unwrap(), Output::Deleted { done: false, .. }));
    }
    assert_eq!(world.held(), [("orders".to_owned(), "clean-up-one".to_owned())]);
    assert_eq!(world.delete(&by("two")).await.unwrap_err().name, ErrorName::LeaseHeld);
    assert_eq!(world.rds.changes(), [""; 0]);
}

#[tokio::test]
async fn a_snapshot_is_waited_for_and_a_failed_one_reported() {
    let world = World::source();
    world.delete(&source()).await.unwrap();
    world.rds.edit_snapshot(SNAPSHOT, |snapshot| snapshot.status = "creating".to_owned());
    let answer = world.delete(&source()).await.unwrap();
    assert!(
        matches!(&answer, Output::Deleted { done: false, status, .. } if status.contains("is creating")),
        "{answer:?}"
    );
    world.rds.edit_snapshot(SNAPSHOT, |snapshot| snapshot.status = "failed".to_owned());
    let error = world.delete(&source()).await.unwrap_err();
    assert!(error.to_string().contains("has failed; next step: restore"), "{error}");
}

#[tokio::test]
async fn a_cluster_that_somebody_else_deleted_is_reported_as_that() {
    let gone = World { rds: FakeRds::with(Vec::new(), Vec::new()), ..World::source() };
    let answer = gone.delete(&source()).await.unwrap();
    let names_another = |status: &str| status.contains("somebody else deleted it");
    assert!(
        matches!(&answer, Output::Deleted { done: true, status, snapshot: None } if names_another(status)),
        "{answer:?}"
    );
}

#[test]
fn what_find_answers_is_what_check_and_delete_read() {
    let due = serde_json::to_value(Output::Found { due: vec![source()] }).unwrap();
    assert_eq!(
        due,
        json!({ "due": [{
            "cluster": "orders", "clusterArn": plan().cluster_arn, "recoveryId": ID,
            "keepUntil": UNTIL, "kind": "source",
        }] })
    );
    let with = |records: Option<Records>| KeptRequest { kept: source(), records };
    let seen = Records { read_at: time(AFTER), why: vec!["the zone is gone".to_owned()] };
    for (records, expected) in [
        (json!({ "lookedAt": AFTER, "why": ["the zone is gone"] }), with(Some(seen))),
        // As an execution of the definition before find-records passes it.
        (Value::Null, with(None)),
    ] {
        let mut payload = due["due"][0].clone();
        payload["records"] = records;
        for (what, expected) in [("check", Input::Check(expected.clone())), ("delete", Input::Delete(expected))] {
            payload["what"] = json!(what);
            assert_eq!(serde_json::from_value::<Input>(payload.clone()).unwrap(), expected);
        }
    }
    for (cluster, expected) in [(json!("orders"), Some("orders".to_owned())), (Value::Null, None)] {
        let payload = json!({ "what": "find", "executionArn": "arn", "cluster": cluster });
        let find = Input::Find { cluster: expected, execution_arn: "arn".to_owned() };
        assert_eq!(serde_json::from_value::<Input>(payload).unwrap(), find);
    }
    // As an execution of an earlier definition passes it.
    let earlier = json!({ "what": "find", "executionArn": "arn" });
    let find = Input::Find { cluster: None, execution_arn: "arn".to_owned() };
    assert_eq!(serde_json::from_value::<Input>(earlier).unwrap(), find);
}
