//! Tags the cluster that is kept for an undo, the fenced source or in place the safety clone, with the time until which it is
//! kept. Writes the output of the execution. It runs when clients are on the rewound data, so a failure undoes nothing. After a
//! failure of the recovery it tags the restored cluster instead, and the safety clone of one that was stopped while it let clients in. `rewind undo` takes the tags off the source again, and
//! tags the restored cluster.

mod keep;
mod marks;

pub use keep::Kept;

mod secret;

use jiff::Timestamp;
use rewind_aws::rds::{ModifyClusters, ReadClusters, TagClusters, Tagged, UntagClusters};
use rewind_core::comparison::Comparison;
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, SAFETY_CLONE_OF_TAG};
use rewind_core::{
    CheckResult, Clock, Difference, ErrorName, Fence, HeldJob, KeepCommands, KeptSafetyClone, KeptSource, Outcome,
    Plan, Recovered, Recovery, Report, Restored, StepError, Strategy, Swap, WritesNotCarriedOver, format_moment,
};
use rewind_lambda::{Step, Undone};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:AddTagsToResource",
    "rds:RemoveTagsFromResource",
    "rds:ModifyDBCluster",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct Finish<C, K> {
    /// Clusters.
    pub clusters: C,
    /// The time.
    pub clock: K,
    /// True if the deployment's fence has security groups. Without them the clean-up does not see who opened a fenced cluster again.
    pub fences_network: bool,
}

/// The payload of the step.
#[derive(Debug, Clone)]
pub enum Input {
    /// The work is done.
    Finish(Box<FinishInput>),
    /// It failed, and the restored cluster is kept; or in place it was stopped at its end, and the safety clone is.
    Keep(Box<KeepInput>),
    /// It is undone: the source is no longer kept, because it has its traffic.
    Undo(Box<UndoInput>),
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let payload = Value::deserialize(deserializer)?;
        // Told apart by these fields alone: an untagged enum would report a missing field as "no variant matches".
        let has = |field: &str| payload.get(field).is_some_and(Value::is_string);
        match (has("direction"), has("what")) {
            (true, _) => serde_json::from_value(payload).map(|input| Self::Undo(Box::new(input))),
            (_, true) => serde_json::from_value(payload).map(|input| Self::Keep(Box::new(input))),
            _ => serde_json::from_value(payload).map(|input| Self::Finish(Box::new(input))),
        }
        .map_err(D::Error::custom)
    }
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// The output of the execution.
    Finished(Box<Outcome>),
    /// The restored cluster or the safety clone, as it is kept.
    Kept(Kept),
}

/// The payload of the undo.
#[derive(Debug, Clone, Deserialize)]
pub struct UndoInput {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
}

/// The payload after a failure.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepInput {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
    /// The word by which this payload is told apart.
    pub what: What,
    /// True if the restored cluster is fenced.
    #[serde(default)]
    pub fenced: bool,
    /// The end of the recovery's lease, by which the cluster was tagged when it was restored.
    #[serde(default)]
    pub lease_until: Option<Timestamp>,
}

/// The work of the step where it is not the end of a recovery that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Keep the restored cluster.
    Keep,
    /// Keep the safety clone of a recovery in place whose data stays rewound.
    KeepSafetyClone,
}

/// The payload when the work is done.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishInput {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
    /// The rewound cluster.
    pub restored: Restored,
    /// The report of verification.
    pub report: Report,
    /// The differences between the restored cluster and the source.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The writes that are not carried over, table by table; none where they were not counted.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// The fence; none where no traffic was to be moved.
    pub fence: Option<Fence>,
    /// The moved records; none where no traffic was to be moved.
    pub swap: Option<Swap>,
    /// The safety clone; none side by side.
    #[serde(default)]
    pub safety_clone: Option<Restored>,
    /// The jobs of the restored cluster that would have acted by themselves.
    #[serde(default)]
    pub held_jobs: Vec<HeldJob>,
    /// The reason why it is not known that clients are on the restored cluster and none on the source; none where they are.
    #[serde(default)]
    pub unconfirmed: Option<String>,
    /// The reason why nobody watched how long the fence stood; none where it was watched.
    #[serde(default)]
    pub unwatched: Option<String>,
    /// The reason why the fence of the source could not be inspected after the cutover; none where it was.
    #[serde(default)]
    pub source_unseen: Option<String>,
    /// The time at which each state ended.
    pub timings: BTreeMap<String, Timestamp>,
}

/// The errors after which the state machine calls the step again.
const AGAIN: [ErrorName; 3] = [ErrorName::Throttled, ErrorName::Unavailable, ErrorName::OutcomeUnknown];

impl<C, K> Step for Finish<C, K>
where
    C: ReadClusters + ModifyClusters + TagClusters + UntagClusters,
    K: Clock,
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        Ok(match input {
            Input::Finish(input) => {
                Output::Finished(Box::new(Outcome::Recovered(Box::new(self.finish(*input).await?))))
            }
            Input::Keep(input) => Output::Kept(match input.what {
                What::Keep => self.keep(*input).await?,
                What::KeepSafetyClone => self.keep_safety_clone(*input).await?,
            }),
            Input::Undo(_) => return Err(StepError::bug("an undo was passed that is none")),
        })
    }

    /// Takes the marks of a kept cluster off the source, which has its traffic again.
    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        match input {
            Input::Undo(input) => self.unmark(&input.recovery.id, &input.plan).await,
            Input::Finish(_) | Input::Keep(_) => Err(StepError::bug("this has no undo")),
        }
    }
}

impl<C, K> Finish<C, K>
where
    C: ReadClusters + ModifyClusters + TagClusters + UntagClusters,
    K: Clock,
{
    async fn finish(&self, input: FinishInput) -> Result<Recovered, StepError> {
        let FinishInput { recovery, plan, restored, report, fence, swap, safety_clone, held_jobs, .. } = input;
        let mut notes = report.notes;
        if plan.strategy == Strategy::Restore {
            notes.extend(self.release(&plan, &restored).await?);
        }
        if plan.strategy == Strategy::Restore && plan.dns.is_empty() {
            notes.push(beside_note(&restored));
        }
        // Before all others: whoever reads the report has to look after it.
        notes.splice(0..0, input.unconfirmed.iter().map(|why| unconfirmed_note(&restored, why)));
        notes.extend(input.unwatched.iter().map(|why| unwatched_note(why)));
        notes.extend(input.source_unseen.iter().map(|why| source_unseen_note(&plan, why)));
        let edited = swap.iter().flat_map(|swap| &swap.edited);
        notes.extend(edited.map(|what| format!("somebody edited a record after it was moved: {what}")));
        let (keep_until, keep) = match &fence {
            None => (None, None),
            Some(fence) => {
                // From the fence, not from now: a second run must tag the same time, or a retry would move what people read.
                let until =
                    fence.fenced_at.checked_add(plan.keep_source()).map_err(|e| StepError::bug(e.to_string()))?;
                let (kept, mark) = match &safety_clone {
                    Some(safety_clone) => (&safety_clone.cluster_arn, SAFETY_CLONE_OF_TAG),
                    None => (&plan.cluster_arn, FENCED_BY_TAG),
                };
                let tags = [(mark.to_owned(), recovery.id.clone()), (KEEP_UNTIL_TAG.to_owned(), until.to_string())];
                let marked = self.clusters.tag(kept, &tags).await?;
                if safety_clone.is_none() {
                    self.tag_instances(&plan, &recovery.id).await?;
                }
                match marked {
                    Tagged::Yes => (Some(until), Some(keep_commands(kept))),
                    // RDS takes 50 tags. The data is back, so nobody is paged for a missing tag, and without it the clean-up
                    // finds nothing to delete.
                    Tagged::Full => {
                        notes.push(no_room_note(kept, &tags));
                        (None, None)
                    }
                }
            }
        };
        notes.extend(self.tag_with_secret(&plan, &restored).await?);
        let timings = seconds_by_state(recovery.started_at, &input.timings, self.clock.now());
        for (step, &seconds) in &timings {
            // The template makes a metric of these lines.
            tracing::info!(recovery = recovery.id, step, seconds, "time of a step");
        }
        let mut differences = restored.differences;
        // The restore and add-instances may have reported the same one.
        differences.extend(input.differences.into_iter().filter(|d| !differences.contains(d)).collect::<Vec<_>>());
        differences.extend(report.differences);
        notes.extend(landing_note(&plan, restored.rewound_to));
        let unconfirmed = input.unconfirmed.or(input.source_unseen);
        let place = match (&safety_clone, &unconfirmed) {
            (Some(safety_clone), _) => format!("kept on {}, the safety clone", safety_clone.cluster),
            (None, None) => format!("kept on {}, which is fenced", plan.cluster),
            (None, Some(_)) => format!("kept on {}, which may not be fenced any more", plan.cluster),
        };
        // In place there is no new cluster, and the safety clone must not be taken for one: it has the data of
        // before.
        let is_in_place = safety_clone.is_some();
        Ok(Recovered {
            recovery_id: recovery.id,
            strategy: plan.strategy,
            rewound_to: restored.rewound_to,
            cluster: plan.cluster.clone(),
            new_cluster: Some(restored.cluster).filter(|_| !is_in_place),
            writer_endpoint: restored.writer_endpoint,
            reader_endpoint: restored.reader_endpoint,
            dns: swap.map(|swap| swap.records).unwrap_or_default(),
            // Without values: the output goes into the table and into events of Step Functions.
            checks: report.checks.into_iter().map(CheckResult::without_values).collect(),
            tables: report.tables,
            estimates: report.estimates,
            notes,
            differences,
            not_carried_over: fence.as_ref().map(|fence| WritesNotCarriedOver {
                from: restored.rewound_to,
                to: fence.fenced_at,
                place,
            }),
            comparison: input.comparison,
            fence,
            safety_clone: safety_clone.map(|safety_clone| KeptSafetyClone {
                delete: delete_commands(&safety_clone.cluster, &plan),
                cluster: safety_clone.cluster,
                writer_endpoint: safety_clone.writer_endpoint,
                taken_at: safety_clone.rewound_to,
                keep_until,
                keep: keep.clone(),
            }),
            held_jobs,
            source: KeptSource {
                cluster: plan.cluster,
                keep_until: keep_until.filter(|_| !is_in_place),
                keep: keep.filter(|_| !is_in_place),
            },
            unconfirmed,
            outage_seconds: outage(recovery.started_at, &input.timings),
            timings,
        })
    }

    /// Tags the source's instances with the recovery.
    // The clean-up may delete only instances with that tag: its IAM policy says so. Those of the safety clone have one since
    // they were made. An instance that cannot be tagged is left to people, so it stops nothing.
    async fn tag_instances(&self, plan: &Plan, id: &str) -> Result<(), StepError> {
        // The plan has names of instances alone, and tags are set by ARN.
        let Some(account) = plan.cluster_arn.split(":cluster:").next() else { return Ok(()) };
        let mark = [(FENCED_BY_TAG.to_owned(), id.to_owned())];
        for instance in &plan.instances {
            let arn = format!("{account}:db:{}", instance.source);
            match self.clusters.tag(&arn, &mark).await {
                // Setting a tag twice does no harm, so what may pass is left to the retry of the state machine.
                Err(error) if AGAIN.contains(&error.name) => return Err(error),
                Err(error) => tracing::warn!(instance = instance.source, %error, "it is not marked as the recovery's"),
                Ok(Tagged::Full) => {
                    tracing::warn!(instance = instance.source, "it has no room for the recovery's mark");
                }
                Ok(Tagged::Yes) => {}
            }
        }
        Ok(())
    }
}

/// Formats the note that the cutover could not be confirmed.
fn unconfirmed_note(restored: &Restored, why: &str) -> String {
    format!(
        "NOT CONFIRMED: the records point at {}, and that clients are there and nowhere else was not seen: {why}; nothing was \
         moved back; next step: connect by each name, look at what is behind it, and see that the source is still fenced",
        restored.cluster
    )
}

/// Formats the note that the restored cluster stays beside the source until people delete it.
// It was handed over, and people may be on it by other names than ours: a time after which it goes is theirs to set.
fn beside_note(restored: &Restored) -> String {
    format!(
        "nothing deletes {} by itself, and AWS bills it until somebody does; next step: when nobody needs it, rewind clusters shows how it is \
         removed",
        restored.cluster
    )
}

/// Formats the note that no page would have come for a fence that stood for too long.
fn unwatched_note(why: &str) -> String {
    format!("nothing watched how long the fence stood, because the watch could not be started: {why}")
}

/// Formats the note that nobody could see whether the source is still fenced.
fn source_unseen_note(plan: &Plan, why: &str) -> String {
    let cluster = &plan.cluster;
    format!(
        "whether {cluster} is still fenced could not be seen after the cutover: {why}; next step: look at its security groups and \
         its sessions"
    )
}

/// Formats the note that a backtrack landed elsewhere than asked for; none where it did not.
// It lands on the nearest consistent time: a person who compares times has to know which.
fn landing_note(plan: &Plan, landed: Timestamp) -> Option<String> {
    (plan.backtrack.is_some() && landed != plan.target).then(|| {
        let [landed, asked] = [landed, plan.target].map(format_moment);
        format!("{landed} is the nearest consistent time to {asked}, which was asked for")
    })
}

/// Formats the note that a resource has no room for the tags.
fn no_room_note(arn: &str, tags: &[(String, String)]) -> String {
    let marks: Vec<String> = tags.iter().map(|(key, value)| format!("Key={key},Value={value}")).collect();
    format!(
        "{arn} has as many tags as RDS takes, and could not be marked as kept: nothing deletes it by itself. Delete it when \
         nobody needs it, or take {} of its tags off and run: aws rds add-tags-to-resource --resource-name {arn} --tags {}",
        marks.len(),
        marks.join(" ")
    )
}

/// Formats the commands that change or remove the tag with the time until which a cluster is kept.
// Without the tag the clean-up does not find the cluster.
fn keep_commands(arn: &str) -> KeepCommands {
    KeepCommands {
        keep_longer: format!(
            "aws rds add-tags-to-resource --resource-name {arn} --tags Key={KEEP_UNTIL_TAG},Value=<a later time, like \
             2027-01-31T00:00:00Z>"
        ),
        keep_forever: format!("aws rds remove-tags-from-resource --resource-name {arn} --tag-keys {KEEP_UNTIL_TAG}"),
    }
}

/// Formats the commands that delete the safety clone.
// It has deletion protection: a person takes that off first, knowingly.
fn delete_commands(safety_clone: &str, plan: &Plan) -> String {
    let mut commands =
        vec![format!("aws rds modify-db-cluster --db-cluster-identifier {safety_clone} --no-deletion-protection")];
    for instance in &plan.instances {
        commands.push(format!("aws rds delete-db-instance --db-instance-identifier {}", instance.name));
    }
    commands.push(format!("aws rds delete-db-cluster --db-cluster-identifier {safety_clone} --skip-final-snapshot"));
    commands.join(" && ")
}

/// Turns the times at which states ended into the seconds spent in each, and in `total`.
// States run one after another, so each took from the end of the one before it to its own end.
fn seconds_by_state(started: Timestamp, ended: &BTreeMap<String, Timestamp>, now: Timestamp) -> BTreeMap<String, f64> {
    let mut in_order: Vec<(&String, &Timestamp)> = ended.iter().collect();
    in_order.sort_by_key(|(_, at)| **at);
    let mut spent = BTreeMap::new();
    let mut before = started;
    for (state, at) in in_order {
        spent.insert(state.clone(), seconds(before, *at));
        before = *at;
    }
    spent.insert("total".to_owned(), seconds(started, now));
    spent
}

/// The states after which clients have a database again: they reach the restored cluster, or the source in place.
const OUTAGE_OVER: [&str; 2] = ["ConfirmCutover", "LiftFence"];

/// The seconds from the beginning of the fence until clients could have a database again; none where nothing was fenced, or
/// the cutover was not confirmed.
fn outage(started: Timestamp, ended: &BTreeMap<String, Timestamp>) -> Option<f64> {
    let fenced = ended.get("FenceSource")?;
    let over = OUTAGE_OVER.iter().find_map(|state| ended.get(*state))?;
    // Sessions are cut off within the state: it began when the one before it ended.
    let begun = ended.values().filter(|at| *at < fenced).max().unwrap_or(&started);
    Some(seconds(*begun, *over))
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    // Whole milliseconds: more digits are noise in a metric and in the table.
    let seconds = to.duration_since(from).as_secs_f64();
    (seconds * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
