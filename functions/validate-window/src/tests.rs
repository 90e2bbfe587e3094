//! What is refused, what is planned, and that nothing is ever changed.

use super::*;
use rewind_aws::Answer;
use rewind_aws::fixtures::{ManualClock, STARTED, instances, rds, rds_with_restored, recovery, source, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use serde_json::json;

struct Zone(Vec<RecordSet>);

impl Zones for Zone {
    async fn record_sets(&self, _: &str, name: &str) -> Answer<Vec<RecordSet>> {
        Ok(self.0.iter().filter(|set| set.name == name).cloned().collect())
    }
}

struct Vault(bool);

impl FindSecrets for Vault {
    async fn exists(&self, _: &str) -> Answer<bool> {
        Ok(self.0)
    }
}

fn cname(value: &str) -> RecordSet {
    RecordSet {
        name: "db.example.com".to_owned(),
        kind: "CNAME".to_owned(),
        ttl: Some(5),
        values: vec![value.to_owned()],
        routed: false,
    }
}

fn zone() -> Zone {
    Zone(vec![cname("Orders.cluster-x.us-east-1.rds.amazonaws.com.")])
}

async fn validate(rds: &FakeRds, zone: Zone, request: Value) -> Result<Plan, StepError> {
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let step = ValidateWindow {
        clusters: rds.clone(),
        zones: zone,
        secrets: Vault(true),
        clock,
        fence_groups: vec!["sg-fence".to_owned()],
    };
    let plan = step.run(Input { recovery: recovery(), request }).await;
    assert!(rds.changes().is_empty());
    plan
}

fn request(extra: Value) -> Value {
    let mut request = json!({
        "cluster": "orders", "to": "5m ago", "newCluster": "orders-r",
        "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com" }],
    });
    for (field, value) in extra.as_object().unwrap() {
        request[field] = value.clone();
    }
    request
}

#[tokio::test]
async fn the_plan_names_everything_that_will_be_made_and_moved() {
    let plan = validate(&rds(), zone(), request(json!({}))).await.unwrap();
    assert_eq!(plan.target, time("2026-11-23T10:30:00Z"));
    let names: Vec<(&str, bool)> = plan.instances.iter().map(|i| (i.name.as_str(), i.writer)).collect();
    assert_eq!(names, [("orders-r-1", true), ("orders-r-2", false)]);
    // Route 53's own spelling is what the compare-and-swap must match.
    assert_eq!(plan.dns[0].from, "Orders.cluster-x.us-east-1.rds.amazonaws.com.");
    assert!(plan.will_do.iter().any(|step| step.contains("fence orders")), "{:?}", plan.will_do);
    assert!(plan.warnings.iter().any(|warning| warning.contains("no check was given")), "{:?}", plan.warnings);
}

#[tokio::test]
async fn a_relative_time_counts_from_the_start_of_the_recovery() {
    let plan = validate(&rds(), zone(), request(json!({ "to": "90s ago" }))).await.unwrap();
    assert_eq!(plan.target, time(STARTED) - jiff::SignedDuration::from_secs(90));
}

#[tokio::test]
async fn latest_is_taken_with_the_warning_that_it_contains_the_mistake() {
    let plan = validate(&rds(), zone(), request(json!({ "to": "latest" }))).await.unwrap();
    assert!(plan.use_latest);
    assert!(plan.warnings[0].contains("contains the mistake"), "{:?}", plan.warnings);
}

#[tokio::test]
async fn without_records_nobody_is_asked_and_nothing_is_fenced() {
    let plan = validate(&rds(), zone(), request(json!({ "dns": [] }))).await.unwrap();
    assert_eq!(plan.approval, Approval::None);
    assert!(!plan.will_do.iter().any(|step| step.contains("fence")), "{:?}", plan.will_do);
}

#[tokio::test]
async fn records_that_cannot_be_moved_safely_are_refused() {
    let alias = RecordSet { ttl: None, values: Vec::new(), kind: "A".to_owned(), ..cname("x") };
    let weighted = RecordSet { routed: true, ..cname("x") };
    for (sets, said) in [
        (vec![], "there is no record db.example.com"),
        (vec![cname("billing.cluster-x.us-east-1.rds.amazonaws.com")], "points at billing.cluster-x"),
        (vec![alias], "it is an alias"),
        (vec![weighted], "routing policy"),
        (vec![RecordSet { kind: "A".to_owned(), ..cname("10.0.0.1") }], "it is of type A"),
    ] {
        let error = validate(&rds(), Zone(sets), request(json!({}))).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(said), "{error}\nlacks {said}");
    }
}

#[tokio::test]
async fn what_cannot_be_rewound_is_refused_with_what_would_be_right() {
    for (extra, said) in [
        (json!({ "cluster": "nothing" }), "there is no such cluster"),
        (json!({ "strategy": "backtrack" }), "Aurora MySQL only"),
        (json!({ "to": "30d ago" }), "before the earliest restorable time"),
        (json!({ "to": "2027-01-01T00:00:00Z" }), "in the future"),
    ] {
        let error = validate(&rds(), zone(), request(extra)).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}\nlacks {said}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    let taken = validate(&rds_with_restored(), zone(), request(json!({}))).await.unwrap_err();
    assert!(taken.to_string().contains("there is a cluster orders-r already"), "{taken}");
}

#[tokio::test]
async fn a_state_that_passes_is_waited_for_and_one_that_does_not_is_refused() {
    for (status, name) in [("modifying", ErrorName::ClusterNotReady), ("stopped", ErrorName::InvalidRequest)] {
        let rds = rds();
        rds.edit("orders", |cluster| cluster.status = status.to_owned());
        assert_eq!(validate(&rds, zone(), request(json!({}))).await.unwrap_err().name, name, "{status}");
    }
}

#[tokio::test]
async fn a_missing_secret_is_found_before_anything_is_made() {
    let rds = rds();
    rds.edit("orders", |cluster| cluster.master_secret = None);
    let error = validate(&rds, zone(), request(json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("`secretArn` is missing"), "{error}");
}

#[test]
fn names_that_would_collide_are_numbered() {
    let instance = |name: &str| Instance { name: name.to_owned(), ..Instance::default() };
    let mut cluster = source();
    cluster.members[0].instance = "orders-2".to_owned();
    cluster.members[0].writer = true;
    let planned = plan_instances(&cluster, vec![instance("orders-2"), instance("a")], "orders-r").unwrap();
    let names: Vec<&str> = planned.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["orders-r-1", "orders-r-2"]);
    assert_eq!(instances().len(), 2);
}
