//! The step on real servers: MariaDB's events and PostgreSQL's jobs are named, do not run, and run again when they are released.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use hold_jobs::{HoldJobs, Input, Output, Task};
use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, mysql_source, plan, recovery, restored, source};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::rds::{Cluster, Instance, Member};
use rewind_aws::records::Notes;
use rewind_aws::secrets::{Login, Logins};
use rewind_core::names::{RECOVERY_TAG, held_jobs_group};
use rewind_core::{Adopted, Engine, Plan};
use rewind_db::{Network, Settings};
use rewind_lambda::Step;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use support::Postgres;
use support::mariadb::{MASTER_PASSWORD, MariaDb};

struct Secret;

impl Logins for Secret {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Ok(vec![Login { user: None, password: MASTER_PASSWORD.to_owned(), version: "AWSCURRENT".to_owned() }])
    }
}

/// The notes of all recoveries.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<BTreeMap<String, Value>>>);

impl Notes for Table {
    async fn note(&self, id: &str, _: &str) -> AwsResult<Option<Value>> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }
    async fn note_once(&self, _: &str, _: &str, _: &Value) -> AwsResult<Value> {
        panic!("the record grows")
    }
    async fn note_again(&self, id: &str, _: &str, value: &Value) -> AwsResult<()> {
        self.0.lock().unwrap().insert(id.to_owned(), value.clone());
        Ok(())
    }
}

struct World {
    rds: FakeRds,
    table: Table,
    engine: Engine,
}

impl World {
    fn new(like: Cluster, address: String, port: u16) -> Self {
        let engine = like.engine;
        let restored = Cluster {
            name: "orders-r".to_owned(),
            endpoint: Some(address),
            port: Some(i32::from(port)),
            tags: vec![(RECOVERY_TAG.to_owned(), recovery().id)],
            ..like.clone()
        };
        let instance = |member: &Member| {
            let instance =
                Instance { name: member.instance.clone(), status: "available".to_owned(), ..Instance::default() };
            (restored.name.clone(), instance)
        };
        let instances = restored.members.iter().map(instance).collect();
        Self { rds: FakeRds::with(vec![like, restored.clone()], instances), table: Table::default(), engine }
    }

    async fn run(&self, task: Task) -> Output {
        self.resume(task, &[]).await
    }

    async fn resume(&self, task: Task, owners: &[&str]) -> Output {
        let network = Network::new(Settings::default()).unwrap();
        let access = Access { clusters: self.rds.clone(), secrets: Secret, network };
        let step = HoldJobs { access, notes: self.table.clone(), clock: ManualClock::at(STARTED) };
        let plan = Plan { engine: self.engine, ..plan() };
        let owners: Vec<String> = owners.iter().map(|id| (*id).to_owned()).collect();
        let adopted = owners.first().map(|id| Adopted {
            recovery: id.clone(),
            owners: owners.clone(),
            keep_until: None,
            checks_of_event: false,
        });
        let plan = Plan { adopted, ..plan };
        step.run(Input { recovery: recovery(), plan, restored: Some(restored()), task }).await.unwrap()
    }
}

fn states(output: &Output) -> Vec<(String, bool, bool)> {
    output.jobs.iter().map(|job| (format!("{} {}", job.kind, job.name), job.held, job.released)).collect()
}

#[tokio::test]
async fn an_event_that_the_scheduler_does_not_run_is_named_and_left_as_it_is() {
    let server = MariaDb::start().with_application();
    server.sql("", "SET GLOBAL event_scheduler = OFF; CREATE EVENT shop.purge ON SCHEDULE EVERY 1 SECOND DO DELETE FROM shop.orders");
    server.sql("", "CREATE EVENT shop.idle ON SCHEDULE EVERY 1 SECOND DISABLE DO DELETE FROM shop.orders");
    let definer = "SELECT event_name, definer, status FROM information_schema.events ORDER BY 1";
    let before = server.sql("", definer);
    let mut like = mysql_source();
    like.parameter_group = Some(held_jobs_group("orders-r"));
    let world = World::new(like, server.address.to_string(), server.port);
    let held = world.run(Task::Jobs).await;
    assert_eq!(states(&held), [("event shop.purge".to_owned(), true, false)]);
    let release = held.jobs[0].release.clone().unwrap();
    assert!(
        release.contains("modify-db-cluster-parameter-group") && release.contains("orders-r-jobs-held"),
        "{release}"
    );
    assert!(held.differences[0].restored.contains("held: event shop.purge"), "{:?}", held.differences);
    // Neither switched off nor on: either would make the master user its definer.
    assert_eq!(world.run(Task::Jobs).await, held);
    let released = world.run(Task::Release).await;
    assert_eq!(states(&released), [("event shop.purge".to_owned(), false, true)]);
    assert_eq!(server.sql("", definer), before);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), "2");
}

#[tokio::test]
async fn an_event_that_runs_is_switched_off_one_by_one_and_on_again() {
    let server = MariaDb::start().with_application();
    server.sql(
        "",
        "SET GLOBAL event_scheduler = ON; CREATE EVENT shop.`it's` ON SCHEDULE EVERY 1 HOUR DO DELETE FROM shop.orders",
    );
    let world = World::new(mysql_source(), server.address.to_string(), server.port);
    let held = world.run(Task::Jobs).await;
    assert_eq!(states(&held), [("event shop.it's".to_owned(), true, false)]);
    let status = "SELECT status FROM information_schema.events";
    assert_eq!(server.sql("", status), "DISABLED");
    // By now it is off: a second run knows from the record that it was on.
    assert_eq!(states(&world.run(Task::Jobs).await), states(&held));
    assert_eq!(states(&world.run(Task::Release).await), [("event shop.it's".to_owned(), false, true)]);
    assert_eq!(server.sql("", status), "ENABLED");
}

/// The table of pg_cron as the extension makes it, and the setting by which its library names its database.
const CRON: &str = "CREATE SCHEMA cron; CREATE TABLE cron.job (jobid bigserial PRIMARY KEY, schedule text, command text,
    nodename text, nodeport int, database text, username text, active boolean DEFAULT true, jobname text);
    INSERT INTO cron.job (schedule, command, active, jobname, username) VALUES
    ('* * * * *', 'DELETE FROM orders', true, 'purge', 'postgres'), ('* * * * *', 'x', false, 'idle', 'postgres'),
    ('* * * * *', 'y', true, NULL, 'app');
    ALTER TABLE cron.job ENABLE ROW LEVEL SECURITY; CREATE POLICY cron_job_policy ON cron.job USING (username = current_user);
    GRANT USAGE ON SCHEMA cron TO rds_superuser; GRANT SELECT, UPDATE ON cron.job TO rds_superuser";
/// Lets the master user see and switch the jobs of all users.
const SEES_ALL: &str = "ALTER ROLE postgres BYPASSRLS";

#[tokio::test]
async fn jobs_of_pg_cron_and_subscriptions_are_switched_off_and_only_those_on_again() {
    let server = Postgres::start_with(&["cron.database_name=shop", "wal_level=logical"], None).with_application();
    server.sql("shop", CRON);
    server.sql("shop", SEES_ALL);
    // Nothing listens there: a subscription that is enabled tries again and again.
    let subscription =
        "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)";
    server.sql("shop", subscription);
    server.sql("shop", "ALTER SUBSCRIPTION feed ENABLE");
    let world = World::new(source(), server.address.to_string(), server.port);
    let held = world.run(Task::Jobs).await;
    let of = |state: (bool, bool), feed: (bool, bool)| -> Vec<(String, bool, bool)> {
        [("cron job 3 in shop", state), ("cron purge in shop", state), ("subscription feed in shop", feed)]
            .map(|(name, (held, released))| (name.to_owned(), held, released))
            .to_vec()
    };
    // The master user does not own the subscription here, so the server refuses: that is told, and stops nothing.
    assert_eq!(states(&held), of((true, false), (false, false)));
    assert!(held.jobs[2].note.as_ref().unwrap().contains("must be owner of subscription feed"), "{:?}", held.jobs);
    assert!(held.differences[0].restored.contains("RUNNING"), "{:?}", held.differences);
    let active = "SELECT string_agg(jobid::text || ' '::text || active::text, ', ' ORDER BY jobid) FROM cron.job";
    assert_eq!(server.sql("shop", active), "1 false, 2 false, 3 false");

    // On RDS the master user owns what it made. A recovery that adopted the cluster knows what the first one held.
    server.sql("postgres", "ALTER ROLE postgres SUPERUSER");
    server.sql("shop", "ALTER SUBSCRIPTION feed OWNER TO postgres");
    let first = world.table.0.lock().unwrap().remove(&recovery().id).unwrap();
    world.table.0.lock().unwrap().insert("the-first".to_owned(), first);
    // The second ended before it came to its jobs.
    let again = world.resume(Task::Jobs, &["the-second", "the-first"]).await;
    assert_eq!(states(&again), of((true, false), (true, false)));
    assert_eq!(server.sql("shop", "SELECT subenabled FROM pg_subscription"), "f");
    assert_eq!(states(&world.run(Task::Release).await), of((false, true), (false, true)));
    assert_eq!(server.sql("shop", active), "1 true, 2 false, 3 true");
    assert_eq!(server.sql("shop", "SELECT subenabled FROM pg_subscription"), "t");
}

#[tokio::test]
async fn a_server_that_was_started_to_run_none_runs_none_and_restarts_when_they_are_off() {
    let publisher = Postgres::start_with(&["wal_level=logical"], None).with_application();
    publisher.sql("shop", "CREATE PUBLICATION p FOR TABLE orders");
    let server = Postgres::start_with(
        &["cron.database_name=rdsadmin", "max_logical_replication_workers=0", "wal_level=logical"],
        None,
    )
    .with_application();
    server.sql("shop", CRON);
    server.sql("shop", SEES_ALL);
    server.sql("shop", "TRUNCATE orders");
    let from = format!(
        "host={} port={} user=rdsadmin dbname=shop",
        publisher.sql("shop", "SHOW unix_socket_directories"),
        publisher.port
    );
    server.sql("shop", &format!("CREATE SUBSCRIPTION feed CONNECTION '{from}' PUBLICATION p"));
    publisher.sql("shop", "INSERT INTO orders (word) VALUES ('third')");
    let mut world = World::new(source(), server.address.to_string(), server.port);
    world.rds.edit("orders-r", |cluster| cluster.parameter_group = Some(held_jobs_group("orders-r")));
    world.rds.set_parameter("cron.database_name", "shop");

    // Not its owner: it cannot be switched off, so the server goes on as it was started.
    let refused = world.run(Task::Jobs).await;
    let feed = refused.jobs.last().unwrap();
    assert_eq!((feed.kind.as_str(), feed.held), ("subscription", true), "{:?}", refused.jobs);
    assert!(feed.release.as_ref().unwrap().contains("reboot-db-instance"), "{feed:?}");
    assert!(
        refused.differences[0].restored.starts_with("held: ") && !refused.differences[0].restored.contains("RUNNING")
    );
    assert_eq!(world.rds.changes(), [""; 0]);

    server.sql("postgres", "ALTER ROLE postgres SUPERUSER");
    server.sql("shop", "ALTER SUBSCRIPTION feed OWNER TO postgres");
    world.table = Table::default();
    server.sql("shop", "UPDATE cron.job SET active = true WHERE jobid <> 2");
    let held = world.run(Task::Jobs).await;
    let all = ["cron job 3 in shop", "cron purge in shop", "subscription feed in shop"];
    assert_eq!(states(&held), all.map(|name| (name.to_owned(), true, false)));
    assert!(held.jobs.iter().all(|job| job.note.is_none()), "none can have run: {:?}", held.jobs);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), "0", "changes of the publisher");
    assert_eq!(
        publisher.sql("shop", "SELECT confirmed_flush_lsn < pg_current_wal_lsn() FROM pg_replication_slots"),
        "t"
    );
    let group = held_jobs_group("orders-r");
    let restarts = ["modify orders-r".to_owned(), format!("delete_group {group}")];
    assert_eq!(world.rds.changes()[..2], restarts);
    assert_eq!(world.rds.changes()[2..].len(), source().members.len(), "{:?}", world.rds.changes());

    // This server did not really restart, so the release tells what a person has to do.
    let released = world.run(Task::Release).await;
    assert_eq!(states(&released)[2], ("subscription feed in shop".to_owned(), true, false));
    assert!(released.jobs[2].release.as_ref().unwrap().contains("reboot-db-instance"), "{:?}", released.jobs);
    assert_eq!(server.sql("shop", "SELECT subenabled FROM pg_subscription"), "t");
}

/// By the extension's own policy a user sees the jobs that it scheduled itself, without an error and without a sign of the others. The
/// application's would run as soon as the server is started to run any.
#[tokio::test]
async fn jobs_that_row_level_security_hides_keep_the_cluster_as_it_was_started() {
    let server = Postgres::start_with(&["cron.database_name=rdsadmin", "max_logical_replication_workers=0"], None)
        .with_application();
    server.sql("shop", CRON);
    let world = World::new(source(), server.address.to_string(), server.port);
    world.rds.edit("orders-r", |cluster| cluster.parameter_group = Some(held_jobs_group("orders-r")));
    world.rds.set_parameter("cron.database_name", "shop");

    let held = world.run(Task::Jobs).await;
    let both = ["cron purge in shop", "cron jobs that could not be seen"];
    assert_eq!(states(&held), both.map(|name| (name.to_owned(), true, false)));
    let hidden = &held.jobs[1];
    assert!(hidden.note.as_ref().unwrap().contains("users other than postgres scheduled"), "{hidden:?}");
    assert!(hidden.release.as_ref().unwrap().contains("reboot-db-instance"), "{hidden:?}");
    let told = &held.differences[0];
    assert_eq!(told.source, "1 enabled, as far as they can be seen");
    assert!(
        told.restored.contains("cron jobs that could not be seen") && !told.restored.contains("RUNNING"),
        "{told:?}"
    );
    // No restart, after which the job of the application would run on data that nobody has verified.
    assert_eq!(world.rds.changes(), [""; 0]);
    let active = "SELECT string_agg(jobid::text || ' '::text || active::text, ', ' ORDER BY jobid) FROM cron.job";
    assert_eq!(server.sql("shop", active), "1 false, 2 false, 3 true");

    // Clients are there: the group of the source comes back, and a person restarts.
    let released = world.run(Task::Release).await;
    assert_eq!(states(&released), both.map(|name| (name.to_owned(), true, false)));
    assert!(released.jobs[1].release.as_ref().unwrap().starts_with("aws rds reboot-db-instance"), "{released:?}");
    assert_eq!(server.sql("shop", active), "1 true, 2 false, 3 true");

    // A server that runs them: people read it before they decide.
    let server = Postgres::start_with(&["cron.database_name=shop"], None).with_application();
    server.sql("shop", CRON);
    let world = World::new(source(), server.address.to_string(), server.port);
    let running = world.run(Task::Jobs).await;
    let (seen, hidden) =
        (("cron purge in shop".to_owned(), true, false), ("cron jobs that could not be seen".to_owned(), false, false));
    assert_eq!(states(&running), [seen, hidden]);
    assert!(running.differences[0].restored.contains("RUNNING"), "{running:?}");
}
