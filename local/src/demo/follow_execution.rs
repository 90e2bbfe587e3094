//! Follows an execution to its end: each state is shown when it has ended, and where a person is asked, the demo shows the
//! proposal and approves it. It changes nothing else.

use super::console::{Console, count};
use super::recovery::{Execution, ExecutionEvent, History, decide, pending_approval};
use super::show;
use super::writer::Writer;
use crate::stack::StackEnv;
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use rewind_core::comparison::Comparison;
use rewind_core::{Difference, FenceLayer, Finding, MovedRecord, Plan, Proposal, Report, Restored, format_time};
use rewind_ui::format::Values;
use rewind_ui::{format, progress};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two looks at the history.
const POLL_INTERVAL: Duration = Duration::from_millis(150);
/// The time after which following gives up: far longer than a recovery of a small database takes.
const EXECUTION_TIMEOUT: Duration = Duration::from_secs(600);

/// How an execution ended, and what was seen on the way.
#[derive(Debug)]
pub struct Followed {
    /// The ending.
    pub end: ExecutionEnd,
    /// The moment from which the cluster took no write.
    pub fenced_at: Option<Timestamp>,
    /// Every visit of a state that takes time, in order, with its seconds.
    pub spent: Vec<(String, f64)>,
}

/// The two endings.
#[derive(Debug)]
pub enum ExecutionEnd {
    /// It recovered, with this output.
    Recovered(Value),
    /// It failed.
    Failed {
        /// The error's name.
        error: String,
        /// The cause, for a person.
        cause: String,
    },
}

/// The titles of the headings before and after the decision.
#[derive(Debug, Clone, Copy)]
pub struct Headings {
    /// The title where a person decides.
    pub decision: &'static str,
    /// The title of what follows.
    pub after: &'static str,
}

/// Follows the execution to its end and decides where it asks.
pub async fn follow(
    stack: &StackEnv,
    console: &Console,
    writer: &Writer,
    execution: &Execution,
    headings: Headings,
) -> Result<Followed> {
    let mut history = History::of(stack, execution);
    let mut entered: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut approval = Approval::default();
    let (mut fenced_at, mut spent) = (None, Vec::new());
    let deadline = Instant::now() + EXECUTION_TIMEOUT;
    console.start_activity("the execution starts", "");
    loop {
        for event in history.new_events().await? {
            match event {
                ExecutionEvent::Entered { state, at } => {
                    console.start_activity(&state, progress(&state).unwrap_or_default());
                    approval.requested = state == "RequestApproval" && !approval.given;
                    entered.insert(state, at);
                }
                ExecutionEvent::Left { state, at, output } => {
                    console.end_activity();
                    let since = entered.remove(&state).unwrap_or(at);
                    let seconds = at.duration_since(since).as_secs_f64();
                    console.step_done(seconds, &state, progress(&state).unwrap_or_default());
                    let payload = output.get("Payload").cloned().unwrap_or_default();
                    // From the state's result and not from the output: a recovery that fails later has no output.
                    if state == "FenceSource" {
                        fenced_at = payload.get("fencedAt").and_then(Value::as_str).and_then(|at| at.parse().ok());
                    }
                    // A state that is left by a Catch has no output of its function.
                    if !payload.is_null() {
                        show_output(console, &state, payload, &mut approval)?;
                    }
                    if state == "RequestApproval" && approval.given {
                        console.heading(headings.after);
                    }
                    spent.push((state, seconds));
                }
                ExecutionEvent::Failed { error, cause } => console.warn(format_args!("{error}: {}", message(&cause))),
                ExecutionEvent::Succeeded(output) => {
                    console.end_activity();
                    return Ok(Followed { end: ExecutionEnd::Recovered(output), fenced_at, spent });
                }
                ExecutionEvent::Ended { error, cause } => {
                    console.end_activity();
                    return Ok(Followed { end: ExecutionEnd::Failed { error, cause }, fenced_at, spent });
                }
            }
        }
        // After all events of this look: the report of Verify may be among them, and is printed with the question.
        if approval.requested {
            approve(stack, console, execution, &mut approval, headings).await?;
        }
        // Left running, not stopped: a recovery that is stopped half-way undoes nothing.
        if Instant::now() > deadline {
            bail!("the execution {} does not end; it was left running", execution.id);
        }
        console.tick(&write_progress(writer));
        sleep(POLL_INTERVAL).await;
    }
}

/// Takes a function's message out of the JSON that Lambda wraps it in.
fn message(cause: &str) -> String {
    let envelope: Option<Value> = serde_json::from_str(cause).ok();
    let inner = envelope.as_ref().and_then(|envelope| envelope.get("errorMessage")).and_then(Value::as_str);
    inner.unwrap_or(cause).to_owned()
}

/// Sums up the writes of the application so far.
pub fn write_progress(writer: &Writer) -> String {
    let refused = match writer.refusals() {
        0 => String::new(),
        refusals => format!(", {} connections refused", count(refusals)),
    };
    format!("{} writes acknowledged{refused}", count(writer.acknowledged()))
}

/// The parts of the proposal as the states put them out, and how far its approval is.
#[derive(Debug, Default)]
struct Approval {
    requested: bool,
    given: bool,
    shown: bool,
    plan: Option<Plan>,
    restored: Option<Restored>,
    report: Option<Report>,
    differences: Vec<Difference>,
    comparison: Option<Comparison>,
}

/// Shows the output of a state, where that is of interest.
fn show_output(console: &Console, state: &str, payload: Value, approval: &mut Approval) -> Result<()> {
    match state {
        "ValidateWindow" => {
            let plan: Plan = read(state, payload)?;
            show::document(console, &format::plan(&plan));
            approval.plan = Some(plan);
        }
        "Preflight" => {
            let findings = payload.get("findings").cloned().unwrap_or_default();
            let findings: Vec<Finding> = read(state, findings)?;
            for finding in &findings {
                console.print(format_args!("          ! {finding}"));
            }
            // People decide on the plan with its findings: without them the hash would be another.
            if let Some(plan) = &mut approval.plan {
                plan.findings = findings;
            }
        }
        "Verify" => {
            let report: Report = read(state, payload)?;
            // In place it is approved already, so the report belongs to no proposal.
            match approval.given {
                true => show::document(console, &format::report(&report, Values::Shown)),
                false => approval.report = Some(report),
            }
        }
        "CompareTables" => approval.comparison = Some(read(state, payload)?),
        "CloneSource" => {
            let name = payload.get("cluster").and_then(Value::as_str).unwrap_or_default();
            console.print(format_args!("          {name}: all that was written until now stays there"));
        }
        "AwaitRewind" => {
            if let Some(restored) = payload.get("restored") {
                let landed = restored.get("rewoundTo").and_then(Value::as_str).unwrap_or_default();
                console.print(format_args!("          it landed on {landed}, the nearest consistent time"));
            }
        }
        state if state.starts_with("Undo") => {
            for what in payload.get("what").and_then(Value::as_array).into_iter().flatten() {
                console.print(format_args!("          {}", what.as_str().unwrap_or_default()));
            }
        }
        "StartRestore" | "AddInstances" => {
            let found = payload.get("differences").cloned().unwrap_or_default();
            approval.differences.extend(read::<Vec<Difference>>(state, found)?);
            if state == "StartRestore" {
                approval.restored = Some(read(state, payload)?);
            }
        }
        "FenceSource" => {
            let layers = payload.get("layers").cloned().unwrap_or_default();
            for FenceLayer { layer, did } in read::<Vec<FenceLayer>>(state, layers)? {
                console.print(format_args!("          {layer:<9} {did}"));
            }
        }
        "SwapDns" => {
            let records = payload.get("records").cloned().unwrap_or_default();
            for MovedRecord { name, to, .. } in read::<Vec<MovedRecord>>(state, records)? {
                console.print(format_args!("          {name} -> {to}"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Shows the proposal, and approves it.
async fn approve(
    stack: &StackEnv,
    console: &Console,
    execution: &Execution,
    approval: &mut Approval,
    headings: Headings,
) -> Result<()> {
    let Some(pending) = pending_approval(stack, &execution.id).await? else { return Ok(()) };
    if !approval.shown {
        console.end_activity();
        console.heading(headings.decision);
        let proposal = Proposal {
            plan: approval.plan.clone().context("there is a request for approval, and no plan")?,
            restored: approval.restored.clone(),
            report: approval.report.clone(),
            differences: approval.differences.clone(),
            comparison: approval.comparison.clone(),
        };
        // Put together from the history alone, as a person could: an approval of something that was not shown must not be sent.
        if proposal.hash() != pending.hash {
            bail!("the proposal has the hash {}, and the request for approval {}", proposal.hash(), pending.hash);
        }
        // The plan was shown when it was made.
        show::document(console, &format::decision_basis(&proposal, Values::Shown));
        console.print(format_args!(
            "Decide until {}; the proposal has the hash {}.",
            format_time(pending.expires_at),
            pending.hash
        ));
        approval.shown = true;
    }
    // False means that the token was replaced since it was read: the next look at the item finds the new one.
    if decide(stack, &pending, "approved", "as planned").await? {
        console.print("The demo approves, in the place of a person: SendTaskSuccess with that hash.");
        approval.given = true;
        approval.requested = false;
    }
    Ok(())
}

fn read<T: DeserializeOwned>(state: &str, output: Value) -> Result<T> {
    serde_json::from_value(output).with_context(|| format!("the output of {state} is not as documented"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_without_the_json_around_it() {
        let cause = r#"{"errorType":"VerificationFailed","errorMessage":"too few rows"}"#;
        assert_eq!(message(cause), "too few rows");
        assert_eq!(message("no JSON"), "no JSON");
    }
}
