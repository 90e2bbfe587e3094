//! The pictures of the state machines in `docs/statemachine.md`, drawn from their definitions.
//!
//! `REWIND_DRAW=1 cargo test -p rewind-tests picture` draws it again.

use crate::files;
use crate::machine::{Machine, Way};
use std::collections::BTreeSet;
use std::fmt::Write;

const PAGE: &str = "docs/statemachine.md";

fn shape(name: &str, kind: &str) -> String {
    match kind {
        "Choice" => format!("{name}{{{{{name}?}}}}"),
        "Succeed" | "Fail" => format!("{name}([{name}])"),
        _ if name == "Planned" => format!("{name}([{name}])"),
        _ => format!("{name}[{name}]"),
    }
}

/// The states from the first failure on are drawn apart, so that the way of a recovery that works can be seen.
fn graph(machine: &Machine, failing: bool) -> String {
    draw(machine, failing, &machine.reached_without_a_failure())
}

/// All states in one picture.
fn whole(machine: &Machine) -> String {
    draw(machine, false, &machine.states().map(|(name, _)| name).collect())
}

fn draw(machine: &Machine, failing: bool, without: &BTreeSet<&str>) -> String {
    let mut text = "```mermaid\nflowchart TD\n".to_owned();
    let mut outside = BTreeSet::new();
    let is_failing = |name: &str| !without.contains(name);
    for (name, state) in machine.in_order().into_iter().filter(|(name, _)| is_failing(name) == failing) {
        writeln!(text, "    {}", shape(name, state["Type"].as_str().unwrap())).unwrap();
        let mut drawn = BTreeSet::new();
        let ways = Machine::ways(state);
        // Every step's bugs lead there: the page says it in a sentence.
        let bugs =
            |to: &str| to == "IsAnythingLeft" && ways.iter().any(|(other, way)| *way == Way::Fails && *other != to);
        for (to, way) in ways.iter().copied().filter(|(to, _)| failing || !bugs(to)) {
            if is_failing(to) != failing {
                if !failing && drawn.insert(to) {
                    outside.insert(to);
                    writeln!(text, "    {name} -.-> {to}").unwrap();
                }
                continue;
            }
            if drawn.insert(to) {
                let arrow = if way == Way::Fails { "-.->" } else { "-->" };
                writeln!(text, "    {name} {arrow} {to}").unwrap();
            }
        }
    }
    for name in outside {
        writeln!(text, "    {name}[/{name}/]").unwrap();
    }
    text.push_str("```\n");
    text
}

fn page() -> String {
    let mut text = "# The state machines\n\nDrawn from `statemachine/` by `tests/src/picture.rs`: do not edit it here. A dotted arrow is \
        a failure.\n\n"
        .to_owned();
    let rewind = Machine::rewind();
    text.push_str(
        "## A recovery\n\nA failure leads to the state of the next picture at which undoing begins. A bug leads from every \
        step to IsAnythingLeft, and is not drawn.\n\n",
    );
    text.push_str(&graph(&rewind, false));
    text.push_str("\n## A recovery, from a failure to the end\n\nA dotted arrow is an undo that failed.\n\n");
    text.push_str(&graph(&rewind, true));
    states(&mut text, &rewind);
    let undo = Machine::undo();
    text.push_str("\n## A recovery is taken back\n\n");
    text.push_str(&graph(&undo, false));
    text.push_str("\nFrom a failure to the end:\n\n");
    text.push_str(&graph(&undo, true));
    states(&mut text, &undo);
    let clean_up = Machine::clean_up();
    text.push_str("\n## What a recovery kept is deleted\n\n");
    text.push_str(&whole(&clean_up));
    states(&mut text, &clean_up);
    text
}

fn states(text: &mut String, machine: &Machine) {
    text.push_str("\n| state | what it is |\n|---|---|\n");
    for (name, state) in machine.in_order() {
        let kind = state["Type"].as_str().unwrap();
        let what = state["Resource"].as_str().map_or_else(
            || kind.to_lowercase(),
            |resource| match state["Arguments"]["FunctionName"].as_str() {
                Some(function) => {
                    format!("function {}", function.trim_start_matches("${").trim_end_matches("FunctionArn}"))
                }
                None => resource.trim_start_matches("arn:${Partition}:states:::").to_owned(),
            },
        );
        let comment = state["Comment"].as_str().unwrap_or_default();
        writeln!(text, "| {name} | {what}{}{comment} |", if comment.is_empty() { "" } else { ": " }).unwrap();
    }
}

#[test]
fn the_pictures_are_of_the_present_definitions() {
    let page = page();
    if std::env::var_os("REWIND_DRAW").is_some() {
        std::fs::write(files::root().join(PAGE), &page).unwrap();
    }
    assert!(files::read(PAGE) == page, "{PAGE} is out of date: REWIND_DRAW=1 cargo test -p rewind-tests picture");
}
