"""Draws cells of the fault matrix at random, and faults of RDS beside them, and runs one after the other on the same clusters, for a
time: what only shows after many recoveries of one cluster, and for writers whose connections survive them all. Prints what repeats a failure.

    .local/tools/tests/bin/python tests/faults/soak.py --seconds 600 --seed 1 [--from 17]

A seed draws the same cells in the same order. `--from` leaves out those before the failed one, which alone may not fail.
"""

import argparse
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
from cases import Failed, Run, plan  # noqa: E402
from ground import PREFIX, Ground  # noqa: E402


# Of RDS, where nothing is done before: no end is another for them.
BESIDE = [None, None, ("Describe", "throttle"), ("Describe", "unavailable"), ("List", "unavailable"), ("Create", "throttle"), ("Modify", "throttle"),
          ("Restore", "throttle"), ("AddTags", "throttle"), ("Delete", "throttle")]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=1, help="the number of the first cell that is run")
    arguments = parser.parse_args()
    stack = Stack(os.environ.get("REWIND_STACK_DIR", ROOT / ".local"))
    soak = Soak(stack, arguments.seed)
    try:
        failed = soak.run(time.monotonic() + arguments.seconds, arguments.first)
    finally:
        soak.close()
    sys.exit(1 if failed else 0)


class Soak:
    """The clusters of a soak, and the cells that it draws."""

    def __init__(self, stack, seed):
        self.stack, self.seed, self.draw = stack, seed, random.Random(seed)
        self.grounds, self.made, self.rows = {}, itertools.count(1), 0

    def run(self, until, first):
        """Runs cells until the time is over; answers how many failed."""
        cases, failed = flows.cases(), 0
        for number in itertools.count(1):
            case, beside = self.draw.choice(cases), self.draw.choice(BESIDE)
            if number < first:
                continue
            if time.monotonic() > until:
                print(f"{number - first} cells, {failed} failed, {self.rows} acknowledged rows, all of them found", flush=True)
                return failed
            began = time.monotonic()
            try:
                end = self.cell(case, number, beside)
            except (Failed, AssertionError) as failure:
                failed += 1
                self.grounds.pop(case.flow.kind).abandon()
                print(f"FAILED {number} {case.id} beside {beside}: {failure}", flush=True)
                print(f"  repeat: make soak SEED={self.seed}, or alone: make faults E2E='{case.flow.name.split(',')[0]} and {case.state}'", flush=True)
            else:
                print(f"{number:4} {time.monotonic() - began:6.1f} s  {case.id:60} {end:16} {' '.join(beside or [])}", flush=True)

    def cell(self, case, number, beside):
        """Runs one cell on the ground of its kind."""
        key = case.flow.kind
        if key not in self.grounds or self.grounds[key].is_gone:
            name = f"{PREFIX}-s{self.seed}-{next(self.made)}"
            self.grounds[key] = Ground(self.stack, name, *key)
        ground = self.grounds[key]
        before = len(ground.acknowledged())
        if beside:
            plan(self.stack, action=beside[0], fails=beside[1], mentions=ground.name, times=2)
        run = Run(ground, case, number)
        end = run.run()
        if problems := run.after():
            raise Failed("; ".join(problems))
        self.rows += len(ground.acknowledged()) - before
        return end

    def close(self):
        for ground in self.grounds.values():
            ground.close()


if __name__ == "__main__":
    main()
