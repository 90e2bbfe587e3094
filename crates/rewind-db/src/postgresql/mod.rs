//! Aurora PostgreSQL: the only module that names its driver, its catalogue and its codes.

mod called;
mod compare;
mod connection;
mod errors;
mod jobs;
mod logins;
mod opening;
mod opening_rights;
mod plan;
mod preflight;
mod queries;
mod quote;
mod sessions;
mod writes;

use crate::engine::Defaults;

pub(crate) use connection::PostgresqlConnection;

/// How a cluster is reached where nobody says otherwise. The fence works from `template1`, which `DROP DATABASE` refuses.
pub(crate) const DEFAULTS: Defaults =
    Defaults { port: 5432, user: "postgres", first_database: "postgres", maintenance_database: "template1" };

/// The connection limit with which PostgreSQL marks a database whose drop was interrupted.
const INVALID_DATABASE: i32 = -2;
