//! The function `compare-tables`.

use compare_tables::CompareTables;
use rewind_access::Access;
use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds, secrets::Secrets};
use rewind_db::Network;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let access = Access { clusters: Rds::new(&aws), secrets: Secrets::new(&aws), network: Network::from_env()? };
    rewind_lambda::start(CompareTables { access, clock: SystemClock }, PlanKey::from_env(&aws)?).await
}
