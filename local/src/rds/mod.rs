//! The RDS Query API over real databases.

mod endpoints;

pub use endpoints::Endpoints;
