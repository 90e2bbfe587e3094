//! Confirms an approval: it is valid only for the proposal that was shown, and only while cluster, restored cluster and
//! records are unchanged, and only if it is that of another person than whoever started the recovery. It runs before the fence and changes nothing, so there is nothing to undo.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::chat::{ActKind, ReadActs};
use rewind_aws::rds::{Cluster, ReadClusters, came_to_nothing, is_foreign};
use rewind_aws::route53::Zones;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{
    Agreeing, Agreement, Clock, ErrorName, Identity, Plan, PlannedRecord, Proposal, RecordedDecision, Recovery, Report,
    ResourceIds, Restored, StepError, Strategy, VerifyCallers, approve_act, format_duration,
};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "route53:ListResourceRecordSets",
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
    "dynamodb:GetItem",
    "kms:VerifyMac",
];

/// The age of a proposal up to which it may be approved, unless the deployment says otherwise.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The step.
#[derive(Debug)]
pub struct ConfirmApproval<C, Z, K, A, V> {
    /// Clusters.
    pub clusters: C,
    /// Hosted zones.
    pub zones: Z,
    /// The time.
    pub clock: K,
    /// The approvals that people gave in chat.
    pub acts: A,
    /// The callers of AWS.
    pub callers: V,
    /// The rule that two people agree.
    pub agreeing: Agreeing,
    /// The age of a proposal up to which it may be approved.
    pub age_max: SignedDuration,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery that asked.
    pub recovery: Recovery,
    /// The proposal that people were shown.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// The time at which people were first asked: the proposal is as old as that.
    pub requested_at: Timestamp,
    /// The approval, as it was sent.
    pub decision: RecordedDecision,
    /// Whoever approved the same proposal before, where that was not enough.
    #[serde(default)]
    pub approvers: Vec<Identity>,
}

/// The output of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The verdict on the approval.
    pub verdict: Verdict,
    /// The reason why it is not valid; empty where it is.
    pub why: String,
    /// Whoever has approved the proposal.
    pub approvers: Vec<Identity>,
}

/// The verdict on an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is for the proposal that was shown.
    Valid,
    /// It is for another proposal: people are still asked.
    WrongHash,
    /// It may be that of whoever started the recovery: another person is still asked.
    SamePerson,
    /// It counts, and one more person is asked.
    OneMore,
}

impl<C: ReadClusters, Z: Zones, K: Clock, A: ReadActs, V: VerifyCallers> Step for ConfirmApproval<C, Z, K, A, V> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let Input { recovery, proposal, requested_at, decision, mut approvers } = input;
        // First, because it ends nothing: people are still asked, and somebody may yet send the right hash.
        let hash = proposal.hash();
        if let Some(why) = why_another_proposal(&decision, &hash) {
            return Ok(Output { verdict: Verdict::WrongHash, why, approvers });
        }
        let approver = self.identity(&decision, &recovery.id, &hash).await?;
        if !approvers.contains(&approver) {
            approvers.push(approver);
        }
        // Here, and not where decisions come from: there are more ways to send one than people to watch them.
        match self.agreeing.agreement(&proposal.plan.started_by, &approvers) {
            Agreement::Enough => {}
            Agreement::SamePerson(why) => return Ok(Output { verdict: Verdict::SamePerson, why, approvers }),
            Agreement::OneMore(why) => return Ok(Output { verdict: Verdict::OneMore, why, approvers }),
        }
        let Proposal { plan, restored, report, .. } = proposal;
        // The table keeps no approval that came too late, so the error has to say whose it was.
        let by = decision.decided_by();
        let age = self.clock.now().duration_since(requested_at);
        if age > self.age_max {
            let age = SignedDuration::from_secs(age.as_secs());
            let (age, age_max) = (format_duration(age), format_duration(self.age_max));
            return Err(too_late(
                by,
                format!(
                    "what was approved is {age} old, and an approval of something older than {age_max} is not valid"
                ),
            ));
        }
        self.refuse_changed_cluster(by, &plan).await?;
        let verified = Verified { restored: restored.as_ref(), report: report.as_ref() };
        self.refuse_changed_new_cluster(by, &recovery, &plan, verified).await?;
        for record in &plan.dns {
            self.refuse_changed_record(by, record).await?;
        }
        Ok(Output { verdict: Verdict::Valid, why: String::new(), approvers })
    }
}

/// The restored cluster as it was shown to people; neither is there in place.
struct Verified<'a> {
    restored: Option<&'a Restored>,
    report: Option<&'a Report>,
}

impl<C: ReadClusters, Z: Zones, K: Clock, A: ReadActs, V: VerifyCallers> ConfirmApproval<C, Z, K, A, V> {
    /// Verifies who approved. A claim without a proof is nobody's.
    async fn identity(&self, decision: &RecordedDecision, id: &str, hash: &str) -> Result<Identity, StepError> {
        if !self.agreeing.is_on() {
            return Ok(Identity::Unknown);
        }
        if let Some(proof) = &decision.proof
            && let Some(arn) = self.callers.caller(proof, &approve_act(id, hash)).await?
        {
            return Ok(Identity::Aws { arn });
        }
        let Some(claimed @ Identity::Slack { .. }) = &decision.identity else { return Ok(Identity::Unknown) };
        // Whoever answers the task may write any name. That person approved it in chat, or did not.
        let acts = self.acts.acts(ActKind::Approved, id).await?;
        let approved = acts.iter().any(|act| act.of == hash && act.identity() == *claimed);
        Ok(if approved { claimed.clone() } else { Identity::Unknown })
    }

    async fn refuse_changed_cluster(&self, by: &str, plan: &Plan) -> Result<(), StepError> {
        let name = &plan.cluster;
        let Some(now) = self.clusters.cluster(name).await? else {
            return Err(too_late(by, format!("{name} was deleted after the plan was made")));
        };
        // An upgrade counts as well: the checks ran against the other engine version.
        if now.arn != plan.cluster_arn || now.engine_version != plan.engine_version {
            return Err(too_late(
                by,
                format!(
                    "{name} was replaced after the plan was made: {} {} then, {} {} now",
                    plan.cluster_arn, plan.engine_version, now.arn, now.engine_version
                ),
            ));
        }
        refuse_unavailable(by, &now)?;
        refuse_out_of_reach(by, &now, plan)?;
        self.refuse_replaced(by, &now, "the plan was made", &plan.resource_ids).await
    }

    /// Refuses a cluster that is another one since then, or has another instance, under the same name.
    // Whoever deletes a cluster and makes it anew keeps name, ARN, endpoint and even tags: only RDS's own ids tell.
    async fn refuse_replaced(&self, by: &str, now: &Cluster, since: &str, ids: &ResourceIds) -> Result<(), StepError> {
        let instances = self.clusters.instances(&now.name).await?;
        match ids.replaced_in(&now.resource_ids(&instances)) {
            None => Ok(()),
            Some(what) => Err(too_late(by, format!("{what} ({}) was deleted and made anew after {since}", now.name))),
        }
    }

    async fn refuse_changed_new_cluster(
        &self,
        by: &str,
        recovery: &Recovery,
        plan: &Plan,
        Verified { restored, report }: Verified<'_>,
    ) -> Result<(), StepError> {
        let name = &plan.new_cluster;
        let found = match self.clusters.cluster(name).await {
            Err(error) if is_foreign(&error) => {
                return Err(too_late(by, format!("{name} is a cluster of another engine by now")));
            }
            found => found?,
        };
        match (plan.strategy, found) {
            // In place the safety clone is made after the approval, under a name that nobody else may have taken.
            (Strategy::Backtrack, None) => Ok(()),
            (Strategy::Backtrack, Some(other)) if other.tag(RECOVERY_TAG) == Some(recovery.id.as_str()) => Ok(()),
            (Strategy::Backtrack, Some(_)) => {
                Err(too_late(by, format!("there is a cluster {name} by now, where the safety clone was to be kept")))
            }
            (_, None) => Err(too_late(by, format!("the restored cluster {name} was deleted after it was verified"))),
            (_, Some(now)) => {
                // A cluster that was deleted and made anew has the same name and ARN: the tag says whose it is.
                let same = now.tag(RECOVERY_TAG) == Some(recovery.id.as_str())
                    && restored.is_some_and(|verified| now.endpoint.as_ref() == Some(&verified.writer_endpoint));
                if !same {
                    return Err(too_late(by, format!("the cluster {name} is not the one that was verified")));
                }
                refuse_unavailable(by, &now)?;
                match report {
                    Some(report) => self.refuse_replaced(by, &now, "it was verified", &report.resource_ids).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn refuse_changed_record(&self, by: &str, record: &PlannedRecord) -> Result<(), StepError> {
        let name = &record.name;
        let sets = self.zones.record_sets(&record.hosted_zone_id, name).await?;
        // Exactly what swap-dns deletes in its batch. Route 53 would refuse anything else, with the source fenced.
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
                "the approval of {by} came too late: {name} was {} (TTL {} s) when people were asked, and is {now} now",
                record.from, record.ttl
            ),
        )
        .changed("nothing was fenced and no record was moved")
        .advice("find out who changed it, and start again"))
    }
}

/// Explains why an approval is for another proposal than the one with the hash `shown`; none where it is for that one.
fn why_another_proposal(decision: &RecordedDecision, shown: &str) -> Option<String> {
    let by = decision.decided_by();
    match decision.hash.as_deref() {
        Some(hash) if hash == shown => None,
        Some(hash) => Some(format!("{by} approved {hash}, and what people are asked to approve is {shown}")),
        None => Some(format!("{by} approved without saying what: send the hash {shown} with the decision")),
    }
}

/// Refuses a cluster that is of no use any more, and waits for one that RDS is at work on.
fn refuse_unavailable(by: &str, cluster: &Cluster) -> Result<(), StepError> {
    let name = &cluster.name;
    match cluster.status.as_str() {
        // A backup runs daily and hinders no recovery.
        "available" | "backing-up" => Ok(()),
        lasting if is_lasting(lasting) => Err(too_late(by, format!("{name} is {lasting} by now"))),
        // Minutes of maintenance are no reason to throw an approval away.
        passing => Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is {passing}"))
            .changed("nothing was fenced and no traffic was moved")
            .advice("see what RDS does with it; when it is available, resume the recovery, or start again in place")),
    }
}

/// True of a status that a cluster does not leave by itself.
fn is_lasting(status: &str) -> bool {
    ["stopping", "stopped", "deleting"].contains(&status)
        || status.starts_with("inaccessible-encryption-credentials")
        || came_to_nothing(status)
}

/// Refuses a target that Backtrack no longer reaches.
// The reach moves on while people decide. Found out after the fence, it would be an outage for nothing.
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
    StepError::new(ErrorName::NotApproved, format!("the approval of {by} came too late: {happened}"))
        .changed("nothing was fenced and no traffic was moved")
        .advice("start again, and decide on what is shown then")
}

/// Parses the age of a proposal up to which it may be approved.
///
/// # Errors
///
/// `Bug` where the template sets something else than seconds.
pub fn age_limit(seconds: Option<&str>) -> Result<SignedDuration, StepError> {
    match seconds.filter(|text| !text.is_empty()) {
        None => Ok(AGE_MAX),
        Some(text) => text
            .parse()
            .map(SignedDuration::from_secs)
            .map_err(|e| StepError::bug(format!("REWIND_REPORT_MAX_AGE_SECONDS is \"{text}\": {e}"))),
    }
}

#[cfg(test)]
mod tests;
