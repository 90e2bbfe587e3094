"""What one execution is told and what it must do, and the stretches of states that paths are made of. It runs nothing."""

import json
import re
from itertools import count
from pathlib import Path

from stages import APPROVE, ASK, COMPARE, DECIDED, DONE, FENCE, RELEASED, REWIND, START, UNCONFIRMED, between, stage

DEFINITIONS = Path(__file__).resolve().parent.parent.parent / "statemachine"

# The state machines: copies of the deployed ones, three whose timeouts are over at once, and one of a
# stack whose clean-up is off.
MACHINE, WITHOUT_TIMEOUTS, UNDO = "rewind-paths", "rewind-paths-without-timeouts", "rewind-paths-undo"
CLEAN_UP, CLEAN_UP_WITHOUT_TIMEOUTS = "rewind-paths-clean-up", "rewind-paths-clean-up-without-timeouts"
CLEAN_UP_DISABLED = "rewind-paths-clean-up-disabled"
WATCH = "rewind-paths-watch"
STOPPED = "rewind-paths-stopped"
UNDO_WITHOUT_TIMEOUTS = "rewind-paths-undo-without-timeouts"
UNDOS = (UNDO, UNDO_WITHOUT_TIMEOUTS)
OPEN = "rewind-paths-open"

REQUEST = {"cluster": "my-aurora-cluster", "to": "5m ago", "dns": [{}], "approval": "none"}
WITH_APPROVAL = REQUEST | {"approval": "required"}

# ------------------------------------------------------------------------------------------------------------ the paths

REFUSED = [*ASK, "IsApprovalToConfirm", *DECIDED]
IN_SYNC = between("cutover", "AwaitInSync", "IsInSync")
SWITCH = FENCE + stage("cutover", without=["WaitForOldTtl", *UNCONFIRMED]) + stage("release") + DONE
SUCCESS = START + REWIND + ["IsApprovalNeeded"] + SWITCH
APPROVED = START + REWIND + COMPARE + APPROVE + SWITCH

NOTHING_CHANGED = ["ConcludeNothingChanged", *RELEASED, "NothingChanged"]
# Without a lease of its own to release: another one's stays.
NO_LEASE = [state for state in NOTHING_CHANGED if state != "ReleaseLeaseAfterFailure"]
ROLLED_BACK = ["ConcludeRolledBack", *RELEASED, "RolledBack"]
CONCLUDE = ["IsAnythingChanged", "ConcludeNeedsOperator"]
NEEDS_OPERATOR = [*CONCLUDE, *(state for state in RELEASED if state != "ReleaseLeaseAfterFailure"), "NeedsOperator"]
BUG_BEFORE_CHANGE = [*CONCLUDE, *RELEASED, "NeedsOperator"]


def slug(name):
    """A scenario's name as an execution may be named."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())[:75]  # leaves room for "-undo": AWS takes 80 characters


def name_of(scenario):
    """A scenario's name as a test may be named, so that -k takes parts of it."""
    return re.sub(r"\W+", "-", scenario.name)


def up_to(state, path=SUCCESS):
    return path[: path.index(state) + 1]


# What passes by itself: a function in a VPC that was idle for weeks is not ready for as long as ten minutes.
NOT_READY = ["Lambda.ResourceNotReadyException"] * 22
PASSING = ["Throttled", "ClusterNotReady", "ClusterNotReady", *NOT_READY, "OutcomeUnknown"]


def passing():
    return [{"error": [name, "wait"]} for name in PASSING]


def retrier(state, error, definition="rewind.asl.json"):
    """The entry of `Retry` that repeats a state after an error."""
    states = json.loads((DEFINITIONS / definition).read_text())["States"]
    return next(retrier for retrier in states[state]["Retry"] if error in retrier["ErrorEquals"])


def attempts(state, error, definition="rewind.asl.json"):
    """How often a state is repeated after an error."""
    return retrier(state, error, definition)["MaxAttempts"]


def away(state, *errors, minutes=55):
    """What a service or a function that is away so long answers to a state: the errors in turn, as often as the state asks
    on average. Full jitter draws a pause between zero and its limit."""
    of = retrier(state, errors[0])
    assert of["JitterStrategy"] == "FULL", f"{state} pauses otherwise than is reckoned here"
    limits = (min(of["IntervalSeconds"] * of["BackoffRate"] ** n, of["MaxDelaySeconds"]) for n in count())
    waited, answers = 0, []
    while waited < minutes * 60:
        answers.append({"error": [errors[len(answers) % len(errors)], "away"]})
        waited += next(limits) / 2
    return answers


def always(name, message="it is so"):
    return [{"error": [name, message], "always": True}]


# A value that a check found. It is in the answer of Verify, and in nothing that leaves the execution.
VALUE = "canary-4711"


# What somebody writes in place of a cluster. A chat would call everybody, and a shell carry it out where it completes it.
FORGED = "<!channel> $(touch x)"


def unmet(why):
    """What Verify answers where a check failed: its reason names the check, and its results have the value."""
    check = {"name": "rows are back", "database": "shop", "expected": "2", "found": VALUE, "source": VALUE, "passed": False}
    report = {"passed": False, "failure": why, "checks": [check], "tables": [], "notes": []}
    return [{"answer": report, "always": True}]


class Scenario:
    """What one execution is told, and what it must do."""

    def __init__(self, name, path, error=None, cause=(), script=None, request=None, **more):
        self.name, self.path, self.error, self.cause = name, path, error, cause
        self.script, self.request = script or {}, REQUEST if request is None else request
        self.calls = more.pop("calls", {})  # call -> how many
        # (slice, decision): answers the approval in that slice; one, or several in order
        decide = more.pop("decide", [])
        self.decide = decide if isinstance(decide, list) else [decide]
        self.held = more.pop("held", False)  # the lease is somebody else's
        self.machine = more.pop("machine", MACHINE)
        self.mocked = more.pop("mocked", None)  # a native state that throws: state -> error, or error and cause; or its answers
        self.lease_stays = more.pop("lease_stays", False)
        self.recorded = more.pop("recorded", True)
        self.differences = more.pop("differences", [])  # beside those of AddInstances
        assert not more, more

    @property
    def end(self):
        return self.path[-1]

    @property
    def waits_for_people(self):
        """A minute goes by before a slice of an approval has expired."""
        return "IsApprovalExpired" in self.path
