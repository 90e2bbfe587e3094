//! The function `confirm-cutover`.

use confirm_cutover::ConfirmCutover;
use rewind_access::Access;
use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds, secrets::Secrets};
use rewind_core::Polling;
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    rewind_lambda::start(
        ConfirmCutover { access, clock: SystemClock, polling: Polling::default() },
        PlanKey::from_env(&aws)?,
    )
    .await
}
