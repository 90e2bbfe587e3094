//! The function `validate-window`.

use rewind_aws::{Aws, rds::Rds, route53::Route53, secrets::Secrets};
use rewind_lambda::SystemClock;
use validate_window::ValidateWindow;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_env()?;
    let step = ValidateWindow {
        clusters: Rds::new(&aws),
        zones: Route53::new(&aws),
        secrets: Secrets::new(&aws),
        clock: SystemClock,
    };
    rewind_lambda::start(step).await
}
