"""Applications that write as fast as they can through a name, and what became of each write: told by what they were told and
by what the databases hold. It knows nothing of recoveries."""

import contextlib
import threading
import time

APP_PASSWORD = "apples-and-pears"
# AWS tells times in milliseconds.
CLOCK_RESOLUTION = 0.001


class Writer(threading.Thread):
    """Inserts a row at a time through the name, as an application does: over a connection that it keeps, and when that
    breaks over a new one, to wherever the name leads then. Every acknowledgement is kept, with who gave it and when."""

    def __init__(self, cluster, number, user, password):
        super().__init__(daemon=True)
        self.cluster, self.user, self.password = cluster, user, password
        self.ids, self.ended, self.acknowledged, self.unknown, self.refusals = number * 1_000_000, False, [], set(), 0

    def run(self):
        while not self.ended:
            try:
                session = self.cluster.connect("shop", self.user, self.password, self.cluster.record)
            except Exception:  # a database that is not to be reached is what a fence is for
                self.refusals += 1
                time.sleep(0.02)
                continue
            try:
                while not self.ended:
                    self.ids += 1
                    self.unknown.add(self.ids)
                    session.execute("INSERT INTO writes (id, who) VALUES (%s, current_user)", [self.ids])
                    # The time after the acknowledgement: what came back by then was acknowledged by then.
                    self.acknowledged.append((self.ids, session.server, time.time()))
                    self.unknown.discard(self.ids)
                    time.sleep(0.002)
            except self.cluster.engine.error:
                pass
            finally:
                session.close()


class Writers:
    """Two of the application's own login, as a pool has them, one whose name only looks like one of AWS's, and one that logs in as the
    master user."""

    def __init__(self, cluster):
        self.cluster, engine = cluster, cluster.engine
        grants = [statement for user in ("app", "rds_app") for statement in engine.grant_app(user, APP_PASSWORD, "writes")]
        cluster.sql([engine.writes, *grants])
        logins = [*((user, APP_PASSWORD) for user in ("app", "app", "rds_app")), (cluster.user, cluster.password)]
        self.all = [Writer(cluster, number, *login) for number, login in enumerate(logins, 1)]

    @contextlib.contextmanager
    def at_work(self):
        """They write, and have ended when this has."""
        for writer in self.all:
            writer.start()
        try:
            yield self
        finally:
            for writer in self.all:
                writer.ended = True
            for writer in self.all:
                writer.join(20)

    @property
    def acknowledged(self):
        """Every acknowledged write: its id, the server, the time."""
        return [write for writer in self.all for write in writer.acknowledged]

    def longest_without_a_write(self):
        """The most seconds in which none of them had a write acknowledged."""
        at = sorted(at for _, _, at in self.acknowledged)
        return max(after - before for before, after in zip(at, at[1:], strict=False))

    def written(self, cluster, **more):
        """The writes that a cluster holds: id -> when it was made, by the server's clock."""
        rows = cluster.sql(f"SELECT id, {cluster.engine.epoch} FROM writes", **more)
        return {id: float(at) for id, at in rows}

    def account(self, source, rewound, rewound_to, by_source):
        """Places every write: `source` and `rewound` are what the two hold, `by_source` tells who acknowledged one.
        Fails where one is lost, is on a side where it should not be, or was never made."""
        acknowledged = self.acknowledged
        known = {id for id, _, _ in acknowledged}
        unknown = {id for writer in self.all for id in writer.unknown}
        sides = {(True, True): [], (True, False): [], (False, True): [], (False, False): []}
        for write in acknowledged:
            sides[write[0] in source, write[0] in rewound].append(write)
        both, only_source, only_rewound, nowhere = sides.values()
        assert nowhere == [], "acknowledged writes that are on no side"
        assert [w for w in both + only_source if not by_source(w)] == [], (
            "writes that were acknowledged after the recovery and are on the source's side"
        )
        assert [w for w in only_rewound if by_source(w)] == [], (
            "writes that were acknowledged before the recovery and are on the rewound side alone"
        )
        # What is on both was there at the moment rewound to; what is on the source alone was written after it.
        assert [w for w in both if source[w[0]] > rewound_to + CLOCK_RESOLUTION] == [], (
            "writes on both sides that were made after the moment rewound to"
        )
        assert [w for w in only_source if w[2] <= rewound_to] == [], "writes before that moment that did not come back"
        assert [i for i in {**source, **rewound} if i not in known | unknown] == [], "rows that nobody wrote"
        for writer in self.all:
            after = [w for w in writer.acknowledged if not by_source(w)]
            assert after, f"{writer.user} did not get through after the recovery"
        for what, found in [("before the target", both), ("after it", only_source), ("in the end", only_rewound)]:
            assert found, f"no write was acknowledged {what}: this test showed nothing"
        return (
            f"{len(acknowledged)} acknowledged: {len(both)} before the target, {len(only_source)} on the source's side "
            f"alone, {len(only_rewound)} on the rewound one alone"
        )
