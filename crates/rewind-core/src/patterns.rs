//! Patterns of names, in which `*` stands for any text, and the databases that they open to checks.

use crate::{ErrorName, StepError};

/// Matches as IAM's StringLike does, ignoring case as RDS and DNS do.
pub fn is_like(pattern: &str, name: &str) -> bool {
    is_exactly_like(&pattern.to_ascii_lowercase(), &name.to_ascii_lowercase())
}

/// Matches as IAM's StringLike does.
pub fn is_exactly_like(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The earliest place leaves the most text for the parts behind it.
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

/// The databases in which the checks of a deployment may read. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckDatabases {
    /// Each a pattern of the source's name and one of the database.
    patterns: Vec<(String, String)>,
}

/// The variable of the environment that lists them.
const CHECK_DATABASES: &str = "REWIND_CHECK_DATABASES";

impl CheckDatabases {
    /// Reads `REWIND_CHECK_DATABASES`: `cluster/database`, separated by commas.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] where it cannot be read: the deployment is wrong, whatever the request is.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StepError> {
        let listed = variable(CHECK_DATABASES).unwrap_or_default();
        let patterns = listed.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).map(|pattern| {
            let parts =
                pattern.split_once('/').filter(|(cluster, database)| !cluster.is_empty() && !database.is_empty());
            parts.map(|(cluster, database)| (cluster.to_owned(), database.to_owned())).ok_or_else(|| {
                StepError::new(
                    ErrorName::Bug,
                    format!("the function's environment has {CHECK_DATABASES} with a value that is none"),
                )
                .changed("nothing was changed")
                .advice("set it to cluster/database, separated by commas")
            })
        });
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Opens every database of every cluster.
    pub fn all() -> Self {
        Self { patterns: vec![("*".to_owned(), "*".to_owned())] }
    }

    /// The patterns of databases of the source `cluster`.
    // RDS ignores the case of a cluster's name, and a server that of a database's does not.
    pub fn of(&self, cluster: &str) -> OpenDatabases {
        let patterns = self.patterns.iter().filter(|(pattern, _)| is_like(pattern, cluster));
        OpenDatabases { patterns: patterns.map(|(_, database)| database.clone()).collect() }
    }
}

/// The databases of one source in which checks may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenDatabases {
    patterns: Vec<String>,
}

impl OpenDatabases {
    /// True if `database` is one of them.
    pub fn has(&self, database: &str) -> bool {
        self.patterns.iter().any(|pattern| is_exactly_like(pattern, database))
    }

    /// True if every database is.
    pub fn are_all(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_as_iam_reads_it() {
        for (pattern, name) in [
            ("*", ""),
            ("shop-*", "shop-main"),
            ("shop-*", "SHOP-"),
            ("shop-*-rewind-*", "shop-a-rewind-20261123-103000"),
            ("*.db.example.com", "a.b.db.example.com"),
            ("a*b*b", "abb"),
            ("a*b", "a-b-b"),
        ] {
            assert!(is_like(pattern, name), "{pattern} and {name}");
        }
        for (pattern, name) in [
            ("shop-*", "my-shop-main"),
            ("shop-*-rewind-*", "shop-main"),
            ("shop-*-rewind-*", "shop-rewind-20261123-103000"),
            ("*.db.example.com", "db.example.com"),
            ("db.example.com", "db.example.com.evil.org"),
            ("db.example.com", "dbxexample.com"),
            ("a*b*b", "ab"),
            ("ab*ba", "aba"),
        ] {
            assert!(!is_like(pattern, name), "{pattern} and {name}");
        }
    }

    #[test]
    fn a_database_is_open_by_a_pattern_of_its_cluster_alone() {
        let read = |text: &str| CheckDatabases::read(|_| Some(text.to_owned())).unwrap();
        let listed = read("shop-*/shop, */reports_*,");
        assert!(listed.of("SHOP-main").has("shop") && listed.of("billing").has("reports_2026"));
        assert!(!listed.of("billing").has("shop") && !listed.of("shop-main").has("SHOP"));
        assert!(!listed.of("shop-main").are_all() && read("*/*").of("billing").are_all());
        assert_eq!((read(""), read("*/*")), (CheckDatabases::default(), CheckDatabases::all()));
        assert!(!CheckDatabases::default().of("shop").has("shop"));
        for wrong in ["shop", "/shop", "shop-main/", "shop-*/shop,orders"] {
            assert!(CheckDatabases::read(|_| Some(wrong.to_owned())).is_err(), "{wrong}");
        }
    }
}
