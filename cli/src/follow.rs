//! Follows an execution on the terminal: its present state, and for how long it has been there. It shows no percentage, for
//! nobody knows how long a restore takes; and whoever stops following stops nothing. At the end it looks how the clusters stand.

use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::{Output, for_stderr, to_stderr, width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use rewind_aws::Aws;
use rewind_aws::executions::Execution;
use rewind_aws::rds::Rds;
use rewind_aws::route53::Route53;
use rewind_client::{ClientError, ExecutionFollower, ProgressEvent};
use rewind_clock::{OutOfTime, SystemClock, within};
use rewind_core::{
    Clock, Ending, ErrorName, Finding, Outcome, Plan, Report, Standing, format_duration, printable, printable_lines,
};
use rewind_ui::format::Values;
use rewind_ui::{Document, Steps, format, is_plumbing, progress, render};
use serde_json::{Value, json};
use std::time::Duration;

/// The pause between two looks at the history in the first minutes.
// A plan takes seconds, and somebody waits for it.
const POLL: Duration = Duration::from_millis(500);
/// The pause after that.
// Everybody who calls GetExecutionHistory in this account and Region shares one quota, the functions of others too.
const POLL_LATER: Duration = Duration::from_secs(2);
/// The time after which the pause is the longer one.
const LATER: SignedDuration = SignedDuration::from_mins(2);

/// The time for which errors of AWS are tolerated before following ends.
// A recovery takes longer than the network of a laptop that is carried about.
const ERRORS_TOLERATED: SignedDuration = SignedDuration::from_mins(15);

/// The time for a look at how the clusters stand after the end.
pub(crate) const STANDING_TIMEOUT: Duration = Duration::from_secs(30);
/// The reason why nothing was seen after that time.
pub(crate) const TOO_LATE: &str = "AWS did not answer in time";

/// Follows an execution to its end, or until Ctrl-C. After the end of a recovery or an undo it shows how the clusters stand.
pub(crate) async fn follow(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    id: &str,
    arn: &str,
) -> Result<Completion, Failure> {
    let mut screen = Screen::new(*output, id);
    // None where it was started a moment ago, and where it cannot be read: following needs no record.
    if let Ok(recovery) = client.recovery(id).await {
        screen.asked = recovery.approval.map(|approval| approval.requested_at);
        screen.plan = recovery.plan;
    }
    let mut follower = ExecutionFollower::new(arn);
    let mut failing_since: Option<Timestamp> = None;
    loop {
        let events = tokio::select! {
            // First: a person who wants to leave shall not wait for AWS.
            biased;
            _ = tokio::signal::ctrl_c() => {
                screen.leave();
                // A script that is interrupted still gets one document, with the id by which it can ask again.
                output.script(&json!({ "outcome": "Running", "recoveryId": id }));
                return Ok(Completion::Interrupted);
            }
            events = next_events(&mut follower, client, &screen) => events,
        };
        match events {
            Ok(events) => {
                failing_since = None;
                for event in events {
                    if let ProgressEvent::Ended { ending, execution } = event {
                        return Ok(end(aws, client, &mut screen, ending, &execution).await);
                    }
                    screen.show(event);
                }
            }
            Err(ClientError::Aws(error)) if is_transient(error.name) && is_tolerable(failing_since) => {
                // Once for each interruption: a line for every failed poll would push the recovery off the screen.
                if failing_since.is_none() {
                    screen.note(&format!("the history cannot be read just now: {error}"));
                    failing_since = Some(SystemClock.now());
                }
            }
            Err(error) => {
                // The failure is the one document of a script.
                screen.leave();
                return Err(error.into());
            }
        }
    }
}

/// The time since which an execution is in a state that it entered at `at`, by the oldest event that was read.
fn since(state: &str, at: Timestamp, asked: Option<Timestamp>) -> Timestamp {
    match asked {
        Some(asked) if state == WAIT_FOR_PEOPLE => asked.min(at),
        _ => at,
    }
}

/// The state in which people decide.
const WAIT_FOR_PEOPLE: &str = "RequestApproval";

/// Shows the end, and how the clusters stand after it: as they are, and not as the recovery meant them to be.
async fn end(aws: &Aws, client: &AwsClient, screen: &mut Screen, ending: Ending, execution: &Execution) -> Completion {
    let (completion, End { mut json, text }) = screen.end(ending, execution);
    let output = screen.output;
    // A person sees the end at once. A script gets one document, so it waits for all of it.
    if !output.is_json() {
        output.result(&json, &text);
    }
    if let Some(recovery) = recovery_of(&screen.id, execution) {
        let unseen = |why: &str| Standing::not_seen(&recovery, why);
        let standing = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => unseen("interrupted"),
            seen = within(STANDING_TIMEOUT, standing(aws, client, &recovery)) => {
                seen.unwrap_or_else(|OutOfTime| unseen(TOO_LATE))
            }
        };
        output.more(&format::standing_after(&standing));
        if let Some(json) = json.as_object_mut() {
            json.insert("standing".to_owned(), json!(standing));
        }
    }
    if output.is_json() {
        output.result(&json, &text);
    }
    completion
}

/// Looks how the clusters of a recovery stand. A look that fails is told, and fails nothing: the recovery has ended as it has.
async fn standing(aws: &Aws, client: &AwsClient, recovery: &str) -> Standing {
    match client.recovery(recovery).await {
        Ok(record) => client.standing(&record, (&Rds::new(aws), &Route53::from_env(aws)), SystemClock.now()).await,
        Err(error) => Standing::not_seen(recovery, error.to_string()),
    }
}

/// The recovery whose clusters an execution worked on: the one that it undid, or itself. None for a dry run, which changes nothing.
fn recovery_of(id: &str, execution: &Execution) -> Option<String> {
    let is_dry_run = execution.input.get("dryRun") == Some(&Value::Bool(true));
    let undone = execution.input.get("recovery").and_then(Value::as_str);
    (!is_dry_run).then(|| undone.unwrap_or(id).to_owned())
}

/// The result of an execution that was followed, for a script and for a person.
struct End {
    json: Value,
    text: Document,
}

/// Waits a moment, then reads the events since the last call.
async fn next_events(
    follower: &mut ExecutionFollower,
    client: &AwsClient,
    screen: &Screen,
) -> Result<Vec<ProgressEvent>, ClientError> {
    SystemClock.sleep(screen.poll()).await;
    follower.events(client).await
}

/// True for an error that may be gone at the next call.
fn is_transient(error: ErrorName) -> bool {
    matches!(error, ErrorName::Unavailable | ErrorName::Throttled)
}

fn is_tolerable(failing_since: Option<Timestamp>) -> bool {
    failing_since.is_none_or(|since| SystemClock.now().duration_since(since) < ERRORS_TOLERATED)
}

/// The state that the execution is in.
struct CurrentState {
    name: String,
    since: Timestamp,
    /// The number of the step and of the last one, where it is a step of the plan.
    number: Option<(usize, usize)>,
    /// The status that was shown last.
    status: Option<String>,
    /// The error that was shown last.
    error: Option<String>,
}

/// The terminal that a recovery is shown on.
struct Screen {
    output: Output,
    id: String,
    bar: ProgressBar,
    began: Timestamp,
    current: Option<CurrentState>,
    /// The time at which people were asked before this began.
    // The state of the wait is entered each minute anew.
    asked: Option<Timestamp>,
    /// The plan that the record had when this began.
    plan: Option<Plan>,
    steps: Option<Steps>,
    /// The columns of the terminal; none in a pipe.
    width: Option<usize>,
}

/// The error of a conditional call whose condition does not hold.
const CONDITION_FAILED: &str = "DynamoDB.ConditionalCheckFailedException";

/// The most characters of a failed attempt's cause.
const CAUSE_MAX: usize = 120;

impl Screen {
    fn new(output: Output, id: &str) -> Self {
        // indicatif hides it where standard error is no terminal: there the lines of the states that ended remain.
        let target = if output.is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        // A line of its own for what a tired person asks first; a narrow terminal would cut it off behind the rest.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {wide_msg}\n  {prefix}") {
            bar.set_style(style);
        }
        // It moves between two polls too: a screen that stands still looks like a command that hangs.
        bar.enable_steady_tick(Duration::from_millis(120));
        bar.set_message("the execution starts");
        let width = width(&console::Term::stderr());
        Self {
            output,
            id: id.to_owned(),
            bar,
            began: SystemClock.now(),
            current: None,
            asked: None,
            plan: None,
            steps: None,
            width,
        }
    }

    fn poll(&self) -> Duration {
        if SystemClock.now().duration_since(self.began) < LATER { POLL } else { POLL_LATER }
    }

    /// Shows an event before the end.
    fn show(&mut self, event: ProgressEvent) {
        match event {
            ProgressEvent::StateEntered { state, at } => self.entered(state, at),
            ProgressEvent::StateExited { state, at, output, .. } => self.exited(&state, at, &output),
            ProgressEvent::AttemptFailed { error, cause } => self.attempt_failed(error, &cause),
            // The one who follows shows it: it takes a look at AWS.
            ProgressEvent::Ended { .. } => {}
        }
    }

    /// Ends the progress; returns how following ended, and the result.
    fn end(&mut self, ending: Ending, execution: &Execution) -> (Completion, End) {
        self.finished(execution.ended_at.unwrap_or_else(|| SystemClock.now()));
        self.bar.finish_and_clear();
        let end = self.result(ending, &execution.output, execution.error.as_deref(), execution.cause.as_deref());
        let blocked = matches!(
            Outcome::read(&execution.output),
            Ok(Outcome::Planned(planned)) if planned.plan.findings.iter().any(Finding::is_blocking)
        );
        (if blocked { Completion::Blocked } else { Completion::Ended(ending) }, end)
    }

    /// Shows that a state began.
    // A Choice or a Pass takes no time and is not shown. A state that is entered again, as each slice of a wait is, goes on.
    fn entered(&mut self, state: String, at: Timestamp) {
        let is_shown = self.output.is_verbose() || !is_plumbing(&state);
        let Some(sentence) = progress(&state).filter(|_| is_shown) else { return };
        if self.current.as_ref().is_some_and(|current| current.name == state) {
            return;
        }
        self.finished(at);
        self.plan_of_record(&state);
        let number = self.steps.as_mut().and_then(|steps| steps.enter(&state));
        // From the state's beginning, and not from that of this command, which may be an hour younger.
        let since = since(&state, at, self.asked);
        self.bar.set_elapsed(SystemClock.now().duration_since(since).unsigned_abs());
        self.bar.set_message(format!("{}{state}: {sentence}", step_of(number)));
        let moved = self.steps.as_ref().is_none_or(|steps| !steps.has_moved_nothing());
        self.bar.set_prefix(if moved { GOES_ON } else { NOTHING_MOVED });
        if state == WAIT_FOR_PEOPLE {
            self.line(&printable(&format!("{} waits for a decision: rewind approve {}", self.id, self.id)));
        }
        self.current = Some(CurrentState { name: state, since, number, status: None, error: None });
    }

    /// Counts the steps by the plan of the record, where a later step is entered and no output has shown the plan: of a long history the
    /// outputs of the first states are not read.
    fn plan_of_record(&mut self, state: &str) {
        let is_later = |plan: &mut Plan| Steps::of(plan).enter(state).is_some_and(|(number, _)| number > 1);
        if self.steps.is_none()
            && let Some(plan) = self.plan.take_if(is_later)
        {
            self.planned(&plan);
        }
    }

    /// Counts the steps by a plan, and shows it.
    fn planned(&mut self, plan: &Plan) {
        self.steps = Some(Steps::of(plan));
        if !plan.dry_run {
            let text = for_stderr(&format::plan(plan));
            self.line(text.trim_end());
        }
    }

    /// Shows how long the present state took, and that it is over.
    fn finished(&mut self, at: Timestamp) {
        if let Some(CurrentState { name, since, number, .. }) = self.current.take() {
            let seconds = at.duration_since(since).as_secs_f64();
            let number = number.map(|(step, last)| format!("{step}/{last}")).unwrap_or_default();
            let lead = format!("{seconds:>7.1} s  {number:>5}  ");
            let text = format!("{name:<18} {}", progress(&name).unwrap_or_default());
            let parts = render::broken(&text, self.width, lead.chars().count(), lead.chars().count());
            let indent = " ".repeat(lead.chars().count());
            self.line(&format!("{lead}{}", parts.join(&format!("\n{indent}"))));
        }
    }

    /// Shows the first of the same failures of a state. The state machine tries again, and the end says what came of it.
    fn attempt_failed(&mut self, error: String, cause: &str) {
        if self.output.is_verbose() {
            return self.note(&format!("{error}: {cause}"));
        }
        // A condition of the table that does not hold is an answer, by which the state machine goes on.
        if error == CONDITION_FAILED {
            return;
        }
        let Some(current) = &mut self.current else { return self.note(&format!("{error}: {}", short(cause))) };
        if current.error.as_ref() == Some(&error) {
            return;
        }
        let text = format!("{}: {error}: {}", current.name, short(cause));
        current.error = Some(error);
        self.note(&text);
    }

    fn exited(&mut self, state: &str, at: Timestamp, output: &Value) {
        let status = output.get("status").and_then(Value::as_str);
        if let (Some(status), Some(false)) = (status, output.get("done").and_then(Value::as_bool)) {
            // The state machine calls it again until it is done: that is shown as one wait.
            self.waiting(state, status);
            return;
        }
        if self.current.as_ref().is_some_and(|current| current.name == state) {
            self.finished(at);
        }
        if let Ok(plan) = serde_json::from_value::<Plan>(output.clone())
            && state == "ValidateWindow"
        {
            self.planned(&plan);
            if let Some(steps) = &mut self.steps {
                steps.enter(state);
            }
        }
        if let ("Verify" | "VerifyForward", Ok(report)) = (state, serde_json::from_value::<Report>(output.clone())) {
            let text = for_stderr(&format::report(&report, Values::Shown));
            self.line(text.trim_end());
        }
        if let ("Preflight", Some(findings)) = (state, output.get("findings")) {
            let findings: Vec<Finding> = serde_json::from_value(findings.clone()).unwrap_or_default();
            for finding in findings {
                self.note(&finding.to_string());
            }
        }
    }

    /// Shows what a state waits for, and RDS's own status of it.
    fn waiting(&mut self, state: &str, status: &str) {
        let Some(current) = self.current.as_mut().filter(|current| current.name == state) else { return };
        let is_new = current.status.as_deref() != Some(status);
        current.status = Some(status.to_owned());
        let status = printable(status);
        let (number, name) = (current.number, current.name.clone());
        self.bar.set_message(format!("{}{name}: {status}", step_of(number)));
        // A pipe has no line that is written over: what changes there is written below.
        if is_new && self.width.is_none() {
            self.line(&format!("           {}{name}: {status}", step_of(number)));
        }
    }

    fn result(&self, ending: Ending, output: &Value, error: Option<&str>, cause: Option<&str>) -> End {
        let mut document = json!({ "outcome": ending.name(), "recoveryId": self.id });
        // The local Step Functions gives a failed execution an output as well, which is no outcome.
        if let (Some(document), Some(output)) = (document.as_object_mut(), output.as_object())
            && error.is_none()
        {
            document.extend(output.clone());
        }
        if let (Some(document), Some(error)) = (document.as_object_mut(), error) {
            document.insert("error".to_owned(), Value::from(error));
            document.insert("cause".to_owned(), Value::from(cause));
        }
        let text = match ending {
            Ending::Planned | Ending::Recovered | Ending::Undone => match Outcome::read(output) {
                Ok(outcome) => format::outcome(&outcome),
                // It succeeded all the same: only how it went cannot be shown.
                Err(why) => format::failed(&self.id, ending, error, Some(&why)),
            },
            Ending::NothingChanged | Ending::RolledBack | Ending::NeedsOperator | Ending::Stopped => {
                format::failed(&self.id, ending, error, cause.map(|cause| self.output.in_words(cause)).as_deref())
            }
        };
        End { json: document, text }
    }

    /// Shows that the recovery goes on without being followed.
    fn leave(&self) {
        self.bar.finish_and_clear();
        let since = format_duration(SystemClock.now().duration_since(self.began));
        let notice = format!(
            "{} goes on: it was followed for {since}, and nothing was stopped.\nTo follow it again: rewind status {} --follow",
            self.id, self.id
        );
        to_stderr(&format!("{}\n", printable_lines(&notice)));
    }

    fn note(&self, text: &str) {
        let parts = render::broken(&printable(&self.output.in_words(text)), self.width, 13, 13);
        self.line(&format!("           ! {}", parts.join("\n             ")));
    }

    fn line(&self, text: &str) {
        if self.output.is_json() {
            return;
        }
        // The bar is redrawn below the line: written beside it, the line would end up within the bar.
        self.bar.suspend(|| to_stderr(&format!("{text}\n")));
    }
}

/// The line below the progress while nothing was changed that clients use.
const NOTHING_MOVED: &str = "safe to close: nothing has moved yet, and it goes on by itself";
/// The same later, and where it is not known.
const GOES_ON: &str = "safe to close: it goes on by itself";

fn step_of(number: Option<(usize, usize)>) -> String {
    number.map(|(step, last)| format!("step {step} of {last}  ")).unwrap_or_default()
}

/// The beginning of a cause, up to the end of what happened.
fn short(cause: &str) -> String {
    let happened = cause.split("; ").next().unwrap_or(cause);
    match happened.char_indices().nth(CAUSE_MAX) {
        Some((end, _)) => format!("{}… (-v shows all of it)", happened.get(..end).unwrap_or_default()),
        None => happened.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;
    use rewind_aws::executions::Status;
    use rewind_aws::fixtures::plan;

    fn execution(input: Value) -> Execution {
        Execution {
            arn: "arn".to_owned(),
            status: Status::Succeeded,
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            input,
            output: Value::Null,
            error: None,
            cause: None,
        }
    }

    #[test]
    fn after_an_undo_the_clusters_of_what_it_undid_are_looked_at_and_after_a_dry_run_none() {
        let of = |input| recovery_of("r-1-undo", &execution(input));
        assert_eq!(of(json!({ "recovery": "r-1", "by": "ann" })).as_deref(), Some("r-1"));
        assert_eq!(of(json!({ "cluster": "orders" })).as_deref(), Some("r-1-undo"));
        assert_eq!(of(json!({ "cluster": "orders", "dryRun": true })), None);
    }

    #[test]
    fn a_wait_for_people_began_when_they_were_asked_and_not_with_the_oldest_event_that_was_read() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (asked, read) = (time("2026-11-23T02:00:00Z"), time("2026-11-23T09:10:00Z"));
        assert_eq!(since(WAIT_FOR_PEOPLE, read, Some(asked)), asked);
        assert_eq!(since(WAIT_FOR_PEOPLE, read, None), read);
        assert_eq!(since("AwaitRewind", read, Some(asked)), read);
    }

    #[test]
    fn where_the_plan_is_in_no_event_that_was_read_steps_are_counted_by_the_record() {
        let options = Cli::parse_from(["rewind", "--json", "list"]).options;
        let at = "2026-11-23T10:40:00Z".parse().unwrap();
        let mut screen = Screen::new(Output::new(&options), "r-1");
        screen.plan = Some(plan());
        let mut number_of = |state: &str| {
            screen.entered(state.to_owned(), at);
            screen.current.as_ref().and_then(|current| current.number)
        };
        // Its own output shows the plan, which is newer than the record's.
        assert_eq!(number_of("ValidateWindow"), None);
        let last = Steps::of(&plan()).enter("AwaitRewind").unwrap().1;
        assert_eq!(number_of("AwaitRewind"), Some((4, last)));
        assert!(screen.steps.as_ref().is_some_and(Steps::has_moved_nothing));
    }

    #[test]
    fn a_failed_attempt_is_shown_in_one_short_line() {
        assert_eq!(short("RDS asks to wait; nothing was changed; next step: wait"), "RDS asks to wait");
        let long = short(&"ä".repeat(500));
        assert!(long.chars().count() < 150 && long.ends_with("(-v shows all of it)"), "{long}");
    }
}
