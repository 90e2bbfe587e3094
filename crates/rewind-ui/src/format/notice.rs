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

/// Formats the notice that a recovery was started, or had been started before.
pub fn started(id: &str, started_before: bool) -> Document {
    let mut document = Document::new();
    let notice = if started_before { format!("{id} had been started before") } else { format!("{id} is started") };
    document.heading(notice);
    document
}

/// Formats the notice that an execution failed, with its cause.
pub fn failed(id: &str, ended: Ending, cause: Option<&str>) -> Document {
    let mut document = Document::new();
    document.heading(format!("{id} ended in {}: {}", ended.name(), ending(ended)));
    document.warning(cause.unwrap_or("no reason was given"));
    document
}

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
        Ending::Stopped => {
            "it was stopped from outside, and nothing was undone: rewind undo finds out what was done, and undoes it"
        }
    }
}
