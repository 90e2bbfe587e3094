//! Ending the sessions of others, until none is left and none is on its way in.

use super::FenceTimeouts;
use crate::engine::sessions::StartingSessions;
use crate::engine::{ClientSession, SessionOperations};
use crate::error::unavailable;
use rewind_clock::bounded;
use rewind_core::StepError;
use std::collections::BTreeSet;
use std::time::Instant;
use tokio::time::sleep;

/// The sessions of one server, and those that were ended so far.
pub(super) struct Termination<'a, C> {
    connection: &'a C,
    timeouts: FenceTimeouts,
    deadline: Instant,
    /// The users that cannot be locked out.
    unlockable: Vec<String>,
    ended: BTreeSet<ClientSession>,
    /// True if sessions of those users came back while the others stayed away.
    pub(super) master_returned: bool,
}

impl<'a, C: SessionOperations> Termination<'a, C> {
    pub(super) async fn new(connection: &'a C, timeouts: FenceTimeouts) -> Result<Self, StepError> {
        Ok(Self {
            connection,
            timeouts,
            deadline: Instant::now() + bounded(timeouts.total),
            unlockable: connection.unlockable_users().await?,
            ended: BTreeSet::new(),
            master_returned: false,
        })
    }

    /// True once the time for everything is over.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// The number of sessions that were ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended.len() as u64
    }

    /// The number of those that were of users who cannot be locked out.
    pub(super) fn master_ended(&self) -> u64 {
        self.ended.iter().filter(|session| session.master).count() as u64
    }

    /// Tells all sessions of others to end, and returns those that were there.
    pub(super) async fn terminate_all(&mut self) -> Result<Vec<ClientSession>, StepError> {
        let present = self.connection.client_sessions(&self.unlockable).await?;
        if present.is_empty() {
            return Ok(present);
        }
        let refused = self.connection.terminate(&present).await?;
        self.ended.extend(present.iter().filter(|session| !refused.contains(session)).cloned());
        Ok(present)
    }

    /// Ends sessions until there is none left, and none on its way in that read the logins as they were before.
    pub(super) async fn until_none_is_left(&mut self) -> Result<(), StepError> {
        let mut starting = self.connection.starting_sessions().await?;
        // One that is starting now may show as a session later, and is not one that came back.
        let mut known = starting.clone();
        let mut first = true;
        let mut quiet = 0;
        loop {
            // Before the sessions are read: in between a session can move from here to there, never back.
            if !starting.is_empty() {
                let still = self.connection.starting_sessions().await?;
                starting.retain(|pid| still.contains(pid));
            }
            let mut present = self.terminate_all().await?;
            // Nothing keeps the master user of MySQL from coming back. Waiting for it to stop would be waiting for ever: it
            // is ended and reported, and whoever asked decides.
            let returned = |session: &ClientSession| session.master && !first && !known.contains(&session.pid);
            self.master_returned |= present.iter().any(returned);
            let pids: Vec<String> = present.iter().map(|session| session.pid.clone()).collect();
            present.retain(|session| !returned(session));
            known.extend(pids);
            first = false;
            quiet = if present.is_empty() && starting.is_empty() { quiet + 1 } else { 0 };
            if quiet >= self.timeouts.quiet_polls {
                return Ok(());
            }
            if self.is_over() {
                return Err(do_not_end(&present, &starting));
            }
            sleep(self.timeouts.poll).await;
        }
    }
}

fn do_not_end(present: &[ClientSession], starting: &StartingSessions) -> StepError {
    let sessions: BTreeSet<String> = present
        .iter()
        .map(|session| format!("{} in {} (pid {})", session.user, session.database, session.pid))
        .collect();
    // Ten are enough to find out whose they are: an error has to fit into a message.
    let sessions = sessions.into_iter().take(10).collect::<Vec<_>>().join(", ");
    unavailable(format!("sessions do not end: {sessions}; {} are still starting", starting.len()))
        .changed("the logins are closed; what was changed is in the record")
        .advice("end these sessions or reboot the old writer, then try again")
}
