//! Tags of resources, with the limits of the API reference: their number, their length, their characters.

use super::error::ApiError;
use super::query::Params;
use std::collections::BTreeMap;

/// Tags of one resource, in the order of their keys.
pub type Tags = BTreeMap<String, String>;

/// Reads the tags of a request; `None` when none are given.
pub fn read_tags(params: &Params) -> Result<Option<Tags>, ApiError> {
    let given = params.structures("Tags", "Tag");
    if given.is_empty() {
        return Ok(None);
    }
    let mut tags = Tags::new();
    for tag in given {
        let (key, value) = (tag.required("Key")?.to_owned(), tag.text("Value").unwrap_or_default());
        check_tag("key", &key, 128)?;
        check_tag("value", &value, 256)?;
        // A map would quietly keep the last of the two.
        if tags.contains_key(&key) {
            return Err(ApiError::value(format!("The tag key {key} is given twice")));
        }
        tags.insert(key, value);
    }
    check_tags(&tags)?;
    Ok(Some(tags))
}

/// Most tags of a resource, by the RDS guide.
const MOST_TAGS: usize = 50;

/// Refuses more tags than a resource may have.
pub fn check_tags(tags: &Tags) -> Result<(), ApiError> {
    match tags.len() > MOST_TAGS {
        true => Err(ApiError::value(format!("A resource can't have more than {MOST_TAGS} tags"))),
        false => Ok(()),
    }
}

/// Refuses a key or a value that the API reference does not allow in `Tag`.
fn check_tag(what: &str, text: &str, longest: usize) -> Result<(), ApiError> {
    // Whatever the case: stricter than the reference says rather than looser.
    let lower = text.to_lowercase();
    if let Some(prefix) = ["aws:", "rds:"].into_iter().find(|prefix| lower.starts_with(prefix)) {
        return Err(ApiError::value(format!("The tag {what} {text} starts with {prefix}, which is reserved")));
    }
    if text.chars().count() > longest {
        return Err(ApiError::value(format!("The tag {what} {text} is longer than {longest} characters")));
    }
    let space = |c: char| c.is_whitespace() && !c.is_control();
    if text.chars().any(|c| !c.is_alphanumeric() && !space(c) && !"_.:/=+-@".contains(c)) {
        return Err(ApiError::value(format!(
            "Tag {what}s may only contain unicode letters, digits, whitespace, or one of these symbols: _ . : / = + - @"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tags: &[(&str, &str)]) -> Result<Option<Tags>, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (n, (key, value)) in (1..).zip(tags) {
            form.append_pair(&format!("Tags.Tag.{n}.Key"), key).append_pair(&format!("Tags.Tag.{n}.Value"), value);
        }
        read_tags(&Params::parse(form.finish().as_bytes()))
    }

    #[test]
    fn fifty_tags_are_taken_and_one_more_is_not() {
        let keys: Vec<String> = (0..51).map(|n| format!("k{n}")).collect();
        let tags: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
        assert_eq!(read(&tags[..50]).unwrap().unwrap().len(), 50);
        assert_eq!(read(&tags).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn tags_are_of_the_characters_and_lengths_that_rds_takes() {
        let (key, value) = ("k".repeat(128), "v".repeat(256));
        for good in [("team", "Bär 1_.:/=+-@"), ("aurora-rewind:recovery", ""), (&key, &value), ("ключ", "値")] {
            assert!(read(&[good]).is_ok(), "{good:?}");
        }
        for wrong in [
            ("a,b", ""),
            ("a", "x(y)"),
            ("a", "back\\slash"),
            ("a", "new\nline"),
            ("AWS:x", ""),
            ("rds:x", ""),
            ("a", "aws:x"),
            (&"k".repeat(129), ""),
            ("a", &"v".repeat(257)),
        ] {
            assert_eq!(read(&[wrong]).unwrap_err().code, "InvalidParameterValue", "{wrong:?}");
        }
        assert_eq!(read(&[("a", "1"), ("a", "2")]).unwrap_err().code, "InvalidParameterValue");
    }
}
