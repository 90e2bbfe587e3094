"""The stretches of states that paths are made of, by the stages of the declaration (`statemachine/stages.json`): a step that is added
to a stage is in them by itself. Which way a path takes is for the tests to say."""

import json
from pathlib import Path

DECLARED = json.loads((Path(__file__).resolve().parent.parent / "statemachine" / "stages.json").read_text())


def stage(name, without=()):
    """The states of a stage of a recovery, in order, without those that this way does not pass."""
    states = DECLARED["rewind.asl.json"]["stages"][name]
    assert set(without) <= set(states), f"{without} are not all in {states}"
    return [state for state in states if state not in without]


def between(name, first, last):
    """The states of a stage from `first` to `last`."""
    states = stage(name)
    return states[states.index(first) : states.index(last) + 1]


# What each state passes to its function.
PAYLOADS = {state: set(names) for machine in DECLARED.values() for state, names in machine["payloads"].items()}
# AwaitRewind while it waits for the safety clone, which its stand-in and the timings tell apart.
PAYLOADS["AwaitSafetyClone"] = PAYLOADS["AwaitRewind"]


def payload(machine, state):
    """What a state of this machine passes: two machines may have a state of one name, which pass different fields."""
    return set(DECLARED[machine]["payloads"].get(state, PAYLOADS[state]))


def steps(*names):
    """The states of these stages that call a function."""
    return [state for name in names for state in stage(name) if state in PAYLOADS]


START = stage("lease", without=["ReadLease", "ReadHolder"]) + stage("plan", without=["Planned"])
INSTANCES = stage("instances")
REWIND = stage("restore") + stage("scheduler") + INSTANCES + stage("jobs") + stage("verify")
# Beside the source people are asked with all tables compared; in place they are asked before.
COMPARE = stage("comparison")
ASK = between("approval", "IsApprovalNeeded", "RequestApproval")
CONFIRM = between("approval", "IsApprovalToConfirm", "IsApprovalValid")
DECIDED = between("approval", "RecordDecision", "IsApproved")
APPROVE = ASK + CONFIRM + DECIDED
FENCE = stage("fence", without=["AnnounceUnwatched"])
KEPT_OR_NOT = stage("keep undo")[:1]
KEEP = stage("keep undo")[1:]
RELEASE = stage("release")
DONE = stage("finish")

RELEASED = between("end", "RecordFailure", "IsOperatorNeeded")
PUT_BACK = stage("failure")
UNDO_INSTANCES = stage("instances undo") + stage("restore undo") + stage("jobs undo")
UNDO_FENCE = stage("fence undo") + KEPT_OR_NOT
# Before the fence: the restored cluster is deleted, because the restore failed or a person rejected it, or it is kept.
DELETED = PUT_BACK + KEPT_OR_NOT + between("keep undo", "KeepRestored", "IsRestoreFailed") + UNDO_INSTANCES
INSPECT = PUT_BACK + KEPT_OR_NOT + stage("rejection undo")
REJECTED = INSPECT + UNDO_INSTANCES
KEPT = PUT_BACK + KEPT_OR_NOT + KEEP
# Before the undo of what failed inside the outage: is its function over? Where its answer was lost, that is waited for.
OVER = stage("failed function")[:1]
OVERSTAYED = [*OVER, "WaitForFailedFunction", *OVER]
# Was a record ever sent to be moved, and if so, where do they lead?
NEVER_SENT = between("cutover undo", "ReadMoveNote", "IsTrafficPossiblyMoved")
READ_RECORDS = between("cutover undo", "ReadMoveNote", "AreRecordsMoved")
# Moving them back failed, or was not answered.
READ_BACK = between("cutover undo", "ReadRecordsBack", "AreRecordsBack")
UNTOUCHED = between("cutover undo", "FenceRestored", "IsRestoredClusterUntouched")
MOVE_BACK = [*UNTOUCHED, "UndoSwapDns", *UNDO_FENCE]
# Nothing had moved, and nobody wrote: the restored cluster was fenced to see that, and is opened again for a resume.
NOT_MOVED = [*UNTOUCHED, *UNDO_FENCE, *between("cutover undo", "AwaitOldAnswers", "OpenRestored")]
UNCONFIRMED = between("cutover", "NoteUnconfirmed", "AnnounceUnconfirmed")
FORWARD = stage("backtrack undo")
