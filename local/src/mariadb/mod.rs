//! Real MariaDB servers as processes, standing in for Aurora MySQL: their files, accounts, history and rewinds. It knows nothing of
//! the RDS API.

pub mod accounts;
mod admin;
mod binlog;
pub mod cluster;
mod config;
mod context;
mod events;
mod history;
pub mod host;
mod proxy;
mod replay;
mod server;
#[cfg(test)]
mod tests;

pub use cluster::Cluster;
pub use context::Context;
