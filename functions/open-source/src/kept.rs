//! The cluster that a recovery left behind: whether it is the one, as the recovery left it, and the security groups with and without
//! the way in.

use crate::refusals;
use rewind_aws::rds::Cluster;
use rewind_aws::recoveries::ReadNotes;
use rewind_core::names::{FENCED_BY_TAG, SAFETY_CLONE_OF_TAG};
use rewind_core::{Plan, StepError, Strategy};

/// The cluster that a recovery left behind.
pub(crate) struct KeptCluster {
    pub(crate) name: String,
    /// The tag with the id of the recovery.
    tag: &'static str,
    /// The security groups that the recovery left it with; empty where its fence has no network layer.
    groups: Vec<String>,
    /// True for the source, whose logins a fence has closed.
    is_source: bool,
    /// True if the recovery moves traffic, without which it fences nothing.
    moves: bool,
}

impl KeptCluster {
    pub(crate) fn of(plan: &Plan, fence_groups: &[String]) -> Self {
        match &plan.backtrack {
            Some(in_place) if plan.strategy == Strategy::Backtrack => Self {
                name: plan.new_cluster.clone(),
                tag: SAFETY_CLONE_OF_TAG,
                groups: in_place.security_groups.clone(),
                is_source: false,
                moves: true,
            },
            _ => Self {
                name: plan.cluster.clone(),
                tag: FENCED_BY_TAG,
                groups: fence_groups.to_vec(),
                is_source: true,
                moves: !plan.dns.is_empty(),
            },
        }
    }

    /// True if the fence of the source may be up. Only then are its databases closed.
    pub(crate) async fn is_fenced<N: ReadNotes>(&self, notes: &N, id: &str) -> Result<bool, StepError> {
        Ok(self.is_source && notes.fences(id).await?.source)
    }

    /// Refuses a source that is not fenced: people log in there as ever.
    pub(crate) async fn refuse_unfenced<N: ReadNotes>(&self, notes: &N, id: &str) -> Result<(), StepError> {
        match self.moves && (!self.is_source || notes.fences(id).await?.source) {
            true => Ok(()),
            false => Err(refusals::not_fenced(&self.name, id)),
        }
    }

    /// True for the cluster of the plan, and not one that was made anew under its name.
    pub(crate) fn is_same(&self, plan: &Plan, cluster: &Cluster) -> bool {
        // A clone was made after the plan, so its tag alone shows whose it is.
        !self.is_source || plan.refuse_other_source(&cluster.resource_id).is_ok()
    }

    /// Refuses a cluster that this recovery did not leave behind.
    pub(crate) fn refuse_other(&self, id: &str, plan: &Plan, cluster: &Cluster) -> Result<(), StepError> {
        if self.is_source {
            plan.refuse_other_source(&cluster.resource_id)?;
        }
        match cluster.tag(self.tag) {
            Some(of) if of == id => Ok(()),
            of => Err(refusals::not_left_behind(&cluster.name, id, self.tag, of)),
        }
    }

    /// The groups with the way in; none where no group of ours admits the address.
    pub(crate) fn groups_to_open(
        &self,
        cluster: &Cluster,
        open_group: Option<&str>,
    ) -> Result<Option<Vec<String>>, StepError> {
        if self.groups.is_empty() {
            return Ok(None);
        }
        let Some(open_group) = open_group else {
            return match self.is_source {
                true => Err(refusals::no_open_group(&cluster.name)),
                // The groups of its clients, which people get through.
                false => Ok(None),
            };
        };
        let with: Vec<String> =
            self.groups.iter().map(String::as_str).chain([open_group]).map(ToOwned::to_owned).collect();
        // Exactly these: with any other group nobody knows who else gets in.
        match cluster.has_groups(&self.groups) || cluster.has_groups(&with) {
            true => Ok(Some(with)),
            false => Err(refusals::other_groups(cluster, &self.groups)),
        }
    }

    /// The groups without the way in; none where the cluster has no group of ours, whoever changed them.
    pub(crate) fn groups_to_close(&self, cluster: &Cluster, open_group: Option<&str>) -> Option<Vec<String>> {
        let open_group = open_group?;
        let without: Vec<String> =
            cluster.security_groups.iter().filter(|group| *group != open_group).cloned().collect();
        (without.len() < cluster.security_groups.len()).then_some(without)
    }
}
