//! The sessions on the fenced cluster's readers. They can write nothing, but would go on reading the data that was left
//! behind. All readers are asked at the same time, for one that hangs must not take the time of the others. A reader that
//! cannot be emptied is told and stops nothing.

use super::{Fence, FenceSource, Input};
use futures_util::future::join_all;
use rewind_access::target;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{ErrorName, StepError, timeouts};
use rewind_db::fence::{Patience, empty};
use rewind_db::{Credential, defaults};

/// What became of the readers' sessions.
#[derive(Default)]
pub(crate) struct Readers {
    pub(crate) sessions_ended: u64,
    /// In words; none where there is no reader.
    pub(crate) did: Option<String>,
}

impl<C: ReadClusters, S: Logins, N, K> FenceSource<C, S, N, K> {
    pub(crate) async fn empty_readers(&self, input: &Input, fence: &Fence, cluster: &Cluster) -> Readers {
        let mut readers = Readers::default();
        let mut said = Vec::new();
        // Within, all ends with the invocation: then it is told reader by reader.
        match tokio::time::timeout(timeouts::FENCE_READERS, self.empty_all(input, fence, cluster)).await {
            Ok(Ok(emptied)) => {
                for (reader, ended) in emptied {
                    match ended {
                        Ok(ended) => {
                            readers.sessions_ended += ended;
                            said.push(format!("{ended} ended on the reader {reader}"));
                        }
                        Err(error) => said.push(format!("the reader {reader} may still have some: {error}")),
                    }
                }
            }
            Ok(Err(error)) => said.push(format!("the readers may still have some: {error}")),
            Err(_) => said.push("the readers may still have some: they could not be asked in time".to_owned()),
        }
        readers.did = (!said.is_empty()).then(|| said.join("; "));
        readers
    }

    /// How many sessions were ended on each reader.
    async fn empty_all(
        &self,
        input: &Input,
        fence: &Fence,
        cluster: &Cluster,
    ) -> Result<Vec<(String, Result<u64, StepError>)>, StepError> {
        let mut instances = self.access.clusters.instances(&cluster.name).await?;
        instances.retain(|i| !cluster.members.iter().any(|member| member.writer && member.instance == i.name));
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let credentials = self.access.credentials(cluster, &input.plan.secret_arn, fence.moment).await?;
        let emptied = instances.iter().map(async |reader| {
            // A part of the whole time: what the others did is told even where one takes all of its own.
            let ended = within(timeouts::FENCE_READER, self.empty(input, cluster, reader, &credentials)).await;
            (reader.name.clone(), ended.unwrap_or_else(|OutOfTime| Err(silent(reader))))
        });
        Ok(join_all(emptied).await)
    }

    async fn empty(
        &self,
        input: &Input,
        cluster: &Cluster,
        reader: &Instance,
        credentials: &[Credential],
    ) -> Result<u64, StepError> {
        let Some(endpoint) = &reader.endpoint else { return Ok(0) };
        let network = self.access.network.for_recovery(&input.recovery.id);
        let target = target(cluster, endpoint);
        let (_, session) =
            network.connect_with(&target, credentials, defaults(target.engine).maintenance_database).await?;
        let emptied = empty(&session, Patience { bound: timeouts::FENCE_READER_SESSIONS, ..Patience::default() }).await;
        session.close().await;
        Ok(emptied?.sessions_ended)
    }
}

fn silent(reader: &Instance) -> StepError {
    let seconds = timeouts::FENCE_READER.as_secs();
    StepError::new(ErrorName::Unavailable, format!("{} did not answer within {seconds} s", reader.name))
}
