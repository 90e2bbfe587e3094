//! How the clusters of a recovery stand, and what is safe to do now.

use crate::chat;
use crate::document::Document;
use rewind_core::{SafeCommand, Standing};

/// The place in which people type commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A terminal.
    Terminal,
    /// Slack.
    Chat,
}

impl Place {
    /// Turns a command of a terminal into what is typed here.
    pub fn typed(self, command: &str) -> String {
        match self {
            Self::Terminal => command.to_owned(),
            // Whoever is given a line that chat does not know has it read as a plan of a cluster of that name.
            Self::Chat if !chat::has(command.split(' ').nth(1).unwrap_or_default()) => {
                format!("at a terminal: {command}")
            }
            // Nobody follows in chat: the channel is told of the end.
            Self::Chat => format!("/{}", command.trim_end_matches(" --follow")),
        }
    }
}

/// Formats how things stand, the worst first.
pub fn standing(standing: &Standing) -> Document {
    let mut document = facts(standing);
    for SafeCommand { command, effect } in &standing.commands {
        document.command("safe now", command, effect);
    }
    document
}

/// Formats how things stand without the commands.
fn facts(standing: &Standing) -> Document {
    let mut document = Document::new();
    if let Some(outage) = &standing.outage {
        document.warning(outage);
    }
    if let Some(lasted) = &standing.outage_lasted {
        document.field("outage", lasted);
    }
    for line in &standing.traffic {
        document.field("traffic", line);
    }
    for line in &standing.fences {
        document.field("fenced", line);
    }
    if let Some(line) = &standing.open {
        document.field("open", line);
    }
    for line in &standing.kept {
        document.field("kept", line);
    }
    if let Some(line) = &standing.to_read {
        document.field("to read it", line);
    }
    if let Some(lease) = &standing.lease {
        document.field("lease", lease);
    }
    for line in &standing.unseen {
        document.warning(format!("not seen: {line}"));
    }
    document
}

/// Formats how things stand before an undo or a cancel is confirmed, and what it does by that: the record may be older than what people
/// have done since.
pub fn standing_before(before: &Standing) -> Document {
    let mut document = Document::new();
    document.heading("What was found just now:");
    document.extend(facts(before));
    for line in &before.clusters {
        document.field("RDS", line);
    }
    let is_undo = |command: &str| ["rewind undo ", "rewind cancel "].iter().any(|verb| command.starts_with(verb));
    if let Some(undo) = before.commands.iter().find(|safe| is_undo(&safe.command)) {
        document.field("effect", undo.effect.trim_end_matches("; asks first"));
    }
    document
}

/// Formats how things stand after the end of a recovery or an undo.
pub fn standing_after(after: &Standing) -> Document {
    let mut document = Document::new();
    document.heading("How the clusters stand now:");
    document.extend(standing(after));
    document
}

/// Formats how things stand for chat, in as few lines as a phone shows.
pub fn standing_in_chat(standing: &Standing) -> Document {
    let mut document = Document::new();
    if let Some(outage) = &standing.outage {
        document.warning(outage);
    }
    if let Some(lasted) = &standing.outage_lasted {
        document.field("outage", lasted);
    }
    document.field("now", &standing.brief);
    if let Some(lease) = &standing.lease {
        document.field("lease", lease);
    }
    if let Some(line) = &standing.to_read {
        document.field("to read it", line);
    }
    for SafeCommand { command, effect } in &standing.commands {
        document.command("safe now", Place::Chat.typed(command), effect);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatCommand, ChatInput};
    use rewind_aws::fixtures::{in_place_plan, plan, recovery_record, time};
    use rewind_core::{ClusterSeen, FencesSeen, LeadsTo, LeaseSeen, Opening, RecordSeen, RecoveryRecord, Seen, World};
    use std::collections::BTreeSet;

    #[test]
    fn in_chat_commands_are_those_of_chat() {
        assert_eq!(Place::Chat.typed("rewind status r-1 --follow"), "/rewind status r-1");
        assert_eq!(Place::Terminal.typed("rewind status r-1 --follow"), "rewind status r-1 --follow");
        let chat = standing_in_chat(&Standing::not_seen("r-1", "AccessDenied")).to_string();
        assert!(chat.contains("not seen") && chat.contains(" /rewind status r-1\n"), "{chat}");
        for command in ["rewind open r-1 --close", "rewind clusters"] {
            assert_eq!(Place::Chat.typed(command), format!("at a terminal: {command}"));
            assert_eq!(Place::Terminal.typed(command), command);
        }
    }

    /// The standings of a recovery in each state: running or not, beside the source or in place, fenced, open, and beside another one.
    fn standings() -> Vec<Standing> {
        let cluster = || {
            Seen::Found(Some(ClusterSeen {
                status: "available".into(),
                keep_until: None,
                marked_fenced: false,
                security_groups: Vec::new(),
            }))
        };
        let opening = Opening {
            id: "r-1-open".into(),
            by: "ann".into(),
            from: "203.0.113.7".into(),
            until: time("2026-11-23T13:00:00Z"),
            database: None,
            at: None,
        };
        let lease = LeaseSeen { holder: "r-2".into(), until: time("2026-11-23T13:00:00Z") };
        let mut standings = Vec::new();
        for state in STATES {
            for bits in 0..16_u8 {
                let [runs, in_place, fenced, open] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
                let plan = if in_place { in_place_plan() } else { plan() };
                let recovery = RecoveryRecord {
                    id: "r-1".into(),
                    state: state.into(),
                    opening: open.then(|| opening.clone()),
                    ..recovery_record(&plan)
                };
                for leads in [LeadsTo::Source, LeadsTo::Restored] {
                    for lease in [None, Some(lease.clone())] {
                        let record = RecordSeen { name: "db.example.com".into(), leads: Seen::Found(leads.clone()) };
                        let fences = FencesSeen { source: fenced, restored: fenced, source_lifted_at: None };
                        let world = World {
                            runs: Seen::Found(runs),
                            records: if in_place { Vec::new() } else { vec![record] },
                            source: cluster(),
                            restored: cluster(),
                            fences: Seen::Found(fences),
                            lease: Seen::Found(lease),
                            undo: Seen::Found(None),
                            at: jiff::Timestamp::UNIX_EPOCH,
                        };
                        standings.push(Standing::of(&recovery, &world));
                    }
                }
            }
        }
        standings
    }

    const STATES: [&str; 8] = [
        "Running",
        "AwaitingApproval",
        "Stopped",
        "Recovered",
        "NothingChanged",
        "RolledBack",
        "NeedsOperator",
        "Undone",
    ];

    #[test]
    fn chat_prints_no_command_that_chat_does_not_have() {
        let mut seen = BTreeSet::new();
        for SafeCommand { command, .. } in standings().into_iter().flat_map(|standing| standing.commands) {
            let typed = Place::Chat.typed(&command);
            let verb = command.split(' ').nth(1).unwrap().to_owned();
            match typed.strip_prefix("/rewind ") {
                // A word that is no command of chat would be a cluster, and the line a plan.
                Some(line) => match chat::parse(line) {
                    Ok(ChatInput::Command(parsed)) => assert!(!matches!(*parsed, ChatCommand::Plan(_)), "{typed}"),
                    other => panic!("{typed}: {other:?}"),
                },
                None => assert_eq!(typed, format!("at a terminal: {command}")),
            }
            seen.insert(verb);
        }
        let verbs = ["approve", "cancel", "clusters", "open", "reject", "resume", "status", "undo"];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), verbs);
    }

    #[test]
    fn before_an_undo_people_read_what_was_found_and_what_that_makes_of_it() {
        let text = standing_before(&Standing {
            traffic: vec!["db.example.com leads to orders".into()],
            clusters: vec!["orders is available".into(), "there is no orders-r".into()],
            commands: vec![
                SafeCommand { command: "rewind resume r-1".into(), effect: "goes on".into() },
                SafeCommand {
                    command: "rewind undo r-1".into(),
                    effect: "lifts the fence of orders; asks first".into(),
                },
            ],
            ..Standing::default()
        })
        .to_string();
        for part in
            ["db.example.com leads to orders", "RDS              there is no orders-r", "lifts the fence of orders\n"]
        {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        assert!(!text.contains("resume") && !text.contains("asks first"), "{text}");
    }

    #[test]
    fn an_outage_comes_first_and_the_commands_last() {
        let lines = standing(&Standing {
            outage: Some("clients may have no database".into()),
            traffic: vec!["db.example.com leads to orders".into()],
            fenced: vec!["orders".into()],
            fences: vec!["orders is noted as fenced".into()],
            unseen: vec!["cluster orders-r: AccessDenied".into()],
            commands: vec![SafeCommand { command: "rewind undo r-1".into(), effect: "lifts it".into() }],
            ..Standing::default()
        });
        let text = lines.to_string();
        let at = |part: &str| text.find(part).unwrap();
        assert!(
            at("no database") < at("db.example.com")
                && at("not seen: cluster orders-r")
                    < at("  safe now         rewind undo r-1\n                   lifts it\n")
        );
    }
}
