//! A yes counts for what was shown, while the world is as it was shown.

use super::*;
use rewind_aws::Answer;
use rewind_aws::fixtures::{ManualClock, in_place_plan, mysql_rds, plan, rds_with_restored, recovery, restored, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use serde_json::json;

const ASKED: &str = "2026-11-23T10:40:00Z";

/// Every record as the plan has it, but for one that somebody changed.
struct Zone(Option<&'static str>);

impl Zones for Zone {
    async fn record_sets(&self, _: &str, name: &str) -> Answer<Vec<RecordSet>> {
        let planned = plan().dns.into_iter().find(|record| record.name == name).unwrap();
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

fn input(hash: Option<&str>) -> Input {
    let shown = shown_hash(&plan(), Some(&restored()), None, &[]);
    Input {
        recovery: recovery(),
        plan: plan(),
        restored: Some(restored()),
        report: None,
        differences: Vec::new(),
        requested_at: time(ASKED),
        decision: Decision {
            by: "ada".into(),
            hash: hash.map(|hash| if hash == "shown" { shown.as_str() } else { hash }).into(),
        },
    }
}

async fn confirm(rds: FakeRds, zone: Zone, now: &str, input: Input) -> Result<Output, StepError> {
    let step = ConfirmApproval { clusters: rds.clone(), zones: zone, clock: ManualClock::at(now), oldest: OLDEST };
    let answer = step.run(input).await;
    assert!(rds.changes().is_empty());
    answer
}

const SOON: &str = "2026-11-23T10:41:00Z";

#[tokio::test]
async fn a_yes_to_what_was_shown_counts() {
    let answer = confirm(rds_with_restored(), Zone(None), SOON, input(Some("shown"))).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Valid);
}

#[tokio::test]
async fn a_yes_to_something_else_or_to_nothing_leaves_people_asked() {
    for (hash, said) in [(Some("0123456789ab"), "ada approved 0123456789ab"), (None, "without saying what")] {
        let answer = confirm(rds_with_restored(), Zone(None), SOON, input(hash)).await.unwrap();
        assert_eq!(answer.verdict, Verdict::WrongHash);
        assert!(answer.why.contains(said), "{}", answer.why);
    }
}

#[tokio::test]
async fn a_world_that_has_moved_is_not_what_was_approved() {
    type Edit = fn(&FakeRds);
    let cases: [(Edit, Zone, &str, ErrorName, &str); 6] = [
        (
            |_| {},
            Zone(Some("elsewhere.example.com")),
            SOON,
            ErrorName::RecordChanged,
            "is CNAME elsewhere.example.com now",
        ),
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
            "orders is another since the plan was made",
        ),
        (
            |rds| rds.edit("orders-r", |cluster| cluster.tags.clear()),
            Zone(None),
            SOON,
            ErrorName::NotApproved,
            "another than the one that was verified",
        ),
        (
            |rds| rds.edit("orders-r", |cluster| cluster.status = "deleting".to_owned()),
            Zone(None),
            SOON,
            ErrorName::NotApproved,
            "orders-r is deleting by now",
        ),
    ];
    for (edit, zone, now, name, said) in cases {
        let rds = rds_with_restored();
        edit(&rds);
        let error = confirm(rds, zone, now, input(Some("shown"))).await.unwrap_err();
        assert_eq!(error.name, name, "{error}");
        for said in [said, "the yes of ada came too late", "nothing was fenced"] {
            assert!(error.to_string().contains(said), "{error}\nlacks {said}");
        }
    }
}

#[tokio::test]
async fn in_place_the_safety_clone_may_not_be_there_yet_unless_this_recovery_made_it() {
    let plan = in_place_plan();
    let hash = shown_hash(&plan, None, None, &[]);
    let decision = Decision { hash: hash.into(), ..Decision::default() };
    let asked = Input { plan, restored: None, decision, ..input(None) };
    let answer = confirm(mysql_rds(), Zone(None), SOON, asked.clone()).await.unwrap();
    assert_eq!(answer.verdict, Verdict::Valid);

    let taken = rds_with_restored();
    taken.edit("orders", |cluster| {
        cluster.engine_version = in_place_plan().engine_version;
        cluster.earliest_backtrack = Some(in_place_plan().target);
    });
    let plan = Plan { new_cluster: "orders-r".to_owned(), ..in_place_plan() };
    let decision = Decision { hash: shown_hash(&plan, None, None, &[]).into(), ..Decision::default() };
    taken.edit("orders-r", |cluster| cluster.tags.clear());
    let error = confirm(taken, Zone(None), SOON, Input { plan, decision, ..asked }).await.unwrap_err();
    assert!(error.to_string().contains("there is a cluster orders-r by now"), "{error}");
}

#[tokio::test]
async fn in_place_a_yes_does_not_count_once_backtrack_no_longer_reaches_the_moment() {
    let plan = in_place_plan();
    let decision = Decision { hash: shown_hash(&plan, None, None, &[]).into(), ..Decision::default() };
    let asked = Input { plan, restored: None, decision, ..input(None) };
    for (earliest, said) in [
        (Some("2026-11-23T10:31:00Z"), "reaches back to 2026-11-23T10:31:00Z only, and not to 2026-11-23T10:30:00Z"),
        (None, "reaches back to no moment any more"),
    ] {
        let rds = mysql_rds();
        rds.edit("orders", |cluster| cluster.earliest_backtrack = earliest.map(time));
        let error = confirm(rds, Zone(None), SOON, asked.clone()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::NotApproved);
        assert!(error.to_string().contains(said), "{error}\nlacks {said}");
    }
}

#[tokio::test]
async fn an_answer_by_hand_that_is_no_text_is_no_yes_and_breaks_nothing() {
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
    assert_eq!(age_limit(None).unwrap(), OLDEST);
    assert_eq!(age_limit(Some("soon")).unwrap_err().name, ErrorName::Bug);
}
