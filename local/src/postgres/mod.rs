//! Real PostgreSQL servers as processes: their files, accounts, backups and restores. It knows nothing of the RDS API.

pub mod accounts;
pub mod admin;
mod backup;
pub mod cluster;
mod config;
mod context;
pub mod host;
pub mod pg_hba;
mod server;

pub use cluster::Cluster;
pub use context::Context;
