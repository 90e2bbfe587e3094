//! One PostgreSQL server process: started, reloaded, stopped. It does not know of clusters or backups.

use super::admin::ADMIN;
use super::config::{self, Role, Settings};
use super::context::Context;
use super::host::SERVER_DEATH_SIGNAL;
use super::pg_hba;
use crate::servers::error::file;
use crate::servers::host::last_lines;
use crate::servers::{Error, ServerEndpoint};
use ipnet::IpNet;
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;

const POLL_INTERVAL: Duration = Duration::from_millis(30);
/// A start replays what the last stop left; on a machine that builds something meanwhile that is not quick.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(3600);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The values of the cluster's parameter group that servers are started with.
pub(super) type Parameters = Mutex<BTreeMap<String, String>>;

/// A server: `dir` holds its data, its certificate, its rules and its log.
#[derive(Debug)]
pub(super) struct Server {
    pub endpoint: ServerEndpoint,
    dir: PathBuf,
    archive: PathBuf,
    /// Read at each start: static parameters take no effect before.
    parameters: Arc<Parameters>,
    process: tokio::sync::Mutex<Option<Child>>,
}

impl Server {
    /// A server that does not run yet.
    pub fn new(endpoint: ServerEndpoint, dir: PathBuf, archive: PathBuf, parameters: Arc<Parameters>) -> Self {
        Self { endpoint, dir, archive, parameters, process: tokio::sync::Mutex::new(None) }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Writes the configuration and starts; returns when the control plane can log in.
    pub async fn start(
        &self,
        context: &Context,
        names: Vec<String>,
        role: &Role,
        admitted: &[IpNet],
    ) -> Result<(), Error> {
        // A new one at each start: the names change with the role, and a copied data directory brings none.
        let certificate = context.authority.server(names)?;
        context.host.write(&self.dir.join("server.crt"), &certificate.certificate)?;
        context.host.write(&self.dir.join("server.key"), &certificate.key)?;
        self.write_rules(context, admitted)?;
        self.write_config(context, role)?;
        // The copy of a reader's or a restored directory has the signal file of its former role.
        for signal in ["standby.signal", "recovery.signal"] {
            remove_if_there(&self.data().join(signal))?;
        }
        match role {
            Role::Writer => {}
            Role::Reader { .. } => context.host.write(&self.data().join("standby.signal"), "")?,
            Role::Recovery { .. } => context.host.write(&self.data().join("recovery.signal"), "")?,
        }
        let log = self.dir.join("postgres.log");
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(file(&log))?;
        let errors = output.try_clone().map_err(file(&log))?;
        let mut command = context.host.command("postgres", SERVER_DEATH_SIGNAL);
        command.arg("-D").arg(self.data()).stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        let mut process = self.process.lock().await;
        let child = command.spawn().map_err(|source| Error::Start { program: "postgres".to_owned(), source })?;
        let child = process.insert(child);
        // A recovery replays up to half of the database's size; nobody can log in before it has ended.
        let limit = if matches!(role, Role::Recovery { .. }) { RECOVERY_TIMEOUT } else { START_TIMEOUT };
        let deadline = Instant::now() + limit;
        loop {
            if child.try_wait().map_err(file(&log))?.is_some() {
                *process = None;
                return Err(self.failed("ended while starting"));
            }
            match self.connect(context).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    tracing::warn!(%error, address = %self.endpoint.address, "a server did not come up in time");
                    send(child, Signal::KILL);
                    *process = None;
                    return Err(self.failed("did not come up in time"));
                }
                Err(_) => sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Puts other rules in force for new connections; open ones live on, as with security groups on AWS.
    pub async fn admit(&self, context: &Context, admitted: &[IpNet]) -> Result<(), Error> {
        self.write_rules(context, admitted)?;
        self.reload(context).await
    }

    /// Follows another writer, or none.
    pub async fn follow(&self, context: &Context, role: &Role) -> Result<(), Error> {
        self.write_config(context, role)?;
        self.reload(context).await
    }

    /// Stops as an administrator would: sessions end, everything written is archived and sent.
    pub async fn stop(&self) -> Result<(), Error> {
        self.end(Signal::INT).await
    }

    /// Stops at once, as a power cut would.
    pub async fn kill(&self) -> Result<(), Error> {
        self.end(Signal::QUIT).await
    }

    async fn end(&self, signal: Signal) -> Result<(), Error> {
        let mut process = self.process.lock().await;
        let Some(child) = process.as_mut() else { return Ok(()) };
        // SIGKILL last: it leaves the postmaster's children behind, which hold the address and the data.
        for signal in [signal, Signal::QUIT, Signal::KILL] {
            send(child, signal);
            if timeout(STOP_TIMEOUT, child.wait()).await.is_ok() {
                *process = None;
                return Ok(());
            }
        }
        Err(self.failed("does not end"))
    }

    /// Connects to the control plane's own database: people may drop every other, or be interrupted while they do. A server that was
    /// just initialised has not got it yet.
    async fn connect(&self, context: &Context) -> Result<tokio_postgres::Client, Error> {
        match context.admin.connect(&self.endpoint, ADMIN).await {
            Err(Error::Sql(error)) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                context.admin.connect(&self.endpoint, "postgres").await
            }
            other => other,
        }
    }

    async fn reload(&self, context: &Context) -> Result<(), Error> {
        let loaded = async |client: &tokio_postgres::Client| {
            let row = client.query_one("SELECT extract(epoch FROM pg_conf_load_time())::float8", &[]).await?;
            Ok::<f64, Error>(row.get(0))
        };
        // The time of the load by the server's own clock: a signal alone says nothing of when it is acted upon.
        let before = loaded(&self.connect(context).await?).await?;
        if let Some(child) = self.process.lock().await.as_ref() {
            send(child, Signal::HUP);
        }
        // The postmaster hands its rules to the connections that it accepts from then on, so only a new connection shows the load.
        let deadline = Instant::now() + RELOAD_TIMEOUT;
        while Instant::now() < deadline {
            match self.connect(context).await {
                Ok(client) if loaded(&client).await? > before => return Ok(()),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a server that reloads was not reached"),
            }
            sleep(POLL_INTERVAL).await;
        }
        Err(self.failed("did not take its new configuration"))
    }

    fn write_rules(&self, context: &Context, admitted: &[IpNet]) -> Result<(), Error> {
        context.host.write(&self.dir.join("pg_hba.conf"), &pg_hba::render(context.admin.source(), admitted))
    }

    fn write_config(&self, context: &Context, role: &Role) -> Result<(), Error> {
        let text = config::render(&Settings {
            address: self.endpoint.address,
            port: self.endpoint.port,
            certificate: &self.dir.join("server.crt"),
            key: &self.dir.join("server.key"),
            hba: &self.dir.join("pg_hba.conf"),
            archive: &self.archive,
            role,
            parameters: &self.parameters.lock().unwrap_or_else(PoisonError::into_inner),
        });
        context.host.write(&self.data().join("postgresql.conf"), &text)
    }

    fn failed(&self, what: &'static str) -> Error {
        let log = std::fs::read_to_string(self.dir.join("postgres.log")).unwrap_or_default();
        Error::Server { address: self.endpoint.address, what, log: last_lines(&log, 4) }
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, signal)
    {
        tracing::debug!(%error, ?signal, "a server was gone before its signal");
    }
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
