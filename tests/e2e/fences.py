"""The fence under fire: applications write as fast as they can through the name, and what becomes of it."""

import threading
import time

import psycopg

from cluster import Cluster, iso
from harness import equal, holds, note, test
from recovery import UNASKED, Recovery, seconds

APP_PASSWORD = "apples-and-pears"


class Writer(threading.Thread):
    """Inserts a row at a time through the name, as an application does: over a connection that it keeps, and when that
    breaks over a new one, to wherever the name leads then. Every acknowledgement is kept, with who gave it."""

    def __init__(self, cluster, number, user, password):
        super().__init__(daemon=True)
        self.cluster, self.user, self.password = cluster, user, password
        self.ids, self.ended, self.acknowledged, self.unknown, self.refusals = number * 1_000_000, False, [], set(), 0
        self.port = cluster.port

    def run(self):
        while not self.ended:
            try:
                stack, record = self.cluster.stack, self.cluster.record
                session = stack.connect(record, self.user, self.password, "shop", self.port)
            except Exception:  # a database that is not to be reached is what a fence is for
                self.refusals += 1
                time.sleep(0.02)
                continue
            server = session.info.hostaddr
            try:
                while not self.ended:
                    self.ids += 1
                    self.unknown.add(self.ids)
                    session.execute("INSERT INTO writes (id, by) VALUES (%s, current_user)", [self.ids])
                    # The time after the acknowledgement: what came back by then was acknowledged by then.
                    self.acknowledged.append((self.ids, server, time.time()))
                    self.unknown.discard(self.ids)
                    time.sleep(0.002)
            except psycopg.Error:
                pass
            finally:
                session.close()


@test(
    "no write is acknowledged by the old writer after the fence, and every acknowledged write is on one side, as told"
)
def under_fire(stack):
    cluster = Cluster.create(stack, "e2e-fire")
    cluster.sql(
        [
            "CREATE TABLE writes (id bigint PRIMARY KEY, by text, at timestamptz DEFAULT clock_timestamp())",
            "CREATE TABLE precious AS SELECT generate_series(1, 1000) AS id",
            f"CREATE ROLE app LOGIN PASSWORD '{APP_PASSWORD}'",
            "GRANT SELECT, INSERT ON writes TO app",
        ]
    )
    # Three of the application's own role, as a pool has them, and one that logs in as the master user.
    logins = [("app", APP_PASSWORD)] * 3 + [(cluster.user, cluster.password)]
    writers = [Writer(cluster, number, *login) for number, login in enumerate(logins, 1)]
    old = stack.resolve(cluster.endpoint)
    for writer in writers:
        writer.start()
    try:
        cluster.settle()
        target = cluster.mistake("DELETE FROM precious")
        check = {"name": "precious rows", "database": "shop", "sql": "SELECT count(*) FROM precious", "expect": "1000"}
        run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[check], approval="none")
        output = run.recovered(UNASKED)
        time.sleep(1)
    finally:
        for writer in writers:
            writer.ended = True
        for writer in writers:
            writer.join(20)
    fenced_at, rewound_to = seconds(output["fence"]["fencedAt"]), seconds(output["rewoundTo"])
    acknowledged = [write for writer in writers for write in writer.acknowledged]
    new = stack.resolve(cluster.endpoint.replace("e2e-fire", "e2e-fire-r"))
    equal({server for _, server, _ in acknowledged}, {old, new}, "the servers that acknowledged writes")
    late = [write for write in acknowledged if write[1] == old and write[2] > fenced_at]
    # A client may have been slow to hear of it: what decides is when the old writer says that it wrote.
    cluster.unfence_by_hand(["app"])
    with cluster.connect() as session:
        on_old = dict(session.execute("SELECT id, extract(epoch FROM at)::float8 FROM writes").fetchall())
    with cluster.connect(host=cluster.record) as session:
        on_new = dict(session.execute("SELECT id, extract(epoch FROM at)::float8 FROM writes").fetchall())
        equal(session.execute("SELECT count(*) FROM precious").fetchone(), (1000,), "the rows that were deleted")
    too_late = [id for id, at in on_old.items() if at > fenced_at]
    equal((late, too_late), ([], []), "writes that the old writer acknowledged, or made, after fencedAt")

    on_both, only_old, only_new, nowhere = [], [], [], []
    for id, server, at in acknowledged:
        side = {(True, True): on_both, (True, False): only_old, (False, True): only_new, (False, False): nowhere}
        side[id in on_old, id in on_new].append((id, server, at))
    equal(nowhere, [], "acknowledged writes that are on no side")
    equal(
        [w for w in on_both + only_old if w[1] != old],
        [],
        "writes that the new writer acknowledged and the old one has",
    )
    equal([w for w in only_new if w[1] != new], [], "writes that the old writer acknowledged and only the new one has")
    # What is on both was there at the moment gone back to; what is on the original alone was written after it.
    equal(
        [w for w in on_both if on_old[w[0]] > rewound_to], [], "writes on both sides made after the moment gone back to"
    )
    equal(
        [w for w in only_old if w[2] <= rewound_to], [], "writes before the moment gone back to that did not come back"
    )
    for writer in writers:
        holds([w for w in writer.acknowledged if w[1] == new], f"{writer.user} did not get through to the new writer")
    known = {id for id, _, _ in acknowledged}
    unknown = {id for writer in writers for id in writer.unknown}
    equal([id for id in {**on_old, **on_new} if id not in known and id not in unknown], [], "rows that nobody wrote")
    holds(
        output["fence"]["sessionsEnded"] >= len(writers), f"only {output['fence']['sessionsEnded']} sessions were ended"
    )
    last = max(at for _, server, at in acknowledged if server == old)
    note(
        f"{len(acknowledged)} acknowledged: {len(on_both)} before the target, {len(only_old)} on the original alone, "
        f"{len(only_new)} on the new cluster alone; {output['fence']['sessionsEnded']} sessions ended; "
        f"the old writer's last one was {fenced_at - last:.2f} s before fencedAt"
    )


@test("the fence holds without its network layer: neither the application nor the master user gets into the original")
def logins_of_the_fenced(stack):
    cluster = Cluster.create(stack, "e2e-fenced")
    cluster.sql([f"CREATE ROLE app LOGIN PASSWORD '{APP_PASSWORD}'", "CREATE TABLE t (n int)", "GRANT ALL ON t TO app"])
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    output = run.recovered(UNASKED)
    layers = {layer["layer"]: layer["did"] for layer in run.result("FenceSource")["layers"]}
    equal(sorted(layers), ["login", "network", "proof", "sessions"], "the fence's layers")
    # With the network open again the other layers hold by themselves.
    stack.rds.modify_db_cluster(
        DBClusterIdentifier=cluster.name, VpcSecurityGroupIds=stack.app_groups, ApplyImmediately=True
    )
    cluster.wait_available()
    for database in ["shop", "postgres"]:
        for user, password in [("app", APP_PASSWORD), (cluster.user, cluster.password)]:
            try:
                cluster.connect(database, user, password).close()
                raise AssertionError(f"{user} got into {database} of the fenced original")
            except psycopg.OperationalError as error:
                said = str(error)
                holds("is not permitted to log in" in said or "too many connections for database" in said, said)
    with cluster.connect(user="app", password=APP_PASSWORD, host=cluster.record) as session:
        session.execute("INSERT INTO t VALUES (1)")
    equal(output["fence"]["sessionsEnded"], 0, "sessions ended where there were none")
