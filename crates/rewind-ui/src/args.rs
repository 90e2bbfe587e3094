//! What can be said after each word, as clap reads it. Values are taken as they come: what is wrong with a request is
//! said by the request itself, in the same sentences from every way in.

use crate::check::{read_check, read_record};
use clap::Args;
use serde_json::{Map, Value};

/// The cluster, the moment, and every other field of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct RequestWords {
    /// The cluster to rewind
    pub cluster: Option<String>,
    /// The moment to go back to: 5m ago, 5 minutes ago, 2026-11-23T10:30:00Z or latest
    pub to: Vec<String>,
    /// How: auto, restore (side by side) or backtrack (in place)
    #[arg(long, value_name = "HOW")]
    pub strategy: Option<String>,
    /// The source may be rewound in place, with all its connections cut
    #[arg(long)]
    pub in_place: bool,
    /// The name of the restored cluster
    #[arg(long, value_name = "NAME")]
    pub new_cluster: Option<String>,
    /// What must be true of the rewound data: "[name] database: SQL => 2" (or: => at least 2, => at most 2)
    #[arg(long, value_name = "CHECK")]
    pub check: Vec<String>,
    /// A record to move: ZONE:NAME, or ZONE:NAME:reader for one of the reader endpoint
    #[arg(long, value_name = "RECORD")]
    pub dns: Vec<String>,
    /// The secret with the login for checks and the fence; otherwise the cluster's managed master secret
    #[arg(long, value_name = "ARN")]
    pub secret: Option<String>,
    /// Whether a person is asked before traffic moves: required or none
    #[arg(long, value_name = "WHETHER")]
    pub approval: Option<String>,
    /// How long people have to decide, such as 1h
    #[arg(long, value_name = "TIME")]
    pub approval_timeout: Option<String>,
    /// How long the source is kept after the switch, such as 7d
    #[arg(long, value_name = "TIME")]
    pub keep_source: Option<String>,
}

impl RequestWords {
    /// The request that these words make of `base`: a word that was said goes before what is there, a list is replaced.
    ///
    /// # Errors
    ///
    /// A check or a record that cannot be read, and how it is written; or a `base` that is no object.
    pub fn request(&self, base: Value, dry_run: bool) -> Result<Value, String> {
        let Value::Object(mut request) = base else {
            return Err("the request is no JSON object: write { \"cluster\": \"…\", \"to\": \"…\" }".to_owned());
        };
        let to = (!self.to.is_empty()).then(|| self.to.join(" "));
        put(&mut request, "cluster", &self.cluster);
        put(&mut request, "to", &to);
        put(&mut request, "strategy", &self.strategy);
        put(&mut request, "inPlace", &self.in_place.then(|| "allowed".to_owned()));
        put(&mut request, "newCluster", &self.new_cluster);
        put(&mut request, "secretArn", &self.secret);
        put(&mut request, "approval", &self.approval);
        put(&mut request, "approvalTimeout", &self.approval_timeout);
        put(&mut request, "keepSource", &self.keep_source);
        if !self.check.is_empty() {
            let checks: Result<Vec<Value>, String> = self.check.iter().map(|text| read_check(text)).collect();
            request.insert("checks".to_owned(), Value::Array(checks?));
        }
        if !self.dns.is_empty() {
            let records: Result<Vec<Value>, String> = self.dns.iter().map(|text| read_record(text)).collect();
            request.insert("dns".to_owned(), Value::Array(records?));
        }
        request.insert("dryRun".to_owned(), Value::Bool(dry_run));
        Ok(Value::Object(request))
    }
}

fn put(request: &mut Map<String, Value>, field: &str, value: &Option<String>) {
    if let Some(value) = value {
        request.insert(field.to_owned(), Value::String(value.clone()));
    }
}

/// A request, and the name that the recovery shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StartWords {
    /// The request.
    #[command(flatten)]
    pub request: RequestWords,
    /// The recovery's name; otherwise rewind-<cluster>-<time>
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Which recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StatusWords {
    /// The recovery, by its name; otherwise the latest
    pub id: Option<String>,
}

/// Which recoveries.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListWords {
    /// Those of this cluster alone
    pub cluster: Option<String>,
    /// How many, the latest first
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
}

/// A decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DecisionWords {
    /// The recovery that waits for it
    pub id: String,
    /// Why, for those who read it later
    pub comment: Vec<String>,
    /// The hash of what was shown, or at least its first six characters
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
}

impl DecisionWords {
    /// The comment as one text; none if nothing was said.
    pub fn comment(&self) -> Option<String> {
        let comment = self.comment.join(" ");
        (!comment.trim().is_empty()).then(|| comment.trim().to_owned())
    }
}

/// What is undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct UndoWords {
    /// The recovery to take back
    pub id: String,
    /// The source's name, to say that its traffic shall return to it now
    #[arg(long, value_name = "CLUSTER")]
    pub confirm: Option<String>,
}

/// How far back a cluster can go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct WindowWords {
    /// The cluster
    pub cluster: String,
    /// The window it shall have, such as 24h or 3d, or off; without it nothing is changed
    pub window: Option<String>,
    /// What the refusal of a change that cannot be undone says to write here
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
    struct Said {
        #[command(flatten)]
        words: RequestWords,
    }

    fn said(words: &[&str]) -> RequestWords {
        Said::try_parse_from([&["rewind"], words].concat()).unwrap().words
    }

    #[test]
    fn a_cluster_and_a_time_are_enough_and_need_no_quotes() {
        let request = said(&["my-aurora-cluster", "5m", "ago"]).request(json!({}), true).unwrap();
        assert_eq!(request, json!({ "cluster": "my-aurora-cluster", "to": "5m ago", "dryRun": true }));
    }

    #[test]
    fn every_field_of_a_request_can_be_said() {
        let words = said(&[
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
            "--approval",
            "none",
            "--approval-timeout",
            "2h",
            "--keep-source",
            "3d",
        ]); // rustfmt::skip is not needed: one line a thought
        let request = words.request(json!({}), false).unwrap();
        let expected = json!({
            "cluster": "orders", "to": "2026-11-23T10:30:00Z", "strategy": "restore", "inPlace": "allowed",
            "newCluster": "orders-2",
            "checks": [
                { "name": "rows are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "2" },
                { "name": "SELECT 1", "database": "shop", "sql": "SELECT 1", "atLeast": 1.0 },
            ],
            "dns": [
                { "hostedZoneId": "Z1", "name": "db.example.com", "endpoint": "writer" },
                { "hostedZoneId": "Z1", "name": "ro.example.com", "endpoint": "reader" },
            ],
            "secretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:x", "approval": "none",
            "approvalTimeout": "2h", "keepSource": "3d", "dryRun": false,
        });
        assert_eq!(request, expected);
        Request::parse(&request).unwrap();
    }

    #[test]
    fn what_is_said_goes_before_what_is_in_a_file_and_the_word_decides_whether_it_is_a_dry_run() {
        let file = json!({ "cluster": "orders", "to": "latest", "dryRun": true, "keepSource": "1d" });
        let request = said(&["payments"]).request(file, false).unwrap();
        let expected = json!({ "cluster": "payments", "to": "latest", "dryRun": false, "keepSource": "1d" });
        assert_eq!(request, expected);
    }

    #[test]
    fn a_request_that_is_no_object_is_refused() {
        assert!(said(&["a"]).request(json!([]), false).unwrap_err().contains("no JSON object"));
    }
}
