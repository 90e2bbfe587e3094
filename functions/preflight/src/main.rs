//! The function `preflight`.

use preflight::Preflight;
use rewind_access::Access;
use rewind_aws::rds::{Rds, fence_groups_from_env};
use rewind_aws::{Aws, plan_key::PlanKey, records::Records, secrets::Secrets};
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    let has_network_fence = !fence_groups_from_env().is_empty();
    let fences = Records::from_env(&aws)?;
    let step = Preflight { access, fences, clock: SystemClock, has_network_fence };
    rewind_lambda::start_in_dry_runs(step, PlanKey::from_env(&aws)?).await
}
