"""What a restore does not carry over by itself, compared field by field, and logins of another time."""

import json
import time

from psycopg import OperationalError

from checks import contains, refused, wait_until
from cluster import Cluster, iso
from recovery import APPROVED, WITHOUT_APPROVAL, Recovery
from shop import fill

# What may differ on the restored cluster. Everything else that describe-db-clusters shows has to be equal.
CLUSTER_OF_ITS_OWN = {
    "DBClusterIdentifier", "DBClusterArn", "DbClusterResourceId", "CloneGroupId", "ClusterCreateTime", "Endpoint",
    "ReaderEndpoint", "EarliestRestorableTime", "LatestRestorableTime", "DBClusterMembers", "TagList",
    "VpcSecurityGroups",
}  # fmt: skip
# What differs and is told to a person: the field, and what the output calls it.
TOLD = {"MasterUserSecret": "managed master password", "CustomEndpoints": "custom endpoints"}
INSTANCE_OF_ITS_OWN = {
    "DBInstanceIdentifier", "DBInstanceArn", "DbiResourceId", "InstanceCreateTime", "Endpoint", "DBClusterIdentifier",
    "TagList", "VpcSecurityGroups", "LatestRestorableTime",
}  # fmt: skip


def tags(described):
    """Tags that people made; the product's own mark what it made and fenced."""
    return {tag["Key"]: tag["Value"] for tag in described["TagList"] if not tag["Key"].startswith("aurora-rewind:")}


def create_cluster_without_defaults(stack):
    """A cluster on which everything is set that can be, and to something that is no default."""
    rds, region = stack.rds, stack.env["AWS_REGION"]
    family = stack.describe("my-aurora-cluster")["EngineVersion"].split(".")[0]
    ignore = lambda call, **arguments: _ignoring_existing(rds, call, **arguments)
    ignore("create_db_cluster_parameter_group", DBClusterParameterGroupName="e2e-cluster-params",
           DBParameterGroupFamily=f"aurora-postgresql{family}", Description="e2e")  # fmt: skip
    ignore("create_db_parameter_group", DBParameterGroupName="e2e-instance-params",
           DBParameterGroupFamily=f"aurora-postgresql{family}", Description="e2e")  # fmt: skip
    ignore("create_db_subnet_group", DBSubnetGroupName="e2e-subnets", DBSubnetGroupDescription="e2e",
           SubnetIds=["subnet-1", "subnet-2", "subnet-3"])  # fmt: skip
    key = f"arn:aws:kms:{region}:000000000000:key/e2e0e2e0-0000-0000-0000-000000000e2e"
    role = "arn:aws:iam::000000000000:role/e2e-monitoring"
    instance = {
        "DBParameterGroupName": "e2e-instance-params", "AutoMinorVersionUpgrade": False, "MonitoringInterval": 15,
        "MonitoringRoleArn": role, "EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 31,
        "PerformanceInsightsKMSKeyId": key, "CACertificateIdentifier": "rds-ca-ecc384-g1", "PubliclyAccessible": True,
        "PreferredMaintenanceWindow": "wed:01:00-wed:01:30", "AvailabilityZone": f"{region}c",
        "Tags": [{"Key": "role", "Value": "writer"}],
    }  # fmt: skip
    reader = {"DBInstanceClass": "db.serverless", "PromotionTier": 3, "AvailabilityZone": f"{region}a",
              "Tags": [{"Key": "role", "Value": "reader"}]}  # fmt: skip
    cluster = Cluster.create(
        stack,
        "e2e-rich",
        instances=(instance | {"DBInstanceClass": "db.r6g.4xlarge", "PromotionTier": 2}, reader, {"PromotionTier": 15}),
        DBClusterParameterGroupName="e2e-cluster-params",
        DBSubnetGroupName="e2e-subnets",
        VpcSecurityGroupIds=[*stack.app_groups, "sg-0e2e000000000e2e0"],
        Port=6543,
        StorageEncrypted=True,
        KmsKeyId=key,
        StorageType="aurora-iopt1",
        NetworkType="DUAL",
        BackupRetentionPeriod=13,
        PreferredBackupWindow="02:10-02:40",
        PreferredMaintenanceWindow="tue:03:00-tue:03:30",
        EnableCloudwatchLogsExports=["postgresql"],
        EnableIAMDatabaseAuthentication=True,
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        AutoMinorVersionUpgrade=False,
        EnableHttpEndpoint=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 7.5},
        MonitoringInterval=30,
        MonitoringRoleArn=role,
        EnablePerformanceInsights=True,
        PerformanceInsightsRetentionPeriod=93,
        DatabaseInsightsMode="advanced",
        PerformanceInsightsKMSKeyId=key,
        Tags=[{"Key": "application", "Value": "orders"}, {"Key": "owner", "Value": "team Bär"}],
    )
    for name, feature in [("import", "s3Import"), ("export", "s3Export")]:
        rds.add_role_to_db_cluster(
            DBClusterIdentifier=cluster.name, RoleArn=f"arn:aws:iam::000000000000:role/e2e-{name}", FeatureName=feature
        )
    rds.create_db_cluster_endpoint(
        DBClusterIdentifier=cluster.name, DBClusterEndpointIdentifier="e2e-rich-reports", EndpointType="READER"
    )
    cluster.wait_available()
    return cluster


def _ignoring_existing(rds, call, **arguments):
    """Groups outlive the test that made them."""
    try:
        getattr(rds, call)(**arguments)
    except rds.exceptions.ClientError as error:
        if "AlreadyExists" not in error.response["Error"]["Code"]:
            raise


def fields_of(described, but):
    plain = {field: value for field, value in described.items() if field not in but}
    if "AssociatedRoles" in plain:
        plain["AssociatedRoles"] = sorted(plain["AssociatedRoles"], key=str)
    return plain


def test_what_a_restore_does_not_inherit_is_carried_over_or_told(stack):
    cluster = create_cluster_without_defaults(stack)
    fill(cluster)
    before, like = cluster.describe(), stack.instances(cluster.name)
    groups = cluster.groups
    cluster.settle()
    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    dns = cluster.dns() + [{"hostedZoneId": stack.zone, "name": "e2e-rich-ro.example.com", "endpoint": "reader"}]
    stack.change_record("UPSERT", "e2e-rich-ro.example.com", before["ReaderEndpoint"])
    run = Recovery.of(cluster, "1s ago", dns=dns, checks=[check], approval="none")
    output = run.recovered(WITHOUT_APPROVAL)
    new = Cluster(stack, f"{cluster.name}-r")
    # The last change of a recovery, its protection, may be under way still.
    new.wait_available()
    after, made = new.describe(), {i["DBInstanceIdentifier"]: i for i in stack.instances(new.name)}

    told = {difference["what"] for difference in output["differences"]}
    wrong = []
    a, b = fields_of(before, CLUSTER_OF_ITS_OWN), fields_of(after, CLUSTER_OF_ITS_OWN)
    for field in sorted(set(a) | set(b)):
        if a.get(field) != b.get(field) and TOLD.get(field) not in told:
            wrong.append(f"{field} was {a.get(field)!r} and is {b.get(field)!r}, and nobody is told")
    for field in TOLD:
        if a.get(field) == b.get(field):
            wrong.append(f"{field} does not differ: the list of this test is out of date")
    if new.groups != groups:
        wrong.append(f"the security groups were {groups} and are {new.groups}")
    if tags(after) != tags(before):
        wrong.append(f"the tags were {tags(before)} and are {tags(after)}")
    writer = lambda described: [
        m["DBInstanceIdentifier"] for m in described["DBClusterMembers"] if m["IsClusterWriter"]
    ]
    assert (writer(before), writer(after)) == (["e2e-rich-1"], ["e2e-rich-r-1"]), "the writers"
    assert sorted(made) == ["e2e-rich-r-1", "e2e-rich-r-2", "e2e-rich-r-3"], "the new instances"
    for source in like:
        copy = made[source["DBInstanceIdentifier"].replace("e2e-rich-", "e2e-rich-r-")]
        a, b = fields_of(source, INSTANCE_OF_ITS_OWN), fields_of(copy, INSTANCE_OF_ITS_OWN)
        for field in sorted(set(a) | set(b)):
            if a.get(field) != b.get(field):
                wrong.append(
                    f"{field} of {source['DBInstanceIdentifier']} was {a.get(field)!r} and is {b.get(field)!r}"
                )
        if tags(copy) != tags(source):
            wrong.append(f"the tags of {source['DBInstanceIdentifier']} were {tags(source)} and are {tags(copy)}")
    assert wrong == [], "what was lost"
    # The names' own port and both records: the application goes on as before.
    for record in [cluster.record, "e2e-rich-ro.example.com"]:
        assert cluster.value("SELECT count(*) FROM orders", host=record) == 4000, f"orders by {record}"
    assert stack.records()["e2e-rich-ro.example.com"][0] == after["ReaderEndpoint"], "the reader's record"
    stack.change_record("DELETE", "e2e-rich-ro.example.com", after["ReaderEndpoint"])
    for difference in output["differences"]:
        assert all(difference.values()), f"a difference without words: {difference}"
    print(f"{len(fields_of(before, CLUSTER_OF_ITS_OWN))} fields of the cluster; told: {', '.join(sorted(told))}")


def test_verify_logs_in_with_a_master_password_that_was_rotated_since(stack):
    cluster = Cluster.create(stack, "e2e-rotated")
    fill(cluster)
    cluster.settle()
    password_then = cluster.password
    target = cluster.mistake("SELECT 1")
    stack.rds.modify_db_cluster(DBClusterIdentifier=cluster.name, RotateMasterUserPassword=True, ApplyImmediately=True)
    cluster.wait_available()
    wait_until(lambda: cluster.password != password_then, "another password")
    cluster.sql("DELETE FROM orders")
    check = {"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[check])
    run.approval()
    run.decide("approved")
    run.recovered(APPROVED)
    report = run.result("Verify")
    assert (report["login"]["user"], report["login"]["secretVersion"]) == ("postgres", "AWSPREVIOUS"), "the login of verify"
    assert report["login"]["tls"] == "verified", "its TLS"
    assert report["checks"][0]["source"] == "0", "the source's answer, for which the present password is needed"
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record, password=password_then) == 4000, (
        "the rows by name"
    )


def test_verify_logs_in_with_an_older_version_of_a_secret_of_ones_own(stack):
    cluster = Cluster.create(stack, "e2e-own-secret")
    fill(cluster)
    passwords = ["one-of-that-time", "another-since-then", "and-a-third-one"]
    cluster.sql(f"CREATE ROLE rescuer LOGIN CREATEDB CREATEROLE PASSWORD '{passwords[0]}' IN ROLE rds_superuser")
    keep = lambda password: json.dumps({"username": "rescuer", "password": password})
    made = stack.secrets.create_secret(
        Name=f"e2e/{cluster.name}/{cluster.describe()['DbClusterResourceId']}", SecretString=keep(passwords[0])
    )
    secret = made["ARN"]
    stack.on_success(lambda: stack.secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True))
    # With a label of its own it is not forgotten when two others have followed.
    stack.secrets.update_secret_version_stage(
        SecretId=secret, VersionStage="at-first", MoveToVersionId=made["VersionId"]
    )
    cluster.settle()
    target = cluster.mistake("SELECT 1")
    for password in passwords[1:]:
        time.sleep(1.1)  # Secrets Manager's times are of whole seconds
        cluster.sql(f"ALTER ROLE rescuer PASSWORD '{password}'")
        stack.secrets.put_secret_value(SecretId=secret, SecretString=keep(password))
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), secretArn=secret, approval="none")
    run.recovered(WITHOUT_APPROVAL)
    login = run.result("Verify")["login"]
    assert (login["user"], login["secretVersion"]) == ("rescuer", "at-first"), "the login of verify"
    # Nobody's databases but its own may this user close: there the network alone does, and it is said so.
    layers = {layer["layer"]: layer["did"] for layer in run.result("FenceSource")["layers"]}
    contains(layers["network"], *stack.fence_groups)
    contains(layers["proof"], "shop closed by the network alone")
    with refused(OperationalError, "pg_hba.conf"):
        cluster.connect()
