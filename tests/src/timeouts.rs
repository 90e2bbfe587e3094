//! Time limits hold within one another: what a function waits for, its `Timeout` in the template, the `TimeoutSeconds` of the
//! states that invoke it, and whoever else calls it. The inner is always the smaller.

use crate::files;
use crate::functions::Function;
use crate::machine::Machine;
use crate::template::Template;
use regex::Regex;
use rewind_core::timeouts::*;
use std::time::Duration;

/// Logging in to a database, from the first packet on.
const LOG_IN: Duration = DATABASE_CONNECT.saturating_add(DATABASE_LOGIN);

/// Waits of each function, one after the other, on the way that takes longest, besides the one AWS call in full that
/// every function must have time for. What is not listed here gets no more than the invocation has left.
const WAITS: [(&str, &[&[Duration]]); 16] = [
    ("AddInstances", &[&[FAILOVER_WITHIN]]),
    ("AwaitRewind", &[&[AWAIT_BUDGET]]),
    // A call of set-window has its own limit, and what is done for a person is told to them after it.
    ("Chatops", &[&[CHAT_PLAN_LATER, CALLS_END_BEFORE, POST], &[CHAT_APPROVAL, CALLS_END_BEFORE, POST]]),
    ("CleanUp", &[&[KEPT_SESSIONS, POLL_BUDGET]]),
    // Both logins at the same time, on a reader first.
    ("CompareTables", &[&[READERS, LOG_IN, COMPARING]]),
    ("ConfirmCutover", &[&[LOG_IN, NAME_LENIENCE]]),
    (
        "FenceSource",
        &[
            &[WRITE_POSITION, LOG_IN, FENCE_LOGIN, FENCE_GROUPS, FENCE_SESSIONS, FENCE_PROBES, FENCE_READERS],
            // A fence that is inspected again.
            &[LOG_IN, OWN_SESSIONS_END],
        ],
    ),
    ("CloneSource", &[&[APPEARS_WITHIN]]),
    ("HoldJobs", &[&[PARAMETER_GROUP], &[LOG_IN, PARAMETER_GROUP, RESTART]]),
    ("OpenSource", &[&[LOG_IN, FENCE_READER_SESSIONS, FENCE_GROUPS]]),
    (
        "Preflight",
        &[
            // The sessions are those on the restored cluster that is adopted.
            &[LOG_IN, PREFLIGHT_FACTS, READERS, LOG_IN, PREFLIGHT_CHECKS, KEPT_SESSIONS],
            &[KEPT_SESSIONS],
        ],
    ),
    ("SetWindow", &[&[WINDOW_SHOWS_WITHIN]]),
    ("StartBacktrack", &[&[APPEARS_WITHIN]]),
    ("StartRestore", &[&[APPEARS_WITHIN]]),
    ("ValidateWindow", &[&[ZONE_READ, OTHER_ZONES_READ]]),
    // Its own login and that of the checks, that of the checks on the source, and its own there.
    ("Verify", &[&[LOG_IN, LOG_IN, READERS, LOG_IN, CHECKING, COUNTING, LOG_IN, COUNTERS]]),
];

/// Time that an invocation needs at its end: its calls are over, its work is over, its error is reported.
const END: Duration = CALLS_END_BEFORE.saturating_add(STOPPED_BEFORE);

fn timeout(template: &Template, function: &str) -> Duration {
    let (_, properties) =
        template.functions().find(|(name, _)| *name == function).unwrap_or_else(|| panic!("there is no {function}"));
    // The default of Lambda is three seconds, which no function here could work with.
    let seconds = template.of_function(properties, "Timeout").as_u64();
    Duration::from_secs(seconds.unwrap_or_else(|| panic!("{function} has no Timeout in seconds")))
}

/// The ways of a function that waits, and none of one that does not.
fn ways(function: &str) -> &'static [&'static [Duration]] {
    WAITS.iter().find(|(name, _)| *name == function).map_or(&[], |(_, ways)| ways)
}

#[test]
fn a_function_has_time_for_all_that_it_waits_for() {
    let template = Template::read();
    let there: Vec<&str> = template.functions().map(|(function, _)| function).collect();
    for (function, _) in WAITS {
        // A renamed function would take its waits out of the sum without a word.
        assert!(there.contains(&function), "{function} is no function of the template");
    }
    for function in there {
        let timeout = timeout(&template, function);
        for waits in ways(function).iter().copied().chain([&[][..]]) {
            // One call in full, because the last call of a function may begin just before its waits are over.
            let sum = CALL + waits.iter().sum::<Duration>() + END;
            assert!(sum < timeout, "{function} may take {sum:?} ({CALL:?} + {waits:?} + {END:?}) of {timeout:?}");
        }
    }
}

#[test]
fn what_a_function_polls_for_is_listed() {
    let bounds = Regex::new(r"timeouts::(\w+)").unwrap();
    for function in Function::all() {
        // Creating a cluster polls for it in rewind-aws, where the function's own source does not show it.
        let polling = [".until(", "is_used_up(", "NewCluster"];
        let polls = polling.iter().any(|call| function.source.contains(call));
        let waits = polls || bounds.is_match(&function.source);
        assert!(
            !waits || !ways(&function.name).is_empty(),
            "{} waits for something that is not added up",
            function.name
        );
    }
}

#[test]
fn a_state_waits_longer_than_its_function_may_run() {
    // So that the state learns what the function was doing, and no function works on after its state was given up.
    let template = Template::read();
    for machine in Machine::all() {
        for (name, state, function) in machine.invocations() {
            let seconds = state["TimeoutSeconds"].as_u64().or_else(|| shortest_slice(&state["TimeoutSeconds"]));
            let seconds = seconds.unwrap_or_else(|| panic!("{name} has no TimeoutSeconds"));
            let (state, function) = (Duration::from_secs(seconds), timeout(&template, function));
            // A cold start is not part of the function's Timeout, but of the state's.
            let reached = function + COLD_START;
            assert!(reached <= state, "{name} waits for {state:?}, and its function may take {reached:?} to answer");
        }
    }
}

/// The seconds of the shortest slice in which a person is waited for: what a whole one leaves, where it is not taken as well.
fn shortest_slice(timeout: &serde_json::Value) -> Option<u64> {
    let slice = Regex::new(r"\$left < (\d+)[^?]* \? \$left : (\d+)").ok()?.captures(timeout.as_str()?)?;
    let seconds = |group: usize| slice[group].parse::<u64>().ok();
    seconds(1)?.checked_sub(seconds(2)?)
}

#[test]
fn who_calls_a_function_waits_longer_than_it_may_run() {
    let template = Template::read();
    let set_window = timeout(&template, "SetWindow") + COLD_START;
    assert!(set_window < CALL_SET_WINDOW, "set-window may take {set_window:?} of its caller's {CALL_SET_WINDOW:?}");
    let compare_tables = timeout(&template, "CompareTables") + COLD_START;
    assert!(
        compare_tables < CALL_COMPARE_TABLES,
        "compare-tables may take {compare_tables:?} of {CALL_COMPARE_TABLES:?}"
    );
    // Chat calls set-window, and tells the person what it answered after that.
    let chat = timeout(&template, "Chatops");
    let longest = CALL_SET_WINDOW + CALLS_END_BEFORE + POST + END;
    assert!(longest < chat, "chat may take {longest:?} of {chat:?} for a window");
}

#[test]
fn the_parts_of_a_wait_are_smaller_than_the_whole() {
    let clean_up = timeout(&Template::read(), "CleanUp");
    for (part, whole, what) in [
        (CONNECT, CALL, "connecting, of an AWS call"),
        (CALL_AT_LEAST, CALL, "the least time for an AWS call"),
        (ASSUME_ROLE, CALL, "assuming the role for Route 53, before a call"),
        (CALL, CREDENTIALS_RENEWED_BEFORE, "an AWS call, of the credentials that it is begun with"),
        (READS_FAIL_WITHIN, AWAIT_BUDGET, "reads that fail, of a round of polling"),
        (CHECK, CHECKING, "a check"),
        (CHECK_ON_SOURCE, CHECK, "a check on the source"),
        (CHECK_LOCK, CHECK_ON_SOURCE, "a check's lock"),
        (PREFLIGHT_CHECK_ON_WRITER, PREFLIGHT_CHECK_ON_READER, "a check that is tried where clients write"),
        (PREFLIGHT_CHECK_ON_READER, PREFLIGHT_CHECKS, "a check that is tried"),
        (COUNT, COUNTING, "counting a table"),
        (LOG_IN + READERS + LOG_IN + ESTIMATING, CHECKING, "estimates, which are read beside the checks"),
        (ESTIMATES_OF_DATABASE, ESTIMATING, "estimates of a database"),
        (COMPARE_AT_LEAST, COMPARING, "the least time for comparing a table"),
        (FENCE_READER, FENCE_READERS, "one reader"),
        (FENCE_READER_SESSIONS, FENCE_READER, "a reader's sessions"),
        (LOG_IN + STATEMENT_GRACE, KEPT_SESSIONS, "logging in to see who is there"),
        (DNS_QUERY * u32::try_from(DNS_ATTEMPTS).unwrap(), CALL, "a name"),
        (CHAT_PLAN, CHAT_START, "a plan within a request"),
        (CHAT_START, CHAT_AT_ONCE, "a start within a request"),
        (CHAT_AT_ONCE, CHAT_REQUEST, "what is done within a request"),
        (CHAT_REQUEST, SLACK_DEADLINE, "a request"),
        (POST_ATTEMPT + POST_PAUSES[0], POST, "an attempt to reach Slack, and the pause after it"),
        (clean_up, CLEAN_UP_LEASE, "an invocation of clean-up, of its lease"),
    ] {
        assert!(part < whole, "{what}: {part:?} of {whole:?}");
    }
}

#[test]
fn no_time_limit_is_written_anywhere_else() {
    // A limit that is written elsewhere is in no sum, and is found when a function is killed.
    let limit = Regex::new(r"(?:^|[^d])Duration::from_(?:secs|millis|mins)\(\s*[0-9]").unwrap();
    let files = ["crates", "functions"].into_iter().flat_map(|folder| files::all(folder, ".rs"));
    for path in files.filter(|path| path.contains("/src/") && !path.ends_with("/tests.rs")) {
        let text = files::read(&path);
        let text = text.split("\nmod tests {").next().unwrap_or_default();
        let found = text.lines().find(|line| limit.is_match(line));
        assert_eq!(found, None, "{path}: put it into rewind_core::timeouts, where it is added up");
    }
}
