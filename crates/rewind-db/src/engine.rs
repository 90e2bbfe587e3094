//! The two engines, and what differs between them before anything is said to a server.

use rewind_core::Engine;

/// How a cluster of an engine is reached where nobody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// The port.
    pub port: u16,
    /// The master user.
    pub user: &'static str,
    /// The database to try a login in first: every cluster has it unless somebody dropped it.
    pub first_database: &'static str,
    /// The database that the fence works from and leaves open: every cluster has it, and nobody can drop it.
    pub maintenance_database: &'static str,
}

/// The defaults of `engine`.
pub const fn defaults(engine: Engine) -> Defaults {
    match engine {
        Engine::AuroraPostgresql => {
            Defaults { port: 5432, user: "postgres", first_database: "postgres", maintenance_database: "template1" }
        }
        Engine::AuroraMysql => {
            Defaults { port: 3306, user: "admin", first_database: "mysql", maintenance_database: "information_schema" }
        }
    }
}

/// The connection limit with which PostgreSQL marks a database whose drop was interrupted.
pub(crate) const INVALID: i32 = -2;

/// How a server speaks: MariaDB stands in for Aurora MySQL on a laptop, and knows some things by other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    MySql,
    MariaDb,
}
