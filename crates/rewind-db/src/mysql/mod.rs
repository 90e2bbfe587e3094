//! Aurora MySQL: the only module that names its protocol, its catalogue and its codes. MariaDB stands in for it on a laptop,
//! and knows some things by other names.

mod beginning;
mod called;
mod compare;
mod connection;
mod errors;
mod jobs;
mod logins;
mod opening;
mod packets;
mod preflight;
mod protocol;
mod queries;
mod quote;
mod rewritten;
mod sessions;
mod threads;
mod writes;

use crate::engine::Defaults;

pub(crate) use connection::MysqlConnection;

/// How a cluster is reached where nobody says otherwise. The fence works from `information_schema`, which is no database of
/// files: it can be neither dropped nor emptied.
pub(crate) const DEFAULTS: Defaults =
    Defaults { port: 3306, user: "admin", first_database: "mysql", maintenance_database: "information_schema" };

/// A server's version: major, minor, patch.
type Version = (u16, u16, u16);

/// The oldest version that Aurora has: Aurora MySQL 2.
const OLDEST: Version = (5, 7, 0);

/// The kind of server, from its greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    MySql,
    MariaDb,
}
