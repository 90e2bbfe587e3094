"""What real clients expect of RDS, whatever the engine: boto3 and the AWS CLI, unchanged, and psql and PyMySQL behind the endpoints.
The tests follow the source cluster to its deletion, and build upon one another.
"""

import json

from botocore.exceptions import ClientError

from rds_clients import (
    age,
    aws,
    cluster,
    gone,
    instance,
    limit_instances,
    mark_before_mistake,
    now,
    rds,
    remove_cluster,
    resolve,
    restore_to,
    secrets,
    wait,
    wait_cluster,
    wait_instance,
)


def test_describe_calls_endpoints_and_events(on, source):
    status, output, errors = aws("describe-db-clusters", "--db-cluster-identifier", on.source)
    on.expect("aws rds describe-db-clusters", status == 0 and json.loads(output)["DBClusters"][0]["DBClusterArn"] == source["DBClusterArn"], errors)
    status, output, errors = aws("describe-db-instances", "--filters", f"Name=db-cluster-id,Values={on.source}")
    on.expect("aws rds describe-db-instances with a filter", status == 0 and len(json.loads(output)["DBInstances"]) == 2, errors)
    status, _, errors = aws("describe-db-clusters", "--db-cluster-identifier", "nobody")
    on.expect("the AWS CLI shows the error code", status != 0 and "DBClusterNotFoundFault" in errors, errors)
    on.expect("a cluster is found by ARN", cluster(source["DBClusterArn"])["DBClusterIdentifier"] == on.source)
    by_filter = rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": [on.source, "nobody"]}])["DBClusters"]
    on.expect("clusters are found by filter", [c["DBClusterIdentifier"] for c in by_filter] == [on.source])
    pages = rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": 20})
    on.expect("paginators end", any(c["DBClusterIdentifier"] == on.source for page in pages for c in page["DBClusters"]))
    detailed = instance(on.name("source-1"))
    on.expect("an instance shows what it was made with", (detailed["MonitoringInterval"], detailed["PerformanceInsightsEnabled"], detailed["PromotionTier"],
           detailed["DBInstanceClass"], detailed["DBParameterGroups"][0]["DBParameterGroupName"][:8]) == (60, True, 1, "db.r6g.large", "default."), detailed)
    on.expect("events are kept", any("created" in e["Message"] for e in rds.describe_events(SourceIdentifier=on.source, SourceType="db-cluster")["Events"]))
    kinds = [e["EndpointType"] for e in rds.describe_db_cluster_endpoints(DBClusterIdentifier=on.source)["DBClusterEndpoints"]]
    on.expect("a cluster has a writer and a reader endpoint", kinds == ["WRITER", "READER"], kinds)
    rds.create_db_cluster_endpoint(DBClusterIdentifier=on.source, DBClusterEndpointIdentifier=on.name("custom"), EndpointType="READER", StaticMembers=[on.name("source-2")])
    custom = [e for e in rds.describe_db_cluster_endpoints(DBClusterIdentifier=on.source)["DBClusterEndpoints"] if e["EndpointType"] == "CUSTOM"]
    on.expect("a custom endpoint leads to its member", len(custom) == 1 and resolve(custom[0]["Endpoint"]) == resolve(instance(on.name("source-2"))["Endpoint"]["Address"]), custom)
    on.expect("a custom endpoint's certificate names it", on.query(custom[0]["Endpoint"], "SELECT 1", password=on.password) == "1")
    rds.delete_db_cluster_endpoint(DBClusterEndpointIdentifier=on.name("custom"))
    on.expect("engine versions", rds.describe_db_engine_versions(Engine=on.engine)["DBEngineVersions"][0]["EngineVersion"] == source["EngineVersion"])


def test_global_database_has_its_primary_until_it_is_removed(on, source):
    name, arn = on.name("world"), source["DBClusterArn"]
    of_one = {"GlobalClusterIdentifier": name}
    made = rds.create_global_cluster(SourceDBClusterIdentifier=arn, **of_one)["GlobalCluster"]
    on.expect("its primary writes", [(m["DBClusterArn"], m["IsWriter"]) for m in made["GlobalClusterMembers"]] == [(arn, True)], made)
    on.expect("a cluster names its Global Database", cluster(on.source).get("GlobalClusterIdentifier") == name)
    on.expect("it is described", [g["GlobalClusterIdentifier"] for g in rds.describe_global_clusters(**of_one)["GlobalClusters"]] == [name])
    on.refused("a second one of the same name", "GlobalClusterAlreadyExistsFault", rds.create_global_cluster, SourceDBClusterIdentifier=on.name("nobody"), **of_one)
    on.refused("a second one of the same cluster", "InvalidDBClusterStateFault", rds.create_global_cluster, GlobalClusterIdentifier=name + "2", SourceDBClusterIdentifier=arn)
    on.refused("one with a member is not deleted", "InvalidGlobalClusterStateFault", rds.delete_global_cluster, **of_one)
    rds.remove_from_global_cluster(DbClusterIdentifier=arn, **of_one)
    on.refused("what is no member is not removed", "DBClusterNotFoundFault", rds.remove_from_global_cluster, DbClusterIdentifier=arn, status=404, **of_one)
    on.expect("the cluster stands alone", "GlobalClusterIdentifier" not in cluster(on.source))
    rds.delete_global_cluster(**of_one)
    on.refused("it is gone", "GlobalClusterNotFoundFault", rds.describe_global_clusters, status=404, **of_one)


def test_tags_and_their_limits(on, source):
    arn = source["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "more", "Value": "1"}])
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["empty"])
    tags = {t["Key"]: t["Value"] for t in rds.list_tags_for_resource(ResourceName=arn)["TagList"]}
    on.expect("tags are added, replaced and removed", tags == {"team": "b", "more": "1"}, tags)
    on.refused("tags of nothing", "DBClusterNotFoundFault", rds.list_tags_for_resource, ResourceName=arn + "x", status=404)
    for prefix in ("aws:", "rds:"):
        on.refused(f"tags reserved by {prefix}", "InvalidParameterValue", rds.add_tags_to_resource, prefix, ResourceName=arn, Tags=[{"Key": f"{prefix}x", "Value": ""}])
    for what, key, value in (("a comma", "a,b", ""), ("brackets", "a", "x(y)"), ("a long key", "k" * 129, ""), ("a long value", "a", "v" * 257)):
        on.refused(f"a tag with {what}", "InvalidParameterValue", rds.add_tags_to_resource, ResourceName=arn, Tags=[{"Key": key, "Value": value}])
    many = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    never = {"DBClusterIdentifier": on.name("never")}
    on.refused("a cluster with 51 tags", "InvalidParameterValue", rds.create_db_cluster, "50 tags", Engine=on.engine, Tags=many, **never, **on.master)
    on.refused("an instance with 51 tags", "InvalidParameterValue", on.make_instance, "50 tags", cluster_id=on.source, instance_id=on.name("never"), Tags=many)
    on.refused("a restored cluster with 51 tags", "InvalidParameterValue", rds.restore_db_cluster_to_point_in_time, "50 tags", SourceDBClusterIdentifier=on.source,
            UseLatestRestorableTime=True, Tags=many, **never)
    rds.add_tags_to_resource(ResourceName=arn, Tags=many[:48])
    on.refused("a 51st tag", "InvalidParameterValue", rds.add_tags_to_resource, "50 tags", ResourceName=arn, Tags=[{"Key": "one", "Value": ""}])
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "k0", "Value": "another value of the 50th"}])
    on.expect("50 tags are kept", len(rds.list_tags_for_resource(ResourceName=arn)["TagList"]) == 50)
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=[tag["Key"] for tag in many])


def test_parameter_and_subnet_groups(on):
    family = rds.describe_db_engine_versions(Engine=on.engine)["DBEngineVersions"][0]["DBParameterGroupFamily"]
    for kind, key in ((rds.create_db_cluster_parameter_group, "DBClusterParameterGroupName"), (rds.create_db_parameter_group, "DBParameterGroupName")):
        kind(**{key: on.name("params")}, DBParameterGroupFamily=family, Description="of a test")
        on.refused(f"a taken {key}", "DBParameterGroupAlreadyExists", kind, **{key: on.name("params")}, DBParameterGroupFamily=family, Description="again")
    on.refused("a family that is not there", "InvalidParameterValue", rds.create_db_cluster_parameter_group, DBClusterParameterGroupName=on.name("x"),
            DBParameterGroupFamily=f"{on.engine}9", Description="x")
    rds.create_db_subnet_group(DBSubnetGroupName=on.name("subnets"), DBSubnetGroupDescription="of a test", SubnetIds=["subnet-1", "subnet-2"])
    found = rds.describe_db_subnet_groups(DBSubnetGroupName=on.name("subnets"))["DBSubnetGroups"][0]
    on.expect("a subnet group shows its subnets", [s["SubnetIdentifier"] for s in found["Subnets"]] == ["subnet-1", "subnet-2"], found)
    found = rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=on.name("params"))["DBClusterParameterGroups"]
    on.expect("a cluster parameter group is found", found[0]["DBParameterGroupFamily"] == family)
    on.refused("no such parameter group", "DBParameterGroupNotFound", rds.describe_db_parameter_groups, DBParameterGroupName="nobody", status=404)


def test_modifications_take_time_and_are_made(on):
    changed = rds.modify_db_cluster(
        DBClusterIdentifier=on.source, ApplyImmediately=True, DBClusterParameterGroupName=on.name("params"), PreferredMaintenanceWindow="Mon:03:00-Mon:04:00",
        PreferredBackupWindow="01:00-02:00", CloudwatchLogsExportConfiguration={"DisableLogTypes": [on.log], "EnableLogTypes": ["instance"]},
        MonitoringInterval=30, MonitoringRoleArn="arn:aws:iam::000000000000:role/monitoring", EnablePerformanceInsights=True,
    )["DBCluster"]
    on.expect("a change takes time", changed["Status"] == "modifying", changed["Status"])
    on.refused("a cluster that is busy can't be modified", "InvalidDBClusterStateFault", rds.modify_db_cluster, "not in available state",
            DBClusterIdentifier=on.source, CopyTagsToSnapshot=False)
    found = wait_cluster(on.source)
    now_set = (found["DBClusterParameterGroup"], found["PreferredMaintenanceWindow"], found["PreferredBackupWindow"], found["EnabledCloudwatchLogsExports"],
               found["MonitoringInterval"], found["PerformanceInsightsEnabled"])
    on.expect("a change is made", now_set == (on.name("params"), "mon:03:00-mon:04:00", "01:00-02:00", ["instance"], 30, True), now_set)
    on.expect("another parameter group waits for a reboot", {m["DBClusterParameterGroupStatus"] for m in found["DBClusterMembers"]} == {"pending-reboot"})
    rds.reboot_db_instance(DBInstanceIdentifier=on.name("source-1"))
    wait_instance(on.name("source-1"))
    on.expect("a reboot takes it up", [m["DBClusterParameterGroupStatus"] for m in cluster(on.source)["DBClusterMembers"]] == ["in-sync", "pending-reboot"])
    same = rds.modify_db_cluster(DBClusterIdentifier=on.source, DeletionProtection=True)["DBCluster"]
    on.expect("a change of nothing is over at once", same["Status"] == "available")
    rds.add_role_to_db_cluster(DBClusterIdentifier=on.source, RoleArn="arn:aws:iam::000000000000:role/s3", FeatureName="s3Import")
    on.expect("a role is added", cluster(on.source)["AssociatedRoles"] == [{"RoleArn": "arn:aws:iam::000000000000:role/s3", "Status": "ACTIVE", "FeatureName": "s3Import"}])
    on.refused("a role twice", "DBClusterRoleAlreadyExists", rds.add_role_to_db_cluster, DBClusterIdentifier=on.source, RoleArn="arn:aws:iam::000000000000:role/s3", FeatureName="s3Import")
    arn = cluster(on.source)["DBClusterArn"]
    rds.disable_http_endpoint(ResourceArn=arn)
    off = cluster(on.source)["HttpEndpointEnabled"]
    on.expect("the Data API is turned off and on", (off, rds.enable_http_endpoint(ResourceArn=arn)["HttpEndpointEnabled"]) == (False, True))
    rds.modify_db_instance(DBInstanceIdentifier=on.name("source-2"), DBInstanceClass="db.r6g.xlarge")
    found = wait_instance(on.name("source-2"))
    on.expect("another class waits for the maintenance window", (found["DBInstanceClass"], found["PendingModifiedValues"]) == ("db.t4g.medium", {"DBInstanceClass": "db.r6g.xlarge"}))
    rds.modify_db_instance(DBInstanceIdentifier=on.name("source-2"), PromotionTier=2, ApplyImmediately=True)
    found = wait_instance(on.name("source-2"))
    on.expect("an instance is modified", (found["DBInstanceClass"], found["PromotionTier"], found["PendingModifiedValues"]) == ("db.r6g.xlarge", 2, {}))


def test_certificate_authorities(on):
    """Authorities that are offered no more: an instance keeps its own, and no other gets it."""
    found = rds.describe_certificates()
    offered = [c["CertificateIdentifier"] for c in found["Certificates"]]
    on.expect("three authorities are offered, one of them by default", len(offered) == 3 and found["DefaultCertificateForNewLaunches"] in offered, found)
    on.expect("an instance that names none gets the default", instance(on.name("source-1"))["CACertificateIdentifier"] == found["DefaultCertificateForNewLaunches"])
    of_old = {"status": 404, "CACertificateIdentifier": "rds-ca-2019"}
    on.refused("a new instance of an authority that is offered no more", "CertificateNotFound", on.make_instance, "rds-ca-2019", cluster_id=on.source, instance_id=on.name("never"), **of_old)
    on.refused("a change to one", "CertificateNotFound", rds.modify_db_instance, "rds-ca-2019", DBInstanceIdentifier=on.name("source-1"), **of_old)
    on.refused("nothing of it was made", "DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier=on.name("never"))
    age(on.name("source-2"), "rds-ca-2019")
    rds.modify_db_instance(DBInstanceIdentifier=on.name("source-2"), PromotionTier=4, ApplyImmediately=True)
    kept = wait_instance(on.name("source-2"))["CACertificateIdentifier"]
    on.expect("an instance that has it keeps it", kept == "rds-ca-2019", kept)


def test_backup_and_maintenance_windows_do_not_overlap(on):
    """A backup never runs into maintenance."""
    overlap = "The backup window and maintenance window must not overlap."
    never = {"DBClusterIdentifier": on.name("never"), "Engine": on.engine, **on.master}
    both = {"PreferredBackupWindow": "23:45-00:15", "PreferredMaintenanceWindow": "mon:00:00-mon:00:30"}
    on.refused("a cluster whose windows overlap", "InvalidParameterValue", rds.create_db_cluster, overlap, **both, **never)
    on.refused("a window of 29 minutes", "InvalidParameterValue", rds.create_db_cluster, "30 minutes", PreferredBackupWindow="01:00-01:29", **never)
    # By now they are 01:00-02:00 and mon:03:00-mon:04:00; an instance's own is where the default was.
    source = {"DBClusterIdentifier": on.source}
    on.refused("a maintenance window over the backup's", "InvalidParameterValue", rds.modify_db_cluster, overlap, PreferredMaintenanceWindow="fri:01:30-fri:02:30", **source)
    on.refused("a backup window over the maintenance's", "InvalidParameterValue", rds.modify_db_cluster, overlap, PreferredBackupWindow="03:30-04:00", **source)
    on.refused("a backup window over an instance's", "InvalidParameterValue", rds.modify_db_cluster, overlap, PreferredBackupWindow="05:00-05:30", **source)
    on.refused("an instance's window over the backup's", "InvalidParameterValue", rds.modify_db_instance, overlap, DBInstanceIdentifier=on.name("source-1"),
            PreferredMaintenanceWindow="sat:01:00-sat:01:30")
    on.refused("a new instance's window over the backup's", "InvalidParameterValue", on.make_instance, overlap, cluster_id=on.source, instance_id=on.name("never"),
            PreferredMaintenanceWindow="sat:01:59-sat:02:29")
    kept = cluster(on.source)
    on.expect("nothing of it was changed", (kept["Status"], kept["PreferredBackupWindow"]) == ("available", "01:00-02:00"), kept)


def test_wrong_calls_are_refused_with_the_code_of_aws(on):
    pitr = rds.restore_db_cluster_to_point_in_time
    between = {"DBClusterIdentifier": on.name("never"), "SourceDBClusterIdentifier": on.source}
    on.refused("copy-on-write with a time", "InvalidParameterCombination", pitr, "copy-on-write", RestoreType="copy-on-write", RestoreToTime=now(-2), status=400, **between)
    status, _, errors = aws("restore-db-cluster-to-point-in-time", "--db-cluster-identifier", on.name("never"), "--source-db-cluster-identifier", on.source,
                            "--restore-type", "copy-on-write", "--restore-to-time", now(-2).isoformat())
    on.expect("aws rds restore-db-cluster-to-point-in-time --restore-type copy-on-write --restore-to-time", status != 0 and "InvalidParameterCombination" in errors, errors)
    on.refused("a time and the latest", "InvalidParameterCombination", pitr, UseLatestRestorableTime=True, RestoreToTime=now(-2), **between)
    on.refused("neither a time nor the latest", "InvalidParameterCombination", pitr, **between)
    on.refused("a clone of neither", "InvalidParameterCombination", pitr, RestoreType="copy-on-write", **between)
    on.refused("the future", "InvalidParameterValue", pitr, RestoreToTime=now(3600), **between)
    on.refused("long ago", "InvalidParameterValue", pitr, RestoreToTime=now(-86400), **between)
    on.refused("another kind of restore", "InvalidParameterValue", pitr, RestoreType="sideways", RestoreToTime=now(-2), **between)
    on.refused("a source that is not there", "DBClusterNotFoundFault", pitr, DBClusterIdentifier=on.name("never"), SourceDBClusterIdentifier="nobody", RestoreToTime=now(-2), status=404)
    on.refused("no source at all", "MissingParameter", pitr, DBClusterIdentifier=on.name("never"), RestoreToTime=now(-2))
    on.refused("a target that is there", "DBClusterAlreadyExistsFault", pitr, DBClusterIdentifier=on.source, SourceDBClusterIdentifier=on.source, UseLatestRestorableTime=True)
    on.refused("monitoring at a restore", "InvalidParameterCombination", pitr, "Limitless", UseLatestRestorableTime=True, MonitoringInterval=0, **between)
    on.refused("insights at a restore", "InvalidParameterCombination", pitr, "Limitless", UseLatestRestorableTime=True, EnablePerformanceInsights=False, **between)
    on.refused("a parameter group that is not there", "DBClusterParameterGroupNotFound", pitr, UseLatestRestorableTime=True, DBClusterParameterGroupName="nobody", status=404, **between)
    on.refused("a subnet group that is not there", "DBSubnetGroupNotFoundFault", pitr, UseLatestRestorableTime=True, DBSubnetGroupName="nobody", status=404, **between)
    on.refused("nothing of it was made", "DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier=on.name("never"))
    on.refused("a wrong name", "InvalidParameterValue", rds.create_db_cluster, "identifier", DBClusterIdentifier="1-wrong", Engine=on.engine, **on.master)
    on.refused("an engine that is not there", "InvalidParameterValue", rds.create_db_cluster, DBClusterIdentifier=on.name("never"), Engine="oracle-ee", **on.master)
    on.refused("a version that is not there", "InvalidParameterCombination", rds.create_db_cluster, DBClusterIdentifier=on.name("never"), Engine=on.engine, EngineVersion="9.6", **on.master)
    on.refused("a reserved master user", "InvalidParameterValue", rds.create_db_cluster, DBClusterIdentifier=on.name("never"), Engine=on.engine, MasterUsername="rdsadmin", MasterUserPassword=on.password)
    on.refused("no master password", "MissingParameter", rds.create_db_cluster, DBClusterIdentifier=on.name("never"), Engine=on.engine, MasterUsername=on.user)
    on.refused("an instance that is there", "DBInstanceAlreadyExists", on.make_instance, cluster_id=on.source, instance_id=on.name("source-1"), status=400)
    on.refused("an instance of no cluster", "DBClusterNotFoundFault", on.make_instance, cluster_id="nobody", instance_id=on.name("never"))
    on.refused("no such instance", "DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier="nobody", status=404)
    on.refused("a class that is none", "InvalidParameterValue", on.make_instance, cluster_id=on.source, instance_id=on.name("never"), DBInstanceClass="large")
    on.refused("a filter that is none", "InvalidParameterValue", rds.describe_db_clusters, Filters=[{"Name": "colour", "Values": ["red"]}])
    on.refused("a final snapshot must be settled", "InvalidParameterCombination", rds.delete_db_cluster, "FinalDBSnapshotIdentifier", DBClusterIdentifier=on.source)
    on.refused("a protected cluster stays", "InvalidParameterCombination", rds.delete_db_cluster, "protect", DBClusterIdentifier=on.source, SkipFinalSnapshot=True)
    on.refused("an action that is not here", "InvalidAction", rds.copy_db_cluster_snapshot, SourceDBClusterSnapshotIdentifier="a", TargetDBClusterSnapshotIdentifier="b", status=400)


THOUSAND = """INSERT INTO t WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
               SELECT n, CONCAT('row ', n) FROM numbers"""


def test_restore_undoes_each_mistake(on):
    writer, password = cluster(on.source)["Endpoint"], {"password": on.password}
    on.query(writer, ["CREATE TABLE t (n int, s text)", THOUSAND], **password)
    rows = "SELECT count(*), sum(n), min(s) FROM t"
    before = on.query(writer, rows, **password)
    on.query(writer, "CREATE DATABASE doomed", **password)
    on.query(writer, "CREATE TABLE kept AS SELECT 42 AS n", database="doomed", **password)
    mistakes = [("delete", "DELETE FROM t"), ("update", "UPDATE t SET n = 0, s = ''"), ("truncate", "TRUNCATE t"), ("drop-table", "DROP TABLE t")]
    for what, mistake in mistakes:
        moment = mark_before_mistake()
        said = on.query(writer, mistake, **password)
        if said.startswith("ERROR"):
            on.expect(f"the mistake {mistake} could be made", False, said)
            continue
        restored = restore_to(on, moment, what)
        on.expect(f"{mistake} is undone one second before", (back := on.query(restored["Endpoint"], rows, **password)) == before, f"{back} instead of {before}")
        on.expect(f"{mistake} is still done on the source", on.query(writer, rows, **password) != before)
        remove_cluster(on.name(what))
        on.query(writer, ["DROP TABLE IF EXISTS t", "CREATE TABLE t (n int, s text)", THOUSAND], **password)
    moment = mark_before_mistake()
    said = on.query(writer, "DROP DATABASE doomed", **password)
    on.expect("the mistake DROP DATABASE could be made", not said.startswith("ERROR"), said)
    restored = restore_to(on, moment, "drop-database")
    back = on.query(restored["Endpoint"], "SELECT n FROM kept", database="doomed", **password)
    on.expect("DROP DATABASE is undone one second before", back == "42", back)
    remove_cluster(on.name("drop-database"))


def test_restore_inherits_what_aws_inherits(on):
    """What AWS does not carry over is not carried over."""
    source = cluster(on.source)
    target = on.name("bare")
    rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDBClusterIdentifier=source["DBClusterArn"], UseLatestRestorableTime=True)
    bare = wait_cluster(target)
    on.expect("no restorable times before there is an instance", "EarliestRestorableTime" not in bare and "LatestRestorableTime" not in bare)
    on.expect("default parameter group", bare["DBClusterParameterGroup"].startswith("default."), bare["DBClusterParameterGroup"])
    on.expect("default security group", [g["VpcSecurityGroupId"] for g in bare["VpcSecurityGroups"]] == ["sg-default"])
    off = {key: bare[key] for key in ("IAMDatabaseAuthenticationEnabled", "DeletionProtection", "CopyTagsToSnapshot", "HttpEndpointEnabled")}
    on.expect("everything that is off by default is off", not any(off.values()), off)
    absent = [key for key in ("EnabledCloudwatchLogsExports", "MasterUserSecret", "ServerlessV2ScalingConfiguration", "MonitoringInterval", "PerformanceInsightsEnabled") if key in bare]
    on.expect("exports, managed secret, scaling, monitoring are not inherited", absent == [] and bare["AssociatedRoles"] == [], absent)
    on.expect("the maintenance window is not inherited", bare["PreferredMaintenanceWindow"] != source["PreferredMaintenanceWindow"])
    on.expect("tags are inherited", bare["TagList"] == source["TagList"])
    clash = instance(source["DBClusterMembers"][0]["DBInstanceIdentifier"])["PreferredMaintenanceWindow"]
    on.expect("a backup window that chance chose is where it hurts", bare["PreferredBackupWindow"] == "-".join(part[4:] for part in clash.split("-")), bare["PreferredBackupWindow"])
    on.refused("so an instance like the source's is refused", "InvalidParameterValue", on.make_instance, "overlap", cluster_id=target, instance_id=on.name("bare-1"),
            PreferredMaintenanceWindow=clash)
    remove_cluster(target)
    made = rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier=target, SourceDbClusterResourceId=source["DbClusterResourceId"], UseLatestRestorableTime=True, Tags=[{"Key": "only", "Value": "this"}],
        VpcSecurityGroupIds=["sg-app"], DBClusterParameterGroupName=on.name("params"), DBSubnetGroupName=on.name("subnets"), EnableIAMDatabaseAuthentication=True,
        DeletionProtection=True, CopyTagsToSnapshot=True, EnableCloudwatchLogsExports=[on.log], Port=5544, BackupRetentionPeriod=3,
        PreferredBackupWindow="09:00-10:00", EngineLifecycleSupport="open-source-rds-extended-support-disabled",
        ServerlessV2ScalingConfiguration={"MinCapacity": 1, "MaxCapacity": 2})["DBCluster"]
    passed_on = (made["TagList"], [g["VpcSecurityGroupId"] for g in made["VpcSecurityGroups"]], made["DBClusterParameterGroup"], made["DBSubnetGroup"],
                 made["IAMDatabaseAuthenticationEnabled"], made["DeletionProtection"], made["CopyTagsToSnapshot"], made["EnabledCloudwatchLogsExports"], made["Port"],
                 made["BackupRetentionPeriod"], made["PreferredBackupWindow"], made["EngineLifecycleSupport"], made["ServerlessV2ScalingConfiguration"])
    wanted = ([{"Key": "only", "Value": "this"}], ["sg-app"], on.name("params"), on.name("subnets"), True, True, True, [on.log], 5544, 3,
              "09:00-10:00", "open-source-rds-extended-support-disabled", {"MinCapacity": 1.0, "MaxCapacity": 2.0})
    on.expect("what is passed to a restore is taken", passed_on == wanted, passed_on)
    wait_cluster(target)
    on.make_instance(target, on.name("bare-1"))
    wait_instance(on.name("bare-1"))
    answer = on.query(cluster(target)["Endpoint"], "SELECT 1", password=on.password, port=5544)
    on.expect("another port is listened on", answer == "1", answer)
    remove_cluster(target)


def test_clone_is_a_copy_of_its_own(on):
    writer, password = cluster(on.source)["Endpoint"], {"password": on.password}
    on.query(writer, ["CREATE TABLE proof (n int)", "INSERT INTO proof VALUES (1)"], **password)
    target = on.name("clone")
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDBClusterIdentifier=on.source, RestoreType="copy-on-write", UseLatestRestorableTime=True)["DBCluster"]
    on.expect("a clone belongs to its source's group", made["CloneGroupId"] == cluster(on.source)["CloneGroupId"])
    wait_cluster(target)
    on.make_instance(target, on.name("clone-1"))
    wait_instance(on.name("clone-1"))
    host = cluster(target)["Endpoint"]
    on.expect("a clone holds what was committed just before", on.query(host, "SELECT n FROM proof", **password) == "1")
    on.query(host, "DELETE FROM proof", **password)
    on.expect("a clone's changes are its own", on.query(writer, "SELECT n FROM proof", **password) == "1")
    remove_cluster(target)


def test_room_for_instances_and_what_becomes_of_them(on):
    region, prefix, scarce = rds.meta.region_name, on.name("more-"), "db.x2g.16xlarge"
    new = lambda number, **more: on.make_instance(on.source, f"{prefix}{number}", **more)
    refused = lambda what, code, number, **more: on.refused(what, code, lambda: new(number, **more))
    refused("a zone that the subnets are not in", "InvalidVPCNetworkStateFault", 1, AvailabilityZone=f"{region}f")
    limit_instances(quota=1, prefix=prefix)
    limit_instances(instance=f"{prefix}1", becomes="incompatible-network")
    new(1)
    wait_instance(f"{prefix}1", "incompatible-network")
    on.expect("an instance that came to nothing has no endpoint", "Endpoint" not in instance(f"{prefix}1"))
    refused("an instance over the quota", "InstanceQuotaExceeded", 2)
    limit_instances(quota="none", prefix=prefix)
    for zone in "ab":
        limit_instances(**{"class": scarce}, zone=f"{region}{zone}", capacity="none")
    refused("a class that a zone has no capacity for", "InsufficientDBInstanceCapacity", 2, DBInstanceClass=scarce, AvailabilityZone=f"{region}a")
    made = new(2, DBInstanceClass=scarce)
    on.expect("without a zone one with capacity is chosen", made["AvailabilityZone"] == f"{region}c", made)
    limit_instances(**{"class": scarce}, zone=f"{region}c", capacity="none")
    refused("a class that no zone has capacity for", "InsufficientDBInstanceCapacity", 3, DBInstanceClass=scarce)
    for zone in "abc":
        limit_instances(**{"class": scarce}, zone=f"{region}{zone}", capacity="some")
    on.refused("a failover to an instance that is not available", "InvalidDBInstanceState", rds.failover_db_cluster,
               DBClusterIdentifier=on.source, TargetDBInstanceIdentifier=f"{prefix}1")
    on.refused("a failover to nobody", "DBInstanceNotFound", rds.failover_db_cluster,
               DBClusterIdentifier=on.source, TargetDBInstanceIdentifier="nobody")
    on.refused("a failover to the writer", "InvalidDBClusterStateFault", rds.failover_db_cluster,
               DBClusterIdentifier=on.source, TargetDBInstanceIdentifier=on.name("source-1"))
    for number in (1, 2):
        rds.delete_db_instance(DBInstanceIdentifier=f"{prefix}{number}")
        gone(rds.describe_db_instances, "DBInstanceNotFound", DBInstanceIdentifier=f"{prefix}{number}")


def test_failover_and_restores_across_it(on):
    password = {"password": on.password}
    before = cluster(on.source)
    rds.failover_db_cluster(DBClusterIdentifier=on.source)
    wait_cluster(on.source)
    after = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in cluster(on.source)["DBClusterMembers"]}
    on.expect("a failover swaps writer and reader", after == {on.name("source-1"): False, on.name("source-2"): True}, after)
    on.query(before["Endpoint"], "INSERT INTO proof VALUES (2)", **password)
    on.expect("the old writer follows the new one", wait("replication", lambda: on.query(before["ReaderEndpoint"], "SELECT count(*) FROM proof", **password) == "2"))
    moment = mark_before_mistake()
    on.query(before["Endpoint"], "DELETE FROM proof", **password)
    restored = restore_to(on, moment, "after-failover")
    on.expect("a restore works across a failover", on.query(restored["Endpoint"], "SELECT count(*) FROM proof", **password) == "2")
    # A restore of a restored cluster goes back to its own history only.
    remove_cluster(on.name("after-failover"))
    rds.delete_db_instance(DBInstanceIdentifier=on.name("source-2"))
    gone(rds.describe_db_instances, "DBInstanceNotFound", DBInstanceIdentifier=on.name("source-2"))
    found = cluster(on.source)
    on.expect("a deleted writer is followed by a reader", [(m["DBInstanceIdentifier"], m["IsClusterWriter"]) for m in found["DBClusterMembers"]] == [(on.name("source-1"), True)])
    on.expect("the writer endpoint follows", on.query(found["Endpoint"], ["INSERT INTO proof VALUES (3)", "SELECT count(*) FROM proof"], **password) == "1")


def test_managed_password_and_its_rotation(on):
    if secrets is None:
        on.refused("a managed password without Secrets Manager", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=on.source, ManageMasterUserPassword=True)
        return
    def kept():
        secret = cluster(on.source)["MasterUserSecret"]
        return json.loads(secrets.get_secret_value(SecretId=secret["SecretArn"])["SecretString"])

    host = cluster(on.source)["Endpoint"]
    rds.modify_db_cluster(DBClusterIdentifier=on.source, ManageMasterUserPassword=True, ApplyImmediately=True)
    secret = wait_cluster(on.source)["MasterUserSecret"]
    first = kept()
    on.expect("a managed secret is active", secret["SecretStatus"] == "active" and ":secret:rds!cluster-" in secret["SecretArn"], secret)
    on.expect("the managed password is a new one, and works", first["password"] != on.password and on.query(host, "SELECT 1", **{"user": first["username"], "password": first["password"]}) == "1")
    on.expect("the password before it does not work any more", on.query(host, "SELECT 1", password=on.password).startswith("ERROR"))
    on.refused("a managed password can't be given", "InvalidParameterCombination", rds.modify_db_cluster, DBClusterIdentifier=on.source, MasterUserPassword="something-else")
    moment = mark_before_mistake()
    rds.modify_db_cluster(DBClusterIdentifier=on.source, RotateMasterUserPassword=True, ApplyImmediately=True)
    wait_cluster(on.source)
    second = kept()
    on.expect("a rotation makes another password", second["password"] != first["password"] and on.query(host, "SELECT 1", password=second["password"]) == "1")
    restored = restore_to(on, moment, "passwords")
    on.expect("a restored cluster has the password of that time", on.query(restored["Endpoint"], "SELECT 1", password=first["password"]) == "1"
           and on.query(restored["Endpoint"], "SELECT 1", password=second["password"]).startswith("ERROR"))
    on.expect("a restored cluster has no managed secret", "MasterUserSecret" not in restored)
    rds.modify_db_cluster(DBClusterIdentifier=on.name("passwords"), ManageMasterUserPassword=True)
    managed = wait_cluster(on.name("passwords"))["MasterUserSecret"]["SecretArn"]
    login = json.loads(secrets.get_secret_value(SecretId=managed)["SecretString"])
    on.expect("managing it again makes a new password", on.query(restored["Endpoint"], "SELECT 1", password=login["password"]) == "1")
    remove_cluster(on.name("passwords"))
    try:
        secrets.get_secret_value(SecretId=managed)
        on.expect("a managed secret goes with its cluster", False)
    except ClientError as error:
        on.expect("a managed secret goes with its cluster", error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"))
    rds.modify_db_cluster(DBClusterIdentifier=on.source, ManageMasterUserPassword=False, MasterUserPassword=on.password)
    on.expect("a password can be given again", "MasterUserSecret" not in wait_cluster(on.source) and on.query(host, "SELECT 1", password=on.password) == "1")


def test_clusters_made_at_once_do_not_mix(on):
    """Clusters made at the same moment do not get in each other's way."""
    targets = [on.name(f"twin-{n}") for n in range(3)]
    for number, target in enumerate(targets):
        rds.create_db_cluster(DBClusterIdentifier=target, Engine=on.engine, DatabaseName=f"own{number}", **on.master)
        on.make_instance(target, f"{target}-1")
    for number, target in enumerate(targets):
        wait_instance(f"{target}-1")
        answer = on.query(cluster(target)["Endpoint"], f"SELECT {on.which_database}", database=f"own{number}", password=on.password)
        on.expect(f"{target[-6:]} of three clusters made at once is itself", answer == f"own{number}", answer)
    addresses = {resolve(instance(f"{target}-1")["Endpoint"]["Address"]) for target in targets}
    on.expect("each has an address of its own", len(addresses) == len(targets), addresses)
    for target in targets:
        remove_cluster(target)


def test_deletion_snapshots_and_retained_backups(on):
    rds.modify_db_cluster(DBClusterIdentifier=on.source, DeletionProtection=False)
    resource = wait_cluster(on.source)["DbClusterResourceId"]
    on.refused("a cluster with instances stays", "InvalidDBClusterStateFault", rds.delete_db_cluster, "still contains DB instances in non-deleting state",
            DBClusterIdentifier=on.source, SkipFinalSnapshot=True)
    host = cluster(on.source)["Endpoint"]
    on.query(host, ["CREATE TABLE last (n int)", "INSERT INTO last VALUES (7)"], password=on.password)
    rds.delete_db_instance(DBInstanceIdentifier=on.name("source-1"))
    on.refused("an instance is deleted once", "InvalidDBInstanceState", rds.delete_db_instance, "already being deleted", DBInstanceIdentifier=on.name("source-1"))
    gone(rds.describe_db_instances, "DBInstanceNotFound", DBInstanceIdentifier=on.name("source-1"))
    on.expect("no instance, no address", not resolve(host))
    on.make_instance(on.source, on.name("source-3"))
    wait_instance(on.name("source-3"))
    on.expect("the data outlives the instances", on.query(host, "SELECT n FROM last", password=on.password) == "7")
    rds.delete_db_instance(DBInstanceIdentifier=on.name("source-3"))
    rds.delete_db_cluster(DBClusterIdentifier=on.source, FinalDBSnapshotIdentifier=on.name("final"), DeleteAutomatedBackups=False)
    on.refused("a cluster is deleted once", "InvalidDBClusterStateFault", rds.delete_db_cluster, DBClusterIdentifier=on.source, SkipFinalSnapshot=True)
    status, _, errors = aws("wait", "db-cluster-deleted", "--db-cluster-identifier", on.source)
    on.expect("aws rds wait db-cluster-deleted", status == 0, errors)
    snapshots = rds.describe_db_cluster_snapshots(DBClusterIdentifier=on.source)["DBClusterSnapshots"]
    on.expect("the final snapshot is there", [s["DBClusterSnapshotIdentifier"] for s in snapshots] == [on.name("final")])
    backups = rds.describe_db_cluster_automated_backups(DbClusterResourceId=resource)["DBClusterAutomatedBackups"]
    on.expect("the retained backup is there", [b["Status"] for b in backups] == ["retained"], backups)
    target = on.name("undeleted")
    rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDbClusterResourceId=resource, UseLatestRestorableTime=True)
    wait_cluster(target)
    on.make_instance(target, f"{target}-1")
    wait_instance(f"{target}-1")
    back = on.query(cluster(target)["Endpoint"], "SELECT n FROM last", password=on.password)
    on.expect("a deleted cluster comes back from its retained backups", back == "7", back)
    remove_cluster(target)
    target = on.name("hasty")
    rds.create_db_cluster(DBClusterIdentifier=target, Engine=on.engine, **on.master)
    on.make_instance(target, f"{target}-1")
    rds.delete_db_instance(DBInstanceIdentifier=f"{target}-1")
    rds.delete_db_cluster(DBClusterIdentifier=target, SkipFinalSnapshot=True)
    gone(rds.describe_db_clusters, "DBClusterNotFoundFault", DBClusterIdentifier=target)
    on.expect("what is deleted while it is made goes away", True)
