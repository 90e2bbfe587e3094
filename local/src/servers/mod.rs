//! What real database servers of either engine share: their places, programs, errors and times. No engine is known here by more
//! than the name of its program.

pub mod error;
pub mod host;
pub mod leftover_servers;
pub mod restore_window;

pub use error::Error;
pub use restore_window::RestoreWindow;

use jiff::Timestamp;
use std::net::Ipv4Addr;
use std::path::Path;

/// Where a server is, and the name its certificate has.
#[derive(Debug, Clone)]
pub struct ServerEndpoint {
    /// Its endpoint's name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
}

/// The master user of a new cluster, and its first database.
#[derive(Debug, Clone)]
pub struct MasterUser {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database made at the start, owned by it.
    pub database: Option<String>,
}

/// Which moment to restore.
#[derive(Debug, Clone, Copy)]
pub enum RestoreTo {
    /// This one, inside the window.
    At(Timestamp),
    /// Everything acknowledged so far: what a clone holds.
    Now,
}

// Gigabytes take seconds, in which this thread has other things to do.
pub(crate) async fn remove_dir(path: &Path) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
