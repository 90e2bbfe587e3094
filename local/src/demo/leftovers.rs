//! Recoveries that an interrupted demo left running. They are ended by what any client may do, and never stopped: an execution that
//! is stopped half-way does not undo what it did.

use super::console::Console;
use super::names::RECOVERY_PREFIX;
use super::recovery::{Execution, ExecutionEvent, History, decide, pending_approval};
use crate::stack::StackEnv;
use anyhow::{Context, Result, bail};
use aws_sdk_sfn::types::ExecutionStatus;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Longer than a recovery of a small database takes, its undo included.
const END_TIMEOUT: Duration = Duration::from_secs(180);

/// Rejects the approvals that interrupted demos wait for, and waits for their recoveries to end.
///
/// # Errors
///
/// When one does not end.
pub async fn end_interrupted(stack: &StackEnv, console: &Console) -> Result<()> {
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
        .context("the executions could not be listed")?;
    // A recovery that somebody started by hand on this stack is theirs to decide.
    for execution in running.into_iter().filter(|execution| execution.name.starts_with(RECOVERY_PREFIX)) {
        let execution = Execution { id: execution.name, arn: execution.execution_arn };
        console.warn(format_args!("{} of an interrupted demo still runs", execution.id));
        let ended = end(stack, console, &execution).await?;
        console.end_activity();
        console.print(ended);
    }
    Ok(())
}

async fn end(stack: &StackEnv, console: &Console, execution: &Execution) -> Result<String> {
    console.start_activity(&format!("waiting for {} to end", execution.id), "if it asks for approval, that is refused");
    let mut history = History::of(stack, execution);
    let deadline = Instant::now() + END_TIMEOUT;
    let mut requested = false;
    while Instant::now() < deadline {
        for event in history.new_events().await? {
            match event {
                ExecutionEvent::Succeeded(_) => return Ok(format!("{} ended in Recovered", execution.id)),
                ExecutionEvent::Ended { error, .. } => return Ok(format!("{} ended: {error}", execution.id)),
                ExecutionEvent::Entered { state, .. } => requested = state == "RequestApproval",
                _ => {}
            }
        }
        // The item may still hold the token of the slice before: then nobody waits with it, and the next look finds the new one.
        if requested
            && let Some(pending) = pending_approval(stack, &execution.id).await?
            && decide(stack, &pending, "rejected", "the demo that started it was interrupted").await?
        {
            requested = false;
        }
        console.tick("");
        sleep(POLL_INTERVAL).await;
    }
    bail!("{} does not end; next step: make down, and once more", execution.id)
}
