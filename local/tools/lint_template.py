"""Lints the template as AWS will see it: translated by SAM's own translator, each policy by parliament, all of it by checkov.

Findings that are not mended are listed in infra/lint.yaml with their reasons; an exception that nothing needs fails too. Nothing
leaves the machine. Runs in the venv of audit.txt.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")  # the translator asks for the partition, and calls nothing

import parliament
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ACCOUNT = "eu-west-1:123456789012"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "aurora-rewind",
}
# The ARN of a resource called `name`, for policies that name one.
ARNS = {
    "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{ACCOUNT}:alarm:name",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{ACCOUNT}:table/name",
    "AWS::Events::EventBus": f"arn:aws:events:{ACCOUNT}:event-bus/name",
    "AWS::Events::Rule": f"arn:aws:events:{ACCOUNT}:rule/name",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/name",
    "AWS::KMS::Key": f"arn:aws:kms:{ACCOUNT}:key/name",
    "AWS::Lambda::Function": f"arn:aws:lambda:{ACCOUNT}:function:name",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{ACCOUNT}:log-group:name:*",
    "AWS::Scheduler::ScheduleGroup": f"arn:aws:scheduler:{ACCOUNT}:schedule-group/name",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{ACCOUNT}:secret:name",
    "AWS::SNS::Topic": f"arn:aws:sns:{ACCOUNT}:name",
    "AWS::SQS::Queue": f"arn:aws:sqs:{ACCOUNT}:name",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{ACCOUNT}:stateMachine:name",
}
# !Ref of these is the ARN; of the others a name.
REFERRED_BY_ARN = {"AWS::SecretsManager::Secret", "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine"}
# Parameters that are empty or missing by default, as somebody would give them.
GIVEN = {
    "ChatSecretArn": ARNS["AWS::SecretsManager::Secret"],
    "ClusterPattern": "shop-*",
    "HostedZoneArns": "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ",
    "HostedZoneReadRoleArn": ARNS["AWS::IAM::Role"],
    "HostedZoneRoleArn": ARNS["AWS::IAM::Role"],
    "ClusterRoleArns": ARNS["AWS::IAM::Role"],
    "KmsKeyArn": ARNS["AWS::KMS::Key"],
    "NewClusterPattern": "shop-restored-*",
    "RecordNames": "db.example.com",
    "SecretArns": ARNS["AWS::SecretsManager::Secret"],
}


def main() -> None:
    template, reasons = pathlib.Path(sys.argv[1]), exceptions(pathlib.Path(sys.argv[2]))
    checkov = pathlib.Path(sys.executable).with_name("checkov")
    translated = translate(template)
    failed = False
    for linter, findings in (("parliament", policies(translated)), ("checkov", checks(checkov, translated))):
        used = set()
        for rule, where, message in findings:
            known = {rule, f"{rule} {where}"} & reasons[linter].keys()
            used |= known
            if not known:
                print(f"{linter}: {where}: {rule}: {message}", file=sys.stderr)
                failed = True
        for rule in reasons[linter].keys() - used:
            print(f"{linter}: nothing needs the exception of {rule} in {sys.argv[2]}", file=sys.stderr)
            failed = True
    sys.exit(1 if failed else 0)


def exceptions(path: pathlib.Path) -> dict[str, dict[str, str]]:
    text = path.read_text()
    for _, rules in yaml.compose(text).value:
        names = [name.value for name, _ in rules.value]
        for name in {name for name in names if names.count(name) > 1}:
            sys.exit(f"{path}: {name} is there twice: all but the last would be ignored")
    return yaml.safe_load(text)


def translate(path: pathlib.Path) -> dict:
    """The template without SAM: with the roles that SAM makes of the functions' policies."""
    template = yaml_parse(path.read_text())
    for resource in template["Resources"].values():
        # The translator wants what `package` would have uploaded.
        for local in {"CodeUri", "DefinitionUri"} & resource.get("Properties", {}).keys():
            resource["Properties"][local] = "s3://bucket/key"
    return json.loads(json.dumps(Translator({}, Parser()).translate(template, {}), default=str))


def policies(template: dict):
    """Runs parliament on each policy of each role: once with all conditions true, once with none."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            documents = [properties["PolicyDocument"]]
        if not resource["Type"].startswith("AWS::IAM::"):
            continue
        resolved = {json.dumps(resolve(document, template, holds)) for document in documents for holds in (True, False)}
        for text in sorted(resolved):
            for finding in parliament.analyze_policy_string(text).findings:
                detail = finding.detail[0] if isinstance(finding.detail, list) and finding.detail else finding.detail
                action = detail.get("action") if isinstance(detail, dict) else None
                yield " ".join(filter(None, (finding.issue, action))), name, finding.detail


def resolve(value, template: dict, holds: bool = True):
    """Replaces intrinsic functions by values of the form that they will have, with every condition true, or none."""
    if isinstance(value, list):
        resolved = [resolve(item, template, holds) for item in value]
        # A list parameter among other items; what a condition leaves out.
        return [inner for item in resolved for inner in (item if isinstance(item, list) else [item]) if inner is not None]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Ref":
            return reference(argument, template)
        if function == "Fn::GetAtt":
            name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
            return arn(name, template) if attribute == "Arn" else "name"
        if function == "Fn::Sub":
            text, given = argument if isinstance(argument, list) else (argument, {})
            return re.sub(r"\$\{([^}!]+)\}", lambda found: substitute(found[1], given, template), text)
        if function == "Fn::Join":
            return argument[0].join(resolve(argument[1], template, holds))
        if function == "Fn::If":
            return resolve(argument[1 if holds else 2], template, holds)
    given = {key: resolve(inner, template, holds) for key, inner in value.items()}
    return {key: inner for key, inner in given.items() if inner is not None}


def substitute(name: str, given: dict, template: dict) -> str:
    if name in given:
        return resolve(given[name], template)
    if "." in name:
        return resolve({"Fn::GetAtt": name}, template)
    resolved = reference(name, template)
    return resolved[0] if isinstance(resolved, list) else resolved


def reference(name: str, template: dict):
    if name == "AWS::NoValue":
        return None
    if name in PSEUDO:
        return PSEUDO[name]
    if name in template.get("Parameters", {}):
        parameter = template["Parameters"][name]
        text = str(parameter.get("Default") or GIVEN.get(name, ""))
        return text.split(",") if parameter["Type"].startswith(("CommaDelimitedList", "List<")) else text
    return arn(name, template) if template["Resources"][name]["Type"] in REFERRED_BY_ARN else "name"


def arn(name: str, template: dict) -> str:
    kind = template["Resources"][name]["Type"]
    if kind not in ARNS:
        sys.exit(f"{__file__} does not know what the ARN of an {kind} looks like: add it to ARNS")
    return ARNS[kind]


def checks(checkov: pathlib.Path, template: dict):
    """Runs checkov on each resource."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "template.json"
        file.write_text(json.dumps(template, indent=1))
        command = [checkov, "--framework", "cloudformation", "--file", file, "--output", "json", "--skip-download", "--quiet"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(found.stdout)
    except ValueError:
        sys.exit(f"checkov failed: {found.stderr[-2000:] or found.stdout[-2000:]}")
    if report["summary"]["parsing_errors"] or not report["summary"]["resource_count"]:
        sys.exit(f"checkov could not read the translated template: {report['summary']}")
    for check in report["results"]["failed_checks"]:
        yield check["check_id"], check["resource"].split(".", 1)[1], check["check_name"]


if __name__ == "__main__":
    main()
