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


def there_and_back(ground, name):
    """Moves traffic to a restored cluster and back, and puts the ground in order; answers how often it moved."""
    restored = f"{ground.name}-r"
    _, ended = recover(ground, name, None)
    assert ended["status"] == "SUCCEEDED", f"recovery {name} ended with {ended.get('error')}: {ended.get('cause')}"
    ground.wait_for_rows()
    ended = undo(ground.stack, name)
    assert ended["status"] == "SUCCEEDED", f"the undo of {name} ended with {ended.get('error')}: {ended.get('cause')}"
    ground.wait_for_rows()
    on_restored = len(ground.acknowledged() - ground.settled - ground.rows(ground.cluster))
    assert on_restored, f"no row of {name} was acknowledged by the restored cluster"
    assert ground.unexplained([restored]) == "", f"acknowledged rows of {name}"
    ground.put_in_order()
    return 2


@pytest.mark.parametrize("ground", GROUNDS, indirect=True, ids=lambda given: f"{given[0]}-{given[1]}")
def test_no_acknowledged_row_is_missing_after_many_cutovers(ground, request, record_property):
    rounds = request.config.option.cutovers // len(GROUNDS) // 2
    moved = sum(there_and_back(ground, f"{ground.name}-{number}") for number in range(1, rounds + 1))
    record_property("case", request.node.callspec.id)
    record_property(RESULT, f"{moved} cutovers, {len(ground.acknowledged())} acknowledged rows")
    ground.close()
