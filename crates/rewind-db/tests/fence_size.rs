//! The fence around a server with very many tenants: how long it takes, and how large its record is. `--no-capture` prints the
//! times; `FENCE_TENANTS` and `FENCE_SESSIONS` are the numbers of tenants and of open sessions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_db::fence::{FenceTimeouts, LoginRecord, apply, lift, read_logins, verify};
use rewind_db::{Server, Session, Target};
use std::time::{Duration, Instant};
use support::mariadb::MariaDb;
use support::{APP_PASSWORD, Postgres, credential, network};

fn tenants() -> usize {
    std::env::var("FENCE_TENANTS").ok().map_or(2000, |count| count.parse().unwrap())
}

fn sessions() -> usize {
    std::env::var("FENCE_SESSIONS").ok().map_or(20, |count| count.parse().unwrap())
}

/// The time that clients may have no database, from the fence to the first write on the restored cluster.
const BUDGET: Duration = Duration::from_secs(10);

/// Raises a fence around a server with open sessions, lifts it, and returns how long raising it took.
async fn raise_and_lift(server: &Server, session: &Session, target: &Target) -> Duration {
    let app = credential("app", APP_PASSWORD, "");
    let mut clients = Vec::new();
    for _ in 0..sessions() {
        clients.push(network().connect(target, &app, "shop").await.unwrap());
    }
    let started = Instant::now();
    let state = LoginRecord::of(&read_logins(session).await.unwrap());
    let read = started.elapsed();
    let fenced = apply(session, &state, FenceTimeouts::default()).await.unwrap();
    let applied = started.elapsed();
    let verification = verify(server, session, &state, &fenced).await.unwrap();
    let raised = started.elapsed();
    assert!(verification.is_complete(), "{:?}", verification.open.first());
    assert_eq!(fenced.sessions_ended, clients.len() as u64);
    let record = serde_json::to_string(&state).unwrap().len();
    lift(session, &state).await.unwrap();
    let lifted = started.elapsed();
    println!(
        "read {read:?}, applied {:?}, verified {:?}: fence {raised:?}, lifted {:?}; record {record} bytes",
        applied - read,
        raised - applied,
        lifted - raised
    );
    raised
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_with_thousands_of_databases_and_roles_is_fenced_within_seconds() {
    let server = Postgres::start_with(&["max_connections=600", "autovacuum=off"], None).with_application();
    server.add_tenants(tenants());
    let before = server.accounts();
    let (master, session) = (server.master().await, server.maintenance().await);
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(raise_and_lift(&master, &session, &server.target()).await);
    }
    times.sort_unstable();
    assert!(times[1] < BUDGET, "{times:?}");
    assert!(server.accounts() == before, "not everything is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_with_thousands_of_accounts_is_fenced_within_seconds() {
    let server = MariaDb::start_with(&["--max-connections=700"], None).with_application();
    server.add_tenants(tenants());
    let before = server.accounts();
    let (master, session) = (server.master().await, server.maintenance().await);
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(raise_and_lift(&master, &session, &server.target()).await);
    }
    times.sort_unstable();
    assert!(times[1] < BUDGET, "{times:?}");
    assert!(server.accounts() == before, "not everything is as it was");
}
