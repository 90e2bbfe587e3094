//! `rewind undo` and `rewind cancel`: the source has its traffic, whatever the recovery had done.

use crate::args::UndoOptions;
use crate::ask::ask;
use crate::connect::{AwsClient, caller_name};
use crate::exit::{Completion, Failure};
use crate::follow::{STANDING_TIMEOUT, TOO_LATE, follow};
use crate::output::Output;
use rewind_aws::Aws;
use rewind_aws::rds::Rds;
use rewind_aws::route53::Route53;
use rewind_client::Undoing;
use rewind_clock::{OutOfTime, SystemClock, within};
use rewind_core::{Clock, Standing};
use rewind_ui::{format, recovery_id};
use serde_json::json;

/// Shows the changes that the undo makes and what was found just now, asks for the source's name, and starts it.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &UndoOptions,
    undoing: Undoing,
) -> Result<Completion, Failure> {
    let id = recovery_id(&options.args.id);
    let mut confirm = options.args.confirm.clone();
    // In a script nobody is asked: the client refuses then, and its message names the flag.
    if confirm.is_none() && output.can_ask() {
        // Before the question: nobody should confirm an undo that is refused afterwards.
        let recovery = client.undoable(id, undoing).await?;
        output.note(&format::undo(&recovery));
        // Before the question too: people may have moved records or lifted a fence since the record was written.
        let world = (&Rds::new(aws), &Route53::from_env(aws));
        let seen = client.standing(&recovery, world, SystemClock.now());
        let standing =
            within(STANDING_TIMEOUT, seen).await.unwrap_or_else(|OutOfTime| Standing::not_seen(id, TOO_LATE));
        output.note(&format::standing_before(&standing));
        confirm = Some(ask(&format!("To do it, type the source's name, {}:", recovery.cluster))?);
    }
    let started = client.undo(id, undoing, confirm.as_deref(), &caller_name(aws).await?).await?;
    if options.detach {
        output.result(
            &json!({ "recoveryId": id, "executionArn": started.arn, "startedBefore": started.started_before }),
            &format::detached(&started.id, started.started_before),
        );
        return Ok(Completion::Done);
    }
    output.note(&format::started(&started.id, started.started_before));
    follow(aws, client, output, &started.id, &started.arn).await
}
