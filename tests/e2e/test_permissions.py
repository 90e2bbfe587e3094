"""A function without an action that its role has: the recovery says what is missing, in words that help, and changes nothing."""

import uuid

import pytest

from baseline import Baseline
from checks import contains
from cluster import Cluster
from policies import WITHOUT, copied, decisions, machine_with
from recovery import CONCLUDE, SWITCH, Recovery, up_to
from stages import DELETED, FENCE, KEEP, KEPT, NEVER_SENT, OVER, REWIND, START, UNDO_FENCE
from shop import fill


class Without:
    """The deployed state machine, but for one function; and that one as deployed, but for an action that it may not."""

    def __init__(self, stack, stem, action):
        self.name = f"{WITHOUT}{stem}-{uuid.uuid4().hex[:8]}"
        function = copied(stack, stem, self.name, lambda one: one != action)
        self.machine = machine_with(stack, self.name, {stem: function})


MOVING = START + REWIND + ["IsApprovalNeeded"]


@pytest.mark.parametrize(
    ("stem", "action", "path"),
    [
        ("StartRestore", "rds:RestoreDBClusterToPointInTime", up_to("StartRestore", START + REWIND) + OVER + DELETED),
        # Creating with tags takes it.
        ("AddInstances", "rds:AddTagsToResource", up_to("AddInstances", START + REWIND) + OVER + KEPT),
        ("Verify", "secretsmanager:GetSecretValue", up_to("Verify", START + REWIND) + KEPT),
        ("FenceSource", "dynamodb:UpdateItem", up_to("FenceSource", MOVING + FENCE) + OVER + UNDO_FENCE + KEEP),
        ("SwapDns", "route53:ChangeResourceRecordSets", up_to("SwapDns", MOVING + FENCE + SWITCH) + OVER + NEVER_SENT + UNDO_FENCE + KEEP),
    ],
    ids=["StartRestore", "AddInstances", "Verify", "FenceSource", "SwapDns"],
)
def test_missing_permission_is_told_and_nothing_is_changed(stack, stem, action, path):
    decisions(stack)
    cluster = Cluster.create(stack, f"e2e-no-{stem.lower()}")
    fill(cluster)
    before = Baseline(cluster)
    cluster.settle()
    less = Without(stack, stem, action)
    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    run = Recovery.of(cluster, "1s ago", machine=less.machine, dns=cluster.dns(), approval="none", checks=[check])
    cause = run.failed(path + CONCLUDE, "RewindFailed", f"is not authorized to perform: {action}")
    contains(cause, less.name, "allow the caller the action that is named, and start again", f"[RewindFailed in {stem}]")
    before.is_restored(new_cluster_kept=stem != "StartRestore")
