"""A ministack of its own with the template deployed to it as it is; only what is in the functions' zips differs. The
controller of a run starts it; every worker connects to it. It asserts nothing.
"""

import json
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import time
import urllib.request
import uuid
import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from scenario import (
    CLEAN_UP, CLEAN_UP_DISABLED, CLEAN_UP_WITHOUT_TIMEOUTS, MACHINE, OPEN, STOPPED, UNDO, UNDO_WITHOUT_TIMEOUTS, WATCH, WITHOUT_TIMEOUTS, slug,
)  # fmt: skip

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUCKET = STACK = "rewind-paths"
# The timeouts of the definition that are nothing in its second copy.
TIMEOUTS = [
    "($awaiting.what = 'backtrack' ? 2 : 12) * 3600 * 1000", "2 * 3600 * 1000", "3600 * 1000", "1200 * 1000",
    "(3600 + 2 * $max($append([0], $plan.dns.ttl))) * 1000", "(120 + 2 * $max($append([0], $plan.dns.ttl))) * 1000",
]  # fmt: skip
OF_UNDO = [
    "2 * 3600 * 1000", "> 3600 * 1000", "(3600 + 2 * $max($append([0], $swap.records.ttl))) * 1000", "(120 + 2 * $max($append([0], $swap.records.ttl))) * 1000",
]  # fmt: skip


class Client:
    """What a worker needs of the deployment; `known` is what `Deployment.deploy` answers."""

    def __init__(self, known):
        self.known, self.table, self.arns = known, known["table"], known["arns"]
        self.scripts = Path(known["scripts"])
        self._clients = {}

    def client(self, service):
        if service not in self._clients:
            config = Config(retries={"max_attempts": 5}, connect_timeout=5, read_timeout=30)
            self._clients[service] = boto3.client(
                service, endpoint_url=self.known["url"], region_name="us-east-1", config=config, **self.known["keys"]
            )
        return self._clients[service]

    def calls_of(self, recovery):
        """The calls that the stand-in functions got for a recovery."""
        file = self.scripts / f"{recovery}.calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def item(self, key):
        found = self.client("dynamodb").get_item(TableName=self.table, Key={"id": {"S": key}}, ConsistentRead=True)
        return found.get("Item")


class Notifications:
    """What people are told, from now on: a queue that has subscribed to their topic."""

    def __init__(self, deployment):
        self.queues, self.messages = deployment.client("sqs"), []
        self.queue = self.queues.create_queue(QueueName=f"notifications-{uuid.uuid4()}")["QueueUrl"]
        of_queue = self.queues.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]
        deployment.client("sns").subscribe(TopicArn=deployment.known["topic"], Protocol="sqs", Endpoint=of_queue["QueueArn"])

    def about(self, text):
        """Subject and text of each message so far that has `text` in one of them."""
        while found := self.queues.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self.queues.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                self.messages.append((body.get("Subject"), body["Message"]))
        return [message for message in self.messages if text in f"{message}"]


class Deployment:
    """The process of ministack, and the deployment to it."""

    def __init__(self, work, ministack, aws, evaluations):
        self.work, self.scripts, self.aws = work, work / "scripts", aws
        self.scripts.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        # Others at each start: what is deployed runs as whoever runs the tests.
        self.keys = {"aws_access_key_id": f"AKIA{secrets.token_hex(8).upper()}", "aws_secret_access_key": secrets.token_hex(20)}
        (self.scripts / "keys").write_text(json.dumps(self.keys))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": self.url, **{name.upper(): value for name, value in self.keys.items()}, "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        self.of_ministack = self.environment | {
            "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SFN_WAIT_SCALE": "0", "REWIND_PATHS": str(self.scripts),
            "SFN_MOCK_CONFIG": str(work / "mocks.json"), "TMPDIR": str(work), "STATE_DIR": str(work / "state"),
            "REWIND_EVALUATIONS": str(evaluations), "PYTHONPATH": str(ROOT / "local" / "tools"),
        }  # fmt: skip
        self.ministack, self.process = ministack, None

    def start(self, scenarios):
        """Starts ministack, which makes native states throw as the scenarios say."""
        (self.work / "mocks.json").write_text(json.dumps(mocks(scenarios)))
        self.log = open(self.work / "ministack.log", "w")
        command = [self.ministack, HERE / "recording_ministack.py"]
        # In a session of its own: Ctrl-C is for the tests, which end it then.
        self.process = subprocess.Popen(
            command, env=self.of_ministack, cwd=self.work, stdout=self.log, stderr=self.log, start_new_session=True
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1).read()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.work / "ministack.log").read_text()
                    pytest.exit(f"ministack did not start:\n{log}", returncode=1)
                time.sleep(0.1)

    def deploy(self):
        """Deploys the template; answers what a `Client` has to know."""
        for folder in ["infra", "statemachine"]:
            shutil.copytree(ROOT / folder, self.work / folder)
        template = (self.work / "infra" / "template.yaml").read_text()
        for stem in re.findall(r"target/lambda/([a-z-]+)/bootstrap.zip", template):
            target = self.work / "target" / "lambda" / stem
            target.mkdir(parents=True)
            with zipfile.ZipFile(target / "bootstrap.zip", "w") as archive:
                entry = zipfile.ZipInfo("bootstrap")
                entry.external_attr = (stat.S_IFREG | 0o755) << 16
                archive.writestr(entry, (HERE / "stand_in").read_bytes())
        client = Client({"url": self.url, "keys": self.keys, "scripts": str(self.scripts), "table": None, "arns": None}).client
        client("s3").create_bucket(Bucket=BUCKET)
        group = client("ec2").create_security_group(GroupName="open", Description="admits one address")["GroupId"]
        packaged = self.work / "packaged.yaml"
        self.cloudformation(
            "package", "--template-file", self.work / "infra" / "template.yaml", "--s3-bucket", BUCKET,
            "--output-template-file", packaged,
        )  # fmt: skip
        self.cloudformation(
            "deploy", "--template-file", packaged, "--stack-name", STACK, "--capabilities", "CAPABILITY_IAM",
            "--s3-bucket", BUCKET, "--parameter-overrides", "ClusterPattern=*", "SecretArns=arn:aws:secretsmanager:*:*:secret:*",
            "HostedZoneArns=arn:aws:route53:::hostedzone/*", "RecordNames=*", "TwoPeople=off", f"OpenSecurityGroupId={group}",
        )  # fmt: skip
        stack = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
        return {
            "url": self.url, "keys": self.keys, "scripts": str(self.scripts), "table": outputs["TableName"], "topic": outputs["TopicArn"],
            "rewind": outputs["StateMachineArn"], "undo": outputs["UndoStateMachineArn"], "open": outputs["OpenStateMachineArn"], "group": group, "arns": copies(client("stepfunctions"), outputs),
        }  # fmt: skip

    def cloudformation(self, *arguments):
        command = [self.aws, "cloudformation", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            pytest.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}", returncode=1)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def copies(states, outputs):
    """Copies of the deployed state machines under known names, by which the mock configuration finds them, and three whose
    timeouts are over at once; their ARNs by name.
    """
    rewind, undo, clean_up, opened = [
        states.describe_state_machine(stateMachineArn=outputs[name])
        for name in ("StateMachineArn", "UndoStateMachineArn", "CleanUpStateMachineArn", "OpenStateMachineArn")
    ]
    # No output: nobody starts it but a recovery.
    deployed = [*states.get_paginator("list_state_machines").paginate().search("stateMachines[].stateMachineArn")]
    watch, stopped = [
        next(states.describe_state_machine(stateMachineArn=arn) for arn in deployed if f"-{name}-" in arn) for name in ("FenceWatch", "Stopped")
    ]
    if any("${" in machine["definition"] for machine in (rewind, undo, clean_up, watch, stopped, opened)):
        pytest.exit("a deployed definition still holds a ${…}: a substitution is missing from the template", returncode=1)
    return {
        name: states.create_state_machine(name=name, definition=definition, roleArn=machine["roleArn"])["stateMachineArn"]
        for name, definition, machine in [
            (MACHINE, rewind["definition"], rewind),
            (WITHOUT_TIMEOUTS, without(rewind["definition"], TIMEOUTS), rewind),
            (UNDO, undo["definition"], undo),
            (UNDO_WITHOUT_TIMEOUTS, without(undo["definition"], OF_UNDO), undo),
            (CLEAN_UP, clean_up["definition"], clean_up),
            (WATCH, watch["definition"], watch),
            (STOPPED, stopped["definition"], stopped),
            (OPEN, opened["definition"], opened),
            (CLEAN_UP_DISABLED, clean_up["definition"].replace("'ENABLED' = 'ENABLED'", "'DISABLED' = 'ENABLED'"), clean_up),
            (CLEAN_UP_WITHOUT_TIMEOUTS, without(clean_up["definition"], ["2 * 3600 * 1000"]), clean_up),
        ]
    }


def without(definition, timeouts):
    """A definition in which these timeouts are over at once."""
    for timeout in timeouts:
        if timeout not in definition:
            pytest.exit(f"the definition has no timeout {timeout}", returncode=1)
        definition = definition.replace(timeout, "> 0 - 1" if timeout.startswith(">") else "0 - 1")
    return definition


def mock(answer):
    """What a native state answers, or the error and the cause that it throws."""
    if isinstance(answer, tuple):
        return {"Throw": dict(zip(("Error", "Cause"), answer, strict=True))}
    return {"Return": answer}


def mocks(scenarios):
    """ministack's mock configuration: which native state throws or answers what, by scenario."""
    cases, answers = {}, {}
    for scenario in scenarios:
        for state, error in (scenario.mocked or {}).items():
            case = slug(f"{scenario.name} {state}")
            cases.setdefault(scenario.machine, {}).setdefault(slug(scenario.name), {})[state] = case
            if isinstance(error, list):
                answers[case] = {str(n): mock(answer) for n, answer in enumerate(error)}
            else:
                answers[case] = {"0": mock(error if isinstance(error, tuple) else (error, "told to"))}
    machines = {machine: {"TestCases": of_it} for machine, of_it in cases.items()}
    return {"StateMachines": machines, "MockedResponses": answers}
