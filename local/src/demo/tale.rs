//! The story from beginning to end: what happens, in order, and what is said about it. Each chapter does its part by the
//! other modules; a number that does not add up is an error here.

use super::database::Databases;
use super::follow::{beside, follow};
use super::recovery::{Execution, Outcome, start};
use super::scene::{self, APP_DATABASE, APP_ROLE, APP_TABLE, Scene, TABLE};
use super::stop::{Because, Stop};
use super::story::{Story, clock, count, shown};
use super::writer::{Job, Writer};
use super::{leftovers, show};
use crate::clock::SystemClock;
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use jiff::{SignedDuration, Timestamp, Unit};
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

/// Tells it.
pub async fn tell(layout: &Layout, stack: &StackEnv, story: &Story) -> Result<(), Stop> {
    let _alone = alone(layout)?;
    let databases = &Databases::of(stack)?;
    leftovers::settle(stack, story).await?;

    story.chapter("1. A cluster and its data");
    let scene = &scene::find(stack, databases).await?;
    let tale = Tale { layout, stack, story, databases, scene };
    let job = tale.set_up().await?;

    story.chapter("2. An application writes");
    let writer = Writer::start(databases, &job);
    begin_to_write(story, &writer).await?;
    let told = tale.while_it_writes(&writer).await;
    let written = writer.stop().await;
    let recovered = told?;

    story.chapter("8. Every write is accounted for");
    let ledger = tale.account(&job, &recovered, &written).await?;

    story.chapter("What to try next");
    tale.next(&recovered, &ledger);
    Ok(())
}

/// One demo a stack at a time: a second one would take the first one's recovery for one that was left behind.
fn alone(layout: &Layout) -> Result<File, Stop> {
    let path = layout.run().join("demo.lock");
    let file = File::create(&path).because(path.display())?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Stop::new("another demo runs on this stack; nothing was done")),
        Err(TryLockError::Error(error)) => Err(error).because(path.display()),
        Ok(()) => Ok(file),
    }
}

async fn begin_to_write(story: &Story, writer: &Writer) -> Result<(), Stop> {
    story.say(format_args!(
        "It logs in as its own user {APP_ROLE}, over TLS, and inserts numbered rows into {APP_DATABASE}.{APP_TABLE} the whole"
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

impl Tale<'_> {
    async fn set_up(&self) -> Result<Job, Stop> {
        let Self { stack, story, databases, scene, .. } = self;
        story.field("cluster", format_args!("{} ({})", scene.cluster, scene.engine));
        story.field("instances", scene.instances.join(", "));
        story.field(
            "clients connect to",
            format_args!("{} -> {} ({})", stack.db_record, scene.led.endpoint, scene.led.address),
        );
        if !scene.managed {
            story.aside(
                "an earlier recovery made this cluster; its master password is the one that was rewound with it",
            );
        }
        let session = databases.connect(&stack.db_record, &scene.master, &stack.database).await.map_err(Stop::new)?;
        scene::make_table(&session).await?;
        let job = scene::make_application(stack, databases, scene, &session).await?;
        story.say(format_args!("The table {TABLE}, made through {}:", stack.db_record));
        for row in scene::rows(&session).await? {
            story.say(format_args!("  {row}"));
        }
        Ok(job)
    }

    /// Everything that happens while the application writes.
    async fn while_it_writes(&self, writer: &Writer) -> Result<Recovered, Stop> {
        let Self { stack, story, scene, .. } = self;
        story.chapter("3. The mistake");
        let mistake = self.delete().await?;
        let target = second_before(mistake)?;
        story.say(format_args!("The moment to go back to: {target}."));
        sleep(UNNOTICED).await;

        story.chapter("4. The recovery");
        let names = scene::free_names(stack).await?;
        let mut request = vec![
            ("cluster", json!(scene.cluster)),
            ("to", json!(target)),
            ("strategy", json!("restore")),
            ("newCluster", json!(names.new_cluster)),
            (
                "checks",
                json!([{
                    "name": "rows are back",
                    "database": stack.database,
                    "sql": format!("SELECT count(*) FROM {TABLE}"),
                    "expect": "2",
                }]),
            ),
            ("dns", json!([{ "hostedZoneId": stack.hosted_zone_id, "name": stack.db_record, "endpoint": "writer" }])),
            ("approval", json!("required")),
            ("approvalTimeout", json!("10m")),
            ("keepSource", json!("7d")),
        ];
        if !scene.managed {
            request.push(("secretArn", json!(scene.secret)));
        }
        story.say(format_args!("StartExecution {} with", names.recovery));
        show::request(story, &request);
        let request: Value = request.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        let execution = start(stack, &names.recovery, &request).await?;
        let output = follow(stack, story, writer, &execution).await?;

        story.chapter("7. What came of it");
        let outcome: Outcome = serde_json::from_value(output).because("the execution's output is not as documented")?;
        show::outcome(story, &outcome);
        self.look_back(&outcome).await?;
        let settled = writer.acknowledged();
        sleep(AFTER).await;
        if writer.acknowledged() == settled {
            return Err(Stop::new(format!("the application writes no more; see {}", shown(&self.layout.logs()))));
        }
        Ok(Recovered { execution, outcome })
    }

    /// The mistake; answers the moment just before it.
    async fn delete(&self) -> Result<Timestamp, Stop> {
        let Self { stack, story, databases, scene, .. } = self;
        let session = databases.connect(&stack.db_record, &scene.master, &stack.database).await.map_err(Stop::new)?;
        let before = SystemClock.now();
        let sql = format!("DELETE FROM {TABLE}");
        let deleted = session.client.execute(&sql, &[]).await.because("the DELETE could not be run")?;
        story.say(format_args!("{}  {sql};   -- somebody forgot the WHERE", clock(before)));
        story.say(format_args!("{}  DELETE {deleted}", clock(SystemClock.now())));
        let left = scene::rows(&session).await?.len();
        if (deleted, left) != (2, 0) {
            return Err(Stop::new(format!(
                "the DELETE was to remove 2 rows and leave none: it removed {deleted}, left {left}"
            )));
        }
        Ok(before)
    }

    /// Looks at the data as any client does: through the record.
    async fn look_back(&self, outcome: &Outcome) -> Result<(), Stop> {
        let Self { stack, story, databases, scene, .. } = self;
        let session = databases.connect(&stack.db_record, &scene.master, &stack.database).await.map_err(Stop::new)?;
        if session.server.endpoint != outcome.writer_endpoint {
            let (to, should) = (&session.server.endpoint, &outcome.writer_endpoint);
            return Err(Stop::new(format!("{} leads to {to}; it should lead to {should}", stack.db_record)));
        }
        let sql = "SELECT host(inet_server_addr())";
        let who = session.client.query_one(sql, &[]).await.because("the server could not be asked who it is")?;
        let who: String = who.try_get(0).because("the server's address could not be read")?;
        if who != session.server.address.to_string() {
            return Err(Stop::new(format!("{who} answered in the place of {}", session.server.address)));
        }
        let name = &stack.db_record;
        story.say(format_args!("Through {name}, {} ({who}) answers:", outcome.new_cluster));
        let rows = scene::rows(&session).await?;
        for row in &rows {
            story.say(format_args!("  {row}"));
        }
        if rows.len() != 2 {
            return Err(Stop::new(format!("{TABLE} was to have 2 rows again, and has {}", rows.len())));
        }
        story.good("the rows are back");
        Ok(())
    }

    /// What a curious person may do now.
    fn next(&self, Recovered { execution, outcome }: &Recovered, ledger: &Path) {
        let Self { layout, stack, story, .. } = self;
        let env = shown(&layout.env_file());
        let (record, id, new) = (&stack.db_record, &execution.id, &outcome.new_cluster);
        let aws = shown(&layout.tool("aws", "aws"));
        story.say(format_args!("The stack stays up. set -a; . {env}; set +a, then:"));
        story.say(format_args!("  dig @$DNS_SERVER -p $DNS_PORT {record}"));
        story.say(format_args!(
        "  psql \"host={record} hostaddr=$(dig @$DNS_SERVER -p $DNS_PORT +short {record} | tail -1)\" -c 'TABLE {TABLE}'"
    ));
        story.say(format_args!("  {aws} rds describe-db-clusters --db-cluster-identifier {new}"));
        story.say(format_args!(
            "  {aws} stepfunctions get-execution-history --execution-arn {} --query 'events[].type'",
            execution.arn
        ));
        story.say(format_args!(
            "  {aws} dynamodb get-item --table-name {} --key '{{\"id\": {{\"S\": \"recovery#{id}\"}}}}'",
            stack.outputs.table_name
        ));
        story.say(format_args!("  column -s, -t {}", shown(ledger)));
        story.say("make demo once more rewinds the cluster that the record leads to now; make down ends everything.");
        story.aside(format_args!("The demo took {:.0} s.", story.lasted().as_secs_f64()));
    }
}

/// A whole second, at least one before the mistake: what a person would write down.
fn second_before(mistake: Timestamp) -> Result<Timestamp, Stop> {
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
