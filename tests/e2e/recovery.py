"""A recovery: an execution of the deployed state machine, its path, its item in the table, and a person's answer."""

import datetime
import json
import re
import time
import uuid

from checks import contains, same_path, wait_until
from cluster import remove
from leak_watch import TOKEN
from stages import (
    APPROVE, ASK, COMPARE, DECIDED, DONE, FENCE, FORWARD, INSTANCES, RELEASED, REWIND, START, UNCONFIRMED, UNDO_FENCE, UNDO_INSTANCES,
    between, stage,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------------ the paths

DRY_RUN = "Begin IsLeaseNeeded ValidateWindow Preflight IsBlocked AnnouncePlan IsDryRun Planned".split()
REFUSE = [*ASK, "IsApprovalToConfirm", *DECIDED]
# The old TTL is waited for once: it is longer than the first look takes.
SWITCH = stage("cutover", without=UNCONFIRMED) + between("cutover", "ConfirmCutover", "IsCutoverConfirmed") + stage("release")

CONCLUDE = ["ConcludeNothingChanged", *RELEASED, "NothingChanged"]
ROLLED_BACK = ["ConcludeRolledBack", *RELEASED, "RolledBack"]
# Whoever had no lease, or keeps it, gives none back.
WITHOUT_RELEASE = [state for state in RELEASED if state != "ReleaseLeaseAfterFailure"]
CONCLUDE_WITHOUT_LEASE = ["ConcludeNothingChanged", *WITHOUT_RELEASE, "NothingChanged"]
# Refused before anything was changed.
REFUSED = [*START[: START.index("ValidateWindow") + 1], *CONCLUDE]
BLOCKED = [*START[: START.index("IsBlocked") + 1], *CONCLUDE]
NEEDS_OPERATOR = ["IsAnythingChanged", "ConcludeNeedsOperator", *WITHOUT_RELEASE, "NeedsOperator"]

WITHOUT_RECORDS = START + REWIND + DONE
WITHOUT_APPROVAL = START + REWIND + ["IsApprovalNeeded"] + FENCE + SWITCH + DONE
APPROVED = START + REWIND + COMPARE + APPROVE + FENCE + SWITCH + DONE

AWAIT_REWIND = stage("restore", without=["StartRestore"])
CLONE = ["CloneSource", *AWAIT_REWIND, *INSTANCES]
BACK = ["NoteBacktrack", "InspectFence", "StartBacktrack", "IsBacktrackStarted", *AWAIT_REWIND, *stage("verify"), "NoteLift", "LiftFence"]
IN_PLACE = START + ["IsApprovalNeeded"] + FENCE + CLONE + BACK + DONE
IN_PLACE_APPROVED = START + APPROVE + FENCE + CLONE + BACK + DONE
# Where no backtrack was begun, or it failed: compared all the same.
NO_FORWARD = [state for state in FORWARD if state not in ("AwaitForward", "IsForwardDone")]
UNDO_CLONE = UNDO_FENCE + UNDO_INSTANCES

# A wait that takes more than one look goes round: how often depends on the machine's mood alone.
ROUNDS = ["AwaitRewind IsRewindDone", "AwaitInstances AreInstancesReady", "AwaitDeletion IsDeletionDone",
          "AwaitForward IsForwardDone", "AwaitInSync IsInSync", "IsCutoverConfirmed WaitForOldTtl ConfirmCutover",
          "CompareTables IsComparisonDone", "RequestApproval IsApprovalExpired"]  # fmt: skip


def without_repeated_waits(path):
    """The path with every wait gone round once, and an approval's slices as one."""
    text = " ".join(path)
    for steps in ROUNDS:
        text = re.sub(rf"\b({steps} )(?:{steps} )+", r"\1", text + " ").strip()
    return re.sub(r"\bRequestApproval IsApprovalExpired RequestApproval\b", "RequestApproval", text).split()


def up_to(state, path):
    """The path until it has reached the last `state` in it."""
    return path[: len(path) - path[::-1].index(state)]


# ------------------------------------------------------------------------------------------------------------ execution


class Recovery:
    """An execution."""

    def __init__(self, stack, request, name=None, machine=None):
        self.stack, self.request = stack, request
        self.id = name or f"e2e-{uuid.uuid4().hex[:12]}"
        self.called = time.time()
        started = stack.states.start_execution(
            stateMachineArn=machine or stack.machine, name=self.id, input=json.dumps(self.request)
        )
        self.arn = started["executionArn"]
        self._ended = None

    @classmethod
    def of(cls, cluster, to, name=None, machine=None, **more):
        """A recovery of a test's cluster; the restored cluster goes when the test has passed."""
        new = more.setdefault("newCluster", f"{cluster.name}-r")
        # Most tests compare the data themselves.
        if more.get("approval") == "none" and not more.get("checks"):
            more.setdefault("unverified", "accepted")
        cluster.stack.on_success(lambda: remove(cluster.stack, new))
        return cls(cluster.stack, {"cluster": cluster.name, "to": to} | more, name, machine)

    def describe(self):
        return self.stack.states.describe_execution(executionArn=self.arn)

    def events(self):
        pages = self.stack.states.get_paginator("get_execution_history").paginate(
            executionArn=self.arn, PaginationConfig={"PageSize": 500}
        )
        return [event for page in pages for event in page["events"]]

    def whole_path(self):
        return [e["stateEnteredEventDetails"]["name"] for e in self.events() if "stateEnteredEventDetails" in e]

    def path(self):
        return without_repeated_waits(self.whole_path())

    def item(self):
        return self.stack.item(f"recovery#{self.id}") or {}

    def wait(self, timeout=150):
        """Waits for the end; answers what DescribeExecution says."""
        deadline = time.monotonic() + timeout
        while (ended := self.describe())["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.id} was in {self.whole_path()[-1]} after {timeout} s")
            time.sleep(0.1)
        self._ended = ended
        return ended

    def reaches(self, state, timeout=90):
        """Waits until it has entered `state`; an end before that is a failure of the test."""

        def look():
            if state in self.whole_path():
                return True
            ended = self.describe()
            if ended["status"] != "RUNNING" and state not in self.whole_path():
                raise AssertionError(f"it ended before {state}: {ended.get('error')}: {ended.get('cause')}")

        wait_until(look, f"{state} of {self.id}", timeout)

    # ---------------------------------------------------------------------------------------------------------- answers

    def approval(self, timeout=90):
        """The pending request for approval."""

        def look():
            pending = self.item().get("approval")
            if not pending and self.describe()["status"] != "RUNNING":
                ended = self.describe()
                raise AssertionError(f"it ended without asking: {ended.get('error')}: {ended.get('cause')}")
            return pending

        return wait_until(look, f"a request for approval by {self.id}", timeout)

    def decide(self, decision, **more):
        """Sends a decision with the token that is valid now: a token lives for a minute."""
        while True:
            pending = self.approval()
            self.stack.leak_watch.remember(TOKEN, pending["taskToken"])
            answer = {"decision": decision, "by": "e2e", "hash": pending["hash"]} | more
            try:
                self.stack.states.send_task_success(taskToken=pending["taskToken"], output=json.dumps(answer))
                return
            except (self.stack.states.exceptions.TaskTimedOut, self.stack.states.exceptions.TaskDoesNotExist):
                time.sleep(0.3)

    # ------------------------------------------------------------------------------------------------------------- ends

    def recovered(self, path, timeout=150):
        """It has recovered, by this path; answers its output."""
        ended = self.wait(timeout)
        if ended["status"] != "SUCCEEDED":
            raise AssertionError(
                f"it {ended['status']}: {ended.get('error')}: {ended.get('cause')}\nby {' '.join(self.path())}"
            )
        same_path(self.path(), path)
        output = json.loads(ended["output"])
        assert output["outcome"] == "Recovered", "the outcome"
        assert output["recoveryId"] == self.id, "the recovery's id"
        assert self.item().get("state") == "Recovered", "the state in the table"
        assert "approval" not in self.item(), "an approval left in the table"
        assert self.stack.item(f"lease#{self.request['cluster']}") is None, "the lease afterwards"
        return output

    def failed(self, path, error, *said, timeout=150, lease=None):
        """It has failed, by this path, with this error and a cause that says all of `said`; answers the cause."""
        ended = self.wait(timeout)
        if ended["status"] != "FAILED":
            raise AssertionError(f"it {ended['status']}: {ended.get('output')}")
        if self.path() != path:
            try:
                same_path(self.path(), path)
            except AssertionError as failure:
                raise AssertionError(f"{failure}\nwith {ended['error']}: {ended['cause']}") from None
        assert ended["error"] == error, "the error"
        contains(ended["cause"], *said)
        item = self.item()
        assert item.get("state") == path[-1], "the state in the table"
        assert (item.get("error"), item.get("cause")) == (ended["error"], ended["cause"]), "what the table tells"
        assert "approval" not in item, "an approval left in the table"
        if isinstance(self.request, dict) and isinstance(self.request.get("cluster"), str):
            held = self.stack.item(f"lease#{self.request['cluster'].lower()}")
            assert (held and held["recoveryId"]) == lease, "who holds the lease afterwards"
        return ended["cause"]

    def stop(self):
        """Somebody stops the execution; waits until that is in the table."""
        self.stack.states.stop_execution(executionArn=self.arn)
        wait_until(lambda: self.item().get("state") not in ("Running", "AwaitingApproval"), f"the recorded end of {self.id}", 60)

    def release_lease(self):
        """What a person does when all is put in order."""
        key = {"id": {"S": f"lease#{self.request['cluster']}"}}
        self.stack.client("dynamodb").delete_item(TableName=self.stack.table, Key=key)

    def result(self, state):
        """What the function behind `state` answered, from the history."""
        entered = None
        for event in self.events():
            if "stateEnteredEventDetails" in event:
                entered = event["stateEnteredEventDetails"]["name"]
            if entered == state and "taskSucceededEventDetails" in event:
                output = json.loads(event["taskSucceededEventDetails"]["output"])
                return output.get("Payload", output)
        raise AssertionError(f"{state} has no answer in the history")


class Started(Recovery):
    """A recovery that somebody else started."""

    def __init__(self, stack, name):
        self.stack, self.id = stack, name
        self.arn = stack.machine.replace(":stateMachine:", ":execution:") + ":" + name
        described = self.describe()
        self.request = json.loads(described["input"])
        self.called, self._ended = described["startDate"].timestamp(), None
        if "newCluster" in self.request:
            stack.on_success(lambda: remove(stack, self.request["newCluster"]))


def undo(stack, recovery):
    """Starts the machine that undoes a recovery; answers how that ended."""
    started = stack.states.start_execution(
        stateMachineArn=stack.outputs["UndoStateMachineArn"],
        name=f"{recovery}-undo",
        input=json.dumps({"recovery": recovery, "by": "e2e"}),
    )
    look = lambda: stack.states.describe_execution(executionArn=started["executionArn"])
    return wait_until(lambda: (ended := look())["status"] != "RUNNING" and ended, "the end of the undo", 120)


def moment(text):
    """A time of the output."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds(text):
    """A time of the output as seconds of the epoch."""
    return moment(text).timestamp()
