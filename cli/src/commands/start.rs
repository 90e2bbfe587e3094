//! `rewind start`: starts a recovery, and follows it.

use crate::args::StartOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use crate::request_file::read_request;
use rewind_client::RecoveryName;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::format;
use serde_json::json;

/// Starts a recovery.
pub(crate) async fn run(client: &AwsClient, output: &Output, options: &StartOptions) -> Result<Completion, Failure> {
    let request =
        options.args.request.request(read_request(options.request.as_deref())?, false).map_err(Failure::Usage)?;
    let name =
        options.args.name.clone().map_or_else(|| RecoveryName::Generated(SystemClock.now()), RecoveryName::Given);
    let started = client.start(name, &request).await?;
    let notice = format::started(&started.id, started.started_before);
    if options.detach {
        output.result(
            &json!({ "recoveryId": started.id, "executionArn": started.arn, "startedBefore": started.started_before }),
            &notice,
        );
        return Ok(Completion::Done);
    }
    output.note(&notice);
    follow(client, output, &started.id, &started.arn).await
}
