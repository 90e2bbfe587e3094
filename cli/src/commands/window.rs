//! `rewind window`: how far back a cluster can go.

use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_ui::{WindowArgs, format};

/// Reads the window, or sets it.
pub(crate) async fn run(client: &AwsClient, output: &Output, args: &WindowArgs) -> Result<Completion, Failure> {
    let window = client.window(args).await?;
    output.result(&window, &format::window(&window));
    Ok(Completion::Done)
}
