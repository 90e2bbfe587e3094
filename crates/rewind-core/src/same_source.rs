//! Refuses a source that is another cluster than the plan was made for. It reads nothing: steps pass the id that they see.

use crate::error::{ErrorName, StepError};
use crate::identity::differ;
use crate::plan::Plan;

impl Plan {
    /// Refuses the source that has the id `resource_id` now, if the plan was made for another one of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorName::RewindFailed`].
    pub fn refuse_other_source(&self, resource_id: &str) -> Result<(), StepError> {
        if !differ(&self.resource_ids.cluster, resource_id) {
            return Ok(());
        }
        let (name, planned) = (&self.cluster, &self.resource_ids.cluster);
        Err(StepError::new(
            ErrorName::RewindFailed,
            format!("{name} is not the cluster that the plan was made for: it was deleted and made anew ({planned} then, {resource_id} now)"),
        )
        .changed("this step changed nothing")
        .advice(format!(
            "find out who did that; the data of the former {name} may be in a final snapshot or in its retained automated backups \
             (aws rds describe-db-cluster-automated-backups --db-cluster-resource-id {planned})"
        )))
    }
}
