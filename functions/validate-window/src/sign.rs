//! Signs the plan, as the last act: only for a recovery that runs, and only for what it was asked for. Otherwise whoever may call this
//! function would get a signed plan of whatever they write.

use crate::Input;
use crate::adopt::{Resumed, ResumedPlan};
use crate::refusal::invalid;
use jiff::SignedDuration;
use rewind_aws::executions::{Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{ErrorName, Plan, RecoveryRecord, SignPlans, StepError, json_digest, plan_digest};
use rewind_lambda::Step;
use serde_json::{Map, Value, json};

/// The step that makes the plan, with the key that signs it.
#[derive(Debug)]
pub struct Signing<S, E, R, P> {
    /// The step that makes the plan.
    pub step: S,
    /// The executions of recoveries.
    pub executions: E,
    /// The records of recoveries.
    pub recoveries: R,
    /// The key.
    pub key: P,
}

impl<S, E, R, P> Step for Signing<S, E, R, P>
where
    S: Step<Input = Input, Output = Plan>,
    E: Executions,
    R: Recoveries,
    P: SignPlans,
{
    type Input = Input;
    type Output = Plan;

    async fn run(&self, input: Input) -> Result<Plan, StepError> {
        self.refuse_other(&input).await?;
        let mut plan = Box::pin(self.step.run(input)).await?;
        let json = serde_json::to_value(&plan).map_err(|e| StepError::bug(format!("the plan is not JSON: {e}")))?;
        plan.signature = Some(self.key.sign_plan(&plan_digest(&json)).await?);
        Ok(plan)
    }
}

impl<S: Send + Sync, E: Executions, R: Recoveries, P: Send + Sync> Signing<S, E, R, P> {
    /// Refuses a payload that is not what the execution of its recovery was asked for.
    async fn refuse_other(&self, input: &Input) -> Result<(), StepError> {
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
        let expected = match &input.resumed {
            None => execution.input,
            Some(resumed) => self.merged(&execution.input, resumed, &recovery.id).await?,
        };
        if is_same(&expected, &input.request) {
            return Ok(());
        }
        Err(refused(&recovery.id, "it was started with another request"))
    }

    /// The request of a recovery that resumes another one, as the state machine merges it, from the record of that one.
    async fn merged(&self, asked: &Value, resumed: &Resumed, id: &str) -> Result<Value, StepError> {
        if asked.get("resume").and_then(Value::as_str) != Some(resumed.id.as_str()) {
            return Err(refused(id, "it was started to resume another recovery, or none"));
        }
        // One without a record or a plan is refused by the step, and its request was not merged.
        let Some(record) = self.recoveries.recovery(&resumed.id).await? else { return Ok(asked.clone()) };
        if record.plan.as_ref().map(ResumedPlan::from) != resumed.plan {
            return Err(refused(id, "the recovery that it resumes has another plan"));
        }
        Ok(merge(&record, asked))
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
