//! Adds to an inventory what each cluster costs a day, and who is connected to it. Whatever cannot be read is a note, and hides nothing else.

use crate::standing::seen;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use rewind_aws::metrics::ReadMetrics;
use rewind_aws::prices::{Billed, Priced, ReadPrices};
use rewind_core::{FoundCluster, Inventory, Measured, Metered, Prices, RecoveryCluster, SERVERLESS, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// The number of calls that are made together: both services are asked by others in the account too.
const AT_ONCE: usize = 3;

/// Adds to each cluster of an inventory the list price of a day, and the connections as of `now`. Each price is asked for once, however
/// many clusters have it.
pub async fn meter_clusters<M: ReadMetrics, P: ReadPrices>(
    inventory: &mut Inventory,
    (metrics, prices): (&M, &P),
    now: Timestamp,
) {
    let wanted: BTreeSet<Priced> = inventory.clusters.iter().flat_map(|cluster| priced(&cluster.found)).collect();
    let read = stream::iter(wanted).map(|of| async move {
        let price = seen(prices.price(&of).await);
        (of, price)
    });
    let listed: BTreeMap<Priced, Seen<f64>> = read.buffered(AT_ONCE).collect().await;
    let read = stream::iter(&inventory.clusters).map(|cluster| measurements_of(metrics, cluster, now));
    let measured: Vec<Seen<Measured>> = read.buffered(AT_ONCE).collect().await;

    let mut unseen = Notes::default();
    for (of, price) in &listed {
        unseen.add("the list price of", thing(of), price);
    }
    for (cluster, measured) in inventory.clusters.iter_mut().zip(measured) {
        unseen.add("the measurements of", cluster.cluster.clone(), &measured);
        let prices = of_cluster(&cluster.found, &listed);
        cluster.metered = Some(Metered::of(&cluster.found, &prices, measured.found().copied()));
    }
    inventory.unseen.extend(unseen.into_sentences());
}

async fn measurements_of<M: ReadMetrics>(metrics: &M, cluster: &RecoveryCluster, now: Timestamp) -> Seen<Measured> {
    let instances: Vec<String> = cluster.found.instances.iter().map(|instance| instance.name.clone()).collect();
    seen(metrics.measured(&cluster.cluster, &instances, now).await)
}

/// Lists all that a cluster is billed for.
fn priced(found: &FoundCluster) -> Vec<Priced> {
    let Some(engine) = found.engine else { return Vec::new() };
    let classes = found.classes().into_keys().map(billed);
    let of = |billed| Priced { engine, io_optimized: found.io_optimized, billed };
    classes.chain([Billed::Storage]).map(of).collect()
}

fn billed(class: &str) -> Billed {
    if class == SERVERLESS { Billed::CapacityUnit } else { Billed::Instance(class.to_owned()) }
}

/// Chooses the prices of one cluster among all that were read.
fn of_cluster(found: &FoundCluster, listed: &BTreeMap<Priced, Seen<f64>>) -> Prices {
    let mut prices = Prices::default();
    for of in priced(found) {
        let Some(price) = listed.get(&of).and_then(Seen::found).copied() else { continue };
        match of.billed {
            Billed::Instance(class) => {
                prices.hour.insert(class, price);
            }
            Billed::CapacityUnit => {
                prices.hour.insert(SERVERLESS.to_owned(), price);
            }
            Billed::Storage => prices.storage = Some(price),
        }
    }
    prices
}

/// Names what is priced.
fn thing(of: &Priced) -> String {
    let what = match &of.billed {
        Billed::Instance(class) => class.as_str(),
        Billed::CapacityUnit => SERVERLESS,
        Billed::Storage => "storage",
    };
    let optimized = if of.io_optimized { ", I/O-Optimized" } else { "" };
    format!("{what} ({}{optimized})", of.engine)
}

/// Facts that could not be seen, by their kind and the reason: a permission that is missing hides them all, and is told once.
#[derive(Debug, Default)]
struct Notes(BTreeMap<(&'static str, String), Vec<String>>);

impl Notes {
    fn add<T>(&mut self, kind: &'static str, what: String, fact: &Seen<T>) {
        if let Some(why) = fact.unseen() {
            self.0.entry((kind, why.to_owned())).or_default().push(what);
        }
    }

    fn into_sentences(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|((kind, why), what)| format!("{kind} {}: {why}", what.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::AwsResult;
    use rewind_aws::fixtures::time;
    use rewind_core::{AsOf, ClusterUse, Engine, ErrorName, FencesSeen, FoundInstance, StepError};
    use std::sync::Mutex;

    const NOW: &str = "2026-11-23T10:50:00Z";

    /// Prices and measurements in memory; none of either where AWS refuses.
    #[derive(Default)]
    struct Meters {
        prices: BTreeMap<String, f64>,
        measured: Option<Measured>,
        asked: Mutex<Vec<String>>,
    }

    fn refused<T>(action: &str) -> AwsResult<T> {
        Err(StepError::new(ErrorName::RewindFailed, format!("{action}: AWS answered AccessDeniedException: no")))
    }

    impl ReadPrices for Meters {
        async fn price(&self, of: &Priced) -> AwsResult<f64> {
            self.asked.lock().unwrap().push(thing(of));
            self.prices.get(&thing(of)).copied().map_or_else(|| refused("pricing:GetProducts"), Ok)
        }
    }

    impl ReadMetrics for Meters {
        async fn measured(&self, cluster: &str, instances: &[String], now: Timestamp) -> AwsResult<Measured> {
            assert_eq!((instances, now), (&[format!("{cluster}-1"), format!("{cluster}-2")][..], time(NOW)));
            self.measured.map_or_else(|| refused("cloudwatch:GetMetricData"), Ok)
        }
    }

    fn inventory(names: &[&str], class: &str) -> Inventory {
        let usage = ClusterUse {
            recovery: Seen::Found(None),
            runs: Seen::Found(false),
            fences: Seen::Found(FencesSeen { source: false, restored: false, source_lifted_at: None }),
            leases: Vec::new(),
            records: Vec::new(),
        };
        let found = |name: &&str| FoundCluster {
            name: (*name).into(),
            status: "available".into(),
            engine: Some(Engine::AuroraPostgresql),
            recovery: Some("operation-001".into()),
            instances: ["1", "2"]
                .map(|n| FoundInstance { name: format!("{name}-{n}"), class: class.into(), writer: n == "1" })
                .into(),
            ..FoundCluster::default()
        };
        let as_of = AsOf { now: time(NOW), hourly: None };
        let clusters = names.iter().filter_map(|name| RecoveryCluster::of(&found(name), &usage, as_of)).collect();
        Inventory { clusters, ..Inventory::default() }
    }

    fn large() -> BTreeMap<String, f64> {
        let prices = [("db.r6g.large", 0.26), ("storage", 0.1)];
        prices.map(|(what, usd)| (format!("{what} (aurora-postgresql)"), usd)).into()
    }

    fn metered(inventory: &Inventory) -> Vec<Metered> {
        inventory.clusters.iter().filter_map(|cluster| cluster.metered.clone()).collect()
    }

    #[tokio::test]
    async fn each_price_is_asked_for_once_however_many_clusters_have_it() {
        let mut found = inventory(&["orders", "orders-r", "payments-r"], "db.r6g.large");
        let measured = Measured {
            connections_now: Some(0),
            connections_in_a_day: Some(2),
            stored: Some(0.0),
            ..Measured::default()
        };
        let meters = Meters { prices: large(), measured: Some(measured), ..Meters::default() };
        meter_clusters(&mut found, (&meters, &meters), time(NOW)).await;
        assert_eq!(*meters.asked.lock().unwrap(), ["db.r6g.large (aurora-postgresql)", "storage (aurora-postgresql)"]);
        let metered = metered(&found);
        assert_eq!(metered.len(), 3);
        for one in metered {
            assert_eq!((one.usd_a_day, one.is_whole), (Some(12.48), true), "{}", one.cost);
            assert_eq!(one.connected, "0 now, 2 at most in the last 24 hours");
        }
        assert_eq!(found.unseen, [""; 0]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_once_and_hides_nothing_else() {
        let mut found = inventory(&["orders", "orders-r"], "db.r6g.large");
        let meters = Meters { prices: large(), ..Meters::default() };
        meter_clusters(&mut found, (&meters, &meters), time(NOW)).await;
        let why = "cloudwatch:GetMetricData: AWS answered AccessDeniedException: no";
        assert!(
            found.unseen[0].starts_with(&format!("the measurements of orders, orders-r: {why}")),
            "{:?}",
            found.unseen
        );
        assert_eq!(found.unseen.len(), 1);
        for one in metered(&found) {
            assert_eq!((one.usd_a_day, one.is_whole, one.connections), (Some(12.48), false, None), "{}", one.cost);
        }
        let mut dark = inventory(&["orders"], SERVERLESS);
        let meters = Meters::default();
        meter_clusters(&mut dark, (&meters, &meters), time(NOW)).await;
        let prices =
            "the list price of db.serverless (aurora-postgresql), storage (aurora-postgresql): pricing:GetProducts";
        assert!(dark.unseen[0].starts_with(prices) && dark.unseen.len() == 2, "{:?}", dark.unseen);
        assert_eq!(metered(&dark)[0].usd_a_day, None);
    }
}
