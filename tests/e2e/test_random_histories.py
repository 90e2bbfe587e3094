"""Random histories of inserts, updates, deletes and drops, rewound to random moments, and compared with a model of what each
moment had: backtracks in place on Aurora MySQL, back and forward with writes between, and restores beside on both engines.

    REWIND_HISTORY_SECONDS=600      how long each history is made and rewound; the default is short
    REWIND_HISTORY_SEED=12345       the same choices once more

A seed brings back the choices, not the milliseconds between them, and each rewind takes seconds: that is why a failure is told
with its last steps instead of being shrunk by running it over and over."""

import concurrent.futures
import copy
import datetime
import os
import random
import time

import pytest

from checks import refused, wait_until
from cluster import BACKTRACK, Cluster
from engines import MYSQL, POSTGRES

SECONDS = float(os.environ.get("REWIND_HISTORY_SECONDS", 20))
DATABASES, TABLES, IDS = ["blue", "green", "red"], ["ants", "bees", "cats"], range(1, 40)
# What one writes down between two steps is so far from both.
APART = 0.015


class Model:
    """What the databases hold at each time: database -> table -> id -> value."""

    def __init__(self, since):
        self.steps = [(since, since, {})]

    @property
    def now(self):
        return copy.deepcopy(self.steps[-1][2])

    def becomes(self, earliest, latest, state):
        """The databases hold `state` from some time between the two on."""
        self.steps.append((earliest, latest, state))

    def possible(self, at):
        """What they may have held at a time: more than one thing only where a step was just under way."""
        certain = max(number for number, (_, latest, _) in enumerate(self.steps) if latest <= at or not number)
        return [
            state
            for number, (earliest, _, state) in enumerate(self.steps)
            if number >= certain and (earliest <= at or number == certain)
        ]


class History:
    """A cluster, what is done to it, and what it therefore has to hold."""

    def __init__(self, cluster, seed):
        self.cluster, self.engine, self.seed = cluster, cluster.engine, seed
        self.random, self.told, self.sessions = random.Random(seed), [], {}
        self.model = Model(self.engine.now(self.session()))
        self.moments, self.position, self.values, self.restored = [], None, 0, 0

    def session(self, database=None):
        database = database or self.engine.neutral
        if database not in self.sessions:
            self.sessions[database] = self.cluster.connect(database)
        return self.sessions[database]

    def hang_up(self, database=None):
        for name in [database] if database else list(self.sessions):
            if name in self.sessions:
                self.sessions.pop(name).close()

    def tell(self, what):
        self.told.append(f"{datetime.datetime.now(datetime.timezone.utc):%H:%M:%S.%f} {what}")

    def fail(self, what):
        self.told.append(what)
        raise AssertionError(
            f"REWIND_HISTORY_SEED={self.seed}, {len(self.told)} steps, the last of which:\n"
            + "\n".join(self.told[-25:])
        )

    # ------------------------------------------------------------------------------------------------------- a step

    def step(self):
        """Something that people do, in the databases and in the model, and a moment to rewind to afterwards."""
        after = self.model.now
        database, statements = self.choose(after)
        before = self.engine.now(self.session())
        for statement in statements:
            self.session(database).execute(statement)
        latest = self.engine.now(self.session())
        self.model.becomes(before, latest, after)
        self.tell(f"{database or ''}: {'; '.join(statements)}")
        self.write_down_moment()

    def write_down_moment(self):
        time.sleep(APART)
        self.moments.append(self.engine.now(self.session()))
        time.sleep(APART * self.random.choice([1, 1, 1, 4]))
        self.engine.commit(self.session())

    def choose(self, state):
        """Changes the model's state, and answers in which database which statements do the same."""
        chance = self.random.random()
        missing = [name for name in DATABASES if name not in state]
        if not state or missing and chance < 0.08:
            name = self.random.choice(missing)
            state[name] = {}
            return None, [f"CREATE DATABASE {name}"]
        database = self.random.choice(sorted(state))
        tables = state[database]
        if chance < 0.12:
            del state[database]
            self.hang_up(database)
            return None, [f"DROP DATABASE {database}"]
        missing = [name for name in TABLES if name not in tables]
        if not tables or missing and chance < 0.25:
            name = self.random.choice(missing)
            tables[name] = {}
            return database, [f"CREATE TABLE {name} (id int PRIMARY KEY, value int NOT NULL)"]
        table = self.random.choice(sorted(tables))
        if chance < 0.32:
            del tables[table]
            return database, [f"DROP TABLE {table}"]
        if chance < 0.36:
            tables[table] = {}
            return database, [f"TRUNCATE TABLE {table}"]
        if chance < 0.5:
            kept = copy.deepcopy(tables)
            statements = [self.change(name, tables[name]) for name in self.random.choices(sorted(tables), k=4)]
            end = self.random.choice(["COMMIT", "COMMIT", "ROLLBACK"])
            if end == "ROLLBACK":
                state[database] = kept
            return database, ["START TRANSACTION", *statements, end]
        return database, [self.change(table, tables[table])]

    def change(self, table, rows):
        """Inserts, updates or deletes rows."""
        self.values += 1
        free, taken = [i for i in IDS if i not in rows], sorted(rows)
        kind = self.random.choice(["insert"] * 3 + ["update", "update", "delete"])
        some = lambda ids: sorted(self.random.sample(ids, self.random.randint(1, min(8, len(ids)))))
        if kind == "insert" and free or not taken:
            ids = some(free)
            rows |= dict.fromkeys(ids, self.values)
            return f"INSERT INTO {table} VALUES " + ", ".join(f"({i}, {self.values})" for i in ids)
        ids = some(taken)
        where = f"WHERE id IN ({', '.join(map(str, ids))})"
        if self.random.random() < 0.1:
            ids, where = taken, ""  # somebody forgot it
        if kind == "delete":
            for i in ids:
                del rows[i]
            return f"DELETE FROM {table} {where}"
        rows |= dict.fromkeys(ids, self.values)
        return f"UPDATE {table} SET value = {self.values} {where}"

    # ----------------------------------------------------------------------------------------------------- a rewind

    def held(self, cluster):
        """What a cluster holds."""
        found = {}
        with cluster.connect(self.engine.neutral) as session:
            databases = [name for name in self.engine.databases(session) if name in DATABASES]
        for name in databases:
            with cluster.connect(name) as session:
                tables = [table for table in TABLES if self.engine.has_table(session, table)]
                found[name] = {t: dict(session.execute(f"SELECT id, value FROM {t}").fetchall()) for t in tables}
        return found

    def compare(self, found, at, what):
        possible = self.model.possible(at)
        if found in possible:
            return
        self.fail(f"{what}: found {said(found)}, expected {' or '.join(map(said, possible))}")

    def backtrack(self, direction, leave=0):
        """Rewinds in place, back or forward from where it was rewound to last, and compares. Answers whether it did. Back
        it leaves the earliest moments to those that go back after it."""
        reachable = self.cluster.describe()["EarliestBacktrackTime"]
        position = self.position or self.moments[-1]
        targets = [
            at for at in self.moments if at > reachable and (at < position if direction == "back" else at > position)
        ][leave:]
        if not targets:
            return False
        target, rds, name = self.random.choice(targets), self.cluster.stack.rds, self.cluster.name
        witness = self.session()
        requested = self.engine.now(witness)
        started = rds.backtrack_db_cluster(DBClusterIdentifier=name, BacktrackTo=target)
        look = lambda: rds.describe_db_cluster_backtracks(
            DBClusterIdentifier=name, BacktrackIdentifier=started["BacktrackIdentifier"]
        )["DBClusterBacktracks"][0]
        ended = wait_until(
            lambda: (seen := look())["Status"].lower() in ["completed", "failed"] and seen,
            "the end of a backtrack",
            pause=0.05,
        )
        assert ended["Status"].lower() == "completed", f"the backtrack to {target} is {ended['Status']}"
        self.cluster.wait_available()
        with refused(self.engine.error):
            witness.execute("SELECT 1")
        self.hang_up()
        found, landed = self.held(self.cluster), ended["BacktrackTo"]
        what = f"{direction} to {target:%H:%M:%S.%f}, landed on {landed:%H:%M:%S.%f}"
        assert abs(landed - target) < datetime.timedelta(seconds=1), what
        self.compare(found, landed, what)
        self.model.becomes(requested, self.engine.now(self.session()), found)
        self.position = landed
        self.tell(what)
        self.write_down_moment()
        return True

    def restore(self, name, target):
        """Restores beside, and compares."""
        stack, new = self.cluster.stack, self.cluster.derived(name)
        wait_until(lambda: self.cluster.describe()["LatestRestorableTime"] >= target, "the target inside the window")
        stack.rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier=name, SourceDBClusterIdentifier=self.cluster.name, RestoreToTime=target,
            VpcSecurityGroupIds=stack.app_groups,
        )  # fmt: skip
        new.wait_available()
        stack.rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, DBInstanceClass="db.r6g.large",
            Engine=self.engine.api,
        )  # fmt: skip
        new.wait_available()
        self.compare(self.held(new), target, f"restored beside to {target:%H:%M:%S.%f}")
        new.delete()

    def restores(self, count):
        """Several at once, to moments of any time."""
        earliest = self.cluster.describe()["EarliestRestorableTime"]
        targets = self.random.sample([at for at in self.moments if at > earliest], count)
        names = [f"{self.cluster.name}-r{self.restored + number}" for number in range(1, count + 1)]
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            list(pool.map(self.restore, names, targets))
        self.restored += count


def said(state):
    return (
        "; ".join(f"{d}.{t} {rows}" for d, tables in sorted(state.items()) for t, rows in sorted(tables.items()))
        + f" in {sorted(state)}"
    )


def begin(stack, engine, name, **more):
    seed = int(os.environ.get("REWIND_HISTORY_SEED") or random.randrange(1 << 32))
    cluster = Cluster.create(stack, name, engine=engine, record=False, **more)
    print(f"REWIND_HISTORY_SEED={seed}")
    return History(cluster, seed)


def end(history, rewinds):
    history.hang_up()
    steps = len(history.moments)
    print(f"{steps} steps, {rewinds} backtracks, {history.restored} restores: each as the model has it")


@pytest.mark.slow
def test_mysql_holds_what_each_moment_had_after_backtracks_and_restores(stack):
    history = begin(stack, MYSQL, "e2e-my-history", **BACKTRACK)
    deadline, rewinds = time.monotonic() + SECONDS, 0
    for _ in range(30):
        history.step()
    # As it must hold: three times back and twice forward in a row, with writes between.
    for direction, leave in [("back", 2), ("back", 1), ("back", 0), ("forward", 0), ("forward", 0)]:
        assert history.backtrack(direction, leave), f"there was no moment to go {direction} to"
        rewinds += 1
        for _ in range(history.random.randint(1, 12)):
            history.step()
    # Then whatever comes.
    while time.monotonic() < deadline:
        rewinds += history.backtrack(history.random.choice(["back", "back", "forward"]))
        for _ in range(history.random.randint(1, 12)):
            history.step()
    history.restores(3)
    end(history, rewinds)


@pytest.mark.slow
def test_postgresql_holds_what_each_moment_had_after_restores(stack):
    history = begin(stack, POSTGRES, "e2e-history")
    deadline = time.monotonic() + SECONDS
    while not history.restored or time.monotonic() < deadline:
        for _ in range(40):
            history.step()
        history.restores(3)
    end(history, 0)
