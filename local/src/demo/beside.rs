//! The story beside the source: a new cluster as of the target, the record moved to it, the source fenced and kept.

use super::accounting::Sides;
use super::database::{Databases, Engine};
use super::follow::{Chapters, End};
use super::reckoning::{Ended, Numbers};
use super::recovery::Outcome;
use super::scene::{self, APP_DATABASE, APP_TABLE, TABLE};
use super::show::{self, Places};
use super::stop::{Because, Stop};
use super::story::{Story, shown};
use super::tale::{Recovered, Request, Tale, alone};
use super::writer::{Job, Writer};
use super::{fenced, leftovers};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use serde_json::json;

const CHAPTERS: Chapters = Chapters { decision: "5. A person decides", after: "6. The switch" };

/// Tells it.
pub async fn tell(layout: &Layout, stack: &StackEnv, story: &Story) -> Result<(), Stop> {
    let _alone = alone(layout)?;
    let databases = &Databases::of(stack, Engine::AuroraPostgresql)?;
    leftovers::settle(stack, story).await?;

    story.chapter("1. A cluster and its data");
    let scene = &scene::find(stack, databases, &stack.db_record, &stack.database).await?;
    let tale = Tale { layout, stack, story, databases, scene };
    if !scene.managed {
        story.aside("an earlier recovery made this cluster; its master password is the one that was rewound with it");
    }
    let job = tale.set_up().await?;

    story.chapter("2. An application writes");
    let writer = Writer::start(databases, &job);
    let told = tale.while_it_writes_beside(&writer).await;
    let written = writer.stop().await;
    let Recovered { execution, outcome } = told?;

    story.chapter("8. Every write is accounted for");
    let new = outcome.new_cluster.as_deref().unwrap_or_default();
    let (on_rewound, on_source) = tale.read_both(&job).await?;
    let ended = Ended {
        written: &written,
        on_rewound: &on_rewound,
        on_source: &on_source,
        sides: Sides::Beside { rewound: &outcome.writer_endpoint, source: &scene.endpoint },
        places: Places { rewound: new, source: &scene.cluster, source_is: "fenced and kept", afterwards: "the switch" },
        rewound_to: outcome.rewound_to,
        fenced_at: outcome.fence.fenced_at,
    };
    let ledger = tale.account(&execution, &ended)?;

    story.chapter("What to try next");
    let record = &stack.db_record;
    let more = [
        format!("dig @$DNS_SERVER -p $DNS_PORT {record}"),
        format!(
            "psql \"host={record} hostaddr=$(dig @$DNS_SERVER -p $DNS_PORT +short {record} | tail -1)\" -c 'TABLE {TABLE}'"
        ),
    ];
    tale.next(&execution, &ledger, new, &more);
    story.say(
        "make demo once more rewinds the cluster that the record leads to now; make demo-backtrack tells of a rewind",
    );
    story.say("in place; make down ends everything.");
    story.aside(format_args!(
        "The demo took {:.0} s; its numbers are in {}.",
        story.lasted().as_secs_f64(),
        shown(&ledger)
    ));
    Ok(())
}

impl Tale<'_> {
    /// Everything that happens while the application writes.
    async fn while_it_writes_beside(&self, writer: &Writer) -> Result<Recovered, Stop> {
        let Self { stack, story, scene, .. } = self;
        self.begin_to_write(writer).await?;
        story.chapter("3. The mistake");
        let target = self.mistake().await?;

        story.chapter("4. The recovery");
        let names = scene::free_names(stack).await?;
        let dns = json!([{ "hostedZoneId": stack.hosted_zone_id, "name": stack.db_record, "endpoint": "writer" }]);
        let mut request: Request = vec![
            ("cluster", json!(scene.cluster)),
            ("to", json!(target)),
            ("strategy", json!("restore")),
            ("newCluster", json!(names.new_cluster)),
            ("checks", self.check("rows are back", 2)),
            ("dns", dns),
            ("approval", json!("required")),
            ("approvalTimeout", json!("10m")),
            ("keepSource", json!("7d")),
        ];
        if !scene.managed {
            request.push(("secretArn", json!(scene.secret)));
        }
        let (execution, followed) = self.recover(writer, &names.recovery, request, CHAPTERS).await?;
        let output = match followed.end {
            End::Recovered(output) => output,
            End::Failed { error, cause } => {
                return Err(Stop::new(format!("the execution {} ended in {error}: {cause}", execution.id)));
            }
        };

        story.chapter("7. What came of it");
        let outcome: Outcome = serde_json::from_value(output).because("the execution's output is not as documented")?;
        show::outcome(story, &outcome);
        self.look(&outcome.writer_endpoint, 2).await?;
        story.good("the rows are back");
        self.still_writes(writer).await?;
        Ok(Recovered { execution, outcome })
    }

    /// What the two clusters hold: the new one through the record, the source as an operator.
    async fn read_both(&self, job: &Job) -> Result<(Numbers, Numbers), Stop> {
        let Self { layout, stack, story, databases, scene } = self;
        let mut new = databases.connect(&scene.name, &scene.master, APP_DATABASE).await.map_err(Stop::new)?;
        let on_new = fenced::read(&mut new, APP_TABLE).await?;
        match databases.connect(&scene.endpoint, &job.login, APP_DATABASE).await {
            Ok(_) => return Err(Stop::new(format!("the application gets into the fenced source {}", scene.cluster))),
            Err(refused) => story.aside(format_args!("The application knocks at {}: {refused}.", scene.cluster)),
        }
        let from = fenced::admitted(stack, layout, &scene.cluster).await?;
        let place = from.map_or_else(String::new, |from| format!(", from {from}, the one address that is admitted"));
        story.aside(format_args!(
            "To count there all the same, the demo acts as an operator: as the master user{place},"
        ));
        story.aside(format_args!(
            "it lets one connection into {APP_DATABASE}, closes the door behind it, and reads read-only."
        ));
        let on_source =
            fenced::numbers(databases, from, &scene.endpoint, &scene.master, APP_DATABASE, APP_TABLE).await?;
        Ok((on_new, on_source))
    }
}
