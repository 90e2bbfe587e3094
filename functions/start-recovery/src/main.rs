//! The function `start-recovery`.

use rewind_aws::{Aws, executions::StepFunctions};
use rewind_client::{Places, RecoveryClient};
use rewind_core::StepError;
use start_recovery::StartRecovery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let machine = std::env::var("REWIND_STATE_MACHINE_ARN")
        .map_err(|e| StepError::bug(format!("the environment variable REWIND_STATE_MACHINE_ARN: {e}")))?;
    let client = RecoveryClient {
        executions: StepFunctions::new(&aws),
        recoveries: (),
        functions: (),
        places: Places { machine, undo_machine: None, set_window: None },
    };
    rewind_lambda::start(StartRecovery { client }).await
}
