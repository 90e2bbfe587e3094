//! Aurora MySQL: the only module that names its protocol, its catalogue and its codes. MariaDB stands in for it on a laptop,
//! and knows some things by other names.

mod connection;
mod errors;
mod logins;
mod packets;
mod preflight;
mod protocol;
mod queries;
mod quote;
mod rewritten;
mod sessions;
mod threads;

use crate::engine::Defaults;

pub(crate) use connection::MysqlConnection;

/// How a cluster is reached where nobody says otherwise. The fence works from `information_schema`, which is no database of
/// files: it can be neither dropped nor emptied.
pub(crate) const DEFAULTS: Defaults =
    Defaults { port: 3306, user: "admin", first_database: "mysql", maintenance_database: "information_schema" };

/// The kind of server, from its greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    MySql,
    MariaDb,
}

/// Accounts of AWS's and of the server's own, beside those that begin with `rds_` and `mysql.`.
const RESERVED: [&str; 6] =
    ["rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "rdswriteforwarduser", "mariadb.sys"];

fn is_reserved(user: &str) -> bool {
    RESERVED.contains(&user) || user.starts_with("rds_") || user.starts_with("mysql.")
}
