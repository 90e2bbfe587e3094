//! `rewind status`: how a recovery stands, and what there is to decide on, if it waits.

use crate::args::StatusArgs;
use crate::connect::AwsClient;
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::{id_of, say};
use serde_json::json;

/// Says it.
pub(crate) async fn run(client: &AwsClient, show: &Show, args: &StatusArgs) -> Result<Done, Failure> {
    let id = match &args.words.id {
        Some(id) => id_of(id).to_owned(),
        None => client.latest().await?,
    };
    let recovery = client.recovery(&id).await?;
    if args.follow {
        return follow(client, show, &id, &recovery.execution_arn).await;
    }
    show.answer(&json!(recovery), &say::recovery(&recovery, SystemClock.now()));
    Ok(Done::Answered)
}
