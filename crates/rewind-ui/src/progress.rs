//! The progress of an execution in words: a sentence for each state that takes time.

/// Describes what a state does, while it does it; none for a state that takes no time, such as a Choice.
pub fn progress(state: &str) -> Option<&'static str> {
    Some(match state {
        "AcquireLease" => "takes the lease: one recovery a cluster",
        "ReadLease" => "reads who holds the lease",
        "ValidateWindow" => "checks the request against cluster, window, records and secret; nothing is changed",
        "RecordPlan" => "writes the plan into the table",
        "ExtendLease" => "makes the lease outlast the recovery",
        "AnnouncePlan" | "AnnounceApproval" | "AnnounceRecovered" | "AnnounceFailure" => {
            "sends an event to EventBridge"
        }
        "StartRestore" => "asks RDS for a new cluster as of the target",
        "AwaitRewind" => "waits for RDS: the cluster or the backtrack",
        "AddInstances" => "gives the restored cluster its instances and settings",
        "AwaitInstances" => "waits for the instances",
        "CloneSource" => "asks RDS for a copy-on-write clone of the present state: the safety clone",
        "StartBacktrack" => "asks RDS to rewind the cluster in place",
        "Verify" => "runs the checks on the rewound data, read-only",
        "RequestApproval" => "waits for a person to decide",
        "RecordDecision" => "writes down who decided",
        "ConfirmApproval" => "checks that nothing has changed since people were asked",
        "FenceSource" => "ends all writes on the source, and verifies that",
        "LiftFence" => "lets clients in again",
        "SwapDns" => "moves the records, if they are still as planned",
        "AwaitInSync" => "waits until Route 53 is in sync",
        "ConfirmCutover" => "resolves each record and connects by its name",
        "WaitForOldTtl" => "waits as long as resolvers may remember the old value",
        "Finish" => "tags what is kept, and writes the output",
        "RecordRecovered" | "RecordUndone" => "writes the end into the table",
        "ReleaseLease" | "ReleaseLeaseAfterFailure" => "releases the lease",
        "ReadRecovery" => "reads what the recovery did",
        "FenceRestored" => "ends writes on the restored cluster, before traffic moves back",
        "UndoSwapDns" => "moves the records back",
        "UndoFenceSource" => "lifts the fence of the source",
        "UndoFenceRestored" => "lifts the fence of the restored cluster",
        "UndoStartBacktrack" => "asks RDS to take the cluster forward to where it was",
        "AwaitForward" => "waits for RDS: the backtrack forward",
        "VerifyForward" => "compares every check and row count with the safety clone",
        "UndoAddInstances" => "deletes the new instances",
        "UndoStartRestore" => "deletes the restored cluster",
        "AwaitDeletion" => "waits until it is deleted",
        "RecordFailure" => "writes the failure into the table",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_state_that_takes_time_has_a_sentence_and_no_other_has_one() {
        let machines = [
            include_str!("../../../statemachine/rewind.asl.json"),
            include_str!("../../../statemachine/undo.asl.json"),
        ];
        for machine in machines {
            let machine: Value = serde_json::from_str(machine).unwrap();
            for (name, state) in machine["States"].as_object().unwrap() {
                let takes_time = state["Type"] == "Task" || state["Type"] == "Wait";
                assert_eq!(progress(name).is_some(), takes_time, "{name}");
            }
        }
    }
}
