//! The names and tags of everything that a recovery creates. Each derives from request and plan alone, so that a step that runs
//! twice finds what it created the first time.

use crate::content_hash::content_hash;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

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

/// The tag on a cluster that a recovery created: the secret that logs in to it, as [`secret_tag_value`] writes it.
// RDS carries a managed master secret over to no restored cluster, and the next recovery of that cluster needs a login.
pub const SECRET_TAG: &str = "aurora-rewind:secret";

/// The record of the fence of a source: a field of the item `fence#<recovery>`, written before the fence changes anything.
pub const FENCE_RECORD: &str = "fence";

/// The same of the fence of a restored cluster. The state machines read both, as JSONata, by these names.
pub const RESTORED_FENCE_RECORD: &str = "fenceRestored";

/// The beginning of the holder of every lease under which the clean-up deletes a cluster. No recovery has that id.
pub const CLEAN_UP_HOLDER: &str = "clean-up-";

/// The beginning of the id of every recovery that an event or an alarm started.
const OF_EVENT: &str = "event-";

/// The id of the recovery that the event `id` starts.
pub fn recovery_of_event(id: &str) -> String {
    format!("{OF_EVENT}{id}")
}

/// True if an event or an alarm started the recovery `id`, so that nobody knows which person wanted it.
pub fn is_of_event(id: &str) -> bool {
    id.starts_with(OF_EVENT)
}

/// The most characters of a tag's value.
const TAG_VALUE_MAX: usize = 256;

/// Writes the ARN of a secret as the value of [`SECRET_TAG`], and the moment whose version of it has the login where the secret is
/// rotated on without the cluster; none if it is too long for a value.
///
/// Tags of RDS hold letters, digits, spaces and `_.:/=+-@`. An ARN may hold others (`secret:rds!cluster-…`), which become `@` and
/// two hexadecimal digits.
///
/// ```
/// use rewind_core::names::{secret_of_tag, secret_tag_value};
///
/// let arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:rds!cluster-1-aB3xY9";
/// let moment = "2026-11-23T10:30:00Z".parse().ok();
/// let value = secret_tag_value(arn, moment).unwrap();
/// assert_eq!(value, "arn:aws:secretsmanager:eu-west-1:000000000000:secret:rds@21cluster-1-aB3xY9 2026-11-23T10:30:00Z");
/// assert_eq!(secret_of_tag(&value), Some((arn.to_owned(), moment)));
/// ```
pub fn secret_tag_value(arn: &str, moment: Option<Timestamp>) -> Option<String> {
    let mut value = String::new();
    for byte in arn.bytes() {
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "_.:/=+-".contains(c) => value.push(c),
            _ => value.push_str(&format!("@{byte:02x}")),
        }
    }
    if let Some(moment) = moment {
        value.push_str(&format!(" {moment}"));
    }
    (value.len() <= TAG_VALUE_MAX).then_some(value)
}

/// Reads the ARN of a secret and its moment from the value of [`SECRET_TAG`]; none if people have written something else there.
pub fn secret_of_tag(value: &str) -> Option<(String, Option<Timestamp>)> {
    // No space is part of an encoded ARN.
    let (arn, moment) = match value.split_once(' ') {
        Some((arn, moment)) => (arn, Some(moment.parse().ok()?)),
        None => (value, None),
    };
    let mut parts = arn.split('@');
    let mut arn = parts.next()?.as_bytes().to_vec();
    for part in parts {
        arn.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        arn.extend(part.get(2..)?.bytes());
    }
    Some((String::from_utf8(arn).ok()?, moment))
}

/// True for a secret that RDS made, with the master user's password of one cluster.
pub fn is_managed_secret(arn: &str) -> bool {
    arn.contains(":secret:rds!")
}

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
    format!("{}{suffix}", cut(without_dates(cluster), IDENTIFIER_MAX - suffix.len() - 3))
}

/// The words before the date in the names above.
const DATED: [&str; 2] = ["-rewind-", "-safety-clone-"];

/// Strips what [`dated`] has added to a name, however often: the live cluster after a recovery bears such a name, and is
/// recovered again.
fn without_dates(name: &str) -> &str {
    let mut rest = name;
    while let Some(shorter) = DATED.iter().find_map(|word| without_date(rest, word, rest != name)) {
        rest = shorter;
    }
    rest
}

/// Strips `word`, a date and a time from the end of `name`; none if they are not there. In a name that had another date `behind`
/// this one, that had to make room: of this one the first part may be left alone.
fn without_date<'a>(name: &'a str, word: &str, behind: bool) -> Option<&'a str> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if behind && let Some(shorter) = name.strip_suffix(word.trim_end_matches('-')) {
        return Some(shorter);
    }
    let (shorter, end) = name.rsplit_once(word)?;
    let (date, time) = end.split_once('-').unwrap_or((end, ""));
    let is_dated = is_digits(date) && is_digits(time) && time.len() <= 6;
    // A name like `orders-rewind-2` may be people's own, so a date that is not whole counts as one only where it was cut.
    (!shorter.is_empty() && is_dated && (date.len() == 8 || (behind && date.len() < 8 && time.is_empty())))
        .then_some(shorter)
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

/// The name of the parameter group with which a restored cluster runs no events. The function's policy admits no other groups.
pub fn held_jobs_group(new_cluster: &str) -> String {
    // Never cut: names of groups may be four times as long as those of clusters.
    format!("{new_cluster}-jobs-held")
}

/// The name of the final snapshot of a cluster that a recovery kept: `<cluster>-final-<recovery id>`, cut to RDS's limit, but never
/// the same for two ids.
pub fn final_snapshot(cluster: &str, recovery_id: &str) -> String {
    // RDS limits the name to 63 characters, and two recoveries of one cluster need two names.
    const WORD: &str = "-final-";
    let words: Vec<&str> =
        recovery_id.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let plain = words.join("-").to_ascii_lowercase();
    let room = IDENTIFIER_MAX.saturating_sub(cluster.len() + WORD.len());
    if plain == recovery_id && plain.len() <= room {
        return format!("{cluster}{WORD}{plain}");
    }
    // Of the whole id: cut ids of the same day would all begin alike.
    let hash: String = content_hash(&json!(recovery_id)).chars().take(8).collect();
    let most = room.saturating_sub(hash.len() + 1);
    let cut = plain.get(..most).unwrap_or(&plain).trim_end_matches('-');
    let suffix = if cut.is_empty() { format!("{WORD}{hash}") } else { format!("{WORD}{cut}-{hash}") };
    with_suffix(cluster, &suffix)
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

    #[test]
    fn the_name_of_a_second_recovery_is_no_longer_than_that_of_the_first() {
        let at = "2026-11-29T08:00:00Z".parse().unwrap();
        for former in [
            "my-aurora-cluster-rewind-20261123-103000",
            "my-aurora-cluster-safety-clone-20261123-103000",
            // Cut where it had to be, and what an earlier version made of it.
            "my-aurora-cluster-rewind-20261128-201",
            "my-aurora-cluster-rewind-20261128",
            "my-aurora-cluster-rewind-20261128-201-rewind-20261128-201608",
            "my-aurora-cluster-rewind-2026-rewind-20261128-201608",
            "my-aurora-cluster-rewind-rewind-20261128-201608",
            "my-aurora-cluster-safety-clone-2-safety-clone-20261128-201608",
            "my-aurora-cluster-rewind-20261128-201600-safety-clone-20261128-201608",
        ] {
            assert_eq!(default_new_cluster(former, at), "my-aurora-cluster-rewind-20261129-080000", "{former}");
            assert_eq!(default_safety_clone(former, at), "my-aurora-cluster-safety-clone-20261129-080000", "{former}");
        }
    }

    #[test]
    fn a_name_of_people_s_own_is_kept_whole() {
        let at = "2026-11-29T08:00:00Z".parse().unwrap();
        for own in [
            "orders-rewind",
            "orders-rewind-2",
            "orders-20261128-201608",
            "rewind-20261128",
            "rewind",
            "a-rewind-20261128-1234567",
        ] {
            assert_eq!(default_new_cluster(own, at), format!("{own}-rewind-20261129-080000"));
        }
    }

    #[test]
    fn what_people_wrote_into_the_tag_is_no_secret() {
        assert_eq!(secret_of_tag("a@b"), None);
        assert_eq!(secret_of_tag("a@zz"), None);
        assert_eq!(secret_of_tag("a@ff"), None);
        assert_eq!(secret_of_tag("a last week"), None);
        assert_eq!(secret_tag_value(&"a".repeat(257), None), None);
    }

    #[test]
    fn a_snapshot_is_named_after_its_cluster_and_recovery() {
        assert_eq!(final_snapshot("orders", "operation-001"), "orders-final-operation-001");
    }

    proptest! {
        #[test]
        fn every_final_snapshot_has_a_name_that_rds_accepts_and_no_two_recoveries_share_one(
            cluster in "[a-z]([a-z0-9]|-[a-z0-9]){0,31}",
            one in "[A-Za-z0-9_.-]{1,80}",
            other in "[A-Za-z0-9_.-]{1,80}",
        ) {
            prop_assume!(cluster.len() <= IDENTIFIER_MAX && one != other);
            let name = final_snapshot(&cluster, &one);
            prop_assert_eq!(identifier_problem(&name), None, "{}", name);
            prop_assert_ne!(name, final_snapshot(&cluster, &other));
        }

        fn a_secret_is_read_back_from_a_value_that_rds_takes(
            name in "[A-Za-z0-9/_+=.@! -]{1,60}",
            second in prop::option::of(0i64..4_000_000_000),
        ) {
            let moment = second.map(|second| Timestamp::from_second(second).unwrap());
            let arn = format!("arn:aws:secretsmanager:eu-west-1:000000000000:secret:{name}");
            let value = secret_tag_value(&arn, moment).unwrap();
            prop_assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c)), "{}", value);
            prop_assert_eq!(secret_of_tag(&value), Some((arn, moment)));
        }

        #[test]
        fn a_name_does_not_grow_with_the_number_of_recoveries(
            cluster in "[a-z]([a-z0-9]|-[a-z0-9]){0,30}",
            steps in prop::collection::vec((any::<bool>(), 0i64..4_000_000_000), 1..6),
        ) {
            prop_assume!(cluster.len() <= IDENTIFIER_MAX);
            let made = |from: &str, clone: bool, second: i64| {
                let at = Timestamp::from_second(second).unwrap();
                if clone { default_safety_clone(from, at) } else { default_new_cluster(from, at) }
            };
            // Each is made of the one before, as recoveries of a live cluster are; the last depends on the first alone.
            let chain = steps.iter().fold(cluster.clone(), |from, (clone, second)| made(&from, *clone, *second));
            let (clone, second) = *steps.last().unwrap();
            let at_once = made(&cluster, clone, second);
            prop_assert!(chain.len() <= at_once.len(), "{} and {}", chain, at_once);
            // A safety clone's name leaves less room for the cluster's.
            prop_assert!(at_once.starts_with(chain.split("-rewind-").next().unwrap().split("-safety-").next().unwrap()));
        }

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
