//! Reads inside the source's databases: it logs in as the fence and the checks will.

use crate::{Preflight, check_login};
use futures_util::{StreamExt, stream};
use rewind_access::CheckedOn;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::within;
use rewind_core::{Check, Clock, Finding, FindingCode, Plan, Recovery, StepError, Strategy, timeouts};
use rewind_db::fence::writers_without_session;
use rewind_db::preflight::{
    Fencing, NetworkFence, Trial, check_findings, database_findings, database_missing, databases, rights,
    server_findings,
};
use rewind_db::{ConnectError, Server, Session, defaults};
use std::collections::BTreeSet;
use std::time::Instant;

/// The number of databases whose facts are read at the same time.
const AT_ONCE: usize = 4;
/// The number of databases whose facts are read at all.
const MOST_DATABASES: usize = 50;

impl<C: ReadClusters, S: Logins, F: Sync, K: Clock> Preflight<C, S, F, K> {
    /// Logs in to the source as the fence will, and reads what it will meet there.
    pub(crate) async fn inspect_databases(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        cluster: &Cluster,
    ) -> Result<Vec<Finding>, StepError> {
        let defaults = defaults(cluster.engine);
        let (id, now) = (&recovery.id, self.clock.now());
        // From where the fence works. Nobody can drop it, so its absence is no reason to try another.
        let opened = self.access.log_in(id, cluster, plan, now, defaults.maintenance_database).await;
        let (server, session) = match opened {
            Ok(opened) => opened,
            Err(error) => return login_finding(error).map(|finding| vec![finding]),
        };
        let mut findings = server_findings(&session, self.fencing(plan, cluster)).await?;
        if plan.strategy == Strategy::Backtrack {
            findings.extend(writers_without_session(&session).await?.into_iter().map(|writer| {
                Finding::blocking(
                    FindingCode::SessionsStay,
                    format!("the source cannot be fenced in place: {writer}"),
                    "stop it (ALTER EVENT … DISABLE, or stop replication), or ask for the strategy restore",
                )
            }));
        }
        let names = databases(&session).await?;
        // MySQL keeps the facts of all databases together, so this session can read them.
        if names.is_empty() {
            findings.extend(database_findings(&session).await?);
        }
        session.close().await;
        let facts = within(timeouts::PREFLIGHT_FACTS, Box::pin(facts_of(&server, &names))).await;
        // What was not read in time is no reason to refuse: these facts are warnings at most.
        findings.extend(facts.unwrap_or_default());
        Ok(findings)
    }

    /// The part of the source that the recovery will close.
    fn fencing(&self, plan: &Plan, cluster: &Cluster) -> Fencing {
        let network = match self.has_network_fence {
            false => NetworkFence::Missing,
            true if cluster.data_api => NetworkFence::PassedByDataApi,
            true => NetworkFence::Closed,
        };
        match plan.strategy {
            Strategy::Backtrack => Fencing::Sessions,
            _ if plan.dns.is_empty() => Fencing::None,
            _ => Fencing::Logins { network },
        }
    }

    /// Prepares every check on the source and runs it once, with the login that it will run with: on a reader where there is one,
    /// otherwise on the writer and shorter.
    pub(crate) async fn try_checks(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> Result<Vec<Finding>, StepError> {
        if plan.checks.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let found = self.access.check_server_beside_clients(&recovery.id, plan, (cluster, instances), now).await;
        let (server, on) = match (found, &plan.check_secret_arn) {
            (Ok(found), _) => found,
            (Err(error), Some(_)) => return check_login::refused(error).map(|finding| vec![finding]),
            (Err(error), None) => return login_finding(error).map(|finding| vec![finding]),
        };
        let (place, each) = match on {
            CheckedOn::Reader => ("a reader of the source", timeouts::PREFLIGHT_CHECK_ON_READER),
            CheckedOn::Writer => ("the source's writer", timeouts::PREFLIGHT_CHECK_ON_WRITER),
        };
        let deadline = Instant::now() + timeouts::PREFLIGHT_CHECKS;
        let mut findings = Vec::new();
        let mut seen = BTreeSet::new();
        // One after another: clients work on the source, and one query at a time is all that it is asked for.
        for check in &plan.checks {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = each.min(plan.check_timeout());
            let trial =
                Trial { run_for: (left > limit).then_some(limit), check_timeout: plan.check_timeout(), server: place };
            match open(&server, check).await? {
                Ok(session) => {
                    // Rights on tables are a matter of the database.
                    if plan.check_secret_arn.is_some() && seen.insert(check.database.as_str()) {
                        let rights = rights(&session).await?;
                        findings.extend(check_login::rights(
                            recovery,
                            cluster,
                            &check.database,
                            &server.login().user,
                            rights,
                        ));
                    }
                    findings.extend(check_findings(&session, check, trial).await?);
                    session.close().await;
                }
                Err(finding) => findings.push(finding),
            }
        }
        Ok(findings)
    }
}

/// The finding about a login that was refused. An error is what may pass by itself.
fn login_finding(error: ConnectError) -> Result<Finding, StepError> {
    Ok(match error {
        ConnectError::LoginRefused(why) => Finding::blocking(
            FindingCode::LoginRefused,
            why,
            "put the present user and password into the secret, or name another secret as `secretArn`",
        ),
        ConnectError::ServerFull(why) | ConnectError::DatabaseFull(why) => Finding::blocking(
            FindingCode::ConnectionSlots,
            format!("all connections of the source are taken: {why}"),
            "end some sessions, so that the recovery can log in",
        ),
        ConnectError::NotAllowed(why) | ConnectError::DatabaseMissing(why) | ConnectError::DatabaseInvalid(why) => {
            Finding::blocking(
                FindingCode::LoginRefused,
                format!("the fence cannot work on the source: {why}"),
                "name the secret of the cluster's master user as `secretArn`",
            )
        }
        ConnectError::Failed(error) => return Err(error),
    })
}

/// Reads the facts of databases, a few at a time. What cannot be read is left out: it would be a warning.
async fn facts_of(server: &Server, names: &[String]) -> Vec<Finding> {
    let read = stream::iter(names.to_vec()).take(MOST_DATABASES).map(|name| async move {
        let session = server.open(&name).await.ok()?;
        let found = database_findings(&session).await.ok();
        session.close().await;
        found
    });
    let read: Vec<Option<Vec<Finding>>> = read.buffered(AT_ONCE).collect().await;
    read.into_iter().flatten().flatten().collect()
}

async fn open(server: &Server, check: &Check) -> Result<Result<Session, Finding>, StepError> {
    match server.open(&check.database).await {
        Ok(session) => Ok(Ok(session)),
        Err(ConnectError::DatabaseMissing(_)) => Ok(Err(database_missing(check))),
        Err(ConnectError::DatabaseInvalid(_)) => Ok(Err(Finding::warning(
            FindingCode::CheckDatabase,
            format!("check \"{}\": the drop of the database {} was interrupted", check.name, check.database),
            "if the mistake was that drop, it is right; otherwise name another database",
        ))),
        Err(ConnectError::NotAllowed(why) | ConnectError::LoginRefused(why)) => Ok(Err(Finding::blocking(
            FindingCode::CheckDatabase,
            format!("check \"{}\" cannot run: {why}", check.name),
            "let the secret's user connect to that database",
        ))),
        Err(error) => login_finding(error).map(Err),
    }
}
