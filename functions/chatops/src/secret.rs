//! The app's secret: read once a process, and again when a signature does not fit, for it may have been replaced.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::chat::SecretText;
use rewind_core::StepError;
use serde::Deserialize;
use std::fmt;
use tokio::sync::Mutex;

/// How soon after reading it is not read again: whoever signs wrongly must not make us read it each time.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// What the secret holds.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct App {
    /// Slack's signing secret of the app.
    pub(crate) signing_secret: String,
    /// An incoming webhook of the channel that is told of approvals and endings; none: nobody is.
    #[serde(default)]
    pub(crate) webhook_url: Option<String>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}

/// The secret, once it was read.
#[derive(Debug, Default)]
pub struct Secret(Mutex<Option<(App, Timestamp)>>);

impl Secret {
    /// The secret; `again` where the one that is known did not fit. None: it is too fresh to be another.
    pub(crate) async fn get<S: SecretText>(
        &self,
        secrets: &S,
        arn: &str,
        now: Timestamp,
        again: bool,
    ) -> Result<Option<App>, StepError> {
        let mut known = self.0.lock().await;
        if let Some((app, read_at)) = known.as_ref() {
            if !again {
                return Ok(Some(app.clone()));
            }
            if now.duration_since(*read_at) < FRESH {
                return Ok(None);
            }
        }
        let text = secrets.text(arn).await?;
        let app: App = serde_json::from_str(&text).map_err(|_| {
            StepError::bug("the app's secret is not {\"signingSecret\": \"…\"}")
                .advice("write it so; docs/chatops.md says how")
        })?;
        *known = Some((app.clone(), now));
        Ok(Some(app))
    }
}
