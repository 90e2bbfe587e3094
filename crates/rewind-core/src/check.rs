//! Checks: what must be true of the rewound data, and what was found.

use serde::{Deserialize, Serialize};

/// A question to the rewound database, and the answer that is expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name in the report.
    pub name: String,
    /// The database that it is asked in.
    pub database: String,
    /// One read-only statement; the first column of its only row is the answer.
    pub sql: String,
    /// What the answer must be.
    #[serde(flatten)]
    pub expectation: Expectation,
}

/// What the answer to a check must be: one of `expect`, `atLeast`, `atMost`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// This, as text, or as a number where both are numbers.
    Expect(String),
    /// A number that is no smaller.
    AtLeast(f64),
    /// A number that is no greater.
    AtMost(f64),
}
