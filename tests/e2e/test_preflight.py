"""What the preflight finds on real databases, secrets and zones, before anything is changed: a table of faults, each with its code, and
a recovery that goes on with its warnings. It restores nothing but once.
"""

import json
import time

import pytest

from checks import contains
from cluster import Cluster, iso
from engines import MYSQL, POSTGRES
from recovery import APPROVED, BLOCKED, DRY_RUN, Recovery
from shop import fill

PASSWORD = "master-password-of-preflight"

# Secrets that are no login: the value, and the code of what is found.
SECRETS = {
    "plain text": ({"SecretString": "plain-text-of-preflight"}, "secret-plain-text", "write JSON"),
    "other keys": ({"SecretString": json.dumps({"User": "postgres", "Pass": "other-key-of-preflight"})}, "secret-keys", "its fields are Pass, User"),
    "a number": ({"SecretString": json.dumps({"username": "postgres", "password": 12345})}, "secret-password-number", "in quotes"),
    "bytes": ({"SecretBinary": b"\x00\x01"}, "secret-binary", "bytes"),
    "a wrong password": ({"SecretString": json.dumps({"username": "postgres", "password": "wrong-password-of-preflight"})}, "login-refused", "secretArn"),
}  # fmt: skip

# Checks: the SQL, what it expects, whether it blocks, the code, and what the finding says.
CHECKS = {
    POSTGRES: [
        ("SELECT EXISTS (SELECT FROM orders)", {"expect": "true"}, True, "check-type", '"expect": "t"'),
        ("SELECT now()", {"atLeast": 1}, True, "check-type", "timestamptz"),
        ("SELEC 1", {"expect": "1"}, True, "check-refused", "syntax error"),
        ("SELECT no_such_column FROM orders", {"expect": "1"}, True, "check-refused", "no_such_column"),
        ("SELECT count(*) FROM dropped_by_mistake", {"expect": "1"}, False, "check-object-missing", "if the mistake dropped it"),
        ("SELECT 1 FROM pg_sleep(4)", {"expect": "1"}, False, "check-slow", "checkTimeout"),
    ],
    MYSQL: [
        ("SELECT EXISTS (SELECT 1 FROM orders)", {"expect": "true"}, True, "check-type", '"expect": "1"'),
        ("SELECT 1 FORM orders", {"expect": "1"}, True, "check-refused", "1064"),
        ("SELECT count(*) FROM dropped_by_mistake", {"expect": "1"}, False, "check-object-missing", "if the mistake dropped it"),
    ],
}  # fmt: skip


def dry_run(stack, cluster, **more):
    """The findings of a dry run, by their code."""
    run = Recovery(stack, {"cluster": cluster.name, "to": "1s ago", "dryRun": True} | more)
    ended = run.wait()
    assert ended["status"] == "SUCCEEDED", f"it {ended['status']}: {ended.get('error')}: {ended.get('cause')}"
    assert run.path() == DRY_RUN, "the path"
    return json.loads(ended["output"])["plan"]["findings"]


def find(findings, code, severity, *said):
    """The finding with this code; fails where there is none, or another severity."""
    of_code = [finding for finding in findings if finding["code"] == code]
    assert of_code, f"no {code} in {[finding['code'] for finding in findings]}"
    assert of_code[0]["severity"] == severity, of_code
    contains(of_code[0]["what"] + " " + of_code[0]["fix"], *said)


def nothing_was_made(stack, cluster):
    assert not [name for name in stack.inventory() if name.startswith(f"{cluster.name}-r")], "a cluster was made"


def filled(stack, name):
    """A cluster with the shop in it, with a name of its own for each test: tests run at the same time."""
    cluster = Cluster.create(stack, name)
    fill(cluster)
    cluster.settle()
    return cluster


def filled_without_secret(stack, name):
    """One for which RDS keeps no secret: with that a recovery would log in where the secret that is named is refused."""
    stack.leak_watch.remember("the master password of a test", PASSWORD)
    Cluster.create(stack, name, ManageMasterUserPassword=False, MasterUserPassword=PASSWORD)
    cluster = Cluster(stack, name, password=PASSWORD)
    fill(cluster)
    cluster.settle()
    return cluster


def test_each_secret_that_is_no_login_is_told_with_its_fix(stack):
    shop = filled_without_secret(stack, "e2e-preflight-secrets")
    for name, (value, code, said) in SECRETS.items():
        made = stack.secrets.create_secret(Name=f"{shop.name}-{code}-{time.time_ns()}", **value)["ARN"]
        stack.on_success(lambda arn=made: stack.secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True))
        find(dry_run(stack, shop, secretArn=made), code, "blocking", said)
        # The recovery itself ends at once, with nothing made and the lease given back.
        run = Recovery(stack, {"cluster": shop.name, "to": "1s ago", "newCluster": f"{shop.name}-r", "secretArn": made})
        run.failed(BLOCKED, "InvalidRequest", f"[{code}]", said, "nothing was changed", "in Preflight")
        nothing_was_made(stack, shop)
        print(f"{name}: {code}")
    # A deleted one keeps its name for days, also from a run before.
    name = f"{shop.name}-deleted-{time.time_ns()}"
    deleted = stack.secrets.create_secret(Name=name, SecretString="deleted-secret-of-preflight")["ARN"]
    stack.secrets.delete_secret(SecretId=deleted, RecoveryWindowInDays=7)
    find(dry_run(stack, shop, secretArn=deleted), "secret-deleted", "blocking", "restore-secret")


@pytest.mark.parametrize("engine", [POSTGRES, MYSQL])
def test_each_fault_of_a_check_is_told_before_anything_is_made(stack, engine):
    cluster = Cluster.create(stack, f"e2e-preflight-{'pg' if engine is POSTGRES else 'my'}", engine=engine)
    fill(cluster)
    cluster.settle()
    table = CHECKS[engine]
    checks = [
        {"name": f"check {n}", "database": "shop", "sql": sql} | expectation
        for n, (sql, expectation, *_) in enumerate(table)
    ]
    checks.append({"name": "elsewhere", "database": "nowhere", "sql": "SELECT 1", "expect": "1"})
    findings = dry_run(stack, cluster, checks=checks, dns=cluster.dns())
    for n, (_, _, blocking, code, said) in enumerate(table):
        mine = [finding for finding in findings if f'"check {n}"' in finding["what"]]
        find(mine, code, "blocking" if blocking else "warning", said)
    find(findings, "check-database", "warning", "nowhere", "if the mistake dropped it")
    run = Recovery(stack, {"cluster": cluster.name, "to": "1s ago", "checks": checks, "newCluster": f"{cluster.name}-r"})
    codes = {code for _, _, blocking, code, _ in table if blocking}
    run.failed(BLOCKED, "InvalidRequest", *(f"[{code}]" for code in codes), "nothing was changed")
    nothing_was_made(stack, cluster)


def test_records_that_cannot_move_or_leave_clients_behind_are_told(stack):
    shop = filled(stack, "e2e-preflight-records")
    reader = shop.describe()["ReaderEndpoint"]
    name = f"ro.{shop.record}"
    stack.change_record("UPSERT", name, reader, ttl=3600)
    stack.on_success(lambda: stack.change_record("DELETE", name, reader, ttl=3600))
    named = {"hostedZoneId": stack.zone, "name": name}
    findings = dry_run(stack, shop, dns=[named])
    find(findings, "record-ttl", "blocking", '"acceptTtl": "1h"')
    find(findings, "record-unnamed", "warning", shop.record)
    accepted = Recovery(stack, {"cluster": shop.name, "to": "1s ago", "dryRun": True, "dns": [named | {"acceptTtl": "1h"}]})
    plan = json.loads(accepted.wait()["output"])["plan"]
    assert "record-ttl" not in [finding["code"] for finding in plan["findings"]], "the TTL that was accepted"
    # The record led to the readers, and nobody said that it should not any more.
    assert [record["endpoint"] for record in plan["dns"]] == ["reader"], "the kind of endpoint"
    asked = named | {"acceptTtl": "1h", "endpoint": "writer"}
    find(dry_run(stack, shop, dns=[asked]), "record-endpoint", "warning", "leave `endpoint` out")


def test_databases_beyond_the_bound_and_records_of_other_zones_are_told(stack):
    shop = filled(stack, "e2e-preflight-bounds")
    zone = stack.route53.create_hosted_zone(
        Name="bounds.example.org", CallerReference=f"{shop.name}-{time.time_ns()}",
        VPC={"VPCRegion": stack.env["AWS_REGION"], "VPCId": "vpc-00000001"}, HostedZoneConfig={"PrivateZone": True},
    )["HostedZone"]["Id"].removeprefix("/hostedzone/")  # fmt: skip
    record = {"Name": "old.bounds.example.org", "Type": "CNAME", "TTL": 5, "ResourceRecords": [{"Value": shop.describe()["Endpoint"]}]}

    def change(action):
        stack.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]})

    change("CREATE")
    try:
        for number in range(50):
            shop.sql(f"CREATE DATABASE zz_tenant_{number:02}")
        # Two are there besides: that of the shop, and the maintenance database.
        findings = dry_run(stack, shop, dns=shop.dns())
        find(findings, "databases-unread", "warning", "the facts of 2 of 52 databases were not read: zz_tenant_48, zz_tenant_49")
        find(findings, "record-unnamed", "warning", "old.bounds.example.org (CNAME) in the private zone", "by hand")
    finally:
        change("DELETE")
        stack.route53.delete_hosted_zone(Id=zone)


def test_traffic_of_a_global_database_stays_until_the_source_is_taken_out_of_it(stack):
    shop = filled(stack, "e2e-preflight-global")
    of_world = {"GlobalClusterIdentifier": "e2e-preflight-world"}
    stack.rds.create_global_cluster(SourceDBClusterIdentifier=shop.name, **of_world)
    stack.on_success(lambda: stack.rds.delete_global_cluster(**of_world))
    remove = {"DbClusterIdentifier": shop.describe()["DBClusterArn"]} | of_world
    try:
        find(dry_run(stack, shop, dns=shop.dns()), "global-database", "blocking", "belongs to the Global Database e2e-preflight-world", "remove-from-global-cluster")
        # Beside the source nothing moves: that the restored cluster is no member is told among the differences.
        assert "global-database" not in [finding["code"] for finding in dry_run(stack, shop)], "without records"
        blocked = Recovery.of(shop, "1s ago", dns=shop.dns(), approval="none", checks=[{"name": "orders", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}])
        blocked.failed(BLOCKED, "InvalidRequest", "[global-database]", "nothing was changed")
        nothing_was_made(stack, shop)
    finally:
        stack.rds.remove_from_global_cluster(**remove)
    assert "global-database" not in [finding["code"] for finding in dry_run(stack, shop, dns=shop.dns())], "once it is taken out"


def test_a_warning_is_a_part_of_what_people_approve(stack):
    shop = filled(stack, "e2e-preflight-approved")
    check = {"name": "was there", "database": "shop", "sql": "SELECT count(*) FROM made_since", "atLeast": 0}
    shop.sql("CREATE TABLE made_since (n int)")
    shop.settle()
    moment = shop.mistake("DROP TABLE made_since")
    shop.settle()
    run = Recovery.of(shop, iso(moment), checks=[check], dns=shop.dns())
    pending = run.approval()
    plan = json.loads(run.item()["plan"])
    find(plan["findings"], "check-object-missing", "warning", "if the mistake dropped it")
    assert pending["hash"], "the hash"
    run.decide("approved")
    run.recovered(APPROVED)


@pytest.mark.alone  # no other test can be recovered on Aurora MySQL meanwhile
def test_account_without_room_for_a_parameter_group_is_told_where_the_restored_cluster_needs_one(stack):
    mysql = Cluster.create(stack, "e2e-preflight-groups-my", engine=MYSQL)
    postgres = Cluster.create(stack, "e2e-preflight-groups-pg")
    for cluster in (mysql, postgres):
        fill(cluster)
        cluster.settle()
    rds, made = stack.rds, []
    try:
        while len(made) < 1000:
            name = f"e2e-full-{len(made)}"
            rds.create_db_cluster_parameter_group(
                DBClusterParameterGroupName=name, DBParameterGroupFamily="aurora-mysql8.0", Description="e2e"
            )
            made.append(name)
    except rds.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "DBParameterGroupQuotaExceeded", error
    try:
        find(dry_run(stack, mysql), "quota", "blocking", "cluster parameter groups are in use: 0 are left", "Service Quotas")
        run = Recovery(stack, {"cluster": mysql.name, "to": "1s ago", "newCluster": f"{mysql.name}-r"})
        run.failed(BLOCKED, "InvalidRequest", "[quota]", "cluster parameter groups", "nothing was changed")
        nothing_was_made(stack, mysql)
        # No job of it would act by itself.
        assert "quota" not in [finding["code"] for finding in dry_run(stack, postgres)], "a finding of PostgreSQL"
    finally:
        for name in made:
            rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName=name)
    assert "quota" not in [finding["code"] for finding in dry_run(stack, mysql)], "a finding in an account with room"
