//! The request for approval, in chat and by mail.

use super::proposal::proposal;
use crate::document::Document;
use jiff::Timestamp;
use rewind_core::{Proposal, Recovery};

/// Formats a request for approval: the proposal, its hash, and the time until which a person may decide.
pub fn approval_request(id: &str, proposed: &Proposal, hash: &str, expires_at: Timestamp) -> Document {
    let mut document = Document::new();
    document.heading(format!("{id} waits for a decision until {expires_at}"));
    document.extend(proposal(proposed));
    document.field("hash", hash);
    document
}

/// Formats the mail that asks for approval: its subject, and its text with the commands that decide.
pub fn approval_mail(recovery: &Recovery, proposed: &Proposal, expires_at: Timestamp) -> (String, Document) {
    let (id, plan, hash) = (&recovery.id, &proposed.plan, proposed.hash());
    let subject = match &proposed.restored {
        Some(restored) => format!("Approve {id}? {} back to {}", plan.cluster, restored.rewound_to),
        None => format!("Approve {id}? {} back to {}, in place", plan.cluster, plan.target),
    };
    let mut document = approval_request(id, proposed, &hash, expires_at);
    document.field("execution", &recovery.execution_arn);
    document.heading(format!("Decide until {expires_at}:"));
    document.item(format!("rewind approve {id} --hash {hash}"));
    document.item(format!("rewind reject {id}"));
    document.plain(
        "An approval is valid only for the plan and the report that are shown here: their hash stands for them.",
    );
    (subject, document)
}
