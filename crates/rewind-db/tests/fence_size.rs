//! The fence around a server with very many tenants: how long it takes, and how large its record is. Run with
//! `FENCE_TENANTS=2000` (the default) or fewer; `--no-capture` prints the times.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_db::Server;
use rewind_db::fence::{FenceTimeouts, LoginRecord, apply, lift, read_logins, verify};
use std::time::{Duration, Instant};
use support::Postgres;
use support::mariadb::MariaDb;

fn tenants() -> usize {
    std::env::var("FENCE_TENANTS").ok().map_or(2000, |count| count.parse().unwrap())
}

/// The parts of a fence, in milliseconds.
async fn raise_and_lift(server: &Server, session: &rewind_db::Session) -> Duration {
    let started = Instant::now();
    let state = LoginRecord::of(&read_logins(session).await.unwrap());
    let read = started.elapsed();
    let fenced = apply(session, &state, FenceTimeouts::default()).await.unwrap();
    let applied = started.elapsed();
    let verification = verify(server, session, &state, &fenced).await.unwrap();
    let raised = started.elapsed();
    assert!(verification.is_complete(), "{:?}", verification.open.first());
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
    for _ in 0..3 {
        raise_and_lift(&master, &session).await;
    }
    assert!(server.accounts() == before, "not everything is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_with_thousands_of_accounts_is_fenced_within_seconds() {
    let server = MariaDb::start().with_application();
    server.add_tenants(tenants());
    let before = server.accounts();
    let (master, session) = (server.master().await, server.maintenance().await);
    for _ in 0..3 {
        raise_and_lift(&master, &session).await;
    }
    assert!(server.accounts() == before, "not everything is as it was");
}
