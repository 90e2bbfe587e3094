//! Ends the sessions on the fenced cluster's readers. They can write nothing, but would go on reading the data that was left
//! behind. A reader on which they do not end is reported, and stops nothing.

use super::{FenceSource, FencedCluster, Input};
use futures_util::future::join_all;
use rewind_access::target;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{ErrorName, StepError, timeouts};
use rewind_db::fence::{FenceTimeouts, terminate_sessions};
use rewind_db::{Credential, Server, defaults};

/// The outcome on all readers.
#[derive(Default)]
pub(crate) struct Readers {
    pub(crate) sessions_ended: u64,
    /// The sentence for the report; none where there is no reader.
    pub(crate) did: Option<String>,
}

impl<C: ReadClusters, S: Logins, N, K> FenceSource<C, S, N, K> {
    pub(crate) async fn terminate_reader_sessions(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Readers {
        let mut readers = Readers::default();
        let mut sentences = Vec::new();
        // Not `within`, as each reader has it: with little time left that would end all of them at once, and report none by name.
        match tokio::time::timeout(timeouts::FENCE_READERS, self.terminate_on_all(input, fenced_cluster, cluster)).await
        {
            Ok(Ok(readers_ended)) => {
                for (reader, ended) in readers_ended {
                    match ended {
                        Ok(ended) => {
                            readers.sessions_ended += ended;
                            sentences.push(format!("{ended} ended on the reader {reader}"));
                        }
                        Err(error) => sentences.push(format!("the reader {reader} may still have some: {error}")),
                    }
                }
            }
            // The writer is fenced: a reader that is left behind loses no write, so this is a note and no error.
            Ok(Err(error)) => sentences.push(format!("the readers may still have some: {error}")),
            Err(_) => sentences.push("the readers may still have some: they could not be asked in time".to_owned()),
        }
        readers.did = (!sentences.is_empty()).then(|| sentences.join("; "));
        readers
    }

    /// Ends the sessions on every reader, and returns how many they were, by reader.
    async fn terminate_on_all(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<Vec<(String, Result<u64, StepError>)>, StepError> {
        let mut instances = self.access.clusters.instances(&cluster.name).await?;
        // The writer is fenced already, and its logins are closed on the readers too, which have the same catalogue.
        instances.retain(|i| !cluster.members.iter().any(|member| member.writer && member.instance == i.name));
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let credentials =
            self.access.credentials(cluster, &input.plan.secret_arn, fenced_cluster.password_moment).await?;
        // At the same time, for one that hangs must not take the time of the others.
        let ended = instances.iter().map(async |reader| {
            // A part of the whole time: what the others did is reported even where one takes all of its own.
            let ended = within(timeouts::FENCE_READER, self.terminate_on(input, cluster, reader, &credentials)).await;
            (reader.name.clone(), ended.unwrap_or_else(|OutOfTime| Err(no_response(reader))))
        });
        Ok(join_all(ended).await)
    }

    async fn terminate_on(
        &self,
        input: &Input,
        cluster: &Cluster,
        reader: &Instance,
        credentials: &[Credential],
    ) -> Result<u64, StepError> {
        // A reader that is being made has no endpoint yet, and so nobody on it.
        let Some(endpoint) = &reader.endpoint else { return Ok(0) };
        let network = self.access.network.for_recovery(&input.recovery.id);
        let target = target(cluster, endpoint);
        let (_, session) =
            Server::connect(&network, &target, credentials, defaults(target.engine).maintenance_database).await?;
        let ended = terminate_sessions(
            &session,
            FenceTimeouts { total: timeouts::FENCE_READER_SESSIONS, ..FenceTimeouts::default() },
        )
        .await;
        session.close().await;
        Ok(ended?.sessions_ended)
    }
}

fn no_response(reader: &Instance) -> StepError {
    let seconds = timeouts::FENCE_READER.as_secs();
    StepError::new(ErrorName::Unavailable, format!("{} did not answer within {seconds} s", reader.name))
}
