"""What is Aurora PostgreSQL's own, as its clients see it: the servers behind the endpoints, the master user, and no Backtrack."""

from rds_tools import Subject, cluster, expect, instance, now, psql, rds, refused, wait

ON = Subject("pg", "aurora-postgresql", "postgres", 5432, "postgres", "current_database()", "postgresql", psql)
NAMES = ()


def check(on, source):
    check_databases(on, source)
    check_no_backtrack(on)


def check_databases(on, source):
    """The endpoints, and what a master user may and may not."""
    writer, reader = source["Endpoint"], source["ReaderEndpoint"]
    password = {"password": on.password}
    expect("the master user owns the first database", on.query(writer, "SELECT current_user", database="shop", **password) == "postgres")
    version = on.query(writer, "SHOW server_version", **password)
    expect("the engine version is the server's major", version.split(".")[0] == source["EngineVersion"].split(".")[0], version)
    on.query(writer, "CREATE TABLE seen (n int)", **password)
    wait("the reader to follow", lambda: on.query(reader, "SELECT count(*) FROM seen", **password) == "0")
    expect("the reader endpoint leads to a reader", on.query(reader, "SELECT pg_is_in_recovery()", **password) == "t")
    expect("a reader refuses writes", "read-only" in on.query(reader, "INSERT INTO seen VALUES (1)", **password))
    expect("clients without TLS are let in", on.query(writer, "SELECT 1", tls="disable", **password) == "1")
    expect("a wrong password is refused", "password authentication failed" in on.query(writer, "SELECT 1", password="wrong"))
    for member in source["DBClusterMembers"]:
        host = instance(member["DBInstanceIdentifier"])["Endpoint"]["Address"]
        role = on.query(host, "SELECT pg_is_in_recovery()", **password)
        expect(f"the endpoint of instance {member['DBInstanceIdentifier'][-1]} leads to it", role == ("f" if member["IsClusterWriter"] else "t"), role)
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
        expect(f"a master user may not: {attempt}", on.query(writer, attempt, **password).startswith("ERROR"))
    expect("a master user may not enter the control plane's database", on.query(writer, "SELECT 1", database="rdsadmin", **password).startswith("ERROR"))
    allowed = ["CREATE ROLE app LOGIN PASSWORD 'app-password'", "CREATE DATABASE extra", "ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN",
               "ALTER DATABASE postgres SET default_transaction_read_only = off", "REVOKE CONNECT ON DATABASE extra FROM PUBLIC",
               "SELECT count(*) FROM pg_stat_activity WHERE query <> ''", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"]
    for statement in allowed:
        said = on.query(writer, statement, **password)
        expect(f"a master user may: {statement}", not said.startswith("ERROR"), said)


def check_no_backtrack(on):
    refused("a backtrack of PostgreSQL", "InvalidParameterCombination", rds.backtrack_db_cluster, "does not support Backtrack", DBClusterIdentifier=on.source, BacktrackTo=now(-60))
    refused("the backtracks of PostgreSQL", "InvalidParameterCombination", rds.describe_db_cluster_backtracks, "does not support Backtrack", DBClusterIdentifier=on.source)
    words = "Backtrack is not enabled for the aurora-postgresql engine."
    refused("a backtrack window of PostgreSQL", "InvalidParameterValue", rds.modify_db_cluster, words, DBClusterIdentifier=on.source, BacktrackWindow=3600)
    refused("a new cluster of PostgreSQL with a backtrack window", "InvalidParameterValue", rds.create_db_cluster, words, DBClusterIdentifier=on.name("never"),
            Engine=on.engine, BacktrackWindow=3600, **on.master)
    refused("a restored cluster of PostgreSQL with a backtrack window", "InvalidParameterValue", rds.restore_db_cluster_to_point_in_time, words,
            DBClusterIdentifier=on.name("never"), SourceDBClusterIdentifier=on.source, UseLatestRestorableTime=True, BacktrackWindow=3600)
    shown = [key for key in cluster(on.source) if "Backtrack" in key]
    expect("a cluster of PostgreSQL shows nothing of Backtrack", shown == [], shown)
