"""Clusters that can be rewound in place, and recoveries that do it."""

from cluster import BACKTRACK
from engines import MYSQL
from recovery import CLONE, Recovery
from stages import FENCE, START
from shop import create_shop

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
# A value that no number of rows is: those may be told.
WRONG = CHECK | {"name": "too many", "sql": "SELECT count(*) * 7 FROM orders", "expect": "28007"}
UNTIL_BACK = START + ["IsApprovalNeeded"] + FENCE + CLONE


def create_shop_with_backtrack(stack, name, **more):
    """A shop that can be rewound in place."""
    return create_shop(stack, f"e2e-my-{name}", engine=MYSQL, **(BACKTRACK | more))


def rewind_in_place(cluster, target, **more):
    request = {"strategy": "backtrack", "inPlace": "allowed", "approval": "none", "checks": [CHECK]}
    return Recovery.of(cluster, target, **(request | more))


def backtracks(cluster):
    """All of a cluster, in the order in which they were asked for."""
    found = cluster.stack.rds.describe_db_cluster_backtracks(DBClusterIdentifier=cluster.name)["DBClusterBacktracks"]
    return sorted(found, key=lambda backtrack: backtrack["BacktrackRequestCreationTime"])
