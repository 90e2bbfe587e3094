//! Follows a recovery on the terminal: which state it is in, for how long, and what is waited for. It shows no share of a
//! whole, for nobody knows how long a restore takes; and whoever stops looking stops nothing.

use crate::connect::AwsClient;
use crate::exit::{Done, Failure};
use crate::show::{Show, styled};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use rewind_client::{ClientError, Follow, News};
use rewind_clock::SystemClock;
use rewind_core::{Clock, ErrorName, Plan, format_duration};
use rewind_ui::{Ending, Text, say};
use serde_json::{Value, json};
use std::time::Duration;

/// How often the history is looked at: at first quickly, then as becomes something that takes minutes.
const POLL: Duration = Duration::from_millis(500);
const POLL_LATER: Duration = Duration::from_secs(2);
const LATER: SignedDuration = SignedDuration::from_mins(2);

/// How long looks may fail before following ends: a recovery takes longer than a laptop's network holds.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// Follows an execution to its end, or until Ctrl-C.
pub(crate) async fn follow(client: &AwsClient, show: &Show, id: &str, arn: &str) -> Result<Done, Failure> {
    let mut screen = Screen::new(*show, id);
    let mut history = Follow::new(arn);
    let mut troubled_since: Option<Timestamp> = None;
    loop {
        let news = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                screen.left();
                return Ok(Done::Interrupted);
            }
            news = look(&mut history, client, &screen) => news,
        };
        match news {
            Ok(news) => {
                troubled_since = None;
                for news in news {
                    if let Some(done) = screen.tell(news) {
                        return Ok(done);
                    }
                }
            }
            Err(ClientError::Aws(error)) if passes(error.name) && bearable(troubled_since) => {
                if troubled_since.is_none() {
                    screen.note(&format!("cannot look just now: {error}"));
                    troubled_since = Some(SystemClock.now());
                }
            }
            Err(error) => {
                screen.left();
                return Err(error.into());
            }
        }
    }
}

/// Waits a moment, then looks.
async fn look(history: &mut Follow, client: &AwsClient, screen: &Screen) -> Result<Vec<News>, ClientError> {
    SystemClock.sleep(screen.poll()).await;
    history.news(client).await
}

/// Whether an error may be gone at the next look.
fn passes(error: ErrorName) -> bool {
    matches!(error, ErrorName::Unavailable | ErrorName::Throttled)
}

fn bearable(troubled_since: Option<Timestamp>) -> bool {
    troubled_since.is_none_or(|since| SystemClock.now().duration_since(since) < PATIENCE)
}

/// What a recovery is doing.
struct Doing {
    state: String,
    since: Timestamp,
}

/// The terminal.
struct Screen {
    show: Show,
    id: String,
    bar: ProgressBar,
    began: Timestamp,
    doing: Option<Doing>,
}

impl Screen {
    fn new(show: Show, id: &str) -> Self {
        // Hidden where standard error is no terminal; there the lines of the ended states tell the story.
        let target = if show.is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar.set_message("the execution starts");
        Self { show, id: id.to_owned(), bar, began: SystemClock.now(), doing: None }
    }

    fn poll(&self) -> Duration {
        if SystemClock.now().duration_since(self.began) < LATER { POLL } else { POLL_LATER }
    }

    /// Tells news; answers how it ended, if it did.
    fn tell(&mut self, news: News) -> Option<Done> {
        match news {
            News::Entered { state, at } => self.entered(state, at),
            News::Left { state, at, answer, .. } => self.answered(&state, at, &answer),
            News::Failed { error, cause } => self.note(&format!("{error}: {cause}")),
            News::Ended { ending, execution } => {
                self.finished(execution.ended_at.unwrap_or_else(|| SystemClock.now()));
                self.bar.finish_and_clear();
                self.ended(ending, &execution.output, execution.error.as_deref(), execution.cause.as_deref());
                return Some(Done::Ended(ending));
            }
        }
        None
    }

    /// States that decide or pass on take no time and are not told. One that is entered again goes on.
    fn entered(&mut self, state: String, at: Timestamp) {
        let activity = say::activity(&state);
        if activity.is_empty() || self.doing.as_ref().is_some_and(|doing| doing.state == state) {
            return;
        }
        self.finished(at);
        self.bar.set_message(format!("{state}: {activity}"));
        if state == "RequestApproval" {
            self.line(&format!("{} waits for a decision: rewind approve {}", self.id, self.id));
        }
        self.doing = Some(Doing { state, since: at });
    }

    /// The state before is over.
    fn finished(&mut self, at: Timestamp) {
        if let Some(Doing { state, since }) = self.doing.take() {
            let seconds = at.duration_since(since).as_secs_f64();
            self.line(&format!("{seconds:>7.1} s  {state:<18} {}", say::activity(&state)));
        }
    }

    fn answered(&mut self, state: &str, at: Timestamp, answer: &Value) {
        let status = answer.get("status").and_then(Value::as_str);
        if let (Some(status), Some(false)) = (status, answer.get("done").and_then(Value::as_bool)) {
            // It is asked again until it is done: one wait, however many states.
            self.bar.set_message(format!("{state}: {}: {status}", say::activity(state)));
            return;
        }
        if self.doing.as_ref().is_some_and(|doing| doing.state == state) {
            self.finished(at);
        }
        if let Ok(plan) = serde_json::from_value::<Plan>(answer.clone())
            && state == "ValidateWindow"
            && !plan.dry_run
        {
            let text = styled(&say::plan(&plan));
            self.line(text.trim_end());
        }
    }

    fn ended(&self, ending: Ending, output: &Value, error: Option<&str>, cause: Option<&str>) {
        let mut document = json!({ "outcome": ending.name(), "recoveryId": self.id });
        if let (Some(document), Some(output)) = (document.as_object_mut(), output.as_object())
            && error.is_none()
        {
            document.extend(output.clone());
        }
        if let (Some(document), Some(error)) = (document.as_object_mut(), error) {
            document.insert("error".to_owned(), Value::from(error));
            document.insert("cause".to_owned(), Value::from(cause));
        }
        let mut text = Text::new();
        match ending {
            Ending::Recovered | Ending::Undone => text.extend(say::outcome(output)),
            Ending::Planned => match serde_json::from_value::<Plan>(output.get("plan").cloned().unwrap_or_default()) {
                Ok(plan) => text.extend(say::plan(&plan)),
                Err(_) => text.extend(say::outcome(output)),
            },
            _ => text.extend(say::failed(&self.id, ending, cause)),
        }
        self.show.answer(&document, &text);
    }

    /// The recovery goes on without its follower.
    fn left(&self) {
        self.bar.finish_and_clear();
        let since = format_duration(SystemClock.now().duration_since(self.began));
        let said = format!(
            "{} goes on: it was followed for {since}, and nothing was stopped.\nTo follow it again: rewind status {} --follow",
            self.id, self.id
        );
        if self.show.is_json() {
            println!("{}", json!({ "outcome": "Running", "recoveryId": self.id }));
        }
        eprintln!("{said}");
    }

    fn note(&self, text: &str) {
        self.line(&format!("           ! {text}"));
    }

    fn line(&self, text: &str) {
        if self.show.is_json() {
            return;
        }
        self.bar.suspend(|| eprintln!("{text}"));
    }
}
