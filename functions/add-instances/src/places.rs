//! Decides where an instance is tried that AWS refuses: in which zone, and as a last resort of which class. It makes no call.

use rewind_aws::rds::{Cluster, Instance, RefusedFor};

/// The class of Serverless v2, which a cluster with a capacity range can have beside any other.
const SERVERLESS: &str = "db.serverless";

/// The models of one instance, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Places {
    left: std::vec::IntoIter<Instance>,
}

impl Places {
    /// The zones for a reader: its model's own, the others of the subnet group, and then the choice of AWS. Its class is
    /// the planned one, because a smaller reader would fail under the load that it is for.
    pub(crate) fn of_reader(like: &Instance) -> Self {
        Self::new(like, std::slice::from_ref(&like.class))
    }

    /// The zones for the writer, of its class and then of every class that the cluster is known to take.
    pub(crate) fn of_writer(like: &Instance, restored: &Cluster, source: &[Instance]) -> Self {
        let mut others: Vec<&Instance> = source.iter().collect();
        // The reader that would take over first is the one that is fit to write.
        others.sort_by_key(|instance| (instance.promotion_tier, instance.name.clone()));
        let mut classes = vec![like.class.clone()];
        classes.extend(others.into_iter().map(|instance| instance.class.clone()));
        classes.extend(restored.serverless_v2.map(|_| SERVERLESS.to_owned()));
        let mut distinct: Vec<String> = Vec::new();
        for class in classes {
            if !distinct.contains(&class) {
                distinct.push(class);
            }
        }
        Self::new(like, &distinct)
    }

    fn new(like: &Instance, classes: &[String]) -> Self {
        let own = like.availability_zone.iter();
        let others = like.zones.iter().filter(|zone| Some(*zone) != like.availability_zone.as_ref());
        // Without a zone AWS chooses one, which may be one that the subnet group has and an earlier answer did not show.
        let zones: Vec<Option<String>> = own.chain(others).cloned().map(Some).chain([None]).collect();
        let places = classes.iter().flat_map(|class| {
            zones.iter().map(|zone| Instance { class: class.clone(), availability_zone: zone.clone(), ..like.clone() })
        });
        Self { left: places.collect::<Vec<_>>().into_iter() }
    }

    /// The next place.
    pub(crate) fn next(&mut self) -> Option<Instance> {
        self.left.next()
    }

    /// The next place after `refused` was refused; none where no other place would be taken either.
    pub(crate) fn after(&mut self, refused: &Instance, why: RefusedFor) -> Option<Instance> {
        match why {
            RefusedFor::Capacity | RefusedFor::Zone => self.left.next(),
            // A class that is not offered is offered in no zone.
            RefusedFor::Class => self.left.find(|place| place.class != refused.class),
            RefusedFor::Quota | RefusedFor::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::rds::ServerlessV2;
    use rewind_core::Engine;

    fn like() -> Instance {
        Instance {
            class: "db.r6g.xlarge".to_owned(),
            availability_zone: Some("b".to_owned()),
            zones: ["a", "b", "c"].map(ToOwned::to_owned).to_vec(),
            ..Instance::default()
        }
    }

    /// Class and zone of all places, each refused for `why`.
    fn tried(mut places: Places, why: RefusedFor) -> Vec<(String, String)> {
        let mut tried = Vec::new();
        let mut place = places.next();
        while let Some(refused) = place {
            tried.push((refused.class.clone(), refused.availability_zone.clone().unwrap_or_default()));
            place = places.after(&refused, why);
        }
        tried
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(class, zone)| ((*class).to_owned(), (*zone).to_owned())).collect()
    }

    #[test]
    fn an_instance_is_tried_in_its_zone_then_in_the_others_and_then_without() {
        let expected = ["b", "a", "c", ""].map(|zone| ("db.r6g.xlarge", zone));
        for why in [RefusedFor::Capacity, RefusedFor::Zone] {
            assert_eq!(tried(Places::of_reader(&like()), why), pairs(&expected), "{why:?}");
        }
    }

    #[test]
    fn a_writer_is_then_tried_with_the_classes_that_the_cluster_is_known_to_take() {
        let reader =
            |class: &str, tier| Instance { class: class.to_owned(), promotion_tier: tier, ..Instance::default() };
        let source = [reader("db.t4g.medium", 15), reader("db.r6g.xlarge", 0), reader("db.r6g.2xlarge", 1)];
        let range = ServerlessV2 { min: Some(0.5), max: Some(4.0), seconds_until_auto_pause: None };
        let restored = Cluster { serverless_v2: Some(range), ..Cluster::bare(Engine::AuroraPostgresql) };
        let classes = ["db.r6g.xlarge", "db.r6g.2xlarge", "db.t4g.medium", "db.serverless"];
        let everywhere: Vec<(&str, &str)> =
            classes.iter().flat_map(|class| ["b", "a", "c", ""].map(|zone| (*class, zone))).collect();
        let places = || Places::of_writer(&like(), &restored, &source);
        assert_eq!(tried(places(), RefusedFor::Capacity), pairs(&everywhere));
        // No other zone has a class that is not offered.
        assert_eq!(tried(places(), RefusedFor::Class), pairs(&classes.map(|class| (class, "b"))));
    }

    #[test]
    fn a_quota_is_the_same_in_every_place() {
        for why in [RefusedFor::Quota, RefusedFor::Other] {
            assert_eq!(tried(Places::of_reader(&like()), why).len(), 1, "{why:?}");
        }
    }
}
