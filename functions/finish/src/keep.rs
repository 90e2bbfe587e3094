//! Keeps the restored cluster of a recovery that failed: tags it with the time until which it is kept, and names the way on. It
//! deletes nothing and changes nothing else.

use super::{Finish, KeepInput};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use rewind_aws::rds::{Cluster, ReadClusters, TagClusters, Tagged, is_foreign};
use rewind_core::names::{KEEP_UNTIL_TAG, RECOVERY_TAG};
use rewind_core::{Clock, StepError};
use serde::Serialize;

/// The restored cluster, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The restored cluster; none if there is none.
    pub cluster: Option<String>,
    /// The time until which it is kept; none if nothing deletes it by itself.
    pub keep_until: Option<Timestamp>,
    /// A sentence for people: what is kept, until when, and the command that goes on from there.
    pub what: String,
}

impl<C: ReadClusters + TagClusters, K: Clock> Finish<C, K> {
    pub(crate) async fn keep(&self, KeepInput { recovery, plan, fenced, .. }: KeepInput) -> Result<Kept, StepError> {
        let name = &plan.new_cluster;
        let found = match self.clusters.cluster(name).await {
            Err(error) if is_foreign(&error) => None,
            found => found?,
        };
        // By its tag: the name alone may be somebody else's, whose cluster must not be deleted a day later.
        let is_ours = |cluster: &Cluster| cluster.tag(RECOVERY_TAG) == Some(recovery.id.as_str());
        let Some(cluster) = found.filter(|cluster| is_ours(cluster) && cluster.status != "deleting") else {
            return Ok(Kept { cluster: None, keep_until: None, what: format!("there is no restored cluster {name}") });
        };
        let until = self.clock.now().checked_add(plan.keep_restored()).map_err(|e| StepError::bug(e.to_string()))?;
        // Cut, so that it is never kept for longer than was asked for.
        let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
        let until = until.round(whole).map_err(|e| StepError::bug(e.to_string()))?;
        let tags = [(KEEP_UNTIL_TAG.to_owned(), until.to_string())];
        Ok(match self.clusters.tag(&cluster.arn, &tags).await? {
            Tagged::Yes => kept(&cluster, Some(until), &format!("until {until}"), &way_on(&recovery.id, fenced)),
            Tagged::Full => {
                let forever = "until somebody deletes it, because it has as many tags as RDS takes";
                kept(&cluster, None, forever, &way_on(&recovery.id, fenced))
            }
        })
    }
}

/// The next step from a restored cluster.
fn way_on(id: &str, fenced: bool) -> String {
    if fenced {
        // Nobody adopts it: a client that remembers its address would write there unseen once it is open.
        return "it is fenced, and can be read as the master user; next step: correct what failed, and start again"
            .to_owned();
    }
    format!(
        "next step: correct what failed, and `rewind resume {id}` goes on with it: nobody waits for the restore again"
    )
}

fn kept(cluster: &Cluster, keep_until: Option<Timestamp>, until: &str, way_on: &str) -> Kept {
    let name = cluster.name.clone();
    let what = format!("the restored cluster {name} is kept with its instances {until}; {way_on}");
    Kept { cluster: Some(name), keep_until, what }
}
