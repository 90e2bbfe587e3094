//! The hosted zones of Route 53 as a name server sees them: sets of records by name, with look-up. Pure: no AWS in here.
//!
//! Aliases to other AWS resources are left out: none of them exists on this stack.

use hickory_server::proto::ProtoError;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A set of records as Route 53 lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// The name, as Route 53 writes it (`\052` for `*`).
    pub name: String,
    /// `A`, `CNAME`, …
    pub kind: String,
    /// Seconds.
    pub ttl: u32,
    /// The values, in the form of a zone file.
    pub values: Vec<String>,
    /// The weight, where several sets share a name and type.
    pub weight: Option<u64>,
}

/// An error that keeps a zone from being served.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// A name is no domain name.
    #[error("{name:?} is not a domain name: {source}")]
    Name {
        /// The name.
        name: String,
        /// The error of the parser.
        source: ProtoError,
    },
    /// A zone without a start of authority.
    #[error("the zone {0} has no SOA record")]
    NoSoa(String),
}

/// One hosted zone.
#[derive(Debug, Clone)]
pub struct Zone {
    origin: Name,
    private: bool,
    soa: Record,
    names: BTreeMap<LowerName, BTreeMap<RecordType, Vec<Choice>>>,
}

/// One of the sets that share a name and a type; simple records have exactly one.
#[derive(Debug, Clone)]
struct Choice {
    weight: Option<u64>,
    ttl: u32,
    data: Vec<RData>,
}

/// The result of a look-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The records asked for.
    Records(Vec<Record>),
    /// The name is an alias: the CNAME, and where it leads.
    Alias(Record, Name),
    /// The name has records, none of that type; the zone's SOA.
    NoSuchType(Record),
    /// There is no such name; the zone's SOA.
    NoSuchName(Record),
}

impl Zone {
    /// A zone from its sets of records. Values that can't be parsed are left out, with a line in the log.
    ///
    /// # Errors
    ///
    /// When a name is no domain name, or the SOA is missing.
    pub fn new(origin: &str, private: bool, sets: Vec<RecordSet>) -> Result<Self, ZoneError> {
        let origin = absolute(origin)?;
        let mut names: BTreeMap<LowerName, BTreeMap<RecordType, Vec<Choice>>> = BTreeMap::new();
        for set in sets {
            let owner = absolute(&set.name)?;
            let Ok(kind) = RecordType::from_str(&set.kind) else {
                tracing::warn!(name = set.name, kind = set.kind, "a record of a type that this server does not know");
                continue;
            };
            let data: Vec<RData> = set.values.iter().filter_map(|value| parse(kind, value, &set.name)).collect();
            // An alias to an AWS resource has no values, and a set without data would answer for a name that leads nowhere.
            if data.is_empty() {
                continue;
            }
            let choices = names.entry(owner.into()).or_default().entry(kind).or_default();
            choices.push(Choice { weight: set.weight, ttl: set.ttl, data });
        }
        let apex = names.get(&LowerName::from(&origin)).and_then(|kinds| kinds.get(&RecordType::SOA)?.first());
        let soa = apex.and_then(|choice| {
            let RData::SOA(data) = choice.data.first()? else { return None };
            // RFC 2308: a negative answer lives as long as the lower of the SOA's own TTL and its last field.
            Some(Record::from_rdata(origin.clone(), choice.ttl.min(data.minimum), RData::SOA(data.clone())))
        });
        let soa = soa.ok_or_else(|| ZoneError::NoSoa(origin.to_ascii()))?;
        Ok(Self { origin, private, soa, names })
    }

    fn find(&self, name: &Name, kind: RecordType) -> Found {
        let Some(kinds) = self.names.get(&LowerName::from(name)).or_else(|| self.wildcard(name)) else {
            // A name with names below it exists, even without records of its own.
            let below = self.names.keys().any(|owner| LowerName::from(name).zone_of(owner));
            return if below { Found::NoSuchType(self.soa.clone()) } else { Found::NoSuchName(self.soa.clone()) };
        };
        // Asked for everything a server does not follow an alias: it shows it.
        if kind == RecordType::ANY {
            return Found::Records(kinds.values().flat_map(|choices| records(name, choices)).collect());
        }
        if let Some(choices) = kinds.get(&kind) {
            return Found::Records(records(name, choices));
        }
        let alias = kinds.get(&RecordType::CNAME).and_then(|choices| records(name, choices).into_iter().next());
        match alias.as_ref().map(|record| &record.data) {
            Some(RData::CNAME(target)) => {
                let target = target.0.clone();
                alias.map_or_else(|| Found::NoSuchType(self.soa.clone()), |record| Found::Alias(record, target))
            }
            _ => Found::NoSuchType(self.soa.clone()),
        }
    }

    /// The wildcard that covers a missing name: the one directly below its closest existing parent.
    fn wildcard(&self, name: &Name) -> Option<&BTreeMap<RecordType, Vec<Choice>>> {
        let mut parent = name.base_name();
        while self.origin.zone_of(&parent) {
            let wildcard = Name::from_ascii("*").ok()?.append_domain(&parent).ok()?;
            if let Some(kinds) = self.names.get(&LowerName::from(&wildcard)) {
                return Some(kinds);
            }
            // RFC 4592: a wildcard above an existing name does not reach below it.
            if self.names.keys().any(|owner| LowerName::from(&parent).zone_of(owner)) || parent.is_root() {
                return None;
            }
            parent = parent.base_name();
        }
        None
    }
}

/// All zones of the account.
#[derive(Debug, Clone, Default)]
pub struct Zones(Vec<Zone>);

impl Zones {
    /// The zones, in the order in which they are asked: the longest name first, a private one before a public one.
    pub fn new(mut zones: Vec<Zone>) -> Self {
        // A VPC's resolver looks in the private zone of a name first, and never asks the public one of the same name.
        zones.sort_by_key(|zone| (std::cmp::Reverse(zone.origin.num_labels()), !zone.private));
        Self(zones)
    }

    /// Looks a name up in the zone that holds it; nothing when no zone does.
    pub fn find(&self, name: &Name, kind: RecordType) -> Option<Found> {
        self.0.iter().find(|zone| zone.origin.zone_of(name)).map(|zone| zone.find(name, kind))
    }
}

fn absolute(name: &str) -> Result<Name, ZoneError> {
    let mut absolute = Name::from_ascii(name).map_err(|source| ZoneError::Name { name: name.to_owned(), source })?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

fn parse(kind: RecordType, value: &str, owner: &str) -> Option<RData> {
    match RData::try_from_str(kind, value) {
        // Route 53 takes a host name without its final dot as absolute all the same.
        Ok(RData::CNAME(mut target)) => {
            target.0.set_fqdn(true);
            Some(RData::CNAME(target))
        }
        Ok(RData::NS(mut server)) => {
            server.0.set_fqdn(true);
            Some(RData::NS(server))
        }
        Ok(data) => Some(data),
        Err(error) => {
            tracing::warn!(owner, %kind, value, %error, "a record that this server cannot read");
            None
        }
    }
}

/// The records of one of the choices, picked by weight.
fn records(name: &Name, choices: &[Choice]) -> Vec<Record> {
    // Route 53 never returns weight 0 beside another weight; where all are 0 each is as likely, and the first is as good as any.
    let total: u64 = choices.iter().filter_map(|choice| choice.weight).sum();
    let mut ticket = if total > 0 { fastrand::u64(0..total) } else { 0 };
    let chosen = choices.iter().find(|choice| match choice.weight {
        Some(weight) if total > 0 => {
            let hit = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            hit
        }
        _ => true,
    });
    chosen.map_or_else(Vec::new, |choice| {
        choice.data.iter().map(|data| Record::from_rdata(name.clone(), choice.ttl, data.clone())).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kind: &str, value: &str, weight: Option<u64>) -> RecordSet {
        RecordSet { name: "w.example.com.".into(), kind: kind.into(), ttl: 5, values: vec![value.into()], weight }
    }

    fn soa(origin: &str) -> RecordSet {
        let value = "ns-1.awsdns-1.com. host.amazon.com. 1 7200 900 1209600 86400".to_owned();
        RecordSet { name: origin.into(), kind: "SOA".into(), ttl: 900, values: vec![value], weight: None }
    }

    fn first(zones: &Zones, name: &str) -> String {
        match zones.find(&Name::from_ascii(name).unwrap(), RecordType::A) {
            Some(Found::Records(records)) => records.iter().map(|record| record.data.to_string()).collect(),
            other => panic!("no records but {other:?}"),
        }
    }

    #[test]
    fn a_weight_of_zero_is_never_chosen_beside_another() {
        let sets = vec![
            soa("example.com."),
            set("A", "192.0.2.1", Some(0)),
            set("A", "192.0.2.2", Some(7)),
            set("A", "192.0.2.3", Some(0)),
        ];
        let zones = Zones::new(vec![Zone::new("example.com.", false, sets).unwrap()]);
        for _ in 0..100 {
            assert_eq!(first(&zones, "w.example.com."), "192.0.2.2");
        }
    }

    #[test]
    fn the_longest_zone_holds_a_name_and_a_private_one_hides_the_public_one() {
        let at = |origin: &str, private, address: &str| {
            Zone::new(origin, private, vec![soa(origin), set("A", address, None)]).unwrap()
        };
        let zones = Zones::new(vec![at("example.com.", false, "192.0.2.1"), at("example.com.", true, "192.0.2.2")]);
        assert_eq!(first(&zones, "w.example.com."), "192.0.2.2");
        let zones = Zones::new(vec![at("com.", false, "192.0.2.1"), at("example.com.", false, "192.0.2.2")]);
        assert_eq!(first(&zones, "w.example.com."), "192.0.2.2");
    }

    #[test]
    fn a_zone_without_soa_is_not_served() {
        assert!(matches!(Zone::new("example.com.", false, Vec::new()), Err(ZoneError::NoSoa(_))));
    }
}
