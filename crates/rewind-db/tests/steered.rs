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
use rewind_db::{CheckLimits, CompareLimits, CompareRequest, Server, compare_tables, run_checks};
use support::Postgres;
use tokio_postgres::Client;

/// The objects that `app` makes in its own database. Each function ends the session of the canary, in which nothing else does anything,
/// where the login of the checks calls it: indexing and `ANALYZE` call it as the table's owner, and that is no attack.
const PLANTED: &str = "
    CREATE FUNCTION act() RETURNS text LANGUAGE plpgsql AS $$ BEGIN IF current_user = 'postgres' THEN
      PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary'; END IF; RETURN 'acted'; END $$;
    CREATE FUNCTION act_fixed(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.act(); RETURN true; END $$;
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

/// Objects that `app` makes for the planner, which evaluates it for the plainest query. Each table is analysed, without which the planner
/// estimates nothing.
const PLANNED: &str = "
    CREATE FUNCTION act_number(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN PERFORM public.act(); RETURN 1; END $$;
    CREATE FUNCTION act_inlined(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT public.act_number(1) + $1';
    CREATE FUNCTION act_two(integer, integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN PERFORM public.act(); RETURN $1 < $2; END $$;
    CREATE OPERATOR <<<! (LEFTARG = integer, RIGHTARG = integer, FUNCTION = act_two, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
    CREATE OPERATOR >>>! (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4ge, RESTRICT = scalargesel, COMMUTATOR = <<<!);
    CREATE OPERATOR ><> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4lt, RESTRICT = scalarltsel, NEGATOR = >>>!);

    CREATE TABLE numbers (id int, w int);
    INSERT INTO numbers SELECT i % 7, i FROM generate_series(1, 500) i;
    CREATE TABLE inlined AS SELECT * FROM numbers;
    CREATE INDEX ON inlined ((act_inlined(id)));
    CREATE TABLE inlined_where AS SELECT * FROM numbers;
    CREATE INDEX ON inlined_where (w) WHERE act_inlined(id) > 0;
    CREATE TABLE behind_null AS SELECT * FROM numbers;
    CREATE INDEX ON behind_null ((act_number(NULL::int + id)));
    CREATE TABLE estimated AS SELECT * FROM numbers;
    CREATE INDEX ON estimated (w) WHERE id IS NOT NULL OR id <<<! 5;
    CREATE TABLE estimated_in_hops AS SELECT * FROM numbers;
    CREATE INDEX ON estimated_in_hops (w) WHERE id IS NOT NULL OR NOT 5 ><> id;
    CREATE TABLE parent (id int);
    CREATE TABLE child (CHECK (act_inlined(id) > 0)) INHERITS (parent);
    INSERT INTO child SELECT id FROM numbers;
    CREATE TABLE by_key (id int, w int) PARTITION BY LIST (act_inlined(id));
    CREATE TABLE by_key_part PARTITION OF by_key DEFAULT PARTITION BY RANGE (w);
    CREATE TABLE by_key_part_part PARTITION OF by_key_part DEFAULT;
    INSERT INTO by_key SELECT * FROM numbers;
    CREATE TABLE counted AS SELECT * FROM numbers;
    CREATE STATISTICS of_counted ON (act_inlined(id)), w FROM counted;

    CREATE FUNCTION with_default(integer, integer DEFAULT public.act_number(1)) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN RETURN $1; END $$;
    CREATE TABLE defaulted AS SELECT * FROM numbers;
    CREATE INDEX ON defaulted ((with_default(id)));
    CREATE TABLE defaulted_where AS SELECT * FROM numbers;
    CREATE INDEX ON defaulted_where (w) WHERE with_default(id) > 0;
    CREATE TABLE defaulted_parent (id int);
    CREATE TABLE defaulted_child (CHECK (with_default(id) >= 0)) INHERITS (defaulted_parent);
    INSERT INTO defaulted_child SELECT id FROM numbers;
    CREATE TABLE defaulted_key (id int, w int) PARTITION BY LIST (with_default(id));
    CREATE TABLE defaulted_key_part PARTITION OF defaulted_key DEFAULT;
    INSERT INTO defaulted_key SELECT * FROM numbers;
    CREATE TABLE defaulted_count AS SELECT * FROM numbers;
    CREATE STATISTICS of_defaulted ON (with_default(id)), w FROM defaulted_count;

    CREATE FUNCTION act_difference(integer, integer) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN PERFORM public.act(); RETURN 1; END $$;
    CREATE TYPE acting_range AS RANGE (subtype = integer, subtype_diff = act_difference, multirange_type_name = acting_ranges);
    CREATE TYPE holds_a_range AS (during acting_range);
    CREATE TABLE spans (during acting_range, many acting_ranges, held holds_a_range);
    INSERT INTO spans SELECT acting_range(i, i + 10), acting_ranges(acting_range(i, i + 10)), ROW(acting_range(i, i + 10))::holds_a_range
      FROM generate_series(1, 500) i;
    CREATE TABLE spans_where AS SELECT i AS id, i AS w, acting_range(i, i + 10) AS during FROM generate_series(1, 500) i;
    CREATE INDEX ON spans_where (w) WHERE id IS NOT NULL OR during && '[5,7)';

    GRANT SELECT ON numbers, inlined, inlined_where, behind_null, estimated, estimated_in_hops, parent, child, by_key, by_key_part,
      by_key_part_part, counted, spans, spans_where, defaulted, defaulted_where, defaulted_parent, defaulted_child, defaulted_key,
      defaulted_key_part, defaulted_count TO postgres;
    ANALYZE numbers, inlined, inlined_where, behind_null, estimated, estimated_in_hops, parent, child, by_key, by_key_part,
      by_key_part_part, counted, spans, spans_where, defaulted, defaulted_where, defaulted_parent, defaulted_child, defaulted_key,
      defaulted_key_part, defaulted_count, folded, indexed, whole, part, guarded;
";

/// Queries that have the planner evaluate what is planted in [`PLANNED`], as whoever asks.
const PLANNER_ATTACKS: &[&str] = &[
    "SELECT count(*) FROM inlined",
    "SELECT count(*) FROM inlined_where WHERE w = 1",
    "SELECT count(*) FROM behind_null",
    "SELECT count(*) FROM folded",
    "SELECT count(*) FROM estimated WHERE w = 1 AND id IS NOT NULL",
    "SELECT count(*) FROM estimated WHERE w = 1 AND id = 3",
    "SELECT count(*) FROM estimated_in_hops WHERE w = 1 AND id IS NOT NULL",
    "SELECT count(*) FROM numbers WHERE NOT (3 ><> id)",
    "SELECT count(*) FROM numbers WHERE id OPERATOR(public.<<<!) 3",
    "SELECT count(*) FROM parent WHERE id = 5",
    "SELECT count(*) FROM by_key WHERE id = 5",
    "SELECT count(*) FROM by_key_part WHERE id = 5",
    "SELECT count(*) FROM counted WHERE w = 5",
    "SELECT count(*) FROM defaulted",
    "SELECT count(*) FROM defaulted_where WHERE w = 1",
    "SELECT count(*) FROM defaulted_parent WHERE id = 5",
    "SELECT count(*) FROM defaulted_key WHERE id = 5",
    "SELECT count(*) FROM defaulted_count WHERE w = 5",
    "SELECT count(*) FROM spans WHERE during && '[5,7)'",
    "SELECT count(*) FROM spans WHERE many && '{[5,7)}'",
    "SELECT count(*) FROM spans_where WHERE w = 1 AND id = 3",
];

/// Domains whose constraints act without any value, and tables at which the planner asks for them, each by another way. Apart from
/// [`PLANNED`], because a check is kept out of a database that has such a domain, whatever it reads.
const DOMAINS: &str = "
    CREATE DOMAIN acting_word AS text CHECK (act_fixed('x'));
    CREATE DOMAIN over_acting AS acting_word;
    CREATE DOMAIN acting_inside AS text CHECK ((VALUE::acting_word) IS NOT NULL);
    CREATE DOMAIN acting_array AS text[] CHECK (act_fixed('x'));
    CREATE DOMAIN acting_span AS int4range CHECK (act_fixed('x'));
    CREATE TYPE pair_of_acting AS (a acting_word, b int);
    CREATE DOMAIN acting_pair AS pair_of_acting CHECK (act_fixed('x'));
    CREATE TYPE range_of_acting AS RANGE (subtype = acting_word);
    CREATE DOMAIN acting_default AS text DEFAULT act();

    CREATE TABLE words AS SELECT i AS id, i::text AS w FROM generate_series(1, 200) i;
    CREATE TABLE domain_index AS SELECT * FROM words;
    CREATE INDEX ON domain_index ((w::acting_word));
    CREATE TABLE domain_where AS SELECT * FROM words;
    CREATE INDEX ON domain_where (id) WHERE w::acting_word = 'x';
    CREATE TABLE domain_counted AS SELECT * FROM words;
    CREATE STATISTICS of_domain_counted ON (w::acting_word), id FROM domain_counted;
    CREATE TABLE domain_key (id int, w text) PARTITION BY LIST ((w::acting_word));
    CREATE TABLE domain_key_part PARTITION OF domain_key DEFAULT;
    INSERT INTO domain_key SELECT * FROM words;
    CREATE TABLE domain_parent (id int, w text);
    CREATE TABLE domain_child (CHECK (w::acting_word <> '')) INHERITS (domain_parent);
    INSERT INTO domain_child SELECT * FROM words;
    CREATE TABLE domain_over AS SELECT * FROM words;
    CREATE INDEX ON domain_over ((w::over_acting));
    CREATE TABLE domain_inside AS SELECT * FROM words;
    CREATE INDEX ON domain_inside ((w::acting_inside));
    CREATE TABLE domain_elements AS SELECT id, ARRAY[w] AS w FROM words;
    CREATE INDEX ON domain_elements ((w::acting_word[]));
    CREATE TABLE domain_of_array AS SELECT * FROM words;
    CREATE INDEX ON domain_of_array ((ARRAY[w]::acting_array));
    CREATE TABLE domain_of_range AS SELECT * FROM words;
    CREATE INDEX ON domain_of_range ((int4range(id, id + 1)::acting_span));
    CREATE TABLE domain_in_range AS SELECT * FROM words;
    CREATE INDEX ON domain_in_range ((range_of_acting(w, w)));
    CREATE TABLE domain_in_pair AS SELECT * FROM words;
    CREATE INDEX ON domain_in_pair ((ROW(w, id)::pair_of_acting));
    CREATE TABLE domain_of_pair AS SELECT * FROM words;
    CREATE INDEX ON domain_of_pair ((ROW(w, id)::acting_pair));
    CREATE TABLE domain_column (id int, w acting_word, pair pair_of_acting);
    INSERT INTO domain_column SELECT id, w FROM words;
    CREATE INDEX ON domain_column (lower(w));
    CREATE TABLE domain_default AS SELECT * FROM words;
    CREATE INDEX ON domain_default ((w::acting_default));
    GRANT SELECT ON words, domain_index, domain_where, domain_counted, domain_key, domain_key_part, domain_parent, domain_child, domain_over,
      domain_inside, domain_elements, domain_of_array, domain_of_range, domain_in_range, domain_in_pair, domain_of_pair, domain_column,
      domain_default TO postgres;
    ANALYZE words, domain_index, domain_where, domain_counted, domain_key, domain_parent, domain_child, domain_over, domain_inside,
      domain_elements, domain_of_array, domain_of_range, domain_in_range, domain_in_pair, domain_of_pair, domain_column, domain_default;
";

/// Queries that have the planner evaluate what is planted in [`DOMAINS`].
const DOMAIN_ATTACKS: &[&str] = &[
    "SELECT count(*) FROM domain_index",
    "SELECT count(*) FROM domain_where",
    "SELECT count(*) FROM domain_counted",
    "SELECT count(*) FROM domain_key",
    "SELECT count(*) FROM domain_parent WHERE id = 5",
    "SELECT count(*) FROM domain_over",
    "SELECT count(*) FROM domain_inside",
    "SELECT count(*) FROM domain_elements",
    "SELECT count(*) FROM domain_of_array",
    "SELECT count(*) FROM domain_of_range",
    "SELECT count(*) FROM domain_in_range",
    "SELECT count(*) FROM domain_in_pair",
    "SELECT count(*) FROM domain_of_pair",
];

/// A class of operators that acts. On RDS the superuser is not the only one who may make one.
const COMPARED: &str = "
    CREATE TYPE record_of_json AS (id int, word json);
    CREATE FUNCTION json_compared(json, json) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
      $$ BEGIN PERFORM public.act(); RETURN 0; END $$;
    CREATE FUNCTION json_less(json, json) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'booleq';
    CREATE OPERATOR <% (LEFTARG = json, RIGHTARG = json, FUNCTION = json_less);
    CREATE OPERATOR =% (LEFTARG = json, RIGHTARG = json, FUNCTION = json_less);
    CREATE OPERATOR >% (LEFTARG = json, RIGHTARG = json, FUNCTION = json_less);
    CREATE OPERATOR CLASS json_order DEFAULT FOR TYPE json USING btree AS OPERATOR 1 <%, OPERATOR 3 =%, OPERATOR 5 >%,
      FUNCTION 1 json_compared(json, json);
    CREATE TABLE documents (id int, word json);
    INSERT INTO documents VALUES (1, '1'), (2, '2'), (3, '3');
    CREATE INDEX ON documents (word);
    CREATE TABLE pairs (pair record_of_json);
    INSERT INTO pairs VALUES (ROW(1, '1')), (ROW(1, '2'));
    GRANT SELECT ON documents, pairs TO postgres;
    ANALYZE documents;
";

/// Queries that compare by what is planted in [`COMPARED`].
const COMPARING_ATTACKS: &[&str] = &[
    "SELECT string_agg(word::text, '' ORDER BY word) FROM documents",
    "SELECT max(n) FROM (SELECT count(*) AS n FROM documents GROUP BY word) c",
    "SELECT count(*) FROM (SELECT pair FROM pairs ORDER BY pair LIMIT 1) p",
];

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
    server.sql("shop", &format!("SET ROLE app; SET search_path = public; {PLANTED} {PLANNED}"));
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
    for sql in [ATTACKS, PLANNER_ATTACKS].concat() {
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

/// Without this an attack could be none: what is planted for the planner acts where nothing examines the query.
#[tokio::test]
async fn what_is_planted_for_the_planner_acts_where_nothing_examines_it() {
    let postgres = attacked();
    postgres.sql("shop", COMPARED);
    postgres.sql("shop", &format!("SET ROLE app; SET search_path = public; {DOMAINS}"));
    for sql in [PLANNER_ATTACKS, DOMAIN_ATTACKS, COMPARING_ATTACKS].concat() {
        let canary = canary(&postgres).await;
        let config = postgres.client(support::MASTER, "shop");
        let (master, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        master
            .batch_execute(&format!("BEGIN READ ONLY; SET search_path = pg_catalog, public; {sql}"))
            .await
            .expect(sql);
        assert!(canary.batch_execute("SELECT 1").await.is_err(), "nothing acted: {sql}");
    }
}

#[tokio::test]
async fn comparing_tables_makes_the_master_user_act_in_none_of_them() {
    let postgres = attacked();
    postgres.sql("shop", &format!("SET ROLE app; SET search_path = public; {DOMAINS}"));
    let canary = canary(&postgres).await;
    let server = postgres.master().await;
    let (frontier, limits) = (None, CompareLimits::default());
    let request = CompareRequest { first_database: "postgres", frontier, tables: &[], after: None, limits };
    let compared = compare_tables((&server, &server), &request, &rewind_clock::SystemClock).await.unwrap();
    canary.batch_execute("SELECT 1").await.expect("the canary is there");
    for table in [
        "indexed",
        "folded",
        "inlined",
        "behind_null",
        "child",
        "by_key",
        "counted",
        "defaulted",
        "defaulted_where",
        "defaulted_child",
        "defaulted_key",
        "defaulted_count",
        "domain_index",
        "domain_where",
        "domain_counted",
        "domain_key",
        "domain_child",
        "domain_over",
        "domain_inside",
        "domain_elements",
        "domain_of_array",
        "domain_of_range",
        "domain_in_range",
        "domain_in_pair",
        "domain_of_pair",
    ] {
        let found = compared.tables.iter().find(|found| found.name.table == table).expect(table);
        let why = found.not_compared.clone().unwrap_or_default();
        assert!(why.contains("it calls public."), "{found:?}");
    }
    // A column has its values already, and a default is for rows that are written.
    for table in ["numbers", "words", "domain_column", "domain_default"] {
        let found = compared.tables.iter().find(|found| found.name.table == table).expect(table);
        assert!(found.rows.is_some(), "{found:?}");
    }
}

#[tokio::test]
async fn a_class_of_operators_that_acts_is_refused_where_it_compares() {
    let postgres = attacked();
    postgres.sql("shop", COMPARED);
    let canary = canary(&postgres).await;
    let server = postgres.master().await;
    for sql in COMPARING_ATTACKS {
        let result = ask_one(&server, sql).await;
        assert!(result.note.clone().unwrap_or_default().contains("it calls public.json_compared"), "{sql}: {result}");
        canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone after {sql}: {result}"));
    }
    for sql in ["SELECT count(*) FROM orders", "SELECT count(*) FROM pairs", "SELECT max(word) FROM orders"] {
        let result = ask_one(&server, sql).await;
        assert!(result.found.is_some(), "{sql}: {result}");
    }
}

#[tokio::test]
async fn a_domain_a_type_and_a_cast_to_json_that_act_keep_every_check_out_of_the_database() {
    for planted in [
        // Only a superuser makes such a function for a type that is not there yet; its owner puts other code into it.
        "RESET ROLE; CREATE TYPE canonical_range; \
         CREATE FUNCTION act_canonical(canonical_range) RETURNS canonical_range LANGUAGE internal IMMUTABLE AS 'int4range_canonical'; \
         CREATE TYPE canonical_range AS RANGE (subtype = integer, canonical = act_canonical); \
         CREATE OR REPLACE FUNCTION act_canonical(canonical_range) RETURNS canonical_range LANGUAGE plpgsql IMMUTABLE AS \
         $$ BEGIN PERFORM public.act(); RETURN $1; END $$; \
         CREATE DOMAIN acting_domain AS text; CREATE TYPE pair AS (a acting_domain, b int)",
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
            "SELECT '[1,2)'::canonical_range IS NULL",
        ] {
            let result = ask_one(&server, sql).await;
            let note = result.note.clone().unwrap_or_default();
            assert!(note.starts_with("a domain, a type or a cast to JSON"), "{sql}: {result}");
            canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone after {sql}"));
        }
    }
}

#[tokio::test]
async fn a_domain_that_acts_while_a_query_is_planned_keeps_every_check_out_of_the_database() {
    let postgres = attacked();
    postgres.sql("shop", &format!("SET ROLE app; SET search_path = public; {DOMAINS}"));
    let canary = canary(&postgres).await;
    let server = postgres.master().await;
    for sql in DOMAIN_ATTACKS {
        let result = ask_one(&server, sql).await;
        let note = result.note.clone().unwrap_or_default();
        assert!(note.contains("it calls public.act_fixed"), "{sql}: {result}");
        canary.batch_execute("SELECT 1").await.unwrap_or_else(|_| panic!("the canary is gone after {sql}"));
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

/// The objects of ordinary databases, which nobody planted: extensions, and tables with indexes and constraints over functions that may be called.
const ORDINARY: &str = "
    SET ROLE app; SET search_path = public;
    CREATE FUNCTION normal(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN trim(lower($1)); END $$;
    CREATE FUNCTION time_difference(time, time) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT extract(epoch FROM ($1 - $2))';
    CREATE TYPE hours AS RANGE (subtype = time, subtype_diff = time_difference);
    CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
    CREATE DOMAIN email_address AS citext CHECK (VALUE ~ '@');
    CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, address email_address, name citext, tags hstore,
      path ltree, data jsonb, price numeric CHECK (price >= 0), room int, during tstzrange, open hours, measured floats, deleted_at timestamptz,
      lower_email text GENERATED ALWAYS AS (lower(email)) STORED, EXCLUDE USING gist (room WITH =, during WITH &&));
    INSERT INTO customers (email, address, name, tags, path, data, price, room, during, open, measured) SELECT 'User' || i::text || '@Example.com', 'a@b',
      'Name' || i::text, 'a=>1', 'a.b', '{\"a\": 1}', i, i, tstzrange(now(), now() + interval '1 day'), hours('09:00', '17:00'), floats(i, i + 1)
      FROM generate_series(1, 200) i;
    CREATE UNIQUE INDEX ON customers (lower(email)) WHERE deleted_at IS NULL;
    CREATE INDEX ON customers (normal(email));
    CREATE INDEX ON customers (name) WHERE name <> 'nobody' AND price > 10;
    CREATE INDEX ON customers USING gin (email gin_trgm_ops) WHERE email LIKE '%@%';
    CREATE INDEX ON customers USING gin (data jsonb_path_ops) WHERE data ? 'a';
    CREATE INDEX ON customers USING gist (tags) WHERE tags ? 'a';
    CREATE INDEX ON customers USING gist (path) WHERE path <@ 'a';
    CREATE INDEX ON customers ((data ->> 'a'), (coalesce(price, 0)), (date_part('year', deleted_at AT TIME ZONE 'UTC')));
    CREATE INDEX ON customers USING gist (measured) WHERE measured && floats(1, 100);
    CREATE STATISTICS of_customers ON lower(email), price FROM customers;
    CREATE TABLE events (id bigint, at timestamptz, CHECK (id > 0)) PARTITION BY RANGE (at);
    CREATE TABLE events_now PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (id);
    CREATE TABLE events_now_0 PARTITION OF events_now FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    INSERT INTO events VALUES (1, '2026-11-23');
    GRANT SELECT ON customers, events, events_now, events_now_0 TO postgres;
    ANALYZE customers, events;
";

#[tokio::test]
async fn a_check_on_ordinary_indexes_constraints_and_extensions_may_be_asked() {
    let postgres = Postgres::start().with_application();
    postgres.sql("shop", "ALTER SCHEMA public OWNER TO app");
    for extension in ["citext", "pg_trgm", "hstore", "ltree", "btree_gist", "pgcrypto", "unaccent"] {
        postgres.sql("shop", &format!("CREATE EXTENSION {extension} SCHEMA public"));
    }
    postgres.sql("shop", ORDINARY);
    // As PostGIS has one: in C, of an extension that does not only compute.
    postgres.sql(
        "shop",
        "CREATE TYPE place AS (x int); CREATE TABLE visited (place place, words text); INSERT INTO visited VALUES (ROW(1), 'a'); \
         CREATE FUNCTION place_to_json(place) RETURNS json LANGUAGE c AS '$libdir/hstore', 'hstore_to_json'; \
         CREATE CAST (place AS json) WITH FUNCTION place_to_json(place); GRANT SELECT ON visited TO postgres",
    );
    let server = postgres.master().await;
    for (sql, found) in [
        ("SELECT count(*) FROM customers", "200"),
        ("SELECT count(*) FROM customers WHERE deleted_at IS NULL", "200"),
        ("SELECT id FROM customers WHERE lower(email) = 'user7@example.com' AND deleted_at IS NULL", "7"),
        ("SELECT count(*) FROM customers WHERE price > 100", "100"),
        ("SELECT id FROM customers WHERE name = 'NAME9'", "9"),
        ("SELECT count(*) FROM customers WHERE email ILIKE '%user9%'", "11"),
        ("SELECT count(*) FROM customers WHERE data ? 'a' AND tags ? 'a' AND path <@ 'a'", "200"),
        ("SELECT count(*) FROM customers WHERE measured && floats(1, 2)", "1"),
        ("SELECT count(*) FROM customers WHERE during @> now()", "200"),
        ("SELECT count(*) FROM events WHERE id = 1 AND at > '2026-06-01'", "1"),
        ("SELECT count(*) FROM events_now WHERE id = 1", "1"),
        ("SELECT count(*) FROM events_now_0", "1"),
        ("SELECT to_json(words) FROM visited", "\"a\""),
        ("SELECT (place).x FROM visited WHERE words = 'a'", "1"),
    ] {
        let result = ask_one(&server, sql).await;
        assert_eq!(result.found.as_deref(), Some(found), "{sql}: {result}");
    }
    // By their names, which whoever administers the deployment may list: a function of people's in the query, and the difference of a
    // range that the query compares.
    for (sql, function) in [
        ("SELECT count(*) FROM customers WHERE normal(email) = 'x'", "public.normal"),
        ("SELECT count(*) FROM customers WHERE open && hours('08:00', '10:00')", "public.time_difference"),
        ("SELECT to_json(place) FROM visited", "public.place_to_json"),
        ("SELECT json_agg(v) FROM visited v", "public.place_to_json"),
    ] {
        let result = ask_one(&server, sql).await;
        assert!(result.note.clone().unwrap_or_default().contains(&format!("it calls {function}:")), "{sql}: {result}");
        if function == "public.place_to_json" {
            continue;
        }
        let server = postgres.master_who_lets_checks_call(&[function]).await;
        assert!(ask_one(&server, sql).await.found.is_some(), "{sql}");
    }
}

/// A partitioned table of `app`, which the check reads, and a part with a constraint that acts, which is not attached yet.
const UNATTACHED: &str = "
    CREATE TABLE wholly (id int) PARTITION BY RANGE (id);
    CREATE TABLE first_part PARTITION OF wholly FOR VALUES FROM (1) TO (9);
    CREATE TABLE acting_part (id int NOT NULL, CHECK (act_fixed('x')));
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
    assert!(result.note.clone().unwrap_or_default().contains("public.act_fixed"), "{result}");
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
