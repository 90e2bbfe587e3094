//! The fence around an Aurora MySQL writer as a whole step, on real MariaDB: in place, and beside a new cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use fence_source::{FenceSource, FencedSide, Input, Output};
use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fence_records::fake::FakeFenceRecords;
use rewind_aws::fixtures::{ManualClock, STARTED, in_place_plan, mysql_source, recovery};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::{Login, Logins};
use rewind_core::{ErrorName, Plan, StepError, Strategy};
use rewind_db::{Network, Session, Settings};
use rewind_lambda::Step;
use std::sync::{Arc, Mutex};
use support::mariadb::{APP_PASSWORD, MASTER_PASSWORD, MariaDb, master};
use support::{credential, network};

/// The secret, which counts how often it is read.
#[derive(Clone, Default)]
struct Secret(Arc<Mutex<u32>>);

impl Logins for Secret {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        *self.0.lock().unwrap() += 1;
        Ok(vec![Login { user: None, password: MASTER_PASSWORD.to_owned(), version: "AWSCURRENT".to_owned() }])
    }
}

/// A cluster `orders` on a server of its own, and the step with what it keeps.
struct World {
    server: MariaDb,
    rds: FakeRds,
    secret: Secret,
    records: FakeFenceRecords,
}

impl World {
    fn new() -> Self {
        let server = MariaDb::start().with_application();
        let cluster = Cluster {
            endpoint: Some(server.address.to_string()),
            port: Some(i32::from(server.port)),
            ..mysql_source()
        };
        let rds = FakeRds::with(vec![cluster], Vec::new());
        Self { server, rds, secret: Secret::default(), records: FakeFenceRecords::default() }
    }

    fn step(&self, groups: &[&str]) -> FenceSource<FakeRds, Secret, FakeFenceRecords, ManualClock> {
        let network = Network::new(Settings::default()).unwrap();
        FenceSource {
            access: Access { clusters: self.rds.clone(), secrets: self.secret.clone(), network },
            records: self.records.clone(),
            clock: ManualClock::at(STARTED),
            fence_groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    async fn fence(&self, strategy: Strategy, groups: &[&str]) -> Result<Output, StepError> {
        self.step(groups).run(input(strategy)).await
    }

    fn groups(&self) -> Vec<String> {
        self.rds.find("orders").unwrap().security_groups
    }

    async fn app(&self) -> Option<Session> {
        network().connect(&self.server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.ok()
    }
}

fn input(strategy: Strategy) -> Input {
    let plan = Plan { strategy, ..in_place_plan() };
    Input { recovery: recovery(), plan, fence: FencedSide::Source, restored: None, writes: None, holder: None }
}

fn layers(output: &Output) -> Vec<String> {
    output.layers.iter().map(|layer| format!("{}: {}", layer.layer, layer.did)).collect()
}

#[tokio::test]
async fn in_place_the_network_is_closed_and_sessions_end_and_no_login_is_touched() {
    let world = World::new();
    let before = world.server.accounts();
    let app = world.app().await.unwrap();
    let output = world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap();
    assert_eq!(output.sessions_ended, 1);
    assert!(rewind_db::server_identity(&app).await.is_err());
    assert_eq!(world.groups(), ["sg-fence"]);
    assert_eq!(world.server.accounts(), before);
    let layers = layers(&output);
    assert!(layers.iter().all(|layer| !layer.starts_with("login")), "{layers:?}");
    assert!(layers.iter().any(|layer| layer.starts_with("proof") && layer.contains("in force")), "{layers:?}");

    // A repetition records nothing new: what the cluster has now is the fence.
    world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap();
    let logins = *world.secret.0.lock().unwrap();
    assert!(world.step(&["sg-fence"]).undo(input(Strategy::Backtrack)).await.unwrap().changed);
    assert_eq!(world.groups(), mysql_source().security_groups);
    assert_eq!(*world.secret.0.lock().unwrap(), logins, "the undo logged in with nothing to lift");
}

#[tokio::test]
async fn in_place_nothing_is_fenced_while_something_writes_without_a_session() {
    let world = World::new();
    let event = "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 HOUR DO INSERT INTO orders (word) VALUES ('tick')";
    world.server.sql("", &format!("SET GLOBAL event_scheduler = ON; {event}"));
    let before = world.groups();
    let error = world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    for message in ["switched off today or not: shop.tick", "nothing was fenced", "event_scheduler"] {
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    assert_eq!(world.groups(), before);
    // That would be rewound too, and the event would run on the rewound data.
    world.server.sql("", "ALTER EVENT shop.tick DISABLE");
    world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap_err();
    world.server.sql("", "SET GLOBAL event_scheduler = OFF");
    world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap();
}

#[tokio::test]
async fn beside_a_new_cluster_accounts_are_locked_and_the_undo_unlocks_them() {
    let world = World::new();
    let before = world.server.accounts();
    let app = world.app().await.unwrap();
    let output = world.fence(Strategy::Restore, &[]).await.unwrap();
    assert!(rewind_db::server_identity(&app).await.is_err() && world.app().await.is_none());
    let layers = layers(&output).join("\n");
    assert!(
        layers.contains("login: ACCOUNT LOCK for app@%") && layers.contains("read again as locked: app@%"),
        "{layers}"
    );
    assert!(!layers.contains("connection limit") && !layers.contains("network"), "{layers}");
    world.fence(Strategy::Restore, &[]).await.unwrap();
    let undone = world.step(&[]).undo(input(Strategy::Restore)).await.unwrap();
    assert_eq!(undone.what, ["app@% may log in again"]);
    assert_eq!(world.server.accounts(), before);
    assert!(world.app().await.is_some());
}

#[tokio::test]
async fn a_master_user_that_others_use_needs_the_network_layer() {
    let world = World::new();
    let _other = network().connect(&world.server.target(), &master(), "shop").await.unwrap();
    let error = world.fence(Strategy::Restore, &[]).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("these accounts can still log in: admin (the master user"), "{error}");

    let _other = network().connect(&world.server.target(), &master(), "shop").await.unwrap();
    let output = world.fence(Strategy::Restore, &["sg-fence"]).await.unwrap();
    let layers = layers(&output).join("\n");
    assert!(layers.contains("admin closed by the network alone"), "{layers}");
}

/// The master user is never locked, and the Data API passes the security groups: whether a session of it is there right now says
/// nothing of the next call.
#[tokio::test]
async fn with_the_data_api_on_nothing_is_fenced_because_the_master_user_gets_in_past_the_network() {
    let world = World::new();
    world.rds.edit("orders", |cluster| cluster.data_api = true);
    let before = (world.server.accounts(), world.groups());
    for strategy in [Strategy::Restore, Strategy::Backtrack] {
        let error = world.fence(strategy, &["sg-fence"]).await.unwrap_err();
        assert_eq!(error.name, ErrorName::RewindFailed);
        for message in ["its Data API is on", "nothing was fenced", "disable-http-endpoint --resource-arn arn:aws:rds"]
        {
            assert!(error.to_string().contains(message), "{error}\nlacks {message}");
        }
    }
    assert_eq!((world.server.accounts(), world.groups()), before);
}

#[tokio::test]
async fn a_fence_in_place_that_somebody_opened_or_got_into_does_not_count() {
    let world = World::new();
    let writes = world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap().writes;
    let inspect = || async {
        let input = Input { fence: FencedSide::Inspect, writes: writes.clone(), ..input(Strategy::Backtrack) };
        world.step(&["sg-fence"]).run(input).await
    };
    let layers = layers(&inspect().await.unwrap());
    let proof = "proof: only sg-fence admitted, nobody is connected, and nothing was written since the fence";
    assert_eq!(layers, [proof]);
    // Whoever is connected may have written since the safety clone was taken.
    let app = world.app().await.unwrap();
    let error = inspect().await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(error.to_string().contains("1 sessions are there: app in shop"), "{error}");
    app.close().await;
    let changes = world.rds.changes();
    type Edit = fn(&mut Cluster);
    let edits: [(Edit, ErrorName, &str); 4] = [
        (
            |cluster| cluster.security_groups.push("sg-app".to_owned()),
            ErrorName::RewindFailed,
            "its security groups are sg-fence, sg-app, and may only be sg-fence",
        ),
        (|cluster| cluster.data_api = true, ErrorName::RewindFailed, "its Data API is on"),
        (|cluster| cluster.write_forwarding = Some("enabled".to_owned()), ErrorName::RewindFailed, "write forwarding"),
        (|cluster| cluster.security_groups_changing = true, ErrorName::ClusterNotReady, "as soon as it is available"),
    ];
    let fenced = world.rds.find("orders").unwrap();
    for (edit, name, message) in edits {
        world.rds.edit("orders", edit);
        let error = inspect().await.unwrap_err();
        assert_eq!(error.name, name);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
        world.rds.edit("orders", |cluster| *cluster = fenced.clone());
    }
    no_session(&world).await;
    inspect().await.unwrap();
    assert_eq!(world.rds.changes(), changes, "an inspection changed something");
}

/// Waits until the server has ended the sessions that were just closed. The step waits for them too, by a clock that a test does not wait for.
async fn no_session(world: &World) {
    let others = "SELECT count(*) FROM information_schema.processlist WHERE user IN ('admin', 'app')";
    while world.server.sql("", others) != "0" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Somebody opens the fence for a minute, writes, and closes it again: the groups are the fence's, and nobody is there.
#[tokio::test]
async fn a_write_between_fence_and_inspection_is_found_although_the_fence_is_closed_again() {
    let inspect = async |world: &World, writes| {
        let input = Input { fence: FencedSide::Inspect, writes, ..input(Strategy::Backtrack) };
        world.step(&["sg-fence"]).run(input).await
    };
    let world = World::new();
    let writes = world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap().writes;
    // Read and never written to, and as often as it takes.
    world.app().await.unwrap().close().await;
    no_session(&world).await;
    inspect(&world, writes.clone()).await.unwrap();
    inspect(&world, writes.clone()).await.unwrap();
    // Fenced a second time by a run that is repeated: nothing that the recovery does is a write.
    let again = world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap().writes;
    assert_eq!(again, writes);
    world.server.sql("shop", "INSERT INTO orders (word) VALUES ('through the gap')");
    let error = inspect(&world, writes).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    for text in
        ["the fence of orders does not hold: clients may have written since it closed", "nothing was backtracked"]
    {
        assert!(error.to_string().contains(text), "{error}\nlacks {text}");
    }
    let error = inspect(&world, None).await.unwrap_err();
    assert!(error.to_string().contains("its writes were not counted when it closed"), "{error}");
}

#[tokio::test]
async fn in_place_nothing_is_rewound_under_a_transaction_that_can_be_committed_later() {
    let world = World::new();
    let prepare = "XA START 'late'; INSERT INTO orders (word) VALUES ('prepared'); XA END 'late'; XA PREPARE 'late'";
    world.server.sql("shop", prepare);
    let error = world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap_err();
    assert_eq!(error.name, ErrorName::RewindFailed);
    assert!(
        error.to_string().contains("XA RECOVER") && error.to_string().contains("nothing was backtracked"),
        "{error}"
    );
    world.step(&["sg-fence"]).undo(input(Strategy::Backtrack)).await.unwrap();
    assert_eq!(world.groups(), mysql_source().security_groups);
    world.server.sql("", "XA ROLLBACK 'late'");
    // In another recovery: each fences its source once.
    let world = World { records: FakeFenceRecords::default(), ..world };
    assert!(world.fence(Strategy::Backtrack, &["sg-fence"]).await.unwrap().writes.is_some());
}
