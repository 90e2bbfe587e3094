//! The parts that both scenarios share: an application that writes, a mistake, a request, and a look at the rows. Their order is in
//! `restore_scenario` and `backtrack_scenario`.

use super::console::{Console, clock, count};
use super::database::{Databases, Engine, Session};
use super::demo_cluster::DemoCluster;
use super::follow_execution::{Followed, Headings, follow, write_progress};
use super::recovery::{Execution, start};
use super::show;
use super::tables::{self, APP_DATABASE, APP_TABLE, APP_USER, TABLE};
use super::writer::{Workload, Writer};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use crate::stack::progress::shown;
use anyhow::{Context, Result, anyhow, bail};
use jiff::{SignedDuration, Timestamp, Unit};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use serde_json::{Value, json};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two looks at the application's counters.
const POLL_INTERVAL: Duration = Duration::from_millis(150);
/// Time that the application writes before the mistake: longer than the step back to the target, which is up to 2 s.
const WRITES_BEFORE: Duration = Duration::from_millis(3_500);
/// Time until the mistake is noticed: writes of this time are the price of the rewind.
const UNNOTICED: Duration = Duration::from_secs(2);
/// Time that it writes after the recovery.
const WRITES_AFTER: Duration = Duration::from_millis(1_500);
/// Longest time that an application may take to write at all.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// The stack, the databases and the cluster of a running scenario.
pub struct Scenario<'a> {
    pub layout: &'a Layout,
    pub stack: &'a StackEnv,
    pub console: &'a Console,
    pub databases: &'a Databases,
    pub demo_cluster: &'a DemoCluster,
}

/// A recovery that ended well.
pub struct Recovered {
    pub execution: Execution,
    pub outcome: rewind_core::Recovered,
}

/// A request, a field a line, in the order in which a person would write it.
pub type Request = Vec<(&'static str, Value)>;

/// Locks the stack for this demo: a second one would take the first one's recovery for a leftover, and reject it.
///
/// # Errors
///
/// When another demo holds the lock.
pub fn lock_stack(layout: &Layout) -> Result<File> {
    let path = layout.run().join("demo.lock");
    let failed = || path.display().to_string();
    let file = File::create(&path).with_context(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(anyhow!("another demo runs on this stack; nothing was done")),
        Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        Ok(()) => Ok(file),
    }
}

impl Scenario<'_> {
    /// Connects the master user to the database with the article's table, by the name that clients use.
    pub async fn session(&self) -> Result<Session> {
        let DemoCluster { client_name, master, database, .. } = self.demo_cluster;
        self.databases.connect(client_name, master, database).await
    }

    /// Creates the tables and the application's user.
    pub async fn set_up(&self) -> Result<Workload> {
        let Self { console, databases, demo_cluster, .. } = self;
        console.field("cluster", format_args!("{} ({})", demo_cluster.id, demo_cluster.engine));
        console.field("instances", demo_cluster.instances.join(", "));
        let resolved = &demo_cluster.resolved;
        if demo_cluster.client_name == resolved.endpoint {
            console.field("clients connect to", format_args!("{} ({})", demo_cluster.client_name, resolved.address));
        } else {
            console.field(
                "clients connect to",
                format_args!("{} -> {} ({})", demo_cluster.client_name, resolved.endpoint, resolved.address),
            );
        }
        let mut session = self.session().await?;
        tables::create_table(&mut session, databases.engine).await?;
        let workload = tables::create_application(databases, demo_cluster, &mut session).await?;
        console.print(format_args!("The table {TABLE}:"));
        for row in tables::rows(&mut session).await? {
            console.print(format_args!("  {row}"));
        }
        Ok(workload)
    }

    /// Waits until the application has written for some seconds.
    pub async fn wait_for_writes(&self, writer: &Writer) -> Result<()> {
        let console = self.console;
        console.print(format_args!(
            "It logs in as its own user {APP_USER}, over TLS, and inserts numbered rows into {APP_DATABASE}.{APP_TABLE} the whole"
        ));
        console.print("time: 3 workers, a connection pool, the name resolved anew for each connection.");
        let deadline = Instant::now() + WRITE_TIMEOUT;
        console.start_activity("some seconds pass", "");
        let since = Instant::now();
        // By number too: a slow machine may have acknowledged next to nothing after that time.
        while writer.acknowledged() < 20 || since.elapsed() < WRITES_BEFORE {
            console.tick(&write_progress(writer));
            if Instant::now() > deadline {
                let why = writer.most_frequent_refusal().unwrap_or_else(|| "its INSERTs get no reply".to_owned());
                bail!("the application could not write: {why}");
            }
            sleep(POLL_INTERVAL).await;
        }
        console.end_activity();
        console.success(format_args!("{} writes acknowledged so far", count(writer.acknowledged())));
        Ok(())
    }

    /// Deletes all rows of the article's table; returns the moment to rewind to.
    pub async fn make_mistake(&self) -> Result<Timestamp> {
        let console = self.console;
        let mut session = self.session().await?;
        let before = SystemClock.now();
        // By the clock of this machine, as a person would note it; database and demo share it on a local stack.
        let sql = format!("DELETE FROM {TABLE}");
        let deleted = session.run(&sql).await.context("the DELETE could not be run")?;
        console.print(format_args!("{}  {sql};   -- somebody forgot the WHERE", clock(before)));
        console.print(format_args!("{}  {deleted} rows deleted", clock(SystemClock.now())));
        let left = tables::rows(&mut session).await?.len();
        if (deleted, left) != (2, 0) {
            bail!("the DELETE was to remove 2 rows and leave none: it removed {deleted}, left {left}");
        }
        let target = second_before(before)?;
        console.print(format_args!("The moment to rewind to: {target}."));
        sleep(UNNOTICED).await;
        Ok(target)
    }

    /// Builds the check of a request: so many rows in the article's table.
    pub fn check(&self, name: &str, rows: usize) -> Value {
        let sql = format!("SELECT count(*) FROM {TABLE}");
        json!([{ "name": name, "database": self.demo_cluster.database, "sql": sql, "expect": rows.to_string() }])
    }

    /// Starts an execution and follows it to its end.
    pub async fn recover(
        &self,
        writer: &Writer,
        id: &str,
        request: Request,
        headings: Headings,
    ) -> Result<(Execution, Followed)> {
        let Self { stack, console, .. } = self;
        console.print(format_args!("StartExecution {id} with"));
        show::request(console, &request);
        let request: Value = request.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        let execution = start(stack, id, &request).await?;
        let followed = follow(stack, console, writer, &execution, headings).await?;
        Ok((execution, followed))
    }

    /// Reads the rows of the article's table as any client does, by the name that it uses.
    ///
    /// # Errors
    ///
    /// When the name leads to another endpoint than `endpoint`, another server answers there, or there are not `rows` rows.
    pub async fn read_rows_by_name(&self, endpoint: &str, rows: usize) -> Result<Vec<String>> {
        let Self { console, databases, demo_cluster, .. } = self;
        let mut session = self.session().await?;
        if session.server.endpoint != endpoint {
            let to = &session.server.endpoint;
            bail!("{} leads to {to}; it should lead to {endpoint}", demo_cluster.client_name);
        }
        let address = session.server.address.to_string();
        // The name may resolve as it should and a proxy or a stale route still lead elsewhere: the server itself is asked. MySQL
        // does not know by which address it was reached.
        if databases.engine == Engine::AuroraPostgresql {
            let sql = "SELECT host(inet_server_addr())";
            let who = session.value(sql).await.context("the server could not be asked who it is")?;
            if who != address {
                bail!("{who} answered in place of {address}");
            }
        }
        console.print(format_args!("Through {}, the writer at {address} answers:", demo_cluster.client_name));
        let found = tables::rows(&mut session).await?;
        for row in &found {
            console.print(format_args!("  {row}"));
        }
        if found.len() != rows {
            bail!("{TABLE} was to have {rows} rows, and has {}", found.len());
        }
        Ok(found)
    }

    /// Fails unless the application goes on writing.
    pub async fn expect_more_writes(&self, writer: &Writer) -> Result<()> {
        let settled = writer.acknowledged();
        sleep(WRITES_AFTER).await;
        // The counter, not a connection of the demo's own: the pool may still hold connections to the fenced source.
        if writer.acknowledged() == settled {
            bail!("the application writes no more; see {}", shown(&self.layout.logs()));
        }
        Ok(())
    }

    /// Prints commands to look around with; `commands` are those of one scenario alone.
    pub fn print_next_commands(&self, execution: &Execution, ledger: &Path, cluster: &str, commands: &[String]) {
        let Self { layout, stack, console, .. } = self;
        let aws = shown(&layout.tool("aws", "aws"));
        console.print(format_args!("The stack stays up. set -a; . {}; set +a, then:", shown(&layout.env_file())));
        for line in commands {
            console.print(format_args!("  {line}"));
        }
        console.print(format_args!("  {aws} rds describe-db-clusters --db-cluster-identifier {cluster}"));
        console.print(format_args!(
            "  {aws} stepfunctions get-execution-history --execution-arn {} --query 'events[].type'",
            execution.arn
        ));
        console.print(format_args!(
            "  {aws} dynamodb get-item --table-name {} --key '{{\"id\": {{\"S\": \"recovery#{}\"}}}}'",
            stack.outputs.table_name, execution.id
        ));
        console.print(format_args!("  column -s, -t {}", shown(ledger)));
    }
}

/// The moment of the fence, which every recovery of the demo has.
pub fn fenced_at(outcome: &rewind_core::Recovered) -> Result<Timestamp> {
    let fence = outcome.fence.as_ref().context("the execution's output names no fence")?;
    Ok(fence.fenced_at)
}

/// Rounds to a whole second, at least one before the mistake: what a person would write down.
pub fn second_before(mistake: Timestamp) -> Result<Timestamp> {
    // A row inserted within the second before the mistake may go either way; a whole second earlier nothing is in doubt.
    let before = mistake.checked_sub(SignedDuration::from_secs(1)).context("there is no such moment")?;
    let floor = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor);
    before.round(floor).context("there is no such moment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_a_whole_second_and_at_least_one_before_the_mistake() {
        for (mistake, target) in
            [("2026-11-23T10:30:02.9Z", "2026-11-23T10:30:01Z"), ("2026-11-23T10:30:02Z", "2026-11-23T10:30:01Z")]
        {
            assert_eq!(second_before(mistake.parse().unwrap()).unwrap().to_string(), target);
        }
    }
}
