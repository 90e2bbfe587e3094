//! Somebody who may create in a database, or who gives a check, can make the master user run nothing. The statements of the
//! product itself are held against what was planted under every name in them by all tests of this crate (`support/planted.sql`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::{Check, CheckResult, Expectation};
use rewind_db::{CheckLimits, Server, run_checks};
use support::Postgres;
use tokio_postgres::Client;

/// The objects that `app` makes in its own database. Each function ends the session of the canary, in which nothing else does anything.
const PLANTED: &str = "
    CREATE FUNCTION act() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary'; RETURN 'acted'; END $$;
    CREATE FUNCTION act_fixed(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM act(); RETURN true; END $$;
    CREATE FUNCTION act_both(text, varchar) RETURNS text LANGUAGE sql AS 'SELECT act()';
    CREATE OPERATOR === (LEFTARG = text, RIGHTARG = varchar, FUNCTION = act_both);
    CREATE VIEW acting AS SELECT act() AS a;
    CREATE VIEW behind AS SELECT a FROM acting WHERE a <> '';
    CREATE TABLE guarded (id int);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY acts ON guarded USING (act_fixed('x'));
    GRANT SELECT ON guarded, acting, behind TO postgres;
    CREATE TYPE mood AS ENUM ('good');
    CREATE FUNCTION act_not(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.act(); RETURN true; END $$;
    CREATE OPERATOR !=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = act_not);
    CREATE OPERATOR ==== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq, NEGATOR = !===);
    CREATE TABLE folded (id int, word text);
    CREATE INDEX ON folded ((act_fixed(COALESCE('x', word))));
    GRANT SELECT ON folded TO postgres;
    CREATE FUNCTION act_on(orders) RETURNS text LANGUAGE sql AS 'SELECT public.act()';
    CREATE FUNCTION act_more(text, text) RETURNS text LANGUAGE sql AS 'SELECT public.act()';
    CREATE AGGREGATE act_all(text) (SFUNC = act_more, STYPE = text);
    CREATE TABLE indexed (id int);
    CREATE INDEX ON indexed ((act_fixed('x')));
    GRANT SELECT ON indexed TO postgres;
    CREATE TABLE whole (id int) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF whole (CHECK (act_fixed('x'))) FOR VALUES FROM (1) TO (9);
    GRANT SELECT ON whole, part TO postgres;
";

/// Tables outside of the database, which only whoever administers the server makes.
const FOREIGN: &str = "
    CREATE EXTENSION file_fdw;
    CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
    CREATE FOREIGN TABLE far (line text) SERVER files OPTIONS (filename '/etc/passwd', delimiter '|');
    CREATE TABLE near (line text) PARTITION BY LIST (line);
    CREATE FOREIGN TABLE near_part PARTITION OF near DEFAULT SERVER files OPTIONS (filename '/etc/passwd', delimiter '|');
    CREATE VIEW far_away AS SELECT line FROM far;
    GRANT SELECT ON far, near, near_part, far_away TO postgres;
";

/// Checks that would act, each in a way of its own.
const ATTACKS: &[&str] = &[
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary'",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary'",
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'canary' AND pg_terminate_backend(pid)",
    "SELECT pg_drop_replication_slot('kept')",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_reload_conf()",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT txid_current()",
    "SELECT act()",
    "SELECT public.act()",
    "SELECT (SELECT (VALUES (act())))",
    "WITH a AS MATERIALIZED (SELECT act() AS x) SELECT count(*) FROM a",
    "SELECT count(*) FROM generate_series(1, 2) n, LATERAL (SELECT act() || n::text) a",
    "SELECT count(*) FILTER (WHERE act_fixed('x')) FROM orders",
    "SELECT first_value(act()) OVER (ORDER BY act()) FROM orders LIMIT 1",
    "SELECT count(*) FROM orders ORDER BY act()",
    "SELECT count(*) FROM orders WHERE act_fixed('x')",
    "SELECT word FROM orders LIMIT (SELECT length(act()))",
    "SELECT CASE WHEN act() = '' THEN 1 END",
    "SELECT 'a'::text || 1",
    "SELECT 'a'::text === 'b'::varchar",
    "SELECT 'a'::text OPERATOR(public.===) 'b'",
    "SELECT count(*) FROM acting",
    "SELECT count(*) FROM behind",
    "TABLE behind",
    "SELECT count(*) FROM guarded",
    "SELECT NOT (1 ==== 1)",
    "SELECT count(*) FROM folded",
    "SELECT count(*) FROM crosstab('select public.act(), 1, 1') AS t(a text, b text)",
    "SELECT o.act_on FROM orders o LIMIT 1",
    "SELECT act_all(word) FROM orders",
    "SELECT act_all(word) OVER () FROM orders LIMIT 1",
    "SELECT query_to_xml('SELECT public.act()', true, true, '')",
    "SELECT table_to_xml('public.acting', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT database_to_xmlschema(true, true, '')",
    "SELECT schema_to_xmlschema('public', true, true, '')",
    "SELECT count(*) FROM indexed",
    "SELECT count(*) FROM whole",
    "EXPLAIN (ANALYZE) SELECT act()",
    "SELECT count(*) FROM orders TABLESAMPLE SYSTEM ((SELECT length(act())))",
    "SELECT count(*) FROM xmltable('/a' PASSING act()::xml COLUMNS b text)",
    "SELECT (act(), 1) IN (SELECT 'a', 1)",
    "SELECT COALESCE(NULL, act())",
    "SELECT '{1}'::int[] = ARRAY[length(act())]",
    "SELECT count(*) FROM far",
    "SELECT count(*) FROM near",
    "SELECT count(*) FROM far_away",
];

async fn canary(server: &Postgres) -> Client {
    let mut config = server.client("app", "shop");
    let (client, connection) = config.application_name("canary").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask_one(server: &Server, sql: &str) -> CheckResult {
    let check = Check {
        name: "a check".into(),
        database: "shop".into(),
        sql: sql.into(),
        expectation: Expectation::Expect("acted".into()),
    };
    run_checks(server, None, &[check], &CheckLimits::default()).await.unwrap().checks.remove(0)
}

fn attacked() -> Postgres {
    let server = Postgres::start_with(&["wal_level=logical"], None).with_application();
    server.sql("shop", "ALTER SCHEMA public OWNER TO app; GRANT SELECT ON orders TO postgres");
    server.sql("shop", &format!("SET ROLE app; SET search_path = public; {PLANTED}"));
    // Trusted: whoever may create in the database may have it.
    server.sql("shop", "CREATE EXTENSION tablefunc SCHEMA public");
    server.sql("shop", FOREIGN);
    server.sql("shop", "SELECT pg_create_logical_replication_slot('kept', 'pgoutput')");
    server
}

#[tokio::test]
async fn no_check_makes_the_master_user_act() {
    let postgres = attacked();
    let canary = canary(&postgres).await;
    let server = postgres.master().await;
    for sql in ATTACKS {
        let result = ask_one(&server, sql).await;
        let note = result.note.clone().unwrap_or_default();
        assert!(!result.passed && !note.is_empty(), "{sql}: {result}");
        assert!(!note.starts_with("NULL"), "{sql}: {result}");
        canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone after {sql}: {result}"));
        assert_eq!(postgres.sql("postgres", "SELECT count(*) FROM pg_replication_slots"), "1", "{sql}");
    }
    // By what reads it: whoever administers the deployment may list that.
    for table in ["far", "near", "far_away"] {
        let result = ask_one(&server, &format!("SELECT count(*) FROM {table}")).await;
        assert!(result.note.as_ref().is_some_and(|note| note.contains("file_fdw_handler")), "{result}");
    }
}

#[tokio::test]
async fn a_domain_and_a_cast_to_json_that_act_keep_every_check_out_of_the_database() {
    for planted in [
        "CREATE DOMAIN acting_domain AS text CHECK (act_fixed(VALUE)); CREATE TYPE pair AS (a acting_domain, b int)",
        "CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE sql AS 'SELECT to_json(public.act())'; \
         CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood)",
    ] {
        let postgres = attacked();
        postgres.sql("shop", &format!("SET ROLE app; SET search_path = public; {planted}"));
        let canary = canary(&postgres).await;
        let server = postgres.master().await;
        for sql in [
            "SELECT count(*) FROM orders",
            "SELECT 'x'::acting_domain",
            "SELECT '{x}'::acting_domain[]",
            "SELECT '(x,1)'::pair",
            "SELECT CAST(word AS acting_domain) FROM orders LIMIT 1",
            "SELECT ROW('x', 1)::pair",
            "SELECT count(*) FROM json_to_record('{\"a\": 1}') x(a acting_domain)",
            "SELECT json_populate_record(NULL::pair, '{\"a\": \"x\"}')",
            "SELECT to_json('good'::mood)",
            "SELECT json_agg(m) FROM (VALUES ('good'::mood)) v(m)",
        ] {
            let result = ask_one(&server, sql).await;
            let note = result.note.clone().unwrap_or_default();
            assert!(note.starts_with("a domain or a cast to JSON"), "{sql}: {result}");
            canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone after {sql}"));
        }
    }
}

#[tokio::test]
async fn a_table_that_pretends_to_be_pg_cron_s_is_not_read() {
    let postgres = Postgres::start_with(&["cron.database_name=shop"], None).with_application();
    postgres.sql("shop", "GRANT CREATE ON DATABASE shop TO app");
    postgres.sql(
        "shop",
        "SET ROLE app; SET search_path = public; CREATE SCHEMA cron; GRANT USAGE ON SCHEMA cron TO postgres; \
         CREATE TABLE cron.job (jobid int, jobname text, active boolean, schedule text, database text); \
         INSERT INTO cron.job VALUES (1, 'planted', true, '* * * * *', 'shop'); GRANT ALL ON cron.job TO postgres",
    );
    let session = postgres.master().await.open("shop").await.unwrap();
    let findings = rewind_db::preflight::database_findings(&session).await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let jobs = rewind_db::jobs::list_jobs(&postgres.master().await, &session, None).await.unwrap();
    assert!(!format!("{jobs:?}").contains("planted"), "{jobs:?}");
}

#[tokio::test]
async fn what_only_reads_may_be_asked_whatever_was_planted_beside_it() {
    let postgres = attacked();
    let server = postgres.master().await;
    for sql in [
        "SELECT count(*) FROM orders",
        "SELECT count(*) FROM orders WHERE word LIKE 'f%' AND id BETWEEN 1 AND 9",
        "SELECT sum(id) OVER (ORDER BY word) FROM orders LIMIT 1",
        "SELECT string_agg(upper(word), ', ' ORDER BY id) FROM orders",
        "SELECT now() - interval '1 day' < clock_timestamp() AND random() < 2",
        "SELECT pg_total_relation_size('orders') > 0",
        "SELECT jsonb_agg(o) -> 0 ->> 'word' FROM orders o",
        "SELECT to_tsvector('english', 'a fat cat') @@ to_tsquery('cat')",
        "SELECT md5(string_agg(o::text, '' ORDER BY id)) FROM orders o",
        "SELECT count(*) FROM information_schema.tables",
        "SELECT gen_random_uuid() IS NOT NULL",
        "SELECT array_length(ARRAY(SELECT id FROM orders), 1)",
        "SHOW server_version",
    ] {
        let result = ask_one(&server, sql).await;
        assert!(result.found.is_some(), "{sql}: {result}");
    }
}

/// A partitioned table of `app`, which the check reads, and a part with a constraint that acts, which is not attached yet.
const UNATTACHED: &str = "
    CREATE TABLE wholly (id int) PARTITION BY RANGE (id);
    CREATE TABLE first_part PARTITION OF wholly FOR VALUES FROM (1) TO (9);
    CREATE FUNCTION act_as_master(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
      IF current_user = 'postgres' THEN PERFORM public.act(); END IF; RETURN true; END $$;
    CREATE TABLE acting_part (id int NOT NULL, CHECK (act_as_master('x')));
    GRANT SELECT ON wholly TO postgres;
";

const ATTACH: &str = "ALTER TABLE wholly ATTACH PARTITION acting_part FOR VALUES FROM (9) TO (20)";

async fn application(server: &Postgres) -> Client {
    let (client, connection) = server.client("app", "shop").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Counts the sessions of the product in which a check sleeps.
const SLEEPS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'postgres'";

/// Counts the sessions of the product that wait for a lock.
const BLOCKED: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'postgres'";

/// Waits until the server counts some of these sessions.
async fn await_sessions(server: &Postgres, count: &str) {
    for _ in 0..200 {
        if server.sql("postgres", count) != "0" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("none was counted by {count}");
}

#[tokio::test]
async fn a_part_that_is_attached_while_a_check_is_examined_is_examined_too() {
    let postgres = attacked();
    postgres.sql("shop", &format!("SET ROLE app; SET search_path = public; {UNATTACHED}"));
    let (canary, app) = (canary(&postgres).await, application(&postgres).await);
    let server = postgres.master().await;
    // The check is held where the first statement of its transaction is over, and nothing of the table was read.
    app.batch_execute("BEGIN; LOCK TABLE orders").await.unwrap();
    let check = tokio::spawn(async move { ask_one(&server, "SELECT count(*) FROM wholly, orders").await });
    await_sessions(&postgres, BLOCKED).await;
    application(&postgres).await.batch_execute(ATTACH).await.unwrap();
    // Attaching evaluates the constraint as well, as `app`.
    canary.batch_execute("SELECT 1").await.unwrap();
    app.batch_execute("COMMIT").await.unwrap();
    let result = check.await.unwrap();
    assert!(result.note.clone().unwrap_or_default().contains("public.act_as_master"), "{result}");
    canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone: {result}"));
}

#[tokio::test]
async fn a_function_that_fits_better_and_is_planted_while_a_check_is_examined_is_not_found() {
    let postgres = attacked();
    let (canary, app) = (canary(&postgres).await, application(&postgres).await);
    let server = postgres.master().await;
    // Only the examination reads it, after the statement was prepared.
    let in_the_way = "BEGIN; LOCK TABLE pg_partitioned_table; PREPARE TRANSACTION 'in the way'";
    postgres.sql("shop", in_the_way);
    let check = tokio::spawn(async move { ask_one(&server, "SELECT max(length(word::varchar)) FROM orders").await });
    await_sessions(&postgres, BLOCKED).await;
    app.batch_execute(
        "CREATE FUNCTION length(varchar) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM public.act(); RETURN 99; END'",
    )
    .await
    .unwrap();
    postgres.sql("shop", "ROLLBACK PREPARED 'in the way'");
    let result = check.await.unwrap();
    assert_eq!(result.found.as_deref(), Some("6"), "{result}");
    canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone: {result}"));
}

#[tokio::test]
async fn nothing_is_attached_while_a_check_runs_whose_login_may_lock_the_table() {
    let postgres = attacked();
    postgres.sql(
        "shop",
        &format!("SET ROLE app; SET search_path = public; {UNATTACHED} GRANT UPDATE ON wholly TO postgres"),
    );
    let (app, other) = (application(&postgres).await, application(&postgres).await);
    let server = postgres.master().await;
    let check = tokio::spawn(async move { ask_one(&server, "SELECT count(*) FROM wholly, pg_sleep(3)").await });
    await_sessions(&postgres, SLEEPS).await;
    // Clients go on reading and writing.
    other.batch_execute("INSERT INTO wholly VALUES (1); UPDATE wholly SET id = 2; SELECT * FROM wholly").await.unwrap();
    let refused = app.batch_execute(&format!("SET lock_timeout = '200ms'; {ATTACH}")).await.unwrap_err();
    assert_eq!(refused.code(), Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE), "{refused}");
    let result = check.await.unwrap();
    assert_eq!(result.found.as_deref(), Some("0"), "{result}");
    app.batch_execute(ATTACH).await.unwrap();
}

#[tokio::test]
async fn a_function_that_another_user_made_under_a_listed_name_is_not_called() {
    let postgres = attacked();
    postgres.sql(
        "shop",
        "CREATE FUNCTION public.balance(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$",
    );
    let canary = canary(&postgres).await;
    let (by_name, fits_better) = ("SELECT balance(word) FROM orders LIMIT 1", "SELECT balance('x'::varchar)");
    let server = postgres.master_who_lets_checks_call(&["public.balance"]).await;
    assert_eq!(ask_one(&server, by_name).await.found.as_deref(), Some("first"));
    postgres.sql(
        "shop",
        "SET ROLE app; CREATE FUNCTION public.balance(varchar) RETURNS text LANGUAGE sql AS 'SELECT public.act()'",
    );
    for sql in [by_name, fits_better] {
        let result = ask_one(&server, sql).await;
        assert!(result.note.clone().unwrap_or_default().contains("more than one user"), "{sql}: {result}");
    }
    let server = postgres.master_who_lets_checks_call(&["public.balance(text)"]).await;
    assert_eq!(ask_one(&server, by_name).await.found.as_deref(), Some("first"));
    let result = ask_one(&server, fits_better).await;
    assert!(result.note.clone().unwrap_or_default().contains("it calls public.balance"), "{result}");
    canary.batch_execute("SELECT 1").await.expect("the canary is gone");
}
