//! The room that the account and its zones have for instances, and instances that come to nothing, as a test sets them through
//! `/_local/instances`. Without that there is room for as many as the stack has addresses, of every class in every zone.

use super::control_plane::ControlPlane;
use super::error::ApiError;
use super::model::InstanceStatus;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The limits.
#[derive(Debug, Default)]
pub struct InstanceLimits(Mutex<Limits>);

#[derive(Debug, Default)]
struct Limits {
    /// Quotas of instances, by the beginning of their names: several tests share the account of a stack.
    quotas: BTreeMap<String, usize>,
    /// Class and zone without capacity.
    full: BTreeSet<(String, String)>,
    fates: BTreeMap<String, Fate>,
    /// Instances that are being created, and that others must not wait for.
    held_back: BTreeSet<String>,
}

/// The end of an instance's creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays in this status, without a server.
    Ends(InstanceStatus),
    /// It is created for ever.
    NeverComes,
    /// It starts only when another instance writes.
    Late,
}

impl Fate {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "failed" => Some(Self::Ends(InstanceStatus::Failed)),
            "incompatible-network" => Some(Self::Ends(InstanceStatus::IncompatibleNetwork)),
            "creating" => Some(Self::NeverComes),
            "late" => Some(Self::Late),
            _ => None,
        }
    }
}

impl InstanceLimits {
    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses an instance that is one too many; `names` are those that are there.
    pub fn check_quota<'a>(&self, id: &str, names: impl Iterator<Item = &'a String>) -> Result<(), ApiError> {
        let names: Vec<&String> = names.collect();
        let is_over = |(prefix, most): (&String, &usize)| {
            id.starts_with(prefix.as_str())
                && names.iter().filter(|name| name.starts_with(prefix.as_str())).count() >= *most
        };
        if self.limits().quotas.iter().any(is_over) {
            return Err(ApiError::bad("InstanceQuotaExceeded", "DB Instance quota exceeded"));
        }
        Ok(())
    }

    /// Chooses the zone of an instance: the one that was asked for, or the first of `zones` that has capacity. `zones` are those
    /// of the subnet group.
    pub fn zone(&self, class: &str, asked: Option<String>, zones: &[String]) -> Result<String, ApiError> {
        let limits = self.limits();
        let has_capacity = |zone: &String| !limits.full.contains(&(class.to_owned(), zone.clone()));
        match asked {
            // AWS refuses a zone that the cluster's subnets are not in, with the code of the network and not of a value.
            Some(zone) if !zones.contains(&zone) => Err(ApiError::bad(
                "InvalidVPCNetworkStateFault",
                format!("Availability zone '[{zone}]' is unavailable in this region, please choose another zone set."),
            )),
            Some(zone) if has_capacity(&zone) => Ok(zone),
            None if zones.iter().any(has_capacity) => {
                Ok(zones.iter().find(|zone| has_capacity(zone)).cloned().unwrap_or_default())
            }
            _ => Err(ApiError::bad(
                "InsufficientDBInstanceCapacity",
                format!(
                    "Cannot create a database instance because there are no availability zones with sufficient capacity for VPC \
                     and storage type : aurora for {class}. Please try the request again at a later time."
                ),
            )),
        }
    }

    /// Takes the fate of an instance that is being created; the next instance of that name is as any other.
    pub fn take_fate(&self, id: &str) -> Option<Fate> {
        let mut limits = self.limits();
        let fate = limits.fates.remove(id);
        match fate {
            Some(Fate::NeverComes | Fate::Late) => limits.held_back.insert(id.to_owned()),
            Some(Fate::Ends(_)) | None => limits.held_back.remove(id),
        };
        fate
    }

    /// True if an instance will not be the first to serve: others do not wait for it.
    pub fn is_held_back(&self, id: &str) -> bool {
        let limits = self.limits();
        limits.fates.contains_key(id) || limits.held_back.contains(id)
    }

    fn set(&self, query: &HashMap<String, String>) -> Option<()> {
        let mut limits = self.limits();
        let given = |name: &str| query.get(name).map(|value| value.to_ascii_lowercase());
        if let (Some(quota), Some(prefix)) = (given("quota"), given("prefix")) {
            match quota.as_str() {
                "none" => limits.quotas.remove(&prefix),
                number => limits.quotas.insert(prefix, number.parse().ok()?),
            };
        } else if let (Some(class), Some(zone), Some(capacity)) = (given("class"), given("zone"), given("capacity")) {
            match capacity.as_str() {
                "none" => limits.full.insert((class, zone)),
                "some" => limits.full.remove(&(class, zone)),
                _ => return None,
            };
        } else {
            limits.fates.insert(given("instance")?, Fate::parse(&given("becomes")?)?);
        }
        Some(())
    }
}

/// Sets a limit: `POST /_local/instances` with `?quota=3&prefix=my-` (or `none`), `?class=db.r6g.large&zone=us-east-1a&capacity=none`
/// (or `some`), or `?instance=my-reader&becomes=failed` (`incompatible-network`, `creating`, `late`).
pub async fn set(
    State(control_plane): State<Arc<ControlPlane>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match control_plane.limits.set(&query) {
        Some(()) => StatusCode::NO_CONTENT.into_response(),
        None => {
            let known = "which limit? quota=<number or none>&prefix=<of names>, class=<class>&zone=<zone>&capacity=<none or \
                         some>, or instance=<instance>&becomes=<failed, incompatible-network, creating or late>\n";
            (StatusCode::BAD_REQUEST, known).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(limits: &InstanceLimits, query: &str) -> Option<()> {
        limits.set(
            &query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_quota_counts_the_instances_whose_names_begin_alike() {
        let limits = InstanceLimits::default();
        let names = ["a-1", "a-2", "b-1"].map(ToOwned::to_owned);
        set(&limits, "quota=2&prefix=a-").unwrap();
        assert_eq!(limits.check_quota("a-3", names.iter()).unwrap_err().code, "InstanceQuotaExceeded");
        assert!(limits.check_quota("b-2", names.iter()).is_ok());
        set(&limits, "quota=none&prefix=a-").unwrap();
        assert!(limits.check_quota("a-3", names.iter()).is_ok());
    }

    #[test]
    fn a_zone_is_of_the_subnet_group_and_has_capacity() {
        let limits = InstanceLimits::default();
        let zones = ["za", "zb"].map(ToOwned::to_owned);
        let zone =
            |asked: Option<&str>| limits.zone("db.r6g.large", asked.map(ToOwned::to_owned), &zones).map_err(|e| e.code);
        assert_eq!(zone(Some("zc")), Err("InvalidVPCNetworkStateFault"));
        assert_eq!((zone(Some("zb")), zone(None)), (Ok("zb".to_owned()), Ok("za".to_owned())));
        set(&limits, "class=db.r6g.large&zone=za&capacity=none").unwrap();
        assert_eq!((zone(Some("za")), zone(None)), (Err("InsufficientDBInstanceCapacity"), Ok("zb".to_owned())));
        set(&limits, "class=db.r6g.large&zone=zb&capacity=none").unwrap();
        assert_eq!(zone(None), Err("InsufficientDBInstanceCapacity"));
        set(&limits, "class=db.r6g.large&zone=za&capacity=some").unwrap();
        assert_eq!(zone(None), Ok("za".to_owned()));
    }

    #[test]
    fn a_fate_is_of_one_creation_and_unknown_ones_are_refused() {
        let limits = InstanceLimits::default();
        set(&limits, "instance=R&becomes=incompatible-network").unwrap();
        assert!(limits.is_held_back("r"));
        assert_eq!(limits.take_fate("r"), Some(Fate::Ends(InstanceStatus::IncompatibleNetwork)));
        assert!(!limits.is_held_back("r"));
        assert_eq!(limits.take_fate("r"), None);
        set(&limits, "instance=r&becomes=late").unwrap();
        assert_eq!(limits.take_fate("r"), Some(Fate::Late));
        // Others do not wait for it, and the next one of its name is as any other.
        assert!(limits.is_held_back("r"));
        assert_eq!(limits.take_fate("r"), None);
        assert!(!limits.is_held_back("r"));
        for wrong in
            ["instance=r", "instance=r&becomes=rich", "quota=many&prefix=a", "class=c&zone=z&capacity=half", ""]
        {
            assert_eq!(set(&limits, wrong), None, "{wrong}");
        }
    }
}
