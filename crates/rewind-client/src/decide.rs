//! Decides on a recovery that waits for an approval. A decision is bound to the proposal that the person was shown.

use crate::{ClientError, ClientResult, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::caller::SignCaller;
use rewind_aws::executions::{Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{
    Clock, Identity, PendingApproval, Proposal, RecordedDecision, Report, StepError, approve_act, format_time, timeouts,
};
use serde_json::json;

/// The fewest characters of a hash that a person may give for the whole.
pub const HASH_MIN: usize = 6;
/// The number of times that a decision is sent.
// The state machine replaces the token each minute, and between two tokens none is valid for some moments.
const ATTEMPTS: usize = 20;

/// A request for approval that a recovery waits with.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRequest {
    /// The recovery's id.
    pub id: String,
    /// The ARN of the recovery's execution.
    pub execution_arn: String,
    /// The proposal, from the execution's history.
    pub proposal: Proposal,
    /// The hash that a decision has to name.
    pub hash: String,
    /// True if `proposal` has that hash. If not, it must not be shown for approval: only a person who was told the hash
    /// otherwise may decide.
    pub hash_matches: bool,
    /// The time at which the wait ends.
    pub expires_at: Timestamp,
}

impl ApprovalRequest {
    /// Refuses what nobody can decide on any more, before somebody reads it all.
    ///
    /// # Errors
    ///
    /// `Refused` where the time to decide is over.
    pub fn check_deadline(&self, now: Timestamp) -> ClientResult<()> {
        check_deadline(&self.id, self.expires_at, now)
    }
}

/// A decision of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// True to approve, false to reject.
    pub approved: bool,
    /// The person, for the record.
    pub by: String,
    /// The reason that the person gave.
    pub comment: Option<String>,
    /// The hash of the proposal that the person saw, or its first characters.
    pub hash: String,
    /// The identity in chat, where the person decides there.
    pub identity: Option<Identity>,
}

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Reads what a recovery asks approval for.
    ///
    /// # Errors
    ///
    /// `Refused` where it waits for no decision; errors of AWS.
    pub async fn approval_request(&self, id: &str) -> ClientResult<ApprovalRequest> {
        let (execution_arn, approval) = self.pending_approval(id).await?;
        // From the history, which nobody can change, and not from the table. The very payload that the mail was made of: put together
        // from anything else it could have another hash.
        let asked = self.executions.payload(&execution_arn, "RequestApproval").await?;
        let proposal: Proposal = serde_json::from_value(asked.unwrap_or_default()).map_err(unreadable)?;
        Ok(ApprovalRequest {
            id: id.to_owned(),
            hash_matches: proposal.hash() == approval.hash,
            execution_arn,
            proposal,
            hash: approval.hash,
            expires_at: approval.expires_at,
        })
    }

    /// Reads the report of the verification that an execution made last, with the values that checks found; none where it made none.
    ///
    /// # Errors
    ///
    /// Errors of AWS: the execution may be older than the 90 days for which Step Functions keeps its history.
    pub async fn report(&self, execution_arn: &str) -> ClientResult<Option<Report>> {
        // Values are nowhere else: the table, events and mail name checks alone.
        let mut outputs = self.executions.answers(execution_arn, "IsForwardVerified").await?;
        let report = outputs.remove("VerifyForward").or_else(|| outputs.remove("Verify")).unwrap_or_default();
        serde_json::from_value(report).map_err(unreadable)
    }

    /// Reads the hash of the proposal that a recovery waits with.
    ///
    /// # Errors
    ///
    /// `Refused` where it waits for no decision; errors of AWS.
    pub async fn pending_hash(&self, id: &str) -> ClientResult<String> {
        Ok(self.pending_approval(id).await?.1.hash)
    }

    /// Returns the hash that a decision is on.
    ///
    /// # Errors
    ///
    /// `Refused` where the recovery waits for none, or for one on another proposal; errors of AWS.
    pub async fn decided_hash(&self, id: &str, decision: &Decision) -> ClientResult<String> {
        let (_, approval) = self.pending_approval(id).await?;
        check_hash(id, decision, &approval)?;
        Ok(approval.hash)
    }

    /// Sends a decision; returns the hash that it was bound to.
    ///
    /// # Errors
    ///
    /// `Refused` where the recovery waits for none, or for one on another proposal; errors of AWS.
    pub async fn decide<C: Clock>(
        &self,
        id: &str,
        decision: &Decision,
        signer: &impl SignCaller,
        clock: &C,
    ) -> ClientResult<String> {
        for _ in 0..ATTEMPTS {
            // The token is read anew for each attempt: the one before this may have timed out meanwhile.
            let (_, approval) = self.pending_approval(id).await?;
            check_deadline(id, approval.expires_at, clock.now())?;
            check_hash(id, decision, &approval)?;
            let recorded = RecordedDecision {
                decision: Some(if decision.approved { "approved" } else { "rejected" }.to_owned()),
                by: Some(decision.by.clone()),
                comment: decision.comment.clone(),
                // The whole hash, also where the person gave its beginning: confirm-approval compares all of it.
                hash: Some(approval.hash.clone()),
                at: None,
                identity: decision.identity.clone(),
                // Signed anew for each attempt: STS takes no signature that is older than some minutes.
                proof: match decision.approved {
                    true => signer.sign_caller(&approve_act(id, &approval.hash)).await?,
                    false => None,
                },
            };
            // False where the token was replaced between the read and this call.
            if self.executions.answer(&approval.task_token, &json!(recorded)).await? {
                return Ok(approval.hash);
            }
            clock.sleep(timeouts::DECIDE_AGAIN).await;
        }
        Err(ClientError::Refused(format!(
            "{id} did not take the decision, though it says that it waits for one; nothing was decided; next step: look \
             at its status, and decide again"
        )))
    }

    /// Reads the approval that a recovery waits for, and the ARN of its execution.
    async fn pending_approval(&self, id: &str) -> ClientResult<(String, PendingApproval)> {
        let Some(record) = self.recoveries.recovery(id).await? else {
            // Too young for the table, or a dry run: neither waits for a decision, but its state says which it is.
            let recovery = self.recovery(id).await?;
            return Err(no_decision_pending(id, &recovery.state));
        };
        let Some(approval) = record.approval else { return Err(no_decision_pending(id, &record.state)) };
        // StopExecution runs no state: the table still has the question that nobody waits for any more.
        match self.executions.execution(&record.execution_arn).await? {
            Some(execution) if execution.status == Status::Running => Ok((record.execution_arn, approval)),
            Some(_) | None => Err(ClientError::Refused(format!(
                "{id} does not run any more, so a decision would start nothing; nothing was decided; next step: rewind status {id}"
            ))),
        }
    }
}

fn no_decision_pending(id: &str, state: &str) -> ClientError {
    let state = if state == "Running" { "running, and has not asked yet or has its answer" } else { state };
    ClientError::Refused(format!("{id} waits for no decision: it is {state}; nothing was decided"))
}

fn check_deadline(id: &str, expires_at: Timestamp, now: Timestamp) -> ClientResult<()> {
    if now < expires_at {
        return Ok(());
    }
    Err(ClientError::Refused(format!(
        "the time to decide on {id} ended at {}; nothing was decided, and the recovery ends without moving traffic; next step: \
         rewind status {id}",
        format_time(expires_at)
    )))
}

fn check_hash(id: &str, decision: &Decision, approval: &PendingApproval) -> ClientResult<()> {
    // People copy it out of a message with blanks around it, or type it in capitals.
    let hash = decision.hash.trim().to_ascii_lowercase();
    if hash.len() < HASH_MIN {
        return Err(ClientError::Refused(format!(
            "\"{hash}\" is too short for a hash; nothing was decided; next step: give at least {HASH_MIN} characters of \
             the one that you were shown"
        )));
    }
    if !approval.hash.starts_with(&hash) {
        return Err(ClientError::Refused(format!(
            "{hash} is not the hash of what {id} asks now, which is {}: what is decided on is not what you were shown; \
             nothing was decided; next step: look at it again, and decide on that",
            approval.hash
        )));
    }
    Ok(())
}

fn unreadable(error: serde_json::Error) -> ClientError {
    ClientError::Aws(
        StepError::bug(format!("the execution's history cannot be read: {error}"))
            .changed("nothing was decided")
            .advice("use the version of this program that belongs to the deployed one"),
    )
}
