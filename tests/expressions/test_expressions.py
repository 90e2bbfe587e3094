"""Holds every JSONata expression of the state machines to the reference implementation: ministack's interpreter and it have to
agree. No expression may fail, yield nothing, or yield another type than its field takes: AWS ends the execution there, and Pass,
Choice, Wait and Fail cannot catch it. Every expression has to be among the evaluations that the path tests recorded.
"""

import json

import pytest

from reference import check, definitions, lines_of, places_of

PLACES = places_of(definitions())


@pytest.fixture(scope="module")
def problems(pytestconfig, reference):
    """What is wrong with the expressions, by place: all are evaluated at once."""
    lines = lines_of(pytestconfig.option.evaluations)
    assert lines, "the path tests recorded nothing"
    found, cases = check(reference, definitions(), [json.loads(line) for line in lines])
    print(f"{len(PLACES)} expressions, {len(lines)} evaluations, {cases} cases")
    return found


@pytest.mark.parametrize("place", PLACES, ids=":".join)
def test_expression_is_evaluated_and_yields_what_its_field_takes(problems, place):
    assert not problems.get(place), "\n".join(problems[place])


def test_every_evaluation_is_of_an_expression_of_a_definition(problems):
    unknown = problems.keys() - set(PLACES)
    assert not unknown, f"evaluated, and in no definition: {sorted(unknown)}"
