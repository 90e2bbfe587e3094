//! What a recovery does inside a database: checks, row counts, the fence, and finding out who answered.
//!
//! The only crate that names the drivers of PostgreSQL and MySQL, TLS and the resolver: a [`Target`] says which
//! [`rewind_core::Engine`] it is, and everything else is asked the same of both. It speaks to databases alone: it never calls AWS, and keeps nothing between calls; what must outlive a step ([`fence::LoginState`]) is the caller's to store.
//!
//! A step makes one [`Network`], logs in with the versions of a secret ([`Network::connect_with`]), and works through
//! the [`Server`] and [`Session`] that it gets.

mod checks;
mod compare;
mod engine;
mod error;
pub mod fence;
mod identity;
mod network;
mod quote;
mod resolve;
mod session;
mod tables;
mod tls;
mod wire;

pub use compare::{Findings, Limits, examine, half_dropped, invalid_databases};
pub use engine::{Defaults, defaults};
pub use error::ConnectError;
pub use identity::{Identity, identity};
pub use network::{Credential, Network, Server, Settings, Target};
pub use resolve::Resolution;
pub use session::Session;
