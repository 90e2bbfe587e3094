//! Which address an endpoint's name has at this moment; the DNS server asks here.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

/// A cheap handle on the names of all cluster and instance endpoints.
#[derive(Debug, Clone, Default)]
pub struct Endpoints(Arc<RwLock<HashMap<String, Ipv4Addr>>>);

impl Endpoints {
    /// The present address of an endpoint: the writer's, a reader's (the writer's when there is none), or the
    /// instance's own. `name` has no trailing dot; case does not matter.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Ipv4Addr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&name.to_ascii_lowercase()).copied()
    }
}
