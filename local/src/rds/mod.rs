//! The RDS Query API over real databases, as the AWS CLI and the SDKs speak it. Who may do what, it asks the rest of
//! the local AWS, if it is told to.

mod actions;
mod callers;
mod certificates;
mod control_plane;
pub(crate) mod database;
mod endpoints;
mod engine;
mod error;
mod faults;
mod http;
mod iam;
mod instance_limits;
mod metrics;
mod model;
mod monitoring;
mod parameters;
mod preferred_windows;
mod query;
mod quotas;
mod render;
mod resource_names;
mod room;
pub(crate) mod secrets;
mod security_groups;
mod settings;
mod store;
mod tags;
mod xml;

pub use callers::Callers;
pub(crate) use callers::refuse_pages;
pub(crate) use control_plane::ControlPlane;
pub use endpoints::Endpoints;
pub(crate) use http::router;
pub(crate) use iam::Authorizer;
pub(crate) use resource_names::{region, set_region};
pub(crate) use secrets::Secrets;
