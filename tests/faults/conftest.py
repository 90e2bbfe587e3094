"""The fixtures of the fault tests: the running stack, and for each worker a ground of each kind, on which its cases follow each other.

    .local/tools/tests/bin/python -m pytest tests/faults --numprocesses=4 [--part=3/10 | --matrix=docs/fault-matrix.md]

`--part=n/m` runs the n-th of m parts of the matrix, `--matrix` writes the table after a run of all of it. The stack is the one in
$REWIND_STACK_DIR, or in .local.
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

import report  # noqa: E402
from ground import PREFIX, Ground  # noqa: E402
from cluster import remove  # noqa: E402
from checks import wait_until  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", help="n/m: the n-th of m parts of the matrix")
    parser.addoption("--matrix", help="the file that the table is written to after a run of the whole matrix")


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    stack = Stack(folder())
    left = lambda: [name for name in stack.inventory() if name.startswith(PREFIX)]
    for name in left():
        remove(stack, name)
    wait_until(lambda: not left(), "the end of what an earlier run left")


def folder():
    return os.environ.get("REWIND_STACK_DIR", ROOT / ".local")


@pytest.fixture(scope="session")
def stack():
    return Stack(folder())


@pytest.fixture(scope="session")
def grounds(stack, worker_id):
    """Gives the ground of an engine; one that a case left in disorder is replaced."""
    numbers, kept = itertools.count(1), {}
    short = "m" if worker_id == "master" else worker_id.removeprefix("gw")

    def ground(engine, in_place, fresh=False):
        key = (engine, in_place)
        if fresh or key not in kept or kept[key].is_gone:
            if key in kept:
                kept[key].close() if kept[key].is_gone else kept[key].abandon()
            kept[key] = Ground(stack, f"{PREFIX}-{short}{next(numbers)}{os.getpid() % 1000}", engine, in_place)
        return kept[key]

    yield ground
    for one in kept.values():
        one.close()


def pytest_terminal_summary(terminalreporter):
    report.print_table(terminalreporter)


def pytest_sessionfinish(session, exitstatus):
    config = session.config
    if config.option.matrix and exitstatus == 0 and not hasattr(config, "workerinput"):
        report.write(Path(config.option.matrix))
