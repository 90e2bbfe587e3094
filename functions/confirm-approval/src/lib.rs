//! Holds a person's yes against what they were shown and against the world as it is by now: a yes to something else is no
//! yes. It runs before the fence and changes nothing, so there is nothing to undo.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::route53::Zones;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{
    Clock, Difference, ErrorName, Plan, PlannedRecord, Recovery, Report, Restored, StepError, Strategy,
    format_duration, shown_hash,
};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &["rds:DescribeDBClusters", "route53:ListResourceRecordSets", "sts:AssumeRole"];

/// What people were shown may be this old when they say yes, unless the deployment says otherwise.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// The step.
#[derive(Debug)]
pub struct ConfirmApproval<C, Z, K> {
    /// Clusters.
    pub clusters: C,
    /// Hosted zones.
    pub zones: Z,
    /// The time.
    pub clock: K,
    /// How old what people were shown may be.
    pub oldest: SignedDuration,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
    /// The restored cluster; none in place.
    pub restored: Option<Restored>,
    /// What verification found; none in place.
    pub report: Option<Report>,
    /// In what the restored cluster is not like the source.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// When people were first asked: what they were shown is as old as that.
    pub requested_at: Timestamp,
    /// What was decided.
    pub decision: Decision,
}

/// A yes, as whoever completed the task wrote it: by hand it may hold anything, and what is no text is no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Decision {
    /// Who said it.
    pub by: Value,
    /// The hash of what they had seen.
    pub hash: Value,
}

impl Decision {
    fn by(&self) -> &str {
        self.by.as_str().unwrap_or("somebody who left no name")
    }
}

/// What the step answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Whether the yes is one to what was shown.
    pub verdict: Verdict,
    /// Why not; empty where it is.
    pub why: String,
}

/// Whether a yes counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It does.
    Valid,
    /// It was said to something else: people are still asked.
    WrongHash,
}

impl<C: ReadClusters, Z: Zones, K: Clock> Step for ConfirmApproval<C, Z, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let Input { recovery, plan, restored, report, differences, requested_at, decision } = input;
        let shown = shown_hash(&plan, restored.as_ref(), report.as_ref(), &differences);
        if let Some(why) = wrong(&decision, &shown) {
            return Ok(Output { verdict: Verdict::WrongHash, why });
        }
        // The failure is all that is kept of such a yes: it says whose it was.
        let by = decision.by();
        let age = self.clock.now().duration_since(requested_at);
        if age > self.oldest {
            let age = SignedDuration::from_secs(age.as_secs());
            let (age, oldest) = (format_duration(age), format_duration(self.oldest));
            return Err(too_late(
                by,
                format!("what was approved is {age} old, and older than {oldest} it does not count"),
            ));
        }
        self.refuse_changed_cluster(by, &plan).await?;
        self.refuse_changed_new_cluster(by, &recovery, &plan, restored.as_ref()).await?;
        for record in &plan.dns {
            self.refuse_changed_record(by, record).await?;
        }
        Ok(Output { verdict: Verdict::Valid, why: String::new() })
    }
}

impl<C: ReadClusters, Z: Zones, K: Clock> ConfirmApproval<C, Z, K> {
    async fn refuse_changed_cluster(&self, by: &str, plan: &Plan) -> Result<(), StepError> {
        let name = &plan.cluster;
        let Some(now) = self.clusters.cluster(name).await? else {
            return Err(too_late(by, format!("{name} is gone since the plan was made")));
        };
        if now.arn != plan.cluster_arn || now.engine_version != plan.engine_version {
            return Err(too_late(
                by,
                format!(
                    "{name} is another since the plan was made: {} {} then, {} {} now",
                    plan.cluster_arn, plan.engine_version, now.arn, now.engine_version
                ),
            ));
        }
        refuse_unavailable(by, &now)?;
        refuse_out_of_reach(by, &now, plan)
    }

    async fn refuse_changed_new_cluster(
        &self,
        by: &str,
        recovery: &Recovery,
        plan: &Plan,
        restored: Option<&Restored>,
    ) -> Result<(), StepError> {
        let name = &plan.new_cluster;
        let found = self.clusters.cluster(name).await?;
        match (plan.strategy, found) {
            // In place the safety clone is made after the yes, under a name that nobody else may have taken.
            (Strategy::Backtrack, None) => Ok(()),
            (Strategy::Backtrack, Some(other)) if other.tag(RECOVERY_TAG) == Some(recovery.id.as_str()) => Ok(()),
            (Strategy::Backtrack, Some(_)) => {
                Err(too_late(by, format!("there is a cluster {name} by now, where the safety clone was to be kept")))
            }
            (_, None) => Err(too_late(by, format!("the restored cluster {name} is gone since it was verified"))),
            (_, Some(now)) => {
                let same = now.tag(RECOVERY_TAG) == Some(recovery.id.as_str())
                    && restored.is_some_and(|verified| now.endpoint.as_ref() == Some(&verified.writer_endpoint));
                if !same {
                    return Err(too_late(by, format!("the cluster {name} is another than the one that was verified")));
                }
                refuse_unavailable(by, &now)
            }
        }
    }

    async fn refuse_changed_record(&self, by: &str, record: &PlannedRecord) -> Result<(), StepError> {
        let name = &record.name;
        let sets = self.zones.record_sets(&record.hosted_zone_id, name).await?;
        let as_planned = matches!(sets.as_slice(), [set]
            if set.kind == "CNAME" && !set.routed && set.ttl == Some(record.ttl) && set.values == [record.from.as_str()]);
        if as_planned {
            return Ok(());
        }
        let now: Vec<String> = sets.iter().map(|set| format!("{} {}", set.kind, set.values.join(" "))).collect();
        let now = if now.is_empty() { "not there".to_owned() } else { now.join(", ") };
        Err(StepError::new(
            ErrorName::RecordChanged,
            format!(
                "the yes of {by} came too late: {name} was {} (TTL {} s) when people were asked, and is {now} now",
                record.from, record.ttl
            ),
        )
        .changed("nothing was fenced and no record was moved")
        .advice("find out who changed it, and start again"))
    }
}

/// Why a yes is none to what was shown.
fn wrong(decision: &Decision, shown: &str) -> Option<String> {
    let by = decision.by();
    match decision.hash.as_str() {
        Some(hash) if hash == shown => None,
        Some(hash) => Some(format!("{by} approved {hash}, and what people are asked to approve is {shown}")),
        None => Some(format!("{by} approved without saying what: send the hash {shown} with the decision")),
    }
}

fn refuse_unavailable(by: &str, cluster: &Cluster) -> Result<(), StepError> {
    match cluster.status.as_str() {
        "available" | "backing-up" => Ok(()),
        status => Err(too_late(by, format!("{} is {status} by now", cluster.name))),
    }
}

/// In place: what Backtrack reaches back to moves on while people decide, and after the fence it would be an outage for nothing.
fn refuse_out_of_reach(by: &str, cluster: &Cluster, plan: &Plan) -> Result<(), StepError> {
    if plan.strategy != Strategy::Backtrack {
        return Ok(());
    }
    let (name, target) = (&cluster.name, plan.target);
    match cluster.earliest_backtrack {
        Some(earliest) if target >= earliest => Ok(()),
        Some(earliest) => {
            Err(too_late(by, format!("Backtrack of {name} reaches back to {earliest} only, and not to {target}")))
        }
        None => Err(too_late(by, format!("Backtrack of {name} reaches back to no moment any more"))),
    }
}

fn too_late(by: &str, happened: String) -> StepError {
    StepError::new(ErrorName::NotApproved, format!("the yes of {by} came too late: {happened}"))
        .changed("nothing was fenced and no traffic was moved")
        .advice("start again, and decide on what is shown then")
}

/// Reads how old what people were shown may be.
///
/// # Errors
///
/// `Bug` where the template sets something else than seconds.
pub fn age_limit(seconds: Option<&str>) -> Result<SignedDuration, StepError> {
    match seconds.filter(|text| !text.is_empty()) {
        None => Ok(OLDEST),
        Some(text) => text
            .parse()
            .map(SignedDuration::from_secs)
            .map_err(|e| StepError::bug(format!("REWIND_REPORT_MAX_AGE_SECONDS is \"{text}\": {e}"))),
    }
}

#[cfg(test)]
mod tests;
