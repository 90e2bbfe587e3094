//! Real MariaDB servers as processes, standing in for Aurora MySQL: their files, accounts, history and rewinds. It knows nothing of
//! the RDS API.

pub mod cluster;
pub mod host;

pub use cluster::{Cluster, Context};
