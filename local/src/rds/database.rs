//! The databases behind a cluster: the one module that maps engines of the API to servers of this machine.

use super::engine::{AURORA_MYSQL, Engine};
use super::parameters::{EVENT_SCHEDULER, READ_BY_POSTGRESQL};
use super::settings::Settings;
use crate::servers::{Error, Load, MasterUser, RestoreTo, RestoreWindow, ServerEndpoint};
use crate::{mariadb, postgres};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

/// The kinds of servers that this machine has.
#[derive(Debug)]
pub struct Servers {
    /// PostgreSQL.
    pub postgres: Arc<postgres::Context>,
    /// MariaDB, which stands in for MySQL.
    pub mariadb: Arc<mariadb::Context>,
}

impl Servers {
    /// Returns the version of an engine for a request that names none.
    #[must_use]
    pub fn version(&self, engine: Engine) -> &str {
        match engine {
            Engine::AuroraMysql => AURORA_MYSQL,
            Engine::AuroraPostgresql => self.postgres.host.version(),
        }
    }
}

/// The databases of one cluster.
#[derive(Debug, Clone)]
pub enum Database {
    /// PostgreSQL servers.
    Postgres(Arc<postgres::Cluster>),
    /// MariaDB servers.
    MariaDb(Arc<mariadb::Cluster>),
}

/// Runs the same expression on either kind of cluster.
macro_rules! each {
    ($database:expr, $cluster:ident => $does:expr) => {
        match $database {
            Database::Postgres($cluster) => $does,
            Database::MariaDb($cluster) => $does,
        }
    };
}

impl Database {
    /// The databases of a new cluster, without data yet.
    pub fn new(
        servers: &Servers,
        engine: Engine,
        dir: PathBuf,
        names: Vec<String>,
        port: u16,
        admitted: Vec<IpNet>,
    ) -> Result<Self, Error> {
        // MariaDB listens on its instances' own ports by the proxy, so only PostgreSQL has to know the cluster's.
        match engine {
            Engine::AuroraMysql => {
                let cluster = mariadb::Cluster::new(Arc::clone(&servers.mariadb), dir, names, admitted)?;
                Ok(Self::MariaDb(Arc::new(cluster)))
            }
            Engine::AuroraPostgresql => {
                let cluster = postgres::Cluster::new(Arc::clone(&servers.postgres), dir, names, port, admitted)?;
                Ok(Self::Postgres(Arc::new(cluster)))
            }
        }
    }

    /// Makes the history reach as far back as the settings ask for.
    pub fn set_reach(&self, settings: &Settings) {
        match self {
            // Its log is archived for as long as the stack lives: stacks are short, and pruning would race with restores.
            Self::Postgres(_) => {}
            Self::MariaDb(cluster) => cluster.set_reach(
                SignedDuration::from_secs(settings.backtrack_window.unwrap_or_default().into()),
                SignedDuration::from_hours(24 * i64::from(settings.backup_retention)),
            ),
        }
    }

    /// Takes the values of the parameter group that reach servers: from their next start on, and with `now` the dynamic ones at once.
    pub fn take_parameters(&self, values: &BTreeMap<String, String>, now: bool) {
        match self {
            Self::Postgres(cluster) => {
                let reach = |name: &str| Some((name.to_owned(), values.get(name)?.clone()));
                cluster.start_with(READ_BY_POSTGRESQL.into_iter().filter_map(reach).collect());
            }
            Self::MariaDb(cluster) => {
                let runs = values.get(EVENT_SCHEDULER).is_none_or(|value| value == "ON");
                mariadb::Cluster::run_events(cluster, runs, now);
            }
        }
    }

    /// Returns the moments that it can be restored to, once there is a base backup.
    pub fn window(&self) -> Option<RestoreWindow> {
        each!(self, cluster => cluster.window())
    }

    /// Creates the volume of a new cluster; a server may run on `address` for it meanwhile.
    pub async fn create(&self, address: Ipv4Addr, master: &MasterUser) -> Result<(), Error> {
        match self {
            Self::Postgres(cluster) => cluster.create(address, master).await,
            Self::MariaDb(cluster) => cluster.create(master).await,
        }
    }

    /// Creates the volume of a cluster that is restored from `source` as it was at a moment; returns that moment. A server may run on
    /// `address` for it meanwhile.
    pub async fn restore(&self, address: Ipv4Addr, source: &Self, moment: RestoreTo) -> Result<Timestamp, Error> {
        match (self, source) {
            (Self::Postgres(cluster), Self::Postgres(source)) => cluster.restore(address, source, moment).await,
            (Self::MariaDb(cluster), Self::MariaDb(source)) => cluster.restore(source, moment).await,
            // Refused by the action before; kept apart here so that no volume is ever filled by another engine's files.
            _ => Err(Error::State("a cluster can't be restored from one of another engine")),
        }
    }

    /// Starts an instance: the writer when there is none, a reader otherwise. Returns true for the writer.
    pub async fn start(&self, instance: &str, endpoint: ServerEndpoint) -> Result<bool, Error> {
        each!(self, cluster => cluster.start(instance, endpoint).await)
    }

    /// Ends an instance; a writer hands over to `successor`.
    pub async fn remove(&self, instance: &str, successor: Option<&str>) -> Result<(), Error> {
        each!(self, cluster => cluster.remove(instance, successor).await)
    }

    /// Promotes a reader to writer.
    pub async fn fail_over(&self, successor: &str) -> Result<(), Error> {
        each!(self, cluster => cluster.fail_over(successor).await)
    }

    /// Stops an instance and starts it again as what it is.
    pub async fn restart(&self, instance: &str) -> Result<(), Error> {
        each!(self, cluster => cluster.restart(instance).await)
    }

    /// Admits only these blocks from now on.
    pub async fn admit(&self, admitted: Vec<IpNet>) -> Result<(), Error> {
        match self {
            Self::Postgres(cluster) => cluster.admit(admitted).await,
            Self::MariaDb(cluster) => {
                cluster.admit(admitted);
                Ok(())
            }
        }
    }

    /// Changes the master user's password.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), Error> {
        each!(self, cluster => cluster.set_password(user, password).await)
    }

    /// Returns the earliest moment that it can be rewound to in place; none for an engine without Backtrack, or without records yet.
    pub fn earliest_backtrack(&self) -> Option<Timestamp> {
        match self {
            Self::Postgres(_) => None,
            Self::MariaDb(cluster) => cluster.earliest_backtrack(),
        }
    }

    /// Rewinds all of it in place; returns the time at which it landed. When that fails, it is as it was.
    // PostgreSQL never gets here: the action refuses it with AWS's wording first.
    pub async fn backtrack(&self, to: Timestamp) -> Result<Timestamp, Error> {
        match self {
            Self::Postgres(_) => Err(Error::State("PostgreSQL can't be rewound in endpoint")),
            Self::MariaDb(cluster) => cluster.backtrack(to).await,
        }
    }

    /// Measures the servers that run.
    pub async fn load(&self) -> Result<Load, Error> {
        each!(self, cluster => cluster.load().await)
    }

    /// Ends all servers at once and leaves their files alone.
    pub async fn kill(&self) {
        each!(self, cluster => cluster.kill().await);
    }

    /// Removes the volume; with `backups`, everything.
    pub async fn destroy(&self, backups: bool) -> Result<(), Error> {
        each!(self, cluster => cluster.destroy(backups).await)
    }
}
