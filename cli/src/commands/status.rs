//! `rewind status`: the status of a recovery, and how its clusters stand now.

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
        // At night nobody has the id at hand, and the latest recovery is the one that is asked about.
        None => client.latest().await?,
    };
    let recovery = client.recovery(&id).await?;
    if options.follow {
        return follow(client, output, &id, &recovery.execution_arn).await;
    }
    let now = SystemClock.now();
    // With the credentials of whoever asks: a permission that is missing is told, and the rest is shown.
    let standing = client.standing(&recovery, (&Rds::new(aws), &Route53::from_env(aws)), now).await;
    let mut document = format::recovery(&recovery, now);
    document.extend(format::standing(&standing));
    let mut shown = json!(recovery);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("standing".to_owned(), json!(standing));
    }
    output.result(&shown, &document);
    Ok(Completion::Done)
}
