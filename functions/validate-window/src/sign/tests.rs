//! A plan is signed for the recovery that runs and asks for it, and for nothing else.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{plan, recovery_record, time};
use rewind_client::fake::{FakeAws, MACHINE};
use rewind_core::{JsonDigest, Recovery};

struct Planner;

impl Step for Planner {
    type Input = Input;
    type Output = Plan;

    async fn run(&self, input: Input) -> Result<Plan, StepError> {
        Ok(Plan { recovery_id: input.recovery.id, ..plan() })
    }
}

struct Key;

impl SignPlans for Key {
    async fn sign_plan(&self, digest: &JsonDigest) -> AwsResult<String> {
        Ok(format!("{digest:?}"))
    }
}

fn signing(aws: &FakeAws) -> Signing<Planner, FakeAws, FakeAws, Key> {
    Signing { step: Planner, executions: aws.clone(), recoveries: aws.clone(), key: Key }
}

/// The payload for the execution `r-1`, which was started with `asked`.
fn running(aws: &FakeAws, asked: &Value) -> Input {
    let execution_arn = aws.add_running("r-1");
    let mut state = aws.state();
    let execution = state.executions.get_mut(&execution_arn).unwrap();
    execution.input = asked.clone();
    let recovery = Recovery { id: "r-1".to_owned(), execution_arn, started_at: execution.started_at };
    Input { recovery, request: asked.clone(), resumed: None }
}

#[tokio::test]
async fn the_plan_of_a_recovery_that_runs_is_signed_whole() {
    let aws = FakeAws::default();
    let mut input = running(&aws, &json!({ "cluster": "orders" }));
    // The fractions of its start, as the state machine has them.
    input.recovery.started_at = time("2026-11-23T10:34:59.999Z");
    let made = signing(&aws).run(input).await.unwrap();
    let json = json!(made);
    assert_eq!(made.signature, Some(format!("{:?}", plan_digest(&json))));
}

#[tokio::test]
async fn whoever_calls_the_function_gets_no_signature_for_what_no_execution_asks() {
    let aws = FakeAws::default();
    let input = running(&aws, &json!({ "cluster": "orders", "to": "5m ago" }));
    let ended = aws.add_running("r-2");
    aws.end(&ended, Status::Succeeded, Value::Null);
    let other = aws.add_running("r-3");
    let of = |change: &dyn Fn(&mut Input)| {
        let mut input = input.clone();
        change(&mut input);
        input
    };
    for (name, input) in [
        ("another cluster", of(&|input| input.request["cluster"] = json!("billing"))),
        ("a field more", of(&|input| input.request["approval"] = json!("none"))),
        ("a field less", of(&|input| input.request = json!({ "cluster": "orders" }))),
        ("another start", of(&|input| input.recovery.started_at = time("2026-11-23T10:34:58Z"))),
        ("the execution of another recovery", of(&|input| input.recovery.execution_arn = other.clone())),
        ("the id of another recovery", of(&|input| input.recovery.id = "r-3".to_owned())),
        (
            "an execution that has ended",
            of(&|input| {
                input.recovery.id = "r-2".to_owned();
                input.recovery.execution_arn = ended.clone();
                input.request = json!({ "cluster": "orders" });
            }),
        ),
        ("a recovery to resume", of(&|input| input.resumed = Some(resumed("r-3")))),
    ] {
        let error = signing(&aws).run(input).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest, "{name}: {error}");
    }
    let unknown = of(&|input| input.recovery.execution_arn = format!("{MACHINE}:none"));
    assert_eq!(signing(&aws).run(unknown).await.unwrap_err().name, ErrorName::Unavailable);
}

fn resumed(id: &str) -> Resumed {
    let plan = json!(plan());
    serde_json::from_value(json!({
        "id": id, "state": "NothingChanged", "status": null, "plan": plan, "hasRequest": true, "fence": "none",
        "restoredFence": "none", "noneSent": false, "asked": {},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_request_that_resumes_is_signed_only_as_the_record_of_the_earlier_one_completes_it() {
    let aws = FakeAws::default();
    let plan = plan();
    let earlier = json!({ "cluster": "orders", "to": "5m ago", "keepSource": "7d", "dns": [1], "dryRun": true });
    let record = RecoveryRecord { id: "r-0".to_owned(), request: Some(earlier), ..recovery_record(&plan) };
    aws.state().records.insert("r-0".to_owned(), record);
    let mut input = running(&aws, &json!({ "resume": "r-0", "keepSource": "2d", "dns": null }));
    input.resumed = Some(resumed("r-0"));
    // As ReadResumed of the state machine merges them.
    input.request = json!({
        "cluster": plan.cluster, "to": plan.target, "newCluster": plan.new_cluster, "strategy": "restore",
        "keepSource": "2d", "dryRun": false, "resume": "r-0",
    });
    assert!(signing(&aws).run(input.clone()).await.unwrap().signature.is_some());
    for (field, value) in [
        ("cluster", json!("billing")),
        ("to", json!("1m ago")),
        ("keepSource", json!("1h")),
        ("dns", json!([1])),
        ("resume", json!("r-2")),
    ] {
        let mut other = input.clone();
        other.request[field] = value;
        assert!(signing(&aws).run(other).await.is_err(), "{field}");
    }
    let mut other = input.clone();
    other.resumed.as_mut().unwrap().plan.as_mut().unwrap().dns.clear();
    assert!(signing(&aws).run(other).await.is_err(), "another plan");
    input.resumed.as_mut().unwrap().id = "r-2".to_owned();
    assert!(signing(&aws).run(input).await.is_err(), "another recovery");
}
