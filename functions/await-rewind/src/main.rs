//! The function `await-rewind`.

use await_rewind::AwaitRewind;
use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds, route53::Route53};
use rewind_core::{Polling, timeouts};
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = AwaitRewind {
        clusters: Rds::new(&aws),
        changes: Route53::from_env(&aws),
        clock: SystemClock,
        polling: Polling { budget: timeouts::AWAIT_BUDGET, ..Polling::default() },
    };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
