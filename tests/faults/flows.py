"""The fault matrix as it is documented: the flows by which every state that invokes a function is reached, the faults, and the end that
each must have. The states come from the declaration (`statemachine/stages.json`), so a new step of a stage is in the matrix by itself.
It starts nothing and knows no stack.
"""

from dataclasses import dataclass, field

from stages import DECLARED

ALWAYS = -1
# The pauses before retries are shortened to this part of themselves: what the matrix waits for is the work, and not the minutes between attempts.
PAUSES = 0.002

# fault -> kind of local/tools/ministack_faults.py, how often, and what it stands for.
FAULTS = {
    # Not an error that is retried for an hour: two hundred attempts would take minutes even without their pauses.
    "fails": ("gone", ALWAYS, "no invocation ever reaches the function"),
    "answer lost": ("lost", ALWAYS, "the function does its work each time, and no answer ever comes back"),
    "outlives": ("outlives", ALWAYS, "no answer ever comes, and the function does its work each time seconds after its state has given it up"),
    "throttled": ("throttled", 3, "Lambda refuses three invocations"),
    "times out": ("times out", 1, "the state gives up while the function goes on; the retry runs beside it"),
    "killed": ("killed", 1, "the process is killed in the middle of its work"),
    "twice": ("twice", 1, "the function runs again after it has answered"),
    "at once": ("at once", 1, "the function runs twice side by side"),
    "not ready": ("not ready", 10, "its network is not ready for four minutes"),
}
# These never end: whatever the state was for does not happen, or nobody hears of it.
FOR_GOOD = ("fails", "answer lost", "outlives")

REWIND, UNDO, CLEAN_UP = "rewind.asl.json", "undo.asl.json", "cleanup.asl.json"


@dataclass(frozen=True)
class Flow:
    """A way through a state machine, and the states that are reached on it."""

    name: str
    machine: str
    about: str
    end: str
    stages: tuple = ()
    states: tuple = ()
    without: tuple = ()
    engine: str = "postgresql"
    in_place: bool = False
    # Faults that lead the flow there: state -> fault.
    leading: dict = field(default_factory=dict)
    # The request, where it is not that of every flow.
    request: dict = field(default_factory=dict)
    decision: str = "approved"
    # A more specific zone hides the record while the cutover runs: the name leads elsewhere.
    hidden: bool = False
    # An attempt to move the records noted that it sends them, and ended before it did.
    noted: bool = False
    # It is cancelled while people are asked.
    cancelled: bool = False
    # It resumes a recovery that Verify ended.
    resumed: bool = False
    # The source has a reader too, and the restored cluster's writer starts after its reader.
    late_writer: bool = False

    def __hash__(self):
        return hash(self.name)

    @property
    def kind(self):
        """The kind of cluster that it runs on."""
        return self.engine, self.in_place, self.late_writer

    def steps(self):
        """The states of this flow that invoke a function.

        Not those that call DynamoDB, EventBridge or Step Functions without one (leases, records, events, the watch): they have no database
        to leave half-changed, and no function to be killed or run twice. Each fails for good in a path test, and `test_paths.py` holds that none
        is left out; `test_control_plane.py` has them fail for a while, and lose their answers, on a real stack.
        """
        declared = DECLARED[self.machine]
        of_stages = [state for stage in self.stages for state in declared["stages"].get(stage, [])]
        return [s for s in [*of_stages, *self.states] if s in declared["payloads"] and s not in self.without]


def invoking(machine, *without):
    return tuple(state for state in DECLARED[machine]["payloads"] if state not in without)


WRONG_CHECK = {"name": "never true", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "-1"}

# The states of an undo to which only that of a recovery in place comes.
IN_PLACE_ALONE = ("UndoStartBacktrack", "AwaitForward", "VerifyForward", "UndoAddInstances", "UndoStartRestore", "AwaitDeletion")

FLOWS = [
    Flow("restore, dns", REWIND, "into a new cluster; a person approves; the records move", "Recovered",
         ("plan", "restore", "scheduler", "instances", "jobs", "verify", "comparison", "approval", "fence", "cutover", "release", "finish")),
    Flow("restore, none", REWIND, "into a new cluster that stands beside the source", "Recovered",
         ("plan", "restore", "scheduler", "instances", "jobs", "verify", "finish"), request={"dns": []}),
    # From Verify on it is a recovery as any other.
    Flow("restore, dns, resumed", REWIND, "a recovery whose Verify failed is resumed, and adopts its restored cluster", "Recovered",
         ("plan", "restore", "scheduler", "instances", "jobs"), resumed=True),
    Flow("restore, dns, with events", REWIND, "of Aurora MySQL with an event that must not fire", "Recovered",
         ("scheduler", "jobs", "fence", "release"), states=("SwapDns",), engine="mysql"),
    Flow("restore, none, late writer", REWIND, "another instance than the planned one becomes the writer", "Recovered",
         ("writer",), request={"dns": []}, late_writer=True),
    Flow("restore, dns, rejected", REWIND, "the same, and a person says no", "NothingChanged",
         ("rejection undo", "instances undo", "restore undo", "jobs undo"), decision="rejected", engine="mysql"),
    # On MySQL: the local PostgreSQL commits four times a second, which counts as somebody's writes, and then nobody goes back.
    Flow("restore, dns, moved back", REWIND, "the records move, a name leads elsewhere, and they are moved back", "RolledBack",
         ("cutover undo", "fence undo", "keep undo"), without=("ReadRecords", "LiftRestoredFence", "ReadRecordsAgain", "OpenRestored", "ReadRecordsBack"), hidden=True, engine="mysql"),
    Flow("restore, dns, not moved", REWIND, "the records can't be moved, and an attempt may have moved them", "NothingChanged",
         ("fence undo", "keep undo"), ("ReadRecords", "ReadRecordsAgain", "OpenRestored"), leading={"SwapDns": "fails"}, noted=True),
    Flow("restore, dns, not moved back", REWIND, "a name leads elsewhere, and the records can't be moved back", "NeedsOperator",
         states=("ReadRecordsBack",), hidden=True, leading={"UndoSwapDns": "fails"}, engine="mysql"),
    Flow("restore, dns, to a person", REWIND, "a name leads elsewhere, and the restored cluster can't be fenced", "NeedsOperator",
         states=("LiftRestoredFence",), hidden=True, leading={"FenceRestored": "fails"}),
    Flow("in place", REWIND, "by Backtrack, with a safety clone", "Recovered",
         ("plan", "approval", "fence", "backtrack", "restore", "instances", "verify", "finish"),
         without=("StartRestore",), engine="mysql", in_place=True),
    Flow("in place, forward again", REWIND, "a check fails, and the cluster is backtracked forward", "NothingChanged",
         ("backtrack undo", "fence undo", "instances undo", "restore undo"),
         engine="mysql", in_place=True, request={"checks": [WRONG_CHECK]}),
    Flow("undo", UNDO, "a recovery that moved traffic is undone", "Undone", states=invoking(UNDO, "CloseSource", "UndoFenceRestored", "ReadRecordsBack", "KeepRestored", "KeepSafetyClone", *IN_PLACE_ALONE)),
    # It goes forward by itself where a check fails, unless its function is gone: then a person is called, with the cluster rewound and fenced.
    Flow("undo, in place", UNDO, "a recovery in place that could not go forward by itself is undone", "Undone",
         states=("UndoFenceSource", *IN_PLACE_ALONE),
         engine="mysql", in_place=True, request={"checks": [WRONG_CHECK]}),
    Flow("cancelled", UNDO, "a recovery is cancelled while people are asked", "Undone", states=("KeepRestored",), cancelled=True),
    Flow("undo that fails", UNDO, "the records can't be moved back", "NothingChanged", states=("UndoFenceRestored", "ReadRecordsBack"),
         leading={"UndoSwapDns": "fails"}),
    Flow("clean-up", CLEAN_UP, "the fenced source is past its time", "CleanedUp", states=invoking(CLEAN_UP)),
]  # fmt: skip
BY_NAME = {flow.name: flow for flow in FLOWS}


@dataclass(frozen=True)
class Case:
    """One cell of the matrix."""

    flow: Flow
    state: str
    fault: str

    @property
    def id(self):
        return f"{self.flow.name}/{self.state}/{self.fault}".replace(", ", "-").replace(" ", "-")

    def due(self):
        """The end that the rules give it, and what it leaves."""
        return due(self.flow, self.state, self.fault)

    def next_step(self):
        """What people are told to do then; an empty text if nothing."""
        return next_step(self.flow, self.state, self.fault)


def cases():
    """Every cell: each state of each flow, with each fault."""
    return [Case(flow, state, fault) for flow in FLOWS for state in flow.steps() for fault in FAULTS]


# What is open for reading: it moves no client and changes no data, and tests of paths and end to end hold how it ends.
OF_READING = {("open.asl.json", "OpenSource"), ("open.asl.json", "CloseSource"), ("undo.asl.json", "CloseSource")}
# It sets two tags of the safety clone when clients are in, and whatever it does the undo ends as it would: so tests of paths hold.
OF_TAGS = {(UNDO, "KeepSafetyClone")}


def uncovered():
    """The states that invoke a function and are in no flow."""
    reached = {(flow.machine, state) for flow in FLOWS for state in flow.steps()} | OF_READING | OF_TAGS
    declared = {(machine, state) for machine, content in DECLARED.items() for state in content["payloads"]}
    return sorted(declared - reached)


# ------------------------------------------------------------------------------------------------------------ the rules

# What an end leaves. Clients have the source, unless it is fenced.
NOTHING = "nothing"
RESTORED = "the restored cluster"
SOURCE = "the fenced source"  # clients have the restored cluster
BOTH = "both clusters, fenced"
CLONE = "the safety clone"
FENCED = "the safety clone, and the source fenced"
EMPTIED = "the new cluster, without instances"
SNAPSHOT = "a final snapshot"

# What a flow leaves at its own end.
LEAVES = {
    "restore, dns": SOURCE,
    "restore, none": RESTORED,
    "restore, none, late writer": RESTORED,
    "restore, dns, resumed": SOURCE,
    "restore, dns, with events": SOURCE,
    "restore, dns, rejected": SNAPSHOT,
    "restore, dns, moved back": RESTORED,
    "restore, dns, not moved": RESTORED,
    "restore, dns, not moved back": SOURCE,
    "restore, dns, to a person": SOURCE,
    "in place": CLONE,
    "in place, forward again": SNAPSHOT,
    "undo": RESTORED,
    "undo, in place": SNAPSHOT,
    "undo that fails": SOURCE,
    "cancelled": RESTORED,
    "clean-up": SNAPSHOT,
}


def due(flow, state, fault):
    """A fault that passes changes nothing about the end. One that never ends does, by the stage of its state."""
    if fault not in FOR_GOOD:
        return flow.end, LEAVES[flow.name]
    stage = stage_of(flow, state)
    rule = RULES[flow.name]
    return rule.get((state, fault)) or rule.get(state) or rule[stage]


def next_step(flow, state, fault):
    """What people are told to do after the end of a case; an empty text if nothing."""
    end, left = due(flow, state, fault)
    of_flow = NEXT_OF_FLOW.get((flow.name, state, end)) or NEXT_OF_FLOW.get((flow.name, end))
    return of_flow or NEXT.get((flow.machine, end, left), "")


def stage_of(flow, state):
    stages = DECLARED[flow.machine]["stages"] if flow.machine == REWIND else {}
    return next((name for name, states in stages.items() if state in states), flow.machine)


def without_answer(state, due):
    """The rules of a function that does its work, though its answer never comes."""
    return {(state, "answer lost"): due, (state, "outlives"): due}


UNCHANGED = ("NothingChanged", NOTHING)
KEPT = ("NothingChanged", RESTORED)
RECOVERED = ("Recovered", SOURCE)

# For each flow: the end of a fault that never ends, by state or by stage.
RULES = {
    "restore, dns": {
        "plan": UNCHANGED,
        "StartRestore": UNCHANGED,
        # RDS took it, and restores: that nobody heard of it is no reason to delete it.
        **without_answer("StartRestore", KEPT),
        # Hours may have passed by now: nothing but a rejection, and a restore that RDS calls failed, deletes the cluster.
        **dict.fromkeys(("restore", "scheduler", "instances", "jobs", "verify", "approval", "fence"), KEPT),
        ("SwapDns", "fails"): KEPT,
        # People are asked all the same, and see why nothing was counted.
        "comparison": RECOVERED,
        # The zone says that the records have moved, and nobody moves them back for an answer that was lost.
        "cutover": RECOVERED,
        # What is still held is told of, with the command that releases it.
        "release": RECOVERED,
        "finish": ("NeedsOperator", SOURCE),
    },
    "restore, none": {
        "plan": UNCHANGED,
        "StartRestore": UNCHANGED,
        **without_answer("StartRestore", KEPT),
        **dict.fromkeys(("restore", "scheduler", "instances", "jobs", "verify"), KEPT),
        "finish": ("NeedsOperator", RESTORED),
    },
    # The cluster is the earlier recovery's until StartRestore has taken it over, and is kept all the same.
    "restore, dns, resumed": dict.fromkeys(("plan", "restore", "scheduler", "instances", "jobs"), KEPT),
    "restore, dns, with events": {
        **dict.fromkeys(("scheduler", "jobs", "fence"), KEPT),
        ("SwapDns", "fails"): KEPT,
        **dict.fromkeys(("cutover", "release"), RECOVERED),
    },
    "restore, none, late writer": {"writer": ("Recovered", RESTORED)},
    "restore, dns, rejected": {
        "rejection undo": KEPT,
        ("UndoAddInstances", "fails"): ("NeedsOperator", RESTORED),
        **without_answer("UndoAddInstances", ("NeedsOperator", EMPTIED)),
        ("UndoStartRestore", "fails"): ("NeedsOperator", EMPTIED),
        "restore undo": ("NeedsOperator", SNAPSHOT),
        # A parameter group that is left over harms nobody.
        "jobs undo": ("NothingChanged", SNAPSHOT),
    },
    "restore, dns, moved back": {
        # Traffic stays where it is, on the restored cluster, which is opened again.
        **dict.fromkeys(("FenceRestored", "UndoSwapDns"), ("NeedsOperator", SOURCE)),
        # They are back, as the zone says, so nobody opens the cluster that they led to.
        **without_answer("UndoSwapDns", ("RolledBack", RESTORED)),
        "UndoFenceSource": ("NeedsOperator", BOTH),
        **without_answer("UndoFenceSource", ("NeedsOperator", RESTORED)),
        # A tag that can't be set changes no end: people are told that nothing deletes the cluster by itself.
        "keep undo": ("RolledBack", RESTORED),
    },
    "restore, dns, not moved": {
        "ReadRecords": ("NeedsOperator", SOURCE),
        "UndoFenceSource": ("NeedsOperator", BOTH),
        **without_answer("UndoFenceSource", ("NeedsOperator", RESTORED)),
        # It stays fenced, and people are told so.
        **dict.fromkeys(("ReadRecordsAgain", "OpenRestored"), KEPT),
        "keep undo": KEPT,
    },
    "restore, dns, not moved back": {"cutover undo": ("NeedsOperator", SOURCE)},
    "restore, dns, to a person": {"cutover undo": ("NeedsOperator", SOURCE)},
    "in place": {
        **dict.fromkeys(("plan", "approval", "fence"), UNCHANGED),
        # The clone was usable, so it goes into a final snapshot.
        **dict.fromkeys(("restore", "instances", "backtrack", "verify"), ("NothingChanged", SNAPSHOT)),
        ("CloneSource", "fails"): UNCHANGED,
        "LiftFence": ("NeedsOperator", FENCED),
        **without_answer("LiftFence", ("NeedsOperator", CLONE)),
        "finish": ("NeedsOperator", CLONE),
    },
    "in place, forward again": {
        "backtrack undo": ("NeedsOperator", FENCED),
        "fence undo": ("NeedsOperator", FENCED),
        **without_answer("UndoFenceSource", ("NeedsOperator", CLONE)),
        ("UndoAddInstances", "fails"): ("NeedsOperator", CLONE),
        **without_answer("UndoAddInstances", ("NeedsOperator", EMPTIED)),
        # It takes the protection off, and is called again when that is done: nobody heard that it has to be.
        "UndoStartRestore": ("NeedsOperator", EMPTIED),
        "restore undo": ("NeedsOperator", SNAPSHOT),
    },
    "undo": {
        **dict.fromkeys(("ReadRecords", "FenceRestored", "UndoSwapDns"), ("NothingChanged", SOURCE)),
        **without_answer("UndoSwapDns", ("Undone", RESTORED)),
        "UndoFenceSource": ("NeedsOperator", BOTH),
        **without_answer("UndoFenceSource", ("NeedsOperator", RESTORED)),
        # Clients have the source by then: what could not be confirmed is told, and nothing moves again.
        **dict.fromkeys(("AwaitInSync", "ConfirmSource"), ("Undone", RESTORED)),
        # Its tags mean nothing on a source that has its traffic.
        "UndoFinish": ("Undone", RESTORED),
    },
    "undo, in place": {
        **dict.fromkeys(("UndoStartBacktrack", "AwaitForward", "VerifyForward", "UndoFenceSource"), ("NeedsOperator", FENCED)),
        **without_answer("UndoFenceSource", ("NeedsOperator", CLONE)),
        # Clients are in by then: what is left of the safety clone is told.
        ("UndoAddInstances", "fails"): ("Undone", CLONE),
        **without_answer("UndoAddInstances", ("Undone", EMPTIED)),
        "UndoStartRestore": ("Undone", EMPTIED),
        "AwaitDeletion": ("Undone", SNAPSHOT),
    },
    "undo that fails": {
        # Where the records lead is not known.
        "ReadRecordsBack": ("NeedsOperator", SOURCE),
        "UndoFenceRestored": ("NeedsOperator", BOTH),
        **without_answer("UndoFenceRestored", ("NeedsOperator", SOURCE)),
    },
    # It bears a time since it was restored.
    "cancelled": {UNDO: ("Undone", RESTORED)},
    "clean-up": {
        CLEAN_UP: ("NotCleanedUp", SOURCE),
        # It is deleted all the same, into its snapshot.
        **without_answer("CleanUp", ("NotCleanedUp", SNAPSHOT)),
    },
}

# The next steps: what `make faults` does after an end, before anything is mended by hand, and its own end.
RESUME = "resume"
TAKE_BACK = "undo"
CLEAN_AGAIN = "clean-up"
ADMIT = "admit clients by the command in the cause"
FORWARD = "return the cluster to its state before the rewind by the calls of the runbook"
DELETE = "delete what is left"
ENDS = {RESUME: "Recovered", TAKE_BACK: "Undone", CLEAN_AGAIN: "CleanedUp"}

# By machine, end and what is left.
NEXT = {
    (REWIND, "NothingChanged", RESTORED): RESUME,
    # The runbook lifts its fence first.
    (REWIND, "RolledBack", RESTORED): RESUME,
    (REWIND, "Recovered", SOURCE): TAKE_BACK,
    **dict.fromkeys([(REWIND, "NeedsOperator", left) for left in (SOURCE, RESTORED, BOTH)], TAKE_BACK),
    **dict.fromkeys([(REWIND, "NeedsOperator", left) for left in (EMPTIED, SNAPSHOT)], DELETE),
    **dict.fromkeys([(UNDO, end, left) for end in ("NothingChanged", "NeedsOperator") for left in (SOURCE, RESTORED, BOTH, FENCED, CLONE)], TAKE_BACK),
    **dict.fromkeys([(UNDO, "Undone", left) for left in (CLONE, EMPTIED)], DELETE),
    **dict.fromkeys([(CLEAN_UP, "NotCleanedUp", left) for left in (SOURCE, SNAPSHOT)], CLEAN_AGAIN),
}

# Where a flow has others, for one state or for all: by its end.
NEXT_OF_FLOW = {
    # Its report is missing, and a resume writes it.
    ("restore, none", "NeedsOperator"): RESUME,
    ("restore, dns, rejected", "UndoAddInstances", "NeedsOperator"): DELETE,
    ("in place", "LiftFence", "NeedsOperator"): ADMIT,
    **dict.fromkeys([("in place, forward again", state, "NeedsOperator") for state in ("UndoStartBacktrack", "AwaitForward", "VerifyForward")], FORWARD),
    ("in place, forward again", "UndoFenceSource", "NeedsOperator"): ADMIT,
    ("in place, forward again", "NeedsOperator"): DELETE,
    ("cancelled", "Undone"): RESUME,
}
