//! Keeps the restored cluster of a recovery that failed: tags it with the time until which it is kept, and names the way on. The same with the
//! safety clone of one in place whose data stays rewound. It deletes nothing and changes nothing else.

use super::{Finish, KeepInput};
use jiff::Timestamp;
use rewind_aws::rds::{
    Cluster, ModifyClusters, ReadClusters, TagClusters, Tagged, UntagClusters, came_to_nothing, is_foreign,
};
use rewind_core::names::{KEEP_UNTIL_TAG, RECOVERY_TAG, SAFETY_CLONE_OF_TAG};
use rewind_core::{Adopted, Clock, Plan, StepError, format_time, format_time_in};
use serde::Serialize;

/// The restored cluster or the safety clone, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The cluster; none if there is none, or it came to nothing.
    pub cluster: Option<String>,
    /// The time until which it is kept; none if nothing deletes it by itself.
    pub keep_until: Option<Timestamp>,
    /// A sentence for people: what is kept, until when, and the command that goes on from there.
    pub what: String,
}

impl<C, K> Finish<C, K>
where
    C: ReadClusters + ModifyClusters + TagClusters + UntagClusters,
    K: Clock,
{
    pub(crate) async fn keep(&self, input: KeepInput) -> Result<Kept, StepError> {
        let KeepInput { recovery, plan, fenced, lease_until, .. } = input;
        let name = &plan.new_cluster;
        let found = match self.clusters.cluster(name).await {
            Err(error) if is_foreign(&error) => None,
            found => found?,
        };
        // By its tag: the name alone may be somebody else's, whose cluster must not be deleted a day later.
        let is_ours = |cluster: &Cluster| cluster.tag(RECOVERY_TAG) == Some(recovery.id.as_str());
        let nothing = |what: String| Ok(Kept { cluster: None, keep_until: None, what });
        let found = found.filter(|cluster| cluster.status != "deleting");
        let Some(cluster) = found.as_ref().filter(|cluster| is_ours(cluster)) else {
            return nothing(match &plan.adopted {
                Some(adopted) => not_adopted(adopted, name, found.as_ref()),
                None => format!("there is no restored cluster {name}"),
            });
        };
        if came_to_nothing(&cluster.status) {
            return nothing(format!("the restored cluster {name} is {}: nothing can go on with it", cluster.status));
        }
        let way_on = way_on(&recovery.id, fenced);
        Ok(match until(&plan, cluster, self.clock.now(), lease_until)? {
            Until::Time(until) => {
                let tags = [(KEEP_UNTIL_TAG.to_owned(), until.to_string())];
                // It replaces a value, so there is room for it.
                self.clusters.tag(&cluster.arn, &tags).await?;
                kept(cluster, Some(until), &format!("until {}", format_time(until)), &way_on)
            }
            Until::People(until) => kept(cluster, None, &until, &way_on),
        })
    }

    /// Keeps the safety clone for `keepSource` from now on, marked as that of the recovery, as the end of the recovery would have. A later
    /// time, which people have set, stays.
    pub(crate) async fn keep_safety_clone(&self, input: KeepInput) -> Result<Kept, StepError> {
        let KeepInput { recovery, plan, lease_until, .. } = input;
        let (id, name) = (recovery.id.as_str(), &plan.new_cluster);
        let found = match self.clusters.cluster(name).await {
            Err(error) if is_foreign(&error) => None,
            found => found?,
        };
        let is_ours = |cluster: &Cluster| cluster.tag(RECOVERY_TAG) == Some(id) && cluster.status != "deleting";
        let Some(cluster) = found.filter(is_ours) else {
            let what = format!("there is no safety clone {name} any more");
            return Ok(Kept { cluster: None, keep_until: None, what });
        };
        let kept = |keep_until: Option<Timestamp>, until: &str| Kept {
            cluster: Some(name.clone()),
            keep_until,
            what: format!(
                "the safety clone {name} holds what {} held before, and is kept {until}; rewind open {id} --from <address> opens it for \
                 reading",
                plan.cluster
            ),
        };
        // Set when it was made, for as long as the recovery may run. Any other value is people's.
        let own = lease_until.map(|end| plan.keep_undone_from(end)).transpose()?;
        let least = plan.keep_undone_from(self.clock.now())?;
        let until = match cluster.tag(KEEP_UNTIL_TAG).map(|tag| (tag, tag.parse::<Timestamp>())) {
            Some((_, Ok(asked))) if Some(asked) != own => least.max(asked),
            Some((tag, Err(_))) => {
                let until = format!("until somebody deletes it, because its tag {KEEP_UNTIL_TAG} is \"{tag}\"");
                return Ok(kept(None, &until));
            }
            Some((_, Ok(_))) | None => least,
        };
        let tags = [(SAFETY_CLONE_OF_TAG.to_owned(), id.to_owned()), (KEEP_UNTIL_TAG.to_owned(), until.to_string())];
        Ok(match self.clusters.tag(&cluster.arn, &tags).await? {
            Tagged::Yes => kept(Some(until), &format!("until {}", format_time(until))),
            Tagged::Full => {
                kept(None, "until somebody deletes it: it has as many tags as RDS takes, and none of a time")
            }
        })
    }
}

/// A sentence about a cluster that was to be adopted and was not, or that somebody else adopted since.
fn not_adopted(Adopted { recovery, owners, .. }: &Adopted, name: &str, found: Option<&Cluster>) -> String {
    let of_owner = |cluster: &&Cluster| cluster.tag(RECOVERY_TAG).is_some_and(|tag| owners.iter().any(|id| id == tag));
    match found.filter(of_owner) {
        Some(cluster) => {
            let until = cluster
                .tag(KEEP_UNTIL_TAG)
                .map_or_else(String::new, |until| format!(" until {}", format_time_in(until)));
            format!(
                "the restored cluster {name} is kept{until}, as {recovery} left it; next step: correct what failed, and \
                 `rewind resume {recovery}` goes on with it: nobody waits for the restore again"
            )
        }
        None => format!("{name} of {recovery} is not this recovery's"),
    }
}

/// The end of the time for which a restored cluster is kept.
enum Until {
    /// A time, as its tag.
    Time(Timestamp),
    /// In words, where people have decided that nothing deletes it by itself.
    People(String),
}

/// Decides until when the cluster is kept: for `keepRestored` from now on, and never for less than people have asked for.
fn until(plan: &Plan, cluster: &Cluster, now: Timestamp, lease_until: Option<Timestamp>) -> Result<Until, StepError> {
    // Set by the restore or the adoption, for as long as the recovery may run. Any other value is people's.
    let own = lease_until.map(|end| plan.keep_restored_from(end)).transpose()?;
    let adopted = plan.adopted.as_ref().and_then(|adopted| adopted.keep_until);
    let least = plan.keep_restored_from(now)?.max(adopted.unwrap_or(Timestamp::MIN));
    let Some(tag) = cluster.tag(KEEP_UNTIL_TAG) else {
        return Ok(Until::People(format!(
            "until somebody deletes it, because it has no tag {KEEP_UNTIL_TAG} any more"
        )));
    };
    Ok(match tag.parse::<Timestamp>() {
        Ok(asked) if Some(asked) != own => Until::Time(least.max(asked)),
        Ok(_) => Until::Time(least),
        Err(_) => Until::People(format!("until somebody deletes it, because its tag {KEEP_UNTIL_TAG} is \"{tag}\"")),
    })
}

/// The next step from a restored cluster.
fn way_on(id: &str, fenced: bool) -> String {
    if fenced {
        // Nobody adopts it: a client that remembers its address would write there unseen once it is open.
        return format!(
            "it is fenced, and can be read as the master user; next step: correct what failed, and start again; or, when \
             no client can be led to it any more, lift its fence as docs/runbook.md says for RolledBack, and \
             `rewind resume {id}` goes on with it"
        );
    }
    format!(
        "next step: correct what failed, and `rewind resume {id}` goes on with it: nobody waits for the restore again"
    )
}

fn kept(cluster: &Cluster, keep_until: Option<Timestamp>, until: &str, way_on: &str) -> Kept {
    let name = cluster.name.clone();
    // A resume waits for it, as this recovery would have.
    let yet = if cluster.status == "creating" { ", which RDS still restores," } else { "" };
    let what = format!("the restored cluster {name}{yet} is kept with its instances {until}; {way_on}");
    Kept { cluster: Some(name), keep_until, what }
}
