//! The function's state: its ports, its settings, and the secret of the Slack app. What it does with them is in `http`,
//! `commands`, `deferred` and `events`.

use crate::secret::AppSecret;
use crate::settings::Settings;

/// The function.
#[derive(Debug)]
pub struct ChatApp<P> {
    /// The ports to AWS and to Slack.
    pub ports: P,
    /// The settings of the deployment.
    pub settings: Settings,
    /// The secret of the Slack app, once it was read.
    pub secret: AppSecret,
}
