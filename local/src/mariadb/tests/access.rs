//! Access to a cluster: admitted addresses, TLS, and the privileges of the master user.

use super::stack::{PASSWORD, Stack, USER, everybody};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

async fn is_greeted(from: Ipv4Addr, to: Ipv4Addr) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    // The proxy accepts before it checks the address, so that connecting tells nothing: only the server's greeting does.
    let mut stream = socket.connect(SocketAddr::from((to, 3306))).await.unwrap();
    stream.read_u8().await.is_ok()
}

#[tokio::test]
async fn security_groups_decide_who_connects_and_never_end_a_connection() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    let mut session = client.session();
    assert_eq!(session.ask("SELECT 'in';").await.unwrap(), "in");
    let (functions, other) = (Ipv4Addr::new(127, 9, 9, 9), Ipv4Addr::new(127, 9, 9, 8));
    cluster.admit(vec!["127.9.9.9/32".parse().unwrap()]);
    assert!(is_greeted(functions, client.address).await && !is_greeted(other, client.address).await);
    client.try_sql("SELECT 1").await.unwrap_err();
    assert_eq!(session.ask("SELECT 'still in';").await.unwrap(), "still in");
    // A rewind cuts every connection, and the groups stay.
    cluster.backtrack(stack.now()).await.unwrap();
    assert_eq!(session.ask("SELECT 'not any more';").await, None);
    assert!(is_greeted(functions, client.address).await && !is_greeted(other, client.address).await);
    cluster.admit(everybody());
    client.sql("SELECT 1").await;
    cluster.kill().await;
}

#[tokio::test]
async fn the_server_sees_clients_with_their_own_address_over_tls() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    assert_eq!(client.sql("SELECT user(), current_user()").await, format!("{USER}@127.0.0.1\t{USER}@%"));
    let cipher = client.sql("SHOW STATUS LIKE 'Ssl_cipher'").await;
    assert!(cipher.contains("_AES_") || cipher.contains("_CHACHA20_"), "{cipher:?}");
    cluster.kill().await;
}

#[tokio::test]
async fn the_master_may_what_it_may_on_rds_and_no_more() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    for refused in [
        "SET GLOBAL read_only = 1",
        "SET GLOBAL max_connections = 10",
        "SET sql_log_bin = 0",
        "SELECT load_file('/etc/passwd') INTO OUTFILE '/tmp/x'",
        "SHUTDOWN",
        "PURGE BINARY LOGS BEFORE now()",
        "GRANT SUPER ON *.* TO boss",
        "KILL 1",
    ] {
        let refusal = client.try_sql(refused).await.expect_err(refused);
        // Access denied, by SUPER or by account; or, of KILL, no such thread or not its owner.
        assert!(
            refusal.contains("1227")
                || refusal.contains("1045")
                || refusal.contains("1095")
                || refusal.contains("1094"),
            "{refused}: {refusal}"
        );
    }
    client
        .sql(
            "CREATE USER app IDENTIFIED BY 'app-password'; GRANT ALL PRIVILEGES ON shop.* TO app; ALTER USER app ACCOUNT LOCK;
             SHOW CREATE USER app; ALTER USER app ACCOUNT UNLOCK; FLUSH PRIVILEGES; SHOW BINARY LOGS; SHOW MASTER STATUS",
        )
        .await;
    let mut app = client.clone();
    (app.user, app.password) = ("app".to_owned(), "app-password".to_owned());
    let mut session = app.session();
    let id = session.ask("SELECT connection_id();").await.unwrap();
    assert_eq!(session.ask("SELECT 1;").await.unwrap(), "1");
    client.sql(&format!("CALL mysql.rds_kill({id})")).await;
    let mut other = app.session();
    assert_eq!(other.ask("SELECT 1;").await.unwrap(), "1");
    // The id, not the number of sessions: the other one may have connected meanwhile.
    let left = client.sql(&format!("SELECT count(*) FROM information_schema.processlist WHERE id = {id}")).await;
    assert_eq!(left, "0");
    app.try_sql(&format!("CALL mysql.rds_kill({id})")).await.unwrap_err();
    cluster.kill().await;
}

#[tokio::test]
async fn accounts_that_no_client_has_are_closed_to_every_client() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    // What the installation creates and what the control plane uses: the proxy makes clients local, so `localhost` protects nothing.
    for (user, password) in [
        ("rdsadmin", ""),
        ("rdsadmin", PASSWORD),
        ("rdsrepladmin", ""),
        ("root", ""),
        ("", ""),
        ("mysql", ""),
        ("mariadb.sys", ""),
    ] {
        let mut client = client.clone();
        (client.user, client.password) = (user.to_owned(), password.to_owned());
        client.try_sql("SELECT 1").await.expect_err(user);
    }
    assert_eq!(client.sql("SHOW DATABASES LIKE 'test'; SHOW DATABASES LIKE 'shop'").await, "shop");
    cluster.set_password(USER, "another-password").await.unwrap();
    client.try_sql("SELECT 1").await.unwrap_err();
    let mut again = client.clone();
    again.password = "another-password".to_owned();
    again.sql("SELECT 1").await;
    cluster.kill().await;
}
