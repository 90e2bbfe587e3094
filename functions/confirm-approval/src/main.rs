//! The function `confirm-approval`.

use confirm_approval::{ConfirmApproval, age_limit};
use rewind_aws::{Aws, caller::Callers, chat::ChatTable, plan_key::PlanKey, rds::Rds, route53::Route53};
use rewind_core::Agreeing;
use rewind_lambda::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = ConfirmApproval {
        clusters: Rds::new(&aws),
        zones: Route53::from_env(&aws),
        clock: SystemClock,
        acts: ChatTable::from_env(&aws)?,
        callers: Callers::new(&aws),
        agreeing: Agreeing::read(|name| std::env::var(name).ok())?,
        age_max: age_limit(std::env::var("REWIND_REPORT_MAX_AGE_SECONDS").ok().as_deref())?,
    };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
