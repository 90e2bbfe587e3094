//! `rewind plan`: a dry run of the state machine, so that the plan is the very one that a recovery would follow.

use super::file;
use crate::args::PlanArgs;
use crate::connect::AwsClient;
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_client::Name;
use rewind_clock::SystemClock;
use rewind_core::Clock;

/// Makes a plan, and shows it.
pub(crate) async fn run(client: &AwsClient, show: &Show, args: &PlanArgs) -> Result<Done, Failure> {
    let request = args.words.request(file(args.request.as_deref())?, true).map_err(Failure::Usage)?;
    let begun = client.start(Name::Made(SystemClock.now()), &request).await?;
    follow(client, show, &begun.id, &begun.arn).await
}
