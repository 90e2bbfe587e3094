//! Shows how far back one can go, and sets how far one will be able to: the backtrack window of Aurora MySQL, the days of
//! backups of Aurora PostgreSQL. People call it, in their own words; what cannot be undone it does only when it is confirmed,
//! and never while a recovery works on the cluster.

mod words;

use jiff::{SignedDuration, Timestamp};
use rewind_aws::rds::{Cluster, ClusterChange, ModifyClusters, ReadClusters};
use rewind_aws::records::ReadLeases;
use rewind_core::{
    Asked, Clock, Engine, ErrorName, Polling, StepError, WindowRequest, format_duration, format_reach, timeouts,
};
use rewind_lambda::Step;
use serde::Serialize;
use serde_json::Value;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:ModifyDBCluster", "dynamodb:GetItem"];

/// The step.
#[derive(Debug)]
pub struct SetWindow<C, L, K> {
    /// Clusters.
    pub clusters: C,
    /// Who works on them.
    pub leases: L,
    /// The time.
    pub clock: K,
}

/// How far back one can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The cluster.
    pub cluster: String,
    /// The cluster's engine.
    pub engine: Engine,
    /// What its window is made of.
    pub kind: Kind,
    /// The window that was asked for: Aurora may hold less, and holds it only as time passes.
    pub target_window: String,
    /// The same in seconds.
    pub target_window_seconds: i64,
    /// The earliest moment that one can go back to now.
    pub earliest: Option<Timestamp>,
    /// The latest.
    pub latest: Option<Timestamp>,
    /// How far back the earliest is; none where there is nothing to go back to.
    pub reach: Option<String>,
    /// Whether this call changed something.
    pub changed: bool,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What a window is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Change records: the cluster itself goes back.
    Backtrack,
    /// Automated backups: a new cluster is restored from them.
    BackupRetention,
}

/// A setting as it is to be, or as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// `BacktrackWindow`, in seconds.
    Backtrack(i64),
    /// `BackupRetentionPeriod`, in days.
    Retention(i32),
}

impl<C: ReadClusters + ModifyClusters, L: ReadLeases, K: Clock> Step for SetWindow<C, L, K> {
    type Input = Value;
    type Output = Output;

    async fn run(&self, input: Value) -> Result<Output, StepError> {
        let request = WindowRequest::parse(&input)?;
        let cluster = self.read(&request.cluster).await?;
        let Some(asked) = request.window else { return Ok(self.describe(&cluster, false, Vec::new())) };
        let wanted = self.settle(asked, &cluster).await?;
        if Setting::of(&cluster) == wanted {
            return Ok(self.describe(&cluster, false, Vec::new()));
        }
        if wanted.length() < Setting::of(&cluster).length() {
            self.refuse_while_leased(&cluster.name).await?;
        }
        let mut notes = Vec::new();
        if let Some(loss) = words::loss(&cluster, wanted, self.clock.now()) {
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

impl Setting {
    fn of(cluster: &Cluster) -> Self {
        match cluster.backtrack_window {
            Some(seconds) if seconds > 0 => Self::Backtrack(seconds),
            // Switched off, it is still what a window of this engine means.
            _ if cluster.engine.has_backtrack() => Self::Backtrack(0),
            _ => Self::Retention(cluster.backup_retention.unwrap_or(1)),
        }
    }

    fn change(self) -> ClusterChange {
        match self {
            Self::Backtrack(seconds) => ClusterChange { backtrack_window: Some(seconds), ..ClusterChange::default() },
            Self::Retention(days) => ClusterChange { backup_retention: Some(days), ..ClusterChange::default() },
        }
    }

    fn length(self) -> SignedDuration {
        match self {
            Self::Backtrack(seconds) => SignedDuration::from_secs(seconds),
            Self::Retention(days) => SignedDuration::from_hours(i64::from(days) * 24),
        }
    }
}

impl<C: ReadClusters + ModifyClusters, L: ReadLeases, K: Clock> SetWindow<C, L, K> {
    async fn read(&self, name: &str) -> Result<Cluster, StepError> {
        self.clusters.cluster(name).await?.ok_or_else(|| {
            words::invalid(format!("`cluster` is \"{name}\": there is no such cluster in this account and Region"))
                .advice("give the cluster's identifier, as `aws rds describe-db-clusters` shows it")
        })
    }

    /// A recovery goes back by what the window holds, and one in place forward again: nothing of it is taken away meanwhile.
    async fn refuse_while_leased(&self, cluster: &str) -> Result<(), StepError> {
        let lease = self.leases.lease_of(cluster).await?;
        match lease.filter(|lease| lease.expires_at >= self.clock.now()) {
            Some(lease) => Err(words::in_use(cluster, &lease)),
            None => Ok(()),
        }
    }

    /// What is to be set, as this cluster can have it.
    async fn settle(&self, asked: Asked, cluster: &Cluster) -> Result<Setting, StepError> {
        let wrong = |wrong: String| words::invalid(format!("`window`: {wrong}"));
        if !cluster.engine.has_backtrack() {
            return asked.retention_days().map(Setting::Retention).map_err(wrong);
        }
        let seconds = asked.backtrack_seconds().map_err(wrong)?;
        if seconds > 0 && cluster.backtrack_window.unwrap_or(0) == 0 {
            let instances = self.clusters.instances(&cluster.name).await?;
            return Err(words::cannot_be_switched_on(cluster, &instances, seconds));
        }
        Ok(Setting::Backtrack(seconds))
    }

    /// Changes the setting, and answers the cluster and whether it shows.
    async fn change(&self, name: &str, wanted: Setting) -> Result<(Cluster, bool), StepError> {
        let sent = self.clusters.modify(name, &wanted.change()).await;
        let lost = match sent {
            Ok(()) => None,
            // The same value set twice is the same value: what the cluster shows tells whether it was set.
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
        // A cluster that never had Backtrack goes back by its backups: that is what its window is, when one asks.
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
        let latest = latest.filter(|_| earliest.is_some());
        let reach = earliest.map(|earliest| now.duration_since(earliest).max(SignedDuration::ZERO));
        notes.extend(words::of_the_window(cluster, setting, reach));
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

#[cfg(test)]
mod tests;
