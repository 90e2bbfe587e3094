//! Keeps the checks of an event away from the master user. The preflight has looked at the login as it is today; the rewound data knows
//! the one of the moment that it was rewound to, and an earlier version of a secret may hold another user.

use rewind_core::{Engine, ErrorName, Plan, StepError};
use rewind_db::preflight::rights;
use rewind_db::{ConnectError, Server, defaults};

/// Refuses a check login with the rights of the master user where an event or an alarm wrote the checks. `master` is that user's
/// name.
pub(crate) async fn refuse_master(
    plan: &Plan,
    server: &Server,
    (engine, master): (Engine, Option<&str>),
) -> Result<(), StepError> {
    if plan.check_secret_arn.is_none() || !plan.has_checks_of_event() {
        return Ok(());
    }
    let user = server.login().user;
    let why = match may_do_all(server, engine).await {
        Ok(false) if master != Some(user.as_str()) => return Ok(()),
        Ok(_) => "has the rights of the master user".to_owned(),
        Err(error) => format!("could not be asked for its rights: {error}"),
    };
    Err(StepError::new(
        ErrorName::VerificationFailed,
        format!("no check ran: an event or an alarm wrote them, and their login {user} {why}"),
    )
    .changed("this step changed nothing")
    .advice(format!(
        "name the secret of a login that could only read at that moment too, or go on with the same data and checks of your own: \
         rewind resume {} --check …",
        plan.recovery_id
    )))
}

async fn may_do_all(server: &Server, engine: Engine) -> Result<bool, ConnectError> {
    let session = server.open(defaults(engine).maintenance_database).await?;
    let found = rights(&session).await;
    session.close().await;
    Ok(found.map_err(ConnectError::Failed)?.all)
}
