//! The function `swap-dns`.

use rewind_aws::{Aws, route53::Route53};
use rewind_lambda::SystemClock;
use swap_dns::SwapDns;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    rewind_lambda::start(SwapDns { zones: Route53::from_env(&aws), clock: SystemClock }).await
}
