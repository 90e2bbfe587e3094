"""The paths of undoing a recovery that is over: what is refused without a call, each step and each native state failing in turn, and
what the table, the lease and the output then say.
"""

import json

from execution import execute, hold_lease, problems_of_calls, problems_of_end
from scenario import PASSING, UNDO, Scenario, always, attempts, passing, slug, up_to

READ = ["Begin", "ReadRecovery", "IsUndoable"]
STEPS = ["FenceRestored", "UndoSwapDns", "UndoFenceSource"]
# Read once more under the lease.
LEASES = ["AcquireLease", "AcquireRestoredLease"]
SUCCESS = [*READ, *LEASES, *READ[1:], *STEPS, "UndoFinish", "RecordUndone", "ReleaseRestoredLease", "ReleaseLease", "Undone"]
REFUSED = ["ConcludeNothingChanged", "IsLeaseTaken", "NothingChanged"]
ONE_RELEASED = ["ConcludeNothingChanged", "IsLeaseTaken", "ReleaseLeaseAfterFailure", "NothingChanged"]
RELEASED = [*ONE_RELEASED[:2], "ReleaseRestoredLeaseAfterFailure", *ONE_RELEASED[2:]]
OVER = ["IsFailedFunctionOver"]
# Where the step was repeated, nobody knows if the first attempt is over.
OVERSTAYED = [*OVER, "WaitForFailedFunction", *OVER]
# Where the records lead decides which cluster is opened.
READ_BACK = ["ReadRecordsBack", "AreRecordsBack"]
MOVED = {"ReadRecords": [{"answer": {"records": "moved", "what": "moved", "swap": None}, "always": True}]}
OPENED = [*OVER, "UndoFenceRestored", "IsTrafficUnmoved"]
NEEDS_OPERATOR = ["ConcludeNeedsOperator", "RecordFailure", "AnnounceFailure", "NeedsOperator"]
DELETED = json.dumps({"cluster": "kept", "snapshot": "kept-final", "begunAt": "2026-11-30T10:41:00Z"})
NO_CALLS = {call: 0 for call in [*STEPS, "UndoFenceRestored"]}

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
    hold_lease(deployment, scenario, f"{lease}-rewind" if scenario.held == "restored" else lease)
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
        *([f"the lease of the restored cluster is {of_restored}"] if bool(of_restored) != stays else []),
    ]


def problems_of_table(scenario, recovery, ended, before, after, lease):
    """Compares the table and what the execution answered."""
    if bool(lease) != scenario.lease_stays:
        yield f"the lease {'stayed' if lease else 'is gone'}"
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
        for said in [standing, f"lease#{old} is kept until", f"and so is lease#{old}-rewind", "then undo it again"]:
            if said not in (ended.get("cause") or ""):
                yield f"the cause lacks {said!r}: {ended.get('cause')}"
    if scenario.end == "Undone" and ended["status"] == "SUCCEEDED":
        answer = json.loads(ended["output"])
        marked = "UndoFinish" not in scenario.script
        tags = f"the tags aurora-rewind:fenced-by and aurora-rewind:keep-until of {old} could not be taken off: RewindFailed"
        is_read_back = "ReadRecordsBack" in scenario.path
        undone = ["all as planned" if is_read_back else "undid SwapDns", "undid FenceSource", "undid Finish" if marked else tags]
        expected = {
            "outcome": "Undone", "recoveryId": recovery, "undoId": f"{recovery}-undo", "by": scenario.request["by"],
            "cluster": old, "newCluster": f"{old}-rewind",
        }  # fmt: skip
        if scenario.recorded:
            expected["dns"] = [
                {"name": f"{old}.example.com", "from": f"{old}-rewind.rds", "to": f"{old}.rds", "ttl": 5}
            ]
            expected["undone"] = undone
            marks = {*STEPS, "RecordUndone"} | ({"UndoFinish"} if marked else set())
            marks = marks - {"UndoSwapDns"} | {"ReadRecordsBack"} if is_read_back else marks
        else:
            expected["undone"] = [*undone, f"not recorded in the table: {scenario.mocked['RecordUndone']}"]
            marks = {*STEPS, "UndoFinish"}
        timings = answer.pop("timings", {})
        if answer != expected or set(timings) != marks:
            yield f"the output was {answer} with the timings {timings}, expected {expected} with {marks}"


def scenario(name, path, *rest, item=None, given=None, by="ana", **more):
    request = {"item": item or {}, "given": given, "by": by}
    return Scenario(f"undo: {name}", path, *rest, request=request, machine=UNDO, **more)


def scenarios():
    return [*ways(), *refused(), *failing(), *native()]


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
    yield scenario(
        "one that was half undone is undone whole, and its error goes",
        SUCCESS,
        item={"state": "NeedsOperator", "error": "Unavailable", "cause": "half-way", "undo": "{}"},
        calls=once,
    )


    yield scenario(
        "one that called a person with its records moved, by what it recorded, and over its own lease",
        SUCCESS,
        item={"state": "NeedsOperator", "error": "RecordChanged", "cause": "elsewhere", "outcome": None, "moved": True},
        held="own",
        calls=once,
    )


def refused():
    """Nothing is called, the table is as it was, and the sentence says so."""
    invalid = {"error": "InvalidRequest", "calls": NO_CALLS}
    for name, item, said in [
        ("a recovery that nobody knows", {"gone": True}, "is no recovery that moved traffic: it is unknown; nothing was changed"),
        ("one that is undone already", {"state": "Undone"}, "is undone already; nothing was changed"),
        ("one that runs", {"state": "Running", "outcome": None}, "is not over; nothing was changed"),
        ("one that waits for people", {"state": "AwaitingApproval", "outcome": None}, "reject it when it asks"),
        ("one that changed nothing", {"state": "NothingChanged", "outcome": None}, "it is NothingChanged; nothing was changed"),
        ("one in place", {"strategy": "backtrack"}, "in place, and going forward again would throw away"),
        ("one without records", {"dns": []}, "moved no traffic"),
        ("one of a version that signed no plans", {"signed": False}, "and no step of this one follows its plan; nothing was changed"),
        ("one whose source is deleted", {"cleanUp": DELETED}, "is being deleted; nothing was changed; next step: its data is in the snapshot kept-final"),
        ("one whose safety clone is deleted", {"strategy": "backtrack", "cleanUp": DELETED}, "--snapshot-identifier kept-final"),
    ]:  # fmt: skip
        yield scenario(f"{name} is refused", [*READ, *REFUSED], cause=[said], item=item, **invalid)
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
        up_to("AcquireRestoredLease", SUCCESS) + ONE_RELEASED,
        "LeaseHeld",
        ["another execution holds lease#cluster-of-undo--the-lease-of-the-restored-cluster-is-held-rewind, the restored cluster"],
        held="restored",
        calls=NO_CALLS,
    )
    yield scenario(
        "the lease is held",
        up_to("AcquireLease", SUCCESS) + REFUSED,
        "LeaseHeld",
        ["another execution holds lease#cluster-of-undo--the-lease-is-held; nothing was changed"],
        held=True,
        lease_stays=True,
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
                path + opened + RELEASED,
                "RewindFailed",
                [*said, "undone: undid FenceRestored"],
                script=script,
                calls=later | {"UndoFenceRestored": 1},
            )
        else:
            yield scenario(
                f"{state} fails: a person is called",
                path + ([] if last else opened) + NEEDS_OPERATOR,
                "RewindFailed",
                said,
                script=script,
                calls=later | {"UndoFenceRestored": 0 if last else 1},
                lease_stays=True,
            )
        yield scenario(
            f"a bug in {state}: nothing is opened by guessing",
            path + NEEDS_OPERATOR,
            "Bug",
            [f"it is so [Bug in {state}]"],
            script={state: always("Bug")},
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
        moved + RELEASED,
        "RecordChanged",
        ["undone: undid FenceRestored"],
        script=MOVED | {"UndoSwapDns": always("RecordChanged")},
        calls={"UndoSwapDns": 1, "UndoFenceSource": 0},
    )
    yield scenario(
        "records had changed when moving back was repeated: they may have moved before",
        up_to("UndoSwapDns", SUCCESS) + OVERSTAYED + READ_BACK + OPENED[1:] + NEEDS_OPERATOR,
        "RecordChanged",
        script=MOVED | {"UndoSwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *always("RecordChanged")]},
        calls={"UndoSwapDns": 2, "UndoFenceSource": 0, "UndoFenceRestored": 1},
        lease_stays=True,
    )
    yield scenario(
        "moving back was not answered, and the records are at the source: it is undone",
        up_to("UndoSwapDns", SUCCESS) + OVERSTAYED + READ_BACK + SUCCESS[SUCCESS.index("UndoFenceSource") :],
        script={"UndoSwapDns": always("OutcomeUnknown")},
        calls={"UndoSwapDns": 2, "ReadRecords": 1, "UndoFenceSource": 1, "UndoFenceRestored": 0},
    )
    yield scenario(
        "moving back was not answered, and the zone cannot be read: the restored cluster is opened",
        up_to("UndoSwapDns", SUCCESS) + OVERSTAYED + READ_BACK + OPENED[1:] + NEEDS_OPERATOR,
        "OutcomeUnknown",
        script={"UndoSwapDns": always("OutcomeUnknown"), "ReadRecords": always("RewindFailed")},
        calls={"UndoFenceSource": 0, "UndoFenceRestored": 1},
        lease_stays=True,
    )


def native():
    """The native states, made to throw."""
    broken = "DynamoDB.AmazonDynamoDBException"
    for state in ["ReadRecovery", "AcquireLease"]:
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
    yield scenario("ReleaseRestoredLease throws", SUCCESS, mocked={"ReleaseRestoredLease": broken})
    yield scenario("UndoFinish fails: the tags mean nothing any more", SUCCESS, script={"UndoFinish": always("RewindFailed")})
    yield scenario("RecordUndone throws", SUCCESS, mocked={"RecordUndone": broken}, recorded=False)
    yield scenario("ReleaseLease throws", SUCCESS, mocked={"ReleaseLease": broken}, lease_stays=True)
    yield scenario(
        "ReleaseLeaseAfterFailure throws",
        up_to("FenceRestored", SUCCESS) + OPENED + RELEASED,
        "RewindFailed",
        script={"FenceRestored": always("RewindFailed")},
        mocked={"ReleaseLeaseAfterFailure": broken},
        lease_stays=True,
    )
    yield scenario(
        "ReleaseRestoredLeaseAfterFailure throws",
        up_to("FenceRestored", SUCCESS) + OPENED + RELEASED,
        "RewindFailed",
        script={"FenceRestored": always("RewindFailed")},
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
