//! Work that takes longer than Slack waits, or that a button stands for: handed to a later invocation of this function.

use crate::people::Person;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do", deny_unknown_fields)]
pub(crate) enum Task {
    /// Show a plan when its dry run has ended.
    Show {
        /// The dry run.
        id: String,
    },
    /// Start a recovery.
    Start {
        /// Its name.
        id: String,
        /// Its request.
        request: Value,
    },
    /// Decide on a recovery.
    Decide {
        /// The recovery.
        id: String,
        /// Yes or no.
        approved: bool,
        /// Why, if they say.
        comment: Option<String>,
        /// The hash of what they were shown.
        hash: String,
    },
    /// Take a recovery back.
    Undo {
        /// The recovery.
        id: String,
        /// The source's name.
        confirm: String,
    },
    /// Ask for a window, or set it.
    Window {
        /// The cluster.
        cluster: String,
        /// The window; none: only ask.
        window: Option<String>,
        /// What cannot be undone, confirmed.
        confirm: Option<String>,
    },
}

/// A task on its way to the later invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Handed {
    /// What.
    pub(crate) task: Task,
    /// For whom.
    pub(crate) person: Person,
    /// Where to answer.
    pub(crate) response_url: String,
}
