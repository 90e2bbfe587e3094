//! The function `swap-dns`.

use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds, records::Records, route53::Route53};
use rewind_lambda::SystemClock;
use swap_dns::SwapDns;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let (zones, notes) = (Route53::from_env(&aws), Records::from_env(&aws)?);
    let step = SwapDns { zones, clusters: Rds::new(&aws), notes, clock: SystemClock };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
