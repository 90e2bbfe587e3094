//! `rewind start`: starts a recovery, and follows it.

use crate::args::StartOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use crate::request_file::read_request;
use rewind_aws::Aws;
use rewind_client::{RecoveryName, StartedExecution};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::format;
use serde_json::json;

/// Starts a recovery.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &StartOptions,
) -> Result<Completion, Failure> {
    let request =
        options.args.request.request(read_request(options.request.as_deref())?, false).map_err(Failure::Usage)?;
    // A given name makes a repeated start harmless: Step Functions keeps it taken for 90 days.
    let name =
        options.args.name.clone().map_or_else(|| RecoveryName::Generated(SystemClock.now()), RecoveryName::Given);
    let started = client.start(name, &request, aws).await?;
    shown(client, output, started, options.detach).await
}

/// Shows what was started, and follows it unless it shall run alone.
pub(super) async fn shown(
    client: &AwsClient,
    output: &Output,
    started: StartedExecution,
    detach: bool,
) -> Result<Completion, Failure> {
    let notice = format::started(&started.id, started.started_before);
    if detach {
        output.result(
            &json!({ "recoveryId": started.id, "executionArn": started.arn, "startedBefore": started.started_before }),
            &notice,
        );
        return Ok(Completion::Done);
    }
    // The id is shown before anything else can fail: with it the recovery is found again from any machine.
    output.note(&notice);
    follow(client, output, &started.id, &started.arn).await
}
