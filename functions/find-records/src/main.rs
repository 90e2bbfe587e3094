//! The function `find-records`.

use find_records::FindRecords;
use rewind_aws::{Aws, rds::Rds, recoveries::RecoveryTable, route53::Route53};
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = FindRecords {
        clusters: Rds::new(&aws),
        zones: Route53::from_env(&aws),
        recoveries: RecoveryTable::from_env(&aws)?,
        clock: SystemClock,
    };
    rewind_lambda::start_unplanned(step).await
}
