//! The function `clean-up`.

use clean_up::{CleanUp, Databases};
use rewind_access::Access;
use rewind_aws::rds::{Rds, fence_groups_from_env};
use rewind_aws::{Aws, records::Records, recoveries::RecoveryTable, secrets::Secrets};
use rewind_core::Polling;
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    let step = CleanUp {
        clusters: Rds::new(&aws),
        recoveries: RecoveryTable::from_env(&aws)?,
        notes: Records::from_env(&aws)?,
        sessions: Databases { access, clock: SystemClock },
        clock: SystemClock,
        polling: Polling::default(),
        fence_groups: fence_groups_from_env(),
    };
    rewind_lambda::start_unplanned(step).await
}
