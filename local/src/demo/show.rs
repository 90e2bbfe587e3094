//! Shows documents, a request, and what became of the writes. It works nothing out.

use super::console::{Console, clock, count};
use super::totals::{Group, Totals};
use anyhow::{Result, bail};
use rewind_core::{Outcome, Recovered};
use rewind_ui::{Document, Line, format};
use serde_json::Value;
use std::collections::BTreeMap;

/// Shows a request, a field a line, in the order in which a person would write it.
pub fn request(console: &Console, fields: &[(&str, Value)]) {
    console.print("  {");
    for (index, (field, value)) in fields.iter().enumerate() {
        let comma = if index + 1 < fields.len() { "," } else { "" };
        console.print(format_args!("    \"{field}\": {value}{comma}"));
    }
    console.print("  }");
}

/// Shows a document: the same lines as on a terminal and in chat.
pub fn document(console: &Console, document: &Document) {
    for line in document.lines() {
        match line {
            Line::Heading(text) | Line::Plain(text) => console.print(text),
            Line::Step(number, text) => console.print(format_args!("  {number}. {text}")),
            Line::Item(text) => console.print(format_args!("  - {text}")),
            Line::Field(name, value) => console.field(name, value),
            Line::Below(text) => console.field("", text),
            Line::Warning(text) => console.warn(text),
            Line::Good(text) => console.success(text),
        }
    }
}

/// Shows the output of an execution that recovered; returns it typed.
///
/// # Errors
///
/// An output that is not of the documented shape, or of no recovery.
pub fn outcome(console: &Console, output: &Value) -> Result<Recovered> {
    let outcome = Outcome::read(output).map_err(anyhow::Error::msg)?;
    document(console, &format::outcome(&outcome));
    match outcome {
        Outcome::Recovered(recovered) => Ok(*recovered),
        Outcome::Planned(_) | Outcome::Undone(_) => bail!("the execution's output is of no recovery"),
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

/// Shows where the writes are.
pub fn totals(console: &Console, totals: &Totals, places: Places<'_>) {
    let Places { rewound, source, source_is, afterwards } = places;
    let both = totals.before_target.len() + totals.afterwards.len();
    let line = |count_of: usize, what: &str| console.print(format_args!("{:>9}  {what}", count(count_of)));
    line(totals.acknowledged, "writes were acknowledged to the application:");
    line(both, &format!("are on {rewound}:"));
    line(totals.before_target.len(), &format!("  from before the target{}", when(&totals.before_target)));
    line(totals.afterwards.len(), &format!("  from after {afterwards}{}", when(&totals.afterwards)));
    line(totals.only_source.len(), &format!("are only on {source}, {source_is}{}", when(&totals.only_source)));
    if let (Some(first), Some(last)) = (totals.only_source.numbers.first(), totals.only_source.numbers.last()) {
        console.print(format_args!(
            "           written between the target and the fence, numbers {first} to {last}: the price of a rewind"
        ));
    }
    // Printed even though it is 0 on every good run: it is the line that a doubtful reader looks for.
    let elsewhere = totals.acknowledged.abs_diff(both + totals.only_source.len());
    line(elsewhere, "are anywhere else, or lost");
    // Apart from the acknowledged ones: nobody promised the application anything about these.
    let unanswered = totals.unanswered;
    line(unanswered.all(), "more were in flight when their connection was cut: nobody told the application");
    if unanswered.all() > 0 {
        console.print(format_args!(
            "           ({} written nowhere, {} on {source} only, {} on {rewound} only, {} on both)",
            unanswered.nowhere, unanswered.source, unanswered.rewound, unanswered.both
        ));
    }
    if let Some((from, gap)) = totals.longest_gap {
        let gap = gap.as_secs_f64();
        console
            .print(format_args!("The longest time without an acknowledged write: {gap:.1} s, from {}.", clock(from)));
    }
}

/// Shows why the application got no connection while the fence was up.
pub fn refused(console: &Console, refused: &BTreeMap<String, usize>) {
    let all: usize = refused.values().sum();
    // The most frequent alone: while a fence closes, a dozen reasons come once each.
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
