//! Tells the channel about recoveries, by the events that the state machines send: an approval is requested, or a recovery has
//! ended.

use crate::app::ChatApp;
use crate::commands::poll_each;
use crate::messages::approval_message;
use crate::ports::Ports;
use crate::slack_message::SlackMessage;
use rewind_aws::executions::Executions;
use rewind_client::ClientError;
use rewind_clock::{OutOfTime, keep_back};
use rewind_core::{Clock, timeouts};
use rewind_ui::{Place, format};
use serde_json::{Value, json};
use std::time::Duration;

impl<P: Ports> ChatApp<P> {
    /// Tells the channel the status of the recovery that an event is about, with the buttons where it waits for a decision.
    pub(crate) async fn notify_channel(&self, event: &Value) {
        let Some(id) = event.pointer("/detail/recoveryId").and_then(Value::as_str) else {
            return tracing::error!("an event of a recovery names none");
        };
        let now = self.ports.clock().now();
        let secret = self.secret.get(self.ports.secrets(), &self.settings.secret_arn, now, false).await;
        let webhook = match secret {
            Ok(secret) => secret.and_then(|secret| secret.webhook_url),
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
        // The state machine sends the event a moment before request-approval writes the token that a decision needs.
        let is_request = event.get("detail-type").and_then(Value::as_str) == Some("Rewind Approval Requested");
        let timeout = if is_request { timeouts::CHAT_APPROVAL } else { Duration::ZERO };
        match keep_back(timeouts::POST, Box::pin(self.status_message(id, timeout))).await {
            Err(OutOfTime) => {
                tracing::error!(recovery = id, "the channel could not be told: AWS did not answer in time")
            }
            Ok(Ok(message)) => {
                let message = self.rendered(&message).await;
                // A webhook belongs to its channel: Slack takes text and blocks alone.
                self.send_json(&webhook, &json!({ "text": message.get("text"), "blocks": message.get("blocks") }))
                    .await;
            }
            Ok(Err(error)) => tracing::error!(recovery = id, "the channel could not be told: {error}"),
        }
    }

    /// Finds out if an event is of a dry run. Only the request of the execution says that.
    async fn is_dry_run(&self, event: &Value) -> bool {
        let Some(arn) = event.pointer("/detail/executionArn").and_then(Value::as_str) else { return false };
        match self.ports.client().executions.execution(arn).await {
            Ok(execution) => {
                execution.is_some_and(|execution| execution.input.get("dryRun") == Some(&Value::Bool(true)))
            }
            // Told once too often is better than not at all.
            Err(error) => {
                tracing::error!(detail = error.for_log(), "an execution could not be described: {error}");
                false
            }
        }
    }

    /// Makes a message of a recovery's status, or of its request for approval if it waits or begins to within `timeout`.
    async fn status_message(&self, id: &str, timeout: Duration) -> Result<SlackMessage, ClientError> {
        let client = self.ports.client();
        let polling = poll_each(timeouts::CHAT_POLL_APPROVAL);
        let read = || client.recovery(id);
        let recovery = polling.until(self.ports.clock(), timeout, read, |recovery| recovery.approval.is_some()).await?;
        if recovery.approval.is_some() {
            return Ok(approval_message(&client.approval_request(id).await?, None));
        }
        let mut document = format::recovery_in_short(&recovery, Place::Chat);
        document.extend(self.standing(&recovery, timeouts::CHAT_STANDING).await);
        Ok(SlackMessage::public(document))
    }
}
