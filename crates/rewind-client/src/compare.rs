//! Compares the tables of a recovery's two clusters, by the function compare-tables: it works for some minutes, and is called again until
//! all tables are done.

use crate::{ClientError, ClientResult, RecoveryClient};
use rewind_aws::executions::Executions;
use rewind_aws::invoke::{CallFunctions, Called};
use rewind_aws::recoveries::Recoveries;
use rewind_core::comparison::TablesCompared;
use serde_json::json;

impl<E: Executions, R: Recoveries, F: CallFunctions> RecoveryClient<E, R, F> {
    /// Compares the tables that are named in `tables`, or all; calls `progress` with what each call came to.
    ///
    /// # Errors
    ///
    /// `Refused` where the recovery has no plan, where compare-tables is not known, and with its own message; errors of AWS.
    pub async fn compare_clusters(
        &self,
        id: &str,
        tables: &[String],
        mut progress: impl FnMut(&TablesCompared),
    ) -> ClientResult<TablesCompared> {
        let Some(function) = &self.deployment.compare_tables_function else {
            return Err(ClientError::Refused(
                "it is not known which function compares tables; nothing was changed; next step: set \
                 COMPARE_TABLES_FUNCTION, which the stack's outputs have"
                    .to_owned(),
            ));
        };
        let recovery = self.recovery(id).await?;
        let Some(plan) = &recovery.plan else {
            return Err(ClientError::Refused(format!(
                "{id} has no plan, so it has no two clusters to compare; nothing was changed"
            )));
        };
        // Without the report, which is kept for 90 days, all values are compared: that takes longer and finds the same.
        let report = self.report(&recovery.execution_arn).await.unwrap_or_default();
        let frontier = report.and_then(|report| report.frontier);
        let mut whole: Option<TablesCompared> = None;
        loop {
            let after = whole.as_ref().and_then(|whole| whole.after.clone());
            let payload = json!({
                "recovery": { "id": id }, "plan": plan, "frontier": frontier, "tables": tables, "after": after,
            });
            let part = match self.functions.ask(function, &payload).await? {
                Called::Answered(output) => output,
                Called::Refused(name, message) => return Err(ClientError::Refused(format!("{message} [{name}]"))),
            };
            let part: TablesCompared = serde_json::from_value(part).map_err(|error| {
                ClientError::Refused(format!("the answer of compare-tables cannot be read: {error}"))
            })?;
            progress(&part);
            // The same place twice would be asked for without an end.
            if part.after.is_some() && part.after == after {
                return Err(ClientError::Refused("compare-tables does not get on; nothing was changed".to_owned()));
            }
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => {
                    whole.tables.extend(part.tables);
                    whole.notes.extend(part.notes);
                    whole.after = part.after;
                }
            }
            if let Some(whole) = whole.take_if(|whole| whole.after.is_none()) {
                return Ok(whole);
            }
        }
    }
}
