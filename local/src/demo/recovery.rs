//! A recovery as a client of AWS sees it: started, read from its history, decided on. It prints nothing and judges nothing.

use crate::stack::StackEnv;
use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType};
use jiff::Timestamp;
use rewind_core::{PendingApproval, RecordedDecision};
use serde_json::{Value, json};

/// A started execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The name, which is the recovery's id.
    pub id: String,
    /// The ARN.
    pub arn: String,
}

/// Starts a recovery.
///
/// # Errors
///
/// When Step Functions refuses it.
pub async fn start(stack: &StackEnv, id: &str, request: &Value) -> Result<Execution> {
    let started = stack
        .sfn()
        .start_execution()
        .state_machine_arn(&stack.outputs.state_machine_arn)
        .name(id)
        .input(request.to_string())
        .send()
        .await
        .with_context(|| format!("the execution {id} could not be started"))?;
    Ok(Execution { id: id.to_owned(), arn: started.execution_arn })
}

/// Something that happened in an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionEvent {
    /// A state that takes time began.
    Entered {
        /// The state's name.
        state: String,
        /// The time of the event.
        at: Timestamp,
    },
    /// That state ended.
    Left {
        /// The state's name.
        state: String,
        /// The time of the event.
        at: Timestamp,
        /// The state's output; null where it was left by an error.
        output: Value,
    },
    /// An attempt at a task failed; the state machine decides what follows.
    Failed {
        /// The error's name.
        error: String,
        /// The cause in the history.
        cause: String,
    },
    /// The execution ended well.
    Succeeded(Value),
    /// The execution ended otherwise.
    Ended {
        /// The error's name.
        error: String,
        /// The cause in the history.
        cause: String,
    },
}

/// A reader of an execution's history that returns each event once.
#[derive(Debug)]
pub struct History {
    client: aws_sdk_sfn::Client,
    arn: String,
    seen: i64,
}

impl History {
    /// Reads from the beginning.
    #[must_use]
    pub fn of(stack: &StackEnv, execution: &Execution) -> Self {
        Self { client: stack.sfn(), arn: execution.arn.clone(), seen: 0 }
    }

    /// Reads what has happened since the last call, oldest first.
    ///
    /// # Errors
    ///
    /// When Step Functions refuses.
    pub async fn new_events(&mut self) -> Result<Vec<ExecutionEvent>> {
        // Newest first: each call reads only what is new, however long the history is. From the oldest on, each would read it all.
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
                .context("the execution's history could not be read")?;
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

// States that take no time (Choice, Pass, Succeed) are left out: nobody watches them.
fn read(event: &HistoryEvent) -> Option<ExecutionEvent> {
    let at = Timestamp::from_nanosecond(event.timestamp.as_nanos()).unwrap_or_default();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let json = |text: Option<&str>| serde_json::from_str(text.unwrap_or_default()).unwrap_or_default();
    match event.r#type {
        HistoryEventType::TaskStateEntered | HistoryEventType::WaitStateEntered => {
            Some(ExecutionEvent::Entered { state: event.state_entered_event_details()?.name.clone(), at })
        }
        HistoryEventType::TaskStateExited | HistoryEventType::WaitStateExited => {
            let left = event.state_exited_event_details()?;
            Some(ExecutionEvent::Left { state: left.name.clone(), at, output: json(left.output()) })
        }
        HistoryEventType::TaskFailed => {
            let failed = event.task_failed_event_details()?;
            Some(ExecutionEvent::Failed { error: text(failed.error()), cause: text(failed.cause()) })
        }
        HistoryEventType::TaskTimedOut => {
            let failed = event.task_timed_out_event_details()?;
            Some(ExecutionEvent::Failed { error: text(failed.error()), cause: text(failed.cause()) })
        }
        HistoryEventType::ExecutionSucceeded => {
            Some(ExecutionEvent::Succeeded(json(event.execution_succeeded_event_details()?.output())))
        }
        HistoryEventType::ExecutionFailed => {
            let failed = event.execution_failed_event_details();
            let failed = failed.map(|failed| (text(failed.error()), text(failed.cause())));
            let (error, cause) = failed.unwrap_or_default();
            Some(ExecutionEvent::Ended { error, cause })
        }
        // These have no error of the recovery's own: somebody stopped it, or the machine's time was over.
        HistoryEventType::ExecutionAborted | HistoryEventType::ExecutionTimedOut => Some(ExecutionEvent::Ended {
            error: event.r#type.as_str().to_owned(),
            cause: "it was ended from outside".to_owned(),
        }),
        _ => None,
    }
}

/// Reads the approval that a recovery waits for now, if it does.
///
/// # Errors
///
/// When DynamoDB refuses.
pub async fn pending_approval(stack: &StackEnv, id: &str) -> Result<Option<PendingApproval>> {
    let item = stack
        .dynamodb()
        .get_item()
        .table_name(&stack.outputs.table_name)
        .key("id", AttributeValue::S(format!("recovery#{id}")))
        // The item gets a fresh token with each slice of the wait: an old one is refused.
        .consistent_read(true)
        .send()
        .await
        .context("the recovery's item could not be read")?
        .item;
    let Some(AttributeValue::M(approval)) = item.and_then(|mut item| item.remove("approval")) else { return Ok(None) };
    let text = |name: &str| approval.get(name).and_then(|value| value.as_s().ok()).cloned();
    let time = |name: &str| text(name).and_then(|at| at.parse().ok());
    let (token, hash, requested_at, expires_at) =
        (text("taskToken"), text("hash"), time("requestedAt"), time("expiresAt"));
    let (Some(task_token), Some(hash), Some(requested_at), Some(expires_at)) = (token, hash, requested_at, expires_at)
    else {
        return Ok(None);
    };
    Ok(Some(PendingApproval { task_token, hash, requested_at, expires_at, last_refused: None }))
}

/// Sends a decision. Returns false when no task waits with that token any more: a fresh one is in the item soon.
///
/// # Errors
///
/// When Step Functions refuses for another reason.
pub async fn decide(stack: &StackEnv, pending: &PendingApproval, decision: &str, comment: &str) -> Result<bool> {
    let decision = RecordedDecision {
        decision: Some(decision.to_owned()),
        by: Some("the demo".to_owned()),
        comment: Some(comment.to_owned()),
        hash: Some(pending.hash.clone()),
        ..RecordedDecision::default()
    };
    let output = json!(decision).to_string();
    let sent = stack.sfn().send_task_success().task_token(&pending.task_token).output(output).send().await;
    match sent {
        Ok(_) => Ok(true),
        // The wait is cut into slices, each with a fresh token, so that one can expire between reading and sending.
        Err(error) if error.as_service_error().is_some_and(|e| e.is_task_timed_out() || e.is_task_does_not_exist()) => {
            Ok(false)
        }
        Err(error) => Err(error).context("the decision could not be sent"),
    }
}
