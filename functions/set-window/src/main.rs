//! The function `set-window`.

use rewind_aws::rds::{Rds, any_master_password_from_env};
use rewind_aws::{Aws, records::Records};
use rewind_lambda::SystemClock;
use set_window::SetWindow;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = SetWindow {
        clusters: Rds::new(&aws),
        leases: Records::from_env(&aws)?,
        clock: SystemClock,
        any_master_password: any_master_password_from_env(),
    };
    rewind_lambda::start_unplanned(step).await
}
