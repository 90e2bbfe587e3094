//! A restored cluster is adopted as the earlier recovery left it, and in no other case. Nothing is ever changed.

use super::Resumed;
use crate::tests::{Vault, Zone, cname, everything, policy, zone};
use crate::{Input, ValidateWindow};
use rewind_aws::fixtures::{ManualClock, TARGET, plan, rds, rds_with_restored, recovery, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::rds::{Instance, Member};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG, SOURCE_RESOURCE_ID_TAG, TARGET_TAG};
use rewind_core::{CleanUpRecord, ErrorName, Plan, StepError};
use rewind_lambda::Step;
use serde_json::{Value, json};

/// The restored cluster that the recovery `earlier` kept, with its instances; the second one is the writer.
fn kept() -> FakeRds {
    let (mut clusters, mut instances) = rds_with_restored().everything();
    let member = |instance: &str, writer| Member { instance: instance.to_owned(), writer };
    clusters[1].members = vec![member("orders-r-1", false), member("orders-r-2", true)];
    for name in ["orders-r-1", "orders-r-2"] {
        let tags = vec![(RECOVERY_TAG.to_owned(), "earlier".to_owned())];
        let (endpoint, status) = (Some(format!("{name}.x.us-east-1.rds.amazonaws.com")), "available".to_owned());
        let instance = Instance { name: name.to_owned(), endpoint, status, tags, ..Instance::default() };
        instances.push(("orders-r".to_owned(), instance));
    }
    let rds = FakeRds::with(clusters, instances);
    set_tag(&rds, RECOVERY_TAG, "earlier");
    set_tag(&rds, SOURCE_RESOURCE_ID_TAG, "cluster-ORDERS");
    set_tag(&rds, KEEP_UNTIL_TAG, "2026-11-24T10:30:00Z");
    rds
}

fn set_tag(rds: &FakeRds, key: &str, value: &str) {
    rds.edit("orders-r", |cluster| {
        cluster.tags.retain(|(known, _)| known != key);
        cluster.tags.push((key.to_owned(), value.to_owned()));
    });
}

/// The record of `earlier`, as the state machine passes it.
fn resumed() -> Value {
    let plan = json!({
        "cluster": "orders", "newCluster": "orders-r", "target": TARGET, "useLatest": false, "strategy": "restore",
        "dns": plan().dns, "adopted": null,
    });
    json!({
        "id": "earlier", "state": "NothingChanged", "status": null, "plan": plan, "hasRequest": true,
        "fence": "none", "restoredFence": "none", "noneSent": false,
        "asked": { "cluster": null, "to": null, "newCluster": null, "strategy": null },
    })
}

fn with(base: Value, path: &str, value: Value) -> Value {
    let mut changed = base;
    *changed.pointer_mut(path).unwrap() = value;
    changed
}

/// Validates a resume. The request is merged already, as the state machine passes it.
async fn validate(rds: &FakeRds, zone: Zone, resumed: Value) -> Result<Plan, StepError> {
    validate_after(rds, zone, resumed, Vec::new()).await
}

/// The same after these deletions were noted.
async fn validate_after(
    rds: &FakeRds,
    zone: Zone,
    resumed: Value,
    deletions: Vec<CleanUpRecord>,
) -> Result<Plan, StepError> {
    let clock = ManualClock::at("2026-11-23T10:35:10Z");
    let fence_groups = vec!["sg-fence".to_owned()];
    let step = ValidateWindow {
        clusters: rds.clone(),
        zones: zone,
        secrets: Vault(true),
        clock,
        fence_groups,
        allowed: everything(),
        policy: policy(),
    };
    let request = json!({
        "cluster": "orders", "to": TARGET, "newCluster": "orders-r", "strategy": "restore", "resume": "earlier",
        "dryRun": false, "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com" }],
    });
    let resumed = Resumed { deletions, ..serde_json::from_value(resumed).unwrap() };
    let plan = step.run(Input { recovery: recovery(), request, resumed: Some(resumed) }).await;
    assert!(rds.changes().is_empty());
    plan
}

#[tokio::test]
async fn the_plan_adopts_the_kept_cluster_and_restores_nothing() {
    let rds = kept();
    // The backups reach to after the target by now: the data is there, so nobody needs the window.
    rds.edit("orders", |source| source.earliest_restorable = Some(time("2026-11-23T10:32:00Z")));
    let plan = validate(&rds, zone(), resumed()).await.unwrap();
    assert_eq!((plan.new_cluster.as_str(), plan.target, plan.use_latest), ("orders-r", time(TARGET), false));
    let adopted = plan.adopted.clone().unwrap();
    assert_eq!((adopted.recovery.as_str(), adopted.owners.as_slice()), ("earlier", &["earlier".to_owned()][..]));
    // Whatever becomes of this recovery, it is not kept for less than people asked for.
    assert_eq!(adopted.keep_until, Some(time("2026-11-24T10:30:00Z")));
    assert!(plan.will_do[0].starts_with("adopt orders-r, which earlier restored"), "{:?}", plan.will_do);
    assert!(!plan.will_do.iter().any(|step| step.starts_with("restore")), "{:?}", plan.will_do);
    assert!(
        plan.warnings.iter().any(|warning| warning.starts_with("adopts orders-r of earlier")),
        "{:?}",
        plan.warnings
    );
    // The source's writer is another one, and the present writer stays: a failover would cost clients' time for nothing.
    let instances: Vec<_> = plan.instances.iter().map(|instance| (instance.name.as_str(), instance.writer)).collect();
    assert_eq!(instances, [("orders-r-2", true), ("orders-r-1", false)]);
}

#[tokio::test]
async fn a_recovery_that_resumed_another_is_resumed_itself() {
    // Stopped before it took the cluster over: the tag still names the first of the three.
    let chain = json!({ "recovery": "first", "owners": ["first", "zeroth"] });
    let rds = kept();
    set_tag(&rds, RECOVERY_TAG, "first");
    rds.edit_instances("orders-r", |instance| instance.tags = vec![(RECOVERY_TAG.to_owned(), "zeroth".to_owned())]);
    let plan = validate(&rds, zone(), with(resumed(), "/plan/adopted", chain)).await.unwrap();
    assert_eq!(plan.adopted.unwrap().owners, ["earlier", "first", "zeroth"]);
}

/// The clean-up holds only the cluster's own lease by then, and may not have deleted anything yet.
#[tokio::test]
async fn a_cluster_whose_deletion_is_noted_is_not_adopted_although_all_of_it_is_there() {
    let deletion = |cluster: &str| CleanUpRecord {
        cluster: cluster.to_owned(),
        snapshot: "orders-r-final-earlier".to_owned(),
        begun_at: time("2026-11-23T10:35:00Z"),
        instances: Vec::new(),
    };
    let refused = validate_after(&kept(), zone(), resumed(), vec![deletion("orders-r")]).await.unwrap_err();
    assert_eq!(refused.name, ErrorName::InvalidRequest);
    let text = refused.to_string();
    for part in [
        "since 2026-11-23T10:35:00Z it is being deleted",
        "orders-r-final-earlier",
        "without `resume`",
        "if orders-r is still there",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    // Of the source, which an earlier recovery kept, say.
    assert!(validate_after(&kept(), zone(), resumed(), vec![deletion("another")]).await.is_ok());
}

/// A person who resumes it has not read them.
#[tokio::test]
async fn checks_that_are_taken_over_from_an_event_stay_those_of_an_event() {
    let rds = kept();
    set_tag(&rds, RECOVERY_TAG, "event-1");
    rds.edit_instances("orders-r", |instance| instance.tags = vec![(RECOVERY_TAG.to_owned(), "event-1".to_owned())]);
    let of_event = with(resumed(), "/id", json!("event-1"));
    let later = json!({ "recovery": "event-1", "owners": ["event-1"], "checksOfEvent": true });
    let of_person = json!({ "recovery": "event-1", "owners": ["event-1"] });
    for (resumed, expected) in [
        (of_event, true),
        (with(resumed(), "/plan/adopted", later), true),
        (with(resumed(), "/plan/adopted", of_person), false),
    ] {
        let plan = validate(&rds, zone(), resumed).await.unwrap();
        assert_eq!(plan.has_checks_of_event(), expected, "{:?}", plan.adopted);
    }
}

#[tokio::test]
async fn the_moment_of_a_restore_of_the_latest_time_is_that_of_its_tag() {
    let rds = kept();
    set_tag(&rds, TARGET_TAG, "2026-11-23T10:33:07Z");
    let plan = validate(&rds, zone(), with(resumed(), "/plan/useLatest", json!(true))).await.unwrap();
    assert_eq!((plan.target, plan.use_latest), (time("2026-11-23T10:33:07Z"), false));
}

#[tokio::test]
async fn a_restore_that_goes_on_is_adopted_and_waited_for() {
    let rds = kept();
    rds.edit("orders-r", |cluster| cluster.status = "creating".to_owned());
    let plan = validate(&rds, zone(), resumed()).await.unwrap();
    assert!(plan.warnings.iter().any(|warning| warning.contains("still being restored")), "{:?}", plan.warnings);
    for (status, name) in [("stopped", ErrorName::InvalidRequest), ("modifying", ErrorName::ClusterNotReady)] {
        rds.edit("orders-r", |cluster| cluster.status = status.to_owned());
        assert_eq!(validate(&rds, zone(), resumed()).await.unwrap_err().name, name, "{status}");
    }
}

#[tokio::test]
async fn a_recovery_that_left_nothing_to_adopt_is_refused_with_what_to_do() {
    let set = |path: &str, value: Value| with(resumed(), path, value);
    for (resumed, message) in [
        (set("/state", Value::Null), "there is no recovery earlier"),
        (set("/plan", Value::Null), "ended before it had a plan"),
        (set("/plan/strategy", json!("backtrack")), "in place"),
        (set("/state", json!("Recovered")), "earlier is Recovered: orders-r has had the traffic"),
        (with(set("/state", json!("Recovered")), "/plan/dns", json!([])), "orders-r was handed over beside orders"),
        (set("/state", json!("Undone")), "earlier is Undone"),
        (set("/restoredFence", json!("up")), "would write there unseen once it is open"),
        (ended("RolledBack", "lifted", "up"), "would write there unseen once it is open"),
        (ended("NeedsOperator", "up", "lifted"), "clients may have written to it"),
        (ended("NeedsOperator", "lifted", "up"), "clients may have written to it"),
        (ended("NeedsOperator", "up", "none"), "may be fenced still"),
        (ended("Running", "up", "none"), "may be fenced still"),
        (with(ended("Running", "up", "none"), "/noneSent", json!(true)), "may be fenced still"),
        (ended("Running", "lifted", "none"), "earlier had sent the records to be moved to orders-r"),
        (ended("NeedsOperator", "lifted", "none"), "earlier had sent the records to be moved to orders-r"),
    ] {
        let error = validate(&kept(), zone(), resumed).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest, "{error}");
        let text = error.to_string();
        assert!(text.contains(message) && text.contains("nothing was changed; next step: "), "{text}\nlacks {message}");
    }
    for (state, status) in [("Running", json!("RUNNING")), ("Running", Value::Null), ("AwaitingApproval", Value::Null)]
    {
        let running = with(set("/state", json!(state)), "/status", status);
        let error = validate(&kept(), zone(), running).await.unwrap_err();
        assert_eq!(error.name, ErrorName::LeaseHeld, "{error}");
        assert!(!error.to_string().contains("reject"), "{error}");
    }
    // Its undo lifted the fence, or it had none: these are what resuming is for.
    for resumed in [
        // One of an earlier version, which kept the record.
        set("/fence", json!("up")),
        set("/fence", json!("lifted")),
        ended("NeedsOperator", "none", "none"),
        ended("Running", "none", "none"),
        // Its end could not be recorded.
        with(ended("Running", "lifted", "none"), "/noneSent", json!(true)),
        // Fencing the source failed, and a person lifted what there was of it.
        with(ended("NeedsOperator", "lifted", "none"), "/noneSent", json!(true)),
        // Somebody saw that no client remembers the restored cluster, and lifted its fence.
        ended("RolledBack", "lifted", "lifted"),
    ] {
        let plan = validate(&kept(), zone(), resumed.clone()).await;
        assert!(plan.is_ok(), "{resumed}: {plan:?}");
    }
}

/// The record of `earlier` with this state, and the fences of the source and of the restored cluster. Its execution is over.
fn ended(state: &str, fence: &str, restored_fence: &str) -> Value {
    let fences = with(with(resumed(), "/fence", json!(fence)), "/restoredFence", json!(restored_fence));
    with(with(fences, "/state", json!(state)), "/status", json!("ABORTED"))
}

#[tokio::test]
async fn a_cluster_that_is_not_the_kept_one_any_more_is_refused() {
    type Edit = fn(&FakeRds);
    let cases: [(Edit, &str); 9] = [
        (|rds| set_tag(rds, RECOVERY_TAG, "another"), "adopted by another since earlier ended"),
        (|rds| rds.edit("orders-r", |cluster| cluster.tags.clear()), "no recovery restored it"),
        (|rds| rds.edit("orders", |source| source.resource_id = "cluster-ANEW".to_owned()), "deleted and created anew"),
        (
            |rds| rds.edit("orders-r", |cluster| cluster.tags.retain(|(key, _)| key != SOURCE_RESOURCE_ID_TAG)),
            "does not tell which cluster it was restored from",
        ),
        (|rds| set_tag(rds, TARGET_TAG, "2026-11-23T09:00:00Z"), "its data may be of another moment"),
        (|rds| set_tag(rds, FENCED_BY_TAG, "later"), "later fenced it"),
        (
            |rds| rds.edit("orders-r", |cluster| cluster.security_groups = vec!["sg-fence".to_owned()]),
            "the security groups of the fence",
        ),
        (|rds| rds.edit("orders-r", |cluster| cluster.status = "deleting".to_owned()), "gone or being deleted"),
        (
            |rds| rds.edit_instances("orders-r", |instance| instance.tags.clear()),
            "somebody added the instance orders-r-1",
        ),
    ];
    for (edit, message) in cases {
        let rds = kept();
        edit(&rds);
        let error = validate(&rds, zone(), resumed()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest, "{error}");
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    let gone = validate(&rds(), zone(), resumed()).await.unwrap_err();
    assert!(gone.to_string().contains("orders-r, the restored cluster of earlier, is gone"), "{gone}");
}

#[tokio::test]
async fn a_cluster_that_a_record_of_the_earlier_plan_leads_to_is_in_use() {
    // The new request may leave that record out, and clients follow it all the same.
    let mut other = cname("orders-r-1.x.us-east-1.rds.amazonaws.com");
    other.name = "db-ro.example.com".to_owned();
    let mut zone = zone();
    zone.0.push(other);
    let error = validate(&kept(), zone, resumed()).await.unwrap_err();
    assert!(error.to_string().contains("orders-r is in use: db-ro.example.com leads to orders-r-1"), "{error}");
}

#[tokio::test]
async fn a_field_that_contradicts_the_adopted_cluster_is_refused_with_both_values() {
    for (field, asked, message) in [
        ("cluster", json!("payments"), "`cluster` is \"payments\", and that of earlier is \"orders\""),
        ("to", json!("5m ago"), "`to` is \"5m ago\", and that of earlier is \"2026-11-23T10:30:00Z\""),
        ("to", json!("latest"), "`to` is \"latest\""),
        ("newCluster", json!("other"), "`newCluster` is \"other\", and that of earlier is \"orders-r\""),
        ("strategy", json!("backtrack"), "`strategy` is \"backtrack\", and that of earlier is \"restore\""),
        ("to", json!(7), "`to` is 7"),
    ] {
        let error = validate(&kept(), zone(), with(resumed(), &format!("/asked/{field}"), asked)).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    for (field, asked) in
        [("cluster", "Orders"), ("to", "2026-11-23T11:30:00+01:00"), ("newCluster", "ORDERS-R"), ("strategy", "auto")]
    {
        let agreed = with(resumed(), &format!("/asked/{field}"), json!(asked));
        assert!(validate(&kept(), zone(), agreed).await.is_ok(), "{field}");
    }
}

#[tokio::test]
async fn a_record_of_an_earlier_version_without_a_request_is_told_of() {
    let plan = validate(&kept(), zone(), with(resumed(), "/hasRequest", json!(false))).await.unwrap();
    assert!(plan.warnings.iter().any(|warning| warning.contains("does not hold its request")), "{:?}", plan.warnings);
}
