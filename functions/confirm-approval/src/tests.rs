//! An approval is valid only for the proposal that was shown, and only while nothing has changed since.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, in_place_plan, mysql_rds, plan, rds_with_restored, recovery, restored, time};
use rewind_aws::rds::Instance;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use rewind_core::{Login, Tls};
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

fn approval(hash: Option<&str>) -> RecordedDecision {
    RecordedDecision { by: Some("ada".into()), hash: hash.map(str::to_owned), ..RecordedDecision::default() }
}

fn in_place(plan: Plan) -> Input {
    let proposal = Proposal { plan, restored: None, report: None, differences: Vec::new() };
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
    let proposal = Proposal { plan: plan(), restored: Some(restored()), report, differences: Vec::new() };
    let shown = proposal.hash();
    Input {
        recovery: recovery(),
        proposal,
        requested_at: time(ASKED),
        decision: approval(hash.map(|hash| if hash == "shown" { shown.as_str() } else { hash })),
    }
}

async fn confirm(rds: FakeRds, zone: Zone, now: &str, input: Input) -> Result<Output, StepError> {
    let step = ConfirmApproval { clusters: rds.clone(), zones: zone, clock: ManualClock::at(now), age_max: AGE_MAX };
    let answer = step.run(input).await;
    assert!(rds.changes().is_empty());
    answer
}

const SOON: &str = "2026-11-23T10:41:00Z";

#[tokio::test]
async fn an_approval_of_the_proposal_that_was_shown_is_valid() {
    let answer = confirm(rds_with_restored(), Zone(None), SOON, input(Some("shown"))).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Valid);
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
            let error = confirm(rds, Zone(None), SOON, input(Some("shown"))).await.unwrap_err();
            assert_eq!(error.name, ErrorName::ClusterNotReady, "{error}");
            assert!(error.to_string().starts_with(&format!("{name} is {status}; nothing was fenced")), "{error}");
        }
    }
    for status in ["stopping", "failed", "cloning-failed", "inaccessible-encryption-credentials-recoverable"] {
        let rds = rds_with_restored();
        rds.edit("orders", |cluster| cluster.status = status.to_owned());
        let error = confirm(rds, Zone(None), SOON, input(Some("shown"))).await.unwrap_err();
        assert_eq!(error.name, ErrorName::NotApproved, "{error}");
    }
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
