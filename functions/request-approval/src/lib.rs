//! Asks people for approval: tells them the proposal by the topic, and keeps the task token with which their decision is
//! sent. Called again for the same proposal it keeps the fresh token and tells nobody twice.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::records::Approvals;
use rewind_aws::topic::Notify;
use rewind_core::{PendingApproval, Proposal, Recovery, StepError, cut};
use rewind_lambda::Step;
use rewind_ui::format;
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &["dynamodb:UpdateItem", "sns:Publish", "sns:GetTopicAttributes", "kms:VerifyMac"];

/// The most bytes of the reason why an approval was not enough: whoever sent it may have written any name.
const REFUSED_MAX: usize = 1_000;

/// The step.
#[derive(Debug)]
pub struct RequestApproval<A, P> {
    /// The table of pending approvals.
    pub approvals: A,
    /// The topic that people are told by.
    pub topic: P,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery that asks.
    pub recovery: Recovery,
    /// The proposal that people decide on.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// The task token that ends the wait.
    pub task_token: String,
    /// The time at which people were first asked.
    pub requested_at: Timestamp,
    /// The reason why the last approval was not enough; none where there was none.
    #[serde(default)]
    pub last_refused: Option<String>,
    /// The time until which an approval that waits to be confirmed can be rejected; none where none waits.
    #[serde(default)]
    pub rejectable_until: Option<Timestamp>,
}

/// The output of the step, for the log: the state machine waits for the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The hash of the proposal.
    pub hash: String,
    /// True if people were notified by this invocation.
    #[serde(rename = "told")]
    pub notified: bool,
    /// True if somebody is subscribed to the topic; none where nobody was told, or that could not be seen.
    pub heard: Option<bool>,
}

impl<A: Approvals, P: Notify> Step for RequestApproval<A, P> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let Input { recovery, proposal, task_token, requested_at, last_refused, rejectable_until } = input;
        let hash = proposal.hash();
        // From the first request on: each slice calls this function again, and must not extend the time to decide.
        let decidable_until = requested_at
            .checked_add(SignedDuration::from_secs(proposal.plan.approval_timeout_seconds))
            .map_err(|e| StepError::bug(format!("the approval would end at no time: {e}")))?;
        let expires_at = rejectable_until.map_or(decidable_until, |until| until.max(decidable_until));
        let last_refused = last_refused.filter(|why| !why.is_empty()).map(|why| cut(&why, REFUSED_MAX));
        let approval = PendingApproval { task_token, hash: hash.clone(), requested_at, expires_at, last_refused };
        // Before people are told: whoever decides at once must find the token.
        let notified_hash = self.approvals.keep(&recovery.id, &approval).await?;
        // A slice lasts a minute: without the hash people would get a mail every minute.
        if notified_hash.as_ref() == Some(&hash) {
            return Ok(Output { hash, notified: false, heard: None });
        }
        let (subject, mail) = format::approval_mail(&recovery, &proposal, expires_at);
        self.topic.notify(&subject, &mail.to_string()).await?;
        // Recorded afterwards: a mail that comes twice is better than one that never came.
        self.approvals.mark_notified(&recovery.id, &hash).await?;
        // People were asked: an error here must not fail the step, which would ask them again.
        let heard = self.topic.is_heard().await.ok();
        if heard == Some(false) {
            // The stack's UnheardAlarm looks for this line: the approval would wait until its timeout.
            tracing::warn!(recovery = recovery.id, "an approval was asked of nobody");
        }
        Ok(Output { hash, notified: true, heard })
    }
}

#[cfg(test)]
mod tests;
