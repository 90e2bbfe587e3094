//! `rewind list`: the recoveries, the latest first.

use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::{ListArgs, format};
use serde_json::json;

/// Lists recoveries.
pub(crate) async fn run(client: &AwsClient, output: &Output, args: &ListArgs) -> Result<Completion, Failure> {
    let recoveries = client.list(args.cluster.as_deref(), args.limit).await?;
    output.result(&json!(recoveries), &format::recoveries(&recoveries, SystemClock.now()));
    Ok(Completion::Done)
}
