//! The identity of a running server: what tells a connection by name from a connection to the server that was meant.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A running database server. Two sessions that see the same one are on the same server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerIdentity {
    /// The name that the server gives itself: its address and port on PostgreSQL; on MySQL, which does not know its
    /// address, its names and numbers.
    pub server: String,
    /// The start of the server, RFC 3339 in UTC: two servers behind one address differ in this. To the microsecond on
    /// PostgreSQL, to the second on MySQL.
    pub started_at: String,
    /// True for a reader.
    pub in_recovery: bool,
}

impl ServerIdentity {
    /// True if both are the same running server, whatever its role was when each was asked.
    pub fn is_same_server(&self, other: &Self) -> bool {
        // The role is left out: a failover between the two questions changes it, and not the server.
        self.server == other.server && self.started_at == other.started_at
    }
}

impl fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.in_recovery { "reader" } else { "writer" };
        write!(f, "{role} at {}, up since {}", self.server, self.started_at)
    }
}
