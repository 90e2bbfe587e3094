//! The ids of recoveries, which are the names of their executions: those that people type, and those that are derived.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rewind_core::content_hash;
use serde_json::json;

/// The most characters of an execution's name that Step Functions takes.
const MAX: usize = 80;

/// Takes the id out of what a person gave: the id itself, or the ARN of the execution.
pub fn recovery_id(text: &str) -> &str {
    let text = text.trim();
    // Mails and the console show the ARN, and people paste what they have.
    if text.starts_with("arn:") { text.rsplit(':').next().unwrap_or(text) } else { text }
}

/// Derives an id from prefix, cluster and time: `rewind-orders-20261123-103000`. A second one in the same second, with
/// `attempt` 1, ends in `-2`.
pub fn derived_id(prefix: &str, cluster: &str, now: Timestamp, attempt: usize) -> String {
    let mut end = now.to_zoned(TimeZone::UTC).strftime("-%Y%m%d-%H%M%S").to_string();
    if attempt > 0 {
        end.push_str(&format!("-{}", attempt + 1));
    }
    // Other characters are in no cluster's name, so the request is refused anyway: its id need not keep them.
    let kept: String =
        format!("{prefix}-{cluster}").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let kept: String = kept.chars().take(MAX - end.len()).collect();
    format!("{kept}{end}")
}

/// Derives the name of the `n`th execution that undoes a recovery, from 0.
// The same for everybody who asks, so that two people who undo a recovery at once start one execution.
pub fn undo_id(id: &str, n: usize) -> String {
    numbered_id(id, "undo", n)
}

/// The name of the `n`th execution, from 0, that does `what` with a recovery.
pub fn numbered_id(id: &str, what: &str, n: usize) -> String {
    let mut end = if n == 0 { format!("-{what}") } else { format!("-{what}-{}", n + 1) };
    // A long name is cut at its end, which is its time: a hash tells it from those that begin alike.
    if id.len() + end.len() > MAX {
        end = format!("-{}{end}", content_hash(&json!(id)));
    }
    let kept: String = id.chars().take(MAX - end.len()).collect();
    format!("{kept}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_no_longer_than_step_functions_takes() {
        let now: Timestamp = "2026-11-23T10:30:00Z".parse().unwrap();
        assert_eq!(derived_id("rewind", "orders", now, 0), "rewind-orders-20261123-103000");
        assert_eq!(derived_id("rewind", "orders", now, 1), "rewind-orders-20261123-103000-2");
        let long = "a".repeat(63);
        assert_eq!(derived_id("rewind", &long, now, 2).len(), MAX);
        assert_eq!(undo_id(&"a".repeat(80), 0).len(), MAX);
        assert_eq!(undo_id("r-1", 1), "r-1-undo-2");
        assert_eq!(undo_id(&"a".repeat(75), 0), format!("{}-undo", "a".repeat(75)));
    }

    #[test]
    fn undos_of_recoveries_whose_long_ids_differ_only_at_the_end_have_different_names() {
        let cluster = "a".repeat(63);
        let ids = ["2026-11-23T10:30:00Z", "2026-11-23T10:31:00Z"].map(|at| {
            let id = derived_id("rewind", &cluster, at.parse().unwrap(), 0);
            assert_eq!(id.len(), MAX);
            id
        });
        for n in [0, 1, 19] {
            let [one, other] = ids.each_ref().map(|id| undo_id(id, n));
            assert_ne!(one, other);
            assert_eq!((one.len(), other.len()), (MAX, MAX));
        }
    }

    #[test]
    fn an_execution_arn_is_accepted_as_an_id() {
        assert_eq!(recovery_id("arn:aws:states:eu-west-1:1:execution:Rewind:my-recovery"), "my-recovery");
        assert_eq!(recovery_id(" my-recovery "), "my-recovery");
    }
}
