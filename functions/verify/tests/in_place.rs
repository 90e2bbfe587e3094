//! Verification of a cluster that was rewound in place, on real MariaDB: what it is held against, and what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, TARGET, in_place_plan, mysql_source, recovery, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::rds::{Cluster, Instance};
use rewind_aws::secret_target::{ReadSecretTargets, SecretTarget};
use rewind_aws::secrets::{Login, Logins};
use rewind_core::{
    Check, CheckDatabases, CheckResult, ErrorName, Expectation, Plan, Recovery, Report, Restored, StepError,
};
use rewind_db::{Network, Settings};
use rewind_lambda::Step;
use support::mariadb::{MASTER_PASSWORD, MariaDb};
use verify::{Expect, Input, Verify};

/// The secret of a login that can only read.
const READER_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:reader";

struct Secret;

impl Logins for Secret {
    async fn logins(&self, secret_arn: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        if secret_arn == READER_SECRET {
            let (user, password) = (Some("reader".to_owned()), "reads and no more".to_owned());
            return Ok(vec![Login { user, password, version: "AWSPREVIOUS".to_owned() }]);
        }
        let login = |password: &str, version: &str| Login {
            user: None,
            password: password.to_owned(),
            version: version.to_owned(),
        };
        Ok(vec![login("of another time", "AWSPREVIOUS"), login(MASTER_PASSWORD, "AWSCURRENT")])
    }
}

impl ReadSecretTargets for Secret {
    async fn secret_target(&self, _: &str) -> AwsResult<SecretTarget> {
        Ok(SecretTarget::default())
    }
}

fn cluster(name: &str, server: &MariaDb) -> Cluster {
    Cluster {
        name: name.to_owned(),
        endpoint: Some(server.address.to_string()),
        port: Some(i32::from(server.port)),
        ..mysql_source()
    }
}

/// The rewound cluster `orders`, its safety clone `orders-e`, and what verification says of them.
async fn verify(rewound: &MariaDb, safety_clone: &MariaDb, expect: Expect, sql: &str) -> Result<Report, StepError> {
    verify_as(in_place_plan(), (rewound, safety_clone), expect, sql).await
}

async fn verify_as(plan: Plan, servers: (&MariaDb, &MariaDb), expect: Expect, sql: &str) -> Result<Report, StepError> {
    verify_for(recovery(), plan, servers, expect, sql).await
}

/// The same with what the plan says of the login; the safety clone has a reader that takes no connection.
async fn verify_for(
    recovery: Recovery,
    mut plan: Plan,
    (rewound, safety_clone): (&MariaDb, &MariaDb),
    expect: Expect,
    sql: &str,
) -> Result<Report, StepError> {
    let reader = Instance {
        name: "orders-e-2".to_owned(),
        status: "available".to_owned(),
        // An address at which nobody listens.
        endpoint: Some("127.250.250.250".to_owned()),
        ..Instance::default()
    };
    let clusters = vec![cluster("orders", rewound), cluster("orders-e", safety_clone)];
    let clusters = FakeRds::with(clusters, vec![("orders-e".to_owned(), reader)]);
    // Without a text there is no check.
    plan.checks = (!sql.is_empty())
        .then(|| Check {
            name: "rows are back".to_owned(),
            database: "shop".to_owned(),
            sql: sql.to_owned(),
            expectation: Expectation::Expect("2".to_owned()),
        })
        .into_iter()
        .collect();
    let restored = Restored {
        cluster: "orders".to_owned(),
        cluster_arn: mysql_source().arn,
        writer_endpoint: rewound.address.to_string(),
        reader_endpoint: rewound.address.to_string(),
        rewound_to: time(TARGET),
        differences: Vec::new(),
    };
    // Whose errors quote what they were given.
    let check_functions = vec!["extractvalue".to_owned(), "shop.quotes".to_owned()];
    let network =
        Network::new(Settings { check_functions, check_databases: CheckDatabases::all(), ..Settings::default() })
            .unwrap();
    let access = Access { clusters, secrets: Secret, network };
    let step = Verify { access, clock: ManualClock::at(STARTED) };
    step.run(Input { recovery, plan, restored: Some(restored), expect }).await
}

/// The reason why the recovery does not go on.
fn why_not(report: &Report) -> &str {
    assert!(!report.passed, "{report}");
    report.failure.as_deref().unwrap()
}

/// Values that the rows have, in a check that passes, one that fails and one that the database refuses for what it read.
#[tokio::test]
async fn no_value_of_a_row_leaves_the_results_of_the_checks() {
    const CANARY: &str = "canary-4711";
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    for server in [&rewound, &safety_clone] {
        server.sql("shop", &format!("UPDATE orders SET word = '{CANARY}'"));
        server.sql(
            "shop",
            "DELIMITER //\nCREATE FUNCTION quotes() RETURNS INT READS SQL DATA BEGIN DECLARE w TEXT; \
             SELECT min(word) INTO w FROM orders; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = w; RETURN 1; END //\nDELIMITER ;",
        );
    }
    for expect in [Expect::Checks, Expect::SameAsSource] {
        for sql in [
            "SELECT min(word) FROM orders",
            "SELECT extractvalue(1, concat(0x7e, (SELECT min(word) FROM orders)))",
            "SELECT shop.quotes()",
        ] {
            let mut report = verify(&rewound, &safety_clone, expect, sql).await.unwrap();
            assert!(!report.to_string().contains(CANARY), "{sql}: {report}");
            let failure = report.failure.take().unwrap_or_default();
            assert!(!failure.contains(CANARY), "{sql}: {failure}");
            report.checks = report.checks.into_iter().map(CheckResult::without_values).collect();
            let rest = serde_json::to_string(&report).unwrap();
            assert!(!rest.contains(CANARY), "{sql}: {rest}");
        }
    }
    // There it is, for whoever may read the history.
    let report = verify(&rewound, &safety_clone, Expect::Checks, "SELECT min(word) FROM orders").await.unwrap();
    assert_eq!(report.checks.first().unwrap().found.as_deref(), Some(CANARY));
}

const COUNT: &str = "SELECT count(*) FROM orders";

#[tokio::test]
async fn the_checks_decide_and_the_safety_clone_is_shown() {
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    safety_clone.sql("shop", "DELETE FROM orders");
    let report = verify(&rewound, &safety_clone, Expect::Checks, COUNT).await.unwrap();
    assert!(report.passed);
    assert_eq!(report.login.secret_version, "AWSCURRENT");
    assert_eq!(report.checks.first().unwrap().source.as_deref(), Some("0"));
    let table = report.tables.first().unwrap();
    assert_eq!((table.table.as_str(), table.restored, table.source), ("shop.orders", Some(2), Some(0)));

    let failed = verify(&safety_clone, &rewound, Expect::Checks, COUNT).await.unwrap();
    assert_eq!((failed.passed, failed.checks.first().unwrap().found.as_deref()), (false, Some("0")));
    let why = failed.failure.unwrap();
    for text in ["check \"rows are back\" in shop failed", "was on orders-e", "rewind status"] {
        assert!(why.contains(text), "{why}\nlacks {text}");
    }
}

#[tokio::test]
async fn gone_forward_it_has_to_be_what_the_safety_clone_is_whatever_the_checks_expect() {
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    for server in [&rewound, &safety_clone] {
        server.sql("shop", "DELETE FROM orders");
    }
    let report = verify(&rewound, &safety_clone, Expect::SameAsSource, COUNT).await.unwrap();
    assert!(report.passed && report.to_string().contains("compared with orders-e: 1 checks and 1 tables"), "{report}");
    assert!(verify(&rewound, &safety_clone, Expect::SameAsSource, "SELECT * FROM nowhere").await.unwrap().passed);

    rewound.sql("shop", "INSERT INTO orders (word) VALUES ('late')");
    let differs = verify(&rewound, &safety_clone, Expect::SameAsSource, COUNT).await.unwrap();
    let shown = differs.checks.first().unwrap().with_values().to_string();
    assert!(shown.contains("expected what orders-e answers, found 1"), "{shown}");
    assert!(why_not(&differs).contains("check \"rows are back\" in shop failed"), "{differs}");
    // A check that answers the same on both does not hide that its table differs.
    let blind = "SELECT count(*) >= 0 FROM orders";
    let differs = verify(&rewound, &safety_clone, Expect::SameAsSource, blind).await.unwrap();
    assert!(why_not(&differs).contains("shop.orders in shop differs from orders-e"), "{differs}");
}

#[tokio::test]
async fn what_cannot_be_compared_is_never_the_same() {
    let (rewound, mut safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    safety_clone.crash();
    let error = verify(&rewound, &safety_clone, Expect::SameAsSource, COUNT).await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unavailable);
    let report = verify(&rewound, &safety_clone, Expect::Checks, COUNT).await.unwrap();
    assert!(report.notes.iter().any(|note| note.contains("could not be compared")), "{report}");
}

#[tokio::test]
async fn checks_run_with_their_own_login_and_what_that_lacks_is_told() {
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let plan = || Plan { check_secret_arn: Some(READER_SECRET.to_owned()), ..in_place_plan() };
    let both = (&rewound, &safety_clone);
    let make = "CREATE USER reader@'%' IDENTIFIED BY 'reads and no more'; GRANT SELECT ON shop.* TO reader@'%'";
    safety_clone.sql("", make);
    // Made after the moment that the cluster was rewound to.
    let error = verify_as(plan(), both, Expect::Checks, COUNT).await.unwrap_err();
    assert_eq!(error.name, ErrorName::VerificationFailed);
    for text in [
        "no check ran: the check login of",
        READER_SECRET,
        "orders, whose logins and passwords are those of",
        "checkSecretArn",
    ] {
        assert!(error.to_string().contains(text), "{error}\nlacks {text}");
    }
    rewound.sql("", make);
    let report = verify_as(plan(), both, Expect::Checks, COUNT).await.unwrap();
    assert_eq!((report.login.user.as_str(), report.login.secret_version.as_str()), ("reader", "AWSPREVIOUS"));
    assert_eq!(report.checks.first().unwrap().source.as_deref(), Some("2"), "{report}");
    // What the master user could read, it cannot.
    let denied = verify_as(plan(), both, Expect::Checks, "SELECT count(*) FROM mysql.user").await.unwrap();
    assert!(why_not(&denied).contains("denied"), "{denied}");
}

#[tokio::test]
async fn the_checks_of_an_event_never_run_as_who_was_the_master_at_that_moment() {
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let make = "CREATE USER reader@'%' IDENTIFIED BY 'reads and no more'; GRANT SELECT ON shop.* TO reader@'%'";
    for server in [&rewound, &safety_clone] {
        server.sql("", make);
    }
    let plan = || Plan { check_secret_arn: Some(READER_SECRET.to_owned()), ..in_place_plan() };
    let of_event = || Recovery { id: "event-1".to_owned(), ..recovery() };
    let planned = || Plan { recovery_id: "event-1".to_owned(), ..plan() };
    let both = (&rewound, &safety_clone);
    verify_for(of_event(), planned(), both, Expect::Checks, COUNT).await.unwrap();
    for server in [&rewound, &safety_clone] {
        server.sql("", "GRANT ALL ON *.* TO reader@'%' WITH GRANT OPTION");
        let error = verify_for(of_event(), planned(), both, Expect::Checks, COUNT).await.unwrap_err();
        assert!(error.to_string().contains("reader has the rights of the master user"), "{error}");
        // A person may.
        verify_as(plan(), both, Expect::Checks, COUNT).await.unwrap();
        server.sql("", "REVOKE ALL, GRANT OPTION FROM reader@'%'; GRANT SELECT ON shop.* TO reader@'%'");
    }
}

#[tokio::test]
async fn gone_forward_without_a_check_that_compares_anything_all_tables_are_counted() {
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    for server in [&rewound, &safety_clone] {
        server.sql("", "CREATE DATABASE other; CREATE TABLE other.`odd name` AS SELECT 1 AS one");
    }
    // No check at all; one that fails alike on both; one that reads no table has compared something.
    for (sql, tables) in [("", 2), ("SELECT * FROM nowhere", 2), ("SELECT 2", 0)] {
        let report = verify(&rewound, &safety_clone, Expect::SameAsSource, sql).await.unwrap();
        assert_eq!(report.tables.len(), tables, "{sql}: {report}");
    }
    rewound.sql("other", "DELETE FROM `odd name`");
    for sql in ["", "SELECT * FROM nowhere"] {
        let differs = verify(&rewound, &safety_clone, Expect::SameAsSource, sql).await.unwrap();
        assert!(why_not(&differs).contains("other.odd name in other differs from orders-e"), "{differs}");
    }
    // A table on one side alone is a difference, whichever it is.
    for (server, side) in [(&safety_clone, "clone"), (&rewound, "rewound")] {
        rewound.sql("", "CREATE OR REPLACE TABLE other.`odd name` AS SELECT 1 AS one");
        safety_clone.sql("", "CREATE OR REPLACE TABLE other.`odd name` AS SELECT 1 AS one");
        server.sql("other", "DROP TABLE `odd name`");
        assert!(!verify(&rewound, &safety_clone, Expect::SameAsSource, "").await.unwrap().passed, "{side}");
    }
    for server in [&rewound, &safety_clone] {
        server.sql("", "DROP DATABASE other; DROP DATABASE shop");
    }
    let nothing = verify(&rewound, &safety_clone, Expect::SameAsSource, "").await.unwrap();
    assert!(why_not(&nothing).contains("nothing was compared with orders-e"), "{nothing}");
    // The checks of a recovery decide as before, and a request without any has none to fail.
    assert!(verify(&rewound, &safety_clone, Expect::Checks, "").await.unwrap().passed);
}

#[tokio::test]
async fn without_checks_missing_tables_and_estimates_are_shown_and_fail_nothing() {
    let (rewound, safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    rewound.sql("shop", "CREATE TABLE carts (n INT)");
    safety_clone.sql("shop", "DELETE FROM orders; ANALYZE TABLE orders");
    rewound.sql("shop", "ANALYZE TABLE orders");
    let report = verify(&rewound, &safety_clone, Expect::Checks, "").await.unwrap();
    let estimates = report.estimates.as_ref().unwrap();
    assert!(report.passed && report.failure.is_none());
    assert_eq!((estimates.restored.as_str(), estimates.source.as_str()), ("orders", "orders-e"));
    let shop = estimates.differing.first().unwrap();
    let (missing, rows) = (shop.missing_on_source.named.first().unwrap(), shop.rows.named.first().unwrap());
    assert_eq!(
        (missing.table.as_str(), rows.table.as_str(), rows.restored, rows.source),
        ("carts", "orders", 2, Some(0))
    );
    // A login of the checks' own gets into few databases: the fence's reads them.
    for server in [&rewound, &safety_clone] {
        server.sql("", "CREATE USER reader@'%' IDENTIFIED BY 'reads and no more'");
    }
    let own = Plan { check_secret_arn: Some(READER_SECRET.to_owned()), ..in_place_plan() };
    let with_own = verify_as(own, (&rewound, &safety_clone), Expect::Checks, "").await.unwrap();
    assert_eq!(with_own.estimates, report.estimates);
    // Where counts are compared and decide, there is nothing to estimate.
    let forward = verify(&rewound, &rewound, Expect::SameAsSource, "").await.unwrap();
    assert!(forward.passed && forward.estimates.is_none(), "{forward}");
}

#[tokio::test]
async fn estimates_that_cannot_be_read_are_a_note() {
    let (rewound, mut safety_clone) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    safety_clone.crash();
    let report = verify(&rewound, &safety_clone, Expect::Checks, "").await.unwrap();
    assert!(report.passed && report.estimates.is_none(), "{report}");
    assert!(report.notes.iter().any(|note| note.contains("the source could not be compared with")), "{report}");
}
