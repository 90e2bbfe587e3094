//! The writes that are not carried over, table by table: in full for a terminal, and in two lines for a phone. Numbers and names of tables
//! alone: it goes to mail and chat, which have more readers than the data.

use super::short::LINE_MAX;
use crate::document::Document;
use rewind_core::comparison::{Comparison, DifferingTable, NotCompared, RowChanges};
use rewind_core::{cut, format_time};

/// The longest part of a line that is kept where it is cut: the remark about its length is within the line.
const CUT: usize = LINE_MAX - 30;

/// Formats a comparison in full.
pub(super) fn not_carried_over(found: &Comparison) -> Document {
    let mut document = Document::new();
    document.heading(match found.tables {
        0 => "The writes that are not carried over were not counted:".to_owned(),
        _ => format!("Not carried over, of {}{}:", number(found.tables, "table"), at(found)),
    });
    for DifferingTable { table, changes, without_key, note } in &found.differing {
        let how = if *without_key { " (no key, so an update counts as a deletion and an insertion)" } else { "" };
        document.item(format!("{table}: {}{how}", rows(*changes)));
        if let Some(note) = note {
            document.warning(format!("{table}: {note}"));
        }
    }
    if found.more_differing > 0 {
        document.item(format!("{} more differ", number(found.more_differing, "table")));
    }
    for NotCompared { table, why } in &found.not_compared {
        document.warning(format!("{table} was not compared: {why}"));
    }
    if found.more_not_compared > 0 {
        document.warning(format!("{} more were not compared", number(found.more_not_compared, "table")));
    }
    for note in &found.notes {
        document.warning(note);
    }
    if found.equal_total() > 0 {
        let more = if found.more_equal > 0 { format!(" and {} more", found.more_equal) } else { String::new() };
        document.good(format!("no row differs in {}{more}", found.equal.join(", ")));
    }
    document
}

/// Formats the most important of a comparison in at most two lines; in one where nothing was compared.
pub(super) fn in_short(found: &Comparison) -> Document {
    let mut document = Document::new();
    if found.tables == 0 {
        let why = found.notes.first().map_or("no table was compared", String::as_str);
        document.warning(cut(&format!("what is not carried over was not counted: {why}"), CUT));
        return document;
    }
    match found.differing.first() {
        None => document.good(format!("no row differs in {}{}", number(found.tables, "table"), at(found))),
        Some(most) => {
            let (all, tables) = (rows(found.changes), number(found.tables, "table"));
            let text = match found.differing_total() {
                1 => format!(
                    "not carried over{}: {} {all}, the only one of {tables} that differs",
                    at(found),
                    most.table
                ),
                differing => format!(
                    "not carried over{}: {all} in {differing} of {tables}, most in {} ({})",
                    at(found),
                    most.table,
                    rows(most.changes)
                ),
            };
            document.warning(cut(&text, CUT));
        }
    }
    if let Some(text) = not_all(found) {
        document.warning(text);
    }
    document
}

/// Formats the end of a recovery: all rows together, then at most `most` tables, then what was not compared.
pub(super) fn lines(found: &Comparison, most: usize) -> Vec<String> {
    let mut lines = match found.tables {
        0 => Vec::new(),
        tables => vec![format!(
            "{} in {} of {}{}",
            rows(found.changes),
            found.differing_total(),
            number(tables, "table"),
            at(found)
        )],
    };
    let tables = found.differing.iter().take(most);
    lines.extend(tables.map(|DifferingTable { table, changes, .. }| format!("{table}: {}", rows(*changes))));
    let more = found.differing_total().saturating_sub(most);
    lines.extend((more > 0).then(|| format!("and {more} more tables")));
    lines.extend(not_all(found));
    lines
}

/// Formats the number of all rows; none where no table was compared.
pub(super) fn total(found: &Comparison) -> Option<String> {
    (found.tables > 0).then(|| format!("{}{}", rows(found.changes), at(found)))
}

/// Formats what was not compared; none where all was.
fn not_all(found: &Comparison) -> Option<String> {
    let not_compared = found.not_compared_total();
    let tables = (not_compared > 0).then(|| format!("{} not compared", number(not_compared, "table")));
    let parts: Vec<String> = tables.into_iter().chain(found.notes.first().cloned()).collect();
    (!parts.is_empty()).then(|| cut(&parts.join("; "), CUT))
}

/// The moment up to which writes are counted.
fn at(found: &Comparison) -> String {
    match found.to {
        // Whoever reads it later must not take an early number for the final one.
        Some(to) if found.fenced => format!(" behind the fence, at {}", format_time(to)),
        Some(to) => format!(" as of {}", format_time(to)),
        None => String::new(),
    }
}

fn rows(changes: RowChanges) -> String {
    let RowChanges { inserted, updated, deleted } = changes;
    format!("{inserted} inserted, {updated} updated, {deleted} deleted")
}

fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(table: &str, inserted: u64) -> DifferingTable {
        let changes = RowChanges { inserted, updated: 1, deleted: 0 };
        DifferingTable { table: table.to_owned(), changes, without_key: false, note: None }
    }

    fn found() -> Comparison {
        Comparison {
            restored: "orders-r".to_owned(),
            source: "orders".to_owned(),
            tables: 40,
            changes: RowChanges { inserted: 10, updated: 2, deleted: 5 },
            differing: vec![differing("shop.public.orders", 9), differing("shop.public.carts", 1)],
            equal: vec!["shop.public.items".to_owned()],
            more_equal: 37,
            to: "2026-11-23T10:50:00Z".parse().ok(),
            ..Comparison::default()
        }
    }

    fn short_lines(found: &Comparison) -> Vec<String> {
        in_short(found).lines().iter().map(|line| line.text().to_owned()).collect()
    }

    #[test]
    fn all_that_differs_is_in_full_and_what_does_not_is_named() {
        let mut found = found();
        found
            .not_compared
            .push(NotCompared { table: "shop.public.cache".to_owned(), why: "it is unlogged".to_owned() });
        found.differing[1].note = Some("the source alone has this table".to_owned());
        found.notes.push("the database old was not compared: it is closed".to_owned());
        assert_eq!(
            not_carried_over(&found).to_string(),
            "\
Not carried over, of 40 tables as of 2026-11-23T10:50:00Z:
  - shop.public.orders: 9 inserted, 1 updated, 0 deleted
  - shop.public.carts: 1 inserted, 1 updated, 0 deleted
  ! shop.public.carts: the source alone has this table
  ! shop.public.cache was not compared: it is unlogged
  ! the database old was not compared: it is closed
  + no row differs in shop.public.items and 37 more
"
        );
    }

    #[test]
    fn on_a_phone_it_is_two_lines_at_most() {
        let mut found = found();
        let line = "not carried over as of 2026-11-23T10:50:00Z: 10 inserted, 2 updated, 5 deleted in 2 of 40 tables, most in \
                    shop.public.orders (9 inserted, 1 updated, 0 deleted)";
        assert_eq!(short_lines(&found), [line]);
        found.notes.push("tables after shop.public.x were not compared".to_owned());
        found.more_not_compared = 3;
        assert_eq!(short_lines(&found)[1], "3 tables not compared; tables after shop.public.x were not compared");
        let ended = lines(&found, 1);
        assert_eq!(ended[0], "10 inserted, 2 updated, 5 deleted in 2 of 40 tables as of 2026-11-23T10:50:00Z");
        assert_eq!(ended[1..3], ["shop.public.orders: 9 inserted, 1 updated, 0 deleted", "and 1 more tables"]);
        let none = Comparison { differing: Vec::new(), fenced: true, ..self::found() };
        assert_eq!(short_lines(&none), ["no row differs in 40 tables behind the fence, at 2026-11-23T10:50:00Z"]);
    }

    #[test]
    fn a_comparison_that_failed_claims_no_number() {
        let failed = Comparison { notes: vec!["it was not compared, because".to_owned()], ..Comparison::default() };
        assert_eq!(short_lines(&failed), ["what is not carried over was not counted: it was not compared, because"]);
        assert!(
            not_carried_over(&failed).to_string().starts_with("The writes that are not carried over were not counted")
        );
    }
}
