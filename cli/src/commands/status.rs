//! `rewind status`: the status of a recovery, with what it asks approval for or what its checks found, and how its clusters stand now.

use crate::args::StatusOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use rewind_aws::Aws;
use rewind_aws::rds::Rds;
use rewind_aws::route53::Route53;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::format::Values;
use rewind_ui::{format, recovery_id};
use serde_json::{Value, json};

/// Shows the status, or follows the recovery.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &StatusOptions,
) -> Result<Completion, Failure> {
    let id = match &options.args.id {
        Some(id) => recovery_id(id).to_owned(),
        // At night nobody has the id at hand, and the one that waits for people is the one that is asked about.
        None => client.foremost().await?,
    };
    let recovery = client.recovery(&id).await?;
    if options.follow {
        return follow(aws, client, output, &id, &recovery.execution_arn).await;
    }
    let now = SystemClock.now();
    // With the credentials of whoever asks: a permission that is missing is told, and the rest is shown.
    let standing = client.standing(&recovery, (&Rds::new(aws), &Route53::from_env(aws)), now).await;
    let mut document = format::recovery(&recovery, now);
    let mut json = json!(recovery);
    keep_the_past(&mut json);
    // Whoever has no right to the history, or comes after the 90 days of it, is shown the rest all the same.
    let report = client.report(&recovery.execution_arn).await.unwrap_or_else(|error| {
        document.warning(format!("what the checks found could not be read: {error}"));
        None
    });
    // All that chat and mail have in short, while people are asked for it.
    let asked = match &recovery.approval {
        Some(_) => client.approval_request(&id).await.ok().filter(|request| request.hash_matches),
        None => None,
    };
    match (&asked, &report) {
        (Some(request), _) => document.extend(format::proposal(&request.proposal, Values::Shown)),
        (None, Some(report)) => document.extend(format::report(report, Values::Shown)),
        (None, None) => {}
    }
    document.extend(format::standing(&standing));
    if let Some(json) = json.as_object_mut() {
        json.extend(report.map(|report| ("report".to_owned(), json!(report))));
        json.insert("standing".to_owned(), json!(standing));
    }
    output.result(&json, &document);
    Ok(Completion::Done)
}

/// Removes from the outcome what was so at the end and may be otherwise now: `standing` has it as it is.
fn keep_the_past(recovery: &mut Value) {
    let mut remove = |path: &str, fields: &[&str]| {
        if let Some(object) = recovery.pointer_mut(path).and_then(Value::as_object_mut) {
            fields.iter().for_each(|field| drop(object.remove(*field)));
        }
    };
    remove("/outcome", &["dns", "source"]);
    remove("/outcome/lost", &["where"]);
    remove("/outcome/safetyClone", &["keepUntil", "keepLonger", "keepForever", "delete"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_a_status_holds_nothing_that_may_be_otherwise_by_now() {
        let mut json = json!({
            "state": "Undone",
            "outcome": {
                "rewoundTo": "2026-11-23T10:30:00Z", "dns": [{ "name": "db.example.com" }],
                "source": { "keepUntil": "2026-11-30T10:40:00Z" }, "lost": { "from": "a", "where": "kept on orders" },
                "safetyClone": { "cluster": "orders-e", "keepUntil": "2026-11-30T10:40:00Z", "delete": "aws rds" },
            },
        });
        keep_the_past(&mut json);
        let past = json!({
            "rewoundTo": "2026-11-23T10:30:00Z", "lost": { "from": "a" }, "safetyClone": { "cluster": "orders-e" },
        });
        assert_eq!(json, json!({ "state": "Undone", "outcome": past }));
        let mut without = json!({ "state": "Running", "outcome": null });
        keep_the_past(&mut without);
        assert_eq!(without, json!({ "state": "Running", "outcome": null }));
    }
}
