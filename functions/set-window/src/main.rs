//! The function `set-window`.

use rewind_aws::{Aws, rds::Rds};
use rewind_lambda::SystemClock;
use set_window::SetWindow;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    rewind_lambda::start(SetWindow { clusters: Rds::new(&aws), clock: SystemClock }).await
}
