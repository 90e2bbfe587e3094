//! The preflight inside the source's databases: what would fail hours later, read-only and within bounds.
//!
//! It reads catalogues as the fence's login, prepares every check, and runs each once for a bounded time. It changes nothing.

mod checks;

use crate::engine::preflight::{FACTS_MAX, PreflightOperations};
use crate::session::{Session, on_engine};
use rewind_core::{Finding, FindingCode, StepError};

pub use crate::engine::preflight::Rights;
pub use checks::{Trial, check_findings, database_missing};

/// The part of the source that the recovery closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fencing {
    /// Nothing: its traffic stays.
    None,
    /// Logins and sessions.
    Logins {
        /// The security groups around them.
        network: NetworkFence,
    },
    /// The network and the sessions, in place.
    Sessions,
}

/// The security groups of a fence, behind which a login that stays open lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFence {
    /// There are none.
    Missing,
    /// They keep everybody out.
    Closed,
    /// The Data API of the cluster is on, which passes them.
    PassedByDataApi,
}

/// The number of free connections below which people are warned: the fence and the comparison with the source need some.
const FEW_CONNECTIONS: i64 = 5;

/// Reads the facts of the server that matter for a recovery with this fence.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn server_findings(session: &Session, fencing: Fencing) -> Result<Vec<Finding>, StepError> {
    on_engine!(session, connection => server_findings_on(connection, fencing).await)
}

/// Reads the facts of the session's database: jobs that run by themselves, and tables that a restore leaves empty.
///
/// # Errors
///
/// As [`server_findings`].
pub async fn database_findings(session: &Session) -> Result<Vec<Finding>, StepError> {
    on_engine!(session, connection => database_findings_on(connection).await)
}

/// Reads what the session's user may do besides reading.
///
/// # Errors
///
/// As [`server_findings`].
pub async fn rights(session: &Session) -> Result<Rights, StepError> {
    on_engine!(session, connection => connection.rights().await)
}

/// The databases that have facts of their own, by name.
///
/// # Errors
///
/// As [`server_findings`].
pub async fn databases(session: &Session) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => connection.databases().await)
}

async fn server_findings_on<C: PreflightOperations>(
    connection: &C,
    fencing: Fencing,
) -> Result<Vec<Finding>, StepError> {
    let facts = connection.server_facts().await?;
    let mut findings = Vec::new();
    if fencing != Fencing::None {
        if let (Some(read_only), Fencing::Logins { .. }) = (facts.read_only_by, fencing) {
            findings.push(Finding::blocking(FindingCode::LoginReadOnly, read_only.what, read_only.fix));
        }
        findings.extend(facts.cannot_end_sessions.map(|what| {
            Finding::blocking(FindingCode::SessionsStay, what, "name the secret of the cluster's master user")
        }));
    }
    if let Fencing::Logins { network } = fencing {
        findings.extend(unclosable_findings(connection, network).await?);
    }
    if facts.free_connections < FEW_CONNECTIONS {
        findings.push(Finding::warning(
            FindingCode::ConnectionSlots,
            format!("the source has {} connections left", facts.free_connections.max(0)),
            "end idle sessions, or raise max_connections, so that the recovery can log in later",
        ));
    }
    if facts.runs_at_login {
        // A warning: whoever may set it may change the server's parameters, and it has run by the time that it can be read.
        findings.push(Finding::warning(
            FindingCode::InitConnect,
            "init_connect is set: the server runs it in the sessions of the recovery, as their login",
            "read it, and set it to '' in the cluster's parameter group unless all of it is meant to run as the master user",
        ));
    }
    findings.extend(listed(
        FindingCode::Replication,
        "slots and replicas",
        &facts.replication,
        "the restored cluster does not take part in it: set it up anew there, from a new copy",
    ));
    findings.extend(listed(
        FindingCode::Subscriptions,
        "subscriptions",
        &facts.subscriptions,
        "the recovery holds them on the restored cluster, because a publisher sends each change once: set them up anew there",
    ));
    findings.extend(facts.scheduler.map(|scheduler| {
        Finding::warning(
            FindingCode::ScheduledJobs,
            format!("the source has {scheduler}"),
            "the recovery holds the jobs of the target time on the restored cluster, also those that are not scheduled any more",
        )
    }));
    findings.extend(connection.invalid_databases().await?.iter().map(|database| {
        Finding::warning(
            FindingCode::InvalidDatabase,
            format!("the drop of the database {database} was interrupted: nobody can connect to it"),
            "drop it, or leave it: the fence does not need it",
        )
    }));
    Ok(findings)
}

/// Describes the logins that would stay open behind a fence.
async fn unclosable_findings<C: PreflightOperations>(
    connection: &C,
    network: NetworkFence,
) -> Result<Vec<Finding>, StepError> {
    let unclosable = connection.unclosable().await?;
    // Behind security groups an open login lets nobody in: the fence reports it, and goes on.
    let finding = if network == NetworkFence::Closed { Finding::warning } else { Finding::blocking };
    let close = match network {
        NetworkFence::PassedByDataApi => "switch the Data API off, which passes the fence of the network",
        _ => "give the deployment a fence of the network (FenceSecurityGroupIds)",
    };
    let fix = format!("name the secret of the master user, or {close}");
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(unclosable.missing_right.map(|what| finding(FindingCode::LoginsStayOpen, what, fix.clone())));
    if !unclosable.databases.is_empty() {
        findings.push(finding(
            FindingCode::LoginsStayOpen,
            format!(
                "the fence cannot close {}: owned by roles that the login is no member of",
                short_list("database", &unclosable.databases)
            ),
            format!("grant it their owners' roles, or {fix}"),
        ));
    }
    findings.extend(unclosable.own_sessions.map(|sessions| {
        finding(
            FindingCode::LoginsStayOpen,
            format!("the source has {sessions}, whose account the fence cannot lock because it works as it"),
            format!("give the applications accounts of their own, or {close}"),
        )
    }));
    if !unclosable.logins.is_empty() {
        // The limit of a database holds for every role, so a role that keeps LOGIN gets in only where one stays open.
        let finding = if unclosable.logins_get_in { finding } else { Finding::warning };
        findings.push(finding(
            FindingCode::LoginsStayOpen,
            format!("the fence cannot take the login from {}", short_list("login", &unclosable.logins)),
            format!("grant the login's user the ADMIN option on them (MySQL: SYSTEM_USER), or {fix}"),
        ));
    }
    Ok(findings)
}

async fn database_findings_on<C: PreflightOperations>(connection: &C) -> Result<Vec<Finding>, StepError> {
    let facts = connection.database_facts().await?;
    let jobs = listed(
        FindingCode::ScheduledJobs,
        "jobs",
        &facts.jobs,
        "they would run on the restored cluster by themselves: see whether they may act on data of the target time",
    );
    let unlogged = listed(
        FindingCode::UnloggedTables,
        "unlogged tables",
        &facts.unlogged,
        "a restore leaves them empty: fill them again afterwards, or copy them before traffic moves",
    );
    Ok(jobs.into_iter().chain(unlogged).collect())
}

fn listed(code: FindingCode, kinds: &str, facts: &[String], fix: &str) -> Option<Finding> {
    (!facts.is_empty()).then(|| {
        let shown = shown(facts);
        let what = if shown.len() == facts.len() { shown.join(", ") } else { counted(kinds, facts, shown) };
        Finding::warning(code, format!("the source has {what}"), fix)
    })
}

/// Names the things that have room in a sentence, and counts all of them where not all have.
fn short_list(kind: &str, names: &[String]) -> String {
    let shown = shown(names);
    match names.len() {
        1 => format!("{kind} {}", shown.join("")),
        all if all == shown.len() => format!("{kind}s {}", shown.join(", ")),
        _ => counted(&format!("{kind}s"), names, shown),
    }
}

/// The number comes first: the end of a long sentence is cut off.
fn counted(kinds: &str, names: &[String], shown: &[String]) -> String {
    let count = if names.len() > FACTS_MAX { format!("more than {FACTS_MAX}") } else { names.len().to_string() };
    format!("{count} {kinds}, among them {}", shown.join(", "))
}

/// The first of the names, as many as have room in a sentence, and one at least.
fn shown(names: &[String]) -> &[String] {
    const SHOWN: usize = 10;
    const ROOM: usize = 300;
    let mut length = 0;
    let fit = names.iter().take(SHOWN).take_while(|name| {
        length += name.len();
        length <= ROOM
    });
    let fit = fit.count().max(1).min(names.len());
    names.split_at(fit).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize, length: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:0length$}")).collect()
    }

    #[test]
    fn what_has_no_room_in_a_sentence_is_counted_before_the_names() {
        let of =
            |names: &[String]| listed(FindingCode::UnloggedTables, "unlogged tables", names, "fill them").unwrap().what;
        assert_eq!(of(&names(2, 1)), "the source has 0, 1");
        assert!(of(&names(11, 2)).starts_with("the source has 11 unlogged tables, among them 00, 01"));
        assert_eq!(of(&names(11, 2)).matches(',').count(), 10);
        let long = of(&names(9, 120));
        assert!(long.starts_with("the source has 9 unlogged tables, among them 0") && !long.ends_with('…'), "{long}");
        assert!(of(&names(FACTS_MAX + 1, 4)).starts_with("the source has more than 1000 unlogged tables"));
        assert_eq!(short_list("role", &names(1, 1)), "role 0");
        assert_eq!(short_list("role", &names(2, 1)), "roles 0, 1");
        assert!(short_list("role", &names(12, 2)).starts_with("12 roles, among them 00"));
    }
}
