"""One case of the matrix: a recovery with a fault at one state, and all that must hold when it has ended. It knows no pytest."""

import hashlib
import json
import time
import urllib.parse

from checks import wait_until
from flows import CLEAN_UP, CLONE, FAULTS, NOTHING, PAUSES, RESTORED, REWIND, SOURCE, UNDO
from recovery import Recovery
from stages import DECLARED

CHECK = {"name": "orders are there", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "3"}
TIMEOUT = 400
KEPT_ENDS = [("NothingChanged", RESTORED), ("RolledBack", RESTORED)]
CAN_RESUME = any("ReadResumed" in states for states in DECLARED[REWIND]["stages"].values())


class Failed(AssertionError):
    """The case did not end as it is documented, or left something that nobody is told of."""


def plan_fault(stack, execution, state, fault, seed):
    """Plans a fault for a state of an execution that is about to start."""
    kind, times, _ = FAULTS[fault]
    # Another moment for each case, and the same one each time: before, in or after what the function does.
    after = 0.02 + int(hashlib.sha256(seed.encode()).hexdigest(), 16) % 200 / 1000
    plan_kind(stack, execution, state, kind, times=times, after=after)


def plan_kind(stack, execution, state, kind, **more):
    """Plans a fault by its kind in local/tools/ministack_faults.py."""
    body = {"execution": execution, "state": state, "fault": kind, "pauses": PAUSES} | more
    status, content = stack.own("/_rewind/faults", json.dumps(body).encode())
    assert status == 200, content


def plan(stack, kind="faults", **fault):
    """Plans a fault of the control plane."""
    status, _ = stack.own(f"/_local/{kind}?{urllib.parse.urlencode(fault)}")
    assert status in (200, 204), "the answer to a fault that was planned"


def limit(stack, service, calls, *mentions, fails="throttle"):
    """Limits the calls of functions to Route 53 or DynamoDB that mention all of these texts to so many a second, or ends that; answers how many
    failed under the limit before."""
    body = json.dumps({"limit": service, "calls": calls, "mentions": mentions, "fails": fails}).encode()
    return json.loads(stack.own("/_rewind/faults", body)[1])["failed"]


def note_sent(stack, name):
    """Leaves the note of an attempt that ended between it and its batch."""
    stack.client("dynamodb").update_item(
        TableName=stack.table, Key={"id": {"S": f"recovery#{name}"}}, UpdateExpression="SET recordsSentAt = :at",
        ExpressionAttributeValues={":at": {"S": json.dumps("2026-11-23T10:30:00Z")}},
    )  # fmt: skip


def told_of_fault(stack, execution, state):
    """How often the fault happened, and how many functions still run that their state has given up."""
    return json.loads(stack.own(f"/_rewind/faults?execution={execution}&state={state}", method="GET")[1])


def recover(ground, name, decision="approved", during=None, machine=None, at=None, timeout=TIMEOUT, **more):
    """A recovery of a ground to a second ago, to its end; people decide when they are asked, after `during`. `at` is a state, and what is
    called when it is reached. Answers both."""
    request = {
        "cluster": ground.name, "to": "1s ago", "newCluster": f"{ground.name}-r", "checks": [CHECK],
        "dns": ground.cluster.dns(), "approval": "required" if decision else "none", "keepSource": "1h",
    }  # fmt: skip
    request = {field: value for field, value in (request | more).items() if value != []}
    ground.settle()
    run = Recovery(ground.stack, request, name, machine)
    states, decided, deadline = ground.stack.states, set(), time.monotonic() + timeout
    while (ended := run.describe())["status"] == "RUNNING":
        if at and at[0] in run.whole_path():
            at[1](run)
            at = None
        pending = run.item().get("approval") if decision else None
        if pending and pending["taskToken"] not in decided:
            if during and not decided:
                during(run)
            answer = {"decision": decision, "by": "e2e", "hash": pending["hash"]}
            decided.add(pending["taskToken"])
            try:
                states.send_task_success(taskToken=pending["taskToken"], output=json.dumps(answer))
            except (states.exceptions.TaskTimedOut, states.exceptions.TaskDoesNotExist):
                pass  # the next slice has a token of its own
        if time.monotonic() > deadline:
            raise Failed(f"{name} was in {run.whole_path()[-1]} after {timeout} s")
        time.sleep(0.2)
    return run, ended


class Run:
    """A case on its ground."""

    def __init__(self, ground, case, number):
        self.ground, self.stack, self.case, self.flow = ground, ground.stack, case, case.flow
        self.name = f"{ground.name}-{number}"
        self.new = f"{ground.name}-r"

    # -------------------------------------------------------------------------------------------------------- the run

    def run(self):
        """Runs the case; raises `Failed` with everything that is wrong."""
        prepare = {REWIND: self.rewind, UNDO: self.undo, CLEAN_UP: self.clean_up}[self.flow.machine]
        ended = prepare()
        wait_until(lambda: not self.fault()["running"], "the end of the functions that were given up")
        problems = list(self.problems(ended))
        if problems:
            raise Failed(f"{self.case.id} ({self.name}): " + "; ".join(problems) + f"\n{self.describe(ended)}")
        return self.ended_as(ended)

    def describe(self, ended):
        return f"by {' '.join(self.execution.path())}\nwith {ended.get('error')}: {ended.get('cause') or ended.get('output')}"

    def fault(self):
        return told_of_fault(self.stack, self.name, self.case.state)

    def plan(self, name):
        for state, fault in [*self.flow.leading.items(), (self.case.state, self.case.fault)]:
            plan_fault(self.stack, name, state, fault, self.case.id)

    def recovery(self, name, decision="approved", **more):
        """A recovery of the ground, to its end."""
        in_place = {"strategy": "backtrack", "inPlace": "allowed"} if self.flow.in_place else {}
        self.execution, ended = recover(self.ground, name, decision, **(in_place | self.flow.request | more))
        return ended

    def rewind(self):
        self.plan(self.name)
        if self.flow.late_writer:
            plan(self.stack, "instances", instance=f"{self.new}-1", becomes="late")
        try:
            return self.recovery(self.name, self.flow.decision, during=self.while_people_are_asked)
        finally:
            self.ground.show_record()

    def while_people_are_asked(self, run):
        if self.flow.hidden:
            self.ground.hide_record()
        if self.flow.noted:
            note_sent(self.stack, run.id)

    def recovered_first(self):
        """What comes before an undo and a clean-up: a recovery without a fault."""
        first = f"{self.name}-first"
        ended = self.recovery(first, None)
        if ended["status"] != "SUCCEEDED":
            raise Failed(f"{self.case.id}: the recovery before it ended with {ended.get('error')}: {ended.get('cause')}")
        return first

    def undo(self):
        if self.flow.cancelled:
            return self.cancelled_first()
        first = self.recovered_first()
        self.plan(self.name)
        return self.start_undo(first, self.name)

    def cancelled_first(self):
        """A recovery that is cancelled while people are asked."""
        self.plan(self.name)
        undone = []

        def cancel(run):
            undone.append((self.start_undo(run.id, self.name, cancel=True), self.execution))

        ended = self.recovery(f"{self.name}-first", at=("RequestApproval", cancel))
        if ended["status"] != "ABORTED":
            raise Failed(f"{self.case.id}: the recovery that was cancelled is {ended['status']}")
        ended, self.execution = undone[0]
        return ended

    def start_undo(self, recovery, name, **more):
        return self.execute(self.stack.outputs["UndoStateMachineArn"], name, {"recovery": recovery, "by": "e2e", **more})

    def clean_up(self):
        self.recovered_first()
        # As the report advises: the source's secret goes with it, and the cluster that has the traffic needs one of its own.
        self.stack.rds.modify_db_cluster(DBClusterIdentifier=self.new, ManageMasterUserPassword=True, ApplyImmediately=True)
        self.ground.cluster.derived(self.new).wait_available()
        arn = self.ground.cluster.describe()["DBClusterArn"]
        past = [{"Key": "aurora-rewind:keep-until", "Value": "2026-01-01T00:00:00Z"}]
        # Each clean-up looks at everything that is due: one at a time has something that is.
        with self.stack.exclusive("clean-up"):
            self.stack.rds.add_tags_to_resource(ResourceName=arn, Tags=past)
            self.plan(self.name)
            ended = self.execute(self.stack.outputs["CleanUpStateMachineArn"], self.name, {})
            if self.stack.describe(self.ground.name):
                self.stack.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["aurora-rewind:keep-until"])
            return ended

    def execute(self, machine, name, given):
        run = Recovery(self.stack, given, name, machine)
        self.execution = run
        return run.wait(TIMEOUT)

    # ---------------------------------------------------------------------------------------------------- what must hold

    def ended_as(self, ended):
        """The name of the end: the last state, or what a recovery says of itself."""
        return self.execution.path()[-1]

    def problems(self, ended):
        """Everything that is not as it must be."""
        end, left = self.case.due()
        path = self.execution.path()
        if self.case.state not in path:
            yield f"it never came to {self.case.state}"
            return
        if not self.fault()["hits"]:
            yield "the fault never happened"
        if path[-1] != end:
            yield f"it ended in {path[-1]}, and has to end in {end}"
        yield from self.problems_of_leftovers(json.dumps([ended.get("output"), ended.get("cause")]), end, left)

    def problems_of_leftovers(self, told, end, left):
        """What is there that nobody is told of, and what is not there that should be."""
        ground = self.ground
        if self.flow.machine == CLEAN_UP:
            return  # what is beside the source has the traffic; `after` looks at the source
        for name in ground.others():
            if name not in told and not any(name.startswith(f"{cluster}-") for cluster in ground.other_clusters() if cluster in told):
                yield f"{name} is left, and nobody is told of it"
        clusters = ground.other_clusters()
        if left == NOTHING and clusters:
            yield f"{clusters} are left"
        if left in (RESTORED, SOURCE, CLONE) and self.new not in clusters:
            yield f"{left} is gone"
        for group in [] if clusters else ground.parameter_groups():
            if group not in told:
                yield f"the parameter group {group} is left, and nobody is told of it"
        if (end, left) in KEPT_ENDS and self.new in clusters:
            if "aurora-rewind:keep-until" not in {tag["Key"] for tag in self.stack.describe(self.new)["TagList"]}:
                yield "the restored cluster has no tag that says until when it is kept"
            # One that may have had clients is adopted by no other recovery.
            onward = f"rewind resume {self.name}" if end == "NothingChanged" else f"was moved back to {ground.name}"
            if self.flow.request.get("dns") != [] and onward not in told:
                yield "nobody is told how to go on with it"
        for lease in ground.leases():
            if end != "NeedsOperator":
                yield f"{lease['id']} is held by {lease['recoveryId']}"
            elif lease["id"] not in told:
                yield f"{lease['id']} is held, and nobody is told of it"
        if end in ("NothingChanged", "RolledBack") and self.flow.machine == REWIND:
            yield from (f"nothing is to be changed, and {difference}" for difference in ground.differences())

    # ------------------------------------------------------------------------------------------------------- afterwards

    def after(self):
        """Resumes what is kept, undoes what moved traffic, looks for every acknowledged row, and puts the ground in order; answers
        what is wrong."""
        ground, problems = self.ground, []
        if self.flow.machine == CLEAN_UP and not self.stack.describe(ground.name):
            return self.deleted()
        last = self.name
        if self.flow.machine == REWIND and self.case.due() == ("NothingChanged", RESTORED) and CAN_RESUME:
            last = f"{self.name}-resumed"
            if "lift its fence" in self.told():
                self.lift_restored_fence()
            request = {"cluster": ground.name, "resume": self.name, "approval": "none", "checks": [CHECK]}
            ended = self.execute(self.stack.machine, last, request)
            if ended["status"] != "SUCCEEDED":
                problems.append(f"resuming it ended with {ended.get('error')}: {ended.get('cause')}")
        item = self.stack.item(f"recovery#{last}") or {}
        moved = item.get("state") == "Recovered" and self.flow.request.get("dns") != []
        if self.flow.machine == REWIND and moved and not self.flow.in_place:
            ended = self.start_undo(last, f"{last}-undo")
            if ended["status"] != "SUCCEEDED":
                problems.append(f"the undo afterwards ended with {ended.get('error')}: {ended.get('cause')}")
        others = ground.other_clusters()
        ground.open_source()
        missing = ground.unexplained(others)
        if missing:
            problems.append(missing)
        ground.put_in_order()
        return problems

    def told(self):
        """What people are told at the end."""
        return self.stack.item(f"recovery#{self.name}").get("cause", "")

    def lift_restored_fence(self):
        """Lifts the fence of the restored cluster as docs/runbook.md says, by a call of the function."""
        item, new = self.stack.item(f"recovery#{self.name}"), self.stack.describe(self.new)
        plan = json.loads(item["plan"])
        payload = {
            "recovery": {"id": item["recoveryId"], "executionArn": item["executionArn"], "startedAt": item["startedAt"]},
            "plan": plan, "fence": "restored", "direction": "undo",
            "restored": {
                "cluster": self.new, "clusterArn": new["DBClusterArn"], "writerEndpoint": new["Endpoint"],
                "readerEndpoint": new["ReaderEndpoint"], "rewoundTo": plan["target"], "differences": [],
            },
        }  # fmt: skip
        function = self.stack.function("FenceSource")["FunctionName"]
        answer = self.stack.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        assert "FunctionError" not in answer, answer["Payload"].read()

    def deleted(self):
        """The source is gone, as it has to be: its final snapshot holds it."""
        found = self.stack.rds.describe_db_cluster_snapshots(DBClusterIdentifier=self.ground.name)["DBClusterSnapshots"]
        for snapshot in found:
            self.stack.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotIdentifier"])
        self.ground.is_gone = True
        return [] if len(found) == 1 else [f"it has {len(found)} final snapshots"]
