"""The fault matrix: every state that invokes a function, with every fault, on real databases."""

import itertools

import pytest

import flows
import soak
import test_control_plane
from cases import Failed, Run
from report import RESULT

NUMBERS = itertools.count(1)


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        number, parts = map(int, metafunc.config.option.part.split("/"))
        cases = flows.cases()[number - 1 :: parts]
        metafunc.parametrize("case", cases, ids=lambda case: case.id)


def test_every_state_that_invokes_a_function_is_in_the_matrix():
    assert flows.uncovered() == [], "states without a row"


def test_soak_draws_every_test_of_the_control_plane_on_each_of_its_grounds():
    drawn = list(soak.scenarios())
    assert {one.test.func.__name__ for one in drawn} == {name for name in vars(test_control_plane) if name.startswith("test_")}
    assert len({one.id for one in drawn}) == len(drawn), "two have one name"
    engines = {one.kind[:2] for one in drawn}
    assert engines == {("postgresql", False), ("mysql", False), ("mysql", True)}, "the grounds that are drawn"


def test_case(stack, grounds, case, record_property):
    record_property("case", case.id)
    ground = grounds(case.flow.kind)
    run = Run(ground, case, next(NUMBERS))
    try:
        record_property(RESULT, run.run())
        problems = run.after()
        if problems:
            raise Failed(f"{case.id} ({run.name}): " + "; ".join(problems))
    except BaseException:
        grounds(case.flow.kind, fresh=True)
        raise
