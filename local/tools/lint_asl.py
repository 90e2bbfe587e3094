"""Lints state machines by themselves: their structure by cfn-lint's own schema of the Amazon States Language (rule E3601), and
what that schema does not say: that every state named exists and can be reached, that every expression is JSONata, that
nothing follows a matcher of all errors. Runs in the venv of lint.txt.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from jsonata import Jsonata


def main() -> None:
    problems = [problem for path in map(pathlib.Path, sys.argv[1:]) for problem in lint(path)]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


def lint(path: pathlib.Path):
    # The schema knows one partition only; the template fills it in.
    text = path.read_text().replace("${Partition}", "aws")
    machine = json.loads(text, object_pairs_hook=no_duplicates)
    yield from structure(machine, sorted(set(re.findall(r"\$\{(\w+)\}", text))))
    yield from targets(machine, path.name)
    for name, state in states(machine):
        yield from expressions(name, state)
        yield from matchers(name, state)


def no_duplicates(pairs: list) -> dict:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"{name!r} is there twice in one object: all but the last would be ignored")
    return dict(pairs)


def structure(machine: dict, substitutions: list[str]) -> list[str]:
    """Runs cfn-lint on a template that contains the definition."""
    properties = {
        "RoleArn": "arn:aws:iam::000000000000:role/lint",
        "Definition": machine,
        "DefinitionSubstitutions": {name: "substituted" for name in substitutions},
    }
    resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as template:
        json.dump({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": resource}}, template)
        template.flush()
        command = [pathlib.Path(sys.executable).with_name("cfn-lint"), "--format", "json", template.name]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    if not found.stdout.strip():
        return [found.stderr] if found.returncode else []
    matches = json.loads(found.stdout)
    # The schema lets a Task's time be a number alone; Step Functions takes an expression too.
    matches = [m for m in matches if not ("is not of type 'number'" in m["Message"] and m["Location"]["Path"][-1] == "TimeoutSeconds" and '"{%' in m["Message"])]
    # The path begins with the template around it: Resources, Machine, Properties, Definition.
    return [f"{'/'.join(map(str, (m['Location']['Path'] or [])[4:]))}: {m['Message']}" for m in matches]


def targets(machine: dict, where: str):
    """Finds targets that do not exist, and states that nothing leads to."""
    states = machine["States"]
    reached, waiting = set(), [machine["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        if name not in states:
            yield f"{where}: {name!r} is named and does not exist"
            continue
        reached.add(name)
        state = states[name]
        waiting += [state[key] for key in ("Next", "Default") if key in state]
        waiting += [rule["Next"] for key in ("Choices", "Catch") for rule in state.get(key, [])]
        for index, inner in enumerate(state.get("Branches", [])):
            yield from targets(inner, f"{where} > {name}[{index}]")
        if "ItemProcessor" in state:
            yield from targets(state["ItemProcessor"], f"{where} > {name}")
    for name in sorted(set(states) - reached):
        yield f"{where}: nothing leads to {name!r}"


def states(machine: dict):
    for name, state in machine["States"].items():
        yield name, state
        for inner in (*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])):
            yield from states(inner)


def expressions(where: str, value):
    """Finds texts in {% %} that are no JSONata, or are not the whole text: AWS takes those for plain text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            # The schema knows these of most states, but not of Fail.
            if where.count("/") == 0 and key.endswith("Path"):
                yield f"{where}: {key} belongs to JSONPath"
            # The states of branches are visited by themselves.
            if key not in ("Branches", "ItemProcessor"):
                yield from expressions(f"{where}/{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from expressions(f"{where}/{index}", inner)
    elif isinstance(value, str) and ("{%" in value or "%}" in value):
        if not (value.startswith("{%") and value.endswith("%}")):
            yield f"{where}: {value!r} holds an expression and something beside it"
            return
        try:
            Jsonata(value[2:-2])
        except Exception as error:  # the library raises what its parser happens to run into
            yield f"{where}: {value!r} is no JSONata: {error}"


def matchers(where: str, state: dict):
    """Finds States.ALL beside other errors or before another matcher, which AWS refuses."""
    for kind in ("Retry", "Catch"):
        for index, matcher in enumerate(state.get(kind, [])):
            errors = matcher["ErrorEquals"]
            if "States.ALL" in errors and (len(errors) > 1 or index + 1 < len(state[kind])):
                yield f"{where}/{kind}/{index}: States.ALL stands alone and last"


if __name__ == "__main__":
    main()
