//! The output names every cluster and time, and a second run writes the same.

use super::*;
use rewind_aws::fixtures::{
    ManualClock, STARTED, TARGET, in_place_plan, mysql_source, plan, rds, rds_with_restored, recovery, restored,
    safety_clone, time,
};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_core::comparison::Comparison;
use rewind_core::names::{SECRET_TAG, secret_of_tag};
use rewind_core::{Adopted, Engine, FenceLayer, Login, Tls};

fn input() -> FinishInput {
    let login = Login { user: "postgres".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
    let timings = [("ValidateWindow", "2026-11-23T10:35:00.5Z"), ("StartRestore", "2026-11-23T10:35:02Z")];
    FinishInput {
        recovery: recovery(),
        plan: plan(),
        restored: restored(),
        report: Report::new(login, Vec::new(), Vec::new(), Vec::new()),
        differences: vec![Difference::new("w", "s", "r", "t")],
        comparison: Some(Comparison { tables: 3, ..Comparison::default() }),
        fence: Some(Fence {
            fenced_at: time("2026-11-23T10:40:00Z"),
            sessions_ended: 3,
            layers: vec![FenceLayer { layer: "sessions".to_owned(), did: "3 ended, none came back".to_owned() }],
        }),
        swap: None,
        safety_clone: None,
        held_jobs: Vec::new(),
        unconfirmed: None,
        unwatched: None,
        source_unseen: None,
        timings: timings.into_iter().map(|(state, at)| (state.to_owned(), time(at))).collect(),
    }
}

#[test]
fn the_payload_is_read_by_the_names_that_the_state_machine_passes() {
    let FinishInput { recovery, plan, restored, report, differences, comparison, fence, timings, .. } = input();
    let payload = serde_json::json!({
        "recovery": recovery, "plan": plan, "restored": restored, "report": report, "differences": differences,
        "comparison": comparison, "fence": fence, "swap": null, "safetyClone": safety_clone(), "timings": timings,
    });
    // A name that differs is no error but an absent safety clone, and in place the rewound cluster would be tagged as fenced.
    let read = serde_json::from_value(payload.clone()).unwrap();
    let Input::Finish(read) = read else { panic!("it is not the end of a recovery") };
    assert_eq!(read.comparison.as_ref().map(|found| found.tables), Some(3));
    assert_eq!(read.safety_clone.map(|clone| clone.cluster), Some(safety_clone().cluster));
    let mut lacking = payload;
    lacking.as_object_mut().unwrap().remove("report");
    assert!(serde_json::from_value::<Input>(lacking).unwrap_err().to_string().contains("report"));
    let keep = serde_json::json!({ "recovery": recovery, "plan": plan, "what": "keep" });
    assert!(matches!(serde_json::from_value(keep).unwrap(), Input::Keep(_)));
    let keep = serde_json::json!({ "recovery": recovery, "plan": plan, "what": "keepSafetyClone", "leaseUntil": null });
    let Input::Keep(read) = serde_json::from_value(keep).unwrap() else { panic!("nothing is kept") };
    assert_eq!((read.what, read.lease_until), (What::KeepSafetyClone, None));
}

#[tokio::test]
async fn the_output_names_the_checks_and_holds_no_value_of_them() {
    let check = CheckResult {
        name: "rows are back".to_owned(),
        database: "shop".to_owned(),
        expected: "at least 1".to_owned(),
        found: Some("canary".to_owned()),
        passed: true,
        source: Some("canary".to_owned()),
        seconds: 0.1,
        note: None,
        source_note: None,
    };
    let report = Report { checks: vec![check], ..input().report };
    let step = Finish { clusters: rds(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let output = step.run(Input::Finish(Box::new(FinishInput { report, ..input() }))).await.unwrap();
    let output = serde_json::to_string(&output).unwrap();
    assert!(!output.contains("canary") && output.contains("rows are back"), "{output}");
}

#[tokio::test]
async fn the_source_is_tagged_with_who_fenced_it_and_until_when_it_is_kept() {
    let rds = rds();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let run = || step.run(Input::Finish(Box::new(input())));
    let Output::Finished(first) = run().await.unwrap() else { panic!("it did not recover") };
    let first = first.recovered().unwrap().clone();
    let source = rds.find("orders").unwrap();
    assert_eq!(source.tag(FENCED_BY_TAG), Some("operation-001"));
    assert_eq!(source.tag(KEEP_UNTIL_TAG), Some("2026-11-30T10:40:00Z"));
    assert_eq!(source.tag("team"), Some("orders"));
    // The state machine repeats the step after a lost response, and people may have read the first time already.
    let again = Outcome::Recovered(Box::new(first.clone()));
    assert_eq!(run().await.unwrap(), Output::Finished(Box::new(again)));
    let lost = first.not_carried_over.unwrap();
    assert_eq!((lost.from, lost.to), (time(TARGET), time("2026-11-23T10:40:00Z")));
    let keep = first.source.keep.unwrap();
    let named = |command: &str| command.contains("--resource-name arn:aws:rds:us-east-1:000000000000:cluster:orders ");
    assert!(named(&keep.keep_longer) && keep.keep_longer.contains("Key=aurora-rewind:keep-until,Value="), "{keep:?}");
    assert!(
        named(&keep.keep_forever) && keep.keep_forever.ends_with("--tag-keys aurora-rewind:keep-until"),
        "{keep:?}"
    );
    let marked: Vec<String> = rds.changes().into_iter().filter(|change| change.contains(":db:")).collect();
    let marks =
        ["tag arn:aws:rds:us-east-1:000000000000:db:orders-1", "tag arn:aws:rds:us-east-1:000000000000:db:orders-2"];
    assert_eq!(marked, [marks, marks].concat());
}

#[tokio::test]
async fn whoever_got_a_cluster_beside_the_source_is_told_that_nothing_deletes_it() {
    let step =
        Finish { clusters: rds_with_restored(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    for (plan, is_beside) in [(Plan { dns: Vec::new(), ..plan() }, true), (plan(), false)] {
        let notes = step.finish(FinishInput { plan, fence: None, ..input() }).await.unwrap().notes;
        let told = notes.iter().find(|note| note.contains("nothing deletes orders-r by itself"));
        assert_eq!(told.is_some_and(|note| note.contains("rewind clusters")), is_beside, "{notes:?}");
    }
}

#[tokio::test]
async fn an_instance_that_is_gone_by_then_stops_nothing() {
    let (clusters, mut instances) = rds().everything();
    instances.retain(|(_, instance)| instance.name != "orders-1");
    let rds = FakeRds::with(clusters, instances);
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let kept = rds.find("orders").unwrap().arn;
    assert!(step.finish(input()).await.unwrap().source.keep.is_some());
    let instance = format!("tag {}-2", kept.replace(":cluster:", ":db:"));
    assert_eq!(rds.changes(), [format!("tag {kept}"), instance, format!("tag {}", restored().cluster_arn)]);
    // What has no answer is asked for again.
    rds.lose(1, Lose::Answer);
    assert_eq!(step.finish(input()).await.unwrap_err().name, ErrorName::OutcomeUnknown);
}

#[tokio::test]
async fn a_source_without_room_for_the_marks_fails_nothing_and_is_left_to_the_operator() {
    let rds = rds();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let tagged = |count| (0..count).map(|n| (format!("k{n}"), String::new())).collect::<Vec<_>>();
    // Two marks do not fit beside 49 of the 50 tags that RDS takes.
    rds.edit("orders", |source| source.tags = tagged(49));
    let output = step.finish(input()).await.unwrap();
    assert_eq!((output.source.keep_until, output.source.keep), (None, None));
    let note = output.notes.iter().find(|note| note.contains("could not be marked")).unwrap();
    assert!(note.contains("take 2 of its tags off") && note.contains("Key=aurora-rewind:keep-until,Value=2026-11-30T"));
    assert_eq!(rds.find("orders").unwrap().tags, tagged(49));
    rds.edit("orders", |source| source.tags = tagged(48));
    let output = step.finish(input()).await.unwrap();
    assert_eq!(output.source.keep_until, Some(time("2026-11-30T10:40:00Z")));
    assert!(!output.notes.iter().any(|note| note.contains("marked")), "{:?}", output.notes);
}

#[tokio::test]
async fn the_restored_cluster_is_tagged_with_the_secret_that_logs_in_to_it() {
    let rds = rds_with_restored();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
    step.finish(input()).await.unwrap();
    let restored = rds.find("orders-r").unwrap();
    // A managed secret is rotated on with the source: the login is that of the moment.
    let moment = Some(crate::tests::restored().rewound_to);
    assert_eq!(restored.tag(SECRET_TAG).and_then(secret_of_tag), Some((plan().secret_arn, moment)));
    assert_eq!(rds.find("orders").unwrap().tag(SECRET_TAG), None);
    // A cluster without room for it is recovered all the same.
    rds.edit("orders-r", |restored| restored.tags = (0..50).map(|n| (format!("k{n}"), String::new())).collect());
    let output = step.finish(input()).await.unwrap();
    assert!(
        output.notes.iter().any(|note| note.contains("give `secretArn` when it is recovered again")),
        "{:?}",
        output.notes
    );
    // RDS takes 256 characters, and a secret's name may have 512.
    let long = Plan { secret_arn: format!("arn:aws:secretsmanager:r:1:secret:{}", "x".repeat(300)), ..plan() };
    let output = step.finish(FinishInput { plan: long, ..input() }).await.unwrap();
    assert!(output.notes.iter().any(|note| note.contains("its ARN is longer than a tag")), "{:?}", output.notes);
}

#[tokio::test]
async fn in_place_a_secret_that_was_named_in_the_request_is_found_again_too() {
    let rds = FakeRds::with(vec![mysql_source()], Vec::new());
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
    let rewound = Restored { cluster: "orders".to_owned(), cluster_arn: mysql_source().arn, ..restored() };
    let rewind = |secret_arn: &str| FinishInput {
        plan: Plan { secret_arn: secret_arn.to_owned(), ..in_place_plan() },
        restored: rewound.clone(),
        safety_clone: Some(safety_clone()),
        ..input()
    };
    step.finish(rewind("arn:aws:secretsmanager:r:1:secret:rds!cluster-1")).await.unwrap();
    assert_eq!(rds.find("orders").unwrap().tag(SECRET_TAG), None);
    step.finish(rewind("arn:aws:secretsmanager:r:1:secret:mine")).await.unwrap();
    assert_eq!(rds.find("orders").unwrap().tag(SECRET_TAG), Some("arn:aws:secretsmanager:r:1:secret:mine"));
}

#[tokio::test]
async fn what_only_verification_sees_is_among_the_differences_once() {
    let step = Finish { clusters: rds(), clock: ManualClock::at(STARTED), fences_network: true };
    let mut input = input();
    input.report.differences = vec![Difference::new("secret", "a", "b", "c")];
    let found: Vec<String> = step.finish(input).await.unwrap().differences.into_iter().map(|d| d.what).collect();
    assert_eq!(found, ["w", "secret"]);
}

#[tokio::test]
async fn a_source_that_keeps_its_traffic_is_not_tagged() {
    let rds = rds();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
    let output = step.finish(FinishInput { fence: None, ..input() }).await.unwrap();
    assert_eq!(rds.changes(), [format!("tag {}", restored().cluster_arn)]);
    assert_eq!((output.not_carried_over, output.source.keep_until), (None, None));
}

#[tokio::test]
async fn a_state_s_time_is_from_the_end_of_the_one_before_it() {
    let step = Finish { clusters: rds(), clock: ManualClock::at("2026-11-23T10:35:03Z"), fences_network: true };
    let timings = step.finish(input()).await.unwrap().timings;
    assert_eq!(
        serde_json::to_value(timings).unwrap(),
        serde_json::json!({
            "ValidateWindow": 0.5, "StartRestore": 1.5, "total": 3.0
        })
    );
}

#[test]
fn an_outage_lasts_from_the_beginning_of_the_fence_until_clients_have_a_database_again() {
    let ended = |states: &[(&str, &str)]| states.iter().map(|(state, at)| ((*state).to_owned(), time(at))).collect();
    let begun = [("ConfirmApproval", "2026-11-23T10:40:00Z"), ("FenceSource", "2026-11-23T10:40:02Z")];
    for over in ["ConfirmCutover", "LiftFence"] {
        let states =
            [&begun[..], &[(over, "2026-11-23T10:40:09.5Z"), ("ReleaseJobs", "2026-11-23T10:41:00Z")]].concat();
        assert_eq!(outage(time(STARTED), &ended(&states)), Some(9.5), "{over}");
    }
    // Nobody saw clients on the restored cluster; or nothing was fenced.
    assert_eq!(outage(time(STARTED), &ended(&begun)), None);
    assert_eq!(outage(time(STARTED), &ended(&begun[..1])), None);
}

#[tokio::test]
async fn in_place_the_safety_clone_is_what_is_kept_and_its_end_is_a_command() {
    let kept =
        Cluster { name: "orders-e".to_owned(), arn: safety_clone().cluster_arn, ..Cluster::bare(Engine::AuroraMysql) };
    let rds = FakeRds::with(vec![mysql_source(), kept], Vec::new());
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let landed = time("2026-11-23T10:29:59.75Z");
    let source = mysql_source();
    let rewound = Restored {
        cluster: source.name.clone(),
        cluster_arn: source.arn,
        writer_endpoint: source.endpoint.unwrap(),
        reader_endpoint: source.reader_endpoint.unwrap(),
        rewound_to: landed,
        differences: Vec::new(),
    };
    let input = FinishInput {
        plan: in_place_plan(),
        restored: rewound,
        safety_clone: Some(safety_clone()),
        differences: Vec::new(),
        ..input()
    };
    let output = step.finish(input.clone()).await.unwrap();
    assert_eq!(step.finish(input).await.unwrap(), output);
    let (source, clone) = (rds.find("orders").unwrap(), rds.find("orders-e").unwrap());
    assert_eq!(source, mysql_source());
    assert_eq!(clone.tag(SAFETY_CLONE_OF_TAG), Some("operation-001"));
    assert_eq!(clone.tag(KEEP_UNTIL_TAG), Some("2026-11-30T10:40:00Z"));
    assert_eq!((&output.new_cluster, output.source.keep_until), (&None, None));
    assert_eq!(output.writer_endpoint, "orders.cluster-x.us-east-1.rds.amazonaws.com");
    let lost = output.not_carried_over.unwrap();
    assert_eq!(
        (lost.from, lost.to, lost.place.as_str()),
        (landed, time("2026-11-23T10:40:00Z"), "kept on orders-e, the safety clone")
    );
    let kept_clone = output.safety_clone.unwrap();
    assert_eq!(
        (kept_clone.taken_at, kept_clone.keep_until),
        (safety_clone().rewound_to, Some(time("2026-11-30T10:40:00Z")))
    );
    assert_eq!(
        kept_clone.delete,
        "aws rds modify-db-cluster --db-cluster-identifier orders-e --no-deletion-protection && aws rds delete-db-instance \
         --db-instance-identifier orders-e-1 && aws rds delete-db-cluster --db-cluster-identifier orders-e \
         --skip-final-snapshot"
    );
    assert_eq!(
        output.notes,
        ["2026-11-23T10:29:59.750Z is the nearest consistent time to 2026-11-23T10:30:00Z, which was asked for"]
    );
}

fn failed() -> KeepInput {
    KeepInput { recovery: recovery(), plan: plan(), what: What::Keep, fenced: false, lease_until: Some(time(LEASE)) }
}

/// The end of the recovery's lease.
const LEASE: &str = "2026-11-25T10:35:00.5Z";
/// A day after it: the tag of a restored cluster while its recovery runs.
const WHILE_IT_RUNS: &str = "2026-11-26T10:35:00Z";

/// An RDS in which the restored cluster has this time, as its tag.
fn kept_until(until: Option<&str>) -> FakeRds {
    let rds = rds_with_restored();
    rds.edit("orders-r", |cluster| {
        cluster.deletion_protection = false;
        cluster.tags.extend(until.map(|until| (KEEP_UNTIL_TAG.to_owned(), until.to_owned())));
    });
    rds
}

#[tokio::test]
async fn nobody_is_given_less_time_than_people_have_asked_for() {
    let adopted = |keep_until: Option<&str>| {
        let keep_until = keep_until.map(time);
        Plan {
            adopted: Some(Adopted {
                recovery: "earlier".to_owned(),
                owners: Vec::new(),
                keep_until,
                checks_of_event: false,
            }),
            ..plan()
        }
    };
    let (today, tomorrow, later) = ("2026-11-23T12:00:00Z", "2026-11-24T11:00:00Z", "2027-01-31T00:00:00Z");
    for (case, tag, plan, expected) in [
        ("its own", Some(WHILE_IT_RUNS), plan(), Some(tomorrow)),
        ("extended meanwhile", Some(later), plan(), Some(later)),
        ("shortened meanwhile", Some(today), plan(), Some(tomorrow)),
        ("for ever", None, plan(), None),
        ("for ever, in words", Some("for ever"), plan(), Some("for ever")),
        ("extended before the adoption", Some(WHILE_IT_RUNS), adopted(Some(later)), Some(later)),
        (
            "extended beyond the lease before it",
            Some("2027-02-28T00:00:00Z"),
            adopted(Some("2027-02-28T00:00:00Z")),
            Some("2027-02-28T00:00:00Z"),
        ),
        ("adopted as it was", Some(WHILE_IT_RUNS), adopted(Some(today)), Some(tomorrow)),
        ("for ever before the adoption", None, adopted(None), None),
    ] {
        let rds = kept_until(tag);
        let step =
            Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T11:00:00Z"), fences_network: true };
        let kept = step.keep(KeepInput { plan, ..failed() }).await.unwrap();
        assert_eq!(rds.find("orders-r").unwrap().tag(KEEP_UNTIL_TAG), expected, "{case}");
        assert_eq!(
            kept.keep_until.map(|at| at.to_string()).as_deref(),
            expected.filter(|at| at.starts_with('2')),
            "{case}"
        );
        assert!(kept.keep_until.is_some() || kept.what.contains("until somebody deletes it"), "{}", kept.what);
    }
}

#[tokio::test]
async fn the_safety_clone_of_one_that_stays_rewound_is_kept_as_its_end_would_have_kept_it() {
    let (now, later) = ("2026-11-30T11:00:00Z", "2027-01-31T00:00:00Z");
    for (tag, expected, case) in [
        (None, now, "without a time"),
        (Some("2026-12-02T10:35:00Z"), now, "the time that it got when it was made"),
        (Some("2026-11-24T00:00:00Z"), now, "a time that is too early"),
        (Some(later), later, "a later time, which people set"),
        (Some("for ever"), "for ever", "what is no time"),
    ] {
        let rds = kept_until(tag);
        rds.edit("orders-r", |cluster| cluster.name = safety_clone().cluster);
        let step =
            Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T11:00:00Z"), fences_network: true };
        let input = KeepInput { plan: in_place_plan(), what: What::KeepSafetyClone, ..failed() };
        let Output::Kept(kept) = step.run(Input::Keep(Box::new(input))).await.unwrap() else { panic!("{case}") };
        let found = rds.find("orders-e").unwrap();
        assert_eq!(found.tag(KEEP_UNTIL_TAG), Some(expected), "{case}");
        assert!(
            kept.what.contains(expected) && kept.what.contains("rewind open operation-001"),
            "{case}: {}",
            kept.what
        );
        // Without a time nothing deletes it, so nobody looks for the mark.
        assert_eq!(found.tag(SAFETY_CLONE_OF_TAG).is_some(), kept.keep_until.is_some(), "{case}");
    }
    let input = KeepInput { plan: in_place_plan(), what: What::KeepSafetyClone, ..failed() };
    let step = Finish { clusters: rds(), clock: ManualClock::at(STARTED), fences_network: true };
    let kept = step.keep_safety_clone(input).await.unwrap();
    assert_eq!((kept.cluster, kept.what.as_str()), (None, "there is no safety clone orders-e any more"));
}

#[tokio::test]
async fn a_live_cluster_has_no_time_after_which_it_may_be_deleted_and_the_protection_of_the_source() {
    // With traffic, and as one to look at.
    for fence in [input().fence, None] {
        let rds = kept_until(Some(WHILE_IT_RUNS));
        let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
        step.finish(FinishInput { fence, ..input() }).await.unwrap();
        let live = rds.find("orders-r").unwrap();
        assert_eq!((live.tag(KEEP_UNTIL_TAG), live.deletion_protection), (None, true));
    }
    let rds = kept_until(Some(WHILE_IT_RUNS));
    rds.edit("orders", |source| source.deletion_protection = false);
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
    step.finish(input()).await.unwrap();
    assert!(!rds.find("orders-r").unwrap().deletion_protection);
}

#[tokio::test]
async fn undo_takes_off_the_source_what_the_recovery_set_on_it_and_nothing_else() {
    let rds = rds_with_restored();
    let before = rds.everything();
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
    step.finish(input()).await.unwrap();
    assert_ne!(rds.find("orders").unwrap(), before.0[0]);
    let undo = || async {
        let payload = serde_json::json!({ "recovery": recovery(), "plan": plan(), "direction": "undo" });
        step.undo(serde_json::from_value(payload).unwrap()).await.unwrap()
    };
    // A recovery after this one has fenced it again.
    rds.edit("orders", |source| {
        source
            .tags
            .iter_mut()
            .filter(|(key, _)| key == FENCED_BY_TAG)
            .for_each(|(_, id)| "operation-002".clone_into(id));
    });
    let first = undo().await;
    // The restored cluster alone: it has the traffic no more, and what clients wrote to it.
    let until = rds.find("orders-r").unwrap().tag(KEEP_UNTIL_TAG).unwrap().to_owned();
    assert!(first.changed && first.what.len() == 1, "{first:?}");
    assert!(first.what[0].contains(&format!("orders-r is kept, fenced, until {until}")), "{first:?}");
    rds.edit("orders", |source| {
        source
            .tags
            .iter_mut()
            .filter(|(key, _)| key == FENCED_BY_TAG)
            .for_each(|(_, id)| "operation-001".clone_into(id));
    });
    assert!(undo().await.changed);
    assert_eq!((rds.find("orders").unwrap(), rds.everything().1), (before.0[0].clone(), before.1));
    // A second run changes nothing, and tells the same time.
    assert_eq!(undo().await, Undone { changed: false, ..first });
}

/// Each sentence is of what the clean-up does then.
#[tokio::test]
async fn what_had_the_traffic_is_told_with_what_becomes_of_it() {
    let until = "2026-11-30T10:35:00Z";
    let cases: [(bool, bool, Option<&str>, &str, &str); 5] = [
        (true, false, None, until, "deleted into a snapshot, if nobody uses or protects it"),
        (
            true,
            true,
            None,
            until,
            "stays while it has deletion protection, as its source had when it got the traffic; next step",
        ),
        (false, false, None, until, "stays until somebody deletes it, because without a fence of the network"),
        (true, false, Some("2026-12-24T00:00:00Z"), "2026-12-24T00:00:00Z", "deleted into a snapshot"),
        // People wrote it, and it stays.
        (
            true,
            false,
            Some("for ever"),
            "for ever",
            "until somebody deletes it, because its tag aurora-rewind:keep-until is",
        ),
    ];
    for (fences_network, protected, tag, expected, message) in cases {
        let rds = rds_with_restored();
        rds.edit("orders-r", |cluster| {
            cluster.deletion_protection = protected;
            cluster.tags.extend(tag.map(|tag| (KEEP_UNTIL_TAG.to_owned(), tag.to_owned())));
        });
        let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T10:35:00Z"), fences_network };
        let payload = serde_json::json!({ "recovery": recovery(), "plan": plan(), "direction": "undo" });
        let undone = step.undo(serde_json::from_value(payload).unwrap()).await.unwrap();
        let restored = rds.find("orders-r").unwrap();
        assert_eq!((restored.tag(KEEP_UNTIL_TAG), restored.deletion_protection), (Some(expected), protected));
        let what = undone.what.join("; ");
        assert!(what.contains("orders-r is kept, fenced, until") && what.contains(message), "{what}\nlacks {message}");
    }
}

#[tokio::test]
async fn after_a_failure_the_restored_cluster_is_tagged_and_the_sentence_names_the_way_on() {
    let rds = kept_until(Some(WHILE_IT_RUNS));
    let step = Finish { clusters: rds.clone(), clock: ManualClock::at("2026-11-23T11:00:00.4Z"), fences_network: true };
    let kept = step.keep(failed()).await.unwrap();
    // A day from now, in whole seconds.
    let until = time("2026-11-24T11:00:00Z");
    assert_eq!((kept.cluster.as_deref(), kept.keep_until), (Some("orders-r"), Some(until)));
    for part in ["orders-r is kept with its instances until 2026-11-24T11:00:00Z", "`rewind resume operation-001`"] {
        assert!(kept.what.contains(part), "{}", kept.what);
    }
    let restored = rds.find("orders-r").unwrap();
    assert_eq!(restored.tag(KEEP_UNTIL_TAG), Some("2026-11-24T11:00:00Z"));
    // The mark of a fenced source would have it deleted by the rules for one.
    assert_eq!((restored.tag(FENCED_BY_TAG), restored.tag(SAFETY_CLONE_OF_TAG)), (None, None));
    // The source is as it was, its tags too.
    assert_eq!(rds.changes(), ["tag arn:aws:rds:us-east-1:000000000000:cluster:orders-r"]);
    // In the field names of the state machine's sentence.
    let written = serde_json::to_value(Output::Kept(kept)).unwrap();
    assert_eq!(written["keepUntil"], "2026-11-24T11:00:00Z");
}

#[tokio::test]
async fn a_cluster_of_somebody_else_or_one_that_goes_is_never_tagged() {
    let edits: [fn(&mut Cluster); 2] = [|c| c.tags.clear(), |c| "deleting".clone_into(&mut c.status)];
    for edit in edits {
        let rds = rds_with_restored();
        rds.edit("orders-r", edit);
        let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
        let kept = step.keep(failed()).await.unwrap();
        assert_eq!((kept.cluster, kept.keep_until), (None, None));
        // Resuming would fail: nothing may promise it.
        assert!(!kept.what.contains("resume"), "{}", kept.what);
        assert!(rds.changes().is_empty());
    }
}

#[tokio::test]
async fn what_could_not_be_adopted_is_resumed_from_where_it_was() {
    let adopted = |owners: &[&str]| {
        let owners = owners.iter().map(|id| (*id).to_owned()).collect();
        Some(Adopted { recovery: "earlier".to_owned(), owners, keep_until: None, checks_of_event: false })
    };
    let kept = |owners: &[&str], owner: &str| {
        let rds = kept_until(Some(WHILE_IT_RUNS));
        rds.edit("orders-r", |cluster| {
            cluster
                .tags
                .iter_mut()
                .filter(|(key, _)| key == rewind_core::names::RECOVERY_TAG)
                .for_each(|tag| owner.clone_into(&mut tag.1))
        });
        let input = KeepInput { plan: Plan { adopted: adopted(owners), ..plan() }, ..failed() };
        async move {
            let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
            let kept = step.keep(input).await.unwrap();
            assert!(rds.changes().is_empty(), "the tags are those of the earlier recovery");
            kept.what
        }
    };
    let what = kept(&["earlier", "zeroth"], "zeroth").await;
    assert!(what.contains(&format!("is kept until {WHILE_IT_RUNS}, as earlier left it")), "{what}");
    assert!(what.contains("`rewind resume earlier` goes on with it"), "{what}");
    // Somebody else has adopted it since.
    assert_eq!(kept(&["earlier"], "later").await, "orders-r of earlier is not this recovery's");
}

#[tokio::test]
async fn a_restore_that_is_under_way_is_kept_and_one_that_came_to_nothing_is_not() {
    for (status, is_kept) in [
        ("creating", true),
        ("available", true),
        ("stopped", true),
        ("inaccessible-encryption-credentials", true),
        ("failed", false),
        ("restore-error", false),
        ("creation-failed", false),
    ] {
        let rds = kept_until(Some(WHILE_IT_RUNS));
        rds.edit("orders-r", |cluster| status.clone_into(&mut cluster.status));
        let step = Finish { clusters: rds.clone(), clock: ManualClock::at(STARTED), fences_network: true };
        let kept = step.keep(failed()).await.unwrap();
        assert_eq!((kept.cluster.is_some(), kept.what.contains("resume")), (is_kept, is_kept), "{}", kept.what);
        assert_eq!(kept.what.contains("RDS still restores"), status == "creating", "{}", kept.what);
        assert_eq!(rds.changes().is_empty(), !is_kept);
    }
}

#[tokio::test]
async fn nobody_is_promised_to_resume_from_a_restored_cluster_that_is_fenced() {
    let step =
        Finish { clusters: kept_until(Some(WHILE_IT_RUNS)), clock: ManualClock::at(STARTED), fences_network: true };
    let kept = step.keep(KeepInput { fenced: true, ..failed() }).await.unwrap();
    assert!(kept.what.contains("it is fenced") && kept.what.contains("lift its fence"), "{}", kept.what);
    assert!(kept.keep_until.is_some());
}

#[tokio::test]
async fn a_cutover_that_could_not_be_seen_is_the_first_note() {
    let step = Finish { clusters: rds(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let unseen = FinishInput { unconfirmed: Some("db: refused".to_owned()), ..input() };
    let outcome = step.finish(unseen).await.unwrap();
    let notes = outcome.notes;
    assert!(notes[0].contains("NOT CONFIRMED") && notes[0].contains("db: refused"), "{notes:?}");
    // Nobody is told that the source is fenced, who was told above to look whether it is.
    assert_eq!(outcome.unconfirmed.as_deref(), Some("db: refused"));
    assert_eq!(outcome.not_carried_over.unwrap().place, "kept on orders, which may not be fenced any more");
    let unseen = FinishInput { source_unseen: Some("denied".to_owned()), ..input() };
    assert_eq!(step.finish(unseen).await.unwrap().unconfirmed.as_deref(), Some("denied"));
    assert_eq!(step.finish(input()).await.unwrap().unconfirmed, None);
    assert!(!step.finish(input()).await.unwrap().notes.iter().any(|note| note.contains("CONFIRMED")));
}

#[tokio::test]
async fn a_fence_that_nothing_watched_is_a_note() {
    let step = Finish { clusters: rds(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let unwatched = FinishInput { unwatched: Some("denied [States.TaskFailed in WatchFence]".to_owned()), ..input() };
    let notes = step.finish(unwatched).await.unwrap().notes;
    let note = "the watch could not be started: denied [States.TaskFailed in WatchFence]";
    assert!(notes.iter().any(|found| found.contains(note)), "{notes:?}");
    assert!(!step.finish(input()).await.unwrap().notes.iter().any(|note| note.contains("watch")));
}

#[tokio::test]
async fn a_source_whose_fence_could_not_be_seen_is_a_note() {
    let step = Finish { clusters: rds(), clock: ManualClock::at("2026-11-23T10:41:00Z"), fences_network: true };
    let unseen = FinishInput { source_unseen: Some("it did not answer".to_owned()), ..input() };
    let notes = step.finish(unseen).await.unwrap().notes;
    let note = "whether orders is still fenced could not be seen after the cutover: it did not answer; next step";
    assert!(notes.iter().any(|found| found.contains(note)), "{notes:?}");
    assert!(!step.finish(input()).await.unwrap().notes.iter().any(|note| note.contains("still fenced")));
}
