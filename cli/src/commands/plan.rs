//! `rewind plan`: a dry run of the state machine, so that the plan is the one that a recovery would follow.

use crate::args::PlanOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use crate::request_file::read_request;
use rewind_client::RecoveryName;
use rewind_clock::SystemClock;
use rewind_core::Clock;

/// Makes a plan, and shows it.
pub(crate) async fn run(client: &AwsClient, output: &Output, options: &PlanOptions) -> Result<Completion, Failure> {
    let request = options.args.request(read_request(options.request.as_deref())?, true).map_err(Failure::Usage)?;
    // Always a generated name: a plan belongs to this moment, and one made before would show another window.
    let started = client.start(RecoveryName::Generated(SystemClock.now()), &request, &()).await?;
    follow(client, output, &started.id, &started.arn).await
}
