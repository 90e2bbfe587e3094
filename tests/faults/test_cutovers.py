"""Traffic that moves there and back again and again under applications with pools of sticky connections: no acknowledged row is ever
missing, of however many cutovers. `--cutovers` says how many, of all workers together."""

import os

import pytest

from cases import recover
from ground import PREFIX, Ground, Pool
from recovery import undo
from report import RESULT

# Side by side, so that hundreds of cutovers take minutes.
GROUNDS = [("postgresql", 1), ("mysql", 1), ("postgresql", 2), ("mysql", 2)]


@pytest.fixture
def ground(stack, request):
    engine, number = request.param
    one = Ground(stack, f"{PREFIX}-p{number}{engine[0]}{os.getpid() % 1000}", engine, False, False, Pool)
    yield one
    one.abandon()  # where the test did not close it


@pytest.mark.parametrize("ground", GROUNDS, indirect=True, ids=lambda given: f"{given[0]}-{given[1]}")
def test_no_acknowledged_row_is_missing_after_many_cutovers(stack, ground, request, record_property):
    restored, moved = f"{ground.name}-r", 0
    for number in range(1, request.config.option.cutovers // len(GROUNDS) // 2 + 1):
        name = f"{ground.name}-{number}"
        run, ended = recover(ground, name, None)
        assert ended["status"] == "SUCCEEDED", f"recovery {number} ended with {ended.get('error')}: {ended.get('cause')}"
        ground.wait_for_rows()
        ended = undo(stack, name)
        assert ended["status"] == "SUCCEEDED", f"undo {number} ended with {ended.get('error')}: {ended.get('cause')}"
        ground.wait_for_rows()
        on_restored = len(ground.acknowledged() - ground.settled - ground.rows(ground.cluster))
        assert on_restored, f"no row of round {number} was acknowledged by the restored cluster"
        assert ground.unexplained([restored]) == "", f"acknowledged rows of round {number}"
        moved += 2
        ground.put_in_order()
    record_property("case", request.node.callspec.id)
    record_property(RESULT, f"{moved} cutovers, {len(ground.acknowledged())} acknowledged rows")
    ground.close()
