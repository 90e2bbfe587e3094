//! Cuts a report to what a recovery can carry: Step Functions passes 256 KiB between states, and a value of a database or an error
//! message of one may be longer. It never compares: values are compared whole, before they are cut.

use crate::check::{CheckResult, Report, TableCount};
use crate::cut::cut;
use crate::difference::Difference;
use crate::estimates::Estimates;

/// The most bytes of a report, as JSON. Plan, report, moved records and differences travel together within 256 KiB.
pub const REPORT_MAX: usize = 48 * 1024;
/// The most bytes of a plan, as JSON.
pub const PLAN_MAX: usize = 80 * 1024;

/// The lengths that the texts of a report are cut to, until the report is small enough.
const STEPS: [usize; 7] = [2_000, 1_000, 500, 200, 100, 50, 10];
/// The most tables and the most notes of a report.
const ENTRIES_MAX: usize = 100;

fn shorten(text: &mut String, most: usize) {
    *text = cut(text, most);
}

impl Report {
    /// Cuts texts and lists until the report is within [`REPORT_MAX`]. One that is stays as it is, but for very long texts.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        cut_list(&mut self.tables, "tables", &mut self.notes);
        if let Some(more) = self.notes.len().checked_sub(ENTRIES_MAX).filter(|more| *more > 0) {
            self.notes.truncate(ENTRIES_MAX);
            self.notes.push(format!("{more} more notes are left out"));
        }
        let mut fitted = self.clone();
        for most in STEPS {
            // From the whole report each time: a text that was cut before would tell the length that was left of it.
            fitted = self.clone();
            fitted.shorten_texts(most);
            if fitted.size() <= REPORT_MAX {
                return fitted;
            }
        }
        // Checks are what people decide on, so estimates and tables go first.
        while fitted.size() > REPORT_MAX && fitted.estimates.as_mut().is_some_and(Estimates::halve) {}
        while fitted.size() > REPORT_MAX && !fitted.tables.is_empty() {
            let half = fitted.tables.len() / 2;
            fitted.tables.truncate(half);
        }
        fitted
    }

    fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }

    fn shorten_texts(&mut self, most: usize) {
        for check in &mut self.checks {
            let CheckResult { name, database, expected, found, passed: _, source, seconds: _, note, source_note } =
                check;
            let values = [found, source, note, source_note].into_iter().flatten();
            [name, database, expected].into_iter().chain(values).for_each(|text| shorten(text, most));
        }
        for TableCount { database, table, note, .. } in &mut self.tables {
            [database, table].into_iter().chain(note.as_mut()).for_each(|text| shorten(text, most));
        }
        self.notes.iter_mut().for_each(|note| shorten(note, most));
        if let Some(estimates) = &mut self.estimates {
            estimates.texts_mut().for_each(|text| shorten(text, most));
            estimates.notes.iter_mut().for_each(|note| shorten(note, most));
        }
        for Difference { what, source, restored, .. } in &mut self.differences {
            // Never what is to be done: half a command would do something else.
            [what, source, restored].into_iter().for_each(|text| shorten(text, most));
        }
    }
}

fn cut_list(tables: &mut Vec<TableCount>, what: &str, notes: &mut Vec<String>) {
    if let Some(more) = tables.len().checked_sub(ENTRIES_MAX).filter(|more| *more > 0) {
        tables.truncate(ENTRIES_MAX);
        notes.insert(0, format!("{more} more {what} are left out"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Login, Tls};
    use crate::estimates::{ComparedTables, DatabaseTables, TableEstimate};
    use proptest::prelude::*;

    fn report(checks: Vec<CheckResult>, tables: Vec<TableCount>, notes: Vec<String>) -> Report {
        let login = Login { user: "u".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
        Report::new(login, checks, tables, notes)
    }

    fn check(name: &str, text: &str) -> CheckResult {
        let text = || text.to_owned();
        CheckResult {
            name: name.to_owned(),
            database: "shop".to_owned(),
            expected: text(),
            found: Some(text()),
            passed: true,
            source: Some(text()),
            seconds: 0.5,
            note: Some(text()),
            source_note: None,
        }
    }

    fn table(text: &str) -> TableCount {
        let text = text.to_owned();
        TableCount { database: "shop".to_owned(), table: text.clone(), restored: None, source: None, note: Some(text) }
    }

    #[test]
    fn a_value_of_300_kb_is_cut_with_its_length_and_the_rest_stays() {
        let small = check("small", "2");
        let fitted = report(vec![check("large", &"x".repeat(300 * 1024)), small.clone()], vec![], vec![]).fitted();
        let large = &fitted.checks[0];
        assert!(large.found.as_ref().unwrap().ends_with("… (307200 characters)"), "{large:?}");
        assert!(large.found.as_ref().unwrap().len() > 1_000);
        assert_eq!(fitted.checks[1], small);
        // The failure of the step is the same report as text.
        assert!(fitted.to_string().len() < REPORT_MAX);
    }

    #[test]
    fn a_report_that_is_small_enough_is_left_alone() {
        let whole = report(vec![check("n", &"x".repeat(1_500))], vec![table("shop.t")], vec!["a note".to_owned()]);
        assert_eq!(whole.clone().fitted(), whole);
    }

    #[test]
    fn a_long_list_of_tables_is_cut_with_its_number() {
        let fitted = report(vec![], vec![table("shop.t"); 1_000], vec![]).fitted();
        assert_eq!(fitted.tables.len(), 100);
        assert_eq!(fitted.notes, ["900 more tables are left out"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn whatever_a_database_answers_the_report_can_be_carried(
            unit in prop::sample::select(vec!["a", "\u{1}", "\"", "é", "😀"]),
            length in 0usize..6_000,
            checks in 0usize..=100,
            tables in 0usize..300,
        ) {
            let text = unit.repeat(length);
            let compared = (0..tables).map(|n| {
                let tables = DatabaseTables { tables: vec![TableEstimate { table: text.clone(), rows: None }], has_more: false };
                ComparedTables::of(&format!("{n}{text}"), DatabaseTables::default(), tables)
            });
            let estimates = Estimates::of((&text, &text), (vec![text.clone(); 9], Vec::new()), compared.collect(), vec![text.clone(); 9]);
            let mut large = report(vec![check(&text, &text); checks], vec![table(&text); tables], vec![text; 200]);
            large.estimates = Some(estimates);
            prop_assert!(serde_json::to_vec(&large.fitted()).unwrap().len() <= REPORT_MAX);
        }
    }
}
