"""Functions killed by kill -9 in the middle of their work: the recovery goes on, or all is undone; never half."""

import contextlib
import time

import pytest

from baseline import Baseline
from checks import wait_until
from cluster import Cluster, iso
from killing_proxy import kill_client_of
from recovery import CONCLUDE, WITHOUT_APPROVAL, Recovery, up_to
from stages import KEEP, KEPT, OVER, OVERSTAYED, READ_RECORDS, REWIND, START, UNDO_FENCE
from shop import create_shop

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
UNTIL_FENCE = START + REWIND + ["IsApprovalNeeded", "NoteFence", "WatchFence", "FenceSource"]


def deleted(stack, name, **more):
    """A cluster that lost its orders, how it was, and the moment before."""
    cluster = create_shop(stack, name, PreferredMaintenanceWindow="tue:03:00-tue:03:30", **more)
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    return cluster, Baseline(cluster), iso(target)


def start(cluster, target):
    # Its name is in every call that is meant for it.
    name = f"{cluster.name}-{time.time_ns()}"
    return Recovery.of(cluster, target, name, dns=cluster.dns(), checks=[CHECK], approval="none")


def test_each_function_killed_once_before_its_change_goes_on(stack, kills):
    cluster, _, target = deleted(stack, "e2e-kill-before")
    new = f"{cluster.name}-r"
    with (
        kills.at("Action=RestoreDBClusterToPointInTime", new, when="before") as restore,
        kills.at("Action=CreateDBInstance", new, when="before") as create,
        kills.at(
            "Action=ModifyDBCluster", f"DBClusterIdentifier={cluster.name}&", "VpcSecurityGroupIds", when="before"
        ) as fence,
        kills.at("POST", "/rrset", cluster.record, when="before") as swap,
    ):
        output = start(cluster, target).recovered(WITHOUT_APPROVAL)
    assert [len(kill.killed) for kill in [restore, create, fence, swap]] == [1, 1, 1, 1], "functions killed"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    print(f"recovered in {output['timings']['total']:.1f} s with four functions killed")


@pytest.mark.slow
def test_each_function_killed_once_after_its_change_does_nothing_twice(stack, kills):
    cluster, _, target = deleted(stack, "e2e-kill-after")
    new = f"{cluster.name}-r"
    with (
        kills.at("Action=RestoreDBClusterToPointInTime", new, when="after") as restore,
        kills.at("Action=CreateDBInstance", new, when="after") as create,
        kills.at("TransactWriteItems", f"fence#{cluster.name}-", when="after") as noted,
        kills.at("POST", "/rrset", cluster.record, when="after") as swap,
    ):
        output = start(cluster, target).recovered(WITHOUT_APPROVAL, timeout=240)
    assert [len(kill.killed) for kill in [restore, create, noted, swap]] == [1, 1, 1, 1], "functions killed"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    made = sorted(name for name in stack.inventory() if name.startswith(cluster.name))
    assert made == [cluster.name, f"{cluster.name}-1", new, f"{new}-1"], "what there is"
    print(f"recovered in {output['timings']['total']:.1f} s with four functions killed")


def test_start_restore_killed_every_time_keeps_what_rds_restores(stack, kills):
    cluster, before, target = deleted(stack, "e2e-kill-restore")
    new = f"{cluster.name}-r"
    # A repetition finds the cluster and needs no second restore: it is killed at what it does first.
    with (
        kills.at("Action=RestoreDBClusterToPointInTime", new, when="after") as restore,
        kills.at("Action=DescribeDBClusters", f"DBClusterIdentifier={new}", when="never") as look,
    ):
        run = start(cluster, target)
        wait_until(lambda: restore.killed, "the end of the first start-restore", 60)
        look.begin("before")
        cause = run.failed(START + ["StartRestore"] + OVERSTAYED + KEPT + CONCLUDE, "Unavailable", "[Runtime.ExitError in ", f"the restored cluster {new}", f"rewind resume {run.id}", timeout=300)
    assert (len(restore.killed), len(look.killed)) == (1, 1), "functions killed"
    before.is_restored(new_cluster_kept=True)
    print(cause)


def test_add_instances_killed_every_time_leaves_the_source_and_keeps_the_restored_cluster(stack, kills):
    cluster, before, target = deleted(stack, "e2e-kill-add")
    new = f"{cluster.name}-r"
    with (
        kills.at("Action=CreateDBInstance", new, when="after") as create,
        kills.at("Action=ModifyDBCluster", f"DBClusterIdentifier={new}&", "Window", when="before", times=2) as complete,
    ):
        run = start(cluster, target)
        path = START + up_to("AddInstances", REWIND) + OVER + KEPT + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", f"the restored cluster {new} is kept", f"rewind resume {run.id}")
    assert (len(create.killed), len(complete.killed)) == (1, 1), "functions killed"
    before.is_restored(new_cluster_kept=True)
    print(cause)


def test_fence_source_killed_every_time_with_its_network_layer_up_changes_nothing(stack, kills):
    cluster, before, target = deleted(stack, "e2e-kill-fence")
    fence = stack.fence_groups[0]
    # A second attempt reads the record of the first one before it changes anything: it is killed there.
    with (
        kills.at("Action=ModifyDBCluster", f"DBClusterIdentifier={cluster.name}&", fence, when="after") as closed,
        kills.at("GetItem", f"fence#{cluster.name}-", when="never") as again,
    ):
        run = start(cluster, target)
        wait_until(lambda: closed.killed, "the end of the first fence-source", 90)
        again.begin("before")
        path = UNTIL_FENCE + OVERSTAYED + UNDO_FENCE + KEEP + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", "security groups of e2e-kill-fence restored", timeout=360)
    assert (len(closed.killed), len(again.killed)) == (1, 1), "functions killed"
    before.is_restored(new_cluster_kept=True)
    print(cause)


def test_fence_source_killed_every_time_with_logins_closed_changes_nothing(stack, kills, engine):
    cluster, _, target = deleted(stack, f"{engine.prefix}-kill-midway", engine=engine)
    cluster.sql(engine.logins_of_every_kind)
    before = Baseline(cluster)
    address, killed = stack.resolve(cluster.endpoint), []
    # A session of before the fence sees it go up, until it is ended by it.
    with cluster.connect(engine.maintenance) as watcher:
        run = start(cluster, target)
        run.reaches("FenceSource")
        deadline = time.monotonic() + 60
        # A session that the fence has ended sees nothing more of it: the function is at work behind that.
        with contextlib.suppress(engine.error):
            while time.monotonic() < deadline and not engine.is_closing(watcher):
                time.sleep(0.002)
        killed.append(kill_client_of(address, cluster.port))
    # The second attempt finds everything closed already: it must not take that for how it was.
    killed.append(wait_until(lambda: kill_client_of(address, cluster.port), "a second fence-source", 30, 0.02))
    path = UNTIL_FENCE + OVERSTAYED + UNDO_FENCE + KEEP + CONCLUDE
    cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", engine.texts_of_a_lifted_fence[-1], timeout=360)
    assert all(killed), f"functions killed: {killed}"
    before.is_restored(new_cluster_kept=True)
    print(cause)


def test_swap_dns_killed_every_time_goes_on_by_what_the_zone_says(stack, kills):
    cluster, _, target = deleted(stack, "e2e-kill-swap")
    new = Cluster(stack, f"{cluster.name}-r")
    with (
        kills.at("POST", "/rrset", cluster.record, f"to {new.name}", when="after") as moved,
        kills.at("GET", "/rrset", cluster.record, when="never") as look,
    ):
        run = start(cluster, target)
        wait_until(lambda: moved.killed, "the end of the first swap-dns", 120)
        look.begin("before")
        path = UNTIL_FENCE + ["IsDataRewound", "SwapDns", *OVERSTAYED, *READ_RECORDS] + WITHOUT_APPROVAL[WITHOUT_APPROVAL.index("AwaitInSync") :]
        run.recovered(path, timeout=360)
    assert (len(moved.killed), len(look.killed)) == (1, 1), "functions killed"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
