//! The story from beginning to end: what happens, in order, and what is said about it. Each chapter does its part by the
//! other modules; a number that does not add up is an error here.

use super::accounting::{Ledger, settle};
use super::database::Databases;
use super::recovery::{Execution, History, News, Outcome, decide, pending, start};
use super::scene::{self, APP_DATABASE, APP_ROLE, APP_TABLE, Scene, TABLE};
use super::stop::{Because, Stop};
use super::story::{Story, clock, count, shown};
use super::writer::{Attempt, Job, Writer, Written};
use super::{fenced, leftovers, show};
use crate::clock::SystemClock;
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use jiff::{SignedDuration, Timestamp, Unit};
use rewind_core::{Clock, Difference, Plan, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File, TryLockError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the history is looked at.
const POLL: Duration = Duration::from_millis(150);
/// How long the application writes before the mistake: longer than the step back to the target, which is up to 2 s.
const BEFORE: Duration = Duration::from_millis(3_500);
/// How long nobody notices.
const UNNOTICED: Duration = Duration::from_secs(2);
/// How long it writes after the recovery.
const AFTER: Duration = Duration::from_millis(1_500);
/// How long an application may take to write at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// Far longer than a recovery of a small database takes.
const LONGEST: Duration = Duration::from_secs(600);

/// Tells it.
pub async fn tell(layout: &Layout, stack: &StackEnv, story: &Story) -> Result<(), Stop> {
    let _alone = alone(layout)?;
    let databases = Databases::of(stack)?;
    leftovers::settle(stack, story).await?;

    story.chapter("1. A cluster and its data");
    let scene = scene::find(stack, &databases).await?;
    let job = set_up(stack, &databases, story, &scene).await?;

    story.chapter("2. An application writes");
    let writer = Writer::start(&databases, &job);
    begin_to_write(story, &writer).await?;
    let told = after_that(layout, stack, story, &databases, &scene, &writer).await;
    let written = writer.stop().await;
    let (execution, outcome) = told?;

    story.chapter("8. Every write is accounted for");
    let rows = account(layout, stack, story, &databases, &scene, &job, &execution, &outcome, &written).await?;

    story.chapter("What to try next");
    next(story, layout, stack, &execution, &outcome, &rows);
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

async fn set_up(stack: &StackEnv, databases: &Databases, story: &Story, scene: &Scene) -> Result<Job, Stop> {
    story.field("cluster", format_args!("{} ({})", scene.cluster, scene.engine));
    story.field("instances", scene.instances.join(", "));
    story.field(
        "clients connect to",
        format_args!("{} -> {} ({})", stack.db_record, scene.led.endpoint, scene.led.address),
    );
    if !scene.managed {
        story.aside("an earlier recovery made this cluster; its master password is the one that was rewound with it");
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

/// Everything that happens while the application writes.
async fn after_that(
    layout: &Layout,
    stack: &StackEnv,
    story: &Story,
    databases: &Databases,
    scene: &Scene,
    writer: &Writer,
) -> Result<(Execution, Outcome), Stop> {
    story.chapter("3. The mistake");
    let mistake = delete(stack, story, databases, scene).await?;
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
    look_back(stack, story, databases, scene, &outcome).await?;
    let settled = writer.acknowledged();
    sleep(AFTER).await;
    if writer.acknowledged() == settled {
        return Err(Stop::new(format!("the application writes no more; see {}", shown(&layout.logs()))));
    }
    Ok((execution, outcome))
}

/// The mistake; answers the moment just before it.
async fn delete(stack: &StackEnv, story: &Story, databases: &Databases, scene: &Scene) -> Result<Timestamp, Stop> {
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

/// A whole second, at least one before the mistake: what a person would write down.
fn second_before(mistake: Timestamp) -> Result<Timestamp, Stop> {
    let before = mistake.checked_sub(SignedDuration::from_secs(1)).because("there is no such moment")?;
    let floor = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor);
    before.round(floor).because("there is no such moment")
}

/// Follows the execution to its end and decides where it asks.
async fn follow(stack: &StackEnv, story: &Story, writer: &Writer, execution: &Execution) -> Result<Value, Stop> {
    let mut history = History::of(stack, execution);
    let mut entered: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut approval = Approval::default();
    let deadline = Instant::now() + LONGEST;
    story.doing("the execution starts", "");
    loop {
        for news in history.news().await? {
            match news {
                News::Entered { state, at } => {
                    story.doing(&state, show::activity(&state));
                    approval.wanted = state == "RequestApproval" && !approval.given;
                    entered.insert(state, at);
                }
                News::Left { state, at, output } => {
                    story.idle();
                    let since = entered.remove(&state).unwrap_or(at);
                    story.done(at.duration_since(since).as_secs_f64(), &state, show::activity(&state));
                    tell_state(story, &state, &output, &mut approval)?;
                    if state == "RequestApproval" && approval.given {
                        story.chapter("6. The switch");
                    }
                }
                News::Failed { error, cause } => story.warn(format_args!("{error}: {cause}")),
                News::Succeeded(output) => {
                    story.idle();
                    return Ok(output);
                }
                News::Ended { error, cause } => {
                    story.idle();
                    return Err(Stop::new(format!("the execution {} ended in {error}: {cause}", execution.id)));
                }
            }
        }
        if approval.wanted {
            approve(stack, story, execution, &mut approval).await?;
        }
        if Instant::now() > deadline {
            return Err(Stop::new(format!("the execution {} does not end; it was left running", execution.id)));
        }
        story.tick(&beside(writer));
        sleep(POLL).await;
    }
}

/// How the application fares.
fn beside(writer: &Writer) -> String {
    let refused = match writer.refusals() {
        0 => String::new(),
        refusals => format!(", {} connections refused", count(refusals)),
    };
    format!("{} writes acknowledged{refused}", count(writer.acknowledged()))
}

/// What a person sees before deciding.
#[derive(Debug, Default)]
struct Approval {
    wanted: bool,
    given: bool,
    report: Option<Report>,
    differences: Vec<Difference>,
}

/// Tells what a state answered, where that is of interest.
fn tell_state(story: &Story, state: &str, output: &Value, approval: &mut Approval) -> Result<(), Stop> {
    let payload = output.get("Payload").cloned().unwrap_or_default();
    let odd = format!("what {state} answered is not as documented");
    match state {
        "ValidateWindow" => show::plan(story, &serde_json::from_value::<Plan>(payload).because(odd)?),
        "Verify" => approval.report = Some(serde_json::from_value(payload).because(odd)?),
        "StartRestore" | "AddInstances" => {
            let found = payload.get("differences").cloned().unwrap_or_default();
            let found: Vec<Difference> = serde_json::from_value(found).because(odd)?;
            approval.differences.extend(found);
        }
        "FenceSource" => {
            for layer in payload.get("layers").and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| layer.get(name).and_then(Value::as_str).unwrap_or_default();
                story.say(format_args!("          {:<9} {}", text("layer"), text("did")));
            }
        }
        "SwapDns" => {
            for record in payload.get("records").and_then(Value::as_array).into_iter().flatten() {
                let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
                story.say(format_args!("          {} -> {}", text("name"), text("to")));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Shows what there is to decide on, and approves it.
async fn approve(stack: &StackEnv, story: &Story, execution: &Execution, approval: &mut Approval) -> Result<(), Stop> {
    let Some(pending) = pending(stack, &execution.id).await? else { return Ok(()) };
    if let Some(report) = approval.report.take() {
        story.idle();
        story.chapter("5. A person decides");
        story.say(
            "Nothing has been moved: the application still writes to the original. The new cluster was looked at:",
        );
        show::report(story, &report);
        show::differences(story, &std::mem::take(&mut approval.differences));
        story.say(format_args!(
            "Decide until {}; what is decided on has the hash {}.",
            pending.expires_at, pending.hash
        ));
    }
    if decide(stack, &pending, "approved", "the rows are back").await? {
        story.say("The demo approves, in the place of a person: SendTaskSuccess with that hash.");
        approval.given = true;
        approval.wanted = false;
    }
    Ok(())
}

/// Looks at the data as any client does: through the record.
async fn look_back(
    stack: &StackEnv,
    story: &Story,
    databases: &Databases,
    scene: &Scene,
    outcome: &Outcome,
) -> Result<(), Stop> {
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

/// What the reader may look at afterwards.
struct Looked {
    ledger: String,
}

#[expect(clippy::too_many_arguments, reason = "the end of the story needs all that came before")]
async fn account(
    layout: &Layout,
    stack: &StackEnv,
    story: &Story,
    databases: &Databases,
    scene: &Scene,
    job: &Job,
    execution: &Execution,
    outcome: &Outcome,
    written: &Written,
) -> Result<Looked, Stop> {
    story.say("The application has stopped. What it was told is now compared with what the databases hold.");
    let new = databases.connect(&stack.db_record, &scene.master, APP_DATABASE).await.map_err(Stop::new)?;
    let on_new = fenced::read(&new, APP_TABLE).await?;
    if let Ok(open) = databases.connect(&scene.endpoint, &job.login, APP_DATABASE).await {
        return Err(Stop::new(format!("the application gets into the fenced original at {}", open.server.address)));
    }
    let from = fenced::admitted(stack, layout, &scene.cluster).await?;
    let place = from.map_or_else(String::new, |from| format!(", from {from}, the one address that it admits"));
    story.aside(format_args!(
        "Into {} nobody gets any more. To count there, the demo acts as an operator:",
        scene.cluster
    ));
    story.aside(format_args!("as the master user{place}, it lets one connection into {APP_DATABASE},"));
    story.aside("closes the door behind it, and reads read-only.");
    let on_original = fenced::numbers(databases, from, &scene.endpoint, &scene.master, APP_DATABASE, APP_TABLE).await?;
    let account = settle(&Ledger {
        attempts: &written.attempts,
        on_new: &on_new,
        on_original: &on_original,
        new_endpoint: &outcome.writer_endpoint,
        original_endpoint: &scene.endpoint,
        rewound_to: outcome.rewound_to,
        fenced_at: outcome.fence.fenced_at,
    });
    let ledger = layout.log(&execution.id).with_extension("csv");
    fs::write(&ledger, csv(&written.attempts, &on_original, &on_new)).because(ledger.display())?;
    show::account(story, &account, &scene.cluster, &outcome.new_cluster);
    show::refused(story, &written.refused);
    story.aside(format_args!("Every number by itself: {}", shown(&ledger)));
    if !account.problems.is_empty() {
        for problem in &account.problems {
            story.warn(problem);
        }
        return Err(Stop::new("the numbers do not add up"));
    }
    for (group, what) in [
        (&account.before_target, "before the target"),
        (&account.only_original, "between the target and the fence"),
        (&account.after_switch, "after the switch"),
    ] {
        if group.is_empty() {
            return Err(Stop::new(format!("no write was acknowledged {what}, so nothing is shown by this demo")));
        }
    }
    story.good(format_args!(
        "every acknowledged write is in exactly one place, none was acknowledged by {} after {}",
        scene.cluster,
        clock(outcome.fence.fenced_at)
    ));
    Ok(Looked { ledger: shown(&ledger) })
}

type Numbers = std::collections::BTreeSet<i64>;

/// One line a number.
fn csv(attempts: &[Attempt], on_original: &Numbers, on_new: &Numbers) -> String {
    let mut text = "number,endpoint,sent,acknowledged,on_original,on_new,error\n".to_owned();
    for Attempt { number, endpoint, sent, acknowledged } in attempts {
        let at = acknowledged.as_ref().map(ToString::to_string).unwrap_or_default();
        let error = acknowledged.as_ref().err().map(|error| error.replace('"', "'")).unwrap_or_default();
        let (original, new) = (on_original.contains(number), on_new.contains(number));
        // Writing to a string can't fail.
        let _ = writeln!(text, "{number},{endpoint},{sent},{at},{original},{new},\"{error}\"");
    }
    text
}

fn next(story: &Story, layout: &Layout, stack: &StackEnv, execution: &Execution, outcome: &Outcome, looked: &Looked) {
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
    story.say(format_args!("  column -s, -t {}", looked.ledger));
    story.say("make demo once more rewinds the cluster that the record leads to now; make down ends everything.");
    story.aside(format_args!("The demo took {:.0} s.", story.lasted().as_secs_f64()));
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

    #[test]
    fn a_line_of_the_ledger_says_where_a_number_is() {
        let at: Timestamp = "2026-11-23T10:30:00Z".parse().unwrap();
        let attempt = |number, acknowledged| Attempt { number, endpoint: "e".into(), sent: at, acknowledged };
        let text = csv(&[attempt(1, Ok(at)), attempt(2, Err("a \"b\", c".into()))], &[1].into(), &[].into());
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "1,e,2026-11-23T10:30:00Z,2026-11-23T10:30:00Z,true,false,\"\"",
                "2,e,2026-11-23T10:30:00Z,,false,false,\"a 'b', c\"",
            ]
        );
    }
}
