//! The fence, against a real PostgreSQL whose master user has what RDS gives and no more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::ErrorName;
use rewind_db::Server;
use rewind_db::fence::{FenceTimeouts, Fenced, Inspection, LoginRecord, apply, inspect, lift, read_logins, verify};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{APP_PASSWORD, MASTER, Postgres, credential, network};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

/// The results that a hammering application saw.
#[derive(Default)]
struct Seen {
    /// Rows whose commit was acknowledged, with the moment at which the statement was sent.
    acknowledged: Vec<(String, Instant)>,
    /// The moments at which a connection that was then made was asked for.
    connected: Vec<Instant>,
    /// Refused connections.
    refused: u64,
}

/// Writers that connect in a loop, write as fast as they can, and connect again at once when they are thrown out.
struct Writers {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start(server: &Postgres, user: &'static str, count: usize) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let tasks = (0..count)
            .map(|writer| {
                let (config, seen, stop) = (server.client(user, "shop"), seen.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut number = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        let Ok((client, connection)) = config.connect(NoTls).await else {
                            seen.lock().unwrap().refused += 1;
                            continue;
                        };
                        seen.lock().unwrap().connected.push(asked);
                        let connection = tokio::spawn(connection);
                        while !stop.load(Ordering::Relaxed) {
                            number += 1;
                            let word = format!("{user}-{writer}-{number}");
                            let sent = Instant::now();
                            let insert = format!("INSERT INTO orders (word) VALUES ('{word}')");
                            // Every other writer uses transactions: a commit is what a fence may cut in two.
                            let insert = if writer % 2 == 0 { insert } else { format!("BEGIN; {insert}; COMMIT") };
                            if client.batch_execute(&insert).await.is_err() {
                                break;
                            }
                            seen.lock().unwrap().acknowledged.push((word, sent));
                        }
                        drop(client);
                        drop(connection.await);
                    }
                })
            })
            .collect();
        Self { seen, stop, tasks }
    }

    async fn until_busy(&self) {
        while self.seen.lock().unwrap().acknowledged.len() < 500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Raises the fence under fire, and holds what was seen against what is in the table.
async fn fence_under_fire(user: &'static str) {
    let server = Postgres::start().with_application();
    server.sql(
        "shop",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO postgres; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO postgres",
    );
    let before = server.accounts();
    let writers = Writers::start(&server, user, 8);
    writers.until_busy().await;

    let master = server.master().await;
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    let raised = Instant::now();
    let rows = server.sql("shop", "SELECT count(*) FROM orders");
    let verification = verify(&master, &session, &state, &fenced).await.unwrap();

    // Long enough for thousands of attempts to get in.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rows_later = server.sql("shop", "SELECT count(*) FROM orders");
    let seen = writers.stop().await;

    assert!(verification.is_complete(), "{verification:?}");
    assert!(
        verification.closed.contains(&"shop".to_owned()) && verification.closed.contains(&"postgres".to_owned()),
        "{verification:?}"
    );
    assert_eq!(rows, rows_later, "the table grew behind the fence");
    assert!(fenced.sessions_ended >= 8, "{fenced:?}");
    let late: Vec<_> = seen.acknowledged.iter().filter(|(_, sent)| *sent > raised).collect();
    assert!(late.is_empty(), "acknowledged behind the fence: {late:?}");
    assert!(seen.connected.iter().all(|asked| *asked <= raised), "somebody got in behind the fence");
    assert!(seen.refused > 20, "the writers hardly tried: {} refused", seen.refused);
    let stored: BTreeSet<String> =
        server.sql("shop", "SELECT word FROM orders WHERE id > 2").lines().map(str::to_owned).collect();
    let acknowledged: BTreeSet<String> = seen.acknowledged.iter().map(|(word, _)| word.clone()).collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and not in the table: {lost:?}");
    // A commit whose acknowledgement the end of its session overtook: at most the one that each writer was at.
    assert!(stored.len() - acknowledged.len() <= 8, "{} stored, {} acknowledged", stored.len(), acknowledged.len());

    lift(&session, &state).await.unwrap();
    assert_eq!(server.accounts(), before, "not everything is as it was");
    assert!(server.client(user, "shop").connect(NoTls).await.is_ok(), "the application does not get in again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_of_the_application_is_acknowledged_behind_the_fence() {
    fence_under_fire("app").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_logs_in_as_the_master_user_is_fenced_too() {
    fence_under_fire(MASTER).await;
}

#[tokio::test]
async fn lifting_puts_back_limits_and_logins_exactly_and_only_those_recorded() {
    let server = Postgres::start().with_application();
    server.sql("postgres", "ALTER DATABASE shop CONNECTION LIMIT 17; CREATE ROLE retired NOLOGIN; CREATE ROLE batch LOGIN CONNECTION LIMIT 3 VALID UNTIL '2030-01-01'");
    server.sql("postgres", "CREATE ROLE \"we\"\"ird; role\" LOGIN");
    server.sql("postgres", "CREATE DATABASE \"we\"\"ird; db\" OWNER postgres");
    let before = server.accounts();
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(fenced.not_changed.iter().all(|what| what.contains("rdsadmin")), "{fenced:?}");
    assert_eq!(fenced.roles.len(), 3, "{fenced:?}");
    assert_ne!(server.accounts(), before);
    let did = lift(&session, &state).await.unwrap();
    assert_eq!(server.accounts(), before);
    assert!(did.contains(&"connection limit of shop restored to 17".to_owned()), "{did:?}");
    assert!(
        did.contains(&"batch may log in again".to_owned()) && !did.iter().any(|what| what.contains("retired")),
        "{did:?}"
    );
}

#[tokio::test]
async fn fencing_and_lifting_twice_is_fencing_and_lifting_once() {
    let server = Postgres::start().with_application();
    let before = server.accounts();
    let session = server.maintenance().await;
    let recorded = LoginRecord::of(&read_logins(&session).await.unwrap());
    let first = apply(&session, &recorded, FenceTimeouts::default()).await.unwrap();
    let fenced = server.accounts();

    // The second attempt surveys what the first one left, as a retried step does.
    let again = recorded.clone().and(&read_logins(&session).await.unwrap());
    assert_eq!(again, recorded);
    let second = apply(&session, &again, FenceTimeouts::default()).await.unwrap();
    assert_eq!(server.accounts(), fenced);
    assert_eq!((second.databases, second.roles), (first.databases, first.roles));

    assert!(!lift(&session, &again).await.unwrap().is_empty());
    assert_eq!(server.accounts(), before);
    assert_eq!(lift(&session, &again).await.unwrap(), Vec::<String>::new());
    assert_eq!(server.accounts(), before);
}

#[tokio::test]
async fn a_fence_that_broke_off_half_way_is_completed_and_lifted_from_its_record() {
    let server = Postgres::start().with_application();
    let before = server.accounts();
    let session = server.maintenance().await;
    let recorded = LoginRecord::of(&read_logins(&session).await.unwrap());
    // As far as an attempt may have come: one database of two, no role.
    server.sql("postgres", "ALTER DATABASE shop CONNECTION LIMIT 0");
    let again = recorded.clone().and(&read_logins(&session).await.unwrap());
    apply(&session, &again, FenceTimeouts::default()).await.unwrap();
    lift(&session, &again).await.unwrap();
    assert_eq!(server.accounts(), before);
}

#[tokio::test]
async fn lifting_what_was_surveyed_and_never_applied_changes_nothing() {
    let server = Postgres::start().with_application();
    let before = server.accounts();
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    assert!(lift(&session, &state).await.unwrap().is_empty());
    assert_eq!(server.accounts(), before);
}

#[tokio::test]
async fn what_vanished_under_the_fence_is_no_obstacle_and_a_namesake_is_left_alone() {
    let server = Postgres::start().with_application();
    server.sql("postgres", "CREATE ROLE gone LOGIN; CREATE ROLE renamed LOGIN");
    server.sql("postgres", "CREATE DATABASE scratch OWNER postgres");
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    server.sql("postgres", "DROP ROLE gone; CREATE ROLE gone NOLOGIN; ALTER ROLE renamed RENAME TO named_anew");
    server.sql("postgres", "DROP DATABASE scratch");
    session.close().await;
    server.sql("postgres", "CREATE DATABASE scratch OWNER postgres CONNECTION LIMIT 4");
    let session = server.maintenance().await;
    let did = lift(&session, &state).await.unwrap();
    assert!(!did.iter().any(|what| what.contains("gone") || what.contains("scratch")), "{did:?}");
    assert!(did.contains(&"named_anew may log in again".to_owned()), "{did:?}");
    assert_eq!(server.sql("postgres", "SELECT datconnlimit FROM pg_database WHERE datname = 'scratch'"), "4");
    assert_eq!(server.sql("postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'gone'"), "f");
}

#[tokio::test]
async fn sessions_idle_in_a_transaction_and_those_that_hold_the_catalogue_are_ended_too() {
    let server = Postgres::start().with_application();
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let (idle, connection) = server.client("app", "shop").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    idle.batch_execute("BEGIN; INSERT INTO orders (word) VALUES ('never committed')").await.unwrap();
    // In the way of the fence's own change: it holds the row of the catalogue that the fence has to write.
    let (blocker, connection) = server.client(MASTER, "postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    blocker.batch_execute("BEGIN; ALTER DATABASE shop CONNECTION LIMIT 99").await.unwrap();

    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!(fenced.sessions_ended, 2, "{fenced:?}");
    assert!(idle.batch_execute("COMMIT").await.is_err());
    assert!(blocker.batch_execute("COMMIT").await.is_err());
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), "2");
    assert_eq!(server.sql("postgres", "SELECT datconnlimit FROM pg_database WHERE datname = 'shop'"), "0");
}

#[tokio::test]
async fn a_connection_that_was_let_in_before_the_fence_and_shows_only_later_is_caught() {
    let server = Postgres::start().with_application();
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    // PostgreSQL waits here after it has looked at the connection limit and before anybody can see the session.
    let mut config = server.client("app", "shop");
    config.options("-c post_auth_delay=2");
    let slow = tokio::spawn(async move {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("INSERT INTO orders (word) VALUES ('slipped through')").await
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"), "0");
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    let rows = server.sql("shop", "SELECT count(*) FROM orders");
    let written = slow.await.unwrap();
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), rows, "written behind the fence: {written:?}");
}

#[tokio::test]
async fn a_session_that_does_not_end_is_named_and_no_fence_is_claimed() {
    let server = Postgres::start().with_application();
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let (client, connection) = server.client("app", "shop").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    // A backend that the kernel holds does not hear that it is to end: so it is on a disk that does not answer.
    let signal = |signal: &str| {
        assert!(std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    let impatient = FenceTimeouts { total: Duration::from_millis(800), ..FenceTimeouts::default() };
    let error = apply(&session, &state, impatient).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains(&format!("app in shop (pid {pid})")), "{error}");
    signal("-CONT");
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(fenced.sessions_ended <= 1, "{fenced:?}");
    assert!(client.batch_execute("SELECT 1").await.is_err());
}

#[tokio::test]
async fn what_appears_after_the_survey_is_not_changed_without_a_record() {
    let server = Postgres::start().with_application();
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    server.sql("postgres", "CREATE ROLE newcomer LOGIN");
    let error = apply(&session, &state, FenceTimeouts::default()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ClusterNotReady);
    assert!(error.to_string().contains("role newcomer"), "{error}");
    assert_eq!(server.sql("postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'newcomer'"), "t");
    // Surveyed again, on top of the record, it is fenced.
    let state = state.clone().and(&read_logins(&session).await.unwrap());
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!(server.sql("postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'newcomer'"), "f");
}

#[tokio::test]
async fn a_database_that_the_master_user_may_not_limit_is_named_and_closed_to_roles() {
    let server = Postgres::start().with_application();
    server.sql("postgres", "CREATE ROLE owner LOGIN");
    server.sql("postgres", "CREATE DATABASE theirs OWNER owner");
    let master = server.master().await;
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(fenced.not_changed.iter().any(|what| what.contains("theirs")), "{fenced:?}");
    assert!(server.client("app", "theirs").connect(NoTls).await.is_err());
    let verification = verify(&master, &session, &state, &fenced).await.unwrap();
    assert!(!verification.is_complete());
    let open: Vec<_> = verification.open.iter().map(|login| (login.name.as_str(), login.why.as_str())).collect();
    assert_eq!(open, [("theirs", "the master user gets in")]);
}

#[tokio::test]
async fn an_inspection_sees_who_is_on_it_and_which_database_was_opened_again() {
    let server = Postgres::start().with_application();
    let session = server.maintenance().await;
    let (client, connection) = server.client("app", "shop").connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let seen = inspect(&session).await.unwrap();
    assert!(matches!(seen.sessions.as_slice(), [who] if who.starts_with("app in shop (process ")), "{seen:?}");
    assert!(seen.open.contains(&"the database shop takes connections".to_owned()), "{seen:?}");

    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(connection.await.unwrap().is_err() && client.is_closed());
    assert_eq!(inspect(&session).await.unwrap(), Inspection::default());
    server.sql("template1", "ALTER DATABASE shop CONNECTION LIMIT 5");
    assert_eq!(inspect(&session).await.unwrap().open, ["the database shop takes connections"]);
}

#[tokio::test]
async fn without_a_fence_nothing_is_proven() {
    let server = Postgres::start().with_application();
    let master = server.master().await;
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let verification = verify(&master, &session, &state, &Fenced::default()).await.unwrap();
    let open: Vec<_> = verification.open.iter().map(|login| login.name.as_str()).collect();
    assert!(open.contains(&"shop") && open.contains(&"postgres"), "{open:?}");
    assert!(verification.open.iter().any(|login| login.why.contains("app may log in")), "{verification:?}");
}

#[tokio::test]
async fn roles_beyond_the_master_users_reach_are_reported_and_superusers_are_not_touched() {
    let server = Postgres::start().with_application();
    server.sql(
        "postgres",
        "CREATE ROLE above LOGIN SUPERUSER; CREATE ROLE copier LOGIN REPLICATION; CREATE ROLE bypass LOGIN BYPASSRLS",
    );
    let before = server.accounts();
    let session = server.maintenance().await;
    let open = read_logins(&session).await.unwrap();
    let state = LoginRecord::of(&open);
    let names: Vec<&str> = open.roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["app", "bypass"]);
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!(fenced.roles.len() + fenced.not_changed.iter().filter(|what| what.starts_with("role ")).count(), 2);
    lift(&session, &state).await.unwrap();
    assert_eq!(server.accounts(), before);
}

#[tokio::test]
async fn roles_that_cannot_be_closed_are_named_and_the_databases_of_their_batch_are_closed() {
    let server = Postgres::start().with_application();
    // As PostgreSQL 16 refuses to alter roles that the master user has no ADMIN option on.
    server.sql("postgres", "CREATE ROLE other LOGIN; ALTER ROLE postgres NOCREATEROLE");
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!((fenced.databases, fenced.roles), (vec!["postgres".to_owned(), "shop".to_owned()], vec![]));
    let named = ["role app: ", "role other: "].map(|role| fenced.not_changed.iter().any(|what| what.starts_with(role)));
    assert_eq!(named, [true, true], "{:?}", fenced.not_changed);
    assert_eq!(server.sql("postgres", "SELECT datconnlimit FROM pg_database WHERE datname = 'shop'"), "0");
}

#[tokio::test]
async fn an_application_whose_role_begins_with_rds_is_fenced() {
    let server = Postgres::start().with_application();
    server.sql("postgres", "CREATE ROLE rds_app LOGIN; CREATE ROLE rdsproxyadmin LOGIN");
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!(fenced.roles, ["app", "rds_app"]);
}

#[tokio::test]
async fn the_master_user_keeps_its_login_although_the_secret_is_another_users() {
    let server = Postgres::start().with_application();
    server.sql(
        "postgres",
        "CREATE ROLE rewinder LOGIN CREATEROLE PASSWORD 'app-password' IN ROLE rds_superuser, postgres",
    );
    server.sql("postgres", "CREATE ROLE owner");
    server.sql("postgres", "CREATE DATABASE theirs OWNER owner");
    server
        .sql("postgres", "REVOKE CONNECT ON DATABASE theirs FROM PUBLIC; GRANT CONNECT ON DATABASE theirs TO postgres");
    let target = server.target().of_master_user(Some(MASTER.to_owned()));
    let login = credential("rewinder", APP_PASSWORD, "AWSCURRENT");
    let (rewinder, session) = Server::connect(&network(), &target, &[login], "template1").await.unwrap();
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert_eq!(fenced.roles, ["app"]);
    server.master().await;
    let verification = verify(&rewinder, &session, &state, &fenced).await.unwrap();
    // Where the limit could not be changed, the master user gets in, whoever it is that raises the fence.
    let open: Vec<_> = verification.open.iter().map(|login| (login.name.as_str(), login.why.as_str())).collect();
    assert_eq!(open, [("theirs", "the master user gets in")]);
}

#[tokio::test]
async fn a_prepared_transaction_is_reported_because_no_fence_ends_it() {
    let server = Postgres::start_with(&["max_prepared_transactions=30"], None).with_application();
    server.sql("shop", "BEGIN; INSERT INTO orders (word) VALUES ('prepared'); PREPARE TRANSACTION 'half way'");
    for n in 1..=22 {
        server.sql("shop", &format!("BEGIN; INSERT INTO orders (word) VALUES ('{n}'); PREPARE TRANSACTION 'no {n}'"));
    }
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(fenced.notes.iter().any(|note| note.contains("\"half way\"") && note.contains("shop")), "{fenced:?}");
    // Those that have no room are counted.
    assert_eq!(fenced.notes.iter().filter(|note| note.contains(" is prepared: ")).count(), 20, "{fenced:?}");
    assert!(fenced.notes.contains(&"3 more transactions are prepared".to_owned()), "{fenced:?}");
}

#[tokio::test]
async fn a_server_whose_connections_are_all_taken_verifies_nothing() {
    let server =
        Postgres::start_with(&["max_connections=8", "superuser_reserved_connections=3"], None).with_application();
    let master = server.master().await;
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    // Closed, and still nothing that a probe could tell from a server that is merely full.
    server.sql("postgres", "ALTER DATABASE postgres CONNECTION LIMIT 0");
    let mut taken = Vec::new();
    while let Ok((client, connection)) = server.client("app", "shop").connect(NoTls).await {
        tokio::spawn(connection);
        taken.push(client);
    }
    let error = verify(&master, &session, &state, &Fenced::default()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains("cannot be verified"), "{error}");
}

#[tokio::test]
async fn a_database_whose_drop_was_interrupted_is_closed_already_and_left_alone() {
    let server = Postgres::start().with_application();
    // A role that keeps its login would count against every door that is not closed for everybody.
    server.sql("postgres", "CREATE ROLE above LOGIN; GRANT rds_superuser TO above; ALTER ROLE above CREATEROLE");
    server.sql("postgres", "CREATE DATABASE legacy OWNER postgres");
    server.half_drop("legacy");
    let before = server.accounts();
    let (master, session) = (server.master().await, server.maintenance().await);
    let open = read_logins(&session).await.unwrap();
    let state = LoginRecord::of(&open);
    assert!(!open.databases.iter().any(|database| database.name == "legacy"), "{open:?}");
    let fenced = apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    assert!(!fenced.not_changed.iter().any(|what| what.contains("legacy")), "{fenced:?}");
    let verification = verify(&master, &session, &state, &fenced).await.unwrap();
    assert!(verification.is_complete(), "{verification:?}");
    lift(&session, &state).await.unwrap();
    assert_eq!(server.accounts(), before);
}

#[tokio::test]
async fn a_drop_that_is_interrupted_behind_the_fence_stops_no_lifting() {
    let server = Postgres::start().with_application();
    server.sql("postgres", "CREATE DATABASE legacy OWNER postgres");
    let session = server.maintenance().await;
    let state = LoginRecord::of(&read_logins(&session).await.unwrap());
    apply(&session, &state, FenceTimeouts::default()).await.unwrap();
    server.half_drop("legacy");
    let did = lift(&session, &state).await.unwrap();
    assert!(did.iter().any(|what| what.contains("drop of legacy was interrupted")), "{did:?}");
    let limits = "SELECT pg_catalog.concat(datname, datconnlimit) FROM pg_database WHERE datname IN ('legacy', 'shop') ORDER BY 1";
    assert_eq!(server.sql("postgres", limits), "legacy-2\nshop-1");
}
