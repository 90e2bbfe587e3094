//! The function `start-backtrack`.

use rewind_aws::{Aws, rds::Rds};
use rewind_lambda::SystemClock;
use start_backtrack::StartBacktrack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    rewind_lambda::start(StartBacktrack { clusters: Rds::new(&aws), clock: SystemClock }).await
}
