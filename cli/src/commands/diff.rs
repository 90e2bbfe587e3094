//! `rewind diff`: what was written on the source since the target, table by table.

use crate::args::DiffOptions;
use crate::connect::AwsClient;
use crate::exit::{Completion, Failure};
use crate::output::Output;
use rewind_ui::{Document, format, recovery_id};
use serde_json::json;

/// Compares the tables of a recovery's two clusters.
pub(crate) async fn run(client: &AwsClient, output: &Output, options: &DiffOptions) -> Result<Completion, Failure> {
    let mut done = 0_usize;
    let progress = |part: &rewind_core::comparison::TablesCompared| {
        done = done.saturating_add(part.tables.len());
        // A call takes minutes: whoever waits sees that it gets on.
        if part.after.is_some() {
            let mut document = Document::new();
            document.plain(format!("{done} tables are compared, and more are left"));
            output.note(&document);
        }
    };
    let compared = client.compare_clusters(recovery_id(&options.id), &options.compared, progress).await?;
    if !options.compared.is_empty() && compared.tables.is_empty() {
        return Err(Failure::Usage(format!("neither cluster has a table {}", options.compared.join(" or "))));
    }
    output.result(&json!(compared), &format::comparison(&compared));
    Ok(Completion::Done)
}
