//! The undo of a recovery, before it is confirmed.

use crate::document::Document;
use rewind_core::{MovedRecord, RecoveryRecord, Strategy, format_duration, format_time};

/// Formats the changes that the undo of a recovery would make, by its record. The state machine looks before it makes any.
pub fn undo(recovery: &RecoveryRecord) -> Document {
    let new_cluster = recovery.new_cluster.as_deref().unwrap_or("the restored cluster");
    let cluster = &recovery.cluster;
    let mut document = Document::new();
    document.heading(format!("The undo of {}, which is {}:", recovery.id, recovery.state));
    if matches!(recovery.state.as_str(), "Running" | "AwaitingApproval") {
        document.item("end it: no further step is begun, and the one at work is waited out, six minutes at most");
    }
    if recovery.plan.as_ref().is_some_and(|plan| plan.strategy == Strategy::Backtrack) {
        document.extend(undo_in_place(recovery));
        return document;
    }
    let records = records(recovery);
    if records.is_empty() {
        document.item(match recovery.fence_begun_at {
            Some(at) => format!(
                "lift the fence of {cluster}, if it is up: by its record it began to fence it at {}",
                format_time(at)
            ),
            None => {
                format!("look what it has changed by then: by its record it has not begun to fence {cluster}")
            }
        });
        document.item(format!("release its lease on {cluster}"));
        document.item(format!("keep {new_cluster}, if it is there: rewind resume {} goes on from it", recovery.id));
        return document;
    }
    document.item("look where the records lead: one that leads to neither cluster ends the undo with nothing changed");
    // In the order of the state machine: this fence comes first, so that two clusters never take writes.
    document.item(format!("fence {new_cluster}: no write is acknowledged by it after that, and its sessions end"));
    for MovedRecord { name, from, to, .. } in records {
        document.item(format!("move {name} from {to} back to {from}"));
    }
    document.item(format!("lift the fence of {cluster}: it is exactly as it was before it was fenced"));
    if recovery.outcome.is_none() {
        document.item(format!(
            "or only lift that fence, if no record was ever sent to be moved: {new_cluster} is kept then, for rewind resume {}",
            recovery.id
        ));
    }
    // Nothing copies these writes back: the person who undoes has to know where they stay.
    let plan = recovery.plan.as_ref();
    let kept_for =
        plan.map_or_else(String::new, |plan| format!(", for {} at least", format_duration(plan.keep_source())));
    document.warning(format!(
        "what was written to {new_cluster} since the switch is not on {cluster}: it stays on {new_cluster}, fenced{kept_for}; \
         then the clean-up deletes {new_cluster} into a snapshot, but not while it has deletion protection, which it got if {cluster} \
         had it, nor in a deployment without a fence of the network"
    ));
    document
}

/// Formats the changes of an undo in place. There is no record to move back, and nothing to resume.
fn undo_in_place(recovery: &RecoveryRecord) -> Document {
    let (cluster, mut document) = (&recovery.cluster, Document::new());
    if let Some(at) = recovery.let_in_since() {
        let safety_clone = recovery.new_cluster.as_deref().unwrap_or("the safety clone");
        document.item(format!("lift the fence of {cluster}, if it is up: clients get in"));
        document.item(format!("keep {safety_clone}, the safety clone, which holds what {cluster} held before"));
        document.item(format!("release its lease on {cluster}"));
        document.warning(format!(
            "it takes nothing back: {cluster} stays rewound, as it was verified. {} began at {} to let clients in, and going forward would \
             throw away what they may have written since",
            recovery.id,
            format_time(at)
        ));
        return document;
    }
    match recovery.fence_begun_at {
        Some(at) => {
            let safety_clone = recovery.new_cluster.as_deref().unwrap_or("the safety clone");
            document
                .item(format!("ask RDS whether {cluster} was backtracked, and backtrack it forward to where it was"));
            document.item(format!("compare it with {safety_clone}: every check, and the rows of every table counted"));
            document.item(format!(
                "lift the fence of {cluster}, if it is up: by its record it began to fence it at {}",
                format_time(at)
            ));
            document.item(format!("delete {safety_clone}, into a final snapshot"));
            document.item(format!("release its lease on {cluster}"));
            document.warning(
                "clients have no database until then; whatever does not hold what it held before stays fenced, and what somebody \
                 has opened since stays rewound: nothing goes forward over what clients wrote",
            );
        }
        None => {
            document.item(format!(
                "look whether it has begun to fence {cluster}: by its record it has not, and nothing is rewound"
            ));
            document.item(format!("release its lease on {cluster}"));
        }
    };
    document
}

/// The records that were moved, or may have been.
fn records(recovery: &RecoveryRecord) -> &[MovedRecord] {
    let recovered = recovery.outcome.as_ref().and_then(|outcome| outcome.recovered());
    let possibly = recovery.moved.as_ref().map(|moved| moved.dns.as_slice());
    recovered.map(|recovered| recovered.dns.as_slice()).or(possibly).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan, recovered, recovery_record, time};
    use rewind_core::{LiftNote, PossiblyMoved};

    #[test]
    fn in_place_nothing_is_moved_back_or_resumed_and_a_fence_that_was_begun_is_told() {
        let waiting = RecoveryRecord { state: "AwaitingApproval".into(), ..recovery_record(&in_place_plan()) };
        let text = undo(&waiting).to_string();
        assert!(text.contains("end it") && text.contains("by its record it has not"), "{text}");
        let begun = Some(time("2026-11-23T10:40:00Z"));
        let text = undo(&RecoveryRecord { fence_begun_at: begun, ..waiting }).to_string();
        assert!(text.contains("it began to fence it at 2026-11-23T10:40:00Z"), "{text}");
        for part in ["backtrack it forward to where it was", "compare it with orders-e", "delete orders-e"] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        assert!(!text.contains("it has not") && !text.contains("rewind resume"), "{text}");
        let lift = Some(LiftNote::Begun(time("2026-11-23T10:44:00Z")));
        let let_in = RecoveryRecord {
            state: "Stopped".into(),
            fence_begun_at: begun,
            lift,
            ..recovery_record(&in_place_plan())
        };
        let text = undo(&let_in).to_string();
        for part in ["lift the fence of orders, if it is up", "keep orders-e", "orders stays rewound", "10:44:00"] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        assert!(!text.contains("forward to where it was") && !text.contains("delete"), "{text}");
        let stopped = RecoveryRecord { state: "Stopped".into(), fence_begun_at: begun, ..recovery_record(&plan()) };
        let text = undo(&stopped).to_string();
        assert!(text.contains("began to fence it at 2026-11-23T10:40:00Z") && !text.contains("has not"), "{text}");
    }

    #[test]
    fn what_would_be_moved_back_is_shown_also_where_the_recovery_has_no_output() {
        let running = RecoveryRecord { state: "Running".into(), ..recovery_record(&plan()) };
        let text = undo(&running).to_string();
        assert!(text.contains("end it") && text.contains("rewind resume") && !text.contains("back to"), "{text}");
        let moved = PossiblyMoved { new_cluster: running.new_cluster.clone(), dns: recovered().dns };
        let stopped = RecoveryRecord { state: "Stopped".into(), moved: Some(moved), ..running };
        let text = undo(&stopped).to_string();
        assert!(text.contains("which is Stopped") && !text.contains("end it"), "{text}");
        assert!(text.contains("if no record was ever sent"), "{text}");
        for record in recovered().dns {
            assert!(
                text.contains(&format!("move {} from {} back to {}", record.name, record.to, record.from)),
                "{text}"
            );
        }
    }
}
