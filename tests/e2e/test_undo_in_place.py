"""The undo of a recovery in place: the cluster goes forward to where it was, and clients get in once it was compared with the safety clone."""

import pytest

from backtracks import backtracks, create_shop_with_backtrack, rewind_in_place
from baseline import Baseline
from checks import contains, wait_until
from cluster import iso
from recovery import IN_PLACE
from test_cli import Terminal


def is_undone(stack, cluster, run, state):
    """Nobody holds a lease, the record has its end, and the way of the clients is the one of before."""
    assert run.item()["state"] == state, "the state in the table"
    assert run.describe()["status"] == "ABORTED", "the execution of the recovery"
    leases = [stack.item(f"lease#{name}") for name in (cluster.name, f"{cluster.name}-r")]
    assert leases == [None, None], "the leases"
    standing = Terminal(stack).json("status", run.id)["standing"]
    assert (standing["fenced"], standing["outage"], standing["lease"]) == ([], None, None), "how its clusters stand"


@pytest.mark.slow
def test_recovery_that_was_stopped_after_its_backtrack_is_undone_by_the_command_that_the_status_prints(stack):
    terminal, cluster = Terminal(stack), create_shop_with_backtrack(stack, "place-undo")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders WHERE id > 3000")
    before = Baseline(cluster)
    # An approval that people have to give is needed for the way forward too.
    run = rewind_in_place(cluster, iso(target), approval="required")
    run.decide("approved")
    wait_until(lambda: [one["Status"].lower() for one in backtracks(cluster)] == ["completed"], "the end of the backtrack", 120)
    run.stop()
    assert "NoteLift" not in run.whole_path(), "the recovery was stopped too late for this test"
    assert cluster.groups == sorted(stack.fence_groups), "the security groups: nobody gets in"
    item, shown = run.item(), terminal.json("status", run.id)
    contains(item["cause"], f"rewind undo {run.id} finds out what was done, takes {cluster.name} forward to where it was")
    standing = shown["standing"]
    assert (shown["state"], standing["fenced"]) == ("NeedsOperator", [cluster.name]), "how it stands"
    (command,) = [safe["command"] for safe in standing["commands"]]
    assert command == f"rewind undo {run.id}", "the command that is safe"
    # Whoever has not confirmed it is told what it does.
    contains(terminal.run(*command.split()[1:], code=5)[1], f"{cluster.name} would be taken forward now to where it was")
    # Three minutes after the stop no function can run any more.
    out, _ = terminal.run(*command.split()[1:], "--confirm", cluster.name, timeout=500)
    contains(
        out, f"Undone: {cluster.name} has its traffic", "is being backtracked forward to",
        f"{cluster.name} was compared with the safety clone: it holds what it held before",
        f"the safety clone {cluster.name}-r is being deleted, into the snapshot",
    )  # fmt: skip
    back, forward = backtracks(cluster)
    assert forward["BacktrackTo"] > back["BacktrackTo"], "the second backtrack did not go forward"
    before.is_restored()
    is_undone(stack, cluster, run, "Undone")
    # The mistake is in the data again, and can be undone under the same name of a safety clone.
    again = rewind_in_place(cluster, iso(target), newCluster=f"{cluster.name}-r")
    again.recovered(IN_PLACE)
    assert cluster.value("SELECT count(*) FROM orders") == 4000, "the rows, rewound after all"
    # Clients write to it by now.
    refused = terminal.run("undo", again.id, "--confirm", cluster.name, code=5)[1]
    contains(refused, "clients have written to it since, or may have", f"copy what is missed from {cluster.name}-r", "nothing was changed")
    assert len(backtracks(cluster)) == 3, "backtracks"


@pytest.mark.slow
def test_recovery_in_place_is_cancelled_behind_its_fence_and_nothing_is_backtracked(stack):
    terminal, cluster = Terminal(stack), create_shop_with_backtrack(stack, "place-cancel")
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders WHERE id > 3000")
    before = Baseline(cluster)
    run = rewind_in_place(cluster, iso(target))
    run.reaches("CloneSource")
    out, _ = terminal.run("cancel", run.id, "--confirm", cluster.name, timeout=500)
    contains(out, f"Undone: {cluster.name} has its traffic", f"{cluster.name} is not fenced")
    assert ("StartBacktrack" in run.whole_path(), backtracks(cluster)) == (False, []), "backtracks"
    before.is_restored()
    is_undone(stack, cluster, run, "NothingChanged")
