//! What each word does, at the client that the command line has too.

use crate::door::Now;
use crate::people::{Person, Right, STRANGER, TWO_PEOPLE};
use crate::post::Post;
use crate::reply::Reply;
use crate::task::{Handed, Task};
use crate::world::{Chat, World};
use rewind_aws::chat::Memory;
use rewind_aws::executions::{Execution, Executions, Status};
use rewind_client::{ClientError, Decision, Matter, Name};
use rewind_clock::{OutOfTime, keep_back, within};
use rewind_core::{Clock, Plan, Polling, StepError, Strategy, timeouts};
use rewind_ui::chat::Command;
use rewind_ui::{DecisionWords, Line, RequestWords, StartWords, Text, UndoWords, WindowWords, derived_id, id_of, say};
use serde_json::{Value, json};
use std::time::Duration;

/// How long it is known who started a recovery: longer than any of them takes.
const STARTER_KNOWN: i64 = 40 * 86_400;

impl<W: World> Chat<W> {
    /// What comes of a line within the time that Slack waits.
    pub(crate) async fn at_once(&self, person: &Person, command: Command) -> Now {
        let now = within(timeouts::CHAT_AT_ONCE, Box::pin(self.now(person, command))).await;
        match now {
            Ok(now) => now.unwrap_or_else(|error| Now::reply(told(&error))),
            // What changes something hands itself over before that.
            Err(OutOfTime) => Now::reply(Reply::sentence(
                "AWS did not answer in the time that Slack waits; nothing was changed; next step: say it again",
            )),
        }
    }

    async fn now(&self, person: &Person, command: Command) -> Result<Now, ClientError> {
        match command {
            Command::Plan(words) => self.plan(&words).await,
            Command::Start(words) => self.start_said(person, words).await,
            Command::Status(words) => self.status(words.id.as_deref()).await.map(Now::reply),
            Command::List(words) => self.list(words.cluster.as_deref(), words.limit).await.map(Now::reply),
            Command::Approve(words) => self.decision(words, true).await,
            Command::Reject(words) => self.decision(words, false).await,
            Command::Undo(words) => self.undo(words).await,
            Command::Window(WindowWords { cluster, window, confirm }) => {
                Ok(Now::Later(Task::Window { cluster, window, confirm }, "looking at the window …".to_owned()))
            }
        }
    }

    /// Does what was handed over, and answers where Slack said.
    pub(crate) async fn done_later(&self, handed: Handed) {
        let Handed { task, person, response_url } = handed;
        let people = &self.settings.people;
        let reply = if !people.knows(&person) {
            tracing::warn!(person = person.id, team = person.team, "a stranger pressed a button");
            Reply::sentence(STRANGER)
        } else if let Some(objection) = people.objection(&person, Right::to_do(&task)) {
            tracing::warn!(person = person.id, team = person.team, "asked for what they may not do");
            Reply::sentence(objection)
        } else {
            match keep_back(timeouts::POST, Box::pin(self.done(&person, task))).await {
                Ok(done) => done.unwrap_or_else(|error| told(&error)),
                Err(OutOfTime) => Reply::sentence(
                    "that took longer than there is time for, and may or may not be done; next step: look at its status",
                ),
            }
        };
        self.send(&response_url, &reply.to_json()).await;
    }

    /// Tells the channel how a recovery stands, and asks where it waits for a decision.
    pub(crate) async fn tell_channel(&self, event: &Value) {
        let Some(id) = event.pointer("/detail/recoveryId").and_then(Value::as_str) else {
            return tracing::error!("an event of a recovery names none");
        };
        let now = self.world.clock().now();
        let app = self.secret.get(self.world.secrets(), &self.settings.secret_arn, now, false).await;
        let webhook = match app {
            Ok(app) => app.and_then(|app| app.webhook_url),
            Err(error) => {
                return tracing::error!(detail = error.for_log(), "the app's secret could not be read: {error}");
            }
        };
        let Some(webhook) = webhook else {
            return tracing::info!(recovery = id, "no webhook: the channel is not told");
        };
        if self.is_dry_run(event).await {
            return tracing::info!(recovery = id, "a dry run: whoever asked for it is told, and the channel is not");
        }
        // People are announced to be asked a moment before they can answer.
        let asked = event.get("detail-type").and_then(Value::as_str) == Some("Rewind Approval Requested");
        let patience = if asked { timeouts::CHAT_APPROVAL } else { Duration::ZERO };
        match keep_back(timeouts::POST, Box::pin(self.standing(id, patience))).await {
            Err(OutOfTime) => {
                tracing::error!(recovery = id, "the channel could not be told: AWS did not answer in time")
            }
            Ok(Ok(reply)) => {
                let reply = reply.to_json();
                // A webhook belongs to its channel: it takes text and blocks alone.
                self.send(&webhook, &json!({ "text": reply.get("text"), "blocks": reply.get("blocks") })).await;
            }
            Ok(Err(error)) => tracing::error!(recovery = id, "the channel could not be told: {error}"),
        }
    }

    /// Whether an event is of a dry run, which only says so in its request.
    async fn is_dry_run(&self, event: &Value) -> bool {
        let Some(arn) = event.pointer("/detail/executionArn").and_then(Value::as_str) else { return false };
        match self.world.client().executions.execution(arn).await {
            Ok(execution) => {
                execution.is_some_and(|execution| execution.input.get("dryRun") == Some(&Value::Bool(true)))
            }
            // Rather told once too often than not at all.
            Err(error) => {
                tracing::error!(detail = error.for_log(), "an execution could not be looked at: {error}");
                false
            }
        }
    }

    async fn done(&self, person: &Person, task: Task) -> Result<Reply, ClientError> {
        match task {
            Task::Show { id } => match self.ended(&id, timeouts::CHAT_PLAN_LATER).await? {
                Some(execution) => Ok(planned(&id, &execution)),
                None => Ok(Reply::sentence(format!("{id} is still planning: /rewind status {id} tells more"))),
            },
            Task::Start { id, request } => self.start(person, id, &request).await,
            Task::Decide { id, approved, comment, hash } => self.decide(person, &id, approved, comment, hash).await,
            Task::Undo { id, confirm } => {
                let begun = self.world.client().undo(&id, Some(&confirm), &person.says()).await?;
                Ok(Reply::public(begun_by(person, &begun.id, &begun.arn, begun.before)))
            }
            Task::Window { cluster, window, confirm } => {
                let changes = window.is_some();
                let answer = self.world.client().window(&WindowWords { cluster, window, confirm }).await?;
                let text = say::window(&answer);
                Ok(if changes { Reply::public(text) } else { Reply::private(text) })
            }
        }
    }

    async fn plan(&self, words: &RequestWords) -> Result<Now, ClientError> {
        let request = words.request(json!({}), true).map_err(ClientError::Refused)?;
        let begun = self.world.client().start(Name::Made(self.world.clock().now()), &request).await?;
        Ok(match self.ended(&begun.id, timeouts::CHAT_PLAN).await? {
            Some(execution) => Now::reply(planned(&begun.id, &execution)),
            None => Now::Later(Task::Show { id: begun.id }, "planning: the plan comes here in a moment …".to_owned()),
        })
    }

    /// The execution of that name when it has ended; none if that takes longer.
    async fn ended(&self, id: &str, patience: Duration) -> Result<Option<Execution>, ClientError> {
        let client = self.world.client();
        let arn = client.places.recovery(id);
        let look = async || {
            let execution = client.executions.execution(&arn).await?;
            Ok(execution.filter(|execution| execution.status != Status::Running))
        };
        each(timeouts::CHAT_POLL).until(self.world.clock(), patience, look, Option::is_some).await
    }

    /// Starts a recovery, or hands that over where it takes too long: under the name that it has now it is started once.
    async fn start_said(&self, person: &Person, words: StartWords) -> Result<Now, ClientError> {
        let request = words.request.request(json!({}), false).map_err(ClientError::Refused)?;
        let cluster = words.request.cluster.unwrap_or_default();
        let id = words.name.unwrap_or_else(|| derived_id("rewind", &cluster, self.world.clock().now(), 0));
        match within(timeouts::CHAT_START, Box::pin(self.start(person, id.clone(), &request))).await {
            Ok(started) => started.map(Now::reply),
            Err(OutOfTime) => {
                let meanwhile = format!("starting {id}: you hear of it in a moment …");
                Ok(Now::Later(Task::Start { id, request }, meanwhile))
            }
        }
    }

    async fn start(&self, person: &Person, id: String, request: &Value) -> Result<Reply, ClientError> {
        // First who, then what: a recovery whose starter is not known could be approved by that very person.
        let until = self.world.clock().now().as_second() + STARTER_KNOWN;
        self.world.memory().started(&id, &identity(person), until).await?;
        let begun = self.world.client().start(Name::Given(id), request).await?;
        Ok(Reply::public(begun_by(person, &begun.id, &begun.arn, begun.before)))
    }

    async fn status(&self, id: Option<&str>) -> Result<Reply, ClientError> {
        let id = match id {
            Some(id) => id_of(id).to_owned(),
            None => self.world.client().latest().await?,
        };
        let recovery = self.world.client().recovery(&id).await?;
        let mut text = say::recovery(&recovery, self.world.clock().now());
        if recovery.approval.is_some() {
            text.0.push(Line::Plain(format!("/rewind approve {id} shows what there is to decide on")));
        }
        Ok(Reply::private(text))
    }

    async fn list(&self, cluster: Option<&str>, limit: usize) -> Result<Reply, ClientError> {
        let recoveries = self.world.client().list(cluster, limit).await?;
        Ok(Reply::verbatim(&say::list(&recoveries, self.world.clock().now()).to_string()))
    }

    /// A decision with its hash is sent; without one, what there is to decide on is shown.
    async fn decision(&self, words: DecisionWords, approved: bool) -> Result<Now, ClientError> {
        let (id, comment) = (id_of(&words.id).to_owned(), words.comment());
        match words.hash {
            Some(hash) => Ok(Now::Later(Task::Decide { id, approved, comment, hash }, "sending that …".to_owned())),
            None => Ok(Now::reply(asks(&self.world.client().matter(&id).await?, comment))),
        }
    }

    async fn decide(
        &self,
        person: &Person,
        id: &str,
        approved: bool,
        comment: Option<String>,
        hash: String,
    ) -> Result<Reply, ClientError> {
        if approved && self.settings.people.two_people {
            // All who asked for it count: one's own recovery is not approved by letting another ask for its name first.
            if self.world.memory().has_started(id, &identity(person)).await? {
                return Ok(Reply::sentence(TWO_PEOPLE));
            }
        }
        let decision = Decision { approved, by: person.says(), comment, hash };
        let bound_to = self.world.client().decide(id, &decision, self.world.clock()).await?;
        Ok(Reply::public(say::decided(id, approved, &decision.by, &bound_to)))
    }

    async fn undo(&self, words: UndoWords) -> Result<Now, ClientError> {
        let id = id_of(&words.id).to_owned();
        if let Some(confirm) = words.confirm {
            return Ok(Now::Later(Task::Undo { id, confirm }, "beginning to undo it …".to_owned()));
        }
        let recovery = self.world.client().undoable(&id).await?;
        let task = Task::Undo { id, confirm: recovery.cluster.clone() };
        let asks = format!("Traffic returns to {} now.", recovery.cluster);
        Ok(Now::reply(Reply::private(say::undo(&recovery)).button("Take it back", true, asks, &task)))
    }

    /// How a recovery stands, with what there is to decide on if it waits, or begins to within that time.
    async fn standing(&self, id: &str, patience: Duration) -> Result<Reply, ClientError> {
        let client = self.world.client();
        let polling = each(timeouts::CHAT_POLL_APPROVAL);
        let look = || client.recovery(id);
        let recovery =
            polling.until(self.world.clock(), patience, look, |recovery| recovery.approval.is_some()).await?;
        if recovery.approval.is_some() {
            return Ok(asks(&client.matter(id).await?, None));
        }
        Ok(Reply::public(say::recovery(&recovery, self.world.clock().now())))
    }

    async fn send(&self, url: &str, message: &Value) {
        // Slack signs what it sends, and still: this function talks to nobody else.
        if !url.starts_with(&self.settings.response_prefix) {
            return tracing::error!("an answer was to go to what is no address of Slack's: it was not sent");
        }
        if let Err(error) = self.world.post().post(url, message).await {
            tracing::error!("{error}");
        }
    }
}

/// A look each `pause`.
fn each(pause: Duration) -> Polling {
    Polling { shortest: pause, longest: pause, ..Polling::default() }
}

/// Somebody, as they are told from others.
fn identity(person: &Person) -> String {
    format!("{}/{}", person.team, person.id)
}

/// An error, for somebody who is known.
fn told(error: &ClientError) -> Reply {
    if let ClientError::Aws(error) = error {
        let detail = StepError::for_log(error);
        tracing::error!(detail, "{error}");
    }
    Reply::sentence(error.to_string())
}

/// That a recovery was started, by whom, and where to see it.
fn begun_by(person: &Person, id: &str, arn: &str, before: bool) -> Text {
    let mut text = say::begun(id, before);
    text.0.push(Line::Field("by", person.says()));
    text.0.push(Line::Field("follow", format!("/rewind status {id}")));
    text.0.extend(console(arn).map(|url| Line::Field("execution", url)));
    text
}

/// The execution's page in the console of its partition.
pub(crate) fn console(arn: &str) -> Option<String> {
    let mut parts = arn.split(':').skip(1);
    let (partition, region) = (parts.next()?, parts.nth(1)?);
    let host = match partition {
        "aws-us-gov" => "console.amazonaws-us-gov.com".to_owned(),
        "aws-cn" => "console.amazonaws.cn".to_owned(),
        _ => format!("{region}.console.aws.amazon.com"),
    };
    Some(format!("https://{host}/states/home?region={region}#/v2/executions/details/{arn}"))
}

/// A dry run that has ended: its plan, with a button for the recovery to that very moment.
fn planned(id: &str, execution: &Execution) -> Reply {
    let plan = execution.output.get("plan").cloned().unwrap_or_default();
    let Ok(plan) = serde_json::from_value::<Plan>(plan) else {
        let cause = execution.cause.as_deref().unwrap_or("no reason was given");
        return Reply::sentence(cause);
    };
    let mut request = execution.input.clone();
    if let Some(request) = request.as_object_mut() {
        request.insert("dryRun".to_owned(), Value::Bool(false));
        if !plan.use_latest {
            // "5m ago" is another moment by the time that the button is pressed.
            request.insert("to".to_owned(), Value::from(plan.target.to_string()));
        }
    }
    // One name however often it is pressed.
    let task = Task::Start { id: id.replacen("plan-", "rewind-", 1), request };
    let asks = format!("{} back to {}", plan.cluster, plan.target);
    Reply::private(say::plan(&plan)).button("Start it", false, asks, &task)
}

/// What there is to decide on, with a button for each way.
fn asks(matter: &Matter, comment: Option<String>) -> Reply {
    let Matter { id, hash, plan, .. } = matter;
    let mut text = Text(vec![Line::Heading(format!("{id} waits for a decision until {}", matter.expires_at))]);
    text.extend(say::matter(matter.say()));
    text.0.push(Line::Field("hash", hash.clone()));
    let decide = |approved| Task::Decide { id: id.clone(), approved, comment: comment.clone(), hash: hash.clone() };
    let (cluster, new) = (&plan.cluster, &plan.new_cluster);
    let (approved, rejected) = match plan.strategy {
        Strategy::Backtrack => (
            format!("{cluster} itself goes back to {}: every connection to it is cut.", plan.target),
            format!("Nothing is changed: {cluster} stays as it is."),
        ),
        _ => (format!("{cluster} is fenced and its traffic moves to {new}."), format!("{new} is deleted.")),
    };
    let reply = if matter.confirmed {
        Reply::public(text).button("Approve", false, approved, &decide(true))
    } else {
        text.0.push(Line::Warning(
            "what was asked could not be shown here: approve by the message that came by mail".to_owned(),
        ));
        Reply::public(text)
    };
    reply.button("Reject", true, rejected, &decide(false))
}
