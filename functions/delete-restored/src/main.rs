//! The function `delete-restored`.

use delete_restored::DeleteRestored;
use rewind_aws::{Aws, plan_key::PlanKey, rds::Rds};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    rewind_lambda::start(DeleteRestored { clusters: Rds::new(&aws) }, PlanKey::from_env(&aws)?).await
}
