//! No event has a first moment on a restored cluster: its scheduler is off before there is an instance, whatever call is lost.

use super::*;
use jiff::Timestamp;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, mysql_source, plan, recovery};
use rewind_aws::rds::fake::{FakeRds, Lose};
use rewind_aws::rds::{Instance, Member};
use rewind_aws::secrets::Login;
use rewind_core::names::{RECOVERY_TAG, held_jobs_group};
use rewind_core::{Engine, Finding, FindingCode};
use rewind_db::{Network, Settings};
use serde_json::Value;

struct NoLogins;

impl Logins for NoLogins {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Ok(Vec::new())
    }
}

struct NoNotes;

impl Notes for NoNotes {
    async fn note(&self, _: &str, _: &str) -> AwsResult<Option<Value>> {
        Ok(None)
    }
    async fn note_once(&self, _: &str, _: &str, value: &Value) -> AwsResult<Value> {
        Ok(value.clone())
    }
    async fn note_again(&self, _: &str, _: &str, _: &Value) -> AwsResult<()> {
        Ok(())
    }
}

fn step(clusters: &FakeRds) -> HoldJobs<FakeRds, NoLogins, NoNotes, ManualClock> {
    let network = Network::new(Settings::default()).unwrap();
    let access = Access { clusters: clusters.clone(), secrets: NoLogins, network };
    HoldJobs { access, notes: NoNotes, clock: ManualClock::at(STARTED) }
}

fn input(task: Task) -> Input {
    let plan = Plan { engine: Engine::AuroraMysql, ..plan() };
    Input { recovery: recovery(), plan, restored: None, task }
}

/// The source and the restored cluster as the restore leaves it: with the source's group, and without an instance.
fn restored(edit: impl FnOnce(&mut Cluster)) -> FakeRds {
    let mut restored = Cluster {
        name: "orders-r".to_owned(),
        members: Vec::new(),
        tags: vec![(RECOVERY_TAG.to_owned(), recovery().id)],
        ..mysql_source()
    };
    edit(&mut restored);
    FakeRds::with(vec![mysql_source(), restored], Vec::new())
}

fn group_of(rds: &FakeRds, cluster: &str) -> String {
    rds.find(cluster).unwrap().parameter_group.unwrap()
}

const CHANGES: [&str; 3] = [
    "create_group orders-r-jobs-held like orders-cluster-pg",
    "set_parameter event_scheduler=OFF of orders-r-jobs-held",
    "modify orders-r",
];

#[tokio::test]
async fn the_scheduler_is_off_in_a_group_of_its_own_before_the_cluster_gets_it() {
    let rds = restored(|_| {});
    assert_eq!(step(&rds).run(input(Task::Scheduler)).await.unwrap(), Output::default());
    assert_eq!(rds.changes(), CHANGES);
    assert_eq!(
        (group_of(&rds, "orders-r"), group_of(&rds, "orders")),
        (held_jobs_group("orders-r"), "orders-cluster-pg".to_owned())
    );
    // A second run sets what may not have been set, and makes no second group.
    step(&rds).run(input(Task::Scheduler)).await.unwrap();
    assert_eq!(rds.changes()[3..], CHANGES[1..2]);
}

#[tokio::test]
async fn whatever_call_is_lost_a_second_run_ends_where_an_undisturbed_one_does() {
    for nth in 0..CHANGES.len() {
        for how in [Lose::Call, Lose::Answer] {
            let rds = restored(|_| {});
            rds.lose(nth, how);
            // The last one is settled by what the cluster has.
            let first = step(&rds).run(input(Task::Scheduler)).await;
            assert!(first.is_err() || (nth, how) == (2, Lose::Answer), "{nth}, {how:?}");
            step(&rds).run(input(Task::Scheduler)).await.unwrap();
            assert_eq!(group_of(&rds, "orders-r"), held_jobs_group("orders-r"), "{nth}, {how:?}");
            assert_eq!(rds.groups(), [held_jobs_group("orders-r")]);
            assert!(rds.changes().iter().any(|change| change == CHANGES[1]), "{:?}", rds.changes());
        }
    }
}

#[tokio::test]
async fn nothing_is_made_where_nothing_would_run_or_nothing_can_be_held_any_more() {
    // The source's own group turns the scheduler off: it starts nothing here either.
    let off = restored(|_| {});
    off.set_parameter("event_scheduler", "OFF");
    let postgresql = restored(|cluster| cluster.engine = Engine::AuroraPostgresql);
    // With an instance a group takes a reboot.
    let running =
        restored(|cluster| cluster.members = vec![Member { instance: "orders-r-1".to_owned(), writer: true }]);
    for rds in [off, postgresql, running] {
        step(&rds).run(input(Task::Scheduler)).await.unwrap();
        assert_eq!(rds.changes(), [""; 0]);
    }
    // A cluster of somebody else is nobody's to hold.
    let foreign = restored(|cluster| cluster.tags.clear());
    let error = step(&foreign).run(input(Task::Scheduler)).await.unwrap_err();
    assert_eq!((error.name, foreign.changes().len()), (ErrorName::RewindFailed, 0));
}

#[tokio::test]
async fn events_run_again_as_on_the_source_and_its_group_comes_back() {
    for (value, expected) in
        [(Some("ON"), "set_parameter event_scheduler=ON of"), (None, "reset_parameter event_scheduler of")]
    {
        let rds = restored(|cluster| cluster.parameter_group = Some(held_jobs_group("orders-r")));
        if let Some(value) = value {
            rds.set_parameter("event_scheduler", value);
        }
        let cluster = rds.find("orders-r").unwrap();
        assert_eq!(step(&rds).give_group_back(&input(Task::Release).plan, &cluster).await.unwrap(), None);
        let group = held_jobs_group("orders-r");
        // On before the group changes: a group that is only associated is not in force before a reboot.
        assert_eq!(
            rds.changes(),
            [format!("{expected} {group}"), "modify orders-r".into(), format!("delete_group {group}")]
        );
        assert_eq!(group_of(&rds, "orders-r"), "orders-cluster-pg");
        let after = rds.find("orders-r").unwrap();
        step(&rds).give_group_back(&input(Task::Release).plan, &after).await.unwrap();
        assert_eq!(rds.changes().len(), 3, "a second release");
    }
}

/// A restored cluster of PostgreSQL, whose source has what the findings tell.
fn postgresql(codes: &[FindingCode]) -> (FakeRds, Input) {
    let rds = restored(|cluster| cluster.engine = Engine::AuroraPostgresql);
    let mut input = input(Task::Scheduler);
    input.plan.engine = Engine::AuroraPostgresql;
    input.plan.findings = codes.iter().map(|code| Finding::warning(*code, "", "")).collect();
    (rds, input)
}

#[tokio::test]
async fn postgresql_is_started_without_what_runs_the_jobs_that_its_source_has() {
    let group = held_jobs_group("orders-r");
    let create = format!("create_group {group} like orders-cluster-pg");
    let workers = format!("set_parameter max_logical_replication_workers=0 of {group}");
    let cron = format!("set_parameter cron.database_name=rdsadmin of {group}");
    let modify = "modify orders-r".to_owned();
    for (codes, expected) in [
        (vec![FindingCode::Replication, FindingCode::UnloggedTables], vec![]),
        (vec![FindingCode::Subscriptions], vec![create.clone(), workers.clone(), modify.clone()]),
        // What was cut off may be either.
        (vec![FindingCode::FindingsCut], vec![create.clone(), workers.clone(), cron.clone(), modify.clone()]),
        (vec![FindingCode::ScheduledJobs], vec![create, workers, cron, modify]),
    ] {
        let (rds, input) = postgresql(&codes);
        step(&rds).run(input).await.unwrap();
        assert_eq!(rds.changes(), expected, "{codes:?}");
    }
}

#[tokio::test]
async fn a_parameter_of_postgresql_that_rds_refuses_stops_nothing() {
    for refused in [1, 2] {
        let (rds, input) = postgresql(&[FindingCode::ScheduledJobs]);
        rds.lose(refused, Lose::Refused);
        step(&rds).run(input).await.unwrap();
        // The other parameter is in force from the first moment all the same.
        assert_eq!((rds.changes().len(), rds.changes()[3].as_str()), (4, "modify orders-r"));
    }
}

/// The same once its instances are there, and its jobs are switched off.
async fn started() -> (FakeRds, Input) {
    let (held, mut input) = postgresql(&[FindingCode::Subscriptions]);
    step(&held).run(input.clone()).await.unwrap();
    let instance = |name: &str| {
        let like = Instance { name: name.to_owned(), status: "available".to_owned(), ..Instance::default() };
        ("orders-r".to_owned(), like)
    };
    let (clusters, _) = held.everything();
    let rds = FakeRds::with(clusters, vec![instance("orders-r-1"), instance("orders-r-2")]);
    rds.edit("orders-r", |cluster| {
        cluster.members = [("orders-r-1", true), ("orders-r-2", false)]
            .map(|(name, writer)| Member { instance: name.to_owned(), writer })
            .to_vec();
    });
    input.task = Task::Jobs;
    (rds, input)
}

#[tokio::test]
async fn postgresql_restarts_with_the_group_of_its_source_whatever_call_is_lost() {
    let group = held_jobs_group("orders-r");
    let expected = [
        "modify orders-r".to_owned(),
        format!("delete_group {group}"),
        "reboot_instance orders-r-1".to_owned(),
        "reboot_instance orders-r-2".to_owned(),
    ];
    let (rds, input) = started().await;
    let cluster = rds.find("orders-r").unwrap();
    assert_eq!(step(&rds).restart(&input.plan, &cluster).await.unwrap(), []);
    assert_eq!(rds.changes(), expected);
    let after = rds.find("orders-r").unwrap();
    assert_eq!((after.parameter_group.as_deref(), after.pending_reboot.len()), (Some("orders-cluster-pg"), 0));
    // A second run has nothing to restart.
    assert_eq!(step(&rds).restart(&input.plan, &after).await.unwrap(), []);
    assert_eq!(rds.changes().len(), expected.len());
    for nth in 0..expected.len() {
        for how in [Lose::Call, Lose::Answer] {
            let (rds, input) = started().await;
            rds.lose(nth, how);
            for _ in 0..2 {
                let cluster = rds.find("orders-r").unwrap();
                let _ = step(&rds).restart(&input.plan, &cluster).await;
            }
            let after = rds.find("orders-r").unwrap();
            assert_eq!(after.parameter_group.as_deref(), Some("orders-cluster-pg"), "{nth}, {how:?}");
            assert_eq!(after.pending_reboot, [""; 0], "{nth}, {how:?}: {:?}", rds.changes());
        }
    }
}

#[tokio::test]
async fn a_reader_that_does_not_restart_is_a_difference_and_a_writer_an_error() {
    let stuck = async |name: &str| {
        let (rds, input) = started().await;
        rds.edit_instances("orders-r", |instance| {
            if instance.name == name {
                instance.status = "modifying".to_owned();
            }
        });
        let cluster = rds.find("orders-r").unwrap();
        step(&rds).restart(&input.plan, &cluster).await
    };
    let reader = stuck("orders-r-2").await.unwrap();
    assert_eq!(reader.iter().map(|found| found.what.as_str()).collect::<Vec<_>>(), ["restart of orders-r-2"]);
    assert!(reader[0].todo.contains("--db-instance-identifier orders-r-2"), "{reader:?}");
    assert_eq!(stuck("orders-r-1").await.unwrap_err().name, ErrorName::RewindFailed);
}

#[tokio::test]
async fn the_undo_deletes_the_group_of_a_cluster_that_is_gone_and_of_no_other() {
    let rds = restored(|_| {});
    step(&rds).run(input(Task::Scheduler)).await.unwrap();
    assert_eq!(step(&rds).undo(input(Task::Jobs)).await.unwrap(), Undone::nothing());
    assert_eq!(rds.groups().len(), 1);
    rds.edit("orders-r", |cluster| {
        cluster.name = "gone".to_owned();
        cluster.parameter_group = None;
    });
    step(&rds).undo(input(Task::Jobs)).await.unwrap();
    assert_eq!(rds.groups(), [""; 0]);
    step(&rds).undo(input(Task::Jobs)).await.unwrap();
}

fn job(name: &str, held: bool) -> HeldJob {
    HeldJob { kind: "event".to_owned(), name: name.to_owned(), held, released: false, release: None, note: None }
}

#[test]
fn people_read_which_jobs_are_held_and_which_run() {
    assert_eq!(difference(&[], &[]), None);
    let told =
        difference(&[job("shop.purge", true), job("shop.mail", false)], &["no right to see more".to_owned()]).unwrap();
    assert_eq!(
        told.restored,
        "held: event shop.purge; RUNNING, because nothing could hold it: event shop.mail; no right to see more"
    );
    // However many there are, the answer stays small, and the rest is not silently dropped.
    let many: Vec<HeldJob> = (0..3_000).map(|n| job(&format!("shop.job{n}"), true)).collect();
    assert!(difference(&many, &[]).unwrap().restored.len() < 1_000);
    let shown = shown(many);
    assert_eq!(shown.len(), SHOWN);
    assert!(shown[SHOWN - 1].note.as_ref().unwrap().contains("and 2950 more"), "{shown:?}");
}
