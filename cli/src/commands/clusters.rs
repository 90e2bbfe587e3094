//! `rewind clusters`: what recoveries made or kept and is still there, what it costs and who is connected to it, and the removal of one
//! cluster of it.

use crate::args::ClustersOptions;
use crate::ask::ask;
use crate::connect::{AwsClient, caller_name};
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_aws::Aws;
use rewind_aws::metrics::CloudWatch;
use rewind_aws::price_list::PriceList;
use rewind_aws::rds::Rds;
use rewind_aws::route53::Route53;
use rewind_client::{meter_clusters, removable};
use rewind_clock::SystemClock;
use rewind_core::{Clock, Inventory};
use rewind_ui::format;
use serde_json::json;

/// Lists what is there, or has one cluster removed.
pub(crate) async fn run(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    options: &ClustersOptions,
) -> Result<Completion, Failure> {
    let now = SystemClock.now();
    // With the credentials of whoever asks: a permission that is missing is told, and the rest is shown.
    let mut inventory = client.inventory((&Rds::new(aws), &Route53::from_env(aws)), now).await?;
    match &options.remove {
        Some(name) => remove(aws, client, output, (&inventory, name, options.confirm.as_deref())).await,
        None => {
            // Only for the list: a removal looks itself who is connected, and should not wait for prices.
            meter_clusters(&mut inventory, (&CloudWatch::new(aws), &PriceList::new(aws)), now).await;
            output.result(&json!(inventory), &format::clusters(&inventory, now));
            Ok(Completion::Done)
        }
    }
}

/// Shows the cluster and what its removal does, asks for its name, and begins the removal.
async fn remove(
    aws: &Aws,
    client: &AwsClient,
    output: &Output,
    (inventory, name, confirm): (&Inventory, &str, Option<&str>),
) -> Result<Completion, Failure> {
    let mut confirm = confirm.map(ToOwned::to_owned);
    // In a script nobody is asked: the client refuses then, and its message names the flag.
    if confirm.is_none() && output.can_ask() {
        // Before the question: nobody should confirm a removal that is refused afterwards.
        let cluster = removable(inventory, name)?;
        output.note(&format::removal(cluster, inventory.clean_up_hourly));
        confirm = Some(ask(&format!("To do it, type the cluster's name, {name}:"))?);
    }
    let by = caller_name(aws).await?;
    let world = (&Rds::new(aws), &Route53::from_env(aws));
    let removed = client.remove_cluster(world, inventory, name, confirm.as_deref(), (&by, SystemClock.now())).await?;
    output.result(
        &json!({
            "cluster": name, "keepUntil": removed.keep_until, "executionArn": removed.execution.arn,
            "keepCommand": removed.keep_command,
        }),
        &format::removal_begun(name, &removed.execution.arn, &removed.keep_command),
    );
    Ok(Completion::Done)
}
