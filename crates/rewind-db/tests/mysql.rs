//! Aurora MySQL's side of everything, against a real MariaDB whose master user has what RDS gives and no more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rewind_core::Engine;
use rewind_core::{Check, CheckDatabases, CheckResult, ErrorName, Expectation, StepError, Tls};
use rewind_db::fence::{
    Account, FenceTimeouts, Inspection, LoginRecord, apply, inspect, lift, read_logins, terminate_sessions, verify,
};
use rewind_db::{CheckLimits, ConnectError, Findings, Network, Server, Settings, Target, run_checks, server_identity};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::mariadb::{APP_PASSWORD, MASTER, MASTER_PASSWORD, MariaDb, master};
use support::{Directory, credential, network};

const ENDPOINT: &str = "localhost";

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
    let mariadb = MariaDb::start().with_application();
    let server = mariadb.master().await;
    for (sql, expect) in [
        ("SELECT count(*) FROM orders", "2"),
        ("SELECT count(*), 'ignored' FROM orders;", "2.0"),
        ("SELECT word FROM orders WHERE id = 1 -- the first", "first"),
        ("SELECT true", "1"),
        ("SELECT cast('12345678901234567890.10' AS decimal(30, 2))", "12345678901234567890.1"),
        ("WITH o AS (SELECT * FROM orders) SELECT max(id) FROM o", "2"),
        ("VALUES ('x')", "x"),
        ("SELECT date '2026-11-23'", "2026-11-23"),
        ("SELECT timestamp '2026-11-23 10:30:00.25'", "2026-11-23 10:30:00.25"),
        ("SELECT 'grüße'", "grüße"),
        ("SELECT x'ff00'", "0xFF00"),
        ("SELECT ''", ""),
        ("SELECT count(*) FROM (SELECT 1 UNION ALL SELECT 2) q", "2"),
    ] {
        let result = ask_one(&server, sql, expect).await;
        assert!(result.passed, "{sql}: {result}");
        assert!(result.seconds > 0.0 && result.source.is_none());
    }
}

#[tokio::test]
async fn what_is_no_single_value_is_a_failed_check_that_reports_it() {
    let mariadb = MariaDb::start().with_application();
    let server = mariadb.master().await;
    for (sql, because) in [
        ("SELECT id FROM orders WHERE false", "no row"),
        ("SELECT id FROM orders", "2 rows"),
        ("SELECT seq FROM seq_1_to_20000", "20000 rows"),
        ("SELECT max(id) FROM orders WHERE false", "NULL"),
        ("SELECT count(*) FROM no_such_table", "Table 'shop.no_such_table' doesn't exist (1146)"),
        ("SELECT FROM", "error in your SQL syntax"),
        ("", "no query"),
        ("-- nothing", "no query"),
        ("CALL mysql.rds_kill(1)", "no query"),
        ("SELECT ?", "(1064)"),
        ("SELECT 1; DELETE FROM orders", "(1064)"),
    ] {
        let result = ask_one(&server, sql, "1").await;
        assert!(reason(&result).contains(because), "{sql}: {result}");
    }
    assert!(ask_one(&server, "SELECT 1", "1").await.passed);
}

/// Everything that a check may not change, as the superuser sees it.
fn contents(server: &MariaDb) -> String {
    [
        server.sql("shop", "SELECT * FROM orders ORDER BY id; SELECT * FROM plain; SELECT * FROM heap"),
        server.sql("shop", "SHOW FULL TABLES; SHOW CREATE TABLE orders; SELECT next_not_cached_value FROM counter"),
        server.accounts(),
    ]
    .join("\n--\n")
}

#[tokio::test]
async fn no_check_can_write() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql(
        "shop",
        "CREATE TABLE plain (n INT) ENGINE = MyISAM; CREATE TABLE heap (n INT) ENGINE = MEMORY; \
         INSERT INTO plain VALUES (1); INSERT INTO heap VALUES (1); CREATE SEQUENCE counter",
    );
    mariadb.sql(
        "shop",
        "DELIMITER //\nCREATE FUNCTION sneak() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM orders; RETURN 1; END //\n\
         CREATE FUNCTION sneak_plain() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM plain; RETURN 1; END //\n\
         CREATE FUNCTION sneak_writable() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN SET SESSION tx_read_only = 0; \
         DELETE FROM orders; RETURN 1; END //\n\
         CREATE PROCEDURE commit_first() BEGIN COMMIT; DELETE FROM orders; COMMIT; SELECT 1; END //",
    );
    let before = contents(&mariadb);
    let server = mariadb.master().await;
    let attempts = [
        "DELETE FROM orders",
        "DELETE FROM orders RETURNING id",
        "INSERT INTO orders (word) VALUES ('x') RETURNING id",
        "REPLACE INTO orders VALUES (1, 'x') RETURNING id",
        "DELETE FROM plain RETURNING n",
        "INSERT INTO heap VALUES (2) RETURNING n",
        "UPDATE orders SET word = 'x'",
        "TRUNCATE orders",
        "DROP TABLE orders",
        "ALTER TABLE orders ADD COLUMN x INT",
        "CREATE TABLE copy AS SELECT * FROM orders",
        "CREATE TEMPORARY TABLE t (n INT)",
        "RENAME TABLE orders TO gone",
        "OPTIMIZE TABLE orders",
        "OPTIMIZE TABLE plain",
        "ANALYZE TABLE orders",
        "CHECK TABLE orders",
        "REPAIR TABLE plain",
        "ANALYZE DELETE FROM orders",
        "ANALYZE FORMAT=JSON DELETE FROM orders",
        "SELECT * FROM orders INTO OUTFILE '/tmp/rewind-db-outfile'",
        "SELECT word INTO DUMPFILE '/tmp/rewind-db-dumpfile' FROM orders LIMIT 1",
        "SELECT 1 INTO @x",
        "COMMIT",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "COMMIT; DELETE FROM orders",
        "SELECT 1; COMMIT; DELETE FROM orders",
        "SELECT 1;; DELETE FROM orders",
        "START TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET SESSION TRANSACTION READ WRITE",
        "SET tx_read_only = 0",
        "SET STATEMENT tx_read_only = 0 FOR DELETE FROM orders RETURNING id",
        "BEGIN NOT ATOMIC DELETE FROM orders; END",
        "EXECUTE IMMEDIATE 'DELETE FROM orders RETURNING id'",
        "PREPARE p FROM 'DELETE FROM orders'",
        "CALL commit_first()",
        "DO sneak()",
        "SELECT sneak()",
        "SELECT sneak_plain()",
        "SELECT sneak_writable()",
        "SELECT NEXTVAL(counter)",
        "SELECT count(*) FROM orders FOR UPDATE",
        "LOCK TABLES orders WRITE",
        "FLUSH TABLES WITH READ LOCK",
        "GRANT ALL ON shop.* TO app@'%'",
        "ALTER USER app@'%' ACCOUNT LOCK",
        "CREATE USER x@'%'",
        "HANDLER orders OPEN",
        "XA START 'x'",
        "KILL 1",
        "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE orders (word)",
        "/*! DELETE FROM orders RETURNING id */",
    ];
    for sql in attempts {
        let result = ask_one(&server, sql, "no such answer").await;
        assert!(!reason(&result).is_empty(), "{sql} was run, and answered {result}");
        assert_eq!(contents(&mariadb), before, "after {sql}");
    }
    // All of them in one session, where what one left behind could help the next.
    let checks: Vec<Check> = attempts.iter().map(|sql| check(sql, "no such answer")).collect();
    let findings = ask(&server, &checks).await;
    assert!(findings.checks.iter().all(|result| !result.passed));
    assert_eq!(contents(&mariadb), before);
}

#[tokio::test]
async fn a_check_that_takes_too_long_or_waits_for_a_lock_is_stopped_and_the_others_go_on() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql("shop", "CREATE TABLE locked (n INT)");
    let server = mariadb.master().await;
    let mut blocker = support::mariadb::client(mariadb.address, mariadb.port, "app", APP_PASSWORD);
    let mut process = blocker.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.as_mut().unwrap().write_all(b"LOCK TABLES locked WRITE; SELECT 'locked';\n").unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let limits = CheckLimits {
        check: Duration::from_millis(400),
        lock: Duration::from_millis(100),
        count: Duration::from_millis(200),
        ..CheckLimits::default()
    };
    let checks = [
        check("SELECT sleep(30)", ""),
        check("SELECT count(*) FROM locked", "0"),
        check("SELECT count(*) FROM orders", "2"),
    ];
    let started = Instant::now();
    let findings = run_checks(&server, None, &checks, &limits).await.unwrap();
    drop(process.kill());
    drop(process.wait());
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(reason(&findings.checks[0]), STOPPED);
    assert_eq!(reason(&findings.checks[1]), STOPPED);
    assert!(findings.checks[2].passed, "{}", findings.checks[2]);
}

#[tokio::test]
async fn a_function_that_people_stored_under_the_name_of_the_servers_does_not_run() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql(
        "shop",
        "CREATE FUNCTION `max`(n int) RETURNS int DETERMINISTIC RETURN -1; \
         CREATE FUNCTION `left`(a text, n int) RETURNS text DETERMINISTIC RETURN 'stored'",
    );
    let server = mariadb.master().await;
    for sql in
        ["SELECT max (id) FROM orders", "SELECT `max`(id) FROM orders", "SELECT max/**/(2)", "SELECT `left`('ab', 1)"]
    {
        let found = ask_one(&server, sql, "2").await;
        assert!(reason(&found).contains("apart from its bracket"), "{sql}: {found}");
    }
    assert!(ask_one(&server, "SELECT max(id) FROM orders", "2").await.passed);
    assert!(ask_one(&server, "SELECT left('ab', 1)", "a").await.passed);
    let unlimited = ask_one(&server, "SELECT /*+ MAX_EXECUTION_TIME(4294967295) */ 1", "1").await;
    assert!(reason(&unlimited).contains("/*+"), "{unlimited}");
}

#[tokio::test]
async fn the_source_is_asked_the_same_and_what_it_lacks_is_a_finding() {
    let (restored, source) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    source.sql("shop", "DELETE FROM orders");
    restored.sql(
        "",
        "CREATE TABLE shop.dropped AS SELECT 1 AS n; CREATE DATABASE vanished; CREATE TABLE vanished.t AS SELECT 1 n",
    );
    let mut in_vanished = check("SELECT count(*) FROM t", "1");
    in_vanished.database = "vanished".into();
    let mut nowhere = check("SELECT 1", "1");
    nowhere.database = "never_was".into();
    let checks =
        [check("SELECT count(*) FROM orders", "2"), check("SELECT count(*) FROM dropped", "1"), in_vanished, nowhere];
    let (here, there) = (restored.master().await, source.master().await);
    let findings = run_checks(&here, Some(&there), &checks, &CheckLimits::default()).await.unwrap();
    let [orders, dropped, vanished, nowhere] = findings.checks.as_slice() else { panic!("{findings:?}") };
    assert!(orders.passed && orders.source.as_deref() == Some("0"), "{orders}");
    assert!(dropped.passed && dropped.source_note.as_deref().unwrap().contains("doesn't exist"), "{dropped}");
    assert!(vanished.passed, "{vanished}");
    assert_eq!(vanished.source_note.as_deref(), Some("the database vanished is missing"));
    assert_eq!(reason(nowhere), "the database never_was is missing");
    let counts: Vec<_> = findings.tables.iter().map(|t| (t.table.as_str(), t.restored, t.source)).collect();
    assert_eq!(
        counts,
        [("shop.orders", Some(2), Some(0)), ("shop.dropped", Some(1), None), ("vanished.t", Some(1), None)]
    );
}

#[tokio::test]
async fn an_source_that_dies_is_noted_and_stops_nothing_but_the_rewound_data_has_to_answer() {
    let (restored, mut source) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let (here, there) = (restored.master().await, source.master().await);
    source.crash();
    let checks = [check("SELECT count(*) FROM orders", "2")];
    let findings = run_checks(&here, Some(&there), &checks, &CheckLimits::default()).await.unwrap();
    assert!(findings.checks[0].passed);
    assert_eq!(findings.notes.len(), 1, "{findings:?}");
    let error = run_checks(&there, Some(&here), &checks, &CheckLimits::default()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
}

#[tokio::test]
async fn the_tables_counted_are_those_the_database_reports_to_read() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql(
        "shop",
        "CREATE DATABASE `sa``les; DROP`; CREATE TABLE `sa``les; DROP`.`li.nes` AS SELECT 1 AS n; \
         CREATE VIEW seen AS SELECT * FROM orders; \
         CREATE ALGORITHM = TEMPTABLE VIEW kept AS SELECT DISTINCT s.id FROM seen s; \
         CREATE TABLE events (day DATE) PARTITION BY RANGE (to_days(day)) \
           (PARTITION a VALUES LESS THAN (to_days('2026-02-01')), PARTITION b VALUES LESS THAN MAXVALUE); \
         INSERT INTO events VALUES ('2026-01-05'), ('2026-02-05'), ('2026-02-06')",
    );
    let server = mariadb.master().await;
    let tables = async |sql: &str| -> Vec<(String, Option<u64>)> {
        let findings = ask(&server, &[check(sql, "1")]).await;
        findings.tables.into_iter().map(|table| (table.table, table.restored)).collect()
    };
    let named = |pairs: &[(&str, u64)]| -> Vec<(String, Option<u64>)> {
        pairs.iter().map(|(name, rows)| ((*name).to_owned(), Some(*rows))).collect()
    };
    assert_eq!(tables("SELECT count(*) FROM orders o WHERE o.id > 0").await, named(&[("shop.orders", 2)]));
    assert_eq!(
        tables("SELECT count(*) FROM seen JOIN `sa``les; DROP`.`li.nes` l ON l.n = seen.id").await,
        named(&[("sa`les; DROP.li.nes", 1), ("shop.orders", 2)])
    );
    assert_eq!(tables("SELECT count(*) FROM kept").await, named(&[("shop.orders", 2)]));
    assert_eq!(
        tables("SELECT (SELECT max(id) FROM orders) + count(*) FROM events e").await,
        named(&[("shop.events", 3), ("shop.orders", 2)])
    );
    assert_eq!(tables("WITH c AS (SELECT * FROM orders) SELECT count(*) FROM c").await, named(&[("shop.orders", 2)]));
    assert_eq!(tables("SELECT count(*) FROM mysql.user").await, []);
    assert_eq!(tables("SELECT 1; DELETE FROM orders").await, []);
    assert_eq!(tables("SHOW TABLES").await, []);
}

/// An authority, and a server certificate of its for `ENDPOINT`.
fn authority() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![ENDPOINT.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (issuer.pem(), certificate.pem(), key.serialize_pem())
}

fn failure(error: ConnectError) -> StepError {
    match error {
        ConnectError::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tls_is_verified_for_the_endpoint_or_not_at_all() {
    let ((pem, certificate, key), directory) = (authority(), Directory::new("ca"));
    let server = MariaDb::start_with(&[], Some((&certificate, &key)));
    let bundle = directory.0.join("ca.pem");
    std::fs::write(&bundle, pem).unwrap();
    let verifying = Network::new(Settings { ca_bundle: Some(bundle), ..Settings::default() }).unwrap();
    let target = Target::new(Engine::AuroraMysql, ENDPOINT, server.port).by_name(server.address.to_string());
    assert_eq!(verifying.connect(&target, &master(), "mysql").await.unwrap().tls(), Tls::Verified);
    assert_eq!(network().connect(&target, &master(), "mysql").await.unwrap().tls(), Tls::Encrypted);

    let other = Target::new(Engine::AuroraMysql, "other.example", server.port).by_name(server.address.to_string());
    let error = failure(verifying.connect(&other, &master(), "mysql").await.unwrap_err()).to_string();
    assert!(error.contains("TLS handshake") && error.contains("other.example"), "{error}");

    let plain = MariaDb::start();
    assert_eq!(network().connect(&plain.target(), &master(), "mysql").await.unwrap().tls(), Tls::None);
    let error = failure(verifying.connect(&plain.target(), &master(), "mysql").await.unwrap_err()).to_string();
    assert!(error.contains("offers no TLS"), "{error}");
}

#[tokio::test]
async fn a_login_goes_through_the_versions_of_a_secret_and_refusals_are_told_apart() {
    let server = MariaDb::start_with(&["--max-connections=11", "--extra-max-connections=1"], None).with_application();
    server.sql("", "CREATE USER locked@'%' IDENTIFIED BY 'app-password' ACCOUNT LOCK; CREATE USER bare@'%'");
    let old = credential(MASTER, "yesterday", "AWSPREVIOUS");
    let (found, session) =
        Server::connect(&network(), &server.target(), &[old.clone(), master()], "mysql").await.unwrap();
    assert_eq!(found.login().secret_version, "AWSCURRENT");
    session.close().await;
    let error = Server::connect(&network(), &server.target(), &[old], "mysql").await.unwrap_err();
    assert!(matches!(&error, ConnectError::LoginRefused(why) if why.contains("1045") && !why.contains("yesterday")));

    let connect = async |user: &str, password: &str, database: &str| {
        network().connect(&server.target(), &credential(user, password, ""), database).await.map(drop)
    };
    assert!(matches!(connect("locked", APP_PASSWORD, "shop").await, Err(ConnectError::LoginRefused(_))));
    assert!(matches!(connect("app", APP_PASSWORD, "mysql").await, Err(ConnectError::NotAllowed(_))));
    assert!(matches!(connect(MASTER, MASTER_PASSWORD, "nowhere").await, Err(ConnectError::DatabaseMissing(_))));
    assert!(connect("bare", "", "information_schema").await.is_ok());
    let mut taken = Vec::new();
    let full = loop {
        match network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await {
            Ok(session) => taken.push(session),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, ConnectError::ServerFull(_)), "{full:?}");
}

#[tokio::test]
async fn a_session_comes_from_the_address_that_was_set_and_names_its_recovery() {
    let server = MariaDb::start_with(&["--performance-schema=ON"], None);
    let settings = Settings { source_address: Some("127.0.0.77".parse().unwrap()), ..Settings::default() };
    let network = Network::new(settings).unwrap().for_recovery("r-1");
    let _session = network.connect(&server.target(), &master(), "mysql").await.unwrap();
    let hosts = server.sql("", "SELECT host FROM information_schema.processlist WHERE user = 'admin'");
    assert!(hosts.starts_with("127.0.0.77:"), "{hosts}");
    let names = server
        .sql("", "SELECT attr_value FROM performance_schema.session_connect_attrs WHERE attr_name = 'program_name'");
    assert!(names.contains("aurora-rewind/r-1"), "{names}");
}

#[tokio::test]
async fn two_sessions_on_one_server_agree_on_who_it_is_and_two_servers_do_not() {
    let (one, other) = (MariaDb::start(), MariaDb::start());
    let (first, second) = (one.maintenance().await, one.master().await);
    let who = server_identity(&first).await.unwrap();
    assert!(!who.in_recovery && !who.started_at.is_empty(), "{who}");
    for _ in 0..30 {
        let session = second.open("mysql").await.unwrap();
        assert!(server_identity(&session).await.unwrap().is_same_server(&who));
        tokio::time::sleep(Duration::from_millis(73)).await;
    }
    let elsewhere = server_identity(&other.maintenance().await).await.unwrap();
    assert!(!elsewhere.is_same_server(&who), "{elsewhere} and {who}");
    one.sql("", "SET GLOBAL read_only = 1");
    let reader = server_identity(&first).await.unwrap();
    assert!(reader.in_recovery && reader.is_same_server(&who));
}

/// Writers that connect in a loop, write as fast as they can, and connect again at once when they are thrown out. They
/// are MariaDB's own client, which prints each word once its row was acknowledged.
struct Writers {
    /// The words, with the moment at which their connection was asked for.
    acknowledged: Arc<Mutex<Vec<(String, Instant)>>>,
    attempts: Arc<Mutex<u64>>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(server: &MariaDb, users: &[(&'static str, &'static str)], each: usize) -> Self {
        let (acknowledged, attempts) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<u64>>::default());
        let stop = Arc::new(AtomicBool::new(false));
        let start = |&(user, password): &(&'static str, &'static str), writer: usize| {
            let (address, port) = (server.address, server.port);
            let (acknowledged, attempts, stop) = (acknowledged.clone(), attempts.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut run = 0;
                while !stop.load(Ordering::Relaxed) {
                    run += 1;
                    *attempts.lock().unwrap() += 1;
                    let asked = Instant::now();
                    let mut client = support::mariadb::client(address, port, user, password);
                    let mut process =
                        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                    let script: String = (0..5_000)
                        .map(|number| {
                            let word = format!("{user}-{writer}-{run}-{number}");
                            let insert = format!("INSERT INTO orders (word) VALUES ('{word}');");
                            // Every other writer uses transactions: a commit is what a fence may cut in two.
                            if writer.is_multiple_of(2) {
                                format!("{insert} SELECT '{word}';\n")
                            } else {
                                format!("BEGIN; {insert} COMMIT; SELECT '{word}';\n")
                            }
                        })
                        .collect();
                    let mut input = process.stdin.take().unwrap();
                    let feeder = std::thread::spawn(move || drop(input.write_all(script.as_bytes())));
                    for word in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
                        acknowledged.lock().unwrap().push((word, asked));
                    }
                    drop(process.kill());
                    drop(process.wait());
                    feeder.join().unwrap();
                }
            })
        };
        let threads =
            users.iter().flat_map(|user| (0..each).map(|writer| start(user, writer)).collect::<Vec<_>>()).collect();
        Self { acknowledged, attempts, stop, threads }
    }

    /// Waits until all of them have written, and much. Each is still on its first connection then, which is long enough.
    async fn until_busy(&self) {
        loop {
            let words: Vec<String> = self.acknowledged.lock().unwrap().iter().map(|(word, _)| word.clone()).collect();
            let writers: BTreeSet<_> = words.iter().filter_map(|word| word.rsplitn(3, '-').nth(2)).collect();
            if words.len() >= 500 && writers.len() == self.threads.len() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn attempts(&self) -> u64 {
        *self.attempts.lock().unwrap()
    }

    fn stop(self) -> Vec<(String, Instant)> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

fn names(accounts: &[Account]) -> Vec<String> {
    accounts.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_of_any_account_is_acknowledged_behind_the_fence() {
    let server = MariaDb::start().with_application();
    server.sql(
        "",
        "CREATE USER other@'127.%' IDENTIFIED BY 'app-password'; GRANT ALL ON shop.* TO other@'127.%'; \
         CREATE USER rds_app@'%' IDENTIFIED BY 'app-password'; GRANT ALL ON shop.* TO rds_app@'%'; \
         CREATE USER rdsrepladmin@'%' IDENTIFIED BY 'app-password'; CREATE USER `mysql.sys`@'%'; \
         CREATE USER asleep@'%' IDENTIFIED BY 'app-password' ACCOUNT LOCK; CREATE ROLE clerk; GRANT clerk TO app@'%'",
    );
    let before = server.accounts();
    // AWS reserves names, and no prefix: an application may be called `rds_app`.
    let users = ["app", "other", "rds_app"].map(|user| (user, APP_PASSWORD));
    let writers = Writers::start(&server, &users, 2);
    writers.until_busy().await;

    let master = server.master().await;
    let session = server.maintenance().await;
    let open = read_logins(&session).await.unwrap();
    let state = LoginRecord::of(&open);
    assert_eq!(names(&open.accounts), ["app@%", "other@127.%", "rds_app@%"]);
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    let raised = Instant::now();
    let rows = server.sql("shop", "SELECT count(*) FROM orders");
    let verification = verify(&master, &session, &state, &fenced).await.unwrap();
    let attempts = writers.attempts();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(writers.attempts() > attempts + 20, "the writers hardly tried");
    let rows_later = server.sql("shop", "SELECT count(*) FROM orders");
    let acknowledged = writers.stop();

    assert!(verification.is_complete(), "{verification:?}");
    assert_eq!(verification.closed, ["app@%", "other@127.%", "rds_app@%"]);
    assert_eq!((fenced.master_sessions, fenced.master_returned), (0, false), "{fenced:?}");
    assert!(fenced.sessions_ended >= 6, "{fenced:?}");
    assert_eq!(rows, rows_later, "the table grew behind the fence");
    assert!(acknowledged.iter().all(|(_, asked)| *asked <= raised), "somebody got in behind the fence");
    let stored: BTreeSet<String> = server.sql("shop", "SELECT word FROM orders").lines().map(str::to_owned).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|(word, _)| !stored.contains(word)).collect();
    assert!(lost.is_empty(), "acknowledged and not in the table: {lost:?}");

    // A second run finds all of it done.
    let again = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!((again.accounts, again.sessions_ended), (fenced.accounts, 0));
    lift(&session, &state).await.unwrap();
    assert_eq!(server.accounts(), before, "not everything is as it was");
    assert!(lift(&session, &state).await.unwrap().is_empty());
    network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_user_that_others_use_is_an_open_login_path_and_one_that_returns_is_reported() {
    let server = MariaDb::start().with_application();
    let master = server.master().await;
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let someone = network().connect(&server.target(), &support::mariadb::master(), "shop").await.unwrap();
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!((fenced.master_sessions, fenced.master_returned), (1, false), "{fenced:?}");
    assert!(server_identity(&someone).await.is_err());
    let verification = verify(&master, &session, &state, &fenced).await.unwrap();
    assert_eq!(verification.open.len(), 1, "{verification:?}");
    assert!(
        verification.open[0].name == MASTER && verification.open[0].why.contains("cannot be locked"),
        "{verification:?}"
    );

    let writers = Writers::start(&server, &[(MASTER, MASTER_PASSWORD)], 4);
    writers.until_busy().await;
    let started = Instant::now();
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    writers.stop();
    assert!(fenced.master_returned && fenced.master_sessions >= 4, "{fenced:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_master_user_keeps_its_login_although_the_secret_is_another_users() {
    let server = MariaDb::start().with_application();
    server.sql(
        "",
        "CREATE USER rewinder@'%' IDENTIFIED BY 'app-password'; GRANT ALL ON *.* TO rewinder@'%' WITH GRANT OPTION; \
         CREATE USER admin@'10.%' IDENTIFIED BY 'x'",
    );
    let target = server.target().of_master_user(Some(MASTER.to_owned()));
    let login = credential("rewinder", APP_PASSWORD, "AWSCURRENT");
    let (rewinder, session) = Server::connect(&network(), &target, &[login], "information_schema").await.unwrap();
    let open = read_logins(&session).await.unwrap();
    assert_eq!(names(&open.accounts), ["app@%"], "no fence locks the master user");
    let someone = network().connect(&server.target(), &master(), "shop").await.unwrap();
    let state = LoginRecord::of(&open);
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(server_identity(&someone).await.is_err(), "a session of the master user is ended as others are");
    assert_eq!((fenced.sessions_ended, fenced.master_sessions), (1, 1), "{fenced:?}");
    network().connect(&server.target(), &master(), "mysql").await.unwrap();
    // A login that cannot be closed and is used is no fence.
    let verification = verify(&rewinder, &session, &state, &fenced).await.unwrap();
    assert!(verification.open.iter().any(|login| login.name.contains(MASTER)), "{verification:?}");
}

#[tokio::test]
async fn writes_that_readers_forward_are_ended_with_their_session_and_aws_keeps_its_own() {
    let server = MariaDb::start().with_application();
    server.sql(
        "",
        "CREATE USER rdswriteforwarduser@'%' IDENTIFIED BY 'app-password'; \
         GRANT ALL ON shop.* TO rdswriteforwarduser@'%'; CREATE USER rdsrepladmin@'%' IDENTIFIED BY 'app-password'; \
         GRANT ALL ON shop.* TO rdsrepladmin@'%'",
    );
    let connect = async |user: &str| {
        network().connect(&server.target(), &credential(user, APP_PASSWORD, ""), "shop").await.unwrap()
    };
    let (forwarded, aws) = (connect("rdswriteforwarduser").await, connect("rdsrepladmin").await);
    let session = server.maintenance().await;
    let seen = inspect(&session).await.unwrap();
    assert!(matches!(seen.sessions.as_slice(), [who] if who.starts_with("rdswriteforwarduser in shop")), "{seen:?}");
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!((fenced.sessions_ended, fenced.accounts), (1, vec!["app@%".to_owned()]));
    assert!(server_identity(&forwarded).await.is_err());
    server_identity(&aws).await.unwrap();
    assert!(inspect(&session).await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn sessions_are_ended_without_touching_a_login_where_the_network_is_the_fence() {
    let server = MariaDb::start().with_application();
    let before = server.accounts();
    let app = network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
    let fenced = terminate_sessions(&server.maintenance().await, FenceTimeouts::default()).await.unwrap();
    assert_eq!(fenced.sessions_ended, 1, "{fenced:?}");
    assert!(server_identity(&app).await.is_err());
    assert_eq!(server.accounts(), before);
}

#[tokio::test]
async fn an_inspection_sees_who_is_on_it_and_which_account_was_opened_again() {
    let server = MariaDb::start().with_application();
    let session = server.maintenance().await;
    let app = network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
    let another = network().connect(&server.target(), &master(), "shop").await.unwrap();
    let seen = inspect(&session).await.unwrap();
    let whose: Vec<&str> =
        seen.sessions.iter().filter_map(|who| who.split_once(" in shop (process ")).map(|(user, _)| user).collect();
    assert_eq!(whose, ["app", MASTER], "{seen:?}");
    assert_eq!(seen.open, ["the account app@% is not locked"]);

    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    drop((app, another));
    assert_eq!(inspect(&session).await.unwrap(), Inspection::default());
    server.sql("", "ALTER USER app@'%' ACCOUNT UNLOCK");
    assert_eq!(inspect(&session).await.unwrap().open, ["the account app@% is not locked"]);
}

#[tokio::test]
async fn an_account_that_was_made_meanwhile_is_not_overlooked_and_one_that_was_dropped_is_told() {
    let server = MariaDb::start().with_application();
    server.sql("", "CREATE USER `o'ne\\`@'%'; CREATE USER admin@'10.%' IDENTIFIED BY 'x'");
    let (master, session) = (server.master().await, server.maintenance().await);
    let open = read_logins(&session).await.unwrap();
    let state = LoginRecord::of(&open);
    assert_eq!(
        names(&open.accounts),
        ["app@%", "o'ne\\@%"],
        "the master user's other accounts stay open: its logins may match them"
    );
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    server.sql("", "CREATE USER late@'%'; DROP USER app@'%'");
    let verification = verify(&master, &session, &state, &fenced).await.unwrap();
    assert_eq!(verification.open.len(), 1, "{verification:?}");
    assert!(
        verification.open[0].name == "late@%" && verification.open[0].why.contains("after the logins were recorded"),
        "{verification:?}"
    );
    let error = apply(&session, &state, FenceTimeouts::default()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ClusterNotReady);
    assert!(error.to_string().contains("account late@%"), "{error}");
    let state = state.clone().and(&read_logins(&session).await.unwrap());
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    let undone = lift(&session, &state).await.unwrap();
    assert_eq!(
        undone,
        ["app@% was dropped meanwhile: nothing to restore", "late@% may log in again", "o'ne\\@% may log in again"]
    );
}

#[tokio::test]
async fn a_session_that_may_not_be_ended_is_named_and_what_no_fence_ends_is_reported() {
    let server = MariaDb::start().with_application();
    server.sql("", "SET GLOBAL event_scheduler = ON; CREATE EVENT shop.tick ON SCHEDULE EVERY 1 HOUR DO DO 1");
    server.sql(
        "shop",
        "XA START 'half way'; INSERT INTO orders (word) VALUES ('x'); XA END 'half way'; XA PREPARE 'half way'",
    );
    let session = server.maintenance().await;
    let fenced = terminate_sessions(&session, FenceTimeouts::default()).await.unwrap();
    let notes = fenced.notes.join("\n");
    assert!(notes.contains("shop.tick") && notes.contains("1 XA transactions"), "{notes}");
    let events = (1..=22).map(|n| format!("CREATE EVENT shop.e{n:02} ON SCHEDULE EVERY 1 HOUR DO DO 1"));
    server.sql("", &events.collect::<Vec<_>>().join("; "));
    let notes = terminate_sessions(&session, FenceTimeouts::default()).await.unwrap().notes.join("\n");
    assert!(notes.contains("shop.e19, shop.e20 and 3 more") && !notes.contains("shop.e21"), "{notes}");

    server.sql("", "DROP PROCEDURE mysql.rds_kill");
    let _app = network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
    let timeouts = FenceTimeouts { total: Duration::from_millis(300), ..FenceTimeouts::default() };
    let error = terminate_sessions(&session, timeouts).await.unwrap_err();
    assert!(error.to_string().contains("app in shop"), "{error}");
}

#[tokio::test]
async fn a_login_that_cannot_see_the_sessions_of_others_verifies_nothing() {
    let server = MariaDb::start().with_application();
    let app = network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
    let error = terminate_sessions(&app, FenceTimeouts::default()).await.unwrap_err();
    assert!(error.to_string().contains("PROCESS"), "{error}");
}

#[tokio::test]
async fn the_servers_sql_mode_is_the_checks_and_not_the_products() {
    let mode =
        "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,PAD_CHAR_TO_FULL_LENGTH";
    let mariadb = MariaDb::start_with(&[&format!("--sql-mode={mode}")], None).with_application();
    mariadb.sql("", "SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1");
    let server = mariadb.master().await;
    let found = ask_one(&server, r#"SELECT "word" || 'x' FROM orders WHERE id = 1"#, "firstx").await;
    assert!(found.passed, "{found}");
    mariadb.sql("", "SET GLOBAL general_log = 0");
    // The first statement of each session of the master user.
    let first = mariadb.sql(
        "",
        "SELECT DISTINCT argument FROM mysql.general_log g WHERE command_type = 'Query' AND thread_id IN \
         (SELECT thread_id FROM mysql.general_log WHERE command_type = 'Connect' AND argument LIKE 'admin@%') AND event_time = \
         (SELECT min(event_time) FROM mysql.general_log h WHERE h.thread_id = g.thread_id AND h.command_type = 'Query')",
    );
    assert_eq!(first, "SET SESSION sql_mode = ''");
}

#[tokio::test]
async fn nothing_of_a_check_is_prepared_before_it_was_examined() {
    let mariadb = MariaDb::start().with_application();
    // A server evaluates the second argument of ROUND while it prepares.
    mariadb.sql(
        "shop",
        "CREATE FUNCTION acts() RETURNS INT DETERMINISTIC RETURN 1; \
         SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1",
    );
    let server = mariadb.master().await;
    let session = server.open("shop").await.unwrap();
    let trial = rewind_db::preflight::Trial {
        run_for: Some(Duration::from_secs(5)),
        check_timeout: Duration::from_secs(5),
        server: "the writer",
    };
    let sql = "SELECT ROUND(1.5, acts())";
    let found = rewind_db::preflight::check_findings(&session, &check(sql, "1"), trial).await.unwrap();
    assert!(found.len() == 1 && found[0].what.contains("it calls acts"), "{found:?}");
    let result = ask_one(&server, sql, "1").await;
    assert!(reason(&result).contains("it calls acts"), "{result}");
    // What may be called is prepared, so that the log is seen to tell it.
    assert!(ask_one(&server, "SELECT ROUND(1.5, 0)", "2").await.passed);
    mariadb.sql("", "SET GLOBAL general_log = 0");
    let prepared = mariadb.sql(
        "",
        "SELECT DISTINCT convert(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Prepare' \
         AND argument LIKE '%ROUND%' ORDER BY 1",
    );
    assert_eq!(prepared, "EXPLAIN EXTENDED SELECT ROUND(1.5, 0)\nSELECT ROUND(1.5, 0)");
}

/// The server with the login of the master user, for checks that may read these databases alone.
async fn open_to(mariadb: &MariaDb, databases: &str) -> Server {
    let check_databases = CheckDatabases::read(|_| Some(databases.to_owned())).unwrap();
    let network = Network::new(Settings { check_databases, ..Settings::default() }).unwrap().for_checks_of("shop-main");
    let (server, session) = Server::connect(&network, &mariadb.target(), &[master()], "mysql").await.unwrap();
    session.close().await;
    server
}

#[tokio::test]
async fn no_check_holds_up_writes_by_locking_what_it_reads() {
    let mariadb = MariaDb::start().with_application();
    mariadb
        .sql("shop", "CREATE VIEW locking AS SELECT id FROM orders LOCK IN SHARE MODE; CREATE TABLE paid (share INT)");
    mariadb.sql("shop", "INSERT INTO paid VALUES (3)");
    let server = mariadb.master().await;
    for sql in [
        "SELECT count(*), sleep(14) FROM orders FOR SHARE",
        "SELECT count(*), sleep(14) FROM orders LOCK IN SHARE MODE",
        "SELECT count(*), sleep(14) FROM orders WHERE id > 1e5LOCK IN SHARE MODE",
        "SELECT count(*), sleep(14) FROM orders FOR UPDATE",
        "SELECT count(*) FROM (SELECT sleep(7) FROM orders LOCK IN SHARE MODE) held",
        "SELECT sleep(7) FROM locking",
    ] {
        let result = ask_one(&server, sql, "no such answer").await;
        assert!(reason(&result).contains("it locks what it reads"), "{sql}: {result}");
    }
    for sql in ["SELECT get_lock('a', 1)", "SELECT benchmark(1, 1)", "SELECT release_all_locks()"] {
        let result = ask_one(&server, sql, "no such answer").await;
        assert!(reason(&result).contains("it calls "), "{sql}: {result}");
    }
    assert!(ask_one(&server, "SELECT max(share) FROM paid", "3").await.passed);
}

#[tokio::test]
async fn no_check_reads_in_a_database_that_the_deployment_does_not_open() {
    let mariadb = MariaDb::start().with_application();
    mariadb.sql(
        "shop",
        "CREATE DATABASE billing; CREATE TABLE billing.cards (n INT); INSERT INTO billing.cards VALUES (1); \
         CREATE VIEW paid AS SELECT n FROM billing.cards; CREATE VIEW known AS SELECT word FROM orders; \
         CREATE DATABASE reports_1; CREATE TABLE reports_1.t AS SELECT 1 AS n",
    );
    let server = open_to(&mariadb, "shop-*/shop, */reports_*, other/billing").await;
    for sql in [
        "SELECT authentication_string FROM mysql.user LIMIT 1",
        "SELECT count(*) FROM billing.cards",
        "SELECT count(*) FROM `billing` . `cards`",
        "SELECT count(*) FROM orders JOIN billing.cards",
        "SELECT (SELECT max(n) FROM billing.cards) FROM orders LIMIT 1",
        "TABLE billing.cards",
        "SELECT count(*) FROM paid",
        "SELECT count(*) FROM BILLING.cards",
        "SELECT count(*) FROM performance_schema.threads",
        "SELECT count(*) FROM sys.version",
        "SELECT count(*) FROM information_schema.processlist",
        "SELECT count(*) FROM INFORMATION_SCHEMA.tables",
        "SHOW TABLES FROM billing",
        "SHOW GRANTS",
        "SHOW FULL PROCESSLIST",
        "DESCRIBE billing.cards",
        "EXPLAIN SELECT 1",
    ] {
        let result = ask_one(&server, sql, "1").await;
        assert!(reason(&result).contains("CheckDatabases"), "{sql}: {result}");
    }
    for sql in [
        "SELECT count(*) - 1 FROM orders",
        "SELECT count(*) - 1 FROM shop.orders AS o WHERE o.id > 0",
        "SELECT count(*) - 1 FROM known",
        "SELECT n FROM reports_1.t",
        "SELECT 1 AS billing",
    ] {
        let result = ask_one(&server, sql, "1").await;
        assert!(result.passed, "{sql}: {result}");
    }
    let mut elsewhere = check("SELECT n FROM cards", "1");
    elsewhere.database = "billing".into();
    let result = ask(&server, &[elsewhere]).await.checks.remove(0);
    assert!(reason(&result).contains("CheckDatabases"), "{result}");
    assert!(reason(&ask_one(&open_to(&mariadb, "").await, "SELECT 1", "1").await).contains("CheckDatabases"));
    assert!(ask_one(&open_to(&mariadb, "*/*").await, "SELECT n FROM billing.cards", "1").await.passed);
}

#[tokio::test]
async fn a_view_is_read_as_the_server_parses_it_whoever_made_it_and_wherever() {
    let mariadb = MariaDb::start_with(&["--sql-mode=NO_BACKSLASH_ESCAPES"], None).with_application();
    mariadb.sql(
        "shop",
        "CREATE FUNCTION act() RETURNS INT DETERMINISTIC RETURN 1; \
         CREATE SQL SECURITY INVOKER VIEW hiding AS SELECT '''' AS a, act() AS b, '''' AS c; \
         CREATE SQL SECURITY INVOKER VIEW sys.planted AS SELECT shop.act() AS b; \
         CREATE SQL SECURITY INVOKER VIEW mysql.planted AS SELECT shop.act() AS b",
    );
    let server = mariadb.master().await;
    for sql in ["SELECT b FROM hiding", "SELECT b FROM sys.planted", "SELECT b FROM mysql.planted"] {
        let result = ask_one(&server, sql, "1").await;
        assert!(
            reason(&result).contains("it calls act") || reason(&result).contains("it calls shop.act"),
            "{sql}: {result}"
        );
    }
    // The server's own call functions of its own.
    assert!(ask_one(&server, "SELECT count(*) FROM sys.version", "1").await.passed);
    // A view elsewhere that has a name of the check's by chance is none that it reads.
    mariadb.sql("", "CREATE DATABASE other; CREATE VIEW other.orders AS SELECT shop.act() AS id");
    assert!(ask_one(&server, "SELECT count(*) FROM orders", "2").await.passed);
}
