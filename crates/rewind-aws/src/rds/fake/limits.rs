//! The limits of the account of the RDS in memory, and of its zones.

use crate::rds::{Refusal, RefusedFor};

/// The limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) quota: Option<usize>,
    /// Classes that a zone has no capacity for; without a zone, no zone has.
    pub(super) full: Vec<(String, Option<String>)>,
    pub(super) zones_not_offered: Vec<String>,
    pub(super) failover_does_nothing: bool,
}

impl Limits {
    /// The refusal of one instance more than `instances`, if it is refused.
    pub(super) fn refusal(&self, instances: usize, class: &str, zone: Option<&str>) -> Option<Refusal> {
        let refusal = |why, message: &str| Some(Refusal { why, message: message.to_owned() });
        if self.quota.is_some_and(|most| instances >= most) {
            return refusal(RefusedFor::Quota, "InstanceQuotaExceeded: DB Instance quota exceeded");
        }
        if zone.is_some_and(|zone| self.zones_not_offered.iter().any(|gone| gone == zone)) {
            return refusal(RefusedFor::Zone, "InvalidVPCNetworkStateFault: the zone is unavailable");
        }
        // RDS chooses a zone with capacity where none is named, and refuses where no zone has any.
        let is_full = self.full.iter().any(|(full, of)| full == class && (of.is_none() || of.as_deref() == zone));
        if is_full {
            return refusal(RefusedFor::Capacity, "InsufficientDBInstanceCapacity: no capacity");
        }
        None
    }
}
