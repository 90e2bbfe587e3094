//! The story in place: a cluster that can be rewound itself, its safety clone kept, and a second rewind that its own checks reject
//! and that is undone forward.

use super::accounting::Sides;
use super::database::{Databases, Engine};
use super::follow::{Chapters, End, Followed};
use super::reckoning::Ended;
use super::recovery::{Outcome, SafetyClone};
use super::scene::{self, APP_DATABASE, APP_TABLE, Scene, TABLE};
use super::show::{self, Places};
use super::stop::{Because, Stop};
use super::story::{Story, clock, count, shown};
use super::tale::{Recovered, Request, Tale, alone, second_before};
use super::writer::Writer;
use super::{fenced, leftovers, made};
use crate::stack::StackEnv;
use crate::stack::layout::Layout;
use jiff::Timestamp;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const CHAPTERS: Chapters = Chapters { decision: "5. A person decides", after: "6. The rewind" };
/// Longer than the step back to a target, which is up to 2 s: the second rewind goes back to after the first.
const MEANWHILE: Duration = Duration::from_millis(2_500);

/// Tells it.
pub async fn tell(layout: &Layout, stack: &StackEnv, story: &Story) -> Result<(), Stop> {
    let _alone = alone(layout)?;
    let databases = &Databases::of(stack, Engine::AuroraMysql)?;
    leftovers::settle(stack, story).await?;

    story.chapter("1. A cluster that can be rewound in place, and its data");
    made::delete_earlier_safety_clone(stack, story).await?;
    let endpoint = made::cluster(stack, databases, story).await?;
    let scene = &scene::find(stack, databases, &endpoint, made::DATABASE).await?;
    let tale = Tale { layout, stack, story, databases, scene };
    let job = tale.set_up().await?;

    story.chapter("2. An application writes");
    let writer = Writer::start(databases, &job);
    let told = tale.while_it_writes_in_place(&writer).await;
    let written = writer.stop().await;
    let Recovered { execution, outcome } = told?;
    let safety_clone = safety_clone_of(&outcome)?;

    story.chapter("9. Every write is accounted for");
    let mut rewound = databases.connect(&scene.name, &scene.master, APP_DATABASE).await.map_err(Stop::new)?;
    let mut kept =
        databases.connect(&safety_clone.writer_endpoint, &scene.master, APP_DATABASE).await.map_err(Stop::new)?;
    let on_rewound = fenced::read(&mut rewound, APP_TABLE).await?;
    let on_source = fenced::read(&mut kept, APP_TABLE).await?;
    let ended = Ended {
        written: &written,
        on_rewound: &on_rewound,
        on_source: &on_source,
        sides: Sides::InPlace,
        places: Places {
            rewound: &scene.cluster,
            source: &safety_clone.cluster,
            source_is: "the safety clone",
            afterwards: "the first rewind",
        },
        rewound_to: outcome.rewound_to,
        fenced_at: outcome.fence.fenced_at,
    };
    let ledger = tale.account(&execution, &ended)?;

    story.chapter("What to try next");
    let aws = shown(&layout.tool("aws", "aws"));
    let more = [
        format!("address=$(dig @$DNS_SERVER -p $DNS_PORT +short {endpoint})"),
        format!(
            "password=$({aws} secretsmanager get-secret-value --secret-id {} --query SecretString --output text | jq -r .password)",
            scene.secret
        ),
        format!(
            "mariadb --host=$address --user={} --password=\"$password\" {} -e 'SELECT * FROM {TABLE}'",
            scene.master.user, scene.database
        ),
        format!("{aws} rds describe-db-cluster-backtracks --db-cluster-identifier {}", scene.cluster),
    ];
    tale.next(&execution, &ledger, &safety_clone.cluster, &more);
    story.say(
        "make demo-backtrack once more rewinds the same cluster; make demo tells of a recovery beside the source.",
    );
    story.aside(format_args!("The demo took {:.0} s.", story.lasted().as_secs_f64()));
    Ok(())
}

impl Tale<'_> {
    /// Everything that happens while the application writes.
    async fn while_it_writes_in_place(&self, writer: &Writer) -> Result<Recovered, Stop> {
        let story = self.story;
        self.begin_to_write(writer).await?;
        story.chapter("3. The mistake");
        let target = self.mistake().await?;

        story.chapter("4. The recovery");
        let id = scene::free_names(self.stack).await?.recovery;
        let request = self.request(target, 2, "required");
        let (execution, followed) = self.recover(writer, &id, request, CHAPTERS).await?;
        let Followed { end, fenced_at, spent } = followed;
        let output = match end {
            End::Recovered(output) => output,
            End::Failed { error, cause } => {
                return Err(Stop::new(format!("the execution {id} ended in {error}: {cause}")));
            }
        };

        story.chapter("7. What came of it");
        let outcome: Outcome = serde_json::from_value(output).because("the execution's output is not as documented")?;
        show::outcome(story, &outcome);
        safety_clone_of(&outcome)?;
        self.look(&self.scene.endpoint, 2).await?;
        story.good("the rows are back, through the same endpoint");
        self.still_writes(writer).await?;
        self.away(writer, fenced_at, &spent)?;

        story.chapter("8. A rewind that its own checks reject");
        self.rejected(writer).await?;
        Ok(Recovered { execution, outcome })
    }

    fn request(&self, target: Timestamp, rows: usize, approval: &str) -> Request {
        vec![
            ("cluster", json!(self.scene.cluster)),
            ("to", json!(target)),
            ("strategy", json!("auto")),
            ("inPlace", json!("allowed")),
            ("checks", self.check("rows are back", rows)),
            ("approval", json!(approval)),
            ("approvalTimeout", json!("10m")),
            ("keepSource", json!("7d")),
        ]
    }

    /// A second rewind, to a moment that is not what was meant; it leaves everything as it was.
    async fn rejected(&self, writer: &Writer) -> Result<(), Stop> {
        let Self { stack, story, scene, .. } = self;
        sleep(MEANWHILE).await;
        let mut session = self.session().await?;
        let before = SystemClock.now();
        let sql = format!("INSERT INTO {TABLE} (data) VALUES ('Test data 3')");
        session.run(&sql).await.because("the row could not be inserted")?;
        story.say(format_args!("{}  {sql};   -- a good row", clock(before)));
        let rows = scene::rows(&mut session).await?;
        let groups = security_groups(stack, scene).await?;
        let target = second_before(before)?;
        story.say(format_args!("Somebody rewinds to {target}, too far: the check knows that there are 3 rows."));
        let id = scene::free_names(stack).await?.recovery;
        let (_, followed) = self.recover(writer, &id, self.request(target, 3, "none"), CHAPTERS).await?;
        match followed.end {
            End::Failed { error, cause } if error == "VerificationFailed" => {
                story.good(format_args!("{id} ended in NothingChanged: {error}"));
                for part in cause.split("; ") {
                    story.aside(format_args!("  {part}"));
                }
            }
            End::Failed { error, cause } => {
                return Err(Stop::new(format!("{id} was to be rejected by its check, and ended in {error}: {cause}")));
            }
            End::Recovered(_) => return Err(Stop::new(format!("{id} was to be rejected by its check, and was not"))),
        }
        let left = self.look(&scene.endpoint, 3).await?;
        if left != rows {
            return Err(Stop::new(format!("the rows of {TABLE} are not what they were: {}", rows.join("; "))));
        }
        let groups_now = security_groups(stack, scene).await?;
        if groups_now != groups {
            return Err(Stop::new(format!(
                "{} had the security groups {groups:?} and has {groups_now:?}",
                scene.cluster
            )));
        }
        story.good("every row is as it was, and so are the security groups");
        self.still_writes(writer).await?;
        self.away(writer, followed.fenced_at, &followed.spent)
    }

    /// How long the application was without its database, next to what the backtracks themselves took.
    fn away(&self, writer: &Writer, fenced_at: Option<Timestamp>, spent: &[(String, f64)]) -> Result<(), Stop> {
        let silence = fenced_at.and_then(|fenced_at| writer.silence(fenced_at));
        let Some((from, silence)) = silence else {
            return Err(Stop::new("it is not known how long the application was without its database"));
        };
        // The first wait is for the safety clone.
        let back = spent.iter().skip_while(|(state, _)| state != "StartBacktrack");
        let of = ["StartBacktrack", "AwaitRewind", "UndoStartBacktrack", "AwaitForward"];
        let itself: f64 = back.filter(|(state, _)| of.contains(&state.as_str())).map(|(_, seconds)| seconds).sum();
        self.story.say(format_args!(
            "The application was without its database for {:.1} s from {}, {itself:.1} s of them for backtracks; {} writes acknowledged by now.",
            silence.as_secs_f64(),
            clock(from),
            count(writer.acknowledged())
        ));
        Ok(())
    }
}

fn safety_clone_of(outcome: &Outcome) -> Result<&SafetyClone, Stop> {
    outcome.safety_clone.as_ref().ok_or_else(|| Stop::new("the execution's output names no safety clone"))
}

async fn security_groups(stack: &StackEnv, scene: &Scene) -> Result<Vec<String>, Stop> {
    let all = scene::clusters(stack).await?;
    let cluster = all.iter().find(|cluster| cluster.db_cluster_identifier() == Some(&scene.cluster));
    let groups = cluster.map(|cluster| cluster.vpc_security_groups()).unwrap_or_default();
    Ok(groups.iter().filter_map(|group| group.vpc_security_group_id().map(str::to_owned)).collect())
}
