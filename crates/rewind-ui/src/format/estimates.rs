//! The tables of all databases and estimates of their rows: in full for a report, and in two lines for a phone.

use super::short::LINE_MAX;
use crate::document::{Document, Line};
use rewind_core::{DatabaseEstimates, Estimates, MissingTable, Named, RowEstimates, cut};

/// Formats estimates in full.
pub(super) fn estimates(estimates: &Estimates) -> Document {
    let mut document = Document::new();
    let Estimates { restored, source, .. } = estimates;
    for database in &estimates.differing {
        let text = in_database(database, (restored, source), usize::MAX);
        if lacks_data(database) {
            document.warning(text);
        } else {
            document.item(text);
        }
    }
    if estimates.more_differing > 0 {
        document.item(format!("{} more databases differ", estimates.more_differing));
    }
    if let Some(names) = names(&estimates.missing_on_restored, usize::MAX, Clone::clone) {
        document.warning(format!("databases that {restored} lacks: {names}"));
    }
    if let Some(names) = names(&estimates.missing_on_source, usize::MAX, Clone::clone) {
        document.item(format!("databases that {source} lacks: {names}"));
    }
    for note in &estimates.notes {
        document.warning(format!("not estimated: {note}"));
    }
    document.item(summary(estimates));
    document
}

/// Formats the most important of estimates in at most two lines.
pub(super) fn in_short(estimates: &Estimates) -> Document {
    let mut document = Document::new();
    let Estimates { restored, source, .. } = estimates;
    let mut rest = Vec::new();
    match estimates.differing.first() {
        None => document.item(summary(estimates)),
        Some(most) => {
            let text = cut(&in_database(most, (restored, source), 1), LINE_MAX);
            if lacks_data(most) {
                document.warning(text);
            } else {
                document.item(text);
            }
            let more = estimates.differing.len() - 1 + estimates.more_differing;
            rest.extend((more > 0).then(|| format!("{} more of {} databases differ", more, estimates.databases)));
        }
    }
    rest.extend(
        names(&estimates.missing_on_restored, 1, Clone::clone)
            .map(|names| format!("{restored} lacks the database {names}")),
    );
    rest.extend(
        names(&estimates.missing_on_source, 1, Clone::clone)
            .map(|names| format!("{source} lacks the database {names}")),
    );
    rest.extend((!estimates.notes.is_empty()).then(|| "not all was read".to_owned()));
    if !rest.is_empty() {
        document.item(cut(&rest.join("; "), LINE_MAX));
    }
    document
}

/// Formats the same as texts, for fields.
pub(super) fn short_lines(estimates: &Estimates) -> Vec<String> {
    in_short(estimates).lines().iter().map(Line::text).map(ToOwned::to_owned).collect()
}

/// True if the rewound data lacks something that the source has: after a recovery from a mistake it is seldom so.
fn lacks_data(database: &DatabaseEstimates) -> bool {
    database.missing_on_restored.total() > 0 || database.rows.named.iter().any(|rows| rows.restored == 0)
}

fn summary(estimates: &Estimates) -> String {
    let Estimates { restored, source, databases, tables, never_analysed, .. } = estimates;
    let (databases, tables) = (number(*databases, "database"), number(*tables, "table"));
    let unknown = match never_analysed {
        0 => String::new(),
        unknown => format!("; {} never analysed, so nobody knows of their rows", number(*unknown, "table")),
    };
    if estimates.are_equal() {
        return format!(
            "estimates, not counts: {tables} in {databases} are on both {restored} and {source}, with about as many rows{unknown}"
        );
    }
    format!("estimates, not counts, of {tables} in {databases} on {restored} and {source}{unknown}")
}

/// Formats one database with at most `most` entries of each kind.
fn in_database(estimates: &DatabaseEstimates, (restored, source): (&str, &str), most: usize) -> String {
    let DatabaseEstimates { database, tables, missing_on_restored, missing_on_source, rows } = estimates;
    let there = match missing_on_restored.total() {
        0 => format!("all {} there", are(*tables)),
        missing => format!("{} of {} there", tables.saturating_sub(missing), are(*tables)),
    };
    let mut parts = vec![format!("{database}: {there}")];
    parts.extend(names(missing_on_restored, most, missing).map(|names| format!("missing on {restored}: {names}")));
    parts.extend(names(missing_on_source, most, missing).map(|names| format!("missing on {source}: {names}")));
    let apart = |RowEstimates { table, restored, source: there }: &RowEstimates| {
        let there = there.map_or_else(|| "emptied or made anew, and not analysed since".to_owned(), about);
        format!("{table} {} rows, on {source} {there}", about(*restored))
    };
    parts.extend(names(rows, most, apart));
    parts.join("; ")
}

fn missing(table: &MissingTable) -> String {
    let rows = table.rows.map_or_else(|| "never analysed".to_owned(), |rows| format!("{} rows", about(rows)));
    format!("{} ({rows})", table.table)
}

/// Joins the first `most` entries, and counts the others; none where there is no entry at all.
fn names<T>(named: &Named<T>, most: usize, format: impl Fn(&T) -> String) -> Option<String> {
    let shown: Vec<String> = named.named.iter().take(most).map(format).collect();
    let more = named.total() - shown.len();
    let text = shown.join(", ");
    (named.total() > 0).then(|| if more > 0 { format!("{text} and {more} more") } else { text })
}

fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn are(tables: usize) -> String {
    format!("{} {}", number(tables, "table"), if tables == 1 { "is" } else { "are" })
}

/// Rounds an estimate to as much as it is good for.
fn about(rows: u64) -> String {
    // Whole numbers: a tenth of a million is as exact as an estimate is.
    let tenths = |unit: u64| format!("{}.{}", rows / unit, rows % unit / (unit / 10));
    match rows {
        0..10_000 => format!("about {rows}"),
        10_000..1_000_000 => format!("about {} k", rows / 1_000),
        1_000_000..1_000_000_000 => format!("about {} M", tenths(1_000_000)),
        _ => format!("about {} billion", tenths(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_core::{ComparedTables, DatabaseTables, TableEstimate};

    fn tables(tables: &[(&str, Option<u64>)]) -> DatabaseTables {
        let one = |(table, rows): &(&str, Option<u64>)| TableEstimate { table: (*table).to_owned(), rows: *rows };
        DatabaseTables { tables: tables.iter().map(one).collect(), has_more: false }
    }

    fn of(compared: Vec<ComparedTables>, missing: Vec<String>, notes: Vec<String>) -> Estimates {
        Estimates::of(("orders-r", "orders"), (missing, Vec::new()), compared, notes)
    }

    #[test]
    fn a_dropped_table_and_deleted_rows_are_one_sentence() {
        let restored =
            tables(&[("public.orders", Some(1_234_567)), ("public.carts", Some(12_900)), ("public.items", Some(5))]);
        let source = tables(&[("public.orders", Some(30)), ("public.items", Some(5)), ("public.made", None)]);
        let found = of(vec![ComparedTables::of("shop", restored, source)], Vec::new(), Vec::new());
        assert_eq!(
            estimates(&found).to_string(),
            "  ! shop: 3 of 4 tables are there; missing on orders-r: public.made (never analysed); missing on orders: public.carts \
             (about 12 k rows); public.orders about 1.2 M rows, on orders about 30\n  - estimates, not counts, of 4 tables in 1 \
             database on orders-r and orders\n"
        );
    }

    #[test]
    fn where_nothing_differs_it_is_one_line_that_claims_no_count() {
        let same = || tables(&[("public.orders", Some(30)), ("public.never", None)]);
        let found = of(vec![ComparedTables::of("shop", same(), same())], Vec::new(), Vec::new());
        let line = "estimates, not counts: 2 tables in 1 database are on both orders-r and orders, with about as many rows; 1 table \
                    never analysed, so nobody knows of their rows";
        assert_eq!(short_lines(&found), [line]);
    }

    #[test]
    fn however_many_differ_two_lines_are_enough_for_a_phone() {
        let many: Vec<(String, Option<u64>)> = (0..50).map(|n| (format!("t{n:02}"), Some(n))).collect();
        let many: Vec<(&str, Option<u64>)> = many.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
        let compared =
            (0..30).map(|n| ComparedTables::of(&format!("tenant{n:02}"), tables(&many), DatabaseTables::default()));
        let found = of(compared.collect(), vec!["gone".to_owned()], vec!["5 of 35 databases were not read".to_owned()]);
        assert_eq!(
            short_lines(&found),
            [
                "tenant00: all 50 tables are there; missing on orders: t49 (about 49 rows) and 49 more",
                "29 more of 30 databases differ; orders-r lacks the database gone; not all was read",
            ]
        );
    }

    #[test]
    fn estimates_are_rounded_to_what_they_are_good_for() {
        let texts =
            [0, 30, 9_999, 10_000, 999_999, 1_000_000, 1_250_000, 999_999_999, 1_000_000_000, u64::MAX].map(about);
        let rounded =
            ["0", "30", "9999", "10 k", "999 k", "1.0 M", "1.2 M", "999.9 M", "1.0 billion", "18446744073.7 billion"];
        assert_eq!(texts, rounded.map(|text| format!("about {text}")));
    }
}
