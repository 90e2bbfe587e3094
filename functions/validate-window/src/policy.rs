//! The deployment's rules about what a request may ask for, whoever sends it: people at a terminal, in chat, an event or an alarm.
//! A request can ask for less than the rules allow and never for more.

use crate::allowed::{is_exactly_like, is_like};
use crate::refusal::invalid;
use jiff::SignedDuration;
use rewind_core::names::is_of_event;
use rewind_core::{Approval, ErrorName, Plan, StepError, Strategy, format_duration, parse_duration};
use std::str::FromStr;

/// The rules of a deployment. The default is the strictest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `REWIND_WITHOUT_APPROVAL`: what may reach clients without a person.
    pub without_approval: WithoutApproval,
    /// `REWIND_MOST_FENCE_TIMEOUT`: how long a fence stands at most before that pages.
    pub most_fence_timeout: SignedDuration,
    /// `REWIND_MOST_KEEP_RESTORED`: how long a restored cluster is kept at most that traffic was not moved to.
    pub most_keep_restored: SignedDuration,
    /// `REWIND_CHECK_DATABASES`: the databases in which checks may run, each a pattern of the cluster and one of the database.
    pub check_databases: Vec<(String, String)>,
    /// `REWIND_LEAST_KEEP_SOURCE`: how long the data of before is kept at least.
    pub least_keep_source: SignedDuration,
    /// `REWIND_CHECK_SECRET_ARN`: the secret with the login of checks where a request names none; none if there is none.
    pub check_secret: Option<String>,
}

/// The data that may reach clients without a person who approves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutApproval {
    /// Nothing.
    Never,
    /// Whatever the request says.
    Always,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            without_approval: WithoutApproval::Never,
            most_fence_timeout: SignedDuration::from_hours(1),
            most_keep_restored: SignedDuration::from_hours(7 * 24),
            check_databases: Vec::new(),
            least_keep_source: SignedDuration::from_hours(24),
            check_secret: None,
        }
    }
}

impl FromStr for WithoutApproval {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "never" => Ok(Self::Never),
            "always" => Ok(Self::Always),
            _ => Err(()),
        }
    }
}

impl Policy {
    /// Reads the rules through `variable`; one that is not set is the default.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`] with the variable that cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, StepError> {
        let wrong = |name: &str, right: &str| {
            StepError::new(ErrorName::Bug, format!("the function's environment has {name} with a value that is none"))
                .changed("nothing was changed")
                .advice(format!("set it to {right}"))
        };
        let read = |name: &str| variable(name).filter(|value| !value.is_empty());
        let default = Self::default();
        let without_approval = match read("REWIND_WITHOUT_APPROVAL") {
            Some(value) => value.parse().map_err(|()| wrong("REWIND_WITHOUT_APPROVAL", "never or always"))?,
            None => default.without_approval,
        };
        let length = |name: &str, default: SignedDuration| match read(name) {
            Some(value) => parse_duration(&value).map_err(|_| wrong(name, "a length such as 1d")),
            None => Ok(default),
        };
        let mut check_databases = Vec::new();
        let listed = read("REWIND_CHECK_DATABASES").unwrap_or_default();
        for pattern in listed.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let parts =
                pattern.split_once('/').filter(|(cluster, database)| !cluster.is_empty() && !database.is_empty());
            let (cluster, database) =
                parts.ok_or_else(|| wrong("REWIND_CHECK_DATABASES", "cluster/database, separated by commas"))?;
            check_databases.push((cluster.to_owned(), database.to_owned()));
        }
        Ok(Self {
            without_approval,
            least_keep_source: length("REWIND_LEAST_KEEP_SOURCE", default.least_keep_source)?,
            most_fence_timeout: length("REWIND_MOST_FENCE_TIMEOUT", default.most_fence_timeout)?,
            most_keep_restored: length("REWIND_MOST_KEEP_RESTORED", default.most_keep_restored)?,
            check_databases,
            check_secret: read("REWIND_CHECK_SECRET_ARN"),
        })
    }

    /// Refuses a plan that the rules do not allow.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] with the parameter of the deployment that allows it.
    pub(crate) fn refuse(&self, plan: &Plan) -> Result<(), StepError> {
        refuse_checks_as_master(plan)?;
        self.refuse_databases(plan)?;
        self.refuse_long(plan)?;
        let in_place = plan.strategy == Strategy::Backtrack;
        if !in_place && plan.dns.is_empty() {
            return Ok(());
        }
        let is_allowed = match self.without_approval {
            _ if plan.approval == Approval::Required => true,
            WithoutApproval::Never => false,
            WithoutApproval::Always => true,
        };
        if !is_allowed {
            let what = if in_place { format!("rewinds {}", plan.cluster) } else { "moves traffic".to_owned() };
            return Err(invalid(format!(
                "`approval` is none, and this deployment {what} only with a person's approval"
            ))
            .advice("leave `approval` out; or change the stack's parameter WithoutApproval (never, always)"));
        }
        let kept = SignedDuration::from_secs(plan.keep_source_seconds);
        if kept < self.least_keep_source {
            let least = format_duration(self.least_keep_source);
            return Err(invalid(format!(
                "`keepSource` is {}, and this deployment keeps the data of before for {least} at least",
                format_duration(kept)
            ))
            .advice(format!("ask for {least} or longer; or change the stack's parameter LeastKeepSource")));
        }
        Ok(())
    }

    /// Refuses checks in a database that the deployment does not open to them.
    fn refuse_databases(&self, plan: &Plan) -> Result<(), StepError> {
        let is_open = |database: &str| {
            self.check_databases.iter().any(|(cluster, pattern)| {
                // RDS ignores the case of a cluster's name, and a server that of a database's does not.
                is_like(cluster, &plan.cluster) && is_exactly_like(pattern, database)
            })
        };
        match plan.checks.iter().find(|check| !is_open(&check.database)) {
            None => Ok(()),
            Some(check) => Err(invalid(format!(
                "`checks`: \"{}\" would read in the database {} of {}, and this deployment opens that to no check",
                check.name, check.database, plan.cluster
            ))
            .advice("ask another database; or change the stack's parameter CheckDatabases")),
        }
    }

    /// Refuses a time that would let a fence stand, or a cluster cost, for longer than the deployment wants.
    fn refuse_long(&self, plan: &Plan) -> Result<(), StepError> {
        for (field, parameter, seconds, most) in [
            ("fenceTimeout", "MostFenceTimeout", plan.fence_timeout_seconds, self.most_fence_timeout),
            ("keepRestored", "MostKeepRestored", plan.keep_restored_seconds, self.most_keep_restored),
        ] {
            let given = SignedDuration::from_secs(seconds);
            if given > most {
                let (given, most) = (format_duration(given), format_duration(most));
                return Err(invalid(format!("`{field}` is {given}, and this deployment takes {most} at most"))
                    .advice(format!("ask for {most} or less; or change the stack's parameter {parameter}")));
            }
        }
        Ok(())
    }
}

/// Refuses to run the checks of an event or an alarm with the login of the fence: whoever may send one, or write an alarm's
/// description, would have their SQL run as the master user.
fn refuse_checks_as_master(plan: &Plan) -> Result<(), StepError> {
    if plan.checks.is_empty() || !is_of_event(&plan.recovery_id) {
        return Ok(());
    }
    let refused = match &plan.check_secret_arn {
        None => "an event or an alarm started this recovery, and its checks have no login of their own".to_owned(),
        Some(arn) if *arn == plan.secret_arn => {
            format!(
                "an event or an alarm started this recovery, and `checkSecretArn` is the secret of the fence: {arn}"
            )
        }
        Some(_) => return Ok(()),
    };
    Err(invalid(refused).advice(
        "set the stack's parameter CheckSecretArn, or `checkSecretArn`, to the secret of a login that can only read; or leave \
         `checks` out",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan};
    use rewind_core::{Check, Expectation};

    /// The strictest rules, but for the databases of checks.
    fn open() -> Policy {
        Policy { check_databases: vec![("*".to_owned(), "*".to_owned())], ..Policy::default() }
    }

    fn unapproved(plan: Plan) -> Plan {
        Plan { approval: Approval::None, checks: Vec::new(), ..plan }
    }

    fn checked(plan: Plan) -> Plan {
        let check = Check {
            name: "rows".to_owned(),
            database: "shop".to_owned(),
            sql: "SELECT 1".to_owned(),
            expectation: Expectation::Expect("1".to_owned()),
        };
        Plan { checks: vec![check], ..unapproved(plan) }
    }

    #[test]
    fn nobody_can_leave_the_approval_out_where_the_deployment_wants_one() {
        use WithoutApproval::{Always, Never};
        for (without_approval, unchecked_may, checked_may) in [(Never, false, false), (Always, true, true)] {
            let policy = Policy { without_approval, ..open() };
            for made in [plan(), in_place_plan()] {
                assert_eq!(policy.refuse(&unapproved(made.clone())).is_ok(), unchecked_may, "{without_approval:?}");
                assert_eq!(policy.refuse(&checked(made.clone())).is_ok(), checked_may, "{without_approval:?}");
                assert_eq!(policy.refuse(&made), Ok(()));
            }
            // What stands beside the source reaches nobody.
            assert_eq!(policy.refuse(&unapproved(Plan { dns: Vec::new(), ..plan() })), Ok(()));
        }
        let refused = Policy::default().refuse(&unapproved(plan())).unwrap_err().to_string();
        assert!(refused.contains("WithoutApproval") && refused.contains("nothing was changed"), "{refused}");
    }

    #[test]
    fn the_data_of_before_cannot_be_kept_for_less_than_the_deployment_wants() {
        let short = Plan { keep_source_seconds: 3_600, ..plan() };
        let refused = Policy::default().refuse(&short).unwrap_err().to_string();
        assert!(refused.contains("`keepSource` is 1h") && refused.contains("LeastKeepSource"), "{refused}");
        let policy = Policy { least_keep_source: SignedDuration::from_hours(1), ..Policy::default() };
        assert_eq!(policy.refuse(&short), Ok(()));
    }

    #[test]
    fn the_checks_of_an_event_never_run_with_the_login_of_the_fence() {
        let policy = Policy { without_approval: WithoutApproval::Always, ..open() };
        let of = |id: &str, check_secret: Option<&str>| {
            let plan = Plan {
                recovery_id: id.to_owned(),
                check_secret_arn: check_secret.map(ToOwned::to_owned),
                ..checked(plan())
            };
            policy.refuse(&plan)
        };
        let fence = plan().secret_arn;
        for check_secret in [None, Some(fence.as_str())] {
            assert_eq!(of("rewind-orders", check_secret), Ok(()));
            let refused = of("event-6a7e8feb", check_secret).unwrap_err().to_string();
            assert!(refused.contains("CheckSecretArn") && refused.contains("nothing was changed"), "{refused}");
        }
        assert_eq!(of("event-6a7e8feb", Some("arn:reader")), Ok(()));
        assert_eq!(policy.refuse(&Plan { recovery_id: "event-6a7e8feb".to_owned(), ..unapproved(plan()) }), Ok(()));
    }

    #[test]
    fn an_empty_environment_is_the_strictest_and_a_wrong_one_starts_nothing() {
        let read = |pairs: &'static [(&str, &str)]| {
            Policy::read(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(read(&[]).unwrap(), Policy::default());
        assert_eq!(read(&[("REWIND_WITHOUT_APPROVAL", "")]).unwrap(), Policy::default());
        let given = read(&[
            ("REWIND_WITHOUT_APPROVAL", "always"),
            ("REWIND_MOST_FENCE_TIMEOUT", "30m"),
            ("REWIND_MOST_KEEP_RESTORED", "12h"),
            ("REWIND_CHECK_DATABASES", "shop-*/shop, */reports_*"),
            ("REWIND_LEAST_KEEP_SOURCE", "2d"),
            ("REWIND_CHECK_SECRET_ARN", "arn:reader"),
        ])
        .unwrap();
        assert_eq!(given.check_secret.as_deref(), Some("arn:reader"));
        assert_eq!(given.without_approval, WithoutApproval::Always);
        assert_eq!((given.most_fence_timeout.as_mins(), given.most_keep_restored.as_hours()), (30, 12));
        assert_eq!(given.check_databases.len(), 2);
        assert_eq!(given.least_keep_source, SignedDuration::from_hours(48));
        assert!(read(&[("REWIND_WITHOUT_APPROVAL", "sometimes")]).is_err());
        assert!(read(&[("REWIND_LEAST_KEEP_SOURCE", "long")]).is_err());
        // It meant "always", to whoever writes their own check.
        assert!(read(&[("REWIND_WITHOUT_APPROVAL", "checked")]).is_err());
        for wrong in ["shop", "/shop", "shop-main/", "shop-*/shop,orders"] {
            let read = Policy::read(|name| (name == "REWIND_CHECK_DATABASES").then(|| wrong.to_owned()));
            assert!(read.is_err(), "{wrong}");
        }
    }

    #[test]
    fn checks_read_in_no_database_that_the_deployment_does_not_open() {
        let plan = Plan { approval: Approval::Required, ..checked(plan()) };
        for (patterns, is_open) in [
            (&[("*", "*")][..], true),
            (&[("orders", "shop")], true),
            (&[("ORD*", "sh*")], true),
            (&[("billing", "billing"), ("orders", "shop")], true),
            (&[], false),
            (&[("orders", "SHOP")], false),
            (&[("orders", "shop_archive")], false),
            (&[("billing", "shop")], false),
        ] {
            let check_databases =
                patterns.iter().map(|(cluster, name)| ((*cluster).to_owned(), (*name).to_owned())).collect();
            let refused = Policy { check_databases, ..Policy::default() }.refuse(&plan);
            assert_eq!(refused.is_ok(), is_open, "{patterns:?}");
            assert!(refused.is_ok() || refused.unwrap_err().to_string().contains("CheckDatabases"));
        }
        // It is the same for what no client would see.
        assert!(Policy::default().refuse(&Plan { dns: Vec::new(), ..plan }).is_err());
    }

    #[test]
    fn no_request_silences_the_page_of_a_fence_or_keeps_a_cluster_for_ever() {
        for (plan, parameter) in [
            (Plan { fence_timeout_seconds: 3_601, ..plan() }, "MostFenceTimeout"),
            (Plan { keep_restored_seconds: 7 * 86_400 + 1, ..plan() }, "MostKeepRestored"),
        ] {
            assert!(open().refuse(&plan).unwrap_err().to_string().contains(parameter), "{parameter}");
        }
        let most = Plan { fence_timeout_seconds: 3_600, keep_restored_seconds: 7 * 86_400, ..plan() };
        assert_eq!(open().refuse(&most), Ok(()));
    }
}
