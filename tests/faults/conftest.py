"""The fixtures of the fault tests: the running stack, and for each worker a ground of each kind, on which its cases follow each other.

    .local/tools/tests/bin/python -m pytest tests/faults --numprocesses=4 [--part=3/12 | --part=commit/16]

`--part` runs the third of twelve parts of the matrix, or the one that the commit chooses. The stack is the one in $REWIND_STACK_DIR,
or in .local.
"""

import itertools
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
sys.dont_write_bytecode = True
pytest.register_assert_rewrite("checks", "cluster", "recovery", "writers")

from stack import ROOT, Stack  # noqa: E402

import part  # noqa: E402
import report  # noqa: E402
from ground import PREFIX, Ground  # noqa: E402
from cluster import remove  # noqa: E402
from checks import wait_until  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--cutovers", type=int, default=200, help="how often traffic moves under the applications of test_cutovers.py")
    parser.addoption("--part", default="1/1", help="n/m: the n-th of m parts of the matrix; commit/m: the one of this commit")


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    stack = Stack(folder())
    for machine in [stack.machine, stack.outputs["UndoStateMachineArn"]]:
        for execution in stack.states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
            if execution["name"].startswith(PREFIX):
                stack.states.stop_execution(executionArn=execution["executionArn"])
    left = lambda: [name for name in stack.inventory() if name.startswith(PREFIX)]
    for name in left():
        remove(stack, name)
    wait_until(lambda: not left(), "the end of what an earlier run left")


CHOSEN_BY = pytest.StashKey[str]()


def pytest_configure(config):
    try:
        number, parts, by = part.chosen(config.option.part, ROOT)
    except ValueError as error:
        raise pytest.UsageError(f"--part={config.option.part}: {error}; next step: name the part, as in --part=3/12") from None
    # A worker gets the option with the number in it.
    config.option.part, config.stash[CHOSEN_BY] = f"{number}/{parts}", by


def folder():
    return os.environ.get("REWIND_STACK_DIR", ROOT / ".local")


@pytest.fixture(scope="session")
def stack():
    return Stack(folder())


@pytest.fixture(scope="session")
def grounds(stack, worker_id):
    """Gives the ground of a kind, and lets the others rest; one that a case left in disorder is replaced."""
    numbers, kept = itertools.count(1), {}
    short = "m" if worker_id == "master" else worker_id.removeprefix("gw")

    def ground(key, fresh=False):
        if fresh or key not in kept or kept[key].is_gone:
            if key in kept:
                kept[key].close() if kept[key].is_gone else kept[key].abandon()
            kept[key] = Ground(stack, f"{PREFIX}-{short}{next(numbers)}{os.getpid() % 1000}", *key)
        for other in kept.values():
            other.rest(other is not kept[key])
        return kept[key]

    yield ground
    for one in kept.values():
        one.close()


def pytest_terminal_summary(terminalreporter, config):
    report.print_table(terminalreporter, config.option.part, config.stash[CHOSEN_BY])
