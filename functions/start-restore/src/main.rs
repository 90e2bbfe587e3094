//! The function `start-restore`.

use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds};
use rewind_lambda::SystemClock;
use start_restore::StartRestore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    rewind_lambda::start(StartRestore { clusters: Rds::new(&aws), clock: SystemClock }, PlanKey::from_env(&aws)?).await
}
