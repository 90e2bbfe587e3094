"""Holds values against a shape of an AWS API model: types, lengths, patterns, enumerations, required and unknown members.

What a model only tells in its documentation stands in limits.py and is held here too. Nothing leaves the machine: the models
are botocore's files.
"""

import dataclasses
import functools
import html
import re

import botocore.loaders
import botocore.model
import regex

import models.limits


@dataclasses.dataclass(frozen=True)
class Problem:
    where: str
    rule: str
    message: str


LOADER = botocore.loaders.Loader()


@functools.cache
def model(service: str) -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(LOADER.load_service_model(service, "service-2"), service)


def call(service: str, operation: str, parameters: dict, where: str):
    """Every problem that AWS would refuse the call for."""
    shape = model(service).operation_model(operation).input_shape
    yield from Check(service).value(shape, parameters, f"{where}: {operation}", shape.name)


class Check:
    def __init__(self, service: str) -> None:
        self.service = service

    def value(self, shape, value, where: str, name: str):
        yield from getattr(self, shape.type_name, self.scalar)(shape, value, where)
        for known in {f"{self.service}.{name}", f"{self.service}.{shape.name}"} & models.limits.PROSE.keys():
            for rule, message in models.limits.PROSE[known].broken(value):
                yield Problem(where, rule, message)

    def structure(self, shape, value, where: str):
        if not isinstance(value, dict):
            yield Problem(where, "type", f"{shown(value)} is no object")
            return
        members = {}
        for key, inner in value.items():
            member = member_of(shape, key)
            if member is None:
                yield Problem(f"{where}.{key}", "unknown", "AWS's model has no such member")
                continue
            members[member] = inner
            yield from self.value(shape.members[member], inner, f"{where}.{member}", f"{shape.name}.{member}")
        for missing in sorted(set(shape.required_members) - members.keys()):
            yield Problem(f"{where}.{missing}", "required", "is required and missing")

    def list(self, shape, value, where: str):
        if not isinstance(value, list):
            yield Problem(where, "type", f"{shown(value)} is no list")
            return
        yield from size(shape, len(value), where, "items")
        for index, inner in enumerate(value):
            yield from self.value(shape.member, inner, f"{where}[{index}]", shape.member.name)

    def map(self, shape, value, where: str):
        if not isinstance(value, dict):
            yield Problem(where, "type", f"{shown(value)} is no object")
            return
        yield from size(shape, len(value), where, "members")
        for key, inner in value.items():
            yield from self.value(shape.key, key, f"{where}.{key} (the name)", shape.key.name)
            yield from self.value(shape.value, inner, f"{where}.{key}", f"{shape.name}.{key}")

    def string(self, shape, value, where: str):
        if not isinstance(value, str | int | float):
            yield Problem(where, "type", f"{shown(value)} is no text")
            return
        # CloudFormation makes texts of numbers and truth values.
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield from size(shape, len(text), where, f"characters: {shown(text)}")
        pattern = shape.metadata.get("pattern")
        if pattern and not compiled(pattern).fullmatch(text):
            yield Problem(where, "pattern", f"{shown(text)} does not match {pattern}")
        if shape.enum and text not in shape.enum:
            yield Problem(where, "enum", f"{shown(text)} is none of {', '.join(shape.enum[:12])}")

    def number(self, shape, value, where: str):
        try:
            number = float(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError):
            number = None
        if number is None or (shape.type_name in ("integer", "long") and number != int(number)):
            yield Problem(where, "type", f"{shown(value)} is no {shape.type_name}")
            return
        yield from size(shape, number, where, "")

    integer = long = float = double = number

    def boolean(self, shape, value, where: str):
        if not (isinstance(value, bool) or value in ("true", "false")):
            yield Problem(where, "type", f"{shown(value)} is neither true nor false")

    def scalar(self, shape, value, where: str):
        yield Problem(where, "type", f"the gate does not know values of type {shape.type_name}")


def member_of(shape, key: str) -> str | None:
    """CloudFormation's names are the API's, but for capitals."""
    return next((name for name in shape.members if name == key), None) or next(
        (name for name in shape.members if name.casefold() == key.casefold()), None
    )


def size(shape, measured: float, where: str, of_what: str):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and measured < least:
        yield Problem(where, "min", f"{measured:g} {of_what} is less than {least}")
    if most is not None and measured > most:
        yield Problem(where, "max", f"{measured:g} {of_what} is more than {most}")


@functools.cache
def compiled(pattern: str):
    return regex.compile(pattern)


def shown(value) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 100 else f"{text[:60]}…{text[-30:]}")


@functools.cache
def documentation(service: str, name: str) -> str:
    """The documentation of a shape, or of a member of a structure, as plain text."""
    shape, _, member = name.partition(".")
    raw = LOADER.load_service_model(service, "service-2")["shapes"][shape]
    found = (raw["members"][member] if member else raw).get("documentation", "")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", found)))
