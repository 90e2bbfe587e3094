//! Inspects a fence in place again, right before what relies on it. Minutes may have passed since the fence closed, in which
//! people can have changed the cluster. It changes nothing: a fence that does not hold is an error, and the recovery is undone.

use super::written::count;
use super::{FenceSource, FencedCluster, Input, Layer, Output, refuse_writers};
use rewind_aws::fence_records::FenceRecords;
use rewind_aws::rds::{Cluster, ModifyClusters, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Polling, StepError, timeouts};
use rewind_db::{OtherSession, other_sessions};

impl<C, S, R, K> FenceSource<C, S, R, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    R: FenceRecords,
    K: Clock,
{
    /// Returns if nobody can get past the fence, and nobody is inside it.
    pub(crate) async fn inspect(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<Output, StepError> {
        self.refuse_changed(cluster)?;
        self.refuse_sessions(input, fenced_cluster, cluster).await?;
        self.refuse_written(input, fenced_cluster, cluster).await?;
        // Read again: whoever opened it while the sessions were read may be connecting now.
        self.refuse_changed(&self.access.cluster(&cluster.name).await?)?;
        let groups = self.fence_groups.join(", ");
        let did = format!("only {groups} admitted, nobody is connected, and nothing was written since the fence");
        Ok(Output {
            fenced_at: self.clock.now(),
            sessions_ended: 0,
            layers: vec![Layer { layer: "proof", did }],
            writes: None,
            untouched: None,
            why: None,
        })
    }

    /// Refuses a cluster that somebody has changed since it was fenced, so that clients may get past the fence.
    fn refuse_changed(&self, cluster: &Cluster) -> Result<(), StepError> {
        let name = &cluster.name;
        // Exactly the fence's: any other group beside them admits whoever that one admits.
        if !cluster.has_groups(&self.fence_groups) {
            return Err(broken(
                name,
                &format!(
                    "its security groups are {}, and may only be {}",
                    cluster.security_groups.join(", "),
                    self.fence_groups.join(", ")
                ),
            ));
        }
        if cluster.data_api {
            return Err(broken(name, "its Data API is on, which reaches it whatever its security groups are"));
        }
        if let Some(status) = &cluster.write_forwarding {
            return Err(broken(name, &format!("its write forwarding is {status}, by which sessions on readers write")));
        }
        if cluster.security_groups_changing || cluster.status == "modifying" {
            let what = format!("the security groups of {name} are still being applied");
            return Err(StepError::new(ErrorName::ClusterNotReady, what)
                .changed("nothing was changed")
                .advice("the fence is inspected as soon as they are in force"));
        }
        Ok(())
    }

    /// Refuses a server that was written to since the fence closed: somebody may have opened it and closed it again. The recovery
    /// itself writes nothing to it in between.
    async fn refuse_written(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<(), StepError> {
        let (_, session) = self.log_in(input, fenced_cluster, cluster).await?;
        let now = self.settled(&session).await;
        session.close().await;
        let now = now?;
        match &input.writes {
            Some(before) if now.is_unwritten_since(before, 0) => Ok(()),
            Some(before) => Err(broken(
                &cluster.name,
                &format!(
                    "clients may have written since it closed: the count of writes was {}, and is {}{}",
                    count(before),
                    count(&now),
                    if before.server == now.server { "" } else { " on a server that was restarted or is another" }
                ),
            )),
            None => Err(broken(&cluster.name, "its writes were not counted when it closed")),
        }
    }

    /// Refuses a server that somebody is connected to, or that a session on a reader can write to.
    async fn refuse_sessions(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<(), StepError> {
        let is_client = |other: &OtherSession| !other.own_user;
        let decided = |others: &Vec<OtherSession>| others.is_empty() || others.iter().any(is_client);
        // Those of the fence's own user may be of a function of ours that was killed: the server notices that a little later.
        // A session for each read: two inspections at once would each wait for the other's to end.
        let read = async || {
            let (_, session) = self.log_in(input, fenced_cluster, cluster).await?;
            let read = async {
                refuse_writers(&cluster.name, &session).await?;
                other_sessions(&session).await
            }
            .await;
            session.close().await;
            read
        };
        let others = Polling::default().until(&self.clock, timeouts::OWN_SESSIONS_END, read, decided).await?;
        if others.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = others.iter().take(10).map(ToString::to_string).collect();
        Err(broken(&cluster.name, &format!("{} sessions are there: {}", others.len(), named.join(", "))))
    }
}

fn broken(cluster: &str, why: &str) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("the fence of {cluster} does not hold: {why}"))
        .changed("nothing was backtracked")
        .advice(format!("see who changed {cluster} or logged in while it was fenced, and start again"))
}
