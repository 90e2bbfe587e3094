//! The function `start-recovery`.

use rewind_aws::{Aws, executions::StepFunctions};
use rewind_client::{Deployment, RecoveryClient};
use rewind_core::StepError;
use start_recovery::StartRecovery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let state_machine = std::env::var("REWIND_STATE_MACHINE_ARN")
        .map_err(|e| StepError::bug(format!("the environment variable REWIND_STATE_MACHINE_ARN: {e}")))?;
    let client = RecoveryClient {
        executions: StepFunctions::new(&aws),
        recoveries: (),
        functions: (),
        deployment: Deployment {
            state_machine,
            undo_state_machine: None,
            set_window_function: None,
            compare_tables_function: None,
            clean_up_state_machine: None,
            cleans_up: None,
            open_state_machine: None,
        },
    };
    let may_start = |name: &str| std::env::var(name).is_ok_and(|value| value == "ENABLED");
    let (events_may_start, alarms_may_start) =
        (may_start("REWIND_EVENTS_MAY_START"), may_start("REWIND_ALARMS_MAY_START"));
    rewind_lambda::start_unplanned(StartRecovery { client, events_may_start, alarms_may_start }).await
}
