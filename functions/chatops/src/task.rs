//! Tasks: what a button stands for, and what takes longer than Slack waits. They travel as JSON, in a button's value and in the
//! payload of a later invocation of this function, with a MAC in both.

use crate::access::{ChatUser, Permission};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do", deny_unknown_fields)]
pub(crate) enum Task {
    /// Show the plan of a dry run once that has ended.
    Show {
        /// The id of the dry run.
        id: String,
    },
    /// Start a recovery.
    Start {
        /// The id that it shall have.
        id: String,
        /// The request.
        request: Value,
    },
    /// Decide on a recovery.
    Decide {
        /// The recovery's id.
        id: String,
        /// True to approve, false to reject.
        approved: bool,
        /// The reason that the person gave.
        comment: Option<String>,
        /// The hash of the proposal that the person was shown.
        hash: String,
    },
    /// Undo a recovery.
    Undo {
        /// The recovery's id.
        id: String,
        /// The source's name, as a confirmation.
        confirm: String,
    },
    /// Read or set a window.
    Window {
        /// The cluster.
        cluster: String,
        /// The new window; none to read it.
        window: Option<String>,
        /// The confirmation of a change that cannot be undone.
        confirm: Option<String>,
    },
}

impl Task {
    /// The label of the button that stands for the task; none if no button does.
    pub(crate) fn label(&self) -> Option<&'static str> {
        match self {
            Self::Start { .. } => Some("Start it"),
            Self::Decide { approved: true, .. } => Some("Approve"),
            Self::Decide { approved: false, .. } => Some("Reject"),
            Self::Undo { .. } => Some("Undo it"),
            Self::Show { .. } | Self::Window { .. } => None,
        }
    }

    /// The permission that the task needs.
    // A task is checked again where it runs: a button stays in the channel, and whoever may not type a command may press it.
    pub(crate) fn permission(&self) -> Permission {
        match self {
            Self::Show { .. } | Self::Window { window: None, .. } => Permission::Read,
            Self::Start { .. } => Permission::Request,
            Self::Decide { .. } | Self::Undo { .. } | Self::Window { .. } => Permission::Approve,
        }
    }
}

/// The payload of the later invocation. Whoever may invoke the function could write one, and make somebody approve: so it is signed with the
/// app's secret, as Slack's requests are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignedTask {
    /// A [`DeferredTask`] as JSON, to the letter as it was signed.
    pub(crate) deferred: String,
    /// The time of the signature, in seconds since 1970.
    pub(crate) timestamp: String,
    /// The signature of both.
    pub(crate) signature: String,
}

impl SignedTask {
    /// The bytes that the signature is of. No body of a request begins so, and none can pass for a task.
    pub(crate) fn signed_bytes(deferred: &str) -> Vec<u8> {
        format!("deferred task {deferred}").into_bytes()
    }
}

/// A task on its way to the later invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeferredTask {
    /// The task.
    pub(crate) task: Task,
    /// The user who asked for it.
    pub(crate) user: ChatUser,
    /// The URL at which Slack takes the answer.
    pub(crate) response_url: String,
}
