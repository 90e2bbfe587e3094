//! `rewind status`: the status of a recovery, with what its checks found, and how its clusters stand now.

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
use serde_json::json;

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
    // Whoever has no right to the history, or comes after the 90 days of it, is shown the rest all the same.
    let report = client.report(&recovery.execution_arn).await.unwrap_or_else(|error| {
        document.warning(format!("what the checks found could not be read: {error}"));
        None
    });
    if let Some(report) = &report {
        document.extend(format::report(report, Values::Shown));
    }
    document.extend(format::standing(&standing));
    if let Some(json) = json.as_object_mut() {
        json.extend(report.map(|report| ("report".to_owned(), json!(report))));
        json.insert("standing".to_owned(), json!(standing));
    }
    output.result(&json, &document);
    Ok(Completion::Done)
}
