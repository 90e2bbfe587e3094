//! The function `finish`.

use finish::Finish;
use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds};
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    rewind_lambda::start(Finish { clusters: Rds::new(&aws), clock: SystemClock }, PlanKey::from_env(&aws)?).await
}
