//! How the clusters of a recovery stand, and what is safe to do now.

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
            // Nobody follows in chat: the channel is told of the end.
            Self::Chat => format!("/{}", command.trim_end_matches(" --follow")),
        }
    }
}

/// Formats how things stand, the worst first.
pub fn standing(standing: &Standing) -> Document {
    let mut document = facts(standing);
    for SafeCommand { command, effect } in &standing.commands {
        document.field("safe now", format!("{command} ({effect})"));
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
    for SafeCommand { command, effect } in &standing.commands {
        document.field("safe now", format!("{} ({effect})", Place::Chat.typed(command)));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_chat_commands_are_those_of_chat() {
        assert_eq!(Place::Chat.typed("rewind status r-1 --follow"), "/rewind status r-1");
        assert_eq!(Place::Terminal.typed("rewind status r-1 --follow"), "rewind status r-1 --follow");
        let chat = standing_in_chat(&Standing::not_seen("r-1", "AccessDenied")).to_string();
        assert!(chat.contains("not seen") && chat.contains("/rewind status r-1 (shows this again"), "{chat}");
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
                && at("not seen: cluster orders-r") < at("rewind undo r-1 (lifts it)")
        );
    }
}
