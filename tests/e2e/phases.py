"""Distributes the tests to the workers in three phases: those marked `alone` on one worker with the others idle, then all others side
by side, then those marked `last` on one worker when every other test has ended. It knows nothing of the stack.

A worker begins a test only when it has been sent the next one as well, or the end.
"""

import pytest
from xdist.scheduler import LoadScheduling

ALONE, TOGETHER, LAST = "alone", "together", "last"


def phase_of(item):
    return next((phase for phase in (ALONE, LAST) if item.get_closest_marker(phase)), TOGETHER)


def in_order(items):
    """By phase; of those side by side the slow ones first and the quick ones last, so that all workers end at one time."""
    phases = [ALONE, TOGETHER, LAST]

    def order(item):
        slow, quick = (item.get_closest_marker(name) is not None for name in ("slow", "quick"))
        return phases.index(phase_of(item)), not slow, quick

    return sorted(items, key=order)


def group(items):
    """Tells the controller of the phases: pytest-xdist appends a group's name to the test's id."""
    for item in items:
        if phase_of(item) is not TOGETHER:
            item.add_marker(pytest.mark.xdist_group(phase_of(item)))


class PhasedScheduling(LoadScheduling):
    """`begin` is called with the phase and the ids of all tests when a phase begins."""

    def __init__(self, config, log, begin):
        super().__init__(config, log)
        self.begin, self.begun = begin, set()

    def phase_of(self, index):
        name = self.collection[index].rpartition("@")[2]
        return name if name in (ALONE, LAST) else TOGETHER

    def waiting(self, phase):
        """The tests of a phase that no worker was sent."""
        return [index for index in self.pending if self.phase_of(index) == phase]

    def send(self, node, indices):
        if indices:
            self.pending = [index for index in self.pending if index not in indices]
            self.node2pending[node].extend(indices)
            node.send_runtest_some(indices)

    def enter(self, phase):
        if phase not in self.begun:
            self.begun.add(phase)
            self.begin(phase, self.collection)

    def schedule(self):
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                return
            self.collection = next(iter(self.node2collection.values()))
            self.pending = list(range(len(self.collection)))
        self.distribute()

    def check_schedule(self, node, duration=0.0):
        self.distribute()

    def distribute(self):
        """Sends what may be sent now. It is called when a test has ended and when a worker comes or goes, one that broke down too."""
        nodes = [node for node in self.nodes if not node.shutting_down]
        if not nodes or self.is_at_work(ALONE):
            return
        first = nodes[0]
        if alone := self.waiting(ALONE):
            self.enter(ALONE)
            # And the next one, without which the last of them would not begin.
            self.send(first, alone + (self.waiting(TOGETHER)[:1] or self.waiting(LAST)))
            return
        self.enter(TOGETHER)
        for node in nodes:
            while len(self.node2pending[node]) < 2 and (waiting := self.waiting(TOGETHER)):
                self.send(node, waiting[:1])
        if self.waiting(TOGETHER):
            return
        last = self.waiting(LAST)
        for node in nodes[1:] if last else nodes:
            node.shutdown()
        # The first has one left, which has not begun.
        others = [node for node in self.nodes if node is not first]
        if last and len(self.node2pending[first]) <= 1 and not any(self.node2pending[node] for node in others):
            self.enter(LAST)
            self.send(first, last)
            first.shutdown()

    def is_at_work(self, phase):
        return any(self.phase_of(index) == phase for pending in self.node2pending.values() for index in pending)
