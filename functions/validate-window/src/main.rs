//! The function `validate-window`.

use rewind_aws::rds::{Rds, fence_groups_from_env};
use rewind_aws::{
    Aws, caller::Callers, chat::ChatTable, executions::StepFunctions, plan_key::PlanKey, recoveries::RecoveryTable,
    route53::Route53, secrets::Secrets, wake::Waker,
};
use rewind_core::Agreeing;
use rewind_lambda::SystemClock;
use validate_window::policy::Policy;
use validate_window::sign::Signing;
use validate_window::wake::{Waking, functions_from_env};
use validate_window::{Allowed, ValidateWindow};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let policy = Policy::read(|name| std::env::var(name).ok())?;
    let may_start = policy.may_start;
    let planner = ValidateWindow {
        clusters: Rds::new(&aws),
        zones: Route53::from_env(&aws),
        secrets: Secrets::new(&aws),
        clock: SystemClock,
        fence_groups: fence_groups_from_env(),
        allowed: Allowed::from_env(),
        policy,
    };
    let step = Signing {
        step: planner,
        executions: StepFunctions::new(&aws),
        recoveries: RecoveryTable::from_env(&aws)?,
        key: PlanKey::from_env(&aws)?,
        acts: ChatTable::from_env(&aws)?,
        callers: Callers::new(&aws),
        agreeing: Agreeing::read(|name| std::env::var(name).ok())?,
        may_start,
        clock: SystemClock,
    };
    rewind_lambda::start_unplanned(Waking { step, waker: Waker::new(&aws), functions: functions_from_env() }).await
}
