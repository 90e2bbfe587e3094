//! Shows people what was found and what will happen, and keeps the task token with which their decision is sent. Asked
//! again for the same content it keeps the fresh token and tells nobody twice.

mod message;

use jiff::{SignedDuration, Timestamp};
use rewind_aws::records::{Approvals, PendingApproval};
use rewind_aws::topic::Tell;
use rewind_core::{Difference, Plan, Recovery, Report, Restored, StepError, shown_hash};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &["dynamodb:UpdateItem", "sns:Publish", "sns:GetTopicAttributes"];

/// The step.
#[derive(Debug)]
pub struct RequestApproval<A, P> {
    /// Where approvals are kept.
    pub approvals: A,
    /// Who is told.
    pub people: P,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
    /// The restored cluster; none in place, where people are asked before anything is rewound.
    pub restored: Option<Restored>,
    /// What verification found; none in place.
    pub report: Option<Report>,
    /// In what the restored cluster is not like the source.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The token that ends the wait.
    pub task_token: String,
    /// When people were first asked.
    pub requested_at: Timestamp,
}

/// What the step answers, for the log: the state machine waits for the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The hash of what was shown.
    pub hash: String,
    /// Whether people were told by this invocation.
    pub told: bool,
    /// True where somebody is subscribed to what they were told by; absent where that could not be seen.
    pub heard: Option<bool>,
}

impl<A: Approvals, P: Tell> Step for RequestApproval<A, P> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let hash = shown_hash(&input.plan, input.restored.as_ref(), input.report.as_ref(), &input.differences);
        let expires_at = input
            .requested_at
            .checked_add(SignedDuration::from_secs(input.plan.approval_timeout_seconds))
            .map_err(|e| StepError::bug(format!("the approval would end at no time: {e}")))?;
        let approval = PendingApproval {
            task_token: input.task_token.clone(),
            hash: hash.clone(),
            requested_at: input.requested_at,
            expires_at,
        };
        let told_before = self.approvals.keep(&input.recovery.id, &approval).await?;
        let told = told_before.as_ref() != Some(&hash);
        let mut heard = None;
        if told {
            let (subject, text) = message::write(&input, &hash, expires_at);
            self.people.tell(&subject, &text).await?;
            // Noted afterwards: a message that comes twice is better than one that never came.
            self.approvals.told(&input.recovery.id, &hash).await?;
            // They were asked: whether it could be seen who listens stops nothing.
            heard = self.people.is_heard().await.ok();
            if heard == Some(false) {
                // The stack's UnheardAlarm looks for this line: the approval would wait until its timeout.
                tracing::warn!(recovery = input.recovery.id, "an approval was asked of nobody");
            }
        }
        Ok(Output { hash, told, heard })
    }
}

#[cfg(test)]
mod tests;
