//! The end of a scenario: totals compared with what the databases hold, printed, and written into a ledger, a line a number. What
//! does not add up is an error. It reads no database: what they hold is given.

use super::attempt::Attempt;
use super::console::clock;
use super::recovery::Execution;
use super::scenario::Scenario;
use super::show::{self, Places};
use super::totals::{Observed, totals};
use crate::stack::progress::shown;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// The numbers that a table holds.
pub type Numbers = BTreeSet<i64>;

impl Scenario<'_> {
    /// Compares, counts and prints; returns the path of the ledger. `refused` are the reasons for which the application got no
    /// connection, with their counts.
    ///
    /// # Errors
    ///
    /// When a write is lost or in the wrong place, or a phase had no writes: a demo without them proves nothing.
    pub fn reconcile(
        &self,
        execution: &Execution,
        observed: &Observed<'_>,
        refused: &BTreeMap<String, usize>,
        places: Places<'_>,
    ) -> Result<PathBuf> {
        let Self { layout, console, .. } = self;
        console.print("The application has stopped. What it was told is now compared with what the databases hold.");
        let totals = totals(observed);
        // Written before anything is judged: whoever looks for a lost write needs the ledger of the failed run.
        let ledger = layout.log(&execution.id).with_extension("csv");
        fs::write(&ledger, csv(observed.attempts, observed.on_source, observed.on_rewound))
            .with_context(|| ledger.display().to_string())?;
        show::totals(console, &totals, places);
        show::refused(console, refused);
        console.note(format_args!("Every number by itself: {}", shown(&ledger)));
        if !totals.problems.is_empty() {
            for problem in &totals.problems {
                console.warn(problem);
            }
            bail!("the numbers do not add up");
        }
        for (group, when) in [
            (&totals.before_target, "before the target".to_owned()),
            (&totals.only_source, "between the target and the fence".to_owned()),
            (&totals.afterwards, format!("after {}", places.afterwards)),
        ] {
            if group.is_empty() {
                bail!("no write was acknowledged {when}, so nothing is shown by this demo");
            }
        }
        console.success(format_args!(
            "every acknowledged write is in exactly one place, and the fence let none through after {}",
            clock(observed.fenced_at)
        ));
        Ok(ledger)
    }
}

/// Formats the ledger: a line a number.
fn csv(attempts: &[Attempt], on_source: &Numbers, on_rewound: &Numbers) -> String {
    let mut text = "number,endpoint,sent,acknowledged,on_source,on_rewound,error\n".to_owned();
    for Attempt { number, endpoint, sent, acknowledged } in attempts {
        let at = acknowledged.as_ref().map(ToString::to_string).unwrap_or_default();
        // `column -s,` and the like know no doubled quotes.
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
    use jiff::Timestamp;

    #[test]
    fn a_line_of_the_ledger_shows_where_a_number_is() {
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
