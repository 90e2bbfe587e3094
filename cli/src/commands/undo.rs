//! `rewind undo`: traffic back to the source.

use crate::args::UndoArgs;
use crate::ask::ask;
use crate::connect::{AwsClient, who};
use crate::exit::{Done, Failure};
use crate::follow::follow;
use crate::show::Show;
use rewind_aws::Aws;
use rewind_ui::{id_of, say};
use serde_json::json;

/// Says what would happen, asks for the source's name, and starts it.
pub(crate) async fn run(aws: &Aws, client: &AwsClient, show: &Show, args: &UndoArgs) -> Result<Done, Failure> {
    let id = id_of(&args.words.id);
    let mut confirm = args.words.confirm.clone();
    if confirm.is_none() && show.can_ask() {
        let recovery = client.undoable(id).await?;
        show.aside(&say::undo(&recovery));
        confirm = Some(ask(&format!("To do it, type the source's name, {}:", recovery.cluster))?);
    }
    let begun = client.undo(id, confirm.as_deref(), &who(aws).await?).await?;
    let said = say::begun(&begun.id, begun.before);
    if args.detach {
        show.answer(&json!({ "recoveryId": id, "executionArn": begun.arn, "startedBefore": begun.before }), &said);
        return Ok(Done::Answered);
    }
    show.aside(&said);
    follow(client, show, &begun.id, &begun.arn).await
}
