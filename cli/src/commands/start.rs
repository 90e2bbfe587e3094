//! `rewind start`: starts a recovery, and follows it.

use super::file;
use crate::args::StartArgs;
use crate::connect::AwsClient;
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_client::Name;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_ui::say;
use serde_json::json;

/// Starts it.
pub(crate) async fn run(client: &AwsClient, show: &Show, args: &StartArgs) -> Result<Done, Failure> {
    let request = args.words.request.request(file(args.request.as_deref())?, false).map_err(Failure::Usage)?;
    let name = args.words.name.clone().map_or_else(|| Name::Made(SystemClock.now()), Name::Given);
    let begun = client.start(name, &request).await?;
    let said = say::begun(&begun.id, begun.before);
    if args.detach {
        show.answer(
            &json!({ "recoveryId": begun.id, "executionArn": begun.arn, "startedBefore": begun.before }),
            &said,
        );
        return Ok(Done::Answered);
    }
    show.aside(&said);
    follow(client, show, &begun.id, &begun.arn).await
}
