//! Starts the recovery that an EventBridge event asks for. EventBridge delivers at least once and cannot name an execution:
//! the name is made from the event's id here, so that an event that comes twice starts one recovery. It decides nothing: what
//! can be wrong with a request, the recovery itself finds out and tells.

mod alarm;

use jiff::Timestamp;
use rewind_aws::executions::Executions;
use rewind_client::{ClientError, RecoveryClient, RecoveryName};
use rewind_core::{ErrorName, Request, StepError, Target};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The IAM actions that the function calls.
pub const ACTIONS: &[&str] = &["states:StartExecution", "states:DescribeExecution"];

/// The function.
#[derive(Debug)]
pub struct StartRecovery<E> {
    /// The way to executions.
    pub client: RecoveryClient<E, (), ()>,
}

/// An event, as EventBridge delivers it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Its id: the same each time that it is delivered.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// What it is.
    pub detail_type: String,
    /// When it happened.
    pub time: Timestamp,
    /// What it says.
    pub detail: Map<String, Value>,
}

/// What the function answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The recovery's id.
    pub recovery_id: String,
    /// Its execution.
    pub execution_arn: String,
    /// Whether this event had started it before.
    pub started_before: bool,
}

impl<E: Executions> Step for StartRecovery<E> {
    type Input = Event;
    type Output = Output;

    async fn run(&self, event: Event) -> Result<Output, StepError> {
        let mut request = match (event.source.as_str(), event.detail_type.as_str()) {
            ("aurora-rewind", "Rewind Requested") => event.detail.clone(),
            ("aws.cloudwatch", "CloudWatch Alarm State Change") => alarm::request(&event.detail)?,
            (source, kind) => {
                return Err(refused(format!("the event is \"{kind}\" of {source}, and no recovery follows from that"))
                    .advice("send \"Rewind Requested\" of aurora-rewind, or an alarm's state change"));
            }
        };
        fix_moment(&mut request, event.time);
        let request = Value::Object(request);
        // An execution that can only refuse its request would tell nobody: as an error the event is kept and paged for.
        Request::parse(&request)?;
        let started =
            self.client.start(RecoveryName::Given(format!("event-{}", event.id)), &request).await.map_err(failed)?;
        Ok(Output { recovery_id: started.id, execution_arn: started.arn, started_before: started.started_before })
    }
}

/// "5m ago" is before the event, not before its delivery, which may be late, or the second one.
fn fix_moment(request: &mut Map<String, Value>, of: Timestamp) {
    let Some(Value::String(to)) = request.get_mut("to") else { return };
    if let Ok(Target::Ago(ago)) = Target::parse(to)
        && let Ok(at) = of.checked_sub(ago)
    {
        *to = at.to_string();
    }
}

fn refused(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was started")
}

fn failed(error: ClientError) -> StepError {
    match error {
        ClientError::Aws(error) => error,
        refused => StepError::new(ErrorName::InvalidRequest, refused.to_string()),
    }
}

#[cfg(test)]
mod tests;
