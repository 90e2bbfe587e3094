//! The message that asks for a decision: all that one needs to decide, and how to.

use super::Input;
use jiff::Timestamp;
use std::fmt::Write;

/// The subject and the text.
pub(crate) fn write(input: &Input, hash: &str, expires_at: Timestamp) -> (String, String) {
    let plan = &input.plan;
    let subject = format!("Approve {}? {} back to {}", input.recovery.id, plan.cluster, input.restored.rewound_to);
    let mut text = format!(
        "{} has been restored as it was at {} into {}. Traffic is still on the original.\n\n",
        plan.cluster, input.restored.rewound_to, input.restored.cluster
    );
    let mut line = |said: String| {
        let _ = writeln!(text, "{said}");
    };
    line(format!("Checks ({}):", if input.report.passed { "all passed" } else { "NOT all passed" }));
    for check in &input.report.checks {
        line(format!(
            "  {} {}: expected {}, found {}, on the original {}",
            if check.passed { "ok  " } else { "FAIL" },
            check.name,
            check.expected,
            check.found.as_deref().unwrap_or("nothing"),
            check.original.as_deref().unwrap_or("nothing"),
        ));
    }
    for table in &input.report.tables {
        let count = |rows: Option<u64>| rows.map_or_else(|| "not counted".to_owned(), |rows| rows.to_string());
        line(format!(
            "  {} in {}: {} rows restored, {} on the original",
            table.table,
            table.database,
            count(table.restored),
            count(table.original)
        ));
    }
    for note in &input.report.notes {
        line(format!("  note: {note}"));
    }
    line("\nIf you approve:".to_owned());
    line(format!("  {} is fenced: its sessions end and it acknowledges no more writes", plan.cluster));
    for record in &plan.dns {
        let to = input.restored.endpoint(record.endpoint);
        line(format!("  {} moves from {} to {to}", record.name, record.from));
    }
    line(format!(
        "  what was written to {} after {} is not on the new cluster: it stays on the original, which is kept",
        plan.cluster, input.restored.rewound_to
    ));
    for warning in &plan.warnings {
        line(format!("  warning: {warning}"));
    }
    line("\nIn what the new cluster differs:".to_owned());
    for difference in input.restored.differences.iter().chain(&input.differences) {
        line(format!("  {}: {} -> {}; {}", difference.what, difference.source, difference.restored, difference.todo));
    }
    line(format!("\nIf you do not, nothing of the original is changed and {} is deleted.", input.restored.cluster));
    line(format!("\nDecide until {expires_at}. What you decide on has the hash {hash}.\n"));
    line(format!("Recovery: {}\nExecution: {}", input.recovery.id, input.recovery.execution_arn));
    (subject, text)
}
