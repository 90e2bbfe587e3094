//! Findings of the preflight: what would fail later, or should be known before anything is changed, each with its fix.
//!
//! This module judges facts that others have read. It never asks AWS or a database.

use crate::check::{Check, Expectation};
use crate::decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The effect of a finding on the recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The recovery would fail: it ends before anything is changed.
    Blocking,
    /// The recovery goes on, and people should know this when they decide.
    Warning,
}

/// The name of a finding, for scripts and for docs/preflight.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/preflight.md describes each by its name, and a contract test holds that")]
pub enum FindingCode {
    SecretMissing,
    SecretDeleted,
    SecretUnreadable,
    SecretBinary,
    SecretPlainText,
    SecretKeys,
    SecretPasswordNumber,
    LoginRefused,
    LoginReadOnly,
    ConnectionSlots,
    InitConnect,
    LoginsStayOpen,
    SessionsStay,
    CheckLogin,
    CheckRefused,
    CheckObjectMissing,
    CheckDatabase,
    CheckColumns,
    CheckType,
    CheckSlow,
    Replication,
    Subscriptions,
    ScheduledJobs,
    UnloggedTables,
    InvalidDatabase,
    DatabasesUnread,
    RecordEndpoint,
    RecordTtl,
    RecordHealthCheck,
    RecordTrafficPolicy,
    RecordElsewhere,
    RecordUnnamed,
    ZonesUnread,
    InstanceName,
    RestoredInUse,
    Quota,
    CertificateAuthority,
    PendingModification,
    PendingReboot,
    ExtendedSupport,
    DataApi,
    WriteForwarding,
    GlobalDatabase,
    ActivityStream,
    DirectoryDomain,
    FunctionsAsleep,
    TargetFenced,
    FindingsCut,
}

impl FindingCode {
    /// All codes, in the order of docs/preflight.md.
    pub const ALL: [FindingCode; 48] = [
        Self::SecretMissing,
        Self::SecretDeleted,
        Self::SecretUnreadable,
        Self::SecretBinary,
        Self::SecretPlainText,
        Self::SecretKeys,
        Self::SecretPasswordNumber,
        Self::LoginRefused,
        Self::LoginReadOnly,
        Self::ConnectionSlots,
        Self::InitConnect,
        Self::LoginsStayOpen,
        Self::SessionsStay,
        Self::CheckLogin,
        Self::CheckRefused,
        Self::CheckObjectMissing,
        Self::CheckDatabase,
        Self::CheckColumns,
        Self::CheckType,
        Self::CheckSlow,
        Self::Replication,
        Self::Subscriptions,
        Self::ScheduledJobs,
        Self::UnloggedTables,
        Self::InvalidDatabase,
        Self::DatabasesUnread,
        Self::RecordEndpoint,
        Self::RecordTtl,
        Self::RecordHealthCheck,
        Self::RecordTrafficPolicy,
        Self::RecordElsewhere,
        Self::RecordUnnamed,
        Self::ZonesUnread,
        Self::InstanceName,
        Self::RestoredInUse,
        Self::Quota,
        Self::CertificateAuthority,
        Self::PendingModification,
        Self::PendingReboot,
        Self::ExtendedSupport,
        Self::DataApi,
        Self::WriteForwarding,
        Self::GlobalDatabase,
        Self::ActivityStream,
        Self::DirectoryDomain,
        Self::FunctionsAsleep,
        Self::TargetFenced,
        Self::FindingsCut,
    ];

    /// The code as findings, chat and scripts have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretMissing => "secret-missing",
            Self::SecretDeleted => "secret-deleted",
            Self::SecretUnreadable => "secret-unreadable",
            Self::SecretBinary => "secret-binary",
            Self::SecretPlainText => "secret-plain-text",
            Self::SecretKeys => "secret-keys",
            Self::SecretPasswordNumber => "secret-password-number",
            Self::LoginRefused => "login-refused",
            Self::LoginReadOnly => "login-read-only",
            Self::ConnectionSlots => "connection-slots",
            Self::InitConnect => "init-connect",
            Self::LoginsStayOpen => "logins-stay-open",
            Self::SessionsStay => "sessions-stay",
            Self::CheckLogin => "check-login",
            Self::CheckRefused => "check-refused",
            Self::CheckObjectMissing => "check-object-missing",
            Self::CheckDatabase => "check-database",
            Self::CheckColumns => "check-columns",
            Self::CheckType => "check-type",
            Self::CheckSlow => "check-slow",
            Self::Replication => "replication",
            Self::Subscriptions => "subscriptions",
            Self::ScheduledJobs => "scheduled-jobs",
            Self::UnloggedTables => "unlogged-tables",
            Self::InvalidDatabase => "invalid-database",
            Self::DatabasesUnread => "databases-unread",
            Self::RecordEndpoint => "record-endpoint",
            Self::RecordTtl => "record-ttl",
            Self::RecordHealthCheck => "record-health-check",
            Self::RecordTrafficPolicy => "record-traffic-policy",
            Self::RecordElsewhere => "record-elsewhere",
            Self::RecordUnnamed => "record-unnamed",
            Self::ZonesUnread => "zones-unread",
            Self::InstanceName => "instance-name",
            Self::RestoredInUse => "restored-in-use",
            Self::Quota => "quota",
            Self::CertificateAuthority => "certificate-authority",
            Self::PendingModification => "pending-modification",
            Self::PendingReboot => "pending-reboot",
            Self::ExtendedSupport => "extended-support",
            Self::DataApi => "data-api",
            Self::WriteForwarding => "write-forwarding",
            Self::GlobalDatabase => "global-database",
            Self::ActivityStream => "activity-stream",
            Self::DirectoryDomain => "directory-domain",
            Self::FunctionsAsleep => "functions-asleep",
            Self::TargetFenced => "target-fenced",
            Self::FindingsCut => "findings-cut",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The effect on the recovery.
    pub severity: Severity,
    // As text, so that a plan in the table can be read by a version that does not know the code.
    /// The code, one of [`FindingCode`].
    pub code: String,
    /// A lowercase fragment that describes the fact.
    pub what: String,
    /// The action that removes it.
    pub fix: String,
}

/// The number of findings that a plan keeps.
// The plan travels in events, in the table and in every payload, so it has to stay small.
const MOST_FINDINGS: usize = 40;
/// The length of a sentence that a plan keeps.
const LONGEST: usize = 500;

impl Finding {
    /// Makes a finding that ends the recovery.
    pub fn blocking(code: FindingCode, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Blocking, code, what.into(), fix.into())
    }

    /// Makes a finding that people should know.
    pub fn warning(code: FindingCode, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, what.into(), fix.into())
    }

    fn new(severity: Severity, code: FindingCode, what: String, fix: String) -> Self {
        Self { severity, code: code.as_str().to_owned(), what: cut(what), fix: cut(fix) }
    }

    /// True if it ends the recovery.
    pub fn is_blocking(&self) -> bool {
        self.severity == Severity::Blocking
    }
}

impl fmt::Display for Finding {
    /// Renders the finding in one line, for a terminal and for a cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]: {}", self.what, self.code, self.fix)
    }
}

fn cut(text: String) -> String {
    if text.chars().count() <= LONGEST {
        return text;
    }
    let kept: String = text.chars().take(LONGEST - 1).collect();
    format!("{kept}…")
}

/// Orders findings for a plan: blocking ones first, each once, and no more than a plan can hold.
pub fn arrange(findings: Vec<Finding>) -> Vec<Finding> {
    let mut arranged: Vec<Finding> = Vec::new();
    for finding in findings {
        if !arranged.contains(&finding) {
            arranged.push(finding);
        }
    }
    // Stable, so that findings about one thing stay beside each other.
    arranged.sort_by_key(|finding| finding.severity);
    let left = arranged.split_off(arranged.len().min(MOST_FINDINGS));
    if let Some(first) = left.first() {
        let count = left.len();
        let what = format!("{count} more findings are not listed");
        let fix = "remove those that are, then make a dry run again";
        arranged.push(Finding::new(first.severity, FindingCode::FindingsCut, what, fix.to_owned()));
    }
    arranged
}

/// Joins the blocking findings into the cause of the execution; none if nothing blocks.
pub fn blocking_cause(findings: &[Finding]) -> Option<String> {
    let blocking: Vec<String> =
        findings.iter().filter(|finding| finding.is_blocking()).map(ToString::to_string).collect();
    (!blocking.is_empty()).then(|| {
        format!(
            "preflight found what would make the recovery fail: {}; nothing was changed; next step: correct that and \
             start again",
            blocking.join("; ")
        )
    })
}

/// The kind of the only column of a check's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A truth value that is printed as `t` or `f` (PostgreSQL).
    Boolean,
    /// A number, whole or not.
    Number,
    /// A bit field, which comes as bytes (MySQL).
    Bits,
    /// Bytes.
    Binary,
    /// Text and everything that is printed as text.
    Other,
    /// A date, a time or an interval.
    Time,
    /// A type that cannot be told before the query runs.
    Unknown,
}

/// Finds the reason why no value of a column of `kind` can meet the expectation of `check`; none if one can.
///
/// ```
/// use rewind_core::{Check, ColumnKind, Expectation, type_fault};
///
/// let check = Check {
///     name: "is back".to_owned(),
///     database: "shop".to_owned(),
///     sql: "SELECT EXISTS (SELECT FROM orders)".to_owned(),
///     expectation: Expectation::Expect("true".to_owned()),
/// };
/// let fault = type_fault(&check, ColumnKind::Boolean, "bool").unwrap();
/// assert_eq!(fault.fix, "write `\"expect\": \"t\"`");
/// ```
pub fn type_fault(check: &Check, kind: ColumnKind, type_name: &str) -> Option<Finding> {
    let blocking = |what: String, fix: String| {
        Some(Finding::blocking(FindingCode::CheckType, format!("check \"{}\" {what}", check.name), fix))
    };
    let expected = &check.expectation;
    match (kind, expected) {
        (ColumnKind::Boolean, Expectation::Expect(text)) if !["t", "f"].contains(&text.as_str()) => {
            let wanted = match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" | "y" => "t",
                "false" | "no" | "off" | "0" | "n" => "f",
                _ => {
                    return blocking(
                        format!("expects \"{text}\" of a boolean, which is printed as t or f"),
                        "write `\"expect\": \"t\"` or `\"expect\": \"f\"`".to_owned(),
                    );
                }
            };
            blocking(
                format!("expects \"{text}\" of a boolean, which is printed as {wanted}"),
                format!("write `\"expect\": \"{wanted}\"`"),
            )
        }
        (ColumnKind::Number, Expectation::Expect(text)) if Decimal::parse(text).is_none() && !is_special(text) => {
            let fix = match text.to_ascii_lowercase().as_str() {
                "true" | "t" => "write `\"expect\": \"1\"`".to_owned(),
                "false" | "f" => "write `\"expect\": \"0\"`".to_owned(),
                _ => "expect a number, or select a text".to_owned(),
            };
            blocking(format!("expects \"{text}\" of a number ({type_name})"), fix)
        }
        (ColumnKind::Bits, _) => blocking(
            format!("answers bits ({type_name}), which come as bytes and not as a number"),
            "select the column as a number: `SELECT column + 0`".to_owned(),
        ),
        (
            ColumnKind::Boolean | ColumnKind::Binary | ColumnKind::Time,
            Expectation::AtLeast(_) | Expectation::AtMost(_),
        ) => blocking(
            format!("has a bound ({expected}), and answers no number ({type_name})"),
            "select a number, such as `count(*)`, or write `expect`".to_owned(),
        ),
        _ => None,
    }
}

/// True for what a database prints for a floating-point value that is no number.
fn is_special(text: &str) -> bool {
    ["nan", "infinity", "-infinity"].contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(expectation: Expectation) -> Check {
        Check { name: "n".into(), database: "d".into(), sql: "SELECT 1".into(), expectation }
    }

    fn expecting(text: &str) -> Check {
        check(Expectation::Expect(text.to_owned()))
    }

    #[test]
    fn a_finding_has_the_documented_form() {
        let finding = Finding::blocking(FindingCode::SecretPlainText, "the secret is plain text", "write JSON");
        let written = json!({
            "severity": "blocking", "code": "secret-plain-text", "what": "the secret is plain text", "fix": "write JSON",
        });
        assert_eq!(serde_json::to_value(&finding).unwrap(), written);
        assert_eq!(finding.to_string(), "the secret is plain text [secret-plain-text]: write JSON");
    }

    #[test]
    fn an_expectation_that_the_type_cannot_meet_is_told_with_what_would() {
        for (kind, expected, fix) in [
            (ColumnKind::Boolean, "true", "\"t\""),
            (ColumnKind::Boolean, "FALSE", "\"f\""),
            (ColumnKind::Boolean, "1", "\"t\""),
            (ColumnKind::Boolean, "maybe", "or `\"expect\": \"f\"`"),
            (ColumnKind::Number, "true", "\"1\""),
            (ColumnKind::Number, "two", "expect a number"),
            (ColumnKind::Number, "", "expect a number"),
            (ColumnKind::Bits, "1", "+ 0"),
        ] {
            let fault = type_fault(&expecting(expected), kind, "type").unwrap();
            assert!(fault.is_blocking() && fault.fix.contains(fix), "{kind:?} {expected}: {fault}");
        }
        for kind in [ColumnKind::Boolean, ColumnKind::Binary, ColumnKind::Time, ColumnKind::Bits] {
            assert!(type_fault(&check(Expectation::AtLeast(1.0)), kind, "type").is_some(), "{kind:?}");
        }
    }

    #[test]
    fn what_the_type_can_meet_is_no_finding() {
        for (kind, expected) in [
            (ColumnKind::Boolean, "t"),
            (ColumnKind::Boolean, "f"),
            (ColumnKind::Number, "2.00"),
            (ColumnKind::Number, "NaN"),
            (ColumnKind::Other, "true"),
            (ColumnKind::Binary, "\\x00"),
            (ColumnKind::Time, "2026-11-23"),
            (ColumnKind::Unknown, "anything"),
        ] {
            assert_eq!(type_fault(&expecting(expected), kind, "type"), None, "{kind:?} {expected}");
        }
        // A text can hold a number, and what it holds shows only when the query runs.
        for kind in [ColumnKind::Number, ColumnKind::Other, ColumnKind::Unknown] {
            assert_eq!(type_fault(&check(Expectation::AtMost(1.0)), kind, "type"), None, "{kind:?}");
        }
    }

    #[test]
    fn blocking_findings_come_first_and_a_cut_among_them_still_blocks() {
        let warning = Finding::warning(FindingCode::CheckSlow, "few are left", "ask for more");
        let many: Vec<Finding> = (0..MOST_FINDINGS + 3)
            .map(|n| Finding::blocking(FindingCode::CheckRefused, format!("check {n}"), "correct it"))
            .collect();
        let arranged = arrange([vec![warning.clone(), warning.clone()], many].concat());
        assert_eq!(arranged.len(), MOST_FINDINGS + 1);
        assert!(arranged.iter().all(Finding::is_blocking), "{arranged:?}");
        assert_eq!(arranged.last().unwrap().what, "4 more findings are not listed");
        assert_eq!(arrange(vec![warning.clone(), warning.clone()]), [warning]);
    }

    #[test]
    fn a_long_sentence_is_cut_and_the_cause_names_all_that_blocks() {
        let long = Finding::blocking(FindingCode::CheckRefused, "é".repeat(10_000), "correct it");
        assert_eq!(long.what.chars().count(), LONGEST);
        let warning = Finding::warning(FindingCode::CheckSlow, "few are left", "ask for more");
        assert_eq!(blocking_cause(std::slice::from_ref(&warning)), None);
        let cause = blocking_cause(&[long, warning]).unwrap();
        assert!(cause.contains("[check-refused]: correct it; nothing was changed") && !cause.contains("few are left"));
    }

    #[test]
    fn every_code_is_listed_once() {
        let mut codes: Vec<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FindingCode::ALL.len());
    }
}
