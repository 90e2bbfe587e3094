"""Deploys a small template by infra/deploy.py, as `make deploy` does, to a ministack of its own, and looks at what it passes on,
what it refuses, and what it says of executions that run.

Runs in the environment of local/tools/tests.txt; deploy.py runs in that of aws.txt. SAM is a program that writes down how it was
called.
"""

import contextlib
import json
import os
import pathlib
import pty
import re
import secrets
import select
import socket
import subprocess
import time
import urllib.request

import boto3
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".local" / "tools"
STACK, BUCKET = "rewind-deploying", "rewind-deploying"
TEMPLATE = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Parameters": {
        "Shown": {"Type": "String", "Default": "by default"},
        "Twice": {"Type": "String", "Default": True},
        "People": {"Type": "CommaDelimitedList", "Default": ""},
        "Needed": {"Type": "String"},
        "ChatConcurrency": {"Type": "String", "Default": "none"},
        "ChatSecretArn": {"Type": "String", "Default": ""},
    },
    "Resources": {
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Shown"}}},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]}},
        },
        "Rewind": {
            "Type": "AWS::Serverless::StateMachine",
            "Properties": {"DefinitionUri": "machine.asl.json", "Role": {"Fn::GetAtt": ["Role", "Arn"]}},
        },
    },
    "Outputs": {name: {"Value": {"Ref": resource}} for name, resource in (("Rewind", "Rewind"), ("PagesTopicArn", "Topic"))},
}  # fmt: skip
MACHINE = {
    "StartAt": "AwaitApproval",
    "States": {"AwaitApproval": {"Type": "Wait", "Seconds": 3600, "Next": "Done"}, "Done": {"Type": "Succeed"}},
}
SAM = "#!/bin/sh\nfor each in \"$@\"; do printf '%s\\n' \"$each\"; done > sam-was-called\n"
DEFAULTS = {"Shown": "by default", "Twice": "true", "People": "", "Needed": "n", "ChatConcurrency": "none", "ChatSecretArn": ""}


class Deployment:
    """A checkout with the small template, and the local AWS that it goes to."""

    def __init__(self, work: pathlib.Path, environment: dict[str, str]) -> None:
        self.root, self.file = work / "checkout", work / "parameters.json"
        (self.root / "infra").mkdir(parents=True)
        (self.root / "target").mkdir()
        (self.root / "infra" / "template.yaml").write_text(json.dumps(TEMPLATE))
        (self.root / "infra" / "machine.asl.json").write_text(json.dumps(MACHINE))
        sam = work / "bin" / "sam"
        sam.parent.mkdir()
        sam.write_text(SAM)
        sam.chmod(0o755)
        path = f"{sam.parent}:{TOOLS / 'aws/bin'}:{os.environ['PATH']}"
        self.environment = environment | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        self.given()

    def given(self, **parameters: str) -> None:
        self.file.write_text(json.dumps({"Parameters": {"Needed": "n"} | parameters}))

    def command(self, *more: str) -> list[str]:
        command = [TOOLS / "aws/bin/python", ROOT / "infra" / "deploy.py", "--root", self.root, "--stack-name", STACK, "--bucket", BUCKET]
        return [*map(str, command), "--parameters", str(self.file), *more]

    def run(self, *more: str) -> tuple[int, str]:
        done = subprocess.run(
            self.command(*more), env=self.environment, cwd=self.root, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def talk(self, *answers: str, before_second=lambda: None) -> tuple[int, str]:
        """At a terminal, with an answer to each question; something may happen before the second one is answered."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.command("--with", "aws"), env=self.environment, cwd=self.root, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        said, waiting = "", list(answers)
        with contextlib.suppress(OSError), os.fdopen(ours, "r+b", buffering=0) as terminal:
            while select.select([terminal], [], [], 120)[0] and (piece := terminal.read(4096)):
                said += piece.decode()
                if said.count("[y/N] ") > len(answers) - len(waiting) and waiting:
                    if len(answers) - len(waiting) == 1:
                        before_second()
                    terminal.write(f"{waiting.pop(0)}\n".encode())
        if process.poll() is None and said.endswith("[y/N] "):
            process.terminate()
            pytest.fail(f"a question too many:\n{said}")
        return process.wait(timeout=120), said


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def local_aws(work):
    """A local AWS of its own, and the environment that leads there, which is everybody's meanwhile."""
    with ministack(work) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield environment


@pytest.fixture(scope="module")
def checkout(local_aws, work) -> Deployment:
    return Deployment(work, local_aws)


@pytest.fixture
def deployment(checkout) -> Deployment:
    """With the parameters of a checkout at first, deployed or not."""
    checkout.given()
    return checkout


@pytest.fixture(scope="module")
def first_deployment(checkout) -> tuple[tuple[int, str], dict[str, str]]:
    """The outcome of the first one, with two parameters, and the parameters that the stack then had."""
    checkout.given(Shown="given", People="ann,ben")
    return checkout.run("--yes", "--with", "aws"), parameters()


@pytest.fixture
def deployed(first_deployment, deployment) -> Deployment:
    """The template is deployed, with its defaults."""
    expect(deployment.run("--yes", "--with", "aws"), 0)
    return deployment


def test_unknown_parameter_is_refused_with_the_one_that_was_meant(deployment):
    deployment.given(Show="a")
    expect(deployment.run("--yes"), 1, "has the parameter Show, and the template has not; nothing was deployed", "Shown?")


def test_missing_parameter_is_refused(deployment):
    deployment.file.write_text(json.dumps({"Parameters": {"Shown": "a"}}))
    expect(deployment.run("--yes"), 1, "lacks Needed, which have no default; nothing was deployed")


def test_concurrency_that_the_account_cannot_reserve_is_refused(deployment):
    limit = boto3.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    deployment.given(ChatConcurrency=str(limit - 99), ChatSecretArn="arn:of:a-secret")
    expect(deployment.run("--yes"), 1, f"of the account's {limit} concurrent executions", "nothing was deployed", "ChatConcurrency as none")


def test_sam_gets_every_parameter(deployment):
    deployment.given(Shown='a "b"')
    expect(deployment.run("--yes", "--with", "sam"), 0)
    called = (deployment.root / "sam-was-called").read_text().splitlines()
    begin = called.index("--parameter-overrides") + 1
    assert called[begin : begin + 4] == ['Shown="a \\"b\\""', 'Twice="true"', 'People=""', 'Needed="n"']


def test_aws_cli_deploys_every_parameter_and_forgets_those_that_are_given_no_more(first_deployment, deployment):
    outcome, first_parameters = first_deployment
    expect(outcome, 0, "Topic", "deploying")
    assert first_parameters == DEFAULTS | {"Shown": "given", "People": "ann,ben"}
    expect(deployment.run("--yes", "--with", "aws"), 0)
    assert parameters() == DEFAULTS


def test_topic_of_pages_without_subscribers_is_told(deployed):
    unheard = "nobody is paged when a recovery needs a person yet"
    expect(deployed.run("--yes", "--with", "aws"), 0, unheard, "aws sns subscribe --topic-arn")
    boto3.client("sns").subscribe(TopicArn=output("PagesTopicArn"), Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:q")
    code, said = deployed.run("--yes", "--with", "aws")
    assert (code, unheard in said) == (0, False), said


@pytest.fixture
def begin(deployed):
    """Begins an execution of a given name; what it began has ended afterwards."""
    states, begun = boto3.client("stepfunctions"), []

    def begin(name: str) -> str:
        given = json.dumps({"cluster": "shop-main"})
        execution = states.start_execution(stateMachineArn=output("Rewind"), name=name, input=given)["executionArn"]
        begun.append(execution)
        wait_for(lambda: states.get_execution_history(executionArn=execution, reverseOrder=True)["events"], "the execution to begin")
        return execution

    yield begin
    for execution in begun:
        states.stop_execution(executionArn=execution)


LISTED = (f"running in {STACK}:", "Rewind ", "in AwaitApproval", "of shop-main", "keeps the definition")


def test_running_execution_is_listed_and_nothing_deployed_unless_allowed(deployed, begin):
    begin("look-at-me")
    deployed.given(Shown="while it runs")
    refused = "nothing was deployed; next step: deploy when they have ended"
    expect(deployed.run("--yes", "--with", "aws"), 1, *LISTED, "look-at-me ", refused)
    expect(deployed.run("--yes", "--check"), 1, *LISTED, "look-at-me ", "nothing was deployed")
    expect(deployed.talk("n"), 1, *LISTED, "look-at-me ", "update while they run? [y/N]", "nothing was deployed")
    assert parameters()["Shown"] == "by default"
    expect(deployed.talk("y", "y"), 0, *LISTED, "look-at-me ", "carry these changes out? [y/N]")
    assert parameters()["Shown"] == "while it runs"
    deployed.given(Shown="all the same")
    expect(deployed.run("--yes", "--with", "aws", "--while-running"), 0, *LISTED, "look-at-me ")
    assert parameters()["Shown"] == "all the same"


def test_execution_that_begins_before_the_changes_are_carried_out_is_asked_about_again(deployed, begin):
    begin("was-there-before")
    deployed.given(Shown="too late")
    outcome = deployed.talk("y", "y", "n", before_second=lambda: begin("another"))
    expect(outcome, 1, *LISTED, "was-there-before ", "carry these changes out? [y/N]", "another ")
    assert outcome[1].count("update while they run?") == 2, outcome[1]
    assert parameters()["Shown"] == "by default"
    sets = boto3.client("cloudformation").list_change_sets(StackName=STACK)["Summaries"]
    assert [each for each in sets if each["ExecutionStatus"] == "AVAILABLE"] == []


def test_execution_that_has_ended_is_not_listed(deployed, begin):
    boto3.client("stepfunctions").stop_execution(executionArn=begin("has-ended"))
    code, said = deployed.run("--yes", "--with", "aws")
    expect((code, said), 0)
    assert "has-ended" not in said


def expect(outcome: tuple[int, str], code: int, *texts: str) -> None:
    missing = [text for text in texts if text not in re.sub(r"\s+", " ", outcome[1]) and text not in outcome[1]]
    assert (outcome[0], missing) == (code, []), outcome[1]


def described() -> dict:
    return boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]


def parameters() -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in described()["Parameters"]}


def output(name: str) -> str:
    return next(each["OutputValue"] for each in described()["Outputs"] if each["OutputKey"] == name)


@contextlib.contextmanager
def ministack(work: pathlib.Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": f"AKIA{secrets.token_hex(8).upper()}", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip
    of_its_own = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(work), "STATE_DIR": str(work / "state")}
    with open(work / "ministack.log", "w") as log:
        program = [TOOLS / "ministack/bin/python", ROOT / "local/tools/ministack_strict.py"]
        # In a session of its own: Ctrl-C is for the tests, which end it then.
        process = subprocess.Popen(program, env=environment | of_its_own, cwd=work, stdout=log, stderr=log, start_new_session=True)
    try:
        health = f"http://127.0.0.1:{port}/_ministack/health"
        wait_for(lambda: process.poll() is None and urllib.request.urlopen(health, timeout=1).read(), "ministack")
        yield environment
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(look, what: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if look():
                return
        time.sleep(0.1)
    pytest.fail(f"{what} took more than 60 s")
