//! The proposal: everything that a person is shown before they decide on a recovery, and the hash that binds the decision to
//! it. This module asks nobody and formats nothing.

use crate::check::Report;
use crate::comparison::Comparison;
use crate::content_hash::content_hash;
use crate::difference::Difference;
use crate::plan::{Plan, Restored};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The content that a person decides on.
///
/// An approval is valid only for the proposal that was shown, so every field here is part of [`Self::hash`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The plan.
    pub plan: Plan,
    /// The restored cluster; none in place, where people are asked before anything is rewound.
    pub restored: Option<Restored>,
    /// The report of verification; none in place.
    pub report: Option<Report>,
    /// The differences between the restored cluster and the source.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The writes that are not carried over, table by table; none in place, where nobody asked for it, and in proposals that are older
    /// than this field.
    // Taken once, before people are asked: what is written meanwhile does not end an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

impl Proposal {
    /// The hash that a decision is bound to: 12 hexadecimal digits.
    pub fn hash(&self) -> String {
        // Over all fields, also those that a renderer leaves out: all of it is what will be done.
        content_hash(&json!(self))
    }

    /// All differences, each once: those that the restore found come with `restored` and again with `differences`.
    pub fn all_differences(&self) -> Vec<&Difference> {
        let restored = self.restored.iter().flat_map(|restored| &restored.differences);
        let verified = self.report.iter().flat_map(|report| &report.differences);
        let mut all: Vec<&Difference> = Vec::new();
        for difference in restored.chain(&self.differences).chain(verified) {
            // By content: the two states that report a difference give it no id.
            if !all.contains(&difference) {
                all.push(difference);
            }
        }
        all
    }
}
