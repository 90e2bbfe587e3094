//! The plan of a recovery.

use crate::document::Document;
use rewind_core::Plan;

/// Formats a plan: its steps, why this strategy was chosen, and its warnings.
pub fn plan(plan: &Plan) -> Document {
    let mut document = Document::new();
    document.heading(format!("The plan: {} back to {}", plan.cluster, plan.target));
    document.steps(&plan.will_do);
    for reason in &plan.reasons {
        document.field("because", reason);
    }
    document.field("window", format!("{} to {}", plan.window.earliest, plan.window.latest));
    // Last, where a terminal leaves them in sight.
    for warning in &plan.warnings {
        document.warning(warning);
    }
    document
}
