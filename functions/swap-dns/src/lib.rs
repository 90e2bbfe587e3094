//! Moves all records to the restored cluster in one compare-and-swap batch. It never overwrites a record that has changed since the
//! plan. Its undo restores the records in the same way. With `readOnly` it moves nothing, and finds out from the zone what an
//! attempt whose answer was lost has moved. A record gets no value that RDS does not name as an endpoint now, whatever the payload says,
//! and none moves away from a source whose fence does not stand.

use rewind_aws::fence_records::{FencedNotes, HeldLease};
use rewind_aws::rds::ReadClusters;
use rewind_aws::route53::{Move, MoveRecords, Moved, RecordSet, Zones};
use rewind_core::{Clock, ErrorName, MovedRecord, Plan, Recovery, Restored, StepError, Swap};
use rewind_lambda::{Step, ToApprove, Undone};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "route53:ListResourceRecordSets",
    "route53:ChangeResourceRecordSets",
    "sts:AssumeRole",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "dynamodb:UpdateItem",
    "dynamodb:ConditionCheckItem",
    "kms:VerifyMac",
];

/// The note of the moment at which records were about to be sent to the restored cluster. The state machine writes it as null, and
/// reads it where this step failed: while it is null no batch was sent, whatever failed.
const SENT_NOTE: &str = "recordsSentAt";

/// The step.
#[derive(Debug)]
pub struct SwapDns<Z, C, N, K> {
    /// Hosted zones.
    pub zones: Z,
    /// Clusters and instances.
    pub clusters: C,
    /// The table, in which it is noted that records are about to be moved.
    pub notes: N,
    /// The time.
    pub clock: K,
    /// The security groups of the fence, which a fenced source has; empty: no network layer.
    pub fence_groups: Vec<String>,
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
    /// The signature of the approval; not needed for the undo, and where only the zone is read.
    #[serde(default)]
    pub approval: Option<String>,
}

impl ToApprove for Input {
    fn to_approve(&self) -> Option<(&Plan, Option<&str>)> {
        (!self.read_only).then_some((&self.plan, self.approval.as_deref()))
    }
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
    /// The records as they were moved, or as they were moved back where all are at the source; none in between.
    pub swap: Option<Swap>,
}

/// All records of a plan at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FoundState {
    /// All at the source, as planned: nothing was moved, or somebody moved it back.
    Planned,
    /// All at the restored cluster.
    Moved,
    /// Some at the restored cluster, and not all.
    Mixed,
    /// None at the restored cluster, and somebody changed one.
    Elsewhere,
}

impl<Z: Zones + MoveRecords, C: ReadClusters, N: FencedNotes, K: Clock> Step for SwapDns<Z, C, N, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        if input.read_only {
            return Ok(Output::Read(self.read(&input).await?));
        }
        // Whoever reads the zone's history later finds the recovery by its id.
        let comment = format!("aurora-rewind {}: to {}", input.recovery.id, input.restored.cluster);
        let moves = forward(&input);
        let outcome = match zone(&input.plan) {
            None => BatchOutcome::default(),
            Some(zone) => self.settle(zone, &moves, &comment, Owner::Restored(&input)).await?,
        };
        Ok(Output::Moved(self.swap(&input.plan, moves, outcome.change_id, outcome.edited)))
    }

    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        let Some(zone) = zone(&input.plan) else { return Ok(Undone::nothing()) };
        let comment = format!("aurora-rewind {}: back to {}", input.recovery.id, input.plan.cluster);
        let moved = forward(&input);
        refuse_other_restored(&input.plan, &moved)?;
        let planned = backward(moved);
        let back = self.as_stored(zone, &planned).await?;
        let outcome = self.settle(zone, &back, &comment, Owner::Source(&input)).await?;
        // Resolvers may remember the restored cluster by either TTL, so the longer one is waited for.
        let remembered =
            back.iter().zip(&planned).map(|(m, planned)| Move { ttl: m.ttl.max(planned.ttl), ..m.clone() });
        let swap = self.swap(&input.plan, remembered.collect(), outcome.change_id, outcome.edited);
        if !outcome.moved {
            return Ok(Undone::nothing().with_swap(swap));
        }
        let told = |(m, planned): (&Move, &Move)| match m.ttl == planned.ttl {
            true => format!("{} points at {} again", m.name, m.to),
            false => {
                format!("{} points at {} again, with the TTL {} that it was given meanwhile", m.name, m.to, m.ttl)
            }
        };
        Ok(Undone::of(back.iter().zip(&planned).map(told).collect()).with_swap(swap))
    }
}

/// The outcome of a batch.
#[derive(Default)]
struct BatchOutcome {
    /// Route 53's id of the change; none if another invocation made it, or if the answer was lost.
    change_id: Option<String>,
    /// True if this invocation moved the records, or may have.
    moved: bool,
    /// A sentence for each record that leads where it should, and was edited besides.
    edited: Vec<String>,
}

/// The cluster that records are moved to.
#[derive(Clone, Copy)]
enum Owner<'a> {
    /// The one that this recovery made or adopted.
    Restored(&'a Input),
    /// The source.
    Source(&'a Input),
}

/// The host that a name leads to: the values alone decide, whatever else of the record was edited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To `from` alone.
    Back,
    /// To `to` alone.
    There,
    /// To `to` and to others, as with weights.
    Partly,
    /// To none of the two, or partly to `from`.
    Elsewhere,
}

/// All records of a batch.
struct RecordStates {
    leads: Vec<Leads>,
    /// A sentence for each record that a batch would not find as it expects it, or did not leave so.
    edited: Vec<String>,
}

impl RecordStates {
    fn all(&self, leads: Leads) -> bool {
        self.leads.iter().all(|one| *one == leads)
    }

    /// A sentence about what is not as planned.
    fn describe(&self) -> String {
        match self.edited.as_slice() {
            [] => "some records were moved and some were not".to_owned(),
            edited => edited.join(", "),
        }
    }
}

impl<Z: Zones + MoveRecords, C: ReadClusters, N: FencedNotes, K: Clock> SwapDns<Z, C, N, K> {
    fn swap(&self, plan: &Plan, moves: Vec<Move>, change_id: Option<String>, edited: Vec<String>) -> Swap {
        let records = moves.into_iter().map(|m| MovedRecord { name: m.name, from: m.from, to: m.to, ttl: m.ttl });
        Swap {
            change_id,
            hosted_zone_id: zone(plan).map(ToOwned::to_owned),
            swapped_at: self.clock.now(),
            records: records.collect(),
            edited,
        }
    }

    /// Finds out from the zone what an earlier attempt has moved.
    async fn read(&self, input: &Input) -> Result<FoundRecords, StepError> {
        let moves = forward(input);
        let found = match zone(&input.plan) {
            // Without records there is nothing to move, and nothing was moved.
            None => RecordStates { leads: Vec::new(), edited: Vec::new() },
            Some(zone) => self.record_states(zone, &moves).await?,
        };
        if found.all(Leads::Back) {
            return Ok(FoundRecords {
                records: FoundState::Planned,
                what: format!("all records point at {}, as planned", input.plan.cluster),
                swap: Some(self.swap(&input.plan, backward(moves), None, found.edited)),
            });
        }
        if found.all(Leads::There) {
            return Ok(FoundRecords {
                records: FoundState::Moved,
                what: format!("all records point at {}", input.restored.cluster),
                // The time is later than that of the move, and makes the wait for the old TTL longer, never shorter.
                swap: Some(self.swap(&input.plan, moves, None, found.edited)),
            });
        }
        let any_there = found.leads.iter().any(|leads| matches!(leads, Leads::There | Leads::Partly));
        let records = if any_there { FoundState::Mixed } else { FoundState::Elsewhere };
        Ok(FoundRecords { records, what: found.describe(), swap: None })
    }

    /// The moves with the TTL and the spelling that the records have by now: a batch has to name both, and whoever edited them
    /// since keeps them.
    async fn as_stored(&self, zone: &str, moves: &[Move]) -> Result<Vec<Move>, StepError> {
        let mut stored = Vec::with_capacity(moves.len());
        for change in moves {
            let sets = self.zones.record_sets(zone, &change.name).await?;
            let (ttl, from) = match simple_cname(&sets) {
                Some((ttl, value)) if same_host(value, &change.from) => (ttl, value.to_owned()),
                // Moved by an attempt before: resolvers may remember it for as long.
                Some((ttl, value)) if same_host(value, &change.to) => (ttl, change.from.clone()),
                _ => (change.ttl, change.from.clone()),
            };
            stored.push(Move { ttl, from, ..change.clone() });
        }
        Ok(stored)
    }

    /// Refuses a move to a host that is no endpoint of its cluster now: it leads clients to whoever has that name.
    async fn check_endpoints(&self, owner: Owner<'_>, moves: &[Move]) -> Result<(), StepError> {
        let (name, found) = match owner {
            Owner::Restored(Input { recovery, plan, .. }) => {
                (&plan.new_cluster, self.clusters.created_cluster(&plan.new_cluster, &recovery.id).await?)
            }
            Owner::Source(Input { plan, .. }) => (&plan.cluster, self.clusters.cluster(&plan.cluster).await?),
        };
        let cluster = found.ok_or_else(|| unnamed(format!("RDS does not know {name} as this recovery's cluster")))?;
        // Records of a restored cluster lead to its own two endpoints, so its instances need not be asked for while clients wait.
        let instances = match owner {
            Owner::Restored(_) => Vec::new(),
            Owner::Source(_) => self.clusters.instances(&cluster.name).await?,
        };
        match moves.iter().find(|change| !cluster.answers_as(&change.to, &instances)) {
            None => Ok(()),
            Some(Move { name: record, to, .. }) => {
                Err(unnamed(format!("{record} was to point at {to}, which is no endpoint of {name}")))
            }
        }
    }

    /// Refuses a source that somebody has opened since it was fenced, and notes in the same moment that records are sent. A machine
    /// that was stopped and goes on later believes a fence of then.
    async fn note_sent(&self, Input { recovery, plan, .. }: &Input) -> Result<(), StepError> {
        let source = self.clusters.cluster(&plan.cluster).await?;
        let source = source.ok_or_else(|| opened(&plan.cluster, "it is gone"))?;
        plan.refuse_other_source(&source.resource_id)?;
        let closed = self.fence_groups.is_empty() || source.has_groups(&self.fence_groups);
        if !closed || source.security_groups_changing {
            let groups = source.security_groups.join(", ");
            let changing = if source.security_groups_changing { ", and are being changed" } else { "" };
            return Err(opened(&plan.cluster, &format!("its security groups are {groups}{changing}")));
        }
        // The record and the lease in the transaction that writes the note, so that nothing can come in between.
        let lease = HeldLease { cluster: &plan.cluster, holder: &recovery.id, or_nobody: false };
        let now = self.clock.now();
        let noted = self.notes.note_behind_fence(&recovery.id, SENT_NOTE, &json!(now.to_string()), lease, now).await;
        noted.map_err(|error| match error.name {
            // Nothing depends on whether it was written: it is written again before any record is sent.
            ErrorName::OutcomeUnknown => StepError::new(ErrorName::Unavailable, error.to_string())
                .changed("this step moved no record")
                .advice("it is tried again"),
            _ => error,
        })
    }

    async fn settle(
        &self,
        zone: &str,
        moves: &[Move],
        comment: &str,
        owner: Owner<'_>,
    ) -> Result<BatchOutcome, StepError> {
        // A second run, or a second undo, finds its work done and must not fail on it.
        let before = self.record_states(zone, moves).await?;
        if before.all(Leads::There) {
            return Ok(BatchOutcome { edited: before.edited, ..BatchOutcome::default() });
        }
        // Route 53 would refuse the batch, and whoever edited a record has a reason that the plan does not know.
        if !before.all(Leads::Back) || !before.edited.is_empty() {
            return Err(changed(&before.describe()));
        }
        self.check_endpoints(owner, moves).await?;
        // Last before the batch: whoever finds no note knows that clients were never led to the restored cluster.
        if let Owner::Restored(input) = owner {
            self.note_sent(input).await?;
        }
        let unsettled = match self.zones.move_records(zone, moves, comment).await {
            Ok(Moved::Accepted(change_id)) => {
                return Ok(BatchOutcome { change_id: Some(change_id), moved: true, edited: Vec::new() });
            }
            Ok(Moved::Mismatch(message)) => changed(&message),
            Err(error) if error.name == ErrorName::OutcomeUnknown => error,
            Err(error) => return Err(error),
        };
        // The zone decides: somebody was faster, or our own batch was applied and its answer was lost.
        let after = match self.record_states(zone, moves).await {
            Ok(after) => after,
            // Told as it is, a zone that cannot be read would pass for a batch that was refused.
            Err(unread) if unsettled.name == ErrorName::OutcomeUnknown => {
                return Err(StepError::new(
                    ErrorName::OutcomeUnknown,
                    format!("the records were sent to be moved, no answer came, and the zone cannot be read: {unread}"),
                )
                .changed("the records may have been moved")
                .advice("look at the zone"));
            }
            Err(unread) => return Err(unread),
        };
        if after.all(Leads::There) {
            return Ok(BatchOutcome { change_id: None, moved: true, edited: after.edited });
        }
        // A refused batch moved nothing. An unanswered one may have been applied and changed since, so the restored cluster
        // may have had clients.
        let found = after.describe();
        match unsettled.name {
            _ if after.all(Leads::Back) && after.edited.is_empty() => Err(unsettled),
            ErrorName::RecordChanged => Err(changed(&found)),
            _ => Err(StepError::new(
                ErrorName::OutcomeUnknown,
                format!("the records were sent to be moved, no answer came, and now {found}"),
            )
            .changed("some records may have been moved")
            .advice("look at the zone: who changed a record meanwhile?")),
        }
    }

    /// Reads where the records lead. All or none: Route 53 applies a batch as a whole, so a mixture is somebody else's work.
    async fn record_states(&self, zone: &str, moves: &[Move]) -> Result<RecordStates, StepError> {
        let mut states = RecordStates { leads: Vec::with_capacity(moves.len()), edited: Vec::new() };
        for change in moves {
            let sets = self.zones.record_sets(zone, &change.name).await?;
            let leads = leads(change, &sets);
            if is_edited(change, leads, &sets) {
                states.edited.push(format!("{} is {}", change.name, render(&sets)));
            }
            states.leads.push(leads);
        }
        Ok(states)
    }
}

fn leads(change: &Move, sets: &[RecordSet]) -> Leads {
    let values: Vec<&String> = sets.iter().flat_map(|set| &set.values).collect();
    match values.iter().filter(|value| same_host(value, &change.to)).count() {
        0 if !values.is_empty() && values.iter().all(|value| same_host(value, &change.from)) => Leads::Back,
        0 => Leads::Elsewhere,
        there if there == values.len() => Leads::There,
        _ => Leads::Partly,
    }
}

/// True if the record is not as a batch expects it, or not as one leaves it.
fn is_edited(change: &Move, leads: Leads, sets: &[RecordSet]) -> bool {
    match (leads, simple_cname(sets)) {
        // The stored value to the letter, and not only the same host: the DELETE in the batch has to match it exactly.
        (Leads::Back, Some((ttl, value))) => ttl != change.ttl || value != change.from,
        (Leads::There, Some((ttl, _))) => ttl != change.ttl,
        _ => true,
    }
}

/// The TTL and the value of a CNAME without a routing policy; none for anything else.
fn simple_cname(sets: &[RecordSet]) -> Option<(i64, &str)> {
    match sets {
        [RecordSet { kind, ttl: Some(ttl), values, routed: false, .. }] if kind == "CNAME" => match values.as_slice() {
            [value] => Some((*ttl, value)),
            _ => None,
        },
        _ => None,
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

/// The same moves the other way.
fn backward(moves: Vec<Move>) -> Vec<Move> {
    moves.into_iter().map(|m| Move { name: m.name, ttl: m.ttl, from: m.to, to: m.from }).collect()
}

/// Refuses to move records away from a cluster that the plan does not name. Nobody signed `restored`, and a recovery may have
/// led clients to another cluster since. By the name alone: the restored cluster may be gone, and clients still have to get back.
fn refuse_other_restored(plan: &Plan, moves: &[Move]) -> Result<(), StepError> {
    let own = format!("{}.cluster-", plan.new_cluster);
    match moves.iter().find(|change| !change.to.starts_with(&own)) {
        None => Ok(()),
        Some(Move { to, .. }) => {
            Err(StepError::bug(format!("the payload has {to} as an endpoint of {}, which is none", plan.new_cluster))
                .changed("this step moved no record"))
        }
    }
}

// Route 53 stores a name as it was written, with or without the dot at its end.
fn same_host(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}

fn render(sets: &[RecordSet]) -> String {
    if sets.is_empty() {
        return "gone".to_owned();
    }
    let one = |set: &RecordSet| {
        let ttl = set.ttl.map_or_else(String::new, |ttl| format!(" (TTL {ttl})"));
        let routed = if set.routed { " with a routing policy" } else { "" };
        format!("{} {}{ttl}{routed}", set.kind, set.values.join(" "))
    };
    sets.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn opened(cluster: &str, found: &str) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("the fence of {cluster} does not hold: {found}"))
        .changed("this step moved no record")
        .advice(format!("see who changed {cluster} while it was fenced: clients may have written to it since"))
}

fn unnamed(found: String) -> StepError {
    StepError::new(ErrorName::RewindFailed, found)
        .changed("this step moved no record")
        .advice("see which clusters there are, and point the record where its clients belong by hand")
}

fn changed(found: &str) -> StepError {
    StepError::new(ErrorName::RecordChanged, format!("a record is not what was planned: {found}"))
        .changed("this step moved no record")
        .advice("find out who changed it; start again when it points at the cluster")
}

#[cfg(test)]
mod tests;
