//! `rewind start`: starts a recovery, and follows it.

use crate::args::StartOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use crate::request_file::read_request;
use jiff::tz::TimeZone;
use rewind_aws::Aws;
use rewind_aws::route53::Route53;
use rewind_client::{ClientError, RecoveryName, StartedExecution, TypedAt, echoed_moment};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::{RequestArgs, format, in_flags};
use serde_json::{Value, json};
use std::path::Path;

/// A request, completed.
pub(super) struct Asked {
    /// The request.
    pub(super) request: Value,
    /// The moment in UTC and in the time of this machine; none for the latest restorable time.
    pub(super) moment: Option<String>,
}

impl Asked {
    /// Completes what a person left out of the arguments, and merges them into `base`.
    pub(super) async fn of(
        (aws, client): (&Aws, &AwsClient),
        args: &RequestArgs,
        base: Value,
        dry_run: bool,
    ) -> Result<Self, Failure> {
        let (now, here) = (SystemClock.now(), TypedAt::Machine(TimeZone::system()));
        let args = client.completed_request(&Route53::from_env(aws), args, (now, &here)).await?;
        let request = args.request(base, dry_run).map_err(Failure::Usage)?;
        let moment = request.get("to").and_then(Value::as_str).and_then(|to| echoed_moment(to, to, now, &here));
        Ok(Self { request, moment })
    }
}

/// Brings a refusal into the words in which the request came: options, unless there was a file with fields.
pub(super) fn in_words_of(file: Option<&Path>) -> impl Fn(ClientError) -> Failure {
    let has_file = file.is_some();
    move |error| match Failure::from(error) {
        Failure::Refused(why) if !has_file => Failure::Refused(in_flags(&why)),
        failure => failure,
    }
}

/// Starts a recovery.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &StartOptions,
) -> Result<Completion, Failure> {
    let base = read_request(options.request.as_deref())?;
    let output = &output.of_request(options.request.as_deref());
    let Asked { request, moment } = Asked::of((aws, client), &options.args.request, base, false).await?;
    output.note(&format::moment(moment.as_deref()));
    // A given name makes a repeated start harmless: Step Functions keeps it taken for 90 days.
    let name =
        options.args.name.clone().map_or_else(|| RecoveryName::Generated(SystemClock.now()), RecoveryName::Given);
    let started = client.start(name, &request, aws).await.map_err(in_words_of(options.request.as_deref()))?;
    shown(aws, client, output, started, options.detach).await
}

/// Shows what was started, and follows it unless it shall run alone.
pub(super) async fn shown(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    started: StartedExecution,
    detach: bool,
) -> Result<Completion, Failure> {
    if detach {
        output.result(
            &json!({ "recoveryId": started.id, "executionArn": started.arn, "startedBefore": started.started_before }),
            &format::detached(&started.id, started.started_before),
        );
        return Ok(Completion::Done);
    }
    // The id is shown before anything else can fail: with it the recovery is found again from any machine.
    output.note(&format::started(&started.id, started.started_before));
    follow(aws, client, output, &started.id, &started.arn).await
}
