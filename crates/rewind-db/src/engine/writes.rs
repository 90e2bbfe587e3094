//! The position of a server's writes: two equal ones have no write between them.

use super::connection::Connection;
use super::identity::ServerIdentity;
use crate::error::StatementError;
use serde::{Deserialize, Serialize};

/// A position in the writes of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WritePosition {
    /// The count: on PostgreSQL the transactions that wrote, on MySQL the rows written and the definitions changed. None where
    /// the server does not count, or where something is open whose commit the count would not show.
    pub count: Option<u64>,
    /// The server that counted; none where the count is the cluster's own and outlives a server.
    pub server: Option<ServerIdentity>,
    /// The sessions that there have been; none where the server does not count them, or where one was there at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visits: Option<Visits>,
}

/// The sessions that a server has had, by which it shows that nobody can have written: on PostgreSQL transactions that no client
/// began move the count of writes too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visits {
    /// The sessions in databases of people.
    pub sessions: u64,
    /// The rows changed from the database that the recovery itself works from, and in what all databases share.
    pub rows: u64,
    /// The beginning of both counts: another one after a restart, a crash or a reset.
    pub since: String,
}

impl WritePosition {
    /// True if nothing was written between the two positions but `own` writes of ours.
    ///
    /// Conservative: another server, a restart, a count that went down or one that is not known counts as written.
    pub fn is_unwritten_since(&self, before: &Self, own: u64) -> bool {
        let same_server = match (&self.server, &before.server) {
            (None, None) => true,
            (Some(now), Some(then)) => now.is_same_server(then),
            _ => false,
        };
        let is_counted = before.count.zip(self.count).is_some_and(|(then, now)| then.checked_add(own) == Some(now));
        same_server && is_counted
    }

    /// True if nobody was there between the two positions, who alone can write: no session in a database of people, and no row
    /// changed besides but those of the logins that a fence closed, one each.
    ///
    /// Conservative: a session that only read counts, and so does whatever is not known at either of the two.
    pub fn is_unvisited_since(&self, before: &Self, logins_closed: u64) -> bool {
        self.visits.as_ref().zip(before.visits.as_ref()).is_some_and(|(now, then)| {
            now.since == then.since
                && now.sessions == then.sessions
                && then.rows.checked_add(logins_closed) == Some(now.rows)
        })
    }
}

/// The writes of an engine.
pub(crate) trait WriteOperations: Connection {
    /// True if the count is of this server alone, and begins anew with it.
    fn counts_per_server(&self) -> bool;

    /// The count of writes by now; none where the server does not count, or where something that others began is open whose
    /// commit would not move the count: on either side of a comparison that is no proof that nobody wrote.
    fn writes(&self) -> impl Future<Output = Result<Option<u64>, StatementError>> + Send;

    /// The sessions by now; none where they are not counted, or where somebody else is there.
    fn visits(&self) -> impl Future<Output = Result<Option<Visits>, StatementError>> + Send;

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
        WritePosition { count: Some(count), server, visits: None }
    }

    fn visited(sessions: u64, rows: u64, since: &str) -> WritePosition {
        WritePosition { visits: Some(Visits { sessions, rows, since: since.to_owned() }), ..at(7, None) }
    }

    #[test]
    fn only_the_very_same_sessions_and_rows_since_the_same_moment_are_no_visit() {
        let before = visited(5, 3, "a");
        assert!(visited(5, 3, "a").is_unvisited_since(&before, 0));
        assert!(visited(5, 7, "a").is_unvisited_since(&before, 4));
        for (now, closed) in [
            (visited(6, 3, "a"), 0),
            (visited(4, 3, "a"), 0),
            (visited(5, 4, "a"), 0),
            // Rows that this fence did not change; and fewer than it did.
            (visited(5, 8, "a"), 4),
            (visited(5, 6, "a"), 4),
            (visited(5, 3, "b"), 0),
            (at(7, None), 0),
        ] {
            assert!(!now.is_unvisited_since(&before, closed), "{now:?} with {closed} logins closed");
            assert!(!before.is_unvisited_since(&at(7, None), closed));
        }
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
    fn a_count_that_is_not_known_is_never_unwritten() {
        let unknown = WritePosition { count: None, ..at(7, None) };
        for (now, before) in [(&unknown, &at(7, None)), (&at(7, None), &unknown), (&unknown, &unknown)] {
            assert!(!now.is_unwritten_since(before, 0), "{now:?} since {before:?}");
        }
    }

    #[test]
    fn a_position_survives_the_state_machine() {
        let unknown = WritePosition { count: None, ..at(7, None) };
        for position in [at(7, None), at(7, Some("10:00:00Z")), visited(5, 3, "a"), unknown] {
            let passed = serde_json::to_value(&position).unwrap();
            assert_eq!(serde_json::from_value::<WritePosition>(passed).unwrap(), position);
        }
    }
}
