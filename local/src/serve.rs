//! `rewind-local serve`: the RDS control plane and the DNS server in one process, in the foreground until a signal.

use crate::chat;
use crate::dns::DnsServer;
use crate::postgres::admin::Admin;
use crate::private::{self, PASSABLE};
use crate::rds::{self, secrets};
use crate::servers::{self, leftover_servers};
use crate::tls::{Authority, TlsError};
use crate::{mariadb, postgres};
use clap::Args;
use ipnet::Ipv4Net;
use jiff::SignedDuration;
use rewind_clock::SystemClock;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Arguments of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Everything the stack writes lies below this directory
    #[arg(long)]
    pub dir: PathBuf,
    /// Address and port of the RDS API
    #[arg(long)]
    pub listen: SocketAddrV4,
    /// The /24 in 127.0.0.0/8 from which databases take their addresses, such as 127.33.7.0/24
    #[arg(long)]
    pub network: Ipv4Net,
    /// Address and port of the DNS server, UDP and TCP; it needs --aws-endpoint
    #[arg(long)]
    pub dns: SocketAddrV4,
    /// Address and port that take chat's messages in Slack's place; they are written to --chat-log
    #[arg(long, requires = "chat_log")]
    pub chat: Option<SocketAddrV4>,
    /// File for the messages of chat, a line of JSON each
    #[arg(long)]
    pub chat_log: Option<PathBuf>,
    /// The rest of the local AWS: Secrets Manager and Route 53 are found here, and asked whether a caller may
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub aws_endpoint: Option<String>,
    /// The secret key of the account's root user, whom the rest of the local AWS tells by it
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_access_key: String,
    /// The Region in ARNs and endpoints
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub region: String,
    /// Seconds by which `LatestRestorableTime` lags behind
    #[arg(long, default_value_t = 1)]
    pub restore_lag_seconds: u32,
}

/// Runs until SIGTERM or SIGINT; every process it started ends with it.
#[must_use]
pub fn main(args: ServeArgs) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,hickory_server=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    // Children get their death signal when the thread that started them ends: on this runtime that is the process' end,
    // as long as nothing is started from a blocking thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let served = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(serve(args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("rewind-local serve: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// An error that keeps the control plane from running.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0} can't be listened on: {1}")]
    Listen(SocketAddrV4, std::io::Error),
    #[error("{0}: {1}")]
    Dir(PathBuf, std::io::Error),
    #[error("{0} is in use by another serve")]
    InUse(PathBuf),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Servers(#[from] servers::Error),
    #[error("--network {0} is no /24 in 127.0.0.0/8, such as 127.33.7.0/24")]
    Network(Ipv4Net),
    #[error("no randomness: {0}")]
    Random(String),
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let network = network(args.network).ok_or(Failure::Network(args.network))?;
    let in_dir = |error| Failure::Dir(args.dir.clone(), error);
    std::fs::create_dir_all(&args.dir).map_err(in_dir)?;
    let dir = args.dir.canonicalize().map_err(in_dir)?;
    private::close_new_files();
    let _lock = lock(&dir)?;
    let files = dir.join("rds");
    // The data of a killed predecessor is of no use: the secrets and records that belong to it were in memory and are gone.
    let left = leftover_servers::stop(&files).await;
    if left > 0 {
        tracing::warn!(left, "ended the servers of a control control_plane that was killed");
    }
    discard(&dir, &files)?;
    rds::set_region(args.region);
    let authority = Arc::new(Authority::open(&dir)?);
    let host = postgres::host::find(&dir).await?;
    // PostgreSQL and MariaDB run as different users, and both have to pass through here to their own directories.
    private::make_dir(&files, PASSABLE).map_err(in_dir)?;
    let [a, b, c] = network;
    let password = secrets::password().map_err(|error| Failure::Random(error.message))?;
    let admin = Admin::new(Ipv4Addr::new(a, b, c, CONTROL), password, &authority);
    let lag = SignedDuration::from_secs(args.restore_lag_seconds.into());
    let mariadb = mariadb::Context {
        host: mariadb::host::find(&dir).await?,
        password: admin.password().to_owned(),
        authority: Arc::clone(&authority),
        clock: SystemClock,
        lag,
    };
    let postgres = postgres::Context { host, admin, authority, clock: SystemClock, lag };
    let groups = dir.join("security-groups.json");
    let secrets = rds::Secrets::new(args.aws_endpoint.as_deref(), rds::region());
    let servers = rds::database::Servers { postgres: Arc::new(postgres), mariadb: Arc::new(mariadb) };
    let control_plane = Arc::new(rds::ControlPlane::new(servers, files, network, &groups, secrets));

    // The name server begins before the API: whoever is told of an endpoint may resolve it at once.
    let _dns = match &args.aws_endpoint {
        Some(endpoint) => {
            let endpoints = control_plane.endpoints.clone();
            let lookup = move |name: &str| endpoints.lookup(name);
            let started = DnsServer::start(SocketAddr::V4(args.dns), lookup, route53(endpoint)).await;
            Some(started.map_err(|error| Failure::Listen(args.dns, error))?)
        }
        None => {
            tracing::warn!("no name server: without --aws-endpoint there is no Route 53 to answer from");
            None
        }
    };
    if let (Some(at), Some(log)) = (args.chat, &args.chat_log) {
        let router = chat::router(log).map_err(|error| Failure::Dir(log.clone(), error))?;
        let listener = TcpListener::bind(at).await.map_err(|error| Failure::Listen(at, error))?;
        tokio::spawn(axum::serve(listener, router).into_future());
    }
    let authorizer = args.aws_endpoint.as_deref().map(|at| rds::Authorizer::new(at, &args.secret_access_key));
    let callers = rds::Callers { secret: args.secret_access_key };
    let listener = TcpListener::bind(args.listen).await.map_err(|error| Failure::Listen(args.listen, error))?;
    let (postgresql, mariadb) =
        (control_plane.servers.postgres.host.version(), control_plane.servers.mariadb.host.version());
    tracing::info!(rds = %args.listen, dns = %args.dns, postgresql, mariadb, "ready");
    let rules = Arc::clone(&control_plane);
    tokio::spawn(async move { rules.follow_security_groups().await });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        served = axum::serve(listener, rds::router(Arc::clone(&control_plane), callers, authorizer)) => served?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending");
    // In order while the runtime lives: servers that are only dropped are killed, and a killed postmaster leaves shared memory behind.
    control_plane.shut_down().await;
    leftover_servers::stop(&dir.join("rds")).await;
    Ok(())
}

/// Moves the files of an earlier run out of the way, and removes them while the new one starts: they may be gigabytes.
fn discard(dir: &Path, files: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::Dir(files.to_owned(), error);
    if files.exists() {
        std::fs::rename(files, dir.join(format!("{DISCARDED}{}", uuid::Uuid::new_v4()))).map_err(failed)?;
    }
    // All that have the prefix: a run that was killed while it removed them left some.
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(DISCARDED) {
            tokio::spawn(tokio::fs::remove_dir_all(entry.path()));
        }
    }
    Ok(())
}

const DISCARDED: &str = "rds-discarded-";

/// The control plane's own address in the network: the servers admit their superuser from there and nowhere else.
const CONTROL: u8 = 2;

/// The first three bytes of a /24 of the loopback network.
fn network(block: Ipv4Net) -> Option<[u8; 3]> {
    match (block.addr().octets(), block.prefix_len()) {
        ([127, b, c, 0], 24) => Some([127, b, c]),
        _ => None,
    }
}

/// Locks the directory: a second control plane in it would end the first one's servers.
fn lock(dir: &Path) -> Result<std::fs::File, Failure> {
    let path = dir.join("serve.lock");
    let file = std::fs::File::create(&path).map_err(|error| Failure::Dir(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::InUse(dir.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(Failure::Dir(path, error)),
    }
}

/// Builds a client of Route 53 behind the local endpoint.
fn route53(endpoint: &str) -> aws_sdk_route53::Client {
    let key = |name: &str| std::env::var(name).unwrap_or_default();
    let credentials = aws_sdk_route53::config::Credentials::new(
        key("AWS_ACCESS_KEY_ID"),
        key("AWS_SECRET_ACCESS_KEY"),
        None,
        None,
        "local",
    );
    let config = aws_sdk_route53::Config::builder()
        .behavior_version(aws_sdk_route53::config::BehaviorVersion::latest())
        .region(aws_sdk_route53::config::Region::new(rds::region()))
        .endpoint_url(endpoint)
        .credentials_provider(credentials)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_route53::Client::from_conf(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slash_24_of_the_loopback_network_is_taken() {
        let network = |text: &str| network(text.parse().ok()?);
        assert_eq!(network("127.33.7.0/24"), Some([127, 33, 7]));
        for wrong in ["127.33.7.0", "127.33.7.1/24", "10.0.0.0/24", "127.33.0.0/16", "", "/24"] {
            assert_eq!(network(wrong), None, "{wrong:?}");
        }
    }
}
