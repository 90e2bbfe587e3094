//! Runs deferred tasks, in a later and asynchronous invocation of this function, and sends the answer to Slack.

use crate::access::{ACCESS_DENIED, ChatUser, SELF_APPROVAL_DENIED};
use crate::app::ChatApp;
use crate::messages::{decision_effect, error_message, plan_message, start_document, started_document};
use crate::ports::Ports;
use crate::slack_client::SlackClient;
use crate::slack_message::SlackMessage;
use crate::task::{DeferredTask, Task};
use rewind_aws::chat::{ActKind, ChatAct, ChatRecords, ReadActs};
use rewind_aws::recoveries::Recoveries;
use rewind_client::{ClientError, Decision, RecoveryName, Undoing};
use rewind_clock::{OutOfTime, keep_back};
use rewind_core::{Agreement, Clock, Identity, request_digest, timeouts};
use rewind_ui::{Document, Place, WindowArgs, format};
use serde_json::{Value, json};

/// The time for which it is remembered what people did, in seconds: longer than any recovery takes.
const ACTS_KEPT: i64 = 40 * 86_400;

/// The time in which another person may do what somebody asked for, in seconds: what somebody wanted yesterday is not wanted any more.
const ASK_HOLDS: i64 = 3_600;

/// The sign between the digest of a task and the second, where somebody asked for it.
const ASKED: char = '@';
/// The same, where somebody went on from what was asked before.
const USED: char = '!';

impl<P: Ports> ChatApp<P> {
    /// Runs a deferred task, and sends its result to the response URL.
    pub(crate) async fn run_deferred(&self, deferred: DeferredTask) {
        let DeferredTask { task, user, response_url } = deferred;
        let access = &self.settings.access;
        // Checked here again: a button stays in the channel for everybody, and the lists may have changed since.
        let message = if !access.has_access(&user) {
            tracing::warn!(user = user.id, team = user.team, "somebody without access pressed a button");
            SlackMessage::sentence(ACCESS_DENIED)
        } else if let Some(denied) = access.denied(&user, task.permission()) {
            tracing::warn!(user = user.id, team = user.team, "a task was denied");
            SlackMessage::sentence(denied)
        } else {
            // Some time is kept back: who asked shall hear of a task that took too long.
            match keep_back(timeouts::POST, Box::pin(self.run(&user, task))).await {
                Ok(result) => result.unwrap_or_else(|error| error_message(&error)),
                Err(OutOfTime) => SlackMessage::sentence(
                    "that took longer than there is time for, and may or may not be done; next step: look at its status",
                ),
            }
        };
        self.send(&response_url, &message).await;
    }

    async fn run(&self, user: &ChatUser, task: Task) -> Result<SlackMessage, ClientError> {
        let client = self.ports.client();
        match task {
            Task::Confirm { task } => self.ask_to_confirm(user, *task).await,
            Task::Show { id } => match self.ended(&id, timeouts::CHAT_PLAN_LATER).await? {
                Some(execution) => Ok(plan_message(&id, &execution)),
                None => Ok(SlackMessage::sentence(format!("{id} is still planning: /rewind status {id} tells more"))),
            },
            Task::Start { id, request } => self.start(user, id, &request).await,
            Task::Decide { id, approved, comment, hash } => self.decide(user, &id, approved, comment, hash).await,
            Task::Undo { id, confirm, undoing } => {
                let line = format!("{} {id} --confirm {confirm}", undoing.command());
                if client.undoable(&id, undoing).await?.cluster == confirm
                    && let Some(asked) = self.ask_another(user, &id, json!([id, confirm, undoing]), &line).await?
                {
                    return Ok(asked);
                }
                let started = client.undo(&id, undoing, Some(&confirm), &user.display_name()).await?;
                Ok(SlackMessage::public(started_document(user, &started)))
            }
            Task::Window { cluster, window, confirm } => {
                let changes = window.is_some();
                if let Some(window) = &window {
                    let line = format!("window {cluster} {window}");
                    let task = json!([cluster, window, confirm]);
                    if let Some(asked) = self.ask_another(user, &cluster, task, &line).await? {
                        return Ok(asked);
                    }
                }
                let output = client.window(&WindowArgs { cluster, window, confirm }).await?;
                let document = format::window(&output);
                // A change concerns everybody in the channel, a reading only the user who asked.
                Ok(if changes { SlackMessage::public(document) } else { SlackMessage::private(document) })
            }
        }
    }

    /// Shows a user who pressed a button what its task does, as it is known here and whatever stands above the button, and asks whether to
    /// do it.
    async fn ask_to_confirm(&self, user: &ChatUser, task: Task) -> Result<SlackMessage, ClientError> {
        let client = self.ports.client();
        let mut document = match &task {
            Task::Start { id, request } => start_document(id, request),
            Task::Decide { id, approved, hash, .. } => {
                let request = client.approval_request(id).await?;
                if request.hash != *hash || (*approved && !request.hash_matches) {
                    return Ok(SlackMessage::sentence(format!(
                        "what waits for a decision now is another proposal than that of this button; nothing was decided; next step: \
                         /rewind approve {id}"
                    )));
                }
                let mut document = match approved {
                    // As it is: whoever pressed the button may have been shown something else.
                    true => format::approval_request(id, &request.proposal, hash, request.expires_at, Place::Chat),
                    false => Document::new(),
                };
                document.heading(format!("{} {id}?", if *approved { "Approve" } else { "Reject" }));
                document.plain(decision_effect(&request.proposal.plan, *approved));
                document
            }
            Task::Undo { id, undoing, .. } => {
                let recovery = client.undoable(id, *undoing).await?;
                let mut document = format::undo(&recovery);
                document.extend(self.standing(&recovery, timeouts::CHAT_STANDING).await);
                let act = match undoing {
                    Undoing::Undo => "Undo",
                    Undoing::Cancel => "Cancel",
                };
                document.heading(format!("{act} {id}?"));
                document.plain(format!("{} has its traffic again, or keeps it.", recovery.cluster));
                document
            }
            // No button stands for them.
            Task::Confirm { .. } | Task::Show { .. } | Task::Window { .. } => Document::new(),
        };
        document.plain("Nothing was done yet. The button below is for you alone, and for five minutes.");
        Ok(SlackMessage::private(document).confirmed_by(user, self.ports.clock().now(), task))
    }

    /// Starts a recovery, after it has recorded who asked for it.
    pub(crate) async fn start(
        &self,
        user: &ChatUser,
        id: String,
        request: &Value,
    ) -> Result<SlackMessage, ClientError> {
        let mut request = request.clone();
        if let Some(denied) = self.settings.access.ask_a_person(user, &mut request) {
            return Ok(SlackMessage::sentence(denied));
        }
        // Recorded first: a recovery whose requester is not known could be approved by that very person.
        self.record(ActKind::Requested, &id, user, request_digest(&request)).await?;
        let started = self.ports.client().start(RecoveryName::Given(id), &request, &()).await?;
        Ok(SlackMessage::public(started_document(user, &started)))
    }

    async fn decide(
        &self,
        user: &ChatUser,
        id: &str,
        approved: bool,
        comment: Option<String>,
        hash: String,
    ) -> Result<SlackMessage, ClientError> {
        let client = self.ports.client();
        let mut decision =
            Decision { approved, by: user.display_name(), comment, hash, identity: Some(user.identity()) };
        let mut notice = None;
        if approved {
            let record = client.recoveries.recovery(id).await?;
            let started_by = record.and_then(|record| record.plan).map(|plan| plan.started_by).unwrap_or_default();
            match self.settings.access.agreeing.agreement(&started_by, &[user.identity()]) {
                Agreement::SamePerson(_) if started_by.contains(&user.identity()) => {
                    return Ok(SlackMessage::sentence(SELF_APPROVAL_DENIED));
                }
                Agreement::SamePerson(why) => {
                    return Ok(SlackMessage::sentence(format!(
                        "{why}; nothing was decided; next step: ask another approver"
                    )));
                }
                Agreement::OneMore(why) => notice = Some(why),
                Agreement::Enough => {}
            }
            // The whole hash, and only of what the person was shown: this record is what the approval is verified by.
            decision.hash = client.decided_hash(id, &decision).await?;
            self.record(ActKind::Approved, id, user, decision.hash.clone()).await?;
        }
        let bound_to = client.decide(id, &decision, &(), self.ports.clock()).await?;
        let mut document = format::decided(id, approved, &decision.by, &bound_to);
        if let Some(why) = notice {
            document.plain(format!("If nobody else has approved it: {why}"));
        }
        Ok(SlackMessage::public(document))
    }

    /// Records who asks for something that takes two people; returns what everybody is shown, or none where another person has asked for
    /// the same. An ask is used up by whoever goes on from it, so that nobody repeats alone what two people wanted once.
    async fn ask_another(
        &self,
        user: &ChatUser,
        about: &str,
        task: Value,
        line: &str,
    ) -> Result<Option<SlackMessage>, ClientError> {
        let now = self.ports.clock().now().as_second();
        let digest = request_digest(&task);
        let second = |act: &ChatAct, what: char| -> Option<i64> {
            act.of.strip_prefix(&digest)?.strip_prefix(what)?.parse().ok()
        };
        let acts = self.ports.chat_records().acts(ActKind::Asked, about).await?;
        let used = acts.iter().filter_map(|act| second(act, USED)).max().unwrap_or_default();
        let is_open =
            |act: &&ChatAct| second(act, ASKED).is_some_and(|at| at > used && now.saturating_sub(at) <= ASK_HOLDS);
        let before: Vec<Identity> = acts.iter().filter(is_open).map(ChatAct::identity).collect();
        let is_asked = !before.is_empty();
        let people: Vec<Identity> = before.into_iter().chain([user.identity()]).collect();
        match self.settings.access.agreeing.agreement(&[], &people) {
            Agreement::Enough => {
                // Before it is done: what fails half-way was done once, as far as anybody knows.
                if is_asked {
                    self.record(ActKind::Asked, about, user, format!("{digest}{USED}{now}")).await?;
                }
                Ok(None)
            }
            Agreement::SamePerson(why) => Ok(Some(SlackMessage::sentence(format!("{why}; nothing was done")))),
            Agreement::OneMore(_) => {
                self.record(ActKind::Asked, about, user, format!("{digest}{ASKED}{now}")).await?;
                let mut document = Document::new();
                document.heading(format!("{} asks for /rewind {line}", user.display_name()));
                document.plain(
                    "Nothing was done: it takes two people (the stack's parameters TwoPeople and People). Another approver does it by \
                     the same command, within an hour, once.",
                );
                Ok(Some(SlackMessage::public(document)))
            }
        }
    }

    async fn record(&self, kind: ActKind, id: &str, user: &ChatUser, of: String) -> Result<(), ClientError> {
        let until = self.ports.clock().now().as_second() + ACTS_KEPT;
        Ok(self.ports.chat_records().record_act(kind, id, &user.act(of), until).await?)
    }

    /// Sends a message to a URL of Slack's. Errors are logged: nobody is left to tell.
    pub(crate) async fn send(&self, url: &str, message: &SlackMessage) {
        self.send_json(url, &self.rendered(message).await).await;
    }

    /// Sends a rendered message.
    pub(crate) async fn send_json(&self, url: &str, message: &Value) {
        // Slack signs the URL too. Still, this function talks to nobody else, whatever a request says.
        if !url.starts_with(&self.settings.response_prefix) {
            return tracing::error!("a message was not sent: its URL is none of Slack's");
        }
        if let Err(error) = self.ports.slack().send(url, message).await {
            tracing::error!("{error}");
        }
    }
}
