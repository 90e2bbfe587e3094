//! A plan is signed for the recovery that runs and asks for it, and for nothing else.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::chat::ChatAct;
use rewind_aws::fixtures::{ManualClock, plan, recovery_record, time};
use rewind_client::fake::{FakeAws, MACHINE};
use rewind_core::{Adopted, People, Recovery, TwoPeople};
use std::str::FromStr;

struct Planner;

impl Step for Planner {
    type Input = Input;
    type Output = Plan;

    async fn run(&self, input: Input) -> Result<Plan, StepError> {
        let adopted = input.resumed.map(|resumed| Adopted {
            recovery: resumed.id,
            owners: resumed.deletions.into_iter().map(|deletion| deletion.snapshot).collect(),
            keep_until: None,
            checks_of_event: !resumed.has_own_checks,
        });
        Ok(Plan { recovery_id: input.recovery.id, adopted, ..plan() })
    }
}

struct Key;

impl SignPlans for Key {
    async fn sign_plan(&self, digest: &JsonDigest) -> AwsResult<String> {
        Ok(format!("{digest:?}"))
    }
}

impl VerifyPlans for Key {
    async fn verify_plan(&self, digest: &JsonDigest, signature: &str) -> AwsResult<bool> {
        Ok(signature == format!("{digest:?}"))
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

type Signer = Signing<Planner, FakeAws, FakeAws, Key, Acts, Sts, ManualClock>;

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
        may_start: MayStart::Anybody,
        clock: ManualClock::at("2026-11-23T10:35:00Z"),
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

/// By the input of the execution: whoever calls the function writes the payload.
#[tokio::test]
async fn checks_are_taken_over_unless_the_execution_was_started_with_others() {
    for (asked, taken) in [
        (json!({ "resume": "r-0" }), true),
        (json!({ "resume": "r-0", "checks": [] }), false),
        (json!({ "resume": "r-0", "checks": null }), false),
    ] {
        let aws = FakeAws::default();
        let record = RecoveryRecord { id: "r-0".to_owned(), request: Some(json!({})), ..recovery_record(&plan()) };
        let mut input = running(&aws, &asked);
        input.request = merge(&record, &asked);
        aws.state().records.insert("r-0".to_owned(), record);
        input.resumed = Some(Resumed { has_own_checks: taken, ..resumed("r-0") });
        let plan = signing(&aws).run(input).await.unwrap();
        assert_eq!(plan.adopted.unwrap().checks_of_event, taken, "{asked}");
    }
}

/// The clean-up notes a deletion for the recovery in the cluster's tag, which an earlier one of the chain may be.
#[tokio::test]
async fn deletions_are_read_from_the_records_of_all_whose_restored_cluster_it_may_be() {
    let aws = FakeAws::default();
    let deletion = |snapshot: &str| {
        let (cluster, snapshot) = ("orders-r".to_owned(), snapshot.to_owned());
        Some(CleanUpRecord { cluster, snapshot, begun_at: time("2026-11-23T10:30:00Z"), instances: Vec::new() })
    };
    let owners = vec!["r-a".to_owned(), "r-b".to_owned()];
    let adopted = Adopted { recovery: "r-a".to_owned(), owners, keep_until: None, checks_of_event: false };
    let chained = Plan { adopted: Some(adopted), ..plan() };
    let asked = json!({ "resume": "r-0" });
    let mut input = running(&aws, &asked);
    for (id, snapshot) in [("r-0", "s-0"), ("r-b", "s-b")] {
        let clean_up = deletion(snapshot);
        let record =
            RecoveryRecord { id: id.to_owned(), request: Some(json!({})), clean_up, ..recovery_record(&chained) };
        input.request = merge(&record, &asked);
        aws.state().records.insert(id.to_owned(), record);
    }
    input.resumed = Some(Resumed { plan: Some(ResumedPlan::from(&chained)), ..resumed("r-0") });
    let plan = signing(&aws).run(input).await.unwrap();
    assert_eq!(plan.adopted.unwrap().owners, ["s-0", "s-b"]);
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
async fn where_people_alone_may_start_it_is_one_whom_the_deployment_names() {
    let asked = json!({ "cluster": "orders", "to": "latest" });
    let act = |user: &str| vec![ChatAct { team: "T1".into(), user: user.into(), of: request_digest(&asked) }];
    let proof = |arn: &str| json!({ "startedBy": { "arn": arn, "act": start_act("r-1", &asked) } });
    let nobody = json!({});
    for (name, acts, more, may) in [
        ("in chat", act("U1"), nobody.clone(), true),
        ("somebody else in chat", act("U9"), nobody.clone(), false),
        ("at a terminal", Vec::new(), proof("arn:aws:iam::1:user/ann"), true),
        ("another caller of AWS", Vec::new(), proof("arn:aws:iam::1:user/eve"), false),
        ("by a console, an event or an alarm", Vec::new(), nobody, false),
    ] {
        for two_people in [TwoPeople::Always, TwoPeople::Off] {
            let aws = FakeAws::default();
            let mut signer = Signer { acts: Acts(acts.clone()), may_start: MayStart::People, ..signing(&aws) };
            signer.agreeing.two_people = two_people;
            let mut started = asked.clone();
            started.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut input = running(&aws, &started);
            input.request = asked.clone();
            match signer.run(input).await {
                Ok(_) => assert!(may, "{name}"),
                Err(refused) => {
                    assert!(!may, "{name}: {refused}");
                    assert!(refused.to_string().contains("MayStart (anybody, people)"), "{name}: {refused}");
                }
            }
        }
    }
    // What it would do is no secret: nothing comes of it.
    let aws = FakeAws::default();
    let dry = running(&aws, &json!({ "cluster": "orders", "dryRun": true }));
    assert!(Signer { may_start: MayStart::People, ..signing(&aws) }.run(dry).await.is_ok());
}

/// STS is away: whoever it was, nobody has shown it.
#[tokio::test]
async fn where_people_alone_may_start_an_identity_that_cannot_be_verified_is_waited_for() {
    let aws = FakeAws::default();
    let asked = json!({ "cluster": "orders" });
    let mut input = running(&aws, &json!({ "cluster": "orders", "startedBy": { "down": "" } }));
    input.request = asked;
    let mut signer = Signer { may_start: MayStart::People, ..signing(&aws) };
    signer.agreeing.two_people = TwoPeople::Off;
    assert_eq!(signer.run(input).await.unwrap_err().name, ErrorName::Unavailable);
}

/// Plans what User 1 resumes, where the record of the earlier recovery has this plan.
async fn resumed_with(earlier: &Plan) -> Vec<Identity> {
    let aws = FakeAws::default();
    let record = RecoveryRecord { id: "r-0".to_owned(), ..recovery_record(earlier) };
    let asked = json!({ "resume": "r-0" });
    let mut input = running(&aws, &asked);
    input.request = merge(&record, &asked);
    input.resumed = Some(resumed("r-0"));
    aws.state().records.insert("r-0".to_owned(), record);
    let act = ChatAct { team: "T1".into(), user: "U1".into(), of: request_digest(&asked) };
    let signer = Signer { acts: Acts(vec![act]), ..signing(&aws) };
    signer.run(input).await.unwrap().started_by
}

async fn signed_by(started_by: Vec<Identity>) -> Plan {
    let plan = Plan { recovery_id: "r-0".to_owned(), started_by, ..plan() };
    signed(plan).await
}

async fn signed(mut plan: Plan) -> Plan {
    plan.signature = Some(Key.sign_plan(&digest(&plan).unwrap()).await.unwrap());
    plan
}

#[tokio::test]
async fn whoever_started_what_is_resumed_has_started_what_resumes_it() {
    for (before, expected) in [
        (vec![slack("U2")], vec![slack("U1"), slack("U2")]),
        (vec![slack("U1")], vec![slack("U1")]),
        // By an earlier version.
        (vec![], vec![slack("U1"), Identity::Unknown]),
    ] {
        assert_eq!(resumed_with(&signed_by(before).await).await, expected);
    }
}

#[tokio::test]
async fn whoever_may_write_a_record_decides_not_who_started_it() {
    let by_ben = signed_by(vec![slack("U2")]).await;
    for (name, written) in [
        ("another person", Plan { started_by: vec![slack("U3")], ..by_ben.clone() }),
        ("the person who resumes it", Plan { started_by: vec![slack("U1")], ..by_ben.clone() }),
        ("a plan without a signature", Plan { signature: None, ..by_ben.clone() }),
        ("the signature of another plan", Plan { cluster_arn: "arn:other".to_owned(), ..by_ben.clone() }),
        ("the signed plan of another recovery", signed(Plan { recovery_id: "r-2".to_owned(), ..by_ben }).await),
    ] {
        assert_eq!(resumed_with(&written).await, [slack("U1"), Identity::Unknown], "{name}");
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

/// Counted as somebody unknown, who started it could approve it where only known people are compared.
#[tokio::test]
async fn a_start_that_was_signed_too_long_ago_is_refused_where_anything_depends_on_it() {
    // Its signature names another act, so STS refuses it, as it does one of 15 minutes and a second.
    let asked = |signed: &str| json!({ "cluster": "orders", "startedBy": { "x-amz-date": signed, "act": "other" } });
    for (rule, signed, is_refused) in [
        (TwoPeople::Always, "20261123T101959Z", true),
        (TwoPeople::Known, "20261123T101959Z", true),
        (TwoPeople::Off, "20261123T101959Z", false),
        (TwoPeople::Known, "20261123T102001Z", false),
        (TwoPeople::Known, "yesterday", false),
    ] {
        let mut signer = signing(&FakeAws::default());
        signer.agreeing.two_people = rule;
        let mut input = running(&signer.executions, &asked(signed));
        input.request = json!({ "cluster": "orders" });
        match signer.run(input).await {
            Ok(plan) => assert!(!is_refused && plan.started_by == [Identity::Unknown], "{rule:?} {signed}"),
            Err(error) => {
                assert!(is_refused && error.name == ErrorName::InvalidRequest, "{rule:?} {signed}: {error}");
                assert!(error.to_string().contains("too old to be verified"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn who_started_it_is_verified_before_a_cluster_is_waited_for() {
    struct Waits;
    impl Step for Waits {
        type Input = Input;
        type Output = Plan;

        async fn run(&self, _: Input) -> Result<Plan, StepError> {
            Err(StepError::new(ErrorName::ClusterNotReady, "orders is modifying"))
        }
    }
    let asked = json!({ "cluster": "orders", "startedBy": { "down": "" } });
    let Signer { executions, recoveries, key, acts, callers, agreeing, may_start, clock, .. } =
        signing(&FakeAws::default());
    let signer = Signing { step: Waits, executions, recoveries, key, acts, callers, agreeing, may_start, clock };
    let mut input = running(&signer.executions, &asked);
    input.request = json!({ "cluster": "orders" });
    assert_eq!(signer.run(input).await.unwrap_err().name, ErrorName::Unavailable);
}
