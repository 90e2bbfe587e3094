//! Lists what recoveries made or kept, and has it removed. Reading changes nothing, and whatever cannot be seen is a fact of its own.
//! Nothing is deleted here: a removal ends the cluster's time and starts the clean-up, which checks everything once more.

use crate::standing::seen;
use crate::{ClientError, ClientResult, RecoveryClient, StartedExecution};
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use rewind_aws::AwsResult;
use rewind_aws::executions::{Executions, Status};
use rewind_aws::rds::{Cluster, FindClusters, Instance, ListSnapshots, ReadClusters, TagClusters, Tagged};
use rewind_aws::recoveries::{ReadNotes, Recoveries};
use rewind_aws::route53::{RecordSet, Zones};
use rewind_core::names::{
    FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG, SAFETY_CLONE_OF_TAG, final_snapshot, held_jobs_group,
};
use rewind_core::{
    AsOf, ClusterUse, FencesSeen, FinalSnapshot, FoundCluster, FoundInstance, Inventory, RecoveryCluster,
    RecoveryRecord, RemovedBy, Seen,
};
use rewind_ui::derived_id;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The tags by which clusters of recoveries are found.
const MARKS: [&str; 3] = [RECOVERY_TAG, FENCED_BY_TAG, SAFETY_CLONE_OF_TAG];

/// The time by which a removal ends a cluster's time before now.
// The clock of a laptop may be ahead of AWS's, and the clean-up would find nothing that is due.
const BEFORE_NOW: SignedDuration = SignedDuration::from_mins(1);

/// The number of clusters that are read together.
// Everybody in the account shares the quotas of RDS and of Route 53, a recovery that runs too.
const AT_ONCE: usize = 3;

/// The number of names that are tried for one removal.
const NAME_ATTEMPTS: usize = 5;

/// Explains what becomes of a cluster whose time is over, and whose removal could not be started.
fn left_to_clean_up(hourly: Option<bool>) -> &'static str {
    match hourly {
        Some(true) => "so that the hourly clean-up deletes it",
        Some(false) => "and nothing deletes it by itself, because CleanUp of the stack is DISABLED",
        None => "so that the hourly clean-up deletes it, unless the stack's CleanUp is DISABLED",
    }
}

/// A cluster whose removal has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedCluster {
    /// The execution of the clean-up.
    pub execution: StartedExecution,
    /// The time until which the cluster was kept, as its tag has it now.
    pub keep_until: String,
    /// The command that keeps the cluster after all, as long as its deletion has not begun.
    pub keep_command: String,
}

impl<E: Executions, R: Recoveries + ReadNotes, F> RecoveryClient<E, R, F> {
    /// Reads all that recoveries made or kept, as of `now`.
    ///
    /// # Errors
    ///
    /// Errors of AWS where clusters cannot be listed. What else cannot be seen is in the inventory.
    pub async fn inventory<C, Z>(&self, (clusters, zones): (&C, &Z), now: Timestamp) -> ClientResult<Inventory>
    where
        C: ReadClusters + FindClusters + ListSnapshots,
        Z: Zones,
    {
        let mut found: BTreeMap<String, Cluster> = BTreeMap::new();
        for mark in MARKS {
            found.extend(clusters.tagged(mark).await?.into_iter().map(|cluster| (cluster.name.clone(), cluster)));
        }
        let hourly = self.deployment.cleans_up;
        let mut inventory = Inventory { clean_up_hourly: hourly, ..Inventory::default() };
        let read = stream::iter(found.values()).map(|cluster| self.inventory_entry((clusters, zones), cluster, now));
        let mut read = read.buffered(AT_ONCE);
        while let Some((entry, unseen)) = read.next().await {
            inventory.clusters.extend(entry);
            inventory.unseen.extend(unseen);
        }
        match self.final_snapshots(clusters).await {
            Ok(snapshots) => inventory.snapshots = snapshots,
            Err(error) => inventory.unseen.push(format!("the final snapshots: {error}")),
        }
        Ok(inventory)
    }

    /// Reads all that is known of a cluster, as of `now`, and why its instances could not be seen.
    async fn inventory_entry<C: ReadClusters, Z: Zones>(
        &self,
        (clusters, zones): (&C, &Z),
        cluster: &Cluster,
        now: Timestamp,
    ) -> (Option<RecoveryCluster>, Option<String>) {
        let (instances, unseen) = match clusters.instances(&cluster.name).await {
            Ok(instances) => (instances, None),
            Err(error) => (Vec::new(), Some(format!("the instances of {}: {error}", cluster.name))),
        };
        let found = found_cluster(cluster, &instances);
        let usage = self.usage(cluster, &instances, found.recovery_id().unwrap_or_default(), zones, now).await;
        (RecoveryCluster::of(&found, &usage, AsOf { now, hourly: self.deployment.cleans_up }), unseen)
    }

    /// Reads who uses a cluster.
    async fn usage<Z: Zones>(
        &self,
        cluster: &Cluster,
        instances: &[Instance],
        id: &str,
        zones: &Z,
        now: Timestamp,
    ) -> ClusterUse {
        let recovery = seen(self.recoveries.recovery(id).await);
        let record = recovery.found().and_then(Option::as_ref);
        // One that Step Functions does not know any more is over: it keeps them for 90 days.
        let runs = match record {
            Some(record) => seen(self.executions.execution(&record.execution_arn).await)
                .map(|execution| execution.is_some_and(|execution| execution.status == Status::Running)),
            None => Seen::Found(false),
        };
        let fences = match record {
            Some(_) => seen(self.recoveries.fences(id).await),
            None => Seen::Found(FencesSeen { source: false, restored: false, source_lifted_at: None }),
        };
        // A recovery that adopts a restored cluster holds the lease of its source.
        let leased: BTreeSet<&str> =
            record.map(|record| record.cluster.as_str()).into_iter().chain([cluster.name.as_str()]).collect();
        let mut leases = Vec::new();
        for name in leased {
            let lease = seen(self.recoveries.lease(name).await).map(|lease| lease.filter(|lease| lease.until > now));
            leases.push((name.to_owned(), lease));
        }
        let records = records(cluster, instances, record, zones).await;
        ClusterUse { recovery, runs, fences, leases, records }
    }

    /// Finds the final snapshots: by the names that recoveries give them, and by tags that a snapshot took over from its cluster.
    async fn final_snapshots<C: ListSnapshots>(&self, clusters: &C) -> ClientResult<Vec<FinalSnapshot>> {
        let recoveries = self.recoveries.recoveries().await?;
        let named: BTreeSet<String> = recoveries
            .iter()
            .flat_map(|record| {
                let clusters = [Some(&record.cluster), record.new_cluster.as_ref()];
                clusters.into_iter().flatten().map(|cluster| final_snapshot(cluster, &record.id))
            })
            .collect();
        let mut found: Vec<FinalSnapshot> = clusters
            .snapshots()
            .await?
            .into_iter()
            .filter(|listed| {
                let is_tagged = listed.tags.iter().any(|(key, _)| MARKS.contains(&key.as_str()));
                // People take snapshots of restored clusters too, and those bear the tags as well.
                named.contains(&listed.snapshot.name) || (is_tagged && listed.snapshot.name.contains("-final-"))
            })
            .map(|listed| {
                let of = listed.snapshot;
                FinalSnapshot::new(of.name, of.cluster, of.status, listed.created)
            })
            .collect();
        found.sort_by(|a, b| a.snapshot.cmp(&b.snapshot));
        Ok(found)
    }

    /// Ends the time of a cluster that recoveries made or kept, and starts the clean-up, which deletes it if nobody uses it. The `inventory`
    /// is what people were shown: the cluster is read again just before its tag is changed.
    ///
    /// # Errors
    ///
    /// `Refused` where the clean-up would not delete it, where it is not as it was shown, or where `confirm` is not its name; errors of AWS.
    pub async fn remove_cluster<C: ReadClusters + TagClusters, Z: Zones>(
        &self,
        (clusters, zones): (&C, &Z),
        inventory: &Inventory,
        name: &str,
        confirm: Option<&str>,
        (by, now): (&str, Timestamp),
    ) -> ClientResult<RemovedCluster> {
        let shown = removable(inventory, name)?;
        let Some(state_machine) = &self.deployment.clean_up_state_machine else {
            return Err(ClientError::Refused(
                "it is not known which state machine deletes what recoveries kept; nothing was changed; next step: set \
                 CLEAN_UP_STATE_MACHINE_ARN, which the stack's outputs have, or name the stack"
                    .to_owned(),
            ));
        };
        // Compared exactly: there is no hash to bind this to, so the name takes its place.
        if confirm != Some(name) {
            return Err(ClientError::Refused(format!(
                "{name} would be deleted now, into a final snapshot; nothing was changed; next step: say its name with --confirm {name}"
            )));
        }
        let cluster = &self.still_removable((clusters, zones), shown, now).await?;
        let ended = now.checked_sub(BEFORE_NOW).unwrap_or(now);
        let keep_until = match cluster.keep_until.as_deref().filter(|until| is_over(until, ended)) {
            // Left as it is: a clean-up that is at work stops where the tag changes meanwhile.
            Some(until) => until.to_owned(),
            None => end_time(clusters, cluster, ended).await?,
        };
        let keep_command = keep_command(cluster, now);
        // Of whatever else is due, people were shown nothing: the hourly run looks at that. The name of whoever asked is for the history.
        let input = json!({ "cluster": name, "by": by });
        for attempt in 0..NAME_ATTEMPTS {
            let id = derived_id("remove", name, now, attempt);
            match self.start_execution(state_machine, &id, &input).await {
                Ok(Some(execution)) => return Ok(RemovedCluster { execution, keep_until, keep_command }),
                Ok(None) => {}
                Err(error) => return Err(with_tag_set(error, name, &keep_command, self.deployment.cleans_up)),
            }
        }
        Err(ClientError::Refused(format!(
            "every name for this removal is taken; the time of {name} is over, {}; next step: run this again, or keep it after all: \
             {keep_command}",
            left_to_clean_up(self.deployment.cleans_up)
        )))
    }

    /// Reads a cluster once more, as of `now`: a question may have waited for its answer for an hour.
    async fn still_removable<C: ReadClusters, Z: Zones>(
        &self,
        (clusters, zones): (&C, &Z),
        shown: &RecoveryCluster,
        now: Timestamp,
    ) -> ClientResult<RecoveryCluster> {
        let name = &shown.cluster;
        let found = clusters.cluster(name).await?;
        let entry = match &found {
            Some(cluster) => self.inventory_entry((clusters, zones), cluster, now).await.0,
            None => None,
        };
        let identity = |cluster: &RecoveryCluster| {
            (cluster.cluster_arn.clone(), cluster.recovery_id.clone(), cluster.role, cluster.keep_until.clone())
        };
        let Some(entry) = entry.filter(|entry| identity(entry) == identity(shown)) else {
            return Err(ClientError::Refused(format!(
                "{name} is not what it was when it was shown: it is gone, or its tags are others; nothing was changed; next step: see \
                 rewind clusters, and remove it again if it is still not needed"
            )));
        };
        why_not_removable(&entry)?;
        Ok(entry)
    }
}

/// Finds a cluster of the inventory that the clean-up deletes once its time is over.
///
/// # Errors
///
/// `Refused` with every reason, and with the commands for one that only people delete.
pub fn removable<'a>(inventory: &'a Inventory, name: &str) -> ClientResult<&'a RecoveryCluster> {
    let refused = |why: String| Err(ClientError::Refused(why));
    if let Some(snapshot) = inventory.snapshots.iter().find(|snapshot| snapshot.snapshot == name) {
        return refused(format!(
            "{name} is a final snapshot, and may be the last copy of its data; nothing was changed; next step: {}",
            snapshot.remove
        ));
    }
    let Some(cluster) = inventory.clusters.iter().find(|cluster| cluster.cluster == name) else {
        return refused(format!(
            "no cluster {name} bears the tag of a recovery; nothing was changed; next step: rewind clusters lists those that do"
        ));
    };
    why_not_removable(cluster)?;
    Ok(cluster)
}

/// Refuses a cluster that the clean-up does not delete as it is.
fn why_not_removable(cluster: &RecoveryCluster) -> ClientResult<()> {
    let refused = |why: String| Err(ClientError::Refused(why));
    let (name, why) = (&cluster.cluster, cluster.removal.why.join("; "));
    match cluster.removal.by {
        RemovedBy::CleanUp => Ok(()),
        RemovedBy::Hand => refused(format!(
            "{name} is not removed: {why}; nothing was changed; next step: if nobody needs it, delete it by hand: {}",
            cluster.removal.commands.join(" && ")
        )),
        RemovedBy::Nobody => refused(format!(
            "{name} is not removed: {why}; nothing was changed; next step: end that, and see rewind clusters"
        )),
    }
}

/// Sets the time until which a cluster is kept to a moment ago.
async fn end_time<C: TagClusters>(clusters: &C, cluster: &RecoveryCluster, at: Timestamp) -> ClientResult<String> {
    let until = at.round(jiff::Unit::Second).unwrap_or(at).to_string();
    match clusters.tag(&cluster.cluster_arn, &[(KEEP_UNTIL_TAG.to_owned(), until.clone())]).await? {
        Tagged::Yes => Ok(until),
        Tagged::Full => Err(ClientError::Refused(format!(
            "{} has as many tags as it may have; nothing was changed; next step: take one off that nobody needs",
            cluster.cluster
        ))),
    }
}

/// True of the value of a tag that is a time before `at`.
fn is_over(until: &str, at: Timestamp) -> bool {
    until.parse::<Timestamp>().is_ok_and(|until| until < at)
}

/// Writes the command that gives a cluster its former time back; where that is over at `now`, one that keeps it without a time.
fn keep_command(cluster: &RecoveryCluster, now: Timestamp) -> String {
    let arn = &cluster.cluster_arn;
    match cluster.keep_until.as_deref().filter(|until| !is_over(until, now)) {
        Some(until) => {
            format!("aws rds add-tags-to-resource --resource-name {arn} --tags Key={KEEP_UNTIL_TAG},Value={until}")
        }
        None => format!("aws rds remove-tags-from-resource --resource-name {arn} --tag-keys {KEEP_UNTIL_TAG}"),
    }
}

/// Adds to an error of AWS that the time of the cluster is over by now.
fn with_tag_set(error: ClientError, name: &str, keep_command: &str, hourly: Option<bool>) -> ClientError {
    match error {
        ClientError::Aws(error) => ClientError::Aws(
            error
                .changed(format!("the time of {name} is over, {}", left_to_clean_up(hourly)))
                .advice(format!("run this again, or keep it after all: {keep_command}")),
        ),
        other => other,
    }
}

fn found_cluster(cluster: &Cluster, instances: &[Instance]) -> FoundCluster {
    let tag = |key: &str| cluster.tag(key).map(ToOwned::to_owned);
    let group = held_jobs_group(&cluster.name);
    let is_writer = |name: &str| cluster.members.iter().any(|member| member.writer && member.instance == name);
    FoundCluster {
        name: cluster.name.clone(),
        arn: cluster.arn.clone(),
        status: cluster.status.clone(),
        engine: Some(cluster.engine),
        io_optimized: cluster.storage_type.as_deref() == Some("aurora-iopt1"),
        recovery: tag(RECOVERY_TAG),
        fenced_by: tag(FENCED_BY_TAG),
        safety_clone_of: tag(SAFETY_CLONE_OF_TAG),
        keep_until: tag(KEEP_UNTIL_TAG),
        deletion_protection: cluster.deletion_protection,
        instances: instances
            .iter()
            .map(|instance| FoundInstance {
                name: instance.name.clone(),
                class: instance.class.clone(),
                writer: is_writer(&instance.name),
            })
            .collect(),
        capacity: cluster.serverless_v2.and_then(|range| range.min.zip(range.max)),
        own_parameter_group: Some(group).filter(|group| cluster.parameter_group.as_ref() == Some(group)),
    }
}

/// Reads for each name of the recovery's plan if it leads to this cluster.
async fn records<Z: Zones>(
    cluster: &Cluster,
    instances: &[Instance],
    record: Option<&RecoveryRecord>,
    zones: &Z,
) -> Vec<(String, Seen<bool>)> {
    let mut records = Vec::new();
    for planned in record.and_then(|record| record.plan.as_ref()).iter().flat_map(|plan| &plan.dns) {
        let found: AwsResult<Vec<RecordSet>> = zones.record_sets(&planned.hosted_zone_id, &planned.name).await;
        // One value among several is enough: some clients get it.
        let leads = seen(found)
            .map(|sets| sets.iter().flat_map(|set| &set.values).any(|value| cluster.answers_as(value, instances)));
        records.push((planned.name.clone(), leads));
    }
    records
}

#[cfg(test)]
mod tests;
