//! Looks how the clusters of a recovery stand: Step Functions, the table, RDS and Route 53 are asked. Whatever cannot be seen is a fact of
//! its own, and fails nothing: whoever reads a status at night may lack a permission. It changes nothing.

use crate::RecoveryClient;
use futures_util::future::{join3, join5};
use jiff::Timestamp;
use rewind_aws::AwsResult;
use rewind_aws::executions::{Executions, Status};
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::recoveries::{ReadNotes, Recoveries};
use rewind_aws::route53::{RecordSet, Zones};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG};
use rewind_core::{ClusterSeen, LeadsTo, PlannedRecord, RecordSeen, RecoveryRecord, Seen, Standing, World};

impl<E: Executions, R: Recoveries + ReadNotes, F> RecoveryClient<E, R, F> {
    /// Looks how the clusters of a recovery stand at `now`; of an undo, those of the recovery that it undoes.
    pub async fn standing<C: ReadClusters, Z: Zones>(
        &self,
        recovery: &RecoveryRecord,
        world: (&C, &Z),
        now: Timestamp,
    ) -> Standing {
        let Some(undoes) = &recovery.undoes else { return self.standing_of(recovery, world, now).await };
        match self.recovery(undoes).await {
            Ok(undone) if undone.plan.is_some() => self.standing_of(&undone, world, now).await.under_undo(recovery),
            Ok(_) => Standing::not_seen(&recovery.id, format!("the record of {undoes} has no plan")),
            // Without its record nobody knows which records and fences there are.
            Err(error) => Standing::not_seen(&recovery.id, format!("the record of {undoes} cannot be read: {error}")),
        }
    }

    async fn standing_of<C: ReadClusters, Z: Zones>(
        &self,
        recovery: &RecoveryRecord,
        (clusters, zones): (&C, &Z),
        now: Timestamp,
    ) -> Standing {
        let restored = async {
            match &recovery.new_cluster {
                Some(name) => clusters.cluster(name).await,
                None => Ok(None),
            }
        };
        // One after another: Route 53 takes five requests a second, of everybody in the account.
        let record_sets = async {
            let mut found = Vec::new();
            for planned in recovery.plan.iter().flat_map(|plan| &plan.dns) {
                found.push((planned, zones.record_sets(&planned.hosted_zone_id, &planned.name).await));
            }
            found
        };
        // At once, because whoever asks in chat has two seconds.
        let facts = join5(
            self.executions.execution(&recovery.execution_arn),
            clusters.cluster(&recovery.cluster),
            restored,
            self.recoveries.fences(&recovery.id),
            self.recoveries.lease(&recovery.cluster),
        );
        let undo = self.running_undo(recovery);
        let ((runs, source, restored, fences, lease), record_sets, undo) = join3(facts, record_sets, undo).await;
        let record = |(planned, found): (&PlannedRecord, AwsResult<Vec<RecordSet>>)| {
            let leads = seen(found).map(|sets| leads(planned, &sets, recovery, &restored));
            RecordSeen { name: planned.name.clone(), leads }
        };
        let records = record_sets.into_iter().map(record).collect();
        let world = World {
            // One that Step Functions does not know any more is over: it keeps them for 90 days.
            runs: seen(runs).map(|execution| execution.is_some_and(|execution| execution.status == Status::Running)),
            records,
            source: seen(source).map(|cluster| cluster.as_ref().map(cluster_seen)),
            restored: seen(restored).map(|cluster| cluster.as_ref().map(cluster_seen)),
            fences: seen(fences),
            lease: seen(lease).map(|lease| lease.filter(|lease| lease.until > now)),
            undo,
            at: now,
        };
        Standing::of(recovery, &world)
    }
}

pub(crate) fn seen<T>(read: AwsResult<T>) -> Seen<T> {
    match read {
        Ok(fact) => Seen::Found(fact),
        Err(error) => Seen::Unseen(error.to_string()),
    }
}

fn cluster_seen(cluster: &Cluster) -> ClusterSeen {
    ClusterSeen {
        status: cluster.status.clone(),
        keep_until: cluster.tag(KEEP_UNTIL_TAG).map(ToOwned::to_owned),
        marked_fenced: cluster.tag(FENCED_BY_TAG).is_some(),
        security_groups: cluster.security_groups.clone(),
    }
}

/// Decides where a record leads: by its value before the recovery, and by the endpoints of the restored cluster.
fn leads(
    planned: &PlannedRecord,
    sets: &[RecordSet],
    recovery: &RecoveryRecord,
    restored: &AwsResult<Option<Cluster>>,
) -> LeadsTo {
    let values: Vec<&str> = sets.iter().flat_map(|set| &set.values).map(String::as_str).collect();
    let moved_to = recovery.moved.iter().flat_map(|moved| &moved.dns);
    let recovered = recovery.outcome.as_ref().and_then(|outcome| outcome.recovered());
    let moved_to = moved_to.chain(recovered.iter().flat_map(|recovered| &recovered.dns));
    let mut there: Vec<&str> =
        moved_to.filter(|record| record.name == planned.name).map(|record| record.to.as_str()).collect();
    if let Ok(Some(cluster)) = restored {
        there.extend([&cluster.endpoint, &cluster.reader_endpoint].into_iter().flatten().map(String::as_str));
    }
    match values.as_slice() {
        [] => LeadsTo::Elsewhere("nothing: the record is gone".to_owned()),
        values if values.iter().all(|value| is_same_host(value, &planned.from)) => LeadsTo::Source,
        values if values.iter().all(|value| there.iter().any(|to| is_same_host(value, to))) => LeadsTo::Restored,
        values => LeadsTo::Elsewhere(values.join(" and ")),
    }
}

// Route 53 stores a name as it was written, with or without the dot at its end.
fn is_same_host(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}
