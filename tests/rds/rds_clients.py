"""The clients of RDS, waiting for what takes time, and an engine under test. Endpoints and keys come from the environment."""

import datetime
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

RUN = uuid.uuid4().hex[:6]
UTC = datetime.timezone.utc
rds = boto3.client("rds", config=Config(retries={"max_attempts": 0}))
secrets = boto3.client("secretsmanager") if os.environ.get("AWS_ENDPOINT_URL") else None


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


def psql(host, sql, user, database, port, password=None, tls=None, address=None):
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


def own(path):
    """Asks a path of the control plane that RDS has not."""
    shown = {"x-rewind-key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL_RDS"] + path, headers=shown, method="POST")
    with urllib.request.urlopen(request) as answer:
        return answer.status


def age(instance_id, authority):
    """Gives an instance the certificate authority that it would have had for years."""
    own(f"/_local/faults?instance={instance_id}&certificate={authority}")


def limit_instances(**query):
    """Sets a quota, the capacity of a zone, or what becomes of the next instance of a name."""
    own(f"/_local/instances?{urllib.parse.urlencode(query)}")


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


class Subject:
    """An engine under test, and how its databases are asked: `query` answers text, one that begins with `ERROR` for an error."""

    def __init__(self, short, engine, user, port, database, which_database, log, query):
        self.short, self.engine, self.user, self.port = short, engine, user, port
        self.database, self.which_database, self.log, self._query = database, which_database, log, query
        self.subtests = None  # the running test's
        self.password = f"{short}-pass:?#%-{RUN}"
        self.source = self.name("source")
        self.master = {"MasterUsername": user, "MasterUserPassword": self.password}

    def name(self, suffix):
        return f"rc-{RUN}-{self.short}-{suffix}"

    def expect(self, what, condition, detail=""):
        """A check of the running test. Whatever comes of it, the test goes on."""
        with self.subtests.test(what):
            assert condition, detail

    def refused(self, what, code, call, *words, status=None, **parameters):
        """The call must fail with `code`, and its message must hold `words`."""
        with self.subtests.test(what):
            with pytest.raises(ClientError) as caught:
                call(**parameters)
            said, found = caught.value.response["Error"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
            assert said["Code"] == code, said
            assert [word for word in words if word not in said["Message"]] == [], said
            assert status in (None, found), said

    def remove(self):
        """Removes every cluster that this run made."""
        for page in rds.get_paginator("describe_db_clusters").paginate():
            for found in page["DBClusters"]:
                if found["DBClusterIdentifier"].startswith(self.name("")):
                    try:
                        remove_cluster(found["DBClusterIdentifier"])
                    except (ClientError, TimeoutError, RuntimeError) as error:
                        print(f"{found['DBClusterIdentifier']} was left behind: {error}")

    def query(self, host, sql, **more):
        more = {"user": self.user, "database": self.database, "port": self.port, **more}
        return self._query(host, sql, **more)

    def make_instance(self, cluster_id, instance_id, **more):
        more = {"DBInstanceClass": "db.r6g.large", "Engine": self.engine, **more}
        return rds.create_db_instance(DBClusterIdentifier=cluster_id, DBInstanceIdentifier=instance_id, **more)["DBInstance"]


def restore_to(on, moment, suffix, **more):
    """Restores the source, starts a writer, and answers the restored cluster."""
    restorable(on.source, moment)
    target = on.name(suffix)
    began = time.monotonic()
    made = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier=target, SourceDBClusterIdentifier=on.source, RestoreToTime=moment, **more)["DBCluster"]
    if made["Status"] != "creating" or made["DBClusterMembers"] or "EarliestRestorableTime" in made:
        on.expect(f"{target} starts without instances and times", False, made)
    wait_cluster(target)
    on.make_instance(target, f"{target}-1")
    wait_instance(f"{target}-1")
    print(f"     restored {target} in {time.monotonic() - began:.1f} s", flush=True)
    return cluster(target)
