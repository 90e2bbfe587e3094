"""Holds the linters of `make lint` to what they are for: what is broken on purpose is refused, what is there is not.

Runs in the venv of local/tools/lint.txt, and in that of audit.txt as `linters.py template`, and never leaves the machine.
"""

import copy
import json
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "local" / "tools"))


def machines() -> None:
    import lint_asl

    definition = json.loads((ROOT / "statemachine" / "rewind.asl.json").read_text())
    invoked = next(name for name, state in definition["States"].items() if state["Type"] == "Task")
    failing = next(name for name, state in definition["States"].items() if state["Type"] == "Fail")
    alone = {"Type": "Pass", "End": True}
    broken = {
        "nothing leads to": lambda states: states.update(Alone=alone),
        "is named and does not exist": lambda states: states[invoked].update(Next="Nowhere"),
        "is no JSONata": lambda states: states[invoked].update(Output="{% 1 + %}"),
        "something beside it": lambda states: states[invoked].update(Assign={"a": "{% 1 %} "}),
        "CausePath belongs to JSONPath": lambda states: states[failing].update(CausePath="$.cause"),
        "States.ALL stands alone and last": lambda states: states[invoked]["Catch"][-1]["ErrorEquals"].append("Bug"),
        "Additional properties": lambda states: states[invoked].update(Surprise=1),
    }
    check("the definition", [], machine_problems(lint_asl, definition))
    damaged = copy.deepcopy(definition)
    for damage in broken.values():
        damage(damaged["States"])
    check("the broken definition", list(broken), machine_problems(lint_asl, damaged))


def machine_problems(lint_asl, definition: dict) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(definition, file)
        file.flush()
        return list(lint_asl.lint(pathlib.Path(file.name)))


def template() -> None:
    import lint_template

    everything = {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}
    misspelt = {"Sid": "Typo", "Effect": "Allow", "Action": "rds:DescribeDBClusterz", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [everything, misspelt]}}],
    }
    broken = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": role}, "Topic": {"Type": "AWS::SNS::Topic"}}}
    check("parliament", ["UNKNOWN_ACTION"], [rule for rule, _, _ in lint_template.policies(broken)])
    found = [f"{rule} {where}" for rule, where, _ in lint_template.checks(pathlib.Path(sys.executable).with_name("checkov"), broken)]
    check("checkov", ["CKV_AWS_62 Role", "CKV_AWS_26 Topic"], found)


def check(what: str, expected: list[str], found: list[str]) -> None:
    """Fails unless each that is expected was found, and nothing where nothing is."""
    missing = [text for text in expected if not any(text in problem for problem in found)]
    if missing or (found and not expected):
        sys.exit(f"{what}: expected {missing or 'nothing'}, and the linter found {found or 'nothing'}")


if __name__ == "__main__":
    template() if sys.argv[1:] == ["template"] else machines()
