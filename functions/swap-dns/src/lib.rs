//! Moves all records to the restored cluster in one compare-and-swap batch. It never overwrites a record that has changed since the
//! plan. Its undo restores the records in the same way. With `readOnly` it moves nothing, and finds out from the zone what an
//! attempt whose answer was lost has moved.

use rewind_aws::route53::{Move, MoveRecords, Moved, Zones};
use rewind_core::{Clock, ErrorName, MovedRecord, Plan, Recovery, Restored, StepError, Swap};
use rewind_lambda::{Step, Undone};
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &["route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets", "sts:AssumeRole"];

/// The step.
#[derive(Debug)]
pub struct SwapDns<Z, K> {
    /// Hosted zones.
    pub zones: Z,
    /// The time.
    pub clock: K,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// The restored cluster.
    pub restored: Restored,
    /// True if no record is to be moved, and only the zone read.
    #[serde(default)]
    pub read_only: bool,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// The records were moved.
    Moved(Swap),
    /// The records were only read.
    Read(FoundRecords),
}

/// The records as they are in the zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundRecords {
    /// How they stand.
    pub records: FoundState,
    /// A sentence for people.
    pub what: String,
    /// The records as they were moved; none unless all of them were.
    pub swap: Option<Swap>,
}

/// All records of a plan at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FoundState {
    /// All as planned: nothing was moved.
    Planned,
    /// All at the restored cluster.
    Moved,
    /// Some at the restored cluster, and not all.
    Mixed,
    /// None at the restored cluster, and somebody changed one.
    Elsewhere,
}

impl<Z: Zones + MoveRecords, K: Clock> Step for SwapDns<Z, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        if input.read_only {
            return Ok(Output::Read(self.read(&input).await?));
        }
        // Whoever reads the zone's history later finds the recovery by its id.
        let comment = format!("aurora-rewind {}: to {}", input.recovery.id, input.restored.cluster);
        let moves = forward(&input);
        let change_id = match zone(&input.plan) {
            None => None,
            Some(zone) => self.settle(zone, &moves, &comment).await?.change_id,
        };
        Ok(Output::Moved(self.swap(&input.plan, moves, change_id)))
    }

    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        let Some(zone) = zone(&input.plan) else { return Ok(Undone::nothing()) };
        let comment = format!("aurora-rewind {}: back to {}", input.recovery.id, input.plan.cluster);
        // With the planned TTL: another one is somebody's edit since then, which must not be overwritten.
        let back: Vec<Move> =
            forward(&input).into_iter().map(|m| Move { name: m.name, ttl: m.ttl, from: m.to, to: m.from }).collect();
        let outcome = self.settle(zone, &back, &comment).await?;
        if !outcome.moved {
            return Ok(Undone::nothing());
        }
        Ok(Undone::of(back.iter().map(|m| format!("{} points at {} again", m.name, m.to)).collect()))
    }
}

/// The outcome of a batch.
struct BatchOutcome {
    /// Route 53's id of the change; none if another invocation made it, or if the answer was lost.
    change_id: Option<String>,
    /// True if this invocation moved the records, or may have.
    moved: bool,
}

/// The state of all records of a batch.
enum RecordState {
    /// All at `from`.
    Before,
    /// All at `to`.
    After,
    /// Neither, with a description for people.
    Other {
        found: String,
        /// The number of records at `to`.
        after: usize,
    },
}

impl<Z: Zones + MoveRecords, K: Clock> SwapDns<Z, K> {
    fn swap(&self, plan: &Plan, moves: Vec<Move>, change_id: Option<String>) -> Swap {
        let records = moves.into_iter().map(|m| MovedRecord { name: m.name, from: m.from, to: m.to, ttl: m.ttl });
        Swap {
            change_id,
            hosted_zone_id: zone(plan).map(ToOwned::to_owned),
            swapped_at: self.clock.now(),
            records: records.collect(),
        }
    }

    /// Finds out from the zone what an earlier attempt has moved.
    async fn read(&self, input: &Input) -> Result<FoundRecords, StepError> {
        let moves = forward(input);
        let state = match zone(&input.plan) {
            // Without records there is nothing to move, and nothing was moved.
            None => RecordState::Before,
            Some(zone) => self.record_state(zone, &moves).await?,
        };
        Ok(match state {
            RecordState::Before => FoundRecords {
                records: FoundState::Planned,
                what: format!("all records point at {}, as planned", input.plan.cluster),
                swap: None,
            },
            RecordState::After => FoundRecords {
                records: FoundState::Moved,
                what: format!("all records point at {}", input.restored.cluster),
                // The time is later than that of the move, and makes the wait for the old TTL longer, never shorter.
                swap: Some(self.swap(&input.plan, moves, None)),
            },
            RecordState::Other { found, after } => FoundRecords {
                records: if after == 0 { FoundState::Elsewhere } else { FoundState::Mixed },
                what: found,
                swap: None,
            },
        })
    }

    async fn settle(&self, zone: &str, moves: &[Move], comment: &str) -> Result<BatchOutcome, StepError> {
        // A second run, or a second undo, finds its work done and must not fail on it.
        match self.record_state(zone, moves).await? {
            RecordState::After => return Ok(BatchOutcome { change_id: None, moved: false }),
            RecordState::Other { found, .. } => return Err(changed(&found)),
            RecordState::Before => {}
        }
        let unsettled = match self.zones.move_records(zone, moves, comment).await {
            Ok(Moved::Accepted(change_id)) => return Ok(BatchOutcome { change_id: Some(change_id), moved: true }),
            Ok(Moved::Mismatch(message)) => changed(&message),
            Err(error) if error.name == ErrorName::OutcomeUnknown => error,
            Err(error) => return Err(error),
        };
        // The zone decides: somebody was faster, or our own batch was applied and its answer was lost.
        match self.record_state(zone, moves).await? {
            RecordState::After => Ok(BatchOutcome { change_id: None, moved: true }),
            RecordState::Before => Err(unsettled),
            // A refused batch moved nothing. An unanswered one may have been applied and changed since, so the restored cluster
            // may have had clients.
            RecordState::Other { found, .. } if unsettled.name == ErrorName::RecordChanged => Err(changed(&found)),
            RecordState::Other { found, .. } => Err(StepError::new(
                ErrorName::OutcomeUnknown,
                format!("the records were sent to be moved, no answer came, and now {found}"),
            )
            .changed("some records may have been moved")
            .advice("look at the zone: who changed a record meanwhile?")),
        }
    }

    async fn record_state(&self, zone: &str, moves: &[Move]) -> Result<RecordState, StepError> {
        // All or none: Route 53 applies a batch as a whole, so a mixture is somebody else's work.
        let (mut before, mut after) = (0, 0);
        let mut found = Vec::new();
        for change in moves {
            let sets = self.zones.record_sets(zone, &change.name).await?;
            let value = match sets.as_slice() {
                [set] if set.kind == "CNAME" && set.ttl == Some(change.ttl) && !set.routed && set.values.len() == 1 => {
                    set.values.first()
                }
                _ => None,
            };
            match value {
                // The stored value to the letter, and not only the same host: the DELETE in the batch has to match it
                // exactly.
                Some(value) if *value == change.from => before += 1,
                Some(value) if same_host(value, &change.to) => after += 1,
                _ => found.push(format!("{} is {}", change.name, render(&sets))),
            }
        }
        Ok(match (before, after) {
            _ if before == moves.len() => RecordState::Before,
            _ if after == moves.len() => RecordState::After,
            _ if found.is_empty() => {
                RecordState::Other { found: "some records were moved and some were not".to_owned(), after }
            }
            _ => RecordState::Other { found: found.join(", "), after },
        })
    }
}

fn zone(plan: &Plan) -> Option<&str> {
    // A request with records in several zones is refused: a batch is all or nothing within one zone alone.
    plan.dns.first().map(|record| record.hosted_zone_id.as_str())
}

fn forward(input: &Input) -> Vec<Move> {
    let to = |record: &rewind_core::PlannedRecord| input.restored.endpoint(record.endpoint).to_owned();
    input
        .plan
        .dns
        .iter()
        .map(|record| Move { name: record.name.clone(), ttl: record.ttl, from: record.from.clone(), to: to(record) })
        .collect()
}

// Route 53 stores a name as it was written, with or without the dot at its end.
fn same_host(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}

fn render(sets: &[rewind_aws::route53::RecordSet]) -> String {
    if sets.is_empty() {
        return "gone".to_owned();
    }
    let one = |set: &rewind_aws::route53::RecordSet| {
        let ttl = set.ttl.map_or_else(String::new, |ttl| format!(" (TTL {ttl})"));
        format!("{} {}{ttl}", set.kind, set.values.join(" "))
    };
    sets.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn changed(found: &str) -> StepError {
    StepError::new(ErrorName::RecordChanged, format!("a record is not what was planned: {found}"))
        .changed("this step moved no record")
        .advice("find out who changed it; start again when it points at the cluster")
}

#[cfg(test)]
mod tests;
