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
use rewind_core::Clock;
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
            // Before the question: nobody should read all of it and type a hash that is refused.
            request.check_deadline(SystemClock.now())?;
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

/// Rejects the proposal, after a person at a terminal who gives no hash has typed the name of the cluster that it is about.
// Whatever was shown, nothing of it happens: so the hash of the present proposal serves where none is given.
pub(crate) async fn reject(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &DecideOptions,
) -> Result<Completion, Failure> {
    let hash = match &options.args.hash {
        Some(hash) => hash.clone(),
        None => {
            let id = recovery_id(&options.args.id);
            // Before the question: nobody should confirm a rejection that is refused afterwards. And what is asked while somebody
            // reads has another hash, so it is not rejected by this.
            let hash = client.pending_hash(id).await?;
            // A script that names no hash means whatever is asked now.
            if output.can_ask() {
                confirm_rejection(client, output, id).await?;
            }
            hash
        }
    };
    decide(aws, client, output, options, false, hash).await
}

/// Shows what a rejection does, and asks for the name of the cluster that it is about.
// Hours of restoring go with that cluster, and no hash was typed that shows that somebody means this recovery.
async fn confirm_rejection(client: &AwsClient, output: &Output, id: &str) -> Result<(), Failure> {
    let recovery = client.recovery(id).await?;
    output.note(&format::rejection(&recovery));
    let (what, name) = match recovery.new_cluster.as_deref().filter(|_| !recovery.is_in_place()) {
        Some(restored) => ("restored cluster", restored),
        None => ("source", recovery.cluster.as_str()),
    };
    let typed = ask(&format!("To reject it, type the {what}'s name, {name}:"))?;
    is_named(id, name, &typed)
}

/// Refuses what was typed where it is not the name that was asked for.
fn is_named(id: &str, name: &str, typed: &str) -> Result<(), Failure> {
    if typed == name {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "\"{typed}\" is not {name}, so {id} is not rejected; nothing was decided; next step: rewind status {id}"
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_rejected_before_the_cluster_is_named() {
        assert_eq!(is_named("r-1", "orders-r", "orders-r"), Ok(()));
        for typed in ["", "y", "orders", "orders-r2"] {
            let refused = is_named("r-1", "orders-r", typed).unwrap_err();
            assert!(matches!(refused, Failure::Refused(_)), "{refused:?}");
            assert!(refused.message().contains("nothing was decided"), "{refused:?}");
        }
    }
}
