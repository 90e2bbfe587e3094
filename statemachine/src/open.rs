//! The machine that opens a cluster which a recovery left behind to one person who reads there, waits, and closes it again: when its time is
//! over, when somebody asks for it, and whatever fails. docs/adr/0027-open-the-fenced-source.md says why it is a machine of its own.

use crate::conclude::{error_name, explained};
use crate::json::{Json, jsonata, object};
use crate::lease::{acquire_as, read_holder, release};
use crate::machine::Machine;
use crate::retry::CONDITION_FAILED;
use crate::state::{Assign, State, failure_of, set, set_to, text};
use crate::timeouts;
use rewind_core::ErrorName;

/// The attribute of a recovery's item that says for whom its cluster is open.
pub(crate) const OPENING: &str = "opening";

/// Seconds for which the lease is held while the cluster is opened, or closed: more than the states between take.
const LEASE: &str = "4 * 3600";

/// Seconds after its time for which a close waits for the lease of somebody else.
const LEASE_DEADLINE: u64 = 7_200;

/// The most characters of the text in which somebody gives their name: it goes into the item of the recovery, into events and into mail.
// Without a bound one input could make the item larger than Step Functions reads, and no undo could begin.
pub(crate) const NAME_MAX: usize = 200;

/// The characters of an id that are kept: one more than an execution's name has, so that no longer text becomes the id of a recovery.
pub(crate) const ID_KEPT: usize = 81;

/// The most characters of a database's name: 63 bytes on PostgreSQL, 64 characters on MySQL.
const DATABASE_MAX: usize = 64;

/// The security group that admits the address, or `none`.
pub(crate) const GROUP: &str = "${OpenSecurityGroupId}";

/// The machine.
pub(crate) fn machine() -> Machine {
    Machine {
        file: "open.asl.json",
        title: "A cluster that was left behind is opened for reading",
        comment: "aurora-rewind: a read-only way into the fenced source, or the safety clone, for one connection at a time from one address, closed \
                  after a time. Input: {\"recovery\": \"<id>\", \"by\": \"<who>\", \"from\": \"<address>\", \"seconds\": n}, and \"database\" where there are \
                  several; or {\"recovery\": \"<id>\", \"by\": \"<who>\", \"close\": true}.",
        states: [begin(), open(), close(), ends()].into_iter().flatten().collect(),
    }
}

/// The states that find out what is asked for, and whether it may be done.
fn begin() -> Vec<State> {
    vec![
        State::pass("Begin")
            .comment("Gives every variable its first value.")
            .assign(
                "execution",
                object([
                    ("id", jsonata("$states.context.Execution.Name")),
                    ("executionArn", jsonata("$states.context.Execution.Id")),
                ]),
            )
            // Of the expected type in any case: people get a refusal that they understand, and no failed expression.
            .keep_as("id", &text_of_input("recovery", ID_KEPT, "'none'"))
            .keep_as("by", &text_of_input("by", NAME_MAX, "'somebody who left no name'"))
            // One character more than the longest that is taken: what is cut is refused, and never another address or database.
            .keep_as("from", &text_of_input("from", 40, "'nowhere'"))
            .keep_as("seconds", &of_input("seconds", "number", "0"))
            .keep_as("database", &text_of_input("database", DATABASE_MAX + 1, "null"))
            .keep_as("close", "$type($states.input) = 'object' and $states.input.close = true")
            .assign("timed", false.into())
            .assign("recovery", object([]))
            .assign("plan", object([]))
            .assign("state", "unknown".into())
            .assign("cleanUp", false.into())
            .assign("opening", object([]))
            .assign("at", object([]))
            .assign("rules", Json::List(Vec::new()))
            .assign("leaseKey", "none".into())
            .assign("leaseUntil", "none".into())
            .assign("held", object([]))
            .assign("failure", object([]))
            .assign("undoFailure", object([]))
            .assign("ending", object([]))
            .next("ReadRecovery"),
        State::table("ReadRecovery", "getItem")
            .progress("reads what the recovery left behind")
            .comment("It is read again under the lease, because until that is held an undo may begin.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            // Otherwise DynamoDB may answer with the item of a moment ago, without the opening that somebody has just recorded.
            .argument("ConsistentRead", true.into())
            // Nothing else of it: whatever people write into a request or a decision, the answer is never too large to be read.
            .argument(
                "ProjectionExpression",
                "#state, cleanUp, #opening, #plan, recoveryId, executionArn, startedAt".into(),
            )
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#opening", OPENING.into()), ("#plan", "plan".into())]),
            )
            .keep_as("state", "$exists($states.result.Item.state.S) ? $states.result.Item.state.S : 'unknown'")
            .keep_as("cleanUp", "$exists($states.result.Item.cleanUp.S)")
            .keep_as("opening", &of_record())
            .keep_as("recovery", RECOVERY_OF_RECORD)
            .keep_as("plan", PLAN_OF_RECORD)
            .next("IsOpenable")
            .fails_with("held", Vec::new(), "IsLeaseWaitedFor"),
        State::choice("IsOpenable")
            .comment(
                "Opened is what a recovery that ended well left behind: anything else has its logins as ever, or is at work. Checked before \
                 the lease is taken, and once more under it.",
            )
            .when_with(
                "$not($exists($plan.cluster))",
                refused("$id & ' is no recovery that left a cluster behind; nobody was let in; next step: see which recoveries are there'"),
                "IsLeaseTaken",
            )
            // Somebody else has closed it meanwhile, and it may have been opened again: that is not this execution's to close.
            .when_with(
                "$timed and ($exists($opening.id) ? $opening.id : 'none') != $execution.id",
                vec![set("opening", "{'id': $execution.id}")],
                "ReadLeftRules",
            )
            // What is open to nobody is closed: no failure.
            .when("$close and $not($exists($opening.id))", "IsLeaseTaken")
            .when("$close and $leaseKey = 'none'", "AcquireLease")
            .when("$close", "CloseSource")
            .when_with(
                "$state != 'Recovered' or $cleanUp",
                refused(
                    "'what ' & $id & ' left behind is not opened: it is ' & ($cleanUp ? 'being deleted' : $state) & '; nobody was let in; next \
                     step: rewind status ' & $id & ' shows how its clusters stand; a fenced source is opened after Recovered'",
                ),
                "IsLeaseTaken",
            )
            .when_with(
                "$exists($opening.id) and $opening.id != $execution.id",
                refused(
                    "'what ' & $id & ' left behind is open already, for ' & $opening.by & ' from ' & $opening.from & ' until ' & \
                     $opening.until & '; one person reads there at a time; next step: rewind open ' & $id & ' --close closes it'",
                ),
                "IsLeaseTaken",
            )
            // The function reads the address itself; here it is kept out of a security group and of a record.
            .when_with(
                "$not($contains($from, /^[0-9A-Fa-f.:]{2,39}(?![\\s\\S])/)) or $seconds < 60 or $seconds > 8 * 3600 or $seconds != $floor($seconds)",
                refused(
                    "'it is opened to one address, such as 203.0.113.7, for 60 to 28800 seconds; nobody was let in; next step: rewind open ' & \
                     $id & ' --from <address>'",
                ),
                "IsLeaseTaken",
            )
            .when_with(
                &format!("$type($database) = 'string' and ($length($database) = 0 or $length($database) > {DATABASE_MAX})"),
                refused(
                    "'no database has such a name; nobody was let in; next step: rewind open ' & $id & ' --from ' & $from & ' --database <its \
                     name>'",
                ),
                "IsLeaseTaken",
            )
            .when("$leaseKey = 'none'", "AcquireLease")
            .next("RecordOpening"),
        acquire_as("AcquireLease", "execution", "'lease#' & $plan.cluster", LEASE, None)
            .comment(
                "The same lease as a recovery and its undo, so that none of them works on the cluster while it is opened or closed. It is not \
                 held in between.",
            )
            .keep_as("leaseKey", "'lease#' & $plan.cluster")
            .next("ReadRecovery")
            .catch(
                &CONDITION_FAILED,
                vec![set_to(
                    "held",
                    failure_of(
                        ErrorName::LeaseHeld,
                        "AcquireLease",
                        jsonata(
                            "'another execution works on ' & $plan.cluster & '; nothing was changed; next step: wait for it to end; which it is \
                             says the item lease#' & $plan.cluster & ' of table ${TableName}'",
                        ),
                    ),
                )],
                "ReadLease",
            )
            .fails_with("held", Vec::new(), "IsLeaseWaitedFor"),
        read_holder("held", "'lease#' & $plan.cluster", "'rewind open ' & $id & ($close ? ' --close' : ' --from ' & $from)")
            .next("IsLeaseWaitedFor")
            .tolerated(),
        State::choice("IsLeaseWaitedFor")
            .comment("When its time is over it is closed, however long somebody else works there: an undo closes it by itself.")
            .when(&format!("$timed and $millis() - $toMillis($opening.until) < {LEASE_DEADLINE} * 1000"), "WaitForLease")
            .when_with("$timed", vec![set("failure", "$held")], "ConcludeNeedsOperator")
            .keep_as("failure", "$held")
            .next("IsLeaseTaken"),
        State::wait("WaitForLease", "60")
            .progress("waits for the lease, to close what it opened")
            .next("ReadRecovery"),
    ]
}

/// The states that open the cluster, and wait.
fn open() -> Vec<State> {
    vec![
        State::table("RecordOpening", "updateItem")
            .progress("writes down for whom it is opened")
            .comment("Before the first change: whatever happens to this execution, status and undo know that something may be open.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("UpdateExpression", "SET #opening = :opening".into())
            .argument(
                "ConditionExpression",
                "#state = :recovered AND attribute_not_exists(cleanUp) AND (attribute_not_exists(#opening) OR contains(#opening, :mine))".into(),
            )
            .argument("ExpressionAttributeNames", object([("#state", "state".into()), ("#opening", OPENING.into())]))
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":recovered", object([("S", "Recovered".into())])),
                    (":mine", text(MINE)),
                    (":opening", text(&format!("$string({NEW})"))),
                ]),
            )
            .keep_as("opening", NEW)
            .next("OpenSource")
            .catch(
                &CONDITION_FAILED,
                refused("$id & ' has changed meanwhile; nobody was let in; next step: rewind status ' & $id"),
                "IsLeaseTaken",
            )
            .fails_to("IsLeaseTaken"),
        State::invoke("OpenSource")
            .progress("makes a login that only reads, and room for its address")
            .comment("Nobody can connect yet where a security group admits people: the address comes last.")
            .inputs(["recovery", "plan", "opening"])
            .timeout(timeouts::OPEN_SOURCE)
            .keep("at")
            .next("IsAddressAdmitted")
            .fails_to("CloseSource"),
        State::choice("IsAddressAdmitted")
            .comment("Without a group of its own, the cluster's groups have to admit the address.")
            .when(&format!("'{GROUP}' = 'none'"), "RecordOpened")
            .next("ReadRules"),
        rules("ReadRules")
            .progress("reads whom the security group admits")
            .next("IsAddressTaken")
            .fails_to("CloseSource"),
        State::choice("IsAddressTaken")
            .comment("One rule admits an address to a port: that of another opening would go with it, and end this one.")
            .when(OWN_RULE, "RecordOpened")
            .when_with(
                "$exists($rules[$string(FromPort) = $string($at.port) and (CidrIpv4 = $opening.from & '/32' or CidrIpv6 = $opening.from & '/128')])",
                refused(
                    "$opening.from & ' is admitted to another cluster that is open now; nobody was let in; next step: close that one first (rewind list \
                     shows which), or come from another address'",
                ),
                "CloseSource",
            )
            .next("AdmitAddress"),
        State::sdk("AdmitAddress", "ec2:authorizeSecurityGroupIngress")
            .progress("admits the address to the port of the database")
            .argument("GroupId", GROUP.into())
            .argument(
                "IpPermissions",
                jsonata(
                    "[$merge([{'IpProtocol': 'tcp', 'FromPort': $at.port, 'ToPort': $at.port}, $contains($opening.from, ':') ? {'Ipv6Ranges': \
                     [{'CidrIpv6': $opening.from & '/128', 'Description': $opening.id}]} : {'IpRanges': [{'CidrIp': $opening.from & '/32', \
                     'Description': $opening.id}]}])]",
                ),
            )
            .next("RecordOpened")
            .fails_to("CloseSource"),
        State::table("RecordOpened", "updateItem")
            .progress("writes down how to connect")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("UpdateExpression", "SET #opening = :opening".into())
            .argument("ConditionExpression", "contains(#opening, :mine)".into())
            .argument("ExpressionAttributeNames", object([("#opening", OPENING.into())]))
            .argument(
                "ExpressionAttributeValues",
                object([(":mine", text(MINE)), (":opening", text("$string($merge([$opening, {'at': $at}]))"))]),
            )
            .next("AnnounceOpened")
            .fails_to("CloseSource"),
        State::announce("AnnounceOpened", &[("Rewind Opened".into(), &event("$at.cluster"))])
            .progress("sends as an event for whom it is open")
            .comment("An opening that nobody is told of is none: it is closed again.")
            .next("ReleaseLeaseOpened")
            .fails_to("CloseSource"),
        release("ReleaseLeaseOpened", "execution")
            .comment("An undo need not wait for the end of the time. A lease that cannot be released expires by itself.")
            .next("WaitUntilOver")
            .tolerated(),
        State::wait("WaitUntilOver", "$max([1, $ceil(($toMillis($opening.until) - $millis()) / 1000)])")
            .progress("waits until the time is over")
            .assign("close", true.into())
            .assign("timed", true.into())
            .assign("by", "its time".into())
            // The lease was released once it was open, and closing takes it anew.
            .assign("leaseKey", "none".into())
            .next("ReadRecovery"),
    ]
}

/// The states that close the cluster.
fn close() -> Vec<State> {
    vec![
        State::invoke("CloseSource")
            .function("OpenSource")
            .progress("ends the sessions of the login, and removes it")
            .comment(
                "The undo of OpenSource, whatever was done of it. Tried for minutes and no longer: it holds the lease, and whoever reads must keep no undo waiting.",
            )
            .input_text("direction", "undo")
            .inputs(["recovery", "plan", "opening"])
            .timeout(timeouts::OPEN_SOURCE)
            .next("IsGroupOurs")
            .undo_fails_to("ConcludeNeedsOperator"),
        State::choice("IsGroupOurs")
            .comment("Without a group of its own there is no rule to take away.")
            .when(&format!("'{GROUP}' = 'none'"), "RecordClosed")
            .next("ReadLeftRules"),
        rules("ReadLeftRules")
            .progress("reads whom the security group still admits")
            .next("IsAddressLeft")
            .undo_fails_to("ConcludeNeedsOperator"),
        State::choice("IsAddressLeft")
            .when(OWN_RULE, "RevokeAddress")
            // Without the lease it came here for its own rule alone: the record is of another opening, or of none.
            .when("$timed and $leaseKey = 'none'", "Closed")
            .next("RecordClosed"),
        revoke("RevokeAddress")
            // Otherwise the choice that follows would revoke what is gone.
            .assign("rules", Json::List(Vec::new()))
            .next("IsAddressLeft")
            .undo_fails_to("ConcludeNeedsOperator"),
        record_closed("RecordClosed")
            .next("AnnounceClosed")
            .catch(&CONDITION_FAILED, Vec::new(), "AnnounceClosed")
            .undo_fails_to("ConcludeNeedsOperator"),
        State::announce("AnnounceClosed", &[("Rewind Closed".into(), &event("$plan.cluster"))])
            .progress("sends as an event that it is closed")
            .comment("It is closed: an event that cannot be sent stops nothing.")
            .next("IsLeaseTaken")
            .tolerated(),
    ]
}

/// The ends.
fn ends() -> Vec<State> {
    vec![
        State::choice("IsLeaseTaken")
            .comment("Without a lease there is none to release.")
            .when("$leaseKey = 'none'", "IsDone")
            .next("ReleaseLease"),
        release("ReleaseLease", "execution")
            .comment("A lease that cannot be released expires by itself.")
            .next("IsDone")
            .tolerated(),
        State::choice("IsDone")
            // First, because something may be open still: that counts for more than why it was not opened.
            .when("$exists($ending.state)", "NeedsOperator")
            .when("$exists($failure.Error)", "ConcludeNotOpened")
            .next("Closed"),
        State::pass("ConcludeNotOpened")
            .assign("ending", object([("state", "NotOpened".into()), ("error", error_name()), ("cause", explained("$substring($read($failure), 0, 30000)"))]))
            .next("NotOpened"),
        State::pass("ConcludeNeedsOperator")
            .comment("Something may be open still, and its record says so.")
            .assign(
                "ending",
                object([
                    ("state", "NeedsOperator".into()),
                    ("error", error_name()),
                    (
                        "cause",
                        explained(
                            "$text := 'what ' & $id & ' left behind was opened to ' & $opening.from & ' and could not be closed: ' & \
                             $read($exists($undoFailure.Error) ? $undoFailure : $failure) & ($exists($failure.Error) and $exists($undoFailure.Error) ? \
                             '; before that: ' & $read($failure) : '') & '; next step: rewind open ' & $id & ' --close'; $substring($text, 0, 30000)",
                        ),
                    ),
                ]),
            )
            .next("AnnounceFailure"),
        State::announce(
            "AnnounceFailure",
            &[(
                "Rewind Needs Operator".into(),
                "{'recoveryId': $id, 'executionArn': $execution.executionArn, 'cluster': $plan.cluster, 'state': $ending.state, 'at': \
                 $now(), 'error': $ending.error, 'cause': $substring($ending.cause, 0, 4000), 'outage': 'none', 'outageSeconds': null}",
            )],
        )
        .progress("sends the end as an event")
        .comment("An event that cannot be sent stops nothing.")
        .next("IsLeaseTaken")
        .tolerated(),
        State::succeed("Closed").comment("Nobody gets in any more."),
        State::fail("NotOpened", "$ending.error", "$ending.cause")
            .comment("Nobody was let in, or what was opened is closed again."),
        State::fail("NeedsOperator", "$ending.error", "$ending.cause").comment("A person must look. This end pages."),
    ]
}

/// The part by which a record is this execution's, as an expression: JSON that is made anew may have its fields in another order.
const MINE: &str = "'\"id\":\"' & $execution.id & '\"'";

/// The note of this execution, as an expression.
const NEW: &str = "$merge([{'id': $execution.id, 'by': $by, 'from': $from, 'until': $exists($opening.until) ? $opening.until : \
                   $fromMillis(($floor($millis() / 1000) + $seconds) * 1000)}, $type($database) = 'string' ? {'database': $database} : {}])";

/// The recovery that steps are given, as an expression over the item of a recovery; empty where it has no plan.
pub(crate) const RECOVERY_OF_RECORD: &str = "($item := $states.result.Item; $exists($item.plan.S) ? {'id': $item.recoveryId.S, 'executionArn': \
                                             $item.executionArn.S, 'startedAt': $item.startedAt.S} : {})";

/// The plan of a recovery that names two clusters, as an expression over its item; otherwise empty.
pub(crate) const PLAN_OF_RECORD: &str = "($item := $states.result.Item; $plan := $exists($item.plan.S) ? $parse($item.plan.S) : {}; \
                                         $exists($plan.cluster) and $exists($plan.newCluster) ? $plan : {})";

/// The way in that is recorded, as an expression over the item of a recovery.
pub(crate) fn of_record() -> String {
    format!("$exists($states.result.Item.{OPENING}.S) ? $parse($states.result.Item.{OPENING}.S) : {{}}")
}

/// The state `name`: writes down that `$opening` of the recovery `$id` is closed, by `$by`.
pub(crate) fn record_closed(name: &'static str) -> State {
    State::table(name, "updateItem")
        .waits_half_an_hour()
        .progress("writes down that it is closed")
        .comment("Kept as the last opening: who read there, from where, and until when.")
        .argument("Key", object([("id", text("'recovery#' & $id"))]))
        .argument("UpdateExpression", "SET lastOpening = :last REMOVE #opening".into())
        .argument("ConditionExpression", "contains(#opening, :this)".into())
        .argument("ExpressionAttributeNames", object([("#opening", OPENING.into())]))
        .argument(
            "ExpressionAttributeValues",
            object([
                (":this", text("'\"id\":\"' & $opening.id & '\"'")),
                (":last", text("$string($merge([$opening, {'closedBy': $by, 'closedAt': $now()}]))")),
            ]),
        )
}

/// A state that keeps the rules of the security group. Names it has none but the group's.
pub(crate) fn rules(name: &'static str) -> State {
    let filter = object([("Name", "group-id".into()), ("Values", [GROUP].into())]);
    State::sdk(name, "ec2:describeSecurityGroupRules")
        .argument("Filters", Json::List(vec![filter]))
        .keep_as("rules", "$append([], $states.result.SecurityGroupRules)")
}

/// True where `$rules` has the rule of `$opening`.
pub(crate) const OWN_RULE: &str = "$exists($rules[Description = $opening.id])";

/// The state `name`: takes the rule of `$opening` out of the security group.
pub(crate) fn revoke(name: &'static str) -> State {
    State::sdk(name, "ec2:revokeSecurityGroupIngress")
        .progress("takes the address out of the security group")
        .argument("GroupId", GROUP.into())
        .argument("SecurityGroupRuleIds", jsonata("[$rules[Description = $opening.id].SecurityGroupRuleId]"))
}

/// The detail of an event. `cluster` is an expression.
fn event(cluster: &str) -> String {
    format!(
        "{{'recoveryId': $id, 'executionArn': $execution.executionArn, 'cluster': {cluster}, 'state': $state, 'at': $now(), 'by': $by, 'from': \
         $opening.from, 'until': $opening.until}}"
    )
}

/// A field of the input of that type, or what `otherwise` yields.
fn of_input(field: &str, kind: &str, otherwise: &str) -> String {
    format!(
        "$type($states.input) = 'object' and $type($states.input.{field}) = '{kind}' ? $states.input.{field} : {otherwise}"
    )
}

/// A text of the input, of at most so many characters, or what `otherwise` yields.
pub(crate) fn text_of_input(field: &str, most: usize, otherwise: &str) -> String {
    format!(
        "$type($states.input) = 'object' and $type($states.input.{field}) = 'string' ? $substring($states.input.{field}, 0, {most}) : \
         {otherwise}"
    )
}

/// Nothing is opened. `cause` is an expression.
fn refused(cause: &str) -> Assign {
    vec![set_to("failure", failure_of(ErrorName::InvalidRequest, "IsOpenable", jsonata(cause)))]
}
