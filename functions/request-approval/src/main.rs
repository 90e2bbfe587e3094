//! The function `request-approval`.

use request_approval::RequestApproval;
use rewind_aws::{Aws, plan_key::PlanKey, records::Records, topic::Topic};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = RequestApproval { approvals: Records::from_env(&aws)?, topic: Topic::from_env(&aws)? };
    rewind_lambda::start(step, PlanKey::from_env(&aws)?).await
}
