//! `rewind plan`: a dry run of the state machine, so that the plan is the very one that a recovery would follow.

use super::file;
use crate::args::PlanArgs;
use crate::connect::Office;
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use rewind_desk::Name;

/// Makes a plan, and shows it.
pub(crate) async fn run(desk: &Office, show: &Show, args: &PlanArgs) -> Result<Done, Failure> {
    let request = args.words.request(file(args.request.as_deref())?, true).map_err(Failure::Usage)?;
    let begun = desk.start(Name::Made(SystemClock.now()), &request).await?;
    follow(desk, show, &begun.id, &begun.arn).await
}
