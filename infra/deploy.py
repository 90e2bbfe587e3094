"""Deploys the zips of `make package` to an AWS account, or to the endpoint in AWS_ENDPOINT_URL, after showing what would change.

It asks before it changes anything, unless told not to, and lists what runs in the stack. It builds nothing. It passes every
parameter: the given ones, and the template's defaults for the rest. It uses the AWS SAM CLI if that is installed, otherwise
the AWS CLI's own way. Runs in the venv of local/tools/aws.txt.
"""

import argparse
import difflib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import boto3
import botocore.exceptions
import cloudformation
import executions
from awscli.customizations.cloudformation.yamlhelper import yaml_parse

NOTHING = "nothing was deployed"
TARGET = pathlib.Path("target/lambda")
TEMPLATE = pathlib.Path("infra/template.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the checkout")
    parser.add_argument("--stack-name", required=True)
    parser.add_argument("--parameters", type=pathlib.Path, required=True, help="a template configuration file")
    parser.add_argument("--bucket", default="", help="an S3 bucket of the same Region for zips and template")
    parser.add_argument("--with", dest="tool", choices=["sam", "aws"], help="sam where it is there unless given")
    parser.add_argument("--check", action="store_true", help="only see whether all is there that a deployment needs, but the zips")
    parser.add_argument("--yes", action="store_true", help="carry the changes out without asking")
    parser.add_argument("--while-running", action="store_true", help="update although executions run, without asking about them")
    arguments = parser.parse_args()

    parameters, tags = configuration(arguments.parameters)
    parameters = complete(parameters, arguments.root / TEMPLATE, arguments.parameters)
    tool = arguments.tool or ("sam" if shutil.which("sam") else "aws")
    if not arguments.bucket and tool == "aws":
        sys.exit(f"no bucket for the zips is named; {NOTHING}; next step: make deploy BUCKET=<an S3 bucket of this Region>")
    if not arguments.yes and not sys.stdin.isatty():
        sys.exit(f"nobody can be asked here; {NOTHING}; next step: YES=1 deploys without asking")
    region = boto3.session.Session().region_name
    if not region:
        sys.exit(f"no Region is set; {NOTHING}; next step: export AWS_REGION=<Region>")
    account = boto3.client("sts").get_caller_identity()["Account"]
    if arguments.bucket:
        reachable(arguments.bucket)
    reservable(parameters)
    if arguments.check:
        while_running(arguments)
        return
    packaged(arguments.root, region)
    print(f"{arguments.stack_name} in {region} of account {account}, with {tool}", flush=True)
    listed = while_running(arguments)
    if tool == "sam":
        with_sam(arguments, parameters, tags)
    else:
        with_aws(arguments, parameters, tags, listed)
    report_unsubscribed(arguments.stack_name)


def configuration(path: pathlib.Path) -> tuple[dict[str, str], dict[str, str]]:
    """Reads parameters and tags from a file in the form that AWS calls a template configuration file."""
    try:
        read = json.loads(path.read_text())
        parameters, tags = read.pop("Parameters"), read.pop("Tags", {})
    except FileNotFoundError:
        sys.exit(f"{path} is not there; {NOTHING}; next step: cp infra/parameters.example.json {path}, and edit it")
    except (ValueError, KeyError, AttributeError) as error:
        sys.exit(f'{path} is not {{"Parameters": {{…}}, "Tags": {{…}}}}: {error!r}; {NOTHING}')
    if read:
        sys.exit(f"{path} has {', '.join(read)} beside Parameters and Tags; {NOTHING}")
    for name, value in (parameters | tags).items():
        if not isinstance(value, str):
            sys.exit(f"{path}: {name} is {value!r}: write it as text, in quotes; a list with commas; {NOTHING}")
    return parameters, tags


def complete(given: dict[str, str], template: pathlib.Path, path: pathlib.Path) -> dict[str, str]:
    """Returns every parameter of the template, as given or with its default. SAM keeps the previous value of a parameter that an
    update leaves out, whatever the template says."""
    declared = yaml_parse(template.read_text())["Parameters"]
    for name in given:
        if name not in declared:
            meant = difflib.get_close_matches(name, declared, 1)
            hint = f"{meant[0]}?" if meant else f"it has {', '.join(declared)}"
            sys.exit(f"{path} has the parameter {name}, and the template has not; {NOTHING}; next step: correct its name: {hint}")
    missing = [name for name, parameter in declared.items() if name not in given and "Default" not in parameter]
    if missing:
        sys.exit(f"{path} lacks {', '.join(missing)}, which have no default; {NOTHING}; next step: give them there")
    return {name: given[name] if name in given else text(parameter["Default"]) for name, parameter in declared.items()}


def text(default: str | float | bool) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def while_running(arguments: argparse.Namespace, listed: frozenset[str] = frozenset()) -> frozenset[str]:
    """Lists the executions that an update would affect, and exits unless somebody accepts that. Returns the ARNs of all that were
    listed, now or before."""
    try:
        running = [each for each in executions.unfinished(arguments.stack_name) if each.arn not in listed]
    except botocore.exceptions.ClientError as error:
        if arguments.while_running:
            print(f"what runs in {arguments.stack_name} can't be seen: {error}", file=sys.stderr)
            return listed
        sys.exit(
            f"whether recoveries run in {arguments.stack_name} can't be seen: {error}; {NOTHING}; next step: be allowed "
            "cloudformation:ListStackResources and states:ListExecutions, or deploy all the same with WHILE_RUNNING=1"
        )
    if not running:
        return listed
    listed |= {each.arn for each in running}
    print(f"running in {arguments.stack_name}:")
    for execution in running:
        print(f"  {execution}")
    print("an execution keeps the definition that it began with, but calls the functions of the update from then on", flush=True)
    if arguments.while_running or (arguments.check and not arguments.yes):  # after the check comes the deployment, which asks
        return listed
    if arguments.yes:
        sys.exit(f"{NOTHING}; next step: deploy when they have ended, or with WHILE_RUNNING=1")
    if not agreed("update while they run? [y/N] "):
        sys.exit(NOTHING)
    return listed


def packaged(root: pathlib.Path, region: str) -> None:
    """Exits if a zip is missing, or if the functions could not verify databases of the Region."""
    for name in sorted(path.parent.name for path in root.glob("functions/*/Cargo.toml")):
        zipped = root / TARGET / name / "bootstrap.zip"
        if not zipped.is_file():
            sys.exit(f"{zipped.relative_to(root)} is not there; {NOTHING}; next step: make package")
        with zipfile.ZipFile(zipped) as archive:
            if "rds-ca.pem" not in archive.namelist():
                continue
            if not re.search(rf"^# .* {re.escape(region)} ", archive.read("rds-ca.pem").decode(), re.MULTILINE):
                sys.exit(
                    f"the certificates in the zip of {name} know no authority of RDS in {region}: it could connect to no "
                    f"database there; {NOTHING}; next step: make package RDS_CA_BUNDLE=<AWS's own global-bundle.pem>"
                )


def reachable(bucket: str) -> None:
    try:
        boto3.client("s3").head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        sys.exit(f"the bucket {bucket} can't be used: {error}; {NOTHING}; next step: aws s3 mb s3://<a name>, and BUCKET=<it>")


def escaped(value: str) -> str:
    """Escapes a value as SAM expects it within quotation marks."""
    return value.replace('"', '\\"')


def reservable(parameters: dict[str, str]) -> None:
    """Exits if the account cannot reserve the concurrency for chat: the deployment would fail on it, and be rolled back."""
    wanted = parameters.get("ChatConcurrency", "none")
    if wanted == "none" or not parameters.get("ChatSecretArn"):
        return
    try:
        limit = boto3.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    except botocore.exceptions.ClientError:
        return  # whoever may deploy and not ask this learns it from CloudFormation
    if limit - int(wanted) < 100:
        sys.exit(
            f"ChatConcurrency reserves {wanted} of the account's {limit} concurrent executions, and Lambda keeps 100 for the rest; "
            f"{NOTHING}; next step: ask for a higher quota, or give ChatConcurrency as none"
        )


def with_sam(arguments: argparse.Namespace, parameters: dict[str, str], tags: dict[str, str]) -> None:
    command = ["sam", "deploy", "--template-file", str(TEMPLATE), "--stack-name", arguments.stack_name]
    command += ["--s3-bucket", arguments.bucket] if arguments.bucket else ["--resolve-s3"]
    command += ["--s3-prefix", arguments.stack_name, "--capabilities", *cloudformation.CAPABILITIES]
    command += ["--no-confirm-changeset" if arguments.yes else "--confirm-changeset", "--no-fail-on-empty-changeset"]
    command += ["--no-progressbar"]
    for option, pairs in (("--parameter-overrides", parameters), ("--tags", tags)):
        if pairs:
            command += [option, *(f'{name}="{escaped(value)}"' for name, value in pairs.items())]
    if code := subprocess.run(command, cwd=arguments.root, check=False).returncode:
        sys.exit(code)


def with_aws(
    arguments: argparse.Namespace, parameters: dict[str, str], tags: dict[str, str], listed: frozenset[str]
) -> None:
    root = arguments.root
    template, out = root / TEMPLATE, root / "target/packaged.yaml"
    url = cloudformation.package(template, arguments.bucket, out, arguments.stack_name)
    stack = cloudformation.Stack(arguments.stack_name, poll=2, timeout=3600)
    changes = stack.propose(url, parameters, tags)
    if changes is None:
        print("nothing to change: what is deployed is this")
    else:
        show(changes)
        if not arguments.yes and not agreed("carry these changes out? [y/N] "):
            stack.withdraw()
            sys.exit(NOTHING)
        try:
            while_running(arguments, listed)  # what began since
        except SystemExit:
            stack.withdraw()
            raise
        print("deploying; CloudFormation undoes it all when a part of it fails", flush=True)
        stack.carry_out()
    for name, value in stack.outputs().items():
        print(f"  {name:24} {value}")


def report_unsubscribed(stack: str) -> None:
    """Reports each topic without a confirmed subscription: nobody would be asked for an approval, or woken by a page."""
    deployed = cloudformation.Stack(stack, poll=2, timeout=60)
    outputs = deployed.outputs() if deployed.status() else {}
    try:
        report_topics(outputs)
    except botocore.exceptions.ClientError as error:
        # The deployment is done: not being allowed to list subscriptions must not make it fail.
        print(f"who is subscribed to the topics could not be seen: {error}")


def report_topics(outputs: dict[str, str]) -> None:
    for output, lost in (("TopicArn", "asked for approvals"), ("PagesTopicArn", "paged when a recovery needs a person")):
        topic = outputs.get(output)
        if not topic:
            continue
        pages = boto3.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        if not any(each["SubscriptionArn"].startswith("arn:") for page in pages for each in page["Subscriptions"]):
            print(
                f"nobody is {lost} yet: the topic {topic} has no subscription that somebody confirmed; next step: follow the "
                f"link that AWS has sent, or aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint <address>"
            )


def show(changes: list[dict]) -> None:
    for change in sorted(changes, key=lambda change: change["LogicalResourceId"]):
        replaced = {"True": ", by a new one", "Conditional": ", perhaps by a new one"}.get(change.get("Replacement"), "")
        print(f"  {change['Action'].lower():8} {change['LogicalResourceId']:44} {change['ResourceType']}{replaced}")


def agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


if __name__ == "__main__":
    try:
        main()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        sys.exit(f"AWS did not do it: {error}; to see how things stand: aws cloudformation describe-stacks")
