"""The running stack as a client on another machine would see it: boto3 and DNS. It starts nothing."""

import contextlib
import fcntl
import json
import os
import pathlib
import shlex
import threading
import urllib.request

import boto3
import dns.resolver
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = Config(max_pool_connections=64, retries={"max_attempts": 4, "mode": "standard"}, read_timeout=60)


# The cluster that the stack has from its start.
SEEDED = "my-aurora-cluster"


class Stack:
    """What `make up` started."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        file = self.folder / "stack.env"
        if not file.exists():
            pytest.exit(f"there is no running stack in {self.folder}; next step: make up", returncode=1)
        pairs = (line.split("=", 1) for line in file.read_text().splitlines() if "=" in line and line[0] != "#")
        self.env = {name: shlex.split(value)[0] for name, value in pairs}
        self.outputs = json.loads((self.folder / "run" / "outputs.json").read_text())
        self.machine, self.table = self.env["STATE_MACHINE_ARN"], self.outputs["TableName"]
        self.zone, self.ca = self.env["HOSTED_ZONE_ID"], self.env["PGSSLROOTCERT"]
        self._clients, self._lock = {}, threading.Lock()
        self._clean_ups = []
        self.leak_watch = None  # set by conftest.py
        seeded = self.describe(SEEDED)
        self.app_groups = [group["VpcSecurityGroupId"] for group in seeded["VpcSecurityGroups"]]
        fence = self.function("FenceSource")["Environment"]["Variables"]["REWIND_FENCE_SECURITY_GROUP_IDS"]
        self.fence_groups = [group for group in fence.split(",") if group]
        if self.app_groups == self.fence_groups:
            pytest.exit(f"{SEEDED} is fenced, by a demo perhaps; next step, for a fresh one: make down, make up", returncode=1)

    # ----------------------------------------------------------------------------------------------------------- tests

    def on_success(self, function):
        """Something to clean up when the running test has passed; after a failure everything is left to look at."""
        self._clean_ups.append(function)

    def end_test(self, passed):
        """Runs what the test that ended wanted cleaned up, the last first."""
        clean_ups, self._clean_ups = self._clean_ups[::-1], []
        for function in clean_ups if passed else []:
            try:
                function()
            except Exception as error:  # it is not what was tested
                print(f"not cleaned up: {error}")

    @contextlib.contextmanager
    def exclusive(self, name):
        """One test at a time is inside, of all workers."""
        owners_alone = lambda path, flags: os.open(path, flags, 0o600)  # like everything in run/
        with open(self.folder / "run" / f"e2e-{name}.lock", "w", opener=owners_alone) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # ------------------------------------------------------------------------------------------------------------- AWS

    def client(self, service):
        with self._lock:
            if service not in self._clients:
                endpoint = self.env["AWS_ENDPOINT_URL_RDS" if service == "rds" else "AWS_ENDPOINT_URL"]
                self._clients[service] = boto3.client(
                    service,
                    endpoint_url=endpoint,
                    region_name=self.env["AWS_REGION"],
                    aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
                    config=CONFIG,
                )
            return self._clients[service]

    def own(self, path, body=b"", method="POST"):
        """Asks a path that AWS has not: of the control plane below `/_local/`, of the gateway below `/_rewind/`."""
        endpoint = self.env["AWS_ENDPOINT_URL_RDS" if path.startswith("/_local/") else "AWS_ENDPOINT_URL"]
        shown = {"x-rewind-key": self.env["AWS_SECRET_ACCESS_KEY"]}
        request = urllib.request.Request(f"{endpoint}{path}", body or None, shown, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()

    rds = property(lambda self: self.client("rds"))
    states = property(lambda self: self.client("stepfunctions"))
    route53 = property(lambda self: self.client("route53"))
    secrets = property(lambda self: self.client("secretsmanager"))

    def describe(self, cluster):
        """The cluster, or None when there is no such cluster."""
        try:
            return self.rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
        except self.rds.exceptions.DBClusterNotFoundFault:
            return None

    def instances(self, cluster):
        filters = [{"Name": "db-cluster-id", "Values": [cluster]}]
        return self.rds.describe_db_instances(Filters=filters)["DBInstances"]

    def inventory(self):
        """Every cluster and instance, by name and status."""
        clusters = self.rds.get_paginator("describe_db_clusters").paginate()
        instances = self.rds.get_paginator("describe_db_instances").paginate()
        return {c["DBClusterIdentifier"]: c["Status"] for page in clusters for c in page["DBClusters"]} | {
            i["DBInstanceIdentifier"]: i["DBInstanceStatus"] for page in instances for i in page["DBInstances"]
        }

    def function(self, stem):
        """The configuration of the function that the state `stem` calls."""
        pages = self.client("lambda").get_paginator("list_functions").paginate()
        found = [f for page in pages for f in page["Functions"] if f"-{stem}Function-" in f["FunctionName"]]
        if len(found) != 1:
            raise AssertionError(f"there are {len(found)} functions for {stem}")
        return found[0]

    def item(self, key):
        """An item of the table as plain values, or None."""
        found = self.client("dynamodb").get_item(TableName=self.table, Key={"id": {"S": key}}, ConsistentRead=True)
        return plain({"M": found["Item"]}) if "Item" in found else None

    # ------------------------------------------------------------------------------------------------------------- DNS

    def resolve(self, name):
        """The one address behind a name, asked of the stack's name server now."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [self.env["DNS_SERVER"]], int(self.env["DNS_PORT"])
        resolver.lifetime, resolver.cache = 5, None
        return resolver.resolve(name + ".", "A")[0].address

    def records(self, zone=None):
        """All CNAMEs of the zone: name -> (value, TTL)."""
        pages = self.route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone or self.zone)
        sets = (s for page in pages for s in page["ResourceRecordSets"] if s["Type"] == "CNAME")
        return {s["Name"].rstrip("."): (s["ResourceRecords"][0]["Value"].rstrip("."), s["TTL"]) for s in sets}

    def change_record(self, action, name, value, ttl=1, zone=None):
        record = {"Name": name, "Type": "CNAME", "TTL": ttl, "ResourceRecords": [{"Value": value}]}
        self.route53.change_resource_record_sets(
            HostedZoneId=zone or self.zone,
            ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]},
        )


def plain(value):
    """A DynamoDB value as Python has it."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {name: plain(inner) for name, inner in content.items()}
    if kind == "L":
        return [plain(inner) for inner in content]
    return int(content) if kind == "N" else content
