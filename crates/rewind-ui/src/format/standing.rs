//! How the clusters of a recovery stand, and what is safe to do now.

use crate::document::Document;
use rewind_core::{SafeCommand, Standing};

/// Formats how things stand, the worst first.
pub fn standing(standing: &Standing) -> Document {
    let mut document = Document::new();
    if let Some(outage) = &standing.outage {
        document.warning(outage);
    }
    for line in &standing.traffic {
        document.field("traffic", line);
    }
    for line in &standing.fences {
        document.field("fenced", line);
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
    for SafeCommand { command, effect } in &standing.commands {
        document.field("safe now", format!("{command} ({effect})"));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_comes_first_and_the_commands_last() {
        let lines = standing(&Standing {
            outage: Some("clients may have no database".into()),
            traffic: vec!["db.example.com leads to orders".into()],
            fenced: vec!["orders".into()],
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
