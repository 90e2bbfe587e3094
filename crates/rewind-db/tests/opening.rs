//! A login that only reads, behind a fence: on a real PostgreSQL and a real MariaDB with the rights that RDS gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::ErrorName;
use rewind_db::fence::{FenceTimeouts, LoginRecord, apply, inspect, lift, read_logins};
use rewind_db::opening::{ReadingLogin, close_login, databases_to_open, open_login};
use rewind_db::{Server, Session};
use std::net::IpAddr;
use std::process::{Command, Output};
use support::mariadb::MariaDb;
use support::{MASTER, MASTER_PASSWORD, Postgres};

const PASSWORD: &str = "Rw-0123456789abcdef";

fn login(until: &str) -> ReadingLogin {
    ReadingLogin {
        user: "rewind_open_0123456789ab".to_owned(),
        password: PASSWORD.to_owned(),
        from: "127.0.0.1".parse().unwrap(),
        until: until.parse().unwrap(),
        database: "shop".to_owned(),
    }
}

const LATER: &str = "2099-01-01T00:00:00Z";

async fn fence(session: &Session) -> LoginRecord {
    let recorded = LoginRecord::of(&read_logins(session).await.unwrap());
    apply(session, &recorded, FenceTimeouts::default()).await.unwrap();
    recorded
}

/// Runs SQL by psql, as whoever was given the login would.
fn psql(server: &Postgres, user: &str, password: &str, sql: &str) -> Output {
    let mut psql = Command::new(format!("{}/psql", support::BIN));
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", "shop"]);
    // Each a transaction of its own, as typed one after the other.
    psql.args(sql.split("; ").flat_map(|statement| ["-c", statement]));
    psql.arg("-h").arg(server.address.to_string()).arg("-p").arg(server.port.to_string());
    psql.env("PGPASSWORD", password).output().unwrap()
}

fn refused(output: &Output, why: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(why), "{text}");
}

fn answered(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn fenced_postgres() -> (Postgres, Server, Session, LoginRecord) {
    let server = Postgres::start_with(&["log_statement=all", "log_min_messages=log"], None).with_application();
    let (master, session) = (server.master().await, server.maintenance().await);
    let recorded = fence(&session).await;
    (server, master, session, recorded)
}

#[tokio::test]
async fn on_postgresql_one_connection_reads_and_writes_nothing_until_it_is_closed() {
    let (server, master, session, recorded) = fenced_postgres().await;
    let fenced = server.accounts();
    assert_eq!(databases_to_open(&session).await.unwrap(), ["postgres", "shop"]);
    let login = login(LATER);
    // Twice, as a step that is repeated.
    for _ in 0..2 {
        open_login(&master, &session, &login).await.unwrap();
    }
    let user = login.user.as_str();
    assert_eq!(answered(&psql(&server, user, PASSWORD, "SELECT count(*) FROM orders")), "2");
    refused(&psql(&server, user, PASSWORD, "INSERT INTO orders (word) VALUES ('x')"), "read-only transaction");
    // Whatever it sets for itself.
    let off = "SET default_transaction_read_only = off; DELETE FROM orders";
    refused(&psql(&server, user, PASSWORD, off), "permission denied");
    let inside = server.client(user, "shop").password(PASSWORD).connect(tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(inside.1);
    refused(&psql(&server, user, PASSWORD, "SELECT 1"), "too many connections for role");
    refused(&psql(&server, "app", support::APP_PASSWORD, "SELECT 1"), "not permitted to log in");
    // A fence that is open for one person is told as open.
    assert!(!inspect(&session).await.unwrap().open.is_empty());

    let closed = close_login(&master, &session, user, "shop", true).await.unwrap();
    assert_eq!(closed.len(), 2, "{closed:?}");
    connection.await.unwrap().unwrap_err();
    refused(&psql(&server, user, PASSWORD, "SELECT 1"), "password authentication failed");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
    assert!(inspect(&session).await.unwrap().open.is_empty());
    assert_eq!(close_login(&master, &session, user, "shop", true).await.unwrap(), [""; 0]);
    lift(&session, &recorded).await.unwrap();
    assert!(!server.log().contains(PASSWORD), "the password is in the server's log");
    assert!(server.log().contains("SCRAM-SHA-256$"), "the statement was not logged at all");
}

#[tokio::test]
async fn on_postgresql_nobody_gets_in_after_the_time() {
    let (server, master, session, _) = fenced_postgres().await;
    let login = login("2020-01-01T00:00:00Z");
    open_login(&master, &session, &login).await.unwrap();
    refused(&psql(&server, &login.user, PASSWORD, "SELECT 1"), "password authentication failed");
}

#[tokio::test]
async fn on_postgresql_a_login_that_could_write_by_everybodys_rights_is_let_in_by_no_run() {
    let function = "CREATE FUNCTION empty() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM orders'";
    for (planted, named) in [
        ("GRANT UPDATE (word) ON orders TO PUBLIC", "the table public.orders"),
        ("GRANT USAGE ON SEQUENCE orders_id_seq TO PUBLIC", "the sequence public.orders_id_seq"),
        (function, "the function public.empty, which acts as its owner"),
    ] {
        let (server, master, session, _) = fenced_postgres().await;
        server.sql("shop", planted);
        let fenced = server.accounts();
        let login = login(LATER);
        let error = open_login(&master, &session, &login).await.unwrap_err();
        assert!(error.name == ErrorName::RewindFailed && error.to_string().contains(named), "{error}");
        refused(&psql(&server, &login.user, PASSWORD, "SELECT 1"), "password authentication failed");
        close_login(&master, &session, &login.user, "shop", true).await.unwrap();
        assert_eq!(server.accounts(), fenced, "the fence is as it was");
    }
}

#[tokio::test]
async fn on_postgresql_what_the_login_made_for_itself_goes_with_it() {
    let (server, master, session, _) = fenced_postgres().await;
    // As in clusters that were made before PostgreSQL 15.
    server.sql("shop", "GRANT CREATE ON SCHEMA public TO PUBLIC; REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
    let fenced = server.accounts();
    let login = login(LATER);
    open_login(&master, &session, &login).await.unwrap();
    let own = "SET default_transaction_read_only = off; CREATE TABLE public.mine (a int); SELECT pg_catalog.lo_create(0) IS NOT NULL";
    assert_eq!(answered(&psql(&server, &login.user, PASSWORD, own)), "t");
    close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
    assert_eq!(server.sql("shop", "SELECT to_regclass('public.mine') IS NULL, count(*) FROM pg_largeobject"), "t|0");
}

#[tokio::test]
async fn where_the_fence_is_lifted_a_close_closes_no_database() {
    let (server, master, session, recorded) = fenced_postgres().await;
    let login = login(LATER);
    open_login(&master, &session, &login).await.unwrap();
    lift(&session, &recorded).await.unwrap();
    let before = server.sql("postgres", "SELECT datconnlimit FROM pg_database ORDER BY oid");
    close_login(&master, &session, &login.user, "shop", false).await.unwrap();
    assert_eq!(server.sql("postgres", "SELECT datconnlimit FROM pg_database ORDER BY oid"), before);
    assert!(psql(&server, MASTER, MASTER_PASSWORD, "SELECT 1").status.success());
}

/// Runs SQL by MySQL's client.
fn mysql(server: &MariaDb, user: &str, password: &str, sql: &str) -> Output {
    let mut client = support::mariadb::client(server.address, server.port, user, password);
    client.args(["--ssl", "-e", sql]).output().unwrap()
}

fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

async fn fenced_mariadb() -> (MariaDb, Server, Session, LoginRecord, ReadingLogin) {
    let (certificate, key) = certificate();
    let server = MariaDb::start_with(&[], Some((&certificate, &key))).with_application();
    server.sql(
        "",
        "CREATE DATABASE shopX; CREATE TABLE shopX.a (b INT); CREATE DATABASE shop_; CREATE TABLE shop_.a (b INT)",
    );
    let (master, session) = (server.master().await, server.maintenance().await);
    let recorded = fence(&session).await;
    (server, master, session, recorded, login(LATER))
}

#[tokio::test]
async fn on_mysql_one_connection_of_one_address_reads_and_writes_nothing_until_it_is_closed() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    let fenced = server.accounts();
    assert_eq!(databases_to_open(&session).await.unwrap(), ["shop", "shopX", "shop_"]);
    for _ in 0..2 {
        open_login(&master, &session, &login).await.unwrap();
    }
    let user = login.user.as_str();
    assert_eq!(answered(&mysql(&server, user, PASSWORD, "SELECT count(*) FROM orders")), "2");
    refused(&mysql(&server, user, PASSWORD, "INSERT INTO orders (word) VALUES ('x')"), "denied");
    refused(&mysql(&server, user, PASSWORD, "CREATE TABLE mine (a INT)"), "denied");
    refused(&mysql(&server, user, PASSWORD, "SELECT * FROM shopX.a"), "denied");
    refused(&mysql(&server, user, PASSWORD, "SELECT * FROM mysql.user"), "denied");
    refused(&mysql(&server, "app", support::APP_PASSWORD, "SELECT 1"), "locked");
    let mut held = support::mariadb::client(server.address, server.port, user, PASSWORD)
        .args(["--ssl", "-e", "SELECT sleep(60)"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while server.sql("", "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'") != "1" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    refused(&mysql(&server, user, PASSWORD, "SELECT 1"), "max_user_connections");
    assert!(!inspect(&session).await.unwrap().open.is_empty());

    let closed = close_login(&master, &session, user, "shop", true).await.unwrap();
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert!(!held.wait().unwrap().success(), "its session goes on");
    refused(&mysql(&server, user, PASSWORD, "SELECT 1"), "denied");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
    assert!(inspect(&session).await.unwrap().open.is_empty());
    assert_eq!(close_login(&master, &session, user, "shop", true).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn on_mysql_another_address_is_refused() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    let elsewhere: IpAddr = "203.0.113.7".parse().unwrap();
    open_login(&master, &session, &ReadingLogin { from: elsewhere, ..login.clone() }).await.unwrap();
    refused(&mysql(&server, &login.user, PASSWORD, "SELECT 1"), "denied");
    // Opened again for another, it is that one's alone.
    open_login(&master, &session, &login).await.unwrap();
    assert_eq!(server.sql("", &format!("SELECT count(*) FROM mysql.user WHERE user = '{}'", login.user)), "1");
    assert_eq!(answered(&mysql(&server, &login.user, PASSWORD, "SELECT 1")), "1");
}

#[tokio::test]
async fn on_mysql_rights_that_everybody_has_are_refused() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    server
        .sql("", "INSERT INTO mysql.db (host, db, user, insert_priv) VALUES ('%', 'sho%', '', 'Y'); FLUSH PRIVILEGES");
    let error = open_login(&master, &session, &login).await.unwrap_err();
    assert!(error.to_string().contains("the schemas sho%"), "{error}");
    refused(&mysql(&server, &login.user, PASSWORD, "SELECT 1"), "locked");
}
