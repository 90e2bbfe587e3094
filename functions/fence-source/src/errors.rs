//! The errors of a fence that does not hold, each with what was changed and what a person can do.

use rewind_aws::rds::Cluster;
use rewind_core::{Engine, ErrorName, StepError, timeouts};
use rewind_db::fence::{Verification, some_of};
use rewind_db::{ConnectError, defaults};

pub(crate) fn no_network_layer(cluster: &str) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} cannot be fenced in place: there are no security groups to fence it with"),
    )
    .changed("nothing was changed")
    .advice("deploy with FenceSecurityGroupIds, or ask for the strategy restore, and start again")
}

pub(crate) fn fenced_already(cluster: &str, groups: &[String]) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} has the fence's security groups ({}) already, and this recovery did not fence it", groups.join(", ")),
    )
    .changed("nothing was fenced")
    .advice(format!(
        "find the fence that is up: an earlier recovery of {cluster} that stopped, by docs/runbook.md#an-execution-was-stopped; lift \
         it, and start again"
    ))
}

pub(crate) fn no_login(cluster: &str, engine: Engine, error: ConnectError) -> StepError {
    let database = defaults(engine).maintenance_database;
    match error {
        // These four are decisions of the server, which a retry would only repeat.
        ConnectError::LoginRefused(why)
        | ConnectError::NotAllowed(why)
        | ConnectError::DatabaseMissing(why)
        | ConnectError::DatabaseInvalid(why) => {
            StepError::new(ErrorName::RewindFailed, format!("no login to fence {cluster}: {why}"))
                .advice(format!("give a secret whose user may connect to {database} and end sessions"))
        }
        // Repeated by the state machine: a connection may come free a little later.
        ConnectError::ServerFull(why) => {
            StepError::new(ErrorName::Unavailable, format!("no connection of {cluster} came free to fence it: {why}"))
                .changed("no login was closed and no session ended; the security groups are recorded in the table")
                .advice(
                    "end sessions, or reboot the writer, and start again; leave connections to the master user \
                     (rds_superuser_reserved_connections), and give applications users of their own",
                )
        }
        other => other.into(),
    }
}

pub(crate) fn readers_may_write(cluster: &str, left: &str) -> StepError {
    StepError::new(
        ErrorName::Unavailable,
        format!("{cluster} could not be fenced: its readers forward writes, and {left}"),
    )
    .changed("no record was moved; what the fence closed is recorded in the table")
    .advice("see whether these readers are available, or switch write forwarding off, and start again")
}

/// Logins stay open. `behind_network`: the security groups are closed, and the Data API passes them.
pub(crate) fn incomplete(cluster: &Cluster, behind_network: bool, verification: &Verification) -> StepError {
    let open: Vec<String> = verification.open.iter().map(|login| format!("{} ({})", login.name, login.why)).collect();
    // PostgreSQL is fenced by database, MySQL by account: each error names what people can look up there.
    let (who, or) = match cluster.engine {
        Engine::AuroraPostgresql => (
            "these databases still take connections",
            "make the secret's user a member of the roles that own these databases",
        ),
        Engine::AuroraMysql => (
            "these accounts can still log in",
            "give the applications accounts of their own, which the secret's user may lock",
        ),
    };
    let (through, close) = match behind_network {
        true => (
            ", through the Data API, which passes the security groups",
            format!("switch the Data API off ({})", disable_data_api(cluster)),
        ),
        false => ("", "deploy with FenceSecurityGroupIds".to_owned()),
    };
    let name = &cluster.name;
    StepError::new(
        ErrorName::RewindFailed,
        format!("{name} could not be fenced: {who}{through}: {}", some_of(&open, "none")),
    )
    .changed("no record was moved; what the fence closed is recorded in the table")
    .advice(format!("{close}, or {or}, and start again"))
}

/// The Data API is on where the fence leaves a login open.
pub(crate) fn data_api(cluster: &Cluster) -> StepError {
    let name = &cluster.name;
    StepError::new(
        ErrorName::RewindFailed,
        format!(
            "{name} cannot be fenced: its Data API is on, and lets the master user in, whose account stays open, whatever the \
             security groups are"
        ),
    )
    .changed("nothing was fenced")
    .advice(format!("switch it off ({}), and start again", disable_data_api(cluster)))
}

fn disable_data_api(cluster: &Cluster) -> String {
    format!("aws rds disable-http-endpoint --resource-arn {}", cluster.arn)
}

/// The time for the probes was over. Nothing is left open by that: the step is repeated, and finds what it closed.
pub(crate) fn unverified(cluster: &str) -> StepError {
    let seconds = timeouts::FENCE_PROBES.as_secs();
    StepError::new(
        ErrorName::Unavailable,
        format!("{cluster}: databases could not be probed within {seconds} s, and so the fence is not verified"),
    )
    .changed("the logins are closed and the sessions ended; what was changed is recorded in the table")
}

pub(crate) fn master_returned(cluster: &str, network: &str) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} could not be fenced: sessions of the master user come back, although {network}"),
    )
    .changed("no record was moved; what the fence closed is recorded in the table")
    .advice("find what logs in from within these security groups, stop it, and start again")
}
