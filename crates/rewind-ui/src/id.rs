//! The names of recoveries: those that people type, and those that are made for them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rewind_core::content_hash;
use serde_json::json;

/// The most characters of an execution's name.
const MAX: usize = 80;

/// A recovery's name, whether it was given by itself or as the execution's ARN.
pub fn id_of(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with("arn:") { text.rsplit(':').next().unwrap_or(text) } else { text }
}

/// A name made from what is done, the cluster and the time: `rewind-orders-20261123-103000`. `again` tells a second one
/// of the same second from the first.
pub fn derived_id(does: &str, cluster: &str, now: Timestamp, again: usize) -> String {
    let mut end = now.to_zoned(TimeZone::UTC).strftime("-%Y%m%d-%H%M%S").to_string();
    if again > 0 {
        end.push_str(&format!("-{}", again + 1));
    }
    // Only what a name may hold: what else a cluster is called is refused with the request.
    let kept: String = format!("{does}-{cluster}").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let kept: String = kept.chars().take(MAX - end.len()).collect();
    format!("{kept}{end}")
}

/// The name of the `n`th execution that undoes a recovery, from 0: one recovery is undone once at a time. Where a
/// long name has to be cut, a hash tells it from those that begin alike: a name's end is its time.
pub fn undo_id(id: &str, n: usize) -> String {
    let mut end = if n == 0 { "-undo".to_owned() } else { format!("-undo-{}", n + 1) };
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
    fn names_fit_into_an_executions_name_however_long_the_cluster_is() {
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
    fn recoveries_whose_long_names_differ_at_the_end_alone_are_taken_back_under_names_of_their_own() {
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
    fn an_arn_names_the_recovery_too() {
        assert_eq!(id_of("arn:aws:states:eu-west-1:1:execution:Rewind:my-recovery"), "my-recovery");
        assert_eq!(id_of(" my-recovery "), "my-recovery");
    }
}
