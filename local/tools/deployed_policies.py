"""The policies of every role of the template as a deployment with given parameters has them. It resolves CloudFormation's own functions,
with made-up ARNs for resources, and evaluates no policy.

Runs in an environment with SAM's translator, and never leaves the machine.
"""

import json
import os
import pathlib
import re

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")  # the translator asks for the partition, and calls nothing

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ACCOUNT = "123456789012"
REGION = "eu-west-1"
STACK = "aurora-rewind"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": STACK,
}
# How ARNs of resources begin, and what comes before the name.
ARNS = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::Events::EventBus": ("events", "event-bus/"),
    "AWS::KMS::Key": ("kms", "key/"),
    "AWS::Lambda::Function": ("lambda", "function:"),
    "AWS::SNS::Topic": ("sns", ""),
    "AWS::SQS::Queue": ("sqs", ""),
    "AWS::StepFunctions::StateMachine": ("states", "stateMachine:"),
}
REFERRED_BY_ARN = {"AWS::SNS::Topic", "AWS::StepFunctions::StateMachine"}


class Deployment:
    """The template with parameters. Where `parameters` has none, the template's default counts; one without a default must be given."""

    def __init__(self, template: pathlib.Path, parameters: dict[str, str]):
        source = yaml_parse(template.read_text())
        # The translator asks for local files that exist only after packaging: what runs in a function is none of its roles' business.
        for resource in source["Resources"].values():
            for uri in ("CodeUri", "DefinitionUri"):
                if uri in resource["Properties"]:
                    resource["Properties"][uri] = "s3://bucket/key"
        self.template = json.loads(json.dumps(Translator({}, Parser()).translate(source, {}), default=str))
        self.parameters = {name: self.value(name, declared, parameters) for name, declared in self.template["Parameters"].items()}
        unknown = parameters.keys() - self.parameters.keys()
        if unknown:
            raise ValueError(f"the template has no parameter {', '.join(sorted(unknown))}")

    @staticmethod
    def value(name: str, declared: dict, parameters: dict[str, str]):
        text = parameters.get(name, declared.get("Default"))
        if text is None:
            raise ValueError(f"the parameter {name} must be given")
        return str(text).split(",") if declared["Type"] == "CommaDelimitedList" else str(text)

    def policies(self) -> dict[str, list[dict]]:
        """The policy documents by the role's name in the template; AWS's own that SAM attaches are not among them."""
        found: dict[str, list[dict]] = {}
        resources = {name: one for name, one in self.template["Resources"].items() if self.holds(one.get("Condition"))}
        for name, resource in resources.items():
            if resource["Type"] == "AWS::IAM::Role":
                properties = resource["Properties"]
                documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
                for attached in properties.get("ManagedPolicyArns", []):
                    if isinstance(attached, dict) and "Ref" in attached:
                        documents.append(resources[attached["Ref"]]["Properties"]["PolicyDocument"])
                found.setdefault(name, []).extend(self.resolve(documents))
            if resource["Type"] == "AWS::IAM::Policy":
                for role in self.resolve(resource["Properties"]["Roles"]):
                    found.setdefault(role, []).append(self.resolve(resource["Properties"]["PolicyDocument"]))
        return found

    def bus_policy(self) -> dict:
        """The policy of the stack's event bus."""
        statements = [one["Properties"]["Statement"] for one in self.template["Resources"].values() if one["Type"] == "AWS::Events::EventBusPolicy"]
        return {"Version": "2012-10-17", "Statement": self.resolve(statements)}

    def holds(self, condition: str | None) -> bool:
        return condition is None or self.is_true(self.template["Conditions"][condition])

    def is_true(self, test: dict) -> bool:
        ((function, argument),) = test.items()
        match function:
            case "Fn::Equals":
                return self.resolve(argument[0]) == self.resolve(argument[1])
            case "Fn::Not":
                return not self.is_true(argument[0])
            case "Fn::And":
                return all(map(self.is_true, argument))
            case "Fn::Or":
                return any(map(self.is_true, argument))
            case "Condition":
                return self.holds(argument)
        raise ValueError(f"{function} is no condition that is known here")

    def resolve(self, value):
        if isinstance(value, list):
            resolved = [self.resolve(item) for item in value]
            # A list parameter among other items; what a condition leaves out.
            return [one for item in resolved for one in (item if isinstance(item, list) else [item]) if one is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            match function:
                case "Ref":
                    return self.reference(argument)
                case "Fn::GetAtt":
                    name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                    return self.arn(name) if attribute == "Arn" else name
                case "Fn::Sub":
                    return re.sub(r"\$\{([^}!]+)\}", lambda found: str(self.substituted(found[1])), argument)
                case "Fn::Join":
                    return argument[0].join(self.resolve(argument[1]))
                case "Fn::Select":
                    return self.resolve(argument[1])[int(argument[0])]
                case "Fn::If":
                    return self.resolve(argument[1 if self.holds(argument[0]) else 2])
        given = {key: self.resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in given.items() if inner is not None}

    def substituted(self, name: str):
        return self.resolve({"Fn::GetAtt": name}) if "." in name else self.reference(name)

    def reference(self, name: str):
        if name == "AWS::NoValue":
            return None
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.arn(name) if self.template["Resources"][name]["Type"] in REFERRED_BY_ARN else name

    def arn(self, name: str) -> str:
        kind = self.template["Resources"][name]["Type"]
        if kind == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{name}"
        if kind == "AWS::Events::EventBus":
            name = self.resolve(self.template["Resources"][name]["Properties"]["Name"])
        service, before = ARNS[kind]
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{before}{name}"
