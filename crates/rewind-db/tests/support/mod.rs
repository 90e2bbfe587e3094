//! A real PostgreSQL 15 for a test, with the accounts that RDS makes: `rdsadmin` is the superuser, `postgres` the master
//! user with the rights of `rds_superuser` and no more. Each server has an address, a port and a directory of its own,
//! and is gone with the test.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod mariadb;

use rewind_core::{CheckDatabases, Engine};
use rewind_db::{Credential, Network, Server, Session, Settings, Target, defaults};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

pub const MASTER: &str = "postgres";
pub const MASTER_PASSWORD: &str = "master-password";
pub const APP_PASSWORD: &str = "app-password";

const PLANTED: &str = include_str!("planted.sql");

pub const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Does what RDS does when it makes a cluster. The rights are those of its documentation's `rds_superuser`.
const ACCOUNTS: &str = "
    CREATE ROLE rds_superuser NOLOGIN;
    GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
    CREATE ROLE rds_replication NOLOGIN;
    CREATE ROLE postgres LOGIN CREATEDB CREATEROLE PASSWORD 'master-password' IN ROLE rds_superuser;
    ALTER DATABASE postgres OWNER TO postgres;
    ALTER DATABASE template1 OWNER TO postgres;
    CREATE DATABASE rdsadmin;
    REVOKE CONNECT ON DATABASE rdsadmin FROM PUBLIC;
";

/// Steers every session in a database that says nothing else itself, as the database's owner may. The names in the product's SQL
/// then lead to what was planted, and a backslash ends a text.
const STEERED: &str = "SET search_path = public, pg_catalog; ALTER DATABASE % SET standard_conforming_strings = off";

/// The settings of whoever is not to be steered: the tests themselves, and their applications.
const NOT_STEERED: &str = "-c search_path=public -c standard_conforming_strings=on";

/// A running server.
pub struct Postgres {
    directory: Directory,
    process: Option<Child>,
    pub address: IpAddr,
    pub port: u16,
}

impl Postgres {
    /// A server without TLS.
    pub fn start() -> Self {
        Self::start_with(&[], None)
    }

    /// A server with further settings and, for TLS, a certificate and its key (PEM).
    pub fn start_with(settings: &[&str], tls: Option<(&str, &str)>) -> Self {
        let directory = Directory::new("server");
        run(
            Command::new("cp").arg("-a").arg(template().join("data")).arg(directory.0.join("data")),
            "copy the template",
        );
        Self::start_on(directory, settings, tls)
    }

    /// A server that shares no history with any other.
    pub fn start_anew() -> Self {
        let directory = Directory::new("anew");
        make_template(&directory.0.join("data"));
        Self::start_on(directory, &[], None)
    }

    /// A server with the data of this one as they are now, as a point-in-time restore makes it: with its history, and without what was not
    /// committed by then.
    pub fn restored(&self) -> Self {
        let directory = Directory::new("restored");
        let mut backup = as_postgres("pg_basebackup");
        backup.arg("-h").arg(&self.directory.0).arg("-p").arg(self.port.to_string()).args(["-U", "rdsadmin"]);
        backup.args(["-X", "stream", "-c", "fast", "--no-sync", "-D"]).arg(directory.0.join("data"));
        run(&mut backup, "pg_basebackup");
        Self::start_on(directory, &[], None)
    }

    /// The same server, which gives out `next` as its next transaction id: all rows are frozen, and it is started anew.
    pub fn at_transaction(mut self, next: u32) -> Self {
        for database in self.sql("postgres", "SELECT datname FROM pg_database WHERE datallowconn").lines() {
            self.sql(database, "VACUUM FREEZE");
        }
        self.sql("postgres", "UPDATE pg_database SET datallowconn = true WHERE datname = 'template0'");
        self.sql("template0", "VACUUM FREEZE");
        let data = self.directory.0.join("data");
        run(as_postgres("pg_ctl").args(["stop", "-m", "fast", "-w", "-D"]).arg(&data), "stop the server");
        if let Some(mut process) = self.process.take() {
            drop(process.wait());
        }
        run(as_postgres("pg_resetwal").arg("-x").arg(next.to_string()).arg("-D").arg(&data), "pg_resetwal");
        // The pages in which it notes how transactions end: it makes them one after the other, and here some were skipped.
        let pages = data.join("pg_xact").join(format!("{:04X}", next / 1_048_576));
        std::fs::write(&pages, vec![0; 262_144]).unwrap();
        own(&pages);
        let directory = std::mem::replace(&mut self.directory, Directory::new("moved"));
        Self::start_on(directory, &["autovacuum=off", "autovacuum_freeze_max_age=2000000000"], None)
    }

    /// The driver's settings for the superuser, over the server's own socket.
    pub fn superuser(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.options(NOT_STEERED).host_path(&self.directory.0).port(self.port).user("rdsadmin").dbname(database);
        config
    }

    fn start_on(directory: Directory, settings: &[&str], tls: Option<(&str, &str)>) -> Self {
        let address = own_address();
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let mut settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        if let Some((certificate, key)) = tls {
            for (name, pem, mode) in [("server.crt", certificate, "644"), ("server.key", key, "600")] {
                let path = directory.0.join("data").join(name);
                std::fs::write(&path, pem).unwrap();
                run(Command::new("chmod").arg(mode).arg(&path), "protect the key");
                own(&path);
            }
            settings.push("ssl=on".to_owned());
        }
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(directory.0.join("data")).arg("-k").arg(&directory.0);
        command.arg("-h").arg(address.to_string()).arg("-p").arg(port.to_string());
        for setting in ["fsync=off", "max_prepared_transactions=5", "max_connections=60", "log_min_messages=fatal"] {
            command.arg("-c").arg(setting);
        }
        for setting in &settings {
            command.arg("-c").arg(setting);
        }
        let log = std::fs::File::create(directory.0.join("log")).unwrap();
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Self { directory, process: Some(process), address, port };
        server.await_ready();
        server
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.try_sql("postgres", "SELECT 1").status.success() {
            let log = std::fs::read_to_string(self.directory.0.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL did not start within a minute: {log}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Runs SQL as the superuser, over the server's own socket; answers its rows, columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.try_sql(database, sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.0.join("log")).unwrap()).into_owned()
    }

    fn try_sql(&self, database: &str, sql: &str) -> Output {
        let mut command = Command::new(format!("{BIN}/psql"));
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "rdsadmin", "-d", database, "-c", sql]);
        command.arg("-h").arg(&self.directory.0).arg("-p").arg(self.port.to_string());
        command.env("PGOPTIONS", NOT_STEERED).output().unwrap()
    }

    /// The role `app`, a database `shop` of the master user's that it works in, and a table of its own there.
    pub fn with_application(self) -> Self {
        self.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'app-password'");
        self.sql("postgres", "CREATE DATABASE shop OWNER postgres");
        self.sql("postgres", &steered("shop"));
        self.sql("postgres", "GRANT ALL ON DATABASE shop TO app");
        self.sql(
            "shop",
            "CREATE TABLE orders (id bigserial PRIMARY KEY, word text NOT NULL); ALTER TABLE orders OWNER TO app",
        );
        self.sql("shop", "INSERT INTO orders (word) VALUES ('first'), ('second')");
        self
    }

    /// As many databases and as many roles that may log in, with names of 63 characters.
    ///
    /// The databases are entries of the catalogue that share the files of `shop`: a fence enters none of them, and
    /// `CREATE DATABASE` would copy 7 MB for each.
    pub fn add_tenants(&self, count: usize) {
        let padding = "x".repeat(49);
        self.sql(
            "postgres",
            &format!(
                "DO $$ BEGIN FOR n IN 1..{count} LOOP \
                 EXECUTE pg_catalog.format('CREATE ROLE role_%s_{padding} LOGIN', pg_catalog.lpad(n::text, 8, '0')); END LOOP; END $$"
            ),
        );
        self.sql(
            "postgres",
            &format!(
                "INSERT INTO pg_database (oid, datname, datdba, encoding, datlocprovider, datistemplate, datallowconn, \
                 datconnlimit, datfrozenxid, datminmxid, dattablespace, datcollate, datctype) \
                 SELECT (1000000 + n)::oid, 'base_' || lpad(n::text, 8, '0') || '_{padding}', datdba, encoding, \
                 datlocprovider, false, true, -1, datfrozenxid, datminmxid, dattablespace, datcollate, datctype \
                 FROM pg_database, generate_series(1, {count}) n WHERE datname = 'shop'"
            ),
        );
        let base = self.directory.0.join("data/base");
        let shop = self.sql("postgres", "SELECT oid FROM pg_database WHERE datname = 'shop'");
        for n in 1..=count {
            std::os::unix::fs::symlink(&shop, base.join((1_000_000 + n).to_string())).unwrap();
        }
    }

    /// Begins to drop a database and is interrupted, as by a crash or a cancelled statement: it is marked by then.
    pub fn half_drop(&self, database: &str) {
        // What holds this, holds the drop between its mark and the removal of the files.
        self.sql("postgres", "BEGIN; LOCK TABLE pg_tablespace; PREPARE TRANSACTION 'in the way'");
        let mut command = Command::new(format!("{BIN}/psql"));
        command.args(["-XAtq", "-U", "rdsadmin", "-d", "postgres", "-c", "SET statement_timeout = '2s'"]);
        command.args(["-c", &format!("DROP DATABASE {database}")]);
        command.arg("-h").arg(&self.directory.0).arg("-p").arg(self.port.to_string());
        let output = command.output().unwrap();
        self.sql("postgres", "ROLLBACK PREPARED 'in the way'");
        let marked =
            self.sql("postgres", &format!("SELECT datconnlimit FROM pg_database WHERE datname = '{database}'"));
        assert_eq!(marked, "-2", "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Everything that a fence may change, and everything that it may not: as the catalogue has it.
    pub fn accounts(&self) -> String {
        let databases = self.sql("postgres", "SELECT d FROM (SELECT oid, datname, datdba, datistemplate, datallowconn, datconnlimit, datacl FROM pg_database ORDER BY oid) d");
        let roles = self.sql("postgres", "SELECT a FROM pg_authid a ORDER BY oid");
        let members = self.sql("postgres", "SELECT m FROM pg_auth_members m ORDER BY roleid, member, grantor");
        let settings = self.sql("postgres", "SELECT s FROM pg_db_role_setting s ORDER BY setdatabase, setrole");
        [databases, roles, members, settings].join("\n--\n")
    }

    /// Stops the process that takes connections where it is, so that the kernel takes them and nobody answers; `false`
    /// lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = self.process.as_ref().map(Child::id).expect("the server runs").to_string();
        run(Command::new("kill").args([signal, &pid]), "signal the server");
    }

    /// Ends the server without a farewell.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(Command::new("kill").args(["-CONT", &process.id().to_string()]).output());
            let mut stop = as_postgres("pg_ctl");
            stop.args(["stop", "-m", "immediate", "-w", "-D"]).arg(self.directory.0.join("data"));
            drop(stop.output());
            drop(process.kill());
            drop(process.wait());
        }
    }

    pub fn target(&self) -> Target {
        Target::new(Engine::AuroraPostgresql, self.address.to_string(), self.port)
    }

    /// The master user's server, logged in to by the product's own way.
    pub async fn master(&self) -> Server {
        let (server, session) = Server::connect(&network(), &self.target(), &[master()], "template1")
            .await
            .expect("the master user logs in");
        session.close().await;
        server
    }

    /// The same, with functions that checks may call besides those that act on nothing.
    pub async fn master_who_lets_checks_call(&self, functions: &[&str]) -> Server {
        let check_functions = functions.iter().map(|name| (*name).to_owned()).collect();
        let network = Network::new(Settings { check_functions, ..Settings::default() }).unwrap();
        let (server, session) =
            Server::connect(&network, &self.target(), &[master()], "template1").await.expect("the master user logs in");
        session.close().await;
        server
    }

    /// The master user's session that a fence works from.
    pub async fn maintenance(&self) -> Session {
        self.master()
            .await
            .open(defaults(Engine::AuroraPostgresql).maintenance_database)
            .await
            .expect("the master user logs in")
    }

    /// The driver's settings for an application.
    pub fn client(&self, user: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        let password = if user == MASTER { MASTER_PASSWORD } else { APP_PASSWORD };
        config
            .options(NOT_STEERED)
            .host(self.address.to_string())
            .port(self.port)
            .user(user)
            .password(password)
            .dbname(database);
        config
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A network with every choice left to the system.
pub fn network() -> Network {
    Network::new(Settings { check_databases: CheckDatabases::all(), ..Settings::default() }).unwrap()
}

pub fn credential(user: &str, password: &str, label: &str) -> Credential {
    Credential { user: user.to_owned(), password: password.to_owned(), label: label.to_owned() }
}

pub fn master() -> Credential {
    credential(MASTER, MASTER_PASSWORD, "AWSCURRENT")
}

/// A directory that ends with its owner.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(what: &str) -> Self {
        Self::of(what, "postgres")
    }

    /// One that belongs to the user that a server runs as.
    pub fn of(what: &str, user: &str) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rewind-db-{}-{what}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        own_by(&path, user);
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const ACCESS: &str = "local all rdsadmin trust\nlocal replication rdsadmin trust\nhost rdsadmin all all reject\nhost all rdsadmin all reject\nhost all all all scram-sha-256\n";

/// A data directory with RDS's accounts in it, made once and kept beside what the build keeps: under the number of its
/// owner, because a build directory may be used from several systems, and each numbers its users as it likes.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        assert!(
            Path::new(BIN).join("initdb").exists() && Command::new("setpriv").arg("--version").output().is_ok(),
            "PostgreSQL 15 is needed in {BIN}, and setpriv: `apt-get install postgresql-15 util-linux`"
        );
        let mut hasher = std::hash::DefaultHasher::new();
        (ACCOUNTS, ACCESS, PLANTED, STEERED, planted_names(), owner("postgres")).hash(&mut hasher);
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgresql-15-{:016x}", hasher.finish()));
        if !kept.exists() {
            let directory = Directory::new("template");
            make_template(&directory.0.join("data"));
            keep(&directory, &kept);
        }
        kept
    })
}

/// Keeps a template. Another test may be at the same: whole or not at all, and whoever is first is good enough.
fn keep(directory: &Directory, kept: &Path) {
    let staged = kept.with_extension(std::process::id().to_string());
    run(Command::new("cp").arg("-a").arg(&directory.0).arg(&staged), "keep the template");
    if std::fs::rename(&staged, kept).is_err() {
        drop(std::fs::remove_dir_all(&staged));
    }
}

fn make_template(data: &Path) {
    let mut initdb = as_postgres("initdb");
    initdb.args(["-U", "rdsadmin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]).arg(data);
    run(&mut initdb, "initdb");
    std::fs::write(data.join("pg_hba.conf"), ACCESS).unwrap();
    let accounts: String = ACCOUNTS.split(';').map(|statement| statement.trim().to_owned() + "\n").collect();
    single(data, "postgres", &accounts);
    // In the databases that every cluster has, and by `template1` in each that is made later.
    let planted: Vec<&str> = PLANTED.lines().filter(|line| !line.starts_with("--")).map(str::trim).collect();
    let planted = planted.join(" ");
    for database in ["template1", "postgres"] {
        single(data, database, &format!("SET planted.names = '{}'\n{planted}\n", planted_names().join(",")));
        let steered = steered(database);
        single(data, "rdsadmin", &steered.split("; ").map(|one| one.to_owned() + "\n").collect::<String>());
    }
}

/// The statements that steer the sessions in `database`.
fn steered(database: &str) -> String {
    format!("ALTER DATABASE % {STEERED}").replace('%', database)
}

/// Every name that stands before a bracket in the module of PostgreSQL: each statement that it sends is in it.
fn planted_names() -> Vec<String> {
    // Tests of functions use this file too.
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let module =
        above.map(|folder| folder.join("crates/rewind-db/src/postgresql")).find(|module| module.exists()).unwrap();
    let mut names: Vec<String> = Vec::new();
    for file in std::fs::read_dir(module).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (at, _) in source.match_indices('(') {
            let name = source[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            names.push(name.to_ascii_lowercase());
        }
    }
    names.extend(["count", "max", "now"].map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

/// Runs statements, one a line, in the data directory of a server that does not run.
fn single(data: &Path, database: &str, script: &str) {
    let mut single = as_postgres("postgres");
    single.args(["--single", "-D"]).arg(data).args(["-c", "fsync=off", database]);
    let mut process = single.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !errors.contains("ERROR"), "{database} could not be prepared: {errors}");
}

/// A command of PostgreSQL's, which refuses to run as root; it ends with the thread that started it.
fn as_postgres(command: &str) -> Command {
    let mut setpriv = Command::new("setpriv");
    if is_root() {
        setpriv.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    if command == "postgres" {
        setpriv.args(["--pdeathsig", "QUIT"]);
    }
    setpriv.arg("--").arg(format!("{BIN}/{command}")).current_dir("/");
    setpriv
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Gives a path to the user that PostgreSQL runs as.
fn own(path: &Path) {
    own_by(path, "postgres");
}

fn own_by(path: &Path, user: &str) {
    if is_root() {
        let (uid, gid) = owner(user);
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// The numbers of the user and the group that a server's files belong to: `user`, or whoever runs the test where that is
/// not root.
fn owner(user: &str) -> (u32, u32) {
    let id = |flag: &str| {
        let output = Command::new("id").arg(flag).args(is_root().then_some(user)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().expect("the user exists")
    };
    (id("-u"), id("-g"))
}

/// An address that no other server of this machine's tests has, as long as there are not too many.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    let byte = |shift: u32| u8::try_from((process >> shift) & 0xff).unwrap();
    IpAddr::from([127, 64 | (byte(8) & 0x3f), byte(0), NEXT.fetch_add(1, Ordering::Relaxed)])
}

fn run(command: &mut Command, what: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
