//! Turns a kept cluster into a live one: no time after which it may be deleted, no mark of a fence, and the deletion
//! protection that people have chosen. Set on the restored cluster when the recovery has ended well, and on the source when it is undone.

use super::{AGAIN, Finish};
use rewind_aws::rds::{ClusterChange, ModifyClusters, ReadClusters, TagClusters, UntagClusters};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG};
use rewind_core::{Clock, ErrorName, Plan, Restored, StepError};
use rewind_lambda::Undone;

impl<C, K> Finish<C, K>
where
    C: ReadClusters + ModifyClusters + TagClusters + UntagClusters,
    K: Clock,
{
    /// Makes the restored cluster one that nothing deletes by itself, protected as the source is; returns what could not be done.
    pub(super) async fn release(&self, plan: &Plan, restored: &Restored) -> Result<Option<String>, StepError> {
        let Some(found) = self.clusters.cluster(&restored.cluster).await? else { return Ok(None) };
        if found.tag(KEEP_UNTIL_TAG).is_some() {
            self.clusters.untag(&found.arn, &[KEEP_UNTIL_TAG]).await?;
        }
        let source = self.clusters.cluster(&plan.cluster).await?;
        if found.deletion_protection || !source.is_some_and(|source| source.deletion_protection) {
            return Ok(None);
        }
        let protected = ClusterChange { deletion_protection: Some(true), ..ClusterChange::default() };
        match self.clusters.modify(&restored.cluster, &protected).await {
            Ok(()) => Ok(None),
            // Setting it twice does no harm, so what may pass is left to the retry of the state machine.
            Err(error) if AGAIN.contains(&error.name) || error.name == ErrorName::ClusterNotReady => Err(error),
            // The data is back, and nobody is paged for a setting that one command sets.
            Err(error) => Ok(Some(format!(
                "{0} could not be protected from deletion as the source is: {error}; next step: aws rds modify-db-cluster \
                 --db-cluster-identifier {0} --deletion-protection",
                restored.cluster
            ))),
        }
    }

    /// Takes off the source what the recovery set on it; nothing, if it bears the mark of another one.
    pub(super) async fn unmark(&self, id: &str, plan: &Plan) -> Result<Undone, StepError> {
        let mut taken_off = Vec::new();
        let found = self.clusters.cluster(&plan.cluster).await?;
        if let Some(source) = found.filter(|source| source.tag(FENCED_BY_TAG) == Some(id)) {
            // The instances first: while the cluster bears the mark, an undo that runs again finds what is left.
            for instance in self.clusters.instances(&source.name).await? {
                if instance.tags.iter().any(|(key, value)| key == FENCED_BY_TAG && value == id) {
                    self.clusters.untag(&instance.arn, &[FENCED_BY_TAG]).await?;
                }
            }
            self.clusters.untag(&source.arn, &[FENCED_BY_TAG, KEEP_UNTIL_TAG]).await?;
            taken_off.push(format!("the tags {FENCED_BY_TAG} and {KEEP_UNTIL_TAG} are taken off {}", source.name));
        }
        Ok(Undone::of(taken_off))
    }
}
