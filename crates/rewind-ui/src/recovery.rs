//! A recovery as people are told of it, in words and as JSON. Never the task token of its approval.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// How a recovery stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Its name.
    pub id: String,
    /// Its execution.
    pub execution_arn: String,
    /// `Running`, `AwaitingApproval`, `Planned`, `Stopped`, or the state in which it ended.
    pub state: String,
    /// The cluster.
    pub cluster: String,
    /// The restored cluster, where one was planned.
    pub new_cluster: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The approval that is waited for.
    pub approval: Option<Awaited>,
    /// Who decided what.
    pub decision: Option<Value>,
    /// Who took it back, and what that did.
    pub undo: Option<Value>,
    /// That what it kept is being deleted, since when, and into which snapshot.
    pub clean_up: Option<Value>,
    /// The name of the error with which it ended.
    pub error: Option<String>,
    /// Why it ended so.
    pub cause: Option<String>,
    /// What it answered.
    pub outcome: Option<Value>,
    /// What it does.
    pub plan: Option<Value>,
}

/// An approval that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Awaited {
    /// The hash of what is decided on.
    pub hash: String,
    /// When people were asked.
    pub requested_at: Timestamp,
    /// Until when they may decide.
    pub expires_at: Timestamp,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A dry run has answered its plan.
    Planned,
    /// The data is back.
    Recovered,
    /// Traffic is back on the source.
    Undone,
    /// It failed, and all is as it was.
    NothingChanged,
    /// It failed, and a person must look.
    NeedsOperator,
    /// It was stopped from outside: nothing was undone.
    Stopped,
}

impl Ending {
    /// The ending of that name, if it is one.
    pub fn of(state: &str) -> Option<Self> {
        Some(match state {
            "Planned" => Self::Planned,
            "Recovered" => Self::Recovered,
            "Undone" => Self::Undone,
            "NothingChanged" => Self::NothingChanged,
            "NeedsOperator" => Self::NeedsOperator,
            "Stopped" => Self::Stopped,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "Planned",
            Self::Recovered => "Recovered",
            Self::Undone => "Undone",
            Self::NothingChanged => "NothingChanged",
            Self::NeedsOperator => "NeedsOperator",
            Self::Stopped => "Stopped",
        }
    }
}
