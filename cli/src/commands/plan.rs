//! `rewind plan`: a dry run of the state machine, so that the plan is the one that a recovery would follow.

use super::start::{Asked, in_words_of};
use crate::args::PlanOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use crate::request_file::read_request;
use rewind_aws::Aws;
use rewind_client::{RecoveryName, StartedExecution};
use rewind_clock::SystemClock;
use rewind_core::{Clock, Ending};
use rewind_ui::{Document, format};
use serde_json::Value;

/// Makes a plan, and shows it with the command that starts exactly it.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &PlanOptions,
) -> Result<Completion, Failure> {
    let base = read_request(options.request.as_deref())?;
    let output = &output.of_request(options.request.as_deref());
    let Asked { request, moment } = Asked::of((aws, client), &options.args, base, true).await?;
    output.note(&format::moment(moment.as_deref()));
    // Always a generated name: a plan belongs to this moment, and one made before would show another window.
    let started = client.start(RecoveryName::Generated(SystemClock.now()), &request, &()).await;
    let started = started.map_err(in_words_of(options.request.as_deref()))?;
    planned(aws, client, output, &started, &request).await
}

/// Follows a dry run to its plan, and shows the command that starts exactly it, for the request that asked for the plan.
pub(super) async fn planned(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    started: &StartedExecution,
    request: &Value,
) -> Result<Completion, Failure> {
    let completion = follow(aws, client, output, &started.id, &started.arn).await?;
    // A script has its document by now, and makes the request itself.
    if completion == Completion::Ended(Ending::Planned) && !output.is_json() {
        match client.recovery(&started.id).await {
            Ok(recovery) => {
                if let Some(plan) = recovery.plan {
                    output.more(&format::start_of(request, &plan));
                }
            }
            // The plan was shown: a failure would read as if there were none.
            Err(error) => {
                let mut document = Document::new();
                document.warning(format!("the command that starts it cannot be shown: {error}"));
                output.note(&document);
            }
        }
    }
    Ok(completion)
}
