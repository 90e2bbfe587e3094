//! Following an execution to its end: each state is told when it has ended, and where a person is asked, the demo shows what
//! there is to decide on and approves. It changes nothing else.

use super::recovery::{Execution, History, News, decide, pending};
use super::show;
use super::stop::{Because, Stop};
use super::story::{Story, count};
use super::writer::Writer;
use crate::stack::StackEnv;
use jiff::Timestamp;
use rewind_core::{Difference, Plan, Report};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the history is looked at.
const POLL: Duration = Duration::from_millis(150);
/// Far longer than a recovery of a small database takes.
const LONGEST: Duration = Duration::from_secs(600);

/// How an execution ended, and what was seen on the way.
#[derive(Debug)]
pub struct Followed {
    /// Its end.
    pub end: End,
    /// From when on the cluster took no write.
    pub fenced_at: Option<Timestamp>,
    /// Every visit of a state that takes time, in order, with its seconds.
    pub spent: Vec<(String, f64)>,
}

/// The two ends.
#[derive(Debug)]
pub enum End {
    /// It recovered; what it put out.
    Recovered(Value),
    /// It did not.
    Failed {
        /// The error's name.
        error: String,
        /// What a person is told.
        cause: String,
    },
}

/// The chapters that begin where a person is asked, and where the answer was given.
#[derive(Debug, Clone, Copy)]
pub struct Chapters {
    /// A person decides.
    pub decision: &'static str,
    /// What follows.
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
    let deadline = Instant::now() + LONGEST;
    story.doing("the execution starts", "");
    loop {
        for news in history.news().await? {
            match news {
                News::Entered { state, at } => {
                    story.doing(&state, show::activity(&state));
                    approval.wanted = state == "RequestApproval" && !approval.given;
                    entered.insert(state, at);
                }
                News::Left { state, at, output } => {
                    story.idle();
                    let since = entered.remove(&state).unwrap_or(at);
                    let seconds = at.duration_since(since).as_secs_f64();
                    story.done(seconds, &state, show::activity(&state));
                    let payload = output.get("Payload").cloned().unwrap_or_default();
                    if state == "FenceSource" {
                        fenced_at = payload.get("fencedAt").and_then(Value::as_str).and_then(|at| at.parse().ok());
                    }
                    // A state that is left by its failure answered nothing.
                    if !payload.is_null() {
                        tell_state(story, &state, payload, &mut approval)?;
                    }
                    if state == "RequestApproval" && approval.given {
                        story.chapter(chapters.after);
                    }
                    spent.push((state, seconds));
                }
                News::Failed { error, cause } => story.warn(format_args!("{error}: {}", message(&cause))),
                News::Succeeded(output) => {
                    story.idle();
                    return Ok(Followed { end: End::Recovered(output), fenced_at, spent });
                }
                News::Ended { error, cause } => {
                    story.idle();
                    return Ok(Followed { end: End::Failed { error, cause }, fenced_at, spent });
                }
            }
        }
        if approval.wanted {
            approve(stack, story, execution, &mut approval, chapters).await?;
        }
        if Instant::now() > deadline {
            return Err(Stop::new(format!("the execution {} does not end; it was left running", execution.id)));
        }
        story.tick(&beside(writer));
        sleep(POLL).await;
    }
}

/// What a function said in an error, out of the envelope that Lambda puts it in.
fn message(cause: &str) -> String {
    let envelope: Option<Value> = serde_json::from_str(cause).ok();
    let inner = envelope.as_ref().and_then(|envelope| envelope.get("errorMessage")).and_then(Value::as_str);
    inner.unwrap_or(cause).to_owned()
}

/// How the application fares.
pub fn beside(writer: &Writer) -> String {
    let refused = match writer.refusals() {
        0 => String::new(),
        refusals => format!(", {} connections refused", count(refusals)),
    };
    format!("{} writes acknowledged{refused}", count(writer.acknowledged()))
}

/// What a person sees before deciding.
#[derive(Debug, Default)]
struct Approval {
    wanted: bool,
    given: bool,
    shown: bool,
    report: Option<Report>,
    differences: Vec<Difference>,
}

/// Tells what a state answered, where that is of interest.
fn tell_state(story: &Story, state: &str, payload: Value, approval: &mut Approval) -> Result<(), Stop> {
    let odd = format!("what {state} answered is not as documented");
    match state {
        "ValidateWindow" => show::plan(story, &serde_json::from_value::<Plan>(payload).because(odd)?),
        "Verify" => {
            let report: Report = serde_json::from_value(payload).because(odd)?;
            // Already approved, there is nothing left to decide on it.
            match approval.given {
                true => show::report(story, &report),
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
            let found: Vec<Difference> = serde_json::from_value(found).because(odd)?;
            approval.differences.extend(found);
        }
        "FenceSource" => {
            for layer in payload.get("layers").and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| layer.get(name).and_then(Value::as_str).unwrap_or_default();
                story.say(format_args!("          {:<9} {}", text("layer"), text("did")));
            }
        }
        "SwapDns" => {
            for record in payload.get("records").and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
                story.say(format_args!("          {} -> {}", text("name"), text("to")));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Shows what there is to decide on, and approves it.
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
        match approval.report.take() {
            Some(report) => {
                story.say(
                    "Nothing has been moved: the application still writes to the source. The restored cluster was looked at:",
                );
                show::report(story, &report);
                show::differences(story, &std::mem::take(&mut approval.differences));
            }
            None => story.say("Nothing has been changed yet. What is decided on is the plan, with its warnings."),
        }
        story.say(format_args!(
            "Decide until {}; what is decided on has the hash {}.",
            pending.expires_at, pending.hash
        ));
        approval.shown = true;
    }
    if decide(stack, &pending, "approved", "as planned").await? {
        story.say("The demo approves, in the place of a person: SendTaskSuccess with that hash.");
        approval.given = true;
        approval.wanted = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_without_its_envelope() {
        let cause = r#"{"errorType":"VerificationFailed","errorMessage":"too few rows"}"#;
        assert_eq!(message(cause), "too few rows");
        assert_eq!(message("no JSON"), "no JSON");
    }
}
