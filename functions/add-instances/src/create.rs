//! Creates the planned instances that are missing, the writer first. A reader that AWS refuses is a difference; a writer is tried
//! wherever one may be.

use super::places::Places;
use super::{AddInstances, differences, model};
use rewind_aws::rds::tags::{MARKS_OF_INSTANCE, inherit};
use rewind_aws::rds::{
    ChangeInstances, Cluster, Created, Instance, NewInstance, ReadClusters, Refusal, RefusedFor, TagClusters,
};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Difference, ErrorName, Plan, PlannedInstance, Recovery, StepError};

/// The prefix of the tags by which Application Auto Scaling knows its own readers.
const OF_AUTOSCALING: &str = "application-autoscaling:";
/// The code with which a refusal begins where a permission is missing: no other name of the instance helps then.
const ACCESS_DENIED: &str = "AccessDenied";

impl<C: ReadClusters + ChangeInstances + TagClusters, K> AddInstances<C, K> {
    /// Creates what is missing; returns the names of the instances that are there, and the differences.
    pub(super) async fn create_missing(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        restored: &Cluster,
        source: &[Instance],
    ) -> Result<(Vec<String>, Vec<Difference>), StepError> {
        // A second run finds the instances of the first one, and creates only what is missing.
        let present = self.clusters.instances(&restored.name).await?;
        self.take_over(recovery, plan, &present).await?;
        let (mut instances, mut found) = (Vec::new(), Vec::new());
        let mut quota: Option<Refusal> = None;
        for planned in &plan.instances {
            if let Some(there) = present.iter().find(|instance| instance.name == planned.name) {
                Self::refuse_failed_writer(planned, restored, there)?;
                instances.push(planned.name.clone());
                continue;
            }
            let Some(model) = model(planned, source) else {
                found.push(differences::reader_is_gone(planned));
                continue;
            };
            let refused = match &quota {
                // The same for every instance: AWS need not be asked fourteen times.
                Some(refusal) => Some(refusal.clone()),
                None => self.create(recovery, planned, restored, &model, source).await?,
            };
            match refused {
                None => instances.push(planned.name.clone()),
                Some(refusal) => {
                    quota = quota.or_else(|| (refusal.why == RefusedFor::Quota).then(|| refusal.clone()));
                    let another_writes = restored.members.iter().any(|member| member.writer);
                    if planned.writer && !another_writes {
                        return Err(no_writer(plan, planned, &refusal));
                    }
                    found.push(differences::not_made(plan, planned, &refusal));
                }
            }
        }
        Ok((instances, found))
    }

    /// Creates an instance in the first place that takes it; returns AWS's last refusal where none does.
    async fn create(
        &self,
        recovery: &Recovery,
        planned: &PlannedInstance,
        restored: &Cluster,
        model: &Instance,
        source: &[Instance],
    ) -> Result<Option<Refusal>, StepError> {
        let inherited: Vec<_> =
            model.tags.iter().filter(|(key, _)| !key.starts_with(OF_AUTOSCALING)).cloned().collect();
        let tags = inherit(&inherited, MARKS_OF_INSTANCE, vec![(RECOVERY_TAG.to_owned(), recovery.id.clone())]);
        let mut places = match planned.writer {
            true => Places::of_writer(model, restored, source),
            false => Places::of_reader(model),
        };
        let mut place = places.next();
        let mut last = None;
        while let Some(like) = place {
            let new = NewInstance { name: &planned.name, cluster: restored, like: &like, tags: &tags };
            match self.clusters.create_instance(&new).await {
                Ok(Created::Yes) => return Ok(None),
                // Taken by an earlier attempt of this step, or by somebody else: the instance counts if it is in our cluster.
                Ok(Created::NameTaken) if self.is_there(planned, restored).await? => return Ok(None),
                Ok(Created::NameTaken) => {
                    let message = format!("there is an instance {} already, in another cluster", planned.name);
                    return Ok(Some(Refusal { why: RefusedFor::Other, message }));
                }
                Ok(Created::Refused(refusal)) => {
                    place = places.after(&like, refusal.why);
                    last = Some(refusal);
                }
                // CreateDBInstance has no idempotency token, so the name shows if the call without a response was carried
                // out.
                Err(error) if error.name == ErrorName::OutcomeUnknown && self.is_there(planned, restored).await? => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    /// Refuses a writer that came to nothing, and waits for one that is being deleted, so that it is made anew.
    // It is not deleted here: whoever tags instances as a recovery's may not delete what bears the tag.
    fn refuse_failed_writer(planned: &PlannedInstance, restored: &Cluster, there: &Instance) -> Result<(), StepError> {
        let another_writes = restored.members.iter().any(|member| member.writer && member.instance != planned.name);
        if !planned.writer || another_writes {
            return Ok(());
        }
        let (name, status) = (&there.name, &there.status);
        if status == "failed" || status.starts_with("incompatible-") {
            return Err(StepError::new(ErrorName::RewindFailed, format!("{name}, the writer, is {status}"))
                .changed(format!("the restored data of {} is there", restored.name))
                .advice(format!(
                    "aws rds delete-db-instance --db-instance-identifier {name} --skip-final-snapshot; then resume the recovery, which \
                     makes it anew"
                )));
        }
        if status == "deleting" {
            // The name is free only when the deletion has ended: the retry of the step creates it then.
            return Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is being deleted"))
                .changed("nothing was changed")
                .advice("it is made anew when it is gone"));
        }
        Ok(())
    }

    /// Takes over the instances of an adopted cluster, which bear the tag of the recovery that created them.
    async fn take_over(&self, recovery: &Recovery, plan: &Plan, present: &[Instance]) -> Result<(), StepError> {
        let Some(adopted) = &plan.adopted else { return Ok(()) };
        let is_theirs = |instance: &&Instance| {
            instance.tags.iter().any(|(key, value)| key == RECOVERY_TAG && adopted.owners.contains(value))
        };
        // One that somebody else added keeps its tags, so that an undo still finds it foreign.
        for instance in present.iter().filter(is_theirs) {
            self.clusters.tag(&instance.arn, &[(RECOVERY_TAG.to_owned(), recovery.id.clone())]).await?;
        }
        Ok(())
    }

    async fn is_there(&self, planned: &PlannedInstance, restored: &Cluster) -> Result<bool, StepError> {
        Ok(self.clusters.instances(&restored.name).await?.iter().any(|instance| instance.name == planned.name))
    }
}

/// The restored cluster stands without a writer: nothing else can be done with it until a person helps.
fn no_writer(plan: &Plan, planned: &PlannedInstance, refusal: &Refusal) -> StepError {
    let advice = match refusal.why {
        RefusedFor::Quota => {
            "raise the quota of DB instances (`aws service-quotas request-service-quota-increase --service-code rds \
             --quota-code L-7B6409FD --desired-value` and the number), or delete an instance that nobody needs; then resume the \
             recovery"
                .to_owned()
        }
        RefusedFor::Capacity | RefusedFor::Zone | RefusedFor::Class => format!(
            "choose a class that the Region has (`aws rds describe-orderable-db-instance-options --engine {} --engine-version \
             {}`), run `{}` with it, then resume the recovery",
            plan.engine.name(),
            plan.engine_version,
            planned.create_command(plan)
        ),
        RefusedFor::Other if refusal.message.starts_with(ACCESS_DENIED) => {
            "allow the caller the action that is named, and start again".to_owned()
        }
        RefusedFor::Other => format!(
            "mend what AWS's message names; an instance of that name is renamed with `aws rds modify-db-instance \
             --db-instance-identifier {} --apply-immediately --new-db-instance-identifier` and another name; then resume the recovery",
            planned.name
        ),
    };
    let message: String = refusal.message.chars().take(differences::LONGEST_MESSAGE).collect();
    StepError::new(
        ErrorName::RewindFailed,
        format!("{} has no writer, for AWS refuses {}: {message}", plan.new_cluster, planned.name),
    )
    .changed(format!("the restored data of {} is there", plan.new_cluster))
    .advice(advice)
}
