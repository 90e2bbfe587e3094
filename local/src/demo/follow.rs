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

/// Follows the execution to its end and decides where it asks.
pub async fn follow(stack: &StackEnv, story: &Story, writer: &Writer, execution: &Execution) -> Result<Value, Stop> {
    let mut history = History::of(stack, execution);
    let mut entered: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut approval = Approval::default();
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
                    story.done(at.duration_since(since).as_secs_f64(), &state, show::activity(&state));
                    tell_state(story, &state, &output, &mut approval)?;
                    if state == "RequestApproval" && approval.given {
                        story.chapter("6. The switch");
                    }
                }
                News::Failed { error, cause } => story.warn(format_args!("{error}: {cause}")),
                News::Succeeded(output) => {
                    story.idle();
                    return Ok(output);
                }
                News::Ended { error, cause } => {
                    story.idle();
                    return Err(Stop::new(format!("the execution {} ended in {error}: {cause}", execution.id)));
                }
            }
        }
        if approval.wanted {
            approve(stack, story, execution, &mut approval).await?;
        }
        if Instant::now() > deadline {
            return Err(Stop::new(format!("the execution {} does not end; it was left running", execution.id)));
        }
        story.tick(&beside(writer));
        sleep(POLL).await;
    }
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
    report: Option<Report>,
    differences: Vec<Difference>,
}

/// Tells what a state answered, where that is of interest.
fn tell_state(story: &Story, state: &str, output: &Value, approval: &mut Approval) -> Result<(), Stop> {
    let payload = output.get("Payload").cloned().unwrap_or_default();
    let odd = format!("what {state} answered is not as documented");
    match state {
        "ValidateWindow" => show::plan(story, &serde_json::from_value::<Plan>(payload).because(odd)?),
        "Verify" => approval.report = Some(serde_json::from_value(payload).because(odd)?),
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
async fn approve(stack: &StackEnv, story: &Story, execution: &Execution, approval: &mut Approval) -> Result<(), Stop> {
    let Some(pending) = pending(stack, &execution.id).await? else { return Ok(()) };
    if let Some(report) = approval.report.take() {
        story.idle();
        story.chapter("5. A person decides");
        story.say(
            "Nothing has been moved: the application still writes to the original. The new cluster was looked at:",
        );
        show::report(story, &report);
        show::differences(story, &std::mem::take(&mut approval.differences));
        story.say(format_args!(
            "Decide until {}; what is decided on has the hash {}.",
            pending.expires_at, pending.hash
        ));
    }
    if decide(stack, &pending, "approved", "the rows are back").await? {
        story.say("The demo approves, in the place of a person: SendTaskSuccess with that hash.");
        approval.given = true;
        approval.wanted = false;
    }
    Ok(())
}
