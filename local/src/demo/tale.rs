//! What every story has in common: an application that writes, a mistake, a request, and what came of it. The chapters
//! themselves, and their order, are in `beside` and `in_place`.

use super::database::{Databases, Engine, Session};
use super::follow::{Chapters, Followed, beside, follow};
use super::recovery::{Execution, Outcome, start};
use super::scene::{self, APP_DATABASE, APP_TABLE, APP_USER, Scene, TABLE};
use super::show;
use super::stop::{Because, Stop};
use super::story::{Story, clock, count, shown};
use super::writer::{Job, Writer};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use jiff::{SignedDuration, Timestamp, Unit};
use rewind_clock::SystemClock;
use rewind_core::Clock;
use serde_json::{Value, json};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the application is looked at.
const POLL: Duration = Duration::from_millis(150);
/// How long the application writes before the mistake: longer than the step back to the target, which is up to 2 s.
const BEFORE: Duration = Duration::from_millis(3_500);
/// How long nobody notices.
const UNNOTICED: Duration = Duration::from_secs(2);
/// How long it writes after the recovery.
const AFTER: Duration = Duration::from_millis(1_500);
/// How long an application may take to write at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every chapter needs.
pub struct Tale<'a> {
    pub layout: &'a Layout,
    pub stack: &'a StackEnv,
    pub story: &'a Story,
    pub databases: &'a Databases,
    pub scene: &'a Scene,
}

/// A recovery that ended well.
pub struct Recovered {
    pub execution: Execution,
    pub outcome: Outcome,
}

/// A request, a field a line, in the order in which a person would write it.
pub type Request = Vec<(&'static str, Value)>;

/// One demo a stack at a time: a second one would take the first one's recovery for one that was left behind.
pub fn alone(layout: &Layout) -> Result<File, Stop> {
    let path = layout.run().join("demo.lock");
    let file = File::create(&path).because(path.display())?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Stop::new("another demo runs on this stack; nothing was done")),
        Err(TryLockError::Error(error)) => Err(error).because(path.display()),
        Ok(()) => Ok(file),
    }
}

impl Tale<'_> {
    /// A session of the master user in the database with the article's table, by the name that clients use.
    pub async fn session(&self) -> Result<Session, Stop> {
        let Scene { name, master, database, .. } = self.scene;
        self.databases.connect(name, master, database).await.map_err(Stop::new)
    }

    /// Makes the tables and the application's user.
    pub async fn set_up(&self) -> Result<Job, Stop> {
        let Self { story, databases, scene, .. } = self;
        story.field("cluster", format_args!("{} ({})", scene.cluster, scene.engine));
        story.field("instances", scene.instances.join(", "));
        let led = &scene.led;
        if scene.name == led.endpoint {
            story.field("clients connect to", format_args!("{} ({})", scene.name, led.address));
        } else {
            story.field("clients connect to", format_args!("{} -> {} ({})", scene.name, led.endpoint, led.address));
        }
        let mut session = self.session().await?;
        scene::make_table(&mut session, databases.engine).await?;
        let job = scene::make_application(databases, scene, &mut session).await?;
        story.say(format_args!("The table {TABLE}:"));
        for row in scene::rows(&mut session).await? {
            story.say(format_args!("  {row}"));
        }
        Ok(job)
    }

    /// Waits until the application has written for some seconds.
    pub async fn begin_to_write(&self, writer: &Writer) -> Result<(), Stop> {
        let story = self.story;
        story.say(format_args!(
            "It logs in as its own user {APP_USER}, over TLS, and inserts numbered rows into {APP_DATABASE}.{APP_TABLE} the whole"
        ));
        story.say("time: 3 workers, a connection pool, the name resolved anew for each connection.");
        let deadline = Instant::now() + PATIENCE;
        story.doing("some seconds pass", "");
        let since = Instant::now();
        while writer.acknowledged() < 20 || since.elapsed() < BEFORE {
            story.tick(&beside(writer));
            if Instant::now() > deadline {
                let why = writer.why_refused().unwrap_or_else(|| "its INSERTs are not answered".to_owned());
                return Err(Stop::new(format!("the application could not write: {why}")));
            }
            sleep(POLL).await;
        }
        story.idle();
        story.good(format_args!("{} writes acknowledged so far", count(writer.acknowledged())));
        Ok(())
    }

    /// The mistake; answers the moment to go back to.
    pub async fn mistake(&self) -> Result<Timestamp, Stop> {
        let story = self.story;
        let mut session = self.session().await?;
        let before = SystemClock.now();
        let sql = format!("DELETE FROM {TABLE}");
        let deleted = session.run(&sql).await.because("the DELETE could not be run")?;
        story.say(format_args!("{}  {sql};   -- somebody forgot the WHERE", clock(before)));
        story.say(format_args!("{}  {deleted} rows deleted", clock(SystemClock.now())));
        let left = scene::rows(&mut session).await?.len();
        if (deleted, left) != (2, 0) {
            return Err(Stop::new(format!(
                "the DELETE was to remove 2 rows and leave none: it removed {deleted}, left {left}"
            )));
        }
        let target = second_before(before)?;
        story.say(format_args!("The moment to go back to: {target}."));
        sleep(UNNOTICED).await;
        Ok(target)
    }

    /// The check of a request: so many rows in the article's table.
    pub fn check(&self, name: &str, rows: usize) -> Value {
        let sql = format!("SELECT count(*) FROM {TABLE}");
        json!([{ "name": name, "database": self.scene.database, "sql": sql, "expect": rows.to_string() }])
    }

    /// Starts an execution and follows it to its end.
    pub async fn recover(
        &self,
        writer: &Writer,
        id: &str,
        request: Request,
        chapters: Chapters,
    ) -> Result<(Execution, Followed), Stop> {
        let Self { stack, story, .. } = self;
        story.say(format_args!("StartExecution {id} with"));
        show::request(story, &request);
        let request: Value = request.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        let execution = start(stack, id, &request).await?;
        let followed = follow(stack, story, writer, &execution, chapters).await?;
        Ok((execution, followed))
    }

    /// Looks at the rows of the article's table as any client does, by the name that it uses, and counts them.
    pub async fn look(&self, endpoint: &str, rows: usize) -> Result<Vec<String>, Stop> {
        let Self { story, databases, scene, .. } = self;
        let mut session = self.session().await?;
        if session.server.endpoint != endpoint {
            let to = &session.server.endpoint;
            return Err(Stop::new(format!("{} leads to {to}; it should lead to {endpoint}", scene.name)));
        }
        let address = session.server.address.to_string();
        // MySQL does not know by which address it was reached.
        if databases.engine == Engine::AuroraPostgresql {
            let sql = "SELECT host(inet_server_addr())";
            let who = session.value(sql).await.because("the server could not be asked who it is")?;
            if who != address {
                return Err(Stop::new(format!("{who} answered in the place of {address}")));
            }
        }
        story.say(format_args!("Through {}, the writer at {address} answers:", scene.name));
        let found = scene::rows(&mut session).await?;
        for row in &found {
            story.say(format_args!("  {row}"));
        }
        if found.len() != rows {
            return Err(Stop::new(format!("{TABLE} was to have {rows} rows, and has {}", found.len())));
        }
        Ok(found)
    }

    /// The application goes on writing: it has to.
    pub async fn still_writes(&self, writer: &Writer) -> Result<(), Stop> {
        let settled = writer.acknowledged();
        sleep(AFTER).await;
        if writer.acknowledged() == settled {
            return Err(Stop::new(format!("the application writes no more; see {}", shown(&self.layout.logs()))));
        }
        Ok(())
    }

    /// What a curious person may do now, with the lines that are of one story alone.
    pub fn next(&self, execution: &Execution, ledger: &Path, cluster: &str, more: &[String]) {
        let Self { layout, stack, story, .. } = self;
        let aws = shown(&layout.tool("aws", "aws"));
        story.say(format_args!("The stack stays up. set -a; . {}; set +a, then:", shown(&layout.env_file())));
        for line in more {
            story.say(format_args!("  {line}"));
        }
        story.say(format_args!("  {aws} rds describe-db-clusters --db-cluster-identifier {cluster}"));
        story.say(format_args!(
            "  {aws} stepfunctions get-execution-history --execution-arn {} --query 'events[].type'",
            execution.arn
        ));
        story.say(format_args!(
            "  {aws} dynamodb get-item --table-name {} --key '{{\"id\": {{\"S\": \"recovery#{}\"}}}}'",
            stack.outputs.table_name, execution.id
        ));
        story.say(format_args!("  column -s, -t {}", shown(ledger)));
    }
}

/// A whole second, at least one before the mistake: what a person would write down.
pub fn second_before(mistake: Timestamp) -> Result<Timestamp, Stop> {
    let before = mistake.checked_sub(SignedDuration::from_secs(1)).because("there is no such moment")?;
    let floor = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor);
    before.round(floor).because("there is no such moment")
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
