"""What ends without a recovery: it leaves the source as it was, and nothing half-made beside it."""

import json

import pytest

from baseline import Baseline
from checks import contains, refused, wait_until
from cluster import Cluster
from recovery import CONCLUDE, NEEDS_OPERATOR, WITHOUT_APPROVAL, Recovery, up_to
from stages import APPROVE, ASK, FENCE, PUT_BACK, REWIND, START, UNDO_FENCE, UNDO_INSTANCES, UNDO_SWITCH
from shop import create_shop

ASKED = START + REWIND + ASK
SWITCHED = START + REWIND + APPROVE + FENCE


@pytest.mark.slow
def test_expired_approval_leaves_the_source_as_it_was(stack):
    cluster = create_shop(stack, "e2e-nobody")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approvalTimeout="1s")
    path = ASKED + ["IsApprovalExpired"] + PUT_BACK + UNDO_INSTANCES + CONCLUDE
    run.failed(
        path, "NotApproved", "nobody answered within 1 seconds", "no traffic was moved", "longer approvalTimeout"
    )
    before.is_restored()


def test_failed_check_leaves_the_source_as_it_was(stack, engine):
    cluster = create_shop(stack, f"{engine.prefix}-verify", engine=engine)
    before = Baseline(cluster)
    cluster.settle()
    checks = [
        {"name": "a good one", "database": "shop", "sql": "SELECT count(*) FROM customers", "atLeast": 300},
        {"name": "too few", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4001"},
        {"name": "tries to write", "database": "shop", "sql": engine.writing_check, "expect": "1"},
        {"name": "no such table", "database": "shop", "sql": "SELECT count(*) FROM ordres", "atLeast": 0},
    ]
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), checks=checks)
    path = START + up_to("Verify", REWIND) + PUT_BACK + UNDO_INSTANCES + CONCLUDE
    said = ["too few", "4001", "4000", "tries to write", engine.read_only, "no such table", engine.no_table]
    run.failed(path, "VerificationFailed", *said, "the source was not touched", "undone:")
    before.is_restored()


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
        + ["SwapDns", "IsTrafficPossiblyMoved"]
        + UNDO_FENCE
        + UNDO_INSTANCES
        + CONCLUDE
    )
    cause = run.failed(path, "RecordChanged", f"{cluster.record} is CNAME somebody.else.example.org", "moved no record")
    contains(cause, "undone:", *engine.texts_of_a_lifted_fence)
    assert stack.records()[cluster.record] == ("somebody.else.example.org", 1), "the record that somebody changed"
    fenced = run.result("FenceSource")
    contains(str(fenced["layers"]), *engine.texts_of_a_fence)
    stack.change_record("UPSERT", cluster.record, cluster.endpoint, 1)
    before.is_restored()
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
    path = START + REWIND + up_to("ConfirmApproval", APPROVE) + PUT_BACK + UNDO_INSTANCES + CONCLUDE
    said = [f"{cluster.record} was {cluster.endpoint}", "is CNAME somebody.else.example.org now", "nothing was fenced"]
    run.failed(path, "RecordChanged", *said, "undone:")
    stack.change_record("UPSERT", cluster.record, cluster.endpoint, 1)
    before.is_restored()


def test_name_that_leads_elsewhere_after_the_switch_moves_the_records_back(stack):
    cluster = create_shop(stack, "e2e-elsewhere")
    before = Baseline(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    # A more specific private zone with the same name hides the record from everybody in its network.
    zone = stack.route53.create_hosted_zone(
        Name=cluster.record,
        CallerReference=run.id,
        VPC={"VPCRegion": stack.env["AWS_REGION"], "VPCId": "vpc-00000001"},
        HostedZoneConfig={"PrivateZone": True},
    )["HostedZone"]["Id"].removeprefix("/hostedzone/")
    address = stack.resolve(cluster.endpoint)
    record = {"Name": cluster.record, "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": address}]}
    change = lambda action: stack.route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    )
    change("CREATE")
    try:
        run.decide("approved")
        run.wait()
    finally:
        change("DELETE")
        stack.route53.delete_hosted_zone(Id=zone)
    path = (
        SWITCHED
        + "SwapDns AwaitInSync IsInSync ConfirmCutover IsCutoverConfirmed WaitForOldTtl ConfirmCutover".split()
        + UNDO_SWITCH
        + CONCLUDE
    )
    cause = run.failed(path, "RecordChanged", "clients do not reach the restored cluster", f"{cluster.record} leads to")
    contains(cause, f"{cluster.record} points at {before.record[0]}", "is KEPT and fenced")
    before.is_restored(new_cluster_kept=True)
    new = Cluster(stack, f"{cluster.name}-r")
    assert new.describe()["Status"] == "available", "the restored cluster, which clients may have written to"
    assert new.groups == sorted(stack.fence_groups), "the restored cluster's security groups"


@pytest.mark.slow
def test_unreachable_new_writer_is_left_to_a_person_with_no_writer_open(stack):
    cluster = create_shop(stack, "e2e-unreach")
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns())
    run.approval()
    new = f"{cluster.name}-r"
    stack.rds.delete_db_instance(DBInstanceIdentifier=f"{new}-1", SkipFinalSnapshot=True)
    wait_until(lambda: not stack.instances(new), "the end of the new writer")
    run.decide("approved")
    path = SWITCHED + "SwapDns AwaitInSync IsInSync ConfirmCutover IsCutoverConfirmed WaitForOldTtl ConfirmCutover".split()
    path += ["IsTrafficPossiblyMoved", "FenceRestored"] + NEEDS_OPERATOR
    cause = run.failed(path, "RewindFailed", "no instance that is up", "then undoing failed", timeout=400, lease=run.id)
    contains(
        cause,
        f"the source {cluster.name} may be fenced",
        "the DNS records may point at either",
        f"lease#{cluster.name} is kept",
    )
    # No writer answers: neither the old one, which is fenced, nor the new one, which is gone.
    assert cluster.groups == sorted(stack.fence_groups), "the fenced source's security groups"
    assert stack.describe(new)["Status"] == "available", "the restored cluster, which may have had clients"
    assert stack.records()[cluster.record][0] == stack.describe(new)["Endpoint"], "the record"
    run.release_lease()


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
    tags = ["aurora-rewind:fenced-by", "aurora-rewind:keep-until"]
    stack.rds.remove_tags_from_resource(ResourceName=cluster.describe()["DBClusterArn"], TagKeys=tags)
    before.is_restored(new_cluster_kept=True)
    with refused(cluster.engine.error, cluster.engine.closed):
        cluster.connect(host=output["writerEndpoint"])
