//! The comparison of a recovery's two clusters, table by table.

use crate::document::Document;
use rewind_core::comparison::{ComparedRows, Method, RowChanges, TableComparison, TablesCompared};

/// Formats what compare-tables found: first the tables that differ, then those that were not compared, then the others.
pub fn comparison(compared: &TablesCompared) -> Document {
    let TablesCompared { restored, source, rewound_to, tables, notes, after: _ } = compared;
    let mut document = Document::new();
    document.heading(format!("What was written on {source} since {rewound_to}, compared with {restored}:"));
    if tables.is_empty() {
        document.plain(match notes.is_empty() {
            true => "Neither has a table of yours.",
            false => "No table was compared.",
        });
    }
    let mut same = Vec::new();
    for table in tables {
        match &table.rows {
            Some(rows) if rows.changes == RowChanges::default() && table.notes.is_empty() => same.push(table),
            Some(rows) => {
                document.item(format!("{}: {}", table.name.qualified(), changes(rows, table)));
                table.notes.iter().for_each(|note| document.warning(format!("{}: {note}", table.name.qualified())));
            }
            None => {}
        }
    }
    for table in tables {
        if let Some(why) = &table.not_compared {
            document.warning(format!("{} was not compared: {why}", table.name.qualified()));
        }
    }
    notes.iter().for_each(|note| document.warning(note));
    if !same.is_empty() {
        let names: Vec<String> = same.iter().map(|table| table.name.qualified()).collect();
        document.good(format!("no row differs in {}", names.join(", ")));
    }
    document
}

fn changes(rows: &ComparedRows, table: &TableComparison) -> String {
    let ComparedRows { changes: RowChanges { inserted, updated, deleted }, method, restored, source } = rows;
    let how = match method {
        Method::History => "by who wrote each row",
        Method::Values => "by the values of all rows",
        Method::WholeRows => "without a key, so an update counts as a deletion and an insertion",
        Method::Counted => "counted",
    };
    format!(
        "{inserted} inserted, {updated} updated, {deleted} deleted; {restored} rows then, {source} at {:.0} ({how}, {:.1} s)",
        table.at, table.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_core::comparison::TableName;

    fn table(name: &str, rows: Option<(u64, u64, u64)>, why: Option<&str>) -> TableComparison {
        let rows = rows.map(|(inserted, updated, deleted)| ComparedRows {
            changes: RowChanges { inserted, updated, deleted },
            method: Method::History,
            restored: 10,
            source: 8,
        });
        TableComparison {
            name: TableName { database: "shop".into(), schema: "public".into(), table: name.into() },
            rows,
            not_compared: why.map(ToOwned::to_owned),
            notes: Vec::new(),
            seconds: 0.25,
            at: "2026-11-23T10:50:00.4Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_differs_comes_first_and_no_table_is_left_out() {
        let compared = TablesCompared {
            restored: "orders-r".into(),
            source: "orders".into(),
            rewound_to: "2026-11-23T10:30:00Z".parse().unwrap(),
            tables: vec![
                table("customers", Some((0, 0, 0)), None),
                table("orders", Some((1, 2, 3)), None),
                table("cache", None, Some("it is unlogged")),
            ],
            notes: vec!["the database old was not compared: it is missing".into()],
            after: None,
        };
        let expected = "What was written on orders since 2026-11-23T10:30:00Z, compared with orders-r:\n";
        let text = comparison(&compared).to_string();
        assert!(text.starts_with(expected), "{text}");
        let parts = [
            "shop.public.orders: 1 inserted, 2 updated, 3 deleted; 10 rows then, 8 at 2026-11-23T10:50:00Z (by who wrote each row, 0.2 s)",
            "shop.public.cache was not compared: it is unlogged",
            "the database old was not compared",
            "no row differs in shop.public.customers",
        ];
        let places: Vec<usize> = parts.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{text}"))).collect();
        assert!(places.is_sorted(), "{text}");
    }
}
