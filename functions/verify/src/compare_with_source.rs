//! Compares the rewound data with the source: each check's result and each table's count on both. It judges findings, and
//! connects to nothing.

use rewind_core::{CheckResult, Login, Report, TableCount};
use rewind_db::Findings;

/// True if at least one value was there on both sides, so that an equal one shows something.
pub(crate) fn is_compared(found: &Findings) -> bool {
    found.checks.iter().any(|check| check.found.is_some() && check.source.is_some())
        || found.tables.iter().any(|table| table.restored.is_some() && table.source.is_some())
}

/// The report on `found`: passed if something was compared, and nothing differs from what the cluster `source` holds.
pub(crate) fn report(login: Login, source: &str, found: Findings, mut notes: Vec<String>) -> Report {
    let is_compared = is_compared(&found);
    let checks: Vec<CheckResult> = found.checks.into_iter().map(|check| judge(check, source)).collect();
    let mut equal = is_compared;
    if !is_compared {
        notes.push(format!("nothing was compared with {source}: no check and no count came to a value on both"));
    }
    for table in &found.tables {
        match (table.restored, table.source) {
            (Some(restored), Some(kept)) if restored == kept => {}
            // Counts are a second look beside the checks: where neither side could be counted in time, the checks decide.
            (None, None) => notes.push(format!("{} in {} could be counted on neither", table.table, table.database)),
            _ => {
                equal = false;
                notes.push(difference(table, source));
            }
        }
    }
    notes.push(format!("compared with {source}: {} checks and {} tables", checks.len(), found.tables.len()));
    let mut report = Report::new(login, checks, found.tables, notes);
    report.passed &= equal;
    report
}

/// Judges a check by the source's result. The same reason for no result is the same result: a check of a table that was made
/// since then fails alike on both.
fn judge(mut check: CheckResult, source: &str) -> CheckResult {
    check.passed = match (&check.found, &check.source) {
        (Some(found), Some(kept)) => found == kept,
        (None, None) => check.note.is_some() && check.note == check.source_note,
        _ => false,
    };
    check.expected = format!("what {source} answers");
    if check.found.is_some() {
        // Why the value is not what the request expects, which is not asked here.
        check.note = None;
    }
    check
}

fn difference(table: &TableCount, source: &str) -> String {
    format!("{} in {} differs from {source}", table.table, table.database)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_core::Tls;

    fn check(found: Result<&str, &str>, source: Result<&str, &str>) -> CheckResult {
        CheckResult {
            name: "n".to_owned(),
            database: "shop".to_owned(),
            expected: "2".to_owned(),
            found: found.ok().map(ToOwned::to_owned),
            passed: found == Ok("2"),
            source: source.ok().map(ToOwned::to_owned),
            seconds: 0.1,
            note: found.err().map(ToOwned::to_owned),
            source_note: source.err().map(ToOwned::to_owned),
        }
    }

    fn table(restored: Option<u64>, source: Option<u64>) -> TableCount {
        TableCount { database: "shop".to_owned(), table: "shop.t".to_owned(), restored, source, note: None }
    }

    fn judged(checks: Vec<CheckResult>, tables: Vec<TableCount>) -> Report {
        let login = Login { user: "admin".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
        report(login, "the safety clone", Findings { checks, tables, notes: Vec::new() }, Vec::new())
    }

    #[test]
    fn the_result_of_the_source_is_expected_and_not_the_one_in_the_request() {
        assert!(judged(vec![check(Ok("0"), Ok("0"))], vec![table(Some(0), Some(0))]).passed);
        assert!(!judged(vec![check(Ok("2"), Ok("0"))], vec![]).passed);
    }

    #[test]
    fn a_comparison_of_nothing_passes_nothing() {
        let report = judged(vec![], vec![]);
        assert!(
            !report.passed && report.to_string().contains("nothing was compared with the safety clone"),
            "{report}"
        );
        // The same reason on both is no value, and neither is a table that could be counted on neither.
        let same = || check(Err("no such table"), Err("no such table"));
        assert!(!judged(vec![same()], vec![table(None, None)]).passed);
        assert!(judged(vec![same()], vec![table(Some(0), Some(0))]).passed);
    }

    #[test]
    fn no_answer_is_the_same_only_for_the_same_reason() {
        let judged = |check| judged(vec![check], vec![table(Some(1), Some(1))]);
        assert!(judged(check(Err("no such table"), Err("no such table"))).passed);
        assert!(!judged(check(Err("no such table"), Err("stopped"))).passed);
        assert!(!judged(check(Err("no such table"), Ok("0"))).passed);
        let mut unasked = check(Err("no such table"), Err("x"));
        unasked.source_note = None;
        assert!(!judged(unasked).passed);
    }

    #[test]
    fn a_count_that_differs_is_named_and_fails() {
        for (restored, source) in [(Some(1), Some(2)), (Some(1), None), (None, Some(1))] {
            let report = judged(vec![check(Ok("2"), Ok("2"))], vec![table(restored, source)]);
            assert!(!report.passed);
            assert!(report.to_string().contains("shop.t in shop differs from the safety clone"), "{report}");
        }
    }

    #[test]
    fn the_report_lists_what_was_compared() {
        let report = judged(vec![check(Ok("2"), Ok("2"))], vec![table(None, None)]);
        assert!(
            report.passed && report.notes.contains(&"compared with the safety clone: 1 checks and 1 tables".to_owned())
        );
        assert!(report.notes.iter().any(|note| note.contains("counted on neither")), "{report}");
    }
}
