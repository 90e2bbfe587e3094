//! `rewind list`: the recoveries, the latest first.

use crate::connect::AwsClient;
use crate::exit::{Done, Failure};
use crate::show::Show;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::{ListWords, say};
use serde_json::json;

/// Lists them.
pub(crate) async fn run(client: &AwsClient, show: &Show, words: &ListWords) -> Result<Done, Failure> {
    let recoveries = client.list(words.cluster.as_deref(), words.limit).await?;
    show.answer(&json!(recoveries), &say::list(&recoveries, SystemClock.now()));
    Ok(Done::Answered)
}
