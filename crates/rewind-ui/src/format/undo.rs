//! The undo of a recovery, before it is confirmed.

use crate::document::Document;
use rewind_core::{MovedRecord, RecoveryRecord};

/// Formats the changes that the undo of a recovery would make.
pub fn undo(recovery: &RecoveryRecord) -> Document {
    let new_cluster = recovery.new_cluster.as_deref().unwrap_or("the restored cluster");
    let cluster = &recovery.cluster;
    let recovered = recovery.outcome.as_ref().and_then(|outcome| outcome.recovered());
    let records = recovered.map(|recovered| recovered.dns.as_slice()).unwrap_or_default();
    let mut document = Document::new();
    document.heading(format!("The undo of {}:", recovery.id));
    // In the order of the state machine: this fence comes first, so that two clusters never take writes.
    document.item(format!("fence {new_cluster}: no write is acknowledged by it after that, and its sessions end"));
    for MovedRecord { name, from, to, .. } in records {
        document.item(format!("move {name} from {to} back to {from}"));
    }
    document.item(format!("lift the fence of {cluster}: it is exactly as it was before it was fenced"));
    // Nothing copies these writes back: the person who undoes has to know where they stay.
    document.warning(format!(
        "what was written to {new_cluster} since the switch is not on {cluster}: it stays on {new_cluster}, fenced and kept"
    ));
    document
}
