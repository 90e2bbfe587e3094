//! The arguments of each command, for clap in the terminal and in chat. Values are not validated here: the request does
//! that, with the same messages from wherever it comes.

use crate::id::recovery_id;
use crate::shorthand::{parse_check, parse_record};
use clap::Args;
use serde_json::{Map, Value};

/// A request: the cluster, the moment, and every other field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct RequestArgs {
    /// The cluster to rewind
    pub cluster: Option<String>,
    /// The moment to rewind to: 5m ago, 5 minutes ago, 2026-11-23T10:30:00Z or latest
    pub to: Vec<String>,
    /// Every other field.
    #[command(flatten)]
    pub options: RequestOptions,
}

/// The fields of a request besides the cluster and the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct RequestOptions {
    /// How: auto, restore (side by side) or backtrack (in place)
    #[arg(long, value_name = "HOW")]
    pub strategy: Option<String>,
    /// The source may be rewound in place, with all its connections cut
    #[arg(long)]
    pub in_place: bool,
    /// The name of the restored cluster
    #[arg(long, value_name = "NAME")]
    pub new_cluster: Option<String>,
    /// A check of the rewound data: "[name] database: SQL => 2" (or: => at least 2, => at most 2, => is null)
    #[arg(long, value_name = "CHECK")]
    pub check: Vec<String>,
    /// A record to move: ZONE:NAME, or ZONE:NAME:reader for one of the reader endpoint
    #[arg(long, value_name = "RECORD")]
    pub dns: Vec<String>,
    /// The secret with the login for the fence, and for checks without one of their own; otherwise the cluster's managed master secret
    #[arg(long, value_name = "ARN")]
    pub secret: Option<String>,
    /// The secret with the login that the checks run with: rights to read and no more
    #[arg(long, value_name = "ARN")]
    pub check_secret: Option<String>,
    /// Ask a person before traffic moves: required or none
    #[arg(long, value_name = "APPROVAL")]
    pub approval: Option<String>,
    /// Nobody is asked and no check was given: clients get data that nobody has seen
    #[arg(long)]
    pub unverified: bool,
    /// How long people have to decide, such as 1h
    #[arg(long, value_name = "TIME")]
    pub approval_timeout: Option<String>,
    /// How long each check may take, such as 5m; up to 10m
    #[arg(long, value_name = "TIME")]
    pub check_timeout: Option<String>,
    /// How long all tables may be compared with the source before a person is asked, such as 5m; up to 20m, or none
    #[arg(long, value_name = "TIME")]
    pub compare: Option<String>,
    /// How long a fence may stand before it pages, such as 15m; from 1m to 1d
    #[arg(long, value_name = "TIME")]
    pub fence_timeout: Option<String>,
    /// How long the source is kept after the switch, such as 7d
    #[arg(long, value_name = "TIME")]
    pub keep_source: Option<String>,
    /// How long the restored cluster is kept where no traffic moved to it, such as 1d
    #[arg(long, value_name = "TIME")]
    pub keep_restored: Option<String>,
}

impl RequestArgs {
    /// Merges these arguments into `base`. An argument overrides the field that is there; a list is replaced as a whole.
    ///
    /// # Errors
    ///
    /// An explanation for the person, where a check or a record cannot be parsed or `base` is no object.
    pub fn request(&self, base: Value, dry_run: bool) -> Result<Value, String> {
        let mut request = fields_of(base)?;
        // Several words, so that "5m ago" needs no quotes.
        let to = (!self.to.is_empty()).then(|| self.to.join(" "));
        put(&mut request, "cluster", &self.cluster);
        put(&mut request, "to", &to);
        let mut request = self.options.merge(request)?;
        // The command decides: `rewind start` with a file that was used for a plan must not make another plan.
        request.insert("dryRun".to_owned(), Value::Bool(dry_run));
        Ok(Value::Object(request))
    }
}

impl RequestOptions {
    /// Overrides the fields that are given here.
    fn merge(&self, mut request: Map<String, Value>) -> Result<Map<String, Value>, String> {
        put(&mut request, "strategy", &self.strategy);
        // The flag can only allow: without it the decision of the file stands.
        put(&mut request, "inPlace", &self.in_place.then(|| "allowed".to_owned()));
        put(&mut request, "newCluster", &self.new_cluster);
        put(&mut request, "secretArn", &self.secret);
        put(&mut request, "checkSecretArn", &self.check_secret);
        put(&mut request, "approval", &self.approval);
        // As above: without the flag the decision of the file stands.
        put(&mut request, "unverified", &self.unverified.then(|| "accepted".to_owned()));
        put(&mut request, "approvalTimeout", &self.approval_timeout);
        put(&mut request, "checkTimeout", &self.check_timeout);
        put(&mut request, "compare", &self.compare);
        put(&mut request, "fenceTimeout", &self.fence_timeout);
        put(&mut request, "keepSource", &self.keep_source);
        put(&mut request, "keepRestored", &self.keep_restored);
        if !self.check.is_empty() {
            // In place of the list of the file: merged, it would run checks that the command line does not show.
            let checks: Result<Vec<Value>, String> = self.check.iter().map(|text| parse_check(text)).collect();
            request.insert("checks".to_owned(), Value::Array(checks?));
        }
        if !self.dns.is_empty() {
            let records: Result<Vec<Value>, String> = self.dns.iter().map(|text| parse_record(text)).collect();
            request.insert("dns".to_owned(), Value::Array(records?));
        }
        Ok(request)
    }
}

fn fields_of(base: Value) -> Result<Map<String, Value>, String> {
    match base {
        Value::Object(fields) => Ok(fields),
        _ => Err("the request is no JSON object: write { \"cluster\": \"…\", \"to\": \"…\" }".to_owned()),
    }
}

fn put(request: &mut Map<String, Value>, field: &str, value: &Option<String>) {
    if let Some(value) = value {
        request.insert(field.to_owned(), Value::String(value.clone()));
    }
}

/// A request and the name of its recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StartArgs {
    /// The request.
    #[command(flatten)]
    pub request: RequestArgs,
    /// The recovery's name; otherwise rewind-<cluster>-<time>
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// A recovery to resume, and the fields that shall differ from its request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ResumeArgs {
    /// The recovery whose restored cluster is adopted; every option that is left out is as it was there
    pub id: String,
    /// The fields.
    #[command(flatten)]
    pub options: RequestOptions,
    /// The name of the new recovery; otherwise rewind-<cluster>-<time>
    #[arg(long, visible_alias = "id", value_name = "NAME")]
    pub name: Option<String>,
    /// Show the plan only; nothing is changed
    #[arg(long)]
    pub dry_run: bool,
}

impl ResumeArgs {
    /// The id of the recovery to resume.
    pub fn resumed(&self) -> &str {
        recovery_id(&self.id)
    }

    /// Merges these arguments into `base`, as [`RequestArgs::request`] does.
    ///
    /// # Errors
    ///
    /// An explanation for the person, where a check or a record cannot be parsed or `base` is no object.
    pub fn request(&self, base: Value) -> Result<Map<String, Value>, String> {
        let mut request = self.options.merge(fields_of(base)?)?;
        request.insert("resume".to_owned(), Value::from(self.resumed()));
        request.insert("dryRun".to_owned(), Value::Bool(self.dry_run));
        Ok(request)
    }
}

/// One recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StatusArgs {
    /// The recovery, by its name; otherwise one that waits for approval, one that runs, or the latest
    pub id: Option<String>,
}

/// A choice of recoveries.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListArgs {
    /// Only the recoveries of this cluster
    pub cluster: Option<String>,
    /// At most so many, the latest first
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
}

/// A decision on a recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DecisionArgs {
    /// The recovery that waits for it
    pub id: String,
    /// The reason, for those who read it later
    pub comment: Vec<String>,
    /// The hash of what was shown, or at least its first six characters
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
}

impl DecisionArgs {
    /// Joins the comment into one text; none if it is blank.
    pub fn comment(&self) -> Option<String> {
        let comment = self.comment.join(" ");
        (!comment.trim().is_empty()).then(|| comment.trim().to_owned())
    }
}

/// The recovery to undo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct UndoArgs {
    /// The recovery to undo
    pub id: String,
    /// The source's name, to confirm that its traffic shall return to it now
    #[arg(long, value_name = "CLUSTER")]
    pub confirm: Option<String>,
}

/// A cluster and the window that it shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct WindowArgs {
    /// The cluster
    pub cluster: String,
    /// The new window, such as 24h or 3d, or off; without it nothing is changed
    pub window: Option<String>,
    /// The confirmation that the refusal of a change that cannot be undone asks for
    #[arg(long, value_name = "TEXT")]
    pub confirm: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use rewind_core::Request;
    use serde_json::json;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: RequestArgs,
    }

    fn parse(args: &[&str]) -> RequestArgs {
        Cli::try_parse_from([&["rewind"], args].concat()).unwrap().args
    }

    #[test]
    fn a_cluster_and_a_time_are_enough_and_need_no_quotes() {
        let request = parse(&["my-aurora-cluster", "5m", "ago"]).request(json!({}), true).unwrap();
        assert_eq!(request, json!({ "cluster": "my-aurora-cluster", "to": "5m ago", "dryRun": true }));
    }

    #[test]
    fn every_field_of_a_request_has_an_argument() {
        let args = parse(&[
            "orders",
            "2026-11-23T10:30:00Z",
            "--strategy",
            "restore",
            "--in-place",
            "--new-cluster",
            "orders-2",
            "--check",
            "[rows are back] shop: SELECT count(*) FROM orders => 2",
            "--check",
            "shop: SELECT 1 => at least 1",
            "--dns",
            "Z1:db.example.com",
            "--dns",
            "Z1:ro.example.com:reader",
            "--secret",
            "arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "--check-secret",
            "arn:aws:secretsmanager:eu-west-1:1:secret:reader",
            "--approval",
            "none",
            "--unverified",
            "--approval-timeout",
            "2h",
            "--check-timeout",
            "5m",
            "--compare",
            "10m",
            "--fence-timeout",
            "5m",
            "--keep-source",
            "3d",
            "--keep-restored",
            "2d",
        ]);
        let request = args.request(json!({}), false).unwrap();
        let expected = json!({
            "cluster": "orders", "to": "2026-11-23T10:30:00Z", "strategy": "restore", "inPlace": "allowed",
            "newCluster": "orders-2",
            "checks": [
                { "name": "rows are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "2" },
                { "name": "SELECT 1", "database": "shop", "sql": "SELECT 1", "atLeast": 1.0 },
            ],
            "dns": [
                { "hostedZoneId": "Z1", "name": "db.example.com" },
                { "hostedZoneId": "Z1", "name": "ro.example.com", "endpoint": "reader" },
            ],
            "secretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "checkSecretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:reader", "approval": "none",
            "unverified": "accepted", "approvalTimeout": "2h", "checkTimeout": "5m", "compare": "10m", "fenceTimeout": "5m", "keepSource": "3d",
            "keepRestored": "2d", "dryRun": false,
        });
        assert_eq!(request, expected);
        Request::parse(&request).unwrap();
    }

    #[test]
    fn arguments_override_the_file_and_the_command_decides_about_the_dry_run() {
        let file = json!({ "cluster": "orders", "to": "latest", "dryRun": true, "keepSource": "1d" });
        let request = parse(&["payments"]).request(file, false).unwrap();
        let expected = json!({ "cluster": "payments", "to": "latest", "dryRun": false, "keepSource": "1d" });
        assert_eq!(request, expected);
    }

    #[test]
    fn a_resume_has_the_fields_that_are_given_and_no_others() {
        #[derive(Debug, Parser)]
        struct Resume {
            #[command(flatten)]
            args: ResumeArgs,
        }
        let parse = |args: &[&str]| Resume::try_parse_from([&["resume"], args].concat()).unwrap().args;
        let request = |args: &[&str]| Value::Object(parse(args).request(json!({})).unwrap());
        assert_eq!(request(&["r-1"]), json!({ "resume": "r-1", "dryRun": false }));
        let args = [
            "arn:aws:states:eu-west-1:1:execution:rewind:r-1",
            "--check",
            "d: SELECT 1 => 1",
            "--dry-run",
            "--id",
            "r-2",
        ];
        let checks = json!([{ "name": "SELECT 1", "database": "d", "sql": "SELECT 1", "expect": "1" }]);
        assert_eq!(request(&args), json!({ "resume": "r-1", "checks": checks, "dryRun": true }));
        assert_eq!(parse(&args).name.as_deref(), Some("r-2"));
        Request::check(&request(&args)).unwrap();
    }

    #[test]
    fn a_request_that_is_no_object_is_refused() {
        assert!(parse(&["a"]).request(json!([]), false).unwrap_err().contains("no JSON object"));
    }
}
