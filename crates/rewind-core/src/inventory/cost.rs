//! The cost of a cluster by the day, at the list prices of AWS, and the connections to it, as CloudWatch has measured them. A price that is
//! not known is never guessed: the sentence names what has none.

use super::found::{FoundCluster, SERVERLESS};
use serde::Serialize;
use std::collections::BTreeMap;

const HOURS_A_DAY: f64 = 24.0;
/// Days of the month by which AWS counts prices by the month: 730 hours.
const DAYS_A_MONTH: f64 = 730.0 / HOURS_A_DAY;
const BYTES_A_GB: f64 = 1_073_741_824.0;

/// Measurements of a cluster in the last 24 hours; none of each where CloudWatch has none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// The connections to all instances in the last minutes.
    pub connections_now: Option<u64>,
    /// The most connections to all instances at one time.
    pub connections_in_a_day: Option<u64>,
    /// The capacity units of all serverless instances together, on average.
    pub capacity: Option<f64>,
    /// The bytes of the volume.
    pub stored: Option<f64>,
}

/// List prices in USD of what one cluster consists of; none of each where it could not be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    /// The price of an hour of each class; of a capacity unit in place of `db.serverless`.
    pub hour: BTreeMap<String, f64>,
    /// The price of a GB of storage for a month.
    pub storage: Option<f64>,
}

/// Connections to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    /// The number in the last minutes; none where that is not known.
    pub now: Option<u64>,
    /// The most at one time in the last 24 hours.
    pub most_in_a_day: u64,
}

/// The cost of a cluster, and the connections to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metered {
    /// The cost by the day in USD of all that has a price; none where nothing has.
    pub usd_a_day: Option<f64>,
    /// True if it is the cost of everything, and not of a part.
    pub is_whole: bool,
    /// The same as a sentence.
    pub cost: String,
    /// The connections; none where they are not known.
    pub connections: Option<Connections>,
    /// The same as a sentence.
    pub connected: String,
}

impl Metered {
    /// Derives what a cluster costs and who is connected to it; `measured` is none where CloudWatch could not be asked.
    pub fn of(found: &FoundCluster, prices: &Prices, measured: Option<Measured>) -> Self {
        let parts = parts(found, prices, measured.unwrap_or_default());
        let known: Vec<(f64, &str)> = parts.iter().filter_map(|part| Some((part.usd?, part.what.as_str()))).collect();
        let unknown: Vec<&str> =
            parts.iter().filter(|part| part.usd.is_none()).map(|part| part.what.as_str()).collect();
        let sum = (!known.is_empty()).then(|| known.iter().map(|(usd, _)| usd).sum::<f64>());
        let of_what = known.iter().map(|(usd, what)| format!("{usd:.2} for {what}")).collect::<Vec<_>>().join(", ");
        let without = unknown.join(" and ");
        let cost = match (sum, unknown.is_empty()) {
            (Some(sum), true) => format!("USD {sum:.2} a day: {of_what}"),
            (Some(sum), false) => format!("USD {sum:.2} a day at least: {of_what}; not known for {without}"),
            (None, _) => format!("not known for {without}"),
        };
        let connections = measured.and_then(|measured| {
            let most_in_a_day = measured.connections_in_a_day?;
            Some(Connections { now: measured.connections_now, most_in_a_day })
        });
        Self {
            usd_a_day: sum.map(|sum| (sum * 100.0).round() / 100.0),
            is_whole: unknown.is_empty(),
            cost,
            connections,
            connected: connected(connections),
        }
    }
}

/// A thing that is billed, with its cost by the day in USD; none where that is not known.
struct Part {
    what: String,
    usd: Option<f64>,
}

fn parts(found: &FoundCluster, prices: &Prices, measured: Measured) -> Vec<Part> {
    let mut parts = Vec::new();
    // AWS bills no instance of a cluster that is stopped.
    if found.status != "stopped" {
        for (class, count) in found.classes() {
            let hour = prices.hour.get(class).copied();
            parts.push(if class == SERVERLESS {
                serverless(count, hour, measured.capacity, found.capacity)
            } else {
                let usd = hour.map(|hour| hour * HOURS_A_DAY * number(count));
                Part { what: format!("{count} x {class}"), usd }
            });
        }
    }
    let stored = measured.stored.map(|bytes| bytes / BYTES_A_GB);
    parts.push(Part {
        what: stored.map_or_else(|| "storage".to_owned(), |gb| format!("{gb:.1} GB of storage")),
        usd: stored.zip(prices.storage).map(|(gb, month)| gb * month / DAYS_A_MONTH),
    });
    parts
}

/// The cost of serverless instances by what they used; by the least that they may have where that was not measured.
fn serverless(count: usize, hour: Option<f64>, used: Option<f64>, range: Option<(f64, f64)>) -> Part {
    let least = range.map(|(least, _)| least * number(count));
    let (what, units) = match (used, least) {
        (Some(used), _) => (format!("{count} x {SERVERLESS}, which used {used:.1} ACU on average"), Some(used)),
        (None, Some(least)) => {
            (format!("{count} x {SERVERLESS} with {least} ACU, the least that they have"), Some(least))
        }
        (None, None) => (format!("{count} x {SERVERLESS}"), None),
    };
    Part { what, usd: hour.zip(units).map(|(hour, units)| hour * units * HOURS_A_DAY) }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn connected(connections: Option<Connections>) -> String {
    match connections {
        None => "not known: CloudWatch shows none of the last 24 hours".to_owned(),
        Some(Connections { most_in_a_day: 0, .. }) => "nobody in the last 24 hours".to_owned(),
        Some(Connections { now: Some(now), most_in_a_day }) => {
            format!("{now} now, {most_in_a_day} at most in the last 24 hours")
        }
        Some(Connections { now: None, most_in_a_day }) => {
            format!("not known how many now, {most_in_a_day} at most in the last 24 hours")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::found::FoundInstance;
    use super::*;

    fn found(status: &str, classes: &[&str], capacity: Option<(f64, f64)>) -> FoundCluster {
        let instance = |class: &&str| FoundInstance { name: "i".into(), class: (*class).into(), writer: false };
        let instances = classes.iter().map(instance).collect();
        FoundCluster { status: status.into(), instances, capacity, ..FoundCluster::default() }
    }

    fn prices() -> Prices {
        let hour = [("db.r6g.large", 0.26), (SERVERLESS, 0.12)].map(|(class, usd)| (class.to_owned(), usd));
        Prices { hour: hour.into(), storage: Some(0.10) }
    }

    fn stored(gb: f64) -> Measured {
        Measured { stored: Some(gb * BYTES_A_GB), ..Measured::default() }
    }

    #[test]
    fn instances_and_storage_are_added_up() {
        let metered =
            Metered::of(&found("available", &["db.r6g.large", "db.r6g.large"], None), &prices(), Some(stored(73.0)));
        assert_eq!(metered.cost, "USD 12.72 a day: 12.48 for 2 x db.r6g.large, 0.24 for 73.0 GB of storage");
        assert_eq!((metered.usd_a_day, metered.is_whole), (Some(12.72), true));
    }

    #[test]
    fn a_cluster_that_is_stopped_is_billed_for_its_storage_alone() {
        let metered = Metered::of(&found("stopped", &["db.r6g.large"], None), &prices(), Some(stored(73.0)));
        assert_eq!(metered.cost, "USD 0.24 a day: 0.24 for 73.0 GB of storage");
    }

    #[test]
    fn what_has_no_price_is_named_and_hides_nothing_that_has_one() {
        let cluster = found("available", &["db.r6g.large", "db.x9.large"], None);
        let partly = Metered::of(&cluster, &prices(), None);
        assert_eq!(
            partly.cost,
            "USD 6.24 a day at least: 6.24 for 1 x db.r6g.large; not known for 1 x db.x9.large and storage"
        );
        assert_eq!((partly.usd_a_day, partly.is_whole), (Some(6.24), false));
        let nothing = Metered::of(&cluster, &Prices::default(), Some(stored(1.0)));
        assert_eq!(nothing.cost, "not known for 1 x db.r6g.large and 1 x db.x9.large and 1.0 GB of storage");
        assert_eq!(nothing.usd_a_day, None);
    }

    #[test]
    fn serverless_instances_cost_what_they_used_or_at_least_their_least() {
        let cost = |capacity, range| {
            let measured = Measured { capacity, ..stored(0.0) };
            Metered::of(&found("available", &[SERVERLESS, SERVERLESS], range), &prices(), Some(measured)).cost
        };
        let range = Some((0.5, 16.0));
        assert!(cost(Some(5.0), range).contains("14.40 for 2 x db.serverless, which used 5.0 ACU on average"));
        assert!(cost(None, range).contains("2.88 for 2 x db.serverless with 1 ACU, the least that they have"));
        assert!(cost(None, None).ends_with("; not known for 2 x db.serverless"));
    }

    #[test]
    fn nobody_is_connected_only_where_that_was_measured() {
        let of = |now, day| {
            let measured = Measured { connections_now: now, connections_in_a_day: day, ..Measured::default() };
            Metered::of(&FoundCluster::default(), &prices(), Some(measured)).connected
        };
        assert_eq!(of(Some(0), Some(0)), "nobody in the last 24 hours");
        assert_eq!(of(Some(3), Some(12)), "3 now, 12 at most in the last 24 hours");
        assert_eq!(of(None, Some(12)), "not known how many now, 12 at most in the last 24 hours");
        assert!(of(None, None).starts_with("not known: CloudWatch shows none"));
        assert_eq!(Metered::of(&FoundCluster::default(), &prices(), None).connections, None);
    }
}
