//! The addresses that a security group admits: read from a file at every change, of a cluster or of the file itself.

use super::error::ApiError;
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The group of clusters whose request names none.
pub const DEFAULT_GROUP: &str = "sg-default";
/// The block that a group admits which the file does not know: every client is on this machine.
const WHOLE_MACHINE: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));

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
    pub fn admitted(&self, groups: &[String]) -> Result<Vec<IpNet>, ApiError> {
        // Read each time: tests and people edit the file of a running stack, as they would edit a group on AWS.
        let rules = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            Err(error) => return Err(self.unusable(error)),
        };
        admitted(&rules, groups).map_err(|error| self.unusable(error))
    }

    /// The moment at which the rules were changed last; none where there is no file.
    pub fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.0).and_then(|file| file.modified()).ok()
    }

    fn unusable(&self, error: impl std::fmt::Display) -> ApiError {
        ApiError::internal(format!("the security groups in {} can't be used: {error}", self.0.display()))
    }
}

fn admitted(rules: &str, groups: &[String]) -> serde_json::Result<Vec<IpNet>> {
    let rules: BTreeMap<String, Vec<IpNet>> = serde_json::from_str(rules)?;
    let whole_machine = vec![WHOLE_MACHINE];
    let blocks = groups.iter().flat_map(|group| rules.get(group).unwrap_or(&whole_machine));
    let union: BTreeSet<IpNet> = blocks.copied().collect();
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
    fn broken_rules_are_an_error_and_admit_nobody() {
        assert!(admitted("{", &[]).is_err());
        // The blocks become lines of pg_hba.conf: nothing but a block may get there.
        for wrong in ["everywhere", "127.0.0.1", "127.0.0.0/33", "127.0.0.0/8 trust\\nhost all all 0.0.0.0/0"] {
            let rules = format!(r#"{{"sg-a": ["{wrong}"]}}"#);
            assert!(admitted(&rules, &["sg-a".to_owned()]).is_err(), "{wrong:?} was admitted");
        }
    }
}
