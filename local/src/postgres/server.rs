//! One PostgreSQL server process: started, reloaded, stopped. It does not know of clusters or backups.

use super::admin::{ADMIN, Admin};
use super::config::{self, Role, Settings};
use super::hba;
use super::host::SERVER_DEATH_SIGNAL;
use crate::servers::error::file;
use crate::servers::host::{Host, last_lines};
use crate::servers::{Cidr, Error, Place};
use crate::tls::Authority;
use rustix::process::{Pid, Signal};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;

const LOOK_AGAIN: Duration = Duration::from_millis(30);
/// A start replays what the last stop left; on a machine that builds something meanwhile that is not quick.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(3600);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A server: `dir` holds its data, its certificate, its rules and its log.
#[derive(Debug)]
pub(super) struct Server {
    pub place: Place,
    dir: PathBuf,
    archive: PathBuf,
    process: tokio::sync::Mutex<Option<Child>>,
}

/// What a server needs from its surroundings.
pub(super) struct Means<'a> {
    pub host: &'a Host,
    pub admin: &'a Admin,
    pub authority: &'a Authority,
}

impl Server {
    /// A server that does not run yet.
    pub fn new(place: Place, dir: PathBuf, archive: PathBuf) -> Self {
        Self { place, dir, archive, process: tokio::sync::Mutex::new(None) }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Writes the configuration and starts; returns when the control plane can log in.
    pub async fn start(
        &self,
        means: &Means<'_>,
        names: Vec<String>,
        role: &Role,
        admitted: &[Cidr],
    ) -> Result<(), Error> {
        let certificate = means.authority.server(names)?;
        means.host.write(&self.dir.join("server.crt"), &certificate.certificate)?;
        means.host.write(&self.dir.join("server.key"), &certificate.key)?;
        self.write_rules(means, admitted)?;
        self.write_config(means, role)?;
        for signal in ["standby.signal", "recovery.signal"] {
            remove_if_there(&self.data().join(signal))?;
        }
        match role {
            Role::Writer => {}
            Role::Reader { .. } => means.host.write(&self.data().join("standby.signal"), "")?,
            Role::Recovery { .. } => means.host.write(&self.data().join("recovery.signal"), "")?,
        }
        let log = self.dir.join("postgres.log");
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(file(&log))?;
        let errors = output.try_clone().map_err(file(&log))?;
        let mut command = means.host.command("postgres", SERVER_DEATH_SIGNAL);
        command.arg("-D").arg(self.data()).stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        let mut process = self.process.lock().await;
        let child = command.spawn().map_err(|source| Error::Start { program: "postgres".to_owned(), source })?;
        let child = process.insert(child);
        let limit = if matches!(role, Role::Recovery { .. }) { RECOVERY_TIMEOUT } else { START_TIMEOUT };
        let deadline = Instant::now() + limit;
        loop {
            if child.try_wait().map_err(file(&log))?.is_some() {
                *process = None;
                return Err(self.failed("ended while starting"));
            }
            match self.connect(means).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    tracing::warn!(%error, address = %self.place.address, "a server did not come up in time");
                    send(child, Signal::KILL);
                    *process = None;
                    return Err(self.failed("did not come up in time"));
                }
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Puts other rules in force for new connections; those that are open live on.
    pub async fn admit(&self, means: &Means<'_>, admitted: &[Cidr]) -> Result<(), Error> {
        self.write_rules(means, admitted)?;
        self.reload(means).await
    }

    /// Follows another writer, or none.
    pub async fn follow(&self, means: &Means<'_>, role: &Role) -> Result<(), Error> {
        self.write_config(means, role)?;
        self.reload(means).await
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
        for signal in [signal, Signal::QUIT, Signal::KILL] {
            send(child, signal);
            if timeout(STOP_TIMEOUT, child.wait()).await.is_ok() {
                *process = None;
                return Ok(());
            }
        }
        Err(self.failed("does not end"))
    }

    /// The database of the control plane's own, for people may drop every other, or be interrupted while they do. A
    /// server that was just initialised has not got it yet.
    async fn connect(&self, means: &Means<'_>) -> Result<tokio_postgres::Client, Error> {
        match means.admin.connect(&self.place, ADMIN).await {
            Err(Error::Sql(error)) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                means.admin.connect(&self.place, "postgres").await
            }
            other => other,
        }
    }

    async fn reload(&self, means: &Means<'_>) -> Result<(), Error> {
        let loaded = async |client: &tokio_postgres::Client| {
            let row = client.query_one("SELECT extract(epoch FROM pg_conf_load_time())::float8", &[]).await?;
            Ok::<f64, Error>(row.get(0))
        };
        let before = loaded(&self.connect(means).await?).await?;
        if let Some(child) = self.process.lock().await.as_ref() {
            send(child, Signal::HUP);
        }
        // The postmaster hands its rules to the connections it makes from then on: a new one tells when that began.
        let deadline = Instant::now() + RELOAD_TIMEOUT;
        while Instant::now() < deadline {
            match self.connect(means).await {
                Ok(client) if loaded(&client).await? > before => return Ok(()),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a server that reloads was not reached"),
            }
            sleep(LOOK_AGAIN).await;
        }
        Err(self.failed("did not take its new configuration"))
    }

    fn write_rules(&self, means: &Means<'_>, admitted: &[Cidr]) -> Result<(), Error> {
        means.host.write(&self.dir.join("pg_hba.conf"), &hba::render(means.admin.source(), admitted))
    }

    fn write_config(&self, means: &Means<'_>, role: &Role) -> Result<(), Error> {
        let text = config::render(&Settings {
            address: self.place.address,
            port: self.place.port,
            certificate: &self.dir.join("server.crt"),
            key: &self.dir.join("server.key"),
            hba: &self.dir.join("pg_hba.conf"),
            archive: &self.archive,
            role,
        });
        means.host.write(&self.data().join("postgresql.conf"), &text)
    }

    fn failed(&self, what: &'static str) -> Error {
        let log = std::fs::read_to_string(self.dir.join("postgres.log")).unwrap_or_default();
        Error::Server { address: self.place.address, what, log: last_lines(&log, 4) }
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
