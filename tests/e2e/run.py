#!/usr/bin/env python3
"""The end-to-end tests: real clients against a running local stack (`make up`), with the deployed state machine and
functions and real databases. A line a test; exits non-zero when one fails.

    .local/tools/e2e/bin/python tests/e2e/run.py [part of a test's name ...]
"""

import argparse
import importlib
import os
import pathlib
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness
from cluster import remove
from stack import ROOT, Stack
from trap import Traps
from watch import Watch

# Each registers its tests, in the order in which they are told.
for module in [
    "speed", "mistakes", "in_place", "choosing", "requesting", "undone", "fences", "settings", "window", "histories", "cleaning",
    "killed", "killed_in_place", "permissions", "zones", "leaks",
    "door", "chat", "events", "terminal", "console",
]:  # fmt: skip
    importlib.import_module(module)


def clear(stack):
    """Ends what failed tests of an earlier run left to look at."""
    running = stack.states.list_executions(stateMachineArn=stack.machine, statusFilter="RUNNING")["executions"]
    for execution in running:
        if execution["name"].startswith(("e2e-", "event-", "rewind-e2e-")):
            stack.states.stop_execution(executionArn=execution["executionArn"])
    table = stack.client("dynamodb")
    for item in table.scan(TableName=stack.table, ConsistentRead=True)["Items"]:
        if item["id"]["S"].startswith("lease#e2e-"):
            table.delete_item(TableName=stack.table, Key={"id": item["id"]})
    left = lambda: [name for name in stack.inventory() if name.startswith("e2e-")]
    for name in left():
        remove(stack, name)
    harness.wait_until(lambda: not left(), "the end of what an earlier run left")


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
    # Ended from outside it tidies up all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    stack = Stack(options.stack)
    clear(stack)
    stack.watch = Watch(stack)
    stack.traps = Traps(stack)
    stack.traps.remove()
    # Those that measure run alone, and with the functions as they were deployed.
    last = [one for one in chosen if one.last]
    alone, together = [[one for one in chosen if one.alone is wanted and not one.last] for wanted in (True, False)]
    passed, failed = harness.run(alone, stack, 1)
    try:
        if any(one.run.__module__.startswith("killed") for one in together):
            stack.traps.install()
        more = harness.run(together, stack, options.jobs)
    finally:
        stack.traps.remove()
    try:
        end = harness.run(last, stack, 1)
    finally:
        stack.watch.stop()
    passed, failed = passed + more[0] + end[0], failed + more[1] + end[1]
    print(f"{passed} passed, {failed} failed, in {time.monotonic() - began:.0f} s")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
