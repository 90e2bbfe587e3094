//! The command line for a request, and the words of the command line for the fields of a request: a person who typed `--secret` is not
//! told about `secretArn`, and one who was shown a plan gets the line that starts exactly it.

use crate::args::{RequestArgs, ResumeArgs};
use clap::Parser;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The fields with an option of their own, by which people know them.
const FLAGS: [(&str, &str); 16] = [
    ("strategy", "--strategy"),
    ("inPlace", "--in-place"),
    ("newCluster", "--new-cluster"),
    ("checks", "--check"),
    ("checkTimeout", "--check-timeout"),
    ("compare", "--compare"),
    ("dns", "--dns"),
    ("secretArn", "--secret"),
    ("checkSecretArn", "--check-secret"),
    ("approval", "--approval"),
    ("unverified", "--unverified"),
    ("approvalTimeout", "--approval-timeout"),
    ("fenceTimeout", "--fence-timeout"),
    ("keepSource", "--keep-source"),
    ("keepRestored", "--keep-restored"),
    ("dryRun", "--dry-run"),
];

/// Replaces the fields of a request by the options of the command line.
pub fn in_flags(message: &str) -> String {
    let named = |text: String, (field, flag): (&str, &str)| {
        // In code quotes, as every message has them: a word of a sentence stays.
        text.replace(&format!("`{field}`"), &format!("`{flag}`")).replace(&format!("`{field}["), &format!("`{flag}["))
    };
    FLAGS.into_iter().fold(message.to_owned(), named)
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: RequestArgs,
}

#[derive(Debug, Parser)]
struct ResumeLine {
    #[command(flatten)]
    args: ResumeArgs,
}

/// The second in which a moment is: what a request may name, and a cluster is restored to.
pub(crate) fn whole_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

/// Formats the command that starts what a plan shows, at the moment that it was settled on.
pub fn start_command(request: &Value, target: Timestamp) -> String {
    let mut request = request.as_object().cloned().unwrap_or_default();
    if let Some(id) = request.get("resume").and_then(Value::as_str).map(ToOwned::to_owned) {
        return resume_command(request, &id);
    }
    // A minute later "5m ago" is another moment, and the latest one has moved.
    request.insert("to".to_owned(), Value::from(whole_second(target).to_string()));
    request.insert("dryRun".to_owned(), Value::Bool(false));
    let words = words(&request);
    let parsed = Line::try_parse_from(std::iter::once("rewind").chain(words.iter().map(String::as_str)));
    let same = parsed.is_ok_and(|line| {
        let empty = Value::Object(Map::new());
        line.args.request(empty, false).is_ok_and(|parsed| parsed == Value::Object(request.clone()))
    });
    // What the options cannot express is given whole: a line that starts nearly the same would be worse than a long one.
    if !same {
        return format!("echo {} | rewind start --request -", quoted(&Value::Object(request).to_string()));
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("rewind start {}", words.join(" "))
}

/// Formats the command that resumes what a plan shows. Its moment is that of the restored cluster, whenever it is resumed.
fn resume_command(mut request: Map<String, Value>, id: &str) -> String {
    request.insert("dryRun".to_owned(), Value::Bool(false));
    let words: Vec<String> = std::iter::once(id.to_owned()).chain(words(&request)).collect();
    let parsed = ResumeLine::try_parse_from(std::iter::once("rewind").chain(words.iter().map(String::as_str)));
    let same =
        parsed.is_ok_and(|line| line.args.request(Value::Object(Map::new())).is_ok_and(|parsed| parsed == request));
    if !same {
        return format!(
            "echo {} | rewind resume {} --request -",
            quoted(&Value::Object(request).to_string()),
            quoted(id)
        );
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("rewind resume {}", words.join(" "))
}

/// The words of the command line that ask for a request, as far as there are words for it.
fn words(request: &Map<String, Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let mut words: Vec<String> = ["cluster", "to"].iter().filter_map(|field| request.get(*field)).map(text).collect();
    for (field, flag) in FLAGS {
        let Some(value) = request.get(field) else { continue };
        match (field, value) {
            ("dryRun", _) => {}
            ("inPlace" | "unverified", _) => words.push(flag.to_owned()),
            ("checks", Value::Array(checks)) => {
                words.extend(checks.iter().flat_map(|check| [flag.to_owned(), check_text(check)]));
            }
            ("dns", Value::Array(records)) => {
                words.extend(records.iter().flat_map(|record| [flag.to_owned(), record_text(record)]));
            }
            _ => words.extend([flag.to_owned(), text(value)]),
        }
    }
    words
}

fn check_text(check: &Value) -> String {
    let text = |field: &str| check.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let expected = match (check.get("atLeast"), check.get("atMost"), check.get("expect")) {
        (Some(bound), _, _) => format!("at least {bound}"),
        (_, Some(bound), _) => format!("at most {bound}"),
        (_, _, Some(Value::Null)) => "is null".to_owned(),
        _ => text("expect"),
    };
    let name = text("name");
    // The shorthand names a check after its query.
    let name = if name == text("sql") { String::new() } else { format!("[{name}] ") };
    format!("{name}{}: {} => {expected}", text("database"), text("sql"))
}

fn record_text(record: &Value) -> String {
    let parts = ["hostedZoneId", "name", "endpoint"];
    let parts: Vec<&str> = parts.iter().filter_map(|field| record.get(*field).and_then(Value::as_str)).collect();
    parts.join(":")
}

/// Quotes a word for a shell, where it needs that.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@=,+-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TARGET: &str = "2026-11-23T10:30:00Z";

    fn command(request: &Value) -> String {
        start_command(request, TARGET.parse().unwrap())
    }

    #[test]
    fn the_command_has_the_fixed_moment_and_every_option() {
        let request = json!({
            "cluster": "orders", "to": "5m ago", "dryRun": true, "approvalTimeout": "2h", "inPlace": "allowed",
            "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com" }],
            "checks": [{ "name": "it's back", "database": "shop", "sql": "SELECT 1", "atLeast": 2.0 }],
        });
        assert_eq!(
            command(&request),
            "rewind start orders 2026-11-23T10:30:00Z --in-place --check '[it'\\''s back] shop: SELECT 1 => at least 2.0' \
             --dns Z1:db.example.com --approval-timeout 2h"
        );
    }

    #[test]
    fn what_the_options_cannot_express_is_given_whole() {
        for request in [
            json!({ "cluster": "orders", "to": "latest", "inPlace": "forbidden" }),
            json!({ "cluster": "orders", "checks": [{ "name": "a]b", "database": "d", "sql": "S", "expect": "1" }] }),
        ] {
            let command = command(&request);
            assert!(command.starts_with("echo '{") && command.ends_with(" | rewind start --request -"), "{command}");
            assert!(
                command.contains("\"to\":\"2026-11-23T10:30:00Z\"") && command.contains("\"dryRun\":false"),
                "{command}"
            );
        }
    }

    #[test]
    fn a_resume_is_started_as_a_resume_with_the_options_that_were_given() {
        let request = json!({
            "resume": "r-1", "dryRun": true, "keepSource": "3d", "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com" }],
        });
        assert_eq!(command(&request), "rewind resume r-1 --dns Z1:db.example.com --keep-source 3d");
        assert_eq!(command(&json!({ "resume": "r-1", "dryRun": true })), "rewind resume r-1");
        let whole =
            command(&json!({ "resume": "r-1", "dryRun": true, "newCluster": "orders-2", "inPlace": "forbidden" }));
        let fields = r#"{"dryRun":false,"inPlace":"forbidden","newCluster":"orders-2","resume":"r-1"}"#;
        assert_eq!(whole, format!("echo '{fields}' | rewind resume r-1 --request -"));
    }

    #[test]
    fn a_message_has_the_options_that_people_typed() {
        let message = "`secretArn` is \"x\"; `dns[0].name` is empty; the secretArn of somebody; `cluster` is needed";
        let expected = "`--secret` is \"x\"; `--dns[0].name` is empty; the secretArn of somebody; `cluster` is needed";
        assert_eq!(in_flags(message), expected);
    }

    #[test]
    fn every_option_of_a_request_is_known_by_its_field() {
        use clap::CommandFactory;
        let options: Vec<String> =
            Line::command().get_opts().filter_map(|option| option.get_long()).map(|long| format!("--{long}")).collect();
        for option in options.iter().filter(|option| *option != "--help" && *option != "--version") {
            assert!(FLAGS.iter().any(|(_, flag)| flag == option), "{option}");
        }
    }
}
