//! An RDS in memory for the tests of steps. Like RDS, it inherits nothing on a restore. It records every change, and can lose the
//! call or the answer of a chosen one.

mod instances;
mod limits;

use super::adapter::cluster_of;
use super::{
    Applies, BacktrackClusters, BacktrackSeen, ChangeParameterGroups, Cluster, ClusterChange, CompleteClusters,
    DeleteClusters, DeleteParameterGroups, FindClusters, Instance, ListSnapshots, ListedSnapshot, ModifyClusters,
    Monitoring, NewParameterGroup, Origin, ReadBacktracks, ReadClusters, ReadParameters, ReadSnapshots, RestoreCall,
    RestoreClusters, RetireClusters, Role, Snapshot, TagClusters, Tagged, UntagClusters, came_to_nothing,
    tags::{MOST_TAGS, Tag, too_many},
};
use crate::AwsResult;
use aws_sdk_rds::types::DbCluster;
use jiff::{SignedDuration, Timestamp};
use rewind_core::{Engine, ErrorName, StepError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The way in which a chosen change gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lose {
    /// The call is lost: nothing is changed, and the caller can't know.
    Call,
    /// The answer is lost: the change is made, and the caller can't know.
    Answer,
    /// Nothing is lost: AWS says that it does not make the change.
    Refused,
}

#[derive(Debug, Default)]
struct State {
    clusters: Vec<Cluster>,
    instances: Vec<(String, Instance)>,
    changes: Vec<String>,
    lose: Option<(usize, Lose)>,
    backtracks: Vec<(String, BacktrackSeen)>,
    parameters: Vec<(String, String)>,
    groups: Vec<String>,
    snapshots: Vec<Snapshot>,
    withdrawn: Vec<String>,
    limits: limits::Limits,
    failing_reads: usize,
    foreign: Vec<(String, String)>,
    now: Option<Timestamp>,
}

/// The RDS in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakeRds(Arc<Mutex<State>>);

impl Cluster {
    /// A cluster of `engine` that AWS tells nothing else of.
    pub fn bare(engine: Engine) -> Self {
        cluster_of(DbCluster::builder().build(), engine)
    }
}

impl FakeRds {
    /// An RDS with these clusters and their instances.
    pub fn with(clusters: Vec<Cluster>, instances: Vec<(String, Instance)>) -> Self {
        Self(Arc::new(Mutex::new(State { clusters, instances, ..State::default() })))
    }

    /// Makes the `nth` change from now (0 is the next) go wrong.
    pub fn lose(&self, nth: usize, how: Lose) {
        let mut state = self.state();
        state.lose = Some((state.changes.len() + nth, how));
    }

    /// The changes so far, such as `delete_instance orders-r-1`.
    pub fn changes(&self) -> Vec<String> {
        self.state().changes.clone()
    }

    /// Returns everything that is there, to compare the state before and after.
    pub fn everything(&self) -> (Vec<Cluster>, Vec<(String, Instance)>) {
        let state = self.state();
        (state.clusters.clone(), state.instances.clone())
    }

    /// Returns the cluster `name` as it is now.
    pub fn find(&self, name: &str) -> Option<Cluster> {
        self.state().clusters.iter().find(|cluster| cluster.name == name).cloned()
    }

    /// Changes a cluster as somebody outside the recovery would.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Cluster)) {
        if let Some(cluster) = self.state().clusters.iter_mut().find(|cluster| cluster.name == name) {
            edit(cluster);
        }
    }

    /// Deletes a cluster as somebody outside the recovery would.
    pub fn delete_elsewhere(&self, name: &str) {
        self.state().clusters.retain(|cluster| cluster.name != name);
    }

    /// Changes all instances of a cluster as somebody outside the recovery would.
    pub fn edit_instances(&self, cluster: &str, edit: impl Fn(&mut Instance)) {
        self.state().instances.iter_mut().filter(|(of, _)| of == cluster).for_each(|(_, instance)| edit(instance));
    }

    /// Puts a cluster of an engine that no recovery works on, such as `neptune`, under the name `name`.
    pub fn make_foreign(&self, name: &str, engine: &str) {
        self.state().foreign.push((name.to_owned(), engine.to_owned()));
    }

    /// Withdraws a certificate authority, which new instances then don't get.
    pub fn withdraw_certificate(&self, authority: &str) {
        self.state().withdrawn.push(authority.to_owned());
    }

    /// The time that the next backtrack is requested at, and goes back from.
    pub fn set_now(&self, now: Timestamp) {
        self.state().now = Some(now);
    }

    /// Sets a parameter of every cluster parameter group.
    pub fn set_parameter(&self, name: &str, value: &str) {
        self.state().parameters.push((name.to_owned(), value.to_owned()));
    }

    /// The cluster parameter groups that were created and are still there.
    pub fn groups(&self) -> Vec<String> {
        self.state().groups.clone()
    }

    /// The backtracks so far, of all clusters.
    pub fn all_backtracks(&self) -> Vec<BacktrackSeen> {
        self.state().backtracks.iter().map(|(_, seen)| seen.clone()).collect()
    }

    /// Changes the latest backtrack.
    pub fn edit_backtrack(&self, edit: impl FnOnce(&mut BacktrackSeen)) {
        if let Some((_, seen)) = self.state().backtracks.last_mut() {
            edit(seen);
        }
    }

    /// Ends all backtracks that are under way, in the words of the real service, and makes their clusters available.
    pub fn complete_backtracks(&self) {
        let mut state = self.state();
        let State { clusters, backtracks, .. } = &mut *state;
        for (of, seen) in backtracks.iter_mut().filter(|(_, seen)| seen.status != "failed") {
            "completed".clone_into(&mut seen.status);
            clusters.iter_mut().filter(|c| c.name == *of).for_each(|c| "available".clone_into(&mut c.status));
        }
    }

    /// Adds a snapshot that an earlier call has left.
    pub fn add_snapshot(&self, name: &str, cluster: &str) {
        self.state().snapshots.push(Snapshot {
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            status: "creating".to_owned(),
        });
    }

    /// The snapshots that are there.
    pub fn all_snapshots(&self) -> Vec<Snapshot> {
        self.state().snapshots.clone()
    }

    /// Changes a snapshot.
    pub fn edit_snapshot(&self, name: &str, edit: impl FnOnce(&mut Snapshot)) {
        if let Some(snapshot) = self.state().snapshots.iter_mut().find(|snapshot| snapshot.name == name) {
            edit(snapshot);
        }
    }

    /// Makes the next `count` reads of clusters fail as if RDS did not answer.
    pub fn fail_reads(&self, count: usize) {
        self.state().failing_reads = count;
    }

    /// Refuses to change a cluster that is still being created or came to nothing, as RDS does.
    fn refuse_unfinished(&self, name: &str) -> AwsResult<()> {
        match self.find(name) {
            Some(found) if found.status == "creating" || came_to_nothing(&found.status) => Err(StepError::new(
                ErrorName::ClusterNotReady,
                format!("AWS answered InvalidDBClusterStateFault: {name} is {}", found.status),
            )),
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The test that poisoned the lock has failed already, and its message is the one to read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A change that gets lost is recorded too: tests count the calls that were sent, not those that worked.
    fn change<T>(&self, what: String, make: impl FnOnce(&mut State) -> T) -> AwsResult<T> {
        let mut state = self.state();
        let lost = state.lose.filter(|(at, _)| *at == state.changes.len()).map(|(_, how)| how);
        state.changes.push(what.clone());
        let unknown = || StepError::new(ErrorName::OutcomeUnknown, format!("{what}: no answer came"));
        match lost {
            Some(Lose::Call) => Err(unknown()),
            Some(Lose::Refused) => Err(StepError::new(ErrorName::RewindFailed, format!("{what}: AWS refused it"))),
            Some(Lose::Answer) => {
                make(&mut state);
                Err(unknown())
            }
            None => Ok(make(&mut state)),
        }
    }
}

impl ReadClusters for FakeRds {
    async fn cluster(&self, name: &str) -> AwsResult<Option<Cluster>> {
        let left = self.state().failing_reads;
        if left > 0 {
            self.state().failing_reads = left - 1;
            return Err(StepError::new(ErrorName::Unavailable, format!("rds:DescribeDBClusters of {name}: no answer")));
        }
        let foreign = self.state().foreign.iter().find(|(cluster, _)| cluster == name).cloned();
        if let Some((cluster, engine)) = foreign {
            // The adapter refuses it in the same way, so steps meet the same error here as on AWS.
            return Engine::of_cluster(&cluster, &engine).map(|_| None);
        }
        Ok(self.find(name))
    }

    async fn instances(&self, cluster: &str) -> AwsResult<Vec<Instance>> {
        Ok(self.state().instances.iter().filter(|(of, _)| of == cluster).map(|(_, i)| i.clone()).collect())
    }
}

impl RestoreClusters for FakeRds {
    async fn restore(&self, call: &RestoreCall<'_>) -> AwsResult<bool> {
        refuse_too_many(call.tags)?;
        self.change(format!("restore {}", call.new_cluster), |state| {
            if state.clusters.iter().any(|cluster| cluster.name == call.new_cluster) {
                return false;
            }
            let name = call.new_cluster;
            state.clusters.push(Cluster {
                name: name.to_owned(),
                arn: format!("arn:aws:rds:us-east-1:000000000000:cluster:{name}"),
                // AWS answers at once and works for minutes: a step that takes this for done fails its tests.
                status: "creating".to_owned(),
                engine: call.source.engine,
                engine_version: call.source.engine_version.clone(),
                endpoint: Some(format!("{name}.cluster-x.us-east-1.rds.amazonaws.com")),
                reader_endpoint: Some(format!("{name}.cluster-ro-x.us-east-1.rds.amazonaws.com")),
                tags: call.tags.to_vec(),
                deletion_protection: call.source.deletion_protection,
                security_groups: call.source.security_groups.clone(),
                // Only a clone shares storage with its source; a full copy belongs to no group.
                clone_group: (call.origin == Origin::CloneOfNow).then(|| "clones".to_owned()),
                ..Cluster::bare(call.source.engine)
            });
            true
        })
    }
}

impl ReadBacktracks for FakeRds {
    async fn backtrack(&self, cluster: &str, identifier: &str) -> AwsResult<Option<BacktrackSeen>> {
        Ok(self.backtracks(cluster).await?.into_iter().find(|seen| seen.identifier == identifier))
    }

    async fn backtracks(&self, cluster: &str) -> AwsResult<Vec<BacktrackSeen>> {
        Ok(self.state().backtracks.iter().filter(|(of, _)| of == cluster).map(|(_, seen)| seen.clone()).collect())
    }
}

impl BacktrackClusters for FakeRds {
    async fn start_backtrack(&self, cluster: &str, to: Timestamp, force: bool) -> AwsResult<BacktrackSeen> {
        // AWS refuses a backtrack while binary logging is on, unless it is forced.
        if !force && self.cluster_parameter("", "binlog_format").await?.is_some_and(|format| format != "OFF") {
            return Err(StepError::new(
                ErrorName::RewindFailed,
                "AWS answered InvalidParameterCombination: binary logging",
            ));
        }
        self.change(format!("backtrack {cluster} to {to}"), |state| {
            let seen = BacktrackSeen {
                identifier: format!("backtrack-{}", state.backtracks.len() + 1),
                status: "pending".to_owned(),
                // The nearest consistent time.
                to: to.checked_sub(SignedDuration::from_millis(250)).ok(),
                from: state.now,
                requested: state.now,
            };
            state.backtracks.push((cluster.to_owned(), seen.clone()));
            state
                .clusters
                .iter_mut()
                .filter(|c| c.name == cluster)
                .for_each(|c| "backtracking".clone_into(&mut c.status));
            seen
        })
    }
}

impl ReadParameters for FakeRds {
    async fn cluster_parameter(&self, _: &str, name: &str) -> AwsResult<Option<String>> {
        Ok(self.state().parameters.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone()))
    }
}

impl ChangeParameterGroups for FakeRds {
    async fn create_group(&self, new: &NewParameterGroup<'_>) -> AwsResult<bool> {
        self.change(format!("create_group {} like {}", new.name, new.like), |state| {
            let is_free = !state.groups.iter().any(|group| group == new.name);
            if is_free {
                state.groups.push(new.name.to_owned());
            }
            is_free
        })
    }

    async fn set_parameter(&self, group: &str, name: &str, value: &str, _: Applies) -> AwsResult<()> {
        self.change(format!("set_parameter {name}={value} of {group}"), |_| ())
    }

    async fn reset_parameter(&self, group: &str, name: &str) -> AwsResult<()> {
        self.change(format!("reset_parameter {name} of {group}"), |_| ())
    }
}

impl DeleteParameterGroups for FakeRds {
    async fn delete_group(&self, group: &str) -> AwsResult<bool> {
        // As RDS: a group that a cluster has cannot be deleted.
        if self.state().clusters.iter().any(|cluster| cluster.parameter_group.as_deref() == Some(group)) {
            return Ok(false);
        }
        self.change(format!("delete_group {group}"), |state| state.groups.retain(|there| there != group))?;
        Ok(true)
    }
}

impl ModifyClusters for FakeRds {
    async fn modify(&self, cluster: &str, change: &ClusterChange) -> AwsResult<()> {
        self.refuse_unfinished(cluster)?;
        self.change(format!("modify {cluster}"), |state| {
            apply(state, cluster, change);
            if change.can_wait() {
                start_pending(state, cluster);
            }
        })
    }
}

impl CompleteClusters for FakeRds {
    async fn complete(&self, cluster: &str, change: &ClusterChange, monitoring: Option<&Monitoring>) -> AwsResult<()> {
        self.refuse_unfinished(cluster)?;
        self.change(format!("complete {cluster}"), |state| {
            apply(state, cluster, change);
            start_pending(state, cluster);
            if let (Some(found), Some(monitoring)) = (state.clusters.iter_mut().find(|c| c.name == cluster), monitoring)
            {
                found.monitoring.clone_from(monitoring);
            }
        })
    }

    async fn add_role(&self, cluster: &str, role: &Role) -> AwsResult<()> {
        self.change(format!("add_role {} to {cluster}", role.arn), |state| {
            if let Some(found) = state.clusters.iter_mut().find(|c| c.name == cluster)
                && !found.roles.contains(role)
            {
                found.roles.push(role.clone());
            }
        })
    }

    async fn enable_data_api(&self, cluster_arn: &str) -> AwsResult<()> {
        self.change(format!("enable_data_api {cluster_arn}"), |state| {
            state.clusters.iter_mut().filter(|c| c.arn == cluster_arn).for_each(|c| c.data_api = true);
        })
    }
}

impl DeleteClusters for FakeRds {
    async fn delete_cluster(&self, cluster: &str) -> AwsResult<()> {
        self.change(format!("delete_cluster {cluster}"), |state| state.clusters.retain(|c| c.name != cluster))
    }
}

impl FindClusters for FakeRds {
    async fn tagged(&self, key: &str) -> AwsResult<Vec<Cluster>> {
        Ok(self.state().clusters.iter().filter(|cluster| cluster.tag(key).is_some()).cloned().collect())
    }
}

impl ListSnapshots for FakeRds {
    async fn snapshots(&self) -> AwsResult<Vec<ListedSnapshot>> {
        let listed =
            |snapshot: &Snapshot| ListedSnapshot { snapshot: snapshot.clone(), created: None, tags: Vec::new() };
        Ok(self.state().snapshots.iter().map(listed).collect())
    }
}

impl RetireClusters for FakeRds {
    async fn retire_cluster(&self, cluster: &str, snapshot: &str) -> AwsResult<()> {
        // As strict as RDS, so that a step that deletes in the wrong order fails here already.
        let refused = |why: &str| Err(StepError::new(ErrorName::RewindFailed, format!("AWS answered {why}")));
        if self.find(cluster).is_some_and(|found| found.deletion_protection) {
            return refused("InvalidParameterCombination: the cluster is protected");
        }
        if !self.instances(cluster).await?.is_empty() {
            return refused("InvalidDBClusterStateFault: the cluster has instances");
        }
        if self.state().snapshots.iter().any(|there| there.name == snapshot) {
            return refused("DBClusterSnapshotAlreadyExistsFault");
        }
        self.change(format!("retire_cluster {cluster} into {snapshot}"), |state| {
            state.clusters.retain(|c| c.name != cluster);
            state.snapshots.push(Snapshot {
                name: snapshot.to_owned(),
                cluster: cluster.to_owned(),
                status: "available".to_owned(),
            });
        })
    }
}

impl ReadSnapshots for FakeRds {
    async fn snapshot(&self, name: &str) -> AwsResult<Option<Snapshot>> {
        Ok(self.state().snapshots.iter().find(|snapshot| snapshot.name == name).cloned())
    }
}

impl TagClusters for FakeRds {
    async fn tag(&self, arn: &str, tags: &[(String, String)]) -> AwsResult<Tagged> {
        // An instance can vanish between a read and a call, which RDS answers with an error.
        if let Some((_, name)) = arn.split_once(":db:")
            && !self.state().instances.iter().any(|(_, instance)| instance.name == name)
        {
            return Err(StepError::new(ErrorName::RewindFailed, format!("AWS answered DBInstanceNotFound: {name}")));
        }
        let keys: Vec<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
        if self.state().clusters.iter().any(|cluster| cluster.arn == arn && too_many(&cluster.tags, &keys) > 0) {
            return Ok(Tagged::Full);
        }
        self.change(format!("tag {arn}"), |state| {
            for cluster in state.clusters.iter_mut().filter(|cluster| cluster.arn == arn) {
                cluster.tags.retain(|(key, _)| !tags.iter().any(|(new, _)| new == key));
                cluster.tags.extend_from_slice(tags);
            }
            for (_, instance) in state.instances.iter_mut().filter(|(_, instance)| instance.arn == arn) {
                instance.tags.retain(|(key, _)| !tags.iter().any(|(new, _)| new == key));
                instance.tags.extend_from_slice(tags);
            }
            Tagged::Yes
        })
    }
}

impl UntagClusters for FakeRds {
    async fn untag(&self, arn: &str, keys: &[&str]) -> AwsResult<()> {
        self.change(format!("untag {arn}"), |state| {
            for cluster in state.clusters.iter_mut().filter(|cluster| cluster.arn == arn) {
                cluster.tags.retain(|(key, _)| !keys.contains(&key.as_str()));
            }
            for (_, instance) in state.instances.iter_mut().filter(|(_, instance)| instance.arn == arn) {
                instance.tags.retain(|(key, _)| !keys.contains(&key.as_str()));
            }
        })
    }
}

fn refuse_too_many(tags: &[Tag]) -> AwsResult<()> {
    let refused =
        || StepError::new(ErrorName::RewindFailed, format!("AWS answered InvalidParameterValue: {} tags", tags.len()));
    if tags.len() > MOST_TAGS { Err(refused()) } else { Ok(()) }
}

fn apply(state: &mut State, cluster: &str, change: &ClusterChange) {
    let Some(found) = state.clusters.iter_mut().find(|c| c.name == cluster) else { return };
    // A setting that the call does not name stays as it is, as with ModifyDBCluster.
    if let Some(groups) = &change.security_groups {
        found.security_groups.clone_from(groups);
    }
    found.deletion_protection = change.deletion_protection.unwrap_or(found.deletion_protection);
    found.maintenance_window = change.maintenance_window.clone().or(found.maintenance_window.take());
    found.backup_window = change.backup_window.clone().or(found.backup_window.take());
    found.backup_retention = change.backup_retention.or(found.backup_retention);
    found.auto_minor_version_upgrade = change.auto_minor_version_upgrade.or(found.auto_minor_version_upgrade);
    found.backtrack_window = change.backtrack_window.or(found.backtrack_window);
    if let Some(group) = &change.parameter_group
        && found.parameter_group.replace(group.clone()).as_ref() != Some(group)
    {
        found.pending_reboot = found.members.iter().map(|member| member.instance.clone()).collect();
    }
}

/// Starts what waits, as RDS does at the first call that is to be applied immediately, whatever that one changes.
fn start_pending(state: &mut State, cluster: &str) {
    let Some(found) = state.clusters.iter_mut().find(|c| c.name == cluster) else { return };
    for upgrade in found.pending.drain(..).filter_map(|what| what.strip_prefix("engine version ").map(str::to_owned)) {
        found.engine_version = upgrade;
    }
}
