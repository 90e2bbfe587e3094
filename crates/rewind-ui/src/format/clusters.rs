//! The clusters and final snapshots that recoveries made or kept, and the removal of one.

use crate::document::Document;
use jiff::Timestamp;
use rewind_core::{ClusterRole, Inventory, Metered, RecoveryCluster, RemovedBy, format_time};

/// Formats an inventory as of `now`.
pub fn clusters(inventory: &Inventory, now: Timestamp) -> Document {
    let mut document = Document::new();
    if inventory.clusters.is_empty() && inventory.snapshots.is_empty() && inventory.unseen.is_empty() {
        document.plain("Nothing is left of any recovery.");
        return document;
    }
    let now = now.round(jiff::Unit::Second).unwrap_or(now);
    document.plain(format!("What recoveries made or kept, and is still there as of {}:", format_time(now)));
    for cluster in &inventory.clusters {
        document.extend(entry(cluster));
    }
    for snapshot in &inventory.snapshots {
        document.heading(format!("{} (snapshot, {})", snapshot.snapshot, snapshot.status));
        let created = snapshot.created.map_or_else(String::new, |at| format!(" at {}", format_time(at)));
        document.field("why", format!("final snapshot of {}, taken when it was deleted{created}", snapshot.cluster));
        document.field("kept", "no time is set: nothing deletes it by itself");
        document.field("billed for", "its storage");
        document.field("remove", &snapshot.remove);
    }
    for unseen in &inventory.unseen {
        document.warning(format!("not seen: {unseen}"));
    }
    if let Some(total) = total(inventory) {
        document.plain(total);
    }
    // Nobody may take measurements that are minutes old for a proof that nobody is connected.
    document.plain(
        "Connections are as CloudWatch has measured them, minutes ago. Before the clean-up deletes a cluster, it looks itself who is \
         connected, and keeps what is used.",
    );
    document
}

/// Adds up the costs of all clusters; none where none is known.
fn total(inventory: &Inventory) -> Option<String> {
    let metered: Vec<&Metered> = inventory.clusters.iter().filter_map(|cluster| cluster.metered.as_ref()).collect();
    let known: Vec<f64> = metered.iter().filter_map(|metered| metered.usd_a_day).collect();
    if known.is_empty() {
        return None;
    }
    let at_least = if metered.iter().all(|metered| metered.is_whole) { "" } else { " at least" };
    let sum: f64 = known.iter().sum();
    Some(format!(
        "All clusters together cost USD {sum:.2} a day{at_least}, at list prices on demand: without I/O, backups and snapshots, discounts and \
         taxes."
    ))
}

/// Formats one cluster.
fn entry(cluster: &RecoveryCluster) -> Document {
    let mut document = Document::new();
    document.heading(format!("{} ({})", cluster.cluster, cluster.status));
    document.field("why", &cluster.why);
    document.field("kept", &cluster.kept);
    document.field("billed for", &cluster.billed_for);
    if let Some(metered) = &cluster.metered {
        document.field("costs", &metered.cost);
    }
    document.field("used by", &cluster.usage);
    if let Some(metered) = &cluster.metered {
        document.field("connections", &metered.connected);
    }
    for unseen in &cluster.unseen {
        document.warning(format!("not seen: {unseen}"));
    }
    for why in &cluster.removal.why {
        let name = if cluster.removal.by == RemovedBy::Hand { "by hand only" } else { "not removable" };
        document.field(name, why);
    }
    for command in &cluster.removal.commands {
        document.field("remove", command);
    }
    document
}

/// Formats the removal of a cluster before it is confirmed. `hourly`: true if a rule starts the clean-up every hour.
pub fn removal(cluster: &RecoveryCluster, hourly: Option<bool>) -> Document {
    let name = &cluster.cluster;
    let mut document = entry(cluster);
    document.heading(format!("The removal of {name}:"));
    document.item("end the time until which it is kept: its tag aurora-rewind:keep-until becomes a moment ago");
    document.item(format!(
        "start the clean-up of {name} alone, which looks again who uses it: names, connections, leases, and all that was changed by people"
    ));
    document.item(format!(
        "if nobody does, the clean-up deletes {name} into a final snapshot, and keeps its automated backups"
    ));
    let again = match hourly {
        Some(true) => "and it is looked at again every hour",
        Some(false) => "and nothing looks at it again by itself, because CleanUp of the stack is DISABLED",
        None => "and it is looked at again every hour, unless the stack's CleanUp is DISABLED",
    };
    document.item(format!("if somebody does, {name} stays, people are told why, {again}"));
    let id = &cluster.recovery_id;
    document.warning(match cluster.role {
        ClusterRole::Source => format!("once {name} is deleted, {id} cannot be undone any more"),
        ClusterRole::Restored => format!("once {name} is deleted, {id} cannot be resumed any more"),
        ClusterRole::SafetyClone => {
            format!("once {name} is deleted, the state before {id} is in the final snapshot alone")
        }
    });
    document
}

/// Formats the notice that a removal has begun, with what follows.
pub fn removal_begun(cluster: &str, execution_arn: &str, keep_command: &str) -> Document {
    let mut document = Document::new();
    document.heading(format!("the removal of {cluster} has begun: the clean-up looks who uses it, then deletes it"));
    document.field("see it", "rewind clusters");
    document.field("see its end", format!("aws stepfunctions describe-execution --execution-arn {execution_arn}"));
    document.field("keep it instead", keep_command);
    document.plain(
        "Deleting takes minutes for each instance. Those who are asked for approvals are told when it is deleted, or why it stays.",
    );
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_left_it_is_a_sentence() {
        let text = clusters(&Inventory::default(), Timestamp::UNIX_EPOCH).to_string();
        assert_eq!(text, "Nothing is left of any recovery.\n");
    }

    #[test]
    fn what_could_not_be_listed_is_never_nothing() {
        let unseen = Inventory { unseen: vec!["the final snapshots: AccessDenied".into()], ..Inventory::default() };
        let text = clusters(&unseen, Timestamp::UNIX_EPOCH).to_string();
        assert!(text.contains("! not seen: the final snapshots: AccessDenied"), "{text}");
    }
}
