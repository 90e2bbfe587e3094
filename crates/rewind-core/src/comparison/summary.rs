//! The summary of a comparison, as the proposal and the end of a recovery have it: the tables that differ most, the names of some that do
//! not, and the number of the others. However many tables were compared, it stays small enough to travel from state to state.

use super::{Method, RowChanges, TableComparison, TableName, TablesCompared};
use crate::cut::cut;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most bytes of a summary, as JSON: plan, report, differences and summary travel together within 256 KiB.
pub const COMPARISON_MAX: usize = 24 * 1024;
/// The most tables that differ and are named, those that differ most.
const DIFFERING_MAX: usize = 30;
/// The most tables in which no row differs and that are named.
const EQUAL_MAX: usize = 50;
/// The most tables that were not compared and are named.
const NOT_COMPARED_MAX: usize = 10;
/// The most notes.
const NOTES_MAX: usize = 5;
/// The longest name, in bytes of JSON.
const NAME_MAX: usize = 128;
/// The longest note and the longest reason, in bytes of JSON.
const NOTE_MAX: usize = 240;

/// A table in which rows differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DifferingTable {
    /// The name, with its database and on PostgreSQL its schema.
    pub table: String,
    /// The rows that differ.
    #[serde(flatten)]
    pub changes: RowChanges,
    /// True if the table has no key, so that an update counts as a deletion and an insertion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_key: bool,
    /// A fact about the table that a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A table that was not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompared {
    /// The name, with its database and on PostgreSQL its schema.
    pub table: String,
    /// The reason.
    pub why: String,
}

/// The summary of a comparison between the restored cluster and the source: what was written on the source since the target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
// The state machine writes one with a note alone where the comparison failed.
#[serde(rename_all = "camelCase", default)]
pub struct Comparison {
    /// The cluster with the rewound data.
    pub restored: String,
    /// The cluster that it was compared with.
    pub source: String,
    /// The number of tables that were compared.
    pub tables: usize,
    /// The rows that differ in all of them.
    pub changes: RowChanges,
    /// The tables that differ, those first that differ most.
    pub differing: Vec<DifferingTable>,
    /// The number of further tables that differ.
    pub more_differing: usize,
    /// The tables in which no row differs, by name.
    pub equal: Vec<String>,
    /// The number of further tables in which no row differs.
    pub more_equal: usize,
    /// The tables that were not compared, and why.
    pub not_compared: Vec<NotCompared>,
    /// The number of further tables that were not compared.
    pub more_not_compared: usize,
    /// The databases that were not compared, and why not all was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The moment at which the first table was compared; none where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The moment at which the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// True if the source was fenced meanwhile: nothing was written to it since, and the numbers are final.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fenced: bool,
    /// The last table that is done where the next invocation goes on; none where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<TableName>,
}

impl Comparison {
    /// Adds what one invocation compared; its cursor becomes that of the summary.
    pub fn add(&mut self, part: TablesCompared) {
        let TablesCompared { restored, source, rewound_to: _, tables, notes, after } = part;
        (self.restored, self.source, self.after) = (cut(&restored, NAME_MAX), cut(&source, NAME_MAX), after);
        tables.into_iter().for_each(|table| self.add_table(table));
        notes.iter().for_each(|note| self.add_note(note));
        self.shorten();
    }

    /// Ends a comparison whose time is over: nothing goes on from its cursor any more, and people learn where it stopped.
    pub fn stop(&mut self, why: &str) {
        let reached = match self.after.take() {
            Some(table) => format!("tables after {} were not compared: {why}", table.qualified()),
            None => format!("not all was compared: {why}"),
        };
        self.add_note(&reached);
    }

    /// True if every table was compared.
    pub fn is_complete(&self) -> bool {
        self.notes.is_empty() && self.not_compared.is_empty() && self.after.is_none()
    }

    /// The number of tables that differ.
    pub fn differing_total(&self) -> usize {
        self.differing.len() + self.more_differing
    }

    /// The number of tables in which no row differs.
    pub fn equal_total(&self) -> usize {
        self.equal.len() + self.more_equal
    }

    /// The number of tables that were not compared, as far as they are known.
    pub fn not_compared_total(&self) -> usize {
        self.not_compared.len() + self.more_not_compared
    }

    fn add_table(&mut self, compared: TableComparison) {
        let TableComparison { name, rows, not_compared, notes, seconds: _, at } = compared;
        let table = cut(&name.qualified(), NAME_MAX);
        let Some(rows) = rows else {
            let why = cut(&not_compared.unwrap_or_default(), NOTE_MAX);
            self.not_compared.push(NotCompared { table, why });
            return;
        };
        self.tables += 1;
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = Some(self.to.map_or(at, |to| to.max(at)));
        if rows.changes == RowChanges::default() && notes.is_empty() {
            self.equal.push(table);
            return;
        }
        self.changes.add(rows.changes);
        let note = notes.first().map(|note| cut(note, NOTE_MAX));
        let without_key = rows.method == Method::WholeRows;
        self.differing.push(DifferingTable { table, changes: rows.changes, without_key, note });
    }

    fn add_note(&mut self, note: &str) {
        let note = cut(note, NOTE_MAX);
        // Each invocation comes to the same closed databases.
        if !self.notes.contains(&note) && self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        }
    }

    fn shorten(&mut self) {
        // By name where as many rows differ, so that two comparisons of the same are the same.
        self.differing.sort_by(|a, b| (b.changes.total(), &a.table).cmp(&(a.changes.total(), &b.table)));
        self.equal.sort_unstable();
        self.more_differing += truncate(&mut self.differing, DIFFERING_MAX);
        self.more_equal += truncate(&mut self.equal, EQUAL_MAX);
        self.more_not_compared += truncate(&mut self.not_compared, NOT_COMPARED_MAX);
    }
}

/// Shortens a list, and returns the number of what is left out.
fn truncate<T>(list: &mut Vec<T>, most: usize) -> usize {
    let more = list.len().saturating_sub(most);
    list.truncate(most);
    more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::ComparedRows;
    use proptest::prelude::*;
    use serde_json::json;

    fn name(table: &str) -> TableName {
        TableName { database: "shop".into(), schema: "public".into(), table: table.into() }
    }

    fn table(table: &str, inserted: u64, why: Option<&str>) -> TableComparison {
        let changes = RowChanges { inserted, ..RowChanges::default() };
        let rows = ComparedRows { changes, method: Method::History, restored: 5, source: 5 + inserted };
        TableComparison {
            name: name(table),
            rows: why.is_none().then_some(rows),
            not_compared: why.map(ToOwned::to_owned),
            notes: Vec::new(),
            seconds: 0.1,
            at: "2026-11-23T10:50:00Z".parse().unwrap(),
        }
    }

    fn part(tables: Vec<TableComparison>, notes: &[&str], after: Option<&str>) -> TablesCompared {
        TablesCompared {
            restored: "orders-r".into(),
            source: "orders".into(),
            rewound_to: "2026-11-23T10:30:00Z".parse().unwrap(),
            tables,
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
            after: after.map(name),
        }
    }

    #[test]
    fn parts_are_added_up_and_the_tables_that_differ_most_come_first() {
        let mut found = Comparison::default();
        let first = vec![table("a", 1, None), table("b", 0, None), table("c", 0, Some("it is unlogged"))];
        found.add(part(first, &["old is closed"], Some("c")));
        assert_eq!(found.after, Some(name("c")));
        found.add(part(vec![table("d", 7, None)], &["old is closed"], None));
        let differing: Vec<(&str, u64)> =
            found.differing.iter().map(|one| (one.table.as_str(), one.changes.inserted)).collect();
        assert_eq!(differing, [("shop.public.d", 7), ("shop.public.a", 1)]);
        assert_eq!((found.tables, found.changes.inserted, found.equal), (3, 8, vec!["shop.public.b".to_owned()]));
        assert_eq!((found.notes, found.not_compared.len(), found.after), (vec!["old is closed".to_owned()], 1, None));
    }

    #[test]
    fn one_that_is_stopped_names_the_table_that_it_came_to() {
        let mut found = Comparison::default();
        found.add(part(vec![table("a", 0, None)], &[], Some("a")));
        found.stop("its time of 5m was over");
        assert_eq!(found.notes, ["tables after shop.public.a were not compared: its time of 5m was over"]);
        assert!(found.after.is_none() && !found.is_complete());
    }

    #[test]
    fn a_note_alone_is_a_summary_as_the_state_machine_writes_it() {
        let found: Comparison = serde_json::from_value(json!({ "notes": ["it failed"] })).unwrap();
        assert_eq!(found, Comparison { notes: vec!["it failed".into()], ..Comparison::default() });
        assert!(!found.is_complete());
    }

    #[test]
    fn rows_are_in_json_beside_the_name() {
        let mut found = Comparison::default();
        found.add(part(vec![table("a", 1, None)], &[], None));
        let differing = json!([{ "table": "shop.public.a", "inserted": 1, "updated": 0, "deleted": 0 }]);
        assert_eq!(serde_json::to_value(found).unwrap()["differing"], differing);
    }

    proptest! {
        #[test]
        fn it_is_small_whatever_the_names_and_however_many(
            unit in prop::sample::select(vec!["a", "\u{1}", "\"", "é", "😀"]), count in 0_usize..120, parts in 1_usize..4,
        ) {
            let text = unit.repeat(200);
            let mut found = Comparison::default();
            for _ in 0..parts {
                let mut tables: Vec<TableComparison> = (0..count as u64)
                    .flat_map(|n| [table(&format!("{n}{text}"), n, None), table(&text, 0, Some(&text))])
                    .collect();
                tables.iter_mut().for_each(|table| table.notes.push(text.repeat(5)));
                found.add(part(tables, &[&text, "b", "c", "d", "e", "f"], Some(&unit.repeat(63))));
            }
            found.stop(&text);
            prop_assert!(serde_json::to_vec(&found).unwrap().len() < COMPARISON_MAX);
            prop_assert_eq!(found.differing_total() + found.equal_total(), found.tables);
        }
    }
}
