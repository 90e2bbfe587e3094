//! The work of a recovery inside a database: checks, row counts, the fence, and identifying the server.
//!
//! The only crate that names the drivers of PostgreSQL and MySQL, TLS and the resolver. Each engine is a module (`postgresql`,
//! `mysql`) that implements the same operations (`engine`); a [`Target`] names the engine, and everything else is the same
//! for both. It speaks to databases alone: it never calls AWS, and keeps nothing between calls; what must outlive a step
//! ([`fence::LoginState`]) is the caller's to store.
//!
//! A step makes one [`Network`], logs in with the versions of a secret ([`Server::connect`]), and works through the
//! [`Server`] and [`Session`] that it gets.

mod checks;
mod compare;
mod counters;
mod engine;
mod error;
mod estimates;
pub mod fence;
pub mod jobs;
mod mysql;
mod network;
pub mod opening;
mod other_sessions;
mod postgresql;
pub mod preflight;
mod read_only;
mod resolve;
mod server;
mod session;
mod sides;
mod tables;
mod target;
mod tls;
mod writes;

pub use checks::{CheckLimits, Findings, count_all_tables, run_checks};
pub use compare::{CompareLimits, CompareRequest, Compared, compare_tables, next_transaction};
pub use counters::{ComparedCounters, MovedCounter, compare_counters};
pub use engine::Defaults;
pub use engine::identity::ServerIdentity;
pub use engine::writes::{Visits, WritePosition};
pub use error::ConnectError;
pub use estimates::estimate_rows;
pub use network::{Network, Settings};
pub use other_sessions::{OtherSession, other_sessions};
pub use resolve::Resolution;
pub use server::Server;
pub use session::{Session, defaults, invalid_databases, server_identity};
pub use sides::invalid_database_note;
pub use target::{Credential, Target};
pub use writes::{write_position, writes_of_closing};
