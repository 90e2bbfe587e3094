//! The function `open-source`.

use open_source::OpenSource;
use rewind_access::Access;
use rewind_aws::{
    Aws,
    plan_key::PlanKey,
    rds::{Rds, fence_groups_from_env},
    recoveries::RecoveryTable,
    secrets::Secrets,
};
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    // A stack that has no such group sets `none`.
    let open_group = std::env::var("REWIND_OPEN_SECURITY_GROUP_ID").ok().filter(|group| group.starts_with("sg-"));
    let step = OpenSource {
        access,
        notes: RecoveryTable::from_env(&aws)?,
        clock: SystemClock,
        fence_groups: fence_groups_from_env(),
        open_group,
    };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
