//! The proposal that a person decides on.

use super::not_carried_over::not_carried_over;
use super::plan::plan;
use super::report::{Values, report};
use crate::document::Document;
use rewind_core::{Difference, Plan, Proposal, RecoveryRecord, Restored, Undoing, format_duration, format_moment};

/// Formats a proposal: the plan, and everything else that the decision is based on.
pub fn proposal(proposal: &Proposal, values: Values) -> Document {
    let mut document = plan(&proposal.plan);
    document.extend(decision_basis(proposal, values));
    document
}

/// Formats a proposal without its plan, for whoever has just been shown the plan.
pub fn decision_basis(proposal: &Proposal, values: Values) -> Document {
    let mut document = Document::new();
    if let Some(restored) = &proposal.restored {
        document.extend(restored_cluster(restored));
    } else {
        // In place people are asked before the rewind: there is no second cluster to look at first.
        document.plain("Nothing has been changed yet.");
    }
    if let Some(found) = &proposal.report {
        document.extend(report(found, values));
    }
    document.extend(proposal.comparison.as_ref().map(not_carried_over).unwrap_or_default());
    document.extend(differences(&proposal.all_differences()));
    match &proposal.restored {
        Some(restored) => document.extend(consequences_side_by_side(&proposal.plan, restored)),
        None => document.extend(consequences_in_place(&proposal.plan)),
    }
    document
}

/// Formats the changes of a rejection, by the record, for whoever confirms it.
pub fn rejection(recovery: &RecoveryRecord) -> Document {
    let (id, cluster) = (&recovery.id, &recovery.cluster);
    let mut document = Document::new();
    document.heading(format!("The rejection of {id}:"));
    let Some(restored) = recovery.new_cluster.as_ref().filter(|_| !recovery.is_in_place()) else {
        document.item(format!("it ends, and nothing is changed: {cluster} stays as it is"));
        return document;
    };
    document.item(format!("it ends, and no traffic is moved: clients stay on {cluster}"));
    document.warning(format!("{restored} is deleted if nobody uses it: the next recovery has to restore it again"));
    if recovery.why_not_undoable(Undoing::Cancel).is_none() {
        document.field("to keep it", format!("rewind cancel {id}"));
    }
    document
}

fn restored_cluster(restored: &Restored) -> Document {
    let mut document = Document::new();
    document.heading("The restored cluster (traffic is still on the source):");
    document.field("restored cluster", &restored.cluster);
    document.field("rewound to", format_moment(restored.rewound_to));
    document.field("writer", &restored.writer_endpoint);
    document
}

fn differences(differences: &[&Difference]) -> Document {
    let mut document = Document::new();
    if !differences.is_empty() {
        document.heading("Differences between the restored cluster and the source:");
    }
    for Difference { what, source, restored, todo } in differences {
        document.item(format!("{what}: {source}, now {restored}; to do: {todo}"));
    }
    document
}

fn consequences_side_by_side(plan: &Plan, restored: &Restored) -> Document {
    let mut document = Document::new();
    document.heading("If you approve:");
    document.item(format!("{} is fenced: its sessions end and it acknowledges no more writes", plan.cluster));
    for record in &plan.dns {
        document.item(format!("{} moves from {} to {}", record.name, record.from, restored.endpoint(record.endpoint)));
    }
    // These writes are the price of going back, so they stand out among the consequences.
    document.warning(format!(
        "what was written to {} after {} is not on {}: it stays on the source, fenced, for {}",
        plan.cluster,
        format_moment(restored.rewound_to),
        restored.cluster,
        format_duration(plan.keep_source())
    ));
    // A rejection has its consequence as well: the deleted cluster may have taken hours to restore.
    document.heading("If you reject:");
    document.item(format!("no traffic is moved, and {} is deleted if nobody uses it", restored.cluster));
    document
}

fn consequences_in_place(plan: &Plan) -> Document {
    let mut document = Document::new();
    document.heading("If you approve:");
    document.item(format!("{} itself is rewound to {}", plan.cluster, format_moment(plan.target)));
    document.item(format!("every connection to {} is cut, and it takes none until all of this is done", plan.cluster));
    document.warning(format!(
        "what was written to {} after {} is no longer on it: it stays on {}, the safety clone",
        plan.cluster,
        format_moment(plan.target),
        plan.new_cluster
    ));
    document.heading("If you reject:");
    document.item("nothing is changed");
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan, recovery_record};

    #[test]
    fn a_rejection_names_the_cluster_that_it_deletes_and_the_command_that_keeps_it() {
        let waiting = RecoveryRecord { id: "r-1".into(), state: "AwaitingApproval".into(), ..recovery_record(&plan()) };
        let text = rejection(&waiting).to_string();
        for part in ["clients stay on orders\n", "orders-r is deleted if nobody uses it", "rewind cancel r-1\n"] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        let in_place = RecoveryRecord { state: "AwaitingApproval".into(), ..recovery_record(&in_place_plan()) };
        let text = rejection(&in_place).to_string();
        assert!(text.contains("nothing is changed: orders stays") && !text.contains("deleted"), "{text}");
    }
}
