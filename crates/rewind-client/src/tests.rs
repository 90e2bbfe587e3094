//! What the client promises, over AWS in memory.

use crate::fake::{FakeAws, MACHINE, NOW, UNDO_MACHINE};
use crate::{Begun, ClientError, Decision, Follow, Name, News};
use rewind_aws::executions::{Executions, Status, What};
use rewind_aws::fixtures::{ManualClock, time};
use rewind_aws::invoke::Called;
use rewind_ui::{Ending, WindowWords};
use serde_json::{Value, json};

fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> String {
    match answer {
        Err(ClientError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn given(id: &str) -> Name {
    Name::Given(id.to_owned())
}

fn yes(hash: &str) -> Decision {
    Decision { approved: true, by: "ann".into(), comment: Some("go".into()), hash: hash.into() }
}

fn clock() -> ManualClock {
    ManualClock::at(NOW)
}

// -------------------------------------------------------------------------------------------------------------- start

#[tokio::test]
async fn what_is_asked_for_twice_is_started_once() {
    let aws = FakeAws::default();
    let request = json!({ "cluster": "orders", "to": "5m ago" });
    let first = aws.client().start(given("r-1"), &request).await.unwrap();
    assert_eq!(
        first,
        Begun { id: "r-1".into(), arn: format!("{}:r-1", MACHINE.replace("stateMachine", "execution")), before: false }
    );
    assert_eq!(aws.client().start(given("r-1"), &request).await.unwrap(), Begun { before: true, ..first });
    assert_eq!(aws.held().started, [("r-1".to_owned(), request)]);
}

#[tokio::test]
async fn when_the_answer_is_lost_what_is_there_says_whether_it_was_started() {
    let request = json!({ "cluster": "orders", "to": "5m ago" });
    for was_started in [true, false] {
        let aws = FakeAws::default();
        aws.held().lost = Some(was_started);
        let begun = aws.client().start(given("r-1"), &request).await;
        assert_eq!(begun.is_ok_and(|begun| !begun.before), was_started);
        assert!(aws.client().start(given("r-1"), &request).await.is_ok());
        assert_eq!(aws.held().started.len(), 1);
    }
}

#[tokio::test]
async fn a_name_that_another_request_has_is_refused() {
    let aws = FakeAws::default();
    aws.client().start(given("r-1"), &json!({ "cluster": "orders", "to": "5m ago" })).await.unwrap();
    let other = json!({ "cluster": "payments", "to": "5m ago" });
    assert!(refused(aws.client().start(given("r-1"), &other).await).contains("choose another name"));
    assert_eq!(aws.held().started.len(), 1);
}

#[tokio::test]
async fn two_recoveries_of_one_second_get_two_names() {
    let aws = FakeAws::default();
    for (to, id) in [("5m ago", "rewind-orders-20261123-105000"), ("6m ago", "rewind-orders-20261123-105000-2")] {
        let request = json!({ "cluster": "orders", "to": to });
        assert_eq!(aws.client().start(Name::Made(time(NOW)), &request).await.unwrap().id, id);
    }
    let dry = json!({ "cluster": "orders", "to": "5m ago", "dryRun": true });
    assert_eq!(aws.client().start(Name::Made(time(NOW)), &dry).await.unwrap().id, "plan-orders-20261123-105000");
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_refused_before_anything_is_started() {
    let aws = FakeAws::default();
    let said = refused(aws.client().start(given("r-1"), &json!({ "cluster": "orders", "to": "soon" })).await);
    assert!(said.contains("`to` is \"soon\""), "{said}");
    for name in ["", "a b", "a/b", "ä", &"x".repeat(81)] {
        let request = json!({ "cluster": "orders", "to": "latest" });
        assert!(refused(aws.client().start(given(name), &request).await).contains("cannot be the name"), "{name:?}");
    }
    assert!(aws.held().started.is_empty());
}

// --------------------------------------------------------------------------------------------------------------- look

#[tokio::test]
async fn a_recovery_that_somebody_stopped_is_not_told_as_running() {
    let aws = FakeAws::default();
    let arn = aws.runs("r-1");
    assert_eq!(aws.client().recovery("r-1").await.unwrap().state, "Running");
    aws.ends(&arn, Status::Stopped, Value::Null);
    let stopped = aws.client().recovery("r-1").await.unwrap();
    assert_eq!((stopped.state.as_str(), stopped.ended_at), ("Stopped", Some(time(NOW))));
}

#[tokio::test]
async fn what_the_table_does_not_have_is_looked_for_among_the_executions() {
    let aws = FakeAws::default();
    let begun = aws
        .client()
        .start(given("p-1"), &json!({ "cluster": "orders", "to": "latest", "dryRun": true }))
        .await
        .unwrap();
    assert_eq!(aws.client().recovery("p-1").await.unwrap().state, "Running");
    aws.ends(&begun.arn, Status::Succeeded, json!({ "outcome": "Planned", "plan": { "cluster": "orders" } }));
    let planned = aws.client().recovery("p-1").await.unwrap();
    assert_eq!((planned.state.as_str(), planned.cluster.as_str(), planned.outcome), ("Planned", "orders", None));
    assert_eq!(aws.client().recovery("nope").await, Err(ClientError::Unknown("nope".into())));
}

#[tokio::test]
async fn taking_back_is_told_by_the_state_it_ended_in_and_by_the_recoverys_cluster() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let begun = aws.client().undo("r-1", Some("orders"), "ann").await.unwrap();
    let told = aws.client().recovery("r-1-undo").await.unwrap();
    assert_eq!((told.state.as_str(), told.cluster.as_str()), ("Running", "orders"));
    // Another execution held the lease.
    aws.happens(&begun.arn, What::Entered("NothingChanged".into()));
    aws.ends(&begun.arn, Status::Failed, Value::Null);
    let told = aws.client().recovery("r-1-undo").await.unwrap();
    assert_eq!((told.state.as_str(), told.cluster.as_str()), ("NothingChanged", "orders"));
}

#[tokio::test]
async fn a_recovery_whose_end_could_not_be_recorded_is_told_by_the_state_it_ended_in() {
    for (last, state) in [("NothingChanged", "NothingChanged"), ("Verify", "NeedsOperator")] {
        let aws = FakeAws::default();
        let arn = aws.runs("r-1");
        aws.happens(&arn, What::Entered(last.into()));
        aws.ends(&arn, Status::Failed, Value::Null);
        assert_eq!(aws.client().recovery("r-1").await.unwrap().state, state);
    }
}

#[tokio::test]
async fn a_list_is_of_one_cluster_or_of_all_and_no_longer_than_asked_for() {
    let aws = FakeAws::default();
    assert!(refused(aws.client().latest().await).contains("no recovery yet"));
    aws.runs("r-1");
    aws.runs("r-2");
    assert_eq!(aws.client().list(None, 10).await.unwrap().len(), 2);
    assert_eq!(aws.client().list(None, 1).await.unwrap().len(), 1);
    assert_eq!(aws.client().list(Some("Orders"), 10).await.unwrap().len(), 2);
    assert!(aws.client().list(Some("payments"), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_told_of_a_recovery_never_holds_its_token() {
    let aws = FakeAws::default();
    aws.awaits("r-1");
    let recovery = aws.client().recovery("r-1").await.unwrap();
    let (json, text) = (json!(recovery).to_string(), rewind_ui::say::recovery(&recovery, time(NOW)).to_string());
    assert!(json.contains("hash") && !json.contains("token") && !text.contains("token"), "{json}\n{text}");
}

// ------------------------------------------------------------------------------------------------------------- follow

#[tokio::test]
async fn news_come_once_and_in_order_until_the_end() {
    let aws = FakeAws::default();
    let arn = aws.runs("r-1");
    let client = aws.client();
    let mut follow = Follow::new(arn.clone());
    assert_eq!(follow.news(&client).await.unwrap(), []);
    aws.happens(&arn, What::Entered("Verify".into()));
    aws.happens(&arn, What::Failed("Unavailable".into(), "not now".into()));
    aws.happens(&arn, What::Left("Verify".into(), json!({ "passed": true })));
    let at = time(NOW);
    let expected = [
        News::Entered { state: "Verify".into(), at },
        News::Failed { error: "Unavailable".into(), cause: "not now".into() },
        News::Left { state: "Verify".into(), at, since: at, answer: json!({ "passed": true }) },
    ];
    assert_eq!(follow.news(&client).await.unwrap(), expected);
    assert_eq!(follow.news(&client).await.unwrap(), []);
    aws.ends(&arn, Status::Succeeded, json!({ "outcome": "Recovered" }));
    let last = follow.news(&client).await.unwrap();
    assert!(matches!(last.as_slice(), [News::Ended { ending: Ending::Recovered, .. }]), "{last:?}");
}

#[tokio::test]
async fn a_failed_execution_ended_as_its_last_state_says() {
    for (last, ending) in [
        (Some("NothingChanged"), Ending::NothingChanged),
        (Some("NeedsOperator"), Ending::NeedsOperator),
        (Some("Verify"), Ending::NeedsOperator),
        (None, Ending::NeedsOperator),
    ] {
        let aws = FakeAws::default();
        let arn = aws.runs("r-1");
        if let Some(last) = last {
            aws.happens(&arn, What::Entered(last.into()));
        }
        aws.ends(&arn, Status::Failed, Value::Null);
        let news = Follow::new(arn).news(&aws.client()).await.unwrap();
        assert!(
            matches!(news.last(), Some(News::Ended { ending: found, .. }) if *found == ending),
            "{last:?}: {news:?}"
        );
    }
}

#[tokio::test]
async fn an_end_that_is_not_described_yet_is_waited_for() {
    let aws = FakeAws::default();
    let arn = aws.runs("r-1");
    aws.happens(&arn, What::Ended);
    let mut follow = Follow::new(arn.clone());
    assert_eq!(follow.news(&aws.client()).await.unwrap(), []);
    aws.ends(&arn, Status::Stopped, Value::Null);
    assert!(matches!(
        follow.news(&aws.client()).await.unwrap().as_slice(),
        [News::Ended { ending: Ending::Stopped, .. }]
    ));
}

// ------------------------------------------------------------------------------------------------------------- decide

#[tokio::test]
async fn what_is_shown_is_what_the_hash_was_made_of() {
    let aws = FakeAws::default();
    let hash = aws.awaits("r-1");
    let matter = aws.client().matter("r-1").await.unwrap();
    assert!(matter.confirmed && matter.hash == hash && matter.report.is_some() && matter.restored.is_some());
}

#[tokio::test]
async fn what_differs_from_what_the_hash_was_made_of_is_not_taken_for_it() {
    let aws = FakeAws::default();
    aws.awaits("r-1");
    if let Some(approval) = aws.held().records.get_mut("r-1").and_then(|record| record.approval.as_mut()) {
        approval.hash = "0123456789ab".into();
    }
    assert!(!aws.client().matter("r-1").await.unwrap().confirmed);
}

#[tokio::test]
async fn in_place_one_decides_on_the_plan_alone() {
    let aws = FakeAws::default();
    let hash = aws.awaits_in_place("r-1");
    let matter = aws.client().matter("r-1").await.unwrap();
    assert!(matter.confirmed && matter.hash == hash && matter.report.is_none() && matter.restored.is_none());
}

#[tokio::test]
async fn a_decision_says_who_why_and_on_what() {
    let aws = FakeAws::default();
    let hash = aws.awaits("r-1");
    let bound_to = aws.client().decide("r-1", &yes(&hash[..6].to_uppercase()), &clock()).await.unwrap();
    assert_eq!(bound_to, hash);
    let expected = json!({ "decision": "approved", "by": "ann", "comment": "go", "hash": hash });
    assert_eq!(aws.held().decided, [("token".to_owned(), expected)]);
    let no = Decision { approved: false, comment: None, ..yes(&hash) };
    aws.client().decide("r-1", &no, &clock()).await.unwrap();
    assert_eq!(aws.held().decided[1].1["decision"], "rejected");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again() {
    let aws = FakeAws::default();
    let hash = aws.awaits("r-1");
    aws.held().gone = vec!["token".into(), "second".into()];
    aws.client().decide("r-1", &yes(&hash), &clock()).await.unwrap();
    assert_eq!(aws.held().decided[0].0, "fresh");
}

#[tokio::test]
async fn who_saw_something_else_decides_nothing() {
    let aws = FakeAws::default();
    let hash = aws.awaits("r-1");
    for (said, why) in
        [("", "too short"), (&hash[..5], "too short"), ("000000", "is not the hash"), (&hash[1..], "is not the hash")]
    {
        assert!(refused(aws.client().decide("r-1", &yes(said), &clock()).await).contains(why), "{said:?}");
    }
    assert!(aws.held().decided.is_empty());
}

#[tokio::test]
async fn a_recovery_that_asks_nothing_takes_no_decision() {
    let aws = FakeAws::default();
    aws.runs("r-1");
    aws.recovered("r-2");
    for (id, why) in [("r-1", "has not asked yet"), ("r-2", "Recovered")] {
        assert!(refused(aws.client().decide(id, &yes("abcdef"), &clock()).await).contains(why), "{id}");
        assert!(refused(aws.client().matter(id).await).contains("nothing was decided"), "{id}");
    }
    assert_eq!(aws.client().decide("nope", &yes("abcdef"), &clock()).await, Err(ClientError::Unknown("nope".into())));
}

// --------------------------------------------------------------------------------------------------------------- undo

#[tokio::test]
async fn a_recovery_is_taken_back_once_and_only_with_the_originals_name() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    for confirm in [None, Some("orders-r"), Some("Orders")] {
        assert!(refused(aws.client().undo("r-1", confirm, "ann").await).contains("--confirm orders"), "{confirm:?}");
    }
    let begun = aws.client().undo("r-1", Some("orders"), "ann").await.unwrap();
    assert_eq!((begun.id.as_str(), begun.before), ("r-1-undo", false));
    let again = aws.client().undo("r-1", Some("orders"), "bob").await.unwrap();
    assert_eq!((again.id.as_str(), again.before), ("r-1-undo", true));
    assert_eq!(aws.held().started, [("r-1-undo".to_owned(), json!({ "recovery": "r-1", "by": "ann" }))]);
}

#[tokio::test]
async fn taking_back_that_failed_is_begun_again_under_the_next_name() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let first = aws.client().undo("r-1", Some("orders"), "ann").await.unwrap();
    assert!(first.arn.starts_with(&UNDO_MACHINE.replace("stateMachine", "execution")));
    aws.ends(&first.arn, Status::Failed, Value::Null);
    // Half undone, the recovery needs an operator, who may undo it again: the same person or another.
    aws.held().records.get_mut("r-1").unwrap().state = "NeedsOperator".into();
    for (by, id) in [("ann", "r-1-undo-2"), ("bob", "r-1-undo-3")] {
        let next = aws.client().undo("r-1", Some("orders"), by).await.unwrap();
        assert_eq!((next.id.as_str(), next.before), (id, false), "{by}");
        aws.ends(&next.arn, Status::Failed, Value::Null);
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_does_not_bring_an_old_failure_back() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let first = aws.client().undo("r-1", Some("orders"), "ann").await.unwrap();
    aws.ends(&first.arn, Status::Failed, Value::Null);
    aws.held().lost = Some(false);
    let next = aws.client().undo("r-1", Some("orders"), "ann").await.unwrap();
    assert_eq!((next.id.as_str(), next.before), ("r-1-undo-2", false));
}

#[tokio::test]
async fn an_execution_that_takes_another_recovery_back_is_not_taken_for_this_ones() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let client = aws.client();
    // Somebody started it by hand.
    client.executions.start(UNDO_MACHINE, "r-1-undo", &json!({ "recovery": "r-0", "by": "bob" })).await.unwrap();
    let begun = client.undo("r-1", Some("orders"), "ann").await.unwrap();
    assert_eq!((begun.id.as_str(), begun.before), ("r-1-undo-2", false));
}

#[tokio::test]
async fn taking_back_that_was_done_is_followed_and_not_repeated() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let first = aws.client().undo("r-1", Some("orders"), "ann").await.unwrap();
    aws.ends(&first.arn, Status::Succeeded, json!({ "outcome": "Undone" }));
    // The table could not be written to at its end.
    for by in ["ann", "bob"] {
        assert_eq!(
            aws.client().undo("r-1", Some("orders"), by).await.unwrap(),
            Begun { before: true, ..first.clone() }
        );
    }
    assert_eq!(aws.held().started.len(), 1);
}

#[tokio::test]
async fn what_moved_no_traffic_or_is_not_over_cannot_be_taken_back() {
    let aws = FakeAws::default();
    aws.runs("r-1");
    let with = |state: &str, outcome: Value| {
        let mut held = aws.held();
        let record = held.records.get_mut("r-1").unwrap();
        record.state = state.into();
        record.outcome = outcome;
    };
    let dns = json!([{ "name": "a" }]);
    for (state, outcome, why) in [
        ("Undone", json!({ "dns": dns }), "already"),
        ("Running", Value::Null, "is not over"),
        ("AwaitingApproval", Value::Null, "is not over"),
        ("NothingChanged", Value::Null, "left all as it was"),
        ("NeedsOperator", Value::Null, "runbook"),
        ("Recovered", json!({ "strategy": "restore", "dns": [] }), "moved no traffic"),
        ("Recovered", json!({ "strategy": "backtrack", "dns": dns }), "in place"),
    ] {
        with(state, outcome);
        assert!(refused(aws.client().undo("r-1", Some("orders"), "ann").await).contains(why), "{state}");
    }
    assert!(aws.held().started.is_empty());
}

#[tokio::test]
async fn what_is_being_deleted_cannot_be_gone_back_to_and_its_snapshot_is_named() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let note = json!({ "cluster": "orders", "snapshot": "orders-final-r-1", "begunAt": "2026-11-30T10:41:00Z" });
    aws.held().records.get_mut("r-1").unwrap().clean_up = note;
    let why = refused(aws.client().undo("r-1", Some("orders"), "ann").await);
    for said in ["since 2026-11-30T10:41:00Z", "--snapshot-identifier orders-final-r-1", "nothing was changed"] {
        assert!(why.contains(said), "{why}\nlacks {said}");
    }
    assert!(aws.held().started.is_empty());
}

#[tokio::test]
async fn without_a_machine_that_takes_back_it_says_what_to_set() {
    let aws = FakeAws::default();
    aws.recovered("r-1");
    let mut client = aws.client();
    client.places.undo_machine = None;
    assert!(refused(client.undo("r-1", Some("orders"), "ann").await).contains("UNDO_STATE_MACHINE_ARN"));
    client.places.set_window = None;
    assert!(refused(client.window(&WindowWords::default()).await).contains("SET_WINDOW_FUNCTION"));
}

// ------------------------------------------------------------------------------------------------------------- window

#[tokio::test]
async fn a_window_is_asked_for_with_what_was_said_and_no_more() {
    let aws = FakeAws::default();
    let words = WindowWords { cluster: "orders".into(), ..WindowWords::default() };
    aws.client().window(&words).await.unwrap();
    let set = WindowWords { window: Some("24h".into()), confirm: Some("yes".into()), ..words };
    aws.held().answer = Some(Called::Refused("InvalidRequest".into(), "say the cluster".into()));
    assert_eq!(refused(aws.client().window(&set).await), "say the cluster [InvalidRequest]");
    let called: Vec<Value> = aws.held().called.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(
        called,
        [json!({ "cluster": "orders" }), json!({ "cluster": "orders", "window": "24h", "confirm": "yes" })]
    );
}
