"""The source cluster is made, of which the other tests go on."""

from rds_clients import aws, cluster, now, rds, wait, wait_instance


def test_cluster_and_its_instances_are_created(on):
    made = rds.create_db_cluster(
        DBClusterIdentifier=on.source.upper(), Engine=on.engine, DatabaseName="shop", **on.master,
        VpcSecurityGroupIds=["sg-app", "sg-more"], Tags=[{"Key": "team", "Value": "Bär @ a/b=c"}, {"Key": "empty", "Value": ""}],
        EnableIAMDatabaseAuthentication=True, DeletionProtection=True, CopyTagsToSnapshot=True, BackupRetentionPeriod=7,
        EnableCloudwatchLogsExports=[on.log], EnableHttpEndpoint=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
    )["DBCluster"]
    on.expect("a new cluster is creating, under its name in lower case", (made["Status"], made["DBClusterIdentifier"]) == ("creating", on.source), made)
    on.expect("it has no instances, and no restorable times yet", made["DBClusterMembers"] == [] and "EarliestRestorableTime" not in made)
    on.expect("tags come back as they were sent", {t["Key"]: t["Value"] for t in made["TagList"]} == {"team": "Bär @ a/b=c", "empty": ""}, made["TagList"])
    on.expect("ARN and resource id", made["DBClusterArn"].endswith(f":cluster:{on.source}") and made["DbClusterResourceId"].startswith("cluster-"))
    on.refused("a taken name is refused", "DBClusterAlreadyExistsFault", rds.create_db_cluster, status=400,
            DBClusterIdentifier=on.source, Engine=on.engine, **on.master)
    status, _, errors = aws("wait", "db-cluster-available", "--db-cluster-identifier", on.source)
    on.expect("aws rds wait db-cluster-available", status == 0, errors)
    first = on.make_instance(on.source, on.name("source-1"), MonitoringInterval=60, MonitoringRoleArn="arn:aws:iam::000000000000:role/monitoring",
                          EnablePerformanceInsights=True, Tags=[{"Key": "n", "Value": "1"}])
    on.expect("a new instance is creating and has no endpoint", first["DBInstanceStatus"] == "creating" and "Endpoint" not in first, first)
    on.make_instance(on.source, on.name("source-2"), PromotionTier=3, DBInstanceClass="db.t4g.medium")
    status, _, errors = aws("wait", "db-instance-available", "--db-instance-identifier", on.name("source-2"))
    on.expect("aws rds wait db-instance-available", status == 0, errors)
    wait_instance(on.name("source-1"))
    found = cluster(on.source)
    members = [(m["DBInstanceIdentifier"], m["IsClusterWriter"], m["PromotionTier"]) for m in found["DBClusterMembers"]]
    on.expect("the first instance is the writer", members == [(on.name("source-1"), True, 1), (on.name("source-2"), False, 3)], members)
    found = wait("restorable times", lambda: (c := cluster(on.source)).get("EarliestRestorableTime") and c)
    on.expect("restorable times appear once there is a backup", found["EarliestRestorableTime"] <= found["LatestRestorableTime"] <= now())
