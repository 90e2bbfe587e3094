//! An approval is valid only for the proposal that was shown, and only while nothing has changed since.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::chat::ChatAct;
use rewind_aws::fixtures::{ManualClock, in_place_plan, mysql_rds, plan, rds_with_restored, recovery, restored, time};
use rewind_aws::rds::Instance;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use rewind_core::{CallerProof, JsonDigest, Login, People, Tls, TwoPeople};
use serde_json::json;

const ASKED: &str = "2026-11-23T10:40:00Z";

/// Every record as the plan has it, but for one that somebody changed.
struct Zone(Option<&'static str>);

impl Zones for Zone {
    async fn record_sets(&self, _: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        let planned = plan().dns.into_iter().find(|record| record.name == name).unwrap();
        // As Route 53 stores it: confirm-approval compares to the letter, for the batch has to match to the letter.
        let value = self.0.map_or(planned.from, str::to_owned);
        Ok(vec![RecordSet {
            name: name.to_owned(),
            kind: "CNAME".to_owned(),
            ttl: Some(planned.ttl),
            values: vec![value],
            routed: false,
        }])
    }
}

/// The table with what people did in chat.
struct Acts(Vec<ChatAct>);

impl ReadActs for Acts {
    async fn acts(&self, kind: ActKind, _: &str) -> AwsResult<Vec<ChatAct>> {
        assert_eq!(kind, ActKind::Approved);
        Ok(self.0.clone())
    }
}

/// STS, where a proof names its signer and the act that it is for.
struct Sts;

impl VerifyCallers for Sts {
    async fn caller(&self, proof: &CallerProof, act: &str) -> AwsResult<Option<String>> {
        Ok(proof.0.get("arn").filter(|_| proof.0.get("act").is_some_and(|signed| signed == act)).cloned())
    }
}

fn approval(hash: Option<&str>) -> RecordedDecision {
    RecordedDecision { by: Some("ada".into()), hash: hash.map(str::to_owned), ..RecordedDecision::default() }
}

fn in_place(plan: Plan) -> Input {
    let proposal = Proposal { plan, restored: None, report: None, differences: Vec::new(), comparison: None };
    Input { decision: approval(Some(&proposal.hash())), proposal, ..input(None) }
}

/// The report on `orders-r` and its one instance.
fn report() -> Report {
    let login = Login { user: "postgres".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
    let instances = [("orders-r-1".to_owned(), "db-orders-r-1".to_owned())].into();
    let resource_ids = ResourceIds { cluster: "cluster-ORDERS-R".to_owned(), instances };
    Report { resource_ids, ..Report::new(login, Vec::new(), Vec::new(), Vec::new()) }
}

fn input(hash: Option<&str>) -> Input {
    let report = Some(report());
    let proposal =
        Proposal { plan: plan(), restored: Some(restored()), report, differences: Vec::new(), comparison: None };
    let shown = proposal.hash();
    Input {
        recovery: recovery(),
        proposal,
        requested_at: time(ASKED),
        decision: approval(hash.map(|hash| if hash == "shown" { shown.as_str() } else { hash })),
        approvers: Vec::new(),
        approval: None,
    }
}

/// A key whose signature is the digest itself.
struct Key;

impl SignApprovals for Key {
    async fn sign_approval(&self, digest: &JsonDigest) -> AwsResult<String> {
        Ok(format!("{digest:?}"))
    }
}

impl VerifyApprovals for Key {
    async fn verify_approval(&self, digest: &JsonDigest, signature: &str) -> AwsResult<bool> {
        Ok(signature == format!("{digest:?}"))
    }
}

async fn confirm(rds: FakeRds, zone: Zone, now: &str, input: Input) -> Result<Output, StepError> {
    let agreeing = Agreeing { two_people: TwoPeople::Off, ..Agreeing::default() };
    confirm_by(rds, zone, now, (Vec::new(), agreeing), input).await
}

async fn confirm_by(
    rds: FakeRds,
    zone: Zone,
    now: &str,
    (acts, agreeing): (Vec<ChatAct>, Agreeing),
    input: Input,
) -> Result<Output, StepError> {
    let (clusters, clock) = (rds.clone(), ManualClock::at(now));
    let acts = Acts(acts);
    let (callers, approvals, age_max) = (Sts, Key, AGE_MAX);
    let step = ConfirmApproval { clusters, zones: zone, clock, acts, callers, approvals, agreeing, age_max };
    let answer = step.run(input).await;
    assert!(rds.changes().is_empty());
    answer
}

const SOON: &str = "2026-11-23T10:41:00Z";

#[tokio::test]
async fn an_approval_of_the_proposal_that_was_shown_is_valid() {
    let answer = confirm(rds_with_restored(), Zone(None), SOON, input(Some("shown"))).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Valid);
    assert_eq!(answer.approval, Some(format!("{:?}", approval_digest(&plan()))));
}

#[tokio::test]
async fn no_approval_is_signed_that_is_not_valid_and_no_approver_believed_who_was_not() {
    let first = verdict(TwoPeople::Always, in_chat(of(Vec::new()), "T1", "U1")).await;
    let plan = of(Vec::new()).proposal.plan;
    assert_ne!(first.approval, Some(format!("{:?}", approval_digest(&plan))));
    let forged = vec![slack("T1", "U1"), slack("T1", "U2")];
    let next = |approvers: &[Identity], approval: &Option<String>| {
        let input = Input { approvers: approvers.to_vec(), approval: approval.clone(), ..of(Vec::new()) };
        at_a_terminal(input, BEN)
    };
    assert_eq!(verdict(TwoPeople::Always, next(&first.approvers, &first.approval)).await.verdict, Verdict::Valid);
    let people = || format!("ann=U1|{ANN},ben=U2|{BEN}").parse().unwrap();
    let another = Some(format!("{:?}", approvers_digest("r-2", &of(Vec::new()).proposal.hash(), &first.approvers)));
    for (name, attempt) in [
        ("nobody's word", next(&forged, &None)),
        ("people beside those who have", next(&forged, &first.approval)),
        ("without the signature", next(&first.approvers, &None)),
        ("of another recovery", next(&first.approvers, &another)),
        ("by the approval of a plan", next(&forged, &Some(format!("{:?}", approval_digest(&plan))))),
    ] {
        let by = (attempt.0, Agreeing { two_people: TwoPeople::Always, people: people() });
        let error = confirm_by(rds_with_restored(), Zone(None), SOON, by, attempt.1).await.unwrap_err();
        assert_eq!(error.name, ErrorName::Bug, "{name}: {error}");
    }
    // What was given for another hash leaves the approvers so far as they were.
    let (acts, mut other) = next(&first.approvers, &first.approval);
    other.decision.hash = Some("0123456789ab".to_owned());
    let other = verdict(TwoPeople::Always, (acts, other)).await;
    assert_eq!((other.verdict, other.approvers, other.approval), (Verdict::WrongHash, first.approvers, first.approval));
}

#[tokio::test]
async fn an_approval_of_another_proposal_or_of_none_leaves_the_request_open() {
    for (hash, message) in [(Some("0123456789ab"), "ada approved 0123456789ab"), (None, "without saying what")] {
        let answer = confirm(rds_with_restored(), Zone(None), SOON, input(hash)).await.unwrap();
        assert_eq!(answer.verdict, Verdict::WrongHash);
        assert!(answer.why.contains(message), "{}", answer.why);
    }
}

#[tokio::test]
async fn an_approval_is_refused_once_cluster_records_or_age_have_changed() {
    type Edit = fn(&FakeRds);
    let cases: [(Edit, Zone, &str, ErrorName, &str); 6] = [
        (
            |_| {},
            Zone(Some("elsewhere.example.com")),
            SOON,
            ErrorName::RecordChanged,
            "is CNAME elsewhere.example.com now",
        ),
        // One second older than the default of 24 hours.
        (|_| {}, Zone(None), "2026-11-24T10:40:01Z", ErrorName::NotApproved, "what was approved is 1d1s old"),
        (
            |rds| rds.edit("orders", |cluster| cluster.status = "stopped".to_owned()),
            Zone(None),
            SOON,
            ErrorName::NotApproved,
            "orders is stopped by now",
        ),
        (
            |rds| rds.edit("orders", |cluster| cluster.engine_version = "15.5".to_owned()),
            Zone(None),
            SOON,
            ErrorName::NotApproved,
            "orders was replaced after the plan was made",
        ),
        (
            |rds| rds.edit("orders-r", |cluster| cluster.tags.clear()),
            Zone(None),
            SOON,
            ErrorName::NotApproved,
            "is not the one that was verified",
        ),
        (
            |rds| rds.edit("orders-r", |cluster| cluster.status = "deleting".to_owned()),
            Zone(None),
            SOON,
            ErrorName::NotApproved,
            "orders-r is deleting by now",
        ),
    ];
    for (edit, zone, now, name, message) in cases {
        let rds = rds_with_restored();
        edit(&rds);
        let error = confirm(rds, zone, now, input(Some("shown"))).await.unwrap_err();
        assert_eq!(error.name, name, "{error}");
        for message in [message, "the approval of ada came too late", "nothing was fenced"] {
            assert!(error.to_string().contains(message), "{error}\nlacks {message}");
        }
    }
}

/// An answer that came while RDS was at work on a cluster counts as soon as that is over: the step is repeated until then.
#[tokio::test]
async fn an_approval_waits_for_a_cluster_that_is_being_changed() {
    for name in ["orders", "orders-r"] {
        for status in ["modifying", "upgrading", "maintenance"] {
            let rds = rds_with_restored();
            rds.edit(name, |cluster| cluster.status = status.to_owned());
            let answer = confirm(rds, Zone(None), SOON, input(Some("shown"))).await.unwrap();
            assert_eq!(answer.verdict, Verdict::NotYet, "{}", answer.why);
            assert!(
                answer.why.contains(&format!(
                    "ada approved it, which is confirmed as soon as that can be seen: {name} is {status};"
                )),
                "{}",
                answer.why
            );
        }
    }
    for status in ["stopping", "failed", "cloning-failed", "inaccessible-encryption-credentials-recoverable"] {
        let rds = rds_with_restored();
        rds.edit("orders", |cluster| cluster.status = status.to_owned());
        let error = confirm(rds, Zone(None), SOON, input(Some("shown"))).await.unwrap_err();
        assert_eq!(error.name, ErrorName::NotApproved, "{error}");
    }
}

/// A proof of the caller holds for a quarter of an hour, and maintenance lasts longer: who approved is verified once.
#[tokio::test]
async fn an_approval_that_waits_stays_that_of_whoever_was_verified() {
    let people = "ann=arn:aws:iam::1:user/ann,ben=arn:aws:iam::1:user/ben".parse().unwrap();
    let agreeing = || Agreeing { two_people: TwoPeople::Always, people: People::clone(&people) };
    let ann = Identity::Aws { arn: "arn:aws:iam::1:user/ann".to_owned() };
    let ben = Identity::Aws { arn: "arn:aws:iam::1:user/ben".to_owned() };
    let mut input = input(None);
    input.proposal.plan.started_by = vec![ann];
    let hash = input.proposal.hash();
    let proof = |signed: &str| {
        let fields = [("arn", "arn:aws:iam::1:user/ben"), ("act", signed)];
        CallerProof(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    };
    input.decision = approval(Some(&hash));
    input.decision.proof = Some(proof(&approve_act(&recovery().id, &hash)));
    let busy = rds_with_restored();
    busy.edit("orders", |cluster| cluster.status = "modifying".to_owned());
    let waits = confirm_by(busy, Zone(None), SOON, (Vec::new(), agreeing()), input.clone()).await.unwrap();
    assert_eq!((waits.verdict, waits.approvers.as_slice()), (Verdict::NotYet, [ben.clone()].as_slice()));
    // By now STS refuses the proof.
    input.decision.proof = Some(proof("too old"));
    (input.approvers, input.approval) = (waits.approvers, waits.approval);
    let later =
        confirm_by(rds_with_restored(), Zone(None), SOON, (Vec::new(), agreeing()), input.clone()).await.unwrap();
    assert_eq!((later.verdict, later.approvers.as_slice()), (Verdict::Valid, [ben].as_slice()));
    // Nobody is kept who was not verified.
    input.approvers.clear();
    let other = confirm_by(rds_with_restored(), Zone(None), SOON, (Vec::new(), agreeing()), input).await.unwrap();
    assert_eq!(other.verdict, Verdict::SamePerson);
}

/// Deletes a resource and makes another one of that name, as its id alone shows.
fn replace(id: &mut String) {
    id.push_str("-ANEW");
}

#[tokio::test]
async fn an_approval_is_not_valid_for_whatever_bears_the_same_name_by_then() {
    type Edit = fn(&FakeRds);
    let cases: [(Edit, &str); 4] = [
        (
            |rds| rds.edit("orders", |cluster| replace(&mut cluster.resource_id)),
            "the cluster (orders) was deleted and made anew after the plan was made",
        ),
        (
            |rds| {
                rds.edit_instances("orders", |instance| {
                    if instance.name == "orders-2" {
                        replace(&mut instance.resource_id);
                    }
                });
            },
            "the instance orders-2 (orders) was deleted and made anew after the plan was made",
        ),
        // With all its tags, as somebody leaves it who restores it once more by hand.
        (
            |rds| rds.edit("orders-r", |cluster| replace(&mut cluster.resource_id)),
            "the cluster (orders-r) was deleted and made anew after it was verified",
        ),
        (
            |rds| rds.edit_instances("orders-r", |instance| replace(&mut instance.resource_id)),
            "the instance orders-r-1 (orders-r) was deleted and made anew after it was verified",
        ),
    ];
    let rds = || {
        let (clusters, mut instances) = rds_with_restored().everything();
        let (name, resource_id) = ("orders-r-1".to_owned(), "db-orders-r-1".to_owned());
        instances.push(("orders-r".to_owned(), Instance { name, resource_id, ..Instance::default() }));
        FakeRds::with(clusters, instances)
    };
    assert_eq!(confirm(rds(), Zone(None), SOON, input(Some("shown"))).await.unwrap().verdict, Verdict::Valid);
    for (edit, message) in cases {
        let rds = rds();
        edit(&rds);
        let error = confirm(rds, Zone(None), SOON, input(Some("shown"))).await.unwrap_err();
        assert_eq!(error.name, ErrorName::NotApproved);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    // In place too, where the source is all that there is.
    let rds = mysql_rds();
    rds.edit("orders", |cluster| replace(&mut cluster.resource_id));
    let error = confirm(rds, Zone(None), SOON, in_place(in_place_plan())).await.unwrap_err();
    assert!(error.to_string().contains("the cluster (orders) was deleted and made anew"), "{error}");
}

#[tokio::test]
async fn a_proposal_of_a_version_without_ids_can_still_be_approved() {
    let mut proposal = input(None).proposal;
    proposal.plan.resource_ids = ResourceIds::default();
    proposal.report = proposal.report.map(|report| Report { resource_ids: ResourceIds::default(), ..report });
    let input = Input { decision: approval(Some(&proposal.hash())), proposal, ..input(None) };
    assert_eq!(confirm(rds_with_restored(), Zone(None), SOON, input).await.unwrap().verdict, Verdict::Valid);
}

#[tokio::test]
async fn in_place_the_safety_clone_may_not_be_there_yet_unless_this_recovery_made_it() {
    let answer = confirm(mysql_rds(), Zone(None), SOON, in_place(in_place_plan())).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Valid);

    let taken = rds_with_restored();
    // The cluster itself is in order, so that only the name of the safety clone can be what is refused.
    taken.edit("orders", |cluster| {
        cluster.engine_version = in_place_plan().engine_version;
        cluster.earliest_backtrack = Some(in_place_plan().target);
    });
    let plan = Plan { new_cluster: "orders-r".to_owned(), ..in_place_plan() };
    taken.edit("orders-r", |cluster| cluster.tags.clear());
    let error = confirm(taken, Zone(None), SOON, in_place(plan)).await.unwrap_err();
    assert!(error.to_string().contains("there is a cluster orders-r by now"), "{error}");
}

#[tokio::test]
async fn in_place_an_approval_is_refused_once_backtrack_no_longer_reaches_the_moment() {
    for (earliest, message) in [
        (Some("2026-11-23T10:31:00Z"), "reaches back to 2026-11-23T10:31:00Z only, and not to 2026-11-23T10:30:00Z"),
        (None, "reaches back to no moment any more"),
    ] {
        let rds = mysql_rds();
        rds.edit("orders", |cluster| cluster.earliest_backtrack = earliest.map(time));
        let error = confirm(rds, Zone(None), SOON, in_place(in_place_plan())).await.unwrap_err();
        assert_eq!(error.name, ErrorName::NotApproved);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
}

#[tokio::test]
async fn a_decision_by_hand_whose_fields_are_no_text_is_no_approval_and_breaks_nothing() {
    // People send decisions by the AWS CLI too, and an error here would end the wait for everybody.
    for decision in [json!({"hash": 123_456}), json!({"hash": null, "by": {"name": "ada"}}), json!({})] {
        let decision = serde_json::from_value(decision).unwrap();
        let answer = confirm(rds_with_restored(), Zone(None), SOON, Input { decision, ..input(None) }).await.unwrap();
        assert_eq!(answer.verdict, Verdict::WrongHash);
        assert!(answer.why.contains("somebody who left no name approved without saying what"), "{}", answer.why);
    }
}

#[test]
fn the_limit_is_seconds_or_the_default() {
    assert_eq!(age_limit(Some("60")).unwrap(), SignedDuration::from_secs(60));
    assert_eq!(age_limit(None).unwrap(), AGE_MAX);
    assert_eq!(age_limit(Some("soon")).unwrap_err().name, ErrorName::Bug);
}

// ---------------------------------------------------------------------------------------------------------- two people

const ANN: &str = "arn:aws:iam::1:user/ann";
const BEN: &str = "arn:aws:iam::1:user/ben";

fn slack(team: &str, user: &str) -> Identity {
    Identity::Slack { team: team.to_owned(), user: user.to_owned() }
}

fn aws(arn: &str) -> Identity {
    Identity::Aws { arn: arn.to_owned() }
}

/// An approval of the proposal that was shown, for a recovery that `started_by` started.
fn of(started_by: Vec<Identity>) -> Input {
    let mut input = input(None);
    input.proposal.plan.started_by = started_by;
    input.decision.hash = Some(input.proposal.hash());
    input
}

/// The approval in chat of a user, as chatops records and sends it.
fn in_chat(mut input: Input, team: &str, user: &str) -> (Vec<ChatAct>, Input) {
    input.decision.identity = Some(slack(team, user));
    let of = input.proposal.hash();
    (vec![ChatAct { team: team.to_owned(), user: user.to_owned(), of }], input)
}

/// The approval of whoever has these credentials, as the command sends it.
fn at_a_terminal(mut input: Input, arn: &str) -> (Vec<ChatAct>, Input) {
    let act = approve_act(&input.recovery.id, &input.proposal.hash());
    let proof = [("arn", arn.to_owned()), ("act", act)].map(|(name, value)| (name.to_owned(), value));
    input.decision.proof = Some(CallerProof(proof.into()));
    (Vec::new(), input)
}

async fn verdict(rule: TwoPeople, (acts, input): (Vec<ChatAct>, Input)) -> Output {
    let people = format!("ann=U1|T2/U9|{ANN},ben=U2|{BEN},cleo=U3").parse().unwrap();
    let by = (acts, Agreeing { two_people: rule, people });
    confirm_by(rds_with_restored(), Zone(None), SOON, by, input).await.unwrap()
}

#[tokio::test]
async fn whoever_started_a_recovery_approves_it_by_no_way() {
    for started in [slack("T1", "U1"), slack("T2", "U9"), aws(ANN)] {
        let started = || of(vec![started.clone()]);
        let by_hand = || (Vec::new(), started());
        for rule in [TwoPeople::Always, TwoPeople::Known] {
            for (name, attempt) in [
                ("chat", in_chat(started(), "T1", "U1")),
                ("another workspace", in_chat(started(), "T2", "U9")),
                ("a terminal", at_a_terminal(started(), ANN)),
                (
                    "a terminal with a role that is nobody's",
                    at_a_terminal(started(), "arn:aws:sts::1:assumed-role/Admin/x"),
                ),
                ("SendTaskSuccess by hand", by_hand()),
            ] {
                let output = verdict(rule, attempt).await;
                assert_eq!(output.verdict, Verdict::SamePerson, "{name} {rule:?}");
                assert!(output.why.contains("TwoPeople"), "{}", output.why);
            }
            for (name, attempt) in
                [("chat", in_chat(started(), "T1", "U2")), ("a terminal", at_a_terminal(started(), BEN))]
            {
                assert_eq!(verdict(rule, attempt).await.verdict, Verdict::Valid, "{name} {rule:?}");
            }
        }
        assert_eq!(verdict(TwoPeople::Off, by_hand()).await.verdict, Verdict::Valid);
    }
}

#[tokio::test]
async fn a_claim_to_be_somebody_else_is_nobodys() {
    let started = || of(vec![aws(ANN)]);
    let claims = |identity: Identity, acts: Vec<ChatAct>| {
        let mut input = started();
        input.decision.identity = Some(identity);
        (acts, input)
    };
    let of_ben = |of: &str| vec![ChatAct { team: "T1".into(), user: "U2".into(), of: of.to_owned() }];
    let mut stolen = at_a_terminal(started(), BEN);
    // What Ben signed to start another recovery, or to approve an earlier proposal.
    stolen.1.decision.proof.as_mut().unwrap().0.insert("act".into(), approve_act(&recovery().id, "0123456789ab"));
    for (name, attempt) in [
        ("a name of chat", claims(slack("T1", "U2"), Vec::new())),
        ("Ben's approval of another proposal", claims(slack("T1", "U2"), of_ben("0123456789ab"))),
        ("Ben of another workspace", claims(slack("T3", "U2"), of_ben(&started().proposal.hash()))),
        ("an ARN", claims(aws(BEN), Vec::new())),
        ("a proof for something else", stolen),
    ] {
        assert_eq!(verdict(TwoPeople::Always, attempt).await.verdict, Verdict::SamePerson, "{name}");
    }
}

#[tokio::test]
async fn what_nobody_knows_who_started_takes_two_approvals_of_two_people() {
    // A console, an event, an alarm; a plan of an earlier version.
    for started_by in [vec![Identity::Unknown], vec![]] {
        let started = || of(started_by.clone());
        let first = verdict(TwoPeople::Always, in_chat(started(), "T1", "U1")).await;
        assert_eq!((first.verdict, &first.approvers), (Verdict::OneMore, &vec![slack("T1", "U1")]));
        let again = || Input { approvers: first.approvers.clone(), approval: first.approval.clone(), ..started() };
        for (name, attempt, expected) in [
            ("the same once more", in_chat(again(), "T1", "U1"), Verdict::OneMore),
            ("the same at a terminal", at_a_terminal(again(), ANN), Verdict::OneMore),
            ("nobody", (Vec::new(), again()), Verdict::OneMore),
            ("another", at_a_terminal(again(), BEN), Verdict::Valid),
        ] {
            assert_eq!(verdict(TwoPeople::Always, attempt).await.verdict, expected, "{name}");
        }
        // An approval by hand alone is nobody's, and the first of somebody is still the first.
        let by_hand = verdict(TwoPeople::Always, (Vec::new(), started())).await;
        assert_eq!((by_hand.verdict, &by_hand.approvers), (Verdict::SamePerson, &vec![Identity::Unknown]));
        let next = Input { approvers: by_hand.approvers, approval: by_hand.approval, ..started() };
        assert_eq!(verdict(TwoPeople::Always, at_a_terminal(next, BEN)).await.verdict, Verdict::OneMore);
        assert_eq!(verdict(TwoPeople::Known, (Vec::new(), started())).await.verdict, Verdict::Valid);
    }
}

#[test]
fn a_decision_that_somebody_wrote_by_hand_is_read_whatever_it_claims() {
    for claim in [json!("ann"), json!({ "kind": 1 }), json!([1]), json!(null)] {
        let decision: RecordedDecision =
            serde_json::from_value(json!({ "decision": "approved", "identity": claim, "proof": claim })).unwrap();
        assert_eq!((decision.identity, decision.proof), (None, None), "{claim}");
    }
}
