"""Functions killed by kill -9 in the middle of their work: the recovery goes on, or all is undone; never half."""

import time

from cluster import Cluster, iso
from engines import test_on_each
from harness import equal, holds, note, test, wait_until
from recovery import (
    CONCLUDE,
    PUT_BACK,
    REWIND,
    START,
    UNASKED,
    UNDO_FENCE,
    UNDO_INSTANCES,
    UNDO_RESTORE,
    UNDO_SWITCH,
    Recovery,
    up_to,
)  # fmt: skip
from trap import kill_client_of
from undone import Before, shop

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
UNTIL_FENCE = START + REWIND + ["IsApprovalNeeded", "FenceSource"]


def deleted(stack, name, **more):
    """A cluster that lost its orders, how it was, and the moment before."""
    cluster = shop(stack, name, PreferredMaintenanceWindow="tue:03:00-tue:03:30", **more)
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    return cluster, Before(cluster), iso(target)


def start(cluster, target):
    # Its name is in every call that is meant for it.
    name = f"{cluster.name}-{time.time_ns()}"
    return Recovery.of(cluster, target, name, dns=cluster.dns(), checks=[CHECK], approval="none")


@test("every function that changes something, killed once before its change is sent: the recovery goes on")
def once_before(stack):
    cluster, _, target = deleted(stack, "e2e-kill-before")
    new, traps = f"{cluster.name}-r", stack.traps
    with (
        traps.at("Action=RestoreDBClusterToPointInTime", new, when="before") as restore,
        traps.at("Action=CreateDBInstance", new, when="before") as create,
        traps.at(
            "Action=ModifyDBCluster", f"DBClusterIdentifier={cluster.name}&", "VpcSecurityGroupIds", when="before"
        ) as fence,
        traps.at("POST", "/rrset", cluster.record, when="before") as swap,
    ):
        output = start(cluster, target).recovered(UNASKED)
    equal([len(trap.killed) for trap in [restore, create, fence, swap]], [1, 1, 1, 1], "functions killed")
    equal(cluster.value("SELECT count(*) FROM orders", host=cluster.record), 4000, "the rows by name")
    note(f"recovered in {output['timings']['total']:.1f} s with four functions killed")


@test(
    "every function that changes something, killed once after its change: nothing is done twice, the recovery goes on",
    first=True,
)
def once_after(stack):
    cluster, _, target = deleted(stack, "e2e-kill-after")
    new, traps = f"{cluster.name}-r", stack.traps
    with (
        traps.at("Action=RestoreDBClusterToPointInTime", new, when="after") as restore,
        traps.at("Action=CreateDBInstance", new, when="after") as create,
        traps.at("UpdateItem", "fence", f"recovery#{cluster.name}-", when="after") as noted,
        traps.at("POST", "/rrset", cluster.record, when="after") as swap,
    ):
        output = start(cluster, target).recovered(UNASKED, timeout=240)
    equal([len(trap.killed) for trap in [restore, create, noted, swap]], [1, 1, 1, 1], "functions killed")
    equal(cluster.value("SELECT count(*) FROM orders", host=cluster.record), 4000, "the rows by name")
    made = sorted(name for name in stack.inventory() if name.startswith(cluster.name))
    equal(made, [cluster.name, f"{cluster.name}-1", new, f"{new}-1"], "what there is")
    note(f"recovered in {output['timings']['total']:.1f} s with four functions killed")


@test("start-restore killed every time after the restore began: the restored cluster is deleted, nothing was changed")
def restore_always(stack):
    cluster, before, target = deleted(stack, "e2e-kill-restore")
    new, traps = f"{cluster.name}-r", stack.traps
    # A repetition finds the cluster and needs no second restore: it is killed at what it does first.
    with (
        traps.at("Action=RestoreDBClusterToPointInTime", new, when="after") as restore,
        traps.at("Action=DescribeDBClusters", f"DBClusterIdentifier={new}", when="never") as look,
    ):
        run = start(cluster, target)
        wait_until(lambda: restore.killed, "the end of the first start-restore", 60)
        look.when = "before"
        cause = run.failed(START + ["StartRestore"] + UNDO_RESTORE + CONCLUDE, "Unavailable", "[Runtime.ExitError in ", "undone:", new)
    equal((len(restore.killed), len(look.killed)), (1, 1), "functions killed")
    before.is_restored()
    note(cause)


@test(
    "add-instances killed every time with an instance made: instance and new cluster are deleted, nothing was changed"
)
def instances_always(stack):
    cluster, before, target = deleted(stack, "e2e-kill-add")
    new, traps = f"{cluster.name}-r", stack.traps
    with (
        traps.at("Action=CreateDBInstance", new, when="after") as create,
        traps.at("Action=ModifyDBCluster", f"DBClusterIdentifier={new}&", "Window", when="before", times=2) as complete,
    ):
        run = start(cluster, target)
        path = START + up_to("AddInstances", REWIND) + PUT_BACK + UNDO_INSTANCES + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"{new}-1", new)
    equal((len(create.killed), len(complete.killed)), (1, 1), "functions killed")
    before.is_restored()
    note(cause)


@test("fence-source killed every time with its network layer up: the fence is lifted exactly, nothing was changed")
def fence_always(stack):
    cluster, before, target = deleted(stack, "e2e-kill-fence")
    traps = stack.traps
    fence = stack.fence_groups[0]
    with (
        traps.at("Action=ModifyDBCluster", f"DBClusterIdentifier={cluster.name}&", fence, when="after") as closed,
        traps.at("UpdateItem", "fence", f"recovery#{cluster.name}-", when="never") as again,
    ):
        run = start(cluster, target)
        wait_until(lambda: closed.killed, "the end of the first fence-source", 90)
        again.when = "before"
        path = UNTIL_FENCE + UNDO_FENCE + UNDO_INSTANCES + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", "security groups of e2e-kill-fence put back")
    equal((len(closed.killed), len(again.killed)), (1, 1), "functions killed")
    before.is_restored()
    note(cause)


@test_on_each(
    "fence-source killed every time with logins closed: what is put back is how it was before the first attempt"
)
def fence_midway(stack, engine):
    cluster, _, target = deleted(stack, f"{engine.prefix}-kill-midway", engine=engine)
    cluster.sql(engine.landscape)
    before = Before(cluster)
    address, killed = stack.resolve(cluster.endpoint), []
    # A session of before the fence sees it go up, until it is ended by it.
    with cluster.connect(engine.maintenance) as watcher:
        run = start(cluster, target)
        run.reaches("FenceSource")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not engine.is_closing(watcher):
            time.sleep(0.002)
        killed.append(kill_client_of(address, cluster.port))
    # The second attempt finds everything closed already: it must not take that for how it was.
    killed.append(wait_until(lambda: kill_client_of(address, cluster.port), "a second fence-source", 30, 0.02))
    path = UNTIL_FENCE + UNDO_FENCE + UNDO_INSTANCES + CONCLUDE
    cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", engine.lifted[-1])
    holds(all(killed), f"functions killed: {killed}")
    before.is_restored()
    note(cause)


@test("swap-dns killed every time with the records moved: they go back, the fence is lifted, the restored cluster is kept")
def swap_always(stack):
    cluster, before, target = deleted(stack, "e2e-kill-swap")
    new, traps = Cluster(stack, f"{cluster.name}-r"), stack.traps
    with (
        traps.at("POST", "/rrset", cluster.record, f"to {new.name}", when="after") as moved,
        traps.at("GET", "/rrset", cluster.record, when="never") as look,
    ):
        run = start(cluster, target)
        wait_until(lambda: moved.killed, "the end of the first swap-dns", 120)
        look.when = "before"
        path = UNTIL_FENCE + ["IsDataRewound", "SwapDns"] + UNDO_SWITCH + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"{cluster.record} points at", "is KEPT and fenced")
    equal((len(moved.killed), len(look.killed)), (1, 1), "functions killed")
    before.is_restored(new_cluster_kept=True)
    equal(new.groups, sorted(stack.fence_groups), "the restored cluster's security groups")
    note(cause)
