//! The recovery in the tests of steps: the cluster `orders` with a writer and a reader, restored into `orders-r`.

use crate::rds::fake::FakeRds;
use crate::rds::{Cluster, Instance, Member, Monitoring, Role};
use jiff::Timestamp;
use rewind_core::names::{RECOVERY_TAG, TARGET_TAG};
use rewind_core::{
    Approval, Clock, Endpoint, Engine, Fence, InPlacePlan, KeepCommands, KeptSource, MovedRecord, Plan,
    PlannedInstance, PlannedRecord, Recovered, Recovery, RecoveryRecord, Restored, Strategy, Window,
    WritesNotCarriedOver,
};
use std::sync::Mutex;
use std::time::Duration;

/// A clock that moves by what is slept, and by nothing else.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: &str) -> Self {
        Self(Mutex::new(time(now)))
    }
}

// A poisoned lock must not panic here: the test that poisoned it has failed already, and its message is the one to
// read.
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().map_or(Timestamp::UNIX_EPOCH, |now| *now)
    }

    async fn sleep(&self, duration: Duration) {
        if let Ok(mut now) = self.0.lock() {
            *now = now.checked_add(duration).unwrap_or(*now);
        }
    }
}

/// When the recovery was started.
pub const STARTED: &str = "2026-11-23T10:35:00Z";
/// The target of the recovery.
pub const TARGET: &str = "2026-11-23T10:30:00Z";

/// Reads a time that a test wrote.
pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The recovery.
pub fn recovery() -> Recovery {
    Recovery {
        id: "operation-001".to_owned(),
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:aurora-rewind:operation-001".to_owned(),
        started_at: time(STARTED),
    }
}

/// The source, with everything on that a restore does not inherit.
pub fn source() -> Cluster {
    let member = |instance: &str, writer| Member { instance: instance.to_owned(), writer };
    let text = |text: &str| Some(text.to_owned());
    Cluster {
        name: "orders".to_owned(),
        arn: "arn:aws:rds:us-east-1:000000000000:cluster:orders".to_owned(),
        resource_id: "cluster-ORDERS".to_owned(),
        status: "available".to_owned(),
        engine: Engine::AuroraPostgresql,
        engine_version: "15.4".to_owned(),
        engine_mode: text("provisioned"),
        endpoint: text("orders.cluster-x.us-east-1.rds.amazonaws.com"),
        reader_endpoint: text("orders.cluster-ro-x.us-east-1.rds.amazonaws.com"),
        port: Some(5432),
        master_username: text("postgres"),
        earliest_restorable: Some(time("2026-11-16T02:00:00Z")),
        latest_restorable: Some(time("2026-11-23T10:34:00Z")),
        // The writer second: a step that takes the first member for the writer fails its tests.
        members: vec![member("orders-2", false), member("orders-1", true)],
        parameter_group: text("orders-cluster-pg"),
        subnet_group: text("orders-subnets"),
        security_groups: vec!["sg-app".to_owned()],
        // On, so that every deletion has to switch it off first, as a production cluster demands.
        deletion_protection: true,
        iam_authentication: true,
        maintenance_window: text("sun:03:00-sun:03:30"),
        backup_retention: Some(7),
        auto_minor_version_upgrade: Some(false),
        monitoring: Monitoring {
            monitoring_interval: 30,
            monitoring_role: text("arn:aws:iam::000000000000:role/monitoring"),
            performance_insights: true,
            insights_mode: text("advanced"),
            ..Monitoring::default()
        },
        data_api: true,
        roles: vec![Role { arn: "arn:aws:iam::000000000000:role/s3".to_owned(), feature: text("s3Import") }],
        master_secret: text("arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-orders"),
        tags: vec![
            ("team".to_owned(), "orders".to_owned()),
            // AWS takes this prefix from nobody else: a step that copies all tags fails its tests.
            ("aws:cloudformation:stack-name".to_owned(), "s".to_owned()),
        ],
        // One of everything that a restore does not carry over, so that a forgotten difference fails a test.
        custom_endpoints: vec!["orders-analytics.cluster-custom-x.us-east-1.rds.amazonaws.com".to_owned()],
        ..Cluster::bare(Engine::AuroraPostgresql)
    }
}

/// The source's instances: the writer is the second one.
pub fn instances() -> Vec<(String, Instance)> {
    let instance = |name: &str, class: &str, tier| Instance {
        name: name.to_owned(),
        resource_id: format!("db-{name}"),
        status: "available".to_owned(),
        class: class.to_owned(),
        endpoint: Some(format!("{name}.x.us-east-1.rds.amazonaws.com")),
        promotion_tier: tier,
        ..Instance::default()
    };
    vec![
        ("orders".to_owned(), instance("orders-2", "db.r6g.large", 5)),
        ("orders".to_owned(), instance("orders-1", "db.r6g.xlarge", 1)),
    ]
}

/// An RDS with the source alone.
pub fn rds() -> FakeRds {
    FakeRds::with(vec![source()], instances())
}

/// An RDS with the source, and the restored cluster as a restore of this recovery leaves it.
pub fn rds_with_restored() -> FakeRds {
    let source = source();
    let restored = Cluster {
        name: "orders-r".to_owned(),
        arn: "arn:aws:rds:us-east-1:000000000000:cluster:orders-r".to_owned(),
        resource_id: "cluster-ORDERS-R".to_owned(),
        members: Vec::new(),
        roles: Vec::new(),
        data_api: false,
        master_secret: None,
        maintenance_window: Some("mon:05:00-mon:05:30".to_owned()),
        auto_minor_version_upgrade: Some(true),
        monitoring: Monitoring::default(),
        custom_endpoints: Vec::new(),
        endpoint: Some(restored().writer_endpoint),
        reader_endpoint: Some(restored().reader_endpoint),
        tags: vec![(RECOVERY_TAG.to_owned(), recovery().id), (TARGET_TAG.to_owned(), TARGET.to_owned())],
        ..source.clone()
    };
    FakeRds::with(vec![source, restored], instances())
}

/// The plan.
pub fn plan() -> Plan {
    let instance = |n: u8, class: &str, tier, writer| PlannedInstance {
        source: format!("orders-{n}"),
        name: format!("orders-r-{n}"),
        class: class.to_owned(),
        promotion_tier: tier,
        writer,
    };
    Plan {
        recovery_id: recovery().id,
        cluster: "orders".to_owned(),
        cluster_arn: source().arn,
        resource_ids: source().resource_ids(&instances().into_iter().map(|(_, instance)| instance).collect::<Vec<_>>()),
        engine: Engine::AuroraPostgresql,
        engine_version: "15.4".to_owned(),
        strategy: Strategy::Restore,
        reasons: Vec::new(),
        target: time(TARGET),
        use_latest: false,
        window: Window { earliest: time("2026-11-16T02:00:00Z"), latest: time("2026-11-23T10:34:00Z") },
        new_cluster: "orders-r".to_owned(),
        instances: vec![instance(1, "db.r6g.xlarge", 1, true), instance(2, "db.r6g.large", 5, false)],
        dns: vec![record("db", Endpoint::Writer), record("db-ro", Endpoint::Reader)],
        checks: Vec::new(),
        check_timeout_seconds: 60,
        compare_seconds: 0,
        secret_arn: "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-orders".to_owned(),
        secret_moment: None,
        check_secret_arn: None,
        approval: Approval::Required,
        approval_timeout_seconds: 3_600,
        fence_timeout_seconds: 900,
        keep_source_seconds: 7 * 86_400,
        keep_restored_seconds: 86_400,
        dry_run: false,
        backtrack: None,
        adopted: None,
        will_do: Vec::new(),
        warnings: Vec::new(),
        findings: Vec::new(),
        started_by: Vec::new(),
        signature: None,
    }
}

/// The source as an Aurora MySQL cluster with Backtrack on.
pub fn mysql_source() -> Cluster {
    Cluster {
        engine: Engine::AuroraMysql,
        engine_version: "8.0.mysql_aurora.3.08.0".to_owned(),
        port: Some(3306),
        master_username: Some("admin".to_owned()),
        backtrack_window: Some(86_400),
        earliest_backtrack: Some(time("2026-11-22T10:36:00Z")),
        // On, it would be a way around the fence: no cluster is rewound in place with it.
        data_api: false,
        created: Some(time("2026-01-05T08:00:00Z")),
        ..source()
    }
}

/// An RDS with that source alone, just as the recovery starts.
pub fn mysql_rds() -> FakeRds {
    let rds = FakeRds::with(vec![mysql_source()], instances());
    rds.set_now(time(STARTED));
    rds
}

/// The plan of an in-place recovery of that source, whose safety clone is `orders-e`.
pub fn in_place_plan() -> Plan {
    let window = Window { earliest: time("2026-11-22T10:36:00Z"), latest: time(STARTED) };
    Plan {
        engine: Engine::AuroraMysql,
        engine_version: mysql_source().engine_version,
        strategy: Strategy::Backtrack,
        window,
        new_cluster: "orders-e".to_owned(),
        instances: vec![PlannedInstance {
            source: "orders-1".to_owned(),
            name: "orders-e-1".to_owned(),
            class: "db.r6g.xlarge".to_owned(),
            // Tier 0, as validate-window plans it: the clone's only instance becomes its writer without a failover.
            promotion_tier: 0,
            writer: true,
        }],
        dns: Vec::new(),
        backtrack: Some(InPlacePlan {
            window_seconds: 86_400,
            force: false,
            security_groups: vec!["sg-app".to_owned()],
        }),
        ..plan()
    }
}

/// The safety clone, as clone-source answers it.
pub fn safety_clone() -> Restored {
    Restored {
        cluster: "orders-e".to_owned(),
        cluster_arn: "arn:aws:rds:us-east-1:000000000000:cluster:orders-e".to_owned(),
        writer_endpoint: "orders-e.cluster-x.us-east-1.rds.amazonaws.com".to_owned(),
        reader_endpoint: "orders-e.cluster-ro-x.us-east-1.rds.amazonaws.com".to_owned(),
        rewound_to: time("2026-11-23T10:36:00Z"),
        differences: Vec::new(),
    }
}

fn record(name: &str, endpoint: Endpoint) -> PlannedRecord {
    let source = source();
    let from = match endpoint {
        Endpoint::Writer => source.endpoint,
        Endpoint::Reader => source.reader_endpoint,
    };
    PlannedRecord {
        hosted_zone_id: "Z1".to_owned(),
        name: format!("{name}.example.com"),
        ttl: 5,
        from: from.unwrap_or_default(),
        endpoint,
    }
}

/// The restored cluster, as start-restore answers it.
pub fn restored() -> Restored {
    Restored {
        cluster: "orders-r".to_owned(),
        cluster_arn: "arn:aws:rds:us-east-1:000000000000:cluster:orders-r".to_owned(),
        writer_endpoint: "orders-r.cluster-x.us-east-1.rds.amazonaws.com".to_owned(),
        reader_endpoint: "orders-r.cluster-ro-x.us-east-1.rds.amazonaws.com".to_owned(),
        rewound_to: time(TARGET),
        differences: Vec::new(),
    }
}

/// The record of a recovery of `plan` that ended in `Recovered`, before anything else happened to it.
pub fn recovery_record(plan: &Plan) -> RecoveryRecord {
    RecoveryRecord {
        id: plan.recovery_id.clone(),
        execution_arn: recovery().execution_arn,
        state: "Recovered".to_owned(),
        cluster: plan.cluster.clone(),
        new_cluster: Some(plan.new_cluster.clone()),
        started_at: time(STARTED),
        ended_at: None,
        approval: None,
        decision: None,
        undo: None,
        undoes: None,
        fence_begun_at: None,
        lift: None,
        cancel: None,
        clean_up: None,
        opening: None,
        last_opening: None,
        resumed_by: None,
        error: None,
        cause: None,
        outcome: None,
        moved: None,
        plan: Some(plan.clone()),
        request: None,
        unreadable: Vec::new(),
    }
}

/// The output of a recovery that moved the traffic of `orders` to `orders-r`.
pub fn recovered() -> Recovered {
    let (source, restored, fenced_at) = (source(), restored(), time("2026-11-23T10:40:00Z"));
    Recovered {
        recovery_id: recovery().id,
        strategy: Strategy::Restore,
        rewound_to: restored.rewound_to,
        cluster: source.name.clone(),
        new_cluster: Some(restored.cluster),
        writer_endpoint: restored.writer_endpoint.clone(),
        reader_endpoint: restored.reader_endpoint,
        dns: vec![MovedRecord {
            name: "db.example.com".to_owned(),
            from: source.endpoint.unwrap_or_default(),
            to: restored.writer_endpoint,
            ttl: 5,
        }],
        checks: Vec::new(),
        tables: Vec::new(),
        estimates: None,
        notes: Vec::new(),
        differences: Vec::new(),
        fence: Some(Fence { fenced_at, sessions_ended: 3, layers: Vec::new() }),
        not_carried_over: Some(WritesNotCarriedOver {
            from: restored.rewound_to,
            to: fenced_at,
            place: "kept on orders, which is fenced".to_owned(),
        }),
        comparison: None,
        source: KeptSource {
            cluster: source.name,
            keep_until: Some(time("2026-11-30T10:40:00Z")),
            keep: Some(KeepCommands {
                keep_longer: "aws rds add-tags-to-resource …".to_owned(),
                keep_forever: "aws rds remove-tags-from-resource …".to_owned(),
            }),
        },
        safety_clone: None,
        held_jobs: Vec::new(),
        unconfirmed: None,
        outage_seconds: Some(3.2),
        timings: [("StartRestore".to_owned(), 1.5), ("total".to_owned(), 14.1)].into(),
    }
}
