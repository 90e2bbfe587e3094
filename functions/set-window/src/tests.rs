//! A question changes nothing, a change is made once, and a loss needs a confirmation.

use super::*;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, mysql_rds, rds, time};
use rewind_aws::rds::ServerlessV2;
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_aws::records::Lease;
use serde_json::json;

/// The lease of `orders`, if there is one.
struct Leases(Option<Lease>);

impl ReadLeases for Leases {
    async fn lease_of(&self, cluster: &str) -> AwsResult<Option<Lease>> {
        // The lease is kept under the name in lower case, as RDS has it.
        assert_eq!(cluster, "orders");
        Ok(self.0.clone())
    }
}

fn lease(expires_at: &str) -> Lease {
    Lease {
        holder: "operation-001".to_owned(),
        execution_arn: "arn:aws:states:us-east-1:1:execution:rewind:operation-001".to_owned(),
        taken_at: time("2026-11-23T10:30:00Z"),
        expires_at: time(expires_at),
    }
}

async fn call(rds: &FakeRds, input: Value) -> Result<Output, StepError> {
    call_leased(rds, None, input).await
}

async fn call_leased(rds: &FakeRds, lease: Option<Lease>, input: Value) -> Result<Output, StepError> {
    let clock = ManualClock::at(STARTED);
    SetWindow { clusters: rds.clone(), leases: Leases(lease), clock, any_master_password: false }.run(input).await
}

async fn set(rds: &FakeRds, window: Value) -> Result<Output, StepError> {
    call(rds, json!({ "cluster": "orders", "window": window })).await
}

fn without_backtrack() -> FakeRds {
    let rds = mysql_rds();
    rds.edit("orders", |cluster| {
        cluster.backtrack_window = None;
        cluster.earliest_backtrack = None;
    });
    rds
}

#[tokio::test]
async fn one_can_ask_without_changing_anything() {
    let mysql = mysql_rds();
    // People write identifiers in any case, and RDS keeps them in lower case.
    let shown = call(&mysql, json!({ "cluster": "Orders" })).await.unwrap();
    assert_eq!(
        serde_json::to_value(shown).unwrap(),
        json!({
            "cluster": "orders", "engine": "aurora-mysql", "kind": "backtrack",
            "targetWindow": "1d", "targetWindowSeconds": 86_400,
            "earliest": "2026-11-22T10:36:00Z", "latest": "2026-11-23T10:35:00Z", "reach": "23h59m",
            "changed": false,
            "notes": ["Aurora reaches back 23h59m of the 1d asked for: the rest comes as time passes, less where very much is changed"],
        })
    );
    let shown = call(&rds(), json!({ "cluster": "orders" })).await.unwrap();
    assert_eq!(
        (shown.kind, shown.target_window.as_str(), shown.reach.as_deref()),
        (Kind::BackupRetention, "7d", Some("7d8h"))
    );
    assert!(mysql.changes().is_empty());
}

#[tokio::test]
async fn a_cluster_whose_password_could_be_reset_is_changed_only_where_the_deployment_allows_any() {
    let rds = rds();
    rds.edit("orders", |cluster| cluster.master_secret = None);
    let error = set(&rds, json!("10d")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("MasterPasswords"), "{error}");
    assert!(rds.changes().is_empty());
    // What changes nothing needs no permission.
    assert!(!set(&rds, json!("7d")).await.unwrap().changed);
    let any = SetWindow {
        clusters: rds.clone(),
        leases: Leases(None),
        clock: ManualClock::at(STARTED),
        any_master_password: true,
    };
    assert!(any.run(json!({ "cluster": "orders", "window": "10d" })).await.unwrap().changed);
    // What a recovery made is told by its tag: its password is never managed.
    rds.edit("orders", |cluster| cluster.tags.push((RECOVERY_TAG.to_owned(), "earlier".to_owned())));
    assert!(set(&rds, json!("12d")).await.unwrap().changed);
}

#[tokio::test]
async fn a_mysql_cluster_without_backtrack_goes_back_by_its_backups() {
    let shown = call(&without_backtrack(), json!({ "cluster": "orders" })).await.unwrap();
    assert_eq!((shown.kind, shown.target_window_seconds), (Kind::BackupRetention, 7 * 86_400));
    assert!(
        shown.notes[0].contains("was made without Backtrack, which cannot be switched on afterwards"),
        "{:?}",
        shown.notes
    );
}

#[tokio::test]
async fn the_window_is_set_once_and_a_second_call_changes_nothing() {
    let rds = mysql_rds();
    let first = set(&rds, json!("72h")).await.unwrap();
    assert!(first.changed);
    assert_eq!((first.target_window.as_str(), first.target_window_seconds), ("3d", 259_200));
    assert_eq!(rds.find("orders").unwrap().backtrack_window, Some(259_200));
    // 72h and 3d are the same window, so nothing is left to change.
    let second = set(&rds, json!("3d")).await.unwrap();
    assert_eq!(second, Output { changed: false, ..first });
    assert_eq!(rds.changes(), ["modify orders"]);
}

#[tokio::test]
async fn backups_are_kept_for_whole_days_on_postgresql() {
    let rds = rds();
    let set_to = set(&rds, json!("14d")).await.unwrap();
    assert_eq!((set_to.kind, set_to.target_window.as_str(), set_to.changed), (Kind::BackupRetention, "14d", true));
    assert_eq!(rds.find("orders").unwrap().backup_retention, Some(14));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_can() {
    let mysql = "1440 seconds is 24 minutes; 24 hours is 86400 seconds: write 24h";
    for (rds, window, message) in [
        (mysql_rds(), json!(1440), mysql),
        (mysql_rds(), json!("1440"), mysql),
        (mysql_rds(), json!("96h"), "96h is more than Aurora keeps for Backtrack: 72h (259200 seconds) at most"),
        (mysql_rds(), json!("soon"), "write a length such as 24h or 3d, or off"),
        (rds(), json!("36h"), "36h is not whole days, and Aurora keeps backups for whole days: write 2d"),
        (rds(), json!("40d"), "35d at most"),
        (rds(), json!("off"), "Aurora always keeps backups, for a day at least: write 1d for the least"),
    ] {
        let error = set(&rds, window.clone()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidRequest, "{window}");
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert!(rds.changes().is_empty());
    }
    let error = call(&rds(), json!({ "cluster": "nothing" })).await.unwrap_err();
    assert!(error.to_string().contains("there is no such cluster"), "{error}");
    let others = rds();
    others.make_foreign("orders", "mysql");
    let error = set(&others, json!("1d")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("the cluster orders is mysql; nothing was changed"), "{error}");
    assert!(others.changes().is_empty());
}

#[tokio::test]
async fn backtrack_cannot_be_switched_on_and_the_commands_that_make_a_cluster_with_it_are_complete() {
    // Aurora MySQL, for PostgreSQL has no Backtrack at all and reads a window as days of backups.
    let rds = without_backtrack();
    let error = set(&rds, json!("24h")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert_eq!(
        error.to_string(),
        "`window`: Backtrack is off for orders, and AWS switches it on only when a cluster is made, never afterwards; \
         nothing was changed; next step: a restore can make one that has it, beside orders: aws rds \
         restore-db-cluster-to-point-in-time --source-db-cluster-identifier orders --db-cluster-identifier orders-backtrack \
         --use-latest-restorable-time --backtrack-window 86400 --db-subnet-group-name orders-subnets \
         --vpc-security-group-ids sg-app --db-cluster-parameter-group-name orders-cluster-pg --port 3306 \
         --enable-iam-database-authentication --deletion-protection && aws rds wait db-cluster-available \
         --db-cluster-identifier orders-backtrack && aws rds create-db-instance --db-instance-identifier \
         orders-backtrack-1 --db-cluster-identifier orders-backtrack --engine aurora-mysql --db-instance-class \
         db.r6g.xlarge"
    );
    assert!(rds.changes().is_empty());
    // Switched off it is already.
    assert!(!set(&rds, json!("off")).await.unwrap().changed);
}

#[tokio::test]
async fn a_serverless_cluster_is_offered_with_its_capacity_which_its_instances_need() {
    for (range, message) in [
        (
            ServerlessV2 { min: Some(0.5), max: Some(16.0), seconds_until_auto_pause: None },
            "MinCapacity=0.5,MaxCapacity=16 ",
        ),
        (
            ServerlessV2 { min: Some(0.0), max: Some(8.0), seconds_until_auto_pause: Some(300) },
            "MinCapacity=0,MaxCapacity=8,SecondsUntilAutoPause=300 ",
        ),
    ] {
        let rds = without_backtrack();
        rds.edit("orders", |cluster| cluster.serverless_v2 = Some(range));
        let error = set(&rds, json!("24h")).await.unwrap_err().to_string();
        assert!(error.contains(&format!(" --serverless-v2-scaling-configuration {message}")), "{error}");
    }
}

#[tokio::test]
async fn off_is_for_ever_and_asks_twice() {
    let rds = mysql_rds();
    let error = set(&rds, json!("off")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`window` is off: Backtrack of orders would be off for ever, with the 23h59m that it reaches back now; it cannot be \
         switched on again for this cluster; nothing was changed; next step: if that is meant, send it again with \
         `\"confirm\": \"switch off orders for ever\"`"
    );
    // Something was confirmed, but not this: the refusal has to show what was written.
    let other = json!({ "cluster": "orders", "window": "off", "confirm": "yes" });
    let error = call(&rds, other).await.unwrap_err();
    assert!(error.to_string().starts_with("`confirm` is \"yes\", which is not what was to be written"), "{error}");
    assert!(rds.changes().is_empty());
    // The sentence names cluster and loss: a `yes` in a script could confirm what nobody has read.
    let confirmed = json!({ "cluster": "orders", "window": "off", "confirm": "switch off orders for ever" });
    let off = call(&rds, confirmed.clone()).await.unwrap();
    assert_eq!((off.kind, off.target_window.as_str(), off.target_window_seconds), (Kind::Backtrack, "off", 0));
    assert_eq!((off.reach, off.earliest, off.changed), (None, None, true));
    assert!(off.notes[0].contains("Backtrack is off for orders, for ever"), "{:?}", off.notes);
    assert!(!call(&rds, confirmed).await.unwrap().changed);
    assert_eq!(rds.changes().len(), 1);
}

#[tokio::test]
async fn a_window_shorter_than_what_is_reachable_loses_it_and_warns_before() {
    for (rds, window, would) in [
        (mysql_rds(), "1h", "`window` is 1h: orders reaches back 23h59m now, and what is older"),
        (rds(), "1d", "`window` is 1d: orders reaches back 7d8h now, and what is older"),
    ] {
        let error = set(&rds, json!(window)).await.unwrap_err();
        assert!(error.to_string().contains(would), "{error}");
        assert!(error.to_string().contains("`\"confirm\": \"shrink orders\"`"), "{error}");
        assert!(rds.changes().is_empty());
        let confirmed = json!({ "cluster": "orders", "window": window, "confirm": "shrink orders" });
        let shrunk = call(&rds, confirmed).await.unwrap();
        assert!(shrunk.changed && shrunk.notes[0].contains("can no longer be reached"), "{:?}", shrunk.notes);
    }
}

#[tokio::test]
async fn while_a_recovery_works_on_the_cluster_its_window_is_not_made_shorter() {
    let held = lease("2026-11-23T12:30:00Z");
    for (rds, window, confirm) in [
        (mysql_rds(), "off", "switch off orders for ever"),
        (mysql_rds(), "1h", "shrink orders"),
        // Shorter than configured and longer than what is reachable: nothing is lost now, but the recovery's reach
        // would shrink.
        (mysql_rds(), "23h", "shrink orders"),
        (rds(), "1d", "shrink orders"),
    ] {
        let confirmed = json!({ "cluster": "orders", "window": window, "confirm": confirm });
        let error = call_leased(&rds, Some(held.clone()), confirmed.clone()).await.unwrap_err();
        assert_eq!(
            (error.name, error.to_string().as_str()),
            (
                ErrorName::LeaseHeld,
                "operation-001 works on orders since 2026-11-23T10:30:00Z, until 2026-11-23T12:30:00Z at the latest, and may \
                 need what a shorter window would take away; nothing was changed; next step: ask again when it has ended: \
                 arn:aws:states:us-east-1:1:execution:rewind:operation-001"
            )
        );
        assert!(rds.changes().is_empty());
        // One that is over holds nothing up.
        assert!(call_leased(&rds, Some(lease("2026-11-23T10:34:59Z")), confirmed).await.unwrap().changed);
    }
}

#[tokio::test]
async fn while_a_recovery_works_on_the_cluster_one_can_ask_and_have_more() {
    let held = lease("2026-11-23T12:30:00Z");
    // A longer window takes nothing away, so no recovery can be hurt by it.
    for (window, changed) in [(None, false), (Some("48h"), true)] {
        let mut message = json!({ "cluster": "orders" });
        message.as_object_mut().unwrap().extend(window.map(|window: &str| ("window".to_owned(), json!(window))));
        assert_eq!(call_leased(&mysql_rds(), Some(held.clone()), message).await.unwrap().changed, changed);
    }
}

#[tokio::test]
async fn a_shorter_window_that_loses_nothing_asks_nobody() {
    let rds = mysql_rds();
    // Aurora reaches back 35 minutes only, which the new window of an hour still holds.
    rds.edit("orders", |cluster| cluster.earliest_backtrack = Some("2026-11-23T10:00:00Z".parse().unwrap()));
    assert!(set(&rds, json!("1h")).await.unwrap().changed);
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_what_the_cluster_shows() {
    let rds = mysql_rds();
    // The same value twice has the effect of once, so reading decides.
    rds.lose(0, Lose::Answer);
    assert!(set(&rds, json!("48h")).await.unwrap().changed);
    let rds = mysql_rds();
    // Here the call never arrived. The caller cannot know, so the error claims neither.
    rds.lose(0, Lose::Call);
    let error = set(&rds, json!("48h")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::OutcomeUnknown);
    assert!(error.to_string().contains("the window may or may not be changed"), "{error}");
    assert!(error.to_string().contains("setting it twice does no harm"), "{error}");
}

#[tokio::test]
async fn a_retention_is_not_changed_while_an_upgrade_would_start_with_it() {
    let rds = rds();
    rds.edit("orders", |cluster| {
        cluster.pending = vec!["backup retention 9".to_owned(), "engine version 15.9".to_owned()];
    });
    let error = set(&rds, json!("14d")).await.unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidRequest);
    assert!(error.to_string().contains("maintenance window (engine version 15.9)"), "{error}");
    assert!(rds.changes().is_empty());
    rds.edit("orders", |cluster| cluster.pending.truncate(1));
    assert!(set(&rds, json!("14d")).await.unwrap().changed);
    // The window of Backtrack is applied at once in any case, and starts nothing.
    let mysql = mysql_rds();
    mysql.edit("orders", |cluster| cluster.pending = vec!["engine version 8.0.mysql_aurora.3.99.0".to_owned()]);
    assert!(set(&mysql, json!("2d")).await.unwrap().changed);
    assert_eq!(mysql.find("orders").unwrap().engine_version, "8.0.mysql_aurora.3.08.0");
}
