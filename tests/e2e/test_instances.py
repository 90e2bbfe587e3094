"""Instances that can't be had: readers over the quota or that come to nothing, a writer for which its zone or its class has no
capacity, and another writer than the planned one. None of them ends a recovery, and each is told with what to do."""

import re
import urllib.parse

from checks import contains, wait_until
from cluster import Cluster, iso
from recovery import WITHOUT_RECORDS, Recovery
from shop import fill
from stages import DONE, INSTANCES, REWIND, START, stage
from test_resume import READ

CHECK = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
FAILED_OVER = [
    *START, *stage("restore"), *stage("scheduler"), *INSTANCES, *stage("writer"), *stage("jobs"), *stage("verify"), *DONE
]  # fmt: skip


def limit(stack, **query):
    """Sets a limit of the stack's account, its zones or an instance."""
    stack.own(f"/_local/instances?{urllib.parse.urlencode(query)}")


def mistaken(stack, name, *instances):
    """A cluster whose orders were deleted, and the moment before that."""
    cluster = Cluster.create(stack, name, instances=instances, record=False)
    fill(cluster)
    cluster.settle()
    return cluster, iso(cluster.mistake("DELETE FROM orders"))


def recover(cluster, target, path=WITHOUT_RECORDS, **more):
    """Recovers beside the source; answers the differences by what they are of."""
    output = Recovery.of(cluster, target, checks=[CHECK], **more).recovered(path)
    return {difference["what"]: difference for difference in output["differences"]}


def members(stack, name):
    """The class and the zone of each instance, and which of them writes."""
    made = {i["DBInstanceIdentifier"]: (i["DBInstanceClass"], i["AvailabilityZone"]) for i in stack.instances(name)}
    writers = [m["DBInstanceIdentifier"] for m in stack.describe(name)["DBClusterMembers"] if m["IsClusterWriter"]]
    return made, writers


def test_readers_over_the_quota_and_one_that_fails_are_differences(stack):
    cluster, target = mistaken(stack, "e2e-quota", {}, {"PromotionTier": 3}, {"DBInstanceClass": "db.t4g.medium"}, {})
    new = f"{cluster.name}-r"
    # The writer and one reader; the reader that sorts first comes to nothing.
    limit(stack, quota=2, prefix=f"{new}-")
    stack.on_success(lambda: limit(stack, quota="none", prefix=f"{new}-"))
    for number in (2, 3, 4):
        limit(stack, instance=f"{new}-{number}", becomes="incompatible-network")
    told = recover(cluster, target)
    made, writers = members(stack, new)
    assert writers == [f"{new}-1"], "the writer"
    assert len(made) == 2, f"instances: {made}"
    readers = [told[f"reader {cluster.name}-{number}"] for number in (2, 3, 4)]
    refused = [reader for reader in readers if "InstanceQuotaExceeded" in reader["restored"]]
    broken = [reader for reader in readers if "is incompatible-network" in reader["restored"]]
    assert (len(refused), len(broken)) == (2, 1), f"{readers}"
    for reader in refused:
        contains(reader["todo"], "L-7B6409FD", f"aws rds create-db-instance --db-instance-identifier {new}-")
    contains(broken[0]["todo"], "aws rds delete-db-instance", "aws rds create-db-instance")


def test_writer_is_made_in_another_zone_and_then_of_another_class(stack):
    region, scarce = stack.env["AWS_REGION"], "db.x2g.2xlarge"
    zones = [f"{region}{letter}" for letter in "abc"]
    cluster, target = mistaken(
        stack,
        "e2e-scarce",
        {"DBInstanceClass": scarce, "AvailabilityZone": zones[1]},
        {"DBInstanceClass": "db.r6g.xlarge", "AvailabilityZone": zones[0]},
    )
    limit(stack, **{"class": scarce}, zone=zones[1], capacity="none")
    stack.on_success(lambda: [limit(stack, **{"class": scarce}, zone=zone, capacity="some") for zone in zones])
    told = recover(cluster, target)
    made, writers = members(stack, f"{cluster.name}-r")
    assert writers == [f"{cluster.name}-r-1"] and made[writers[0]] == (scarce, zones[0]), f"the writer: {made}"
    moved = told[f"availability zone of {writers[0]}"]
    assert (moved["source"], moved["restored"]) == (zones[1], zones[0]), "what is told of its zone"

    for zone in zones:
        limit(stack, **{"class": scarce}, zone=zone, capacity="none")
    told = recover(cluster, target, newCluster=f"{cluster.name}-q")
    made, writers = members(stack, f"{cluster.name}-q")
    assert writers == [f"{cluster.name}-q-1"] and made[writers[0]] == ("db.r6g.xlarge", zones[1]), f"the writer: {made}"
    other = told[f"class of {writers[0]}"]
    assert other["source"] == scarce, "the class of the source"
    contains(other["todo"], f"aws rds modify-db-instance --db-instance-identifier {writers[0]} --db-instance-class {scarce}")


def test_writer_that_a_person_makes_as_told_is_taken_over_by_a_resume(stack):
    region, scarce = stack.env["AWS_REGION"], "db.x2g.4xlarge"
    cluster, target = mistaken(stack, "e2e-by-hand", {"DBInstanceClass": scarce})
    zones, new = [f"{region}{letter}" for letter in "abc"], f"{cluster.name}-r"
    for zone in zones:
        limit(stack, **{"class": scarce}, zone=zone, capacity="none")
    stack.on_success(lambda: [limit(stack, **{"class": scarce}, zone=zone, capacity="some") for zone in zones])
    earlier = Recovery.of(cluster, target, checks=[CHECK], approval="none")
    ended = earlier.wait()
    assert (ended["status"], ended.get("error")) == ("FAILED", "RewindFailed"), f"how it ended: {ended}"
    contains(ended["cause"], f"rewind resume {earlier.id}", f"{new} has no writer")
    kept = stack.describe(new)
    assert stack.instances(new) == [], "instances before a person makes one"

    # The command as it is told, with a class that there is: by the person's own client.
    (told,) = re.findall(r"`aws rds create-db-instance ([^`]+)`", ended["cause"])
    asked = dict(re.findall(r"--([a-z-]+) (\S+)", told))
    assert (asked["db-instance-identifier"], asked["db-instance-class"]) == (f"{new}-1", scarce), f"the command {told}"
    stack.rds.create_db_instance(
        DBInstanceIdentifier=asked["db-instance-identifier"],
        DBClusterIdentifier=asked["db-cluster-identifier"],
        Engine=asked["engine"],
        DBInstanceClass="db.r6g.large",
        PromotionTier=int(asked["promotion-tier"]),
        Tags=[dict(pair.split("=", 1) for pair in asked["tags"].split(","))],
    )
    wait_until(lambda: stack.instances(new)[0]["DBInstanceStatus"] == "available", "the instance that a person made")
    run = Recovery(stack, {"cluster": cluster.name, "resume": earlier.id})
    run.recovered([*READ, "AcquireLease", *stage("plan", without=["Planned"]), "RecordResumed", "ReleaseResumedLease", *REWIND, *DONE])
    made, writers = members(stack, new)
    assert (writers, made[f"{new}-1"][0]) == ([f"{new}-1"], "db.r6g.large"), "the writer"
    assert stack.describe(new)["DbClusterResourceId"] == kept["DbClusterResourceId"], "the cluster was restored once more"
    assert cluster.derived(new).value("SELECT count(*) FROM orders") == 4000, "orders on the restored cluster"


def test_planned_writer_becomes_the_writer_though_another_instance_was_first(stack):
    cluster, target = mistaken(stack, "e2e-writer", {"DBInstanceClass": "db.r6g.4xlarge", "PromotionTier": 0}, {"PromotionTier": 1})
    new = f"{cluster.name}-r"
    limit(stack, instance=f"{new}-1", becomes="late")
    told = recover(cluster, target, FAILED_OVER)
    made, writers = members(stack, new)
    assert (writers, made[f"{new}-1"][0]) == ([f"{new}-1"], "db.r6g.4xlarge"), "the writer"
    assert not [what for what in told if what.startswith("writer")], f"told: {list(told)}"
    restored = cluster.derived(new)
    assert restored.value("SELECT count(*) FROM orders") == 4000, "orders on the restored cluster"
    # It takes writes: the failover is over.
    restored.sql("CREATE TABLE written_after (n integer)")
