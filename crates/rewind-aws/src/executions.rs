//! Executions of a state machine, as a person's front door sees them: started, followed by their history, decided on. It
//! shows nothing and judges nothing.

use crate::classify::{Call, classify};
use crate::{Answer, Aws};
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use rewind_core::StepError;
use serde_json::Value;
use std::collections::BTreeMap;

/// What became of starting an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It runs; on AWS also where one of that name and input was running already.
    Runs(String),
    /// The name was taken by another.
    NameTaken,
}

/// How an execution stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Whether and how it has ended.
    pub status: Status,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it was given.
    pub input: Value,
    /// What it answered, if it succeeded.
    pub output: Value,
    /// The name of the error with which it failed.
    pub error: Option<String>,
    /// Its cause.
    pub cause: Option<String>,
}

/// Whether and how an execution has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has not.
    Running,
    /// With an output.
    Succeeded,
    /// With an error.
    Failed,
    /// Stopped from outside, or by its time limit.
    Stopped,
}

/// Something that happened in an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number in the history, from 1.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A state began.
    Entered(String),
    /// A state ended, and put this out.
    Left(String, Value),
    /// An attempt at a task failed, with error and cause; the state machine decides what follows.
    Failed(String, String),
    /// The execution ended, one way or another.
    Ended,
}

/// Starts executions, looks at them, and sends them decisions.
pub trait Executions: Send + Sync {
    /// Starts an execution of a state machine under this name.
    fn start(&self, machine_arn: &str, name: &str, input: &Value) -> impl Future<Output = Answer<Started>> + Send;
    /// How an execution stands; none where there is none.
    fn execution(&self, arn: &str) -> impl Future<Output = Answer<Option<Execution>>> + Send;
    /// What has happened after the event `after`, in order; of a long history the last part only.
    fn events(&self, arn: &str, after: i64) -> impl Future<Output = Answer<Vec<Event>>> + Send;
    /// What each state answered last before the state `until` was entered for the first time.
    fn answers(&self, arn: &str, until: &str) -> impl Future<Output = Answer<BTreeMap<String, Value>>> + Send;
    /// Ends a wait with this answer; false where nobody waits with that token any more.
    fn answer(&self, task_token: &str, answer: &Value) -> impl Future<Output = Answer<bool>> + Send;
    /// The definition of a state machine.
    fn definition(&self, machine_arn: &str) -> impl Future<Output = Answer<Value>> + Send;
}

/// The client of Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions(aws_sdk_sfn::Client);

/// How much of a long history is looked at from its end.
const TAIL: usize = 500;

impl StepFunctions {
    /// The client at the environment's endpoint.
    pub fn new(aws: &Aws) -> Self {
        Self(aws_sdk_sfn::Client::new(&aws.config("SFN")))
    }
}

impl Executions for StepFunctions {
    /// IAM: `states:StartExecution`.
    async fn start(&self, machine_arn: &str, name: &str, input: &Value) -> Answer<Started> {
        let sent =
            self.0.start_execution().state_machine_arn(machine_arn).name(name).input(input.to_string()).send().await;
        match sent {
            Ok(started) => Ok(Started::Runs(started.execution_arn)),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => {
                Ok(Started::NameTaken)
            }
            Err(error) => Err(classify(&error, Call::Change, &format!("states:StartExecution of {name}"))),
        }
    }

    /// IAM: `states:DescribeExecution`.
    async fn execution(&self, arn: &str) -> Answer<Option<Execution>> {
        let found = match self.0.describe_execution().execution_arn(arn).send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_execution_does_not_exist()) => {
                return Ok(None);
            }
            Err(error) => return Err(classify(&error, Call::Read, "states:DescribeExecution")),
        };
        let status = match found.status {
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
    async fn events(&self, arn: &str, after: i64) -> Answer<Vec<Event>> {
        // Newest first: only what is new is read, however long the history is.
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
            page = read.next_token.filter(|_| !reached && fresh.len() < TAIL);
            if page.is_none() {
                break;
            }
        }
        fresh.reverse();
        fresh.iter().filter_map(|event| translate(event).transpose()).collect()
    }

    /// IAM: `states:GetExecutionHistory`.
    async fn answers(&self, arn: &str, until: &str) -> Answer<BTreeMap<String, Value>> {
        let mut answers = BTreeMap::new();
        let mut page = None;
        loop {
            let read = self
                .0
                .get_execution_history()
                .execution_arn(arn)
                .max_results(500)
                .set_next_token(page)
                .send()
                .await
                .map_err(|e| classify(&e, Call::Read, "states:GetExecutionHistory"))?;
            for event in &read.events {
                match translate(event)?.map(|event| event.what) {
                    Some(What::Entered(state)) if state == until => return Ok(answers),
                    Some(What::Left(state, output)) => {
                        answers.insert(state, output);
                    }
                    _ => {}
                }
            }
            page = read.next_token;
            if page.is_none() {
                return Ok(answers);
            }
        }
    }

    /// IAM: `states:SendTaskSuccess`.
    async fn answer(&self, task_token: &str, answer: &Value) -> Answer<bool> {
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
    async fn definition(&self, machine_arn: &str) -> Answer<Value> {
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

/// What an event of the history says to someone who follows; none where it says nothing.
fn translate(event: &HistoryEvent) -> Answer<Option<Event>> {
    let what = match &event.r#type {
        kind if kind.as_str().ends_with("StateEntered") => {
            event.state_entered_event_details.as_ref().map(|details| What::Entered(details.name.clone()))
        }
        kind if kind.as_str().ends_with("StateExited") => event.state_exited_event_details.as_ref().map(|details| {
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
    // A function's error comes as JSON with the message in it.
    let cause = cause.clone().unwrap_or_default();
    let message = serde_json::from_str::<Value>(&cause).ok();
    let message = message.as_ref().and_then(|cause| cause.get("errorMessage")).and_then(Value::as_str);
    What::Failed(error.clone().unwrap_or_default(), message.unwrap_or(&cause).to_owned())
}

fn json(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn time(at: &DateTime) -> Answer<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanos()).map_err(|e| StepError::bug(format!("AWS answered no time: {e}")))
}
