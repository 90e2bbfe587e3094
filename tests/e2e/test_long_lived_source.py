"""A source as years leave it: as many tags as there may be, a certificate authority that is offered no more, and a database
whose drop was interrupted. What AWS refuses of it must cost no recovery, and is told."""


import pytest
from psycopg import Error, OperationalError

from checks import contains, refused
from cluster import Cluster, iso
from recovery import APPROVED, Recovery
from shop import fill

OLD, NEW = "rds-ca-2019", "rds-ca-rsa2048-g1"
# Six marks of the recovery's are kept room for on a cluster, two on an instance.
TAGS_THAT_FIT = 44, 48


def interrupt_drop_database(cluster, database):
    """Interrupts a DROP DATABASE after it has marked the database, and before it is done."""
    timeout_ms = 1
    for _ in range(200):
        with cluster.connect("postgres") as session:
            if not session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                session.execute(f"CREATE DATABASE {database}")
            session.execute(f"SET statement_timeout = {timeout_ms}")
            try:
                session.execute(f"DROP DATABASE {database}")
            except Error:
                pass
            session.execute("SET statement_timeout = 0")
            left = session.execute("SELECT datconnlimit FROM pg_database WHERE datname = %s", [database]).fetchone()
        if left == (-2,):
            return
        timeout_ms = timeout_ms + 1 if left else max(1, timeout_ms // 2)
    pytest.fail(f"{database} was never left between its mark and its end")


def keys(described):
    return sorted(tag["Key"] for tag in described["TagList"])


def test_source_with_fifty_tags_an_old_authority_and_a_half_dropped_database_recovers(stack):
    many = [{"Key": f"e2e-{n:02}", "Value": "kept"} for n in range(50)]
    window = "sat:04:00-sat:04:30"
    cluster = Cluster.create(
        stack,
        "e2e-aged",
        instances=({"Tags": many, "PreferredMaintenanceWindow": window}, {}),
        Tags=many,
        PreferredBackupWindow="05:00-05:30",
        PreferredMaintenanceWindow="sun:06:00-sun:06:30",
        BackupRetentionPeriod=9,
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
    )
    query = f"instance={cluster.name}-1&certificate={OLD}"
    stack.own(f"/_local/faults?{query}")
    fill(cluster)
    cluster.sql("CREATE ROLE app LOGIN PASSWORD 'apples-and-pears'")
    interrupt_drop_database(cluster, "legacy")
    with refused(OperationalError, "invalid database"):
        cluster.connect("legacy")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")

    # A check of that database fails, in words that say why.
    of_legacy = {"name": "legacy", "database": "legacy", "sql": "SELECT 1", "expect": "1"}
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[of_legacy], newCluster=f"{cluster.name}-x")
    ended = run.wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "VerificationFailed"), "the end"
    contains(ended["cause"], "legacy was being dropped at that moment", "can only be dropped")
    assert cluster.sql("SELECT datconnlimit FROM pg_database WHERE datname = 'shop'") == [(-1,)], "the source's limit"

    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[check])
    run.approval()
    run.decide("approved")
    output = run.recovered(APPROVED)
    plan = run.result("ValidateWindow")
    contains(" ".join(plan["warnings"]), "does not get e2e-44, e2e-45, e2e-46, e2e-47, e2e-48, e2e-49", "unless 2 of its tags")

    new = Cluster(stack, f"{cluster.name}-r")
    before, after = cluster.describe(), new.describe()
    made = {i["DBInstanceIdentifier"]: i for i in stack.instances(new.name)}
    writer = made[f"{new.name}-1"]
    told = {difference["what"]: difference for difference in output["differences"]}
    for described, fit, name in [(after, TAGS_THAT_FIT[0], new.name), (writer, TAGS_THAT_FIT[1], writer["DBInstanceIdentifier"])]:
        own = [key for key in keys(described) if key.startswith("aurora-rewind:")]
        assert "aurora-rewind:recovery" in own, f"{name} bears no mark: {own}"
        assert keys(described)[len(own) :] == [tag["Key"] for tag in many[:fit]], f"the source's tags on {name}"
        assert told[f"tags of {name}"]["source"] == ", ".join(tag["Key"] for tag in many[fit:]), f"what is told of {name}"
    assert writer["CACertificateIdentifier"] == NEW, "the writer's authority"
    authority = told[f"certificate authority of {writer['DBInstanceIdentifier']}"]
    assert (authority["source"], authority["restored"]) == (OLD, NEW), "what is told of it"
    assert f"certificate authority of {new.name}-2" not in told, "the reader's authority is the source's"
    assert writer["PreferredMaintenanceWindow"] == window, "the writer's maintenance window"
    for field in ["PreferredBackupWindow", "PreferredMaintenanceWindow", "BackupRetentionPeriod", "EngineLifecycleSupport"]:
        assert after[field] == before[field], field
    contains(" ".join(output["notes"]), "the database legacy was being dropped", "could not be marked as kept")
    assert output["source"].get("keepUntil") is None, "until when it is kept"
    assert keys(before) == [tag["Key"] for tag in many], "the source's tags"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "orders by the record"
    with refused(OperationalError, "invalid database"):
        cluster.connect("legacy", host=cluster.record)
    cluster.sql("DROP DATABASE legacy", database="postgres", host=cluster.record)
    print(f"told: {', '.join(sorted(told))}")
