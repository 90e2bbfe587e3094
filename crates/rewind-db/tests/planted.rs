//! No statement of the product runs what people planted, and none is left out: the statements are read from the source, and each has
//! to be seen in the server's own log while everything that can be planted is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::comparison::RowChanges;
use rewind_core::{Check, CheckDatabases, Expectation};
use rewind_db::fence::{
    FenceTimeouts, LoginRecord, apply, close_logins, inspect, lift, read_logins, terminate_sessions, verify,
    writers_without_session,
};
use rewind_db::jobs::{Jobs, hold_job, list_jobs, release_job};
use rewind_db::opening::{ReadingLogin, close_login, databases_to_open, open_login};
use rewind_db::preflight::{
    Fencing, NetworkFence, Trial, check_findings, database_findings, databases, rights, server_findings,
};
use rewind_db::{
    CheckLimits, CompareLimits, CompareRequest, Network, Server, Settings, compare_counters, compare_tables,
    count_all_tables, estimate_rows, invalid_databases, next_transaction, other_sessions, run_checks, server_identity,
    write_position,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use support::mariadb::{APP_PASSWORD, MariaDb};
use support::{Postgres, credential, network};

/// The words with which a statement begins.
const BEGINNINGS: &[&str] = &[
    "ALTER",
    "BEGIN",
    "CALL",
    "CREATE",
    "DEALLOCATE",
    "DROP",
    "EXECUTE",
    "EXPLAIN",
    "GRANT",
    "LOCK",
    "PREPARE",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "START",
    "UPDATE",
    "WITH",
];

/// A statement of the product, as its source has it.
#[derive(Debug)]
struct Statement {
    file: String,
    text: String,
}

impl Statement {
    /// True if the server was sent the statement, with something in each of its gaps.
    fn is_in(&self, log: &str) -> bool {
        let mut pieces = Vec::new();
        let mut rest = self.text.as_str();
        while let Some((piece, after)) = rest.split_once('{') {
            pieces.push(piece);
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        pieces.push(rest);
        log.lines().any(|line| {
            let mut left = line;
            pieces.iter().all(|piece| match left.split_once(piece) {
                Some((_, after)) => {
                    left = after;
                    true
                }
                None => false,
            })
        })
    }
}

/// The statements in the source of a module, its tests aside: every text that begins as a statement does.
fn statements_of(module: &str) -> Vec<Statement> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
    let mut statements = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for text in texts(&code.join("\n")) {
            let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
            // One word alone is a word that is looked for in somebody's query.
            if BEGINNINGS.contains(&first) && !rest.is_empty() || text == "ROLLBACK" {
                let file = path.file_name().unwrap().to_string_lossy().into_owned();
                statements.push(Statement { file, text });
            }
        }
    }
    statements
}

/// The texts between double quotes in a source, as the compiler reads them.
fn texts(code: &str) -> Vec<String> {
    let (mut texts, mut characters) = (Vec::new(), code.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            // A character, which may be a quote.
            '\'' => {
                let mut ahead = characters.clone();
                let length = if ahead.next() == Some('\\') { 3 } else { 2 };
                if characters.clone().nth(length - 1) == Some('\'') {
                    characters.nth(length - 1);
                }
            }
            '"' => {
                let mut text = String::new();
                while let Some(next) = characters.next() {
                    match next {
                        '"' => break,
                        '\\' => match characters.next() {
                            Some('\n') => while characters.next_if(|c| c.is_whitespace()).is_some() {},
                            Some('n') => text.push('\n'),
                            Some(other) => text.push(other),
                            None => {}
                        },
                        _ => text.push(next),
                    }
                }
                texts.push(text);
            }
            _ => {}
        }
    }
    texts
}

/// Fails with every statement of `module` that the server was not sent; `others` begin those that it cannot be sent here.
fn assert_all_sent(module: &str, log: &str, others: &[&str]) {
    let statements = statements_of(module);
    assert!(statements.len() > 25, "{} statements were found in {module}", statements.len());
    let is_other = |statement: &&Statement| others.iter().any(|begin| statement.text.starts_with(begin));
    for begin in others {
        let found = statements.iter().find(|statement| statement.text.starts_with(begin));
        assert!(!found.expect(begin).is_in(log), "it is sent: {begin}");
    }
    let missing = statements.iter().filter(|other| !is_other(other) && !other.is_in(log));
    let missing: Vec<String> = missing.map(|Statement { file, text }| format!("{file}: {text}")).collect();
    assert!(missing.is_empty(), "{} statements were not sent: {missing:#?}", missing.len());
}

fn check(sql: &str) -> Check {
    Check {
        name: "a check".into(),
        database: "shop".into(),
        sql: sql.into(),
        expectation: Expectation::Expect("2".into()),
    }
}

/// Does all that the product does with a server and nobody's work on it: `first` is a database that it works from.
async fn do_everything(server: &Server, (first, maintenance): (&str, &str), checks: &[Check]) {
    let session = server.open(maintenance).await.unwrap();
    server_identity(&session).await.unwrap();
    invalid_databases(&session).await.unwrap();
    write_position(&session).await.unwrap();
    other_sessions(&session).await.unwrap();
    writers_without_session(&session).await.unwrap();
    databases(&session).await.unwrap();
    for network in [NetworkFence::Missing, NetworkFence::Closed] {
        server_findings(&session, Fencing::Logins { network }).await.unwrap();
    }
    let shop = server.open("shop").await.unwrap();
    rights(&shop).await.unwrap();
    database_findings(&shop).await.unwrap();
    let trial =
        Trial { run_for: Some(Duration::from_secs(5)), check_timeout: Duration::from_secs(5), server: "the writer" };
    for check in checks {
        check_findings(&shop, check, trial).await.unwrap();
    }
    let missing = check_findings(&shop, &check("SELECT no_such_column FROM orders"), trial).await.unwrap();
    assert!(missing.len() == 1 && missing[0].what.contains("no_such_column"), "{missing:?}");
    shop.close().await;
    let found = run_checks(server, Some(server), checks, &CheckLimits::default()).await.unwrap();
    assert!(found.checks.iter().all(|result| result.passed), "{found:?}");
    compare_counters(server, server, first).await.unwrap();
    let estimates = estimate_rows((server, "restored"), (server, "source")).await.unwrap();
    assert!(estimates.are_equal() && estimates.tables > 0 && estimates.notes.is_empty(), "{estimates:?}");
    let Jobs { enabled, .. } = list_jobs(server, &session, None).await.unwrap();
    assert!(!enabled.is_empty());
    for job in &enabled {
        assert_eq!(hold_job(server, job).await.unwrap(), None, "{job:?}");
        assert_eq!(release_job(server, job).await.unwrap(), None, "{job:?}");
    }
    let record = LoginRecord::of(&read_logins(&session).await.unwrap());
    close_logins(&session, &record, FenceTimeouts::default()).await.unwrap();
    let fenced = apply(&session, &record, FenceTimeouts::default()).await.unwrap();
    assert!(fenced.sessions_ended > 0, "{fenced:?}");
    verify(server, &session, &record, &fenced).await.unwrap();
    inspect(&session).await.unwrap();
    terminate_sessions(&session, FenceTimeouts::default()).await.unwrap();
    assert!(!lift(&session, &record).await.unwrap().is_empty());
    session.close().await;
}

/// Opens `shop` to somebody who reads and does `work`, and closes it again.
async fn open_and_close(server: &Server, maintenance: &str, work: impl AsyncFnOnce()) {
    let session = server.open(maintenance).await.unwrap();
    assert!(databases_to_open(&session).await.unwrap().contains(&"shop".to_owned()));
    let login = ReadingLogin {
        user: "rewind_open_0123456789ab".to_owned(),
        password: "Rw-0123456789abcdef".to_owned(),
        from: "127.0.0.1".parse().unwrap(),
        until: "2099-01-01T00:00:00Z".parse().unwrap(),
        database: "shop".to_owned(),
    };
    open_login(server, &session, &login).await.unwrap();
    work().await;
    let closed = close_login(server, &session, &login.user, "shop", true).await.unwrap();
    assert!(closed.first().is_some_and(|done| done.contains("is removed")), "{closed:?}");
    session.close().await;
}

/// Makes two sides of a server and of what was the same, so that every statement of a comparison is sent.
const BEFORE: &str =
    "CREATE TABLE keyless (word varchar(9)); INSERT INTO keyless VALUES ('a'); CREATE TABLE gone (id int)";
const AFTER: &str = "UPDATE orders SET word = 'other' WHERE id = 1; INSERT INTO keyless VALUES ('a'); DROP TABLE gone; CREATE TABLE made (id int)";

/// Compares the tables of people by every method.
async fn compare_everything(sides: (&Server, &Server), first: &str) {
    let session = sides.0.open(first).await.unwrap();
    let frontier = next_transaction(&session).await.unwrap();
    session.close().await;
    for frontier in [None, frontier] {
        let limits = CompareLimits::default();
        let request = CompareRequest { first_database: first, frontier, tables: &[], after: None, limits };
        let found = compare_tables(sides, &request, &rewind_clock::SystemClock).await.unwrap();
        let changes = |table: &str| {
            let found = found.tables.iter().find(|found| found.name.table == table).unwrap();
            found.rows.as_ref().unwrap_or_else(|| panic!("{found:?}")).changes
        };
        assert_eq!(changes("orders"), RowChanges { updated: 1, ..RowChanges::default() });
        assert_eq!(changes("keyless"), RowChanges { inserted: 1, ..RowChanges::default() });
        assert_eq!((changes("gone"), changes("made")), (RowChanges::default(), RowChanges::default()));
    }
}

/// Casts of a type of `app`'s from and to types of the system's, a trigger on a table that the product reads, a rule on another, and an
/// event trigger, besides the functions, operators and views that are in every database (`support/planted.sql`).
const PLANTED: &str = "
    CREATE FUNCTION public.acts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
    CREATE TRIGGER acts BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION public.acts();
    CREATE TYPE mood AS ENUM ('first');
    DO $do$ DECLARE t text; BEGIN
      FOREACH t IN ARRAY ARRAY['text', 'name', 'varchar', 'int4', 'int8', 'oid', 'bool', 'json', 'jsonb', 'timestamptz', 'regclass'] LOOP
        IF t NOT IN ('json', 'jsonb') THEN
          EXECUTE pg_catalog.format('CREATE FUNCTION public.of_mood(mood, %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION ''planted''; END $f$', t, t);
          EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(mood) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION ''planted''; END $f$', 'mood_to_' || t, t);
          EXECUTE pg_catalog.format('CREATE CAST (mood AS %s) WITH FUNCTION public.%I(mood) AS IMPLICIT', t, 'mood_to_' || t);
        END IF;
        EXECUTE pg_catalog.format('CREATE FUNCTION public.to_mood(%s) RETURNS mood LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION ''planted''; END $f$', t);
        EXECUTE pg_catalog.format('CREATE CAST (%s AS mood) WITH FUNCTION public.to_mood(%s) AS IMPLICIT', t, t);
      END LOOP;
    END $do$;
";

/// An event trigger, which only the master user could plant: so it may run where a subscription is switched, and nowhere else.
const EVENT_TRIGGER: &str = "
    CREATE FUNCTION public.acts_on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      IF tg_tag <> 'ALTER SUBSCRIPTION' THEN RAISE EXCEPTION 'planted'; END IF; END $$;
    CREATE EVENT TRIGGER acts ON ddl_command_start EXECUTE FUNCTION public.acts_on_ddl();
";

/// The table of pg_cron, as its library makes it.
const CRON: &str =
    "CREATE SCHEMA cron; CREATE TABLE cron.job (jobid bigserial PRIMARY KEY, schedule text, command text,
    database text, active boolean DEFAULT true, jobname text); GRANT USAGE ON SCHEMA cron TO postgres;
    INSERT INTO cron.job (schedule, command, database, jobname) VALUES ('* * * * *', 'x', 'shop', 'purge');
    GRANT SELECT, UPDATE ON cron.job TO postgres";

#[tokio::test]
async fn postgresql_every_statement_of_the_product_is_sent_and_none_runs_what_was_planted() {
    let settings = [
        "log_statement=all",
        "log_min_messages=error",
        "log_line_prefix=%a|",
        "cron.database_name=shop",
        "wal_level=logical",
    ];
    let postgres = Postgres::start_with(&settings, None).with_application();
    postgres.sql("shop", "GRANT ALL ON SCHEMA public TO app; GRANT SELECT, UPDATE ON orders TO postgres");
    postgres.sql("shop", &format!("SET ROLE app; SET search_path = public; {PLANTED}"));
    postgres.sql("shop", CRON);
    postgres.sql("shop", BEFORE);
    let server = postgres.master().await;
    // Closed as a fence closes it, with a schema that nobody else may use.
    postgres.sql(
        "shop",
        "CREATE SCHEMA apart AUTHORIZATION app; CREATE TABLE apart.t (id int); ALTER TABLE apart.t OWNER TO app",
    );
    postgres.sql("postgres", "ALTER DATABASE shop CONNECTION LIMIT 0; REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
    let prepare = "SET SESSION AUTHORIZATION rewind_open_0123456789ab; BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE; PREPARE TRANSACTION 'kept'";
    let (holder, connection) = postgres.client("postgres", "postgres").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let work = async || {
        postgres.sql("shop", prepare);
        // Somebody holds the login as well, so that it is shut by force.
        holder.batch_execute("BEGIN; ALTER ROLE rewind_open_0123456789ab PASSWORD 'held'").await.unwrap();
    };
    open_and_close(&server, "template1", work).await;
    postgres.sql("postgres", "ALTER DATABASE shop CONNECTION LIMIT -1; GRANT CONNECT ON DATABASE shop TO PUBLIC");
    // As the master user of RDS, which owns its subscriptions.
    postgres.sql("postgres", "ALTER ROLE postgres SUPERUSER");
    postgres.sql(
        "shop",
        "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false); \
         ALTER SUBSCRIPTION feed OWNER TO postgres; ALTER SUBSCRIPTION feed ENABLE",
    );
    for database in ["shop", "postgres"] {
        postgres.sql(database, EVENT_TRIGGER);
    }
    // Somebody who works there, and is in the way of the lock on the table.
    let (app, connection) = postgres.client("app", "shop").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    app.batch_execute("BEGIN; LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    do_everything(&server, ("postgres", "template1"), &[check("SELECT count(*) FROM orders")]).await;
    let restored = postgres.restored();
    postgres.sql("shop", &format!("SET session_replication_role = replica; {AFTER}"));
    compare_everything((&restored.master().await, &server), "template1").await;
    let log = postgres.log();
    let own: String = log.split_inclusive('\n').filter(|line| line.starts_with("aurora-rewind|")).collect();
    let errors: Vec<&str> = own.lines().filter(|line| line.contains("planted")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_all_sent("postgresql", &own, &[]);
}

/// Every name that stands before a bracket in the module of MySQL, and every table of the system's that it reads: each statement that it
/// sends is in it.
fn names_of_the_product() -> BTreeSet<String> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mysql");
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(module).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (at, _) in source.match_indices('(') {
            let before = source[..at].trim_end_matches([' ', '`']);
            let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            names.insert(name.to_ascii_lowercase());
        }
        for schema in ["information_schema.", "performance_schema.", "mysql."] {
            for (at, _) in source.match_indices(schema) {
                let table = source[at + schema.len()..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
                names.insert(table.unwrap().to_ascii_lowercase());
            }
        }
    }
    // Longer names are tests of the module.
    names.retain(|name| (1..=64).contains(&name.len()));
    names
}

/// Not sent to MariaDB, which stands in for MySQL here; and two names of rights.
const OF_MYSQL_ALONE: &[&str] = &[
    "SET SESSION information_schema_stats_expiry",
    "SELECT grantee FROM information_schema.user_privileges",
    "SHOW GRANTS FOR CURRENT_USER() USING",
    "SELECT user, host, account_locked = 'Y' FROM mysql.user",
    "SHOW DATABASES",
    "GRANT OPTION on",
    "SELECT @@global.mandatory_roles",
];

#[tokio::test]
async fn mysql_every_statement_of_the_product_is_sent_and_none_runs_what_was_planted() {
    let mariadb = MariaDb::start_with(&["--event-scheduler=ON"], None).with_application();
    mariadb.sql(
        "shop",
        "CREATE TABLE acted (n INT) ENGINE = MyISAM; \
         CREATE TRIGGER acts BEFORE INSERT ON orders FOR EACH ROW SET NEW.word = (SELECT 1 UNION SELECT 2); \
         CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO INSERT INTO acted VALUES (1); \
         CREATE TABLE cache (n INT) ENGINE = MEMORY",
    );
    mariadb.sql("shop", BEFORE);
    let restored = MariaDb::start().with_application();
    restored.sql("shop", BEFORE);
    let planted = names_of_the_product().into_iter().filter(|name| name != "orders").map(|name| {
        format!(
            "CREATE FUNCTION `{name}`(a text) RETURNS text DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO shop.acted VALUES (1); \
             RETURN (SELECT 1 UNION SELECT 2); END //\n CREATE VIEW `{name}` AS SELECT (SELECT 1 UNION SELECT 2) AS a //\n"
        )
    });
    mariadb.sql("shop", &format!("DELIMITER //\n{}", planted.collect::<String>()));
    mariadb.sql("", "SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1");
    let server = mariadb.master().await;
    let _app = network().connect(&mariadb.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
    // From the database in which everything was planted, and not from those that the product works from.
    open_and_close(&server, "shop", async || {}).await;
    mariadb.sql("shop", "CREATE VIEW calling AS SELECT shop.acting_views('') AS a");
    open_and_close(&server, "shop", async || {}).await;
    mariadb.sql("shop", "DROP VIEW calling");
    do_everything(&server, ("shop", "shop"), &[check("SELECT count(*) FROM orders")]).await;
    count_all_tables(&server, &server, "information_schema", &CheckLimits::default()).await.unwrap();
    let check_databases = CheckDatabases::read(|_| Some("*/shop".to_owned())).unwrap();
    let held = Network::new(Settings { check_databases, ..Settings::default() }).unwrap().for_checks_of("orders");
    let (held, session) =
        Server::connect(&held, &mariadb.target(), &[support::mariadb::master()], "shop").await.unwrap();
    session.close().await;
    let found =
        run_checks(&held, None, &[check("SELECT count(*) FROM shop.orders")], &CheckLimits::default()).await.unwrap();
    assert!(found.checks[0].passed, "{found:?}");
    mariadb.sql("shop", AFTER);
    compare_everything((&restored.master().await, &server), "shop").await;
    mariadb.sql("", "SET GLOBAL general_log = 0");
    let own = mariadb.sql(
        "",
        "SELECT convert(argument USING utf8mb4) FROM mysql.general_log WHERE command_type IN ('Query', 'Prepare') \
         AND user_host LIKE '%admin%'",
    );
    assert_eq!(mariadb.sql("shop", "SELECT count(*) FROM acted"), "0");
    assert_all_sent("mysql", &own, OF_MYSQL_ALONE);
}
