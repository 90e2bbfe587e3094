//! Checks of the rewound data, their results, and the report that a person decides on.
//!
//! This module compares query results with what was expected; it never queries a database.

use crate::decimal::Decimal;
use crate::difference::Difference;
use crate::estimates::Estimates;
use crate::identity::ResourceIds;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A check: the first column of the only row that `sql` returns must meet `expectation`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// Through another type, because exactly one of three optional fields in JSON is a rule that serde cannot express.
#[serde(try_from = "Written", into = "Written")]
pub struct Check {
    /// The name that the report shows.
    pub name: String,
    /// The database that the query runs in.
    pub database: String,
    /// One query.
    pub sql: String,
    /// The condition that the result must meet.
    pub expectation: Expectation,
}

/// The condition that the result of a check must meet.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// The same text, or the same number.
    Expect(String),
    /// NULL, and no text.
    Null,
    /// A number that is not smaller.
    AtLeast(f64),
    /// A number that is not greater.
    AtMost(f64),
}

impl Expectation {
    /// Compares `found` with the condition; none is NULL. An error has a reason where the two values alone do not explain it.
    ///
    /// ```
    /// use rewind_core::Expectation;
    ///
    /// assert!(Expectation::Expect("2".to_owned()).met_by(Some("2.00")).is_ok());
    /// assert!(Expectation::AtLeast(10.0).met_by(Some("9")).is_err());
    /// assert_eq!(Expectation::AtMost(10.0).met_by(Some("many")).unwrap_err().as_deref(), Some("it is no number"));
    /// assert!(Expectation::Null.met_by(None).is_ok());
    /// ```
    pub fn met_by(&self, found: Option<&str>) -> Result<(), Option<String>> {
        let Some(found) = found else {
            return if *self == Self::Null { Ok(()) } else { Err(Some(NULL_FOUND.to_owned())) };
        };
        // As a decimal, not as f64: counts and sums of money go beyond the 15 digits that f64 keeps apart.
        let number = Decimal::parse(found);
        // Without the value, which stands beside it wherever it may be shown: notes go where values do not.
        let not_a_number = || Some("it is no number".to_owned());
        let met = match self {
            // Also for the text "NULL", which reads like what is expected.
            Self::Null => return Err(Some("it answered a text, not NULL".to_owned())),
            Self::Expect(text) => {
                // Databases print one number in several ways: 2, 2.0 and 2.00 are what somebody who wrote 2 expects.
                text == found
                    || Decimal::parse(text).zip(number).is_some_and(|(wanted, number)| wanted.cmp(&number).is_eq())
            }
            Self::AtLeast(least) => {
                Decimal::of(*least).zip(number).ok_or_else(not_a_number).map(|(least, number)| number >= least)?
            }
            Self::AtMost(most) => {
                Decimal::of(*most).zip(number).ok_or_else(not_a_number).map(|(most, number)| number <= most)?
            }
        };
        // The report shows both values beside each other, so a reason here would say them twice.
        if met { Ok(()) } else { Err(None) }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expect(text) => f.write_str(text),
            Self::Null => f.write_str("NULL"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

/// The note of a check that found NULL, beside an absent value.
const NULL_FOUND: &str = "it answered NULL";

/// A check in JSON: three optional fields, of which exactly one is present.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    name: String,
    database: String,
    sql: String,
    // Twice optional: absent, or null, which expects NULL.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    expect: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_least: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_most: Option<Bound>,
}

/// Reads a field that is present, be it null.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// A bound in JSON. A whole number has no decimal point, because people read the plan.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bound {
    Whole(i64),
    Number(f64),
}

impl Bound {
    /// 2^53: every whole `f64` below it is exactly one `i64`.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    fn of(number: f64) -> Self {
        // A request says 1000 and the plan must not say 1000.0: people compare the two.
        if number.fract() == 0.0 && number.abs() < Self::EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
            return Self::Whole(number as i64);
        }
        Self::Number(number)
    }

    fn number(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "JSON's own numbers are no more precise")]
            Self::Whole(number) => *number as f64,
            Self::Number(number) => *number,
        }
    }
}

impl TryFrom<Written> for Check {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let expectation = match (written.expect, written.at_least, written.at_most) {
            (Some(Some(text)), None, None) => Expectation::Expect(text),
            (Some(None), None, None) => Expectation::Null,
            (None, Some(least), None) => Expectation::AtLeast(least.number()),
            (None, None, Some(most)) => Expectation::AtMost(most.number()),
            _ => return Err(format!("check \"{}\" needs one of expect, atLeast and atMost", written.name)),
        };
        Ok(Self { name: written.name, database: written.database, sql: written.sql, expectation })
    }
}

impl From<Check> for Written {
    fn from(check: Check) -> Self {
        let mut written = Self {
            name: check.name,
            database: check.database,
            sql: check.sql,
            expect: None,
            at_least: None,
            at_most: None,
        };
        match check.expectation {
            Expectation::Expect(text) => written.expect = Some(Some(text)),
            Expectation::Null => written.expect = Some(None),
            Expectation::AtLeast(least) => written.at_least = Some(Bound::of(least)),
            Expectation::AtMost(most) => written.at_most = Some(Bound::of(most)),
        }
        written
    }
}

/// The result of a check's query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    /// The value as text, none for NULL; or the reason that there is neither.
    pub value: Result<Option<String>, String>,
    /// How long the query took.
    pub seconds: f64,
}

/// The result of a check, as the report shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// The database that the query ran in.
    pub database: String,
    /// The condition, as people read it.
    pub expected: String,
    /// The value in the rewound data; absent if the query returned none, or NULL, of which the note tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// True if the value meets the condition.
    pub passed: bool,
    /// The value on the source; absent if the query returned none there or was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How long the query took on the rewound data.
    pub seconds: f64,
    /// The reason for a failure that the values do not explain. It holds nothing of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The reason that the source returned no value. It holds nothing of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_note: Option<String>,
}

impl CheckResult {
    /// Compares the value in the rewound data with the condition. The value on the source is shown and decides nothing.
    // The source holds the mistake: a check that fails there is expected to.
    pub fn judge(check: &Check, restored: QueryResult, source: Option<QueryResult>) -> Self {
        let (found, passed, note) = match restored.value {
            Ok(value) => match check.expectation.met_by(value.as_deref()) {
                Ok(()) => {
                    let note = value.is_none().then(|| NULL_FOUND.to_owned());
                    (value, true, note)
                }
                Err(note) => (value, false, note),
            },
            Err(reason) => (None, false, Some(reason)),
        };
        // The source has the mistake in it, so its value says nothing about the rewound data. People compare the two.
        let (source, source_note) = match source.map(|answer| answer.value) {
            None => (None, None),
            Some(Ok(Some(value))) => (Some(value), None),
            Some(Ok(None)) => (None, Some(NULL_FOUND.to_owned())),
            Some(Err(reason)) => (None, Some(reason)),
        };
        Self {
            name: check.name.clone(),
            database: check.database.clone(),
            expected: check.expectation.to_string(),
            found,
            passed,
            source,
            seconds: restored.seconds,
            note,
            source_note,
        }
    }
}

impl CheckResult {
    /// The same without what was read: it goes where more people read than may read the data.
    #[must_use]
    pub fn without_values(self) -> Self {
        Self { found: None, source: None, ..self }
    }

    /// Renders the result with its values, for whoever may read the execution's history.
    pub fn with_values(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            let verdict = self.verdict();
            write!(f, "check \"{}\" in {} {verdict}: expected {}, ", self.name, self.database, self.expected)?;
            match (&self.found, &self.note) {
                (Some(found), None) => write!(f, "found {found}")?,
                (Some(found), Some(note)) => write!(f, "found {found} ({note})")?,
                (None, _) if self.passed => write!(f, "found NULL")?,
                (None, note) => write!(f, "found nothing: {}", note.as_deref().unwrap_or("no reason was given"))?,
            }
            match (&self.source, &self.source_note) {
                (Some(value), _) => write!(f, "; the source has {value}"),
                (None, Some(note)) => write!(f, "; on the source: {note}"),
                (None, None) => Ok(()),
            }
        })
    }

    fn verdict(&self) -> &'static str {
        if self.passed { "passed" } else { "failed" }
    }
}

impl fmt::Display for CheckResult {
    /// Renders the result without a value: a log, a mail, an event and a chat have more readers than the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check \"{}\" in {} {}", self.name, self.database, self.verdict())?;
        self.note.iter().filter(|_| !self.passed).try_for_each(|note| write!(f, ": {note}"))
    }
}

/// The number of rows of a table that a check reads, on both clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    /// The database.
    pub database: String,
    /// The table, with its schema.
    pub table: String,
    /// Rows in the rewound data; absent where they could not be counted.
    pub restored: Option<u64>,
    /// Rows in the source; absent where they could not be counted.
    pub source: Option<u64>,
    /// The reason that a count is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl fmt::Display for TableCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let render = |count: Option<u64>| count.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
        let (restored, source) = (render(self.restored), render(self.source));
        write!(f, "{} in {}: {restored} rows, {source} on the source", self.table, self.database)?;
        self.note.as_ref().map_or(Ok(()), |note| write!(f, " ({note})"))
    }
}

/// The protection of a connection to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Encrypted, and the server's certificate was verified for the endpoint's name.
    Verified,
    /// Encrypted, with an unverified server: there is no CA bundle to verify it with.
    Encrypted,
    /// Not encrypted: the server offers no TLS.
    None,
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verified => "TLS with a verified certificate",
            Self::Encrypted => "TLS without a verified certificate",
            Self::None => "no TLS",
        })
    }
}

/// The login that worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The database user.
    pub user: String,
    /// The version of the secret that held the password that worked.
    pub secret_version: String,
    /// How the connection was protected.
    pub tls: Tls,
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, secret version {}, {}", self.user, self.secret_version, self.tls)
    }
}

/// The report of a verification, which a person decides on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// True if every check passed.
    pub passed: bool,
    /// The reason why the recovery does not go on, with what to do next and without any value; none where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The login that the rewound data accepted.
    pub login: Login,
    /// The checks, in the order of the request.
    pub checks: Vec<CheckResult>,
    /// The tables that the checks read.
    pub tables: Vec<TableCount>,
    /// The tables of all databases and estimates of their rows; none where they could not be read, and in reports that are older than
    /// this field.
    // A part of what people approve, as all of a report is. Estimates change by themselves, but an approval does not end by that: they are
    // read before anybody is asked, and the report that the state machine keeps is the one that is shown and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<Estimates>,
    /// Other facts that a person should know.
    pub notes: Vec<String>,
    /// Differences from the source that only its databases and its secret show.
    // A report in the table may be older than this field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The first transaction id that the restored cluster had not given out yet, before anybody but AWS and this recovery wrote to it: by it
    /// rows are told apart that were written since. None on MySQL, and on a cluster of an earlier recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontier: Option<u64>,
    /// The resource ids of the cluster and the instances that were verified; empty in reports that are older than this field.
    #[serde(default, rename = "resourceIds")]
    pub resource_ids: ResourceIds,
}

impl Report {
    /// Makes a report, which has passed if every check has.
    pub fn new(login: Login, checks: Vec<CheckResult>, tables: Vec<TableCount>, notes: Vec<String>) -> Self {
        // Without checks nothing has failed; the rendering then says that none was given.
        let passed = checks.iter().all(|check| check.passed);
        Self {
            passed,
            failure: None,
            login,
            checks,
            tables,
            estimates: None,
            notes,
            differences: Vec::new(),
            frontier: None,
            resource_ids: ResourceIds::default(),
        }
    }
}

impl fmt::Display for Report {
    /// Renders the report in one line, the failed checks first, without a value of a check.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut checks: Vec<&CheckResult> = self.checks.iter().collect();
        // Step Functions cuts a cause at 32,768 characters, and chat much earlier: what failed must not be cut off.
        checks.sort_by_key(|check| check.passed);
        // One line for all: Step Functions shows a cause in a single line.
        let lines = checks.iter().map(ToString::to_string);
        let lines = lines.chain(self.tables.iter().map(ToString::to_string)).chain(self.notes.iter().cloned());
        f.write_str(&lines.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(expectation: Expectation) -> Check {
        Check { name: "n".into(), database: "d".into(), sql: "SELECT 1".into(), expectation }
    }

    fn answer(value: Result<&str, &str>) -> QueryResult {
        QueryResult { value: value.map(|text| Some(text.to_owned())).map_err(str::to_owned), seconds: 0.5 }
    }

    fn login() -> Login {
        Login { user: "u".into(), secret_version: "AWSCURRENT".into(), tls: Tls::Verified }
    }

    #[test]
    fn a_check_survives_json_as_the_plan_shows_it() {
        let cases = [
            (Expectation::Expect("2".into()), json!({ "expect": "2" })),
            (Expectation::Null, json!({ "expect": null })),
            (Expectation::AtLeast(1000.0), json!({ "atLeast": 1000 })),
            (Expectation::AtMost(-0.5), json!({ "atMost": -0.5 })),
        ];
        for (expectation, field) in cases {
            let mut expected = json!({ "name": "n", "database": "d", "sql": "SELECT 1" });
            expected.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
            let written = serde_json::to_value(check(expectation.clone())).unwrap();
            assert_eq!(written, expected);
            assert_eq!(serde_json::from_value::<Check>(written).unwrap(), check(expectation));
        }
    }

    #[test]
    fn a_check_with_no_or_two_expectations_is_refused() {
        let none = json!({ "name": "n", "database": "d", "sql": "s" });
        let two = json!({ "name": "n", "database": "d", "sql": "s", "expect": "1", "atLeast": 1 });
        let null = json!({ "name": "n", "database": "d", "sql": "s", "expect": null, "atLeast": 1 });
        for value in [none, two, null] {
            let error = serde_json::from_value::<Check>(value).unwrap_err();
            assert!(error.to_string().contains("needs one of expect, atLeast and atMost"), "{error}");
        }
    }

    #[test]
    fn text_is_compared_exactly() {
        let expectation = Expectation::Expect("open".into());
        assert_eq!(expectation.met_by(Some("open")), Ok(()));
        // A database pads CHAR columns and folds case in some collations: what a check expects is what it gets, or it
        // fails.
        for other in ["Open", "open ", " open", "", "opened"] {
            assert_eq!(expectation.met_by(Some(other)), Err(None), "{other:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_number_meets_no_bound_and_gives_the_reason() {
        // PostgreSQL's numeric has NaN and Infinity, which compare as larger than every bound.
        for text in ["", "NaN", "Infinity", "t", "1,000", "0x10", "1 000", "$5"] {
            assert!(Expectation::AtLeast(0.0).met_by(Some(text)).unwrap_err().is_some(), "{text:?}");
            assert!(Expectation::AtMost(0.0).met_by(Some(text)).unwrap_err().is_some(), "{text:?}");
        }
    }

    #[test]
    fn only_the_rewound_data_decides() {
        let wanted = check(Expectation::Expect("2".into()));
        let passed = CheckResult::judge(&wanted, answer(Ok("2")), Some(answer(Ok("0"))));
        assert!(passed.passed);
        assert_eq!(passed.source.as_deref(), Some("0"));
        let failed = CheckResult::judge(&wanted, answer(Ok("0")), Some(answer(Ok("2"))));
        assert!(!failed.passed);
        // The mistake may have dropped the table on the source, which is no reason to fail the rewound data.
        let missing = CheckResult::judge(&wanted, answer(Ok("2")), Some(answer(Err("the database is missing"))));
        assert!(missing.passed);
        assert_eq!(
            missing.with_values().to_string(),
            "check \"n\" in d passed: expected 2, found 2; on the source: the database is missing"
        );
    }

    #[test]
    fn null_is_met_by_null_alone() {
        let null = || QueryResult { value: Ok(None), seconds: 0.5 };
        let passed = CheckResult::judge(&check(Expectation::Null), null(), Some(answer(Ok("NULL"))));
        assert_eq!((passed.passed, passed.found.as_deref(), passed.source.as_deref()), (true, None, Some("NULL")));
        let shown = passed.with_values().to_string();
        assert_eq!(shown, "check \"n\" in d passed: expected NULL, found NULL; the source has NULL");
        for (expectation, found) in [
            (Expectation::Null, answer(Ok("NULL"))),
            (Expectation::Null, answer(Ok(""))),
            (Expectation::Null, answer(Err("it answered no row"))),
            (Expectation::Expect("NULL".into()), null()),
            (Expectation::Expect(String::new()), null()),
            (Expectation::AtMost(0.0), null()),
        ] {
            let failed = CheckResult::judge(&check(expectation), found, Some(null()));
            assert!(!failed.passed && failed.note.is_some(), "{failed}");
            // Beside a value the note explains; without one it tells that it was NULL.
            assert_eq!(failed.source_note.as_deref(), Some("it answered NULL"));
        }
    }

    #[test]
    fn no_value_is_a_failed_check_with_its_reason() {
        let result = CheckResult::judge(&check(Expectation::AtMost(5.0)), answer(Err("it answered no row")), None);
        assert!(!result.passed);
        assert_eq!(
            result.with_values().to_string(),
            "check \"n\" in d failed: expected at most 5, found nothing: it answered no row"
        );
        assert_eq!(result.to_string(), "check \"n\" in d failed: it answered no row");
    }

    #[test]
    fn a_report_passes_only_if_every_check_does_and_lists_failures_first() {
        let login = login();
        let wanted = check(Expectation::Expect("2".into()));
        let good = CheckResult::judge(&wanted, answer(Ok("2")), None);
        let bad = CheckResult::judge(&wanted, answer(Ok("1")), None);
        assert!(Report::new(login.clone(), vec![good.clone()], vec![], vec![]).passed);
        let report = Report::new(login, vec![good, bad], vec![], vec!["a note".into()]);
        assert!(!report.passed);
        let text = report.to_string();
        assert!(text.starts_with("check \"n\" in d failed"), "{text}");
        assert!(text.ends_with("; a note"), "{text}");
    }

    #[test]
    fn a_result_is_rendered_with_its_values_only_where_they_are_asked_for() {
        let canary = "canary";
        for expectation in [
            Expectation::Expect("2".into()),
            Expectation::Expect(canary.into()),
            Expectation::Null,
            Expectation::AtLeast(1.0),
            Expectation::AtMost(1.0),
        ] {
            let result = CheckResult::judge(&check(expectation), answer(Ok(canary)), Some(answer(Ok(canary))));
            let report = Report::new(login(), vec![result.clone()], Vec::new(), Vec::new());
            for told in [result.to_string(), report.to_string(), format!("{:?}", result.note)] {
                assert!(!told.contains(canary), "{told}");
            }
            let shown = result.with_values().to_string();
            assert!(shown.contains("found canary") && shown.contains("the source has canary"), "{shown}");
            let kept = result.without_values();
            assert_eq!((&kept.found, &kept.source), (&None, &None));
        }
    }

    proptest! {
        #[test]
        fn bounds_agree_with_integer_comparison(found in any::<i64>(), bound in -(1_i64 << 53)..(1_i64 << 53)) {
            #[expect(clippy::cast_precision_loss, reason = "the range is exact")]
            let number = bound as f64;
            prop_assert_eq!(Expectation::AtLeast(number).met_by(Some(&found.to_string())).is_ok(), found >= bound);
            prop_assert_eq!(Expectation::AtMost(number).met_by(Some(&found.to_string())).is_ok(), found <= bound);
        }

        #[test]
        fn a_number_expected_is_met_however_it_is_written(number in any::<i64>(), zeros in 0_usize..20, plus in any::<bool>()) {
            let plain = number.to_string();
            let sign = if plus && number >= 0 { "+" } else { "" };
            let padded = format!("{sign}{plain}.{}", "0".repeat(zeros + 1));
            prop_assert_eq!(Expectation::Expect(plain.clone()).met_by(Some(&padded)), Ok(()));
            prop_assert_eq!(Expectation::Expect(padded).met_by(Some(&plain)), Ok(()));
        }

        #[test]
        fn different_numbers_never_pass_for_equal(a in any::<i128>(), b in any::<i128>()) {
            prop_assert_eq!(Expectation::Expect(a.to_string()).met_by(Some(&b.to_string())).is_ok(), a == b);
        }

        #[test]
        fn judging_never_panics_and_text_always_equals_itself(text in ".*", other in ".*", bound in any::<f64>()) {
            prop_assert_eq!(Expectation::Expect(text.clone()).met_by(Some(&text)), Ok(()));
            let _ = Expectation::Expect(text.clone()).met_by(Some(&other));
            let _ = Expectation::AtLeast(bound).met_by(Some(&text));
            let _ = Expectation::AtMost(bound).met_by(Some(&text));
        }

        #[test]
        fn a_bound_survives_json(digits in -999_999_999_999_i64..999_999_999_999, places in 0_u32..9) {
            let bound: f64 = format!("{digits}e-{places}").parse().unwrap();
            for expectation in [Expectation::AtLeast(bound), Expectation::AtMost(bound)] {
                let there = serde_json::to_string(&check(expectation.clone())).unwrap();
                let back = serde_json::from_str::<Check>(&there).unwrap().expectation;
                prop_assert_eq!(back, expectation);
            }
        }
    }
}
