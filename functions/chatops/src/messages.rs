//! Messages with buttons: the plan of a dry run, and a request for approval; and the message of an error.

use crate::access::ChatUser;
use crate::slack_message::SlackMessage;
use crate::task::Task;
use rewind_aws::executions::Execution;
use rewind_client::{ApprovalRequest, ClientError, StartedExecution};
use rewind_core::{Finding, Outcome, Plan, StepError, Strategy, format_moment};
use rewind_ui::{Document, Place, format, in_flags};
use serde_json::Value;

/// Makes the message of an error, for a user who has access, and logs its detail.
pub(crate) fn error_message(error: &ClientError) -> SlackMessage {
    if let ClientError::Aws(error) = error {
        let detail = StepError::for_log(error);
        tracing::error!(detail, "{error}");
    }
    // In the words that people type here.
    SlackMessage::sentence(in_flags(&error.to_string()))
}

/// Formats that an execution was started, by whom, and where to see it.
pub(crate) fn started_document(user: &ChatUser, started: &StartedExecution) -> Document {
    let mut document = format::started(&started.id, started.started_before);
    document.field("by", user.display_name());
    document.field("follow", format!("/rewind status {}", started.id));
    if let Some(url) = console_url(&started.arn) {
        document.field("execution", url);
    }
    document
}

/// Derives the URL of an execution's page in the console of its partition.
// Each partition has a console of its own: a link to another one's leads to a login that nobody has.
pub(crate) fn console_url(arn: &str) -> Option<String> {
    let mut parts = arn.split(':').skip(1);
    let (partition, region) = (parts.next()?, parts.nth(1)?);
    let host = match partition {
        "aws-us-gov" => "console.amazonaws-us-gov.com".to_owned(),
        "aws-cn" => "console.amazonaws.cn".to_owned(),
        _ => format!("{region}.console.aws.amazon.com"),
    };
    Some(format!("https://{host}/states/home?region={region}#/v2/executions/details/{arn}"))
}

/// Makes the message of a dry run that has ended: its plan, with a button that starts the recovery to that moment.
pub(crate) fn plan_message(id: &str, execution: &Execution) -> SlackMessage {
    let Ok(Outcome::Planned(planned)) = Outcome::read(&execution.output) else {
        let cause = execution.cause.as_deref().unwrap_or("no reason was given");
        return SlackMessage::sentence(in_flags(cause));
    };
    let plan = &planned.plan;
    if plan.findings.iter().any(Finding::is_blocking) {
        // The recovery would be refused with the same findings.
        return SlackMessage::private(format::plan(plan));
    }
    // The same id however often the button is pressed, so that it starts one recovery.
    let task = Task::Start { id: id.replacen("plan-", "rewind-", 1), request: request_of(plan, execution) };
    SlackMessage::private(format::plan(plan)).button(task)
}

/// Makes the request of a recovery from that of its dry run.
fn request_of(plan: &Plan, dry_run: &Execution) -> Value {
    let mut request = dry_run.input.clone();
    if let Some(request) = request.as_object_mut() {
        request.insert("dryRun".to_owned(), Value::Bool(false));
        if !plan.use_latest {
            // "5m ago" is another moment by the time that the button is pressed.
            request.insert("to".to_owned(), Value::from(plan.target.to_string()));
        }
    }
    request
}

/// Makes the message of a request for approval: the proposal in short, with a button for each decision.
pub(crate) fn approval_message(request: &ApprovalRequest, comment: Option<String>) -> SlackMessage {
    let ApprovalRequest { id, hash, proposal, .. } = request;
    let mut document = format::approval_request(id, proposal, hash, request.expires_at, Place::Chat);
    let decide = |approved| Task::Decide { id: id.clone(), approved, comment: comment.clone(), hash: hash.clone() };
    let message = if request.hash_matches {
        SlackMessage::public(document).button(decide(true))
    } else {
        // A button would approve what nobody was shown: the hash stands for another proposal than the one above.
        document.warning("the proposal could not be shown here as it was sent: approve by the mail that came");
        SlackMessage::public(document)
    };
    message.button(decide(false))
}

/// Formats what an approval or a rejection does.
pub(crate) fn decision_effect(plan: &Plan, approved: bool) -> String {
    let (cluster, new) = (&plan.cluster, &plan.new_cluster);
    match (plan.strategy, approved) {
        (Strategy::Backtrack, true) => {
            format!("{cluster} itself goes back to {}: every connection to it is cut.", format_moment(plan.target))
        }
        (Strategy::Backtrack, false) => format!("Nothing is changed: {cluster} stays as it is."),
        (_, true) => format!("{cluster} is fenced and its traffic moves to {new}."),
        (_, false) => format!("{new} is deleted if nobody uses it."),
    }
}

/// Formats the request of a recovery, all of it: the button that starts it may stand below any text.
pub(crate) fn start_document(id: &str, request: &Value) -> Document {
    let mut document = Document::new();
    document.heading(format!("Start {id}?"));
    for (name, value) in request.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        document.item(format!("{}: {value}", in_flags(&format!("`{name}`")).trim_matches('`')));
    }
    document
}
