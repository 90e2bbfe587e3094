//! The comparison of tables between the restored cluster and the source: what can be compared and how, and what the hashes of both
//! sides mean. Pure: it reads no database, and sees no value of a row.
//!
//! Each row lies in one bucket, by the hash of its key. Both sides hash their buckets; a bucket that differs is read again row by row,
//! as digests in one order, and [`Merge`] counts what differs. `docs/adr/0028-comparing-tables.md` has the reasons.

mod buckets;
mod merge;
mod shape;
mod summary;

pub use buckets::{BUCKETS, Bucket, Buckets, Suspects};
pub use merge::{DigestedRow, Merge, RepeatedKey};
pub use shape::{Column, Relation, TablePlan, TableShape, plan_comparison};
pub use summary::{COMPARISON_MAX, Comparison, DifferingTable, NotCompared};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A table, as people and cursors name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The database; on MySQL it is the schema as well.
    pub database: String,
    /// The schema; on MySQL the database's name.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// True if `pattern` names the table: `table`, `schema.table` or `database.schema.table`, exactly as they are written.
    ///
    /// ```
    /// use rewind_core::comparison::TableName;
    ///
    /// let orders = TableName { database: "shop".into(), schema: "public".into(), table: "orders".into() };
    /// assert!(["orders", "public.orders", "shop.public.orders"].iter().all(|name| orders.is_named(name)));
    /// assert!(!orders.is_named("Orders") && !orders.is_named("shop.orders"));
    /// ```
    pub fn is_named(&self, pattern: &str) -> bool {
        let Self { database, schema, table } = self;
        [table.clone(), format!("{schema}.{table}"), format!("{database}.{schema}.{table}")]
            .iter()
            .any(|name| name == pattern)
    }

    /// The name with its database and its schema, which on MySQL are one.
    pub fn qualified(&self) -> String {
        let Self { database, schema, table } = self;
        if database == schema { format!("{database}.{table}") } else { format!("{database}.{schema}.{table}") }
    }
}

/// How the rows of a table were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// By the transaction that wrote each row, where both sides share it, and by the values of the other rows.
    History,
    /// By the values of all rows, found by their key.
    Values,
    /// By all values as a whole, with counts: the table has no key, so an update is a deletion and an insertion.
    WholeRows,
    /// Counted: the table is on one side only.
    Counted,
}

/// The rows that differ, seen from the source: what was done there since the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowChanges {
    /// Rows that only the source has.
    pub inserted: u64,
    /// Rows that both have, with other values.
    pub updated: u64,
    /// Rows that only the restored cluster has.
    pub deleted: u64,
}

impl RowChanges {
    /// The number of rows that differ.
    pub fn total(self) -> u64 {
        self.inserted.saturating_add(self.updated).saturating_add(self.deleted)
    }

    /// Adds the rows of another table.
    pub(crate) fn add(&mut self, other: Self) {
        self.inserted = self.inserted.saturating_add(other.inserted);
        self.updated = self.updated.saturating_add(other.updated);
        self.deleted = self.deleted.saturating_add(other.deleted);
    }
}

/// The rows of a table that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedRows {
    /// The rows that differ.
    #[serde(flatten)]
    pub changes: RowChanges,
    /// How they were found.
    pub method: Method,
    /// The rows on the restored cluster.
    pub restored: u64,
    /// The rows on the source.
    pub source: u64,
}

/// The findings about one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableComparison {
    /// The table.
    #[serde(flatten)]
    pub name: TableName,
    /// The comparison; none where the table was not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<ComparedRows>,
    /// The reason why the table was not compared, or how far it came; none where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
    /// Facts about the comparison that a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Seconds that it took.
    pub seconds: f64,
    /// The moment at which it ended: the source may have been written to meanwhile, and since.
    pub at: Timestamp,
}

/// The answer of compare-tables: what one invocation came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TablesCompared {
    /// The cluster with the rewound data.
    pub restored: String,
    /// The cluster that it was compared with.
    pub source: String,
    /// The moment of the rewound data.
    pub rewound_to: Timestamp,
    /// The tables, by name.
    pub tables: Vec<TableComparison>,
    /// The databases that were not compared, and why.
    pub notes: Vec<String>,
    /// The last table that is done where others are left: the next invocation goes on after it. None where all are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TableName>,
}
