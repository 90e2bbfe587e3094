//! `rewind status`: the status of a recovery.

use crate::args::StatusOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::{format, recovery_id};
use serde_json::json;

/// Shows the status, or follows the recovery.
pub(crate) async fn run(client: &AwsClient, output: &Output, options: &StatusOptions) -> Result<Completion, Failure> {
    let id = match &options.args.id {
        Some(id) => recovery_id(id).to_owned(),
        // At night nobody has the id at hand, and the one that waits for people is the one that is asked about.
        None => client.foremost().await?,
    };
    let recovery = client.recovery(&id).await?;
    if options.follow {
        return follow(client, output, &id, &recovery.execution_arn).await;
    }
    output.result(&json!(recovery), &format::recovery(&recovery, SystemClock.now()));
    Ok(Completion::Done)
}
