//! Tables are compared exactly: random histories on a real server and its restored copy, against the rows of both read one by one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use rewind_core::Clock;
use rewind_core::comparison::{Method, RowChanges, TableComparison, TableName};
use rewind_db::{CompareLimits, CompareRequest, Compared, Server, compare_tables, next_transaction};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::Postgres;
use support::mariadb::MariaDb;
use tokio_postgres::{Client, NoTls};

/// Numbers by chance, the same in every run of a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[usize::try_from(self.below(u64::try_from(items.len()).unwrap())).unwrap()]
    }
}

/// The number of histories, and the first of their seeds.
fn histories(default: u64) -> (u64, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seed = number("REWIND_SEED")
        .unwrap_or_else(|| u64::try_from(rewind_clock::SystemClock.now().as_microsecond()).unwrap());
    let count = number("REWIND_HISTORIES").unwrap_or(default);
    println!("REWIND_SEED={seed} REWIND_HISTORIES={count}");
    (seed, count)
}

/// The tables of histories: the definition, and the columns of its key.
const KINDS: &[(&str, &str)] = &[
    ("CREATE TABLE % (id bigint PRIMARY KEY, a text, b numeric, c real, d timestamptz)", "id"),
    ("CREATE TABLE % (id int, k text, a text, b numeric, c double precision, PRIMARY KEY (k, id))", "k, id"),
    ("CREATE TABLE % (k text PRIMARY KEY, id int, a text, b jsonb, c bytea)", "k"),
    ("CREATE TABLE % (id int, a text)", ""),
    (
        "CREATE TABLE % (id int PRIMARY KEY, a text, b numeric) PARTITION BY RANGE (id); \
         CREATE TABLE %_low PARTITION OF % FOR VALUES FROM (MINVALUE) TO (12); \
         CREATE TABLE %_high (b numeric, a text, gone int, id int NOT NULL); ALTER TABLE %_high DROP COLUMN gone; \
         ALTER TABLE % ATTACH PARTITION %_high FOR VALUES FROM (12) TO (MAXVALUE)",
        "id",
    ),
    (
        "CREATE TABLE % (a text, id int NOT NULL UNIQUE, b int[], c interval GENERATED ALWAYS AS (make_interval(secs => id)) STORED)",
        "id",
    ),
];

/// A statement of a history on a table of that kind.
fn statement(chance: &mut Chance, table: &str, kind: usize) -> String {
    let id = chance.below(24);
    let word = chance.of(&["''", "NULL", "'a'", "'NULL'", "'ß, \"quoted\" (x)'", "E'a\\\\b'", "repeat('long ', 900)"]);
    let text = format!("{word} || '{}'", chance.below(3));
    let text = if chance.below(3) == 0 { word.to_owned() } else { text };
    let amount = chance.of(&["1", "1.0", "1.00", "-0.5", "NULL", "1e10"]);
    let float = chance.of(&["0.1", "0.1::real", "'NaN'", "'-0'", "0", "1e-30"]);
    let (columns, values) = match kind {
        0 => ("id, a, b, c, d", format!("{id}, {text}, {amount}, {float}, now()")),
        1 => ("id, k, a, b, c", format!("{id}, 'k{}', {text}, {amount}, {float}", chance.below(3))),
        2 => ("k, id, a, b, c", format!("'k{id}', {id}, {text}, '{{\"x\": {}}}', '\\x00'", chance.below(3))),
        3 => ("id, a", format!("{}, {text}", id % 4)),
        4 => ("id, a, b", format!("{id}, {text}, {amount}")),
        _ => ("a, id, b", format!("{text}, {id}, '{{{id}}}'")),
    };
    let upsert = match kind {
        3 => String::new(),
        _ => format!(" ON CONFLICT ({}) DO UPDATE SET a = excluded.a", KINDS[kind].1),
    };
    match chance.below(12) {
        0..=3 => format!("INSERT INTO {table} ({columns}) VALUES ({values}){upsert}"),
        4..=5 => format!("UPDATE {table} SET a = {text} WHERE id = {id}"),
        6 => format!("UPDATE {table} SET a = a WHERE id % 3 = {}", id % 3),
        7 => format!("UPDATE {table} SET a = {text} WHERE id % 5 = {}", id % 5),
        8 if kind != 2 => format!("UPDATE {table} SET id = id + 24 - {} WHERE id = {id}", chance.below(48)),
        9..=10 => format!("DELETE FROM {table} WHERE id % 7 = {}", id % 7),
        11 if chance.below(8) == 0 => format!("TRUNCATE {table}"),
        _ => format!("DELETE FROM {table} WHERE id = {id}"),
    }
}

/// Some statements, alone, in one transaction, with savepoints, or rolled back. What the database refuses, such as a key that is there,
/// is a part of the history.
async fn work(client: &Client, chance: &mut Chance, table: &str, kind: usize, statements: u64) {
    for _ in 0..statements {
        let one = statement(chance, table, kind);
        let work = match chance.below(4) {
            0 | 1 => one,
            2 => format!("BEGIN; {one}; SAVEPOINT s; {}; COMMIT", statement(chance, table, kind)),
            _ => format!(
                "BEGIN; SAVEPOINT s; {one}; ROLLBACK TO s; {}; {}",
                statement(chance, table, kind),
                chance.of(&["COMMIT", "COMMIT", "ROLLBACK"])
            ),
        };
        if client.batch_execute(&work).await.is_err() {
            drop(client.batch_execute("ROLLBACK").await);
        }
    }
}

async fn connected(config: tokio_postgres::Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The rows of a table, by key: the values and how many there are.
async fn rows(client: &Client, table: &str, key: &str) -> BTreeMap<(String, String), u64> {
    client.batch_execute("SET extra_float_digits = 3; SET TimeZone = 'UTC'").await.unwrap();
    let key = if key.is_empty() { "t.*" } else { key };
    let found = client.query(&format!("SELECT ROW({key})::text, ROW(t.*)::text FROM {table} t"), &[]).await.unwrap();
    let mut rows = BTreeMap::new();
    for row in found {
        *rows.entry((row.get(0), row.get(1))).or_insert(0) += 1;
    }
    rows
}

/// The changes, found by holding every row of one side against all of the other.
fn expected(
    restored: &BTreeMap<(String, String), u64>,
    source: &BTreeMap<(String, String), u64>,
    keyed: bool,
) -> RowChanges {
    let mut changes = RowChanges::default();
    let has_key = |side: &BTreeMap<(String, String), u64>, key: &str| side.keys().any(|(other, _)| other == key);
    for ((key, values), count) in restored {
        let there = source.get(&(key.clone(), values.clone())).copied().unwrap_or(0);
        match keyed {
            true if there == 0 && has_key(source, key) => changes.updated += 1,
            _ => changes.deleted += count.saturating_sub(there),
        }
    }
    for ((key, values), count) in source {
        let there = restored.get(&(key.clone(), values.clone())).copied().unwrap_or(0);
        if !keyed || !has_key(restored, key) {
            changes.inserted += count.saturating_sub(there);
        }
    }
    changes
}

async fn compared(servers: (&Server, &Server), frontier: Option<u64>) -> Compared {
    compared_from(servers, "postgres", frontier).await
}

/// All tables, in as many calls as it takes.
async fn compared_from(servers: (&Server, &Server), first_database: &str, frontier: Option<u64>) -> Compared {
    compared_within(servers, first_database, frontier, CompareLimits::default()).await
}

async fn compared_within(
    servers: (&Server, &Server),
    first_database: &str,
    frontier: Option<u64>,
    limits: CompareLimits,
) -> Compared {
    let mut whole = Compared::default();
    loop {
        let after = whole.after.take();
        let request = CompareRequest { first_database, frontier, tables: &[], after: after.as_ref(), limits };
        let part = compare_tables(servers, &request, &rewind_clock::SystemClock).await.unwrap();
        whole.tables.extend(part.tables);
        whole.notes.extend(part.notes);
        whole.after = part.after;
        if whole.after.is_none() {
            return whole;
        }
    }
}

fn of<'a>(compared: &'a Compared, table: &str) -> &'a TableComparison {
    compared
        .tables
        .iter()
        .find(|found| found.name.table == table)
        .unwrap_or_else(|| panic!("no {table}: {compared:#?}"))
}

fn changes(compared: &Compared, table: &str) -> (u64, u64, u64) {
    let found = of(compared, table);
    let rows = found.rows.as_ref().unwrap_or_else(|| panic!("{found:#?}"));
    (rows.changes.inserted, rows.changes.updated, rows.changes.deleted)
}

fn method(compared: &Compared, table: &str) -> Method {
    of(compared, table).rows.as_ref().unwrap().method
}

async fn frontier(server: &Server) -> Option<u64> {
    let session = server.open("postgres").await.unwrap();
    let frontier = next_transaction(&session).await.unwrap();
    session.close().await;
    assert!(frontier.is_some());
    frontier
}

/// A server with tables that everybody may read, as `rds_superuser` may.
fn shop() -> Postgres {
    let server = Postgres::start().with_application();
    server.sql("postgres", "GRANT pg_read_all_data TO postgres");
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_of_random_histories_is_wrong() {
    let (seed, count) = histories(120);
    let source = shop();
    let client = connected(source.superuser("shop")).await;
    let mut chance = Chance(seed | 1);
    let tables: Vec<(String, usize)> =
        (0..count).map(|n| (format!("h{n}"), usize::try_from(n).unwrap() % KINDS.len())).collect();
    for (table, kind) in &tables {
        client.batch_execute(&KINDS[*kind].0.replace('%', table)).await.unwrap();
        let statements = 2 + chance.below(12);
        work(&client, &mut chance, table, *kind, statements).await;
        if chance.below(4) == 0 {
            client.batch_execute(&format!("VACUUM FREEZE {table}")).await.unwrap();
        }
    }
    // Transactions that are open at the target, some of which have written by then, and some are prepared.
    let mut open = Vec::new();
    for n in 0..16 {
        let open_client = connected(source.superuser("shop")).await;
        open_client.batch_execute("BEGIN; SAVEPOINT s").await.unwrap();
        for (table, kind) in tables.iter().filter(|(table, _)| table.len() % 2 == 0 || n % 2 == 0).skip(n).step_by(16) {
            let sql = format!("SET LOCAL lock_timeout = 200; SAVEPOINT s; {}", statement(&mut chance, table, *kind));
            if open_client.batch_execute(&sql).await.is_err() {
                open_client.batch_execute("ROLLBACK TO s").await.unwrap();
            }
        }
        if n % 5 == 0 {
            drop(open_client.batch_execute(&format!("PREPARE TRANSACTION 'p{n}'")).await);
        }
        open.push(open_client);
    }
    let restored = source.restored();
    let (on_restored, on_source) = (restored.master().await, source.master().await);
    let frontier = frontier(&on_restored).await;
    for (n, open_client) in open.iter().enumerate() {
        let end = chance.of(&["COMMIT", "COMMIT", "ROLLBACK"]);
        if n % 5 == 0 {
            drop(client.batch_execute(&format!("{end} PREPARED 'p{n}'")).await);
        } else {
            open_client.batch_execute(end).await.unwrap();
        }
    }
    let there = connected(restored.superuser("shop")).await;
    for prepared in there.query("SELECT gid FROM pg_prepared_xacts", &[]).await.unwrap() {
        there.batch_execute(&format!("ROLLBACK PREPARED '{}'", prepared.get::<_, &str>(0))).await.unwrap();
    }
    for (table, kind) in &tables {
        let statements = chance.below(10);
        work(&client, &mut chance, table, *kind, statements).await;
        // The restored cluster may have been written to as well, with the same transaction ids.
        if chance.below(3) == 0 {
            work(&there, &mut chance, table, *kind, statements).await;
        }
        let after = match chance.below(12) {
            0 => format!("VACUUM FREEZE {table}"),
            1 => format!("VACUUM FULL {table}"),
            2 if *kind == 0 => format!("CLUSTER {table} USING {table}_pkey"),
            3 if *kind == 0 => format!("ALTER TABLE {table} ALTER COLUMN id TYPE bigint USING id + 0"),
            4 => format!("ALTER TABLE {table} ADD COLUMN extra int DEFAULT 7; ALTER TABLE {table} DROP COLUMN extra"),
            _ => continue,
        };
        client.batch_execute(&after).await.unwrap();
    }
    for frontier in [frontier, None] {
        let compared = compared((&on_restored, &on_source), frontier).await;
        let mut wrong = String::new();
        for (table, kind) in &tables {
            let key = KINDS[*kind].1;
            let sides = (rows(&there, table, key).await, rows(&client, table, key).await);
            let found = of(&compared, table);
            let expected = expected(&sides.0, &sides.1, !key.is_empty());
            if found.rows.as_ref().map(|rows| rows.changes) != Some(expected) {
                writeln!(wrong, "{expected:?} in {sides:?}, and found: {found:?}").unwrap();
            }
        }
        assert!(wrong.is_empty(), "seed {seed}, frontier {frontier:?}:\n{wrong}");
        let differ =
            compared.tables.iter().filter(|found| found.rows.as_ref().unwrap().changes != RowChanges::default());
        assert!(differ.count() > tables.len() / 3, "the histories hardly differ");
        let by_history = compared.tables.iter().filter(|found| found.rows.as_ref().unwrap().method == Method::History);
        assert_eq!(by_history.count() > tables.len() / 2, frontier.is_some());
    }
}

/// Compares with short lists, and returns the changes by table.
async fn in_short_lists(servers: (&Server, &Server), first_database: &str) -> Vec<(String, RowChanges)> {
    let changes = |compared: Compared| -> Vec<(String, RowChanges)> {
        let of = |found: TableComparison| {
            (format!("{}.{}", found.name.schema, found.name.table), found.rows.unwrap().changes)
        };
        compared.tables.into_iter().map(of).collect()
    };
    let whole = changes(compared_from(servers, first_database, None).await);
    for tables in [1, 2, 3] {
        let limits = CompareLimits { tables, ..CompareLimits::default() };
        assert_eq!(changes(compared_within(servers, first_database, None, limits).await), whole, "lists of {tables}");
    }
    whole
}

/// The tables that [`in_short_lists`] is to find: each with a row, and so deleted, inserted, or the same.
fn by_sides(schemas: &[&str]) -> (String, String, Vec<(String, RowChanges)>) {
    let (mut restored, mut source, mut found) = (String::new(), String::new(), Vec::new());
    let tables = ["B", "a", "b", "cA", "ca", "ä"];
    for (schema, (number, table)) in
        schemas.iter().flat_map(|schema| tables.iter().enumerate().map(move |table| (schema, table)))
    {
        let mark = if schema.starts_with("my") { '`' } else { '"' };
        let (on_restored, on_source) = (number % 3 != 0, number % 2 == 0);
        let name = format!("{schema}.{mark}{table}{mark}");
        let made = format!("CREATE TABLE {name} (id int PRIMARY KEY); INSERT INTO {name} VALUES (1);\n");
        restored.push_str(if on_restored { &made } else { "" });
        source.push_str(if on_source { &made } else { "" });
        if on_restored || on_source {
            let (inserted, deleted) = (u64::from(!on_restored), u64::from(!on_source));
            found.push((format!("{schema}.{table}"), RowChanges { inserted, updated: 0, deleted }));
        }
    }
    (restored, source, found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_are_cut_lose_no_table_and_misplace_none() {
    let (restored, source) = (shop(), shop());
    let (on_restored, on_source, expected) = by_sides(&["\"A\"", "public"]);
    for (server, made) in [(&restored, on_restored), (&source, on_source)] {
        server.sql("shop", &format!("DROP TABLE orders; CREATE SCHEMA \"A\"; {made}"));
    }
    let servers = (&restored.master().await, &source.master().await);
    let expected: Vec<_> = expected.into_iter().map(|(name, changes)| (name.replace('"', ""), changes)).collect();
    assert_eq!(in_short_lists(servers, "postgres").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb_lists_that_are_cut_lose_no_table_and_misplace_none() {
    let (restored, source) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let (on_restored, on_source, expected) = by_sides(&["myA", "mya"]);
    for (server, made) in [(&restored, on_restored), (&source, on_source)] {
        server.sql("", &format!("DROP TABLE shop.orders; CREATE DATABASE myA; CREATE DATABASE mya; {made}"));
    }
    let servers = (&restored.master().await, &source.master().await);
    assert_eq!(in_short_lists(servers, "information_schema").await, expected);
}

/// Whoever owns a table may have its name lead to a view in any moment, and that view may call what acts as whoever reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb_a_view_that_takes_the_name_of_a_table_meanwhile_is_not_evaluated() {
    let source = MariaDb::start().with_application();
    source.sql(
        "shop",
        "SET GLOBAL innodb_old_blocks_time = 1000; CREATE TABLE flipped (x INT PRIMARY KEY); INSERT INTO flipped VALUES (1);
         DELIMITER //
         CREATE FUNCTION act() RETURNS INT DETERMINISTIC SQL SECURITY INVOKER BEGIN SET GLOBAL innodb_old_blocks_time = 7; RETURN 1; END//
         DELIMITER ;
         CREATE ALGORITHM = TEMPTABLE SQL SECURITY INVOKER VIEW other AS SELECT act() AS x;",
    );
    let acted = |source: &MariaDb| source.sql("shop", "SELECT @@GLOBAL.innodb_old_blocks_time").trim() == "7";
    let server = source.master().await;
    let flips =
        "RENAME TABLE flipped TO kept, other TO flipped; RENAME TABLE flipped TO other, kept TO flipped;".repeat(20);
    let (over, mut met) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                source.sql("shop", &flips);
            }
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let named = ["flipped".to_owned()];
                let limits = CompareLimits::default();
                let request =
                    CompareRequest { first_database: "shop", frontier: None, tables: &named, after: None, limits };
                let ends = Instant::now() + Duration::from_secs(60);
                // Until the name led to a view between what was read of the table and the first statement on it.
                while met < 2 && !acted(&source) && Instant::now() < ends {
                    let found = compare_tables((&server, &server), &request, &rewind_clock::SystemClock).await.unwrap();
                    let why = found.tables.first().and_then(|found| found.not_compared.clone());
                    met += u32::from(why.is_some_and(|why| why.contains("doesn't exist in table 'flipped'")));
                }
                over.store(true, Ordering::Relaxed);
            });
        });
    });
    assert!(!acted(&source), "a view was evaluated as the master user");
    assert_eq!(met, 2, "the moment was not met");
    source.sql("shop", "SELECT * FROM other");
    assert!(acted(&source), "what was planted does not act at all");
}

/// A source with one table of two rows, in a shape that is given.
fn source_with(tables: &[&str]) -> Postgres {
    let source = shop();
    for table in tables {
        source.sql("shop", table);
    }
    source
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rewriting_a_table_changes_no_row_and_hides_none() {
    let made = |name: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, a text); INSERT INTO {name} SELECT n, pg_catalog.concat('a', n) FROM generate_series(1, 50) n"
        )
    };
    let names =
        ["frozen", "compacted", "clustered", "altered", "replaced", "readded", "renamed", "emptied", "swapped", "same"];
    let source = source_with(&names.map(made).each_ref().map(String::as_str));
    let restored = source.restored();
    let servers = (&restored.master().await, &source.master().await);
    let frontier = frontier(servers.0).await;
    for sql in [
        "UPDATE frozen SET a = 'x' WHERE id = 1",
        "VACUUM FREEZE frozen",
        "DELETE FROM compacted WHERE id = 2; INSERT INTO compacted VALUES (51, 'new')",
        "VACUUM FULL compacted",
        "UPDATE clustered SET a = 'x' WHERE id < 4",
        "CLUSTER clustered USING clustered_pkey",
        "ALTER TABLE altered ALTER COLUMN id TYPE bigint",
        "UPDATE altered SET a = 'x' WHERE id = 9",
        "DROP TABLE replaced; CREATE TABLE replaced (id int PRIMARY KEY, a text); INSERT INTO replaced SELECT n, pg_catalog.concat('a', n) FROM generate_series(2, 50) n",
        "ALTER TABLE readded DROP COLUMN a; ALTER TABLE readded ADD COLUMN a text",
        "ALTER TABLE renamed RENAME COLUMN a TO b",
        "TRUNCATE emptied",
        "BEGIN; UPDATE swapped SET id = 0 WHERE id = 1; UPDATE swapped SET id = 1 WHERE id = 2; UPDATE swapped SET id = 2 WHERE id = 0; COMMIT",
        "UPDATE same SET a = a",
    ] {
        source.sql("shop", sql);
    }
    let found = compared(servers, frontier).await;
    for (table, expected, by) in [
        ("frozen", (0, 1, 0), Method::History),
        ("compacted", (1, 0, 1), Method::History),
        ("clustered", (0, 3, 0), Method::History),
        ("altered", (0, 1, 0), Method::Values),
        ("replaced", (0, 0, 1), Method::Values),
        // Not one row was written, and every value is gone.
        ("readded", (0, 50, 0), Method::Values),
        ("renamed", (0, 0, 0), Method::Values),
        ("emptied", (0, 0, 50), Method::History),
        ("swapped", (0, 2, 0), Method::History),
        ("same", (0, 0, 0), Method::History),
    ] {
        assert_eq!((changes(&found, table), method(&found, table)), (expected, by), "{table}");
    }
    assert!(of(&found, "altered").notes[0].contains("id is integer on the restored cluster and bigint"));
    assert!(
        of(&found, "renamed").notes.join(" ").contains("restored cluster alone, whose values were not compared: a")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_on_both_sides_with_the_same_transaction_ids_are_told_apart() {
    let source = source_with(&[
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT n, 'a' FROM generate_series(1, 9) n",
    ]);
    let restored = source.restored();
    let servers = (&restored.master().await, &source.master().await);
    let frontier = frontier(servers.0).await;
    for n in 1..=9 {
        restored.sql("shop", &format!("UPDATE t SET a = 'restored' WHERE id = {n}"));
        source.sql("shop", &format!("UPDATE t SET a = 'source' WHERE id = {n}"));
    }
    let ids = |server: &Postgres| server.sql("shop", "SELECT string_agg(xmin::text, ',' ORDER BY id) FROM t");
    assert_eq!(ids(&restored), ids(&source), "the transactions are numbered alike");
    assert_eq!(changes(&compared(servers, frontier).await, "t"), (0, 9, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_another_history_is_compared_by_values() {
    let table = "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    let source = source_with(&[table]);
    let restored = source.restored();
    let anew = Postgres::start_anew().with_application();
    anew.sql("postgres", "GRANT pg_read_all_data TO postgres");
    anew.sql("shop", &table.replace("'b'", "'other'"));
    let servers = (&restored.master().await, &anew.master().await);
    let found = compared(servers, frontier(servers.0).await).await;
    assert_eq!((changes(&found, "t"), method(&found, "t")), ((0, 1, 0), Method::Values));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_are_nearly_the_same_differ() {
    let made = "CREATE TABLE n (id int PRIMARY KEY, v %); INSERT INTO n VALUES (1, #)";
    let pairs = [
        ("double precision", "0.1", "0.1 + 1e-17 + 1e-16"),
        ("real", "0.1", "0.10000001"),
        ("numeric", "1.0", "1.00"),
        ("text", "NULL", "''"),
        ("text", "'a'", "'a '"),
        ("text", "'NULL'", "NULL"),
        ("text[]", "ARRAY['NULL']", "ARRAY[NULL]"),
        ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
        ("jsonb", "'{\"a\": 1}'", "'{\"a\": 1.0}'"),
        ("bytea", "'\\x00'", "'\\x0000'"),
        ("timestamptz", "'2026-03-29 01:00Z'", "'2026-03-29 02:00Z'"),
        ("interval", "'1 day'", "'24 hours'"),
        ("char(3)", "'a'", "'b'"),
        ("money", "'1.00'", "'1.01'"),
        ("xml", "'<a/>'", "'<a></a>'"),
    ];
    let tables: Vec<String> = pairs
        .iter()
        .enumerate()
        .map(|(n, (kind, value, _))| {
            made.replace("n (id", &format!("n{n} (id"))
                .replace("INTO n ", &format!("INTO n{n} "))
                .replace('%', kind)
                .replace('#', value)
        })
        .collect();
    let source = source_with(&tables.iter().map(String::as_str).collect::<Vec<_>>());
    let restored = source.restored();
    for (n, (_, _, value)) in pairs.iter().enumerate() {
        source.sql("shop", &format!("UPDATE n{n} SET v = {value}"));
    }
    let found = compared((&restored.master().await, &source.master().await), None).await;
    for (n, pair) in pairs.iter().enumerate() {
        assert_eq!(changes(&found, &format!("n{n}")), (0, 1, 0), "{pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_compared_is_told_with_its_reason() {
    let source = source_with(&[
        "CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY); INSERT INTO fleeting VALUES (1)",
        "CREATE TABLE hidden (id int PRIMARY KEY); INSERT INTO hidden VALUES (1); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden OWNER TO app",
        "CREATE TABLE planted (id int PRIMARY KEY); CREATE FUNCTION acts(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'; \
         CREATE INDEX ON planted ((acts('x'))); CREATE OR REPLACE FUNCTION acts(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''planted''; END'",
        "CREATE TABLE dropped (id int); INSERT INTO dropped VALUES (1), (2), (2)",
        "CREATE TABLE plain (id int PRIMARY KEY)",
    ]);
    let restored = source.restored();
    source.sql("shop", "DROP TABLE dropped; CREATE TABLE made (id int); INSERT INTO made VALUES (1)");
    source.sql("postgres", "CREATE DATABASE later");
    source.sql("later", "CREATE TABLE in_later (id int); INSERT INTO in_later VALUES (1), (2)");
    let servers = (&restored.master().await, &source.master().await);
    let found = compared(servers, None).await;
    let why =
        |table: &str| of(&found, table).not_compared.clone().unwrap_or_else(|| panic!("{:#?}", of(&found, table)));
    assert!(why("fleeting").contains("unlogged: no backup holds its rows"), "{}", why("fleeting"));
    assert!(why("hidden").contains("row-level security"), "{}", why("hidden"));
    assert!(why("planted").contains("reading it calls public.acts"), "{}", why("planted"));
    assert_eq!((changes(&found, "dropped"), method(&found, "dropped")), ((0, 0, 3), Method::Counted));
    assert_eq!((changes(&found, "made"), method(&found, "made")), ((1, 0, 0), Method::Counted));
    assert_eq!(changes(&found, "in_later"), (2, 0, 0));
    assert_eq!(changes(&found, "plain"), (0, 0, 0));
    source.sql("postgres", "ALTER DATABASE later CONNECTION LIMIT 0");
    let closed = compared(servers, None).await;
    assert!(
        closed.notes[0].contains("the database later was not compared: on the source")
            && closed.notes[0].contains("fence")
    );
    source.sql("postgres", "REVOKE pg_read_all_data FROM postgres");
    let found = compared(servers, None).await;
    assert!(of(&found, "plain").not_compared.as_ref().unwrap().contains("permission denied"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_table_with_few_changes_is_compared_exactly_and_the_next_invocation_goes_on() {
    let source = source_with(&[
        "CREATE TABLE large (id int PRIMARY KEY, a text); INSERT INTO large SELECT n, md5(n::text) FROM generate_series(1, 60000) n",
        "CREATE TABLE \"Ünïcode \"\"q\" (id int PRIMARY KEY); INSERT INTO \"Ünïcode \"\"q\" VALUES (1)",
        "CREATE TABLE all_new (id int PRIMARY KEY, a int); INSERT INTO all_new SELECT n, 1 FROM generate_series(1, 30000) n",
    ]);
    let restored = source.restored();
    let servers = (&restored.master().await, &source.master().await);
    let frontier = frontier(servers.0).await;
    source.sql(
        "shop",
        "DELETE FROM large WHERE id % 20000 = 0; UPDATE large SET a = 'x' WHERE id % 9000 = 1; INSERT INTO large SELECT n, 'y' FROM generate_series(70001, 70005) n; \
         UPDATE all_new SET a = 2; DELETE FROM all_new WHERE id > 29000",
    );
    let found = compared(servers, frontier).await;
    assert_eq!(changes(&found, "large"), (5, 7, 3));
    assert_eq!(changes(&found, "all_new"), (0, 29_000, 1_000));
    assert_eq!(changes(&found, "Ünïcode \"q"), (0, 0, 0));
    // No time is left after the first table each time.
    let limits = CompareLimits { budget: Duration::from_millis(900), ..CompareLimits::default() };
    let (mut after, mut seen): (Option<TableName>, Vec<String>) = (None, Vec::new());
    for _ in 0..20 {
        let request =
            CompareRequest { first_database: "postgres", frontier, tables: &[], after: after.as_ref(), limits };
        let part = compare_tables(servers, &request, &rewind_clock::SystemClock).await.unwrap();
        seen.extend(part.tables.iter().map(|found| found.name.table.clone()));
        after = part.after;
        if after.is_none() {
            break;
        }
    }
    let all: Vec<String> = found.tables.iter().map(|found| found.name.table.clone()).collect();
    assert_eq!(seen, all);
    let only = ["shop.public.large".to_owned()];
    let request = CompareRequest {
        first_database: "postgres",
        frontier,
        tables: &only,
        after: None,
        limits: CompareLimits::default(),
    };
    let part = compare_tables(servers, &request, &rewind_clock::SystemClock).await.unwrap();
    assert_eq!((part.tables.len(), changes(&part, "large")), (1, (5, 7, 3)));
    // A table that takes longer than all the time there is.
    let limits = CompareLimits { budget: Duration::from_millis(20), ..CompareLimits::default() };
    let request = CompareRequest { limits, ..request };
    let part = compare_tables(servers, &request, &rewind_clock::SystemClock).await.unwrap();
    assert!(part.tables[0].not_compared.as_ref().unwrap().contains("it was stopped after"), "{part:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_begin_again_are_told_apart() {
    // As far as a server goes without freezing, three times: to the last ids before they begin again.
    let source = source_with(&[
        "CREATE TABLE ancient (id int PRIMARY KEY, a text); INSERT INTO ancient SELECT n, 'a' FROM generate_series(1, 20) n",
    ]);
    let ancient: u32 = source.sql("shop", "SELECT min(xmin::text::int8) FROM ancient").parse().unwrap();
    let source = source.at_transaction(2_000_000_000).at_transaction(4_000_000_000).at_transaction(u32::MAX - 40);
    source.sql("shop", "CREATE TABLE recent (id int PRIMARY KEY, a text); INSERT INTO recent SELECT n, 'a' FROM generate_series(1, 20) n");
    let open = connected(source.superuser("shop")).await;
    open.batch_execute("BEGIN; UPDATE recent SET a = 'open' WHERE id = 1; UPDATE ancient SET a = 'open' WHERE id = 1")
        .await
        .unwrap();
    let restored = source.restored();
    let servers = (&restored.master().await, &source.master().await);
    let frontier = frontier(servers.0).await;
    assert!(frontier.unwrap() < 1 << 32, "the target is before the ids begin again");
    open.batch_execute("COMMIT").await.unwrap();
    source.sql("shop", "UPDATE recent SET a = 'x' WHERE id IN (2, 3)");
    // To the very id that wrote the rows an age ago.
    let next = |server: &Postgres| {
        server
            .sql("shop", "SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())")
            .parse::<u64>()
            .unwrap()
    };
    while next(&source) < (1 << 32) + u64::from(ancient) {
        let left = ((1 << 32) + u64::from(ancient) - next(&source)).min(2_000);
        // One by one at the end: the server may take an id for itself.
        let left = if left > 50 { left - 50 } else { 1 };
        source.sql(
            "shop",
            &format!("DO $$ BEGIN FOR n IN 1..{left} LOOP PERFORM pg_catalog.txid_current(); COMMIT; END LOOP; END $$"),
        );
    }
    source.sql("shop", "UPDATE ancient SET a = 'x' WHERE id = 5");
    let ids = source.sql("shop", "SELECT string_agg(DISTINCT xmin::text, ',') FROM ancient WHERE id IN (5, 6)");
    assert_eq!(ids, ancient.to_string(), "a row of now and one of an age ago show the same id");
    source.sql("shop", "DELETE FROM ancient WHERE id = 9; INSERT INTO recent VALUES (99, 'new')");
    let found = compared(servers, frontier).await;
    assert_eq!((changes(&found, "ancient"), method(&found, "ancient")), ((0, 2, 1), Method::History));
    assert_eq!(changes(&found, "recent"), (1, 3, 0));
}

// ---------------------------------------------------------------------------------------------------------- MariaDB

/// The tables of histories on MariaDB: the definition, the columns of its key, and the values of a row.
const MYSQL_KINDS: &[(&str, &str)] = &[
    ("CREATE TABLE % (id BIGINT PRIMARY KEY, a TEXT, b DECIMAL(10,2), c FLOAT, d TIMESTAMP(6) NULL)", "id"),
    (
        "CREATE TABLE % (id INT, k VARCHAR(20) NOT NULL, a VARCHAR(40), c DOUBLE, UNIQUE KEY u (k, id), b INT AS (id + 1) VIRTUAL)",
        "",
    ),
    (
        "CREATE TABLE % (k VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY, id INT, a LONGTEXT, b JSON, c BLOB, e ENUM('x', 'y'), g POINT, t BIT(9))",
        "k",
    ),
    ("CREATE TABLE % (id INT, a TEXT)", ""),
    (
        "CREATE TABLE % (id INT, k INT NOT NULL, a TEXT, PRIMARY KEY (id, k)) PARTITION BY RANGE (id) \
         (PARTITION low VALUES LESS THAN (12), PARTITION high VALUES LESS THAN MAXVALUE)",
        "id, k",
    ),
];

fn mysql_statement(chance: &mut Chance, table: &str, kind: usize) -> String {
    let id = chance.below(24);
    let word = chance.of(&["''", "NULL", "'a'", "'A'", "'a '", "'-'", "'ß, \"q\"'", "'\\\\'", "REPEAT('long ', 900)"]);
    let float = chance.of(&["0.1", "0.10000001", "-0.0", "0", "1e-30", "16777217"]);
    let values = match kind {
        0 => format!("({id}, {word}, {}.5, {float}, NOW(6))", chance.below(3)),
        1 => format!("({id}, 'k{}', LEFT({word}, 40), {float}, DEFAULT)", chance.below(3)),
        2 => format!(
            "('k{id}', {id}, {word}, '{{\"x\": {}}}', x'00{:02x}', '{}', POINT({id}, 1), b'1{}')",
            chance.below(3),
            chance.below(3),
            chance.of(&["x", "y"]),
            chance.of(&["0", "1", "0101"])
        ),
        3 => format!("({}, {word})", id % 4),
        _ => format!("({id}, {}, {word})", id % 3),
    };
    match chance.below(12) {
        0..=2 => format!("INSERT IGNORE INTO {table} VALUES {values}"),
        3 => format!("REPLACE INTO {table} VALUES {values}"),
        4..=5 => format!("INSERT INTO {table} VALUES {values} ON DUPLICATE KEY UPDATE a = LEFT({word}, 40)"),
        6..=7 => format!("UPDATE IGNORE {table} SET a = LEFT({word}, 40) WHERE id % 5 = {}", id % 5),
        8 => format!("UPDATE IGNORE {table} SET id = id + 24 - {} WHERE id = {id}", chance.below(48)),
        9..=10 => format!("DELETE FROM {table} WHERE id % 7 = {}", id % 7),
        _ if chance.below(8) == 0 => format!("TRUNCATE {table}"),
        _ => format!("DELETE FROM {table} WHERE id = {id}"),
    }
}

/// The rows of a table on MariaDB, by key, each value in hexadecimal: a float as the number that it is.
fn mysql_rows(server: &MariaDb, table: &str, key: &str) -> BTreeMap<(String, String), u64> {
    let columns = server.sql(
        "information_schema",
        &format!("SELECT column_name, data_type FROM columns WHERE table_schema = 'shop' AND table_name = '{table}' ORDER BY ordinal_position"),
    );
    let hex = |column: &str, kind: &str| {
        let value = if kind == "float" { format!("CAST({column} AS DOUBLE)") } else { column.to_owned() };
        let value = if kind == "point" { format!("ST_AsText({column})") } else { value };
        format!("COALESCE(HEX(CONVERT({value}, BINARY)), 'null')")
    };
    let all: Vec<String> = columns.lines().map(|line| line.split_once('\t').unwrap()).map(|(c, k)| hex(c, k)).collect();
    let keys: Vec<String> = if key.is_empty() { all.clone() } else { key.split(", ").map(|c| hex(c, "")).collect() };
    let sql = format!("SELECT CONCAT_WS('.', {}), CONCAT_WS('.', {}) FROM {table}", keys.join(", "), all.join(", "));
    let mut rows = BTreeMap::new();
    for line in server.sql("shop", &sql).lines() {
        let (key, values) = line.split_once('\t').unwrap();
        *rows.entry((key.to_owned(), values.to_owned())).or_insert(0) += 1;
    }
    rows
}

async fn compared_on_mysql(servers: (&Server, &Server)) -> Compared {
    compared_from(servers, "information_schema", None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_of_random_histories_on_mariadb_is_wrong() {
    let (seed, count) = histories(50);
    let (restored, source) = (MariaDb::start().with_application(), MariaDb::start().with_application());
    let mut chance = Chance(seed | 1);
    let tables: Vec<(String, usize)> =
        (0..count).map(|n| (format!("h{n}"), usize::try_from(n).unwrap() % MYSQL_KINDS.len())).collect();
    // The same history on both, and then one of its own on each. The time of day is of the session.
    let mut shared = "SET sql_mode = '', timestamp = 1780000000;\n".to_owned();
    let mut own = [shared.clone(), shared.clone()];
    for (table, kind) in &tables {
        writeln!(shared, "{};", MYSQL_KINDS[*kind].0.replace('%', table)).unwrap();
        for _ in 0..2 + chance.below(14) {
            writeln!(shared, "{};", mysql_statement(&mut chance, table, *kind)).unwrap();
        }
        for (side, own) in own.iter_mut().enumerate() {
            for _ in 0..(if side == 0 { chance.below(2) } else { chance.below(8) }) {
                writeln!(own, "{};", mysql_statement(&mut chance, table, *kind)).unwrap();
            }
        }
    }
    for (server, own) in [(&restored, &own[0]), (&source, &own[1])] {
        server.sql("shop", &shared);
        server.sql("shop", own);
    }
    let found = compared_on_mysql((&restored.master().await, &source.master().await)).await;
    let (mut wrong, mut differ) = (String::new(), 0);
    for (table, kind) in &tables {
        let key = MYSQL_KINDS[*kind].1;
        let sides = (mysql_rows(&restored, table, key), mysql_rows(&source, table, key));
        let expected = expected(&sides.0, &sides.1, !key.is_empty());
        differ += usize::from(expected != RowChanges::default());
        let found = of(&found, table);
        if found.rows.as_ref().map(|rows| rows.changes) != Some(expected) {
            writeln!(wrong, "{expected:?} in {sides:?}, and found: {found:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "seed {seed}:\n{wrong}");
    assert!(differ > tables.len() / 3, "the histories hardly differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb_no_value_is_too_long_or_too_alike_and_what_cannot_be_compared_is_told() {
    let made = "
        CREATE TABLE floats (id INT PRIMARY KEY, v FLOAT); INSERT INTO floats VALUES (1, 16777216), (2, 1.2345678);
        CREATE TABLE points (id INT PRIMARY KEY, v POINT); INSERT INTO points VALUES (1, POINT(1, 2));
        CREATE TABLE nulls (id INT PRIMARY KEY, v TEXT); INSERT INTO nulls VALUES (1, NULL), (2, '-'), (3, '');
        CREATE TABLE moments (id INT PRIMARY KEY, v TIMESTAMP); INSERT INTO moments VALUES (1, '2026-03-29 01:00:00');
        CREATE TABLE wide (id INT PRIMARY KEY); INSERT INTO wide VALUES (1);
        CREATE TABLE lasting (id INT PRIMARY KEY) ENGINE = MyISAM; CREATE TABLE fleeting (id INT PRIMARY KEY) ENGINE = MEMORY;
        CREATE TABLE gone (id INT); INSERT INTO gone VALUES (1), (1);
        CREATE TABLE `we``ird ü` (id INT PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM nulls;";
    let columns: Vec<String> = (0..300).map(|n| format!("ADD COLUMN c{n} VARCHAR(200) DEFAULT 'x'")).collect();
    let made = format!("{made} ALTER TABLE wide {};", columns.join(", "));
    // Hardly a text of all values would fit.
    let settings = ["--max-allowed-packet=1024"];
    let (restored, source) = (
        MariaDb::start_with(&settings, None).with_application(),
        MariaDb::start_with(&settings, None).with_application(),
    );
    for server in [&restored, &source] {
        server.sql("", "SET GLOBAL max_allowed_packet = 67108864");
        server.sql("shop", &made);
        server.sql("", "SET GLOBAL max_allowed_packet = 1024");
    }
    source.sql(
        "shop",
        "UPDATE floats SET v = 16777218 WHERE id = 1; UPDATE floats SET v = 1.2345679 WHERE id = 2; UPDATE points SET v = POINT(1, 3); \
         UPDATE nulls SET v = '-' WHERE id = 1; UPDATE nulls SET v = NULL WHERE id = 2; UPDATE nulls SET v = NULL WHERE id = 3; \
         UPDATE moments SET v = '2026-03-29 02:00:00'; UPDATE wide SET c299 = 'y'; DROP TABLE gone; CREATE TABLE `new` (id INT); INSERT INTO `new` VALUES (1)",
    );
    let found = compared_on_mysql((&restored.master().await, &source.master().await)).await;
    for (table, expected) in [
        ("floats", (0, 2, 0)),
        ("points", (0, 1, 0)),
        ("nulls", (0, 3, 0)),
        ("moments", (0, 1, 0)),
        ("wide", (0, 1, 0)),
        ("gone", (0, 0, 2)),
        ("new", (1, 0, 0)),
        ("we`ird ü", (0, 0, 0)),
    ] {
        assert_eq!(changes(&found, table), expected, "{table}");
    }
    for table in ["lasting", "fleeting"] {
        assert!(of(&found, table).not_compared.as_ref().unwrap().contains("no backup is sure to hold"), "{found:#?}");
    }
    assert!(found.tables.iter().all(|found| found.name.table != "seen"));
}
