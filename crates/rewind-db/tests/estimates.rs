//! The tables of all databases and estimates of their rows, on real servers of both engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::{DatabaseEstimates, Estimates};
use rewind_db::{Server, estimate_rows};
use support::Postgres;
use support::mariadb::MariaDb;

async fn estimate(restored: &Server, source: &Server) -> Estimates {
    estimate_rows((restored, "orders-r"), (source, "orders")).await.unwrap()
}

/// A table whose estimates are far apart: its name, and the estimates on the restored cluster and on the source.
type Apart<'a> = (&'a str, u64, Option<u64>);

/// The tables that the restored cluster lacks, those that the source lacks, and those whose estimates are far apart.
fn found(database: &DatabaseEstimates) -> (Vec<&str>, Vec<&str>, Vec<Apart<'_>>) {
    (
        database.missing_on_restored.named.iter().map(|missing| missing.table.as_str()).collect(),
        database.missing_on_source.named.iter().map(|missing| missing.table.as_str()).collect(),
        database.rows.named.iter().map(|rows| (rows.table.as_str(), rows.restored, rows.source)).collect(),
    )
}

const FILL_POSTGRESQL: &str = "CREATE TABLE items (n int); INSERT INTO items SELECT generate_series(1, 5000);
    CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 5000);
    CREATE TABLE months (n int) PARTITION BY RANGE (n); CREATE TABLE month PARTITION OF months FOR VALUES FROM (0) TO (9999);
    INSERT INTO months SELECT generate_series(1, 3000); CREATE TABLE carts (n int); CREATE TABLE never (n int);
    CREATE UNLOGGED TABLE cache (n int); INSERT INTO cache SELECT generate_series(1, 5000)";

/// Waits until the server has counted what sessions did that have ended.
fn until_counted(postgres: &Postgres, table: &str, rows: &str) {
    for _ in 0..100 {
        if postgres.sql("shop", &format!("SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = '{table}'"))
            == rows
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{table} was not counted");
}

#[tokio::test]
async fn postgresql_tables_that_are_missing_and_estimates_far_apart_are_found() {
    let (restored, source) = (Postgres::start().with_application(), Postgres::start().with_application());
    for server in [&restored, &source] {
        server.sql("shop", FILL_POSTGRESQL);
        // Otherwise the rows of a session that is still ending are counted again behind the analysis.
        for (table, rows) in [("items", "5000"), ("kept", "5000"), ("month", "3000"), ("orders", "2")] {
            until_counted(server, table, rows);
        }
        for table in ["items", "kept", "month", "orders", "carts"] {
            server.sql("shop", &format!("ANALYZE {table}"));
        }
    }
    let (on_restored, on_source) = (restored.master().await, source.master().await);
    let same = estimate(&on_restored, &on_source).await;
    assert!(same.are_equal() && same.notes.is_empty(), "{same:?}");
    assert!(same.databases >= 2 && same.never_analysed == 1, "{same:?}");

    // As a restore has it: the catalogue, and nothing that was counted since.
    restored.sql("shop", "SELECT pg_stat_reset()");
    source.sql("shop", "DELETE FROM items; TRUNCATE orders; DELETE FROM month WHERE n > 1000; DROP TABLE carts; CREATE TABLE made (n int)");
    source.sql("postgres", "CREATE DATABASE since");
    until_counted(&source, "items", "0");
    until_counted(&source, "month", "1000");
    let found_now = estimate(&on_restored, &on_source).await;
    assert_eq!(found_now.missing_on_restored.named, ["since"]);
    assert_eq!(found_now.differing.len(), 1, "{found_now:?}");
    let shop = &found_now.differing[0];
    assert_eq!(shop.database, "shop");
    let rows = vec![("public.items", 5000, Some(0)), ("public.month", 3000, Some(1000)), ("public.orders", 2, Some(0))];
    assert_eq!(found(shop), (vec!["public.made"], vec!["public.carts"], rows));

    // A reader has the catalogue alone: of a table that was emptied by TRUNCATE that says no number any more.
    source.sql("shop", "SELECT pg_stat_reset()");
    let by_catalogue = estimate(&on_restored, &on_source).await;
    assert_eq!(found(&by_catalogue.differing[0]).2, [("public.orders", 2, None)]);
}

#[tokio::test]
async fn postgresql_a_database_that_cannot_be_read_is_a_note_and_the_others_are_read() {
    let (restored, source) = (Postgres::start().with_application(), Postgres::start().with_application());
    source.sql("postgres", "ALTER DATABASE shop CONNECTION LIMIT 0");
    let estimates = estimate(&restored.master().await, &source.master().await).await;
    assert!(estimates.databases >= 1 && estimates.are_equal(), "{estimates:?}");
    assert!(estimates.notes[0].contains("could not be read, the first of them shop: "), "{estimates:?}");
}

#[tokio::test]
async fn mysql_tables_that_are_missing_and_estimates_far_apart_are_found() {
    let (restored, source) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    for server in [&restored, &source] {
        server.sql(
            "shop",
            "CREATE TABLE items (n INT); INSERT INTO items SELECT seq FROM seq_1_to_5000; CREATE TABLE carts (n INT); \
             CREATE VIEW shown AS SELECT n FROM items; ANALYZE TABLE items, orders, carts; CREATE DATABASE crm",
        );
    }
    let (on_restored, on_source) = (restored.master().await, source.master().await);
    let same = estimate(&on_restored, &on_source).await;
    assert!(same.are_equal() && same.notes.is_empty(), "{same:?}");
    assert_eq!((same.databases, same.tables), (2, 3));

    source.sql(
        "shop",
        "DELETE FROM items; ANALYZE TABLE items; DROP TABLE carts; CREATE TABLE made (n INT); DROP DATABASE crm",
    );
    let found_now = estimate(&on_restored, &on_source).await;
    assert_eq!(found_now.missing_on_source.named, ["crm"]);
    let shop = &found_now.differing[0];
    let (made, dropped, rows) = found(shop);
    assert_eq!((made, dropped, rows.len()), (vec!["made"], vec!["carts"], 1));
    // InnoDB samples pages, so its number is near the truth.
    assert!(rows[0].0 == "items" && rows[0].1.abs_diff(5000) < 500 && rows[0].2 == Some(0), "{rows:?}");
}
