//! Runs deferred tasks, in a later and asynchronous invocation of this function, and sends the answer to Slack.

use crate::access::{ACCESS_DENIED, ChatUser, SELF_APPROVAL_DENIED};
use crate::app::ChatApp;
use crate::messages::{error_message, plan_message, started_document};
use crate::ports::Ports;
use crate::slack_client::SlackClient;
use crate::slack_message::SlackMessage;
use crate::task::{DeferredTask, Task};
use rewind_aws::chat::ChatRecords;
use rewind_client::{ClientError, Decision, RecoveryName};
use rewind_clock::{OutOfTime, keep_back};
use rewind_core::{Clock, timeouts};
use rewind_ui::{WindowArgs, format};
use serde_json::Value;

/// The time for which a recovery's requesters are remembered, in seconds: longer than any recovery takes.
const REQUESTER_KEPT: i64 = 40 * 86_400;

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
        self.send(&response_url, &message.to_json()).await;
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
            Task::Undo { id, confirm, undoing } => {
                let started = client.undo(&id, undoing, Some(&confirm), &user.display_name()).await?;
                Ok(SlackMessage::public(started_document(user, &started)))
            }
            Task::Window { cluster, window, confirm } => {
                let changes = window.is_some();
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
        let until = self.ports.clock().now().as_second() + REQUESTER_KEPT;
        self.ports.chat_records().record_requester(&id, &user.key(), until).await?;
        let started = self.ports.client().start(RecoveryName::Given(id), &request).await?;
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
        if approved && self.settings.access.two_people {
            // Every requester counts, not only the first: else one could let another ask for the same id first, and approve
            // one's own recovery.
            if self.ports.chat_records().is_requester(id, &user.key()).await? {
                return Ok(SlackMessage::sentence(SELF_APPROVAL_DENIED));
            }
        }
        let decision = Decision { approved, by: user.display_name(), comment, hash };
        let bound_to = self.ports.client().decide(id, &decision, self.ports.clock()).await?;
        Ok(SlackMessage::public(format::decided(id, approved, &decision.by, &bound_to)))
    }

    /// Sends a message to a URL of Slack's. Errors are logged: nobody is left to tell.
    pub(crate) async fn send(&self, url: &str, message: &Value) {
        // Slack signs the URL too. Still, this function talks to nobody else, whatever a request says.
        if !url.starts_with(&self.settings.response_prefix) {
            return tracing::error!("a message was not sent: its URL is none of Slack's");
        }
        if let Err(error) = self.ports.slack().send(url, message).await {
            tracing::error!("{error}");
        }
    }
}
