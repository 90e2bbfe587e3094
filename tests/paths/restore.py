"""The paths of a recovery by restore: with and without approval and records, and each step, each undo and each
native state failing in turn.
"""

from scenario import (
    APPROVED, BUG_BEFORE_CHANGE, WITHOUT_TIMEOUTS, IN_SYNC, NEEDS_OPERATOR, NOTHING_CHANGED, NOT_READY,
    PASSING, REFUSED, REQUEST, SUCCESS, SWITCH, WITH_APPROVAL, Scenario, always, passing, up_to,
)  # fmt: skip
from stages import (
    APPROVE, ASK, CONFIRM, DONE, PUT_BACK, REWIND, START, UNDO_FENCE, UNDO_INSTANCES, UNDO_RESTORE,
    UNDO_SWITCH, steps,
)  # fmt: skip

# What is undone after a failure of each step, before the end.
UNDONE_AFTER = {
    "ValidateWindow": [],
    "StartRestore": UNDO_RESTORE,
    "AwaitRewind": PUT_BACK + UNDO_INSTANCES,
    **dict.fromkeys(steps("scheduler", "instances", "jobs", "verify"), PUT_BACK + UNDO_INSTANCES),
    "FenceSource": UNDO_FENCE + UNDO_INSTANCES,
    "SwapDns": UNDO_SWITCH + UNDO_INSTANCES,
    "AwaitInSync": UNDO_SWITCH,
    "ConfirmCutover": UNDO_SWITCH,
}
STEPS = steps("plan", "restore", "scheduler", "instances", "jobs", "verify", "fence", "cutover")
assert set(UNDONE_AFTER) == set(STEPS), "a step never fails"
NOT_MOVED = {"UndoSwapDns": [{"answer": {"changed": False, "what": []}, "always": True}]}


def scenarios():
    found = [
        Scenario("success without approval", SUCCESS),
        Scenario(
            "approved", APPROVED, request=WITH_APPROVAL, decide=(1, {"decision": "approved", "by": "ana", "hash": "h"})
        ),
        Scenario(
            "approved in the second slice",
            START + REWIND + ASK + ["IsApprovalExpired"] + APPROVE[2:] + SWITCH,
            request=WITH_APPROVAL,
            decide=(2, {"decision": "approved", "by": "ana"}),
            calls={"RequestApproval": 2},
        ),
        Scenario(
            "rejected",
            START + REWIND + REFUSED + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "NotApproved",
            [
                "ana rejected it: not on a Friday",
                "NotApproved in RequestApproval",
                "undone: undid AddInstances; undid StartRestore",
            ],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "rejected", "by": "ana", "comment": "not on a Friday"}),
        ),
        Scenario(
            "a decision that is none is a no",
            START + REWIND + REFUSED + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "NotApproved",
            ["somebody who left no name rejected it"],
            request=WITH_APPROVAL,
            decide=(1, "yes"),
        ),
        Scenario(
            "approved when it was too late",
            START + REWIND + ASK + CONFIRM[:2] + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "RecordChanged",
            ["db.example.com leads elsewhere by now [RecordChanged in ConfirmApproval]", "undone: undid AddInstances"],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            script={"ConfirmApproval": always("RecordChanged", "db.example.com leads elsewhere by now")},
        ),
        Scenario(
            "approved by another hash, then by the right one",
            START + REWIND + ASK + CONFIRM + ["IsApprovalExpired"] + APPROVE[2:] + SWITCH,
            request=WITH_APPROVAL,
            decide=[
                (1, {"decision": "approved", "by": "ana", "hash": "of another report"}),
                (2, {"decision": "approved", "by": "ana", "hash": "h"}),
            ],
            script={"ConfirmApproval": [{"answer": {"verdict": "wrongHash", "why": "it is another hash"}}]},
            calls={"RequestApproval": 2, "ConfirmApproval": 2},
        ),
        Scenario(
            "approved by another hash again and again",
            START
            + REWIND
            + ASK
            + (CONFIRM + ["IsApprovalExpired", "RequestApproval"]) * 19
            + CONFIRM
            + PUT_BACK
            + UNDO_INSTANCES
            + NOTHING_CHANGED,
            "NotApproved",
            ["twenty answers were not for what was shown, the last because it is another hash", "no traffic was moved"],
            request=WITH_APPROVAL,
            decide=[(n, {"decision": "approved", "hash": "of another report"}) for n in range(1, 21)],
            script={
                "ConfirmApproval": [{"answer": {"verdict": "wrongHash", "why": "it is another hash"}, "always": True}]
            },
            calls={"RequestApproval": 20, "ConfirmApproval": 20},
        ),
        Scenario(
            "approval timed out",
            up_to("RequestApproval", APPROVED) + ["IsApprovalExpired"] + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "NotApproved",
            ["nobody answered within 5 seconds"],
            request=WITH_APPROVAL | {"approvalTimeoutSeconds": 5},
        ),
        Scenario(
            "dry run",
            ["Begin", "IsLeaseNeeded", "ValidateWindow", "AnnouncePlan", "IsDryRun", "Planned"],
            request=REQUEST | {"dryRun": True},
            recorded=False,
        ),
        Scenario(
            "lease held",
            up_to("AcquireLease")
            + [
                "ReadLease",
                "ConcludeNothingChanged",
                "RecordFailure",
                "AnnounceFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ],
            "LeaseHeld",
            ["recovery the-other-one holds lease#", "2026-11-23T09:00:00Z", "arn:of:the-other-one", "delete the item"],
            held=True,
            lease_stays=True,
        ),
        Scenario("an expired lease is taken over", SUCCESS, held="expired"),
        Scenario(
            "the request has no cluster",
            [
                "Begin",
                "IsLeaseNeeded",
                "ValidateWindow",
                "ConcludeNothingChanged",
                "RecordFailure",
                "AnnounceFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ],
            "InvalidRequest",
            ["`cluster` is missing"],
            script={"ValidateWindow": always("InvalidRequest", "`cluster` is missing")},
            request={"to": "5m ago"},
        ),
        Scenario(
            "the request is no object",
            [
                "Begin",
                "IsLeaseNeeded",
                "ValidateWindow",
                "ConcludeNothingChanged",
                "RecordFailure",
                "AnnounceFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ],
            "InvalidRequest",
            ["it is a JSON object"],
            script={"ValidateWindow": always("InvalidRequest", "it is a JSON object")},
            request=[1],
        ),
        Scenario(
            "invalid request",
            up_to("ValidateWindow") + NOTHING_CHANGED,
            "InvalidRequest",
            ['`to` is wrong; say "5m ago" [InvalidRequest in ValidateWindow]'],
            script={"ValidateWindow": always("InvalidRequest", '`to` is wrong; say "5m ago"')},
        ),
        Scenario(
            "waiting takes several calls",
            START
            + REWIND[:3]
            + ["AwaitRewind", "IsRewindDone"]
            + REWIND[3:]
            + ["IsApprovalNeeded"]
            + SWITCH,
            script={"AwaitRewind": [{"answer": {"done": False, "status": "creating", "seconds": 50}}]},
            calls={"AwaitRewind": 2},
        ),
        Scenario(
            "waiting for Route 53 takes several calls",
            up_to("IsInSync") + IN_SYNC * 2 + SUCCESS[SUCCESS.index("ConfirmCutover") :],
            script={"AwaitInSync": [{"answer": {"done": False, "status": "pending", "seconds": 50}}] * 2},
            calls={"AwaitInSync": 3, "ConfirmCutover": 1},
        ),
        Scenario(
            "the id of the change was lost: the cutover is confirmed without a time of INSYNC",
            SUCCESS,
            script={
                "SwapDns": [
                    {"answer": {"changeId": None, "hostedZoneId": "Z1", "swappedAt": "2026-11-23T10:40:01Z", "records": []}}
                ]
            },
        ),
        Scenario(
            "the cutover is confirmed after the old TTL",
            up_to("IsCutoverConfirmed") + ["WaitForOldTtl"] + SUCCESS[SUCCESS.index("ConfirmCutover") :],
            script={
                "ConfirmCutover": [
                    {
                        "answer": {
                            "confirmed": False,
                            "inSyncAt": "2026-11-23T10:40:02Z",
                            "waitSeconds": 4.2,
                            "records": [],
                        }
                    }
                ]
            },
            calls={"ConfirmCutover": 2},
        ),
        Scenario(
            "a record had changed: nothing moved, the restored cluster goes",
            up_to("SwapDns") + ["IsTrafficPossiblyMoved", *UNDO_FENCE, *UNDO_INSTANCES, *NOTHING_CHANGED],
            "RecordChanged",
            ["undone: undid FenceSource; undid AddInstances; undid StartRestore"],
            script={"SwapDns": always("RecordChanged")} | {"UndoSwapDns": always("Bug")},
        ),
        Scenario(
            "traffic had moved: it goes back and the restored cluster is kept",
            up_to("ConfirmCutover") + UNDO_SWITCH + NOTHING_CHANGED,
            "VerificationFailed",
            ["is KEPT and fenced", "undone: undid SwapDns; undid FenceSource"],
            script={"ConfirmCutover": always("VerificationFailed")},
        ),
        Scenario(
            "the switch failed but traffic had moved: it goes back and the restored cluster is kept",
            up_to("SwapDns") + UNDO_SWITCH + NOTHING_CHANGED,
            "OutcomeUnknown",
            ["is KEPT and fenced"],
            script={"SwapDns": always("OutcomeUnknown")},
        ),
        Scenario(
            "moving back had to be repeated: the restored cluster is kept",
            up_to("SwapDns") + UNDO_SWITCH + NOTHING_CHANGED,
            "OutcomeUnknown",
            ["is KEPT and fenced"],
            script={
                "SwapDns": always("OutcomeUnknown"),
                "UndoSwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *NOT_MOVED["UndoSwapDns"]],
            },
            calls={"UndoSwapDns": 2},
        ),
        Scenario(
            "a record had changed when the switch was repeated: it may have moved something before",
            up_to("SwapDns") + UNDO_SWITCH + UNDO_INSTANCES + NOTHING_CHANGED,
            "RecordChanged",
            script={"SwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *always("RecordChanged")]} | NOT_MOVED,
            calls={"SwapDns": 2},
        ),
        Scenario(
            "no records: nobody is asked and nothing is fenced",
            START + REWIND + DONE,
            request=WITH_APPROVAL | {"dns": []},
        ),
        Scenario(
            "finish fails without records",
            START + REWIND + ["EndFenceWatch", "Finish"] + NEEDS_OPERATOR,
            "Bug",
            ["which keeps its traffic"],
            script={"Finish": always("Bug")},
            request=REQUEST | {"dns": []},
            lease_stays=True,
        ),
        Scenario(
            "a read that fails nine times fails",
            up_to("ConfirmCutover") + UNDO_SWITCH + NOTHING_CHANGED,
            "Unavailable",
            script={"ConfirmCutover": always("Unavailable")} | NOT_MOVED,
            calls={"ConfirmCutover": 9},
        ),
        *(
            Scenario(
                f"the release of jobs fails with {error}: clients are there, and the recovery is done",
                SUCCESS,
                script={"ReleaseJobs": always(error)},
                calls={"ReleaseJobs": times},
            )
            for error, times in [("RewindFailed", 1), ("Bug", 1), ("Lambda.Unknown", 2)]
        ),
        Scenario(
            "a parameter group that cannot be deleted is left over",
            up_to("Verify") + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "VerificationFailed",
            script={"Verify": always("VerificationFailed"), "UndoHoldJobs": always("RewindFailed")},
            calls={"UndoHoldJobs": 1},
        ),
        Scenario(
            "finish fails: nothing is undone",
            up_to("Finish") + NEEDS_OPERATOR,
            "Unavailable",
            ["traffic is on the restored cluster", "nothing was undone"],
            script={"Finish": always("Unavailable")},
            lease_stays=True,
        ),
    ]
    for state, undone in UNDONE_AFTER.items():
        found.append(
            Scenario(
                f"{state} fails",
                up_to(state) + undone + NOTHING_CHANGED,
                "RewindFailed",
                [f"it is so [RewindFailed in {state}]"],
                script={state: always("RewindFailed")} | NOT_MOVED,
                calls={state: 1},
            )
        )
        found.append(
            Scenario(
                f"{state} is throttled, then not ready, then of unknown outcome, then works",
                SUCCESS,
                script={state: passing()},
                calls={state: len(PASSING) + 1},
            )
        )
    for state in [*UNDONE_AFTER, "Finish"]:
        before = state == "ValidateWindow"
        found.append(
            Scenario(
                f"a bug in {state}",
                up_to(state) + (BUG_BEFORE_CHANGE if before else NEEDS_OPERATOR),
                "Bug",
                [
                    f"it is so [Bug in {state}]",
                    "nothing was undone",
                    "nothing was changed" if before else "the lease"[4:],
                ],
                script={state: always("Bug")},
                calls={state: 1},
                lease_stays=not before,
            )
        )
    found.append(
        Scenario(
            "an outcome unknown twice is undone",
            up_to("StartRestore") + UNDO_RESTORE + NOTHING_CHANGED,
            "OutcomeUnknown",
            script={"StartRestore": always("OutcomeUnknown")},
            calls={"StartRestore": 2},
        )
    )
    # A failed switch that moved nothing passes every undo: each is made to fail in turn.
    whole = up_to("SwapDns") + UNDO_SWITCH + UNDO_INSTANCES
    for undo in [
        "FenceRestored",
        "UndoSwapDns",
        "UndoFenceSource",
        "UndoAddInstances",
        "UndoStartRestore",
        "AwaitDeletion",
    ]:
        found.append(
            Scenario(
                f"{undo} fails",
                up_to(undo, whole) + NEEDS_OPERATOR,
                "RewindFailed",
                [
                    "not there [RewindFailed in SwapDns]",
                    f"then undoing failed: no luck [RecordChanged in {undo}]",
                    "is kept until",
                ],
                script=NOT_MOVED
                | {
                    "SwapDns": always("RewindFailed", "not there"),
                    undo: always("RecordChanged", "no luck"),
                },
                lease_stays=True,
            )
        )
    # The native states, made to throw.
    broken = "DynamoDB.AmazonDynamoDBException"
    for state, tail, extra in [
        ("AcquireLease", NOTHING_CHANGED, {}),
        ("RecordPlan", NOTHING_CHANGED, {}),
        ("ExtendLease", NOTHING_CHANGED, {}),
        ("ReadLease", None, {"held": True, "lease_stays": True}),
        ("RecordDecision", None, {"request": WITH_APPROVAL, "decide": (1, {"decision": "approved"})}),
        ("RecordRecovered", None, {"recorded": "Running"}),
        ("ReleaseLease", None, {"lease_stays": True}),
    ]:
        if state == "ReadLease":
            path = up_to("AcquireLease") + [
                state,
                "ConcludeNothingChanged",
                "RecordFailure",
                "AnnounceFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ]
            error = "LeaseHeld"
        elif tail is None:
            path, error = (APPROVED if state == "RecordDecision" else SUCCESS), None
        else:
            path, error = up_to(state) + tail, "Unavailable"
        found.append(Scenario(f"{state} throws", path, error, mocked={state: broken}, **extra))
    for state in ["AcquireLease", "RecordPlan", "ExtendLease"]:
        found.append(
            Scenario(
                f"an expression of {state} fails",
                up_to(state) + BUG_BEFORE_CHANGE,
                "Bug",
                [f"[States.QueryEvaluationError in {state}]", "nothing was undone", "nothing was changed"],
                mocked={state: "States.QueryEvaluationError"},
            )
        )
    found.append(
        Scenario(
            "the lease was taken away meanwhile",
            up_to("ExtendLease")
            + ["ConcludeNothingChanged", "RecordFailure", "AnnounceFailure", "IsLeaseKept", "IsOperatorNeeded", "NothingChanged"],
            "LeaseHeld",
            ["was taken away while the plan was made"],
            mocked={"ExtendLease": "DynamoDB.ConditionalCheckFailedException"},
            lease_stays=True,
        )
    )
    found.append(
        Scenario(
            "a failure that cannot be recorded ends as it would have",
            up_to("Verify") + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "VerificationFailed",
            script={"Verify": always("VerificationFailed")},
            mocked={"RecordFailure": broken},
            recorded="Running",
        )
    )
    found.append(
        Scenario(
            "a function that does not become ready within ten minutes is given up",
            up_to("Verify") + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "Unavailable",
            [f"wait [{NOT_READY[0]} in Verify]"],
            script={"Verify": always(NOT_READY[0], "wait")},
            calls={"Verify": len(NOT_READY) + 1},
        )
    )
    # What a function says arrives whole, and what only looks like its words is told as it is.
    said = 'no "orders": \\ and \n, nor "Aufträge" 注文, in {"a": 1}\u0001 ' + "und so weiter " * 300
    found.append(
        Scenario(
            "a cause with quotes, newlines, 4,000 characters and no ASCII",
            up_to("Verify") + PUT_BACK + UNDO_INSTANCES + NOTHING_CHANGED,
            "VerificationFailed",
            [f"{said} [VerificationFailed in Verify]; undone:"],
            script={"Verify": always("VerificationFailed", said)},
        )
    )
    for n, cause in enumerate(['{"errorMessage"}', '{"errorMessage":"no \\q"}', '{"errorMessage":', "{}"]):
        found.append(
            Scenario(
                f"a cause that only looks like an answer {n}",
                up_to("RecordPlan") + NOTHING_CHANGED,
                "Unavailable",
                [cause],
                mocked={"RecordPlan": (broken, cause)},
            )
        )
    # The same machine with timeouts that are over at once.
    not_done = {"answer": {"done": False, "status": "creating", "seconds": 50}, "always": True}
    for state, question, tail, said in [
        ("AwaitRewind", "IsRewindDone", PUT_BACK + UNDO_INSTANCES, "was not done 12 hours after it began"),
        ("AwaitInstances", "AreInstancesReady", PUT_BACK + UNDO_INSTANCES, "were not available 2 hours after"),
    ]:
        found.append(
            Scenario(
                f"{state} is overdue",
                up_to(question) + tail + NOTHING_CHANGED,
                "RewindFailed",
                [said, "creating"],
                script={state: [not_done]},
                machine=WITHOUT_TIMEOUTS,
            )
        )
    found.append(
        Scenario(
            "the change of the records is overdue",
            up_to("IsInSync") + UNDO_SWITCH + NOTHING_CHANGED,
            "VerificationFailed",
            ["one hour after they were moved: pending", "[VerificationFailed in AwaitInSync]", "is KEPT and fenced"],
            script={"AwaitInSync": [{"answer": {"done": False, "status": "pending", "seconds": 50}, "always": True}]},
            calls={"AwaitInSync": 1, "ConfirmCutover": 0},
            machine=WITHOUT_TIMEOUTS,
        )
    )
    found.append(
        Scenario(
            "the cutover is overdue",
            up_to("IsCutoverConfirmed") + UNDO_SWITCH + NOTHING_CHANGED,
            "VerificationFailed",
            ["did not lead to"],
            script={
                "ConfirmCutover": [
                    {"answer": {"confirmed": False, "inSyncAt": None, "waitSeconds": 1, "records": []}, "always": True}
                ]
            },
            machine=WITHOUT_TIMEOUTS,
        )
    )
    found.append(
        Scenario(
            "the deletion is overdue",
            up_to("Verify") + PUT_BACK + [state for state in UNDO_INSTANCES if state != "UndoHoldJobs"] + NEEDS_OPERATOR,
            "VerificationFailed",
            ["then undoing failed:", "was still being deleted after 2 hours"],
            script={"Verify": always("VerificationFailed"), "AwaitDeletion": [not_done]},
            machine=WITHOUT_TIMEOUTS,
            lease_stays=True,
        )
    )
    return found
