//! Requests are refused or planned, and nothing is ever changed.

use super::*;
use crate::policy::{MayStart, WithoutApproval};
use jiff::SignedDuration;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{
    ManualClock, STARTED, TARGET, instances, mysql_rds, rds, rds_with_restored, recovery, source, time,
};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::RecordSet;
use rewind_aws::zone_facts::{ZoneName, ZoneRecord};
use rewind_core::Endpoint;
use rewind_core::names::{RECOVERY_TAG, SECRET_TAG, secret_tag_value};
use serde_json::json;

/// Whatever the request says: the rules have tests of their own.
pub(crate) fn policy() -> Policy {
    Policy {
        may_start: MayStart::Anybody,
        without_approval: WithoutApproval::Always,
        least_keep_source: SignedDuration::ZERO,
        most_fence_timeout: SignedDuration::MAX,
        most_keep_restored: SignedDuration::MAX,
        check_databases: rewind_core::CheckDatabases::all(),
        check_secret: None,
        other_check_secrets: Vec::new(),
    }
}

pub(crate) struct Zone(pub(crate) Vec<RecordSet>);

impl Zones for Zone {
    async fn record_sets(&self, _: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        Ok(self.0.iter().filter(|set| set.name == name).cloned().collect())
    }
}

impl ReadZones for Zone {
    async fn zone_records(&self, _: &str) -> AwsResult<Option<Vec<ZoneRecord>>> {
        let record = |set: &RecordSet| ZoneRecord {
            name: set.name.clone(),
            kind: set.kind.clone(),
            values: set.values.iter().map(|value| value.trim_end_matches('.').to_ascii_lowercase()).collect(),
            ..ZoneRecord::default()
        };
        Ok(Some(self.0.iter().map(record).collect()))
    }

    async fn zones(&self) -> AwsResult<Option<Vec<ZoneName>>> {
        Ok(Some(Vec::new()))
    }
}

pub(crate) struct Vault(pub(crate) bool);

impl FindSecrets for Vault {
    async fn exists(&self, _: &str) -> AwsResult<bool> {
        Ok(self.0)
    }
}

pub(crate) fn cname(value: &str) -> RecordSet {
    RecordSet {
        name: "db.example.com".to_owned(),
        kind: "CNAME".to_owned(),
        ttl: Some(5),
        values: vec![value.to_owned()],
        routed: false,
    }
}

pub(crate) fn zone() -> Zone {
    Zone(vec![cname("Orders.cluster-x.us-east-1.rds.amazonaws.com.")])
}

/// A deployment that allows everything.
pub(crate) fn everything() -> Allowed {
    let all = vec!["*".to_owned()];
    Allowed {
        clusters: all.clone(),
        new_clusters: all.clone(),
        records: all.clone(),
        roles: all,
        any_master_password: true,
    }
}

async fn validate(rds: &FakeRds, zone: Zone, request: Value) -> Result<Plan, StepError> {
    validate_with(rds, zone, request, &["sg-fence"]).await
}

async fn validate_with(rds: &FakeRds, zone: Zone, request: Value, fence: &[&str]) -> Result<Plan, StepError> {
    let fence_groups: Vec<String> = fence.iter().map(|group| (*group).to_owned()).collect();
    // Ten seconds after the start, as of a retry: relative times must not move with it.
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let step = ValidateWindow {
        clusters: rds.clone(),
        zones: zone,
        secrets: Vault(true),
        clock,
        fence_groups,
        allowed: everything(),
        policy: policy(),
    };
    let plan = step.run(Input { recovery: recovery(), request, resumed: None }).await;
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
async fn what_the_deployment_does_not_allow_is_refused_with_its_parameter() {
    let rds = rds();
    let step = |allowed| {
        let clock = ManualClock::at("2026-11-23T10:35:10Z");
        ValidateWindow {
            clusters: rds.clone(),
            zones: zone(),
            secrets: Vault(true),
            clock,
            fence_groups: Vec::new(),
            allowed,
            policy: policy(),
        }
    };
    let run = async |allowed: Allowed, request: Value| {
        step(allowed).run(Input { recovery: recovery(), request, resumed: None }).await
    };
    let only = |pattern: &str| vec![pattern.to_owned()];
    let derived = Allowed { new_clusters: only("*-rewind-*"), ..everything() };
    let plan = run(derived.clone(), request(json!({ "newCluster": "orders-rewind-1" }))).await.unwrap();
    assert_eq!(plan.new_cluster, "orders-rewind-1");

    let records = Allowed { records: only("*.db.example.com"), ..everything() };
    let monitoring = Allowed { roles: only("arn:aws:iam::*:role/s3"), ..everything() };
    // A wide NewClusterPattern lets no other source in.
    let foreign = Allowed { clusters: only("shop-*"), ..everything() };
    let unreached = Allowed { clusters: only("orders"), ..everything() };
    for (allowed, parameter, named) in [
        (derived, "the parameter NewClusterPattern", "orders-r"),
        (foreign, "the parameter ClusterPattern", "`cluster` is \"orders\""),
        (unreached, "the parameter ClusterPattern", "`newCluster` is \"orders-r\""),
        (records, "RecordNames", "db.example.com"),
        (monitoring, "ClusterRoleArns", "arn:aws:iam::000000000000:role/monitoring"),
        // A deployment that gives none allows none.
        (Allowed::default(), "the parameter ClusterPattern", "`cluster` is \"orders\""),
        (Allowed { new_clusters: Vec::new(), ..everything() }, "the parameter NewClusterPattern", "orders-r"),
    ] {
        let error = run(allowed, request(json!({}))).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(parameter) && error.to_string().contains(named), "{error}");
    }
    assert!(rds.changes().is_empty());
    // Before AWS is asked, whose refusal would name no parameter; and a name in other cases is the same cluster to RDS.
    let named = |cluster: &str| request(json!({ "cluster": cluster }));
    let error = run(Allowed { clusters: only("shop-*"), ..everything() }, named("not-there")).await.unwrap_err();
    assert!(error.to_string().contains("the parameter ClusterPattern"), "{error}");
    let error = run(Allowed { clusters: only("not-*"), ..everything() }, named("NOT-there")).await.unwrap_err();
    assert!(error.to_string().contains("there is no such cluster"), "{error}");

    let roles = Allowed { roles: only("arn:aws:iam::*:role/monitoring"), ..everything() };
    let plan = run(roles, request(json!({}))).await.unwrap();
    let warned = plan.warnings.iter().any(|warning| warning.contains("role/s3") && warning.contains("ClusterRoleArns"));
    assert!(warned, "{:?}", plan.warnings);
}

#[tokio::test]
async fn a_source_whose_password_could_be_reset_is_fenced_only_where_the_deployment_allows_any() {
    let run = async |rds: &FakeRds, allowed: Allowed, fence: &[&str], more: Value| {
        let clock = ManualClock::at("2026-11-23T10:35:10Z");
        let fence_groups = fence.iter().map(|group| (*group).to_owned()).collect();
        let (clusters, zones, secrets) = (rds.clone(), zone(), Vault(true));
        let step = ValidateWindow { clusters, zones, secrets, clock, fence_groups, allowed, policy: policy() };
        step.run(Input { recovery: recovery(), request: request(more), resumed: None }).await
    };
    let with_its_own = |rds: FakeRds, more: &[(&str, &str)]| {
        rds.edit("orders", |source| {
            source.master_secret = None;
            source.tags.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        });
        rds
    };
    let managed = || Allowed { any_master_password: false, ..everything() };
    let own = json!({ "secretArn": SECRET });
    let in_place = json!({ "secretArn": SECRET, "strategy": "backtrack", "inPlace": "allowed", "dns": [] });
    let plain = with_its_own(rds(), &[]);
    for (rds, more) in [(&plain, &own), (&with_its_own(mysql_rds(), &[]), &in_place)] {
        let error = run(rds, managed(), &["sg-fence"], more.clone()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains("MasterPasswords"), "{error}");
        run(rds, everything(), &["sg-fence"], more.clone()).await.unwrap();
        assert!(rds.changes().is_empty());
    }
    // Nothing of RDS is changed where nothing is fenced, or where the fence has no groups.
    run(&plain, managed(), &["sg-fence"], json!({ "secretArn": SECRET, "dns": [] })).await.unwrap();
    run(&plain, managed(), &[], own.clone()).await.unwrap();
    // A managed password cannot be reset, and what a recovery made is told by its name and its tag.
    run(&rds(), managed(), &["sg-fence"], json!({})).await.unwrap();
    let recovered = with_its_own(rds(), &[(RECOVERY_TAG, "earlier")]);
    run(&recovered, managed(), &["sg-fence"], own.clone()).await.unwrap();
    let elsewhere = Allowed { new_clusters: vec!["orders-*".to_owned()], ..managed() };
    let error =
        run(&recovered, elsewhere, &["sg-fence"], json!({ "secretArn": SECRET, "newCluster": "orders-r" })).await;
    assert!(error.unwrap_err().to_string().contains("MasterPasswords"));
}

#[tokio::test]
async fn what_waits_for_the_maintenance_window_is_named_and_no_reason_to_wait() {
    let rds = rds();
    rds.edit("orders", |cluster| cluster.pending = vec!["engine version 15.9".to_owned()]);
    let plan = validate(&rds, zone(), request(json!({}))).await.unwrap();
    let warned = plan.warnings.iter().any(|warning| warning.contains("maintenance window (engine version 15.9)"));
    assert!(warned, "{:?}", plan.warnings);
}

#[tokio::test]
async fn in_place_what_passes_the_security_groups_is_refused_with_the_command_that_closes_it() {
    type Edit = fn(&mut Cluster);
    let edits: [(Edit, &str); 2] = [
        (|cluster| cluster.data_api = true, "disable-http-endpoint --resource-arn arn:aws:rds:us-east-1"),
        (|cluster| cluster.write_forwarding = Some("enabling".to_owned()), "--no-enable-local-write-forwarding"),
    ];
    let asked = json!({ "strategy": "backtrack", "inPlace": "allowed", "dns": [] });
    for (edit, message) in edits {
        let rds = mysql_rds();
        assert!(validate(&rds, zone(), request(asked.clone())).await.is_ok());
        rds.edit("orders", edit);
        let error = validate(&rds, zone(), request(asked.clone())).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
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
async fn a_record_keeps_the_kind_of_endpoint_that_it_leads_to_unless_the_request_names_another() {
    let reader = || Zone(vec![cname("orders.cluster-ro-x.us-east-1.rds.amazonaws.com")]);
    let plan = validate(&rds(), reader(), request(json!({}))).await.unwrap();
    assert_eq!((plan.dns[0].endpoint, plan.findings.len()), (Endpoint::Reader, 0));
    let asked = json!({ "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com", "endpoint": "writer" }] });
    let plan = validate(&rds(), reader(), request(asked)).await.unwrap();
    assert_eq!(plan.dns[0].endpoint, Endpoint::Writer);
    assert_eq!(plan.findings[0].code, "record-endpoint");
    assert!(plan.findings[0].what.contains("leads to a reader now"), "{:?}", plan.findings);
    // An instance's own endpoint has the kind that the instance has now.
    let instance = Zone(vec![cname("orders-2.x.us-east-1.rds.amazonaws.com")]);
    let plan = validate(&rds(), instance, request(json!({}))).await.unwrap();
    assert_eq!(plan.dns[0].endpoint, Endpoint::Reader);
    let rds = rds();
    rds.edit("orders", |cluster| cluster.custom_endpoints = vec!["a.cluster-custom-x".to_owned()]);
    let error = validate(&rds, Zone(vec![cname("a.cluster-custom-x")]), request(json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("a custom endpoint") && error.to_string().contains("\"writer\""), "{error}");
}

#[tokio::test]
async fn a_record_with_a_long_ttl_is_a_finding_of_the_plan() {
    let slow = || Zone(vec![RecordSet { ttl: Some(3_600), ..zone().0.remove(0) }]);
    let plan = validate(&rds(), slow(), request(json!({}))).await.unwrap();
    assert_eq!(plan.findings[0].code, "record-ttl");
    let accepted = json!({ "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com", "acceptTtl": "1h" }] });
    assert!(validate(&rds(), slow(), request(accepted)).await.unwrap().findings.is_empty());
}

#[tokio::test]
async fn all_that_is_wrong_is_refused_at_once() {
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let (clusters, zones, secrets, fence_groups) = (rds_with_restored(), zone(), Vault(false), Vec::new());
    let step =
        ValidateWindow { clusters, zones, secrets, clock, fence_groups, allowed: everything(), policy: policy() };
    let dns =
        json!([{ "hostedZoneId": "Z1", "name": "a.example.com" }, { "hostedZoneId": "Z1", "name": "b.example.com" }]);
    let request = request(json!({ "to": "30d ago", "dns": dns, "checkSecretArn": SECRET }));
    let error = step.run(Input { recovery: recovery(), request, resumed: None }).await.unwrap_err();
    let text = error.to_string();
    for part in [
        "6 things are wrong: 1. ",
        "before the earliest restorable time",
        "2. `newCluster`: there is a cluster orders-r already (choose another",
        "3. `dns`: there is no record a.example.com",
        "4. `dns`: there is no record b.example.com",
        "5. `secretArn`: there is no secret",
        "6. `checkSecretArn`: there is no secret",
        "next step: correct all of them",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    assert_eq!(error.name, ErrorName::OutsideWindow);
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

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-orders-aB3xY9";

/// The live cluster after a recovery: without a managed secret, and tagged with the one that logs in.
fn recovered_once(secret: &str) -> FakeRds {
    let rds = rds();
    rds.edit("orders", |cluster| {
        cluster.master_secret = None;
        cluster.tags = vec![
            (RECOVERY_TAG.to_owned(), "the-first-one".to_owned()),
            (SECRET_TAG.to_owned(), secret_tag_value(secret, Some(time(TARGET))).unwrap()),
        ];
    });
    rds
}

#[tokio::test]
async fn a_cluster_that_was_recovered_once_is_recovered_again_by_the_secret_of_the_first() {
    let plan = validate(&recovered_once(SECRET), zone(), request(json!({}))).await.unwrap();
    // RDS rotates it with the cluster that it belongs to: the login is in the version of the first recovery's target.
    assert_eq!((plan.secret_arn.as_str(), plan.secret_moment), (SECRET, Some(time(TARGET))));
    let note = format!(
        "logs in with {SECRET}, found by the tag aurora-rewind:secret of orders, which the recovery the-first-one"
    );
    assert!(plan.warnings.iter().any(|warning| warning.starts_with(&note)), "{:?}", plan.warnings);
}

#[tokio::test]
async fn a_secret_of_the_request_or_of_the_cluster_counts_before_the_tag() {
    let named = "arn:aws:secretsmanager:us-east-1:000000000000:secret:mine";
    let plan = validate(&recovered_once(SECRET), zone(), request(json!({ "secretArn": named }))).await.unwrap();
    assert_eq!((plan.secret_arn.as_str(), plan.secret_moment), (named, None));
    let plan = validate(&recovered_once(SECRET), zone(), request(json!({ "secretArn": SECRET }))).await.unwrap();
    assert_eq!((plan.secret_arn.as_str(), plan.secret_moment), (SECRET, Some(time(TARGET))));
    let rds = recovered_once(SECRET);
    rds.edit("orders", |cluster| cluster.master_secret = Some("arn:managed".to_owned()));
    let plan = validate(&rds, zone(), request(json!({}))).await.unwrap();
    assert_eq!((plan.secret_arn.as_str(), plan.secret_moment), ("arn:managed", None));
    assert!(!plan.warnings.iter().any(|warning| warning.contains("found by the tag")), "{:?}", plan.warnings);
}

#[tokio::test]
async fn checks_get_the_login_that_the_request_names_or_the_deployment_s_and_otherwise_a_warning() {
    const OF_REQUEST: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:reader";
    let check = json!([{ "name": "n", "database": "shop", "sql": "SELECT 1", "expect": 1 }]);
    let plan = async |of_deployment: Option<&str>, extra: Value| {
        let other_check_secrets = vec![OF_REQUEST.to_owned()];
        let policy = Policy { check_secret: of_deployment.map(ToOwned::to_owned), other_check_secrets, ..policy() };
        let clock = ManualClock::at("2026-11-23T10:35:10Z");
        let (clusters, secrets, fence_groups) = (rds(), Vault(true), Vec::new());
        let step =
            ValidateWindow { clusters, zones: zone(), secrets, clock, fence_groups, allowed: everything(), policy };
        step.run(Input { recovery: recovery(), request: request(extra), resumed: None }).await.unwrap()
    };
    let warns =
        |plan: &Plan| plan.warnings.iter().any(|warning| warning.starts_with("checks run with the login of the fence"));
    for (of_deployment, of_request, expected) in [
        (None, None, None),
        (Some("arn:deployment"), None, Some("arn:deployment")),
        (Some("arn:deployment"), Some(OF_REQUEST), Some(OF_REQUEST)),
        (None, Some(OF_REQUEST), Some(OF_REQUEST)),
    ] {
        let mut extra = json!({ "checks": check });
        if let Some(arn) = of_request {
            extra["checkSecretArn"] = json!(arn);
        }
        let planned = plan(of_deployment, extra).await;
        assert_eq!(planned.check_secret_arn.as_deref(), expected);
        assert_eq!(warns(&planned), expected.is_none(), "{:?}", planned.warnings);
        let step = planned.will_do.iter().find(|step| step.starts_with("run 1 check(s)")).unwrap();
        assert_eq!(step.contains("with the login of"), expected.is_some(), "{step}");
    }
    assert!(!warns(&plan(None, json!({})).await));
}

#[tokio::test]
async fn a_tagged_secret_that_is_gone_is_told_with_what_to_do() {
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let clusters = recovered_once(SECRET);
    let step = ValidateWindow {
        clusters,
        zones: zone(),
        secrets: Vault(false),
        clock,
        fence_groups: Vec::new(),
        allowed: everything(),
        policy: policy(),
    };
    let error = step.run(Input { recovery: recovery(), request: request(json!({})), resumed: None }).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    for message in [SECRET, "names in its tag aurora-rewind:secret is gone", "--manage-master-user-password"] {
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    let rds = recovered_once(SECRET);
    rds.edit("orders", |cluster| cluster.tags = vec![(SECRET_TAG.to_owned(), "see@the wiki".to_owned())]);
    let error = validate(&rds, zone(), request(json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("is no ARN: see@the wiki"), "{error}");
}

#[tokio::test]
async fn data_that_neither_a_person_nor_a_check_sees_reaches_clients_only_where_that_is_accepted() {
    let check = json!([{ "name": "n", "database": "d", "sql": "SELECT 1", "expect": 1 }]);
    let beside = |extra: Value| validate_owned(rds(), request(extra));
    let rewound = |extra: Value| validate_owned(mysql_rds(), in_place(extra));
    for (refused, what) in [
        (beside(json!({ "approval": "none" })).await, "traffic is moved with `approval` none"),
        (beside(json!({ "approval": "none", "dryRun": true })).await, "traffic is moved with `approval` none"),
        (rewound(json!({ "approval": "none" })).await, "orders is rewound with `approval` none"),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(
            error.to_string().contains(what) && error.to_string().contains("`\"unverified\": \"accepted\"`"),
            "{error}"
        );
    }
    for accepted in [
        beside(json!({ "approval": "none", "unverified": "accepted" })).await,
        beside(json!({ "approval": "none", "checks": check })).await,
        beside(json!({})).await,
        // Nothing reaches clients, so nobody has to accept anything.
        beside(json!({ "approval": "none", "dns": [] })).await,
        rewound(json!({ "approval": "none", "unverified": "accepted" })).await,
        rewound(json!({ "approval": "none", "checks": check })).await,
    ] {
        accepted.unwrap();
    }
}

async fn validate_owned(rds: FakeRds, request: Value) -> Result<Plan, StepError> {
    validate(&rds, zone(), request).await
}

#[tokio::test]
async fn a_plan_that_no_step_could_carry_is_refused_before_anything_is_made() {
    // Names of the most characters that DNS takes, and values as long.
    let name = |n: usize| format!("{n:03}.{}.{}.{}.example.com", "a".repeat(63), "b".repeat(63), "c".repeat(63));
    let long = |n: usize| RecordSet {
        name: name(n),
        ttl: Some(300),
        ..cname("Orders.cluster-x.us-east-1.rds.amazonaws.com.")
    };
    let records =
        |count: usize| (0..count).map(|n| json!({ "hostedZoneId": "Z1", "name": name(n) })).collect::<Value>();
    let sql = "x".repeat(15_000);
    let checks = json!([{ "name": "n", "database": "d", "sql": sql, "expect": 1 }]);
    let zone = || Zone((0..100).map(long).collect());
    let plan = validate(&rds(), zone(), request(json!({ "dns": records(100), "checks": checks }))).await.unwrap();
    assert_eq!(plan.dns.len(), 100);
    let has = |texts: &[String], text: &str| texts.iter().any(|found| found.contains(text));
    assert!(has(&plan.will_do, "move 90 more records in the same batch"), "{:?}", plan.will_do);
    assert!(has(&plan.warnings, "90 more records have a TTL"), "{:?}", plan.warnings);
    assert!(serde_json::to_vec(&plan).unwrap().len() <= rewind_core::PLAN_MAX);
    let mut large = plan.clone();
    large.checks[0].sql = "x".repeat(rewind_core::PLAN_MAX);
    let error = limits::refuse_too_large(&large).unwrap_err();
    assert!(error.to_string().contains("1 checks and 100 records"), "{error}");
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

#[test]
fn a_reader_of_autoscaling_that_became_the_writer_is_not_planned_as_the_writer() {
    let instance = |name: &str, tier| Instance { name: name.to_owned(), promotion_tier: tier, ..Instance::default() };
    let scaled = "application-autoscaling-0b1c2d3e";
    let mut cluster = source();
    cluster.members = [("orders-1", false), ("orders-2", false), (scaled, true)]
        .map(|(name, writer)| rewind_aws::rds::Member { instance: name.to_owned(), writer })
        .to_vec();
    let all = vec![instance("orders-2", 5), instance(scaled, 15), instance("orders-1", 1)];
    let planned = plan_instances(&cluster, all, "orders-r").unwrap();
    let shown: Vec<_> =
        planned.iter().map(|i| (i.source.as_str(), i.name.as_str(), i.promotion_tier, i.writer)).collect();
    // The instance that would take over next is the writer, with the tiers of the source.
    assert_eq!(shown, [("orders-1", "orders-r-1", 1, true), ("orders-2", "orders-r-2", 5, false)]);
    // Without any other instance it is the model, and its name is not carried over.
    let planned = plan_instances(&cluster, vec![instance(scaled, 15)], "orders-r").unwrap();
    let shown: Vec<_> = planned.iter().map(|i| (i.source.as_str(), i.name.as_str(), i.writer)).collect();
    assert_eq!(shown, [(scaled, "orders-r-1", true)]);
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
    let unasked = validate(&mysql_rds(), zone(), in_place(json!({ "approval": "none", "unverified": "accepted" })))
        .await
        .unwrap();
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
    rds.edit("orders", |cluster| cluster.pending_reboot = vec!["orders-1".to_owned()]);
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
    // RDS takes 50 tags. Six are kept free for marks on the restored cluster, and the fenced source needs two.
    let warnings = plan(49, json!({})).await;
    assert!(
        warns(&warnings, "does not get k44, k45, k46, k47, k48") && warns(&warnings, "unless 1 of its tags"),
        "{warnings:?}"
    );
    let warnings = plan(48, json!({})).await;
    assert!(warns(&warnings, "does not get k44, k45, k46, k47") && !warns(&warnings, "no room"), "{warnings:?}");
    let warnings = plan(44, json!({})).await;
    assert!(!warns(&warnings, "tags"), "{warnings:?}");
    // Without a record nothing is fenced, and nothing marked.
    let warnings = plan(50, json!({ "dns": [] })).await;
    assert!(warns(&warnings, "does not get") && !warns(&warnings, "no room"), "{warnings:?}");
}

#[tokio::test]
async fn a_name_that_no_tag_can_hold_is_refused_before_anything_is_made() {
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let rds = rds();
    let step = ValidateWindow {
        clusters: rds.clone(),
        zones: zone(),
        secrets: Vault(true),
        clock,
        fence_groups: Vec::new(),
        allowed: everything(),
        policy: policy(),
    };
    // Step Functions allows parentheses in a name, and RDS refuses them in the value of a tag.
    let recovery = Recovery { id: "fix(1)".to_owned(), ..recovery() };
    let error = step.run(Input { recovery, request: request(json!({})), resumed: None }).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("fix(1)") && rds.changes().is_empty(), "{error}");
}

#[tokio::test]
async fn a_source_that_is_fenced_already_is_refused_before_anything_is_restored() {
    let rds = rds();
    rds.edit("orders", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]);
    let dns = json!([{ "hostedZoneId": "Z1", "name": "db.example.com" }]);
    let error = validate_with(&rds, zone(), request(json!({ "dns": dns })), &["sg-fence"]).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("orders is fenced already") && rds.changes().is_empty(), "{error}");
    // Beside the source nothing is fenced.
    assert!(validate_with(&rds, zone(), request(json!({ "dns": [] })), &["sg-fence"]).await.is_ok());
}

#[tokio::test]
async fn a_name_that_rds_takes_for_no_tag_or_that_people_take_for_the_clean_up_is_refused() {
    for (id, part) in [("ends in an arrow→", "does not take it as a tag"), ("clean-up-friday", "begins with clean-up-")]
    {
        let step = ValidateWindow {
            clusters: rds(),
            zones: zone(),
            secrets: Vault(true),
            clock: ManualClock::at("2026-11-23T10:35:10Z"),
            fence_groups: Vec::new(),
            allowed: everything(),
            policy: policy(),
        };
        let recovery = Recovery { id: id.to_owned(), ..recovery() };
        let error = step.run(Input { recovery, request: request(json!({})), resumed: None }).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(part), "{error}");
    }
}
