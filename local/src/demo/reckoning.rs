//! The last chapter: the databases are read and every write is placed. What does not add up is an error.

use super::accounting::{Ledger, settle};
use super::scene::{APP_DATABASE, APP_TABLE};
use super::stop::{Because, Stop};
use super::story::{clock, shown};
use super::tale::{Recovered, Tale};
use super::writer::{Attempt, Job, Written};
use super::{fenced, show};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

type Numbers = BTreeSet<i64>;

impl Tale<'_> {
    /// Counts, compares, and tells; answers where every number is written down.
    pub async fn account(&self, job: &Job, recovered: &Recovered, written: &Written) -> Result<PathBuf, Stop> {
        let Self { layout, story, scene, .. } = self;
        let Recovered { execution, outcome } = recovered;
        story.say("The application has stopped. What it was told is now compared with what the databases hold.");
        let (on_new, on_original) = self.read_both(job).await?;
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
        Ok(ledger)
    }

    /// What the two clusters hold: the new one through the record, the original as an operator.
    async fn read_both(&self, job: &Job) -> Result<(Numbers, Numbers), Stop> {
        let Self { layout, stack, story, databases, scene } = self;
        let new = databases.connect(&stack.db_record, &scene.master, APP_DATABASE).await.map_err(Stop::new)?;
        let on_new = fenced::read(&new, APP_TABLE).await?;
        match databases.connect(&scene.endpoint, &job.login, APP_DATABASE).await {
            Ok(_) => return Err(Stop::new(format!("the application gets into the fenced original {}", scene.cluster))),
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
        let on_original =
            fenced::numbers(databases, from, &scene.endpoint, &scene.master, APP_DATABASE, APP_TABLE).await?;
        Ok((on_new, on_original))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

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
