//! `rewind resume`: starts a recovery that adopts the restored cluster of an earlier one, and follows it.

use super::start::shown;
use crate::args::ResumeOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use crate::request_file::read_request;
use rewind_aws::Aws;
use rewind_client::RecoveryName;
use rewind_clock::SystemClock;
use rewind_core::Clock;

/// Resumes a recovery.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &ResumeOptions,
) -> Result<Completion, Failure> {
    let args = &options.args;
    let request = args.request(read_request(options.request.as_deref())?).map_err(Failure::Usage)?;
    let name = args.name.clone().map_or_else(|| RecoveryName::Generated(SystemClock.now()), RecoveryName::Given);
    let started = client.resume(name, args.resumed(), request, aws).await?;
    shown(client, output, started, options.detach).await
}
