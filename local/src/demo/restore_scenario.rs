//! The scenario of `make demo`: a restored cluster beside the source, the record moved to it, the source fenced and kept.

use super::console::Console;
use super::database::{Databases, Engine, causes};
use super::demo_cluster;
use super::follow_execution::{ExecutionEnd, Headings};
use super::names::free_names;
use super::reconcile::Numbers;
use super::scenario::{Recovered, Request, Scenario, fenced_at, lock_stack};
use super::show::{self, Places};
use super::tables::{APP_DATABASE, APP_TABLE, TABLE};
use super::totals::{Observed, Sides};
use super::writer::{Workload, Writer};
use super::{fenced_source, leftovers};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use crate::stack::progress::shown;
use anyhow::{Result, bail};
use serde_json::json;

const HEADINGS: Headings = Headings { decision: "5. A person decides", after: "6. The switch" };

/// Runs the scenario.
pub async fn run(layout: &Layout, stack: &StackEnv, console: &Console) -> Result<()> {
    let _lock = lock_stack(layout)?;
    let databases = &Databases::of(stack, Engine::AuroraPostgresql)?;
    leftovers::end_interrupted(stack, console).await?;

    console.heading("1. A cluster and its data");
    let demo_cluster = &demo_cluster::find(stack, databases, &stack.db_record, &stack.database).await?;
    let scenario = Scenario { layout, stack, console, databases, demo_cluster };
    if !demo_cluster.secret_is_managed {
        console.note("an earlier recovery made this cluster; its master password is the one that was rewound with it");
    }
    let workload = scenario.set_up().await?;

    console.heading("2. An application writes");
    let writer = Writer::start(databases, &workload);
    // Its workers are stopped before an error is passed on: they would go on writing while the error is printed.
    let recovered = scenario.restore_while_it_writes(&writer).await;
    let log = writer.stop().await;
    let Recovered { execution, outcome } = recovered?;

    console.heading("8. Every write is accounted for");
    let restored = outcome.new_cluster.as_deref().unwrap_or_default();
    let (on_rewound, on_source) = scenario.read_both(&workload).await?;
    let observed = Observed {
        attempts: &log.attempts,
        on_rewound: &on_rewound,
        on_source: &on_source,
        sides: Sides::Beside { rewound: &outcome.writer_endpoint, source: &demo_cluster.endpoint },
        rewound_to: outcome.rewound_to,
        fenced_at: fenced_at(&outcome)?,
    };
    let places =
        Places { rewound: restored, source: &demo_cluster.id, source_is: "fenced and kept", afterwards: "the switch" };
    let ledger = scenario.reconcile(&execution, &observed, &log.refused, places)?;

    console.heading("What to try next");
    let record = &stack.db_record;
    let commands = [
        format!("dig @$DNS_SERVER -p $DNS_PORT {record}"),
        format!(
            "psql \"host={record} hostaddr=$(dig @$DNS_SERVER -p $DNS_PORT +short {record} | tail -1)\" -c 'TABLE {TABLE}'"
        ),
    ];
    scenario.print_next_commands(&execution, &ledger, restored, &commands);
    console
        .print("make demo once more rewinds the cluster that the record leads to now; make demo-backtrack rewinds one");
    console.print("in place; make down ends everything.");
    console.note(format_args!(
        "The demo took {:.0} s; its numbers are in {}.",
        console.elapsed().as_secs_f64(),
        shown(&ledger)
    ));
    Ok(())
}

impl Scenario<'_> {
    /// Runs everything that happens while the application writes.
    async fn restore_while_it_writes(&self, writer: &Writer) -> Result<Recovered> {
        let Self { stack, console, demo_cluster, .. } = self;
        self.wait_for_writes(writer).await?;
        console.heading("3. The mistake");
        let target = self.make_mistake().await?;

        console.heading("4. The recovery");
        let names = free_names(stack).await?;
        let dns = json!([{ "hostedZoneId": stack.hosted_zone_id, "name": stack.db_record, "endpoint": "writer" }]);
        let mut request: Request = vec![
            ("cluster", json!(demo_cluster.id)),
            ("to", json!(target)),
            ("strategy", json!("restore")),
            ("newCluster", json!(names.restored_cluster)),
            ("checks", self.check("rows are back", 2)),
            ("dns", dns),
            ("approval", json!("required")),
            ("approvalTimeout", json!("10m")),
            ("keepSource", json!("7d")),
        ];
        // The recovery reads the managed secret of the cluster by itself; a restored cluster has none.
        if !demo_cluster.secret_is_managed {
            request.push(("secretArn", json!(demo_cluster.secret)));
        }
        let (execution, followed) = self.recover(writer, &names.recovery, request, HEADINGS).await?;
        let output = match followed.end {
            ExecutionEnd::Recovered(output) => output,
            ExecutionEnd::Failed { error, cause } => {
                bail!("the execution {} ended in {error}: {cause}", execution.id);
            }
        };

        console.heading("7. What came of it");
        let outcome = show::outcome(console, &output)?;
        self.read_rows_by_name(&outcome.writer_endpoint, 2).await?;
        console.success("the rows are back");
        self.expect_more_writes(writer).await?;
        Ok(Recovered { execution, outcome })
    }

    /// Reads the numbers on both clusters: on the restored one through the record, on the source as an operator.
    async fn read_both(&self, workload: &Workload) -> Result<(Numbers, Numbers)> {
        let Self { layout, stack, console, databases, demo_cluster } = self;
        let mut restored = databases.connect(&demo_cluster.client_name, &demo_cluster.master, APP_DATABASE).await?;
        let on_restored = fenced_source::read_numbers(&mut restored, APP_TABLE).await?;
        // What the fence promises is tried with the application's own login before an operator goes around it.
        match databases.connect(&demo_cluster.endpoint, &workload.login, APP_DATABASE).await {
            Ok(_) => bail!("the application gets into the fenced source {}", demo_cluster.id),
            Err(refused) => {
                console.note(format_args!(
                    "The application tries to connect to {}: {}.",
                    demo_cluster.id,
                    causes(&refused)
                ));
            }
        }
        let from = fenced_source::admitted_address(stack, layout, &demo_cluster.id).await?;
        let place = from.map_or_else(String::new, |from| format!(", from {from}, the one address that is admitted"));
        console.note(format_args!(
            "To count there all the same, the demo acts as an operator: as the master user{place},"
        ));
        console.note(format_args!(
            "it lets one connection into {APP_DATABASE}, closes the database behind it, and reads read-only."
        ));
        let on_source = fenced_source::numbers(
            databases,
            from,
            &demo_cluster.endpoint,
            &demo_cluster.master,
            APP_DATABASE,
            APP_TABLE,
        )
        .await?;
        Ok((on_restored, on_source))
    }
}
