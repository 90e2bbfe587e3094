//! `rewind approve` and `rewind reject`: a yes is bound to what was shown, by its hash.

use crate::args::DecideArgs;
use crate::ask::ask;
use crate::connect::{AwsClient, who};
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_aws::Aws;
use rewind_client::Decision;
use rewind_clock::SystemClock;
use rewind_ui::{id_of, say};
use serde_json::json;

/// Shows what there is to decide on, asks for its hash, and says yes.
pub(crate) async fn approve(aws: &Aws, client: &AwsClient, show: &Show, args: &DecideArgs) -> Result<Done, Failure> {
    let id = id_of(&args.words.id);
    let hash = match &args.words.hash {
        Some(hash) => hash.clone(),
        None => {
            let matter = client.matter(id).await?;
            if !matter.confirmed || !show.can_ask() {
                let why =
                    if matter.confirmed { "there is nobody to ask" } else { "what was asked could not be shown here" };
                return Err(Failure::Refused(format!(
                    "{why}; nothing was decided; next step: give --hash with the hash that came with the question"
                )));
            }
            show.aside(&say::matter(matter.say()));
            ask(&format!("This is {}. To approve it, type the first 6 characters of that hash:", matter.hash))?
        }
    };
    decide(aws, client, show, args, true, hash).await
}

/// Says no: whatever was shown, nothing of it happens.
pub(crate) async fn reject(aws: &Aws, client: &AwsClient, show: &Show, args: &DecideArgs) -> Result<Done, Failure> {
    let hash = match &args.words.hash {
        Some(hash) => hash.clone(),
        None => client.asked(id_of(&args.words.id)).await?,
    };
    decide(aws, client, show, args, false, hash).await
}

async fn decide(
    aws: &Aws,
    client: &AwsClient,
    show: &Show,
    args: &DecideArgs,
    approved: bool,
    hash: String,
) -> Result<Done, Failure> {
    let id = id_of(&args.words.id);
    let decision = Decision { approved, by: who(aws).await?, comment: args.words.comment(), hash };
    let bound_to = client.decide(id, &decision, &SystemClock).await?;
    let said = say::decided(id, approved, &decision.by, &bound_to);
    if !args.follow {
        let word = if approved { "approved" } else { "rejected" };
        show.answer(&json!({ "recoveryId": id, "decision": word, "by": decision.by, "hash": bound_to }), &said);
        return Ok(Done::Answered);
    }
    show.aside(&said);
    let arn = client.recovery(id).await?.execution_arn;
    follow(client, show, id, &arn).await
}
