//! Starts the recovery that an EventBridge event requests. EventBridge delivers an event at least once and cannot name an
//! execution, so this function derives the name from the event's id: an event that comes twice starts one recovery. It decides
//! nothing: the recovery itself checks the request.

mod alarm;
mod refusal;

use jiff::Timestamp;
use refusal::refused;
use rewind_aws::executions::Executions;
use rewind_client::{ClientError, RecoveryClient, RecoveryName};
use rewind_core::names::recovery_of_event;
use rewind_core::{ErrorName, Request, StepError, Target};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The IAM actions that the function calls.
pub const ACTIONS: &[&str] = &["states:StartExecution", "states:DescribeExecution"];

/// The function.
#[derive(Debug)]
pub struct StartRecovery<E> {
    /// The client that starts executions.
    pub client: RecoveryClient<E, (), ()>,
    /// True if events may start recoveries in this deployment.
    // Not by a rule that is off: then an event would vanish, and nobody would know on the worst day.
    pub events_may_start: bool,
    /// True if alarms may. The rule that brings them is off otherwise, and whoever may invoke the function needs no rule.
    pub alarms_may_start: bool,
}

/// An event, as EventBridge delivers it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// The event's id, which is the same for each delivery.
    pub id: String,
    /// The sender, such as `aws.cloudwatch`.
    pub source: String,
    /// The kind of the event.
    pub detail_type: String,
    /// The time of the event.
    pub time: Timestamp,
    /// The content.
    pub detail: Map<String, Value>,
}

/// The function's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The recovery's id.
    pub recovery_id: String,
    /// The ARN of its execution.
    pub execution_arn: String,
    /// True if an earlier delivery of this event has started it.
    pub started_before: bool,
}

impl<E: Executions> Step for StartRecovery<E> {
    type Input = Event;
    type Output = Output;

    async fn run(&self, event: Event) -> Result<Output, StepError> {
        let mut request = match (event.source.as_str(), event.detail_type.as_str()) {
            ("aurora-rewind", "Rewind Requested") if !self.events_may_start => {
                return Err(refused("events may start no recovery in this deployment".to_owned())
                    .advice("set the stack's parameter EventsMayStart to ENABLED, or start it otherwise"));
            }
            ("aurora-rewind", "Rewind Requested") => event.detail.clone(),
            ("aws.cloudwatch", "CloudWatch Alarm State Change") if !self.alarms_may_start => {
                return Err(refused("alarms may start no recovery in this deployment".to_owned())
                    .advice("set the stack's parameter AlarmsMayStart to ENABLED, or start it otherwise"));
            }
            ("aws.cloudwatch", "CloudWatch Alarm State Change") => alarm::request(&event.detail)?,
            (source, kind) => {
                return Err(refused(format!("the event is \"{kind}\" of {source}, and no recovery follows from that"))
                    .advice("send \"Rewind Requested\" of aurora-rewind, or an alarm's state change"));
            }
        };
        fix_moment(&mut request, event.time);
        let request = Value::Object(request);
        // An execution that only refuses its request would notify nobody. An error here sends the event to the dead-letter queue,
        // whose alarm pages.
        Request::check(&request)?;
        let started = self
            .client
            .start(RecoveryName::Given(recovery_of_event(&event.id)), &request, &())
            .await
            .map_err(failed)?;
        Ok(Output { recovery_id: started.id, execution_arn: started.arn, started_before: started.started_before })
    }
}

/// Makes a relative target absolute: "5m ago" is before the event, not before its delivery, which may be late or repeated.
fn fix_moment(request: &mut Map<String, Value>, of: Timestamp) {
    // Wrong values are left as they are: the parser refuses them, and names the field.
    let Some(Value::String(to)) = request.get_mut("to") else { return };
    if let Ok(Target::Ago(ago)) = Target::parse(to)
        && let Ok(at) = of.checked_sub(ago)
    {
        *to = at.to_string();
    }
}

fn failed(error: ClientError) -> StepError {
    match error {
        ClientError::Aws(error) => error,
        refused => StepError::new(ErrorName::InvalidRequest, refused.to_string()),
    }
}

#[cfg(test)]
mod tests;
