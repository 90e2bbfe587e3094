//! Backtracks the cluster in place, once. The API has no idempotency token, so the step looks for a backtrack of this recovery
//! before it starts one. It never starts one while clients can write. Its undo backtracks forward to the state before.

use jiff::{SignedDuration, Timestamp};
use rewind_aws::rds::{BacktrackClusters, BacktrackSeen, Cluster, ReadBacktracks, ReadClusters};
use rewind_core::{Backtrack, Clock, ErrorName, Plan, Polling, Recovery, StepError, timeouts};
use rewind_lambda::{Step, ToApprove, Undone};
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "rds:DescribeDBClusterBacktracks", "rds:BacktrackDBCluster", "kms:VerifyMac"];

/// The largest distance between the requested time and the consistent time that AWS takes for it.
const DRIFT: SignedDuration = SignedDuration::from_secs(60);

/// The age at which an inspection of the fence counts no more: more than a cold start takes, and less than it takes people to open
/// the fence, write, and close it again.
const INSPECTION_HOLDS: SignedDuration = SignedDuration::from_secs(30);

/// The step.
#[derive(Debug)]
pub struct StartBacktrack<C, K> {
    /// Clusters and their backtracks.
    pub clusters: C,
    /// The security groups of the fence, which admit the recovery's functions alone.
    pub fence_groups: Vec<String>,
    /// The time.
    pub clock: K,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// When the fence was inspected, from inside the network too; not needed for the undo.
    #[serde(default)]
    pub inspected_at: Option<Timestamp>,
    /// For the undo: the backtrack that was started, if its answer is known.
    #[serde(default)]
    pub backtrack: Option<Backtrack>,
    /// The signature of the approval.
    #[serde(default)]
    pub approval: Option<String>,
}

impl ToApprove for Input {
    fn to_approve(&self) -> Option<(&Plan, Option<&str>)> {
        Some((&self.plan, self.approval.as_deref()))
    }

    /// A backtrack forward rewinds as well, to wherever the payload says that one began: whoever may call the function could name
    /// any of the cluster's.
    fn undo_to_approve(&self) -> Option<(&Plan, Option<&str>)> {
        self.to_approve()
    }
}

impl<C, K> Step for StartBacktrack<C, K>
where
    C: ReadClusters + ReadBacktracks + BacktrackClusters,
    K: Clock,
{
    type Input = Input;
    /// None where the inspection of the fence is too old by now: the fence has to be inspected again.
    type Output = Option<Backtrack>;

    async fn run(&self, Input { recovery, plan, inspected_at, .. }: Input) -> Result<Option<Backtrack>, StepError> {
        // A bug and no refusal: the state machine comes here with a plan in place alone.
        let in_place = plan.backtrack.as_ref().ok_or_else(|| StepError::bug("only an in-place plan is backtracked"))?;
        let wanted = Wanted { cluster: &plan.cluster, to: plan.target, since: recovery.started_at, not: None };
        if let Some(found) = self.find(&wanted).await? {
            return Ok(Some(self.describe(&wanted, found)));
        }
        // Writes after the safety clone would be on neither cluster once the source is rewound.
        self.refuse_unless_ready(&plan).await?;
        let inspected_at =
            inspected_at.ok_or_else(|| StepError::bug("a cluster is backtracked whose fence was not inspected"))?;
        // Whatever this step was retried for, people may have opened the fence and closed it again meanwhile, and only an
        // inspection from inside the network shows what was written then.
        if self.clock.now().duration_since(inspected_at) > INSPECTION_HOLDS {
            return Ok(None);
        }
        self.start(&wanted, in_place.force).await.map(Some)
    }

    async fn undo(&self, Input { recovery, plan, backtrack, .. }: Input) -> Result<Undone, StepError> {
        let Some(in_place) = &plan.backtrack else { return Ok(Undone::nothing()) };
        let back = match backtrack {
            Some(started) => self.started(&plan, &started).await?,
            None => {
                let back = Wanted { cluster: &plan.cluster, to: plan.target, since: recovery.started_at, not: None };
                let Some(back) = self.find(&back).await? else { return self.nothing_to_undo(&plan).await };
                back
            }
        };
        let was = match back.status.as_str() {
            // A failed backtrack leaves the cluster as it was.
            "failed" => return Ok(Undone::nothing()),
            "completed" => back.from.or(back.requested).ok_or_else(|| {
                StepError::new(
                    ErrorName::RewindFailed,
                    format!("AWS does not say where {} was before the backtrack {}", plan.cluster, back.identifier),
                )
                .changed(format!("{} is rewound and fenced", plan.cluster))
                .advice(format!("what it held is on {}", plan.new_cluster))
            })?,
            passing => {
                return Err(StepError::new(
                    ErrorName::ClusterNotReady,
                    format!("the backtrack {} of {} is still {passing}", back.identifier, plan.cluster),
                )
                .changed(format!("{} is fenced", plan.cluster))
                .advice("it is undone as soon as it has ended: AWS takes no other backtrack until then"));
            }
        };
        // Only later ones: an earlier backtrack to about the same time does not undo this one.
        let since = back.requested.unwrap_or(recovery.started_at);
        let forward = Wanted { cluster: &plan.cluster, to: was, since, not: Some(&back.identifier) };
        let forward = match self.find(&forward).await? {
            Some(found) => self.describe(&forward, found),
            None => {
                self.refuse_unless_closed(&plan, &back, was).await?;
                self.start(&forward, in_place.force).await?
            }
        };
        let what = format!("{} is being backtracked forward to {was}, where it was", plan.cluster);
        Ok(Undone::by(forward, what))
    }
}

/// A backtrack that this recovery has started or will start.
struct Wanted<'a> {
    cluster: &'a str,
    to: Timestamp,
    since: Timestamp,
    not: Option<&'a str>,
}

impl Wanted<'_> {
    fn is(&self, seen: &BacktrackSeen) -> bool {
        // AWS may report the time of the request in whole seconds.
        let since = Timestamp::from_second(self.since.as_second()).unwrap_or(self.since);
        // A failed backtrack forward left the cluster as it was, so another one is started.
        let is_other = self.not.is_none_or(|not| not != seen.identifier && seen.status != "failed");
        is_other
            && seen.requested.is_some_and(|at| at >= since)
            && seen.to.is_none_or(|at| at.duration_since(self.to).abs() <= DRIFT)
    }
}

impl<C, K> StartBacktrack<C, K>
where
    C: ReadClusters + ReadBacktracks + BacktrackClusters,
    K: Clock,
{
    /// Finds the first such backtrack. The first, because a later one that goes forward may be for about the same time.
    async fn find(&self, wanted: &Wanted<'_>) -> Result<Option<BacktrackSeen>, StepError> {
        let all = self.clusters.backtracks(wanted.cluster).await?;
        Ok(all.into_iter().filter(|seen| wanted.is(seen)).min_by_key(|seen| seen.requested))
    }

    /// Reads the backtrack whose identifier is known, whatever its time.
    async fn started(&self, plan: &Plan, backtrack: &Backtrack) -> Result<BacktrackSeen, StepError> {
        self.clusters.backtrack(&plan.cluster, &backtrack.identifier).await?.ok_or_else(|| {
            StepError::new(
                ErrorName::RewindFailed,
                format!(
                    "AWS shows the backtrack {} of {} no more, and so nobody can tell where the cluster was before",
                    backtrack.identifier, plan.cluster
                ),
            )
            .changed(format!("{} may be rewound, and is fenced", plan.cluster))
            .advice(format!("what it held is on {}", plan.new_cluster))
        })
    }

    fn describe(&self, wanted: &Wanted<'_>, seen: BacktrackSeen) -> Backtrack {
        Backtrack {
            identifier: seen.identifier,
            // Where it really lands is known only at its end: await-rewind reads it.
            to: wanted.to,
            requested_at: seen.requested.unwrap_or_else(|| self.clock.now()),
        }
    }

    async fn start(&self, wanted: &Wanted<'_>, force: bool) -> Result<Backtrack, StepError> {
        match self.clusters.start_backtrack(wanted.cluster, wanted.to, force).await {
            Ok(seen) => Ok(self.describe(wanted, seen)),
            // A second call would backtrack a second time, so the list of backtracks decides.
            Err(error) if error.name == ErrorName::OutcomeUnknown => {
                let find = || self.find(wanted);
                match Polling::default().until(&self.clock, timeouts::APPEARS_WITHIN, find, Option::is_some).await? {
                    Some(seen) => Ok(self.describe(wanted, seen)),
                    None => Err(error.changed(format!(
                        "no backtrack of {} has shown within {} s",
                        wanted.cluster,
                        timeouts::APPEARS_WITHIN.as_secs()
                    ))),
                }
            }
            Err(error) => Err(error.changed(format!("no backtrack of {} was started", wanted.cluster))),
        }
    }

    /// Names what lets somebody write to the cluster in spite of its fence; none while it is closed.
    fn way_past_the_fence(&self, cluster: &Cluster) -> Option<String> {
        // Exactly the fence's: any other group beside them admits whoever that one admits.
        if !cluster.has_groups(&self.fence_groups) {
            return Some(format!(
                "its security groups are {}, and may only be {}",
                cluster.security_groups.join(", "),
                self.fence_groups.join(", ")
            ));
        }
        if cluster.data_api {
            return Some("its Data API is on, which reaches it whatever its security groups are".to_owned());
        }
        let forwarding = cluster.write_forwarding.as_ref()?;
        Some(format!("its write forwarding is {forwarding}, by which sessions on readers write"))
    }

    /// Refuses a rewound cluster that clients may have written to, or that was backtracked again since `back`: going forward would discard
    /// what came after. Refuses a moment that Backtrack does not reach any more, which AWS would refuse with less to go on.
    async fn refuse_unless_closed(&self, plan: &Plan, back: &BacktrackSeen, was: Timestamp) -> Result<(), StepError> {
        let (name, safety_clone) = (&plan.cluster, &plan.new_cluster);
        let rewound = |happened: String| {
            StepError::new(ErrorName::RewindFailed, happened)
                .changed(format!("no backtrack was started: {name} is rewound to {}", plan.target))
        };
        let Some(cluster) = self.clusters.cluster(name).await? else {
            return Err(rewound(format!("{name} is gone")).advice(format!("what it held is on {safety_clone}")));
        };
        if let Some(why) = self.way_past_the_fence(&cluster) {
            return Err(rewound(format!(
                "the fence of {name} does not hold: {why}; clients may have written to the rewound data, and going forward would \
                 throw that away"
            ))
            .advice(format!(
                "see who opened it; what {name} held before is on {safety_clone}: copy what is missed from there"
            )));
        }
        // The fence that stands may be another recovery's: the groups are the same.
        let is_later = |seen: &BacktrackSeen| {
            let is_after = seen.requested.zip(back.requested).is_some_and(|(seen, back)| seen > back);
            seen.identifier != back.identifier && seen.status != "failed" && is_after
        };
        if let Some(later) = self.clusters.backtracks(name).await?.into_iter().find(is_later) {
            let happened = format!(
                "{name} was backtracked again after the backtrack {}, by {}: what it holds now is another recovery's, or a person's",
                back.identifier, later.identifier
            );
            return Err(StepError::new(ErrorName::RewindFailed, happened)
                .changed(format!("no backtrack was started: {name} is as it was"))
                .advice(format!(
                    "see which recovery rewound it last, and undo that one; what {name} held before the first backtrack is on \
                     {safety_clone}"
                )));
        }
        match cluster.earliest_backtrack {
            Some(earliest) if was < earliest => Err(rewound(format!(
                "{was}, where {name} was before the backtrack, is out of reach: Backtrack reaches back to {earliest} now"
            ))
            .advice(format!("what it held before is on {safety_clone}: copy what is missed from there, or move clients to it"))),
            _ => Ok(()),
        }
    }

    /// Decides if there is nothing to undo. A cluster can be `backtracking` before AWS lists the backtrack.
    async fn nothing_to_undo(&self, plan: &Plan) -> Result<Undone, StepError> {
        match self.clusters.cluster(&plan.cluster).await? {
            Some(cluster) if cluster.status == "backtracking" => Err(StepError::new(
                ErrorName::ClusterNotReady,
                format!("{} is backtracking, and AWS does not show the backtrack yet", plan.cluster),
            )
            .changed(format!("{} is fenced", plan.cluster))
            .advice("it is looked for again")),
            _ => Ok(Undone::nothing()),
        }
    }

    async fn refuse_unless_ready(&self, plan: &Plan) -> Result<(), StepError> {
        let name = &plan.cluster;
        let cluster = self.clusters.cluster(name).await?.ok_or_else(|| {
            StepError::new(ErrorName::RewindFailed, format!("{name} is gone since the plan was made"))
                .changed("no backtrack was started")
                .advice(format!("its last state is on {}", plan.new_cluster))
        })?;
        // AWS takes minutes to apply security groups, and the state machine retries ClusterNotReady for twenty.
        let not_ready = |what: String| {
            StepError::new(ErrorName::ClusterNotReady, what)
                .changed("no backtrack was started")
                .advice("it is tried again")
        };
        if cluster.status != "available" {
            return Err(not_ready(format!("{name} is {}", cluster.status)));
        }
        if let Some(why) = self.way_past_the_fence(&cluster) {
            // Not retried: the fence was in force before, so somebody has changed that since, and may have written.
            return Err(StepError::new(ErrorName::RewindFailed, format!("the fence of {name} does not hold: {why}"))
                .changed("no backtrack was started")
                .advice(format!("see who changed {name} while it was fenced, and start again")));
        }
        if cluster.security_groups_changing {
            return Err(not_ready(format!("the security groups of {name} are still being applied")));
        }
        // The window moves on while people decide. AWS could take its earliest time instead, which nobody has approved.
        match cluster.earliest_backtrack {
            Some(earliest) if plan.target < earliest => Err(StepError::new(
                ErrorName::RewindFailed,
                format!(
                    "{} is out of reach since the plan was made: Backtrack reaches back to {earliest} now",
                    plan.target
                ),
            )
            .changed("no backtrack was started")
            .advice("restore side by side: `\"strategy\": \"restore\"`")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
