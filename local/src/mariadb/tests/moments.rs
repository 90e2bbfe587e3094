//! Rewinds to any moment, back and forward: each holds exactly the rows that it held.

use super::stack::{Stack, master};
use crate::mariadb::binlog;
use crate::servers::RestoreTo;
use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const ROWS: &str = "SELECT group_concat(id ORDER BY id) FROM shop.t";

#[tokio::test]
async fn back_forward_and_back_again_with_writes_between_each_moment_holds_its_own_rows() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY)").await;
    // No pause anywhere: what was acknowledged before a moment is in it, what was sent after it is not.
    let mut moments: Vec<(Timestamp, String)> = Vec::new();
    for id in 1..=3 {
        client.sql(&format!("INSERT INTO shop.t VALUES ({id})")).await;
        moments.push((stack.now(), client.sql(ROWS).await));
    }
    for (step, index) in [0, 2, 1, 0, 3, 4, 2].into_iter().enumerate() {
        let (moment, rows) = moments[index].clone();
        let began = Instant::now();
        let landed = cluster.backtrack(moment).await.unwrap();
        println!("to moment {index} in {:?}, {} early", began.elapsed(), moment.duration_since(landed));
        assert!(
            landed <= moment && moment.duration_since(landed) < SignedDuration::from_millis(200),
            "{landed} {moment}"
        );
        assert_eq!(client.sql(ROWS).await, rows, "step {step}, moment {index}");
        client.sql(&format!("INSERT INTO shop.t VALUES (10{step}); DELETE FROM shop.t WHERE id = 1")).await;
        moments.push((stack.now(), client.sql(ROWS).await));
    }
    // BacktrackTo is read back from the response and may be asked for again: it must be the same state, not the one before it.
    let (landed, rows) = (cluster.backtrack(moments[0].0).await.unwrap(), client.sql(ROWS).await);
    assert_eq!(rows, "1");
    assert_eq!(cluster.backtrack(landed).await.unwrap(), landed, "the time of a landing is a moment of its own");
    assert_eq!(client.sql(ROWS).await, rows);
    cluster.kill().await;
}

#[tokio::test]
async fn what_statements_define_is_rewound_with_the_rows() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client
        .sql(
            "CREATE DATABASE old; CREATE TABLE old.parent (id INT PRIMARY KEY);
             CREATE TABLE old.child (id INT, parent INT, FOREIGN KEY (parent) REFERENCES old.parent(id) ON DELETE CASCADE);
             INSERT INTO old.parent VALUES (1), (2); INSERT INTO old.child VALUES (1, 1), (2, 1), (3, 2);
             CREATE TABLE old.flat (id INT PRIMARY KEY) ENGINE = MyISAM; INSERT INTO old.flat VALUES (1), (2);
             CREATE TABLE old.seen (n INT);
             CREATE TRIGGER old.see AFTER INSERT ON old.parent FOR EACH ROW INSERT INTO old.seen VALUES (NEW.id);
             CREATE VIEW old.both_of AS SELECT id FROM old.child WHERE parent = 1;
             INSERT INTO old.parent VALUES (3);
             CREATE USER app IDENTIFIED BY 'first-password'; GRANT SELECT, INSERT ON old.* TO app;",
        )
        .await;
    // A statement that fails in part is in the log with what it did.
    client.try_sql("CREATE USER other, app").await.unwrap_err();
    const ALL: &str = "SELECT group_concat(id ORDER BY id) FROM old.child; SELECT group_concat(id ORDER BY id) FROM old.flat;
        SELECT group_concat(n) FROM old.seen; SELECT count(*) FROM old.both_of; SHOW CREATE USER app; SHOW GRANTS FOR app;
        SELECT group_concat(User ORDER BY User) FROM mysql.user; SHOW TRIGGERS IN old";
    let (before, was) = (stack.now(), client.sql(ALL).await);
    client
        .sql(
            "DELETE FROM old.parent WHERE id = 1; DELETE FROM old.flat; ALTER TABLE old.child ADD COLUMN more INT DEFAULT 7;
             DROP TRIGGER old.see; ALTER USER app IDENTIFIED BY 'second-password' ACCOUNT LOCK; DROP USER other;
             CREATE USER newcomer",
        )
        .await;
    const THEN: &str = "SELECT group_concat(id, more) FROM old.child; SHOW CREATE USER app;
        SELECT group_concat(User ORDER BY User) FROM mysql.user";
    // A moment between two changes of the schema: neither the state before nor the one after.
    let (middle, then) = (stack.now(), client.sql(THEN).await);
    client.sql("DROP DATABASE old; DROP USER app").await;

    cluster.backtrack(before).await.unwrap();
    assert_eq!(client.sql(ALL).await, was);
    let mut app = stack.client(10);
    (app.user, app.password) = ("app".to_owned(), "first-password".to_owned());
    assert_eq!(app.sql("SELECT count(*) FROM old.parent").await, "3");
    cluster.backtrack(middle).await.unwrap();
    assert_eq!(client.sql(THEN).await, then);
    app.try_sql("SELECT 1").await.unwrap_err();
    cluster.kill().await;
}

#[tokio::test]
async fn a_transaction_that_was_open_at_the_moment_is_not_in_it_and_a_big_one_is_whole() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, filler VARCHAR(1000))").await;
    // Its rows are in the log only from the commit on, which comes after the moment.
    let mut open = client.session();
    assert_eq!(open.ask("BEGIN; INSERT INTO shop.t VALUES (1, 'open'); SELECT 'open';").await.unwrap(), "open");
    let big =
        "INSERT INTO shop.t SELECT 10 + seq, repeat('x', 1000) FROM shop.seq_1_to_20000; SELECT count(*) FROM shop.t";
    assert_eq!(client.sql(big).await, "20000");
    let moment = stack.now();
    assert_eq!(open.ask("COMMIT; SELECT count(*) FROM shop.t;").await.unwrap(), "20001");
    cluster.backtrack(moment).await.unwrap();
    assert_eq!(client.sql("SELECT count(*), min(id), sum(length(filler)) FROM shop.t").await, "20000\t11\t20000000");
    cluster.kill().await;
}

#[tokio::test]
async fn a_log_cut_anywhere_ends_with_a_whole_transaction() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client
        .sql(
            "CREATE TABLE shop.t (id INT PRIMARY KEY); CREATE TABLE shop.flat (id INT) ENGINE = MyISAM;
             BEGIN; INSERT INTO shop.t VALUES (1), (2); INSERT INTO shop.t VALUES (3); COMMIT;
             INSERT INTO shop.flat VALUES (1), (2); BEGIN; INSERT INTO shop.t VALUES (4); SAVEPOINT `COMMIT`;
             INSERT INTO shop.flat VALUES (3); ROLLBACK; CREATE TABLE shop.u AS SELECT * FROM shop.t; DROP TABLE shop.u",
        )
        .await;
    let log = cluster.log().unwrap().join("binlog.000001");
    // MariaDB's own reading of it: a transaction begins with its GTID.
    let read = std::process::Command::new("mariadb-binlog").args(["--base64-output=never"]).arg(&log).output().unwrap();
    let read = String::from_utf8(read.stdout).unwrap();
    let lines: Vec<&str> = read.lines().collect();
    let begins = lines.windows(2).filter(|pair| pair[1].contains("\tGTID "));
    let mut ends: Vec<u64> = begins.map(|pair| pair[0].strip_prefix("# at ").unwrap().parse().unwrap()).collect();
    let length = std::fs::metadata(&log).unwrap().len();
    ends.push(length);
    assert!(ends.len() > 7, "{ends:?}");
    // Every byte, as the history notes lengths of a file that is being written: it may end in the middle of a header.
    for limit in ends[0]..=length {
        let whole = ends.iter().rev().find(|end| **end <= limit).unwrap();
        assert_eq!(binlog::boundary(&log, limit).unwrap(), *whole, "cut at {limit} of {ends:?}");
    }
    cluster.destroy(true).await.unwrap();
}

#[tokio::test]
async fn a_moment_whose_log_was_thrown_away_is_refused_and_nothing_changes() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)").await;
    let moment = stack.now();
    client.sql("RESET MASTER; INSERT INTO shop.t VALUES (2)").await;
    let refused = cluster.backtrack(moment).await.unwrap_err();
    assert!(refused.to_string().contains("RESET MASTER"), "{refused}");
    assert_eq!(client.sql(ROWS).await, "1,2");
    cluster.destroy(true).await.unwrap();
}

#[tokio::test]
async fn a_clone_holds_the_last_acknowledged_write_and_a_restore_the_moment_asked_for() {
    let stack = Stack::new().await;
    let began = Instant::now();
    let cluster = stack.cluster("main");
    cluster.create(&master()).await.unwrap();
    println!("created in {:?}", began.elapsed());
    let began = Instant::now();
    cluster.start("one", stack.endpoint(10)).await.unwrap();
    println!("started in {:?}", began.elapsed());
    let client = stack.client(10);
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)").await;
    let moment = stack.now();
    client.sql("INSERT INTO shop.t VALUES (2)").await;

    // Without a pause after the last write: a clone is of now, and a recovery relies on it to hold every acknowledged row.
    let copy = stack.cluster("copy");
    let began = Instant::now();
    let of = copy.restore(&cluster, RestoreTo::Now).await.unwrap();
    println!("cloned in {:?}", began.elapsed());
    assert!(of >= moment);
    copy.start("two", stack.endpoint(11)).await.unwrap();
    assert_eq!(stack.client(11).sql(ROWS).await, "1,2");

    sleep(Duration::from_millis(300)).await;
    assert!(cluster.window().unwrap().contains(moment));
    let past = stack.cluster("past");
    let began = Instant::now();
    past.restore(&cluster, RestoreTo::At(moment)).await.unwrap();
    println!("restored in {:?}", began.elapsed());
    past.start("three", stack.endpoint(12)).await.unwrap();
    let restored = stack.client(12);
    assert_eq!(restored.sql(ROWS).await, "1");

    // Each goes its own way from here, and nobody goes back past their own beginning.
    restored.sql("INSERT INTO shop.t VALUES (9)").await;
    assert_eq!(client.sql(ROWS).await, "1,2");
    assert!(past.earliest_backtrack().unwrap() > moment);
    // Of a deleted cluster the kept backups are enough.
    cluster.destroy(false).await.unwrap();
    let late = stack.cluster("late");
    late.restore(&cluster, RestoreTo::Now).await.unwrap();
    late.start("four", stack.endpoint(13)).await.unwrap();
    assert_eq!(stack.client(13).sql(ROWS).await, "1,2");
    for cluster in [&copy, &past, &late, &cluster] {
        cluster.destroy(true).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_follows_refuses_writes_takes_over_and_is_rewound_too() {
    let stack = Stack::new().await;
    let (cluster, client) = stack.started().await;
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)").await;
    let began = Instant::now();
    assert!(!cluster.start("two", stack.endpoint(11)).await.unwrap());
    println!("a reader in {:?}", began.elapsed());
    let reader = stack.client(11);
    assert_eq!(reader.sql(ROWS).await, "1");
    let moment = stack.now();
    client.sql("INSERT INTO shop.t VALUES (2)").await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(reader.sql(ROWS).await, "1,2");
    let refused = reader.try_sql("INSERT INTO shop.t VALUES (3)").await.unwrap_err();
    assert!(refused.contains("1290"), "{refused}");
    assert_eq!(client.sql("SELECT @@read_only, @@report_host").await, "0\ti10.local");
    assert_eq!(reader.sql("SELECT @@read_only, @@report_host").await, "1\ti11.local");

    let began = Instant::now();
    cluster.fail_over("two").await.unwrap();
    println!("failed over in {:?}", began.elapsed());
    reader.sql("INSERT INTO shop.t VALUES (3)").await;
    let refused = client.try_sql("INSERT INTO shop.t VALUES (4)").await.unwrap_err();
    assert!(refused.contains("1290"), "{refused}");
    cluster.restart("two").await.unwrap();
    reader.sql("INSERT INTO shop.t VALUES (5)").await;
    // The old writer is a reader now and follows; its retry after the restart takes up to a second.
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.sql(ROWS).await, "1,2,3,5");

    let began = Instant::now();
    cluster.backtrack(moment).await.unwrap();
    println!("rewound with a reader in {:?}", began.elapsed());
    assert_eq!((client.sql(ROWS).await, reader.sql(ROWS).await), ("1".to_owned(), "1".to_owned()));
    cluster.remove("two", Some("one")).await.unwrap();
    client.sql("INSERT INTO shop.t VALUES (6)").await;
    cluster.remove("one", None).await.unwrap();
    assert!(cluster.start("three", stack.endpoint(12)).await.unwrap());
    assert_eq!(stack.client(12).sql(ROWS).await, "1,6");
    cluster.destroy(true).await.unwrap();
}

#[tokio::test]
async fn the_window_begins_with_the_cluster_moves_on_and_can_be_none() {
    let stack = Stack::new().await;
    let before = stack.now();
    let (cluster, client) = stack.started().await;
    let earliest = cluster.earliest_backtrack().unwrap();
    assert!(earliest > before && earliest < stack.now());
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(cluster.earliest_backtrack(), Some(earliest));
    cluster.set_reach(SignedDuration::from_secs(1), SignedDuration::from_secs(2));
    assert!(cluster.earliest_backtrack().unwrap() > earliest);
    client.sql("CREATE TABLE shop.t (id INT)").await;
    // Nobody but the control plane is connected, and the window moves on all the same.
    sleep(Duration::from_millis(400)).await;
    assert!(stack.now().duration_since(cluster.window().unwrap().latest) < SignedDuration::from_millis(300));
    cluster.backtrack(earliest).await.unwrap();
    client.try_sql("SELECT * FROM shop.t").await.unwrap_err();
    cluster.set_reach(SignedDuration::ZERO, SignedDuration::from_secs(2));
    assert_eq!(cluster.earliest_backtrack(), None);
    cluster.destroy(true).await.unwrap();
}

#[tokio::test]
async fn history_that_no_window_reaches_is_removed_from_the_disk() {
    let stack = Stack::new().await;
    let (cluster, _client) = stack.started().await;
    cluster.backtrack(stack.now()).await.unwrap();
    cluster.backtrack(stack.now()).await.unwrap();
    let history = cluster.log().unwrap().ancestors().nth(2).unwrap().to_owned();
    let epochs = || std::fs::read_dir(&history).unwrap().count();
    sleep(Duration::from_secs(4)).await;
    assert_eq!(epochs(), 3);
    cluster.set_reach(SignedDuration::from_secs(2), SignedDuration::from_secs(1));
    let deadline = Instant::now() + Duration::from_secs(20);
    while epochs() > 1 {
        assert!(Instant::now() < deadline, "old epochs were kept");
        sleep(Duration::from_millis(50)).await;
    }
    // What is left is enough for the window.
    cluster.backtrack(cluster.earliest_backtrack().unwrap()).await.unwrap();
    cluster.destroy(true).await.unwrap();
}
