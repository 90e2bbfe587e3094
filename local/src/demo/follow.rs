//! Follows an execution to its end: each state is shown when it has ended, and where a person is asked, the demo shows the
//! proposal and approves it. It changes nothing else.

use super::recovery::{Execution, ExecutionEvent, History, decide, pending};
use super::show;
use super::stop::{Because, Stop};
use super::story::{Story, count};
use super::writer::Writer;
use crate::stack::StackEnv;
use jiff::Timestamp;
use rewind_core::{Difference, FenceLayer, MovedRecord, Plan, Proposal, Report, Restored};
use rewind_ui::{format, progress};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two looks at the history.
const POLL: Duration = Duration::from_millis(150);
/// The time after which following gives up: far longer than a recovery of a small database takes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How an execution ended, and what was seen on the way.
#[derive(Debug)]
pub struct Followed {
    /// The ending.
    pub end: End,
    /// The moment from which the cluster took no write.
    pub fenced_at: Option<Timestamp>,
    /// Every visit of a state that takes time, in order, with its seconds.
    pub spent: Vec<(String, f64)>,
}

/// The two endings.
#[derive(Debug)]
pub enum End {
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

/// The titles of the chapters before and after the decision.
#[derive(Debug, Clone, Copy)]
pub struct Chapters {
    /// The title where a person decides.
    pub decision: &'static str,
    /// The title of what follows.
    pub after: &'static str,
}

/// Follows the execution to its end and decides where it asks.
pub async fn follow(
    stack: &StackEnv,
    story: &Story,
    writer: &Writer,
    execution: &Execution,
    chapters: Chapters,
) -> Result<Followed, Stop> {
    let mut history = History::of(stack, execution);
    let mut entered: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut approval = Approval::default();
    let (mut fenced_at, mut spent) = (None, Vec::new());
    let deadline = Instant::now() + TIMEOUT;
    story.doing("the execution starts", "");
    loop {
        for event in history.events().await? {
            match event {
                ExecutionEvent::Entered { state, at } => {
                    story.doing(&state, progress(&state).unwrap_or_default());
                    approval.requested = state == "RequestApproval" && !approval.given;
                    entered.insert(state, at);
                }
                ExecutionEvent::Left { state, at, output } => {
                    story.idle();
                    let since = entered.remove(&state).unwrap_or(at);
                    let seconds = at.duration_since(since).as_secs_f64();
                    story.done(seconds, &state, progress(&state).unwrap_or_default());
                    let payload = output.get("Payload").cloned().unwrap_or_default();
                    if state == "FenceSource" {
                        fenced_at = payload.get("fencedAt").and_then(Value::as_str).and_then(|at| at.parse().ok());
                    }
                    // A state that is left by a Catch has no output of its function.
                    if !payload.is_null() {
                        show_output(story, &state, payload, &mut approval)?;
                    }
                    if state == "RequestApproval" && approval.given {
                        story.chapter(chapters.after);
                    }
                    spent.push((state, seconds));
                }
                ExecutionEvent::Failed { error, cause } => story.warn(format_args!("{error}: {}", message(&cause))),
                ExecutionEvent::Succeeded(output) => {
                    story.idle();
                    return Ok(Followed { end: End::Recovered(output), fenced_at, spent });
                }
                ExecutionEvent::Ended { error, cause } => {
                    story.idle();
                    return Ok(Followed { end: End::Failed { error, cause }, fenced_at, spent });
                }
            }
        }
        if approval.requested {
            approve(stack, story, execution, &mut approval, chapters).await?;
        }
        if Instant::now() > deadline {
            return Err(Stop::new(format!("the execution {} does not end; it was left running", execution.id)));
        }
        story.tick(&beside(writer));
        sleep(POLL).await;
    }
}

/// Takes a function's message out of the JSON that Lambda wraps it in.
fn message(cause: &str) -> String {
    let envelope: Option<Value> = serde_json::from_str(cause).ok();
    let inner = envelope.as_ref().and_then(|envelope| envelope.get("errorMessage")).and_then(Value::as_str);
    inner.unwrap_or(cause).to_owned()
}

/// Sums up the writes of the application so far.
pub fn beside(writer: &Writer) -> String {
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
}

/// Shows the output of a state, where that is of interest.
fn show_output(story: &Story, state: &str, payload: Value, approval: &mut Approval) -> Result<(), Stop> {
    match state {
        "ValidateWindow" => {
            let plan: Plan = read(state, payload)?;
            show::document(story, &format::plan(&plan));
            approval.plan = Some(plan);
        }
        "Verify" => {
            let report: Report = read(state, payload)?;
            // In place it is approved already, so the report belongs to no proposal.
            match approval.given {
                true => show::document(story, &format::report(&report)),
                false => approval.report = Some(report),
            }
        }
        "CloneSource" => {
            let name = payload.get("cluster").and_then(Value::as_str).unwrap_or_default();
            story.say(format_args!("          {name}: all that was written until now stays there"));
        }
        "AwaitRewind" => {
            if let Some(restored) = payload.get("restored") {
                let landed = restored.get("rewoundTo").and_then(Value::as_str).unwrap_or_default();
                story.say(format_args!("          it landed on {landed}, the nearest consistent time"));
            }
        }
        state if state.starts_with("Undo") => {
            for what in payload.get("what").and_then(Value::as_array).into_iter().flatten() {
                story.say(format_args!("          {}", what.as_str().unwrap_or_default()));
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
                story.say(format_args!("          {layer:<9} {did}"));
            }
        }
        "SwapDns" => {
            let records = payload.get("records").cloned().unwrap_or_default();
            for MovedRecord { name, to, .. } in read::<Vec<MovedRecord>>(state, records)? {
                story.say(format_args!("          {name} -> {to}"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Shows the proposal, and approves it.
async fn approve(
    stack: &StackEnv,
    story: &Story,
    execution: &Execution,
    approval: &mut Approval,
    chapters: Chapters,
) -> Result<(), Stop> {
    let Some(pending) = pending(stack, &execution.id).await? else { return Ok(()) };
    if !approval.shown {
        story.idle();
        story.chapter(chapters.decision);
        let proposal = Proposal {
            plan: approval.plan.clone().ok_or_else(|| Stop::new("there is a request for approval, and no plan"))?,
            restored: approval.restored.clone(),
            report: approval.report.clone(),
            differences: approval.differences.clone(),
        };
        if proposal.hash() != pending.hash {
            return Err(Stop::new(format!(
                "the proposal has the hash {}, and {} is asked",
                proposal.hash(),
                pending.hash
            )));
        }
        // The plan was shown when it was made.
        show::document(story, &format::decision_basis(&proposal));
        story.say(format_args!("Decide until {}; the proposal has the hash {}.", pending.expires_at, pending.hash));
        approval.shown = true;
    }
    if decide(stack, &pending, "approved", "as planned").await? {
        story.say("The demo approves, in the place of a person: SendTaskSuccess with that hash.");
        approval.given = true;
        approval.requested = false;
    }
    Ok(())
}

fn read<T: DeserializeOwned>(state: &str, output: Value) -> Result<T, Stop> {
    serde_json::from_value(output).because(format!("the output of {state} is not as documented"))
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
