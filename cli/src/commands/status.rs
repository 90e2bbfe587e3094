//! `rewind status`: how a recovery stands, and what there is to decide on, if it waits.

use crate::args::StatusArgs;
use crate::connect::Office;
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_words::{id_of, say};
use serde_json::json;

/// Says it.
pub(crate) async fn run(desk: &Office, show: &Show, args: &StatusArgs) -> Result<Done, Failure> {
    let id = match &args.words.id {
        Some(id) => id_of(id).to_owned(),
        None => desk.latest().await?,
    };
    let recovery = desk.recovery(&id).await?;
    if args.follow {
        return follow(desk, show, &id, &recovery.execution_arn).await;
    }
    show.answer(&json!(recovery), &say::recovery(&recovery, SystemClock.now()));
    Ok(Done::Answered)
}
