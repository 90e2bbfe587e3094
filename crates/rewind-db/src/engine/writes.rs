//! The position of a server's writes: two equal ones have no write between them.

use super::connection::Connection;
use super::identity::ServerIdentity;
use crate::error::StatementError;
use serde::{Deserialize, Serialize};

/// A position in the writes of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WritePosition {
    /// The count: on PostgreSQL the transactions that wrote, on MySQL the rows written and the definitions changed.
    pub count: u64,
    /// The server that counted; none where the count is the cluster's own and outlives a server.
    pub server: Option<ServerIdentity>,
}

impl WritePosition {
    /// True if nothing was written between the two positions but `own` writes of ours.
    ///
    /// Conservative: another server, a restart or a count that went down counts as written.
    pub fn is_unwritten_since(&self, before: &Self, own: u64) -> bool {
        let same_server = match (&self.server, &before.server) {
            (None, None) => true,
            (Some(now), Some(then)) => now.is_same_server(then),
            _ => false,
        };
        same_server && before.count.checked_add(own) == Some(self.count)
    }
}

/// The writes of an engine.
pub(crate) trait WriteOperations: Connection {
    /// True if the count is of this server alone, and begins anew with it.
    fn counts_per_server(&self) -> bool;

    /// The count of writes by now.
    fn writes(&self) -> impl Future<Output = Result<Option<u64>, StatementError>> + Send;

    /// The least number of counted writes that closing so many logins takes.
    fn writes_of_closing(&self, logins: u64) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(count: u64, started: Option<&str>) -> WritePosition {
        let server = started.map(|started| ServerIdentity {
            server: "w:3306".to_owned(),
            started_at: started.to_owned(),
            in_recovery: false,
        });
        WritePosition { count, server }
    }

    #[test]
    fn only_the_very_same_count_of_the_very_same_server_is_unwritten() {
        let before = at(7, None);
        assert!(at(7, None).is_unwritten_since(&before, 0));
        assert!(at(9, None).is_unwritten_since(&before, 2));
        // One more than our own is somebody's write; one less is a count that nobody understands.
        for (count, own) in [(8, 0), (10, 2), (8, 2), (6, 0)] {
            assert!(!at(count, None).is_unwritten_since(&before, own), "{count} with {own} of ours");
        }
        let before = at(0, Some("10:00:00Z"));
        assert!(at(0, Some("10:00:00Z")).is_unwritten_since(&before, 0));
        // After a restart MySQL counts from zero: what was written before it does not show.
        assert!(!at(0, Some("10:05:00Z")).is_unwritten_since(&before, 0));
        assert!(!at(0, None).is_unwritten_since(&before, 0));
    }

    #[test]
    fn a_position_survives_the_state_machine() {
        for position in [at(7, None), at(7, Some("10:00:00Z"))] {
            let passed = serde_json::to_value(&position).unwrap();
            assert_eq!(serde_json::from_value::<WritePosition>(passed).unwrap(), position);
        }
    }
}
