//! Looks how the clusters of a list of recoveries stand: of those that are not over, and of those of which something is fenced or
//! kept. Each cluster and each name is read once for the whole list, and a few recoveries at a time.

use crate::RecoveryClient;
use futures_util::future::{join_all, join3};
use jiff::Timestamp;
use rewind_aws::AwsResult;
use rewind_aws::executions::Executions;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::recoveries::{ReadNotes, Recoveries};
use rewind_aws::route53::{RecordSet, Zones};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG};
use rewind_core::{Listed, RecoveryRecord, Standing, StepError};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The number of recoveries that are looked at together.
// Everybody in the account shares the quotas of RDS and of Route 53, a recovery that runs too.
const AT_ONCE: usize = 3;

impl<E: Executions, R: Recoveries + ReadNotes, F> RecoveryClient<E, R, F> {
    /// Looks how the clusters of each listed recovery stand at `now`, where that concerns people. The state of one that is not over is
    /// corrected by its execution.
    pub async fn listed<C: ReadClusters, Z: Zones>(
        &self,
        recoveries: Vec<RecoveryRecord>,
        (clusters, zones): (&C, &Z),
        now: Timestamp,
    ) -> Vec<Listed> {
        let world = (&Remembered::new(clusters), &Remembered::new(zones));
        let mut listed = Vec::new();
        let mut rest = recoveries.into_iter();
        loop {
            let few: Vec<_> = rest.by_ref().take(AT_ONCE).map(|recovery| self.inspect(recovery, world, now)).collect();
            if few.is_empty() {
                return listed;
            }
            listed.extend(join_all(few).await);
        }
    }

    async fn inspect<C: ReadClusters, Z: Zones>(
        &self,
        mut recovery: RecoveryRecord,
        world: (&C, &Z),
        now: Timestamp,
    ) -> Listed {
        // Most of a list is over and cleaned up, and two or three reads show it.
        if is_over(&recovery) {
            match self.has_anything_left(&recovery, world.0).await {
                Ok(true) => {}
                Ok(false) => return Listed::from(recovery),
                Err(why) => return Listed { unseen: Some(why.to_string()), ..Listed::from(recovery) },
            }
        }
        let standing = match self.recovery(&recovery.id).await {
            // The recovery that has its restored cluster now is the one to look at.
            Ok(whole) if whole.resumed_by.is_some() => return Listed::from(recovery),
            Ok(whole) => {
                // One that was stopped from outside may be in the table as it was.
                recovery.state.clone_from(&whole.state);
                recovery.ended_at = whole.ended_at;
                recovery.approval.clone_from(&whole.approval);
                self.standing(&whole, world, now).await
            }
            Err(error) => Standing::not_seen(&recovery.id, error.to_string()),
        };
        Listed { standing: Some(standing), ..Listed::from(recovery) }
    }

    /// Finds out if a recovery that is over has left a cluster fenced or kept. What was seen counts also where the rest was not.
    async fn has_anything_left<C: ReadClusters>(&self, recovery: &RecoveryRecord, clusters: &C) -> AwsResult<bool> {
        let id = recovery.id.as_str();
        let Some(new_cluster) = recovery.new_cluster.as_ref().filter(|_| recovery.clean_up.is_none()) else {
            return Ok(false);
        };
        let (fences, source, restored) =
            join3(self.recoveries.fences(id), clusters.cluster(&recovery.cluster), clusters.cluster(new_cluster)).await;
        // By the mark of this very recovery: another may have fenced the source, or taken the name of its restored cluster.
        let kept = |found: AwsResult<Option<Cluster>>, mark: &str| {
            found.map(|cluster| {
                cluster.is_some_and(|cluster| cluster.tag(mark) == Some(id) && cluster.tag(KEEP_UNTIL_TAG).is_some())
            })
        };
        let facts = [
            fences.map(|fences| fences.source || fences.restored),
            kept(source, FENCED_BY_TAG),
            kept(restored, RECOVERY_TAG),
        ];
        if facts.contains(&Ok(true)) {
            return Ok(true);
        }
        facts.into_iter().collect::<AwsResult<Vec<bool>>>().map(|_| false)
    }
}

/// True of a recovery that ended without a person being called.
fn is_over(recovery: &RecoveryRecord) -> bool {
    !["Running", "AwaitingApproval", "NeedsOperator", "Stopped"].contains(&recovery.state.as_str())
}

/// A port that is asked once for each fact. Two that ask at the same moment may both go through.
struct Remembered<'a, P, T> {
    port: &'a P,
    facts: Mutex<BTreeMap<String, AwsResult<T>>>,
}

impl<'a, P, T: Clone> Remembered<'a, P, T> {
    fn new(port: &'a P) -> Self {
        Self { port, facts: Mutex::default() }
    }

    async fn fact(&self, name: String, read: impl Future<Output = AwsResult<T>>) -> AwsResult<T> {
        let known = self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(known) = known {
            return known;
        }
        let fact = read.await;
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, fact.clone());
        fact
    }
}

impl<P: ReadClusters> ReadClusters for Remembered<'_, P, Option<Cluster>> {
    async fn cluster(&self, name: &str) -> AwsResult<Option<Cluster>> {
        self.fact(name.to_lowercase(), self.port.cluster(name)).await
    }

    async fn instances(&self, _: &str) -> AwsResult<Vec<Instance>> {
        // Chat may not read them, and how clusters stand shows without.
        Err(StepError::bug("a list reads no instances"))
    }
}

impl<P: Zones> Zones for Remembered<'_, P, Vec<RecordSet>> {
    async fn record_sets(&self, zone: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        self.fact(format!("{zone} {name}"), self.port.record_sets(zone, name)).await
    }
}
