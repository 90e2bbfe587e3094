"""Functions killed by kill -9 in the middle of a recovery in place. Afterwards the source is as it was, or rewound with its
safety clone beside it, and the cause says which."""

import time

import pytest

from backtracks import UNTIL_BACK, WRONG, backtracks, create_shop_with_backtrack, rewind_in_place
from baseline import Baseline
from checks import wait_until
from cluster import iso
from recovery import BACK, CONCLUDE, IN_PLACE, NEEDS_OPERATOR, NO_FORWARD, UNDO_CLONE, up_to
from stages import FENCE, FORWARD, OVERSTAYED, PUT_BACK, START
from shop import difference, everything

FENCED = START + ["IsApprovalNeeded"]


class Mistaken:
    """A cluster that lost its orders, how it was, and the kills for what is done to it."""

    def __init__(self, stack, kills, name):
        self.cluster = create_shop_with_backtrack(stack, name)
        self.name, self.clone, self.kills = self.cluster.name, f"{self.cluster.name}-r", kills
        self.fence, self.open = stack.fence_groups[0], stack.app_groups[0]
        self.good = everything(self.cluster)
        self.cluster.settle()
        self.target = self.cluster.mistake("DELETE FROM orders")
        self.before = Baseline(self.cluster)

    def start(self, **more):
        # Its name is in every call that is meant for it.
        return rewind_in_place(self.cluster, iso(self.target), name=f"{self.name}-{time.time_ns()}", **more)

    def at(self, action, of, *words, when, times=1):
        return self.kills.at(f"Action={action}&", f"Identifier={of}", *words, when=when, times=times)

    def fencing(self, when):
        return self.at("ModifyDBCluster", f"{self.name}&", self.fence, when=when)

    def lifting(self, when, times=1):
        return self.at("ModifyDBCluster", f"{self.name}&", self.open, when=when, times=times)

    def keeping(self, when):
        return self.at("RestoreDBClusterToPointInTime", self.clone, when=when)

    def adding(self, when):
        return self.at("CreateDBInstance", self.clone, when=when)

    def backtracking(self, when, times=1):
        return self.at("BacktrackDBCluster", f"{self.name}&", when=when, times=times)

    def looking(self, when, times=1):
        return self.at("DescribeDBClusterBacktracks", self.name, when=when, times=times)

    def is_rewound(self):
        assert difference(everything(self.cluster), self.good) == "", "the rewound data"

    def has_clone(self):
        clone = self.cluster.derived(self.clone)
        assert difference(everything(clone), self.before.content) == "", "the data on the safety clone"


def killed(*kills):
    assert [len(kill.killed) for kill in kills] == [1] * len(kills), "functions killed"


def test_each_function_killed_once_before_its_change_goes_on(stack, kills):
    it = Mistaken(stack, kills, "kill-before")
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
    it.has_clone()
    assert it.cluster.groups == it.before.logins["groups"], "the security groups"
    print(f"recovered in {output['timings']['total']:.1f} s with five functions killed")


@pytest.mark.slow
def test_each_function_killed_once_after_its_change_does_nothing_twice(stack, kills):
    it = Mistaken(stack, kills, "kill-after")
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
    it.has_clone()
    assert it.cluster.groups == it.before.logins["groups"], "the security groups"
    assert len(backtracks(it.cluster)) == 1, "backtracks"
    made = sorted(name for name in stack.inventory() if name.startswith(it.name))
    assert made == [it.name, f"{it.name}-1", it.clone, f"{it.clone}-1"], "what there is"
    print(f"recovered in {output['timings']['total']:.1f} s with five functions killed")


def test_fence_source_killed_every_time_with_its_fence_up_changes_nothing(stack, kills):
    it = Mistaken(stack, kills, "kill-fence")
    # A second attempt reads the record of the first one before it changes anything: it is killed there.
    with (
        it.fencing("after") as closed,
        it.kills.at("GetItem", f"fence#{it.name}-", when="never") as again,
    ):
        run = it.start()
        wait_until(lambda: closed.killed, "the end of the first fence-source", 90)
        again.begin("before")
        path = FENCED + ["NoteFence", "WatchFence", "FenceSource", *OVERSTAYED] + UNDO_CLONE + CONCLUDE
        said = ["[Runtime.ExitError in ", "undone:", f"security groups of {it.name} restored"]
        cause = run.failed(path, "Unavailable", *said, timeout=360)
    killed(closed, again)
    it.before.is_restored()
    print(cause)


def test_cloning_killed_every_time_with_the_clone_begun_changes_nothing(stack, kills):
    it = Mistaken(stack, kills, "kill-keep")
    with it.keeping("after") as keep, it.at("DescribeDBClusters", it.clone, when="never") as look:
        run = it.start()
        wait_until(lambda: keep.killed, "the end of the first clone-source", 90)
        look.begin("before")
        path = FENCED + FENCE + ["CloneSource", *OVERSTAYED] + UNDO_CLONE + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"security groups of {it.name} restored", it.clone, timeout=300)
    killed(keep, look)
    it.before.is_restored()
    print(cause)


def test_start_backtrack_killed_every_time_before_its_call_begins_no_backtrack(stack, kills):
    it = Mistaken(stack, kills, "kill-unsent")
    with it.backtracking("before", times=2) as back:
        run = it.start()
        path = UNTIL_BACK + ["NoteBacktrack", "InspectFence", "StartBacktrack", *OVERSTAYED] + NO_FORWARD + UNDO_CLONE + CONCLUDE
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", "undone:", f"security groups of {it.name} restored", it.clone, timeout=360)
    assert (len(back.killed), backtracks(it.cluster)) == (2, []), "functions killed, and backtracks"
    it.before.is_restored()
    print(cause)


def test_start_backtrack_killed_every_time_after_its_call_goes_forward_again(stack, kills):
    it = Mistaken(stack, kills, "kill-back")
    with it.backtracking("after") as back, it.looking("never") as look:
        run = it.start()
        wait_until(lambda: back.killed, "the end of the first start-backtrack", 90)
        look.begin("before")
        path = UNTIL_BACK + ["NoteBacktrack", "InspectFence", "StartBacktrack", *OVERSTAYED] + FORWARD + UNDO_CLONE + CONCLUDE
        cause = run.failed(
            path, "Unavailable", "[Runtime.ExitError in ", "undone:", "backtracked forward to", "it holds what it held before", timeout=360
        )
    killed(back, look)
    assert len(backtracks(it.cluster)) == 2, "backtracks, there and forward again"
    it.before.is_restored()
    print(cause)


@pytest.mark.parametrize("when", ["before", "after"])
def test_start_backtrack_killed_once_on_the_way_forward_changes_nothing(stack, kills, when):
    it = Mistaken(stack, kills, f"kill-fwd-{when}")
    with it.backtracking("never") as forward:
        run = it.start(checks=[WRONG])
        run.reaches("AwaitRewind")
        wait_until(lambda: backtracks(it.cluster), "the backtrack", 90)
        forward.begin(when)
        path = UNTIL_BACK + up_to("IsVerified", BACK) + PUT_BACK + FORWARD + UNDO_CLONE + CONCLUDE
        run.failed(path, "VerificationFailed", "undone:", "it holds what it held before")
    killed(forward)
    assert len(backtracks(it.cluster)) == 2, "backtracks, there and forward again"
    it.before.is_restored()


def test_start_backtrack_killed_every_time_on_the_way_forward_stays_fenced(stack, kills):
    it = Mistaken(stack, kills, "kill-forward")
    with it.backtracking("never", times=2) as forward:
        run = it.start(checks=[WRONG])
        wait_until(lambda: backtracks(it.cluster), "the backtrack", 90)
        forward.begin("before")
        path = UNTIL_BACK + up_to("IsVerified", BACK) + PUT_BACK + ["UndoStartBacktrack"] + NEEDS_OPERATOR
        said = [f"now: {it.name} was rewound to", "it is still fenced", f"the safety clone {it.clone} is kept"]
        lift = f"aws rds modify-db-cluster --db-cluster-identifier {it.name}"
        cause = run.failed(path, "VerificationFailed", "then undoing failed", *said, lift, lease=run.id)
    assert len(forward.killed) == 2, "functions killed"
    assert it.cluster.groups == sorted(stack.fence_groups), "the security groups: nobody gets in"
    it.has_clone()
    it.cluster.unfence_by_hand()
    it.is_rewound()
    run.release_lease()
    print(cause)


def test_lifting_the_fence_killed_every_time_is_left_to_a_person(stack, kills):
    it = Mistaken(stack, kills, "kill-lift")
    with it.lifting("before", times=2) as lift:
        run = it.start()
        path = UNTIL_BACK + BACK + NEEDS_OPERATOR
        said = [
            f"now: {it.name} is rewound to",
            "and verified: only its fence may still be up",
            f"{it.clone} is kept",
        ]
        cause = run.failed(path, "Unavailable", "[Runtime.ExitError in ", *said, "nothing was undone", lease=run.id)
    assert len(lift.killed) == 2, "functions killed"
    assert it.cluster.groups == sorted(stack.fence_groups), f"the security groups are {it.cluster.groups}"
    it.has_clone()
    it.cluster.unfence_by_hand()
    it.is_rewound()
    run.release_lease()
    print(cause)
