//! Reads the sessions on a cluster, on its writer and on each reader, all at the same time, because a cluster has up to sixteen. It
//! terminates no session.

use crate::{Access, target};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::names::TARGET_TAG;
use rewind_core::{Clock, ErrorName, Plan, Polling, StepError, timeouts};
use rewind_db::fence::{Inspection, cut, inspect};
use rewind_db::{OtherSession, Server, defaults, other_sessions};

impl<C: ReadClusters, S: Logins> Access<C, S> {
    /// Reads the sessions on these instances of `cluster`, and the logins that are open. Its passwords are those of `moment`.
    ///
    /// Sessions of the user that this logs in as may be of a function that was killed, or of another that reads the same at this
    /// moment: they get some seconds to end.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the cluster does not answer in time: no response is no proof that nobody is connected.
    pub async fn sessions(
        &self,
        recovery_id: &str,
        (cluster, instances): (&Cluster, &[Instance]),
        plan: &Plan,
        moment: Timestamp,
        clock: &impl Clock,
    ) -> Result<Inspection, StepError> {
        // With a session for each read: two that read at once would each wait for the other's to end.
        let read = || self.read_sessions(recovery_id, (cluster, instances), plan, moment);
        let decided = |seen: &Inspection| seen.sessions.is_empty() || seen.clients;
        let polling = Polling::default();
        let read = polling.until(clock, timeouts::OWN_SESSIONS_END, read, decided);
        within(timeouts::KEPT_SESSIONS, Box::pin(read)).await.unwrap_or_else(|OutOfTime| {
            let seconds = timeouts::KEPT_SESSIONS.as_secs();
            let what = format!("{} did not say within {seconds} s who is on it", cluster.name);
            Err(StepError::new(ErrorName::Unavailable, what))
        })
    }

    /// Lists the sessions of others on the writer of `cluster`, whose passwords are those of the moment: AWS's own are none, nor is
    /// what replicates from it.
    ///
    /// Sessions of the user that this logs in as get some seconds to end, as in [`Self::sessions`].
    ///
    /// # Errors
    ///
    /// `Unavailable` if the writer does not answer, and the errors of reading the secrets.
    pub async fn others_on_writer(
        &self,
        recovery_id: &str,
        (cluster, plan): (&Cluster, &Plan),
        moment: Timestamp,
        clock: &impl Clock,
    ) -> Result<Vec<OtherSession>, StepError> {
        let database = defaults(cluster.engine).maintenance_database;
        let read = async || {
            let (_, session) = self.log_in(recovery_id, cluster, plan, moment, database).await?;
            let others = other_sessions(&session).await;
            session.close().await;
            others
        };
        let is_client = |other: &OtherSession| !other.own_user;
        let decided = |others: &Vec<OtherSession>| others.is_empty() || others.iter().any(is_client);
        Polling::default().until(clock, timeouts::OWN_SESSIONS_END, read, decided).await
    }

    async fn read_sessions(
        &self,
        recovery_id: &str,
        (cluster, instances): (&Cluster, &[Instance]),
        plan: &Plan,
        moment: Timestamp,
    ) -> Result<Inspection, StepError> {
        let credentials = self.credentials(cluster, plan, moment).await?;
        let network = self.network.for_recovery(recovery_id);
        let inspections = instances.iter().filter_map(|instance| Some((instance, instance.endpoint.as_ref()?))).map(
            async |(instance, endpoint)| {
                let target = target(cluster, endpoint);
                let database = defaults(target.engine).maintenance_database;
                let (_, session) = Server::connect(&network, &target, &credentials, database).await?;
                let inside = inspect(&session).await;
                session.close().await;
                Ok::<_, StepError>((&instance.name, inside?))
            },
        );
        let mut seen = Inspection::default();
        for (name, Inspection { sessions, clients, open }) in try_join_all(inspections).await? {
            seen.clients |= clients;
            seen.sessions.extend(sessions.into_iter().map(|who| format!("{who} on {name}")));
            // All instances share one catalogue, so each of them reports the same open logins.
            seen.open.extend(open.into_iter().filter(|login| !seen.open.contains(login)).collect::<Vec<_>>());
        }
        // Sixteen instances with hundreds of sessions each would be more than the state of an execution holds.
        let (sessions, open) = (cut(seen.sessions, "sessions"), cut(seen.open, "logins are open"));
        Ok(Inspection { sessions, open, ..seen })
    }
}

/// The moment whose passwords are valid on a restored cluster: the one that it was restored to.
pub fn restored_moment(cluster: &Cluster, target: Timestamp) -> Timestamp {
    cluster.tag(TARGET_TAG).and_then(|at| at.parse().ok()).unwrap_or(target)
}
