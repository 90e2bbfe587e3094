//! The report of verification.

use crate::document::Document;
use rewind_core::Report;

/// Formats a report: its checks, the rows of the tables that they read, its notes, and the login that was used.
pub fn report(report: &Report) -> Document {
    let mut document = Document::new();
    // A report without checks has `passed: true`: to say "all passed" of it would be taken for a proof.
    let verdict = match report.checks.len() {
        0 => "no check was given",
        _ if report.passed => "all checks passed",
        _ => "NOT all checks passed",
    };
    document.heading(format!("The rewound data ({verdict}):"));
    for check in &report.checks {
        if check.passed {
            document.good(check.to_string());
        } else {
            document.warning(check.to_string());
        }
    }
    for table in &report.tables {
        document.item(table.to_string());
    }
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
        let text = report(&Report::new(login, Vec::new(), Vec::new(), Vec::new())).to_string();
        assert!(text.contains("no check was given") && !text.contains("passed"), "{text}");
        assert!(text.contains("postgres, secret version AWSCURRENT, TLS without a verified certificate"), "{text}");
    }
}
