//! Tags the rewound cluster with the secret that logs in to it. A restore carries no managed master secret over, so the next
//! recovery of that cluster would not know one.

use crate::{AGAIN, Finish};
use rewind_aws::rds::{TagClusters, Tagged};
use rewind_core::names::{SECRET_TAG, is_managed_secret, secret_tag_value};
use rewind_core::{Clock, Plan, Restored, StepError};

impl<C: TagClusters, K: Clock> Finish<C, K> {
    /// Sets the tag; returns a note where the cluster has no room for it.
    // A missing tag fails no recovery: the next one asks for `secretArn`.
    pub(crate) async fn tag_with_secret(&self, plan: &Plan, restored: &Restored) -> Result<Option<String>, StepError> {
        // In place the cluster still has its managed secret, whose name RDS begins with `rds!`.
        let is_managed = is_managed_secret(&plan.secret_arn);
        if plan.backtrack.is_some() && is_managed {
            return Ok(None);
        }
        // RDS rotates it with the cluster that it belongs to, and this one keeps the password of the moment that it was restored to.
        let moment = is_managed.then(|| plan.secret_moment.unwrap_or(restored.rewound_to));
        let Some(value) = secret_tag_value(&plan.secret_arn, moment) else {
            return Ok(Some(note(restored, "its ARN is longer than a tag")));
        };
        let tag = [(SECRET_TAG.to_owned(), value)];
        match self.clusters.tag(&restored.cluster_arn, &tag).await {
            Ok(Tagged::Yes) => Ok(None),
            Ok(Tagged::Full) => Ok(Some(note(restored, "the cluster has as many tags as RDS takes"))),
            // Setting a tag twice does no harm, so what may pass is left to the retry of the state machine.
            Err(error) if AGAIN.contains(&error.name) => Err(error),
            Err(error) => Ok(Some(note(restored, &error.to_string()))),
        }
    }
}

fn note(restored: &Restored, why: &str) -> String {
    format!(
        "{} could not be tagged with the secret that logs in to it ({why}): give `secretArn` when it is recovered again",
        restored.cluster
    )
}
