//! Turns a kept cluster into a live one: no time after which it may be deleted, no mark of a fence, and the deletion
//! protection that people have chosen. Set on the restored cluster when the recovery has ended well, and on the source when it is undone;
//! the restored cluster then gets a time again until which it is kept.

use super::{AGAIN, Finish};
use jiff::Timestamp;
use rewind_aws::rds::{
    Cluster, ClusterChange, ModifyClusters, ReadClusters, TagClusters, Tagged, UntagClusters, is_foreign,
};
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG};
use rewind_core::{Clock, ErrorName, Plan, Restored, StepError, Strategy, format_time_in};
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

    /// Takes off the source what the recovery set on it; nothing, if it bears the mark of another one. Tags the restored cluster with the
    /// time until which it is kept.
    pub(super) async fn unmark(&self, id: &str, plan: &Plan) -> Result<Undone, StepError> {
        let mut what = Vec::new();
        let found = self.clusters.cluster(&plan.cluster).await?;
        if let Some(source) = found.filter(|source| source.tag(FENCED_BY_TAG) == Some(id)) {
            // The instances first: while the cluster bears the mark, an undo that runs again finds what is left.
            for instance in self.clusters.instances(&source.name).await? {
                if instance.tags.iter().any(|(key, value)| key == FENCED_BY_TAG && value == id) {
                    self.clusters.untag(&instance.arn, &[FENCED_BY_TAG]).await?;
                }
            }
            self.clusters.untag(&source.arn, &[FENCED_BY_TAG, KEEP_UNTIL_TAG]).await?;
            what.push(format!("the tags {FENCED_BY_TAG} and {KEEP_UNTIL_TAG} are taken off {}", source.name));
        }
        let kept = self.keep_undone(id, plan).await?;
        let changed = !what.is_empty() || kept.as_ref().is_some_and(|(_, tagged)| *tagged);
        what.extend(kept.map(|(kept, _)| kept));
        Ok(Undone { changed, ..Undone::of(what) })
    }

    /// Keeps the restored cluster of a recovery that is undone for `keepSource` from now on; returns a sentence about it, and whether it
    /// was tagged. A later time, which people have set, stays.
    async fn keep_undone(&self, id: &str, plan: &Plan) -> Result<Option<(String, bool)>, StepError> {
        let name = &plan.new_cluster;
        let found = match self.clusters.cluster(name).await {
            Err(error) if is_foreign(&error) => None,
            found => found?,
        };
        let is_ours = plan.strategy == Strategy::Restore;
        let found = found.filter(|cluster| is_ours && cluster.tag(RECOVERY_TAG) == Some(id));
        let Some(restored) = found.filter(|cluster| cluster.status != "deleting") else { return Ok(None) };
        let kept = |until: &str| {
            let after = self.after_its_time(&restored);
            format!(
                "the restored cluster {name} is kept, fenced, until {}: what clients wrote to it is there; {after}",
                format_time_in(until)
            )
        };
        let until = plan.keep_undone_from(self.clock.now())?;
        match restored.tag(KEEP_UNTIL_TAG).map(|tag| (tag, tag.parse::<Timestamp>())) {
            Some((tag, Ok(tagged))) if tagged >= until => return Ok(Some((kept(tag), false))),
            // As after a failure: what is no time, people wrote, and nothing deletes the cluster by itself.
            Some((tag, Err(_))) => {
                return Ok(Some((
                    format!(
                        "the restored cluster {name} is kept, fenced, until somebody deletes it, because its tag {KEEP_UNTIL_TAG} is \
                         \"{tag}\": what clients wrote to it is there"
                    ),
                    false,
                )));
            }
            // A time that the restore set counts from that, and may be over: clients wrote to the cluster since.
            Some((_, Ok(_))) | None => {}
        }
        let until = until.to_string();
        Ok(Some(match self.clusters.tag(&restored.arn, &[(KEEP_UNTIL_TAG.to_owned(), until.clone())]).await? {
            Tagged::Yes => (kept(&until), true),
            Tagged::Full => (
                format!(
                    "the restored cluster {name} is kept, fenced, until somebody deletes it: it has as many tags as RDS takes, and none \
                     of a time"
                ),
                false,
            ),
        }))
    }

    /// Tells what becomes of a restored cluster that had the traffic, once its time is over.
    fn after_its_time(&self, restored: &Cluster) -> String {
        let name = &restored.name;
        if !self.fences_network {
            return format!(
                "after that it stays until somebody deletes it, because without a fence of the network nobody sees who opened it again: rewind \
                 clusters shows how {name} is removed"
            );
        }
        // The recovery set it, as the source has it, and people may rely on it by now: nothing takes it off by itself.
        if restored.deletion_protection {
            return format!(
                "after that it stays while it has deletion protection, as its source had when it got the traffic; next step: when nobody \
                 needs it, aws rds modify-db-cluster --db-cluster-identifier {name} --no-deletion-protection --apply-immediately, and it is \
                 deleted into a snapshot"
            );
        }
        "after that it is deleted into a snapshot, if nobody uses or protects it".to_owned()
    }
}
