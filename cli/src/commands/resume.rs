//! `rewind resume`: starts a recovery that adopts the restored cluster of an earlier one, and follows it.

use super::plan::planned;
use super::start::{in_words_of, shown};
use crate::args::ResumeOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use crate::request_file::read_request;
use rewind_aws::Aws;
use rewind_aws::route53::Route53;
use rewind_client::RecoveryName;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::ResumeArgs;
use serde_json::Value;

/// Resumes a recovery.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &ResumeOptions,
) -> Result<Completion, Failure> {
    let output = &output.of_request(options.request.as_deref());
    let completed = client.completed_options(&Route53::from_env(aws), &options.args.options).await?;
    let args = ResumeArgs { options: completed, ..options.args.clone() };
    let request = args.request(read_request(options.request.as_deref())?).map_err(Failure::Usage)?;
    let name = args.name.clone().map_or_else(|| RecoveryName::Generated(SystemClock.now()), RecoveryName::Given);
    let started = client.resume(name, args.resumed(), request.clone(), aws).await;
    let started = started.map_err(in_words_of(options.request.as_deref()))?;
    if args.dry_run && !options.detach {
        return planned(aws, client, output, &started, &Value::Object(request)).await;
    }
    shown(aws, client, output, started, options.detach).await
}
