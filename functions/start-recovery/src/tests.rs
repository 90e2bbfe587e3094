//! An event starts one recovery, however often it comes, and an event that asks for nothing starts none.

use super::*;
use rewind_client::fake::FakeAws;
use serde_json::json;

fn function(aws: &FakeAws) -> StartRecovery<FakeAws> {
    let RecoveryClient { executions, deployment, .. } = aws.client();
    let client = RecoveryClient { executions, recoveries: (), functions: (), deployment };
    StartRecovery { client, events_may_start: true, alarms_may_start: true }
}

fn event(detail: Value) -> Event {
    serde_json::from_value(json!({
        "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Rewind Requested",
        "source": "aurora-rewind", "account": "1", "time": "2026-11-23T10:35:00Z", "region": "eu-west-1",
        "resources": [], "detail": detail,
    }))
    .unwrap()
}

#[tokio::test]
async fn an_event_that_comes_twice_starts_one_recovery_with_the_moment_of_the_event() {
    let aws = FakeAws::default();
    let asked = event(json!({ "cluster": "orders", "to": "5m ago" }));
    let first = function(&aws).run(asked.clone()).await.unwrap();
    // EventBridge delivers at least once. Step Functions returns the running execution for the same name and input.
    let second = function(&aws).run(asked).await.unwrap();
    assert_eq!(first.recovery_id, "event-6a7e8feb-b491-4cf7-a9f1-bf3703467718");
    assert_eq!((first.started_before, second.started_before), (false, true));
    let input = json!({ "cluster": "orders", "to": "2026-11-23T10:30:00Z" });
    assert_eq!(aws.state().started, [(first.recovery_id, input)]);
}

#[tokio::test]
async fn what_cannot_be_a_recovery_is_an_error_and_starts_nothing() {
    let aws = FakeAws::default();
    let wrong = event(json!({ "cluster": "orders", "to": "5m ago", "keepSource": "1440" }));
    let other = Event { detail_type: "Rewind Recovered".to_owned(), ..event(json!({})) };
    for (event, message) in [(wrong, "`keepSource` is \"1440\""), (other, "no recovery follows from that")] {
        let error = function(&aws).run(event).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    assert!(aws.state().started.is_empty());
}

#[tokio::test]
async fn an_event_resumes_a_recovery_with_no_more_than_its_id() {
    let aws = FakeAws::default();
    let started = function(&aws).run(event(json!({ "resume": "rewind-orders-20261123-103000" }))).await.unwrap();
    assert_eq!(aws.state().started, [(started.recovery_id, json!({ "resume": "rewind-orders-20261123-103000" }))]);
}

#[tokio::test]
async fn an_alarm_starts_the_recovery_that_its_description_names_where_alarms_may() {
    let aws = FakeAws::default();
    let closed = StartRecovery { alarms_may_start: false, ..function(&aws) };
    let error = closed.run(alarm()).await.unwrap_err().to_string();
    assert!(error.contains("AlarmsMayStart") && error.contains("nothing was started"), "{error}");
    assert!(aws.state().started.is_empty());
    let begun = function(&aws).run(alarm()).await.unwrap();
    let input = json!({ "cluster": "orders", "to": "2026-11-23T10:30:00Z", "approval": "required" });
    assert_eq!(aws.state().started, [(begun.recovery_id, input)]);
}

fn alarm() -> Event {
    // CloudWatch writes this offset without a colon, which RFC 3339 does not allow.
    let data = json!({ "threshold": 1.0, "evaluatedDatapoints": [
        { "timestamp": "2026-11-23T10:33:00.000+0000", "value": 0.0 },
    ] });
    Event {
        source: "aws.cloudwatch".to_owned(),
        detail_type: "CloudWatch Alarm State Change".to_owned(),
        ..event(json!({
            "alarmName": "rows-gone", "configuration": { "description": "aurora-rewind: orders 3m" },
            "state": { "value": "ALARM", "reason": "was less than the threshold (1.0)", "reasonData": data.to_string() },
        }))
    }
}

#[tokio::test]
async fn where_events_may_not_start_anything_each_is_refused_with_the_parameter() {
    let aws = FakeAws::default();
    let closed = StartRecovery { events_may_start: false, ..function(&aws) };
    let error = closed.run(event(json!({ "cluster": "orders", "to": "5m ago" }))).await.unwrap_err().to_string();
    assert!(error.contains("EventsMayStart") && error.contains("nothing was started"), "{error}");
    assert!(aws.state().started.is_empty());
}
