//! Runs commands within the time that Slack waits, by the client that the command line uses too. What takes longer becomes a
//! deferred task.

use crate::access::ChatUser;
use crate::app::ChatApp;
use crate::messages::{approval_message, error_message, plan_message};
use crate::ports::Ports;
use crate::slack_message::SlackMessage;
use crate::task::Task;
use jiff::Timestamp;
use rewind_aws::executions::{Execution, Executions, Status};
use rewind_client::{ClientError, RecoveryName, TypedAt, Undoing, echoed_moment};
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, Listed, Polling, RecoveryRecord, Standing, timeouts};
use rewind_ui::chat::ChatCommand;
use rewind_ui::format::Values;
use rewind_ui::{
    DecisionArgs, Document, Place, RequestArgs, ResumeArgs, StartArgs, UndoArgs, WindowArgs, derived_id, format,
    recovery_id,
};
use serde_json::{Value, json};
use std::time::Duration;

/// The line below a list where the look at the clusters took too long.
const LIST_NOT_SEEN: &str =
    "How the clusters stand was not seen: AWS did not answer in time. /rewind status <id> looks at those of one.";

/// A request, completed.
struct Asked {
    args: RequestArgs,
    /// The moment in UTC and as it was typed; none for the latest restorable time.
    moment: Option<String>,
}

/// The response to a command within the time that Slack waits.
pub(crate) enum Response {
    /// The answer.
    Message(Box<SlackMessage>),
    /// A task that takes longer, and a sentence to show meanwhile.
    Deferred(Task, String),
}

impl From<SlackMessage> for Response {
    fn from(message: SlackMessage) -> Self {
        Self::Message(Box::new(message))
    }
}

impl<P: Ports> ChatApp<P> {
    /// Runs a command, within the time that Slack waits.
    pub(crate) async fn run_at_once(&self, user: &ChatUser, command: ChatCommand) -> Response {
        let response = within(timeouts::CHAT_AT_ONCE, Box::pin(self.run_command(user, command))).await;
        match response {
            Ok(response) => response.unwrap_or_else(|error| error_message(&error).into()),
            // A command that changes something becomes a deferred task before that time is over, so this is true.
            Err(OutOfTime) => SlackMessage::sentence(
                "AWS did not answer in the time that Slack waits; nothing was changed; next step: say it again",
            )
            .into(),
        }
    }

    async fn run_command(&self, user: &ChatUser, command: ChatCommand) -> Result<Response, ClientError> {
        match command {
            ChatCommand::Plan(args) => self.plan(&args).await,
            ChatCommand::Start(args) => self.start_command(user, args).await,
            ChatCommand::Resume(args) => self.resume(user, args).await,
            ChatCommand::Status(args) => self.status(args.id.as_deref()).await.map(Response::from),
            ChatCommand::List(args) => self.list(args.cluster.as_deref(), args.limit).await.map(Response::from),
            ChatCommand::Approve(args) => self.approval(args, true).await,
            ChatCommand::Reject(args) => self.approval(args, false).await,
            ChatCommand::Undo(args) => self.undo(args, Undoing::Undo).await,
            ChatCommand::Cancel(args) => self.undo(args, Undoing::Cancel).await,
            ChatCommand::Window(WindowArgs { cluster, window, confirm }) => {
                // A function of its own answers, which may start cold: that alone may take longer than Slack waits.
                let task = Task::Window { cluster, window, confirm };
                Ok(Response::Deferred(task, "looking at the window …".to_owned()))
            }
        }
    }

    async fn plan(&self, args: &RequestArgs) -> Result<Response, ClientError> {
        let began = self.ports.clock().now();
        let Asked { args, moment } = self.completed(args, began).await?;
        let request = args.request(json!({}), true).map_err(ClientError::Refused)?;
        self.plan_of(&request, moment.as_deref(), began).await
    }

    /// Completes the arguments of a request, as the command line does.
    async fn completed(&self, args: &RequestArgs, now: Timestamp) -> Result<Asked, ClientError> {
        let (client, zones) = (self.ports.client(), self.ports.world().1);
        let typed = args.to.join(" ");
        let args = client.completed_request(zones, args, (now, &TypedAt::Chat)).await?;
        let moment = echoed_moment(&args.to.join(" "), &typed, now, &TypedAt::Chat);
        Ok(Asked { args, moment })
    }

    /// Plans a request of a command that began then, or defers to show the plan where that takes too long.
    async fn plan_of(&self, request: &Value, moment: Option<&str>, began: Timestamp) -> Result<Response, ClientError> {
        let name = RecoveryName::Generated(self.ports.clock().now());
        let started = self.ports.client().start(name, request, &()).await?;
        Ok(match self.ended(&started.id, self.left_of(timeouts::CHAT_PLAN, began)).await? {
            Some(execution) => plan_message(&started.id, &execution).below(format::moment(moment)).into(),
            None => {
                let back = moment.map(|moment| format!(" the way back to {moment}")).unwrap_or_default();
                let notice = format!("planning{back}: the plan comes here in a moment …");
                Response::Deferred(Task::Show { id: started.id }, notice)
            }
        })
    }

    /// Waits for the end of an execution; none if that takes longer than `timeout`.
    pub(crate) async fn ended(&self, id: &str, timeout: Duration) -> Result<Option<Execution>, ClientError> {
        let client = self.ports.client();
        let arn = client.deployment.recovery_arn(id);
        // From Step Functions, and not from the table, in which a dry run writes no item.
        let describe = async || {
            let execution = client.executions.execution(&arn).await?;
            Ok(execution.filter(|execution| execution.status != Status::Running))
        };
        poll_each(timeouts::CHAT_POLL).until(self.ports.clock(), timeout, describe, Option::is_some).await
    }

    async fn start_command(&self, user: &ChatUser, args: StartArgs) -> Result<Response, ClientError> {
        let began = self.ports.clock().now();
        let Asked { args: asked, moment } = self.completed(&args.request, began).await?;
        let request = asked.request(json!({}), false).map_err(ClientError::Refused)?;
        let cluster = asked.cluster.unwrap_or_default();
        self.start_or_defer((user, began), args.name, &cluster, (request, moment.as_deref())).await
    }

    async fn resume(&self, user: &ChatUser, args: ResumeArgs) -> Result<Response, ClientError> {
        let (began, zones) = (self.ports.clock().now(), self.ports.world().1);
        let options = self.ports.client().completed_options(zones, &args.options).await?;
        let args = ResumeArgs { options, ..args };
        let mut request = args.request(json!({})).map_err(ClientError::Refused)?;
        // Before anything is started, so that what left nothing to go on from is refused at once.
        let cluster = self.ports.client().resumable(args.resumed()).await?.cluster;
        request.insert("cluster".to_owned(), Value::from(cluster.clone()));
        let request = Value::Object(request);
        if args.dry_run {
            return self.plan_of(&request, None, began).await;
        }
        self.start_or_defer((user, began), args.name, &cluster, (request, None)).await
    }

    /// Starts a recovery for a user whose command began then, or defers that where it takes too long.
    async fn start_or_defer(
        &self,
        (user, began): (&ChatUser, Timestamp),
        name: Option<String>,
        cluster: &str,
        (request, moment): (Value, Option<&str>),
    ) -> Result<Response, ClientError> {
        // The id is settled here: with the same id the deferred task starts nothing that this attempt has started.
        let id = name.unwrap_or_else(|| derived_id("rewind", cluster, self.ports.clock().now(), 0));
        // What completed the request took a part of the time: past all of it, a start would be told to have changed nothing.
        let time = self.left_of(timeouts::CHAT_START, began);
        match within(time, Box::pin(self.start(user, id.clone(), &request))).await {
            Ok(started) => Ok(started?.below(format::moment(moment)).into()),
            Err(OutOfTime) => {
                let back = moment.map(|moment| format!(", back to {moment}")).unwrap_or_default();
                let notice = format!("starting {id}{back}: you hear of it in a moment …");
                Ok(Response::Deferred(Task::Start { id, request }, notice))
            }
        }
    }

    async fn status(&self, id: Option<&str>) -> Result<SlackMessage, ClientError> {
        let began = self.ports.clock().now();
        let id = match id {
            // People paste an ARN as often as a name.
            Some(id) => recovery_id(id).to_owned(),
            None => self.ports.client().foremost().await?,
        };
        let recovery = self.ports.client().recovery(&id).await?;
        let mut document = format::recovery(&recovery, self.ports.clock().now());
        if recovery.approval.is_some() {
            document.extend(self.proposal(&id, self.left_of(timeouts::CHAT_STANDING, began)).await);
        }
        document.extend(self.standing(&recovery, self.left_of(timeouts::CHAT_STANDING, began)).await);
        Ok(SlackMessage::private(document))
    }

    /// Formats all that a recovery asks approval for, which the message with the buttons has in short. The rest of an answer does not wait
    /// for it longer than `time`.
    async fn proposal(&self, id: &str, time: Duration) -> Document {
        let mut document = Document::new();
        match within(time, Box::pin(self.ports.client().approval_request(id))).await {
            Ok(Ok(request)) if request.hash_matches => {
                document.extend(format::proposal(&request.proposal, Values::Hidden));
            }
            Ok(Ok(_)) => {
                document.warning("the proposal could not be shown here as it was sent: see the mail that came")
            }
            Ok(Err(error)) => document.warning(format!("what there is to decide on could not be read: {error}")),
            Err(OutOfTime) => {
                document.warning("what there is to decide on could not be read: AWS did not answer in time");
            }
        }
        document.plain(format!("/rewind approve {id} has the buttons"));
        document
    }

    async fn list(&self, cluster: Option<&str>, limit: usize) -> Result<SlackMessage, ClientError> {
        let (client, began) = (self.ports.client(), self.ports.clock().now());
        let recoveries = client.list(cluster, limit).await?;
        let reading = client.listed(recoveries.clone(), self.ports.world(), began);
        let (listed, unseen) = match within(self.left_of(timeouts::CHAT_STANDING, began), Box::pin(reading)).await {
            Ok(listed) => (listed, None),
            Err(OutOfTime) => (recoveries.into_iter().map(Listed::from).collect(), Some(LIST_NOT_SEEN)),
        };
        let mut document = format::recoveries(&listed, began, Place::Chat);
        document.extend(unseen.map(Document::of_lines).unwrap_or_default());
        Ok(SlackMessage::verbatim(&document.to_string()))
    }

    /// Formats how the clusters of a recovery stand. The rest of an answer does not wait for it longer than `time`: Slack shows nothing at
    /// all after its time.
    pub(crate) async fn standing(&self, recovery: &RecoveryRecord, time: Duration) -> Document {
        let (client, now) = (self.ports.client(), self.ports.clock().now());
        let standing = within(time, Box::pin(client.standing(recovery, self.ports.world(), now))).await;
        let standing =
            standing.unwrap_or_else(|OutOfTime| Standing::not_seen(&recovery.id, "AWS did not answer in time"));
        format::standing_in_chat(&standing)
    }

    /// The time that a command which began then has left of `all`.
    fn left_of(&self, all: Duration, began: Timestamp) -> Duration {
        all.saturating_sub(self.ports.clock().now().duration_since(began).unsigned_abs())
    }

    /// Sends a decision with its hash. Without one it shows the proposal, with a button for each decision.
    async fn approval(&self, args: DecisionArgs, approved: bool) -> Result<Response, ClientError> {
        let (id, comment) = (recovery_id(&args.id).to_owned(), args.comment());
        match args.hash {
            Some(hash) => {
                // The task token may just be replaced: to wait for the next one may take longer than Slack waits.
                Ok(Response::Deferred(Task::Decide { id, approved, comment, hash }, "sending that …".to_owned()))
            }
            None => Ok(approval_message(&self.ports.client().approval_request(&id).await?, comment).into()),
        }
    }

    async fn undo(&self, args: UndoArgs, undoing: Undoing) -> Result<Response, ClientError> {
        let id = recovery_id(&args.id).to_owned();
        if let Some(confirm) = args.confirm {
            return Ok(Response::Deferred(Task::Undo { id, confirm, undoing }, "starting the undo …".to_owned()));
        }
        let began = self.ports.clock().now();
        // Before the button is shown, so that what cannot be undone is refused at once.
        let recovery = self.ports.client().undoable(&id, undoing).await?;
        let mut document = format::undo(&recovery);
        // People may have moved records or lifted a fence since the record was written.
        document.extend(self.standing(&recovery, self.left_of(timeouts::CHAT_STANDING, began)).await);
        let task = Task::Undo { id, confirm: recovery.cluster.clone(), undoing };
        Ok(SlackMessage::private(document).button(task).into())
    }
}

/// Polls each `pause`, without the growing pauses of functions that wait for RDS.
pub(crate) fn poll_each(pause: Duration) -> Polling {
    Polling { shortest: pause, longest: pause, ..Polling::default() }
}
