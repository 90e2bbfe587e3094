//! Takes a recovery back: traffic returns to the source, which was kept. A state machine does it; this starts that one.

use crate::{Answer, Begun, ClientError, Places, RecoveryClient};
use rewind_aws::executions::{Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_ui::{Recovery, undo_id};
use serde_json::{Value, json};

/// How often one recovery can be undone, failures included.
const TRIES: usize = 20;

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// The recovery, if it can be undone.
    ///
    /// # Errors
    ///
    /// Refused, where it has moved no traffic, or is not over; what AWS answers.
    pub async fn undoable(&self, id: &str) -> Answer<Recovery> {
        let recovery = self.recovery(id).await?;
        let refused =
            |why: &str| Err(ClientError::Refused(format!("{id} cannot be undone: {why}; nothing was changed")));
        match recovery.state.as_str() {
            // One that was half undone has its outcome still, and may be undone again.
            "Recovered" => {}
            "NeedsOperator" if recovery.outcome.is_some() => {}
            "Undone" => return refused("it is undone already"),
            "Running" | "AwaitingApproval" => {
                return refused("it is not over; next step: reject it when it asks, and it undoes itself");
            }
            "NeedsOperator" => {
                return refused("it stopped half-way, and where is for a person to see: follow the runbook");
            }
            state => return refused(&format!("it ended in {state}, which left all as it was")),
        }
        if let Some(clean_up) = &recovery.clean_up {
            let word = |name: &str| clean_up.get(name).and_then(Value::as_str).unwrap_or("unknown");
            return refused(&format!(
                "the time until which {0} was kept is over, and since {1} it is being deleted, into the snapshot {2}; \
                 next step: restore that beside what is there (aws rds restore-db-cluster-from-snapshot \
                 --snapshot-identifier {2} …), and copy over what is missed",
                word("cluster"),
                word("begunAt"),
                word("snapshot")
            ));
        }
        let word = |name: &str| recovery.outcome.as_ref().and_then(|o| o.get(name)).and_then(Value::as_str);
        if word("strategy") == Some("backtrack") {
            let safety_clone = recovery.outcome.as_ref().and_then(|o| o.pointer("/safetyClone/cluster")?.as_str());
            return refused(&format!(
                "it rewound {} in place, and going forward again would throw away what was written to it since; what it \
                 was before is kept on {}: copy from there what is missed",
                recovery.cluster,
                safety_clone.unwrap_or("its safety clone")
            ));
        }
        let dns = recovery.outcome.as_ref().and_then(|o| o.get("dns")).and_then(Value::as_array);
        if dns.is_none_or(Vec::is_empty) {
            return refused("it moved no traffic: the source has it all the time");
        }
        Ok(recovery)
    }

    /// Starts to take a recovery back, or finds the execution that does.
    ///
    /// # Errors
    ///
    /// Refused, where it cannot be, or `confirm` is not the source's name; what AWS answers.
    pub async fn undo(&self, id: &str, confirm: Option<&str>, by: &str) -> Answer<Begun> {
        let recovery = self.undoable(id).await?;
        if confirm != Some(recovery.cluster.as_str()) {
            return Err(ClientError::Refused(format!(
                "traffic would return to {0} now, and what was written to {1} would stay there, fenced; nothing was changed; \
                 next step: say the source's name with --confirm {0}",
                recovery.cluster,
                recovery.new_cluster.as_deref().unwrap_or("the restored cluster"),
            )));
        }
        let Some(machine) = &self.places.undo_machine else {
            return Err(ClientError::Refused(
                "it is not known which state machine takes recoveries back; nothing was changed; next step: set \
                 UNDO_STATE_MACHINE_ARN, which the stack's outputs have"
                    .to_owned(),
            ));
        };
        let input = json!({ "recovery": id, "by": by });
        for n in 0..TRIES {
            let name = undo_id(id, n);
            if let Some(begun) = self.begin(machine, &name, &input).await?.filter(|begun| !begun.before) {
                return Ok(begun);
            }
            let arn = Places::execution(machine, &name);
            let Some(other) = self.executions.execution(&arn).await? else { break };
            if other.input.get("recovery").and_then(Value::as_str) != Some(id) {
                continue;
            }
            match other.status {
                // Somebody's that does it, or has done it, is the one to follow.
                Status::Running | Status::Succeeded => return Ok(Begun { id: name, arn, before: true }),
                // One that failed may be repeated, by whoever it was: under the next name.
                Status::Failed | Status::Stopped => {}
            }
        }
        Err(ClientError::Refused(format!(
            "what became of taking {id} back before cannot be seen, or it failed {TRIES} times; nothing was changed; to go \
             on: look at the executions of {machine}"
        )))
    }
}
