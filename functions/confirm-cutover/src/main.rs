//! The function `confirm-cutover`.

use confirm_cutover::ConfirmCutover;
use rewind_access::Access;
use rewind_aws::rds::{Rds, fence_groups_from_env};
use rewind_aws::{Aws, plan_key::PlanKey, secrets::Secrets};
use rewind_core::Polling;
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    let fence_groups = fence_groups_from_env();
    let step = ConfirmCutover { access, clock: SystemClock, polling: Polling::default(), fence_groups };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
