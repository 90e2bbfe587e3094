//! Decides on a recovery that waits for a person, bound to what that person was shown.

use crate::{Answer, ClientError, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::executions::Executions;
use rewind_aws::recoveries::{Approval, Recoveries};
use rewind_core::{Clock, Difference, Plan, Report, Restored, StepError, shown_hash, timeouts};
use rewind_ui::say;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The fewest characters of a hash that stand for it.
pub const HASH_LEAST: usize = 6;
/// A token is replaced each minute, and for some moments none is valid.
const TRIES: usize = 20;

/// What somebody decides on.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    /// The recovery.
    pub id: String,
    /// What it does.
    pub plan: Plan,
    /// The rewound cluster; none where the approval comes before the rewind.
    pub restored: Option<Restored>,
    /// What verification found; none where the approval comes before it.
    pub report: Option<Report>,
    /// In what the restored cluster is not like the source.
    pub differences: Vec<Difference>,
    /// The hash that people are asked for.
    pub hash: String,
    /// Whether what is here is what the hash was made of. If not, only who was told the hash may decide.
    pub confirmed: bool,
    /// Until when one may decide.
    pub expires_at: Timestamp,
}

impl Matter {
    /// In words.
    pub fn say(&self) -> say::Matter<'_> {
        say::Matter {
            plan: &self.plan,
            restored: self.restored.as_ref(),
            report: self.report.as_ref(),
            differences: &self.differences,
        }
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub approved: bool,
    /// Who.
    pub by: String,
    /// Why, if they say.
    pub comment: Option<String>,
    /// The hash of what they saw, or its first characters.
    pub hash: String,
}

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// What there is to decide on in a recovery.
    ///
    /// # Errors
    ///
    /// Refused, where it waits for no decision; what AWS answers.
    pub async fn matter(&self, id: &str) -> Answer<Matter> {
        let (arn, approval) = self.awaited(id).await?;
        let answers = self.executions.answers(&arn, "RequestApproval").await?;
        let answer = |state: &str| answers.get(state).cloned().unwrap_or_default();
        let (plan, restored, report) = (answer("ValidateWindow"), answer("StartRestore"), answer("Verify"));
        let mut differences: Vec<Difference> = Vec::new();
        for state in ["StartRestore", "AddInstances"] {
            let found = answer(state).get("differences").cloned().unwrap_or_default();
            differences.extend(read::<Option<Vec<Difference>>>(found)?.unwrap_or_default());
        }
        let (plan, restored, report) =
            (read(plan)?, read::<Option<Restored>>(restored)?, read::<Option<Report>>(report)?);
        let shown = shown_hash(&plan, restored.as_ref(), report.as_ref(), &differences);
        Ok(Matter {
            id: id.to_owned(),
            confirmed: shown == approval.hash,
            plan,
            restored,
            report,
            differences,
            hash: approval.hash,
            expires_at: approval.expires_at,
        })
    }

    /// The hash of what a recovery asks now.
    ///
    /// # Errors
    ///
    /// Refused, where it waits for no decision; what AWS answers.
    pub async fn asked(&self, id: &str) -> Answer<String> {
        Ok(self.awaited(id).await?.1.hash)
    }

    /// Sends a decision; answers the hash that it was bound to.
    ///
    /// # Errors
    ///
    /// Refused, where the recovery waits for none, or for one on something else; what AWS answers.
    pub async fn decide<C: Clock>(&self, id: &str, decision: &Decision, clock: &C) -> Answer<String> {
        for _ in 0..TRIES {
            let (_, approval) = self.awaited(id).await?;
            check_hash(id, decision, &approval)?;
            let answer = json!({
                "decision": if decision.approved { "approved" } else { "rejected" },
                "by": decision.by,
                "comment": decision.comment,
                "hash": approval.hash,
            });
            if self.executions.answer(&approval.task_token, &answer).await? {
                return Ok(approval.hash);
            }
            // Between two slices of the wait: a fresh token is in the table soon, or the wait is over.
            clock.sleep(timeouts::DECIDE_AGAIN).await;
        }
        Err(ClientError::Refused(format!(
            "{id} did not take the decision, though it says that it waits for one; nothing was decided; next step: look \
             at its status, and decide again"
        )))
    }

    /// The approval that a recovery waits for, and its execution.
    async fn awaited(&self, id: &str) -> Answer<(String, Approval)> {
        let Some(record) = self.recoveries.recovery(id).await? else {
            // Too young for the table, or a dry run: both wait for nobody.
            let recovery = self.recovery(id).await?;
            return Err(waits_not(id, &recovery.state));
        };
        match record.approval {
            Some(approval) => Ok((record.execution_arn, approval)),
            None => Err(waits_not(id, &record.state)),
        }
    }
}

fn waits_not(id: &str, state: &str) -> ClientError {
    let state = if state == "Running" { "running, and has not asked yet or has its answer" } else { state };
    ClientError::Refused(format!("{id} waits for no decision: it is {state}; nothing was decided"))
}

fn check_hash(id: &str, decision: &Decision, approval: &Approval) -> Answer<()> {
    let hash = decision.hash.trim().to_ascii_lowercase();
    if hash.len() < HASH_LEAST {
        return Err(ClientError::Refused(format!(
            "\"{hash}\" is too short for a hash; nothing was decided; next step: give at least {HASH_LEAST} characters of \
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

fn read<T: DeserializeOwned>(value: Value) -> Answer<T> {
    serde_json::from_value(value).map_err(|e| {
        ClientError::Aws(
            StepError::bug(format!("what is to be decided on cannot be read: {e}"))
                .changed("nothing was decided")
                .advice("use the version of this program that belongs to the deployed one"),
        )
    })
}
