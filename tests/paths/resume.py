"""The paths of a recovery that resumes an earlier one: whose record it reads, which of two requests it follows, and when it takes over a
lease that nobody works under any more. The earlier recovery is a record in the table, or an execution that is really stopped.
"""

import json
import time

from execution import LONGEST, execute, hold_lease, problems_of_calls, problems_of_end
from scenario import BUG_BEFORE_CHANGE, MACHINE, NOTHING_CHANGED, NO_LEASE, Scenario, always, slug
from stages import DONE, REWIND, between, stage

# Read before the lease, and once more asked whether one is needed.
BEGIN = ["Begin", "IsLeaseNeeded", "ReadResumed", "IsResumedOver"]
FENCE = ["ReadResumedFence", "IsLeaseToTakeOver", "IsLeaseNeeded"]
READ = [*BEGIN, *FENCE]
ASKED = [*BEGIN, "DescribeResumed", "IsFunctionPossiblyRunning", *FENCE]
STOPPED = [*BEGIN, "DescribeResumed", "IsFunctionPossiblyRunning", "WaitForStopped", "ReadStopped", *FENCE]
# Step Functions does not know its execution, or does not answer.
UNKNOWN_END = [*BEGIN, "DescribeResumed", *FENCE]
PLANNED = ["AcquireLease", *stage("plan", without=["Planned"])]
ADOPTED = [*PLANNED, "RecordResumed", "ReleaseResumedLease", *REWIND, *DONE]
HELD = ["AcquireLease", "ReadLease", "ReadHolder", *NO_LEASE]
DRY = between("plan", "ValidateWindow", "Planned")
UNKNOWN = [*READ, "ValidateWindow", *NO_LEASE]  # without a cluster there is none

CHECKS = [{"name": "a", "database": "d", "sql": "SELECT 1", "expect": "1"}]
TARGET = "2026-11-23T10:30:00Z"


def cluster(name):
    return f"cluster-of-{name}"


def asked(name):
    """The earlier request, as RecordPlan stored it: it resumed one itself, and was never a dry run."""
    return {
        "cluster": cluster(name), "to": "5m ago", "newCluster": "given", "strategy": "auto", "checks": CHECKS, "keepSource": "3d",
        "approval": "none", "resume": "the-first",
    }  # fmt: skip


def record(name, earlier, **but):
    """What the earlier recovery left in the table; `but` is what is otherwise."""
    plan = {
        "recoveryId": earlier, "cluster": cluster(name), "newCluster": "kept", "strategy": "restore", "target": TARGET,
        "useLatest": False, "dns": [{"hostedZoneId": "Z1", "name": "db.example.com", "ttl": 5, "from": "x", "endpoint": "writer"}],
        "checks": CHECKS, "adopted": {"recovery": "the-first", "owners": ["the-first"]},
    }  # fmt: skip
    fields = {
        "id": f"recovery#{earlier}", "recoveryId": earlier, "state": "NothingChanged", "cluster": cluster(name),
        "newCluster": "kept", "executionArn": f"arn:aws:states:us-east-1:000000000000:execution:none:{earlier}",
        "startedAt": TARGET, "plan": json.dumps(plan), "request": json.dumps(asked(name)),
    }  # fmt: skip
    return {key: {"S": value} for key, value in (fields | but).items() if value is not None}


class Resume(Scenario):
    """A resume, and what the earlier recovery is: attributes of its record, how it was stopped, `running`, or nothing."""

    def __init__(self, name, path, *rest, earlier, merged=None, resumed=None, **more):
        super().__init__(f"resume: {name}", path, *rest, **more)
        self.earlier, self.merged, self.resumed = earlier, merged, resumed


def scenarios():
    return [*ways(), *leases(), *refused()]


def ways():
    merged = {
        "cluster": "{cluster}", "to": TARGET, "newCluster": "kept", "strategy": "restore", "checks": CHECKS, "keepSource": "3d",
        "approval": "none", "dryRun": False,
    }  # fmt: skip
    read = {
        "state": "NothingChanged", "status": None, "hasRequest": True, "fence": "none", "restoredFence": "none",
        "noneSent": False, "asked": {"cluster": None, "to": None, "newCluster": None, "strategy": None},
    }  # fmt: skip
    yield Resume(
        "the earlier request is followed", [*READ, *ADOPTED], earlier={}, request={}, merged=merged, resumed=read
    )
    given = {"cluster": "Other", "to": "latest", "checks": [], "keepSource": None, "approvalTimeout": "2h"}
    yield Resume(
        "a field that is given overrides, and null takes one away",
        [*READ, *ADOPTED],
        earlier={"fence": "{}", "cleanUp": "{}", "fenceRestoredLiftedAt": TARGET, "recordsSentAt": "null"},
        request=given,
        merged={name: value for name, value in merged.items() if name != "keepSource"} | {"checks": [], "approvalTimeout": "2h"},
        resumed=read
        | {"fence": "up", "restoredFence": "lifted", "noneSent": True}
        | {"asked": read["asked"] | {"cluster": "Other", "to": "latest"}},
    )
    yield Resume(
        "a dry run takes no lease and writes nothing",
        [*READ, *DRY],
        earlier={},
        request={"dryRun": True},
        merged=merged | {"dryRun": True},
        recorded=False,
    )
    yield Resume(
        "a record of an earlier version has no request",
        [*READ, *ADOPTED],
        earlier={"request": None},
        request={"approval": "none"},
        merged={
            "cluster": "{cluster}", "to": TARGET, "newCluster": "kept", "strategy": "restore", "approval": "none", "dryRun": False
        },
        resumed=read | {"hasRequest": False},
    )  # fmt: skip
    yield Resume(
        "what an undo left of the restored cluster's lease cannot be released", [*UNKNOWN_END[:4], *FENCE, *ADOPTED], earlier={}, request={},
        mocked={"ReleaseResumedLease": "DynamoDB.AmazonDynamoDBException"},
    )  # fmt: skip
    yield Resume(
        "a record that cannot be marked hides nothing",
        [*READ, *ADOPTED],
        earlier={},
        request={},
        mocked={"RecordResumed": "DynamoDB.ConditionalCheckFailedException"},
        recorded=False,
    )


def leases():
    yield Resume(
        "one that was stopped leaves its lease", [*STOPPED, *ADOPTED], earlier="stopped", request={"approval": "none", "dns": []}
    )  # fmt: skip
    # What it had called may run on, so that is waited for; while people are asked nothing runs that changes anything.
    yield Resume(
        "one that was stopped while people were asked is not waited for", [*ASKED, *ADOPTED], earlier="asked",
        request={"approval": "none", "dns": []},
    )  # fmt: skip
    # By its record it has ended, and its function may still be at work; while people are asked, none is.
    for state, path in [("Running", STOPPED), ("AwaitingApproval", READ)]:
        yield Resume(
            f"one that was stopped while {state} and has its end in the table", [*path, *ADOPTED], earlier=f"ended {state}",
            request={"approval": "none", "dns": []},
        )  # fmt: skip
    yield Resume(
        "a dry run waits for nobody", [*ASKED, *DRY], earlier="stopped", request={"dryRun": True}, lease_stays=True, recorded=False
    )  # fmt: skip
    yield Resume(
        "one whose fence was lifted and that sent no record leaves its lease", [*STOPPED, *ADOPTED], earlier="lifted",
        request={"approval": "none", "dns": []},
    )  # fmt: skip
    yield Resume(
        "one that sent records before its fence was lifted keeps its lease", [*STOPPED, *HELD], "LeaseHeld",
        earlier="lifted after the move", request={}, lease_stays=True, recorded=False,
    )  # fmt: skip
    # Fencing the source failed, and a person lifted what there was of it.
    yield Resume(
        "one that called a person leaves its lease when its fence was lifted", [*UNKNOWN_END, *ADOPTED],
        earlier={"state": "NeedsOperator", "fenceLiftedAt": TARGET, "recordsSentAt": "null"}, request={}, held="earlier",
    )  # fmt: skip
    yield Resume(
        "one that runs keeps its lease", [*ASKED, *HELD], "LeaseHeld", ["rewind resume"], earlier="running", request={},
        lease_stays=True, recorded=False,
    )  # fmt: skip
    # Its fence may be up: who deletes the item of the lease says that the source is in order.
    yield Resume(
        "one that was stopped with a fence keeps its lease", [*STOPPED, *HELD], "LeaseHeld", ["rewind undo resume--one-that-was-stopped-with-a-fence-keeps-its-lease-earlier"],
        earlier="fenced", request={}, lease_stays=True, recorded=False,
    )  # fmt: skip
    # It keeps its lease, so that nobody starts another recovery of what a person has to look at.
    yield Resume(
        "one that called a person before any fence leaves its lease", [*UNKNOWN_END, *ADOPTED], earlier={"state": "NeedsOperator"}, request={},
        held="earlier",
    )  # fmt: skip
    yield Resume(
        "one that called a person with a fence keeps its lease", [*UNKNOWN_END, *HELD], "LeaseHeld",
        [" ended in NeedsOperator, and keeps lease#", "and needs a person", "next step: rewind status resume--one-that-called-a-person-with-a-fence"],
        earlier={"state": "NeedsOperator", "fence": "{}"}, request={}, held="earlier", lease_stays=True, recorded=False,
    )  # fmt: skip
    yield Resume(
        "without an answer of Step Functions the lease is respected",
        [*BEGIN, "DescribeResumed", *FENCE, *HELD],
        "LeaseHeld",
        earlier="stopped",
        request={},
        mocked={"DescribeResumed": "Sfn.SfnException"},
        lease_stays=True,
        recorded=False,
    )
    yield Resume(
        "another recovery has the lease by now", [*READ, *HELD], "LeaseHeld", ["the-other-one"], earlier={},
        request={}, held=True, lease_stays=True, recorded=False,
    )  # fmt: skip


def refused():
    script = {"ValidateWindow": always("InvalidRequest", "`resume`: there is no recovery")}
    yield Resume("there is no such recovery", UNKNOWN, "InvalidRequest", earlier=None, request={}, script=script, recorded=False)
    script = {"ValidateWindow": always("InvalidRequest", "ended before it had a plan")}
    yield Resume(
        "one without a plan", UNKNOWN, "InvalidRequest", earlier={"plan": None}, request={}, script=script, recorded=False
    )
    for mocked, path, error in [
        ("DynamoDB.AmazonDynamoDBException", NOTHING_CHANGED, "Unavailable"),
        ("States.QueryEvaluationError", BUG_BEFORE_CHANGE, "Bug"),
    ]:
        path = [state for state in path if state != "ReleaseLeaseAfterFailure"]
        yield Resume(
            f"the record cannot be read: {error}", [*BEGIN[:3], *path], error, earlier={}, request={},
            mocked={"ReadResumed": mocked}, recorded=False,
        )  # fmt: skip
        yield Resume(
            f"the record of its fence cannot be read: {error}", [*BEGIN, "ReadResumedFence", *path], error, earlier={}, request={},
            mocked={"ReadResumedFence": mocked}, recorded=False,
        )  # fmt: skip
        yield Resume(
            f"whether a stopped one sent records cannot be read: {error}", [*STOPPED[: STOPPED.index("ReadStopped") + 1], *path], error,
            earlier="stopped", request={}, mocked={"ReadStopped": mocked}, lease_stays=True, recorded=False,
        )  # fmt: skip


def run(deployment, scenario):
    """Runs the earlier recovery or writes its record, then resumes it; answers what is wrong."""
    name = slug(scenario.name)
    earlier, lease = f"{name}-earlier"[:80], f"lease#{cluster(name)}"
    (deployment.scripts / f"{name}.json").write_text(json.dumps(scenario.script))
    if isinstance(scenario.earlier, str):
        begin(deployment, scenario, name, earlier)
    elif scenario.earlier is not None:
        item = record(name, earlier, **scenario.earlier)
        deployment.client("dynamodb").put_item(TableName=deployment.table, Item=item)
    hold_lease(deployment, scenario, lease)
    ended = execute(deployment, scenario, name, {"resume": earlier} | scenario.request)
    if scenario.earlier == "running":
        deployment.client("stepfunctions").stop_execution(executionArn=execution_of(deployment, earlier))
    return [
        *problems_of_end(deployment, scenario, ended),
        *problems_of_calls(deployment, scenario, name),
        *problems_of_requests(deployment, scenario, name, earlier),
        *problems_of_table(deployment, scenario, name, earlier, lease),
    ]


def execution_of(deployment, name):
    return f"{deployment.arns[MACHINE].replace(':stateMachine:', ':execution:')}:{name}"


# What the record of the earlier recovery's fence is.
FENCED = {"fenced": "fence", "lifted": "fenceLiftedAt", "lifted after the move": "fenceLiftedAt"}


def begin(deployment, scenario, name, earlier):
    """Runs a recovery up to the wait for people, and stops it there unless it shall go on running."""
    states = deployment.client("stepfunctions")
    (deployment.scripts / f"{earlier}.json").write_text("{}")
    request = {"cluster": cluster(name), "to": "5m ago", "dns": [{}], "approval": "required"}
    arn = states.start_execution(stateMachineArn=deployment.arns[MACHINE], name=earlier, input=json.dumps(request))["executionArn"]
    deadline = time.monotonic() + LONGEST
    while "RequestApproval" not in [call["call"] for call in deployment.calls_of(earlier)]:
        assert time.monotonic() < deadline, "the earlier recovery never asked"
        time.sleep(0.2)
    table = deployment.client("dynamodb")
    if scenario.earlier in FENCED:
        fence = {"id": {"S": f"fence#{earlier}"}, FENCED[scenario.earlier]: {"S": "{}"}}
        table.put_item(TableName=deployment.table, Item=fence)
    attributes = {"asked": ("state", "AwaitingApproval"), "lifted after the move": ("recordsSentAt", json.dumps(TARGET))}
    attributes |= {f"ended {state}": ("stoppedIn", state) for state in ("Running", "AwaitingApproval")}
    attribute, value = attributes.get(scenario.earlier, (None, None))
    if attribute:
        table.update_item(
            TableName=deployment.table, Key={"id": {"S": f"recovery#{earlier}"}}, UpdateExpression="SET #a = :v",
            ExpressionAttributeNames={"#a": attribute}, ExpressionAttributeValues={":v": {"S": value}},
        )  # fmt: skip
    if scenario.earlier.startswith("ended "):
        table.update_item(
            TableName=deployment.table, Key={"id": {"S": f"recovery#{earlier}"}}, UpdateExpression="SET #s = :s REMOVE approval",
            ExpressionAttributeNames={"#s": "state"}, ExpressionAttributeValues={":s": {"S": "NothingChanged"}},
        )  # fmt: skip
        table.delete_item(TableName=deployment.table, Key={"id": {"S": f"lease#{cluster(name)}"}})
    if scenario.earlier != "running":
        states.stop_execution(executionArn=arn)


def problems_of_requests(deployment, scenario, name, earlier):
    """Compares what ValidateWindow was passed: the merged request, and the record."""
    calls = [call["payload"] for call in deployment.calls_of(name) if call["call"] == "ValidateWindow"]
    if scenario.merged is not None:
        expected = scenario.merged | {"resume": earlier, "cluster": cluster(name)}
        if calls[0]["request"] != expected:
            yield f"the merged request was {calls[0]['request']}, expected {expected}"
    if scenario.resumed is not None:
        passed = calls[0]["resumed"]
        for field, value in scenario.resumed.items():
            if passed[field] != value:
                yield f"{field} of the record was {passed[field]}, expected {value}"
        plan = passed["plan"]
        if (plan["newCluster"], plan["target"], plan["useLatest"], plan["adopted"]["owners"]) != ("kept", TARGET, False, ["the-first"]):
            yield f"the earlier plan was {plan}"
        if [record["name"] for record in plan["dns"]] != ["db.example.com"] or set(plan) != PLAN:
            yield f"the earlier plan was {plan}"


PLAN = {"cluster", "newCluster", "target", "useLatest", "strategy", "dns", "adopted"}


def problems_of_table(deployment, scenario, name, earlier, lease):
    left = deployment.item(lease)
    if bool(left) != scenario.lease_stays:
        yield f"the lease {'stayed: ' + str(left) if left else 'is gone'}"
    kept = deployment.item(f"recovery#{earlier}") or {}
    by = kept.get("resumedBy", {}).get("S")
    if by != (name if scenario.recorded else None):
        yield f"the earlier record names {by} as what resumed it"
    own = deployment.item(f"recovery#{name}") or {}
    if scenario.recorded and json.loads(own["request"]["S"])["resume"] != earlier:
        yield f"the record holds the request {own['request']}"
