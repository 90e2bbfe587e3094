"""The paths of undoing a recovery: one that is over, one that was really stopped, and one that still runs; what is refused without a
call, each step and each native state failing in turn, and what the table, the lease and the output then say.
"""

import json
import time

from execution import LONGEST, entered, execute, hold_lease, problems_of_calls, problems_of_end
from scenario import MACHINE, PASSING, UNDO, UNDO_WITHOUT_TIMEOUTS, Scenario, always, attempts, passing, slug, up_to

READ = ["Begin", "ReadRecovery", "ReadFence", "IsUndoable"]
# Once more when the recovery is known to be over, and under the lease.
OVER_BY_NOW = ["DescribeRecovery", "IsRecoveryOver", *READ[1:]]
RECORDS = ["ReadRecords", "AreRecordsOurs"]
STEPS = ["FenceRestored", "UndoSwapDns", "UndoFenceSource"]
USED = "IsRestoredClusterUnused"
IN_SYNC = ["AwaitInSync", "IsInSync"]
CONFIRM = ["ConfirmSource", "IsSourceConfirmed"]
UNCONFIRMED = ["NoteUnconfirmed", "AnnounceUnconfirmed"]
LEASES = ["AcquireLease", "AcquireRestoredLease"]
UNDER_LEASE = [*LEASES, *READ[1:]]
END = ["ReleaseRestoredLease", "ReleaseLease", "Undone"]
WORK = [*UNDER_LEASE, *RECORDS, "WatchFence", *STEPS, "EndFenceWatch", USED, *IN_SYNC, *CONFIRM, "UndoFinish", "RecordUndone", *END]
SUCCESS = [*READ, *OVER_BY_NOW, *WORK]
# Nothing is fenced or moved, so the recovery has only to end.
CANCELLED = [*UNDER_LEASE, "KeepRestored", "RecordCancelled", *END]
STOP = ["DescribeRecovery", "IsRecoveryOver", "RecordCancel", "StopRecovery", *OVER_BY_NOW]
WAITED = ["WaitForStopped", *READ[1:]]
REFUSED = ["IsAnythingLeft", "ConcludeNothingChanged", "IsLeaseTaken", "NothingChanged"]
ONE_RELEASED = [*REFUSED[:3], "ReleaseLeaseAfterFailure", "NothingChanged"]
RELEASED = [*REFUSED[:3], "ReleaseRestoredLeaseAfterFailure", *ONE_RELEASED[3:]]
HELD = ["ReadLease", "IsLeaseWaitedFor"]
WAITS = 60
OVER = ["IsFailedFunctionOver"]
# Where the step was repeated, nobody knows if the first attempt is over.
OVERSTAYED = [*OVER, "WaitForFailedFunction", *OVER]
# Where the records lead decides which cluster is opened.
READ_BACK = ["ReadRecordsBack", "AreRecordsBack"]
MOVED = {"ReadRecords": [{"answer": {"records": "moved", "what": "moved", "swap": None}, "always": True}]}
OPENED = [*OVER, "UndoFenceRestored", "IsTrafficUnmoved"]
# Clients are at the restored cluster, as they were.
BACK_IN = [*OPENED, "EndFenceWatchAfterFailure"]
NEEDS_OPERATOR = ["ConcludeNeedsOperator", "LeaveLease", "LeaveRestoredLease", "RecordFailure", "AnnounceFailure", "NeedsOperator"]
LEAVE = {"LeaveLease", "LeaveRestoredLease"}
DELETED = json.dumps({"cluster": "kept", "snapshot": "kept-final", "begunAt": "2026-11-30T10:41:00Z"})
NO_CALLS = {call: 0 for call in [*STEPS, "UndoFenceRestored", "ReadRecords"]}

# Where traffic may be when a person has to look, by the step that failed.
STANDING = {
    "FenceRestored": "the records point at {new}, which may be fenced",
    "UndoSwapDns": "the records may point at {new} or at {old}, which is fenced",
    "UndoFenceSource": "the records point at {old}, which may still be fenced, and {new} is fenced",
}


def cluster(recovery):
    return f"cluster-of-{recovery}"


def given(recovery, more):
    """The input: which recovery, and who undoes it; or what the scenario has in its place."""
    return {"recovery": recovery, "by": "ana"} if more is None else more


def item(recovery, **but):
    """What a recovery that moved traffic left in the table; `but` is what is otherwise, and `gone=True` nothing at all."""
    if but.pop("gone", False):
        return None
    old, strategy = cluster(recovery), but.pop("strategy", "restore")
    signature = {"signature": "c2lnbmVk"} if but.pop("signed", True) else {}
    if strategy == "backtrack":
        signature |= {"approval": "required", "target": "2026-11-23T10:30:00Z", "backtrack": {"securityGroups": ["sg-one", "sg-two"]}}
    new = f"{old}-rewind"
    moved = [{"name": f"{old}.example.com", "from": f"{old}.rds", "to": f"{new}.rds", "ttl": 5}]
    fields = {
        "id": f"recovery#{recovery}",
        "recoveryId": recovery,
        "executionArn": f"arn:of:{recovery}",
        "startedAt": "2026-11-23T10:35:00Z",
        "state": "Recovered",
        "cluster": old,
        "newCluster": new,
        "plan": json.dumps({"recoveryId": recovery, "cluster": old, "newCluster": new, "strategy": strategy} | signature),
        "outcome": json.dumps({
            "strategy": strategy, "newCluster": new, "writerEndpoint": f"{new}.rds", "readerEndpoint": f"{new}-ro.rds",
            "rewoundTo": "2026-11-23T10:30:00Z", "dns": but.pop("dns", moved),
        }),
    }  # fmt: skip
    if but.pop("moved", False):
        fields["moved"] = fields["outcome"]  # of the same fields, where there is no output
    return {name: {"S": value} for name, value in (fields | but).items() if value is not None}


def run(deployment, scenario):
    """Runs the undo of a recovery that is over by now; answers what is wrong."""
    recovery = slug(scenario.name)
    lease, name = f"lease#{cluster(recovery)}", f"{recovery}-undo"
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps(scenario.script))
    before = item(recovery, **scenario.request["item"])
    if before:
        deployment.client("dynamodb").put_item(TableName=deployment.table, Item=before)
    if scenario.request["rule"] is not None:
        admit(deployment, scenario.request["item"]["opening"])
    hold_lease(deployment, scenario, f"{lease}-rewind" if scenario.held == "restored" else lease)
    if scenario.held == "own":  # an earlier undo left both
        hold_lease(deployment, scenario, f"{lease}-rewind")
    ended = execute(deployment, scenario, name, given(recovery, scenario.request["given"]))
    after, left = deployment.item(f"recovery#{recovery}"), deployment.item(lease)
    of_restored = deployment.item(f"{lease}-rewind")
    # Kept where a person has to look, and where it is somebody else's.
    stays = scenario.end == "NeedsOperator" or scenario.held == "restored"
    stays = stays or any("ReleaseRestoredLease" in state for state in scenario.mocked or {})
    return [
        *problems_of_end(deployment, scenario, ended),
        *problems_of_calls(deployment, scenario, recovery),
        *problems_of_table(scenario, recovery, ended, before, after, left),
        *problems_of_rule(deployment, scenario),
        *([f"the lease of the restored cluster is {of_restored}"] if bool(of_restored) != stays else []),
        *(problems_of_left(recovery, [left, of_restored]) if scenario.end == "NeedsOperator" and not LEAVE & set(scenario.mocked or {}) else []),
    ]


def admit(deployment, opening):
    """Adds the rule of an opening to the security group."""
    opening = json.loads(opening)
    block = {"CidrIpv6": f"2001:db8:1::{abs(hash(opening['id'])) % 65_536:x}/128", "Description": opening["id"]}
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "Ipv6Ranges": [block]}
    deployment.client("ec2").authorize_security_group_ingress(GroupId=deployment.known["group"], IpPermissions=[rule])


def problems_of_rule(deployment, scenario):
    if scenario.request["rule"] is None:
        return
    opening = json.loads(scenario.request["item"]["opening"])["id"]
    found = deployment.client("ec2").describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [deployment.known["group"]]}])
    left = [rule for rule in found["SecurityGroupRules"] if rule.get("Description") == opening]
    if bool(left) != scenario.request["rule"]:
        yield f"the security group admits {left}"


def problems_of_left(recovery, leases):
    """Another undo takes them over, which it does from the recovery alone."""
    for lease in leases:
        if lease and lease["recoveryId"]["S"] != recovery:
            yield f"the lease {lease['id']['S']} is left to {lease['recoveryId']['S']}"


def problems_of_table(scenario, recovery, ended, before, after, lease):
    """Compares the table and what the execution answered."""
    if bool(lease) != scenario.lease_stays:
        yield f"the lease {'stayed' if lease else 'is gone'}"
    mark = (after or {}).pop("undoWatchEnded", {"S": None})["S"]
    ended_by = [state for state in scenario.path if state.startswith("EndFenceWatch") and state not in (scenario.mocked or {})]
    if mark != (f"{recovery}-undo" if ended_by else None):
        yield f"the watch over the undo is ended by {mark}"
    if scenario.end == "NothingChanged" or scenario.recorded is False:
        if after != before:
            yield f"the table says {after}, expected {before}"
    else:
        kept = json.loads(after["undo"]["S"])
        if after["state"]["S"] != scenario.end:
            yield f"the table says {after['state']}, expected {scenario.end}"
        if (kept["id"], kept["by"]) != (f"{recovery}-undo", scenario.request["by"]) or not kept["at"]:
            yield f"who took it back, and when, is {kept}"
        told = [(after.get(name) or {"S": None})["S"] for name in ("error", "cause")]
        if told != [ended.get("error"), ended.get("cause")]:
            yield f"the table tells another error than the execution: {told}"
        attributes = ("plan", "outcome", "moved")
        if {name: after.get(name) for name in attributes} != {name: before.get(name) for name in attributes}:
            yield "what the recovery had recorded of itself is gone"
    old = cluster(recovery)
    if scenario.end == "NeedsOperator":
        failed = next(state for state in reversed(scenario.path) if state in STEPS)
        standing = STANDING[failed].format(old=old, new=f"{old}-rewind")
        for said in [standing, f"lease#{old} is kept until", f"and so is lease#{old}-rewind", "then undo it again", "takes over what is kept"]:
            if said not in (ended.get("cause") or ""):
                yield f"the cause lacks {said!r}: {ended.get('cause')}"
    if scenario.end == "Undone" and ended["status"] == "SUCCEEDED":
        answer = json.loads(ended["output"])
        marked = "UndoFinish" not in scenario.script
        tags = (
            f"the tags aurora-rewind:fenced-by and aurora-rewind:keep-until of {old} could not be taken off, or {old}-rewind could not be "
            "tagged with the time until which it is kept: RewindFailed; next step: rewind clusters shows until when each is kept: the "
            "clean-up deletes neither before, and nothing without a time"
        )
        is_read_back = "ReadRecordsBack" in scenario.path
        at, unconfirmed = answer.get("confirmedAt"), answer.get("unconfirmed")
        is_confirmed = "NoteUnconfirmed" not in scenario.path
        confirmed = [f"db.example.com was seen to lead to {old} at {at}", *scenario.request.get("told", [])]
        missed = f"NOT CONFIRMED that clients are on {old}, and none on {old}-rewind: {unconfirmed}; the records point at {old}, and nothing was moved again"
        if bool(unconfirmed) == is_confirmed or is_confirmed and not at:
            yield f"it was confirmed at {at}, and is unconfirmed for {unconfirmed}"
        for said in scenario.request.get("unconfirmed", []):
            if said not in unconfirmed:
                yield f"what could not be confirmed lacks {said!r}: {unconfirmed}"
        undone = [
            "all as planned" if is_read_back else "undid SwapDns", "undid FenceSource", *(confirmed if is_confirmed else [missed]),
            "undid Finish" if marked else tags,
        ]  # fmt: skip
        expected = {
            "outcome": "Undone", "recoveryId": recovery, "undoId": f"{recovery}-undo", "by": scenario.request["by"],
            "cluster": old, "newCluster": f"{old}-rewind", "confirmedAt": at, "unconfirmed": unconfirmed,
        }  # fmt: skip
        if scenario.recorded:
            expected["dns"] = [
                {"name": f"{old}.example.com", "from": f"{old}-rewind.rds", "to": f"{old}.rds", "ttl": 5}
            ]
            expected["undone"] = undone
            marks = {*STEPS, "ReadRecords", "RecordUndone"} | ({"UndoFinish"} if marked else set())
            marks = marks - {"UndoSwapDns"} | {"ReadRecordsBack"} if is_read_back else marks
        else:
            expected["undone"] = [*undone, f"not recorded in the table: {scenario.mocked['RecordUndone']}"]
            marks = {*STEPS, "ReadRecords", "UndoFinish"}
        failed = {state for state, entries in scenario.script.items() if "error" in entries[-1] and entries[-1].get("always")}
        marks |= {"AwaitInSync", "ConfirmSource"} - failed
        if "CloseSource" in scenario.path:
            closing = scenario.request["closing"].format(id=recovery, old=old)
            closed = [] if "CloseSource" in scenario.script else ["closed what was open"]
            expected["undone"] = [*closed, *([closing] if closing else []), *expected["undone"]]
            marks = marks | ({"CloseSource"} if closed else set())
            if ("opening" in after) != bool(closing):
                yield f"by its record it is {'open' if 'opening' in after else 'closed'}"
        timings = answer.pop("timings", {})
        if answer != expected or set(timings) != marks:
            yield f"the output was {answer} with the timings {timings}, expected {expected} with {marks}"


def scenario(name, path, *rest, item=None, given=None, by="ana", told=(), unconfirmed=(), closing="", rule=None, machine=UNDO, **more):
    request = {"item": item or {}, "given": given, "by": by, "told": told, "unconfirmed": unconfirmed, "closing": closing, "rule": rule}
    return Scenario(f"undo: {name}", path, *rest, request=request, machine=machine, **more)


def scenarios():
    return [*ways(), *confirming(), *refused(), *failing(), *native(), *stopped(), *native_of_stopped(), *unplanned()]


def ways():
    once = {call: 1 for call in STEPS} | {"UndoFenceRestored": 0}
    yield scenario("traffic goes back and the restored cluster stays fenced", SUCCESS, calls=once)
    yield scenario("an expired lease is taken over", SUCCESS, held="expired", calls=once)
    yield scenario(
        "whoever left no name is told so",
        SUCCESS,
        given={"recovery": "undo--whoever-left-no-name-is-told-so"},
        by="somebody who left no name",
    )
    long = "x" * 250_000
    yield scenario(
        "by somebody with a name of the longest", SUCCESS, given={"recovery": "undo--by-somebody-with-a-name-of-the-longest", "by": long}, by=long[:200]
    )
    # A request is of any size: no undo reads it.
    yield scenario("of an item that is larger than a machine reads", SUCCESS, item={"request": "x" * 270_000})
    yield scenario(
        "one that was half undone is undone whole, and its error goes",
        SUCCESS,
        item={"state": "NeedsOperator", "error": "Unavailable", "cause": "half-way", "undo": "{}"},
        calls=once,
    )
    yield scenario(
        "one that ended well had clients, though its records were moved by somebody and are back",
        SUCCESS,
        item={"recordsSentAt": "null"},
        script={"ReadRecords": [{"answer": {"records": "planned", "what": "all as planned", "swap": None}, "always": True}]},
        calls=once,
    )
    yield scenario(
        "one that called a person with its records moved, by what it recorded, and over its own lease",
        SUCCESS,
        item={"state": "NeedsOperator", "error": "RecordChanged", "cause": "elsewhere", "outcome": None, "moved": True},
        held="own",
        calls=once,
    )


def confirming():
    """The names are followed to the source. Whatever is seen there, no record moves again, and no fence is touched."""
    once = {call: 1 for call in STEPS} | {"UndoFenceRestored": 0}
    unconfirmed = [*up_to("IsSourceConfirmed", SUCCESS), *UNCONFIRMED, *SUCCESS[SUCCESS.index("UndoFinish") :]]
    unseen = up_to("ConfirmSource", unconfirmed) + unconfirmed[unconfirmed.index("NoteUnconfirmed") :]
    confirm = {"confirmed": True, "inSyncAt": "2026-11-23T10:44:02Z", "waitSeconds": 0, "unseen": [], "records": [{"name": "db.example.com", "server": "s", "matches": True}]}
    not_yet = confirm | {"confirmed": False, "waitSeconds": 5, "records": []}
    elsewhere = not_yet | {"elsewhere": ["db.example.com leads to 10.0.0.9, which is of the restored one"]}
    dark = not_yet | {"unseen": ["db.example.com: connection refused"]}
    pending = {"done": False, "status": "the change C2 is pending", "seconds": 50}
    again = [*SUCCESS[: SUCCESS.index("UndoFinish")], "WaitForOldTtl", *CONFIRM, *SUCCESS[SUCCESS.index("UndoFinish") :]]
    for name, answer in [
        ("the old TTL is waited for", not_yet),
        ("a name server that still serves the restored cluster is waited for", elsewhere),
        ("a server that restarts is waited for", dark),
    ]:
        yield scenario(name, again, script={"ConfirmSource": [{"answer": answer}]}, calls=once | {"ConfirmSource": 2})
    yield scenario(
        "Route 53 is not in sync at once",
        [*up_to("IsInSync", SUCCESS), *IN_SYNC, *SUCCESS[SUCCESS.index("ConfirmSource") :]],
        script={"AwaitInSync": [{"answer": pending}]},
        calls=once | {"AwaitInSync": 2, "ConfirmSource": 1},
    )
    yield scenario(
        "its fence is unseen: that is told",
        SUCCESS,
        told=["whether cluster-of-undo--its-fence-is-unseen--that-is-told-rewind is still fenced could not be seen: no login"],
        script={"ConfirmSource": [{"answer": confirm | {"restoredUnseen": "no login"}}]},
        calls=once,
    )
    for name, answer, said in [
        ("a name leads to the restored cluster for too long", elsewhere, ["clients may not reach it by them: db.example.com leads to 10.0.0.9, which is of the restored one; next step"]),
        ("a server behind a name cannot be seen for too long", dark, ["clients may not reach it by them: db.example.com: connection refused; next step"]),
        ("the names are not confirmed for too long", not_yet, ["it is not known whether the DNS names lead to cluster-of-undo--"]),
    ]:  # fmt: skip
        yield scenario(
            f"{name}: people are told, and nothing moves",
            unconfirmed,
            unconfirmed=[*said, "[VerificationFailed in ConfirmSource]"],
            script={"ConfirmSource": [{"answer": answer, "always": True}]},
            calls=once | {"ConfirmSource": 1},
            machine=UNDO_WITHOUT_TIMEOUTS,
        )
    yield scenario(
        "Route 53 is not in sync for too long: the names are followed all the same, and people are told",
        unconfirmed,
        unconfirmed=["not all servers of Route 53 had the records of cluster-of-undo--", "the change C2 is pending", "which is fenced"],
        script={"AwaitInSync": [{"answer": pending, "always": True}]},
        calls=once | {"AwaitInSync": 1, "ConfirmSource": 1},
        machine=UNDO_WITHOUT_TIMEOUTS,
    )
    yield scenario(
        "Route 53 does not answer: the names are followed all the same, and people are told",
        [state for state in unconfirmed if state != "IsInSync"],
        unconfirmed=["it is so [RewindFailed in AwaitInSync]"],
        script={"AwaitInSync": always("RewindFailed")},
        calls=once | {"ConfirmSource": 1},
    )
    yield scenario(
        "the fence of the restored cluster does not hold: people are told, and nothing moves",
        unconfirmed,
        unconfirmed=["the fence of the restored one does not hold: app is there [VerificationFailed in ConfirmSource]"],
        script={"ConfirmSource": [{"answer": confirm | {"restoredOpen": "the fence of the restored one does not hold: app is there"}}]},
        calls=once,
    )
    for error in ["RewindFailed", "Bug"]:
        yield scenario(
            f"ConfirmSource fails with {error}: people are told, and nothing moves",
            unseen,
            unconfirmed=[f"it is so [{error} in ConfirmSource]"],
            script={"ConfirmSource": always(error)},
            calls=once | {"ConfirmSource": 1},
        )
    yield scenario(
        "AnnounceUnconfirmed throws: it is undone all the same, and told",
        unseen,
        script={"ConfirmSource": always("RewindFailed")},
        mocked={"AnnounceUnconfirmed": "EventBridge.EventBridgeException"},
        calls=once,
    )


def refused():
    """Nothing is called, the table is as it was, and the sentence says so."""
    invalid = {"error": "InvalidRequest", "calls": NO_CALLS}
    for name, item, said in [
        ("a recovery that nobody knows", {"gone": True}, "is no recovery that moved traffic: it is unknown; nothing was changed"),
        ("one that is undone already", {"state": "Undone"}, "is undone already; nothing was changed"),
        ("one that is moved back already", {"state": "RolledBack", "outcome": None}, "it is RolledBack; nothing was changed"),
        ("one that another has resumed", {"state": "NeedsOperator", "outcome": None, "moved": True, "resumedBy": "r-2"}, "was resumed by r-2, which has its restored cluster since; nothing was changed; next step: rewind status r-2"),
        ("one that changed nothing", {"state": "NothingChanged", "outcome": None}, "it is NothingChanged; nothing was changed"),
        ("one without records", {"dns": []}, "moved no traffic"),
        ("one of a version that signed no plans", {"signed": False}, "and no step of this one follows its plan; nothing was changed"),
        ("one whose source is deleted", {"cleanUp": DELETED}, "is being deleted; nothing was changed; next step: its data is in the snapshot kept-final"),
        ("one whose safety clone is deleted", {"strategy": "backtrack", "cleanUp": DELETED}, "--snapshot-identifier kept-final"),
    ]:  # fmt: skip
        # It may be making its plan: Step Functions is asked.
        asked = ["DescribeUnplanned", "IsUnplannedOver"] if "gone" in item else []
        yield scenario(f"{name} is refused", [*READ, *asked, *REFUSED], cause=[said], item=item, **invalid)
    yield scenario(
        "one that has ended well is not cancelled",
        [*READ, *REFUSED],
        cause=["has ended well, and is not cancelled any more; nothing was changed; next step: rewind undo undo--one"],
        given={"recovery": "undo--one-that-has-ended-well-is-not-cancelled", "by": "ana", "cancel": True},
        **invalid,
    )
    for name, item in [("runs", {"state": "Running", "outcome": None}), ("waits", {"state": "AwaitingApproval", "outcome": None})]:
        yield scenario(
            f"one that {name} by its record and whose execution nobody can see is left alone",
            [*READ, *OVER_BY_NOW[:2], *REFUSED],
            "Unavailable",
            ["is over could not be seen: unknown; nothing was changed"],
            item=item,
            calls=NO_CALLS,
        )
    for found in ["mixed", "elsewhere"]:
        yield scenario(
            f"records that are {found} are compared before anything is fenced",
            up_to("AreRecordsOurs", SUCCESS) + RELEASED,
            "RecordChanged",
            ["is not where undo--", "left it: somebody's; nothing was changed; next step: find out who changed it"],
            script={"ReadRecords": [{"answer": {"records": found, "what": "somebody's", "swap": None}}]},
            calls=NO_CALLS | {"ReadRecords": 1},
        )
    yield scenario(
        "a zone that cannot be read ends it before anything is fenced",
        up_to("ReadRecords", SUCCESS) + RELEASED,
        "RewindFailed",
        ["it is so [RewindFailed in ReadRecords]; nothing was changed: cluster-of-undo--", "left them; next step: mend what the first sentence names, then undo it again"],
        script={"ReadRecords": always("RewindFailed")},
        calls=NO_CALLS | {"ReadRecords": 1},
    )
    for name, given in [("no object", [1]), ("without a recovery", {"by": "ana"}), ("with a number", {"recovery": 7})]:
        yield scenario(
            f"an input that is {name} is refused",
            [*READ, *REFUSED],
            cause=["none is no recovery that moved traffic"],
            given=given,
            **invalid,
        )
    yield scenario(
        "the lease of the restored cluster is held",
        [*up_to("AcquireRestoredLease", SUCCESS), *HELD, *ONE_RELEASED],
        "LeaseHeld",
        ["the-other-one holds lease#cluster-of-undo--the-lease-of-the-restored-cluster-is-held-rewind since 2026-11-23T09:00:00Z, until"],
        held="restored",
        calls=NO_CALLS,
    )
    yield scenario(
        "the lease is held",
        [*up_to("AcquireLease", SUCCESS), *HELD, *REFUSED],
        "LeaseHeld",
        ["the-other-one holds lease#cluster-of-undo--the-lease-is-held since 2026-11-23T09:00:00Z, until", "nothing was changed", "(arn:of:the-other-one)"],
        held=True,
        lease_stays=True,
        calls=NO_CALLS,
    )
    refused = ("DynamoDB.ConditionalCheckFailedException", "told to")
    for what in ["undo", "open-2", "close"]:
        name = f"its {what}, stopped, has the lease"
        holder = {"Item": {
            "id": {"S": "lease#"}, "recoveryId": {"S": f"{slug('undo: ' + name)}-{what}"}, "executionArn": {"S": "arn:of:it"},
            "takenAt": {"S": "2026-11-23T09:00:00Z"}, "expiresAt": {"N": "4102444800"},
        }}  # fmt: skip
        waited = [*up_to("AcquireLease", SUCCESS), *HELD, "WaitForLease", "IsSourceLeaseTaken", *READ[1:], *WORK]
        yield scenario(name, waited, mocked={"AcquireLease": [refused, {}], "ReadLease": [holder]})
        name = f"its {what}, stopped, has the restored lease"
        holder = {"Item": {
            "id": {"S": "lease#"}, "recoveryId": {"S": f"{slug('undo: ' + name)}-{what}"}, "executionArn": {"S": "arn:of:it"},
            "takenAt": {"S": "2026-11-23T09:00:00Z"}, "expiresAt": {"N": "4102444800"},
        }}  # fmt: skip
        waited = [*up_to("AcquireRestoredLease", SUCCESS), *HELD, "WaitForLease", "IsSourceLeaseTaken", *SUCCESS[SUCCESS.index("AcquireRestoredLease"):]]
        yield scenario(name, waited, mocked={"AcquireRestoredLease": [refused, {}], "ReadLease": [holder]})
    yield scenario(
        "the clean-up holds the lease",
        [*up_to("AcquireLease", SUCCESS), *HELD, *REFUSED],
        "LeaseHeld",
        ["the clean-up holds lease#cluster-of-undo--the-clean-up-holds-the-lease since 2026-11-23T09:00:00Z, until", "in a minute", "nothing was changed"],
        held="clean-up",
        lease_stays=True,
        calls=NO_CALLS,
    )
    yield scenario(
        "whoever holds the lease cannot be read",
        [*up_to("AcquireLease", SUCCESS), *HELD, *REFUSED],
        "LeaseHeld",
        ["another execution holds lease#cluster-of-undo--whoever-holds-the-lease-cannot-be-read; nothing was changed"],
        held=True,
        lease_stays=True,
        mocked={"ReadLease": "DynamoDB.AmazonDynamoDBException"},
        calls=NO_CALLS,
    )


def failing():
    """Each step: it fails, it has a bug, it has to be repeated; and so does opening the restored cluster again."""
    for state in STEPS:
        last = state == "UndoFenceSource"
        opened = [*OVER, *(READ_BACK if state == "UndoSwapDns" else []), *OPENED[1:]]
        path = up_to(state, SUCCESS)
        later = {call: 0 for call in STEPS[STEPS.index(state) + 1 :]}
        said = [f"it is so [RewindFailed in {state}]"]
        script = MOVED | {state: always("RewindFailed")}
        if state == "FenceRestored":
            yield scenario(
                f"{state} fails: the restored cluster is opened again, and traffic is where it was",
                path + BACK_IN + RELEASED,
                "RewindFailed",
                [*said, "undone: undid FenceRestored"],
                script=script,
                calls=later | {"UndoFenceRestored": 1},
            )
        elif state == "UndoSwapDns":
            yield scenario(
                f"{state} fails, and the records were not moved: the restored cluster is opened again, and traffic is where it was",
                path + [*opened, "EndFenceWatchAfterFailure", *RELEASED],
                "RewindFailed",
                [*said, "undone: undid FenceRestored"],
                script=script,
                calls=later | {"UndoFenceRestored": 1},
            )
        else:
            yield scenario(
                f"{state} fails: a person is called",
                path + NEEDS_OPERATOR,
                "RewindFailed",
                said,
                script=script,
                calls=later | {"UndoFenceRestored": 0},
                lease_stays=True,
            )
        yield scenario(
            f"a bug in {state}: nothing is opened by guessing",
            path + NEEDS_OPERATOR,
            "Bug",
            [f"it is so [Bug in {state}]"],
            script=MOVED | {state: always("Bug")},
            calls=later | {state: 1, "UndoFenceRestored": 0},
            lease_stays=True,
        )
        yield scenario(
            f"{state} is throttled, then not ready, then of unknown outcome, then works",
            SUCCESS,
            script={state: passing()},
            calls={state: len(PASSING) + 1, "UndoFenceRestored": 0},
        )
        if not last:
            yield scenario(
                f"{state} fails, and so does opening the restored cluster again",
                path + [*opened[:-1], *NEEDS_OPERATOR],
                "RewindFailed",
                [*said, "then opening cluster-of-undo--", "again failed: no luck [Unavailable in UndoFenceRestored]"],
                script=script | {"UndoFenceRestored": always("Unavailable", "no luck")},
                calls=later | {"UndoFenceRestored": attempts("UndoFenceRestored", "Unavailable", "undo.asl.json") + 1},
                lease_stays=True,
            )
    moved = up_to("UndoSwapDns", SUCCESS) + [*OVER, *READ_BACK, *OPENED[1:]]
    yield scenario(
        "records that somebody changed stay: the restored cluster is opened again",
        [*moved, "EndFenceWatchAfterFailure", *RELEASED],
        "RecordChanged",
        ["undone: undid FenceRestored"],
        script=MOVED | {"UndoSwapDns": always("RecordChanged")},
        calls={"UndoSwapDns": 1, "UndoFenceSource": 0},
    )
    repeated = up_to("UndoSwapDns", SUCCESS) + OVERSTAYED + READ_BACK + OPENED[1:]
    unanswered = {"UndoSwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *always("RecordChanged")]}
    for found in ["mixed", "elsewhere"]:
        now = {"answer": {"records": found, "what": "so it is", "swap": None}, "always": True}
        yield scenario(
            f"records had changed when moving back was repeated, and are {found} now: they may have moved before",
            repeated + NEEDS_OPERATOR,
            "RecordChanged",
            script=unanswered | {"ReadRecords": [MOVED["ReadRecords"][0] | {"always": False}, now]},
            calls={"UndoSwapDns": 2, "UndoFenceSource": 0, "UndoFenceRestored": 1},
            lease_stays=True,
        )
    yield scenario(
        "moving back was not answered, and the records are where they were: so is traffic",
        [*repeated, "EndFenceWatchAfterFailure", *RELEASED],
        "RecordChanged",
        ["undone: undid FenceRestored"],
        script=MOVED | unanswered,
        calls={"UndoSwapDns": 2, "UndoFenceSource": 0, "UndoFenceRestored": 1},
    )
    yield scenario(
        "moving back was not answered, and the records are at the source: it is undone",
        up_to("UndoSwapDns", SUCCESS) + OVERSTAYED + READ_BACK + SUCCESS[SUCCESS.index("UndoFenceSource") :],
        script={"UndoSwapDns": always("OutcomeUnknown")},
        # Before anything is fenced, and once nobody knows what the batch did.
        calls={"UndoSwapDns": 2, "ReadRecords": 2, "UndoFenceSource": 1, "UndoFenceRestored": 0},
    )
    yield scenario(
        "moving back was not answered, and the zone cannot be read: the restored cluster is opened",
        up_to("UndoSwapDns", SUCCESS) + OVERSTAYED + READ_BACK + OPENED[1:] + NEEDS_OPERATOR,
        "OutcomeUnknown",
        script={"UndoSwapDns": always("OutcomeUnknown"), "ReadRecords": [MOVED["ReadRecords"][0] | {"always": False}, *always("RewindFailed")]},
        calls={"UndoFenceSource": 0, "UndoFenceRestored": 1},
        lease_stays=True,
    )


def opened(broken):
    """The source is open to somebody who reads there: it is closed first. What cannot be closed is told, and the recovery is undone."""
    under_lease = len([*READ, *OVER_BY_NOW, *UNDER_LEASE])
    closing = ["CloseSource", "IsOpenGroupOurs", "ReadOpenRules", "IsOpenRuleLeft", "RevokeOpenRule", "RecordSourceClosed", "IsUndoable"]

    def path(*without):
        return [*SUCCESS[:under_lease], *(state for state in closing if state not in without), *SUCCESS[under_lease:]]

    def of(name, path, **more):
        fields = {"id": f"the opening: {name}", "by": "ben", "from": "203.0.113.9", "until": "2026-11-23T13:00:00Z"}
        is_open = {"opening": json.dumps(fields, separators=(",", ":"))}
        return scenario(name, path, item=is_open, **{"rule": False, "calls": {call: 1 for call in STEPS}} | more)

    yield of("what is open is closed first", path(), calls={"CloseSource": 1})
    yield of("what is open is closed first, whose address was never admitted", path("RevokeOpenRule"), rule=None)
    yield of("ReadOpenRules throws: the rule stays", path("IsOpenRuleLeft", "RevokeOpenRule"), mocked={"ReadOpenRules": "Ec2.Ec2Exception"}, rule=True)
    yield of("RevokeOpenRule throws: the rule stays", path(), mocked={"RevokeOpenRule": "Ec2.Ec2Exception"}, rule=True)
    told = "{{old}}, which was open to ben from 203.0.113.9, {how}; next step: rewind open {{id}} --close"
    for error in ["RewindFailed", "Unavailable", "InvalidRequest", "Bug"]:
        yield of(
            f"what is open cannot be closed, by {error}: it is undone all the same", path(*closing[1:-1]), rule=True,
            script={"CloseSource": always(error, "no way")}, closing=told.format(how=f"could not be closed: no way [{error} in CloseSource]"),
        )  # fmt: skip
    yield of(
        "RecordSourceClosed throws: it is undone all the same", path(), mocked={"RecordSourceClosed": broken},
        closing=told.format(how=f"is closed, and that could not be recorded: told to [{broken} in RecordSourceClosed]"),
    )  # fmt: skip


def native():
    """The native states, made to throw."""
    broken = "DynamoDB.AmazonDynamoDBException"
    yield from opened(broken)
    for state in ["ReadRecovery", "ReadFence", "AcquireLease"]:
        yield scenario(
            f"{state} throws",
            up_to(state, SUCCESS) + REFUSED,
            "Unavailable",
            [f"told to [{broken} in {state}]"],
            mocked={state: broken},
            calls=NO_CALLS,
        )
    yield scenario(
        "AcquireRestoredLease throws",
        up_to("AcquireRestoredLease", SUCCESS) + ONE_RELEASED,
        "Unavailable",
        [f"told to [{broken} in AcquireRestoredLease]"],
        mocked={"AcquireRestoredLease": broken},
        calls=NO_CALLS,
    )
    yield scenario("DescribeRecovery throws: its record says that it is over", SUCCESS, mocked={"DescribeRecovery": "Sfn.SfnException"})
    yield scenario("ReleaseRestoredLease throws", SUCCESS, mocked={"ReleaseRestoredLease": broken})
    yield scenario("UndoFinish fails: the tags mean nothing any more", SUCCESS, script={"UndoFinish": always("RewindFailed")})
    yield scenario("RecordUndone throws", SUCCESS, mocked={"RecordUndone": broken}, recorded=False)
    watched = SUCCESS.index("WatchFence") + 1
    unwatched = [*SUCCESS[:watched], "AnnounceUnwatched", *SUCCESS[watched:]]
    yield scenario("WatchFence throws: people are told that nobody watches", unwatched, mocked={"WatchFence": "StepFunctions.ExecutionLimitExceeded"})
    yield scenario(
        "WatchFence throws, and people cannot be told",
        unwatched,
        mocked={"WatchFence": "StepFunctions.ExecutionLimitExceeded", "AnnounceUnwatched": "EventBridge.EventBridgeException"},
    )
    yield scenario("EndFenceWatch throws", SUCCESS, mocked={"EndFenceWatch": broken})
    yield scenario(
        "EndFenceWatchAfterFailure throws",
        up_to("FenceRestored", SUCCESS) + BACK_IN + RELEASED,
        "RewindFailed",
        script=MOVED | {"FenceRestored": always("RewindFailed")},
        mocked={"EndFenceWatchAfterFailure": broken},
    )
    for state in ["LeaveLease", "LeaveRestoredLease"]:
        yield scenario(
            f"{state} throws: the lease stays the undo's",
            up_to("UndoFenceSource", SUCCESS) + NEEDS_OPERATOR,
            "RewindFailed",
            script={"UndoFenceSource": always("RewindFailed")},
            mocked={state: broken},
            lease_stays=True,
        )
    yield scenario("ReleaseLease throws", SUCCESS, mocked={"ReleaseLease": broken}, lease_stays=True)
    yield scenario(
        "ReleaseLeaseAfterFailure throws",
        up_to("FenceRestored", SUCCESS) + BACK_IN + RELEASED,
        "RewindFailed",
        script=MOVED | {"FenceRestored": always("RewindFailed")},
        mocked={"ReleaseLeaseAfterFailure": broken},
        lease_stays=True,
    )
    yield scenario(
        "ReleaseRestoredLeaseAfterFailure throws",
        up_to("FenceRestored", SUCCESS) + BACK_IN + RELEASED,
        "RewindFailed",
        script=MOVED | {"FenceRestored": always("RewindFailed")},
        mocked={"ReleaseRestoredLeaseAfterFailure": broken},
    )
    for state, recorded in [("RecordFailure", False), ("AnnounceFailure", True)]:
        yield scenario(
            f"{state} throws",
            up_to("UndoFenceSource", SUCCESS) + NEEDS_OPERATOR,
            "RewindFailed",
            ["it is so [RewindFailed in UndoFenceSource]", "done before that: undid SwapDns"],
            script={"UndoFenceSource": always("RewindFailed")},
            mocked={state: broken},
            recorded=recorded,
            lease_stays=True,
        )


def moved(recovery):
    """What NoteFence writes before a recovery fences its source."""
    old = cluster(recovery)
    records = [{"name": f"{old}.example.com", "from": f"{old}.rds", "to": f"{old}-rewind.rds", "ttl": 5}]
    return json.dumps({
        "strategy": "restore", "newCluster": f"{old}-rewind", "writerEndpoint": f"{old}-rewind.rds",
        "readerEndpoint": f"{old}-rewind-ro.rds", "rewoundTo": "2026-11-23T10:30:00Z", "dns": records,
    })  # fmt: skip


class Stopped(Scenario):
    """An undo of a recovery that really runs, or was really stopped, and how far its record says it had come."""

    def __init__(self, name, path, *rest, runs=False, state="Running", noted=False, fenced=False, sent=False, cancel=False, ended=False, in_place=None, recorded, told=(), **more):
        super().__init__(f"undo: {name}", path, *rest, request={}, machine=UNDO, recorded=recorded, **more)
        self.runs, self.state, self.noted, self.fenced, self.sent = runs, state, noted, fenced, sent
        self.cancel, self.ended = cancel, ended
        self.told = told  # by the record
        self.in_place = in_place  # what else its record holds, where it is in place


def stopped():
    """The recovery is one of the real machine, which waits for people in a slice of a minute."""
    at_source = {"records": "planned", "what": "all as planned", "swap": None}
    switched = {"ReadRecords": [{"answer": {"records": "moved", "what": "all at the new one", "swap": None}, "always": True}]}
    once = {call: 1 for call in STEPS} | {"UndoFenceRestored": 0}
    nothing = {call: 0 for call in STEPS}
    yield Stopped(
        "one that was stopped after the switch is undone, and its lease is free",
        [*READ, *OVER_BY_NOW, *WAITED, *WORK],
        noted=True, fenced=True, sent=True, script=switched, calls=once, recorded="Undone",
    )  # fmt: skip
    yield Stopped(
        "one that was stopped after its records were moved back is undone, for clients were led to the restored cluster",
        [*READ, *OVER_BY_NOW, *WAITED, *WORK],
        noted=True, fenced=True, sent=True, script={"ReadRecords": [{"answer": at_source, "always": True}]}, calls=once, recorded="Undone",
    )  # fmt: skip
    lifted = [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, *RECORDS, "UndoFenceSource", "EndFenceWatch", USED]
    yield Stopped(
        "one that was stopped between fence and switch has its fence lifted, and its restored cluster is kept",
        [*lifted, *CANCELLED[len(UNDER_LEASE) :]],
        noted=True, fenced=True, script={"ReadRecords": [{"answer": at_source, "always": True}]},
        calls=nothing | {"UndoFenceSource": 1, "KeepRestored": 1}, recorded="NothingChanged",
    )  # fmt: skip
    yield Stopped(
        "one that was stopped before its fence began has only to end",
        [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, *RECORDS, *CANCELLED[len(UNDER_LEASE) :]],
        noted=True, calls=nothing | {"KeepRestored": 1}, recorded="NothingChanged",
    )  # fmt: skip
    yield Stopped(
        "one that was stopped while people were asked has only to end",
        [*READ, *OVER_BY_NOW, *CANCELLED],
        state="AwaitingApproval", calls=nothing | {"KeepRestored": 1, "ReadRecords": 0}, recorded="NothingChanged",
    )  # fmt: skip
    for state in ["Running", "AwaitingApproval"]:
        yield Stopped(
            f"one that is {state} is ended, and its restored cluster is kept",
            [*READ, *STOP, *CANCELLED],
            runs=True, state=state, cancel=True, calls=nothing | {"KeepRestored": 1}, recorded="NothingChanged",
        )  # fmt: skip
    # Nobody else settles it: its lease stays, and people are called.
    begun = {"noted": True, "fenced": True, "sent": True, "recorded": "NeedsOperator", "lease_stays": True}
    under_lease = [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, "ReadRecords"]
    yield Stopped(
        "the zone of one that was stopped cannot be read",
        [*under_lease, "IsAnythingLeft", *NEEDS_OPERATOR],
        "RewindFailed",
        ["it is so [RewindFailed in ReadRecords]", "may be fenced, as undo--", "and so is lease#", "takes over what is kept"],
        script={"ReadRecords": always("RewindFailed")}, calls=nothing, **begun,
    )  # fmt: skip
    yield Stopped(
        "the records of one that was stopped are elsewhere",
        [*under_lease, "AreRecordsOurs", "IsAnythingLeft", *NEEDS_OPERATOR],
        "RecordChanged",
        ["left it: somebody's", "may be fenced, as undo--"],
        script={"ReadRecords": [{"answer": {"records": "elsewhere", "what": "somebody's", "swap": None}}]}, calls=nothing, **begun,
    )  # fmt: skip
    yield Stopped(
        "its records are at the source, and the restored cluster cannot be fenced",
        [*under_lease, "AreRecordsOurs", "WatchFence", "FenceRestored", *OPENED, *NEEDS_OPERATOR],
        "RewindFailed",
        ["it is so [RewindFailed in FenceRestored]", "the records point at cluster-of-undo--", ", which is fenced; next step"],
        script={"ReadRecords": [{"answer": at_source, "always": True}], "FenceRestored": always("RewindFailed")},
        calls=nothing | {"FenceRestored": 1, "UndoFenceRestored": 1}, **begun,
    )  # fmt: skip
    yield Stopped(
        "one that runs with its traffic moved is ended and undone",
        [*READ, *STOP, *WAITED, *WORK],
        runs=True, noted=True, fenced=True, sent=True, script=switched, calls=once, recorded="Undone",
    )  # fmt: skip
    yield Stopped(
        "one of an earlier version that was stopped with its fence up is not guessed at",
        [*READ, *REFUSED],
        "InvalidRequest",
        ["may be fenced by", "docs/runbook.md#an-execution-was-stopped"],
        fenced=True, calls=nothing, recorded="Running", lease_stays=True,
    )  # fmt: skip


def native_of_stopped():
    """The native states that end a recovery and keep its record, made to throw: it goes on where it could not be ended."""
    broken, nothing = "DynamoDB.AmazonDynamoDBException", {call: 0 for call in [*STEPS, "KeepRestored"]}
    stopping = [*READ, "DescribeRecovery", "IsRecoveryOver", "RecordCancel"]
    withdrawn = [*stopping, "StopRecovery", "WithdrawCancel"]
    for state, path, error in [("RecordCancel", stopping, broken), ("StopRecovery", withdrawn, "Sfn.SfnException")]:
        yield Stopped(
            f"{state} throws: the recovery runs on",
            [*path, *REFUSED],
            "Unavailable",
            [f"told to [{error} in {state}]"],
            mocked={state: error}, runs=True, calls=nothing, recorded="Running", lease_stays=True,
        )  # fmt: skip
    runs = {"Status": "RUNNING"}
    yield Stopped(
        "whether it is over cannot be seen once it was asked to stop",
        [*READ, *STOP[:4], "DescribeRecovery", "IsRecoveryOver", "IsAnythingLeft", *NEEDS_OPERATOR],
        "Unavailable",
        ["it was asked to stop", "may be fenced, as undo--", "its lease stays until then"],
        mocked={"DescribeRecovery": [runs, ("Sfn.SfnException", "told to")]}, runs=True, calls=nothing, recorded="NeedsOperator",
        lease_stays=True,
    )  # fmt: skip
    # Seen before Step Functions shows the end.
    over = {"Status": "ABORTED", "StopDate": "2026-11-23T10:41:00Z"}
    yield Stopped(
        "its end is shown a moment after it",
        [*READ, *STOP[:4], *["DescribeRecovery", "IsRecoveryOver", "WaitForEnd"], *OVER_BY_NOW, *CANCELLED],
        mocked={"DescribeRecovery": [runs, runs, over]}, runs=True, calls=nothing | {"KeepRestored": 1}, recorded="NothingChanged",
    )  # fmt: skip
    yield Stopped(
        "neither can it be ended, nor the note be taken back",
        [*withdrawn, *REFUSED],
        "Unavailable",
        mocked={"StopRecovery": "Sfn.SfnException", "WithdrawCancel": broken}, runs=True, calls=nothing, recorded="Running", lease_stays=True,
    )  # fmt: skip
    yield Stopped(
        "one that was stopped a moment ago, and Step Functions does not answer",
        [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, *RECORDS, "UndoFenceSource", "EndFenceWatch", USED, *CANCELLED[len(UNDER_LEASE) :]],
        mocked={"DescribeRecovery": "Sfn.SfnException"}, state="NeedsOperator", ended=True, noted=True, fenced=True,
        calls=nothing | {"UndoFenceSource": 1, "KeepRestored": 1}, recorded="NothingChanged",
    )  # fmt: skip
    yield Stopped(
        "KeepRestored fails: it is ended all the same, and people are told how to go on",
        [*READ, *OVER_BY_NOW, *CANCELLED],
        state="AwaitingApproval", script={"KeepRestored": always("RewindFailed")}, calls=nothing | {"KeepRestored": 1}, recorded="NothingChanged",
        told=["if there is one, is kept with its instances until the time in its tag", "rewind resume undo--"],
    )  # fmt: skip
    yield Stopped(
        "RecordCancelled throws: it is ended all the same",
        [*READ, *OVER_BY_NOW, *CANCELLED],
        mocked={"RecordCancelled": broken}, state="AwaitingApproval", calls=nothing | {"KeepRestored": 1}, recorded="AwaitingApproval",
    )  # fmt: skip


class Unplanned(Scenario):
    """An undo of a recovery that really runs, and makes its plan."""

    def __init__(self, name, path, *rest, runs_on=False, **more):
        super().__init__(f"undo: before a plan: {name}", path, *rest, request={}, machine=UNDO, **more)
        self.runs_on = runs_on


def unplanned():
    asked = [*READ, "DescribeUnplanned", "IsUnplannedOver"]
    stop = [*asked, "StopUnplanned", *asked[-2:]]
    over = [*READ[1:], "ConcludeUnplanned", "Undone"]
    yield Unplanned("it is ended", [*stop, *over])
    name = "its end is late"
    given = {"Input": json.dumps({"cluster": cluster(slug(f"undo: before a plan: {name}"))})}
    late = {"DescribeUnplanned": [given | {"Status": status} for status in ("RUNNING", "RUNNING", "ABORTED")]}
    yield Unplanned(name, [*stop, "WaitForUnplanned", *asked[-2:], *over], mocked=late)
    name = "its end is unseen"
    given = {"Status": "RUNNING", "Input": json.dumps({"cluster": cluster(slug(f"undo: before a plan: {name}"))})}
    unseen = {"DescribeUnplanned": [given, *[("Sfn.SfnException", "told to")] * 20]}
    yield Unplanned(name, [*stop, *REFUSED], "Unavailable", ["could not be seen: unknown; it was asked to stop"], mocked=unseen)
    unseen = {"DescribeUnplanned": "Sfn.SfnException"}
    yield Unplanned("it is unseen", [*asked, *REFUSED], "InvalidRequest", ["is no recovery that moved traffic: it is unknown"], mocked=unseen, runs_on=True)
    denied = {"StopUnplanned": "Sfn.SfnException"}
    yield Unplanned("it cannot be ended", [*asked, "StopUnplanned", *REFUSED], "Unavailable", ["told to"], mocked=denied, runs_on=True)


def run_unplanned(deployment, scenario):
    """Starts a recovery of the deployed machine, and undoes it while it makes its plan; answers what is wrong."""
    recovery, states = slug(scenario.name), deployment.client("stepfunctions")
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps({"ValidateWindow": [{"seconds": 5}]}))
    request = json.dumps({"cluster": cluster(recovery), "to": "5m ago", "dns": [{}], "approval": "required"})
    arn = states.start_execution(stateMachineArn=deployment.known["rewind"], name=recovery, input=request)["executionArn"]
    deadline = time.monotonic() + LONGEST
    while "ValidateWindow" not in [call["call"] for call in deployment.calls_of(recovery)]:
        assert time.monotonic() < deadline, f"it made no plan: {entered(deployment, arn)}"
        time.sleep(0.2)
    ended = execute(deployment, scenario, f"{recovery}-undo", {"recovery": recovery, "by": "ana"})
    yield from problems_of_end(deployment, scenario, ended)
    status = states.describe_execution(executionArn=arn)["status"]
    if status != ("RUNNING" if scenario.runs_on else "ABORTED"):
        yield f"the recovery is {status}"
    if scenario.runs_on:
        states.stop_execution(executionArn=arn)
    elif ended["status"] == "SUCCEEDED":
        output = json.loads(ended["output"])
        if output["cluster"] != cluster(recovery) or "changed nothing" not in output["undone"][0]:
            yield f"the output was {output}"


def run_stopped(deployment, scenario):
    """Runs a recovery up to the wait for people, makes its record what the scenario says, and undoes it; answers what is wrong."""
    recovery = slug(scenario.name)
    lease, name = f"lease#{cluster(recovery)}", f"{recovery}-undo"
    states, table = deployment.client("stepfunctions"), deployment.client("dynamodb")
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps(scenario.script))
    request = {"cluster": cluster(recovery), "to": "5m ago", "dns": [{}], "approval": "required"}
    arn = states.start_execution(stateMachineArn=deployment.arns[MACHINE], name=recovery, input=json.dumps(request))["executionArn"]
    deadline = time.monotonic() + LONGEST
    while "RequestApproval" not in [call["call"] for call in deployment.calls_of(recovery)]:
        assert time.monotonic() < deadline, f"the recovery never asked: {entered(deployment, arn)}"
        time.sleep(0.2)
    if scenario.fenced:
        table.put_item(TableName=deployment.table, Item={"id": {"S": f"fence#{recovery}"}, "fence": {"S": "{}"}})
    in_place = {} if scenario.in_place is None else {"strategy": "backtrack", "dns": [], "backtrack": {"securityGroups": ["sg-one"]}}
    plan = json.dumps(json.loads(deployment.item(f"recovery#{recovery}")["plan"]["S"]) | {
        "cluster": cluster(recovery), "newCluster": f"{cluster(recovery)}-rewind", "signature": "c2lnbmVk",
    } | in_place)  # fmt: skip
    values = {":s": scenario.state, ":p": plan}
    if scenario.noted:
        values |= {":m": "{}" if in_place else moved(recovery), ":f": "2026-11-23T10:40:00Z"}
    values |= {f":in{n}": value for n, value in enumerate((scenario.in_place or {}).values())}
    if scenario.ended:
        values |= {":e": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if scenario.sent:
        values |= {":r": json.dumps("2026-11-23T10:41:00Z")}
    table.update_item(
        TableName=deployment.table, Key={"id": {"S": f"recovery#{recovery}"}}, ExpressionAttributeNames={"#s": "state", "#p": "plan"},
        UpdateExpression="SET #s = :s, #p = :p" + (", moved = :m, fenceBegunAt = :f" if scenario.noted else "")
        + (", recordsSentAt = :r" if scenario.sent else "") + (", endedAt = :e" if scenario.ended else "")
        + "".join(f", {name} = :in{n}" for n, name in enumerate(scenario.in_place or {})),
        ExpressionAttributeValues={key: {"S": value} for key, value in values.items()},
    )  # fmt: skip
    if not scenario.runs:
        states.stop_execution(executionArn=arn)
    given = {"recovery": recovery, "by": "ana"} | ({"cancel": True} if scenario.cancel else {})
    ended = execute(deployment, scenario, name, given)
    status = states.describe_execution(executionArn=arn)["status"]
    runs_on = scenario.runs and scenario.recorded == "Running"
    if runs_on:
        states.stop_execution(executionArn=arn)
    kept, left = deployment.item(f"recovery#{recovery}"), deployment.item(lease)
    of_restored = deployment.item(f"{lease}-rewind")
    stays = scenario.recorded == "NeedsOperator" and "AcquireRestoredLease" in scenario.path
    calls = [call["call"] for call in deployment.calls_of(recovery)]
    counts = [f"{call} was called {calls.count(call)} times" for call, times in scenario.calls.items() if calls.count(call) != times]
    is_recorded = scenario.recorded in ("Undone", "NothingChanged", "Recovered")
    expected = ["cancel", "approval"] if is_recorded else []
    return [
        *problems_of_end(deployment, scenario, ended),
        *counts,
        *(["the note that it is to end stayed"] if runs_on and "cancel" in kept and "WithdrawCancel" not in (scenario.mocked or {}) else []),
        *([f"the recovery is {status}"] if status != ("RUNNING" if runs_on else "ABORTED") else []),
        *([f"the lease {'stayed' if left else 'is gone'}"] if bool(left) != scenario.lease_stays else []),
        *([f"the lease of the restored cluster is {of_restored}"] if bool(of_restored) != stays else []),
        *problems_of_left(recovery, [left, of_restored]),
        *([f"the table says {kept['state']['S']}, expected {scenario.recorded}"] if kept["state"]["S"] != scenario.recorded else []),
        *(f"the record does not tell {said!r}: {kept.get('cause')}" for said in scenario.told if said not in kept.get("cause", {"S": ""})["S"]),
        *(f"{attribute} is still in the record" for attribute in expected if attribute in kept),
        *(["the watch over the fence goes on"] if is_recorded and "fenceWatchEndedAt" not in kept else []),
    ]
