"""Holds the local RDS to what real clients expect of it: boto3 and the AWS CLI, unchanged, and psql behind the endpoints.

Run it against a stack that is up: `set -a; . .local/stack.env; set +a; python3 tests/rds_clients.py`.
It takes everything from the environment, makes clusters whose names begin with `rc-`, and removes them.
Exits non-zero when anything is not as on AWS, and prints `N passed, N failed`.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

RUN = uuid.uuid4().hex[:6]
UTC = datetime.timezone.utc
rds = boto3.client("rds", config=Config(retries={"max_attempts": 0}))
secrets = boto3.client("secretsmanager") if os.environ.get("AWS_ENDPOINT_URL") else None
passed, failed = [], []


# --- tools -----------------------------------------------------------------------------------------------------------


def name(suffix):
    return f"rc-{RUN}-{suffix}"


def expect(what, condition, detail=""):
    (passed if condition else failed).append(what)
    print(f"{'ok  ' if condition else 'FAIL'} {what}{'' if condition or detail == '' else f': {detail}'}", flush=True)


def refused(what, code, call, *words, status=None, **parameters):
    """The call must fail with `code`, and its message must hold `words`."""
    try:
        call(**parameters)
    except ClientError as error:
        said = error.response["Error"]
        right = said["Code"] == code and all(word in said["Message"] for word in words)
        right = right and status in (None, error.response["ResponseMetadata"]["HTTPStatusCode"])
        expect(what, right, f"{said} {error.response['ResponseMetadata']['HTTPStatusCode']}")
    else:
        expect(what, False, "was accepted")


def resolve(host):
    """The address of an endpoint: from the stack's name server, or from the control plane when there is none."""
    server, port = os.environ.get("DNS_SERVER"), os.environ.get("DNS_PORT")
    if server and port:
        command = ["dig", "+short", f"@{server}", "-p", port, host, "A"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return lines[-1] if lines else None
    try:
        with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL_RDS']}/_local/resolve?name={host}") as answer:
            return answer.read().decode().strip()
    except urllib.error.HTTPError:
        return None


def psql(host, sql, user="postgres", password=None, database="postgres", port=5432, tls=None, address=None):
    """What a query answers; an error is returned as text that begins with `ERROR`."""
    tls = tls or ("verify-full" if os.environ.get("PGSSLROOTCERT") else "require")
    address = address or resolve(host)
    if not address:
        return f"ERROR {host} has no address"
    dsn = f"host={host} hostaddr={address} port={port} user={user} dbname={database} sslmode={tls} connect_timeout=10"
    environment = {**os.environ, "PGPASSWORD": password or ""}
    statements = [sql] if isinstance(sql, str) else sql
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", dsn]
    for statement in statements:
        command += ["-c", statement]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.stdout.strip() if done.returncode == 0 else f"ERROR {done.stderr.strip()}"


def aws(*arguments):
    """The AWS CLI. Version 1 forces RDS' public address in us-east-1, whatever the environment says: hence the option."""
    command = ["aws", "--endpoint-url", os.environ["AWS_ENDPOINT_URL_RDS"], "--output", "json", "rds", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "AWS_PAGER": ""})
    return done.returncode, done.stdout, done.stderr


def cluster(cluster_id):
    return rds.describe_db_clusters(DBClusterIdentifier=cluster_id)["DBClusters"][0]


def instance(instance_id):
    return rds.describe_db_instances(DBInstanceIdentifier=instance_id)["DBInstances"][0]


def wait(what, look, seconds=120):
    """Waits until `look` answers something true, and answers that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise TimeoutError(f"{what} did not happen within {seconds} s")


def wait_cluster(cluster_id, status="available"):
    def look():
        now = cluster(cluster_id)
        if now["Status"] == "failed" != status:
            raise RuntimeError(f"{cluster_id} failed")
        return now if now["Status"] == status else None

    return wait(f"{cluster_id} {status}", look)


def wait_instance(instance_id, status="available"):
    def look():
        now = instance(instance_id)
        if now["DBInstanceStatus"] == "failed" != status:
            raise RuntimeError(f"{instance_id} failed")
        return now if now["DBInstanceStatus"] == status else None

    return wait(f"{instance_id} {status}", look)


def gone(call, code, **parameters):
    def look():
        try:
            call(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"] == code
        return False

    return wait(f"{parameters} gone", look)


def make_instance(cluster_id, instance_id, **more):
    more.setdefault("DBInstanceClass", "db.r6g.large")
    return rds.create_db_instance(
        DBClusterIdentifier=cluster_id, DBInstanceIdentifier=instance_id, Engine="aurora-postgresql", **more
    )["DBInstance"]


def remove_cluster(cluster_id):
    try:
        found = cluster(cluster_id)
    except ClientError:
        return
    if found.get("DeletionProtection"):
        rds.modify_db_cluster(DBClusterIdentifier=cluster_id, DeletionProtection=False)
        wait_cluster(cluster_id)
    for member in found["DBClusterMembers"]:
        try:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
        except ClientError:
            pass  # being deleted already
    rds.delete_db_cluster(DBClusterIdentifier=cluster_id, SkipFinalSnapshot=True)
    gone(rds.describe_db_clusters, "DBClusterNotFoundFault", DBClusterIdentifier=cluster_id)


def now(offset=0.0):
    return datetime.datetime.now(UTC) + datetime.timedelta(seconds=offset)


def mark_before_mistake():
    """A moment one second before whatever is done next."""
    moment = now()
    time.sleep(1.0)
    return moment


def restorable(cluster_id, moment):
    """Waits until a moment can be restored."""
    def look():
        found = cluster(cluster_id)
        return "LatestRestorableTime" in found and found["LatestRestorableTime"] >= moment

    wait(f"{moment} restorable", look, 30)


# --- checks ----------------------------------------------------------------------------------------------------------

SOURCE = name("source")
PASSWORD = "rc pass:?#%".replace(" ", "-") + RUN
MASTER = {"MasterUsername": "postgres", "MasterUserPassword": PASSWORD}


def check_creation():
    made = rds.create_db_cluster(
        DBClusterIdentifier=SOURCE.upper(), Engine="aurora-postgresql", DatabaseName="shop", **MASTER,
        VpcSecurityGroupIds=["sg-app", "sg-more"], Tags=[{"Key": "team", "Value": "a & <b>"}, {"Key": "empty", "Value": ""}],
        EnableIAMDatabaseAuthentication=True, DeletionProtection=True, CopyTagsToSnapshot=True, BackupRetentionPeriod=7,
        EnableCloudwatchLogsExports=["postgresql"], EnableHttpEndpoint=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
    )["DBCluster"]
    expect("a new cluster is creating, under its name in lower case", (made["Status"], made["DBClusterIdentifier"]) == ("creating", SOURCE), made)
    expect("it has no instances, and no restorable times yet", made["DBClusterMembers"] == [] and "EarliestRestorableTime" not in made)
    expect("tags come back as they were sent", {t["Key"]: t["Value"] for t in made["TagList"]} == {"team": "a & <b>", "empty": ""}, made["TagList"])
    expect("ARN and resource id", made["DBClusterArn"].endswith(f":cluster:{SOURCE}") and made["DbClusterResourceId"].startswith("cluster-"))
    refused("a taken name is refused", "DBClusterAlreadyExistsFault", rds.create_db_cluster, status=400,
            DBClusterIdentifier=SOURCE, Engine="aurora-postgresql", **MASTER)
    status, _, errors = aws("wait", "db-cluster-available", "--db-cluster-identifier", SOURCE)
    expect("aws rds wait db-cluster-available", status == 0, errors)
    first = make_instance(SOURCE, name("source-1"), MonitoringInterval=60, MonitoringRoleArn="arn:aws:iam::000000000000:role/monitoring",
                          EnablePerformanceInsights=True, Tags=[{"Key": "n", "Value": "1"}])
    expect("a new instance is creating and has no endpoint", first["DBInstanceStatus"] == "creating" and "Endpoint" not in first, first)
    make_instance(SOURCE, name("source-2"), PromotionTier=3, DBInstanceClass="db.t4g.medium")
    status, _, errors = aws("wait", "db-instance-available", "--db-instance-identifier", name("source-2"))
    expect("aws rds wait db-instance-available", status == 0, errors)
    wait_instance(name("source-1"))
    found = cluster(SOURCE)
    members = [(m["DBInstanceIdentifier"], m["IsClusterWriter"], m["PromotionTier"]) for m in found["DBClusterMembers"]]
    expect("the first instance is the writer", members == [(name("source-1"), True, 1), (name("source-2"), False, 3)], members)
    found = wait("restorable times", lambda: (c := cluster(SOURCE)).get("EarliestRestorableTime") and c)
    expect("restorable times appear once there is a backup", found["EarliestRestorableTime"] <= found["LatestRestorableTime"] <= now())
    return found


def check_databases(source):
    writer, reader = source["Endpoint"], source["ReaderEndpoint"]
    password = {"password": PASSWORD}
    expect("the master user owns the first database", psql(writer, "SELECT current_user", database="shop", **password) == "postgres")
    version = psql(writer, "SHOW server_version", **password)
    expect("the engine version is the server's major", version.split(".")[0] == source["EngineVersion"].split(".")[0], version)
    psql(writer, "CREATE TABLE seen (n int)", **password)
    wait("the reader to follow", lambda: psql(reader, "SELECT count(*) FROM seen", **password) == "0")
    expect("the reader endpoint leads to a reader", psql(reader, "SELECT pg_is_in_recovery()", **password) == "t")
    expect("a reader refuses writes", "read-only" in psql(reader, "INSERT INTO seen VALUES (1)", **password))
    expect("clients without TLS are let in", psql(writer, "SELECT 1", tls="disable", **password) == "1")
    expect("a wrong password is refused", "password authentication failed" in psql(writer, "SELECT 1", password="wrong"))
    for member in source["DBClusterMembers"]:
        host = instance(member["DBInstanceIdentifier"])["Endpoint"]["Address"]
        role = psql(host, "SELECT pg_is_in_recovery()", **password)
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
        expect(f"a master user may not: {attempt}", psql(writer, attempt, **password).startswith("ERROR"))
    expect("a master user may not enter the control plane's database", psql(writer, "SELECT 1", database="rdsadmin", **password).startswith("ERROR"))
    allowed = ["CREATE ROLE app LOGIN PASSWORD 'app-password'", "CREATE DATABASE extra", "ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN",
               "ALTER DATABASE postgres SET default_transaction_read_only = off", "REVOKE CONNECT ON DATABASE extra FROM PUBLIC",
               "SELECT count(*) FROM pg_stat_activity WHERE query <> ''", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"]
    for statement in allowed:
        said = psql(writer, statement, **password)
        expect(f"a master user may: {statement}", not said.startswith("ERROR"), said)


def check_clients(source):
    status, output, errors = aws("describe-db-clusters", "--db-cluster-identifier", SOURCE)
    expect("aws rds describe-db-clusters", status == 0 and json.loads(output)["DBClusters"][0]["DBClusterArn"] == source["DBClusterArn"], errors)
    status, output, errors = aws("describe-db-instances", "--filters", f"Name=db-cluster-id,Values={SOURCE}")
    expect("aws rds describe-db-instances with a filter", status == 0 and len(json.loads(output)["DBInstances"]) == 2, errors)
    status, _, errors = aws("describe-db-clusters", "--db-cluster-identifier", "nobody")
    expect("the AWS CLI shows the error code", status != 0 and "DBClusterNotFoundFault" in errors, errors)
    expect("a cluster is found by ARN", cluster(source["DBClusterArn"])["DBClusterIdentifier"] == SOURCE)
    by_filter = rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": [SOURCE, "nobody"]}])["DBClusters"]
    expect("clusters are found by filter", [c["DBClusterIdentifier"] for c in by_filter] == [SOURCE])
    pages = rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": 20})
    expect("paginators end", any(c["DBClusterIdentifier"] == SOURCE for page in pages for c in page["DBClusters"]))
    detailed = instance(name("source-1"))
    expect("an instance shows what it was made with", (detailed["MonitoringInterval"], detailed["PerformanceInsightsEnabled"], detailed["PromotionTier"],
           detailed["DBInstanceClass"], detailed["DBParameterGroups"][0]["DBParameterGroupName"][:8]) == (60, True, 1, "db.r6g.large", "default."), detailed)
    expect("events are kept", any("created" in e["Message"] for e in rds.describe_events(SourceIdentifier=SOURCE, SourceType="db-cluster")["Events"]))
    kinds = [e["EndpointType"] for e in rds.describe_db_cluster_endpoints(DBClusterIdentifier=SOURCE)["DBClusterEndpoints"]]
    expect("a cluster has a writer and a reader endpoint", kinds == ["WRITER", "READER"], kinds)
    rds.create_db_cluster_endpoint(DBClusterIdentifier=SOURCE, DBClusterEndpointIdentifier=name("custom"), EndpointType="READER", StaticMembers=[name("source-2")])
    custom = [e for e in rds.describe_db_cluster_endpoints(DBClusterIdentifier=SOURCE)["DBClusterEndpoints"] if e["EndpointType"] == "CUSTOM"]
    expect("a custom endpoint leads to its member", len(custom) == 1 and resolve(custom[0]["Endpoint"]) == resolve(instance(name("source-2"))["Endpoint"]["Address"]), custom)
    expect("a custom endpoint's certificate names it", psql(custom[0]["Endpoint"], "SELECT 1", password=PASSWORD) == "1")
    rds.delete_db_cluster_endpoint(DBClusterEndpointIdentifier=name("custom"))
    expect("there are no global clusters", rds.describe_global_clusters()["GlobalClusters"] == [])
    expect("engine versions", rds.describe_db_engine_versions(Engine="aurora-postgresql")["DBEngineVersions"][0]["EngineVersion"] == source["EngineVersion"])


def check_tags(source):
    arn = source["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "more", "Value": "1"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["empty"])
    tags = {t["Key"]: t["Value"] for t in rds.list_tags_for_resource(ResourceName=arn)["TagList"]}
    expect("tags are added, replaced and removed", tags == {"team": "b", "more": "1"}, tags)
    refused("tags of nothing", "DBClusterNotFoundFault", rds.list_tags_for_resource, ResourceName=arn + "x", status=404)
    refused("reserved tags", "InvalidParameterValue", rds.add_tags_to_resource, "aws:", ResourceName=arn, Tags=[{"Key": "aws:x", "Value": ""}])


def check_groups():
    family = rds.describe_db_engine_versions()["DBEngineVersions"][0]["DBParameterGroupFamily"]
    for kind, key in ((rds.create_db_cluster_parameter_group, "DBClusterParameterGroupName"), (rds.create_db_parameter_group, "DBParameterGroupName")):
        kind(**{key: name("params")}, DBParameterGroupFamily=family, Description="of a test")
        refused(f"a taken {key}", "DBParameterGroupAlreadyExists", kind, **{key: name("params")}, DBParameterGroupFamily=family, Description="again")
    refused("a family that is not there", "InvalidParameterValue", rds.create_db_cluster_parameter_group, DBClusterParameterGroupName=name("x"),
            DBParameterGroupFamily="aurora-postgresql9", Description="x")
    rds.create_db_subnet_group(DBSubnetGroupName=name("subnets"), DBSubnetGroupDescription="of a test", SubnetIds=["subnet-1", "subnet-2"])
    found = rds.describe_db_subnet_groups(DBSubnetGroupName=name("subnets"))["DBSubnetGroups"][0]
    expect("a subnet group shows its subnets", [s["SubnetIdentifier"] for s in found["Subnets"]] == ["subnet-1", "subnet-2"], found)
    found = rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name("params"))["DBClusterParameterGroups"]
    expect("a cluster parameter group is found", found[0]["DBParameterGroupFamily"] == family)
    refused("no such parameter group", "DBParameterGroupNotFound", rds.describe_db_parameter_groups, DBParameterGroupName="nobody", status=404)


def check_modifications():
    changed = rds.modify_db_cluster(
        DBClusterIdentifier=SOURCE, ApplyImmediately=True, DBClusterParameterGroupName=name("params"), PreferredMaintenanceWindow="Mon:03:00-Mon:04:00",
        PreferredBackupWindow="01:00-02:00", CloudwatchLogsExportConfiguration={"DisableLogTypes": ["postgresql"], "EnableLogTypes": ["instance"]},
        MonitoringInterval=30, MonitoringRoleArn="arn:aws:iam::000000000000:role/monitoring", EnablePerformanceInsights=True,
    )["DBCluster"]
    expect("a change takes time", changed["Status"] == "modifying", changed["Status"])
    refused("a cluster that is busy can't be modified", "InvalidDBClusterStateFault", rds.modify_db_cluster, "not in available state",
            DBClusterIdentifier=SOURCE, CopyTagsToSnapshot=False)
    found = wait_cluster(SOURCE)
    now_set = (found["DBClusterParameterGroup"], found["PreferredMaintenanceWindow"], found["PreferredBackupWindow"], found["EnabledCloudwatchLogsExports"],
               found["MonitoringInterval"], found["PerformanceInsightsEnabled"])
    expect("a change is made", now_set == (name("params"), "mon:03:00-mon:04:00", "01:00-02:00", ["instance"], 30, True), now_set)
    expect("another parameter group waits for a reboot", {m["DBClusterParameterGroupStatus"] for m in found["DBClusterMembers"]} == {"pending-reboot"})
    rds.reboot_db_instance(DBInstanceIdentifier=name("source-1"))
    wait_instance(name("source-1"))
    expect("a reboot takes it up", [m["DBClusterParameterGroupStatus"] for m in cluster(SOURCE)["DBClusterMembers"]] == ["in-sync", "pending-reboot"])
    same = rds.modify_db_cluster(DBClusterIdentifier=SOURCE, DeletionProtection=True)["DBCluster"]
    expect("a change of nothing is over at once", same["Status"] == "available")
    rds.add_role_to_db_cluster(DBClusterIdentifier=SOURCE, RoleArn="arn:aws:iam::000000000000:role/s3", FeatureName="s3Import")
    expect("a role is added", cluster(SOURCE)["AssociatedRoles"] == [{"RoleArn": "arn:aws:iam::000000000000:role/s3", "Status": "ACTIVE", "FeatureName": "s3Import"}])
    refused("a role twice", "DBClusterRoleAlreadyExists", rds.add_role_to_db_cluster, DBClusterIdentifier=SOURCE, RoleArn="arn:aws:iam::000000000000:role/s3", FeatureName="s3Import")
    arn = cluster(SOURCE)["DBClusterArn"]
    rds.disable_http_endpoint(ResourceArn=arn)
    off = cluster(SOURCE)["HttpEndpointEnabled"]
    expect("the Data API is turned off and on", (off, rds.enable_http_endpoint(ResourceArn=arn)["HttpEndpointEnabled"]) == (False, True))
    rds.modify_db_instance(DBInstanceIdentifier=name("source-2"), DBInstanceClass="db.r6g.xlarge")
    found = wait_instance(name("source-2"))
    expect("another class waits for the maintenance window", (found["DBInstanceClass"], found["PendingModifiedValues"]) == ("db.t4g.medium", {"DBInstanceClass": "db.r6g.xlarge"}))
    rds.modify_db_instance(DBInstanceIdentifier=name("source-2"), PromotionTier=2, ApplyImmediately=True)
    found = wait_instance(name("source-2"))
    expect("an instance is modified", (found["DBInstanceClass"], found["PromotionTier"], found["PendingModifiedValues"]) == ("db.r6g.xlarge", 2, {}))


def check_errors():
    pitr = rds.restore_db_cluster_to_point_in_time
    between = {"DBClusterIdentifier": name("never"), "SourceDBClusterIdentifier": SOURCE}
    refused("copy-on-write with a time", "InvalidParameterCombination", pitr, "copy-on-write", RestoreType="copy-on-write", RestoreToTime=now(-2), status=400, **between)
    status, _, errors = aws("restore-db-cluster-to-point-in-time", "--db-cluster-identifier", name("never"), "--source-db-cluster-identifier", SOURCE,
                            "--restore-type", "copy-on-write", "--restore-to-time", now(-2).isoformat())
    expect("aws rds restore-db-cluster-to-point-in-time --restore-type copy-on-write --restore-to-time", status != 0 and "InvalidParameterCombination" in errors, errors)
    refused("a time and the latest", "InvalidParameterCombination", pitr, UseLatestRestorableTime=True, RestoreToTime=now(-2), **between)
    refused("neither a time nor the latest", "InvalidParameterCombination", pitr, **between)
    refused("a clone of neither", "InvalidParameterCombination", pitr, RestoreType="copy-on-write", **between)
    refused("the future", "InvalidParameterValue", pitr, RestoreToTime=now(3600), **between)
    refused("long ago", "InvalidParameterValue", pitr, RestoreToTime=now(-86400), **between)
    refused("another kind of restore", "InvalidParameterValue", pitr, RestoreType="sideways", RestoreToTime=now(-2), **between)
    refused("a source that is not there", "DBClusterNotFoundFault", pitr, DBClusterIdentifier=name("never"), SourceDBClusterIdentifier="nobody", RestoreToTime=now(-2), status=404)
    refused("no source at all", "MissingParameter", pitr, DBClusterIdentifier=name("never"), RestoreToTime=now(-2))
    refused("a target that is there", "DBClusterAlreadyExistsFault", pitr, DBClusterIdentifier=SOURCE, SourceDBClusterIdentifier=SOURCE, UseLatestRestorableTime=True)
    refused("monitoring at a restore", "InvalidParameterCombination", pitr, "Limitless", UseLatestRestorableTime=True, MonitoringInterval=0, **between)
    refused("insights at a restore", "InvalidParameterCombination", pitr, "Limitless", UseLatestRestorableTime=True, EnablePerformanceInsights=False, **between)
    refused("a parameter group that is not there", "DBClusterParameterGroupNotFound", pitr, UseLatestRestorableTime=True, DBClusterParameterGroupName="nobody", status=404, **between)
    refused("a subnet group that is not there", "DBSubnetGroupNotFoundFault", pitr, UseLatestRestorableTime=True, DBSubnetGroupName="nobody", status=404, **between)
    refused("nothing of it was made", "DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier=name("never"))
    refused("backtrack on PostgreSQL", "InvalidParameterCombination", rds.backtrack_db_cluster, DBClusterIdentifier=SOURCE, BacktrackTo=now(-60))
    refused("a backtrack window on PostgreSQL", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=SOURCE, BacktrackWindow=3600)
    refused("a wrong name", "InvalidParameterValue", rds.create_db_cluster, "identifier", DBClusterIdentifier="1-wrong", Engine="aurora-postgresql", **MASTER)
    refused("an engine that is not there", "InvalidParameterValue", rds.create_db_cluster, DBClusterIdentifier=name("never"), Engine="oracle-ee", **MASTER)
    refused("aurora-mysql, for now", "InvalidParameterValue", rds.create_db_cluster, "aurora-mysql", DBClusterIdentifier=name("never"), Engine="aurora-mysql", **MASTER)
    refused("a version that is not there", "InvalidParameterCombination", rds.create_db_cluster, DBClusterIdentifier=name("never"), Engine="aurora-postgresql", EngineVersion="9.6", **MASTER)
    refused("a reserved master user", "InvalidParameterValue", rds.create_db_cluster, DBClusterIdentifier=name("never"), Engine="aurora-postgresql", MasterUsername="rdsadmin", MasterUserPassword=PASSWORD)
    refused("no master password", "MissingParameter", rds.create_db_cluster, DBClusterIdentifier=name("never"), Engine="aurora-postgresql", MasterUsername="postgres")
    refused("an instance that is there", "DBInstanceAlreadyExists", make_instance, cluster_id=SOURCE, instance_id=name("source-1"), status=400)
    refused("an instance of no cluster", "DBClusterNotFoundFault", make_instance, cluster_id="nobody", instance_id=name("never"))
    refused("no such instance", "DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier="nobody", status=404)
    refused("a class that is none", "InvalidParameterValue", make_instance, cluster_id=SOURCE, instance_id=name("never"), DBInstanceClass="large")
    refused("a filter that is none", "InvalidParameterValue", rds.describe_db_clusters, Filters=[{"Name": "colour", "Values": ["red"]}])
    refused("a final snapshot must be settled", "InvalidParameterCombination", rds.delete_db_cluster, "FinalDBSnapshotIdentifier", DBClusterIdentifier=SOURCE)
    refused("a protected cluster stays", "InvalidParameterCombination", rds.delete_db_cluster, "protect", DBClusterIdentifier=SOURCE, SkipFinalSnapshot=True)
    refused("an action that is not here", "InvalidAction", rds.copy_db_cluster_snapshot, SourceDBClusterSnapshotIdentifier="a", TargetDBClusterSnapshotIdentifier="b", status=400)


def restore_to(moment, suffix, **more):
    """Restores the source, starts a writer, and answers the restored cluster."""
    restorable(SOURCE, moment)
    target = name(suffix)
    began = time.monotonic()
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDBClusterIdentifier=SOURCE, RestoreToTime=moment, **more)["DBCluster"]
    if made["Status"] != "creating" or made["DBClusterMembers"] or "EarliestRestorableTime" in made:
        expect(f"{target} starts without instances and times", False, made)
    wait_cluster(target)
    make_instance(target, f"{target}-1")
    wait_instance(f"{target}-1")
    print(f"     restored {target} in {time.monotonic() - began:.1f} s", flush=True)
    return cluster(target)


def check_mistakes():
    writer, password = cluster(SOURCE)["Endpoint"], {"password": PASSWORD}
    psql(writer, ["CREATE TABLE t (n int, s text)", "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 1000) n"], **password)
    rows = "SELECT count(*), sum(n), min(s) FROM t"
    before = psql(writer, rows, **password)
    psql(writer, "CREATE DATABASE doomed", **password)
    psql(writer, "CREATE TABLE kept AS SELECT 42 AS n", database="doomed", **password)
    mistakes = [("delete", "DELETE FROM t"), ("update", "UPDATE t SET n = 0, s = ''"), ("truncate", "TRUNCATE t"), ("drop-table", "DROP TABLE t")]
    for what, mistake in mistakes:
        moment = mark_before_mistake()
        said = psql(writer, mistake, **password)
        if said.startswith("ERROR"):
            expect(f"the mistake {mistake} could be made", False, said)
            continue
        restored = restore_to(moment, what)
        expect(f"{mistake} is undone one second before", (back := psql(restored["Endpoint"], rows, **password)) == before, f"{back} instead of {before}")
        expect(f"{mistake} is still done on the original", psql(writer, rows, **password) != before)
        remove_cluster(name(what))
        psql(writer, ["DROP TABLE IF EXISTS t", "CREATE TABLE t (n int, s text)", "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 1000) n"], **password)
    moment = mark_before_mistake()
    said = psql(writer, "DROP DATABASE doomed", **password)
    expect("the mistake DROP DATABASE could be made", not said.startswith("ERROR"), said)
    restored = restore_to(moment, "drop-database")
    back = psql(restored["Endpoint"], "SELECT n FROM kept", database="doomed", **password)
    expect("DROP DATABASE is undone one second before", back == "42", back)
    remove_cluster(name("drop-database"))


def check_inheritance():
    """What AWS does not carry over is not carried over."""
    source = cluster(SOURCE)
    target = name("bare")
    rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDBClusterIdentifier=source["DBClusterArn"], UseLatestRestorableTime=True)
    bare = wait_cluster(target)
    expect("no restorable times before there is an instance", "EarliestRestorableTime" not in bare and "LatestRestorableTime" not in bare)
    expect("default parameter group", bare["DBClusterParameterGroup"].startswith("default."), bare["DBClusterParameterGroup"])
    expect("default security group", [g["VpcSecurityGroupId"] for g in bare["VpcSecurityGroups"]] == ["sg-default"])
    off = {key: bare[key] for key in ("IAMDatabaseAuthenticationEnabled", "DeletionProtection", "CopyTagsToSnapshot", "HttpEndpointEnabled")}
    expect("everything that is off by default is off", not any(off.values()), off)
    absent = [key for key in ("EnabledCloudwatchLogsExports", "MasterUserSecret", "ServerlessV2ScalingConfiguration", "MonitoringInterval", "PerformanceInsightsEnabled") if key in bare]
    expect("exports, managed secret, scaling, monitoring are not inherited", absent == [] and bare["AssociatedRoles"] == [], absent)
    expect("the maintenance window is not inherited", bare["PreferredMaintenanceWindow"] != source["PreferredMaintenanceWindow"])
    expect("tags are inherited", bare["TagList"] == source["TagList"])
    remove_cluster(target)
    made = rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier=target, SourceDbClusterResourceId=source["DbClusterResourceId"], UseLatestRestorableTime=True, Tags=[{"Key": "only", "Value": "this"}],
        VpcSecurityGroupIds=["sg-app"], DBClusterParameterGroupName=name("params"), DBSubnetGroupName=name("subnets"), EnableIAMDatabaseAuthentication=True,
        DeletionProtection=True, CopyTagsToSnapshot=True, EnableCloudwatchLogsExports=["postgresql"], Port=5544, BackupRetentionPeriod=3,
        ServerlessV2ScalingConfiguration={"MinCapacity": 1, "MaxCapacity": 2})["DBCluster"]
    passed_on = (made["TagList"], [g["VpcSecurityGroupId"] for g in made["VpcSecurityGroups"]], made["DBClusterParameterGroup"], made["DBSubnetGroup"],
                 made["IAMDatabaseAuthenticationEnabled"], made["DeletionProtection"], made["CopyTagsToSnapshot"], made["EnabledCloudwatchLogsExports"], made["Port"],
                 made["BackupRetentionPeriod"], made["ServerlessV2ScalingConfiguration"])
    wanted = ([{"Key": "only", "Value": "this"}], ["sg-app"], name("params"), name("subnets"), True, True, True, ["postgresql"], 5544, 3, {"MinCapacity": 1.0, "MaxCapacity": 2.0})
    expect("what is passed to a restore is taken", passed_on == wanted, passed_on)
    wait_cluster(target)
    make_instance(target, name("bare-1"))
    wait_instance(name("bare-1"))
    answer = psql(cluster(target)["Endpoint"], "SELECT 1", password=PASSWORD, port=5544)
    expect("another port is listened on", answer == "1", answer)
    remove_cluster(target)


def check_clone():
    writer, password = cluster(SOURCE)["Endpoint"], {"password": PASSWORD}
    psql(writer, ["CREATE TABLE evidence (n int)", "INSERT INTO evidence VALUES (1)"], **password)
    target = name("clone")
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDBClusterIdentifier=SOURCE, RestoreType="copy-on-write", UseLatestRestorableTime=True)["DBCluster"]
    expect("a clone belongs to its source's group", made["CloneGroupId"] == cluster(SOURCE)["CloneGroupId"])
    wait_cluster(target)
    make_instance(target, name("clone-1"))
    wait_instance(name("clone-1"))
    host = cluster(target)["Endpoint"]
    expect("a clone holds what was committed just before", psql(host, "SELECT n FROM evidence", **password) == "1")
    psql(host, "DELETE FROM evidence", **password)
    expect("a clone's changes are its own", psql(writer, "SELECT n FROM evidence", **password) == "1")
    remove_cluster(target)


def check_failover():
    password = {"password": PASSWORD}
    before = cluster(SOURCE)
    rds.failover_db_cluster(DBClusterIdentifier=SOURCE)
    wait_cluster(SOURCE)
    after = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in cluster(SOURCE)["DBClusterMembers"]}
    expect("a failover swaps writer and reader", after == {name("source-1"): False, name("source-2"): True}, after)
    psql(before["Endpoint"], "INSERT INTO evidence VALUES (2)", **password)
    expect("the old writer follows the new one", wait("replication", lambda: psql(before["ReaderEndpoint"], "SELECT count(*) FROM evidence", **password) == "2"))
    moment = mark_before_mistake()
    psql(before["Endpoint"], "DELETE FROM evidence", **password)
    restored = restore_to(moment, "after-failover")
    expect("a restore works across a failover", psql(restored["Endpoint"], "SELECT count(*) FROM evidence", **password) == "2")
    # A restore of a restored cluster goes back to its own history only.
    remove_cluster(name("after-failover"))
    rds.delete_db_instance(DBInstanceIdentifier=name("source-2"))
    gone(rds.describe_db_instances, "DBInstanceNotFound", DBInstanceIdentifier=name("source-2"))
    found = cluster(SOURCE)
    expect("a deleted writer is followed by a reader", [(m["DBInstanceIdentifier"], m["IsClusterWriter"]) for m in found["DBClusterMembers"]] == [(name("source-1"), True)])
    expect("the writer endpoint follows", psql(found["Endpoint"], "INSERT INTO evidence VALUES (3); SELECT count(*) FROM evidence", **password) == "1")


def check_managed_password():
    if secrets is None:
        refused("a managed password without Secrets Manager", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=SOURCE, ManageMasterUserPassword=True)
        return
    def kept():
        secret = cluster(SOURCE)["MasterUserSecret"]
        return json.loads(secrets.get_secret_value(SecretId=secret["SecretArn"])["SecretString"])

    host = cluster(SOURCE)["Endpoint"]
    rds.modify_db_cluster(DBClusterIdentifier=SOURCE, ManageMasterUserPassword=True, ApplyImmediately=True)
    secret = wait_cluster(SOURCE)["MasterUserSecret"]
    first = kept()
    expect("a managed secret is active", secret["SecretStatus"] == "active" and ":secret:rds!cluster-" in secret["SecretArn"], secret)
    expect("the managed password is a new one, and works", first["password"] != PASSWORD and psql(host, "SELECT 1", **{"user": first["username"], "password": first["password"]}) == "1")
    expect("the password before it does not work any more", psql(host, "SELECT 1", password=PASSWORD).startswith("ERROR"))
    refused("a managed password can't be given", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=SOURCE, MasterUserPassword="something-else")
    moment = mark_before_mistake()
    rds.modify_db_cluster(DBClusterIdentifier=SOURCE, RotateMasterUserPassword=True, ApplyImmediately=True)
    wait_cluster(SOURCE)
    second = kept()
    expect("a rotation makes another password", second["password"] != first["password"] and psql(host, "SELECT 1", password=second["password"]) == "1")
    restored = restore_to(moment, "passwords")
    expect("a restored cluster has the password of that time", psql(restored["Endpoint"], "SELECT 1", password=first["password"]) == "1"
           and psql(restored["Endpoint"], "SELECT 1", password=second["password"]).startswith("ERROR"))
    expect("a restored cluster has no managed secret", "MasterUserSecret" not in restored)
    rds.modify_db_cluster(DBClusterIdentifier=name("passwords"), ManageMasterUserPassword=True)
    managed = wait_cluster(name("passwords"))["MasterUserSecret"]["SecretArn"]
    login = json.loads(secrets.get_secret_value(SecretId=managed)["SecretString"])
    expect("managing it again makes a new password", psql(restored["Endpoint"], "SELECT 1", password=login["password"]) == "1")
    remove_cluster(name("passwords"))
    try:
        secrets.get_secret_value(SecretId=managed)
        expect("a managed secret goes with its cluster", False)
    except ClientError as error:
        expect("a managed secret goes with its cluster", error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"))
    rds.modify_db_cluster(DBClusterIdentifier=SOURCE, ManageMasterUserPassword=False, MasterUserPassword=PASSWORD)
    expect("a password can be given again", "MasterUserSecret" not in wait_cluster(SOURCE) and psql(host, "SELECT 1", password=PASSWORD) == "1")


def check_side_by_side():
    """Clusters made at the same moment do not get in each other's way."""
    targets = [name(f"twin-{n}") for n in range(3)]
    for number, target in enumerate(targets):
        rds.create_db_cluster(DBClusterIdentifier=target, Engine="aurora-postgresql", DatabaseName=f"own{number}", **MASTER)
        make_instance(target, f"{target}-1")
    for number, target in enumerate(targets):
        wait_instance(f"{target}-1")
        answer = psql(cluster(target)["Endpoint"], "SELECT current_database()", database=f"own{number}", password=PASSWORD)
        expect(f"{target[-6:]} of three clusters made at once is itself", answer == f"own{number}", answer)
    addresses = {resolve(instance(f"{target}-1")["Endpoint"]["Address"]) for target in targets}
    expect("each has an address of its own", len(addresses) == len(targets), addresses)
    for target in targets:
        remove_cluster(target)


def check_deletion():
    rds.modify_db_cluster(DBClusterIdentifier=SOURCE, DeletionProtection=False)
    resource = wait_cluster(SOURCE)["DbClusterResourceId"]
    refused("a cluster with instances stays", "InvalidDBClusterStateFault", rds.delete_db_cluster, "still contains DB instances in non-deleting state",
            DBClusterIdentifier=SOURCE, SkipFinalSnapshot=True)
    host = cluster(SOURCE)["Endpoint"]
    psql(host, ["CREATE TABLE last (n int)", "INSERT INTO last VALUES (7)"], password=PASSWORD)
    rds.delete_db_instance(DBInstanceIdentifier=name("source-1"))
    refused("an instance is deleted once", "InvalidDBInstanceState", rds.delete_db_instance, "already being deleted", DBInstanceIdentifier=name("source-1"))
    gone(rds.describe_db_instances, "DBInstanceNotFound", DBInstanceIdentifier=name("source-1"))
    expect("no instance, no address", not resolve(host))
    make_instance(SOURCE, name("source-3"))
    wait_instance(name("source-3"))
    expect("the data outlives the instances", psql(host, "SELECT n FROM last", password=PASSWORD) == "7")
    rds.delete_db_instance(DBInstanceIdentifier=name("source-3"))
    rds.delete_db_cluster(DBClusterIdentifier=SOURCE, FinalDBSnapshotIdentifier=name("final"), DeleteAutomatedBackups=False)
    refused("a cluster is deleted once", "InvalidDBClusterStateFault", rds.delete_db_cluster, DBClusterIdentifier=SOURCE, SkipFinalSnapshot=True)
    status, _, errors = aws("wait", "db-cluster-deleted", "--db-cluster-identifier", SOURCE)
    expect("aws rds wait db-cluster-deleted", status == 0, errors)
    snapshots = rds.describe_db_cluster_snapshots(DBClusterIdentifier=SOURCE)["DBClusterSnapshots"]
    expect("the final snapshot is there", [s["DBClusterSnapshotIdentifier"] for s in snapshots] == [name("final")])
    backups = rds.describe_db_cluster_automated_backups(DbClusterResourceId=resource)["DBClusterAutomatedBackups"]
    expect("the retained backup is there", [b["Status"] for b in backups] == ["retained"], backups)
    target = name("undeleted")
    rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDbClusterResourceId=resource, UseLatestRestorableTime=True)
    wait_cluster(target)
    make_instance(target, f"{target}-1")
    wait_instance(f"{target}-1")
    back = psql(cluster(target)["Endpoint"], "SELECT n FROM last", password=PASSWORD)
    expect("a deleted cluster comes back from its retained backups", back == "7", back)
    remove_cluster(target)
    target = name("hasty")
    rds.create_db_cluster(DBClusterIdentifier=target, Engine="aurora-postgresql", **MASTER)
    make_instance(target, f"{target}-1")
    rds.delete_db_instance(DBInstanceIdentifier=f"{target}-1")
    rds.delete_db_cluster(DBClusterIdentifier=target, SkipFinalSnapshot=True)
    gone(rds.describe_db_clusters, "DBClusterNotFoundFault", DBClusterIdentifier=target)
    expect("what is deleted while it is made goes away", True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    try:
        source = check_creation()
        check_databases(source)
        check_clients(source)
        check_tags(source)
        check_groups()
        check_modifications()
        check_errors()
        check_mistakes()
        check_inheritance()
        check_clone()
        check_failover()
        check_managed_password()
        check_side_by_side()
        check_deletion()
    except Exception as error:  # what it was doing is printed above; what is left is removed below
        expect(f"the run came to its end: {type(error).__name__}: {error}", False)
    for suffix in ("source", "delete", "update", "truncate", "drop-table", "drop-database", "bare", "clone", "after-failover", "passwords", "undeleted", "hasty", "twin-0", "twin-1", "twin-2"):
        try:
            remove_cluster(name(suffix))
        except (ClientError, TimeoutError, RuntimeError) as error:
            print(f"     {name(suffix)} was left behind: {error}")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
