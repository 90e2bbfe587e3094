//! `rewind window`: how far back a cluster can go.

use crate::connect::AwsClient;
use crate::exit::{Done, Failure};
use crate::show::Show;
use rewind_ui::{WindowWords, say};

/// Asks for it, or sets it.
pub(crate) async fn run(client: &AwsClient, show: &Show, words: &WindowWords) -> Result<Done, Failure> {
    let window = client.window(words).await?;
    show.answer(&window, &say::window(&window));
    Ok(Done::Answered)
}
