"""What recoveries kept, when its time is over: it stays while anybody needs it, and people are told why; then it goes, into a
snapshot that holds all of it. Until then the recovery can be undone, and after that it says why it cannot."""

import contextlib
import datetime
import json
import re
import socket
import ssl
import uuid

from baseline import Baseline
from backtracks import create_shop_with_backtrack, rewind_in_place
from checks import contains, same_path, wait_until
from cluster import UTC, Cluster, iso
from engines import MYSQL, POSTGRES
from recovery import IN_PLACE, WITHOUT_APPROVAL, Recovery, moment, seconds, undo
from shop import create_shop, difference, everything, settled_shop
from subscriber import Subscriber
from test_cli import Terminal

FIND = ["Begin", "FindDue", "IsAnyDue"]
DONE = ["IsAnyDue", "CleanedUp"]
NOTHING_DUE = [*FIND, "CleanedUp"]
CHECK = [*FIND, "FindRecords", "CheckUnused", "IsUnused"]
KEPT = [*CHECK, "RecordNotice", "SendNotice", *DONE]
KEPT_AND_TOLD_BEFORE = [*CHECK, "RecordNotice", *DONE]
DELETED = [*CHECK, "FindRecordsAgain", "CleanUp", "IsDeleted", "SendNotice", *DONE]


@contextlib.contextmanager
def only_kept_cluster(stack, name):
    """Each run looks at everything that is due: one test at a time has something that is, and leaves nothing that is."""
    with stack.exclusive("clean-up"):
        try:
            yield
        finally:
            if found := stack.describe(name):
                tags = ["aurora-rewind:keep-until"]
                stack.rds.remove_tags_from_resource(ResourceName=found["DBClusterArn"], TagKeys=tags)


class CleanUp(Recovery):
    """A run, which the hour would begin."""

    def __init__(self, stack, path):
        self.stack, self.id, self._ended = stack, f"e2e-clean-{uuid.uuid4().hex[:12]}", None
        machine = stack.outputs["CleanUpStateMachineArn"]
        self.arn = stack.states.start_execution(stateMachineArn=machine, name=self.id)["executionArn"]
        ended = self.wait()
        calls = "FindRecordsAgain CleanUp IsDeleted "
        same_path(re.sub(f"({calls})+", calls, " ".join(self.whole_path())).split(), path)
        assert ended["status"] == "SUCCEEDED", f"the end: {ended.get('cause')}"

    def why(self):
        """Why the one that was due stayed."""
        return "\n".join(self.result("CheckUnused")["why"])


def keep_until(stack, name, at):
    """Moves the time until which a cluster is kept, as people are told to."""
    tags = [{"Key": "aurora-rewind:keep-until", "Value": iso(at)}]
    stack.rds.add_tags_to_resource(ResourceName=stack.describe(name)["DBClusterArn"], Tags=tags)


def expire(stack, name):
    keep_until(stack, name, datetime.datetime.now(UTC) - datetime.timedelta(seconds=1))


def into_a_snapshot(stack, run, name):
    """The cluster is gone, and its final snapshot is there; answers its name."""
    snapshot = f"{name}-final-{run.id}"[:63]
    assert (stack.describe(name), stack.instances(name)) == (None, []), "the cluster and its instances"
    (found,) = stack.rds.describe_db_cluster_snapshots(DBClusterIdentifier=name)["DBClusterSnapshots"]
    assert (found["DBClusterSnapshotIdentifier"], found["Status"]) == (snapshot, "available"), "the final snapshot"
    stack.on_success(lambda: stack.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot))
    note = json.loads(run.item()["cleanUp"])
    assert (note["cluster"], note["snapshot"]) == (name, snapshot), "what the recovery's item says"
    return snapshot


def test_source_stays_while_it_is_needed_then_goes_into_a_snapshot(stack):
    cluster = create_shop(stack, "e2e-kept", instances=({}, {"PromotionTier": 15}), CopyTagsToSnapshot=True)
    content, password, endpoint = everything(cluster), cluster.password, cluster.endpoint
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none", keepSource="1h")
    output = run.recovered(WITHOUT_APPROVAL)
    kept = output["source"]
    assert seconds(kept["keepUntil"]) == seconds(output["fence"]["fencedAt"]) + 3600, "the time until which it is kept"
    arn = cluster.describe()["DBClusterArn"]
    for command in [kept["keepLonger"], kept["keepForever"]]:
        contains(command, f"--resource-name {arn} ", "aurora-rewind:keep-until")
    told, new = Subscriber(stack), Cluster(stack, "e2e-kept-r", POSTGRES)
    with only_kept_cluster(stack, cluster.name):
        CleanUp(stack, NOTHING_DUE)
        expire(stack, cluster.name)
        stack.change_record("UPSERT", "old.e2e-kept.example.com", endpoint)
        contains(CleanUp(stack, KEPT).why(), f"the CNAME record old.e2e-kept.example.com points at {endpoint}")
        said = wait_until(lambda: told.messages(run.id), "a message to people")
        contains(said[0], "aurora-rewind: kept: e2e-kept", "points at", "keep it longer: aws rds add-tags-to-resource")
        stack.change_record("DELETE", "old.e2e-kept.example.com", endpoint)

        protect = lambda on: stack.rds.modify_db_cluster(
            DBClusterIdentifier=cluster.name, DeletionProtection=on, ApplyImmediately=True
        )
        protect(True)
        cluster.wait_available()
        contains(CleanUp(stack, KEPT_AND_TOLD_BEFORE).why(), "deletion protection, which only a person takes off")
        assert cluster.describe()["DeletionProtection"], "its protection was taken off"
        assert len(told.messages(run.id)) == 1, "messages of one day"
        protect(False)
        cluster.wait_available()
        # Its managed secret would go with it, by which clients of the restored cluster log in.
        contains(CleanUp(stack, KEPT_AND_TOLD_BEFORE).why(), f"the secret {cluster.secret} goes with e2e-kept")
        own_password(new)
        CleanUp(stack, DELETED)
        CleanUp(stack, NOTHING_DUE)
    snapshot = into_a_snapshot(stack, run, cluster.name)
    said = wait_until(lambda: told.messages(run.id)[1:], "a message to people")
    contains(said[0], "aurora-rewind: deleted: e2e-kept", f"--snapshot-identifier {snapshot}")
    assert difference(everything(new), content) == "", "the restored cluster's data"

    refused = undo(stack, run.id)
    assert (refused["status"], refused["error"]) == ("FAILED", "InvalidRequest"), "taking it back after that"
    contains(refused["cause"], "cannot be undone any more", f"--snapshot-identifier {snapshot}", "nothing was changed")

    again = restored(stack, "e2e-kept-again", snapshot, password)
    assert difference(everything(again), content) == "", "the data in the snapshot"
    contains(str(again.describe()["TagList"]), "aurora-rewind:fenced-by", "aurora-rewind:keep-until")
    with stack.exclusive("clean-up"):
        CleanUp(stack, NOTHING_DUE)  # a copy has the tags, and is nobody's


def own_password(new):
    """Does what the difference told: a managed master password of the restored cluster's own."""
    new.stack.rds.modify_db_cluster(DBClusterIdentifier=new.name, ManageMasterUserPassword=True, ApplyImmediately=True)
    new.wait_available()


def restored(stack, name, snapshot, password, engine=POSTGRES):
    """A cluster with what is in the snapshot, opened: it was fenced when it was taken."""
    stack.rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier=name, SnapshotIdentifier=snapshot, Engine=engine.api, VpcSecurityGroupIds=stack.app_groups
    )
    stack.rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, DBInstanceClass="db.r6g.large", Engine=engine.api
    )
    again = Cluster(stack, name, engine, password)
    stack.on_success(again.delete)
    again.wait_available()
    with again.connect(engine.maintenance) as session:
        engine.reopen(session, [])
    return again


def test_safety_clone_stays_while_it_is_used_then_goes_though_protected(stack):
    cluster = create_shop_with_backtrack(stack, "proof")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    run = rewind_in_place(cluster, iso(target), keepSource="1h")
    output = run.recovered(IN_PLACE)
    kept = cluster.derived(output["safetyClone"]["cluster"])
    arn = kept.describe()["DBClusterArn"]
    contains(output["safetyClone"]["keepForever"], f"remove-tags-from-resource --resource-name {arn} ")
    told = Subscriber(stack)
    with only_kept_cluster(stack, kept.name):
        expire(stack, kept.name)
        with kept.connect():
            contains(CleanUp(stack, KEPT).why(), f"in use: {MYSQL.user} in shop (process", f"on {kept.name}-1")
        said = wait_until(lambda: told.messages(run.id), "a message to people")
        contains(said[0], f"kept: {kept.name}", "the safety clone of recovery", "in use: ", f"--resource-name {arn} --tag-keys")
        stack.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["aurora-rewind:keep-until"])
        CleanUp(stack, NOTHING_DUE)
        assert kept.describe()["DeletionProtection"], "the safety clone is not protected"
        expire(stack, kept.name)
        CleanUp(stack, DELETED)
    into_a_snapshot(stack, run, kept.name)
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "rows of the cluster itself"


def test_restored_cluster_that_people_took_live_stays_while_protected_then_goes_into_a_snapshot(stack, engine):
    name = f"e2e-live-{engine.name}"
    cluster = settled_shop(stack, name, engine=engine)
    target = cluster.mistake("DELETE FROM orders")
    run = Recovery.of(cluster, iso(target), dns=cluster.dns())
    run.approval()
    # Stopped by hand, and the application led there by its configuration: no record, and no session at the moment.
    run.stop()
    kept = Cluster(stack, f"{name}-r", engine, cluster.password)
    kept.sql("INSERT INTO customers (name) VALUES ('written by hand')")
    content = everything(kept)
    protect = lambda on: stack.rds.modify_db_cluster(DBClusterIdentifier=kept.name, DeletionProtection=on, ApplyImmediately=True)
    protect(True)
    kept.wait_available()
    with only_kept_cluster(stack, kept.name):
        CleanUp(stack, NOTHING_DUE)  # until the recovery must be over, and a day longer
        expire(stack, kept.name)
        contains(CleanUp(stack, KEPT).why(), "deletion protection, which only a person takes off")
        assert kept.describe()["DeletionProtection"], "its protection was taken off"
        protect(False)
        kept.wait_available()
        CleanUp(stack, DELETED)
    snapshot = into_a_snapshot(stack, run, kept.name)
    pages = stack.rds.get_paginator("describe_db_cluster_parameter_groups").paginate()
    groups = [group["DBClusterParameterGroupName"] for page in pages for group in page["DBClusterParameterGroups"]]
    assert f"{kept.name}-jobs-held" not in groups, "the parameter group of a cluster that is gone"
    again = restored(stack, f"{name}-again", snapshot, cluster.password, engine)
    assert difference(everything(again), content) == "", "the data in the snapshot"


def test_restored_cluster_that_had_the_traffic_stays_as_a_source_does_and_while_open_then_goes_into_a_snapshot(stack, engine):
    name = f"e2e-once-live-{engine.name}"
    cluster = settled_shop(stack, name, engine=engine)
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none", keepSource="1h")
    run.recovered(WITHOUT_APPROVAL)
    kept = cluster.derived(f"{name}-r")
    kept.sql("INSERT INTO customers (name) VALUES ('written after the switch')", host=cluster.record)
    content, groups = everything(kept), kept.groups
    ended = undo(stack, run.id)
    assert ended["status"] == "SUCCEEDED", f"taking it back: {ended.get('cause')}"
    contains(ended["output"], f"the restored cluster {kept.name} is kept, fenced, until", "after that it is deleted into a snapshot")
    assert "written after the switch" not in str(cluster.sql("SELECT name FROM customers")), "what was written is elsewhere as well"
    with only_kept_cluster(stack, kept.name):
        # Whatever people make of its tag: it is kept as long as the source would have been.
        expire(stack, kept.name)
        CleanUp(stack, NOTHING_DUE)
        contains(Terminal(stack).run("clusters", "--remove", kept.name, "--confirm", kept.name, code=5)[1], "it had the traffic until", "by hand")
        an_hour_later(stack, run)
        contains(Terminal(stack).run("clusters")[0], f"rewind clusters --remove {kept.name}")

        regroup = lambda to: stack.rds.modify_db_cluster(DBClusterIdentifier=kept.name, VpcSecurityGroupIds=to, ApplyImmediately=True)
        regroup(groups)
        kept.wait_available()
        contains(CleanUp(stack, KEPT).why(), f"{kept.name} has the security groups {', '.join(groups)} and not")
        regroup(stack.fence_groups)
        kept.wait_available()
        # Behind its fence, by the login of the clean-up itself.
        CleanUp(stack, DELETED)
    snapshot = into_a_snapshot(stack, run, kept.name)
    again = restored(stack, f"{name}-again", snapshot, cluster.password, engine)
    assert difference(everything(again), content) == "", "the data in the snapshot"


def an_hour_later(stack, run):
    """Moves the time of the undo in the recovery's record an hour back: no test waits for `keepSource`."""
    done = json.loads(run.item()["undo"])
    at = moment(done["at"]) - datetime.timedelta(hours=1)
    stack.client("dynamodb").update_item(
        TableName=stack.table, Key={"id": {"S": f"recovery#{run.id}"}}, UpdateExpression="SET #undo = :undo",
        ExpressionAttributeNames={"#undo": "undo"}, ExpressionAttributeValues={":undo": {"S": json.dumps(done | {"at": iso(at)})}},
    )  # fmt: skip


def test_undo_of_the_last_recovery_works_while_the_cluster_of_an_older_one_is_deleted(stack):
    # Each instance takes a while to go.
    cluster = create_shop(stack, "e2e-meantime", instances=({}, {"PromotionTier": 14}, {"PromotionTier": 15}))
    before = Baseline(cluster)
    cluster.settle()
    wrong = [{"name": "never", "database": "shop", "sql": "SELECT 1", "expect": "2"}]
    older = Recovery.of(cluster, "1s ago", newCluster="e2e-meantime-r1", dns=cluster.dns(), checks=wrong)
    assert older.wait(240)["error"] == "VerificationFailed", "the end of the older one"
    last = Recovery.of(cluster, "1s ago", newCluster="e2e-meantime-r2", dns=cluster.dns(), approval="none")
    last.recovered(WITHOUT_APPROVAL, timeout=240)
    kept = older.request["newCluster"]
    with only_kept_cluster(stack, kept):
        expire(stack, kept)
        deletion = Recovery(stack, {"cluster": kept, "by": "e2e"}, machine=stack.outputs["CleanUpStateMachineArn"])
        wait_until(lambda: "cleanUp" in older.item(), "the note of the deletion")
        # Released by its end, because the function may delete no item.
        wait_until(lambda: float(stack.item(f"lease#{cluster.name}")["expiresAt"]) == 0, "the release of the source", 5)
        # The older one cannot be gone on from any more, although its cluster is there. Not by the client, which reads the note itself.
        resumed = Recovery(stack, {"cluster": cluster.name, "resume": older.id, "approval": "none", "checks": []})
        ended = resumed.wait()
        assert ended["error"] == "InvalidRequest", f"the resume: {ended.get('error')}: {ended.get('cause')}"
        contains(ended["cause"], f"it is being deleted, into the snapshot {kept}-final-{older.id}", f"if {kept} is still there and is to be kept")
        assert stack.describe(kept), "the cluster of the older one"
        assert deletion.describe()["status"] == "RUNNING", "the deletion during the resume"
        back = Recovery(stack, {"recovery": last.id, "by": "e2e"}, name=f"{last.id}-undo", machine=stack.outputs["UndoStateMachineArn"])
        back.reaches("ReadRecords")
        assert stack.item(f"lease#{kept}")["recoveryId"] == f"clean-up-{deletion.id}", "who deletes the older one's cluster"
        assert back.wait()["status"] == "SUCCEEDED", f"the undo: {back.describe().get('cause')}"
        assert deletion.wait(300)["status"] == "SUCCEEDED", f"the clean-up: {deletion.describe().get('cause')}"
    into_a_snapshot(stack, older, kept)
    before.is_restored(new_cluster_kept=True)
    contains(Terminal(stack).run("resume", older.id, code=5)[1], "it is being deleted, into the snapshot")


def test_source_stays_while_somebody_is_on_it_and_after_an_undo(stack):
    cluster = create_shop(stack, "e2e-my-back", engine=MYSQL)
    content = everything(cluster)
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none", keepSource="1h")
    run.recovered(WITHOUT_APPROVAL)
    with only_kept_cluster(stack, cluster.name):
        expire(stack, cluster.name)
        with by_the_functions_address(cluster):
            contains(CleanUp(stack, KEPT).why(), f"in use: {MYSQL.user} in information_schema (process")
        ended = undo(stack, run.id)
        assert ended["status"] == "SUCCEEDED", f"taking it back: {ended.get('cause')}"
        CleanUp(stack, NOTHING_DUE)
    marks = {tag["Key"] for tag in cluster.describe()["TagList"]}
    marks |= {tag["Key"] for instance in stack.instances(cluster.name) for tag in instance["TagList"]}
    assert not {mark for mark in marks if mark.startswith("aurora-rewind:")}, f"the tags of the live source {marks}"
    assert stack.records()[cluster.record] == (cluster.endpoint, 1), "the record"
    assert difference(everything(cluster, cluster.record), content) == "", "the source's data, by name"


def by_the_functions_address(cluster):
    """A session from the one address that a fence admits."""
    stack = cluster.stack
    address = re.sub(r"\d+$", "9", stack.env["DNS_SERVER"])
    session = MYSQL.Session(
        host=cluster.endpoint, user=cluster.user, password=cluster.password, database=MYSQL.maintenance,
        ssl=ssl.create_default_context(cafile=stack.ca), autocommit=True, defer_connect=True,
    )  # fmt: skip
    there = (stack.resolve(cluster.endpoint), cluster.port)
    session.connect(socket.create_connection(there, 5, source_address=(address, 0)))
    return session
