//! `rewind status`: the status of a recovery, with what its checks found.

use crate::args::StatusOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::format::Values;
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
    let mut document = format::recovery(&recovery, SystemClock.now());
    let mut json = json!(recovery);
    // Whoever has no right to the history, or comes after the 90 days of it, is shown the rest all the same.
    match client.report(&recovery.execution_arn).await {
        Ok(Some(report)) => {
            document.extend(format::report(&report, Values::Shown));
            if let Some(json) = json.as_object_mut() {
                json.insert("report".to_owned(), json!(report));
            }
        }
        Ok(None) => {}
        Err(error) => document.warning(format!("what the checks found could not be read: {error}")),
    }
    output.result(&json, &document);
    Ok(Completion::Done)
}
