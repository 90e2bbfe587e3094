//! What the recovery says, put into a person's words: plan, report, differences, output. It works nothing out.

use super::console::{Console, clock, count};
use super::recovery::Outcome;
use super::totals::{Group, Totals};
use jiff::Timestamp;
use rewind_core::{Difference, Plan, Report};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a state does, while it does it.
pub fn activity(state: &str) -> &str {
    match state {
        "AnnouncePlan" | "AnnounceApproval" | "AnnounceRecovered" | "AnnounceFailure" => {
            "tells EventBridge how it stands"
        }
        "ConfirmApproval" => "looks once more whether the yes is for what is there now",
        "AcquireLease" => "takes the lease: one recovery a cluster",
        "ValidateWindow" => "checks the request against cluster, window, records and secret; nothing is changed",
        "RecordPlan" => "writes the plan into the table",
        "ExtendLease" => "makes the lease outlast the recovery",
        "StartRestore" => "asks RDS for a new cluster as of the target",
        "CloneSource" => "asks RDS for a copy-on-write clone of now: the safety clone",
        "StartBacktrack" => "asks RDS to rewind the cluster in place",
        "AwaitRewind" => "waits for RDS",
        "AddInstances" => "gives the restored cluster instances and settings",
        "AwaitInstances" => "waits for the instances",
        "Verify" => "runs the checks on the rewound data, read-only",
        "RequestApproval" => "asks a person",
        "RecordDecision" => "writes down who decided",
        "FenceSource" => "ends all writes on the source, and proves it",
        "LiftFence" => "lets clients in again",
        "SwapDns" => "moves the record, if it is still as planned",
        "AwaitInSync" => "waits until Route 53 is in sync",
        "ConfirmCutover" => "resolves and connects by name",
        "WaitForOldTtl" => "waits as long as resolvers may remember the old value",
        "Finish" => "tags the source and writes the output",
        "RecordRecovered" => "writes the end into the table",
        "ReleaseLease" | "ReleaseLeaseAfterFailure" => "gives the lease back",
        "FenceRestored" => "ends writes on the restored cluster, before traffic moves back",
        "UndoSwapDns" => "moves the record back",
        "UndoStartBacktrack" => "asks RDS to take the cluster forward to where it was",
        "AwaitForward" => "waits for RDS",
        "VerifyForward" => "compares every check and count with the safety clone",
        "UndoFenceSource" => "opens the source again",
        "UndoAddInstances" => "deletes the new instances",
        "UndoStartRestore" => "deletes the restored cluster",
        "AwaitDeletion" => "waits until it is gone",
        "RecordFailure" => "writes the failure into the table",
        _ => "",
    }
}

/// A request, a field a line, in the order in which a person would write it.
pub fn request(console: &Console, fields: &[(&str, Value)]) {
    console.print("  {");
    for (index, (field, value)) in fields.iter().enumerate() {
        let comma = if index + 1 < fields.len() { "," } else { "" };
        console.print(format_args!("    \"{field}\": {value}{comma}"));
    }
    console.print("  }");
}

/// The plan.
pub fn plan(console: &Console, plan: &Plan) {
    console.print(format_args!("The plan, before anything is changed ({} to {}):", plan.cluster, plan.target));
    for reason in &plan.reasons {
        console.note(format_args!("  because {reason}"));
    }
    for (index, sentence) in plan.will_do.iter().enumerate() {
        console.print(format_args!("  {}. {sentence}", index + 1));
    }
    for warning in &plan.warnings {
        console.warn(warning);
    }
}

/// What verification found.
pub fn report(console: &Console, report: &Report) {
    for check in &report.checks {
        let found = check.found.as_deref().unwrap_or("nothing");
        let source = check.source.as_deref().unwrap_or("nothing");
        let text = format!(
            "check \"{}\" in {}: expected {}, found {found}; the source has {source}",
            check.name, check.database, check.expected
        );
        if check.passed { console.success(text) } else { console.warn(text) }
    }
    for table in &report.tables {
        console.print(format_args!("  {table}"));
    }
    for note in &report.notes {
        console.warn(note);
    }
    let login = &report.login;
    console.note(format_args!("  logged in as {} with {}, TLS {:?}", login.user, login.secret_version, login.tls));
}

/// In what the restored cluster is not like the source.
pub fn differences(console: &Console, differences: &[Difference]) {
    if differences.is_empty() {
        return;
    }
    console.print("In what the restored cluster will not be like the source:");
    for difference in differences {
        console.print(format_args!("  - {}: {}, now {}", difference.what, difference.source, difference.restored));
        console.note(format_args!("    to do: {}", difference.todo));
    }
}

/// The output of the execution.
pub fn outcome(console: &Console, outcome: &Outcome) {
    console.field("rewound to", outcome.rewound_to);
    if let Some(new) = &outcome.new_cluster {
        console.field("new cluster", new);
    }
    for record in &outcome.dns {
        console.field("record", format_args!("{} -> {}", record.name, record.to));
        console.field("before", &record.from);
    }
    let fence = &outcome.fence;
    let fenced = format!("fenced at {}; {} sessions ended", moment(fence.fenced_at), fence.sessions_ended);
    match &outcome.safety_clone {
        Some(safety_clone) => {
            console.field("cluster", format_args!("{}, {fenced}", outcome.cluster));
            console.field(
                "safety clone",
                format_args!("{}, taken at {}", safety_clone.cluster, moment(safety_clone.taken_at)),
            );
            console.field("", format_args!("kept until {}; to delete it:", moment(safety_clone.keep_until)));
            for command in safety_clone.delete.split(" && ") {
                console.note(format_args!("                    {command}"));
            }
        }
        None => {
            console.field("source", format_args!("{}, {fenced}", outcome.cluster));
            let kept =
                outcome.source.keep_until.map_or_else(|| "for good".to_owned(), |at| format!("until {}", moment(at)));
            console.field("", format_args!("kept {kept}"));
        }
    }
    let mut slowest: Vec<(&String, f64)> = outcome
        .timings
        .iter()
        .filter(|(state, _)| state.as_str() != "total")
        .filter_map(|(state, seconds)| Some((state, seconds.as_f64()?)))
        .collect();
    slowest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let slowest: Vec<String> = slowest.iter().take(4).map(|(state, seconds)| format!("{state} {seconds:.1}")).collect();
    let total = outcome.timings.get("total").and_then(Value::as_f64).unwrap_or_default();
    console.field("seconds", format_args!("{total:.1} in all; the longest: {}", slowest.join(", ")));
}

/// The two places that a write can be in, and the words between which it was made.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Where the rewound data is.
    pub rewound: &'a str,
    /// Where the source data is.
    pub source: &'a str,
    /// What that is to a person.
    pub source_is: &'a str,
    /// From when on clients write to the rewound data.
    pub afterwards: &'a str,
}

/// What became of the writes.
pub fn account(console: &Console, account: &Totals, places: Places<'_>) {
    let Places { rewound, source, source_is, afterwards } = places;
    let both = account.before_target.len() + account.afterwards.len();
    let line = |count_of: usize, what: &str| console.print(format_args!("{:>9}  {what}", count(count_of)));
    line(account.acknowledged, "writes were acknowledged to the application:");
    line(both, &format!("are on {rewound}:"));
    line(account.before_target.len(), &format!("  from before the target{}", when(&account.before_target)));
    line(account.afterwards.len(), &format!("  from after {afterwards}{}", when(&account.afterwards)));
    line(account.only_source.len(), &format!("are only on {source}, {source_is}{}", when(&account.only_source)));
    if let (Some(first), Some(last)) = (account.only_source.numbers.first(), account.only_source.numbers.last()) {
        console.print(format_args!(
            "           written between the target and the fence, numbers {first} to {last}: the price of a rewind"
        ));
    }
    let elsewhere = account.acknowledged.abs_diff(both + account.only_source.len());
    line(elsewhere, "are anywhere else, or lost");
    let unanswered = account.unanswered;
    line(unanswered.all(), "more were in flight when their connection was cut: nobody told the application");
    if unanswered.all() > 0 {
        console.print(format_args!(
            "           ({} written nowhere, {} on {source} only, {} on {rewound} only, {} on both)",
            unanswered.nowhere, unanswered.source, unanswered.rewound, unanswered.both
        ));
    }
    if let Some((from, gap)) = account.longest_gap {
        let gap = gap.as_secs_f64();
        console
            .print(format_args!("The longest time without an acknowledged write: {gap:.1} s, from {}.", clock(from)));
    }
}

/// Why the application got no connection while the fence was up.
pub fn refused(console: &Console, refused: &BTreeMap<String, usize>) {
    let all: usize = refused.values().sum();
    let Some((most, times)) = refused.iter().max_by_key(|(_, times)| **times) else { return };
    console.print(format_args!(
        "Meanwhile {} connections were refused; {} times the reason was:",
        count(all),
        count(*times)
    ));
    console.note(format_args!("  {most}"));
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn when(group: &Group) -> String {
    group.times.map_or_else(String::new, |(first, last)| format!(" ({} to {})", clock(first), clock(last)))
}
