//! The request for approval, in chat and by mail.

use super::proposal::proposal;
use super::report::Values;
use crate::document::Document;
use jiff::Timestamp;
use rewind_core::{Proposal, Recovery, format_moment, format_time};

/// Formats a request for approval, for chat and mail: the proposal without the values of checks, its hash, and the time until which a person may decide.
pub fn approval_request(id: &str, proposed: &Proposal, hash: &str, expires_at: Timestamp) -> Document {
    let mut document = Document::new();
    document.heading(format!("{id} waits for a decision until {}", format_time(expires_at)));
    document.extend(proposal(proposed, Values::Hidden));
    if proposed.report.as_ref().is_some_and(|report| !report.checks.is_empty()) {
        document.field("values", format!("what the checks found: rewind status {id}, at a terminal"));
    }
    document.field("hash", hash);
    document
}

/// Formats the mail that asks for approval: its subject, and its text with the commands that decide.
pub fn approval_mail(recovery: &Recovery, proposed: &Proposal, expires_at: Timestamp) -> (String, Document) {
    let (id, plan, hash) = (&recovery.id, &proposed.plan, proposed.hash());
    // The question first: SNS takes 100 characters of a subject, and a phone shows fewer.
    let subject = match &proposed.restored {
        Some(restored) => format!("Approve {id}? {} back to {}", plan.cluster, format_moment(restored.rewound_to)),
        None => format!("Approve {id}? {} back to {}, in place", plan.cluster, format_moment(plan.target)),
    };
    let mut document = approval_request(id, proposed, &hash, expires_at);
    // A mail is read where no command line is set up: the console finds the execution by its ARN.
    document.field("execution", &recovery.execution_arn);
    document.heading(format!("Decide until {}:", format_time(expires_at)));
    // With the hash, so that a copied line decides on this proposal and on no later one.
    document.item(format!("rewind approve {id} --hash {hash}"));
    document.item(format!("rewind reject {id}"));
    document.plain(
        "An approval is valid only for the plan and the report that are shown here: their hash stands for them.",
    );
    (subject, document)
}
