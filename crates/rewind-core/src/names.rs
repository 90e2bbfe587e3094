//! The names and tags of everything that a recovery creates. Each derives from request and plan alone, so that a step that runs
//! twice finds what it created the first time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The most characters of an RDS cluster or instance identifier.
pub const IDENTIFIER_MAX: usize = 63;

/// The tag of everything that a recovery creates, with the recovery's id. Only what has it is ever deleted.
pub const RECOVERY_TAG: &str = "aurora-rewind:recovery";

/// The tag on the restored cluster: the moment that it was restored to (RFC 3339).
pub const TARGET_TAG: &str = "aurora-rewind:target";

/// The tag on the restored cluster: `DbClusterResourceId` of its source, which a cluster that is deleted and made anew does not have.
pub const SOURCE_RESOURCE_ID_TAG: &str = "aurora-rewind:source-resource-id";

/// The tag on the source after a switch: the id of the recovery that fenced it.
pub const FENCED_BY_TAG: &str = "aurora-rewind:fenced-by";

/// The tag on a kept cluster: the time (RFC 3339) after which it may be deleted.
pub const KEEP_UNTIL_TAG: &str = "aurora-rewind:keep-until";

/// The tag on the safety clone of an in-place recovery: the id of the recovery that it is kept for.
pub const SAFETY_CLONE_OF_TAG: &str = "aurora-rewind:safety-clone-of";

/// True for a tag that must not be copied from the source: AWS refuses `aws:` from others, and ours describe the source.
pub fn is_reserved_tag(key: &str) -> bool {
    key.starts_with("aws:") || key.starts_with("aurora-rewind:")
}

/// Explains what is wrong with an RDS identifier, if anything is.
///
/// Rules of `DBClusterIdentifier`: 1 to 63 letters, digits or hyphens, first a letter, no hyphen at the end, no two in a row.
pub fn identifier_problem(name: &str) -> Option<&'static str> {
    // RDS accepts an ARN in place of an identifier in some calls only, and every name of ours is built on the identifier.
    if name.starts_with("arn:") {
        return Some("write the cluster's identifier, the last part of the ARN");
    }
    if name.is_empty() || name.len() > IDENTIFIER_MAX {
        return Some("an identifier has 1 to 63 characters");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Some("an identifier has letters, digits and hyphens only");
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("an identifier begins with a letter");
    }
    if name.ends_with('-') || name.contains("--") {
        return Some("an identifier has no hyphen at its end and no two in a row");
    }
    None
}

/// The default name of the restored cluster: `<cluster>-rewind-20261123-103000`, the cluster's part cut where it must be.
pub fn default_new_cluster(cluster: &str, target: Timestamp) -> String {
    dated(cluster, "rewind", target)
}

/// The default name of the safety clone of an in-place recovery: `<cluster>-safety-clone-20261123-103500`, by the recovery's start,
/// so that a step run again makes the same.
pub fn default_safety_clone(cluster: &str, started: Timestamp) -> String {
    dated(cluster, "safety-clone", started)
}

fn dated(cluster: &str, word: &str, at: Timestamp) -> String {
    // To the second: two recoveries of one cluster on one day must not meet in one name.
    let suffix = format!("-{word}-{}", at.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S"));
    // Three characters are left for the "-15" of an instance name: a cluster has 15 readers at most.
    format!("{}{suffix}", cut(cluster, IDENTIFIER_MAX - suffix.len() - 3))
}

/// The name of a new instance: the source's, with the source cluster's name replaced where it begins with it, and
/// otherwise numbered. `ordinal` counts from 1, the writer first.
pub fn new_instance(source_instance: &str, source_cluster: &str, new_cluster: &str, ordinal: usize) -> String {
    // People tell instances apart by what follows the cluster's name: `-reporting` should stay `-reporting`.
    let kept = source_instance.strip_prefix(source_cluster).and_then(|rest| rest.strip_prefix('-'));
    match kept {
        Some(rest) if new_cluster.len() + 1 + rest.len() <= IDENTIFIER_MAX => format!("{new_cluster}-{rest}"),
        _ => with_suffix(new_cluster, &format!("-{ordinal}")),
    }
}

/// A name with something at its end, the name cut where it must be.
pub fn with_suffix(name: &str, suffix: &str) -> String {
    format!("{}{suffix}", cut(name, IDENTIFIER_MAX.saturating_sub(suffix.len())))
}

fn cut(name: &str, most: usize) -> &str {
    // RDS refuses a hyphen at the end and two in a row, which a cut before a suffix would make.
    name.get(..most).unwrap_or(name).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_name_holds_its_kind_and_its_moment() {
        let target = "2026-11-23T10:30:00Z".parse().unwrap();
        assert_eq!(default_new_cluster("my-aurora-cluster", target), "my-aurora-cluster-rewind-20261123-103000");
        assert_eq!(default_safety_clone("my-aurora-cluster", target), "my-aurora-cluster-safety-clone-20261123-103000");
    }

    #[test]
    fn an_instance_keeps_the_part_that_distinguishes_it() {
        assert_eq!(new_instance("orders-blue", "orders", "orders-r", 1), "orders-r-blue");
        assert_eq!(new_instance("writer", "orders", "orders-r", 2), "orders-r-2");
    }

    proptest! {
        #[test]
        fn every_derived_name_is_one_that_rds_accepts(
            cluster in "[a-z]([a-z0-9]|-[a-z0-9]){0,30}",
            instance in "[a-z]([a-z0-9]|-[a-z0-9]){0,30}",
            second in 0i64..4_000_000_000,
            ordinal in 1usize..16,
        ) {
            // Names are made in the middle of a recovery: one that RDS refuses would end it there.
            prop_assume!(cluster.len() <= IDENTIFIER_MAX && instance.len() <= IDENTIFIER_MAX);
            let at = Timestamp::from_second(second).unwrap();
            for new in [default_new_cluster(&cluster, at), default_safety_clone(&cluster, at)] {
                prop_assert_eq!(identifier_problem(&new), None, "{}", new);
                let name = new_instance(&instance, &cluster, &new, ordinal);
                prop_assert_eq!(identifier_problem(&name), None, "{}", name);
            }
        }
    }
}
