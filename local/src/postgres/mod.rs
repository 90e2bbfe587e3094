//! Real PostgreSQL servers as processes: their files, accounts, backups and restores. It knows nothing of the RDS API.

pub mod accounts;
pub mod admin;
mod backup;
pub mod cluster;
mod config;
pub mod hba;
pub mod host;
mod server;

pub use cluster::{Cluster, Context};
