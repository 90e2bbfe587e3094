//! The two engines, and what differs between them before anything is said to a server.

/// A database engine, as far as a recovery has to tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Aurora PostgreSQL.
    Postgres,
    /// Aurora MySQL.
    MySql,
}

impl Engine {
    /// The engine that RDS names `name`: `aurora-mysql`, and everything else is PostgreSQL.
    ///
    /// ```
    /// use rewind_db::Engine;
    ///
    /// assert_eq!(Engine::of("aurora-mysql"), Engine::MySql);
    /// assert_eq!(Engine::of("aurora-postgresql"), Engine::Postgres);
    /// ```
    pub fn of(name: &str) -> Self {
        if name == "aurora-mysql" { Self::MySql } else { Self::Postgres }
    }

    /// The port of a cluster that says none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::MySql => 3306,
        }
    }

    /// The master user of a cluster that says none.
    pub const fn default_user(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "admin",
        }
    }

    /// Where a login is tried first: a database that every cluster has unless somebody dropped it.
    pub const fn first_database(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
        }
    }

    /// The database that the fence works from and leaves open: every cluster has it, and nobody can drop it.
    pub const fn maintenance_database(self) -> &'static str {
        match self {
            Self::Postgres => "template1",
            Self::MySql => "information_schema",
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
