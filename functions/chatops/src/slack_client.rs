//! Sends messages to Slack by HTTPS.

use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, ErrorName, StepError, timeouts};
use serde_json::Value;

/// Sends messages to Slack.
pub trait SlackClient: Send + Sync {
    /// Sends a message to a URL that Slack gave. The URL is a secret: it is not in the error.
    fn send(&self, url: &str, message: &Value) -> impl Future<Output = Result<(), StepError>> + Send;
}

/// The client of Slack by HTTPS.
#[derive(Debug, Clone)]
pub struct HttpsClient<K> {
    agent: ureq::Agent,
    clock: K,
}

impl<K> HttpsClient<K> {
    /// Makes a client that follows no redirect and keeps no connection.
    // A connection may die while Lambda freezes the function, and the first send after that fails.
    #[must_use]
    pub fn new(clock: K) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeouts::POST_ATTEMPT))
            .max_redirects(0)
            .max_idle_connections(0)
            .build();
        Self { agent: config.into(), clock }
    }
}

impl<K: Clock> SlackClient for HttpsClient<K> {
    async fn send(&self, url: &str, message: &Value) -> Result<(), StepError> {
        let sent = within(timeouts::POST, self.send_with_retries(url, message.to_string())).await;
        sent.unwrap_or_else(|OutOfTime| Err(unsent("it was busy until the timeout".to_owned())))
    }
}

impl<K: Clock> HttpsClient<K> {
    async fn send_with_retries(&self, url: &str, message: String) -> Result<(), StepError> {
        let mut pauses = timeouts::POST_PAUSES.into_iter();
        loop {
            let (agent, url, message) = (self.agent.clone(), url.to_owned(), message.clone());
            // ureq blocks, and on the only thread it would stop the timeout around it as well.
            let sent = tokio::task::spawn_blocking(move || {
                agent.post(&url).header("content-type", "application/json").send(message.as_str()).map(drop)
            });
            let refused = match sent.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(ureq::Error::StatusCode(status))) => status,
                // The error may hold the URL, which is a secret. No retry: the message may have arrived, and one that comes
                // twice is worse than one that comes by mail alone.
                Ok(Err(_)) => return Err(unsent("no answer came".to_owned())),
                Err(_) => return Err(unsent("the sender broke".to_owned())),
            };
            // Slack asks to wait (429) or has a fault of its own. Any other status would be the same again.
            match pauses.next().filter(|_| refused == 429 || refused >= 500) {
                Some(pause) => self.clock.sleep(pause).await,
                None => return Err(unsent(format!("it answered {refused}"))),
            }
        }
    }
}

fn unsent(why: String) -> StepError {
    StepError::new(ErrorName::Unavailable, format!("Slack did not take the message: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::ManualClock;
    use serde_json::json;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers each connection with the next status, and counts them.
    fn slack(statuses: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let number = counted.fetch_add(1, Ordering::SeqCst);
                // To its end: a connection that is closed with something unread is reset, and the answer lost.
                let (mut request, mut more) = (Vec::new(), [0; 4096]);
                while !request.ends_with(b"}") {
                    let read = stream.read(&mut more).unwrap();
                    request.extend_from_slice(&more[..read]);
                }
                let status = statuses.get(number).unwrap_or(&"500 Error");
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            }
        });
        (url, count)
    }

    #[tokio::test]
    async fn a_message_that_slack_cannot_take_now_is_sent_again_and_one_that_it_refuses_is_not() {
        for (statuses, taken) in [
            (&["503 Unavailable", "429 Too Many Requests", "200 OK"][..], true),
            (&["500 Error", "500 Error", "500 Error"], false),
            (&["404 Not Found"], false),
        ] {
            let (url, count) = slack(statuses);
            let client = HttpsClient::new(ManualClock::at("2026-11-23T10:40:00Z"));
            let sent = client.send(&url, &json!({"text": "x"})).await;
            assert_eq!(sent.is_ok(), taken, "{statuses:?}: {sent:?}");
            assert_eq!(count.load(Ordering::SeqCst), statuses.len());
        }
    }
}
