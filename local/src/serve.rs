//! `rewind-local serve`: the RDS control plane and the DNS server in one process, in the foreground until a signal.

use clap::Args;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `serve` is told.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Everything the stack writes lies below this directory
    #[arg(long)]
    pub dir: PathBuf,
    /// Where the RDS API listens
    #[arg(long)]
    pub listen: SocketAddrV4,
    /// The /24 in 127.0.0.0/8 from which databases take their addresses, such as 127.33.7.0/24
    #[arg(long)]
    pub network: String,
    /// Where the DNS server listens, over UDP and TCP
    #[arg(long)]
    pub dns: SocketAddrV4,
    /// The rest of the local AWS: Secrets Manager and Route 53 are found here
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub aws_endpoint: Option<String>,
    /// How far `LatestRestorableTime` lags behind
    #[arg(long, default_value_t = 1)]
    pub restore_lag_seconds: u32,
}

/// Runs until SIGTERM or SIGINT; every process it started ends with it.
#[must_use]
pub fn main(_args: ServeArgs) -> ExitCode {
    ExitCode::SUCCESS
}
