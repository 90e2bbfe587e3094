//! The fence of the cluster that clients have left, here the source after the cutover, on real MariaDB and PostgreSQL: closed, opened by somebody, got into, and unseen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where something is wrong")]

#[path = "../../../crates/rewind-db/tests/support/mod.rs"]
mod support;

use confirm_cutover::{ConfirmCutover, FenceFinding, Side};
use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::AwsResult;
use rewind_aws::fixtures::{ManualClock, STARTED, mysql_source, plan, recovery, source};
use rewind_aws::rds::Cluster;
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::secrets::{Login, Logins};
use rewind_core::Polling;
use rewind_db::{Network, Settings};
use support::mariadb::{MASTER_PASSWORD, MariaDb, master};
use support::{Postgres, network};

struct Secret;

impl Logins for Secret {
    async fn logins(&self, _: &str, _: Timestamp) -> AwsResult<Vec<Login>> {
        Ok(vec![Login { user: None, password: MASTER_PASSWORD.to_owned(), version: "AWSCURRENT".to_owned() }])
    }
}

/// The source `orders` at this address, with the groups of the fence.
fn fenced(of: Cluster, address: &str, port: u16) -> FakeRds {
    let cluster = Cluster {
        endpoint: Some(address.to_owned()),
        port: Some(i32::from(port)),
        security_groups: vec!["sg-fence".to_owned()],
        ..of
    };
    FakeRds::with(vec![cluster], Vec::new())
}

/// The finding where these are the groups of the fence.
async fn inspect(rds: &FakeRds, groups: &[&str]) -> FenceFinding {
    let network = Network::new(Settings::default()).unwrap();
    let step = ConfirmCutover {
        access: Access { clusters: rds.clone(), secrets: Secret, network },
        clock: ManualClock::at(STARTED),
        polling: Polling::default(),
        fence_groups: groups.iter().map(|&group| group.to_owned()).collect(),
    };
    let (source, restored) = (side("orders"), side("orders-r"));
    step.inspect_fence(&recovery(), &plan(), source, restored).await
}

fn side(cluster: &str) -> Side<'_> {
    Side { cluster, moment: Timestamp::UNIX_EPOCH }
}

fn is_open(fence: &FenceFinding, part: &str) -> bool {
    let begins = "the fence of orders does not hold: ";
    matches!(fence, FenceFinding::Open(why) if why.starts_with(begins) && why.contains(part))
}

#[tokio::test]
async fn a_source_on_mysql_that_somebody_opened_or_got_into_is_told() {
    let mut server = MariaDb::start().with_application();
    let rds = fenced(mysql_source(), &server.address.to_string(), server.port);
    server.sql("", "ALTER USER app@'%' ACCOUNT LOCK");
    for groups in [&["sg-fence"][..], &[]] {
        assert_eq!(inspect(&rds, groups).await, FenceFinding::Closed, "{groups:?}");
    }
    // Somebody else has the master user's password. MySQL cannot lock it.
    let other = network().connect(&server.target(), &master(), "shop").await.unwrap();
    let fence = inspect(&rds, &["sg-fence"]).await;
    assert!(is_open(&fence, "1 sessions are there: admin in shop"), "{fence:?}");
    other.close().await;

    rds.edit("orders", |cluster| cluster.security_groups.push("sg-app".to_owned()));
    let fence = inspect(&rds, &["sg-fence"]).await;
    assert!(is_open(&fence, "its security groups are sg-fence, sg-app, and may only be sg-fence"), "{fence:?}");
    rds.edit("orders", |cluster| cluster.security_groups.truncate(1));

    // Behind the groups an unlocked account is no way in. Without them, and for the Data API, it is one.
    server.sql("", "ALTER USER app@'%' ACCOUNT UNLOCK");
    assert_eq!(inspect(&rds, &["sg-fence"]).await, FenceFinding::Closed);
    let fence = inspect(&rds, &[]).await;
    assert!(is_open(&fence, "the account app@% is not locked"), "{fence:?}");
    rds.edit("orders", |cluster| cluster.data_api = true);
    let fence = inspect(&rds, &["sg-fence"]).await;
    assert!(is_open(&fence, "the account app@% is not locked"), "{fence:?}");

    server.crash();
    let fence = inspect(&rds, &["sg-fence"]).await;
    assert!(matches!(&fence, FenceFinding::Unseen(_)), "{fence:?}");
}

#[tokio::test]
async fn a_source_on_postgresql_whose_limit_somebody_lifted_is_told() {
    let server = Postgres::start().with_application();
    let rds = fenced(source(), &server.address.to_string(), server.port);
    rds.edit("orders", |cluster| cluster.data_api = false);
    for database in ["shop", "postgres"] {
        server.sql("template1", &format!("ALTER DATABASE {database} CONNECTION LIMIT 0"));
    }
    assert_eq!(inspect(&rds, &[]).await, FenceFinding::Closed);
    server.sql("template1", "ALTER DATABASE shop CONNECTION LIMIT -1");
    let fence = inspect(&rds, &[]).await;
    assert!(is_open(&fence, "the database shop takes connections"), "{fence:?}");
    assert_eq!(inspect(&rds, &["sg-fence"]).await, FenceFinding::Closed);
}
