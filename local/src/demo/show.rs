//! Prints documents, a request, and where the writes are. It works nothing out.

use super::console::{Console, clock, count};
use super::totals::{Group, Totals};
use anyhow::{Error, Result, bail};
use rewind_core::{Outcome, Recovered};
use rewind_ui::{Document, Line, format};
use serde_json::Value;
use std::collections::BTreeMap;

/// Prints a request, a field a line, in the order in which a person would write it.
pub fn request(console: &Console, fields: &[(&str, Value)]) {
    console.print("  {");
    for (index, (field, value)) in fields.iter().enumerate() {
        let comma = if index + 1 < fields.len() { "," } else { "" };
        console.print(format_args!("    \"{field}\": {value}{comma}"));
    }
    console.print("  }");
}

/// Prints a document: the same lines as on a terminal and in chat.
pub fn document(console: &Console, document: &Document) {
    for line in &document.0 {
        match line {
            Line::Heading(text) | Line::Plain(text) => console.print(text),
            Line::Step(number, text) => console.print(format_args!("  {number}. {text}")),
            Line::Item(text) => console.print(format_args!("  - {text}")),
            Line::Field(name, value) => console.field(name, value),
            Line::Warning(text) => console.warn(text),
            Line::Good(text) => console.success(text),
        }
    }
}

/// Prints the output of an execution that recovered; returns it typed.
///
/// # Errors
///
/// Where it is not of the documented shape, or not of a recovery.
pub fn outcome(console: &Console, output: &Value) -> Result<Recovered> {
    let outcome = Outcome::read(output).map_err(Error::msg)?;
    document(console, &format::outcome(&outcome));
    match outcome {
        Outcome::Recovered(recovered) => Ok(*recovered),
        Outcome::Planned(_) | Outcome::Undone(_) => bail!("the execution's output is not of a recovery"),
    }
}

/// The two places that a write can be in, as a person calls them.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The cluster with the rewound data.
    pub rewound: &'a str,
    /// The cluster with the source data.
    pub source: &'a str,
    /// A phrase that explains that cluster.
    pub source_is: &'a str,
    /// The event after which clients write to the rewound data.
    pub afterwards: &'a str,
}

/// Prints where the writes are.
pub fn account(console: &Console, account: &Totals, places: Places<'_>) {
    let Places { rewound, source, source_is, afterwards } = places;
    let both = account.before_target.len() + account.afterwards.len();
    let line = |count_of: usize, what: &str| console.print(format_args!("{:>9}  {what}", count(count_of)));
    line(account.acknowledged, "writes were acknowledged to the application:");
    line(both, &format!("are on {rewound}:"));
    line(account.before_target.len(), &format!("  from before the target{}", when(&account.before_target)));
    line(account.afterwards.len(), &format!("  from after {afterwards}{}", when(&account.afterwards)));
    line(account.only_source.len(), &format!("are only on {source}, {source_is}{}", when(&account.only_source)));
    if let (Some(first), Some(last)) = (account.only_source.numbers.first(), account.only_source.numbers.last()) {
        console.print(format_args!(
            "           written between the target and the fence, numbers {first} to {last}: the price of a rewind"
        ));
    }
    let elsewhere = account.acknowledged.abs_diff(both + account.only_source.len());
    line(elsewhere, "are anywhere else, or lost");
    let unanswered = account.unanswered;
    line(unanswered.all(), "more were in flight when their connection was cut: nobody told the application");
    if unanswered.all() > 0 {
        console.print(format_args!(
            "           ({} written nowhere, {} on {source} only, {} on {rewound} only, {} on both)",
            unanswered.nowhere, unanswered.source, unanswered.rewound, unanswered.both
        ));
    }
    if let Some((from, gap)) = account.longest_gap {
        let gap = gap.as_secs_f64();
        console
            .print(format_args!("The longest time without an acknowledged write: {gap:.1} s, from {}.", clock(from)));
    }
}

/// Prints why the application got no connection while the fence was up.
pub fn refused(console: &Console, refused: &BTreeMap<String, usize>) {
    let all: usize = refused.values().sum();
    let Some((most, times)) = refused.iter().max_by_key(|(_, times)| **times) else { return };
    console.print(format_args!(
        "Meanwhile {} connections were refused; {} times the reason was:",
        count(all),
        count(*times)
    ));
    console.note(format_args!("  {most}"));
}

fn when(group: &Group) -> String {
    group.times.map_or_else(String::new, |(first, last)| format!(" ({} to {})", clock(first), clock(last)))
}
