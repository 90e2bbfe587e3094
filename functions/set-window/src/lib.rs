//! Reads and sets the window of a cluster: the backtrack window of Aurora MySQL, the backup retention of Aurora PostgreSQL. People
//! call it. It makes a change that cannot be undone only with a confirmation, and never while a recovery works on the cluster.

mod messages;
mod setting;

use jiff::{SignedDuration, Timestamp};
use rewind_aws::rds::{Cluster, ModifyClusters, ReadClusters};
use rewind_aws::records::ReadLeases;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{
    Clock, Engine, ErrorName, Polling, RequestedWindow, StepError, WindowRequest, format_duration, format_reach,
    timeouts,
};
use rewind_lambda::Step;
use serde::Serialize;
use serde_json::Value;
use setting::Setting;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:ModifyDBCluster", "dynamodb:GetItem"];

/// The step.
#[derive(Debug)]
pub struct SetWindow<C, L, K> {
    /// Clusters.
    pub clusters: C,
    /// The leases of the clusters.
    pub leases: L,
    /// The time.
    pub clock: K,
    /// True if clusters whose master password Secrets Manager does not manage may be changed too.
    pub any_master_password: bool,
}

/// The window of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The cluster.
    pub cluster: String,
    /// The cluster's engine.
    pub engine: Engine,
    /// The mechanism behind the window.
    pub kind: Kind,
    /// The configured window. Aurora fills it as time passes, and may hold less.
    pub target_window: String,
    /// The same in seconds.
    pub target_window_seconds: i64,
    /// The earliest moment that the cluster can be rewound to now.
    pub earliest: Option<Timestamp>,
    /// The latest such moment.
    pub latest: Option<Timestamp>,
    /// The time from the earliest moment until now; none if there is no such moment.
    pub reach: Option<String>,
    /// True if this call changed the window.
    pub changed: bool,
    /// Facts that a person should know.
    pub notes: Vec<String>,
}

/// The mechanisms behind a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Change records: the cluster itself goes back.
    Backtrack,
    /// Automated backups: a new cluster is restored from them.
    BackupRetention,
}

impl<C: ReadClusters + ModifyClusters, L: ReadLeases, K: Clock> Step for SetWindow<C, L, K> {
    type Input = Value;
    type Output = Output;

    async fn run(&self, input: Value) -> Result<Output, StepError> {
        let request = WindowRequest::parse(&input)?;
        let cluster = self.read(&request.cluster).await?;
        let Some(asked) = request.window else { return Ok(self.describe(&cluster, false, Vec::new())) };
        let wanted = self.settle(asked, &cluster).await?;
        // A request that is sent again changes nothing, so it needs no confirmation.
        if Setting::of(&cluster) == wanted {
            return Ok(self.describe(&cluster, false, Vec::new()));
        }
        // AWS would refuse it as well, without the parameter's name.
        let has_password_of_its_own = cluster.master_secret.is_none() && cluster.tag(RECOVERY_TAG).is_none();
        if has_password_of_its_own && !self.any_master_password {
            return Err(messages::unmanaged(&cluster.name));
        }
        // A longer window takes nothing from a running recovery, so only a shorter one is refused.
        if wanted.length() < Setting::of(&cluster).length() {
            self.refuse_while_leased(&cluster.name).await?;
        }
        refuse_while_pending(&cluster, wanted)?;
        let mut notes = Vec::new();
        if let Some(loss) = messages::loss(&cluster, wanted, self.clock.now()) {
            if request.confirm.as_deref().map(str::trim) != Some(loss.confirm.as_str()) {
                return Err(loss.refusal(request.confirm.as_deref()));
            }
            notes.push(loss.note);
        }
        let (cluster, shown) = self.change(&cluster.name, wanted).await?;
        if !shown {
            notes.push("AWS took the change and does not show it yet: ask again in a minute".to_owned());
        }
        Ok(self.describe(&cluster, true, notes))
    }
}

impl<C: ReadClusters + ModifyClusters, L: ReadLeases, K: Clock> SetWindow<C, L, K> {
    async fn read(&self, name: &str) -> Result<Cluster, StepError> {
        self.clusters.cluster(name).await?.ok_or_else(|| {
            messages::invalid(format!("`cluster` is \"{name}\": there is no such cluster in this account and Region"))
                .advice("give the cluster's identifier, as `aws rds describe-db-clusters` shows it")
        })
    }

    /// Refuses a shorter window during a recovery, which may need every moment in it: the target, and in place the way forward.
    async fn refuse_while_leased(&self, cluster: &str) -> Result<(), StepError> {
        let lease = self.leases.lease_of(cluster).await?;
        match lease.filter(|lease| lease.expires_at >= self.clock.now()) {
            Some(lease) => Err(messages::in_use(cluster, &lease)),
            None => Ok(()),
        }
    }

    /// Translates the request into a setting that this cluster's engine has.
    async fn settle(&self, asked: RequestedWindow, cluster: &Cluster) -> Result<Setting, StepError> {
        let wrong = |wrong: String| messages::invalid(format!("`window`: {wrong}"));
        if !cluster.engine.has_backtrack() {
            return asked.retention_days().map(Setting::Retention).map_err(wrong);
        }
        let seconds = asked.backtrack_seconds().map_err(wrong)?;
        // Backtrack is enabled when a cluster is made, never afterwards: ModifyDBCluster resizes the window or sets
        // it to 0.
        if seconds > 0 && cluster.backtrack_window.unwrap_or(0) == 0 {
            let instances = self.clusters.instances(&cluster.name).await?;
            return Err(messages::cannot_be_switched_on(cluster, &instances, seconds));
        }
        Ok(Setting::Backtrack(seconds))
    }

    /// Changes the setting; returns the cluster, and true if it shows the new value.
    async fn change(&self, name: &str, wanted: Setting) -> Result<(Cluster, bool), StepError> {
        let sent = self.clusters.modify(name, &wanted.change()).await;
        let lost = match sent {
            Ok(()) => None,
            // Setting a value twice is harmless, so the value that the cluster shows decides.
            Err(error) if error.name == ErrorName::OutcomeUnknown => Some(error),
            Err(error) if error.name == ErrorName::ClusterNotReady => {
                return Err(error.changed("nothing was changed").advice("ask again when the cluster is available"));
            }
            Err(error) => return Err(error.changed("nothing was changed")),
        };
        let shows = |cluster: &Cluster| Setting::of(cluster) == wanted;
        let cluster =
            Polling::default().until(&self.clock, timeouts::WINDOW_SHOWS_WITHIN, || self.read(name), shows).await?;
        let shown = shows(&cluster);
        match lost {
            Some(error) if !shown => Err(error
                .changed("the window may or may not be changed")
                .advice("ask for it without `window`, then set it again: setting it twice does no harm")),
            _ => Ok((cluster, shown)),
        }
    }

    fn describe(&self, cluster: &Cluster, changed: bool, mut notes: Vec<String>) -> Output {
        let now = self.clock.now();
        // A cluster that never had Backtrack can be restored from its backups, so those are its window for a question.
        let setting = match Setting::of(cluster) {
            Setting::Backtrack(0) if !changed => Setting::Retention(cluster.backup_retention.unwrap_or(1)),
            setting => setting,
        };
        let (kind, earliest, latest) = match setting {
            Setting::Backtrack(_) => {
                (Kind::Backtrack, cluster.earliest_backtrack, cluster.earliest_backtrack.map(|_| now))
            }
            Setting::Retention(_) => (Kind::BackupRetention, cluster.earliest_restorable, cluster.latest_restorable),
        };
        let earliest = earliest.filter(|_| setting != Setting::Backtrack(0));
        // A latest moment alone would read like a window that can be used.
        let latest = latest.filter(|_| earliest.is_some());
        let reach = earliest.map(|earliest| now.duration_since(earliest).max(SignedDuration::ZERO));
        notes.extend(messages::of_the_window(cluster, setting, reach));
        let off = setting == Setting::Backtrack(0);
        Output {
            cluster: cluster.name.clone(),
            engine: cluster.engine,
            kind,
            target_window: if off { "off".to_owned() } else { format_duration(setting.length()) },
            target_window_seconds: setting.length().as_secs(),
            earliest,
            latest,
            reach: reach.map(format_reach),
            changed,
            notes,
        }
    }
}

/// Refuses a change that would start what else waits for the maintenance window, such as an upgrade of the engine.
fn refuse_while_pending(cluster: &Cluster, wanted: Setting) -> Result<(), StepError> {
    // The retention that waits already is replaced by this one, and starts nothing else.
    let others: Vec<&str> =
        cluster.pending.iter().map(String::as_str).filter(|what| !what.starts_with("backup retention")).collect();
    match wanted.change().can_wait() && !others.is_empty() {
        true => Err(messages::others_wait(&cluster.name, &others)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
