//! A directory with clusters in it, and a client as people have it: the `mariadb` command line.

use crate::mariadb::{Cluster, Context, host};
use crate::servers::{MasterUser, ServerEndpoint};
use crate::tls::Authority;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub const USER: &str = "boss";
// With a quote and a backslash: left unescaped in a statement or an option file, the login fails.
pub const PASSWORD: &str = "it's-a-secret\\";

/// Everything of one test; it is gone with this value.
pub struct Stack {
    pub context: Arc<Context>,
    dir: PathBuf,
    network: [u8; 2],
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Servers that a failed test left running end with this process: the host gave them a death signal.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Stack {
    pub async fn new() -> Self {
        let id = std::process::id();
        let unique = fastrand::u32(..);
        let dir = std::env::temp_dir().join(format!("rewind-{id}-{unique:x}"));
        std::fs::create_dir(&dir).unwrap();
        let host = host::find(&dir).await.unwrap();
        let authority = Arc::new(Authority::open(&dir).unwrap());
        host.make_dir(&dir.join("rds")).unwrap();
        let context = Context {
            host,
            password: "control".to_owned(),
            authority,
            clock: SystemClock,
            lag: SignedDuration::from_millis(100),
        };
        // Tests run side by side, and each cluster listens on port 3306: each test has a network of its own.
        let [b, c, ..] = unique.to_le_bytes();
        Self { context: Arc::new(context), dir, network: [b.max(1), c] }
    }

    pub fn cluster(&self, name: &str) -> Cluster {
        let context = Arc::clone(&self.context);
        let cluster =
            Cluster::new(context, self.dir.join("rds").join(name), vec![format!("{name}.local")], everybody()).unwrap();
        cluster.set_reach(SignedDuration::from_hours(1), SignedDuration::from_hours(24));
        cluster
    }

    /// A cluster with a writer, and with the database `shop`.
    pub async fn started(&self) -> (Cluster, Client) {
        let cluster = self.cluster("main");
        cluster.create(&master()).await.unwrap();
        assert!(cluster.start("one", self.endpoint(10)).await.unwrap());
        (cluster, self.client(10))
    }

    pub fn endpoint(&self, last: u8) -> ServerEndpoint {
        let [b, c] = self.network;
        ServerEndpoint { name: format!("i{last}.local"), address: Ipv4Addr::new(127, b, c, last), port: 3306 }
    }

    pub fn client(&self, last: u8) -> Client {
        Client {
            address: self.endpoint(last).address,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            ca: self.context.authority.pem().to_owned(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.context.clock.now()
    }
}

pub fn master() -> MasterUser {
    MasterUser { user: USER.to_owned(), password: PASSWORD.to_owned(), database: Some("shop".to_owned()) }
}

pub fn everybody() -> Vec<IpNet> {
    vec!["127.0.0.0/8".parse().unwrap()]
}

#[derive(Clone)]
pub struct Client {
    pub address: Ipv4Addr,
    pub user: String,
    pub password: String,
    ca: PathBuf,
}

impl Client {
    fn command(&self) -> Command {
        let mut command = Command::new("mariadb");
        // A client like people's, over TLS with the authority verified: what the stack promises to them is what is tested.
        command.args([
            "--no-defaults",
            "--batch",
            "--raw",
            "--skip-column-names",
            "--unbuffered",
            "--connect-timeout=5",
        ]);
        command.arg(format!("--host={}", self.address)).arg(format!("--user={}", self.user));
        command.arg(format!("--ssl-ca={}", self.ca.display())).arg("--port=3306");
        command.env("MYSQL_PWD", &self.password).kill_on_drop(true);
        command
    }

    /// Runs statements in a connection of their own.
    pub async fn try_sql(&self, statements: &str) -> Result<String, String> {
        let output = self.command().arg("--execute").arg(statements).output().await.unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap().trim_end().replace('\n', " "));
        }
        Err(String::from_utf8(output.stderr).unwrap())
    }

    pub async fn sql(&self, statements: &str) -> String {
        self.try_sql(statements).await.unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    pub fn session(&self) -> Session {
        let mut command = self.command();
        // --force: without it the client ends at the first refused statement, and the connection with it.
        command.arg("--force").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Session { input, output, _child: child }
    }
}

/// A connection that stays.
pub struct Session {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Session {
    /// Runs statements and returns their only row; none when the connection is gone.
    pub async fn ask(&mut self, statements: &str) -> Option<String> {
        self.input.write_all(format!("{statements}\n").as_bytes()).await.ok()?;
        self.input.flush().await.ok()?;
        tokio::time::timeout(Duration::from_secs(10), self.output.next_line()).await.ok()?.unwrap()
    }
}
