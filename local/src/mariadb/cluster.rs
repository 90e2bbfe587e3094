//! A cluster over real servers: one volume of data, a writer on it, and readers that follow. What the RDS API means by a state or a
//! parameter is not known here.

use crate::clock::SystemClock;
use crate::servers::host::Host;
use crate::servers::{Cidr, Error, Master, Moment, Place, Window};
use crate::tls::Authority;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;

/// What all clusters of a stack share.
#[derive(Debug)]
pub struct Context {
    /// MariaDB on this machine.
    pub host: Host,
    /// The password of the control plane's accounts on all servers.
    pub password: String,
    /// Who signs the servers' certificates.
    pub authority: Arc<Authority>,
    /// The time.
    pub clock: SystemClock,
    /// How far the latest restorable time lags behind.
    pub lag: SignedDuration,
}

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    _context: Arc<Context>,
}

const NOT_YET: Error = Error::State("not yet");

impl Cluster {
    /// A cluster without data, whose files are kept in `dir`.
    pub fn new(
        context: Arc<Context>,
        _dir: PathBuf,
        _names: Vec<String>,
        _port: u16,
        _admitted: Vec<Cidr>,
    ) -> Result<Self, Error> {
        Ok(Self { _context: context })
    }

    /// How far back its history must reach: for rewinds in place, and for restores. It is forgotten beyond both.
    pub fn keep(&self, _backtrack: SignedDuration, _retention: SignedDuration) {}

    /// The moments it can be restored to, once it has data.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        None
    }

    /// The earliest moment that it can be rewound to in place, once it has data; none without a backtrack window.
    #[must_use]
    pub fn earliest_backtrack(&self) -> Option<Timestamp> {
        None
    }

    /// Makes the volume of a new cluster.
    pub async fn create(&self, _master: &Master) -> Result<(), Error> {
        Err(NOT_YET)
    }

    /// Makes the volume of a cluster restored from `source` as it was at a moment, and answers that moment.
    pub async fn restore(&self, _source: &Cluster, _moment: Moment) -> Result<Timestamp, Error> {
        Err(NOT_YET)
    }

    /// Rewinds the whole cluster in place, back or forward, and answers where it landed. The addresses stay, every connection is
    /// cut. An error before the cut leaves all as it was.
    pub async fn backtrack(&self, _to: Timestamp) -> Result<Timestamp, Error> {
        Err(NOT_YET)
    }

    /// Starts an instance: the writer when there is none, a reader otherwise. Answers whether it is the writer.
    pub async fn start(&self, _instance: &str, _place: Place) -> Result<bool, Error> {
        Err(NOT_YET)
    }

    /// Ends an instance and removes its files. A writer hands over to `successor`; without one, the volume waits for the next.
    pub async fn remove(&self, _instance: &str, _successor: Option<&str>) -> Result<(), Error> {
        Err(NOT_YET)
    }

    /// Makes a reader the writer; the old writer becomes a reader.
    pub async fn fail_over(&self, _successor: &str) -> Result<(), Error> {
        Err(NOT_YET)
    }

    /// Stops an instance and starts it again as what it is.
    pub async fn restart(&self, _instance: &str) -> Result<(), Error> {
        Err(NOT_YET)
    }

    /// Who may connect from now on; established connections live on.
    pub async fn admit(&self, _admitted: Vec<Cidr>) -> Result<(), Error> {
        Err(NOT_YET)
    }

    /// Gives the master user another password: at once, or as soon as there is a writer.
    pub async fn set_password(&self, _user: &str, _password: &str) -> Result<(), Error> {
        Err(NOT_YET)
    }

    /// Ends all servers at once and leaves their files alone.
    pub async fn kill(&self) {}

    /// Removes the volume; with `backups`, everything.
    pub async fn destroy(&self, _backups: bool) -> Result<(), Error> {
        Err(NOT_YET)
    }
}
