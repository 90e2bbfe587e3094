"""The paths of undoing a recovery in place: forward again and compared, only fenced, or let in to the rewound data; what is refused because
clients were let in; each step failing in turn, with what a person is told of how things stand; and what is left of the safety clone.
"""

import json

from execution import execute, hold_lease, problems_of_calls, problems_of_end
from scenario import PASSING, UNDO, UNDO_WITHOUT_TIMEOUTS, Scenario, always, attempts, passing, slug, unmet, up_to
from undo import END, NEEDS_OPERATOR, OVER_BY_NOW, READ, REFUSED, STOP, Stopped, UNDER_LEASE, WAITED, cluster, item, problems_of_left

FORWARD = ["UndoStartBacktrack", "IsForwardNeeded", "AwaitForward", "IsForwardDone", "IsFenceUp"]
COMPARE = ["VerifyForward", "IsForwardVerified"]
LIFT = ["UndoFenceSource", "EndFenceWatch", "IsRestoredClusterUnused", "EndWatchOfRecovery", "IsSafetyCloneKept"]
DELETE = ["UndoAddInstances", "UndoStartRestore", "AwaitDeletion", "IsDeletionDone", "IsSafetyCloneGone"]
WORK = [*FORWARD, *COMPARE, *LIFT, *DELETE, "RecordUndone", *END]
BEGIN = [*READ, *OVER_BY_NOW, *UNDER_LEASE]
SUCCESS = [*BEGIN, *WORK]
# Nothing was backtracked: the fence is all there is.
FENCED_ONLY = [*LIFT, *DELETE, "RecordCancelled", *END]
# It had begun to let clients in: they are let in, and nothing is taken back.
LET_IN = [*LIFT, "KeepSafetyClone", "RecordLetIn", *END]
LEFT = ["NoteLeftover", "IsSafetyCloneGone"]
CALLS = ["UndoStartBacktrack", "AwaitForward", "VerifyForward", "UndoFenceSource", "UndoAddInstances", "UndoStartRestore", "AwaitDeletion"]
NONE = [{"answer": {"changed": False, "what": []}}]
LETS_IN = {"liftBegunAt": "2026-11-23T10:44:00Z"}
# Nothing goes forward, and nothing is deleted.
LIFTED_ONLY = {"UndoStartBacktrack": 0, "VerifyForward": 0, "UndoFenceSource": 1, "UndoStartRestore": 0, "UndoAddInstances": 0, "KeepSafetyClone": 1}
NOTED = {"liftBegunAt": "null", "backtrackBegunAt": "2026-11-23T10:41:00Z", "approvalSignature": "signed"}
UNCALLED = {call: 0 for call in CALLS}
ADMIT = "to let clients in when it is right: aws rds modify-db-cluster --db-cluster-identifier cluster-of-undo-in-place--"

# How things stand when a person has to look, by the step that failed.
UNKNOWN = ["is as it was or rewound to 2026-11-23T10:30:00Z is not known", "this undo has lifted no fence", ADMIT]
STANDING = {
    "UndoStartBacktrack": UNKNOWN,
    "AwaitForward": UNKNOWN,
    "VerifyForward": ["was taken forward to where it was, and that it holds what it held before is not verified", "compare them", ADMIT],
    "UndoFenceSource": ["holds what it held before, and may still be fenced", ADMIT],
}


def run(deployment, scenario):
    """Runs the undo of a recovery in place that is over by now; answers what is wrong."""
    recovery = slug(scenario.name)
    lease = f"lease#{cluster(recovery)}"
    (deployment.scripts / f"{recovery}.json").write_text(json.dumps(scenario.script))
    fields = {"state": "NeedsOperator", "outcome": None, "fenceBegunAt": "2026-11-23T10:40:00Z", "recordsSentAt": "null"}
    before = item(recovery, **({"strategy": "backtrack"} | fields | NOTED | scenario.request["item"]))
    before = {name: value for name, value in before.items() if value != {"S": "none"}} | {"moved": {"S": "{}"}}
    deployment.client("dynamodb").put_item(TableName=deployment.table, Item=before)
    if scenario.request["fenced"]:
        deployment.client("dynamodb").put_item(TableName=deployment.table, Item={"id": {"S": f"fence#{recovery}"}, "fence": {"S": "{}"}})
    hold_lease(deployment, scenario, lease)
    ended = execute(deployment, scenario, f"{recovery}-undo", {"recovery": recovery, "by": "ana"})
    after = deployment.item(f"recovery#{recovery}")
    leases = [deployment.item(lease), deployment.item(f"{lease}-rewind")]
    return [
        *problems_of_end(deployment, scenario, ended),
        *problems_of_calls(deployment, scenario, recovery),
        *problems_of_record(scenario, recovery, ended, before, after),
        *([f"the leases are {leases}"] if [*map(bool, leases)] != [scenario.lease_stays] * 2 else []),
        *problems_of_left(recovery, leases),
        *problems_of_output(scenario, recovery, ended),
    ]


def problems_of_record(scenario, recovery, ended, before, after):
    if scenario.recorded is None:
        # The watches end where the record of the end fails.
        if {name: value for name, value in after.items() if name not in ("undoWatchEnded", "fenceWatchEndedAt")} != before:
            yield f"the table says {after}, expected {before}"
        return
    if after["state"]["S"] != scenario.recorded:
        yield f"the table says {after['state']}, expected {scenario.recorded}"
    if scenario.recorded == "Recovered":
        # With an undo in its record the clean-up would keep the safety clone for ever.
        if {"undo", "error", "approval", "cancel"} & set(after) or f"ana settled it by {recovery}-undo at" not in after["cause"]["S"]:
            yield f"the record is {after}"
        return
    undo = json.loads(after["undo"]["S"])
    if (undo["id"], undo["by"]) != (f"{recovery}-undo", "ana"):
        yield f"the undo in the record is {undo}"
    if scenario.recorded == "NeedsOperator":
        if (after["error"]["S"], after["cause"]["S"]) != (ended.get("error"), ended.get("cause")):
            yield f"the table tells it otherwise: {after}"
    elif "fenceWatchEndedAt" not in after:
        yield "the watch over the fence goes on"


def problems_of_output(scenario, recovery, ended):
    if ended["status"] != "SUCCEEDED":
        return
    output, undone = json.loads(ended["output"]), scenario.request["undone"]
    told = (output["outcome"], output["recoveryId"], output["by"], output["cluster"], output["dns"])
    if told != ("Undone", recovery, "ana", cluster(recovery), []):
        yield f"the output was {output}"
    if output["newCluster"] is not None:
        yield f"the output tells of {output['newCluster']}, which is gone"
    if output.get("staysRewound", False) != ("RecordLetIn" in scenario.path):
        yield f"whether it stays rewound, the output tells wrongly: {output}"
    for said in undone:
        if not any(said in one for one in output["undone"]):
            yield f"the output lacks {said!r}: {output['undone']}"


def scenario(name, path, *rest, item=None, fenced=True, undone=(), machine=UNDO, recorded="Undone", **more):
    request = {"item": item or {}, "fenced": fenced, "undone": undone}
    return Scenario(f"undo in place: {name}", path, *rest, request=request, machine=machine, recorded=recorded, **more)


def scenarios():
    return [*ways(), *let_in(), *refused(), *failing(), *native(), *stopped()]


def ways():
    once = {call: 1 for call in CALLS}
    done = ["undid StartBacktrack", "was compared with the safety clone: it holds what it held before", "undid FenceSource", "undid StartRestore"]
    yield scenario("it goes forward again, and clients get in", SUCCESS, undone=done, calls=once)
    yield scenario("one that was half undone, over its own lease", SUCCESS, held="own", item={"undo": "{}"}, undone=done, calls=once)
    waits = {"AwaitForward": [{"answer": {"done": False, "status": "applying", "seconds": 50}}]}
    again = up_to("IsForwardDone", SUCCESS) + SUCCESS[SUCCESS.index("AwaitForward") :]
    yield scenario("the way forward takes several calls", again, script=waits, calls=once | {"AwaitForward": 2})
    waits = {"AwaitDeletion": [{"answer": {"done": False, "status": "deleting", "seconds": 50}}]}
    again = up_to("IsDeletionDone", SUCCESS) + SUCCESS[SUCCESS.index("AwaitDeletion") :]
    yield scenario("the deletion takes several calls", again, script=waits, calls=once | {"AwaitDeletion": 2})
    unlisted = [state for state in SUCCESS if state not in ("AwaitForward", "IsForwardDone")]
    yield scenario(
        "RDS lists no backtrack: it is compared all the same", unlisted, script={"UndoStartBacktrack": NONE}, undone=done[1:],
        calls=once | {"AwaitForward": 0},
    )  # fmt: skip
    yield scenario(
        "its own undo had lifted the fence: nothing is compared any more", [state for state in SUCCESS if state not in COMPARE], fenced=False,
        calls=once | {"VerifyForward": 0},
    )  # fmt: skip
    only = {"UndoStartBacktrack": 0, "VerifyForward": 0, "UndoFenceSource": 1, "UndoStartRestore": 1}
    yield scenario(
        "nothing was backtracked: the fence is lifted", [*BEGIN, *FENCED_ONLY], item={"backtrackBegunAt": "none"}, calls=only,
        recorded="NothingChanged", undone=["undid FenceSource", "is not fenced"],
    )  # fmt: skip


def let_in():
    """It had begun to let clients in, and called a person or was stopped: its fence is lifted, and its data stays as it was verified."""
    path, told = [*BEGIN, *LET_IN], ["undid FenceSource", "stays rewound to 2026-11-23T10:30:00Z, as it was verified, and takes clients", "the safety clone is kept"]
    of = {"item": LETS_IN, "recorded": "Recovered", "calls": LIFTED_ONLY}
    yield scenario("one that let clients in stays rewound", path, undone=told, **of)
    yield scenario("one that let clients in, without its fence", path, fenced=False, undone=told, **of)
    yield scenario("one that let clients in, half undone", path, held="own", undone=told, **(of | {"item": LETS_IN | {"undo": "{}"}}))
    broken = {"KeepSafetyClone": always("RewindFailed")}
    yield scenario("one that let clients in: no tag", path, script=broken, undone=[*told[:2], "could not be tagged", "rewind clusters shows it"], **of)
    mocked = {"RecordLetIn": "DynamoDB.AmazonDynamoDBException"}
    unrecorded = {"recorded": None, "undone": [*told, "not recorded in the table: DynamoDB"], "mocked": mocked}
    yield scenario("let in, unrecorded", path, **(of | unrecorded))
    for error in ["RewindFailed", "Bug"]:
        yield scenario(
            f"one that let clients in cannot, by {error}", up_to("UndoFenceSource", path) + NEEDS_OPERATOR, error,
            [f"it is so [{error} in UndoFenceSource]", "stays rewound to 2026-11-23T10:30:00Z, as it was verified, and may still be fenced", ADMIT],
            item=LETS_IN, script={"UndoFenceSource": always(error)}, calls={"KeepSafetyClone": 0, "UndoStartRestore": 0}, lease_stays=True,
            recorded="NeedsOperator",
        )  # fmt: skip


def refused():
    invalid = {"error": "InvalidRequest", "calls": UNCALLED, "recorded": None}
    outcome = json.dumps({"strategy": "backtrack", "newCluster": None, "writerEndpoint": "w", "readerEndpoint": "r", "rewoundTo": "t", "dns": [], "fence": {"fencedAt": "2026-11-23T10:40:05Z"}})
    let_in = {"liftBegunAt": "2026-11-23T10:44:00Z"}
    old, stopped = {"liftBegunAt": "none"}, {"stoppedIn": "Running"}
    for name, of, said in [
        ("one that has ended well", {"state": "Recovered", "outcome": outcome} | let_in, ["clients have written to it since, or may have", "copy what is missed from cluster-of-undo-in-place--", "start a recovery in place to 2026-11-23T10:40:05Z"]),
        ("one that has ended well by an earlier version", {"state": "Recovered", "outcome": outcome} | old, ["clients have written to it since, or may have"]),
        ("one that was settled so", {"state": "Recovered"} | let_in, ["clients have written to it since, or may have", "copy what is missed from cluster-of-undo-in-place--"]),
        ("one of an earlier version", old, ["no undo finds out which; nothing was changed; next step: docs/runbook.md#needsoperator"]),
        ("one of an earlier version that was stopped", old | stopped, ["docs/runbook.md#an-execution-was-stopped"]),
    ]:  # fmt: skip
        yield scenario(f"{name} is refused", [*READ, *REFUSED], cause=said, item=of, **invalid)
    yield scenario("one of an earlier version is refused without the note of its fence", [*READ, *REFUSED], item=old, fenced=False, **invalid)


def failing():
    """Each step before clients are in fails, has a bug, or has to be repeated."""
    for call, said in STANDING.items():
        for error in ["RewindFailed", "Bug"]:
            yield scenario(
                f"{call} fails with {error}", up_to(call, SUCCESS) + NEEDS_OPERATOR, error, [f"it is so [{error} in {call}]", *said],
                script={call: always(error)}, calls={later: 0 for later in CALLS[CALLS.index(call) + 1 :]} | {call: 1}, lease_stays=True,
                recorded="NeedsOperator",
            )  # fmt: skip
        yield scenario(
            f"{call} is throttled, then not ready, then of unknown outcome, then works", SUCCESS, script={call: passing()},
            calls={call: len(PASSING) + 1},
        )  # fmt: skip
    yield scenario(
        "it is not what it was: clients are not let in", up_to("IsForwardVerified", SUCCESS) + NEEDS_OPERATOR, "VerificationFailed",
        ["3 rows, 5 on the safety clone [VerificationFailed in VerifyForward]", *STANDING["VerifyForward"]],
        script={"VerifyForward": unmet("3 rows, 5 on the safety clone")}, calls={"UndoFenceSource": 0, "UndoStartRestore": 0},
        lease_stays=True, recorded="NeedsOperator",
    )  # fmt: skip
    yield scenario(
        "where it landed is not answered", up_to("IsForwardDone", SUCCESS) + NEEDS_OPERATOR, "Bug",
        ["where it landed was not answered [Bug in AwaitForward]", *UNKNOWN],
        script={"AwaitForward": [{"answer": {"done": True, "status": "available", "seconds": 1}}]}, lease_stays=True, recorded="NeedsOperator",
    )  # fmt: skip
    not_done = [{"answer": {"done": False, "status": "at work", "seconds": 50}, "always": True}]
    yield scenario(
        "the way forward is overdue", up_to("IsForwardDone", SUCCESS) + NEEDS_OPERATOR, "RewindFailed",
        ["forward to where it was is not done 2 hours after it began: its status is at work", *UNKNOWN],
        script={"AwaitForward": not_done}, machine=UNDO_WITHOUT_TIMEOUTS, lease_stays=True, recorded="NeedsOperator",
    )  # fmt: skip
    # Clients are in by then: what is left of the safety clone is told.
    for call in ["UndoAddInstances", "UndoStartRestore", "AwaitDeletion"]:
        yield scenario(
            f"{call} fails: it is undone all the same",
            [*up_to(call, SUCCESS), "IsSafetyCloneGone", *LEFT, *SUCCESS[SUCCESS.index("RecordUndone") :]],
            script={call: always("RewindFailed")}, undone=[f"is left: it is so [RewindFailed in {call}]"],
        )  # fmt: skip
    yield scenario(
        "the deletion is overdue: it is undone all the same",
        [*up_to("IsSafetyCloneGone", SUCCESS), *LEFT, *SUCCESS[SUCCESS.index("RecordUndone") :]],
        script={"AwaitDeletion": not_done}, machine=UNDO_WITHOUT_TIMEOUTS, undone=["was still being deleted after 2 hours"],
    )  # fmt: skip
    yield scenario(
        "RDS is away for an hour", SUCCESS, script={"UndoStartBacktrack": [{"error": ["Unavailable", "away"]}] * 30},
        calls={"UndoStartBacktrack": 31},
    )  # fmt: skip
    assert attempts("UndoStartBacktrack", "Unavailable", "undo.asl.json") > 30, "it gives up before"


def native():
    broken = "DynamoDB.AmazonDynamoDBException"
    yield scenario("EndWatchOfRecovery throws", SUCCESS, mocked={"EndWatchOfRecovery": broken})


def stopped():
    """The recovery is one that really runs, and that was really stopped."""
    begun = {"noted": True, "fenced": True, "in_place": NOTED}
    once = {call: 1 for call in CALLS}
    yield Stopped(
        "in place: one that was stopped after the backtrack goes forward again",
        [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, *WORK], calls=once, recorded="Undone", **begun,
    )  # fmt: skip
    yield Stopped(
        "in place: one that runs is ended, and goes forward again",
        [*READ, *STOP, *WAITED, *UNDER_LEASE, *WORK], runs=True, cancel=True, calls=once, recorded="Undone", **begun,
    )  # fmt: skip
    fence = {"noted": True, "fenced": True, "in_place": {"liftBegunAt": "null"}}
    yield Stopped(
        "in place: one that was stopped before the backtrack has its fence lifted",
        [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, *FENCED_ONLY], calls={"UndoStartBacktrack": 0, "UndoFenceSource": 1},
        recorded="NothingChanged", **fence,
    )  # fmt: skip
    yield Stopped(
        "in place: one that lets clients in is left alone",
        [*READ, *OVER_BY_NOW[:2], *REFUSED], "InvalidRequest", ["let it end: rewind status undo--in-place", "if it hangs, stop its execution"], runs=True,
        noted=True, fenced=True, in_place=NOTED | LETS_IN, calls=UNCALLED, recorded="Running", lease_stays=True,
    )  # fmt: skip
    yield Stopped(
        "in place: one that was stopped while it let clients in has them in",
        [*READ, *OVER_BY_NOW, *WAITED, *UNDER_LEASE, *LET_IN], noted=True, fenced=True, in_place=NOTED | LETS_IN, calls=LIFTED_ONLY, recorded="Recovered",
    )  # fmt: skip
