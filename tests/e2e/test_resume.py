"""A recovery that ended, or was stopped, is resumed: a new one adopts its restored cluster, so that nothing is restored twice. From the
terminal, from chat and by an event; and refused wherever that cluster is not the right one.
"""

import time

import pytest

from bus import Bus, Requested
from checks import contains, wait_until
from cluster import Cluster, iso
from recovery import CONCLUDE, CONCLUDE_WITHOUT_LEASE, SWITCH, Recovery, Started, seconds
from shop import create_shop, settled_shop
from slack import ANN, BEN, Slack
from stages import DONE, FENCE, REWIND, stage
from test_cli import Terminal

RIGHT = [{"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}]
BEGIN = ["Begin", "IsLeaseNeeded", "ReadResumed", "IsResumedOver"]
FENCE_READ = ["ReadResumedFence", "IsLeaseToTakeOver", "IsLeaseNeeded"]
READ = [*BEGIN, *FENCE_READ]
# The execution is over, and its end is recorded: its lease is free.
STOPPED = READ
# It has no end by its record, so Step Functions is asked.
RUNNING = [*BEGIN, "DescribeResumed", "IsFunctionPossiblyRunning", *FENCE_READ]
ADOPTED = [
    "AcquireLease", *stage("plan", without=["Planned"]), "RecordResumed", "ReleaseResumedLease", *REWIND, "IsApprovalNeeded", *FENCE, *SWITCH, *DONE
]  # fmt: skip


def stopped(cluster, name=None, **more):
    """A recovery that has restored its cluster and waits for people, and that somebody stops there."""
    target = cluster.mistake("DELETE FROM orders")
    run = Recovery.of(cluster, iso(target), name, dns=cluster.dns(), **({"checks": RIGHT} | more))
    run.approval()
    run.stop()
    return run


def tags(stack, name):
    return {tag["Key"]: tag["Value"] for tag in stack.describe(name)["TagList"]}


def test_stopped_recovery_is_resumed_at_a_terminal_without_a_second_restore(stack, engine):
    terminal, cluster = Terminal(stack), settled_shop(stack, f"e2e-resume-{engine.name}", engine=engine)
    # A check of the wrong rows passes: somebody sees that in the report, and stops it instead of approving.
    earlier = stopped(cluster, checks=[RIGHT[0] | {"sql": "SELECT count(*) FROM customers", "expect": "300"}])
    kept = stack.describe(f"{cluster.name}-r")
    assert tags(stack, kept["DBClusterIdentifier"])["aurora-rewind:recovery"] == earlier.id, "whose the cluster is"

    plan = terminal.json("resume", earlier.id, "--dry-run")["plan"]
    assert plan["adopted"]["recovery"] == earlier.id and plan["willDo"][0].startswith("adopt "), f"the plan {plan}"
    out, err = terminal.run("resume", earlier.id, "--new-cluster", "another", code=3)
    contains(out + err, "`--new-cluster` is \"another\"", kept["DBClusterIdentifier"])

    name = f"{earlier.id}-again"
    out = terminal.json("resume", earlier.id, "--approval", "none", "--check", "[back] shop: SELECT count(*) FROM orders => 4000",
                        "--id", name)  # fmt: skip
    assert (out["outcome"], out["newCluster"]) == ("Recovered", kept["DBClusterIdentifier"]), "the output"
    assert [check["name"] for check in out["checks"]] == ["back"], "the checks of the new request"
    run = Started(stack, name)
    run.recovered([*STOPPED, *ADOPTED])
    now = stack.describe(kept["DBClusterIdentifier"])
    assert now["DbClusterResourceId"] == kept["DbClusterResourceId"], "the cluster was restored once more"
    assert now["ClusterCreateTime"] == kept["ClusterCreateTime"], "the cluster was restored once more"
    assert run.result("StartRestore")["rewoundTo"] == plan["target"], "the moment of its data"
    waited = out["timings"]["StartRestore"] + out["timings"]["AwaitRewind"]
    assert waited < 15, f"it waited {waited:.0f} s for a cluster that was there"
    marks = tags(stack, now["DBClusterIdentifier"])
    assert marks["aurora-rewind:recovery"] == name and "aurora-rewind:keep-until" not in marks, f"the tags {marks}"
    for instance in stack.instances(now["DBClusterIdentifier"]):
        owner = {tag["Key"]: tag["Value"] for tag in instance["TagList"]}["aurora-rewind:recovery"]
        assert owner == name, f"whose {instance['DBInstanceIdentifier']} is"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    contains(terminal.run("status", earlier.id)[0], "resumed by", name)
    assert seconds(out["lost"]["from"]) == seconds(plan["target"]), "from when writes are missing"

    # Its cluster has the traffic by now.
    contains(terminal.run("resume", name, code=5)[1], "has had the traffic")
    again = Recovery(stack, {"cluster": cluster.name, "resume": earlier.id})
    again.failed(refused(STOPPED), "InvalidRequest", f"was adopted by {name}", f"resume {name}")


BLOCKED = [*STOPPED, "AcquireLease", "ValidateWindow", "Preflight", "IsBlocked", *CONCLUDE]


def refused(read):
    return [*read, "AcquireLease", "ValidateWindow", *CONCLUDE]


def test_wrong_check_costs_no_second_restore(stack, engine):
    cluster = settled_shop(stack, f"e2e-resume-check-{engine.name}", engine=engine)
    target = cluster.mistake("DELETE FROM orders")
    wrong = [RIGHT[0] | {"expect": "4001"}]
    earlier = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=wrong, approval="none")
    ended = earlier.wait()
    assert (ended["status"], ended.get("error")) == ("FAILED", "VerificationFailed"), f"how it ended: {ended}"
    contains(ended["cause"], f"rewind resume {earlier.id}")
    kept = stack.describe(f"{cluster.name}-r")
    assert "aurora-rewind:keep-until" in tags(stack, f"{cluster.name}-r"), "until when the cluster is kept"

    again = Recovery(stack, {"cluster": cluster.name, "resume": earlier.id, "checks": RIGHT})
    again.recovered([*READ, *ADOPTED])
    assert stack.describe(f"{cluster.name}-r")["DbClusterResourceId"] == kept["DbClusterResourceId"], "it was restored again"
    assert "aurora-rewind:keep-until" not in tags(stack, f"{cluster.name}-r"), "the cluster with the traffic may be deleted"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"


def test_resumed_recovery_is_resumed_and_one_that_runs_is_not(stack):
    terminal, cluster = Terminal(stack), settled_shop(stack, "e2e-resume-twice")
    first = stopped(cluster)
    second = Recovery(stack, {"cluster": cluster.name, "resume": first.id})
    second.approval()
    # It holds the lease, and so does not let go of the cluster.
    contains(terminal.run("resume", second.id, code=5)[1], "it has not ended")
    third = Recovery(stack, {"cluster": cluster.name, "resume": second.id})
    held = ["AcquireLease", "ReadLease", "ReadHolder", *CONCLUDE_WITHOUT_LEASE]
    third.failed([*RUNNING, *held], "LeaseHeld", f"recovery {second.id} holds", lease=second.id)
    # By the id of the first as well: who works on its cluster is what counts.
    third = Recovery(stack, {"cluster": cluster.name, "resume": first.id})
    third.failed([*STOPPED, *held], "LeaseHeld", f"recovery {second.id} holds", lease=second.id)

    second.stop()
    last = Recovery(stack, {"cluster": cluster.name, "resume": second.id, "approval": "none"})
    last.recovered([*STOPPED, *ADOPTED])
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"


@pytest.mark.slow
def test_function_that_outlives_its_stopped_execution_is_waited_for_and_its_fence_is_seen(stack):
    cluster = settled_shop(stack, "e2e-resume-fence")
    target = cluster.mistake("DELETE FROM orders")
    earlier = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=RIGHT, approval="none")
    earlier.reaches("FenceSource")
    # Step Functions ends the execution, and not the function.
    earlier.stop()
    path = [*BEGIN, "DescribeResumed", "IsFunctionPossiblyRunning", "WaitForStopped", "ReadStopped", *FENCE_READ, "AcquireLease", "ReadLease", "ReadHolder"]
    run = Recovery(stack, {"resume": earlier.id, "cluster": cluster.name})
    run.failed([*path, *CONCLUDE_WITHOUT_LEASE], "LeaseHeld", f"recovery {earlier.id} was stopped at", f"rewind status {earlier.id}", timeout=420, lease=earlier.id)
    assert cluster.groups == sorted(stack.fence_groups), "the fence that the function closed by itself"
    assert "fence" in stack.item(f"fence#{earlier.id}"), "the record of that fence"


def test_cluster_of_a_source_that_was_created_anew_is_not_adopted(stack):
    cluster = settled_shop(stack, "e2e-resume-anew")
    earlier = stopped(cluster)
    cluster.delete()
    wait_until(lambda: stack.describe(cluster.name) is None, "the end of the source")
    anew = create_shop(stack, cluster.name)
    before = tags(stack, f"{cluster.name}-r")
    run = Recovery(stack, {"resume": earlier.id, "cluster": cluster.name})
    run.failed(refused(STOPPED), "InvalidRequest", "it was deleted and created anew", anew.describe()["DbClusterResourceId"])
    assert tags(stack, f"{cluster.name}-r") == before, "the tags of the cluster that was not adopted"


def test_resume_by_an_event_and_from_chat(stack):
    bus, slack = Bus(stack), Slack(stack)
    cluster = settled_shop(stack, "e2e-resume-event")
    earlier = stopped(cluster)
    contains(slack.says(BEN, f"resume {earlier.id}").text, "you may look, and not start a recovery")
    name = f"{earlier.id}-chat"
    said = slack.says(ANN, f"resume {earlier.id} --name {name}")
    if "is started" not in said.text:
        said = said.later()
    contains(said.text, f"{name} is started")
    chatted = Started(stack, name)
    chatted.approval()
    chatted.stop()

    # The checks of whoever began it would run as the master, which no event may ask for.
    event = bus.ask({"resume": name, "approval": "none", "checks": None, "unverified": "accepted"})
    run = Requested(stack, event["id"])
    run.request["cluster"] = cluster.name
    assert run.recovered([*STOPPED, *ADOPTED])["newCluster"] == f"{cluster.name}-r", "the cluster"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"


def test_what_is_in_use_is_not_adopted(stack):
    cluster = settled_shop(stack, "e2e-resume-used")
    earlier = stopped(cluster)
    kept = Cluster(stack, f"{cluster.name}-r")
    # Somebody led the application there by hand.
    stack.change_record("UPSERT", cluster.record, kept.endpoint, 1)
    run = Recovery(stack, {"resume": earlier.id, "cluster": cluster.name, "dns": []})
    run.failed(refused(STOPPED), "InvalidRequest", f"{kept.name} is in use: {cluster.record} leads to {kept.endpoint}")


def test_cluster_that_clients_are_on_is_not_adopted(stack, engine):
    cluster = settled_shop(stack, f"e2e-resume-busy-{engine.name}", engine=engine)
    earlier = stopped(cluster)
    kept = Cluster(stack, f"{cluster.name}-r", engine, cluster.password)
    # By its address and without a record, as an application is led there by hand.
    with kept.connect():
        run = Recovery(stack, {"resume": earlier.id, "cluster": cluster.name})
        run.failed(BLOCKED, "InvalidRequest", f"the restored cluster is in use: {engine.user} in shop", "[restored-in-use]")
    assert tags(stack, kept.name)["aurora-rewind:recovery"] == earlier.id, "whose the cluster is"


def test_rejected_resume_keeps_a_cluster_in_use_and_what_people_asked_for(stack):
    cluster = settled_shop(stack, "e2e-resume-no")
    earlier = stopped(cluster)
    kept = Cluster(stack, f"{cluster.name}-r", cluster.engine, cluster.password)
    # Set when it was restored: nobody has to set it for a recovery that is stopped.
    set_by_the_restore = tags(stack, kept.name)["aurora-rewind:keep-until"]
    assert seconds(set_by_the_restore) > time.time() + 86400, "until when the cluster of a stopped recovery is kept"
    later = "2031-01-01T00:00:00Z"
    keep = [{"Key": "aurora-rewind:keep-until", "Value": later}]
    stack.rds.add_tags_to_resource(ResourceName=kept.describe()["DBClusterArn"], Tags=keep)

    second = Recovery(stack, {"cluster": cluster.name, "resume": earlier.id})
    second.approval()
    with kept.connect():
        second.decide("rejected")
        ended = second.wait()
    assert (ended["status"], ended.get("error")) == ("FAILED", "NotApproved"), f"how it ended: {ended}"
    contains(ended["cause"], "it is not deleted, though it was rejected", "in use: ", f"until {later}")
    assert tags(stack, kept.name)["aurora-rewind:keep-until"] == later, "until when people asked to keep it"

    # Nobody is on it any more, and what somebody has written there goes into a snapshot.
    kept.sql("INSERT INTO audit.log (what) VALUES ('by hand')")
    third = Recovery(stack, {"cluster": cluster.name, "resume": second.id})
    third.approval()
    third.decide("rejected")
    ended = third.wait()
    snapshot = f"{kept.name}-final-{third.id}"[:63]
    contains(ended["cause"], f"is being deleted, into the snapshot {snapshot}")
    assert stack.describe(kept.name) is None, "the rejected cluster"
    (found,) = stack.rds.describe_db_cluster_snapshots(DBClusterIdentifier=kept.name)["DBClusterSnapshots"]
    assert (found["DBClusterSnapshotIdentifier"], found["Status"]) == (snapshot, "available"), "the final snapshot"
    stack.on_success(lambda: stack.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot))
