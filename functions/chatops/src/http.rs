//! The function's entry points. A request over HTTP is verified by size, age, signature, and by whether it came before; nothing
//! of it is parsed before that. Then it is answered at once, or deferred to a later invocation of this function.

use crate::access::{ACCESS_DENIED, ChatUser, Permission};
use crate::app::ChatApp;
use crate::button::PressedButton;
use crate::commands::Response;
use crate::ports::Ports;
use crate::signature::{AGE_MAX, SignatureError, sign, verify};
use crate::slack_message::SlackMessage;
use crate::slack_request::{SlackRequest, parse};
use crate::task::{DeferredTask, SignedTask};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rewind_aws::chat::{ChatRecords, InvokeAsync};
use rewind_clock::within;
use rewind_core::{Clock, StepError, timeouts};
use rewind_ui::chat::ChatInput;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The largest body, in bytes.
// A pressed button brings the whole message that it is on.
const BODY_MAX: usize = 256 * 1024;

/// The answer to a button with another MAC than ours.
pub(crate) const FOREIGN_BUTTON: &str = "this button was not made by this app, or the app's signing secret was replaced since; nothing was done; \
                                         next step: type the command again, and press the button that comes with the answer";

/// A request as a function URL brings it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpRequest {
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: RequestContext,
}

#[derive(Debug, Deserialize)]
struct RequestContext {
    http: HttpContext,
}

#[derive(Debug, Deserialize)]
struct HttpContext {
    method: String,
}

/// A reason to refuse a request. Only the status is sent: whoever is no Slack shall learn nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Method,
    TooLarge,
    Encoding,
    Unsigned,
    Replayed,
    Unavailable,
}

impl Refusal {
    fn status(self) -> u16 {
        match self {
            Self::Encoding => 400,
            Self::Unsigned => 401,
            Self::Method => 405,
            Self::Replayed => 409,
            Self::TooLarge => 413,
            Self::Unavailable => 503,
        }
    }
}

impl<P: Ports> ChatApp<P> {
    /// Handles an event: a request over HTTP, a deferred task, or an event of a recovery. Returns the HTTP response, or null.
    pub async fn handle(&self, event: Value) -> Value {
        // First, so that nothing from outside can pass for something else.
        if event.get("requestContext").is_some() {
            return self.handle_request(event).await;
        }
        if event.get("deferred").is_some() {
            // Boxed: the futures below would be nested deeper than the compiler follows.
            Box::pin(self.handle_deferred(event)).await;
        } else if event.get("source").and_then(Value::as_str) == Some("aurora-rewind") {
            self.notify_channel(&event).await;
        } else {
            tracing::error!("invoked with neither a request, a deferred task nor an event of a recovery");
        }
        Value::Null
    }

    /// Runs a task that this function itself has deferred just now, and once: what it holds, the person too, is believed.
    async fn handle_deferred(&self, event: Value) {
        let verified = async {
            let signed: SignedTask = serde_json::from_value(event).map_err(|_| Refusal::Encoding)?;
            let bytes = SignedTask::signed_bytes(&signed.deferred);
            let signature = self.verify_signature(Some(&signed.timestamp), Some(&signed.signature), &bytes).await?;
            let task: DeferredTask = serde_json::from_str(&signed.deferred).map_err(|_| Refusal::Encoding)?;
            Ok((task, self.is_new(&signature).await))
        };
        match verified.await {
            Ok((task, Ok(()))) => self.run_deferred(task).await,
            Ok((task, Err(Refusal::Unavailable))) => {
                let sorry = "AWS did not answer; nothing was done; next step: say it again";
                self.send(&task.response_url, &SlackMessage::sentence(sorry)).await;
            }
            Ok((_, Err(refusal))) | Err(refusal) => tracing::warn!(?refusal, "a deferred task was refused"),
        }
    }

    async fn handle_request(&self, event: Value) -> Value {
        let response = async {
            let request = self.verified(event).await?;
            Ok(match self.respond(request).await {
                Some(message) => Some(self.rendered(&message).await),
                None => None,
            })
        };
        // After that nobody gets the response: Slack has shown an error.
        match within(timeouts::CHAT_REQUEST, Box::pin(response)).await.unwrap_or(Err(Refusal::Unavailable)) {
            Ok(message) => http_response(200, message.as_ref()),
            Err(refusal) => {
                tracing::warn!(?refusal, "a request was refused");
                http_response(refusal.status(), None)
            }
        }
    }

    /// Parses a request, once it is certain that Slack sends it, now, and for the first time.
    async fn verified(&self, event: Value) -> Result<SlackRequest, Refusal> {
        let request: HttpRequest = serde_json::from_value(event).map_err(|_| Refusal::Encoding)?;
        // The cheapest checks come first: anybody on the Internet can call the URL.
        if request.request_context.http.method != "POST" {
            return Err(Refusal::Method);
        }
        let body = request.body.unwrap_or_default();
        if body.len() > BODY_MAX {
            return Err(Refusal::TooLarge);
        }
        // A function URL encodes every body whose content type it does not take for text.
        let body = if request.is_base64_encoded {
            STANDARD.decode(body).map_err(|_| Refusal::Encoding)?
        } else {
            body.into_bytes()
        };
        let header = |name: &str| {
            let found = request.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let (timestamp, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        let signature = self.verify_signature(timestamp, signature, &body).await?;
        self.is_new(&signature).await?;
        parse(&body).ok_or(Refusal::Encoding)
    }

    /// Refuses what was signed so before.
    async fn is_new(&self, signature: &str) -> Result<(), Refusal> {
        // Twice the age at which it is refused anyway: the clocks here and there differ.
        let until = self.ports.clock().now().as_second() + 2 * AGE_MAX;
        let key = format!("slack#{signature}");
        let is_new = self.ports.chat_records().first_seen(&key, until).await.map_err(|error| {
            tracing::error!(detail = error.for_log(), "the table did not say whether a request came before: {error}");
            Refusal::Unavailable
        })?;
        if is_new { Ok(()) } else { Err(Refusal::Replayed) }
    }

    /// Verifies a signature with the secret that is known, then with the secret as it is now; returns the signature.
    async fn verify_signature(
        &self,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
    ) -> Result<String, Refusal> {
        let now = self.ports.clock().now();
        for read_again in [false, true] {
            let secret = self.secret.get(self.ports.secrets(), &self.settings.secret_arn, now, read_again).await;
            let secret = secret.map_err(|error| {
                tracing::error!(detail = error.for_log(), "the app's secret could not be read: {error}");
                Refusal::Unavailable
            })?;
            let Some(secret) = secret else { break };
            match verify(&secret.signing_secret, timestamp, signature, body, now) {
                Ok(signature) => return Ok(signature),
                // The secret may have been rotated since it was read.
                Err(SignatureError::Wrong) => {}
                Err(SignatureError::Missing | SignatureError::Stale) => break,
            }
        }
        Err(Refusal::Unsigned)
    }

    /// Makes the message that goes back with the response; none where all goes to the request's response URL.
    async fn respond(&self, request: SlackRequest) -> Option<SlackMessage> {
        match request {
            SlackRequest::SslCheck => None,
            SlackRequest::Line { user, line, response_url } => {
                Some(self.respond_to_line(user, &line, response_url).await)
            }
            SlackRequest::Button { user, button, response_url } => {
                // Slack shows nothing of a response to a button: what there is to say goes to its response URL.
                self.respond_to_button(user, &button, response_url).await;
                None
            }
        }
    }

    async fn respond_to_button(&self, user: ChatUser, button: &PressedButton, response_url: String) {
        // The secret that the request was verified with: whoever made the button had it too.
        let secret = self.signing_secret().await;
        let Some(task) = secret.and_then(|secret| button.task(&secret)) else {
            tracing::warn!(user = user.id, team = user.team, "a button was refused that this function did not make");
            let denied = if self.settings.access.has_access(&user) { FOREIGN_BUTTON } else { ACCESS_DENIED };
            return self.send(&response_url, &SlackMessage::sentence(denied)).await;
        };
        // The permission is checked where the task runs.
        let deferred = DeferredTask { task, user, response_url };
        if let Err(error) = self.defer(&deferred).await {
            tracing::error!(detail = error.for_log(), "the task of a button could not be deferred: {error}");
        }
    }

    /// The secret as it was read last, for buttons; none where it cannot be read.
    async fn signing_secret(&self) -> Option<String> {
        let now = self.ports.clock().now();
        let secret = self.secret.get(self.ports.secrets(), &self.settings.secret_arn, now, false).await;
        secret.ok().flatten().map(|secret| secret.signing_secret)
    }

    /// Renders a message, with buttons that are known again.
    pub(crate) async fn rendered(&self, message: &SlackMessage) -> Value {
        message.to_json(self.signing_secret().await.as_deref())
    }

    async fn respond_to_line(&self, user: ChatUser, line: &str, response_url: String) -> SlackMessage {
        let access = &self.settings.access;
        // Before the line is parsed: even the help would show somebody without access what can be done here.
        if !access.has_access(&user) {
            tracing::warn!(user = user.id, team = user.team, "somebody without access asked");
            return SlackMessage::sentence(ACCESS_DENIED);
        }
        let command = match rewind_ui::chat::parse(line) {
            Ok(ChatInput::Command(command)) => *command,
            Ok(ChatInput::Help(help)) => return SlackMessage::verbatim(&help),
            Err(explanation) => return SlackMessage::verbatim(&explanation),
        };
        if let Some(denied) = access.denied(&user, Permission::for_command(&command)) {
            tracing::warn!(user = user.id, team = user.team, "a command was denied");
            return SlackMessage::sentence(denied);
        }
        // Never the line itself: a comment may hold anything.
        tracing::info!(user = user.id, team = user.team, "a command was accepted");
        let (task, notice) = match self.run_at_once(&user, command).await {
            Response::Message(message) => return *message,
            Response::Deferred(task, notice) => (task, notice),
        };
        let deferred = DeferredTask { task, user, response_url };
        match self.defer(&deferred).await {
            Ok(()) => SlackMessage::sentence(notice),
            Err(error) => {
                tracing::error!(detail = error.for_log(), "a task could not be deferred: {error}");
                SlackMessage::sentence("that could not be begun; nothing was done; next step: say it again")
            }
        }
    }

    async fn defer(&self, deferred: &DeferredTask) -> Result<(), StepError> {
        let deferred = serde_json::to_string(deferred).map_err(|error| StepError::bug(error.to_string()))?;
        let now = self.ports.clock().now();
        let secret = self.secret.get(self.ports.secrets(), &self.settings.secret_arn, now, false).await?;
        let timestamp = now.as_second().to_string();
        let bytes = SignedTask::signed_bytes(&deferred);
        let signature = secret.and_then(|secret| sign(&secret.signing_secret, &timestamp, &bytes));
        let signature = signature.ok_or_else(|| StepError::bug("a deferred task could not be signed"))?;
        let payload = json!(SignedTask { deferred, timestamp, signature });
        self.ports.deferred().invoke_async(&self.settings.function, &payload).await
    }
}

fn http_response(status: u16, body: Option<&Value>) -> Value {
    match body {
        Some(body) => json!({
            "statusCode": status,
            "headers": { "content-type": "application/json" },
            "body": body.to_string(),
        }),
        None => json!({ "statusCode": status, "headers": {}, "body": "" }),
    }
}
