"""What acts by itself on a restored cluster: an event that deletes rows every second on the source deletes none of those that were
brought back, a subscription takes no change from its publisher; all is named to whoever decides, and runs again when clients are on
the restored cluster."""

import os
import signal
import time
from pathlib import Path

import psycopg
from checks import contains, wait_until
from cluster import iso
from engines import MYSQL
from recovery import APPROVED, WITHOUT_APPROVAL, WITHOUT_RECORDS, Recovery
from shop import create_shop

CHECK = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
PURGE = "CREATE EVENT drain ON SCHEDULE EVERY 1 SECOND DO DELETE FROM orders ORDER BY id LIMIT 100"


def create_shop_with_events(stack, name, **more):
    """A shop with an event that has run, and one that is off; a moment to rewind to is well after that."""
    cluster = create_shop(stack, f"e2e-my-{name}", engine=MYSQL, **more)
    # Enabled at the target already, and due once every second from then on: on a restored cluster it would run at once.
    cluster.sql("CREATE EVENT audit.idle ON SCHEDULE EVERY 1 SECOND DISABLE DO DELETE FROM shop.orders")
    cluster.sql("CREATE TABLE ticks (at timestamp(6) DEFAULT CURRENT_TIMESTAMP(6))")
    cluster.sql("CREATE EVENT tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO ticks () VALUES ()")
    wait_until(lambda: cluster.value("SELECT count(*) FROM ticks") > 1, "the event on the source")
    cluster.settle()
    return cluster


def group_with_a_value(stack, name):
    """A group of the source's own, with a value that no default group has."""
    rds = stack.rds
    try:
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=name, DBParameterGroupFamily="aurora-mysql8.0", Description="e2e"
        )
    except rds.exceptions.DBParameterGroupAlreadyExistsFault:
        pass  # groups outlive the test that made them
    parameter = {"ParameterName": "binlog_row_image", "ParameterValue": "MINIMAL", "ApplyMethod": "immediate"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=name, Parameters=[parameter])
    return name


def set_by_people(stack, group):
    """The parameters of a group that are not the defaults."""
    pages = stack.rds.get_paginator("describe_db_cluster_parameters")
    found = pages.paginate(DBClusterParameterGroupName=group, Source="user")
    return {p["ParameterName"]: p["ParameterValue"] for page in found for p in page["Parameters"]}


def ticks(cluster):
    return cluster.value("SELECT count(*) FROM ticks")


def group_of(cluster):
    return cluster.describe()["DBClusterParameterGroup"]


def groups(stack):
    found = stack.rds.get_paginator("describe_db_cluster_parameter_groups").paginate()
    return {group["DBClusterParameterGroupName"] for page in found for group in page["DBClusterParameterGroups"]}


def test_events_of_the_restored_cluster_are_held_until_clients_are_on_it(stack):
    own = group_with_a_value(stack, "e2e-my-held")
    cluster = create_shop_with_events(stack, "held", DBClusterParameterGroupName=own)
    target = cluster.mistake("DELETE FROM orders")
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[CHECK], approval="required")
    pending = run.approval()
    restored = cluster.derived(f"{cluster.name}-r")
    # People are told before they decide.
    (told,) = [d for d in run.result("HoldJobs")["differences"] if d["what"] == "jobs that act by themselves"]
    contains(told["restored"], "held: event shop.tick")
    assert "audit.idle" not in told["restored"], "an event that was off on the source is none of ours"
    at_first = ticks(restored)
    time.sleep(3)
    assert ticks(restored) == at_first, "an event ran on the restored cluster before anybody was on it"
    last = restored.value("SELECT max(at) FROM ticks")
    assert last <= target.replace(tzinfo=None), f"an event ran at {last}, and the target is {target}"
    assert restored.value("SELECT @@global.event_scheduler") == "OFF", "the scheduler"
    assert group_of(restored) == f"{restored.name}-jobs-held", "the parameter group"
    values = {"binlog_row_image": "MINIMAL", "event_scheduler": "OFF"}
    assert set_by_people(stack, group_of(restored)) == values, "the source's values, and the scheduler"
    assert ticks(cluster) > at_first, "the event on the source"
    assert pending["hash"], "the proposal"
    # Read now: the source is fenced afterwards.
    status = "SELECT group_concat(event_name, ' ', status, ' ', definer ORDER BY event_name) FROM information_schema.events"
    events = cluster.value(status)
    run.decide("approved")
    output = run.recovered(APPROVED)
    (job,) = output["heldJobs"]
    assert (job["kind"], job["name"], job["held"], job["released"]) == ("event", "shop.tick", False, True), "the report"
    # As it was on the source: the same definer, the same group, and it runs.
    wait_until(lambda: ticks(restored) > at_first, "the event on the restored cluster")
    assert restored.value(status) == events, "the events"
    assert group_of(restored) == group_of(cluster) == own, "the parameter group after the release"
    assert f"{restored.name}-jobs-held" not in groups(stack), "the recovery's own group"


def test_an_event_that_deletes_every_second_deletes_nothing_that_was_brought_back(stack):
    cluster = create_shop(stack, "e2e-my-purge", engine=MYSQL)
    cluster.sql(PURGE)
    wait_until(lambda: cluster.value("SELECT count(*) FROM orders") < 4000, "the event on the source")
    cluster.settle()
    target = cluster.mistake("SELECT 1")
    left = cluster.value("SELECT count(*) FROM orders")
    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "atLeast": 3000}
    run = Recovery.of(cluster, iso(target), checks=[check], newCluster=f"{cluster.name}-r")
    output = run.recovered(WITHOUT_RECORDS)
    restored = cluster.derived(f"{cluster.name}-r")
    found = int(run.result("Verify")["checks"][0]["found"])
    assert found >= left, f"{found} orders, and {left} a little later on the source"
    time.sleep(3)
    assert restored.value("SELECT count(*) FROM orders") == found, "the orders that were brought back"
    # Traffic does not move, so nothing is released; whoever uses the cluster has the command.
    (job,) = output["heldJobs"]
    assert (job["name"], job["held"], job["released"]) == ("shop.drain", True, False), "the report"
    contains(job["release"], f"--db-cluster-parameter-group-name {restored.name}-jobs-held", "ParameterValue=ON")
    stack.rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=f"{restored.name}-jobs-held",
        Parameters=[{"ParameterName": "event_scheduler", "ParameterValue": "ON", "ApplyMethod": "immediate"}],
    )
    wait_until(lambda: restored.value("SELECT count(*) FROM orders") < found, "the event, by the command of the report")


def group_that_names_the_database_of_pg_cron(stack, engine_version):
    """A group of the source's own. Here no server has the library, so its setting is all that there is of it."""
    rds, name = stack.rds, "e2e-held-cron"
    family = f"aurora-postgresql{engine_version.split('.')[0]}"
    try:
        rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=name, DBParameterGroupFamily=family, Description="e2e")
    except rds.exceptions.DBParameterGroupAlreadyExistsFault:
        pass  # groups outlive the test that made them
    parameter = {"ParameterName": "cron.database_name", "ParameterValue": "shop", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=name, Parameters=[parameter])
    return name


def test_jobs_of_pg_cron_are_held_from_the_start_and_the_cluster_restarts_before_it_is_verified(stack):
    versions = stack.rds.describe_db_engine_versions(Engine="aurora-postgresql")["DBEngineVersions"]
    own = group_that_names_the_database_of_pg_cron(stack, versions[-1]["EngineVersion"])
    cluster = create_shop(stack, "e2e-held-cron", DBClusterParameterGroupName=own)
    # The extension's table: the server that would run its rows is the real one's alone.
    cluster.sql("CREATE SCHEMA cron")
    cluster.sql(
        "CREATE TABLE cron.job (jobid bigserial PRIMARY KEY, schedule text, command text, nodename text, nodeport int,"
        " database text, username text, active boolean DEFAULT true, jobname text)"
    )
    cluster.sql(
        "INSERT INTO cron.job (schedule, command, database, active, jobname) VALUES"
        " ('* * * * *', 'DELETE FROM orders', 'shop', true, 'purge'), ('* * * * *', 'x', 'shop', false, 'idle')"
    )
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[CHECK], approval="required")
    run.approval()
    restored = cluster.derived(f"{cluster.name}-r")
    (told,) = [d for d in run.result("HoldJobs")["differences"] if d["what"] == "jobs that act by themselves"]
    contains(told["restored"], "held: cron purge in shop")
    (job,) = run.result("HoldJobs")["jobs"]
    assert (job["held"], job.get("note")) == (True, None), "a job that cannot have run"
    active = "SELECT string_agg(jobname || ' ' || active::text, ', ' ORDER BY jobname) FROM cron.job"
    assert restored.value(active) == "idle false, purge false", "the jobs while people decide"
    # Started without what runs them, and by now with all that the source has.
    for instance in restored.describe()["DBClusterMembers"]:
        assert instance["DBClusterParameterGroupStatus"] == "in-sync", instance
        events = stack.rds.describe_events(SourceIdentifier=instance["DBInstanceIdentifier"], SourceType="db-instance")
        contains(str([event["Message"] for event in events["Events"]]), "DB instance restarted")
    assert restored.value("SELECT current_setting('cron.database_name')") == "shop", "the parameter of the source's group"
    assert restored.value("SELECT current_setting('max_logical_replication_workers')") == "4", "the engine's default"
    assert group_of(restored) == own, "the parameter group"
    assert f"{restored.name}-jobs-held" not in groups(stack), "the recovery's own group"
    run.decide("approved")
    (job,) = run.recovered(APPROVED)["heldJobs"]
    assert (job["name"], job["held"], job["released"]) == ("purge in shop", False, True), "the report"
    assert restored.value(active) == "idle false, purge true", "the jobs when clients are there"


def as_superuser(stack, cluster):
    """Makes the server of a cluster admit its superuser, and answers how to reach it. Before PostgreSQL 16 nobody else makes a
    subscription; on RDS the master user may."""
    (member,) = cluster.describe()["DBClusterMembers"]
    found = stack.rds.describe_db_instances(DBInstanceIdentifier=member["DBInstanceIdentifier"])["DBInstances"][0]
    (server,) = Path(stack.folder).glob(f"run/rds/*/instances/{found['DbiResourceId']}")
    rules = server / "pg_hba.conf"
    rules.write_text("host all rdsadmin 127.0.0.0/8 trust\n" + rules.read_text())
    os.kill(int((server / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
    return f"host={stack.resolve(cluster.endpoint)} port={cluster.port} user=rdsadmin"


def test_a_subscription_takes_no_change_on_the_restored_cluster(stack):
    cluster = create_shop(stack, "e2e-held-feed")
    server = as_superuser(stack, cluster)
    cluster.sql("CREATE DATABASE publisher", "postgres")
    cluster.sql("CREATE TABLE feed (id bigint PRIMARY KEY)")
    cluster.sql(["CREATE TABLE feed (id bigint PRIMARY KEY)", "CREATE PUBLICATION news FOR TABLE feed"], "publisher")

    def admin(text, database="shop"):
        def run():
            try:
                with psycopg.connect(f"{server} dbname={database}", autocommit=True) as session:
                    session.execute(text)
                return True
            except psycopg.OperationalError:
                return False  # the rule is not in force yet

        wait_until(run, text)

    for slot in ("first", "second"):
        admin(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')", "publisher")
    admin(
        f"CREATE SUBSCRIPTION news CONNECTION '{server} dbname=publisher' PUBLICATION news"
        " WITH (create_slot = false, copy_data = false, slot_name = 'first')"
    )
    cluster.sql("INSERT INTO feed VALUES (1)", "publisher")
    wait_until(lambda: cluster.value("SELECT count(*) FROM feed") == 1, "the subscription on the source")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    # A slot has one subscriber. The source goes on with another, so nothing but the hold keeps the restored cluster from this one.
    for text in ("DISABLE", "SET (slot_name = 'second')", "ENABLE"):
        admin(f"ALTER SUBSCRIPTION news {text}")
    cluster.sql("INSERT INTO feed VALUES (2)", "publisher")
    wait_until(lambda: cluster.value("SELECT count(*) FROM feed") == 2, "the subscription on the source")
    confirmed = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'first'"
    before = cluster.value(confirmed)
    run = Recovery.of(cluster, iso(target), checks=[CHECK], newCluster=f"{cluster.name}-r")
    output = run.recovered(WITHOUT_RECORDS)
    restored = cluster.derived(f"{cluster.name}-r")
    assert restored.sql("SELECT id FROM feed") == [(1,)], "what the subscription took on the restored cluster"
    assert cluster.value(confirmed) == before, "what it confirmed to the publisher"
    # Its owner is not the master user here, so it cannot be switched off, and the cluster goes on as it was started.
    (job,) = output["heldJobs"]
    assert (job["kind"], job["held"], job["released"]) == ("subscription", True, False), "the report"
    contains(job["note"], "the server was started to run none")
    contains(job["release"], f"modify-db-cluster --db-cluster-identifier {restored.name}", "reboot-db-instance")
    assert restored.value("SELECT current_setting('max_logical_replication_workers')") == "0", "the workers"
    # By the command of the report: now it runs.
    group = group_of(cluster)
    stack.rds.modify_db_cluster(
        DBClusterIdentifier=restored.name, DBClusterParameterGroupName=group, ApplyImmediately=True
    )
    wait_until(lambda: restored.describe()["Status"] == "available", "the change of the group")
    for member in restored.describe()["DBClusterMembers"]:
        stack.rds.reboot_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])

    def is_taken():
        try:
            return restored.value("SELECT count(*) FROM feed") == 2
        except psycopg.OperationalError:
            return False  # it restarts

    wait_until(is_taken, "the subscription on the restored cluster, once it is released")


def test_a_postgresql_cluster_without_jobs_has_none_to_hold(stack):
    cluster = create_shop(stack, "e2e-held-pg")
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    assert run.recovered(WITHOUT_APPROVAL)["heldJobs"] == [], "a cluster without jobs"
