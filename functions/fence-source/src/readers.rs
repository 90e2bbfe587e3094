//! Ends the sessions on the fenced cluster's readers. Without write forwarding they can write nothing, but would go on reading the
//! data that was left behind: a reader on which they do not end is reported, and stops nothing. With it such a reader is a hole in
//! the fence.

use super::{FREE_CONNECTION, FenceSource, FencedCluster, Input, errors};
use futures_util::future::join_all;
use rewind_access::target;
use rewind_aws::fence_records::FenceRecords;
use rewind_aws::rds::{Cluster, Instance, ModifyClusters, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, ErrorName, StepError, timeouts};
use rewind_db::fence::{FenceTimeouts, terminate_sessions};
use rewind_db::{ConnectError, Credential, Server, defaults};

/// The outcome on all readers.
#[derive(Default)]
pub(crate) struct Readers {
    pub(crate) sessions_ended: u64,
    /// The sentence for the report; none where there is no reader.
    pub(crate) did: Option<String>,
    /// The sentences about readers on which sessions may be left.
    left: Vec<String>,
}

impl Readers {
    /// Refuses a fence whose readers may still have sessions.
    pub(crate) fn refuse_left(&self, cluster: &str) -> Result<(), StepError> {
        match self.left.is_empty() {
            true => Ok(()),
            false => Err(errors::readers_may_write(cluster, &self.left.join("; "))),
        }
    }
}

impl<C, S, R, K> FenceSource<C, S, R, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    R: FenceRecords,
    K: Clock,
{
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
                        Err(error) => readers.left.push(format!("the reader {reader} may still have some: {error}")),
                    }
                }
            }
            Ok(Err(error)) => readers.left.push(format!("the readers may still have some: {error}")),
            Err(_) => {
                readers.left.push("the readers may still have some: they could not be asked in time".to_owned());
            }
        }
        sentences.extend(readers.left.iter().cloned());
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
        let credentials = self.credentials(input, fenced_cluster, cluster).await?;
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
        let database = defaults(target.engine).maintenance_database;
        let connect = async || Ok::<_, StepError>(Server::connect(&network, &target, credentials, database).await);
        let is_decided = |opened: &Result<_, ConnectError>| !matches!(opened, Err(ConnectError::ServerFull(_)));
        // A reader whose connections are all taken lets this step in as soon as one ends.
        let opened = FREE_CONNECTION.until(&self.clock, timeouts::FENCE_READER, connect, is_decided).await?;
        let (_, session) = opened?;
        let ended = terminate_sessions(
            &session,
            FenceTimeouts { total: timeouts::FENCE_READER_SESSIONS, ..FenceTimeouts::default() },
        )
        .await;
        session.close().await;
        let ended = ended?;
        // Only on MySQL, where no fence locks the master user.
        if ended.master_returned {
            return Err(StepError::new(ErrorName::Unavailable, "sessions of the master user come back"));
        }
        Ok(ended.sessions_ended)
    }
}

fn no_response(reader: &Instance) -> StepError {
    let seconds = timeouts::FENCE_READER.as_secs();
    StepError::new(ErrorName::Unavailable, format!("{} did not answer within {seconds} s", reader.name))
}
