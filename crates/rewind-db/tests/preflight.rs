//! The findings of the preflight on real servers: checks that cannot pass, logins that stay open, and what acts by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::{Check, Expectation, Finding};
use rewind_db::preflight::{
    Fencing, NetworkFence, Trial, check_findings, database_findings, databases, server_findings,
};
use rewind_db::{Server, Session};
use std::time::{Duration, Instant};
use support::Postgres;
use support::mariadb::MariaDb;

const MINUTE: Duration = Duration::from_secs(60);

fn check(sql: &str, expectation: Expectation) -> Check {
    Check { name: "a check".into(), database: "shop".into(), sql: sql.into(), expectation }
}

fn expecting(sql: &str, expected: &str) -> Check {
    check(sql, Expectation::Expect(expected.to_owned()))
}

fn trial(run_for: Duration) -> Trial<'static> {
    Trial { run_for: Some(run_for), check_timeout: MINUTE, server: "the source's writer" }
}

async fn tried(server: &Server, check: &Check) -> Vec<Finding> {
    let session = server.open("shop").await.unwrap();
    let found = check_findings(&session, check, trial(Duration::from_secs(5))).await.unwrap();
    session.close().await;
    found
}

/// The only finding: whether it blocks, its code, and its sentence.
fn only(found: &[Finding]) -> (bool, &str, String) {
    let [finding] = found else { panic!("{found:?}") };
    (finding.is_blocking(), finding.code.as_str(), finding.to_string())
}

fn codes(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.code.as_str()).collect()
}

#[tokio::test]
async fn each_fault_of_a_check_is_told_before_anything_runs() {
    let postgres = Postgres::start().with_application();
    postgres.sql("shop", "GRANT SELECT ON orders TO postgres; ALTER TABLE orders ADD was int, ADD flag bit(1)");
    postgres.sql("shop", "CREATE TABLE secret (n int); REVOKE ALL ON secret FROM postgres");
    let server = postgres.master().await;
    let bound = |sql: &str| check(sql, Expectation::AtLeast(1.0));
    for (check, blocking, code, message) in [
        (expecting("SELECT EXISTS (SELECT FROM orders)", "true"), true, "check-type", "\"expect\": \"t\""),
        (expecting("SELECT count(*) FROM orders", "two"), true, "check-type", "expect a number"),
        (bound("SELECT now()"), true, "check-type", "timestamptz"),
        (bound("SELECT max(word) FROM orders"), true, "check-type", "its answer on the source is no number"),
        (expecting("SELEC 1", "1"), true, "check-refused", "syntax error"),
        (expecting("SELECT 1; SELECT 2", "1"), true, "check-refused", "multiple commands"),
        (expecting("SELECT $1::int", "1"), true, "check-refused", "placeholders"),
        (expecting("SELECT n FROM secret", "1"), true, "check-refused", "permission denied"),
        (expecting("SELECT wrod FROM orders", "first"), true, "check-refused", "42703"),
        (expecting("DELETE FROM orders", "0"), true, "check-columns", "no column"),
        (expecting("SELECT 1/0", "1"), true, "check-refused", "division by zero"),
        (expecting("SELECT count(*) FROM ordres", "2"), false, "check-object-missing", "if the mistake dropped it"),
        (
            expecting("SELECT count(*) FROM gone.orders", "2"),
            false,
            "check-object-missing",
            "if the mistake dropped it",
        ),
        (expecting("SELECT count(*), 1 FROM orders", "2"), false, "check-columns", "2 columns"),
        (expecting("SELECT id FROM orders", "2"), false, "check-columns", "2 rows"),
    ] {
        let found = tried(&server, &check).await;
        let (is_blocking, found_code, text) = only(&found);
        assert_eq!((is_blocking, found_code), (blocking, code), "{}: {text}", check.sql);
        assert!(text.contains(message), "{text}\nlacks {message}");
    }
    // A column was dropped from this table once, so a missing one may be what the mistake took.
    postgres.sql("shop", "ALTER TABLE orders DROP was");
    let found = tried(&server, &expecting("SELECT max(was) FROM orders", "1")).await;
    assert_eq!(only(&found).1, "check-object-missing");
    assert_eq!(postgres.sql("shop", "SELECT count(*) FROM orders"), "2");
}

#[tokio::test]
async fn a_check_that_can_pass_is_no_finding_whatever_it_answers_now() {
    let postgres = Postgres::start().with_application();
    postgres.sql("shop", "GRANT SELECT ON orders TO postgres; DELETE FROM orders");
    let server = postgres.master().await;
    for check in [
        expecting("SELECT count(*) FROM orders", "2"),
        expecting("SELECT word FROM orders WHERE id = 1", "first"),
        expecting("SELECT max(id) FROM orders", "2"),
        expecting("SELECT EXISTS (SELECT FROM orders)", "t"),
        expecting("SHOW server_encoding", "UTF8"),
        check("SELECT count(*) FROM orders", Expectation::AtLeast(1000.0)),
        check("SELECT max(id)::text FROM orders", Expectation::AtLeast(1000.0)),
    ] {
        assert_eq!(tried(&server, &check).await, [], "{}", check.sql);
    }
}

#[tokio::test]
async fn a_slow_check_is_stopped_at_its_bound_and_told_of() {
    let postgres = Postgres::start().with_application();
    let server = postgres.master().await;
    let session = server.open("shop").await.unwrap();
    let slow = expecting("SELECT 1 FROM pg_sleep(30)", "1");
    let started = Instant::now();
    let found = check_findings(&session, &slow, trial(Duration::from_millis(500))).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(only(&found).1, "check-slow");
    let most = Trial { check_timeout: Duration::from_millis(500), ..trial(Duration::from_secs(5)) };
    let found = check_findings(&session, &expecting("SELECT 1 FROM pg_sleep(0.4)", "1"), most).await.unwrap();
    assert!(only(&found).2.contains("longer `checkTimeout`"), "{found:?}");
    let unrun = Trial { run_for: None, ..trial(MINUTE) };
    let found = check_findings(&session, &slow, unrun).await.unwrap();
    assert!(only(&found).2.contains("not run"), "{found:?}");
}

const MISSING: NetworkFence = NetworkFence::Missing;
const CLOSED: NetworkFence = NetworkFence::Closed;

async fn of_server(session: &Session, network: NetworkFence) -> Vec<Finding> {
    server_findings(session, Fencing::Logins { network }).await.unwrap()
}

#[tokio::test]
async fn a_login_that_the_fence_cannot_close_blocks_without_a_fence_of_the_network() {
    let postgres = Postgres::start().with_application();
    assert_eq!(of_server(&postgres.maintenance().await, MISSING).await, []);
    postgres.sql("postgres", "CREATE DATABASE legacy OWNER app TEMPLATE template0");
    let session = postgres.maintenance().await;
    let found = of_server(&session, MISSING).await;
    assert!(only(&found).0 && only(&found).2.contains("cannot close database legacy"), "{found:?}");
    // Behind the security groups the fence goes on, and reports it.
    assert!(!only(&of_server(&session, CLOSED).await).0);
    let found = of_server(&session, NetworkFence::PassedByDataApi).await;
    assert!(only(&found).0 && found[0].fix.contains("switch the Data API off"), "{found:?}");
    assert_eq!(server_findings(&session, Fencing::None).await.unwrap(), []);
    postgres.sql("postgres", "ALTER DATABASE legacy OWNER TO postgres; ALTER ROLE postgres NOCREATEROLE");
    let found = of_server(&session, MISSING).await;
    // RDS's own database has an owner that nobody is a member of, so a role that keeps its login could get in there.
    assert!(only(&found).0 && only(&found).2.contains("take the login from login app"), "{found:?}");
    assert!(!only(&of_server(&session, CLOSED).await).0);
}

#[tokio::test]
async fn a_login_that_can_only_read_or_end_no_session_blocks() {
    let postgres = Postgres::start().with_application();
    postgres.sql("postgres", "ALTER ROLE postgres SET default_transaction_read_only = on");
    let found = of_server(&postgres.maintenance().await, CLOSED).await;
    assert!(only(&found).0 && only(&found).2.contains("RESET default_transaction_read_only"), "{found:?}");
    postgres.sql(
        "postgres",
        "ALTER ROLE postgres RESET default_transaction_read_only; REVOKE pg_signal_backend FROM rds_superuser",
    );
    let found = of_server(&postgres.maintenance().await, CLOSED).await;
    assert_eq!(only(&found), (true, "sessions-stay", only(&found).2));
    let in_place = server_findings(&postgres.maintenance().await, Fencing::Sessions).await.unwrap();
    assert_eq!(codes(&in_place), ["sessions-stay"]);
}

#[tokio::test]
async fn few_connections_replication_and_broken_databases_are_warned_of() {
    let postgres = Postgres::start_with(&["max_connections=8", "wal_level=logical"], None).with_application();
    postgres.sql("shop", "SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')");
    postgres.sql("postgres", "CREATE DATABASE broken");
    postgres.half_drop("broken");
    let session = postgres.maintenance().await;
    let found = of_server(&session, CLOSED).await;
    assert_eq!(codes(&found), ["connection-slots", "replication", "invalid-database"]);
    assert!(found.iter().all(|finding| !finding.is_blocking()), "{found:?}");
    assert!(found[0].what.contains("has 4 connections left"), "{}", found[0]);
    assert!(found[1].what.contains("replication slot cdc of shop"), "{}", found[1]);
}

/// The mistake may have been to unschedule or to disable them, and a restore has them as they were.
#[tokio::test]
async fn what_could_run_jobs_is_warned_of_whatever_is_scheduled_now() {
    let postgres = Postgres::start_with(&["cron.database_name=shop", "wal_level=logical"], None).with_application();
    let subscribe = "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)";
    postgres.sql("shop", subscribe);
    let session = postgres.maintenance().await;
    // RDS sets that database where the library is not loaded, too.
    assert_eq!(codes(&of_server(&session, CLOSED).await), ["subscriptions"]);
    // The library is not there to load: one that cannot be seen counts as loaded.
    postgres.sql("postgres", "REVOKE pg_monitor FROM rds_superuser");
    let found = of_server(&session, CLOSED).await;
    assert_eq!(codes(&found), ["subscriptions", "scheduled-jobs"]);
    assert!(found.iter().all(|finding| !finding.is_blocking()), "{found:?}");
    assert!(found[0].what.ends_with("subscription feed in shop, disabled now"), "{}", found[0]);
    assert!(found[1].what.ends_with("pg_cron, with its jobs in the database shop"), "{}", found[1]);
}

#[tokio::test]
async fn jobs_and_unlogged_tables_of_each_database_are_warned_of() {
    let postgres = Postgres::start().with_application();
    postgres.sql("shop", "CREATE UNLOGGED TABLE cache (n int)");
    // The catalogue of pg_cron, which is not there to install.
    postgres.sql(
        "postgres",
        "CREATE SCHEMA cron; CREATE TABLE cron.job (jobid int, schedule text, database text, active bool); \
         INSERT INTO cron.job VALUES (1, '* * * * *', 'shop', true), (2, '@daily', 'shop', false); \
         GRANT USAGE ON SCHEMA cron TO postgres; GRANT SELECT ON cron.job TO postgres",
    );
    let session = postgres.maintenance().await;
    assert_eq!(databases(&session).await.unwrap(), ["postgres", "shop"]);
    let server = postgres.master().await;
    let found = database_findings(&server.open("shop").await.unwrap()).await.unwrap();
    assert!(only(&found).2.contains("shop: public.cache"), "{found:?}");
    let found = database_findings(&server.open("postgres").await.unwrap()).await.unwrap();
    assert!(only(&found).2.contains("pg_cron job 1 in shop") && !only(&found).2.contains("@daily"), "{found:?}");
}

#[tokio::test]
async fn mysql_each_fault_of_a_check_is_told_before_anything_runs() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql("shop", "CREATE TABLE flags (flag BIT(1), blobs BLOB); INSERT INTO flags VALUES (b'1', 'x')");
    let server = mariadb.master().await;
    for (check, blocking, code, message) in [
        (expecting("SELECT flag FROM flags", "1"), true, "check-type", "SELECT column + 0"),
        (expecting("SELECT EXISTS (SELECT 1 FROM orders)", "true"), true, "check-type", "\"expect\": \"1\""),
        (check("SELECT now()", Expectation::AtLeast(1.0)), true, "check-type", "datetime"),
        (check("SELECT blobs FROM flags", Expectation::AtMost(1.0)), true, "check-type", "blob"),
        (
            check("SELECT 'many'", Expectation::AtLeast(1.0)),
            true,
            "check-type",
            "its answer on the source is no number",
        ),
        (expecting("SELEC 1", "1"), true, "check-refused", "no query"),
        (expecting("SELECT 1 FORM orders", "1"), true, "check-refused", "1064"),
        (expecting("SELECT wrod FROM orders", "1"), true, "check-refused", "1054"),
        (expecting("SELECT ?", "1"), true, "check-refused", "placeholders"),
        (expecting("SELECT count(*) FROM ordres", "2"), false, "check-object-missing", "if the mistake dropped it"),
        (expecting("SELECT count(*) FROM gone.t", "2"), false, "check-object-missing", "if the mistake dropped it"),
        (expecting("SELECT count(*), 1 FROM orders", "2"), false, "check-columns", "2 columns"),
    ] {
        let found = tried(&server, &check).await;
        let (is_blocking, found_code, text) = only(&found);
        assert_eq!((is_blocking, found_code), (blocking, code), "{}: {text}", check.sql);
        assert!(text.contains(message), "{text}\nlacks {message}");
    }
    for check in [
        expecting("SELECT count(*) FROM orders", "2"),
        expecting("SELECT flag + 0 FROM flags", "1"),
        expecting("SELECT sum(n) FROM (SELECT 1 n) t", "1"),
        expecting("SELECT blobs FROM flags", "x"),
    ] {
        assert_eq!(tried(&server, &check).await, [], "{}", check.sql);
    }
    let session = server.open("shop").await.unwrap();
    let slow = expecting("SELECT sleep(30)", "0");
    let found = check_findings(&session, &slow, trial(Duration::from_millis(500))).await.unwrap();
    assert_eq!(only(&found).1, "check-slow");
}

#[tokio::test]
async fn mysql_accounts_that_stay_open_and_what_acts_by_itself_are_told() {
    let mariadb = MariaDb::start_with(&["--event-scheduler=ON"], None).with_application();
    let server = mariadb.master().await;
    let session = server.open("information_schema").await.unwrap();
    assert_eq!(of_server(&session, MISSING).await, []);
    mariadb.sql(
        "shop",
        "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO SET @x = 1; CREATE TABLE cache (n INT) ENGINE = MEMORY",
    );
    let found = database_findings(&session).await.unwrap();
    assert_eq!(codes(&found), ["scheduled-jobs", "unlogged-tables"]);
    assert!(found[0].what.contains("event shop.nightly") && found[1].what.contains("shop.cache"), "{found:?}");
    session.close().await;
    mariadb.sql("", "REVOKE CREATE USER ON *.* FROM admin@'%'");
    let session = server.open("information_schema").await.unwrap();
    let found = of_server(&session, MISSING).await;
    assert!(only(&found).0 && only(&found).2.contains("lacks the right CREATE USER"), "{found:?}");
    assert!(!only(&of_server(&session, CLOSED).await).0);
    assert!(only(&of_server(&session, NetworkFence::PassedByDataApi).await).0);
    session.close().await;
    mariadb.sql("", "GRANT CREATE USER ON *.* TO admin@'%'; REVOKE EXECUTE, CREATE ROUTINE, ALTER ROUTINE ON *.* FROM admin@'%'; SET GLOBAL read_only = 1");
    let session = server.open("information_schema").await.unwrap();
    assert_eq!(codes(&of_server(&session, CLOSED).await), ["login-read-only", "sessions-stay"]);
}

#[tokio::test]
async fn statements_that_mysql_runs_at_each_login_are_told() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql("", "SET GLOBAL init_connect = 'SET @a = 1'");
    let server = mariadb.master().await;
    let session = server.open("information_schema").await.unwrap();
    let (blocking, code, sentence) = {
        let found = of_server(&session, CLOSED).await;
        let (blocking, code, sentence) = only(&found);
        (blocking, code.to_owned(), sentence)
    };
    assert_eq!((blocking, code.as_str()), (false, "init-connect"), "{sentence}");
    session.close().await;
    mariadb.sql("", "SET GLOBAL init_connect = ''");
    let session = server.open("information_schema").await.unwrap();
    assert_eq!(of_server(&session, CLOSED).await, []);
}
