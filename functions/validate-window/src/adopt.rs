//! Decides if a recovery may adopt the restored cluster of an earlier one: the same source and the same target, restored and not
//! used since. It only reads.

use crate::plan_text;
use crate::refusal::invalid;
use rewind_aws::rds::{Cluster, Instance, ReadClusters, came_to_nothing, is_foreign};
use rewind_aws::route53::Zones;
use rewind_core::names::{
    FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG, SAFETY_CLONE_OF_TAG, SOURCE_RESOURCE_ID_TAG, TARGET_TAG, is_of_event,
};
use rewind_core::{
    Adopted, CleanUpRecord, ClusterFacts, ErrorName, Moment, Plan, PlannedInstance, PlannedRecord, StepError, Strategy,
    StrategyChoice, Target, Window, kept_after_all,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The number of ids that the recovery tag of an adopted cluster is compared with.
// Each is of a resume that was stopped before it took the cluster over: nobody comes near it.
const OWNERS_MAX: usize = 50;

/// The record of the recovery to resume, as the state machine read it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// The id that the request names.
    pub id: String,
    /// The state in the record; absent where there is no record.
    pub state: Option<String>,
    /// The status of its execution, where the record does not show that it ended.
    pub status: Option<String>,
    /// The parts of its plan; absent where it ended before it had one.
    pub plan: Option<ResumedPlan>,
    /// True if the record holds the request.
    pub has_request: bool,
    /// The fence of the source.
    pub fence: FenceState,
    /// The fence of the restored cluster, which is raised before traffic moves back.
    pub restored_fence: FenceState,
    /// True if the recovery noted that it sent no record to be moved. False of one that sent some, and of an earlier version's.
    pub none_sent: bool,
    /// The fields of the request that an adopted cluster settles, as the person wrote them.
    pub asked: Map<String, Value>,
    /// True if the request has checks of its own, and does not take over those of the earlier one. Read from the input of the execution, and
    /// not from the payload.
    #[serde(skip)]
    pub has_own_checks: bool,
    /// The deletions that this recovery, and those whose restored cluster it adopted, have noted. Read from their records under the lease
    /// of the source, and not from the payload, which is older.
    #[serde(skip)]
    pub deletions: Vec<CleanUpRecord>,
}

/// A fence by its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceState {
    /// It was never begun.
    None,
    /// It may be up.
    Up,
    /// It was lifted completely.
    Lifted,
}

/// The parts of the earlier plan that the adoption rests on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumedPlan {
    /// The source.
    pub cluster: String,
    /// The restored cluster.
    pub new_cluster: String,
    /// The target.
    pub target: jiff::Timestamp,
    /// True if the restore took the latest restorable time of its start.
    pub use_latest: bool,
    /// The strategy.
    pub strategy: Strategy,
    /// The records that it was to move.
    pub dns: Vec<PlannedRecord>,
    /// The recovery that it resumed itself.
    pub adopted: Option<Adopted>,
}

impl ResumedPlan {
    /// The ids besides its own that the recovery tag of its restored cluster may hold.
    pub(crate) fn earlier_owners(&self) -> impl Iterator<Item = String> {
        self.adopted.iter().flat_map(|adopted| adopted.owners.iter().cloned())
    }
}

impl From<&Plan> for ResumedPlan {
    fn from(plan: &Plan) -> Self {
        Self {
            cluster: plan.cluster.clone(),
            new_cluster: plan.new_cluster.clone(),
            target: plan.target,
            use_latest: plan.use_latest,
            strategy: plan.strategy,
            dns: plan.dns.clone(),
            adopted: plan.adopted.clone(),
        }
    }
}

/// A restored cluster that can be adopted.
#[derive(Debug)]
pub(crate) struct Adoption {
    resumed: Resumed,
    cluster: Cluster,
    target: jiff::Timestamp,
    owners: Vec<String>,
}

impl Resumed {
    /// Refuses a recovery that left nothing to adopt, by its record alone.
    pub(crate) fn refuse_record(&self) -> Result<(), StepError> {
        let id = &self.id;
        let refuse = |why: String| Err(invalid(format!("`resume`: {why}")));
        let start_anew = |why: String| refuse(why).map_err(|refused| refused.advice(START_ANEW));
        let Some(state) = &self.state else {
            return refuse(format!("there is no recovery {id} (a dry run leaves no record)")).map_err(|refused| {
                refused
                    .advice("give the id of a recovery that ended, as `rewind list` shows it; mind Region and account")
            });
        };
        let is_open = matches!(state.as_str(), "Running" | "AwaitingApproval");
        match self.status.as_deref() {
            Some("RUNNING") => {
                // A rejection would delete the cluster that is to be adopted, and a stop pages.
                let cancel = format!(", or end it with rewind cancel {id}, which keeps its restored cluster");
                let restores = self.plan.as_ref().is_some_and(|plan| plan.strategy == Strategy::Restore);
                return Err(StepError::new(ErrorName::LeaseHeld, format!("`resume`: {id} is still running"))
                    .changed("nothing was changed")
                    .advice(format!("let it end{}; then resume it", if restores { &cancel } else { "" })));
            }
            // Two recoveries on one cluster are worse than one that is resumed later.
            None if is_open => {
                let unknown =
                    format!("`resume`: the record of {id} has no end, and Step Functions did not answer if it runs");
                return Err(StepError::new(ErrorName::LeaseHeld, unknown).changed("nothing was changed").advice(
                    "see that its execution is over (aws stepfunctions describe-execution), and resume it again",
                ));
            }
            _ => {}
        }
        let Some(plan) = &self.plan else {
            return start_anew(format!("{id} ended before it had a plan, so it restored nothing"));
        };
        let (cluster, restored) = (&plan.cluster, &plan.new_cluster);
        if plan.strategy == Strategy::Backtrack {
            return start_anew(format!("{id} was to rewind {cluster} in place, so there is no restored cluster"));
        }
        if state == "Recovered" && plan.dns.is_empty() {
            return start_anew(format!(
                "{id} is {state}: {restored} was handed over beside {cluster}, and may have been written to since"
            ));
        }
        if matches!(state.as_str(), "Recovered" | "Undone") {
            return start_anew(format!(
                "{id} is {state}: {restored} has had the traffic, and is no state of then any more"
            ));
        }
        self.refuse_deletion(restored)?;
        self.refuse_fence(state, cluster, restored)
    }

    /// Refuses a restored cluster whose deletion has begun: the clean-up leaves the lease of the source free meanwhile.
    fn refuse_deletion(&self, restored: &str) -> Result<(), StepError> {
        let Some(begun) = self.deletions.iter().find(|deletion| deletion.cluster == restored) else { return Ok(()) };
        Err(invalid(format!(
            "`resume`: the time until which {restored} was kept is over, and since {} it is being deleted, into the snapshot {}",
            begun.begun_at, begun.snapshot
        ))
        .advice(format!("{START_ANEW}; or, {}, and then it can be resumed", kept_after_all(restored))))
    }

    /// Refuses a recovery whose source may be fenced, or whose restored cluster clients may have written to or may write to unseen.
    fn refuse_fence(&self, state: &str, cluster: &str, restored: &str) -> Result<(), StepError> {
        let id = &self.id;
        let refuse = |why: String, advice: String| Err(invalid(format!("`resume`: {why}")).advice(advice));
        let in_order = format!("put it in order first, by docs/runbook.md#an-execution-was-stopped; then {START_ANEW}");
        let compare = format!("compare {restored} with {cluster} and copy what is missed, or {START_ANEW}");
        // A recovery ends so only where it has seen that nobody wrote to the restored cluster, and has lifted the source's fence.
        if matches!(state, "NothingChanged" | "RolledBack") {
            return match self.restored_fence {
                FenceState::None | FenceState::Lifted => Ok(()),
                FenceState::Up => refuse(
                    format!(
                        "{}; nobody had written to it, and it is fenced since, because a client that remembers its address would \
                         write there unseen once it is open",
                        match state {
                            "RolledBack" => format!("records led to {restored} until {id} moved them back"),
                            _ => format!("records may have led to {restored} before {id} was undone"),
                        }
                    ),
                    format!(
                        "{START_ANEW}; or see that no client remembers {restored}, lift its fence by \
                         docs/runbook.md#rolledback, and resume again"
                    ),
                ),
            };
        }
        match (self.fence, self.restored_fence) {
            (_, FenceState::Up | FenceState::Lifted) => {
                refuse(format!("traffic was on {restored}, so clients may have written to it"), compare)
            }
            (FenceState::Up, FenceState::None) => refuse(
                format!("{id} stopped after it had begun to fence {cluster}, which may be fenced still"),
                in_order,
            ),
            // Whoever lifted the fence: clients have had no other cluster.
            (FenceState::Lifted, FenceState::None) if !self.none_sent => refuse(
                format!("{id} had sent the records to be moved to {restored} before the fence of {cluster} was lifted"),
                compare,
            ),
            (FenceState::Lifted | FenceState::None, FenceState::None) => Ok(()),
        }
    }

    /// Refuses a field that asks for something else than the adopted cluster is.
    fn refuse_other(&self, plan: &ResumedPlan, target: jiff::Timestamp) -> Result<(), StepError> {
        let settled = [
            ("cluster", plan.cluster.clone()),
            ("newCluster", plan.new_cluster.clone()),
            ("strategy", "restore".to_owned()),
            ("to", target.to_string()),
        ];
        let mut wrong = Vec::new();
        for (field, settled) in settled {
            let Some(asked) = self.asked.get(field).filter(|asked| !asked.is_null()) else { continue };
            let is_same = asked.as_str().is_some_and(|text| match field {
                // A relative time was settled by the earlier recovery, and counts from another moment now.
                "to" => Target::parse(text).is_ok_and(|asked| [plan.target, target].map(Target::At).contains(&asked)),
                "strategy" => ["auto", "restore"].contains(&text),
                _ => text.trim().eq_ignore_ascii_case(&settled),
            });
            if !is_same {
                wrong.push(format!("`{field}` is {asked}, and that of {} is \"{settled}\"", self.id));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(invalid(wrong.join("; ")).advice(format!("leave it out to adopt {}, or {START_ANEW}", plan.new_cluster)))
    }
}

/// The advice where nothing can be adopted.
const START_ANEW: &str = "start a recovery without `resume`, which restores a cluster of its own";

impl Adoption {
    /// The strategy of a recovery that restores nothing.
    pub(crate) fn strategy(&self, facts: &ClusterFacts) -> StrategyChoice {
        let at = self.target;
        let reason = format!("restore: adopts {} of {}, which is restored already", self.cluster.name, self.resumed.id);
        StrategyChoice {
            strategy: Strategy::Restore,
            moment: Moment { at, use_latest: false, ahead_of_window: None },
            window: facts.restorable.unwrap_or(Window { earliest: at, latest: at }),
            reasons: vec![reason],
        }
    }

    /// Plans the present writer as the writer, which a failover of the source since then would make another one.
    pub(crate) fn keep_writer(&self, instances: &mut [PlannedInstance]) {
        let writer = self.cluster.members.iter().find(|member| member.writer).map(|member| member.instance.as_str());
        if instances.iter().any(|instance| Some(instance.name.as_str()) == writer) {
            instances.iter_mut().for_each(|instance| instance.writer = Some(instance.name.as_str()) == writer);
            instances.sort_by_key(|instance| !instance.writer);
        }
    }

    /// The adopted recovery, for the plan.
    pub(crate) fn adopted(&self) -> Adopted {
        let keep_until = self.cluster.tag(KEEP_UNTIL_TAG).and_then(|until| until.parse().ok());
        let id = self.resumed.id.clone();
        let before = self.resumed.plan.as_ref().and_then(|plan| plan.adopted.as_ref());
        let of_event = is_of_event(&id) || before.is_some_and(|adopted| adopted.checks_of_event);
        let checks_of_event = of_event && !self.resumed.has_own_checks;
        Adopted { recovery: id, owners: self.owners.clone(), keep_until, checks_of_event }
    }

    /// Facts about the adoption that a person should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let (cluster, id) = (&self.cluster.name, &self.resumed.id);
        let mut warnings = vec![format!("adopts {cluster} of {id}, with its data as of {}", self.target)];
        if self.cluster.status == "creating" {
            warnings.push(format!("{cluster} is still being restored: that is waited for"));
        }
        warnings.extend(plan_text::pending(cluster, &self.cluster.pending));
        if !self.resumed.has_request {
            warnings.push(format!(
                "the record of {id} does not hold its request: checks, records and all else are those of this one alone"
            ));
        }
        warnings
    }
}

/// Decides if the restored cluster of the earlier recovery can be adopted for `source`. The deployment's fence has the security
/// groups `fence_groups`.
pub(crate) async fn adoption<C: ReadClusters, Z: Zones>(
    (clusters, zones, fence_groups): (&C, &Z, &[String]),
    resumed: &Resumed,
    source: &Cluster,
) -> Result<Adoption, StepError> {
    let Some(plan) = &resumed.plan else { return Err(StepError::bug("a record without a plan was not refused")) };
    let cluster = kept_cluster(clusters, resumed, plan).await?;
    let owners = owners(resumed, plan);
    refuse_foreign(resumed, plan, &cluster, source, &owners)?;
    let target = target_of(plan, &cluster)?;
    resumed.refuse_other(plan, target)?;
    let instances = clusters.instances(&cluster.name).await?;
    let use_of_it = match use_by_aws(&cluster, &instances, &owners, fence_groups) {
        None => use_by_record(zones, plan, &cluster, &instances).await?,
        found => found,
    };
    if let Some(why) = use_of_it {
        let name = &cluster.name;
        return Err(invalid(format!("`resume`: {name} is in use: {why}"))
            .advice(format!("end that first if nobody has written to {name}; or {START_ANEW}")));
    }
    refuse_status(&cluster)?;
    Ok(Adoption { resumed: resumed.clone(), cluster, target, owners })
}

async fn kept_cluster<C: ReadClusters>(
    clusters: &C,
    resumed: &Resumed,
    plan: &ResumedPlan,
) -> Result<Cluster, StepError> {
    let found = match clusters.cluster(&plan.new_cluster).await {
        Err(error) if is_foreign(&error) => None,
        found => found?,
    };
    found.filter(|found| found.status != "deleting").ok_or_else(|| {
        let (name, id) = (&plan.new_cluster, &resumed.id);
        invalid(format!(
            "`resume`: {name}, the restored cluster of {id}, is gone or being deleted: a person's no deletes it, and so does the \
             clean-up when its time is over"
        ))
        .advice(START_ANEW)
    })
}

/// Finds a use of the cluster that RDS shows. Sessions cannot be seen from here, outside the VPC.
fn use_by_aws(cluster: &Cluster, instances: &[Instance], owners: &[String], fence_groups: &[String]) -> Option<String> {
    if let Some(by) = cluster.tag(FENCED_BY_TAG) {
        return Some(format!("{by} fenced it, so it has had traffic"));
    }
    if !fence_groups.is_empty() && cluster.has_groups(fence_groups) {
        return Some("it has the security groups of the fence, so it has had traffic".to_owned());
    }
    let is_theirs =
        |instance: &&Instance| instance.tags.iter().any(|(key, value)| key == RECOVERY_TAG && owners.contains(value));
    let added = instances.iter().find(|instance| !is_theirs(instance))?;
    Some(format!("somebody added the instance {}", added.name))
}

/// Finds a record of the earlier plan that leads to the cluster, also one that the new request does not name.
async fn use_by_record<Z: Zones>(
    zones: &Z,
    plan: &ResumedPlan,
    cluster: &Cluster,
    instances: &[Instance],
) -> Result<Option<String>, StepError> {
    for record in &plan.dns {
        let sets = zones.record_sets(&record.hosted_zone_id, &record.name).await?;
        let values = sets.iter().flat_map(|set| &set.values);
        let mut targets = values.map(|value| value.trim_end_matches('.').to_ascii_lowercase());
        if let Some(target) = targets.find(|target| cluster.answers_as(target, instances)) {
            return Ok(Some(format!("{} leads to {target}", record.name)));
        }
    }
    Ok(None)
}

/// The ids that the cluster's recovery tag may hold.
fn owners(resumed: &Resumed, plan: &ResumedPlan) -> Vec<String> {
    std::iter::once(resumed.id.clone()).chain(plan.earlier_owners()).take(OWNERS_MAX).collect()
}

/// Refuses a cluster that is not what the earlier recovery restored, or not of this source.
fn refuse_foreign(
    resumed: &Resumed,
    plan: &ResumedPlan,
    cluster: &Cluster,
    source: &Cluster,
    owners: &[String],
) -> Result<(), StepError> {
    let (name, id) = (&cluster.name, &resumed.id);
    match cluster.tag(RECOVERY_TAG) {
        Some(owner) if owners.iter().any(|id| id == owner) => {}
        Some(owner) => {
            return Err(invalid(format!("`resume`: {name} was adopted by {owner} since {id} ended"))
                .advice(format!("resume {owner}, or {START_ANEW}")));
        }
        None => {
            return Err(
                invalid(format!("`resume`: there is a cluster {name}, and no recovery restored it")).advice(START_ANEW)
            );
        }
    }
    if cluster.tag(SAFETY_CLONE_OF_TAG).is_some() {
        return Err(invalid(format!("`resume`: {name} is a safety clone, with the data of before a backtrack"))
            .advice(START_ANEW));
    }
    match cluster.tag(SOURCE_RESOURCE_ID_TAG) {
        Some(of) if of == source.resource_id => Ok(()),
        // The same name and ARN, and other data: a cutover would lead clients from one application's state to another's.
        Some(of) => Err(invalid(format!(
            "`resume`: {name} was restored from {} with the resource id {of}, and {} has {} now: it was deleted and created anew",
            plan.cluster, source.name, source.resource_id
        ))
        .advice(START_ANEW)),
        None => Err(invalid(format!(
            "`resume`: {name} does not tell which cluster it was restored from (tag {SOURCE_RESOURCE_ID_TAG})"
        ))
        .advice(START_ANEW)),
    }
}

/// The moment of the cluster's data, by its tag, which has to be the target of the plan.
fn target_of(plan: &ResumedPlan, cluster: &Cluster) -> Result<jiff::Timestamp, StepError> {
    let tag = cluster.tag(TARGET_TAG).unwrap_or("nothing");
    match tag.parse::<jiff::Timestamp>() {
        // With useLatest the plan has the latest time of planning, and the tag that of the restore.
        Ok(at) if plan.use_latest || at == plan.target => Ok(at),
        _ => Err(invalid(format!(
            "`resume`: {} bears the target {tag}, and the plan had {}: its data may be of another moment",
            cluster.name, plan.target
        ))
        .advice(START_ANEW)),
    }
}

fn refuse_status(cluster: &Cluster) -> Result<(), StepError> {
    let (name, status) = (&cluster.name, &cluster.status);
    match status.as_str() {
        // A recovery that was stopped while AWS restored is gone on with: the wait for it is a step of its own.
        "available" | "backing-up" | "creating" => Ok(()),
        "stopped" | "stopping" => Err(invalid(format!("`resume`: {name} is {status}"))
            .advice(format!("start it (aws rds start-db-cluster --db-cluster-identifier {name}), and resume again"))),
        gone if gone == "inaccessible-encryption-credentials" || came_to_nothing(gone) => {
            Err(invalid(format!("`resume`: {name} is {status}")).advice(START_ANEW))
        }
        passing => Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is {passing}"))
            .changed("nothing was changed")
            .advice("it is tried again until the cluster is available")),
    }
}

#[cfg(test)]
mod tests;
