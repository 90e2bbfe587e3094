//! The function `fence-source`.

use fence_source::FenceSource;
use rewind_access::Access;
use rewind_aws::{
    Aws,
    plan_key::{ApprovalKey, PlanKey},
    rds::Rds,
    records::Records,
    secrets::Secrets,
};
use rewind_db::Network;
use rewind_lambda::{Approved, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    let groups = std::env::var("REWIND_FENCE_SECURITY_GROUP_IDS").unwrap_or_default();
    let fence_groups =
        groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(ToOwned::to_owned).collect();
    let step = FenceSource { access, records: Records::from_env(&aws)?, clock: SystemClock, fence_groups };
    let step = Approved { step, approvals: ApprovalKey::from_env(&aws)? };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
