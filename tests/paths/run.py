#!/usr/bin/env python3
"""Runs the state machines on ministack with stand-in functions and asserts their paths: every step made to fail in turn, every
undo made to fail in turn, and the ways that end without a failure. The template is deployed as it is; only what is in the
functions' zips differs. Needs boto3 and the AWS CLI in this interpreter's environment, and ministack in another.

    python tests/paths/run.py --ministack <the Python of ministack's environment> [--evaluations <file>] [name of a scenario ...]
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config

import beside
import cleaning
import in_place
import undo
from scenario import CLEANING, CLEANING_IMPATIENT, IMPATIENT, MACHINE, PAYLOADS, UNDO

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# ------------------------------------------------------------------------------------------------------------- the stack


class Stack:
    """A ministack of its own with the template deployed to it."""

    def __init__(self, ministack, work, found, evaluations):
        self.work, self.paths = work, work / "paths"
        self.paths.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        (work / "mocks.json").write_text(json.dumps(mocks(found)))
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith("AWS_")
        } | {
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        inherited = self.environment | {
            "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SFN_WAIT_SCALE": "0", "REWIND_PATHS": str(self.paths),
            "SFN_MOCK_CONFIG": str(work / "mocks.json"), "TMPDIR": str(work), "STATE_DIR": str(work / "state"),
            "REWIND_EVALUATIONS": str(evaluations),
        }  # fmt: skip
        self.log = open(work / "ministack.log", "w")
        self.process = subprocess.Popen([ministack, HERE / "recorder.py"], env=inherited, cwd=work, stdout=self.log, stderr=self.log)
        self.clients = {}

    def client(self, service):
        if service not in self.clients:
            config = Config(max_pool_connections=64, retries={"max_attempts": 5}, connect_timeout=5, read_timeout=30)
            self.clients[service] = boto3.client(
                service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test",
                aws_secret_access_key="test", config=config,
            )  # fmt: skip
        return self.clients[service]

    def deploy(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1).read()
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"ministack did not start: see {self.work / 'ministack.log'}")
                time.sleep(0.1)
        for folder in ["infra", "statemachine"]:
            shutil.copytree(ROOT / folder, self.work / folder)
        template = (self.work / "infra" / "template.yaml").read_text()
        for stem in re.findall(r"target/lambda/([a-z-]+)/bootstrap.zip", template):
            target = self.work / "target" / "lambda" / stem
            target.mkdir(parents=True)
            with zipfile.ZipFile(target / "bootstrap.zip", "w") as archive:
                entry = zipfile.ZipInfo("bootstrap")
                entry.external_attr = (stat.S_IFREG | 0o755) << 16
                archive.writestr(entry, (HERE / "bootstrap").read_bytes())
        self.client("s3").create_bucket(Bucket="rewind-paths")
        packaged = self.work / "packaged.yaml"
        aws = [sys.executable, "-m", "awscli", "cloudformation"]
        for command in [
            ["package", "--template-file", self.work / "infra" / "template.yaml", "--s3-bucket", "rewind-paths",
             "--output-template-file", packaged],
            ["deploy", "--template-file", packaged, "--stack-name", "rewind-paths", "--capabilities", "CAPABILITY_IAM",
             "--s3-bucket", "rewind-paths", "--parameter-overrides", "ClusterPattern=*"],
        ]:  # fmt: skip
            done = subprocess.run([*aws, *map(str, command)], env=self.environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
        stack = self.client("cloudformation").describe_stacks(StackName="rewind-paths")["Stacks"][0]
        outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
        self.table, states = outputs["TableName"], self.client("stepfunctions")
        deployed, taking_back, cleaning_up = [
            states.describe_state_machine(stateMachineArn=outputs[name])
            for name in ("StateMachineArn", "UndoStateMachineArn", "CleanUpStateMachineArn")
        ]
        definition = deployed["definition"]
        if any("${" in machine["definition"] for machine in (deployed, taking_back, cleaning_up)):
            sys.exit("a deployed definition still holds a ${…}: a substitution is missing from the template")
        # Copies under known names: the mock configuration names the machine, and one has its bounds at nothing.
        impatient = definition
        for bound in ["($awaiting.what = 'backtrack' ? 2 : 12) * 3600 * 1000", "2 * 3600 * 1000", "3600 * 1000", "(3600 + 2 * $max($append([0], $plan.dns.ttl))) * 1000"]:
            if bound not in impatient:
                sys.exit(f"the definition has no bound {bound}")
            impatient = impatient.replace(bound, "0 - 1")
        self.arns = {
            name: states.create_state_machine(name=name, definition=text, roleArn=role)["stateMachineArn"]
            for name, text, role in [
                (MACHINE, definition, deployed["roleArn"]),
                (IMPATIENT, impatient, deployed["roleArn"]),
                (UNDO, taking_back["definition"], taking_back["roleArn"]),
                (CLEANING, cleaning_up["definition"], cleaning_up["roleArn"]),
                (CLEANING_IMPATIENT, cleaning_up["definition"].replace("2 * 3600 * 1000", "0 - 1"), cleaning_up["roleArn"]),
            ]
        }
        # What people are told lands in a queue.
        queues = self.client("sqs")
        self.told_queue, self.messages, self.listening = queues.create_queue(QueueName="told")["QueueUrl"], [], threading.Lock()
        of_queue = queues.get_queue_attributes(QueueUrl=self.told_queue, AttributeNames=["QueueArn"])["Attributes"]
        self.client("sns").subscribe(TopicArn=outputs["TopicArn"], Protocol="sqs", Endpoint=of_queue["QueueArn"])

    def told(self, about):
        """Subject and text of what people were told so far about something that the text or the subject names."""
        with self.listening:
            while found := self.client("sqs").receive_message(QueueUrl=self.told_queue, MaxNumberOfMessages=10).get("Messages"):
                for message in found:
                    self.client("sqs").delete_message(QueueUrl=self.told_queue, ReceiptHandle=message["ReceiptHandle"])
                    body = json.loads(message["Body"])
                    self.messages.append((body.get("Subject"), body["Message"]))
            return [message for message in self.messages if about in f"{message}"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def slug(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower())[:75]  # leaves room for "-undo": AWS takes 80 characters


def mocks(found):
    cases, throws = {}, {}
    for scenario in found:
        for state, error in (scenario.mocked or {}).items():
            case = slug(f"{scenario.name} {state}")
            cases.setdefault(scenario.machine, {}).setdefault(slug(scenario.name), {})[state] = case
            error, cause = error if isinstance(error, tuple) else (error, "told to")
            throws[case] = {"0": {"Throw": {"Error": error, "Cause": cause}}}
    machines = {machine: {"TestCases": of_it} for machine, of_it in cases.items()}
    return {"StateMachines": machines, "MockedResponses": throws}


# ---------------------------------------------------------------------------------------------------------- one scenario


def calls_of(stack, recovery):
    file = stack.paths / f"{recovery}.calls"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def wrongly_passed(call, payload):
    """Whether what differs with the strategy is right in what was passed."""
    if "plan" not in payload:
        return
    in_place = payload["plan"]["strategy"] == "backtrack"
    if "differences" in payload:
        found = [difference["what"] for difference in payload["differences"]]
        if found != ([] if in_place else ["autoscaling"]):
            yield f"{call} got the differences {found}"
    if restored := payload.get("restored"):
        if restored["cluster"] != payload["plan"]["cluster" if in_place else "newCluster"]:
            yield f"{call} got {restored['cluster']} for the rewound cluster"
    elif "restored" in payload and not (in_place and call in ("RequestApproval", "ConfirmApproval", "VerifyForward")):
        yield f"{call} got no rewound cluster"
    if call == "AwaitInSync" and payload["awaiting"]["what"] != "change":
        yield f"{call} waited for {payload['awaiting']}"
    if call == "ConfirmCutover" and bool(payload["inSyncAt"]) != bool(payload["swap"]["changeId"]):
        yield f"{call} got {payload['inSyncAt']} for the time of INSYNC"
    if "safetyClone" in payload and bool(payload["safetyClone"]) != in_place:
        yield f"{call} got the safety clone {payload['safetyClone']}"


def hold(stack, scenario, lease):
    """Gives the lease to somebody else, where the scenario says so."""
    if scenario.held:
        until = int(time.time()) + (-5 if scenario.held == "expired" else 3600)
        stack.client("dynamodb").put_item(TableName=stack.table, Item={
            "id": {"S": lease}, "recoveryId": {"S": "the-other-one"}, "executionArn": {"S": "arn:of:the-other-one"},
            "takenAt": {"S": "2026-11-23T09:00:00Z"}, "expiresAt": {"N": str(until)},
        })  # fmt: skip


def item(stack, key):
    found = stack.client("dynamodb").get_item(TableName=stack.table, Key={"id": {"S": key}}, ConsistentRead=True)
    return found.get("Item")


def execute(stack, scenario, name, given):
    """Runs one execution to its end, answering approvals as the scenario does; None where it does not end."""
    states = stack.client("stepfunctions")
    machine = stack.arns[scenario.machine] + (f"#{slug(scenario.name)}" if scenario.mocked else "")
    execution = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))["executionArn"]
    deadline = time.monotonic() + 170
    waiting = list(scenario.decide)
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        if time.monotonic() > deadline:
            return None
        if waiting:
            asked = [c for c in calls_of(stack, name) if c["call"] == "RequestApproval"]
            slice_, decision = waiting[0]
            if len(asked) >= slice_:
                states.send_task_success(taskToken=asked[slice_ - 1]["payload"]["taskToken"], output=json.dumps(decision))
                waiting.pop(0)
        time.sleep(0.2)
    return ended


def wrong_end(stack, scenario, ended):
    """What is wrong with the path and with how it ended."""
    pages = stack.client("stepfunctions").get_paginator("get_execution_history").paginate(
        executionArn=ended["executionArn"], PaginationConfig={"PageSize": 500}
    )
    events = [event for page in pages for event in page["events"]]
    path = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
    if path != scenario.path:
        same = len(os.path.commonprefix([path, scenario.path]))
        took, due = " ".join(path[same:]) or "nothing", " ".join(scenario.path[same:]) or "nothing"
        yield f"after {' '.join(path[:same][-1:])} it went to {took}\n      expected: {due}"
    failed = scenario.error is not None
    if ended["status"] != ("FAILED" if failed else "SUCCEEDED"):
        yield f"it {ended['status']}: {ended.get('error')}: {ended.get('cause')}"
    elif failed:
        if ended["error"] != scenario.error:
            yield f"the error was {ended['error']}, expected {scenario.error}"
        for said in scenario.cause:
            if said not in ended["cause"]:
                yield f"the cause lacks {said!r}: {ended['cause']}"
        if '"errorMessage"' in ended["cause"] and '"errorMessage"' not in "".join(scenario.cause):
            yield f"the cause is raw: {ended['cause']}"


def wrong_calls(stack, scenario, recovery):
    """What is wrong with the calls that were made for a recovery, and with what they were passed."""
    calls = calls_of(stack, recovery)
    for call in calls:
        if set(call["payload"]) != set(PAYLOADS[call["call"]].split()):
            yield f"{call['call']} got {sorted(call['payload'])}"
        if call["payload"]["recovery"].keys() != {"id", "executionArn", "startedAt"}:
            yield f"{call['call']} got the recovery {call['payload']['recovery']}"
        yield from wrongly_passed(call["call"], call["payload"])
    for call, times in scenario.calls.items():
        made = sum(c["call"] == call for c in calls)
        if made != times:
            yield f"{call} was called {made} times, expected {times}"


def run(stack, scenario):
    """Runs one scenario; answers what is wrong, in sentences."""
    kinds = {UNDO: taken_back, CLEANING: cleaned_up, CLEANING_IMPATIENT: cleaned_up}
    return kinds.get(scenario.machine, recovered)(stack, scenario)


def recovered(stack, scenario):
    recovery = slug(scenario.name)
    request = scenario.request
    if isinstance(request, dict) and "cluster" in request:
        request = request | {"cluster": f"Cluster-of-{recovery}"}  # a lease of its own, and in mixed case
    lease = f"lease#cluster-of-{recovery}"
    (stack.paths / f"{recovery}.json").write_text(json.dumps(scenario.script))
    hold(stack, scenario, lease)
    ended = execute(stack, scenario, recovery, request)
    if ended is None:
        return ["it did not end within 170 seconds"]

    wrong = [*wrong_end(stack, scenario, ended), *wrong_calls(stack, scenario, recovery)]
    failed = scenario.error is not None
    if ended["status"] == "SUCCEEDED" and not failed:
        output = json.loads(ended["output"])
        outcome = {"Recovered": "Recovered", "Planned": "Planned"}[scenario.end]
        if output.get("outcome") != outcome or output.get("recoveryId") != recovery:
            wrong.append(f"the output was {output}")
        if scenario.end == "Recovered":
            marks = [state for state in scenario.path if state in PAYLOADS and state not in ("Finish",)]
            if "CloneSource" in marks:
                marks.append("AwaitSafetyClone")  # the same state as AwaitRewind, told apart
            if set(output["timings"]) != set(marks):
                wrong.append(f"the timings are of {list(output['timings'])}, expected {marks}")
    asked = [c["payload"] for c in calls_of(stack, recovery) if c["call"] == "RequestApproval"]
    if len({a["requestedAt"] for a in asked}) > 1 or len({a["taskToken"] for a in asked}) != len(asked):
        wrong.append("the slices of an approval differ in requestedAt, or share a token")

    left = item(stack, lease)
    if bool(left) != scenario.lease_stays:
        wrong.append(f"the lease {'stayed' if left else 'is gone'}")
    kept = item(stack, f"recovery#{recovery}")
    expected = {True: scenario.end, False: None}.get(scenario.recorded, scenario.recorded)
    if (kept or {}).get("state", {}).get("S") != expected:
        wrong.append(f"the table says {kept}, expected the state {expected}")
    if kept and failed and scenario.recorded is True:
        if kept["error"]["S"] != ended.get("error") or kept["cause"]["S"] != ended.get("cause") or "approval" in kept:
            wrong.append(f"the table tells it otherwise: {kept}")
    return wrong


def taken_back(stack, scenario):
    """The same for a recovery that is over by now, and that somebody takes back."""
    recovery = slug(scenario.name)
    lease, name = f"lease#{undo.cluster(recovery)}", f"{recovery}-undo"
    (stack.paths / f"{recovery}.json").write_text(json.dumps(scenario.script))
    before = undo.item(recovery, **scenario.request["item"])
    if before:
        stack.client("dynamodb").put_item(TableName=stack.table, Item=before)
    hold(stack, scenario, lease)
    ended = execute(stack, scenario, name, undo.given(recovery, scenario.request["given"]))
    if ended is None:
        return ["it did not end within 170 seconds"]
    return [
        *wrong_end(stack, scenario, ended),
        *wrong_calls(stack, scenario, recovery),
        *undo.wrong(scenario, recovery, ended, before, item(stack, f"recovery#{recovery}"), item(stack, lease)),
    ]


def cleaned_up(stack, scenario):
    """The same for what recoveries kept: one run, or two."""
    recovery, runs = slug(scenario.name), []
    for again in [False, True][: 1 if scenario.request["again"] is None else 2]:
        name = f"{recovery}-again"[-80:] if again else recovery
        (stack.paths / f"{name}.json").write_text(cleaning.script(scenario, recovery, again))
        ended = execute(stack, scenario, name, {})
        if ended is None:
            return ["it did not end within 170 seconds"]
        runs.append((ended["executionArn"], calls_of(stack, name)))
    calls = [call["call"] for _, of_run in runs for call in of_run]
    found = [*wrong_end(stack, scenario, ended)]
    for call, times in scenario.calls.items():
        if calls.count(call) != times:
            found.append(f"{call} was called {calls.count(call)} times, expected {times}")
    about = f"of-{recovery}" if scenario.request["due"] else "nothing was cleaned up"
    return [*found, *cleaning.wrong(scenario, recovery, runs, stack.told(about))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ministack", required=True, help="the Python of ministack's environment")
    parser.add_argument("--evaluations", type=Path, default=Path(os.devnull), help="write what was evaluated to this file, anew")
    parser.add_argument(
        "--keep", action="store_true", help="leave the working folder, with ministack's log, when it ends"
    )
    parser.add_argument("names", nargs="*", help="run only the scenarios whose name contains one of these")
    options = parser.parse_args()
    found = beside.scenarios() + in_place.scenarios() + undo.scenarios() + cleaning.scenarios()
    names = [slug(s.name) for s in found]
    assert len(set(names)) == len(names), "two scenarios have one name"
    if options.names:
        found = [s for s in found if any(name in s.name for name in options.names)]
    work = Path(tempfile.mkdtemp(prefix="rewind-paths-"))
    began, failed = time.monotonic(), 0
    evaluations = options.evaluations.absolute()
    evaluations.write_bytes(b"")
    stack = Stack(options.ministack, work, found, evaluations)
    try:
        stack.deploy()
        print(f"deployed in {time.monotonic() - began:.1f} s")
        # Those that wait for people take a minute: they begin first.
        found.sort(key=lambda s: not (isinstance(s.request, dict) and s.request.get("approval") == "required"))
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            for scenario, wrong in zip(found, pool.map(lambda s: run(stack, s), found)):
                print(f"{'ok    ' if not wrong else 'FAILED'} {scenario.name}")
                for sentence in wrong:
                    print(f"    - {sentence}")
                failed += bool(wrong)
    finally:
        stack.stop()
        if options.keep:
            print(f"kept {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(f"{len(found) - failed} passed, {failed} failed, in {time.monotonic() - began:.0f} s")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
