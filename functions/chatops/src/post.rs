//! Messages to Slack, by HTTPS.

use rewind_core::{ErrorName, StepError};
use serde_json::Value;
use std::time::Duration;

/// Brings messages to Slack.
pub trait Post: Send + Sync {
    /// Sends a message to a URL that Slack gave. The URL is a secret: it is not in the error.
    fn post(&self, url: &str, message: &Value) -> impl Future<Output = Result<(), StepError>> + Send;
}

/// By HTTPS.
#[derive(Debug, Clone)]
pub struct Web(ureq::Agent);

impl Web {
    /// A client that follows nobody elsewhere.
    #[must_use]
    pub fn new() -> Self {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).max_redirects(0).build();
        Self(config.into())
    }
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

impl Post for Web {
    async fn post(&self, url: &str, message: &Value) -> Result<(), StepError> {
        let (agent, url, message) = (self.0.clone(), url.to_owned(), message.to_string());
        let sent = tokio::task::spawn_blocking(move || {
            agent.post(&url).header("content-type", "application/json").send(message.as_str()).map(drop)
        });
        let unsent =
            |why: String| StepError::new(ErrorName::Unavailable, format!("Slack did not take the message: {why}"));
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ureq::Error::StatusCode(status))) => Err(unsent(format!("it answered {status}"))),
            // Its words may hold the URL.
            Ok(Err(_)) => Err(unsent("no answer came".to_owned())),
            Err(_) => Err(unsent("the sender broke".to_owned())),
        }
    }
}
