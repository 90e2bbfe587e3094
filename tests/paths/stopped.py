"""The paths of the machine that finds a recovery which was stopped, an undo of one, or an opening: what it writes into record and leases,
and when it calls a person.
"""

import json
import time

from execution import execute, problems_of_end
from scenario import STOPPED, Scenario, slug, up_to

READ = ["Begin", "IsUndo", "ReadRecovery", "ReadFence", "IsSettled"]
SETTLED = [*READ, "Settled"]
FREE = [*READ, "ConcludeNothingChanged", "RecordStopped", "IsLeaseKept", "ReleaseLease", "AnnounceStopped", "IsOperatorNeeded", "Settled"]
CALLED = [*READ, "ConcludeNeedsOperator", "RecordStopped", "IsLeaseKept", "NoteOnLease", "AnnounceStopped", "IsOperatorNeeded", "NeedsOperator"]
# An undo that was stopped.
READ_UNDONE = ["Begin", "IsUndo", "ReadUndone", "IsUndone"]
LEFT = ["AnnounceStopped", "IsOperatorNeeded", "WaitForUndo", "LeaveLease", "LeaveRestoredLease", "NeedsOperator"]
BEGUN = ["ReadUndoFence", "IsUndoBegun"]
IDLE = [*READ_UNDONE, "ReadUndoLease", *BEGUN, "ConcludeUndoStopped", "IsUndoAtWork", *LEFT]
HALF_WAY = [*up_to("IsUndoAtWork", IDLE), "RecordUndoStopped", *LEFT]
FREED = ["ReleaseUndoRestoredLease", "ReleaseUndoLease", "IsStopKnown"]
UNDONE = [*READ_UNDONE, *FREED, "Settled"]
# Before its first change: the recovery is what it was.
NOT_BEGUN = [*up_to("IsUndoBegun", IDLE), "ConcludeUndoNotBegun", "EndUndoWatch", *FREED, "AnnounceStopped", "IsOperatorNeeded", "Settled"]
# Under the lease a function that was called before the stop may still begin: ten times twenty seconds.
MAY_BEGIN = ["WaitForUndoToBegin", *BEGUN] * 10
WAITED = [*up_to("IsUndoBegun", NOT_BEGUN), *MAY_BEGIN, *NOT_BEGUN[NOT_BEGUN.index("ConcludeUndoNotBegun") :]]
UNREAD = [*READ_UNDONE[:-1], "ConcludeUndoUnread", "AnnounceUndoUnread"]
# An opening that was stopped, or a close.
READ_OPENING = ["Begin", "IsUndo", "ReadOpening", "ReadOpeningLease", "IsOpeningLeft"]
TOLD_OPEN = ["ConcludeOpeningStopped", "AnnounceStopped", "IsOperatorNeeded"]
FREED_LATER = [*TOLD_OPEN, "WaitForOpening", "ReleaseOpeningLease", "NeedsOperator"]
LEFT_OPEN = [*READ_OPENING, *FREED_LATER]
NOTHING_OPEN = [*READ_OPENING, "ConcludeOpeningOver", "ReleaseClosedLease", "AnnounceStopped", "IsOperatorNeeded", "Settled"]
BROKEN = "DynamoDB.AmazonDynamoDBException"
BEGUN = {"fenceBegunAt": "2026-11-23T10:40:00Z"}


def run(deployment, scenario):
    """Runs it for a recovery whose item is as the scenario says, for an undo of one, or for an opening; answers what is wrong."""
    if "opens" in scenario.request:
        return [*run_opening(deployment, scenario)]
    return run_undo(deployment, scenario) if "holder" in scenario.request else run_recovery(deployment, scenario)


def run_recovery(deployment, scenario):
    recovery = slug(scenario.name)
    cluster, table = f"cluster-of-{recovery}", deployment.client("dynamodb")
    fields = {
        "id": f"recovery#{recovery}", "state": "Running", "cluster": cluster, "newCluster": f"{cluster}-rewind",
        "plan": json.dumps({"strategy": scenario.request["strategy"]}), "approval": "open",
    }  # fmt: skip
    if scenario.request["item"] is not None:
        fields |= scenario.request["item"]
        table.put_item(TableName=deployment.table, Item={name: {"S": value} for name, value in fields.items()})
    if scenario.request["fenced"]:
        table.put_item(TableName=deployment.table, Item={"id": {"S": f"fence#{recovery}"}, "fence": {"S": "{}"}})
    hold(deployment, cluster, scenario.request["of"] or recovery)
    detail = {"name": recovery, "executionArn": f"arn:of:{recovery}", "status": "ABORTED", "error": scenario.request["error"]}
    if scenario.request["given"] is not None:
        given = scenario.request["given"]
        detail["input"] = given if isinstance(given, str) else json.dumps(given | ({"cluster": f" {cluster.title()}"} if "to" in given else {}))
    ended = execute(deployment, scenario, recovery, {"detail-type": "Step Functions Execution Status Change", "detail": detail})
    after, left = deployment.item(f"recovery#{recovery}"), deployment.item(f"lease#{cluster}")
    return [*problems_of_end(deployment, scenario, ended), *problems_of_table(scenario, fields, after, left)]


def hold(deployment, cluster, holder):
    """Gives the lease of a cluster to an execution."""
    lease = {
        "id": {"S": f"lease#{cluster}"}, "recoveryId": {"S": holder}, "executionArn": {"S": f"arn:of:{holder}"},
        "expiresAt": {"N": str(int(time.time()) + 3600)},
    }  # fmt: skip
    deployment.client("dynamodb").put_item(TableName=deployment.table, Item=lease)


def run_undo(deployment, scenario):
    recovery, request = slug(scenario.name), scenario.request
    undo, cluster = f"{recovery}-undo", f"cluster-of-{recovery}"
    restored = f"{cluster}-rewind"
    fields = {
        "id": f"recovery#{recovery}", "state": "Recovered", "cluster": cluster, "newCluster": restored, "executionArn": f"arn:of:{recovery}",
    } | request["item"]  # fmt: skip
    item = {name: {"S": value} for name, value in fields.items()}
    deployment.client("dynamodb").put_item(TableName=deployment.table, Item=item)
    if request["begun"]:
        fence = {"id": {"S": f"fence#{recovery}"}, "fence": {"S": "{}"}, "fenceRestored": {"S": "{}"}}
        deployment.client("dynamodb").put_item(TableName=deployment.table, Item=fence)
    for name in (cluster, restored):
        hold(deployment, name, undo if request["holder"] == "undo" else request["holder"])
    given = json.dumps({"recovery": recovery, "by": request["by"]})
    detail = {
        "name": undo, "executionArn": f"arn:of:{undo}", "status": "ABORTED", "input": given, "stateMachineArn": deployment.known["undo"],
    }  # fmt: skip
    ended = execute(deployment, scenario, undo, {"detail-type": "Step Functions Execution Status Change", "detail": detail})
    after = deployment.item(f"recovery#{recovery}")
    leases = [deployment.item(f"lease#{name}") for name in (cluster, restored)]
    return [
        *problems_of_end(deployment, scenario, ended),
        *problems_of_undone(recovery, scenario, item, after, ended),
        *problems_of_leases(recovery, scenario, leases),
    ]


def event_of_opening(deployment, name, arn, given):
    """The event that an opening of that name, or a close, was stopped."""
    detail = {"name": name, "executionArn": arn, "status": "ABORTED", "input": json.dumps(given), "stateMachineArn": deployment.known["open"]}
    return {"detail-type": "Step Functions Execution Status Change", "detail": detail}


def run_opening(deployment, scenario):
    recovery, request = slug(scenario.name), scenario.request
    name, cluster = f"{recovery}-open", f"cluster-of-{recovery}"
    fields = {"id": f"recovery#{recovery}", "state": "Recovered", "cluster": cluster}
    if request["opens"] is not None:
        fields["opening"] = json.dumps({"id": request["opens"].format(name=name), "by": "ben", "from": "203.0.113.9", "until": "2026-11-23T13:00:00Z"})
    item = {name: {"S": value} for name, value in fields.items()}
    deployment.client("dynamodb").put_item(TableName=deployment.table, Item=item)
    holder = request["of"] or name
    hold(deployment, cluster, holder)
    given = {"recovery": recovery, "by": "ana"} | request["given"]
    ended = execute(deployment, scenario, name, event_of_opening(deployment, name, f"arn:of:{name}", given))
    yield from problems_of_end(deployment, scenario, ended)
    if (after := deployment.item(f"recovery#{recovery}")) != item:
        yield f"the record was changed: {after}"
    lease = deployment.item(f"lease#{cluster}")
    if (lease and lease["recoveryId"]["S"]) != (holder if scenario.lease_stays else None):
        yield f"the lease is {lease}"


def record_of(name):
    """The record of the recovery of a scenario, as the table answers it."""
    recovery = slug(name)
    fields = {"state": "Recovered", "cluster": f"cluster-of-{recovery}", "newCluster": f"cluster-of-{recovery}-rewind", "executionArn": f"arn:of:{recovery}"}
    return {name: {"S": value} for name, value in fields.items()}


def problems_of_undone(recovery, scenario, before, after, ended):
    ended_watch = after.pop("undoWatchEnded", {"S": None})["S"]
    if ended_watch != (f"{recovery}-undo" if "EndUndoWatch" in scenario.path and "EndUndoWatch" not in (scenario.mocked or {}) else None):
        yield f"the watch over the undo is ended by {ended_watch}"
    if scenario.recorded is None:
        if after != before:
            yield f"the record was changed: {after}"
        return
    if "undo" not in after:
        yield f"the record tells of no undo: {after}"
        return
    undo = json.loads(after["undo"]["S"])
    told = [after[name]["S"] for name in ("state", "error", "cause")]
    if told != [scenario.recorded, ended.get("error"), ended.get("cause")]:
        yield f"the record tells {told}"
    if (undo["id"], undo["by"], undo["undone"]) != (f"{recovery}-undo", scenario.request["by"][:200], []) or not undo["at"]:
        yield f"the undo in the record is {undo}"


def problems_of_leases(recovery, scenario, leases):
    """Compares both leases: released, left to the recovery, or as they were."""
    broken = set(scenario.mocked or {})
    for lease, leave, release in zip(leases, ["LeaveLease", "LeaveRestoredLease"], ["ReleaseUndoLease", "ReleaseUndoRestoredLease"]):
        holder = scenario.request["holder"]
        as_it_was = f"{recovery}-undo" if holder == "undo" else holder
        if holder != "undo" or leave in broken or release in broken or not {leave, release} & set(scenario.path):
            expected = as_it_was
        else:
            expected = None if release in scenario.path else recovery
        found = None if lease is None else (lease["recoveryId"]["S"], lease["executionArn"]["S"])
        if found != (expected and (expected, f"arn:of:{expected}")):
            yield f"the lease is of {found}, expected {expected}"


def problems_of_table(scenario, fields, after, lease):
    if bool(lease) != scenario.lease_stays:
        yield f"the lease {'stayed' if lease else 'is gone'}"
    # Without the record nobody knows which lease it is.
    noted = "NoteOnLease" in scenario.path and not {"ReadRecovery", "NoteOnLease"} & set(scenario.mocked or {})
    if lease and ("stoppedAt" in lease) != noted:
        yield f"the lease says {lease}"
    if scenario.recorded is None:
        if after is not None and after != {name: {"S": value} for name, value in fields.items()}:
            yield f"the record was changed: {after}"
    elif (after["state"]["S"], "approval" in after, "endedAt" in after) != (scenario.recorded, False, True):
        yield f"the record is {after}"
    elif scenario.recorded == "NothingChanged" and "moved none of its records" not in after["cause"]["S"]:
        yield f"the cause is {after['cause']}"


def scenario(name, path, *rest, item=None, fenced=False, strategy="restore", given=None, of=None, recorded=None, error_of_event=None, **more):
    request = {"item": item, "fenced": fenced, "strategy": strategy, "given": given, "of": of, "error": error_of_event}
    return Scenario(f"stopped: {name}", path, *rest, request=request, machine=STOPPED, recorded=recorded, **more)


def of_undo(name, path, *rest, item=None, holder="undo", begun=False, by="ana", **more):
    more = {"recorded": None} | more
    request = {"item": item or {}, "holder": holder, "begun": begun, "by": by}
    return Scenario(f"stopped: an undo {name}", path, *rest, request=request, machine=STOPPED, **more)


def of_opening(name, path, *rest, opens="{name}", of=None, given=None, **more):
    request = {"opens": opens, "of": of, "given": given or {}}
    return Scenario(f"stopped: opening {name}", path, *rest, request=request, machine=STOPPED, **more)


def scenarios():
    return [*of_recovery(), *of_undos(), *of_openings()]


def of_openings():
    told = {"error": "OutcomeUnknown", "cause": [
        "(ABORTED): it may be open for reading still, to ben from 203.0.113.9", "next step: rewind open stopped--opening-", "--close",
    ]}  # fmt: skip
    from_then = told | {"cause": [*told["cause"], " on: a function that was called before may run until then, and the lease is free then"]}
    yield of_opening("at work: its lease is free later", LEFT_OPEN, **from_then)
    yield of_opening("that closes, at work", LEFT_OPEN, opens="another", given={"close": True}, **from_then)
    held_by_other = [*READ_OPENING, *TOLD_OPEN, "NeedsOperator"]
    yield of_opening("that waits: another has the lease", held_by_other, of="the-other-one", lease_stays=True, **told)
    yield of_opening("before it opened", NOTHING_OPEN, opens=None)
    yield of_opening("beside that of another", NOTHING_OPEN, opens="another", of="the-other-one", lease_stays=True)
    yield of_opening(
        "whose record is unread", [*READ_OPENING[:3], *FREED_LATER], "OutcomeUnknown", ["its record could not be read, so its lease stays", "--close"],
        mocked={"ReadOpening": BROKEN}, lease_stays=True,
    )  # fmt: skip
    yield of_opening("whose lease is unread", LEFT_OPEN, mocked={"ReadOpeningLease": BROKEN}, **from_then)
    yield of_opening("and its lease stays", LEFT_OPEN, mocked={"ReleaseOpeningLease": BROKEN}, lease_stays=True, **from_then)
    yield of_opening("over, its lease stays", NOTHING_OPEN, opens=None, mocked={"ReleaseClosedLease": BROKEN}, lease_stays=True)
    yield of_opening(
        "over, and nobody is told: the end pages", [*NOTHING_OPEN[:-1], "NeedsOperator"], "Unavailable", ["while nothing of it was open"], opens=None,
        mocked={"AnnounceStopped": BROKEN},
    )  # fmt: skip


def of_undos():
    half_way = {"error": "OutcomeUnknown", "cause": [
        "its undo stopped--an-undo", "(ABORTED) half-way", "may be fenced, and the records may point at either; next step: rewind undo stopped--an-undo",
        "takes over the leases, which are left to stopped--an-undo",
    ], "recorded": "NeedsOperator"}  # fmt: skip
    idle = {"error": "OutcomeUnknown", "cause": ["while it held no lease", "next step: rewind undo stopped--an-undo"], "holder": "the-other-one"}
    yield of_undo("half-way: its leases are left to the recovery", HALF_WAY, begun=True, **half_way)
    yield of_undo("of a recovery that it had ended: its leases are left to the recovery", HALF_WAY, item={"state": "Running"}, **half_way)
    yield of_undo("of one that needs a person already", HALF_WAY, item={"state": "NeedsOperator", "error": "Bug", "cause": "so"}, **half_way)
    yield of_undo("by somebody with a name of the longest", HALF_WAY, begun=True, by="x" * 200_000, **half_way)
    yield of_undo("of an item that is larger than a machine reads", HALF_WAY, begun=True, item={"request": "x" * 270_000}, **half_way)
    other = {"holder": "the-other-one"}
    yield of_undo("before it held a lease: the recovery is what it was", NOT_BEGUN, **other)
    yield of_undo("under its leases, before its first change: the recovery is what it was, and the leases are free", WAITED)
    yield of_undo("that may have begun, for its first change cannot be read", HALF_WAY, mocked={"ReadUndoFence": BROKEN}, **half_way)
    # Written by a function that outlived the stop.
    late = [{}, {"Item": {"id": {"S": "fence#r"}, "fenceRestored": {"S": "{}"}}}]
    begins = [*up_to("IsUndoBegun", HALF_WAY), *MAY_BEGIN[:3], *HALF_WAY[HALF_WAY.index("ConcludeUndoStopped") :]]
    yield of_undo("whose function begins a moment after the stop", begins, mocked={"ReadUndoFence": late}, **half_way)
    for state in ["EndUndoWatch", "ReleaseUndoLease", "ReleaseUndoRestoredLease"]:
        yield of_undo(f"before its first change, and {state} throws", WAITED, mocked={state: BROKEN})
    yield of_undo(
        "before its first change, and people cannot be told: the end pages", [*NOT_BEGUN[:-1], "NeedsOperator"], "Unavailable",
        ["its undo stopped--an-undo", "(ABORTED) before its first change: cluster-of-stopped--", "is Recovered as it was, and the leases of the undo are free"],
        mocked={"AnnounceStopped": BROKEN}, **other,
    )  # fmt: skip
    yield of_undo("that had ended a recovery, before it held a lease", IDLE, item={"state": "Running"}, **idle)
    for state in ["Undone", "NothingChanged"]:
        yield of_undo(f"after its end, {state}: its leases are free", UNDONE, item={"state": state})
    for state in ["ReleaseUndoLease", "ReleaseUndoRestoredLease"]:
        yield of_undo(f"after its end, and {state} throws", UNDONE, item={"state": "Undone"}, mocked={state: BROKEN})
    # Not repeated by the state itself, so that each is a reading.
    denied = ("DynamoDB.AccessDeniedException", "told to")
    again = ["WaitForRecord", "ReadUndoneAgain"]
    unread = {"ReadUndone": BROKEN}
    then = HALF_WAY[HALF_WAY.index("IsUndone") :]
    yield of_undo("whose recovery cannot be read at first", [*UNREAD, *again, *then], begun=True, mocked=unread, **half_way)
    # Short, or the answers of two states would be one.
    name = "unread until the fourth reading"
    path = [*UNREAD, *again, *["IsRecordUnread", *again] * 3, *then]
    answers = [denied] * 3 + [{"Item": record_of(f"stopped: an undo {name}")}]
    yield of_undo(name, path, begun=True, mocked=unread | {"ReadUndoneAgain": answers}, **half_way)
    name = "unread, and nobody is told at first"
    path = [*UNREAD, *again, "IsRecordUnread", "AnnounceUndoUnread", *again, *then]
    answers = [denied, {"Item": record_of(f"stopped: an undo {name}")}]
    # Sent three times before it is given up.
    unsent = [("EventBridge.InternalException", "told to")] * 3 + [{"FailedEntryCount": 0, "Entries": []}]
    yield of_undo(name, path, begun=True, mocked=unread | {"ReadUndoneAgain": answers, "AnnounceUndoUnread": unsent}, **half_way)
    path = [*UNREAD, *again, *["IsRecordUnread", *again] * 499, "IsRecordUnread", "NeedsOperator"]
    yield of_undo(
        "unread for days", path, "OutcomeUnknown", ["cannot be read", "delete the items lease#<source> and lease#<restored cluster>"], begun=True,
        mocked=unread | {"ReadUndoneAgain": [denied] * 500},
    )  # fmt: skip
    ended = [*UNREAD, *again, "IsUndone", *FREED, "Settled"]
    yield of_undo("that had ended, whose recovery cannot be read at first: its leases are free", ended, item={"state": "Undone"}, mocked=unread)
    yield of_undo("whose lease cannot be read counts as half-way", HALF_WAY, begun=True, mocked={"ReadUndoLease": BROKEN}, **half_way)
    yield of_undo("that cannot be recorded", HALF_WAY, begun=True, mocked={"RecordUndoStopped": BROKEN}, **(half_way | {"recorded": None}))
    for state in ["LeaveLease", "LeaveRestoredLease"]:
        yield of_undo(f"{state} throws", HALF_WAY, begun=True, mocked={state: BROKEN}, **half_way)
    yield of_undo("that cannot be announced", HALF_WAY, begun=True, mocked={"AnnounceStopped": BROKEN}, **half_way)


def of_recovery():
    cancelled = json.dumps({"id": "u", "by": "ana", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
    before = json.dumps({"id": "u", "by": "ana", "at": "2026-11-23T10:40:00Z"})
    called = {"error": "OutcomeUnknown", "lease_stays": True}
    by_undo = ["next step: rewind undo stopped--", "may be fenced, and the records may point at"]
    yield scenario("before the fence: the cluster is free again", FREE, item={}, recorded="NothingChanged")
    yield scenario("an item that is larger than a machine reads", FREE, item={"request": "x" * 270_000}, recorded="NothingChanged")
    yield scenario("while people are asked", FREE, item={"state": "AwaitingApproval"}, recorded="NothingChanged")
    yield scenario("after the fence began: a person is called", CALLED, cause=by_undo, item=BEGUN, recorded="NeedsOperator", **called)
    yield scenario(
        "an earlier version had fenced: a person is called", CALLED, cause=by_undo, item={}, fenced=True, recorded="NeedsOperator", **called
    )
    yield scenario(
        "in place: the runbook", CALLED, cause=["docs/runbook.md#an-execution-was-stopped"], item=BEGUN, strategy="backtrack",
        recorded="NeedsOperator", **called,
    )  # fmt: skip
    yield scenario(
        "in place, it had begun to let clients in", CALLED, cause=["is rewound and verified; next step: rewind undo stopped--", "lets clients in, if they are not"],
        item=BEGUN | {"liftBegunAt": "2026-11-23T10:44:00Z"}, strategy="backtrack", recorded="NeedsOperator", **called,
    )  # fmt: skip
    yield scenario("an undo ended it, and settles it", SETTLED, item=BEGUN | {"cancel": cancelled}, lease_stays=True)
    yield scenario(
        "an undo that ended nothing is no excuse", CALLED, cause=by_undo, item=BEGUN | {"cancel": before}, recorded="NeedsOperator", **called
    )
    yield scenario("its record has an end, and its lease is left", [*READ, "ReleaseLeftLease", "Settled"], item={"state": "Recovered"})
    yield scenario("a person looks already", SETTLED, item={"state": "NeedsOperator"}, lease_stays=True)
    yield scenario(
        "ReleaseLeftLease throws", [*READ, "ReleaseLeftLease", "Settled"], item={"state": "NothingChanged"}, mocked={"ReleaseLeftLease": BROKEN},
        lease_stays=True,
    )  # fmt: skip
    unplanned = [*READ, "ConcludeUnplanned", "AnnounceStopped", "IsOperatorNeeded", "Settled"]
    yield scenario("it had no plan yet: people are told", unplanned, lease_stays=True)
    freed = [*READ, "ReleaseUnplannedLease", *unplanned[len(READ) :]]
    request = {"to": "5m ago"}
    yield scenario("unplanned: its lease is freed", freed, given=request)
    yield scenario("unplanned: ended by an undo", [*READ, "ReleaseLeftLease", "Settled"], given=request, error_of_event="Cancelled")
    yield scenario("unplanned: ended by an undo, no cluster", SETTLED, given={"resume": "r-1"}, error_of_event="Cancelled", lease_stays=True)
    yield scenario("unplanned: a lease of another stays", freed, given=request, of="the-other-one", lease_stays=True)
    yield scenario("ReleaseUnplannedLease throws", freed, given=request, mocked={"ReleaseUnplannedLease": BROKEN}, lease_stays=True)
    yield scenario("unplanned: a resume names no cluster", unplanned, given={"resume": "r-1"}, lease_stays=True)
    yield scenario("unplanned: its cluster is none", unplanned, given={"cluster": "<!channel> $(touch x)"}, lease_stays=True)
    yield scenario("unplanned: its input is no object", unplanned, given="[1]", lease_stays=True)
    for state in ["ReadRecovery", "ReadFence"]:
        yield scenario(
            f"{state} throws: a person is called", up_to(state, READ) + CALLED[len(READ) :], item={}, mocked={state: BROKEN},
            recorded="NeedsOperator", **(called | ({"lease_stays": True} if state == "ReadFence" else {})),
        )  # fmt: skip
    yield scenario("RecordStopped throws: the cluster is free all the same", FREE, item={}, mocked={"RecordStopped": BROKEN})
    yield scenario("ReleaseLease throws", FREE, item={}, mocked={"ReleaseLease": BROKEN}, recorded="NothingChanged", lease_stays=True)
    yield scenario("NoteOnLease throws", CALLED, cause=by_undo, item=BEGUN, mocked={"NoteOnLease": BROKEN}, recorded="NeedsOperator", **called)
    yield scenario(
        "the event that nothing was fenced cannot be sent: the end pages", [*up_to("IsOperatorNeeded", FREE), "NeedsOperator"], "Unavailable",
        ["was ended from outside (ABORTED); cluster-of-stopped--", "was not fenced, and this recovery moved none of its records"], item={}, mocked={"AnnounceStopped": BROKEN}, recorded="NothingChanged",
    )  # fmt: skip
    yield scenario("the event cannot be sent", CALLED, item=BEGUN, mocked={"AnnounceStopped": BROKEN}, recorded="NeedsOperator", **called)
