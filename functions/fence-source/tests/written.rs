//! The fence finds out if clients wrote to the restored cluster, on real PostgreSQL and MariaDB: its own changes are no write, and
//! every other one is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use fence_source::{FenceSource, FencedSide, Input, Output};
use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fence_records::fake::FakeFenceRecords;
use rewind_aws::fixtures::{ManualClock, STARTED, mysql_source, plan, recovery, restored, source};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::{Login, Logins};
use rewind_db::{Network, Settings, WritePosition};
use rewind_lambda::Step;
use support::mariadb::MariaDb;
use support::{APP_PASSWORD, Postgres, credential, network};

struct Secret(&'static str);

impl Logins for Secret {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Ok(vec![Login { user: None, password: self.0.to_owned(), version: "AWSCURRENT".to_owned() }])
    }
}

/// A server for the source and another one for the restored cluster.
struct World<'a> {
    rds: FakeRds,
    password: &'static str,
    records: FakeFenceRecords,
    /// Runs a statement on the restored cluster as a client that comes and goes.
    write: Box<dyn Fn(&str) + 'a>,
}

impl<'a> World<'a> {
    /// A client of the restored cluster writes in `database`.
    fn of_postgresql(old: &Postgres, new: &'a Postgres, database: &'a str) -> Self {
        let clusters = vec![
            cluster(source(), "orders", &old.address.to_string(), old.port),
            cluster(source(), "orders-r", &new.address.to_string(), new.port),
        ];
        Self::of(clusters, "master-password", move |sql| drop(new.sql(database, sql)))
    }

    fn of_mysql(old: &MariaDb, new: &'a MariaDb) -> Self {
        let clusters = vec![
            cluster(mysql_source(), "orders", &old.address.to_string(), old.port),
            cluster(mysql_source(), "orders-r", &new.address.to_string(), new.port),
        ];
        Self::of(clusters, support::mariadb::MASTER_PASSWORD, |sql| drop(new.sql("shop", sql)))
    }

    fn of(clusters: Vec<Cluster>, password: &'static str, write: impl Fn(&str) + 'a) -> Self {
        let rds = FakeRds::with(clusters, Vec::new());
        Self { rds, password, records: FakeFenceRecords::default(), write: Box::new(write) }
    }

    fn step(&self) -> FenceSource<FakeRds, Secret, FakeFenceRecords, ManualClock> {
        FenceSource {
            access: Access {
                clusters: self.rds.clone(),
                secrets: Secret(self.password),
                network: Network::new(Settings::default()).unwrap(),
            },
            records: self.records.clone(),
            clock: ManualClock::at(STARTED),
            fence_groups: Vec::new(),
        }
    }

    async fn fence(&self, fence: FencedSide, writes: Option<WritePosition>) -> Output {
        self.step().run(input(fence, writes)).await.unwrap()
    }

    /// Fences the restored cluster, answers whether it is untouched and why, and lifts the fence again.
    async fn untouched(&self, writes: Option<WritePosition>) -> (bool, String) {
        let output = self.fence(FencedSide::Restored, writes).await;
        self.step().undo(input(FencedSide::Restored, None)).await.unwrap();
        (output.untouched.unwrap(), output.why.unwrap())
    }
}

fn input(fence: FencedSide, writes: Option<WritePosition>) -> Input {
    Input {
        recovery: recovery(),
        plan: plan(),
        fence,
        restored: Some(restored()),
        writes,
        holder: None,
        approval: None,
    }
}

fn cluster(of: Cluster, name: &str, address: &str, port: u16) -> Cluster {
    Cluster {
        name: name.to_owned(),
        endpoint: Some(address.to_owned()),
        port: Some(i32::from(port)),
        members: Vec::new(),
        ..of
    }
}

/// `statements` are writes of a client, each of another kind.
async fn finds_out(world: &World<'_>, statements: &[&str]) {
    let before = world.fence(FencedSide::Source, None).await;
    assert_eq!((before.untouched, before.why), (None, None));
    let position = before.writes.expect("the writes of the restored cluster were counted");
    let (untouched, why) = world.untouched(Some(position)).await;
    assert!(untouched, "the fence's own changes count as writes: {why}");
    for statement in statements {
        // Lifting the fence wrote as well, so each statement begins with a position of its own.
        let position = world.fence(FencedSide::Source, None).await.writes;
        (world.write)(statement);
        let (untouched, why) = world.untouched(position).await;
        assert!(!untouched && why.contains("count of writes was"), "{statement}: {why}");
    }
    // Unknown is never "nobody wrote".
    let (untouched, why) = world.untouched(None).await;
    assert!(!untouched && why.contains("were not counted before"), "{why}");
}

#[tokio::test]
async fn a_write_to_a_restored_postgresql_is_found_and_the_fence_is_none() {
    let (old, new) = (Postgres::start().with_application(), Postgres::start().with_application());
    let world = World::of_postgresql(&old, &new, "shop");
    let statements = [
        "INSERT INTO orders (word) VALUES ('third')",
        "UPDATE orders SET word = 'other' WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
        "CREATE TABLE late (id int)",
        "TRUNCATE late",
    ];
    finds_out(&world, &statements).await;
}

/// AWS's own transactions take ids too, and so does an autovacuum: neither is a client's write, of which one alone counts.
#[tokio::test]
async fn a_transaction_that_no_client_began_is_no_write_to_a_restored_postgresql() {
    let (old, new) = (Postgres::start().with_application(), Postgres::start().with_application());
    let world = World::of_postgresql(&old, &new, "rdsadmin");
    let ours = |sql: &str| drop(new.sql("rdsadmin", sql));
    // Our own functions look at the restored cluster from the maintenance database, some after the records have moved.
    let before = world.fence(FencedSide::Source, None).await.writes;
    ours("SELECT txid_current()");
    new.sql("template1", "SELECT 1");
    let (untouched, why) = world.untouched(before).await;
    assert!(untouched && why.contains("no session was there"), "{why}");

    // A session that was there already has written by then what it wrote, or writes it later: nobody knows.
    let app = network().connect(&new.target(), &credential("app", APP_PASSWORD, ""), "shop").await.unwrap();
    let before = world.fence(FencedSide::Source, None).await.writes;
    assert_eq!(before.as_ref().unwrap().visits, None);
    ours("SELECT txid_current()");
    let (untouched, _) = world.untouched(before).await;
    assert!(!untouched);
    app.close().await;

    type Write<'a> = (&'a str, &'a str);
    let writes: [Write<'_>; 5] = [
        // One row, and the session is gone before anybody looks.
        ("shop", "INSERT INTO orders (word) VALUES ('fourth')"),
        // From where our own functions come and go.
        ("template1", "CREATE ROLE late"),
        ("template1", "CREATE TABLE late (id int)"),
        // A reset hides what was there before it.
        ("shop", "SELECT pg_stat_reset()"),
        ("postgres", "SELECT 1"),
    ];
    for (database, write) in writes {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while new.sql("template1", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'") != "0" {
            assert!(std::time::Instant::now() < deadline, "the session before {write} has not ended");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let before = world.fence(FencedSide::Source, None).await.writes;
        assert!(before.as_ref().unwrap().visits.is_some(), "{write}");
        ours("SELECT txid_current()");
        new.sql(database, write);
        let (untouched, why) = world.untouched(before).await;
        assert!(!untouched, "{write} in {database}: {why}");
    }
}

#[tokio::test]
async fn a_write_to_a_restored_mysql_is_found_and_the_fence_is_none() {
    let (old, new) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let world = World::of_mysql(&old, &new);
    let statements = [
        "INSERT INTO orders (word) VALUES ('third')",
        "UPDATE orders SET word = 'other' WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
        "CREATE TABLE late (id INT)",
        "TRUNCATE late",
        "ALTER TABLE late ADD COLUMN more INT",
        "DROP TABLE late",
    ];
    finds_out(&world, &statements).await;
}

/// A client that began before the first count, and commits after it.
async fn is_found_when_it_commits(world: &World<'_>, begin: &[&str], commit: impl Fn()) {
    for statement in begin {
        (world.write)(statement);
    }
    let before = world.fence(FencedSide::Source, None).await.writes;
    assert_eq!(before.as_ref().unwrap().count, None, "{before:?}");
    commit();
    let (untouched, why) = world.untouched(before).await;
    assert!(!untouched && why.contains("was not known, for what others had begun was open"), "{why}");
}

#[tokio::test]
async fn a_transaction_that_was_open_at_the_first_count_of_postgresql_is_a_write() {
    let (old, new) = (Postgres::start().with_application(), Postgres::start().with_application());
    let world = World::of_postgresql(&old, &new, "shop");
    // Another one with a higher id has ended, so that its commit does not move the highest id.
    let after = "INSERT INTO orders (word) VALUES ('after it')";
    let (client, connection) = new.client("app", "shop").connect(tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("BEGIN; INSERT INTO orders (word) VALUES ('open')").await.unwrap();
    (world.write)(after);
    let before = world.fence(FencedSide::Source, None).await.writes;
    assert_eq!(before.as_ref().unwrap().count, None, "{before:?}");
    client.batch_execute("COMMIT").await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    let (untouched, why) = world.untouched(before).await;
    assert!(!untouched && why.contains("was not known"), "{why}");

    let prepare = "BEGIN; INSERT INTO orders (word) VALUES ('prepared'); PREPARE TRANSACTION 'late'";
    let commit = || drop(new.sql("shop", "COMMIT PREPARED 'late'"));
    is_found_when_it_commits(&world, &[prepare, after], commit).await;
    is_found_when_it_commits(&world, &[prepare], commit).await;
    // Prepared since, and neither committed nor rolled back: whoever coordinates it may have promised it.
    let before = world.fence(FencedSide::Source, None).await.writes;
    (world.write)(prepare);
    let (untouched, why) = world.untouched(before).await;
    assert!(!untouched, "{why}");
}

#[tokio::test]
async fn a_transaction_that_was_open_at_the_first_count_of_mysql_is_a_write() {
    let (old, new) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let world = World::of_mysql(&old, &new);
    // Its session is gone, and it is not.
    let prepare = "XA START 'late'; INSERT INTO orders (word) VALUES ('prepared'); XA END 'late'; XA PREPARE 'late'";
    is_found_when_it_commits(&world, &[prepare], || drop(new.sql("", "XA COMMIT 'late'"))).await;
    // In a transaction, and in a statement of its own that is counted at its beginning and goes on.
    for write in ["INSERT INTO orders (word) VALUES ('open')", "CREATE TABLE late AS SELECT sleep(5) AS slept"] {
        let mut client = new.open_client("shop");
        client.send(&format!("BEGIN; {write};"));
        let began = std::time::Instant::now();
        let is_there = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_rows_modified > 0 UNION ALL \
                        SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'CREATE TABLE late%'";
        while new.sql("", is_there) == "0\n0" {
            assert!(began.elapsed() < std::time::Duration::from_secs(5), "{write} has not begun");
            // Read more often, the server would answer from the same copy of its transactions again and again.
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        }
        let before = world.fence(FencedSide::Source, None).await.writes;
        assert_eq!(before.as_ref().unwrap().count, None, "{write}: {before:?}");
        client.finish("COMMIT;");
        let (untouched, why) = world.untouched(before).await;
        assert!(!untouched && why.contains("was not known"), "{write}: {why}");
    }
}
