//! The outcome of an execution.

use super::estimates;
use super::not_carried_over;
use super::plan::plan;
use super::short::counted;
use crate::document::Document;
use rewind_core::{
    Difference, HeldJob, KeepCommands, KeptSafetyClone, MovedRecord, Outcome, Recovered, SafeCommand, Undone,
    WritesNotCarriedOver, format_moment, format_time, open_command,
};
use std::collections::BTreeMap;

/// The state in which people decide.
const WAIT_FOR_PEOPLE: &str = "RequestApproval";

/// The number of states whose times are named: the rest take moments.
const LONGEST_STATES: usize = 4;

/// Formats the outcome of an execution that succeeded.
pub fn outcome(outcome: &Outcome) -> Document {
    let mut document = Document::new();
    match outcome {
        Outcome::Planned(planned) => return plan(&planned.plan),
        Outcome::Recovered(recovered) => {
            document.heading(result(recovered));
        }
        // The reason is among what was done.
        Outcome::Undone(undone) if undone.stays_rewound => {
            document.heading(format!("Not undone: {} stays rewound, and takes clients", undone.cluster));
        }
        // One that was ended before it moved a record.
        Outcome::Undone(undone) if undone.dns.is_empty() => {
            document.heading(format!("Undone: {} has its traffic", undone.cluster));
        }
        Outcome::Undone(undone) => {
            document.heading(undone_result(undone));
        }
    }
    document.extend(outcome_fields(outcome));
    document
}

/// Explains where the data is, and which cluster clients are on.
// Side by side the source is not back: it has its traffic still, or is fenced. Whoever is told otherwise uses the wrong cluster.
fn result(recovered: &Recovered) -> String {
    let (cluster, rewound_to) = (&recovered.cluster, format_moment(recovered.rewound_to));
    match (&recovered.new_cluster, recovered.dns.as_slice()) {
        (None, _) => format!("{cluster} is back as it was at {rewound_to}"),
        (Some(restored), []) => format!(
            "{restored} has the data of {cluster} as it was at {rewound_to}; {cluster} is unchanged, and clients are still on it"
        ),
        (Some(restored), [MovedRecord { name, .. }, more @ ..]) => {
            let records = if more.is_empty() { "leads".to_owned() } else { format!("and {} more lead", more.len()) };
            let fenced = match &recovered.unconfirmed {
                None => format!("{cluster} is fenced"),
                Some(why) => format!(
                    "NOT CONFIRMED that clients are there, and none on {cluster}, which may not be fenced any more: {why}"
                ),
            };
            format!(
                "{name} {records} to {restored}, which has the data of {cluster} as it was at {rewound_to}; {fenced}"
            )
        }
    }
}

/// Explains which cluster clients are on after an undo, and since when every name was seen to lead there.
// An output of an earlier version confirmed no name, and does not say so.
fn undone_result(undone: &Undone) -> String {
    let cluster = &undone.cluster;
    match (&undone.unconfirmed, undone.confirmed_at) {
        // The reason is among what was done.
        (Some(_), _) => format!("Undone: the records lead to {cluster}; NOT CONFIRMED that all clients are there"),
        (None, Some(at)) => {
            format!("Undone: traffic is back on {cluster}; the last name was seen to lead there at {}", format_time(at))
        }
        (None, None) => format!("Undone: traffic is back on {cluster}"),
    }
}

/// Formats the fields of an outcome without a heading.
pub(super) fn outcome_fields(outcome: &Outcome) -> Document {
    match outcome {
        Outcome::Planned(_) => Document::new(),
        Outcome::Recovered(recovered) => recovered_fields(recovered),
        Outcome::Undone(undone) => undone_fields(undone),
    }
}

/// Formats the part of an outcome that nobody can change after the end: where records lead, what is fenced and until when a cluster is
/// kept is for whoever looks at the clusters.
pub(super) fn past_fields(outcome: &Outcome) -> Document {
    match outcome {
        Outcome::Planned(_) => Document::new(),
        Outcome::Recovered(recovered) => recovered_past(recovered),
        Outcome::Undone(undone) => undone_past(undone),
    }
}

/// Formats the same in a few lines: what people have to read is counted.
pub(super) fn past_in_short(outcome: &Outcome) -> Document {
    let Outcome::Recovered(recovered) = outcome else { return past_fields(outcome) };
    let mut document = Document::new();
    document.field("rewound to", recovered.rewound_to);
    if let Some(why) = &recovered.unconfirmed {
        document.warning(format!("NOT CONFIRMED that clients are on the rewound data alone: {why}"));
    }
    if let Some(writes) = &recovered.not_carried_over {
        let rows = recovered.comparison.as_ref().and_then(not_carried_over::total);
        let rows = rows.map(|rows| format!(": {rows}")).unwrap_or_default();
        document.field("not carried over", format!("writes from {} to {}{rows}", writes.from, writes.to));
    }
    let (all, passed) = (recovered.checks.len(), recovered.checks.iter().filter(|check| check.passed).count());
    document.field("checks", checks(all, passed));
    if let Some(seconds) = recovered.outage_seconds {
        document.field("outage", format!("{seconds:.1} s at most"));
    }
    let (jobs, differences) = (recovered.held_jobs.len(), recovered.differences.len());
    let counts = [(jobs, "held job"), (differences, "difference"), (recovered.notes.len(), "note")];
    if let Some(counts) = counted(&counts) {
        document.warning(format!("to read: {counts}"));
    }
    document
}

fn checks(all: usize, passed: usize) -> String {
    if all == 0 { "none were given".to_owned() } else { format!("{passed} of {all} passed") }
}

fn recovered_past(recovered: &Recovered) -> Document {
    let mut document = Document::new();
    document.field("rewound to", format_moment(recovered.rewound_to));
    if let Some(new_cluster) = &recovered.new_cluster {
        document.field("restored cluster", new_cluster);
    }
    if let Some(safety_clone) = &recovered.safety_clone {
        document.field(
            "safety clone",
            format!("{}, cloned at {}", safety_clone.cluster, format_time(safety_clone.taken_at)),
        );
    }
    fence(&mut document, recovered);
    if let Some(writes) = &recovered.not_carried_over {
        document.field("not carried over", period(writes));
    }
    compared(&mut document, recovered);
    verified(&mut document, recovered);
    times(&mut document, recovered);
    if !(recovered.held_jobs.is_empty() && recovered.differences.is_empty() && recovered.notes.is_empty()) {
        // People may have done it since.
        document.heading("When it ended:");
    }
    held_jobs(&mut document, &recovered.held_jobs);
    to_do(&mut document, &recovered.differences);
    for note in &recovered.notes {
        document.warning(note);
    }
    document
}

fn fence(document: &mut Document, recovered: &Recovered) {
    if let Some(fence) = &recovered.fence {
        let (cluster, at, sessions) = (&recovered.cluster, format_time(fence.fenced_at), fence.sessions_ended);
        document.field("fence", format!("{cluster} was fenced at {at}; {sessions} sessions ended"));
    }
}

fn period(writes: &WritesNotCarriedOver) -> String {
    format!("writes from {} to {}", format_moment(writes.from), format_time(writes.to))
}

fn recovered_fields(recovered: &Recovered) -> Document {
    let mut document = Document::new();
    document.field("rewound to", format_moment(recovered.rewound_to));
    if let Some(new_cluster) = &recovered.new_cluster {
        document.field("restored cluster", new_cluster);
    }
    document.field("writer", &recovered.writer_endpoint);
    records(&mut document, &recovered.dns);
    fence(&mut document, recovered);
    if let Some(writes) = &recovered.not_carried_over {
        document.field("not carried over", format!("{}: {}", period(writes), writes.place));
    }
    compared(&mut document, recovered);
    to_read(&mut document, recovered);
    // Absent where the source keeps its traffic or could not be tagged: then nothing deletes it.
    if let Some(until) = recovered.source.keep_until {
        document.field("source", kept(&recovered.source.cluster, until));
        keep_commands(&mut document, recovered.source.keep.as_ref());
    }
    if let Some(safety_clone) = &recovered.safety_clone {
        document.extend(safety_clone_fields(safety_clone));
    }
    if let (Some(_), Some(until)) = (&recovered.new_cluster, recovered.source.keep_until) {
        // What it undoes to is deleted then.
        document.command(
            "to undo",
            format!("rewind undo {}", recovered.recovery_id),
            format!("until {}", format_time(until)),
        );
    }
    verified(&mut document, recovered);
    held_jobs(&mut document, &recovered.held_jobs);
    to_do(&mut document, &recovered.differences);
    for note in &recovered.notes {
        document.warning(note);
    }
    times(&mut document, recovered);
    document
}

/// Adds the command that reads what is left behind: the source that is fenced, or the safety clone.
fn to_read(document: &mut Document, recovered: &Recovered) {
    let is_source = recovered.fence.is_some() && !recovered.dns.is_empty();
    let left = match &recovered.safety_clone {
        Some(clone) => Some(&clone.cluster),
        None => is_source.then_some(&recovered.cluster),
    };
    if let Some(left) = left {
        let SafeCommand { command, effect } = open_command(&recovered.recovery_id, left);
        document.command("to read it", command, effect);
    }
}

/// Adds what was verified: the number of checks, the rows of each table that they read, and estimates of the others.
// The values that checks found are data of the database, and this goes to mail and chat as well.
fn verified(document: &mut Document, recovered: &Recovered) {
    let (all, passed) = (recovered.checks.len(), recovered.checks.iter().filter(|check| check.passed).count());
    document.field("checks", checks(all, passed));
    for table in recovered.tables.iter().take(TABLES) {
        document.field("rows", table);
    }
    if recovered.tables.len() > TABLES {
        document.field("rows", format!("and {} more tables", recovered.tables.len() - TABLES));
    }
    for line in recovered.estimates.iter().flat_map(estimates::short_lines) {
        document.field("estimates", line);
    }
}

/// Adds the rows of each table that are not carried over.
fn compared(document: &mut Document, recovered: &Recovered) {
    let Some(found) = &recovered.comparison else { return };
    for line in not_carried_over::lines(found, TABLES) {
        document.field("not carried over", line);
    }
}

/// The number of tables whose rows are named: the output has all of them.
const TABLES: usize = 10;

/// Adds what people have to do on the restored cluster.
fn to_do(document: &mut Document, differences: &[Difference]) {
    for Difference { what, todo, .. } in differences.iter().take(DIFFERENCES) {
        document.field("to do", format!("{what}: {todo}"));
    }
    if differences.len() > DIFFERENCES {
        document.field("to do", format!("and {} more differences", differences.len() - DIFFERENCES));
    }
}

/// The number of differences that are named: the output has all of them.
const DIFFERENCES: usize = 10;

/// The number of jobs that are named: the output has all of them.
const JOBS: usize = 10;

/// Adds the jobs of the restored cluster that would have acted by themselves.
fn held_jobs(document: &mut Document, jobs: &[HeldJob]) {
    for job in jobs.iter().take(JOBS) {
        let state = match (job.held, job.released) {
            (_, true) => "runs again",
            (true, false) => "is held, and does not run",
            (false, false) => "RUNS: nothing could hold it",
        };
        let release = job.release.as_ref().filter(|_| job.held && !job.released);
        let release = release.map(|release| format!("; to release it: {release}")).unwrap_or_default();
        document.field("job", format!("{} {} {state}{release}", job.kind, job.name));
    }
    if jobs.len() > JOBS {
        document.field("jobs", format!("and {} more", jobs.len() - JOBS));
    }
}

fn safety_clone_fields(clone: &KeptSafetyClone) -> Document {
    let mut document = Document::new();
    document.field("safety clone", format!("{}, cloned at {}", clone.cluster, format_time(clone.taken_at)));
    if let Some(until) = clone.keep_until {
        document.field("safety clone", kept(&clone.cluster, until));
    }
    keep_commands(&mut document, clone.keep.as_ref());
    // For people who need it no longer: nothing else deletes the clone before its time.
    document.field("to delete it", &clone.delete);
    document
}

fn undone_fields(undone: &Undone) -> Document {
    let mut document = Document::new();
    if let Some(new_cluster) = &undone.new_cluster {
        document.field("restored cluster", new_cluster);
    }
    records(&mut document, &undone.dns);
    for change in &undone.undone {
        document.item(change);
    }
    document
}

fn undone_past(undone: &Undone) -> Document {
    let mut document = Document::new();
    if let Some(new_cluster) = &undone.new_cluster {
        document.field("restored cluster", new_cluster);
    }
    for change in &undone.undone {
        document.item(change);
    }
    document
}

fn records(document: &mut Document, records: &[MovedRecord]) {
    for MovedRecord { name, from, to, .. } in records {
        document.field("record", format!("{name} -> {to} (was {from})"));
    }
}

fn kept(cluster: &str, until: jiff::Timestamp) -> String {
    format!("{cluster} is kept until {}, then deleted into a snapshot if nobody uses it", format_time(until))
}

fn keep_commands(document: &mut Document, keep: Option<&KeepCommands>) {
    if let Some(KeepCommands { keep_longer, keep_forever }) = keep {
        document.field("to keep longer", keep_longer);
        document.field("to keep forever", keep_forever);
    }
}

/// Adds the outage, the total time and the states that took longest.
fn times(document: &mut Document, recovered: &Recovered) {
    if let Some(seconds) = recovered.outage_seconds {
        document.field(
            "outage",
            format!("{seconds:.1} s at most: the fence began, and then clients could have a database again"),
        );
    }
    let timings: &BTreeMap<String, f64> = &recovered.timings;
    let Some(total) = timings.get("total") else { return };
    // The total is not a state: it would always be the longest.
    let mut states: Vec<(&String, &f64)> = timings.iter().filter(|(state, _)| *state != "total").collect();
    // `f64` has no total order of its own.
    states.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let longest: Vec<String> =
        states.into_iter().take(LONGEST_STATES).map(|(state, seconds)| format!("{state} {seconds:.1} s")).collect();
    let longest = if longest.is_empty() { String::new() } else { format!("; the longest: {}", longest.join(", ")) };
    document.field("took", format!("{total:.1} s{longest}"));
    if let Some(waited) = timings.get(WAIT_FOR_PEOPLE) {
        document.field("of that", format!("{waited:.1} s waiting for people, {:.1} s working", total - waited));
    }
}
