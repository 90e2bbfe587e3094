//! The reasons for which a recovery cannot be undone, cancelled or resumed, by its record alone. The same rules refuse a command and
//! decide which commands are offered, so that nobody is offered one that is refused. The state machines check more.

use crate::names::KEEP_UNTIL_TAG;
use crate::outcome::Ending;
use crate::record::{LiftNote, RecoveryRecord};
use crate::request::Strategy;
use crate::time::format_time;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The recoveries that an undo is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Undoing {
    /// One in any state.
    #[default]
    Undo,
    /// One that has not ended well: whoever cancels does not mean to take back what was approved and done.
    Cancel,
}

impl Undoing {
    /// The command that asks for it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Cancel => "cancel",
        }
    }

    /// The participle, for a sentence.
    #[must_use]
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Undo => "undone",
            Self::Cancel => "cancelled",
        }
    }
}

impl RecoveryRecord {
    /// True if its execution has no end in the record.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "Running" | "AwaitingApproval")
    }

    /// True if it rewinds the source itself.
    pub fn is_in_place(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.strategy == Strategy::Backtrack)
    }

    /// Explains why it cannot be undone, or cancelled; none where it can.
    pub fn why_not_undoable(&self, undoing: Undoing) -> Option<String> {
        // An undo or a clean-up that cannot be read may be under way: moving traffic back blindly could lead it to a cluster
        // that is being deleted.
        if !self.unreadable.is_empty() {
            return Some(self.unreadable.join("; "));
        }
        if let Some(recovery) = &self.undoes {
            return Some(format!(
                "it is an undo; next step: rewind status {recovery} shows how the recovery stands that it undoes"
            ));
        }
        match (self.state.as_str(), undoing) {
            ("Planned", _) => return Some("it was a plan, and changed nothing".to_owned()),
            ("Undone", _) => return Some("it is undone already".to_owned()),
            ("RolledBack", _) => return Some("its traffic is back on the source already".to_owned()),
            ("NothingChanged", _) => {
                return Some(format!(
                    "it ended in NothingChanged: {} was not touched, or is as it was before",
                    self.cluster
                ));
            }
            ("Recovered", Undoing::Cancel) => {
                return Some(format!(
                    "it has ended well; next step: rewind undo {} moves traffic back to {}",
                    self.id, self.cluster
                ));
            }
            _ => {}
        }
        // Its restored cluster is that one's by now, and may have clients.
        if let Some(resumed_by) = &self.resumed_by {
            return Some(format!(
                "it was resumed by {resumed_by}, which has its restored cluster since; next step: rewind status {resumed_by} shows how \
                 that one stands, and what undoes it"
            ));
        }
        if let Some(clean_up) = &self.clean_up {
            return Some(format!(
                "the time until which {0} was kept is over, and since {1} it is being deleted, into the snapshot {2}; next \
                 step: restore that beside what is there (aws rds restore-db-cluster-from-snapshot --snapshot-identifier {2} \
                 …), and copy over what is missed; or, {3}, with every instance still there, and then it can be undone",
                clean_up.cluster,
                clean_up.begun_at,
                clean_up.snapshot,
                kept_after_all(&clean_up.cluster)
            ));
        }
        // What a recovery that has no end did, the state machine finds out: the record, the zone and the fence tell it.
        match self.outcome.as_ref().and_then(|outcome| outcome.recovered()) {
            Some(recovered) if recovered.strategy == Strategy::Backtrack => {
                let safety_clone = recovered.safety_clone.as_ref().map(|clone| clone.cluster.as_str());
                Some(self.why_not_forward(safety_clone, recovered.fence.as_ref().map(|fence| fence.fenced_at)))
            }
            Some(recovered) => recovered.dns.is_empty().then(|| format!("it moved no traffic of {}", recovered.cluster)),
            None if self.moved.is_some() => None,
            // The state machine ends it: it has changed nothing.
            None if self.plan.is_none() && self.is_open() => None,
            None if self.plan.is_none() => Some(
                "it ended before it had a plan, so it has changed nothing, and there is nothing to undo; next step: start a recovery".to_owned(),
            ),
            None if self.state == "Recovered" && self.is_in_place() => Some(self.why_not_forward(None, None)),
            None if self.state == "Recovered" => Some("its outcome is not in the table".to_owned()),
            None => self.why_not_stopped_half_way(),
        }
    }

    /// Explains why a recovery in place is not taken forward again; none where the state machine finds out how far it came.
    fn why_not_stopped_half_way(&self) -> Option<String> {
        let began = format_time(self.fence_begun_at.filter(|_| self.is_in_place())?);
        let (id, cluster) = (&self.id, &self.cluster);
        let page = match self.state == Ending::NeedsOperator.name() {
            true => "docs/runbook.md#needsoperator",
            false => "let it end; if its execution was stopped: docs/runbook.md#an-execution-was-stopped",
        };
        match self.lift {
            Some(LiftNote::NotBegun) => None,
            // Of one that is over, the undo lets clients in and takes nothing back.
            Some(LiftNote::Begun(_)) if !self.is_open() => None,
            Some(LiftNote::Begun(at)) => Some(format!(
                "it has rewound and verified {cluster}, and lets clients in since {}: going forward would throw away what they may have \
                 written since; next step: let it end: rewind status {id} --follow; if it hangs, stop its execution ({}), and rewind undo \
                 {id} lets clients in",
                format_time(at),
                self.execution_arn
            )),
            None => Some(format!(
                "at {began} it began to rewind {cluster} in place, by an earlier version, which did not note whether clients are in \
                 again, and no undo of {id} finds out; next step: {page}"
            )),
        }
    }

    /// Explains why a recovery in place that has ended well is not taken forward again, and names what is left to do, with the safety clone
    /// and the moment of the fence, where they are known.
    fn why_not_forward(&self, safety_clone: Option<&str>, fenced_at: Option<Timestamp>) -> String {
        let safety_clone = safety_clone.or(self.new_cluster.as_deref()).unwrap_or("its safety clone");
        // The fence had been closed by then, so up to the end of that second nobody wrote.
        let end_of_second =
            |at: Timestamp| Timestamp::from_second(at.as_second() + i64::from(at.subsec_nanosecond() > 0));
        let before = match fenced_at.and_then(|at| end_of_second(at).ok()) {
            Some(at) => format!("{at} (rewind plan {} {at} --in-place)", self.cluster),
            None => "the moment before its fence".to_owned(),
        };
        format!(
            "it rewound {} in place, and clients have written to it since, or may have: going forward again would throw that away; \
             next step: copy what is missed from {safety_clone}, which holds what it was before, and which rewind open {} lets you read; or, if Backtrack reaches it, start a \
             recovery in place to {before}, which keeps what is there now on a safety clone of its own",
            self.cluster, self.id
        )
    }

    /// The time at which a recovery in place that is over began to let clients in to the rewound data; none of any other. Its undo lets them
    /// in, if they are not, and takes nothing back.
    pub fn let_in_since(&self) -> Option<Timestamp> {
        let is_over = self.is_in_place() && !self.is_open();
        match self.lift {
            Some(LiftNote::Begun(at)) if is_over && self.state != Ending::Recovered.name() => Some(at),
            _ => None,
        }
    }

    /// Explains why it cannot be resumed; none where the state machine decides.
    pub fn why_not_resumable(&self) -> Option<String> {
        let anew = "next step: start a recovery, which restores a cluster of its own";
        let (id, cluster) = (&self.id, &self.cluster);
        if let Some(recovery) = &self.undoes {
            return Some(format!("it is an undo, and restored nothing; next step: rewind status {recovery}"));
        }
        match self.state.as_str() {
            // A rejection would delete the cluster that is to be gone on from, and a stop pages.
            "Running" | "AwaitingApproval"
                if !self.is_in_place() && self.why_not_undoable(Undoing::Cancel).is_none() =>
            {
                return Some(format!(
                    "it has not ended; next step: let it end; or rewind cancel {id} ends it and keeps its restored cluster"
                ));
            }
            "Running" | "AwaitingApproval" => return Some("it has not ended; next step: let it end".to_owned()),
            _ if self.is_in_place() => {
                return Some(format!("it was to rewind {cluster} in place, so there is no restored cluster; {anew}"));
            }
            "Recovered" if self.moves_nothing() => {
                return Some(format!(
                    "it ended in Recovered, so its restored cluster was handed over beside {cluster}, and may have been written to; \
                     {anew}"
                ));
            }
            state @ ("Recovered" | "Undone") => {
                return Some(format!("it ended in {state}, so its restored cluster has had the traffic; {anew}"));
            }
            "Planned" => return Some(format!("it was a plan, and restored nothing; {anew}")),
            _ => {}
        }
        if let Some(clean_up) = &self.clean_up {
            return Some(format!(
                "the time until which {} was kept is over, and since {} it is being deleted, into the snapshot {}; {anew}; or, {}, and \
                 then it can be resumed",
                clean_up.cluster,
                clean_up.begun_at,
                clean_up.snapshot,
                kept_after_all(&clean_up.cluster)
            ));
        }
        self.new_cluster.is_none().then(|| format!("it ended before it had a plan, so it restored nothing; {anew}"))
    }

    /// True if no record was to be moved.
    fn moves_nothing(&self) -> bool {
        let recovered = self.outcome.as_ref().and_then(|outcome| outcome.recovered());
        match (recovered, &self.plan) {
            (Some(recovered), _) => recovered.dns.is_empty(),
            (None, Some(plan)) => plan.dns.is_empty(),
            (None, None) => false,
        }
    }
}

/// The condition under which a deletion that has begun is taken back, for people whose cluster is still there.
pub fn kept_after_all(cluster: &str) -> String {
    format!(
        "if {cluster} is still there and is to be kept, move its tag {KEEP_UNTIL_TAG} or take it off: the next run of the clean-up takes \
         the deletion back"
    )
}
