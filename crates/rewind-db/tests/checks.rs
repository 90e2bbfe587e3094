//! Checks and counts, against a real PostgreSQL: what they answer, and that they cannot write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::{Check, CheckResult, Expectation};
use rewind_db::{CheckLimits, Findings, Server, invalid_databases, run_checks};
use std::time::{Duration, Instant};
use support::Postgres;

/// The reason of a check that took longer than these tests let it.
const STOPPED: &str = "it was stopped after 0.4 s: `checkTimeout` gives it longer, up to 10m";

fn check(sql: &str, expect: &str) -> Check {
    Check {
        name: "a check".into(),
        database: "shop".into(),
        sql: sql.into(),
        expectation: Expectation::Expect(expect.into()),
    }
}

/// A server on which the master user may do everything in `shop`, so that nothing but the read-only transaction is in
/// the way of a check that writes.
fn shop() -> Postgres {
    let server = Postgres::start().with_application();
    server.sql("shop", "ALTER TABLE orders OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres");
    server
}

async fn ask(server: &Server, checks: &[Check]) -> Findings {
    run_checks(server, None, checks, &CheckLimits::default()).await.expect("the server answers")
}

async fn ask_one(server: &Server, sql: &str, expect: &str) -> CheckResult {
    ask(server, &[check(sql, expect)]).await.checks.remove(0)
}

fn reason(result: &CheckResult) -> &str {
    assert!(!result.passed, "{result}");
    result.note.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_check_compares_the_first_column_of_the_only_row() {
    let postgres = shop();
    let server = postgres.master().await;
    for (sql, expect) in [
        ("SELECT count(*) FROM orders", "2"),
        ("SELECT count(*), 'ignored' FROM orders;", "2.0"),
        ("SELECT word FROM orders WHERE id = 1 -- the first", "first"),
        ("SELECT true", "t"),
        ("SELECT 12345678901234567890.10::numeric", "12345678901234567890.1"),
        ("WITH o AS (SELECT * FROM orders) SELECT max(id) FROM o", "2"),
        ("VALUES ('x')", "x"),
        ("SHOW transaction_read_only", "on"),
        ("SELECT '{\"a\": 1}'::jsonb", "{\"a\": 1}"),
        ("SELECT ARRAY['p', 'q']", "{p,q}"),
        ("SELECT ''", ""),
    ] {
        let result = ask_one(&server, sql, expect).await;
        assert!(result.passed, "{sql}: {result}");
        assert!(result.seconds > 0.0 && result.source.is_none());
    }
}

#[tokio::test]
async fn what_is_no_single_value_is_a_failed_check_that_reports_it() {
    let postgres = shop();
    let server = postgres.master().await;
    for (sql, because) in [
        ("SELECT id FROM orders WHERE false", "no row"),
        ("SELECT id FROM orders", "2 rows"),
        ("SELECT generate_series(1, 200000)", "200000 rows"),
        ("SELECT max(id) FROM orders WHERE false", "NULL"),
        ("SELECT count(*) FROM no_such_table", "relation \"no_such_table\" does not exist (42P01)"),
        ("SELEC 1", "syntax error"),
        ("", "no column"),
        ("-- nothing", "no column"),
        ("SELECT $1", "42601"),
        ("SELECT $1::int", "42601"),
        ("SELECT 1/0", "division by zero"),
        // The database quotes what it read, and the code is told alone.
        ("SELECT max('second')::int FROM orders", "(22P02)"),
    ] {
        let result = ask_one(&server, sql, "1").await;
        assert!(!reason(&result).contains("second"), "{sql}: {result}");
        assert!(reason(&result).contains(because), "{sql}: {result}");
    }
    // And the next check is none the worse for it.
    assert!(ask_one(&server, "SELECT 1", "1").await.passed);
}

#[tokio::test]
async fn no_check_can_write() {
    let postgres = shop();
    postgres.sql(
        "shop",
        "CREATE FUNCTION sneak() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM set_config('transaction_read_only', 'off', false); DELETE FROM orders; RETURN 1; END $$; \
         CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS $$ DELETE FROM orders; SELECT 1 $$; \
         CREATE FUNCTION set_and_delete() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
           SET TRANSACTION READ WRITE; DELETE FROM orders; RETURN 1; END $$; \
         CREATE FUNCTION fixed() RETURNS int LANGUAGE plpgsql SET transaction_read_only = off AS $$ BEGIN \
           DELETE FROM orders; RETURN 1; END $$; \
         CREATE PROCEDURE commit_first(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN \
           COMMIT; DELETE FROM orders; COMMIT; END $$; \
         CREATE SEQUENCE counter",
    );
    let before = postgres.sql("shop", "SELECT o FROM orders o ORDER BY id");
    // Allowed, so that nothing but the transaction is in their way.
    let functions =
        ["public.sneak", "public.plain", "public.set_and_delete", "public.fixed", "set_config", "nextval", "lo_create"];
    let server = postgres.master_who_lets_checks_call(&functions).await;
    let attempts = [
        "DELETE FROM orders",
        "DELETE FROM orders RETURNING id",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone",
        "INSERT INTO orders (word) VALUES ('x') RETURNING 1",
        "UPDATE orders SET word = 'x' RETURNING 1",
        "TRUNCATE orders",
        "DROP TABLE orders",
        "SELECT * INTO copy FROM orders",
        "CREATE TABLE copy AS SELECT * FROM orders",
        "COPY orders TO STDOUT",
        "COPY (DELETE FROM orders RETURNING 1) TO STDOUT",
        "COMMIT; DELETE FROM orders",
        "SELECT 1; COMMIT; DELETE FROM orders",
        "COMMIT; BEGIN READ WRITE; DELETE FROM orders; COMMIT",
        "ROLLBACK; DELETE FROM orders RETURNING 1",
        "ROLLBACK TO SAVEPOINT outside; DELETE FROM orders",
        "COMMIT",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "END",
        "PREPARE TRANSACTION 'x'",
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "RESET transaction_read_only",
        "DISCARD ALL",
        "DO $$ BEGIN DELETE FROM orders; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM orders; END $$",
        "CALL commit_first(1)",
        "SELECT sneak()",
        "SELECT plain()",
        "SELECT set_and_delete()",
        "SELECT fixed()",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "PREPARE p AS DELETE FROM orders",
        "EXECUTE p",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SELECT nextval('counter')",
        "SELECT 1 FROM orders FOR UPDATE",
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "GRANT ALL ON orders TO PUBLIC",
        "ALTER ROLE app PASSWORD 'x'",
        "VACUUM orders",
        "NOTIFY somebody",
    ];
    for sql in attempts {
        let result = ask_one(&server, sql, "no such answer").await;
        assert!(!reason(&result).is_empty(), "{sql} was run, and answered {result}");
        assert_eq!(postgres.sql("shop", "SELECT o FROM orders o ORDER BY id"), before, "after {sql}");
    }
    // A read-only transaction of PostgreSQL 15 lets large objects be made: what undoes that is that it is rolled back.
    ask_one(&server, "SELECT lo_create(4711)", "4711").await;
    // All of them in one session, where what one left behind could help the next.
    let checks: Vec<Check> = attempts.iter().map(|sql| check(sql, "no such answer")).collect();
    let findings = ask(&server, &checks).await;
    assert!(findings.checks.iter().all(|result| !result.passed));
    assert_eq!(postgres.sql("shop", "SELECT o FROM orders o ORDER BY id"), before);
    assert_eq!(postgres.sql("shop", "SELECT last_value, is_called FROM counter"), "1|f");
    assert_eq!(postgres.sql("shop", "SELECT count(*) FROM pg_prepared_xacts"), "0");
    assert_eq!(postgres.sql("shop", "SELECT count(*) FROM pg_largeobject_metadata"), "0");
    assert_eq!(postgres.sql("shop", "SELECT count(*) FROM pg_tables WHERE tablename = 'copy'"), "0");
}

#[tokio::test]
async fn checks_for_which_no_time_is_left_have_failed_for_that_reason() {
    let postgres = shop();
    let server = postgres.master().await;
    let limits = CheckLimits { all_checks: Duration::from_millis(300), at_once: 1, ..CheckLimits::default() };
    let checks = [check("SELECT pg_sleep(30)", ""), check("SELECT count(*) FROM orders", "2")];
    let started = Instant::now();
    let findings = run_checks(&server, None, &checks, &limits).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(findings.checks.iter().all(|result| !result.passed));
    assert!(findings.checks[1].note.as_deref().unwrap().contains("the time for all checks was used up"));
}

#[tokio::test]
async fn tables_that_cannot_be_found_in_time_are_told_of_and_hold_up_nothing() {
    let postgres = shop();
    // What never changes is computed while the query is planned.
    postgres.sql(
        "shop",
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN 1; END'",
    );
    let server = postgres.master_who_lets_checks_call(&["public.slow"]).await;
    let limits = CheckLimits {
        check: Duration::from_millis(100),
        count: Duration::from_secs(3),
        all_counts: Duration::from_millis(500),
        ..CheckLimits::default()
    };
    let checks: Vec<Check> = (0..4).map(|_| check("SELECT slow(1)", "1")).collect();
    let started = Instant::now();
    let findings = run_checks(&server, None, &checks, &limits).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(findings.notes.len(), 3, "{:?}", findings.notes);
    assert!(findings.notes[0].contains("were not counted"), "{:?}", findings.notes);
}

#[tokio::test]
async fn a_check_that_takes_too_long_or_waits_for_a_lock_is_stopped_and_the_others_go_on() {
    let postgres = shop();
    let server = postgres.master_who_lets_checks_call(&["set_config"]).await;
    let (blocker, connection) = postgres.client("postgres", "shop").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    blocker.batch_execute("CREATE TABLE locked ()").await.unwrap();
    blocker.batch_execute("BEGIN; LOCK TABLE locked").await.unwrap();
    let limits = CheckLimits {
        check: Duration::from_millis(400),
        lock: Duration::from_millis(100),
        count: Duration::from_millis(200),
        ..CheckLimits::default()
    };
    let checks = [
        check("SELECT pg_sleep(30)", ""),
        check("SELECT 1 FROM (SELECT set_config('statement_timeout', '0', false), pg_sleep(3)) s", "1"),
        check("SELECT count(*) FROM locked", "0"),
        check("SELECT count(*) FROM orders", "2"),
    ];
    let started = Instant::now();
    let findings = run_checks(&server, None, &checks, &limits).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(reason(&findings.checks[0]), STOPPED);
    assert_eq!(reason(&findings.checks[1]), STOPPED);
    assert!(reason(&findings.checks[2]).contains("lock timeout"), "{}", findings.checks[2]);
    assert!(findings.checks[3].passed, "{}", findings.checks[3]);
    let orders = findings.tables.iter().find(|count| count.table == "public.orders").unwrap();
    assert_eq!(orders.restored, Some(2));
}

#[tokio::test]
async fn checks_run_side_by_side_on_the_rewound_data_and_a_few_at_a_time_on_the_source() {
    let (restored, source) = (shop(), shop());
    let (here, there) = (restored.master().await, source.master().await);
    // How many of them run at that moment, half a second after it began.
    let nap = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
               AND query = 'EXECUTE rewind_check' AND length(s::text) >= 0) FROM pg_sleep(0.5) s";
    let checks: Vec<Check> = (0..8).map(|_| check(nap, "8")).collect();
    let findings = run_checks(&here, Some(&there), &checks, &CheckLimits::default()).await.unwrap();
    let most = |values: Vec<Option<&str>>| {
        values.into_iter().flatten().map(|value| value.parse::<u32>().unwrap()).max().unwrap()
    };
    assert!(most(findings.checks.iter().map(|result| result.found.as_deref()).collect()) > 2, "{findings:?}");
    assert!(most(findings.checks.iter().map(|result| result.source.as_deref()).collect()) <= 2, "{findings:?}");
}

#[tokio::test]
async fn the_source_is_asked_the_same_and_what_it_lacks_is_a_finding() {
    let (restored, source) = (shop(), shop());
    source.sql("shop", "DELETE FROM orders");
    restored.sql(
        "shop",
        "CREATE TABLE dropped (id int); ALTER TABLE dropped OWNER TO postgres; INSERT INTO dropped VALUES (1)",
    );
    restored.sql("postgres", "CREATE DATABASE vanished OWNER postgres");
    restored.sql("vanished", "CREATE TABLE t AS SELECT generate_series(1, 3) AS n; ALTER TABLE t OWNER TO postgres");
    let mut in_vanished = check("SELECT count(*) FROM t", "3");
    in_vanished.database = "vanished".into();
    let mut nowhere = check("SELECT 1", "1");
    nowhere.database = "never_was".into();
    let checks =
        [check("SELECT count(*) FROM orders", "2"), check("SELECT count(*) FROM dropped", "1"), in_vanished, nowhere];
    let (here, there) = (restored.master().await, source.master().await);
    let findings = run_checks(&here, Some(&there), &checks, &CheckLimits::default()).await.unwrap();

    let [orders, dropped, vanished, nowhere] = findings.checks.as_slice() else { panic!("{findings:?}") };
    assert!(orders.passed && orders.source.as_deref() == Some("0"), "{orders}");
    assert!(dropped.passed && dropped.source_note.as_deref().unwrap().contains("does not exist"), "{dropped}");
    assert!(vanished.passed, "{vanished}");
    assert_eq!(vanished.source_note.as_deref(), Some("the database vanished is missing"));
    assert_eq!(reason(nowhere), "the database never_was is missing");

    let counts: Vec<_> = findings.tables.iter().map(|t| (t.table.as_str(), t.restored, t.source)).collect();
    assert_eq!(
        counts,
        [("public.orders", Some(2), Some(0)), ("public.dropped", Some(1), None), ("public.t", Some(3), None)]
    );
    assert!(findings.tables[1].note.as_deref().unwrap().contains("source: relation"), "{:?}", findings.tables[1]);
    assert!(findings.tables[2].note.as_deref().unwrap().contains("source: the database vanished is missing"));
    assert!(findings.notes.is_empty(), "{findings:?}");
}

#[tokio::test]
async fn a_database_whose_drop_was_interrupted_fails_its_own_check_alone() {
    let (rewound, source) = (shop(), shop());
    for server in [&rewound, &source] {
        server.sql("postgres", "CREATE DATABASE legacy OWNER postgres");
    }
    rewound.half_drop("legacy");
    let (server, compared) = (rewound.master().await, source.master().await);
    assert_eq!(invalid_databases(&rewound.maintenance().await).await.unwrap(), ["legacy"]);
    assert_eq!(invalid_databases(&source.maintenance().await).await.unwrap(), Vec::<String>::new());
    let of_legacy = Check { database: "legacy".into(), ..check("SELECT 1", "1") };
    let checks = [of_legacy, check("SELECT count(*) FROM orders", "2")];
    let found = run_checks(&server, Some(&compared), &checks, &CheckLimits::default()).await.unwrap();
    assert!(reason(&found.checks[0]).contains("legacy was being dropped at that moment"), "{}", found.checks[0]);
    assert_eq!(found.checks[0].source.as_deref(), Some("1"));
    assert!(found.checks[1].passed && found.notes.is_empty(), "{found:?}");
}

#[tokio::test]
async fn an_source_that_dies_is_noted_and_stops_nothing_but_the_rewound_data_has_to_answer() {
    let (restored, mut source) = (shop(), shop());
    let (here, there) = (restored.master().await, source.master().await);
    source.crash();
    let checks = [check("SELECT count(*) FROM orders", "2")];
    let findings = run_checks(&here, Some(&there), &checks, &CheckLimits::default()).await.unwrap();
    assert!(findings.checks[0].passed);
    assert_eq!(findings.tables[0].restored, Some(2));
    assert_eq!(findings.notes.len(), 1, "{findings:?}");

    let error = run_checks(&there, Some(&here), &checks, &CheckLimits::default()).await.unwrap_err();
    assert_eq!(error.name, rewind_core::ErrorName::Unavailable);
}

#[tokio::test]
async fn a_source_whose_session_is_ended_in_the_middle_of_a_check_is_asked_the_others() {
    let (restored, source) = (shop(), shop());
    let may_end = ["pg_terminate_backend"];
    let here = restored.master_who_lets_checks_call(&may_end).await;
    let there = source.master_who_lets_checks_call(&may_end).await;
    let end_it =
        "SELECT CASE WHEN (SELECT count(*) FROM orders) = 0 THEN pg_terminate_backend(pg_backend_pid()) END IS NULL";
    source.sql("shop", "DELETE FROM orders");
    let checks = [check(end_it, "t"), check("SELECT count(*) FROM orders", "2")];
    let findings = run_checks(&here, Some(&there), &checks, &CheckLimits::default()).await.unwrap();
    assert!(findings.checks.iter().all(|result| result.passed), "{findings:?}");
    assert_eq!(findings.checks[0].source_note.as_deref(), Some("it stopped answering"));
    assert_eq!(findings.checks[1].source.as_deref(), Some("0"));
    assert_eq!(findings.notes.len(), 1, "{findings:?}");
}

#[tokio::test]
async fn the_tables_counted_are_those_the_database_reports_to_read() {
    let postgres = shop();
    postgres.sql(
        "shop",
        "CREATE SCHEMA \"Sales; DROP\"; GRANT ALL ON SCHEMA \"Sales; DROP\" TO postgres; \
         CREATE TABLE \"Sales; DROP\".\"Li\"\"nes\" AS SELECT generate_series(1, 5) AS n; \
         ALTER TABLE \"Sales; DROP\".\"Li\"\"nes\" OWNER TO postgres; \
         CREATE VIEW seen AS SELECT * FROM orders; ALTER VIEW seen OWNER TO postgres; \
         CREATE TABLE events (day date) PARTITION BY RANGE (day); ALTER TABLE events OWNER TO postgres; \
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); \
         CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); \
         INSERT INTO events VALUES ('2026-01-05'), ('2026-02-05'), ('2026-02-06'); \
         CREATE TABLE secret (owner text); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY own ON secret USING (owner = current_user); \
         INSERT INTO secret VALUES ('somebody'); GRANT SELECT ON secret TO postgres",
    );
    let server = postgres.master().await;
    let checks = [
        check("SELECT count(*) FROM seen JOIN \"Sales; DROP\".\"Li\"\"nes\" l ON l.n = seen.id", "2"),
        check("SELECT count(*) FROM events WHERE day > '2026-01-01'", "3"),
        check("SELECT count(*) FROM pg_tables WHERE tablename = 'orders'", "1"),
        check("SELECT count(*) FROM secret", "0"),
        check("SELECT 1; DELETE FROM orders", "1"),
    ];
    let findings = ask(&server, &checks).await;
    let counts: Vec<_> = findings.tables.iter().map(|t| (t.table.as_str(), t.restored)).collect();
    assert_eq!(
        counts,
        [
            ("Sales; DROP.Li\"nes", Some(5)),
            ("public.orders", Some(2)),
            ("public.events", Some(3)),
            ("public.secret", None)
        ],
        "{findings:?}"
    );
    // Rows that a policy hides would make a count that looks like a loss.
    assert!(findings.tables[3].note.as_deref().unwrap().contains("row-level security"), "{:?}", findings.tables[3]);
}
