//! What an interrupted demo left behind: a recovery that still runs. It is brought to its end by what any client may do,
//! and never killed: a recovery that is killed half-way is not undone.

use super::recovery::{Execution, ExecutionEvent, History, decide, pending};
use super::scene::OPERATION;
use super::stop::{Because, Stop};
use super::story::Story;
use crate::stack::StackEnv;
use aws_sdk_sfn::types::ExecutionStatus;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(250);
/// Longer than a recovery of a small database takes, its undo included.
const PATIENCE: Duration = Duration::from_secs(180);

/// Refuses the approvals that interrupted demos wait for, and waits for their recoveries to end.
///
/// # Errors
///
/// When one does not end.
pub async fn settle(stack: &StackEnv, story: &Story) -> Result<(), Stop> {
    let running = stack
        .sfn()
        .list_executions()
        .state_machine_arn(&stack.outputs.state_machine_arn)
        .status_filter(ExecutionStatus::Running)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .because("the executions could not be listed")?;
    for execution in running.into_iter().filter(|execution| execution.name.starts_with(OPERATION)) {
        let execution = Execution { id: execution.name, arn: execution.execution_arn };
        story.warn(format_args!("{} of an interrupted demo still runs", execution.id));
        let ended = end(stack, story, &execution).await?;
        story.idle();
        story.say(ended);
    }
    Ok(())
}

async fn end(stack: &StackEnv, story: &Story, execution: &Execution) -> Result<String, Stop> {
    story.doing(&format!("waiting for {} to end", execution.id), "if it asks for approval, that is refused");
    let mut history = History::of(stack, execution);
    let deadline = Instant::now() + PATIENCE;
    let mut asked = false;
    while Instant::now() < deadline {
        for news in history.events().await? {
            match news {
                ExecutionEvent::Succeeded(_) => return Ok(format!("{} ended in Recovered", execution.id)),
                ExecutionEvent::Ended { error, .. } => return Ok(format!("{} ended: {error}", execution.id)),
                ExecutionEvent::Entered { state, .. } => asked = state == "RequestApproval",
                _ => {}
            }
        }
        if asked
            && let Some(pending) = pending(stack, &execution.id).await?
            && decide(stack, &pending, "rejected", "the demo that started it was interrupted").await?
        {
            asked = false;
        }
        story.tick("");
        sleep(POLL).await;
    }
    Err(Stop::new(format!("{} does not end; next step: make down, and once more", execution.id)))
}
