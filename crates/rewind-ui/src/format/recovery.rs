//! The status of one recovery, and a list of several.

use super::outcome::{past_fields, past_in_short};
use super::standing::Place;
use crate::document::Document;
use crate::flags::in_flags;
use jiff::Timestamp;
use rewind_core::{Ending, Listed, RecordedDecision, RecoveryRecord, Standing, Strategy, format_duration, format_time};

/// Formats the status of a recovery as of `now`: its past. How its clusters stand is [`super::standing`]'s to show.
pub fn recovery(recovery: &RecoveryRecord, now: Timestamp) -> Document {
    let mut document = Document::new();
    document.heading(format!("{}: {}", recovery.id, recovery.state));
    document.field("cluster", &recovery.cluster);
    document.field("started", with_age(recovery.started_at, now));
    if let Some(ended) = recovery.ended_at {
        document.field("ended", with_age(ended, now));
    }
    // An outcome says both of these itself, and more exactly.
    if recovery.outcome.is_none() {
        if let Some(new_cluster) = &recovery.new_cluster {
            let strategy = recovery.plan.as_ref().map(|plan| plan.strategy);
            // In place that cluster holds the data with the mistake: nobody may take it for the restored one.
            let name = match strategy {
                Some(Strategy::Backtrack) => "safety clone",
                Some(_) => "restored cluster",
                None => "new cluster",
            };
            // In place nothing is left of it where nothing was changed: the cluster holds what it held before.
            if strategy != Some(Strategy::Backtrack) || recovery.state != Ending::NothingChanged.name() {
                document.field(name, new_cluster);
            }
        }
        if let Some(ended) = recovery.ended_at {
            document.field("took", format_duration(ended.duration_since(recovery.started_at)));
        }
    }
    if let Some(approval) = &recovery.approval {
        document.field("asked", with_age(approval.requested_at, now));
        document.field("decide until", format_time(approval.expires_at));
        document.field("hash", &approval.hash);
        if let Some(why) = &approval.last_refused {
            document.warning(format!("the last approval is not enough yet: {why}"));
        }
    }
    if let Some(decision) = &recovery.decision {
        document.field("decision", decided(decision));
    }
    if let Some(outcome) = &recovery.outcome {
        document.extend(past_fields(outcome));
    }
    document.extend(afterwards(recovery));
    document
}

/// Formats the past of a recovery that has ended in a few lines, for a channel: the status has all of it.
pub fn recovery_in_short(recovery: &RecoveryRecord, place: Place) -> Document {
    let mut document = Document::new();
    document.heading(format!("{}: {}", recovery.id, recovery.state));
    document.field("cluster", &recovery.cluster);
    if let Some(outcome) = &recovery.outcome {
        document.extend(past_in_short(outcome));
    }
    document.extend(afterwards(recovery));
    document.field("all of it", place.typed(&format!("rewind status {}", recovery.id)));
    document
}

/// Formats what happened after the recovery, and what went wrong.
fn afterwards(recovery: &RecoveryRecord) -> Document {
    let mut document = Document::new();
    if let Some(undo) = &recovery.undo {
        let by = undo.by.as_deref().unwrap_or("somebody who left no name");
        let at = format_time(undo.at);
        match recovery.state == Ending::NeedsOperator.name() {
            true => document.field("undo", format!("{} by {by} stopped half-way, at {at}", undo.id)),
            false => document.field("undone", format!("at {at} by {by} ({})", undo.id)),
        }
    }
    if let Some(clean_up) = &recovery.clean_up {
        let (cluster, since, snapshot) = (&clean_up.cluster, format_time(clean_up.begun_at), &clean_up.snapshot);
        document.field("deleted", format!("{cluster} since {since}, into the snapshot {snapshot}"));
    }
    if let Some(resumed_by) = &recovery.resumed_by {
        document.field("resumed by", resumed_by);
    }
    // In the words of whoever reads it: they type options, at a terminal and in chat.
    if let Some(cause) = &recovery.cause {
        document.warning(in_flags(cause));
    }
    // An undo that cannot be read may be under way: the person who starts another has to know.
    for attribute in &recovery.unreadable {
        document.warning(attribute);
    }
    document
}

/// Formats a list of recoveries as of `now`: a line for each, in columns with a header, and below it how its clusters stand where that
/// concerns people.
pub fn recoveries(listed: &[Listed], now: Timestamp, place: Place) -> Document {
    let mut document = Document::new();
    if listed.is_empty() {
        document.plain("No recoveries.");
    }
    // By characters, as a terminal counts them, and not by bytes.
    let longest = |text: fn(&RecoveryRecord) -> &str, header: &str| {
        listed.iter().map(|listed| text(&listed.recovery).chars().count()).fold(header.len(), usize::max)
    };
    let (id, cluster) =
        (longest(|recovery| &recovery.id, "RECOVERY"), longest(|recovery| &recovery.cluster, "CLUSTER"));
    if !listed.is_empty() {
        document.plain(format!("Recoveries as of {}, the latest first:", format_time(now)));
        document.heading(format!("{:<id$}  {:<16}  {:<cluster$}  STARTED", "RECOVERY", "STATE", "CLUSTER"));
    }
    for Listed { recovery, standing, .. } in listed {
        let started = with_age(recovery.started_at, now);
        document
            .plain(format!("{:<id$}  {:<16}  {:<cluster$}  {started}", recovery.id, recovery.state, recovery.cluster));
        if let Some(standing) = standing {
            document.extend(in_brief(standing, place));
        }
    }
    // Once for all of them: whoever lacks a permission lacks it for each.
    let unseen: Vec<&String> = listed.iter().filter_map(|listed| listed.unseen.as_ref()).collect();
    if let Some(why) = unseen.first() {
        document.warning(format!("not seen: what is fenced or kept of {} that ended: {why}", unseen.len()));
    }
    document
}

/// Formats how the clusters of a listed recovery stand, with the first of the commands that are safe.
fn in_brief(standing: &Standing, place: Place) -> Document {
    let mut document = Document::new();
    if standing.outage.is_some() {
        document.warning("clients may have no database");
    }
    document.item(&standing.brief);
    // A field, so that a narrow terminal does not break what is there to be copied.
    if let Some(safe) = standing.commands.first() {
        document.field("safe now", place.typed(&safe.command));
    }
    document
}

fn decided(decision: &RecordedDecision) -> String {
    let comment = decision.comment.as_ref().map_or_else(String::new, |comment| format!(": {comment}"));
    format!("{} by {}{comment}", decision.decision.as_deref().unwrap_or("unknown"), decision.decided_by())
}

fn with_age(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({} ago)", format_time(at), format_duration(now.duration_since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan, recovered, recovery_record, time};
    use rewind_core::{Outcome, PendingApproval, Recovered};

    fn awaiting() -> RecoveryRecord {
        RecoveryRecord {
            id: "r-1".into(),
            state: "AwaitingApproval".into(),
            started_at: time("2026-11-23T10:30:00Z"),
            approval: Some(PendingApproval {
                task_token: "secret-token".into(),
                hash: "3fa9c1d20b7e".into(),
                requested_at: time("2026-11-23T10:40:00Z"),
                expires_at: time("2026-11-23T11:40:00Z"),
                last_refused: None,
            }),
            ..recovery_record(&plan())
        }
    }

    #[test]
    fn the_status_of_a_recovery_that_waits_shows_the_hash_and_the_deadline_and_no_token() {
        let text = recovery(&awaiting(), time("2026-11-23T10:45:00Z")).to_string();
        for part in ["r-1: AwaitingApproval", "(15m ago)", "2026-11-23T11:40:00Z", "3fa9c1d20b7e"] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        assert!(!text.contains("secret-token"), "{text}");
    }

    #[test]
    fn the_status_of_a_recovery_that_ended_shows_what_was_not_carried_over_and_who_approved() {
        let decision = RecordedDecision {
            decision: Some("approved".into()),
            by: Some("ann".into()),
            comment: Some("go".into()),
            ..RecordedDecision::default()
        };
        let ended = RecoveryRecord {
            state: "Recovered".into(),
            approval: None,
            decision: Some(decision),
            outcome: Some(Outcome::Recovered(Box::new(recovered()))),
            unreadable: vec!["undo in the record cannot be read".into()],
            resumed_by: Some("r-2".into()),
            ..awaiting()
        };
        let text = recovery(&ended, time("2026-11-23T12:00:00Z")).to_string();
        for part in [
            "approved by ann: go",
            "r-2",
            "writes from 2026-11-23T10:30:00Z to 2026-11-23T10:40:00Z",
            "orders was fenced at 2026-11-23T10:40:00Z",
            "3.2 s at most",
            "undo in the record cannot be read",
        ] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
    }

    #[test]
    fn the_status_has_nothing_of_the_outcome_that_an_undo_a_person_or_the_clean_up_changes() {
        let noted = Recovered { notes: vec!["look at db.example.com".into()], ..recovered() };
        let outcome = Outcome::Recovered(Box::new(noted));
        let undone = RecoveryRecord { state: "Undone".into(), approval: None, outcome: Some(outcome), ..awaiting() };
        let text = recovery(&undone, time("2026-11-23T12:00:00Z")).to_string();
        for part in [" -> ", "is fenced", "kept", "to keep longer", "to undo", "rewind undo"] {
            assert!(!text.contains(part), "{text}\nhas {part}");
        }
        let at = |part: &str| text.find(part).unwrap();
        assert!(at("When it ended:") < at("look at db.example.com"), "{text}");
    }

    #[test]
    fn a_stored_cause_names_the_options_that_people_type() {
        let cause = Some("`secretArn` was not found [InvalidRequest in ValidateWindow]".to_owned());
        let failed = RecoveryRecord { state: "NothingChanged".into(), approval: None, cause, ..awaiting() };
        let now = time("2026-11-23T12:00:00Z");
        for text in [recovery(&failed, now).to_string(), recovery_in_short(&failed, Place::Chat).to_string()] {
            assert!(text.contains("! `--secret` was not found") && !text.contains("secretArn"), "{text}");
        }
    }

    #[test]
    fn in_place_a_safety_clone_that_was_deleted_again_is_not_shown() {
        let in_place = RecoveryRecord { outcome: None, approval: None, ..recovery_record(&in_place_plan()) };
        let shown = |state: &str| {
            let failed = RecoveryRecord { state: state.into(), ..in_place.clone() };
            recovery(&failed, time("2026-11-23T12:00:00Z")).to_string().contains("safety clone")
        };
        assert_eq!([shown("NothingChanged"), shown("NeedsOperator"), shown("Running")], [false, true, true]);
    }

    #[test]
    fn a_list_has_a_line_for_each_recovery_and_an_empty_list_is_a_sentence() {
        let now = time("2026-11-23T10:45:00Z");
        let of = |listed: &[Listed]| recoveries(listed, now, Place::Terminal);
        let list = of(&[awaiting().into(), awaiting().into()]);
        assert_eq!(list.lines().len(), 4);
        assert!(list.lines()[0].text().contains("2026-11-23T10:45:00Z") && list.lines()[1].text().contains("STATE"));
        assert_eq!(of(&[]).to_string(), "No recoveries.\n");
    }

    #[test]
    fn what_was_not_seen_of_those_that_are_over_is_told_once() {
        let now = time("2026-11-23T10:45:00Z");
        let unseen = || Listed { unseen: Some("AccessDenied".into()), ..awaiting().into() };
        let text = recoveries(&[unseen(), unseen()], now, Place::Chat).to_string();
        assert_eq!(text.matches("AccessDenied").count(), 1, "{text}");
        assert!(text.contains("not seen: what is fenced or kept of 2 that ended"), "{text}");
    }
}
