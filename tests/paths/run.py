#!/usr/bin/env python3
"""Runs the state machine on ministack with stand-in functions and asserts its path: every step made to fail in turn, every
undo made to fail in turn, and the ways that end without a failure. The template is deployed as it is; only what is in the
functions' zips differs. Needs boto3 and the AWS CLI in this interpreter's environment, and ministack.

    python tests/paths/run.py --ministack <path of the ministack executable> [name of a scenario ...]
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEMS = [
    "validate-window", "start-restore", "await-rewind", "add-instances", "verify", "request-approval", "fence-source",
    "swap-dns", "confirm-cutover", "finish",
]  # fmt: skip
MACHINE, IMPATIENT = "rewind-paths", "rewind-paths-impatient"

REQUEST = {"cluster": "my-aurora-cluster", "to": "5m ago", "dns": [{}], "approval": "none"}
WITH_APPROVAL = REQUEST | {"approval": "required"}

# ------------------------------------------------------------------------------------------------------------ the paths

START = ["Begin", "IsLeaseNeeded", "AcquireLease", "ValidateWindow", "IsDryRun", "RecordPlan", "ExtendLease"]
REWIND = [
    "StartRestore", "AwaitRewind", "IsRewindDone", "AddInstances", "AwaitInstances", "AreInstancesReady", "Verify",
    "IsTrafficToMove",
]  # fmt: skip
APPROVE = ["IsApprovalNeeded", "RequestApproval", "IsApproved", "RecordDecision"]
SWITCH = ["FenceSource", "SwapDns", "ConfirmCutover", "IsCutoverConfirmed", "Finish", "RecordRecovered", "ReleaseLease"]
SUCCESS = START + REWIND + ["IsApprovalNeeded"] + SWITCH + ["Recovered"]
APPROVED = START + REWIND + APPROVE + SWITCH + ["Recovered"]

RELEASED = ["RecordFailure", "IsLeaseKept", "ReleaseLeaseAfterFailure", "IsOperatorNeeded"]
NOTHING_CHANGED = ["ConcludeNothingChanged", *RELEASED, "NothingChanged"]
NEEDS_OPERATOR = ["ConcludeNeedsOperator", "RecordFailure", "IsLeaseKept", "IsOperatorNeeded", "NeedsOperator"]
BUG_BEFORE_CHANGE = ["ConcludeNeedsOperator", *RELEASED, "NeedsOperator"]
UNDO_RESTORE = ["UndoStartRestore", "AwaitDeletion", "IsDeletionDone"]
UNDO_INSTANCES = ["UndoAddInstances", *UNDO_RESTORE]
UNDO_FENCE = ["UndoFenceSource", "IsNewClusterKept"]
UNDO_SWITCH = ["IsTrafficPossiblyMoved", "FenceRestored", "UndoSwapDns", *UNDO_FENCE]

# What is undone after a failure of each step, before the end.
UNDONE_AFTER = {
    "ValidateWindow": [],
    "StartRestore": UNDO_RESTORE,
    "AwaitRewind": UNDO_RESTORE,
    "AddInstances": UNDO_INSTANCES,
    "AwaitInstances": UNDO_INSTANCES,
    "Verify": UNDO_INSTANCES,
    "FenceSource": UNDO_FENCE + UNDO_INSTANCES,
    "SwapDns": UNDO_SWITCH + UNDO_INSTANCES,
    "ConfirmCutover": UNDO_SWITCH,
}
NOT_MOVED = {"UndoSwapDns": [{"answer": {"changed": False, "what": []}, "always": True}]}

PAYLOADS = {
    "ValidateWindow": "recovery request",
    "StartRestore": "recovery plan",
    "AwaitRewind": "recovery plan awaiting",
    "AwaitInstances": "recovery plan awaiting",
    "AwaitDeletion": "recovery plan awaiting",
    "AddInstances": "recovery plan",
    "Verify": "recovery plan restored",
    "RequestApproval": "recovery plan restored report differences taskToken requestedAt",
    "FenceSource": "recovery plan",
    "FenceRestored": "recovery plan fence restored",
    "SwapDns": "recovery plan restored",
    "ConfirmCutover": "recovery plan restored swap inSyncAt",
    "Finish": "recovery plan restored report differences fence swap timings",
    "UndoStartRestore": "direction recovery plan",
    "UndoAddInstances": "direction recovery plan",
    "UndoFenceSource": "direction recovery plan",
    "UndoSwapDns": "direction recovery plan restored",
}


def up_to(state, path=SUCCESS):
    return path[: path.index(state) + 1]


def always(name, message="it is so"):
    return [{"error": [name, message], "always": True}]


# -------------------------------------------------------------------------------------------------------- the scenarios


class Scenario:
    """What one execution is told, and what it must do."""

    def __init__(self, name, path, error=None, cause=(), script=None, request=None, **more):
        self.name, self.path, self.error, self.cause = name, path, error, cause
        self.script, self.request = script or {}, REQUEST if request is None else request
        self.calls = more.pop("calls", {})  # call -> how many
        self.decide = more.pop("decide", None)  # (slice, decision): answers the approval in that slice
        self.held = more.pop("held", False)  # the lease is somebody else's
        self.machine = more.pop("machine", MACHINE)
        self.mocked = more.pop("mocked", None)  # a native state that throws: state -> error
        self.lease_stays = more.pop("lease_stays", False)
        self.recorded = more.pop("recorded", True)
        assert not more, more

    @property
    def end(self):
        return self.path[-1]


def scenarios():
    found = [
        Scenario("success without approval", SUCCESS),
        Scenario(
            "approved", APPROVED, request=WITH_APPROVAL, decide=(1, {"decision": "approved", "by": "ana", "hash": "h"})
        ),
        Scenario(
            "approved in the second slice",
            START + REWIND + APPROVE[:2] + ["IsApprovalExpired"] + APPROVE[1:] + SWITCH + ["Recovered"],
            request=WITH_APPROVAL,
            decide=(2, {"decision": "approved", "by": "ana"}),
            calls={"RequestApproval": 2},
        ),
        Scenario(
            "rejected",
            up_to("IsApproved", APPROVED) + UNDO_INSTANCES + NOTHING_CHANGED,
            "NotApproved",
            [
                "ana said no: not on a Friday",
                "NotApproved in RequestApproval",
                "undone: undid AddInstances; undid StartRestore",
            ],
            request=WITH_APPROVAL,
            decide=(1, {"decision": "rejected", "by": "ana", "comment": "not on a Friday"}),
        ),
        Scenario(
            "a decision that is none is a no",
            up_to("IsApproved", APPROVED) + UNDO_INSTANCES + NOTHING_CHANGED,
            "NotApproved",
            ["somebody who left no name said no"],
            request=WITH_APPROVAL,
            decide=(1, "yes"),
        ),
        Scenario(
            "approval timed out",
            up_to("RequestApproval", APPROVED) + ["IsApprovalExpired"] + UNDO_INSTANCES + NOTHING_CHANGED,
            "NotApproved",
            ["nobody answered within 5 seconds"],
            request=WITH_APPROVAL | {"approvalTimeoutSeconds": 5},
        ),
        Scenario(
            "dry run",
            ["Begin", "IsLeaseNeeded", "ValidateWindow", "IsDryRun", "Planned"],
            request=REQUEST | {"dryRun": True},
            recorded=False,
        ),
        Scenario(
            "lease held",
            up_to("AcquireLease")
            + [
                "ReadLease",
                "ConcludeNothingChanged",
                "RecordFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ],
            "LeaseHeld",
            ["recovery the-other-one holds lease#", "2026-11-23T09:00:00Z", "arn:of:the-other-one", "delete the item"],
            held=True,
            lease_stays=True,
        ),
        Scenario("an expired lease is taken over", SUCCESS, held="expired"),
        Scenario(
            "the request has no cluster",
            [
                "Begin",
                "IsLeaseNeeded",
                "ValidateWindow",
                "ConcludeNothingChanged",
                "RecordFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ],
            "InvalidRequest",
            ["`cluster` is missing"],
            script={"ValidateWindow": always("InvalidRequest", "`cluster` is missing")},
            request={"to": "5m ago"},
        ),
        Scenario(
            "the request is no object",
            [
                "Begin",
                "IsLeaseNeeded",
                "ValidateWindow",
                "ConcludeNothingChanged",
                "RecordFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ],
            "InvalidRequest",
            ["it is a JSON object"],
            script={"ValidateWindow": always("InvalidRequest", "it is a JSON object")},
            request=[1],
        ),
        Scenario(
            "invalid request",
            up_to("ValidateWindow") + NOTHING_CHANGED,
            "InvalidRequest",
            ['`to` is wrong; say "5m ago" [InvalidRequest in ValidateWindow]'],
            script={"ValidateWindow": always("InvalidRequest", '`to` is wrong; say "5m ago"')},
        ),
        Scenario(
            "waiting takes several calls",
            START
            + REWIND[:3]
            + ["AwaitRewind", "IsRewindDone"]
            + REWIND[3:]
            + ["IsApprovalNeeded"]
            + SWITCH
            + ["Recovered"],
            script={"AwaitRewind": [{"answer": {"done": False, "status": "creating", "seconds": 50}}]},
            calls={"AwaitRewind": 2},
        ),
        Scenario(
            "the cutover is confirmed after the old TTL",
            up_to("IsCutoverConfirmed") + ["WaitForOldTtl"] + SUCCESS[SUCCESS.index("ConfirmCutover") :],
            script={
                "ConfirmCutover": [
                    {
                        "answer": {
                            "confirmed": False,
                            "inSyncAt": "2026-11-23T10:40:02Z",
                            "waitSeconds": 4.2,
                            "records": [],
                        }
                    }
                ]
            },
            calls={"ConfirmCutover": 2},
        ),
        Scenario(
            "a record had changed: nothing moved, the new cluster goes",
            up_to("SwapDns") + ["IsTrafficPossiblyMoved", *UNDO_FENCE, *UNDO_INSTANCES, *NOTHING_CHANGED],
            "RecordChanged",
            ["undone: undid FenceSource; undid AddInstances; undid StartRestore"],
            script={"SwapDns": always("RecordChanged")} | {"UndoSwapDns": always("Bug")},
        ),
        Scenario(
            "traffic had moved: it goes back and the new cluster is kept",
            up_to("ConfirmCutover") + UNDO_SWITCH + NOTHING_CHANGED,
            "VerificationFailed",
            ["is KEPT and fenced", "undone: undid SwapDns; undid FenceSource"],
            script={"ConfirmCutover": always("VerificationFailed")},
        ),
        Scenario(
            "the switch failed but traffic had moved: it goes back and the new cluster is kept",
            up_to("SwapDns") + UNDO_SWITCH + NOTHING_CHANGED,
            "OutcomeUnknown",
            ["is KEPT and fenced"],
            script={"SwapDns": always("OutcomeUnknown")},
        ),
        Scenario(
            "moving back had to be repeated: the new cluster is kept",
            up_to("SwapDns") + UNDO_SWITCH + NOTHING_CHANGED,
            "OutcomeUnknown",
            ["is KEPT and fenced"],
            script={
                "SwapDns": always("OutcomeUnknown"),
                "UndoSwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *NOT_MOVED["UndoSwapDns"]],
            },
            calls={"UndoSwapDns": 2},
        ),
        Scenario(
            "a record had changed when the switch was repeated: it may have moved something before",
            up_to("SwapDns") + UNDO_SWITCH + UNDO_INSTANCES + NOTHING_CHANGED,
            "RecordChanged",
            script={"SwapDns": [{"error": ["OutcomeUnknown", "no answer"]}, *always("RecordChanged")]} | NOT_MOVED,
            calls={"SwapDns": 2},
        ),
        Scenario(
            "no records: nobody is asked and nothing is fenced",
            START + REWIND + ["Finish", "RecordRecovered", "ReleaseLease", "Recovered"],
            request=WITH_APPROVAL | {"dns": []},
        ),
        Scenario(
            "finish fails without records",
            START + REWIND + ["Finish"] + NEEDS_OPERATOR,
            "Bug",
            ["which keeps its traffic"],
            script={"Finish": always("Bug")},
            request=REQUEST | {"dns": []},
            lease_stays=True,
        ),
        Scenario(
            "a read that fails nine times fails",
            up_to("ConfirmCutover") + UNDO_SWITCH + NOTHING_CHANGED,
            "Unavailable",
            script={"ConfirmCutover": always("Unavailable")} | NOT_MOVED,
            calls={"ConfirmCutover": 9},
        ),
        Scenario(
            "finish fails: nothing is undone",
            up_to("Finish") + NEEDS_OPERATOR,
            "Unavailable",
            ["traffic is on the new cluster", "nothing was undone"],
            script={"Finish": always("Unavailable")},
            lease_stays=True,
        ),
    ]
    for state, undone in UNDONE_AFTER.items():
        found.append(
            Scenario(
                f"{state} fails",
                up_to(state) + undone + NOTHING_CHANGED,
                "RewindFailed",
                [f"it is so [RewindFailed in {state}]"],
                script={state: always("RewindFailed")} | NOT_MOVED,
                calls={state: 1},
            )
        )
        found.append(
            Scenario(
                f"{state} is throttled, then not ready, then of unknown outcome, then works",
                SUCCESS,
                script={
                    state: [
                        {"error": [name, "wait"]}
                        for name in ["Throttled", "ClusterNotReady", "ClusterNotReady", "OutcomeUnknown"]
                    ]
                },
                calls={state: 5},
            )
        )
    for state in [*UNDONE_AFTER, "Finish"]:
        before = state == "ValidateWindow"
        found.append(
            Scenario(
                f"a bug in {state}",
                up_to(state) + (BUG_BEFORE_CHANGE if before else NEEDS_OPERATOR),
                "Bug",
                [
                    f"it is so [Bug in {state}]",
                    "nothing was undone",
                    "nothing was changed" if before else "the lease"[4:],
                ],
                script={state: always("Bug")},
                calls={state: 1},
                lease_stays=not before,
            )
        )
    found.append(
        Scenario(
            "an outcome unknown twice is undone",
            up_to("StartRestore") + UNDO_RESTORE + NOTHING_CHANGED,
            "OutcomeUnknown",
            script={"StartRestore": always("OutcomeUnknown")},
            calls={"StartRestore": 2},
        )
    )
    # A failed switch that moved nothing passes every undo: each is made to fail in turn.
    whole = up_to("SwapDns") + UNDO_SWITCH + UNDO_INSTANCES
    for undo in [
        "FenceRestored",
        "UndoSwapDns",
        "UndoFenceSource",
        "UndoAddInstances",
        "UndoStartRestore",
        "AwaitDeletion",
    ]:
        found.append(
            Scenario(
                f"{undo} fails",
                up_to(undo, whole) + NEEDS_OPERATOR,
                "RewindFailed",
                [
                    "not there [RewindFailed in SwapDns]",
                    f"then undoing failed: no luck [RecordChanged in {undo}]",
                    "is kept until",
                ],
                script=NOT_MOVED
                | {
                    "SwapDns": always("RewindFailed", "not there"),
                    undo: always("RecordChanged", "no luck"),
                },
                lease_stays=True,
            )
        )
    # The native states, made to throw.
    broken = "DynamoDB.AmazonDynamoDBException"
    for state, tail, extra in [
        ("AcquireLease", NOTHING_CHANGED, {}),
        ("RecordPlan", NOTHING_CHANGED, {}),
        ("ExtendLease", NOTHING_CHANGED, {}),
        ("ReadLease", None, {"held": True, "lease_stays": True}),
        ("RecordDecision", None, {"request": WITH_APPROVAL, "decide": (1, {"decision": "approved"})}),
        ("RecordRecovered", None, {"recorded": "Running"}),
        ("ReleaseLease", None, {"lease_stays": True}),
    ]:
        if state == "ReadLease":
            path = up_to("AcquireLease") + [
                state,
                "ConcludeNothingChanged",
                "RecordFailure",
                "IsLeaseKept",
                "IsOperatorNeeded",
                "NothingChanged",
            ]
            error = "LeaseHeld"
        elif tail is None:
            path, error = (APPROVED if state == "RecordDecision" else SUCCESS), None
        else:
            path, error = up_to(state) + tail, broken
        found.append(Scenario(f"{state} throws", path, error, mocked={state: broken}, **extra))
    found.append(
        Scenario(
            "the lease was taken away meanwhile",
            up_to("ExtendLease")
            + ["ConcludeNothingChanged", "RecordFailure", "IsLeaseKept", "IsOperatorNeeded", "NothingChanged"],
            "LeaseHeld",
            ["was taken away while the plan was made"],
            mocked={"ExtendLease": "DynamoDB.ConditionalCheckFailedException"},
            lease_stays=True,
        )
    )
    found.append(
        Scenario(
            "a failure that cannot be recorded ends as it would have",
            up_to("Verify") + UNDO_INSTANCES + NOTHING_CHANGED,
            "VerificationFailed",
            script={"Verify": always("VerificationFailed")},
            mocked={"RecordFailure": broken},
            recorded="Running",
        )
    )
    # The same machine with its bounds at nothing.
    not_done = {"answer": {"done": False, "status": "creating", "seconds": 50}, "always": True}
    for state, question, tail, said in [
        ("AwaitRewind", "IsRewindDone", UNDO_RESTORE, "was not done 12 hours after it began"),
        ("AwaitInstances", "AreInstancesReady", UNDO_INSTANCES, "were not available 2 hours after"),
    ]:
        found.append(
            Scenario(
                f"{state} is overdue",
                up_to(question) + tail + NOTHING_CHANGED,
                "RewindFailed",
                [said, "creating"],
                script={state: [not_done]},
                machine=IMPATIENT,
            )
        )
    found.append(
        Scenario(
            "the cutover is overdue",
            up_to("IsCutoverConfirmed") + UNDO_SWITCH + NOTHING_CHANGED,
            "VerificationFailed",
            ["did not lead to"],
            script={
                "ConfirmCutover": [
                    {"answer": {"confirmed": False, "inSyncAt": None, "waitSeconds": 1, "records": []}, "always": True}
                ]
            },
            machine=IMPATIENT,
        )
    )
    found.append(
        Scenario(
            "the deletion is overdue",
            up_to("Verify") + UNDO_INSTANCES + NEEDS_OPERATOR,
            "VerificationFailed",
            ["then undoing failed:", "was still being deleted after 2 hours"],
            script={"Verify": always("VerificationFailed"), "AwaitDeletion": [not_done]},
            machine=IMPATIENT,
            lease_stays=True,
        )
    )
    return found


# ------------------------------------------------------------------------------------------------------------- the stack


class Stack:
    """A ministack of its own with the template deployed to it."""

    def __init__(self, ministack, work, found):
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
        }  # fmt: skip
        self.log = open(work / "ministack.log", "w")
        self.process = subprocess.Popen([ministack], env=inherited, cwd=work, stdout=self.log, stderr=self.log)
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
        for stem in STEMS:
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
            ["deploy", "--template-file", packaged, "--stack-name", "rewind-paths", "--capabilities", "CAPABILITY_IAM"],
        ]:  # fmt: skip
            done = subprocess.run([*aws, *map(str, command)], env=self.environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
        stack = self.client("cloudformation").describe_stacks(StackName="rewind-paths")["Stacks"][0]
        outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
        self.table = outputs["TableName"]
        deployed = self.client("stepfunctions").describe_state_machine(stateMachineArn=outputs["StateMachineArn"])
        definition = deployed["definition"]
        if "${" in definition:
            sys.exit("the deployed definition still holds a ${…}: a substitution is missing from the template")
        # Copies under known names: the mock configuration names the machine, and one has its bounds at nothing.
        impatient = definition
        for bound in ["12 * 3600 * 1000", "2 * 3600 * 1000", "(3600 + 2 * $max($append([0], $plan.dns.ttl))) * 1000"]:
            if bound not in impatient:
                sys.exit(f"the definition has no bound {bound}")
            impatient = impatient.replace(bound, "0 - 1")
        self.arns = {
            name: self.client("stepfunctions").create_state_machine(
                name=name, definition=text, roleArn=deployed["roleArn"]
            )["stateMachineArn"]
            for name, text in [(MACHINE, definition), (IMPATIENT, impatient)]
        }

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def slug(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower())[:80]


def mocks(found):
    cases, throws = {}, {}
    for scenario in found:
        for state, error in (scenario.mocked or {}).items():
            cases[slug(scenario.name)] = {state: slug(scenario.name)}
            throws[slug(scenario.name)] = {"0": {"Throw": {"Error": error, "Cause": "told to"}}}
    return {"StateMachines": {MACHINE: {"TestCases": cases}}, "MockedResponses": throws}


# ---------------------------------------------------------------------------------------------------------- one scenario


def calls_of(stack, recovery):
    file = stack.paths / f"{recovery}.calls"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run(stack, scenario):
    """Runs one scenario; answers what is wrong, in sentences."""
    recovery = slug(scenario.name)
    states, table = stack.client("stepfunctions"), stack.client("dynamodb")
    request = scenario.request
    if isinstance(request, dict) and "cluster" in request:
        request = request | {"cluster": f"Cluster-of-{recovery}"}  # a lease of its own, and in mixed case
    lease = f"lease#cluster-of-{recovery}"
    (stack.paths / f"{recovery}.json").write_text(json.dumps(scenario.script))
    if scenario.held:
        until = int(time.time()) + (-5 if scenario.held == "expired" else 3600)
        table.put_item(TableName=stack.table, Item={
            "id": {"S": lease}, "recoveryId": {"S": "the-other-one"}, "executionArn": {"S": "arn:of:the-other-one"},
            "takenAt": {"S": "2026-11-23T09:00:00Z"}, "expiresAt": {"N": str(until)},
        })  # fmt: skip
    machine = stack.arns[scenario.machine] + (f"#{recovery}" if scenario.mocked else "")
    execution = states.start_execution(stateMachineArn=machine, name=recovery, input=json.dumps(request))[
        "executionArn"
    ]
    deadline = time.monotonic() + 170
    decided = False
    while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        if time.monotonic() > deadline:
            return ["it did not end within 170 seconds"]
        if scenario.decide and not decided:
            asked = [c for c in calls_of(stack, recovery) if c["call"] == "RequestApproval"]
            if len(asked) >= scenario.decide[0]:
                token = asked[scenario.decide[0] - 1]["payload"]["taskToken"]
                states.send_task_success(taskToken=token, output=json.dumps(scenario.decide[1]))
                decided = True
        time.sleep(0.2)

    wrong = []
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=execution, PaginationConfig={"PageSize": 500}
    )
    events = [event for page in pages for event in page["events"]]
    path = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
    if path != scenario.path:
        same = len(os.path.commonprefix([path, scenario.path]))
        took, due = " ".join(path[same:]) or "nothing", " ".join(scenario.path[same:]) or "nothing"
        wrong.append(f"after {' '.join(path[:same][-1:])} it went to {took}\n      expected: {due}")
    failed = scenario.error is not None
    if ended["status"] != ("FAILED" if failed else "SUCCEEDED"):
        wrong.append(f"it {ended['status']}: {ended.get('error')}: {ended.get('cause')}")
    elif failed:
        if ended["error"] != scenario.error:
            wrong.append(f"the error was {ended['error']}, expected {scenario.error}")
        wrong += [
            f"the cause lacks {said!r}: {ended['cause']}" for said in scenario.cause if said not in ended["cause"]
        ]
        if '"errorMessage"' in ended["cause"]:
            wrong.append(f"the cause is raw: {ended['cause']}")
    else:
        output = json.loads(ended["output"])
        outcome = {"Recovered": "Recovered", "Planned": "Planned"}[scenario.end]
        if output.get("outcome") != outcome or output.get("recoveryId") != recovery:
            wrong.append(f"the output was {output}")
        if scenario.end == "Recovered":
            marks = [state for state in scenario.path if state in PAYLOADS and state not in ("Finish",)]
            if set(output["timings"]) != set(marks):
                wrong.append(f"the timings are of {list(output['timings'])}, expected {marks}")

    calls = calls_of(stack, recovery)
    for call in calls:
        if set(call["payload"]) != set(PAYLOADS[call["call"]].split()):
            wrong.append(f"{call['call']} got {sorted(call['payload'])}")
        if call["payload"]["recovery"].keys() != {"id", "executionArn", "startedAt"}:
            wrong.append(f"{call['call']} got the recovery {call['payload']['recovery']}")
        if "differences" in call["payload"] and [d["what"] for d in call["payload"]["differences"]] != ["autoscaling"]:
            wrong.append(f"{call['call']} got the differences {call['payload']['differences']}")
    for call, times in scenario.calls.items():
        made = sum(c["call"] == call for c in calls)
        if made != times:
            wrong.append(f"{call} was called {made} times, expected {times}")
    asked = [c["payload"] for c in calls if c["call"] == "RequestApproval"]
    if len({a["requestedAt"] for a in asked}) > 1 or len({a["taskToken"] for a in asked}) != len(asked):
        wrong.append("the slices of an approval differ in requestedAt, or share a token")

    item = table.get_item(TableName=stack.table, Key={"id": {"S": lease}}, ConsistentRead=True).get("Item")
    if bool(item) != scenario.lease_stays:
        wrong.append(f"the lease {'stayed' if item else 'is gone'}")
    item = table.get_item(TableName=stack.table, Key={"id": {"S": f"recovery#{recovery}"}}, ConsistentRead=True).get(
        "Item"
    )
    expected = {True: scenario.end, False: None}.get(scenario.recorded, scenario.recorded)
    if (item or {}).get("state", {}).get("S") != expected:
        wrong.append(f"the table says {item}, expected the state {expected}")
    if item and failed and scenario.recorded is True:
        if item["error"]["S"] != ended.get("error") or item["cause"]["S"] != ended.get("cause") or "approval" in item:
            wrong.append(f"the table tells it otherwise: {item}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ministack", default=os.environ.get("MINISTACK", "ministack"))
    parser.add_argument(
        "--keep", action="store_true", help="leave the working folder, with ministack's log, when it ends"
    )
    parser.add_argument("names", nargs="*", help="run only the scenarios whose name contains one of these")
    options = parser.parse_args()
    found = scenarios()
    names = [slug(s.name) for s in found]
    assert len(set(names)) == len(names), "two scenarios have one name"
    if options.names:
        found = [s for s in found if any(name in s.name for name in options.names)]
    work = Path(tempfile.mkdtemp(prefix="rewind-paths-"))
    began, failed = time.monotonic(), 0
    stack = Stack(options.ministack, work, found)
    try:
        stack.deploy()
        print(f"deployed in {time.monotonic() - began:.1f} s")
        # Those that wait for people take a minute: they begin first.
        found.sort(key=lambda s: not s.request or s.request == REQUEST if isinstance(s.request, dict) else True)
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
