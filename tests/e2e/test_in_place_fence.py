"""The fence of a recovery in place, where the network is all of it: what passes the network is refused beforehand, and a fence that
somebody opens or gets into is followed by no backtrack."""

import json
import time

import pytest

from backtracks import UNTIL_BACK, backtracks, create_shop_with_backtrack, rewind_in_place
from baseline import Baseline
from checks import contains, wait_until
from cluster import iso
from queues import Queue
from recovery import CONCLUDE, IN_PLACE, REFUSED, UNDO_CLONE, Recovery

NOT_BACKTRACKED = UNTIL_BACK + ["NoteBacktrack", "InspectFence"] + UNDO_CLONE + CONCLUDE


def test_a_source_with_the_data_api_is_refused_before_anything_is_changed(stack):
    cluster = create_shop_with_backtrack(stack, "fence-refused")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    arn = cluster.describe()["DBClusterArn"]
    stack.rds.enable_http_endpoint(ResourceArn=arn)
    before = Baseline(cluster)
    run = rewind_in_place(cluster, iso(target))
    run.failed(REFUSED, "InvalidRequest", "the Data API of", f"disable-http-endpoint --resource-arn {arn}", "nothing was changed")
    before.is_restored()
    stack.rds.disable_http_endpoint(ResourceArn=arn)
    rewind_in_place(cluster, iso(target)).recovered(IN_PLACE)
    assert cluster.value("SELECT count(*) FROM orders") == 4000, "the rows"


def change_while_cloned(stack, cluster, run, change):
    """Changes the cluster after its fence is up and before it is inspected again."""
    run.reaches("AddInstances")
    wait_until(lambda: stack.describe(cluster.name)["Status"] == "available", f"{cluster.name} available")
    change()


@pytest.mark.parametrize("how", ["group", "api"])
def test_a_fence_that_somebody_opens_meanwhile_ends_without_a_backtrack(stack, how):
    cluster = create_shop_with_backtrack(stack, f"fence-{how}")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders WHERE id > 3000")
    before = Baseline(cluster)
    run = rewind_in_place(cluster, iso(target))

    def open_it():
        if how == "api":
            stack.rds.enable_http_endpoint(ResourceArn=cluster.describe()["DBClusterArn"])
            return
        # The fence's group is still there, and beside it one that lets clients in.
        both = [*stack.fence_groups, *stack.app_groups]
        stack.rds.modify_db_cluster(DBClusterIdentifier=cluster.name, VpcSecurityGroupIds=both, ApplyImmediately=True)
        wait_until(lambda: stack.describe(cluster.name)["Status"] == "available", "the groups")
        # What is written now is not on the safety clone, and must not be rewound.
        cluster.sql("DELETE FROM orders WHERE id > 2000")

    change_while_cloned(stack, cluster, run, open_it)
    said = ["its security groups are", "may only be"] if how == "group" else ["its Data API is on"]
    run.failed(NOT_BACKTRACKED, "RewindFailed", f"the fence of {cluster.name} does not hold", *said, "nothing was backtracked")
    assert backtracks(cluster) == [], "backtracks"
    if how == "group":
        assert cluster.value("SELECT count(*) FROM orders") == 2000, "the write from inside the fence"
        assert cluster.groups == before.logins["groups"], "the security groups"
    else:
        stack.rds.disable_http_endpoint(ResourceArn=cluster.describe()["DBClusterArn"])
        before.is_restored()


def test_an_upgrade_that_waits_for_the_maintenance_window_still_waits_after_a_recovery(stack):
    cluster = create_shop_with_backtrack(stack, "fence-upgrade")
    version = cluster.describe()["EngineVersion"]
    newer = version.rsplit(".", 1)[0] + ".9"
    assert newer != version, "the test needs another version"
    stack.rds.modify_db_cluster(DBClusterIdentifier=cluster.name, EngineVersion=newer)
    assert cluster.describe()["PendingModifiedValues"] == {"EngineVersion": newer}, "what waits"
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    run = rewind_in_place(cluster, iso(target))
    run.recovered(IN_PLACE)
    contains(" ".join(run.result("ValidateWindow")["warnings"]), f"maintenance window (engine version {newer})")
    after = cluster.describe()
    assert (after["EngineVersion"], after["PendingModifiedValues"]) == (version, {"EngineVersion": newer}), "after the recovery"
    # The stack is stricter than AWS: it starts what waits with the first call that is to be applied immediately.
    stack.rds.modify_db_cluster(DBClusterIdentifier=cluster.name, CopyTagsToSnapshot=True, ApplyImmediately=True)
    wait_until(lambda: cluster.describe()["EngineVersion"] == newer, "the upgrade that a careless call starts")


@pytest.mark.slow
def test_a_fence_that_stands_for_too_long_pages_although_the_recovery_only_waits(stack):
    cluster = create_shop_with_backtrack(stack, "fence-overdue")
    # The old TTL is waited for with the source fenced.
    stack.change_record("UPSERT", cluster.record, cluster.endpoint, 75)
    cluster.settle()
    pages = Pages(stack)
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none", fenceTimeout="1m")
    page = wait_until(lambda: pages.about(run.id), "a page", 150)
    contains(page["cause"], f"{cluster.name} was fenced more than 1 minutes ago", f"rewind status {run.id}")
    assert page["title"] == "aurora-rewind: a fence stands for too long", "the title"
    assert run.wait(200)["status"] == "SUCCEEDED", "the recovery"
    time.sleep(1)
    assert len(pages.all_about(run.id)) == 1, "pages"


class Pages:
    """What is paged, from now on."""

    def __init__(self, stack):
        self.queue, sns = Queue.create(stack, "sns.amazonaws.com"), stack.client("sns")
        topic = stack.outputs["PagesTopicArn"]
        arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.queue.arn)["SubscriptionArn"]
        stack.on_success(lambda: sns.unsubscribe(SubscriptionArn=arn))
        self.seen = []

    def all_about(self, recovery):
        self.seen += [json.loads(json.loads(body)["Message"]) for body in self.queue.take()]
        return [page for page in self.seen if page.get("recovery") == recovery]

    def about(self, recovery):
        return next(iter(self.all_about(recovery)), None)
