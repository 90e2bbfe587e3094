//! A real MariaDB for a test, standing in for Aurora MySQL: `rdsadmin` is the superuser, `admin` the master user with the
//! rights that RDS gives, and sessions are ended by RDS's procedure. Gone with the test.

#![allow(dead_code, reason = "each test file uses a part of it")]

use super::{Directory, credential, is_root, keep, network, own_address, owner, run};
use rewind_core::Engine;
use rewind_db::{Credential, Server, Session, Target, defaults};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub const MASTER: &str = "admin";
pub const MASTER_PASSWORD: &str = "master-password";
pub const APP_PASSWORD: &str = "app-password";

/// Does what RDS does when it makes a cluster.
const ACCOUNTS: &str = "
    DELETE FROM mysql.global_priv WHERE user = 'root' AND host <> 'localhost';
    FLUSH PRIVILEGES;
    CREATE USER rdsadmin@localhost IDENTIFIED BY 'nobody knows';
    GRANT ALL ON *.* TO rdsadmin@localhost WITH GRANT OPTION;
    CREATE USER admin@'%' IDENTIFIED BY 'master-password';
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES,
        CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW,
        CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER ON *.* TO admin@'%' WITH GRANT OPTION;
    DELIMITER //
    CREATE DEFINER = rdsadmin@localhost PROCEDURE mysql.rds_kill(IN thread BIGINT) READS SQL DATA
    BEGIN
        DECLARE who VARCHAR(200);
        SELECT user INTO who FROM information_schema.processlist WHERE id = thread;
        IF who = 'rdsadmin' THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'CANNOT KILL RDSADMIN SESSION';
        END IF;
        KILL thread;
    END //
    DELIMITER ;
";

/// A running server.
pub struct MariaDb {
    directory: Directory,
    process: Option<Child>,
    pub address: IpAddr,
    pub port: u16,
}

impl MariaDb {
    /// A server without TLS.
    pub fn start() -> Self {
        Self::start_with(&[], None)
    }

    /// A server with further settings and, for TLS, a certificate and its key (PEM).
    pub fn start_with(settings: &[&str], tls: Option<(&str, &str)>) -> Self {
        let directory = Directory::of("mariadb", "mysql");
        let data = directory.0.join("data");
        run(Command::new("cp").arg("-a").arg(template().join("data")).arg(&data), "copy the template");
        let address = own_address();
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let mut command = as_mysql("/usr/sbin/mariadbd");
        command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
        command.arg(format!("--socket={}", directory.0.join("socket").display()));
        command.arg(format!("--pid-file={}", directory.0.join("pid").display()));
        // A server that starts deletes the temporary tables in its folder, whoever made them.
        let temporary = directory.0.join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        super::own_by(&temporary, "mysql");
        command.arg(format!("--tmpdir={}", temporary.display()));
        command.arg(format!("--bind-address={address}")).arg(format!("--port={port}"));
        command.args(["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"]);
        command.args(["--log-bin=binlog", "--server-id=7", "--max-connections=80"]).args(settings);
        if let Some((certificate, key)) = tls {
            for (option, pem) in [("ssl-cert", certificate), ("ssl-key", key)] {
                let path = directory.0.join(option);
                std::fs::write(&path, pem).unwrap();
                super::own_by(&path, "mysql");
                command.arg(format!("--{option}={}", path.display()));
            }
        }
        let log = std::fs::File::create(directory.0.join("log")).unwrap();
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Self { directory, process: Some(process), address, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server.client("").arg("-e").arg("SELECT 1").output().unwrap().status.success() {
            let log = std::fs::read_to_string(server.directory.0.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "MariaDB did not start within a minute: {log}");
            std::thread::sleep(Duration::from_millis(30));
        }
        server.sql("", ACCOUNTS);
        server
    }

    fn client(&self, database: &str) -> Command {
        let mut client = as_mysql("mariadb");
        client.args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"]);
        client.arg(format!("--socket={}", self.directory.0.join("socket").display()));
        if !database.is_empty() {
            client.arg(database);
        }
        client
    }

    /// Runs SQL as the superuser, over the server's own socket; answers its rows, columns separated by tabs.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        use std::io::Write as _;
        let mut client = self.client(database);
        let mut process = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The account `app`, a database `shop` that it works in, and a table there.
    pub fn with_application(self) -> Self {
        self.sql(
            "",
            "CREATE DATABASE shop; CREATE USER app@'%' IDENTIFIED BY 'app-password'; GRANT ALL ON shop.* TO app@'%'; \
             CREATE TABLE shop.orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, word TEXT NOT NULL); \
             INSERT INTO shop.orders (word) VALUES ('first'), ('second')",
        );
        self
    }

    /// As many accounts that may log in, with names of 32 characters.
    pub fn add_tenants(&self, count: usize) {
        let name = |n: usize| format!("tenant_{n:08}_{}@'10.%'", "x".repeat(16));
        let names: Vec<String> = (1..=count).map(name).collect();
        for some in names.chunks(500) {
            self.sql("", &format!("CREATE USER {}", some.join(", ")));
        }
    }

    /// Every account, with all that a fence may change of it.
    pub fn accounts(&self) -> String {
        self.sql(
            "",
            "SELECT user, host, json_remove(priv, '$.password_last_changed', '$.account_locked'), \
             coalesce(json_value(priv, '$.account_locked'), 0) FROM mysql.global_priv ORDER BY 1, 2",
        )
    }

    pub fn target(&self) -> Target {
        Target::new(Engine::AuroraMysql, self.address.to_string(), self.port)
    }

    /// The master user's server, logged in to by the product's own way.
    pub async fn master(&self) -> Server {
        let (server, session) =
            Server::connect(&network(), &self.target(), &[master()], "mysql").await.expect("the master user logs in");
        session.close().await;
        server
    }

    /// The master user's session that a fence works from.
    pub async fn maintenance(&self) -> Session {
        self.master()
            .await
            .open(defaults(Engine::AuroraMysql).maintenance_database)
            .await
            .expect("the master user logs in")
    }

    /// A session of `app` over the network that stays open between its statements.
    pub fn open_client(&self, database: &str) -> OpenClient {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--batch", "--unbuffered", "--user=app"]);
        client.arg(format!("--password={APP_PASSWORD}")).arg(format!("--host={}", self.address));
        client.arg(format!("--port={}", self.port)).arg(database);
        OpenClient(client.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Ends the server without a farewell.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// A session that stays open; it ends when it is dropped.
pub struct OpenClient(Child);

impl OpenClient {
    /// Sends statements, a line of them, and does not wait for their end.
    pub fn send(&mut self, sql: &str) {
        use std::io::Write as _;
        writeln!(self.0.stdin.as_mut().unwrap(), "{sql}").unwrap();
    }

    /// Sends the last statements, and waits for the end of all.
    pub fn finish(mut self, sql: &str) {
        self.send(sql);
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success(), "{sql}");
    }
}

impl Drop for OpenClient {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.crash();
    }
}

pub fn master() -> Credential {
    credential(MASTER, MASTER_PASSWORD, "AWSCURRENT")
}

/// A data directory as MariaDB makes it, made once and kept as PostgreSQL's is.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let (uid, gid) = owner("mysql");
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mariadb-{uid}-{gid}"));
        if !kept.exists() {
            let directory = Directory::of("mariadb-template", "mysql");
            let mut install = as_mysql("mariadb-install-db");
            install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
            install.arg(format!("--datadir={}", directory.0.join("data").display()));
            install.arg(format!("--tmpdir={}", directory.0.display()));
            run(&mut install, "mariadb-install-db: `apt-get install mariadb-server`");
            keep(&directory, &kept);
        }
        kept
    })
}

/// A command of MariaDB's, as the user that it runs as; it ends with the thread that started it.
fn as_mysql(command: &str) -> Command {
    let mut setpriv = Command::new("setpriv");
    if is_root() {
        setpriv.args(["--reuid=mysql", "--regid=mysql", "--init-groups"]);
    }
    if command.ends_with("mariadbd") {
        setpriv.args(["--pdeathsig", "KILL"]);
    }
    setpriv.arg("--").arg(command).current_dir("/");
    setpriv
}

/// An application's client, in `shop`: it prints each answer when it comes.
pub fn client(address: IpAddr, port: u16, user: &str, password: &str) -> Command {
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--batch", "--skip-column-names", "--unbuffered", "--skip-reconnect"]);
    client.arg(format!("--host={address}")).arg(format!("--port={port}")).arg(format!("--user={user}"));
    client.arg(format!("--password={password}")).arg("shop");
    client
}
