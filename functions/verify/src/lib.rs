//! Runs the checks on the rewound data, read-only, and asks the original the same for comparison. It changes nothing, so
//! there is nothing to undo; whatever the original answers is shown and never judged.

use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Login, Plan, Recovery, Report, Restored, StepError};
use rewind_db::{ConnectError, Limits, Server, Session, examine};
use rewind_lambda::Step;
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "secretsmanager:ListSecretVersionIds", "secretsmanager:GetSecretValue"];

/// Where a login is tried first: the database that every cluster has unless somebody dropped it.
const FIRST_DATABASE: &str = "postgres";
/// Where it is tried then: nobody can drop this one.
const SECOND_DATABASE: &str = rewind_db::fence::MAINTENANCE_DATABASE;

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
    /// The new cluster.
    pub restored: Restored,
}

impl<C: ReadClusters, S: Logins, K: Clock> Step for Verify<C, S, K> {
    type Input = Input;
    type Output = Report;

    async fn run(&self, Input { recovery, plan, restored }: Input) -> Result<Report, StepError> {
        let cluster = self.access.cluster(&restored.cluster).await?;
        // Passwords are part of what was rewound: the one that was current then logs in now.
        let (rewound, session) = self.log_in(&recovery, &plan, &cluster, restored.rewound_to).await?;
        session.close().await;

        let mut notes = Vec::new();
        let original = match self.log_in_to_original(&recovery, &plan).await {
            Ok(server) => Some(server),
            Err(error) => {
                notes.push(format!("the original could not be compared with: {error}"));
                None
            }
        };
        let found = examine(&rewound, original.as_ref(), &plan.checks, &Limits::default()).await?;
        notes.extend(found.notes);
        notes.extend(old_login(&rewound.login()));
        let report = Report::new(rewound.login(), found.checks, found.tables, notes);
        if report.passed {
            return Ok(report);
        }
        Err(StepError::new(ErrorName::VerificationFailed, report.to_string())
            .changed("the original was not touched")
            .advice("correct the check, or choose another moment, and start again"))
    }
}

/// Passwords were rewound too: whoever holds today's is refused by the new cluster.
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
        let (id, secret) = (&recovery.id, &plan.secret_arn);
        match self.access.log_in(id, cluster, secret, moment, FIRST_DATABASE).await {
            Err(ConnectError::DatabaseMissing(_)) => {
                self.access.log_in(id, cluster, secret, moment, SECOND_DATABASE).await
            }
            other => other,
        }
    }

    async fn log_in_to_original(&self, recovery: &Recovery, plan: &Plan) -> Result<Server, StepError> {
        let cluster = self.access.cluster(&plan.cluster).await?;
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
