//! Computes the tags that a recovery copies from the source. RDS accepts 50 tags a resource; the recovery's own come first. It
//! makes no call.

use rewind_core::names::is_reserved_tag;

/// The largest number of tags of a resource, not counting AWS's own.
pub const MOST_TAGS: usize = 50;
/// The number of a recovery's tags on a cluster: recovery, target and source, and later the secret, and for which recovery and
/// until when it is kept.
pub const MARKS_OF_CLUSTER: usize = 6;
/// The number of a recovery's tags on an instance: the recovery, and later the one that fenced it.
pub const MARKS_OF_INSTANCE: usize = 2;

/// A key and a value.
pub type Tag = (String, String);

/// Computes the tags of a copy of a resource: as many of the source's tags as fit beside `marks` tags of the recovery, in their
/// order, and then `own`.
pub fn inherit(source: &[Tag], marks: usize, own: Vec<Tag>) -> Vec<Tag> {
    // Room is left for tags that are set only later, which would fail on a full resource.
    let passed = source.iter().filter(|(key, _)| is_passed_on(key)).take(MOST_TAGS.saturating_sub(marks));
    passed.cloned().chain(own).collect()
}

/// Lists the keys that could have been copied to a resource with the tags `made`, and were not.
pub fn left_out(source: &[Tag], made: &[Tag]) -> Vec<String> {
    let is_missing = |key: &String| is_passed_on(key) && !made.iter().any(|(known, _)| known == key);
    source.iter().map(|(key, _)| key).filter(|key| is_missing(key)).cloned().collect()
}

/// Lists the keys that only AWS may set.
pub fn of_aws(source: &[Tag]) -> Vec<String> {
    source.iter().map(|(key, _)| key).filter(|key| is_of_aws(key)).cloned().collect()
}

/// Counts the tags that have to be removed before the tags `marks` fit.
pub fn too_many(present: &[Tag], marks: &[&str]) -> usize {
    // A tag that is there already is replaced, and takes no more room.
    let counted = present.iter().filter(|(key, _)| !is_of_aws(key) && !marks.contains(&key.as_str())).count();
    (counted + marks.len()).saturating_sub(MOST_TAGS)
}

/// True if RDS accepts this as the value of a tag.
pub fn is_value(text: &str) -> bool {
    // The name of an execution becomes a tag, and Step Functions takes more characters than RDS.
    text.chars().count() <= 256 && text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
}

fn is_passed_on(key: &str) -> bool {
    !is_reserved_tag(key) && !is_of_aws(key)
}

fn is_of_aws(key: &str) -> bool {
    // AWS refuses both prefixes from anybody else, and does not count its own tags.
    key.starts_with("aws:") || key.starts_with("rds:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(count: usize) -> Vec<Tag> {
        (0..count).map(|n| (format!("k{n}"), String::new())).collect()
    }

    fn tag(key: &str) -> Tag {
        (key.to_owned(), String::new())
    }

    #[test]
    fn the_recovery_s_own_are_always_set_and_the_source_s_as_far_as_they_fit() {
        // 44 of the source's fit beside the six of the recovery: the limit itself, and both sides of it.
        for count in [0, 1, 43, 44, 45, 49, 50] {
            let source = [vec![tag("aws:x"), tag("rds:x"), tag("aurora-rewind:x")], tags(count)].concat();
            let made = inherit(&source, MARKS_OF_CLUSTER, vec![tag("aurora-rewind:recovery")]);
            assert_eq!(made.last(), Some(&tag("aurora-rewind:recovery")));
            assert_eq!(made.len(), count.min(44) + 1);
            assert!(made.len() + MARKS_OF_CLUSTER - 1 <= MOST_TAGS);
            let left = left_out(&source, &made);
            assert_eq!(left, (count.min(44)..count).map(|n| format!("k{n}")).collect::<Vec<_>>());
            assert_eq!(of_aws(&source), ["aws:x", "rds:x"]);
        }
    }

    #[test]
    fn a_value_is_of_the_characters_that_rds_takes() {
        assert!(is_value("operation-001") && is_value("Rettung_é.1") && is_value(""));
        // All of these are names that Step Functions accepts for an execution.
        for wrong in ["fix(1)", "it's", "a!", "a,b", &"x".repeat(257)] {
            assert!(!is_value(wrong), "{wrong}");
        }
    }

    #[test]
    fn marks_that_are_there_take_no_more_room_and_those_of_aws_take_none() {
        let marks = ["aurora-rewind:fenced-by", "aurora-rewind:keep-until"];
        assert_eq!(too_many(&tags(48), &marks), 0);
        assert_eq!(too_many(&tags(49), &marks), 1);
        assert_eq!(too_many(&tags(50), &marks), 2);
        let marked = [tags(48), vec![tag(marks[0]), tag(marks[1]), tag("aws:cloudformation:stack-name")]].concat();
        assert_eq!(too_many(&marked, &marks), 0);
    }
}
