"""What a request may say: bad input, dry runs, two recoveries of one cluster, an execution started twice."""

import datetime
import json
import time

import pytest

from checks import contains, refused
from cluster import UTC, Cluster, iso
from recovery import (
    CONCLUDE, CONCLUDE_WITHOUT_LEASE, DRY_RUN, REFUSE, REFUSED, WITHOUT_RECORDS, Recovery, up_to,
)  # fmt: skip
from stages import COMPARE, REJECTED, REWIND, START
from shop import fill
from stack import SEEDED

WITHOUT_LEASE = ["Begin", "IsLeaseNeeded", "ValidateWindow"] + CONCLUDE_WITHOUT_LEASE
BARE = {"name": "a", "database": "postgres", "sql": "SELECT 1"}
CHECK = {**BARE, "expect": "1"}


def cases(stack):
    """field, its value, what the cause must say: the field, the value, and what would be right."""
    record = stack.env["DB_RECORD"]
    named = lambda name, **more: [{"hostedZoneId": stack.zone, "name": name} | more]
    return [
        ("cluster", "1st", ['`cluster` is "1st"', "an identifier begins with a letter"]),
        ("cluster", "no-such-cluster", ['`cluster` is "no-such-cluster"', "there is no such cluster", "describe-db-"]),
        ("cluster", 7, ["`cluster` is 7", "write it as text"]),
        ("cluster", None, ["`cluster` is null", "leave it out, or give it a value"]),
        ("to", "2026-11-23T10:30:00", ['`to` is "2026-11-23T10:30:00"', "the offset is missing", "10:30:00Z"]),
        ("to", 1440, ["`to` is 1440", "the unit is missing", '1440 seconds would be "24m"']),
        ("to", "yesterday", ['`to` is "yesterday"', '"5m ago"']),
        ("to", "5m", ['`to` is "5m"', '"5m ago"']),
        ("strategy", "snapshot", ['`strategy` is "snapshot"', "write auto or restore or backtrack"]),
        ("strategy", "backtrack", ['`strategy` is "backtrack"', "Aurora MySQL only", 'write `"strategy": "restore"`']),
        ("inPlace", True, ["`inPlace` is true", "in quotes"]),
        ("newCluster", SEEDED, [f'`newCluster` is "{SEEDED}"', "choose another name"]),
        ("newCluster", "a--b", ['`newCluster` is "a--b"', "no two in a row"]),
        ("checks", {}, ["`checks` is {}", "write a list"]),
        ("checks", [BARE], ["`checks[0]`", "give one of `expect`"]),
        ("checks", [{**CHECK, "atLeast": 1}], ["`checks[0]`", "give one of `expect`"]),
        ("checks", [CHECK, CHECK], ["`checks`", 'two checks are named "a"']),
        ("checks", [{**BARE, "atLeast": "many"}], ['`checks[0].atLeast` is "many"', "write a number"]),
        ("dns", [{"name": record}], ["`dns[0].hostedZoneId` is missing", "it is needed"]),
        ("dns", named("db"), ['`dns[0].name` is "db"', "db.example.com"]),
        ("dns", named("*.e2e-input.example.com"), ['`dns[0].name` is "*.e2e-input', "a wildcard is not moved", "make a CNAME"]),
        ("dns", named(record, endpoint="both"), ['`dns[0].endpoint` is "both"', "writer or reader"]),
        ("dns", named("nobody.example.com"), ["there is no record nobody.example.com", "name a record that is there"]),
        ("dns", named("elsewhere.e2e-input.example.com"), ["points at", f"not at {SEEDED}", "records that point at"]),
        ("dns", [7], ["`dns[0]` is 7", "write an object"]),
        ("secretArn", "my-secret", ['`secretArn` is "my-secret"', "write the secret's ARN"]),
        ("secretArn", "arn:aws:secretsmanager:x:0:secret:gone", ["there is no secret arn:aws", "that is there"]),
        ("approval", "maybe", ['`approval` is "maybe"', "write required or none"]),
        ("approvalTimeout", "1440", ['`approvalTimeout` is "1440"', '1440 seconds would be "24m", 1440 minutes "1d"']),
        ("approvalTimeout", "2d", ['`approvalTimeout` is "2d"', "it goes from 1s to 1d"]),
        ("keepSource", 7, ["`keepSource` is 7", "the unit is missing"]),
        ("keepSource", None, ["`keepSource` is null", "leave it out, or give it a value"]),
        ("dryRun", "yes", ['`dryRun` is "yes"', "write true or false"]),
        ("dry_run", True, ["`dry_run` is no field", "`dryRun` was meant"]),
        ("colour", "red", ["`colour` is no field", "the fields are cluster, to,"]),
    ]  # fmt: skip


@pytest.mark.usefixtures("seeded_cluster_to_itself")
def test_every_wrong_field_is_refused_by_name(stack):
    stack.change_record("UPSERT", "elsewhere.e2e-input.example.com", "db.example.org")
    # Other tests change the records of their own clusters meanwhile, at whatever depth of the name.
    others = lambda name: any(label.startswith("e2e-") and label != "e2e-input" for label in name.split("."))
    mine = lambda: {name: value for name, value in stack.records().items() if not others(name)}
    records, wrong = mine(), []
    table = cases(stack)
    for field, value, said in table:
        request = {"cluster": SEEDED, "to": "1s ago"} | {field: value}
        run = Recovery(stack, request)
        with_lease = isinstance(request["cluster"], str)
        try:
            run.failed(REFUSED if with_lease else WITHOUT_LEASE, "InvalidRequest", *said, "nothing was changed")
        except AssertionError as failure:
            wrong.append(f"{field}: {json.dumps(value)}: {failure}")
        assert not [name for name in stack.inventory() if name.startswith(f"{SEEDED}-rewind")], "a cluster was made"
    assert mine() == records, "the records"
    stack.change_record("DELETE", "elsewhere.e2e-input.example.com", "db.example.org")
    if wrong:
        raise AssertionError("\n".join(wrong))
    print(f"{len(table)} wrong requests")


@pytest.mark.quick
def test_everything_that_is_wrong_is_told_at_once(stack):
    run = Recovery(stack, {"to": "soon", "dns": 1, "x": 2})
    run.failed(
        WITHOUT_LEASE, "InvalidRequest", "`cluster` is missing", '`to` is "soon"', "`dns` is 1", "`x` is no field"
    )
    for request, said in [([1], "[1]"), ("latest", '"latest"'), (7, "7"), ({}, "`cluster` is missing")]:
        Recovery(stack, request).failed(WITHOUT_LEASE, "InvalidRequest", said, "cluster")


@pytest.mark.usefixtures("seeded_cluster_to_itself")
def test_moment_outside_the_window_is_refused_with_the_window(stack):
    window = stack.describe(SEEDED)
    earliest = window["EarliestRestorableTime"].astimezone(UTC)
    for to, said in [
        ("2020-01-01T00:00:00Z", ["2020-01-01T00:00:00Z is before the earliest restorable time"]),
        ("30d ago", ["is before the earliest restorable time"]),
        (iso(datetime.datetime.now(UTC) + datetime.timedelta(hours=1)), ["is in the future"]),
    ]:
        run = Recovery(stack, {"cluster": SEEDED, "to": to})
        run.failed(REFUSED, "OutsideWindow", "`to`", *said, "ask for a time from", f"{earliest:%Y-%m-%dT%H:%M:%S}")


@pytest.mark.usefixtures("seeded_cluster_to_itself")
def test_taken_name_is_refused_and_its_cluster_stays(stack):
    cluster = Cluster.create(stack, "e2e-taken", record=False)
    before = cluster.describe()
    run = Recovery(stack, {"cluster": SEEDED, "to": "1s ago", "newCluster": cluster.name})
    run.failed(REFUSED, "InvalidRequest", "`newCluster`", "there is a cluster e2e-taken already", "choose another")
    assert cluster.describe()["DbClusterResourceId"] == before["DbClusterResourceId"], "the cluster that has the name"


def test_dry_run_answers_the_plan_and_changes_nothing(stack):
    cluster = Cluster.create(stack, "e2e-dry", instances=({}, {"PromotionTier": 5}))
    fill(cluster)
    cluster.settle()

    def state():
        described = cluster.describe()
        for moving in ["LatestRestorableTime", "EarliestRestorableTime"]:
            described.pop(moving)
        items = stack.client("dynamodb").scan(TableName=stack.table, ConsistentRead=True)["Items"]
        mine = [item for item in items if cluster.name in json.dumps(item)]
        names = sorted(name for name in stack.inventory() if name.startswith("e2e-dry"))
        return described, stack.instances(cluster.name), stack.records()[cluster.record], cluster.logins(), mine, names

    before = state()
    called = datetime.datetime.now(UTC)
    run = Recovery(
        stack, {"cluster": cluster.name, "to": "2s ago", "dns": cluster.dns(), "checks": [CHECK], "dryRun": True}
    )
    ended = run.wait()
    assert ended["status"] == "SUCCEEDED", "the status"
    assert run.path() == DRY_RUN, "the path"
    output = json.loads(ended["output"])
    assert (output["outcome"], output["recoveryId"]) == ("Planned", run.id), "the outcome"
    plan = output["plan"]
    assert (plan["cluster"], plan["strategy"], plan["dryRun"]) == (cluster.name, "restore", True), "the plan"
    ago = called - datetime.datetime.fromisoformat(plan["target"].replace("Z", "+00:00"))
    assert 1 <= ago.total_seconds() <= 4, f"2s ago became {plan['target']}"
    assert [(i["source"], i["writer"], i["promotionTier"]) for i in plan["instances"]] == [("e2e-dry-1", True, 1), ("e2e-dry-2", False, 5)], (
        "the planned instances"
    )  # fmt: skip
    (record,) = plan["dns"]
    assert (record["name"], record["from"].rstrip("."), record["ttl"]) == (cluster.record, cluster.endpoint, 1), (
        "the record"
    )
    assert plan["secretArn"] == cluster.secret, "the login"
    for said in ["restore e2e-dry", "ask a person", "fence e2e-dry", f"move {cluster.record}", "keep e2e-dry"]:
        contains("\n".join(plan["willDo"]), said)
    assert state() == before, "cluster, instances, record, roles, table and names"
    assert run.item() == {}, "an item of the dry run"


def test_second_recovery_is_refused_while_the_first_waits(stack):
    # With tags on its snapshots: that of the rejected cluster needs a permission more.
    cluster = Cluster.create(stack, "e2e-lease", CopyTagsToSnapshot=True)
    fill(cluster)
    cluster.settle()
    logins = cluster.logins()
    first = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    first.approval()
    assert first.item()["state"] == "AwaitingApproval", "the state of the one that waits"
    second = Recovery.of(cluster, "1s ago", newCluster="e2e-lease-second")
    held = up_to("AcquireLease", START) + ["ReadLease", "ReadHolder"] + CONCLUDE_WITHOUT_LEASE
    second.failed(held, "LeaseHeld", first.id, first.arn, "nothing was changed", lease=first.id)
    assert stack.describe("e2e-lease-second") is None, "the second one's cluster"
    assert first.describe()["status"] == "RUNNING", "the first one meanwhile"

    first.decide("rejected", comment="not on a Friday")
    no = START + REWIND + COMPARE + REFUSE + REJECTED + CONCLUDE
    first.failed(no, "NotApproved", "e2e rejected it: not on a Friday", "no traffic was moved", "undone:", "e2e-lease-r")
    assert [name for name in stack.inventory() if name.startswith("e2e-lease-r")] == [], "the restored cluster and its instances"
    assert cluster.logins() == logins, "roles, databases and security groups of the source"
    assert stack.records()[cluster.record] == (cluster.endpoint, 1), "the record"
    cluster.sql("INSERT INTO audit.log (what) VALUES ('still writable')", host=cluster.record)

    third = Recovery.of(cluster, "1s ago", newCluster="e2e-lease-third")
    output = third.recovered(WITHOUT_RECORDS)
    assert (output["dns"], output["fence"], output["lost"]) == ([], None, None), "what was moved and fenced without records"
    assert stack.records()[cluster.record] == (cluster.endpoint, 1), "the record"
    assert cluster.logins() == logins, "roles, databases and security groups of the source"
    cluster.sql("INSERT INTO audit.log (what) VALUES ('still writable')", host=cluster.record)
    assert Cluster(stack, "e2e-lease-third").value("SELECT count(*) FROM orders", password=cluster.password) == 4000, "rows"


def test_execution_started_twice_recovers_once(stack):
    cluster = Cluster.create(stack, "e2e-twice", record=False)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", name=f"e2e-twice-{time.time_ns()}")
    again = stack.states.exceptions.ExecutionAlreadyExists

    def start(request):
        return stack.states.start_execution(stateMachineArn=stack.machine, name=run.id, input=json.dumps(request))

    try:
        # AWS answers the running execution; ministack always refuses.
        assert start(run.request)["executionArn"] == run.arn, "the execution that a second start answers"
    except again as error:
        contains(str(error), run.id)
    with refused(again):
        start(run.request | {"newCluster": "e2e-twice-other"})
    run.recovered(WITHOUT_RECORDS)
    with refused(again):
        start(run.request | {"newCluster": "e2e-twice-other"})
    same = [
        e
        for e in stack.states.list_executions(stateMachineArn=stack.machine, maxResults=1000)["executions"]
        if e["name"] == run.id
    ]
    assert len(same) == 1, "executions of that name"
    made = sorted(name for name in stack.inventory() if name.startswith("e2e-twice-"))
    assert made == ["e2e-twice-1", "e2e-twice-r", "e2e-twice-r-1"], "what there is"
