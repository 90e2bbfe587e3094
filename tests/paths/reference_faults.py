"""Holds reference.py to what it is for: each fault that is put in is found, and nothing where nothing is.

    python tests/paths/reference_faults.py --node <environment of local/tools/jsonata.txt>

Runs in the venv of local/tools/ministack.txt.
"""

import argparse
import pathlib
import sys

import reference
from scenario import CLEANING


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=pathlib.Path, required=True)
    implementation = reference.Reference(parser.parse_args().node)
    faults = {
        "it yields nothing (1 cases: $check.why absent)": ("Output", "$check.why", [{"check": {"why": "w"}}, {"check": {}}]),
        "it yields nothing (1 cases: $states.errorOutput.Cause absent)": ("Output", "$states.errorOutput.Cause", [error("c")]),
        'it fails: D3137: no (1 cases: $check.why = null)': ("Output", "$check.why = null ? $error('no') : 1", [{"check": {"why": "w"}}, {"check": {"why": None}}]),
        "it fails: Expected property name": ("Output", "$substring($states.errorOutput.Cause, 0, 1) = '{' ? $parse($states.errorOutput.Cause) : 1", [error("c")]),
        "it fails: $eval is not available": ("Output", "$eval('1')", [{}]),
        "the reference {\"value\": \"[\\\"\\u00e9\\\"]\"}": ("Output", "$string(['é'])", [{}]),
        "Condition takes a bool, and gets 1": ("Choices/0/Condition", "$check.unused = true ? 1 : true", [{"check": {"unused": True}}]),
        "N takes a number as text, and gets now": ("Arguments/Item/at/N", "'now'", [{}]),
        "S takes a str, and gets [\"a\", \"a\"] (1 cases: $due with 2 inside)": ("Arguments/Item/due/S", "$due.id", [{"due": [{"id": "a"}]}]),
        "$due with 0 inside": ("Arguments/Item/due/S", "$due.id", [{"due": [{"id": "a"}]}]),
        "$request = 5": ("Output", "$type($request) = 'number' ? $error('no') : 1", [{"request": {}}]),
        "no path evaluates it": ("Output", "1", []),
    }  # fmt: skip
    for fault, (where, expression, bindings) in faults.items():
        expect(implementation, fault, where, expression, bindings)
    sound = [
        ("Output", "$exists($check.why) ? $check.why : 'none'", [{"check": {"why": "w"}}, {"check": {}}]),
        ("Choices/0/Condition", "$check.unused = true", [{"check": {"unused": True}}, {"check": {}}]),
        ("Output", "$merge([{'Error': 'Unknown', 'Cause': ''}, $states.errorOutput])", [error("c")]),
        ("Output", "$check.why", [{"check": {"why": "w"}}]),  # never absent
    ]
    for where, expression, bindings in sound:
        expect(implementation, None, where, expression, bindings)
    expect(implementation, "is in no definition", "Output", "1", [{}], there="Comment")
    # What await-rewind answers has `restored` only at the end of a backtrack, and `done` always.
    for field, fault in [("restored", "$states.result.Payload.restored absent"), ("done", None)]:
        definition = machine({"Arguments": {"FunctionName": "${AwaitRewindFunctionArn}", "Payload": {}}, "Output": f"{{% $states.result.Payload.{field} %}}"})
        answered = {"states": {"result": {"Payload": {"done": True, "restored": {}}}}}
        hold(fault, reference.check(implementation, definition, line("Output", f"$states.result.Payload.{field}", [answered]))[0])
    guarded = [line("Choices/0/Assign/a", "$check.why", [state], guards=["$exists($check.why)"]) for state in ({"check": {"why": "w"}}, {"check": {}})]
    definition = machine({"Choices": [{"Condition": "{% $exists($check.why) %}", "Assign": {"a": "{% $check.why %}"}}]})
    asked = line("Choices/0/Condition", "$exists($check.why)", [{"check": {"why": "w"}}])
    hold(None, reference.check(implementation, definition, [*asked, *(of for group in guarded for of in group)])[0])
    print(f"{len(faults) + 2} faults found, and none in {len(sound) + 2} sound expressions")


def error(cause: str) -> dict:
    return {"states": {"errorOutput": {"Error": "E", "Cause": cause}}}


def line(where: str, expression: str, states: list, guards=()) -> list[dict]:
    of = {"machine": CLEANING, "state": "S", "where": where, "expression": expression, "guards": list(guards)}
    return [of | {"bindings": {"states": {}} | bindings} for bindings in states]


def machine(state: dict) -> dict:
    return {"cleanup": {"States": {"S": {"Type": "Task"} | state}}}


def at(where: str, expression: str) -> dict:
    """A state with an expression there."""
    found = f"{{% {expression} %}}"
    for key in reversed(where.split("/")):
        found = [found] if key == "0" else {key: found}
    return found


def expect(implementation, fault, where: str, expression: str, bindings: list, there=None) -> None:
    definition = machine(at(there or where, expression))
    hold(fault, reference.check(implementation, definition, line(where, expression, bindings))[0])


def hold(fault, problems: list[str]) -> None:
    if (fault is None and problems) or (fault is not None and not any(fault in problem for problem in problems)):
        sys.exit(f"expected {fault or 'nothing'}, and found {problems or 'nothing'}")


if __name__ == "__main__":
    main()
