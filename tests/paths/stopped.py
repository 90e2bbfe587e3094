"""The paths of the machine that finds a recovery which was stopped: what it writes into record and lease, and when it calls a person."""

import json
import time

from execution import execute, problems_of_end
from scenario import STOPPED, Scenario, slug, up_to

READ = ["Begin", "ReadRecovery", "ReadFence", "IsSettled"]
SETTLED = [*READ, "Settled"]
FREE = [*READ, "ConcludeNothingChanged", "RecordStopped", "IsLeaseKept", "ReleaseLease", "AnnounceStopped", "IsOperatorNeeded", "Settled"]
CALLED = [*READ, "ConcludeNeedsOperator", "RecordStopped", "IsLeaseKept", "NoteOnLease", "AnnounceStopped", "IsOperatorNeeded", "NeedsOperator"]
BROKEN = "DynamoDB.AmazonDynamoDBException"
BEGUN = {"fenceBegunAt": "2026-11-23T10:40:00Z"}


def run(deployment, scenario):
    """Runs it for a recovery whose item is as the scenario says; answers what is wrong."""
    recovery = slug(scenario.name)
    cluster, table = f"cluster-of-{recovery}", deployment.client("dynamodb")
    fields = {
        "id": f"recovery#{recovery}", "state": "Running", "cluster": cluster, "newCluster": f"{cluster}-rewind",
        "plan": json.dumps({"strategy": scenario.request["strategy"]}), "approval": "open",
    }  # fmt: skip
    if scenario.request["item"] is not None:
        fields |= scenario.request["item"]
        table.put_item(TableName=deployment.table, Item={name: {"S": value} for name, value in fields.items()})
    if scenario.request["fenced"]:
        table.put_item(TableName=deployment.table, Item={"id": {"S": f"fence#{recovery}"}, "fence": {"S": "{}"}})
    lease = {
        "id": {"S": f"lease#{cluster}"}, "recoveryId": {"S": recovery}, "executionArn": {"S": f"arn:of:{recovery}"},
        "expiresAt": {"N": str(int(time.time()) + 3600)},
    }  # fmt: skip
    table.put_item(TableName=deployment.table, Item=lease)
    detail = {"name": recovery, "executionArn": f"arn:of:{recovery}", "status": "ABORTED"}
    ended = execute(deployment, scenario, recovery, {"detail-type": "Step Functions Execution Status Change", "detail": detail})
    after, left = deployment.item(f"recovery#{recovery}"), deployment.item(f"lease#{cluster}")
    return [*problems_of_end(deployment, scenario, ended), *problems_of_table(scenario, fields, after, left)]


def problems_of_table(scenario, fields, after, lease):
    if bool(lease) != scenario.lease_stays:
        yield f"the lease {'stayed' if lease else 'is gone'}"
    # Without the record nobody knows which lease it is.
    noted = "NoteOnLease" in scenario.path and not {"ReadRecovery", "NoteOnLease"} & set(scenario.mocked or {})
    if lease and ("stoppedAt" in lease) != noted:
        yield f"the lease says {lease}"
    if scenario.recorded is None:
        if after is not None and after != {name: {"S": value} for name, value in fields.items()}:
            yield f"the record was changed: {after}"
    elif (after["state"]["S"], "approval" in after, "endedAt" in after) != (scenario.recorded, False, True):
        yield f"the record is {after}"
    elif scenario.recorded == "NothingChanged" and "no traffic was moved" not in after["cause"]["S"]:
        yield f"the cause is {after['cause']}"


def scenario(name, path, *rest, item=None, fenced=False, strategy="restore", recorded=None, **more):
    request = {"item": item, "fenced": fenced, "strategy": strategy}
    return Scenario(f"stopped: {name}", path, *rest, request=request, machine=STOPPED, recorded=recorded, **more)


def scenarios():
    cancelled = json.dumps({"id": "u", "by": "ana", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
    before = json.dumps({"id": "u", "by": "ana", "at": "2026-11-23T10:40:00Z"})
    called = {"error": "OutcomeUnknown", "lease_stays": True}
    by_undo = ["next step: rewind undo stopped--", "may be fenced, and the records may point at"]
    yield scenario("before the fence: the cluster is free again", FREE, item={}, recorded="NothingChanged")
    yield scenario("while people are asked", FREE, item={"state": "AwaitingApproval"}, recorded="NothingChanged")
    yield scenario("after the fence began: a person is called", CALLED, cause=by_undo, item=BEGUN, recorded="NeedsOperator", **called)
    yield scenario(
        "an earlier version had fenced: a person is called", CALLED, cause=by_undo, item={}, fenced=True, recorded="NeedsOperator", **called
    )
    yield scenario(
        "in place: the runbook", CALLED, cause=["docs/runbook.md#an-execution-was-stopped"], item=BEGUN, strategy="backtrack",
        recorded="NeedsOperator", **called,
    )  # fmt: skip
    yield scenario("an undo ended it, and settles it", SETTLED, item=BEGUN | {"cancel": cancelled}, lease_stays=True)
    yield scenario(
        "an undo that ended nothing is no excuse", CALLED, cause=by_undo, item=BEGUN | {"cancel": before}, recorded="NeedsOperator", **called
    )
    yield scenario("its record has an end, and its lease is left", [*READ, "ReleaseLeftLease", "Settled"], item={"state": "Recovered"})
    yield scenario("a person looks already", SETTLED, item={"state": "NeedsOperator"}, lease_stays=True)
    yield scenario(
        "ReleaseLeftLease throws", [*READ, "ReleaseLeftLease", "Settled"], item={"state": "NothingChanged"}, mocked={"ReleaseLeftLease": BROKEN},
        lease_stays=True,
    )  # fmt: skip
    unplanned = [*READ, "ConcludeUnplanned", "AnnounceStopped", "IsOperatorNeeded", "Settled"]
    yield scenario("it had no plan yet: people are told", unplanned, lease_stays=True)
    for state in ["ReadRecovery", "ReadFence"]:
        yield scenario(
            f"{state} throws: a person is called", up_to(state, READ) + CALLED[len(READ) :], item={}, mocked={state: BROKEN},
            recorded="NeedsOperator", **(called | ({"lease_stays": True} if state == "ReadFence" else {})),
        )  # fmt: skip
    yield scenario("RecordStopped throws: the cluster is free all the same", FREE, item={}, mocked={"RecordStopped": BROKEN})
    yield scenario("ReleaseLease throws", FREE, item={}, mocked={"ReleaseLease": BROKEN}, recorded="NothingChanged", lease_stays=True)
    yield scenario("NoteOnLease throws", CALLED, cause=by_undo, item=BEGUN, mocked={"NoteOnLease": BROKEN}, recorded="NeedsOperator", **called)
    yield scenario(
        "the event that nothing was fenced cannot be sent: the end pages", [*up_to("IsOperatorNeeded", FREE), "NeedsOperator"], "Unavailable",
        ["was ended from outside (ABORTED); nothing was fenced"], item={}, mocked={"AnnounceStopped": BROKEN}, recorded="NothingChanged",
    )  # fmt: skip
    yield scenario("the event cannot be sent", CALLED, item=BEGUN, mocked={"AnnounceStopped": BROKEN}, recorded="NeedsOperator", **called)
