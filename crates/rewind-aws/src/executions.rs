//! Executions of a state machine, for the clients that act for people: starts them, reads their history, and sends decisions. It
//! renders nothing and decides nothing.

use crate::classify::{Call, classify};
use crate::{Aws, AwsResult};
use aws_sdk_sfn::operation::get_execution_history::builders::GetExecutionHistoryFluentBuilder;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use rewind_core::StepError;
use serde_json::Value;
use std::collections::BTreeMap;

/// The result of starting an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The execution runs, with this ARN; also if one of that name and input was running already.
    Runs(String),
    /// The name belongs to an execution with another input, or to one that has ended.
    NameTaken,
}

/// An execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// The ARN.
    pub arn: String,
    /// The state of the execution.
    pub status: Status,
    /// The time of its start.
    pub started_at: Timestamp,
    /// The time of its end.
    pub ended_at: Option<Timestamp>,
    /// The input.
    pub input: Value,
    /// The output, if it succeeded; otherwise null.
    pub output: Value,
    /// The name of the error with which it failed.
    pub error: Option<String>,
    /// The cause of the failure.
    pub cause: Option<String>,
}

/// The state of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Running, or waiting to be redriven.
    Running,
    /// Ended with an output.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Stopped by a caller, or by its time limit.
    Stopped,
}

/// An event in the history of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The number in the history, from 1.
    pub id: i64,
    /// The time.
    pub at: Timestamp,
    /// The content.
    pub what: What,
}

/// The events that a client follows.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A state was entered.
    Entered(String),
    /// A state was left with this output; of a task the payload alone.
    Left(String, Value),
    /// An attempt at a task failed, with error and cause; the state machine decides what follows.
    Failed(String, String),
    /// The execution ended, one way or another.
    Ended,
}

/// Starts executions, reads them, and sends them decisions.
pub trait Executions: Send + Sync {
    /// Starts an execution of a state machine under this name.
    fn start(&self, machine_arn: &str, name: &str, input: &Value) -> impl Future<Output = AwsResult<Started>> + Send;
    /// Reads an execution; none if there is no such ARN.
    fn execution(&self, arn: &str) -> impl Future<Output = AwsResult<Option<Execution>>> + Send;
    /// Reads the events after the number `after`, in order; of a long history only the last part.
    fn events(&self, arn: &str, after: i64) -> impl Future<Output = AwsResult<Vec<Event>>> + Send;
    /// Reads the states that were entered before the event of that number, in order: what [`Executions::events`] leaves out of a long history.
    fn entered_before(&self, arn: &str, before: i64) -> impl Future<Output = AwsResult<Vec<Event>>> + Send;
    /// Reads the payload with which the state `name` called its function when it was entered for the first time; none if it has not.
    fn payload(&self, arn: &str, name: &str) -> impl Future<Output = AwsResult<Option<Value>>> + Send;
    /// Reads the last output of each state before the state `until` was entered for the first time.
    fn answers(&self, arn: &str, until: &str) -> impl Future<Output = AwsResult<BTreeMap<String, Value>>> + Send;
    /// Ends the wait for `task_token` with this output; false if that wait is over.
    fn answer(&self, task_token: &str, answer: &Value) -> impl Future<Output = AwsResult<bool>> + Send;
    /// The definition of a state machine.
    fn definition(&self, machine_arn: &str) -> impl Future<Output = AwsResult<Value>> + Send;
}

/// The client of Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions(aws_sdk_sfn::Client);

/// The number of events that are read from the end of a long history.
const TAIL: usize = 500;

impl StepFunctions {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_sfn::Client::new(&aws.config("SFN")))
    }
}

impl Executions for StepFunctions {
    /// IAM: `states:StartExecution`.
    async fn start(&self, machine_arn: &str, name: &str, input: &Value) -> AwsResult<Started> {
        let sent =
            self.0.start_execution().state_machine_arn(machine_arn).name(name).input(input.to_string()).send().await;
        match sent {
            Ok(started) => Ok(Started::Runs(started.execution_arn)),
            // Names are kept for 90 days after the end, so this also finds an execution that ended long ago.
            Err(error) if error.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => {
                Ok(Started::NameTaken)
            }
            Err(error) => Err(classify(&error, Call::Change, &format!("states:StartExecution of {name}"))),
        }
    }

    /// IAM: `states:DescribeExecution`.
    async fn execution(&self, arn: &str) -> AwsResult<Option<Execution>> {
        let found = match self.0.describe_execution().execution_arn(arn).send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_execution_does_not_exist()) => {
                return Ok(None);
            }
            Err(error) => return Err(classify(&error, Call::Read, "states:DescribeExecution")),
        };
        let status = match found.status {
            // A redrive continues at the state that failed, so for people the recovery is not over.
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Status::Running,
            ExecutionStatus::Succeeded => Status::Succeeded,
            ExecutionStatus::Failed => Status::Failed,
            _ => Status::Stopped,
        };
        Ok(Some(Execution {
            arn: found.execution_arn,
            status,
            started_at: time(&found.start_date)?,
            ended_at: found.stop_date.as_ref().map(time).transpose()?,
            input: json(found.input.as_deref()),
            output: json(found.output.as_deref()),
            error: found.error,
            cause: found.cause,
        }))
    }

    /// IAM: `states:GetExecutionHistory`.
    async fn events(&self, arn: &str, after: i64) -> AwsResult<Vec<Event>> {
        // Newest first, so that a client that polls a long history reads only what is new.
        let mut fresh: Vec<HistoryEvent> = Vec::new();
        let mut page = None;
        loop {
            let read = self
                .0
                .get_execution_history()
                .execution_arn(arn)
                .reverse_order(true)
                .max_results(100)
                .set_next_token(page)
                .send()
                .await
                .map_err(|e| classify(&e, Call::Read, "states:GetExecutionHistory"))?;
            let reached = read.events.iter().any(|event| event.id <= after);
            fresh.extend(read.events.into_iter().filter(|event| event.id > after));
            // Whoever begins to follow late needs the last part, not each round of a wait of hours.
            page = read.next_token.filter(|_| !reached && fresh.len() < TAIL);
            if page.is_none() {
                break;
            }
        }
        fresh.reverse();
        fresh.iter().filter_map(|event| translate(event).transpose()).collect()
    }

    /// IAM: `states:GetExecutionHistory`.
    async fn entered_before(&self, arn: &str, before: i64) -> AwsResult<Vec<Event>> {
        // Inputs and outputs are most of a history, and nobody needs those of each round of a wait.
        let history = self.0.get_execution_history().execution_arn(arn).include_execution_data(false);
        let mut entered = Vec::new();
        let is_there = |event: &HistoryEvent| {
            let earlier = translate(event)?.filter(|event| event.id < before);
            entered.extend(earlier.filter(|event| matches!(event.what, What::Entered(_))));
            Ok((event.id >= before).then_some(()))
        };
        find_event(history, is_there).await?;
        Ok(entered)
    }

    /// IAM: `states:GetExecutionHistory`.
    async fn payload(&self, arn: &str, name: &str) -> AwsResult<Option<Value>> {
        let mut is_entered = false;
        let history = self.0.get_execution_history().execution_arn(arn);
        find_event(history, |event| Ok(payload_of(event, name, &mut is_entered))).await
    }

    /// IAM: `states:GetExecutionHistory`.
    async fn answers(&self, arn: &str, until: &str) -> AwsResult<BTreeMap<String, Value>> {
        let mut answers = BTreeMap::new();
        let until_entered = |event: &HistoryEvent| match translate(event)?.map(|event| event.what) {
            Some(What::Entered(state)) if state == until => Ok(Some(())),
            Some(What::Left(state, output)) => {
                // A state that a loop left several times counts with its last output.
                answers.insert(state, output);
                Ok(None)
            }
            _ => Ok(None),
        };
        find_event(self.0.get_execution_history().execution_arn(arn), until_entered).await?;
        Ok(answers)
    }

    /// IAM: `states:SendTaskSuccess`.
    async fn answer(&self, task_token: &str, answer: &Value) -> AwsResult<bool> {
        // An approval is renewed every few minutes, with a new token: an old one is no error, the caller reads the new one.
        match self.0.send_task_success().task_token(task_token).output(answer.to_string()).send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_task_timed_out() || e.is_task_does_not_exist()) =>
            {
                Ok(false)
            }
            Err(error) => Err(classify(&error, Call::Change, "states:SendTaskSuccess")),
        }
    }

    /// IAM: `states:DescribeStateMachine`.
    async fn definition(&self, machine_arn: &str) -> AwsResult<Value> {
        let found = self
            .0
            .describe_state_machine()
            .state_machine_arn(machine_arn)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("states:DescribeStateMachine of {machine_arn}")))?;
        Ok(json(Some(&found.definition)))
    }
}

/// Reads a history until `find` answers something of an event; none where it never does.
async fn find_event<T>(
    history: GetExecutionHistoryFluentBuilder,
    mut find: impl FnMut(&HistoryEvent) -> AwsResult<Option<T>> + Send,
) -> AwsResult<Option<T>> {
    let mut page = None;
    loop {
        // Oldest first here: a long wait may add thousands of events after the one that is looked for.
        let read = history
            .clone()
            .max_results(500)
            .set_next_token(page)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "states:GetExecutionHistory"))?;
        for event in &read.events {
            if let Some(found) = find(event)? {
                return Ok(Some(found));
            }
        }
        page = read.next_token;
        if page.is_none() {
            return Ok(None);
        }
    }
}

/// The payload that an event shows of the state `name`; none of another event. `is_entered` is kept from one event to the next, because
/// the event of a call does not name its state.
fn payload_of(event: &HistoryEvent, name: &str, is_entered: &mut bool) -> Option<Value> {
    if let Some(entered) = &event.state_entered_event_details {
        *is_entered = entered.name == name;
    }
    let scheduled = event.task_scheduled_event_details.as_ref().filter(|_| *is_entered)?;
    json(Some(&scheduled.parameters)).get("Payload").cloned()
}

/// Translates an event of the history; none for a kind that no client follows.
fn translate(event: &HistoryEvent) -> AwsResult<Option<Event>> {
    let what = match &event.r#type {
        kind if kind.as_str().ends_with("StateEntered") => {
            event.state_entered_event_details.as_ref().map(|details| What::Entered(details.name.clone()))
        }
        kind if kind.as_str().ends_with("StateExited") => event.state_exited_event_details.as_ref().map(|details| {
            // lambda:invoke wraps a function's result into Payload; other states have their output as it is.
            let output = json(details.output.as_deref());
            What::Left(details.name.clone(), output.get("Payload").cloned().unwrap_or(output))
        }),
        HistoryEventType::TaskFailed => {
            event.task_failed_event_details.as_ref().map(|details| failed(&details.error, &details.cause))
        }
        HistoryEventType::LambdaFunctionFailed => {
            event.lambda_function_failed_event_details.as_ref().map(|details| failed(&details.error, &details.cause))
        }
        HistoryEventType::ExecutionSucceeded
        | HistoryEventType::ExecutionFailed
        | HistoryEventType::ExecutionAborted
        | HistoryEventType::ExecutionTimedOut => Some(What::Ended),
        _ => None,
    };
    what.map(|what| Ok(Event { id: event.id, at: time(&event.timestamp)?, what })).transpose()
}

fn failed(error: &Option<String>, cause: &Option<String>) -> What {
    // Lambda reports a function's error as JSON, of which people need the message alone.
    let cause = cause.clone().unwrap_or_default();
    let message = serde_json::from_str::<Value>(&cause).ok();
    let message = message.as_ref().and_then(|cause| cause.get("errorMessage")).and_then(Value::as_str);
    What::Failed(error.clone().unwrap_or_default(), message.unwrap_or(&cause).to_owned())
}

// What is no JSON counts as absent: an execution that a person started by hand can have anything in it.
fn json(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn time(at: &DateTime) -> AwsResult<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanos()).map_err(|e| StepError::bug(format!("AWS answered no time: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sfn::types::{StateEnteredEventDetails, TaskScheduledEventDetails};
    use serde_json::json;

    fn event(kind: HistoryEventType) -> aws_sdk_sfn::types::builders::HistoryEventBuilder {
        HistoryEvent::builder().timestamp(DateTime::from_secs(0)).r#type(kind)
    }

    fn entered(name: &str) -> HistoryEvent {
        let details = StateEnteredEventDetails::builder().name(name).build().unwrap();
        event(HistoryEventType::TaskStateEntered).state_entered_event_details(details).build().unwrap()
    }

    fn scheduled(payload: &Value) -> HistoryEvent {
        let parameters = json!({ "FunctionName": "f", "Payload": payload }).to_string();
        let details =
            TaskScheduledEventDetails::builder().resource_type("lambda").resource("invoke").region("eu-west-1");
        let details = details.parameters(parameters).build().unwrap();
        event(HistoryEventType::TaskScheduled).task_scheduled_event_details(details).build().unwrap()
    }

    #[test]
    fn the_first_call_of_a_state_shows_what_it_was_called_with() {
        let [verify, first, second] = [json!({ "of": "Verify" }), json!({ "slice": 1 }), json!({ "slice": 2 })];
        let events = [
            entered("Verify"),
            scheduled(&verify),
            entered("RequestApproval"),
            scheduled(&first),
            entered("IsApprovalExpired"),
            entered("RequestApproval"),
            scheduled(&second),
        ];
        let found = |events: &[HistoryEvent], name: &str| {
            let mut is_entered = false;
            events.iter().find_map(|event| payload_of(event, name, &mut is_entered))
        };
        assert_eq!(found(&events, "RequestApproval"), Some(first));
        assert_eq!(found(&events, "Verify"), Some(verify));
        assert_eq!(found(&events[..3], "RequestApproval"), None);
    }
}
