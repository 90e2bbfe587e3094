//! The deployment's rules about what a request may ask for, whoever sends it: people at a terminal, in chat, an event or an alarm.
//! A request can ask for less than the rules allow and never for more.

use crate::refusal::{Refusals, invalid};
use jiff::SignedDuration;
use rewind_core::names::is_of_event;
use rewind_core::{
    Approval, CheckDatabases, ErrorName, Plan, StepError, Strategy, format_duration, is_exactly_like, parse_duration,
};
use std::str::FromStr;

/// The rules of a deployment. The default is the strictest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `REWIND_WITHOUT_APPROVAL`: what may reach clients without a person.
    pub without_approval: WithoutApproval,
    /// `REWIND_MAY_START`: who may start recoveries.
    pub may_start: MayStart,
    /// `REWIND_MOST_FENCE_TIMEOUT`: how long a fence stands at most before that pages.
    pub most_fence_timeout: SignedDuration,
    /// `REWIND_MOST_KEEP_RESTORED`: how long a restored cluster is kept at most that traffic was not moved to.
    pub most_keep_restored: SignedDuration,
    /// `REWIND_CHECK_DATABASES`: the databases in which checks may run.
    pub check_databases: CheckDatabases,
    /// `REWIND_LEAST_KEEP_SOURCE`: how long the data of before is kept at least.
    pub least_keep_source: SignedDuration,
    /// `REWIND_CHECK_SECRET_ARN`: the secret with the login of checks; none if there is none.
    pub check_secret: Option<String>,
    /// `REWIND_OTHER_CHECK_SECRET_ARNS`: patterns of the secrets that a request of people may name instead.
    pub other_check_secrets: Vec<String>,
}

/// A secret with the login of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckSecret<'a> {
    pub(crate) arn: &'a str,
    /// The place that names it.
    pub(crate) from: &'static str,
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
            may_start: MayStart::default(),
            without_approval: WithoutApproval::Never,
            most_fence_timeout: SignedDuration::from_hours(1),
            most_keep_restored: SignedDuration::from_hours(7 * 24),
            check_databases: CheckDatabases::default(),
            least_keep_source: SignedDuration::from_hours(24),
            check_secret: None,
            other_check_secrets: Vec::new(),
        }
    }
}

/// The people who may start recoveries, beside what IAM says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MayStart {
    /// Whoever IAM, chat and the parameters for events let.
    #[default]
    Anybody,
    /// The people whom the deployment names, where it is verified that one of them did.
    People,
}

impl FromStr for MayStart {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "anybody" => Ok(Self::Anybody),
            "people" => Ok(Self::People),
            _ => Err(()),
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
        let may_start = match read("REWIND_MAY_START") {
            Some(value) => value.parse().map_err(|()| wrong("REWIND_MAY_START", "anybody or people"))?,
            None => default.may_start,
        };
        let length = |name: &str, default: SignedDuration| match read(name) {
            Some(value) => parse_duration(&value).map_err(|_| wrong(name, "a length such as 1d")),
            None => Ok(default),
        };
        let list = |name: &str| -> Vec<String> {
            let listed = read(name).unwrap_or_default();
            listed.split(',').map(str::trim).filter(|one| !one.is_empty()).map(ToOwned::to_owned).collect()
        };
        Ok(Self {
            without_approval,
            may_start,
            least_keep_source: length("REWIND_LEAST_KEEP_SOURCE", default.least_keep_source)?,
            most_fence_timeout: length("REWIND_MOST_FENCE_TIMEOUT", default.most_fence_timeout)?,
            most_keep_restored: length("REWIND_MOST_KEEP_RESTORED", default.most_keep_restored)?,
            check_databases: CheckDatabases::read(&variable)?,
            check_secret: read("REWIND_CHECK_SECRET_ARN"),
            other_check_secrets: list("REWIND_OTHER_CHECK_SECRET_ARNS"),
        })
    }

    /// The secret with the login of checks of a request that names `asked`; none where they run with that of the fence.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] where the request may not name it.
    pub(crate) fn check_secret_of<'a>(
        &'a self,
        asked: Option<&'a str>,
        recovery_id: &str,
    ) -> Result<Option<CheckSecret<'a>>, StepError> {
        let own = self.check_secret.as_deref();
        let Some(arn) = asked.filter(|asked| own != Some(*asked)) else {
            return Ok(own.map(|arn| CheckSecret { arn, from: "the stack's parameter CheckSecretArn" }));
        };
        let refused =
            |why: &str, advice: &str| Err(invalid(format!("`checkSecretArn` is {arn}, and {why}")).advice(advice));
        // Whoever may send an event, or write an alarm's description, would have their SQL run as any application.
        if is_of_event(recovery_id) {
            return refused(
                "the checks of an event or an alarm run with the login of the deployment alone",
                "leave `checkSecretArn` out, and set the stack's parameter CheckSecretArn; or leave `checks` out",
            );
        }
        let is_free = own.is_none() && self.other_check_secrets.is_empty();
        if is_free || self.other_check_secrets.iter().any(|pattern| is_exactly_like(pattern, arn)) {
            return Ok(Some(CheckSecret { arn, from: "`checkSecretArn`" }));
        }
        refused(
            "this deployment names the login of checks itself",
            "leave `checkSecretArn` out; or add it to the stack's parameter OtherCheckSecretArns",
        )
    }

    /// Refuses a plan that the rules do not allow.
    ///
    /// # Errors
    ///
    /// [`ErrorName::InvalidRequest`] with the parameter of the deployment that allows it.
    pub(crate) fn refuse(&self, plan: &Plan) -> Result<(), StepError> {
        let mut refusals = Refusals::default();
        refusals.keep(refuse_checks_as_master(plan))?;
        refusals.keep(self.refuse_databases(plan))?;
        refusals.keep(self.refuse_long(plan))?;
        if plan.strategy == Strategy::Backtrack || !plan.dns.is_empty() {
            refusals.keep(self.refuse_unasked(plan))?;
            refusals.keep(self.refuse_short(plan))?;
        }
        refusals.refuse()
    }

    /// Refuses a change that nobody is asked about.
    fn refuse_unasked(&self, plan: &Plan) -> Result<(), StepError> {
        let is_allowed = match self.without_approval {
            _ if plan.approval == Approval::Required => true,
            WithoutApproval::Never => false,
            WithoutApproval::Always => true,
        };
        if is_allowed {
            return Ok(());
        }
        let in_place = plan.strategy == Strategy::Backtrack;
        let what = if in_place { format!("rewinds {}", plan.cluster) } else { "moves traffic".to_owned() };
        Err(invalid(format!("`approval` is none, and this deployment {what} only with a person's approval"))
            .advice("leave `approval` out; or change the stack's parameter WithoutApproval (never, always)"))
    }

    /// Refuses a time after which the data of before would be gone too early.
    fn refuse_short(&self, plan: &Plan) -> Result<(), StepError> {
        let kept = SignedDuration::from_secs(plan.keep_source_seconds);
        if kept >= self.least_keep_source {
            return Ok(());
        }
        let least = format_duration(self.least_keep_source);
        Err(invalid(format!(
            "`keepSource` is {}, and this deployment keeps the data of before for {least} at least",
            format_duration(kept)
        ))
        .advice(format!("ask for {least} or longer; or change the stack's parameter LeastKeepSource")))
    }

    /// Refuses checks in a database that the deployment does not open to them.
    fn refuse_databases(&self, plan: &Plan) -> Result<(), StepError> {
        let open = self.check_databases.of(&plan.cluster);
        match plan.checks.iter().find(|check| !open.has(&check.database)) {
            None => Ok(()),
            Some(check) => Err(invalid(format!(
                "`checks`: \"{}\" would read in the database {} of {}, and this deployment opens that to no check",
                check.name, check.database, plan.cluster
            ))
            .advice("ask another database; or change the stack's parameter CheckDatabases")),
        }
    }

    /// Refuses times that would let a fence stand, or a cluster cost, for longer than the deployment wants.
    fn refuse_long(&self, plan: &Plan) -> Result<(), StepError> {
        let mut refusals = Refusals::default();
        for (field, parameter, seconds, most) in [
            ("fenceTimeout", "MostFenceTimeout", plan.fence_timeout_seconds, self.most_fence_timeout),
            ("keepRestored", "MostKeepRestored", plan.keep_restored_seconds, self.most_keep_restored),
        ] {
            let given = SignedDuration::from_secs(seconds);
            if given > most {
                let (given, most) = (format_duration(given), format_duration(most));
                refusals.keep::<()>(Err(invalid(format!(
                    "`{field}` is {given}, and this deployment takes {most} at most"
                ))
                .advice(format!("ask for {most} or less; or change the stack's parameter {parameter}"))))?;
            }
        }
        refusals.refuse()
    }
}

/// Refuses to run the checks of an event or an alarm with the login of the fence: whoever may send one, or write an alarm's
/// description, would have their SQL run as the master user.
fn refuse_checks_as_master(plan: &Plan) -> Result<(), StepError> {
    if plan.checks.is_empty() || !plan.has_checks_of_event() {
        return Ok(());
    }
    let refused = match &plan.check_secret_arn {
        None => {
            "an event or an alarm wrote the checks of this recovery, and they have no login of their own".to_owned()
        }
        Some(arn) if *arn == plan.secret_arn => {
            format!(
                "an event or an alarm wrote the checks of this recovery, and CheckSecretArn is the secret of the fence: {arn}"
            )
        }
        Some(_) => return Ok(()),
    };
    Err(invalid(refused).advice(
        "set the stack's parameter CheckSecretArn to the secret of a login that can only read; or leave `checks` out, or give your own",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan};
    use rewind_core::{Adopted, Check, Expectation};

    /// The strictest rules, but for the databases of checks.
    fn open() -> Policy {
        Policy { check_databases: CheckDatabases::all(), ..Policy::default() }
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
        // Taken over from one of an event by whoever resumes it.
        let adopted = |checks_of_event| Adopted {
            recovery: "event-1".to_owned(),
            owners: Vec::new(),
            keep_until: None,
            checks_of_event,
        };
        let resumed = |of_event| Plan { adopted: Some(adopted(of_event)), ..checked(plan()) };
        assert!(policy.refuse(&resumed(true)).unwrap_err().to_string().contains("or give your own"));
        assert_eq!(policy.refuse(&resumed(false)), Ok(()));
        assert_eq!(policy.refuse(&Plan { recovery_id: "event-6a7e8feb".to_owned(), ..unapproved(plan()) }), Ok(()));
    }

    #[test]
    fn no_request_has_its_checks_run_with_another_login_than_the_deployment_s() {
        let others = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let (master, reader) = ("arn:rds!cluster-1", "arn:reader");
        for (own, list, asked, by_people, by_event) in [
            (None, &[][..], None, Ok(None), Ok(None)),
            (None, &[], Some(master), Ok(Some(master)), Err(())),
            (Some(reader), &[], None, Ok(Some(reader)), Ok(Some(reader))),
            (Some(reader), &[], Some(reader), Ok(Some(reader)), Ok(Some(reader))),
            (Some(reader), &[], Some(master), Err(()), Err(())),
            (Some(reader), &["arn:reader-*"], Some(master), Err(()), Err(())),
            (
                Some(reader),
                &["arn:reader-*", "arn:old"],
                Some("arn:reader-of-march"),
                Ok(Some("arn:reader-of-march")),
                Err(()),
            ),
            (None, &["arn:reader*"], Some(master), Err(()), Err(())),
            (None, &["arn:reader*"], Some("arn:READER"), Err(()), Err(())),
        ] {
            let policy = Policy {
                check_secret: own.map(ToOwned::to_owned),
                other_check_secrets: others(list),
                ..Policy::default()
            };
            for (id, expected) in [("rewind-orders", by_people), ("event-6a7e8feb", by_event)] {
                let found = policy.check_secret_of(asked, id);
                if let Err(error) = &found {
                    let error = error.to_string();
                    assert!(error.contains("CheckSecretArn") && error.contains("nothing was changed"), "{error}");
                }
                let found = found.map(|secret| secret.map(|secret| secret.arn)).map_err(|_| ());
                assert_eq!(found, expected, "{own:?} {list:?} {asked:?} {id}");
            }
        }
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
            ("REWIND_OTHER_CHECK_SECRET_ARNS", "arn:a, ,arn:b*"),
        ])
        .unwrap();
        assert_eq!(given.other_check_secrets, ["arn:a", "arn:b*"]);
        assert_eq!(given.check_secret.as_deref(), Some("arn:reader"));
        assert_eq!(given.without_approval, WithoutApproval::Always);
        assert_eq!((given.most_fence_timeout.as_mins(), given.most_keep_restored.as_hours()), (30, 12));
        assert!(given.check_databases.of("shop-main").has("shop"));
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
            ("*/*", true),
            ("orders/shop", true),
            ("ORD*/sh*", true),
            ("billing/billing,orders/shop", true),
            ("", false),
            ("orders/SHOP", false),
            ("orders/shop_archive", false),
            ("billing/shop", false),
        ] {
            let check_databases = CheckDatabases::read(|_| Some(patterns.to_owned())).unwrap();
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
