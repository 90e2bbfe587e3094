//! The last chapter: every write is placed. What does not add up is an error. It reads no database: what they hold is given.

use super::accounting::{Ledger, Sides, settle};
use super::recovery::Execution;
use super::show::{self, Places};
use super::stop::{Because, Stop};
use super::story::{clock, shown};
use super::tale::Tale;
use super::writer::{Attempt, Written};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// The numbers that a table holds.
pub type Numbers = BTreeSet<i64>;

/// What is known in the end.
pub struct Ended<'a> {
    /// What the application was told.
    pub written: &'a Written,
    /// What the rewound data holds.
    pub on_rewound: &'a Numbers,
    /// What the source data holds, where it is now.
    pub on_source: &'a Numbers,
    /// How one tells which of the two a write was sent to.
    pub sides: Sides<'a>,
    /// What the two are to a person.
    pub places: Places<'a>,
    /// The moment that was gone back to.
    pub rewound_to: Timestamp,
    /// From when on the source data took no write.
    pub fenced_at: Timestamp,
}

impl Tale<'_> {
    /// Compares, counts, and tells; answers where every number is written down.
    pub fn account(&self, execution: &Execution, ended: &Ended<'_>) -> Result<PathBuf, Stop> {
        let Self { layout, story, .. } = self;
        let Ended { written, on_rewound, on_source, sides, places, rewound_to, fenced_at } = *ended;
        story.say("The application has stopped. What it was told is now compared with what the databases hold.");
        let attempts = &written.attempts;
        let account = settle(&Ledger { attempts, on_rewound, on_source, sides, rewound_to, fenced_at });
        let ledger = layout.log(&execution.id).with_extension("csv");
        fs::write(&ledger, csv(attempts, on_source, on_rewound)).because(ledger.display())?;
        show::account(story, &account, places);
        show::refused(story, &written.refused);
        story.aside(format_args!("Every number by itself: {}", shown(&ledger)));
        if !account.problems.is_empty() {
            for problem in &account.problems {
                story.warn(problem);
            }
            return Err(Stop::new("the numbers do not add up"));
        }
        for (group, what) in [
            (&account.before_target, "before the target".to_owned()),
            (&account.only_source, "between the target and the fence".to_owned()),
            (&account.afterwards, format!("after {}", places.afterwards)),
        ] {
            if group.is_empty() {
                return Err(Stop::new(format!("no write was acknowledged {what}, so nothing is shown by this demo")));
            }
        }
        story.good(format_args!(
            "every acknowledged write is in exactly one place, and the fence let none through after {}",
            clock(fenced_at)
        ));
        Ok(ledger)
    }
}

/// One line a number.
fn csv(attempts: &[Attempt], on_source: &Numbers, on_rewound: &Numbers) -> String {
    let mut text = "number,endpoint,sent,acknowledged,on_original,on_rewound,error\n".to_owned();
    for Attempt { number, endpoint, sent, acknowledged } in attempts {
        let at = acknowledged.as_ref().map(ToString::to_string).unwrap_or_default();
        let error = acknowledged.as_ref().err().map(|error| error.replace('"', "'")).unwrap_or_default();
        let (source, rewound) = (on_source.contains(number), on_rewound.contains(number));
        // Writing to a string can't fail.
        let _ = writeln!(text, "{number},{endpoint},{sent},{at},{source},{rewound},\"{error}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
