//! The request: the execution's input, the same from command line, chat, events and API.
//!
//! Reading collects every problem, with the field, the value, and what would be right.

use crate::check::{Check, Expectation};
use crate::error::StepError;
use crate::fields::{Fields, refused};
use crate::time::{Target, format_duration};
use crate::timeouts;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request for a recovery.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The cluster to rewind, in lower case as RDS keeps it.
    pub cluster: String,
    /// The moment to rewind to.
    pub to: Target,
    /// The requested strategy.
    pub strategy: Strategy,
    /// Allows a rewind of the source in place, which cuts its connections.
    pub in_place: InPlace,
    /// The name of the restored cluster; without one it is derived from cluster and target.
    pub new_cluster: Option<String>,
    /// The checks of the rewound data.
    pub checks: Vec<Check>,
    /// The time for each check.
    pub check_timeout: SignedDuration,
    /// The time for comparing all tables with the source before a person is asked; none to compare nothing.
    pub compare: Option<SignedDuration>,
    /// The records to move.
    pub dns: Vec<RecordRequest>,
    /// The secret with the login for checks and the fence; by default the cluster's managed master secret.
    pub secret_arn: Option<String>,
    /// The secret with the login that the checks run with; by default the deployment's, or the login of the fence.
    pub check_secret_arn: Option<String>,
    /// Decides if a person is asked before traffic moves.
    pub approval: Approval,
    /// The consent to data that neither a person nor a check has seen.
    pub unverified: Unverified,
    /// The time that the person has.
    pub approval_timeout: SignedDuration,
    /// The time after which a fence that still stands pages.
    pub fence_timeout: SignedDuration,
    /// The time for which the source is kept after the cutover.
    pub keep_source: SignedDuration,
    /// The time for which the restored cluster is kept where the recovery did not move traffic to it.
    pub keep_restored: SignedDuration,
    /// True to get the plan only, and change nothing.
    pub dry_run: bool,
    /// The id of the earlier recovery whose restored cluster is adopted.
    pub resume: Option<String>,
}

/// A request as a person wrote it: one that resumes a recovery may leave out everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The cluster, where it is named.
    pub cluster: Option<String>,
    /// The id of the recovery to resume.
    pub resume: Option<String>,
    /// True to get the plan only.
    pub dry_run: bool,
}

/// The way to rewind a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The choice is made by the facts, with its reasons in the plan.
    Auto,
    /// Side by side, by point-in-time restore.
    Restore,
    /// In place, by Backtrack.
    Backtrack,
}

/// The permission to rewind the source itself, with downtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InPlace {
    /// The source is never rewound.
    Forbidden,
    /// The source may be rewound, and is down meanwhile.
    Allowed,
}

/// The rule for asking a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    /// A person is asked.
    Required,
    /// Nobody is asked.
    None,
}

/// The rule for a recovery that gives data to clients which nobody has seen: no person is asked, and no check was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unverified {
    /// Such a request is refused.
    Refused,
    /// The request accepts it.
    Accepted,
}

/// The endpoint of a cluster that a record stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// The cluster endpoint, which follows the writer.
    Writer,
    /// The reader endpoint.
    Reader,
}

/// A DNS record to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordRequest {
    /// The hosted zone's id, without `/hostedzone/`.
    pub hosted_zone_id: String,
    /// The record's name, in lower case and without the dot at its end.
    pub name: String,
    /// The endpoint that it stands for; none to keep the kind of its present value.
    pub endpoint: Option<Endpoint>,
    /// The TTL up to which the record is moved, though clients keep its old value that long.
    pub accept_ttl: Option<SignedDuration>,
}

/// The longest TTL of a record that nobody has to accept.
pub const TTL_ACCEPTED: SignedDuration = SignedDuration::from_mins(5);

const FIELDS: [&str; 19] = [
    "cluster",
    "to",
    "strategy",
    "inPlace",
    "newCluster",
    "checks",
    "checkTimeout",
    "compare",
    "dns",
    "secretArn",
    "checkSecretArn",
    "approval",
    "unverified",
    "approvalTimeout",
    "fenceTimeout",
    "keepSource",
    "keepRestored",
    "dryRun",
    "resume",
];

/// The most bytes of a request, as JSON. Every step gets the plan, which holds it, and Step Functions passes 256 KiB at most.
const REQUEST_MAX: usize = 48 * 1024;
/// The most checks, and the most records. Beyond that neither the time of one verification nor a report has room for them.
const ENTRIES_MAX: usize = 100;
/// The most characters of a check's name.
const NAME_MAX: usize = 200;
/// The most characters of a database's name: MySQL's, which PostgreSQL's are within.
const DATABASE_MAX: usize = 64;

/// The longest time for an approval: the time limits of the state machine and the lease are computed from it.
pub const APPROVAL_TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The longest time for a check: all of them have to fit into one invocation of verify.
pub const CHECK_TIMEOUT_MAX: SignedDuration = SignedDuration::from_mins(10);

/// The time for comparing all tables, unless the request has another.
const COMPARE: SignedDuration = SignedDuration::from_mins(5);
/// The longest time for it: the lease and the events of an execution's history are computed with it.
pub const COMPARE_MAX: SignedDuration = SignedDuration::from_mins(20);

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] with every field that is wrong.
    ///
    /// ```
    /// use rewind_core::Request;
    /// use serde_json::json;
    ///
    /// let error = Request::parse(&json!({ "cluster": "orders", "to": "5m ago", "keepSource": "1440" })).unwrap_err();
    /// assert!(error.to_string().contains("`keepSource` is \"1440\": the unit is missing"));
    /// ```
    pub fn parse(input: &Value) -> Result<Self, StepError> {
        Self::read(input).map_err(|refused| refused.advice("correct the request and start another execution"))
    }

    /// Checks a request before it is sent. Where it resumes a recovery, the fields that it leaves out come from that
    /// recovery, and [`Request::parse`] reads the whole once they are there.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] with every field that is wrong.
    ///
    /// ```
    /// use rewind_core::Request;
    /// use serde_json::json;
    ///
    /// assert!(Request::check(&json!({ "resume": "rewind-orders-20261123-103000" })).is_ok());
    /// assert!(Request::check(&json!({ "dryRun": true })).is_err());
    /// ```
    pub fn check(input: &Value) -> Result<Asked, StepError> {
        let missing = |field: &str| input.get(field).is_none_or(Value::is_null);
        let mut whole = input.clone();
        if let (false, Some(fields)) = (missing("resume"), whole.as_object_mut()) {
            // Null takes a field of the earlier request away.
            fields.retain(|_, value| !value.is_null());
            // Only the state machine reads the earlier request. These stand in for it, so that what is given is checked.
            for (field, assumed) in [("cluster", "assumed"), ("to", "latest")] {
                fields.entry(field).or_insert_with(|| Value::from(assumed));
            }
        }
        let Self { cluster, resume, dry_run, .. } = Self::parse(&whole)?;
        Ok(Asked { cluster: (!missing("cluster")).then_some(cluster), resume, dry_run })
    }

    fn read(input: &Value) -> Result<Self, StepError> {
        let mut fields = Fields::of(input, "a JSON object with `cluster` and `to`")?;
        // Before anything of it is read: nothing further on has room for more.
        let size = input.to_string().len();
        if size > REQUEST_MAX {
            return Err(refused(&[format!(
                "the request has {size} bytes, and {REQUEST_MAX} are the most, most of them in `{}`: shorten that, such as by \
                 putting long SQL into a view or function that the check calls",
                largest(input)
            )]));
        }
        // Before all others, so that a misspelt field stands first among the problems.
        fields.refuse_unknown(&FIELDS);

        // RDS keeps identifiers in lower case and compares them without it; names and locks of ours are compared as
        // text.
        let cluster = fields.required("cluster").map(|name| name.to_ascii_lowercase());
        fields.check_identifier("cluster", cluster.as_deref());
        let to = fields
            .required("to")
            .and_then(|text| Target::parse(&text).map_err(|wrong| fields.problem("to", &wrong)).ok());
        let strategy = fields.word(
            "strategy",
            Strategy::Auto,
            &[("auto", Strategy::Auto), ("restore", Strategy::Restore), ("backtrack", Strategy::Backtrack)],
        );
        let in_place = fields.word(
            "inPlace",
            InPlace::Forbidden,
            &[("forbidden", InPlace::Forbidden), ("allowed", InPlace::Allowed)],
        );
        let new_cluster = fields.text("newCluster").map(|name| name.to_ascii_lowercase());
        fields.check_identifier("newCluster", new_cluster.as_deref());
        // RDS would refuse it too, but an hour later, after the lease and the approval.
        if new_cluster.is_some() && new_cluster == cluster {
            fields.problem("newCluster", "it is the cluster itself: a restore makes a new one, choose another name");
        }
        let approval =
            fields.word("approval", Approval::Required, &[("required", Approval::Required), ("none", Approval::None)]);
        let unverified = fields.word(
            "unverified",
            Unverified::Refused,
            &[("refused", Unverified::Refused), ("accepted", Unverified::Accepted)],
        );
        let hours = SignedDuration::from_hours;
        let approval_timeout =
            fields.duration("approvalTimeout", hours(1), SignedDuration::from_secs(1), APPROVAL_TIMEOUT_MAX);
        let minutes = SignedDuration::from_mins;
        let fence_timeout = fields.duration("fenceTimeout", minutes(15), minutes(1), hours(24));
        // 35 days is the longest time for which RDS keeps backups: beyond that nobody expects a state to be there.
        let keep_source = fields.duration("keepSource", hours(7 * 24), hours(1), hours(35 * 24));
        // A day by default: whoever is woken at night goes on from it the next morning.
        let keep_restored = fields.duration("keepRestored", hours(24), hours(1), hours(35 * 24));
        // The default changes something, so a mistyped value must be an error and never fall back to the default.
        let dry_run = fields.flag("dryRun");
        let resume = fields.text("resume");
        let [secret_arn, check_secret_arn] =
            ["secretArn", "checkSecretArn"].map(|field| read_secret(&mut fields, field));
        let checks = fields.list("checks", read_check);
        let check_timeout = fields.duration(
            "checkTimeout",
            SignedDuration::from_secs(timeouts::CHECK.as_secs().cast_signed()),
            SignedDuration::from_secs(1),
            CHECK_TIMEOUT_MAX,
        );
        // With the default, many checks are known to be quick ones, and nobody has promised each its minute.
        if fields.object.contains_key("checkTimeout") {
            check_time_for_all(&mut fields, checks.len(), check_timeout);
        }
        let compare = read_compare(&mut fields);
        let dns = fields.list("dns", read_record);
        for (field, count) in [("checks", checks.len()), ("dns", dns.len())] {
            if count > ENTRIES_MAX {
                fields.problem(field, &format!("there are {count} of them, and {ENTRIES_MAX} are the most"));
            }
        }
        find_repeated(&mut fields, &checks, &dns);

        match (cluster, to) {
            (Some(cluster), Some(to)) if fields.problems.is_empty() => Ok(Self {
                cluster,
                to,
                strategy,
                in_place,
                new_cluster,
                checks,
                check_timeout,
                compare,
                dns,
                secret_arn,
                check_secret_arn,
                approval,
                unverified,
                approval_timeout,
                fence_timeout,
                keep_source,
                keep_restored,
                dry_run,
                resume,
            }),
            _ => Err(refused(&fields.problems)),
        }
    }
}

/// Reads the time for comparing all tables; none where they are not to be compared.
fn read_compare(fields: &mut Fields<'_>) -> Option<SignedDuration> {
    let is_none = fields.value("compare").is_some_and(|value| value == "none");
    (!is_none).then(|| fields.duration("compare", COMPARE, SignedDuration::from_secs(10), COMPARE_MAX))
}

/// Refuses more checks of that length than verify has time for, so that none is left when its time is over.
fn check_time_for_all(fields: &mut Fields<'_>, checks: usize, each: SignedDuration) {
    let at_once = timeouts::CHECKS_AT_ONCE;
    let rounds = u32::try_from(checks.div_ceil(at_once)).unwrap_or(u32::MAX);
    let all = each.unsigned_abs().saturating_mul(rounds);
    if all > timeouts::CHECKING {
        fields.problem(
            "checkTimeout",
            &format!(
                "{checks} checks of up to {} take longer than {}, which is what verify has for all ({at_once} run at \
                 once): shorten it, or name fewer checks",
                format_duration(each),
                format_duration(SignedDuration::from_secs(timeouts::CHECKING.as_secs().cast_signed()))
            ),
        );
    }
}

/// Names the field that takes most of a request.
fn largest(input: &Value) -> &str {
    let fields = input.as_object().into_iter().flatten();
    fields.max_by_key(|(_, value)| value.to_string().len()).map_or("", |(name, _)| name.as_str())
}

fn read_secret(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    let arn = fields.text(field);
    // A name would do for Secrets Manager, but the roles are allowed ARNs, and a secret may be in another account.
    if arn.as_deref().is_some_and(|arn| !is_secret_arn(arn)) {
        fields.problem(field, "write the secret's ARN, arn:aws:secretsmanager:<region>:<account>:secret:<name>");
    }
    arn
}

fn is_secret_arn(arn: &str) -> bool {
    // The partition is not compared: GovCloud and China have others than `aws`.
    let mut parts = arn.split(':');
    parts.next() == Some("arn") && parts.nth(1) == Some("secretsmanager") && parts.nth(2) == Some("secret")
}

/// Refuses checks of one name, which the report could not tell apart, and records of several zones, which cannot move in one batch.
fn find_repeated(fields: &mut Fields<'_>, checks: &[Check], dns: &[RecordRequest]) {
    for (i, check) in checks.iter().enumerate() {
        if checks.iter().take(i).any(|other| other.name == check.name) {
            fields.problem("checks", &format!("two checks are named \"{}\": give each a name of its own", check.name));
        }
    }
    for (i, record) in dns.iter().enumerate() {
        if dns.iter().take(i).any(|other| other.name == record.name) {
            fields.problem("dns", &format!("{} comes twice: name each record once", record.name));
        }
        if dns.first().is_some_and(|first| first.hosted_zone_id != record.hosted_zone_id) {
            fields.problem(
                "dns",
                "the records are in several hosted zones: Route 53 moves records as one only within a zone, so a \
                 recovery moves those of one",
            );
        }
    }
}

fn read_check(fields: &mut Fields<'_>) -> Option<Check> {
    fields.refuse_unknown(&["name", "database", "sql", "expect", "atLeast", "atMost"]);
    let name = fields.required("name");
    let database = fields.required("database");
    for (field, text, most) in [("name", &name, NAME_MAX), ("database", &database, DATABASE_MAX)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > most) {
            fields.problem(field, &format!("{most} characters are the most"));
        }
    }
    let sql = fields.required("sql");
    // The one null with a meaning: SQL's own.
    let expect = match fields.object.get("expect") {
        Some(Value::Null) => Some(Expectation::Null),
        _ => fields.scalar("expect").map(Expectation::Expect),
    };
    let at_least = fields.number("atLeast").map(Expectation::AtLeast);
    let at_most = fields.number("atMost").map(Expectation::AtMost);
    let given: Vec<Expectation> = [expect, at_least, at_most].into_iter().flatten().collect();
    // Counted by presence, so that an expectation with a wrong value is not reported as missing too.
    let written = ["expect", "atLeast", "atMost"].iter().filter(|f| fields.object.contains_key(**f)).count();
    if written != 1 {
        fields.here("give one of `expect` (text, number or null), `atLeast` or `atMost` (a number)");
    }
    let expectation = given.into_iter().next()?;
    Some(Check { name: name?, database: database?, sql: sql?, expectation })
}

fn read_record(fields: &mut Fields<'_>) -> Option<RecordRequest> {
    fields.refuse_unknown(&["hostedZoneId", "name", "endpoint", "acceptTtl"]);
    // The console and the API show the id with this prefix, and people paste it as it is.
    let zone = fields.required("hostedZoneId").map(|id| id.trim_start_matches("/hostedzone/").to_owned());
    if zone
        .as_deref()
        .is_some_and(|id| id.is_empty() || id.len() > 32 || !id.chars().all(|c| c.is_ascii_alphanumeric()))
    {
        fields.problem("hostedZoneId", "write the zone's id, such as Z0123456789ABC");
    }
    let name = fields.required("name").map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    match name.as_deref() {
        // Nobody could ask for it by name after the cutover, and it answers for names of other clusters too.
        Some(name) if is_wildcard(name) => fields.problem(
            "name",
            "a wildcard is not moved: make a CNAME of its own for each name that clients use, such as db.example.com, and name \
             those; or leave it out, and change it by hand after the cutover",
        ),
        Some(name) if !is_host_name(name) => fields.problem("name", "write a full DNS name, such as db.example.com"),
        _ => {}
    }
    let endpoint =
        fields.word("endpoint", None, &[("writer", Some(Endpoint::Writer)), ("reader", Some(Endpoint::Reader))]);
    let accept_ttl = fields.object.contains_key("acceptTtl").then(|| {
        // Route 53 takes TTLs of up to 68 years; whoever has one of a month has time to lower it.
        fields.duration("acceptTtl", TTL_ACCEPTED, SignedDuration::from_secs(1), SignedDuration::from_hours(7 * 24))
    });
    Some(RecordRequest { hosted_zone_id: zone?, name: name?, endpoint, accept_ttl })
}

/// True for a name with a wildcard, as people write it or as Route 53 lists it.
fn is_wildcard(name: &str) -> bool {
    name.split('.').any(|label| ["*", "\\052"].contains(&label))
}

fn is_host_name(name: &str) -> bool {
    // An underscore is in no host name by the standard, but zones have such records and Route 53 takes them.
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::{Strategy, *};
    use crate::error::ErrorName;
    use proptest::prelude::{Strategy as Generate, *};
    use serde_json::json;

    fn with(field: &str, value: Value) -> Value {
        let mut request = json!({ "cluster": "my-aurora-cluster", "to": "5m ago" });
        request[field] = value;
        request
    }

    #[test]
    fn the_smallest_request_gets_the_safe_defaults() {
        let request = Request::parse(&json!({ "cluster": "My-Aurora-Cluster", "to": "latest" })).unwrap();
        assert_eq!(request.cluster, "my-aurora-cluster");
        assert_eq!((request.strategy, request.in_place), (Strategy::Auto, InPlace::Forbidden));
        assert_eq!((request.approval, request.dry_run), (Approval::Required, false));
        assert_eq!(format_duration(request.keep_source), "7d");
        assert_eq!(format_duration(request.keep_restored), "1d");
    }

    #[test]
    fn each_wrong_field_is_named_with_its_value_and_what_would_be_right() {
        for (field, value, expected) in [
            ("cluster", json!("1st"), "`cluster` is \"1st\": an identifier begins with a letter"),
            ("cluster", json!(7), "`cluster` is 7: write it as text"),
            ("to", json!("2026-11-23T10:30:00"), "the offset is missing"),
            ("to", json!(1440), "`to` is 1440: the unit is missing"),
            ("strategy", json!("snapshot"), "`strategy` is \"snapshot\": write auto or restore or backtrack"),
            // A boolean reads like a permission that has been given, but the field has words so that `true` is never a
            // habit.
            ("inPlace", json!(true), "`inPlace` is true"),
            ("newCluster", json!("my-aurora-cluster"), "it is the cluster itself"),
            ("newCluster", json!("a--b"), "no two in a row"),
            ("checks", json!({}), "`checks` is {}: write a list"),
            ("checks", json!([{ "name": "a", "database": "d", "sql": "s" }]), "`checks[0]`: give one of `expect`"),
            ("checks", json!([{ "name": "a", "database": "d", "sql": "s", "atLeast": "many" }]), "`checks[0].atLeast`"),
            ("dns", json!([{ "name": "db.example.com" }]), "`dns[0].hostedZoneId` is missing"),
            ("dns", json!([{ "hostedZoneId": "Z1", "name": "db" }]), "`dns[0].name` is \"db\""),
            (
                "dns",
                json!([{ "hostedZoneId": "Z1", "name": "*.example.com." }]),
                "`dns[0].name` is \"*.example.com.\": a wildcard is not moved: make a CNAME",
            ),
            ("dns", json!([{ "hostedZoneId": "Z1", "name": "\\052.example.com" }]), "a wildcard is not moved"),
            ("dns", json!([{ "hostedZoneId": "Z1", "name": "a*.example.com" }]), "write a full DNS name"),
            ("dns", json!([7]), "`dns[0]` is 7: write an object"),
            (
                "dns",
                json!([{ "hostedZoneId": "Z1", "name": "db.example.com", "acceptTtl": 3600 }]),
                "`dns[0].acceptTtl` is 3600: write it as text",
            ),
            ("secretArn", json!("my-secret"), "write the secret's ARN"),
            ("checkSecretArn", json!("my-secret"), "`checkSecretArn` is \"my-secret\": write the secret's ARN"),
            ("approval", json!("maybe"), "write required or none"),
            ("approvalTimeout", json!("1440"), "1440 seconds would be \"24m\", 1440 minutes \"1d\""),
            ("approvalTimeout", json!("2d"), "it goes from 1s to 1d"),
            ("checkTimeout", json!("60"), "the unit is missing"),
            ("checkTimeout", json!("11m"), "it goes from 1s to 10m"),
            ("checkTimeout", json!("0s"), "it goes from 1s to 10m"),
            ("compare", json!("2h"), "it goes from 10s to 20m"),
            ("compare", json!("5"), "the unit is missing"),
            ("compare", json!(false), "write it as text"),
            ("fenceTimeout", json!("30s"), "it goes from 1m to 1d"),
            ("keepSource", json!(7), "the unit is missing"),
            (
                "keepSource",
                json!("1 month"),
                "`keepSource` is \"1 month\": months and years differ in length: write days",
            ),
            ("keepSource", json!("0s"), "it goes from 1h to 35d"),
            ("keepRestored", json!("30m"), "`keepRestored` is \"30m\": it goes from 1h to 35d"),
            ("dryRun", json!("yes"), "write true or false"),
            ("resume", json!(7), "`resume` is 7: write it as text"),
            // The most dangerous misspelling: ignored, it would start the recovery.
            ("dry_run", json!(true), "`dry_run` is no field of a request: `dryRun` was meant, perhaps"),
            ("colour", json!("red"), "the fields are cluster, to,"),
            ("unverified", json!(true), "`unverified` is true"),
            ("dns", json!([null]), "`dns[0]` is null: write an object"),
        ] {
            let error = Request::parse(&with(field, value)).unwrap_err();
            assert_eq!(error.name, ErrorName::InvalidRequest);
            assert!(error.to_string().contains(expected), "{error}\nlacks {expected}");
        }
    }

    #[test]
    fn null_is_refused_in_every_field_and_never_taken_for_absent() {
        let null = |at: &str| format!("`{at}` is null: leave it out, or give it a value");
        for field in FIELDS {
            let error = Request::parse(&with(field, Value::Null)).unwrap_err().to_string();
            assert_eq!(error.matches(&null(field)).count(), 1, "{error}");
            // One problem, told once.
            assert!(!error.contains(&format!("`{field}` is null: it is needed")), "{error}");
        }
        let check = json!({ "name": "n", "database": "d", "sql": "s", "expect": "1" });
        for field in ["name", "database", "sql", "atLeast", "atMost"] {
            let mut check = check.clone();
            check[field] = Value::Null;
            let error = Request::parse(&with("checks", json!([check]))).unwrap_err().to_string();
            assert!(error.contains(&null(&format!("checks[0].{field}"))), "{error}");
        }
        for field in ["hostedZoneId", "name", "endpoint"] {
            let mut record = json!({ "hostedZoneId": "Z1", "name": "db.example.com" });
            record[field] = Value::Null;
            let error = Request::parse(&with("dns", json!([record]))).unwrap_err().to_string();
            assert!(error.contains(&null(&format!("dns[0].{field}"))), "{error}");
        }
        // The one that means something: SQL's own.
        let mut check = check;
        check["expect"] = Value::Null;
        let request = Request::parse(&with("checks", json!([check.clone()]))).unwrap();
        assert_eq!(request.checks[0].expectation, Expectation::Null);
        check["atMost"] = json!(1);
        assert!(Request::parse(&with("checks", json!([check]))).is_err());
    }

    #[test]
    fn a_request_that_no_step_could_carry_is_refused_with_its_size() {
        let check = |n: usize, sql: &str| json!({ "name": format!("n{n}"), "database": "d", "sql": sql, "expect": 1 });
        let record = |n: usize| json!({ "hostedZoneId": "Z1", "name": format!("db{n}.example.com") });
        let checks = |count, sql: &str| with("checks", (0..count).map(|n| check(n, sql)).collect());
        let records = |count| with("dns", (0..count).map(record).collect());
        for (request, message) in [
            (checks(1, &"x".repeat(100_000)), "the request has 100"),
            (checks(1, &"x".repeat(100_000)), "bytes, and 49152 are the most, most of them in `checks`"),
            (checks(101, "SELECT 1"), "there are 101 of them, and 100 are the most"),
            (records(101), "there are 101 of them, and 100 are the most"),
            (
                with(
                    "checks",
                    json!([check(0, "s"), { "name": "n".repeat(201), "database": "d", "sql": "s", "expect": 1 }]),
                ),
                "200 characters are the most",
            ),
            (
                with("checks", json!([{ "name": "n", "database": "d".repeat(65), "sql": "s", "expect": 1 }])),
                "64 characters are the most",
            ),
        ] {
            let error = Request::parse(&request).unwrap_err().to_string();
            assert!(error.contains(message) && error.len() < 10_000, "{error}\nlacks {message}");
        }
        assert_eq!(Request::parse(&checks(100, "SELECT 1")).unwrap().checks.len(), 100);
        assert_eq!(Request::parse(&records(100)).unwrap().dns.len(), 100);
    }

    #[test]
    fn a_hundred_problems_are_no_longer_than_twenty() {
        let checks: Vec<Value> = (0..90).map(|n| json!({ "x".repeat(400): n })).collect();
        let error = Request::parse(&with("checks", json!(checks))).unwrap_err().to_string();
        assert!(error.len() < 20_000 && error.contains("more of this kind"), "{} bytes: {error}", error.len());
    }

    #[test]
    fn a_request_that_resumes_may_leave_out_all_that_the_earlier_one_has() {
        let asked = Request::check(&json!({ "resume": "r-1", "dryRun": true })).unwrap();
        assert_eq!(asked, Asked { cluster: None, resume: Some("r-1".to_owned()), dry_run: true });
        let named = Request::check(&json!({ "resume": "r-1", "cluster": "Orders" })).unwrap();
        assert_eq!((named.cluster.as_deref(), named.dry_run), (Some("orders"), false));
        // Without the record nothing stands in for them.
        let error = Request::parse(&json!({ "resume": "r-1" })).unwrap_err().to_string();
        assert!(error.contains("`cluster` is missing") && error.contains("`to` is missing"), "{error}");
        // What is given is checked before anything is started, and `resume` alone lifts the need for the rest.
        for wrong in [json!({ "resume": "r-1", "keepSource": 7 }), json!({ "resume": null }), json!({ "resume": " " })]
        {
            assert_eq!(Request::check(&wrong).unwrap_err().name, ErrorName::InvalidRequest, "{wrong}");
        }
        // Null takes a field of the earlier request away, so it is no value of this one.
        assert!(Request::check(&json!({ "resume": "r-1", "checks": null, "keepSource": null })).is_ok());
        assert!(Request::check(&json!({ "cluster": "orders", "to": "latest", "checks": null })).is_err());
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let error = Request::parse(&json!({ "to": "soon", "dns": 1, "x": 2 })).unwrap_err().to_string();
        for field in ["`cluster` is missing", "`to` is \"soon\"", "`dns` is 1", "`x` is no field"] {
            assert!(error.contains(field), "{error}\nlacks {field}");
        }
    }

    #[test]
    fn records_of_two_zones_are_refused_because_they_cannot_move_as_one() {
        let dns = json!([
            { "hostedZoneId": "Z1", "name": "a.example.com" },
            { "hostedZoneId": "Z2", "name": "b.example.com" },
        ]);
        assert!(Request::parse(&with("dns", dns)).unwrap_err().to_string().contains("several hosted zones"));
    }

    #[test]
    fn a_check_keeps_its_expectation_under_the_name_it_was_written_with() {
        let check = json!({ "name": "n", "database": "d", "sql": "SELECT 1", "atLeast": 1 });
        let request = Request::parse(&with("checks", json!([check]))).unwrap();
        assert_eq!(serde_json::to_value(&request.checks).unwrap(), json!([check]));
    }

    /// JSON with the request's own field names in it, and anything as their values.
    fn anything() -> impl Generate<Value = Value> {
        // Half of the values are near to right ones: pure noise never gets past the first check of a field.
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            "[0-9]{1,3}[smhd]( ago)?".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let names: Vec<&str> = FIELDS.iter().chain(&["name", "sql", "database", "expect"]).copied().collect();
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(names), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic_and_every_refusal_names_a_field(input in anything()) {
            if let Err(error) = Request::parse(&input) {
                prop_assert_eq!(error.name, ErrorName::InvalidRequest);
                prop_assert!(error.to_string().contains('`'));
            }
        }
    }
}
