"""Random sequences of what people and accidents do to recoveries beside the source: they are started, approved, rejected, cancelled,
stopped and undone, their functions are killed, and somebody moves the record by hand. After each step the standing of `rewind status` is
compared with what is so: in the zone, in the name server, for logins by the record and by the endpoints, in RDS, and in the leases. At
the end the commands that the status prints are typed as they are printed, until nothing is left.

    REWIND_SEQUENCES=20             how many sequences on each engine; the default is few
    REWIND_SEQUENCE_SEED=12345      other choices than those of every run; each further sequence has the next seed

A seed brings back the choices, not the milliseconds between them. A sequence takes a minute and a half; one that ends a recovery after the
fence has begun takes up to six minutes more, in which the undo waits until no function of the recovery can run any more."""

import contextlib
import datetime
import os
import random
import re
import shlex
import time
from typing import NamedTuple

import dns.exception
import pytest

from checks import wait_until
from cluster import TTL, Cluster, to_the_second
from engines import ENGINES, UTC
from recovery import Started
from test_cli import Screen, Terminal
from writers import APP_PASSWORD

FEW = {"postgresql": 2, "mysql": 1}
SEQUENCES = [
    pytest.param(engine, number, id=f"{engine.name}-{number}")
    for engine in ENGINES
    for number in range(1, int(os.environ.get("REWIND_SEQUENCES") or FEW[engine.name]) + 1)
]
STEPS, SECONDS = (5, 7), 75  # no step begins after so many seconds
COMMANDS = 5  # as often is a command typed at the end
CHECK = "[orders are there] shop: SELECT count(*) FROM orders => 3"
ELSEWHERE = "somebody.else.example.org"
# What no two servers have in common, and everybody may read.
IDENTITY = {"postgresql": "SELECT pg_postmaster_start_time()", "mysql": "SELECT @@datadir"}
# The beginnings of printed commands that only show something.
SHOWING = ("rewind status ", "rewind clusters")
# Done, refused, or an end of a recovery. Never: AWS could not be reached, or the arguments were not understood.
CODES = (0, 3, 4, 5, 6)

# How often a step is drawn, by the state of the latest recovery: also what can only be refused then.
DRAWN = {
    "nothing": {"start": 6, "kill": 2, "move": 1},
    "Running": {"wait": 4, "stop": 4, "cancel": 3, "undo": 2, "second": 2, "kill": 1, "move": 1, "approve": 1, "reject": 1},
    "AwaitingApproval": {"approve": 6, "reject": 3, "cancel": 2, "undo": 1, "stop": 2, "second": 2, "kill": 2, "move": 2},
    "Recovered": {"undo": 5, "move": 3, "cancel": 1, "second": 1, "stop": 1, "approve": 1},
    "NeedsOperator": {"undo": 3, "cancel": 3, "second": 2, "move": 2, "reject": 1},
    "over": {"start": 6, "kill": 2, "move": 2, "undo": 1, "cancel": 1, "approve": 1},
}
# The calls at which a function is killed.
KILLED_AT = [
    ["Action=RestoreDBClusterToPointInTime"], ["Action=CreateDBInstance"], ["Action=ModifyDBCluster", "VpcSecurityGroupIds"],
    ["POST", "/rrset"],
]  # fmt: skip
# The states in which a recovery is stopped, or a moment later.
EARLY = ["AcquireLease", "StartRestore", "AwaitRewind", "AddInstances", "AwaitInstances", "Verify", "RequestApproval"]
LATE = ["FenceSource", "SwapDns", "AwaitInSync", "ConfirmCutover"]


class Untrue(AssertionError):
    """The status tells otherwise than it is, or something is left that no command ends."""


class Facts(NamedTuple):
    """What is so, whatever anybody tells. Clusters are meant by their names."""

    value: str  # of the record in the zone
    leads: str | None  # the cluster whose endpoint that is
    reached: str | None  # the cluster at the address that the name server gives for the record
    answers: str | None  # the cluster that an application is let in to by the record
    clusters: tuple  # name, status, and the time in the tag until which it is kept
    served: frozenset  # those with an instance that is available
    fenced: frozenset  # those with the fence's security groups
    admits: frozenset  # those that an application is let in to by their own endpoint
    leases: tuple  # the cluster, who holds it, and until when


class Sequence:
    """A cluster, the recoveries of it so far, and what was done to them."""

    def __init__(self, stack, kills, contexts, cluster, seed):
        self.stack, self.kills, self.contexts, self.cluster = stack, kills, contexts, cluster
        self.engine, self.name, self.record = cluster.engine, cluster.name, cluster.record
        self.terminal, self.seed, self.random = Terminal(stack), seed, random.Random(seed)
        # Half of them end no recovery whose fence has begun: the undo of one takes minutes.
        self.is_late = self.random.random() < 0.5
        self.runs, self.decided, self.told, self.statuses, self.seen = [], set(), [], [], None
        self.endpoints = {cluster.endpoint: self.name}
        self.is_moved_by_hand = self.is_at_rest = False
        self.killed = []

    # ------------------------------------------------------------------------------------------------------- telling

    def tell(self, what):
        self.told.append(f"{datetime.datetime.now(UTC):%H:%M:%S.%f} {what}")

    def fail(self, what):
        standing = [f"{one['id']} is {one['state']}: {one['standing']}" for one in self.statuses]
        lines = [*self.told, "rewind status:", *standing, "what is so:", str(self.seen)]
        raise Untrue(f"{what}\nREWIND_SEQUENCE_SEED={self.seed} on {self.engine.name}, {len(self.told)} steps:\n" + "\n".join(lines))

    # ------------------------------------------------------------------------------------------------------ what is so

    def facts(self, with_logins=True):
        stack = self.stack
        names = [self.name, *self.restored()]
        found = {name: described for name in names if (described := stack.describe(name))}
        self.endpoints |= {described["Endpoint"]: name for name, described in found.items() if described.get("Endpoint")}
        tags = {name: {tag["Key"]: tag["Value"] for tag in described["TagList"]} for name, described in found.items()}
        groups = {name: sorted(group["VpcSecurityGroupId"] for group in d["VpcSecurityGroups"]) for name, d in found.items()}
        served = [name for name in found if any(i["DBInstanceStatus"] == "available" for i in stack.instances(name))]
        value = stack.records().get(self.record, ("nothing: the record is gone",))[0]
        who = {name: self.who_answers(found[name]["Endpoint"]) for name in served if with_logins}
        by_name = self.who_answers(self.record) if with_logins else None
        addresses = {self.address(found[name]["Endpoint"]): name for name in served}
        leases = [(name, stack.item(f"lease#{name}")) for name in names]
        return Facts(
            value=value,
            leads=self.endpoints.get(value),
            reached=addresses.get(self.address(self.record)),
            answers=next((name for name, server in who.items() if server and server == by_name), None),
            clusters=tuple((name, d["Status"], tags[name].get("aurora-rewind:keep-until")) for name, d in found.items()),
            served=frozenset(served),
            fenced=frozenset(name for name in found if groups[name] == sorted(stack.fence_groups)),
            admits=frozenset(name for name, server in who.items() if server),
            leases=tuple((name, lease["recoveryId"], lease["expiresAt"]) for name, lease in leases if lease and lease["expiresAt"] > time.time()),
        )  # fmt: skip

    def restored(self):
        """The clusters that the recoveries restore; one that resumes another has that one's."""
        return list(dict.fromkeys(run.request["newCluster"] for run in self.runs if "newCluster" in run.request))

    def address(self, host):
        """The address that the name server gives; None if it gives none."""
        with contextlib.suppress(dns.exception.DNSException):
            return self.stack.resolve(host)
        return None

    def who_answers(self, host):
        """The server that lets the application in by a name; None if none does."""
        with contextlib.suppress(self.engine.error, OSError, dns.exception.DNSException):
            with self.cluster.connect("shop", "app", APP_PASSWORD, host) as session:
                return session.execute(IDENTITY[self.engine.name]).fetchone()
        return None

    def status(self, run):
        return self.terminal.json("status", run.id)

    def rest(self, timeout=400):
        """Waits until nothing goes on by itself: executions are over or wait for people, and RDS has done what it was asked for."""

        def is_over(run):
            status, item = run.describe()["status"], run.item()
            if status == "RUNNING":
                return "approval" in item and run.id not in self.decided
            return item.get("state") not in ("Running", "AwaitingApproval")

        def is_done():
            if not all(is_over(run) for run in self.runs):
                return False
            before = self.facts(with_logins=False)
            if any(status != "available" for _, status, _ in before.clusters):
                return False
            instances = [i for name, _, _ in before.clusters for i in self.stack.instances(name)]
            if any(i["DBInstanceStatus"] != "available" for i in instances):
                return False
            time.sleep(1)  # the function that was called last before a stop goes on to its end
            return self.facts(with_logins=False) == before and all(is_over(run) for run in self.runs)

        wait_until(is_done, f"rest on {self.name}, after {self.told[-3:]}", timeout, 0.3)
        self.is_at_rest = True

    # -------------------------------------------------------------------------------------------------- what is compared

    def compare(self):
        """Compares what the status of each recovery tells with what is so."""
        deadline = time.monotonic() + (15 if self.is_at_rest else 3)
        while True:
            before = self.facts(self.is_at_rest)
            self.statuses = [self.status(run) for run in self.runs]
            self.seen = self.facts(self.is_at_rest)
            # What changes meanwhile can be told either way.
            wrong = list(self.wrong()) if before == self.seen else []
            is_seen = before == self.seen or not self.is_at_rest
            if is_seen and not wrong:
                return
            # The name server remembers a zone for a moment, and a cluster takes logins a moment after its groups are its own again.
            if time.monotonic() > deadline:
                self.fail("; ".join(wrong) or "what is so does not come to rest")
            time.sleep(0.3)

    def wrong(self):
        """Everything that the status tells otherwise than it is, and that is so in one place and not in another."""
        facts, told = self.seen, [one["standing"] for one in self.statuses]
        for one, run in zip(self.statuses, self.runs, strict=True):
            yield from self.wrong_of(one, run)
        told_fenced = {name for standing in told for name in standing["fenced"]}
        if told and (untold := facts.fenced - told_fenced):
            yield f"{sorted(untold)} are fenced, and no status tells it"
        if not self.is_at_rest:
            return
        # A function that was killed has left a note of a fence that it had not built, and the status says that it may be up.
        if (open_ones := told_fenced - facts.fenced) and not any(kill.killed for kill in self.killed):
            yield f"{sorted(open_ones)} are told to be fenced, and are not"
        if any(standing["outage"] for standing in told) != (facts.leads in told_fenced):
            yield f"the outages are told as {[standing['outage'] for standing in told]}, and the record leads to {facts.leads}"
        for name in facts.served:
            if (name in facts.fenced) == (name in facts.admits):
                yield f"{name} is {'' if name in facts.fenced else 'not '}fenced, and {'lets' if name in facts.admits else 'does not let'} an application in"
        if facts.leads in facts.served and facts.reached != facts.leads:
            yield f"the zone has {facts.leads} for {self.record}, and the name server {facts.reached}"
        if facts.answers != (facts.leads if facts.leads in facts.admits else None):
            yield f"{self.record} leads to {facts.leads}, and {facts.answers} answers"

    def wrong_of(self, status, run):
        """What the standing of one recovery tells otherwise than it is."""
        facts, standing, new = self.seen, status["standing"], status["newCluster"]
        about = lambda what, due: f"{run.id} tells the {what} {standing[what]}, and it is {due}"
        if (status.get("plan") or {}).get("dns"):
            is_own = facts.leads in (self.name, new)
            due = [f"{self.record} leads to {where}" for where in ([facts.leads] if is_own else []) + [facts.value]]
            # A cluster that is gone is told by its name or by what the record still holds.
            is_there = facts.leads in [name for name, _, _ in facts.clusters]
            due = due[:1] if is_there and is_own else due
            if [line.rstrip(".") for line in standing["traffic"]] not in [[line] for line in due]:
                yield about("traffic", due)
        else:
            is_planning = not status.get("plan") and status["state"] in ("Running", "AwaitingApproval")
            due = ["this recovery has moved no record yet" if is_planning else "this recovery moved no record"]
            if standing["traffic"] != due:
                yield about("traffic", due)
        due = [f"{name} ({state}) until {to_the_second(until)}" for name, state, until in facts.clusters if until and name in (self.name, new)]
        if standing["kept"] != due:
            yield about("kept", due)
        held = [lease for lease in facts.leases if lease[0] == self.name]
        due = next((f"{holder} holds {name} until {datetime.datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}" for name, holder, until in held), None)
        if standing["lease"] != due:
            yield about("lease", due)
        if standing["unseen"]:
            yield about("unseen", "all to be seen")
        if not standing["commands"] or not all(one["command"].startswith("rewind ") for one in standing["commands"]):
            yield about("commands", "at least one of rewind")
        runs = run.describe()["status"] == "RUNNING"
        if self.is_at_rest and runs != (status["state"] in ("Running", "AwaitingApproval")):
            yield f"{run.id} is told to be {status['state']}, and its execution {'runs' if runs else 'is over'}"

    # ---------------------------------------------------------------------------------------------------------- steps

    def run(self):
        """All of it."""
        try:
            self.rest()
            self.compare()
            until = time.monotonic() + SECONDS
            for _ in range(self.random.randint(*STEPS)):
                if time.monotonic() < until:
                    self.step()
            self.end()
        except Untrue:
            raise
        # A command that hangs, or a wait that is over, is of no use without the steps that led to it.
        except Exception as failure:
            self.fail(f"{type(failure).__name__}: {failure}")

    def step(self):
        """Something that people do, or that happens to them."""
        state = self.statuses[-1]["state"] if self.statuses else "nothing"
        weights = DRAWN.get(state, DRAWN["over"])
        chosen = self.random.choices(list(weights), list(weights.values()))[0]
        before = self.seen if self.is_at_rest else None
        refused = getattr(self, chosen)() == 5
        if before and refused:
            self.rest()
            if (now := self.facts()) != before:
                self.seen = now
                self.fail(f"{chosen} was refused, and it was {before}")
        # Half of the steps are done while the one before them is still at work.
        if self.random.random() < 0.5:
            self.rest()
        self.compare()

    def types(self, *words):
        """Runs a command to its end; answers its exit code."""
        self.is_at_rest = False
        command = self.terminal.begin(*words)
        try:
            out, err = command.communicate(timeout=500)
        finally:
            command.kill()
        lines = (out + err).strip().splitlines() or [""]
        self.tell(f"{shlex.join(['rewind', *words])} ended with {command.returncode}: {lines[-1][:300]}")
        if command.returncode not in CODES:
            self.fail(f"the exit code {command.returncode} of rewind {' '.join(words)}:\n{out}{err}")
        return command.returncode

    def start(self):
        self.cluster.settle()
        return self.second()

    def second(self):
        """A start, whatever else is going on."""
        number = len(self.runs) + 1
        name, new = f"{self.name}-{time.time_ns()}", f"{self.name}-r{number}"
        approval = self.random.choice(["required", "none"])
        code = self.types(
            "start", self.name, "1s ago", "--dns", f"{self.stack.zone}:{self.record}", "--new-cluster", new, "--check", CHECK,
            "--approval", approval, "--name", name, "--detach",
        )  # fmt: skip
        if code == 0:
            self.runs.append(Started(self.stack, name))
        return code

    def chosen_run(self):
        """The latest recovery, and now and then an earlier one."""
        return self.random.choice(self.runs) if self.random.random() < 0.2 else self.runs[-1]

    def approve(self):
        run = self.chosen_run()
        pending = self.status(run).get("approval") or {}
        return self.decide(run, "approve", run.id, "--hash", pending.get("hash", "0123456789"))

    def reject(self):
        run = self.chosen_run()
        return self.decide(run, "reject", run.id, "not", "now")

    def decide(self, run, *words):
        code = self.types(*words)
        if code == 0:
            self.decided.add(run.id)
        return code

    def cancel(self):
        return self.end_by("cancel")

    def undo(self):
        return self.end_by("undo")

    def end_by(self, command):
        run = self.chosen_run()
        self.come_to_a_moment(run)
        return self.types(command, run.id, "--confirm", self.name)

    def stop(self):
        """Somebody stops the execution of a recovery by hand."""
        run = self.chosen_run()
        self.come_to_a_moment(run)
        self.is_at_rest = False
        if run.describe()["status"] == "RUNNING":
            self.stack.states.stop_execution(executionArn=run.arn)
            self.tell(f"{run.id} was stopped after {(run.whole_path() or ['its start'])[-1]}")

    def come_to_a_moment(self, run):
        """Waits for a drawn moment of a recovery that runs, and for its end where its fence has begun and nobody may end it then."""
        state = self.random.choice(EARLY + LATE * self.is_late)
        later = self.random.uniform(0, 0.6)
        goes_on = lambda: run.describe()["status"] == "RUNNING" and not run.item().get("approval")
        wait_until(lambda: not goes_on() or state in run.whole_path(), f"{state} of {run.id}", 120)
        time.sleep(later)
        if not self.is_late and "fenceBegunAt" in run.item():
            wait_until(lambda: not goes_on(), f"the end of {run.id}", 150)

    def kill(self):
        """The next function that makes a drawn call is killed."""
        words, when = self.random.choice(KILLED_AT), self.random.choice(["before", "after"])
        self.killed.append(self.contexts.enter_context(self.kills.at(*words, self.name, when=when)))
        self.tell(f"the next function at {' '.join(words)} is killed {when} it")

    def move(self):
        """Somebody moves the record by hand."""
        there = sorted(self.facts(with_logins=False).served)
        ends = {name: endpoint for endpoint, name in self.endpoints.items()}
        self.point(self.random.choice([ELSEWHERE, *(ends[name] for name in there)]))
        self.is_moved_by_hand = True

    def point(self, value):
        self.is_at_rest = False
        self.stack.change_record("UPSERT", self.record, value, TTL)
        self.tell(f"somebody pointed {self.record} at {self.endpoints.get(value, value)}")

    def wait(self):
        self.rest()
        self.tell("it came to rest")

    # ------------------------------------------------------------------------------------------------------------ end

    def left(self):
        """What is left to do before the cluster is as somebody wants it to be left, in sentences."""
        facts = self.seen
        named = {line.split()[0] for one in self.statuses for what in ("kept", "fenced") for line in one["standing"][what]}
        for one in self.statuses:
            if one["state"] in ("Running", "AwaitingApproval"):
                yield f"{one['id']} is {one['state']}"
        yield from (f"{holder} holds the lease of {name}" for name, holder, _ in facts.leases)
        if not facts.answers:
            yield f"nobody answers by {self.record}, which is {facts.value}"
        if self.name in facts.fenced:
            yield f"{self.name} is fenced"
        for name, _, _ in facts.clusters:
            if name not in (self.name, facts.answers) and name not in named:
                yield f"{name} is left, and no status tells that it is kept or fenced"

    def command(self):
        """A command that the status prints of a recovery that something is left of, with its effect; None if it prints none that acts."""
        for one in reversed(self.statuses):
            standing = one["standing"]
            is_open = one["state"] in ("Running", "AwaitingApproval", "NeedsOperator") or self.name in standing["fenced"]
            # One with a word to replace opens what is kept to a reader, and ends nothing.
            acting = [safe for safe in standing["commands"] if not safe["command"].startswith(SHOWING) and "<" not in safe["command"]]
            if acting and (is_open or standing["outage"]):
                return self.random.choice(acting)
        return None

    def type_as_printed(self, safe):
        """Types a printed command at a terminal, and what it asks for; answers what the terminal shows."""
        self.is_at_rest = False
        command = safe["command"]
        program, *words = shlex.split(command)
        assert program == "rewind", f"the printed command {command}"
        screen = Screen(self.terminal, *words)
        questions = ["of that hash:", "type the source's name", "type the restored cluster's name"]
        asked = screen.sees_one_of(*questions, *["waits for a decision", "ended in"] * (words[0] == "resume"), timeout=300)
        if asked == "of that hash:":
            screen.types(re.search(r"This is (\w+)\.", screen.seen)[1][:6] + "\n")
        elif asked == "type the source's name":
            screen.types(f"{self.name}\n")
        elif asked == "type the restored cluster's name":
            screen.types(re.search(r"type the restored cluster's name, (\S+):", screen.seen)[1] + "\n")
        elif asked == "waits for a decision":
            screen.types("\x03")  # Ctrl-C: the decision is the next command
        code = screen.ends(*CODES, *[130] * (asked == "waits for a decision"))
        # What is refused by itself needs no question.
        if safe["effect"].endswith("asks first") and asked not in questions and code != 5:
            self.fail(f"{command} is printed as one that asks first ({safe['effect']}), and did it without a question:\n{screen.seen}")
        if words[0] in ("approve", "reject") and code == 0:
            self.decided.add(words[1])
        if words[0] == "resume" and (started := re.search(r"(\S+) is started", screen.seen)):
            self.runs.append(Started(self.stack, started[1]))
        self.tell(f"{command}, as it is printed, ended with {code}: {screen.seen.strip().splitlines()[-1][:300]}")
        return screen.seen

    def end(self):
        """Types what the status prints, until nothing is left."""
        for count in range(COMMANDS + 1):
            self.rest()
            self.compare()
            left = list(self.left())
            if not left:
                self.tell(f"nothing is left after {count} commands")
                return
            command = self.command()
            shown = self.type_as_printed(command) if command and count < COMMANDS else ""
            # Who moved a record by hand is the one who can move it back, and is asked for that where a recovery has anything left to do.
            is_theirs = self.is_moved_by_hand and (not command or "find out who changed it" in " ".join(shown.split()))
            if is_theirs:
                self.point(self.cluster.endpoint)
                self.is_moved_by_hand = False
            elif not command:
                self.fail(f"{'; '.join(left)}; and no command is printed that does anything about it")
        self.fail(f"after {COMMANDS} printed commands {'; '.join(left)}")


def create(stack, name, engine, **settings):
    """A cluster with three orders, and an application that logs in to it."""
    cluster = Cluster.create(stack, name, engine=engine, **settings)
    # Read once: it is asked for while the cluster changes.
    cluster._password = cluster.password
    cluster.sql([
        "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1), (2), (3)",
        *engine.grant_app("app", APP_PASSWORD, "orders"),
    ])  # fmt: skip
    return cluster


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "number"), SEQUENCES)
def test_status_tells_what_is_so_and_its_commands_end_what_any_sequence_left(stack, kills, engine, number):
    seed = int(os.environ.get("REWIND_SEQUENCE_SEED") or 1) + number - 1
    print(f"REWIND_SEQUENCE_SEED={seed}")
    cluster = create(stack, f"{engine.prefix}-sequence-{number:03}", engine)
    with contextlib.ExitStack() as contexts:
        sequence = Sequence(stack, kills, contexts, cluster, seed)
        sequence.run()
    print("\n".join(sequence.told))
