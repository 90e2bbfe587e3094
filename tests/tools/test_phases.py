"""Holds the scheduler of the end-to-end tests, tests/e2e/phases.py, to what it is for: with workers that end their tests in any order,
and one of which may break down, each test runs once, `alone` ones with nothing beside them and first, `last` ones likewise and last.

Runs in the environment of local/tools/tests.txt, and starts no worker.
"""

import importlib.util
import itertools
import pathlib
import random

import pytest

FILE = pathlib.Path(__file__).resolve().parents[1] / "e2e" / "phases.py"
spec = importlib.util.spec_from_file_location("phases", FILE)
phases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(phases)


class Worker:
    """Begins a test only when it has been sent the next one as well, or the end."""

    def __init__(self):
        self.shutting_down, self.queue, self.running = False, [], None

    def send_runtest_some(self, indices):
        assert not self.shutting_down, "a test was sent after the end"
        self.queue += indices

    def shutdown(self):
        self.shutting_down = True

    def may_begin(self):
        return self.running is None and (len(self.queue) > 1 or bool(self.queue) and self.shutting_down)


class Config:
    """The options of pytest-xdist that the scheduler reads."""

    def __init__(self, workers):
        self.option = self
        self.tx = [f"{workers}*popen"]

    def getoption(self, _):
        return 1

    def getvalue(self, name):
        return getattr(self, name)


class Run:
    """A run from its beginning to its end; `ended` are the tests in the order in which they ended."""

    def __init__(self, workers, tests, seed, breaks_down):
        self.tests, self.random, self.breaks_down = tests, random.Random(seed), breaks_down
        self.ended, self.begun = [], []
        self.scheduler = phases.PhasedScheduling(Config(workers), None, lambda phase, _: self.begun.append(phase))
        self.scheduler._check_nodes_have_same_collection = lambda: True
        self.workers = []
        for _ in range(workers):
            self.add_worker()
        self.scheduler.schedule()
        while self.step():
            pass

    def add_worker(self):
        worker = Worker()
        self.workers.append(worker)
        self.scheduler.add_node(worker)
        self.scheduler.add_node_collection(worker, self.tests)

    def step(self):
        """Begins what may begin, and ends one; whether there was one."""
        if self.scheduler.tests_finished:  # as pytest-xdist asks after every event
            for worker in self.workers:
                worker.shutdown()
        for worker in self.workers:
            if worker.may_begin():
                worker.running = worker.queue[0]
                self.check_who_is_beside(self.tests[worker.running])
        at_work = [worker for worker in self.workers if worker.running is not None]
        if not at_work:
            return False
        worker = self.random.choice(at_work)
        index, worker.running = worker.running, None
        self.ended.append(self.tests[index])
        if self.breaks_down and self.random.random() < 0.2:
            self.breaks_down = False
            self.workers.remove(worker)
            self.scheduler.remove_node(worker)
            self.add_worker()
            self.scheduler.schedule()
        else:
            worker.queue.pop(0)
            self.scheduler.mark_test_complete(worker, index)
        return True

    def check_who_is_beside(self, test):
        running = [self.tests[worker.running] for worker in self.workers if worker.running is not None]
        alone = [each for each in running if each.endswith(("@alone", "@last"))]
        assert not alone or len(running) == 1, f"{test} began, and there are {running}"


def named(alone, together, last):
    return [f"a{n}@alone" for n in range(alone)] + [f"t{n}" for n in range(together)] + [f"l{n}@last" for n in range(last)]


@pytest.mark.parametrize("breaks_down", [False, True], ids=["", "a-worker-breaks-down"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_test_runs_once_in_its_phase(workers, breaks_down):
    for alone, together, last, seed in itertools.product(range(4), (0, 1, 2, 3, 7, 20), range(3), range(10)):
        if tests := named(alone, together, last):
            run = Run(workers, tests, seed, breaks_down)
            assert sorted(run.ended) == sorted(tests), f"{alone} {together} {last} with the seed {seed}"
            phase = [0 if test.endswith("@alone") else 2 if test.endswith("@last") else 1 for test in run.ended]
            assert phase == sorted(phase), f"{run.ended} with the seed {seed}"


def test_phases_are_told_when_they_begin():
    run = Run(4, named(2, 9, 1), seed=1, breaks_down=False)
    assert run.begun == [phases.ALONE, phases.TOGETHER, phases.LAST]
