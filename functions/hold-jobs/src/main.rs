//! The function `hold-jobs`.

use hold_jobs::HoldJobs;
use rewind_access::Access;
use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds, records::Records, secrets::Secrets};
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    rewind_lambda::start(
        HoldJobs { access, notes: Records::from_env(&aws)?, clock: SystemClock },
        PlanKey::from_env(&aws)?,
    )
    .await
}
