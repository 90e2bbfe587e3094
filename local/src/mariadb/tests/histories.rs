//! Random changes and random rewinds, compared with a model of each moment: histories that nobody would write by hand.

use super::stack::{Client, Session, Stack};
use fastrand::Rng;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const TEST_DURATION: Duration = Duration::from_secs(15);

/// Rows by table.
type Model = BTreeMap<String, BTreeMap<u8, u8>>;

/// One random change, and the statements that make it.
fn change(random: &mut Rng, model: &mut Model) -> String {
    let table = format!("t{}", random.u8(0..4));
    let (id, value) = (random.u8(0..30), random.u8(..));
    let Some(rows) = model.get_mut(&table) else {
        // Tables without transactions are logged in another way, and a log may be cut between their statements.
        let engine = ["InnoDB", "InnoDB", "MyISAM", "Aria"][random.usize(0..4)];
        model.insert(table.clone(), BTreeMap::new());
        return format!("CREATE TABLE shop.{table} (id INT PRIMARY KEY, v INT) ENGINE = {engine};");
    };
    match random.u8(0..20) {
        0 => {
            model.remove(&table);
            format!("DROP TABLE shop.{table};")
        }
        1 => {
            rows.clear();
            format!("TRUNCATE TABLE shop.{table};")
        }
        // The next file of the log: positions are pairs from here on.
        2 => "FLUSH LOGS;".to_owned(),
        3..6 => {
            rows.retain(|_, old| *old >= value);
            format!("DELETE FROM shop.{table} WHERE v < {value};")
        }
        6..9 => {
            rows.values_mut().for_each(|old| *old = old.wrapping_add(value));
            format!("UPDATE shop.{table} SET v = (v + {value}) % 256;")
        }
        // Leaves its mark in the log and none in the data.
        9 => format!("CREATE TEMPORARY TABLE shop.x SELECT * FROM shop.{table}; DROP TEMPORARY TABLE shop.x;"),
        10 => {
            let both: Vec<u8> = (0..2).map(|_| random.u8(0..30)).collect();
            rows.extend(both.iter().map(|id| (*id, value)));
            let each: String =
                both.iter().map(|id| format!("REPLACE INTO shop.{table} VALUES ({id}, {value});")).collect();
            format!("BEGIN; {each} COMMIT;")
        }
        _ => {
            rows.insert(id, value);
            format!("REPLACE INTO shop.{table} VALUES ({id}, {value});")
        }
    }
}

async fn do_all(session: &mut Session, statements: &str) {
    assert_eq!(session.ask(&format!("{statements} SELECT 'done';")).await.as_deref(), Some("done"), "{statements}");
}

async fn found(client: &Client) -> Model {
    let tables =
        client.sql("SELECT group_concat(table_name) FROM information_schema.tables WHERE table_schema = 'shop'");
    let mut model = Model::new();
    for table in tables.await.split(',').filter(|table| *table != "NULL") {
        let rows = client.sql(&format!("SELECT group_concat(id, ':', v) FROM shop.{table}")).await;
        let row = |row: &str| row.split_once(':').map(|(id, value)| (id.parse().unwrap(), value.parse().unwrap()));
        model.insert(table.to_owned(), rows.split(',').filter_map(row).collect());
    }
    model
}

#[tokio::test]
async fn whatever_happened_every_moment_holds_what_it_held() {
    let seed = fastrand::u64(..);
    // A failure is found again with the same seed.
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    let mut model = Model::new();
    let mut moments: Vec<(Timestamp, Model)> = Vec::new();
    let (began, mut rewinds, mut changes) = (Instant::now(), 0, 0);
    while began.elapsed() < TEST_DURATION {
        let mut session = client.session();
        for _ in 0..random.usize(1..120) {
            do_all(&mut session, &change(&mut random, &mut model)).await;
            changes += 1;
            if random.u8(0..6) == 0 {
                moments.push((stack.now(), model.clone()));
            }
        }
        // Half of the time to one of the last moments: they lie in the epoch that the rewind before this one began.
        let Some(newest) = moments.len().checked_sub(1) else { continue };
        let from = if random.bool() { 0 } else { newest.saturating_sub(10) };
        let (moment, then) = moments[random.usize(from..=newest)].clone();
        if random.u8(0..4) == 0 {
            cluster.restart("one").await.unwrap();
        }
        let landed = cluster.backtrack(moment).await.unwrap();
        assert!(landed <= moment);
        rewinds += 1;
        assert_eq!(found(&client).await, then, "seed {seed}, rewind {rewinds} to {moment}");
        model = then;
    }
    println!("{rewinds} rewinds over {changes} changes and {} moments", moments.len());
    assert!(rewinds > 1);
    cluster.destroy(true).await.unwrap();
}

#[tokio::test]
async fn a_long_log_gets_another_base_copy_and_both_sides_of_it_can_be_gone_to() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, filler LONGTEXT)").await;
    let mut moments = Vec::new();
    for round in 0..6 {
        // Twice 64 MiB in all.
        let rows = format!(
            "INSERT INTO shop.t SELECT {round} * 100 + seq, repeat('x', 500000) FROM shop.seq_1_to_50; \
             SELECT count(*) FROM shop.t"
        );
        let count = client.sql(&rows).await;
        moments.push((stack.now(), count));
        if round == 3 {
            let deadline = Instant::now() + Duration::from_secs(60);
            while cluster.base_copies() < 2 {
                assert!(Instant::now() < deadline, "no other base copy was made");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    for index in [1, 5, 3, 4] {
        let (moment, count) = &moments[index];
        let began = Instant::now();
        cluster.backtrack(*moment).await.unwrap();
        println!("to round {index} of 25 MB each in {:?}", began.elapsed());
        assert_eq!(&client.sql("SELECT count(*) FROM shop.t").await, count);
    }
    cluster.destroy(true).await.unwrap();
}
