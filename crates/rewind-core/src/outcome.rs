//! The output of an execution, as `finish`, the undo state machine and dry runs write it, and as everything else reads it.
//! `docs/steps.md` documents the shape. This module computes nothing and formats nothing for people.

use crate::check::{CheckResult, TableCount};
use crate::comparison::Comparison;
use crate::difference::Difference;
use crate::estimates::Estimates;
use crate::plan::{HeldJob, MovedRecord, Plan};
use crate::request::Strategy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The output of an execution that succeeded. JSON names the variant in the field `outcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome")]
pub enum Outcome {
    /// A dry run: only a plan was made.
    Planned(Box<Planned>),
    /// A recovery: the data is back, and clients reach it where records were to be moved.
    Recovered(Box<Recovered>),
    /// An undo of a recovery: traffic is back on the source.
    Undone(Box<Undone>),
}

impl Outcome {
    /// Reads the output of an execution.
    ///
    /// # Errors
    ///
    /// The reason, where the output is not of the documented shape: another version wrote it, or a person.
    pub fn read(output: &Value) -> Result<Self, String> {
        // All or nothing: a half-read outcome would show half of what happened as if it were all.
        Self::deserialize(output).map_err(|error| format!("the output of the execution cannot be read: {error}"))
    }

    /// The ending that this outcome means.
    pub fn ending(&self) -> Ending {
        match self {
            Self::Planned(_) => Ending::Planned,
            Self::Recovered(_) => Ending::Recovered,
            // Clients were let in to the rewound data, and nothing was taken back.
            Self::Undone(undone) if undone.stays_rewound => Ending::Recovered,
            Self::Undone(_) => Ending::Undone,
        }
    }

    /// The cluster that the execution was about.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Planned(planned) => &planned.plan.cluster,
            Self::Recovered(recovered) => &recovered.cluster,
            Self::Undone(undone) => &undone.cluster,
        }
    }

    /// The output of a recovery that ended in `Recovered`; none for other outcomes.
    pub fn recovered(&self) -> Option<&Recovered> {
        match self {
            Self::Recovered(recovered) => Some(recovered),
            // Both by name, so that whoever adds an outcome has to decide here.
            Self::Planned(_) | Self::Undone(_) => None,
        }
    }
}

/// The state in which an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A dry run made its plan.
    Planned,
    /// The data is back.
    Recovered,
    /// Traffic is back on the source.
    Undone,
    /// It failed, and clients are where they were and never were elsewhere.
    NothingChanged,
    /// It failed after traffic had moved to the restored cluster, and traffic is back on the source.
    RolledBack,
    /// It failed, and a person must look.
    NeedsOperator,
    /// It was stopped from outside: what it had done until then stands.
    Stopped,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 7] = [
        Self::Planned,
        Self::Recovered,
        Self::Undone,
        Self::NothingChanged,
        Self::RolledBack,
        Self::NeedsOperator,
        Self::Stopped,
    ];

    /// The ending with that name; none where `state` is another state.
    pub fn from_name(state: &str) -> Option<Self> {
        // From the one list, so that a new ending is recognised without another change.
        Self::ALL.into_iter().find(|ending| ending.name() == state)
    }

    /// The name of the terminal state, as the table and the state machines have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "Planned",
            Self::Recovered => "Recovered",
            Self::Undone => "Undone",
            Self::NothingChanged => "NothingChanged",
            Self::RolledBack => "RolledBack",
            Self::NeedsOperator => "NeedsOperator",
            Self::Stopped => "Stopped",
        }
    }
}

/// The output of a dry run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The id of the dry run.
    pub recovery_id: String,
    /// The plan that a recovery with the same request would follow.
    pub plan: Plan,
}

/// The output of a recovery, written by `finish`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    /// The recovery's id.
    pub recovery_id: String,
    /// The strategy that was used.
    pub strategy: Strategy,
    /// The moment of the rewound data: the one that AWS accepted, in place the one that Backtrack landed on.
    pub rewound_to: Timestamp,
    /// The source.
    pub cluster: String,
    /// The restored cluster; none in place.
    pub new_cluster: Option<String>,
    /// The writer endpoint of the rewound cluster itself, not a record of the user's.
    pub writer_endpoint: String,
    /// The reader endpoint of the rewound cluster.
    pub reader_endpoint: String,
    /// The records that were moved; empty in place, and where none was named.
    #[serde(default)]
    pub dns: Vec<MovedRecord>,
    /// The checks, without the values that they found: those are in the output of `Verify`.
    #[serde(default)]
    pub checks: Vec<CheckResult>,
    /// The rows of the checked tables, on both clusters.
    #[serde(default)]
    pub tables: Vec<TableCount>,
    /// The tables of all databases and estimates of their rows, as verification read them; none where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<Estimates>,
    /// Notes of verification and of `finish` for a person.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The differences between the restored cluster and the source.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The fence; none where no traffic was to be moved.
    #[serde(default)]
    pub fence: Option<Fence>,
    /// The writes that the rewound data lacks; none where the source keeps its traffic.
    #[serde(default, rename = "lost")]
    pub not_carried_over: Option<WritesNotCarriedOver>,
    /// The same table by table, as it was compared last; none where nobody asked for it, and in outputs that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// The source, as it is kept.
    pub source: KeptSource,
    /// The safety clone; none side by side.
    #[serde(default)]
    pub safety_clone: Option<KeptSafetyClone>,
    /// The jobs of the restored cluster that would have acted by themselves.
    #[serde(default)]
    pub held_jobs: Vec<HeldJob>,
    /// The reason why it is not known that clients are on the restored cluster and that the source is still fenced; none where both
    /// were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<String>,
    /// Seconds from the beginning of the fence until clients could have a database again; none where they always had one, or that
    /// was not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage_seconds: Option<f64>,
    /// Seconds spent in each state, and in `total`.
    #[serde(default)]
    pub timings: BTreeMap<String, f64>,
}

/// The fence around the source, as the output shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// The moment from which the source acknowledged no write.
    pub fenced_at: Timestamp,
    /// The number of sessions that were terminated.
    pub sessions_ended: u64,
    /// The layers of the fence, with what could not be ended.
    #[serde(default)]
    pub layers: Vec<FenceLayer>,
}

/// One layer of the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceLayer {
    /// `network`, `login`, `sessions` or `proof`.
    pub layer: String,
    /// A sentence that says what the layer did.
    pub did: String,
}

/// The writes that the rewound data lacks. They are kept: on the fenced source, or in place on the safety clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WritesNotCarriedOver {
    /// The moment of the rewound data: all these writes are later.
    pub from: Timestamp,
    /// The moment of the fence: all these writes are earlier.
    pub to: Timestamp,
    /// A sentence that says where they are kept.
    #[serde(rename = "where")]
    pub place: String,
}

/// The source after a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptSource {
    /// The source's name.
    pub cluster: String,
    /// The time until which it is kept; none where it keeps its traffic, and where it could not be tagged.
    #[serde(default)]
    pub keep_until: Option<Timestamp>,
    /// The commands that change that time; none where there is no time.
    #[serde(flatten)]
    pub keep: Option<KeepCommands>,
}

/// Commands of the AWS CLI that have a kept cluster kept for longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepCommands {
    /// The command that moves the time after which the cluster is deleted.
    pub keep_longer: String,
    /// The command after which only people delete the cluster.
    pub keep_forever: String,
}

/// The safety clone after a recovery in place: the state before the backtrack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptSafetyClone {
    /// The clone's name.
    pub cluster: String,
    /// The clone's writer endpoint.
    pub writer_endpoint: String,
    /// The moment at which it was cloned.
    pub taken_at: Timestamp,
    /// The time until which it is kept; none where it could not be tagged.
    #[serde(default)]
    pub keep_until: Option<Timestamp>,
    /// The commands that change that time; none where there is no time.
    #[serde(flatten)]
    pub keep: Option<KeepCommands>,
    /// The commands that delete it, joined by `&&`.
    pub delete: String,
}

/// The output of an undo, written by the undo state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undone {
    /// The recovery that was undone.
    pub recovery_id: String,
    /// The execution that undid it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_id: Option<String>,
    /// The person who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The source, which has its traffic again.
    pub cluster: String,
    /// The restored cluster, fenced and kept.
    #[serde(default)]
    pub new_cluster: Option<String>,
    /// The records that were moved back; empty where that could not be recorded in the table.
    #[serde(default)]
    pub dns: Vec<MovedRecord>,
    /// True of a recovery in place that had begun to let clients in: they are in, the source stays rewound, and the safety clone is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays_rewound: bool,
    /// A sentence for each change that was made.
    #[serde(default)]
    pub undone: Vec<String>,
    /// The time at which every name was seen to lead to the source; none where that was not seen, or no record was moved back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// The reason why it is not known that clients are on the source and none on the restored cluster; none where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<String>,
    /// The time at which each state ended.
    #[serde(default)]
    pub timings: BTreeMap<String, Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recovered() -> Value {
        json!({
            "outcome": "Recovered", "recoveryId": "r-1", "strategy": "restore",
            "rewoundTo": "2026-11-23T10:30:00Z", "cluster": "orders", "newCluster": "orders-r",
            "writerEndpoint": "w", "readerEndpoint": "r",
            "dns": [{ "name": "db.example.com", "from": "a", "to": "b", "ttl": 5 }],
            "checks": [], "tables": [], "notes": [], "differences": [],
            "fence": {
                "fencedAt": "2026-11-23T10:40:00Z", "sessionsEnded": 3,
                "layers": [{ "layer": "network", "did": "closed" }],
            },
            "lost": { "from": "2026-11-23T10:30:00Z", "to": "2026-11-23T10:40:00Z", "where": "kept on orders" },
            "source": {
                "cluster": "orders", "keepUntil": "2026-11-30T10:40:00Z", "keepLonger": "later", "keepForever": "never",
            },
            // Null and not absent, as the state machine writes it side by side.
            "safetyClone": null,
            "heldJobs": [{ "kind": "event", "name": "shop.purge", "held": true, "released": false, "release": "aws rds …" }],
            "outageSeconds": 9.5,
            "timings": { "ValidateWindow": 0.5, "total": 14.1 },
        })
    }

    #[test]
    fn an_output_is_written_in_the_documented_shape_and_read_back_unchanged() {
        let outcome = Outcome::read(&recovered()).unwrap();
        assert_eq!(outcome.ending(), Ending::Recovered);
        assert_eq!(outcome.recovered().unwrap().not_carried_over.as_ref().unwrap().place, "kept on orders");
        assert_eq!(serde_json::to_value(&outcome).unwrap(), recovered());
        let undone = json!({
            "outcome": "Undone", "recoveryId": "r-1", "undoId": "r-1-undo", "by": "ann", "cluster": "orders",
            "newCluster": "orders-r", "dns": [], "undone": ["a was moved"],
            "confirmedAt": "2026-11-23T10:52:00Z", "unconfirmed": "the fence of orders-r does not hold",
            "timings": { "SwapDns": "2026-11-23T10:50:00Z" },
        });
        let outcome = Outcome::read(&undone).unwrap();
        assert_eq!((outcome.ending(), outcome.cluster()), (Ending::Undone, "orders"));
        assert_eq!(serde_json::to_value(&outcome).unwrap(), undone);
    }

    #[test]
    fn whole_seconds_and_absent_lists_are_read() {
        let mut written = recovered();
        // JSONata writes a whole number without a decimal point.
        written["timings"] = json!({ "total": 14 });
        // Outputs outlive the version that wrote them: a list that came later is absent in the old ones.
        written.as_object_mut().unwrap().remove("notes");
        let outcome = Outcome::read(&written).unwrap();
        assert_eq!(outcome.recovered().unwrap().timings["total"].to_bits(), 14_f64.to_bits());
    }

    #[test]
    fn an_output_of_another_shape_is_refused_with_the_reason() {
        let mut written = recovered();
        written.as_object_mut().unwrap().remove("writerEndpoint");
        assert!(Outcome::read(&written).unwrap_err().contains("writerEndpoint"));
        assert!(Outcome::read(&json!({ "outcome": "Elsewhere" })).unwrap_err().contains("Elsewhere"));
        assert!(Outcome::read(&Value::Null).is_err());
    }

    #[test]
    fn every_ending_is_found_by_its_name_and_no_other_state_is_one() {
        for ending in Ending::ALL {
            assert_eq!(Ending::from_name(ending.name()), Some(ending));
        }
        assert_eq!(Ending::from_name("Running"), None);
    }
}
