"""The fixtures of the end-to-end tests: real clients against a running local stack (`make up`), with the deployed state machine and
functions and real databases. What watches the whole run, and what all workers share, lives in the controller.

    .local/tools/tests/bin/python -m pytest tests/e2e --numprocesses=4 [-k part_of_a_name]

The stack is the one in $REWIND_STACK_DIR, or in .local. A test that has passed removes what it made; a failed one leaves it to look
at, and the next run removes it.
"""

import os
import secrets
import signal
import sys
import threading
from multiprocessing.managers import BaseManager

import pytest

sys.dont_write_bytecode = True
pytest.register_assert_rewrite("baseline", "bus", "checks", "cluster", "leak_watch", "policies", "recovery", "slack", "writers")

from checks import wait_until
from cluster import remove
from engines import ENGINES
from killing_proxy import KillingProxies, Kills
from leak_watch import LeakWatch
from phases import LAST, TOGETHER, PhasedScheduling, group, in_order
from stack import ROOT, Stack

OF_CONTROLLER = pytest.StashKey["OfController"]()


class Shared(BaseManager):
    """What the workers use of the controller."""


class OfController:
    """What lives in the controller, for as long as the run."""

    def __init__(self, stack):
        self.stack = stack
        self.leak_watch, self.killing_proxies = LeakWatch(stack), KillingProxies(stack)
        self.killing_proxies.remove()
        self.key = secrets.token_bytes(16)
        Shared.register("leak_watch", lambda: self.leak_watch)
        Shared.register("killing_proxies", lambda: self.killing_proxies)
        self.server = Shared(("127.0.0.1", 0), self.key).get_server()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def begin(self, phase, tests):
        """Those that measure have the functions as they were deployed, and so have the last."""
        if phase == TOGETHER and any("test_killed_functions" in test for test in tests):
            self.killing_proxies.install()
        if phase == LAST:
            self.killing_proxies.remove()

    def stop(self):
        self.killing_proxies.remove()
        self.leak_watch.stop()


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        config.option.loadgroup = True  # sends the names of groups along, by which the scheduler knows the phases


def pytest_sessionstart(session):
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    # Ended from outside it tidies up all the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Stack(folder())
    clear(stack)
    of_controller = config.stash[OF_CONTROLLER] = OfController(stack)
    config.add_cleanup(of_controller.stop)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tells a worker how to reach the controller."""
    of_controller = node.config.stash[OF_CONTROLLER]
    node.workerinput["controller"] = [*of_controller.server.address, of_controller.key.hex()]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return PhasedScheduling(config, log, config.stash[OF_CONTROLLER].begin)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items[:] = in_order(items)
    group(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keeps whether the test itself has passed."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


PASSED = pytest.StashKey[bool]()


def folder():
    return os.environ.get("REWIND_STACK_DIR", ROOT / ".local")


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
    wait_until(lambda: not left(), "the end of what an earlier run left")


@pytest.fixture(scope="session")
def of_controller(pytestconfig):
    """The watch for leaks and the proxies: in this process, or by a connection to the controller."""
    if not hasattr(pytestconfig, "workerinput"):
        return pytestconfig.stash[OF_CONTROLLER].leak_watch, pytestconfig.stash[OF_CONTROLLER].killing_proxies
    host, port, key = pytestconfig.workerinput["controller"]
    Shared.register("leak_watch")
    Shared.register("killing_proxies")
    shared = Shared((host, port), bytes.fromhex(key))
    shared.connect()
    return shared.leak_watch(), shared.killing_proxies()


@pytest.fixture(scope="session")
def running_stack(of_controller):
    stack = Stack(folder())
    stack.leak_watch, _ = of_controller
    return stack


@pytest.fixture
def stack(running_stack, request):
    """The stack that runs; what a test made of clusters, records and the like is removed when it has passed."""
    yield running_stack
    running_stack.end_test(request.node.stash.get(PASSED, False))


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request):
    return request.param


@pytest.fixture
def kills(of_controller):
    """Kills functions at chosen calls."""
    _, proxies = of_controller
    proxies.install()
    return Kills(proxies)


@pytest.fixture
def seeded_cluster_to_itself(stack):
    """A recovery that is refused holds the lease for a moment: tests of the seeded cluster take turns."""
    with stack.exclusive("seeded-cluster"):
        yield
