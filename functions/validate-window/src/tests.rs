//! Requests are refused or planned, and nothing is ever changed.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{
    ManualClock, STARTED, TARGET, instances, mysql_rds, rds, rds_with_restored, recovery, source, time,
};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use serde_json::json;

struct Zone(Vec<RecordSet>);

impl Zones for Zone {
    async fn record_sets(&self, _: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        Ok(self.0.iter().filter(|set| set.name == name).cloned().collect())
    }
}

struct Vault(bool);

impl FindSecrets for Vault {
    async fn exists(&self, _: &str) -> AwsResult<bool> {
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
    validate_with(rds, zone, request, &["sg-fence"]).await
}

async fn validate_with(rds: &FakeRds, zone: Zone, request: Value, fence: &[&str]) -> Result<Plan, StepError> {
    let fence_groups: Vec<String> = fence.iter().map(|group| (*group).to_owned()).collect();
    // Ten seconds after the start, as of a retry: relative times must not move with it.
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let step = ValidateWindow { clusters: rds.clone(), zones: zone, secrets: Vault(true), clock, fence_groups };
    let plan = step.run(Input { recovery: recovery(), request }).await;
    // Held for every request of these tests, whether it is planned or refused.
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
    // Each has a value that fits, so that only the form of the record is refused.
    let weighted = RecordSet { routed: true, ..cname("x") };
    for (sets, message) in [
        (vec![], "there is no record db.example.com"),
        (vec![cname("billing.cluster-x.us-east-1.rds.amazonaws.com")], "points at billing.cluster-x"),
        (vec![alias], "it is an alias"),
        (vec![weighted], "routing policy"),
        (vec![RecordSet { kind: "A".to_owned(), ..cname("10.0.0.1") }], "it is of type A"),
    ] {
        let error = validate(&rds(), Zone(sets), request(json!({}))).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
}

#[tokio::test]
async fn what_cannot_be_rewound_is_refused_with_what_would_be_right() {
    for (extra, message) in [
        (json!({ "cluster": "nothing" }), "there is no such cluster"),
        (json!({ "strategy": "backtrack" }), "Aurora MySQL only"),
        (json!({ "to": "30d ago" }), "before the earliest restorable time"),
        (json!({ "to": "2027-01-01T00:00:00Z" }), "in the future"),
    ] {
        let error = validate(&rds(), zone(), request(extra)).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    let taken = validate(&rds_with_restored(), zone(), request(json!({}))).await.unwrap_err();
    assert!(taken.to_string().contains("there is a cluster orders-r already"), "{taken}");
    let rds = rds();
    // Neptune and DocumentDB share the names of RDS, and their clusters cannot be read as Aurora's.
    rds.make_foreign("orders-r", "neptune");
    let taken = validate(&rds, zone(), request(json!({}))).await.unwrap_err();
    assert!(taken.to_string().contains("there is a cluster orders-r already"), "{taken}");
    rds.make_foreign("orders", "mysql");
    let foreign = validate(&rds, zone(), request(json!({}))).await.unwrap_err();
    assert_eq!(foreign.name, ErrorName::InvalidRequest);
    assert!(foreign.to_string().contains("the cluster orders is mysql; nothing was changed"), "{foreign}");
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
    // The kept ordinal of `orders-2` meets the one that `a` gets by its place.
    cluster.members[0].instance = "orders-2".to_owned();
    cluster.members[0].writer = true;
    let planned = plan_instances(&cluster, vec![instance("orders-2"), instance("a")], "orders-r").unwrap();
    let names: Vec<&str> = planned.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["orders-r-1", "orders-r-2"]);
    assert_eq!(instances().len(), 2);
}

fn in_place(extra: Value) -> Value {
    let mut request = json!({ "cluster": "orders", "to": "5m ago", "inPlace": "allowed" });
    for (field, value) in extra.as_object().unwrap() {
        request[field] = value.clone();
    }
    request
}

#[tokio::test]
async fn an_in_place_plan_names_the_safety_clone_and_what_a_backtrack_needs() {
    let plan = validate(&mysql_rds(), zone(), in_place(json!({}))).await.unwrap();
    assert_eq!((plan.strategy, plan.target, plan.use_latest), (Strategy::Backtrack, time(TARGET), false));
    // Of the recovery's start, so that a retry makes the same.
    assert_eq!(plan.new_cluster, "orders-safety-clone-20261123-103500");
    let [instance] = plan.instances.as_slice() else { panic!("{:?}", plan.instances) };
    assert_eq!(
        (instance.name.as_str(), instance.source.as_str()),
        ("orders-safety-clone-20261123-103500-1", "orders-1")
    );
    assert_eq!((instance.class.as_str(), instance.promotion_tier, instance.writer), ("db.r6g.xlarge", 0, true));
    assert_eq!((plan.window.earliest, plan.window.latest), (time("2026-11-22T10:36:00Z"), time(STARTED)));
    let expected = InPlacePlan { window_seconds: 86_400, force: false, security_groups: vec!["sg-app".to_owned()] };
    assert_eq!(plan.backtrack, Some(expected));
    assert_eq!(plan.approval, Approval::Required);
    assert!(
        plan.reasons[0].starts_with("backtrack: enabled, reaches back to 2026-11-22T10:36:00Z (23h59m)"),
        "{:?}",
        plan.reasons
    );
}

#[tokio::test]
async fn an_in_place_plan_lists_all_that_happens_in_order_and_the_undo() {
    let plan = validate(&mysql_rds(), zone(), in_place(json!({ "newCluster": "orders-e" }))).await.unwrap();
    assert_eq!(
        plan.will_do,
        [
            "ask a person, for up to 1h",
            "fence orders: only sg-fence admitted, every connection is cut, and it takes none until the last of these steps",
            "keep its present state, with every write up to the fence, as the clone orders-e: the safety clone",
            "add the safety clone's instance: orders-e-1 (db.r6g.xlarge)",
            "backtrack orders itself to 2026-11-23T10:30:00Z: all its databases, on the same endpoints",
            "run 0 check(s) on orders, read-only, and compare with orders-e",
            "lift the fence: orders takes connections again, as it was then",
            "keep orders-e for 7d, with what was written since; then delete it, if nobody uses it, into a final snapshot",
            "should a step or a check fail: backtrack orders forward to where it was, verify that against orders-e, and lift \
             the fence",
        ]
    );
    for message in [
        "it takes none from the fence to the end: as long as the clone, its instance and the backtrack take, which is \
         minutes on AWS",
        "writes to orders after 2026-11-23T10:30:00Z are no longer on it: they stay on orders-e",
        "users and passwords in orders go back too",
        "no check was given",
    ] {
        assert!(plan.warnings.iter().any(|warning| warning.contains(message)), "{:?}\nlacks {message}", plan.warnings);
    }
}

#[tokio::test]
async fn in_place_the_plan_warns_of_what_one_may_not_expect() {
    let rds = mysql_rds();
    rds.set_parameter("binlog_format", "ROW");
    rds.edit("orders", |cluster| cluster.earliest_backtrack = Some(time("2026-11-23T10:10:00Z")));
    let asked = in_place(json!({ "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com" }] }));
    // The zone holds no such record: in place nobody looks.
    let plan = validate(&rds, Zone(Vec::new()), asked).await.unwrap();
    assert!(plan.dns.is_empty() && plan.backtrack.as_ref().unwrap().force);
    for message in [
        "`dns` is left alone: in place the endpoints stay the same, so db.example.com need not move",
        "binary logging is on (ROW): what reads it downstream",
        "Backtrack reaches only 20m further back than that, and its reach moves on: decide within that time",
    ] {
        assert!(plan.warnings.iter().any(|warning| warning.contains(message)), "{:?}\nlacks {message}", plan.warnings);
    }
    assert!(plan.reasons.iter().any(|reason| reason.contains("forced")), "{:?}", plan.reasons);
    let unasked = validate(&mysql_rds(), zone(), in_place(json!({ "approval": "none" }))).await.unwrap();
    assert!(unasked.warnings.iter().any(|warning| warning == "nobody is asked before orders is rewound"));
}

#[tokio::test]
async fn binary_logging_that_is_off_forces_nothing() {
    // The parameter group returns a value as it was written, and MySQL ignores case.
    for format in ["OFF", "off"] {
        let rds = mysql_rds();
        rds.set_parameter("binlog_format", format);
        let plan = validate(&rds, zone(), in_place(json!({}))).await.unwrap();
        assert!(!plan.backtrack.unwrap().force, "{format}");
    }
}

#[tokio::test]
async fn binary_logging_that_is_off_only_after_a_reboot_is_forced_past() {
    let rds = mysql_rds();
    rds.set_parameter("binlog_format", "OFF");
    // The group says OFF, but the running instance may have been started with another value.
    rds.edit("orders", |cluster| cluster.parameters_pending = true);
    let plan = validate(&rds, zone(), in_place(json!({}))).await.unwrap();
    assert!(plan.backtrack.unwrap().force);
    let message = "binary logging is perhaps on: a change of orders-cluster-pg waits for a reboot";
    assert!(plan.warnings.iter().any(|warning| warning.contains(message)), "{:?}", plan.warnings);
}

#[tokio::test]
async fn without_a_fence_that_no_backtrack_touches_mysql_is_restored_side_by_side() {
    let plan = validate_with(&mysql_rds(), zone(), in_place(json!({})), &[]).await.unwrap();
    assert_eq!((plan.strategy, plan.backtrack.clone()), (Strategy::Restore, None));
    assert_eq!((plan.engine.name(), plan.new_cluster.as_str()), ("aurora-mysql", "orders-rewind-20261123-103000"));
    assert_eq!(plan.instances.len(), 2);
    assert!(plan.reasons.iter().any(|reason| reason.contains("FenceSecurityGroupIds")), "{:?}", plan.reasons);

    let rds = mysql_rds();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-2".to_owned(), "sg-1".to_owned()]);
    let in_force = validate_with(&rds, zone(), in_place(json!({})), &["sg-1", "sg-2"]).await.unwrap();
    assert!(
        in_force.reasons.iter().any(|reason| reason.contains("earlier fence was not lifted")),
        "{:?}",
        in_force.reasons
    );
}

#[tokio::test]
async fn a_backtrack_that_is_not_allowed_or_cannot_be_is_refused_before_anything_is_made() {
    let not_allowed = json!({ "cluster": "orders", "to": "5m ago", "strategy": "backtrack" });
    let error = validate(&mysql_rds(), zone(), not_allowed).await.unwrap_err();
    assert!(error.to_string().contains("write `\"inPlace\": \"allowed\"` beside it"), "{error}");
    // A backtrack to now changes nothing, and cuts every connection.
    let latest = in_place(json!({ "strategy": "backtrack", "to": "latest" }));
    let error = validate(&mysql_rds(), zone(), latest).await.unwrap_err();
    assert_eq!(error.name, ErrorName::OutsideWindow);
    assert!(error.to_string().contains("a backtrack needs a time"), "{error}");
}

#[tokio::test]
async fn a_source_with_nearly_as_many_tags_as_there_may_be_is_warned_of() {
    let plan = async |count: usize, extra| {
        let rds = rds();
        rds.edit("orders", |source| source.tags = (0..count).map(|n| (format!("k{n}"), String::new())).collect());
        validate(&rds, zone(), request(extra)).await.unwrap().warnings
    };
    let warns = |warnings: &[String], what: &str| warnings.iter().any(|warning| warning.contains(what));
    // RDS takes 50 tags. Five are kept free for marks on the restored cluster, and the fenced source needs two.
    let warnings = plan(49, json!({})).await;
    assert!(
        warns(&warnings, "does not get k45, k46, k47, k48") && warns(&warnings, "unless 1 of its tags"),
        "{warnings:?}"
    );
    let warnings = plan(48, json!({})).await;
    assert!(warns(&warnings, "does not get k45, k46, k47") && !warns(&warnings, "no room"), "{warnings:?}");
    let warnings = plan(45, json!({})).await;
    assert!(!warns(&warnings, "tags"), "{warnings:?}");
    // Without a record nothing is fenced, and nothing marked.
    let warnings = plan(50, json!({ "dns": [] })).await;
    assert!(warns(&warnings, "does not get") && !warns(&warnings, "no room"), "{warnings:?}");
}

#[tokio::test]
async fn a_name_that_no_tag_can_hold_is_refused_before_anything_is_made() {
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let rds = rds();
    let step =
        ValidateWindow { clusters: rds.clone(), zones: zone(), secrets: Vault(true), clock, fence_groups: Vec::new() };
    // Step Functions allows parentheses in a name, and RDS refuses them in the value of a tag.
    let recovery = Recovery { id: "fix(1)".to_owned(), ..recovery() };
    let error = step.run(Input { recovery, request: request(json!({})) }).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("fix(1)") && rds.changes().is_empty(), "{error}");
}
