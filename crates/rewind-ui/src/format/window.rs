//! The window of a cluster: how far back it can go.

use crate::document::Document;
use serde_json::Value;

/// Formats the output of set-window, as `docs/steps.md` documents it.
// The output is not typed here: only set-window writes it, the CLI passes it on to scripts as it is, and a field that an
// older stack lacks shall not keep the others from being shown.
pub fn window(window: &Value) -> Document {
    let text = |name: &str| window.get(name).and_then(Value::as_str);
    let mut document = Document::new();
    let verb = if window.get("changed").and_then(Value::as_bool) == Some(true) { "now has" } else { "has" };
    document.heading(format!(
        "{} ({}) {verb} a window of {}",
        text("cluster").unwrap_or("the cluster"),
        text("engine").unwrap_or("unknown engine"),
        text("targetWindow").unwrap_or("unknown length"),
    ));
    for name in ["kind", "reach", "earliest", "latest"] {
        if let Some(value) = text(name) {
            document.field(name, value);
        }
    }
    for note in window.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        document.warning(note);
    }
    document
}
