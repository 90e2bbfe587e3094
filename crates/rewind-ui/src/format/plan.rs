//! The plan of a recovery.

use crate::document::Document;
use crate::flags::{start_command, whole_second};
use rewind_core::{Plan, format_moment};
use serde_json::Value;

/// Formats the command that starts exactly what a plan shows, for the request that asked for the plan; of a resume, the one that resumes.
pub fn start_of(request: &Value, plan: &Plan) -> Document {
    let mut document = Document::new();
    document.heading(format!("To start exactly this, back to {}:", format_moment(whole_second(plan.target))));
    document.item(start_command(request, plan.target));
    document
}

/// Formats a plan: its steps, why this strategy was chosen, its warnings, and the findings of the preflight.
pub fn plan(plan: &Plan) -> Document {
    let mut document = Document::new();
    document.heading(format!("The plan: {} back to {}", plan.cluster, format_moment(plan.target)));
    document.steps(&plan.will_do);
    for reason in &plan.reasons {
        document.field("because", reason);
    }
    document
        .field("window", format!("{} to {}", format_moment(plan.window.earliest), format_moment(plan.window.latest)));
    // Last, where a terminal leaves them in sight.
    for warning in &plan.warnings {
        document.warning(warning);
    }
    // Those that block first, as the plan has them.
    for finding in &plan.findings {
        document.warning(if finding.is_blocking() { format!("BLOCKING: {finding}") } else { finding.to_string() });
    }
    document
}
