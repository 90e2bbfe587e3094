//! The jobs that would act by themselves on a restored cluster as soon as it has an instance: what has to be held, by the findings
//! of the preflight and the parameters of the source.

use crate::findings::{Finding, FindingCode};

/// The parameter with which MySQL runs events.
pub const EVENT_SCHEDULER: &str = "event_scheduler";
/// The parameter without which PostgreSQL has no subscription and no slot of one, nor has had since the server last started.
pub const LOGICAL_REPLICATION: &str = "rds.logical_replication";

/// True if this value of a parameter switches something off.
pub fn is_switched_off(value: &str) -> bool {
    ["off", "0", "disabled"].contains(&value.to_ascii_lowercase().as_str())
}

/// The jobs of a PostgreSQL cluster that a restored one must not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsToHold {
    /// Jobs of pg_cron.
    pub cron: bool,
    /// Subscriptions.
    pub replication: bool,
}

impl JobsToHold {
    /// The jobs that `findings` tell of. With `is_logical` the source takes part in logical replication.
    pub fn of(findings: &[Finding], is_logical: bool) -> Self {
        // Where findings were cut off, these may be among them.
        let has = |code: FindingCode| {
            findings.iter().any(|finding| {
                [code, FindingCode::FindingsCut].map(FindingCode::as_str).contains(&finding.code.as_str())
            })
        };
        Self {
            cron: has(FindingCode::ScheduledJobs),
            // A subscription that was dropped since the target is back, and its slot may be there still, with another subscriber.
            replication: is_logical || has(FindingCode::Subscriptions) || has(FindingCode::Replication),
        }
    }

    /// True if there are any.
    pub fn are_any(self) -> bool {
        self.cron || self.replication
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_findings_name_are_held_and_all_of_them_where_findings_were_cut() {
        let of = |codes: &[FindingCode], is_logical| {
            let findings: Vec<Finding> =
                codes.iter().map(|code| Finding::warning(*code, String::new(), String::new())).collect();
            let JobsToHold { cron, replication } = JobsToHold::of(&findings, is_logical);
            (cron, replication)
        };
        assert_eq!(of(&[FindingCode::Quota], false), (false, false));
        assert_eq!(of(&[], true), (false, true));
        assert_eq!(of(&[FindingCode::ScheduledJobs], false), (true, false));
        assert_eq!(of(&[FindingCode::Subscriptions], false), (false, true));
        assert_eq!(of(&[FindingCode::Replication], false), (false, true));
        assert_eq!(of(&[FindingCode::FindingsCut], false), (true, true));
    }
}
