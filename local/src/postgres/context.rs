//! The programs, logins and times that all PostgreSQL clusters of a stack share. It knows no cluster.

use super::admin::Admin;
use crate::servers::host::Host;
use crate::servers::{Error, ServerEndpoint};
use crate::tls::Authority;
use jiff::SignedDuration;
use rewind_clock::SystemClock;
use std::path::Path;
use std::sync::Arc;

/// Shared by all clusters of a stack.
#[derive(Debug)]
pub struct Context {
    /// PostgreSQL on this machine.
    pub host: Host,
    /// The control plane's logins.
    pub admin: Admin,
    /// The signer of the servers' certificates.
    pub authority: Arc<Authority>,
    /// The clock.
    pub clock: SystemClock,
    /// The time by which `LatestRestorableTime` lags behind.
    pub lag: SignedDuration,
}

impl Context {
    /// Copies the data directory of a running server to `to`. `log` is `stream` for a copy that can start by itself, `none` for one
    /// that is replayed from the archive.
    pub(super) async fn base_backup(&self, endpoint: &ServerEndpoint, to: &Path, log: &str) -> Result<(), Error> {
        // Everybody on the machine sees the arguments of a command.
        let from = self.admin.conninfo_without_password(endpoint, "backup");
        self.host
            .run("pg_basebackup", |command| {
                command.env("PGPASSWORD", self.admin.password()).arg("-d").arg(from).arg("-D").arg(to).args([
                    "-X",
                    log,
                    // Without it the backup waits for the next checkpoint, which a quiet server writes minutes later.
                    "--checkpoint=fast",
                    // Nothing of a stack survives the machine: waiting for the disk and checksums of the copy buy nothing.
                    "--no-sync",
                    "--no-manifest",
                    "--no-password",
                ])
            })
            .await
            .map(drop)
    }
}
