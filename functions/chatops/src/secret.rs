//! The secret of the Slack app: read once a process, and again when a signature does not match, for it may have been rotated.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::chat::ReadSecretText;
use rewind_core::StepError;
use serde::Deserialize;
use std::fmt;
use tokio::sync::Mutex;

/// The time after a read in which the secret is not read again.
// Whoever sends wrong signatures must not make us call Secrets Manager each time.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// The fewest characters of a signing secret; Slack's have 32.
const SIGNING_SECRET_MIN: usize = 16;

/// The content of the secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppSecretContent {
    /// Slack's signing secret of the app.
    pub(crate) signing_secret: String,
    /// The incoming webhook of the channel that is told of approvals and endings; none to tell no channel.
    #[serde(default)]
    pub(crate) webhook_url: Option<String>,
}

// Not derived: a secret must not get into a log.
impl fmt::Debug for AppSecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppSecretContent")
    }
}

/// The secret, and the time at which it was read.
#[derive(Debug, Default)]
pub struct AppSecret(Mutex<Option<(AppSecretContent, Timestamp)>>);

impl AppSecret {
    /// Returns the content, reading the secret if it is not known or `read_again` is set. None where it was read too recently
    /// to be read again.
    pub(crate) async fn get<S: ReadSecretText>(
        &self,
        secrets: &S,
        arn: &str,
        now: Timestamp,
        read_again: bool,
    ) -> Result<Option<AppSecretContent>, StepError> {
        // Held during the read, so that requests at the same time read the secret once.
        let mut known = self.0.lock().await;
        if let Some((content, read_at)) = known.as_ref() {
            if !read_again {
                return Ok(Some(content.clone()));
            }
            if now.duration_since(*read_at) < FRESH {
                return Ok(None);
            }
        }
        let text = secrets.secret_text(arn).await?;
        let content: AppSecretContent = serde_json::from_str(&text).map_err(|_| {
            // The parser's own error is dropped: it may quote the secret.
            StepError::bug("the app's secret is not {\"signingSecret\": \"…\"}")
                .advice("write it so; docs/chatops.md says how")
        })?;
        // Whoever guesses it signs requests and tasks, and nobody has to guess an empty one.
        if content.signing_secret.trim().len() < SIGNING_SECRET_MIN {
            return Err(StepError::bug(format!(
                "the app's secret has a `signingSecret` of fewer than {SIGNING_SECRET_MIN} characters"
            ))
            .advice("copy the Signing Secret of the app from Slack; docs/chatops.md says how"));
        }
        *known = Some((content.clone(), now));
        Ok(Some(content))
    }
}
