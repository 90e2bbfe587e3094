//! The page `docs/statemachine.md`: a picture of each machine, a table of its states, and how long a recovery may
//! take.

use crate::budget::{Budget, HISTORY, RESERVE, lease_hours, step};
use crate::machine::Machine;
use crate::retry::{Retries, WaitsOut};
use crate::state::{Assign, Kind, Recoveries, State, hours};
use crate::{cleanup, rewind, stopped, undo, watch};
use std::collections::BTreeSet;
use std::fmt::{Result, Write};

/// A way from one state to another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The state did its work, or a question was answered.
    Success,
    /// It failed, or what was found is a failure of the recovery.
    Failure,
}

/// The whole page.
pub fn page() -> String {
    let mut text = String::new();
    // Writing to a String fails never.
    let _ = write_page(&mut text);
    text
}

fn write_page(text: &mut String) -> Result {
    text.push_str(
        "# The state machines\n\nDrawn from the declaration in `statemachine/src` by `cargo run --locked -p rewind-statemachine`: do not edit \
         it here. A dotted arrow is a failure.\n",
    );
    let recovery = rewind::machine();
    writeln!(
        text,
        "\n## {}\n\nA failure leads to the state of the next picture at which undoing begins. A bug leads from every step to \
         IsAnythingChanged, and is not drawn.\n",
        recovery.title
    )?;
    draw(text, &recovery, Some(false))?;
    writeln!(text, "\n## {}, from a failure to the end\n\nA dotted arrow is an undo that failed.\n", recovery.title)?;
    draw(text, &recovery, Some(true))?;
    table(text, &recovery)?;
    budget(text, &recovery)?;
    let undo = undo::machine();
    writeln!(text, "\n## {}\n", undo.title)?;
    draw(text, &undo, Some(false))?;
    writeln!(text, "\nFrom a failure to the end:\n")?;
    draw(text, &undo, Some(true))?;
    table(text, &undo)?;
    let cleanup = cleanup::machine();
    writeln!(text, "\n## {}\n", cleanup.title)?;
    draw(text, &cleanup, None)?;
    table(text, &cleanup)?;
    for machine in [watch::machine(), stopped::machine()] {
        writeln!(text, "\n## {}\n", machine.title)?;
        draw(text, &machine, None)?;
        table(text, &machine)?;
    }
    Ok(())
}

/// Draws the states that are reached without a failure, or the others, or all. They are drawn apart so that the way
/// of a recovery that works can be seen.
fn draw(text: &mut String, machine: &Machine, failing: Option<bool>) -> Result {
    let reached = reached_without_failure(machine);
    let is_drawn = |name: &str| failing.is_none_or(|failing| reached.contains(name) != failing);
    text.push_str("```mermaid\nflowchart TD\n");
    let mut outside = BTreeSet::new();
    for state in machine.states.iter().filter(|state| is_drawn(state.name)) {
        writeln!(text, "    {}", shape(state))?;
        let ways = ways(state);
        // Every step's bugs lead there: the page says it in a sentence.
        let is_bug = |to: &str| {
            failing == Some(false)
                && to == "IsAnythingChanged"
                && ways.iter().any(|(other, way)| *way == Way::Failure && *other != to)
        };
        let mut drawn = BTreeSet::new();
        for (to, way) in ways.iter().copied().filter(|(to, _)| !is_bug(to)) {
            if is_drawn(to) {
                if drawn.insert(to) {
                    let arrow = if way == Way::Failure { "-.->" } else { "-->" };
                    writeln!(text, "    {} {arrow} {to}", state.name)?;
                }
            } else if failing == Some(false) && drawn.insert(to) {
                outside.insert(to);
                writeln!(text, "    {} -.-> {to}", state.name)?;
            }
        }
    }
    for name in outside {
        writeln!(text, "    {name}[/{name}/]")?;
    }
    text.push_str("```\n");
    Ok(())
}

fn shape(state: &State) -> String {
    let name = state.name;
    match state.kind {
        Kind::Choice => format!("{name}{{{{{name}?}}}}"),
        Kind::Succeed | Kind::Fail => format!("{name}([{name}])"),
        _ if state.next.is_none() => format!("{name}([{name}])"),
        _ => format!("{name}[{name}]"),
    }
}

/// All ways on from a state.
fn ways(state: &State) -> Vec<(&'static str, Way)> {
    // The first value of the variables is no failure.
    let given = |(name, value): &(String, crate::json::Json)| {
        matches!(name.as_str(), "failure" | "undoFailure") && *value != crate::json::object([])
    };
    let way = |assign: &Assign| if assign.iter().any(given) { Way::Failure } else { Way::Success };
    let choices = state.choices.iter().map(|choice| (choice.next, way(&choice.assign)));
    let catchers = state.catchers.iter().map(|catcher| (catcher.next, way(&catcher.assign)));
    choices.chain(catchers).chain(state.next.map(|next| (next, way(&state.assign)))).collect()
}

/// The states that an execution can come to without a failure.
fn reached_without_failure(machine: &Machine) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![machine.start()];
    while let Some(name) = waiting.pop() {
        if !reached.insert(name) {
            continue;
        }
        for state in machine.states.iter().filter(|state| state.name == name) {
            let goes = ways(state).into_iter().filter(|(_, way)| *way == Way::Success);
            // Who holds a lease is read only after it was refused.
            waiting.extend(goes.map(|(to, _)| to).filter(|to| *to != "ReadLease"));
        }
    }
    reached
}

fn table(text: &mut String, machine: &Machine) -> Result {
    text.push_str("\n| state | does | comment |\n|---|---|---|\n");
    for state in &machine.states {
        let does = match (state.function, state.integration()) {
            (Some(function), _) => format!("invokes {function}"),
            (None, Some(integration)) => format!("calls {integration}"),
            (None, None) => format!("{:?}", state.kind).to_lowercase(),
        };
        writeln!(text, "| {} | {does} | {} |", state.name, state.commented())?;
    }
    Ok(())
}

fn budget(text: &mut String, machine: &Machine) -> Result {
    // Until ExtendLease the two hours of the first lease hold, which are no part of this sum.
    let after = machine.states.iter().skip_while(|state| state.name != "ExtendLease").skip(1);
    let after: Vec<State> = after.cloned().collect();
    let budgets = [Recoveries::Restore, Recoveries::Backtrack].map(|of| Budget::new(&after, of));
    text.push_str(
        "\n### How long a recovery may take\n\nBy its own bounds, from ExtendLease on. The lease lasts as long as the longer of both, \
         and the time that people have to approve and twice the longest old TTL are added \
         ([ADR 2](adr/0002-lease.md)).\n\n| part | restore | backtrack |\n|---|---|---|\n",
    );
    let [restore, backtrack] = &budgets;
    for state in after.iter().filter(|state| !state.bounds.is_empty()) {
        let of = |budget: &Budget| match budget.loops.iter().find(|(name, _)| *name == state.name) {
            // A loop whose time counts towards that of the next one.
            Some((_, 0)) => "–".to_owned(),
            Some((_, seconds)) => format!("{} h", seconds.div_ceil(hours(1))),
            None => "–".to_owned(),
        };
        writeln!(text, "| {} gives up | {} | {} |", state.name, of(restore), of(backtrack))?;
    }
    for (what, waits_out) in [
        ("the steps before the restore and inside the outage", WaitsOut::Minutes),
        ("the other steps and undos, which wait out an hour of what passes", WaitsOut::Hour),
    ] {
        let of = |budget: &Budget| {
            let states = if waits_out == WaitsOut::Hour { &budget.hours } else { &budget.steps };
            format!("{} × {} h", states.len(), step(waits_out) / hours(1))
        };
        writeln!(text, "| {what}, with all their retries | {} | {} |", of(restore), of(backtrack))?;
    }
    writeln!(
        text,
        "| reserve for calls that take their whole timeout again and again | {0} h | {0} h |",
        RESERVE / hours(1)
    )?;
    let sum = |budget: &Budget| budget.seconds().div_ceil(hours(1));
    writeln!(text, "| together | {} h | {} h |", sum(restore), sum(backtrack))?;
    writeln!(
        text,
        "\nThe pauses between the attempts of a step are {} minutes together at most, and {} where it waits out an hour. The lease is {} h and what is added. The execution's history gets at most {} and {} events, of the {HISTORY} at which \
         AWS would end it with nothing undone.",
        Retries::Function.longest_pause(WaitsOut::Minutes).div_ceil(60),
        Retries::Function.longest_pause(WaitsOut::Hour).div_ceil(60),
        lease_hours(&after),
        restore.events(),
        backtrack.events(),
    )
}
