//! Which addresses a security group admits: read from a file at every change, as the real rules may change at any time.

use super::error::ApiError;
use crate::servers::Cidr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The group of clusters that name none.
pub const DEFAULT_GROUP: &str = "sg-default";
/// What a group admits that the file does not know.
const EVERYBODY: &str = "127.0.0.0/8";

/// `{"sg-…": ["127.0.0.0/8"], …}`.
#[derive(Debug, Clone)]
pub struct SecurityGroups(PathBuf);

impl SecurityGroups {
    /// The rules kept in `file`, which need not exist.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self(file.to_owned())
    }

    /// All blocks that one of `groups` admits.
    pub fn admitted(&self, groups: &[String]) -> Result<Vec<Cidr>, ApiError> {
        let rules = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            Err(error) => return Err(self.unusable(error)),
        };
        admitted(&rules, groups).map_err(|error| self.unusable(error))
    }

    fn unusable(&self, error: impl std::fmt::Display) -> ApiError {
        ApiError::internal(format!("the security groups in {} can't be used: {error}", self.0.display()))
    }
}

fn admitted(rules: &str, groups: &[String]) -> Result<Vec<Cidr>, String> {
    let rules: BTreeMap<String, Vec<String>> = serde_json::from_str(rules).map_err(|error| error.to_string())?;
    let everybody = vec![EVERYBODY.to_owned()];
    let blocks = groups.iter().flat_map(|group| rules.get(group).unwrap_or(&everybody));
    let union: BTreeSet<Cidr> = blocks.map(|block| block.parse()).collect::<Result<_, _>>()?;
    Ok(union.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str =
        r#"{"sg-app": ["127.0.0.1/32", "127.33.7.9/32"], "sg-fence": ["127.33.7.9/32"], "sg-none": []}"#;

    fn blocks(groups: &[&str]) -> Vec<String> {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        admitted(RULES, &groups).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn several_groups_admit_the_union() {
        assert_eq!(blocks(&["sg-fence", "sg-app"]), ["127.0.0.1/32", "127.33.7.9/32"]);
    }

    #[test]
    fn an_unknown_group_admits_the_whole_machine_and_an_empty_one_nobody() {
        assert_eq!(blocks(&["sg-new"]), ["127.0.0.0/8"]);
        assert!(blocks(&["sg-none"]).is_empty());
    }

    #[test]
    fn broken_rules_are_an_error_and_never_an_open_door() {
        assert!(admitted("{", &[]).is_err());
        assert!(admitted(r#"{"sg-a": ["everywhere"]}"#, &["sg-a".to_owned()]).is_err());
    }
}
