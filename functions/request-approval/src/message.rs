//! The message that asks for a decision: all that one needs to decide, and how to.

use super::Input;
use jiff::Timestamp;
use rewind_core::{Report, Restored};
use std::fmt::Write;

/// The subject and the text.
pub(crate) fn write(input: &Input, hash: &str, expires_at: Timestamp) -> (String, String) {
    let (subject, mut text) = match (&input.restored, &input.report) {
        (Some(restored), Some(report)) => side_by_side(input, restored, report),
        _ => in_place(input),
    };
    let (id, arn) = (&input.recovery.id, &input.recovery.execution_arn);
    let _ = write!(
        text,
        "\nDecide until {expires_at}:\n  rewind approve {id} --hash {hash}\n  rewind reject {id}\nThe hash stands for what is \
         said here: a yes to anything else is none.\n\nRecovery: {id}\nExecution: {arn}\n",
    );
    (subject, text)
}

/// Asked before anything is rewound: there is only what will be.
fn in_place(input: &Input) -> (String, String) {
    let plan = &input.plan;
    let (cluster, target) = (&plan.cluster, plan.target);
    let subject = format!("Approve {}? {cluster} back to {target}, in place", input.recovery.id);
    let mut text =
        format!("{cluster} is to be rewound itself, to {target}. Nothing has been changed yet.\n\nWhy this way:\n");
    let mut line = |said: String| {
        let _ = writeln!(text, "{said}");
    };
    for reason in &plan.reasons {
        line(format!("  {reason}"));
    }
    line("\nIf you approve:".to_owned());
    line(format!("  every connection to {cluster} is cut, and it takes none until all of this is done"));
    line(format!(
        "  what was written to {cluster} after {target} is no longer on it: it stays on {}, the safety clone",
        plan.new_cluster
    ));
    line("\nStep by step:".to_owned());
    for (step, number) in plan.will_do.iter().zip(1..) {
        line(format!("  {number}. {step}"));
    }
    if !plan.warnings.is_empty() {
        line(String::new());
    }
    for warning in &plan.warnings {
        line(format!("  warning: {warning}"));
    }
    line("\nIf you do not, nothing is changed.".to_owned());
    (subject, text)
}

fn side_by_side(input: &Input, restored: &Restored, report: &Report) -> (String, String) {
    let plan = &input.plan;
    let subject = format!("Approve {}? {} back to {}", input.recovery.id, plan.cluster, restored.rewound_to);
    let mut text = format!(
        "{} has been restored as it was at {} into {}. Traffic is still on the source.\n\n",
        plan.cluster, restored.rewound_to, restored.cluster
    );
    let mut line = |said: String| {
        let _ = writeln!(text, "{said}");
    };
    line(format!("Checks ({}):", if report.passed { "all passed" } else { "NOT all passed" }));
    for check in &report.checks {
        line(format!(
            "  {} {}: expected {}, found {}, on the source {}",
            if check.passed { "ok  " } else { "FAIL" },
            check.name,
            check.expected,
            check.found.as_deref().unwrap_or("nothing"),
            check.source.as_deref().unwrap_or("nothing"),
        ));
    }
    for table in &report.tables {
        let count = |rows: Option<u64>| rows.map_or_else(|| "not counted".to_owned(), |rows| rows.to_string());
        line(format!(
            "  {} in {}: {} rows restored, {} on the source",
            table.table,
            table.database,
            count(table.restored),
            count(table.source)
        ));
    }
    for note in &report.notes {
        line(format!("  note: {note}"));
    }
    line("\nIf you approve:".to_owned());
    line(format!("  {} is fenced: its sessions end and it acknowledges no more writes", plan.cluster));
    for record in &plan.dns {
        let to = restored.endpoint(record.endpoint);
        line(format!("  {} moves from {} to {to}", record.name, record.from));
    }
    line(format!(
        "  what was written to {} after {} is not on the restored cluster: it stays on the source, which is kept",
        plan.cluster, restored.rewound_to
    ));
    for warning in &plan.warnings {
        line(format!("  warning: {warning}"));
    }
    line("\nIn what the restored cluster differs:".to_owned());
    for difference in restored.differences.iter().chain(&input.differences) {
        line(format!("  {}: {} -> {}; {}", difference.what, difference.source, difference.restored, difference.todo));
    }
    line(format!("\nIf you do not, nothing of the source is changed and {} is deleted.", restored.cluster));
    (subject, text)
}
