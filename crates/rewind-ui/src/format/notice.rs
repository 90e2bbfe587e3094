//! Short notices: a recovery was started, failed, or was decided on.

use crate::document::Document;
use rewind_core::Ending;

/// Formats the moment that a request means, in the words of whoever asks; nothing where it means none yet.
pub fn moment(moment: Option<&str>) -> Document {
    let mut document = Document::new();
    if let Some(moment) = moment {
        document.field("back to", moment);
    }
    document
}

/// Formats the notice that an execution was started, or had been started before, with the command that follows it: nobody does by itself.
pub fn detached(id: &str, started_before: bool) -> Document {
    let mut document = started(id, started_before);
    document.field("to follow it", format!("rewind status {id} --follow"));
    document
}

/// Formats the notice that a recovery was started, or had been started before.
pub fn started(id: &str, started_before: bool) -> Document {
    let mut document = Document::new();
    let notice = if started_before { format!("{id} had been started before") } else { format!("{id} is started") };
    document.heading(notice);
    document
}

/// Formats the notice that an execution failed, with the name of its error and the cause.
pub fn failed(id: &str, ended: Ending, error: Option<&str>, cause: Option<&str>) -> Document {
    let mut document = Document::new();
    let how = match (ended, error) {
        // An undo stops what it cancels, and goes on itself.
        (Ending::Stopped, Some(CANCELLED)) => "it was cancelled",
        _ => ending(ended),
    };
    document.heading(format!("{id} ended in {}: {how}", ended.name()));
    match (cause, ended) {
        (Some(cause), _) => document.warning(cause),
        // Whoever stops an execution in the console is asked for no reason.
        (None, Ending::Stopped) => {}
        (None, _) => document.warning("no reason was given"),
    }
    document
}

/// The error with which the machine that undoes recoveries stops the one that it cancels.
const CANCELLED: &str = "Cancelled";

/// Formats the notice that a person decided.
pub fn decided(id: &str, approved: bool, by: &str, hash: &str) -> Document {
    let mut document = Document::new();
    let decision = if approved { "approved" } else { "rejected" };
    document.heading(format!("{id}: {decision} by {by}"));
    document.field("hash", hash);
    if approved {
        // ConfirmApproval may still refuse it: the notice must not promise what is not certain.
        document.plain("It counts if cluster, records and report are unchanged since they were shown, and if two people have agreed where the \
             deployment wants that.");
    }
    document
}

/// Explains an ending in a sentence.
pub fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Planned => "nothing was changed: this is the plan",
        Ending::Recovered => "the data is back",
        Ending::Undone => "the source has its traffic",
        Ending::NothingChanged => "it failed, and clients are where they were",
        Ending::RolledBack => "it failed after traffic had moved, and traffic is back on the source",
        Ending::NeedsOperator => "it failed half-way, and a person must look",
        // Of an undo a part may be undone, and of a recovery in place there may be no way back: the banner has the command.
        Ending::Stopped => "it was stopped from outside, and what it had done until then stands",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_stopped_promises_no_undo_and_lacks_no_reason() {
        let stopped = failed("r-1-undo", Ending::Stopped, None, None).to_string();
        assert_eq!(
            stopped,
            "r-1-undo ended in Stopped: it was stopped from outside, and what it had done until then stands\n"
        );
        let cancelled =
            failed("r-1", Ending::Stopped, Some("Cancelled"), Some("ann cancelled it by r-1-undo")).to_string();
        assert_eq!(cancelled, "r-1 ended in Stopped: it was cancelled\n  ! ann cancelled it by r-1-undo\n");
        assert!(failed("r-1", Ending::NeedsOperator, None, None).to_string().contains("no reason was given"));
    }

    #[test]
    fn what_nobody_follows_is_told_with_the_command_that_follows_it() {
        let text = detached("r-1-undo", false).to_string();
        assert_eq!(text, "r-1-undo is started\n  to follow it     rewind status r-1-undo --follow\n");
    }
}
