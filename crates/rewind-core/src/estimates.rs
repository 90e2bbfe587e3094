//! The tables of all databases on both clusters, and estimates of their rows: what people decide by where they gave no check. It compares
//! lists, and connects to nothing.

use crate::cut::cut;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most databases that are shown, those that differ most.
const DATABASES_MAX: usize = 8;
/// The most entries of each list.
const NAMED_MAX: usize = 5;
/// The most notes.
const NOTES_MAX: usize = 5;
/// The longest name, in bytes of JSON.
const NAME_MAX: usize = 128;
/// The longest note, in bytes of JSON.
const NOTE_MAX: usize = 500;
/// Estimates are inexact: less than this number of rows is no difference.
const ROWS_MIN: u64 = 1_000;
/// Nor is less than this share of the larger estimate: one in so many.
const SHARE: u64 = 10;

/// A table of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEstimate {
    /// The name, on PostgreSQL with its schema.
    pub table: String,
    /// The estimated number of rows; none where the table was never analysed.
    pub rows: Option<u64>,
}

/// The tables of one database on one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseTables {
    /// The tables.
    pub tables: Vec<TableEstimate>,
    /// True if there are more than were read.
    pub has_more: bool,
}

/// The first entries of a list, and the number of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T> {
    /// The first entries.
    pub named: Vec<T>,
    /// The number of the others.
    pub more: usize,
}

impl<T> Named<T> {
    /// Keeps the first entries of a list.
    fn of(mut all: Vec<T>) -> Self {
        let more = all.len().saturating_sub(NAMED_MAX);
        all.truncate(NAMED_MAX);
        Self { named: all, more }
    }

    /// The number of all entries.
    pub fn total(&self) -> usize {
        self.named.len() + self.more
    }
}

/// A table that one cluster alone has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingTable {
    /// The name, on PostgreSQL with its schema.
    pub table: String,
    /// The estimated number of rows where it is; absent where the table was never analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// A table whose estimates are far apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowEstimates {
    /// The name, on PostgreSQL with its schema.
    pub table: String,
    /// Rows in the rewound data.
    pub restored: u64,
    /// Rows in the source; absent where it was emptied or made anew there, and not analysed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<u64>,
}

impl RowEstimates {
    fn difference(&self) -> u64 {
        self.restored.abs_diff(self.source.unwrap_or(0))
    }
}

/// A database in which something differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseEstimates {
    /// The database.
    pub database: String,
    /// The number of tables that either cluster has.
    pub tables: usize,
    /// The tables that the rewound data lacks, the largest first.
    pub missing_on_restored: Named<MissingTable>,
    /// The tables that the source lacks, the largest first.
    pub missing_on_source: Named<MissingTable>,
    /// The tables whose estimates are far apart, the furthest first.
    pub rows: Named<RowEstimates>,
}

/// The tables of all databases on both clusters, as far as they differ. None of it fails a verification: it informs people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimates {
    /// The cluster with the rewound data.
    pub restored: String,
    /// The cluster that it is compared with: the source, in place the safety clone.
    pub source: String,
    /// The number of databases that were read on both.
    pub databases: usize,
    /// The number of tables in them.
    pub tables: usize,
    /// The number of tables that were never analysed on one of the two, so that their rows were not compared.
    pub never_analysed: usize,
    /// The databases that the rewound data lacks.
    pub missing_on_restored: Named<String>,
    /// The databases that the source lacks.
    pub missing_on_source: Named<String>,
    /// The databases in which something differs, those first that differ most.
    pub differing: Vec<DatabaseEstimates>,
    /// The number of further databases in which something differs.
    pub more_differing: usize,
    /// The databases and tables that were not read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The comparison of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedTables {
    database: DatabaseEstimates,
    never_analysed: usize,
    /// The number of rows by which the two differ, as far as it is known.
    difference: u64,
    is_part: bool,
}

impl ComparedTables {
    /// Compares the tables of `database` on both clusters.
    ///
    /// ```
    /// use rewind_core::{ComparedTables, DatabaseTables, TableEstimate};
    ///
    /// let tables = |rows| DatabaseTables {
    ///     tables: vec![TableEstimate { table: "public.orders".to_owned(), rows: Some(rows) }],
    ///     has_more: false,
    /// };
    /// assert!(ComparedTables::of("shop", tables(1_200_000), tables(30)).differs());
    /// assert!(!ComparedTables::of("shop", tables(1_200_000), tables(1_150_000)).differs());
    /// ```
    pub fn of(database: &str, restored: DatabaseTables, source: DatabaseTables) -> Self {
        // Of a list that was cut nobody knows if the other cluster lacks the rest of it.
        let is_part = restored.has_more || source.has_more;
        let mut on_source: BTreeMap<String, Option<u64>> =
            source.tables.into_iter().map(|TableEstimate { table, rows }| (table, rows)).collect();
        let (mut only_restored, mut rows, mut both, mut never_analysed) = (Vec::new(), Vec::new(), 0, 0);
        for TableEstimate { table, rows: restored } in restored.tables {
            let Some(source) = on_source.remove(&table) else {
                only_restored.push(MissingTable { table, rows: restored });
                continue;
            };
            both += 1;
            match (restored, source) {
                (Some(restored), Some(_)) if !are_far_apart(restored, source.unwrap_or(0)) => {}
                // A table that was analysed loses that by TRUNCATE, or by being made anew: readers and MySQL's catalogue know no more of it.
                (Some(restored), _) if restored > 0 || source.is_some() => {
                    rows.push(RowEstimates { table, restored, source });
                }
                _ => never_analysed += 1,
            }
        }
        let mut only_source: Vec<MissingTable> =
            on_source.into_iter().map(|(table, rows)| MissingTable { table, rows }).collect();
        if is_part {
            (only_restored, only_source) = (Vec::new(), Vec::new());
        }
        // A table that is missing is a difference, even one that is empty or whose rows nobody knows.
        let missing = only_restored.iter().chain(&only_source).map(|missing| missing.rows.unwrap_or(1).max(1));
        let apart = rows.iter().map(RowEstimates::difference);
        let difference = missing.chain(apart).fold(0, u64::saturating_add);
        // By name where the rows are equal, so that two readings of the same are the same.
        for missing in [&mut only_restored, &mut only_source] {
            missing.sort_by(|a, b| (b.rows, &a.table).cmp(&(a.rows, &b.table)));
        }
        rows.sort_by(|a, b| (b.difference(), &a.table).cmp(&(a.difference(), &b.table)));
        let tables = both + only_restored.len() + only_source.len();
        let database = DatabaseEstimates {
            database: database.to_owned(),
            tables,
            missing_on_restored: Named::of(only_source),
            missing_on_source: Named::of(only_restored),
            rows: Named::of(rows),
        };
        Self { database, never_analysed, difference, is_part }
    }

    /// True if a table is missing on one of the two, or estimates are far apart.
    pub fn differs(&self) -> bool {
        self.difference > 0
    }
}

/// True if two estimates cannot be of the same rows: one is none at all, or they differ by a tenth and a thousand.
fn are_far_apart(a: u64, b: u64) -> bool {
    let apart = a.abs_diff(b);
    (a == 0) != (b == 0) || (apart > ROWS_MIN && apart > a.max(b) / SHARE)
}

impl Estimates {
    /// Puts together what was compared of two clusters, `restored` and `source` by name: the largest differences, and the number of the
    /// rest. `missing` are the databases that the rewound data lacks, and those that the source lacks.
    pub fn of(
        (restored, source): (&str, &str),
        (missing_on_restored, missing_on_source): (Vec<String>, Vec<String>),
        mut compared: Vec<ComparedTables>,
        mut notes: Vec<String>,
    ) -> Self {
        // The order in which servers answered is another each time.
        compared.sort_by(|a, b| (b.difference, &a.database.database).cmp(&(a.difference, &b.database.database)));
        let parts: Vec<&str> =
            compared.iter().filter(|one| one.is_part).map(|one| one.database.database.as_str()).collect();
        if let Some(first) = parts.first() {
            notes.push(format!(
                "{} databases have too many tables to read them all, among them {first}: which are missing there is not known",
                parts.len()
            ));
        }
        notes.truncate(NOTES_MAX);
        notes.iter_mut().for_each(|note| *note = cut(note, NOTE_MAX));
        let (databases, tables) = (compared.len(), compared.iter().map(|one| one.database.tables).sum());
        let never_analysed = compared.iter().map(|one| one.never_analysed).sum();
        let mut differing: Vec<DatabaseEstimates> =
            compared.into_iter().filter(ComparedTables::differs).map(|one| one.database).collect();
        let more_differing = differing.len().saturating_sub(DATABASES_MAX);
        differing.truncate(DATABASES_MAX);
        let mut estimates = Self {
            restored: restored.to_owned(),
            source: source.to_owned(),
            databases,
            tables,
            never_analysed,
            missing_on_restored: Named::of(missing_on_restored),
            missing_on_source: Named::of(missing_on_source),
            differing,
            more_differing,
            notes,
        };
        // Escaped in JSON a name can be several times as long as it is in the database.
        estimates.texts_mut().for_each(|text| *text = cut(text, NAME_MAX));
        estimates
    }

    /// True if nothing differs in what was read.
    pub fn are_equal(&self) -> bool {
        self.differing.is_empty() && self.missing_on_restored.total() == 0 && self.missing_on_source.total() == 0
    }

    /// The names of clusters, databases and tables.
    pub(crate) fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let names = [&mut self.restored, &mut self.source].into_iter();
        let names = names.chain(&mut self.missing_on_restored.named).chain(&mut self.missing_on_source.named);
        names.chain(self.differing.iter_mut().flat_map(|one| {
            let missing = one.missing_on_restored.named.iter_mut().chain(&mut one.missing_on_source.named);
            let missing = missing.map(|missing| &mut missing.table);
            [&mut one.database].into_iter().chain(missing).chain(one.rows.named.iter_mut().map(|rows| &mut rows.table))
        }))
    }

    /// Leaves out the half of the databases that differ least; false where there is none to leave out.
    pub(crate) fn halve(&mut self) -> bool {
        let kept = self.differing.len() / 2;
        let left_out = self.differing.len() - kept;
        self.differing.truncate(kept);
        self.more_differing += left_out;
        left_out > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables(tables: &[(&str, Option<u64>)]) -> DatabaseTables {
        let tables = tables.iter().map(|(table, rows)| TableEstimate { table: (*table).to_owned(), rows: *rows });
        DatabaseTables { tables: tables.collect(), has_more: false }
    }

    fn estimates(compared: Vec<ComparedTables>) -> Estimates {
        Estimates::of(("orders-r", "orders"), (Vec::new(), Vec::new()), compared, Vec::new())
    }

    #[test]
    fn tables_of_one_cluster_alone_and_estimates_far_apart_are_found_and_nothing_else() {
        let restored = tables(&[
            ("equal", Some(10_000)),
            ("near", Some(10_000)),
            ("small", Some(1_900)),
            ("deleted", Some(1_200_000)),
            ("emptied", Some(2)),
            ("never", None),
            ("truncated", Some(900)),
            ("dropped", Some(7)),
        ]);
        let source = tables(&[
            ("equal", Some(10_000)),
            ("near", Some(10_999)),
            ("small", Some(900)),
            ("deleted", Some(30)),
            ("emptied", Some(0)),
            ("never", Some(5)),
            ("truncated", None),
            ("made", None),
        ]);
        let found = estimates(vec![ComparedTables::of("shop", restored, source)]);
        let shop = &found.differing[0];
        let missing = |named: &Named<MissingTable>| named.named.iter().map(|m| m.table.clone()).collect::<Vec<_>>();
        assert_eq!(
            (missing(&shop.missing_on_restored), missing(&shop.missing_on_source)),
            (vec!["made".into()], vec!["dropped".into()])
        );
        let rows: Vec<&str> = shop.rows.named.iter().map(|rows| rows.table.as_str()).collect();
        assert_eq!(rows, ["deleted", "truncated", "emptied"]);
        assert_eq!((shop.tables, found.tables, found.never_analysed), (9, 9, 1));
    }

    #[test]
    fn what_was_not_read_of_a_database_is_never_missing() {
        let (mut cut, whole) = (tables(&[("a", Some(1))]), tables(&[("a", Some(1)), ("b", Some(1))]));
        cut.has_more = true;
        let found = estimates(vec![ComparedTables::of("shop", cut, whole)]);
        assert!(found.are_equal() && found.notes[0].contains("too many tables"), "{found:?}");
    }

    #[test]
    fn the_largest_differences_are_shown_and_the_rest_is_counted_in_whatever_order_they_came() {
        let one = |n: u64| {
            let lost = format!("lost{n:02}");
            ComparedTables::of(
                &format!("tenant{n:02}"),
                tables(&[(&lost, Some(n * 100_000))]),
                tables(&[(&lost, Some(0))]),
            )
        };
        let forwards = estimates((1..=20).map(one).collect());
        assert_eq!(forwards, estimates((1..=20).rev().map(one).collect()));
        assert_eq!((forwards.differing[0].database.as_str(), forwards.more_differing), ("tenant20", 12));
        let many: Vec<(String, Option<u64>)> = (0..100).map(|n| (format!("t{n:03}"), Some(n))).collect();
        let many: Vec<(&str, Option<u64>)> = many.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
        let found = estimates(vec![ComparedTables::of("shop", tables(&many), DatabaseTables::default())]);
        let missing = &found.differing[0].missing_on_source;
        assert_eq!((missing.named[0].table.as_str(), missing.more), ("t099", 95));
    }

    proptest! {
        #[test]
        fn they_are_small_whatever_the_names_and_however_many(
            unit in prop::sample::select(vec!["a", "\u{1}", "\"", "é", "😀"]), databases in 0_usize..60, count in 0_usize..40,
        ) {
            let name = |n: usize| format!("{n}{}", unit.repeat(64));
            let rows = |add: u64| DatabaseTables {
                tables: (0..count).map(|n| TableEstimate { table: name(n), rows: Some(5_000 * add) }).collect(),
                has_more: false,
            };
            let compared = (0..databases).map(|n| ComparedTables::of(&name(n), rows(1), rows(2))).collect();
            let all: Vec<String> = (0..databases).map(name).collect();
            let found = Estimates::of(("r", "s"), (all.clone(), all), compared, vec![unit.repeat(10_000); 20]);
            prop_assert!(serde_json::to_vec(&found).unwrap().len() < 32 * 1024);
        }
    }
}
