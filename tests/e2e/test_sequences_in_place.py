"""Recoveries in place that end at any moment: they are stopped by hand or cancelled at a drawn state, and so is an undo of them. At rest
`rewind status` has to tell what is so of the fence, the safety clone and the lease, and the commands that it prints are typed as they are
printed, until clients have their database and nothing is left. Seeds are those of test_sequences.py."""

import os
import random
import shlex
import time

import pytest

from backtracks import rewind_in_place
from checks import wait_until
from cluster import BACKTRACK, iso, to_the_second
from engines import MYSQL
from test_cli import Screen, Terminal
from test_sequences import CODES, COMMANDS, SHOWING, create
from writers import APP_PASSWORD

FEW = 2
NUMBERS = range(1, int(os.environ.get("REWIND_SEQUENCES") or FEW) + 1)
# Drawn evenly by what there is to undo: nothing, a fence, a safety clone, rewound data, and clients who may be back.
MOMENTS = [
    ["AcquireLease", "ValidateWindow", "RecordPlan"], ["NoteFence", "FenceSource", "CloneSource"],
    ["AddInstances", "AwaitInstances", "NoteBacktrack"], ["StartBacktrack", "Verify"], ["NoteLift", "LiftFence", "Finish"],
]  # fmt: skip
SEEN = ["Status", "VpcSecurityGroups", "TagList"]
REWOUND, WITH_MISTAKE = 3, 2
BACK = {"name": "all orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": str(REWOUND)}


class Sequence:
    """A cluster with a mistake in it, the recovery of it, and what was done to that."""

    def __init__(self, stack, cluster, seed):
        self.stack, self.cluster, self.terminal = stack, cluster, Terminal(stack)
        self.random, self.seed, self.told = random.Random(seed), seed, []
        cluster.settle()
        target = cluster.mistake("DELETE FROM orders WHERE id = 3")
        self.run = rewind_in_place(cluster, iso(target), checks=[BACK])

    def tell(self, what):
        self.told.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}")

    def fail(self, what):
        seen = "\n".join([*self.told, f"rewind status: {self.status}"])
        raise AssertionError(f"{what}\nREWIND_SEQUENCE_SEED={self.seed}:\n{seen}")

    # ---------------------------------------------------------------------------------------------------------- steps

    def end_it(self):
        """Comes to a drawn moment, and stops or cancels the recovery, or lets it end."""
        state, later = self.random.choice(self.random.choice(MOMENTS)), self.random.uniform(0, 1)
        is_over = lambda: self.run.describe()["status"] != "RUNNING"
        wait_until(lambda: is_over() or state in self.run.whole_path(), f"{state} of {self.run.id}", 200)
        time.sleep(later)
        if not is_over() and self.random.random() < 0.75:
            self.run.stop()
            self.tell(f"it was stopped {later:.1f} s after {state}")
        else:
            out, err = self.terminal.begin("cancel", self.run.id, "--confirm", self.cluster.name, stdout=-1, stderr=-1).communicate(timeout=600)
            self.tell(f"it was cancelled {later:.1f} s after {state}: {(out + err).strip().splitlines()[-1]}")

    def rest(self):
        """Waits until RDS has done what it was asked for, no execution is at work, and what is so stays so."""

        def is_at_rest():
            before = self.facts()
            states = [described["Status"] for described in before["clusters"].values()]
            if any(state != "available" for state in states) or self.undos():
                return False
            time.sleep(1)
            return self.facts() == before and not self.undos() and self.run.item().get("state") not in ("Running", "AwaitingApproval")

        wait_until(is_at_rest, f"rest after {self.told[-2:]}", 500, 0.5)

    def undos(self):
        """The undos that are at work."""
        found = self.stack.states.list_executions(stateMachineArn=self.stack.outputs["UndoStateMachineArn"], statusFilter="RUNNING")
        return [one["executionArn"] for one in found["executions"] if one["name"].startswith(f"{self.run.id}-undo")]

    def facts(self):
        names = [self.cluster.name, f"{self.cluster.name}-r"]
        # Its moments move on by themselves.
        clusters = {name: {key: found[key] for key in SEEN} for name in names if (found := self.stack.describe(name))}
        leases = [(name, item["recoveryId"]) for name in names if (item := self.stack.item(f"lease#{name}")) and item["expiresAt"] > time.time()]
        return {"clusters": clusters, "leases": leases}

    # -------------------------------------------------------------------------------------------------- what is compared

    def compare(self):
        """Compares what the status tells with what is so; answers what is left to do."""
        self.rest()
        facts, self.status = self.facts(), self.terminal.json("status", self.run.id)
        standing, name = self.status["standing"], self.cluster.name
        groups = sorted(group["VpcSecurityGroupId"] for group in facts["clusters"][name]["VpcSecurityGroups"])
        is_fenced = groups == sorted(self.stack.fence_groups)
        if standing["fenced"] != [name] * is_fenced:
            self.fail(f"{standing['fenced']} are told to be fenced, and the groups of {name} are {groups}")
        kept = {n: {tag["Key"]: tag["Value"] for tag in d["TagList"]}.get("aurora-rewind:keep-until") for n, d in facts["clusters"].items()}
        due = [f"{n} (available) until {to_the_second(until)}" for n, until in kept.items() if until]
        if standing["kept"] != due:
            self.fail(f"{standing['kept']} is told to be kept, and it is {due}")
        if bool(standing["lease"]) != any(cluster == name for cluster, _ in facts["leases"]):
            self.fail(f"the lease is told as {standing['lease']}, and it is {facts['leases']}")
        if is_fenced:
            yield f"{name} is fenced"
        yield from (f"{holder} holds the lease of {cluster}" for cluster, holder in facts["leases"])
        yield from (f"{n} is left without a time" for n, until in kept.items() if n != name and not until)

    def type_as_printed(self, command):
        """Types a printed command, and what it asks for; now and then the undo is stopped."""
        program, *words = shlex.split(command)
        assert program == "rewind", f"the printed command {command}"
        screen = Screen(self.terminal, *words)
        asked = screen.sees_one_of("type the source's name", "ended in", timeout=300)
        if asked == "type the source's name":
            screen.types(f"{self.cluster.name}\n")
            if self.random.random() < 0.3:
                wait_until(self.undos, f"the undo of {self.run.id}", 60)
                time.sleep(self.random.uniform(0, 4))
                for arn in self.undos():
                    self.stack.states.stop_execution(executionArn=arn)
                    self.tell(f"{arn.rpartition(':')[2]} was stopped")
        code = screen.ends(*CODES, timeout=700)
        lines = screen.seen.strip().splitlines()
        self.tell(f"{command}, as it is printed, ended with {code}: {lines[-1][:300]}")

    def come_to_an_end(self):
        """Types what the status prints, until nothing is left, and compares the data with what is told of it."""
        for _ in range(COMMANDS + 2):
            if not (left := list(self.compare())):
                break
            printed = [safe["command"] for safe in self.status["standing"]["commands"]]
            # One with a word to replace opens what is kept to a reader, and ends nothing.
            acting = [command for command in printed if not command.startswith(SHOWING) and "<" not in command]
            if not acting:
                self.fail(f"{'; '.join(left)}; and no command is printed that does anything about it")
            self.type_as_printed(self.random.choice(acting))
        else:
            self.fail(f"after so many printed commands {'; '.join(left)}")
        with self.cluster.connect("shop", "app", APP_PASSWORD, self.cluster.record) as session:
            (rows,) = session.execute("SELECT count(*) FROM orders").fetchone()
        state = self.status["state"]
        if rows != (REWOUND if state == "Recovered" else WITH_MISTAKE):
            self.fail(f"{rows} orders are there, and the recovery is {state}")


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_printed_commands_end_a_recovery_in_place_that_was_ended_at_any_moment(stack, number):
    seed = int(os.environ.get("REWIND_SEQUENCE_SEED") or 1) + number - 1
    print(f"REWIND_SEQUENCE_SEED={seed}")
    cluster = create(stack, f"e2e-my-place-seq-{number:03}", MYSQL, **BACKTRACK)
    sequence = Sequence(stack, cluster, seed)
    sequence.end_it()
    sequence.come_to_an_end()
    print("\n".join(sequence.told))
