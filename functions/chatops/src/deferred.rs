//! Runs deferred tasks, in a later and asynchronous invocation of this function, and sends the answer to Slack.

use crate::access::{ACCESS_DENIED, ChatUser, SELF_APPROVAL_DENIED};
use crate::app::ChatApp;
use crate::messages::{error_message, plan_message, started_document};
use crate::ports::Ports;
use crate::slack_client::SlackClient;
use crate::slack_message::SlackMessage;
use crate::task::{DeferredTask, Task};
use rewind_aws::chat::{ActKind, ChatRecords, ReadActs};
use rewind_aws::recoveries::Recoveries;
use rewind_client::{ClientError, Decision, RecoveryName};
use rewind_clock::{OutOfTime, keep_back};
use rewind_core::{Agreement, Clock, Identity, request_digest, timeouts};
use rewind_ui::{Document, WindowArgs, format};
use serde_json::{Value, json};

/// The time for which it is remembered what people did, in seconds: longer than any recovery takes.
const ACTS_KEPT: i64 = 40 * 86_400;

impl<P: Ports> ChatApp<P> {
    /// Runs a deferred task, and sends its result to the response URL.
    pub(crate) async fn run_deferred(&self, deferred: DeferredTask) {
        let DeferredTask { task, user, response_url } = deferred;
        let access = &self.settings.access;
        // Checked here again: a button stays in the channel for everybody, and the lists may have changed since.
        let message = if !access.has_access(&user) {
            tracing::warn!(user = user.id, team = user.team, "somebody without access pressed a button");
            SlackMessage::sentence(ACCESS_DENIED)
        } else if let Some(denied) = access.denied(&user, task.permission()) {
            tracing::warn!(user = user.id, team = user.team, "a task was denied");
            SlackMessage::sentence(denied)
        } else {
            // Some time is kept back: who asked shall hear of a task that took too long.
            match keep_back(timeouts::POST, Box::pin(self.run(&user, task))).await {
                Ok(result) => result.unwrap_or_else(|error| error_message(&error)),
                Err(OutOfTime) => SlackMessage::sentence(
                    "that took longer than there is time for, and may or may not be done; next step: look at its status",
                ),
            }
        };
        self.send(&response_url, &message).await;
    }

    async fn run(&self, user: &ChatUser, task: Task) -> Result<SlackMessage, ClientError> {
        let client = self.ports.client();
        match task {
            Task::Show { id } => match self.ended(&id, timeouts::CHAT_PLAN_LATER).await? {
                Some(execution) => Ok(plan_message(&id, &execution)),
                None => Ok(SlackMessage::sentence(format!("{id} is still planning: /rewind status {id} tells more"))),
            },
            Task::Start { id, request } => self.start(user, id, &request).await,
            Task::Decide { id, approved, comment, hash } => self.decide(user, &id, approved, comment, hash).await,
            Task::Undo { id, confirm } => {
                if client.undoable(&id).await?.cluster == confirm
                    && let Some(asked) = self
                        .ask_another(user, &id, json!([id, confirm]), &format!("undo {id} --confirm {confirm}"))
                        .await?
                {
                    return Ok(asked);
                }
                let started = client.undo(&id, Some(&confirm), &user.display_name()).await?;
                Ok(SlackMessage::public(started_document(user, &started)))
            }
            Task::Window { cluster, window, confirm } => {
                let changes = window.is_some();
                if let Some(window) = &window {
                    let line = format!("window {cluster} {window}");
                    let task = json!([cluster, window, confirm]);
                    if let Some(asked) = self.ask_another(user, &cluster, task, &line).await? {
                        return Ok(asked);
                    }
                }
                let output = client.window(&WindowArgs { cluster, window, confirm }).await?;
                let document = format::window(&output);
                // A change concerns everybody in the channel, a reading only the user who asked.
                Ok(if changes { SlackMessage::public(document) } else { SlackMessage::private(document) })
            }
        }
    }

    /// Starts a recovery, after it has recorded who asked for it.
    pub(crate) async fn start(
        &self,
        user: &ChatUser,
        id: String,
        request: &Value,
    ) -> Result<SlackMessage, ClientError> {
        let mut request = request.clone();
        if let Some(denied) = self.settings.access.ask_a_person(user, &mut request) {
            return Ok(SlackMessage::sentence(denied));
        }
        // Recorded first: a recovery whose requester is not known could be approved by that very person.
        self.record(ActKind::Requested, &id, user, request_digest(&request)).await?;
        let started = self.ports.client().start(RecoveryName::Given(id), &request, &()).await?;
        Ok(SlackMessage::public(started_document(user, &started)))
    }

    async fn decide(
        &self,
        user: &ChatUser,
        id: &str,
        approved: bool,
        comment: Option<String>,
        hash: String,
    ) -> Result<SlackMessage, ClientError> {
        let client = self.ports.client();
        let mut decision =
            Decision { approved, by: user.display_name(), comment, hash, identity: Some(user.identity()) };
        let mut notice = None;
        if approved {
            let record = client.recoveries.recovery(id).await?;
            let started_by = record.and_then(|record| record.plan).map(|plan| plan.started_by).unwrap_or_default();
            match self.settings.access.agreeing.agreement(&started_by, &[user.identity()]) {
                Agreement::SamePerson(_) if started_by.contains(&user.identity()) => {
                    return Ok(SlackMessage::sentence(SELF_APPROVAL_DENIED));
                }
                Agreement::SamePerson(why) => {
                    return Ok(SlackMessage::sentence(format!(
                        "{why}; nothing was decided; next step: ask another approver"
                    )));
                }
                Agreement::OneMore(why) => notice = Some(why),
                Agreement::Enough => {}
            }
            // The whole hash, and only of what the person was shown: this record is what the approval is verified by.
            decision.hash = client.decided_hash(id, &decision).await?;
            self.record(ActKind::Approved, id, user, decision.hash.clone()).await?;
        }
        let bound_to = client.decide(id, &decision, &(), self.ports.clock()).await?;
        let mut document = format::decided(id, approved, &decision.by, &bound_to);
        if let Some(why) = notice {
            document.plain(format!("If nobody else has approved it: {why}"));
        }
        Ok(SlackMessage::public(document))
    }

    /// Records who asks for something that takes two people; returns what everybody is shown, or none where another person has asked for
    /// the same.
    async fn ask_another(
        &self,
        user: &ChatUser,
        about: &str,
        task: Value,
        line: &str,
    ) -> Result<Option<SlackMessage>, ClientError> {
        let hour = self.ports.clock().now().as_second().div_euclid(3_600);
        let of = |hour: i64| format!("{}@{hour}", request_digest(&task));
        let before = self.ports.chat_records().acts(ActKind::Asked, about).await?;
        // Of this hour or the one before: what somebody wanted yesterday is not wanted any more.
        let before = before.iter().filter(|act| [of(hour), of(hour - 1)].contains(&act.of));
        let asked: Vec<Identity> = before.map(|act| act.identity()).chain([user.identity()]).collect();
        match self.settings.access.agreeing.agreement(&[], &asked) {
            Agreement::Enough => Ok(None),
            Agreement::SamePerson(why) => Ok(Some(SlackMessage::sentence(format!("{why}; nothing was done")))),
            Agreement::OneMore(_) => {
                self.record(ActKind::Asked, about, user, of(hour)).await?;
                let mut document = Document::new();
                document.heading(format!("{} asks for /rewind {line}", user.display_name()));
                document.plain(
                    "Nothing was done: it takes two people (the stack's parameters TwoPeople and People). Another approver does it by \
                     the same command, within an hour.",
                );
                Ok(Some(SlackMessage::public(document)))
            }
        }
    }

    async fn record(&self, kind: ActKind, id: &str, user: &ChatUser, of: String) -> Result<(), ClientError> {
        let until = self.ports.clock().now().as_second() + ACTS_KEPT;
        Ok(self.ports.chat_records().record_act(kind, id, &user.act(of), until).await?)
    }

    /// Sends a message to a URL of Slack's. Errors are logged: nobody is left to tell.
    pub(crate) async fn send(&self, url: &str, message: &SlackMessage) {
        self.send_json(url, &self.rendered(message).await).await;
    }

    /// Sends a rendered message.
    pub(crate) async fn send_json(&self, url: &str, message: &Value) {
        // Slack signs the URL too. Still, this function talks to nobody else, whatever a request says.
        if !url.starts_with(&self.settings.response_prefix) {
            return tracing::error!("a message was not sent: its URL is none of Slack's");
        }
        if let Err(error) = self.ports.slack().send(url, message).await {
            tracing::error!("{error}");
        }
    }
}
