//! Tests of the client over AWS in memory.

use crate::fake::{FakeAws, MACHINE, NOW, UNDO_MACHINE};
use crate::{ClientError, Decision, ExecutionFollower, ProgressEvent, RecoveryName, StartedExecution, Undoing};
use rewind_aws::AwsResult;
use rewind_aws::executions::{Executions, Status, What};
use rewind_aws::fixtures::{ManualClock, plan, rds_with_restored, recovered, time};
use rewind_aws::invoke::Called;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::{RecordSet, Zones};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG};
use rewind_core::{
    CleanUpRecord, Ending, ErrorName, FencesSeen, LeaseSeen, Listed, Outcome, Plan, PossiblyMoved, Recovered, Standing,
    StepError, Strategy,
};
use rewind_ui::WindowArgs;
use serde_json::{Map, Value, json};
use std::sync::Mutex;

fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> String {
    match answer {
        Err(ClientError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn given(id: &str) -> RecoveryName {
    RecoveryName::Given(id.to_owned())
}

fn yes(hash: &str) -> Decision {
    Decision { approved: true, by: "ann".into(), comment: Some("go".into()), hash: hash.into(), identity: None }
}

fn clock() -> ManualClock {
    ManualClock::at(NOW)
}

// -------------------------------------------------------------------------------------------------------------- start

#[tokio::test]
async fn what_is_asked_for_twice_is_started_once() {
    let aws = FakeAws::default();
    let request = json!({ "cluster": "orders", "to": "5m ago" });
    let first = aws.client().start(given("r-1"), &request, &()).await.unwrap();
    assert_eq!(
        first,
        StartedExecution {
            id: "r-1".into(),
            arn: format!("{}:r-1", MACHINE.replace("stateMachine", "execution")),
            started_before: false
        }
    );
    assert_eq!(
        aws.client().start(given("r-1"), &request, &()).await.unwrap(),
        StartedExecution { started_before: true, ..first }
    );
    assert_eq!(aws.state().started, [("r-1".to_owned(), request)]);
}

#[tokio::test]
async fn when_the_answer_is_lost_the_execution_shows_whether_it_was_started() {
    let request = json!({ "cluster": "orders", "to": "5m ago" });
    // Lost after the execution was started, and before: the caller cannot tell one from the other.
    for was_started in [true, false] {
        let aws = FakeAws::default();
        aws.state().lost_start = Some(was_started);
        let begun = aws.client().start(given("r-1"), &request, &()).await;
        assert_eq!(begun.is_ok_and(|begun| !begun.started_before), was_started);
        assert!(aws.client().start(given("r-1"), &request, &()).await.is_ok());
        assert_eq!(aws.state().started.len(), 1);
    }
}

#[tokio::test]
async fn a_name_that_another_request_has_is_refused() {
    let aws = FakeAws::default();
    aws.client().start(given("r-1"), &json!({ "cluster": "orders", "to": "5m ago" }), &()).await.unwrap();
    let other = json!({ "cluster": "payments", "to": "5m ago" });
    assert!(refused(aws.client().start(given("r-1"), &other, &()).await).contains("choose another name"));
    assert_eq!(aws.state().started.len(), 1);
}

#[tokio::test]
async fn two_recoveries_of_one_second_get_two_names() {
    let aws = FakeAws::default();
    for (to, id) in [("5m ago", "rewind-orders-20261123-105000"), ("6m ago", "rewind-orders-20261123-105000-2")] {
        let request = json!({ "cluster": "orders", "to": to });
        assert_eq!(aws.client().start(RecoveryName::Generated(time(NOW)), &request, &()).await.unwrap().id, id);
    }
    // A plan has a prefix of its own, so that it never takes the name of the recovery after it.
    let dry = json!({ "cluster": "orders", "to": "5m ago", "dryRun": true });
    assert_eq!(
        aws.client().start(RecoveryName::Generated(time(NOW)), &dry, &()).await.unwrap().id,
        "plan-orders-20261123-105000"
    );
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_refused_before_anything_is_started() {
    let aws = FakeAws::default();
    let message = refused(aws.client().start(given("r-1"), &json!({ "cluster": "orders", "to": "soon" }), &()).await);
    assert!(message.contains("`to` is \"soon\""), "{message}");
    // Step Functions takes 1 to 80 characters and no blank; its own refusal does not name the rule.
    // As the clean-up names itself in leases.
    for name in ["", "a b", "a/b", "ä", &"x".repeat(81), "clean-up-friday"] {
        let request = json!({ "cluster": "orders", "to": "latest" });
        assert!(
            refused(aws.client().start(given(name), &request, &()).await).contains("cannot be the name"),
            "{name:?}"
        );
    }
    assert!(aws.state().started.is_empty());
}

// ------------------------------------------------------------------------------------------------------------- resume

fn ended(aws: &FakeAws, id: &str, state: &str) {
    let arn = aws.add_running(id);
    aws.end(&arn, Status::Failed, Value::Null);
    aws.state().records.get_mut(id).unwrap().state = state.to_owned();
}

fn resume_of(id: &str) -> Map<String, Value> {
    json!({ "resume": id, "dryRun": false }).as_object().unwrap().clone()
}

#[tokio::test]
async fn a_recovery_that_ended_or_was_stopped_is_resumed_under_a_name_of_its_cluster() {
    let aws = FakeAws::default();
    ended(&aws, "r-1", "NothingChanged");
    let stopped = aws.add_running("r-2");
    aws.end(&stopped, Status::Stopped, Value::Null);
    for id in ["r-1", "r-2"] {
        let name = RecoveryName::Generated(time(NOW));
        let started = aws.client().resume(name, id, resume_of(id), &()).await.unwrap();
        assert!(started.id.starts_with("rewind-orders-20261123-105000"), "{started:?}");
        let (_, input) = aws.state().started.last().unwrap().clone();
        assert_eq!(input, json!({ "cluster": "orders", "resume": id, "dryRun": false }));
    }
}

#[tokio::test]
async fn what_left_nothing_to_go_on_from_is_refused_at_once() {
    let aws = FakeAws::default();
    aws.add_running("running");
    aws.add_recovered("recovered");
    for (id, state) in [("undone", "Undone"), ("in-place", "NothingChanged"), ("unplanned", "NothingChanged")] {
        ended(&aws, id, state);
    }
    aws.state().records.get_mut("in-place").unwrap().plan = Some(Plan { strategy: Strategy::Backtrack, ..plan() });
    aws.state().records.get_mut("unplanned").unwrap().new_cluster = None;
    aws.add_recovered("beside");
    {
        let mut state = aws.state();
        let beside = Recovered { dns: Vec::new(), ..recovered() };
        state.records.get_mut("beside").unwrap().outcome = Some(Outcome::Recovered(Box::new(beside)));
    }
    for (id, message) in [
        (
            "running",
            "it has not ended; next step: let it end; or rewind cancel running ends it and keeps its restored cluster",
        ),
        ("beside", "handed over beside orders"),
        ("recovered", "has had the traffic"),
        ("undone", "it ended in Undone"),
        ("in-place", "in place"),
        ("unplanned", "before it had a plan"),
    ] {
        let why = refused(aws.client().resume(given("r-9"), id, resume_of(id), &()).await);
        assert!(why.contains(message) && why.contains("nothing was changed"), "{why}\nlacks {message}");
    }
    let unknown = aws.client().resume(given("r-9"), "never", resume_of("never"), &()).await;
    assert_eq!(unknown.unwrap_err(), ClientError::Unknown("never".to_owned()));
    assert!(aws.state().started.is_empty());
}

// ------------------------------------------------------------------------------------------------------------- status

#[tokio::test]
async fn a_recovery_that_somebody_stopped_is_not_shown_as_running() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    assert_eq!(aws.client().recovery("r-1").await.unwrap().state, "Running");
    aws.end(&arn, Status::Stopped, Value::Null);
    let stopped = aws.client().recovery("r-1").await.unwrap();
    assert_eq!((stopped.state.as_str(), stopped.ended_at), ("Stopped", Some(time(NOW))));
}

#[tokio::test]
async fn what_the_table_does_not_have_is_found_among_the_executions() {
    let aws = FakeAws::default();
    let begun = aws
        .client()
        .start(given("p-1"), &json!({ "cluster": "orders", "to": "latest", "dryRun": true }), &())
        .await
        .unwrap();
    assert_eq!(aws.client().recovery("p-1").await.unwrap().state, "Running");
    aws.end(&begun.arn, Status::Succeeded, json!({ "outcome": "Planned", "recoveryId": "p-1", "plan": plan() }));
    let planned = aws.client().recovery("p-1").await.unwrap();
    assert_eq!((planned.state.as_str(), planned.cluster.as_str()), ("Planned", "orders"));
    assert_eq!((planned.plan, planned.outcome), (Some(plan()), None));
    assert_eq!(aws.client().recovery("nope").await, Err(ClientError::Unknown("nope".into())));
}

#[tokio::test]
async fn an_undo_is_shown_with_the_state_it_ended_in_and_the_recoverys_cluster() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let begun = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    let shown = aws.client().recovery("r-1-undo").await.unwrap();
    assert_eq!((shown.state.as_str(), shown.cluster.as_str()), ("Running", "orders"));
    // Another execution held the lease.
    aws.add_event(&begun.arn, What::Entered("NothingChanged".into()));
    aws.end(&begun.arn, Status::Failed, Value::Null);
    let shown = aws.client().recovery("r-1-undo").await.unwrap();
    assert_eq!((shown.state.as_str(), shown.cluster.as_str()), ("NothingChanged", "orders"));
}

#[tokio::test]
async fn a_recovery_whose_end_could_not_be_recorded_is_shown_with_the_state_it_ended_in() {
    // An execution whose last state is no terminal one was ended by the platform: nothing was undone.
    for (last, state) in [("NothingChanged", "NothingChanged"), ("Verify", "NeedsOperator")] {
        let aws = FakeAws::default();
        let arn = aws.add_running("r-1");
        aws.add_event(&arn, What::Entered(last.into()));
        aws.end(&arn, Status::Failed, Value::Null);
        assert_eq!(aws.client().recovery("r-1").await.unwrap().state, state);
    }
}

#[tokio::test]
async fn who_names_no_recovery_means_the_one_that_waits_for_people_then_one_that_runs_then_the_latest() {
    let aws = FakeAws::default();
    let at = |id: &str, time: &str| aws.state().records.get_mut(id).unwrap().started_at = time.parse().unwrap();
    aws.add_recovered("ended");
    at("ended", "2026-11-23T10:30:00Z");
    aws.add_running("runs");
    at("runs", "2026-11-23T10:00:00Z");
    // The table still has the state in which it was stopped.
    aws.add_awaiting_approval("stopped");
    let arn = aws.state().records["stopped"].execution_arn.clone();
    aws.end(&arn, Status::Stopped, Value::Null);
    assert_eq!(aws.client().foremost().await.unwrap(), "runs");
    aws.add_awaiting_approval("waits");
    at("waits", "2026-11-23T09:00:00Z");
    assert_eq!(aws.client().foremost().await.unwrap(), "waits");
    let aws = FakeAws::default();
    aws.add_recovered("ended");
    assert_eq!(aws.client().foremost().await.unwrap(), "ended");
}

#[tokio::test]
async fn a_start_that_was_refused_does_not_hide_the_recovery_that_needs_a_person() {
    for (needs, refusal) in [("NeedsOperator", "LeaseHeld"), ("Stopped", "LeaseHeld"), ("Recovered", "LeaseHeld")] {
        let aws = FakeAws::default();
        let arn = aws.add_running("b-first");
        aws.end(&arn, Status::Stopped, Value::Null);
        ended(&aws, "a-refused", "NothingChanged");
        {
            let mut state = aws.state();
            // The table has the state in which one was stopped until somebody records its end.
            let of_table = if needs == "Stopped" { "Running" } else { needs };
            state.records.get_mut("b-first").unwrap().state = of_table.into();
            state.records.get_mut("a-refused").unwrap().error = Some(refusal.into());
        }
        let found = aws.client().foremost().await.unwrap();
        assert_eq!(found, if needs == "Recovered" { "a-refused" } else { "b-first" }, "{needs}");
        // One that failed with a restored cluster of its own is not hidden by it.
        aws.state().records.get_mut("a-refused").unwrap().error = Some("VerificationFailed".into());
        assert_eq!(aws.client().foremost().await.unwrap(), "a-refused", "{needs}");
    }
}

#[tokio::test]
async fn a_list_is_of_one_cluster_or_of_all_and_no_longer_than_asked_for() {
    let aws = FakeAws::default();
    assert!(refused(aws.client().foremost().await).contains("no recovery yet"));
    aws.add_running("r-1");
    aws.add_running("r-2");
    assert_eq!(aws.client().list(None, 10).await.unwrap().len(), 2);
    assert_eq!(aws.client().list(None, 1).await.unwrap().len(), 1);
    assert_eq!(aws.client().list(Some("Orders"), 10).await.unwrap().len(), 2);
    assert!(aws.client().list(Some("payments"), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_status_of_a_recovery_never_holds_its_token() {
    let aws = FakeAws::default();
    aws.add_awaiting_approval("r-1");
    let recovery = aws.client().recovery("r-1").await.unwrap();
    // Whoever holds the token can decide, without a name and without having seen the proposal.
    let (json, text) = (json!(recovery).to_string(), rewind_ui::format::recovery(&recovery, time(NOW)).to_string());
    assert!(json.contains("hash") && !json.contains("token") && !text.contains("token"), "{json}\n{text}");
}

#[tokio::test]
async fn what_the_checks_found_is_read_from_the_history_and_the_last_comparison_counts() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    assert_eq!(aws.client().report(&arn).await.unwrap(), None);
    let report = |found: &str| {
        json!({
            "passed": false, "failure": "check \"n\" in d failed", "tables": [], "notes": [],
            "login": { "user": "u", "secretVersion": "AWSCURRENT", "tls": "verified" },
            "checks": [{ "name": "n", "database": "d", "expected": "2", "found": found, "passed": false, "seconds": 0.1 }],
        })
    };
    for (state, found) in [("Verify", "1"), ("VerifyForward", "3")] {
        aws.add_event(&arn, What::Entered(state.into()));
        aws.add_event(&arn, What::Left(state.into(), report(found)));
        let read = aws.client().report(&arn).await.unwrap().unwrap();
        assert_eq!(read.checks.first().unwrap().found.as_deref(), Some(found));
    }
}

// ------------------------------------------------------------------------------------------------------------- follow

#[tokio::test]
async fn news_come_once_and_in_order_until_the_end() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    let client = aws.client();
    let mut follow = ExecutionFollower::new(arn.clone());
    assert_eq!(follow.events(&client).await.unwrap(), []);
    aws.add_event(&arn, What::Entered("Verify".into()));
    aws.add_event(&arn, What::Failed("Unavailable".into(), "not now".into()));
    aws.add_event(&arn, What::Left("Verify".into(), json!({ "passed": true })));
    let at = time(NOW);
    let expected = [
        ProgressEvent::StateEntered { state: "Verify".into(), at },
        ProgressEvent::AttemptFailed { error: "Unavailable".into(), cause: "not now".into() },
        ProgressEvent::StateExited { state: "Verify".into(), at, since: at, output: json!({ "passed": true }) },
    ];
    assert_eq!(follow.events(&client).await.unwrap(), expected);
    assert_eq!(follow.events(&client).await.unwrap(), []);
    aws.end(&arn, Status::Succeeded, json!({ "outcome": "Recovered" }));
    let last = follow.events(&client).await.unwrap();
    assert!(matches!(last.as_slice(), [ProgressEvent::Ended { ending: Ending::Recovered, .. }]), "{last:?}");
}

#[tokio::test]
async fn a_failed_execution_ended_in_its_last_state() {
    for (last, ending) in [
        (Some("NothingChanged"), Ending::NothingChanged),
        (Some("NeedsOperator"), Ending::NeedsOperator),
        (Some("Verify"), Ending::NeedsOperator),
        (None, Ending::NeedsOperator),
    ] {
        let aws = FakeAws::default();
        let arn = aws.add_running("r-1");
        if let Some(last) = last {
            aws.add_event(&arn, What::Entered(last.into()));
        }
        aws.end(&arn, Status::Failed, Value::Null);
        let news = ExecutionFollower::new(arn).events(&aws.client()).await.unwrap();
        assert!(
            matches!(news.last(), Some(ProgressEvent::Ended { ending: found, .. }) if *found == ending),
            "{last:?}: {news:?}"
        );
    }
}

#[tokio::test]
async fn whoever_follows_late_is_told_of_every_state_and_of_the_outputs_of_the_last_part() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    aws.add_event(&arn, What::Left("ExecutionStarted".into(), Value::Null));
    for state in ["ValidateWindow", "AwaitRewind"] {
        aws.add_event(&arn, What::Entered(state.into()));
        aws.add_event(&arn, What::Left(state.into(), json!({ "of": state })));
    }
    for _ in 0..600 {
        aws.add_event(&arn, What::Entered("RequestApproval".into()));
    }
    let mut follow = ExecutionFollower::new(arn.clone());
    let read = follow.events(&aws.client()).await.unwrap();
    let entered = |state: &str| {
        let is_entry = |event: &&ProgressEvent| matches!(event, ProgressEvent::StateEntered { state: found, .. } if found == state);
        read.iter().filter(is_entry).count()
    };
    assert_eq!(["ValidateWindow", "AwaitRewind", "RequestApproval"].map(entered), [1, 1, 600]);
    assert_eq!(read.len(), 602, "outputs of the first part are not read");
    // Once: later only what is new is read.
    aws.add_event(&arn, What::Entered("FenceSource".into()));
    assert_eq!(follow.events(&aws.client()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_end_that_is_not_described_yet_is_waited_for() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    aws.add_event(&arn, What::Ended);
    let mut follow = ExecutionFollower::new(arn.clone());
    assert_eq!(follow.events(&aws.client()).await.unwrap(), []);
    aws.end(&arn, Status::Stopped, Value::Null);
    assert!(matches!(
        follow.events(&aws.client()).await.unwrap().as_slice(),
        [ProgressEvent::Ended { ending: Ending::Stopped, .. }]
    ));
}

// ------------------------------------------------------------------------------------------------------------- decide

#[tokio::test]
async fn what_is_shown_is_what_the_hash_was_made_of() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval("r-1");
    let request = aws.client().approval_request("r-1").await.unwrap();
    assert!(
        request.hash_matches
            && request.hash == hash
            && request.proposal.report.is_some()
            && request.proposal.restored.is_some()
    );
    // What the states between the plan and the question found, and the state machine itself: without it the hash is another one.
    let differ: Vec<_> = request.proposal.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!((request.proposal.plan.findings.len(), differ), (1, vec!["tags"]));
}

#[tokio::test]
async fn what_differs_from_what_the_hash_was_made_of_is_not_taken_for_it() {
    let aws = FakeAws::default();
    aws.add_awaiting_approval("r-1");
    if let Some(approval) = aws.state().records.get_mut("r-1").and_then(|record| record.approval.as_mut()) {
        // As if another version had computed it, or somebody had edited the item.
        approval.hash = "0123456789ab".into();
    }
    assert!(!aws.client().approval_request("r-1").await.unwrap().hash_matches);
}

#[tokio::test]
async fn in_place_one_decides_on_the_plan_alone() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval_in_place("r-1");
    let request = aws.client().approval_request("r-1").await.unwrap();
    assert!(
        request.hash_matches
            && request.hash == hash
            && request.proposal.report.is_none()
            && request.proposal.restored.is_none()
    );
}

#[tokio::test]
async fn a_decision_records_who_why_and_on_what() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval("r-1");
    let bound_to = aws.client().decide("r-1", &yes(&hash[..6].to_uppercase()), &(), &clock()).await.unwrap();
    assert_eq!(bound_to, hash);
    let expected = json!({ "decision": "approved", "by": "ann", "comment": "go", "hash": hash });
    assert_eq!(aws.state().decisions, [("token".to_owned(), expected)]);
    let no = Decision { approved: false, comment: None, ..yes(&hash) };
    aws.client().decide("r-1", &no, &(), &clock()).await.unwrap();
    assert_eq!(aws.state().decisions[1].1["decision"], "rejected");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval("r-1");
    // Two in a row, as where a slice ends each time between the read and the call.
    aws.state().expired_tokens = vec!["token".into(), "second".into()];
    aws.client().decide("r-1", &yes(&hash), &(), &clock()).await.unwrap();
    assert_eq!(aws.state().decisions[0].0, "fresh");
}

#[tokio::test]
async fn who_saw_something_else_decides_nothing() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval("r-1");
    for (typed, why) in
        [("", "too short"), (&hash[..5], "too short"), ("000000", "is not the hash"), (&hash[1..], "is not the hash")]
    {
        assert!(refused(aws.client().decide("r-1", &yes(typed), &(), &clock()).await).contains(why), "{typed:?}");
    }
    assert!(aws.state().decisions.is_empty());
}

#[tokio::test]
async fn a_recovery_that_asks_nothing_takes_no_decision() {
    let aws = FakeAws::default();
    aws.add_running("r-1");
    aws.add_recovered("r-2");
    for (id, why) in [("r-1", "has not asked yet"), ("r-2", "Recovered")] {
        assert!(refused(aws.client().decide(id, &yes("abcdef"), &(), &clock()).await).contains(why), "{id}");
        assert!(refused(aws.client().approval_request(id).await).contains("nothing was decided"), "{id}");
    }
    assert_eq!(
        aws.client().decide("nope", &yes("abcdef"), &(), &clock()).await,
        Err(ClientError::Unknown("nope".into()))
    );
}

#[tokio::test]
async fn an_execution_that_was_stopped_takes_no_decision_though_the_table_still_asks() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval("r-1");
    let arn = aws.state().records["r-1"].execution_arn.clone();
    aws.end(&arn, Status::Stopped, Value::Null);
    for refusal in [
        refused(aws.client().decide("r-1", &yes(&hash), &(), &clock()).await),
        refused(aws.client().approval_request("r-1").await),
        refused(aws.client().pending_hash("r-1").await),
    ] {
        assert!(refusal.contains("does not run any more") && refusal.contains("rewind status r-1"), "{refusal}");
    }
    assert!(aws.state().decisions.is_empty());
}

#[tokio::test]
async fn a_decision_counts_until_the_second_in_which_the_time_for_it_ends() {
    let aws = FakeAws::default();
    let hash = aws.add_awaiting_approval("r-1");
    for approved in [true, false] {
        let decision = Decision { approved, ..yes(&hash) };
        let late = aws.client().decide("r-1", &decision, &(), &ManualClock::at("2026-11-23T11:40:00Z")).await;
        assert!(refused(late).contains("ended at 2026-11-23T11:40:00Z"), "{approved}");
    }
    assert!(aws.state().decisions.is_empty());
    aws.client().decide("r-1", &yes(&hash), &(), &ManualClock::at("2026-11-23T11:39:59Z")).await.unwrap();
}

// --------------------------------------------------------------------------------------------------------------- undo

#[tokio::test]
async fn a_recovery_is_undone_once_and_only_with_the_name_of_the_source() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    // The restored cluster is the likeliest slip: its name is what people have seen last.
    for confirm in [None, Some("orders-r"), Some("Orders")] {
        assert!(
            refused(aws.client().undo("r-1", Undoing::Undo, confirm, "ann").await).contains("--confirm orders"),
            "{confirm:?}"
        );
    }
    let begun = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    assert_eq!((begun.id.as_str(), begun.started_before), ("r-1-undo", false));
    let again = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "bob").await.unwrap();
    assert_eq!((again.id.as_str(), again.started_before), ("r-1-undo", true));
    assert_eq!(aws.state().started, [("r-1-undo".to_owned(), json!({ "recovery": "r-1", "by": "ann" }))]);
}

#[tokio::test]
async fn a_failed_undo_is_started_again_under_the_next_name() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let first = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    assert!(first.arn.starts_with(&UNDO_MACHINE.replace("stateMachine", "execution")));
    aws.end(&first.arn, Status::Failed, Value::Null);
    // Half undone, the recovery needs an operator, who may undo it again: the same person or another.
    aws.state().records.get_mut("r-1").unwrap().state = "NeedsOperator".into();
    for (by, id) in [("ann", "r-1-undo-2"), ("bob", "r-1-undo-3")] {
        let next = aws.client().undo("r-1", Undoing::Undo, Some("orders"), by).await.unwrap();
        assert_eq!((next.id.as_str(), next.started_before), (id, false), "{by}");
        aws.end(&next.arn, Status::Failed, Value::Null);
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_does_not_bring_an_old_failure_back() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let first = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    aws.end(&first.arn, Status::Failed, Value::Null);
    aws.state().lost_start = Some(false);
    let next = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    assert_eq!((next.id.as_str(), next.started_before), ("r-1-undo-2", false));
}

#[tokio::test]
async fn an_execution_that_undoes_another_recovery_is_not_taken_for_this_ones() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let client = aws.client();
    // Somebody started it by hand.
    client.executions.start(UNDO_MACHINE, "r-1-undo", &json!({ "recovery": "r-0", "by": "bob" })).await.unwrap();
    let begun = client.undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    assert_eq!((begun.id.as_str(), begun.started_before), ("r-1-undo-2", false));
}

#[tokio::test]
async fn an_undo_that_was_done_is_followed_and_not_repeated() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let first = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    aws.end(&first.arn, Status::Succeeded, json!({ "outcome": "Undone" }));
    // The table could not be written to at its end.
    for by in ["ann", "bob"] {
        assert_eq!(
            aws.client().undo("r-1", Undoing::Undo, Some("orders"), by).await.unwrap(),
            StartedExecution { started_before: true, ..first.clone() }
        );
    }
    assert_eq!(aws.state().started.len(), 1);
}

#[tokio::test]
async fn a_recovery_that_called_a_person_with_its_records_moved_can_be_undone_without_an_output() {
    let aws = FakeAws::default();
    aws.add_running("r-1");
    {
        let mut state = aws.state();
        let record = state.records.get_mut("r-1").unwrap();
        record.state = "NeedsOperator".into();
        record.moved = Some(PossiblyMoved { new_cluster: Some("orders-r".into()), dns: recovered().dns });
    }
    let begun = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    assert_eq!(begun.id, "r-1-undo");
}

#[tokio::test]
async fn one_that_was_stopped_runs_or_called_a_person_is_undone_by_what_the_state_machine_finds() {
    for (state, ended) in [("Running", true), ("Running", false), ("AwaitingApproval", false), ("NeedsOperator", true)]
    {
        for undoing in [Undoing::Undo, Undoing::Cancel] {
            let aws = FakeAws::default();
            let arn = aws.add_running("r-1");
            if ended {
                aws.end(&arn, Status::Stopped, Value::Null);
            }
            aws.state().records.get_mut("r-1").unwrap().state = state.into();
            assert!(
                refused(aws.client().undo("r-1", undoing, None, "ann").await).contains("--confirm orders"),
                "{state}"
            );
            aws.client().undo("r-1", undoing, Some("orders"), "ann").await.unwrap();
            let mut input = json!({ "recovery": "r-1", "by": "ann" });
            if undoing == Undoing::Cancel {
                input["cancel"] = true.into();
            }
            assert_eq!(aws.state().started, [("r-1-undo".to_owned(), input)], "{state}");
        }
    }
}

/// The restored cluster is the other one's by then, and serves its clients.
#[tokio::test]
async fn what_another_recovery_has_resumed_is_undone_by_nobody() {
    let aws = FakeAws::default();
    aws.add_running("r-1");
    {
        let mut state = aws.state();
        let record = state.records.get_mut("r-1").unwrap();
        record.state = "NeedsOperator".into();
        record.moved = Some(PossiblyMoved { new_cluster: Some("orders-r".into()), dns: recovered().dns });
        record.resumed_by = Some("r-2".into());
    }
    for undoing in [Undoing::Undo, Undoing::Cancel] {
        let why = refused(aws.client().undo("r-1", undoing, Some("orders"), "ann").await);
        assert!(why.contains("resumed by r-2") && why.contains("rewind status r-2"), "{why}");
    }
    assert!(aws.state().started.is_empty());
}

#[tokio::test]
async fn what_has_ended_well_is_undone_and_not_cancelled() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let why = refused(aws.client().undo("r-1", Undoing::Cancel, Some("orders"), "ann").await);
    assert!(why.contains("cannot be cancelled") && why.contains("rewind undo r-1"), "{why}");
    assert!(aws.state().started.is_empty());
}

#[tokio::test]
async fn what_ended_with_clients_where_they_were_cannot_be_undone() {
    let aws = FakeAws::default();
    aws.add_running("r-1");
    let with = |state: &str, outcome: Option<Recovered>| {
        let mut aws = aws.state();
        let record = aws.records.get_mut("r-1").unwrap();
        record.state = state.into();
        record.outcome = outcome.map(|recovered| Outcome::Recovered(Box::new(recovered)));
    };
    for (state, outcome, why) in [
        ("Undone", Some(recovered()), "already"),
        ("NothingChanged", None, "orders was not touched"),
        ("RolledBack", None, "back on the source already"),
        ("Recovered", Some(Recovered { dns: Vec::new(), ..recovered() }), "moved no traffic"),
        ("Recovered", Some(Recovered { strategy: Strategy::Backtrack, ..recovered() }), "in place"),
        ("Recovered", None, "not in the table"),
    ] {
        with(state, outcome);
        let why_not = refused(aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await);
        assert!(why_not.contains(why), "{state}: {why_not}");
    }
    aws.state().records.get_mut("r-1").unwrap().plan = None;
    for (state, why) in [("Stopped", "nothing to undo"), ("Planned", "it was a plan")] {
        with(state, None);
        let why_not = refused(aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await);
        assert!(why_not.contains(why), "{state}: {why_not}");
    }
    with("Recovered", Some(recovered()));
    aws.state().records.get_mut("r-1").unwrap().unreadable.push("cleanUp in the record cannot be read".into());
    let why = refused(aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await);
    assert!(why.contains("cleanUp in the record"), "{why}");
    assert!(aws.state().started.is_empty());
}

#[tokio::test]
async fn what_is_being_deleted_cannot_be_gone_back_to_and_its_snapshot_is_named() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let clean_up = CleanUpRecord {
        cluster: "orders".into(),
        snapshot: "orders-final-r-1".into(),
        begun_at: time("2026-11-30T10:41:00Z"),
        instances: Vec::new(),
    };
    aws.state().records.get_mut("r-1").unwrap().clean_up = Some(clean_up);
    let why = refused(aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await);
    for part in ["since 2026-11-30T10:41:00Z", "--snapshot-identifier orders-final-r-1", "nothing was changed"] {
        assert!(why.contains(part), "{why}\nlacks {part}");
    }
    assert!(aws.state().started.is_empty());
}

#[tokio::test]
async fn without_an_undo_state_machine_the_refusal_names_the_setting() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let mut client = aws.client();
    client.deployment.undo_state_machine = None;
    assert!(refused(client.undo("r-1", Undoing::Undo, Some("orders"), "ann").await).contains("UNDO_STATE_MACHINE_ARN"));
    client.deployment.set_window_function = None;
    assert!(refused(client.window(&WindowArgs::default()).await).contains("SET_WINDOW_FUNCTION"));
    client.deployment.compare_tables_function = None;
    assert!(refused(client.compare_clusters("r-1", &[], |_| {}).await).contains("COMPARE_TABLES_FUNCTION"));
}

// --------------------------------------------------------------------------------------------------------- comparison

#[tokio::test]
async fn a_comparison_goes_on_until_all_tables_are_done() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let table = |name: &str| json!({ "database": "shop", "schema": "public", "table": name });
    let answer = |name: &str, after: Option<Value>| {
        let mut compared = table(name);
        let rows = json!({ "inserted": 1, "updated": 0, "deleted": 0, "method": "values", "restored": 1, "source": 2 });
        let more = json!({ "rows": rows, "seconds": 0.5, "at": "2026-11-23T10:50:00Z" });
        compared.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = json!({
            "restored": "orders-r", "source": "orders", "rewoundTo": "2026-11-23T10:30:00Z", "tables": [compared], "notes": [], "after": after,
        });
        Called::Answered(answer)
    };
    aws.state().answers = vec![answer("b", None), answer("a", Some(table("a")))];
    let mut parts = 0;
    let only = ["orders".to_owned()];
    let whole = aws.client().compare_clusters("r-1", &only, |_| parts += 1).await.unwrap();
    let names: Vec<&str> = whole.tables.iter().map(|found| found.name.table.as_str()).collect();
    assert_eq!((names, parts, whole.after), (vec!["a", "b"], 2, None));
    let calls = aws.state().calls.clone();
    assert_eq!(calls[0].0, "compare-tables");
    assert_eq!((&calls[0].1["after"], &calls[1].1["after"]), (&Value::Null, &table("a")));
    assert_eq!(
        (&calls[0].1["tables"], &calls[0].1["plan"]["recoveryId"]),
        (&json!(["orders"]), &json!(rewind_aws::fixtures::plan().recovery_id))
    );
    aws.state().answers = vec![answer("a", Some(table("a"))), answer("a", Some(table("a")))];
    assert!(refused(aws.client().compare_clusters("r-1", &[], |_| {}).await).contains("does not get on"));
    aws.state().answers = vec![Called::Refused("RewindFailed".into(), "there is no cluster orders-r".into())];
    assert_eq!(
        refused(aws.client().compare_clusters("r-1", &[], |_| {}).await),
        "there is no cluster orders-r [RewindFailed]"
    );
}

// ------------------------------------------------------------------------------------------------------------- window

#[tokio::test]
async fn a_window_is_asked_for_with_the_given_arguments_and_no_more() {
    let aws = FakeAws::default();
    let words = WindowArgs { cluster: "orders".into(), ..WindowArgs::default() };
    aws.client().window(&words).await.unwrap();
    let set = WindowArgs { window: Some("24h".into()), confirm: Some("yes".into()), ..words };
    aws.state().response = Some(Called::Refused("InvalidRequest".into(), "say the cluster".into()));
    assert_eq!(refused(aws.client().window(&set).await), "say the cluster [InvalidRequest]");
    let called: Vec<Value> = aws.state().calls.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(
        called,
        [json!({ "cluster": "orders" }), json!({ "cluster": "orders", "window": "24h", "confirm": "yes" })]
    );
}

// ----------------------------------------------------------------------------------------------------------- standing

/// A zone in which the name of the plan has one value; none where nobody may read it.
pub(crate) struct Zone(pub(crate) Option<&'static str>);

impl Zones for Zone {
    async fn record_sets(&self, zone: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        let denied = || StepError::new(ErrorName::RewindFailed, format!("AccessDenied to {zone}"));
        let writer = self.0.ok_or_else(denied)?;
        let value = match name.contains("-ro") {
            true => writer.replace(".cluster-x.", ".cluster-ro-x."),
            false => writer.to_owned(),
        };
        Ok(vec![RecordSet {
            name: name.into(),
            kind: "CNAME".into(),
            ttl: Some(5),
            values: vec![value],
            routed: false,
        }])
    }
}

async fn standing(aws: &FakeAws, zone: &Zone) -> Standing {
    let recovery = aws.client().recovery("r-1").await.unwrap();
    aws.client().standing(&recovery, (&rds_with_restored(), zone), time(NOW)).await
}

#[tokio::test]
async fn a_recovery_that_was_stopped_after_the_switch_is_shown_as_the_world_is() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    aws.end(&arn, Status::Stopped, Value::Null);
    {
        let mut state = aws.state();
        state.fences.insert("r-1".into(), FencesSeen { source: true, restored: false, source_lifted_at: None });
        let until = time("2026-11-25T01:50:00Z");
        state.leases.insert("orders".into(), LeaseSeen { holder: "r-1".into(), until });
    }
    // With the dot at its end, as people write it.
    let moved = Zone(Some("Orders-r.cluster-x.us-east-1.rds.amazonaws.com."));
    let shown = standing(&aws, &moved).await;
    assert_eq!(shown.traffic, ["db.example.com leads to orders-r", "db-ro.example.com leads to orders-r"]);
    assert_eq!((shown.fenced, shown.outage, shown.unseen), (vec!["orders".to_owned()], None, vec![]));
    assert_eq!(shown.lease.as_deref(), Some("r-1 holds orders until 2026-11-25T01:50:00Z"));
    assert_eq!(shown.commands[0].command, "rewind undo r-1");
    // A lease that is over is nobody's.
    aws.state().leases.get_mut("orders").unwrap().until = time("2026-11-23T10:00:00Z");
    assert_eq!(standing(&aws, &moved).await.lease, None);
    let planned = standing(&aws, &Zone(Some("orders.cluster-x.us-east-1.rds.amazonaws.com"))).await;
    assert!(planned.outage.unwrap().contains("db.example.com leads to orders, which may be fenced"));
    assert_eq!(
        standing(&aws, &Zone(Some("elsewhere.example.com"))).await.traffic,
        ["db.example.com leads to elsewhere.example.com", "db-ro.example.com leads to elsewhere.example.com"]
    );
    let unseen = standing(&aws, &Zone(None)).await;
    assert_eq!(unseen.traffic, [""; 0]);
    assert!(unseen.unseen[0].starts_with("where db.example.com leads: AccessDenied to Z1"), "{:?}", unseen.unseen);
}

/// The product itself prints the id of an undo, and whoever asks for it must not be calmed.
#[tokio::test]
async fn the_status_of_an_undo_shows_how_the_recovery_stands_that_it_undoes() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    let begun = aws.client().undo("r-1", Undoing::Undo, Some("orders"), "ann").await.unwrap();
    aws.state().fences.insert("r-1".into(), FencesSeen { source: true, restored: true, source_lifted_at: None });
    let moved = Zone(Some("orders-r.cluster-x.us-east-1.rds.amazonaws.com"));
    let inspect = async || {
        let undo = aws.client().recovery(&begun.id).await.unwrap();
        aws.client().standing(&undo, (&rds_with_restored(), &moved), time(NOW)).await
    };
    let shown = inspect().await;
    assert_eq!(shown.traffic[0], "db.example.com leads to orders-r");
    assert_eq!(shown.fenced, ["orders", "orders-r"]);
    assert!(shown.outage.unwrap().contains("orders-r, which may be fenced"));
    assert_eq!(shown.commands[0].command, "rewind status r-1-undo --follow");
    // A person was called: the recovery is undone again, under the next name.
    aws.add_event(&begun.arn, What::Entered("NeedsOperator".into()));
    aws.end(&begun.arn, Status::Failed, Value::Null);
    assert_eq!(inspect().await.commands[0].command, "rewind undo r-1");
    let why = refused(aws.client().undo("r-1-undo", Undoing::Undo, Some("orders"), "ann").await);
    assert!(why.contains("it is an undo; next step: rewind status r-1"), "{why}");
    aws.state().records.clear();
    for why in ["the record of r-1 has no plan", "the record of r-1 cannot be read"] {
        let blind = inspect().await;
        assert!(blind.unseen[0].contains(why), "{blind:?}");
        assert_eq!((blind.traffic, blind.commands.len()), (vec![], 1));
        aws.state().executions.retain(|arn, _| *arn == begun.arn);
    }
}

/// A zone that counts its reads.
struct Counting(Zone, Mutex<usize>);

impl Zones for Counting {
    async fn record_sets(&self, zone: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        *self.1.lock().unwrap() += 1;
        self.0.record_sets(zone, name).await
    }
}

pub(crate) const ON_SOURCE: &str = "orders.cluster-x.us-east-1.rds.amazonaws.com";

/// The list as the table has it, looked at.
async fn listed(aws: &FakeAws, rds: &FakeRds, zone: &impl Zones) -> Vec<Listed> {
    let recoveries = aws.client().list(None, 20).await.unwrap();
    aws.client().listed(recoveries, (rds, zone), time(NOW)).await
}

#[tokio::test]
async fn a_list_shows_how_those_stand_that_are_not_over_and_corrects_their_state() {
    let aws = FakeAws::default();
    let arn = aws.add_running("r-1");
    aws.end(&arn, Status::Stopped, Value::Null);
    aws.add_awaiting_approval("r-2");
    let zone = Counting(Zone(Some(ON_SOURCE)), Mutex::default());
    let shown = listed(&aws, &rds_with_restored(), &zone).await;
    let states: Vec<&str> = shown.iter().map(|listed| listed.recovery.state.as_str()).collect();
    assert_eq!(states, ["Stopped", "AwaitingApproval"]);
    let safe: Vec<&str> =
        shown.iter().map(|listed| listed.standing.as_ref().unwrap().commands[0].command.as_str()).collect();
    assert_eq!(safe, ["rewind resume r-1", "rewind approve r-2"]);
    assert!(shown[0].standing.as_ref().unwrap().brief.starts_with("traffic: orders"));
    // Two names of one plan, which both recoveries share: at most each asked for both.
    assert!(*zone.1.lock().unwrap() <= 4);
}

#[tokio::test]
async fn of_those_that_are_over_a_list_shows_what_they_themselves_have_left() {
    let aws = FakeAws::default();
    for id in ["r-1", "r-2", "r-3"] {
        aws.add_recovered(id);
    }
    let (rds, zone) = (rds_with_restored(), Counting(Zone(Some(ON_SOURCE)), Mutex::default()));
    let has = |shown: &[Listed]| -> Vec<bool> { shown.iter().map(|listed| listed.standing.is_some()).collect() };
    assert_eq!(has(&listed(&aws, &rds, &zone).await), [false; 3]);
    assert_eq!(*zone.1.lock().unwrap(), 0, "names of those that have left nothing");
    // A mark of one recovery on the source that all of them have.
    rds.edit("orders", |cluster| {
        cluster.tags.push((FENCED_BY_TAG.to_owned(), "r-2".to_owned()));
        cluster.tags.push((KEEP_UNTIL_TAG.to_owned(), "2026-11-30T10:40:00Z".to_owned()));
    });
    aws.state().fences.insert("r-3".into(), FencesSeen { source: true, restored: false, source_lifted_at: None });
    let shown = listed(&aws, &rds, &zone).await;
    assert_eq!(has(&shown), [false, true, true]);
    assert!(shown[1].standing.as_ref().unwrap().brief.contains("kept: orders until 2026-11-30T10:40:00Z"));
    // What another has resumed is that one's, and what is being deleted is nobody's.
    aws.state().records.get_mut("r-3").unwrap().resumed_by = Some("r-4".into());
    assert_eq!(has(&listed(&aws, &rds, &zone).await), [false, true, false]);
}

#[tokio::test]
async fn what_a_list_could_not_see_is_named_and_not_guessed() {
    let aws = FakeAws::default();
    aws.add_recovered("r-1");
    aws.add_running("r-2");
    let rds = rds_with_restored();
    rds.fail_reads(2);
    let shown = listed(&aws, &rds, &Zone(None)).await;
    assert!(shown[0].standing.is_none() && shown[0].unseen.as_ref().unwrap().contains("rds:DescribeDBClusters"));
    let brief = &shown[1].standing.as_ref().unwrap().brief;
    assert!(brief.starts_with("traffic: not seen"), "{brief}");
    // A document of each, which a script reads as it read the record.
    let json = json!(shown);
    assert_eq!((&json[0]["id"], &json[0]["standing"], &json[1]["unseen"]), (&json!("r-1"), &Value::Null, &Value::Null));
    assert!(json[0]["unseen"].is_string() && json[1]["standing"]["brief"].is_string());
}
