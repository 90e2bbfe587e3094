//! Runs the checks on the rewound data, read-only, and on the source for comparison. It changes nothing, so there is nothing
//! to undo. The source's results are shown and not judged, except where the rewound data has to be the source's again.

mod after_cutover;
mod check_rights;
mod compare_with_source;

use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secret_target::ReadSecretTargets;
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Estimates, Login, Plan, Recovery, Report, Restored, StepError, Strategy, cut};
use rewind_db::{
    CheckLimits, ConnectError, Server, Session, compare_counters, count_all_tables, defaults, estimate_rows,
    invalid_database_note, invalid_databases, next_transaction, run_checks,
};
use rewind_lambda::Step;
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct Verify<C, S, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
    /// The cluster with the rewound data; none where it is not known whether it was rewound: then the cluster as it is.
    pub restored: Option<Restored>,
    /// The expectation: see [`Expect`].
    #[serde(default)]
    pub expect: Expect,
}

/// The expectation that the rewound data has to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expect {
    /// The expected value of each check.
    #[default]
    Checks,
    /// The source: each check and each count has to be what it is there.
    SameAsSource,
}

impl<C: ReadClusters, S: Logins + ReadSecretTargets, K: Clock> Step for Verify<C, S, K> {
    type Input = Input;
    type Output = Report;

    async fn run(&self, Input { recovery, plan, restored, expect }: Input) -> Result<Report, StepError> {
        // Passwords are part of what was rewound: the one that was current then logs in now.
        let (name, moment) = match &restored {
            Some(restored) => (restored.cluster.as_str(), restored.rewound_to),
            None => (plan.cluster.as_str(), self.clock.now()),
        };
        let cluster = self.access.cluster(name).await?;
        // Before anything is read of it: an approval of this report is for these resources.
        let resource_ids = cluster.resource_ids(&self.access.clusters.instances(name).await?);
        let (rewound, session) = self.log_in(&recovery, &plan, &cluster, moment).await?;
        // An interrupted DROP DATABASE leaves one that nobody can connect to: a target inside the drop restores it
        // so.
        let invalid = invalid_databases(&session).await;
        // Without it a comparison of tables reads all values: no reason to fail what took hours.
        let frontier = next_transaction(&session).await.unwrap_or_default();
        // Checks open sessions of their own, a database each.
        session.close().await;

        let mut notes: Vec<String> = invalid?.iter().map(|database| invalid_database_note(database)).collect();
        let checked = match &plan.check_secret_arn {
            Some(_) => self
                .access
                .check_server(&recovery.id, &plan, &cluster, moment)
                .await
                .map_err(|error| check_login_refused(error, &recovery, &plan))?,
            None => rewound.clone(),
        };
        let master = (cluster.engine, cluster.master_username.as_deref());
        check_rights::refuse_master(&plan, &checked, master).await?;
        let source = match (self.source_for_checks(&recovery, &plan).await, expect) {
            (Ok(server), _) => Some(server),
            // Here the source is half of the comparison: without it nothing was compared.
            (Err(error), Expect::SameAsSource) => return Err(error),
            // The source may be what the recovery is for: without it the checks judge all the same.
            (Err(error), Expect::Checks) => {
                notes.push(format!("the source could not be compared with: {error}"));
                None
            }
        };
        if let Some(source) = &source {
            check_rights::refuse_master(&plan, source, master).await?;
        }
        let limits = match expect {
            Expect::Checks => CheckLimits::with_check(plan.check_timeout()),
            Expect::SameAsSource => CheckLimits::with_check(plan.check_timeout()).for_equal_sides(),
        };
        let estimating = async {
            match expect {
                Expect::Checks => self.estimates((&recovery, &plan), (&rewound, name), source.as_ref()).await,
                // There counts are compared, and decide.
                Expect::SameAsSource => Ok(None),
            }
        };
        // Side by side: estimates are read of catalogues, and wait for no check.
        let (found, estimates) =
            tokio::join!(Box::pin(run_checks(&checked, source.as_ref(), &plan.checks, &limits)), Box::pin(estimating));
        let mut found = found?;
        // They inform people, and may end nothing.
        let estimates = estimates.unwrap_or_else(|error| {
            notes
                .push(format!("which tables are there, and about how many rows they have, could not be read: {error}"));
            None
        });
        if expect == Expect::SameAsSource && !compare_with_source::is_compared(&found) {
            let reference = self.log_in_to_source(&recovery, &plan).await?;
            let database = defaults(plan.engine).maintenance_database;
            let (tables, more) = count_all_tables(&rewound, &reference, database, &limits).await?;
            found.tables = tables;
            found.notes.extend(more);
        }
        notes.extend(found.notes.iter().cloned());
        notes.extend(old_password_note(&rewound.login()));
        if plan.check_secret_arn.is_some() {
            notes.extend(old_password_note(&checked.login()));
        }
        // In an undo the request's expectations do not hold: they describe the data that was wanted, not that of
        // before.
        let mut report = match expect {
            Expect::Checks => Report::new(checked.login(), found.checks, found.tables, notes),
            Expect::SameAsSource => {
                compare_with_source::report(checked.login(), reference_cluster(&plan), found, notes)
            }
        };
        report.resource_ids = resource_ids;
        report.estimates = estimates;
        // People may have written to a cluster that an earlier recovery restored.
        report.frontier = frontier.filter(|_| plan.adopted.is_none());
        if let (Expect::Checks, true, Some(restored)) = (expect, report.passed, &restored) {
            let source = source.is_some();
            self.add_what_stays_behind(&mut report, (&recovery, &plan), restored, (&rewound, source)).await;
        }
        // Last: everything was compared whole.
        let mut report = report.fitted();
        // An answer and no error: values stay in the execution's history, and an error would carry them to logs, the table, events
        // and mail.
        report.failure = (!report.passed).then(|| failure(&report, expect, &recovery, &plan).to_string());
        Ok(report)
    }
}

/// The most bytes of the checks that did not pass, as the failure names them; their results are in the report.
const FAILED_MAX: usize = 4 * 1024;

/// The reason why the recovery does not go on with the rewound data, without a value of it.
fn failure(report: &Report, expect: Expect, recovery: &Recovery, plan: &Plan) -> StepError {
    let failed = StepError::new(ErrorName::VerificationFailed, cut(&report.to_string(), FAILED_MAX));
    let shown = format!("see what was found: rewind status {}", recovery.id);
    match (expect, plan.strategy) {
        (Expect::SameAsSource, _) => failed
            .changed(format!("this step changed nothing: {} holds the data as it was", reference_cluster(plan)))
            .advice(format!("{shown}; compare the two before anybody writes to the cluster")),
        (Expect::Checks, Strategy::Backtrack) => failed
            .changed(format!("when this failed, the data as it was before was on {}", reference_cluster(plan)))
            .advice(format!(
                "{shown}; correct the check, give it longer (`checkTimeout`), or choose another moment, and start again"
            )),
        (Expect::Checks, _) => failed.changed("the source was not touched").advice(format!(
            "{shown}; correct the check or give it longer (`checkTimeout`), and go on with the same restored cluster: \
             rewind resume {}; or start again with another moment",
            recovery.id
        )),
    }
}

/// The cluster that holds the data as it was before the recovery: in place the safety clone, for the source itself is rewound.
fn reference_cluster(plan: &Plan) -> &str {
    match plan.strategy {
        Strategy::Backtrack => &plan.new_cluster,
        Strategy::Restore | Strategy::Auto => &plan.cluster,
    }
}

/// The error about a check login that the rewound data does not know: it comes hours after the preflight found it good.
fn check_login_refused(error: ConnectError, recovery: &Recovery, plan: &Plan) -> StepError {
    let ConnectError::LoginRefused(why) = error else { return error.into() };
    let refused = StepError::new(ErrorName::VerificationFailed, format!("no check ran: {why}"));
    let then = "one that existed at that moment, in a secret that still holds its password of then";
    match plan.strategy {
        Strategy::Backtrack => refused
            .changed(format!("when this failed, the data as it was before was on {}", reference_cluster(plan)))
            .advice(format!("name another check login as `checkSecretArn`, {then}, and start again")),
        Strategy::Restore | Strategy::Auto => refused.changed("the source was not touched").advice(format!(
            "name another check login, {then}, or make this one on {}, and go on with the same restored cluster: rewind resume {} \
             --check-secret <ARN>",
            plan.new_cluster, recovery.id
        )),
    }
}

/// The note about passwords, which were rewound with the data: clients that hold today's are refused there.
fn old_password_note(login: &Login) -> Option<String> {
    // One version of a secret can have several labels.
    let current = login.secret_version.split('+').any(|label| label == "AWSCURRENT");
    (!current).then(|| {
        format!(
            "{} logs in to the rewound data with the password of the target time ({}), not with today's: clients that \
             hold today's are refused until it is set there",
            login.user, login.secret_version
        )
    })
}

impl<C: ReadClusters, S: Logins + ReadSecretTargets, K: Clock> Verify<C, S, K> {
    /// Adds to the report what goes on as if the source still had the traffic.
    // None of it decides anything, so none of it may fail a verification of hours of work.
    async fn add_what_stays_behind(
        &self,
        report: &mut Report,
        (recovery, plan): (&Recovery, &Plan),
        restored: &Restored,
        (rewound, source_answers): (&Server, bool),
    ) {
        if !after_cutover::moves_traffic(plan) {
            return;
        }
        let target = self.access.secrets.secret_target(&plan.secret_arn).await;
        match (target, self.access.cluster(&plan.cluster).await) {
            (Ok(target), Ok(source)) => {
                report.differences.extend(after_cutover::secret(plan, &target, &source, restored))
            }
            (Err(error), _) | (_, Err(error)) => {
                report.notes.push(format!("what the secret names could not be read: {error}"));
            }
        }
        if !source_answers {
            return;
        }
        let compared = match self.log_in_to_source(recovery, plan).await {
            Ok(source) => compare_counters(rewound, &source, defaults(plan.engine).first_database).await,
            Err(error) => Err(error),
        };
        match compared {
            Ok(compared) => report.notes.extend(after_cutover::counters(plan.engine, &restored.cluster, &compared)),
            Err(error) => report.notes.push(format!("sequences were not compared with the source: {error}")),
        }
    }

    async fn log_in(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        cluster: &Cluster,
        moment: Timestamp,
    ) -> Result<(Server, Session), ConnectError> {
        // Somebody may have dropped the first, which is why there is a second that nobody can drop.
        let (id, defaults) = (&recovery.id, defaults(cluster.engine));
        match self.access.log_in(id, cluster, plan, moment, defaults.first_database).await {
            Err(ConnectError::DatabaseMissing(_) | ConnectError::DatabaseInvalid(_)) => {
                self.access.log_in(id, cluster, plan, moment, defaults.maintenance_database).await
            }
            other => other,
        }
    }

    /// The source with the login that the checks run with, on a reader where there is one.
    async fn source_for_checks(&self, recovery: &Recovery, plan: &Plan) -> Result<Server, StepError> {
        let cluster = self.access.cluster(reference_cluster(plan)).await?;
        let instances = self.access.clusters.instances(&cluster.name).await?;
        let found =
            self.access.check_server_beside_clients(&recovery.id, plan, (&cluster, &instances), self.clock.now());
        Ok(found.await?.0)
    }

    /// Reads the tables of all databases and estimates of their rows, on the cluster `name` with the rewound data and on the source; none
    /// where the source cannot be asked, of which there is a note already.
    async fn estimates(
        &self,
        (recovery, plan): (&Recovery, &Plan),
        (rewound, name): (&Server, &str),
        source: Option<&Server>,
    ) -> Result<Option<Estimates>, StepError> {
        let source = match (&plan.check_secret_arn, source) {
            // A login of the checks' own gets into few databases, so the fence's reads them. It runs no SQL but the product's.
            (Some(_), _) => {
                let of_fence = Plan { check_secret_arn: None, ..plan.clone() };
                self.source_for_checks(recovery, &of_fence).await?
            }
            (None, Some(source)) => source.clone(),
            (None, None) => return Ok(None),
        };
        estimate_rows((rewound, name), (&source, reference_cluster(plan))).await.map(Some)
    }

    async fn log_in_to_source(&self, recovery: &Recovery, plan: &Plan) -> Result<Server, StepError> {
        let cluster = self.access.cluster(reference_cluster(plan)).await?;
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
    fn a_login_that_is_not_today_s_is_reported() {
        let login = |version: &str| Login {
            user: "postgres".to_owned(),
            secret_version: version.to_owned(),
            tls: Tls::Verified,
        };
        assert_eq!(old_password_note(&login("AWSCURRENT")), None);
        assert!(old_password_note(&login("AWSPREVIOUS")).unwrap().contains("clients that hold today's are refused"));
    }
}
