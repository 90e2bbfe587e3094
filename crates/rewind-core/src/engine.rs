//! The database engines that a recovery can work on, under the names that RDS gives them.
//!
//! A third engine is a variant here; the compiler then lists every place that has to know it.

use crate::error::{ErrorName, StepError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An engine of Aurora, in JSON and in calls of AWS by the value of `DBCluster.Engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Engine {
    /// `aurora-mysql`.
    #[serde(rename = "aurora-mysql")]
    AuroraMysql,
    /// `aurora-postgresql`.
    #[serde(rename = "aurora-postgresql")]
    AuroraPostgresql,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 2] = [Self::AuroraMysql, Self::AuroraPostgresql];

    /// The value of `DBCluster.Engine`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuroraMysql => "aurora-mysql",
            Self::AuroraPostgresql => "aurora-postgresql",
        }
    }

    /// True if AWS offers Backtrack for this engine at all. A cluster has it only if it was created with it.
    pub const fn has_backtrack(self) -> bool {
        // A match in place of a comparison: whoever adds an engine has to decide here.
        match self {
            Self::AuroraMysql => true,
            Self::AuroraPostgresql => false,
        }
    }

    /// The engine of the cluster `cluster`, as RDS names it.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] for every other engine. `DescribeDBClusters` shows Neptune, `DocumentDB` and Multi-AZ
    /// clusters of plain MySQL and PostgreSQL too: none of them can be treated as one of ours.
    pub fn of_cluster(cluster: &str, name: &str) -> Result<Self, StepError> {
        name.parse().map_err(|unknown: UnknownEngine| {
            StepError::new(ErrorName::InvalidRequest, format!("the cluster {cluster} is {unknown}"))
                .changed("nothing was changed")
                .advice("only Aurora PostgreSQL (aurora-postgresql) and Aurora MySQL (aurora-mysql) can be rewound")
        })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        // Compared exactly: RDS writes its engines in lower case, and nothing else may be taken for one.
        Self::ALL.into_iter().find(|engine| engine.name() == name).ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// The name of an engine that is not one of [`Engine::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEngine(String);

impl fmt::Display for UnknownEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "of an engine that AWS did not name" } else { &self.0 })
    }
}

impl std::error::Error for UnknownEngine {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_written_and_read_as_aws_names_it() {
        for engine in Engine::ALL {
            let json = serde_json::to_value(engine).unwrap();
            assert_eq!(json, engine.name());
            assert_eq!(serde_json::from_value::<Engine>(json).unwrap(), engine);
            assert_eq!(engine.name().parse(), Ok(engine));
        }
    }

    #[test]
    fn an_engine_that_is_not_aurora_s_is_refused_and_never_taken_for_another() {
        // `aurora` alone was the first Aurora MySQL, which AWS has retired.
        for name in ["mysql", "postgres", "neptune", "docdb", "aurora", "AURORA-MYSQL", ""] {
            let error = Engine::of_cluster("orders", name).unwrap_err();
            assert_eq!(error.name, ErrorName::InvalidRequest, "{name}");
            let text = error.to_string();
            assert!(text.contains("nothing was changed") && text.contains("Aurora MySQL (aurora-mysql)"), "{text}");
            assert!(serde_json::from_value::<Engine>(name.into()).is_err(), "{name}");
        }
        let error = Engine::of_cluster("orders", "mysql").unwrap_err().to_string();
        assert!(error.contains("the cluster orders is mysql;"), "{error}");
    }
}
