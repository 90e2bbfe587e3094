//! Runs the checks on the rewound data, read-only, and asks the source the same for comparison. It changes nothing, so
//! there is nothing to undo. Whatever the source answers is shown and not judged, except where the rewound data has to
//! be the source's again.

mod same;

use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Login, Plan, Recovery, Report, Restored, StepError, Strategy};
use rewind_db::{ConnectError, Limits, Server, Session, defaults, examine, half_dropped, invalid_databases};
use rewind_lambda::Step;
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "secretsmanager:ListSecretVersionIds", "secretsmanager:GetSecretValue"];

/// The step.
#[derive(Debug)]
pub struct Verify<C, S, K> {
    /// The way to the databases.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
    /// The cluster with the rewound data; none where it is not known whether it was rewound: then the cluster as it is.
    pub restored: Option<Restored>,
    /// What it is held against.
    #[serde(default)]
    pub expect: Expect,
}

/// What the rewound data is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// What the checks expect.
    #[default]
    Checks,
    /// The source: each check and each count has to be what it is there.
    SameAsSource,
}

impl<C: ReadClusters, S: Logins, K: Clock> Step for Verify<C, S, K> {
    type Input = Input;
    type Output = Report;

    async fn run(&self, Input { recovery, plan, restored, expect }: Input) -> Result<Report, StepError> {
        // Passwords are part of what was rewound: the one that was current then logs in now.
        let (name, moment) = match &restored {
            Some(restored) => (restored.cluster.as_str(), restored.rewound_to),
            None => (plan.cluster.as_str(), self.clock.now()),
        };
        let cluster = self.access.cluster(name).await?;
        let (rewound, session) = self.log_in(&recovery, &plan, &cluster, moment).await?;
        let invalid = invalid_databases(&session).await;
        session.close().await;

        let mut notes: Vec<String> = invalid?.iter().map(|database| half_dropped(database)).collect();
        let source = match (self.log_in_to_source(&recovery, &plan).await, expect) {
            (Ok(server), _) => Some(server),
            (Err(error), Expect::SameAsSource) => return Err(error),
            (Err(error), Expect::Checks) => {
                notes.push(format!("the source could not be compared with: {error}"));
                None
            }
        };
        let limits = match expect {
            Expect::Checks => Limits::default(),
            Expect::SameAsSource => Limits::alike(),
        };
        let found = examine(&rewound, source.as_ref(), &plan.checks, &limits).await?;
        notes.extend(found.notes.iter().cloned());
        notes.extend(old_login(&rewound.login()));
        let report = match expect {
            Expect::Checks => Report::new(rewound.login(), found.checks, found.tables, notes),
            Expect::SameAsSource => same::report(rewound.login(), source_of(&plan), found, notes),
        };
        if report.passed {
            return Ok(report);
        }
        let failed = StepError::new(ErrorName::VerificationFailed, report.to_string());
        Err(match (expect, plan.strategy) {
            (Expect::SameAsSource, _) => failed
                .changed(format!("this step changed nothing: {} holds the data as it was", source_of(&plan)))
                .advice("compare the two before anybody writes to the cluster"),
            (Expect::Checks, Strategy::Backtrack) => failed
                .changed(format!("the data as it was before is on {}", source_of(&plan)))
                .advice("correct the check, or choose another moment, and start again"),
            (Expect::Checks, _) => failed
                .changed("the source was not touched")
                .advice("correct the check, or choose another moment, and start again"),
        })
    }
}

/// The cluster that holds the data as it was before the recovery.
fn source_of(plan: &Plan) -> &str {
    match plan.strategy {
        Strategy::Backtrack => &plan.new_cluster,
        Strategy::Restore | Strategy::Auto => &plan.cluster,
    }
}

/// Passwords were rewound too: whoever holds today's is refused there.
fn old_login(login: &Login) -> Option<String> {
    let current = login.secret_version.split('+').any(|label| label == "AWSCURRENT");
    (!current).then(|| {
        format!(
            "{} logs in to the rewound data with the password of the target time ({}), not with today's: clients that \
             hold today's are refused until it is set there",
            login.user, login.secret_version
        )
    })
}

impl<C: ReadClusters, S: Logins, K: Clock> Verify<C, S, K> {
    async fn log_in(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        cluster: &Cluster,
        moment: Timestamp,
    ) -> Result<(Server, Session), ConnectError> {
        let (id, secret, defaults) = (&recovery.id, &plan.secret_arn, defaults(cluster.engine));
        match self.access.log_in(id, cluster, secret, moment, defaults.first_database).await {
            Err(ConnectError::DatabaseMissing(_) | ConnectError::DatabaseInvalid(_)) => {
                self.access.log_in(id, cluster, secret, moment, defaults.maintenance_database).await
            }
            other => other,
        }
    }

    async fn log_in_to_source(&self, recovery: &Recovery, plan: &Plan) -> Result<Server, StepError> {
        let cluster = self.access.cluster(source_of(plan)).await?;
        let (server, session) = self.log_in(recovery, plan, &cluster, self.clock.now()).await?;
        session.close().await;
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_core::Tls;

    #[test]
    fn a_login_that_is_not_today_s_is_told() {
        let login = |version: &str| Login {
            user: "postgres".to_owned(),
            secret_version: version.to_owned(),
            tls: Tls::Verified,
        };
        assert_eq!(old_login(&login("AWSCURRENT")), None);
        assert!(old_login(&login("AWSPREVIOUS")).unwrap().contains("clients that hold today's are refused"));
    }
}
