"""The paths of a recovery by restore: with and without approval and records, and each step, each undo and each
native state failing in turn.
"""

from scenario import (
    APPROVED, BUG_BEFORE_CHANGE, FORGED, WITHOUT_TIMEOUTS, IN_SYNC, NEEDS_OPERATOR, NOTHING_CHANGED, NOT_READY, NO_LEASE,
    PASSING, REFUSED, REQUEST, ROLLED_BACK, SUCCESS, SWITCH, WITH_APPROVAL, Scenario, always, attempts, away, passing, unmet, up_to,
)  # fmt: skip
from stages import (
    APPROVE, ASK, COMPARE, CONFIRM, DECIDED, DELETED, DONE, INSPECT, KEEP, KEPT, MOVE_BACK, NEVER_SENT, NOT_MOVED, OVER, OVERSTAYED, PUT_BACK, READ_BACK, READ_RECORDS,
    REJECTED, RELEASE, REWIND, START, UNCONFIRMED, UNDO_FENCE, UNTOUCHED, steps,
)  # fmt: skip

# What is undone after a failure of each step, before the end.
UNDONE_AFTER = {
    "ValidateWindow": [],
    "Preflight": [],
    "StartRestore": OVER + DELETED,
    "AwaitRewind": DELETED,
    **dict.fromkeys(steps("scheduler", "instances", "jobs", "verify"), KEPT),
    "AddInstances": OVER + KEPT,
    "FenceSource": OVER + UNDO_FENCE + KEEP,
    "SwapDns": [*OVER, *NEVER_SENT, *UNDO_FENCE, *KEEP],
}
# What follows a failure after the records have moved: nothing is undone, and people are told.
TOLD_AFTER = {
    "AwaitInSync": ["ConfirmCutover", "IsCutoverConfirmed", *UNCONFIRMED, *RELEASE, *DONE],
    "ConfirmCutover": [*UNCONFIRMED, *RELEASE, *DONE],
}
STEPS = [*UNDONE_AFTER, *TOLD_AFTER]
DECLARED = steps("plan", "restore", "scheduler", "instances", "jobs", "verify", "fence", "cutover")
assert set(STEPS) == set(DECLARED), "a step never fails"
DRY_RUN = [*up_to("Preflight"), "IsBlocked", "AnnouncePlan", "IsDryRun", "Planned"]
BLOCKING = {
    "findings": [{"severity": "blocking", "code": "secret-plain-text", "what": "it is no JSON", "fix": "write JSON"}],
    "blocking": "it is no JSON [secret-plain-text]: write JSON; nothing was changed",
}
# Another instance than the planned one writes.
FAILED_OVER = [*up_to("AreInstancesReady"), "FailOver", *SUCCESS[SUCCESS.index("HoldJobs") :]]
DRY_RUN = ["Begin", "IsLeaseNeeded", "ValidateWindow", "Preflight", "IsBlocked", "AnnouncePlan", "IsDryRun", "Planned"]
BLOCKING = {
    "findings": [{"severity": "blocking", "code": "secret-plain-text", "what": "it is no JSON", "fix": "write JSON"}],
    "blocking": "it is no JSON [secret-plain-text]: write JSON; nothing was changed",
}
NOT_YET = {"verdict": "notYet", "why": "my-aurora-cluster is modifying", "approvers": [{"kind": "aws", "arn": "ana"}]}
# The summary of one call, after which another goes on.
SOME_COMPARED = {"tables": 1, "notes": ["old is closed"], "after": {"database": "shop", "schema": "shop", "table": "orders"}}
IN_USE = {"findings": [], "blocking": "app in shop [restored-in-use]: end that"}
READER = {"what": "reader my-aurora-cluster-2", "source": "db.r6g.large", "restored": "not made", "todo": "add it"}
NEW = "my-aurora-cluster-rewind-20261123-103000"
# The restore came to nothing.
FAILED_RESTORE = {"KeepRestored": [{"answer": {"cluster": None, "keepUntil": None, "what": f"there is no restored cluster {NEW}"}}]}
IS_KEPT = f"the restored cluster {NEW} is kept with its instances until 2026-11-24T10:50:00Z"
ELSEWHERE = {"ConfirmCutover": always("RecordChanged", "db.example.com leads to the old one")}
SWAP = {"changeId": None, "hostedZoneId": "Z1", "swappedAt": "2026-11-23T10:40:05Z", "records": []}


def records(state, swap=None):
    """The zone is found to be so after records were, or were not, moved."""
    return {"ReadRecords": [{"answer": {"records": state, "what": state, "swap": swap}}]}


def fenced(untouched, why):
    """What the fence of the restored cluster finds out about writes there."""
    found = {"untouched": untouched, "why": why} if untouched is not None else {}
    return {"FenceRestored": [{"answer": {"fencedAt": "2026-11-23T10:41:00Z", "sessionsEnded": 1, "layers": []} | found}]}


def scenarios():
    found = [
        Scenario("success without approval", SUCCESS),
        Scenario(
            "approved in a text of the longest", APPROVED, request=WITH_APPROVAL,
            decide=(1, {"decision": "approved", "by": "a" * 60_000, "comment": "c" * 60_000, "hash": "h", "more": ["m" * 60_000]}),
        ),  # fmt: skip
        Scenario(
            "approved", APPROVED, request=WITH_APPROVAL, decide=(1, {"decision": "approved", "by": "ana", "hash": "h"})
        ),
        Scenario(
            "the tables take several calls to compare",
            APPROVED[: APPROVED.index("CompareTables")] + COMPARE + APPROVED[APPROVED.index("CompareTables") :],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            script={"CompareTables": [{"answer": SOME_COMPARED}]},
            calls={"CompareTables": 2},
        ),
        # Nothing that fails there ends a recovery, or keeps it waiting.
        *[
            Scenario(
                f"the comparison of tables fails with {error}: people are asked all the same",
                [state for state in APPROVED if state != "IsComparisonDone"],
                request=WITH_APPROVAL,
                decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
                script={"CompareTables": always(error, "no luck")},
                calls={"CompareTables": times},
            )
            for error, times in [
                ("RewindFailed", 1), ("ClusterNotReady", 1), ("Bug", 1), ("Lambda.Unknown", 1), ("States.Timeout", 1), ("Unavailable", 6),
            ]
        ],
        Scenario(
            "the comparison of tables fails on its way: what it found stays",
            APPROVED[: APPROVED.index("CompareTables")] + COMPARE + [state for state in APPROVED[APPROVED.index("CompareTables") :] if state != "IsComparisonDone"],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            script={"CompareTables": [{"answer": SOME_COMPARED}, *always("RewindFailed", "no luck")]},
            calls={"CompareTables": 2},
        ),
        Scenario(
            "the request compares no tables",
            [state for state in APPROVED if state not in COMPARE],
            request=WITH_APPROVAL | {"compareSeconds": 0},
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            calls={"CompareTables": 0},
        ),
        Scenario(
            "approved in the second slice",
            START + REWIND + COMPARE + ASK + ["IsApprovalExpired"] + APPROVE[2:] + SWITCH,
            request=WITH_APPROVAL,
            decide=(2, {"decision": "approved", "by": "ana"}),
            calls={"RequestApproval": 2},
        ),
        Scenario(
            "rejected",
            START + REWIND + COMPARE + REFUSED + REJECTED + NOTHING_CHANGED,
            "NotApproved",
            [
                "ana?? rejected it: not on a Friday??[2J <!channel>?",
                "NotApproved in RequestApproval",
                "undone: undid AddInstances; undid StartRestore",
            ],
            request=WITH_APPROVAL,
            # What somebody says of it stays on its line: the cause goes into mail and onto terminals.
            decide=(1, {"decision": "rejected", "by": "ana\u202e\n", "comment": "not on a Friday\n\x1b[2J <!channel>\u2029"}),
        ),
        *[
            Scenario(
                f"rejected, and the restored cluster {case}",
                START + REWIND + COMPARE + REFUSED + path + KEEP + NOTHING_CHANGED,
                "NotApproved",
                ["ana rejected it", f"it is not deleted, though it was rejected: {why}", IS_KEPT],
                request=WITH_APPROVAL,
                decide=(1, {"decision": "rejected", "by": "ana"}),
                script={"InspectRestored": [entry]},
                calls={"UndoAddInstances": 0, "UndoStartRestore": 0, "KeepRestored": 1},
            )
            for case, entry, why, path in [
                ("is in use", {"answer": IN_USE}, "app in shop [restored-in-use]", INSPECT),
                ("cannot be inspected", always("RewindFailed", "no login")[0], "who uses it could not be seen: ", INSPECT[:-1]),
            ]
        ],
        Scenario(
            "a decision that is none moves nothing, and deletes nothing",
            START + REWIND + COMPARE + REFUSED + KEPT + NOTHING_CHANGED,
            "NotApproved",
            ["somebody who left no name rejected it", IS_KEPT],
            request=WITH_APPROVAL,
            decide=(1, "yes"),
        ),
        Scenario(
            "approved when it was too late",
            START + REWIND + COMPARE + ASK + CONFIRM[:2] + KEPT + NOTHING_CHANGED,
            "RecordChanged",
            ["db.example.com leads elsewhere by now [RecordChanged in ConfirmApproval]", IS_KEPT],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            script={"ConfirmApproval": always("RecordChanged", "db.example.com leads elsewhere by now")},
        ),
        Scenario(
            "approved by another hash, then by the right one",
            START + REWIND + COMPARE + ASK + CONFIRM + ["IsApprovalExpired"] + APPROVE[2:] + SWITCH,
            request=WITH_APPROVAL,
            decide=[
                (1, {"decision": "approved", "by": "ana", "hash": "of another report"}),
                (2, {"decision": "approved", "by": "ana", "hash": "h"}),
            ],
            script={"ConfirmApproval": [{"answer": {"verdict": "wrongHash", "why": "it is another hash"}}]},
            calls={"RequestApproval": 2, "ConfirmApproval": 2},
        ),
        Scenario(
            "approved by one person, then by another",
            START + REWIND + COMPARE + ASK + CONFIRM + ["IsApprovalExpired"] + APPROVE[2:] + SWITCH,
            # A proof of whoever started it, which goes no further than the execution's input.
            request=WITH_APPROVAL | {"startedBy": {"authorization": "signed"}},
            decide=[(n, {"decision": "approved", "by": by, "hash": "h"}) for n, by in [(1, "ana"), (2, "ben")]],
            script={
                "ConfirmApproval": [{"answer": {"verdict": "oneMore", "why": "one has", "approvers": [{"kind": "aws", "arn": "ana"}]}}]
            },
            calls={"RequestApproval": 2, "ConfirmApproval": 2},
        ),
        Scenario(
            "approved while RDS is at work on the cluster, and confirmed when it is not",
            START + REWIND + COMPARE + ASK + CONFIRM + ["RequestApproval", "IsApprovalExpired", *CONFIRM[1:]] + DECIDED + SWITCH,
            # However long people had: it was approved in time.
            request=WITH_APPROVAL | {"approvalTimeoutSeconds": 5},
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            script={"ConfirmApproval": [{"answer": NOT_YET}]},
            calls={"RequestApproval": 2, "ConfirmApproval": 2},
        ),
        Scenario(
            "approved while RDS is at work on the cluster, for too long",
            START + REWIND + COMPARE + ASK + CONFIRM + KEPT + NOTHING_CHANGED,
            "ClusterNotReady",
            ["could not be confirmed for an hour, the last time because my-aurora-cluster is modifying", IS_KEPT],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "approved", "by": "ana", "hash": "h"}),
            script={"ConfirmApproval": [{"answer": NOT_YET, "always": True}]},
            calls={"RequestApproval": 1, "ConfirmApproval": 1},
            machine=WITHOUT_TIMEOUTS,
        ),
        Scenario(
            "approved while RDS is at work on the cluster, and rejected meanwhile",
            START + REWIND + COMPARE + ASK + CONFIRM + ["RequestApproval", "IsApprovalToConfirm", *DECIDED] + REJECTED + NOTHING_CHANGED,
            "NotApproved",
            ["ben rejected it", "no traffic was moved"],
            request=WITH_APPROVAL,
            decide=[(1, {"decision": "approved", "by": "ana", "hash": "h"}), (2, {"decision": "rejected", "by": "ben"})],
            script={"ConfirmApproval": [{"answer": NOT_YET, "always": True}]},
            calls={"RequestApproval": 2, "ConfirmApproval": 1},
        ),
        Scenario(
            "approved by another hash again and again",
            START
            + REWIND
            + COMPARE
            + ASK
            + (CONFIRM + ["IsApprovalExpired", "RequestApproval"]) * 19
            + CONFIRM
            + KEPT
            + NOTHING_CHANGED,
            "NotApproved",
            ["twenty approvals were not enough, the last because it is another hash", "no traffic was moved", IS_KEPT],
            request=WITH_APPROVAL,
            decide=[(n, {"decision": "approved", "hash": "of another report"}) for n in range(1, 21)],
            script={
                "ConfirmApproval": [{"answer": {"verdict": "wrongHash", "why": "it is another hash"}, "always": True}]
            },
            calls={"RequestApproval": 20, "ConfirmApproval": 20},
        ),
        Scenario(
            "approval timed out",
            up_to("RequestApproval", APPROVED) + ["IsApprovalExpired"] + KEPT + NOTHING_CHANGED,
            "NotApproved",
            ["nobody answered within 5 seconds", IS_KEPT],
            request=WITH_APPROVAL | {"approvalTimeoutSeconds": 5},
        ),
        *[
            Scenario(
                f"{decision} when the time to decide is over",
                START + REWIND + COMPARE + ASK + CONFIRM[:1] + KEPT + NOTHING_CHANGED,
                "NotApproved",
                ["ana answered too late: the time to decide ended at 20", "no traffic was moved", IS_KEPT],
                request=WITH_APPROVAL | {"approvalTimeoutSeconds": 0},
                decide=(1, {"decision": decision, "by": "ana", "hash": "h"}),
                calls={"ConfirmApproval": 0, "UndoStartRestore": 0, "KeepRestored": 1},
            )
            for decision in ["approved", "rejected"]
        ],
        Scenario(
            "dry run",
            DRY_RUN,
            request=REQUEST | {"dryRun": True},
            recorded=False,
        ),
        Scenario(
            "a dry run shows what would block",
            DRY_RUN,
            request=REQUEST | {"dryRun": True},
            script={"Preflight": [{"answer": BLOCKING}]},
            recorded=False,
        ),
        Scenario(
            "a finding that blocks ends it before anything is changed",
            up_to("IsBlocked") + NOTHING_CHANGED,
            "InvalidRequest",
            ["it is no JSON [secret-plain-text]: write JSON; nothing was changed [InvalidRequest in Preflight]"],
            script={"Preflight": [{"answer": BLOCKING}]},
            calls={"Preflight": 1},
        ),
        Scenario(
            "lease held",
            [*up_to("AcquireLease"), "ReadLease", "ReadHolder", *NO_LEASE],
            "LeaseHeld",
            ["recovery the-other-one holds lease#", "2026-11-23T09:00:00Z", "arn:of:the-other-one", "rewind undo the-other-one", "delete the item"],
            held=True,
            lease_stays=True,
        ),
        Scenario(
            "lease held by the clean-up",
            [*up_to("AcquireLease"), "ReadLease", "ReadHolder", *NO_LEASE],
            "LeaseHeld",
            ["the clean-up holds lease#", "2026-11-23T09:00:00Z", "in a minute", "nothing was changed"],
            held="clean-up",
            lease_stays=True,
        ),
        Scenario(
            "lease held by an undo",
            [*up_to("AcquireLease"), "ReadLease", "ReadHolder", *NO_LEASE],
            "LeaseHeld",
            ["the-other-one-undo-2 holds lease#", "if that undo was stopped, its lease goes back to its recovery", "nothing was changed"],
            held="undo",
            lease_stays=True,
        ),
        Scenario("an expired lease is taken over", SUCCESS, held="expired"),
        Scenario(
            "the record of whoever had the name before stays",
            up_to("RecordPlan") + NOTHING_CHANGED,
            "InvalidRequest",
            ["there is a record of an earlier recovery", "start again under another name"],
            mocked={"RecordPlan": "DynamoDB.ConditionalCheckFailedException"},
        ),
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
            "a refused request has a text in place of a cluster",
            up_to("ValidateWindow") + NOTHING_CHANGED,
            "InvalidRequest",
            ["`cluster` is no identifier"],
            script={"ValidateWindow": always("InvalidRequest", "`cluster` is no identifier")},
            request={"cluster": FORGED, "to": "5m ago"},
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
            "a record had changed: nothing moved, and the restored cluster is kept",
            up_to("SwapDns") + [*OVER, *NEVER_SENT, *UNDO_FENCE, *KEEP, *NOTHING_CHANGED],
            "RecordChanged",
            [f"undone: undid FenceSource; {IS_KEPT}"],
            script={"SwapDns": always("RecordChanged")} | {"UndoSwapDns": always("Bug")},
            calls={"ReadRecords": 0, "FenceRestored": 0},
        ),
        *[
            Scenario(
                f"no record was ever sent, {error}: nobody reads the zone, and the restored cluster is kept",
                up_to("SwapDns") + [*OVERSTAYED, *NEVER_SENT, *UNDO_FENCE, *KEEP, *NOTHING_CHANGED],
                "Unavailable" if error == "Lambda.Unknown" else error,
                [f"undone: undid FenceSource; {IS_KEPT}"],
                script={"SwapDns": always(error)} | {"ReadRecords": always("Bug")},
                calls={"ReadRecords": 0, "FenceRestored": 0, "UndoFenceSource": 1},
            )
            for error in ["Throttled", "Unavailable", "Lambda.Unknown"]
        ],
        Scenario(
            "whether records were sent cannot be read: the zone says where they are",
            up_to("SwapDns") + [*OVER, *NEVER_SENT, *READ_RECORDS[2:], *NOT_MOVED, *KEEP, *NOTHING_CHANGED],
            "VerificationFailed",
            [IS_KEPT],
            script={"SwapDns": always("VerificationFailed")} | records("planned"),
            mocked={"ReadMoveNote": "DynamoDB.AmazonDynamoDBException"},
            calls={"ReadRecords": 2, "FenceRestored": 1},
        ),
        Scenario(
            "the watch over the fence cannot be started: people are told, and the recovery goes on",
            SUCCESS[: SUCCESS.index("FenceSource")] + ["AnnounceUnwatched"] + SUCCESS[SUCCESS.index("FenceSource") :],
            mocked={"WatchFence": ("StepFunctions.AccessDeniedException", "denied")},
        ),
        Scenario(
            "a name leads elsewhere and nobody wrote: traffic goes back",
            up_to("ConfirmCutover") + MOVE_BACK + KEEP + ROLLED_BACK,
            "RecordChanged",
            [
                "leads to the old one [RecordChanged in ConfirmCutover]; undone: undid SwapDns; undid FenceSource",
                f"traffic had moved to {NEW}, and was moved back to my-aurora-cluster",
                IS_KEPT,
            ],
            script=ELSEWHERE,
        ),
        Scenario(
            "traffic went back and the tag cannot be set",
            up_to("ConfirmCutover") + MOVE_BACK + KEEP + ROLLED_BACK,
            "RecordChanged",
            ["because an earlier one could not be set: no luck [RewindFailed in KeepRestored]", "lift its fence as docs/runbook.md says for RolledBack, and rewind resume "],
            script=ELSEWHERE | {"KeepRestored": always("RewindFailed", "no luck")},
        ),
        Scenario(
            "a name leads elsewhere, and somebody has moved the records back",
            up_to("ConfirmCutover") + MOVE_BACK + KEEP + ROLLED_BACK,
            "RecordChanged",
            script=ELSEWHERE | {"UndoSwapDns": [{"answer": {"changed": False, "what": []}}]},
        ),
        *[
            Scenario(
                f"a name leads elsewhere, and {name}: nobody goes back without a person",
                up_to("ConfirmCutover") + [*UNTOUCHED, "LiftRestoredFence", *NEEDS_OPERATOR],
                "RecordChanged",
                [
                    "leads to the old one [RecordChanged in ConfirmCutover]; undone: undid FenceRestored; now: ",
                    f"now: traffic is on the restored cluster {NEW}, the source my-aurora-cluster is fenced",
                    said,
                    "next step: mend the name that leads elsewhere; or go back to the source",
                    "rewind undo a-name-leads-elsewhere",
                ],
                script=ELSEWHERE | fenced(untouched, said),
                calls={"UndoSwapDns": 0, "UndoFenceSource": 0, "KeepRestored": 0, "UndoFenceRestored": 1},
                lease_stays=True,
            )
            for name, untouched, said in [
                ("clients wrote", False, "its count of writes was 7"),
                ("nobody knows", None, "whether clients wrote to it is not known"),
            ]
        ],
        *[
            Scenario(
                f"a name leads elsewhere, and {state} fails: the restored cluster is opened again",
                up_to("ConfirmCutover") + up_to(state, MOVE_BACK) + OVER + read + ["LiftRestoredFence", *NEEDS_OPERATOR],
                "RecordChanged",
                [f"then undoing failed: no luck [RewindFailed in {state}]", "rewind undo a-name-leads-elsewhere"],
                script=ELSEWHERE | {state: always("RewindFailed", "no luck")} | records("moved"),
                calls={"UndoFenceSource": 0, "UndoFenceRestored": 1},
                lease_stays=True,
            )
            for state, read in [("FenceRestored", []), ("UndoSwapDns", READ_BACK)]
        ],
        Scenario(
            "moving back was not answered, and the records are at the source: its fence is lifted, and no other",
            up_to("ConfirmCutover") + [*UNTOUCHED, "UndoSwapDns", *OVERSTAYED, *READ_BACK, *UNDO_FENCE, *KEEP, *ROLLED_BACK],
            "RecordChanged",
            ["undone: all as planned; undid FenceSource", f"traffic had moved to {NEW}, and was moved back", IS_KEPT],
            script=ELSEWHERE | {"UndoSwapDns": always("OutcomeUnknown")},
            calls={"UndoSwapDns": 2, "UndoFenceSource": 1, "UndoFenceRestored": 0},
        ),
        Scenario(
            "moving back was not answered, and the zone cannot be read: the restored cluster is opened",
            up_to("ConfirmCutover") + [*UNTOUCHED, "UndoSwapDns", *OVERSTAYED, *READ_BACK, "LiftRestoredFence", *NEEDS_OPERATOR],
            "RecordChanged",
            ["then undoing failed: it is so [OutcomeUnknown in UndoSwapDns]"],
            script=ELSEWHERE | {"UndoSwapDns": always("OutcomeUnknown"), "ReadRecords": always("RewindFailed")},
            calls={"UndoFenceSource": 0, "UndoFenceRestored": 1},
            lease_stays=True,
        ),
        Scenario(
            "moving back was not answered, and there is a bug in reading the zone: nothing more is done",
            up_to("ConfirmCutover") + [*UNTOUCHED, "UndoSwapDns", *OVERSTAYED, "ReadRecordsBack", *NEEDS_OPERATOR],
            "RecordChanged",
            ["then undoing failed: no luck [Bug in ReadRecordsBack]"],
            script=ELSEWHERE | {"UndoSwapDns": always("OutcomeUnknown"), "ReadRecords": always("Bug", "no luck")},
            calls={"UndoFenceSource": 0, "UndoFenceRestored": 0},
            lease_stays=True,
        ),
        *[
            Scenario(
                f"a name leads elsewhere, and there is a bug in {state}: nothing more is done",
                up_to("ConfirmCutover") + [*before, state, *NEEDS_OPERATOR],
                "RecordChanged",
                [f"then undoing failed: no luck [Bug in {state}]"],
                script=ELSEWHERE | fenced(untouched, "its count of writes was 7") | {call: always("Bug", "no luck")},
                calls={"UndoFenceSource": 0},
                lease_stays=True,
            )
            for state, call, before, untouched in [
                ("UndoSwapDns", "UndoSwapDns", UNTOUCHED, True),
                ("LiftRestoredFence", "UndoFenceRestored", UNTOUCHED, False),
            ]
        ],
        Scenario(
            "a name leads elsewhere, and there is a bug in FenceRestored: nothing more is done",
            up_to("ConfirmCutover") + ["FenceRestored", *NEEDS_OPERATOR],
            "RecordChanged",
            ["then undoing failed: no luck [Bug in FenceRestored]"],
            script=ELSEWHERE | {"FenceRestored": always("Bug", "no luck")},
            calls={"UndoSwapDns": 0, "UndoFenceSource": 0},
            lease_stays=True,
        ),
        Scenario(
            "a server behind a name cannot be seen: people are told and nothing goes back",
            up_to("IsCutoverConfirmed") + [*UNCONFIRMED, *RELEASE, *DONE],
            script={
                "ConfirmCutover": [
                    {
                        "answer": {
                            "confirmed": False,
                            "inSyncAt": "2026-11-23T10:40:02Z",
                            "waitSeconds": 10,
                            "records": [],
                            "unseen": ["db.example.com: connection refused"],
                        },
                        "always": True,
                    }
                ]
            },
            machine=WITHOUT_TIMEOUTS,
        ),
        Scenario(
            "somebody opened the fence of the source: people are told, and nothing goes back",
            up_to("IsCutoverConfirmed") + [*UNCONFIRMED, *RELEASE, *DONE],
            script={
                "ConfirmCutover": [
                    {
                        "answer": {
                            "confirmed": True,
                            "inSyncAt": "2026-11-23T10:40:02Z",
                            "waitSeconds": 0,
                            "records": [],
                            "unseen": [],
                            "sourceOpen": "the fence of my-aurora-cluster does not hold: app is there",
                            "sourceUnseen": None,
                        }
                    }
                ]
            },
            calls={"ConfirmCutover": 1},
        ),
        Scenario(
            "a server behind a name restarts and is seen",
            up_to("IsCutoverConfirmed") + ["WaitForOldTtl"] + SUCCESS[SUCCESS.index("ConfirmCutover") :],
            script={
                "ConfirmCutover": [
                    {
                        "answer": {
                            "confirmed": False,
                            "inSyncAt": "2026-11-23T10:40:02Z",
                            "waitSeconds": 10,
                            "records": [],
                            "unseen": ["db.example.com: connection refused"],
                        }
                    }
                ]
            },
            calls={"ConfirmCutover": 2},
        ),
        Scenario(
            "the move was not answered, and nothing had moved",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + NOT_MOVED + KEEP + NOTHING_CHANGED,
            "OutcomeUnknown",
            [IS_KEPT],
            script={"SwapDns": always("OutcomeUnknown")} | records("planned"),
            calls={"SwapDns": 2, "FenceRestored": 1, "UndoSwapDns": 0, "UndoFenceRestored": 1},
        ),
        Scenario(
            "the move was not answered, nothing had moved, and the restored cluster stays fenced",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + NOT_MOVED + KEEP + NOTHING_CHANGED,
            "OutcomeUnknown",
            [IS_KEPT],
            script={"SwapDns": always("OutcomeUnknown"), "UndoFenceRestored": always("RewindFailed")} | records("planned"),
        ),
        Scenario(
            "the move was not answered, and somebody leads clients to the restored cluster while it is undone: its fence stays",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + NOT_MOVED[:-1] + KEEP + NOTHING_CHANGED,
            "OutcomeUnknown",
            [IS_KEPT],
            script={
                "SwapDns": always("OutcomeUnknown"),
                "ReadRecords": records("planned")["ReadRecords"] + records("moved", SWAP)["ReadRecords"],
            },
            calls={"ReadRecords": 2, "UndoFenceRestored": 0},
        ),
        *[
            Scenario(
                f"the move was not answered, all records are {state}, and clients wrote: a person is called",
                up_to("SwapDns") + OVERSTAYED + READ_RECORDS + [*UNTOUCHED, "LiftRestoredFence", *NEEDS_OPERATOR],
                "OutcomeUnknown",
                [
                    f"now: {state}, the source my-aurora-cluster is fenced",
                    f"{NEW} may have had clients before somebody moved the records back: its count of writes was 7",
                    "rewind undo the-move-was-not-answered",
                ],
                script={"SwapDns": always("OutcomeUnknown")} | records(state) | fenced(False, "its count of writes was 7"),
                calls={"UndoFenceSource": 0, "UndoSwapDns": 0, "KeepRestored": 0},
                lease_stays=True,
            )
            for state in ["planned", "elsewhere"]
        ],
        Scenario(
            "the move was not answered, and all records had moved: the cutover goes on",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + SUCCESS[SUCCESS.index("AwaitInSync") :],
            script={"SwapDns": always("OutcomeUnknown")} | records("moved", SWAP),
            calls={"SwapDns": 2, "AwaitInSync": 1, "ConfirmCutover": 1},
        ),
        Scenario(
            "the move was not answered, and some record leads elsewhere",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + MOVE_BACK + KEEP + ROLLED_BACK,
            "OutcomeUnknown",
            [IS_KEPT],
            script={"SwapDns": always("OutcomeUnknown")} | records("mixed"),
        ),
        Scenario(
            "a record had changed when the move was repeated, and none leads to the restored cluster",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + UNTOUCHED + UNDO_FENCE + KEEP + NOTHING_CHANGED,
            "RecordChanged",
            [IS_KEPT],
            script={"SwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *always("RecordChanged")]} | records("elsewhere"),
            calls={"SwapDns": 2, "UndoSwapDns": 0},
        ),
        Scenario(
            "moving back had to be repeated: traffic may have moved",
            up_to("SwapDns") + OVERSTAYED + READ_RECORDS + MOVE_BACK + KEEP + ROLLED_BACK,
            "OutcomeUnknown",
            script={
                "SwapDns": always("OutcomeUnknown"),
                "UndoSwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, {"answer": {"changed": False, "what": []}}],
            }
            | records("mixed"),
            calls={"UndoSwapDns": 2},
        ),
        Scenario(
            "the zone cannot be read: a person is called",
            up_to("SwapDns") + OVERSTAYED + up_to("ReadRecords", READ_RECORDS) + NEEDS_OPERATOR,
            "OutcomeUnknown",
            ["then undoing failed: it is so [Unavailable in ReadRecords]", "rewind undo the-zone-cannot-be-read"],
            script={"SwapDns": always("OutcomeUnknown"), "ReadRecords": always("Unavailable")},
            lease_stays=True,
        ),
        *[
            Scenario(
                f"{name}: the restored cluster is kept",
                up_to("AwaitRewind") + KEPT + NOTHING_CHANGED,
                error,
                [f"in AwaitRewind]; {IS_KEPT}"],
                script={"AwaitRewind": always(error)},
            )
            for name, error in [
                ("RDS does not answer", "Unavailable"),
                ("the wait for RDS is killed", "OutcomeUnknown"),
                ("RDS is busy", "Throttled"),
            ]
        ],
        Scenario(
            "the tag cannot be set",
            up_to("IsVerified") + KEPT + NOTHING_CHANGED,
            "VerificationFailed",
            [
                'check "rows are back" in shop failed [VerificationFailed in Verify]',
                f"the restored cluster {NEW} is kept with its instances until the time in its tag aurora-rewind:keep-until",
                "no luck [Unavailable in KeepRestored]",
                "rewind resume the-tag-cannot-be-set",
            ],
            script={"Verify": unmet('check "rows are back" in shop failed'), "KeepRestored": always("Unavailable", "no luck")},
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
            up_to("ConfirmCutover") + UNCONFIRMED + RELEASE + DONE,
            script={"ConfirmCutover": always("Unavailable")},
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
            up_to("AwaitRewind") + DELETED + NOTHING_CHANGED,
            "RewindFailed",
            script=FAILED_RESTORE | {"AwaitRewind": always("RewindFailed"), "UndoHoldJobs": always("RewindFailed")},
            calls={"UndoHoldJobs": 1},
        ),
        Scenario(
            "finish fails: nothing is undone",
            up_to("Finish") + NEEDS_OPERATOR,
            "Unavailable",
            [
                "traffic is on the restored cluster",
                "nothing was undone",
                f"cluster:{NEW} --tag-keys aurora-rewind:keep-until",
                f"aws rds modify-db-cluster --db-cluster-identifier {NEW} --deletion-protection",
            ],
            script={"Finish": always("Unavailable")},
            lease_stays=True,
        ),
    ]
    found.extend([*outlasting(), *instances_of_another_kind()])
    for state, undone in UNDONE_AFTER.items():
        found.append(
            Scenario(
                f"{state} fails",
                up_to(state) + undone + NOTHING_CHANGED,
                "RewindFailed",
                [f"it is so [RewindFailed in {state}]"],
                script={state: always("RewindFailed")} | (FAILED_RESTORE if "UndoStartRestore" in undone else {}),
                calls={state: 1},
            )
        )
    for state, told in TOLD_AFTER.items():
        found.append(
            Scenario(
                f"{state} fails: nothing goes back",
                up_to(state) + told,
                script={state: always("RewindFailed")},
                calls={state: 1, "FenceRestored": 0},
            )
        )
    for state in STEPS:
        found.append(
            Scenario(
                f"{state} is throttled, then not ready, then of unknown outcome, then works",
                SUCCESS,
                script={state: passing()},
                calls={state: len(PASSING) + 1},
            )
        )
    for state in [*STEPS, "Finish"]:
        before = state in ("ValidateWindow", "Preflight")
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
            up_to("StartRestore") + OVERSTAYED + UNDONE_AFTER["StartRestore"][1:] + NOTHING_CHANGED,
            "OutcomeUnknown",
            script=FAILED_RESTORE | {"StartRestore": always("OutcomeUnknown")},
            calls={"StartRestore": 2},
        )
    )
    # RDS took the restore, and no answer of the function came back: hours may have passed.
    unanswered = {"StartRestore": always("Lambda.Unknown")}
    is_kept = up_to("StartRestore") + OVERSTAYED + KEPT + NOTHING_CHANGED
    found += [
        Scenario(
            "a restore that nobody was told of is kept",
            is_kept,
            "Unavailable",
            [IS_KEPT],
            script=unanswered,
            calls={"UndoAddInstances": 0, "UndoStartRestore": 0, "KeepRestored": 1},
        ),
        Scenario(
            "what is there of a restore cannot be seen, and is left until its first time",
            is_kept,
            "Unavailable",
            [f"the restored cluster {NEW}, if there is one, is kept with its instances until the time in its tag", "rewind resume what-is-there"],
            script=unanswered | {"KeepRestored": always("RewindFailed", "no luck")},
            calls={"UndoAddInstances": 0, "UndoStartRestore": 0},
        ),
    ]
    # Undos that fail in turn, on the way on which a recovery comes to them.
    rejected = START + REWIND + COMPARE + REFUSED + REJECTED
    for undo, whole, script, extra in [
        ("UndoFenceSource", up_to("SwapDns") + UNDONE_AFTER["SwapDns"], {"SwapDns": always("RewindFailed", "not there")}, {}),
        *[
            (undo, rejected, {}, {"request": WITH_APPROVAL, "decide": (1, {"decision": "rejected", "by": "ana"})})
            for undo in ["UndoAddInstances", "UndoStartRestore", "AwaitDeletion"]
        ],
    ]:
        found.append(
            Scenario(
                f"{undo} fails",
                up_to(undo, whole) + NEEDS_OPERATOR,
                "NotApproved" if extra else "RewindFailed",
                [
                    "rejected it" if extra else "not there [RewindFailed in SwapDns]",
                    f"then undoing failed: no luck [RecordChanged in {undo}]",
                    "is kept until",
                    *(["is gone, its last state is in a snapshot: aws rds describe-db-cluster-snapshots"] if undo == "UndoStartRestore" else []),
                ],
                script=script | {undo: always("RecordChanged", "no luck")},
                lease_stays=True,
                **extra,
            )
        )
    # The native states, made to throw.
    broken = "DynamoDB.AmazonDynamoDBException"
    for state, tail, extra in [
        ("AcquireLease", NOTHING_CHANGED, {}),
        ("RecordPlan", NOTHING_CHANGED, {}),
        ("ExtendLease", NOTHING_CHANGED, {}),
        ("NoteFence", KEPT + NOTHING_CHANGED, {"calls": {"FenceSource": 0}}),
        ("ReadLease", None, {"held": True, "lease_stays": True}),
        ("ReadHolder", None, {"held": True, "lease_stays": True, "cause": ["recovery the-other-one holds lease#", "wait for it to end"]}),
        ("RecordDecision", None, {"request": WITH_APPROVAL, "decide": (1, {"decision": "approved"})}),
        ("RecordRecovered", None, {"recorded": "Running"}),
        ("ReleaseLease", None, {"lease_stays": True}),
    ]:
        if state in ("ReadLease", "ReadHolder"):
            path = up_to("AcquireLease") + [
                *["ReadLease", "ReadHolder"][: ["ReadLease", "ReadHolder"].index(state) + 1],
                *NO_LEASE,
            ]
            error = "LeaseHeld"
        elif tail is None:
            path, error = (APPROVED if state == "RecordDecision" else SUCCESS), None
        else:
            path, error = up_to(state) + tail, "Unavailable"
        found.append(Scenario(f"{state} throws", path, error, mocked={state: broken}, **extra))
    busless = "EventBridge.EventBridgeException"
    undone = up_to("FenceSource") + OVER + UNDO_FENCE + KEEP + NOTHING_CHANGED
    fails = {"error": "RewindFailed", "script": {"FenceSource": always("RewindFailed")}}
    unwatched = SUCCESS[: SUCCESS.index("FenceSource")] + ["AnnounceUnwatched"] + SUCCESS[SUCCESS.index("FenceSource") :]
    unseen = {"script": {"ConfirmCutover": always("RewindFailed")}}
    found += [
        Scenario(f"{state} throws", path, mocked={state: throws} | before, **more)
        for state, path, throws, before, more in [
            ("AnnouncePlan", SUCCESS, busless, {}, {}),
            ("AnnounceApproval", APPROVED, busless, {}, {"request": WITH_APPROVAL, "decide": (1, {"decision": "approved"})}),
            ("AnnounceUnwatched", unwatched, busless, {"WatchFence": "Sfn.SfnException"}, {}),
            ("AnnounceUnconfirmed", up_to("ConfirmCutover") + UNCONFIRMED + RELEASE + DONE, busless, {}, unseen),
            ("EndFenceWatch", SUCCESS, broken, {}, {}),
            ("AnnounceRecovered", SUCCESS, busless, {}, {}),
            ("EndFenceWatchAfterUndo", undone, broken, {}, fails),
            ("AnnounceFailure", undone, busless, {}, fails),
            ("ReleaseLeaseAfterFailure", undone, broken, {}, fails | {"lease_stays": True}),
        ]
    ]
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
            "one that was cancelled before its fence ends itself",
            up_to("NoteFence") + KEPT + NOTHING_CHANGED,
            "NotApproved",
            ["it was cancelled, or its record is gone", IS_KEPT],
            mocked={"NoteFence": "DynamoDB.ConditionalCheckFailedException"},
            calls={"FenceSource": 0},
        )
    )
    found.append(
        Scenario(
            "a failure that cannot be recorded ends as it would have",
            up_to("IsVerified") + KEPT + NOTHING_CHANGED,
            "VerificationFailed",
            script={"Verify": unmet("it is not there")},
            mocked={"RecordFailure": broken},
            recorded="Running",
        )
    )
    found.append(
        Scenario(
            "a function that does not become ready within an hour is given up",
            up_to("Verify") + KEPT + NOTHING_CHANGED,
            "Unavailable",
            [f"wait [{NOT_READY[0]} in Verify]"],
            script={"Verify": always(NOT_READY[0], "wait")},
            calls={"Verify": attempts("Verify", NOT_READY[0]) + 1},
        )
    )
    # What a function says arrives whole, and what only looks like its words is told as it is.
    said = 'no "orders": \\ and \n, nor "Aufträge" 注文, in {"a": 1}\u0001 ' + "und so weiter " * 300
    found.append(
        Scenario(
            "a cause with quotes, newlines, 4,000 characters and no ASCII",
            up_to("Verify") + KEPT + NOTHING_CHANGED,
            "VerificationFailed",
            # On one line, which nothing of it leaves.
            [f"{said.replace(chr(10), '?').replace(chr(1), '?')} [VerificationFailed in Verify]; {IS_KEPT}"],
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
    for state, question, error, said in [
        ("AwaitRewind", "IsRewindDone", "RewindFailed", "was not done 12 hours after it began"),
        ("AwaitInstances", "AreInstancesReady", "RewindFailed", "were not available 2 hours after"),
    ]:
        found.append(
            Scenario(
                f"{state} is overdue",
                up_to(question) + KEPT + NOTHING_CHANGED,
                error,
                [said, "creating", IS_KEPT],
                script={state: [not_done]},
                machine=WITHOUT_TIMEOUTS,
            )
        )
    found.append(
        Scenario(
            "the change of the records is overdue: the names are followed all the same, and people are told",
            up_to("IsInSync") + TOLD_AFTER["AwaitInSync"],
            script={"AwaitInSync": [{"answer": {"done": False, "status": "pending", "seconds": 50}, "always": True}]},
            calls={"AwaitInSync": 1, "ConfirmCutover": 1},
            machine=WITHOUT_TIMEOUTS,
        )
    )
    found.append(
        Scenario(
            "the cutover is overdue",
            up_to("IsCutoverConfirmed") + UNCONFIRMED + RELEASE + DONE,
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
            START + REWIND + COMPARE + REFUSED + [state for state in REJECTED if state != "UndoHoldJobs"] + NEEDS_OPERATOR,
            "NotApproved",
            ["then undoing failed:", "was still being deleted after 2 hours"],
            script={"AwaitDeletion": [not_done]},
            machine=WITHOUT_TIMEOUTS,
            request=WITH_APPROVAL,
            decide=(1, {"decision": "rejected", "by": "ana"}),
            lease_stays=True,
        )
    )
    return found


def outlasting():
    """A service or a function that is away for an hour: nothing is given up that took hours, and no source stays fenced."""
    of_aws, of_lambda = ["Unavailable", "Throttled"], ["Lambda.ServiceException", NOT_READY[0], "Lambda.TooManyRequestsException"]
    for state, errors in [("AwaitRewind", of_aws), ("AddInstances", of_aws), ("Verify", of_lambda)]:
        yield Scenario(
            f"{state} meets an hour of {errors[0]}",
            SUCCESS,
            script={state: away(state, *errors)},
            calls={state: len(away(state, *errors)) + 1},
        )
    yield Scenario(
        "the source is opened again after an hour of Unavailable",
        up_to("FenceSource") + OVER + UNDO_FENCE + KEEP + NOTHING_CHANGED,
        "RewindFailed",
        ["undid FenceSource"],
        script={"FenceSource": always("RewindFailed"), "UndoFenceSource": away("UndoFenceSource", *of_aws)},
        calls={"UndoFenceSource": len(away("UndoFenceSource", *of_aws)) + 1},
    )


def instances_of_another_kind():
    """Readers that were given up, and a writer that is another than the planned one."""
    done = {"done": True, "status": "available", "seconds": 1}
    yield Scenario(
        "readers that were given up are differences",
        SUCCESS,
        script={"AwaitInstances": [{"answer": done | {"differences": [READER]}}]},
        differences=[READER["what"]],
    )
    other = {"AwaitInstances": [{"answer": done | {"differences": [READER], "failOver": True}}]}
    yield Scenario(
        "another instance writes: the planned one is made the writer",
        FAILED_OVER,
        script=other,
        calls={"FailOver": 1},
        differences=[READER["what"]],
    )
    writer = f"writer of {NEW}"
    yield Scenario(
        "a failover that is not made is a difference",
        FAILED_OVER,
        script=other | {"FailOver": [{"answer": {"instances": [], "differences": [READER | {"what": writer}]}}]},
        differences=[READER["what"], writer],
    )
    yield Scenario(
        "a failover that fails is a difference",
        FAILED_OVER,
        script=other | {"FailOver": always("RewindFailed")},
        calls={"FailOver": 1},
        differences=[READER["what"], writer],
    )
    yield Scenario(
        "a bug in FailOver",
        up_to("FailOver", FAILED_OVER) + NEEDS_OPERATOR,
        "Bug",
        ["it is so [Bug in FailOver]", "nothing was undone"],
        script=other | {"FailOver": always("Bug")},
        lease_stays=True,
    )
