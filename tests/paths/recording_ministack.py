"""ministack for the path tests: the same as in a local stack, and every JSONata expression that an execution evaluates is
written to the file $REWIND_EVALUATIONS, with all that it could see; a line of JSON each, which tests/expressions
evaluates again. The folder of ministack_strict.py has to be on PYTHONPATH.

What differs only in names and times is written once. It changes no evaluation.
"""

import functools
import json
import os
import re
import threading

import ministack_callers
import ministack_strict
from ministack.services import stepfunctions

EACH = 80  # at most so many of one expression that differ in more than names and times
WORD = re.compile(r"[A-Za-z.]{0,24}")

here = threading.local()  # .state: the state that this thread executes; .text: what it evaluates
seen: dict[tuple, set] = {}
lock = threading.Lock()


def place(node, text, path=""):
    """Where in a state a text stands: the very same text, for one that is equal may stand there twice."""
    if node is text:
        return path.removeprefix("/")
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return next(filter(None, (place(value, text, f"{path}/{key}") for key, value in inner)), None)


def conditions_before(state: dict, where: str) -> list[str]:
    """The conditions that are asked before something of a Choice state is evaluated; its own is the last of them."""
    choices = [rule["Condition"].removeprefix("{%").removesuffix("%}").strip() for rule in state.get("Choices", [])]
    rule = re.match(r"Choices/(\d+)/(\w+)", where)
    return choices[: int(rule[1]) + (rule[2] != "Condition")] if rule else choices


def shape(value):
    """A value without names, times and counts; short words stay, for conditions ask for them."""
    if isinstance(value, dict):
        return tuple(sorted((key, shape(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return tuple(sorted({repr(shape(inner)) for inner in value}))
    if isinstance(value, str):
        return value if WORD.fullmatch(value) else value[0] + "…" + value[-1]
    return value if value is None or isinstance(value, bool) or value == 0 else type(value).__name__


def visible(expression: str, bindings: dict) -> dict:
    """The variables that an expression names, and of $states the parts that it names."""
    parts = set(re.findall(r"\$states\.(\w+)", expression))
    whole = re.search(r"\$states\b(?!\.)", expression)
    found = {name: bindings[name] for name in set(re.findall(r"\$(\w+)", expression)) - {"states"} if name in bindings}
    states = {name: value for name, value in bindings["states"].items() if whole or name in parts}
    return found | {"states": states}


def recording(file):
    def evaluate(inner, expression, raw_input, ctx=None, result=None, error_output=None):
        state, text = here.state, here.text
        where = place(state, text)
        guards = conditions_before(state, where)
        bindings = {**(ctx or {}).get("variables", {}), "states": ministack_strict.states_of(raw_input, ctx, result, error_output)}
        of = (ctx["StateMachine"]["Name"], ctx["State"]["Name"], where)
        line = {"machine": of[0], "state": of[1], "where": where, "expression": expression, "guards": guards}
        line["bindings"] = visible(" ".join([expression, *guards]), bindings)
        key = repr(shape(line["bindings"]))
        with lock:
            already = seen.setdefault(of, set())
            if key not in already and len(already) < EACH:
                already.add(key)
                file.write(json.dumps(line) + "\n")
        return inner(expression, raw_input, ctx, result, error_output)

    return evaluate


def remembering(name: str, value_of):
    """Remembers what a function of ministack's is about: the state, or the text."""

    def remember(inner, given, *rest, **named):
        before = getattr(here, name, None)
        setattr(here, name, value_of(given, before))
        try:
            return inner(given, *rest, **named)
        finally:
            setattr(here, name, before)

    return remember


def main() -> None:
    ministack_strict.tighten()
    file = open(os.environ["REWIND_EVALUATIONS"], "a", buffering=1)  # for as long as the process lives
    put = functools.partial(ministack_strict.before, stepfunctions)
    put("_evaluate_jsonata")(recording(file))
    put("_apply_jsonata_template")(remembering("text", lambda value, _: value))
    for name in ["_execute_pass", "_execute_task", "_execute_choice", "_execute_wait", "_fail_state_error"]:
        put(name)(remembering("state", lambda state, _: state))
    ministack_callers.install()
    ministack_strict.gateway.main()


if __name__ == "__main__":
    main()
