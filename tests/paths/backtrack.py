"""The paths of a recovery by backtrack, in place: with and without approval, each step failing, not ready and killed in turn, the way
forward again, and each undo failing in turn, with what a person is told of how things stand.
"""

from scenario import (
    WITHOUT_TIMEOUTS, NEEDS_OPERATOR, NOTHING_CHANGED, PASSING, REFUSED, REQUEST, Scenario, always, attempts,
    passing, unmet,
)  # fmt: skip
from stages import APPROVE, ASK, CONFIRM, DONE, FENCE, OVER, OVERSTAYED, PUT_BACK, RELEASED, START, UNDO_FENCE, UNDO_INSTANCES, stage, steps

IN_PLACE = REQUEST | {"strategy": "backtrack", "dns": []}
ASKED_IN_PLACE = IN_PLACE | {"approval": "required"}

AWAIT_REWIND = stage("restore", without=["StartRestore"])
SAFETY_CLONE = ["CloneSource", *AWAIT_REWIND, *stage("instances")]
BACK = ["NoteBacktrack", "InspectFence", "StartBacktrack", "IsBacktrackStarted", *AWAIT_REWIND, *stage("verify"), "NoteLift", "LiftFence"]
SUCCESS = START + ["IsApprovalNeeded"] + FENCE + SAFETY_CLONE + BACK + DONE
APPROVED = START + APPROVE + FENCE + SAFETY_CLONE + BACK + DONE

UNDO_CLONE = UNDO_FENCE + UNDO_INSTANCES
FORWARD = ["UndoStartBacktrack", "IsForwardNeeded", "AwaitForward", "IsForwardDone", "VerifyForward", "IsForwardVerified"]
UNDO_ALL = FORWARD + UNDO_CLONE
NOT_BEGUN = ["UndoStartBacktrack", "IsForwardNeeded", "VerifyForward", "IsForwardVerified"]
NONE = [{"answer": {"changed": False, "what": []}}]

# What is undone after a failure of each call, before the end.
UNDONE_AFTER = {
    "FenceSource": OVER + UNDO_CLONE,
    "CloneSource": OVER + UNDO_CLONE,
    "AwaitSafetyClone": PUT_BACK + UNDO_CLONE,
    **dict.fromkeys(steps("instances"), PUT_BACK + UNDO_CLONE),
    "AddInstances": OVER + PUT_BACK + UNDO_CLONE,
    "InspectFence": UNDO_CLONE,
    "StartBacktrack": OVER + UNDO_ALL,
    "AwaitRewind": PUT_BACK + UNDO_ALL,
    **dict.fromkeys(steps("verify"), PUT_BACK + UNDO_ALL),
}
# LiftFence undoes nothing when it fails: it has scenarios of its own.
assert set(UNDONE_AFTER) >= set(steps("fence", "backtrack", "instances", "verify")) - {"LiftFence"}, "a step never fails"

# How things stand after a failure of each call, or else of the undo, when a person has to look.
CLUSTER, NEW = "my-aurora-cluster", "my-aurora-cluster-rewind-20261123-103000"
LIFT = f"aws rds modify-db-cluster --db-cluster-identifier {CLUSTER} --vpc-security-group-ids sg-one sg-two"
AS_IT_WAS = [f"now: {CLUSTER} holds what it held before, and may be fenced", f"the safety clone {NEW} may exist", LIFT]
KEPT = f"the safety clone {NEW} is kept"
LET_IN = "to let clients in, with the data as it is now: rewind undo in-place"
SETTLE = "takes nothing back: it tags the safety clone, and releases the lease"
UNKNOWN = [f"now: whether {CLUSTER} is as it was or rewound to 2026-11-23T10:30:00Z is not known", KEPT, LIFT]
STANDING = {
    "FenceSource": AS_IT_WAS,
    "CloneSource": AS_IT_WAS,
    "AwaitSafetyClone": AS_IT_WAS,
    **dict.fromkeys(steps("instances"), AS_IT_WAS),
    "InspectFence": AS_IT_WAS,
    "StartBacktrack": UNKNOWN,
    "AwaitRewind": UNKNOWN,
    **dict.fromkeys(steps("verify"), [f"now: {CLUSTER} is rewound to 2026-11-23T10:30:00.4Z and not verified", KEPT, LIFT]),
    "UndoStartBacktrack": [f"now: {CLUSTER} was rewound to 2026-11-23T10:30:00.4Z, and whether", KEPT, LIFT],
    "AwaitForward": [f"now: {CLUSTER} was rewound to 2026-11-23T10:30:00.4Z, and whether", KEPT, LIFT],
    "VerifyForward": [f"now: {CLUSTER} was backtracked forward to 2026-11-23T10:40:00.2Z", "is not verified", KEPT, LIFT],
    "UndoFenceSource": AS_IT_WAS,
    "UndoAddInstances": [f"now: {CLUSTER} is as it was, and clients reach it", f"{NEW} or part of it may be left"],
}
for same in ["UndoStartRestore", "AwaitDeletion"]:
    STANDING[same] = STANDING["UndoAddInstances"]


def place(call):
    """The state that makes a call: waiting for the safety clone and for the backtrack is one state."""
    return "AwaitRewind" if call == "AwaitSafetyClone" else call


def up_to(call, path=SUCCESS):
    """The path to the state that makes a call."""
    begin = path.index("StartBacktrack") if call == "AwaitRewind" else 0
    return path[: path.index(place(call), begin) + 1]


def scenarios():
    return [*ways(), *noting(), *failing(), *killed(), *failing_undos(), *overdue()]


def ways():
    """With and without approval; the answers that are no yes; the waits."""
    yes = {"decision": "approved", "by": "ana", "hash": "h"}
    yield Scenario("in place: success without approval", SUCCESS, request=IN_PLACE)
    yield Scenario("in place: approved", APPROVED, request=ASKED_IN_PLACE, decide=(1, yes))
    yield Scenario(
        "in place: rejected",
        START + REFUSED + PUT_BACK + NOTHING_CHANGED,
        "NotApproved",
        ["ana rejected it: not on a Friday; nothing was changed; next step", "[NotApproved in RequestApproval]"],
        request=ASKED_IN_PLACE,
        decide=(1, {"decision": "rejected", "by": "ana", "comment": "not on a Friday"}),
    )
    yield Scenario(
        "in place: approved when it was too late",
        START + ASK + CONFIRM[:2] + PUT_BACK + NOTHING_CHANGED,
        "NotApproved",
        ["the writer is another now [NotApproved in ConfirmApproval]"],
        request=ASKED_IN_PLACE,
        decide=(1, yes),
        script={"ConfirmApproval": always("NotApproved", "the writer is another now")},
    )
    yield Scenario(
        "in place: a bug in ConfirmApproval changed nothing and keeps no lease",
        START + ASK + CONFIRM[:2] + ["IsAnythingChanged", "ConcludeNeedsOperator", *RELEASED, "NeedsOperator"],
        "Bug",
        ["nothing was undone", "nothing was changed"],
        request=ASKED_IN_PLACE,
        decide=(1, yes),
        script={"ConfirmApproval": always("Bug")},
    )
    yield Scenario(
        "in place: approval timed out",
        START + ASK + ["IsApprovalExpired"] + PUT_BACK + NOTHING_CHANGED,
        "NotApproved",
        ["nobody answered within 5 seconds", "nothing was changed"],
        request=ASKED_IN_PLACE | {"approvalTimeoutSeconds": 5},
    )
    yield Scenario(
        "in place: whoever answers sends a failure",
        START + ASK + PUT_BACK + NOTHING_CHANGED,
        "Unavailable",
        ["[DynamoDB.AmazonDynamoDBException in RequestApproval]"],
        request=ASKED_IN_PLACE,
        mocked={"RequestApproval": "DynamoDB.AmazonDynamoDBException"},
    )
    yield Scenario(
        "in place: a bug in RequestApproval changed nothing and keeps no lease",
        START + ASK + ["IsAnythingChanged", "ConcludeNeedsOperator", *RELEASED, "NeedsOperator"],
        "Bug",
        ["nothing was undone", "nothing was changed"],
        request=ASKED_IN_PLACE,
        mocked={"RequestApproval": "Bug"},
    )
    yield Scenario(
        "in place: waiting takes several calls",
        START
        + ["IsApprovalNeeded"]
        + FENCE
        + SAFETY_CLONE[:3]
        + ["AwaitRewind", "IsRewindDone"]
        + SAFETY_CLONE[3:]
        + BACK[:6]
        + ["AwaitRewind", "IsRewindDone"]
        + BACK[6:]
        + DONE,
        request=IN_PLACE,
        script={
            "AwaitSafetyClone": [{"answer": {"done": False, "status": "cloning", "seconds": 50}}],
            "AwaitRewind": [{"answer": {"done": False, "status": "applying", "seconds": 50}}],
        },
        calls={"AwaitSafetyClone": 2, "AwaitRewind": 2},
    )
    yield Scenario(
        "in place: the way forward takes several calls",
        up_to("IsVerified") + PUT_BACK + FORWARD[:4] + FORWARD[2:] + UNDO_CLONE + NOTHING_CHANGED,
        "VerificationFailed",
        [
            'check "rows are back" in shop failed [VerificationFailed in Verify]',
            "undone: undid StartBacktrack; my-aurora-cluster was compared with the safety clone",
            "undid FenceSource",
        ],
        request=IN_PLACE,
        script={
            "Verify": unmet('check "rows are back" in shop failed'),
            "AwaitForward": [{"answer": {"done": False, "status": "applying", "seconds": 50}}],
        },
        calls={"AwaitForward": 2},
    )
    old = {"answer": None}
    yield Scenario(
        "in place: the fence is inspected again where its inspection has grown old",
        START + ["IsApprovalNeeded"] + FENCE + SAFETY_CLONE + BACK[:1] + 2 * BACK[1:4] + BACK[1:] + DONE,
        request=IN_PLACE,
        script={"StartBacktrack": [old, old]},
        calls={"InspectFence": 3, "StartBacktrack": 3},
    )
    yield Scenario(
        "in place: the fence does not hold when it is inspected again",
        up_to("StartBacktrack") + ["IsBacktrackStarted", "InspectFence"] + UNDO_CLONE + NOTHING_CHANGED,
        "RewindFailed",
        ["clients may have written", "undid FenceSource; undid AddInstances; undid StartRestore"],
        request=IN_PLACE,
        script={
            "StartBacktrack": [old],
            "InspectFence": [{}, {"error": ["RewindFailed", "clients may have written"]}],
        },
        calls={"InspectFence": 2, "StartBacktrack": 1, "UndoStartBacktrack": 0},
    )
    yield Scenario(
        "in place: no backtrack was begun, so none is undone",
        up_to("StartBacktrack") + OVERSTAYED + NOT_BEGUN + UNDO_CLONE + NOTHING_CHANGED,
        "OutcomeUnknown",
        [f"undone: {CLUSTER} was compared with the safety clone", "undid FenceSource; undid AddInstances; undid StartRestore"],
        request=IN_PLACE,
        script={
            "StartBacktrack": always("OutcomeUnknown"),
            "UndoStartBacktrack": NONE,
        },
        calls={"StartBacktrack": 2, "AwaitForward": 0, "VerifyForward": 1},
    )
    yield Scenario(
        "in place: no backtrack was begun, and the data is not what is on the safety clone",
        up_to("StartBacktrack") + OVER + NOT_BEGUN + NEEDS_OPERATOR,
        "RewindFailed",
        [f"now: no backtrack of {CLUSTER} was begun, as far as RDS knows", "is not verified", KEPT, LIFT],
        request=IN_PLACE,
        script={
            "StartBacktrack": always("RewindFailed"),
            "UndoStartBacktrack": NONE,
            "VerifyForward": unmet("they differ"),
        },
        calls={"UndoFenceSource": 0, "UndoStartRestore": 0},
        lease_stays=True,
    )
    yield Scenario(
        "in place: RDS has forgotten the backtrack, and the data is rewound",
        up_to("IsVerified") + PUT_BACK + NOT_BEGUN + NEEDS_OPERATOR,
        "VerificationFailed",
        [f"now: {CLUSTER} was rewound to 2026-11-23T10:30:00.4Z, and RDS knows of no backtrack", "is not verified", KEPT, LIFT],
        request=IN_PLACE,
        script={
            "Verify": unmet("it is not there"),
            "UndoStartBacktrack": NONE,
            "VerifyForward": unmet("they differ"),
        },
        calls={"UndoFenceSource": 0, "UndoStartRestore": 0},
        lease_stays=True,
    )
    yield Scenario(
        "in place: the backtrack is waited for before it is undone",
        up_to("AwaitRewind") + PUT_BACK + UNDO_ALL + NOTHING_CHANGED,
        "Unavailable",
        request=IN_PLACE,
        script={
            "AwaitRewind": always("Unavailable"),
            "UndoStartBacktrack": [{"error": ["ClusterNotReady", "it is backtracking"]}] * 3,
        },
        calls={"AwaitRewind": attempts("AwaitRewind", "Unavailable") + 1, "UndoStartBacktrack": 4},
    )
    nowhere = [{"answer": {"done": True, "status": "available", "seconds": 1}}]
    yield Scenario(
        "in place: where the backtrack landed is not answered",
        up_to("AwaitRewind") + ["IsRewindDone"] + NEEDS_OPERATOR,
        "Bug",
        ["where it landed was not answered [Bug in AwaitRewind]", KEPT],
        request=IN_PLACE,
        script={"AwaitRewind": nowhere},
        lease_stays=True,
    )
    yield Scenario(
        "in place: where the backtrack forward landed is not answered",
        up_to("Verify") + PUT_BACK + FORWARD[:4] + NEEDS_OPERATOR,
        "VerificationFailed",
        ["where it landed was not answered [Bug in AwaitForward]", KEPT],
        request=IN_PLACE,
        script={"Verify": always("VerificationFailed"), "AwaitForward": nowhere},
        lease_stays=True,
    )
    yield Scenario(
        "in place: a bug in LiftFence",
        up_to("LiftFence") + NEEDS_OPERATOR,
        "Bug",
        ["[Bug in LiftFence]", "nothing was undone", "only its fence may still be up", KEPT, LET_IN, LIFT],
        request=IN_PLACE,
        script={"UndoFenceSource": always("Bug")},
        lease_stays=True,
    )
    for state, more in [("LiftFence", {"script": {"UndoFenceSource": always("RewindFailed")}}), ("Finish", {})]:
        clients = f"now: {CLUSTER} is rewound to 2026-11-23T10:30:00.4Z and verified"
        said = "only its fence may still be up" if state == "LiftFence" else "and clients reach it: the recovery is done"
        yield Scenario(
            f"in place: {state} fails: nothing is undone",
            up_to(state) + NEEDS_OPERATOR,
            "RewindFailed",
            [f"[RewindFailed in {state}]; nothing was undone; {clients}", said, KEPT, *([LET_IN, LIFT] if state == "LiftFence" else [SETTLE])],
            request=IN_PLACE,
            lease_stays=True,
            **more or {"script": {"Finish": always("RewindFailed")}},
        )


def noting():
    """The notes without which no backtrack may begin and nobody may let clients in, made to throw."""
    broken, cancelled = "DynamoDB.AmazonDynamoDBException", "DynamoDB.ConditionalCheckFailedException"
    for error, of, said in [(broken, "Unavailable", f"told to [{broken} in NoteBacktrack]"), (cancelled, "NotApproved", "it was cancelled")]:
        yield Scenario(
            f"in place: NoteBacktrack throws {error}: nothing is backtracked",
            up_to("NoteBacktrack") + UNDO_CLONE + NOTHING_CHANGED,
            of,
            [said, "undid FenceSource; undid AddInstances; undid StartRestore"],
            request=IN_PLACE,
            mocked={"NoteBacktrack": error},
            calls={"StartBacktrack": 0, "UndoStartBacktrack": 0},
        )
    yield Scenario(
        "in place: NoteLift throws: nobody is let in without the note",
        up_to("NoteLift") + NEEDS_OPERATOR,
        "Unavailable",
        [f"told to [{broken} in NoteLift]; nothing was undone", "only its fence may still be up", "to have it as it was: rewind undo in-place", KEPT, LIFT],
        request=IN_PLACE,
        mocked={"NoteLift": broken},
        calls={"UndoFenceSource": 0},
        lease_stays=True,
    )
    yield Scenario(
        "in place: it was cancelled before clients were let in, and goes forward again",
        up_to("NoteLift") + PUT_BACK + UNDO_ALL + NOTHING_CHANGED,
        "NotApproved",
        ["it was cancelled", "no client was let in", "undid StartBacktrack"],
        request=IN_PLACE,
        mocked={"NoteLift": cancelled},
    )


def failing():
    """Each step fails, is not ready for a while, and breaks."""
    for call, undone in UNDONE_AFTER.items():
        yield Scenario(
            f"in place: {call} fails",
            up_to(call) + undone + NOTHING_CHANGED,
            "RewindFailed",
            [f"it is so [RewindFailed in {place(call)}]", "undid FenceSource; undid AddInstances; undid StartRestore"],
            request=IN_PLACE,
            script={call: always("RewindFailed")},
            calls={call: 1},
        )
        yield Scenario(
            f"in place: {call} is throttled, then not ready, then of unknown outcome, then works",
            SUCCESS,
            request=IN_PLACE,
            script={call: passing()},
            calls={call: len(PASSING) + 1},
        )
        yield Scenario(
            f"in place: a bug in {call}",
            up_to(call) + NEEDS_OPERATOR,
            "Bug",
            [f"it is so [Bug in {place(call)}]", "nothing was undone", *STANDING[call], "is kept until"],
            request=IN_PLACE,
            script={call: always("Bug")},
            calls={call: 1},
            lease_stays=True,
        )


def killed():
    """Each call is killed, and killed again when it is repeated."""
    for call, undone in UNDONE_AFTER.items():
        # Nobody knows if the first attempt is over.
        undone = OVERSTAYED + undone[len(OVER) :] if undone[: len(OVER)] == OVER else undone
        for how in ["Lambda.Unknown", "States.Timeout"]:
            yield Scenario(
                f"in place: {call} is killed by {how}",
                up_to(call) + undone + NOTHING_CHANGED,
                "Unavailable",
                [f"[{how} in {place(call)}]"],
                request=IN_PLACE,
                script={call: always(how)},
                calls={call: 2},
            )
    for call in ["UndoFenceSource", "Finish"]:
        state = "LiftFence" if call == "UndoFenceSource" else call
        yield Scenario(
            f"in place: {state} is killed",
            up_to(state) + NEEDS_OPERATOR,
            "Unavailable",
            ["is rewound to 2026-11-23T10:30:00.4Z and verified", KEPT],
            request=IN_PLACE,
            script={call: always("Lambda.Unknown")},
            calls={call: 2},
            lease_stays=True,
        )


def failing_undos():
    """The data is not what the checks expect, and each undo fails, or is killed, in turn."""
    whole = up_to("Verify") + PUT_BACK + UNDO_ALL
    # One that is tolerated ends as if it had worked: a parameter group that is left over.
    tolerated = ["UndoHoldJobs", "EndFenceWatchAfterUndo"]
    for undo in [step for step in UNDO_ALL if not step.startswith("Is") and step not in tolerated]:
        for error, times in [("RewindFailed", 1), ("Lambda.Unknown", 2)]:
            yield Scenario(
                f"in place: {undo} fails with {error}",
                up_to(undo, whole) + NEEDS_OPERATOR,
                "VerificationFailed",
                [
                    "not there [VerificationFailed in Verify]",
                    f"then undoing failed: no luck [{error} in {undo}]",
                    *STANDING[undo],
                    "is kept until",
                ],
                request=IN_PLACE,
                script={"Verify": always("VerificationFailed", "not there"), undo: always(error, "no luck")},
                calls={undo: times},
                lease_stays=True,
            )
    yield Scenario(
        "in place: the way forward is not what it was",
        up_to("IsForwardVerified", whole) + NEEDS_OPERATOR,
        "VerificationFailed",
        ["then undoing failed: 3 rows, 5 on the safety clone [VerificationFailed in VerifyForward]", "it is still fenced"],
        request=IN_PLACE,
        script={
            "Verify": always("VerificationFailed"),
            "VerifyForward": unmet("3 rows, 5 on the safety clone"),
        },
        calls={"UndoFenceSource": 0},
        lease_stays=True,
    )
    yield Scenario(
        "in place: neither the backtrack nor its undo tell how they ended",
        up_to("StartBacktrack") + OVERSTAYED + ["UndoStartBacktrack"] + NEEDS_OPERATOR,
        "OutcomeUnknown",
        ["then undoing failed: it is so [OutcomeUnknown in UndoStartBacktrack]", *UNKNOWN],
        request=IN_PLACE,
        script={call: always("OutcomeUnknown") for call in ["StartBacktrack", "UndoStartBacktrack"]},
        calls={"StartBacktrack": 2, "UndoStartBacktrack": attempts("UndoStartBacktrack", "OutcomeUnknown") + 1},
        lease_stays=True,
    )
    for call in ["FenceSource", "CloneSource", "AddInstances"]:
        yield Scenario(
            f"in place: {call} fails and the fence stays",
            up_to(call) + [step for step in UNDONE_AFTER[call] if step in PUT_BACK + OVER] + ["UndoFenceSource"] + NEEDS_OPERATOR,
            "RewindFailed",
            ["then undoing failed: no luck [Unavailable in UndoFenceSource]", *AS_IT_WAS],
            request=IN_PLACE,
            script={call: always("RewindFailed"), "UndoFenceSource": always("Unavailable", "no luck")},
            lease_stays=True,
        )


def overdue():
    """The same machine with timeouts that are over at once."""

    def not_done(status):
        return [{"answer": {"done": False, "status": status, "seconds": 50}, "always": True}]

    yield Scenario(
        "in place: the safety clone is overdue",
        up_to("AwaitSafetyClone") + ["IsRewindDone"] + PUT_BACK + UNDO_CLONE + NOTHING_CHANGED,
        "RewindFailed",
        [f"the safety clone {NEW} was not there 12 hours after it was asked for: its status is cloning"],
        request=IN_PLACE,
        script={"AwaitSafetyClone": not_done("cloning")},
        machine=WITHOUT_TIMEOUTS,
    )
    yield Scenario(
        "in place: the backtrack is overdue",
        up_to("AwaitRewind") + ["IsRewindDone"] + PUT_BACK + UNDO_ALL + NOTHING_CHANGED,
        "RewindFailed",
        [f"the backtrack of {CLUSTER} was not done 2 hours after it began: its status is applying"],
        request=IN_PLACE,
        script={"AwaitRewind": not_done("applying")},
        machine=WITHOUT_TIMEOUTS,
    )
    yield Scenario(
        "in place: RDS takes no backtrack for too long",
        up_to("StartBacktrack") + ["IsBacktrackStarted"] + UNDO_CLONE + NOTHING_CHANGED,
        "ClusterNotReady",
        [f"RDS took no backtrack of {CLUSTER} for 20 minutes; no backtrack was started"],
        request=IN_PLACE,
        script={"StartBacktrack": [{"answer": None, "always": True}]},
        calls={"UndoStartBacktrack": 0},
        machine=WITHOUT_TIMEOUTS,
    )
    yield Scenario(
        "in place: the way forward is overdue",
        up_to("Verify") + PUT_BACK + FORWARD[:4] + NEEDS_OPERATOR,
        "VerificationFailed",
        ["forward to where it was is not done 2 hours after it began: its status is applying", KEPT, LIFT],
        request=IN_PLACE,
        script={"Verify": always("VerificationFailed"), "AwaitForward": not_done("applying")},
        machine=WITHOUT_TIMEOUTS,
        lease_stays=True,
    )
