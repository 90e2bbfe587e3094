"""Clusters of the tests' own, made by boto3 as a person would, with a record that names the writer."""

import datetime
import json
import time

from harness import holds, on_success, wait_until

UTC = datetime.timezone.utc
TTL = 1


class Cluster:
    """A cluster: the API's view of it, and sessions in it."""

    def __init__(self, stack, name):
        self.stack, self.name, self.record = stack, name, f"{name}.example.com"
        self.user = "postgres"

    @classmethod
    def create(cls, stack, name, instances=({},), record=True, **settings):
        """A cluster that is available and has a restorable window. It goes when the test has passed."""
        self = cls(stack, name)
        settings = {
            "Engine": "aurora-postgresql",
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
                    "Engine": "aurora-postgresql",
                }
                | more
            )
        on_success(self.delete)
        self.wait_available()
        if record:
            stack.change_record("UPSERT", self.record, self.endpoint, TTL)
            on_success(lambda: self.drop_record())
        wait_until(lambda: stack.describe(name).get("EarliestRestorableTime"), f"a restorable window of {name}")
        return self

    def wait_available(self):
        def available():
            states = [self.describe()["Status"]] + [i["DBInstanceStatus"] for i in self.stack.instances(self.name)]
            holds("failed" not in states, f"{self.name} and its instances are {states}")
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
        return json.loads(self.stack.secrets.get_secret_value(SecretId=self.secret)["SecretString"])["password"]

    def dns(self):
        """The request's `dns` for the cluster's record."""
        return [{"hostedZoneId": self.stack.zone, "name": self.record, "endpoint": "writer"}]

    # -------------------------------------------------------------------------------------------------------- sessions

    def connect(self, database="shop", user=None, password=None, host=None, **more):
        password = password or self.password
        return self.stack.connect(host or self.endpoint, user or self.user, password, database, self.port, **more)

    def sql(self, text, database="shop", **more):
        """Runs statements, each a transaction; answers the last one's rows."""
        with self.connect(database, **more) as session:
            cursor = session.cursor()
            for statement in [text] if isinstance(text, str) else text:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def value(self, text, database="shop", **more):
        return self.sql(text, database, **more)[0][0]

    def logins(self):
        """Everything that a fence may change, read where it always may: in template1."""
        with self.connect("template1") as session:
            databases = "SELECT datname, datconnlimit, datallowconn, datacl::text FROM pg_database ORDER BY datname"
            roles = (
                "SELECT rolname, rolcanlogin, rolconnlimit, rolvaliduntil::text, rolconfig::text, rolcreaterole, "
                "rolcreatedb, rolinherit FROM pg_roles ORDER BY rolname"
            )
            settings = "SELECT setdatabase::text, setrole::text, setconfig::text FROM pg_db_role_setting ORDER BY 1, 2"
            return {
                "databases": session.execute(databases).fetchall(),
                "roles": session.execute(roles).fetchall(),
                "settings": session.execute(settings).fetchall(),
                "groups": self.groups,
            }

    def unfence_by_hand(self, roles=()):
        """Opens a fenced cluster as a person would, to look at what is in it."""
        self.stack.rds.modify_db_cluster(
            DBClusterIdentifier=self.name, VpcSecurityGroupIds=self.stack.app_groups, ApplyImmediately=True
        )
        self.wait_available()
        with self.connect("template1") as session:
            closed = session.execute("SELECT quote_ident(datname) FROM pg_database WHERE datconnlimit = 0").fetchall()
            for (name,) in closed:
                session.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
            for role in roles:
                session.execute(f"ALTER ROLE {role} LOGIN")

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
            at = session.execute("SELECT clock_timestamp()").fetchone()[0]
            session.execute(statement)
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


def iso(at):
    """A moment as a request has it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
