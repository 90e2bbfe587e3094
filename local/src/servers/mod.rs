//! Shared by real database servers of either engine: their endpoints, programs, errors and times. No engine is known here by more
//! than the name of its program.

pub mod error;
pub mod host;
pub mod leftover_servers;
pub mod restore_window;

pub use error::Error;
pub use restore_window::RestoreWindow;

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

/// The name, address and port of a server. The certificate has the name.
#[derive(Debug, Clone)]
pub struct ServerEndpoint {
    /// The endpoint's name.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
}

/// The master user of a new cluster, and its first database.
#[derive(Debug, Clone)]
pub struct MasterUser {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The database that is created at the start, owned by the user.
    pub database: Option<String>,
}

/// Measurements of the servers of a cluster, as CloudWatch shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// The clients that are connected, by instance; none of one that does not run.
    pub connections: BTreeMap<String, u64>,
    /// The bytes of all databases.
    pub bytes: Option<u64>,
}

/// The moment to restore.
#[derive(Debug, Clone, Copy)]
pub enum RestoreTo {
    /// A moment inside the restore window.
    At(Timestamp),
    /// Everything acknowledged so far: what a clone holds.
    Now,
}

// On tokio's blocking threads: gigabytes take seconds, and this runtime has two workers for all requests. A directory that is gone is
// what was wanted: a deletion that was interrupted is simply repeated.
pub(crate) async fn remove_dir(path: &Path) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
