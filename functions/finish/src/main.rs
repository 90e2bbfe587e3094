//! The function `finish`.

use finish::Finish;
use rewind_aws::rds::{Rds, fence_groups_from_env};
use rewind_aws::{Aws, plan_key::PlanKey};
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let fences_network = !fence_groups_from_env().is_empty();
    let step = Finish { clusters: Rds::new(&aws), clock: SystemClock, fences_network };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
