//! The report of verification.

use super::estimates::estimates;
use crate::document::Document;
use rewind_core::Report;

/// The readers of a report, as far as they decide on the values that checks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// For whoever has read the execution's history with rights of their own: at a terminal.
    Shown,
    /// For everybody else: mail and chat have more readers than the data.
    Hidden,
}

/// Formats a report: its checks, the rows of the tables that they read, the tables of all databases with estimates of their rows, its
/// notes, and the login that was used.
pub fn report(report: &Report, values: Values) -> Document {
    let mut document = Document::new();
    // A report without checks has `passed: true`: to say "all passed" of it would be taken for a proof.
    let verdict = match report.checks.len() {
        0 => "no check was given",
        _ if report.passed => "all checks passed",
        _ => "NOT all checks passed",
    };
    document.heading(format!("The rewound data ({verdict}):"));
    for check in &report.checks {
        let shown = match values {
            Values::Shown => check.with_values().to_string(),
            Values::Hidden => check.to_string(),
        };
        if check.passed {
            document.good(shown);
        } else {
            document.warning(shown);
        }
    }
    for table in &report.tables {
        document.item(table.to_string());
    }
    document.extend(report.estimates.as_ref().map(estimates).unwrap_or_default());
    for note in &report.notes {
        document.warning(note);
    }
    document.field("login", &report.login);
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_core::{Login, Tls};

    #[test]
    fn where_no_check_was_given_the_report_does_not_claim_that_all_have_passed() {
        let login = Login { user: "postgres".into(), secret_version: "AWSCURRENT".into(), tls: Tls::Encrypted };
        let text = report(&Report::new(login, Vec::new(), Vec::new(), Vec::new()), Values::Hidden).to_string();
        assert!(text.contains("no check was given") && !text.contains("passed"), "{text}");
        assert!(text.contains("postgres, secret version AWSCURRENT, TLS without a verified certificate"), "{text}");
    }
}
