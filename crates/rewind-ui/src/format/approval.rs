//! The request for approval, in chat and by mail: as short as a phone's screen. The status of the recovery has all of it.

use super::estimates;
use super::not_carried_over;
use super::short::{LINE_MAX, counted};
use super::standing::Place;
use crate::document::Document;
use jiff::Timestamp;
use rewind_core::{Plan, Proposal, Recovery, Report, Restored, cut, format_duration, format_moment, format_time};

/// The most checks that are named: the status has all of them.
const CHECKS: usize = 5;

/// Formats a request for approval, for chat and mail: what will happen, the checks without their values, what is not carried over, the
/// hash of the whole proposal, and the time until which a person may decide.
pub fn approval_request(id: &str, proposed: &Proposal, hash: &str, expires_at: Timestamp, place: Place) -> Document {
    let Proposal { plan, restored, report, .. } = proposed;
    let mut document = Document::new();
    document.heading(format!("{id} waits for a decision until {}", format_time(expires_at)));
    match restored {
        Some(restored) => document.extend(beside(plan, restored)),
        None => document.extend(in_place(plan)),
    }
    let comparison = proposed.comparison.as_ref();
    // Numbers that were counted say what estimates can only suggest.
    let is_counted = comparison.is_some_and(|found| found.tables > 0);
    if let Some(report) = report {
        // A line for the reason why nothing was counted, beside the estimates.
        let most = if comparison.is_some() && !is_counted { CHECKS - 1 } else { CHECKS };
        document.extend(checks(report, most, is_counted));
        let estimates = report.estimates.as_ref().filter(|_| !is_counted);
        document.extend(estimates.map(estimates::in_short).unwrap_or_default());
    }
    document.extend(comparison.map(not_carried_over::in_short).unwrap_or_default());
    document.extend(left_out(proposed));
    document.field("all of it", place.typed(&format!("rewind status {id}")));
    document.field("hash", hash);
    document
}

/// Formats what an approval does beside the source. What is not carried over is the price of going back, so it stands out.
fn beside(plan: &Plan, restored: &Restored) -> Document {
    let Plan { cluster, .. } = plan;
    let Restored { cluster: new, rewound_to, .. } = restored;
    let rewound_to = format_moment(*rewound_to);
    let mut document = Document::new();
    document.field("cluster", format!("{cluster}, back to {rewound_to} on {new}; traffic is still on the source"));
    let moved = match plan.dns.as_slice() {
        [] => String::new(),
        [record] => format!(", and {} moves to {new}", record.name),
        [first, more @ ..] => format!(", and {} and {} more move to {new}", first.name, more.len()),
    };
    document.field("if you approve", format!("{cluster} is fenced{moved}"));
    document.field("if you reject", format!("no traffic is moved, and {new} is deleted if nobody uses it"));
    document.warning(format!(
        "what was written to {cluster} after {rewound_to} is not on {new}: it stays on the source, fenced, for {}",
        format_duration(plan.keep_source())
    ));
    document
}

/// Formats the same in place, where people are asked before anything is rewound.
fn in_place(plan: &Plan) -> Document {
    let Plan { cluster, target, new_cluster, .. } = plan;
    let target = format_moment(*target);
    let mut document = Document::new();
    document.field("cluster", format!("{cluster}, in place. Nothing has been changed yet."));
    document.field(
        "if you approve",
        format!("{cluster} itself is rewound to {target}, and every connection to {cluster} is cut until all of this is done"),
    );
    document.field("if you reject", "nothing is changed");
    document.warning(format!(
        "what was written to {cluster} after {target} is no longer on it: it stays on {new_cluster}, the safety clone"
    ));
    // The checks and the estimates compare the rewound data, which is not there yet.
    document.field("checks", if plan.checks.is_empty() { "none are given" } else { "they run after the rewind" });
    document
}

/// Formats the checks, those first that did not pass.
fn checks(report: &Report, most: usize, is_counted: bool) -> Document {
    let mut document = Document::new();
    if report.checks.is_empty() {
        document.field(
            "checks",
            match report.estimates {
                _ if is_counted => "none were given: the tables were compared with the source",
                Some(_) => "none were given: there are estimates alone",
                None => "none were given, and nothing is known of the tables",
            },
        );
    }
    let (passed, failed): (Vec<_>, Vec<_>) = report.checks.iter().partition(|check| check.passed);
    for check in failed.into_iter().chain(passed).take(most) {
        // Without the values, which are data of the database: this has more readers.
        if check.passed {
            document.good(cut(&check.to_string(), LINE_MAX));
        } else {
            document.warning(cut(&check.to_string(), LINE_MAX));
        }
    }
    if let Some(more) = report.checks.len().checked_sub(most).filter(|more| *more > 0) {
        document.item(format!("and {more} more checks"));
    }
    document
}

/// Counts what is left out here and a person should read before they decide.
fn left_out(proposed: &Proposal) -> Document {
    let plan = &proposed.plan;
    let counts = [
        (plan.warnings.len() + plan.findings.len(), "warning"),
        (proposed.report.as_ref().map_or(0, |report| report.notes.len()), "note"),
        (proposed.all_differences().len(), "difference"),
    ];
    let mut document = Document::new();
    if let Some(counts) = counted(&counts) {
        document.warning(format!("to read before: {counts}"));
    }
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
    let mut document = approval_request(id, proposed, &hash, expires_at, Place::Terminal);
    // A mail is read where no command line is set up: the console finds the execution by its ARN.
    document.field("execution", &recovery.execution_arn);
    document.heading(format!("Decide until {}:", format_time(expires_at)));
    // With the hash, so that a copied line decides on this proposal and on no later one.
    document.item(format!("rewind approve {id} --hash {hash}"));
    document.item(format!("rewind reject {id}"));
    document.plain(
        "An approval is valid only for the plan and the report that the status shows: their hash stands for them.",
    );
    (subject, document)
}
