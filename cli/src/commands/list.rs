//! `rewind list`: the recoveries, the latest first, and how the clusters stand of those that are not over or have left something.

use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_aws::Aws;
use rewind_aws::rds::Rds;
use rewind_aws::route53::Route53;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::{ListArgs, Place, format};
use serde_json::json;

/// Lists recoveries.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    args: &ListArgs,
) -> Result<Completion, Failure> {
    let recoveries = client.list(args.cluster.as_deref(), args.limit).await?;
    let now = SystemClock.now();
    // With the credentials of whoever asks: what they may not see is told, and the rest is shown.
    let listed = client.listed(recoveries, (&Rds::new(aws), &Route53::from_env(aws)), now).await;
    output.result(&json!(listed), &format::recoveries(&listed, now, Place::Terminal));
    Ok(Completion::Done)
}
