//! The scenario of `make demo-backtrack`: a cluster that is rewound itself, its safety clone kept, and a second rewind that a check
//! rejects and that is rolled back.

use super::console::{Console, clock, count};
use super::database::{Databases, Engine};
use super::demo_cluster::{self, DemoCluster};
use super::follow_execution::{ExecutionEnd, Followed, Headings};
use super::names::free_names;
use super::scenario::{Recovered, Request, Scenario, fenced_at, lock_stack, second_before};
use super::show::{self, Places};
use super::tables::{self, APP_DATABASE, APP_TABLE, TABLE};
use super::totals::{Observed, Sides};
use super::writer::Writer;
use super::{fenced_source, leftovers, mysql_cluster};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use crate::stack::progress::shown;
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use rewind_clock::SystemClock;
use rewind_core::{Clock, KeptSafetyClone};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const HEADINGS: Headings = Headings { decision: "5. A person decides", after: "6. The rewind" };
/// Time between the two rewinds: longer than the step back to a target, which is up to 2 s, so that the second target lies after
/// the first rewind.
const BETWEEN_REWINDS: Duration = Duration::from_millis(2_500);

/// Runs the scenario.
pub async fn run(layout: &Layout, stack: &StackEnv, console: &Console) -> Result<()> {
    let _lock = lock_stack(layout)?;
    let databases = &Databases::of(stack, Engine::AuroraMysql)?;
    leftovers::end_interrupted(stack, console).await?;

    console.heading("1. A cluster that can be rewound in place, and its data");
    mysql_cluster::delete_earlier_safety_clones(stack, console).await?;
    let endpoint = mysql_cluster::ensure(stack, databases, console).await?;
    let demo_cluster = &demo_cluster::find(stack, databases, &endpoint, mysql_cluster::DATABASE).await?;
    let scenario = Scenario { layout, stack, console, databases, demo_cluster };
    let workload = scenario.set_up().await?;

    console.heading("2. An application writes");
    let writer = Writer::start(databases, &workload);
    let recovered = scenario.backtrack_while_it_writes(&writer).await;
    let log = writer.stop().await;
    let Recovered { execution, outcome } = recovered?;
    let safety_clone = safety_clone_of(&outcome)?;

    console.heading("9. Every write is accounted for");
    let mut rewound = databases.connect(&demo_cluster.client_name, &demo_cluster.master, APP_DATABASE).await?;
    let mut kept = databases.connect(&safety_clone.writer_endpoint, &demo_cluster.master, APP_DATABASE).await?;
    let on_rewound = fenced_source::read_numbers(&mut rewound, APP_TABLE).await?;
    let on_source = fenced_source::read_numbers(&mut kept, APP_TABLE).await?;
    let observed = Observed {
        attempts: &log.attempts,
        on_rewound: &on_rewound,
        on_source: &on_source,
        sides: Sides::InPlace,
        rewound_to: outcome.rewound_to,
        fenced_at: fenced_at(&outcome)?,
    };
    let places = Places {
        rewound: &demo_cluster.id,
        source: &safety_clone.cluster,
        source_is: "the safety clone",
        afterwards: "the first rewind",
    };
    let ledger = scenario.reconcile(&execution, &observed, &log.refused, places)?;

    console.heading("What to try next");
    let aws = shown(&layout.tool("aws", "aws"));
    let commands = [
        format!("address=$(dig @$DNS_SERVER -p $DNS_PORT +short {endpoint})"),
        format!(
            "export MYSQL_PWD=$({aws} secretsmanager get-secret-value --secret-id {} --query SecretString --output text | jq -r .password)",
            demo_cluster.secret
        ),
        format!(
            "mariadb --host=$address --user={} {} -e 'SELECT * FROM {TABLE}'",
            demo_cluster.master.user, demo_cluster.database
        ),
        format!("{aws} rds describe-db-cluster-backtracks --db-cluster-identifier {}", demo_cluster.id),
    ];
    scenario.print_next_commands(&execution, &ledger, &safety_clone.cluster, &commands);
    console.print("make demo-backtrack once more rewinds the same cluster; make demo recovers beside the source.");
    console.note(format_args!("The demo took {:.0} s.", console.elapsed().as_secs_f64()));
    Ok(())
}

impl Scenario<'_> {
    /// Runs everything that happens while the application writes.
    async fn backtrack_while_it_writes(&self, writer: &Writer) -> Result<Recovered> {
        let console = self.console;
        self.wait_for_writes(writer).await?;
        console.heading("3. The mistake");
        let target = self.make_mistake().await?;

        console.heading("4. The recovery");
        let id = free_names(self.stack).await?.recovery;
        let request = self.request(target, 2, "required");
        let (execution, followed) = self.recover(writer, &id, request, HEADINGS).await?;
        let Followed { end, fenced_at, spent } = followed;
        let output = match end {
            ExecutionEnd::Recovered(output) => output,
            ExecutionEnd::Failed { error, cause } => {
                bail!("the execution {id} ended in {error}: {cause}");
            }
        };

        console.heading("7. What came of it");
        let outcome = show::outcome(console, &output)?;
        // Without a safety clone nothing would be left to count later: said now, before the second rewind.
        safety_clone_of(&outcome)?;
        self.read_rows_by_name(&self.demo_cluster.endpoint, 2).await?;
        console.success("the rows are back, through the same endpoint");
        self.expect_more_writes(writer).await?;
        self.print_outage(writer, fenced_at, &spent)?;

        console.heading("8. A rewind that its own checks reject");
        self.rewind_rejected_by_check(writer).await?;
        Ok(Recovered { execution, outcome })
    }

    fn request(&self, target: Timestamp, rows: usize, approval: &str) -> Request {
        vec![
            ("cluster", json!(self.demo_cluster.id)),
            ("to", json!(target)),
            // Not "backtrack": the choice is the product's, and the plan says why.
            ("strategy", json!("auto")),
            ("inPlace", json!("allowed")),
            ("checks", self.check("rows are back", rows)),
            ("approval", json!(approval)),
            ("approvalTimeout", json!("10m")),
            ("keepSource", json!("7d")),
        ]
    }

    /// Rewinds a second time, to a wrong moment: the check rejects it, and everything must be as it was.
    async fn rewind_rejected_by_check(&self, writer: &Writer) -> Result<()> {
        let Self { stack, console, demo_cluster, .. } = self;
        sleep(BETWEEN_REWINDS).await;
        let mut session = self.session().await?;
        let before = SystemClock.now();
        let sql = format!("INSERT INTO {TABLE} (data) VALUES ('Test data 3')");
        session.run(&sql).await.context("the row could not be inserted")?;
        console.print(format_args!("{}  {sql};   -- a good row", clock(before)));
        let rows = tables::rows(&mut session).await?;
        // The fence of the second rewind changes them, and rolling back has to restore them.
        let groups = security_groups(stack, demo_cluster).await?;
        let target = second_before(before)?;
        console.print(format_args!("Somebody rewinds to {target}, too far: the check knows that there are 3 rows."));
        let id = free_names(stack).await?.recovery;
        let (_, followed) = self.recover(writer, &id, self.request(target, 3, "none"), HEADINGS).await?;
        // NothingChanged is a Fail state: the execution ends in the error that the check raised.
        match followed.end {
            ExecutionEnd::Failed { error, cause } if error == "VerificationFailed" => {
                console.success(format_args!("{id} ended in NothingChanged: {error}"));
                for part in cause.split("; ") {
                    console.note(format_args!("  {part}"));
                }
            }
            ExecutionEnd::Failed { error, cause } => {
                bail!("{id} was to be rejected by its check, and ended in {error}: {cause}");
            }
            ExecutionEnd::Recovered(_) => bail!("{id} was to be rejected by its check, and was not"),
        }
        let left = self.read_rows_by_name(&demo_cluster.endpoint, 3).await?;
        if left != rows {
            bail!("the rows of {TABLE} are not what they were: {}", rows.join("; "));
        }
        let groups_now = security_groups(stack, demo_cluster).await?;
        if groups_now != groups {
            bail!("{} had the security groups {groups:?} and has {groups_now:?}", demo_cluster.id);
        }
        console.success("every row is as it was, and so are the security groups");
        self.expect_more_writes(writer).await?;
        self.print_outage(writer, followed.fenced_at, &followed.spent)
    }

    /// Prints how long the application was without its database, next to what the backtracks themselves took.
    fn print_outage(&self, writer: &Writer, fenced_at: Option<Timestamp>, spent: &[(String, f64)]) -> Result<()> {
        let silence = fenced_at.and_then(|fenced_at| writer.gap_around(fenced_at));
        let Some((from, silence)) = silence else {
            bail!("it is not known how long the application was without its database");
        };
        // AwaitRewind is visited twice: the first wait is for the safety clone, while the application still writes.
        let back = spent.iter().skip_while(|(state, _)| state != "StartBacktrack");
        let of = ["StartBacktrack", "AwaitRewind", "UndoStartBacktrack", "AwaitForward"];
        let itself: f64 = back.filter(|(state, _)| of.contains(&state.as_str())).map(|(_, seconds)| seconds).sum();
        self.console.print(format_args!(
            "The application was without its database for {:.1} s from {}, {itself:.1} s of them for backtracks; {} writes acknowledged by now.",
            silence.as_secs_f64(),
            clock(from),
            count(writer.acknowledged())
        ));
        Ok(())
    }
}

fn safety_clone_of(outcome: &rewind_core::Recovered) -> Result<&KeptSafetyClone> {
    outcome.safety_clone.as_ref().context("the execution's output names no safety clone")
}

async fn security_groups(stack: &StackEnv, demo_cluster: &DemoCluster) -> Result<Vec<String>> {
    let all = demo_cluster::clusters(stack).await?;
    let cluster = all.iter().find(|cluster| cluster.db_cluster_identifier() == Some(&demo_cluster.id));
    let groups = cluster.map(|cluster| cluster.vpc_security_groups()).unwrap_or_default();
    Ok(groups.iter().filter_map(|group| group.vpc_security_group_id().map(str::to_owned)).collect())
}
