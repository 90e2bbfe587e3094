//! The findings about the login that checks run with: it is to read, and no more.

use rewind_aws::rds::Cluster;
use rewind_core::{ErrorName, Finding, FindingCode, Plan, StepError};
use rewind_db::ConnectError;
use rewind_db::preflight::Rights;

/// The finding about a check login that does not get in. An error is what may pass by itself.
pub(crate) fn refused(error: ConnectError) -> Result<Finding, StepError> {
    const FIX: &str = "put the present user and password of the check login into the secret, and let it connect to the databases of \
                       the checks; or name another secret as `checkSecretArn`";
    let what = match error {
        ConnectError::ServerFull(why) | ConnectError::DatabaseFull(why) => {
            return Ok(Finding::blocking(
                FindingCode::ConnectionSlots,
                format!("all connections of the source are taken: {why}"),
                "end some sessions, so that the checks can log in",
            ));
        }
        ConnectError::Failed(error) if [ErrorName::Unavailable, ErrorName::Throttled].contains(&error.name) => {
            return Err(error);
        }
        error => error.to_string(),
    };
    Ok(Finding::blocking(FindingCode::CheckLogin, what, FIX))
}

/// The finding about the check login `user` of an event, whose rights on the whole server are these; none if it is not the master's.
pub(crate) fn of_event(
    plan: &Plan,
    cluster: &Cluster,
    user: &str,
    rights_found: Result<Rights, String>,
) -> Option<Finding> {
    match rights_found {
        Ok(Rights { all, .. }) => rights(plan, cluster, "", user, Rights { all, beyond_reading: Vec::new() }),
        Err(why) => Some(Finding::blocking(
            FindingCode::CheckLogin,
            format!(
                "an event or an alarm wrote the checks, and what their login {user} may do could not be read: {why}"
            ),
            "let the check login connect to the server's own database, or give checks of your own",
        )),
    }
}

/// The finding about what the check login `user` may do in `database` besides reading; none if that is nothing.
pub(crate) fn rights(plan: &Plan, cluster: &Cluster, database: &str, user: &str, rights: Rights) -> Option<Finding> {
    let is_master = rights.all || cluster.master_username.as_deref() == Some(user);
    // Whoever may send an event has not been given the master user with that.
    if is_master && plan.has_checks_of_event() {
        return Some(Finding::blocking(
            FindingCode::CheckLogin,
            format!("an event or an alarm wrote the checks, and their login {user} has the rights of the master user"),
            "name the secret of a login that can only read as the stack's parameter CheckSecretArn",
        ));
    }
    let mut more = rights.beyond_reading;
    if is_master {
        more.insert(0, "it has the rights of the master user".to_owned());
    }
    (!more.is_empty()).then(|| {
        Finding::warning(
            FindingCode::CheckLogin,
            format!("the check login {user} may do more than read in {database}, for example: {}", more.join(", ")),
            "name the secret of a login with rights to read and no more",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{plan, source};

    fn found(id: &str, user: &str, all: bool, beyond: &[&str]) -> Option<Finding> {
        let beyond_reading = beyond.iter().map(|right| (*right).to_owned()).collect();
        let plan = Plan { recovery_id: id.to_owned(), ..plan() };
        rights(&plan, &source(), "shop", user, Rights { all, beyond_reading })
    }

    #[test]
    fn a_login_that_may_more_than_read_is_a_warning_and_blocks_where_an_event_would_run_checks_as_the_master() {
        let master = source().master_username.unwrap();
        assert_eq!(found("r-1", "reader", false, &[]), None);
        assert_eq!(found("event-1", "reader", false, &[]), None);
        let writes = found("event-1", "reader", false, &["INSERT on public.orders"]).unwrap();
        assert!(
            !writes.is_blocking() && writes.what.ends_with("in shop, for example: INSERT on public.orders"),
            "{writes}"
        );
        for (user, all) in [("reader", true), (master.as_str(), false)] {
            let by_person = found("r-1", user, all, &[]).unwrap();
            assert!(!by_person.is_blocking() && by_person.what.contains("rights of the master user"), "{by_person}");
            let by_event = found("event-1", user, all, &[]).unwrap();
            assert!(by_event.is_blocking() && by_event.fix.contains("CheckSecretArn"), "{by_event}");
        }
    }

    #[test]
    fn an_event_s_login_whose_rights_cannot_be_read_is_taken_for_the_master_s() {
        let plan = Plan { recovery_id: "event-1".to_owned(), ..plan() };
        let of = |all| of_event(&plan, &source(), "reader", Ok(Rights { all, beyond_reading: Vec::new() }));
        assert_eq!(of(false), None);
        assert!(of(true).unwrap().is_blocking());
        let unread = of_event(&plan, &source(), "reader", Err("refused".to_owned())).unwrap();
        assert!(unread.is_blocking() && unread.what.contains("refused"), "{unread}");
    }

    #[test]
    fn a_refused_login_is_a_finding_and_silence_is_an_error() {
        let finding = refused(ConnectError::NotAllowed("no".to_owned())).unwrap();
        assert!(finding.is_blocking() && finding.fix.contains("`checkSecretArn`"), "{finding}");
        let no_user = StepError::new(ErrorName::VerificationFailed, "the secret names no user");
        assert_eq!(refused(ConnectError::Failed(no_user)).unwrap().code, "check-login");
        assert!(refused(ConnectError::Failed(StepError::new(ErrorName::Unavailable, "silent"))).is_err());
    }
}
