"""Holds local/tools/lint_asl.py to what it is for: what is broken on purpose is refused, what is there is not.

Runs in the environment of local/tools/lint.txt, and never leaves the machine.
"""

import json
import pathlib

import lint_asl
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def invoked(states: dict) -> dict:
    """The first state that calls something."""
    return next(state for state in states.values() if state["Type"] == "Task")


def failing(states: dict) -> dict:
    return next(state for state in states.values() if state["Type"] == "Fail")


# What is found, of which damage to the states.
BROKEN = {
    "nothing leads to": lambda states: states.update(Alone={"Type": "Pass", "End": True}),
    "is named and does not exist": lambda states: invoked(states).update(Next="Nowhere"),
    "is no JSONata": lambda states: invoked(states).update(Output="{% 1 + %}"),
    "something beside it": lambda states: invoked(states).update(Assign={"a": "{% 1 %} "}),
    "CausePath belongs to JSONPath": lambda states: failing(states).update(CausePath="$.cause"),
    "States.ALL stands alone and last": lambda states: invoked(states)["Catch"][-1]["ErrorEquals"].append("Bug"),
    "Additional properties": lambda states: invoked(states).update(Surprise=1),
}


@pytest.fixture
def definition() -> dict:
    return json.loads((ROOT / "statemachine" / "rewind.asl.json").read_text())


@pytest.fixture
def lint(tmp_path):
    """Lints a definition; answers the problems."""

    def problems(definition: dict) -> list[str]:
        file = tmp_path / "machine.asl.json"
        file.write_text(json.dumps(definition))
        return list(lint_asl.lint(file))

    return problems


def test_definition_as_it_is_has_no_problem(lint, definition):
    assert lint(definition) == []


@pytest.mark.parametrize(("problem", "damage"), BROKEN.items(), ids=BROKEN)
def test_damage_is_found(lint, definition, problem, damage):
    damage(definition["States"])
    found = lint(definition)
    assert any(problem in each for each in found), found


def test_all_damage_is_found_at_once(lint, definition):
    for damage in BROKEN.values():
        damage(definition["States"])
    found = lint(definition)
    assert [problem for problem in BROKEN if not any(problem in each for each in found)] == [], found
