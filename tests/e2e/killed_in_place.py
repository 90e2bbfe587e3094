"""Functions killed by kill -9 in the middle of a recovery in place. Afterwards the source is as it was, or rewound with its
safety clone beside it, and the cause says which."""

import time

from cluster import iso
from harness import equal, holds, note, test, wait_until
from in_place import UNTIL_BACK, WRONG, backtracks, place, rewind
from recovery import (
    BACK,
    CONCLUDE,
    FENCE,
    FORWARD,
    IN_PLACE,
    NEEDS_OPERATOR,
    NOT_FORWARD,
    PUT_BACK,
    START,
    UNDO_SAFETY_CLONE,
    up_to,
)  # fmt: skip
from shop import difference, everything
from undone import Before

FENCED = START + ["IsApprovalNeeded"]


class Mistaken:
    """A cluster that lost its orders, how it was, and the traps for what is done to it."""

    def __init__(self, stack, name):
        self.cluster = place(stack, name)
        self.name, self.safety_clone, self.traps = self.cluster.name, f"{self.cluster.name}-r", stack.traps
        self.fence, self.open = stack.fence_groups[0], stack.app_groups[0]
        self.good = everything(self.cluster)
        self.cluster.settle()
        self.target = self.cluster.mistake("DELETE FROM orders")
        self.before = Before(self.cluster)

    def start(self, **more):
        # Its name is in every call that is meant for it.
        return rewind(self.cluster, iso(self.target), name=f"{self.name}-{time.time_ns()}", **more)

    def at(self, action, of, *words, when, times=1):
        return self.traps.at(f"Action={action}&", f"Identifier={of}", *words, when=when, times=times)

    def fencing(self, when):
        return self.at("ModifyDBCluster", f"{self.name}&", self.fence, when=when)

    def lifting(self, when, times=1):
        return self.at("ModifyDBCluster", f"{self.name}&", self.open, when=when, times=times)

    def keeping(self, when):
        return self.at("RestoreDBClusterToPointInTime", self.safety_clone, when=when)

    def adding(self, when):
        return self.at("CreateDBInstance", self.safety_clone, when=when)

    def backtracking(self, when, times=1):
        return self.at("BacktrackDBCluster", f"{self.name}&", when=when, times=times)

    def looking(self, when, times=1):
        return self.at("DescribeDBClusterBacktracks", self.name, when=when, times=times)

    def is_rewound(self):
        equal(difference(everything(self.cluster), self.good), "", "the rewound data")

    def has_safety_clone(self):
        safety_clone = self.cluster.beside(self.safety_clone)
        equal(difference(everything(safety_clone), self.before.content), "", "the data on the safety clone")


def killed(*traps):
    equal([len(trap.killed) for trap in traps], [1] * len(traps), "functions killed")


@test("in place: every function that changes something, killed once before its change is sent: the recovery goes on")
def once_before(stack):
    it = Mistaken(stack, "kill-before")
    with (
        it.fencing("before") as fence,
        it.keeping("before") as keep,
        it.adding("before") as add,
        it.backtracking("before") as back,
        it.lifting("before") as lift,
    ):
        output = it.start().recovered(IN_PLACE, timeout=240)
    killed(fence, keep, add, back, lift)
    it.is_rewound()
    it.has_safety_clone()
    equal(it.cluster.groups, it.before.logins["groups"], "the security groups")
    note(f"recovered in {output['timings']['total']:.1f} s with five functions killed")


@test(
    "in place: every function that changes something, killed once after its change: nothing is done twice", first=True
)
def once_after(stack):
    it = Mistaken(stack, "kill-after")
    with (
        it.fencing("after") as fence,
        it.keeping("after") as keep,
        it.adding("after") as add,
        it.backtracking("after") as back,
        it.lifting("after") as lift,
    ):
        output = it.start().recovered(IN_PLACE, timeout=240)
    killed(fence, keep, add, back, lift)
    it.is_rewound()
    it.has_safety_clone()
    equal(it.cluster.groups, it.before.logins["groups"], "the security groups")
    equal(len(backtracks(it.cluster)), 1, "backtracks")
    made = sorted(name for name in stack.inventory() if name.startswith(it.name))
    equal(made, [it.name, f"{it.name}-1", it.safety_clone, f"{it.safety_clone}-1"], "what there is")
    note(f"recovered in {output['timings']['total']:.1f} s with five functions killed")


@test("in place: fence-source killed every time with its fence up: it is lifted exactly, nothing was changed")
def fence_always(stack):
    it = Mistaken(stack, "kill-fence")
    with (
        it.fencing("after") as closed,
        it.traps.at("UpdateItem", "fence", f"recovery#{it.name}-", when="never") as again,
    ):
        run = it.start()
        wait_until(lambda: closed.killed, "the end of the first fence-source", 90)
        again.when = "before"
        path = FENCED + ["FenceSource"] + UNDO_SAFETY_CLONE + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"security groups of {it.name} put back")
    killed(closed, again)
    it.before.is_restored()
    note(cause)


@test("in place: clone-source killed every time with the clone begun: clone and fence go, nothing was changed")
def safety_clone_always(stack):
    it = Mistaken(stack, "kill-keep")
    with it.keeping("after") as keep, it.at("DescribeDBClusters", it.safety_clone, when="never") as look:
        run = it.start()
        wait_until(lambda: keep.killed, "the end of the first clone-source", 90)
        look.when = "before"
        path = FENCED + FENCE + ["CloneSource"] + UNDO_SAFETY_CLONE + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"security groups of {it.name} put back", it.safety_clone)
    killed(keep, look)
    it.before.is_restored()
    note(cause)


@test("in place: start-backtrack killed every time before its call: no backtrack is begun, none is undone")
def backtrack_never_sent(stack):
    it = Mistaken(stack, "kill-unsent")
    with it.backtracking("before", times=2) as back:
        run = it.start()
        path = UNTIL_BACK + ["StartBacktrack"] + NOT_FORWARD + UNDO_SAFETY_CLONE + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"security groups of {it.name} put back", it.safety_clone)
    equal((len(back.killed), backtracks(it.cluster)), (2, []), "functions killed, and backtracks")
    it.before.is_restored()
    note(cause)


@test("in place: start-backtrack killed every time with the backtrack begun: forward again, nothing was changed")
def backtrack_always(stack):
    it = Mistaken(stack, "kill-back")
    with it.backtracking("after") as back, it.looking("never") as look:
        run = it.start()
        wait_until(lambda: back.killed, "the end of the first start-backtrack", 90)
        look.when = "before"
        path = UNTIL_BACK + ["StartBacktrack"] + FORWARD + UNDO_SAFETY_CLONE + CONCLUDE
        cause = run.failed(
            path, "Unavailable", "[Runtime.ExitError in ", "undone:", "backtracked forward to", "it holds what it held before"
        )
    killed(back, look)
    equal(len(backtracks(it.cluster)), 2, "backtracks, there and forward again")
    it.before.is_restored()
    note(cause)


@test("in place: start-backtrack killed once on the way forward, before and after its call: nothing was changed")
def forward_once(stack):
    for when in ["before", "after"]:
        it = Mistaken(stack, f"kill-fwd-{when}")
        with it.backtracking("never") as forward:
            run = it.start(checks=[WRONG])
            run.reaches("AwaitRewind")
            wait_until(lambda: backtracks(it.cluster), "the backtrack", 90)
            forward.when = when
            path = UNTIL_BACK + up_to("Verify", BACK) + PUT_BACK + FORWARD + UNDO_SAFETY_CLONE + CONCLUDE
            run.failed(path, "VerificationFailed", "undone:", "it holds what it held before")
        killed(forward)
        equal(len(backtracks(it.cluster)), 2, "backtracks, there and forward again")
        it.before.is_restored()


@test("in place: start-backtrack killed every time on the way forward: rewound, fenced, its safety clone kept, and told so")
def forward_always(stack):
    it = Mistaken(stack, "kill-forward")
    with it.backtracking("never", times=2) as forward:
        run = it.start(checks=[WRONG])
        wait_until(lambda: backtracks(it.cluster), "the backtrack", 90)
        forward.when = "before"
        path = UNTIL_BACK + up_to("Verify", BACK) + PUT_BACK + ["UndoStartBacktrack"] + NEEDS_OPERATOR
        said = [f"now: {it.name} was rewound to", "it is still fenced", f"the safety clone {it.safety_clone} is kept"]
        lift = f"aws rds modify-db-cluster --db-cluster-identifier {it.name}"
        cause = run.failed(path, "VerificationFailed", "then undoing failed", *said, lift, lease=run.id)
    equal(len(forward.killed), 2, "functions killed")
    equal(it.cluster.groups, sorted(stack.fence_groups), "the security groups: nobody gets in")
    it.has_safety_clone()
    it.cluster.unfence_by_hand()
    it.is_rewound()
    run.release_lease()
    note(cause)


@test("in place: the fence killed every time it is lifted: rewound, verified, its safety clone kept, and told so")
def lift_always(stack):
    it = Mistaken(stack, "kill-lift")
    with it.lifting("before", times=2) as lift:
        run = it.start()
        path = UNTIL_BACK + BACK + NEEDS_OPERATOR
        said = [
            f"now: {it.name} is rewound to",
            "and verified: only its fence may still be up",
            f"{it.safety_clone} is kept",
        ]
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", *said, "nothing was undone", lease=run.id)
    equal(len(lift.killed), 2, "functions killed")
    holds(it.cluster.groups == sorted(stack.fence_groups), f"the security groups are {it.cluster.groups}")
    it.has_safety_clone()
    it.cluster.unfence_by_hand()
    it.is_rewound()
    run.release_lease()
    note(cause)
