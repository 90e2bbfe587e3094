//! The function `start-backtrack`.

use rewind_aws::rds::{Rds, fence_groups_from_env};
use rewind_aws::{
    Aws,
    plan_key::{ApprovalKey, PlanKey},
};
use rewind_lambda::{Approved, SystemClock};
use start_backtrack::StartBacktrack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = StartBacktrack { clusters: Rds::new(&aws), fence_groups: fence_groups_from_env(), clock: SystemClock };
    let step = Approved { step, approvals: ApprovalKey::from_env(&aws)? };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
