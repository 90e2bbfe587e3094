//! `rewind window`: how far back a cluster can go.

use crate::connect::Office;
use crate::exit::{Done, Failure};
use crate::show::Show;
use rewind_words::{WindowWords, say};

/// Asks for it, or sets it.
pub(crate) async fn run(desk: &Office, show: &Show, words: &WindowWords) -> Result<Done, Failure> {
    let window = desk.window(words).await?;
    show.answer(&window, &say::window(&window));
    Ok(Done::Answered)
}
