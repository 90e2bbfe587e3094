//! `rewind list`: the recoveries, the latest first.

use crate::connect::Office;
use crate::exit::{Done, Failure};
use crate::show::Show;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_words::{ListWords, say};
use serde_json::json;

/// Lists them.
pub(crate) async fn run(desk: &Office, show: &Show, words: &ListWords) -> Result<Done, Failure> {
    let recoveries = desk.list(words.cluster.as_deref(), words.limit).await?;
    show.answer(&json!(recoveries), &say::list(&recoveries, SystemClock.now()));
    Ok(Done::Answered)
}
