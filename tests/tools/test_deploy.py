"""Deploys a small template by infra/deploy.py, as `make deploy` does, to a ministack of its own, and looks at what it passes on,
what it refuses, and what it says of executions that run.

    python tests/deploying.py --ministack <path of the ministack executable>

Runs in the venv of local/tools/aws.txt. SAM is a program that writes down how it was called.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3

ROOT = pathlib.Path(__file__).resolve().parent.parent
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
        tools = pathlib.Path(sys.executable).parent
        self.environment = environment | {"PATH": f"{sam.parent}:{tools}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
        self.given()

    def given(self, **parameters: str) -> None:
        self.file.write_text(json.dumps({"Parameters": {"Needed": "n"} | parameters}))

    def command(self, *more: str) -> list[str]:
        command = [sys.executable, ROOT / "infra" / "deploy.py", "--root", self.root, "--stack-name", STACK, "--bucket", BUCKET]
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
            sys.exit(f"a question too many:\n{said}")
        return process.wait(timeout=120), said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ministack", type=pathlib.Path, required=True)
    with tempfile.TemporaryDirectory() as folder, ministack(parser.parse_args().ministack, pathlib.Path(folder)) as environment:
        os.environ.update(environment)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        deployment = Deployment(pathlib.Path(folder), environment)
        refuses_names(deployment)
        refuses_what_cannot_be_reserved(deployment)
        passes_all_with_sam(deployment)
        passes_all_with_aws(deployment)
        tells_whom_nobody_hears(deployment)
        tells_what_runs(deployment)


def refuses_names(deployment: Deployment) -> None:
    deployment.given(Show="a")
    expect(deployment.run("--yes"), 1, "has the parameter Show, and the template has not; nothing was deployed", "Shown?")
    deployment.file.write_text(json.dumps({"Parameters": {"Shown": "a"}}))
    expect(deployment.run("--yes"), 1, "lacks Needed, which have no default; nothing was deployed")


def refuses_what_cannot_be_reserved(deployment: Deployment) -> None:
    limit = boto3.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    deployment.given(ChatConcurrency=str(limit - 99), ChatSecretArn="arn:of:a-secret")
    expect(deployment.run("--yes"), 1, f"of the account's {limit} concurrent executions", "nothing was deployed", "ChatConcurrency as none")


def passes_all_with_sam(deployment: Deployment) -> None:
    deployment.given(Shown='a "b"')
    expect(deployment.run("--yes", "--with", "sam"), 0)
    called = (deployment.root / "sam-was-called").read_text().splitlines()
    begin = called.index("--parameter-overrides") + 1
    same("SAM's parameters", called[begin : begin + 4], ['Shown="a \\"b\\""', 'Twice="true"', 'People=""', 'Needed="n"'])


def passes_all_with_aws(deployment: Deployment) -> None:
    deployment.given(Shown="given", People="ann,ben")
    expect(deployment.run("--yes", "--with", "aws"), 0, "Topic", "deploying")
    same("the first parameters", parameters(), DEFAULTS | {"Shown": "given", "People": "ann,ben"})
    deployment.given()
    expect(deployment.run("--yes", "--with", "aws"), 0)
    same("parameters that are given no more", parameters(), DEFAULTS)


def tells_whom_nobody_hears(deployment: Deployment) -> None:
    unheard = "nobody is paged when a recovery needs a person yet"
    expect(deployment.run("--yes", "--with", "aws"), 0, unheard, "aws sns subscribe --topic-arn")
    boto3.client("sns").subscribe(TopicArn=output("PagesTopicArn"), Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:q")
    code, said = deployment.run("--yes", "--with", "aws")
    same("what is said of a topic that somebody hears", (code, unheard in said), (0, False))


def tells_what_runs(deployment: Deployment) -> None:
    states, machine = boto3.client("stepfunctions"), output("Rewind")
    given = json.dumps({"cluster": "shop-main"})

    def begin(name: str) -> str:
        execution = states.start_execution(stateMachineArn=machine, name=name, input=given)["executionArn"]
        wait_for(lambda: states.get_execution_history(executionArn=execution, reverseOrder=True)["events"], "the execution to begin")
        return execution

    execution = begin("look-at-me")
    listed = (f"running in {STACK}:", "Rewind ", "look-at-me ", "in AwaitApproval", "of shop-main", "keeps the definition")
    deployment.given(Shown="while it runs")

    expect(deployment.run("--yes", "--with", "aws"), 1, *listed, "nothing was deployed; next step: deploy when they have ended")
    expect(deployment.run("--yes", "--check"), 1, *listed, "nothing was deployed")
    expect(deployment.talk("n"), 1, *listed, "update while they run? [y/N]", "nothing was deployed")
    same("what is deployed", parameters()["Shown"], "by default")
    expect(deployment.talk("y", "y"), 0, *listed, "carry these changes out? [y/N]")
    same("what is deployed", parameters()["Shown"], "while it runs")
    deployment.given(Shown="all the same")
    expect(deployment.run("--yes", "--with", "aws", "--while-running"), 0, *listed)
    same("what is deployed", parameters()["Shown"], "all the same")

    deployment.given(Shown="too late")
    meanwhile = []
    outcome = deployment.talk("y", "y", "n", before_second=lambda: meanwhile.append(begin("another")))
    expect(outcome, 1, *listed, "carry these changes out? [y/N]", "another ")
    same("questions", outcome[1].count("update while they run?"), 2)
    same("what is deployed", parameters()["Shown"], "all the same")
    sets = boto3.client("cloudformation").list_change_sets(StackName=STACK)["Summaries"]
    same("change sets that are left", [each for each in sets if each["ExecutionStatus"] == "AVAILABLE"], [])

    for each in [execution, *meanwhile]:
        states.stop_execution(executionArn=each)
    deployment.given()
    code, said = deployment.run("--yes", "--with", "aws")
    expect((code, said), 0)
    if "look-at-me" in said:
        sys.exit(f"an execution that has ended was listed:\n{said}")


def expect(outcome: tuple[int, str], code: int, *texts: str) -> None:
    missing = [text for text in texts if text not in re.sub(r"\s+", " ", outcome[1]) and text not in outcome[1]]
    if outcome[0] != code or missing:
        sys.exit(f"expected {code} and {missing or 'no more'}, and it ended with {outcome[0]}:\n{outcome[1]}")


def same(what: str, found, expected) -> None:
    if found != expected:
        sys.exit(f"{what}: expected {expected}, and found {found}")


def described() -> dict:
    return boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]


def parameters() -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in described()["Parameters"]}


def output(name: str) -> str:
    return next(each["OutputValue"] for each in described()["Outputs"] if each["OutputKey"] == name)


@contextlib.contextmanager
def ministack(program: pathlib.Path, work: pathlib.Path):
    """A local AWS of its own, and the environment that leads there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip
    of_its_own = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(work), "STATE_DIR": str(work / "state")}
    with open(work / "ministack.log", "w") as log:
        process = subprocess.Popen([program.absolute()], env=environment | of_its_own, cwd=work, stdout=log, stderr=log)
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
    sys.exit(f"{what} took more than 60 s")


if __name__ == "__main__":
    main()
