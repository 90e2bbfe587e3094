//! What people are told: plans, what there is to decide on, how a recovery stands and how it ended. It works nothing out.

use crate::recovery::{Ending, Recovery};
use crate::text::Text;
use jiff::Timestamp;
use rewind_core::{Difference, Plan, Report, Restored, format_duration};
use serde_json::Value;

/// What a state does, while it does it; empty for a state that takes no time.
pub fn activity(state: &str) -> &'static str {
    match state {
        "AcquireLease" => "takes the lease: one recovery a cluster",
        "ReadLease" => "looks who holds the lease",
        "ValidateWindow" => "checks the request against cluster, window, records and secret; nothing is changed",
        "RecordPlan" => "writes the plan into the table",
        "ExtendLease" => "makes the lease outlast the recovery",
        "AnnouncePlan" | "AnnounceApproval" | "AnnounceRecovered" | "AnnounceFailure" => "tells whoever listens",
        "StartRestore" => "asks RDS for a new cluster as of the target",
        "AwaitRewind" => "waits for the cluster",
        "AddInstances" => "gives the restored cluster its instances and settings",
        "AwaitInstances" => "waits for the instances",
        "CloneSource" => "asks RDS for a clone of the present state",
        "StartBacktrack" => "asks RDS to rewind the cluster in place",
        "Verify" => "runs the checks on the rewound data, read-only",
        "RequestApproval" => "waits for a person",
        "RecordDecision" => "writes down who decided",
        "ConfirmApproval" => "checks that nothing has moved since people were asked",
        "FenceSource" => "ends all writes on the source, and proves it",
        "LiftFence" => "lets clients in again",
        "SwapDns" => "moves the records, if they are still as planned",
        "AwaitInSync" => "waits until Route 53 is in sync",
        "ConfirmCutover" => "resolves and connects by name",
        "WaitForOldTtl" => "waits as long as resolvers may remember the old value",
        "Finish" => "tags what is kept, and writes the output",
        "RecordRecovered" | "RecordUndone" => "writes the end into the table",
        "ReleaseLease" | "ReleaseLeaseAfterFailure" => "gives the lease back",
        "ReadRecovery" => "reads what the recovery did",
        "FenceRestored" => "ends writes on the restored cluster, before traffic moves back",
        "UndoSwapDns" => "moves the records back",
        "UndoFenceSource" => "opens the source again",
        "UndoFenceRestored" => "opens the restored cluster again",
        "UndoStartBacktrack" => "takes the cluster forward to where it was",
        "AwaitForward" => "waits until it is there",
        "VerifyForward" => "compares it with the safety clone, row counts and checks",
        "UndoAddInstances" => "deletes the new instances",
        "UndoStartRestore" => "deletes the restored cluster",
        "AwaitDeletion" => "waits until it is gone",
        "RecordFailure" => "writes the failure into the table",
        _ => "",
    }
}

/// A plan.
pub fn plan(plan: &Plan) -> Text {
    let mut text = Text::new();
    text.heading(format!("The plan: {} back to {}", plan.cluster, plan.target));
    for sentence in &plan.will_do {
        text.item(sentence);
    }
    for reason in &plan.reasons {
        text.field("because", reason);
    }
    text.field("window", format!("{} to {}", plan.window.earliest, plan.window.latest));
    for warning in &plan.warnings {
        text.warning(warning);
    }
    text
}

/// What somebody decides on: all that the hash is made of.
#[derive(Debug, Clone, Copy)]
pub struct Matter<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The rewound cluster; none where the approval comes before the rewind.
    pub restored: Option<&'a Restored>,
    /// What verification found; none where the approval comes before it.
    pub report: Option<&'a Report>,
    /// In what the restored cluster is not like the source.
    pub differences: &'a [Difference],
}

/// What there is to decide on.
pub fn matter(matter: Matter<'_>) -> Text {
    let Matter { plan: planned, restored, report, differences } = matter;
    let mut text = plan(planned);
    if let Some(report) = report {
        text.extend(self::report(report));
    }
    if !differences.is_empty() {
        text.heading("In what the restored cluster is not like the source:");
        for difference in differences {
            let Difference { what, source, restored, todo } = difference;
            text.item(format!("{what}: {source}, now {restored}; to do: {todo}"));
        }
    }
    text.heading("If you approve, this is lost:");
    let to = restored.map_or(planned.target, |restored| restored.rewound_to);
    text.warning(match restored {
        Some(restored) => format!(
            "what was written to {} after {to} is not on {}: it stays on the source, fenced, for {}",
            planned.cluster,
            restored.cluster,
            format_duration(planned.keep_source())
        ),
        None => format!(
            "what was written to {} after {to} is taken off it: it stays on the clone {}",
            planned.cluster, planned.new_cluster
        ),
    });
    text.plain(match restored {
        Some(restored) => format!("If you reject, no traffic is moved, and {} is deleted.", restored.cluster),
        None => "If you reject, nothing is changed.".to_owned(),
    });
    text
}

/// What verification found.
pub fn report(report: &Report) -> Text {
    let mut text = Text::new();
    let verdict = match report.checks.len() {
        0 => "no check was given",
        _ if report.passed => "all checks passed",
        _ => "NOT all checks passed",
    };
    text.heading(format!("The rewound data ({verdict}):"));
    for check in &report.checks {
        if check.passed {
            text.good(check.to_string());
        } else {
            text.warning(check.to_string());
        }
    }
    for table in &report.tables {
        text.item(table.to_string());
    }
    for note in &report.notes {
        text.warning(note);
    }
    text
}

/// How a recovery stands, as of `now`.
pub fn recovery(recovery: &Recovery, now: Timestamp) -> Text {
    let mut text = Text::new();
    text.heading(format!("{}: {}", recovery.id, recovery.state));
    text.field("cluster", &recovery.cluster);
    text.field("started", ago(recovery.started_at, now));
    if let Some(ended) = recovery.ended_at {
        text.field("ended", ago(ended, now));
    }
    // What it answered in the end tells more of this.
    if recovery.outcome.is_none() {
        if let Some(new_cluster) = &recovery.new_cluster {
            text.field("new cluster", new_cluster);
        }
        if let Some(ended) = recovery.ended_at {
            text.field("took", format_duration(ended.duration_since(recovery.started_at)));
        }
    }
    if let Some(awaited) = &recovery.approval {
        text.field("asked", ago(awaited.requested_at, now));
        text.field("decide until", awaited.expires_at);
        text.field("hash", &awaited.hash);
    }
    if let Some(decision) = &recovery.decision {
        text.field("decision", said_by(decision));
    }
    if let Some(outcome) = &recovery.outcome {
        text.extend(outcome_lines(outcome));
    }
    if let Some(undo) = &recovery.undo {
        let word = |name: &str| undo.get(name).and_then(Value::as_str).unwrap_or("unknown");
        text.field("undone", format!("at {} by {} ({})", word("at"), word("by"), word("id")));
    }
    if let Some(clean_up) = &recovery.clean_up {
        let word = |name: &str| clean_up.get(name).and_then(Value::as_str).unwrap_or("unknown");
        text.field(
            "deleted",
            format!("{} since {}, into the snapshot {}", word("cluster"), word("begunAt"), word("snapshot")),
        );
    }
    if let Some(cause) = &recovery.cause {
        text.warning(cause);
    }
    text
}

/// A line for each recovery.
pub fn list(recoveries: &[Recovery], now: Timestamp) -> Text {
    let mut text = Text::new();
    if recoveries.is_empty() {
        text.plain("No recoveries.");
    }
    let width = recoveries.iter().map(|recovery| recovery.id.chars().count()).max().unwrap_or_default();
    for recovery in recoveries {
        let since = ago(recovery.started_at, now);
        text.plain(format!("{:<width$}  {:<16}  {}  {since}", recovery.id, recovery.state, recovery.cluster));
    }
    text
}

/// What a recovery answered in the end.
pub fn outcome(outcome: &Value) -> Text {
    let mut text = Text::new();
    let word = |name: &str| outcome.get(name).and_then(Value::as_str).unwrap_or_default();
    match word("outcome") {
        "Recovered" => text.heading(format!("{} is back as it was at {}", word("cluster"), word("rewoundTo"))),
        other => text.heading(other),
    }
    text.extend(outcome_lines(outcome));
    text
}

fn outcome_lines(outcome: &Value) -> Text {
    let mut text = Text::new();
    let word = |path: &str| outcome.pointer(path).and_then(Value::as_str);
    for (path, name) in [("/rewoundTo", "rewound to"), ("/newCluster", "new cluster"), ("/writerEndpoint", "writer")] {
        if let Some(value) = word(path) {
            text.field(name, value);
        }
    }
    for record in outcome.get("dns").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        text.field("record", format!("{} -> {} (was {})", part("name"), part("to"), part("from")));
    }
    if let (Some(from), Some(to), Some(place)) = (word("/lost/from"), word("/lost/to"), word("/lost/where")) {
        text.field("lost", format!("writes from {from} to {to}: {place}"));
    }
    for kept in ["source", "safetyClone"] {
        let word = |name: &str| word(&format!("/{kept}/{name}"));
        if let (Some(cluster), Some(until)) = (word("cluster"), word("keepUntil")) {
            text.field(
                kept,
                format!("{cluster} is kept until {until}, then deleted into a snapshot if nobody uses it"),
            );
            for (name, field) in [("to keep it longer", "keepLonger"), ("never to delete it", "keepForever")] {
                if let Some(command) = word(field) {
                    text.field(name, command);
                }
            }
        }
    }
    for done in outcome.get("undone").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        text.item(done);
    }
    if let Some(total) = outcome.pointer("/timings/total").and_then(Value::as_f64) {
        text.field("took", format!("{total:.1} s"));
    }
    text
}

/// That a recovery was started, or had been.
pub fn begun(id: &str, before: bool) -> Text {
    let mut text = Text::new();
    text.heading(if before { format!("{id} had been started before") } else { format!("{id} is started") });
    text
}

/// How an execution failed, and why.
pub fn failed(id: &str, ended: Ending, cause: Option<&str>) -> Text {
    let mut text = Text::new();
    text.heading(format!("{id} ended in {}: {}", ended.name(), ending(ended)));
    text.warning(cause.unwrap_or("no reason was given"));
    text
}

/// That somebody decided.
pub fn decided(id: &str, approved: bool, by: &str, hash: &str) -> Text {
    let mut text = Text::new();
    let word = if approved { "approved" } else { "rejected" };
    text.heading(format!("{id}: {word} by {by}"));
    text.field("hash", hash);
    if approved {
        text.plain("It goes on if nothing has moved since that was shown.");
    }
    text
}

/// What taking a recovery back would do.
pub fn undo(recovery: &Recovery) -> Text {
    let new_cluster = recovery.new_cluster.as_deref().unwrap_or("the restored cluster");
    let cluster = &recovery.cluster;
    let mut text = Text::new();
    text.heading(format!("Taking back {}:", recovery.id));
    text.item(format!("fence {new_cluster}: no write is acknowledged by it after that, and its sessions end"));
    let records = recovery.outcome.as_ref().and_then(|outcome| outcome.get("dns")).and_then(Value::as_array);
    for record in records.into_iter().flatten() {
        let part = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        text.item(format!("move {} from {} back to {}", part("name"), part("to"), part("from")));
    }
    text.item(format!("open {cluster} again, exactly as it was before it was fenced"));
    text.warning(format!(
        "what was written to {new_cluster} since the switch is not on {cluster}: it stays on {new_cluster}, fenced and kept"
    ));
    text
}

/// A window, as set-window answers it.
pub fn window(window: &Value) -> Text {
    let word = |name: &str| window.get(name).and_then(Value::as_str);
    let mut text = Text::new();
    let verb = if window.get("changed").and_then(Value::as_bool) == Some(true) { "now has" } else { "has" };
    text.heading(format!(
        "{} ({}) {verb} a window of {}",
        word("cluster").unwrap_or("the cluster"),
        word("engine").unwrap_or("unknown engine"),
        word("targetWindow").unwrap_or("unknown length"),
    ));
    for (field, name) in [("kind", "kind"), ("reach", "reach"), ("earliest", "earliest"), ("latest", "latest")] {
        if let Some(value) = word(field) {
            text.field(name, value);
        }
    }
    for note in window.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        text.warning(note);
    }
    text
}

/// What an ending means, in a sentence.
pub fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Planned => "nothing was changed: this is the plan",
        Ending::Recovered => "the data is back",
        Ending::Undone => "traffic is back on the source",
        Ending::NothingChanged => "it failed, and everything is as it was before",
        Ending::NeedsOperator => "it failed half-way, and a person must look",
        Ending::Stopped => "it was stopped from outside, and nothing was undone: see the runbook",
    }
}

/// Who decided what, as the decision tells it.
fn said_by(decision: &Value) -> String {
    let word = |name: &str| decision.get(name).and_then(Value::as_str);
    let by = word("by").unwrap_or("somebody who left no name");
    let comment = word("comment").map_or_else(String::new, |comment| format!(": {comment}"));
    format!("{} by {by}{comment}", word("decision").unwrap_or("unknown"))
}

/// A moment, and how long ago it was.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let second = at.round(jiff::Unit::Second).unwrap_or(at);
    format!("{second} ({} ago)", format_duration(now.duration_since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::Awaited;
    use serde_json::json;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn waiting() -> Recovery {
        Recovery {
            id: "r-1".into(),
            execution_arn: "arn".into(),
            state: "AwaitingApproval".into(),
            cluster: "orders".into(),
            new_cluster: Some("orders-2".into()),
            started_at: time("2026-11-23T10:30:00Z"),
            ended_at: None,
            approval: Some(Awaited {
                hash: "3fa9c1d20b7e".into(),
                requested_at: time("2026-11-23T10:40:00Z"),
                expires_at: time("2026-11-23T11:40:00Z"),
            }),
            decision: None,
            undo: None,
            clean_up: None,
            error: None,
            cause: None,
            outcome: None,
            plan: None,
        }
    }

    #[test]
    fn every_state_that_takes_time_says_what_it_does() {
        let machines = [
            include_str!("../../../statemachine/rewind.asl.json"),
            include_str!("../../../statemachine/undo.asl.json"),
        ];
        for machine in machines {
            let machine: Value = serde_json::from_str(machine).unwrap();
            for (name, state) in machine["States"].as_object().unwrap() {
                let takes_time = state["Type"] == "Task" || state["Type"] == "Wait";
                assert_eq!(!activity(name).is_empty(), takes_time, "{name}");
            }
        }
    }

    #[test]
    fn a_recovery_that_waits_says_for_what_and_until_when() {
        let said = recovery(&waiting(), time("2026-11-23T10:45:00Z")).to_string();
        for part in ["r-1: AwaitingApproval", "(15m ago)", "2026-11-23T11:40:00Z", "3fa9c1d20b7e"] {
            assert!(said.contains(part), "{said}\nlacks {part}");
        }
    }

    #[test]
    fn what_was_lost_and_who_agreed_is_told_of_a_recovery_that_ended() {
        let ended = Recovery {
            state: "Recovered".into(),
            approval: None,
            decision: Some(json!({ "decision": "approved", "by": "ann", "comment": "go" })),
            outcome: Some(json!({
                "outcome": "Recovered", "rewoundTo": "2026-11-23T10:25:00Z",
                "lost": { "from": "2026-11-23T10:25:00Z", "to": "2026-11-23T10:50:00Z", "where": "kept on orders" },
            })),
            ..waiting()
        };
        let said = recovery(&ended, time("2026-11-23T12:00:00Z")).to_string();
        for part in ["approved by ann: go", "writes from 2026-11-23T10:25:00Z to 2026-11-23T10:50:00Z: kept on orders"]
        {
            assert!(said.contains(part), "{said}\nlacks {part}");
        }
    }

    #[test]
    fn where_no_check_was_given_it_is_not_said_that_all_have_passed() {
        let login = json!({ "user": "postgres", "secretVersion": "AWSCURRENT", "tls": "verified" });
        let found: Report =
            serde_json::from_value(json!({ "passed": true, "login": login, "checks": [], "tables": [], "notes": [] }))
                .unwrap();
        let said = report(&found).to_string();
        assert!(said.contains("no check was given") && !said.contains("passed"), "{said}");
    }

    #[test]
    fn a_list_has_a_line_for_each_and_an_empty_one_says_so() {
        let now = time("2026-11-23T10:45:00Z");
        assert_eq!(list(&[waiting(), waiting()], now).0.len(), 2);
        assert_eq!(list(&[], now).to_string(), "No recoveries.\n");
    }
}
