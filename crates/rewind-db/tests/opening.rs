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
use support::{BIN, MASTER, MASTER_PASSWORD, Postgres};

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
    psql_in("shop", server, user, password, sql)
}

fn psql_in(database: &str, server: &Postgres, user: &str, password: &str, sql: &str) -> Output {
    let mut psql = Command::new(format!("{BIN}/psql"));
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database]);
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
    let trigger =
        "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END'";
    let hidden = "CREATE FUNCTION sf(int, int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; \
        REVOKE EXECUTE ON FUNCTION sf FROM PUBLIC";
    let aggregate = format!("{hidden}; CREATE AGGREGATE ag(int) (SFUNC = sf, STYPE = int)");
    let operator = format!("{hidden}; CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = sf)");
    for (planted, named) in [
        (trigger, "the function public.audit, which acts as its owner"),
        (&aggregate, "the function public.sf, which acts as its owner"),
        (&operator, "the function public.sf, which acts as its owner"),
        ("GRANT TRIGGER ON orders TO PUBLIC", "the table public.orders"),
        ("SELECT lo_create(7); GRANT UPDATE ON LARGE OBJECT 7 TO PUBLIC", "the large object 7"),
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
async fn on_postgresql_what_triggers_call_is_out_of_reach_of_who_can_make_none() {
    let (server, master, session, _) = fenced_postgres().await;
    server.sql(
        "shop",
        "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END'",
    );
    server.sql("shop", "REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC");
    let login = login(LATER);
    open_login(&master, &session, &login).await.unwrap();
    let trigger = "SET default_transaction_read_only = off; CREATE TEMP TABLE mine (a int)";
    refused(&psql(&server, &login.user, PASSWORD, trigger), "permission denied");
}

#[tokio::test]
async fn on_postgresql_other_databases_that_take_the_login_are_looked_into() {
    let (server, master, session, _) = fenced_postgres().await;
    server.sql(
        "template1",
        "SET search_path = public; CREATE FUNCTION act() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    );
    let error = open_login(&master, &session, &login(LATER)).await.unwrap_err();
    let named = "the function public.act, which acts as its owner in the database template1";
    assert!(error.name == ErrorName::RewindFailed && error.to_string().contains(named), "{error}");
}

#[tokio::test]
async fn on_postgresql_the_login_reads_peoples_tables_of_one_database_and_no_secret_of_the_server() {
    let (server, master, session, _) = fenced_postgres().await;
    server.sql("template1", "CREATE TABLE public.elsewhere (a int)");
    server.sql(
        "shop",
        "CREATE ROLE locked NOLOGIN; CREATE SCHEMA apart AUTHORIZATION locked; CREATE TABLE apart.t AS SELECT 7 AS a; \
         ALTER TABLE apart.t OWNER TO locked; CREATE VIEW public.v AS SELECT word FROM orders; ALTER VIEW v OWNER TO app; \
         CREATE TABLE apart.secret AS SELECT 1 AS a; CREATE TABLE public.chosen (a int); ALTER TABLE chosen OWNER TO app; \
         ALTER TABLE chosen ENABLE ROW LEVEL SECURITY; REVOKE USAGE ON SCHEMA public FROM PUBLIC",
    );
    let before = server.accounts();
    let login = login(LATER);
    let unread = open_login(&master, &session, &login).await.unwrap();
    let read = |sql: &str| psql(&server, &login.user, PASSWORD, sql);
    assert_eq!(
        answered(&read(
            "SELECT a FROM apart.t; SELECT pg_catalog.max(word) FROM public.v; SELECT last_value FROM public.orders_id_seq"
        )),
        "7\nsecond\n2"
    );
    // The superuser's is nobody's to grant.
    refused(&read("SELECT * FROM apart.secret"), "permission denied");
    let [refused_ones, in_part] = unread.as_slice() else { panic!("{unread:?}") };
    assert!(refused_ones.contains("apart.secret of rdsadmin") && !refused_ones.contains("orders"), "{unread:?}");
    assert!(in_part.contains("public.chosen"), "{unread:?}");
    for secret in [
        "SELECT rolpassword FROM pg_catalog.pg_authid",
        "SELECT umoptions FROM pg_catalog.pg_user_mapping",
        "SELECT subconninfo FROM pg_catalog.pg_subscription",
    ] {
        refused(&read(secret), "permission denied");
    }
    refused(
        &psql_in("template1", &server, &login.user, PASSWORD, "SELECT * FROM public.elsewhere"),
        "permission denied",
    );
    refused(&psql_in("postgres", &server, &login.user, PASSWORD, "SELECT 1"), "too many connections for database");
    close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert_eq!(server.accounts(), before, "a role that was taken to grant is kept");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM pg_class WHERE relacl::text LIKE '%rewind_open%'"), "0");
}

#[tokio::test]
async fn on_postgresql_a_role_that_somebody_made_under_the_name_is_not_let_in() {
    let (server, master, session, _) = fenced_postgres().await;
    let login = login(LATER);
    let user = login.user.as_str();
    server.sql("shop", &format!("CREATE ROLE {user} LOGIN NOINHERIT CREATEROLE PASSWORD 'x' IN ROLE app; ALTER ROLE {user} SET search_path = apart"));
    let (_planted, connection) =
        server.client(user, "template1").password("x").connect(tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    open_login(&master, &session, &login).await.unwrap();
    connection.await.unwrap().unwrap_err();
    refused(&psql(&server, user, PASSWORD, "SET ROLE app"), "permission denied to set role");
    assert_eq!(
        server.sql("shop", &format!("SELECT rolcreaterole, rolconfig FROM pg_roles WHERE rolname = '{user}'")),
        "f|{default_transaction_read_only=on}"
    );
    close_login(&master, &session, user, "shop", true).await.unwrap();
    // And where it cannot be removed, nobody is let in.
    server.sql("postgres", &format!("CREATE ROLE {user} LOGIN PASSWORD 'x'"));
    server.sql("postgres", &format!("ALTER DATABASE rdsadmin OWNER TO {user}"));
    let error = open_login(&master, &session, &login).await.unwrap_err();
    assert!(error.to_string().contains("there is a login rewind_open_0123456789ab already"), "{error}");
    refused(&psql_in("template1", &server, user, "x", "SELECT 1"), "password authentication failed");
}

#[tokio::test]
async fn on_postgresql_a_login_that_cannot_be_removed_keeps_nothing_from_being_closed() {
    let (server, master, session, _) = fenced_postgres().await;
    let fenced = server.accounts();
    let login = login(LATER);
    let user = login.user.as_str();
    open_login(&master, &session, &login).await.unwrap();
    // More than the server has locks for, and what is in another database: nobody knows if it is needed.
    let many = "SET default_transaction_read_only = off; SELECT pg_catalog.count(pg_catalog.lo_create(0)) FROM pg_catalog.generate_series(1, 20000)";
    assert_eq!(answered(&psql(&server, user, PASSWORD, many)), "20000");
    let elsewhere = "SET default_transaction_read_only = off; SELECT pg_catalog.lo_create(0) IS NOT NULL";
    assert_eq!(answered(&psql_in("template1", &server, user, PASSWORD, elsewhere)), "t");

    let closed = close_login(&master, &session, user, "shop", true).await.unwrap();
    assert!(closed.len() == 2 && closed[0].contains("is shut") && closed[0].contains("is there still"), "{closed:?}");
    assert!(closed[0].contains("20000 large objects in shop, 1 large objects in template1"), "{closed:?}");
    refused(&psql(&server, user, PASSWORD, "SELECT 1"), "password authentication failed");
    assert!(inspect(&session).await.unwrap().open.is_empty());
    let error = open_login(&master, &session, &login).await.unwrap_err();
    assert!(error.to_string().contains("already, and it cannot be removed"), "{error}");
    // The next close tries again.
    server.sql("template1", "SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
    server.sql("shop", "DO $$ BEGIN FOR n IN 1..20 LOOP PERFORM lo_unlink(oid) FROM (SELECT oid FROM pg_largeobject_metadata LIMIT 1000) l; COMMIT; END LOOP; END $$");
    let closed = close_login(&master, &session, user, "shop", true).await.unwrap();
    assert!(closed[0].contains("is removed"), "{closed:?}");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
}

#[tokio::test]
async fn on_postgresql_settings_of_a_databases_owner_steer_neither_opening_nor_closing() {
    let (server, master, session, _) = fenced_postgres().await;
    for setting in [
        "role = app",
        "statement_timeout = 1",
        "lock_timeout = 1",
        "exit_on_error = on",
        "default_transaction_read_only = on",
    ] {
        for database in ["shop", "template1"] {
            server.sql("postgres", &format!("ALTER DATABASE {database} SET {setting}"));
        }
    }
    let fenced = server.accounts();
    let login = login(LATER);
    drop(session);
    let session = server.maintenance().await;
    open_login(&master, &session, &login).await.unwrap();
    assert_eq!(
        answered(&psql(
            &server,
            &login.user,
            PASSWORD,
            "SET statement_timeout = 0; SELECT pg_catalog.count(*) FROM public.orders"
        )),
        "2"
    );
    let closed = close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert!(closed.len() == 2 && closed[0].contains("is removed"), "{closed:?}");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
}

/// A transaction of the login's that holds the login itself: nobody can change it meanwhile.
const HOLDS_ITSELF: &str = "BEGIN READ WRITE; ALTER ROLE CURRENT_USER PASSWORD 'mine'";

#[tokio::test]
async fn on_postgresql_whoever_holds_the_login_is_put_out_however_often_they_come_back() {
    let (server, master, session, _) = fenced_postgres().await;
    let fenced = server.accounts();
    let login = login(LATER);
    open_login(&master, &session, &login).await.unwrap();
    let mut config = server.client(&login.user, "shop");
    config.password(PASSWORD);
    let (held, is_held) = tokio::sync::oneshot::channel();
    let reader = tokio::spawn(async move {
        let (mut held, mut times) = (Some(held), 0);
        // Comes back at once, until it is no longer let in.
        loop {
            let (client, connection) = match config.connect(tokio_postgres::NoTls).await {
                Ok(connected) => connected,
                Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::TOO_MANY_CONNECTIONS) => continue,
                Err(_) => return times,
            };
            let connection = tokio::spawn(connection);
            if client.batch_execute(HOLDS_ITSELF).await.is_ok() {
                times += 1;
                if let Some(held) = held.take() {
                    held.send(()).unwrap();
                }
            }
            connection.await.unwrap().unwrap_err();
        }
    });
    is_held.await.unwrap();
    let begun = std::time::Instant::now();
    let closed = close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert!(closed.len() == 2 && closed[0].contains("is removed"), "{closed:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(reader.await.unwrap() > 0, "it held nothing");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
}

#[tokio::test]
async fn on_postgresql_a_prepared_transaction_that_holds_the_login_keeps_it_from_nothing() {
    let (server, master, session, _) = fenced_postgres().await;
    let fenced = server.accounts();
    let login = login(LATER);
    open_login(&master, &session, &login).await.unwrap();
    let prepared = format!("{HOLDS_ITSELF}; PREPARE TRANSACTION 'kept'");
    answered(&psql(&server, &login.user, PASSWORD, &prepared));
    assert_eq!(server.sql("shop", "SELECT count(*) FROM pg_prepared_xacts"), "1");
    let closed = close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert!(closed.len() == 2 && closed[0].contains("is removed"), "{closed:?}");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM pg_prepared_xacts"), "0");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
}

#[tokio::test]
async fn on_postgresql_nothing_that_a_role_under_the_name_owns_is_dropped() {
    let (server, master, session, _) = fenced_postgres().await;
    let login = login(LATER);
    let user = login.user.as_str();
    // As somebody who knows the name does before the fence. The application goes on with its table.
    let planted = format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'x'; ALTER TABLE orders OWNER TO {user}; SELECT lo_from_bytea(7, 'kept'); \
         ALTER LARGE OBJECT 7 OWNER TO {user}"
    );
    server.sql("shop", &planted);
    for _ in 0..2 {
        let error = open_login(&master, &session, &login).await.unwrap_err();
        assert!(error.name == ErrorName::RewindFailed, "{error}");
        assert!(error.to_string().contains("tables, views or sequences in shop, 1 large objects in shop"), "{error}");
        let closed = close_login(&master, &session, user, "shop", true).await.unwrap();
        assert!(closed[0].contains("of which nothing is dropped"), "{closed:?}");
        refused(&psql(&server, user, "x", "SELECT 1"), "password authentication failed");
        assert_eq!(server.sql("shop", "SELECT count(*), convert_from(lo_get(7), 'UTF8') FROM orders"), "2|kept");
    }
    // What was made for it alone stays as well.
    server.sql("shop", "ALTER TABLE orders OWNER TO app; SELECT lo_unlink(7)");
    server.sql(
        "shop",
        &format!("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON orders TO {user} USING (true)"),
    );
    let error = open_login(&master, &session, &login).await.unwrap_err();
    assert!(error.to_string().contains("1 policies for rows in shop"), "{error}");
    assert_eq!(server.sql("shop", "DROP POLICY p ON orders; SELECT count(*) FROM pg_policy"), "0");
    open_login(&master, &session, &login).await.unwrap();
}

#[tokio::test]
async fn on_postgresql_what_the_login_made_for_itself_is_named_and_keeps_it_shut() {
    let (server, master, session, _) = fenced_postgres().await;
    // As in clusters that were made before PostgreSQL 15.
    server.sql("shop", "GRANT CREATE ON SCHEMA public TO PUBLIC; REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
    let fenced = server.accounts();
    let login = login(LATER);
    open_login(&master, &session, &login).await.unwrap();
    let own = "SET default_transaction_read_only = off; CREATE TABLE public.mine (a int); CREATE TEMP TABLE aside (a int); \
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC";
    answered(&psql(&server, &login.user, PASSWORD, own));
    let prepared = "BEGIN; LOCK TABLE public.orders IN ACCESS SHARE MODE; PREPARE TRANSACTION 'kept'";
    answered(&psql(&server, &login.user, PASSWORD, prepared));
    let closed = close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert!(closed[0].contains("is shut") && closed[0].contains("1 tables, views or sequences in shop"), "{closed:?}");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM pg_prepared_xacts"), "0");
    refused(&psql(&server, &login.user, PASSWORD, "SELECT 1"), "password authentication failed");
    // Once somebody has seen what it is, the next close removes the login.
    server.sql("shop", "DROP TABLE public.mine");
    let closed = close_login(&master, &session, &login.user, "shop", true).await.unwrap();
    assert!(closed[0].contains("is removed"), "{closed:?}");
    assert_eq!(server.accounts(), fenced, "the fence is as it was");
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
    let ends = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while server.sql("", "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'") != "1" {
        assert!(std::time::Instant::now() < ends, "the session that holds the only connection is not there");
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

#[tokio::test]
async fn on_mysql_rights_that_everybody_has_in_another_schema_are_refused() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    server.sql(
        "",
        "DELIMITER //\n\
         CREATE DATABASE utils //\n\
         CREATE FUNCTION utils.logged(i INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM shop.orders; RETURN i; END //\n\
         CREATE VIEW utils.acting AS SELECT utils.logged(1) AS x //\n\
         CREATE VIEW utils.plain AS SELECT 1 AS x //\n\
         DELIMITER ;\n\
         CREATE USER ''@'%' IDENTIFIED BY 'x'; GRANT EXECUTE ON utils.* TO ''@'%'",
    );
    let refused_for = async |named: &str| {
        let error = open_login(&master, &session, &login).await.unwrap_err();
        assert!(error.name == ErrorName::RewindFailed && error.to_string().contains(named), "{error}");
        refused(&mysql(&server, &login.user, PASSWORD, "SELECT 1"), "locked");
    };
    refused_for("the schemas utils").await;
    server.sql("", "REVOKE EXECUTE ON utils.* FROM ''@'%'; GRANT SELECT ON utils.* TO ''@'%'");
    refused_for("the view utils.acting (it calls ").await;
    server.sql("", "DROP VIEW utils.acting");
    open_login(&master, &session, &login).await.unwrap();
    assert_eq!(answered(&mysql(&server, &login.user, PASSWORD, "SELECT x FROM utils.plain")), "1");
    refused(&mysql(&server, &login.user, PASSWORD, "SELECT utils.logged(1)"), "denied");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), "2");
}

#[tokio::test]
async fn on_mysql_a_view_that_calls_what_people_stored_is_not_read_and_all_else_is() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    server.sql(
        "shop",
        "DELIMITER //\n\
         CREATE FUNCTION logged(i INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM orders; RETURN i; END //\n\
         DELIMITER ;\n\
         CREATE VIEW acting AS SELECT logged(1) AS x; CREATE DATABASE aside; CREATE VIEW aside.hop AS SELECT x FROM acting; \
         CREATE VIEW behind AS SELECT x FROM aside.hop; CREATE VIEW plain AS SELECT upper(word) AS w FROM orders",
    );
    for _ in 0..2 {
        let unread = open_login(&master, &session, &login).await.unwrap();
        assert!(
            unread.len() == 1
                && unread[0].contains("the views acting (it calls ")
                && unread[0].contains("), behind (it calls "),
            "{unread:?}"
        );
    }
    let read = |sql: &str| mysql(&server, &login.user, PASSWORD, sql);
    refused(&read("SELECT * FROM acting"), "denied");
    refused(&read("SELECT * FROM behind"), "denied");
    assert_eq!(answered(&read("SELECT count(*) FROM plain")), "2");
    assert_eq!(answered(&read("SELECT count(*) FROM orders")), "2");
    refused(&read("SELECT * FROM shopX.a"), "denied");
}

#[tokio::test]
async fn on_mysql_an_account_that_somebody_made_under_the_name_is_made_anew() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    let user = &login.user;
    server.sql(
        "",
        &format!(
            "CREATE USER {user}@'127.0.0.1', {user}@'%' IDENTIFIED BY 'x'; GRANT ALL ON shop.* TO {user}@'127.0.0.1'"
        ),
    );
    open_login(&master, &session, &login).await.unwrap();
    refused(&mysql(&server, user, PASSWORD, "DELETE FROM orders"), "denied");
    assert_eq!(server.sql("", &format!("SELECT host FROM mysql.user WHERE user = '{user}'")), "127.0.0.1");
}

#[tokio::test]
async fn on_mysql_a_password_is_a_text_and_no_statement() {
    let (server, master, session, _, login) = fenced_mariadb().await;
    let password = "x', 'admin'@'%' IDENTIFIED BY 'mine\\".to_owned();
    let login = ReadingLogin { password: password.clone(), ..login };
    open_login(&master, &session, &login).await.unwrap();
    assert_eq!(answered(&mysql(&server, &login.user, &password, "SELECT 1")), "1");
}
