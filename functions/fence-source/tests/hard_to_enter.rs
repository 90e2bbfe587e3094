//! The fence as a whole step where getting in is hard, on real MariaDB and PostgreSQL: no free connection, readers that forward writes, a secret that
//! changed, and a record of an earlier version.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use fence_source::{FenceSource, FencedSide, Input, Output};
use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fence_records::FenceRecords;
use rewind_aws::fence_records::fake::FakeFenceRecords;
use rewind_aws::fixtures::{ManualClock, STARTED, mysql_source, plan, recovery, restored, source};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::rds::{Cluster, Instance, Member};
use rewind_aws::secrets::{Login, Logins};
use rewind_core::{ErrorName, Plan, Restored, StepError, timeouts};
use rewind_db::{Credential, Network, Session, Settings, server_identity};
use rewind_lambda::Step;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use support::mariadb::{APP_PASSWORD, MASTER_PASSWORD, MariaDb};
use support::{Postgres, credential, network};

const OWN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-own";

/// Secrets with a password each; any other holds the master user's.
#[derive(Clone, Default)]
struct Secrets(BTreeMap<String, AwsResult<&'static str>>);

impl Logins for Secrets {
    async fn logins(&self, arn: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        let password = self.0.get(arn).cloned().unwrap_or(Ok(MASTER_PASSWORD))?;
        Ok(vec![Login { user: None, password: password.to_owned(), version: "AWSCURRENT".to_owned() }])
    }
}

/// A cluster `orders` on a server of its own, with a reader at each of the addresses that are given.
struct World<S> {
    server: S,
    rds: FakeRds,
    secrets: Secrets,
    records: FakeFenceRecords,
}

impl World<MariaDb> {
    fn of(server: MariaDb, readers: &[&str]) -> Self {
        let member = |name: String, writer| Member { instance: name, writer };
        let name = |reader: usize| format!("orders-{}", reader + 2);
        let cluster = Cluster {
            endpoint: Some(server.address.to_string()),
            port: Some(i32::from(server.port)),
            members: [member("orders-1".to_owned(), true)]
                .into_iter()
                .chain((0..readers.len().max(1)).map(|reader| member(name(reader), false)))
                .collect(),
            ..mysql_source()
        };
        let instances = readers.iter().enumerate().map(|(reader, address)| {
            let endpoint = Some((*address).to_owned());
            ("orders".to_owned(), Instance { name: name(reader), endpoint, ..Instance::default() })
        });
        let rds = FakeRds::with(vec![cluster], instances.collect());
        Self { server, rds, secrets: Secrets::default(), records: FakeFenceRecords::default() }
    }
}

impl World<Postgres> {
    /// With all slots taken that clients can take, and what takes them: the last ones by clients that log in as the master user.
    /// Those that are left are the superuser's, whom RDS gives nobody.
    async fn without_a_free_slot() -> (Self, Vec<Session>) {
        let settings = ["max_connections=12", "superuser_reserved_connections=3"];
        let server = Postgres::start_with(&settings, None).with_application();
        let mut held = Vec::new();
        while let Ok(session) = network().connect(&server.target(), &slot_holder(held.len()), "shop").await {
            held.push(session);
        }
        assert_eq!(held.len(), 12 - 3);
        let cluster = Cluster {
            endpoint: Some(server.address.to_string()),
            port: Some(i32::from(server.port)),
            members: Vec::new(),
            ..source()
        };
        let rds = FakeRds::with(vec![cluster], Vec::new());
        (Self { server, rds, secrets: Secrets::default(), records: FakeFenceRecords::default() }, held)
    }
}

impl<S> World<S> {
    fn step(&self) -> FenceSource<FakeRds, Secrets, FakeFenceRecords, ManualClock> {
        let network = Network::new(Settings::default()).unwrap();
        FenceSource {
            access: Access { clusters: self.rds.clone(), secrets: self.secrets.clone(), network },
            records: self.records.clone(),
            clock: ManualClock::at(STARTED),
            fence_groups: vec!["sg-fence".to_owned()],
        }
    }

    async fn fence(&self, fence: FencedSide) -> Result<Output, StepError> {
        self.step().run(input(fence)).await
    }

    fn groups(&self) -> Vec<String> {
        self.rds.find("orders").unwrap().security_groups
    }
}

fn input(fence: FencedSide) -> Input {
    let restored = Restored { cluster: "orders".to_owned(), ..restored() };
    // One server is both clusters here.
    let new_cluster = if fence == FencedSide::Restored { "orders" } else { "orders-r" }.to_owned();
    let plan = Plan { new_cluster, ..plan() };
    Input { recovery: recovery(), plan, fence, restored: Some(restored), writes: None, holder: None, approval: None }
}

/// The user of the n-th client.
fn slot_holder(n: usize) -> Credential {
    if n < 6 { credential("app", APP_PASSWORD, "") } else { support::master() }
}

/// One of them ends by itself, when the network keeps others from taking its connection: then the fence ends all others.
async fn one_ends_once_the_network_is_closed(rds: &FakeRds, mut held: Vec<Session>) -> Vec<Session> {
    let mut polls = 0;
    while rds.find("orders").unwrap().security_groups != ["sg-fence"] {
        polls += 1;
        assert!(polls < 10_000, "the network is not closed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(held.pop());
    held
}

async fn app(server: &MariaDb) -> Option<Session> {
    network().connect(&server.target(), &credential("app", APP_PASSWORD, ""), "shop").await.ok()
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_closed_by_its_network_and_entered_when_one_comes_free() {
    let server = MariaDb::start_with(&["--max-connections=10"], None).with_application();
    let mut held = Vec::new();
    while let Some(session) = app(&server).await {
        held.push(session);
    }
    assert!(held.len() >= 9, "{}", held.len());
    let world = World::of(server, &[]);
    let holders = one_ends_once_the_network_is_closed(&world.rds, held);
    let (output, held) = tokio::join!(world.fence(FencedSide::Source), holders);
    let output = output.unwrap();
    assert_eq!(output.sessions_ended, held.len() as u64);
    assert!(server_identity(&held[0]).await.is_err());
    let recorded = world.records.get("fence").unwrap();
    assert_eq!(recorded["securityGroups"], json!(mysql_source().security_groups), "how it was before");
    world.step().undo(input(FencedSide::Source)).await.unwrap();
    assert_eq!(world.groups(), mysql_source().security_groups);
    assert!(app(&world.server).await.is_some());
}

#[tokio::test]
async fn a_server_on_which_no_connection_comes_free_is_an_error_and_its_network_is_opened_by_the_undo() {
    let server = MariaDb::start_with(&["--max-connections=10"], None).with_application();
    let mut held = Vec::new();
    while let Some(session) = app(&server).await {
        held.push(session);
    }
    let world = World::of(server, &[]);
    let error = world.fence(FencedSide::Source).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains("no connection of orders came free"), "{error}");
    assert_eq!(world.groups(), ["sg-fence"]);
    world.step().undo(input(FencedSide::Source)).await.unwrap();
    assert_eq!(world.groups(), mysql_source().security_groups);
}

#[tokio::test]
async fn a_postgresql_without_a_free_slot_is_closed_by_its_network_and_entered_when_one_comes_free() {
    let (world, held) = World::without_a_free_slot().await;
    let before = world.server.accounts();
    let holders = one_ends_once_the_network_is_closed(&world.rds, held);
    let (output, held) = tokio::join!(world.fence(FencedSide::Source), holders);
    let output = output.unwrap();
    assert_eq!(output.sessions_ended, held.len() as u64);
    for session in &held {
        assert!(server_identity(session).await.is_err());
    }
    // Recorded before there was a login: how the network was, and then how the logins were.
    assert_eq!(world.records.get("fence").unwrap()["securityGroups"], json!(source().security_groups));
    let limits = "SELECT datname FROM pg_database WHERE datconnlimit <> 0 AND datname NOT IN ('template1', 'rdsadmin') \
                  AND datallowconn";
    assert_eq!(world.server.sql("template1", limits), "", "databases that still take connections");
    world.step().undo(input(FencedSide::Source)).await.unwrap();
    assert_eq!((world.groups(), world.server.accounts()), (source().security_groups, before));
}

#[tokio::test]
async fn a_postgresql_on_which_no_slot_comes_free_is_an_error_and_the_undo_puts_everything_back() {
    let (world, held) = World::without_a_free_slot().await;
    let before = world.server.accounts();
    let error = world.fence(FencedSide::Source).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains("no connection of orders came free"), "{error}");
    assert_eq!(world.groups(), ["sg-fence"]);
    // Nothing inside was touched.
    for session in &held {
        server_identity(session).await.unwrap();
    }
    world.step().undo(input(FencedSide::Source)).await.unwrap();
    assert_eq!((world.groups(), world.server.accounts()), (source().security_groups, before));
}

#[tokio::test]
async fn readers_that_forward_writes_are_emptied_before_the_writer_and_a_failure_of_theirs_is_the_fences() {
    let server = MariaDb::start().with_application();
    // The same port on another address, where nobody answers.
    let mut world = World::of(server, &["127.0.0.99"]);
    world.rds.edit("orders", |cluster| cluster.write_forwarding = Some("enabled".to_owned()));
    let session = app(&world.server).await.unwrap();
    let error = world.fence(FencedSide::Source).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(
        error.to_string().contains("its readers forward writes") && error.to_string().contains("orders-2"),
        "{error}"
    );
    server_identity(&session).await.expect("the writer's sessions end after those on the readers");
    assert!(app(&world.server).await.is_none(), "the logins are closed before");
    world.step().undo(input(FencedSide::Source)).await.unwrap();
    assert!(app(&world.server).await.is_some());

    // Without it a reader can write nothing, and is told of. In another recovery: each fences its source once.
    world.records = FakeFenceRecords::default();
    world.rds.edit("orders", |cluster| cluster.write_forwarding = None);
    let output = world.fence(FencedSide::Source).await.unwrap();
    assert!(
        output.layers.iter().any(|layer| layer.did.contains("the reader orders-2 may still have some")),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifteen_readers_are_emptied_side_by_side() {
    let server = MariaDb::start_with(&["--max-connections=700"], None).with_application();
    let mut held = Vec::new();
    for _ in 0..500 {
        held.push(app(&server).await.unwrap());
    }
    // One answers, and fourteen accept connections and never speak.
    let silent = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 98), server.port)).unwrap();
    let address = server.address.to_string();
    let mut readers = vec!["127.0.0.98"; 14];
    readers.push(&address);
    let world = World::of(server, &readers);
    let began = Instant::now();
    let output = world.fence(FencedSide::Source).await.unwrap();
    let took = began.elapsed();
    drop(silent);
    println!("500 sessions and 15 readers: {took:?}, {} sessions ended", output.sessions_ended);
    assert!(output.sessions_ended >= 500, "{}", output.sessions_ended);
    let readers = output.layers.iter().find(|layer| layer.did.contains("reader")).unwrap();
    assert_eq!(readers.did.matches("may still have some").count(), 14, "{readers:?}");
    // One after the other, those that do not speak would take fourteen times as long as one may.
    assert!(took < 2 * timeouts::FENCE_READER, "{took:?}");
}

#[tokio::test]
async fn a_restored_cluster_is_entered_with_its_own_managed_secret_and_with_the_plans_where_that_cannot_be_read() {
    let mut world = World::of(MariaDb::start().with_application(), &[]);
    world.rds.edit("orders", |cluster| cluster.master_secret = Some(OWN.to_owned()));
    // Somebody turned on the managed password after the recovery: the password of the source's secret is over.
    world.secrets.0.insert(plan().secret_arn, Ok("over"));
    world.fence(FencedSide::Restored).await.unwrap();
    world.step().undo(input(FencedSide::Restored)).await.unwrap();
    assert!(app(&world.server).await.is_some());

    world.secrets.0 = BTreeMap::from([(OWN.to_owned(), Err(StepError::new(ErrorName::RewindFailed, "denied")))]);
    world.fence(FencedSide::Restored).await.unwrap();
    // For now is not for ever: the plan's login may be over, and a refused login would be final.
    let throttled = StepError::new(ErrorName::Throttled, "slow down");
    world.secrets.0 = BTreeMap::from([(OWN.to_owned(), Err(throttled)), (plan().secret_arn, Ok("over"))]);
    let error = world.fence(FencedSide::Restored).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Throttled);
}

#[tokio::test]
async fn the_undo_lifts_a_fence_that_an_earlier_version_recorded() {
    let world = World::of(MariaDb::start().with_application(), &[]);
    world.fence(FencedSide::Source).await.unwrap();
    let earlier = json!({
        "securityGroups": mysql_source().security_groups,
        "logins": { "accounts": [{ "user": "app", "host": "%" }] }
    });
    world.records.replace_fence_record("", "fence", &earlier).await.unwrap();
    assert!(app(&world.server).await.is_none());
    world.step().undo(input(FencedSide::Source)).await.unwrap();
    assert!(app(&world.server).await.is_some());
}
