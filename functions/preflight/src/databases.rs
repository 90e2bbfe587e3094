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
use std::time::{Duration, Instant};

/// The number of databases whose facts are read at the same time.
const AT_ONCE: usize = 4;
/// The number of databases whose facts are read at all.
const MOST_DATABASES: usize = 50;
/// The number of databases that a finding names.
const NAMED_DATABASES: usize = 5;

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
                    "turn the event scheduler off until the recovery has ended, by the parameter event_scheduler of the cluster's \
                     group, for ALTER EVENT is rewound too; stop replication; or ask for the strategy restore",
                )
            }));
        }
        let names = databases(&session).await?;
        // MySQL keeps the facts of all databases together, so this session can read them.
        if names.is_empty() {
            findings.extend(database_findings(&session).await?);
        }
        session.close().await;
        let server = &server;
        let facts = read_each(&names, timeouts::PREFLIGHT_FACTS, |name| async move {
            let session = server.open(&name).await.ok()?;
            let found = database_findings(&session).await.ok();
            session.close().await;
            found
        });
        findings.extend(facts.await);
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
        if plan.check_secret_arn.is_some() && plan.has_checks_of_event() {
            // Also where no database of a check is there to ask in: on the restored cluster it may be.
            let opened = server.open(defaults(cluster.engine).maintenance_database).await;
            let rights = match opened {
                Ok(session) => {
                    let rights = rights(&session).await;
                    session.close().await;
                    rights.map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            let finding = check_login::of_event(plan, cluster, &server.login().user, rights);
            if finding.is_some() {
                return Ok(finding.into_iter().collect());
            }
        }
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
                            plan,
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

/// Reads the facts of databases, a few at a time and all of them within `limit`, and tells of those that were not read. That is no
/// reason to refuse: these facts are warnings at most.
async fn read_each<R>(names: &[String], limit: Duration, read: impl Fn(String) -> R) -> Vec<Finding>
where
    R: Future<Output = Option<Vec<Finding>>>,
{
    let until = Instant::now() + limit;
    let read = &read;
    let asked = stream::iter(names.iter().take(MOST_DATABASES).cloned()).map(|name| async move {
        let left = until.saturating_duration_since(Instant::now());
        let found = within(left, Box::pin(read(name.clone()))).await;
        (name, found.ok().flatten())
    });
    let asked: Vec<(String, Option<Vec<Finding>>)> = asked.buffered(AT_ONCE).collect().await;
    let (mut findings, mut unread) = (Vec::new(), Vec::new());
    for (name, found) in asked {
        match found {
            Some(found) => findings.extend(found),
            None => unread.push(name),
        }
    }
    unread.extend(names.iter().skip(MOST_DATABASES).cloned());
    findings.extend(unread_finding(names.len(), &unread));
    findings
}

/// The finding about databases whose facts are not known; none if there are none.
fn unread_finding(all: usize, unread: &[String]) -> Option<Finding> {
    let shown = unread.iter().take(NAMED_DATABASES).cloned().collect::<Vec<_>>().join(", ");
    let more = match unread.len().saturating_sub(NAMED_DATABASES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!unread.is_empty()).then(|| {
        let seconds = timeouts::PREFLIGHT_FACTS.as_secs();
        Finding::warning(
            FindingCode::DatabasesUnread,
            format!("the facts of {} of {all} databases were not read: {shown}{more}", unread.len()),
            format!(
                "{MOST_DATABASES} are read, in {seconds} s, where the login may connect: see there by hand for unlogged tables, which a \
                 restore leaves empty, and for jobs of pg_cron"
            ),
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn databases_that_were_not_read_are_counted_and_named() {
        let names: Vec<String> = (0..MOST_DATABASES + 5).map(|n| format!("d{n:02}")).collect();
        let read = |name: String| async move {
            match name.as_str() {
                "d03" => None,
                "d04" => std::future::pending().await,
                "d05" => Some(vec![Finding::warning(FindingCode::UnloggedTables, "cache", "fill it")]),
                _ => Some(Vec::new()),
            }
        };
        let found = read_each(&names, Duration::from_millis(200), read).await;
        // What was read before the time was over is told.
        assert_eq!(found[0].what, "cache");
        let [_, unread] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(unread.what, "the facts of 7 of 55 databases were not read: d03, d04, d50, d51, d52 and 2 more");
        assert!(!unread.is_blocking() && unread.code == "databases-unread", "{unread}");
        assert_eq!(read_each(&names[..3], Duration::from_millis(200), read).await, []);
    }
}
