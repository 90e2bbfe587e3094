//! The RDS Query API over real databases, as the AWS CLI and the SDKs speak it. Who may do what, it asks the rest of
//! the local AWS, if it is told to.

mod actions;
mod certificates;
pub(crate) mod database;
mod endpoints;
mod engine;
mod error;
mod faults;
mod iam;
mod model;
mod parameters;
mod plane;
mod query;
pub(crate) mod secrets;
mod security_groups;
mod server;
mod settings;
mod shapes;
mod store;
mod windows;
mod xml;

pub use endpoints::Endpoints;
pub(crate) use iam::Gate;
pub(crate) use model::{region, set_region};
pub(crate) use plane::Plane;
pub(crate) use secrets::Secrets;
pub(crate) use server::router;
