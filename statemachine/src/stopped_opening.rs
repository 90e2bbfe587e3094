//! The part of the machine that finds what was stopped which only an opening passes, or the closing of one: its lease is freed for undo and
//! close once no function of it can run any more, and people get the command that closes. It closes nothing by itself.

use crate::conclude::{ending, printable};
use crate::json::{jsonata, object};
use crate::lease::release_key;
use crate::open::{NAME_MAX, OPENING, of_record};
use crate::retry::ANY;
use crate::state::{State, of_item, set_to, text};
use crate::timeouts;
use rewind_core::ErrorName;

/// The states, in the order in which they are passed. `AnnounceStopped` follows.
pub(crate) fn states() -> Vec<State> {
    vec![
        State::table("ReadOpening", "getItem")
            .waits_half_an_hour()
            .progress("reads what the stopped opening may have left open")
            .comment("It names the cluster: without it the lease would stay with an opening that is over, and keep an undo out for hours.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("ConsistentRead", true.into())
            .argument("ProjectionExpression", "#cluster, #opening".into())
            .argument("ExpressionAttributeNames", object([("#cluster", "cluster".into()), ("#opening", OPENING.into())]))
            .keep_as("cluster", &of_item("cluster", "'unknown'"))
            .keep_as("opening", &of_record())
            .next("ReadOpeningLease")
            .catch(&ANY, vec![set_to("opening", object([("id", jsonata("$undo"))]))], "ConcludeOpeningStopped"),
        State::table("ReadOpeningLease", "getItem")
            .progress("reads whether the stopped opening was at work")
            .comment("Under the lease alone its function is called. One that cannot be read counts as held.")
            .argument("Key", object([("id", text("'lease#' & $cluster"))]))
            .argument("ConsistentRead", true.into())
            .keep_as(
                "held",
                "$exists($states.result.Item.executionArn.S) and $states.result.Item.executionArn.S = $stopped.executionArn",
            )
            .next("IsOpeningLeft")
            .catch(&ANY, vec![set_to("held", true.into())], "IsOpeningLeft"),
        State::choice("IsOpeningLeft")
            .comment(
                "The record says that something is open from before the first change until all is closed. What another opening has open is \
                 that one's to close, unless this execution was to close it.",
            )
            .when("$exists($opening.id) and ($closes or $opening.id = $undo)", "ConcludeOpeningStopped")
            .next("ConcludeOpeningOver"),
        State::pass("ConcludeOpeningOver")
            .comment("Nothing of it is open, and no function of it is at work.")
            .assign(
                "ending",
                ending(
                    "NothingChanged",
                    ErrorName::Unavailable,
                    "'the execution ' & $undo & ', which opens what ' & $id & ' left behind or closes it, was ended from outside (' & $status & ') \
                     while nothing of it was open; its lease is free; next step: none'",
                ),
            )
            .next("ReleaseClosedLease"),
        release_key("ReleaseClosedLease", "'lease#' & $cluster", "stopped")
            .comment("A lease that cannot be released expires by itself, and that of anybody else stays.")
            .next("AnnounceStopped")
            .tolerated(),
        State::pass("ConcludeOpeningStopped")
            .comment("Whoever it was opened to may read still, and nobody closes it when its time is over.")
            .assign(
                "ending",
                ending(
                    "NeedsOperator",
                    ErrorName::OutcomeUnknown,
                    // Whoever opened it has chosen their name.
                    &printable(&format!(
                        "'the execution ' & $undo & ', which opens what ' & $id & ' left behind or closes it, was ended from outside (' & $status \
                         & '): it may be open for reading still' & ($type($opening.by) = 'string' ? ', to ' & $substring($opening.by, 0, \
                         {NAME_MAX}) & ' from ' & $string($opening.from) : '') & ', and nothing closes it by itself; next step: rewind open ' & \
                         $id & ' --close' & ($cluster = 'unknown' ? '; its record could not be read, so its lease stays, for four hours at most: \
                         where a close or an undo is refused for it, delete the item lease#<source> of table ${{TableName}} whose executionArn \
                         ends in ' & $undo : $held ? ', from ' & $fromMillis($millis() + {0} * 1000) & ' on: a function that was called before \
                         may run until then, and the lease is free then, for rewind undo as well' : '')",
                        timeouts::OPEN_SOURCE
                    )),
                ),
            )
            .next("AnnounceStopped"),
        State::wait("WaitForOpening", &timeouts::OPEN_SOURCE.to_string())
            .progress("waits until no function of the stopped opening can run any more, some two minutes after the stop")
            .comment(
                "Stopping an execution does not stop the function that it had called: a login that it makes behind a close would be open to \
                 whoever has the password.",
            )
            .next("ReleaseOpeningLease"),
        release_key("ReleaseOpeningLease", "'lease#' & $cluster", "stopped")
            .comment("A lease that cannot be released expires by itself, four hours after it was taken at most.")
            .next("NeedsOperator")
            .tolerated(),
    ]
}
