"""Lints the state machine by itself: its structure by cfn-lint's own schema of the Amazon States Language (rule E3601),
and that every state named exists and can be reached, which that schema does not say. Runs in the venv of lint.txt.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile


def main() -> None:
    path = pathlib.Path(sys.argv[1])
    text = path.read_text()
    machine = json.loads(text, object_pairs_hook=no_duplicates)
    problems = structure(machine, sorted(set(re.findall(r"\$\{(\w+)\}", text))))
    problems += list(targets(machine, path.name))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


def no_duplicates(pairs: list) -> dict:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"{name!r} is there twice in one object: all but the last would be ignored")
    return dict(pairs)


def structure(machine: dict, substitutions: list[str]) -> list[str]:
    """What cfn-lint finds when the definition stands in a template."""
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
    # The path begins with the template around it: Resources, Machine, Properties, Definition.
    return [f"{'/'.join(map(str, (m['Location']['Path'] or [])[4:]))}: {m['Message']}" for m in matches]


def targets(machine: dict, where: str):
    """Names that lead nowhere, and states that nothing leads to."""
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


if __name__ == "__main__":
    main()
