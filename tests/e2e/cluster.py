"""Clusters of the tests' own, made by boto3 as a person would, with a record that names the writer."""

import datetime
import json
import re
import time

from checks import wait_until
from engines import POSTGRES, UTC

TTL = 1
# The window of a cluster that can be rewound in place.
BACKTRACK = {"BacktrackWindow": 86_400}


class Cluster:
    """A cluster: the API's view of it, and sessions in it."""

    def __init__(self, stack, name, engine=POSTGRES, password=None):
        """One that was restored or cloned has no secret of its own: its password is its source's."""
        self.stack, self.name, self.record = stack, name, f"{name}.example.com"
        self.engine, self.user, self._password = engine, engine.user, password

    @classmethod
    def create(cls, stack, name, instances=({},), record=True, engine=POSTGRES, **settings):
        """A cluster that is available, and has a window for every way back that it has. It goes when the test has passed."""
        self = cls(stack, name, engine)
        settings = {
            "Engine": engine.api,
            "MasterUsername": self.user,
            "ManageMasterUserPassword": True,
            "DatabaseName": "shop",
            "VpcSecurityGroupIds": stack.app_groups,
        } | settings
        stack.rds.create_db_cluster(DBClusterIdentifier=name, **settings)
        for number, more in enumerate(instances, 1):
            stack.rds.create_db_instance(
                **{
                    "DBInstanceIdentifier": f"{name}-{number}",
                    "DBClusterIdentifier": name,
                    "DBInstanceClass": "db.r6g.large",
                    "Engine": engine.api,
                }
                | more
            )
        stack.on_success(self.delete)
        self.wait_available()
        if record:
            stack.change_record("UPSERT", self.record, self.endpoint, TTL)
            stack.on_success(lambda: self.drop_record())
        windows = ["EarliestRestorableTime"] + ["EarliestBacktrackTime"] * bool(settings.get("BacktrackWindow"))
        for window in windows:
            wait_until(lambda window=window: stack.describe(name).get(window), f"the {window} of {name}")
        return self

    def derived(self, name):
        """A cluster that was restored or cloned from this one."""
        return Cluster(self.stack, name, self.engine, self.password)

    def wait_available(self):
        def available():
            states = [self.describe()["Status"]] + [i["DBInstanceStatus"] for i in self.stack.instances(self.name)]
            assert "failed" not in states, f"{self.name} and its instances are {states}"
            return all(state == "available" for state in states)

        wait_until(available, f"{self.name} available")

    # ------------------------------------------------------------------------------------------------------ what it is

    def describe(self):
        return self.stack.describe(self.name)

    @property
    def endpoint(self):
        return self.describe()["Endpoint"]

    @property
    def port(self):
        return self.describe()["Port"]

    @property
    def groups(self):
        return sorted(group["VpcSecurityGroupId"] for group in self.describe()["VpcSecurityGroups"])

    @property
    def secret(self):
        return self.describe()["MasterUserSecret"]["SecretArn"]

    @property
    def password(self):
        if self._password:
            return self._password
        return json.loads(self.stack.secrets.get_secret_value(SecretId=self.secret)["SecretString"])["password"]

    def dns(self):
        """The request's `dns` for the cluster's record."""
        return [{"hostedZoneId": self.stack.zone, "name": self.record, "endpoint": "writer"}]

    # -------------------------------------------------------------------------------------------------------- sessions

    def connect(self, database="shop", user=None, password=None, host=None):
        """A session, to the cluster's endpoint or by another name."""
        password = password or self.password
        return self.engine.connect(self.stack, host or self.endpoint, user or self.user, password, database, self.port)

    def sql(self, text, database="shop", **more):
        """Runs statements, each a transaction; answers the last one's rows."""
        with self.connect(database, **more) as session:
            for statement in [text] if isinstance(text, str) else text:
                answer = session.execute(statement)
            return answer.fetchall() if answer.description else []

    def value(self, text, database="shop", **more):
        return self.sql(text, database, **more)[0][0]

    def logins(self):
        """Everything that a fence may change, read where it always may be."""
        with self.connect(self.engine.maintenance) as session:
            return self.engine.logins(session) | {"groups": self.groups}

    def unfence_by_hand(self, roles=()):
        """Opens a fenced cluster as a person would, to look at what is in it."""
        self.stack.rds.modify_db_cluster(
            DBClusterIdentifier=self.name, VpcSecurityGroupIds=self.stack.app_groups, ApplyImmediately=True
        )
        self.wait_available()
        with self.connect(self.engine.maintenance) as session:
            self.engine.reopen(session, roles)

    # ---------------------------------------------------------------------------------------------------------- moments

    def settle(self, seconds=2.2):
        """Lets so much time pass that the second before the next statement is well after the last one, and inside the
        restorable window."""
        until = datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)
        time.sleep(seconds)
        wait_until(lambda: self.describe()["EarliestRestorableTime"] < until, "the window")

    def mistake(self, statement, database="shop"):
        """Makes a mistake; answers the moment one second before it."""
        with self.connect(database) as session:
            at = self.engine.now(session)
            for part in [statement] if isinstance(statement, str) else statement:
                session.execute(part)
        return at - datetime.timedelta(seconds=1)

    # ------------------------------------------------------------------------------------------------------------- end

    def drop_record(self):
        found = self.stack.records().get(self.record)
        if found:
            self.stack.change_record("DELETE", self.record, *found)

    def delete(self):
        remove(self.stack, self.name)


def remove(stack, name):
    """Deletes a cluster and its instances, if it is there; waits for nothing."""
    found = stack.describe(name)
    if not found or found["Status"] == "deleting":
        return
    if found["DeletionProtection"]:
        stack.rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
        wait_until(lambda: stack.describe(name)["Status"] == "available", f"{name} available")
    for instance in stack.instances(name):
        if instance["DBInstanceStatus"] != "deleting":
            stack.rds.delete_db_instance(DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    stack.rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)


def to_the_second(at):
    """A moment as people are shown it."""
    return re.sub(r"\.\d+Z$", "Z", at)


def iso(at):
    """A moment as a request has it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
