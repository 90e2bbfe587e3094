//! A recovery as a client of AWS sees it: started, followed by its history, decided on. It shows nothing and judges nothing.

use super::stop::{Because, Stop};
use crate::stack::StackEnv;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A started execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its name, which is the recovery's id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
}

/// Starts a recovery.
///
/// # Errors
///
/// What Step Functions answers.
pub async fn start(stack: &StackEnv, id: &str, request: &Value) -> Result<Execution, Stop> {
    let started = stack
        .sfn()
        .start_execution()
        .state_machine_arn(&stack.outputs.state_machine_arn)
        .name(id)
        .input(request.to_string())
        .send()
        .await
        .because(format!("the execution {id} could not be started"))?;
    Ok(Execution { id: id.to_owned(), arn: started.execution_arn })
}

/// What has happened in an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A state that takes time began.
    Entered {
        /// Which.
        state: String,
        /// When.
        at: Timestamp,
    },
    /// It ended.
    Left {
        /// Which.
        state: String,
        /// When.
        at: Timestamp,
        /// What it put out.
        output: Value,
    },
    /// An attempt at a task failed; the state machine decides what follows.
    Failed {
        /// The error's name.
        error: String,
        /// Its cause.
        cause: String,
    },
    /// The execution ended well.
    Succeeded(Value),
    /// The execution ended otherwise.
    Ended {
        /// The error's name.
        error: String,
        /// Its cause.
        cause: String,
    },
}

/// The history of an execution, read from where one stopped reading.
#[derive(Debug)]
pub struct History {
    client: aws_sdk_sfn::Client,
    arn: String,
    seen: i64,
}

impl History {
    /// From the beginning.
    #[must_use]
    pub fn of(stack: &StackEnv, execution: &Execution) -> Self {
        Self { client: stack.sfn(), arn: execution.arn.clone(), seen: 0 }
    }

    /// What has happened since the last look.
    ///
    /// # Errors
    ///
    /// What Step Functions answers.
    pub async fn news(&mut self) -> Result<Vec<News>, Stop> {
        // Newest first: only what is new is read, however long the history is.
        let mut fresh: Vec<HistoryEvent> = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .client
                .get_execution_history()
                .execution_arn(&self.arn)
                .reverse_order(true)
                .max_results(50)
                .set_next_token(token)
                .send()
                .await
                .because("the execution's history could not be read")?;
            let reached = page.events.iter().any(|event| event.id <= self.seen);
            fresh.extend(page.events.into_iter().filter(|event| event.id > self.seen));
            token = page.next_token;
            if reached || token.is_none() {
                break;
            }
        }
        fresh.reverse();
        if let Some(last) = fresh.last() {
            self.seen = last.id;
        }
        Ok(fresh.iter().filter_map(read).collect())
    }
}

fn read(event: &HistoryEvent) -> Option<News> {
    let at = Timestamp::from_nanosecond(event.timestamp.as_nanos()).unwrap_or_default();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let json = |text: Option<&str>| serde_json::from_str(text.unwrap_or_default()).unwrap_or_default();
    match event.r#type {
        HistoryEventType::TaskStateEntered | HistoryEventType::WaitStateEntered => {
            Some(News::Entered { state: event.state_entered_event_details()?.name.clone(), at })
        }
        HistoryEventType::TaskStateExited | HistoryEventType::WaitStateExited => {
            let left = event.state_exited_event_details()?;
            Some(News::Left { state: left.name.clone(), at, output: json(left.output()) })
        }
        HistoryEventType::TaskFailed => {
            let failed = event.task_failed_event_details()?;
            Some(News::Failed { error: text(failed.error()), cause: text(failed.cause()) })
        }
        HistoryEventType::TaskTimedOut => {
            let failed = event.task_timed_out_event_details()?;
            Some(News::Failed { error: text(failed.error()), cause: text(failed.cause()) })
        }
        HistoryEventType::ExecutionSucceeded => {
            Some(News::Succeeded(json(event.execution_succeeded_event_details()?.output())))
        }
        HistoryEventType::ExecutionFailed => {
            let failed = event.execution_failed_event_details();
            let failed = failed.map(|failed| (text(failed.error()), text(failed.cause())));
            let (error, cause) = failed.unwrap_or_default();
            Some(News::Ended { error, cause })
        }
        HistoryEventType::ExecutionAborted | HistoryEventType::ExecutionTimedOut => {
            Some(News::Ended { error: event.r#type.as_str().to_owned(), cause: "it was ended from outside".to_owned() })
        }
        _ => None,
    }
}

/// An approval that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The token that ends the wait.
    pub token: String,
    /// The hash of what was shown.
    pub hash: String,
    /// Until when one may decide.
    pub expires_at: String,
}

/// The approval that a recovery waits for now, if it does.
///
/// # Errors
///
/// What DynamoDB answers.
pub async fn pending(stack: &StackEnv, id: &str) -> Result<Option<Pending>, Stop> {
    let item = stack
        .dynamodb()
        .get_item()
        .table_name(&stack.outputs.table_name)
        .key("id", AttributeValue::S(format!("recovery#{id}")))
        .consistent_read(true)
        .send()
        .await
        .because("the recovery's item could not be read")?
        .item;
    let Some(AttributeValue::M(approval)) = item.and_then(|mut item| item.remove("approval")) else { return Ok(None) };
    let text = |name: &str| approval.get(name).and_then(|value| value.as_s().ok()).cloned();
    let (Some(token), Some(hash)) = (text("taskToken"), text("hash")) else { return Ok(None) };
    Ok(Some(Pending { token, hash, expires_at: text("expiresAt").unwrap_or_default() }))
}

/// Sends a decision. Answers false when nobody waits with that token any more: a fresh one is in the item soon.
///
/// # Errors
///
/// What Step Functions answers.
pub async fn decide(stack: &StackEnv, pending: &Pending, decision: &str, comment: &str) -> Result<bool, Stop> {
    let decision = json!({ "decision": decision, "by": "the demo", "comment": comment, "hash": pending.hash });
    let sent = stack.sfn().send_task_success().task_token(&pending.token).output(decision.to_string()).send().await;
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_task_timed_out() || e.is_task_does_not_exist()) => {
            Ok(false)
        }
        Err(error) => Err(error).because("the decision could not be sent"),
    }
}

/// The output of a recovery that ended well, as docs/steps.md has it: as far as it is told here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `Recovered`.
    pub outcome: String,
    /// The moment that was gone back to.
    pub rewound_to: Timestamp,
    /// The source; in place, what was rewound.
    pub cluster: String,
    /// The restored cluster; none in place.
    pub new_cluster: Option<String>,
    /// Where the rewound data takes writes.
    pub writer_endpoint: String,
    /// The records that were moved.
    pub dns: Vec<rewind_core::MovedRecord>,
    /// The fence around the source.
    pub fence: Fence,
    /// The source, kept beside its successor.
    pub source: Source,
    /// In place, what holds the source data.
    pub safety_clone: Option<SafetyClone>,
    /// Seconds in each state, and `total`.
    pub timings: Map<String, Value>,
}

/// The fence around the source.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// From when on it acknowledged nothing.
    pub fenced_at: Timestamp,
    /// How many sessions were ended.
    pub sessions_ended: u64,
}

/// What is left of the source.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Until when it is kept; in place it simply stays.
    pub keep_until: Option<Timestamp>,
}

/// The clone of the cluster as it was before it was rewound.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SafetyClone {
    /// It.
    pub cluster: String,
    /// Its endpoint.
    pub writer_endpoint: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Until when it is kept.
    pub keep_until: Timestamp,
    /// The commands that delete it.
    pub delete: String,
}
