//! Finds out whether anybody wrote to the restored cluster between the moment before the source was fenced and the moment at which the
//! restored cluster is. Whatever cannot be read counts as written.

use rewind_core::StepError;
use rewind_db::fence::LoginState;
use rewind_db::{Session, WritePosition, writes_of_closing};

/// The finding about the restored cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// True if nobody wrote.
    pub(crate) untouched: bool,
    /// A sentence for people.
    pub(crate) why: String,
}

/// Compares the restored cluster's writes, now that it is fenced, with those before the source was. `open` are the logins as they
/// were before this fence closed them.
pub(crate) fn compare(
    session: &Session,
    before: Option<&WritePosition>,
    now: Result<WritePosition, StepError>,
    open: &LoginState,
    closed: Result<LoginState, StepError>,
) -> Finding {
    let written = |why: String| Finding { untouched: false, why };
    let Some(before) = before else {
        return written(
            "clients may have written to it: its writes were not counted before the source was fenced".to_owned(),
        );
    };
    let (now, closed) = match (now, closed) {
        (Ok(now), Ok(closed)) => (now, closed),
        (Err(error), _) | (_, Err(error)) => {
            return written(format!("clients may have written to it: its writes could not be counted: {error}"));
        }
    };
    let logins = logins_closed(open, &closed);
    let own = writes_of_closing(session, logins);
    if now.is_unwritten_since(before, own) {
        return Finding { untouched: true, why: format!("nobody wrote to it: its count of writes is {}", count(&now)) };
    }
    // AWS's own transactions and an autovacuum's move the count too.
    if now.is_unvisited_since(before, logins) {
        return Finding {
            untouched: true,
            why: "nobody wrote to it: no session was there but those of the recovery".to_owned(),
        };
    }
    written(format!(
        "clients may have written to it: its count of writes was {} before the source was fenced, and is {} with {own} of the \
         fence's own",
        count(before),
        count(&now)
    ))
}

/// The count for people.
pub(crate) fn count(position: &WritePosition) -> String {
    position.count.map_or_else(|| "not known, for what others had begun was open".to_owned(), |count| count.to_string())
}

/// The number of logins that were open and are closed.
// Compared by what is there, and not by what was sent: a statement that was refused wrote nothing.
fn logins_closed(open: &LoginState, now: &LoginState) -> u64 {
    let databases = open.databases.iter().filter(|database| {
        let is_closed = |limit: i32| limit == 0;
        let present = now.databases.iter().find(|present| present.oid == database.oid);
        !is_closed(database.connection_limit) && present.is_some_and(|present| is_closed(present.connection_limit))
    });
    let roles = open.roles.iter().filter(|role| !now.roles.iter().any(|present| present.oid == role.oid));
    u64::try_from(databases.count() + roles.count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_db::fence::{DatabaseLimit, LoginRole};

    fn logins(limits: &[(u32, i32)], roles: &[u32]) -> LoginState {
        let database = |&(oid, connection_limit): &(u32, i32)| DatabaseLimit {
            oid,
            name: format!("d{oid}"),
            connection_limit,
            can_be_limited: true,
            takes_master: true,
        };
        let role = |&oid: &u32| LoginRole { oid, name: format!("r{oid}") };
        LoginState {
            databases: limits.iter().map(database).collect(),
            roles: roles.iter().map(role).collect(),
            accounts: Vec::new(),
        }
    }

    #[test]
    fn only_what_this_fence_closed_is_counted() {
        let open = logins(&[(1, -1), (2, 50), (3, 0), (4, -1)], &[10, 11]);
        // The third was closed before, the fourth could not be, and one role is left.
        let now = logins(&[(1, 0), (2, 0), (3, 0), (4, -1)], &[11]);
        assert_eq!(logins_closed(&open, &now), 3);
        assert_eq!(logins_closed(&open, &open), 0);
    }
}
