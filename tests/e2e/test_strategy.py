"""Which strategy is chosen, and what a person is told of it: by dry runs, which change nothing."""

import json

from checks import contains
from cluster import BACKTRACK, Cluster
from engines import MYSQL
from recovery import REFUSED, Recovery

OFF = "Backtrack is off for e2e-my-plain: it is switched on when a cluster is made"
NOT_ALLOWED = "not backtrack: the request does not allow downtime of the source (`inPlace` is forbidden)"


def planned(cluster, **request):
    run = Recovery(cluster.stack, {"cluster": cluster.name, "to": "1s ago", "dryRun": True} | request)
    ended = run.wait()
    assert ended["status"] == "SUCCEEDED", f"the dry run of {request}, which said {ended.get('cause')}"
    return json.loads(ended["output"])["plan"]


def refused(cluster, error, *said, **request):
    run = Recovery(cluster.stack, {"cluster": cluster.name, "to": "1s ago"} | request)
    run.failed(REFUSED, error, *said, "nothing was changed")


def test_auto_goes_in_place_only_where_allowed_and_possible(stack):
    able = Cluster.create(stack, "e2e-my-able", engine=MYSQL, **BACKTRACK)
    plain = Cluster.create(stack, "e2e-my-plain", engine=MYSQL)
    for cluster in [able, plain]:
        cluster.settle()
    postgres = Cluster(stack, "my-aurora-cluster")
    for cluster, request, strategy, said in [
        (able, {}, "restore", [NOT_ALLOWED, "though enabled, reaches back to"]),
        (able, {"inPlace": "allowed"}, "backtrack", ["enabled, reaches back to", "the request allows downtime"]),
        (able, {"inPlace": "allowed", "strategy": "restore"}, "restore", ["restore: asked for"]),
        (able, {"inPlace": "allowed", "strategy": "backtrack"}, "backtrack", ["backtrack: asked for; enabled"]),
        (able, {"inPlace": "allowed", "to": "latest"}, "restore", ["not backtrack: `to` is latest"]),
        (plain, {"inPlace": "allowed"}, "restore", ["restore: side by side", f"not backtrack: {OFF}"]),
        (postgres, {"inPlace": "allowed"}, "restore", ["not backtrack: Backtrack exists for Aurora MySQL only"]),
    ]:
        plan = planned(cluster, **request)
        assert plan["strategy"] == strategy, f"the strategy for {request} of {cluster.name}"
        contains("\n".join(plan["reasons"]), *said)
        assert bool(plan["backtrack"]) == (strategy == "backtrack"), "what the plan has of a backtrack"
    plan = planned(able, inPlace="allowed", dns=able.dns(), approval="required")
    assert (plan["dns"], len(plan["instances"])) == ([], 1), "records to move, and instances of the safety clone"
    assert plan["backtrack"] == {"windowSeconds": 86_400, "force": False, "securityGroups": able.groups}, (
        "the plan's backtrack"
    )
    contains(
        "\n".join(plan["willDo"]), "ask a person", "fence e2e-my-able", "the safety clone", "backtrack e2e-my-able itself"
    )
    contains("\n".join(plan["warnings"]), "every connection to e2e-my-able is cut", "`dns` is left alone")
    assert stack.describe(plan["newCluster"]) is None, "the safety clone of a dry run"


def test_impossible_backtrack_is_refused_with_what_to_write_instead(stack):
    able = Cluster.create(stack, "e2e-my-refused", engine=MYSQL, **BACKTRACK)
    able.settle()
    instead = 'write `"strategy": "restore"`'
    in_place = {"strategy": "backtrack", "inPlace": "allowed"}
    refused(able, "InvalidRequest", 'write `"inPlace": "allowed"`', strategy="backtrack")
    refused(able, "OutsideWindow", "`to` is latest", instead, to="latest", **in_place)
    refused(able, "OutsideWindow", "before e2e-my-refused was made", "ask for a time from", to="2h ago", **in_place)
    # A fence that an earlier recovery could not lift: nobody could tell its groups from the cluster's own.
    stack.rds.modify_db_cluster(
        DBClusterIdentifier=able.name, VpcSecurityGroupIds=stack.fence_groups, ApplyImmediately=True
    )
    able.wait_available()
    refused(able, "InvalidRequest", "an earlier fence was not lifted", instead, **in_place)
