"""A cluster on which one case of the matrix runs after the other: two applications with sticky connections write to it by name the
whole time, and every case leaves it as it found it. So each case is also the second recovery after the one before it.
"""

import itertools
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

from checks import wait_until
from cluster import BACKTRACK, Cluster, remove
from engines import ENGINES
from writers import APP_PASSWORD

ENGINE = {engine.name: engine for engine in ENGINES}
PREFIX = "e2e-fault"
FENCE_TAGS = ["aurora-rewind:fenced-by", "aurora-rewind:keep-until"]


class Application(threading.Thread):
    """Keeps a connection to the name and inserts a row at a time; when the connection breaks it makes a new one, to wherever the name
    leads then. Every acknowledged row is kept until somebody has seen where it is."""

    def __init__(self, cluster, number, user, password):
        super().__init__(daemon=True)
        self.cluster, self.user, self.password = cluster, user, password
        self.ids, self.ended, self.acknowledged = itertools.count(number * 100_000_000), False, []
        # The connection is the one that was asked for last, and a row was acknowledged on it.
        self.asked, self.writes_on = 0, 0
        # It keeps its connection, and writes nothing: no case runs on its ground.
        self.is_resting = False

    def run(self):
        while not self.ended:
            connection = self.asked
            try:
                session = self.cluster.connect("shop", self.user, self.password, self.cluster.record)
            except Exception:  # a database that is not to be reached is what a fence is for
                time.sleep(0.1)
                continue
            try:
                while not self.ended and self.asked == connection:
                    if self.is_resting:
                        time.sleep(0.1)
                        continue
                    number = next(self.ids)
                    session.execute("INSERT INTO writes (id, who) VALUES (%s, current_user)", [number])
                    self.acknowledged.append(number)
                    self.writes_on = connection
                    time.sleep(0.04)
            except self.cluster.engine.error:
                pass
            finally:
                session.close()


class Pool(threading.Thread):
    """A pool of connections, as applications have them: each row goes by one of them at random, so most of them are idle when traffic
    moves, and none is looked at before it is used. One that breaks is replaced by a new one, to wherever the name leads then."""

    SIZE = 6

    def __init__(self, cluster, number, user, password):
        super().__init__(daemon=True)
        self.cluster, self.user, self.password = cluster, user, password
        self.ids, self.ended, self.acknowledged = itertools.count(number * 100_000_000), False, []
        self.draw, self.connections, self.used = random.Random(number), [None] * self.SIZE, set()
        # The pool is as old as it was asked to be last, and all of its connections acknowledged a row since.
        self.asked, self.renewed, self.writes_on = 0, 0, 0

    def run(self):
        while not self.ended:
            if self.renewed != self.asked:
                self.renewed, self.used = self.asked, set()
                for at in range(self.SIZE):
                    self.end(at)
            self.insert(self.draw.randrange(self.SIZE))
            if len(self.used) == self.SIZE:
                self.writes_on = self.renewed
            time.sleep(0.02)
        for at in range(self.SIZE):
            self.end(at)

    def insert(self, at):
        try:
            session = self.connections[at] or self.cluster.connect("shop", self.user, self.password, self.cluster.record)
            self.connections[at], number = session, next(self.ids)
            session.execute("INSERT INTO writes (id, who) VALUES (%s, current_user)", [number])
            self.acknowledged.append(number)
            self.used.add(at)
        except Exception:  # a database that is not to be reached is what a fence is for
            self.end(at)

    def end(self, at):
        session, self.connections[at] = self.connections[at], None
        try:
            if session:
                session.close()
        except self.cluster.engine.error:
            pass


def fill_disk(cluster, full=True):
    """Lets no file of a PostgreSQL writer grow beyond a segment of its log, as on a disk that has no room for more; or ends that. It is
    for the connections that are made from now on."""
    with cluster.connect() as session:
        backend = session.execute("SELECT pg_backend_pid()").fetchone()[0]
        status = Path(f"/proc/{backend}/status").read_text()
        parent, uid, gid = (re.search(rf"^{field}:\s*(\d+)", status, re.M)[1] for field in ["PPid", "Uid", "Gid"])
        limit = f"--fsize={4 << 20 if full else 'unlimited'}:unlimited"
        # As the server's user: root needs a capability for it that containers do not have.
        as_server = {} if os.geteuid() else {"user": int(uid), "group": int(gid), "extra_groups": []}
        subprocess.run(["prlimit", "--pid", parent, limit], check=True, cwd="/", **as_server)


class Ground:
    """The cluster, its applications, and how it was at first."""

    def __init__(self, stack, name, engine, in_place, with_reader, application=Application):
        self.stack, self.engine = stack, ENGINE[engine]
        more = BACKTRACK if in_place else {}
        # What a request for it says besides.
        self.request = {"strategy": "backtrack", "inPlace": "allowed"} if in_place else {}
        instances = ({}, {"PromotionTier": 15}) if with_reader else ({},)
        self.cluster = Cluster.create(stack, name, instances=instances, engine=self.engine, **more)
        self.name, self.record = name, self.cluster.record
        # Read once: a cluster that is fenced, or that lost its managed secret, can still be asked.
        self.cluster._password = self.cluster.password
        self.cluster.sql([
            self.engine.writes, *self.engine.grant_app("app", APP_PASSWORD, "writes"),
            "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1), (2), (3)",
        ])  # fmt: skip
        if engine == "mysql" and not in_place:
            self.cluster.sql("CREATE EVENT trim_orders ON SCHEDULE EVERY 1 HOUR DO DELETE FROM orders WHERE id < 0")
        self.cluster.settle()
        self.logins, self.tags = self.cluster.logins(), self.cluster.describe()["TagList"]
        self.endpoint = self.cluster.endpoint
        self.hiding, self.restored_password = None, None
        self.is_gone, self.ordered_at = False, time.monotonic()
        self.settled = set()  # acknowledged rows whose place is known
        logins = [("app", APP_PASSWORD), (self.cluster.user, self.cluster.password)]
        self.applications = [application(self.cluster, number, *login) for number, login in enumerate(logins, 1)]
        for application in self.applications:
            application.start()
        wait_until(lambda: all(a.acknowledged for a in self.applications), "the first rows")

    def rotate_secret(self):
        """Lets RDS change the master user's password; the application of that user takes the new one, and what was restored until now
        has the old one."""
        self.restored_password = self.cluster.password
        self.stack.rds.modify_db_cluster(DBClusterIdentifier=self.name, RotateMasterUserPassword=True, ApplyImmediately=True)
        self.cluster.wait_available()
        self.cluster._password = None
        self.cluster._password = self.applications[-1].password = self.cluster.password

    def acknowledged(self):
        return {number for application in self.applications for number in list(application.acknowledged)}

    def wait_for_rows(self):
        """Waits until each application has acknowledged another row."""
        seen = [len(application.acknowledged) for application in self.applications]
        more = lambda: all(len(a.acknowledged) > before for a, before in zip(self.applications, seen))
        wait_until(more, "more rows of each application")

    def rest(self, is_resting=True):
        """Lets the applications write nothing for a while, or write again: those of every ground would take most of the machine."""
        for application in self.applications:
            application.is_resting = is_resting

    # ------------------------------------------------------------------------------------------------------- the record

    def hide_record(self):
        """A more specific private zone of the same name hides the record from everybody in its network: the name leads to the
        source, whatever the record says."""
        route53, address = self.stack.route53, self.stack.resolve(self.endpoint)
        zone = route53.create_hosted_zone(
            Name=self.record, CallerReference=f"{self.name}-{time.time_ns()}",
            VPC={"VPCRegion": self.stack.env["AWS_REGION"], "VPCId": "vpc-00000001"}, HostedZoneConfig={"PrivateZone": True},
        )["HostedZone"]["Id"].removeprefix("/hostedzone/")  # fmt: skip
        self.hiding = zone, {"Name": self.record, "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": address}]}
        self._change_hiding("CREATE")

    def show_record(self):
        if self.hiding:
            self._change_hiding("DELETE")
            self.stack.route53.delete_hosted_zone(Id=self.hiding[0])
            self.hiding = None

    def _change_hiding(self, action):
        zone, record = self.hiding
        changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        self.stack.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)

    # ----------------------------------------------------------------------------------------------------------- rows

    def rows(self, cluster, **more):
        return {number for (number,) in cluster.sql("SELECT id FROM writes", **more)}

    def unexplained(self, others):
        """The acknowledged rows that neither the source nor any of the `others`, which are opened for it, holds."""
        acknowledged = self.acknowledged() - self.settled
        missing, asked = acknowledged - self.rows(self.cluster), [self.name]
        for name in others if missing else []:
            other = self.cluster.derived(name)
            other._password = self.restored_password or other._password
            if other.describe().get("MasterUserSecret"):
                other._password = None  # it has a secret of its own
            if not self.stack.instances(name):
                continue
            other.wait_available()  # a fence that was just built is a change of the cluster
            if other.groups != sorted(self.stack.app_groups):
                other.unfence_by_hand(["app"])
            missing -= self.rows(other)
            asked.append(name)
        self.settled |= acknowledged
        return f"{len(missing)} acknowledged rows are on none of {asked}: {sorted(missing)[:3]}" if missing else ""

    # ------------------------------------------------------------------------------------------------------- afterwards

    def others(self):
        """The clusters that were made of this one, with their instances."""
        names = [name for name in self.stack.inventory() if name.startswith(f"{self.name}-")]
        own = {instance["DBInstanceIdentifier"] for instance in self.stack.instances(self.name)}
        return sorted(set(names) - own)

    def other_clusters(self):
        return [name for name in self.others() if self.stack.describe(name)]

    def parameter_groups(self):
        """The parameter groups that were made for clusters of this ground."""
        pages = self.stack.rds.get_paginator("describe_db_cluster_parameter_groups").paginate()
        names = [group["DBClusterParameterGroupName"] for page in pages for group in page["DBClusterParameterGroups"]]
        return [name for name in names if f"{self.name}-r" in name]

    def snapshots(self):
        """The final snapshots of this cluster and of those that were made of it."""
        pages = self.stack.rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual")
        found = [(one["DBClusterIdentifier"], one["DBClusterSnapshotIdentifier"]) for page in pages for one in page["DBClusterSnapshots"]]
        return sorted(name for cluster, name in found if cluster in (self.name, f"{self.name}-r"))

    def remove_snapshots(self):
        for name in self.snapshots():
            self.stack.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)

    def who_gets_in(self):
        """The logins of the applications that get in by the cluster's own endpoint."""
        found = []
        for application in self.applications:
            try:
                self.cluster.connect("shop", application.user, application.password, self.endpoint).close()
                found.append(application.user)
            except (self.engine.error, OSError):
                pass
        return found

    def leases(self):
        """The leases that are held: an undo takes that of the restored cluster too."""
        items = [self.stack.item(f"lease#{name}") for name in [self.name, f"{self.name}-r"]]
        # A clean-up may delete no item: it lets its lease end.
        return [item for item in items if item and item["expiresAt"] > time.time()]

    def differences(self, *but):
        """In what the source is not as it was at first, in sentences; `but` the "tags" or the "leases"."""
        found = []
        if self.stack.records().get(self.record, ("none",))[0] != self.endpoint:
            found.append(f"the record is {self.stack.records().get(self.record)}")
        if self.cluster.groups != self.logins["groups"]:
            found.append(f"its security groups are {self.cluster.groups}")
        elif (now := self.cluster.logins()) != self.logins:
            found.append(f"its logins are {[what for what in now if now[what] != self.logins[what]]} different")
        if "tags" not in but and self.cluster.describe()["TagList"] != self.tags:
            found.append(f"its tags are {self.cluster.describe()['TagList']}")
        if "leases" not in but:
            found += [f"{lease['id']} is held by {lease['recoveryId']}" for lease in self.leases()]
        return found

    def release_leases(self):
        for lease in self.leases():
            self.stack.client("dynamodb").delete_item(TableName=self.stack.table, Key={"id": {"S": lease["id"]}})

    def open_source(self):
        """What a person does who wants the source back, however a recovery left it."""
        self.stack.change_record("UPSERT", self.record, self.endpoint, 1)
        self.cluster.wait_available()  # a backtrack may be under way
        if self.cluster.groups != self.logins["groups"]:
            self.cluster.unfence_by_hand(["app"])
        else:
            with self.cluster.connect(self.engine.maintenance) as session:
                self.engine.reopen(session, ["app"])
        self.restart_applications()

    def restart_applications(self):
        """Ends connections that outlive a change of the record: what they write until then is on the cluster that is left."""
        for application in self.applications:
            application.asked += 1
        wait_until(lambda: all(a.writes_on == a.asked for a in self.applications), "rows of the restarted applications")

    def put_in_order(self):
        """What a person does at the end of a case: traffic on the source, open, and nothing beside it."""
        self.open_source()
        tags = {tag["Key"] for tag in self.cluster.describe()["TagList"]} - {tag["Key"] for tag in self.tags}
        if tags:
            self.stack.rds.remove_tags_from_resource(
                ResourceName=self.cluster.describe()["DBClusterArn"], TagKeys=sorted(tags)
            )
        self.release_leases()
        self.remove_others()
        self.remove_snapshots()
        self.restored_password = None
        problems = self.differences()
        assert not problems, f"a person could not put {self.name} in order: {problems}"
        self.ordered_at = time.monotonic()

    def settle(self):
        """Waits until a second ago was after the last case: one that fenced the cluster would be rewound into its fence."""
        time.sleep(max(0, self.ordered_at + 1.3 - time.monotonic()))

    def remove_others(self):
        for name in self.other_clusters():
            remove(self.stack, name)
        wait_until(lambda: not self.others(), f"the end of what was made of {self.name}", 90)
        for group in self.parameter_groups():
            self.stack.rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName=group)

    def abandon(self):
        """Leaves everything as it is, for people to look at; the next run removes it."""
        for application in self.applications:
            application.ended = True

    def close(self):
        for application in self.applications:
            application.ended = True
        self.remove_others()
        self.remove_snapshots()
        self.cluster.drop_record()
        remove(self.stack, self.name)
