//! `rewind approve` and `rewind reject`: an approval is bound to the proposal that was shown, by its hash.

use crate::args::DecideOptions;
use crate::ask::ask;
use crate::connect::{AwsClient, caller_name};
use crate::exit::{Completion, Failure};
use crate::follow::follow;
use crate::output::Output;
use rewind_aws::Aws;
use rewind_client::Decision;
use rewind_clock::SystemClock;
use rewind_ui::format::Values;
use rewind_ui::{format, recovery_id};
use serde_json::json;

/// Shows the proposal, asks for its hash, and approves it.
pub(crate) async fn approve(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &DecideOptions,
) -> Result<Completion, Failure> {
    let id = recovery_id(&options.args.id);
    let hash = match &options.args.hash {
        Some(hash) => hash.clone(),
        None => {
            let request = client.approval_request(id).await?;
            // A proposal with another hash than the recorded one is not what was asked: whoever typed its hash would
            // approve something that nobody was shown.
            if !request.hash_matches || !output.can_ask() {
                let why = if request.hash_matches {
                    "there is nobody to ask"
                } else {
                    "what was asked could not be shown here"
                };
                return Err(Failure::Refused(format!(
                    "{why}; nothing was decided; next step: give --hash with the hash that came with the question"
                )));
            }
            output.note(&format::proposal(&request.proposal, Values::Shown));
            ask(&format!("This is {}. To approve it, type the first 6 characters of that hash:", request.hash))?
        }
    };
    decide(aws, client, output, options, true, hash).await
}

/// Rejects the proposal.
// Whatever was shown, nothing of it happens: so the hash of the present proposal serves where none is given.
pub(crate) async fn reject(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &DecideOptions,
) -> Result<Completion, Failure> {
    let hash = match &options.args.hash {
        Some(hash) => hash.clone(),
        None => client.pending_hash(recovery_id(&options.args.id)).await?,
    };
    decide(aws, client, output, options, false, hash).await
}

async fn decide(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &DecideOptions,
    approved: bool,
    hash: String,
) -> Result<Completion, Failure> {
    let id = recovery_id(&options.args.id);
    // The identity is read before the decision is sent: a decision without a name cannot be traced to a person.
    let decision =
        Decision { approved, by: caller_name(aws).await?, comment: options.args.comment(), hash, identity: None };
    let bound_to = client.decide(id, &decision, aws, &SystemClock).await?;
    let notice = format::decided(id, approved, &decision.by, &bound_to);
    if !options.follow {
        let word = if approved { "approved" } else { "rejected" };
        output.result(&json!({ "recoveryId": id, "decision": word, "by": decision.by, "hash": bound_to }), &notice);
        return Ok(Completion::Done);
    }
    output.note(&notice);
    let arn = client.recovery(id).await?.execution_arn;
    follow(aws, client, output, id, &arn).await
}
