//! A zone in memory that refuses a batch as Route 53 does, under every loss and every meddling.

use super::*;
use jiff::Timestamp;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, rds_with_restored, recovery, restored};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use rewind_core::{Approval, JsonDigest, VerifyApprovals, approval_digest};
use rewind_lambda::Approved;
use serde_json::Value;
use std::sync::Mutex;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lose {
    Nothing,
    Call,
    Answer,
}

struct Zone {
    sets: Mutex<Vec<RecordSet>>,
    batches: Mutex<u32>,
    lose: Lose,
    /// Somebody changes this record between the step's look and its batch.
    meddled: Option<&'static str>,
    /// Somebody changes this record right after the batch.
    meddled_after: Option<&'static str>,
    /// For each note the number of batches before it.
    noted: Mutex<Vec<u32>>,
    /// The error with which the table answers a note.
    table: Option<ErrorName>,
    /// Route 53 answers no read after this number of batches.
    unread: Option<u32>,
}

impl Zone {
    fn new(lose: Lose) -> Self {
        let set = |record: &rewind_core::PlannedRecord| RecordSet {
            name: record.name.clone(),
            kind: "CNAME".to_owned(),
            ttl: Some(record.ttl),
            values: vec![record.from.clone()],
            routed: false,
        };
        let sets = plan().dns.iter().map(set).collect();
        let (batches, noted) = (Mutex::new(0), Mutex::default());
        Self {
            sets: Mutex::new(sets),
            batches,
            lose,
            meddled: None,
            meddled_after: None,
            noted,
            table: None,
            unread: None,
        }
    }

    fn values(&self) -> Vec<String> {
        self.sets.lock().unwrap().iter().map(|set| set.values.join(",")).collect()
    }

    fn set(&self, name: &str, value: &str) {
        self.edit(name, |set| set.values = vec![value.to_owned()]);
    }

    fn edit(&self, name: &str, edit: impl Fn(&mut RecordSet)) {
        edit(self.sets.lock().unwrap().iter_mut().find(|set| set.name == name).unwrap());
    }

    /// A second set of the name, so that both have a routing policy.
    fn split(&self, name: &str, value: &str) {
        let mut sets = self.sets.lock().unwrap();
        let set = sets.iter_mut().find(|set| set.name == name).unwrap();
        set.routed = true;
        let other = RecordSet { values: vec![value.to_owned()], ..set.clone() };
        sets.push(other);
    }
}

impl Zones for &Zone {
    async fn record_sets(&self, _: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        if self.unread.is_some_and(|batches| *self.batches.lock().unwrap() >= batches) {
            return Err(StepError::new(ErrorName::RewindFailed, "access denied"));
        }
        Ok(self.sets.lock().unwrap().iter().filter(|set| set.name == name).cloned().collect())
    }
}

impl MoveRecords for &Zone {
    async fn move_records(&self, _: &str, moves: &[Move], _: &str) -> AwsResult<Moved> {
        *self.batches.lock().unwrap() += 1;
        // Between the read and the batch is the race that only Route 53's own comparison can catch.
        if let Some(name) = self.meddled {
            self.set(name, "elsewhere.example.com");
        }
        let lost = || StepError::new(ErrorName::OutcomeUnknown, "no answer came");
        if self.lose == Lose::Call {
            return Err(lost());
        }
        let mut sets = self.sets.lock().unwrap();
        // Like Route 53: a DELETE must name value and TTL exactly, and one wrong change refuses the whole batch.
        let fits = |m: &Move, sets: &[RecordSet]| {
            sets.iter().any(|set| set.name == m.name && set.values == [m.from.clone()] && set.ttl == Some(m.ttl))
        };
        if !moves.iter().all(|m| fits(m, &sets)) {
            return Ok(Moved::Mismatch("values provided do not match the current values".to_owned()));
        }
        for m in moves {
            sets.iter_mut().find(|set| set.name == m.name).unwrap().values = vec![m.to.clone()];
        }
        if let Some(name) = self.meddled_after {
            sets.iter_mut().find(|set| set.name == name).unwrap().values = vec!["elsewhere.example.com".to_owned()];
        }
        if self.lose == Lose::Answer { Err(lost()) } else { Ok(Moved::Accepted("C1".to_owned())) }
    }
}

/// The item of the recovery, in which the zone sees whether the batch was noted before it came.
impl FencedNotes for &Zone {
    async fn note_behind_fence(
        &self,
        id: &str,
        name: &str,
        value: &Value,
        lease: HeldLease<'_>,
        now: Timestamp,
    ) -> AwsResult<()> {
        assert_eq!((id, name), (recovery().id.as_str(), "recordsSentAt"));
        assert!(!value.is_null(), "null stands for none");
        assert_eq!((lease.cluster, lease.holder, lease.or_nobody), ("orders", id, false));
        assert_eq!(now.to_string(), STARTED);
        if let Some(name) = self.table {
            return Err(StepError::new(name, "the table is away"));
        }
        self.noted.lock().unwrap().push(*self.batches.lock().unwrap());
        Ok(())
    }
}

fn step(zone: &Zone) -> SwapDns<&Zone, FakeRds, &Zone, ManualClock> {
    of_rds(zone, &fenced())
}

fn of_rds<'a>(zone: &'a Zone, rds: &FakeRds) -> SwapDns<&'a Zone, FakeRds, &'a Zone, ManualClock> {
    let fence_groups = vec!["sg-fence".to_owned()];
    SwapDns { zones: zone, clusters: rds.clone(), notes: zone, clock: ManualClock::at(STARTED), fence_groups }
}

/// The clusters while the source is fenced.
fn fenced() -> FakeRds {
    let rds = rds_with_restored();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
    rds
}

fn input() -> Input {
    Input { recovery: recovery(), plan: plan(), restored: restored(), read_only: false, approval: None }
}

async fn swap(zone: &Zone, input: Input) -> Swap {
    let Output::Moved(swap) = step(zone).run(input).await.unwrap() else { panic!("it only read") };
    swap
}

async fn read(zone: &Zone) -> FoundRecords {
    let Output::Read(found) = step(zone).run(Input { read_only: true, ..input() }).await.unwrap() else {
        panic!("it moved")
    };
    found
}

/// A key whose signature is the digest itself.
struct Key;

impl VerifyApprovals for Key {
    async fn verify_approval(&self, digest: &JsonDigest, signature: &str) -> AwsResult<bool> {
        Ok(signature == format!("{digest:?}"))
    }
}

#[tokio::test]
async fn what_people_have_to_approve_is_moved_with_their_approval_of_that_plan_alone() {
    let plan = Plan { signature: Some("signed".to_owned()), ..plan() };
    assert_eq!(plan.approval, Approval::Required);
    let given = Some(format!("{:?}", approval_digest(&plan)));
    let input = Input { plan, approval: given.clone(), ..input() };
    let with = |plan: Plan| Input { plan, ..input.clone() };
    let zone = Zone::new(Lose::Nothing);
    let approved = || Approved { step: step(&zone), approvals: Key };
    for (name, input) in [
        ("nobody's", Input { approval: None, ..input.clone() }),
        ("somebody's word for it", Input { approval: Some("approved".to_owned()), ..input.clone() }),
        ("that of another plan", with(Plan { signature: Some("other".to_owned()), ..input.plan.clone() })),
        ("that of another recovery", with(Plan { recovery_id: "r-2".to_owned(), ..input.plan.clone() })),
    ] {
        let error = approved().run(input.clone()).await.unwrap_err();
        assert!(error.name == ErrorName::Bug && error.to_string().contains("changed nothing"), "{name}: {error}");
        assert_eq!(zone.values(), at_old(), "{name}");
        // It changes nothing to read, and an undo is another decision.
        approved().run(Input { read_only: true, ..input.clone() }).await.unwrap();
        assert!(!approved().undo(input).await.unwrap().changed, "{name}");
    }
    approved().run(input.clone()).await.unwrap();
    assert_eq!(zone.values(), at_new());
    // The deployment lets it be left out, and validate-window has signed that it was.
    let unasked = with(Plan { approval: Approval::None, ..input.plan.clone() });
    approved().run(Input { approval: None, ..unasked }).await.unwrap();
}

fn at_new() -> Vec<String> {
    vec![restored().writer_endpoint, restored().reader_endpoint]
}

fn at_old() -> Vec<String> {
    plan().dns.into_iter().map(|record| record.from).collect()
}

#[tokio::test]
async fn all_records_move_in_one_batch_and_a_second_run_moves_nothing() {
    let zone = Zone::new(Lose::Nothing);
    let moved = swap(&zone, input()).await;
    assert_eq!(moved.change_id.as_deref(), Some("C1"));
    assert_eq!(zone.values(), at_new());
    let again = swap(&zone, input()).await;
    // The second run did not make the change, so it has no id to wait for.
    assert_eq!((again.change_id, again.records), (None, moved.records));
    assert_eq!(*zone.batches.lock().unwrap(), 1);
}

/// Whoever finds no note after a failure lifts the fence without asking the zone.
#[tokio::test]
async fn every_batch_is_noted_before_it_is_sent_and_nothing_else_is() {
    for lose in [Lose::Nothing, Lose::Call, Lose::Answer] {
        let zone = Zone::new(lose);
        let _ = step(&zone).run(input()).await;
        let _ = step(&zone).run(input()).await;
        let batches = *zone.batches.lock().unwrap();
        assert_eq!(*zone.noted.lock().unwrap(), (0..batches).collect::<Vec<u32>>(), "{lose:?}");
    }
    let denied = Zone { unread: Some(0), ..Zone::new(Lose::Nothing) };
    assert_eq!(step(&denied).run(input()).await.unwrap_err().name, ErrorName::RewindFailed);
    let changed = Zone::new(Lose::Nothing);
    changed.set("db.example.com", "elsewhere.example.com");
    assert_eq!(step(&changed).run(input()).await.unwrap_err().name, ErrorName::RecordChanged);
    let moved = Zone::new(Lose::Nothing);
    read(&moved).await;
    let forged = Restored { writer_endpoint: "db.attacker.example.com".to_owned(), ..restored() };
    step(&moved).run(Input { restored: forged, ..input() }).await.unwrap_err();
    let none_noted = || [&denied, &changed, &moved].map(|zone| zone.noted.lock().unwrap().len());
    assert_eq!(none_noted(), [0, 0, 0]);
}

#[tokio::test]
async fn without_a_note_no_record_is_sent_and_the_step_is_repeated() {
    for (table, told) in [
        (ErrorName::OutcomeUnknown, ErrorName::Unavailable),
        (ErrorName::Throttled, ErrorName::Throttled),
        (ErrorName::RewindFailed, ErrorName::RewindFailed),
    ] {
        let zone = Zone { table: Some(table), ..Zone::new(Lose::Nothing) };
        assert_eq!(step(&zone).run(input()).await.unwrap_err().name, told);
        assert_eq!((zone.values(), *zone.batches.lock().unwrap()), (at_old(), 0));
    }
}

/// A machine that was stopped behind the fence goes on days later, or the function was refused for minutes while a person opened the
/// source: what its clients wrote since would be on no cluster that has traffic.
#[tokio::test]
async fn no_record_moves_away_from_a_source_that_somebody_has_opened() {
    let groups = |groups: &'static [&str], changing: bool| {
        move |cluster: &mut Cluster| {
            cluster.security_groups = groups.iter().map(|group| (*group).to_owned()).collect();
            cluster.security_groups_changing = changing;
        }
    };
    type Open = Box<dyn Fn(&mut Cluster)>;
    let opened: [(Open, &str); 4] = [
        (Box::new(groups(&["sg-app"], false)), "its security groups are sg-app"),
        (Box::new(groups(&["sg-fence", "sg-app"], false)), "its security groups are sg-fence, sg-app"),
        (Box::new(groups(&["sg-fence"], true)), "sg-fence, and are being changed"),
        (Box::new(|cluster| cluster.resource_id = "cluster-OTHER".to_owned()), "deleted and made anew"),
    ];
    for (open, told) in opened {
        let (zone, rds) = (Zone::new(Lose::Nothing), fenced());
        rds.edit("orders", open);
        let error = of_rds(&zone, &rds).run(input()).await.unwrap_err();
        // Not retried, and without a note: the fence is lifted, and no record has moved.
        assert_eq!(error.name, ErrorName::RewindFailed);
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!((zone.values(), zone.noted.lock().unwrap().len()), (at_old(), 0), "{told}");
    }
    // A record that moved already is a second run's, whatever became of the fence since.
    let zone = Zone::new(Lose::Nothing);
    swap(&zone, input()).await;
    of_rds(&zone, &rds_with_restored()).run(input()).await.unwrap();
    // A fence without a network layer leaves the groups as they are: its record alone counts.
    let zone = Zone::new(Lose::Nothing);
    let without = SwapDns { fence_groups: Vec::new(), ..of_rds(&zone, &rds_with_restored()) };
    without.run(input()).await.unwrap();
    assert_eq!(zone.values(), at_new());
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_reading_the_zone() {
    let zone = Zone::new(Lose::Answer);
    assert!(step(&zone).run(input()).await.is_ok());
    assert_eq!(zone.values(), at_new());
    let zone = Zone::new(Lose::Call);
    assert_eq!(step(&zone).run(input()).await.unwrap_err().name, ErrorName::OutcomeUnknown);
    assert_eq!(zone.values(), at_old());
}

#[tokio::test]
async fn a_zone_that_nobody_can_read_after_a_lost_answer_is_never_taken_for_a_refusal() {
    for lose in [Lose::Answer, Lose::Call] {
        let zone = Zone { unread: Some(1), ..Zone::new(lose) };
        let error = step(&zone).run(input()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::OutcomeUnknown);
        assert!(error.to_string().contains("the records may have been moved"), "{error}");
    }
}

#[tokio::test]
async fn a_record_that_changed_stops_the_recovery_with_nothing_moved() {
    // Changed before the step reads the zone, and after it.
    let early = Zone::new(Lose::Nothing);
    early.set("db-ro.example.com", "elsewhere.example.com");
    let late = Zone { meddled: Some("db-ro.example.com"), ..Zone::new(Lose::Nothing) };
    for zone in [early, late] {
        let error = step(&zone).run(input()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RecordChanged);
        assert!(error.to_string().contains("db-ro.example.com is CNAME elsewhere.example.com"), "{error}");
        // The other record stays too: half a move would split the clients between two writers.
        assert_eq!(zone.values()[0], at_old()[0]);
    }
}

#[tokio::test]
async fn a_change_after_a_lost_answer_is_never_taken_for_a_refusal() {
    // As a refusal this would count as `never moved`, and the restored cluster with its clients' writes would be
    // deleted.
    let zone = Zone { meddled_after: Some("db-ro.example.com"), ..Zone::new(Lose::Answer) };
    let error = step(&zone).run(input()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::OutcomeUnknown);
    assert!(error.to_string().contains("some records may have been moved"), "{error}");
}

#[tokio::test]
async fn another_ttl_counts_as_a_change() {
    let zone = Zone::new(Lose::Nothing);
    // Route 53 would refuse the batch, and whoever raised the TTL has a reason that the plan does not know.
    zone.sets.lock().unwrap()[0].ttl = Some(300);
    assert_eq!(step(&zone).run(input()).await.unwrap_err().name, ErrorName::RecordChanged);
}

#[tokio::test]
async fn undo_moves_back_what_was_moved_and_nothing_else() {
    let zone = Zone::new(Lose::Nothing);
    assert!(!step(&zone).undo(input()).await.unwrap().changed);
    step(&zone).run(input()).await.unwrap();
    let undone = step(&zone).undo(input()).await.unwrap();
    assert!(undone.changed);
    assert_eq!(zone.values(), at_old());
    // By its change Route 53 is asked whether all of its servers have it, and by the records each name is followed.
    let swap = undone.swap.unwrap();
    assert!(swap.change_id.is_some());
    let led: Vec<(&str, &str)> = swap.records.iter().map(|moved| (moved.from.as_str(), moved.to.as_str())).collect();
    let (old, new) = (at_old(), at_new());
    assert_eq!(led, [(new[0].as_str(), old[0].as_str()), (new[1].as_str(), old[1].as_str())]);
    // The second time nobody knows the change, and the names are followed all the same.
    let again = step(&zone).undo(input()).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.swap, Some(Swap { change_id: None, ..swap }));
    // Somebody moved the record on after the recovery. Moving it back would take the clients from where people put
    // them.
    zone.set("db.example.com", "elsewhere.example.com");
    assert_eq!(step(&zone).undo(input()).await.unwrap_err().name, ErrorName::RecordChanged);
}

/// A plan that nobody approved moves no record away from the cluster that another recovery has led clients to.
#[tokio::test]
async fn undo_moves_no_record_away_from_a_cluster_that_the_plan_does_not_name() {
    let zone = Zone::new(Lose::Nothing);
    for other in ["orders-r2.cluster-x.us-east-1.rds.amazonaws.com", "db.elsewhere.example.com", "orders-r", ""] {
        let mut input = input();
        for (record, host) in ["db.example.com", "db-ro.example.com"].into_iter().zip([other, "orders-r.cluster-ro-x"])
        {
            zone.set(record, host);
        }
        other.clone_into(&mut input.restored.writer_endpoint);
        "orders-r.cluster-ro-x".clone_into(&mut input.restored.reader_endpoint);
        let error = step(&zone).undo(input).await.unwrap_err();
        assert!(error.name == ErrorName::Bug && error.to_string().contains("moved no record"), "{other}: {error}");
        assert_eq!(zone.values(), [other, "orders-r.cluster-ro-x"]);
    }
    assert_eq!(*zone.batches.lock().unwrap(), 0);
}

#[tokio::test]
async fn without_records_there_is_nothing_to_move() {
    let zone = Zone::new(Lose::Nothing);
    let mut input = input();
    // A plan without records has no zone either, so nothing may be asked of Route 53.
    input.plan.dns.clear();
    let moved = swap(&zone, input.clone()).await;
    assert_eq!((moved.change_id, moved.hosted_zone_id, moved.records.len()), (None, None, 0));
    assert_eq!(step(&zone).undo(input).await.unwrap(), Undone::nothing());
    assert_eq!(*zone.batches.lock().unwrap(), 0);
}

#[tokio::test]
async fn the_zone_shows_what_an_attempt_whose_answer_was_lost_has_moved() {
    let zone = Zone::new(Lose::Nothing);
    let planned = read(&zone).await;
    assert_eq!(planned.records, FoundState::Planned);
    // As they are moved back: an undo whose answer was lost goes on with it.
    let back = planned.swap.unwrap();
    assert_eq!(back.records.iter().map(|moved| moved.to.clone()).collect::<Vec<_>>(), at_old());
    let moved = swap(&zone, input()).await;
    let found = read(&zone).await;
    assert_eq!(found.records, FoundState::Moved);
    // The cutover goes on with it, without an id to ask Route 53 about.
    assert_eq!(found.swap, Some(Swap { change_id: None, ..moved }));
    // One record leads clients to the restored cluster still: nothing may be concluded from the other one alone.
    zone.set("db-ro.example.com", "elsewhere.example.com");
    let found = read(&zone).await;
    assert_eq!((found.records, found.swap), (FoundState::Mixed, None));
    assert!(found.what.contains("db-ro.example.com is CNAME elsewhere.example.com"), "{}", found.what);
    zone.set("db.example.com", &at_old()[0]);
    assert_eq!(read(&zone).await.records, FoundState::Elsewhere);
    assert_eq!(*zone.batches.lock().unwrap(), 1, "reading moved a record");
}

/// Clients are where a name leads: a TTL that somebody raised again after the cutover takes none of them away.
#[tokio::test]
async fn a_moved_record_that_was_edited_still_leads_to_the_restored_cluster() {
    type Edit = fn(&mut RecordSet);
    let edits: [(Edit, &str); 5] = [
        (|set| set.ttl = Some(300), "(TTL 300)"),
        (|set| set.routed = true, "with a routing policy"),
        (|set| set.ttl = None, "db.example.com is CNAME"),
        (|set| set.kind = "A".to_owned(), "db.example.com is A"),
        (|set| set.values = vec![format!("{}.", set.values[0].to_uppercase())], ""),
    ];
    for (edit, told) in edits {
        let zone = Zone::new(Lose::Nothing);
        swap(&zone, input()).await;
        zone.edit("db.example.com", edit);
        let found = read(&zone).await;
        assert_eq!(found.records, FoundState::Moved, "{told}");
        let edited = found.swap.unwrap().edited;
        assert_eq!(edited.len(), usize::from(!told.is_empty()), "{edited:?}");
        assert!(edited.join("").contains(told), "{edited:?}\nlacks {told}");
        // A repetition finds its work done, and tells the same.
        assert_eq!(swap(&zone, input()).await.edited, edited);
    }
    let zone = Zone::new(Lose::Nothing);
    swap(&zone, input()).await;
    zone.split("db.example.com", &restored().writer_endpoint);
    assert_eq!(read(&zone).await.records, FoundState::Moved);
}

#[tokio::test]
async fn a_name_that_leads_to_the_restored_cluster_in_part_is_no_name_that_leads_elsewhere() {
    let zone = Zone::new(Lose::Nothing);
    zone.split("db.example.com", &restored().writer_endpoint);
    let found = read(&zone).await;
    assert_eq!((found.records, found.swap), (FoundState::Mixed, None));
    // Both at the source: edited, and not moved.
    let zone = Zone::new(Lose::Nothing);
    zone.split("db.example.com", &at_old()[0]);
    zone.edit("db-ro.example.com", |set| set.ttl = Some(300));
    assert_eq!(read(&zone).await.records, FoundState::Planned);
    assert_eq!(step(&zone).run(input()).await.unwrap_err().name, ErrorName::RecordChanged);
}

#[tokio::test]
async fn the_undo_moves_an_edited_record_back_and_keeps_what_was_edited() {
    let zone = Zone::new(Lose::Nothing);
    swap(&zone, input()).await;
    zone.edit("db.example.com", |set| {
        set.ttl = Some(300);
        set.values = vec![format!("{}.", set.values[0].to_uppercase())];
    });
    let undone = step(&zone).undo(input()).await.unwrap();
    assert!(undone.what[0].ends_with("again, with the TTL 300 that it was given meanwhile"), "{:?}", undone.what);
    assert_eq!(zone.values(), at_old());
    assert_eq!(zone.sets.lock().unwrap()[0].ttl, Some(300));
    let again = step(&zone).undo(input()).await.unwrap();
    assert!(!again.changed);
    // Resolvers may remember the restored cluster for that long, and so may those that have the TTL of the plan.
    for swap in [undone.swap.unwrap(), again.swap.unwrap()] {
        assert_eq!(swap.records[0].ttl, 300);
    }
}

#[test]
fn what_was_found_is_written_in_the_words_of_the_state_machine() {
    let found = FoundRecords { records: FoundState::Elsewhere, what: "w".to_owned(), swap: None };
    let written = serde_json::to_value(Output::Read(found)).unwrap();
    assert_eq!(written, serde_json::json!({ "records": "elsewhere", "what": "w", "swap": null }));
    let payload =
        serde_json::json!({ "recovery": recovery(), "plan": plan(), "restored": restored(), "readOnly": true });
    assert!(serde_json::from_value::<Input>(payload).unwrap().read_only);
}

#[tokio::test]
async fn no_record_is_moved_to_a_host_that_rds_does_not_name() {
    let elsewhere = || "db.attacker.example.com".to_owned();
    let zone = Zone::new(Lose::Nothing);
    let forged = Restored { writer_endpoint: elsewhere(), ..restored() };
    let error = step(&zone).run(Input { restored: forged, ..input() }).await.unwrap_err();
    assert!(error.to_string().contains("which is no endpoint of orders-r"), "{error}");
    // Nor to a cluster of another recovery, whatever its name is.
    let rds = fenced();
    rds.edit("orders-r", |cluster| cluster.tags.clear());
    let error = of_rds(&zone, &rds).run(input()).await.unwrap_err();
    assert!(error.to_string().contains("RDS does not know orders-r"), "{error}");
    assert_eq!((zone.values(), *zone.batches.lock().unwrap()), (at_old(), 0));
    // Nor back.
    step(&zone).run(input()).await.unwrap();
    let mut forged = plan();
    forged.dns.iter_mut().for_each(|record| record.from = elsewhere());
    let error = step(&zone).undo(Input { plan: forged, ..input() }).await.unwrap_err();
    assert!(error.to_string().contains("which is no endpoint of orders"), "{error}");
    assert_eq!((zone.values(), *zone.batches.lock().unwrap()), (at_new(), 1));
}

#[tokio::test]
async fn a_record_goes_back_to_an_instance_of_the_source_however_it_was_written() {
    let zone = Zone::new(Lose::Nothing);
    let rds = fenced();
    let instance = rds.everything().1.iter().find_map(|(_, instance)| instance.endpoint.clone()).unwrap();
    let written = format!("{}.", instance.to_ascii_uppercase());
    let mut plan = plan();
    plan.dns.truncate(1);
    plan.dns[0].from.clone_from(&written);
    zone.set(&plan.dns[0].name, &written);
    let input = Input { plan, ..input() };
    of_rds(&zone, &rds).run(input.clone()).await.unwrap();
    of_rds(&zone, &rds).undo(input).await.unwrap();
    assert_eq!(zone.values()[0], written);
}
