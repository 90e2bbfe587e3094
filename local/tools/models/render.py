"""Renders the template as CloudFormation does: SAM's translator for a partition, then conditions, parameters and intrinsic
functions, down to plain properties.

It knows names and ARNs by resources.py and values by parameters.py, and judges nothing but what cannot be rendered.
"""

import dataclasses
import json
import pathlib
import re

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

import models.parameters
from models.resources import KINDS, generated_name

ACCOUNT = "123456789012"
# The longest that CloudFormation takes, with capitals, as it may have.
STACK = ("Aurora-Rewind-" * 10)[:128]
DEFINITION = "DefinitionPath"  # where a machine's definition was, beside its properties


class Unrenderable(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Location:
    partition: str
    region: str
    suffix: str


# The longest Region of each.
LOCATIONS = (
    Location("aws", "ap-southeast-1", "amazonaws.com"),
    Location("aws-cn", "cn-northwest-1", "amazonaws.com.cn"),
    Location("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
)


def read(path: pathlib.Path) -> dict:
    return json.loads(json.dumps(yaml_parse(path.read_text()), default=str))


def translate(template: dict, location: Location) -> dict:
    """The template without SAM. Definitions stay files, for `aws cloudformation package` uploads them as they are."""
    template = json.loads(json.dumps(template))
    definitions = {}
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if "DefinitionUri" in properties:
            definitions[name] = properties["DefinitionUri"]
        # The translator wants what `package` would have uploaded.
        for local in {"CodeUri", "DefinitionUri"} & properties.keys():
            properties[local] = "s3://bucket/key"
    session = boto3.Session(region_name=location.region)
    translated = Translator({}, Parser(), boto_session=session).translate(template, {})
    for name, uri in definitions.items():
        translated["Resources"][name]["Properties"][DEFINITION] = uri
    return json.loads(json.dumps(translated, default=str))


class Template:
    """A translated template in a location, which renders for any values of its parameters."""

    def __init__(self, template: dict, location: Location, folder: pathlib.Path) -> None:
        self.template, self.location, self.folder = template, location, folder
        self.parameters: dict[str, dict] = template.get("Parameters", {})
        self.conditions: dict[str, object] = template.get("Conditions", {})
        self.resources: dict[str, dict] = template["Resources"]
        self.rules: dict[str, dict] = template.get("Rules", {})
        compared = self.compared()
        self.candidates, self.telling = {}, {}
        for name, parameter in self.parameters.items():
            apart = compared.get(name, set())
            values = models.parameters.candidates(parameter, apart, location.partition, location.region, ACCOUNT)
            self.candidates[name] = values
            self.telling[name] = models.parameters.telling(parameter, values, apart)

    def compared(self) -> dict[str, set[str]]:
        """Literals that conditions and rules compare a parameter with."""
        found: dict[str, set[str]] = {}

        def walk(value):
            if isinstance(value, dict):
                if isinstance(sides := value.get("Fn::Equals"), list):
                    names = {name for side in sides for name in references(side) if name in self.parameters}
                    for name in names:
                        found.setdefault(name, set()).update(str(side) for side in sides if not isinstance(side, dict | list))
                for inner in value.values():
                    walk(inner)
            elif isinstance(value, list):
                for inner in value:
                    walk(inner)

        walk([self.conditions, self.rules])
        return found

    def closure(self, names: set[str]) -> set[str]:
        """With what the conditions among the names depend on, and what the resources among them exist and are called by."""
        found, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            if name in self.conditions:
                waiting += references(self.conditions[name])
            if name in self.resources:
                resource = self.resources[name]
                kind = KINDS.get(resource["Type"])
                named_by = {"Path", kind.property} if kind else set()
                waiting += [resource["Condition"]] if "Condition" in resource else []
                waiting += references([inner for key, inner in resource.get("Properties", {}).items() if key in named_by])
        return found

    def rendering(self, values: dict[str, str]) -> "Rendering":
        return Rendering(self, values)


def references(value) -> set[str]:
    """Names that an expression refers to: parameters, resources, conditions, as `Ref`, GetAtt, Sub, If and Condition do."""
    found: set[str] = set()
    if isinstance(value, list):
        return found.union(*map(references, value))
    if not isinstance(value, dict):
        return found
    for key, inner in value.items():
        if key in ("Ref", "Condition") and isinstance(inner, str):
            found.add(inner)
        elif key == "Fn::GetAtt":
            found.add(inner[0] if isinstance(inner, list) else inner.split(".", 1)[0])
        elif key == "Fn::If" and isinstance(inner, list):
            found.add(inner[0])
        elif key == "Fn::Sub":
            text = inner[0] if isinstance(inner, list) else inner
            found.update(name.split(".", 1)[0] for name in re.findall(r"\$\{([^}!]+)\}", text))
        found |= references(inner)
    return found


class Rendering:
    """The template with one set of values. What a value refers to is rendered as it is needed."""

    def __init__(self, template: Template, values: dict[str, str]) -> None:
        self.of, self.values = template, values
        location = template.location
        self.pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NotificationARNs": [],
            "AWS::Partition": location.partition,
            "AWS::Region": location.region,
            "AWS::StackId": f"arn:{location.partition}:cloudformation:{location.region}:{ACCOUNT}:stack/{STACK}/0123",
            "AWS::StackName": STACK,
            "AWS::URLSuffix": location.suffix,
        }

    def exists(self, name: str) -> bool:
        condition = self.of.resources[name].get("Condition")
        return condition is None or self.condition(condition)

    def condition(self, name: str) -> bool:
        if name not in self.of.conditions:
            raise Unrenderable(f"there is no condition {name}")
        return self.truth(self.of.conditions[name])

    def truths(self, names: tuple[str, ...]) -> tuple[bool, ...]:
        return tuple(map(self.condition, names))

    def truth(self, expression) -> bool:
        ((function, argument),) = expression.items()
        if function == "Fn::Equals":
            left, right = map(self.value, argument)
            return str(left) == str(right)
        if function == "Fn::And":
            return all(map(self.truth, argument))
        if function == "Fn::Or":
            return any(map(self.truth, argument))
        if function == "Fn::Not":
            return not self.truth(argument[0])
        if function == "Condition":
            return self.condition(argument)
        if function == "Fn::Contains":
            return self.value(argument[1]) in self.value(argument[0])
        if function == "Fn::EachMemberIn":
            return set(self.value(argument[0])) <= set(self.value(argument[1]))
        if function == "Fn::EachMemberEquals":
            return all(each == self.value(argument[1]) for each in self.value(argument[0]))
        raise Unrenderable(f"the gate does not know {function} in a condition")

    def refused(self) -> str | None:
        """The rule that keeps CloudFormation from beginning with these values."""
        for name, rule in self.of.rules.items():
            if "RuleCondition" in rule and not self.truth(rule["RuleCondition"]):
                continue
            if not all(self.truth(assertion["Assert"]) for assertion in rule["Assertions"]):
                return name
        return None

    def name(self, logical: str) -> str:
        """The physical name."""
        resource = self.of.resources[logical]
        kind = KINDS.get(resource["Type"])
        if kind is None:
            raise Unrenderable(f"the gate does not know {resource['Type']}: add it to calls.py and resources.py")
        given = resource.get("Properties", {}).get(kind.property) if kind.property else None
        rendered = self.value(given) if given is not None else None
        return generated_name(STACK, logical, kind.longest) if rendered is None else str(rendered)

    def format(self, logical: str, form: str) -> str:
        location, path = self.of.location, self.value(self.of.resources[logical].get("Properties", {}).get("Path"))
        return form.format(
            name=self.name(logical),
            partition=location.partition,
            region=location.region,
            account=ACCOUNT,
            suffix=location.suffix,
            path=path or "/",
        )

    def reference(self, name: str):
        if name == "AWS::NoValue":
            return None
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.of.parameters:
            return models.parameters.value_of(self.of.parameters[name], self.values[name])
        return self.format(name, KINDS[self.there(name)].ref)

    def attribute(self, name: str, attribute: str) -> str:
        kind = KINDS[self.there(name)]
        if attribute not in kind.attributes:
            raise Unrenderable(f"the gate does not know {attribute} of {self.of.resources[name]['Type']}: add it to resources.py")
        return self.format(name, kind.attributes[attribute])

    def there(self, name: str) -> str:
        """The type of a resource that exists with these values."""
        if name not in self.of.resources:
            raise Unrenderable(f"{name} is neither a parameter nor a resource")
        if not self.exists(name):
            raise Unrenderable(f"{name} is referred to and does not exist")
        self.name(name)
        return self.of.resources[name]["Type"]

    def value(self, value):
        """The value without intrinsic functions. What is AWS::NoValue is left out."""
        if isinstance(value, list):
            return [inner for inner in map(self.value, value) if inner is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self.reference(argument)
            if function.startswith("Fn::"):
                return self.function(function, argument)
            if function == "Condition" and isinstance(argument, str):
                return self.condition(argument)
        rendered = {key: self.value(inner) for key, inner in value.items()}
        return {key: inner for key, inner in rendered.items() if inner is not None}

    def function(self, function: str, argument):
        if function == "Fn::If":
            return self.value(argument[1] if self.condition(argument[0]) else argument[2])
        if function == "Fn::GetAtt":
            return self.attribute(*(argument if isinstance(argument, list) else argument.split(".", 1)))
        if function == "Fn::Sub":
            return self.substitute(*(argument if isinstance(argument, list) else (argument, {})))
        if function == "Fn::Join":
            return argument[0].join(map(str, self.value(argument[1])))
        if function == "Fn::Split":
            return self.value(argument[1]).split(argument[0])
        if function == "Fn::Select":
            items = self.value(argument[1])
            if int(self.value(argument[0])) >= len(items):
                raise Unrenderable(f"Fn::Select wants item {argument[0]} of {len(items)}")
            return items[int(self.value(argument[0]))]
        if function == "Fn::FindInMap":
            mapping, first, second = map(self.value, argument[:3])
            try:
                return self.of.template["Mappings"][mapping][first][second]
            except KeyError:
                raise Unrenderable(f"there is no {mapping}.{first}.{second} in the mappings") from None
        if function in ("Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not"):
            return self.truth({function: argument})
        raise Unrenderable(f"the gate does not know {function}")

    def substitute(self, text: str, given: dict) -> str:
        def found(match: re.Match) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in given:
                return str(self.value(given[name]))
            value = self.attribute(*name.split(".", 1)) if "." in name else self.reference(name)
            if isinstance(value, list):
                raise Unrenderable(f"${{{name}}} is a list")
            return str(value)

        return re.sub(r"\$\{([^}]+)\}", found, text)

    def properties(self, logical: str) -> dict:
        """A resource's properties; of a state machine with its definition, as CloudFormation reads it from S3."""
        given = dict(self.of.resources[logical].get("Properties", {}))
        definition, substitutions = given.pop(DEFINITION, None), given.pop("DefinitionSubstitutions", {})
        rendered = self.value(given)
        if definition is None:
            return rendered
        rendered.pop("DefinitionS3Location", None)
        text = (self.folder(definition)).read_text()
        for name, value in self.value(substitutions).items():
            if f"${{{name}}}" not in text:
                raise Unrenderable(f"{definition} does not use the substitution {name}")
            text = text.replace(f"${{{name}}}", str(value))
        if left := re.search(r"\$\{\w+\}", text):
            raise Unrenderable(f"{definition}: nothing substitutes {left[0]}")
        try:
            json.loads(text)
        except ValueError as error:
            raise Unrenderable(f"{definition} is no JSON once substituted: {error}") from None
        return rendered | {"definition": text}

    def folder(self, definition: str) -> pathlib.Path:
        return (self.of.folder / definition).resolve()
