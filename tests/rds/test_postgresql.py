"""What is Aurora PostgreSQL's own, as its clients see it: the servers behind the endpoints, the master user, and no Backtrack."""

import pytest

from rds_clients import (
    cluster,
    instance,
    mark_before_mistake,
    now,
    rds,
    remove_cluster,
    restore_to,
    wait,
    wait_instance,
)

pytestmark = pytest.mark.engine("postgresql")


def test_endpoints_and_rights_of_the_master_user(on, source):
    """The endpoints, and what a master user may and may not."""
    writer, reader = source["Endpoint"], source["ReaderEndpoint"]
    password = {"password": on.password}
    on.expect("the master user owns the first database", on.query(writer, "SELECT current_user", database="shop", **password) == "postgres")
    version = on.query(writer, "SHOW server_version", **password)
    on.expect("the engine version is the server's major", version.split(".")[0] == source["EngineVersion"].split(".")[0], version)
    on.query(writer, "CREATE TABLE seen (n int)", **password)
    wait("the reader to follow", lambda: on.query(reader, "SELECT count(*) FROM seen", **password) == "0")
    on.expect("the reader endpoint leads to a reader", on.query(reader, "SELECT pg_is_in_recovery()", **password) == "t")
    on.expect("a reader refuses writes", "read-only" in on.query(reader, "INSERT INTO seen VALUES (1)", **password))
    on.expect("clients without TLS are let in", on.query(writer, "SELECT 1", tls="disable", **password) == "1")
    on.expect("a wrong password is refused", "password authentication failed" in on.query(writer, "SELECT 1", password="wrong"))
    for member in source["DBClusterMembers"]:
        host = instance(member["DBInstanceIdentifier"])["Endpoint"]["Address"]
        role = on.query(host, "SELECT pg_is_in_recovery()", **password)
        on.expect(f"the endpoint of instance {member['DBInstanceIdentifier'][-1]} leads to it", role == ("f" if member["IsClusterWriter"] else "t"), role)
    for attempt in [
        "ALTER SYSTEM SET work_mem = '1GB'",
        "ALTER ROLE postgres SUPERUSER",
        "ALTER ROLE rdsadmin PASSWORD 'mine'",
        "ALTER ROLE rdsrepladmin PASSWORD 'mine'",
        "GRANT rdsadmin TO postgres",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY seen FROM '/etc/passwd'",
        "COPY seen TO PROGRAM 'cat'",
        "GRANT pg_read_server_files TO postgres",
        "GRANT pg_execute_server_program TO postgres",
        "CREATE ROLE other SUPERUSER",
        "DROP ROLE rdsadmin",
    ]:
        on.expect(f"a master user may not: {attempt}", on.query(writer, attempt, **password).startswith("ERROR"))
    on.expect("a master user may not enter the control plane's database", on.query(writer, "SELECT 1", database="rdsadmin", **password).startswith("ERROR"))
    allowed = ["CREATE ROLE app LOGIN PASSWORD 'app-password'", "CREATE DATABASE extra", "ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN",
               "ALTER DATABASE postgres SET default_transaction_read_only = off", "REVOKE CONNECT ON DATABASE extra FROM PUBLIC",
               "SELECT count(*) FROM pg_stat_activity WHERE query <> ''", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"]
    for statement in allowed:
        said = on.query(writer, statement, **password)
        on.expect(f"a master user may: {statement}", not said.startswith("ERROR"), said)


def test_backtrack_is_refused(on):
    on.refused("a backtrack of PostgreSQL", "InvalidParameterCombination", rds.backtrack_db_cluster, "does not support Backtrack", DBClusterIdentifier=on.source, BacktrackTo=now(-60))
    on.refused("the backtracks of PostgreSQL", "InvalidParameterCombination", rds.describe_db_cluster_backtracks, "does not support Backtrack", DBClusterIdentifier=on.source)
    words = "Backtrack is not enabled for the aurora-postgresql engine."
    on.refused("a backtrack window of PostgreSQL", "InvalidParameterValue", rds.modify_db_cluster, words, DBClusterIdentifier=on.source, BacktrackWindow=3600)
    on.refused("a new cluster of PostgreSQL with a backtrack window", "InvalidParameterValue", rds.create_db_cluster, words, DBClusterIdentifier=on.name("never"),
            Engine=on.engine, BacktrackWindow=3600, **on.master)
    on.refused("a restored cluster of PostgreSQL with a backtrack window", "InvalidParameterValue", rds.restore_db_cluster_to_point_in_time, words,
            DBClusterIdentifier=on.name("never"), SourceDBClusterIdentifier=on.source, UseLatestRestorableTime=True, BacktrackWindow=3600)
    shown = [key for key in cluster(on.source) if "Backtrack" in key]
    on.expect("a cluster of PostgreSQL shows nothing of Backtrack", shown == [], shown)


def half_drop(on, writer, database):
    """Interrupts a DROP DATABASE after it has marked the database, and before it is done."""
    patience = 1
    for _ in range(100):
        on.query(writer, f"CREATE DATABASE {database}", password=on.password)
        on.query(writer, [f"SET statement_timeout = {patience}", f"DROP DATABASE {database}"], password=on.password)
        left = on.query(writer, f"SELECT datconnlimit FROM pg_database WHERE datname = '{database}'", password=on.password)
        if left == "-2":
            return True
        patience = patience + 1 if left else max(1, patience // 2)
    return False


def test_database_whose_drop_was_interrupted(on, source):
    """A database whose drop was interrupted stays as PostgreSQL leaves it, and nothing of the stack trips over it."""
    writer, password = source["Endpoint"], {"password": on.password}
    on.expect("a drop is interrupted", half_drop(on, writer, "halfway"))
    closed = 'cannot connect to invalid database "halfway"'
    on.expect("nobody connects to what is left", closed in on.query(writer, "SELECT 1", database="halfway", **password))
    moment = mark_before_mistake()
    rds.reboot_db_instance(DBInstanceIdentifier=on.name("source-1"))
    wait_instance(on.name("source-1"))
    limit = "SELECT datconnlimit FROM pg_database WHERE datname = 'halfway'"
    on.expect("a restart leaves it as it is", on.query(writer, limit, **password) == "-2")
    restored = restore_to(on, moment, "half-dropped")["Endpoint"]
    on.expect("a restore brings it along", on.query(restored, limit, **password) == "-2" and closed in on.query(restored, "SELECT 1", database="halfway", **password))
    on.expect("it can be dropped", on.query(restored, ["DROP DATABASE halfway", "SELECT count(*) FROM pg_database WHERE datname = 'halfway'"], **password) == "0")
    # The databases that people use can go as well: the control plane has one of its own.
    on.expect("the first database can be dropped", not on.query(restored, "DROP DATABASE postgres", database="template1", **password).startswith("ERROR"))
    rds.reboot_db_instance(DBInstanceIdentifier=on.name("half-dropped-1"))
    wait_instance(on.name("half-dropped-1"))
    on.expect("a restart does without it", on.query(restored, "SELECT 1", database="template1", **password) == "1")
    remove_cluster(on.name("half-dropped"))
    on.expect("it can be dropped on the source", not on.query(writer, "DROP DATABASE halfway", **password).startswith("ERROR"))
