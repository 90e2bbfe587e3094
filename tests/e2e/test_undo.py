"""What ends without a recovery: it leaves the source as it was, and the restored cluster kept beside it."""

import contextlib
import datetime
import json
import time

import dns.resolver
import pytest

from baseline import Baseline
from checks import contains, refused, wait_until
from cluster import Cluster, iso, to_the_second
from engines import MYSQL
from leak_watch import TOKEN
from recovery import BLOCKED, CONCLUDE, CONCLUDE_WITHOUT_LEASE, NEEDS_OPERATOR, ROLLED_BACK, WITHOUT_APPROVAL, Recovery, up_to
from stages import APPROVE, ASK, COMPARE, DONE, FENCE, KEEP, KEPT, MOVE_BACK, NEVER_SENT, OVER, RELEASE, REWIND, START, UNCONFIRMED, UNDO_FENCE, UNTOUCHED
from shop import create_shop
from test_cli import Terminal

ASKED = START + REWIND + COMPARE + ASK
LEASE_HELD = ["Begin", "IsLeaseNeeded", "AcquireLease", "ReadLease", "ReadHolder", *CONCLUDE_WITHOUT_LEASE]
SWITCHED = START + REWIND + COMPARE + APPROVE + FENCE
FOLLOWED = "SwapDns AwaitInSync IsInSync ConfirmCutover IsCutoverConfirmed WaitForOldTtl ConfirmCutover".split()


def is_kept(run, cause, hours=24, fenced=False):
    """The restored cluster is there with its instances, tagged, and the cause names it, the time and the command that goes on."""
    new = run.request["newCluster"]
    described = run.stack.describe(new)
    tags = {tag["Key"]: tag["Value"] for tag in described["TagList"]}
    until = tags["aurora-rewind:keep-until"]
    left = datetime.datetime.fromisoformat(until.replace("Z", "+00:00")) - datetime.datetime.now(datetime.timezone.utc)
    # Rounded to a second, so up to half of one later.
    assert 0 < hours * 3600 - left.total_seconds() < 600, f"it is kept until {until}"
    contains(cause, f"the restored cluster {new} is kept with its instances until {to_the_second(until)}", "it is fenced" if fenced else f"rewind resume {run.id}")
    source = run.stack.describe(run.request["cluster"])
    assert tags["aurora-rewind:recovery"] == run.id, "whose it is"
    assert tags["aurora-rewind:source-resource-id"] == source["DbClusterResourceId"], "the source that it is of"
    assert "aurora-rewind:fenced-by" not in tags, "the mark of a fenced source"
    assert described["Status"] == "available" and run.stack.instances(new), "the cluster and its instances"


def point_back(stack, cluster):
    """Points the record at the source again; waits for the name server, which remembers a zone for a moment."""
    stack.change_record("UPSERT", cluster.record, cluster.endpoint, 1)
    address = stack.resolve(cluster.endpoint)

    def leads_there():
        # Before, the record led out of what the name server knows.
        with contextlib.suppress(dns.resolver.NoAnswer):
            return stack.resolve(cluster.record) == address

    wait_until(leads_there, f"the way of {cluster.record} to {cluster.endpoint}", timeout=10)


@pytest.mark.slow
def test_expired_approval_leaves_the_source_as_it_was(stack):
    cluster = create_shop(stack, "e2e-nobody")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approvalTimeout="1s")
    path = ASKED + ["IsApprovalExpired"] + KEPT + CONCLUDE
    cause = run.failed(
        path, "NotApproved", "nobody answered within 1 seconds", "no traffic was moved", "longer approvalTimeout"
    )
    before.is_restored(new_cluster_kept=True)
    is_kept(run, cause)


def test_approval_after_its_deadline_counts_by_no_way_in_and_the_recovery_ends_at_it(stack):
    cluster = create_shop(stack, "e2e-late")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approvalTimeout="12s")
    pending = run.approval()
    expires = datetime.datetime.fromisoformat(pending["expiresAt"].replace("Z", "+00:00"))
    left = lambda: (expires - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert left() > 1, f"the time to decide when it was asked, until {expires}"
    time.sleep(left() + 0.01)
    # Whoever has the token is the last way in: chat, console and command line all end there.
    late = {"decision": "approved", "by": "e2e", "hash": pending["hash"]}
    stack.leak_watch.remember(TOKEN, pending["taskToken"])
    with contextlib.suppress(stack.states.exceptions.TaskTimedOut, stack.states.exceptions.TaskDoesNotExist):
        stack.states.send_task_success(taskToken=pending["taskToken"], output=json.dumps(late))
    ended = run.wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "NotApproved"), f"the end of {run.id}: {ended.get('cause')}"
    assert "ConfirmApproval" not in run.whole_path() and "FenceSource" not in run.whole_path(), "the way that it took"
    assert (ended["stopDate"] - expires).total_seconds() < 5, f"the end at {ended['stopDate']}, and the deadline {expires}"
    before.is_restored(new_cluster_kept=True)
    is_kept(run, ended["cause"])


def test_failed_check_leaves_the_source_as_it_was(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-verify", engine=engine)
    cluster.settle()
    for sql, why in engine.refused_checks:
        check = {"name": "tries to write", "database": "shop", "sql": sql, "expect": "1"}
        request = {"cluster": cluster.name, "to": "1s ago", "dns": cluster.dns(), "checks": [check]}
        said = ['check "tries to write" cannot run in shop', why, "[check-refused]", "nothing was changed"]
        Recovery(stack, request).failed(BLOCKED, "InvalidRequest", *said)
    assert [name for name in stack.inventory() if name.startswith(f"{cluster.name}-r")] == [], "what it restored"
    assert cluster.value("SELECT count(*) FROM audit.log WHERE what = 'by a check'") == 0, "what the check wrote"
    assert cluster.value("SELECT count(*) FROM orders") == 4000, "the orders after a check that deletes"
    # The source has the table still, so only the restored cluster can miss it.
    target = cluster.mistake("CREATE TABLE made_since (id int)")
    before = Baseline(cluster)
    checks = [
        {"name": "a good one", "database": "shop", "sql": "SELECT count(*) FROM customers", "atLeast": 300},
        {"name": "too few", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4001"},
        {"name": "no such table", "database": "shop", "sql": "SELECT count(*) FROM made_since", "atLeast": 0},
    ]
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=checks, keepRestored="3h")
    path = START + up_to("IsVerified", REWIND) + KEPT + CONCLUDE
    said = ["too few", "no such table", engine.no_table, f"rewind status {run.id}"]
    cause = run.failed(path, "VerificationFailed", *said, "the source was not touched")
    before.is_restored(new_cluster_kept=True)
    is_kept(run, cause, hours=3)


def test_record_that_somebody_changed_stays_and_the_fence_is_lifted(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-changed", engine=engine)
    cluster.sql(engine.logins_of_every_kind)
    two_groups = [*stack.app_groups, "sg-0e2e000000000e2e0"]
    stack.rds.modify_db_cluster(DBClusterIdentifier=cluster.name, VpcSecurityGroupIds=two_groups, ApplyImmediately=True)
    cluster.wait_available()
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    run.reaches("StartRestore")
    stack.change_record("UPSERT", cluster.record, "somebody.else.example.org", 1)
    path = (
        WITHOUT_APPROVAL[: WITHOUT_APPROVAL.index("SwapDns")]
        + ["SwapDns", *OVER, *NEVER_SENT]
        + UNDO_FENCE
        + KEEP
        + CONCLUDE
    )
    cause = run.failed(path, "RecordChanged", f"{cluster.record} is CNAME somebody.else.example.org", "moved no record")
    contains(cause, "undone:", *engine.texts_of_a_lifted_fence)
    assert stack.records()[cluster.record] == ("somebody.else.example.org", 1), "the record that somebody changed"
    fenced = run.result("FenceSource")
    contains(str(fenced["layers"]), *engine.texts_of_a_fence)
    point_back(stack, cluster)
    before.is_restored(new_cluster_kept=True)
    is_kept(run, cause)
    with cluster.connect("ledger", "app", "apples-and-pears") as session:
        assert session.execute("SELECT 1").fetchone() == (1,), "the application's login"


def test_approval_is_not_valid_after_a_record_has_changed(stack):
    cluster = create_shop(stack, "e2e-meanwhile")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    stack.change_record("UPSERT", cluster.record, "somebody.else.example.org", 1)
    run.decide("approved")
    path = START + REWIND + COMPARE + up_to("ConfirmApproval", APPROVE) + KEPT + CONCLUDE
    said = [f"{cluster.record} was {cluster.endpoint}", "is CNAME somebody.else.example.org now", "nothing was fenced"]
    cause = run.failed(path, "RecordChanged", *said)
    point_back(stack, cluster)
    before.is_restored(new_cluster_kept=True)
    is_kept(run, cause)


@contextlib.contextmanager
def hidden(stack, run, cluster, by=None):
    """The record is hidden from everybody in its network, by a more specific private zone of the same name, which leads to the source or to
    the host `by`."""
    zone = stack.route53.create_hosted_zone(
        Name=cluster.record,
        CallerReference=run.id,
        VPC={"VPCRegion": stack.env["AWS_REGION"], "VPCId": "vpc-00000001"},
        HostedZoneConfig={"PrivateZone": True},
    )["HostedZone"]["Id"].removeprefix("/hostedzone/")
    record = {
        "Name": cluster.record, "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": stack.resolve(by or cluster.endpoint)}],
    }  # fmt: skip
    change = lambda action: stack.route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    )
    change("CREATE")
    try:
        yield
    finally:
        change("DELETE")
        stack.route53.delete_hosted_zone(Id=zone)


def test_name_that_leads_elsewhere_moves_the_records_back_if_nobody_wrote(stack):
    # On MySQL alone: the local PostgreSQL commits four times a second, so that a restore can stop at any moment, and that counts as
    # somebody's writes. tests/paths and functions/fence-source/tests/written.rs have the rest.
    cluster = create_shop(stack, "e2e-my-elsewhere", engine=MYSQL)
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    with hidden(stack, run, cluster):
        run.decide("approved")
        run.wait(timeout=240)
    cause = run.failed(
        SWITCHED + FOLLOWED + MOVE_BACK + KEEP + ROLLED_BACK,
        "RecordChanged",
        "clients do not reach the restored cluster",
        f"{cluster.record} leads to",
        f"{cluster.record} points at {before.record[0]}",
        "was moved back to",
    )
    before.is_restored(new_cluster_kept=True)
    is_kept(run, cause, fenced=True)
    # Whoever remembers its address must not write there unseen.
    assert Cluster(stack, f"{cluster.name}-r").groups == sorted(stack.fence_groups), "the restored cluster's security groups"


def test_name_that_leads_elsewhere_calls_a_person_if_clients_wrote_and_undo_goes_back(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-wrote", engine=engine)
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    new = Cluster(stack, f"{cluster.name}-r")
    groups = new.groups
    with hidden(stack, run, cluster):
        run.decide("approved")
        run.reaches("AwaitInSync")
        # By its own endpoint: the name leads this client elsewhere, and others to where it should.
        cluster.sql("INSERT INTO audit.log (what) VALUES ('a write to the restored cluster')", host=new.describe()["Endpoint"])
        run.wait(timeout=240)
    path = SWITCHED + FOLLOWED + UNTOUCHED + ["LiftRestoredFence"] + NEEDS_OPERATOR
    said = [f"now: traffic is on the restored cluster {new.name}", "its count of writes was", f"rewind undo {run.id}"]
    run.failed(path, "RecordChanged", *said, lease=run.id)
    assert stack.records()[cluster.record][0] == new.describe()["Endpoint"], "the record"
    assert new.groups == groups, "the security groups of the restored cluster, which has clients"
    assert cluster.groups == sorted(stack.fence_groups), "the fenced source's security groups"
    # A person decides to go back: over the recovery's own lease, by what it recorded.
    undo = Recovery(stack, {"recovery": run.id, "by": "e2e"}, name=f"{run.id}-undo", machine=stack.outputs["UndoStateMachineArn"])
    ended = undo.wait(timeout=150)
    assert ended["status"] == "SUCCEEDED", f"{ended.get('error')}: {ended.get('cause')}"
    before.is_restored(new_cluster_kept=True)
    assert run.item()["state"] == "Undone", "the state in the table"


def test_undo_ends_when_a_name_server_that_still_served_the_restored_cluster_leads_to_the_source(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-named", engine=engine)
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    output = run.recovered(WITHOUT_APPROVAL)
    new = Cluster(stack, output["newCluster"])
    machine = stack.outputs["UndoStateMachineArn"]
    with hidden(stack, run, cluster, by=output["writerEndpoint"]):
        undo = Recovery(stack, {"recovery": run.id, "by": "e2e"}, name=f"{run.id}-undo", machine=machine)
        # The name was asked for once, and led to the restored cluster, which is fenced; whoever reaches the source is let in by now.
        asked_again = lambda: undo.whole_path().count("ConfirmSource") > 2
        wait_until(asked_again, "the second time that the name was asked for", timeout=120)
        assert undo.describe()["status"] == "RUNNING", "the undo while a name server serves the restored cluster"
        assert new.groups == sorted(stack.fence_groups), "the security groups of the restored cluster"
        assert cluster.value("SELECT 1") == 1, "the source while the name is waited for"
        released = datetime.datetime.now(datetime.timezone.utc)
    ended = undo.wait(timeout=150)
    assert ended["status"] == "SUCCEEDED", f"{ended.get('error')}: {ended.get('cause')}"
    output = json.loads(ended["output"])
    confirmed = datetime.datetime.fromisoformat(output["confirmedAt"].replace("Z", "+00:00"))
    assert released < confirmed <= ended["stopDate"], f"confirmed at {confirmed}, and another name was served until {released}"
    assert output["unconfirmed"] is None, "what is not confirmed"
    assert f"{cluster.record} was seen to lead to {cluster.name} at {output['confirmedAt']}" in output["undone"], "what was done"
    before.is_restored(new_cluster_kept=True)
    assert new.groups == sorted(stack.fence_groups), "the security groups of the restored cluster afterwards"
    tags = {tag["Key"] for tag in cluster.describe()["TagList"]}
    assert not {"aurora-rewind:fenced-by", "aurora-rewind:keep-until"} & tags, "the tags of a source that has its traffic"


@pytest.mark.slow
def test_undo_that_is_stopped_before_its_first_change_leaves_the_recovery_as_it_is(stack):
    terminal, cluster = Terminal(stack), create_shop(stack, "e2e-mistaken")
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    new = Cluster(stack, run.recovered(WITHOUT_APPROVAL)["newCluster"])
    groups = new.groups
    undo = Recovery(stack, {"recovery": run.id, "by": "e2e"}, name=f"{run.id}-undo", machine=stack.outputs["UndoStateMachineArn"])
    undo.reaches("DescribeRecovery")
    undo.stop()
    assert "FenceRestored" not in undo.whole_path(), "the undo was stopped too late for this test"
    # Where it had its leases by then, a function that was called before could begin for three minutes.
    wait_until(lambda: run.item().get("undoWatchEnded") == undo.id, "the end of the watch over the undo", timeout=400)
    leases = [f"lease#{cluster.name}", f"lease#{new.name}"]
    wait_until(lambda: not any(map(stack.item, leases)), "the end of the leases", timeout=30)
    assert run.item()["state"] == "Recovered", "the recovery"
    assert (new.groups, cluster.groups) == (groups, sorted(stack.fence_groups)), "the security groups of both clusters"
    command, to_read = [safe["command"] for safe in terminal.json("status", run.id)["standing"]["commands"]]
    assert command == f"rewind undo {run.id}", "the command that is safe"
    assert to_read == f"rewind open {run.id} --from <your address>", "the command that reads what is left behind"


@pytest.mark.slow
def test_recovery_that_was_stopped_after_the_switch_is_undone_by_the_command_that_the_status_prints(stack, engine):
    terminal, cluster = Terminal(stack), create_shop(stack, f"{engine.prefix}-halted", engine=engine)
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    run.reaches("AwaitInSync")
    run.stop()
    new = f"{cluster.name}-r"
    shown = terminal.json("status", run.id)
    assert shown["state"] == "NeedsOperator", "the state of a recovery that was stopped"
    standing = shown["standing"]
    assert standing["traffic"] == [f"{cluster.record} leads to {new}"], "where the traffic is"
    assert (standing["fenced"], standing["outage"], standing["unseen"]) == ([cluster.name], None, []), "what is fenced"
    (command,) = [safe["command"] for safe in standing["commands"]]
    assert command == f"rewind undo {run.id}", "the command that is safe"
    # A start meanwhile is told what to do, and not to wait.
    second = Recovery(stack, {"cluster": cluster.name, "to": "1s ago"})
    second.failed(LEASE_HELD, "LeaseHeld", f"rewind status {run.id}", lease=run.id)
    # Three minutes after the stop no function can run any more.
    terminal.run(*command.split()[1:], "--confirm", cluster.name, timeout=400)
    before.is_restored(new_cluster_kept=True)
    assert run.item()["state"] == "Undone", "the state in the table"
    assert stack.item(f"lease#{cluster.name}") is None and stack.item(f"lease#{new}") is None, "the leases"
    standing = terminal.json("status", run.id)["standing"]
    assert standing["traffic"] == [f"{cluster.record} leads to {cluster.name}"], "where the traffic is after the undo"
    assert (standing["fenced"], standing["lease"]) == ([new], None), "what is fenced after the undo"


def test_recovery_that_waits_for_people_is_cancelled_and_its_restored_cluster_kept(stack):
    terminal, cluster = Terminal(stack), create_shop(stack, "e2e-cancel")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    terminal.run("cancel", run.id, code=5)
    out, _ = terminal.run("cancel", run.id, "--confirm", cluster.name)
    contains(out, f"the restored cluster {cluster.name}-r is kept with its instances until")
    assert run.describe()["status"] == "ABORTED", "the execution"
    item = run.item()
    assert (item["state"], "approval" in item) == ("NothingChanged", False), "the state in the table"
    assert stack.item(f"lease#{cluster.name}") is None, "the lease"
    before.is_restored(new_cluster_kept=True)
    is_kept(run, item["cause"])
    contains(terminal.run("undo", run.id, code=5)[1], "was not touched")


@pytest.mark.slow
def test_writer_that_cannot_be_seen_is_told_and_nothing_goes_back(stack):
    cluster = create_shop(stack, "e2e-unreach")
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    new = f"{cluster.name}-r"
    stack.rds.delete_db_instance(DBInstanceIdentifier=f"{new}-1", SkipFinalSnapshot=True)
    wait_until(lambda: not stack.instances(new), "the end of the new writer")
    run.decide("approved")
    output = run.recovered(SWITCHED + FOLLOWED + ["IsCutoverConfirmed", *UNCONFIRMED, *RELEASE, *DONE], timeout=400)
    contains(output["notes"][0], "NOT CONFIRMED", f"the records point at {new}")
    assert cluster.groups == sorted(stack.fence_groups), "the fenced source's security groups"
    assert stack.records()[cluster.record][0] == stack.describe(new)["Endpoint"], "the record"


def test_undo_by_the_calls_of_the_runbook_leaves_the_source_as_it_was(stack):
    cluster = create_shop(stack, "e2e-back")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    output = run.recovered(WITHOUT_APPROVAL)
    payload = {
        "recovery": {"id": run.id, "executionArn": run.arn, "startedAt": output["rewoundTo"]},
        "plan": json.loads(run.item()["plan"]),
        "restored": {
            "cluster": output["newCluster"], "clusterArn": "", "writerEndpoint": output["writerEndpoint"],
            "readerEndpoint": output["readerEndpoint"], "rewoundTo": output["rewoundTo"], "differences": [],
        },
    }  # fmt: skip

    def call(state, **more):
        name = stack.function(state)["FunctionName"]
        answer = stack.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload | more))
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, f"{state} with {more}: {said}"
        return said

    for _ in range(2):
        call("FenceSource", fence="restored")
        call("SwapDns", direction="undo")
        call("FenceSource", direction="undo")
        call("Finish", direction="undo")
    # The names are followed as the page says; no answer of Route 53 is waited for here.
    swap = call("SwapDns", direction="undo")["swap"]
    confirm = lambda: call("ConfirmCutover", toward="source", swap=swap, inSyncAt=swap["swappedAt"])
    confirmed = wait_until(lambda: (seen := confirm())["confirmed"] and seen, "the names that lead to the source", timeout=60)
    assert [(record["name"], record["matches"]) for record in confirmed["records"]] == [(cluster.record, True)], "the names"
    assert (confirmed.get("restoredOpen"), confirmed.get("restoredUnseen")) == (None, None), "the fence of the restored cluster"
    before.is_restored(new_cluster_kept=True)
    with refused(cluster.engine.error, cluster.engine.closed):
        cluster.connect(host=output["writerEndpoint"])
