//! The clusters that are compared, on real PostgreSQL: those of the recovery and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use compare_tables::{CompareTables, Id, Input, Output};
use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, plan, source};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::{Login, Logins};
use rewind_core::comparison::{Comparison, Method, RowChanges, TableName, TablesCompared};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Adopted, ErrorName, Plan, StepError, Strategy};
use rewind_lambda::Step;
use support::{MASTER_PASSWORD, Postgres, network};

struct Secret;

impl Logins for Secret {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        let login = Login { user: None, password: MASTER_PASSWORD.to_owned(), version: "AWSCURRENT".to_owned() };
        Ok(vec![login])
    }
}

fn cluster(name: &str, server: &Postgres, recovery: Option<&str>) -> Cluster {
    let mut cluster = Cluster {
        name: name.to_owned(),
        endpoint: Some(server.address.to_string()),
        port: Some(i32::from(server.port)),
        ..source()
    };
    cluster.tags = recovery.map(|id| (RECOVERY_TAG.to_owned(), id.to_owned())).into_iter().collect();
    cluster
}

fn input(plan: &Plan, frontier: Option<u64>) -> Input {
    let recovery = Id { id: plan.recovery_id.clone() };
    Input { recovery, plan: plan.clone(), frontier, tables: Vec::new(), after: None, until: None, so_far: None }
}

async fn run(clusters: Vec<Cluster>, input: Input) -> Result<Output, StepError> {
    let access = Access { clusters: FakeRds::with(clusters, Vec::new()), secrets: Secret, network: network() };
    CompareTables { access, clock: ManualClock::at(STARTED) }.run(input).await
}

async fn compared(clusters: Vec<Cluster>, plan: &Plan, frontier: Option<u64>) -> Result<TablesCompared, StepError> {
    match run(clusters, input(plan, frontier)).await? {
        Output::Tables(compared) => Ok(compared),
        Output::Summary(summary) => panic!("people get every table: {summary:?}"),
    }
}

async fn summary(clusters: Vec<Cluster>, input: Input) -> Comparison {
    match run(clusters, input).await.unwrap() {
        Output::Summary(summary) => summary,
        Output::Tables(tables) => panic!("a recovery gets a summary: {tables:?}"),
    }
}

fn changes(compared: &TablesCompared) -> (RowChanges, Method) {
    let rows = compared.tables.iter().find(|found| found.name.table == "orders").unwrap().rows.as_ref().unwrap();
    (rows.changes, rows.method)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clusters_of_the_recovery_are_compared_and_no_others() {
    let present = Postgres::start().with_application();
    present.sql("postgres", "GRANT pg_read_all_data TO postgres");
    let rewound = present.restored();
    present.sql("shop", "DELETE FROM orders WHERE id = 1");
    let plan = plan();
    let (name, id) = (plan.new_cluster.clone(), plan.recovery_id.clone());
    let of = |recovery| vec![cluster("orders", &present, None), cluster(&name, &rewound, recovery)];
    let deleted = RowChanges { deleted: 1, ..RowChanges::default() };

    let found = compared(of(Some(&id)), &plan, Some(70_000)).await.unwrap();
    assert_eq!((found.restored.as_str(), found.source.as_str()), (name.as_str(), "orders"));
    assert_eq!(changes(&found), (deleted, Method::History));
    assert_eq!(changes(&compared(of(Some(&id)), &plan, None).await.unwrap()), (deleted, Method::Values));

    // People may have written to what an earlier recovery restored.
    let adopted = Adopted { recovery: "r-0".to_owned(), owners: Vec::new(), keep_until: None, checks_of_event: false };
    let resumed = Plan { adopted: Some(adopted), ..plan.clone() };
    assert_eq!(changes(&compared(of(Some(&id)), &resumed, Some(70_000)).await.unwrap()), (deleted, Method::Values));

    // In place the cluster itself is the rewound one, and the safety clone holds what came after.
    let in_place = Plan { strategy: Strategy::Backtrack, ..plan.clone() };
    let clusters = vec![cluster("orders", &rewound, None), cluster(&name, &present, Some(&id))];
    let found = compared(clusters, &in_place, None).await.unwrap();
    assert_eq!((found.restored.as_str(), found.source.as_str()), ("orders", name.as_str()));
    assert_eq!(changes(&found).0, deleted);

    for (clusters, why) in [
        (of(Some("another")), "is no cluster of"),
        (of(None), "is no cluster of"),
        (vec![cluster("orders", &present, None)], "there is no cluster"),
        (vec![cluster(&name, &rewound, Some(&id))], "there is no cluster orders"),
    ] {
        let error = compared(clusters, &plan, None).await.unwrap_err();
        assert!(error.name == ErrorName::RewindFailed && error.to_string().contains(why), "{error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
    }
    let mut anew = of(Some(&id));
    anew.first_mut().unwrap().resource_id = "cluster-ANEW".to_owned();
    assert!(compared(anew, &plan, None).await.unwrap_err().to_string().contains("made anew"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_gets_a_summary_within_its_time() {
    let present = Postgres::start().with_application();
    present.sql("postgres", "GRANT pg_read_all_data TO postgres");
    let rewound = present.restored();
    present.sql("shop", "DELETE FROM orders WHERE id = 1");
    let plan = plan();
    let (name, id) = (plan.new_cluster.clone(), plan.recovery_id.clone());
    let clusters = || vec![cluster("orders", &present, None), cluster(&name, &rewound, Some(&id))];
    let started: Timestamp = STARTED.parse().unwrap();
    let minute = started.checked_add(jiff::SignedDuration::from_mins(1)).unwrap();

    let whole = summary(clusters(), Input { until: Some(minute), ..input(&plan, Some(70_000)) }).await;
    let orders = whole.differing.iter().find(|found| found.table == "shop.public.orders").unwrap();
    assert_eq!(orders.changes, RowChanges { deleted: 1, ..RowChanges::default() });
    assert!(whole.is_complete() && whole.tables == 1 && whole.differing_total() == 1, "{whole:?}");

    // The second invocation goes on after the cursor of the first, and adds to what that found.
    let after = TableName { database: "shop".into(), schema: "public".into(), table: "zzz".into() };
    let first = Comparison { after: Some(after), ..whole.clone() };
    let until = Some(minute);
    let second = summary(clusters(), Input { until, so_far: Some(first.clone()), ..input(&plan, None) }).await;
    assert_eq!(second.changes, whole.changes);
    assert!(second.after.is_none(), "{second:?}");

    // When the time is over nothing is read, and what was found so far stays.
    let over = summary(Vec::new(), Input { until: Some(started), so_far: Some(first), ..input(&plan, None) }).await;
    assert_eq!((over.changes, over.after), (whole.changes, None));
    assert_eq!(over.notes, ["tables after shop.public.zzz were not compared: the time for it was over"]);
}
