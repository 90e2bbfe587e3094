//! A cluster over real servers: one volume of data, a writer on it, and readers that follow. It knows nothing of the RDS API's states
//! and parameters.
//!
//! The volume belongs to the cluster: the writer is whichever instance runs on it, and a failover moves it to another. Readers are
//! replicas with a copy of their own, made anew whenever they are started or the volume is rewound.

use super::accounts::{self, REPLICATION, literal};
use super::admin::LoginAs;
use super::config::{Identity, Role};
use super::context::Context;
use super::history::{BaseCopy, History, Position};
use super::proxy::{Accept, AdmittedBlocks, Proxy};
use super::replay::{SCRATCH, copy};
use super::server::Server;
use crate::servers::error::file;
use crate::servers::restore_window::floor_to_millis;
use crate::servers::{Error, Load, MasterUser, RestoreTo, RestoreWindow, ServerEndpoint, remove_dir};
use crate::tls::ServerCertificate;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use rewind_core::Clock;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const BASE_CHECK: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(600);

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    context: Arc<Context>,
    dir: PathBuf,
    /// Names that every server of the cluster answers to.
    names: Vec<String>,
    admitted: AdmittedBlocks,
    history: Arc<History>,
    /// True if a writer is started with the event scheduler on.
    events: AtomicBool,
    servers: tokio::sync::Mutex<Servers>,
}

#[derive(Debug)]
struct Servers {
    /// The server on the volume; it runs while there is a writer.
    volume: Server,
    writer: Option<String>,
    instances: BTreeMap<String, Instance>,
    /// The proxy from which readers get the log, whichever instance writes it.
    feed: Option<Proxy>,
    watch: Option<Watch>,
    /// A password that waits for a writer to be set in.
    password: Option<(String, String)>,
}

#[derive(Debug)]
struct Instance {
    endpoint: ServerEndpoint,
    /// The proxy for clients, while the server runs.
    proxy: Option<Proxy>,
    /// The server of a reader; the writer's is the volume's.
    reader: Option<Server>,
}

/// Background tasks of the cluster; dropping the value ends them.
#[derive(Debug)]
struct Watch(#[expect(dead_code, reason = "held to be dropped")] JoinSet<()>);

impl Cluster {
    /// A cluster without data, whose files are kept in `dir`.
    pub fn new(context: Arc<Context>, dir: PathBuf, names: Vec<String>, admitted: Vec<IpNet>) -> Result<Self, Error> {
        context.host.make_dir(&dir)?;
        context.host.make_dir(&dir.join("instances"))?;
        let history = Arc::new(History::new(&context.host, context.clock, dir.join("history"))?);
        let servers = Servers {
            volume: Server::new(dir.join("volume"), dir.join("writer.sock")),
            writer: None,
            instances: BTreeMap::new(),
            feed: None,
            watch: None,
            password: None,
        };
        let admitted = Arc::new(Mutex::new(admitted));
        Ok(Self { context, dir, names, admitted, history, events: true.into(), servers: servers.into() })
    }

    /// Sets how far back the history reaches: for rewinds in place, and for restores. What is older than both is removed.
    pub fn set_reach(&self, backtrack: SignedDuration, retention: SignedDuration) {
        self.history.set_reach(backtrack, retention);
    }

    /// Turns the event scheduler on or off: from the next start of the writer on, and with `now` on the present one too.
    pub fn run_events(cluster: &Arc<Self>, runs: bool, now: bool) {
        cluster.events.store(runs, Ordering::SeqCst);
        if !now {
            return;
        }
        let cluster = Arc::clone(cluster);
        tokio::spawn(async move {
            let servers = cluster.servers.lock().await;
            if servers.writer.is_none() {
                return;
            }
            let statement = format!("SET GLOBAL event_scheduler = {};\n", if runs { "ON" } else { "OFF" });
            if let Err(error) = servers.volume.run(&cluster.context.host, cluster.context.admin(), &statement).await {
                tracing::warn!(%error, runs, "the event scheduler could not be set");
            }
        });
    }

    /// The moments it can be restored to, once it has data.
    #[must_use]
    pub fn window(&self) -> Option<RestoreWindow> {
        let (earliest, latest) = self.history.restorable()?;
        let latest = latest.min(floor_to_millis(self.context.clock.now().checked_sub(self.context.lag).ok()?));
        (earliest <= latest).then_some(RestoreWindow { earliest, latest })
    }

    /// The earliest moment that it can be rewound to in place, once it has data; none without a backtrack window.
    #[must_use]
    pub fn earliest_backtrack(&self) -> Option<Timestamp> {
        self.history.earliest_backtrack()
    }

    /// Creates the volume of a new cluster.
    pub async fn create(&self, master: &MasterUser) -> Result<(), Error> {
        let host = &self.context.host;
        // Held to the end: whoever wants to start or destroy the cluster meanwhile waits.
        let mut servers = self.servers.lock().await;
        let volume = &servers.volume;
        let (data, relay) = (volume.data(), volume.relay());
        let role = Role::Scratch { relay: &relay };
        let config = volume.configure(host, SCRATCH, role, None)?;
        host.run("mariadb-install-db", |command| {
            command.arg(format!("--defaults-file={}", config.display())).arg(format!("--datadir={}", data.display()));
            command.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
        })
        .await?;
        let MasterUser { user, password, database } = master;
        let accounts = accounts::create(user, password, database.as_deref(), &self.context.password);
        let made = async {
            volume.start(host, SCRATCH, role, None).await?;
            volume.run(host, LoginAs::Installer, &accounts).await
        }
        .await;
        made.and(volume.stop().await)?;
        let epoch = self.history.prepare(host)?;
        copy(host, &data, &epoch.join("base")).await?;
        self.begin(&mut servers, epoch);
        Ok(())
    }

    /// Creates the volume of a cluster that is restored from `source` as it was at a moment; returns that moment.
    pub async fn restore(&self, source: &Cluster, moment: RestoreTo) -> Result<Timestamp, Error> {
        let host = &self.context.host;
        let mut servers = self.servers.lock().await;
        let _reading = source.history.files.read().await;
        let point = match moment {
            RestoreTo::At(moment) => source.history.at(moment)?,
            RestoreTo::Now => source.history.now()?,
        };
        self.context.rebuild(&point, servers.volume.dir()).await?;
        let epoch = self.history.prepare(host)?;
        copy(host, &servers.volume.data(), &epoch.join("base")).await?;
        self.begin(&mut servers, epoch);
        Ok(point.reached)
    }

    /// Rewinds the whole cluster in place, back or forward; returns the time at which it landed. The addresses stay, every connection is
    /// cut. The state is prepared beside the running servers: an error before the cut leaves everything as it was.
    pub async fn backtrack(&self, to: Timestamp) -> Result<Timestamp, Error> {
        let host = &self.context.host;
        let mut servers = self.servers.lock().await;
        let reading = self.history.files.read().await;
        let point = self.history.at(to)?;
        let ready = self.dir.join("rewind");
        self.context.rebuild(&point, &ready).await?;
        let epoch = self.history.prepare(host)?;
        copy(host, &ready.join("data"), &epoch.join("base")).await?;
        // start_reader takes it again: with a waiting writer in between, tokio's fair lock would wait for itself.
        drop(reading);

        let readers = self.close(&mut servers).await?;
        let (data, past) = (servers.volume.data(), self.dir.join("past"));
        // Two renames on one file system: the volume is whole before and after, whatever ends the process in between.
        std::fs::rename(&data, &past).map_err(file(&past))?;
        std::fs::rename(ready.join("data"), &data).map_err(file(&data))?;
        self.begin(&mut servers, epoch);
        self.open(&mut servers, &readers).await?;
        for dir in [past, ready] {
            remove_dir(&dir).await?;
        }
        Ok(point.reached)
    }

    /// Starts an instance: the writer when there is none, a reader otherwise. Returns true for the writer.
    pub async fn start(&self, instance: &str, endpoint: ServerEndpoint) -> Result<bool, Error> {
        let mut servers = self.servers.lock().await;
        servers.instances.insert(instance.to_owned(), Instance { endpoint, proxy: None, reader: None });
        let writes = servers.writer.is_none();
        let started = if writes {
            self.start_writer(&mut servers, instance).await
        } else {
            self.start_reader(&mut servers, instance).await
        };
        // An instance that did not start must not be chosen by a failover.
        if started.is_err() {
            servers.instances.remove(instance);
        }
        started.map(|()| writes)
    }

    /// Ends an instance and removes its files. A writer hands over to `successor`; without one, the volume waits for the next.
    pub async fn remove(&self, instance: &str, successor: Option<&str>) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        if servers.writer.as_deref() == Some(instance) {
            self.hand_over(&mut servers, successor).await?;
        }
        if let Some(mut gone) = servers.instances.remove(instance) {
            gone.end().await?;
        }
        remove_dir(&self.instance_dir(instance)).await
    }

    /// Promotes a reader to writer; the old writer becomes a reader.
    pub async fn fail_over(&self, successor: &str) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        let Some(old) = servers.writer.clone().filter(|_| servers.instances.contains_key(successor)) else {
            return Err(Error::State("a failover needs a writer and a reader"));
        };
        if old == successor {
            return Ok(());
        }
        // Stopping the writer first is what keeps two writers apart: no client is let in to either in between.
        self.hand_over(&mut servers, Some(successor)).await?;
        self.start_reader(&mut servers, &old).await
    }

    /// Stops an instance and starts it again as what it is.
    pub async fn restart(&self, instance: &str) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        if servers.writer.as_deref() == Some(instance) {
            self.stop_writer(&mut servers).await?;
            return self.start_writer(&mut servers, instance).await;
        }
        if !servers.instances.contains_key(instance) {
            return Err(Error::State("the instance does not run"));
        }
        self.start_reader(&mut servers, instance).await
    }

    /// Admits only these blocks from now on; established connections live on, as with security groups on AWS.
    pub fn admit(&self, admitted: Vec<IpNet>) {
        *self.admitted.lock().unwrap_or_else(PoisonError::into_inner) = admitted;
    }

    /// Changes the master user's password: at once, or as soon as there is a writer.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        if servers.writer.is_none() {
            servers.password = Some((user.to_owned(), password.to_owned()));
            return Ok(());
        }
        let statement = accounts::set_password(user, password);
        servers.volume.run(&self.context.host, self.context.admin(), &statement).await.map(drop)
    }

    /// Measures the servers that run; none while the cluster is changed, of which CloudWatch has a gap too.
    pub async fn load(&self) -> Result<Load, Error> {
        let mut load = Load::default();
        let Ok(servers) = self.servers.try_lock() else { return Ok(load) };
        for (name, instance) in servers.instances.iter().filter(|(_, instance)| instance.proxy.is_some()) {
            let server = instance.reader.as_ref().unwrap_or(&servers.volume);
            let output = server.run(&self.context.host, self.context.admin(), LOAD).await?;
            // The names of the columns, then the row.
            let row: Vec<u64> =
                output.lines().last().into_iter().flat_map(|row| row.split('\t')).flat_map(str::parse).collect();
            if let [connections, bytes] = row.as_slice() {
                load.connections.insert(name.clone(), *connections);
                load.bytes = Some(*bytes);
            }
        }
        Ok(load)
    }

    /// Ends all servers at once and leaves their files alone.
    pub async fn kill(&self) {
        let mut servers = self.servers.lock().await;
        (servers.watch, servers.feed, servers.writer) = (None, None, None);
        for (instance, mut gone) in std::mem::take(&mut servers.instances) {
            if let Err(error) = gone.end().await {
                tracing::warn!(%error, instance, "a server would not end");
            }
        }
        if let Err(error) = servers.volume.kill().await {
            tracing::warn!(%error, "a writer would not end");
        }
    }

    /// Removes the volume; with `backups`, everything.
    pub async fn destroy(&self, backups: bool) -> Result<(), Error> {
        self.kill().await;
        if backups {
            self.history.destroy().await?;
            return remove_dir(&self.dir).await;
        }
        remove_dir(&self.dir.join("volume")).await?;
        remove_dir(&self.dir.join("instances")).await
    }

    #[cfg(test)]
    pub(super) fn log(&self) -> Result<PathBuf, Error> {
        self.history.log()
    }

    #[cfg(test)]
    pub(super) fn base_copies(&self) -> usize {
        self.history.base_copies()
    }

    /// Begins an epoch with what the volume holds.
    fn begin(&self, servers: &mut Servers, epoch: PathBuf) {
        self.history.begin(epoch);
        if servers.watch.is_none() {
            let mut watch = JoinSet::new();
            watch.spawn(Arc::clone(&self.history).watch());
            watch.spawn(keep_bases(Arc::clone(&self.context), Arc::clone(&self.history), self.dir.join("base")));
            servers.watch = Some(Watch(watch));
        }
    }

    /// Cuts every connection and ends every server; returns the names of the readers.
    async fn close(&self, servers: &mut Servers) -> Result<Vec<String>, Error> {
        let mut readers = Vec::new();
        for (name, instance) in &mut servers.instances {
            if let Some(proxy) = instance.proxy.take() {
                proxy.close().await;
            }
            if let Some(reader) = instance.reader.take() {
                reader.kill().await?;
                readers.push(name.clone());
            }
        }
        // Killed, not stopped: its data is replaced anyway, and what it acknowledged is in the log.
        servers.volume.kill().await?;
        self.history.observe();
        Ok(readers)
    }

    async fn open(&self, servers: &mut Servers, readers: &[String]) -> Result<(), Error> {
        if let Some(writer) = servers.writer.clone() {
            self.start_writer(servers, &writer).await?;
        }
        for reader in readers {
            self.start_reader(servers, reader).await?;
        }
        Ok(())
    }

    async fn start_writer(&self, servers: &mut Servers, name: &str) -> Result<(), Error> {
        let Context { host, .. } = &*self.context;
        let Servers { volume, instances, .. } = servers;
        let instance = instances.get_mut(name).ok_or(NO_INSTANCE)?;
        // The log belongs to the epoch, not to the instance: it goes on in the same files after a failover.
        let log = self.history.log()?;
        let certificate = self.certificate(&instance.endpoint)?;
        let role = Role::Writer { log: &log, events: self.events.load(Ordering::SeqCst) };
        volume.start(host, identity(&instance.endpoint), role, Some(&certificate)).await?;
        if let Some((user, password)) = &servers.password {
            volume.run(host, self.context.admin(), &accounts::set_password(user, password)).await?;
        }
        servers.password = None;
        let history = Arc::clone(&self.history);
        let who = Accept::Clients {
            admitted: Arc::clone(&self.admitted),
            on_reply: Some(Arc::new(move || history.observe())),
        };
        let at = SocketAddrV4::new(instance.endpoint.address, instance.endpoint.port);
        instance.proxy = Some(Proxy::open(at, volume.socket().to_owned(), who).await?);
        servers.writer = Some(name.to_owned());
        Ok(())
    }

    async fn stop_writer(&self, servers: &mut Servers) -> Result<(), Error> {
        let proxy = servers.writer.take().and_then(|name| servers.instances.get_mut(&name)?.proxy.take());
        if let Some(proxy) = proxy {
            proxy.close().await;
        }
        servers.volume.stop().await
    }

    async fn hand_over(&self, servers: &mut Servers, successor: Option<&str>) -> Result<(), Error> {
        self.stop_writer(servers).await?;
        let Some((name, successor)) = successor.and_then(|name| Some((name, servers.instances.get_mut(name)?))) else {
            return Ok(());
        };
        // The reader's copy goes: the volume moves under the name of the successor, with everything that was acknowledged.
        successor.end().await?;
        remove_dir(&self.instance_dir(name)).await?;
        self.start_writer(servers, name).await
    }

    /// Creates a reader from the newest base copy; returns when it has what the writer had when it began.
    async fn start_reader(&self, servers: &mut Servers, name: &str) -> Result<(), Error> {
        let Context { host, .. } = &*self.context;
        let feed = match servers.feed.take() {
            Some(feed) => feed,
            None => {
                let anywhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
                Proxy::open(anywhere, servers.volume.socket().to_owned(), Accept::Readers).await?
            }
        };
        let port = servers.feed.insert(feed).at.port();
        let instance = servers.instances.get_mut(name).ok_or(NO_INSTANCE)?;
        // From scratch each time: after a rewind or a failover its copy may hold what the volume does not.
        instance.end().await?;
        let dir = self.instance_dir(name);
        remove_dir(&dir).await?;
        host.make_dir(&dir)?;
        let _reading = self.history.files.read().await;
        let point = self.history.now()?;
        // A socket's path must be short, and an instance's name is not.
        let server = Server::new(dir, self.dir.join(format!("{}.sock", instance.endpoint.address)));
        copy(host, &point.base.dir, &server.data()).await?;
        let certificate = self.certificate(&instance.endpoint)?;
        let relay = server.relay();
        let server = instance.reader.insert(server);
        server.start(host, identity(&instance.endpoint), Role::Reader { relay: &relay }, Some(&certificate)).await?;
        let Position { file, offset } = point.base.at;
        let follow = format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = '{REPLICATION}',
               MASTER_PASSWORD = {password}, MASTER_LOG_FILE = 'binlog.{file:06}', MASTER_LOG_POS = {offset},
               MASTER_USE_GTID = no, MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 2;
             START SLAVE;",
            file = file.max(1),
            offset = offset.max(4),
            password = literal(&self.context.password),
        );
        server.run(host, self.context.admin(), &follow).await?;
        self.catch_up(server, point.to).await?;
        let who = Accept::Clients { admitted: Arc::clone(&self.admitted), on_reply: None };
        let at = SocketAddrV4::new(instance.endpoint.address, instance.endpoint.port);
        instance.proxy = Some(Proxy::open(at, server.socket().to_owned(), who).await?);
        Ok(())
    }

    async fn catch_up(&self, reader: &Server, to: Position) -> Result<(), Error> {
        let deadline = Instant::now() + CATCH_UP_TIMEOUT;
        let wait = format!("SELECT MASTER_POS_WAIT('binlog.{:06}', {}, 1)", to.file, to.offset);
        loop {
            // MASTER_POS_WAIT returns NULL when the server does not follow, -1 when its own second has passed.
            let waited = reader.run(&self.context.host, self.context.admin(), &wait).await?;
            match waited.lines().last().unwrap_or_default().parse::<i64>() {
                Ok(0..) => return Ok(()),
                Ok(_) if Instant::now() < deadline => sleep(POLL_INTERVAL).await,
                Ok(_) => return Err(Error::State("a reader did not catch up with the writer in time")),
                Err(_) => return Err(Error::State("a reader does not follow the writer")),
            }
        }
    }

    fn certificate(&self, endpoint: &ServerEndpoint) -> Result<ServerCertificate, Error> {
        let mut names = vec![endpoint.name.clone()];
        names.extend(self.names.iter().cloned());
        Ok(self.context.authority.server(names)?)
    }

    fn instance_dir(&self, instance: &str) -> PathBuf {
        self.dir.join("instances").join(instance)
    }
}

/// Clients, and the bytes of all databases. The server's own sessions and the control plane's are none of them.
const LOAD: &str = "SELECT (SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND <> 'Daemon' AND USER NOT IN \
    ('rdsadmin', 'rdsrepladmin', 'system user', 'event_scheduler', 'unauthenticated user')), \
    (SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES);\n";

const NO_INSTANCE: Error = Error::State("there is no such instance");

impl Instance {
    /// Closes the proxy and ends the reader's server; the volume's lives on.
    async fn end(&mut self) -> Result<(), Error> {
        if let Some(proxy) = self.proxy.take() {
            proxy.close().await;
        }
        match self.reader.take() {
            Some(reader) => reader.kill().await,
            None => Ok(()),
        }
    }
}

/// Builds the identity of an instance: its number differs between all servers of the network.
fn identity(endpoint: &ServerEndpoint) -> Identity<'_> {
    Identity { id: endpoint.address.to_bits() & 0x00ff_ffff, name: &endpoint.name, port: endpoint.port }
}

/// Keeps rewinds short: creates another base copy, beside the writer, whenever the log since the last one has grown long.
async fn keep_bases(context: Arc<Context>, history: Arc<History>, dir: PathBuf) {
    loop {
        sleep(BASE_CHECK).await;
        // Held while the copy is built: pruning would remove the log that it is built from.
        let reading = history.files.read().await;
        let Some(point) = history.point_for_next_base() else { continue };
        let dir_of_copy = history.dir_for_base(&point);
        let made = async {
            let at = context.rebuild(&point, &dir).await?;
            std::fs::rename(dir.join("data"), &dir_of_copy).map_err(file(&dir_of_copy))?;
            history.add_base(&point.log, BaseCopy { dir: dir_of_copy, at });
            Ok::<(), Error>(())
        };
        if let Err(error) = made.await {
            tracing::warn!(%error, "a base copy failed, and is tried again");
        }
        drop(reading);
    }
}
