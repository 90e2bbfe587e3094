//! A cluster over real servers: one volume of data, a writer, and readers that follow it. It knows nothing of the RDS API's states and
//! parameters.

use super::accounts;
use super::admin::ADMIN;
use super::backup::Backups;
use super::config::Role;
use super::context::Context;
use super::server::{Parameters, Server};
use crate::servers::error::file;
use crate::servers::{Error, Load, MasterUser, RestoreTo, RestoreWindow, ServerEndpoint, remove_dir};
use ipnet::IpNet;
use jiff::Timestamp;
use rewind_core::Clock;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const POLL_INTERVAL: Duration = Duration::from_millis(30);
const READERS_TIMEOUT: Duration = Duration::from_secs(20);
/// Clients, and the bytes of all databases. The control plane is none of them: on AWS it is always there, and nobody's.
const LOAD: &str = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> 'rdsadmin'), \
    (SELECT sum(pg_database_size(oid))::bigint FROM pg_database)";

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    context: Arc<Context>,
    dir: PathBuf,
    port: u16,
    /// Names that every server of the cluster answers to.
    names: Vec<String>,
    admitted: Mutex<Vec<IpNet>>,
    parameters: Arc<Parameters>,
    backups: Arc<Backups>,
    servers: tokio::sync::Mutex<Servers>,
}

#[derive(Debug, Default)]
struct Servers {
    all: BTreeMap<String, Arc<Server>>,
    writer: Option<String>,
    watch: Option<Watch>,
    /// A password that waits for a writer to be set in.
    password: Option<(String, String)>,
}

/// The heartbeat and base backups of the present writer; they end with this value.
#[derive(Debug)]
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Cluster {
    /// A cluster without data, whose files are kept in `dir`.
    pub fn new(
        context: Arc<Context>,
        dir: PathBuf,
        names: Vec<String>,
        port: u16,
        admitted: Vec<IpNet>,
    ) -> Result<Self, Error> {
        context.host.make_dir(&dir)?;
        context.host.make_dir(&dir.join("instances"))?;
        let backups = Arc::new(Backups::new(Arc::clone(&context), &dir)?);
        let admitted = Mutex::new(admitted);
        let (parameters, servers) = (Arc::default(), tokio::sync::Mutex::default());
        Ok(Self { context, dir, port, names, admitted, parameters, backups, servers })
    }

    /// Sets the parameters that servers get at their next start.
    pub fn start_with(&self, parameters: BTreeMap<String, String>) {
        *self.parameters.lock().unwrap_or_else(PoisonError::into_inner) = parameters;
    }

    /// The moments it can be restored to, once there is a base backup.
    #[must_use]
    pub fn window(&self) -> Option<RestoreWindow> {
        self.backups.window()
    }

    /// Creates the volume of a new cluster; a server runs on `address` for it meanwhile.
    pub async fn create(&self, address: Ipv4Addr, master: &MasterUser) -> Result<(), Error> {
        let Context { host, admin, .. } = &*self.context;
        // Held to the end: whoever wants to start or destroy the cluster meanwhile waits.
        let _making = self.servers.lock().await;
        let server = self.volume_server(address);
        host.make_dir(&self.volume())?;
        // In a file: on the command line every user of the machine could read it.
        let password = self.volume().join("password");
        host.write(&password, admin.password())?;
        let data = server.data();
        host.run("initdb", |command| {
            command
                .args(["--username", ADMIN, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
                .arg(format!("--pwfile={}", password.display()))
                // Every base backup and every look at the archive ends a segment: of the usual 16 MB they fill the disk.
                .arg("--wal-segsize=4")
                .arg("-D")
                .arg(&data)
        })
        .await?;
        std::fs::remove_file(&password).map_err(file(&password))?;
        let made = async {
            server.start(&self.context, self.names.clone(), &Role::Writer, &[]).await?;
            let client = admin.connect(&server.endpoint, "postgres").await?;
            let MasterUser { user, password, database } = master;
            accounts::create(&client, host.major(), user, password, database.as_deref(), admin.password()).await
        }
        .await;
        made.and(server.stop().await)
    }

    /// Creates the volume of a cluster that is restored from `source` as it was at a moment; returns that moment.
    pub async fn restore(&self, address: Ipv4Addr, source: &Cluster, moment: RestoreTo) -> Result<Timestamp, Error> {
        let Context { host, clock, .. } = &*self.context;
        let _making = self.servers.lock().await;
        let _reading = source.backups.files.read().await;
        let asked = match moment {
            RestoreTo::At(moment) => moment,
            RestoreTo::Now => clock.now(),
        };
        let to = if let Some(writer) = source.writer().await {
            source.backups.flush(&writer.endpoint).await?;
            asked
        } else {
            // Without a writer nothing has been committed since: any later moment is the same data, but no commit would end recovery.
            source.backups.last_commit().map_or(asked, |last| last.min(asked))
        };
        let base =
            source.backups.base_for(to).ok_or(Error::State("there is no base backup from before that moment"))?;
        let server = self.volume_server(address);
        host.make_dir(&self.volume())?;
        // A reflink costs nothing where the file system has it, as a clone on Aurora does.
        host.run("cp", |command| command.args(["-a", "--reflink=auto", "--"]).arg(&base.dir).arg(server.data()))
            .await?;
        let role = Role::Recovery { archive: source.backups.archive.clone(), to };
        let recovered = server.start(&self.context, self.names.clone(), &role, &[]).await;
        recovered.and(server.stop().await)?;
        Ok(to)
    }

    /// Starts an instance: the writer when there is none, a reader otherwise. Returns true for the writer.
    pub async fn start(&self, instance: &str, endpoint: ServerEndpoint) -> Result<bool, Error> {
        let mut servers = self.servers.lock().await;
        let dir = self.instance_dir(instance);
        self.context.host.make_dir(&dir)?;
        let server = Arc::new(Server::new(endpoint, dir, self.backups.archive.clone(), Arc::clone(&self.parameters)));
        let writer = servers.writer.as_ref().and_then(|writer| servers.all.get(writer)).cloned();
        let role = match &writer {
            Some(writer) => {
                self.context.base_backup(&writer.endpoint, &server.data(), "stream").await?;
                self.reader_of(writer)
            }
            None => {
                // Moved, not copied: the volume belongs to whichever instance writes, as Aurora's storage does.
                let volume = self.volume().join("data");
                std::fs::rename(&volume, server.data()).map_err(file(&volume))?;
                Role::Writer
            }
        };
        if let Err(error) = self.run(&server, &role).await {
            if writer.is_none() {
                // The volume is the cluster's: it outlives an instance that did not start.
                let volume = self.volume().join("data");
                std::fs::rename(server.data(), &volume).map_err(file(&volume))?;
            }
            return Err(error);
        }
        servers.all.insert(instance.to_owned(), Arc::clone(&server));
        if writer.is_none() {
            self.become_writer(&mut servers, instance, &server).await?;
        }
        Ok(writer.is_none())
    }

    /// Ends an instance and removes its files. A writer hands over to `successor`; without one, its data becomes the
    /// cluster's volume again.
    pub async fn remove(&self, instance: &str, successor: Option<&str>) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        let Some(server) = servers.all.get(instance).cloned() else {
            return remove_dir(&self.instance_dir(instance)).await;
        };
        if servers.writer.as_deref() == Some(instance) {
            match successor.and_then(|successor| servers.all.get_key_value(successor)) {
                Some((name, successor)) => {
                    let (name, successor) = (name.clone(), Arc::clone(successor));
                    self.hand_over(&mut servers, &server, &name, &successor).await?;
                }
                None => {
                    // A restore of the cluster without instances, or of its retained backups, reads the archive alone.
                    if let Err(error) = self.backups.flush(&server.endpoint).await {
                        tracing::warn!(%error, "the last changes are not in the archive");
                    }
                    servers.watch = None;
                    server.stop().await?;
                    servers.writer = None;
                    self.context.host.make_dir(&self.volume())?;
                    let volume = self.volume().join("data");
                    std::fs::rename(server.data(), &volume).map_err(file(&volume))?;
                }
            }
        }
        server.stop().await?;
        servers.all.remove(instance);
        remove_dir(&self.instance_dir(instance)).await
    }

    /// Promotes a reader to writer; the old writer follows it.
    pub async fn fail_over(&self, successor: &str) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        let (Some(old), Some(new)) = (
            servers.writer.as_ref().and_then(|name| servers.all.get(name)).cloned(),
            servers.all.get(successor).cloned(),
        ) else {
            return Err(Error::State("a failover needs a writer and a reader"));
        };
        if Arc::ptr_eq(&old, &new) {
            return Ok(());
        }
        self.hand_over(&mut servers, &old, successor, &new).await?;
        // It stopped cleanly and had sent everything, so it can follow without rewinding.
        self.run(&old, &self.reader_of(&new)).await
    }

    /// Stops an instance and starts it again as what it is.
    pub async fn restart(&self, instance: &str) -> Result<(), Error> {
        let servers = self.servers.lock().await;
        let server = servers.all.get(instance).ok_or(Error::State("the instance does not run"))?;
        let role = match servers.writer.as_ref().and_then(|writer| servers.all.get(writer)) {
            Some(writer) if !Arc::ptr_eq(writer, server) => self.reader_of(writer),
            _ => Role::Writer,
        };
        server.stop().await?;
        self.run(server, &role).await
    }

    /// Admits only these blocks from now on.
    pub async fn admit(&self, admitted: Vec<IpNet>) -> Result<(), Error> {
        let servers = self.servers.lock().await;
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&admitted);
        for server in servers.all.values() {
            server.admit(&self.context, &admitted).await?;
        }
        Ok(())
    }

    /// Changes the master user's password: at once, or as soon as there is a writer.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        match servers.writer.as_ref().and_then(|writer| servers.all.get(writer)) {
            Some(writer) => {
                let client = self.context.admin.connect(&writer.endpoint, ADMIN).await?;
                accounts::set_password(&client, user, password).await
            }
            None => {
                servers.password = Some((user.to_owned(), password.to_owned()));
                Ok(())
            }
        }
    }

    /// Measures the servers that run; none while the cluster is changed, of which CloudWatch has a gap too.
    pub async fn load(&self) -> Result<Load, Error> {
        let all: Vec<(String, Arc<Server>)> = match self.servers.try_lock() {
            Ok(servers) => servers.all.iter().map(|(name, server)| (name.clone(), Arc::clone(server))).collect(),
            Err(_) => return Ok(Load::default()),
        };
        let mut load = Load::default();
        for (instance, server) in all {
            let row = self.context.admin.connect(&server.endpoint, ADMIN).await?.query_one(LOAD, &[]).await?;
            load.connections.insert(instance, row.get::<_, i64>(0).unsigned_abs());
            load.bytes = Some(row.get::<_, i64>(1).unsigned_abs());
        }
        Ok(load)
    }

    /// Ends all servers at once and leaves their files alone.
    pub async fn kill(&self) {
        let mut servers = self.servers.lock().await;
        servers.watch = None;
        servers.writer = None;
        for (instance, server) in std::mem::take(&mut servers.all) {
            if let Err(error) = server.kill().await {
                tracing::warn!(%error, instance, "a server would not end");
            }
        }
    }

    /// Removes the volume; with `backups`, everything.
    pub async fn destroy(&self, backups: bool) -> Result<(), Error> {
        self.kill().await;
        if backups {
            // A restore from this cluster reads these files: it ends first.
            let _writing = self.backups.files.write().await;
            return remove_dir(&self.dir).await;
        }
        remove_dir(&self.volume()).await?;
        remove_dir(&self.dir.join("instances")).await
    }

    async fn writer(&self) -> Option<Arc<Server>> {
        let servers = self.servers.lock().await;
        servers.writer.as_ref().and_then(|writer| servers.all.get(writer)).cloned()
    }

    async fn run(&self, server: &Server, role: &Role) -> Result<(), Error> {
        let mut names = vec![server.endpoint.name.clone()];
        // Any server may be the writer after a failover, and clients connect by the cluster's endpoint: the certificate has all names.
        names.extend(self.names.iter().cloned());
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        server.start(&self.context, names, role, &admitted).await
    }

    async fn become_writer(&self, servers: &mut Servers, instance: &str, server: &Server) -> Result<(), Error> {
        servers.writer = Some(instance.to_owned());
        servers.watch = Some(Watch(tokio::spawn(Arc::clone(&self.backups).watch(server.endpoint.clone()))));
        if let Some((user, password)) = servers.password.take() {
            let client = self.context.admin.connect(&server.endpoint, ADMIN).await?;
            accounts::set_password(&client, &user, &password).await?;
        }
        Ok(())
    }

    async fn hand_over(
        &self,
        servers: &mut Servers,
        old: &Arc<Server>,
        name: &str,
        new: &Arc<Server>,
    ) -> Result<(), Error> {
        // The heartbeat would connect to the old writer while it stops, and keep it from ending.
        servers.watch = None;
        self.wait_for_readers(servers.all.len() - 1, old).await?;
        // A clean stop waits until every reader has everything: promoted before, a reader could lack acknowledged writes.
        old.stop().await?;
        let client = self.context.admin.connect(&new.endpoint, ADMIN).await?;
        client.execute("SELECT pg_promote(true, 60)", &[]).await?;
        new.follow(&self.context, &Role::Writer).await?;
        let role = self.reader_of(new);
        for server in servers.all.values().filter(|server| !Arc::ptr_eq(server, old) && !Arc::ptr_eq(server, new)) {
            server.follow(&self.context, &role).await?;
        }
        self.become_writer(servers, name, new).await
    }

    /// Waits until all readers are connected to the writer. One that just started is not, and a stop would not wait for it.
    async fn wait_for_readers(&self, readers: usize, writer: &Server) -> Result<(), Error> {
        let client = self.context.admin.connect(&writer.endpoint, ADMIN).await?;
        let count =
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = 'reader'";
        let deadline = Instant::now() + READERS_TIMEOUT;
        while client.query_one(count, &[]).await?.get::<_, i64>(0) < i64::try_from(readers).unwrap_or_default() {
            if Instant::now() > deadline {
                tracing::warn!(name = writer.endpoint.name, "a reader is not connected to its writer");
                break;
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn reader_of(&self, writer: &Server) -> Role {
        Role::Reader { upstream: self.context.admin.conninfo(&writer.endpoint, "reader") }
    }

    fn volume(&self) -> PathBuf {
        self.dir.join("volume")
    }

    fn instance_dir(&self, instance: &str) -> PathBuf {
        self.dir.join("instances").join(instance)
    }

    fn volume_server(&self, address: Ipv4Addr) -> Server {
        let name = self.names.first().cloned().unwrap_or_default();
        let endpoint = ServerEndpoint { name, address, port: self.port };
        Server::new(endpoint, self.volume(), self.backups.archive.clone(), Arc::clone(&self.parameters))
    }
}
