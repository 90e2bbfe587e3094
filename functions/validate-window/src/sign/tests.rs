//! A plan is signed for the recovery that runs and asks for it, and for nothing else.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::chat::ChatAct;
use rewind_aws::fixtures::{plan, recovery_record, time};
use rewind_client::fake::{FakeAws, MACHINE};
use rewind_core::{JsonDigest, People, Recovery, TwoPeople};
use std::str::FromStr;

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

/// The table with what people did in chat.
struct Acts(Vec<ChatAct>);

impl ReadActs for Acts {
    async fn acts(&self, kind: ActKind, _: &str) -> AwsResult<Vec<ChatAct>> {
        assert_eq!(kind, ActKind::Requested);
        Ok(self.0.clone())
    }
}

/// STS, where a proof names its signer and the act that it is for.
struct Sts;

impl VerifyCallers for Sts {
    async fn caller(&self, proof: &CallerProof, act: &str) -> AwsResult<Option<String>> {
        if proof.0.contains_key("down") {
            return Err(StepError::new(ErrorName::Unavailable, "not now"));
        }
        Ok(proof.0.get("arn").filter(|_| proof.0.get("act").is_some_and(|signed| signed == act)).cloned())
    }
}

type Signer = Signing<Planner, FakeAws, FakeAws, Key, Acts, Sts>;

fn signing(aws: &FakeAws) -> Signer {
    let people = People::from_str("ann=U1|arn:aws:iam::1:user/ann,ben=U2,cleo=U3").unwrap();
    Signing {
        step: Planner,
        executions: aws.clone(),
        recoveries: aws.clone(),
        key: Key,
        acts: Acts(Vec::new()),
        callers: Sts,
        agreeing: Agreeing { two_people: TwoPeople::Always, people },
    }
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

fn slack(user: &str) -> Identity {
    Identity::Slack { team: "T1".to_owned(), user: user.to_owned() }
}

fn aws_identity(arn: &str) -> Identity {
    Identity::Aws { arn: arn.to_owned() }
}

/// Plans the recovery `r-1`, which was started with `asked`, and with more in the execution's input.
async fn planned(signer: Signer, asked: &Value, more: &Value) -> Plan {
    let aws = signer.executions.clone();
    let input = running(&aws, asked);
    let mut whole = asked.clone();
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    aws.state().executions.get_mut(&input.recovery.execution_arn).unwrap().input = whole;
    signer.run(input).await.unwrap()
}

#[tokio::test]
async fn whoever_starts_by_whatever_way_is_in_the_plan_and_nobody_else_can_be_put_there() {
    let asked = json!({ "cluster": "orders", "to": "latest" });
    let act = |user: &str, asked: &Value| ChatAct { team: "T1".into(), user: user.into(), of: request_digest(asked) };
    let ann = "arn:aws:iam::1:user/ann";
    let proof = |id: &str, asked: &Value| json!({ "startedBy": { "arn": ann, "act": start_act(id, asked) } });
    let other = json!({ "cluster": "billing", "to": "latest" });
    for (name, acts, more, expected) in [
        ("chat", vec![act("U1", &asked)], json!({}), vec![slack("U1")]),
        ("chat, twice", vec![act("U1", &asked), act("U2", &asked)], json!({}), vec![slack("U1"), slack("U2")]),
        ("a terminal", vec![], proof("r-1", &asked), vec![aws_identity(ann)]),
        ("a console, an event or an alarm", vec![], json!({}), vec![Identity::Unknown]),
        // Ben asked for something else under the name that was then used.
        ("somebody's other request in chat", vec![act("U2", &other)], json!({}), vec![Identity::Unknown]),
        ("a proof of another recovery", vec![], proof("r-2", &asked), vec![Identity::Unknown]),
        ("a proof of another request", vec![], proof("r-1", &other), vec![Identity::Unknown]),
        ("a claim", vec![], json!({ "startedBy": [{ "kind": "aws", "arn": ann }] }), vec![Identity::Unknown]),
        ("a name", vec![], json!({ "startedBy": "ann" }), vec![Identity::Unknown]),
    ] {
        let signer = Signer { acts: Acts(acts), ..signing(&FakeAws::default()) };
        let plan = planned(signer, &asked, &more).await;
        assert_eq!(plan.started_by, expected, "{name}");
        let warning = plan.warnings.last().unwrap();
        let is_unknown = warning.contains("two people of the parameter People have to approve it");
        assert_eq!(
            (is_unknown, warning.contains("TwoPeople")),
            (expected == [Identity::Unknown], true),
            "{name}: {warning}"
        );
    }
}

#[tokio::test]
async fn whoever_started_what_is_resumed_has_started_what_resumes_it() {
    for (before, expected) in [
        (vec![slack("U2")], vec![slack("U1"), slack("U2")]),
        (vec![slack("U1")], vec![slack("U1")]),
        // By an earlier version.
        (vec![], vec![slack("U1"), Identity::Unknown]),
    ] {
        let aws = FakeAws::default();
        let earlier = Plan { started_by: before, ..plan() };
        let record = RecoveryRecord { id: "r-0".to_owned(), ..recovery_record(&earlier) };
        let asked = json!({ "resume": "r-0" });
        let mut input = running(&aws, &asked);
        input.request = merge(&record, &asked);
        input.resumed = Some(resumed("r-0"));
        aws.state().records.insert("r-0".to_owned(), record);
        let act = ChatAct { team: "T1".into(), user: "U1".into(), of: request_digest(&asked) };
        let signer = Signer { acts: Acts(vec![act]), ..signing(&aws) };
        assert_eq!(signer.run(input).await.unwrap().started_by, expected);
    }
}

#[tokio::test]
async fn what_nobody_could_approve_is_refused_before_anything_is_changed() {
    let of = |rule, people: &str| {
        let agreeing = Agreeing { two_people: rule, people: people.parse().unwrap() };
        Signer { agreeing, ..signing(&FakeAws::default()) }
    };
    for people in ["", "ann=U1"] {
        let signer = of(TwoPeople::Always, people);
        let input = running(&signer.executions, &json!({ "cluster": "orders" }));
        let refused = signer.run(input).await.unwrap_err().to_string();
        assert!(refused.contains("parameter People") && refused.contains("TwoPeople to known"), "{refused}");
    }
    for rule in [TwoPeople::Known, TwoPeople::Chat, TwoPeople::Off] {
        let plan = planned(of(rule, ""), &json!({ "cluster": "orders" }), &json!({})).await;
        assert_eq!((plan.started_by, plan.warnings), (vec![Identity::Unknown], vec![]));
    }
}

#[tokio::test]
async fn without_an_answer_of_sts_a_start_is_tried_again_unless_nobody_is_compared() {
    let asked = json!({ "cluster": "orders", "startedBy": { "down": "" } });
    for (rule, waits) in [(TwoPeople::Always, true), (TwoPeople::Off, false)] {
        let mut signer = signing(&FakeAws::default());
        signer.agreeing.two_people = rule;
        let mut input = running(&signer.executions, &asked);
        input.request = json!({ "cluster": "orders" });
        let result = signer.run(input).await;
        assert_eq!(result.is_err_and(|error| error.name == ErrorName::Unavailable), waits, "{rule:?}");
    }
}
