"""One case of the matrix: a recovery with a fault at one state, and all that must hold when it has ended. It knows no pytest."""

import hashlib
import json
import re
import time
import urllib.parse

from checks import wait_until
from flows import (
    ADMIT, BOTH, CLEAN_AGAIN, CLEAN_UP, CLONE, DELETE, EMPTIED, ENDS, FAULTS, FENCED, FORWARD, PAUSES, RESTORED, RESUME, REWIND, SNAPSHOT,
    SOURCE, TAKE_BACK, UNDO, stage_of,
)  # fmt: skip
from recovery import Recovery

CHECK = {"name": "orders are there", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "3"}
TIMEOUT = 400
KEPT_ENDS = [("NothingChanged", RESTORED), ("RolledBack", RESTORED)]
# What is left of the new cluster, by what is left.
NEW = (RESTORED, SOURCE, BOTH, CLONE, FENCED, EMPTIED)


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


def limit(stack, service, calls, *mentions, **more):
    """Limits the calls of functions to Route 53 or DynamoDB that mention all of these texts to so many a second, or ends that; answers how many
    failed under the limit before. `more`: how they fail, and how many at most."""
    body = json.dumps({"limit": service, "calls": calls, "mentions": mentions, **more}).encode()
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
    request = {field: value for field, value in (request | more).items() if value not in ([], None)}
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
    """A case on its ground. The seed draws the moment of its faults."""

    def __init__(self, ground, case, number, seed=None):
        self.ground, self.stack, self.case, self.flow = ground, ground.stack, case, case.flow
        self.name = f"{ground.name}-{number}"
        self.first = f"{self.name}-first"
        self.new = f"{ground.name}-r"
        self.seed = seed or case.id

    # -------------------------------------------------------------------------------------------------------- the run

    def run(self):
        """Runs the case; raises `Failed` with everything that is wrong."""
        prepare = {REWIND: self.rewind, UNDO: self.undo, CLEAN_UP: self.clean_up}[self.flow.machine]
        self.ended = prepare()
        self.wait_for_late_functions()
        problems = list(self.problems())
        if problems:
            raise Failed(f"{self.case.id} ({self.name}): " + "; ".join(problems) + f"\n{self.describe()}")
        return self.execution.path()[-1]

    def describe(self):
        return f"by {' '.join(self.execution.path())}\nwith {self.ended.get('error')}: {self.ended.get('cause') or self.ended.get('output')}"

    def fault(self):
        return told_of_fault(self.stack, self.name, self.case.state)

    def wait_for_late_functions(self):
        wait_until(lambda: not self.fault()["running"], "the end of the functions that were given up")

    def plan(self, name):
        for state, fault in [*self.flow.leading.items(), (self.case.state, self.case.fault)]:
            plan_fault(self.stack, name, state, fault, self.seed)

    def recovery(self, name, decision="approved", **more):
        """A recovery of the ground, to its end."""
        self.execution, ended = recover(self.ground, name, decision, **(self.ground.request | self.flow.request | more))
        return ended

    def rewind(self):
        resumed = self.failed_first() if self.flow.resumed else {}
        self.plan(self.name)
        if self.flow.late_writer:
            plan(self.stack, "instances", instance=f"{self.new}-1", becomes="late")
        try:
            return self.recovery(self.name, self.flow.decision, during=self.while_people_are_asked, **resumed)
        finally:
            self.ground.show_record()

    def while_people_are_asked(self, run):
        if self.flow.hidden:
            self.ground.hide_record()
        if self.flow.noted:
            note_sent(self.stack, run.id)

    def failed_first(self):
        """What comes before a recovery that resumes: one that Verify ends. Answers the fields that ask for its resume."""
        plan_fault(self.stack, self.first, "Verify", "fails", self.seed)
        ended = self.recovery(self.first, None)
        if self.execution.path()[-1] != "NothingChanged":
            raise Failed(f"{self.case.id}: the recovery before it ended with {ended.get('error')}: {ended.get('cause')}")
        return {"resume": self.first, "to": None, "newCluster": None}

    def recovered_first(self):
        """What comes before an undo and a clean-up: a recovery without a fault."""
        ended = self.recovery(self.first, None)
        if ended["status"] != "SUCCEEDED":
            raise Failed(f"{self.case.id}: the recovery before it ended with {ended.get('error')}: {ended.get('cause')}")

    def undo(self):
        if self.flow.cancelled:
            return self.cancelled_first()
        if self.flow.in_place:
            self.rewound_first()
        else:
            self.recovered_first()
        self.plan(self.name)
        return self.start_undo(self.first, self.name)

    def rewound_first(self):
        """What comes before the undo of a recovery in place: one that a check ends, and that cannot go forward by itself."""
        plan_fault(self.stack, self.first, "UndoStartBacktrack", "fails", self.seed)
        ended = self.recovery(self.first, None)
        if self.execution.path()[-1] != "NeedsOperator":
            raise Failed(f"{self.case.id}: the recovery before it ended with {ended.get('error')}: {ended.get('cause')}")

    def cancelled_first(self):
        """A recovery that is cancelled while people are asked."""
        self.plan(self.name)
        undone = []

        def cancel(run):
            undone.append((self.start_undo(run.id, self.name, cancel=True), self.execution))

        ended = self.recovery(self.first, at=("RequestApproval", cancel))
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
        self.plan(self.name)
        return self.clean_up_now(self.name)

    def clean_up_now(self, name):
        """A clean-up of a source that is past its time."""
        past = [{"Key": "aurora-rewind:keep-until", "Value": "2026-01-01T00:00:00Z"}]
        # Each clean-up looks at everything that is due: one at a time has something that is.
        with self.stack.exclusive("clean-up"):
            if found := self.stack.describe(self.ground.name):
                self.stack.rds.add_tags_to_resource(ResourceName=found["DBClusterArn"], Tags=past)
            ended = self.execute(self.stack.outputs["CleanUpStateMachineArn"], name, {})
            self.wait_for_late_functions()
            if found := self.stack.describe(self.ground.name):
                self.stack.rds.remove_tags_from_resource(ResourceName=found["DBClusterArn"], TagKeys=["aurora-rewind:keep-until"])
            return ended

    def execute(self, machine, name, given):
        run = Recovery(self.stack, given, name, machine)
        self.execution = run
        return run.wait(TIMEOUT)

    # ---------------------------------------------------------------------------------------------------- what must hold

    def problems(self):
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
        yield from self.problems_of_what_is_left(left)
        yield from self.problems_of_the_source(end, left)
        yield from self.problems_of_leases(end)
        if self.flow.machine != CLEAN_UP:  # it tells people by messages of its own
            yield from self.untold(end, left)

    @property
    def told(self):
        """What people are told at the end."""
        return json.dumps([self.ended.get("output"), self.ended.get("cause")])

    def problems_of_what_is_left(self, left):
        """What is not left that should be, and what is that should not."""
        ground = self.ground
        # A first call takes the protection off, and one that finds this done deletes: which of them comes last, the clocks of RDS decide.
        is_unheard = left == EMPTIED and self.case.state == "UndoStartRestore" and self.case.fault in ("answer lost", "outlives")
        if is_unheard and (self.stack.describe(self.new) or {"Status": "deleting"})["Status"] == "deleting":
            left = SNAPSHOT
        gone = [ground.name] if self.flow.machine == CLEAN_UP and left == SNAPSHOT else []
        # The cluster that has the traffic is none of what a clean-up leaves.
        there = left in NEW or self.flow.machine == CLEAN_UP
        if not there or gone:
            deleting = lambda: [name for name in [*gone, self.new] if (self.stack.describe(name) or {}).get("Status") == "deleting"]
            wait_until(lambda: not deleting(), f"the end of what is being deleted of {ground.name}")
        for name in gone:
            if self.stack.describe(name):
                yield f"{name} is there"
        clusters = ground.other_clusters()
        if clusters != ([self.new] if there else []):
            yield f"{clusters} are left, and {left} has to be"
            return
        snapshots = ground.snapshots()
        if len(snapshots) != (left == SNAPSHOT):
            yield f"{snapshots} are left, and {left} has to be"
        if not there:
            return
        found = self.stack.describe(self.new)
        owner = {tag["Key"]: tag["Value"] for tag in found["TagList"]}.get("aurora-rewind:recovery")
        if owner not in (self.name, self.first):
            yield f"{self.new} is of {owner}"
        instances = [one["DBInstanceIdentifier"] for one in self.stack.instances(self.new) if one["DBInstanceStatus"] != "deleting"]
        if left == EMPTIED and instances:
            yield f"{instances} are left"
        if left in (SOURCE, BOTH, CLONE, FENCED) and not instances:
            yield f"{self.new} has no instance"
        if left in (CLONE, FENCED) and not found["DeletionProtection"]:
            yield f"{self.new} is not protected"
        is_fenced = self.is_fenced(found)
        if is_fenced != (left == BOTH or self.new_is_left_fenced()):
            yield f"{self.new} is {'' if is_fenced else 'not '}fenced"

    def new_is_left_fenced(self):
        """Clients may have been on it, and have the source again."""
        if self.case.due() == ("Undone", RESTORED):
            return not self.flow.cancelled
        back_on_source = self.case.due()[1] == RESTORED and self.flow.name in ("restore, dns, moved back", "restore, dns, not moved", "undo")
        return back_on_source and "OpenRestored" not in self.done()

    def done(self):
        """The states that the execution passed, of which a fault that never ends did not keep the function from its work."""
        not_done = [state for state, fault in [*self.flow.leading.items(), (self.case.state, self.case.fault)] if fault == "fails"]
        return [state for state in self.execution.path() if state not in not_done]

    def is_fenced(self, described):
        return sorted(group["VpcSecurityGroupId"] for group in described["VpcSecurityGroups"]) == sorted(self.stack.fence_groups)

    def problems_of_the_source(self, end, left):
        """Where the source is not fenced and has to be, or is not as it was at first."""
        ground = self.ground
        if self.flow.machine == CLEAN_UP and left == SNAPSHOT:
            return
        described = ground.cluster.describe()
        if left in (SOURCE, BOTH, FENCED):
            if not self.is_fenced(described):
                yield f"{ground.name} is not fenced: its security groups are {ground.cluster.groups}"
            yield from (f"{login} gets in to {ground.name}, which is fenced" for login in ground.who_gets_in())
        else:
            # An undo that stopped half-way has not come to the tags.
            documented = ["leases", *(["tags"] if self.flow.machine == UNDO else [])] if end == "NeedsOperator" else self.tags_are_left()
            yield from (f"the source has to be as it was, and {difference}" for difference in ground.differences(*documented))
        if left == SOURCE and end in ("Recovered", "NotCleanedUp") or (self.flow.machine, end) == (UNDO, "NothingChanged"):
            if (record := self.stack.records().get(ground.record))[0] != self.stack.describe(self.new)["Endpoint"]:
                yield f"the record is {record}"
            keys = {tag["Key"] for tag in described["TagList"]}
            if "aurora-rewind:fenced-by" not in keys or "aurora-rewind:keep-until" not in keys and self.flow.machine != CLEAN_UP:
                yield f"the source has the tags {sorted(keys)}"

    def problems_of_leases(self, end):
        for lease in self.ground.leases():
            if end != "NeedsOperator":
                yield f"{lease['id']} is held by {lease['recoveryId']}"
            elif lease["id"] not in self.told:
                yield f"{lease['id']} is held, and nobody is told of it"

    def untold(self, end, left):
        """What is there that nobody is told of, and a next step that is not named."""
        ground, told = self.ground, self.told
        # Before the resume takes the cluster over, the end of the earlier recovery tells of it.
        is_planning = self.flow.resumed and stage_of(self.flow, self.case.state) == "plan"
        earlier = self.cause_of(self.first) if self.flow.resumed else ""
        # By its name, or by the command that shows it.
        # RDS takes minutes to delete a cluster, and so names the snapshot to a second call too; here the cluster may be gone by then.
        is_repeated = self.case.state == "UndoStartRestore" and end == "NothingChanged"
        shown = is_repeated or f"aws rds describe-db-cluster-snapshots --db-cluster-identifier {self.new}" in told
        for name in [*ground.others(), *([] if shown else ground.snapshots())]:
            if name not in told + earlier and not any(name.startswith(f"{cluster}-") for cluster in ground.other_clusters() if cluster in told + earlier):
                yield f"{name} is left, and nobody is told of it"
        for group in [] if ground.other_clusters() else ground.parameter_groups():
            if group not in told:
                yield f"the parameter group {group} is left, and nobody is told of it"
        if (end, left) in KEPT_ENDS:
            found = self.stack.describe(self.new)
            if found and "aurora-rewind:keep-until" not in {tag["Key"] for tag in found["TagList"]}:
                yield "the restored cluster has no tag that says until when it is kept"
        for command, next_step in (("resume", RESUME), ("undo", TAKE_BACK)):
            # Where the work is done, it is on a page.
            is_told = end == "Recovered" or is_planning or stage_of(self.flow, self.case.state) == "finish"
            if self.case.next_step() == next_step and not is_told and not self.named(command, told):
                yield f"nobody is told how to go on: {command}"

    def named(self, command, told):
        """The recovery that people are told to resume or to undo; None if none."""
        found = re.search(rf"rewind {command} ({re.escape(self.name)}(?:-first)?)(?![\w-])", told)
        if command == "undo" and "undo it again" in told:
            return self.first
        return found and found[1]

    def cause_of(self, name):
        return (self.stack.item(f"recovery#{name}") or {}).get("cause", "")

    # ------------------------------------------------------------------------------------------------------- afterwards

    def after(self):
        """Does what people are told to do, sees that nothing is left to mend on the source, looks for every acknowledged row, and puts the
        ground in order; answers what is wrong."""
        ground = self.ground
        problems = list(self.go_on())
        if problems:
            return problems
        if self.flow.machine == CLEAN_UP:
            return self.deleted()
        did = self.case.next_step() or "nothing"
        problems += [f"after '{did}' {difference}" for difference in ground.differences(*self.tags_are_left())]
        others = ground.other_clusters()
        ground.open_source()
        missing = ground.unexplained(others)
        if missing:
            problems.append(missing)
        ground.put_in_order()
        return problems

    def tags_are_left(self):
        """People are told that the tags of the source could not be taken off."""
        return ["tags"] if (self.case.state, self.case.fault) == ("UndoFinish", "fails") else []

    def go_on(self):
        """Does what people are told to do; answers what is wrong with its end."""
        step = self.case.next_step()
        does = {
            RESUME: self.resume, TAKE_BACK: self.take_back, CLEAN_AGAIN: self.clean_again, ADMIT: self.admit, FORWARD: self.return_forward,
            DELETE: self.ground.remove_others,
        }  # fmt: skip
        if step:
            yield from does[step]() or []
        if self.case.due()[0] == "NeedsOperator" and step not in ENDS:
            # The last of the steps by hand; the others release it themselves.
            self.ground.release_leases()

    def ends_in(self, end, ended):
        found = self.execution.path()[-1]
        if found != end:
            yield f"what people were told to do ended in {found}, and not in {end}, with {ended.get('error')}: {ended.get('cause')}"

    def resume(self):
        earlier = self.named("resume", self.told) or (self.first if self.flow.resumed or self.flow.cancelled else self.name)
        if self.case.due()[0] == "RolledBack" or "lift its fence" in self.told:
            self.call("FenceSource", fence="restored", direction="undo")
        name = f"{self.name}-resumed"
        request = {"cluster": self.ground.name, "resume": earlier, "approval": "none", "checks": [CHECK]}
        yield from self.ends_in(ENDS[RESUME], self.execute(self.stack.machine, name, request))
        if self.execution.path()[-1] == ENDS[RESUME] and self.flow.request.get("dns") != []:
            yield from self.ends_in(ENDS[TAKE_BACK], self.start_undo(name, f"{name}-undo"))

    def take_back(self):
        name = self.first if self.flow.machine == UNDO else self.name
        yield from self.ends_in(ENDS[TAKE_BACK], self.start_undo(name, f"{self.name}-undo"))

    def clean_again(self):
        yield from self.ends_in(ENDS[CLEAN_AGAIN], self.clean_up_now(f"{self.name}-again"))

    def admit(self):
        """Runs the command at the end of the cause."""
        found = re.search(r"aws rds modify-db-cluster --db-cluster-identifier (\S+) --vpc-security-group-ids ((?:sg-\w+ ?)+)", self.told)
        if not found:
            return ["nobody is told how to admit clients"]
        self.stack.rds.modify_db_cluster(DBClusterIdentifier=found[1], VpcSecurityGroupIds=found[2].split())
        self.ground.cluster.wait_available()

    def return_forward(self):
        """As docs/runbook.md says of a cluster that is to be returned to its state before the rewind."""
        wait_until(lambda: self.call("StartBacktrack", False, direction="undo") is not None, "a backtrack forward")
        backtracks = lambda: self.stack.rds.describe_db_cluster_backtracks(DBClusterIdentifier=self.ground.name)["DBClusterBacktracks"]
        wait_until(lambda: all(one["Status"] in ("completed", "COMPLETED") for one in backtracks()), "the end of the backtrack")
        self.ground.cluster.wait_available()
        if not self.call("Verify", restored=None, expect="sameAsSource")["passed"]:
            return ["it is not what it was"]
        self.call("FenceSource", direction="undo")
        self.ground.cluster.wait_available()

    def call(self, function, must=True, **more):
        """Calls a function by hand, as docs/runbook.md says; answers what it answered, or None if it failed and need not."""
        item, new = self.stack.item(f"recovery#{self.name}"), self.stack.describe(self.new)
        plan = json.loads(item["plan"])
        payload = {
            "recovery": {"id": item["recoveryId"], "executionArn": item["executionArn"], "startedAt": item["startedAt"]},
            "plan": plan,
            "restored": new and {
                "cluster": self.new, "clusterArn": new["DBClusterArn"], "writerEndpoint": new["Endpoint"],
                "readerEndpoint": new["ReaderEndpoint"], "rewoundTo": plan["target"], "differences": [],
            },
            "approval": json.loads(item.get("decision", "{}")).get("approval"),
        }  # fmt: skip
        name = self.stack.function(function)["FunctionName"]
        answer = self.stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload | more))
        said = json.loads(answer["Payload"].read())
        assert not must or "FunctionError" not in answer, said
        return None if "FunctionError" in answer else said

    def deleted(self):
        """The source is gone, as it has to be: its final snapshot holds it."""
        self.ground.is_gone = True
        snapshots = self.ground.snapshots()
        self.ground.remove_snapshots()
        problems = [] if len(snapshots) == 1 else [f"it has the final snapshots {snapshots}"]
        return problems + ([f"{self.ground.name} is there"] if self.stack.describe(self.ground.name) else [])
