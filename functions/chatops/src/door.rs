//! The door: what comes over HTTP is refused or let in, by signature, age, and whether it came before; then it is answered
//! at once or handed to a later invocation of this function. Nothing of a request is parsed before that.

use crate::people::{Person, Right, STRANGER};
use crate::reply::Reply;
use crate::signature::{OLDEST, Unsigned, verify};
use crate::slack::{Asked, read};
use crate::task::{Handed, Task};
use crate::world::{Chat, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rewind_aws::chat::{Later, Memory};
use rewind_clock::within;
use rewind_core::{Clock, StepError, timeouts};
use rewind_ui::chat::Said;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The largest body: a pressed button brings the message that it is on.
const BODY_MAX: usize = 256 * 1024;

/// A request as a function URL brings it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Debug, Deserialize)]
struct Context {
    http: Method,
}

#[derive(Debug, Deserialize)]
struct Method {
    method: String,
}

/// Why a request is not let in: a status, and no word more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shut {
    Method,
    TooLarge,
    Encoding,
    Unsigned,
    Replayed,
    Unavailable,
}

impl Shut {
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

impl<W: World> Chat<W> {
    /// Answers an event: a request over HTTP, later work, or an event of a recovery.
    pub async fn called(&self, event: Value) -> Value {
        if event.get("requestContext").is_some() {
            return self.http(event).await;
        }
        if let Some(handed) = event.get("later") {
            match serde_json::from_value(handed.clone()) {
                Ok(handed) => self.done_later(handed).await,
                Err(error) => tracing::error!("the later work cannot be read: {error}"),
            }
        } else if event.get("source").and_then(Value::as_str) == Some("aurora-rewind") {
            self.tell_channel(&event).await;
        } else {
            tracing::error!("called with what is no request, no later work and no event of a recovery");
        }
        Value::Null
    }

    async fn http(&self, event: Value) -> Value {
        let asked = async {
            let asked = self.let_in(event).await?;
            Ok(self.answer(asked).await)
        };
        // After that nobody hears the answer: Slack has shown an error.
        match within(timeouts::CHAT_REQUEST, Box::pin(asked)).await.unwrap_or(Err(Shut::Unavailable)) {
            Ok(Some(reply)) => http(200, Some(&reply.to_json())),
            Ok(None) => http(200, None),
            Err(shut) => {
                tracing::warn!(?shut, "a request was not let in");
                http(shut.status(), None)
            }
        }
    }

    /// What was asked, once it is certain that Slack asks it, now, and for the first time.
    async fn let_in(&self, event: Value) -> Result<Asked, Shut> {
        let request: Http = serde_json::from_value(event).map_err(|_| Shut::Encoding)?;
        if request.request_context.http.method != "POST" {
            return Err(Shut::Method);
        }
        let body = request.body.unwrap_or_default();
        if body.len() > BODY_MAX {
            return Err(Shut::TooLarge);
        }
        let body = if request.is_base64_encoded {
            STANDARD.decode(body).map_err(|_| Shut::Encoding)?
        } else {
            body.into_bytes()
        };
        let header = |name: &str| {
            let found = request.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let (timestamp, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        let signed = self.check(timestamp, signature, &body).await?;
        // Twice the age at which it is refused anyway: the clocks here and there differ.
        let until = self.world.clock().now().as_second() + 2 * OLDEST;
        let new = self.world.memory().is_new(&format!("slack#{signed}"), until).await.map_err(|error| {
            tracing::error!(detail = error.for_log(), "it could not be seen whether a request came before: {error}");
            Shut::Unavailable
        })?;
        if !new {
            return Err(Shut::Replayed);
        }
        read(&body).ok_or(Shut::Encoding)
    }

    async fn check(&self, timestamp: Option<&str>, signature: Option<&str>, body: &[u8]) -> Result<String, Shut> {
        let now = self.world.clock().now();
        for again in [false, true] {
            let app = self.secret.get(self.world.secrets(), &self.settings.secret_arn, now, again).await;
            let app = app.map_err(|error| {
                tracing::error!(detail = error.for_log(), "the app's secret could not be read: {error}");
                Shut::Unavailable
            })?;
            let Some(app) = app else { break };
            match verify(&app.signing_secret, timestamp, signature, body, now) {
                Ok(signed) => return Ok(signed),
                // The secret may have been replaced since it was read.
                Err(Unsigned::Wrong) => {}
                Err(_) => break,
            }
        }
        Err(Shut::Unsigned)
    }

    /// The answer, if one goes back with the response.
    async fn answer(&self, asked: Asked) -> Option<Reply> {
        match asked {
            Asked::Ping => None,
            Asked::Line { person, line, response_url } => Some(self.line(person, &line, response_url).await),
            Asked::Button { person, task, response_url } => {
                // Slack shows nothing of a response to a button: all goes to the URL.
                let handed = Handed { task: *task, person, response_url };
                if let Err(error) = self.hand(&handed).await {
                    tracing::error!(detail = error.for_log(), "a button's work could not be handed over: {error}");
                }
                None
            }
        }
    }

    async fn line(&self, person: Person, line: &str, response_url: String) -> Reply {
        if !self.settings.people.knows(&person) {
            tracing::warn!(person = person.id, team = person.team, "a stranger asked");
            return Reply::sentence(STRANGER);
        }
        let command = match rewind_ui::chat::read(line) {
            Ok(Said::Do(command)) => *command,
            Ok(Said::Help(help)) => return Reply::verbatim(&help),
            Err(wrong) => return Reply::verbatim(&wrong),
        };
        if let Some(objection) = self.settings.people.objection(&person, Right::to(&command)) {
            tracing::warn!(person = person.id, team = person.team, "asked for what they may not do");
            return Reply::sentence(objection);
        }
        // Never the line itself: a comment may hold anything.
        tracing::info!(person = person.id, team = person.team, "asked");
        let (task, meanwhile) = match self.at_once(&person, command).await {
            Now::Reply(reply) => return *reply,
            Now::Later(task, meanwhile) => (task, meanwhile),
        };
        let handed = Handed { task, person, response_url };
        match self.hand(&handed).await {
            Ok(()) => Reply::sentence(meanwhile),
            Err(error) => {
                tracing::error!(detail = error.for_log(), "the later work could not be handed over: {error}");
                Reply::sentence("that could not be begun; nothing was done; next step: say it again")
            }
        }
    }

    async fn hand(&self, handed: &Handed) -> Result<(), StepError> {
        let payload = json!({ "later": handed });
        self.world.later().later(&self.settings.function, &payload).await
    }
}

/// What comes of a line within the time that Slack waits.
pub(crate) enum Now {
    /// The answer.
    Reply(Box<Reply>),
    /// It takes longer; this is said meanwhile.
    Later(Task, String),
}

impl Now {
    pub(crate) fn reply(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

fn http(status: u16, body: Option<&Value>) -> Value {
    match body {
        Some(body) => json!({
            "statusCode": status,
            "headers": { "content-type": "application/json" },
            "body": body.to_string(),
        }),
        None => json!({ "statusCode": status, "headers": {}, "body": "" }),
    }
}
