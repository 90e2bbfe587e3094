//! Answers DNS questions from the zones and the endpoints of the moment: pure, no sockets, no AWS.
//!
//! It follows CNAMEs through everything it is authoritative for, as a VPC's resolver does, so that one question to a
//! record shows where a client would land. It never asks another server.

use super::zone::{Found, Zones};
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::rdata::{A, NS, SOA};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use std::net::Ipv4Addr;

/// Seconds that an endpoint's address may be cached: what Aurora's own endpoints say.
const ENDPOINT_TTL: u32 = 5;
/// Seconds that "no such endpoint" may be cached: a client that asks too early must find it soon after.
const ENDPOINT_NEGATIVE_TTL: u32 = 1;
/// More aliases than that in a row are a loop.
const LONGEST_CHAIN: usize = 8;

/// Resolves endpoints of clusters and instances (lower case, without the final dot).
pub trait Endpoints: Send + Sync + 'static {
    /// Returns the address, if there is such an endpoint now.
    fn address(&self, endpoint: &str) -> Option<Ipv4Addr>;
}

impl<F: Fn(&str) -> Option<Ipv4Addr> + Send + Sync + 'static> Endpoints for F {
    fn address(&self, endpoint: &str) -> Option<Ipv4Addr> {
        self(endpoint)
    }
}

/// An answer before it is put on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `REFUSED`, …
    pub code: ResponseCode,
    /// True when the name asked for is one of ours.
    pub authoritative: bool,
    /// The records, aliases first.
    pub records: Vec<Record>,
    /// The zone's SOA beside an answer without records, which says how long that may be cached.
    pub soa: Option<Record>,
}

impl Answer {
    /// An answer without any record.
    pub fn bare(code: ResponseCode) -> Self {
        Self { code, authoritative: false, records: Vec::new(), soa: None }
    }
}

/// Answers the question for `kind` records of `name`.
pub fn answer(zones: &Zones, endpoints: &dyn Endpoints, name: &Name, kind: RecordType) -> Answer {
    let mut answer = Answer { authoritative: true, ..Answer::bare(ResponseCode::NoError) };
    // A CNAME may lead into another zone or to an endpoint: the search begins anew with each target.
    let mut owner = name.clone();
    for _ in 0..=LONGEST_CHAIN {
        let found = match zones.find(&owner, kind) {
            Some(found) => found,
            None => match endpoint(endpoints, &owner, kind) {
                Some(found) => found,
                // The end of a chain that leads elsewhere is the asker's business; a first name elsewhere is refused.
                None if answer.records.is_empty() => return Answer::bare(ResponseCode::Refused),
                None => return answer,
            },
        };
        match found {
            Found::Records(records) => {
                answer.records.extend(records);
                return answer;
            }
            Found::Alias(record, target) => {
                answer.records.push(record);
                owner = target;
            }
            Found::NoSuchType(soa) => {
                answer.soa = Some(soa);
                return answer;
            }
            Found::NoSuchName(soa) => {
                answer.code = ResponseCode::NXDomain;
                answer.soa = Some(soa);
                return answer;
            }
        }
    }
    // As resolvers do with a loop; NXDOMAIN would be cached as the truth about a name that exists.
    Answer::bare(ResponseCode::ServFail)
}

/// Answers for an endpoint; none when the name is no endpoint's. The hosted zones need not be read for it.
pub fn endpoint_answer(endpoints: &dyn Endpoints, name: &Name, kind: RecordType) -> Option<Answer> {
    endpoint(endpoints, name, kind)?;
    Some(answer(&Zones::default(), endpoints, name, kind))
}

/// Looks a name up among the endpoints; none when it does not end as endpoints do.
fn endpoint(endpoints: &dyn Endpoints, name: &Name, kind: RecordType) -> Option<Found> {
    let origin = Name::from_ascii("rds.amazonaws.com.").ok()?;
    if !origin.zone_of(name) {
        return None;
    }
    let server = Name::from_ascii("ns.rds.amazonaws.com.").ok()?;
    let hostmaster = Name::from_ascii("awsdns-hostmaster.amazon.com.").ok()?;
    // A negative answer needs an SOA (RFC 2308): without one clients choose themselves how long they keep it.
    let soa = SOA::new(server.clone(), hostmaster, 1, 7200, 900, 1_209_600, ENDPOINT_NEGATIVE_TTL);
    let soa = Record::from_rdata(origin.clone(), ENDPOINT_NEGATIVE_TTL, RData::SOA(soa));
    // The zone's own name: resolvers that check a delegation ask for its SOA and NS.
    if *name == origin {
        return Some(match kind {
            RecordType::SOA => Found::Records(vec![soa]),
            RecordType::NS => {
                Found::Records(vec![Record::from_rdata(origin, ENDPOINT_NEGATIVE_TTL, RData::NS(NS(server)))])
            }
            _ => Found::NoSuchType(soa),
        });
    }
    // Names compare without case (RFC 4343); the answer keeps the asker's spelling.
    let host = name.to_lowercase().to_ascii();
    Some(match endpoints.address(host.trim_end_matches('.')) {
        Some(address) if matches!(kind, RecordType::A | RecordType::ANY) => {
            Found::Records(vec![Record::from_rdata(name.clone(), ENDPOINT_TTL, RData::A(A(address)))])
        }
        // NXDOMAIN for AAAA would make a dual-stack client give the name up altogether.
        Some(_) => Found::NoSuchType(soa),
        None => Found::NoSuchName(soa),
    })
}

#[cfg(test)]
mod tests {
    use super::super::zone::{RecordSet, Zone};
    use super::*;

    const WRITER: &str = "my-aurora-cluster.cluster-abc.us-east-1.rds.amazonaws.com";

    fn set(name: &str, kind: &str, ttl: u32, values: &[&str]) -> RecordSet {
        RecordSet {
            name: name.into(),
            kind: kind.into(),
            ttl,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
            weight: None,
        }
    }

    fn zones() -> Zones {
        let zone = Zone::new(
            "example.com.",
            false,
            vec![
                set("example.com.", "SOA", 900, &["ns-1.awsdns-1.com. host.amazon.com. 1 7200 900 1209600 86400"]),
                set("example.com.", "NS", 172_800, &["ns-1.awsdns-1.com.", "ns-2.awsdns-2.net."]),
                set("db.example.com.", "CNAME", 5, &[WRITER]),
                set("loop.example.com.", "CNAME", 5, &["loop.example.com"]),
                set("away.example.com.", "CNAME", 5, &["www.example.org"]),
                set("lost.example.com.", "CNAME", 5, &["nowhere.example.com"]),
                set("note.example.com.", "TXT", 60, &["\"two words\" \"and more\""]),
                set("a.deep.example.com.", "A", 60, &["192.0.2.1", "192.0.2.2"]),
                set("six.example.com.", "AAAA", 60, &["2001:db8::1"]),
                set("\\052.apps.example.com.", "A", 60, &["192.0.2.9"]),
            ],
        )
        .unwrap();
        Zones::new(vec![zone])
    }

    fn ask(name: &str, kind: RecordType) -> Answer {
        let endpoints = |host: &str| (host == WRITER).then_some(Ipv4Addr::new(127, 9, 9, 10));
        answer(&zones(), &endpoints, &Name::from_ascii(name).unwrap(), kind)
    }

    fn lines(answer: &Answer) -> Vec<String> {
        answer.records.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_question_to_a_record_shows_the_alias_and_the_address_behind_it() {
        let answer = ask("DB.example.com.", RecordType::A);
        assert_eq!((answer.code, answer.authoritative), (ResponseCode::NoError, true));
        assert_eq!(
            lines(&answer),
            [format!("DB.example.com. 5 IN CNAME {WRITER}."), format!("{WRITER}. 5 IN A 127.9.9.10")]
        );
    }

    #[test]
    fn a_question_for_the_alias_itself_is_not_followed() {
        assert_eq!(lines(&ask("db.example.com.", RecordType::CNAME)).len(), 1);
    }

    #[test]
    fn a_name_without_the_type_is_no_data_and_a_missing_name_is_nxdomain() {
        let no_data = ask("note.example.com.", RecordType::A);
        assert_eq!((no_data.code, no_data.records.len(), no_data.soa.is_some()), (ResponseCode::NoError, 0, true));
        let missing = ask("missing.example.com.", RecordType::A);
        assert_eq!((missing.code, missing.soa.is_some()), (ResponseCode::NXDomain, true));
        let between = ask("deep.example.com.", RecordType::A);
        assert_eq!((between.code, between.soa.is_some()), (ResponseCode::NoError, true));
    }

    #[test]
    fn an_alias_to_a_missing_name_is_nxdomain_with_the_alias_shown() {
        let answer = ask("lost.example.com.", RecordType::A);
        assert_eq!((answer.code, answer.records.len()), (ResponseCode::NXDomain, 1));
    }

    #[test]
    fn an_endpoint_that_is_gone_is_nxdomain_and_one_that_is_there_has_no_ipv6() {
        let gone = ask("gone.cluster-abc.us-east-1.rds.amazonaws.com.", RecordType::A);
        assert_eq!((gone.code, gone.authoritative, gone.soa.is_some()), (ResponseCode::NXDomain, true, true));
        let six = ask(WRITER, RecordType::AAAA);
        assert_eq!((six.code, six.records.len(), six.soa.is_some()), (ResponseCode::NoError, 0, true));
    }

    #[test]
    fn the_negative_answer_may_be_cached_no_longer_than_the_zone_allows() {
        let soa = ask("missing.example.com.", RecordType::A).soa.unwrap();
        assert_eq!(soa.ttl, 900);
    }

    #[test]
    fn other_names_are_refused_and_aliases_to_them_are_given_as_they_are() {
        assert_eq!(ask("www.example.org.", RecordType::A), Answer::bare(ResponseCode::Refused));
        let away = ask("away.example.com.", RecordType::A);
        assert_eq!((away.code, away.records.len()), (ResponseCode::NoError, 1));
    }

    #[test]
    fn a_loop_of_aliases_fails() {
        assert_eq!(ask("loop.example.com.", RecordType::A).code, ResponseCode::ServFail);
    }

    #[test]
    fn other_types_come_as_the_zone_has_them() {
        assert_eq!(lines(&ask("a.deep.example.com.", RecordType::A)).len(), 2);
        assert_eq!(lines(&ask("example.com.", RecordType::NS)).len(), 2);
        assert_eq!(lines(&ask("example.com.", RecordType::SOA)).len(), 1);
        assert_eq!(lines(&ask("six.example.com.", RecordType::AAAA)), ["six.example.com. 60 IN AAAA 2001:db8::1"]);
        let note = ask("note.example.com.", RecordType::TXT);
        let RData::TXT(text) = &note.records[0].data else { panic!("not a TXT record: {note:?}") };
        let parts: Vec<_> = text.txt_data.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        assert_eq!(parts, ["two words", "and more"]);
    }

    #[test]
    fn a_wildcard_answers_for_names_that_are_not_there() {
        assert_eq!(lines(&ask("x.apps.example.com.", RecordType::A)), ["x.apps.example.com. 60 IN A 192.0.2.9"]);
        assert_eq!(ask("x.other.example.com.", RecordType::A).code, ResponseCode::NXDomain);
    }
}
