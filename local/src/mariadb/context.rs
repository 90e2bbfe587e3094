//! The programs, logins and times that all MariaDB clusters of a stack share. It knows no cluster.

use super::admin::LoginAs;
use super::history::{Position, RestorePoint};
use super::replay;
use crate::servers::host::Host;
use crate::servers::{Error, remove_dir};
use crate::tls::Authority;
use jiff::SignedDuration;
use rewind_clock::SystemClock;
use std::path::Path;
use std::sync::Arc;

/// Shared by all clusters of a stack.
#[derive(Debug)]
pub struct Context {
    /// MariaDB on this machine.
    pub host: Host,
    /// The password of the control plane's accounts on all servers: a restored cluster brings the accounts of its source along,
    /// and must still let the control plane in.
    pub password: String,
    /// The signer of the servers' certificates.
    pub authority: Arc<Authority>,
    /// The clock.
    pub clock: SystemClock,
    /// The time by which `LatestRestorableTime` lags behind.
    pub lag: SignedDuration,
}

impl Context {
    /// The login of the control plane's own statements.
    pub(super) fn admin(&self) -> LoginAs<'_> {
        LoginAs::Admin(&self.password)
    }

    /// Rebuilds the data of a restore point below `dir`; what an interrupted attempt left there is removed.
    pub(super) async fn rebuild(&self, point: &RestorePoint, dir: &Path) -> Result<Position, Error> {
        remove_dir(dir).await?;
        replay::rebuild(&self.host, &self.password, point, dir).await
    }
}
