"""What is Aurora MySQL's own, as its clients see it: the servers behind the endpoints, the parameters, and Backtrack.

Rows are read and written with PyMySQL, over TLS that checks the endpoint's name.
"""

import json
import os
import time

import pymysql
import pytest

from rds_clients import (
    aws,
    cluster,
    instance,
    mark_before_mistake,
    now,
    own,
    rds,
    remove_cluster,
    resolve,
    wait,
    wait_cluster,
    wait_instance,
)
from rds_engines import connect, run

FENCE = "sg-0fe9ce0000000fe9c"


pytestmark = pytest.mark.engine("mysql")


def test_what_cluster_and_instance_say_of_themselves(on, source):
    shown = (source["Engine"], source["EngineVersion"][:20], source["Port"], source["DBClusterParameterGroup"])
    on.expect("a cluster says what it is", shown == ("aurora-mysql", "8.0.mysql_aurora.3.0", 3306, "default.aurora-mysql8.0"), shown)
    on.expect("a cluster without Backtrack has no backtrack times", "EarliestBacktrackTime" not in source and source.get("BacktrackWindow", 0) == 0, source)
    shown = instance(on.name("source-1"))
    shown = (shown["Engine"], shown["LicenseModel"], shown["Endpoint"]["Port"], shown["DBParameterGroups"][0]["DBParameterGroupName"])
    on.expect("an instance says what it is", shown == ("aurora-mysql", "general-public-license", 3306, "default.aurora-mysql8.0"), shown)
    logs = rds.describe_db_engine_versions(Engine=on.engine)["DBEngineVersions"][0]["ExportableLogTypes"]
    on.expect("the logs that can be exported", sorted(logs) == ["audit", "error", "general", "iam-db-auth-error", "instance", "slowquery"], logs)
    on.refused("a log of PostgreSQL", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=on.source,
            CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]})
    on.refused("an instance of another engine", "InvalidParameterCombination", on.make_instance, "doesn't match the engine name of your DB cluster",
            cluster_id=on.source, instance_id=on.name("never"), Engine="aurora-postgresql")
    on.refused("a parameter group of another engine", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=on.source,
            DBClusterParameterGroupName="default.aurora-postgresql15")
    on.refused("a version of Aurora MySQL 2", "InvalidParameterCombination", rds.create_db_cluster, "Cannot find version", DBClusterIdentifier=on.name("never"),
            Engine=on.engine, EngineVersion="5.7.mysql_aurora.2.11.1", **on.master)
    families = {group["DBParameterGroupFamily"] for group in rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]}
    on.expect("both engines have a default parameter group", {"aurora-mysql8.0"} < families, families)


def test_endpoints_and_rights_of_the_master_user(on, source):
    """The endpoints, and what a master user may and may not."""
    writer, reader = source["Endpoint"], source["ReaderEndpoint"]
    password = {"password": on.password}
    on.expect("the first database is there", on.query(writer, "SELECT database()", **password) == "shop")
    on.query(writer, "CREATE TABLE seen (n int)", **password)
    wait("the reader to follow", lambda: on.query(reader, "SELECT count(*) FROM seen", **password) == "0")
    on.expect("a reader refuses writes", "read-only" in (said := on.query(reader, "INSERT INTO seen VALUES (1)", **password)), said)
    on.expect("the reader endpoint leads to a reader", on.query(reader, "SELECT @@read_only", **password) in ("1", "ON"))
    on.expect("clients without TLS are let in", (said := on.query(writer, "SELECT 1", tls=None, **password)) == "1", said)
    on.expect("a wrong password is refused", "Access denied" in (said := on.query(writer, "SELECT 1", password="wrong")), said)
    for member in source["DBClusterMembers"]:
        host = instance(member["DBInstanceIdentifier"])["Endpoint"]["Address"]
        role = on.query(host, "SELECT @@read_only", **password)
        on.expect(f"the endpoint of instance {member['DBInstanceIdentifier'][-1]} leads to it", role == ("0" if member["IsClusterWriter"] else "1"), role)
    for attempt in [
        "SET GLOBAL read_only = ON",
        "SET GLOBAL binlog_format = 'STATEMENT'",
        "SET SESSION sql_log_bin = 0",
        "GRANT SUPER ON *.* TO admin",
        "SELECT * FROM seen INTO OUTFILE '/tmp/seen'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE seen",
        "SHUTDOWN",
        "PURGE BINARY LOGS BEFORE NOW()",
    ]:
        on.expect(f"a master user may not: {attempt}", (said := on.query(writer, attempt, **password)).startswith("ERROR"), said)
    allowed = ["CREATE USER app IDENTIFIED BY 'app-password'", "GRANT SELECT, INSERT ON shop.* TO app", "ALTER USER app ACCOUNT LOCK",
               "ALTER USER app ACCOUNT UNLOCK", "CREATE DATABASE extra", "SELECT count(*) FROM information_schema.processlist", "DROP DATABASE extra"]
    for statement in allowed:
        said = on.query(writer, statement, **password)
        on.expect(f"a master user may: {statement}", not said.startswith("ERROR"), said)
    app = connect(writer, "app", "shop", on.port, password="app-password")
    said = on.query(writer, f"CALL mysql.rds_kill({run(app, 'SELECT connection_id()')})", **password)
    on.expect("a master user ends another's session", not said.startswith("ERROR") and is_cut(app), said)


def is_cut(connection):
    try:
        run(connection, "SELECT 1")
    except (pymysql.MySQLError, OSError):
        return True
    return False


def test_fence_admits_the_functions_alone(on, source):
    """The fence of a stack admits the functions' address alone."""
    if not os.environ.get("STATE_MACHINE_ARN"):
        return
    writer, password = source["Endpoint"], {"password": on.password}
    functions = ".".join(resolve(writer).split(".")[:3]) + ".9"
    before = connect(writer, on.user, on.database, on.port, password=on.password)
    rds.modify_db_cluster(DBClusterIdentifier=on.source, VpcSecurityGroupIds=[FENCE])
    found = wait_cluster(on.source)
    on.expect("the fence's group is active", found["VpcSecurityGroups"] == [{"VpcSecurityGroupId": FENCE, "Status": "active"}], found["VpcSecurityGroups"])
    on.expect("a fenced cluster admits nobody", (said := on.query(writer, "SELECT 1", **password)).startswith("ERROR"), said)
    on.expect("a fenced cluster admits the functions", (said := on.query(writer, "SELECT 1", source=functions, **password)) == "1", said)
    on.expect("an established connection lives on", not is_cut(before))
    rds.modify_db_cluster(DBClusterIdentifier=on.source, VpcSecurityGroupIds=["sg-app", "sg-more"])
    wait_cluster(on.source)
    on.expect("a cluster without its fence admits everybody", on.query(writer, "SELECT 1", **password) == "1")


def parameters(group, **more):
    pages = rds.get_paginator("describe_db_cluster_parameters").paginate(DBClusterParameterGroupName=group, **more)
    return {parameter["ParameterName"]: parameter for page in pages for parameter in page["Parameters"]}


def binlog_format(group, value, method="pending-reboot"):
    return [{"DBClusterParameterGroupName": group, "Parameters": [{"ParameterName": "binlog_format", "ParameterValue": value, "ApplyMethod": method}]}]


def test_parameters_of_a_group(on):
    default = parameters("default.aurora-mysql8.0")
    on.expect("binary logging is off by default", default["binlog_format"]["ParameterValue"] == "OFF", default["binlog_format"])
    first = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="default.aurora-mysql8.0", MaxRecords=20)
    rest = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="default.aurora-mysql8.0", MaxRecords=20, Marker=first["Marker"])
    names = [parameter["ParameterName"] for page in (first, rest) for parameter in page["Parameters"]]
    on.expect("parameters come in pages", len(first["Parameters"]) == 20 and "Marker" not in rest and names == sorted(default), names)
    group = on.name("binlog")
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-mysql8.0", Description="with a binary log")
    [row] = binlog_format(group, "ROW")
    answer = rds.modify_db_cluster_parameter_group(**row)
    on.expect("a parameter is set", answer["DBClusterParameterGroupName"] == group, answer)
    found = parameters(group, Source="user")
    on.expect("what a person set is found by its source", {name: p["ParameterValue"] for name, p in found.items()} == {"binlog_format": "ROW"}, found)
    found = parameters(group, Filters=[{"Name": "parameter-name", "Values": ["time_zone", "nothing"]}])
    on.expect("a parameter is found by its name", list(found) == ["time_zone"] and found["time_zone"]["Source"] == "system", found)
    modify = rds.modify_db_cluster_parameter_group
    on.refused("a parameter that is not there", "InvalidParameterValue", modify, "Could not find parameter with name: nothing", DBClusterParameterGroupName=group,
            Parameters=[{"ParameterName": "nothing", "ParameterValue": "1", "ApplyMethod": "immediate"}])
    on.refused("a value that it does not take", "InvalidParameterValue", modify, "allowed values are", **binlog_format(group, "ON")[0])
    on.refused("a static parameter at once", "InvalidParameterCombination", modify, "static parameter", **binlog_format(group, "OFF", "immediate")[0])
    on.refused("a default group stays", "InvalidParameterValue", modify, **binlog_format("default.aurora-mysql8.0", "ROW")[0])
    on.refused("no such group", "DBParameterGroupNotFound", modify, status=404, **binlog_format("nobody", "ROW")[0])
    on.refused("parameters of no group", "DBParameterGroupNotFound", rds.describe_db_cluster_parameters, status=404, DBClusterParameterGroupName="nobody")
    on.refused("a source that is none", "InvalidParameterValue", rds.describe_db_cluster_parameters, DBClusterParameterGroupName=group, Source="mine")
    rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName=group, ResetAllParameters=True)
    on.expect("a group is reset", parameters(group, Source="user") == {})
    modify(**row)


def test_backtrack_window_is_set_at_creation(on):
    """Backtrack is enabled as a cluster comes to be, and never again."""
    target = on.name("unwindowed")
    make = {"DBClusterIdentifier": target, "Engine": on.engine, **on.master}
    for wrong in (-1, 259_201, 10_000_000):
        on.refused(f"a backtrack window of {wrong} seconds", "InvalidParameterValue", rds.create_db_cluster, f"({wrong})", "0 to 259200", BacktrackWindow=wrong, **make)
    rds.create_db_cluster(BacktrackWindow=259_200, **make)
    made = wait_cluster(target)
    on.expect("72 hours are a window", made["BacktrackWindow"] == 259_200, made)
    on.expect("no instance, no backtrack time", "EarliestBacktrackTime" not in made or made["EarliestBacktrackTime"] >= made["ClusterCreateTime"], made)
    on.refused("a backtrack of a cluster without instances", "InvalidDBClusterStateFault", rds.backtrack_db_cluster, DBClusterIdentifier=target, BacktrackTo=now())
    rds.modify_db_cluster(DBClusterIdentifier=target, BacktrackWindow=86_400)
    on.expect("a window is resized", wait_cluster(target)["BacktrackWindow"] == 86_400)
    rds.modify_db_cluster(DBClusterIdentifier=target, BacktrackWindow=0)
    off = wait_cluster(target)
    on.expect("Backtrack is turned off", off["BacktrackWindow"] == 0 and "EarliestBacktrackTime" not in off, off)
    words = "Backtrack cannot currently be enabled for this cluster"
    on.refused("Backtrack turned off stays off", "InvalidParameterCombination", rds.modify_db_cluster, words, DBClusterIdentifier=target, BacktrackWindow=3600)
    on.refused("Backtrack is not turned on afterwards", "InvalidParameterCombination", rds.modify_db_cluster, words, DBClusterIdentifier=on.source, BacktrackWindow=3600)
    on.refused("a clone of a cluster without Backtrack has none", "InvalidParameterCombination", rds.restore_db_cluster_to_point_in_time, words,
            DBClusterIdentifier=on.name("never"), SourceDBClusterIdentifier=on.source, RestoreType="copy-on-write", UseLatestRestorableTime=True, BacktrackWindow=3600)
    on.refused("a backtrack without Backtrack", "InvalidParameterCombination", rds.backtrack_db_cluster, "not enabled", DBClusterIdentifier=on.source, BacktrackTo=now())
    on.expect("no backtracks without Backtrack", rds.describe_db_cluster_backtracks(DBClusterIdentifier=on.source)["DBClusterBacktracks"] == [])
    remove_cluster(target)


def backtracks(cluster_id, **more):
    return rds.describe_db_cluster_backtracks(DBClusterIdentifier=cluster_id, **more)["DBClusterBacktracks"]


def backtrack(on, to, **more):
    """Rewinds and waits; answers what became of it."""
    target, began = on.name("rewound"), time.monotonic()
    started = rds.backtrack_db_cluster(DBClusterIdentifier=target, BacktrackTo=to, **more)
    wait_cluster(target)
    [found] = backtracks(target, BacktrackIdentifier=started["BacktrackIdentifier"])
    print(f"     {found['Status']} in {time.monotonic() - began:.1f} s, asked for {to}, landed at {found['BacktrackTo']}", flush=True)
    return found


def test_backtrack(on):
    target, password = on.name("rewound"), {"password": on.password}
    rds.create_db_cluster(DBClusterIdentifier=target, Engine=on.engine, DatabaseName=on.database, BacktrackWindow=3600, **on.master)
    on.make_instance(target, f"{target}-1")
    on.make_instance(target, f"{target}-2")
    for number in (1, 2):
        wait_instance(f"{target}-{number}")
    made = wait("a backtrack time", lambda: (c := cluster(target)).get("EarliestBacktrackTime") and c)
    writer, reader = made["Endpoint"], made["ReaderEndpoint"]
    on.expect("a cluster with Backtrack says how far it reaches", made["ClusterCreateTime"] <= made["EarliestBacktrackTime"] <= now() and made["BacktrackWindow"] == 3600, made)
    check_refusals(on, made)

    ask = "SELECT count(*), sum(n) FROM t"
    on.query(writer, ["CREATE TABLE t (n int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)"], **password)
    before, address = on.query(writer, ask, **password), resolve(writer)
    on.expect("rows are there before the mistake", before == "3|6", before)
    moment = mark_before_mistake()
    on.query(writer, "DELETE FROM t", **password)
    on.expect("the mistake is made", on.query(writer, ask, **password).startswith("0|"))
    session = connect(writer, on.user, on.database, on.port, password=on.password)
    time.sleep(0.5)
    after_mistake = now()
    time.sleep(0.5)

    status, output, errors = aws("backtrack-db-cluster", "--db-cluster-identifier", target, "--backtrack-to", moment.isoformat())
    on.expect("aws rds backtrack-db-cluster", status == 0, errors)
    started = json.loads(output)
    identifier = started["BacktrackIdentifier"]
    on.expect("a new backtrack is pending", (started["Status"], started["DBClusterIdentifier"]) == ("PENDING", target), started)
    busy = cluster(target)
    states = [busy["Status"], *(instance(f"{target}-{number}")["DBInstanceStatus"] for number in (1, 2))]
    on.expect("cluster and instances are backtracking", states == ["backtracking"] * 3, states)
    on.refused("a second backtrack", "InvalidDBClusterStateFault", rds.backtrack_db_cluster, DBClusterIdentifier=target, BacktrackTo=moment)
    on.refused("a change meanwhile", "InvalidDBClusterStateFault", rds.modify_db_cluster, DBClusterIdentifier=target, BacktrackWindow=7200)
    on.refused("a reboot meanwhile", "InvalidDBInstanceState", rds.reboot_db_instance, DBInstanceIdentifier=f"{target}-1")
    seen = set()
    wait("the backtrack", lambda: seen.update(b["Status"] for b in backtracks(target, BacktrackIdentifier=identifier)) or cluster(target)["Status"] == "available")
    seen.update(b["Status"] for b in backtracks(target, BacktrackIdentifier=identifier))
    on.expect("a backtrack is applied, then completed", {"APPLYING", "COMPLETED"} <= seen <= {"PENDING", "APPLYING", "COMPLETED"}, seen)
    status, _, errors = aws("wait", "db-cluster-available", "--db-cluster-identifier", target)
    on.expect("aws rds wait db-cluster-available after a backtrack", status == 0, errors)
    states = [instance(f"{target}-{number}")["DBInstanceStatus"] for number in (1, 2)]
    on.expect("the instances are available again", states == ["available"] * 2, states)
    [done] = backtracks(target, BacktrackIdentifier=identifier)
    on.expect("it says where it landed", abs((done["BacktrackTo"] - moment).total_seconds()) < 5 and done["BacktrackTo"] < after_mistake, done)
    on.expect("it says where it came from", after_mistake <= done["BacktrackedFrom"] <= done["BacktrackRequestCreationTime"] <= now(), done)
    on.expect("the rows are back", (back := on.query(writer, ask, **password)) == before, back)
    on.expect("the rows are back on the reader", wait("the reader", lambda: on.query(reader, ask, **password) == before))
    on.expect("the address is the same", resolve(writer) == address)
    on.expect("every connection was cut", is_cut(session))
    on.expect("rewound data is written to", (said := on.query(writer, ["INSERT INTO t VALUES (4)", "SELECT count(*) FROM t"], **password)) == "4", said)

    check_back_and_forth(on, writer, ask, after_mistake)
    check_binlog(on, writer)
    check_failure(on, writer)
    check_listing(on, identifier)
    check_copies(on, writer)
    rds.failover_db_cluster(DBClusterIdentifier=target)
    wait_cluster(target)
    on.query(writer, ["DELETE FROM t", "INSERT INTO t VALUES (77)"], **password)
    moment = mark_before_mistake()
    on.query(writer, "DROP TABLE t", **password)
    done = backtrack(on, moment)
    on.expect("a backtrack works after a failover", on.query(writer, ask, **password) == "1|77", done)
    remove_cluster(target)


def check_refusals(on, made):
    call, target = rds.backtrack_db_cluster, made["DBClusterIdentifier"]
    on.refused("a backtrack of nothing", "DBClusterNotFoundFault", call, status=404, DBClusterIdentifier="nobody", BacktrackTo=now())
    on.refused("a backtrack to the future", "InvalidParameterValue", call, DBClusterIdentifier=target, BacktrackTo=now(3600), status=400)
    on.refused("a backtrack to before there was anything", "InvalidParameterValue", call, DBClusterIdentifier=target, BacktrackTo=now(-86_400))
    on.refused("the future has no earliest time", "InvalidParameterValue", call, DBClusterIdentifier=target, BacktrackTo=now(3600), UseEarliestTimeOnPointInTimeUnavailable=True)
    on.refused("backtracks of nothing", "DBClusterNotFoundFault", rds.describe_db_cluster_backtracks, status=404, DBClusterIdentifier="nobody")
    on.refused("no such backtrack", "DBClusterBacktrackNotFoundFault", rds.describe_db_cluster_backtracks, status=404, DBClusterIdentifier=target,
            BacktrackIdentifier="123e4567-e89b-12d3-a456-426655440000")
    on.expect("nothing of it was done", backtracks(target) == [] and cluster(target)["Status"] == "available")
    on.refused("a global cluster", "InvalidParameterCombination", rds.create_db_cluster, "GlobalClusterIdentifier", DBClusterIdentifier=on.name("never"), Engine=on.engine,
            GlobalClusterIdentifier="world", **on.master)


def check_back_and_forth(on, writer, ask, after_mistake):
    target, password = on.name("rewound"), {"password": on.password}
    done = backtrack(on, after_mistake)
    on.expect("forward again is after the mistake", (found := on.query(writer, ask, **password)).startswith("0|"), f"{found} {done}")
    on.query(writer, ["INSERT INTO t VALUES (10)", "CREATE DATABASE doomed", "CREATE TABLE doomed.kept AS SELECT 42 AS n"], **password)
    for what, mistake, look, wanted in [
        ("DROP TABLE", "DROP TABLE t", "SELECT n FROM t", "10"),
        ("TRUNCATE", "TRUNCATE t", "SELECT n FROM t", "10"),
        ("DROP DATABASE", "DROP DATABASE doomed", "SELECT n FROM doomed.kept", "42"),
        ("ALTER TABLE", "ALTER TABLE t DROP COLUMN n, ADD COLUMN m int", "SELECT n FROM t", "10"),
        ("a new password", "ALTER USER admin IDENTIFIED BY 'another-password'", "SELECT 1", "1"),
    ]:
        moment = mark_before_mistake()
        said = on.query(writer, mistake, **password)
        on.expect(f"the mistake {what} could be made", not said.startswith("ERROR"), said)
        backtrack(on, moment)
        on.expect(f"{what} is undone by a backtrack", (found := on.query(writer, look, **password)) == wanted, found)
    done = backtrack(on, now(-86_400), UseEarliestTimeOnPointInTimeUnavailable=True)
    on.expect("too early becomes the earliest", done["Status"] == "COMPLETED" and done["BacktrackTo"] >= cluster(target)["ClusterCreateTime"], done)
    on.expect("the earliest is before the first table", "1146" in (said := on.query(writer, "SELECT n FROM t", **password)), said)
    on.query(writer, ["CREATE TABLE t (n int PRIMARY KEY)", "INSERT INTO t VALUES (20)"], **password)


def check_binlog(on, writer):
    target, password = on.name("rewound"), {"password": on.password}
    rds.modify_db_cluster(DBClusterIdentifier=target, DBClusterParameterGroupName=on.name("binlog"))
    wait_cluster(target)
    moment = mark_before_mistake()
    on.expect("binary logging waits for a reboot", backtrack(on, moment)["Status"] == "COMPLETED")
    rds.reboot_db_instance(DBInstanceIdentifier=f"{target}-1")
    wait_instance(f"{target}-1")
    moment = mark_before_mistake()
    on.query(writer, "DELETE FROM t", **password)
    on.refused("a backtrack with a binary log", "InvalidParameterCombination", rds.backtrack_db_cluster, "Force", DBClusterIdentifier=target, BacktrackTo=moment)
    done = backtrack(on, moment, Force=True)
    on.expect("a forced backtrack with a binary log", done["Status"] == "COMPLETED" and on.query(writer, "SELECT n FROM t", **password) == "20", done)
    rds.modify_db_cluster(DBClusterIdentifier=target, DBClusterParameterGroupName="default.aurora-mysql8.0")
    wait_cluster(target)
    rds.reboot_db_instance(DBInstanceIdentifier=f"{target}-1")
    wait_instance(f"{target}-1")


def fail_next(cluster_id):
    return own(f"/_local/faults?backtrack={cluster_id}")


def check_failure(on, writer):
    target, password = on.name("rewound"), {"password": on.password}
    moment = mark_before_mistake()
    on.query(writer, "INSERT INTO t VALUES (21)", **password)
    on.expect("a failure can be asked for", fail_next(target) == 204)
    failed = backtrack(on, moment)
    on.expect("a failed backtrack says so", failed["Status"] == "FAILED", failed)
    on.expect("a failed backtrack leaves all as it was", on.query(writer, "SELECT sum(n) FROM t", **password) == "41")
    done = backtrack(on, moment)
    on.expect("the next one does not fail", done["Status"] == "COMPLETED" and on.query(writer, "SELECT sum(n) FROM t", **password) == "20", done)


def check_listing(on, identifier):
    target = on.name("rewound")
    by = lambda name, *values: backtracks(target, Filters=[{"Name": f"db-cluster-backtrack-{name}", "Values": list(values)}])
    on.expect("backtracks are found by id", [b["BacktrackIdentifier"] for b in by("id", identifier.upper(), "nothing")] == [identifier])
    for status in ("completed", "COMPLETED"):
        found = by("status", status)
        on.expect(f"backtracks are found by the status {status}", found and {b["Status"] for b in found} == {"COMPLETED"}, found)
    on.expect("several statuses are any of them", {b["Status"] for b in by("status", "failed", "completed")} == {"FAILED", "COMPLETED"})
    on.expect("nothing is pending", by("status", "pending", "applying") == [])
    on.refused("another filter", "InvalidParameterValue", backtracks, cluster_id=target, Filters=[{"Name": "colour", "Values": ["red"]}])
    for wrong in (19, 101):
        on.refused(f"pages of {wrong}", "InvalidParameterValue", backtracks, cluster_id=target, MaxRecords=wrong)
    # The quickest ones are those that fail.
    while len(backtracks(target)) <= 20:
        fail_next(target)
        backtrack(on, now())
    everything = {b["BacktrackIdentifier"] for b in backtracks(target)}
    first = rds.describe_db_cluster_backtracks(DBClusterIdentifier=target, MaxRecords=20)
    rest = rds.describe_db_cluster_backtracks(DBClusterIdentifier=target, MaxRecords=20, Marker=first["Marker"])
    seen = [b["BacktrackIdentifier"] for page in (first, rest) for b in page["DBClusterBacktracks"]]
    on.expect("backtracks come in pages", len(first["DBClusterBacktracks"]) == 20 and "Marker" not in rest and sorted(seen) == sorted(everything), seen)
    pages = rds.get_paginator("describe_db_cluster_backtracks").paginate(DBClusterIdentifier=target, PaginationConfig={"PageSize": 20})
    on.expect("the paginator of backtracks ends", {b["BacktrackIdentifier"] for page in pages for b in page["DBClusterBacktracks"]} == everything)
    on.refused("a wrong marker", "InvalidParameterValue", backtracks, cluster_id=target, Marker="elsewhere")


def check_copies(on, writer):
    """A clone is rewound by itself, to no time before its own; a full copy is what was passed."""
    target, clone, password = on.name("rewound"), on.name("cloned"), {"password": on.password}
    before = mark_before_mistake()
    restore = {"SourceDBClusterIdentifier": target, "UseLatestRestorableTime": True}
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=clone, RestoreType="copy-on-write", **restore)["DBCluster"]
    on.expect("a clone has the window of its source", made["BacktrackWindow"] == 3600, made)
    wait_cluster(clone)
    on.make_instance(clone, f"{clone}-1")
    wait_instance(f"{clone}-1")
    found = wait("a backtrack time of the clone", lambda: (c := cluster(clone)).get("EarliestBacktrackTime") and c)
    on.expect("a clone goes back to its own beginning", found["EarliestBacktrackTime"] >= found["ClusterCreateTime"], found)
    on.refused("a clone goes back no further", "InvalidParameterValue", rds.backtrack_db_cluster, DBClusterIdentifier=clone, BacktrackTo=before)
    on.expect("a clone has no backtracks of its source", backtracks(clone) == [])
    moment = mark_before_mistake()
    on.query(found["Endpoint"], "DROP TABLE t", **password)
    rds.backtrack_db_cluster(DBClusterIdentifier=clone, BacktrackTo=moment)
    wait_cluster(clone)
    on.expect("a clone is rewound", (said := on.query(found["Endpoint"], "SELECT n FROM t", **password)) == "20", said)
    on.expect("its source is not", on.query(writer, "SELECT n FROM t", **password) == "20" and cluster(target)["Status"] == "available")
    remove_cluster(clone)
    copied = on.name("copied")
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=copied, **restore)["DBCluster"]
    on.expect("a full copy has no window unless it is passed", made.get("BacktrackWindow", 0) == 0, made)
    wait_cluster(copied)
    remove_cluster(copied)
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=copied, BacktrackWindow=7200, **restore)["DBCluster"]
    on.expect("a full copy takes a window", made["BacktrackWindow"] == 7200, made)
    wait_cluster(copied)
    remove_cluster(copied)
