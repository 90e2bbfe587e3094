"""Draws at random from everything that the fault tests have, and runs one after the other on the same clusters, for a time: what only
shows after many recoveries of one cluster, and for writers whose connections survive them all. Drawn are cells of the matrix with the
moment of each fault, faults of RDS beside them, the tests of test_control_plane.py, and rounds of test_cutovers.py. Prints what repeats a failure.

    .local/tools/tests/bin/python tests/faults/soak.py --seconds 600 --seed 1 [--from 17]

A seed draws the same in the same order. `--from` leaves out those before the failed one, which alone may not fail.
"""

import argparse
import functools
import itertools
import os
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "e2e")]

from stack import ROOT, Stack  # noqa: E402

import flows  # noqa: E402
import test_control_plane  # noqa: E402
import test_cutovers  # noqa: E402
from cases import Failed, Run, plan  # noqa: E402
from ground import PREFIX, Application, Ground, Pool  # noqa: E402


# Of RDS, where nothing is done before: no end is another for them.
BESIDE = [None, None, ("Describe", "throttle"), ("Describe", "unavailable"), ("List", "unavailable"), ("Create", "throttle"), ("Modify", "throttle"),
          ("Restore", "throttle"), ("AddTags", "throttle"), ("Delete", "throttle")]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=1, help="the number of the first one that is run")
    arguments = parser.parse_args()
    stack = Stack(os.environ.get("REWIND_STACK_DIR", ROOT / ".local"))
    soak = Soak(stack, arguments.seed, arguments.seconds)
    try:
        failed = soak.run(arguments.first)
    finally:
        soak.close()
    sys.exit(1 if failed else 0)


class Scenario:
    """A test of test_control_plane.py on one of its grounds, with one set of its parameters."""

    def __init__(self, name, kind, test):
        self.id, self.kind, self.test = name, (*kind, Application), test

    def run(self, ground, *_):
        """Runs it, and puts the ground in order; answers what the test said."""
        self.test(ground)
        if not ground.is_gone:
            ground.put_in_order()
        return "as documented"


class Cell:
    """A cell of the matrix."""

    def __init__(self, case):
        self.id, self.case, self.kind = case.id, case, (*case.flow.kind, Application)

    def run(self, ground, number, seed):
        """Runs it, and what comes after it; answers its end."""
        run = Run(ground, self.case, number, f"{seed}/{self.id}")
        end = run.run()
        if problems := run.after():
            raise Failed("; ".join(problems))
        return end


class Round:
    """Traffic that moves there and back under an application with pools of connections."""

    def __init__(self, engine):
        self.id, self.kind = f"cutovers with pools, {engine}", (engine, False, False, Pool)

    def run(self, ground, number, _):
        """Runs it, and puts the ground in order; answers how often traffic moved."""
        return f"{test_cutovers.there_and_back(ground, f'{ground.name}-{number}')} cutovers"


def scenarios():
    """Every test of test_control_plane.py, on each of its grounds and with each of its parameters."""
    for name, test in vars(test_control_plane).items():
        if name.startswith("test_"):
            given = {mark.args[0]: mark.args[1] for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"}
            kinds = given.pop("ground", [test_control_plane.POSTGRES])
            for kind, *values in itertools.product(kinds, *given.values()):
                engine, in_place, _ = kind
                words = [name, engine, *["in place"] * in_place, *map(str, values)]
                yield Scenario("-".join(words), kind, functools.partial(test, **dict(zip(given, values, strict=True))))


class Soak:
    """The clusters of a soak, and what it draws."""

    def __init__(self, stack, seed, seconds):
        self.stack, self.seed, self.seconds, self.draw = stack, seed, seconds, random.Random(seed)
        self.grounds, self.made, self.rows = {}, itertools.count(1), 0
        rounds = [Round(engine) for engine in dict.fromkeys(engine for engine, _ in test_cutovers.GROUNDS)]
        self.kinds = [[Cell(case) for case in flows.cases()], list(scenarios()), rounds]

    def drawn(self):
        """What comes next, and the fault of RDS beside it: a cell eight times of eleven."""
        one = self.draw.choice(self.draw.choices(self.kinds, weights=[8, 2, 1])[0])
        beside = self.draw.choice(BESIDE)
        return one, beside if isinstance(one, Cell) else None

    def run(self, first):
        """Runs what it draws until the time is over; answers how many failed."""
        until, failed = time.monotonic() + self.seconds, 0
        for number in itertools.count(1):
            one, beside = self.drawn()
            if number < first:
                continue
            if time.monotonic() > until:
                print(f"{number - first} runs, {failed} failed, {self.rows} acknowledged rows, all of them found where none failed", flush=True)
                return failed
            began = time.monotonic()
            try:
                end = self.once(one, number, beside)
            # A test fails with whatever it met.
            except Exception as failure:
                failed += 1
                self.grounds.pop(one.kind).abandon()
                print(f"FAILED {number} {one.id} beside {beside}: {failure or type(failure).__name__}", flush=True)
                print(f"  repeat: make soak SECONDS={self.seconds:.0f} SEED={self.seed}, or from there on: FROM={number}", flush=True)
            else:
                print(f"{number:4} {time.monotonic() - began:6.1f} s  {one.id:60} {end:16} {' '.join(beside or [])}", flush=True)

    def once(self, one, number, beside):
        """Runs one on the ground of its kind."""
        if one.kind in self.grounds and self.grounds[one.kind].is_gone:
            self.grounds.pop(one.kind).close()
        if one.kind not in self.grounds:
            name = f"{PREFIX}-s{self.seed}-{next(self.made)}"
            self.grounds[one.kind] = Ground(self.stack, name, *one.kind)
        ground = self.grounds[one.kind]
        before = len(ground.acknowledged())
        if beside:
            plan(self.stack, action=beside[0], fails=beside[1], mentions=ground.name, times=2)
        end = one.run(ground, number, f"{self.seed}/{number}")
        # One that it did not come to would meet the next one, which could not be repeated alone.
        plan(self.stack, forget=ground.name)
        self.rows += len(ground.acknowledged()) - before
        return end

    def close(self):
        for ground in self.grounds.values():
            ground.close()


if __name__ == "__main__":
    main()
