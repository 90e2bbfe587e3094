"""Holds the template against AWS: renders it as CloudFormation would, with the longest stack name, for every combination of
conditions, the extremes that its parameters admit, and each partition, and checks every API call that would be made of it.

The calls are held against the models in botocore, and against what AWS tells in prose only (models/limits.py). It asks AWS
nothing. Runs in the venv of lint.txt.
"""

import dataclasses
import itertools
import json
import logging
import math
import pathlib
import re
import sys
from collections.abc import Iterator

from models import calls, limits, parameters, shapes
from models.render import ACCOUNT, LOCATIONS, Location, Rendering, Template, Unrenderable, read, references, translate
from models.shapes import Problem

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
SECTIONS = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}
TEMPLATE_BYTES = 1024 * 1024
# Beyond, the combinations have to be made another way: a gate that leaves some out would hide what it is for.
MOST_COMBINATIONS = 50_000
# Also where an expression puts the rest of it together.
PARTITION = re.compile(r"\barn:([a-z0-9-]*):")
ARN = re.compile(r"\barn:[^:\s\"'$]*:[a-z0-9-]*:([^:\s\"']*):([^:\s\"']*):")
HOST = re.compile(r"\b((?:[a-z0-9-]+\.)+)amazonaws\.com(\.cn)?(?![\w-])")
# Called so in every partition: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
PRINCIPALS = {"cloudwatch", "events", "lambda", "monitoring.rds", "rds", "scheduler", "sns", "states"}


def main() -> None:
    path = pathlib.Path(sys.argv[1])
    found = list(lint(read(path), path.parent))
    for problem in found:
        print(f"{problem.where}: {problem.message}", file=sys.stderr)
    sys.exit(1 if found else 0)


def lint(template: dict, folder: pathlib.Path) -> Iterator[Problem]:
    """Each problem once, with the first variant that has it; what changed parameters bring about, once a parameter."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    found = [*template_text(template), *(each for location in LOCATIONS for each in in_location(template, location, folder))]
    seen = set()
    for problem, variant in sorted(found, key=lambda each: len(each[1].changed)):
        where, blame = (problem.where, problem.rule), {(name, problem.rule) for name in variant.changed}
        if where not in seen and seen.isdisjoint(blame):
            yield Problem(problem.where, problem.rule, f"{problem.message}{variant}")
            seen |= {where} | (blame if len(blame) == 1 else set())


def template_text(template: dict) -> Iterator[tuple[Problem, "Variant"]]:
    """Checks the template as it is written, and the gate's own tables."""
    for name, limit in limits.PROSE.items():
        service, _, shape = name.partition(".")
        if limit.says and limit.says not in shapes.documentation(service, shape):
            yield Problem(name, "quotation", f"AWS's model does not say {limit.says!r} any more: look at limits.py"), Variant()
    if len(template.get("Description", "").encode()) > 1024:
        yield Problem("Description", "size", "is longer than 1024 bytes"), Variant()
    for section in ("Resources", "Parameters", "Outputs", "Mappings", "Conditions", "Rules"):
        for name in template.get(section, {}):
            if not re.fullmatch("[A-Za-z0-9]{1,255}", name):
                yield Problem(f"{section}.{name}", "name", "is no name of letters and digits"), Variant()
    for name, parameter in template.get("Parameters", {}).items():
        for key in ("Description", "ConstraintDescription"):
            if len(str(parameter.get(key, "")).encode()) > 4000:
                yield Problem(name, "size", f"its {key} is longer than 4000 bytes"), Variant()
        if "Default" in parameter and not parameters.admits(parameter, str(parameter["Default"])):
            yield Problem(name, "default", f"does not admit its default {parameter['Default']!r}"), Variant()
    for name, output in template.get("Outputs", {}).items():
        if len(output.get("Description", "").encode()) > 1024:
            yield Problem(f"Outputs.{name}", "size", "its description is longer than 1024 bytes"), Variant()


def in_location(source: dict, location: Location, folder: pathlib.Path) -> Iterator[tuple[Problem, "Variant"]]:
    template, here = Template(translate(source, location), location, folder), Variant(location.partition)
    for section, most in SECTIONS.items():
        if len(template.template.get(section, {})) > most:
            yield Problem(section, "size", f"has more than {most}"), here
    if (size := len(json.dumps(template.template).encode())) > TEMPLATE_BYTES:
        yield Problem("the template", "size", f"takes {size} bytes, and at most {TEMPLATE_BYTES}"), here
    unknown = [name for name, values in template.candidates.items() if not values]
    for name in unknown:
        yield Problem(name, "parameter", f"the gate finds no value that it admits in {location.partition}"), here
    if unknown:
        return
    variants = Variants(template)
    try:
        for name in template.resources:
            yield from resource(template, name, variants)
        for name in template.template.get("Outputs", {}):
            yield from output(template, name, variants)
    except Unrenderable as error:  # of conditions and rules
        yield Problem("Conditions", "rendering", str(error)), here
    for name, truths in variants.attained.items():
        for truth in {True, False} - truths:
            yield Problem(f"Conditions.{name}", "condition", f"no values of the parameters make it {truth}"), here


def resource(template: Template, name: str, variants: "Variants") -> Iterator[tuple[Problem, "Variant"]]:
    """Every problem of a resource, in each combination of what it depends on."""
    declared, seen = template.resources[name], set()
    for rendering, variant in variants.of(declared):
        if not rendering.exists(name):
            continue
        try:
            physical, properties = rendering.name(name), rendering.properties(name)
        except Unrenderable as error:
            yield Problem(name, f"rendering {error}", str(error)), variant
            continue
        rendered = json.dumps([physical, properties])
        if rendered in seen:
            continue
        seen.add(rendered)
        for problem in calls.problems(declared["Type"], properties, physical, name):
            yield problem, variant
        if "definition" in properties:
            properties["definition"] = dict(states(json.loads(properties["definition"])))
        for problem in foreign_names(properties, template.location, name):
            yield problem, variant


def output(template: Template, name: str, variants: "Variants") -> Iterator[tuple[Problem, "Variant"]]:
    declared, where = template.template["Outputs"][name], f"Outputs.{name}"
    for rendering, variant in variants.of(declared):
        if "Condition" in declared and not rendering.condition(declared["Condition"]):
            continue
        try:
            for problem in foreign_names({"Value": rendering.value(declared["Value"])}, template.location, where):
                yield problem, variant
        except Unrenderable as error:
            yield Problem(where, f"rendering {error}", str(error)), variant


@dataclasses.dataclass(frozen=True)
class Variant:
    """A rendering's partition, the values that matter to it and are no defaults, and the parameters at an extreme."""

    partition: str = ""
    values: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f" [{', '.join([self.partition, *self.values])}]" if self.partition else ""


class Variants:
    """The values of the parameters to render a resource with."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.plain = self.admitted({name: values[0] for name, values in template.candidates.items()})
        self.attained: dict[str, set[bool]] = {name: set() for name in template.conditions}
        self.known: dict[tuple, dict[tuple, dict[str, str]]] = {}

    def admitted(self, plain: dict[str, str]) -> dict[str, str]:
        """The values with, for each rule that refuses them, the first others of its parameters that it admits."""
        for name, rule in self.template.rules.items():
            if self.template.rendering(plain).refused() != name:
                continue
            asked = sorted(references(rule) & set(plain))
            others = itertools.product(*(self.template.telling[parameter] for parameter in asked))
            changed = (plain | dict(zip(asked, values, strict=True)) for values in others)
            plain = next((each for each in changed if self.template.rendering(each).refused() != name), plain)
        return plain

    def of(self, declared: dict) -> Iterator[tuple[Rendering, Variant]]:
        """Every combination of the conditions that matter, each with every parameter at its extremes in turn, and with all of
        them at their longest. What a rule of the template refuses is left out."""
        template = self.template
        names = template.closure(references(declared))
        matter = sorted(names & template.parameters.keys())
        conditions = tuple(sorted(names & template.conditions.keys()))
        for truths, chosen in self.combinations(conditions).items():
            alone = [{name: value} for name in matter for value in template.candidates[name]]
            longest = {name: max(template.candidates[name], key=len) for name in matter}
            for change in ({}, *alone, longest):
                rendering = template.rendering(chosen | change)
                # What is another combination comes as that.
                if rendering.refused() is None and rendering.truths(conditions) == truths:
                    values = [
                        f"{name}={shapes.shown(rendering.values[name])}"
                        for name in matter
                        if rendering.values[name] != str(template.parameters[name].get("Default"))
                    ]
                    yield rendering, Variant(template.location.partition, tuple(values), tuple(change))

    def combinations(self, conditions: tuple[str, ...]) -> dict[tuple, dict[str, str]]:
        """Values for each combination of these conditions that any values bring about."""
        if conditions in self.known:
            return self.known[conditions]
        template = self.template
        deciding = template.closure(set(conditions)) & template.parameters.keys()
        # What a rule binds together is varied together.
        for rule in template.rules.values():
            bound = template.closure(references(rule)) & template.parameters.keys()
            deciding |= bound if bound & deciding else set()
        deciding = sorted(deciding)
        if (many := math.prod(len(template.telling[name]) for name in deciding)) > MOST_COMBINATIONS:
            sys.exit(f"{many} combinations of {', '.join(deciding)}: more than this gate can render one by one")
        found: dict[tuple, dict[str, str]] = {}
        for values in itertools.product(*(template.telling[name] for name in deciding)):
            rendering = template.rendering(self.plain | dict(zip(deciding, values, strict=True)))
            if rendering.refused() is None:
                truths = rendering.truths(conditions)
                for name, truth in zip(conditions, truths, strict=True):
                    self.attained[name].add(truth)
                found.setdefault(truths, rendering.values)
        self.known[conditions] = found
        return self.known[conditions]


def foreign_names(value, location: Location, where: str) -> Iterator[Problem]:
    """ARNs of another partition, Region or account, and hosts of another partition."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from foreign_names(inner, location, f"{where}.{key}")
            yield from foreign_names(str(key), location, f"{where}.{key} (the name)")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from foreign_names(inner, location, f"{where}[{index}]")
    elif isinstance(value, str):
        for partition in set(PARTITION.findall(value)) - {location.partition}:
            yield Problem(where, "partition", f"names the partition {partition} in {location.partition}: {shapes.shown(value)}")
        for region, account in ARN.findall(value):
            if region not in (location.region, "", "*"):
                yield Problem(where, "region", f"names the Region {region} in {location.region}: {shapes.shown(value)}")
            if account not in (ACCOUNT, "", "*", "aws"):
                yield Problem(where, "account", f"names the account {account}: {shapes.shown(value)}")
        for host, china in HOST.findall(value):
            if host.removesuffix(".") in PRINCIPALS and not china:
                continue
            if f"amazonaws.com{china}" != location.suffix:
                yield Problem(where, "suffix", f"names {host}amazonaws.com{china} in {location.partition}")


def states(machine: dict) -> Iterator[tuple[str, dict]]:
    """Each state by its name, with those of branches and item processors by theirs."""
    for name, state in machine["States"].items():
        inner = [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])]
        yield name, {key: value for key, value in state.items() if key not in ("Branches", "ItemProcessor")}
        for each in inner:
            yield from states(each)


if __name__ == "__main__":
    main()
