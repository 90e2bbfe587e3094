#!/usr/bin/env python3
"""The end-to-end tests: real clients against a running local stack (`make up`), the deployed state machine and functions,
real databases. A line a test; exits non-zero when one fails.

    .local/tools/e2e/bin/python tests/e2e/run.py [part of a test's name ...]
"""

import argparse
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness
from cluster import remove
from stack import ROOT, Stack
from trap import Traps

import speed, mistakes, requesting, undone, fences, settings, killed  # noqa: E401, isort:skip (each registers its tests)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default=os.environ.get("REWIND_STACK_DIR", ROOT / ".local"), help="its directory")
    parser.add_argument("--jobs", type=int, default=4, help="how many tests run side by side")
    parser.add_argument("--list", action="store_true", help="name the tests and stop")
    parser.add_argument("names", nargs="*", help="run only the tests whose name contains one of these")
    options = parser.parse_args()
    chosen = harness.choose(options.names)
    if options.list:
        for one in chosen:
            print(f"{one.slug:32} {one.name}")
        return 0
    began = time.monotonic()
    stack = Stack(options.stack)
    # What failed tests of an earlier run left to look at.
    for name in [name for name in stack.inventory() if name.startswith("e2e-")]:
        remove(stack, name)
    harness.wait_until(
        lambda: not [name for name in stack.inventory() if name.startswith("e2e-")], "the end of what an earlier run left"
    )
    # Those that measure run alone, and with the functions as they were deployed.
    alone, together = [[one for one in chosen if one.alone is wanted] for wanted in (True, False)]
    passed, failed = harness.run(alone, stack, 1)
    stack.traps = Traps(stack)
    try:
        if any(one.run.__module__ == "killed" for one in together):
            stack.traps.install()
        more = harness.run(together, stack, options.jobs)
    finally:
        stack.traps.remove()
    passed, failed = passed + more[0], failed + more[1]
    print(f"{passed} passed, {failed} failed, in {time.monotonic() - began:.0f} s")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
