//! The lease of a cluster: one execution at a time may change it. An item `lease#<cluster>` of the table, written by
//! conditional calls.

use crate::json::{Json, jsonata, object};
use crate::state::{State, failure_of, number, set_to, text};
use rewind_core::ErrorName;
use rewind_core::names::CLEAN_UP_HOLDER;

/// The cluster that a request names, as its lease has it, or `unknown`. One that resumes a recovery may name none; any other text in its place
/// is refused before a plan, and would be read in pages.
pub(crate) const CLUSTER: &str = "$type($given) = 'object' and $type($given.cluster) = 'string' and $contains($trim($given.cluster), \
                       /^[A-Za-z][A-Za-z0-9-]{0,62}(?![\\s\\S])/) ? $lowercase($trim($given.cluster)) : 'unknown'";

/// The state `name`: puts the item `key` for the execution in the variable `owner`, for so many `seconds` (an
/// expression). A put that is sent twice finds its own item, and an item whose time is over is nobody's. The item of the
/// execution `former` (an expression), which has ended, is taken over.
pub(crate) fn acquire_as(name: &'static str, owner: &str, key: &str, seconds: &str, former: Option<&str>) -> State {
    let item = [
        ("id", text(key)),
        ("recoveryId", text(&format!("${owner}.id"))),
        ("executionArn", text(&format!("${owner}.executionArn"))),
        ("takenAt", text("$now()")),
        // In seconds, for the table's time to live reads the same field. It deletes late, so conditions compare as
        // well.
        ("expiresAt", number(&format!("$string($floor($millis() / 1000) + {seconds})"))),
    ];
    let mut values =
        vec![(":now", number("$string($floor($millis() / 1000))")), (":me", text(&format!("${owner}.executionArn")))];
    // By the ARN: an execution of another machine may bear the same name, for whoever starts one chooses it.
    let mut condition = "attribute_not_exists(id) OR expiresAt < :now OR executionArn = :me".to_owned();
    if let Some(former) = former {
        condition.push_str(" OR recoveryId = :former");
        values.push((":former", text(former)));
    }
    State::table(name, "putItem")
        .progress("takes the lease: one recovery a cluster")
        .argument("Item", object(item))
        .argument("ConditionExpression", condition.into())
        .argument("ExpressionAttributeValues", object(values))
        .keep_as("leaseUntil", &until(seconds))
}

/// A state that deletes the item, if it is still of the execution in the variable `owner`.
pub(crate) fn release(name: &'static str, owner: &str) -> State {
    release_key(name, "$leaseKey", owner)
}

/// The same of the item whose key the expression `key` yields.
pub(crate) fn release_key(name: &'static str, key: &str, owner: &str) -> State {
    // Conditional: this lease may have expired, and the item be another recovery's by now.
    State::table(name, "deleteItem")
        .progress("releases the lease")
        .argument("Key", object([("id", text(key))]))
        .argument("ConditionExpression", "executionArn = :me".into())
        .argument("ExpressionAttributeValues", object([(":me", text(&format!("${owner}.executionArn")))]))
}

/// A state that leaves the item whose key the expression `key` yields to the recovery `$id`, if it is still of the execution in the variable
/// `owner`. `execution` is an expression of the ARN of that recovery's own execution.
pub(crate) fn leave(name: &'static str, key: &str, owner: &str, execution: &str) -> State {
    State::table(name, "updateItem")
        .progress("leaves the lease to the recovery")
        .comment("Nobody works on the cluster but another undo of that recovery, which takes it over.")
        .argument("Key", object([("id", text(key))]))
        .argument("UpdateExpression", "SET recoveryId = :id, executionArn = :arn".into())
        .argument("ConditionExpression", "executionArn = :me".into())
        .argument(
            "ExpressionAttributeValues",
            object([(":id", text("$id")), (":arn", text(execution)), (":me", text(&format!("${owner}.executionArn")))]),
        )
}

/// The moment `seconds` (an expression) from now, as RFC 3339.
pub(crate) fn until(seconds: &str) -> String {
    format!("$fromMillis(($floor($millis() / 1000) + {seconds}) * 1000)")
}

/// The state `ReadLease`: names in the failure in the variable `failure` whoever holds the lease that `$id` was refused. `key` is an
/// expression of it, and `again` one of the command that is to be repeated.
pub(crate) fn read_holder(failure: &'static str, key: &str, again: &str) -> State {
    let (clean_up, by_clean_up) = (is_of_clean_up(), held_by_clean_up("$lease.id.S"));
    let [undo, open, close] = ["-undo", "-open", "-close"].map(|what| is_of_recovery("$lease.recoveryId.S", what));
    State::table("ReadLease", "getItem")
        .progress("reads who holds the lease")
        .comment("Reads the lease only to report who holds it, and until when. The refusal stands without it.")
        .argument("Key", object([("id", text(key))]))
        // An eventually consistent read could miss the very item that has just refused the put.
        .argument("ConsistentRead", true.into())
        .keep_as(
            failure,
            &format!(
                "($lease := $states.result.Item; $exists($lease.recoveryId.S) ? $merge([${failure}, {{'Cause': {clean_up} ? {by_clean_up} & \
                 {again} & ' again in a minute; if it is held then as well, that very cluster is being deleted, as rewind clusters shows' : \
                 $lease.recoveryId.S & ' holds ' & $lease.id.S & ' since ' & $lease.takenAt.S & ', until ' & \
                 $fromMillis($number($lease.expiresAt.N) * 1000) & ' at the latest; nothing was changed; next step: ' & ({undo} ? 'rewind status ' \
                 & $lease.recoveryId.S & ' --follow, if that undo runs; if it was stopped, its lease is free some four minutes after that: then ' \
                 & {again} & ' again' : {open} or {close} ? {again} & ' again in a minute: what opens or closes what was left behind holds it for \
                 moments; if it was stopped, the lease is free some three minutes after that' : 'wait for it to end (' & \
                 $lease.executionArn.S & '), then ' & {again} & ' again')}}]) : ${failure})"
            ),
        )
}

/// True if `holder` does `what` (`-undo`, `-open` or `-close`) with the recovery in the variable `id`, as an expression.
pub(crate) fn is_of_recovery(holder: &str, what: &str) -> String {
    format!("$substring({holder}, 0, $length($id) + {}) = $id & '{what}'", what.len())
}

/// The beginning of a sentence about the variable `lease`, the item whose key the expression `key` yields, which the clean-up holds.
pub(crate) fn held_by_clean_up(key: &str) -> String {
    format!(
        "'the clean-up holds ' & {key} & ' since ' & $lease.takenAt.S & ', until ' & $fromMillis($number($lease.expiresAt.N) * 1000) & ' at the \
         latest: it deletes a cluster that a recovery kept, whose time is over; nothing was changed; next step: '"
    )
}

/// The condition under which the item in the variable `lease` is the clean-up's.
pub(crate) fn is_of_clean_up() -> String {
    format!("$substring($lease.recoveryId.S, 0, {}) = '{CLEAN_UP_HOLDER}'", CLEAN_UP_HOLDER.len())
}

/// A failure for the lease is another's, kept in `failure` by `state`. `cause` is an expression.
pub(crate) fn held(state: &str, cause: &str) -> (String, Json) {
    set_to("failure", failure_of(ErrorName::LeaseHeld, state, jsonata(cause)))
}
