//! One MariaDB server process: started, asked, stopped. It does not know of clusters, clients or history.

use super::admin::{self, LoginAs};
use super::config::{self, Identity, Role, Settings};
use super::host::SERVER_DEATH_SIGNAL;
use crate::servers::Error;
use crate::servers::error::file;
use crate::servers::host::{Host, last_lines};
use crate::tls::ServerCertificate;
use rustix::process::{Pid, Signal};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// On a machine that builds something meanwhile a start is not quick.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A server: `dir` holds its data, its certificate and its log.
#[derive(Debug)]
pub(super) struct Server {
    dir: PathBuf,
    socket: PathBuf,
    process: tokio::sync::Mutex<Option<Child>>,
}

impl Server {
    /// A server that does not run yet.
    pub fn new(dir: PathBuf, socket: PathBuf) -> Self {
        Self { dir, socket, process: tokio::sync::Mutex::new(None) }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn relay(&self) -> PathBuf {
        self.dir.join("relay")
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Writes the configuration; returns its path.
    pub fn configure(
        &self,
        host: &Host,
        identity: Identity<'_>,
        role: Role<'_>,
        certificate: Option<&ServerCertificate>,
    ) -> Result<PathBuf, Error> {
        let (temporary, relay) = (self.dir.join("tmp"), self.relay());
        // Its own directory for temporary files: mariadbd leaves them behind when it is killed, and this one goes with the server.
        for dir in [&self.dir, &temporary, &relay] {
            host.make_dir(dir)?;
        }
        let files = (self.dir.join("server.crt"), self.dir.join("server.key"));
        // Without one there is no TLS: only the control plane connects, over the socket.
        if let Some(certificate) = certificate {
            host.write(&files.0, &certificate.certificate)?;
            host.write(&files.1, &certificate.key)?;
        }
        let text = config::render(&Settings {
            data: &self.data(),
            socket: &self.socket,
            temporary: &temporary,
            certificate: certificate.map(|_| (files.0.as_path(), files.1.as_path())),
            identity,
            role,
        });
        let path = self.dir.join("my.cnf");
        host.write(&path, &text)?;
        Ok(path)
    }

    /// Starts; returns when the server greets.
    pub async fn start(
        &self,
        host: &Host,
        identity: Identity<'_>,
        role: Role<'_>,
        certificate: Option<&ServerCertificate>,
    ) -> Result<(), Error> {
        let config = self.configure(host, identity, role, certificate)?;
        let log = self.log();
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(file(&log))?;
        let errors = output.try_clone().map_err(file(&log))?;
        let mut command = host.command("mariadbd", SERVER_DEATH_SIGNAL);
        command.arg(format!("--defaults-file={}", config.display()));
        command.stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        let mut process = self.process.lock().await;
        let child = command.spawn().map_err(|source| Error::Start { program: "mariadbd".to_owned(), source })?;
        let child = process.insert(child);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if child.try_wait().map_err(file(&log))?.is_some() {
                *process = None;
                return Err(self.failed("ended while starting"));
            }
            // The socket is there before the server answers on it: only a greeting shows that it takes logins.
            if admin::greets(&self.socket).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                send(child, Signal::KILL);
                *process = None;
                return Err(self.failed("did not come up in time"));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Runs statements.
    pub async fn run(&self, host: &Host, who: LoginAs<'_>, statements: &str) -> Result<String, Error> {
        admin::run(host, &self.socket, who, statements).await
    }

    /// Stops as an administrator would: sessions end, everything acknowledged is in the files.
    pub async fn stop(&self) -> Result<(), Error> {
        self.end(Signal::TERM).await
    }

    /// Stops at once, as a power cut would.
    pub async fn kill(&self) -> Result<(), Error> {
        self.end(Signal::KILL).await
    }

    async fn end(&self, signal: Signal) -> Result<(), Error> {
        let mut process = self.process.lock().await;
        let Some(child) = process.as_mut() else { return Ok(()) };
        // A server that does not end would keep its files and its address from the next one.
        for signal in [signal, Signal::KILL] {
            send(child, signal);
            if timeout(STOP_TIMEOUT, child.wait()).await.is_ok() {
                *process = None;
                return Ok(());
            }
        }
        Err(self.failed("does not end"))
    }

    fn log(&self) -> PathBuf {
        self.dir.join("mariadb.log")
    }

    fn failed(&self, what: &'static str) -> Error {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        Error::Local { socket: self.socket.clone(), what, log: last_lines(&log, 6) }
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
