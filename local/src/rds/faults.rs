//! Failures that a test asks for, through `/_local/faults`: the RDS API itself knows nothing of them, and never lies.
//!
//! A call that fails is one of a function: the tests' own clients, which sign as the account's user, are never refused.

use super::error::ApiError;
use axum::http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// All that is planned.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Planned>);

#[derive(Debug, Default)]
struct Planned {
    backtracks: BTreeSet<String>,
    restores: BTreeMap<String, Duration>,
    calls: Vec<CallFault>,
    rate: Option<Rate>,
}

/// A fault of some calls.
#[derive(Debug)]
struct CallFault {
    action: String,
    mentions: String,
    kind: CallFaultKind,
    left: u32,
}

/// The ways in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFaultKind {
    /// Too many calls, before anything is done.
    Throttle,
    /// A 503, before anything is done.
    Unavailable,
    /// A 500, before anything is done.
    Internal,
    /// The account may have no more of what the call makes.
    Quota,
    /// There is no machine of that class in that zone now.
    Capacity,
    /// The call is done, and half of the answer arrives.
    Cut,
}

impl CallFaultKind {
    /// The kind of a name; `None` where there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "throttle" => Self::Throttle,
            "unavailable" => Self::Unavailable,
            "internal" => Self::Internal,
            "quota" => Self::Quota,
            "capacity" => Self::Capacity,
            "cut" => Self::Cut,
            _ => return None,
        })
    }

    /// The refusal of a call of `action`; `None` where it is carried out all the same.
    pub fn refusal(self, action: &str) -> Option<ApiError> {
        let of_instance = action.ends_with("Instance");
        Some(match self {
            Self::Throttle => throttled(),
            Self::Unavailable => ApiError {
                code: "ServiceUnavailable",
                status: StatusCode::SERVICE_UNAVAILABLE,
                message: "The request has failed due to a temporary failure of the server.".to_owned(),
            },
            Self::Internal => ApiError::internal("An internal error has occurred."),
            Self::Quota if of_instance => {
                ApiError::bad("InstanceQuotaExceeded", "Request would exceed the allowed number of DB instances")
            }
            Self::Quota => ApiError {
                code: "DBClusterQuotaExceededFault",
                status: StatusCode::FORBIDDEN,
                message: "Request would exceed the allowed number of DB clusters".to_owned(),
            },
            Self::Capacity if of_instance => ApiError::bad(
                "InsufficientDBInstanceCapacity",
                "Insufficient DB instance capacity in the requested Availability Zone",
            ),
            Self::Capacity => ApiError::bad("InsufficientStorageClusterCapacity", "Insufficient storage capacity"),
            Self::Cut => return None,
        })
    }
}

/// Calls a second, with as many at once.
#[derive(Debug)]
struct Rate {
    calls: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        self.left = now.duration_since(self.at).as_secs_f64().mul_add(self.calls, self.left).min(self.calls);
        self.at = now;
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

fn throttled() -> ApiError {
    ApiError::bad("Throttling", "Rate exceeded")
}

impl Faults {
    fn planned(&self) -> MutexGuard<'_, Planned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next backtrack of a cluster fail.
    pub fn plan(&self, cluster: &str) {
        self.planned().backtracks.insert(cluster.to_ascii_lowercase());
    }

    /// Returns true when this backtrack is to fail, and forgets it: the next one succeeds.
    pub fn take(&self, cluster: &str) -> bool {
        self.planned().backtracks.remove(cluster)
    }

    /// Makes the restore into a new cluster fail after `time`, once.
    pub fn plan_restore(&self, cluster: &str, time: Duration) {
        self.planned().restores.insert(cluster.to_ascii_lowercase(), time);
    }

    /// Returns how long this restore lasts before it fails, and forgets it; `None` where it succeeds.
    pub fn take_restore(&self, cluster: &str) -> Option<Duration> {
        self.planned().restores.remove(cluster)
    }

    /// Makes the next `times` calls fail whose action begins with `action` and whose parameters contain `mentions`.
    pub fn plan_calls(&self, action: &str, mentions: &str, kind: CallFaultKind, times: u32) {
        let (action, mentions) = (action.to_owned(), mentions.to_owned());
        self.planned().calls.push(CallFault { action, mentions, kind, left: times });
    }

    /// Forgets the calls that were to fail, and have not, whose parameters had to contain `mentions`.
    pub fn forget_calls(&self, mentions: &str) {
        self.planned().calls.retain(|fault| fault.mentions != mentions);
    }

    /// Throttles calls beyond so many a second; `None`: none.
    pub fn plan_rate(&self, calls: Option<f64>) {
        self.planned().rate = calls.map(|calls| Rate { calls, left: calls, at: Instant::now() });
    }

    /// Returns the fault of this call, and counts it.
    ///
    /// # Errors
    ///
    /// When the call is refused before anything is done.
    pub fn of_call(&self, action: &str, form: &str) -> Result<Option<CallFaultKind>, ApiError> {
        let mut planned = self.planned();
        if planned.rate.as_mut().is_some_and(|rate| !rate.take()) {
            return Err(throttled());
        }
        let fault = planned
            .calls
            .iter_mut()
            .find(|fault| fault.left > 0 && action.starts_with(&fault.action) && form.contains(&fault.mentions));
        let Some(fault) = fault else { return Ok(None) };
        fault.left -= 1;
        match fault.kind.refusal(action) {
            Some(refusal) => Err(refusal),
            None => Ok(Some(fault.kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_fails_as_often_as_planned_and_only_where_its_parameters_mention_it() {
        let faults = Faults::default();
        faults.plan_calls("CreateDBInstance", "shop-r", CallFaultKind::Quota, 2);
        let code = |action, form| faults.of_call(action, form).map_err(|error| error.code);
        assert_eq!(code("CreateDBInstance", "DBClusterIdentifier=other"), Ok(None));
        assert_eq!(code("DescribeDBInstances", "DBClusterIdentifier=shop-r"), Ok(None));
        for _ in 0..2 {
            assert_eq!(code("CreateDBInstance", "DBClusterIdentifier=shop-r"), Err("InstanceQuotaExceeded"));
        }
        assert_eq!(code("CreateDBInstance", "DBClusterIdentifier=shop-r"), Ok(None));
    }

    #[test]
    fn calls_that_were_to_fail_and_have_not_are_forgotten() {
        let faults = Faults::default();
        faults.plan_calls("Create", "shop", CallFaultKind::Quota, 2);
        faults.plan_calls("Create", "bank", CallFaultKind::Quota, 1);
        let fails = |form| faults.of_call("CreateDBInstance", form).is_err();
        assert!(fails("DBClusterIdentifier=shop"));
        faults.forget_calls("shop");
        assert!(!fails("DBClusterIdentifier=shop"));
        assert!(fails("DBClusterIdentifier=bank"));
    }

    #[test]
    fn calls_beyond_the_rate_are_throttled_until_it_is_turned_off() {
        let faults = Faults::default();
        faults.plan_rate(Some(2.0));
        let refused = (0..10).filter(|_| faults.of_call("DescribeDBClusters", "").is_err()).count();
        assert!((7..=8).contains(&refused), "{refused} of 10 calls at once were throttled at 2 a second");
        faults.plan_rate(None);
        assert_eq!(faults.of_call("DescribeDBClusters", ""), Ok(None));
    }

    #[test]
    fn a_cut_answer_is_one_of_a_call_that_was_done() {
        let faults = Faults::default();
        faults.plan_calls("Restore", "", CallFaultKind::Cut, 1);
        assert_eq!(faults.of_call("RestoreDBClusterToPointInTime", ""), Ok(Some(CallFaultKind::Cut)));
        assert_eq!(faults.of_call("RestoreDBClusterToPointInTime", ""), Ok(None));
    }
}
