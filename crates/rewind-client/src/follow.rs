//! Follows an execution by its history. It changes nothing: an execution goes on whether somebody follows it or not.

use crate::status::ending_of;
use crate::{ClientError, ClientResult, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::executions::{Execution, Executions, Status, What};
use rewind_core::Ending;
use serde_json::Value;

/// A step of an execution's progress.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgressEvent {
    /// A state was entered.
    StateEntered {
        /// The state's name.
        state: String,
        /// The time of the event.
        at: Timestamp,
    },
    /// A state was left.
    StateExited {
        /// The state's name.
        state: String,
        /// The time of the event.
        at: Timestamp,
        /// The time at which the state was entered.
        since: Timestamp,
        /// The state's output.
        output: Value,
    },
    /// An attempt at a task failed; the state machine decides what follows.
    AttemptFailed {
        /// The error's name.
        error: String,
        /// The error's cause.
        cause: String,
    },
    /// The execution ended.
    Ended {
        /// The ending.
        ending: Ending,
        /// The execution as it is described then.
        execution: Box<Execution>,
    },
}

/// The number of the event with which a history enters its first state, behind that of its start.
const FIRST_STATE: i64 = 2;

/// A reader of an execution's history that remembers how far it has read.
#[derive(Debug, Clone)]
pub struct ExecutionFollower {
    arn: String,
    /// The number of the last event that was read.
    last_event: i64,
    /// The state that was entered last, and the time of that.
    last_state: Option<(String, Timestamp)>,
    has_ended: bool,
}

impl ExecutionFollower {
    /// Starts at the beginning of the history; of a long one only the last part has more than the states that were entered.
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), last_event: 0, last_state: None, has_ended: false }
    }

    /// Reads the events since the last call, in order. `Ended` is the last one and comes once the end is described.
    ///
    /// # Errors
    ///
    /// Errors of AWS; `Unknown` where the execution is gone.
    pub async fn events<E: Executions, R, F>(
        &mut self,
        client: &RecoveryClient<E, R, F>,
    ) -> ClientResult<Vec<ProgressEvent>> {
        let mut progress = Vec::new();
        let mut events = client.executions.events(&self.arn, self.last_event).await?;
        // Otherwise a wait of hours would seem to have begun with the first of the events that were read.
        if self.last_event == 0
            && let Some(first) = events.first().map(|event| event.id).filter(|first| *first > FIRST_STATE)
        {
            events.splice(0..0, client.executions.entered_before(&self.arn, first).await?);
        }
        for event in events {
            // Kept between the calls: after a poll that failed, nothing is shown twice and nothing is skipped.
            self.last_event = event.id;
            match event.what {
                What::Entered(state) => {
                    self.last_state = Some((state.clone(), event.at));
                    progress.push(ProgressEvent::StateEntered { state, at: event.at });
                }
                What::Left(state, output) => {
                    let entered = self.last_state.as_ref().filter(|(last, _)| *last == state);
                    let since = entered.map_or(event.at, |(_, at)| *at);
                    progress.push(ProgressEvent::StateExited { state, at: event.at, since, output });
                }
                What::Failed(error, cause) => progress.push(ProgressEvent::AttemptFailed { error, cause }),
                // Remembered, because the history names the end once and the description may need another call.
                What::Ended => self.has_ended = true,
            }
        }
        if self.has_ended {
            let execution = client.executions.execution(&self.arn).await?;
            let execution = execution.ok_or_else(|| ClientError::Unknown(self.arn.clone()))?;
            // GetExecutionHistory may know the end a moment before DescribeExecution does: without the description
            // neither output nor error is known, so the next call looks again.
            if execution.status != Status::Running {
                let ending = ending_of(&execution, self.last_state.as_ref().map(|(state, _)| state.as_str()));
                progress.push(ProgressEvent::Ended { ending, execution: Box::new(execution) });
            }
        }
        Ok(progress)
    }
}
