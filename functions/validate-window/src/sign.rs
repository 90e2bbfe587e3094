//! Signs the plan, as the last act, with whoever started the recovery in it: only for a recovery that runs, and only for what it was asked for. Otherwise whoever may call this
//! function would get a signed plan of whatever they write.

use crate::Input;
use crate::adopt::{Resumed, ResumedPlan};
use crate::policy::MayStart;
use crate::refusal::invalid;
use jiff::SignedDuration;
use rewind_aws::chat::{ActKind, ReadActs};
use rewind_aws::executions::{Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{
    Agreeing, Approval, CallerProof, CleanUpRecord, Clock, ErrorName, Identity, JsonDigest, Plan, RecoveryRecord,
    STARTED_BY, SignPlans, StepError, VerifyCallers, VerifyPlans, json_digest, plan_digest, request_digest, request_of,
    start_act,
};
use rewind_lambda::Step;
use serde_json::{Map, Value, json};

/// The step that makes the plan, with the key that signs it.
#[derive(Debug)]
pub struct Signing<S, E, R, P, A, V, K> {
    /// The step that makes the plan.
    pub step: S,
    /// The executions of recoveries.
    pub executions: E,
    /// The records of recoveries.
    pub recoveries: R,
    /// The key.
    pub key: P,
    /// The recoveries that people started in chat.
    pub acts: A,
    /// The callers of AWS.
    pub callers: V,
    /// The rule that two people agree.
    pub agreeing: Agreeing,
    /// The people who may start recoveries.
    pub may_start: MayStart,
    /// The time.
    pub clock: K,
}

impl<S, E, R, P, A, V, K> Step for Signing<S, E, R, P, A, V, K>
where
    S: Step<Input = Input, Output = Plan>,
    E: Executions,
    R: Recoveries,
    P: SignPlans + VerifyPlans,
    A: ReadActs,
    V: VerifyCallers,
    K: Clock,
{
    type Input = Input;
    type Output = Plan;

    async fn run(&self, input: Input) -> Result<Plan, StepError> {
        let started = self.refuse_other(&input).await?;
        // Before the step, which may wait for a cluster for longer than a proof holds.
        let by = match input.request.get("dryRun") {
            // What is shown in a dry run is started later, by somebody else perhaps.
            Some(Value::Bool(true)) => StartedBy::default(),
            _ => {
                let by = self.started_by(&input.recovery.id, &started).await?;
                self.refuse_unnamed(&by)?;
                by
            }
        };
        let has_own_checks = request_of(&started.input).get("checks").is_some();
        let deletions = started.deletions;
        let resumed = input.resumed.map(|resumed| Resumed { has_own_checks, deletions, ..resumed });
        let mut plan = Box::pin(self.step.run(Input { resumed, ..input })).await?;
        self.two_people(&mut plan, by)?;
        plan.signature = Some(self.key.sign_plan(&digest(&plan)?).await?);
        Ok(plan)
    }
}

fn digest(plan: &Plan) -> Result<JsonDigest, StepError> {
    let json = serde_json::to_value(plan).map_err(|e| StepError::bug(format!("the plan is not JSON: {e}")))?;
    Ok(plan_digest(&json))
}

/// The start of a recovery, as Step Functions has it.
struct Started {
    /// The input of the execution.
    input: Value,
    /// The record of the recovery that it resumes.
    resumed: Option<Option<RecoveryRecord>>,
    /// The deletions that recoveries have noted whose restored cluster it may adopt.
    deletions: Vec<CleanUpRecord>,
}

/// Whoever started a recovery.
#[derive(Default)]
struct StartedBy {
    /// As far as it is verified.
    identities: Vec<Identity>,
    /// True if somebody has signed for it, too long ago for anybody to verify.
    is_too_old: bool,
    /// True if it was one of the people whom the deployment names.
    is_named: bool,
}

impl<S: Send + Sync, E: Executions, R: Recoveries, P: SignPlans + VerifyPlans, A: ReadActs, V: VerifyCallers, K: Clock>
    Signing<S, E, R, P, A, V, K>
{
    /// Writes into the plan who started the recovery, and refuses one that nobody could approve.
    fn two_people(&self, plan: &mut Plan, by: StartedBy) -> Result<(), StepError> {
        let is_asked = plan.approval == Approval::Required && self.agreeing.is_on();
        plan.started_by = by.identities;
        if !is_asked {
            return Ok(());
        }
        // As somebody unknown, who started it could approve it, or two more people would have to.
        if by.is_too_old {
            return Err(invalid(
                "the signature of whoever started it is too old to be verified: AWS takes one for 15 minutes"
                    .to_owned(),
            )
            .advice("start it again, when the cluster is available and with a clock that is right"));
        }
        if let Some(why) = self.agreeing.why_nobody_can_approve(&plan.started_by) {
            return Err(invalid(why).advice(
                "name people with their identities in the stack's parameter People, or set TwoPeople to known, chat or off",
            ));
        }
        let warning = if plan.dry_run { self.agreeing.outlook() } else { self.agreeing.warning(&plan.started_by) };
        plan.warnings.extend(warning);
        Ok(())
    }

    /// Verifies who started a recovery and the one that it resumes.
    async fn started_by(&self, id: &str, started: &Started) -> Result<StartedBy, StepError> {
        let request = request_of(&started.input);
        let verified = async {
            let digest = request_digest(&request);
            // Whoever asked in chat for another request under this name did not start this one.
            let acts = self.acts.acts(ActKind::Requested, id).await?;
            let mut found: Vec<Identity> =
                acts.iter().filter(|act| act.of == digest).map(|act| act.identity()).collect();
            let mut is_too_old = false;
            if let Some(proof) = started.input.get(STARTED_BY).and_then(CallerProof::read) {
                match self.callers.caller(&proof, &start_act(id, &request)).await? {
                    Some(arn) => found.push(Identity::Aws { arn }),
                    None => is_too_old = found.is_empty() && proof.is_too_old(self.clock.now()),
                }
            }
            Ok((found, is_too_old))
        };
        let (mut found, is_too_old) = match verified.await {
            // No recovery waits for an answer that nothing depends on.
            Err(_) if !self.agreeing.is_on() && self.may_start == MayStart::Anybody => (Vec::new(), false),
            found => found?,
        };
        let is_named = found.iter().any(|identity| self.agreeing.people.person(identity).is_some());
        if found.is_empty() {
            found.push(Identity::Unknown);
        }
        if let Some(record) = &started.resumed {
            let id = started.input.get("resume").and_then(Value::as_str);
            for identity in self.started_before(id, record.as_ref()).await? {
                if !found.contains(&identity) {
                    found.push(identity);
                }
            }
        }
        Ok(StartedBy { identities: found, is_too_old, is_named })
    }

    /// Refuses whoever may not start recoveries.
    fn refuse_unnamed(&self, by: &StartedBy) -> Result<(), StepError> {
        if self.may_start == MayStart::Anybody || by.is_named {
            return Ok(());
        }
        let known: Vec<String> = by.identities.iter().map(ToString::to_string).collect();
        Err(invalid(format!(
            "the people whom this deployment names may start recoveries, and this one was started by {}",
            known.join(", ")
        ))
        .advice(
            "start it in chat or by `rewind start` as one of them; or name that identity in the stack's parameter People; or change \
             its parameter MayStart (anybody, people)",
        ))
    }

    /// Reads who started the earlier recovery `id` from its plan, if that is as it was signed: more roles than one may write its record.
    /// Who started what an earlier version planned is not known either.
    async fn started_before(
        &self,
        id: Option<&str>,
        record: Option<&RecoveryRecord>,
    ) -> Result<Vec<Identity>, StepError> {
        let unknown = vec![Identity::Unknown];
        let plan = record.and_then(|record| record.plan.as_ref());
        // A signed plan of another recovery was started by others.
        let plan = plan.filter(|plan| id == Some(plan.recovery_id.as_str()) && !plan.started_by.is_empty());
        let Some((plan, signature)) = plan.and_then(|plan| Some((plan, plan.signature.as_ref()?))) else {
            return Ok(unknown);
        };
        let verified = match self.key.verify_plan(&digest(plan)?, signature).await {
            // No recovery waits for an answer that nothing depends on.
            Err(_) if !self.agreeing.is_on() => false,
            verified => verified?,
        };
        Ok(if verified { plan.started_by.clone() } else { unknown })
    }

    /// Refuses a payload that is not what the execution of its recovery was asked for.
    async fn refuse_other(&self, input: &Input) -> Result<Started, StepError> {
        let recovery = &input.recovery;
        // IAM lets the function read executions of the machine of recoveries alone.
        let execution = self.executions.execution(&recovery.execution_arn).await?.ok_or_else(|| {
            // Step Functions answers by what it knew a moment ago.
            StepError::new(ErrorName::Unavailable, format!("there is no execution {}", recovery.execution_arn))
                .changed("nothing was changed")
                .advice("try again")
        })?;
        let name = execution.arn.rsplit(':').next().unwrap_or_default();
        // A relative target counts from the start. State machine and API need not cut its fractions alike.
        let is_start = execution.started_at.duration_since(recovery.started_at).abs() < SignedDuration::from_secs(1);
        if execution.status != Status::Running || name != recovery.id || !is_start {
            return Err(refused(&recovery.id, "it is not the execution that runs under that name since then"));
        }
        let asked = request_of(&execution.input);
        let (expected, resumed, deletions) = match &input.resumed {
            None => (asked, None, Vec::new()),
            Some(resumed) => {
                let (merged, record) = self.merged(&asked, resumed, &recovery.id).await?;
                let deletions = self.deletions(resumed, record.as_ref()).await?;
                (merged, Some(record), deletions)
            }
        };
        if is_same(&expected, &input.request) {
            return Ok(Started { input: execution.input, resumed, deletions });
        }
        Err(refused(&recovery.id, "it was started with another request"))
    }

    /// Reads which deletions the earlier recovery noted, and those whose restored cluster it adopted: the clean-up notes one in the record
    /// of the recovery that the cluster's tag names.
    // Under the lease, which the clean-up holds until it has noted a deletion: what is not noted here does not begin any more.
    async fn deletions(
        &self,
        resumed: &Resumed,
        record: Option<&RecoveryRecord>,
    ) -> Result<Vec<CleanUpRecord>, StepError> {
        let mut found: Vec<CleanUpRecord> = record.and_then(|record| record.clean_up.clone()).into_iter().collect();
        for id in resumed.plan.iter().flat_map(ResumedPlan::earlier_owners) {
            found.extend(self.recoveries.recovery(&id).await?.and_then(|record| record.clean_up));
        }
        Ok(found)
    }

    /// The request of a recovery that resumes another one, as the state machine merges it, from the record of that one.
    async fn merged(
        &self,
        asked: &Value,
        resumed: &Resumed,
        id: &str,
    ) -> Result<(Value, Option<RecoveryRecord>), StepError> {
        if asked.get("resume").and_then(Value::as_str) != Some(resumed.id.as_str()) {
            return Err(refused(id, "it was started to resume another recovery, or none"));
        }
        // One without a record or a plan is refused by the step, and its request was not merged.
        let Some(record) = self.recoveries.recovery(&resumed.id).await? else { return Ok((asked.clone(), None)) };
        if record.plan.as_ref().map(ResumedPlan::from) != resumed.plan {
            return Err(refused(id, "the recovery that it resumes has another plan"));
        }
        Ok((merge(&record, asked), Some(record)))
    }
}

fn merge(record: &RecoveryRecord, asked: &Value) -> Value {
    let (Some(plan), Some(asked)) = (&record.plan, asked.as_object()) else { return asked.clone() };
    let settled = json!({
        "cluster": plan.cluster, "to": plan.target, "newCluster": plan.new_cluster, "strategy": plan.strategy
    });
    let mut merged: Map<String, Value> =
        record.request.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    merged.insert("dryRun".to_owned(), Value::Bool(false));
    for (name, value) in asked.iter().chain(settled.as_object().into_iter().flatten()) {
        merged.insert(name.clone(), value.clone());
    }
    merged.retain(|_, value| !value.is_null());
    Value::Object(merged)
}

fn is_same(one: &Value, other: &Value) -> bool {
    // By digest, because the state machine may write a number in another way than the person did.
    json_digest("request", one) == json_digest("request", other)
}

fn refused(id: &str, why: &str) -> StepError {
    invalid(format!("no plan is signed for {id}: {why}"))
        .advice("start a recovery by an execution of the state machine: nobody else calls this function")
}

#[cfg(test)]
mod tests;
