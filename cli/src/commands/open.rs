//! `rewind open`: a read-only way into what a recovery left behind, for one connection, one address and a time.

use crate::args::OpenOptions;
use crate::ask::ask;
use crate::connect::{AwsClient, caller_name};
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_aws::Aws;
use rewind_client::{AskedOpening, OpenedNow, StartedExecution};
use rewind_clock::SystemClock;
use rewind_core::{one_address, parse_duration};
use rewind_ui::{format, recovery_id};
use serde_json::json;

/// Shows what is opened, asks for the cluster's name, opens it and says how to connect; or closes it.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &OpenOptions,
) -> Result<Completion, Failure> {
    let id = recovery_id(&options.id);
    if options.close {
        let begun = |started: &StartedExecution| output.note(&format::closing(id, &started.id));
        client.close_left_behind(id, &caller_name(aws).await?, begun, &SystemClock).await?;
        output.result(&json!({ "recoveryId": id, "open": null }), &format::closed(id));
        return Ok(Completion::Done);
    }
    // The parser of arguments lets nobody here without it.
    let given = options.from.as_deref().unwrap_or_default();
    let from = one_address(given).map_err(|why| Failure::Usage(format!("--from: {why}; nothing was changed")))?;
    let length = parse_duration(&options.length)
        .map_err(|why| Failure::Usage(format!("--for {}: {why}; nothing was changed", options.length)))?;
    let asked = AskedOpening { from: from.to_string(), length, database: options.database.clone() };
    let mut confirm = options.confirm.clone();
    // In a script nobody is asked: the client refuses then, and its message names the flag.
    if confirm.is_none() && output.can_ask() {
        // Before the question: nobody should confirm what is refused afterwards.
        let (recovery, cluster) = client.openable(id, &asked).await?;
        output.note(&format::to_open(&recovery, &cluster, &asked.from, length));
        confirm = Some(ask(&format!("To do it, type the cluster's name, {cluster}:"))?);
    }
    let by = caller_name(aws).await?;
    // It takes half a minute and more, and a command that shows nothing looks like one that hangs.
    let begun = |started: &StartedExecution| output.note(&format::opening(id, &started.id));
    let opened = client.open_left_behind(id, &asked, (confirm.as_deref(), &by), begun, &SystemClock);
    let opened = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            output.script(&json!({ "recoveryId": id, "interrupted": true }));
            return Ok(Completion::Interrupted);
        }
        opened = opened => opened?,
    };
    match opened {
        OpenedNow::Open(opening) => {
            output.result(&json!({ "recoveryId": id, "open": opening }), &format::opened(id, &opening));
        }
        // Somebody closed it before this command saw it open.
        OpenedNow::Closed => output.result(&json!({ "recoveryId": id, "open": null }), &format::closed(id)),
    }
    Ok(Completion::Done)
}
